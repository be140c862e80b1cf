//! The result of a harmonization for machines and for people.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::peak_memory_bytes;
use crate::ipf::{ConstraintReport, Engine, HistoryRow, Precision, Solution, Solver};
use crate::matrix::{FlowMatrix, Rounding, Value, ValueType};

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

/// Where the passes over entries ran, and in which arithmetic.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// Name and driver of the graphics device.
    pub device: Option<String>,
    /// Arithmetic of sums: `exact`, `f64` or `f32`. Factors are `f64`.
    pub precision: &'static str,
    /// Bound on the relative error of every sum, where the arithmetic is `f32`.
    pub sum_error_bound: Option<f64>,
    /// Number type of the seed in memory.
    pub storage: String,
    /// What that type did to the seed, where another than the file's was asked for.
    pub storage_rounding: Option<Rounding>,
}

impl Place {
    /// The place of passes by `engine` over a seed stored as `storage`, scaled by so many `blocks`.
    pub fn new(engine: &Engine, storage: ValueType, blocks: usize) -> Self {
        let (device, precision) = match engine {
            Engine::Cpu => (None, Precision::F64),
            Engine::CpuExact => (None, Precision::Exact),
            Engine::Gpu(device, precision) => (Some(device), *precision),
        };
        Self {
            backend: if device.is_some() { "gpu" } else { "cpu" },
            device: device.map(|device| {
                let adapter = device.adapter();
                format!(
                    "{}, {} {} {}",
                    adapter.name, adapter.backend, adapter.driver, adapter.driver_info
                )
            }),
            precision: match precision {
                Precision::Exact => "exact",
                Precision::F64 => "f64",
                Precision::F32 => "f32",
            },
            sum_error_bound: device
                .filter(|_| precision == Precision::F32)
                .map(|device| device.rounding_f32(blocks)),
            storage: storage.to_string(),
            storage_rounding: None,
        }
    }

    fn write_summary(&self, out: &mut String) -> std::fmt::Result {
        if let Some(device) = &self.device {
            writeln!(out, "{device}, {} sums", self.precision)?;
        }
        if let Some(bound) = self.sum_error_bound {
            writeln!(
                out,
                "sums in f32: each may be off by {bound:.1e} of itself; the margins below are in f64"
            )?;
        }
        if let Some(rounding) = self.storage_rounding.filter(|r| r.total > 0.0) {
            writeln!(
                out,
                "seed stored as {}: flows rounded by up to {:.1e} of themselves, {:.6} persons in \
                 all; {} flows raised to its smallest number",
                self.storage, rounding.largest_relative, rounding.total, rounding.raised
            )?;
        }
        Ok(())
    }
}

/// How large a seed is, and where its entries are.
#[derive(Clone, Copy, Debug)]
pub struct SeedSize {
    /// Units.
    pub units: usize,
    /// Stored entries: movers, and stayers that are not 0.
    pub entries: usize,
    /// Bytes of the indices and values of the movers.
    pub entries_bytes: u64,
    /// Whether these are in a scratch file.
    pub in_scratch_file: bool,
}

impl SeedSize {
    /// That of a seed.
    pub fn of<V: Value>(seed: &FlowMatrix<V>) -> Self {
        Self {
            units: seed.units(),
            entries: seed.nnz(),
            entries_bytes: (seed.movers().nnz() * (4 + size_of::<V>())) as u64,
            in_scratch_file: seed.movers().is_in_file(),
        }
    }
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
    /// Where the passes over entries ran, and how.
    #[serde(flatten)]
    pub place: Place,
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
    /// Bytes of the indices and values of the movers: what a pass over the seed reads.
    pub entries_bytes: u64,
    /// Whether they are in a scratch file, since they do not fit in the memory given.
    pub in_scratch_file: bool,
    /// Seconds of an iteration, on average.
    pub iteration_s: Option<f64>,
    /// Most memory resident at once so far, bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Wall-clock times.
    pub elapsed_s: Elapsed,
    /// The matrix written.
    pub output: PathBuf,
}

impl<'a> RunReport<'a> {
    /// A report of `solution`; `raised` are the units and persons of the stayer floor.
    pub fn new(
        solution: &'a Solution,
        place: Place,
        year: Option<i32>,
        seed: SeedSize,
        raised: (usize, f64),
        elapsed_s: Elapsed,
        output: PathBuf,
    ) -> Self {
        Self {
            converged: solution.converged(),
            max_relative_violation: solution.max_relative_violation(),
            advice: match place.sum_error_bound {
                Some(_) if !solution.converged() => Some(
                    "sums in f32 do not reach the tolerance: use --precision exact, or raise the \
                     tolerance above their error",
                ),
                _ => solution.stop.advice(),
            },
            year,
            solution,
            place,
            threads: rayon::current_num_threads(),
            units: seed.units,
            entries: seed.entries,
            entries_bytes: seed.entries_bytes,
            in_scratch_file: seed.in_scratch_file,
            iteration_s: (solution.iterations > 0)
                .then(|| solution.iterations_s / f64::from(solution.iterations)),
            peak_memory_bytes: peak_memory_bytes(),
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
        if let Some(each) = self.iteration_s.filter(|_| self.solution.solver == Solver::Direct) {
            writeln!(
                out,
                "no smaller table was solved: each iteration passes over {} MB of flows, {:.3} s",
                self.entries_bytes / 1_000_000,
                each
            )?;
        }
        if self.in_scratch_file {
            writeln!(out, "the seed was kept in a scratch file, read anew in every pass")?;
        }
        self.place.write_summary(out)?;
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
        write!(out, "{read:.2} s reading, {solve:.2} s solving, {write:.2} s writing")?;
        match self.peak_memory_bytes {
            Some(bytes) => writeln!(out, "; {} MB of memory at most", bytes.div_ceil(1_000_000)),
            None => writeln!(out),
        }
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
