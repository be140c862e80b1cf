//! Long tables as Parquet: `origin`, `destination`, `flow`, one row per pair.
//!
//! Origins and destinations are either texts, the codes of units, or integers, their rows in the
//! units table. Written files hold texts when the units have codes.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::iter;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::{ColumnCloseResult, get_column_writer, get_typed_column_writer};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use rayon::prelude::*;

use super::row_chunks::RowChunks;
use super::triplets::Triplets;
use super::{AnyFlowMatrix, FlowMatrix, FlowRows, Value, ValueType};
use crate::columns::{Batch, Kind, ParquetFile, Values};
use crate::geography::Geography;
use crate::{Error, Result};

/// Key of the file's metadata that holds the number of units of a file of indices.
const UNITS_KEY: &str = "flowrake.units";

/// Entries of a row group, to which the rest of the last row is added.
const GROUP_ENTRIES: u64 = 1_000_000;

/// Entries given to an encoder at a time.
const BATCH_ENTRIES: usize = 1 << 13;

/// Room for the codes of all block groups in a dictionary.
const DICTIONARY_BYTES: usize = 8 << 20;

/// Reads a matrix of persons in the number type of its `flow`. Rows may be in any order, pairs
/// given twice are summed, other columns are ignored.
///
/// Without a units table, codes stand for the units the file names, sorted; indices for as many
/// units as the file's metadata says, or up to the largest index.
///
/// # Errors
/// If the file is missing or broken, a column is missing or of another type, a value is null, a
/// code is not in the units table, an index is out of range, or a flow is negative or not finite.
/// The message names row (from 0) and column.
pub fn read(path: &Path, units: Option<&Geography>) -> Result<(AnyFlowMatrix, Geography)> {
    let file = ParquetFile::open(path)?;
    let wrong = |column: usize, name: &str, wanted: &str| {
        let problem = format!("expected {wanted}, found {}", file.type_name(column));
        Error::data(path, format!(": column {name}"), problem)
    };
    let (origin, destination, flow) =
        (file.position("origin")?, file.position("destination")?, file.position("flow")?);
    let places = [("origin", origin), ("destination", destination)];
    let has_codes = file.kind(origin) == Kind::Text;
    for (name, column) in places {
        match file.kind(column) {
            Kind::Text if has_codes => (),
            Kind::Integer { .. } if !has_codes => (),
            Kind::Text => return Err(wrong(column, name, "indices like those of column origin")),
            Kind::Integer { .. } => {
                return Err(wrong(column, name, "codes like those of column origin"));
            }
            _ => return Err(wrong(column, name, "text codes or integer indices")),
        }
    }
    let found;
    let units = match units {
        None if has_codes => {
            found = named_units(path, &file, [origin, destination])?;
            Some(&found)
        }
        units => units,
    };
    let declared = if has_codes { None } else { declared_units(path, &file)? };
    if let (Some(units), Some(n)) = (units, declared)
        && units.len() != n
    {
        let problem = format!("expected {} as in the units table, found {n}", units.len());
        return Err(Error::data(path, format!(": metadata {UNITS_KEY}"), problem));
    }
    let n = units.map(Geography::len).or(declared);
    let columns = Columns { file: &file, origin, destination, flow, units, n };
    let (matrix, n) = match file.kind(flow) {
        Kind::Float => columns.matrix().map(|(m, n)| (AnyFlowMatrix::F32(m), n)),
        Kind::Double => columns.matrix().map(|(m, n)| (AnyFlowMatrix::F64(m), n)),
        _ => Err(wrong(flow, "flow", "float32 or float64")),
    }?;
    Ok((matrix, units.map_or_else(|| Geography::numbered(n), Clone::clone)))
}

/// The units that a file of codes names.
fn named_units(path: &Path, file: &ParquetFile, columns: [usize; 2]) -> Result<Geography> {
    let groups = 0..file.group_starts().len() - 1;
    let sets: Vec<Result<BTreeSet<String>>> = groups
        .into_par_iter()
        .map(|group| {
            let mut codes = BTreeSet::new();
            for column in columns {
                file.read(group, column, |batch| {
                    let Values::Texts(texts) = batch.values else { unreachable!("a text column") };
                    for (k, text) in texts.iter().enumerate() {
                        // Text that is not UTF-8 is reported when the entries are read.
                        let Ok(code) = std::str::from_utf8(text.data()) else { continue };
                        let repeats = k > 0 && texts[k - 1].data() == text.data();
                        if !repeats && !codes.contains(code) {
                            codes.insert(code.to_owned());
                        }
                    }
                    Ok(())
                })?;
            }
            Ok(codes)
        })
        .collect();
    let mut codes = BTreeSet::new();
    for set in sets {
        codes.append(&mut set?);
    }
    Geography::from_codes(codes).map_err(|problem| Error::data(path, "", problem))
}

