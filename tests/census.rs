//! Readers of official tables on the published files, and every identity they are known to hold.

#[path = "common/cli.rs"]
mod cli;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use flowrake::census::STATES;
use flowrake::census::cenpop::{CenPop, Place};
use flowrake::census::pep::{Measure, Pep};
use flowrake::census::population_table::PopulationTable;
use flowrake::census::state_flows::StateFlows;
use flowrake::geography::Level;

/// The folder of Census tables, `None` where it is not at hand.
fn data(what: &str) -> Option<PathBuf> {
    Some(cli::official(what)?.join("census"))
}

#[test]
fn population_estimates_of_counties_and_states() {
    let Some(data) = data("co-est2019-alldata.csv, nst-est2019-alldata.csv") else { return };
    let counties = Pep::read(&data.join("co-est2019-alldata.csv")).unwrap();
    let states = Pep::read(&data.join("nst-est2019-alldata.csv")).unwrap();
    for pep in [&counties, &states] {
        assert_eq!(pep.warnings(), [""; 0]);
        assert_eq!(pep.years(), (2010..=2019).collect::<Vec<_>>());
        assert_eq!((pep.vintage(), pep.base_year()), (2019, Some(2010)));
        assert_eq!(pep.total(&Level::State, Measure::Population, 2019), Some(328_239_523));
        for year in 2010..=2019 {
            assert_eq!(pep.total(&Level::State, Measure::Domestic, year), Some(0));
        }
    }
    assert_eq!(counties.geoids(&Level::County).count(), 3142);
    assert_eq!(counties.geoids(&Level::State).count(), 51);
    assert_eq!(states.geoids(&Level::State).count(), 52);
    assert_eq!(counties.total(&Level::County, Measure::Population, 2019), Some(328_239_523));
    assert_eq!(counties.population("01001", 2019), Some(55_869));
    assert_eq!(states.population("72", 2019), Some(3_193_694));
    // Geography of 2019: Kusilvak and Oglala Lakota; Bedford city is part of the county.
    for (there, gone) in [("02158", "02270"), ("46102", "46113"), ("51019", "51515")] {
        assert!(counties.population(there, 2019).is_some());
        assert_eq!(counties.population(gone, 2019), None);
    }
    // The state file, the state rows of the county file, and the nation agree.
    let measures = [
        Measure::Population,
        Measure::Births,
        Measure::Deaths,
        Measure::International,
        Measure::Domestic,
        Measure::Residual,
        Measure::NetMigration,
        Measure::NaturalChange,
        Measure::Change,
    ];
    for year in 2010..=2019 {
        for measure in measures {
            for (code, name) in STATES {
                let value = states.require(code, measure, year).unwrap();
                assert_eq!(counties.get(code, measure, year), Some(value), "{name} {year}");
            }
            let nation = states.require(Pep::NATION, measure, year).unwrap();
            assert_eq!(counties.total(&Level::County, measure, year), Some(nation));
        }
    }
    let base = counties.total(&Level::County, Measure::Base, 2010);
    assert_eq!(base, states.get(Pep::NATION, Measure::Base, 2010));
    assert_eq!(base, Some(308_758_105));
}

/// Year, movers from different states and people from abroad as printed in the row of the United
/// States.
const PUBLISHED_FLOWS: [(i32, f64, f64); 10] = [
    (2010, 6_743_229.0, 1_750_145.0),
    (2011, 6_987_416.0, 1_826_277.0),
    (2012, 7_070_345.0, 1_833_217.0),
    (2013, 7_207_333.0, 1_903_247.0),
    (2014, 7_334_169.0, 2_042_205.0),
    (2015, 7_530_129.0, 2_085_698.0),
    (2016, 7_552_536.0, 2_196_664.0),
    (2017, 7_471_493.0, 2_133_328.0),
    (2018, 7_571_282.0, 1_959_629.0),
    (2019, 7_398_337.0, 1_910_192.0),
];

#[test]
fn state_to_state_flows_of_ten_years() {
    let Some(data) = data("state_to_state_migrations_table_2010.xls to 2019") else { return };
    for (year, movers, abroad) in PUBLISHED_FLOWS {
        let path = data.join(format!("state_to_state_migrations_table_{year}.xls"));
        let flows = StateFlows::read(&path).unwrap();
        assert_eq!(flows.year, year);
        assert_eq!(flows.warnings(), [""; 0], "{year}");
        assert_eq!(flows.nation.different_state.value, movers, "{year}");
        assert_eq!(flows.nation.abroad.value, abroad, "{year}");
        let mut total = 0.0;
        for (code, state) in flows.states().chain([("72", flows.state("72").unwrap())]) {
            let parts = [state.same_house, state.same_state, state.different_state, state.abroad];
            let sum: f64 = parts.iter().map(|part| part.value).sum();
            assert_eq!(state.population.value - sum, 0.0, "{year} {code}");
            let origins: f64 = state.origins.iter().flatten().map(|origin| origin.value).sum();
            assert_eq!(state.different_state.value - origins, 0.0, "{year} {code}");
            let given = state.origins.iter().flatten().count();
            assert_eq!(given, if code == "72" { 51 } else { 50 }, "{year} {code}");
            assert_eq!(state.origin(code), None);
            assert!(state.origins.iter().flatten().all(|origin| origin.moe.is_some()));
            let abroad = [state.puerto_rico, state.island_areas, state.foreign_country];
            assert_eq!(abroad.iter().flatten().map(|a| a.value).sum::<f64>(), state.abroad.value);
            assert_eq!(state.puerto_rico.is_none(), code == "72");
            total += if code == "72" { 0.0 } else { state.population.value };
        }
        assert_eq!(flows.nation.population.value, total, "{year}");
    }
}

