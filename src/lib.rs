//! stub
mod columns;
pub mod error;
pub mod geography;
pub mod ipf;
<<<<<<< HEAD
pub mod kernels;
=======
>>>>>>> tools
pub mod matrix;
pub mod output;
pub mod table;
pub use error::{Error, Result};
