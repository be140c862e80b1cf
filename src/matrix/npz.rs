//! scipy's sparse `.npz` files: zip archives of `.npy` arrays.
//!
//! A CSR or CSC matrix is the members `format.npy`, `shape.npy`, `indptr.npy`, `indices.npy` and
//! `data.npy` (`scipy.sparse.save_npz`). The file is memory-mapped: stored members (`compressed=
//! False`) are used from the map, deflated ones are inflated first. Indices stay as wide as they
//! are stored until they are checked and narrowed to 32 bits.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;

use super::array::FillError;
use super::csr::{CHUNK_ENTRIES, row_ranges, split_per_row};
use super::npy::{Element, Elements, Npy};
use super::npz_archive::Archive;
use super::{AnyFlowMatrix, Csr, FlowMatrix, Room, Value};
use crate::input::{self, release};
use crate::{Error, Result};

pub use super::npz_write::{Array, write, write_arrays};

/// Reads a square CSR or CSC matrix of persons; its diagonal are the stayers.
///
/// Unsorted indices are sorted and duplicates summed, as scipy does. Rows in order - the usual
/// case - are split into stayers and movers straight from the map.
///
/// # Errors
/// If the file is missing, truncated, no zip archive or no such matrix; if the matrix is not
/// square, an index is out of range, row pointers decrease, or a value is negative or not finite.
/// The message names member and entry (both counted from 0). Also if there is no `room`: rows that
/// are not in order, or stored by columns, or deflated, need memory.
pub fn read(path: &Path, room: &Room) -> Result<AnyFlowMatrix> {
    let map = input::map(path)?;
    let mut archive = Archive::new(path, &map, room)?;
    let by_columns = match archive.text("format.npy")?.as_str() {
        "csr" => false,
        "csc" => true,
        other => {
            let problem = format!(
                "expected a csr or csc matrix, found {other}; save it with \
                 scipy.sparse.save_npz(path, matrix.tocsr())"
            );
            return Err(archive.error("format.npy", problem));
        }
    };
    let n = archive.units()?;
    let (indptr, indices, data) = (
        archive.member("indptr.npy")?,
        archive.member("indices.npy")?,
        archive.member("data.npy")?,
    );
    let ptr = archive.row_pointers(&indptr, n, by_columns)?;
    let indices = archive.parse("indices.npy", &indices)?;
    let data = archive.parse("data.npy", &data)?;
    let parts = Parts { archive: &archive, n, by_columns, ptr };
    match (indices.descr(), data.descr()) {
        ("<i4", "<f4") => parts.build::<i32, f32>(&indices, &data).map(AnyFlowMatrix::F32),
        ("<i8", "<f4") => parts.build::<i64, f32>(&indices, &data).map(AnyFlowMatrix::F32),
        ("<i4", "<f8") => parts.build::<i32, f64>(&indices, &data).map(AnyFlowMatrix::F64),
        ("<i8", "<f8") => parts.build::<i64, f64>(&indices, &data).map(AnyFlowMatrix::F64),
        ("<i4" | "<i8", _) => {
            let problem = format!(
                "expected float32 or float64, found {}; save matrix.astype('float64')",
                data.type_name()
            );
            Err(archive.error("data.npy", problem))
        }
        _ => Err(archive.wrong_index_type("indices.npy", &indices)),
    }
}

/// A compressed matrix as stored, its pointers checked.
struct Parts<'a> {
    archive: &'a Archive<'a>,
    n: usize,
    by_columns: bool,
    ptr: Vec<u64>,
}

