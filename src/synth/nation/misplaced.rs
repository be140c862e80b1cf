//! Addresses that were matched to a block group next to the right one.
//!
//! A geocoder now and then puts an address on the wrong side of a street, or of a county line. Where
//! that happened to one of the two addresses of a person who stayed, the record shows a move between
//! neighbors that nobody made. So every inhabited block group, and with it a county that has only one,
//! has departures and arrivals on record.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::nation::flows::SHAPE;
    use crate::synth::nation::{NationOptions, places, tests::centers};

    #[test]
    fn misplaced_people_come_and_go_in_equal_numbers() {
        let options = NationOptions::DEFAULT;
        let mut centers = centers(3);
        centers.places[5].population = 0;
        let (_, places) = places::settle(&centers, &options).unwrap();
        let attraction = places.population.iter().map(|&n| f64::from(n)).collect();
        let kernel = Kernel::new(
            SHAPE,
            attraction,
            places.position_km.clone(),
            places.seat_km.clone(),
            &places.county,
            &places.represents,
        );
        let records = Records::new(&places, &options);
        let misplaced = Misplaced::new(&kernel, &records);
        let (mut total, mut there) = (0.0, 0.0);
        for unit in 0..places.len() {
            let flows = misplaced.flows(unit);
            assert_eq!(flows.is_empty(), unit == 5, "{unit}: {flows:?}");
            assert!(flows.iter().all(|flow| flow.0 as usize != unit && flow.0 != 5));
            let persons = |flows: &[(u32, f64)]| flows.iter().map(|flow| flow.1).sum::<f64>();
            let back = (0..places.len()).flat_map(|other| misplaced.flows(other));
            let back: f64 = back.filter(|f| f.0 as usize == unit).map(|flow| flow.1).sum();
            assert!((persons(flows) - back).abs() < 1e-12, "{unit}");
            total += persons(flows);
            let population = places.population[unit];
            let stayers = population - leaving(population, places.renter_share[unit]);
            let mut stream = places.stream(&options, Purpose::Records, unit);
            there += records.stayers(unit, f64::from(stayers), &mut stream);
        }
        assert!((total / (there * EXACT * MISPLACED) - 1.0).abs() < 1e-12, "{total} of {there}");
    }
}
