//! Writing `.npz`: named arrays, and matrices for `scipy.sparse.load_npz`.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

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
pub fn write_arrays(file: &mut File, arrays: &[(&str, Array)]) -> io::Result<()> {
    write_members(file, |npz| {
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

/// Writes a matrix as an uncompressed CSR file with sorted indices and no duplicates, row by row.
///
/// Indices are `int32` when all of them and the number of entries fit, `int64` otherwise, as scipy
/// chooses; values have the type the rows ask for. Rows are asked for twice: for their columns,
/// then for their flows.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// If a row is not as long as it said.
pub fn write(file: &mut File, rows: &dyn FlowRows) -> io::Result<()> {
    let n = rows.units();
    let nnz: u64 = (0..n).map(|i| rows.row_len(i) as u64).sum();
    if i32::try_from(nnz).is_ok() && i32::try_from(n).is_ok() {
        write_csr(file, rows, nnz, "<i4", |index| (index as i32).to_le_bytes())
    } else {
        write_csr(file, rows, nnz, "<i8", u64::to_le_bytes)
    }
}

fn write_csr<const INDEX_BYTES: usize>(
    file: &mut File,
    rows: &dyn FlowRows,
    nnz: u64,
    index_descr: &str,
    index: impl Fn(u64) -> [u8; INDEX_BYTES],
) -> io::Result<()> {
    let (n, nnz) = (rows.units(), nnz as usize);
    let (mut columns, mut flows) = (Vec::new(), Vec::new());
    write_members(file, |npz| {
        npz.member("format", "|S3", &[], 3)?;
        npz.zip.write_all(b"csr")?;
        npz.numbers("shape", "<i8", 2, [n, n].iter().map(|&v| (v as u64).to_le_bytes()))?;
        let mut end = 0;
        let ends = (0..n).map(|i| {
            end += rows.row_len(i) as u64;
            index(end)
        });
        npz.numbers("indptr", index_descr, n + 1, std::iter::once(index(0)).chain(ends))?;
        npz.member("indices", index_descr, &[nnz], nnz * INDEX_BYTES)?;
        for i in 0..n {
            rows.row(i, &mut columns, &mut flows);
            assert_eq!(columns.len(), rows.row_len(i), "entries of row {i}");
            npz.elements(columns.iter().map(|&j| index(u64::from(j))))?;
        }
        let value_type = rows.value_type();
        let (descr, bytes) = match value_type {
            ValueType::F16 | ValueType::F32 => ("<f4", 4),
            ValueType::F64 => ("<f8", 8),
        };
        npz.member("data", descr, &[nnz], nnz * bytes)?;
        for i in 0..n {
            rows.row(i, &mut columns, &mut flows);
            match value_type {
                ValueType::F16 | ValueType::F32 => {
                    npz.elements(flows.iter().map(|&v| (v as f32).to_le_bytes()))
                }
                ValueType::F64 => npz.elements(flows.iter().map(|v| v.to_le_bytes())),
            }?;
        }
        Ok(())
    })
}

struct Npz<'a> {
    zip: ZipWriter<FailsOnce<BufWriter<&'a mut File>>>,
    /// Bytes of the elements being written.
    buffer: Vec<u8>,
}

fn write_members(
    file: &mut File,
    write: impl FnOnce(&mut Npz) -> io::Result<()>,
) -> io::Result<()> {
    let buffered = BufWriter::with_capacity(1 << 20, file);
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

impl Npz<'_> {
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

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        // NumPy has no texts of length 0; it pads with zeros.
        let letters = text.chars().count().max(1);
        self.member(name, &format!("<U{letters}"), &[], letters * 4)?;
        let padding = usize::from(text.is_empty());
        let codes = text.chars().map(u32::from).chain(std::iter::repeat_n(0, padding));
        self.elements(codes.map(u32::to_le_bytes))
    }
}
