//! stub
mod columns;
pub mod error;
pub mod geography;
pub mod ipf;
pub mod kernels;
pub mod matrix;
pub mod output;
pub mod table;
pub use error::{Error, Result};
