//! Limits, edges of the arithmetic, and errors.

use super::super::buffer;
use super::*;

/// Small limits, beside which a matrix of 200 units is large.
fn small(binding_bytes: u64, memory_bytes: u64) -> Limits {
    Limits { binding_bytes, buffer_bytes: binding_bytes, memory_bytes, workgroups: 3 }
}

fn small_rows<V: Value>(units: usize) -> Csr<V> {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let lengths: Vec<usize> =
        (0..units / 2).map(|_| random.random_range(0..units * 3 / 4)).collect();
    rows_of(units, &lengths, &mut random)
}

#[test]
fn splitting_and_streaming_show_in_no_bit() {
    // Panels of up to 2,048 entries: all, some or none of them resident.
    for memory in [u64::MAX, 50_000, 0] {
        assert_fixed_twins(&open(&[], small(1 << 13, memory)), small_rows::<f32>(200), 1);
    }
    // Of up to 1,024 or 512.
    let device = open(&[Feature::Subgroups], small(1 << 12, 20_000));
    assert_fixed_twins(&device, small_rows::<f16>(150), 0);
    assert_fixed_twins(&device, small_rows::<f64>(150), 0);
}

#[test]
fn a_row_across_panels() {
    // The factors of 100,003 units take 800,024 bytes; panels of 65,536 entries would do.
    let limits = Limits { binding_bytes: 1 << 21, memory_bytes: 0, ..Limits::default() };
    assert_fixed_twins(&open(&[], limits), long_and_short::<f64>(), 0);
}

/// The pass that sums origins, with factors of 1 and every unit 2^-20.
fn assert_plain_sums(device: &Arc<Device>, movers: Csr<f32>) {
    let matrix = FlowMatrix::new(vec![0.0; movers.rows()], movers);
    let scaling = FixedScaling::new(&Scaling::identity(matrix.units()));
    let units = vec![-20; matrix.units()];
    let sums = Matrix::new(device.clone(), &matrix).unwrap();
    let sums = sums.fixed_origin_sums(&scaling, &units).unwrap();
    assert_same("origin_sums", &sums, &twin_origin_sums(matrix.movers(), &scaling, &units));
}

#[test]
fn more_workgroups_than_fit_one_dimension() {
    // Four segments a workgroup without subgroups: 67,500 workgroups.
    let device = open(&[Feature::Subgroups], Limits::default());
    assert!(device.limits.workgroups <= 65_535, "{}", device.limits.workgroups);
    let rows = 270_000;
    let columns = (0..rows).map(|i| (i * 7) % rows).collect();
    let values = (0..rows).map(|i| i as f32).collect();
    assert_plain_sums(
        &device,
        Csr::new(rows as usize, (0..=u64::from(rows)).collect(), columns, values),
    );
}

#[test]
fn more_workgroups_than_fit_a_dispatch() {
    let limits = Limits { workgroups: 5, ..Limits::default() };
    let device = open(&[], limits);
    let lengths: Vec<usize> = (0..3000).map(|k| k % 70).collect();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    assert_plain_sums(&device, rows_of(5000, &lengths, &mut random));
}

#[test]
fn sums_of_all_their_bits() {
    // Rows whose sums lie just below and at powers of two, and units for just these bounds.
    for (without, most) in WITHOUT.into_iter().zip([1.0, 1e-300, 3e7, f64::MAX / 4.0]) {
        let device = open(without, Limits::default());
        let largest = 2.0 - f64::EPSILON;
        let most = 2.0_f64.powi(most.log2().floor() as i32);
        let rows: Vec<(Vec<u32>, Vec<f64>)> = [1_u32, 2, 4, 64, 65]
            .iter()
            .map(|&n| ((0..n).collect(), vec![largest * most / f64::from(n); n as usize]))
            .chain([(vec![3], vec![most]), (vec![3], vec![most.next_down()])])
            .collect();
        let mut rows = rows;
        rows.resize(65, (vec![], vec![]));
        let matrix = FlowMatrix::new(vec![0.0; 65], Csr::from_rows(65, &rows));
        let mut scaling = Scaling::identity(65);
        scaling.destination.fill(largest);
        let scaling = FixedScaling::new(&scaling);
        let m = matrix.movers();
        let [bounds, _] = bounds(m, |_, _, s| s / most * largest);
        // Powers of two scale units exactly.
        let power = most.log2() as i32;
        let unit = |b: &f64| unit_for(if *b > 0.0 { *b } else { 1.0 }, SUM_BITS) + power;
        let units: Vec<i32> = bounds.iter().map(unit).collect();
        let twin = twin_origin_sums(m, &scaling, &units);
        assert!(twin[0] >> 60 == 1 && twin[3] >> 60 == 1, "{twin:x?}");
        let on_device = Matrix::new(device, &matrix).unwrap();
        assert_same("origin_sums", &on_device.fixed_origin_sums(&scaling, &units).unwrap(), &twin);

        let (p, q) = (partition(65, 2), partition(65, 3));
        let unit = unit_for(bounds.iter().sum(), WIDE_SUM_BITS) + power;
        let twin = twin_class_sums(m, (&p, &q), &scaling, unit);
        assert!(twin.iter().any(|sum| sum >> 122 != 0), "{twin:x?}");
        let sums = on_device.fixed_class_sums(&p, &q, &scaling, unit).unwrap();
        assert_same("class_sums", &sums, &twin);
    }
}

