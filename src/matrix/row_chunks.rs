//! Rows of a matrix on their way into a file: made in parallel, written in order.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::{FlowRows, row_ranges};

/// Entries made and written at a time: 1 MiB of 64-bit flows, 2 to 6 MiB of text.
pub(super) const CHUNK_ENTRIES: u64 = 1 << 17;

/// Entries that may be made and not yet written, whatever the number of threads.
const AHEAD_ENTRIES: u64 = 1 << 23;

/// The rows of a matrix, to be cut into chunks of consecutive ones.
pub(super) struct RowChunks<'a> {
    rows: &'a dyn FlowRows,
    row_ptr: Vec<u64>,
}

impl<'a> RowChunks<'a> {
    pub fn new(rows: &'a dyn FlowRows) -> Self {
        let mut row_ptr = vec![0; rows.units() + 1];
        row_ptr[1..].par_iter_mut().enumerate().for_each(|(i, len)| *len = rows.row_len(i) as u64);
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

    /// The columns of some rows, one after the other.
    ///
    /// # Panics
    /// If a row is not as long as it said.
    pub fn columns(&self, rows: Range<usize>) -> Vec<u32> {
        self.joined(rows, |i, columns| self.rows.push_columns(i, columns))
    }

    /// The flows of some rows, one after the other, in persons.
    ///
    /// # Panics
    /// If a row is not as long as it said.
    pub fn flows(&self, rows: Range<usize>) -> Vec<f64> {
        self.joined(rows, |i, flows| self.rows.push_flows(i, flows))
    }

    fn joined<T>(&self, rows: Range<usize>, push: impl Fn(usize, &mut Vec<T>)) -> Vec<T> {
        let start = self.row_ptr[rows.start];
        let mut all = Vec::with_capacity((self.row_ptr[rows.end] - start) as usize);
        for i in rows {
            push(i, &mut all);
            assert_eq!(all.len() as u64, self.row_ptr[i + 1] - start, "entries up to row {i}");
        }
        all
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

    /// Cuts the rows into chunks of at least `entries` entries each, but for the last; makes what
    /// `make` makes of each, and writes that in the order of the rows. The next chunks are made
    /// while the last ones are written. What is written is the same at any number of threads.
    ///
    /// # Errors
    /// The first error of `write`, which is not called again.
    pub fn write<T: Send, E: Send>(
        &self,
        entries: u64,
        make: impl Fn(Range<usize>) -> T + Sync,
        mut write: impl FnMut(T) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let chunks = row_ranges(&self.row_ptr, entries);
        // Half of what is ahead is being made, the other half being written.
        let most = (AHEAD_ENTRIES / 2 / entries).max(1) as usize;
        let at_once = most.min(2 * rayon::current_num_threads());
        let make_all = |chunks: &[Range<usize>]| -> Vec<T> {
            chunks.par_iter().map(|rows| make(rows.clone())).collect()
        };
        let mut batches = chunks.chunks(at_once);
        let mut made = batches.next().map_or_else(Vec::new, make_all);
        while !made.is_empty() {
            let (written, next) = rayon::join(
                || made.into_iter().try_for_each(&mut write),
                || batches.next().map_or_else(Vec::new, make_all),
            );
            written?;
            made = next;
        }
        Ok(())
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
                let make = |rows: Range<usize>| {
                    (rows.clone(), chunks.columns(rows.clone()), chunks.flows(rows))
                };
                let done: Result<(), ()> = on(threads, || {
                    chunks.write(entries, make, |chunk| {
                        written.push(chunk);
                        Ok(())
                    })
                });
                done.unwrap();
                let rows: Vec<usize> = written.iter().flat_map(|chunk| chunk.0.clone()).collect();
                assert_eq!(rows, (0..40).collect::<Vec<_>>(), "{entries} entries");
                let columns = written.iter().map(|chunk| chunk.1.as_slice()).collect::<Vec<_>>();
                assert_eq!(columns.concat(), chunks.columns(0..40));
                let flows = written.iter().map(|chunk| chunk.2.as_slice()).collect::<Vec<_>>();
                assert_eq!(flows.concat(), chunks.flows(0..40));
            }
        }
    }

    #[test]
    fn nothing_is_written_of_no_rows() {
        let matrix = FlowMatrix::<f64>::from_triplets(0, &[]);
        let chunks = RowChunks::new(&matrix);
        assert_eq!((chunks.row_ptr(), chunks.nnz()), (&[0][..], 0));
        chunks.write(1, |rows| rows, |rows| Err(rows)).unwrap();
    }

    #[test]
    fn the_first_error_ends_it() {
        let matrix = matrix();
        let chunks = RowChunks::new(&matrix);
        for threads in [1, 2, 8] {
            let mut left = 3;
            let done = on(threads, || {
                chunks.write(
                    1,
                    |rows| rows,
                    |rows| {
                        left -= 1;
                        if left == 0 { Err(rows) } else { Ok(()) }
                    },
                )
            });
            assert_eq!((done, left), (Err(3..4), 0), "{threads} threads");
        }
    }
}
