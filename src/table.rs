//! Small keyed tables (units, targets), from CSV or Parquet, with errors that name the place.

use std::ops::Index;
use std::path::{Path, PathBuf};

use crate::columns::{Batch, Kind, ParquetFile, Values};
use crate::texts::Texts;
use crate::{Error, Result};

/// A table read whole.
///
/// Invariant: every column has the same number of rows, and a CSV table a line for each.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    rows: usize,
    /// Line of each row of a CSV file; Parquet rows have none.
    lines: Option<Vec<u64>>,
    columns: Vec<(String, Column)>,
}

/// A column as its file stores it; CSV stores text only. Parquet nulls are empty texts or `None`.
#[derive(Clone, Debug)]
enum Column {
    Texts(Texts),
    Integers { values: Vec<Option<i128>>, type_name: String },
    Floats { values: Vec<Option<f64>>, type_name: String },
}

impl Column {
    fn into_texts(self) -> Texts {
        fn of<T: ToString>(values: &[Option<T>]) -> Texts {
            values.iter().map(|v| v.as_ref().map_or(String::new(), T::to_string)).collect()
        }
        match self {
            Self::Texts(texts) => texts,
            Self::Integers { values, .. } => of(&values),
            Self::Floats { values, .. } => of(&values),
        }
    }
}

impl Table {
    /// Reads a CSV file with one header line, or, by its extension, a Parquet file.
    ///
    /// Parquet columns of other types than text, integers and floating point are left out.
    ///
    /// # Errors
    /// If the file is missing, broken, not UTF-8, or a CSV row has more or fewer fields than the
    /// header.
    pub fn read(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            Self::read_parquet(path)
        } else {
            Self::read_csv(path)
        }
    }

    fn read_csv(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let mut records = CsvRecords::new(path, &text)?;
        let names = records.names.clone();
        let mut columns = vec![Texts::default(); names.len()];
        let mut lines = Vec::new();
        while let Some((line, record)) = records.next()? {
            lines.push(line);
            for (column, text) in columns.iter_mut().zip(record.iter()) {
                column.push(text);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            rows: lines.len(),
            lines: Some(lines),
            columns: names.into_iter().zip(columns.into_iter().map(Column::Texts)).collect(),
        })
    }

    fn read_parquet(path: &Path) -> Result<Self> {
        let file = ParquetFile::open(path)?;
        let mut columns = Vec::new();
        for name in file.names() {
            let Ok(column) = file.position(&name) else { continue };
            if let Some(values) = read_column(&file, column)? {
                columns.push((name, values));
            }
        }
        Ok(Self { path: path.to_owned(), rows: file.rows(), lines: None, columns })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
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
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is such a column.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    /// A column as text; nulls are empty.
    pub fn texts(&self, name: &str) -> Result<Texts> {
        Ok(self.column(name)?.clone().into_texts())
    }

    /// Every column as text, with its name; nulls are empty.
    pub fn into_texts(self) -> impl Iterator<Item = (String, Texts)> {
        self.columns.into_iter().map(|(name, column)| (name, column.into_texts()))
    }

    /// A column of area codes, which must be text: numbers have lost their leading zeros.
    pub fn codes(&self, name: &str) -> Result<Texts> {
        match self.column(name)? {
            Column::Texts(texts) => Ok(texts.clone()),
            Column::Integers { type_name, .. } | Column::Floats { type_name, .. } => {
                Err(Error::data(
                    &self.path,
                    format!(": column {name}"),
                    format!("expected text codes with leading zeros, found {type_name}"),
                ))
            }
        }
    }

    /// A column of finite numbers; an empty cell or other text is an error.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        self.numbers_or(name, None)
    }

    /// A column of finite numbers, NaN where a cell is empty.
    pub fn optional_numbers(&self, name: &str) -> Result<Vec<f64>> {
        self.numbers_or(name, Some(f64::NAN))
    }

    /// `empty` stands for empty cells, which are an error without it.
    fn numbers_or(&self, name: &str, empty: Option<f64>) -> Result<Vec<f64>> {
        let cell = |row: usize, number: Option<f64>, text: &str| match (number, empty) {
            (Some(number), _) if number.is_finite() => Ok(number),
            (None, Some(empty)) if text.is_empty() || text == "null" => Ok(empty),
            _ => Err(self.error(row, name, format!("expected a number, found `{text}`"))),
        };
        let value = |row, number: Option<f64>| {
            cell(row, number, &number.map_or("null".to_owned(), |n| n.to_string()))
        };
        match self.column(name)? {
            Column::Texts(texts) => {
                let rows = texts.iter().enumerate();
                rows.map(|(row, text)| cell(row, text.parse().ok(), text)).collect()
            }
            Column::Integers { values, .. } => {
                let rows = values.iter().enumerate();
                rows.map(|(row, v)| value(row, v.map(|v| v as f64))).collect()
            }
            Column::Floats { values, .. } => {
                values.iter().enumerate().map(|(row, &v)| value(row, v)).collect()
            }
        }
    }

    /// An error of the header.
    pub fn header_error(&self, problem: impl Into<String>) -> Error {
        Error::data(&self.path, if self.lines.is_some() { ":1" } else { "" }, problem)
    }

    /// Where a row is in the file, for messages.
    pub fn place(&self, row: usize) -> String {
        match &self.lines {
            Some(lines) => format!("line {}", lines[row]),
            None => format!("row {row}"),
        }
    }

    /// An error at a cell of this table; `row` counts from 0, the message names the line of a CSV
    /// file or the row (from 0) of a Parquet file.
    pub fn error(&self, row: usize, column: &str, problem: impl Into<String>) -> Error {
        let place = match &self.lines {
            Some(lines) => format!(":{}: column {column}", lines[row]),
            None => format!(": row {row}: column {column}"),
        };
        Error::data(&self.path, place, problem)
    }

    fn column(&self, name: &str) -> Result<&Column> {
        let names: Vec<&str> = self.names().collect();
        let at = position_of(name, &names).map_err(|problem| self.header_error(problem))?;
        Ok(&self.columns[at].1)
    }
}

