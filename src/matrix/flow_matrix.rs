//! The seed of a harmonization: stayers apart from movers.

use std::ops::Range;

use super::array::FillError;
use super::triplets::Triplets;
use super::{Csr, Room, Value, ValueType};
use crate::{Error, Result};

/// An origin-destination matrix of persons, N x N: `stayers[i]` live in unit i in both years,
/// `movers` holds everyone else.
///
/// Invariants:
/// - movers are N x N with N = `stayers.len()`;
/// - at the finest level movers have no diagonal; after aggregation
///   they may have one, the moves within a unit;
/// - stayers are finite and not negative.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowMatrix<V> {
    stayers: Vec<f64>,
    movers: Csr<V>,
}

impl<V: Value> FlowMatrix<V> {
    /// Joins stayers and movers, which may have a diagonal of moves within a unit.
    ///
    /// # Panics
    /// If the sizes differ or a stayer count is negative or not finite.
    pub fn new(stayers: Vec<f64>, movers: Csr<V>) -> Self {
        let n = stayers.len();
        assert_eq!((movers.rows(), movers.columns()), (n, n), "movers of {n} stayers");
        assert!(stayers.iter().all(|s| s.is_finite() && *s >= 0.0), "stayers must be >= 0");
        Self { stayers, movers }
    }

    /// Joins parts whose invariants the caller has just established; only debug builds check them.
    pub(super) fn trusted(stayers: Vec<f64>, movers: Csr<V>) -> Self {
        if cfg!(debug_assertions) { Self::new(stayers, movers) } else { Self { stayers, movers } }
    }

    /// Joins stayers and movers whose rows are made chunk by chunk, in parallel: `make` is given the
    /// number of a chunk of rows and the places of its columns, which increase in each row, and values.
    ///
    /// # Errors
    /// If there is no room, and the error of the first chunk that cannot be made.
    ///
    /// # Panics
    /// If the chunks are not all rows in order, or as [`new`](Self::new).
    pub(crate) fn from_chunks(
        stayers: Vec<f64>,
        row_lens: &[u32],
        chunks: &[Range<usize>],
        room: &Room,
        make: impl Fn(usize, (&mut [u32], &mut [V])) -> Result<()> + Sync,
    ) -> Result<Self> {
        let n = stayers.len();
        assert_eq!(row_lens.len(), n, "lengths of the rows");
        let mut row_ptr = vec![0];
        row_ptr.extend(row_lens.iter().scan(0, |end, &len| {
            *end += u64::from(len);
            Some(*end)
        }));
        let made =
            room.fill(&row_ptr, chunks, |chunk, columns, values| make(chunk, (columns, values)));
        let (col_idx, values) = made.map_err(|error| match error {
            FillError::Entries(error) => error,
            FillError::Room(e) => Error::request(format!("no room for the flows: {e}")),
        })?;
        Ok(Self::trusted(stayers, Csr::trusted(n, row_ptr, col_idx, values)))
    }

