//! Where the passes over entries run: one small trait, behind which the loop does not look.

use super::group::Group;
use super::iterate::Iterations;
use super::margin::{Entries, Groups, Margin};
use super::{Cpu, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::matrix::{Csr, FlowMatrix, Value};

/// The passes over the movers of one matrix, and what follows from them.
///
/// Every implementation gives the same bits for the same calls in the same order, whatever the
/// number of threads.
pub(crate) trait Backend<V: Value> {
    /// The matrix on the CPU: for everything that is not a pass over its movers.
    fn cpu(&self) -> &Cpu<'_, V>;

    /// Movers leaving each unit, in persons.
    fn origin_sums(&self, scaling: &Scaling) -> Result<Vec<f64>>;

    /// Movers arriving at each unit, in persons.
    fn destination_sums(&self, scaling: &Scaling) -> Result<Vec<f64>>;

    /// Movers by pair of cells (P x Q), row by row, in persons.
    fn class_sums(&self, p: &Partition, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>>;

    /// sum of |harmonized(after) - harmonized(before)| over the movers, in persons.
    fn movers_l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64>;

    /// Relative error that rounding may leave in a sum.
    fn rounding(&self) -> f64;

    /// The iterations of a group from `start` on, where this backend takes several at once.
    fn iterations<'b>(
        &'b self,
        _group: &'b Group,
        _start: &Scaling,
    ) -> Result<Option<Box<dyn Iterations + 'b>>> {
        Ok(None)
    }

    /// A step and the sums of the next one in a single pass, where this backend can: see
    /// [`Cpu::step_then_sums`].
    fn step_then_sums(
        &self,
        _first: &Margin,
        _next: &Margin,
        _scaling: &mut Scaling,
        _factor: &(dyn Fn(usize, f64) -> f64 + Sync),
    ) -> Result<Option<FusedStep>> {
        Ok(None)
    }

    /// A step and the collapse after it in a single pass, where this backend can: a step of origins
    /// that are cells of their own.
    fn step_then_collapse(
        &self,
        _first: &Margin,
        _refinement: &Partition,
        _scaling: &mut Scaling,
        _factor: &(dyn Fn(usize, f64) -> f64 + Sync),
    ) -> Result<Option<(SteppedCells, FlowMatrix<f64>)>> {
        Ok(None)
    }

    /// Movers arriving in each cell, in persons.
    fn destination_cells(&self, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(by_cell(&self.destination_sums(scaling)?, q))
    }

    /// Persons in every cell of `margin`.
    fn cell_sums(&self, margin: &Margin, scaling: &Scaling) -> Result<Vec<f64>> {
        let matrix = self.cpu().matrix();
        assert_eq!(margin.units(), matrix.units(), "margin {margin}");
        let mut sums = match &margin.groups {
            _ if !margin.entries.movers() => vec![0.0; margin.cells()],
            Groups::Origin(p) => by_cell(&self.origin_sums(scaling)?, p),
            Groups::Destination(q) => self.destination_cells(q, scaling)?,
            Groups::Block(p, q) => self.class_sums(p, q, scaling)?,
        };
        add_stayers(matrix, margin, scaling, &mut sums);
        Ok(sums)
    }

    /// Persons by pair of cells (P x Q), sparse.
    fn class_table(
        &self,
        p: &Partition,
        q: &Partition,
        entries: Entries,
        scaling: &Scaling,
    ) -> Result<Csr<f64>>;

    /// The matrix aggregated to the cells of `refinement`, every entry scaled.
    fn collapse(&self, refinement: &Partition, scaling: &Scaling) -> Result<FlowMatrix<f64>> {
        let stayers = self.cpu().stayers_of_classes(refinement, scaling);
        let movers = self.class_table(refinement, refinement, Entries::Movers, scaling)?;
        Ok(FlowMatrix::new(stayers, movers))
    }

    /// sum of |harmonized(after) - harmonized(before)| over all entries, in persons.
    fn l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64> {
        let stayers = self.cpu().matrix().stayers().iter();
        let factors = before.stayers.iter().zip(&after.stayers);
        let stayers: f64 = stayers.zip(factors).map(|(s, (b, a))| s * (a - b).abs()).sum();
        Ok(self.movers_l1_change(before, after)? + stayers)
    }
}

/// What a step met and did.
pub struct SteppedCells {
    /// Persons per cell before the step.
    pub sums: Vec<f64>,
    /// Factor of each cell.
    pub factors: Vec<f64>,
}

/// A step and the sums of the next margin, found in one pass.
pub struct FusedStep {
    /// The step.
    pub stepped: SteppedCells,
    /// Persons per cell of the next margin, after the step.
    pub next_sums: Vec<f64>,
}

/// Sums by unit, added up to sums by cell.
pub(super) fn by_cell(by_unit: &[f64], partition: &Partition) -> Vec<f64> {
    let mut cells = vec![0.0; partition.cells()];
    for (sum, &cell) in by_unit.iter().zip(partition.cell_of()) {
        cells[cell as usize] += sum;
    }
    cells
}

/// Adds the stayers to sums by cell, where the margin counts them.
pub(super) fn add_stayers<V: Value>(
    matrix: &FlowMatrix<V>,
    margin: &Margin,
    scaling: &Scaling,
    sums: &mut [f64],
) {
    if margin.entries.stayers() {
        for (i, (seed, f)) in matrix.stayers().iter().zip(&scaling.stayers).enumerate() {
            sums[margin.cell(i, i)] += seed * f;
        }
    }
}

/// A sparse table from the dense one.
pub(super) fn class_table<V: Value>(
    backend: &impl Backend<V>,
    p: &Partition,
    q: &Partition,
    entries: Entries,
    scaling: &Scaling,
) -> Result<Csr<f64>> {
    let matrix = backend.cpu().matrix();
    let mut sums = if entries.movers() {
        backend.class_sums(p, q, scaling)?
    } else {
        vec![0.0; p.cells() * q.cells()]
    };
    if entries.stayers() {
        for (i, (seed, f)) in matrix.stayers().iter().zip(&scaling.stayers).enumerate() {
            let (a, b) = (p.cell_of()[i] as usize, q.cell_of()[i] as usize);
            sums[a * q.cells() + b] += seed * f;
        }
    }
    let rows = sums
        .chunks_exact(q.cells().max(1))
        .map(|sums| (0_u32..).zip(sums).filter(|s| *s.1 > 0.0).map(|(k, &s)| (k, s)).unzip());
    Ok(Csr::from_rows(q.cells(), &rows.collect::<Vec<_>>()))
}
