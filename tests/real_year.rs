//! A real year through the binary: official tables in, targets, plan and harmonized matrix out.
//!
//! The files are read from `$FLOWRAKE_DATA`; without it these tests say that they were skipped.

#[path = "common/cli.rs"]
mod cli;
#[path = "common/closeness.rs"]
mod closeness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cli::{Folder, official};
use closeness::before_and_after;
use flowrake::census::pep::Pep;
use flowrake::census::state_flows::StateFlows;
use flowrake::geography::Geography;
use flowrake::matrix::{FlowRows as _, file};
use flowrake::table::Table;
use flowrake::texts::Texts;
use flowrake::with_matrix;
use serde_json::Value;

/// Official files, as this folder's commands name them.
const FILES: [(&str, &str); 9] = [
    ("co-est2019-alldata.csv", "census/co-est2019-alldata.csv"),
    ("nst-est2019-alldata.csv", "census/nst-est2019-alldata.csv"),
    ("state_to_state_migrations_table_2011.xls", "census/state_to_state_migrations_table_2011.xls"),
    ("state_to_state_migrations_table_2012.xls", "census/state_to_state_migrations_table_2012.xls"),
    ("CenPop2010_Mean_BG.txt", "census/CenPop2010_Mean_BG.txt"),
    ("acs5_2012-2016_B01003.csv", "census/acs5_2012-2016_bg_total_population.csv"),
    ("countyinflow1011.csv", "irs/countyinflow1011.csv.gz"),
    ("countyoutflow1011.csv", "irs/countyoutflow1011.csv.gz"),
    ("gini.csv", "attributes/ACS_15_5YR_B19083_with_ann.csv"),
];

const TABLES: &str = "--counties co-est2019-alldata.csv --state-flows \
                      state_to_state_migrations_table_2011.xls";

/// A folder with the official files, `None` where they are not at hand.
fn folder(what: &str) -> Option<Folder> {
    let data = official(what)?;
    let folder = Folder::new(&[]);
    for (name, source) in FILES {
        std::fs::copy(data.join(source), folder.path(name)).unwrap();
    }
    Some(folder)
}

/// A file of targets: cell by its codes, with the margin of error.
fn targets(folder: &Folder, name: &str) -> BTreeMap<String, (f64, f64)> {
    let table = Table::read(&folder.path(name)).unwrap();
    let keys: Vec<&str> = table.names().filter(|name| !["target", "moe"].contains(name)).collect();
    let codes: Vec<Texts> = keys.iter().map(|key| table.codes(key).unwrap()).collect();
    let values = table.numbers("target").unwrap();
    let moes =
        if table.has("moe") { table.numbers("moe").unwrap() } else { vec![0.0; table.len()] };
    let key = |row: usize| codes.iter().map(|column| &column[row]).collect::<Vec<_>>().join(" ");
    (0..table.len()).map(|row| (key(row), (values[row], moes[row]))).collect()
}

#[track_caller]
fn json(finished: &cli::Finished) -> Value {
    finished.expect(0);
    serde_json::from_str(&finished.stdout()).unwrap()
}

