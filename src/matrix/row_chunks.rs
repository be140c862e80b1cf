//! Rows of a matrix on their way into a file: made in parallel, written in order.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread;

use rayon::prelude::*;

use super::{FlowRows, row_ranges};

/// Entries made and written at a time: 1 MiB of 64-bit flows, 2 to 6 MiB of text.
pub(super) const CHUNK_ENTRIES: u64 = 1 << 17;

/// Entries that may be made and not yet written, whatever the number of threads.
const AHEAD_ENTRIES: u64 = 1 << 23;

/// Rows whose lengths are looked up at a time.
const LOOK_ROWS: usize = 1 << 10;

/// The rows of a matrix, to be cut into chunks of consecutive ones.
pub(super) struct RowChunks<'a> {
    rows: &'a dyn FlowRows,
    row_ptr: Vec<u64>,
}

impl<'a> RowChunks<'a> {
    pub fn new(rows: &'a dyn FlowRows) -> Self {
        let mut row_ptr = vec![0; rows.units() + 1];
        let runs = row_ptr[1..].par_chunks_mut(LOOK_ROWS).enumerate();
        runs.for_each(|(k, lens)| {
            let first = k * LOOK_ROWS;
            let looked_at = first..first + lens.len();
            for (len, i) in lens.iter_mut().zip(looked_at.clone()) {
                *len = rows.row_len(i) as u64;
            }
            rows.release(looked_at);
        });
        let mut end = 0;
        for len in &mut row_ptr {
            end += *len;
            *len = end;
        }
        Self { rows, row_ptr }
    }

    /// Entries before each row, and of all.
    pub fn row_ptr(&self) -> &[u64] {
        &self.row_ptr
    }

    /// Number of entries.
    pub fn nnz(&self) -> u64 {
        self.row_ptr[self.rows.units()]
    }

    /// Replaces `out` by what `element` makes of the columns of some rows.
    ///
    /// # Panics
    /// If a row is not as long as it said.
    pub fn columns<T>(&self, rows: Range<usize>, element: impl Fn(u32) -> T, out: &mut Vec<T>) {
        self.elements(rows, |i, columns| self.rows.push_columns(i, columns), element, out);
    }

    /// Replaces `out` by what `element` makes of the flows of some rows, in persons.
    ///
    /// # Panics
    /// If a row is not as long as it said.
    pub fn flows<T>(&self, rows: Range<usize>, element: impl Fn(f64) -> T, out: &mut Vec<T>) {
        self.elements(rows, |i, flows| self.rows.push_flows(i, flows), element, out);
    }

    fn elements<S: Copy, T>(
        &self,
        rows: Range<usize>,
        push: impl Fn(usize, &mut Vec<S>),
        element: impl Fn(S) -> T,
        out: &mut Vec<T>,
    ) {
        out.clear();
        let mut row = Vec::new();
        for i in rows {
            row.clear();
            push(i, &mut row);
            let expected = self.row_ptr[i + 1] - self.row_ptr[i];
            assert_eq!(row.len() as u64, expected, "entries of row {i}");
            out.extend(row.iter().map(|&v| element(v)));
        }
    }