/// The number of units that a file of indices was written with.
fn declared_units(path: &Path, file: &ParquetFile) -> Result<Option<usize>> {
    let Some(text) = file.metadata(UNITS_KEY) else { return Ok(None) };
    let n: u32 = text.parse().map_err(|_| {
        let problem = format!("expected a number of units, found `{text}`");
        Error::data(path, format!(": metadata {UNITS_KEY}"), problem)
    })?;
    Ok(Some(n as usize))
}

/// The three columns of a long table, their types checked.
struct Columns<'a> {
    file: &'a ParquetFile,
    origin: usize,
    destination: usize,
    flow: usize,
    /// Units that codes refer to.
    units: Option<&'a Geography>,
    /// Number of units, if known before reading.
    n: Option<usize>,
}

impl Columns<'_> {
    /// The matrix and its number of units. Row groups are read in parallel, each into its place.
    fn matrix<V: Value>(&self) -> Result<(FlowMatrix<V>, usize)> {
        let rows = self.file.rows();
        let (mut origins, mut destinations) = (vec![0_u32; rows], vec![0_u32; rows]);
        let mut flows = vec![V::zeroed(); rows];
        let starts = self.file.group_starts();
        let mut tasks = Vec::new();
        let (mut i, mut j, mut v) = (&mut origins[..], &mut destinations[..], &mut flows[..]);
        for (group, range) in starts.windows(2).enumerate() {
            let len = range[1] - range[0];
            let (parts, rest) = (i.split_at_mut(len), (j.split_at_mut(len), v.split_at_mut(len)));
            tasks.push((group, parts.0, rest.0.0, rest.1.0));
            (i, j, v) = (parts.1, rest.0.1, rest.1.1);
        }
        let results: Vec<Result<()>> = tasks
            .into_par_iter()
            .map(|(group, origins, destinations, flows)| {
                let (a, (b, c)) = rayon::join(
                    || self.read_units(group, self.origin, origins),
                    || {
                        rayon::join(
                            || self.read_units(group, self.destination, destinations),
                            || self.read_flows(group, flows),
                        )
                    },
                );
                a.and(b).and(c)
            })
            .collect();
        // In the order of the file, so that the error named does not depend on threads.
        results.into_iter().collect::<Result<()>>()?;
        let entries = Triplets::new(origins, destinations, flows);
        let n = self.n.unwrap_or_else(|| entries.units());
        let matrix = entries.into_flow_matrix(n);
        Ok((matrix.map_err(|problem| Error::data(self.file.path(), "", problem))?, n))
    }

    /// Reads codes or indices as unit indices.
    fn read_units(&self, group: usize, column: usize, out: &mut [u32]) -> Result<()> {
        let start = self.file.group_starts()[group];
        let signed = self.file.kind(column) != Kind::Integer { signed: false };
        let n = self.n.unwrap_or(u32::MAX as usize);
        let index = |row: usize, index: Option<u32>, found: i128| match index {
            Some(index) if (index as usize) < n => Ok(index),
            _ => {
                let problem = format!("expected 0 <= index < {n}, found {found}");
                Err(self.file.error(row, column, problem))
            }
        };
        self.file.read(group, column, |batch| {
            self.no_nulls(batch, column)?;
            let out = &mut out[batch.first_row - start..];
            let row = |k: usize| batch.first_row + k;
            match batch.values {
                Values::Texts(texts) => {
                    let units = self.units.expect("a file of codes has units");
                    for (k, text) in texts.iter().enumerate() {
                        out[k] = if k > 0 && texts[k - 1].data() == text.data() {
                            out[k - 1] // an origin is usually that of the row before
                        } else {
                            std::str::from_utf8(text.data())
                                .map_err(|_| "expected UTF-8 text, found other bytes".to_owned())
                                .and_then(|code| units.require(code))
                                .map_err(|problem| self.file.error(row(k), column, problem))?
                        };
                    }
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
                }
                Values::Ints64(values) => {
                    for (k, &v) in values.iter().enumerate() {
                        let wide =
                            if signed { i128::from(v) } else { i128::from(v.cast_unsigned()) };
                        out[k] = index(row(k), u32::try_from(wide).ok(), wide)?;
                    }
                }
                Values::Floats(_) | Values::Doubles(_) => unreachable!("a column of units"),
            }
            Ok(())
        })
    }

    fn read_flows<V: Value>(&self, group: usize, out: &mut [V]) -> Result<()> {
        let start = self.file.group_starts()[group];
        self.file.read(group, self.flow, |batch| {
            self.no_nulls(batch, self.flow)?;
            let flows: &[V] = match batch.values {
                Values::Floats(flows) => bytemuck::cast_slice(flows),
                Values::Doubles(flows) => bytemuck::cast_slice(flows),
                _ => unreachable!("a column of flows"),
            };
            if let Some(k) = flows.iter().position(|&flow| !flow.is_persons()) {
                let flow: f64 = flows[k].into();
                let problem = format!("expected persons >= 0, found {flow}");
                return Err(self.file.error(batch.first_row + k, self.flow, problem));
            }
            out[batch.first_row - start..][..flows.len()].copy_from_slice(flows);
            Ok(())
        })
    }

    fn no_nulls(&self, batch: &Batch, column: usize) -> Result<()> {
        match batch.first_null() {
            Some(row) => Err(self.file.error(row, column, "expected a value, found null")),
            None => Ok(()),
        }
    }
}

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
) -> std::result::Result<(), ParquetError> {
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
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Harmonized flows hardly repeat.
        .set_column_dictionary_enabled(ColumnPath::from("flow"), false)
        .build();
    let schema = Arc::new(parse_message_type(&schema)?);
    // Column chunks arrive in small pieces.
    let out = BufWriter::with_capacity(1 << 20, out);
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    let codes: Vec<ByteArray> = if numbered {
        Vec::new()
    } else {
        units.geoids().iter().map(|geoid| geoid.as_str().into()).collect()
    };
    let encoder = Encoder {
        columns: writer.schema_descr().columns().to_vec(),
        properties: writer.properties().clone(),
        codes,
        value_type: rows.value_type(),
        chunks: RowChunks::new(rows),
    };
    encoder.chunks.write(
        GROUP_ENTRIES,
        |rows| encoder.group(rows),
        |group| {
            let group = group?;
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
    /// Codes of the units; none if they are only numbered.
    codes: Vec<ByteArray>,
    value_type: ValueType,
    chunks: RowChunks<'a>,
}

type Encoded<T> = std::result::Result<T, ParquetError>;

impl Encoder<'_> {
    /// The columns of a row group, encoded in parallel.
    fn group(&self, rows: Range<usize>) -> Encoded<[EncodedColumn; 3]> {
        let row_ptr = self.chunks.row_ptr();
        let ((origin, destination), flow) = rayon::join(
            || {
                rayon::join(
                    || {
                        let len = |i: usize| (row_ptr[i + 1] - row_ptr[i]) as usize;
                        self.units(0, rows.clone().flat_map(|i| iter::repeat_n(i as u32, len(i))))
                    },
                    || self.units(1, self.chunks.columns(rows.clone()).into_iter()),
                )
            },
            || {
                let flows = self.chunks.flows(rows.clone()).into_iter();
                match self.value_type {
                    ValueType::F16 | ValueType::F32 => {
                        self.column::<FloatType>(2, flows.map(|flow| flow as f32))
                    }
                    ValueType::F64 => self.column::<DoubleType>(2, flows),
                }
            },
        );
        Ok([origin?, destination?, flow?])
    }

    /// A column of units: their codes or, if they have none, their indices.
    fn units(&self, column: usize, units: impl Iterator<Item = u32>) -> Encoded<EncodedColumn> {
        if self.codes.is_empty() {
            self.column::<Int32Type>(column, units.map(u32::cast_signed))
        } else {
            let codes = units.map(|unit| self.codes[unit as usize].clone());
            self.column::<ByteArrayType>(column, codes)
        }
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