#[test]
fn targets_of_counties_and_states() {
    let Some(folder) = folder("targets of 2011") else { return };
    let made = folder.flowrake(&format!(
        "targets --year 2011 {TABLES} --states nst-est2019-alldata.csv --out t --json"
    ));
    let report = json(&made);
    assert_eq!((&report["units"], &report["counties"]), (&3142.into(), &3142.into()));
    assert_eq!(report["steps"]["once"], serde_json::json!(["state-flows"]));
    assert_eq!(report["steps"]["repeat"], serde_json::json!(["county-in", "county-out"]));

    let pep = Pep::read(&folder.path("co-est2019-alldata.csv")).unwrap();
    let acs = StateFlows::read(&folder.path("state_to_state_migrations_table_2011.xls")).unwrap();
    let (before, after) =
        (targets(&folder, "t/county_out.csv"), targets(&folder, "t/county_in.csv"));
    assert_eq!((before.len(), after.len()), (3142, 3142));
    let mut in_states: BTreeMap<&str, f64> = BTreeMap::new();
    for (county, &(persons, _)) in &before {
        assert_eq!(pep.population(county, 2010), Some(persons as i64), "{county}");
        let [births, deaths, international] =
            [pep.births(county, 2011), pep.deaths(county, 2011), pep.international(county, 2011)]
                .map(Option::unwrap);
        let lived_here = pep.population(county, 2011).unwrap() - births + deaths - international;
        assert_eq!(lived_here as f64, after[county].0, "{county}");
        *in_states.entry(&county[..2]).or_default() += after[county].0;
    }
    // The diagonal by the formulas of the published method, state by state.
    let flows = targets(&folder, "t/state_flows.csv");
    assert_eq!(flows.len(), 51 * 51);
    for (code, state) in acs.states() {
        let components = |of: &dyn Fn(&str) -> i64| -> f64 {
            let counties = before.keys().filter(|county| county.starts_with(code));
            counties.map(|county| of(county)).sum::<i64>() as f64
        };
        let deaths = components(&|county| pep.deaths(county, 2011).unwrap());
        let international = components(&|county| pep.international(county, 2011).unwrap());
        let left = deaths + state.abroad.value - international;
        let home = state.same_house.value + state.same_state.value + left;
        let (found, moe) = flows[&format!("{code} {code}")];
        assert!((found - home).abs() < 1e-6, "{code}: {found} {home}");
        let moes = [state.abroad, state.same_house, state.same_state].map(|e| e.moe.unwrap());
        let squares: f64 = moes.iter().map(|moe| moe * moe).sum();
        assert!((moe - squares.sqrt()).abs() < 1e-9 * moe, "{code}");
    }
    let texas = acs.flow("48", "06").unwrap();
    assert_eq!(flows["48 06"], (texas.value, texas.moe.unwrap()));

    let rows = folder.text("t/mismatches.csv");
    for area in ["US", "01", "56"] {
        let own = rows.lines().filter(|line| line.starts_with(&format!("{area},"))).count();
        assert!(own >= 11, "{area}: {own}");
    }
    let line = rows.lines().find(|line| line.starts_with("US,population 1 year and over")).unwrap();
    assert!(line.contains(",307900319,PEP counties,307583389,316930,"), "{line}");
    assert_eq!(report["total_ratio"].as_f64(), Some(1.0));
    let manifest: Value =
        serde_json::from_slice(&folder.read("t/plan.toml.manifest.json")).unwrap();
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 3);
    assert_eq!(manifest["report"], report);
}

#[test]
fn targets_of_block_groups() {
    let Some(folder) = folder("targets of 2011 by block group") else { return };
    let report = json(&folder.flowrake(&format!(
        "targets --year 2011 {TABLES} --census CenPop2010_Mean_BG.txt --acs5 \
         2016=acs5_2012-2016_B01003.csv --out t --json"
    )));
    assert_eq!((&report["units"], &report["level"]), (&217_740.into(), &"block_group".into()));
    assert_eq!(
        report["steps"]["once"],
        serde_json::json!(["populations", "state-movers", "state-non-movers", "state-flows"])
    );
    // 0 is the one unit that the later table lacks, where nobody lives.
    let notes = report["notes"].as_array().unwrap();
    assert!(
        notes[0].as_str().unwrap().starts_with("217739 areas: yearly populations"),
        "{notes:?}"
    );
    assert!(notes[1].as_str().unwrap().starts_with("1 areas: yearly populations"), "{notes:?}");
    let populations = targets(&folder, "t/populations.csv");
    // The count of 2010 is met where it was given: two tables of eleven unknowns do not conflict,
    // but for the count of an area being more than five years' worth of the average.
    let total: f64 = populations.values().map(|(persons, _)| persons).sum();
    assert!((total / 308_745_538.0 - 1.0).abs() < 1e-3, "{total}");
    let units = Table::read(&folder.path("t/units.csv")).unwrap();
    let merged = units.codes("merged_county").unwrap();
    let counties: BTreeSet<&str> = merged.iter().collect();
    assert_eq!((units.len(), counties.len()), (217_740, 3142));
    assert!(!counties.contains("51515") && counties.contains("02158"));
    // Of those who live in a state, movers and stayers add up to its arrivals.
    let [movers, stayers, arrivals] = ["state_movers", "state_non_movers", "county_in"]
        .map(|name| targets(&folder, &format!("t/{name}.csv")));
    for (state, (moved, _)) in &movers {
        let counties = arrivals.iter().filter(|(county, _)| county.starts_with(state.as_str()));
        let expected: f64 = counties.map(|(_, (persons, _))| persons).sum();
        let found = moved + stayers[state].0;
        assert!((found - expected).abs() < 1e-6, "{state}: {found} {expected}");
    }
}

