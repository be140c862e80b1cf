//! The folder of a region: units, matrices, Census-like tables derived from the truth, and the plan.
//!
//! Survey tables (block-group populations and everything per state) carry sampling noise and its
//! margin of error at 90 %, as the American Community Survey does: a standard error of
//! `DESIGN_EFFECT * sqrt(persons)`. County totals come from registers and are exact up to a small
//! residual: the column totals exceed the row totals by about 0.2 %, since the published components
//! of change do not quite add up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::Region;
use super::random::{Purpose, Stream};
use crate::geography::{Level, Partition};
use crate::matrix::{FlowRows, file};
use crate::output::write_atomically;
use crate::{Error, Result};

/// End year t of the generated matrix.
const YEAR: u16 = 2011;
/// Survey standard error over the square root of the estimate, in both in persons.
const DESIGN_EFFECT: f64 = 1.2;
/// Margins of error are at 90 %: this many standard errors.
const Z_90: f64 = 1.645;
/// Mean excess of the county column totals over the row totals.
const RESIDUAL: f64 = 0.002;
/// Standard deviation of that excess between counties.
const RESIDUAL_SPREAD: f64 = 0.0003;

/// What the plan does, in the published order.
const PLAN: &str = include_str!("plan.toml");

/// Writes the region into a folder, which is created if need be: `units.csv`, `truth.npz`,
/// `seed.npz`, six tables of targets and `plan.toml`.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write(region: &Region, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    for (name, matrix) in [("truth.npz", &region.truth), ("seed.npz", &region.seed)] {
        file::write(&folder.join(name), matrix, &region.geography, &[])?;
    }
    let mut files = targets(region)?;
    files.push(("units.csv", units(region)));
    files.push(("plan.toml", PLAN.replace("{year}", &YEAR.to_string())));
    for (name, text) in files {
        write_atomically(&folder.join(name), |file| file.write_all(text.as_bytes()))?;
    }
    Ok(())
}

/// The units table: one line per block group, in the order of the matrices.
fn units(region: &Region) -> String {
    let places = &region.places;
    let mut text = "geoid,population,lat,lon,renter_share\n".to_owned();
    for (unit, geoid) in region.geography.geoids().iter().enumerate() {
        line(
            &mut text,
            format_args!(
                "{geoid},{},{:.5},{:.5},{:.3}",
                places.population[unit],
                places.lat[unit],
                places.lon[unit],
                places.renter_share[unit]
            ),
        );
    }
    text
}

/// The tables of targets, with their file names.
fn targets(region: &Region) -> Result<Vec<(&'static str, String)>> {
    let states = Partition::new(&region.geography, &Level::State)?;
    let counties = Partition::new(&region.geography, &Level::County)?;
    let totals = Totals::new(region, &states, &counties);
    // One stream per table: a change to one leaves the noise of the others alone.
    let stream = |table| Stream::new(region.options.seed, Purpose::Tables, table);

    let survey = |header, rows: &mut dyn Iterator<Item = (String, f64)>, table| {
        survey(header, rows, DESIGN_EFFECT, &mut stream(table))
    };
    let keyed = "geoid,target,moe\n";
    let block_groups = region.geography.geoids().iter().map(ToString::to_string);
    let mut files = vec![
        ("cbg_population.csv", survey(keyed, &mut block_groups.zip(totals.population), 0)),
        ("state_movers.csv", survey(keyed, &mut coded(&states, totals.movers), 1)),
        ("state_non_movers.csv", survey(keyed, &mut coded(&states, totals.stayers), 2)),
    ];
    let mut flows = totals.flows.into_iter().map(|((origin, destination), persons)| {
        let code = |state: u32| &states.codes()[state as usize];
        (format!("{},{}", code(origin), code(destination)), persons)
    });
    files.push(("state_flows.csv", survey("origin,destination,target,moe\n", &mut flows, 3)));

    let mut noise = stream(4);
    let arrivals = totals.county_in.into_iter().map(|persons| {
        (persons * (1.0 + RESIDUAL + RESIDUAL_SPREAD * noise.deviate()) + 0.5).floor()
    });
    files.push(("county_in.csv", register(coded(&counties, arrivals))));
    files.push(("county_out.csv", register(coded(&counties, totals.county_out))));
    Ok(files)
}

