//! stub
mod columns;
pub mod error;
pub mod geography;
mod input;
pub mod ipf;
pub mod kernels;
pub mod matrix;
pub mod output;
pub mod plan_file;
pub mod report;
pub mod synth;
pub mod table;
pub use error::{Error, Result};
