//! The passes in fixed point on the CPU.

use rayon::prelude::*;

use super::exact::FixedPasses;
use super::passes::Passes;
use crate::Result;
use crate::geography::Partition;
use crate::kernels::fixed::FixedScaling;
use crate::kernels::{
    fixed_class_sums, fixed_destination_sums, fixed_l1_change, fixed_origin_sums,
};
use crate::matrix::{FlowMatrix, Value, split_per_row};

/// The kernels on the CPU: what every device has to equal bit for bit.
pub(crate) struct Twin<'a, V> {
    matrix: &'a FlowMatrix<V>,
    passes: Passes<'a, V>,
}

impl<'a, V: Value> Twin<'a, V> {
    pub fn new(matrix: &'a FlowMatrix<V>) -> Self {
        Self { matrix, passes: Passes::new(matrix.movers()) }
    }

    /// One count per origin, range by range.
    fn by_origin(&self, kernel: impl Fn(std::ops::Range<usize>, &mut [u64]) + Sync) -> Vec<u64> {
        let mut counts = vec![0; self.matrix.units()];
        let ranges = self.passes.ranges();
        let parts = split_per_row(ranges, &mut counts);
        ranges.par_iter().zip(parts).for_each(|(rows, out)| {
            kernel(rows.clone(), out);
            self.matrix.movers().release(rows.clone());
        });
        counts
    }
}

impl<V: Value> FixedPasses for Twin<'_, V> {
    fn origin_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>> {
        let movers = self.matrix.movers();
        Ok(self.by_origin(|rows, out| fixed_origin_sums(movers, scaling, units, rows, out)))
    }

    fn destination_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>> {
        let (movers, n) = (self.matrix.movers(), self.matrix.units());
        let partial = self.passes.wide_ranges().par_iter().map(|rows| {
            let mut out = vec![0; n];
            fixed_destination_sums(movers, scaling, units, rows.clone(), &mut out);
            movers.release(rows.clone());
            out
        });
        Ok(partial.reduce(
            || vec![0; n],
            |mut sums, more| {
                sums.iter_mut().zip(more).for_each(|(sum, m)| *sum += m);
                sums
            },
        ))
    }

    fn class_sums(
        &self,
        p: &Partition,
        q: &Partition,
        scaling: &FixedScaling,
        unit: i32,
    ) -> Result<Vec<u128>> {
        let mut sums = vec![0; p.cells() * q.cells()];
        let (ptr, members) = p.members();
        sums.par_chunks_mut(q.cells().max(1)).zip(ptr.par_windows(2)).for_each(|(out, range)| {
            let rows = &members[range[0] as usize..range[1] as usize];
            fixed_class_sums(self.matrix.movers(), scaling, unit, rows, q.cell_of(), out);
            self.matrix.movers().release_each(rows);
        });
        Ok(sums)
    }

    fn l1_change(
        &self,
        before: &FixedScaling,
        after: &FixedScaling,
        units: &[i32],
    ) -> Result<Vec<u64>> {
        let movers = self.matrix.movers();
        Ok(self.by_origin(|rows, out| fixed_l1_change(movers, before, after, units, rows, out)))
    }
}