#[test]
fn a_carry_runs_through_all_words_of_a_class() {
    // (2^53 - 1) + 2^53 (2^43 - 1) = 2^96 - 1, each from a row of its own, and 1.
    let values = [2.0_f64.powi(53) - 1.0, (2.0_f64.powi(43) - 1.0) * 2.0_f64.powi(53), 1.0];
    let rows: Vec<_> = values.iter().map(|&v| (vec![0], vec![v])).collect();
    let matrix = FlowMatrix::new(vec![0.0; 3], Csr::from_rows(3, &rows));
    let one = partition(3, 1);
    for without in WITHOUT {
        let on_device = Matrix::new(open(without, Limits::default()), &matrix).unwrap();
        let scaling = FixedScaling::new(&Scaling::identity(3));
        let sums = on_device.fixed_class_sums(&one, &one, &scaling, 0).unwrap();
        assert_eq!(sums, [1 << 96], "{:x}", sums[0]);
    }
}

#[test]
fn nothing_to_sum() {
    for units in [1, 3] {
        let movers = Csr::new(units, vec![0; units + 1], vec![], Vec::<f32>::new());
        assert_fixed_twins_of_none(movers);
    }
}

fn assert_fixed_twins_of_none(movers: Csr<f32>) {
    let units = movers.rows();
    let matrix = FlowMatrix::new(vec![0.0; units], movers);
    let on_device = Matrix::new(open(&[], Limits::default()), &matrix).unwrap();
    let (scaling, one) = (Scaling::identity(units), partition(units, 1));
    let fixed = FixedScaling::new(&scaling);
    assert_eq!(on_device.fixed_origin_sums(&fixed, &vec![0; units]).unwrap(), vec![0; units]);
    assert_eq!(on_device.destination_sums_f64(&scaling).unwrap(), vec![0.0; units]);
    assert_eq!(on_device.fixed_class_sums(&one, &one, &fixed, 0).unwrap(), [0]);
    assert!(on_device.harmonized_values(&scaling).unwrap().is_empty());
}

#[test]
fn negative_zeros_are_zeros() {
    assert_zeros_by_any_sign::<f16>();
    assert_zeros_by_any_sign::<f32>();
    assert_zeros_by_any_sign::<f64>();
}

fn assert_zeros_by_any_sign<V: Value>() {
    let device = open(&[], Limits::default());
    let [negative, positive] = [-0.0, 0.0].map(|zero| {
        let values = [zero, 3.0, zero].map(V::from_f64).to_vec();
        FlowMatrix::new(vec![0.0; 3], Csr::new(3, vec![0, 2, 3, 3], vec![0, 2, 1], values))
    });
    let scaling = Scaling::identity(3);
    let (fixed, one) = (FixedScaling::new(&scaling), partition(3, 1));
    let [negative, positive] =
        [&negative, &positive].map(|matrix| Matrix::new(device.clone(), matrix).unwrap());
    let sums = |m: &Matrix<V>| m.fixed_origin_sums(&fixed, &[40, 40, 40]).unwrap();
    assert_eq!(sums(&negative), sums(&positive));
    let classes = |m: &Matrix<V>| m.fixed_class_sums(&one, &one, &fixed, -60).unwrap();
    assert_eq!(classes(&negative), classes(&positive));
    let floating = |m: &Matrix<V>| (m.origin_sums_f64(&scaling), m.origin_sums_f32(&scaling));
    for m in [&negative, &positive] {
        let (double, single) = floating(m);
        assert_eq!((double.unwrap(), single.unwrap()), (vec![3.0, 0.0, 0.0], vec![3.0, 0.0, 0.0]));
        assert_eq!(m.harmonized_values(&scaling).unwrap(), [0.0, 3.0, 0.0]);
    }
}

fn problem<T: std::fmt::Debug>(result: crate::Result<T>) -> String {
    match result {
        Err(crate::Error::Device(problem)) => problem,
        other => panic!("expected a device error, found {other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let matrix = FlowMatrix::from_triplets(1000, &[(0, 1, 1.0_f32), (5, 7, 2.0)]);
    let scaling = Scaling::identity(1000);
    let device = open(&[], small(4096, 0));
    let on_device = Matrix::new(device.clone(), &matrix).unwrap();
    assert_eq!(
        problem(on_device.fixed_origin_sums(&FixedScaling::new(&scaling), &[0; 1000])),
        format!("{}: factors of lines: 8000 bytes, and it takes 4096 at once", device.info.name)
    );
    let on_device = Matrix::new(open(&[Feature::F64], Limits::default()), &matrix).unwrap();
    let text = problem(on_device.origin_sums_f64(&scaling));
    assert!(text.ends_with("has no 64-bit floating point"), "{text}");
}

#[test]
fn reports_of_the_device_are_errors() {
    let device = open(&[], Limits::default());
    let name = &device.info.name;
    let text = problem(buffer::storage(&device, "a test", 1 << 60));
    assert!(text.starts_with(&format!("{name}: a test: ")) && !text.ends_with('.'), "{text}");
    let too_large = buffer::checked(&device, "a test", || {
        Ok(device.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 1 << 60,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        }))
    });
    let text = problem(too_large);
    assert!(text.starts_with(name) && text.ends_with(" (a test)"), "{text}");
}

#[test]
fn a_lost_device_is_an_error() {
    let device = open(&[], Limits::default());
    let matrix = FlowMatrix::new(vec![0.0; 200], small_rows::<f32>(200));
    let on_device = Matrix::new(device.clone(), &matrix).unwrap();
    let scaling = FixedScaling::new(&Scaling::identity(200));
    on_device.fixed_origin_sums(&scaling, &[-20; 200]).unwrap();
    device.device.destroy();
    let text = problem(on_device.fixed_origin_sums(&scaling, &[-20; 200]));
    assert!(text.contains("the device was lost"), "{text}");
    problem(on_device.fixed_destination_sums(&scaling, &[-20; 200]));
    problem(on_device.harmonized_values(&Scaling::identity(200)));
}