/// Names that were found instead of another, as many as a message can hold. What is no text, such as
/// the bytes of a workbook, is escaped.
pub(crate) fn listed(names: &[impl AsRef<str>]) -> String {
    const NAMES: usize = 12;
    const LETTERS: usize = 60;
    let short = |name: &str| {
        let escaped = if name.contains(char::is_control) {
            name.escape_debug().to_string()
        } else {
            name.to_owned()
        };
        let cut: String = escaped.chars().take(LETTERS).collect();
        if cut.len() < escaped.len() { cut + "..." } else { cut }
    };
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| short(name.as_ref())).collect();
    let more = names.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &more
}

/// Position of a column that must be there once; an error is what was expected and found.
pub(crate) fn position_of(
    name: &str,
    names: &[impl AsRef<str>],
) -> std::result::Result<usize, String> {
    let found = |other: &&(usize, &str)| other.1 == name;
    let names: Vec<(usize, &str)> = names.iter().map(AsRef::as_ref).enumerate().collect();
    match names.iter().filter(found).collect::<Vec<_>>()[..] {
        [(at, _)] => Ok(*at),
        [] => {
            let names: Vec<&str> = names.iter().map(|n| n.1).collect();
            Err(format!("expected a column `{name}`, found {}", listed(&names)))
        }
        ref more => Err(format!("expected one column `{name}`, found {}", more.len())),
    }
}

/// The records of a CSV text after its header line, with the lines they are on.
pub(crate) struct CsvRecords<'a> {
    path: &'a Path,
    text: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    record: csv::StringRecord,
    /// The column names.
    pub names: Vec<String>,
}

impl<'a> CsvRecords<'a> {
    /// Reads the header line of `text`, the content of `path`.
    pub fn new(path: &'a Path, text: &'a [u8]) -> Result<Self> {
        // Some programs put a byte order mark first.
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text);
        let header = reader.headers().map_err(|e| csv_error(path, text, e))?;
        if header.is_empty() {
            return Err(Error::data(path, "", "expected a header line, found an empty file"));
        }
        let names = header.iter().map(str::to_owned).collect();
        Ok(Self { path, text, reader, record: csv::StringRecord::new(), names })
    }

    /// The next record and its line.
    pub fn next(&mut self) -> Result<Option<(u64, CsvRecord<'_>)>> {
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {
                let position = self.record.position().expect("a record read has a position");
                Ok(Some((line_of(self.text, position), CsvRecord(&self.record))))
            }
            Ok(false) => Ok(None),
            Err(e) => Err(csv_error(self.path, self.text, e)),
        }
    }
}

/// A record, whose cells come without surrounding blanks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CsvRecord<'r>(&'r csv::StringRecord);

impl<'r> CsvRecord<'r> {
    /// The cells in order.
    pub fn iter(self) -> impl Iterator<Item = &'r str> {
        self.0.iter().map(str::trim)
    }

    /// Where it begins in the file.
    pub fn position(self) -> Option<&'r csv::Position> {
        self.0.position()
    }
}

impl Index<usize> for CsvRecord<'_> {
    type Output = str;

    fn index(&self, cell: usize) -> &str {
        self.0[cell].trim()
    }
}

/// The line a record starts on. The csv crate gives the place where it began to look, which may be
/// the end of the line before, and blank lines that it skips.
pub(crate) fn line_of(text: &[u8], position: &csv::Position) -> u64 {
    let ahead = text.get(position.byte() as usize..).unwrap_or_default();
    let skipped = ahead.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|&&byte| byte == b'\n').count() as u64
}

