//! Who moves where, and what the records show of it.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Places;
use super::random::{Purpose, Stream, running_sums};
use crate::matrix::{Csr, FlowMatrix};

/// Share of the moves drawn from the local part of the kernel.
const LOCAL_SHARE: f64 = 0.72;
/// Distance at which the local kernel has halved, km.
const LOCAL_SCALE_KM: f64 = 3.0;
/// Distance at which the kernel between counties has halved, km.
const LONG_SCALE_KM: f64 = 120.0;
/// A local move ends in the own county or one of this many nearest to it.
const NEAR_COUNTIES: usize = 6;
/// Running shares of households of 1, 2, .. 6 persons (mean 2.46).
const HOUSEHOLD_SIZES: [f64; 6] = [0.28, 0.62, 0.77, 0.90, 0.97, 1.0];
/// Records hold multiples of one person over this: exact in `f32`, and coarse enough that the
/// generated files do not depend on the last bit of any product.
const PARTS_PER_PERSON: f64 = 64.0;

/// Draws the true matrix T and the recorded matrix E.
pub(super) fn migrate(places: &Places, seed: u64) -> (FlowMatrix<f32>, FlowMatrix<f32>) {
    let kernel = Kernel::new(places);
    let coverage: Vec<f64> = (0..=places.state.last().map_or(0, |&s| s) as u64)
        // Streams of the origins count up from 0, those of the states down from the end.
        .map(|state| Stream::new(seed, Purpose::Flows, u64::MAX - state).between(0.75, 1.0))
        .collect();
    let rows: Vec<Row> = (0..places.len())
        .into_par_iter()
        .map_init(
            || (usize::MAX, Vec::new()),
            |counties, origin| {
                let county = places.county[origin];
                if counties.0 != county {
                    *counties = (county, kernel.counties_from(county));
                }
                let mut stream = Stream::new(seed, Purpose::Flows, origin as u64);
                let covered =
                    (0.95 - 0.5 * places.renter_share[origin]) * coverage[places.state[origin]];
                kernel.row(origin, &counties.1, covered, &mut stream)
            },
        )
        .collect();
    let truth = assemble(&rows, |row| f64::from(row.stayers), |flow| f64::from(flow.persons));
    let seed = assemble(
        &rows,
        |row| f64::from(row.stayer_parts) / PARTS_PER_PERSON,
        |flow| f64::from(flow.parts) / PARTS_PER_PERSON,
    );
    (truth, seed)
}

/// A flow out of one origin: true persons, and recorded 64ths of persons.
#[derive(Clone, Copy, Default)]
struct Flow {
    persons: u32,
    parts: u32,
}

/// Everything about one origin.
struct Row {
    stayers: u32,
    stayer_parts: u32,
    movers: BTreeMap<u32, Flow>,
}

/// Entries above 0 of one of the two matrices.
fn assemble(
    rows: &[Row],
    stayers: impl Fn(&Row) -> f64,
    movers: impl Fn(&Flow) -> f64,
) -> FlowMatrix<f32> {
    let (mut row_ptr, mut col_idx, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        for (&destination, flow) in &row.movers {
            let persons = movers(flow);
            if persons > 0.0 {
                col_idx.push(destination);
                values.push(persons as f32);
            }
        }
        row_ptr.push(values.len() as u64);
    }
    let stayers = rows.iter().map(stayers).collect();
    FlowMatrix::new(stayers, Csr::new(rows.len(), row_ptr, col_idx, values))
}

/// The two-part kernel of the module docs, ready to draw from.
struct Kernel<'a> {
    places: &'a Places,
    /// Attraction A of each unit.
    attraction: Vec<f64>,
    /// First unit of each county, and the end.
    county_start: Vec<usize>,
    /// Running sums of A within each county, one entry per unit.
    within_county: Vec<f64>,
    /// Attraction B of each county.
    county_attraction: Vec<f64>,
}

