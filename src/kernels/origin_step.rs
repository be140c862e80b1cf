//! An origin step and the destination sums after it, in one pass.

use std::ops::Range;

use super::{add_row, row_sum};
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// For every origin i of `rows`, whose factor is `f_i` = `factor(i, movers of i)`:
///
/// ```text
/// sums[i - rows.start]    = o_i * sum_j s_ij d_j B(i, j)
/// factors[i - rows.start] = f_i
/// out[j]                 += o_i f_i s_ij B(i, j)
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
    out: &mut [f64],
) {
    assert_eq!((sums.len(), factors.len()), (rows.len(), rows.len()), "one sum per origin");
    for ((i, sum), f) in rows.zip(sums).zip(factors) {
        *sum = scaling.origin[i] * row_sum(movers, scaling, i);
        *f = factor(i, *sum);
        add_row(movers, scaling, i, scaling.origin[i] * *f, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{destination_sums, origin_sums, samples};
    use super::*;

    #[test]
    fn equals_the_two_passes() {
        let matrix = samples::matrix();
        let mut scaling = samples::scaling();
        let (mut sums, mut factors, mut out) = ([0.0; 3], [0.0; 3], [0.0; 3]);
        let factor = |i: usize, sum: f64| (i + 1) as f64 / sum;
        let step = (sums.as_mut_slice(), factors.as_mut_slice());
        origin_step(matrix.movers(), &scaling, 0..3, factor, step, &mut out);

        let mut expected = [0.0; 3];
        origin_sums(matrix.movers(), &scaling, 0..3, &mut expected);
        assert_eq!(sums, expected);
        assert_eq!(factors, [1.0 / 64.0, 2.0 / 2.5, 3.0 / 128.0]);
        for (own, f) in scaling.origin.iter_mut().zip(factors) {
            *own *= f;
        }
        let mut expected = [0.0; 3];
        destination_sums(matrix.movers(), &scaling, 0..3, &mut expected);
        assert_eq!(out, expected);
    }
}
