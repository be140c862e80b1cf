//! Every pass on a device equals its twin on the CPU.

mod edges;
mod twins;

use std::sync::Arc;

use half::f16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::device::{Feature, Limits};
use super::{Device, Matrix, Options};
use crate::geography::Partition;
use crate::ipf::{Entries, Groups, Margin, Scaling};
use crate::kernels::fixed::{FixedScaling, SUM_BITS, WIDE_SUM_BITS, unit_for};
use crate::kernels::{self};
use crate::matrix::{Csr, FlowMatrix, Value};

fn open(without: &[Feature], limits: Limits) -> Arc<Device> {
    let options =
        Options { allow_software: true, without: without.to_vec(), limits, ..Options::default() };
    Device::open(&options).unwrap_or_else(|problem| {
        panic!("{problem}: these tests need one; install libvulkan1 and mesa-vulkan-drivers")
    })
}

/// With and without 64-bit integers and subgroups.
const WITHOUT: [&[Feature]; 4] =
    [&[], &[Feature::Int64], &[Feature::Subgroups], &[Feature::Int64, Feature::Subgroups]];

/// Lengths around subgroups, teams, workgroups and segments.
fn lengths() -> Vec<usize> {
    let around = |w: usize| [w - 1, w, w + 1, 3 * w, 8 * w + 2];
    [0, 1].into_iter().chain([8, 32, 128, 1024].into_iter().flat_map(around)).collect()
}

/// A matrix whose rows have these lengths, every third of them preceded by an empty one; columns
/// are spread, or neighbors.
fn rows_of<V: Value>(units: usize, lengths: &[usize], random: &mut ChaCha8Rng) -> Csr<V> {
    let mut rows = Vec::new();
    for (k, &length) in lengths.iter().enumerate() {
        if k % 3 == 0 {
            rows.push((Vec::new(), Vec::new()));
        }
        let step = if k % 2 == 0 { units / length.max(1) } else { 1 };
        let first = random.random_range(0..=units - length.max(1) * step.max(1)) as u32;
        let columns: Vec<u32> = (0..length as u32).map(|c| first + c * step as u32).collect();
        let values = columns.iter().map(|_| V::from_f64(seed(random))).collect();
        rows.push((columns, values));
    }
    rows.resize(units, (Vec::new(), Vec::new()));
    Csr::from_rows(units, &rows)
}

/// Zeros, subnormal numbers of f16 and f32, and flows.
fn seed(random: &mut ChaCha8Rng) -> f64 {
    match random.random_range(0..20) {
        0 => 0.0,
        1 => 6e-8 * random.random_range(0.0..100.0),
        2 => 1e-45 * random.random_range(0.0..1e5),
        3 => 5e-324 * random.random_range(0.0..1e12_f64).round(),
        _ => random.random_range(0.0..1000.0),
    }
}

/// The same matrix with rows and columns exchanged.
fn transposed<V: Value>(matrix: &Csr<V>) -> Csr<V> {
    let columns = super::columns::Columns::of(matrix);
    Csr::new(matrix.rows(), columns.col_ptr, columns.rows, columns.values)
}

fn factor(random: &mut ChaCha8Rng) -> f64 {
    match random.random_range(0..16) {
        0 => 0.0,
        1 => random.random_range(0.0..1e-5),
        2 => random.random_range(0.0..1e5),
        _ => random.random_range(0.5..2.0),
    }
}

/// Cells that are not contiguous.
fn partition(units: usize, cells: u32) -> Arc<Partition> {
    let cell_of = (0..units as u32).map(|i| if i < cells { i } else { (i * 11 + i / 6) % cells });
    let cell_of = cell_of.collect();
    let codes = (0..cells).map(|c| c.to_string()).collect();
    Arc::new(Partition::from_parts(format!("{cells}"), cell_of, codes))
}

/// Random factors, with this many blocks.
fn scaling(units: usize, blocks: u32, random: &mut ChaCha8Rng) -> Scaling {
    let mut scaling = Scaling::identity(units);
    scaling.origin.fill_with(|| factor(random));
    scaling.destination.fill_with(|| factor(random));
    for b in 0..blocks {
        let (p, q) = (partition(units, 3 + b), partition(units, 5 + 2 * b));
        let factors: Vec<f64> = (0..p.cells() * q.cells()).map(|_| factor(random)).collect();
        let margin = Margin { groups: Groups::Block(p, q), entries: Entries::Movers };
        scaling.apply(&margin, &factors);
    }
    scaling
}

/// Units with room for sums of about these sizes.
fn units_for(bounds: impl IntoIterator<Item = f64>) -> Vec<i32> {
    let unit = |bound: f64| unit_for(if bound > 0.0 { bound * 1.000_001 } else { 1.0 }, SUM_BITS);
    bounds.into_iter().map(unit).collect()
}

/// Fails with the entry whose values are farthest apart.
fn assert_same<T: Copy + PartialEq + Into<u128> + std::fmt::Debug>(
    what: &str,
    device: &[T],
    twin: &[T],
) {
    assert_eq!(device.len(), twin.len(), "{what}");
    let apart = |k: &usize| device[*k].into().abs_diff(twin[*k].into());
    if let Some(k) = (0..twin.len()).max_by_key(apart).filter(|k| apart(k) != 0) {
        let wrong = (0..twin.len()).filter(|k| apart(k) != 0).count();
        panic!(
            "{what}: {wrong} of {} differ, most at {k}: device {:#x}, twin {:#x}",
            twin.len(),
            device[k].into(),
            twin[k].into()
        );
    }
}

