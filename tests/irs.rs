//! Official tables of migration between counties, and the seed made from them.
//!
//! The files are read from `$FLOWRAKE_DATA`; without it these tests say that they were skipped.

#[path = "common/cli.rs"]
mod cli;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use cli::{Folder, official, sum};
use flowrake::census::county_flows::{CountyFlows, CountyNames};
use flowrake::census::irs::{self, Check, Direction, MigrationFile};
use flowrake::geography::{Geography, Geoid};
use flowrake::matrix::{FlowRows as _, file};
use flowrake::with_matrix;

fn both(data: &Path) -> [MigrationFile; 2] {
    ["irs/countyinflow1011.csv.gz", "irs/countyoutflow1011.csv.gz"]
        .map(|name| MigrationFile::read(&data.join(name)).unwrap())
}

fn numbers(check: &Check) -> (usize, usize, usize, i64) {
    (check.compared, check.equal, check.unknown, check.difference)
}

#[test]
fn inflow_and_outflow_agree() {
    let Some(data) = official("irs/") else { return };
    let [inflow, outflow] = both(&data);
    assert_eq!((inflow.direction, outflow.direction), (Direction::Inflow, Direction::Outflow));
    let found = irs::compare(&inflow, &outflow);
    // 84,203 pairs of equal codes are on both sides: 81,058 of two counties, 3,145 non-migrants.
    assert_eq!((found.both, found.equal, found.difference), (81_058, 81_058, 0));
    assert_eq!((found.non_migrants, found.equal_non_migrants), (3145, 3145));
    assert_eq!(found.both + found.non_migrants, 84_203);
    assert_eq!((found.only_inflow.pairs, found.only_outflow.pairs), (75, 59));
    assert_eq!((inflow.suppressed.len(), outflow.suppressed.len()), (0, 0));
    assert_eq!((inflow.suppressed_rows, outflow.suppressed_rows), (2525, 2446));
    for file in [&inflow, &outflow] {
        assert_eq!((file.totals.len(), file.state_totals.len()), (3145, 51));
        assert_eq!(file.non_migrants.values().filter(|count| count.is_none()).count(), 7);
    }
    let autauga = Geoid::new("01001");
    assert_eq!(inflow.non_migrants[&autauga].unwrap().persons, 40_643);
    let pair = (Geoid::new("01051"), autauga);
    assert_eq!((inflow.pairs[&pair].returns, inflow.pairs[&pair].persons), (356, 761));
}

#[test]
fn pairs_add_up_to_the_totals() {
    let Some(data) = official("irs/") else { return };
    let [inflow, outflow] = both(&data);
    // (compared, equal, unknown, found less expected)
    let found: Vec<_> = inflow.checks().iter().map(numbers).collect();
    assert_eq!(found[0], (3091, 3091, 54, 0));
    assert_eq!(found[1], (3092, 3092, 53, 0));
    assert_eq!(found[2], (3092, 3092, 53, 0));
    assert_eq!(found[3], (3138, 3138, 7, 0));
    // The state rows, equal on both sides, are a little below their counties' in the official files.
    assert_eq!(found[4], (51, 5, 0, 12_785_128 - 12_775_807));
    let found: Vec<_> = outflow.checks().iter().map(numbers).collect();
    assert_eq!(found[0], (3081, 3081, 64, 0));
    assert_eq!(found[1], (3082, 3082, 63, 0));
    assert_eq!(found[2], (3082, 3082, 63, 0));
    assert_eq!(found[3], (3138, 3138, 7, 0));
    assert_eq!(found[4], (51, 5, 0, 12_784_372 - 12_775_807));
}

