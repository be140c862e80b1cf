//! The factors of a step, with the rules for zeros and margins of error, and what it changes.

use bytemuck::{Pod, Zeroable};

/// What a step asks of one cell, in persons.
///
/// Keep in sync with `shaders/factors.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct CellGoal {
    /// [`FREE`], [`EQUAL`], [`AT_MOST`] or [`KEPT_ZERO`].
    pub kind: u32,
    /// 0.
    pub padding: u32,
    /// The target or limit iterated toward.
    pub goal: f64,
    /// What a violation of `goal` is relative to.
    pub goal_unit: f64,
    /// The target or limit as reported.
    pub reported: f64,
    /// What a violation of `reported` is relative to.
    pub reported_unit: f64,
}

/// The cell has no target.
pub const FREE: u32 = 0;
/// The sum should be this.
pub const EQUAL: u32 = 1;
/// The target is 0 within a margin of error: the sum should not exceed it.
pub const AT_MOST: u32 = 2;
/// The target is 0 and the cell is left alone; it is met only if it is empty anyway.
pub const KEPT_ZERO: u32 = 3;

impl CellGoal {
    /// target / current; 1 where the cell is empty or left alone, or holds so little that no number
    /// is large enough.
    #[inline]
    pub fn factor(&self, current: f64) -> f64 {
        let scaled = match self.kind {
            EQUAL => current > 0.0,
            AT_MOST => current > self.goal,
            _ => false,
        };
        let factor = if scaled { self.goal / current } else { 1.0 };
        if factor.is_finite() { factor } else { 1.0 }
    }

    /// Persons by which `current` misses the target as reported.
    #[inline]
    pub fn violation(&self, current: f64) -> f64 {
        self.miss(current, self.reported)
    }

    #[inline]
    fn miss(&self, current: f64, wanted: f64) -> f64 {
        match self.kind {
            EQUAL => (current - wanted).abs(),
            AT_MOST => (current - wanted).max(0.0),
            KEPT_ZERO => current,
            _ => 0.0,
        }
    }
}

/// What a step met and did, over all its cells.
///
/// Keep in sync with `shaders/factors.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Measures {
    /// Largest |factor - 1|.
    pub max_update: f64,
    /// Sum of |factor - 1| x current, in persons.
    pub total_update: f64,
    /// Largest relative violation of a target before the step.
    pub max_violation: f64,
    /// Sum of the violations before the step, in persons.
    pub total_violation: f64,
    /// Largest relative violation of a goal that scaling can mend.
    pub unsettled: f64,
}

impl Measures {
    /// Takes in a cell that held `current` and was multiplied by `factor`.
    #[inline]
    pub fn add(&mut self, goal: &CellGoal, current: f64, factor: f64) {
        let update = (factor - 1.0).abs();
        let violation = goal.violation(current);
        let mendable = match goal.kind {
            EQUAL => current != 0.0,
            AT_MOST => true,
            _ => false,
        };
        let unsettled = if mendable { goal.miss(current, goal.goal) / goal.goal_unit } else { 0.0 };
        self.merge(&Self {
            max_update: update,
            total_update: update * current,
            max_violation: violation / goal.reported_unit,
            total_violation: violation,
            unsettled,
        });
    }

    /// Takes in the measures of other cells.
    pub fn merge(&mut self, other: &Self) {
        self.max_update = larger(self.max_update, other.max_update);
        self.total_update += other.total_update;
        self.max_violation = larger(self.max_violation, other.max_violation);
        self.total_violation += other.total_violation;
        self.unsettled = larger(self.unsettled, other.unsettled);
    }
}

/// The larger of the two; what is no number is larger than any.
#[inline]
fn larger(a: f64, b: f64) -> f64 {
    if a >= b || a.is_nan() { a } else { b }
}

/// The factor of every cell, and what the step met and did.
pub fn factors(goals: &[CellGoal], current: &[f64], out: &mut [f64]) -> Measures {
    assert_eq!((current.len(), out.len()), (goals.len(), goals.len()), "one number per cell");
    let mut measures = Measures::default();
    for ((goal, &current), factor) in goals.iter().zip(current).zip(out) {
        *factor = goal.factor(current);
        measures.add(goal, current, *factor);
    }
    measures
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn cell(kind: u32, goal: f64) -> CellGoal {
        CellGoal { kind, padding: 0, goal, goal_unit: 2.0, reported: goal, reported_unit: 4.0 }
    }

    #[test]
    fn every_rule_by_hand() {
        let goals = [
            cell(FREE, 0.0),
            cell(EQUAL, 6.0),
            cell(EQUAL, 6.0),
            cell(EQUAL, 0.0),
            cell(EQUAL, 6.0),
            cell(AT_MOST, 2.0),
            cell(AT_MOST, 2.0),
            cell(KEPT_ZERO, 0.0),
        ];
        let current = [9.0, 3.0, 0.0, 3.0, 1e-310, 4.0, 1.0, 3.0];
        let mut out = [f64::NAN; 8];
        let measures = factors(&goals, &current, &mut out);
        assert_eq!(out, [1.0, 2.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0]);
        let expected = Measures {
            max_update: 1.0,
            total_update: 3.0 + 3.0 + 2.0,
            max_violation: 6.0 / 4.0,
            total_violation: 3.0 + 6.0 + 3.0 + 6.0 + 2.0 + 3.0,
            unsettled: 6.0 / 2.0,
        };
        assert_eq!(measures, expected);
    }

    #[test]
    fn a_sum_that_is_no_number_is_the_worst() {
        let goals = [cell(EQUAL, 1.0), cell(EQUAL, 1.0), cell(EQUAL, 1.0)];
        let measures = factors(&goals, &[1.0, f64::NAN, 2.0], &mut [0.0; 3]);
        assert!(measures.unsettled.is_nan() && measures.max_violation.is_nan());
    }
}
