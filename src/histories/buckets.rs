//! Records on their way to others of their kind: scattered over buckets by many threads, read back a
//! bucket at a time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytemuck::Pod;

use crate::scratch::{read_at, write_at};
use crate::{Error, Result};

/// Bytes that a writer collects for a bucket.
pub(super) const BLOCK_BYTES: usize = 16 << 10;

/// Memory for records, and where those that find no room go.
#[derive(Debug)]
pub struct Memory {
    free_bytes: AtomicU64,
    scratch: PathBuf,
}

impl Memory {
    /// So much memory, then files without a name in the folder `scratch`.
    pub fn new(size_bytes: u64, scratch: PathBuf) -> Self {
        Self { free_bytes: size_bytes.into(), scratch }
    }

    /// The folder of the scratch files.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Gives memory of records that are gone back to the system. It may lie between records that are
    /// not, in pieces too small for what else needs memory.
    pub fn trim(&self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: only memory that is not in use is given back.
        unsafe {
            libc::malloc_trim(0);
        }
    }

    fn take(&self, bytes: u64) -> bool {
        self.free_bytes.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.free_bytes.fetch_add(bytes, Relaxed);
    }
}

/// Records by bucket. Within a bucket they come back in any order.
#[derive(Debug)]
pub struct Buckets<'m, T> {
    memory: &'m Memory,
    /// Made when the first block finds no room.
    file: OnceLock<File>,
    file_end: AtomicU64,
    blocks: Vec<Mutex<Vec<Block<T>>>>,
}

#[derive(Debug)]
enum Block<T> {
    Memory(Vec<T>),
    File { offset: u64, len: usize },
}

impl<'m, T: Pod> Buckets<'m, T> {
    /// So many buckets.
    pub fn new(count: usize, memory: &'m Memory) -> Self {
        Self {
            memory,
            file: OnceLock::new(),
            file_end: AtomicU64::new(0),
            blocks: (0..count).map(|_| Mutex::default()).collect(),
        }
    }

    /// Number of buckets.
    pub fn count(&self) -> usize {
        self.blocks.len()
    }

    /// A writer for one thread.
    pub fn writer(&self) -> Writer<'_, 'm, T> {
        Writer { buckets: self, buffers: (0..self.count()).map(|_| Vec::new()).collect() }
    }

    /// Puts some records into a bucket.
    ///
    /// # Errors
    /// If the scratch file cannot be made or written.
    pub fn add(&self, bucket: usize, mut records: Vec<T>) -> Result<()> {
        records.shrink_to_fit();
        let bytes = size_of_val(&records[..]) as u64;
        let block = if self.memory.take(bytes) {
            Block::Memory(records)
        } else {
            let offset = self.file_end.fetch_add(bytes, Relaxed);
            self.scratch()
                .and_then(|file| write_at(file, bytemuck::cast_slice(&records), offset))
                .map_err(|e| self.error(e))?;
            Block::File { offset, len: records.len() }
        };
        self.blocks(bucket).push(block);
        Ok(())
    }

    /// Number of records of a bucket.
    pub fn len(&self, bucket: usize) -> usize {
        let len = |block: &Block<T>| match block {
            Block::Memory(records) => records.len(),
            Block::File { len, .. } => *len,
        };
        self.blocks(bucket).iter().map(len).sum()
    }

    /// Visits all records of a bucket and drops them, block by block.
    ///
    /// # Errors
    /// If the scratch file cannot be read, and the first error of `visit`.
    pub fn drain(&self, bucket: usize, mut visit: impl FnMut(&T) -> Result<()>) -> Result<()> {
        let mut read = Vec::new();
        for block in std::mem::take(&mut *self.blocks(bucket)) {
            match block {
                Block::Memory(block) => {
                    block.iter().try_for_each(&mut visit)?;
                    self.memory.give_back(size_of_val(&block[..]) as u64);
                }
                Block::File { offset, len } => {
                    read.resize(len, T::zeroed());
                    self.scratch()
                        .and_then(|file| read_at(file, bytemuck::cast_slice_mut(&mut read), offset))
                        .map_err(|e| self.error(e))?;
                    read.iter().try_for_each(&mut visit)?;
                }
            }
        }
        Ok(())
    }

    /// Takes all records of a bucket out.
    ///
    /// # Errors
    /// If the scratch file cannot be read.
    pub fn take(&self, bucket: usize) -> Result<Vec<T>> {
        let mut records = Vec::with_capacity(self.len(bucket));
        self.drain(bucket, |record| {
            records.push(*record);
            Ok(())
        })?;
        Ok(records)
    }

    fn blocks(&self, bucket: usize) -> std::sync::MutexGuard<'_, Vec<Block<T>>> {
        self.blocks[bucket].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scratch(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        // Another thread may be first; then this file is gone at once.
        let file = tempfile::tempfile_in(&self.memory.scratch)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn error(&self, source: io::Error) -> Error {
        Error::io(&self.memory.scratch, source)
    }
}

/// Collects the records of one thread.
#[derive(Debug)]
pub struct Writer<'b, 'm, T> {
    buckets: &'b Buckets<'m, T>,
    buffers: Vec<Vec<T>>,
}

impl<T: Pod> Writer<'_, '_, T> {
    /// Adds a record to a bucket.
    ///
    /// # Errors
    /// As [`Buckets::add`].
    pub fn push(&mut self, bucket: usize, record: T) -> Result<()> {
        const { assert!(size_of::<T>() <= BLOCK_BYTES) };
        let most = BLOCK_BYTES / size_of::<T>();
        let buffer = &mut self.buffers[bucket];
        if buffer.capacity() == 0 {
            buffer.reserve_exact(most);
        }
        buffer.push(record);
        if buffer.len() == most {
            self.buckets.add(bucket, std::mem::take(buffer))?;
        }
        Ok(())
    }

    /// Hands over what is left. Records of a writer that is not finished are lost.
    ///
    /// # Errors
    /// As [`Buckets::add`].
    pub fn finish(self) -> Result<()> {
        let buffers = self.buffers.into_iter().enumerate();
        let mut left = buffers.filter(|(_, buffer)| !buffer.is_empty());
        left.try_for_each(|(bucket, buffer)| self.buckets.add(bucket, buffer))
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn what_goes_in_comes_out_of_memory_and_file() {
        let folder = tempfile::tempdir().unwrap();
        for size_bytes in [0, 100_000, u64::MAX] {
            let memory = Memory::new(size_bytes, folder.path().to_owned());
            let buckets = Buckets::new(3, &memory);
            (0..4_u32)
                .into_par_iter()
                .try_for_each(|thread| {
                    let mut writer = buckets.writer();
                    for k in 0..20_000 {
                        let record = thread * 20_000 + k;
                        writer.push(record as usize % 2, record)?;
                    }
                    writer.finish()
                })
                .unwrap();
            assert_eq!(buckets.file.get().is_some(), size_bytes < u64::MAX);
            for bucket in 0..2 {
                let mut records = buckets.take(bucket).unwrap();
                records.sort_unstable();
                let expected: Vec<u32> =
                    (0..80_000).filter(|k| *k as usize % 2 == bucket).collect();
                assert!(records == expected, "{size_bytes} bytes");
            }
            assert_eq!((buckets.len(2), buckets.take(0).unwrap().len()), (0, 0));
            assert_eq!(memory.free_bytes.into_inner(), size_bytes, "all memory is given back");
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "scratch files have no name");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(0, folder.path().join("none"));
        let problem = Buckets::new(1, &memory).add(0, vec![1_u8]).unwrap_err().to_string();
        assert!(problem.contains("none: No such file"), "{problem}");
    }
}
