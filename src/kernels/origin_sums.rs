//! Movers leaving each origin.

use std::ops::Range;

use super::fixed::{FixedScaling, Number};
use super::{Weights, row_sum};
use crate::matrix::{Csr, Value};

/// For every origin i of `rows`, with factors o (origin) and weights w (destinations d times blocks
/// B):
///
/// ```text
/// out[i - rows.start] = o_i * sum_j s_ij w_ij
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and 8 from the cache for `d_j`.
pub fn origin_sums<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weights: &Weights,
    rows: Range<usize>,
    out: &mut [f64],
) {
    assert_eq!(out.len(), rows.len(), "one sum per origin");
    for (i, sum) in rows.zip(out) {
        *sum = origin[i] * row_sum(movers, weights, i);
    }
}

/// The same without the origins' own factors, as counts of 2^units\[i\] persons: every term rounded
/// down, but not to 0, their sum exact.
pub fn fixed_origin_sums<V: Value>(
    movers: &Csr<V>,
    scaling: &FixedScaling,
    units: &[i32],
    rows: Range<usize>,
    out: &mut [u64],
) {
    assert_eq!(out.len(), rows.len(), "one sum per origin");
    for (i, sum) in rows.zip(out) {
        let (columns, values) = movers.row(i);
        let terms = columns.iter().zip(values).map(|(&j, &v)| {
            let j = j as usize;
            let factor = scaling.with_blocks(scaling.destination[j].number(), i, j);
            Number::of_seed(v.into()).product(factor).in_units(units[i])
        });
        *sum = terms.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::ipf::Scaling;

    /// Sums of all rows.
    fn sums<V: Value>(movers: &Csr<V>, scaling: &Scaling, weights: &Weights) -> Vec<f64> {
        let mut out = vec![0.0; movers.rows()];
        origin_sums(movers, &scaling.origin, weights, 0..movers.rows(), &mut out);
        out
    }

    #[test]
    fn by_hand() {
        let (matrix, classes, mut scaling) =
            (samples::matrix(), samples::partition(), samples::scaling());
        let of = |scaling: &Scaling| {
            let all = sums(matrix.movers(), scaling, &Weights::of(scaling));
            let toward = Weights::toward(scaling, &classes);
            assert_eq!(sums(matrix.movers(), scaling, &toward), all, "{toward:?}");
            all
        };
        // 0: 2*(1/2)*16 + 3*2*8 = 64; 1: 2 * 5*1*(1/4) = 2.5; 2: 4 * 4*(1/2)*16 = 128
        assert_eq!(of(&scaling), [64.0, 2.5, 128.0]);
        // Two blocks: both factors count.
        scaling.blocks.push(scaling.blocks[0].clone());
        assert_eq!(of(&scaling), [2.0 * 0.5 * 256.0 + 3.0 * 2.0 * 64.0, 0.625, 2048.0]);
        // Without blocks, 0: 2*(1/2) + 3*2 = 7; 1: 2*5 = 10; 2: 4*4*(1/2) = 8.
        scaling.blocks.clear();
        assert_eq!(of(&scaling), [7.0, 10.0, 8.0]);
        // Destinations of a class alike, 0: 2*(1/2) + 3*2 = 7; 1: 2*5*2 = 20; 2: 4*4*(1/2) = 8.
        scaling.destination = vec![2.0, 0.5, 2.0];
        assert!(matches!(Weights::toward(&scaling, &classes), Weights::Classes(..)));
        assert_eq!(of(&scaling), [7.0, 20.0, 8.0]);
        assert_eq!(of(&Scaling::identity(3)), [5.0, 5.0, 4.0]);
    }

    #[test]
    fn every_length_around_the_unrolling() {
        for n in [0_u32, 1, 7, 8, 9, 24, 66] {
            // Neighboring columns, then every second one.
            for step in [1, 2] {
                let columns: Vec<u32> = (0..n).map(|k| k * step).collect();
                let nnz = columns.len();
                let movers = Csr::new(132, vec![0, nnz as u64], columns, vec![1.0_f32; nnz]);
                let mut scaling = Scaling::identity(132);
                scaling.destination = (1..=132).map(f64::from).collect();
                let expected: u32 = (0..n).map(|k| k * step + 1).sum();
                let found = sums(&movers, &scaling, &Weights::of(&scaling));
                assert_eq!(found, [f64::from(expected)], "length {n}, step {step}");
            }
        }
    }

    #[test]
    fn fixed_by_hand() {
        let mut out = [0; 3];
        // Before the origin factors: 2*(1/2)*16 + 3*2*8 = 64; 5*1*(1/4) = 5/4; 4*(1/2)*16 = 32
        fixed_origin_sums(
            samples::matrix().movers(),
            &FixedScaling::new(&samples::scaling()),
            &[0, -2, 3],
            0..3,
            &mut out,
        );
        assert_eq!(out, [64, 5, 4]);
    }
}
