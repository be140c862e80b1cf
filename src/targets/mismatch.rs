//! Where the sources of a year do not agree, for the nation and every state.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::year::{Change, Components, YearTargets};
use crate::census::pep::{Measure, Pep};
use crate::census::state_flows::StateFlows;
use crate::census::{Estimate, margin_of_error};

/// Area code of the nation.
pub const NATION: &str = "US";

/// One number as two sources have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// State code, or [`NATION`].
    pub area: String,
    /// What is counted.
    pub quantity: &'static str,
    /// Where the first number is from.
    pub source: &'static str,
    /// Persons by the first source.
    pub value: f64,
    /// Where the other number is from.
    pub other_source: &'static str,
    /// Persons by the other source.
    pub other_value: f64,
    /// Margin of error at 90 % of the survey's number, persons, where it is known.
    pub moe: Option<f64>,
}

impl Mismatch {
    /// First less other, persons.
    pub fn difference(&self) -> f64 {
        self.value - self.other_value
    }

    /// The difference as a share of the other number; 0 / 0 is 0.
    pub fn relative(&self) -> f64 {
        if self.difference() == 0.0 { 0.0 } else { self.difference() / self.other_value.abs() }
    }
}

const ACS: &str = "ACS 1-year";
const PEP: &str = "PEP counties";

/// Compares what two sources say about the same people.
///
/// Equal numbers are listed too: that they agree is worth knowing. `populations` are those of year
/// t - 1 by state, summed over the units; `states` a file of state estimates.
pub fn mismatches(
    change: &Change,
    flows: &StateFlows,
    targets: &YearTargets,
    populations: Option<&BTreeMap<String, f64>>,
    states: Option<&Pep>,
) -> Vec<Mismatch> {
    let mut rows = Vec::new();
    let areas = change.states.iter().map(|(code, components)| (code.as_str(), components));
    for (area, components) in std::iter::once((NATION, &change.nation)).chain(areas) {
        let mut row = |quantity, source, first: Estimate, other_source, other_value| {
            rows.push(Mismatch {
                area: area.to_owned(),
                quantity,
                source,
                value: first.value,
                other_source,
                other_value,
                moe: first.moe,
            });
        };
        let survey = if area == NATION { Some(&flows.nation) } else { flows.state(area) };
        if let Some(survey) = survey {
            let older = components.after - components.births;
            row("population 1 year and over", ACS, survey.population, PEP, older);
            let international = components.international;
            row(
                "immigrants and net international migration",
                ACS,
                survey.abroad,
                PEP,
                international,
            );
        }
        // Sums of flows say something where the table has all of them; the nation's are those
        // between its states.
        let flows_of = |end: usize| -> Vec<Estimate> {
            let cells = targets.state_flows.iter();
            cells
                .filter(|((i, j), _)| area == NATION || [i, j][end] == area)
                .map(|(_, flow)| *flow)
                .collect()
        };
        let others = change.states.len();
        let all = if area == NATION { others * others } else { others };
        let [departures, arrivals] = [flows_of(0), flows_of(1)];
        let (before, lived) = ("population of the year before", "flows between states");
        if departures.len() == all {
            row(before, lived, sum(&departures), PEP, components.before);
        }
        if arrivals.len() == all {
            let here = "population that lived in the country a year before";
            row(here, lived, sum(&arrivals), PEP, components.arrivals());
        }
        if let (Some(domestic), true) = (components.domestic, area != NATION)
            && departures.len() + arrivals.len() == 2 * all
        {
            let net = net_migration(area, targets);
            row("net domestic migration", lived, net, PEP, domestic);
        }
        if let Some(domestic) = components.domestic {
            let value = components.arrivals() - domestic;
            let count = Estimate { value, moe: None };
            row(before, "PEP components of change", count, PEP, components.before);
        }
        if let Some(populations) = populations {
            let value = match area {
                NATION => populations.values().sum(),
                state => populations.get(state).copied().unwrap_or(0.0),
            };
            let count = Estimate { value, moe: None };
            row(before, "populations of the units", count, PEP, components.before);
        }
        if let Some(states) = states {
            for (quantity, published, own) in published(states, targets.year, area, components) {
                let count = Estimate { value: published, moe: None };
                row(quantity, "PEP states", count, PEP, own);
            }
        }
    }
    rows
}

