//! Rows of the tables in this folder's formats: CSV and workbooks, with the place of each row.

use std::path::Path;

use super::sheet::{Sheet, cell_name};
use super::text;
use crate::table::CsvRecords;
use crate::{Error, Result};

/// One row of a table, its header included.
pub(super) struct Row<'a> {
    path: &'a Path,
    /// Name of the sheet in a workbook.
    pub sheet: Option<&'a str>,
    /// Line of a CSV file or row of a sheet, from 1.
    line: u64,
    /// Cells without surrounding blanks.
    pub cells: &'a [String],
}

impl Row<'_> {
    /// A cell, empty where the row has fewer.
    pub fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    /// An error at a cell: its line and the name of its column, or its sheet and cell.
    pub fn error(&self, column: usize, name: &str, problem: impl Into<String>) -> Error {
        let place = match self.sheet {
            Some(sheet) => {
                format!(": sheet {sheet}: cell {}", cell_name(self.line as u32 - 1, column as u32))
            }
            None => format!(":{}: column {name}", self.line),
        };
        Error::data(self.path, place, problem)
    }

    /// An error of the row as a whole.
    pub fn row_error(&self, problem: impl Into<String>) -> Error {
        let place = match self.sheet {
            Some(sheet) => format!(": sheet {sheet}: row {}", self.line),
            None => format!(":{}", self.line),
        };
        Error::data(self.path, place, problem)
    }
}

/// Visits the rows of a CSV file (gzip or not), or of every sheet of a workbook (`.xlsx`, `.xls`).
pub(super) fn rows(path: &Path, mut visit: impl FnMut(&Row) -> Result<()>) -> Result<()> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut cells: Vec<String> = Vec::new();
    if !extension.starts_with("xls") {
        let text = text::read(path)?;
        let mut records = CsvRecords::new(path, text.as_bytes())?;
        let names = records.names.clone();
        visit(&Row { path, sheet: None, line: 1, cells: &names })?;
        cells.resize(names.len(), String::new());
        while let Some((line, record)) = records.next()? {
            for (cell, text) in cells.iter_mut().zip(record.iter()) {
                cell.clear();
                cell.push_str(text);
            }
            visit(&Row { path, sheet: None, line, cells: &cells })?;
        }
        return Ok(());
    }
    for sheet in Sheet::read_all(path)? {
        for line in 0..sheet.rows() {
            cells.clear();
            cells.extend((0..sheet.columns()).map(|column| sheet.text(line, column)));
            let line = u64::from(line) + 1;
            visit(&Row { path, sheet: Some(&sheet.name), line, cells: &cells })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::workbook::write_workbook;
    use super::*;

    #[test]
    fn workbooks_and_latin_1_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.xlsx");
        write_workbook(
            &path,
            &[("one", &[&["a"], &[], &["", "#12", "x "]]), ("two", &[&["#0.5"]])],
        );
        let mut seen = Vec::new();
        rows(&path, |row| {
            let problem = row.error(1, "b", "no").to_string();
            let place = problem.rsplit_once("t.xlsx").unwrap().1.to_owned();
            seen.push((place, row.cells.join("|")));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen[0], (": sheet one: cell B1: no".into(), "a||".into()));
        assert_eq!(seen[2], (": sheet one: cell B3: no".into(), "|12|x".into()));
        assert_eq!(seen[3], (": sheet two: cell B1: no".into(), "0.5".into()));

        let path = folder.path().join("t.csv");
        std::fs::write(&path, b"name,n\r\nDo\xF1a Ana,1\r\n").unwrap();
        let mut last = String::new();
        rows(&path, |row| {
            row.cell(0).clone_into(&mut last);
            Ok(())
        })
        .unwrap();
        assert_eq!(last, "Doña Ana");
    }
}
