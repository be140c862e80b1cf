//! Small keyed tables (units, targets), from CSV or Parquet, with errors that name the place.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A table read whole, as text columns.
///
/// Invariant: every column has the same number of rows.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    names: Vec<String>,
    columns: Vec<Vec<String>>,
}

impl Table {
    /// Reads a CSV file with one header line.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_csv(path)
    }

    fn read_csv(path: &Path) -> Result<Self> {
        let bad = |e: csv::Error| {
            let place = e.position().map_or(String::new(), |p| format!(":{}", p.line()));
            match e.into_kind() {
                csv::ErrorKind::Io(source) => Error::io(path, source),
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    Error::data(path, place, format!("expected {expected_len} fields, found {len}"))
                }
                csv::ErrorKind::Utf8 { .. } => {
                    Error::data(path, place, "expected UTF-8 text, found other bytes")
                }
                other => Error::data(path, place, format!("{other:?}")),
            }
        };
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(bad)?;
        let names: Vec<String> = reader
            .headers()
            .map_err(bad)?
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').to_owned())
            .collect();
        let mut columns = vec![Vec::new(); names.len()];
        for record in reader.records() {
            for (column, text) in columns.iter_mut().zip(&record.map_err(bad)?) {
                column.push(text.to_owned());
            }
        }
        Ok(Self { path: path.to_owned(), names, columns })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file this table was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Column names in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is such a column.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// A column as text.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(k) = self.names.iter().position(|n| n == name) else {
            return Err(Error::data(
                &self.path,
                ":1",
                format!("expected a column `{name}`, found {}", self.names.join(", ")),
            ));
        };
        Ok(self.columns[k].clone())
    }

    /// A column of area codes, kept as text so that leading zeros survive.
    pub fn codes(&self, name: &str) -> Result<Vec<String>> {
        self.texts(name)
    }

    /// A column of numbers; an empty cell or other text is an error.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let texts = self.texts(name)?;
        texts
            .iter()
            .enumerate()
            .map(|(row, text)| {
                text.parse().map_err(|_| {
                    self.error(row, name, format!("expected a number, found `{text}`"))
                })
            })
            .collect()
    }

    /// A column of numbers in which an empty cell means unknown (NaN).
    pub fn optional_numbers(&self, name: &str) -> Result<Vec<f64>> {
        todo!("{name}")
    }

    /// An error of the header.
    pub fn header_error(&self, problem: impl Into<String>) -> Error {
        Error::data(&self.path, ":1", problem)
    }

    /// Where a row is in the file, for messages.
    pub fn place(&self, row: usize) -> String {
        format!("line {}", row + 2)
    }

    /// An error at a cell of this table.
    pub fn error(&self, row: usize, column: &str, problem: impl Into<String>) -> Error {
        Error::data(&self.path, format!(":{}: column {column}", row + 2), problem)
    }
}