    /// Calls `visit` with origin, destination and persons of every entry of some rows.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn for_each(
        &self,
        rows: Range<usize>,
        mut visit: impl FnMut(usize, u32, f64) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut columns, mut flows) = (Vec::new(), Vec::new());
        for i in rows {
            self.rows.row(i, &mut columns, &mut flows);
            for (&j, &flow) in columns.iter().zip(&flows) {
                visit(i, j, flow)?;
            }
        }
        Ok(())
    }

    /// Writes the text that `lines` adds for some rows.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_text(
        &self,
        out: &mut (impl Write + Send),
        lines: impl Fn(Range<usize>, &mut Vec<u8>) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let make = |rows, text: &mut Vec<u8>| {
            text.clear();
            lines(rows, text).expect("a Vec can be written to");
        };
        self.write(CHUNK_ENTRIES, make, |text| out.write_all(text))
    }

    /// Cuts the rows into chunks of at least `entries` entries each, but for the last; lets `make`
    /// put what becomes of each into a slot, which `write` then takes, in the order of the rows.
    /// The next chunks are made while the last ones are written. Slots are used again, as `write`
    /// has left them. What is written is the same at any number of threads.
    ///
    /// # Errors
    /// The first error of `write`, which is not called again.
    pub fn write<T: Default + Send, E: Send>(
        &self,
        entries: u64,
        make: impl Fn(Range<usize>, &mut T) + Sync,
        mut write: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let chunks = row_ranges(&self.row_ptr, entries);
        // Half of what is ahead is being made, the other half being written.
        let most = (AHEAD_ENTRIES / 2 / entries).max(1) as usize;
        let at_once = most.min(2 * rayon::current_num_threads());
        let (to_write, made) = sync_channel::<Vec<T>>(0);
        let (to_fill, filled) = sync_channel(2);
        for _ in 0..2 {
            let slots = (0..at_once).map(|_| T::default()).collect();
            to_fill.send(slots).expect("there is room for two");
        }
        // The disk makes a thread of its own wait, none of those that compute.
        thread::scope(|scope| {
            let writer = scope.spawn(move || {
                for mut slots in made {
                    slots.iter_mut().try_for_each(&mut write)?;
                    // Nobody waits for the last ones.
                    let _ = to_fill.send(slots);
                }
                Ok(())
            });
            for batch in chunks.chunks(at_once) {
                // The writer ends early when it fails.
                let Ok(mut slots) = filled.recv() else { break };
                slots.truncate(batch.len());
                batch.par_iter().zip(&mut slots).for_each(|(rows, slot)| {
                    make(rows.clone(), slot);
                    self.rows.release(rows.clone());
                });
                if to_write.send(slots).is_err() {
                    break;
                }
            }
            drop(to_write);
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::FlowMatrix;

    /// Rows of 0, 1, 40, 3, 0, 2 and 0 entries.
    fn matrix() -> FlowMatrix<f64> {
        let mut entries: Vec<(u32, u32, f64)> =
            (0..40).map(|j| (2, j, 1.0 + f64::from(j))).collect();
        entries.extend([
            (1, 1, 0.5),
            (3, 9, 1.0),
            (3, 2, 2.0),
            (3, 3, 3.0),
            (5, 5, 4.0),
            (5, 0, 5.0),
        ]);
        FlowMatrix::from_triplets(40, &entries)
    }

    fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn chunks_come_in_order_at_any_number_of_threads() {
        let matrix = matrix();
        let chunks = RowChunks::new(&matrix);
        assert_eq!(chunks.row_ptr()[..8], [0, 0, 1, 41, 44, 44, 46, 46]);
        assert_eq!(chunks.nnz(), 46);
        for entries in [1, 2, 3, 41, 46, 47, 1 << 30] {
            for threads in [1, 2, 8] {
                let mut written: Vec<(Range<usize>, Vec<u32>, Vec<f64>)> = Vec::new();
                let done: Result<(), ()> = on(threads, || {
                    chunks.write(
                        entries,
                        |rows, slot: &mut (Range<usize>, Vec<u32>, Vec<f64>)| {
                            slot.0 = rows.clone();
                            chunks.columns(rows.clone(), |j| j, &mut slot.1);
                            chunks.flows(rows, |flow| flow, &mut slot.2);
                        },
                        |slot| {
                            written.push(slot.clone());
                            Ok(())
                        },
                    )
                });
                done.unwrap();
                let rows: Vec<usize> = written.iter().flat_map(|chunk| chunk.0.clone()).collect();
                assert_eq!(rows, (0..40).collect::<Vec<_>>(), "chunks of {entries} entries");
                for (rows, columns, flows) in &written {
                    let (mut own_columns, mut own_flows) = (Vec::new(), Vec::new());
                    for i in rows.clone() {
                        matrix.push_columns(i, &mut own_columns);
                        matrix.push_flows(i, &mut own_flows);
                    }
                    assert_eq!((columns, flows), (&own_columns, &own_flows), "rows {rows:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_written_of_no_rows() {
        let matrix = FlowMatrix::<f64>::from_triplets(0, &[]);
        let chunks = RowChunks::new(&matrix);
        assert_eq!((chunks.row_ptr(), chunks.nnz()), (&[0][..], 0));
        chunks
            .write(1, |rows, slot| *slot = rows, |rows: &mut Range<usize>| Err(rows.clone()))
            .unwrap();
    }

    #[test]
    fn the_first_error_ends_it() {
        let matrix = matrix();
        let chunks = RowChunks::new(&matrix);
        for threads in [1, 2, 8] {
            let mut left = 3;
            let write = |rows: &mut Range<usize>| {
                left -= 1;
                if left == 0 { Err(rows.clone()) } else { Ok(()) }
            };
            let done = on(threads, || chunks.write(1, |rows, slot| *slot = rows, write));
            assert_eq!((done, left), (Err(2..3), 0), "{threads} threads");
        }
    }
}
