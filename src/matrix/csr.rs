//! Compressed sparse rows.

use rayon::prelude::*;

use super::Value;

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
    col_idx: Vec<u32>,
    values: Vec<V>,
}

impl<V: Value> Csr<V> {
    /// Checks the invariants and takes the arrays as they are.
    ///
    /// # Panics
    /// If an invariant does not hold. Arrays from a file go through the readers, which check and
    /// report instead.
    pub fn new(columns: usize, row_ptr: Vec<u64>, col_idx: Vec<u32>, values: Vec<V>) -> Self {
        let csr = Self { columns, row_ptr, col_idx, values };
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

    /// Builds from entries of each row in any order, duplicates summed in `f64` in the order given,
    /// as scipy does.
    ///
    /// # Panics
    /// If an index is out of range or a value is negative or not finite.
    pub fn from_unsorted(columns: usize, row_ptr: &[u64], col_idx: &[u32], values: &[V]) -> Self {
        let rows: Vec<(Vec<u32>, Vec<V>)> = row_ptr
            .par_windows(2)
            .map(|w| {
                let range = w[0] as usize..w[1] as usize;
                let mut entries: Vec<(u32, f64)> = col_idx[range.clone()]
                    .iter()
                    .zip(&values[range])
                    .map(|(&c, &v)| (c, v.into()))
                    .collect();
                entries.sort_by_key(|e| e.0);
                entries.dedup_by(|later, kept| {
                    let same = later.0 == kept.0;
                    if same {
                        kept.1 += later.1;
                    }
                    same
                });
                entries.into_iter().map(|(c, v)| (c, V::from_f64(v))).unzip()
            })
            .collect();
        Self::from_rows(columns, rows)
    }

    /// Joins rows, each with increasing columns.
    ///
    /// # Panics
    /// If an invariant does not hold.
    pub fn from_rows(columns: usize, rows: Vec<(Vec<u32>, Vec<V>)>) -> Self {
        let mut row_ptr = vec![0_u64];
        let nnz = rows.iter().map(|r| r.0.len()).sum();
        let (mut col_idx, mut values) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        for (c, v) in rows {
            col_idx.extend(c);
            values.extend(v);
            row_ptr.push(col_idx.len() as u64);
        }
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
