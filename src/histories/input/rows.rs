//! Rows of CSV and Parquet files, single or in folders, as texts.

use std::path::{Path, PathBuf};

use crate::columns::{Batch, Kind, ParquetFile, Values};
use crate::histories::date::Date;
use crate::table::{CsvRecord, CsvRecords, position_of};
use crate::texts::Texts;
use crate::{Error, Result, input};

/// A piece of the input that one thread reads: a CSV file or a row group of a Parquet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub path: PathBuf,
    group: Option<usize>,
}

/// A column asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name in the files.
    pub name: String,
    /// Whether it may be missing; its cells are empty then.
    pub optional: bool,
    /// Whether it may hold floating-point numbers, which no identifier should be.
    pub float: bool,
}

/// A row of a file: the cells of the columns asked for, in their order.
#[derive(Debug)]
pub struct Row<'a> {
    path: &'a Path,
    /// Line of a CSV file from 1, row of a Parquet file from 0.
    number: u64,
    wanted: &'a [Wanted],
    cells: Cells<'a>,
}

#[derive(Debug)]
enum Cells<'a> {
    Line { record: CsvRecord<'a>, at: &'a [Option<usize>] },
    Group { columns: &'a [Option<Texts>], row: usize },
}

impl Row<'_> {
    /// A cell without surrounding blanks; empty for a null or a missing column.
    pub fn cell(&self, column: usize) -> &str {
        match self.cells {
            Cells::Line { ref record, at } => at[column].map_or("", |at| &record[at]),
            Cells::Group { columns, row } => {
                columns[column].as_ref().map_or("", |texts| texts[row].trim())
            }
        }
    }

    /// Where a cell is: `people.csv:12: column last_seen`.
    pub fn place(&self, column: usize) -> String {
        let (path, name) = (self.path.display(), &self.wanted[column].name);
        match self.cells {
            Cells::Line { .. } => format!("{path}:{}: column {name}", self.number),
            Cells::Group { .. } => format!("{path}: row {}: column {name}", self.number),
        }
    }

    /// An error at a cell.
    pub fn error(&self, column: usize, problem: impl Into<String>) -> Error {
        let place = self.place(column);
        let place = place.strip_prefix(&self.path.display().to_string()).unwrap_or_default();
        Error::data(self.path, place, problem)
    }
}

/// The files that some names stand for: files as they are, of a folder all `.csv` and `.parquet`
/// files in it and in its folders, by name. Names that begin with `.` or `_` are passed over.
///
/// # Errors
/// If a folder cannot be read or has no such files, or a file is of another kind.
pub fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = found.len();
            add_folder(path, &mut found)?;
            if found.len() == before {
                let problem = "expected .csv or .parquet files in the folder, found none";
                return Err(Error::data(path, "", problem));
            }
        } else if is_table(path) {
            found.push(path.clone());
        } else {
            let problem = "expected a folder, or a file ending in .csv or .parquet";
            return Err(Error::data(path, "", problem));
        }
    }
    Ok(found)
}

fn add_folder(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|e| Error::io(folder, e)))
        .collect::<Result<Vec<_>>>()?;
    paths.sort_unstable();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            add_folder(&path, found)?;
        } else if is_table(&path) {
            found.push(path);
        } else {
            let problem = "expected only .csv and .parquet files in the folder";
            return Err(Error::data(path, "", problem));
        }
    }
    Ok(())
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet"))
}

fn is_table(path: &Path) -> bool {
    is_parquet(path) || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"))
}

/// The parts of some files, in order.
///
/// # Errors
/// If a Parquet file is not complete.
pub fn parts(files: &[PathBuf]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for path in files {
        let groups = if is_parquet(path) {
            let groups = ParquetFile::open(path)?.group_starts().len() - 1;
            (0..groups).map(Some).collect()
        } else {
            vec![None]
        };
        parts.extend(groups.into_iter().map(|group| Part { path: path.clone(), group }));
    }
    Ok(parts)
}

/// Names of the columns of a file.
///
/// # Errors
/// If it cannot be read.
pub fn names(path: &Path) -> Result<Vec<String>> {
    if is_parquet(path) {
        return Ok(ParquetFile::open(path)?.names());
    }
    Ok(CsvRecords::new(path, &input::map(path)?)?.names)
}

impl Part {
    /// Visits every row.
    ///
    /// # Errors
    /// If a column is missing or of a type that was not asked for, the file is broken,
    /// and the first error of `visit`.
    pub fn read(&self, wanted: &[Wanted], visit: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        match self.group {
            Some(group) => self.read_group(group, wanted, visit),
            None => self.read_csv(wanted, visit),
        }
    }

