//! The harmonized matrix, row by row, without ever holding it whole.

use std::ops::Range;

use super::Scaling;
use crate::kernels;
use crate::matrix::{FlowMatrix, FlowRows, Value, ValueType, merge_stayer};

/// A seed seen through a scaling.
#[derive(Clone, Copy, Debug)]
pub struct Harmonized<'a, V> {
    /// The seed.
    pub seed: &'a FlowMatrix<V>,
    /// Its factors.
    pub scaling: &'a Scaling,
}

impl<V: Value> FlowRows for Harmonized<'_, V> {
    fn units(&self) -> usize {
        self.seed.units()
    }

    fn row_len(&self, i: usize) -> usize {
        self.seed.row_len(i)
    }

    /// The structure of the seed is kept, so that an emptied stayer count is a stored 0.
    fn push_columns(&self, i: usize, columns: &mut Vec<u32>) {
        self.seed.push_columns(i, columns);
    }

    fn push_flows(&self, i: usize, flows: &mut Vec<f64>) {
        let (start, movers, seed) = (flows.len(), self.seed.movers(), self.seed.stayers()[i]);
        kernels::harmonized_row(movers, self.scaling, i, flows);
        if seed != 0.0 {
            merge_stayer(i, seed * self.scaling.stayers[i], movers.row(i).0, flows, start);
        }
    }

    /// Margins met to 1e-9 need 64 bits, whatever the seed was stored in.
    fn value_type(&self) -> ValueType {
        ValueType::F64
    }

    fn release(&self, rows: Range<usize>) {
        self.seed.movers().release(rows);
    }
}
