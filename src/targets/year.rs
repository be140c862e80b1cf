//! Targets of one year from population estimates and state-to-state flows.
//!
//! With P(t) the population on July 1 of year t, B births, D deaths and I net international
//! migration of the year that ends then, and the American Community Survey's answers in year t:
//!
//! ```text
//! emigrants(t)             = abroad(t) - I(t)
//! county, origins          = P(t - 1)
//! county, destinations     = P(t) - B(t) + D(t) - I(t)
//! state, stayers           = same house(t) + D(t) + emigrants(t)
//! state, movers            = P(t) - abroad(t) - B(t) - same house(t)
//! state to another state   = F(t)
//! state to itself          = same house(t) + same state(t) + D(t) + emigrants(t)
//! ```
//!
//! A matrix has everyone who lived in the country in year t - 1. Who was born or came since is not
//! in it; who died or left since counts as having stayed. Populations are register counts without a
//! margin of error; those of sums of survey estimates are the roots of the sums of squares.
//!
//! Source: Agostini et al., *Inferring fine-grained migration patterns across the United States*,
//! Nature Communications 2025, <https://arxiv.org/abs/2503.20989>.

use std::collections::BTreeMap;
use std::path::Path;

use crate::census::pep::{Measure, Pep};
use crate::census::state_flows::{CurrentState, StateFlows};
use crate::census::{Estimate, STATES, margin_of_error};
use crate::geography::{Crosswalk, Level};
use crate::{Error, Result};

/// What became of the people of an area between July 1 of two years. Persons.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Components {
    /// Residents a year before, P(t - 1).
    pub before: f64,
    /// Residents, P(t).
    pub after: f64,
    /// Births of the year.
    pub births: f64,
    /// Deaths of the year.
    pub deaths: f64,
    /// Net international migration of the year.
    pub international: f64,
    /// Net domestic migration of the year, where published.
    pub domestic: Option<f64>,
}

impl Components {
    /// Those of t who lived in the country a year before, and those who died or left since:
    /// P(t) - B + D - I.
    pub fn arrivals(&self) -> f64 {
        self.after - self.births + self.deaths - self.international
    }

    fn add(&mut self, other: &Self) {
        self.before += other.before;
        self.after += other.after;
        self.births += other.births;
        self.deaths += other.deaths;
        self.international += other.international;
        self.domestic = self.domestic.zip(other.domestic).map(|(a, b)| a + b);
    }
}

/// Populations and components of change of one year, by county, state and nation.
#[derive(Clone, Debug)]
pub struct Change {
    /// By canonical county code.
    pub counties: BTreeMap<String, Components>,
    /// By state code: the sums of the counties.
    pub states: BTreeMap<String, Components>,
    /// The sum of the states.
    pub nation: Components,
}

impl Change {
    /// Takes a year from a file of county estimates, without Puerto Rico.
    ///
    /// # Errors
    /// If the file lacks the year or the one before, has components of three months only, or has no
    /// counties.
    pub fn new(year: i32, pep: &Pep, crosswalk: &Crosswalk) -> Result<Self> {
        if pep.is_partial(year) {
            return Err(Error::data(
                pep.path(),
                ":1",
                format!(
                    "expected components of the whole year {year}, found those of April to June: \
                     the estimates start in {year}, so the first year is {}",
                    year + 1
                ),
            ));
        }
        let start = Components { domestic: Some(0.0), ..Components::default() };
        let mut change = Self { counties: BTreeMap::new(), states: BTreeMap::new(), nation: start };
        let counties = pep.geoids(&Level::County).map(crate::geography::Geoid::as_str);
        for county in counties.filter(|county| is_in_a_state(county)) {
            let of = |measure, year| Ok(pep.require(county, measure, year)? as f64);
            let components = Components {
                before: of(Measure::Population, year - 1)?,
                after: of(Measure::Population, year)?,
                births: of(Measure::Births, year)?,
                deaths: of(Measure::Deaths, year)?,
                international: of(Measure::International, year)?,
                domestic: pep.domestic(county, year).map(|persons| persons as f64),
            };
            let own = crosswalk.canonical(county).into_owned();
            let state = own[..2].to_owned();
            change.counties.entry(own).or_insert(start).add(&components);
            change.states.entry(state).or_insert(start).add(&components);
            change.nation.add(&components);
        }
        if change.counties.is_empty() {
            let problem = "expected rows of counties in the 51 states, found none";
            return Err(Error::data(pep.path(), "", problem));
        }
        Ok(change)
    }

    /// Refuses county estimates that lack a state whose people the flows tell of. The nation may be
    /// a part of a larger one: states without people have rows of zeros in the flows.
    ///
    /// # Errors
    /// Names the states; `pep` is where the estimates were read from.
    pub fn require_states(&self, pep: &Path, flows: &StateFlows) -> Result<()> {
        let has_people = |code: &str, state: &CurrentState| {
            let from = |(_, to): (_, &CurrentState)| to.origin(code).is_some_and(|f| f.value > 0.0);
            state.population.value > 0.0 || flows.states().any(from)
        };
        let lacking: Vec<&str> = flows
            .states()
            .filter(|(code, state)| !self.states.contains_key(*code) && has_people(code, state))
            .map(|(code, _)| code)
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "expected counties of all states in the state-to-state flows, found none of {}",
            lacking.join(", ")
        );
        Err(Error::data(pep, "", problem))
    }
}

