//! The iterations of a repeat group, until all of its constraints hold together.

use super::Scaling;
use super::backend::Backend;
use super::group::{Group, Step};
use super::solution::{HistoryRow, Infeasible};
use crate::Result;
use crate::matrix::Value;

/// How far an iteration has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iterated {
    /// Iterations of the repeat group that are done.
    pub iteration: u32,
    /// How many it may take.
    pub max_iterations: u32,
    /// Largest relative violation of any cell that the last one met.
    pub violation: f64,
    /// The violation it ends at.
    pub tolerance: f64,
}

/// How the iteration of a repeat group ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupStop {
    /// Every cell that can be scaled is at its target.
    Settled,
    MaxIterations,
    Stagnated,
}

/// What iterating a group did.
pub(super) struct Outcome {
    pub stop: GroupStop,
    pub iterations: u32,
    pub half_sweeps: u32,
    /// The scaling before the last iteration.
    pub before_last: Scaling,
    pub history: Vec<HistoryRow>,
}

/// The iterations of a group, one after the other.
pub(crate) trait Iterations {
    /// The steps of the next iteration.
    fn next(&mut self) -> Result<Vec<Step>>;
    /// The scaling before the last iteration taken.
    fn before_last(&mut self) -> Result<Scaling>;
    /// The scaling after it.
    fn scaling(&mut self) -> Result<&Scaling>;
    /// Whether no factor has overflowed.
    fn is_finite(&self) -> bool;
}

/// Iterations taken one pass at a time.
pub(super) struct PassByPass<'a, W: Value> {
    backend: &'a dyn Backend<W>,
    group: &'a Group,
    iteration: u32,
    before_last: Scaling,
    scaling: Scaling,
    ready: Option<(usize, Vec<f64>)>,
}

impl<'a, W: Value> PassByPass<'a, W> {
    pub fn new(backend: &'a dyn Backend<W>, group: &'a Group, start: &Scaling) -> Self {
        Self {
            backend,
            group,
            iteration: 0,
            before_last: start.clone(),
            scaling: start.clone(),
            ready: None,
        }
    }
}

impl<W: Value> Iterations for PassByPass<'_, W> {
    fn next(&mut self) -> Result<Vec<Step>> {
        self.iteration += 1;
        self.before_last.clone_from(&self.scaling);
        (0..self.group.constraints.len())
            .map(|k| {
                let (scaling, ready) = (&mut self.scaling, &mut self.ready);
                self.group.step(self.backend, k, self.iteration, scaling, ready)
            })
            .collect()
    }

    fn before_last(&mut self) -> Result<Scaling> {
        Ok(self.before_last.clone())
    }

    fn scaling(&mut self) -> Result<&Scaling> {
        Ok(&self.scaling)
    }

    fn is_finite(&self) -> bool {
        self.scaling.is_finite()
    }
}

/// The iterations of a group from `start` on: on the device where the backend takes them there.
pub(crate) fn iterations_of<'a, W: Value>(
    backend: &'a dyn Backend<W>,
    group: &'a Group,
    start: &Scaling,
) -> Result<Box<dyn Iterations + 'a>> {
    Ok(match backend.iterations(group, start)? {
        Some(iterations) => iterations,
        None => Box::new(PassByPass::new(backend, group, start)),
    })
}

/// Plain IPF: every constraint of the group in turn, until all hold at once.
///
/// Where the violation hardly shrinks, `guilty` tells whether the margins can be met at all: weakly
/// linked regions come to a plateau that ends once the flows between them have grown.
pub(super) fn iterate<W: Value>(
    backend: &dyn Backend<W>,
    group: &Group,
    scaling: &mut Scaling,
    watch: &dyn Fn(&Iterated),
    guilty: &dyn Fn() -> Vec<Infeasible>,
) -> Result<Outcome> {
    let mut history = Vec::new();
    let mut totals = Vec::new();
    let mut stop = GroupStop::MaxIterations;
    let mut iterations = 0;
    let mut next_look = FIRST_LOOK;
    let mut taken = iterations_of(backend, group, scaling)?;
    while iterations < group.max_iterations {
        iterations += 1;
        let (mut worst, mut total) = (0.0_f64, 0.0);
        for step in taken.next()? {
            worst = worst.max(step.unsettled);
            total += step.row.total_violation;
            history.push(step.row);
        }
        watch(&group.iterated(iterations, worst));
        // Each step saw the matrix before its own factors: only a look at all constraints of the
        // finished iteration tells whether they hold together.
        if worst <= group.tolerance
            && group.unsettled(backend, taken.scaling()?)? <= group.tolerance
        {
            stop = GroupStop::Settled;
            break;
        }
        if !taken.is_finite() {
            let before_last = taken.before_last()?;
            scaling.clone_from(&before_last);
            let half_sweeps = iterations * group.constraints.len() as u32;
            stop = GroupStop::Stagnated;
            return Ok(Outcome { stop, iterations, half_sweeps, before_last, history });
        }
        totals.push(total);
        if totals.len() >= next_look && on_plateau(&totals) {
            // Rounding alone is left, or the margins cannot be met.
            if worst <= backend.rounding() || !guilty().is_empty() {
                stop = GroupStop::Stagnated;
                break;
            }
            next_look = 2 * totals.len();
        }
    }
    scaling.clone_from(taken.scaling()?);
    let before_last = taken.before_last()?;
    let half_sweeps = iterations * group.constraints.len() as u32;
    Ok(Outcome { stop, iterations, half_sweeps, before_last, history })
}

/// Iterations before the first look whether the violation still shrinks.
const FIRST_LOOK: usize = 200;

/// Whether the total violation has shrunk by less than a thousandth over the last fifth of the
/// iterations.
fn on_plateau(totals: &[f64]) -> bool {
    let k = totals.len();
    let window = (k / 5).max(50);
    totals[k - 1] > 0.999 * totals[k - 1 - window]
}
