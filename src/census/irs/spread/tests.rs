//! Small files by hand.

use std::fmt::Write as _;

use super::super::reconcile;
use super::*;

/// A file whose rows are (own county, partner, persons); `-` is suppressed.
fn file(direction: Direction, rows: &[&str]) -> MigrationFile {
    let [own, partner] = if direction == Direction::Inflow { ["y2", "y1"] } else { ["y1", "y2"] };
    let mut text = format!(
        "{own}_statefips,{own}_countyfips,{partner}_statefips,{partner}_countyfips,\
         {partner}_state,{partner}_countyname,n1,n2,agi\n"
    );
    for row in rows {
        let [own, partner, persons] =
            row.split(' ').collect::<Vec<_>>().try_into().expect("three words");
        let persons: i32 = if persons == "-" { -1 } else { persons.parse().unwrap() };
        let returns = if persons < 0 { -1 } else { persons / 2 };
        let (own, partner) = (own.split_at(2), partner.split_at(2));
        let codes = [own.0, own.1, partner.0, partner.1].join(",");
        writeln!(text, "{codes},A,B,{returns},{persons},1").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.csv");
    std::fs::write(&path, text).unwrap();
    MigrationFile::read(&path).unwrap()
}

/// Three counties of a state and one of another; 20 persons are listed from 01001 to 01003.
fn files(more: &[&str]) -> [MigrationFile; 2] {
    let inflow = [
        "01001 01001 100",
        "01001 97001 2",
        "01001 97003 1",
        "01003 01003 100",
        "01003 01001 20",
        "01003 97001 22",
        "01003 97003 2",
        "01005 01005 100",
        "01005 97001 8",
        "01005 97003 3",
        "02001 02001 100",
        "02001 97003 4",
    ];
    let outflow = [
        "01001 01001 100",
        "01001 01003 20",
        "01001 97001 26",
        "01001 97003 4",
        "01003 01003 100",
        "01003 97001 3",
        "01003 97003 0",
        "01005 01005 100",
        "01005 58000 3",
        "01005 97000 3",
        "02001 02001 100",
        "02001 97003 6",
    ];
    [
        file(Direction::Inflow, &[&inflow[..], more].concat()),
        file(Direction::Outflow, &[&outflow[..], more].concat()),
    ]
}

fn counties(codes: &[&str]) -> Geography {
    Geography::new(codes.iter().map(|&code| Geoid::new(code)).collect()).unwrap()
}

fn spread(more: &[&str], codes: &[&str]) -> (FlowMatrix<f64>, Spread) {
    let [inflow, outflow] = files(more);
    let joined = reconcile(Some(&inflow), Some(&outflow)).unwrap();
    joined.spread(&inflow, &outflow, &counties(codes), 2011).unwrap()
}

#[test]
fn rests_are_placed_as_factors_of_both_ends() {
    let (matrix, report) = spread(&[], &["01001", "01003", "01005", "02001"]);
    // Within the state u = (3, 1, 1) and v = (1, 2, 2), without the listed pair of 20 persons;
    // between the states one county alone sends or receives.
    let expected =
        [[0.0, 20.0, 6.0, 4.0], [1.0, 0.0, 2.0, 0.0], [1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0]];
    for (i, row) in expected.iter().enumerate() {
        let mut found = [0.0; 4];
        let (columns, persons) = matrix.movers().row(i);
        columns.iter().zip(persons).for_each(|(&j, &p)| found[j as usize] = p);
        for (found, expected) in found.iter().zip(row) {
            assert!((found - expected).abs() < 1e-6, "{i}: {found} {expected}");
        }
    }
    assert_eq!(matrix.stayers(), [100.0; 4]);
    assert_eq!((report.within_states.pairs, report.between_states.pairs), (5, 4));
    assert!((report.within_states.persons - 12.0).abs() < 1e-9);
    assert!((report.between_states.total_ratio - 1.0).abs() < 1e-12);
    assert!(report.imputed.is_empty() && report.imputed_stayers == 0.0);
}

#[test]
fn counties_of_which_all_is_suppressed_are_imputed() {
    let hidden = ["02003 02003 -", "02003 97000 -", "02003 97001 -", "02003 97003 -"];
    let (matrix, report) = spread(&hidden, &["01001", "01003", "01005", "02001", "02003"]);
    assert_eq!(report.imputed, ["02003"]);
    // 5 returns of 2 persons, arriving and departing; the totals are brought to their mean.
    let row: f64 = matrix.movers().row(4).1.iter().sum();
    assert!((5.0..=10.0 + 1e-9).contains(&row), "{row}");
    // Movers known are 20 listed and 12 + 10 spread, stayers 400.
    assert!((matrix.stayers()[4] - 10.0 * 400.0 / 42.0).abs() < 1e-9);
    assert_eq!(report.imputed_stayers, matrix.stayers()[4]);
}

#[test]
fn what_finds_no_place_is_told() {
    // Of two counties that send to each other both pairs are listed: the rest has no place.
    let rows = |a: &str, b: &str| {
        [
            format!("01001 01003 {a}"),
            "01001 97001 25".into(),
            "01003 97001 24".into(),
            format!("01003 01001 {b}"),
            "01001 01001 9".into(),
            "01003 01003 9".into(),
        ]
    };
    let [out, into] = [rows("20", "22"), rows("22", "20")];
    let of = |rows: &[String]| rows.iter().map(String::as_str).collect::<Vec<_>>().join(";");
    let [out, into] = [of(&out), of(&into)];
    let outflow = file(Direction::Outflow, &out.split(';').collect::<Vec<_>>());
    let inflow = file(Direction::Inflow, &into.split(';').collect::<Vec<_>>());
    let joined = reconcile(Some(&inflow), Some(&outflow)).unwrap();
    let units = counties(&["01001", "01003"]);
    let (matrix, report) = joined.spread(&inflow, &outflow, &units, 2011).unwrap();
    assert_eq!(matrix, joined.matrix(&units).unwrap());
    assert_eq!((report.within_states.unplaced, report.within_states.arrivals_off), (7.0, 7.0));
    let places = counties(&["0100100", "0100300"]);
    let problem = joined.spread(&inflow, &outflow, &places, 2011).unwrap_err().to_string();
    assert_eq!(problem, "expected units that are counties, by their five digits");
}
