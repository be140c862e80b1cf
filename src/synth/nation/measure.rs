//! What the published description of the real matrices can be compared with.

use std::fmt;

use super::Nation;
use super::places::chord_km;
use crate::synth::kernel::square_km;

const KM_PER_MILE: f64 = 1.609_344;

/// Figures of a nation.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Persons of year t - 1.
    pub persons: f64,
    /// Share of them who stay.
    pub stay_rate: f64,
    /// Shares of the movers who go less than 5 miles (great circle), 5 to 50, and farther.
    pub distance_bands: [f64; 3],
    /// Movers' entries of the truth.
    pub true_flows: usize,
    /// Movers on record, persons.
    pub recorded_movers: f64,
    /// Stayers on record, persons.
    pub recorded_stayers: f64,
    /// Movers' entries of the seed.
    pub recorded_flows: usize,
    /// Mean number of destinations of an inhabited block group in the seed.
    pub mean_destinations: f64,
    /// Median of the same.
    pub median_destinations: usize,
}

impl Measured {
    /// Measures a nation.
    pub fn new(nation: &Nation) -> Self {
        let (places, truth, seed) = (&nation.places, &nation.truth, &nation.seed);
        let limits = [5.0, 50.0].map(|miles| chord_km(miles * KM_PER_MILE)).map(|km| km * km);
        let mut bands = [0.0; 3];
        let mut destinations = Vec::new();
        for i in 0..places.len() {
            let (to, persons) = truth.movers().row(i);
            for (&j, &persons) in to.iter().zip(persons) {
                let square = square_km(places.position_km[i], places.position_km[j as usize]);
                bands[limits.iter().filter(|&&limit| square >= limit).count()] +=
                    f64::from(persons);
            }
            if places.population[i] > 0 {
                destinations.push(seed.movers().row(i).0.len());
            }
        }
        destinations.sort_unstable();
        let movers: f64 = bands.iter().sum();
        let stayers: f64 = truth.stayers().iter().sum();
        Self {
            persons: stayers + movers,
            stay_rate: stayers / (stayers + movers),
            distance_bands: bands.map(|persons| persons / movers),
            true_flows: truth.movers().nnz(),
            recorded_movers: seed.movers().values().iter().map(|&v| f64::from(v)).sum(),
            recorded_stayers: seed.stayers().iter().sum(),
            recorded_flows: seed.movers().nnz(),
            mean_destinations: seed.movers().nnz() as f64 / destinations.len() as f64,
            median_destinations: destinations[destinations.len() / 2],
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [near, middle, far] = self.distance_bands.map(|share| 100.0 * share);
        write!(
            f,
            "{} persons, {:.2} % stay; of the movers {near:.1} % go less than 5 miles, \
             {middle:.1} % 5 to 50, {far:.1} % farther; {} true flows
on record: {:.0} stayers and {:.0} movers in {} flows, {:.1} destinations per origin (median {})",
            self.persons,
            100.0 * self.stay_rate,
            self.true_flows,
            self.recorded_stayers,
            self.recorded_movers,
            self.recorded_flows,
            self.mean_destinations,
            self.median_destinations
        )
    }
}
