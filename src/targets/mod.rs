//! Targets from census tables.

pub mod nnls;
mod yearly_populations;

pub use yearly_populations::{Source, YearlyPopulations};