impl<'a> Kernel<'a> {
    fn new(places: &'a Places) -> Self {
        let attraction: Vec<f64> = places
            .population
            .iter()
            .zip(&places.appeal)
            .map(|(&population, appeal)| f64::from(population) * appeal)
            .collect();
        let county_start: Vec<usize> = (0..=places.seat_km.len())
            .map(|county| places.county.partition_point(|&c| c < county))
            .collect();
        let (mut within_county, mut county_attraction) = (Vec::new(), Vec::new());
        for range in county_start.windows(2) {
            let sums = running_sums(attraction[range[0]..range[1]].iter().copied());
            county_attraction.push(sums.last().copied().unwrap_or(0.0));
            within_county.extend(sums);
        }
        Self { places, attraction, county_start, within_county, county_attraction }
    }

    /// Running sums of the long-range part over destination counties.
    fn counties_from(&self, county: usize) -> Vec<f64> {
        let seats = &self.places.seat_km;
        running_sums(
            self.county_attraction
                .iter()
                .zip(seats)
                .map(|(attraction, &seat)| attraction * decay(seats[county], seat, LONG_SCALE_KM)),
        )
    }

    /// Draws everyone of one origin. `covered` is the probability to be on record.
    fn row(&self, origin: usize, counties: &[f64], covered: f64, stream: &mut Stream) -> Row {
        let places = self.places;
        let population = places.population[origin];
        let leaving = f64::from(population) * (0.03 + 0.27 * places.renter_share[origin]);
        let mut left = (leaving + 0.5).floor() as u32;
        let mut stayers = population - left;
        let mut movers = BTreeMap::new();
        let (near, near_sums) = self.near(origin);
        while left > 0 {
            let size = stream.pick(&HOUSEHOLD_SIZES).map_or(1, |k| k as u32 + 1).min(left);
            left -= size;
            let far =
                if stream.uniform() < LOCAL_SHARE { None } else { self.far(counties, stream) };
            let destination = match far {
                Some(unit) if unit != origin => Some(unit),
                _ => stream.pick(&near_sums).map(|k| near[k]),
            };
            let Some(destination) = destination else {
                // Nobody else lives within reach.
                stayers += size;
                continue;
            };
            let flow: &mut Flow = movers.entry(destination as u32).or_default();
            flow.persons += size;
            let recorded = covered * (1.0 - 0.2 * places.renter_share[destination]);
            let weight = stream.between(0.4, 0.7);
            if stream.uniform() < recorded {
                flow.parts += (f64::from(size) * weight * PARTS_PER_PERSON).floor() as u32;
            }
        }
        let noise = stream.between(0.96, 1.0);
        let stayer_parts = (f64::from(stayers) * covered * noise * PARTS_PER_PERSON).ceil() as u32;
        Row { stayers, stayer_parts, movers }
    }

    /// Units a local move may end in, and running sums of their weights.
    fn near(&self, origin: usize) -> (Vec<usize>, Vec<f64>) {
        let places = self.places;
        let seat = places.seat_km[places.county[origin]];
        let mut counties: Vec<usize> = (0..places.seat_km.len()).collect();
        let order = |&a: &usize, &b: &usize| {
            square_km(seat, places.seat_km[a]).total_cmp(&square_km(seat, places.seat_km[b]))
        };
        if counties.len() > NEAR_COUNTIES + 1 {
            counties.select_nth_unstable_by(NEAR_COUNTIES, order);
            counties.truncate(NEAR_COUNTIES + 1);
        }
        counties.sort_unstable();
        let near: Vec<usize> = counties
            .iter()
            .flat_map(|&county| self.county_start[county]..self.county_start[county + 1])
            .filter(|&unit| unit != origin)
            .collect();
        let here = places.position_km[origin];
        let sums = running_sums(near.iter().map(|&unit| {
            self.attraction[unit] * decay(here, places.position_km[unit], LOCAL_SCALE_KM)
        }));
        (near, sums)
    }

    /// A destination from the long-range part: a county, then a unit in it.
    fn far(&self, counties: &[f64], stream: &mut Stream) -> Option<usize> {
        let county = stream.pick(counties)?;
        let range = self.county_start[county]..self.county_start[county + 1];
        Some(range.start + stream.pick(&self.within_county[range])?)
    }
}

