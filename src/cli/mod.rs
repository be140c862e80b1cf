//! The commands, one file each: the only place that prints.

pub mod convert;
pub mod demo;
pub mod harmonize;
pub mod synth;
