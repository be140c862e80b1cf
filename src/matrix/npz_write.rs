//! Writing `.npz`: named arrays, and matrices for `scipy.sparse.load_npz`.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::row_chunks::{CHUNK_ENTRIES, RowChunks};
use super::{FlowRows, ValueType, npy};

/// Members at least this long get 64-bit sizes; the archive's own headers must fit below 4 GiB.
const ZIP64_BYTES: u64 = 0xFFFF_0000;

/// An array of an `.npz` file.
#[derive(Clone, Copy, Debug)]
pub enum Array<'a> {
    /// One-dimensional `float64`.
    F64(&'a [f64]),
    /// One-dimensional `uint32`.
    U32(&'a [u32]),
    /// One-dimensional `int64`.
    I64(&'a [i64]),
    /// One-dimensional `uint64`.
    U64(&'a [u64]),
    /// A text, as a scalar of NumPy's `str_`.
    Text(&'a str),
}

/// Writes named arrays for `numpy.load`, uncompressed. The same content is the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_arrays<W: Write + Seek>(out: W, arrays: &[(&str, Array)]) -> io::Result<()> {
    write_members(out, |npz| {
        for &(name, array) in arrays {
            match array {
                Array::F64(a) => {
                    npz.numbers(name, "<f8", a.len(), a.iter().map(|v| v.to_le_bytes()))
                }
                Array::U32(a) => {
                    npz.numbers(name, "<u4", a.len(), a.iter().map(|v| v.to_le_bytes()))
                }
                Array::I64(a) => {
                    npz.numbers(name, "<i8", a.len(), a.iter().map(|v| v.to_le_bytes()))
                }
                Array::U64(a) => {
                    npz.numbers(name, "<u8", a.len(), a.iter().map(|v| v.to_le_bytes()))
                }
                Array::Text(text) => npz.text(name, text),
            }?;
        }
        Ok(())
    })
}

/// Writes a matrix as an uncompressed CSR file with sorted indices and no duplicates.
///
/// Indices are `int32` when all of them and the number of entries fit, `int64` otherwise, as scipy
/// chooses; values have the type the rows ask for. All columns are asked for, then all flows.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// If a row is not as long as it said.
pub fn write<W: Write + Seek + Send>(out: W, rows: &dyn FlowRows) -> io::Result<()> {
    let chunks = RowChunks::new(rows);
    if i32::try_from(chunks.nnz()).is_ok() && i32::try_from(rows.units()).is_ok() {
        write_csr(out, rows, &chunks, "<i4", |index| (index as i32).to_le_bytes())
    } else {
        write_csr(out, rows, &chunks, "<i8", u64::to_le_bytes)
    }
}

fn write_csr<W: Write + Seek + Send, const INDEX_BYTES: usize>(
    out: W,
    rows: &dyn FlowRows,
    chunks: &RowChunks,
    index_descr: &str,
    index: impl Fn(u64) -> [u8; INDEX_BYTES] + Sync,
) -> io::Result<()> {
    let (n, nnz) = (rows.units(), chunks.nnz() as usize);
    write_members(out, |npz| {
        npz.member("format", "|S3", &[], 3)?;
        npz.zip.write_all(b"csr")?;
        npz.numbers("shape", "<i8", 2, [n, n].iter().map(|&v| (v as u64).to_le_bytes()))?;
        let row_ptr = chunks.row_ptr().iter().map(|&end| index(end));
        npz.numbers("indptr", index_descr, n + 1, row_ptr)?;
        npz.member("indices", index_descr, &[nnz], nnz * INDEX_BYTES)?;
        npz.chunks(chunks, |rows, out| chunks.columns(rows, |j| index(u64::from(j)), out))?;
        match rows.value_type() {
            ValueType::F16 | ValueType::F32 => {
                npz.member("data", "<f4", &[nnz], nnz * 4)?;
                npz.chunks(chunks, |rows, out| {
                    chunks.flows(rows, |flow| (flow as f32).to_le_bytes(), out);
                })
            }
            ValueType::F64 => {
                npz.member("data", "<f8", &[nnz], nnz * 8)?;
                npz.chunks(chunks, |rows, out| chunks.flows(rows, f64::to_le_bytes, out))
            }
        }
    })
}

struct Npz<W: Write + Seek> {
    zip: ZipWriter<FailsOnce<BufWriter<W>>>,
    /// Bytes of the elements being written.
    buffer: Vec<u8>,
}

fn write_members<W: Write + Seek>(
    out: W,
    write: impl FnOnce(&mut Npz<W>) -> io::Result<()>,
) -> io::Result<()> {
    // Chunks are larger and pass it by.
    let buffered = BufWriter::with_capacity(1 << 16, out);
    let zip = ZipWriter::new(FailsOnce { inner: buffered, position: 0, failed: false });
    let mut npz = Npz { zip, buffer: Vec::new() };
    write(&mut npz)?;
    npz.zip
        .finish()
        .map_err(io_error)?
        .inner
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

/// What the operating system said, without what the zip writer adds.
fn io_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => other.into(),
    }
}

/// Reports the first error of a writer and takes everything after it for granted.
///
/// A zip writer that is dropped after an error tries to complete its archive and prints to stderr
/// when it cannot; this lets it believe that it could. The file is thrown away then.
struct FailsOnce<W> {
    inner: W,
    position: u64,
    failed: bool,
}

impl<W: Write> Write for FailsOnce<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = if self.failed { Ok(bytes.len()) } else { self.inner.write(bytes) };
        self.failed |= written.is_err();
        self.position += *written.as_ref().unwrap_or(&0) as u64;
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = if self.failed { Ok(()) } else { self.inner.flush() };
        self.failed |= flushed.is_err();
        flushed
    }
}

