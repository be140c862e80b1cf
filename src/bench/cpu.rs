//! What the memory of the machine gives, and passes that only the CPU makes here.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::timing::Bandwidth;
use crate::gpu::Timer;
use crate::ipf::Scaling;
use crate::kernels;
use crate::matrix::{FlowMatrix, Value, row_ranges};

/// Bytes that a thread copies or reads at a time.
const CHUNK: usize = 1 << 19;

/// Copies and reads arrays of the size of the matrix, all threads together.
pub(super) fn bandwidth<V: Value>(seed: &FlowMatrix<V>, repeats: usize) -> Vec<Bandwidth> {
    let indices: &[u8] = bytemuck::cast_slice(seed.movers().col_idx());
    let values: &[u8] = bytemuck::cast_slice(seed.movers().values());
    let mut copied = vec![0_u8; indices.len()];
    // Twice: the first touches the pages.
    let mut copy = || {
        let start = Instant::now();
        copied
            .par_chunks_mut(CHUNK)
            .zip(indices.par_chunks(CHUNK))
            .for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&copied);
        start.elapsed().as_secs_f64()
    };
    copy();
    let copies: Vec<f64> = (0..repeats).map(|_| copy()).collect();
    let read = || {
        let start = Instant::now();
        for bytes in [indices, values] {
            black_box(bytes.par_chunks(CHUNK).map(sum).reduce(|| 0, u64::wrapping_add));
        }
        start.elapsed().as_secs_f64()
    };
    read();
    let reads: Vec<f64> = (0..repeats).map(|_| read()).collect();
    let bytes = |n: usize| n as u64;
    vec![
        Bandwidth::new("cpu", "copy", bytes(2 * indices.len()), Timer::Wall, copies),
        Bandwidth::new("cpu", "read", bytes(indices.len() + values.len()), Timer::Wall, reads),
    ]
}

/// The sum of all words: reading with hardly anything else to do.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
    words.fold(0_u32, u32::wrapping_add).into()
}

/// Every harmonized mover, in the order of the matrix.
pub(super) fn harmonized<V: Value>(seed: &FlowMatrix<V>, scaling: &Scaling, flows: &mut [f64]) {
    let movers = seed.movers();
    let ranges = row_ranges(movers.row_ptr(), 1 << 16);
    let mut parts = Vec::with_capacity(ranges.len());
    let mut rest = flows;
    for rows in ranges {
        let entries = movers.row_ptr()[rows.end] - movers.row_ptr()[rows.start];
        let part;
        (part, rest) = rest.split_at_mut(entries as usize);
        parts.push((rows, part));
    }
    parts.into_par_iter().for_each_init(Vec::new, |row, (rows, mut part)| {
        for i in rows {
            row.clear();
            kernels::harmonized_row(movers, scaling, i, row);
            let own;
            (own, part) = part.split_at_mut(row.len());
            own.copy_from_slice(row);
        }
    });
}
