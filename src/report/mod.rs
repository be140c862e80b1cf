//! What a run leaves behind beside its matrix: report, history, manifest, convergence plot.

mod cells;
mod convergence;
mod factors;
mod manifest;
mod memory;
mod run;
mod stage;

pub use cells::{cells_summary, write_cells};
pub use convergence::{ConvergencePoint, convergence_png, convergence_svg};
pub use factors::write_factors;
pub use manifest::{Content, Input, Manifest, Output, hash_inputs};
pub use memory::peak_memory_bytes;
pub use run::{Elapsed, Place, RunReport, SeedSize, history_csv};
pub use stage::{Hashes, Stage};
