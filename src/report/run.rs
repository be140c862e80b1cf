//! The result of a harmonization for machines and for people.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::ipf::{ConstraintReport, HistoryRow, Solution};

/// Wall-clock time of the parts of a run, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Elapsed {
    /// Reading plan, seed and targets.
    pub read: f64,
    /// From the seed in memory to its factors, final check included.
    pub solve: f64,
    /// Writing the matrix.
    pub write: f64,
}

/// One run, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport<'a> {
    /// Whether every constraint that should hold does, checked on the harmonized entries in f64.
    pub converged: bool,
    /// Largest relative violation among the constraints convergence is judged by.
    pub max_relative_violation: f64,
    /// What the user can do where it did not.
    pub advice: Option<&'static str>,
    /// End year of the matrix.
    pub year: Option<i32>,
    /// What the solver found.
    #[serde(flatten)]
    pub solution: &'a Solution,
    /// Where the passes over entries ran.
    pub backend: &'static str,
    /// Arithmetic of sums and factors.
    pub precision: &'static str,
    /// Threads of the pool.
    pub threads: usize,
    /// Units of the seed.
    pub units: usize,
    /// Stored entries of the seed.
    pub entries: usize,
    /// Units whose stayers were raised to the floor.
    pub stayers_raised: usize,
    /// Persons added by that.
    pub stayers_added: f64,
    /// Wall-clock times.
    pub elapsed_s: Elapsed,
    /// The matrix written.
    pub output: PathBuf,
}

impl<'a> RunReport<'a> {
    /// A report of `solution`; `raised` are the units and persons of the stayer floor.
    pub fn new(
        solution: &'a Solution,
        year: Option<i32>,
        (units, entries): (usize, usize),
        raised: (usize, f64),
        elapsed_s: Elapsed,
        output: PathBuf,
    ) -> Self {
        Self {
            converged: solution.converged(),
            max_relative_violation: solution.max_relative_violation(),
            advice: solution.stop.advice(),
            year,
            solution,
            backend: "cpu",
            precision: "f64",
            threads: rayon::current_num_threads(),
            units,
            entries,
            stayers_raised: raised.0,
            stayers_added: raised.1,
            elapsed_s,
            output,
        }
    }

    /// A summary to read, several lines.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        self.write_summary(&mut text).expect("a String takes any text");
        text
    }

    fn write_summary(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{} units, {} flows; {} solver on {} units, {} flows; {} iterations: {}",
            self.units,
            self.entries,
            self.solution.solver,
            self.solution.solved_units,
            self.solution.solved_entries,
            self.solution.iterations,
            self.solution.stop
        )?;
        if self.stayers_raised > 0 {
            writeln!(
                out,
                "stayer floor: {} units raised, {} persons added",
                self.stayers_raised, self.stayers_added
            )?;
        }
        if self.solution.total_ratio != 1.0 {
            writeln!(
                out,
                "totals of the targets differ by a factor of {}; rescaled to agree",
                self.solution.total_ratio
            )?;
        }
        let width =
            self.solution.constraints.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
        writeln!(
            out,
            "{:width$}  {:>9}  {:>12}  {:>12}  worst cell",
            "constraint", "cells", "max persons", "max relative"
        )?;
        for c in &self.solution.constraints {
            write!(
                out,
                "{:width$}  {:>9}  {:>12.3e}  {:>12.3e}  {}",
                c.name,
                c.cells,
                c.max_absolute,
                c.max_relative,
                c.worst_cell.as_deref().unwrap_or("-")
            )?;
            if let Some((target, sum)) = c.worst.filter(|_| c.max_relative > 1e-6) {
                write!(out, " ({sum:.6} for {target:.6})")?;
            }
            let note = if c.judged { "" } else { "  [applied once]" };
            let untargeted = match c.untargeted {
                0 => String::new(),
                n => format!("  [{n} cells without a target]"),
            };
            writeln!(out, "{note}{untargeted}")?;
        }
        if let Some(advice) = self.advice {
            writeln!(out, "what to do: {advice}")?;
        }
        for i in &self.solution.infeasible {
            writeln!(out, "cannot be met: {}, {}: {}", i.constraint, i.cell, i.reason)?;
        }
        let Elapsed { read, solve, write } = self.elapsed_s;
        writeln!(out, "{read:.2} s reading, {solve:.2} s solving, {write:.2} s writing")
    }
}

/// The history as CSV: one line per iteration and step, violations and updates as just before and
/// in that step.
pub fn history_csv(history: &[HistoryRow], constraints: &[ConstraintReport]) -> String {
    let mut out = String::from(
        "group,iteration,constraint,max_update,total_update,max_violation,total_violation\n",
    );
    for row in history {
        let group = row.group.map_or("once".to_owned(), |g| (g + 1).to_string());
        let name = constraints[row.constraint].name.replace('"', "\"\"");
        writeln!(
            out,
            "{group},{},\"{name}\",{:e},{:e},{:e},{:e}",
            row.iteration, row.max_update, row.total_update, row.max_violation, row.total_violation
        )
        .expect("a String takes any text");
    }
    out
}
