//! Passes on a graphics device.

use std::rc::Rc;
use std::sync::Arc;

use super::backend::Backend;
use super::exact::{Exact, FixedPasses};
use super::{Cpu, Entries, Group, Iterations, SUM_ROUNDING, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::gpu::{Device, Matrix, Resident};
use crate::kernels::fixed::FixedScaling;
use crate::matrix::{Csr, FlowMatrix, Value};

/// Arithmetic of sums on a graphics device. Factors are always `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Fixed point: the same bits on every device, and on the CPU.
    #[default]
    Exact,
    /// 64-bit floating point; whole iterations run on the device.
    F64,
    /// 32-bit floating point.
    F32,
}

impl<V: Value> FixedPasses for Rc<Matrix<'_, V>> {
    fn origin_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>> {
        self.fixed_origin_sums(scaling, units)
    }

    fn destination_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>> {
        self.fixed_destination_sums(scaling, units)
    }

    fn class_sums(
        &self,
        p: &Partition,
        q: &Partition,
        scaling: &FixedScaling,
        unit: i32,
    ) -> Result<Vec<u128>> {
        self.fixed_class_sums(p, q, scaling, unit)
    }

    fn l1_change(
        &self,
        before: &FixedScaling,
        after: &FixedScaling,
        units: &[i32],
    ) -> Result<Vec<u64>> {
        self.fixed_l1_change(before, after, units)
    }
}

/// The passes over one matrix on a device.
pub(super) fn backend<'a, V: Value>(
    device: &Arc<Device>,
    precision: Precision,
    matrix: &'a FlowMatrix<V>,
) -> Result<Box<dyn Backend<V> + 'a>> {
    Ok(backend_of(Rc::new(Matrix::new(device.clone(), matrix)?), precision, matrix))
}

/// The passes over one matrix that a device has already.
pub(crate) fn backend_of<'a, V: Value>(
    passes: Rc<Matrix<'a, V>>,
    precision: Precision,
    matrix: &'a FlowMatrix<V>,
) -> Box<dyn Backend<V> + 'a> {
    let exact = Exact::new(matrix, Box::new(passes.clone()));
    match precision {
        Precision::Exact => Box::new(exact),
        Precision::F64 | Precision::F32 => Box::new(Floating { passes, exact, precision }),
    }
}

/// Sums of origins and destinations in floating point; classes and changes, which are summed once
/// and in no order, in fixed point.
struct Floating<'a, V: Value> {
    passes: Rc<Matrix<'a, V>>,
    exact: Exact<'a, V>,
    precision: Precision,
}