#[test]
fn the_seed_command_joins_both_files() {
    let Some(data) = official("irs/") else { return };
    let folder = Folder::new(&[]);
    let files = format!(
        "--inflow {0}/irs/countyinflow1011.csv.gz --outflow {0}/irs/countyoutflow1011.csv.gz",
        data.display()
    );
    let finished = folder.flowrake(&format!("seed irs {files} --year 2011 --out seed.npz --json"));
    finished.expect(0);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout()).unwrap();
    let left_out = &report["left_out"];
    assert_eq!(report["pairs"], 81_058 + 75 + 59);
    assert_eq!(report["stayers"], 231_734_902);
    assert_eq!(left_out["agreement"]["equal"], 81_058);
    assert_eq!(left_out["agreement"]["only_inflow"]["persons"], 4490);
    assert_eq!(left_out["agreement"]["only_outflow"]["persons"], 4130);
    assert_eq!(
        left_out["suppressed_stayers"],
        serde_json::json!(["02201", "02280", "15005", "31005", "48261", "48269", "48301"])
    );
    assert_eq!(
        (&left_out["suppressed_arrivals"], &left_out["suppressed_departures"]),
        (&3_001_281.into(), &3_000_525.into())
    );
    assert_eq!(
        (&left_out["foreign_arrivals"], &left_out["foreign_departures"]),
        (&163_124.into(), &182_552.into())
    );

    std::fs::rename(folder.path("seed.npz.units.csv"), folder.path("units.csv")).unwrap();
    let flows = folder.flows("seed.npz");
    let movers = sum(&flows, |i, j| i != j);
    assert_eq!(report["movers"], movers);
    assert_eq!(sum(&flows, |i, j| i == j), 231_734_902.0);
    assert_eq!(flows[&("01051".into(), "01001".into())], 761.0);
    let manifest: serde_json::Value =
        serde_json::from_slice(&folder.read("seed.npz.manifest.json")).unwrap();
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 2);
    assert_eq!(manifest["report"], report);

    // With the units given, the same matrix; the talk goes to stderr.
    let again =
        folder.flowrake(&format!("seed irs {files} --year 2011 --out again.npz --units units.csv"));
    again.expect(0);
    assert_eq!(again.stdout(), "");
    assert!(again.stderr().contains("81058 pairs, 81058 equal"), "{}", again.stderr());
    assert_eq!(folder.read("again.npz"), folder.read("seed.npz"));
    assert!(!folder.path("again.npz.units.csv").exists());

    let wrong = folder.flowrake(&format!("seed irs {files} --year 2012 --out no.npz"));
    wrong.expect(2);
    assert!(
        wrong.stderr().ends_with(
            "expected a file of the year 2012, found one whose name ends in 1011: its year is \
             2011\n"
        ),
        "{}",
        wrong.stderr()
    );
    assert!(!folder.path("no.npz").exists());
}

const INFLOW: &str = "y2_statefips,y2_countyfips,y1_statefips,y1_countyfips,y1_state,y1_countyname,\
    n1,n2,agi\n1,1,97,0,AL,Total,20,50,1\n1,1,98,0,AL,Foreign,-1,-1,-1\n1,1,1,1,AL,Stay,9,40,1\n\
    1,1,1,3,AL,Baldwin,10,30,1\n";

#[test]
fn the_seed_command_explains_itself() {
    let folder = Folder::new(&[("in.csv", INFLOW), ("units.csv", "geoid\n01001\n")]);
    let run = folder.flowrake("seed irs --inflow in.csv --year 2011 --out seed.csv");
    run.expect(0);
    assert_eq!(
        run.stderr(),
        "seed.csv: 40 stayers and 30 movers of 1 pairs in 2 counties\n  suppressed, left out: 20 \
         arrivals and 0 departures by the totals, 0 pairs with a row, stayers of 0 counties\n  \
         foreign, left out: 0 arrivals, 0 departures; suppressed in 1 totals\n"
    );
    assert_eq!(
        folder.text("seed.csv"),
        "origin,destination,flow\n01001,01001,40\n01003,01001,30\n"
    );
    assert!(!folder.path("seed.csv.units.csv").exists());

    for (args, problem) in [
        ("--outflow in.csv --year 2011 --out no.npz", "found those of an inflow file; swap"),
        ("--inflow in.csv --year 2011 --out no.npz --units units.csv", "not: 01003 (30 persons)"),
        ("--inflow in.csv --year 2011 --out no.xyz", "found `xyz`"),
        ("--inflow in.csv --year 2011 --out in.csv", "is an input of this run"),
        ("--inflow none.csv --year 2011 --out no.npz", "none.csv: No such file"),
        ("--year 2011 --out no.npz", "--inflow <FILE>"),
    ] {
        let run = folder.flowrake(&format!("seed irs {args}"));
        run.expect(2);
        assert!(run.stderr().contains(problem), "{args}: {}", run.stderr());
    }
    assert!(!folder.path("no.npz").exists());
}

