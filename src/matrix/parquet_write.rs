//! Writing long tables as Parquet.

use std::io::{self, BufWriter, Write};
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::{ColumnCloseResult, get_column_writer, get_typed_column_writer};
use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};

use super::parquet::UNITS_KEY;
use super::parquet_codes;
use super::row_chunks::RowChunks;
use super::{FlowRows, ValueType};
use crate::geography::{Geography, Geoid};

/// Entries of a row group, to which the rest of the last row is added.
const GROUP_ENTRIES: u64 = 1_000_000;

/// Entries given to an encoder at a time.
const BATCH_ENTRIES: usize = 1 << 13;

type Encoded<T> = Result<T, ParquetError>;

/// Writes every entry as a row, in row groups of about a million, zstd-compressed: codes of the
/// units as texts, or indices (`int32`) when they are only numbered. `metadata` becomes key-value
/// pairs of the file.
///
/// # Errors
/// When the file cannot be written.
pub fn write<W: Write + Send>(
    out: W,
    rows: &dyn FlowRows,
    units: &Geography,
    metadata: &[(String, String)],
) -> io::Result<()> {
    write_groups(out, rows, units, metadata).map_err(|error| match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    })
}

fn write_groups<W: Write + Send>(
    out: W,
    rows: &dyn FlowRows,
    units: &Geography,
    metadata: &[(String, String)],
) -> Encoded<()> {
    let numbered = units.is_numbered();
    let mut pairs: Vec<KeyValue> =
        metadata.iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect();
    if numbered {
        pairs.push(KeyValue::new(UNITS_KEY.to_owned(), units.len().to_string()));
    }
    let unit_type = if numbered { ("int32", "") } else { ("binary", " (STRING)") };
    let flow_type = match rows.value_type() {
        ValueType::F16 | ValueType::F32 => "float",
        ValueType::F64 => "double",
    };
    let schema = format!(
        "message flows {{ required {0} origin{1}; required {0} destination{1}; required \
         {flow_type} flow; }}",
        unit_type.0, unit_type.1
    );
    let properties = WriterProperties::builder()
        .set_created_by(concat!("flowrake version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(pairs))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        // Readers skip row groups by their origins; every group has all destinations.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from("origin"), EnabledStatistics::Chunk)
        // Harmonized flows hardly repeat.
        .set_column_dictionary_enabled(ColumnPath::from("flow"), false)
        .build();
    let schema = Arc::new(parse_message_type(&schema)?);
    // Column chunks arrive in small pieces.
    let out = BufWriter::with_capacity(1 << 20, out);
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    let encoder = Encoder {
        columns: writer.schema_descr().columns().to_vec(),
        properties: writer.properties().clone(),
        code_properties: parquet_codes::properties(),
        codes: (!numbered).then(|| units.geoids()),
        value_type: rows.value_type(),
        chunks: RowChunks::new(rows),
    };
    encoder.chunks.write(
        GROUP_ENTRIES,
        |rows, group| *group = Some(encoder.group(rows)),
        |group: &mut Option<Encoded<[EncodedColumn; 3]>>| {
            let group = group.take().expect("a row group was made")?;
            if group.iter().all(|column| column.entries.rows_written == 0) {
                return Ok(());
            }
            let mut out = writer.next_row_group()?;
            for column in group {
                out.append_column(&column.bytes, column.entries)?;
            }
            out.close().map(drop)
        },
    )?;
    writer.close()?;
    Ok(())
}

/// A column of a row group as it goes into the file.
struct EncodedColumn {
    bytes: Bytes,
    entries: ColumnCloseResult,
}

/// Makes row groups.
struct Encoder<'a> {
    columns: Vec<ColumnDescPtr>,
    properties: WriterPropertiesPtr,
    code_properties: WriterPropertiesPtr,
    /// Codes of the units, unless they are only numbered.
    codes: Option<&'a [Geoid]>,
    value_type: ValueType,
    chunks: RowChunks<'a>,
}

impl Encoder<'_> {
    /// The columns of a row group, encoded in parallel.
    fn group(&self, rows: Range<usize>) -> Encoded<[EncodedColumn; 3]> {
        let row_ptr = self.chunks.row_ptr();
        let origins = || {
            let len = |i: usize| (row_ptr[i + 1] - row_ptr[i]) as usize;
            let origins = rows.clone().flat_map(|i| iter::repeat_n(i as u32, len(i)));
            let range = self.codes.and_then(|codes| {
                let named = || rows.clone().filter(|&i| len(i) > 0).map(|i| &codes[i]);
                Some([named().min()?, named().max()?])
            });
            self.units(0, origins, range)
        };
        let destinations = || {
            let mut destinations = Vec::new();
            self.chunks.columns(rows.clone(), |j| j, &mut destinations);
            self.units(1, destinations.into_iter(), None)
        };
        let flows = || {
            let mut flows = Vec::new();
            self.chunks.flows(rows.clone(), |flow| flow, &mut flows);
            let flows = flows.into_iter();
            match self.value_type {
                ValueType::F16 | ValueType::F32 => {
                    self.column::<FloatType>(2, flows.map(|flow| flow as f32))
                }
                ValueType::F64 => self.column::<DoubleType>(2, flows),
            }
        };
        let ((origin, destination), flow) =
            rayon::join(|| rayon::join(origins, destinations), flows);
        Ok([origin?, destination?, flow?])
    }

    /// A column of units: their codes, with the range of these if it is to be noted, or, if they have
    /// none, their indices.
    fn units(
        &self,
        column: usize,
        units: impl Iterator<Item = u32>,
        range: Option<[&Geoid; 2]>,
    ) -> Encoded<EncodedColumn> {
        let Some(codes) = self.codes else {
            return self.column::<Int32Type>(column, units.map(u32::cast_signed));
        };
        let properties = &self.code_properties;
        let (bytes, entries) =
            parquet_codes::encode(&self.columns[column], properties, units, codes, range)?;
        Ok(EncodedColumn { bytes, entries })
    }

    fn column<T: DataType>(
        &self,
        column: usize,
        mut values: impl Iterator<Item = T::T>,
    ) -> Encoded<EncodedColumn> {
        let mut out = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut out));
        let writer =
            get_column_writer(self.columns[column].clone(), self.properties.clone(), pages);
        let mut writer = get_typed_column_writer::<T>(writer);
        let mut batch = Vec::with_capacity(BATCH_ENTRIES);
        loop {
            batch.clear();
            batch.extend(values.by_ref().take(BATCH_ENTRIES));
            if batch.is_empty() {
                break;
            }
            writer.write_batch(&batch, None, None)?;
        }
        let entries = writer.close()?;
        Ok(EncodedColumn { bytes: out.into_inner()?.into(), entries })
    }
}
