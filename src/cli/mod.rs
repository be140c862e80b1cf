//! The commands of the binary, one file each; the only place that prints.

pub mod convert;
pub mod synth;