/// Arrivals from other states less departures to them, persons.
fn net_migration(area: &str, targets: &YearTargets) -> Estimate {
    let crossing = targets.state_flows.iter().filter(|((i, j), _)| i != j);
    let touching = crossing.filter(|((i, j), _)| i == area || j == area);
    let signed: Vec<Estimate> = touching
        .map(|((_, j), flow)| {
            let sign = if j == area { 1.0 } else { -1.0 };
            Estimate { value: sign * flow.value, moe: flow.moe }
        })
        .collect();
    sum(&signed)
}

/// A sum with its margin of error, `None` where one of them is not known.
fn sum(estimates: &[Estimate]) -> Estimate {
    let moes = estimates.iter().map(|e| e.moe).collect::<Option<Vec<f64>>>();
    Estimate {
        value: estimates.iter().map(|e| e.value).sum(),
        moe: moes.map(margin_of_error::combined),
    }
}

/// What a file of state estimates says of an area: quantity, its persons, the sum of counties.
fn published(
    states: &Pep,
    year: i32,
    area: &str,
    own: &Components,
) -> Vec<(&'static str, f64, f64)> {
    let area = if area == NATION { Pep::NATION } else { area };
    let rows = [
        ("population of the year before", Measure::Population, year - 1, Some(own.before)),
        ("population", Measure::Population, year, Some(own.after)),
        ("births", Measure::Births, year, Some(own.births)),
        ("deaths", Measure::Deaths, year, Some(own.deaths)),
        ("net international migration", Measure::International, year, Some(own.international)),
        ("net domestic migration", Measure::Domestic, year, own.domestic),
    ];
    rows.into_iter()
        .filter_map(|(quantity, measure, year, own)| {
            Some((quantity, states.get(area, measure, year)? as f64, own?))
        })
        .collect()
}

/// Writes the table, one comparison a row.
///
/// # Errors
/// If the file cannot be written.
pub fn write(rows: &[Mismatch], file: impl Write) -> std::io::Result<()> {
    let mut out = csv::Writer::from_writer(file);
    out.write_record([
        "area",
        "quantity",
        "source",
        "value",
        "other_source",
        "other_value",
        "difference",
        "relative",
        "moe",
    ])?;
    for row in rows {
        let numbers = [row.value, row.other_value, row.difference(), row.relative()];
        let [value, other_value, difference, relative] = numbers.map(|n| n.to_string());
        let moe = row.moe.map_or(String::new(), |moe| moe.to_string());
        out.write_record([
            row.area.as_str(),
            row.quantity,
            row.source,
            &value,
            row.other_source,
            &other_value,
            &difference,
            &relative,
            &moe,
        ])?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let row = |value, other_value| Mismatch {
            area: NATION.into(),
            quantity: "births",
            source: "a",
            value,
            other_source: "b",
            other_value,
            moe: None,
        };
        assert_eq!((row(3.0, 4.0).difference(), row(3.0, 4.0).relative()), (-1.0, -0.25));
        assert_eq!((row(0.0, 0.0).relative(), row(1.0, 0.0).relative()), (0.0, f64::INFINITY));
        let mut csv = Vec::new();
        write(&[row(3.0, 4.0)], &mut csv).unwrap();
        let line = "US,births,a,3,b,4,-1,-0.25,";
        assert_eq!(String::from_utf8(csv).unwrap().lines().nth(1), Some(line));
    }

    #[test]
    fn sums_have_a_margin_where_all_have_one() {
        let estimate = |value, moe| Estimate { value, moe };
        let all = [estimate(1.0, Some(3.0)), estimate(2.0, Some(4.0))];
        assert_eq!(sum(&all), estimate(3.0, Some(5.0)));
        assert_eq!(sum(&[all[0], estimate(5.0, None)]), estimate(6.0, None));
    }
}
