//! Official tables as published, read byte for byte.
//!
//! One file per table. Each says where the table is published, its universe and units, and which
//! identities are checked on reading. What a published file is known to hold exactly is an error
//! where it does not hold; what may be off by rounding, or could not be checked, is a warning that
//! the table carries. Errors name the path, the line or cell, the column, and what was expected and
//! found.
//!
//! Areas are keyed by GEOIDs with their leading zeros (`"01"`, `"01001"`). All counts are persons.

pub mod cenpop;
pub mod county_flows;
pub mod hud;
pub mod irs;
pub mod margin_of_error;
pub mod pep;
pub mod population_table;
mod sheet;
mod source;
pub mod state_flows;
mod states;
pub(crate) mod text;
#[cfg(test)]
mod workbook;

pub use states::STATES;

/// An estimate of the American Community Survey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Persons.
    pub value: f64,
    /// Margin of error at 90 % in persons, where it is published; the standard error is this
    /// / 1.645.
    pub moe: Option<f64>,
}
