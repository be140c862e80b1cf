//! What the official tables without a reader of their own are known to hold.
//!
//! The files are read from `$FLOWRAKE_DATA`; without it these tests say that they were skipped.

#[path = "common/cli.rs"]
mod cli;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use calamine::{Data, Reader as _, Xls, open_workbook};
use cli::official;
use flowrake::table::Table;
use flowrake::texts::Texts;

/// A CSV file, unpacked where it is gzip, as UTF-8 where it is latin-1.
fn table(data: &Path, name: &str) -> Table {
    let mut bytes = std::fs::read(data.join(name)).unwrap();
    if bytes.starts_with(&[0x1F, 0x8B]) {
        let mut unpacked = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
        bytes = unpacked;
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).unwrap();
    Table::read(&path).unwrap()
}

fn distinct(codes: &Texts, digits: usize) -> usize {
    assert!(codes.iter().all(|code| code.len() == digits), "{}", &codes[0]);
    codes.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn commuting_between_counties() {
    let Some(data) = official("commuting/") else { return };
    let flows = table(&data, "commuting/acs_2011-2015_county_commuting.csv.gz");
    let (origins, destinations) = (flows.codes("OFIPS").unwrap(), flows.codes("DFIPS").unwrap());
    let workers = flows.numbers("FLOW").unwrap();
    let pairs: BTreeMap<(&str, &str), f64> = origins
        .iter()
        .zip(destinations.iter())
        .zip(&workers)
        .map(|((i, j), &workers)| ((i, j), workers))
        .collect();
    assert_eq!((flows.len(), pairs.len()), (135_760, 135_760));
    assert_eq!(workers.iter().sum::<f64>(), 143_522_595.0);
    assert_eq!(pairs[&("36061", "36061")], 730_763.0);
}

#[test]
fn commuting_in_new_york() {
    let Some(data) = official("radiation/") else { return };
    let flows = table(&data, "radiation/NY_commuting_flows_2011.csv");
    let (origins, destinations) =
        (flows.codes("origin").unwrap(), flows.codes("destination").unwrap());
    let workers = flows.numbers("flow").unwrap();
    let ends = origins.iter().zip(destinations.iter()).zip(&workers);
    let within: f64 = ends.filter(|((i, j), _)| i == j).map(|(_, workers)| workers).sum();
    assert_eq!((flows.len(), distinct(&origins, 5)), (1954, 62));
    assert_eq!((workers.iter().sum::<f64>(), within), (8_831_941.0, 5_853_895.0));
    let text = std::fs::read_to_string(data.join("radiation/NY_counties_2011.geojson")).unwrap();
    let map: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(map["features"].as_array().unwrap().len(), 62);
}

#[test]
fn attributes_of_counties() {
    let Some(data) = official("attributes/") else { return };
    let gini = table(&data, "attributes/ACS_15_5YR_B19083_with_ann.csv");
    let codes = gini.codes("GEO.id2").unwrap();
    let values = gini.texts("HD01_VD01").unwrap();
    assert_eq!((&codes[0], &values[0]), ("Id2", "Estimate; Gini Index"));
    // The second header line is no county; Puerto Rico is not among the 3,142.
    let counties = codes.iter().skip(1).filter(|code| !code.starts_with("72"));
    assert_eq!(counties.count(), 3142);
    let known = values.iter().skip(1).map(|gini| gini.parse::<f64>().unwrap());
    assert!(known.into_iter().all(|gini| (0.0..1.0).contains(&gini)));

    let jobs = table(&data, "attributes/acs5_2011-2015_county_unemployment_S2301.csv");
    let codes = jobs.codes("geoid").unwrap();
    let counties = codes.iter().filter(|code| !code.starts_with("72")).count();
    assert_eq!((counties, distinct(&codes, 5)), (3142, codes.len()));
    assert!(jobs.numbers("unemployment_rate").unwrap().iter().all(|r| (0.0..100.0).contains(r)));

    let mut book: Xls<_> = open_workbook(data.join("attributes/saipe_2015_est15all.xls")).unwrap();
    let (_, sheet) = book.worksheets().into_iter().next().unwrap();
    let text = |cell: &Data| cell.to_string();
    let header = sheet.rows().position(|row| row.iter().any(|c| text(c) == "Name")).unwrap();
    let column = |name: &str| {
        sheet.rows().nth(header).unwrap().iter().position(|c| text(c) == name).unwrap()
    };
    let (name, share) = (column("Name"), column("Poverty Percent, All Ages"));
    let nation = sheet.rows().find(|row| text(&row[name]) == "United States").unwrap();
    assert_eq!(text(&nation[share]), "14.7");
}

#[test]
fn demographics_of_tracts_and_block_groups() {
    let Some(data) = official("demographics/") else { return };
    let groups = table(&data, "demographics/CA_bg_acs5_2014-2018.csv");
    let people = groups.numbers("race_total_block_group").unwrap();
    assert_eq!(people.iter().sum::<f64>(), 39_148_760.0);
    assert_eq!(distinct(&groups.codes("GEOID").unwrap(), 12), groups.len());

    let shares = table(&data, "demographics/tract_race_share_2010.csv.gz");
    let columns = ["white", "black", "api", "native", "multiple", "hispanic"]
        .map(|name| shares.optional_numbers(name).unwrap());
    let sum = |row: usize| columns.iter().map(|column| column[row]).sum::<f64>();
    let empty = (0..shares.len()).filter(|&row| sum(row).is_nan() || sum(row) == 0.0).count();
    assert_eq!((shares.len(), empty), (74_002, 576));
    for row in 0..shares.len() {
        let sum = sum(row);
        assert!(sum.is_nan() || sum == 0.0 || (sum - 1.0).abs() < 0.02, "row {row}: {sum}");
    }

    for name in ["acs5_2011-2015_tract_median_income", "acs5_2014-2018_tract_median_income"] {
        let income = table(&data, &format!("demographics/{name}.csv.gz"));
        let missing = income.optional_numbers("median_income").unwrap();
        let missing = missing.iter().filter(|income| income.is_nan()).count();
        assert_eq!(distinct(&income.codes("census_tract_fips").unwrap(), 11), 73_056, "{name}");
        assert!((900..1300).contains(&missing), "{name}: {missing}");
    }

    let ruca = table(&data, "demographics/tract_ruca_2010.csv.gz");
    // Some lost their leading zero.
    let codes: BTreeSet<String> =
        ruca.codes("FIPS").unwrap().iter().map(|code| format!("{code:0>11}")).collect();
    assert_eq!((ruca.len(), codes.len()), (74_002, 74_002));
}