fn is_in_a_state(county: &str) -> bool {
    STATES.binary_search_by_key(&&county[..2], |(code, _)| code).is_ok()
}

/// Targets of a year by cell.
#[derive(Clone, Debug)]
pub struct YearTargets {
    /// End year t.
    pub year: i32,
    /// Origins by county: who lived there a year before.
    pub county_out: BTreeMap<String, f64>,
    /// Destinations by county: who lives there, died or emigrated, of those.
    pub county_in: BTreeMap<String, f64>,
    /// Movers by state of destination.
    pub state_movers: BTreeMap<String, Estimate>,
    /// Stayers by state.
    pub state_non_movers: BTreeMap<String, Estimate>,
    /// Everyone by (origin, destination) state; pairs without an estimate are left out.
    pub state_flows: BTreeMap<(String, String), Estimate>,
}

impl YearTargets {
    /// Computes the targets by the formulas of the module docs, for the states that have counties.
    ///
    /// # Errors
    /// If the flows are of another year, or a target is below 0.
    pub fn new(year: i32, change: &Change, flows: &StateFlows) -> Result<Self> {
        if flows.year != year {
            return Err(Error::request(format!(
                "expected state-to-state flows of {year}, found the table of {}",
                flows.year
            )));
        }
        let mut targets = Self {
            year,
            county_out: BTreeMap::new(),
            county_in: BTreeMap::new(),
            state_movers: BTreeMap::new(),
            state_non_movers: BTreeMap::new(),
            state_flows: BTreeMap::new(),
        };
        for (county, components) in &change.counties {
            let arrivals = not_negative(components.arrivals(), "destinations", county)?;
            targets.county_out.insert(county.clone(), components.before);
            targets.county_in.insert(county.clone(), arrivals);
        }
        for (code, state) in flows.states() {
            let Some(components) = change.states.get(code) else { continue };
            let (abroad, same_house) = (state.abroad, state.same_house);
            let left = components.deaths + abroad.value - components.international;
            let movers = components.after - abroad.value - components.births - same_house.value;
            let moe = combined(&[abroad, same_house]);
            let movers = Estimate { value: not_negative(movers, "movers", code)?, moe };
            let stayers = not_negative(same_house.value + left, "stayers", code)?;
            let stayers = Estimate { value: stayers, moe };
            let home = not_negative(stayers.value + state.same_state.value, "flow", code)?;
            let moe = combined(&[abroad, same_house, state.same_state]);
            targets.state_movers.insert(code.to_owned(), movers);
            targets.state_non_movers.insert(code.to_owned(), stayers);
            for origin in change.states.keys() {
                let flow = if origin == code {
                    Some(Estimate { value: home, moe })
                } else {
                    state.origin(origin)
                };
                if let Some(flow) = flow {
                    targets.state_flows.insert((origin.clone(), code.to_owned()), flow);
                }
            }
        }
        Ok(targets)
    }
}

fn not_negative(target: f64, what: &str, code: &str) -> Result<f64> {
    if target >= 0.0 {
        return Ok(target);
    }
    Err(Error::request(format!(
        "target of {what} of `{code}`: expected persons >= 0, found {target}; the tables contradict \
         each other"
    )))
}

/// The margin of error of a sum; `None` where one of them is not published.
fn combined(estimates: &[Estimate]) -> Option<f64> {
    let moes = estimates.iter().map(|estimate| estimate.moe).collect::<Option<Vec<f64>>>()?;
    Some(margin_of_error::combined(moes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_by_hand() {
        let mut sum = Components {
            before: 100.0,
            after: 110.0,
            births: 5.0,
            deaths: 3.0,
            international: 2.0,
            domestic: Some(4.0),
        };
        assert_eq!(sum.arrivals(), 106.0);
        sum.add(&Components { domestic: None, ..sum });
        assert_eq!((sum.before, sum.arrivals(), sum.domestic), (200.0, 212.0, None));
    }

    #[test]
    fn margins_combine_where_all_are_known() {
        let estimate = |moe| Estimate { value: 1.0, moe };
        assert_eq!(combined(&[estimate(Some(3.0)), estimate(Some(4.0))]), Some(5.0));
        assert_eq!(combined(&[estimate(Some(3.0)), estimate(None)]), None);
        assert_eq!(not_negative(0.0, "movers", "01").unwrap(), 0.0);
        assert_eq!(
            not_negative(-1.5, "movers", "01").unwrap_err().to_string(),
            "target of movers of `01`: expected persons >= 0, found -1.5; the tables contradict \
             each other"
        );
    }
}
