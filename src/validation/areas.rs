//! Three matrices seen by the areas of one level.

use std::ops::Range;

use rayon::prelude::*;

use super::{Moments, RAW, TRUTH};
use crate::geography::Partition;
use crate::matrix::{FlowRows, row_ranges};

/// One number of each matrix: raw (scaled), harmonized, truth; in persons.
pub(super) type Triple = [f64; 3];

/// Parts of the work, at most: each keeps a vector of arrivals by area.
const MAX_PARTS: u64 = 16;

/// Entries of the three matrices per part of the work, at least.
const PART_ENTRIES: u64 = 1 << 16;

/// Sums of the matrices over the areas of a level, and moments of the flows between them.
#[derive(Clone, Debug)]
pub(super) struct Areas {
    /// Persons who did not leave each area.
    pub stayers: Vec<Triple>,
    /// Persons who left each area for another.
    pub movers_out: Vec<Triple>,
    /// Persons who came to each area from another.
    pub movers_in: Vec<Triple>,
    /// Moments of the flows between different areas, raw and harmonized: all ordered pairs, those
    /// without a flow included.
    pub flows: [Moments; 2],
}

/// Flows from one area, dense by destination.
struct FlowsFrom {
    flows: Vec<Triple>,
    is_met: Vec<bool>,
    /// Destinations that an entry of any matrix goes to, in the order they were met.
    met: Vec<u32>,
}

impl FlowsFrom {
    fn new(areas: usize) -> Self {
        Self { flows: vec![[0.0; 3]; areas], is_met: vec![false; areas], met: Vec::new() }
    }

    fn add(&mut self, matrix: usize, area: u32, flow: f64) {
        let at = area as usize;
        if !self.is_met[at] {
            self.is_met[at] = true;
            self.met.push(area);
        }
        self.flows[at][matrix] += flow;
    }

    fn clear(&mut self) {
        for area in self.met.drain(..) {
            self.flows[area as usize] = [0.0; 3];
            self.is_met[area as usize] = false;
        }
    }
}

impl Areas {
    /// Sums `matrices` (raw, harmonized, truth), the first multiplied by `scale`.
    ///
    /// A sparse table of flows between tracts would take as much memory as the matrix. So an area's
    /// flows are summed, compared and forgotten before the next one's. Areas are split into parts
    /// that depend on the matrices alone, and joined in order: the same bits for any number of
    /// threads.
    pub fn sum(matrices: [&dyn FlowRows; 3], scale: f64, level: &Partition) -> Self {
        let cells = level.cells();
        let (ptr, members) = level.members();
        let units = |area: usize| &members[ptr[area] as usize..ptr[area + 1] as usize];
        let mut entries = vec![0_u64];
        for area in 0..cells {
            let lens = units(area).iter().flat_map(|&i| matrices.map(|m| m.row_len(i as usize)));
            entries.push(entries[area] + lens.sum::<usize>() as u64);
        }
        let part = (entries[cells] / MAX_PARTS + 1).max(PART_ENTRIES);
        let parts: Vec<Self> = row_ranges(&entries, part)
            .into_par_iter()
            .map(|areas| Self::part(matrices, scale, level, areas, units))
            .collect();
        let mut all = Self::empty(cells);
        for part in parts {
            all.stayers.extend(part.stayers);
            all.movers_out.extend(part.movers_out);
            for (sums, more) in all.movers_in.iter_mut().zip(part.movers_in) {
                *sums = add(*sums, more);
            }
            let [raw, harmonized] = all.flows;
            all.flows = [raw.join(part.flows[0]), harmonized.join(part.flows[1])];
        }
        all
    }

    fn empty(cells: usize) -> Self {
        Self {
            stayers: Vec::new(),
            movers_out: Vec::new(),
            movers_in: vec![[0.0; 3]; cells],
            flows: [Moments::default(); 2],
        }
    }

    /// The sums of a run of areas.
    fn part<'m>(
        matrices: [&dyn FlowRows; 3],
        scale: f64,
        level: &Partition,
        areas: Range<usize>,
        units: impl Fn(usize) -> &'m [u32],
    ) -> Self {
        let cells = level.cells();
        let mut part = Self::empty(cells);
        let mut from = FlowsFrom::new(cells);
        let (mut columns, mut flows) = (Vec::new(), Vec::new());
        for area in areas {
            for (k, matrix) in matrices.into_iter().enumerate() {
                for &i in units(area) {
                    matrix.row(i as usize, &mut columns, &mut flows);
                    for (&j, &flow) in columns.iter().zip(&flows) {
                        from.add(k, level.cell_of()[j as usize], flow);
                    }
                }
            }
            let mut stayers = from.flows[area];
            stayers[RAW] *= scale;
            let (mut movers_out, mut pairs) = ([0.0; 3], 0);
            for &other in from.met.iter().filter(|&&other| other as usize != area) {
                let flows = &mut from.flows[other as usize];
                flows[RAW] *= scale;
                movers_out = add(movers_out, *flows);
                let sums = &mut part.movers_in[other as usize];
                *sums = add(*sums, *flows);
                pairs += 1;
            }
            part.stayers.push(stayers);
            part.movers_out.push(movers_out);
            let others = from.met.iter().filter(|&&other| other as usize != area);
            let zeros = cells as u64 - 1 - pairs;
            for (estimate, sums) in part.flows.iter_mut().enumerate() {
                let pairs = others.clone().map(|&other| {
                    let flows = from.flows[other as usize];
                    (flows[estimate], flows[TRUTH])
                });
                *sums = sums.join(Moments::of(pairs, zeros));
            }
            from.clear();
        }
        part
    }
}

