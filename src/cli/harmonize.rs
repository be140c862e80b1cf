//! `flowrake harmonize`: a plan file in, a harmonized matrix out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use flowrake::Error;
use flowrake::ipf::{Harmonized, Solution, Solver, cell_changes};
use flowrake::matrix::file::{self, Format};
use flowrake::matrix::{AnyFlowMatrix, FlowMatrix, Room, Rounding};
use flowrake::output::Outputs;
use flowrake::plan_file::LoadedPlan;
use flowrake::report::{
    Elapsed, Manifest, Output, Place, RunReport, cells_summary, history_csv, write_cells,
    write_factors,
};
use flowrake::with_matrix;
use indicatif::ProgressBar;

use super::engine::{EngineArgs, Storage};

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

Exit code: 0 converged, 1 the matrix was written but does not meet the margins, 2 bad
input, 3 graphics device.
Beside the matrix, OUT.manifest.json says what went in and how it ended.")]
pub struct Args {
    /// Plan file (TOML); paths in it are relative to it
    plan: PathBuf,
    /// Matrix to write: .npz, .parquet, .mtx or .csv
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
    /// Print the result as one JSON object on standard output
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

impl Args {
    /// Half of the memory for the entries of the seed, half for all else.
    fn room(&self) -> Room {
        match self.memory {
            None => Room::UNLIMITED,
            Some(size) => Room::limited(size / 2, super::folder(&self.out).to_owned()),
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    args.engine.check()?;
    check_outputs(args)?;
    let room = args.room();
    let progress = progress(args.quiet || args.json);

    progress.set_message(format!("reading {}", args.plan.display()));
    let start = Instant::now();
    let mut loaded = LoadedPlan::read(&args.plan, &room)?;
    super::refuse_inputs(outputs(args).iter().map(PathBuf::as_path), &loaded.inputs)?;
    let read = start.elapsed().as_secs_f64();

    progress.set_message("solving");
    let start = Instant::now();
    let rounding = store(&mut loaded, args.engine.storage, &room)?;
    let mut opened = args.engine.open(with_matrix!(&loaded.seed, seed => seed.nnz()))?;
    let solution =
        opened.solve(&loaded.seed, &loaded.problem, args.solver.into()).map_err(|e| match e {
            Error::Request(problem) => Error::data(&args.plan, "", problem),
            other => other,
        })?;
    let solve = start.elapsed().as_secs_f64();

    progress.set_message(format!("writing {}", args.out.display()));
    let start = Instant::now();
    let mut files = Outputs::default();
    add_matrix(&mut files, &args.out, &loaded, &solution)?;
    let write = start.elapsed().as_secs_f64();
    progress.finish_and_clear();

    let elapsed = Elapsed { read, solve, write };
    let place = Place { storage_rounding: rounding, ..opened.place(&loaded.seed, &solution) };
    let report = report(&loaded, &solution, place, elapsed, args.out.clone());
    let cells = add_companions(&mut files, args, &loaded, &solution, &report)?;
    files.commit()?;
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    }
    if let Some(note) = opened.note.filter(|_| !args.quiet) {
        eprintln!("flowrake: {note}");
    }
    if !args.quiet && !args.json {
        eprint!("{}{}", report.summary(), cells.unwrap_or_default());
    } else if !report.converged {
        eprintln!("flowrake: {}", report.solution.stop);
    }
    Ok(if report.converged { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Keeps the seed in another number type, if one was asked for.
pub(super) fn store(
    loaded: &mut LoadedPlan,
    storage: Option<Storage>,
    room: &Room,
) -> Result<Option<Rounding>> {
    let Some(storage) = storage else { return Ok(None) };
    let empty = AnyFlowMatrix::F64(FlowMatrix::from_triplets(0, &[]));
    let seed = std::mem::replace(&mut loaded.seed, empty);
    let (seed, rounding) = seed.stored_as(storage.into(), room)?;
    loaded.seed = seed;
    Ok(Some(rounding))
}

/// Refuses outputs that could not be written, before any work is done.
fn check_outputs(args: &Args) -> Result<()> {
    Format::of(&args.out)?;
    if let Some(factors) = &args.factors {
        ensure!(
            factors.extension().is_some_and(|e| e == "npz"),
            "{}: expected a name that ends in .npz",
            factors.display()
        );
    }
    let mut known = Vec::new();
    for path in outputs(args) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if !folder.is_none_or(Path::is_dir) {
            bail!("{}: its folder does not exist", path.display());
        }
        let identity = super::identity(&path);
        ensure!(!known.contains(&identity), "{}: is named twice as an output", path.display());
        known.push(identity);
    }
    Ok(())
}

/// Every file that a run writes.
fn outputs(args: &Args) -> Vec<PathBuf> {
    let companions = [&args.history, &args.cells, &args.factors].into_iter().flatten();
    let manifest = Manifest::<()>::path_for(&args.out);
    [args.out.clone(), manifest].into_iter().chain(companions.cloned()).collect()
}

pub(super) fn progress(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The report of a run on a loaded plan.
pub(super) fn report<'a>(
    loaded: &LoadedPlan,
    solution: &'a Solution,
    place: Place,
    elapsed: Elapsed,
    output: PathBuf,
) -> RunReport<'a> {
    let size = with_matrix!(&loaded.seed, seed => (seed.units(), seed.nnz()));
    RunReport::new(solution, place, loaded.year, size, loaded.raised, elapsed, output)
}

/// Writes the harmonized matrix with what its file can say about itself.
pub(super) fn add_matrix(
    files: &mut Outputs,
    path: &Path,
    loaded: &LoadedPlan,
    solution: &Solution,
) -> Result<()> {
    let mut metadata = vec![("flowrake.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    if let Some(year) = loaded.year {
        metadata.push(("flowrake.year".to_owned(), year.to_string()));
    }
    let plan = std::fs::read(&loaded.inputs[0])?;
    metadata.push(("flowrake.plan_blake3".to_owned(), blake3::hash(&plan).to_hex().to_string()));
    if let Some(level) = loaded.geography.level() {
        metadata.push(("flowrake.level".to_owned(), level.to_string()));
    }
    with_matrix!(&loaded.seed, seed => file::add(
        files,
        path,
        &Harmonized { seed, scaling: &solution.scaling },
        &loaded.geography,
        &metadata,
    ))?;
    Ok(())
}

/// Writes history, cells, factors and manifest; returns what there is to say about cells.
fn add_companions(
    files: &mut Outputs,
    args: &Args,
    loaded: &LoadedPlan,
    solution: &Solution,
    report: &RunReport,
) -> Result<Option<String>> {
    let mut outputs = vec![Output { path: args.out.clone(), what: "harmonized matrix" }];
    let mut summary = None;
    if let Some(path) = &args.cells {
        let problem = &loaded.problem;
        let changes = with_matrix!(&loaded.seed, seed => cell_changes(seed, problem, solution));
        files.add(path, |file| write_cells(problem, &changes, file))?;
        outputs.push(Output { path: path.clone(), what: "cells before and after" });
        summary = Some(cells_summary(problem, &changes));
    }
    if let Some(path) = &args.history {
        let text = history_csv(&solution.history, &solution.constraints);
        files.add(path, |file| file.write_all(text.as_bytes()))?;
        outputs.push(Output { path: path.clone(), what: "history" });
    }
    if let Some(path) = &args.factors {
        write_factors(files, path, &solution.scaling, &loaded.geography)?;
        outputs.push(Output { path: path.clone(), what: "factors" });
    }
    add_manifest(files, &args.out, loaded, outputs, report)?;
    Ok(summary)
}

/// Writes the manifest of a run beside its matrix.
pub(super) fn add_manifest(
    files: &mut Outputs,
    out: &Path,
    loaded: &LoadedPlan,
    outputs: Vec<Output>,
    report: &RunReport,
) -> Result<()> {
    let command = std::env::args().collect();
    let manifest = Manifest::new(command, &loaded.inputs, outputs, report)?.to_json();
    files.add(&Manifest::<()>::path_for(out), |file| file.write_all(manifest.as_bytes()))?;
    Ok(())
}
