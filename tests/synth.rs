//! `flowrake synth` through the binary.
//!
//! Centers of population are read from `$FLOWRAKE_DATA`; without it the tests of nations on real
//! places say that they were skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use flowrake::census::STATES;
use flowrake::census::cenpop::CenPop;
use flowrake::census::pep::{Measure, Pep};
use flowrake::census::population_table::PopulationTable;
use flowrake::geography::{Geography, Geoid};
use flowrake::matrix::{AnyFlowMatrix, FlowMatrix, file};
use flowrake::synth::nation::{Measured, Nation, NationOptions};

fn flowrake(threads: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowrake"));
    command.env("RAYON_NUM_THREADS", threads);
    command
}

/// Every file of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_committed_region_can_be_made_again_at_any_thread_count() {
    let committed =
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples").join("region"));
    assert_eq!(committed.len(), 10, "{:?}", committed.keys());
    for threads in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new").join("region");
        flowrake(threads).args(["synth", "region"]).arg(&out).assert().success();
        let made = files(&out);
        assert!(made.keys().eq(committed.keys()), "{:?}", made.keys());
        for (name, bytes) in &made {
            assert!(
                *bytes == committed[name],
                "{name} differs at {threads} threads; if the generator was meant to change, see \
                 data-samples/README.md"
            );
        }
    }
}

#[test]
fn another_seed_gives_another_region_of_the_size_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let size = ["--states", "2", "--counties", "5", "--block-groups", "60"];
    let make = |seed: &str| {
        let out = folder.path().join(seed);
        flowrake("2")
            .args(["synth", "region"])
            .arg(&out)
            .args(size)
            .args(["--seed", seed])
            .assert()
            .success();
        files(&out)
    };
    let (first, second) = (make("1"), make("2"));
    let lines = |name: &str| std::str::from_utf8(&first[name]).unwrap().lines().count();
    assert_eq!([lines("units.csv"), lines("county_in.csv"), lines("state_flows.csv")], [61, 6, 5]);
    for name in ["truth.npz", "seed.npz", "units.csv", "county_out.csv"] {
        assert!(first[name] != second[name], "{name} does not depend on the seed");
    }
}

#[test]
fn impossible_sizes_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("region");
    for (size, expected) in [
        (["--states", "27"], "states: expected 1 to 26, found 27"),
        (["--states", "0"], "states: expected 1 to 26, found 0"),
        (["--counties", "2"], "counties: expected at least one per state (3), found 2"),
        (["--block-groups", "79"], "at least two per county (80)"),
        (["--counties", "500000"], "block groups: expected at least two per county"),
    ] {
        let assert = flowrake("1").args(["synth", "region"]).arg(&out).args(size).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains(expected), "{message}");
        assert!(!out.exists(), "{size:?} wrote {}", out.display());
    }
}

/// The official file of block groups, `None` (said on stderr) where it is not at hand.
fn centers(what: &str) -> Option<PathBuf> {
    let data = std::env::var_os("FLOWRAKE_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("NOT CHECKED: {what}, since FLOWRAKE_DATA is not set");
    }
    Some(data?.join("census/CenPop2010_Mean_BG.txt"))
}

/// Columns of a nation's units table.
#[derive(Default)]
struct Units {
    geoid: Vec<String>,
    population: Vec<f64>,
    /// Degrees.
    lat: Vec<f64>,
    lon: Vec<f64>,
}

impl Units {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        let header = "geoid,population,lat,lon,renter_share,record_age,zip";
        assert_eq!(lines.next(), Some(header));
        let mut units = Self::default();
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            units.geoid.push(fields[0].to_owned());
            units.population.push(fields[1].parse().unwrap());
            units.lat.push(fields[2].parse().unwrap());
            units.lon.push(fields[3].parse().unwrap());
        }
        units
    }

    /// Great-circle distance by the haversine formula, in miles.
    fn miles(&self, i: usize, j: usize) -> f64 {
        let (a, b) = (self.lat[i].to_radians(), self.lat[j].to_radians());
        let east = (self.lon[j] - self.lon[i]).to_radians();
        let half = |angle: f64| (angle / 2.0).sin().powi(2);
        let haversine = half(b - a) + a.cos() * b.cos() * half(east);
        2.0 * 6371.0 * haversine.sqrt().asin() / 1.609_344
    }
}

