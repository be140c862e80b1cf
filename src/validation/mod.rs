//! How close a harmonized matrix is to a known truth, beside the raw seed.
//!
//! A truth is known where matrix and truth were generated ([`crate::synth`]). For each level, the
//! raw matrix (multiplied by the truth's total over its own) and the harmonized one are compared
//! with the truth by Pearson's r and the root mean squared error, as in Agostini et al. 2025:
//!
//! - a [`Quantity`] is one number per area, or per ordered pair of different areas;
//! - [`Moments`] are the sums over all of them that r and the error follow from;
//! - a [`Comparison`] is a quantity at a level, a [`Validation`] all of them.

mod areas;
mod comparison;
mod moments;
mod table;

pub use comparison::{Comparison, Persons, Quantity, Validation, levels_of, validate};
pub use moments::{Agreement, Moments};
pub use table::write_csv;

/// Places of the matrices among three; the harmonized one is between them.
const RAW: usize = 0;
const HARMONIZED: usize = 1;
const TRUTH: usize = 2;
