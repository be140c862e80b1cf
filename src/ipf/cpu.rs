//! The passes over entries on the CPU: fixed ranges of rows in parallel, combined in fixed order.

use std::ops::Range;

use rayon::prelude::*;

use super::backend::{Backend, FusedStep, add_stayers, by_cell};
use super::margin::{Entries, Groups, Margin};
use super::{SUM_ROUNDING, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::kernels::{self, Weights};
use crate::matrix::{Csr, FlowMatrix, Value, row_ranges, split_per_row};

/// Entries per range of rows: about 1 MiB, enough to hide the cost of handing it to a thread.
const RANGE_ENTRIES: usize = 1 << 17;

/// Ranges that each keep a vector of all destinations, at most: 56 MB of them at national size.
const MAX_WIDE_RANGES: usize = 32;

/// A sparse table split for parallel passes.
///
/// The split depends on the table alone, never on the number of threads, and so does every bit of
/// every sum.
pub(crate) struct Passes<'a, V> {
    table: &'a Csr<V>,
    ranges: Vec<Range<usize>>,
    wide_ranges: Vec<Range<usize>>,
}

impl<'a, V: Value> Passes<'a, V> {
    pub(crate) fn new(table: &'a Csr<V>) -> Self {
        // A wide range costs a vector of sums over all columns: worth it from several times as
        // many entries on.
        let wide =
            (4 * table.columns()).max(table.nnz().div_ceil(MAX_WIDE_RANGES)).max(RANGE_ENTRIES);
        Self {
            table,
            ranges: row_ranges(table.row_ptr(), RANGE_ENTRIES as u64),
            wide_ranges: row_ranges(table.row_ptr(), wide as u64),
        }
    }

    /// Ranges for results by row.
    pub(crate) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Ranges for results by column, of each range a vector.
    pub(crate) fn wide_ranges(&self) -> &[Range<usize>] {
        &self.wide_ranges
    }

    /// Scaled row sums.
    pub(crate) fn origin_sums(&self, scaling: &Scaling) -> Vec<f64> {
        let mut sums = vec![0.0; self.table.rows()];
        self.ranges
            .par_iter()
            .zip(split_per_row(&self.ranges, &mut sums))
            .for_each(|(rows, out)| kernels::origin_sums(self.table, scaling, rows.clone(), out));
        sums
    }

    /// Scaled column sums.
    pub(crate) fn destination_sums(&self, scaling: &Scaling) -> Vec<f64> {
        let sums = self.column_totals(|rows, out| {
            kernels::destination_sums(self.table, scaling, rows, out);
        });
        sums.iter().zip(&scaling.destination).map(|(sum, d)| sum * d).collect()
    }

    /// Row sums, row factors `factor(row, sum)`, and column totals with these factors, still to be
    /// multiplied by the columns' own: one pass.
    fn origin_step(
        &self,
        scaling: &Scaling,
        factor: impl Fn(usize, f64) -> f64 + Sync,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let rows = self.table.rows();
        let (mut sums, mut factors) = (vec![0.0; rows], vec![0.0; rows]);
        let parts = split_per_row(&self.wide_ranges, &mut sums)
            .into_iter()
            .zip(split_per_row(&self.wide_ranges, &mut factors));
        let partial: Vec<Vec<f64>> = self
            .wide_ranges
            .par_iter()
            .zip(parts.collect::<Vec<_>>())
            .map(|(rows, step)| {
                let mut out = vec![0.0; self.table.columns()];
                kernels::origin_step(self.table, scaling, rows.clone(), &factor, step, &mut out);
                out
            })
            .collect();
        let totals = self.add_up(&partial);
        (sums, factors, totals)
    }

    /// Column totals of whatever `add` adds to a vector of columns for a range of rows.
    pub(crate) fn column_totals(&self, add: impl Fn(Range<usize>, &mut [f64]) + Sync) -> Vec<f64> {
        let partial: Vec<Vec<f64>> = self
            .wide_ranges
            .par_iter()
            .map(|rows| {
                let mut out = vec![0.0; self.table.columns()];
                add(rows.clone(), &mut out);
                out
            })
            .collect();
        self.add_up(&partial)
    }

