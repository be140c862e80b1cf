//! Who moves where, and what the records show of it.

use std::ops::Range;

use rayon::prelude::*;

use super::misplaced::{MISPLACED, Misplaced};
use super::{NationOptions, Places};
use crate::matrix::FlowMatrix;
use crate::synth::kernel::{Kernel, Reach, Shape, leaving};
use crate::synth::random::{Purpose, Stream};
use crate::synth::rows::{Rows, merge};

/// The kernel of the nation, fitted to 37 % of movers within 5 miles and 23 %
/// beyond 50.
pub(super) const SHAPE: Shape =
    Shape { local_share: 0.70, local_scale_km: 2.8, long_scale_km: 120.0, near_counties: 6 };
/// Share of the addresses that are known exactly.
pub(super) const EXACT: f64 = 0.8333;
/// Share of the addresses that are known by their ZIP; the rest are lost.
const BY_ZIP: f64 = 0.1589;

/// Draws the true matrix T and the recorded matrix E.
pub(super) fn migrate(
    places: &Places,
    options: &NationOptions,
) -> (FlowMatrix<f32>, FlowMatrix<f32>) {
    let attraction = places.population.iter().zip(&places.appeal).map(|(&n, a)| f64::from(n) * a);
    let kernel = Kernel::new(
        SHAPE,
        attraction.collect(),
        places.position_km.clone(),
        places.seat_km.clone(),
        &places.county,
        &places.represents,
    );
    let records = Records::new(places, options);
    let misplaced = Misplaced::new(&kernel, &records);
    let (truth, seed) = records
        .zips
        .par_iter()
        .map_init(
            || None,
            |cached, zip| {
                let reach = kernel.reach(places.county[zip.start], cached);
                zip_rows(&kernel, reach, &records, &misplaced, zip)
            },
        )
        .unzip();
    (Rows::join(truth), Rows::join(seed))
}

/// Draws the rows of T and E for the block groups of a ZIP: those that its blur can reach.
fn zip_rows(
    kernel: &Kernel,
    reach: &Reach,
    records: &Records,
    misplaced: &Misplaced,
    zip: &Range<usize>,
) -> (Rows, Rows) {
    let places = records.places;
    let (mut truth, mut seed) = (Rows::default(), Rows::default());
    let mut recorded = vec![Vec::new(); zip.len()];
    let mut by_zip = 0.0;
    for origin in zip.clone() {
        let population = places.population[origin];
        let leaving = leaving(population, places.renter_share[origin]);
        let mut moves = Vec::new();
        let kept = kernel.households(
            origin,
            reach,
            leaving,
            &mut places.stream(records.options, Purpose::Flows, origin),
            |destination, size, _| moves.push((destination as u32, f64::from(size))),
        );
        let stayers = f64::from(population - leaving + kept);

        let mut stream = places.stream(records.options, Purpose::Records, origin);
        let on_record = records.stayers(origin, stayers, &mut stream);
        let own = &mut recorded[origin - zip.start];
        own.push((origin as u32, on_record * EXACT * (1.0 - MISPLACED)));
        own.extend(misplaced.flows(origin));
        by_zip += on_record * BY_ZIP;
        for &(destination, size) in &moves {
            records.record(origin, destination as usize, size, &mut stream, |i, j, persons| {
                recorded[i - zip.start].push((j as u32, persons));
            });
        }

        merge(&mut moves);
        truth.push(stayers, moves.iter().map(|&(to, persons)| (to, persons as f32)));
    }
    for (origin, mut flows) in zip.clone().zip(recorded) {
        flows.push((origin as u32, by_zip * records.zip_share[origin]));
        merge(&mut flows);
        let home = flows.binary_search_by_key(&(origin as u32), |flow| flow.0);
        let (_, stayers) = flows.remove(home.expect("stayers were pushed"));
        seed.push(f64::from(stayers as f32), flows.iter().map(|&(to, p)| (to, p as f32)));
    }
    (truth, seed)
}

/// What decides who is on record, and where.
pub(super) struct Records<'a> {
    pub places: &'a Places,
    pub options: &'a NationOptions,
    /// Probability that a person of a unit is on record, before the record's age.
    covered: Vec<f64>,
    /// Units of each ZIP.
    zips: Vec<Range<usize>>,
    /// Share of each unit in the population of its ZIP.
    zip_share: Vec<f64>,
}

impl<'a> Records<'a> {
    pub fn new(places: &'a Places, options: &'a NationOptions) -> Self {
        let covered = (0..places.len())
            .map(|unit| coverage(options.seed, places.state(unit), places.renter_share[unit]));
        let mut zips: Vec<Range<usize>> = Vec::new();
        let mut zip_share = Vec::with_capacity(places.len());
        for run in places.zip.chunk_by(|a, b| a == b) {
            let start = zips.last().map_or(0, |zip| zip.end);
            let zip = start..start + run.len();
            let population = &places.population[zip.clone()];
            let persons: f64 = population.iter().map(|&n| f64::from(n)).sum();
            zip_share.extend(population.iter().map(|&n| f64::from(n) / persons.max(1.0)));
            zips.push(zip);
        }
        Self { places, options, covered: covered.collect(), zips, zip_share }
    }