fn matrix(path: &Path, units: &Geography) -> FlowMatrix<f32> {
    match file::read(path, Some(units)).unwrap().0 {
        AnyFlowMatrix::F32(matrix) => matrix,
        _ => panic!("{} is not float32", path.display()),
    }
}

#[test]
fn a_sample_of_the_nation_has_the_published_shape_at_any_thread_count() {
    let Some(centers) = centers("a sample of the nation") else { return };
    let folder = tempfile::tempdir().unwrap();
    let make = |threads: &str| {
        let out = folder.path().join(threads);
        let mut command = flowrake(threads);
        command.args(["synth", "nation"]).arg(&out).arg("--places").arg(&centers);
        command.args(["--sample", "0.05"]).assert().success();
        out
    };
    let (one, two) = (make("1"), make("2"));
    let made = files(&one);
    let names = [
        "CenPop2010_Mean_BG.txt",
        "acs5_2006-2010_bg_total_population.csv",
        "acs5_2007-2011_bg_total_population.csv",
        "co-est2011-alldata.csv",
        "components.csv",
        "populations.csv",
        "seed.npz",
        "state_to_state_migrations_table_2011.xlsx",
        "truth.npz",
        "units.csv",
    ];
    assert!(made.keys().eq(names), "{:?}", made.keys());
    assert!(made == files(&two), "files differ between 1 and 2 threads");

    let units = Units::read(&one.join("units.csv"));
    let geography =
        Geography::new(units.geoid.iter().map(|code| Geoid::new(code.as_str())).collect()).unwrap();
    let truth = matrix(&one.join("truth.npz"), &geography);
    let seed = matrix(&one.join("seed.npz"), &geography);
    let (mut stayers, mut bands, mut destinations) = (0.0, [0.0; 3], Vec::new());
    for i in 0..geography.len() {
        let mut population = truth.stayers()[i];
        stayers += population;
        let (to, persons) = truth.movers().row(i);
        for (&j, &persons) in to.iter().zip(persons) {
            let miles = units.miles(i, j as usize);
            bands[usize::from(miles >= 5.0) + usize::from(miles >= 50.0)] += f64::from(persons);
            population += f64::from(persons);
        }
        assert_eq!(population, units.population[i], "row {i}");
        if population > 0.0 {
            destinations.push(seed.movers().row(i).0.len());
        }
    }
    let movers: f64 = bands.iter().sum();
    let stay_rate = stayers / (stayers + movers);
    assert!((0.86..0.88).contains(&stay_rate), "{stay_rate}");
    for (band, published) in bands.iter().zip([0.37, 0.40, 0.23]) {
        assert!((band / movers - published).abs() < 0.03, "{} of {published}", band / movers);
    }
    // Published for the nation: mean 272, median 234; what a part has depends on its places.
    destinations.sort_unstable();
    let mean = destinations.iter().sum::<usize>() as f64 / destinations.len() as f64;
    let median = destinations[destinations.len() / 2] as f64;
    assert!((220.0..320.0).contains(&mean), "{mean}");
    assert!((0.8..0.95).contains(&(median / mean)), "{median} of {mean}");
    let percentile_99 = destinations[destinations.len() * 99 / 100] as f64;
    assert!(percentile_99 > 2.5 * median, "no heavy tail: {percentile_99}");
    // Blur takes a move to pairs without one: more entries, of less than a person.
    assert!(seed.movers().nnz() > 3 * truth.movers().nnz());

    // Whole counties, about as many block groups as asked for.
    let county = |code: &str| code[..5].to_owned();
    let taken: BTreeSet<String> = units.geoid.iter().map(|code| county(code)).collect();
    let all = CenPop::read(&centers).unwrap().without_puerto_rico();
    let in_taken = all.places.iter().filter(|p| taken.contains(&county(p.geoid.as_str())));
    assert_eq!(in_taken.count(), units.geoid.len());
    let share = units.geoid.len() as f64 / all.places.len() as f64;
    assert!((0.04..0.06).contains(&share), "{share}");
}

