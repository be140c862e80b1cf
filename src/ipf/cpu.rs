//! The passes over the entries of a flow matrix on the CPU.

use std::sync::Mutex;

use rayon::prelude::*;

use super::backend::{Backend, FusedStep, SteppedCells, add_stayers, by_cell};
use super::margin::{Entries, Groups, Margin};
use super::passes::Passes;
use super::{SUM_ROUNDING, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::kernels::{self, ClassSums, Weights};
use crate::matrix::{Csr, FlowMatrix, Value};

/// So many destinations to a class make it few classes: their sums stay in the cache.
const FEW_CLASSES: usize = 16;

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
        first.own_origins().is_some()
            && matches!(next.groups, Groups::Destination(_))
            && next.entries.movers()
    }

    /// Stayers of each cell.
    pub(super) fn stayers_of_classes(&self, refinement: &Partition, scaling: &Scaling) -> Vec<f64> {
        let scaled = self.matrix.stayers().iter().zip(&scaling.stayers).map(|(seed, f)| seed * f);
        by_cell(&scaled.collect::<Vec<f64>>(), refinement)
    }

    /// Stayers of unit i that a margin counts.
    fn stayers_counted(&self, margin: &Margin, scaling: &Scaling, i: usize) -> f64 {
        if margin.entries.stayers() { self.matrix.stayers()[i] * scaling.stayers[i] } else { 0.0 }
    }

    /// Takes a step on `first`: sums its cells, multiplies in `factor(cell, sum)`; and sums the
    /// cells of `next` afterward.
    ///
    /// The same bits as [`cell_sums`](Self::cell_sums) of one after the other, where the destinations
    /// are summed unit by unit.
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
        let (Some(p), Groups::Destination(q)) = (first.own_origins(), &next.groups) else {
            panic!("{first} and {next} cannot share a pass");
        };
        let stayers = |i: usize| self.stayers_counted(first, scaling, i);
        let cell = |i: usize| p.cell_of()[i] as usize;
        let (by_unit, unit_factors, arrivals) =
            self.passes.origin_step(scaling, |i, movers| factor(cell(i), movers + stayers(i)));

        let (mut sums, mut factors) = (vec![0.0; p.cells()], vec![0.0; p.cells()]);
        for (i, (sum, f)) in by_unit.iter().zip(&unit_factors).enumerate() {
            sums[cell(i)] = sum + stayers(i);
            factors[cell(i)] = *f;
        }
        let stepped = SteppedCells { sums, factors };
        scaling.apply(first, &stepped.factors);
        let arrivals: Vec<f64> =
            arrivals.iter().zip(&scaling.destination).map(|(sum, d)| sum * d).collect();
        let mut next_sums = by_cell(&arrivals, q);
        add_stayers(self.matrix, next, scaling, &mut next_sums);
        FusedStep { stepped, next_sums }
    }

    /// Takes a step on `first`, multiplying in `factor(cell, sum)`, and aggregates the matrix after it
    /// to the cells of `refinement`, in one pass; `None` unless the cells are single origins with
    /// their movers.
    ///
    /// The same bits as [`cell_sums`](Self::cell_sums) and [`collapse`](Self::collapse).
    pub fn step_then_collapse(
        &self,
        first: &Margin,
        refinement: &Partition,
        scaling: &mut Scaling,
        factor: impl Fn(usize, f64) -> f64 + Sync,
    ) -> Option<(SteppedCells, FlowMatrix<f64>)> {
        let p = first.own_origins()?;
        let stayers = |i: usize| self.stayers_counted(first, scaling, i);
        let cell = |i: usize| p.cell_of()[i] as usize;
        let weights = Weights::toward(scaling, refinement);
        let steps = Mutex::new(vec![(0.0, 1.0); p.cells()]);
        let movers = table_of_classes(refinement, refinement, |rows, out| {
            let mut own = vec![(0.0, 1.0); rows.len()];
            kernels::origin_step_to_classes(
                self.matrix.movers(),
                (&scaling.origin, &weights),
                rows,
                |i, movers| factor(cell(i), movers + stayers(i)),
                (&mut own, out),
            );
            self.matrix.movers().release_each(rows);
            let mut steps = steps.lock().expect("nothing panics with it");
            for (&i, (movers, factor)) in rows.iter().zip(own) {
                steps[cell(i as usize)] = (movers + stayers(i as usize), factor);
            }
        });
        let (sums, factors) =
            steps.into_inner().expect("nothing panics with it").into_iter().unzip();
        let stepped = SteppedCells { sums, factors };
        scaling.apply(first, &stepped.factors);
        let stayers = self.stayers_of_classes(refinement, scaling);
        Some((stepped, FlowMatrix::new(stayers, movers)))
    }
}

