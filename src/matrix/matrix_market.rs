//! Matrix Market coordinate files.
//!
//! Format: <https://math.nist.gov/MatrixMarket/formats.html>; indices count from 1.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use super::file::check_size;
use super::row_chunks::RowChunks;
use super::triplets::Triplets;
use super::value::{parse_persons, write_shortest};
use super::{FlowMatrix, FlowRows};
use crate::geography::Geography;
use crate::{Error, Result};

const HEADER: &str = "%%MatrixMarket matrix coordinate";

/// Reads a square `coordinate` matrix of persons (64-bit), `real`, `integer` or `pattern` (every
/// entry one person), `general` or `symmetric`. Entries given twice are summed.
///
/// # Errors
/// If the file is missing, malformed, not square, incomplete, or a value is negative or not
/// finite. The message names the line.
pub fn read(path: &Path, units: Option<&Geography>) -> Result<FlowMatrix<f64>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut lines = Lines { path, reader: BufReader::new(file), number: 0, text: String::new() };
    let (has_values, symmetric) = header(&mut lines)?;
    let (n, nnz) = sizes(&mut lines)?;
    // Before memory is asked for: the header may say anything.
    check_size(path, n, units)?;
    let mut entries = Triplets::default();
    for found in 0..nnz {
        if !lines.next_data()? {
            return Err(lines.error(format!("expected {nnz} entries, found {found}")));
        }
        let wanted = if has_values { "row column value" } else { "row column" };
        let mut words = lines.text.split_whitespace();
        let (Some(i), Some(j), value, None) = (
            words.next(),
            words.next(),
            if has_values { words.next() } else { Some("1") },
            words.next(),
        ) else {
            return Err(lines.unexpected(wanted));
        };
        let Some(value) = value else { return Err(lines.unexpected(wanted)) };
        let index = |word: &str| match word.parse::<usize>() {
            Ok(k) if (1..=n).contains(&k) => Ok(k as u32 - 1),
            _ => Err(lines.error(format!("expected an index from 1 to {n}, found `{word}`"))),
        };
        let (i, j) = (index(i)?, index(j)?);
        let flow = parse_persons(value).map_err(|problem| lines.error(problem))?;
        entries.push(i, j, flow);
        if symmetric && i != j {
            entries.push(j, i, flow);
        }
    }
    if lines.next_data()? {
        let problem =
            format!("expected the end after {nnz} entries, found `{}`", lines.text.trim());
        return Err(lines.error(problem));
    }
    entries.into_flow_matrix(n).map_err(|problem| Error::data(path, "", problem))
}

/// Whether entries have values, and whether the matrix is symmetric.
fn header(lines: &mut Lines) -> Result<(bool, bool)> {
    lines.next()?;
    let words: Vec<String> = lines.text.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["%%matrixmarket", "matrix", "coordinate", field, symmetry] = words[..] else {
        return Err(lines.unexpected(&format!("{HEADER} real general")));
    };
    let has_values = match field {
        "real" | "double" | "integer" | "unsigned-integer" => true,
        "pattern" => false,
        _ => return Err(lines.error(format!("expected real, integer or pattern, found `{field}`"))),
    };
    match symmetry {
        "general" => Ok((has_values, false)),
        "symmetric" => Ok((has_values, true)),
        _ => Err(lines.error(format!("expected general or symmetric, found `{symmetry}`"))),
    }
}

/// Number of units and of stored entries.
fn sizes(lines: &mut Lines) -> Result<(usize, usize)> {
    lines.next_data()?;
    let words: Vec<&str> = lines.text.split_whitespace().collect();
    let numbers: Option<Vec<usize>> = words.iter().map(|w| w.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[rows, columns, nnz]) if rows == columns && u32::try_from(rows).is_ok() => {
            Ok((rows, nnz))
        }
        Some(&[rows, columns, _]) if rows == columns => {
            Err(lines.error(format!("expected fewer than 2^32 units, found {rows}")))
        }
        Some(&[rows, columns, _]) => {
            Err(lines.error(format!("expected a square matrix, found {rows} x {columns}")))
        }
        _ => Err(lines.unexpected("rows columns entries")),
    }
}

/// The lines of a file, one at a time.
struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    number: u64,
    text: String,
}

