//! Compressed sparse rows.

use std::ops::Range;

use rayon::prelude::*;

use super::Value;
use super::array::Array;

/// A sparse matrix by rows (origins).
///
/// Invariants:
/// - `row_ptr` has `rows + 1` entries, starts at 0, never decreases and ends at `nnz`;
/// - column indices are below `columns` and strictly increase within a row;
/// - values are finite and not negative (explicit zeros are allowed).
#[derive(Clone, Debug, PartialEq)]
pub struct Csr<V> {
    columns: usize,
    row_ptr: Vec<u64>,
    col_idx: Array<u32>,
    values: Array<V>,
}

impl<V: Value> Csr<V> {
    /// Checks the invariants and takes the arrays as they are.
    ///
    /// # Panics
    /// If an invariant does not hold. Arrays from a file go through the readers, which check and
    /// report instead.
    pub fn new(columns: usize, row_ptr: Vec<u64>, col_idx: Vec<u32>, values: Vec<V>) -> Self {
        let csr = Self { columns, row_ptr, col_idx: col_idx.into(), values: values.into() };
        csr.check();
        csr
    }

    fn check(&self) {
        assert!(u32::try_from(self.columns).is_ok(), "{} columns exceed 2^32", self.columns);
        assert_eq!(self.col_idx.len(), self.values.len(), "indices and values differ in length");
        assert_eq!(self.row_ptr.first(), Some(&0), "row pointers start at 0");
        assert_eq!(
            self.row_ptr.last(),
            Some(&(self.values.len() as u64)),
            "row pointers end at nnz"
        );
        assert!(self.row_ptr.is_sorted(), "row pointers decrease");
        (0..self.rows()).into_par_iter().for_each(|i| {
            let (cols, values) = self.row(i);
            assert!(cols.is_sorted_by(|a, b| a < b), "columns of row {i} are not increasing");
            assert!(cols.last().is_none_or(|&c| (c as usize) < self.columns), "column of row {i}");
            for &v in values {
                let v: f64 = v.into();
                assert!(v.is_finite() && v >= 0.0, "row {i} holds {v}");
            }
        });
    }

    /// Takes arrays whose invariants the caller has just established; only debug builds check them
    /// again, since that reads every entry once more.
    pub(super) fn trusted(
        columns: usize,
        row_ptr: Vec<u64>,
        col_idx: Array<u32>,
        values: Array<V>,
    ) -> Self {
        let csr = Self { columns, row_ptr, col_idx, values };
        if cfg!(debug_assertions) {
            csr.check();
        }
        csr
    }

    /// Row pointers, columns and values.
    pub(super) fn into_parts(self) -> (Vec<u64>, Array<u32>, Array<V>) {
        (self.row_ptr, self.col_idx, self.values)
    }

    /// Takes rows that a pass is done with off this process, where they are in a scratch file.
    pub(crate) fn release(&self, rows: Range<usize>) {
        let entries = self.row_ptr[rows.start] as usize..self.row_ptr[rows.end] as usize;
        self.col_idx.release(entries.clone());
        self.values.release(entries);
    }

    /// [`release`](Self::release) of rows in increasing order.
    pub(crate) fn release_each(&self, rows: &[u32]) {
        if self.is_in_file() {
            for run in rows.chunk_by(|a, b| a + 1 == *b) {
                self.release(run[0] as usize..run[run.len() - 1] as usize + 1);
            }
        }
    }

    /// Whether the entries are in a scratch file.
    pub fn is_in_file(&self) -> bool {
        self.values.is_in_file()
    }

