//! The factors that entries meet beside their origins'.

use crate::geography::Partition;
use crate::ipf::Scaling;

/// The factors an entry meets beside its origin's, as far as they are not 1: fewer take fewer reads,
/// and those of classes stay in the cache.
#[derive(Clone, Debug)]
pub enum Weights<'a> {
    /// All are 1, as before the first step on destinations or blocks.
    Ones,
    /// Destinations of a class have the same.
    Classes(&'a Partition, Vec<f64>),
    /// Those of destinations.
    Destinations(&'a [f64]),
    /// Those of destinations and blocks.
    Blocks(&'a Scaling),
}

impl<'a> Weights<'a> {
    /// Those of a scaling.
    pub fn of(scaling: &'a Scaling) -> Self {
        let d = &scaling.destination;
        if !scaling.blocks.is_empty() {
            Self::Blocks(scaling)
        } else if d.iter().all(|&d| d == 1.0) {
            Self::Ones
        } else {
            Self::Destinations(d)
        }
    }

    /// Those of a scaling toward the cells of `classes`.
    pub fn toward(scaling: &'a Scaling, classes: &'a Partition) -> Self {
        match Self::of(scaling) {
            Self::Destinations(d) => {
                of_classes(d, classes).map_or(Self::Destinations(d), |w| Self::Classes(classes, w))
            }
            other => other,
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

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn what_is_no_number_is_never_that_of_a_class() {
        let classes = samples::partition();
        assert_eq!(of_classes(&[2.0, 3.0, 2.0], &classes), Some(vec![2.0, 3.0]));
        for units in [[2.0, 3.0, 4.0], [f64::NAN, 3.0, 2.0], [2.0, 3.0, f64::NAN]] {
            assert_eq!(of_classes(&units, &classes), None);
        }
    }
}
