//! G: where an address is, as shares of units.

use super::date::Date;

/// What is known of an address before its date is: a unit, a ZIP code, or less.
///
/// Of several answers about an address, the smallest is the best: units come before territories, these
/// before ZIP codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location(pub(super) u32);

impl Location {
    const FIRST_ZIP: u32 = Self::TERRITORY.0 + 1;
    /// In a territory, which no matrix has.
    pub const TERRITORY: Self = Self(1 << 30);
    /// Nowhere that is known.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// In a unit.
    pub fn unit(unit: u32) -> Self {
        debug_assert!(unit < Self::TERRITORY.0, "unit {unit}");
        Self(unit)
    }

    /// In a ZIP code.
    pub fn zip(zip: Zip) -> Self {
        Self(Self::FIRST_ZIP + zip.0)
    }

    /// Whether it is a unit.
    pub fn is_unit(self) -> bool {
        self < Self::TERRITORY
    }

    fn as_zip(self) -> Option<Zip> {
        self.0.checked_sub(Self::FIRST_ZIP).map(Zip).filter(|zip| zip.0 < Zip::COUNT)
    }
}

/// A ZIP code of 5 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zip(u32);

impl Zip {
    /// Numbers of 5 digits.
    pub(super) const COUNT: u32 = 100_000;

    /// Reads `20233`, `20233-0001`, or a code that lost its leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let code = text.split_once('-').map_or(text, |(code, _)| code);
        let digits = (3..=5).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| code.parse().ok()).flatten().map(Self)
    }

    /// The code as a number.
    pub(super) fn number(self) -> usize {
        self.0 as usize
    }
}

/// Row of G: a unit or the spread of a ZIP code, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub(super) u32);

impl Place {
    /// In a territory, which no matrix has.
    pub const TERRITORY: Self = Self(u32::MAX - 1);
    /// Nowhere that is known.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// All in one unit.
    pub fn unit(unit: u32) -> Self {
        Self(unit)
    }
}

/// The rows of G. Tracts are kept in between: a ZIP code's row is its shares of tracts times each
/// tract's shares of units.
///
/// Invariants:
/// - the shares of every row sum to 1, up to rounding;
/// - a ZIP code has a row in every quarter or in none.
#[derive(Debug)]
pub struct Places {
    pub(super) units: u32,
    /// Quarters of the crosswalks, counted from year 0, increasing.
    pub(super) quarters: Vec<i32>,
    /// Where the rows of a ZIP code begin in `of_quarter`, for every number of 5 digits.
    pub(super) zips: Vec<Option<u32>>,
    /// Its place in each quarter.
    pub(super) of_quarter: Vec<Place>,
    /// Tracts of each spread and their shares.
    pub(super) spreads: Vec<Vec<(u32, f64)>>,
    /// Units of each tract and their shares.
    pub(super) tracts: Vec<Vec<(u32, f64)>>,
}

impl Places {
    /// Memory that the rows take, about.
    pub fn size_bytes(&self) -> u64 {
        let shares = |lists: &[Vec<(u32, f64)>]| -> usize {
            lists.iter().map(|list| size_of_val(list) + size_of_val(&list[..])).sum()
        };
        let of_zips = size_of_val(&self.zips[..]) + size_of_val(&self.of_quarter[..]);
        (shares(&self.spreads) + shares(&self.tracts) + of_zips) as u64
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.units as usize
    }

    /// Row of an address that begins at a date: that of a ZIP code is of the quarter nearest to the
    /// date, the earlier one of two, or the first for an address without a date.
    pub fn at(&self, location: Location, date: Option<Date>) -> Place {
        if location.is_unit() {
            return Place(location.0);
        }
        let Some(zip) = location.as_zip() else {
            return if location == Location::TERRITORY { Place::TERRITORY } else { Place::UNKNOWN };
        };
        let quarter = date.map_or(i32::MIN, |date| date.month().0.div_euclid(3));
        let nearest = nearest(&self.quarters, quarter);
        self.zips[zip.number()]
            .map_or(Place::UNKNOWN, |start| self.of_quarter[start as usize + nearest])
    }

    /// Whether a place is one unit, which has its number.
    pub fn is_unit(&self, place: Place) -> bool {
        place.0 < self.units
    }

    /// The unit that a place is, if it is one.
    pub fn unit_of(&self, place: Place) -> Option<u32> {
        self.is_unit(place).then_some(place.0)
    }

    /// Number of units of a row.
    ///
    /// # Panics
    /// If the place is nowhere.
    pub fn row_len(&self, place: Place) -> usize {
        if self.is_unit(place) {
            return 1;
        }
        self.spread(place).iter().map(|(tract, _)| self.tracts[*tract as usize].len()).sum()
    }

    /// Calls `visit` with every unit of a row and its share.
    ///
    /// # Panics
    /// If the place is nowhere.
    #[inline]
    pub fn for_each(&self, place: Place, mut visit: impl FnMut(u32, f64)) {
        if self.is_unit(place) {
            return visit(place.0, 1.0);
        }
        for &(tract, share) in self.spread(place) {
            for &(unit, own) in &self.tracts[tract as usize] {
                visit(unit, share * own);
            }
        }
    }

    /// Tracts and shares of a place that is no unit.
    pub(super) fn spread(&self, place: Place) -> &[(u32, f64)] {
        &self.spreads[(place.0 - self.units) as usize]
    }
}

/// Position of the quarter nearest to another, the earlier one of two; 0 if there are none.
pub(super) fn nearest(quarters: &[i32], quarter: i32) -> usize {
    let after = quarters.partition_point(|&q| q < quarter);
    match (after.checked_sub(1), quarters.get(after)) {
        (Some(before), Some(&next)) if next - quarter < quarter - quarters[before] => after,
        (Some(before), _) => before,
        (None, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_quarter_is_clamped() {
        let quarters = [8040, 8044, 8045];
        for (quarter, expected) in
            [(i32::MIN, 0), (8040, 0), (8042, 0), (8043, 1), (8044, 1), (8045, 2), (9000, 2)]
        {
            assert_eq!(nearest(&quarters, quarter), expected, "{quarter}");
        }
        assert_eq!(nearest(&[], 8000), 0);
    }

    #[test]
    fn zip_codes_of_all_kinds() {
        assert_eq!(Zip::parse("20233"), Zip::parse("20233-0001"));
        assert_eq!(Zip::parse("501"), Zip::parse("00501"));
        for text in ["", "20", "202333", "2023X", "-1"] {
            assert_eq!(Zip::parse(text), None, "{text}");
        }
        let zip = Zip::parse("99999").unwrap();
        assert_eq!(Location::zip(zip).as_zip(), Some(zip));
        let order = [Location::unit(7), Location::TERRITORY, Location::zip(zip), Location::UNKNOWN];
        assert!(order.is_sorted_by(|a, b| a < b));
        assert!(order.map(Location::as_zip).iter().flatten().eq([&zip]));
        assert!(order.map(Location::is_unit) == [true, false, false, false]);
    }
}