#[test]
fn a_workbook_of_another_table_is_refused() {
    let Some(data) = data("saipe_2015_est15all.xls") else { return };
    let path = data.parent().unwrap().join("attributes/saipe_2015_est15all.xls");
    let message = StateFlows::read(&path).unwrap_err().to_string();
    assert!(
        message.contains(": sheet ")
            && message.contains(": cell A1: expected a title `State-to-State Migration Flows`"),
        "{message}"
    );
    let copy = tempfile::tempdir().unwrap();
    let renamed = copy.path().join("state_to_state_migrations_table_2012.xls");
    std::fs::copy(data.join("state_to_state_migrations_table_2011.xls"), &renamed).unwrap();
    let message = StateFlows::read(&renamed).unwrap_err().to_string();
    assert!(message.contains("in the file's name, 2012, found the table of 2011"), "{message}");
}

/// A download that broke off is refused, wherever it did.
#[test]
fn a_cut_workbook_is_refused() {
    let Some(data) = data("state_to_state_migrations_table_2019.xls") else { return };
    let whole = std::fs::read(data.join("state_to_state_migrations_table_2019.xls")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut_2019.xls");
    for part in 0..40 {
        std::fs::write(&path, &whole[..whole.len() * part / 40]).unwrap();
        let message = StateFlows::read(&path).unwrap_err().to_string();
        assert!(message.contains("cut_2019.xls: "), "{part}: {message}");
    }
}

#[test]
fn centers_of_population() {
    let Some(data) = data("CenPop2010_Mean_BG.txt, CenPop2010_county_centroids.csv") else {
        return;
    };
    let groups = CenPop::read(&data.join("CenPop2010_Mean_BG.txt")).unwrap();
    assert_eq!(groups.level, Level::BlockGroup);
    assert_eq!((groups.places.len(), groups.total()), (220_334, 312_471_327));
    let counties = CenPop::read(&data.join("CenPop2010_county_centroids.csv")).unwrap();
    assert_eq!((counties.level.clone(), counties.places.len()), (Level::County, 3221));
    let mut inside: BTreeMap<&str, u64> = BTreeMap::new();
    for group in &groups.places {
        *inside.entry(&group.geoid.as_str()[..5]).or_default() += group.population;
    }
    let printed = counties.places.iter().map(|county| (county.geoid.as_str(), county.population));
    assert_eq!(inside, printed.collect());
    let empty = |places: &[Place]| places.iter().filter(|place| place.population == 0).count();
    assert_eq!(empty(&groups.places), 930);
    let groups = groups.without_puerto_rico();
    assert_eq!((groups.places.len(), groups.total()), (217_740, 308_745_538));
    assert_eq!(empty(&groups.places), 876);
    let first = &groups.places[0];
    assert_eq!((first.geoid.as_str(), first.population), ("010010201001", 698));
    assert_eq!((first.latitude, first.longitude), (32.464_812, -86.486_527));
}

#[test]
fn block_group_population_and_changed_codes() {
    let Some(data) = data("acs5_2012-2016_bg_total_population.csv") else { return };
    let table =
        PopulationTable::read(&data.join("acs5_2012-2016_bg_total_population.csv")).unwrap();
    assert_eq!(table.level, Level::BlockGroup);
    assert_eq!(table.total(), 322_087_547.0);
    assert!(table.areas.iter().all(|area| area.population.is_some_and(|p| p.moe.is_none())));
    let census = CenPop::read(&data.join("CenPop2010_Mean_BG.txt")).unwrap();
    let census: BTreeSet<&str> = census.places.iter().map(|place| place.geoid.as_str()).collect();
    let survey: BTreeSet<&str> = table.areas.iter().map(|area| area.geoid.as_str()).collect();
    let gone: Vec<_> = census.difference(&survey).collect();
    let new: Vec<_> = survey.difference(&census).collect();
    assert_eq!((gone.len(), new.len()), (73, 72));
    // The published list of the differences names the same codes.
    let list = std::fs::read_to_string(data.join("bg_code_diff_2010_vs_acs2016.csv")).unwrap();
    for (side, codes) in [("2010_only", gone), ("acs2016_only", new)] {
        let listed: BTreeSet<&str> = list
            .lines()
            .filter(|line| line.ends_with(side))
            .filter_map(|line| line.split(',').next())
            .collect();
        assert_eq!(listed, codes.into_iter().copied().collect(), "{side}");
    }
}
