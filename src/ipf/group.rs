//! A repeat group on a given matrix: its targets made to agree, and one step.

use super::backend::{Backend, FusedStep, SteppedCells};
use super::iterate::Iterated;
use super::margin::{Entries, Groups};
use super::plan::Goal;
use super::problem::Stage;
use super::solution::HistoryRow;
use super::{Constraint, Problem, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::kernels::factors::{CellGoal, Measures};
use crate::matrix::{FlowMatrix, Value};

/// Relative rounding of sums of millions of terms.
pub(crate) const SUM_ROUNDING: f64 = 256.0 * f64::EPSILON;

/// How far the sums of a constraint's cells are from their targets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    /// Persons, largest of any cell.
    pub max_absolute: f64,
    /// Largest of any cell, relative to its target, or to the mean target where that is 0.
    pub max_relative: f64,
    /// Persons, all cells.
    pub total: f64,
    /// The cell with the largest relative violation.
    pub worst: Option<usize>,
}

impl Measure {
    /// Measures `sums` against the targets of `constraint` times `scale`.
    pub fn of(constraint: &Constraint, scale: f64, sums: &[f64]) -> Self {
        let mut measure = Self::default();
        for (cell, (goal, &sum)) in constraint.cell_goals(scale, 1.0).iter().zip(sums).enumerate() {
            let violation = goal.violation(sum);
            let relative = violation / goal.reported_unit;
            measure.total += violation;
            measure.max_absolute = measure.max_absolute.max(violation);
            // A sum that is no number is worse than any violation.
            if relative > measure.max_relative || relative.is_nan() || measure.worst.is_none() {
                measure.max_relative = relative;
                measure.worst = Some(cell);
            }
        }
        measure
    }
}

/// Constraints iterated together on one matrix.
pub(crate) struct Group {
    pub constraints: Vec<Constraint>,
    /// Number of the first constraint over the whole plan.
    pub first: usize,
    /// Number of the repeat group; none for a `once` step.
    pub number: Option<usize>,
    pub max_iterations: u32,
    pub tolerance: f64,
    pub total_ratio_limit: f64,
    /// Per constraint: what its targets are multiplied by so that its total agrees with that of
    /// the reference constraint over the same entries.
    pub scale: Vec<f64>,
    /// Per constraint: a further ratio for iterating only. Targets of empty cells cannot be met;
    /// without it the rest would drift by the missing share in every iteration.
    damp: Vec<f64>,
    /// Totals that had to be made to agree.
    pub mismatches: Vec<Mismatch>,
    /// Total of the targets that had to be rescaled most over that of their reference.
    pub total_ratio: f64,
    /// Sums of every constraint when the group starts.
    pub start_sums: Vec<Vec<f64>>,
    /// Per constraint and cell: what a step asks.
    pub goals: Vec<Vec<CellGoal>>,
}

/// Constraints whose targets were rescaled together to the total of another.
pub(crate) struct Mismatch {
    /// One constraint; or one of all movers and one of all stayers, whose totals add up.
    pub rescaled: Vec<usize>,
    pub reference: usize,
    /// Sum of the targets, as given.
    pub total: f64,
    /// Sum of the reference's.
    pub reference_total: f64,
}

impl Mismatch {
    pub fn ratio(&self) -> f64 {
        self.total / self.reference_total
    }
}

/// What one step did.
pub(crate) struct Step {
    pub row: HistoryRow,
    /// Largest relative violation before the step among the cells that can be scaled, against the
    /// targets iterated.
    pub unsettled: f64,
}

impl Group {
    pub fn new<W: Value>(
        backend: &dyn Backend<W>,
        constraints: Vec<Constraint>,
        first: usize,
        scaling: &Scaling,
        stage: &Stage,
        problem: &Problem,
    ) -> Result<Self> {
        let n = constraints.len();
        let mut group = Self {
            first,
            number: None,
            max_iterations: 1,
            tolerance: 0.0,
            total_ratio_limit: f64::INFINITY,
            scale: vec![1.0; n],
            damp: vec![1.0; n],
            mismatches: Vec::new(),
            total_ratio: 1.0,
            start_sums: Vec::new(),
            goals: Vec::new(),
            constraints,
        };
        if let Stage::Repeat(number) = stage {
            let settings = &problem.plan().repeat[*number];
            group.number = Some(*number);
            group.max_iterations = settings.max_iterations;
            group.tolerance = settings.tolerance;
            group.total_ratio_limit = settings.total_ratio_limit;
            group.start_sums = group.sums(backend, scaling)?;
            group.balance();
        }
        let scales = group.scale.iter().zip(&group.damp);
        group.goals = group
            .constraints
            .iter()
            .zip(scales)
            .map(|(constraint, (scale, damp))| constraint.cell_goals(*scale, *damp))
            .collect();
        Ok(group)
    }