#[test]
fn the_nation_has_the_published_shape() {
    let Some(centers) = centers("the nation") else { return };
    let centers = CenPop::read(&centers).unwrap().without_puerto_rico();
    let nation = Nation::generate(&centers, &NationOptions::DEFAULT).unwrap();
    let measured = Measured::new(&nation);
    assert_eq!((nation.geography.len(), measured.persons), (217_740, 308_745_538.0));
    assert!((measured.stay_rate - 0.87).abs() < 0.002, "{measured}");
    for (band, published) in measured.distance_bands.iter().zip([0.37, 0.40, 0.23]) {
        assert!((band - published).abs() < 0.01, "{measured}");
    }
    assert!((measured.mean_destinations - 272.0).abs() < 5.0, "{measured}");
    assert!((229..240).contains(&measured.median_destinations), "{measured}");
    // Published: 11.8 to 15.2 million movers, 178 to 269 million records.
    assert!((11.8e6..15.2e6).contains(&measured.recorded_movers), "{measured}");
    let recorded = measured.recorded_movers + measured.recorded_stayers;
    assert!((178e6..269e6).contains(&recorded), "{measured}");
}

/// A made-up file of centers of population: 51 states of two counties of twelve block groups.
fn made_up_centers(folder: &Path) -> PathBuf {
    let mut text = "STATEFP,COUNTYFP,TRACTCE,BLKGRPCE,POPULATION,LATITUDE,LONGITUDE\n".to_owned();
    for (k, (state, _)) in STATES.iter().enumerate() {
        for unit in 0..24 {
            let (county, tract, digit) = (2 * (unit / 12) + 1, unit / 3 % 4, unit % 3 + 1);
            let (north, east) = (30.0 + 0.2 * (k / 10) as f64, -100.0 + 0.2 * (k % 10) as f64);
            let (lat, lon) = (north + 0.01 * f64::from(tract), east + 0.01 * f64::from(unit));
            let persons = 600 + 50 * unit;
            writeln!(text, "{state},{county:03},{tract:06},{digit},{persons},{lat},{lon}").unwrap();
        }
    }
    let path = folder.join("centers.txt");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn tables_of_several_years_agree_with_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let (centers, out) = (made_up_centers(folder.path()), folder.path().join("years"));
    let mut command = flowrake("2");
    command.args(["synth", "nation"]).arg(&out).arg("--places").arg(&centers);
    command.args(["--years", "2011-2013"]).assert().success();

    let units = Units::read(&out.join("units.csv"));
    let geography = Geography::new(units.geoid.iter().map(|c| Geoid::new(c.as_str())).collect());
    let geography = geography.unwrap();
    let text = std::fs::read_to_string(out.join("populations.csv")).unwrap();
    assert_eq!(text.lines().next(), Some("geoid,2010,2011,2012,2013"));
    // By unit, then by year.
    let populations: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').skip(1).map(|n| n.parse().unwrap()).collect())
        .collect();
    let pep = Pep::read(&out.join("co-est2013-alldata.csv")).unwrap();
    assert_eq!(pep.warnings(), [""; 0], "every identity was checked");
    assert_eq!((pep.years(), pep.base_year()), (vec![2010, 2011, 2012, 2013], Some(2010)));

    let mut residuals = BTreeMap::new();
    for (k, year) in (2011..=2013).enumerate() {
        let truth = matrix(&out.join(format!("truth-{year}.npz")), &geography);
        let seed = matrix(&out.join(format!("seed-{year}.npz")), &geography);
        assert_eq!(seed.units(), truth.units());
        let mut arrivals: BTreeMap<&str, f64> = BTreeMap::new();
        for (i, code) in units.geoid.iter().enumerate() {
            let (to, persons) = truth.movers().row(i);
            let mut population = truth.stayers()[i];
            *arrivals.entry(&code[..5]).or_default() += truth.stayers()[i];
            for (&j, &persons) in to.iter().zip(persons) {
                population += f64::from(persons);
                *arrivals.entry(&units.geoid[j as usize][..5]).or_default() += f64::from(persons);
            }
            assert_eq!(population, populations[i][k], "{code} in {}", year - 1);
        }
        for (county, arrivals) in arrivals {
            let get = |measure| pep.get(county, measure, year).unwrap() as f64;
            let residual: &mut f64 = residuals.entry(county.to_owned()).or_default();
            *residual += get(Measure::Residual);
            // The population of t that also lived here a year before, as the target is computed.
            let target = get(Measure::Population) - get(Measure::Births) + get(Measure::Deaths)
                - get(Measure::International);
            assert_eq!(target - *residual, arrivals, "{county} in {year}");
            let true_sum = units.geoid.iter().zip(&populations).filter(|u| u.0.starts_with(county));
            let true_sum: f64 = true_sum.map(|u| u.1[k + 1]).sum();
            assert_eq!(get(Measure::Population) - *residual, true_sum, "{county} in {year}");
        }
    }
    assert!(residuals.values().any(|residual| *residual != 0.0));

    for year in 2010..=2013 {
        let name = format!("acs5_{}-{year}_bg_total_population.csv", year - 4);
        let table = PopulationTable::read(&out.join(name)).unwrap();
        assert_eq!(table.areas.len(), geography.len());
        let years = year - 2009;
        let mut off = 0.0;
        for (area, truth) in table.areas.iter().zip(&populations) {
            let found = area.population.unwrap();
            let mean = truth[..years].iter().sum::<f64>() / years as f64;
            let standard_errors = (found.value - mean) / (found.moe.unwrap() / 1.645);
            assert!(standard_errors.abs() < 6.0, "{}: {found:?} of {mean}", area.geoid);
            off += standard_errors * standard_errors;
        }
        let variance = off / geography.len() as f64;
        assert!((0.85..1.15).contains(&variance), "{year}: {variance}");
    }
}

