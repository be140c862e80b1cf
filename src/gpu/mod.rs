//! The passes over entries on a graphics device, through wgpu and the shaders in `shaders/`.

pub mod adapters;
mod buffer;
mod columns;
pub mod device;
mod factors;
mod faults;
mod iterations;
mod kernels;
mod lines;
mod matrix;
mod pass;
pub mod self_test;
mod shader;
mod step;
mod stopwatch;
#[cfg(test)]
mod tests;

pub use adapters::{Adapter, adapters};
pub use device::{Device, Feature, Limits, Options};
pub use faults::catches_panics;
pub(crate) use iterations::Resident;
pub(crate) use kernels::Work;
pub use matrix::Matrix;
pub use stopwatch::Timer;
pub(crate) use stopwatch::{Stopwatch, Times};