/// A sparse table of classes, row by row, so that the dense one never exists: `add` adds what the
/// origins `rows` of a cell of p send to each cell of q.
fn table_of_classes(
    p: &Partition,
    q: &Partition,
    add: impl Fn(&[u32], &mut ClassSums) + Sync,
) -> Csr<f64> {
    let (ptr, members) = p.members();
    let rows: Vec<(Vec<u32>, Vec<f64>)> = ptr
        .par_windows(2)
        .map_init(
            || ClassSums::new(q),
            |sums, range| {
                add(&members[range[0] as usize..range[1] as usize], sums);
                sums.take_nonzero()
            },
        )
        .collect();
    Csr::from_rows(q.cells(), &rows)
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

    fn destination_cells(&self, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(if q.cells() * FEW_CLASSES <= q.units() {
            self.passes.sums_by_class(q, scaling)
        } else {
            by_cell(&self.passes.destination_sums(scaling), q)
        })
    }

    fn class_sums(&self, p: &Partition, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; p.cells() * q.cells()];
        let ((ptr, members), weights) = (p.members(), Weights::toward(scaling, q));
        let (movers, o) = (self.matrix.movers(), &scaling.origin);
        let rows = sums.par_chunks_mut(q.cells().max(1)).zip(ptr.par_windows(2));
        rows.for_each_init(
            || ClassSums::new(q),
            |sums, (out, range)| {
                let members = &members[range[0] as usize..range[1] as usize];
                let rows = members.iter().map(|&i| i as usize);
                kernels::class_sums(movers, o, &weights, rows, sums);
                movers.release_each(members);
                sums.take(out);
            },
        );
        Ok(sums)
    }

    fn class_table(
        &self,
        p: &Partition,
        q: &Partition,
        entries: Entries,
        scaling: &Scaling,
    ) -> Result<Csr<f64>> {
        let weights = Weights::toward(scaling, q);
        let (movers, o) = (self.matrix.movers(), &scaling.origin);
        Ok(table_of_classes(p, q, |rows, sums| {
            if entries.movers() {
                let members = rows.iter().map(|&i| i as usize);
                kernels::class_sums(movers, o, &weights, members, sums);
                movers.release_each(rows);
            }
            if entries.stayers() {
                for &i in rows {
                    let i = i as usize;
                    sums.add(i, self.matrix.stayers()[i] * scaling.stayers[i]);
                }
            }
        }))
    }

    fn step_then_collapse(
        &self,
        first: &Margin,
        refinement: &Partition,
        scaling: &mut Scaling,
        factor: &(dyn Fn(usize, f64) -> f64 + Sync),
    ) -> Result<Option<(SteppedCells, FlowMatrix<f64>)>> {
        Ok(self.step_then_collapse(first, refinement, scaling, factor))
    }

    fn movers_l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64> {
        let movers = self.matrix.movers();
        let partial: Vec<f64> = self
            .passes
            .ranges()
            .par_iter()
            .map(|rows| {
                let change = kernels::l1_change(movers, before, after, rows.clone());
                movers.release(rows.clone());
                change
            })
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
}
