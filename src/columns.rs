//! Columns of Parquet files, shared by the small tables and the matrices.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::basic::{ConvertedType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::{Error, Result, input};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1 << 16;

/// What a column stores, as far as this program reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer {
        signed: bool,
    },
    Float,
    Double,
    /// Days since January 1, 1970.
    Date,
    Other,
}

/// The values of a batch that are not null.
pub(crate) enum Values<'a> {
    Texts(&'a [ByteArray]),
    Ints32(&'a [i32]),
    Ints64(&'a [i64]),
    Floats(&'a [f32]),
    Doubles(&'a [f64]),
}

macro_rules! values_from {
    ($($variant:ident($number:ty)),*) => {
        $(impl<'a> From<&'a [$number]> for Values<'a> {
            fn from(values: &'a [$number]) -> Self {
                Self::$variant(values)
            }
        })*
    };
}

values_from!(Texts(ByteArray), Ints32(i32), Ints64(i64), Floats(f32), Doubles(f64));

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

/// An open Parquet file. Rows are counted from 0 over all row groups.
pub(crate) struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<Bytes>,
    group_starts: Vec<usize>,
}

impl ParquetFile {
    pub fn open(path: &Path) -> Result<Self> {
        let map = input::map(path)?;
        let reader = SerializedFileReader::new(Bytes::from_owner(map)).map_err(|e| {
            Error::data(
                path,
                "",
                format!("expected a complete Parquet file, found: {}", text_of(&e)),
            )
        })?;
        let mut group_starts = vec![0];
        for group in reader.metadata().row_groups() {
            group_starts.push(group_starts[group_starts.len() - 1] + group.num_rows() as usize);
        }
        Ok(Self { path: path.to_owned(), reader, group_starts })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// First row of each row group, and the number of rows.
    pub fn group_starts(&self) -> &[usize] {
        &self.group_starts
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.group_starts[self.group_starts.len() - 1]
    }

    /// Names of the top-level columns.
    pub fn names(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.root_schema().get_fields().iter().map(|f| f.name().to_owned()).collect()
    }

    /// Value of a key of the file's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let pairs = self.reader.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// Position of a column that is not nested.
    pub fn position(&self, name: &str) -> Result<usize> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let found =
            schema.columns().iter().position(|c| c.path().parts() == std::slice::from_ref(&name));
        found.ok_or_else(|| {
            let found = self.names().join(", ");
            Error::data(
                &self.path,
                "",
                format!("expected a flat column `{name}`, found columns {found}"),
            )
        })
    }

    /// What a column stores.
    pub fn kind(&self, column: usize) -> Kind {
        let column = self.reader.metadata().file_metadata().schema_descr().column(column);
        if column.max_rep_level() > 0 || column.max_def_level() > 1 {
            return Kind::Other;
        }
        match (column.physical_type(), column.converted_type()) {
            (
                Type::BYTE_ARRAY,
                ConvertedType::NONE
                | ConvertedType::UTF8
                | ConvertedType::ENUM
                | ConvertedType::JSON,
            ) => Kind::Text,
            (
                Type::INT32 | Type::INT64,
                ConvertedType::NONE
                | ConvertedType::INT_8
                | ConvertedType::INT_16
                | ConvertedType::INT_32
                | ConvertedType::INT_64,
            ) => Kind::Integer { signed: true },
            (
                Type::INT32 | Type::INT64,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Kind::Integer { signed: false },
            (Type::INT32, ConvertedType::DATE) => Kind::Date,
            (Type::FLOAT, _) => Kind::Float,
            (Type::DOUBLE, _) => Kind::Double,
            _ => Kind::Other,
        }
    }

    /// Name of what a column stores, as pandas and pyarrow write it.
    pub fn type_name(&self, column: usize) -> String {
        let descr = self.reader.metadata().file_metadata().schema_descr().column(column);
        let bits = if descr.physical_type() == Type::INT64 { 64 } else { 32 };
        match self.kind(column) {
            Kind::Text => "text".into(),
            Kind::Integer { signed: true } => format!("int{bits}"),
            Kind::Integer { signed: false } => format!("uint{bits}"),
            Kind::Float => "float32".into(),
            Kind::Double => "float64".into(),
            Kind::Date => "date".into(),
            Kind::Other if descr.max_rep_level() > 0 || descr.max_def_level() > 1 => {
                "nested values".into()
            }
            Kind::Other => match descr.converted_type() {
                ConvertedType::NONE => format!("{}", descr.physical_type()).to_lowercase(),
                other => format!("{other}").to_lowercase(),
            },
        }
    }

    /// Decodes one column of one row group, batch by batch.
    ///
    /// # Panics
    /// If the column is of [`Kind::Other`].
    pub fn read(
        &self,
        group: usize,
        column: usize,
        mut visit: impl FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let reader = self
            .reader
            .get_row_group(group)
            .and_then(|rows| rows.get_column_reader(column))
            .map_err(|e| self.bad(column, self.group_starts[group], &e))?;
        let at = (group, column);
        match reader {
            ColumnReader::Int32ColumnReader(r) => self.batches(at, r, &mut visit),
            ColumnReader::Int64ColumnReader(r) => self.batches(at, r, &mut visit),
            ColumnReader::FloatColumnReader(r) => self.batches(at, r, &mut visit),
            ColumnReader::DoubleColumnReader(r) => self.batches(at, r, &mut visit),
            ColumnReader::ByteArrayColumnReader(r) => self.batches(at, r, &mut visit),
            _ => panic!("column {column} stores {}", self.type_name(column)),
        }
    }

    fn batches<T: DataType>(
        &self,
        (group, column): (usize, usize),
        mut reader: ColumnReaderImpl<T>,
        visit: &mut impl FnMut(&Batch) -> Result<()>,
    ) -> Result<()>
    where
        for<'a> Values<'a>: From<&'a [T::T]>,
    {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let nullable = schema.column(column).max_def_level() > 0;
        let (mut values, mut present) = (Vec::new(), Vec::new());
        let (mut row, end) = (self.group_starts[group], self.group_starts[group + 1]);
        while row < end {
            values.clear();
            present.clear();
            let levels = nullable.then_some(&mut present);
            let (records, ..) = reader
                .read_records(BATCH_ROWS.min(end - row), levels, None, &mut values)
                .map_err(|e| self.bad(column, row, &e))?;
            if records == 0 {
                let problem = format!("expected {end} rows, found {row}");
                return Err(Error::data(&self.path, self.place(row, column), problem));
            }
            visit(&Batch {
                first_row: row,
                present: nullable.then_some(&present),
                values: values.as_slice().into(),
            })?;
            row += records;
        }
        Ok(())
    }

    /// A place for an error: `: row 12: column flow`.
    pub fn place(&self, row: usize, column: usize) -> String {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        format!(": row {row}: column {}", schema.column(column).path().string())
    }

    /// An error at a value.
    pub fn error(&self, row: usize, column: usize, problem: impl Into<String>) -> Error {
        Error::data(&self.path, self.place(row, column), problem)
    }

    fn bad(&self, column: usize, row: usize, error: &ParquetError) -> Error {
        self.error(row, column, format!("expected readable pages, found: {}", text_of(error)))
    }
}

/// The message of a Parquet error without its prefix, on one line and without a final stop.
fn text_of(error: &ParquetError) -> String {
    let text = error.to_string();
    let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
    text.trim_end_matches('.').replace('\n', " ")
}