/// The sum of two triples.
pub(super) fn add(a: Triple, b: Triple) -> Triple {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// Persons in a matrix.
pub(super) fn total(matrix: &dyn FlowRows) -> f64 {
    /// Rows summed by one task.
    const ROWS: usize = 1024;
    let n = matrix.units();
    let sums: Vec<f64> = (0..n.div_ceil(ROWS))
        .into_par_iter()
        .map(|part| {
            let (mut columns, mut flows) = (Vec::new(), Vec::new());
            let rows = part * ROWS..n.min((part + 1) * ROWS);
            rows.map(|i| {
                matrix.row(i, &mut columns, &mut flows);
                flows.iter().sum::<f64>()
            })
            .sum()
        })
        .collect();
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::Agreement;
    use super::*;
    use crate::matrix::FlowMatrix;

    /// Units 0 and 2 are area 0, unit 1 is area 1. Raw is halved.
    fn matrices() -> [FlowMatrix<f64>; 3] {
        [
            vec![(0, 0, 18.0), (0, 1, 4.0), (2, 1, 6.0), (0, 2, 2.0)],
            vec![(0, 0, 7.0), (1, 1, 3.0), (1, 2, 2.0), (2, 0, 1.0)],
            vec![(0, 0, 8.0), (1, 1, 5.0), (0, 1, 2.0), (1, 0, 1.0), (2, 2, 1.0)],
        ]
        .map(|flows| FlowMatrix::from_triplets(3, &flows))
    }

    #[test]
    fn coarser_areas_by_hand() {
        let [raw, harmonized, truth] = matrices();
        let codes = ["a", "b"].into();
        let level = Partition::from_parts("half", vec![0, 1, 0], codes);
        let areas = Areas::sum([&raw, &harmonized, &truth], 0.5, &level);
        assert_eq!(areas.stayers, [[10.0, 8.0, 9.0], [0.0, 3.0, 5.0]]);
        assert_eq!(areas.movers_out, [[5.0, 0.0, 2.0], [0.0, 2.0, 1.0]]);
        assert_eq!(areas.movers_in, [[0.0, 2.0, 1.0], [5.0, 0.0, 2.0]]);
        let [raw, harmonized] = areas.flows;
        assert_eq!((raw.pairs(), harmonized.pairs()), (2, 2));
        // 5 and 0, or 0 and 2, where 2 and 1 are true
        let rmse = [raw, harmonized].map(|sums| sums.agreement().rmse.unwrap());
        assert_eq!(rmse, [5.0_f64.sqrt(), 2.5_f64.sqrt()]);
    }

    #[test]
    fn flows_with_different_support_by_hand() {
        let [raw, _, truth] = matrices();
        let codes = ["a", "b", "c"].into();
        let level = Partition::from_parts("own", vec![0, 1, 2], codes);
        let areas = Areas::sum([&raw, &raw, &truth], 0.5, &level);
        let [scaled, unscaled] = areas.flows;
        // Scaled 2 1 0 0 0 3, truth 2 0 1 0 0 0 (0->1 0->2 1->0 1->2 2->0 2->1): means 1 and 1/2,
        // squares 14 - 6 and 5 - 3/2, products 4 - 3.
        let Agreement { pearson, rmse } = scaled.agreement();
        assert!((rmse.unwrap() - (11.0_f64 / 6.0).sqrt()).abs() < 1e-15);
        assert!((pearson.unwrap() - 1.0 / 28.0_f64.sqrt()).abs() < 1e-15);
        // The same as it is: 4 2 0 0 0 6.
        let Agreement { pearson: same, rmse } = unscaled.agreement();
        assert!((rmse.unwrap() - (45.0_f64 / 6.0).sqrt()).abs() < 1e-15);
        assert!((pearson.unwrap() - same.unwrap()).abs() < 1e-15);
        assert_eq!(unscaled.pairs(), 6);
    }

    #[test]
    fn totals() {
        assert_eq!(matrices().map(|m| total(&m)), [30.0, 13.0, 17.0]);
    }
}
