//! Matrices from and to files, by their extension.

use std::path::Path;

use super::{AnyFlowMatrix, FlowRows, Room, csv, matrix_market, npz, parquet};
use crate::geography::Geography;
use crate::output::Outputs;
use crate::{Error, Result, with_matrix};

/// The kinds of matrix files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// scipy sparse `.npz`; indices.
    Npz,
    /// Parquet long table; codes or indices.
    Parquet,
    /// Matrix Market `.mtx`; indices.
    MatrixMarket,
    /// CSV long table; codes.
    Csv,
}

impl Format {
    /// The format a file's extension names, in upper or lower case.
    ///
    /// # Errors
    /// If it names none.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "npz" => Ok(Self::Npz),
            "parquet" => Ok(Self::Parquet),
            "mtx" => Ok(Self::MatrixMarket),
            "csv" => Ok(Self::Csv),
            other => {
                let problem = format!(
                    "expected a matrix file ending in .npz, .parquet, .mtx or .csv, found `{other}`"
                );
                Err(Error::data(path, "", problem))
            }
        }
    }

    /// Whether files of this format can name units by their codes.
    pub fn has_codes(self) -> bool {
        matches!(self, Self::Parquet | Self::Csv)
    }
}

/// Reads a matrix of persons and the units it is over.
///
/// The indices of a file are rows of the units table; without one, units are numbered. Without a
/// units table, the codes of a file are the units, sorted (see [`Geography::from_codes`]).
///
/// # Errors
/// As the readers of each format; also if the matrix and the units table differ in size, or the
/// extension is none of the four.
pub fn read(path: &Path, units: Option<&Geography>) -> Result<(AnyFlowMatrix, Geography)> {
    read_into(path, units, &Room::UNLIMITED)
}

/// [`read`], into limited memory.
///
/// # Errors
/// As [`read`], and if the matrix does not fit and cannot be read piece by piece either: CSV and
/// Matrix Market files, and entries that are not sorted by origin and destination.
pub fn read_into(
    path: &Path,
    units: Option<&Geography>,
    room: &Room,
) -> Result<(AnyFlowMatrix, Geography)> {
    let matrix = match Format::of(path)? {
        Format::Npz => npz::read(path, room)?,
        Format::Parquet => return parquet::read(path, units, room),
        Format::MatrixMarket => {
            check_text(path, room)?;
            AnyFlowMatrix::F64(matrix_market::read(path, units)?)
        }
        Format::Csv => {
            check_text(path, room)?;
            return csv::read(path, units).map(|(m, units)| (AnyFlowMatrix::F64(m), units));
        }
    };
    let n = with_matrix!(&matrix, m => m.units());
    check_size(path, n, units)?;
    Ok((matrix, units.cloned().unwrap_or_else(|| Geography::numbered(n))))
}

/// Bytes of an entry in a file of text, at least, over those it takes while it is read: `1 2 3` and a
/// line end, 16 bytes of triplet and 12 of matrix.
const GROWTH_OF_TEXT: u64 = 5;

/// Refuses a text that may not fit.
fn check_text(path: &Path, room: &Room) -> Result<()> {
    let size_bytes = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if room.holds(GROWTH_OF_TEXT * size_bytes) {
        return Ok(());
    }
    let problem = "expected .npz or .parquet, which can be read in little memory; rewrite it once \
                   with `flowrake convert`, or allow more memory";
    Err(Error::data(path, "", problem))
}

/// Whether a matrix of n rows fits the units table.
pub(crate) fn check_size(path: &Path, n: usize, units: Option<&Geography>) -> Result<()> {
    match units {
        Some(units) if units.len() != n => {
            let problem =
                format!("expected {} x {0} as in the units table, found {n} x {n}", units.len());
            Err(Error::data(path, "", problem))
        }
        _ => Ok(()),
    }
}

/// Writes a matrix of persons; the file appears under its name when `outputs` are committed.
///
/// `metadata` (year, level, vintage and the like) goes into Parquet files as key-value pairs and
/// into Matrix Market files as comments; the other formats have no place for it.
///
/// # Errors
/// When the file cannot be written or the extension is none of the four.
///
/// # Panics
/// If there are not as many units as rows.
pub fn add(
    outputs: &mut Outputs,
    path: &Path,
    rows: &dyn FlowRows,
    units: &Geography,
    metadata: &[(String, String)],
) -> Result<()> {
    assert_eq!(rows.units(), units.len(), "rows and units differ in number");
    let format = Format::of(path)?;
    outputs.add(path, |file| match format {
        Format::Npz => npz::write(file, rows),
        Format::Parquet => parquet::write(file, rows, units, metadata),
        Format::MatrixMarket => matrix_market::write(file, rows, metadata),
        Format::Csv => csv::write(file, rows, units),
    })
}

/// Writes one matrix; see [`add`].
///
/// # Errors
/// As [`add`], or when the file cannot be renamed.
pub fn write(
    path: &Path,
    rows: &dyn FlowRows,
    units: &Geography,
    metadata: &[(String, String)],
) -> Result<()> {
    let mut outputs = Outputs::default();
    add(&mut outputs, path, rows, units, metadata)?;
    outputs.commit()
}
