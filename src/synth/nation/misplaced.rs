//! Addresses that were matched to a block group next to the right one.
//!
//! A geocoder now and then puts an address on the wrong side of a street, or of a county line. Where
//! that happened to one of the two addresses of a person who stayed, the record shows a move between
//! neighbors that nobody made. So every inhabited block group, and every county however small, has
//! departures and arrivals on record.

use rayon::prelude::*;

use super::flows::{EXACT, Records};
use crate::synth::kernel::{Kernel, leaving};
use crate::synth::random::Purpose;

/// Share of the stayers on record with a geocoded address of whom one address was misplaced.
pub(super) const MISPLACED: f64 = 0.002;
/// A misplaced address is in one of this many nearest inhabited block groups.
const NEIGHBORS: usize = 3;

/// Moves on record of persons who stayed.
pub(super) struct Misplaced {
    /// First flow of each unit, and the end.
    start: Vec<usize>,
    /// Destination and expected persons, by origin.
    flows: Vec<(u32, f64)>,
}

impl Misplaced {
    /// Finds the neighbors of every unit: half of its misplaced persons seem to come from them, half
    /// to go there.
    pub fn new(kernel: &Kernel, records: &Records) -> Self {
        let places = records.places;
        let mut flows: Vec<(u32, u32, f64)> = (0..places.len())
            .into_par_iter()
            .map_init(
                || None,
                |cached, unit| {
                    let reach = kernel.reach(places.county[unit], cached);
                    let population = places.population[unit];
                    let stayers = population - leaving(population, places.renter_share[unit]);
                    let mut stream = places.stream(records.options, Purpose::Records, unit);
                    let on_record = records.stayers(unit, f64::from(stayers), &mut stream);
                    let neighbors = kernel.neighbors(unit, reach, NEIGHBORS);
                    let each = on_record * EXACT * MISPLACED / (2.0 * neighbors.len() as f64);
                    let unit = unit as u32;
                    let both = move |other| [(unit, other, each), (other, unit, each)];
                    neighbors.into_iter().flat_map(both).collect::<Vec<_>>()
                },
            )
            .flatten_iter()
            .collect();
        flows.retain(|flow| flow.2 > 0.0);
        flows.sort_by_key(|flow| (flow.0, flow.1));
        let start =
            (0..=places.len()).map(|unit| flows.partition_point(|flow| (flow.0 as usize) < unit));
        Self {
            start: start.collect(),
            flows: flows.iter().map(|&(_, to, persons)| (to, persons)).collect(),
        }
    }

    /// Destinations and expected persons of the moves on record that nobody made.
    pub fn flows(&self, origin: usize) -> &[(u32, f64)] {
        &self.flows[self.start[origin]..self.start[origin + 1]]
    }
}
