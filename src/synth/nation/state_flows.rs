//! The survey's workbook of state-to-state flows, in a layout that
//! [`census::state_flows`](crate::census::state_flows) reads.
//!
//! **Counted.** With the truth T of year t, its stayers, and births B, deaths D, immigrants and
//! emigrants of that year, the people of 1 year and over of a state are
//!
//! ```text
//! same house        = stayers - D - emigrants
//! same state        = movers within the state
//! different state   = movers from each other state
//! abroad            = immigrants
//! population        = P(t) - B, the sum of these
//! ```
//!
//! so that the formulas of [`YearTargets`](crate::targets::YearTargets) give back T: "abroad" less net
//! international migration are the emigrants, who with the dead return to the stayers and to the
//! diagonal of the flows. What is left is sampling error, and for the movers the residual of the
//! estimates, which that target has in its P(t).
//!
//! **Sampled.** A number is v times a Poisson number of mean persons / v: standard error
//! sqrt(v persons), so that the relative error grows as flows get small, most of those below v = 200
//! persons are 0, and none is below 0. The survey of 2011 has v = 150 to 400 in its flows (Vermont
//! less, Arizona and Florida more). Small states are sampled more densely: v is at most a 2,000th of
//! their people. Weights are controlled to the estimates, so that of the population only those below
//! 1 year are uncertain, and the same house has what the movers leave. Margins of error follow from
//! the estimates, as they do in the survey.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, Worksheet, XlsxError};

use super::{Components, Nation};
use crate::census::STATES;
use crate::census::margin_of_error::Z_90;
use crate::synth::random::Stream;

/// Persons v that a case of the sample stands for, correlation within households included.
const CASE: f64 = 200.0;
/// A state has at least this many cases.
const CASES: f64 = 2000.0;
/// Means above this are drawn from the normal distribution.
const LARGE_MEAN: f64 = 100.0;
/// Shares of Puerto Rico and the island areas in those who come from abroad; the rest come from
/// foreign countries.
const FROM_PUERTO_RICO: f64 = 0.04;
const FROM_ISLANDS: f64 = 0.008;

/// Places of [`Answers::moved`]: the origins in the order of [`STATES`], of which the own state
/// stands for moves within it, then the parts of abroad.
const PUERTO_RICO: usize = STATES.len();
const ISLANDS: usize = PUERTO_RICO + 1;
const FOREIGN: usize = PUERTO_RICO + 2;
const PLACES: usize = PUERTO_RICO + 3;

/// The people of 1 year and over of every state, by where they lived a year before.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    /// Persons below 1 year.
    infants: Vec<f64>,
    /// Lived in the same house.
    same_house: Vec<f64>,
    /// Lived elsewhere, by current state and place.
    moved: Vec<[f64; PLACES]>,
}

impl Answers {
    /// Counts everyone.
    pub fn new(nation: &Nation, changes: &Components) -> Self {
        let mut answers = Self {
            infants: vec![0.0; STATES.len()],
            same_house: vec![0.0; STATES.len()],
            moved: vec![[0.0; PLACES]; STATES.len()],
        };
        let state: Vec<usize> = (0..nation.places.len())
            .map(|unit| nation.places.state_position(unit).expect("places are in the states"))
            .collect();
        for (unit, &here) in state.iter().enumerate() {
            let left = changes.deaths[unit] + changes.emigrants[unit];
            answers.same_house[here] += nation.truth.stayers()[unit] - f64::from(left);
            answers.infants[here] += f64::from(changes.births[unit]);
            answers.moved[here][FOREIGN] += f64::from(changes.immigrants[unit]);
            let (to, persons) = nation.truth.movers().row(unit);
            for (&to, &persons) in to.iter().zip(persons) {
                answers.moved[state[to as usize]][here] += f64::from(persons);
            }
        }
        for moved in &mut answers.moved {
            let abroad = moved[FOREIGN];
            moved[PUERTO_RICO] = (FROM_PUERTO_RICO * abroad).floor();
            moved[ISLANDS] = (FROM_ISLANDS * abroad).floor();
            moved[FOREIGN] -= moved[PUERTO_RICO] + moved[ISLANDS];
        }
        answers
    }

