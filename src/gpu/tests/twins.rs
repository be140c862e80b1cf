//! Matrices of every shape: all passes, all storages, all ways to compute.

use super::*;

fn assert_fixed_twins_of_all_lengths<V: Value>() {
    for without in WITHOUT {
        let device = open(without, Limits::default());
        assert_fixed_twins(&device, long_and_short::<V>(), 0);
    }
}

#[test]
fn fixed_equals_the_twin_f16() {
    assert_fixed_twins_of_all_lengths::<f16>();
}

#[test]
fn fixed_equals_the_twin_f32() {
    assert_fixed_twins_of_all_lengths::<f32>();
}

#[test]
fn fixed_equals_the_twin_f64() {
    assert_fixed_twins_of_all_lengths::<f64>();
}

#[test]
fn fixed_equals_the_twin_with_blocks_and_long_columns() {
    let device = open(WITHOUT[0], Limits::default());
    assert_fixed_twins(&device, transposed(&long_and_short::<f32>()), 2);
}

#[test]
fn fixed_equals_the_twin_with_blocks_and_the_fewest_features() {
    let device = open(WITHOUT[3], Limits::default());
    assert_fixed_twins(&device, transposed(&long_and_short::<f64>()), 1);
}

/// Sum of `terms`, far beyond the precision of f64.
fn exact_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut rest) = (0.0_f64, 0.0);
    for term in terms {
        let next = sum + term;
        let (large, small) = if sum.abs() >= term.abs() { (sum, term) } else { (term, sum) };
        rest += (large - next) + small;
        sum = next;
    }
    sum + rest
}

/// Sums of non-negative terms in floating point, within `allowed` of themselves or of `tiny`.
fn assert_near(what: &str, device: &[f64], exact: &[f64], (allowed, tiny): (f64, f64)) {
    assert_eq!(device.len(), exact.len(), "{what}");
    let error = |k: usize| {
        let e = (device[k] - exact[k]).abs() / exact[k].max(tiny);
        if e.is_nan() { f64::INFINITY } else { e }
    };
    let worst = (0..exact.len()).max_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(0);
    assert!(
        exact.is_empty() || error(worst) <= allowed,
        "{what}: worst at {worst}: device {:e}, exact {:e}, apart by {:e} of it",
        device[worst],
        exact[worst],
        error(worst)
    );
}

/// The same matrix with ones for seeds below the normal numbers of `f32`, which that refuses.
fn normal_in_single<V: Value>(movers: &Csr<V>) -> Csr<V> {
    let values = movers.values().iter().map(|&v| {
        let seed: f64 = v.into();
        if seed == 0.0 || (seed as f32).is_normal() { v } else { V::from_f64(1.0) }
    });
    let (row_ptr, col_idx) = (movers.row_ptr().to_vec(), movers.col_idx().to_vec());
    Csr::new(movers.columns(), row_ptr, col_idx, values.collect())
}

fn assert_floating_twins<V: Value>() {
    for without in [WITHOUT[0], WITHOUT[2]] {
        let device = open(without, Limits::default());
        for (movers, number_of_blocks) in
            [(long_and_short::<V>(), 0), (transposed(&long_and_short::<V>()), 2)]
        {
            let units = movers.rows();
            let matrix = FlowMatrix::new(vec![0.0; units], normal_in_single(&movers));
            let m = matrix.movers();
            let mut random = ChaCha8Rng::seed_from_u64(5);
            let scaling = scaling(units, number_of_blocks, &mut random);
            let on_device = Matrix::new(device.clone(), &matrix).unwrap();
            let columns = transposed(m);
            let exact = |m: &Csr<V>, term: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
                let line = |i: usize| {
                    let (others, values) = m.row(i);
                    exact_sum(
                        others.iter().zip(values).map(|(&j, &v)| v.into() * term(i, j as usize)),
                    )
                };
                (0..m.rows()).map(line).collect()
            };
            let origins = exact(m, &|i, j| scaling.mover(i, j));
            let destinations = exact(&columns, &|j, i| scaling.mover(i, j));
            let what = |pass| format!("{pass}, {:?}, {:?}", V::TYPE, device.features);
            let double = (4.0 * f64::EPSILON, 1e-290);
            let single = (16.0 * f64::from(f32::EPSILON), 1e-20);
            for (pass, sums, exact, allowed) in [
                ("origin_sums f64", on_device.origin_sums_f64(&scaling), &origins, double),
                (
                    "destination_sums f64",
                    on_device.destination_sums_f64(&scaling),
                    &destinations,
                    double,
                ),
                ("origin_sums f32", on_device.origin_sums_f32(&scaling), &origins, single),
                (
                    "destination_sums f32",
                    on_device.destination_sums_f32(&scaling),
                    &destinations,
                    single,
                ),
            ] {
                assert_near(&what(pass), &sums.unwrap(), exact, allowed);
            }
        }
    }
}

#[test]
fn floating_point_is_near_the_exact_sums_f16() {
    assert_floating_twins::<f16>();
}

#[test]
fn floating_point_is_near_the_exact_sums_f32() {
    assert_floating_twins::<f32>();
}

#[test]
fn floating_point_is_near_the_exact_sums_f64() {
    assert_floating_twins::<f64>();
}
