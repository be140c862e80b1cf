//! Answers summed over persons: stayers by unit, movers by pair of places.
//!
//! Of A(t), address by address, the matrix of a year is `E = G' (A - diag A) G + diag(G' diag(A))`:
//! a mover between places of several units spreads over all pairs of them, a stayer over the diagonal.

use std::ops::{AddAssign, Range};

use bytemuck::{Pod, Zeroable};

use super::buckets::{Buckets, Memory, Writer};
use super::date::YEAR_DAYS;
use super::mass::{Sums, units};
use super::places::{Place, Places};
use super::record::{Listed, Residence};
use super::survey::{Answer, Survey, Years};
use crate::Result;

/// Ranges of origins that movers of a year are kept in, at most.
const MAX_RANGES: usize = 64;

/// Movers between two places.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub(super) struct Flow {
    /// Place a year before.
    pub origin: u32,
    /// Place now.
    pub destination: u32,
    /// Units of 2^-62 persons.
    pub units: u64,
}

/// Where the persons of a year who are in no matrix are, in units of 2^-62 persons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Before or now at a place that is not known.
    pub unknown: u128,
    /// Before or now in a territory, and the other place is known.
    pub territory: u128,
}

impl LeftOut {
    /// Adds a person if any of these places is in no matrix; returns whether one is.
    fn add(&mut self, places: &[Place], persons: f64) -> bool {
        if places.contains(&Place::UNKNOWN) {
            self.unknown += u128::from(units(persons));
        } else if places.contains(&Place::TERRITORY) {
            self.territory += u128::from(units(persons));
        } else {
            return false;
        }
        true
    }
}

impl AddAssign for LeftOut {
    fn add_assign(&mut self, other: Self) {
        self.unknown += other.unknown;
        self.territory += other.territory;
    }
}

/// Sums that all threads add to.
#[derive(Debug)]
pub struct FlowSums<'a> {
    pub(super) places: &'a Places,
    pub(super) years: Years,
    /// By unit, then year.
    pub(super) stayers: Sums,
    /// By year, then range of the origin's units.
    pub(super) movers: Buckets<'a, Flow>,
}

impl<'a> FlowSums<'a> {
    /// Nobody yet.
    pub fn new(places: &'a Places, years: Years, memory: &'a Memory) -> Self {
        let ranges = MAX_RANGES.min(places.units()).max(1);
        Self {
            places,
            years,
            stayers: Sums::new(places.units() * years.count()),
            movers: Buckets::new(years.count() * ranges, memory),
        }
    }

    /// Bytes that the stayers take.
    pub fn stayers_bytes(units: usize, years: Years) -> u64 {
        (units * years.count() * size_of::<u128>()) as u64
    }

    /// Ranges of origins.
    pub(super) fn ranges(&self) -> usize {
        self.movers.count() / self.years.count()
    }

    /// Units of a range: those with [`range_of`](Self::range_of) equal to it.
    pub(super) fn units_of(&self, range: usize) -> Range<usize> {
        let start = |range: usize| (range * self.places.units()).div_ceil(self.ranges());
        start(range)..start(range + 1)
    }

    fn range_of(&self, unit: u32) -> usize {
        unit as usize * self.ranges() / self.places.units()
    }

    /// Adds a stayer to all units of a place.
    fn add_stayer(&self, year: usize, place: Place, persons: f64) {
        self.places.for_each(place, |unit, share| {
            self.add_stayer_units(year, unit, units(persons * share).into());
        });
    }

    pub(super) fn add_stayer_units(&self, year: usize, unit: u32, units: u128) {
        self.stayers.add(unit as usize * self.years.count() + year, units);
    }
}

/// Asks persons on one thread.
#[derive(Debug)]
pub struct Asker<'s, 'a> {
    sums: &'s FlowSums<'a>,
    movers: Writer<'s, 'a, Flow>,
    /// The rules and their counts.
    pub survey: Survey,
    /// By year.
    pub left_out: Vec<LeftOut>,
}

impl<'s, 'a> Asker<'s, 'a> {
    /// One that adds to these sums.
    pub fn new(sums: &'s FlowSums<'a>) -> Self {
        Self {
            sums,
            movers: sums.movers.writer(),
            survey: Survey::new(sums.years),
            left_out: vec![LeftOut::default(); sums.years.count()],
        }
    }

    /// Asks a person with these records, and adds the answers to the sums.
    ///
    /// # Errors
    /// If a scratch file cannot be written.
    pub fn ask(&mut self, listed: Listed, residences: &mut Vec<Residence>) -> Result<()> {
        let Self { sums, movers, survey, left_out } = self;
        survey.ask(listed, residences, |answer| {
            let left_out = &mut left_out[answer.year];
            if answer.stayed {
                add_stayed(sums, &answer, left_out);
                Ok(())
            } else {
                add_moved(sums, movers, &answer, left_out)
            }
        })
    }

    /// Hands over what is left; the counts stay.
    ///
    /// # Errors
    /// If a scratch file cannot be written.
    pub fn finish(self) -> Result<(Survey, Vec<LeftOut>)> {
        self.movers.finish()?;
        Ok((self.survey, self.left_out))
    }
}

/// Adds a person who stayed at all of some addresses. Where an address was before does not matter,
/// even if its ZIP code had other shares by then.
fn add_stayed(sums: &FlowSums, answer: &Answer, left_out: &mut LeftOut) {
    let persons = f64::from(answer.days) / (f64::from(YEAR_DAYS) * answer.now.len() as f64);
    for now in answer.now {
        if !left_out.add(&[now.place], persons) {
            sums.add_stayer(answer.year, now.place, persons);
        }
    }
}

/// Adds a person who moved between every pair of some addresses; who has the same address in both
/// stayed there.
fn add_moved(
    sums: &FlowSums,
    movers: &mut Writer<Flow>,
    answer: &Answer,
    left_out: &mut LeftOut,
) -> Result<()> {
    let pairs = (answer.before.len() * answer.now.len()) as f64;
    let persons = f64::from(answer.days) / (f64::from(YEAR_DAYS) * pairs);
    for before in answer.before {
        for now in answer.now {
            let within_unit = before.place == now.place && sums.places.is_unit(now.place);
            if left_out.add(&[before.place, now.place], persons) {
            } else if before.address == now.address || within_unit {
                sums.add_stayer(answer.year, now.place, persons);
            } else {
                let (origin, destination) = (before.place.0, now.place.0);
                let flow = Flow { origin, destination, units: units(persons) };
                push_flow(sums, movers, answer.year, flow)?;
            }
        }
    }
    Ok(())
}

/// Puts a flow into each range that its origin has units of.
fn push_flow(sums: &FlowSums, movers: &mut Writer<Flow>, year: usize, flow: Flow) -> Result<()> {
    const { assert!(MAX_RANGES <= 64) };
    let mut ranges = 0_u64;
    sums.places.for_each(Place(flow.origin), |unit, _| ranges |= 1 << sums.range_of(unit));
    while ranges != 0 {
        movers.push(year * sums.ranges() + ranges.trailing_zeros() as usize, flow)?;
        ranges &= ranges - 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
