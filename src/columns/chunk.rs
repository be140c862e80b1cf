//! A column of a row group, decoded batch by batch.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;

use super::ParquetFile;
use super::entries::EntryPages;
use crate::{Error, Result};

/// Rows decoded at a time, at most.
const BATCH_ROWS: usize = 1 << 16;

/// The values of a batch that are not null.
pub(crate) enum Values<'a> {
    Texts(&'a [ByteArray]),
    /// Texts, as the numbers that were given to the entries of their dictionary.
    Entries(&'a [i32]),
    Ints32(&'a [i32]),
    Ints64(&'a [i64]),
    Floats(&'a [f32]),
    Doubles(&'a [f64]),
}

/// A run of rows of one column.
pub(crate) struct Batch<'a> {
    /// Row in the file of the first value or null.
    pub first_row: usize,
    /// Definition level per row, where rows may be null: 0 is null.
    pub present: Option<&'a [i16]>,
    pub values: Values<'a>,
}

impl Batch<'_> {
    /// Row in the file of the first null.
    pub fn first_null(&self) -> Option<usize> {
        Some(self.first_row + self.present?.iter().position(|&p| p == 0)?)
    }
}

/// A column of a row group that is being read.
pub(crate) struct Chunk<'a> {
    file: &'a ParquetFile,
    group: usize,
    column: usize,
    /// Row in the file of what comes next.
    row: usize,
    /// Row in the file at which the row group ends.
    end: usize,
    reader: Reader,
    present: Option<Vec<i16>>,
}

/// A decoder, and what it last decoded.
struct Typed<T: DataType>(ColumnReaderImpl<T>, Vec<T::T>);

impl<T: DataType> Typed<T> {
    fn read(
        &mut self,
        rows: usize,
        present: Option<&mut Vec<i16>>,
    ) -> std::result::Result<usize, ParquetError> {
        self.1.clear();
        Ok(self.0.read_records(rows, present, None, &mut self.1)?.0)
    }
}

enum Reader {
    Texts(Typed<ByteArrayType>),
    Entries(Typed<Int32Type>),
    Ints32(Typed<Int32Type>),
    Ints64(Typed<Int64Type>),
    Floats(Typed<FloatType>),
    Doubles(Typed<DoubleType>),
}

impl<'a> Chunk<'a> {
    /// The column of a row group as it is stored.
    ///
    /// # Panics
    /// If the column is of [`super::Kind::Other`].
    pub(super) fn new(file: &'a ParquetFile, group: usize, column: usize) -> Result<Self> {
        let row = file.group_starts[group];
        let reader = file.row_group(group).and_then(|rows| rows.get_column_reader(column));
        let reader = match reader.map_err(|e| file.bad(column, row, &e))? {
            ColumnReader::Int32ColumnReader(r) => Reader::Ints32(Typed(r, Vec::new())),
            ColumnReader::Int64ColumnReader(r) => Reader::Ints64(Typed(r, Vec::new())),
            ColumnReader::FloatColumnReader(r) => Reader::Floats(Typed(r, Vec::new())),
            ColumnReader::DoubleColumnReader(r) => Reader::Doubles(Typed(r, Vec::new())),
            ColumnReader::ByteArrayColumnReader(r) => Reader::Texts(Typed(r, Vec::new())),
            _ => panic!("column {column} stores {}", file.type_name(column)),
        };
        let nullable = file.descr(column).max_def_level() > 0;
        let end = file.group_starts[group + 1];
        Ok(Self { file, group, column, row, end, reader, present: nullable.then(Vec::new) })
    }

    /// The column of a row group; as far as it holds texts by references to a dictionary, the texts
    /// are those of its entries for which `number` stands. The rest comes as texts.
    ///
    /// # Panics
    /// If the column is of [`super::Kind::Other`].
    pub(super) fn by_entries(
        file: &'a ParquetFile,
        group: usize,
        column: usize,
        number: impl FnMut(&[u8]) -> i32,
    ) -> Result<Self> {
        let mut chunk = Self::new(file, group, column)?;
        if let Reader::Texts(_) = chunk.reader {
            let pages = file.row_group(group).and_then(|rows| rows.get_column_page_reader(column));
            let pages = pages.and_then(|pages| EntryPages::new(pages, number));
            // What cannot be read so is told where it is read as texts.
            if let Ok(Some(pages)) = pages {
                let numbers = pages.into_reader(&file.descr(column));
                chunk.reader = Reader::Entries(Typed(numbers, Vec::new()));
            }
        }
        Ok(chunk)
    }

    /// The next rows, as many as are easily had but not more than `rows`; `None` at the end.
    pub fn next(&mut self, rows: usize) -> Result<Option<Batch<'_>>> {
        let rows = rows.min(self.end - self.row).min(BATCH_ROWS);
        if rows == 0 {
            return Ok(None);
        }
        let first_row = self.row;
        let mut read = self.decode(rows)?;
        if read == 0 && matches!(self.reader, Reader::Entries(_)) {
            // The dictionary was full: the other pages hold texts.
            self.reader = self.texts_from_here()?;
            read = self.decode(rows)?;
        }
        if read == 0 {
            let problem = format!("expected {} rows, found {first_row}", self.end);
            return Err(self.file.error(first_row, self.column, problem));
        }
        self.row += read;
        let values = match &self.reader {
            Reader::Texts(Typed(_, values)) => Values::Texts(values),
            Reader::Entries(Typed(_, values)) => Values::Entries(values),
            Reader::Ints32(Typed(_, values)) => Values::Ints32(values),
            Reader::Ints64(Typed(_, values)) => Values::Ints64(values),
            Reader::Floats(Typed(_, values)) => Values::Floats(values),
            Reader::Doubles(Typed(_, values)) => Values::Doubles(values),
        };
        Ok(Some(Batch { first_row, present: self.present.as_deref(), values }))
    }

    /// Decodes up to so many rows, and tells how many; none where the pages of the reader end.
    fn decode(&mut self, rows: usize) -> Result<usize> {
        let mut present = self.present.as_mut();
        if let Some(present) = &mut present {
            present.clear();
        }
        let read = match &mut self.reader {
            Reader::Texts(typed) => typed.read(rows, present),
            Reader::Entries(typed) | Reader::Ints32(typed) => typed.read(rows, present),
            Reader::Ints64(typed) => typed.read(rows, present),
            Reader::Floats(typed) => typed.read(rows, present),
            Reader::Doubles(typed) => typed.read(rows, present),
        };
        read.map_err(|e| self.file.bad(self.column, self.row, &e))
    }

    /// A reader of the rest as texts.
    fn texts_from_here(&self) -> Result<Reader> {
        let Reader::Texts(mut typed) = Self::new(self.file, self.group, self.column)?.reader else {
            unreachable!("a column of texts");
        };
        let before = self.row - self.file.group_starts[self.group];
        // Whole pages are passed over; if they are not all there, nothing comes after them.
        let skipped = typed.0.skip_records(before);
        skipped.map_err(|e| self.file.bad(self.column, self.row, &e))?;
        Ok(Reader::Texts(typed))
    }
}

/// The message of a Parquet error without its prefix, on one line and without a final stop.
pub(super) fn text_of(error: &ParquetError) -> String {
    let text = error.to_string();
    let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
    text.trim_end_matches('.').replace('\n', " ")
}

impl ParquetFile {
    fn bad(&self, column: usize, row: usize, error: &ParquetError) -> Error {
        self.error(row, column, format!("expected readable pages, found: {}", text_of(error)))
    }
}
