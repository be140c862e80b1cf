//! The folder of a nation: matrices by year, and tables as the Census Bureau would have published
//! them, in the layouts that [`census`](crate::census) reads.
//!
//! Estimates of counties are registers: births, deaths and migration are the true ones, and the
//! population differs from the truth by residuals of about 0.025 % a year, which add up over the
//! years. Of the year before the first, whose components would be of three months, all are 0. Survey
//! estimates of block groups are means over those of the five years that are at hand, with sampling
//! noise. Flows between states are the survey's of the year alone (`state_flows`). The places
//! themselves are written as centers of population, counted the year before the first.

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
/// (`truth-2011.npz`) if there are several; `populations.csv`, the true ones by year; `components.csv`, why they changed;
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
        let flows =
            workbook(year, &flows.table(Some(&mut history.stream(FLOWS + u64::from(year)))));
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
    add(&mut outputs, "components.csv", history.true_components(geography).as_bytes())?;
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

    /// Columns `births2011` and so on, by year.
    fn true_components(&self, geography: &Geography) -> String {
        let mut text = "geoid".to_owned();
        for year in self.years().skip(1) {
            for kind in ["births", "deaths", "immigrants", "emigrants"] {
                put(&mut text, format_args!("{kind}{year}"));
            }
        }
        text.push('\n');
        for (unit, geoid) in geography.geoids().iter().enumerate() {
            text += geoid.as_str();
            for changes in &self.changes {
                let Components { births, deaths, immigrants, emigrants, .. } = changes;
                for counts in [births, deaths, immigrants, emigrants] {
                    put(&mut text, counts[unit]);
                }
            }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::census::pep::{Measure, Pep};
    use crate::census::state_flows::StateFlows;
    use crate::census::{Estimate, margin_of_error};
    use crate::geography::{Crosswalk, Level};
    use crate::matrix::FlowRows as _;
    use crate::synth::nation::made_up_places;
    use crate::targets::{Change, YearTargets};

    /// The truth of what targets are about.
    #[derive(Default)]
    struct Truth {
        /// Movers by state of destination, and stayers.
        movers: BTreeMap<String, f64>,
        stayers: BTreeMap<String, f64>,
        /// Everyone by states of origin and destination.
        flows: BTreeMap<(String, String), f64>,
        /// Residuals of the estimates by state.
        residuals: BTreeMap<String, f64>,
    }

    /// A made-up nation of 12 states, its tables as read and what they should say.
    fn year(sampled: bool) -> (Truth, YearTargets, StateFlows) {
        let places = made_up_places(600, 3).unwrap();
        let nation = Nation::generate(&places, &NationOptions::DEFAULT).unwrap();
        let changes = Components::draw(&nation);
        let answers = Answers::new(&nation, &changes);
        let mut history = History::new(&nation);
        history.populations.push(changes.population());
        history.changes.push(changes);

        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let estimates = history.estimates(&nation.geography, &nation.places.county);
        let pep = Pep::read(&write("co-est2011-alldata.csv", estimates.as_bytes())).unwrap();
        let mut stream = history.stream(FLOWS);
        let rows = answers.table(sampled.then_some(&mut stream));
        let flows = StateFlows::read(&write("flows.xlsx", &workbook(2011, &rows))).unwrap();
        assert_eq!(flows.warnings(), [""; 0], "every identity was checked");
        let change = Change::new(2011, &pep, &Crosswalk::of_the_2010s()).unwrap();
        change.require_states(pep.path(), &flows).unwrap();

        let mut truth = Truth::default();
        let state = |unit: usize| nation.geography.geoids()[unit].as_str()[..2].to_owned();
        let (mut to, mut persons) = (Vec::new(), Vec::new());
        for unit in 0..nation.places.len() {
            nation.truth.row(unit, &mut to, &mut persons);
            for (&to, &persons) in to.iter().zip(&persons) {
                let to = to as usize;
                let kind = if to == unit { &mut truth.stayers } else { &mut truth.movers };
                *kind.entry(state(to)).or_default() += persons;
                *truth.flows.entry((state(unit), state(to))).or_default() += persons;
            }
        }
        for code in pep.geoids(&Level::State) {
            let residual = pep.get(code.as_str(), Measure::Residual, 2011).unwrap();
            truth.residuals.insert(code.to_string(), residual as f64);
        }
        assert!(truth.residuals.values().any(|&residual| residual != 0.0));
        (truth, YearTargets::new(2011, &change, &flows).unwrap(), flows)
    }

    #[test]
    fn targets_of_a_complete_count_are_the_truth() {
        let (truth, targets, flows) = year(false);
        assert_eq!(targets.state_movers.len(), 12);
        for (code, movers) in &targets.state_movers {
            assert_eq!(movers.value - truth.residuals[code], truth.movers[code], "{code}");
            assert_eq!(movers.moe, Some(0.0));
            assert_eq!(targets.state_non_movers[code].value, truth.stayers[code], "{code}");
        }
        assert_eq!(targets.state_flows.len(), 144);
        for (ends, flow) in &targets.state_flows {
            let expected = truth.flows.get(ends).copied().unwrap_or(0.0);
            assert_eq!(*flow, Estimate { value: expected, moe: Some(0.0) }, "{ends:?}");
        }
        let abroad = flows.nation.abroad.value;
        let from = flows.nation.puerto_rico.unwrap().value / abroad;
        assert!(abroad > 3000.0 && (0.03..0.041).contains(&from), "{from} of {abroad}");
    }

    #[test]
    fn sampled_targets_are_the_truth_within_their_sampling_error() {
        let (truth, targets, flows) = year(true);
        let mut squares = Vec::new();
        let mut check = |what: &str, code: &str, target: Estimate, expected: f64| {
            // A small flow of which nobody was sampled has a smaller margin than one that was.
            let case = flows.state(code).unwrap().population.value / 2000.0;
            let error = margin_of_error::standard_error(target.moe.unwrap());
            let off = (target.value - expected) / error.max((case * expected).sqrt());
            assert!(off.abs() < 5.0, "{what} {code}: {target:?} of {expected}");
            if expected > 1000.0 {
                squares.push(off * off);
            }
        };
        for (code, &movers) in &targets.state_movers {
            check("movers", code, movers, truth.movers[code] + truth.residuals[code]);
            check("stayers", code, targets.state_non_movers[code], truth.stayers[code]);
        }
        for (ends, &flow) in &targets.state_flows {
            let expected = truth.flows.get(ends).copied().unwrap_or(0.0);
            check(&ends.0, &ends.1, flow, expected);
        }
        let variance = squares.iter().sum::<f64>() / squares.len() as f64;
        assert!(squares.len() > 30 && (0.4..1.6).contains(&variance), "{variance}: {squares:?}");

        // Small flows are relatively less certain, and what is not sampled has no error.
        let alabama = flows.state("01").unwrap();
        let relative = |estimate: Estimate| estimate.moe.unwrap() / estimate.value;
        assert!(relative(alabama.different_state) > 2.0 * relative(alabama.same_state));
        assert!(relative(alabama.population) < 0.5 * relative(alabama.same_house));
        assert_eq!(flows.state("02").unwrap().population, Estimate { value: 0.0, moe: Some(0.0) });
    }
}
