//! The loop: steps in order, repeat groups to convergence, on the matrix or on its collapse.

use std::sync::Arc;
use std::time::Instant;

use super::backend::Backend;
use super::cpu::Cpu;
use super::engine::Engine;
use super::explain;
use super::group::{Group, Measure, SUM_ROUNDING};
use super::iterate::{GroupStop, Iterated, iterate};
use super::newton;
use super::problem::Stage;
use super::solution::{ConstraintReport, HistoryRow, Infeasible, Solution, Solver, StopReason};
use super::{Constraint, Margin, Problem, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::matrix::{FlowMatrix, Value};

/// Applies a plan to a seed, with passes over entries on the CPU in `f64`.
///
/// Deterministic: the same bits for any number of threads of the current rayon pool.
///
/// # Errors
/// If the solver asked for cannot do this plan. A plan that cannot be met is not an error: see
/// [`Solution::stop`] and [`Solution::infeasible`].
///
/// # Panics
/// If seed and problem differ in their number of units.
pub fn solve<V: Value>(
    seed: &FlowMatrix<V>,
    problem: &Problem,
    solver: Solver,
) -> Result<Solution> {
    solve_on(&Engine::default(), seed, problem, solver)
}

/// [`solve`], with passes over entries wherever `engine` runs them. What convergence is judged by at
/// the end is always computed on the CPU in `f64`.
///
/// # Errors
/// As [`solve`], and if a device fails.
///
/// # Panics
/// If seed and problem differ in their number of units.
pub fn solve_on<V: Value>(
    engine: &Engine,
    seed: &FlowMatrix<V>,
    problem: &Problem,
    solver: Solver,
) -> Result<Solution> {
    solve_watched(engine, seed, problem, solver, &|_| ())
}

/// [`solve_on`], telling `watch` of every iteration once it is done.
///
/// # Errors
/// As [`solve_on`].
///
/// # Panics
/// If seed and problem differ in their number of units.
pub fn solve_watched<V: Value>(
    engine: &Engine,
    seed: &FlowMatrix<V>,
    problem: &Problem,
    solver: Solver,
    watch: &dyn Fn(&Iterated),
) -> Result<Solution> {
    assert_eq!(seed.units(), problem.units(), "units of seed and problem");
    solver.check(problem)?;
    let cpu = Cpu::new(seed);
    let stages = problem.stages();
    let (split, refinement) = match solver {
        Solver::Direct => (stages.len(), None),
        _ => collapse_point(seed, problem, &stages, solver),
    };

    let mut run = Run::new(problem, &cpu, solver, watch);
    let backend = engine.backend(seed)?;
    let mut scaling = Scaling::identity(seed.units());
    let mut solved = (seed.units(), seed.nnz());
    let mut small = None;
    for (k, stage) in stages[..split].iter().enumerate() {
        match &refinement {
            Some(refinement) if k + 1 == split => {
                small = run.stage_then_collapse(&*backend, stage, &mut scaling, refinement)?;
            }
            _ => run.stage(&*backend, stage, &mut scaling, None)?,
        }
    }
    if let Some(refinement) = &refinement {
        let small = small.map_or_else(|| backend.collapse(refinement, &scaling), Ok)?;
        solved = (small.units(), small.nnz());
        let coarse_backend = engine.backend(&small)?;
        let mut coarse = Scaling::identity(small.units());
        for stage in &stages[split..] {
            run.stage(&*coarse_backend, stage, &mut coarse, Some(refinement))?;
        }
        scaling.lift(&coarse, refinement);
    }

    let constraints = run.final_check(&scaling);
    let stop = run.stop(&constraints);
    Ok(Solution {
        scaling,
        stop,
        solver: match (solver, refinement.is_some()) {
            (Solver::Newton, _) => Solver::Newton,
            (_, true) => Solver::Collapsed,
            (_, false) => Solver::Direct,
        },
        iterations: run.iterations,
        half_sweeps: run.half_sweeps,
        solved_units: solved.0,
        solved_entries: solved.1,
        iterations_s: run.iterations_s,
        total_ratio: run.total_ratio,
        l1_change: run.l1_change,
        constraints,
        infeasible: run.infeasible,
        history: run.history,
    })
}

impl Solver {
    /// Refuses a problem that this solver is not for.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) says what it is for.
    pub fn check(self, problem: &Problem) -> Result<()> {
        if self == Self::Newton { newton::check_applicable(problem) } else { Ok(()) }
    }
}

/// From which stage on the plan is solved on a collapsed matrix, and the common refinement of all
/// partitions of those stages.
///
/// Collapsing helps where the table of classes is at most half as large as the matrix; the longest
/// such tail of the plan is taken. `collapsed` on request falls back to all repeat groups.
fn collapse_point<V: Value>(
    seed: &FlowMatrix<V>,
    problem: &Problem,
    stages: &[Stage],
    solver: Solver,
) -> (usize, Option<Partition>) {
    let refinement = |from: usize| {
        let constraints = stages[from..].iter().flat_map(|stage| problem.constraints_of(stage));
        // Constraints at the same level share their partition.
        let mut parts: Vec<&Arc<Partition>> = Vec::new();
        for part in constraints.flat_map(|c| c.margin().partitions()) {
            if !parts.iter().any(|known| Arc::ptr_eq(known, part)) {
                parts.push(part);
            }
        }
        Partition::common_refinement(&parts)
    };
    for from in 0..stages.len() {
        let part = refinement(from);
        let cells = part.cells();
        if cells < seed.units() && cells.saturating_mul(cells) <= seed.nnz() / 2 {
            return (from, Some(part));
        }
    }
    if solver == Solver::Auto {
        return (stages.len(), None);
    }
    let from = problem.plan().once.len().min(stages.len() - 1);
    (from, Some(refinement(from)))
}

/// State of a solve while its stages are run.
struct Run<'a, V> {
    problem: &'a Problem,
    seed: &'a Cpu<'a, V>,
    solver: Solver,
    watch: &'a dyn Fn(&Iterated),
    /// Seconds of the iterations of all repeat groups.
    iterations_s: f64,
    /// Ratio applied to the targets of every constraint of the plan to make totals agree.
    target_scale: Vec<f64>,
    /// Number of the next constraint, over the whole plan.
    next_constraint: usize,
    totals_differ: bool,
    group_stop: Option<GroupStop>,
    iterations: u32,
    half_sweeps: u32,
    total_ratio: f64,
    l1_change: f64,
    infeasible: Vec<Infeasible>,
    history: Vec<HistoryRow>,
}

