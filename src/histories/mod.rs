//! From address histories to the matrix of every year.

mod buckets;
pub mod crosswalk;
pub mod date;
pub mod flows;
mod mass;
mod matrices;
pub mod places;
pub mod record;
pub mod survey;
mod tasks;

pub use buckets::Memory;