#[test]
fn steps_are_dropped_reordered_and_moved() {
    let Some(folder) = folder("plans of 2011") else { return };
    let plan = |options: &str| {
        folder
            .flowrake(&format!("targets --year 2011 {TABLES} {options} --out t --quiet"))
            .expect(0);
        let plan: toml::Table = folder.text("t/plan.toml").parse().unwrap();
        let files = |steps: Option<&toml::Value>| -> Vec<String> {
            let steps = steps.and_then(toml::Value::as_array).into_iter().flatten();
            steps.map(|step| step["targets"].as_str().unwrap().to_owned()).collect()
        };
        let repeat = plan.get("repeat").map(|groups| files(groups[0].get("step")));
        (files(plan.get("step")), repeat.unwrap_or_default(), plan)
    };
    let (once, repeat, toml) = plan("--seed /data/e.npz");
    assert_eq!(
        (once.join(" "), repeat.join(" ")),
        ("state_flows.csv".into(), "county_in.csv county_out.csv".into())
    );
    assert_eq!(toml["seed"]["matrix"].as_str(), Some("/data/e.npz"));
    assert_eq!(toml["seed"]["year"].as_integer(), Some(2011));
    let (once, repeat, _) = plan("--drop state-flows");
    assert_eq!((once.len(), repeat.len()), (0, 2));
    let (once, repeat, _) = plan("--once state-movers,county-out --repeat state-flows,county-in");
    assert_eq!(once, ["state_movers.csv", "county_out.csv"]);
    assert_eq!(repeat, ["state_flows.csv", "county_in.csv"]);
    let (once, repeat, _) = plan("--once county-in");
    assert_eq!((once.len(), repeat.len()), (1, 1));

    for (options, problem) in [
        ("--once populations", "step populations: needs a census of 2010 or acs5"),
        ("--drop populations", "drop populations: the plan has no such step"),
        ("--once county-in --repeat county-in", "step county-in: expected each step once"),
        ("--drop state-flows,county-in,county-out", "expected at least one step, found none"),
        ("--once movers", "expected one of populations, state-movers, "),
        ("--acs5 2016", "expected a year and a file, as 2016=table.csv, found `2016`"),
    ] {
        let refused = folder.flowrake(&format!("targets --year 2011 {TABLES} {options} --out no"));
        refused.expect(2);
        assert!(refused.stderr().contains(problem), "{}", refused.stderr());
    }
    assert!(!folder.path("no").exists());
}

