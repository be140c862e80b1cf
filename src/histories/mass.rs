//! Exact sums of persons.
//!
//! A part of a person is rounded once, to a whole number of 2^-62 persons. Whole numbers add up
//! without rounding, so sums do not depend on the order of their terms, and neither on threads nor on
//! what went through a file.

/// Units of a person.
const PERSON: f64 = (1_u64 << 62) as f64;

/// Persons, at most 4, as units, rounded to nearest.
pub fn units(persons: f64) -> u64 {
    debug_assert!((0.0..4.0).contains(&persons), "{persons} persons");
    nearest(persons * PERSON)
}

/// The nearest whole number. From 2^52 on there are no others; below, this is quicker than a call.
#[inline]
fn nearest(units: f64) -> u64 {
    if units < (1_u64 << 52) as f64 { (units + 0.5) as u64 } else { units as u64 }
}

/// A share of some units, rounded to nearest.
pub fn share_of(units: u64, share: f64) -> u64 {
    // Most addresses are in one unit, whose sums must not be rounded.
    if share == 1.0 { units } else { nearest(units as f64 * share) }
}

/// Units as persons, rounded to nearest.
pub fn persons(units: u128) -> f64 {
    units as f64 / PERSON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_is_a_person() {
        assert_eq!(persons(u128::from(units(1.0))), 1.0);
        let third = u128::from(units(1.0 / 3.0));
        assert!((persons(3 * third) - 1.0).abs() < 1e-18);
        assert_eq!(persons(share_of(3 * units(1.0), 0.25).into()), 0.75);
        assert_eq!(share_of(u64::MAX, 1.0), u64::MAX);
        let near =
            [0.0, 0.4, 0.5, 1.4, 1.5, 4_503_599_627_370_495.5, 4_503_599_627_370_497.0, 1e18];
        assert!(near.iter().all(|&units| nearest(units) == units.round() as u64));
    }
}