impl Parts<'_> {
    fn build<I, V>(&self, indices: &Npy, data: &Npy) -> Result<FlowMatrix<V>>
    where
        I: Element + Into<i64> + TryFrom<u32> + PartialOrd,
        V: Element + Value,
    {
        let error = |name, problem: String| self.archive.error(name, problem);
        let indices = indices.elements::<I>().map_err(|e| error("indices.npy", e))?;
        let data = data.elements::<V>().map_err(|e| error("data.npy", e))?;
        if indices.len() != data.len() {
            let problem = format!(
                "expected {} entries as in indices.npy, found {}",
                indices.len(),
                data.len()
            );
            return Err(error("data.npy", problem));
        }
        if self.ptr[self.n] != indices.len() as u64 {
            let problem = format!(
                "expected the last entry to be {}, the entries of indices.npy, found {}",
                indices.len(),
                self.ptr[self.n]
            );
            return Err(error("indptr.npy", problem));
        }
        if !self.by_columns
            && let Some(matrix) = self.split_sorted(indices, data)?
        {
            return Ok(matrix);
        }
        if !self.archive.room.holds((indices.len() * (4 + size_of::<V>())) as u64) {
            let order = if self.by_columns { "by columns" } else { "with rows out of order" };
            return Err(Error::data(
                self.archive.path,
                "",
                format!(
                    "expected sorted rows, which can be read in little memory, found a matrix \
                     stored {order}; rewrite it once with `flowrake convert`, or allow more memory"
                ),
            ));
        }
        self.check(indices, data)?;
        let nnz = data.len();
        let (row_ptr, col_idx, values) = if self.by_columns {
            self.transpose(indices, data)
        } else {
            let col_idx = indices.range(0..nnz).map(|i| i.into() as u32).collect();
            (self.ptr.clone(), col_idx, data.range(0..nnz).collect())
        };
        let matrix = Csr::from_unsorted(self.n, row_ptr, col_idx, values);
        Ok(FlowMatrix::from_csr(matrix.map_err(|problem| error("data.npy", problem))?))
    }

    /// Splits rows that are sorted, unique and valid into stayers and movers, straight from the map;
    /// `None` if a row is anything else.
    fn split_sorted<I, V>(
        &self,
        indices: Elements<I>,
        data: Elements<V>,
    ) -> Result<Option<FlowMatrix<V>>>
    where
        I: Element + Into<i64> + TryFrom<u32> + PartialOrd,
        V: Element + Value,
    {
        let n = self.n;
        // A first pass tells how many movers a row has, so that every row knows its place.
        let chunks = row_ranges(&self.ptr, CHUNK_ENTRIES);
        let little_memory = !self.archive.room.holds((indices.len() * (4 + size_of::<V>())) as u64);
        let mut stayer_at = vec![None; n];
        let parts = split_per_row(&chunks, &mut stayer_at);
        let found = parts.into_par_iter().zip(&chunks).try_for_each(|(stayer_at, chunk)| {
            for (i, stayer_at) in chunk.clone().zip(stayer_at) {
                *stayer_at = diagonal(indices, self.row(i), i, n)?;
            }
            if little_memory {
                self.release(&indices, chunk);
            }
            Ok(())
        });
        if let Err(OutOfOrder) = found {
            return Ok(None);
        }
        let mut row_ptr = vec![0_u64; n + 1];
        for i in 0..n {
            let stays = u64::from(stayer_at[i].is_some());
            row_ptr[i + 1] = row_ptr[i] + self.row(i).len() as u64 - stays;
        }
        let stayers = Mutex::new(vec![0.0; n]);
        let made = self.archive.room.fill(&row_ptr, &chunks, |chunk, mut cols, mut vals| {
            let of_rows =
                chunks[chunk].clone().map(|i| stayer_at[i].map_or(0.0, |k| data.get(k).into()));
            let of_rows: Vec<f64> = of_rows.collect();
            if !of_rows.iter().all(|stayers| stayers.is_persons()) {
                return Err(OutOfOrder);
            }
            stayers.lock().expect("nothing panics with it")[chunks[chunk].clone()]
                .copy_from_slice(&of_rows);
            for i in chunks[chunk].clone() {
                let row = self.row(i);
                let stayer_at = stayer_at[i].unwrap_or(row.end);
                for range in [row.start..stayer_at, (stayer_at + 1).min(row.end)..row.end] {
                    let (row_cols, row_vals);
                    (row_cols, cols) = cols.split_at_mut(range.len());
                    (row_vals, vals) = vals.split_at_mut(range.len());
                    for (col, index) in row_cols.iter_mut().zip(indices.range(range.clone())) {
                        *col = index.into() as u32;
                    }
                    for (val, value) in row_vals.iter_mut().zip(data.range(range)) {
                        *val = value;
                    }
                    // Without a way out of the loop, which is the faster for it.
                    if row_vals.iter().map(|v| u32::from(!v.is_persons())).sum::<u32>() > 0 {
                        return Err(OutOfOrder);
                    }
                }
            }
            self.release(&indices, &chunks[chunk]);
            self.release(&data, &chunks[chunk]);
            Ok(())
        });
        let (col_idx, values) = match made {
            Ok(made) => made,
            Err(FillError::Entries(OutOfOrder)) => return Ok(None),
            Err(FillError::Room(e)) => {
                let problem = format!("expected room for its entries, found {e}");
                return Err(Error::data(self.archive.path, "", problem));
            }
        };
        let stayers = stayers.into_inner().expect("nothing panics with it");
        Ok(Some(FlowMatrix::trusted(stayers, Csr::trusted(n, row_ptr, col_idx, values))))
    }

    /// Takes pages of the map that are done with off this process, so that a matrix is not in memory
    /// twice: as the file and as what was made of it. The file stays in the system's cache.
    fn release<T: Element>(&self, elements: &Elements<T>, rows: &Range<usize>) {
        let (map, done) = (self.archive.map, elements.bytes(self.entries(rows)));
        let start = done.as_ptr().addr().checked_sub(map.as_ptr().addr());
        // An inflated copy is elsewhere.
        if let Some(start) = start.filter(|start| start + done.len() <= map.len()) {
            release(map, start, done.len());
        }
    }

    /// Entries of row (or column) `i`.
    fn row(&self, i: usize) -> Range<usize> {
        self.ptr[i] as usize..self.ptr[i + 1] as usize
    }

    /// Entries of a run of rows.
    fn entries(&self, rows: &Range<usize>) -> Range<usize> {
        self.ptr[rows.start] as usize..self.ptr[rows.end] as usize
    }

    /// Names the first index out of range, or the first value that is no count of persons.
    fn check<I, V>(&self, indices: Elements<I>, data: Elements<V>) -> Result<()>
    where
        I: Element + Into<i64> + PartialOrd,
        V: Element + Value,
    {
        let entries = 0..indices.len();
        let bad = entries.clone().into_par_iter().find_first(|&k| {
            let index: i64 = indices.get(k).into();
            u64::try_from(index).map_or(true, |index| index >= self.n as u64)
        });
        if let Some(k) = bad {
            let (index, n) = (indices.get(k).into(), self.n);
            let problem = format!("expected 0 <= index < {n}, found {index}");
            return Err(self.archive.entry_error("indices.npy", k, problem));
        }
        match entries.into_par_iter().find_first(|&k| !data.get(k).is_persons()) {
            Some(k) => {
                let value: f64 = data.get(k).into();
                let problem = format!("expected persons >= 0, found {value}");
                Err(self.archive.entry_error("data.npy", k, problem))
            }
            None => Ok(()),
        }
    }

    /// The rows of a matrix stored by columns: entries are counted by row, then put there column by
    /// column, which leaves every row in order.
    fn transpose<I, V>(
        &self,
        indices: Elements<I>,
        data: Elements<V>,
    ) -> (Vec<u64>, Vec<u32>, Vec<V>)
    where
        I: Element + Into<i64> + PartialOrd,
        V: Element + Value,
    {
        let mut row_ptr = vec![0_u64; self.n + 1];
        for index in indices.range(0..indices.len()) {
            row_ptr[index.into() as usize + 1] += 1;
        }
        for i in 0..self.n {
            row_ptr[i + 1] += row_ptr[i];
        }
        let mut next = row_ptr.clone();
        let mut col_idx = vec![0_u32; indices.len()];
        let mut values = vec![V::zeroed(); data.len()];
        for j in 0..self.n {
            let column = self.row(j);
            for (index, value) in indices.range(column.clone()).zip(data.range(column)) {
                let slot = &mut next[index.into() as usize];
                (col_idx[*slot as usize], values[*slot as usize]) = (j as u32, value);
                *slot += 1;
            }
        }
        (row_ptr, col_idx, values)
    }
}

