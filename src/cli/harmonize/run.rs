//! One run: read, solved, written.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use flowrake::Error;
use flowrake::ipf::{Harmonized, Solution, cell_changes};
use flowrake::matrix::file::{self, Format};
use flowrake::matrix::{AnyFlowMatrix, FlowMatrix, Room, Rounding};
use flowrake::output::Outputs;
use flowrake::plan_file::LoadedPlan;
use flowrake::report::{
    Elapsed, Manifest, Output, Place, RunReport, SeedSize, cells_summary, history_csv, write_cells,
    write_factors,
};
use flowrake::with_matrix;

use super::Call;
use super::files::Files;
use crate::cli::engine::Storage;
use crate::cli::progress::{Progress, Stage, TimeLeft, Watched};

/// A plan and what it names, in memory.
pub struct Read<'c> {
    files: &'c Files,
    loaded: LoadedPlan,
    elapsed_s: f64,
}

/// A plan and its solution.
pub struct Solved<'c> {
    files: &'c Files,
    loaded: LoadedPlan,
    solution: Solution,
    place: Place,
    note: Option<String>,
    elapsed: Elapsed,
}

/// Reads a plan and what it names.
pub fn read<'c>(files: &'c Files, call: &Call, progress: &Progress) -> Result<Read<'c>> {
    let start = Instant::now();
    progress.say(Stage::Reading, format!("reading {}", files.plan.display()));
    let loaded = LoadedPlan::read(&files.plan, &call.room(&files.out))?;
    progress.say(Stage::Reading, "");
    Ok(Read { files, loaded, elapsed_s: start.elapsed().as_secs_f64() })
}

/// Finds the factors.
pub fn solve<'c>(read: Read<'c>, call: &Call, progress: &Progress) -> Result<Solved<'c>> {
    let Read { files, mut loaded, elapsed_s: read_s } = read;
    let start = Instant::now();
    let name = files.plan.display();
    progress.say(Stage::Solving, format!("solving {name}"));
    check_memory(call.memory, loaded.geography.len())?;
    let storage_rounding = store(&mut loaded, call.engine.storage, &call.room(&files.out))?;
    let mut opened = call.engine.open(with_matrix!(&loaded.seed, seed => seed.nnz()))?;
    let left = std::cell::RefCell::new(TimeLeft::new());
    let solution = opened
        .solve(&loaded.seed, &loaded.problem, call.solver, &|iterated| {
            let what = left.borrow_mut().after(iterated);
            progress.say(Stage::Solving, format!("solving {name}, {what}"));
        })
        .map_err(|e| match e {
            Error::Request(problem) => Error::data(&files.plan, "", problem),
            other => other,
        })?;
    let place = Place { storage_rounding, ..opened.place(&loaded.seed, &solution) };
    progress.say(Stage::Solving, "");
    let elapsed = Elapsed { read: read_s, solve: start.elapsed().as_secs_f64(), write: 0.0 };
    Ok(Solved { files, loaded, solution, place, note: opened.note, elapsed })
}

/// Writes matrix and companions and prints what there is to say; whether the run converged.
pub fn write(solved: Solved, call: &Call, progress: &Progress) -> Result<bool> {
    let Solved { files, loaded, solution, place, note, mut elapsed } = solved;
    let start = Instant::now();
    let mut outputs = Outputs::default();
    // Inputs are hashed while the disk takes its time.
    let inputs = std::thread::scope(|scope| {
        let hashed = scope.spawn(|| call.hashes.of(&loaded.inputs));
        add_matrix(&mut outputs, &files.out, &loaded, &solution, progress)?;
        Ok::<_, anyhow::Error>(hashed.join().expect("hashing does not panic")?)
    })?;
    elapsed.write = start.elapsed().as_secs_f64();

    progress.say(Stage::Writing, format!("describing {}", files.out.display()));
    let report = report(&loaded, &solution, place, elapsed, files.out.clone());
    let cells = add_cells(&mut outputs, files, &loaded, &solution)?;
    let written = add_companions(&mut outputs, files, &loaded, &solution)?;
    if let Some(stage) = &files.stage {
        stage.commit(outputs, written, call.hashes, &report)?;
    } else {
        let manifest = Manifest::new(std::env::args().collect(), inputs, written, &report);
        add_manifest(&mut outputs, &files.out, &manifest)?;
        outputs.commit()?;
    }
    progress.say(Stage::Writing, "");
    progress.done();
    // Of several runs, which one this is about.
    let name = match call.runs.len() {
        1 => String::new(),
        _ => format!("{}: ", files.out.display()),
    };
    progress.suspend(|| {
        if call.json && !call.brief {
            crate::cli::print(&format!("{}\n", serde_json::to_string(&report)?))?;
        }
        if let Some(note) = note.filter(|_| !call.quiet) {
            eprintln!("flowrake: {name}{note}");
        }
        if !(call.quiet || call.json || call.brief) {
            eprint!("{name}{}{}", report.summary(), cells.unwrap_or_default());
        } else if !report.converged {
            eprintln!("flowrake: {name}{}", report.solution.stop);
        }
        crate::cli::say_memory(&name, call.memory);
        Ok(report.converged)
    })
}