    /// Builds from entries of each row in any order, duplicates summed in `f64` in the order given,
    /// as scipy does. Works in the arrays given; rows in order cost one look.
    ///
    /// # Errors
    /// If duplicates add up to infinity.
    ///
    /// # Panics
    /// If the row pointers do not fit the arrays, an index is out of range or a value is negative
    /// or not finite.
    pub fn from_unsorted(
        columns: usize,
        mut row_ptr: Vec<u64>,
        mut col_idx: Vec<u32>,
        mut values: Vec<V>,
    ) -> Result<Self, String> {
        assert_eq!(col_idx.len(), values.len(), "indices and values differ in length");
        let mut lengths: Vec<u64> = row_ptr.windows(2).map(|w| w[1] - w[0]).collect();
        let chunks = row_ranges(&row_ptr, CHUNK_ENTRIES);
        let parts = split_rows(&chunks, &row_ptr, &mut col_idx, &mut values);
        let lens = split_per_row(&chunks, &mut lengths);
        parts.into_par_iter().zip(lens).for_each(|((mut cols, mut vals), lens)| {
            let mut entries = Vec::new();
            for len in lens {
                let (row_cols, rest_cols) = cols.split_at_mut(*len as usize);
                let (row_vals, rest_vals) = vals.split_at_mut(*len as usize);
                *len = sort_row(row_cols, row_vals, &mut entries) as u64;
                (cols, vals) = (rest_cols, rest_vals);
            }
        });
        keep_front(&mut row_ptr, &lengths, &mut col_idx, &mut values);
        if let Some(k) = values.iter().position(|&v| v.into() == f64::INFINITY) {
            let row = row_ptr.partition_point(|&p| p <= k as u64) - 1;
            return Err(format!(
                "expected entries given twice to add up to a finite number, found infinity at row \
                 {row}, column {} (from 0)",
                col_idx[k]
            ));
        }
        Ok(Self::new(columns, row_ptr, col_idx, values))
    }

    /// Joins rows, each with increasing columns.
    ///
    /// # Panics
    /// If an invariant does not hold.
    pub fn from_rows(columns: usize, rows: &[(Vec<u32>, Vec<V>)]) -> Self {
        let mut row_ptr = vec![0_u64];
        row_ptr.extend(rows.iter().scan(0, |end, row| {
            *end += row.0.len() as u64;
            Some(*end)
        }));
        let nnz = row_ptr[rows.len()] as usize;
        let (mut col_idx, mut values) = (vec![0; nnz], vec![V::zeroed(); nnz]);
        let chunks = row_ranges(&row_ptr, CHUNK_ENTRIES);
        let parts = split_rows(&chunks, &row_ptr, &mut col_idx, &mut values);
        chunks.into_par_iter().zip(parts).for_each(|(chunk, (mut cols, mut vals))| {
            for (c, v) in &rows[chunk] {
                let (row_cols, rest_cols) = cols.split_at_mut(c.len());
                let (row_vals, rest_vals) = vals.split_at_mut(c.len());
                row_cols.copy_from_slice(c);
                row_vals.copy_from_slice(v);
                (cols, vals) = (rest_cols, rest_vals);
            }
        });
        Self::new(columns, row_ptr, col_idx, values)
    }

    /// Number of rows (origins).
    pub fn rows(&self) -> usize {
        self.row_ptr.len() - 1
    }

    /// Number of columns (destinations).
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.values.len()
    }

    /// Start of each row in the entry arrays, and their end.
    pub fn row_ptr(&self) -> &[u64] {
        &self.row_ptr
    }

    /// Column of every entry.
    pub fn col_idx(&self) -> &[u32] {
        &self.col_idx
    }

    /// Value of every entry.
    pub fn values(&self) -> &[V] {
        &self.values
    }

    /// Columns and values of one row.
    #[inline]
    pub fn row(&self, i: usize) -> (&[u32], &[V]) {
        let range = self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize;
        (&self.col_idx[range.clone()], &self.values[range])
    }
}

/// Entries that one task works on: fixed, so that nothing depends on the number of threads.
pub(super) const CHUNK_ENTRIES: u64 = 1 << 16;

/// Consecutive ranges of rows of at least `entries` entries each, but for the last.
pub(crate) fn row_ranges(row_ptr: &[u64], entries: u64) -> Vec<Range<usize>> {
    let rows = row_ptr.len() - 1;
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < rows {
        let full = row_ptr[start] + entries;
        let end = start + row_ptr[start + 1..].partition_point(|&p| p < full) + 1;
        // Empty rows cost something too.
        let end = end.min(rows).min(start + entries as usize);
        chunks.push(start..end);
        start = end;
    }
    chunks
}