impl<W: Seek> Seek for FailsOnce<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            _ if !self.failed => self.inner.seek(to),
            SeekFrom::Start(position) => Ok(position),
            SeekFrom::Current(by) | SeekFrom::End(by) => {
                Ok(self.position.saturating_add_signed(by))
            }
        };
        self.failed |= position.is_err();
        self.position = *position.as_ref().unwrap_or(&self.position);
        position
    }
}

impl<W: Write + Seek> Npz<W> {
    /// Starts a member of `size_bytes` of elements.
    fn member(
        &mut self,
        name: &str,
        descr: &str,
        shape: &[usize],
        size_bytes: usize,
    ) -> io::Result<()> {
        let header = npy::header(descr, shape);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(64) // so that a map of the file has aligned elements
            .large_file((header.len() + size_bytes) as u64 >= ZIP64_BYTES);
        self.zip.start_file(format!("{name}.npy"), options).map_err(io_error)?;
        self.zip.write_all(&header)
    }

    fn numbers<const BYTES: usize>(
        &mut self,
        name: &str,
        descr: &str,
        len: usize,
        numbers: impl Iterator<Item = [u8; BYTES]>,
    ) -> io::Result<()> {
        self.member(name, descr, &[len], len * BYTES)?;
        self.elements(numbers)
    }

    fn elements<const BYTES: usize>(
        &mut self,
        elements: impl Iterator<Item = [u8; BYTES]>,
    ) -> io::Result<()> {
        self.buffer.clear();
        for element in elements {
            self.buffer.extend_from_slice(&element);
            if self.buffer.len() >= 1 << 16 {
                self.zip.write_all(&self.buffer)?;
                self.buffer.clear();
            }
        }
        self.zip.write_all(&self.buffer)
    }

    /// Elements that are made by chunk of rows.
    fn chunks<const BYTES: usize>(
        &mut self,
        chunks: &RowChunks,
        elements: impl Fn(Range<usize>, &mut Vec<[u8; BYTES]>) + Sync,
    ) -> io::Result<()>
    where
        W: Send,
    {
        chunks
            .write(CHUNK_ENTRIES, elements, |elements| self.zip.write_all(elements.as_flattened()))
    }

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        // NumPy has no texts of length 0; it pads with zeros.
        let letters = text.chars().count().max(1);
        self.member(name, &format!("<U{letters}"), &[], letters * 4)?;
        let padding = usize::from(text.is_empty());
        let codes = text.chars().map(u32::from).chain(std::iter::repeat_n(0, padding));
        self.elements(codes.map(u32::to_le_bytes))
    }
}