/// Bytes of memory per unit beside the entries: codes, factors, sums.
const UNIT_BYTES: u64 = 600;
/// Bytes of memory beside those of units and entries.
const BASE_BYTES: u64 = 64_000_000;

/// Refuses to begin what cannot be done in the memory given.
pub fn check_memory(memory: Option<u64>, units: usize) -> Result<()> {
    let needed = BASE_BYTES + UNIT_BYTES * units as u64;
    if let Some(given) = memory {
        ensure!(
            given >= needed,
            "--memory: expected at least {} MB for {units} units, found {} MB",
            needed.div_ceil(1_000_000),
            given / 1_000_000
        );
    }
    Ok(())
}

/// Keeps the seed in another number type, if one was asked for.
pub fn store(
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

/// The report of a run on a loaded plan.
pub fn report<'a>(
    loaded: &LoadedPlan,
    solution: &'a Solution,
    place: Place,
    elapsed: Elapsed,
    output: PathBuf,
) -> RunReport<'a> {
    let size = with_matrix!(&loaded.seed, seed => SeedSize::of(seed));
    RunReport::new(solution, place, loaded.year, size, loaded.raised, elapsed, output)
}

/// Writes the harmonized matrix with what its file can say about itself.
pub fn add_matrix(
    outputs: &mut Outputs,
    path: &Path,
    loaded: &LoadedPlan,
    solution: &Solution,
    progress: &Progress,
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
    // Lengths of rows, then the rows; npz asks for columns and flows apart.
    let passes = if Format::of(path)? == Format::Npz { 3 } else { 2 };
    with_matrix!(&loaded.seed, seed => {
        let harmonized = Harmonized { seed, scaling: &solution.scaling };
        let name = path.display().to_string();
        let rows = Watched::new(&harmonized, passes, progress, &name);
        file::add(outputs, path, &rows, &loaded.geography, &metadata)
    })?;
    Ok(())
}

/// Writes cells before and after; returns what there is to say about them.
fn add_cells(
    outputs: &mut Outputs,
    files: &Files,
    loaded: &LoadedPlan,
    solution: &Solution,
) -> Result<Option<String>> {
    let Some(path) = &files.cells else { return Ok(None) };
    let problem = &loaded.problem;
    let changes = with_matrix!(&loaded.seed, seed => cell_changes(seed, problem, solution));
    outputs.add(path, |file| write_cells(problem, &changes, file))?;
    Ok(Some(cells_summary(problem, &changes)))
}

/// Writes history and factors; returns everything that is written.
fn add_companions(
    outputs: &mut Outputs,
    files: &Files,
    loaded: &LoadedPlan,
    solution: &Solution,
) -> Result<Vec<Output>> {
    let mut written = vec![Output { path: files.out.clone(), what: "harmonized matrix" }];
    if let Some(path) = &files.cells {
        written.push(Output { path: path.clone(), what: "cells before and after" });
    }
    if let Some(path) = &files.history {
        let text = history_csv(&solution.history, &solution.constraints);
        outputs.add(path, |file| file.write_all(text.as_bytes()))?;
        written.push(Output { path: path.clone(), what: "history" });
    }
    if let Some(path) = &files.factors {
        write_factors(outputs, path, &solution.scaling, &loaded.geography)?;
        written.push(Output { path: path.clone(), what: "factors" });
    }
    Ok(written)
}

/// Writes the manifest of a run beside its matrix.
pub fn add_manifest(
    outputs: &mut Outputs,
    out: &Path,
    manifest: &Manifest<&RunReport>,
) -> Result<()> {
    let json = manifest.to_json();
    outputs.add(&Manifest::<()>::path_for(out), |file| file.write_all(json.as_bytes()))?;
    Ok(())
}
