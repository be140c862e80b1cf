//! Where the entries of a matrix lie: in memory, or in a scratch file that is mapped.

use std::fmt;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::{Mmap, MmapMut, MmapOptions};
use rayon::prelude::*;

use super::csr::split_rows;
use crate::input::release;
use crate::scratch::write_at;

mod parts;

pub(super) use parts::Part;

/// Elements that are read many times and written once.
///
/// Invariant: a mapped array is aligned and as long as its bytes say.
#[derive(Clone)]
pub struct Array<T> {
    content: Content<T>,
}

#[derive(Clone)]
enum Content<T> {
    Vec(Vec<T>),
    /// Anonymous memory, or a scratch file. Nobody else has either.
    Map {
        map: Arc<Mmap>,
        in_file: bool,
        element: PhantomData<T>,
    },
}

impl<T: Pod> Array<T> {
    /// All of a map.
    fn mapped(map: Mmap, in_file: bool) -> Self {
        assert!(map.as_ptr().cast::<T>().is_aligned(), "maps start at pages");
        Self { content: Content::Map { map: Arc::new(map), in_file, element: PhantomData } }
    }

    /// The elements in a vector, copied if they are not in one.
    pub fn into_vec(self) -> Vec<T> {
        match self.content {
            Content::Vec(elements) => elements,
            Content::Map { .. } => self.to_vec(),
        }
    }

    /// Takes elements that are done with for now off this process, if they can be had again from a
    /// scratch file.
    pub fn release(&self, range: Range<usize>) {
        if let Content::Map { map, in_file: true, .. } = &self.content {
            release(map, range.start * size_of::<T>(), range.len() * size_of::<T>());
        }
    }

    /// Whether the elements are in a scratch file.
    pub fn is_in_file(&self) -> bool {
        matches!(self.content, Content::Map { in_file: true, .. })
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.content {
            Content::Vec(elements) => elements,
            Content::Map { map, .. } => {
                let len = map.len() / size_of::<T>();
                // SAFETY: only `Array::mapped` makes this, for elements of which any bytes are one,
                // and after a look at the alignment.
                unsafe { std::slice::from_raw_parts(map.as_ptr().cast(), len) }
            }
        }
    }
}

impl<T> From<Vec<T>> for Array<T> {
    fn from(elements: Vec<T>) -> Self {
        Self { content: Content::Vec(elements) }
    }
}

impl<T: PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// How much memory the entries of a matrix may take, and where they go if they are more.
#[derive(Clone, Debug, Default)]
pub struct Room {
    limit: Option<Limit>,
}

#[derive(Clone, Debug)]
struct Limit {
    size_bytes: u64,
    scratch: PathBuf,
}

impl Room {
    /// As much memory as there is.
    pub const UNLIMITED: Self = Self { limit: None };

    /// At most `size_bytes` of memory for the entries of a matrix; larger ones go to a file without a
    /// name in the folder `scratch`, which ends with the process.
    pub fn limited(size_bytes: u64, scratch: PathBuf) -> Self {
        Self { limit: Some(Limit { size_bytes, scratch }) }
    }

    /// The folder for so many bytes of entries, if they do not fit in memory.
    fn scratch_for(&self, size_bytes: u64) -> Option<&PathBuf> {
        self.limit.as_ref().filter(|limit| size_bytes > limit.size_bytes).map(|l| &l.scratch)
    }

    /// Whether so many bytes of entries fit in memory.
    pub(super) fn holds(&self, size_bytes: u64) -> bool {
        self.scratch_for(size_bytes).is_none()
    }

    /// Makes the entries of rows of known lengths, each chunk of rows by `make` (number of the chunk,
    /// its columns, its values), in parallel.
    ///
    /// # Errors
    /// If there is no memory, or the scratch file cannot be written; and the error of the first chunk
    /// that cannot be made.
    pub(super) fn fill<V: Pod + Send + Sync, E: Send>(
        &self,
        row_ptr: &[u64],
        chunks: &[Range<usize>],
        make: impl Fn(usize, &mut [u32], &mut [V]) -> Result<(), E> + Sync,
    ) -> Result<(Array<u32>, Array<V>), FillError<E>> {
        let entries = row_ptr[row_ptr.len() - 1] as usize;
        let mut new = self.entries::<V>(entries)?;
        let done: Vec<Result<(), FillError<E>>> = match &mut new {
            NewEntries::Memory(columns, values, _) => {
                let columns = bytemuck::cast_slice_mut(columns);
                let parts = split_rows(chunks, row_ptr, columns, bytemuck::cast_slice_mut(values));
                let parts = parts.into_par_iter().enumerate();
                parts.map(|(k, (c, v))| make(k, c, v).map_err(FillError::Entries)).collect()
            }
            NewEntries::Scratch(scratch) => chunks
                .par_iter()
                .enumerate()
                .map_init(<(Vec<u32>, Vec<V>)>::default, |(c, v), (k, rows)| {
                    let first = row_ptr[rows.start] as usize;
                    let len = row_ptr[rows.end] as usize - first;
                    c.resize(len, 0);
                    v.resize(len, V::zeroed());
                    make(k, c, v).map_err(FillError::Entries)?;
                    Ok(scratch.write(first, c, v)?)
                })
                .collect(),
        };
        done.into_iter().collect::<Result<(), _>>()?;
        Ok(new.finish()?)
    }

