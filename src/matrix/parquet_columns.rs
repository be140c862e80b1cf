//! The columns of a long table in Parquet, checked as they are read.

use crate::Result;
use crate::columns::{Batch, Chunk, Kind, ParquetFile, Values};
use crate::geography::Geography;

use super::Value;

/// What the columns of origins and destinations of a file refer to.
pub(super) struct UnitColumns<'a> {
    pub file: &'a ParquetFile,
    /// Units that codes refer to.
    pub units: Option<&'a Geography>,
    /// Number of units, if known before reading.
    pub n: Option<usize>,
}

/// A column of codes or indices in a row group, read as unit indices.
pub(super) struct UnitColumn<'a> {
    of: &'a UnitColumns<'a>,
    column: usize,
    chunk: Chunk<'a>,
    /// Entries of the dictionary that are to be looked up where they are used, which will mostly be
    /// an error: entry `k` has the number `!k`, all others that of their unit.
    odd: Vec<Vec<u8>>,
}

impl UnitColumns<'_> {
    /// A column of a row group.
    pub fn open(&self, group: usize, column: usize) -> Result<UnitColumn<'_>> {
        let (mut last, mut odd) = (None, Vec::new());
        let chunk = self.file.chunk_by_entries(group, column, |text| {
            last = find(self.codes(), last, text);
            let number = last.and_then(|unit| i32::try_from(unit).ok());
            number.unwrap_or_else(|| {
                odd.push(text.to_owned());
                !i32::try_from(odd.len() - 1).expect("a page has less than 2 GiB")
            })
        })?;
        Ok(UnitColumn { of: self, column, chunk, odd })
    }

    fn codes(&self) -> &Geography {
        self.units.expect("a file of codes has units")
    }
}

/// The unit of a code, looked for first where it is likely: at the unit before it in the file, which
/// an origin usually shares, and next to that.
fn find(units: &Geography, before: Option<u32>, code: &[u8]) -> Option<u32> {
    let geoids = units.geoids();
    let mut likely = before.into_iter().flat_map(|unit| [unit, unit + 1]);
    let is = |unit: &u32| {
        geoids.get(*unit as usize).is_some_and(|geoid| geoid.as_str().as_bytes() == code)
    };
    likely.find(is).or_else(|| units.index_of(std::str::from_utf8(code).ok()?))
}

/// The unit of a code; an error is what was expected and found.
fn require(units: &Geography, code: &[u8]) -> std::result::Result<u32, String> {
    let code = std::str::from_utf8(code);
    let code = code.map_err(|_| "expected UTF-8 text, found other bytes".to_owned())?;
    units.require(code)
}

impl UnitColumn<'_> {
    /// Reads the next rows.
    ///
    /// # Panics
    /// If there are not as many rows in the row group.
    pub fn read(&mut self, mut out: &mut [u32]) -> Result<()> {
        let Self { of, column, chunk, odd } = self;
        let (file, column) = (of.file, *column);
        let signed = file.kind(column) != Kind::Integer { signed: false };
        let n = of.n.unwrap_or(u32::MAX as usize);
        let index = |row: usize, index: Option<u32>, found: i128| match index {
            Some(index) if (index as usize) < n => Ok(index),
            _ => {
                let problem = format!("expected 0 <= index < {n}, found {found}");
                Err(file.error(row, column, problem))
            }
        };
        while !out.is_empty() {
            let batch = chunk.next(out.len())?.expect("rows of the row group");
            no_nulls(file, &batch, column)?;
            let row = |k: usize| batch.first_row + k;
            let wrong = |k: usize, problem: String| file.error(row(k), column, problem);
            let len = match batch.values {
                Values::Entries(entries) => {
                    let odd_at = |entry: &i32| *entry < 0;
                    if entries.iter().any(odd_at) {
                        for (k, &entry) in entries.iter().enumerate() {
                            out[k] = if entry < 0 {
                                require(of.codes(), &odd[!entry as usize])
                                    .map_err(|problem| wrong(k, problem))?
                            } else {
                                entry.cast_unsigned()
                            };
                        }
                    } else {
                        out[..entries.len()].copy_from_slice(bytemuck::cast_slice(entries));
                    }
                    entries.len()
                }
                Values::Texts(texts) => {
                    for (k, text) in texts.iter().enumerate() {
                        let before = (k > 0).then(|| out[k - 1]);
                        out[k] = match find(of.codes(), before, text.data()) {
                            Some(unit) => unit,
                            None => require(of.codes(), text.data())
                                .map_err(|problem| wrong(k, problem))?,
                        };
                    }
                    texts.len()
                }
                Values::Ints32(values) => {
                    for (k, &v) in values.iter().enumerate() {
                        let (narrow, wide) = if signed {
                            (u32::try_from(v).ok(), i128::from(v))
                        } else {
                            (Some(v.cast_unsigned()), i128::from(v.cast_unsigned()))
                        };
                        out[k] = index(row(k), narrow, wide)?;
                    }
                    values.len()
                }
                Values::Ints64(values) => {
                    for (k, &v) in values.iter().enumerate() {
                        let wide =
                            if signed { i128::from(v) } else { i128::from(v.cast_unsigned()) };
                        out[k] = index(row(k), u32::try_from(wide).ok(), wide)?;
                    }
                    values.len()
                }
                Values::Floats(_) | Values::Doubles(_) => unreachable!("a column of units"),
            };
            out = &mut out[len..];
        }
        Ok(())
    }
}

/// A column of flows in a row group.
pub(super) struct FlowColumn<'a> {
    file: &'a ParquetFile,
    column: usize,
    chunk: Chunk<'a>,
}

impl<'a> FlowColumn<'a> {
    pub fn open(file: &'a ParquetFile, group: usize, column: usize) -> Result<Self> {
        Ok(Self { file, column, chunk: file.chunk(group, column)? })
    }

    /// Reads the next rows, in the number type of the column.
    ///
    /// # Panics
    /// If there are not as many rows in the row group.
    pub fn read<V: Value>(&mut self, mut out: &mut [V]) -> Result<()> {
        let Self { file, column, chunk } = self;
        while !out.is_empty() {
            let batch = chunk.next(out.len())?.expect("rows of the row group");
            no_nulls(file, &batch, *column)?;
            let flows: &[V] = match batch.values {
                Values::Floats(flows) => bytemuck::cast_slice(flows),
                Values::Doubles(flows) => bytemuck::cast_slice(flows),
                _ => unreachable!("a column of flows"),
            };
            if let Some(k) = flows.iter().position(|&flow| !flow.is_persons()) {
                let flow: f64 = flows[k].into();
                let problem = format!("expected persons >= 0, found {flow}");
                return Err(file.error(batch.first_row + k, *column, problem));
            }
            let (now, rest) = out.split_at_mut(flows.len());
            now.copy_from_slice(flows);
            out = rest;
        }
        Ok(())
    }
}

fn no_nulls(file: &ParquetFile, batch: &Batch, column: usize) -> Result<()> {
    match batch.first_null() {
        Some(row) => Err(file.error(row, column, "expected a value, found null")),
        None => Ok(()),
    }
}
