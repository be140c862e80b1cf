//! `flowrake harmonize`: a plan file in, a harmonized matrix out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::Result;
use clap::ValueEnum;
use flowrake::ipf::Solver;
use flowrake::matrix::Room;
use flowrake::output::folder;
use flowrake::report::Hashes;

use super::engine::EngineArgs;
use super::progress::Progress;
pub use files::Files;

mod files;
mod run;

pub(super) use run::{add_manifest, add_matrix, check_memory, report, store};

/// Scale a matrix so that its margins meet the targets of a plan file
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  flowrake harmonize plan.toml --out flows-2011.parquet --history convergence.csv

  where plan.toml names the seed and the targets:

    [seed]
    matrix = \"seed.npz\"            # scipy CSR or CSC, or .parquet, .mtx, .csv
    units = \"units.csv\"            # column geoid, in the order of the matrix
    [[repeat]]
    tolerance = 1e-9
    [[repeat.step]]
    margin = \"destination\"         # origin, destination or block
    level = \"county\"               # state, county, tract, block_group, geoid or a column of units
    targets = \"county_in.csv\"      # geoid,target[,moe]
    [[repeat.step]]
    margin = \"origin\"
    level = \"county\"
    targets = \"county_out.csv\"

Several years in one call, which overlap, in 1 GB of memory:
  flowrake harmonize year-201*/plan.toml --out flows-{year}.npz --memory 1GB

Exit code: 0 converged, 1 the matrix was written but does not meet the margins, 2 bad
input, 3 graphics device.
Beside the matrix, OUT.manifest.json says what went in and how it ended.")]
pub struct Args {
    /// Plan files (TOML); paths in them are relative to them. While one is solved, the next is read
    /// and the one before written
    #[arg(value_name = "PLAN", required = true)]
    plans: Vec<PathBuf>,
    /// Matrix to write: .npz, .parquet, .mtx or .csv; `{year}` in this and other names stands for the
    /// year of the plan, and has to be there if there are several
    #[arg(long, value_name = "FILE", default_value = "harmonized.npz")]
    out: PathBuf,
    /// How the margins are met; auto collapses the matrix where that helps
    #[arg(long, value_enum, default_value_t = SolverArg::Auto)]
    solver: SolverArg,
    #[command(flatten)]
    engine: EngineArgs,
    /// Threads; all cores unless given. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Memory to get along with, as in 800MB or 2GB; larger matrices are kept in a scratch file beside
    /// the output and read from there. The result does not depend on it
    #[arg(long, value_name = "SIZE", value_parser = super::size_bytes)]
    memory: Option<u64>,
    /// Write violations and updates of every iteration and step as CSV
    #[arg(long, value_name = "FILE.csv")]
    history: Option<PathBuf>,
    /// Write every targeted cell before and after as CSV; the summary then says what changed most
    #[arg(long, value_name = "FILE.csv")]
    cells: Option<PathBuf>,
    /// Write the factors of origins, destinations, stayers and blocks
    #[arg(long, value_name = "FILE.npz")]
    factors: Option<PathBuf>,
    /// Print the result as one JSON object on standard output, of several plans one per line
    #[arg(long)]
    json: bool,
    /// No progress and no summary
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum SolverArg {
    Auto,
    Direct,
    Collapsed,
    Newton,
}

impl From<SolverArg> for Solver {
    fn from(arg: SolverArg) -> Self {
        match arg {
            SolverArg::Auto => Self::Auto,
            SolverArg::Direct => Self::Direct,
            SolverArg::Collapsed => Self::Collapsed,
            SolverArg::Newton => Self::Newton,
        }
    }
}

/// Plans and how they are solved.
pub struct Call<'a> {
    /// A plan each, with what is written.
    pub runs: Vec<Files>,
    pub solver: Solver,
    pub engine: &'a EngineArgs,
    pub memory: Option<u64>,
    /// What is known of files read.
    pub hashes: &'a Hashes,
    pub json: bool,
    pub quiet: bool,
    /// No result of a run, since the caller sums up.
    pub brief: bool,
}

impl Call<'_> {
    /// Half of the memory for the entries of the seeds that are there at once, half for all else;
    /// what does not fit goes to the folder of the output.
    fn room(&self, out: &Path) -> Room {
        let at_once = self.runs.len().min(STAGES) as u64;
        match self.memory {
            None => Room::UNLIMITED,
            Some(size) => Room::limited(size / 2 / at_once, folder(out).to_owned()),
        }
    }
}

/// Runs that are under way at the same time: one read, one solved, one written.
const STAGES: usize = 3;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    super::use_threads(args.threads)?;
    args.engine.check()?;
    let call = Call {
        runs: Files::of(args)?,
        solver: args.solver.into(),
        engine: &args.engine,
        memory: args.memory,
        hashes: &Hashes::default(),
        json: args.json,
        quiet: args.quiet,
        brief: false,
    };
    Ok(if harmonize(&call)? { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Solves plans and writes what comes out; whether all converged.
pub fn harmonize(call: &Call) -> Result<bool> {
    let progress = Progress::new(call.runs.len(), call.quiet || call.json);
    // Nothing waits between the stages: at most one run is in each.
    let (to_solve, read) = sync_channel(0);
    let (to_write, solved) = sync_channel(0);
    let converged = thread::scope(|scope| -> Result<bool> {
        scope.spawn(|| {
            let to_solve = to_solve;
            // A failure ends this stage and, handed on, the next ones; and none is left to hear of
            // what comes after a failure of theirs.
            for files in &call.runs {
                let read = run::read(files, call, &progress);
                let failed = read.is_err();
                if to_solve.send(read).is_err() || failed {
                    break;
                }
            }
        });
        scope.spawn(|| {
            let (read, to_write) = (read, to_write);
            for read in read {
                let solved = read.and_then(|read| run::solve(read, call, &progress));
                let failed = solved.is_err();
                if to_write.send(solved).is_err() || failed {
                    break;
                }
            }
        });
        let mut all_converged = true;
        for solved in solved {
            all_converged &= run::write(solved?, call, &progress)?;
        }
        Ok(all_converged)
    });
    progress.clear();
    converged
}