    /// The same movers beside other stayers.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_stayers(self, stayers: Vec<f64>) -> Self {
        Self::new(stayers, self.movers)
    }

    /// Stayers and movers.
    pub(super) fn into_parts(self) -> (Vec<f64>, Csr<V>) {
        (self.stayers, self.movers)
    }

    /// Splits a square matrix at the finest level: its diagonal are the stayers.
    ///
    /// # Panics
    /// If the matrix is not square.
    pub fn from_csr(matrix: Csr<V>) -> Self {
        let n = matrix.rows();
        assert_eq!(n, matrix.columns(), "a flow matrix is square");
        let mut stayers = vec![0.0; n];
        let (mut row_ptr, cols, vals) = matrix.into_parts();
        let (mut cols, mut vals) = (cols.into_vec(), vals.into_vec());
        // In place: what is kept only ever moves toward the front.
        let (mut start, mut kept) = (0, 0);
        for (i, stayer) in stayers.iter_mut().enumerate() {
            let end = row_ptr[i + 1] as usize;
            let (before, after) = match cols[start..end].binary_search(&(i as u32)) {
                Ok(k) => {
                    *stayer = vals[start + k].into();
                    (start + k, start + k + 1)
                }
                Err(k) => (start + k, start + k),
            };
            for range in [start..before, after..end] {
                if range.start != kept {
                    cols.copy_within(range.clone(), kept);
                    vals.copy_within(range.clone(), kept);
                }
                kept += range.len();
            }
            start = end;
            row_ptr[i + 1] = kept as u64;
        }
        cols.truncate(kept);
        vals.truncate(kept);
        Self::new(stayers, Csr::trusted(n, row_ptr, cols.into(), vals.into()))
    }

    /// Builds from `(origin, destination, persons)` in any order, duplicates summed; the diagonal
    /// are the stayers.
    ///
    /// # Panics
    /// If an index is not below `n`, or a value or a sum of duplicates is negative or not finite.
    pub fn from_triplets(n: usize, triplets: &[(u32, u32, V)]) -> Self {
        let mut table = Triplets::default();
        for &(origin, destination, flow) in triplets {
            table.push(origin, destination, flow);
        }
        table.into_flow_matrix(n).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// From a square sprs matrix (CSR or CSC), whose diagonal are the stayers.
    ///
    /// # Errors
    /// If the matrix is not square, or holds a negative or not finite value.
    pub fn from_sprs(matrix: &sprs::CsMat<V>) -> Result<Self> {
        let (rows, columns) = matrix.shape();
        if rows != columns {
            return Err(Error::request(format!(
                "expected a square matrix, found {rows} x {columns}"
            )));
        }
        let mut triplets = Vec::with_capacity(matrix.nnz());
        for (&v, (i, j)) in matrix {
            let flow: f64 = v.into();
            if !flow.is_finite() || flow < 0.0 {
                return Err(Error::request(format!(
                    "row {i}, column {j}: expected persons >= 0, found {flow}"
                )));
            }
            triplets.push((i as u32, j as u32, v));
        }
        Ok(Self::from_triplets(rows, &triplets))
    }

    /// As a sprs CSR matrix, stayers on the diagonal (added to the moves within a unit, if any).
    pub fn to_sprs(&self) -> sprs::CsMat<f64> {
        let mut out = sprs::TriMat::new((self.units(), self.units()));
        let (mut cols, mut flows) = (Vec::new(), Vec::new());
        for i in 0..self.units() {
            self.row(i, &mut cols, &mut flows);
            for (&j, &flow) in cols.iter().zip(&flows) {
                out.add_triplet(i, j as usize, flow);
            }
        }
        out.to_csr()
    }

    /// Raises every stayer count to at least `floor` persons; returns how many were raised and the
    /// persons added.
    pub fn raise_stayers(&mut self, floor: f64) -> (usize, f64) {
        let (mut raised, mut added) = (0, 0.0);
        for stayer in &mut self.stayers {
            if *stayer < floor {
                raised += 1;
                added += floor - *stayer;
                *stayer = floor;
            }
        }
        (raised, added)
    }

    /// Number of units N.
    pub fn units(&self) -> usize {
        self.stayers.len()
    }

    /// Persons who stayed, per unit.
    pub fn stayers(&self) -> &[f64] {
        &self.stayers
    }

    /// Everyone who did not stay.
    pub fn movers(&self) -> &Csr<V> {
        &self.movers
    }

    /// Stored movers and stayers that are not 0.
    pub fn nnz(&self) -> usize {
        self.movers.nnz() + self.stayers.iter().filter(|s| **s != 0.0).count()
    }
}

/// Rows of a square matrix as they go into a file: sorted columns, stayers on the diagonal.
///
/// A writer may ask for a row more than once, and from several threads. A stayer count of 0 has no
/// entry.
pub trait FlowRows: Sync {
    /// Number of rows and columns.
    fn units(&self) -> usize;

    /// Number of entries of row `i`.
    fn row_len(&self, i: usize) -> usize;

    /// Adds the columns of row `i`, which increase.
    fn push_columns(&self, i: usize, columns: &mut Vec<u32>);

    /// Adds the flows of row `i`, in persons, in the order of its columns.
    fn push_flows(&self, i: usize, flows: &mut Vec<f64>);

    /// The type the flows should be stored in.
    fn value_type(&self) -> ValueType;

    /// Told after each time that a writer has gone through some rows.
    fn release(&self, _rows: Range<usize>) {}

    /// Replaces `columns` and `flows` by those of row `i`.
    fn row(&self, i: usize, columns: &mut Vec<u32>, flows: &mut Vec<f64>) {
        columns.clear();
        flows.clear();
        self.push_columns(i, columns);
        self.push_flows(i, flows);
    }
}

impl<V: Value> FlowRows for FlowMatrix<V> {
    fn units(&self) -> usize {
        self.stayers.len()
    }

    fn row_len(&self, i: usize) -> usize {
        let columns = self.movers.row(i).0;
        let merged = self.stayers[i] != 0.0 && columns.binary_search(&(i as u32)).is_err();
        columns.len() + usize::from(merged)
    }

