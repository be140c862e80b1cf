//! `flowrake validate`: how close a harmonized matrix is to a known truth.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowrake::geography::{Geography, Level};
use flowrake::matrix::{AnyFlowMatrix, FlowRows, file};
use flowrake::output::Outputs;
use flowrake::report::{Manifest, Output, hash_inputs};
use flowrake::validation::{Validation, levels_of, validate, write_csv};
use flowrake::with_matrix;

/// Compare a harmonized matrix and its raw seed with a known truth
///
/// For every level: populations of both years, flows between different areas (pairs without a flow
/// included), movers out of and into each area, and those who stayed in it. Of each, Pearson's r
/// and the root mean squared error (RMSE) in persons, of the raw matrix - multiplied by the truth's
/// total over its own - and of the harmonized one, and by how much the error shrank. r of numbers
/// that are all equal and the reduction of an error of 0 are undefined: `-`, null in JSON, empty in
/// CSV.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: a generated region, whose truth is known

  flowrake demo --out demo
  flowrake validate demo/harmonized.npz --raw demo/input/seed.npz \\
      --truth demo/input/truth.npz --units demo/input/units.csv --out agreement.csv

Beside the table, agreement.csv.manifest.json says what went in.")]
pub struct Args {
    /// Matrix to judge: .npz, .parquet, .mtx or .csv
    #[arg(value_name = "HARMONIZED")]
    harmonized: PathBuf,
    /// The seed it was made from
    #[arg(long, value_name = "FILE")]
    raw: PathBuf,
    /// The matrix that both should be
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Units table (.csv or .parquet) with a column geoid: line k is row and column k of the
    /// matrices
    #[arg(long, value_name = "FILE")]
    units: PathBuf,
    /// Levels as in plan files (state, county, tract, cbg, geoid or columns of the units table).
    /// Unless given, those that the codes of the units have
    #[arg(long, value_name = "LEVEL,..", value_delimiter = ',')]
    level: Option<Vec<String>>,
    /// Write the table as CSV
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let inputs = [&args.harmonized, &args.raw, &args.truth, &args.units].map(Clone::clone).to_vec();
    super::refuse_inputs(args.out.as_deref(), &inputs)?;
    let validation = compare(args)?;

    if let Some(path) = &args.out {
        let mut files = Outputs::default();
        files.add(path, |file| write_csv(&validation, file))?;
        let outputs = vec![Output { path: path.clone(), what: "agreement with the truth" }];
        let command = std::env::args().collect();
        let manifest =
            Manifest::new(command, hash_inputs(&inputs)?, outputs, &validation).to_json();
        files.add(&Manifest::<()>::path_for(path), |file| file.write_all(manifest.as_bytes()))?;
        files.commit()?;
    }
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&validation)?))?;
    } else {
        super::print(&format!("{}\n{validation}", totals(&validation)))?;
    }
    Ok(())
}

/// Reads the matrices and compares them; they are gone before anything is written.
fn compare(args: &Args) -> Result<Validation> {
    let units = Geography::read(&args.units)?;
    let levels = match &args.level {
        Some(names) => names.iter().map(|name| Level::parse(name)).collect(),
        None => levels_of(&units),
    };
    let read = |path: &Path| file::read(path, Some(&units)).map(|(matrix, _)| matrix);
    let [harmonized, raw, truth] = [read(&args.harmonized)?, read(&args.raw)?, read(&args.truth)?];
    Ok(validate(rows(&raw), rows(&harmonized), rows(&truth), &units, &levels)?)
}

fn rows(matrix: &AnyFlowMatrix) -> &dyn FlowRows {
    with_matrix!(matrix, matrix => matrix)
}

/// What was compared, in a line.
fn totals(validation: &Validation) -> String {
    let persons = validation.persons;
    format!(
        "persons: raw {:.0}, multiplied by {:.6}; harmonized {:.0}; truth {:.0}",
        persons.raw, validation.raw_scale, persons.harmonized, persons.truth
    )
}
