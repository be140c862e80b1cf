//! What a run leaves behind beside its matrix: the report, the history, the manifest.

mod agreement;
mod manifest;
mod run;

pub use agreement::{Agreement, mover_agreement, vector_agreement};
pub use manifest::{Manifest, Output};
pub use run::{Elapsed, RunReport, history_csv};
