//! Movers between classes of units.

use super::fixed::{FixedScaling, Number};
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// Adds to `out[q]`, for every cell q of the destinations, the movers from the origins `rows`:
///
/// ```text
/// out[q] += sum_{i in rows} sum_{j: class_of[j] = q} o_i s_ij d_j B(i, j)
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and about 28 to and from the cache.
pub fn class_sums<V: Value>(
    movers: &Csr<V>,
    scaling: &Scaling,
    rows: &[u32],
    class_of: &[u32],
    out: &mut [f64],
) {
    let d = &scaling.destination;
    for &i in rows {
        let i = i as usize;
        let (columns, values) = movers.row(i);
        let origin = scaling.origin[i];
        for (&j, &v) in columns.iter().zip(values) {
            let j = j as usize;
            let flow = origin * v.into() * d[j];
            out[class_of[j] as usize] +=
                scaling.blocks.iter().fold(flow, |f, block| f * block.row(i).factor(j));
        }
    }
}

/// The same as counts of 2^unit persons: every term rounded down, but not to 0, their sum exact. Of
/// classes that reach 2^125 the result means nothing.
pub fn fixed_class_sums<V: Value>(
    movers: &Csr<V>,
    scaling: &FixedScaling,
    unit: i32,
    rows: &[u32],
    class_of: &[u32],
    out: &mut [u128],
) {
    for &i in rows {
        let i = i as usize;
        let (columns, values) = movers.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            let j = j as usize;
            let product = Number::of_seed(v.into()).product(scaling.mover(i, j));
            let sum = &mut out[class_of[j] as usize];
            *sum = sum.wrapping_add(product.in_wide_units(unit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn by_hand() {
        let classes = samples::partition();
        let mut out = [0.0; 2];
        // from a (rows 0 and 2): to a 3*2*8 = 48; to b 2*(1/2)*16 + 4*4*(1/2)*16 = 144
        class_sums(
            samples::matrix().movers(),
            &samples::scaling(),
            &[0, 2],
            classes.cell_of(),
            &mut out,
        );
        assert_eq!(out, [48.0, 144.0]);
    }

    #[test]
    fn fixed_by_hand() {
        let classes = samples::partition();
        let mut out = [0; 2];
        let scaling = FixedScaling::new(&samples::scaling());
        let movers = samples::matrix();
        fixed_class_sums(movers.movers(), &scaling, -70, &[0, 2], classes.cell_of(), &mut out);
        assert_eq!(out, [48 << 70, 144 << 70]);
    }
}
