//! Sheets of Excel workbooks, with errors that name the cell.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use calamine::{Data, Range, Reader, Xls, Xlsx};

use crate::{Error, Result};

/// A sheet of a workbook. Rows and columns are counted from 0 and named as Excel does (`B12`).
pub(super) struct Sheet {
    path: PathBuf,
    /// The sheet's name.
    pub name: String,
    cells: Range<Data>,
}

impl Sheet {
    /// All sheets with cells of an `.xls` or `.xlsx` workbook, told apart by their first bytes.
    pub fn read_all(path: &Path) -> Result<Vec<Self>> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let sheets = if bytes.starts_with(b"\xD0\xCF\x11\xE0") {
            Xls::new(Cursor::new(bytes)).map(|mut b| b.worksheets()).map_err(|e| e.to_string())
        } else if bytes.starts_with(b"PK") {
            Xlsx::new(Cursor::new(bytes)).map(|mut b| b.worksheets()).map_err(|e| e.to_string())
        } else {
            Err("other bytes".into())
        };
        let sheets = sheets.map_err(|found| {
            let found = found.trim_end_matches('.').replace('\n', " ");
            Error::data(path, "", format!("expected an .xls or .xlsx workbook, found {found}"))
        })?;
        let sheets: Vec<Self> = sheets
            .into_iter()
            .filter(|(_, cells)| !cells.is_empty())
            .map(|(name, cells)| Self { path: path.to_owned(), name, cells })
            .collect();
        if sheets.is_empty() {
            return Err(Error::data(
                path,
                "",
                "expected a workbook with cells, found an empty one",
            ));
        }
        Ok(sheets)
    }

    /// Number of rows down to the last cell.
    pub fn rows(&self) -> u32 {
        self.cells.end().map_or(0, |(row, _)| row + 1)
    }

    /// Number of columns up to the last cell.
    pub fn columns(&self) -> u32 {
        self.cells.end().map_or(0, |(_, column)| column + 1)
    }

    /// A cell's value, if it has one.
    pub fn value(&self, row: u32, column: u32) -> Option<&Data> {
        self.cells.get_value((row, column)).filter(|value| match value {
            Data::Empty => false,
            Data::String(text) => !text.trim().is_empty(),
            _ => true,
        })
    }

    /// A cell's text with single spaces, empty for an empty cell.
    pub fn text(&self, row: u32, column: u32) -> String {
        let text = self.value(row, column).map(ToString::to_string).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The first cell with a value, row by row.
    pub fn first(&self) -> Option<(u32, u32)> {
        let mut all = (0..self.rows()).flat_map(|r| (0..self.columns()).map(move |c| (r, c)));
        all.find(|&(row, column)| self.value(row, column).is_some())
    }

    /// An error of the whole sheet.
    pub fn sheet_error(&self, problem: impl Into<String>) -> Error {
        Error::data(&self.path, format!(": sheet {}", self.name), problem)
    }

    /// An error at a cell.
    pub fn error(&self, row: u32, column: u32, problem: impl Into<String>) -> Error {
        let place = format!(": sheet {}: cell {}", self.name, cell_name(row, column));
        Error::data(&self.path, place, problem)
    }
}

/// Name of a cell as in Excel: `A1`, `AB12`.
pub(super) fn cell_name(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect::<String>() + &(row + 1).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_as_in_excel() {
        for (row, column, name) in
            [(0, 0, "A1"), (8, 25, "Z9"), (0, 26, "AA1"), (9, 129, "DZ10"), (0, 702, "AAA1")]
        {
            assert_eq!(cell_name(row, column), name);
        }
    }

    #[test]
    fn files_that_are_no_workbooks_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.xls");
        for (bytes, found) in [
            (b"a,b\n".as_slice(), "t.xls: expected an .xls or .xlsx workbook, found other bytes"),
            (b"", "t.xls: expected an .xls or .xlsx workbook, found other bytes"),
            (b"PK\x03\x04", "t.xls: expected an .xls or .xlsx workbook, found "),
            (
                b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 cut",
                "t.xls: expected an .xls or .xlsx workbook, found ",
            ),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let message = Sheet::read_all(&path).err().unwrap().to_string();
            assert!(message.contains(found) && !message.ends_with('.'), "{message}");
        }
    }
}