    /// What the survey makes of them; without a stream what a complete count would.
    pub fn table(&self, mut stream: Option<&mut Stream>) -> Vec<Row> {
        let mut nation =
            Row { name: "United States", cells: [Cell::default(); COLUMNS], own: None };
        let mut rows = Vec::new();
        for (here, moved) in self.moved.iter().enumerate() {
            let persons = self.same_house[here] + moved.iter().sum::<f64>();
            let case = CASE.min(persons / CASES);
            let mut draw = |persons| match stream.as_deref_mut() {
                Some(stream) => Cell::sampled(persons, case, stream),
                None => Cell { persons, variance: 0.0 },
            };
            let parts = moved.map(&mut draw);
            let infants = draw(self.infants[here]);
            let all = sum(&parts);
            let population = persons + self.infants[here] - infants.persons;
            let same_house = Cell {
                persons: (population - all.persons).max(0.0),
                variance: all.variance + infants.variance,
            };
            let population =
                Cell { persons: same_house.persons + all.persons, variance: infants.variance };
            let mut origins = parts[..STATES.len()].to_vec();
            let same_state = std::mem::take(&mut origins[here]);
            let abroad = &parts[PUERTO_RICO..];
            let totals = [population, same_house, same_state, sum(&origins)];
            let cells = totals.into_iter().chain(origins).chain([sum(abroad)]);
            let mut row = Row {
                name: STATES[here].1,
                cells: [Cell::default(); COLUMNS],
                own: Some(ORIGINS + here),
            };
            for (to, cell) in row.cells.iter_mut().zip(cells.chain(abroad.iter().copied())) {
                *to = cell;
            }
            for (total, cell) in nation.cells.iter_mut().zip(&row.cells) {
                *total = sum(&[*total, *cell]);
            }
            rows.push(row);
        }
        rows.insert(0, nation);
        rows
    }
}

/// An estimate and the square of its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub persons: f64,
    pub variance: f64,
}

impl Cell {
    /// An estimate of a number of persons from a sample in which a case stands for `case` of them.
    fn sampled(persons: f64, case: f64, stream: &mut Stream) -> Self {
        if case <= 0.0 {
            return Self::default();
        }
        let estimate = (case * poisson(persons / case, stream)).round();
        // The published margins of zeros are those of about a third of a case.
        Self { persons: estimate, variance: case * estimate.max(case / 3.0) }
    }

    /// The margin of error at 90 %, rounded up.
    fn moe(self) -> f64 {
        (Z_90 * self.variance.sqrt()).ceil()
    }
}

/// The sum of independent estimates.
fn sum(cells: &[Cell]) -> Cell {
    cells.iter().fold(Cell::default(), |sum, cell| Cell {
        persons: sum.persons + cell.persons,
        variance: sum.variance + cell.variance,
    })
}

/// A Poisson number, by products of uniforms or, where the mean is large, nearly normal.
fn poisson(mean: f64, stream: &mut Stream) -> f64 {
    if mean > LARGE_MEAN {
        return mean + mean.sqrt() * stream.deviate();
    }
    let limit = libm::exp(-mean);
    let (mut number, mut product) = (0.0, stream.uniform());
    while product > limit {
        product *= stream.uniform();
        number += 1.0;
    }
    number
}

/// First of the columns of origins, and number of columns.
const ORIGINS: usize = 4;
const COLUMNS: usize = ORIGINS + STATES.len() + 4;

/// A line of the table: population, same house, same state, different state, origins, abroad and its
/// parts.
#[derive(Clone, Debug)]
pub(super) struct Row {
    name: &'static str,
    cells: [Cell; COLUMNS],
    /// Column of the state itself, which holds no number.
    own: Option<usize>,
}

