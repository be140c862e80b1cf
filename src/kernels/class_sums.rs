//! Movers between classes of units.

use super::fixed::{FixedScaling, Number};
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// The factors an entry meets beside its origin's, as far as they are not 1: fewer take fewer reads.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// All are 1, as before the first step on destinations or blocks.
    Ones,
    /// Those of destinations.
    Destinations(&'a [f64]),
    /// Those of destinations and blocks.
    Blocks(&'a Scaling),
}

impl<'a> Weights<'a> {
    /// Those of a scaling.
    pub fn of(scaling: &'a Scaling) -> Self {
        if !scaling.blocks.is_empty() {
            Self::Blocks(scaling)
        } else if scaling.destination.iter().all(|&d| d == 1.0) {
            Self::Ones
        } else {
            Self::Destinations(&scaling.destination)
        }
    }
}

/// Adds to `out[q]`, for every cell q of the destinations, the movers from the origins `rows`, with
/// factors o (origin) and weights w (destinations d times blocks B):
///
/// ```text
/// out[q] += sum_{i in rows} sum_{j: class_of[j] = q} o_i s_ij w_ij
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and about 28 to and from the cache.
pub fn class_sums<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weights: Weights,
    rows: &[u32],
    class_of: &[u32],
    out: &mut [f64],
) {
    match weights {
        Weights::Ones => add(movers, origin, |_, _| 1.0, rows, class_of, out),
        Weights::Destinations(d) => add(movers, origin, |_, j| d[j], rows, class_of, out),
        Weights::Blocks(scaling) => {
            let weight = |i: usize, j: usize| {
                let blocks = scaling.blocks.iter();
                blocks.fold(scaling.destination[j], |w, block| w * block.row(i).factor(j))
            };
            add(movers, origin, weight, rows, class_of, out);
        }
    }
}

fn add<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weight: impl Fn(usize, usize) -> f64,
    rows: &[u32],
    class_of: &[u32],
    out: &mut [f64],
) {
    for &i in rows {
        let i = i as usize;
        let (columns, values) = movers.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            let j = j as usize;
            out[class_of[j] as usize] += origin[i] * v.into() * weight(i, j);
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
        let (matrix, mut scaling) = (samples::matrix(), samples::scaling());
        let mut sums = |scaling: &Scaling| {
            out = [0.0; 2];
            let (o, w) = (&scaling.origin, Weights::of(scaling));
            class_sums(matrix.movers(), o, w, &[0, 2], classes.cell_of(), &mut out);
            out
        };
        assert_eq!(sums(&scaling), [48.0, 144.0]);
        // Without blocks: to a 3*2 = 6; to b 2*(1/2) + 4*4*(1/2) = 9.
        scaling.blocks.clear();
        assert_eq!(sums(&scaling), [6.0, 9.0]);
        // Without factors of destinations: to a 3; to b 2 + 4*4 = 18.
        scaling.destination.fill(1.0);
        assert!(matches!(Weights::of(&scaling), Weights::Ones));
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