impl<V: Value> Backend<V> for Floating<'_, V> {
    fn cpu(&self) -> &Cpu<'_, V> {
        self.exact.cpu()
    }

    fn origin_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        match self.precision {
            Precision::F32 => self.passes.origin_sums_f32(scaling),
            _ => self.passes.origin_sums_f64(scaling),
        }
    }

    fn destination_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        match self.precision {
            Precision::F32 => self.passes.destination_sums_f32(scaling),
            _ => self.passes.destination_sums_f64(scaling),
        }
    }

    fn class_sums(&self, p: &Partition, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        self.exact.class_sums(p, q, scaling)
    }

    fn class_table(
        &self,
        p: &Partition,
        q: &Partition,
        entries: Entries,
        scaling: &Scaling,
    ) -> Result<Csr<f64>> {
        self.exact.class_table(p, q, entries, scaling)
    }

    fn movers_l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64> {
        self.exact.movers_l1_change(before, after)
    }

    fn rounding(&self) -> f64 {
        match self.precision {
            // A plan has few kinds of blocks.
            Precision::F32 => self.passes.device.rounding_f32(2),
            _ => SUM_ROUNDING,
        }
    }

    fn iterations<'b>(
        &'b self,
        group: &'b Group,
        start: &Scaling,
    ) -> Result<Option<Box<dyn Iterations + 'b>>> {
        if self.precision != Precision::F64 {
            return Ok(None);
        }
        let stayers = self.cpu().matrix().stayers();
        let resident = Resident::new(&self.passes, stayers, group, start)?;
        Ok(resident.map(|iterations| Box::new(iterations) as Box<dyn Iterations + 'b>))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::iterate::PassByPass;
    use super::super::problem::Stage;
    use super::super::{Constraint, Groups, Margin, Plan, Problem, Repeat, ZeroTargets};
    use super::*;
    use crate::geography::Geography;
    use crate::gpu::Options;

    fn device() -> Arc<Device> {
        Device::open(&Options { allow_software: true, ..Options::default() })
            .unwrap_or_else(|e| panic!("{e}; ./test installs libvulkan1 and mesa-vulkan-drivers"))
    }

    /// `n` units in `cells` cells that are not contiguous, each with a member.
    fn scattered(n: usize, cells: usize) -> Arc<Partition> {
        let cell_of = (0..n).map(|i| (i * 7919 % n % cells) as u32).collect();
        let codes = (0..cells).map(|c| c.to_string()).collect();
        Arc::new(Partition::from_parts("scattered", cell_of, codes))
    }

    fn matrix(n: usize, rng: &mut ChaCha8Rng) -> FlowMatrix<f32> {
        let rows = (0..n).map(|i| {
            let mut columns: Vec<u32> = (0..rng.random_range(0..12))
                .map(|_| rng.random_range(0..n as u32))
                .filter(|&j| j as usize != i)
                .collect();
            columns.sort_unstable();
            columns.dedup();
            let values = columns.iter().map(|_| rng.random_range(0.0..3.0)).collect();
            (columns, values)
        });
        let movers = Csr::from_rows(n, &rows.collect::<Vec<_>>());
        FlowMatrix::new((0..n).map(|_| rng.random_range(0.0..20.0)).collect(), movers)
    }

    /// Targets of every kind: none, zero, and near what the matrix holds.
    fn constraint(
        cpu: &Cpu<f32>,
        groups: Groups,
        entries: Entries,
        zeros: ZeroTargets,
        rng: &mut ChaCha8Rng,
    ) -> Constraint {
        let margin = Margin { groups, entries };
        let sums = cpu.cell_sums(&margin, &Scaling::identity(cpu.matrix().units()));
        let mut targets: Vec<f64> = sums
            .iter()
            .map(|s| match rng.random_range(0..8) {
                0 => f64::NAN,
                1 => 0.0,
                _ => s * rng.random_range(0.5..2.0),
            })
            .collect();
        targets[0] = sums[0] + 1.0;
        let moe = sums.iter().map(|s| s * rng.random_range(0.0..1.0)).collect();
        Constraint::new(margin.to_string(), margin, targets, Some(moe), zeros).unwrap()
    }

    #[track_caller]
    fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
            let difference = (found - expected).abs();
            assert!(difference <= 1e-12 * expected.abs(), "{what}, {k}: {found:e} {expected:e}");
        }
    }

    fn assert_scaling(what: &str, found: &Scaling, expected: &Scaling) {
        assert_close(&format!("{what}, origins"), &found.origin, &expected.origin);
        assert_close(&format!("{what}, destinations"), &found.destination, &expected.destination);
        assert_close(&format!("{what}, stayers"), &found.stayers, &expected.stayers);
    }

    #[test]
    fn iterations_on_the_device_are_those_of_the_cpu() {
        let device = device();
        assert!(device.has(crate::gpu::Feature::F64), "a device with f64 is needed");
        // Around the 256 lanes of a workgroup, the 64 of a cell, and cells of single units.
        for (number, (n, p, q)) in
            [(1, 1, 1), (65, 1, 65), (256, 4, 3), (257, 257, 63), (1000, 255, 1000)]
                .into_iter()
                .enumerate()
        {
            let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
            let seed = matrix(n, &mut rng);
            let cpu = Cpu::new(&seed);
            let (p, q) = (scattered(n, p), scattered(n, q));
            let mut add =
                |groups, entries, zeros| constraint(&cpu, groups, entries, zeros, &mut rng);
            let constraints = vec![
                add(Groups::Destination(q.clone()), Entries::All, ZeroTargets::Keep),
                add(Groups::Origin(p.clone()), Entries::All, ZeroTargets::Cap),
                add(Groups::Destination(p), Entries::Movers, ZeroTargets::Enforce),
                add(Groups::Origin(q), Entries::Stayers, ZeroTargets::Cap),
            ];
            let group = Repeat {
                constraints: constraints.clone(),
                max_iterations: 100,
                tolerance: 0.0,
                total_ratio_limit: 1e9,
            };
            let plan = Plan { once: vec![], repeat: vec![group] };
            let problem = Problem::new(&Geography::numbered(n), plan).unwrap();
            let mut start = Scaling::identity(n);
            // Blocks stay as they were before the group.
            let halves = scattered(n, 2.min(n));
            let blocks = Groups::Block(halves.clone(), halves);
            let blocks = Margin { groups: blocks, entries: Entries::Movers };
            start.apply(&blocks, &[1.5, 0.25, 3.0, 1.0][..blocks.cells()]);

            let stage = Stage::Repeat(0);
            let group = Group::new(&cpu, constraints, 0, &start, &stage, &problem).unwrap();
            let gpu = backend(&device, Precision::F64, &seed).unwrap();
            let mut here = PassByPass::new(&cpu, &group, &start);
            let mut there = gpu.iterations(&group, &start).unwrap().expect("it fits the device");
            for iteration in 1..=11 {
                let what = format!("{n} units, iteration {iteration}");
                let steps = [here.next().unwrap(), there.next().unwrap()];
                let [expected, found] = steps.map(|steps| {
                    let rows = steps.iter().flat_map(|step| {
                        let row = &step.row;
                        assert_eq!(row.iteration, iteration);
                        [
                            row.max_update,
                            row.total_update,
                            row.max_violation,
                            row.total_violation,
                            step.unsettled,
                        ]
                    });
                    rows.collect::<Vec<_>>()
                });
                for (k, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    // Updates near 0 are differences of numbers near 1.
                    let difference = (found - expected).abs();
                    assert!(difference <= 1e-12 * expected.max(1.0), "{what}: measure {k}");
                }
                // In the middle of batches, and twice.
                if [1, 2, 5, 6, 11].contains(&iteration) {
                    let before = there.before_last().unwrap();
                    assert_scaling(&what, &before, &here.before_last().unwrap());
                    assert_scaling(&what, there.scaling().unwrap(), here.scaling().unwrap());
                }
            }
        }
    }
}