    /// Draws how many of the persons who stayed in a unit are on record; the first draw of the
    /// unit's stream.
    pub fn stayers(&self, unit: usize, stayers: f64, stream: &mut Stream) -> f64 {
        stayers
            * self.covered[unit]
            * (1.0 - 0.02 * self.places.record_age[unit])
            * stream.between(0.96, 1.0)
    }

    /// Draws what is recorded of a household's move, and hands on origin, destination and persons.
    fn record(
        &self,
        origin: usize,
        destination: usize,
        size: f64,
        stream: &mut Stream,
        mut add: impl FnMut(usize, usize, f64),
    ) {
        let places = self.places;
        let age = places.record_age[origin] * stream.between(0.0, 2.0);
        let on_record = move_coverage(self.covered[origin], age, places.renter_share[destination]);
        if stream.uniform() >= on_record {
            return;
        }
        let persons = size * stream.between(0.4, 0.7);
        let (Some(from), Some(to)) = (self.known(origin, stream), self.known(destination, stream))
        else {
            return;
        };
        let share = |unit: usize, of: &Range<usize>| {
            if of.len() == 1 { 1.0 } else { self.zip_share[unit] }
        };
        for i in from.clone() {
            let leaving = persons * share(i, &from);
            for j in to.clone() {
                let flow = leaving * share(j, &to);
                if flow > 0.0 {
                    add(i, j, flow);
                }
            }
        }
    }

    /// Units an address may be in: its own, those of its ZIP, or none where it is lost.
    fn known(&self, unit: usize, stream: &mut Stream) -> Option<Range<usize>> {
        let draw = stream.uniform();
        if draw < EXACT {
            Some(unit..unit + 1)
        } else if draw < EXACT + BY_ZIP {
            Some(self.zips[self.places.zip[unit]].clone())
        } else {
            None
        }
    }
}

/// Probability that a person of a place is on record, before the record's age.
pub(in crate::synth) fn coverage(seed: u64, state: u64, renter_share: f64) -> f64 {
    let mut state = Stream::new(seed, Purpose::Records, state);
    (1.0 - 0.5 * renter_share) * state.between(0.85, 1.0)
}

/// Probability that the move of someone on record with probability `covered` is, by the years since
/// their address was confirmed and the share of renters where they go.
pub(in crate::synth) fn move_coverage(covered: f64, record_age: f64, renter_share: f64) -> f64 {
    covered * (1.0 - 0.04 * record_age) * (1.0 - 0.2 * renter_share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::nation::{places, tests::centers};

    #[test]
    fn a_move_is_spread_over_the_zips_in_proportion_to_their_population() {
        let options = NationOptions::DEFAULT;
        let (_, mut places) = places::settle(&centers(2), &options).unwrap();
        // Two ZIPs of 12 units; one unit of the second is twice as large as the others.
        for unit in 0..24 {
            places.zip[unit] = unit / 12;
        }
        places.population[12] = 2000;
        let records = Records::new(&places, &options);
        assert_eq!(records.zips, [0..12, 12..24]);
        assert_eq!(records.zip_share[..13], [[1.0 / 12.0; 12].as_slice(), &[2.0 / 13.0]].concat());
        let mut stream = Stream::new(1, Purpose::Records, 0);
        let mut sizes = [0; 5];
        for _ in 0..20_000 {
            let mut flows = Vec::new();
            records.record(3, 14, 2.0, &mut stream, |i, j, persons| flows.push((i, j, persons)));
            let persons: f64 = flows.iter().map(|flow| flow.2).sum();
            let kind = match flows.len() {
                0 => 0,
                1 => 1,
                12 if flows[0].0 == 3 => 2,
                12 => 3,
                144 => 4,
                other => panic!("{other} pairs"),
            };
            sizes[kind] += 1;
            if kind > 0 {
                assert!((0.8..1.4).contains(&persons), "{persons}");
                assert!(flows.iter().all(|flow| flow.0 < 12 && flow.1 >= 12));
            }
            if kind == 4 {
                let ratio = flows[0].2 / flows[1].2;
                assert!((ratio - 2.0).abs() < 1e-12, "{ratio}");
            }
        }
        let recorded: i32 = sizes[1..].iter().sum();
        let share = |kind: usize| f64::from(sizes[kind]) / f64::from(recorded);
        // Among moves with neither address lost: 0.8333 / 0.9922 = 0.84 of the addresses are exact.
        for (kind, expected) in [(1, 0.7054), (2, 0.1345), (3, 0.1345), (4, 0.0256)] {
            assert!(
                (share(kind) - expected).abs() < 0.015,
                "{kind}: {} of {expected}",
                share(kind)
            );
        }
    }
}