    fn entries<V: Pod>(&self, entries: usize) -> io::Result<NewEntries<V>> {
        let bytes = [size_of::<u32>(), size_of::<V>()].map(|size| entries * size);
        Ok(match self.scratch_for((bytes[0] + bytes[1]) as u64) {
            None => {
                // Zeroed, and not there before it is written.
                let [columns, values] = bytes.map(MmapMut::map_anon);
                NewEntries::Memory(columns?, values?, PhantomData)
            }
            Some(folder) => {
                let file = || tempfile::tempfile_in(folder);
                NewEntries::Scratch(Scratch { files: [file()?, file()?], bytes })
            }
        })
    }
}

/// Entries in the making: indices, then values.
enum NewEntries<V> {
    Memory(MmapMut, MmapMut, PhantomData<V>),
    Scratch(Scratch),
}

/// Why entries could not be made.
#[derive(Debug)]
pub(super) enum FillError<E> {
    /// No memory, or a scratch file that cannot be written.
    Room(io::Error),
    /// What the maker of the entries says of the first chunk that it could not make.
    Entries(E),
}

impl<E> From<io::Error> for FillError<E> {
    fn from(error: io::Error) -> Self {
        Self::Room(error)
    }
}

impl From<crate::Error> for FillError<crate::Error> {
    fn from(error: crate::Error) -> Self {
        Self::Entries(error)
    }
}

/// A file of indices and one of values.
struct Scratch {
    files: [File; 2],
    bytes: [usize; 2],
}

impl Scratch {
    /// Puts entries in their place; from many threads at once.
    fn write<V: Pod>(&self, first: usize, columns: &[u32], values: &[V]) -> io::Result<()> {
        let [indices, flows] = &self.files;
        write_at(indices, bytemuck::cast_slice(columns), (first * size_of::<u32>()) as u64)?;
        write_at(flows, bytemuck::cast_slice(values), (first * size_of::<V>()) as u64)
    }
}

impl<V: Pod> NewEntries<V> {
    /// The arrays, which nobody writes any more.
    fn finish(self) -> io::Result<(Array<u32>, Array<V>)> {
        match self {
            Self::Memory(indices, values, _) => {
                let (indices, values) = (indices.make_read_only()?, values.make_read_only()?);
                Ok((Array::mapped(indices, false), Array::mapped(values, false)))
            }
            Self::Scratch(scratch) => {
                let map = |k: usize| {
                    // SAFETY: the file has no name, so that nobody else can change it.
                    unsafe { MmapOptions::new().len(scratch.bytes[k]).map(&scratch.files[k]) }
                };
                Ok((Array::mapped(map(0)?, true), Array::mapped(map(1)?, true)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of n entries in all, made in two chunks.
    fn filled(room: &Room, n: usize) -> (Array<u32>, Array<f64>) {
        let ends = [0, n as u64 / 5, n as u64 / 3, n as u64];
        let make = |chunk: usize, columns: &mut [u32], values: &mut [f64]| {
            let first = if chunk == 0 { 0 } else { ends[2] as u32 };
            for (k, (c, v)) in (first..).zip(columns.iter_mut().zip(values)) {
                (*c, *v) = (k, f64::from(k) / 2.0);
            }
            Ok::<(), ()>(())
        };
        room.fill(&ends, &[0..2, 2..3], make).unwrap()
    }

    #[test]
    fn entries_are_the_same_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for n in [0, 1, 5000] {
            let (columns, values) = filled(&Room::UNLIMITED, n);
            assert_eq!(columns.len(), n);
            assert!((0..).zip(columns.iter()).all(|(k, &c)| k == c));
            assert!(!columns.is_in_file());
            let limit = (n * 12) as u64;
            for (size, in_file) in [(limit, false), (limit.saturating_sub(1), n > 0)] {
                let room = Room::limited(size, folder.path().to_owned());
                let (own_columns, own_values) = filled(&room, n);
                assert_eq!((own_columns.is_in_file(), own_values.is_in_file()), (in_file, in_file));
                own_columns.release(0..n / 2);
                own_values.release(n / 2..n);
                assert_eq!((&own_columns, &own_values), (&columns, &values));
                assert_eq!(own_values.into_vec(), *values);
            }
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "scratch files have no name");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::limited(0, folder.path().join("none"));
        let rows = vec![0..1; 1];
        let failed = room.fill(&[0, 1], &rows, |_, _, _: &mut [f32]| Ok::<(), ()>(()));
        assert!(matches!(failed, Err(FillError::Room(e)) if e.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn the_first_chunk_that_fails_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for room in [Room::UNLIMITED, Room::limited(0, folder.path().to_owned())] {
            let failed =
                room.fill(
                    &[0, 1, 2, 3],
                    &[0..1, 1..2, 2..3],
                    |k, _, _: &mut [f32]| {
                        if k == 0 { Ok(()) } else { Err(k) }
                    },
                );
            assert!(matches!(failed, Err(FillError::Entries(1))));
        }
    }
}
