//! Passes over a matrix beside a plain streaming read of the same arrays: `cargo bench --bench
//! passes`, on a generated matrix, or with `FLOWRAKE_NATION=FOLDER` on the nation that `flowrake synth
//! nation` wrote there.
//!
//! Bytes are those of the seed's values and indices, counted once per pass over them, so that
//! bytes/s compare with the streaming read directly.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowrake::geography::{Geography, Level, Partition};
use flowrake::ipf::{Cpu, Entries, Groups, Margin, Scaling};
use flowrake::matrix::{AnyFlowMatrix, FlowMatrix, file};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const UNITS: usize = 60_000;
const MOVERS_PER_ORIGIN: usize = 272;
const STATES: usize = 15;
const COUNTIES: usize = 58; // per state

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

/// What is passed over.
struct Sample {
    matrix: FlowMatrix<f32>,
    counties: Arc<Partition>,
    states: Arc<Partition>,
}

impl Sample {
    fn new() -> Self {
        match std::env::var_os("FLOWRAKE_NATION") {
            Some(folder) => Self::read(Path::new(&folder)),
            None => Self::generate(),
        }
    }

    fn generate() -> Self {
        let part = |cells: usize| {
            let cell_of = (0..UNITS).map(|i| (i * cells / UNITS) as u32).collect();
            let codes = (0..cells).map(|c| c.to_string()).collect();
            Arc::new(Partition::from_parts("cells", cell_of, codes))
        };
        // Every county is in one state.
        Self { matrix: matrix(), counties: part(STATES * COUNTIES), states: part(STATES) }
    }

    fn read(folder: &Path) -> Self {
        let units = Geography::read(&folder.join("units.csv")).expect("the units of a nation");
        let seed =
            file::read(&folder.join("seed.npz"), Some(&units)).expect("the seed of a nation");
        let AnyFlowMatrix::F32(matrix) = seed.0 else { panic!("seeds of nations are float32") };
        let part = |level: &str| {
            Arc::new(Partition::new(&units, &Level::parse(level)).expect("block groups"))
        };
        Self { matrix, counties: part("county"), states: part("state") }
    }
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
    let Sample { matrix, counties, states } = Sample::new();
    let n = matrix.units();
    let units = Arc::new(Partition::from_parts(
        "geoid",
        (0..n as u32).collect(),
        (0..n).map(|i| i.to_string()).collect(),
    ));
    let cpu = Cpu::new(&matrix);
    let scaling = Scaling::identity(n);
    let all = |groups: Groups| Margin { groups, entries: Entries::All };
    let origin = all(Groups::Origin(units.clone()));
    let destination = all(Groups::Destination(units));

    let bytes = (matrix.movers().nnz() * 8) as u64;
    let mut group = criterion.benchmark_group("passes");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("plain streaming read", |b| b.iter(|| stream(black_box(&matrix))));
    // One sum after the other, as a plain loop over sparse rows does it.
    let d = &scaling.destination;
    let product = |i: usize| -> f64 {
        let (columns, values) = matrix.movers().row(i);
        columns.iter().zip(values).map(|(&j, &v)| f64::from(v) * d[j as usize]).sum()
    };
    group.bench_function("plain product with a vector", |b| {
        b.iter(|| (0..n).into_par_iter().with_min_len(1000).map(product).sum::<f64>());
    });
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
    // What a collapsed year reads the matrix for: a step of block groups with the collapse, and the
    // check of all margins in the end.
    let mut collapsed = scaling.clone();
    let populations = &rows;
    let step = |scaling: &mut Scaling| {
        cpu.step_then_collapse(&origin, &counties, scaling, |cell, sum| {
            factor(sum, populations[cell])
        })
    };
    step(&mut collapsed).expect("origins that are cells of their own");
    group.bench_function("a year, first pass: step and collapse to counties", |b| {
        b.iter(|| step(&mut scaling.clone()));
    });
    let blocks = all(Groups::Block(states.clone(), states.clone()));
    let arrivals = all(Groups::Destination(counties.clone()));
    let departures = all(Groups::Origin(counties.clone()));
    let state_movers =
        Margin { groups: Groups::Destination(states.clone()), entries: Entries::Movers };
    for margin in [&blocks, &arrivals, &departures, &state_movers] {
        let factors: Vec<f64> = (0..margin.cells()).map(|c| 1.0 + (c % 7) as f64 / 8.0).collect();
        collapsed.apply(margin, &factors);
    }
    let margins = [&origin, &state_movers, &blocks, &arrivals, &departures];
    group.bench_function("a year, last pass: all margins", |b| {
        b.iter(|| cpu.all_cell_sums(&margins, &collapsed));
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
