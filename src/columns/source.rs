//! The bytes of a Parquet file, read as they are wanted: of a mapped file, all that was ever read
//! would count as memory taken.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::{Error, input, scratch};

/// Bytes of a header of a page, usually.
const HEADER_BYTES: usize = 128;

/// An open file, of which many threads may read at once.
pub(super) struct Source {
    file: Arc<File>,
    size_bytes: u64,
}

impl Source {
    pub fn open(path: &Path) -> crate::Result<Self> {
        let file = input::open(path)?;
        let size_bytes = file.metadata().map_err(|e| Error::io(path, e))?.len();
        Ok(Self { file: Arc::new(file), size_bytes })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for Source {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let from = From { file: Arc::clone(&self.file), at: start };
        Ok(BufReader::with_capacity(HEADER_BYTES, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A broken file may ask for more than there is room for.
        if start.checked_add(length as u64).is_none_or(|end| end > self.size_bytes) {
            let problem = format!("{length} bytes from {start} on, of {}", self.size_bytes);
            return Err(ParquetError::EOF(problem));
        }
        let mut bytes = vec![0; length];
        scratch::read_at(&self.file, &mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A file from a place on.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = scratch::read_some_at(&self.file, bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