#[test]
fn flows_of_georgia_agree_on_both_sides() {
    let Some(data) = official("census/acs5_2016-2020_county_flows_georgia.csv") else { return };
    let mut names = CountyNames::read(&data.join("census/co-est2019-alldata.csv")).unwrap();
    // A county of 2020, split from Valdez-Cordova, which the table of 2019 lacks.
    names.add("Alaska", "Chugach Census Area", &Geoid::new("02063")).unwrap();
    let path = data.join("census/acs5_2016-2020_county_flows_georgia.csv");
    let table = CountyFlows::read(&path, Some(&names)).unwrap();
    // A side that differed would be an error. 8,256 rows are of pairs within the state, each pair
    // once from either county; 5,472 of these flows are above 0 and listed.
    let georgia = |geoid: &Geoid| geoid.as_str().starts_with("13");
    let within = table.flows.keys().filter(|(i, j)| georgia(i) && georgia(j)).count();
    assert_eq!((within, table.both_sides), (5472, 5472));
    assert_eq!(table.inconsistent_rows, 0);
    assert_eq!(table.abroad.iter().filter(|((region, _), _)| region == "Asia").count(), 88);
    let flow = |i: &str, j: &str| table.flows[&(Geoid::new(i), Geoid::new(j))];
    // Barrow County: 2,037 from Gwinnett County, 997 to it.
    assert_eq!((flow("13135", "13013").persons, flow("13135", "13013").moe), (2037.0, 528.0));
    assert_eq!((flow("13013", "13135").persons, flow("13013", "13135").moe), (997.0, 671.0));
    let norfolk = table.flows.keys().filter(|(i, j)| [i, j].iter().any(|g| g.as_str() == "51710"));
    assert!(norfolk.count() > 0);
    // Every row has a flow from B; counted from both sides within the state.
    let persons = |keep: &dyn Fn(&Geoid, &Geoid) -> bool| -> f64 {
        table.flows.iter().filter(|((i, j), _)| keep(i, j)).map(|(_, e)| e.persons).sum()
    };
    let arrivals =
        persons(&|_, j| georgia(j)) + table.abroad.values().map(|e| e.persons).sum::<f64>();
    assert_eq!(arrivals, 826_844.0);
    assert_eq!(table.to_puerto_rico, 350.0);
    assert_eq!(persons(&|i, _| georgia(i)) + 350.0, 740_734.0);
}

