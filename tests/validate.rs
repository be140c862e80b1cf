//! `flowrake validate` through the binary: its numbers beside numpy's, and what it refuses.

#[path = "common/cli.rs"]
mod cli;

use std::path::Path;
use std::process::Command;

use cli::{Folder, python};
use serde_json::Value;

const VALIDATE: &str = "validate harmonized.npz --raw seed.npz --truth truth.npz --units units.csv";

#[test]
fn every_number_is_that_of_numpy() {
    let folder = Folder::sample("region");
    folder.harmonize("--out harmonized.npz --quiet").expect(0);
    let json = folder.flowrake(&format!("{VALIDATE} --json --out validate.csv"));
    json.expect(0);
    folder.write("validate.json", json.stdout());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate.py");
    let output = Command::new(python()).arg(script).arg(folder.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Harmonizing this region brings everything closer to the truth.
    let report: Value = serde_json::from_str(&json.stdout()).unwrap();
    for comparison in report["comparisons"].as_array().unwrap() {
        let quantity = &comparison["quantity"];
        assert!(comparison["rmse_reduction_percent"].as_f64().unwrap() > 0.0, "{comparison}");
        assert!(
            comparison["pearson_harmonized"].as_f64().unwrap() > 0.9 || quantity == "flows",
            "{comparison}"
        );
    }
    let manifest: Value = serde_json::from_str(&folder.text("validate.csv.manifest.json")).unwrap();
    assert_eq!(manifest["report"], report);
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 4);

    let table = folder.flowrake(VALIDATE);
    table.expect(0);
    let text = table.stdout();
    assert!(text.starts_with("persons: raw "), "{text}");
    assert_eq!(text.lines().count(), 2 + 4 * 6, "{text}");
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let folder = Folder::sample("region");
    let run = |threads| {
        let args = VALIDATE.replace("harmonized.npz", "seed.npz") + " --json";
        let finished = folder.flowrake_with(&[("RAYON_NUM_THREADS", threads)], &args);
        finished.expect(0);
        finished.stdout()
    };
    let one = run("1");
    for threads in ["2", "8"] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

/// Three areas of one county in a state of their own, and what a matrix of them is.
fn small() -> Folder {
    let flows = "origin,destination,flow\n01001,01001,4\n01001,01003,1\n01003,01003,5\n";
    Folder::new(&[
        ("units.csv", "geoid,land\n01001,A\n01003,A\n01005,B\n"),
        ("harmonized.csv", flows),
        ("raw.csv", flows),
        ("truth.csv", flows),
        ("nobody.csv", "origin,destination,flow\n01001,01001,0\n"),
        ("others.csv", "origin,destination,flow\n01001,02001,1\n"),
        ("more.csv", "geoid\n01001\n01003\n01005\n01007\n"),
    ])
}

#[test]
fn undefined_numbers_are_null() {
    let folder = small();
    let args = "validate harmonized.csv --raw raw.csv --truth truth.csv --units units.csv";
    let finished = folder.flowrake(&format!("{args} --json --out table.csv"));
    finished.expect(0);
    let report: Value = serde_json::from_str(&finished.stdout()).unwrap();
    let rows = report["comparisons"].as_array().unwrap();
    let levels: Vec<&Value> = rows.iter().map(|row| &row["level"]).collect();
    assert_eq!(levels[..6], ["state"; 6]);
    assert_eq!(levels[6..], ["county"; 6]);
    // One state: r of one number, flows between no states.
    assert_eq!(rows[0]["pearson_raw"], Value::Null);
    assert_eq!(rows[0]["rmse_raw"], 0.0);
    assert_eq!(rows[0]["rmse_reduction_percent"], Value::Null);
    assert_eq!((&rows[2]["values"], &rows[2]["rmse_raw"]), (&Value::from(0), &Value::Null));
    assert_eq!(rows[8]["values"], 6);
    let line = folder.text("table.csv").lines().nth(3).unwrap().to_owned();
    assert_eq!(line, "state,flows,0,,,,,");
    let text = folder.flowrake(args);
    text.expect(0);
    assert!(text.stdout().contains("-  undefined: "), "{}", text.stdout());
    assert!(!text.stdout().contains("NaN"), "{}", text.stdout());

    // Any column of the units is a level, and the only one if asked for.
    let finished = folder.flowrake(&format!("{args} --level land,geoid --json"));
    finished.expect(0);
    let report: Value = serde_json::from_str(&finished.stdout()).unwrap();
    let rows = report["comparisons"].as_array().unwrap();
    let sizes: Vec<_> = rows.iter().map(|row| row["values"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [2, 2, 2, 2, 2, 2, 3, 3, 6, 3, 3, 3]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let folder = small();
    folder.flowrake("convert raw.csv raw.npz --units units.csv").expect(0);
    let before = folder.files();
    for (args, expected) in [
        (
            "harmonized.csv --raw nobody.csv --truth truth.csv --units units.csv",
            "raw matrix: expected persons to compare, found none",
        ),
        (
            "harmonized.csv --raw raw.csv --truth nobody.csv --units units.csv",
            "truth: expected persons to compare, found none",
        ),
        (
            "raw.npz --raw raw.csv --truth truth.csv --units more.csv",
            "raw.npz: expected 4 x 4 as in the units table, found 3 x 3",
        ),
        (
            "harmonized.csv --raw raw.csv --truth others.csv --units units.csv",
            "others.csv:2: column destination: expected a unit of the units table, found `02001`",
        ),
        (
            "harmonized.csv --raw raw.csv --truth truth.csv --units units.csv --level tract",
            "level `tract` is the first 11 digits of a GEOID, found unit `01001`; use level \
             `geoid` or a column of the units table",
        ),
        (
            "harmonized.csv --raw raw.csv --truth truth.csv --units units.csv --level sea",
            "level `sea`: expected one of state, county, tract, block_group, geoid, land (the last \
             are columns of the units table), found no such column",
        ),
        (
            "harmonized.csv --raw raw.csv --truth truth.csv --units units.csv --out raw.csv",
            "raw.csv: is an input of this run, name another output",
        ),
        (
            "harmonized.csv --raw raw.csv --truth none.csv --units units.csv",
            "none.csv: No such file or directory (os error 2)",
        ),
    ] {
        let finished = folder.flowrake(&format!("validate {args} --json"));
        finished.expect(2);
        assert_eq!(finished.stdout(), "");
        assert_eq!(finished.stderr(), format!("flowrake: error: {expected}\n"));
    }
    assert!(folder.files() == before, "a refused run wrote a file");
}
