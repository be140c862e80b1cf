//! The commands, one file each: the only place that prints.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::iter;
use std::path::{Path, PathBuf};

use flowrake::geography::Geography;
use flowrake::{Error, Result};

pub mod bench;
pub mod convert;
pub mod demo;
pub mod devices;
pub mod engine;
pub mod harmonize;
pub mod seed;
pub mod synth;
pub mod targets;
pub mod validate;

/// Prints a text on standard output. A reader that has gone, such as `head`, has read enough.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output", e)),
        _ => Ok(()),
    }
}

/// The same path for all names of a file, which may not exist yet.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        match (folder, path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

/// Refuses to overwrite what a run reads.
fn refuse_inputs<'p>(
    outputs: impl IntoIterator<Item = &'p Path>,
    inputs: &[PathBuf],
) -> anyhow::Result<()> {
    let outputs: Vec<PathBuf> = outputs.into_iter().map(identity).collect();
    for input in inputs {
        let known = outputs.contains(&identity(input));
        anyhow::ensure!(
            !known,
            "{}: is an input of this run, name another output",
            input.display()
        );
    }
    Ok(())
}

/// `flows.npz.units.csv` beside `flows.npz`.
fn units_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".units.csv");
    name.into()
}

/// Writes a units table: geoid and its columns.
fn write_units(file: &mut File, units: &Geography) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(file);
    out.write_record(iter::once("geoid").chain(units.column_names()))?;
    let columns: Vec<&[String]> =
        units.column_names().filter_map(|name| units.column(name)).collect();
    for (row, geoid) in units.geoids().iter().enumerate() {
        let texts = columns.iter().map(|column| column[row].as_str());
        out.write_record(iter::once(geoid.as_str()).chain(texts))?;
    }
    out.flush()
}
