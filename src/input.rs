//! Input files, most of them memory-mapped.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// Opens a file; a folder is an error at once.
pub(crate) fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    if file.metadata().map_err(|e| Error::io(path, e))?.is_dir() {
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

/// Maps a file into memory.
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = open(path)?;
    // SAFETY: as with every mapped file, this holds only while nobody changes the input: users are
    // asked not to. A truncated one stops us (SIGBUS).
    unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))
}

/// Bytes of a text that are read before they are taken off this process.
const READ_BYTES: usize = 16 << 20;

/// How far a mapped text has been read: what is behind is taken off this process.
pub(crate) struct Progress<'m> {
    map: &'m Mmap,
    released: usize,
}

impl<'m> Progress<'m> {
    /// At the start of a text.
    pub fn new(map: &'m Mmap) -> Self {
        Self { map, released: 0 }
    }

    /// Where the last record began.
    pub fn reached(&mut self, position: Option<&csv::Position>) {
        let byte = position.map_or(0, |position| position.byte() as usize);
        if byte >= self.released + READ_BYTES {
            release(self.map, self.released, byte - self.released);
            self.released = byte;
        }
    }
}

/// Takes pages of a mapped file off this process. The file stays in the system's cache.
pub(crate) fn release(map: &Mmap, start: usize, len: usize) {
    // Whoever touches a page is given those around it too, also some that were released before.
    const AROUND: usize = 64 << 10;
    let (start, len) = (start.saturating_sub(AROUND), len + start.min(AROUND));
    #[cfg(unix)]
    if len > 0 {
        // SAFETY: the map is shared and read-only, so its pages are those of the file; when read
        // again, here or by another thread, they are mapped again with the same content.
        let advice =
            unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len) };
        // It is advice only: memory use is higher without it.
        drop(advice);
    }
}