impl Lines<'_> {
    /// Reads the next line; false at the end.
    fn next(&mut self) -> Result<bool> {
        self.text.clear();
        self.number += 1;
        match self.reader.read_line(&mut self.text) {
            Ok(length) => Ok(length > 0),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                Err(self.error("expected text, found other bytes"))
            }
            Err(e) => Err(Error::io(self.path, e)),
        }
    }

    /// Reads the next line that is neither empty nor a comment.
    fn next_data(&mut self) -> Result<bool> {
        while self.next()? {
            let text = self.text.trim_start();
            if !text.is_empty() && !text.starts_with('%') {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn error(&self, problem: impl Into<String>) -> Error {
        Error::data(self.path, format!(":{}", self.number), problem)
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let found: String = self.text.trim().chars().take(60).collect();
        self.error(format!("expected `{wanted}`, found `{found}`"))
    }
}

/// Writes a `coordinate real general` file, metadata as comments, values as the shortest text that
/// reads back the same.
///
/// # Errors
/// When the file cannot be written.
pub fn write<W: Write + Send>(
    mut out: W,
    rows: &dyn FlowRows,
    metadata: &[(String, String)],
) -> io::Result<()> {
    let chunks = RowChunks::new(rows);
    writeln!(out, "{HEADER} real general")?;
    for (key, value) in metadata {
        writeln!(out, "% {key}: {}", value.replace(['\n', '\r'], " "))?;
    }
    writeln!(out, "{n} {n} {}", chunks.nnz(), n = rows.units())?;
    chunks.write_text(&mut out, |chunk, out| {
        chunks.for_each(chunk, |i, j, flow| {
            write!(out, "{} {} ", i + 1, u64::from(j) + 1)?;
            write_shortest(out, flow, rows.value_type())?;
            writeln!(out)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<FlowMatrix<f64>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = format!("{}", file.path().display());
        read(file.path(), None).map_err(|e| e.to_string().replace(&path, "m.mtx"))
    }

    #[test]
    fn fields_and_symmetries() {
        let general = "%%MatrixMarket matrix coordinate integer general\n% c\n\n2 2 3\n\
                       1 1 4\n2 1 1\n2 1 2\n";
        let m = parse(general).unwrap();
        assert_eq!((m.stayers(), m.movers().values()), (&[4.0, 0.0][..], &[3.0][..]));
        let symmetric = "%%matrixmarket MATRIX coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n";
        let m = parse(symmetric).unwrap();
        assert_eq!(m.movers().row_ptr(), [0, 1, 2, 2]);
        assert_eq!(m.stayers(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn errors_name_the_line() {
        let real =
            |rest: &str| parse(&format!("{HEADER} real general\n% comment\n{rest}")).unwrap_err();
        for (text, message) in [
            ("2 3 1\n1 1 1\n", "m.mtx:3: expected a square matrix, found 2 x 3"),
            ("2 2\n", "m.mtx:3: expected `rows columns entries`, found `2 2`"),
            ("2 2 1\n0 1 1\n", "m.mtx:4: expected an index from 1 to 2, found `0`"),
            ("2 2 1\n1 3 1\n", "m.mtx:4: expected an index from 1 to 2, found `3`"),
            ("2 2 1\n1 2\n", "m.mtx:4: expected `row column value`, found `1 2`"),
            ("2 2 1\n1 2 -1\n", "m.mtx:4: expected persons >= 0, found `-1`"),
            ("2 2 1\n1 2 x\n", "m.mtx:4: expected a number, found `x`"),
            ("2 2 2\n1 2 1\n", "m.mtx:5: expected 2 entries, found 1"),
            ("2 2 1\n1 2 1\n\n2 1 1\n", "m.mtx:6: expected the end after 1 entries, found `2 1 1`"),
        ] {
            assert_eq!(real(text), message);
        }
        assert_eq!(
            parse("%%MatrixMarket matrix array real general\n").unwrap_err(),
            "m.mtx:1: expected `%%MatrixMarket matrix coordinate real general`, found \
             `%%MatrixMarket matrix array real general`"
        );
        assert_eq!(
            parse("%%MatrixMarket matrix coordinate complex general\n").unwrap_err(),
            "m.mtx:1: expected real, integer or pattern, found `complex`"
        );
    }
}
