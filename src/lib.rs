//! stub
pub mod error;
pub mod geography;
pub mod ipf;
pub mod matrix;
pub mod table;
pub use error::{Error, Result};
