//! Sparse origin-destination matrices and the files they live in.

mod csr;
mod flow_matrix;
mod value;

pub use csr::Csr;
pub(crate) use flow_matrix::merge_stayer;
pub use flow_matrix::{AnyFlowMatrix, FlowMatrix, FlowRows};
pub use value::{Value, ValueType};
