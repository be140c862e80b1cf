//! Who moves where in a region, and what the records show of it.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Places;
use super::kernel::{Kernel, Reach, Shape, leaving};
use super::random::{Purpose, Stream};
use super::rows::Rows;
use crate::matrix::FlowMatrix;

/// The kernel of a region.
const SHAPE: Shape =
    Shape { local_share: 0.72, local_scale_km: 3.0, long_scale_km: 120.0, near_counties: 6 };
/// Records hold multiples of one person over this: exact in `f32`, and coarse enough that the
/// generated files do not depend on the last bit of any product.
const PARTS_PER_PERSON: f64 = 64.0;

/// Draws the true matrix T and the recorded matrix E.
pub(super) fn migrate(places: &Places, seed: u64) -> (FlowMatrix<f32>, FlowMatrix<f32>) {
    let attraction = places.population.iter().zip(&places.appeal).map(|(&n, a)| f64::from(n) * a);
    let in_space = |flat: &[(f64, f64)]| flat.iter().map(|&(x, y)| [x, y, 0.0]).collect();
    let represents = vec![1.0; places.seat_km.len()];
    let kernel = Kernel::new(
        SHAPE,
        attraction.collect(),
        in_space(&places.position_km),
        in_space(&places.seat_km),
        &places.county,
        &represents,
    );
    let coverage: Vec<f64> = (0..=places.state.last().map_or(0, |&s| s) as u64)
        // Streams of the origins count up from 0, those of the states down from the end.
        .map(|state| Stream::new(seed, Purpose::Flows, u64::MAX - state).between(0.75, 1.0))
        .collect();
    let rows: Vec<Row> = (0..places.len())
        .into_par_iter()
        .map_init(
            || None,
            |cached, origin| {
                let reach = kernel.reach(places.county[origin], cached);
                let mut stream = Stream::new(seed, Purpose::Flows, origin as u64);
                let covered =
                    (0.95 - 0.5 * places.renter_share[origin]) * coverage[places.state[origin]];
                row(places, &kernel, origin, reach, covered, &mut stream)
            },
        )
        .collect();
    let (mut truth, mut seed) = (Rows::default(), Rows::default());
    for row in &rows {
        let persons = row.movers.iter().map(|(&to, flow)| (to, flow.persons as f32));
        truth.push(f64::from(row.stayers), persons);
        let recorded = |parts: u32| f64::from(parts) / PARTS_PER_PERSON;
        let parts = row.movers.iter().map(|(&to, flow)| (to, recorded(flow.parts) as f32));
        seed.push(recorded(row.stayer_parts), parts);
    }
    (Rows::join(vec![truth]), Rows::join(vec![seed]))
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

/// Draws everyone of one origin. `covered` is the probability to be on record.
fn row(
    places: &Places,
    kernel: &Kernel,
    origin: usize,
    reach: &Reach,
    covered: f64,
    stream: &mut Stream,
) -> Row {
    let population = places.population[origin];
    let leaving = leaving(population, places.renter_share[origin]);
    let mut movers = BTreeMap::new();
    let kept = kernel.households(origin, reach, leaving, stream, |destination, size, stream| {
        let flow: &mut Flow = movers.entry(destination as u32).or_default();
        flow.persons += size;
        let recorded = covered * (1.0 - 0.2 * places.renter_share[destination]);
        let weight = stream.between(0.4, 0.7);
        if stream.uniform() < recorded {
            flow.parts += (f64::from(size) * weight * PARTS_PER_PERSON).floor() as u32;
        }
    });
    let stayers = population - leaving + kept;
    let noise = stream.between(0.96, 1.0);
    let stayer_parts = (f64::from(stayers) * covered * noise * PARTS_PER_PERSON).ceil() as u32;
    Row { stayers, stayer_parts, movers }
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