    /// Adds up the vectors of the wide ranges, in their order.
    fn add_up(&self, partial: &[Vec<f64>]) -> Vec<f64> {
        (0..self.table.columns())
            .into_par_iter()
            .with_min_len(4096)
            .map(|j| partial.iter().map(|sums| sums[j]).sum())
            .collect()
    }
}

/// Only devices fail.
const NEVER_FAILS: &str = "passes on the CPU do not fail";

/// The passes over one matrix, in parallel on the current rayon pool.
///
/// Every sum has the same bits for any number of threads.
pub struct Cpu<'a, V> {
    matrix: &'a FlowMatrix<V>,
    passes: Passes<'a, V>,
}

impl<'a, V: Value> Cpu<'a, V> {
    /// Splits a matrix into ranges of rows.
    pub fn new(matrix: &'a FlowMatrix<V>) -> Self {
        Self { matrix, passes: Passes::new(matrix.movers()) }
    }

    pub(crate) fn passes(&self) -> &Passes<'a, V> {
        &self.passes
    }

    /// The matrix.
    pub fn matrix(&self) -> &'a FlowMatrix<V> {
        self.matrix
    }

    /// Persons in every cell of `margin`.
    pub fn cell_sums(&self, margin: &Margin, scaling: &Scaling) -> Vec<f64> {
        Backend::cell_sums(self, margin, scaling).expect(NEVER_FAILS)
    }

    /// The matrix aggregated to the cells of `refinement`, every entry scaled.
    pub fn collapse(&self, refinement: &Partition, scaling: &Scaling) -> FlowMatrix<f64> {
        Backend::collapse(self, refinement, scaling).expect(NEVER_FAILS)
    }

    /// Whether [`step_then_sums`](Self::step_then_sums) can do a step on `first` and the sums of
    /// `next` in one pass: a step of origins that are cells of their own, then destinations.
    pub fn can_fuse(first: &Margin, next: &Margin) -> bool {
        let own_cells = match &first.groups {
            Groups::Origin(p) => p.cells() == p.units(),
            _ => false,
        };
        own_cells
            && matches!(next.groups, Groups::Destination(_))
            && first.entries.movers()
            && next.entries.movers()
    }

    /// Takes a step on `first`: sums its cells, multiplies in `factor(cell, sum)`; and sums the
    /// cells of `next` afterward.
    ///
    /// The same bits as [`cell_sums`](Self::cell_sums) of one after the other.
    ///
    /// # Panics
    /// Unless [`can_fuse`](Self::can_fuse) allows it.
    pub fn step_then_sums(
        &self,
        first: &Margin,
        next: &Margin,
        scaling: &mut Scaling,
        factor: impl Fn(usize, f64) -> f64 + Sync,
    ) -> FusedStep {
        let (Groups::Origin(p), Groups::Destination(q)) = (&first.groups, &next.groups) else {
            panic!("{first} and {next} cannot share a pass");
        };
        let stayers = |i: usize| {
            if first.entries.stayers() {
                self.matrix.stayers()[i] * scaling.stayers[i]
            } else {
                0.0
            }
        };
        let cell = |i: usize| p.cell_of()[i] as usize;
        let (by_unit, unit_factors, arrivals) =
            self.passes.origin_step(scaling, |i, movers| factor(cell(i), movers + stayers(i)));

        let (mut sums, mut factors) = (vec![0.0; p.cells()], vec![0.0; p.cells()]);
        for (i, (sum, f)) in by_unit.iter().zip(&unit_factors).enumerate() {
            sums[cell(i)] = sum + stayers(i);
            factors[cell(i)] = *f;
        }
        scaling.apply(first, &factors);
        let arrivals: Vec<f64> =
            arrivals.iter().zip(&scaling.destination).map(|(sum, d)| sum * d).collect();
        let mut next_sums = by_cell(&arrivals, q);
        add_stayers(self.matrix, next, scaling, &mut next_sums);
        FusedStep { sums, factors, next_sums }
    }
}