/// The workbook of a year as bytes.
pub(super) fn workbook(year: u16, rows: &[Row]) -> Vec<u8> {
    // A fixed date, since the same options give the same bytes.
    let date = ExcelDateTime::from_ymd(year, 1, 1).expect("years are from 1900 to 2100");
    let mut workbook = Workbook::new();
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&date));
    fill(workbook.add_worksheet(), year, rows).expect("the table fits into a sheet");
    workbook.save_to_buffer().expect("memory takes any bytes")
}

fn fill(sheet: &mut Worksheet, year: u16, rows: &[Row]) -> Result<(), XlsxError> {
    const HEADER: u32 = 4;
    sheet.set_name("Table")?;
    sheet.write(0, 0, format!("State-to-State Migration Flows: {year}"))?;
    let survey = "American Community Survey 1-Year Estimates, generated by flowrake synth";
    sheet.write(1, 0, format!("Dataset: {year} {survey}"))?;
    sheet.write(2, 0, "Universe: Population 1 year and over")?;
    sheet.write(HEADER, 0, "Current residence in")?;
    for (column, group) in [
        (0, "Population 1 year and over"),
        (1, "Same house 1 year ago"),
        (2, "Same state of residence 1 year ago"),
        (3, "Different state of residence 1 year ago"),
        (COLUMNS - 4, "Abroad 1 year ago"),
    ] {
        sheet.write(HEADER, place(column), group)?;
    }
    let origins = STATES.iter().map(|state| state.1);
    let abroad = ["Total", "Puerto Rico", "U.S. Island Area", "Foreign Country"];
    for (k, leaf) in ["Total"].into_iter().chain(origins).chain(abroad).enumerate() {
        sheet.write(HEADER + 1, place(ORIGINS - 1 + k), leaf)?;
    }
    for column in 0..COLUMNS {
        sheet.write(HEADER + 2, place(column), "Estimate")?;
        sheet.write(HEADER + 2, place(column) + 1, "MOE")?;
    }
    for (at, row) in (HEADER + 3..).zip(rows) {
        sheet.write(at, 0, row.name)?;
        for (column, cell) in row.cells.iter().enumerate() {
            let at_column = place(column);
            if row.own == Some(column) {
                sheet.write(at, at_column, "N/A")?;
                sheet.write(at, at_column + 1, "N/A")?;
            } else {
                sheet.write(at, at_column, cell.persons)?;
                sheet.write(at, at_column + 1, cell.moe())?;
            }
        }
    }
    Ok(())
}

/// Where the estimates of a column stand, beside their margins of error.
fn place(column: usize) -> u16 {
    1 + 2 * column as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::random::Purpose;

    #[test]
    fn estimates_are_right_on_average_and_relatively_worse_for_small_flows() {
        let mut stream = Stream::new(1, Purpose::Tables, 0);
        // Below, just below and above the mean at which the normal distribution takes over.
        for persons in [50.0, 2_000.0, 19_000.0, 21_000.0, 2_000_000.0] {
            let draws: Vec<Cell> =
                (0..20_000).map(|_| Cell::sampled(persons, 200.0, &mut stream)).collect();
            let n = draws.len() as f64;
            let mean = draws.iter().map(|cell| cell.persons).sum::<f64>() / n;
            let square = draws.iter().map(|cell| (cell.persons - persons).powi(2)).sum::<f64>() / n;
            let error = (200.0 * persons).sqrt();
            // Five standard errors of the mean of the draws; the square within a tenth.
            assert!((mean - persons).abs() < 5.0 * error / n.sqrt(), "{mean} of {persons}");
            assert!((square / (200.0 * persons) - 1.0).abs() < 0.1, "{square} of {persons}");
            assert!(draws.iter().all(|cell| cell.persons >= 0.0 && cell.persons.fract() == 0.0));
        }
        assert_eq!(Cell::sampled(0.0, 200.0, &mut stream).persons, 0.0);
        assert_eq!(Cell::sampled(0.0, 200.0, &mut stream).moe(), 190.0);
        assert_eq!(Cell { persons: 800.0, variance: 160_000.0 }.moe(), 658.0);
        // Nobody to sample.
        assert_eq!(Cell::sampled(0.0, 0.0, &mut stream).moe(), 0.0);
    }
}
