//! The commands, one file each: the only place that prints.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};

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

/// Prints a text on standard output. A reader that has gone, such as `head`, has read enough.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output", e)),
        _ => Ok(()),
    }
}

/// Writes a units table with the column geoid.
fn write_units(file: &mut File, units: &Geography) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(file);
    out.write_record(["geoid"])?;
    for geoid in units.geoids() {
        out.write_record([geoid.as_str()])?;
    }
    out.flush()
}
