//! The folder of a nation: matrices by year, and tables as the Census Bureau would have published
//! them, in the layouts that [`census`](crate::census) reads.
//!
//! Estimates of counties are registers: births, deaths and migration are the true ones, and the
//! population differs from the truth by residuals of about 0.025 % a year, which add up over the
//! years. Of the year before the first, whose components would be of three months, all are 0. Survey
//! estimates of block groups are means over those of the five years that are at hand, with sampling
//! noise.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::state_flows::{Answers, workbook};
use super::{Components, Nation, NationOptions};
use crate::census::STATES;
use crate::geography::Geography;
use crate::matrix::file;
use crate::output::Outputs;
use crate::synth::random::{Purpose, Stream};
use crate::synth::tables::survey;
use crate::{Error, Result};

/// Standard deviation of a county's residual of a year, as a share of its population.
const RESIDUAL_SPREAD: f64 = 0.00025;
/// Survey standard error over the square root of the estimate, in both in persons: about 150 for
/// 1,400.
const DESIGN_EFFECT: f64 = 4.0;
/// Streams of the tables of flows are numbered from here by year, above those of counties.
const FLOWS: u64 = 1 << 40;
/// Years that a survey table covers.
const WINDOW: u16 = 5;

/// Generates the years up to `last` one after the other and writes everything into a folder, which
/// is created if need be: `units.csv`; the places as [`centers_file`]; `truth.npz` and `seed.npz`, with the year in their names
/// (`truth-2011.npz`) if there are several; `populations.csv`, the true ones by year;
/// `co-est<year>-alldata.csv`; `state_to_state_migrations_table_<year>.xlsx` of every year; and `acs5_<year>-<year>_bg_total_population.csv` for every year from
/// the one before the first. Each year is handed to `show` once it is generated.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write(first: Nation, last: u16, folder: &Path, mut show: impl FnMut(&Nation)) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let mut outputs = Outputs::default();
    let add = |outputs: &mut Outputs, name: &str, bytes: &[u8]| {
        outputs.add(&folder.join(name), |file| file.write_all(bytes))
    };
    add(&mut outputs, "units.csv", first.units().as_bytes())?;
    add(&mut outputs, &centers_file(first.options.year), first.centers().as_bytes())?;
    let several = last > first.options.year;
    let mut history = History::new(&first);
    let mut nation = first;
    loop {
        let year = nation.options.year;
        for (name, matrix) in [("truth", &nation.truth), ("seed", &nation.seed)] {
            let name = if several { format!("{name}-{year}.npz") } else { format!("{name}.npz") };
            file::add(&mut outputs, &folder.join(name), matrix, &nation.geography, &[])?;
        }
        show(&nation);
        let changes = Components::draw(&nation);
        let flows = Answers::new(&nation, &changes);
        let flows = workbook(year, &flows.table(Some(&mut history.stream(FLOWS + u64::from(year)))));
        let name = format!("state_to_state_migrations_table_{year}.xlsx");
        add(&mut outputs, &name, &flows)?;
        history.populations.push(changes.population());
        if year >= last {
            history.changes.push(changes);
            break;
        }
        nation = nation.next_year(&changes);
        history.changes.push(changes);
    }
    let geography = &nation.geography;
    add(&mut outputs, "populations.csv", history.true_populations(geography).as_bytes())?;
    let name = format!("co-est{last}-alldata.csv");
    let estimates = history.estimates(geography, &nation.places.county);
    add(&mut outputs, &name, estimates.as_bytes())?;
    for year in history.base_year..=last {
        let name = format!("acs5_{}-{year}_bg_total_population.csv", year + 1 - WINDOW);
        add(&mut outputs, &name, history.survey(geography, year).as_bytes())?;
    }
    outputs.commit()
}

/// Name of the file of places of a nation whose first matrix ends in `year`; they are counted the
/// year before.
pub fn centers_file(year: u16) -> String {
    format!("CenPop{}_Mean_BG.txt", year - 1)
}

/// What happened, by unit.
struct History {
    options: NationOptions,
    /// The year before the first.
    base_year: u16,
    /// Persons, from the base year on.
    populations: Vec<Vec<u32>>,
    /// Changes, from the year after.
    changes: Vec<Components>,
}

impl History {
    fn new(first: &Nation) -> Self {
        Self {
            options: first.options.clone(),
            base_year: first.options.year - 1,
            populations: vec![first.places.population.clone()],
            changes: Vec::new(),
        }
    }

    /// Years with a population.
    fn years(&self) -> impl Iterator<Item = u16> + Clone {
        self.base_year..self.base_year + self.populations.len() as u16
    }

    fn stream(&self, table: u64) -> Stream {
        Stream::new(self.options.seed, Purpose::Tables, table)
    }

