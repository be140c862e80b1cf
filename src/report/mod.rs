//! Pictures and texts made from a finished run.

mod convergence;

pub use convergence::{ConvergencePoint, convergence_png, convergence_svg};
