//! Columns of Parquet files, shared by the small tables and the matrices.

use std::path::{Path, PathBuf};

use parquet::basic::{ConvertedType, Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescPtr;

mod chunk;
mod entries;
mod source;

use chunk::text_of;
pub(crate) use chunk::{Batch, Chunk, Values};
use source::Source;

use crate::{Error, Result};

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

/// An open Parquet file. Rows are counted from 0 over all row groups.
pub(crate) struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<Source>,
    group_starts: Vec<usize>,
}

impl ParquetFile {
    pub fn open(path: &Path) -> Result<Self> {
        let reader = SerializedFileReader::new(Source::open(path)?).map_err(|e| {
            let problem = format!("expected a complete Parquet file, found: {}", text_of(&e));
            Error::data(path, "", problem)
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
        let column = self.descr(column);
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
        let descr = self.descr(column);
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
        let mut chunk = self.chunk(group, column)?;
        while let Some(batch) = chunk.next(usize::MAX)? {
            visit(&batch)?;
        }
        Ok(())
    }

    /// One column of one row group, to be decoded.
    ///
    /// # Panics
    /// If the column is of [`Kind::Other`].
    pub fn chunk(&self, group: usize, column: usize) -> Result<Chunk<'_>> {
        Chunk::new(self, group, column)
    }

    /// One column of one row group, to be decoded; texts come as [`Values::Entries`] as far as they
    /// are stored by a dictionary, as the numbers that `number` gives to its entries, here and now.
    ///
    /// # Panics
    /// If the column is of [`Kind::Other`].
    pub fn chunk_by_entries(
        &self,
        group: usize,
        column: usize,
        number: impl FnMut(&[u8]) -> i32,
    ) -> Result<Chunk<'_>> {
        Chunk::by_entries(self, group, column, number)
    }

    fn row_group(
        &self,
        group: usize,
    ) -> std::result::Result<Box<dyn RowGroupReader + '_>, ParquetError> {
        self.reader.get_row_group(group)
    }

    fn descr(&self, column: usize) -> ColumnDescPtr {
        self.reader.metadata().file_metadata().schema_descr().column(column)
    }

    /// A place for an error: `: row 12: column flow`.
    pub fn place(&self, row: usize, column: usize) -> String {
        format!(": row {row}: column {}", self.descr(column).path().string())
    }

    /// An error at a value.
    pub fn error(&self, row: usize, column: usize, problem: impl Into<String>) -> Error {
        Error::data(&self.path, self.place(row, column), problem)
    }
}
