//! The commands, one file each: the only place that prints.

use std::io::{ErrorKind, Write as _};

use flowrake::{Error, Result};

pub mod convert;
pub mod demo;
pub mod harmonize;
pub mod synth;

/// Prints a text on standard output. A reader that has gone, such as `head`, has read enough.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output", e)),
        _ => Ok(()),
    }
}