#[test]
fn files_of_another_year_vintage_or_table_are_refused() {
    let Some(folder) = folder("files that do not fit together") else { return };
    // Connecticut by its planning regions of 2022.
    let units = "geoid\n09110\n09120\n01001\n";
    folder.write("regions.csv", units);
    for (command, problem) in [
        (
            "--year 2010 --counties co-est2019-alldata.csv --state-flows \
             state_to_state_migrations_table_2011.xls",
            "co-est2019-alldata.csv:1: expected components of the whole year 2010, found those of \
             April to June: the estimates start in 2010, so the first year is 2011",
        ),
        (
            "--year 2021 --counties co-est2019-alldata.csv --state-flows \
             state_to_state_migrations_table_2011.xls",
            "expected a column POPESTIMATE2020, found the years 2010, 2011,",
        ),
        (
            "--year 2011 --counties co-est2019-alldata.csv --state-flows \
             state_to_state_migrations_table_2012.xls",
            "sheet Table: cell A2: expected the table of 2011, found that of 2012",
        ),
        (
            "--year 2011 --counties nst-est2019-alldata.csv --state-flows \
             state_to_state_migrations_table_2011.xls",
            "nst-est2019-alldata.csv: expected rows of counties in the 51 states, found none",
        ),
        (
            "--year 2011 --counties gini.csv --state-flows state_to_state_migrations_table_2011.xls",
            "gini.csv",
        ),
        (
            "--year 2011 --counties co-est2019-alldata.csv --state-flows \
             state_to_state_migrations_table_2011.xls --units regions.csv",
            "that the units have not, and lacks 09110, 09120; the tables are of different vintages",
        ),
        (
            "--year 2011 --counties co-est2019-alldata.csv --state-flows \
             state_to_state_migrations_table_2011.xls --census CenPop2010_Mean_BG.txt --acs5 \
             2016=gini.csv",
            "gini.csv:1: expected a table of total population",
        ),
    ] {
        let refused = folder.flowrake(&format!("targets {command} --out no"));
        refused.expect(2);
        assert!(refused.stderr().contains(problem), "{}\n{}", refused.stderr(), refused.stdout());
    }
    assert!(!folder.path("no").exists());
    // A folder whose units are read is not written over.
    folder.flowrake(&format!("targets --year 2011 {TABLES} --out t --quiet")).expect(0);
    let refused =
        folder.flowrake(&format!("targets --year 2011 {TABLES} --units t/units.csv --out t"));
    refused.expect(2);
    assert!(refused.stderr().contains("is an input of this run"), "{}", refused.stderr());
    let again =
        folder.flowrake(&format!("targets --year 2011 {TABLES} --units t/units.csv --out u"));
    again.expect(0);
    for name in ["units.csv", "county_in.csv", "plan.toml"] {
        assert_eq!(folder.read(&format!("t/{name}")), folder.read(&format!("u/{name}")), "{name}");
    }
    assert!(Path::new(&folder.path("u/mismatches.csv")).exists());
}

/// Runs the first commands of a section of the README as a shell does; their exit
/// code and what it said.
fn run_readme(folder: &Folder, section: &str) -> (Option<i32>, String) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let (_, section) = text.split_once(section).expect("the README has the section");
    let (_, commands) = section.split_once("```sh\n").expect("the section has commands");
    let (commands, _) = commands.split_once("```").expect("they end");
    let binary = Path::new(env!("CARGO_BIN_EXE_flowrake")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let shell = std::process::Command::new("bash")
        .args(["-e", "-u", "-c", commands])
        .current_dir(folder.path(""))
        .env("PATH", path)
        .output()
        .unwrap();
    (shell.status.code(), String::from_utf8(shell.stderr).unwrap())
}

/// What data-samples/expected/year_2011.py computed from the same files.
#[derive(serde::Deserialize)]
struct Expected {
    seed_total: f64,
    stayers: BTreeMap<String, f64>,
    /// By origin and destination, in the order of the states' codes.
    state_flows: Vec<Vec<f64>>,
    pairs: Vec<(String, String, f64)>,
}

/// Both programs stop when margins are met to 1e-9 and 1e-11; a slow IPF is further from its limit.
const AGREEMENT: f64 = 5e-7;

#[track_caller]
fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let off = (found / expected - 1.0).abs();
    assert!(off <= tolerance, "{what}: {found}, expected {expected}, {off:.1e} off");
}