impl<V: Value> Backend<V> for Cpu<'_, V> {
    fn cpu(&self) -> &Cpu<'_, V> {
        self
    }

    fn origin_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(self.passes.origin_sums(scaling))
    }

    fn destination_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(self.passes.destination_sums(scaling))
    }

    fn class_sums(&self, p: &Partition, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; p.cells() * q.cells()];
        let ((ptr, members), weights) = (p.members(), Weights::of(scaling));
        sums.par_chunks_mut(q.cells().max(1)).zip(ptr.par_windows(2)).for_each(|(out, range)| {
            let rows = &members[range[0] as usize..range[1] as usize];
            let movers = self.matrix.movers();
            kernels::class_sums(movers, &scaling.origin, weights, rows, q.cell_of(), out);
        });
        Ok(sums)
    }

    /// Row by row, so that the dense table never exists.
    fn class_table(
        &self,
        p: &Partition,
        q: &Partition,
        entries: Entries,
        scaling: &Scaling,
    ) -> Result<Csr<f64>> {
        let ((ptr, members), weights) = (p.members(), Weights::of(scaling));
        let rows: Vec<(Vec<u32>, Vec<f64>)> = ptr
            .par_windows(2)
            .map(|range| {
                let rows = &members[range[0] as usize..range[1] as usize];
                let mut sums = vec![0.0; q.cells()];
                if entries.movers() {
                    let (movers, o) = (self.matrix.movers(), &scaling.origin);
                    kernels::class_sums(movers, o, weights, rows, q.cell_of(), &mut sums);
                }
                if entries.stayers() {
                    for &i in rows {
                        let i = i as usize;
                        sums[q.cell_of()[i] as usize] +=
                            self.matrix.stayers()[i] * scaling.stayers[i];
                    }
                }
                sums.iter().enumerate().filter(|s| *s.1 > 0.0).map(|(k, &s)| (k as u32, s)).unzip()
            })
            .collect();
        Ok(Csr::from_rows(q.cells(), rows))
    }

    fn movers_l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64> {
        let movers = self.matrix.movers();
        let partial: Vec<f64> = self
            .passes
            .ranges
            .par_iter()
            .map(|rows| kernels::l1_change(movers, before, after, rows.clone()))
            .collect();
        Ok(partial.iter().sum())
    }

    fn rounding(&self) -> f64 {
        SUM_ROUNDING
    }

    fn step_then_sums(
        &self,
        first: &Margin,
        next: &Margin,
        scaling: &mut Scaling,
        factor: &(dyn Fn(usize, f64) -> f64 + Sync),
    ) -> Result<Option<FusedStep>> {
        let fused = Self::can_fuse(first, next);
        Ok(fused.then(|| self.step_then_sums(first, next, scaling, factor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples;

    #[test]
    fn every_kind_of_margin_by_hand() {
        // movers under the sample scaling: 0->1 16, 0->2 48, 1->0 2.5, 2->1 128; stayers 10, 20, 15
        let matrix = samples::matrix();
        let (cpu, scaling) = (Cpu::new(&matrix), samples::scaling());
        let sums = |groups: fn(_) -> Groups, entries| {
            cpu.cell_sums(&samples::margin(groups, entries), &scaling)
        };
        assert_eq!(sums(Groups::Origin, Entries::Movers), [192.0, 2.5]);
        assert_eq!(sums(Groups::Origin, Entries::All), [217.0, 22.5]);
        assert_eq!(sums(Groups::Destination, Entries::Movers), [50.5, 144.0]);
        assert_eq!(sums(Groups::Destination, Entries::Stayers), [25.0, 20.0]);
        let block = |p: std::sync::Arc<Partition>| Groups::Block(p.clone(), p);
        assert_eq!(sums(block, Entries::Movers), [48.0, 144.0, 2.5, 0.0]);
        assert_eq!(sums(block, Entries::All), [73.0, 144.0, 2.5, 20.0]);

        let small = cpu.collapse(&samples::partition(), &scaling);
        assert_eq!(small.stayers(), [25.0, 20.0]);
        assert_eq!(small.movers().values(), [48.0, 144.0, 2.5]);
        assert_eq!(small.movers().col_idx(), [0, 1, 0]);
    }

    #[test]
    fn ranges_cover_every_row_once() {
        let row_ptr = [0, 0, 5, 5, 6, 20, 20];
        let ranges = row_ranges(&row_ptr, 6);
        assert_eq!(ranges, [0..4, 4..5, 5..6]);
        assert!(row_ranges(&[0], 6).is_empty());
    }
}
