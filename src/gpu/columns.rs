//! The movers by destinations.

use rayon::prelude::*;

use crate::matrix::{Csr, Value};

/// Ranges of columns that are filled in parallel, at most; the split does not show in the result.
const MAX_RANGES: usize = 32;

/// Entries of a row in a range, on average and at least: finding where they begin is a search.
const RANGE_ENTRIES: usize = 16;

/// A matrix by columns: where each begins, and the row and value of every entry, rows increasing
/// within a column.
#[derive(Debug)]
pub struct Columns<V> {
    pub col_ptr: Vec<u64>,
    pub rows: Vec<u32>,
    pub values: Vec<V>,
}

impl<V: Value> Columns<V> {
    /// Transposes a matrix.
    pub fn of(matrix: &Csr<V>) -> Self {
        let mut counts = vec![0_u64; matrix.columns() + 1];
        for &j in matrix.col_idx() {
            counts[j as usize + 1] += 1;
        }
        let mut col_ptr = counts;
        for j in 1..col_ptr.len() {
            col_ptr[j] += col_ptr[j - 1];
        }
        let mut rows = vec![0_u32; matrix.nnz()];
        let mut values = vec![V::zeroed(); matrix.nnz()];
        let number = matrix.nnz() / (RANGE_ENTRIES * matrix.rows()).max(1);
        let ranges = ranges(&col_ptr, number.clamp(1, MAX_RANGES));
        let (mut rest_rows, mut rest_values) = (&mut rows[..], &mut values[..]);
        let mut parts = Vec::new();
        for (from, to) in ranges {
            let len = (col_ptr[to] - col_ptr[from]) as usize;
            let (r, v);
            (r, rest_rows) = rest_rows.split_at_mut(len);
            (v, rest_values) = rest_values.split_at_mut(len);
            parts.push((from, to, r, v));
        }
        parts.into_par_iter().for_each(|(from, to, rows, values)| {
            fill(matrix, (from, to), &col_ptr, rows, values);
        });
        Self { col_ptr, rows, values }
    }
}

/// Ranges of columns of about the same number of entries.
fn ranges(col_ptr: &[u64], number: usize) -> Vec<(usize, usize)> {
    let (columns, nnz) = (col_ptr.len() - 1, col_ptr[col_ptr.len() - 1]);
    let mut ends: Vec<usize> = (1..=number as u64)
        .map(|k| col_ptr.partition_point(|&p| p < nnz * k / number as u64).min(columns))
        .collect();
    ends[number - 1] = columns;
    let starts = std::iter::once(0).chain(ends.clone());
    starts.zip(ends).filter(|(from, to)| from < to).collect()
}

/// Fills the columns `from .. to`, row by row.
fn fill<V: Value>(
    matrix: &Csr<V>,
    (from, to): (usize, usize),
    col_ptr: &[u64],
    rows: &mut [u32],
    values: &mut [V],
) {
    let mut next: Vec<usize> =
        col_ptr[from..to].iter().map(|p| (p - col_ptr[from]) as usize).collect();
    for i in 0..matrix.rows() {
        let (columns, row_values) = matrix.row(i);
        // Columns of a row increase.
        let first = columns.partition_point(|&j| (j as usize) < from);
        for (&j, &v) in columns[first..].iter().zip(&row_values[first..]) {
            if j as usize >= to {
                break;
            }
            let k = &mut next[j as usize - from];
            rows[*k] = i as u32;
            values[*k] = v;
            *k += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // [- 1 2], [3 - -], [- 4 -]
        let matrix = Csr::new(3, vec![0, 2, 3, 4], vec![1, 2, 0, 1], vec![1.0_f32, 2.0, 3.0, 4.0]);
        let columns = Columns::of(&matrix);
        assert_eq!(columns.col_ptr, [0, 1, 3, 4]);
        assert_eq!(columns.rows, [1, 0, 2, 0]);
        assert_eq!(columns.values, [3.0, 1.0, 4.0, 2.0]);
    }

    #[test]
    fn nothing_at_all() {
        let columns = Columns::of(&Csr::new(0, vec![0], vec![], Vec::<f64>::new()));
        assert_eq!(columns.col_ptr, [0]);
        let columns = Columns::of(&Csr::new(2, vec![0, 0, 0], vec![], Vec::<f64>::new()));
        assert_eq!(columns.col_ptr, [0, 0, 0]);
    }
}