fn twin_origin_sums<V: Value>(m: &Csr<V>, scaling: &FixedScaling, units: &[i32]) -> Vec<u64> {
    let mut out = vec![0; m.rows()];
    kernels::fixed_origin_sums(m, scaling, units, 0..m.rows(), &mut out);
    out
}

fn twin_destination_sums<V: Value>(m: &Csr<V>, scaling: &FixedScaling, units: &[i32]) -> Vec<u64> {
    let mut out = vec![0; m.columns()];
    kernels::fixed_destination_sums(m, scaling, units, 0..m.rows(), &mut out);
    out
}

/// All movers between classes, row by row.
fn twin_class_sums<V: Value>(
    m: &Csr<V>,
    (p, q): (&Partition, &Partition),
    scaling: &FixedScaling,
    unit: i32,
) -> Vec<u128> {
    let mut out = vec![0; p.cells() * q.cells()];
    for (cell, out) in (0..).zip(out.chunks_mut(q.cells())) {
        let rows: Vec<u32> =
            (0..m.rows() as u32).filter(|&i| p.cell_of()[i as usize] == cell).collect();
        kernels::fixed_class_sums(m, scaling, unit, &rows, q.cell_of(), out);
    }
    out
}

/// Sums of absolute terms `term(i, j, seed)` by origin and by destination, in plain `f64`.
fn bounds<V: Value>(m: &Csr<V>, term: impl Fn(usize, usize, f64) -> f64) -> [Vec<f64>; 2] {
    let (mut by_origin, mut by_destination) = (vec![0.0; m.rows()], vec![0.0; m.columns()]);
    for (i, leaving) in by_origin.iter_mut().enumerate() {
        let (columns, values) = m.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            let t = term(i, j as usize, v.into());
            *leaving += t;
            by_destination[j as usize] += t;
        }
    }
    [by_origin, by_destination]
}

fn blocks(scaling: &Scaling, i: usize, j: usize) -> f64 {
    scaling.blocks.iter().map(|b| b.row(i).factor(j)).product()
}

/// Every fixed-point pass over a matrix, on one device.
fn assert_fixed_twins<V: Value>(device: &Arc<Device>, movers: Csr<V>, number_of_blocks: u32) {
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(number_of_blocks));
    let units = movers.rows();
    let matrix = FlowMatrix::new(vec![0.0; units], movers);
    let m = matrix.movers();
    let [before, after] = [0, 1].map(|more| scaling(units, number_of_blocks + more, &mut random));
    let [fixed, fixed_after] = [&before, &after].map(FixedScaling::new);
    let on_device = Matrix::new(device.clone(), &matrix).unwrap();
    let what =
        |pass| format!("{pass}, {:?}, {number_of_blocks} blocks, {:?}", V::TYPE, device.features);

    let [bound, _] = bounds(m, |i, j, s| s * before.destination[j] * blocks(&before, i, j));
    let line_units = units_for(bound);
    let sums = on_device.fixed_origin_sums(&fixed, &line_units).unwrap();
    assert_same(&what("origin_sums"), &sums, &twin_origin_sums(m, &fixed, &line_units));

    let [_, bound] = bounds(m, |i, j, s| s * before.origin[i] * blocks(&before, i, j));
    let line_units = units_for(bound);
    let sums = on_device.fixed_destination_sums(&fixed, &line_units).unwrap();
    assert_same(&what("destination_sums"), &sums, &twin_destination_sums(m, &fixed, &line_units));

    let [bound, _] = bounds(m, |i, j, s| s * (before.mover(i, j) + after.mover(i, j)));
    let line_units = units_for(bound.clone());
    let sums = on_device.fixed_l1_change(&fixed, &fixed_after, &line_units).unwrap();
    let mut twin = vec![0; units];
    kernels::fixed_l1_change(m, &fixed, &fixed_after, &line_units, 0..units, &mut twin);
    assert_same(&what("l1_change"), &sums, &twin);

    let unit = unit_for(bound.iter().sum::<f64>().max(1e-300), WIDE_SUM_BITS);
    let (p, q) = (partition(units, 4), partition(units, 9));
    let sums = on_device.fixed_class_sums(&p, &q, &fixed, unit).unwrap();
    assert_same(&what("class_sums"), &sums, &twin_class_sums(m, (&p, &q), &fixed, unit));

    let mut flows = on_device.harmonized_values(&before).unwrap();
    let mut twin = Vec::new();
    for i in 0..units {
        kernels::harmonized_row(m, &before, i, &mut twin);
        let (columns, values) = m.row(i);
        let first = twin.len() - columns.len();
        for (k, (&j, &v)) in (first..).zip(columns.iter().zip(values)) {
            // The device keeps all bits of a product below 2^-1022 that is multiplied further.
            let mut flow = before.origin[i] * v.into();
            let mut small = flow < f64::MIN_POSITIVE;
            let others = before.blocks.iter().map(|b| b.row(i).factor(j as usize));
            for f in std::iter::once(before.destination[j as usize]).chain(others) {
                flow *= f;
                small |= flow < f64::MIN_POSITIVE;
            }
            if small {
                assert!(flows[k] < 1e-290 && twin[k] < 1e-290, "{}", what("harmonized_row"));
                (flows[k], twin[k]) = (0.0, 0.0);
            }
        }
    }
    let [bits, twin_bits] =
        [&flows, &twin].map(|f| f.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    assert_same(&what("harmonized_row"), &bits, &twin_bits);
}

/// Rows of all lengths and one of 100,000 entries.
fn long_and_short<V: Value>() -> Csr<V> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut all = lengths();
    all.push(100_000);
    rows_of(100_003, &all, &mut random)
}
