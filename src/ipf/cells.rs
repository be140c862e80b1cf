//! What became of the cells of every constraint.

use super::{Constraint, Cpu, Margin, Problem, Scaling, Solution};
use crate::matrix::{FlowMatrix, Value};

/// A cell with a target, before and after. Persons.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellChange {
    /// Cell of the constraint's margin.
    pub cell: usize,
    /// Its target, rescaled as the solve did.
    pub target: f64,
    /// Its sum in the seed.
    pub seed: f64,
    /// Its sum in the harmonized matrix.
    pub harmonized: f64,
}

/// The targeted cells of every constraint of a plan, in their order.
pub fn cell_changes<V: Value>(
    seed: &FlowMatrix<V>,
    problem: &Problem,
    solution: &Solution,
) -> Vec<Vec<CellChange>> {
    let cpu = Cpu::new(seed);
    let unscaled = Scaling::identity(seed.units());
    let margins: Vec<&Margin> = problem.plan().constraints().map(Constraint::margin).collect();
    let before = cpu.all_cell_sums(&margins, &unscaled);
    let after = cpu.all_cell_sums(&margins, &solution.scaling);
    let constraints = problem.plan().constraints().zip(&solution.constraints);
    constraints
        .zip(before.into_iter().zip(after))
        .map(|((constraint, report), (before, after))| {
            let cells = constraint.targets().iter().zip(before.into_iter().zip(after));
            let cells = cells.enumerate().filter(|(_, (target, _))| !target.is_nan());
            cells
                .map(|(cell, (target, (seed, harmonized)))| CellChange {
                    cell,
                    target: target * report.target_scale,
                    seed,
                    harmonized,
                })
                .collect()
        })
        .collect()
}