#[test]
fn the_example_of_the_readme_and_a_second_program() {
    let Some(folder) = folder("the year 2011 between counties") else { return };
    let (code, said) = run_readme(&folder, "## A real year\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(": converged\n") && said.contains("changed most\n"), "{said}");

    let expected =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/expected/year_2011.json");
    let expected: Expected =
        serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
    let units = Geography::read(&folder.path("year-2011/units.csv")).unwrap();
    let matrix = |name: &str| -> Vec<BTreeMap<u32, f64>> {
        let (matrix, _) = file::read(&folder.path(name), Some(&units)).unwrap();
        with_matrix!(&matrix, m => (0..units.len()).map(|i| {
            let (mut columns, mut persons) = (Vec::new(), Vec::new());
            m.row(i, &mut columns, &mut persons);
            columns.into_iter().zip(persons).collect()
        }).collect())
    };
    let total: f64 = matrix("year-2011/seed.npz").iter().flat_map(BTreeMap::values).sum();
    close("the seed", total, expected.seed_total, 1e-9);
    let flows = matrix("flows-2011.npz");
    let at =
        |i: &str, j: &str| flows[units.index_of(i).unwrap() as usize][&units.index_of(j).unwrap()];
    for (county, &persons) in &expected.stayers {
        close(county, at(county, county), persons, AGREEMENT);
    }
    for (i, j, persons) in &expected.pairs {
        close(&format!("{i} to {j}"), at(i, j), *persons, AGREEMENT);
    }
    let mut states = BTreeMap::<(&str, &str), f64>::new();
    let (mut before, mut after) = (BTreeMap::<&str, f64>::new(), BTreeMap::<&str, f64>::new());
    for (i, row) in units.geoids().iter().zip(&flows) {
        for (&j, persons) in row {
            let (i, j) = (i.as_str(), units.geoids()[j as usize].as_str());
            *states.entry((&i[..2], &j[..2])).or_default() += persons;
            *before.entry(i).or_default() += persons;
            *after.entry(j).or_default() += persons;
        }
    }
    let codes: BTreeSet<&str> = states.keys().map(|pair| pair.0).collect();
    for (i, row) in codes.iter().zip(&expected.state_flows) {
        for (j, &persons) in codes.iter().zip(row) {
            close(&format!("{i} to {j}"), states[&(*i, *j)], persons, AGREEMENT);
        }
    }
    // Every county has the published population before, and those of them that are left after.
    for (name, sums) in [("county_out", &before), ("county_in", &after)] {
        let targets = targets(&folder, &format!("year-2011/{name}.csv"));
        assert_eq!(targets.len(), sums.len());
        for (county, (persons, _)) in &targets {
            close(county, sums[county.as_str()], *persons, 1.1e-9);
        }
    }

    // The collapsed solver finds the same, and says so to programs.
    let report =
        json(&folder.flowrake(
            "harmonize year-2011/plan.toml --solver collapsed --out collapsed.npz --json",
        ));
    assert_eq!((&report["converged"], &report["solver"]), (&true.into(), &"collapsed".into()));
    assert!(report["max_relative_violation"].as_f64().unwrap() <= 1e-9, "{report}");
    assert_eq!(report["total_ratio"].as_f64(), Some(1.0));
    for (i, (row, collapsed)) in flows.iter().zip(matrix("collapsed.npz")).enumerate() {
        assert!(row.keys().eq(collapsed.keys()), "row {i}");
        for (j, &persons) in row {
            close(&format!("{i} to {j}"), collapsed[j], persons, 1e-11);
        }
    }
}

#[test]
fn the_example_of_the_readme_at_block_groups() {
    let Some(folder) = folder("the nation of 2011 between block groups") else { return };
    let (code, said) = run_readme(&folder, "## A nation with known truth\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("217740 units, 59565931 flows;") && said.contains(": converged\n"),
        "{said}"
    );
    let [before, after] = before_and_after(
        &folder,
        "nation/truth.npz",
        "nation/seed.npz",
        "flows-block-groups-2011.npz",
    );
    let found = before.into_iter().chain(after);
    for (found, stated) in found.zip([163.85, 374.39, 50.02, 25.57, 6.527, 3.514]) {
        close("root mean squared error", found, stated, 1e-3);
    }

    // With the tables of the real year, every county is met too, the smallest included.
    folder
        .flowrake(&format!(
            "targets --year 2011 {TABLES} --census CenPop2010_Mean_BG.txt --acs5 \
             2016=acs5_2012-2016_B01003.csv --seed ../nation/seed.npz --out real --quiet"
        ))
        .expect(0);
    let report = json(&folder.flowrake(
        "harmonize real/plan.toml --out real.npz --cells cells.csv --backend cpu --json",
    ));
    assert!(report["max_relative_violation"].as_f64().unwrap() <= 1e-9, "{report}");
    let cells = Table::read(&folder.path("cells.csv")).unwrap();
    let (constraints, codes) = (cells.texts("constraint").unwrap(), cells.texts("cell").unwrap());
    let (targets, off) =
        (cells.numbers("target").unwrap(), cells.numbers("violation_after").unwrap());
    let county = |row: &usize| constraints[*row].starts_with("county populations");
    let counties: Vec<usize> = (0..cells.len()).filter(county).collect();
    assert_eq!(counties.len(), 2 * 3142);
    for row in counties {
        let relative = (off[row] / targets[row]).abs();
        assert!(relative < 1e-9, "{}: {relative:e}", &codes[row]);
    }
    let steps: BTreeSet<&str> = constraints.iter().collect();
    assert_eq!(steps.len(), 6);
}
