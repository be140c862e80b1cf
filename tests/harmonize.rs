//! `flowrake harmonize` and `flowrake demo` through the binary: what they write and say.

#[path = "common/cli.rs"]
mod cli;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

use cli::{Folder, assert_persons, assert_same_flows, python, sum};
use serde_json::Value;

/// Rounding of a few operations on f64, beside the tolerance of the iteration.
const ROUNDING: f64 = 1e-12;

/// Every way to meet the margins.
const SOLVERS: [&str; 4] = ["auto", "direct", "collapsed", "newton"];

/// Keys of a JSON object.
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key} is no number: {}", object[key]))
}

/// Another country: codes with letters, two levels that the units table names.
fn another_country(plan: &str) -> Folder {
    Folder::new(&[
        (
            "units.csv",
            "geoid,region,nation\n3-W,Norte,Peninsula\nA1,Sur,Peninsula\nZZ,Islas,Islands\nB-9,\
             Norte,Peninsula\nÑ,Islas,Islands\n",
        ),
        (
            "seed.csv",
            "origin,destination,flow\n3-W,3-W,40\nA1,A1,30\nZZ,ZZ,20\nB-9,B-9,50\nÑ,Ñ,10\n3-W,A1,\
             4\n3-W,ZZ,2\nA1,3-W,3\nA1,B-9,1\nZZ,A1,2.5\nB-9,3-W,6\nB-9,Ñ,1.5\nÑ,ZZ,0.5\nÑ,A1,2\n",
        ),
        ("plan.toml", &format!("[seed]\nmatrix = \"seed.csv\"\nunits = \"units.csv\"\n{plan}")),
    ])
}

fn region(code: &str) -> &'static str {
    match code {
        "3-W" | "B-9" => "Norte",
        "A1" => "Sur",
        _ => "Islas",
    }
}

#[test]
fn the_toy_gives_the_matrix_worked_out_on_paper() {
    let folder = Folder::sample("toy");
    let expected = folder.flows("expected.csv");
    for solver in SOLVERS {
        folder.harmonize(&format!("--out {solver}.csv --solver {solver}")).expect(0);
        assert_same_flows(&folder.flows(&format!("{solver}.csv")), &expected, 1e-10);
    }
}

#[test]
fn every_format_holds_the_same_numbers() {
    let folder = Folder::sample("toy");
    let expected = folder.flows("expected.csv");
    let mut first = None;
    for out in ["out.npz", "out.parquet", "out.mtx", "out.csv"] {
        folder.harmonize(&format!("--out {out}")).expect(0);
        let flows = folder.flows(out);
        assert_same_flows(&flows, &expected, 1e-10);
        assert_same_flows(&flows, first.get_or_insert_with(|| flows.clone()), 0.0);
    }
}

#[test]
fn the_default_output_is_a_scipy_file() {
    let folder = Folder::sample("toy");
    folder.harmonize("").expect(0);
    assert_same_flows(&folder.flows("harmonized.npz"), &folder.flows("expected.csv"), 1e-10);
}

