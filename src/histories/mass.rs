//! Exact sums of persons.
//!
//! A part of a person is rounded once, to a whole number of 2^-62 persons. Whole numbers add up
//! without rounding, so sums do not depend on the order of their terms, and neither on threads nor on
//! what went through a file.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Units of a person.
const PERSON: f64 = (1_u64 << 62) as f64;

/// Persons, at most 4, as units, rounded to nearest.
pub fn units(persons: f64) -> u64 {
    debug_assert!((0.0..4.0).contains(&persons), "{persons} persons");
    (persons * PERSON).round() as u64
}

/// A share of a sum of units, rounded to nearest.
pub fn share_of(units: u128, share: f64) -> u128 {
    (units as f64 * share).round() as u128
}

/// Units as persons, rounded to nearest.
pub fn persons(units: u128) -> f64 {
    units as f64 / PERSON
}

/// Sums that many threads add to.
#[derive(Debug)]
pub struct Sums {
    /// Low and high 64 bits of each.
    words: Vec<[AtomicU64; 2]>,
}

impl Sums {
    /// So many sums of 0.
    pub fn new(count: usize) -> Self {
        Self { words: (0..count).map(|_| Default::default()).collect() }
    }

    /// Adds to a sum.
    pub fn add(&self, at: usize, units: u128) {
        let [low, high] = &self.words[at];
        let (own_low, own_high) = (units as u64, (units >> 64) as u64);
        let carry = low.fetch_add(own_low, Relaxed).checked_add(own_low).is_none();
        let own_high = own_high + u64::from(carry);
        if own_high > 0 {
            high.fetch_add(own_high, Relaxed);
        }
    }

    /// A sum, once nobody adds to it any more.
    pub fn get(&self, at: usize) -> u128 {
        let [low, high] = self.words[at].each_ref().map(|word| u128::from(word.load(Relaxed)));
        high << 64 | low
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn a_year_is_a_person() {
        assert_eq!(persons(u128::from(units(1.0))), 1.0);
        let third = u128::from(units(1.0 / 3.0));
        assert!((persons(3 * third) - 1.0).abs() < 1e-18);
        assert_eq!(persons(share_of(u128::from(units(1.0)) * 1000, 0.25)), 250.0);
    }

    #[test]
    fn sums_carry_and_do_not_depend_on_order() {
        let sums = Sums::new(2);
        let terms: Vec<u128> = (0..50_000_u128).map(|k| u128::from(u64::MAX / 7) + k).collect();
        terms.par_iter().for_each(|&term| sums.add(1, term));
        sums.add(1, u128::MAX >> 2);
        assert_eq!(sums.get(1), terms.iter().sum::<u128>() + (u128::MAX >> 2));
        assert_eq!(sums.get(0), 0);
    }
}