/// Sums of the truth, in persons, in the order of their cells.
struct Totals {
    /// Row sums: the population of each unit in year t - 1.
    population: Vec<f64>,
    /// Movers by state of destination.
    movers: Vec<f64>,
    /// Stayers by state.
    stayers: Vec<f64>,
    /// Everyone by states of origin and destination.
    flows: BTreeMap<(u32, u32), f64>,
    /// Column sums by county.
    county_in: Vec<f64>,
    /// Row sums by county.
    county_out: Vec<f64>,
}

impl Totals {
    fn new(region: &Region, states: &Partition, counties: &Partition) -> Self {
        let mut totals = Self {
            population: vec![0.0; region.geography.len()],
            movers: vec![0.0; states.cells()],
            stayers: vec![0.0; states.cells()],
            flows: BTreeMap::new(),
            county_in: vec![0.0; counties.cells()],
            county_out: vec![0.0; counties.cells()],
        };
        let (mut columns, mut flows) = (Vec::new(), Vec::new());
        for i in 0..region.geography.len() {
            region.truth.row(i, &mut columns, &mut flows);
            let (state, county) = (states.cell_of()[i], counties.cell_of()[i] as usize);
            for (&j, &persons) in columns.iter().zip(&flows) {
                let j = j as usize;
                let to = states.cell_of()[j];
                let kind = if i == j { &mut totals.stayers } else { &mut totals.movers };
                kind[to as usize] += persons;
                totals.population[i] += persons;
                *totals.flows.entry((state, to)).or_default() += persons;
                totals.county_in[counties.cell_of()[j] as usize] += persons;
                totals.county_out[county] += persons;
            }
        }
        totals
    }
}

/// Pairs the codes of a partition with its cells' totals.
fn coded(
    partition: &Partition,
    totals: impl IntoIterator<Item = f64>,
) -> impl Iterator<Item = (String, f64)> {
    partition.codes().iter().map(str::to_owned).zip(totals)
}

/// A table of survey estimates: noise added, rounded to persons, margin of error rounded up. An
/// estimate of 0 persons keeps a small margin, as published ones do.
pub(super) fn survey(
    header: &str,
    rows: impl Iterator<Item = (String, f64)>,
    design_effect: f64,
    stream: &mut Stream,
) -> String {
    let mut text = header.to_owned();
    for (code, persons) in rows {
        let standard_error = design_effect * persons.max(1.0).sqrt();
        let noise = if persons > 0.0 { standard_error * stream.deviate() } else { 0.0 };
        let estimate = (persons + noise + 0.5).floor().max(0.0);
        line(&mut text, format_args!("{code},{estimate},{}", (Z_90 * standard_error).ceil()));
    }
    text
}

/// A table of register counts, which carry no margin of error.
fn register(rows: impl Iterator<Item = (String, f64)>) -> String {
    let mut text = "geoid,target\n".to_owned();
    for (code, persons) in rows {
        line(&mut text, format_args!("{code},{persons}"));
    }
    text
}

fn line(text: &mut String, fields: std::fmt::Arguments<'_>) {
    writeln!(text, "{fields}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::RegionOptions;

    fn sum(text: &str, column: usize) -> f64 {
        text.lines()
            .skip(1)
            .map(|l| l.split(',').nth(column).unwrap().parse::<f64>().unwrap())
            .sum()
    }

    #[test]
    fn tables_agree_with_each_other_up_to_noise() {
        let region = Region::generate(&RegionOptions::default()).unwrap();
        let files: BTreeMap<_, _> = targets(&region).unwrap().into_iter().collect();
        let total: f64 = region.places.population.iter().map(|&p| f64::from(p)).sum();
        assert_eq!(sum(&files["county_out.csv"], 1), total);
        let residual = sum(&files["county_in.csv"], 1) / total - 1.0;
        assert!((0.0015..0.0025).contains(&residual), "{residual}");
        // Six standard errors of the noise of each table.
        let close = |persons: f64| {
            assert!((persons - total).abs() < 6.0 * DESIGN_EFFECT * total.sqrt(), "{persons}");
        };
        close(sum(&files["cbg_population.csv"], 1));
        close(sum(&files["state_flows.csv"], 2));
        close(sum(&files["state_movers.csv"], 1) + sum(&files["state_non_movers.csv"], 1));
        assert_eq!(files["state_flows.csv"].lines().count(), 10);
    }
}