#[test]
fn impossible_nations_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let header = "STATEFP,COUNTYFP,TRACTCE,BLKGRPCE,POPULATION,LATITUDE,LONGITUDE";
    let county = write("county.txt", &format!("{header}\n01,001,020100,1,698,+32,-086\n"));
    let unknown = write(
        "unknown.txt",
        &format!("{header}\n03,001,020100,1,698,+32,-086\n03,003,020100,1,698,+32,-086\n"),
    );
    let islands = write("islands.txt", &format!("{header}\n72,001,020100,1,698,+18,-066\n"));
    let tract = write(
        "tract.txt",
        "STATEFP,COUNTYFP,TRACTCE,POPULATION,LATITUDE,LONGITUDE\n01,001,020100,5,1,2\n",
    );
    let out = folder.path().join("nation");
    for (places, options, expected) in [
        (&county, ["--sample", "0"], "sample: expected a share above 0 and at most 1, found 0"),
        (&county, ["--sample", "1.5"], "sample: expected a share above 0 and at most 1, found 1.5"),
        (&county, ["--sample", "NaN"], "sample: expected a share above 0 and at most 1, found NaN"),
        (&tract, ["--seed", "1"], "places: expected block groups, found areas of level tract"),
        (&county, ["--seed", "1"], "expected block groups of at least two counties, found 1"),
        (
            &unknown,
            ["--seed", "1"],
            "codes of the 50 states and the District of Columbia, found `03",
        ),
        (&islands, ["--seed", "1"], "expected block groups of at least two counties, found 0"),
        (&out, ["--seed", "1"], "nation: No such file"),
        (&county, ["--years", "2013-2011"], "expected a year from 1900 to 2100, or two as in"),
        (&county, ["--year", "11"], "expected a year from 1900 to 2100, or two as in"),
        (&county, ["--block-groups", "500"], "cannot be used with"),
    ] {
        let mut command = flowrake("1");
        command.args(["synth", "nation"]).arg(&out).arg("--places").arg(places).args(options);
        let assert = command.assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains(expected), "{message}");
        assert!(!out.exists(), "{options:?} wrote {}", out.display());
    }
}
