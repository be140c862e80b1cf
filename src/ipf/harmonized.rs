//! The harmonized matrix, row by row, without ever holding it whole.

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

    fn row(&self, i: usize, columns: &mut Vec<u32>, flows: &mut Vec<f64>) {
        columns.clear();
        columns.extend_from_slice(self.seed.movers().row(i).0);
        kernels::harmonized_row(self.seed.movers(), self.scaling, i, flows);
        // The structure of the seed is kept, so that an emptied stayer count is a stored 0.
        if self.seed.stayers()[i] != 0.0 {
            merge_stayer(i, self.seed.stayers()[i] * self.scaling.stayers[i], columns, flows);
        }
    }

    /// Margins met to 1e-9 need 64 bits, whatever the seed was stored in.
    fn value_type(&self) -> ValueType {
        ValueType::F64
    }
}
