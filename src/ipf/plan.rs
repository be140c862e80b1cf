//! Constraints, and the order in which they are applied.

use serde::Deserialize;

use super::Margin;
use crate::kernels::factors::{AT_MOST, CellGoal, EQUAL, FREE, KEPT_ZERO};
use crate::{Error, Result};

/// What a target of 0 does to a cell that is not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroTargets {
    /// Leaves the cell alone (factor 1), as published: zeros of Census tables are sampling noise,
    /// and a flow set to 0 can never come back.
    #[default]
    Keep,
    /// Brings the cell down to the target's margin of error where it exceeds it; leaves it alone
    /// where there is none.
    Cap,
    /// Empties the cell.
    Enforce,
}

/// A margin with known cell totals.
///
/// Invariants, checked by [`Constraint::new`]:
/// - `targets` and `moe` have one number per cell of the margin;
/// - a target is >= 0, or NaN where the cell has no target and is left alone;
/// - at least one cell has a target, and the sum of the targets is finite;
/// - a margin of error is >= 0, or NaN where unknown.
#[derive(Clone, Debug)]
pub struct Constraint {
    name: String,
    margin: Margin,
    targets: Vec<f64>,
    moe: Option<Vec<f64>>,
    zero_targets: ZeroTargets,
}

impl Constraint {
    /// Targets in persons, one per cell of `margin` (NaN: no target).
    ///
    /// # Errors
    /// If no cell has a target, a number is negative or infinite, or the targets' sum is infinite.
    ///
    /// # Panics
    /// If the lengths differ from the number of cells.
    pub fn new(
        name: impl Into<String>,
        margin: Margin,
        targets: Vec<f64>,
        moe: Option<Vec<f64>>,
        zero_targets: ZeroTargets,
    ) -> Result<Self> {
        let name = name.into();
        assert_eq!(targets.len(), margin.cells(), "targets of constraint `{name}`");
        for (what, numbers) in [("target", Some(&targets)), ("moe", moe.as_ref())] {
            let Some(numbers) = numbers else { continue };
            assert_eq!(numbers.len(), margin.cells(), "{what} of constraint `{name}`");
            if let Some(cell) = numbers.iter().position(|t| *t < 0.0 || t.is_infinite()) {
                return Err(Error::request(format!(
                    "constraint `{name}`, cell {}: expected a {what} >= 0, found {}",
                    margin.label(cell),
                    numbers[cell]
                )));
            }
        }
        if targets.iter().all(|t| t.is_nan()) {
            return Err(Error::request(format!("constraint `{name}` has no target")));
        }
        if targets.iter().filter(|t| !t.is_nan()).sum::<f64>().is_infinite() {
            return Err(Error::request(format!(
                "constraint `{name}`: expected targets with a finite sum, found more than {:e}",
                f64::MAX
            )));
        }
        Ok(Self { name, margin, targets, moe, zero_targets })
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The margin.
    pub fn margin(&self) -> &Margin {
        &self.margin
    }

    /// Persons per cell; NaN where the cell has no target.
    pub fn targets(&self) -> &[f64] {
        &self.targets
    }

    /// What targets of 0 do.
    pub fn zero_targets(&self) -> ZeroTargets {
        self.zero_targets
    }

    /// Number of cells with a target.
    pub fn targeted(&self) -> usize {
        self.targets.iter().filter(|t| !t.is_nan()).count()
    }

    /// What a step asks of every cell where targets are multiplied by `scale`, and by `damp` for
    /// iterating only.
    pub(crate) fn cell_goals(&self, scale: f64, damp: f64) -> Vec<CellGoal> {
        let mean = self.mean_target() * scale;
        let unit =
            |kind: u32, target: f64| if kind == EQUAL && target > 0.0 { target } else { mean };
        let cells = 0..self.targets.len();
        cells
            .map(|cell| {
                let (kind, target) = self.goal(cell).scaled(scale).parts();
                let (_, goal) = self.goal(cell).scaled(scale * damp).parts();
                CellGoal {
                    kind,
                    padding: 0,
                    goal,
                    goal_unit: unit(kind, goal),
                    reported: target,
                    reported_unit: unit(kind, target),
                }
            })
            .collect()
    }

    /// Mean of the positive targets, or 1 person where there is none.
    fn mean_target(&self) -> f64 {
        let positive = self.targets.iter().filter(|t| **t > 0.0);
        let (sum, n) = positive.fold((0.0, 0.0), |(sum, n), t| (sum + t, n + 1.0));
        if n > 0.0 { sum / n } else { 1.0 }
    }

    /// The same constraint on another margin with the same cells.
    pub(crate) fn on(&self, margin: Margin) -> Self {
        assert_eq!(margin.cells(), self.margin.cells(), "cells of `{}`", self.name);
        Self { margin, ..self.clone() }
    }

    /// What the matrix should do in a cell.
    #[inline]
    pub(crate) fn goal(&self, cell: usize) -> Goal {
        let target = self.targets[cell];
        if target.is_nan() {
            return Goal::Free;
        }
        if target > 0.0 {
            return Goal::Equal(target);
        }
        match (self.zero_targets, &self.moe) {
            (ZeroTargets::Enforce, _) => Goal::Equal(0.0),
            (ZeroTargets::Cap, Some(moe)) if !moe[cell].is_nan() => Goal::AtMost(moe[cell]),
            _ => Goal::KeptZero,
        }
    }
}

/// What a constraint asks of one cell, in persons.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// No target: nothing.
    Free,
    /// The sum should be this.
    Equal(f64),
    /// The target is 0 within this margin of error: the sum should not exceed it.
    AtMost(f64),
    /// The target is 0 and the cell is left alone; it is met only if it is empty anyway.
    KeptZero,
}

impl Goal {
    /// The same goal in units scaled by `ratio`.
    pub(crate) fn scaled(self, ratio: f64) -> Self {
        match self {
            Self::Equal(target) => Self::Equal(target * ratio),
            other => other,
        }
    }

    /// Kind and number as the kernels know them.
    fn parts(self) -> (u32, f64) {
        match self {
            Self::Free => (FREE, 0.0),
            Self::Equal(target) => (EQUAL, target),
            Self::AtMost(limit) => (AT_MOST, limit),
            Self::KeptZero => (KEPT_ZERO, 0.0),
        }
    }
}

/// Constraints iterated in turn until all are met.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// One iteration applies each of them once, in this order.
    pub constraints: Vec<Constraint>,
    /// Iterations after which to give up.
    pub max_iterations: u32,
    /// Largest relative violation of any cell at which the margins count as met.
    pub tolerance: f64,
    /// Largest |ratio - 1| between the totals of two constraints over the same entries at which
    /// rescaling one to the other is acceptable.
    pub total_ratio_limit: f64,
}

/// Everything done to a seed: the `once` steps in order, then each repeat group in order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Constraints applied a single time.
    pub once: Vec<Constraint>,
    /// Constraints iterated to convergence, group by group.
    pub repeat: Vec<Repeat>,
}

impl Plan {
    /// Every constraint, in the order of first application.
    pub fn constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.once.iter().chain(self.repeat.iter().flat_map(|group| &group.constraints))
    }
}