    /// Makes the totals of constraints over the same entries agree.
    ///
    /// Where two constraints both fix the sum of all the same entries, their totals must agree or
    /// alternating between them never settles. The reference is the last origin constraint (as
    /// published: column targets are rescaled to the rows' total), or else the last one. Movers and
    /// stayers that are both fixed must add up to all.
    fn balance(&mut self) {
        let [all, movers, stayers] = [Entries::All, Entries::Movers, Entries::Stayers].map(|e| {
            let covering: Vec<usize> = (0..self.constraints.len())
                .filter(|&k| self.constraints[k].margin().entries == e && self.covers(k))
                .collect();
            let is_origin =
                |k: &&usize| matches!(self.constraints[**k].margin().groups, Groups::Origin(_));
            let reference = covering.iter().rfind(is_origin).or(covering.last()).copied();
            (covering, reference)
        });
        for (covering, reference) in [&all, &movers, &stayers] {
            let Some(reference) = *reference else { continue };
            for &k in covering.iter().filter(|&&k| k != reference) {
                self.agree(&[k], &[k], reference);
            }
        }
        if let ((_, Some(all)), (m, Some(movers)), (s, Some(stayers))) = (all, movers, stayers) {
            // Both sides change by one ratio, whichever constraints fix them.
            self.agree(&[movers, stayers], &[m, s].concat(), all);
        }
    }

    /// Rescales the targets of `rescaled` so that those of `parts` add up to those of `reference`.
    fn agree(&mut self, parts: &[usize], rescaled: &[usize], reference: usize) {
        let (reference_total, reference_reachable) = self.totals(reference);
        let (mut total, mut reachable) = (0.0, 0.0);
        for &k in parts {
            let (own_total, own_reachable) = self.totals(k);
            total += own_total;
            reachable += own_reachable;
        }
        if total <= 0.0 || reference_total <= 0.0 {
            return;
        }
        let mismatch = Mismatch { rescaled: parts.to_vec(), reference, total, reference_total };
        let ratio = mismatch.ratio();
        for &k in rescaled {
            self.scale[k] /= ratio;
            if reachable > 0.0 && (reachable < total || reference_reachable < reference_total) {
                self.damp[k] *= ratio * reference_reachable / reachable;
            }
        }
        if ratio.ln().abs() > self.total_ratio.ln().abs() {
            self.total_ratio = ratio;
        }
        self.mismatches.push(mismatch);
    }

    /// Whether every entry the constraint counts is in a cell that is scaled to a target.
    fn covers(&self, k: usize) -> bool {
        let scaled = |cell| matches!(self.constraints[k].goal(cell), Goal::Equal(_));
        self.start_sums[k].iter().enumerate().all(|(cell, &sum)| sum == 0.0 || scaled(cell))
    }

    /// Total of the targets, and of those whose cells are not empty.
    fn totals(&self, k: usize) -> (f64, f64) {
        let (mut total, mut reachable) = (0.0, 0.0);
        for (cell, &sum) in self.start_sums[k].iter().enumerate() {
            if let Goal::Equal(target) = self.constraints[k].goal(cell) {
                total += target;
                if sum > 0.0 {
                    reachable += target;
                }
            }
        }
        (total, reachable)
    }

    /// Whether totals in this ratio differ by more than the limit; rounding never does.
    pub fn beyond_limit(&self, ratio: f64) -> bool {
        (ratio - 1.0).abs() > self.total_ratio_limit + SUM_ROUNDING
    }

    /// The goal iterated toward.
    #[inline]
    pub fn goal(&self, k: usize, cell: usize) -> Goal {
        self.constraints[k].goal(cell).scaled(self.scale[k] * self.damp[k])
    }

