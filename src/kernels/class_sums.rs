//! Movers between classes of units.

use super::fixed::{FixedScaling, Number};
use super::{ClassSums, Weights};
use crate::matrix::{Csr, Value};

/// Adds to the sum of every class q of the destinations the movers from the origins `rows`, with
/// factors o (origin) and weights w (destinations d times blocks B):
///
/// ```text
/// out_q += sum_{i in rows} sum_{j in q} o_i s_ij w_ij
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and 20 to 28 to and from the cache.
pub fn class_sums<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weights: &Weights,
    rows: impl IntoIterator<Item = usize>,
    out: &mut ClassSums,
) {
    for i in rows {
        row_to_classes(movers, i, origin[i], weights, out);
    }
}

/// Adds the movers of origin i, whose factor is `origin`, to the classes of their destinations.
#[inline]
pub(super) fn row_to_classes<V: Value>(
    movers: &Csr<V>,
    i: usize,
    origin: f64,
    weights: &Weights,
    out: &mut ClassSums,
) {
    let (columns, values) = movers.row(i);
    match weights {
        Weights::Ones => out.add_row(columns, values, |_, _, _, v| origin * v),
        Weights::Classes(_, w) => out.add_row(columns, values, |_, _, q, v| origin * v * w[q]),
        Weights::Destinations(d) => out.add_row(columns, values, |_, j, _, v| origin * v * d[j]),
        Weights::Blocks(scaling) => out.add_row(columns, values, |_, j, _, v| {
            let blocks = scaling.blocks.iter();
            let weight = blocks.fold(scaling.destination[j], |w, block| w * block.row(i).factor(j));
            origin * v * weight
        }),
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
    use crate::ipf::Scaling;

    fn sums(scaling: &Scaling) -> Vec<f64> {
        let (matrix, classes) = (samples::matrix(), samples::partition());
        let mut out = ClassSums::new(&classes);
        let weights = Weights::toward(scaling, &classes);
        class_sums(matrix.movers(), &scaling.origin, &weights, [0, 2], &mut out);
        out.sums().collect()
    }

    #[test]
    fn by_hand() {
        let classes = samples::partition();
        // from a (rows 0 and 2): to a 3*2*8 = 48; to b 2*(1/2)*16 + 4*4*(1/2)*16 = 144
        let mut scaling = samples::scaling();
        assert_eq!(sums(&scaling), [48.0, 144.0]);
        // Without blocks: to a 3*2 = 6; to b 2*(1/2) + 4*4*(1/2) = 9.
        scaling.blocks.clear();
        assert!(matches!(
            Weights::toward(&scaling, &classes),
            Weights::Destinations([1.0, 0.5, 2.0])
        ));
        assert_eq!(sums(&scaling), [6.0, 9.0]);
        // Units 0 and 2 are in a: to a 3*2 = 6; to b 2*(1/2) + 4*4*(1/2) = 9.
        scaling.destination = vec![2.0, 0.5, 2.0];
        let weights = Weights::toward(&scaling, &classes);
        assert!(matches!(weights, Weights::Classes(_, w) if w == [2.0, 0.5]));
        assert_eq!(sums(&scaling), [6.0, 9.0]);
        // Without factors of destinations: to a 3; to b 2 + 4*4 = 18.
        scaling.destination.fill(1.0);
        assert!(matches!(Weights::toward(&scaling, &classes), Weights::Ones));
        assert_eq!(sums(&scaling), [3.0, 18.0]);
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