    fn true_populations(&self, geography: &Geography) -> String {
        let mut text = "geoid".to_owned();
        self.years().for_each(|year| put(&mut text, year));
        text.push('\n');
        for (unit, geoid) in geography.geoids().iter().enumerate() {
            text += geoid.as_str();
            self.populations.iter().for_each(|persons| put(&mut text, persons[unit]));
            text.push('\n');
        }
        text
    }

    /// Table B01003 of the survey's five years to one.
    fn survey(&self, geography: &Geography, year: u16) -> String {
        let window: Vec<&Vec<u32>> = self
            .years()
            .zip(&self.populations)
            .filter(|(of, _)| *of <= year && *of + WINDOW > year)
            .map(|(_, persons)| persons)
            .collect();
        let rows = geography.geoids().iter().enumerate().map(|(unit, geoid)| {
            let sum: f64 = window.iter().map(|persons| f64::from(persons[unit])).sum();
            (geoid.to_string(), sum / window.len() as f64)
        });
        let header = "GEOID,B01003_001E,B01003_001M\n";
        survey(header, rows, DESIGN_EFFECT, &mut self.stream(u64::from(year)))
    }

    /// Population estimates and components of change by state and county.
    fn estimates(&self, geography: &Geography, county: &[usize]) -> String {
        let mut text = "SUMLEV,STATE,COUNTY,STNAME,CTYNAME".to_owned();
        put(&mut text, format_args!("ESTIMATESBASE{}", self.base_year));
        for column in COLUMNS {
            self.years().for_each(|year| put(&mut text, format_args!("{column}{year}")));
        }
        text.push('\n');

        let geoids = geography.geoids();
        let counties: Vec<(&str, Area)> = county
            .chunk_by(|a, b| a == b)
            .scan(0, |end, units| {
                let start = *end;
                *end += units.len();
                let code = &geoids[start].as_str()[..5];
                Some((code, self.county(code, start..*end)))
            })
            .collect();
        for state in counties.chunk_by(|a, b| a.0[..2] == b.0[..2]) {
            let code = &state[0].0[..2];
            let name = STATES.iter().find(|s| s.0 == code).map_or(code, |s| s.1);
            let mut total = state[0].1.clone();
            for (_, county) in &state[1..] {
                let both = total.iter_mut().flatten().zip(county.iter().flatten());
                both.for_each(|(total, county)| *total += county);
            }
            row(&mut text, format_args!("040,{code},000,{name},{name}"), &total);
            for (county, area) in state {
                let county = &county[2..];
                let place = format_args!("050,{code},{county},{name},County {county}");
                row(&mut text, place, area);
            }
        }
        text
    }

    /// The columns of a county, by year.
    fn county(&self, code: &str, units: std::ops::Range<usize>) -> Area {
        let sum = |counts: &[u32]| counts[units.clone()].iter().map(|&n| i64::from(n)).sum::<i64>();
        let mut stream = self.stream(code.parse::<u64>().expect("codes are digits") << 16);
        let mut before = sum(&self.populations[0]);
        let mut area = Area::from([const { Vec::new() }; 9]);
        for (k, truth) in self.populations.iter().enumerate() {
            let changes = k.checked_sub(1).map(|k| &self.changes[k]);
            let of = |counts: fn(&Components) -> &[u32]| changes.map_or(0, |c| sum(counts(c)));
            let (births, deaths) = (of(|c| &c.births), of(|c| &c.deaths));
            let international = of(|c| &c.immigrants) - of(|c| &c.emigrants);
            let domestic = changes.map_or(0, |c| sum(&c.arrivals) - sum(&self.populations[k - 1]));
            let noise = RESIDUAL_SPREAD * stream.deviate() * sum(truth) as f64;
            let residual = changes.map_or(0, |_| (noise + 0.5).floor() as i64);
            let migration = international + domestic;
            let change = births - deaths + migration + residual;
            let row = [
                before + change,
                change,
                births,
                deaths,
                births - deaths,
                international,
                domestic,
                migration,
                residual,
            ];
            before += change;
            area.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        area
    }
}

/// Columns of population estimates, a block of years each, in the published order.
const COLUMNS: [&str; 9] = [
    "POPESTIMATE",
    "NPOPCHG_",
    "BIRTHS",
    "DEATHS",
    "NATURALINC",
    "INTERNATIONALMIG",
    "DOMESTICMIG",
    "NETMIG",
    "RESIDUAL",
];

/// Persons by column and year.
type Area = [Vec<i64>; COLUMNS.len()];

fn row(text: &mut String, place: std::fmt::Arguments<'_>, area: &Area) {
    write!(text, "{place}").expect("writing to a string does not fail");
    // Nothing happens between the base and the population of the base year.
    put(text, area[0][0]);
    area.iter().flatten().for_each(|value| put(text, value));
    text.push('\n');
}

/// A further field of a line.
fn put(text: &mut String, field: impl std::fmt::Display) {
    write!(text, ",{field}").expect("writing to a string does not fail");
}
