//! One pass, one direct iteration and the collapse, beside a plain streaming read of the same
//! arrays: `cargo bench --bench passes`.
//!
//! Bytes are those of the seed's values and indices, counted once per pass over them, so that
//! bytes/s compare with the streaming read directly.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowrake::geography::Partition;
use flowrake::ipf::{Cpu, Entries, Groups, Margin, Scaling};
use flowrake::matrix::FlowMatrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const UNITS: usize = 60_000;
const MOVERS_PER_ORIGIN: usize = 272;
const COUNTIES: usize = 870;

/// A matrix of the shape of national ones at a quarter of their size: four fifths of the
/// destinations nearby, the rest anywhere.
fn matrix() -> FlowMatrix<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut triplets = Vec::new();
    for i in 0..UNITS {
        for _ in 0..MOVERS_PER_ORIGIN {
            let j = if rng.random_bool(0.8) {
                (i + UNITS + rng.random_range(0..1000) - 500) % UNITS
            } else {
                rng.random_range(0..UNITS)
            };
            triplets.push((i as u32, j as u32, rng.random_range(0.01..1.0)));
        }
        triplets.push((i as u32, i as u32, 1000.0));
    }
    FlowMatrix::from_triplets(UNITS, &triplets)
}

fn counties() -> Arc<Partition> {
    let cell_of = (0..UNITS).map(|i| (i * COUNTIES / UNITS) as u32).collect();
    let codes = (0..COUNTIES).map(|c| c.to_string()).collect();
    Arc::new(Partition::from_parts("county", cell_of, codes))
}

/// Reads every value and index once, as fast as the memory allows.
fn stream(matrix: &FlowMatrix<f32>) -> u64 {
    let movers = matrix.movers();
    let words: &[u32] = bytemuck::cast_slice(movers.values());
    let sum = |words: &[u32]| -> u64 {
        words
            .par_chunks(1 << 17)
            .map(|chunk| chunk.iter().fold(0_u32, |s, w| s.wrapping_add(*w)))
            .map(u64::from)
            .sum()
    };
    sum(words).wrapping_add(sum(movers.col_idx()))
}

fn passes(criterion: &mut Criterion) {
    let matrix = matrix();
    let units = Arc::new(Partition::from_parts(
        "geoid",
        (0..UNITS as u32).collect(),
        (0..UNITS).map(|i| i.to_string()).collect(),
    ));
    let counties = counties();
    let cpu = Cpu::new(&matrix);
    let scaling = Scaling::identity(UNITS);
    let origin = Margin { groups: Groups::Origin(units.clone()), entries: Entries::All };
    let destination = Margin { groups: Groups::Destination(units), entries: Entries::All };

    let bytes = (matrix.movers().nnz() * 8) as u64;
    let mut group = criterion.benchmark_group("passes");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("plain streaming read", |b| b.iter(|| stream(black_box(&matrix))));
    group.bench_function("origin sums", |b| b.iter(|| cpu.cell_sums(&origin, &scaling)));
    group.bench_function("destination sums", |b| b.iter(|| cpu.cell_sums(&destination, &scaling)));
    group.bench_function("collapse to counties", |b| {
        b.iter(|| cpu.collapse(&counties, &scaling));
    });

    // What the direct solver repeats: a column step with the sums at hand, then a row step in one
    // pass with the column sums after it. Beside it, the two steps in a pass each.
    let rows = cpu.cell_sums(&origin, &scaling);
    let columns = cpu.cell_sums(&destination, &scaling);
    let factor = |sum: f64, target: f64| if sum > 0.0 { 1.01 * target / sum } else { 1.0 };
    let factors = |sums: &[f64], targets: &[f64]| -> Vec<f64> {
        sums.iter().zip(targets).map(|(s, t)| factor(*s, *t)).collect()
    };
    assert!(Cpu::<f32>::can_fuse(&origin, &destination));
    group.bench_function("one direct iteration, one pass", |b| {
        b.iter(|| {
            let mut scaling = scaling.clone();
            scaling.apply(&destination, &factors(&columns, &columns));
            cpu.step_then_sums(&origin, &destination, &mut scaling, |cell, sum| {
                factor(sum, rows[cell])
            })
        });
    });
    group.throughput(Throughput::Bytes(2 * bytes));
    group.bench_function("one direct iteration, two passes", |b| {
        b.iter(|| {
            let mut scaling = scaling.clone();
            for (margin, targets) in [(&destination, &columns), (&origin, &rows)] {
                let sums = cpu.cell_sums(margin, &scaling);
                scaling.apply(margin, &factors(&sums, targets));
            }
            scaling
        });
    });
    group.bench_function("two plain streaming reads", |b| {
        b.iter(|| stream(black_box(&matrix)).wrapping_add(stream(black_box(&matrix))));
    });
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
