//! The factors of a harmonization as a NumPy file.

use std::path::Path;

use crate::Result;
use crate::geography::{Geography, Geoid};
use crate::ipf::Scaling;
use crate::matrix::npz::{Array, write_arrays};
use crate::output::Outputs;

/// Writes a scaling as `.npz`, in the order of the units:
///
/// - `origin`, `destination`, `stayers`: N float64;
/// - for block k from 0: `block{k}_factors`, P x Q float64 row by row, and the cells of the units,
///   `block{k}_origin_cell` and `block{k}_destination_cell`, N uint32;
/// - `geoid`: the N codes, joined by newlines.
///
/// A mover flow is seed x origin\[i\] x destination\[j\] x the block factors of (i, j); stayers are
/// seed x stayers\[i\].
///
/// # Errors
/// When the file cannot be written.
pub fn write_factors(
    outputs: &mut Outputs,
    path: &Path,
    scaling: &Scaling,
    geography: &Geography,
) -> Result<()> {
    let codes: Vec<&str> = geography.geoids().iter().map(Geoid::as_str).collect();
    let codes = codes.join("\n");
    let mut names = Vec::new();
    for k in 0..scaling.blocks.len() {
        for what in ["factors", "origin_cell", "destination_cell"] {
            names.push(format!("block{k}_{what}"));
        }
    }
    let mut arrays = vec![
        ("origin", Array::F64(&scaling.origin)),
        ("destination", Array::F64(&scaling.destination)),
        ("stayers", Array::F64(&scaling.stayers)),
        ("geoid", Array::Text(&codes)),
    ];
    for (names, block) in names.chunks_exact(3).zip(&scaling.blocks) {
        arrays.push((&names[0], Array::F64(&block.factors)));
        arrays.push((&names[1], Array::U32(block.origin.cell_of())));
        arrays.push((&names[2], Array::U32(block.destination.cell_of())));
    }
    outputs.add(path, |file| write_arrays(file, &arrays))
}
