//! An origin step and the destination sums after it, in one pass.

use std::ops::Range;

use super::class_sums::row_to_classes;
use super::{ClassSums, LANES, Weights, add_lanes, row_sum};
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// What a destination needs in a pass that reads its factor and adds to its sum: side by side, since
/// whoever waits for one from memory then has the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Destination {
    /// Factor d.
    pub factor: f64,
    /// Movers arriving, before their factor d.
    pub sum: f64,
}

/// For every origin i of `rows`, whose factor is `f_i` = `factor(i, movers of i)`:
///
/// ```text
/// sums[i - rows.start]    = o_i * sum_j s_ij d_j B(i, j)
/// factors[i - rows.start] = f_i
/// out[j].sum             += o_i f_i s_ij B(i, j)               d_j = out[j].factor
/// ```
///
/// in persons: [`origin_sums`](super::origin_sums), a step, and
/// [`destination_sums`](super::destination_sums), to the same bits. A row is read from memory once
/// and from the cache the second time: half the bytes of the two passes.
pub fn origin_step<V: Value>(
    movers: &Csr<V>,
    scaling: &Scaling,
    rows: Range<usize>,
    factor: impl Fn(usize, f64) -> f64,
    (sums, factors): (&mut [f64], &mut [f64]),
    out: &mut [Destination],
) {
    assert_eq!((sums.len(), factors.len()), (rows.len(), rows.len()), "one sum per origin");
    assert_eq!(out.len(), movers.columns(), "one factor and sum per destination");
    for ((i, sum), f) in rows.zip(sums).zip(factors) {
        let o = scaling.origin[i];
        let step = |sum: f64| {
            let sum = o * sum;
            let f = factor(i, sum);
            (sum, f, o * f)
        };
        let (columns, values) = movers.row(i);
        (*sum, *f) = match scaling.blocks.as_slice() {
            [] => step_row(columns, values, out, |flow, _| flow, step),
            [block] => {
                let block = block.row(i);
                step_row(columns, values, out, |flow, j| flow * block.factor(j), step)
            }
            blocks => {
                let all = |flow, j| blocks.iter().fold(flow, |f, b| f * b.row(i).factor(j));
                step_row(columns, values, out, all, step)
            }
        };
    }
}

/// One row: its sum with factors and block factors, what `step` makes of that (sum, factor, and what
/// its flows are multiplied by then), and its flows added to the destinations.
#[inline]
fn step_row<V: Value>(
    columns: &[u32],
    values: &[V],
    out: &mut [Destination],
    times_blocks: impl Fn(f64, usize) -> f64,
    step: impl Fn(f64) -> (f64, f64, f64),
) -> (f64, f64) {
    let (eights, last_columns) = columns.as_chunks::<LANES>();
    let (of_eights, last_values) = values.as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    for (c, v) in eights.iter().zip(of_eights) {
        for lane in 0..LANES {
            let j = c[lane] as usize;
            // SAFETY: the only caller passes a row of a Csr, whose columns are below its number of
            // columns, and has checked that this is the length of out.
            let d = unsafe { out.get_unchecked(j) }.factor;
            sums[lane] += v[lane].into() * times_blocks(d, j);
        }
    }
    let weight = |j: usize| times_blocks(out[j].factor, j);
    let (sum, factor, origin) = step(add_lanes(sums, last_columns, last_values, weight));
    for (c, v) in eights.iter().zip(of_eights) {
        for lane in 0..LANES {
            let j = c[lane] as usize;
            // SAFETY: as above.
            let own = unsafe { out.get_unchecked_mut(j) };
            own.sum += times_blocks(origin * v[lane].into(), j);
        }
    }
    for (&j, &v) in last_columns.iter().zip(last_values) {
        let j = j as usize;
        out[j].sum += times_blocks(origin * v.into(), j);
    }
    (sum, factor)
}