/// A CSV error with the line it happened on.
pub(crate) fn csv_error(path: &Path, text: &[u8], error: csv::Error) -> Error {
    let place = error.position().map_or(String::new(), |p| format!(":{}", line_of(text, p)));
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::io(path, source),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::data(path, place, format!("expected {expected_len} fields, found {len}"))
        }
        csv::ErrorKind::Utf8 { .. } => {
            Error::data(path, place, "expected UTF-8 text, found other bytes")
        }
        other => Error::data(path, place, format!("{other:?}")),
    }
}

/// Reads one Parquet column; `None` if it is of a type this program does not read.
fn read_column(file: &ParquetFile, column: usize) -> Result<Option<Column>> {
    let type_name = file.type_name(column);
    let mut texts = Vec::new();
    let mut integers = Vec::new();
    let mut floats = Vec::new();
    let kind = file.kind(column);
    if matches!(kind, Kind::Date | Kind::Other) {
        return Ok(None);
    }
    let signed = kind != Kind::Integer { signed: false };
    let mut is_text = true;
    for group in 0..file.group_starts().len() - 1 {
        file.read(group, column, |batch| {
            match batch.values {
                Values::Texts(values) => spread(batch, values, &mut texts, |v| {
                    let text = std::str::from_utf8(v.data());
                    is_text &= text.is_ok();
                    text.unwrap_or_default().to_owned()
                }),
                Values::Entries(_) => unreachable!("not asked for"),
                Values::Ints32(values) => spread(batch, values, &mut integers, |&v| {
                    if signed { i128::from(v) } else { i128::from(v.cast_unsigned()) }
                }),
                Values::Ints64(values) => spread(batch, values, &mut integers, |&v| {
                    if signed { i128::from(v) } else { i128::from(v.cast_unsigned()) }
                }),
                Values::Floats(values) => {
                    spread(batch, values, &mut floats, |&v| f64::from(v));
                }
                Values::Doubles(values) => spread(batch, values, &mut floats, |&v| v),
            }
            Ok(())
        })?;
    }
    Ok(match kind {
        // Bytes that are no text, such as geometries, are no column for us.
        Kind::Text if !is_text => None,
        Kind::Text => {
            Some(Column::Texts(texts.into_iter().map(Option::unwrap_or_default).collect::<Texts>()))
        }
        Kind::Integer { .. } => Some(Column::Integers { values: integers, type_name }),
        _ => Some(Column::Floats { values: floats, type_name }),
    })
}

/// Appends the values of a batch, with its nulls in their places.
fn spread<T, U>(
    batch: &Batch,
    values: &[T],
    out: &mut Vec<Option<U>>,
    mut of: impl FnMut(&T) -> U,
) {
    let mut values = values.iter();
    match batch.present {
        None => out.extend(values.map(|v| Some(of(v)))),
        Some(present) => {
            for &level in present {
                out.push(if level == 0 { None } else { values.next().map(&mut of) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> (tempfile::TempDir, Result<Table>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let table = Table::read(&path);
        (folder, table)
    }

    fn message<T: std::fmt::Debug>(folder: &tempfile::TempDir, result: Result<T>) -> String {
        let text = result.unwrap_err().to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        let (folder, table) = csv("\u{feff}geoid, target\n\n01, 5\n\"02\nx\",1\n03,\n04,NaN\n");
        let table = table.unwrap();
        assert_eq!(
            table.codes("geoid").unwrap().iter().collect::<Vec<_>>(),
            ["01", "02\nx", "03", "04"]
        );
        assert_eq!(
            message(&folder, table.numbers("target")),
            "t.csv:6: column target: expected a number, found ``"
        );
        assert_eq!(
            message(&folder, table.texts("moe")),
            "t.csv:1: expected a column `moe`, found geoid, target"
        );
        let (folder, table) = csv("a\n1\n\nNaN\n");
        assert_eq!(
            message(&folder, table.unwrap().numbers("a")),
            "t.csv:4: column a: expected a number, found `NaN`"
        );
        let (folder, table) = csv("a\r\n1\r\n\r\n\r\nx\r\n");
        assert_eq!(
            message(&folder, table.unwrap().numbers("a")),
            "t.csv:5: column a: expected a number, found `x`"
        );
    }

    #[test]
    fn broken_files_are_named() {
        let (folder, table) = csv("a,b\n1,2\n3\n");
        assert_eq!(message(&folder, table), "t.csv:3: expected 2 fields, found 1");
        let (folder, table) = csv("a,b\n\n1,2\n\n3\n");
        assert_eq!(message(&folder, table), "t.csv:5: expected 2 fields, found 1");
        let (folder, table) = csv("");
        assert_eq!(message(&folder, table), "t.csv: expected a header line, found an empty file");
        let missing = Table::read(&folder.path().join("none.csv"));
        assert!(message(&folder, missing).starts_with("none.csv: No such file"));
    }
}
