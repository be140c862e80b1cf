//! Files of persons, addresses and answers about them, on their way to records.

pub mod answers;
pub mod fields;
pub mod forms;
pub mod points;
pub mod rows;

pub use fields::{Noted, Notes};
