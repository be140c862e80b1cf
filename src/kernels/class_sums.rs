//! Movers between classes of units.

use super::fixed::{FixedScaling, Number};
use super::{Lanes, scatter_to_classes};
use crate::geography::Partition;
use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// The factors an entry meets beside its origin's, as far as they are not 1: fewer take fewer reads,
/// and those of classes stay in the cache.
#[derive(Clone, Debug)]
pub enum Weights<'a> {
    /// All are 1, as before the first step on destinations or blocks.
    Ones,
    /// Destinations of a class have the same.
    Classes(Vec<f64>),
    /// Those of destinations.
    Destinations(&'a [f64]),
    /// Those of destinations and blocks.
    Blocks(&'a Scaling),
}

impl<'a> Weights<'a> {
    /// Those of a scaling toward the cells of `classes`.
    pub fn of(scaling: &'a Scaling, classes: &Partition) -> Self {
        let d = &scaling.destination;
        if !scaling.blocks.is_empty() {
            Self::Blocks(scaling)
        } else if d.iter().all(|&d| d == 1.0) {
            Self::Ones
        } else {
            of_classes(d, classes).map_or(Self::Destinations(d), Self::Classes)
        }
    }
}

/// One number per class, where all units of a class have the same; none is the same as what is no
/// number.
pub fn of_classes(of_units: &[f64], classes: &Partition) -> Option<Vec<f64>> {
    let mut of_classes = vec![f64::NAN; classes.cells()];
    for (&own, &class) in of_units.iter().zip(classes.cell_of()) {
        let known = &mut of_classes[class as usize];
        if own.is_nan() {
            return None;
        }
        if known.is_nan() {
            *known = own;
        } else if *known != own {
            return None;
        }
    }
    Some(of_classes)
}

/// Adds to `out[q]`, for every class q of the destinations, the movers from the origins `rows`, with
/// factors o (origin) and weights w (destinations d times blocks B):
///
/// ```text
/// out[q] += sum_{i in rows} sum_{j: class_of[j] = q} o_i s_ij w_ij
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and 20 to 28 to and from the cache.
pub fn class_sums<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weights: &Weights,
    rows: impl IntoIterator<Item = usize>,
    class_of: &[u32],
    out: &mut [Lanes],
) {
    for i in rows {
        row_to_classes(movers, i, origin[i], weights, class_of, out);
    }
}

/// Adds the movers of origin i, whose factor is `origin`, to the classes of their destinations.
#[inline]
pub(super) fn row_to_classes<V: Value>(
    movers: &Csr<V>,
    i: usize,
    origin: f64,
    weights: &Weights,
    class_of: &[u32],
    out: &mut [Lanes],
) {
    let (columns, values) = movers.row(i);
    assert_eq!(class_of.len(), movers.columns(), "one class per destination");
    match weights {
        Weights::Ones => {
            scatter_to_classes(columns, values, class_of, out, |_, _, _, v| origin * v);
        }
        Weights::Classes(w) => {
            scatter_to_classes(columns, values, class_of, out, |_, _, q, v| origin * v * w[q]);
        }
        Weights::Destinations(d) => {
            scatter_to_classes(columns, values, class_of, out, |_, j, _, v| origin * v * d[j]);
        }
        Weights::Blocks(scaling) => {
            scatter_to_classes(columns, values, class_of, out, |_, j, _, v| {
                let blocks = scaling.blocks.iter();
                let weight =
                    blocks.fold(scaling.destination[j], |w, block| w * block.row(i).factor(j));
                origin * v * weight
            });
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

    fn sums(scaling: &Scaling) -> Vec<f64> {
        let (matrix, classes) = (samples::matrix(), samples::partition());
        let mut out = [Lanes::default(); 2];
        let weights = Weights::of(scaling, &classes);
        let (movers, o) = (matrix.movers(), &scaling.origin);
        class_sums(movers, o, &weights, [0, 2], classes.cell_of(), &mut out);
        out.iter().map(super::super::add_lanes_of_class).collect()
    }

    #[test]
    fn by_hand() {
        // from a (rows 0 and 2): to a 3*2*8 = 48; to b 2*(1/2)*16 + 4*4*(1/2)*16 = 144
        let mut scaling = samples::scaling();
        assert_eq!(sums(&scaling), [48.0, 144.0]);
        // Without blocks: to a 3*2 = 6; to b 2*(1/2) + 4*4*(1/2) = 9.
        scaling.blocks.clear();
        assert!(matches!(
            Weights::of(&scaling, &samples::partition()),
            Weights::Destinations([1.0, 0.5, 2.0])
        ));
        assert_eq!(sums(&scaling), [6.0, 9.0]);
        // Units 0 and 2 are in a: to a 3*2 = 6; to b 2*(1/2) + 4*4*(1/2) = 9.
        scaling.destination = vec![2.0, 0.5, 2.0];
        let weights = Weights::of(&scaling, &samples::partition());
        assert!(matches!(weights, Weights::Classes(w) if w == [2.0, 0.5]));
        assert_eq!(sums(&scaling), [6.0, 9.0]);
        // Without factors of destinations: to a 3; to b 2 + 4*4 = 18.
        scaling.destination.fill(1.0);
        assert!(matches!(Weights::of(&scaling, &samples::partition()), Weights::Ones));
        assert_eq!(sums(&scaling), [3.0, 18.0]);
    }

    #[test]
    fn what_is_no_number_is_never_that_of_a_class() {
        let classes = samples::partition();
        assert_eq!(of_classes(&[2.0, 3.0, 2.0], &classes), Some(vec![2.0, 3.0]));
        for units in [[2.0, 3.0, 4.0], [f64::NAN, 3.0, 2.0], [2.0, 3.0, f64::NAN]] {
            assert_eq!(of_classes(&units, &classes), None);
        }
    }

    #[test]
    fn every_length_around_the_lanes() {
        // Columns 0..n, all of class k / 3: entry j is j + 1, twice.
        let class_of: Vec<u32> = (0..30).map(|j| j / 3).collect();
        for n in [0_u32, 1, 3, 4, 5, 12, 30] {
            let values: Vec<f32> = (0..n).map(|j| (j + 1) as f32).collect();
            let movers = Csr::new(30, vec![0, u64::from(n)], (0..n).collect(), values);
            let mut out = [Lanes::default(); 10];
            class_sums(&movers, &[2.0], &Weights::Ones, [0], &class_of, &mut out);
            for (q, lanes) in (0_u32..).zip(&out) {
                let expected: u32 =
                    (3 * q..3 * q + 3).filter(|j| *j < n).map(|j| 2 * (j + 1)).sum();
                assert_eq!(lanes.iter().sum::<f64>(), f64::from(expected), "length {n}, class {q}");
            }
        }
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
