//! Areas and how they group: codes outside, indices inside.
//!
//! Everything outside the program is keyed by GEOID, everything inside by index; they meet in
//! [`Geography`] and [`Partition`] and nowhere else.

pub mod crosswalk;
mod level;
mod partition;
mod units;

pub use crosswalk::Crosswalk;
pub use level::{Geoid, Level};
pub use partition::Partition;
pub use units::Geography;
