//! How far apart two scalings put the movers.

use std::ops::Range;

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
}
