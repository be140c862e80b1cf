//! What changes a population beside moves within the nation, and so the next year's.

use super::{Nation, NationOptions, Places, flows};
use crate::synth::random::{Purpose, Stream};

/// National rates per person and year, those of 2011 to 2015; a block group has half to one and a
/// half times as many.
const BIRTHS: f64 = 0.0127;
const DEATHS: f64 = 0.0082;
const IMMIGRANTS: f64 = 0.0045;
const EMIGRANTS: f64 = 0.0016;

/// Changes of the population of every unit in the year to t.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Components {
    /// Persons of year t - 1 by where they live in year t: column sums of the truth. The dead and
    /// the emigrants are among them, as stayers.
    pub arrivals: Vec<u32>,
    /// Persons born.
    pub births: Vec<u32>,
    /// Persons who died.
    pub deaths: Vec<u32>,
    /// Persons who came from abroad.
    pub immigrants: Vec<u32>,
    /// Persons who went abroad.
    pub emigrants: Vec<u32>,
}

impl Components {
    /// Draws the changes of a year.
    pub fn draw(nation: &Nation) -> Self {
        let mut changes = Self {
            arrivals: nation.truth.stayers().iter().map(|&s| s as u32).collect(),
            ..Self::default()
        };
        let movers = nation.truth.movers();
        for (&to, &persons) in movers.col_idx().iter().zip(movers.values()) {
            changes.arrivals[to as usize] += persons as u32;
        }
        for unit in 0..nation.places.len() {
            let mut stream = nation.places.stream(&nation.options, Purpose::Components, unit);
            let arrivals = changes.arrivals[unit];
            let stayers = nation.truth.stayers()[unit] as u32;
            let mut share = |rate: f64, of: u32| rounded(rate * f64::from(of), &mut stream);
            changes.births.push(share(BIRTHS, arrivals));
            changes.immigrants.push(share(IMMIGRANTS, arrivals));
            let deaths = share(DEATHS, arrivals).min(stayers);
            changes.deaths.push(deaths);
            changes.emigrants.push(share(EMIGRANTS, arrivals).min(stayers - deaths));
        }
        changes
    }

    /// Persons of year t.
    pub fn population(&self) -> Vec<u32> {
        let unit = |u: usize| {
            self.arrivals[u] + self.births[u] + self.immigrants[u]
                - self.deaths[u]
                - self.emigrants[u]
        };
        (0..self.arrivals.len()).map(unit).collect()
    }
}

/// A whole number of half to one and a half times as many, right on average.
fn rounded(expected: f64, stream: &mut Stream) -> u32 {
    (expected * stream.between(0.5, 1.5) + stream.uniform()).floor() as u32
}

impl Nation {
    /// The year after: the population that the changes leave, and its moves.
    #[must_use]
    pub fn next_year(self, changes: &Components) -> Self {
        let options = NationOptions { year: self.options.year + 1, ..self.options };
        let places = Places { population: changes.population(), ..self.places };
        let (truth, seed) = flows::migrate(&places, &options);
        Self { options, geography: self.geography, places, truth, seed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::nation::tests::centers;

    #[test]
    fn populations_of_years_follow_from_each_other() {
        let mut first = centers(60);
        first.places[3].population = 0;
        let nation = Nation::generate(&first, &NationOptions::DEFAULT).unwrap();
        let sum = |counts: &[u32]| counts.iter().map(|&n| f64::from(n)).sum::<f64>();
        let before = sum(&nation.places.population);
        let changes = Components::draw(&nation);
        assert_eq!(sum(&changes.arrivals), before);
        for (counts, rate) in [
            (&changes.births, BIRTHS),
            (&changes.deaths, DEATHS),
            (&changes.immigrants, IMMIGRANTS),
            (&changes.emigrants, EMIGRANTS),
        ] {
            let found = sum(counts) / before;
            assert!((found / rate - 1.0).abs() < 0.06, "{found} of {rate}");
            assert_eq!(counts[3], 0, "nobody lives there");
        }
        let next = nation.clone().next_year(&changes);
        assert_eq!((next.options.year, &next.places.population), (2012, &changes.population()));
        assert_ne!(next.truth, nation.truth);
        for unit in 0..next.places.len() {
            let movers: f32 = next.truth.movers().row(unit).1.iter().sum();
            let persons = next.truth.stayers()[unit] + f64::from(movers);
            assert_eq!(persons, f64::from(next.places.population[unit]));
        }
    }
}