    fn push_columns(&self, i: usize, columns: &mut Vec<u32>) {
        let (start, own) = (columns.len(), self.movers.row(i).0);
        columns.extend_from_slice(own);
        if self.stayers[i] != 0.0
            && let Err(k) = own.binary_search(&(i as u32))
        {
            columns.insert(start + k, i as u32);
        }
    }

    fn push_flows(&self, i: usize, flows: &mut Vec<f64>) {
        let (start, (columns, values)) = (flows.len(), self.movers.row(i));
        flows.extend(values.iter().map(|&v| v.into()));
        if self.stayers[i] != 0.0 {
            merge_stayer(i, self.stayers[i], columns, flows, start);
        }
    }

    fn value_type(&self) -> ValueType {
        V::TYPE
    }

    fn release(&self, rows: Range<usize>) {
        self.movers.release(rows);
    }
}

/// Puts the stayers of unit `i` among the flows of its movers, which have these columns and lie in
/// `flows` from `start` on.
pub(crate) fn merge_stayer(
    i: usize,
    stayer: f64,
    columns: &[u32],
    flows: &mut Vec<f64>,
    start: usize,
) {
    match columns.binary_search(&(i as u32)) {
        Ok(k) => flows[start + k] += stayer,
        Err(k) => flows.insert(start + k, stayer),
    }
}

/// A flow matrix in the number type of its file.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyFlowMatrix {
    /// Movers stored as 16-bit numbers, which no file has: see [`AnyFlowMatrix::stored_as`].
    F16(FlowMatrix<half::f16>),
    /// Movers stored as 32-bit numbers.
    F32(FlowMatrix<f32>),
    /// Movers stored as 64-bit numbers.
    F64(FlowMatrix<f64>),
}

/// Runs one expression on a matrix of either number type.
#[macro_export]
macro_rules! with_matrix {
    ($any:expr, $matrix:ident => $body:expr) => {
        match $any {
            $crate::matrix::AnyFlowMatrix::F16($matrix) => $body,
            $crate::matrix::AnyFlowMatrix::F32($matrix) => $body,
            $crate::matrix::AnyFlowMatrix::F64($matrix) => $body,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triplets_are_sorted_summed_and_split() {
        let m = FlowMatrix::from_triplets(
            3,
            &[(2, 0, 1.0), (0, 0, 5.0), (0, 2, 2.0), (0, 2, 3.0), (0, 1, 1.0)],
        );
        assert_eq!(m.stayers(), [5.0, 0.0, 0.0]);
        assert_eq!(m.movers().row_ptr(), [0, 2, 2, 3]);
        assert_eq!(m.movers().col_idx(), [1, 2, 0]);
        assert_eq!(m.movers().values(), [1.0, 5.0, 1.0]);
        let (mut columns, mut flows) = (Vec::new(), Vec::new());
        m.row(0, &mut columns, &mut flows);
        assert_eq!((columns, flows), (vec![0, 1, 2], vec![5.0, 1.0, 5.0]));
        assert_eq!([m.row_len(0), m.row_len(1), m.row_len(2)], [3, 0, 1]);
    }

    #[test]
    fn stayers_are_added_to_moves_within_the_unit() {
        let movers = Csr::new(2, vec![0, 2, 3], vec![0, 1, 0], vec![2.0, 1.0, 4.0]);
        let m = FlowMatrix::new(vec![5.0, 3.0], movers);
        let (mut columns, mut flows) = (vec![9], vec![9.0]);
        for i in 0..2 {
            m.push_columns(i, &mut columns);
            m.push_flows(i, &mut flows);
        }
        assert_eq!((columns, flows), (vec![9, 0, 1, 0, 1], vec![9.0, 7.0, 1.0, 4.0, 3.0]));
        assert_eq!([m.row_len(0), m.row_len(1)], [2, 2]);
    }

    #[test]
    fn sprs_round_trip() {
        let m = FlowMatrix::from_triplets(3, &[(2, 0, 1.0), (1, 1, 5.0), (0, 2, 2.0)]);
        assert_eq!(FlowMatrix::from_sprs(&m.to_sprs()).unwrap(), m);
        assert_eq!(FlowMatrix::from_sprs(&m.to_sprs().to_csc()).unwrap(), m);
    }

    #[test]
    fn floor_is_counted() {
        let mut m = FlowMatrix::from_triplets(3, &[(0, 0, 0.25), (1, 1, 5.0)]);
        assert_eq!(m.raise_stayers(1.0), (2, 1.75));
        assert_eq!(m.stayers(), [1.0, 5.0, 1.0]);
    }
}
