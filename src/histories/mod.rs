//! From address histories of persons to a matrix per year.
//!
//! Given when which person was seen at which address, A(t) is what a survey would find that asks
//! everybody in each month of year t where they lived a year before, address by address. With G, the
//! shares of units that an address is in,
//!
//! ```text
//! E(t) = G' (A - diag A) G + diag(G' diag(A))
//! ```
//!
//! so that a mover between addresses known by ZIP code spreads over pairs of units, a stayer over the
//! diagonal only. E(t) is the seed of a harmonization.
//!
//! - [`study_file`]: the TOML file that names tables and their columns, and [`input`]: reading them;
//! - [`join`]: records brought together by address, where they get their [`places`] (the rows of G,
//!   from a geocoder's answers, points in polygons or a [`crosswalk`] of ZIP codes), then by person;
//! - [`geocode`]: upload files for the Census batch geocoder, its answers, borders of areas;
//! - [`record`]: the rules that clean what is known of a person; [`survey`]: what they answer;
//! - [`flows`]: answers summed over persons, and the matrix of a year from them;
//! - [`study`]: all of it in one pass over persons.
//!
//! Sums are of whole numbers of 2^-62 persons, and records are scattered over buckets that are read
//! back one at a time, from memory or a file: neither the order of records nor threads nor memory
//! change a bit of the result.
//!
//! Source: Agostini, Young, Fitzpatrick, Garg, Pierson, Inferring fine-grained migration patterns across
//! the United States, Nature Communications 2025, <https://arxiv.org/abs/2503.20989>.

mod buckets;
pub mod crosswalk;
pub mod date;
pub mod flows;
pub mod geocode;
pub mod input;
pub mod join;
mod key;
mod mass;
mod matrices;
pub mod places;
pub mod record;
mod stays;
pub mod study;
pub mod study_file;
mod study_sections;
pub mod survey;
mod tasks;

pub use buckets::Memory;
