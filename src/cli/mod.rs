//! The commands, one file each: the only place that prints.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use flowrake::output::identity;
use flowrake::report::peak_memory_bytes;
use flowrake::{Error, Result};

pub mod bench;
pub mod convert;
pub mod demo;
pub mod devices;
pub mod engine;
pub mod geocode;
pub mod harmonize;
pub mod histories;
mod progress;
pub mod run;
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

/// Uses so many threads, all cores unless given.
fn use_threads(threads: Option<u16>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    Ok(())
}

/// Says so if a run, which has a name or is the only one, took more memory than it was given.
fn say_memory(name: &str, given: Option<u64>) {
    if let Some((given, peak)) = given.zip(peak_memory_bytes()).filter(|(given, peak)| peak > given)
    {
        let [given, peak] = [given, peak].map(|bytes| bytes.div_ceil(1_000_000));
        eprintln!("flowrake: {name}{peak} MB of memory were used, more than the {given} MB given");
    }
}

/// `800MB`, `2GiB`, `1.5G` or a number of bytes. K, M, G and T are powers of 1000, Ki to Ti of 1024.
fn size_bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (power, base) = match (unit.strip_suffix('i'), unit) {
        (Some(letter), _) if !letter.is_empty() => (letter, 1024.0_f64),
        (_, letter) => (letter, 1000.0),
    };
    let factor = ["", "k", "m", "g", "t"].iter().zip(0..).find(|(letter, _)| **letter == power);
    let size = number.parse::<f64>().ok().zip(factor).map(|(n, (_, power))| n * base.powi(power));
    size.filter(|size| *size >= 1.0 && *size < 2.0_f64.powi(63))
        .map(|size| size as u64)
        .ok_or_else(|| format!("expected a size such as 800MB or 2GB, found `{text}`"))
}

/// `flows.npz.units.csv` beside `flows.npz`.
fn units_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".units.csv");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::size_bytes;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("1", 1),
            ("1GB", 1_000_000_000),
            ("1.5g", 1_500_000_000),
            ("800 MB", 800_000_000),
            ("2GiB", 2 << 30),
            ("64KiB", 64 << 10),
            ("3Ti", 3 << 40),
        ] {
            assert_eq!(size_bytes(text), Ok(size), "{text}");
        }
        for text in ["", "GB", "0", "-1GB", "1XB", "1e3", "1.2.3", "iB", "9999999TB"] {
            let problem = format!("expected a size such as 800MB or 2GB, found `{text}`");
            assert_eq!(size_bytes(text), Err(problem));
        }
    }
}