#[test]
fn suppressed_flows_are_spread_over_the_counties_of_another_table() {
    let Some(data) = official("irs/, census/co-est2019-alldata.csv") else { return };
    let folder = Folder::new(&[]);
    // The 3,142 counties of the estimates, by the codes of 2019.
    let text = std::fs::read(data.join("census/co-est2019-alldata.csv")).unwrap();
    let text: String = text.into_iter().map(char::from).collect();
    let rows = text.lines().filter(|line| line.starts_with("050,"));
    let codes = rows.map(|line| line.split(',').skip(3).take(2).collect::<String>());
    let units: Vec<String> = std::iter::once("geoid".to_owned()).chain(codes).collect();
    let units_text = units.join("\n");
    folder.write("units.csv", &units_text);
    let files = format!(
        "--inflow {0}/irs/countyinflow1011.csv.gz --outflow {0}/irs/countyoutflow1011.csv.gz \
         --year 2011 --units units.csv",
        data.display()
    );
    folder.flowrake(&format!("seed irs {files} --out listed.npz --quiet")).expect(0);
    let made =
        folder.flowrake(&format!("seed irs {files} --suppressed spread --out all.npz --json"));
    made.expect(0);
    let report: serde_json::Value = serde_json::from_str(&made.stdout()).unwrap();
    let spread = &report["spread"];
    let imputed = ["15005", "31005", "48261", "48269", "48301"];
    assert_eq!(spread["imputed"], serde_json::json!(imputed));
    let placed: f64 = ["within_states", "between_states"]
        .iter()
        .map(|kind| spread[kind]["persons"].as_f64().unwrap())
        .sum();
    // The mean of 3,001,281 arrivals and 3,000,525 departures, and what was imputed.
    assert!((placed - 3_000_903.0 - 5.0 * 10.0).abs() < 60.0, "{placed}");

    let units = Geography::read(&folder.path("units.csv")).unwrap();
    let rows = |name: &str| -> Vec<BTreeMap<u32, f64>> {
        let (matrix, _) = file::read(&folder.path(name), Some(&units)).unwrap();
        let row = |i: usize| {
            let (mut columns, mut persons) = (Vec::new(), Vec::new());
            with_matrix!(&matrix, m => m.row(i, &mut columns, &mut persons));
            columns.into_iter().zip(persons).collect()
        };
        (0..units.len()).map(row).collect()
    };
    let (listed, all) = (rows("listed.npz"), rows("all.npz"));
    // Bedford city is in Bedford County: who moved between them stayed.
    let bedford = units.index_of("51019").unwrap();
    assert!(
        listed[bedford as usize][&bedford] > 52_000.0,
        "{}",
        listed[bedford as usize][&bedford]
    );
    let mut ends = vec![[0.0; 2]; units.len()];
    for (i, (row, listed)) in all.iter().zip(&listed).enumerate() {
        for (&j, persons) in row.iter().filter(|entry| *entry.0 as usize != i) {
            ends[i][0] += persons;
            ends[j as usize][1] += persons;
        }
        for (j, persons) in listed {
            assert_eq!(row[j], *persons, "{i} to {j}");
        }
    }
    assert!(all.iter().map(BTreeMap::len).sum::<usize>() > 9_000_000);
    assert!(ends.iter().flatten().all(|&persons| persons > 0.0));
    // Without the persons of unlisted pairs, many counties would not move at all.
    let mut moving: BTreeSet<usize> = BTreeSet::new();
    for (i, row) in listed.iter().enumerate() {
        for &j in row.keys().filter(|j| **j as usize != i) {
            moving.extend([i, j as usize]);
        }
    }
    assert_eq!(units.len() - moving.len(), 101);
    // 02195: nothing is listed; 77 persons arrived from Alaska and 143 from other states.
    let [_, arrived] = ends[units.index_of("02195").unwrap() as usize];
    assert!((arrived - 220.0).abs() < 1.1, "{arrived}");

    // A file that was cut is not taken for a whole one, nor are units that no file has.
    let text = std::fs::File::open(data.join("irs/countyinflow1011.csv.gz")).unwrap();
    let mut whole = Vec::new();
    flate2::read::MultiGzDecoder::new(text).read_to_end(&mut whole).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').take(40_000).collect();
    folder.write("cut1011.csv", lines.concat());
    folder.write("more.csv", units_text + "\n99999");
    for (inflow, table, problem) in [
        ("cut1011.csv".to_owned(), "units.csv", "expected totals of the same counties as in "),
        (
            data.join("irs/countyinflow1011.csv.gz").display().to_string(),
            "more.csv",
            "expected units that the files have, found `99999`",
        ),
    ] {
        let refused = folder.flowrake(&format!(
            "seed irs --inflow {inflow} --outflow {}/irs/countyoutflow1011.csv.gz --year 2011 \
             --units {table} --suppressed spread --out no.npz",
            data.display()
        ));
        refused.expect(2);
        assert!(refused.stderr().contains(problem), "{}", refused.stderr());
    }
    for options in ["--suppressed spread --out no.npz", "--suppressed most --out no.npz"] {
        let short = files.replace("--units units.csv", options);
        folder.flowrake(&format!("seed irs {short}")).expect(2);
    }
    assert!(!folder.path("no.npz").exists());
}
