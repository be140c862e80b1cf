//! The whole published plan of one year.

use std::time::Instant;

use serde::Serialize;

use super::direct::{compare, engines};
use super::report::Report;
use super::{Bench, problems};
use crate::Result;
use crate::ipf::{Scaling, Solver, solve_on};
use crate::matrix::{FlowMatrix, Value};

/// How far two solves of the class table may be apart, relative to an entry: both met their margins
/// to 1e-9, by the same iterations.
const APART: f64 = 1e-9;

/// The same for ways that differ: margins met to 1e-9 leave that much room.
const APART_NEWTON: f64 = 1e-6;

/// One solve.
#[derive(Clone, Debug, Serialize)]
pub struct PlanRun {
    /// `collapsed` or `newton`.
    pub solver: Solver,
    /// `cpu` or `gpu`.
    pub place: &'static str,
    /// Arithmetic of sums.
    pub precision: &'static str,
    /// Seconds from the seed in memory to its factors, uploads and the final check included.
    pub elapsed_s: f64,
    /// Whether all margins are met, in f64.
    pub converged: bool,
    /// Largest relative violation at the end.
    pub max_relative_violation: f64,
    /// Iterations on the class table.
    pub iterations: u32,
    /// Passes over one side of it.
    pub half_sweeps: u32,
    /// Its entries.
    pub solved_entries: usize,
}

/// Both solvers in every place.
pub(super) fn measure<V: Value>(
    bench: &Bench,
    seed: &FlowMatrix<V>,
    report: &mut Report,
) -> Result<()> {
    bench.say("plan of a year: targets");
    let problem = problems::plan(seed, &bench.options.size, bench.levels)?;
    let mut reference: Option<Scaling> = None;
    for solver in [Solver::Collapsed, Solver::Newton] {
        for (place, precision, engine) in engines(bench) {
            bench.say(&format!("plan of a year: {solver}, {place}, {precision}"));
            let began = Instant::now();
            let solution = solve_on(&engine, seed, &problem, solver)?;
            let elapsed_s = began.elapsed().as_secs_f64();
            report.plan.push(PlanRun {
                solver,
                place,
                precision,
                elapsed_s,
                converged: solution.converged(),
                max_relative_violation: solution.max_relative_violation(),
                iterations: solution.iterations,
                half_sweeps: solution.half_sweeps,
                solved_entries: solution.solved_entries,
            });
            match &reference {
                None => reference = Some(solution.scaling),
                Some(expected) => {
                    let what =
                        format!("plan of a year: {solver}, {place} {precision} and CPU collapsed");
                    let allowed = match (precision, solver) {
                        ("f32", _) => continue,
                        (_, Solver::Newton) => APART_NEWTON,
                        _ => APART,
                    };
                    let check = compare(what, seed, &solution.scaling, expected, allowed);
                    report.checks.push(check);
                }
            }
        }
    }
    Ok(())
}