impl<'a, V: Value> Run<'a, V> {
    fn new(
        problem: &'a Problem,
        seed: &'a Cpu<'a, V>,
        solver: Solver,
        watch: &'a dyn Fn(&Iterated),
    ) -> Self {
        Self {
            problem,
            seed,
            solver,
            watch,
            iterations_s: 0.0,
            target_scale: vec![1.0; problem.plan().constraints().count()],
            next_constraint: 0,
            totals_differ: false,
            group_stop: None,
            iterations: 0,
            half_sweeps: 0,
            total_ratio: 1.0,
            l1_change: 0.0,
            infeasible: Vec::new(),
            history: Vec::new(),
        }
    }

    /// The constraints of the next stage on a matrix whose units are the cells of `refinement`, or
    /// the seed's own.
    fn group<W: Value>(
        &mut self,
        backend: &dyn Backend<W>,
        stage: &Stage,
        scaling: &Scaling,
        refinement: Option<&Partition>,
    ) -> Result<Group> {
        let constraints: Vec<Constraint> = self
            .problem
            .constraints_of(stage)
            .iter()
            .map(|c| refinement.map_or_else(|| c.clone(), |r| c.on(c.margin().project(r))))
            .collect();
        let first = self.next_constraint;
        self.next_constraint += constraints.len();
        Group::new(backend, constraints, first, scaling, stage, self.problem)
    }

    /// Runs one stage on a matrix whose units are the cells of `refinement`, or the seed's own.
    fn stage<W: Value>(
        &mut self,
        backend: &dyn Backend<W>,
        stage: &Stage,
        scaling: &mut Scaling,
        refinement: Option<&Partition>,
    ) -> Result<()> {
        let group = self.group(backend, stage, scaling, refinement)?;
        if matches!(stage, Stage::Repeat(_)) {
            return self.repeat(backend, &group, scaling);
        }
        self.history.push(group.step(backend, 0, 1, scaling, &mut None)?.row);
        Ok(())
    }

    /// Runs the last stage before the collapse, and if both need one pass only, the collapse.
    fn stage_then_collapse<W: Value>(
        &mut self,
        backend: &dyn Backend<W>,
        stage: &Stage,
        scaling: &mut Scaling,
        refinement: &Partition,
    ) -> Result<Option<FlowMatrix<f64>>> {
        let group = self.group(backend, stage, scaling, None)?;
        if matches!(stage, Stage::Repeat(_)) {
            self.repeat(backend, &group, scaling)?;
            return Ok(None);
        }
        if let Some((step, small)) = group.step_then_collapse(backend, refinement, scaling)? {
            self.history.push(step.row);
            return Ok(Some(small));
        }
        self.history.push(group.step(backend, 0, 1, scaling, &mut None)?.row);
        Ok(None)
    }