/// The entries of each run of rows, to be written by tasks of their own.
pub(super) fn split_rows<'a, V>(
    chunks: &[Range<usize>],
    row_ptr: &[u64],
    mut col_idx: &'a mut [u32],
    mut values: &'a mut [V],
) -> Vec<(&'a mut [u32], &'a mut [V])> {
    let mut parts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let len = (row_ptr[chunk.end] - row_ptr[chunk.start]) as usize;
        let (cols, rest_cols) = col_idx.split_at_mut(len);
        let (vals, rest_vals) = values.split_at_mut(len);
        parts.push((cols, vals));
        (col_idx, values) = (rest_cols, rest_vals);
    }
    parts
}

/// One element per row, split like the rows.
pub(crate) fn split_per_row<'a, T>(
    chunks: &[Range<usize>],
    mut per_row: &'a mut [T],
) -> Vec<&'a mut [T]> {
    let mut parts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let (part, rest) = per_row.split_at_mut(chunk.len());
        parts.push(part);
        per_row = rest;
    }
    parts
}

/// Sorts one row and sums its duplicates, at its front; returns how many entries are left.
fn sort_row<V: Value>(cols: &mut [u32], vals: &mut [V], entries: &mut Vec<(u32, f64)>) -> usize {
    if cols.is_sorted_by(|a, b| a < b) {
        return cols.len();
    }
    entries.clear();
    entries.extend(cols.iter().copied().zip(vals.iter().map(|&v| v.into())));
    entries.sort_by_key(|e| e.0); // stable: duplicates stay in the order given
    entries.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 += later.1;
        }
        same
    });
    for ((col, val), &(c, v)) in cols.iter_mut().zip(vals).zip(entries.iter()) {
        (*col, *val) = (c, V::from_f64(v));
    }
    entries.len()
}

/// Keeps the first `lengths[i]` entries of every row and closes the gaps.
pub(super) fn keep_front<V: Copy>(
    row_ptr: &mut [u64],
    lengths: &[u64],
    col_idx: &mut Vec<u32>,
    values: &mut Vec<V>,
) {
    let mut end = 0;
    for (i, &len) in lengths.iter().enumerate() {
        let from = row_ptr[i] as usize;
        if from != end {
            col_idx.copy_within(from..from + len as usize, end);
            values.copy_within(from..from + len as usize, end);
        }
        row_ptr[i] = end as u64;
        end += len as usize;
    }
    row_ptr[lengths.len()] = end as u64;
    col_idx.truncate(end);
    values.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_duplicates_summed_in_place() {
        let csr = Csr::from_unsorted(
            4,
            vec![0, 3, 3, 5, 8],
            vec![2, 0, 2, 1, 3, 3, 3, 3],
            vec![1.0, 2.0, 3.0, 4.0, 5.0, 1e16, 1.0, 1.0],
        )
        .unwrap();
        assert_eq!(csr.row_ptr(), [0, 2, 2, 4, 5]);
        assert_eq!(csr.col_idx(), [0, 2, 1, 3, 3]);
        // In the order given: 1e16 + 1 + 1 rounds twice.
        assert_eq!(csr.values(), [2.0, 4.0, 4.0, 5.0, 1e16]);
    }

    #[test]
    fn duplicates_that_overflow_are_an_error() {
        let csr = Csr::from_unsorted(3, vec![0, 1, 3], vec![0, 2, 2], vec![1.0, 3e38_f32, 3e38]);
        let problem = csr.unwrap_err();
        assert!(problem.ends_with("found infinity at row 1, column 2 (from 0)"), "{problem}");
    }

    #[test]
    fn chunks_cover_all_rows_once() {
        let long = CHUNK_ENTRIES;
        for row_ptr in [
            vec![0],
            vec![0, 0],
            vec![0, long],
            vec![0, 1, long + 5, long + 5, 3 * long],
            vec![0; 3 * long as usize],
        ] {
            let chunks = row_ranges(&row_ptr, CHUNK_ENTRIES);
            let rows: Vec<usize> = chunks.iter().cloned().flatten().collect();
            assert_eq!(rows, (0..row_ptr.len() - 1).collect::<Vec<_>>());
        }
    }
}
