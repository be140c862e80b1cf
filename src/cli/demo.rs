//! `flowrake demo`: a complete run on an embedded region whose truth is known.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use flowrake::Error;
use flowrake::geography::Level;
use flowrake::ipf::{Harmonized, Solution, Solver};
use flowrake::matrix::{AnyFlowMatrix, FlowRows, Room, file};
use flowrake::output::Outputs;
use flowrake::plan_file::LoadedPlan;
use flowrake::report::{
    ConvergencePoint, Elapsed, Manifest, Output, Place, convergence_png, convergence_svg,
    hash_inputs,
};
use flowrake::validation::{Quantity, validate};
use flowrake::with_matrix;

use super::engine::EngineArgs;
use super::harmonize::{add_manifest, add_matrix, report, store};
use super::print;
use super::progress::Progress;

/// Run everything once on a small embedded region and explain what happened
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  flowrake demo --out demo
  flowrake harmonize demo/input/plan.toml --out again.npz    # the same run, by its plan file")]
pub struct Args {
    /// Folder for inputs, harmonized matrix, convergence plot and manifest; made if missing
    #[arg(long, value_name = "DIR", default_value = "flowrake-demo")]
    out: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
}

macro_rules! region_files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../data-samples/region/", $name)).as_slice())),*]
    };
}

/// The sample, as `flowrake synth region` made it (data-samples/README.md).
const REGION: [(&str, &[u8]); 10] = region_files![
    "plan.toml",
    "units.csv",
    "seed.npz",
    "truth.npz",
    "cbg_population.csv",
    "state_movers.csv",
    "state_non_movers.csv",
    "state_flows.csv",
    "county_in.csv",
    "county_out.csv",
];

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.engine.check()?;
    // Before anything is written. The region is small.
    let mut opened = args.engine.open(0)?;
    let input = args.out.join("input");
    std::fs::create_dir_all(&input).map_err(|e| Error::io(&input, e))?;
    let mut files = Outputs::default();
    for (name, bytes) in REGION {
        files.add(&input.join(name), |file| file.write_all(bytes))?;
    }
    files.commit()?;

    let start = Instant::now();
    let mut loaded = LoadedPlan::read(&input.join("plan.toml"), &Room::UNLIMITED)?;
    let (truth, _) = file::read(&input.join("truth.npz"), Some(&loaded.geography))?;
    let read = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let rounding = store(&mut loaded, args.engine.storage, &Room::UNLIMITED)?;
    let solution = opened.solve(&loaded.seed, &loaded.problem, Solver::Auto, &|_| ())?;
    if let Some(note) = &opened.note {
        eprintln!("flowrake: {note}");
    }
    let solve = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let matrix = args.out.join("harmonized.npz");
    let mut files = Outputs::default();
    add_matrix(&mut files, &matrix, &loaded, &solution, &Progress::new(1, true))?;
    let write = start.elapsed().as_secs_f64();

    let place = Place { storage_rounding: rounding, ..opened.place(&loaded.seed, &solution) };
    let elapsed = Elapsed { read, solve, write };
    let report = report(&loaded, &solution, place, elapsed, matrix.clone());
    let plots = add_plots(&mut files, &args.out, &loaded, &solution)?;
    let mut outputs = vec![Output { path: matrix.clone(), what: "harmonized matrix" }];
    outputs
        .extend(plots.iter().map(|path| Output { path: path.clone(), what: "convergence plot" }));
    let inputs = hash_inputs(&loaded.inputs)?;
    let manifest = Manifest::new(std::env::args().collect(), inputs, outputs, &report);
    add_manifest(&mut files, &matrix, &manifest)?;
    files.commit()?;

    print(&format!(
        "\
A generated region: a biased seed, published totals, and the truth to compare with.

{}
How close to the truth (persons; raw is scaled to the true total):

{}
Written to {}:
  harmonized.npz                scipy CSR, units in the order of input/units.csv
  harmonized.npz.manifest.json  inputs with hashes, configuration, convergence
  convergence.svg, .png         violations and updates by iteration
  input/                        the plan, seed, targets and truth
",
        report.summary(),
        comparison(&loaded, &solution, &truth)?,
        args.out.display()
    ))?;
    Ok(if report.converged { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn add_plots(
    files: &mut Outputs,
    folder: &Path,
    loaded: &LoadedPlan,
    solution: &Solution,
) -> Result<[PathBuf; 2]> {
    let points: Vec<ConvergencePoint> = solution
        .history
        .iter()
        .filter(|row| row.group.is_some())
        .map(|row| ConvergencePoint {
            iteration: row.iteration,
            constraint: solution.constraints[row.constraint].name.clone(),
            max_violation: row.max_violation,
            max_update: row.max_update,
        })
        .collect();
    let tolerance = loaded.problem.plan().repeat.last().map_or(0.0, |group| group.tolerance);
    let paths = [folder.join("convergence.svg"), folder.join("convergence.png")];
    let svg = convergence_svg(&points, tolerance);
    files.add(&paths[0], |file| file.write_all(svg.as_bytes()))?;
    let png = convergence_png(&points, tolerance);
    files.add(&paths[1], |file| file.write_all(&png))?;
    Ok(paths)
}

/// Raw and harmonized against the truth: populations and flows by level.
fn comparison(loaded: &LoadedPlan, solution: &Solution, truth: &AnyFlowMatrix) -> Result<String> {
    let truth: &dyn FlowRows = with_matrix!(truth, truth => truth);
    let levels = [Level::State, Level::County, Level::BlockGroup];
    let mut validation = with_matrix!(&loaded.seed, seed => {
        let harmonized = Harmonized { seed, scaling: &solution.scaling };
        validate(seed, &harmonized, truth, &loaded.geography, &levels)
    })?;
    validation
        .comparisons
        .retain(|c| matches!(c.quantity, Quantity::PopulationNow | Quantity::Flows));
    Ok(validation.to_string())
}