#[test]
fn json_is_one_object_with_the_documented_fields() {
    let folder = Folder::sample("toy");
    let finished = folder.harmonize("--out out.csv --threads 2 --json");
    finished.expect(0);
    assert_eq!(finished.stderr(), "");
    let text = finished.stdout();
    assert_eq!(text.lines().count(), 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    for key in [
        "converged",
        "stop",
        "iterations",
        "solver",
        "threads",
        "total_ratio",
        "max_relative_violation",
        "constraints",
        "infeasible",
        "l1_change",
        "elapsed_s",
        "output",
    ] {
        assert!(keys(&report).contains(&key), "no {key} in {text}");
    }
    assert_eq!(report["converged"], true);
    assert_eq!(report["stop"], "converged");
    assert!(report["iterations"].as_u64().unwrap() > 1);
    assert_eq!(report["solver"], "direct");
    assert_eq!(report["threads"], 2);
    assert_persons("total_ratio", number(&report, "total_ratio"), 1.005, ROUNDING);
    assert!(number(&report, "max_relative_violation") <= 1e-12 + ROUNDING);
    assert!(number(&report, "l1_change") >= 0.0);
    assert_eq!(report["infeasible"], Value::Array(vec![]));
    assert_eq!(report["output"], "out.csv");
    assert_eq!(keys(&report["elapsed_s"]), ["read", "solve", "write"]);
    for part in keys(&report["elapsed_s"]) {
        let seconds = number(&report["elapsed_s"], part);
        assert!((0.0..60.0).contains(&seconds), "{part}: {seconds}");
    }
    let names =
        ["stayers of the country", "population of the year", "population of the year before"];
    let constraints = report["constraints"].as_array().unwrap();
    assert_eq!(constraints.len(), 3);
    for (constraint, (name, cells)) in constraints.iter().zip(names.into_iter().zip([1, 3, 3])) {
        assert_eq!(constraint["name"], name);
        assert_eq!(constraint["cells"], cells);
        assert!(number(constraint, "max_absolute") >= 0.0);
        assert!(number(constraint, "max_relative") >= 0.0);
        assert!(keys(constraint).contains(&"worst_cell"));
    }
    // The stayers were 68 when their step was applied, and 40 + 32 + 20 at the end.
    assert_eq!(constraints[0]["worst_cell"], "all");
    assert_persons("stayers", number(&constraints[0], "max_absolute"), 24.0, 1e-9);
}

#[test]
fn talk_goes_to_stderr_and_quiet_has_none() {
    let folder = Folder::sample("toy");
    let talking = folder.harmonize("--out out.csv");
    talking.expect(0);
    assert_eq!(talking.stdout(), "");
    for expected in ["3 units, 6 flows", "converged", "population of the year", "1.005"] {
        assert!(talking.stderr().contains(expected), "no `{expected}` in\n{}", talking.stderr());
    }
    let quiet = folder.harmonize("--out out.csv --quiet");
    quiet.expect(0);
    assert_eq!([quiet.stdout(), quiet.stderr()], ["", ""]);
}

#[test]
fn history_has_a_row_per_iteration_and_step() {
    let folder = Folder::sample("toy");
    for solver in ["direct", "collapsed", "newton"] {
        let args = format!("--out out.csv --solver {solver} --history history.csv");
        let report = folder.harmonize_json(&args, 0);
        let iterations = report["iterations"].as_u64().unwrap();
        let bytes = folder.read("history.csv");
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(
            header,
            [
                "group",
                "iteration",
                "constraint",
                "max_update",
                "total_update",
                "max_violation",
                "total_violation"
            ]
        );
        let rows: Vec<Vec<String>> =
            reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(rows.len() as u64, 1 + 2 * iterations);
        assert_eq!(rows[0][..3], ["once", "1", "stayers of the country"]);
        for (k, row) in rows[1..].iter().enumerate() {
            let names = ["population of the year", "population of the year before"];
            assert_eq!(row[..3], ["1", &(k / 2 + 1).to_string(), names[k % 2]]);
        }
        let numbers = |row: &[String]| -> Vec<f64> {
            row[3..].iter().map(|text| text.parse().unwrap()).collect()
        };
        // 34 stayers become 68: a factor of 2, 34 persons more, 34 of 68 missing before.
        assert_eq!(numbers(&rows[0]), [1.0, 34.0, 0.5, 34.0]);
        if solver != "newton" {
            // Then the columns hold 50, 30, 13 where 48, 52, 30 are wanted.
            let first = [17.0 / 13.0, 2.0 + 22.0 + 17.0, 17.0 / 30.0, 2.0 + 22.0 + 17.0];
            for (found, expected) in numbers(&rows[1]).into_iter().zip(first) {
                assert_persons("first column step", found, expected, ROUNDING);
            }
        }
        assert!(numbers(&rows[rows.len() - 1])[2] <= 1e-12 + ROUNDING);
    }
}

/// Reads factors, seed and output; prints the worst relative difference of seed x factors.
const FACTORS_BY_NUMPY: &str = r#"
import sys
import numpy as np
import scipy.sparse as sp

f = np.load("factors.npz")
seed = sp.load_npz("seed.npz").toarray()
output = sp.load_npz("out.npz").toarray()
n = len(seed)
geoid = str(f["geoid"]).split("\n")
assert geoid == [line.split(",")[0] for line in open("units.csv", encoding="utf-8").read().split()[1:]]
for name in ("origin", "destination", "stayers"):
    assert f[name].shape == (n,) and f[name].dtype == np.float64, name
factor = np.outer(f["origin"], f["destination"])
blocks = 0
while f"block{blocks}_factors" in f:
    p, q = f[f"block{blocks}_origin_cell"], f[f"block{blocks}_destination_cell"]
    assert p.shape == q.shape == (n,)
    table = f[f"block{blocks}_factors"].reshape(p.max() + 1, q.max() + 1)
    factor *= table[np.ix_(p, q)]
    blocks += 1
assert blocks == int(sys.argv[1]), blocks
np.fill_diagonal(factor, f["stayers"])
expected = seed * factor
assert (output > 0).sum() == (seed > 0).sum() > n
where = expected > 0
worst = np.abs(output / np.where(where, expected, 1) - 1)[where].max()
assert worst < 1e-14, worst
"#;

#[test]
fn numpy_reads_factors_that_turn_the_seed_into_the_output() {
    let folder = another_country(
        "[[step]]\nmargin = \"block\"\nlevel = \"nation\"\ndestination_level = \"region\"\n\
         targets = \"block.csv\"\n[[repeat]]\n[[repeat.step]]\nmargin = \"destination\"\nlevel = \
         \"region\"\ntargets = \"in.csv\"\n[[repeat.step]]\nmargin = \"origin\"\nlevel = \
         \"geoid\"\ntargets = \"origins.csv\"\n",
    );
    folder.write("block.csv", "origin,destination,target\nPeninsula,Sur,44\nIslands,Islas,41\n");
    folder.write("in.csv", "geoid,target\nNorte,110\nSur,44\nIslas,36\n");
    folder.write("origins.csv", "geoid,target\n3-W,50\nA1,36\nZZ,24\nB-9,64\nÑ,16\n");
    folder.flowrake("convert seed.csv seed.npz --units units.csv").expect(0);
    for solver in SOLVERS {
        folder
            .harmonize(&format!("--out out.npz --factors factors.npz --solver {solver}"))
            .expect(0);
        let check = Command::new(python())
            .current_dir(folder.path(""))
            .args(["-c", FACTORS_BY_NUMPY, "1"])
            .output()
            .unwrap();
        let problem = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{solver}: {problem}");
    }
}

#[test]
fn the_manifest_names_every_input_with_its_hash() {
    let folder = Folder::sample("toy");
    folder.harmonize("--out out.csv --history history.csv --factors factors.npz").expect(0);
    let manifest: Value = serde_json::from_slice(&folder.read("out.csv.manifest.json")).unwrap();
    let mut inputs = BTreeSet::new();
    for input in manifest["inputs"].as_array().unwrap() {
        let name = input["path"].as_str().unwrap();
        let bytes = folder.read(name);
        assert_eq!(input["size_bytes"].as_u64().unwrap(), bytes.len() as u64, "{name}");
        assert_eq!(input["blake3"], blake3::hash(&bytes).to_hex().as_str(), "{name}");
        inputs.insert(name);
    }
    let expected =
        ["arrivals.csv", "departures.csv", "plan.toml", "seed.csv", "stayers.csv", "units.csv"];
    assert!(inputs.iter().eq(&expected), "{inputs:?}");
    let outputs: Vec<&str> = manifest["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["path"].as_str().unwrap())
        .collect();
    assert_eq!(outputs, ["out.csv", "history.csv", "factors.npz"]);
    assert_eq!(manifest["program"], "flowrake");
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert!(manifest["command"].as_array().unwrap().contains(&"--history".into()));
    assert_eq!(manifest["report"]["converged"], true);
}

#[test]
fn cells_without_a_target_are_left_alone_and_counted() {
    let folder = another_country(
        "[[step]]\nname = \"some\"\nmargin = \"origin\"\nlevel = \"geoid\"\ntargets = \
         \"some.csv\"\n",
    );
    folder.write("some.csv", "geoid,target\nB-9,115\n3-W,23\n");
    let report = folder.harmonize_json("--out out.csv", 0);
    assert_eq!(report["constraints"][0]["cells"], 2);
    assert_eq!(report["constraints"][0]["untargeted"], 3);
    let (before, after) = (folder.flows("seed.csv"), folder.flows("out.csv"));
    let mut expected = before;
    for ((origin, _), flow) in &mut expected {
        *flow *= match origin.as_str() {
            "B-9" => 2.0,
            "3-W" => 0.5,
            _ => 1.0,
        };
    }
    assert_same_flows(&after, &expected, ROUNDING);
    let summary = folder.harmonize("--out out.csv").stderr();
    assert!(summary.contains("3 cells without a target"), "{summary}");
}

#[test]
fn levels_of_another_country_are_columns_of_its_units_table() {
    let folder = another_country(
        "[[repeat]]\n[[repeat.step]]\nmargin = \"destination\"\nlevel = \"region\"\ntargets = \
         \"in.csv\"\n[[repeat.step]]\nmargin = \"origin\"\nlevel = \"nation\"\ntargets = \
         \"origins.csv\"\n",
    );
    folder.write("in.csv", "geoid,target\nSur,44\nNorte,110\nIslas,36\n");
    folder.write("origins.csv", "geoid,target\nPeninsula,150\nIslands,40\n");
    for solver in SOLVERS {
        folder.harmonize(&format!("--out out.csv --solver {solver}")).expect(0);
        let flows = folder.flows("out.csv");
        for (name, target) in [("Sur", 44.0), ("Norte", 110.0), ("Islas", 36.0)] {
            assert_persons(name, sum(&flows, |_, j| region(j) == name), target, 1e-9);
        }
        let islands = sum(&flows, |i, _| region(i) == "Islas");
        assert_persons("Islands", islands, 40.0, 1e-9);
    }
}

#[test]
fn blocks_may_join_two_levels() {
    let folder = another_country(
        "[[step]]\nmargin = \"block\"\nlevel = \"nation\"\ndestination_level = \"region\"\n\
         targets = \"block.csv\"\nentries = \"movers\"\n",
    );
    folder.write("block.csv", "origin,destination,target\nIslands,Sur,9\nPeninsula,Norte,5\n");
    let report = folder.harmonize_json("--out out.csv", 0);
    assert_eq!(report["constraints"][0]["cells"], 2);
    assert_eq!(report["constraints"][0]["untargeted"], 4);
    let mut expected = folder.flows("seed.csv");
    for ((i, j), flow) in &mut expected {
        *flow *= match (region(i) == "Islas", region(j)) {
            (true, "Sur") => 2.0,              // 2.5 + 2
            (false, "Norte") if i != j => 0.5, // 3 + 1 + 6
            _ => 1.0,
        };
    }
    assert_same_flows(&folder.flows("out.csv"), &expected, ROUNDING);
}

#[test]
fn every_unit_has_a_stayer_unless_the_floor_is_0() {
    let plan = "[[step]]\nmargin = \"origin\"\nlevel = \"region\"\nentries = \"movers\"\ntargets = \
                \"origins.csv\"\n";
    let folder = another_country(plan);
    folder.edit("seed.csv", "ZZ,ZZ,20\n", "");
    folder.edit("seed.csv", "Ñ,Ñ,10", "Ñ,Ñ,0.25");
    folder.write("origins.csv", "geoid,target\nIslas,10\n");
    let stayers = |name: &str| {
        let flows = folder.flows(name);
        ["ZZ", "Ñ", "A1"].map(|u| flows.get(&(u.into(), u.into())).copied().unwrap_or(0.0))
    };
    let report = folder.harmonize_json("--out floor.csv", 0);
    assert_eq!(stayers("floor.csv"), [1.0, 1.0, 30.0]);
    assert_eq!(report["stayers_raised"], 2);
    assert_eq!(report["stayers_added"], 1.75);
    folder.edit("plan.toml", "[seed]\n", "[seed]\nstayer_floor = 0\n");
    let report = folder.harmonize_json("--out none.csv", 0);
    assert_eq!(stayers("none.csv"), [0.0, 0.25, 30.0]);
    assert_eq!(report["stayers_raised"], 0);
}

#[test]
fn a_target_of_0_keeps_caps_or_empties_its_cell() {
    let folder = another_country(
        "[[step]]\nmargin = \"origin\"\nlevel = \"geoid\"\nzero_targets = \"keep\"\ntargets = \
         \"origins.csv\"\n",
    );
    folder.write("origins.csv", "geoid,target,moe\nA1,0,17\nZZ,0,30\nÑ,0,\nB-9,115,4\n");
    let origin = |name: &str| {
        let flows = folder.flows(name);
        ["A1", "ZZ", "Ñ", "B-9"].map(|unit| sum(&flows, |i, _| i == unit))
    };
    let start = [34.0, 22.5, 12.5, 57.5];
    assert_eq!(origin("seed.csv"), start);

    let report = folder.harmonize_json("--out keep.csv", 1);
    assert_eq!(report["stop"], "not_met");
    assert_eq!(origin("keep.csv"), [34.0, 22.5, 12.5, 115.0]);
    let named: Vec<&str> = report["infeasible"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| {
            let reason = cell["reason"].as_str().unwrap();
            assert!(reason.contains("target 0") && reason.contains("zero_targets"), "{reason}");
            cell["cell"].as_str().unwrap()
        })
        .collect();
    assert_eq!(named, ["A1", "ZZ", "Ñ"]);

    // 34 persons come down to 17, 22.5 are within 30, and Ñ has no margin of error.
    folder.edit("plan.toml", "\"keep\"", "\"cap\"");
    let report = folder.harmonize_json("--out cap.csv", 1);
    assert_eq!(origin("cap.csv"), [17.0, 22.5, 12.5, 115.0]);
    assert_eq!(report["infeasible"].as_array().unwrap().len(), 1, "{}", report["infeasible"]);
    assert_eq!(report["infeasible"][0]["cell"], "Ñ");

    folder.edit("plan.toml", "\"cap\"", "\"enforce\"");
    folder.harmonize("--out enforce.csv").expect(0);
    assert_eq!(origin("enforce.csv"), [0.0, 0.0, 0.0, 115.0]);
}

#[test]
fn a_run_that_does_not_converge_says_so_and_writes_its_matrix() {
    let folder = Folder::sample("toy");
    folder.edit("plan.toml", "max_iterations = 1000", "max_iterations = 3");
    let finished = folder.harmonize("--out out.csv --quiet");
    finished.expect(1);
    assert_eq!(finished.stderr(), "flowrake: not converged: iterations used up\n");
    assert_eq!(finished.stdout(), "");
    assert!(folder.harmonize("--out out.csv").stderr().contains("not converged"));
    let report = folder.harmonize_json("--out out.csv", 1);
    assert_eq!(report["converged"], false);
    assert_eq!(report["stop"], "max_iterations");
    assert_eq!(report["iterations"], 3);
    // Rows come last, so they hold; columns do not yet.
    let flows = folder.flows("out.csv");
    assert_persons("row A", sum(&flows, |i, _| i == "A"), 60.0, ROUNDING);
    let column = sum(&flows, |_, j| j == "A");
    assert!((column - 48.0).abs() > 1e-3, "{column}");
    let violation = number(&report, "max_relative_violation");
    assert!((1e-3..0.5).contains(&violation), "{violation}");
    let manifest: Value = serde_json::from_slice(&folder.read("out.csv.manifest.json")).unwrap();
    assert_eq!(manifest["report"]["converged"], false);
}

#[test]
fn an_empty_row_and_a_blocked_set_are_named() {
    // B's row is empty; A can only stay, and needs more than its column takes.
    let folder = Folder::sample("toy");
    folder.edit("seed.csv", "A,B,10\n", "");
    folder.edit("seed.csv", "B,A,10\nB,B,10\nB,C,5\n", "");
    folder.edit("plan.toml", "stayer_floor = 1.0", "stayer_floor = 0");
    folder.write("stayers.csv", "geoid,target\nall,24\n");
    folder.write("arrivals.csv", "geoid,target\nA,48\nB,52\nC,30\n");
    for solver in SOLVERS {
        let report = folder.harmonize_json(&format!("--out {solver}.csv --solver {solver}"), 1);
        assert_eq!(report["converged"], false);
        let infeasible = report["infeasible"].as_array().unwrap();
        let reason = |cell: &str, words: &str| {
            infeasible
                .iter()
                .any(|i| i["cell"] == cell && i["reason"].as_str().unwrap().contains(words))
        };
        assert!(reason("B", "the seed has no flow here"), "{solver}: {infeasible:?}");
        assert!(reason("A", "add flows that connect A"), "{solver}: {infeasible:?}");
        assert!(!folder.read(&format!("{solver}.csv")).is_empty());
    }
}

#[test]
fn results_have_the_same_bytes_at_any_number_of_threads() {
    let folder = Folder::sample("region");
    // Enough to see a difference; the bytes of a run that stops early must agree as well.
    folder.edit("plan.toml", "max_iterations = 3000", "max_iterations = 30");
    for solver in ["direct", "collapsed", "newton"] {
        let mut first = BTreeMap::new();
        for threads in [1, 2, 8] {
            let args = format!(
                "--out out.npz --history history.csv --factors factors.npz --solver {solver}"
            );
            let report = folder.harmonize(&format!("{args} --threads {threads} --json"));
            let report: Value = serde_json::from_str(&report.stdout()).unwrap();
            assert_eq!(report["threads"], threads);
            assert_eq!(report["solver"], solver);
            for name in ["out.npz", "history.csv", "factors.npz"] {
                let bytes = folder.read(name);
                assert!(bytes.len() > 1000, "{name}: {} bytes", bytes.len());
                let before = first.entry(name).or_insert_with(|| bytes.clone());
                let differs = before.iter().zip(&bytes).position(|(a, b)| a != b);
                assert!(
                    *before == bytes,
                    "{solver}: {name} differs at {threads} threads from byte {differs:?}"
                );
            }
        }
    }
}

#[test]
fn totals_may_differ_within_the_limit_of_the_plan() {
    let folder = Folder::sample("toy");
    let arrivals = |ratio: f64| {
        let cells = [("A", 48.0), ("B", 52.0), ("C", 30.0)];
        let lines = cells.map(|(code, persons)| format!("{code},{}\n", persons * ratio));
        folder.write("arrivals.csv", format!("geoid,target\n{}", lines.concat()));
    };
    let expected = folder.flows("expected.csv");
    for solver in SOLVERS {
        let args = format!("--out {solver}.csv --solver {solver}");
        for ratio in [1.0, 1.0 + 1e-9, 1.004] {
            arrivals(ratio);
            let report = folder.harmonize_json(&args, 0);
            assert_persons("total_ratio", number(&report, "total_ratio"), ratio, ROUNDING);
            assert_same_flows(&folder.flows(&format!("{solver}.csv")), &expected, 1e-10);
        }
        arrivals(1.3);
        let report = folder.harmonize_json(&args, 1);
        assert_eq!(report["stop"], "totals_differ");
        assert_eq!(report["converged"], false);
        assert_persons("total_ratio", number(&report, "total_ratio"), 1.3, ROUNDING);
        let infeasible = report["infeasible"].as_array().unwrap();
        assert_eq!(infeasible.len(), 1, "{infeasible:?}");
        let reason = infeasible[0]["reason"].as_str().unwrap();
        for words in ["169", "130", "30.000 %", "total_ratio_limit = 0.01"] {
            assert!(reason.contains(words), "no `{words}` in {reason}");
        }
        assert!(folder.harmonize(&args).stderr().contains("totals of the targets differ"));
    }
    folder.edit("plan.toml", "tolerance = 1e-12", "tolerance = 1e-12\ntotal_ratio_limit = 0.31");
    folder.harmonize("--out raised.csv").expect(0);
    assert_same_flows(&folder.flows("raised.csv"), &expected, 1e-10);
}

#[test]
fn a_plan_may_have_once_steps_only() {
    let folder = another_country(
        "[[step]]\nmargin = \"origin\"\nlevel = \"nation\"\ntargets = \"origins.csv\"\n[[step]]\n\
         margin = \"destination\"\nlevel = \"region\"\nentries = \"stayers\"\ntargets = \
         \"stayers.csv\"\n",
    );
    folder.write("origins.csv", "geoid,target\nPeninsula,275\nIslands,70\n"); // 137.5 and 35
    folder.write("stayers.csv", "geoid,target\nNorte,90\n"); // 2 x (40 + 50)
    let report = folder.harmonize_json("--out out.csv --history history.csv", 1);
    // The second step disturbs the first: not all margins hold, and the report says which.
    assert_eq!(report["stop"], "not_met");
    assert_eq!(report["iterations"], 0);
    assert_eq!(report["constraints"][0]["worst_cell"], "Peninsula");
    assert_persons("Peninsula", number(&report["constraints"][0], "max_absolute"), 90.0, ROUNDING);
    assert_eq!(number(&report["constraints"][1], "max_relative"), 0.0);
    let mut expected = folder.flows("seed.csv");
    for ((i, j), flow) in &mut expected {
        *flow *= if i == j && region(i) == "Norte" { 1.0 } else { 2.0 };
    }
    assert_same_flows(&folder.flows("out.csv"), &expected, ROUNDING);
    let history = folder.text("history.csv");
    let lines: Vec<&str> = history.lines().skip(1).collect();
    assert!(lines.len() == 2 && lines.iter().all(|l| l.starts_with("once,1,")), "{history}");

    // Alone, the second step holds.
    let plan = folder.text("plan.toml");
    let start = plan.find("[[step]]").unwrap();
    let second = plan.rfind("[[step]]").unwrap();
    folder.write("plan.toml", format!("{}{}", &plan[..start], &plan[second..]));
    assert_eq!(folder.harmonize_json("--out out.csv", 0)["stop"], "converged");
}

#[test]
fn repeat_groups_follow_each_other() {
    let folder = Folder::sample("toy");
    // Movers are made to fit first; then everyone. The result of the second group is the same as
    // of iterating it from the result of the first.
    let plan = folder.text("plan.toml");
    let at = plan.find("[[repeat]]").unwrap();
    let first = "[[repeat]]\ntolerance = 1e-12\n[[repeat.step]]\nname = \"movers\"\nmargin = \
                 \"origin\"\nlevel = \"country\"\nentries = \"movers\"\ntargets = \"movers.csv\"\n";
    folder.write("movers.csv", "geoid,target\nall,75\n");
    folder.write("both.toml", format!("{}{first}\n{}", &plan[..at], &plan[at..]));
    folder.write("first.toml", format!("{}{first}", &plan[..at]));
    folder.flowrake("harmonize first.toml --out first.csv").expect(0);
    let (seed, middle) = (folder.flows("seed.csv"), folder.flows("first.csv"));
    for ((i, j), flow) in &middle {
        let factor = if i == j { 2.0 } else { 3.0 };
        assert_persons("first group", *flow, factor * seed[&(i.clone(), j.clone())], ROUNDING);
    }
    folder.write(
        "second.toml",
        format!("[seed]\nmatrix = \"first.csv\"\nunits = \"units.csv\"\n{}", &plan[at..]),
    );
    folder.flowrake("harmonize second.toml --out second.csv").expect(0);
    for solver in ["direct", "collapsed"] {
        let args = "--out both.csv --history history.csv --json";
        let finished = folder.flowrake(&format!("harmonize both.toml {args} --solver {solver}"));
        // The movers no longer hold once everyone has been fitted.
        finished.expect(1);
        assert_same_flows(&folder.flows("both.csv"), &folder.flows("second.csv"), 1e-10);
        let report: Value = serde_json::from_str(&finished.stdout()).unwrap();
        assert_eq!(report["stop"], "not_met", "{report}");
        let judged: Vec<&Value> = report["constraints"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| number(c, "max_relative") > 1e-9)
            .map(|c| &c["name"])
            .collect();
        assert_eq!(judged, ["stayers of the country", "movers"]);
        let history = folder.text("history.csv");
        let groups: Vec<&str> =
            history.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        let mut order = groups.clone();
        order.dedup();
        assert_eq!(order, ["once", "1", "2"]);
        let first = groups.iter().filter(|group| **group == "1").count() as u64;
        let iterations = report["iterations"].as_u64().unwrap();
        assert_eq!(groups.len() as u64, 1 + first + 2 * (iterations - first));
    }
}

#[test]
fn the_demo_writes_everything_and_compares_with_the_truth() {
    let folder = Folder::new(&[]);
    let finished = folder.flowrake("demo --out new/demo");
    finished.expect(0);
    let text = finished.stdout();
    for expected in
        ["county       population of t", "block_group  flows", "RMSE", "convergence.svg"]
    {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
    // Every quantity is closer to the truth than the raw matrix.
    let reductions: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" %"))
        .map(|line| line.split_whitespace().next_back().unwrap().parse().unwrap())
        .collect();
    assert!(reductions.len() == 6 && reductions.iter().all(|r| *r > 0.0), "{text}");

    let demo = folder.path("new/demo");
    let read = |name: &str| fs::read(demo.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let manifest: Value = serde_json::from_slice(&read("harmonized.npz.manifest.json")).unwrap();
    assert_eq!(manifest["report"]["converged"], true);
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 9);
    check_svg(std::str::from_utf8(&read("convergence.svg")).unwrap());
    check_png(&read("convergence.png"));

    // The command that the help names gives the same matrix.
    folder.flowrake("harmonize new/demo/input/plan.toml --out again.npz").expect(0);
    assert!(folder.read("again.npz") == read("harmonized.npz"));
}

/// `flowrake demo | head -0`: nobody reads on, which is no error.
#[cfg(unix)]
#[test]
fn a_reader_may_stop_reading() {
    let folder = Folder::new(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowrake"))
        .current_dir(folder.path(""))
        .args(["demo", "--out", "demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.as_str()), (Some(0), ""));
}

/// A report that could not be printed is an error, not a panic.
#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_printed_is_an_error() {
    let folder = Folder::sample("toy");
    let output = Command::new(env!("CARGO_BIN_EXE_flowrake"))
        .current_dir(folder.path(""))
        .args(["harmonize", "plan.toml", "--json"])
        .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("flowrake: error: standard output: No space left"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// Every element of an SVG is closed in order, and the text between them is escaped.
fn check_svg(svg: &str) {
    assert!(svg.contains("http://www.w3.org/2000/svg"));
    let mut open = Vec::new();
    let mut elements = 0;
    let mut rest = svg.trim();
    while let Some(start) = rest.find('<') {
        assert!(start == 0 || !open.is_empty() || rest[..start].trim().is_empty());
        assert!(!rest[..start].contains('>') || open.last() == Some(&"style"));
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.trim()));
        } else if !tag.starts_with(['?', '!']) {
            elements += 1;
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap());
            }
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} are still open");
    assert!(elements > 20, "{elements} elements");
}

/// The chunks of a PNG follow each other to its end, and its size is that of a plot.
fn check_png(png: &[u8]) {
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    let word = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    let (mut at, mut kinds) = (8, Vec::new());
    while at < png.len() {
        let length = word(at) as usize;
        kinds.push(&png[at + 4..at + 8]);
        at += 12 + length;
    }
    assert_eq!(at, png.len(), "a chunk is cut off");
    assert_eq!(kinds.first(), Some(&&b"IHDR"[..]));
    assert_eq!(kinds.last(), Some(&&b"IEND"[..]));
    assert!(kinds.contains(&&b"IDAT"[..]));
    let (width, height) = (word(16), word(20));
    assert!((300..5000).contains(&width) && (300..5000).contains(&height), "{width} x {height}");
}