/// For every origin i of `rows`, whose factor is `f_i` = `factor(i, movers of i)`, with weights w
/// (destinations times blocks):
///
/// ```text
/// steps[k] = (o_i * sum_j s_ij w_ij, f_i)                             i = rows[k]
/// out_q   += sum_{i in rows} sum_{j in q} o_i f_i s_ij w_ij
/// ```
///
/// in persons: [`origin_sums`](super::origin_sums), a step, and
/// [`class_sums`](super::class_sums), to the same bits. A row is read from memory once and from the
/// cache the second time.
pub fn origin_step_to_classes<V: Value>(
    movers: &Csr<V>,
    (origin, weights): (&[f64], &Weights),
    rows: &[u32],
    factor: impl Fn(usize, f64) -> f64,
    (steps, out): (&mut [(f64, f64)], &mut ClassSums),
) {
    assert_eq!(steps.len(), rows.len(), "one step per origin");
    for (&i, step) in rows.iter().zip(steps) {
        let i = i as usize;
        let sum = origin[i] * row_sum(movers, weights, i);
        let f = factor(i, sum);
        *step = (sum, f);
        row_to_classes(movers, i, origin[i] * f, weights, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{class_sums, destination_sums, origin_sums, samples};
    use super::*;

    #[test]
    fn equals_the_two_passes() {
        let matrix = samples::matrix();
        let mut scaling = samples::scaling();
        let (mut sums, mut factors) = ([0.0; 3], [0.0; 3]);
        let mut out = [0, 1, 2].map(|j| Destination { factor: scaling.destination[j], sum: 0.0 });
        let factor = |i: usize, sum: f64| (i + 1) as f64 / sum;
        let step = (sums.as_mut_slice(), factors.as_mut_slice());
        origin_step(matrix.movers(), &scaling, 0..3, factor, step, &mut out);

        let mut expected = [0.0; 3];
        let (movers, weights) = (matrix.movers(), Weights::of(&scaling));
        origin_sums(movers, &scaling.origin, &weights, 0..3, &mut expected);
        assert_eq!(sums, expected);
        assert_eq!(factors, [1.0 / 64.0, 2.0 / 2.5, 3.0 / 128.0]);
        for (own, f) in scaling.origin.iter_mut().zip(factors) {
            *own *= f;
        }
        let mut expected = [0.0; 3];
        destination_sums(matrix.movers(), &scaling, 0..3, &mut expected);
        assert_eq!(out.map(|own| own.sum), expected);
    }

    #[test]
    fn to_classes_equals_the_two_passes() {
        let (matrix, mut scaling, classes) =
            (samples::matrix(), samples::scaling(), samples::partition());
        let factor = |i: usize, sum: f64| (i + 1) as f64 / sum;
        for plain in [false, true] {
            if plain {
                scaling = Scaling::identity(3);
            }
            let (mut steps, mut out) = ([(0.0, 0.0); 2], ClassSums::new(&classes));
            let weights = Weights::toward(&scaling, &classes);
            assert_eq!(matches!(weights, Weights::Ones), plain);
            let (movers, rows) = (matrix.movers(), [0, 2]);
            let into = (steps.as_mut_slice(), &mut out);
            let by = (scaling.origin.as_slice(), &weights);
            origin_step_to_classes(movers, by, &rows, factor, into);
            let sums = if plain { [5.0, 4.0] } else { [64.0, 128.0] };
            assert_eq!(steps, [(sums[0], 1.0 / sums[0]), (sums[1], 3.0 / sums[1])]);
            scaling.origin[0] *= 1.0 / sums[0];
            scaling.origin[2] *= 3.0 / sums[1];
            let mut expected = ClassSums::new(&classes);
            let weights = Weights::toward(&scaling, &classes);
            class_sums(movers, &scaling.origin, &weights, [0, 2], &mut expected);
            assert!(out.sums().eq(expected.sums()));
        }
    }

    #[test]
    fn every_length_around_the_unrolling() {
        for n in [0_u32, 1, 7, 8, 9, 24, 66] {
            for step in [1, 2] {
                let columns: Vec<u32> = (0..n).map(|k| k * step).collect();
                let values: Vec<f32> = (0..n).map(|k| (k + 1) as f32).collect();
                let movers = Csr::new(132, vec![0, u64::from(n)], columns, values);
                let mut scaling = Scaling::identity(132);
                scaling.origin = vec![0.5];
                scaling.destination = (1..=132).map(f64::from).collect();
                let (mut sums, mut factors) = ([0.0], [0.0]);
                let of = |&factor| Destination { factor, sum: 1.0 };
                let mut out: Vec<Destination> = scaling.destination.iter().map(of).collect();
                let into = (sums.as_mut_slice(), factors.as_mut_slice());
                origin_step(&movers, &scaling, 0..1, |_, _| 4.0, into, &mut out);
                let expected: u32 = (0..n).map(|k| (k + 1) * (k * step + 1)).sum();
                assert_eq!((sums[0], factors[0]), (0.5 * f64::from(expected), 4.0), "length {n}");
                for (j, own) in (0_u32..).zip(&out) {
                    let flow = if j % step == 0 && j / step < n { j / step + 1 } else { 0 };
                    assert_eq!(own.sum, 1.0 + 2.0 * f64::from(flow), "length {n}, column {j}");
                }
            }
        }
    }
}