/// Where the diagonal is in row `i`, whose indices must strictly increase from 0 or more to below `n`.
fn diagonal<I: Element + Into<i64> + TryFrom<u32> + PartialOrd>(
    indices: Elements<I>,
    row: Range<usize>,
    i: usize,
    n: usize,
) -> std::result::Result<Option<usize>, OutOfOrder> {
    let Some(last) = row.end.checked_sub(1).filter(|last| *last >= row.start) else {
        return Ok(None);
    };
    let (all_but_last, all_but_first) = (row.start..last, row.start + 1..row.end);
    // Without a way out of the loops, which are the faster for it.
    let pairs = indices.range(all_but_last).zip(indices.range(all_but_first));
    let falls = pairs.map(|(a, b)| u32::from(a >= b)).sum::<u32>();
    let ends = [row.start, last].map(|k| indices.get(k).into());
    if falls > 0 || ends[0] < 0 || ends[1] >= i64::from(n as u32) {
        return Err(OutOfOrder);
    }
    let Ok(wanted) = I::try_from(i as u32) else {
        // Beyond all that an index of this type can be.
        return Ok(None);
    };
    let smaller = indices.range(row.clone()).map(|j| u32::from(j < wanted)).sum::<u32>();
    let at = row.start + smaller as usize;
    Ok((at < row.end && indices.get(at) == wanted).then_some(at))
}

/// A row that is not sorted, or holds something else than persons.
struct OutOfOrder;

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(numbers: &[i32]) -> Vec<u8> {
        let mut bytes = super::super::npy::header("<i4", &[numbers.len()]);
        bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        bytes
    }

    #[test]
    fn rows_are_searched_and_checked() {
        let bytes = elements(&[0, 2, 5, 1, 1, -1]);
        let indices = Npy::parse(&bytes).unwrap().elements::<i32>().unwrap();
        let at =
            |row: Range<usize>, i: usize, n: usize| diagonal(indices, row, i, n).map_err(|_| ());
        let found = [0, 1, 2, 5, 6].map(|i| at(0..3, i, 7).unwrap());
        assert_eq!(found, [Some(0), None, Some(1), Some(2), None]);
        assert_eq!(at(0..3, u32::MAX as usize - 1, u32::MAX as usize), Ok(None));
        for (empty, i, n) in [(3..3, 1, 6), (0..0, 0, 1), (2..2, 0, 0)] {
            assert_eq!(at(empty, i, n), Ok(None));
        }
        assert_eq!(at(0..3, 0, 5), Err(()), "out of range");
        assert_eq!(at(3..5, 1, 6), Err(()), "twice the same");
        assert_eq!(at(5..6, 0, 6), Err(()), "negative");
        assert_eq!(at(1..4, 2, 6), Err(()), "falls");
    }
}
