//! `flowrake convert`: matrices from one file format to another.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use flowrake::geography::Geography;
use flowrake::matrix::file::{self, Format};
use flowrake::output::Outputs;
use flowrake::with_matrix;

/// Converts a flow matrix between scipy .npz, Parquet, Matrix Market and CSV.
///
/// Formats are known by their extensions. Numbers keep their type (Matrix Market and CSV are read
/// as 64-bit). Entries given twice are summed and every row comes out sorted.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example: a scipy matrix of block groups as a Parquet table of GEOIDs for pandas, and back

  flowrake convert flows-2019.npz flows-2019.parquet --units block-groups.csv
  flowrake convert flows-2019.parquet again.npz --units block-groups.csv

where block-groups.csv has a column geoid with one line per row of the matrix:

  geoid
  010010201001
  010010201002
")]
pub struct Args {
    /// Matrix to read: .npz (scipy CSR or CSC), .parquet or .csv (columns origin, destination,
    /// flow), .mtx (Matrix Market).
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Matrix to write, in the format of its extension.
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// Units table (.csv or .parquet) with a column geoid: line k is row and column k of an .npz
    /// or .mtx matrix. Without it, the codes of IN are sorted and, when OUT has indices only,
    /// written to OUT.units.csv; a matrix without codes gets the indices as codes.
    #[arg(long, value_name = "FILE")]
    units: Option<PathBuf>,
}

/// Reads, then writes.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let format = Format::of(&args.output)?;
    let table = args.units.as_deref().map(Geography::read).transpose()?;
    let (matrix, units) = file::read(&args.input, table.as_ref())?;
    let mut outputs = Outputs::default();
    with_matrix!(&matrix, m => file::add(&mut outputs, &args.output, m, &units, &[]))?;
    if table.is_none() && !format.has_codes() && !units.is_numbered() {
        outputs.add(&super::units_path(&args.output), |file| units.write_csv(file))?;
    }
    outputs.commit()?;
    Ok(())
}
