//! stub
pub mod error;
pub mod geography;
pub mod matrix;
pub mod report;
pub mod synth;
pub mod table;
pub use error::{Error, Result};
