//! Movers arriving at each destination.

use std::ops::Range;

use super::add_row;
use super::fixed::{FixedScaling, Number};
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// Adds to `out[j]`, for every destination j, the movers from the origins `rows`, still to be
/// multiplied by the destination's own factor `d_j`:
///
/// ```text
/// out[j] += sum_{i in rows} o_i s_ij B(i, j)
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and 16 to and from the cache for `out[j]`.
pub fn destination_sums<V: Value>(
    movers: &Csr<V>,
    scaling: &Scaling,
    rows: Range<usize>,
    out: &mut [f64],
) {
    for i in rows {
        add_row(movers, scaling, i, scaling.origin[i], out);
    }
}

/// The same as counts of 2^units\[j\] persons, added to `out`: every term rounded down, but
/// not to 0, their sum exact.
pub fn fixed_destination_sums<V: Value>(
    movers: &Csr<V>,
    scaling: &FixedScaling,
    units: &[i32],
    rows: Range<usize>,
    out: &mut [u64],
) {
    for i in rows {
        let (columns, values) = movers.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            let j = j as usize;
            let factor = scaling.with_blocks(scaling.origin[i].number(), i, j);
            out[j] += Number::of_seed(v.into()).product(factor).in_units(units[j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn by_hand_before_the_destination_factor() {
        let mut out = [0.0; 3];
        // 0: 2*5*(1/4) = 2.5; 1: 1*2*16 + 4*4*16 = 288; 2: 1*3*8 = 24
        destination_sums(samples::matrix().movers(), &samples::scaling(), 0..3, &mut out);
        assert_eq!(out, [2.5, 288.0, 24.0]);
    }

    #[test]
    fn runs_of_neighbors_and_gaps_around_the_unrolling() {
        // Columns 0..n without column 20: one gap, so that some eights are runs and one is not.
        for n in [0_u32, 1, 7, 8, 9, 19, 30, 66] {
            let columns: Vec<u32> = (0..n).filter(|j| *j != 20).collect();
            let nnz = columns.len();
            let values: Vec<f32> = columns.iter().map(|&j| (j + 1) as f32).collect();
            let movers = Csr::new(66, vec![0, nnz as u64], columns, values);
            let mut scaling = Scaling::identity(66);
            scaling.origin = vec![2.0];
            let mut out = [0.0; 66];
            destination_sums(&movers, &scaling, 0..1, &mut out);
            for (j, sum) in (0_u32..).zip(out) {
                let expected = if j < n && j != 20 { f64::from(2 * (j + 1)) } else { 0.0 };
                assert_eq!(sum, expected, "length {n}, destination {j}");
            }
        }
    }

    #[test]
    fn adds_to_what_is_there() {
        let mut out = [1.0, 1.0, 1.0];
        destination_sums(samples::matrix().movers(), &Scaling::identity(3), 1..2, &mut out);
        assert_eq!(out, [6.0, 1.0, 1.0]);
    }

    #[test]
    fn fixed_by_hand() {
        let mut out = [0; 3];
        let scaling = FixedScaling::new(&samples::scaling());
        fixed_destination_sums(samples::matrix().movers(), &scaling, &[-1, 5, -3], 0..3, &mut out);
        assert_eq!(out, [5, 9, 192]); // 2.5, 288, 24
    }
}
