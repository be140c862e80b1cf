//! Answers of the Census batch geocoder.
//!
//! Source: Census Geocoder, batch mode with geographies,
//! <https://geocoding.geo.census.gov/geocoder/>. Its result is a CSV file without a header line:
//! identifier, input address, `Match`, `No_Match` or `Tie`; of a match also `Exact` or `Non_Exact`,
//! the matched address, longitude and latitude, TIGER line and side, and the codes of state, county,
//! tract and block.

use std::path::Path;

use crate::census::text::push_code;
use crate::table::{csv_error, line_of};
use crate::{Error, Result, input};

/// Fields of a match, and of any other answer.
const MATCH_FIELDS: usize = 12;
const OTHER_FIELDS: usize = 3;

/// What the geocoder says about an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The address, or one like it, is in a block.
    Match {
        /// Whether it is not exactly the address asked for.
        non_exact: bool,
        /// Code of the block group.
        block_group: String,
    },
    /// Several addresses match.
    Tie,
    /// None matches.
    NoMatch,
}

impl Answer {
    /// Reads a row; an error is what was expected and found.
    ///
    /// # Errors
    /// If it is no answer with geographies.
    pub fn of(row: &csv::ByteRecord) -> std::result::Result<Self, String> {
        if field(row, 0)?.is_empty() {
            return Err("expected an identifier first, found an empty field".into());
        }
        match (field(row, 2)?, row.len()) {
            ("Match", MATCH_FIELDS) => {}
            ("No_Match", OTHER_FIELDS..) => return Ok(Self::NoMatch),
            ("Tie", OTHER_FIELDS..) => return Ok(Self::Tie),
            ("Match", found) => {
                return Err(format!(
                    "expected a match of {MATCH_FIELDS} fields, with its geographies, found {found}"
                ));
            }
            (other, _) => {
                return Err(format!(
                    "expected Match, No_Match or Tie as third of {OTHER_FIELDS} or {MATCH_FIELDS} \
                     fields, found `{other}`"
                ));
            }
        }
        let mut block_group = String::with_capacity(15);
        for (at, digits) in [(8, 2), (9, 3), (10, 6), (11, 4)] {
            push_code(&mut block_group, field(row, at)?, digits)?;
        }
        // The first digit of a block is its block group.
        block_group.truncate(12);
        Ok(Self::Match { non_exact: field(row, 3)? != "Exact", block_group })
    }
}

/// A field without surrounding blanks, empty if it is missing; an error is what was expected and
/// found.
///
/// # Errors
/// If it is no text.
pub fn field(row: &csv::ByteRecord, at: usize) -> std::result::Result<&str, String> {
    let text = row.get(at).unwrap_or_default().trim_ascii();
    std::str::from_utf8(text).map_err(|_| "expected UTF-8 text, found other bytes".to_owned())
}

/// Visits every row of a CSV file without a header line, with its line. An error of `visit` is what
/// was expected and found in it.
///
/// # Errors
/// If the file cannot be read, and the first error of `visit`.
pub fn each_row(
    path: &Path,
    mut visit: impl FnMut(u64, &csv::ByteRecord) -> std::result::Result<(), RowError>,
) -> Result<()> {
    let map = input::map(path)?;
    // Some programs put a byte order mark first.
    let text = map.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&map);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut row = csv::ByteRecord::new();
    let mut read = input::Progress::new(&map);
    loop {
        if !reader.read_byte_record(&mut row).map_err(|e| csv_error(path, text, e))? {
            return Ok(());
        }
        read.reached(row.position());
        let line = row.position().map_or(0, |position| line_of(text, position));
        visit(line, &row).map_err(|error| match error {
            RowError::Data(problem) => Error::data(path, format!(":{line}"), problem),
            RowError::Other(error) => error,
        })?;
    }
}

/// Why a row was not taken.
#[derive(Debug)]
pub enum RowError {
    /// It is not what was expected.
    Data(String),
    /// Something else went wrong.
    Other(Error),
}

impl From<String> for RowError {
    fn from(problem: String) -> Self {
        Self::Data(problem)
    }
}

impl From<Error> for RowError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
