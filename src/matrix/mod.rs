//! Sparse origin-destination matrices and the files they live in.

mod array;
mod csr;
pub mod csv;
pub mod file;
mod flow_matrix;
pub mod matrix_market;
mod npy;
pub mod npz;
mod npz_archive;
mod npz_write;
pub mod parquet;
mod parquet_codes;
mod parquet_columns;
mod parquet_write;
mod row_chunks;
mod storage;
mod triplets;
mod value;

pub use array::Room;
pub use csr::Csr;
pub(crate) use csr::{row_ranges, split_per_row};
pub(crate) use flow_matrix::merge_stayer;
pub use flow_matrix::{AnyFlowMatrix, FlowMatrix, FlowRows};
pub use storage::Rounding;
pub use value::{Value, ValueType};
