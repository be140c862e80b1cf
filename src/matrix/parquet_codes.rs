//! A column of codes on its way into Parquet: units are encoded, of which only the dictionary is
//! then written as texts. The pages that refer to it are the same, without a text per value.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type as PhysicalType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriterImpl};
use parquet::data_type::Int32Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor, Type};

use crate::geography::Geoid;

/// Units given to the encoder at a time.
const BATCH_UNITS: usize = 1 << 13;

/// What columns of codes are compressed with.
const LEVEL: i32 = 1;

/// Properties of the encoder of units: pages are compressed once they hold texts.
pub(super) fn properties() -> WriterPropertiesPtr {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_statistics_enabled(EnabledStatistics::None)
        // A unit without a place in the dictionary could not be replaced by its code.
        .set_dictionary_page_size_limit(usize::MAX);
    Arc::new(properties.build())
}

/// Encodes units of a row group as a column of their codes, which may not be null; the smallest and
/// largest of its codes, if known, become its statistics.
pub(super) fn encode(
    column: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    mut units: impl Iterator<Item = u32>,
    codes: &[Geoid],
    range: Option<[&Geoid; 2]>,
) -> Result<(Bytes, ColumnCloseResult)> {
    let mut out = TrackedWrite::new(Vec::new());
    let pages = CodePages {
        out: SerializedPageWriter::new(&mut out),
        codes,
        compressor: zstd::bulk::Compressor::new(LEVEL)?,
    };
    let unit = Type::primitive_type_builder(column.name(), PhysicalType::INT32)
        .with_repetition(column.self_type().get_basic_info().repetition())
        .build()?;
    let unit = ColumnDescriptor::new(Arc::new(unit), 0, 0, column.path().clone());
    let pages = Box::new(pages);
    let mut writer =
        ColumnWriterImpl::<Int32Type>::new(Arc::new(unit), Arc::clone(properties), pages);
    let mut batch = Vec::with_capacity(BATCH_UNITS);
    loop {
        batch.clear();
        batch.extend(units.by_ref().take(BATCH_UNITS).map(u32::cast_signed));
        if batch.is_empty() {
            break;
        }
        writer.write_batch(&batch, None, None)?;
    }
    let mut entries = writer.close()?;
    entries.metadata = of_codes(&entries.metadata, column, range)?;
    Ok((out.into_inner()?.into(), entries))
}

/// What is said of a column of units, of that of their codes.
fn of_codes(
    units: &ColumnChunkMetaData,
    column: &ColumnDescPtr,
    range: Option<[&Geoid; 2]>,
) -> Result<ColumnChunkMetaData> {
    let pages: Vec<PageEncodingStats> = units.page_encoding_stats().cloned().unwrap_or_default();
    let mut codes = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_encodings_mask(*units.encodings_mask())
        .set_page_encoding_stats(pages)
        .set_total_compressed_size(units.compressed_size())
        .set_total_uncompressed_size(units.uncompressed_size())
        .set_num_values(units.num_values())
        .set_data_page_offset(units.data_page_offset())
        .set_dictionary_page_offset(units.dictionary_page_offset());
    if let Some([min, max]) = range.map(|range| range.map(|code| code.as_str().into())) {
        codes = codes.set_statistics(Statistics::byte_array(
            Some(min),
            Some(max),
            None,
            Some(0),
            false,
        ));
    }
    codes.build()
}

/// Writes pages of units as those of their codes.
struct CodePages<'a, W: Write + Send> {
    out: SerializedPageWriter<'a, W>,
    codes: &'a [Geoid],
    compressor: zstd::bulk::Compressor<'static>,
}

impl<W: Write + Send> PageWriter for CodePages<'_, W> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let mut page = page.compressed_page().clone();
        let plain_bytes = match &mut page {
            Page::DictionaryPage { buf, .. } => {
                let texts = texts(buf, self.codes);
                *buf = self.compressor.compress(&texts)?.into();
                texts.len()
            }
            Page::DataPage {
                buf,
                encoding: Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY,
                ..
            } => {
                let plain_bytes = buf.len();
                *buf = self.compressor.compress(buf)?.into();
                plain_bytes
            }
            _ => {
                let problem = "expected pages of a dictionary, found another";
                return Err(ParquetError::General(problem.to_owned()));
            }
        };
        self.out.write_page(CompressedPage::new(page, plain_bytes))
    }

    fn close(&mut self) -> Result<()> {
        self.out.close()
    }
}

/// The texts of a dictionary of units, plainly encoded as those are.
fn texts(units: &[u8], codes: &[Geoid]) -> Vec<u8> {
    let (units, rest) = units.as_chunks();
    assert!(rest.is_empty(), "{} bytes after the last unit", rest.len());
    let mut texts = Vec::new();
    for unit in units {
        let code = codes[u32::from_le_bytes(*unit) as usize].as_str();
        texts.extend((code.len() as u32).to_le_bytes());
        texts.extend(code.as_bytes());
    }
    texts
}