    fn read_csv(&self, wanted: &[Wanted], mut visit: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let path = &self.path;
        let text = input::map(path)?;
        let mut records = CsvRecords::new(path, &text)?;
        let at = positions(wanted, &records.names)
            .map_err(|problem| Error::data(path, ":1", problem))?;
        let mut read = input::Progress::new(&text);
        while let Some((number, record)) = records.next()? {
            read.reached(record.position());
            visit(&Row { path, number, wanted, cells: Cells::Line { record, at: &at } })?;
        }
        Ok(())
    }

    fn read_group(
        &self,
        group: usize,
        wanted: &[Wanted],
        mut visit: impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let path = &self.path;
        let file = ParquetFile::open(path)?;
        let at = positions(wanted, &file.names()).map_err(|e| Error::data(path, "", e))?;
        let columns = wanted
            .iter()
            .zip(at)
            .map(|(wanted, at)| at.map(|_| read_texts(&file, group, wanted)).transpose())
            .collect::<Result<Vec<_>>>()?;
        let rows = file.group_starts()[group]..file.group_starts()[group + 1];
        for (row, number) in rows.enumerate() {
            let cells = Cells::Group { columns: &columns, row };
            visit(&Row { path, number: number as u64, wanted, cells })?;
        }
        Ok(())
    }
}

/// Where the columns are; an error is what was expected and found.
fn positions(
    wanted: &[Wanted],
    names: &[String],
) -> std::result::Result<Vec<Option<usize>>, String> {
    let position = |wanted: &Wanted| match position_of(&wanted.name, names) {
        Err(_) if wanted.optional && !names.contains(&wanted.name) => Ok(None),
        found => found.map(Some),
    };
    wanted.iter().map(position).collect()
}

/// A column of a row group as texts: numbers in decimal digits, dates as `2015-03-20`, nulls and
/// NaN empty.
fn read_texts(file: &ParquetFile, group: usize, wanted: &Wanted) -> Result<Texts> {
    let name = &wanted.name;
    let column = file.position(name)?;
    let kind = file.kind(column);
    let is_float = wanted.float && matches!(kind, Kind::Float | Kind::Double);
    if !is_float && !matches!(kind, Kind::Text | Kind::Integer { .. } | Kind::Date) {
        let problem = format!("expected text, integers or dates, found {}", file.type_name(column));
        return Err(Error::data(file.path(), format!(": column {name}"), problem));
    }
    let signed = kind != Kind::Integer { signed: false };
    let mut texts = Texts::default();
    let mut digits = String::new();
    file.read(group, column, |batch| {
        let mut number = |texts: &mut Texts, number: i64, wide: u64| {
            use std::fmt::Write as _;
            digits.clear();
            match (kind, signed) {
                (Kind::Date, _) => {
                    let date = i32::try_from(number).ok().and_then(Date::from_unix_days);
                    date.map_or(Ok(()), |date| write!(digits, "{date}"))
                }
                (_, true) => write!(digits, "{number}"),
                (_, false) => write!(digits, "{wide}"),
            }
            .expect("a String can be written to");
            texts.push(&digits);
        };
        match batch.values {
            Values::Ints32(values) => each(batch, values, |value| match value {
                Some(&v) => number(&mut texts, v.into(), v.cast_unsigned().into()),
                None => texts.push(""),
            }),
            Values::Ints64(values) => each(batch, values, |value| match value {
                Some(&v) => number(&mut texts, v, v.cast_unsigned()),
                None => texts.push(""),
            }),
            Values::Texts(values) => {
                let mut bad = false;
                each(batch, values, |value| {
                    let text = std::str::from_utf8(value.map_or(b"", |v| v.data()));
                    bad |= text.is_err();
                    texts.push(text.unwrap_or_default());
                });
                if bad {
                    let problem = "expected UTF-8 text, found other bytes";
                    return Err(file.error(batch.first_row, column, problem));
                }
            }
            Values::Floats(values) => each(batch, values, |value| {
                texts.push(&value.filter(|v| !v.is_nan()).map_or(String::new(), f32::to_string));
            }),
            Values::Doubles(values) => each(batch, values, |value| {
                texts.push(&value.filter(|v| !v.is_nan()).map_or(String::new(), f64::to_string));
            }),
            Values::Entries(_) => unreachable!("not asked for"),
        }
        Ok(())
    })?;
    Ok(texts)
}

/// Visits the values of a batch with its nulls.
fn each<'v, T>(batch: &Batch, values: &'v [T], mut visit: impl FnMut(Option<&'v T>)) {
    let mut values = values.iter();
    match batch.present {
        None => values.for_each(|value| visit(Some(value))),
        Some(present) => {
            for &level in present {
                visit(if level == 0 { None } else { values.next() });
            }
        }
    }
}
