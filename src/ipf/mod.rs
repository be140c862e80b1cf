//! Iterative proportional fitting.

pub mod transport;
