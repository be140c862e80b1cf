//! Rows of the tables in this folder's formats: CSV and workbooks, with the place of each row.

use std::io::Read as _;
use std::path::Path;

use calamine::{Data, Reader as _, open_workbook_auto};

use crate::table::CsvRecords;
use crate::{Error, Result};

/// The text of a file, unpacked where it is gzip; not UTF-8 is read as Latin-1. A byte order mark
/// is taken away.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let mut bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if bytes.starts_with(&[0x1F, 0x8B]) {
        let mut unpacked = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map_err(|e| {
            Error::data(path, "", format!("expected a whole gzip file, found: {e}"))
        })?;
        bytes = unpacked;
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
        Err(not_utf8) => not_utf8.into_bytes().into_iter().map(char::from).collect(),
    })
}

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
            Some(sheet) => format!(": sheet {sheet}: cell {}{}", letters(column), self.line),
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

/// `A`, `B` to `Z`, `AA`: the name of a spreadsheet column, from 0.
fn letters(column: usize) -> String {
    let last = char::from(b'A' + (column % 26) as u8);
    if column < 26 { last.to_string() } else { letters(column / 26 - 1) + &last.to_string() }
}

/// Visits the rows of a CSV file (gzip or not), or of every sheet of a workbook (`.xlsx`, `.xls`).
pub(super) fn rows(path: &Path, mut visit: impl FnMut(&Row) -> Result<()>) -> Result<()> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut cells: Vec<String> = Vec::new();
    if !extension.starts_with("xls") {
        let text = read_text(path)?;
        let mut records = CsvRecords::new(path, text.as_bytes())?;
        let names = records.names.clone();
        visit(&Row { path, sheet: None, line: 1, cells: &names })?;
        cells.resize(names.len(), String::new());
        while let Some((line, record)) = records.next()? {
            for (cell, text) in cells.iter_mut().zip(record) {
                cell.clear();
                cell.push_str(text);
            }
            visit(&Row { path, sheet: None, line, cells: &cells })?;
        }
        return Ok(());
    }
    let broken = |e: calamine::Error| match e {
        calamine::Error::Io(e) => Error::io(path, e),
        other => Error::data(path, "", format!("expected a workbook, found: {other}")),
    };
    let mut book = open_workbook_auto(path).map_err(broken)?;
    for name in book.sheet_names() {
        let sheet = book.worksheet_range(&name).map_err(broken)?;
        let (first_row, first_column) = sheet.start().unwrap_or_default();
        for (line, data) in (u64::from(first_row) + 1..).zip(sheet.rows()) {
            cells.clear();
            cells.resize(first_column as usize, String::new());
            cells.extend(data.iter().map(cell_text));
            visit(&Row { path, sheet: Some(&name), line, cells: &cells })?;
        }
    }
    Ok(())
}

fn cell_text(cell: &Data) -> String {
    match cell {
        Data::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// A number that may have thousands commas: `1,043`, `-1,043`, `0.25`.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.split('.').next().unwrap_or_default();
    if let Some((first, rest)) = whole.split_once(',') {
        let grouped = (1..=3).contains(&first.len()) && rest.split(',').all(|g| g.len() == 3);
        if !grouped {
            return None;
        }
    }
    text.replace(',', "").parse().ok().filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::super::workbook::write_workbook;
    use super::*;

    #[test]
    fn numbers_have_commas_in_the_right_places() {
        assert_eq!(number("1,043"), Some(1043.0));
        assert_eq!(number("-12,345,678.5"), Some(-12_345_678.5));
        for text in ["1,04", "1,0433", ",043", "", "X", "inf", "NaN"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn columns_have_letters() {
        assert_eq!([0, 25, 26, 27, 701, 702].map(letters), ["A", "Z", "AA", "AB", "ZZ", "AAA"]);
    }

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
        std::fs::write(&path, [0x1F, 0x8B, 8, 0]).unwrap();
        let problem = read_text(&path).unwrap_err().to_string();
        assert!(problem.contains("t.csv: expected a whole gzip file, found: "), "{problem}");
    }
}