    fn repeat<W: Value>(
        &mut self,
        backend: &dyn Backend<W>,
        group: &Group,
        scaling: &mut Scaling,
    ) -> Result<()> {
        let start = scaling.clone();
        let last = group.first + group.constraints.len();
        self.target_scale[group.first..last].copy_from_slice(&group.scale);
        if group.total_ratio.ln().abs() > self.total_ratio.ln().abs() {
            self.total_ratio = group.total_ratio;
        }
        self.totals_differ |= group.beyond_limit(group.total_ratio);
        let guilty = || explain::guilty_sets(backend.cpu(), group, &start);
        let began = Instant::now();
        let outcome = if self.solver == Solver::Newton {
            newton::iterate(backend, group, scaling, self.watch)?
        } else {
            iterate(backend, group, scaling, self.watch, &guilty)?
        };
        self.iterations_s += began.elapsed().as_secs_f64();
        self.iterations += outcome.iterations;
        self.half_sweeps += outcome.half_sweeps;
        self.l1_change = backend.l1_change(&outcome.before_last, scaling)?;
        self.history.extend(outcome.history);
        self.group_stop = Some(outcome.stop);
        self.infeasible.extend(explain::differing_totals(group));
        // Whatever stopped it, a group whose margins hold up to rounding needs no explanation.
        let met = group.tolerance + backend.rounding();
        if outcome.stop != GroupStop::Settled && group.unsettled(backend, scaling)? > met {
            self.infeasible.extend(guilty());
        }
        Ok(())
    }

    /// Every constraint on the harmonized entries, in `f64`.
    fn final_check(&mut self, scaling: &Scaling) -> Vec<ConstraintReport> {
        let (problem, seed) = (self.problem, self.seed);
        let once = problem.plan().once.len();
        let margins: Vec<&Margin> = problem.plan().constraints().map(Constraint::margin).collect();
        let sums = seed.all_cell_sums(&margins, scaling);
        problem
            .plan()
            .constraints()
            .zip(sums)
            .enumerate()
            .map(|(k, (constraint, sums))| {
                let judged = k >= once || problem.plan().repeat.is_empty();
                let measure = Measure::of(constraint, self.target_scale[k], &sums);
                if judged {
                    let unscaled = Scaling::identity(problem.units());
                    self.infeasible.extend(explain::unreachable_cells(
                        constraint,
                        self.target_scale[k],
                        &sums,
                        || seed.cell_sums(constraint.margin(), &unscaled),
                    ));
                }
                let cell = measure.worst.filter(|_| measure.max_relative != 0.0);
                ConstraintReport {
                    name: constraint.name().to_owned(),
                    margin: constraint.margin().to_string(),
                    judged,
                    cells: constraint.targeted(),
                    untargeted: constraint.margin().cells() - constraint.targeted(),
                    target_scale: self.target_scale[k],
                    max_absolute: measure.max_absolute,
                    max_relative: measure.max_relative,
                    total_absolute: measure.total,
                    worst_cell: cell.map(|c| constraint.margin().label(c)),
                    worst: cell.map(|c| (constraint.targets()[c] * self.target_scale[k], sums[c])),
                }
            })
            .collect()
    }

    fn stop(&self, constraints: &[ConstraintReport]) -> StopReason {
        let plan = self.problem.plan();
        let mut tolerances = plan
            .once
            .iter()
            .map(|_| ONCE_TOLERANCE)
            .chain(plan.repeat.iter().flat_map(|g| g.constraints.iter().map(|_| g.tolerance)));
        let met = constraints.iter().all(|report| {
            let tolerance = tolerances.next().expect("one per constraint");
            // The loop judged sums of classes; the same sums over entries round differently.
            !report.judged || report.max_relative <= tolerance + SUM_ROUNDING
        });
        if self.totals_differ {
            StopReason::TotalsDiffer
        } else if met {
            StopReason::Converged
        } else {
            match self.group_stop {
                None => StopReason::NotMet,
                Some(GroupStop::MaxIterations) => StopReason::MaxIterations,
                Some(GroupStop::Stagnated) => StopReason::Stagnated,
                Some(GroupStop::Settled) if self.infeasible.is_empty() => StopReason::NotMet,
                Some(GroupStop::Settled) => StopReason::Infeasible,
            }
        }
    }
}

/// Tolerance of a plan without a repeat group, whose steps are all judged at the end.
const ONCE_TOLERANCE: f64 = 1e-9;
