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
