//! What a solve found, and how well.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Scaling;

/// How the constraints are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// Collapsed where that makes the matrix several times smaller, else direct.
    #[default]
    Auto,
    /// IPF, every iteration passing over every entry.
    Direct,
    /// IPF on the matrix summed to the common refinement of the margins; exact.
    Collapsed,
    /// Newton-CG on the dual of each repeat group, on the collapsed matrix.
    Newton,
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Collapsed => "collapsed",
            Self::Newton => "newton",
        })
    }
}

/// Why a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Every constraint that should hold does, checked on the harmonized entries.
    Converged,
    /// The steps were applied in order, but not all of their margins hold at the end.
    NotMet,
    /// The iterations allowed were used up.
    MaxIterations,
    /// The violation no longer shrinks.
    Stagnated,
    /// The iteration settled, but some cells cannot reach their targets.
    Infeasible,
    /// The totals of two constraints differ by more than the limit.
    TotalsDiffer,
}

impl StopReason {
    /// What the user can do, where there is something.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Converged | Self::Infeasible | Self::TotalsDiffer => None,
            Self::NotMet => Some(
                "a later step or group undid an earlier one: put constraints that should hold \
                 together into one [[repeat]] group",
            ),
            Self::MaxIterations => Some(
                "raise max_iterations, try --solver newton, or see in --history whether the \
                 violation still shrinks; 1/k means that flows have to vanish",
            ),
            Self::Stagnated => Some(
                "if nothing below names cells, the tolerance is beyond the rounding of the sums or \
                 the targets contradict each other: drop constraints in turn to find which",
            ),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converged => "converged",
            Self::NotMet => "applied, but not all margins hold at the end",
            Self::MaxIterations => "not converged: iterations used up",
            Self::Stagnated => "not converged: the violation no longer shrinks",
            Self::Infeasible => "not converged: some targets cannot be reached",
            Self::TotalsDiffer => "not converged: totals of the targets differ beyond the limit",
        })
    }
}

/// One step of one iteration.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryRow {
    /// Repeat group, from 0; none for a `once` step.
    pub group: Option<usize>,
    /// Iteration within the group, from 1.
    pub iteration: u32,
    /// Constraint, numbered over the whole plan.
    pub constraint: usize,
    /// Largest |factor - 1| of any cell in this step.
    pub max_update: f64,
    /// Persons moved by this step: sum of |factor - 1| x current.
    pub total_update: f64,
    /// Largest relative violation of any cell just before this step.
    pub max_violation: f64,
    /// Sum of the violations of all cells just before this step, in persons.
    pub total_violation: f64,
}

/// How well a constraint holds in the harmonized matrix.
#[derive(Clone, Debug, Serialize)]
pub struct ConstraintReport {
    /// Name of the constraint.
    pub name: String,
    /// Margin in words.
    pub margin: String,
    /// Whether the constraint is one that convergence is judged by.
    pub judged: bool,
    /// Cells with a target.
    pub cells: usize,
    /// Cells of the level without a target, left alone.
    pub untargeted: usize,
    /// Ratio by which the targets were multiplied to agree with the other constraints' total.
    pub target_scale: f64,
    /// Largest |sum - target| of a cell, in persons.
    pub max_absolute: f64,
    /// Largest |sum - target| / target of a cell; for a target of 0, relative to the mean target.
    pub max_relative: f64,
    /// Sum of |sum - target| over the cells, in persons.
    pub total_absolute: f64,
    /// The cell with the largest relative violation, if any is violated.
    pub worst_cell: Option<String>,
    /// That cell's target and sum, in persons.
    pub worst: Option<(f64, f64)>,
}

/// A reason why the margins cannot be met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Infeasible {
    /// The constraint, or the two of them.
    pub constraint: String,
    /// The cell or cells.
    pub cell: String,
    /// What is wrong, with numbers, and what can be done.
    pub reason: String,
}

/// The outcome of [`solve`](super::solve).
#[derive(Clone, Debug, Serialize)]
pub struct Solution {
    /// The factors of the harmonized matrix.
    #[serde(skip)]
    pub scaling: Scaling,
    /// Why the solve ended.
    pub stop: StopReason,
    /// The solver used: never [`Solver::Auto`].
    pub solver: Solver,
    /// Iterations over all repeat groups (Newton iterations for that solver).
    pub iterations: u32,
    /// Passes over one side's sums of the table solved on, all iterations together.
    pub half_sweeps: u32,
    /// Units of the matrix the repeat groups were solved on.
    pub solved_units: usize,
    /// Stored entries of that matrix: movers, and stayers that are not 0.
    pub solved_entries: usize,
    /// Seconds that the iterations took, of all repeat groups together.
    pub iterations_s: f64,
    /// Total of the constraint that had to be rescaled most over the total it was rescaled to; 1
    /// where all totals agree.
    pub total_ratio: f64,
    /// Sum of |change| of all entries from the last iteration but one to the last, in persons.
    pub l1_change: f64,
    /// Every constraint of the plan, in order, at the end.
    pub constraints: Vec<ConstraintReport>,
    /// What cannot be met and why.
    pub infeasible: Vec<Infeasible>,
    /// Every step taken.
    #[serde(skip)]
    pub history: Vec<HistoryRow>,
}

impl Solution {
    /// Whether every constraint that should hold does.
    pub fn converged(&self) -> bool {
        self.stop == StopReason::Converged
    }

    /// Largest relative violation among the constraints convergence is judged by; NaN if one could
    /// not be computed.
    pub fn max_relative_violation(&self) -> f64 {
        let judged = self.constraints.iter().filter(|c| c.judged).map(|c| c.max_relative);
        judged.fold(0.0, |max, v| if v > max || v.is_nan() { v } else { max })
    }
}
