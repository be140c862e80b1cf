//! How far apart two scalings put the movers.

use std::ops::Range;

use super::fixed::{FixedScaling, Number};
use super::weighted_sum;
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// sum over the movers of the origins `rows` of `s_ij |f_ij - g_ij|`, in persons, where f and g are
/// the factors of the entry under the two scalings.
pub fn l1_change<V: Value>(
    movers: &Csr<V>,
    before: &Scaling,
    after: &Scaling,
    rows: Range<usize>,
) -> f64 {
    rows.map(|i| {
        let (columns, values) = movers.row(i);
        weighted_sum(columns, values, |j| (after.mover(i, j) - before.mover(i, j)).abs())
    })
    .sum()
}

/// The same for every origin, as counts of 2^units\[i\] persons: every flow rounded down, but not to
/// 0, the sum of their differences exact.
pub fn fixed_l1_change<V: Value>(
    movers: &Csr<V>,
    before: &FixedScaling,
    after: &FixedScaling,
    units: &[i32],
    rows: Range<usize>,
    out: &mut [u64],
) {
    assert_eq!(out.len(), rows.len(), "one sum per origin");
    for (i, sum) in rows.zip(out) {
        let (columns, values) = movers.row(i);
        let changes = columns.iter().zip(values).map(|(&j, &v)| {
            let seed = Number::of_seed(v.into());
            let [b, a] =
                [before, after].map(|f| seed.product(f.mover(i, j as usize)).in_units(units[i]));
            a.abs_diff(b)
        });
        *sum = changes.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn by_hand() {
        let m = samples::matrix();
        // factors 8 and 16 on 2 and 3; 1/2 on 5; 32 on 4: changes 14, 45, 2.5, 124
        let change = l1_change(m.movers(), &Scaling::identity(3), &samples::scaling(), 0..3);
        assert_eq!(change, 14.0 + 45.0 + 2.5 + 124.0);
    }

    #[test]
    fn fixed_by_hand() {
        let [before, after] =
            [Scaling::identity(3), samples::scaling()].map(|s| FixedScaling::new(&s));
        let mut out = [0; 3];
        let units = [-50, -1, 2];
        fixed_l1_change(samples::matrix().movers(), &before, &after, &units, 0..3, &mut out);
        assert_eq!(out, [59 << 50, 5, 31]);
    }
}
