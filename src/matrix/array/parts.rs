//! Entries that are made part by part, each part piece by piece.

use std::io;
use std::ops::Range;

use bytemuck::Pod;
use rayon::prelude::*;

use super::{Array, FillError, NewEntries, Room, Scratch};
use crate::matrix::csr::split_rows;

/// Entries of a [`Part`] that go to a scratch file at a time, or a few more.
const WRITE_ENTRIES: usize = 1 << 14;

/// What is expected of those who push entries.
const FITS: &str = "a part has as many entries as it said";

/// Memory that reading a part may take beside its entries: a row group of national flows in Parquet
/// takes two dictionaries, and a page of each column.
const PART_BYTES: u64 = 16 << 20;

impl Room {
    /// Makes entries in parts, of which each ends where `ends` says and the first starts at its
    /// first: `make` (number of the part, the part) pushes them in order; in parallel.
    ///
    /// # Errors
    /// If there is no memory, or the scratch file cannot be written; and the error of the first part
    /// that cannot be made.
    ///
    /// # Panics
    /// If `make` pushes more or fewer entries than the part has.
    pub(in crate::matrix) fn fill_in_parts<V: Pod + Send + Sync, E: Send>(
        &self,
        ends: &[u64],
        make: impl Fn(usize, &mut Part<V>) -> Result<(), FillError<E>> + Sync,
    ) -> Result<(Array<u32>, Array<V>), FillError<E>> {
        let mut new = self.entries::<V>(ends[ends.len() - 1] as usize)?;
        let all = |k: usize, mut part: Part<V>| {
            make(k, &mut part)?;
            Ok(part.end()?)
        };
        let parts = ends.len() - 1;
        let done: Vec<Result<(), FillError<E>>> = match &mut new {
            NewEntries::Memory(columns, values, _) => {
                let each: Vec<Range<usize>> = (0..parts).map(|k| k..k + 1).collect();
                let columns = bytemuck::cast_slice_mut(columns);
                let parts = split_rows(&each, ends, columns, bytemuck::cast_slice_mut(values));
                let parts = parts.into_par_iter().enumerate();
                parts.map(|(k, (c, v))| all(k, Part(To::Memory(c, v)))).collect()
            }
            NewEntries::Scratch(scratch) => {
                let part = |k: usize| {
                    let (at, end) = (ends[k] as usize, ends[k + 1] as usize);
                    Part(To::Scratch { scratch, at, end, columns: Vec::new(), values: Vec::new() })
                };
                self.map_parts(parts, |k| all(k, part(k)))
            }
        };
        done.into_iter().collect::<Result<(), _>>()?;
        Ok(new.finish()?)
    }

    /// What `of` makes of each of so many parts, in order, on as many threads as there is memory for.
    pub(in crate::matrix) fn map_parts<T: Send>(
        &self,
        parts: usize,
        of: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let at_once = self.parts_at_once();
        let runs = (0..parts).step_by(at_once);
        let run = |first: usize| first..parts.min(first.saturating_add(at_once));
        runs.flat_map(|first| run(first).into_par_iter().map(&of).collect::<Vec<_>>()).collect()
    }

    fn parts_at_once(&self) -> usize {
        let most = self.limit.as_ref().map(|limit| limit.size_bytes / PART_BYTES);
        most.map_or(usize::MAX, |parts| parts.max(1) as usize)
    }
}

/// Consecutive entries on their way to their place.
pub(in crate::matrix) struct Part<'a, V>(To<'a, V>);

enum To<'a, V> {
    /// The places that are left.
    Memory(&'a mut [u32], &'a mut [V]),
    /// Entries that are to be written at a place, and the end of the part.
    Scratch { scratch: &'a Scratch, at: usize, end: usize, columns: Vec<u32>, values: Vec<V> },
}

impl<V: Pod> Part<'_, V> {
    /// Adds entries after those before.
    ///
    /// # Errors
    /// If the scratch file cannot be written.
    pub fn push(&mut self, columns: &[u32], values: &[V]) -> io::Result<()> {
        match &mut self.0 {
            To::Memory(c, v) => {
                c.split_off_mut(..columns.len()).expect(FITS).copy_from_slice(columns);
                v.split_off_mut(..values.len()).expect(FITS).copy_from_slice(values);
                Ok(())
            }
            To::Scratch { scratch, at, end, columns: c, values: v } => {
                c.extend_from_slice(columns);
                v.extend_from_slice(values);
                assert!(*at + c.len() <= *end, "{FITS}");
                if c.len() < WRITE_ENTRIES {
                    return Ok(());
                }
                scratch.write(*at, c, v)?;
                *at += c.len();
                c.clear();
                v.clear();
                Ok(())
            }
        }
    }

    /// Writes what is left.
    fn end(self) -> io::Result<()> {
        match self.0 {
            To::Memory(columns, _) => {
                assert!(columns.is_empty(), "{} entries are missing", columns.len());
                Ok(())
            }
            To::Scratch { scratch, at, end, columns, values } => {
                assert_eq!(at + columns.len(), end, "end of a part");
                scratch.write(at, &columns, &values)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_same_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let n = 5 * WRITE_ENTRIES + 3;
        let columns: Vec<u32> = (0..n as u32).collect();
        let values: Vec<f32> = columns.iter().map(|&c| c as f32 / 2.0).collect();
        let ends = [0, 0, 1, WRITE_ENTRIES + 1, n, n].map(|end| end as u64);
        for room in [Room::UNLIMITED, Room::limited(0, folder.path().to_owned())] {
            for at_once in [1, 7, WRITE_ENTRIES, n] {
                let made = room.fill_in_parts(&ends, |k, part: &mut Part<f32>| {
                    let all = ends[k] as usize..ends[k + 1] as usize;
                    for (c, v) in
                        columns[all.clone()].chunks(at_once).zip(values[all].chunks(at_once))
                    {
                        part.push(c, v)?;
                    }
                    Ok::<(), FillError<()>>(())
                });
                let (own_columns, own_values) = made.unwrap();
                assert!(*own_columns == *columns && *own_values == *values, "{at_once} at once");
            }
            let failed = room.fill_in_parts(&[0, 1, 2, 3], |k, part: &mut Part<f32>| {
                if k > 0 { Err(FillError::Entries(k)) } else { Ok(part.push(&[0], &[0.0])?) }
            });
            assert!(matches!(failed, Err(FillError::Entries(1))));
        }
    }

    #[test]
    #[should_panic(expected = "1 entries are missing")]
    fn a_part_that_is_too_short_is_a_broken_contract() {
        let made = Room::UNLIMITED.fill_in_parts(&[0, 2], |_, part: &mut Part<f32>| {
            part.push(&[0], &[0.0])?;
            Ok::<(), FillError<()>>(())
        });
        drop(made);
    }

    #[test]
    fn as_many_parts_at_once_as_there_is_memory_for() {
        let at_once = |bytes| Room::limited(bytes, "scratch".into()).parts_at_once();
        assert_eq!([0, PART_BYTES, 10 * PART_BYTES - 1].map(at_once), [1, 1, 9]);
        assert_eq!(Room::UNLIMITED.parts_at_once(), usize::MAX);
        for room in [Room::UNLIMITED, Room::limited(3 * PART_BYTES, "scratch".into())] {
            for parts in [0, 1, 3, 7] {
                assert_eq!(room.map_parts(parts, |k| k), (0..parts).collect::<Vec<_>>());
            }
        }
    }
}
