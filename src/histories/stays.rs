//! Stayers summed by unit and year, by many threads.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::mass::share_of;
use super::places::{Place, Places};

/// Ranges of units that are summed apart, at most, so that threads seldom wait for each other and the
/// sums of a range stay in a processor's own memory.
pub(super) const MAX_RANGES: usize = 64;

/// Stays that a thread collects for a range.
const STAYS_AT_ONCE: usize = 1 << 10;

/// Ranges of consecutive units, each about as long as the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranges {
    units: usize,
    count: usize,
}

impl Ranges {
    /// As many as there may be for so many units, and one at least.
    pub fn new(units: usize) -> Self {
        Self { units, count: MAX_RANGES.min(units).max(1) }
    }

    /// Number of ranges.
    pub fn count(self) -> usize {
        self.count
    }

    /// Units of a range: those with [`of`](Self::of) equal to it.
    pub fn units(self, range: usize) -> Range<usize> {
        let start = |range: usize| (range * self.units).div_ceil(self.count);
        start(range)..start(range + 1)
    }

    fn of(self, unit: u32) -> usize {
        unit as usize * self.count / self.units
    }

    /// The ranges that a place has units in, increasing.
    pub fn of_place(self, places: &Places, place: Place) -> impl Iterator<Item = usize> {
        const { assert!(MAX_RANGES <= 64) };
        let mut ranges = 0_u64;
        places.for_each(place, |unit, _| ranges |= 1 << self.of(unit));
        std::iter::from_fn(move || {
            let next = (ranges != 0).then_some(ranges.trailing_zeros() as usize);
            ranges &= ranges.wrapping_sub(1);
            next
        })
    }
}

/// Persons who are at a place for some consecutive years, as many in each.
#[derive(Clone, Copy, Debug)]
struct Stay {
    place: Place,
    /// Positions of the first year, and of the one after the last.
    years: [u16; 2],
    /// Units of 2^-62 persons.
    units: u64,
}

/// Sums that all threads add to, in units of 2^-62 persons.
#[derive(Debug)]
pub(super) struct Stays {
    pub ranges: Ranges,
    years: usize,
    /// By range; in it by unit, then year.
    sums: Vec<Mutex<Vec<u128>>>,
}

impl Stays {
    /// Nobody yet.
    pub fn new(ranges: Ranges, years: usize) -> Self {
        let sums = |range| Mutex::new(vec![0; ranges.units(range).len() * years]);
        Self { ranges, years, sums: (0..ranges.count()).map(sums).collect() }
    }

    fn lock(&self, range: usize) -> MutexGuard<'_, Vec<u128>> {
        self.sums[range].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to a unit of a range.
    pub fn add(&self, range: usize, year: usize, unit: u32, units: u128) {
        let first = self.ranges.units(range).start;
        self.lock(range)[(unit as usize - first) * self.years + year] += units;
    }

    /// The sums of a year, by unit.
    pub fn of_year(&self, year: usize) -> Vec<u128> {
        let ranges = 0..self.ranges.count();
        let of_range = |range| {
            let sums = self.lock(range);
            sums.iter().skip(year).step_by(self.years).copied().collect::<Vec<_>>()
        };
        ranges.flat_map(of_range).collect()
    }

    fn add_all(&self, range: usize, places: &Places, stays: &[Stay]) {
        let units = self.ranges.units(range);
        let mut sums = self.lock(range);
        for stay in stays {
            let years = stay.years.map(usize::from);
            places.for_each(stay.place, |unit, share| {
                let Some(row) = (unit as usize).checked_sub(units.start) else { return };
                if row < units.len() {
                    let own = u128::from(share_of(stay.units, share));
                    let first = row * self.years;
                    for sum in &mut sums[first + years[0]..first + years[1]] {
                        *sum += own;
                    }
                }
            });
        }
    }
}

/// Collects the stays of one thread.
#[derive(Debug)]
pub(super) struct StayWriter<'s> {
    stays: &'s Stays,
    places: &'s Places,
    /// The one that may become longer.
    last: Option<Stay>,
    /// By range.
    waiting: Vec<Vec<Stay>>,
}

impl<'s> StayWriter<'s> {
    /// Memory that a writer takes at most.
    pub const SIZE_BYTES: usize = MAX_RANGES * STAYS_AT_ONCE * size_of::<Stay>();

    /// One that adds to these sums.
    pub fn new(stays: &'s Stays, places: &'s Places) -> Self {
        Self { stays, places, last: None, waiting: vec![Vec::new(); stays.ranges.count()] }
    }

    /// Adds persons to all units of a place.
    pub fn add(&mut self, year: usize, place: Place, units: u64) {
        let year = year as u16;
        match &mut self.last {
            Some(last) if (last.place, last.units, last.years[1]) == (place, units, year) => {
                last.years[1] += 1;
            }
            last => {
                let stay = Stay { place, years: [year, year + 1], units };
                if let Some(before) = last.replace(stay) {
                    self.push(before);
                }
            }
        }
    }

    fn push(&mut self, stay: Stay) {
        let ranges = self.stays.ranges;
        if let Some(unit) = self.places.unit_of(stay.place) {
            return self.push_to(ranges.of(unit), stay);
        }
        ranges.of_place(self.places, stay.place).for_each(|range| self.push_to(range, stay));
    }

    fn push_to(&mut self, range: usize, stay: Stay) {
        let waiting = &mut self.waiting[range];
        waiting.push(stay);
        if waiting.len() == STAYS_AT_ONCE {
            self.stays.add_all(range, self.places, waiting);
            waiting.clear();
        }
    }

    /// Hands over what is left. Stays of a writer that is not finished are lost.
    pub fn finish(mut self) {
        if let Some(last) = self.last.take() {
            self.push(last);
        }
        for (range, waiting) in self.waiting.iter().enumerate() {
            self.stays.add_all(range, self.places, waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_in_the_range_that_has_it() {
        for units in [1, 2, 63, 64, 65, 1000] {
            let ranges = Ranges::new(units);
            let mut next = 0;
            for range in 0..ranges.count() {
                let own = ranges.units(range);
                assert_eq!(own.start, next);
                assert!(own.clone().all(|unit| ranges.of(unit as u32) == range), "{units} {range}");
                next = own.end;
            }
            assert_eq!(next, units);
        }
        assert_eq!(Ranges::new(0).count(), 1);
    }
}