/// 1 / (1 + (distance / scale)^2).
fn decay(from: (f64, f64), to: (f64, f64), scale_km: f64) -> f64 {
    1.0 / (1.0 + square_km(from, to) / (scale_km * scale_km))
}

/// Squared distance on the flat map, km^2.
fn square_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (east, north) = (to.0 - from.0, to.1 - from.1);
    east * east + north * north
}

#[cfg(test)]
mod tests {
    use crate::matrix::FlowRows;
    use crate::synth::{Region, RegionOptions};

    fn entries(matrix: &impl FlowRows, i: usize) -> Vec<(u32, f64)> {
        let (mut columns, mut flows) = (Vec::new(), Vec::new());
        matrix.row(i, &mut columns, &mut flows);
        columns.into_iter().zip(flows).collect()
    }

    #[test]
    fn people_are_conserved_and_records_never_exceed_them() {
        let region = Region::generate(&RegionOptions::default()).unwrap();
        let (mut total, mut stayers, mut support, mut recorded) = (0.0, 0.0, 0, 0);
        let mut arrivals = vec![0.0; region.geography.len()];
        for i in 0..region.geography.len() {
            let truth = entries(&region.truth, i);
            let persons: f64 = truth.iter().map(|e| e.1).sum();
            assert_eq!(persons, f64::from(region.places.population[i]), "row {i}");
            for &(j, flow) in &truth {
                arrivals[j as usize] += flow;
            }
            for (j, flow) in entries(&region.seed, i) {
                let at = truth.binary_search_by_key(&j, |e| e.0).expect("recorded, so it happened");
                assert!(flow > 0.0 && flow <= truth[at].1, "({i}, {j}): {flow} of {}", truth[at].1);
            }
            assert_eq!(region.truth.stayers()[i] > 0.0, region.seed.stayers()[i] > 0.0);
            total += persons;
            stayers += region.truth.stayers()[i];
            support += truth.len();
            recorded += region.seed.row_len(i);
        }
        assert_eq!(arrivals.iter().sum::<f64>(), total, "nobody is born or dies");
        assert!((0.86..0.88).contains(&(stayers / total)), "{}", stayers / total);
        assert!((60_000..90_000).contains(&support), "{support} true flows");
        assert!((0.4..0.8).contains(&(recorded as f64 / support as f64)), "{recorded} recorded");
    }

    #[test]
    fn moves_are_mostly_short_and_sometimes_long() {
        let region = Region::generate(&RegionOptions::default()).unwrap();
        let (mut within_county, mut across_states, mut movers) = (0.0, 0.0, 0.0);
        let mut destinations = Vec::new();
        for i in 0..region.geography.len() {
            let (columns, flows) = region.truth.movers().row(i);
            destinations.push(columns.len());
            for (&j, &flow) in columns.iter().zip(flows) {
                let (flow, j) = (f64::from(flow), j as usize);
                movers += flow;
                within_county +=
                    flow * f64::from(region.places.county[i] == region.places.county[j]);
                across_states += flow * f64::from(region.places.state[i] != region.places.state[j]);
            }
        }
        assert!((0.5..0.75).contains(&(within_county / movers)), "{}", within_county / movers);
        assert!((0.03..0.2).contains(&(across_states / movers)), "{}", across_states / movers);
        destinations.sort_unstable();
        let (median, most) = (destinations[destinations.len() / 2], destinations.last().unwrap());
        assert!(most > &(4 * median), "median {median}, most {most}");
    }

    #[test]
    fn a_lone_inhabited_place_has_no_movers() {
        // The smallest region there is: one county of two block groups.
        let options = RegionOptions { seed: 5, states: 1, counties: 1, block_groups: 2 };
        let mut region = Region::generate(&options).unwrap();
        region.places.population[1] = 0;
        let (truth, _) = super::migrate(&region.places, 5);
        assert_eq!(truth.stayers(), [f64::from(region.places.population[0]), 0.0]);
        assert_eq!(truth.movers().nnz(), 0);
    }
}