    /// One step, constraint k: sums, then `factor = target / current` of every cell.
    ///
    /// Where the matrix can be read once for this step and the sums of the next, those are left in
    /// `ready`.
    pub fn step<W: Value>(
        &self,
        backend: &dyn Backend<W>,
        k: usize,
        iteration: u32,
        scaling: &mut Scaling,
        ready: &mut Option<(usize, Vec<f64>)>,
    ) -> Result<Step> {
        let margin = self.constraints[k].margin();
        let next = (k + 1) % self.constraints.len();
        let next_margin = self.constraints[next].margin();
        let factor = |cell: usize, sum: f64| self.goals[k][cell].factor(sum);
        let known = ready.take_if(|ready| ready.0 == k).map(|ready| ready.1);
        let fused = match known {
            None => backend.step_then_sums(margin, next_margin, scaling, &factor)?,
            Some(_) => None,
        };
        let stepped = if let Some(FusedStep { stepped, next_sums }) = fused {
            *ready = Some((next, next_sums));
            stepped
        } else {
            let sums = known.map_or_else(|| backend.cell_sums(margin, scaling), Ok)?;
            let factors: Vec<f64> =
                (0..).zip(&sums).map(|(cell, &sum)| factor(cell, sum)).collect();
            scaling.apply(margin, &factors);
            SteppedCells { sums, factors }
        };
        Ok(self.record(k, iteration, &stepped.sums, &stepped.factors))
    }

    /// The only step of a `once` stage and the collapse after it, where the matrix can be read once
    /// for both.
    pub fn step_then_collapse<W: Value>(
        &self,
        backend: &dyn Backend<W>,
        refinement: &Partition,
        scaling: &mut Scaling,
    ) -> Result<Option<(Step, FlowMatrix<f64>)>> {
        let factor = |cell: usize, sum: f64| self.goals[0][cell].factor(sum);
        let margin = self.constraints[0].margin();
        let done = backend.step_then_collapse(margin, refinement, scaling, &factor)?;
        Ok(done.map(|(stepped, small)| (self.record(0, 1, &stepped.sums, &stepped.factors), small)))
    }

    /// A step that met `sums` and multiplied by `factors`.
    pub fn record(&self, k: usize, iteration: u32, sums: &[f64], factors: &[f64]) -> Step {
        let mut measures = Measures::default();
        for ((goal, &sum), &factor) in self.goals[k].iter().zip(sums).zip(factors) {
            measures.add(goal, sum, factor);
        }
        self.step_of(k, iteration, &measures)
    }

    /// A step with these measures.
    pub fn step_of(&self, k: usize, iteration: u32, measures: &Measures) -> Step {
        let row = HistoryRow {
            group: self.number,
            iteration,
            constraint: self.first + k,
            max_update: measures.max_update,
            total_update: measures.total_update,
            max_violation: measures.max_violation,
            total_violation: measures.total_violation,
        };
        Step { row, unsettled: unsettled(measures) }
    }

    /// What a watcher is told.
    pub fn iterated(&self, iteration: u32, violation: f64) -> Iterated {
        let (max_iterations, tolerance) = (self.max_iterations, self.tolerance);
        Iterated { iteration, max_iterations, violation, tolerance }
    }

    /// Largest relative violation of constraint k among the cells that can be scaled.
    pub fn unsettled_by(&self, k: usize, sums: &[f64]) -> f64 {
        let mut measures = Measures::default();
        for (goal, &sum) in self.goals[k].iter().zip(sums) {
            measures.add(goal, sum, 1.0);
        }
        unsettled(&measures)
    }

    /// Largest relative violation of any constraint among the cells that can be scaled.
    pub fn unsettled<W: Value>(&self, backend: &dyn Backend<W>, scaling: &Scaling) -> Result<f64> {
        let sums = self.sums(backend, scaling)?;
        let violations = sums.iter().enumerate().map(|(k, sums)| self.unsettled_by(k, sums));
        Ok(violations.fold(0.0, f64::max))
    }

    /// Sums of every constraint.
    fn sums<W: Value>(&self, backend: &dyn Backend<W>, scaling: &Scaling) -> Result<Vec<Vec<f64>>> {
        self.constraints.iter().map(|c| backend.cell_sums(c.margin(), scaling)).collect()
    }
}

/// A violation that is no number is larger than any; `f64::max` would drop it.
fn unsettled(measures: &Measures) -> f64 {
    if measures.unsettled.is_nan() { f64::INFINITY } else { measures.unsettled }
}
