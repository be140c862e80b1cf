//! Answers summed over persons: stayers by unit, movers by pair of places.
//!
//! Of A(t), address by address, the matrix of a year is `E = G' (A - diag A) G + diag(G' diag(A))`:
//! a mover between places of several units spreads over all pairs of them, a stayer over the diagonal.

use std::sync::LazyLock;

use bytemuck::{Pod, Zeroable};

use super::buckets::{Buckets, Memory, Writer};
use super::date::YEAR_DAYS;
use super::mass::units;
use super::places::{Place, Places};
use super::record::{Listed, Residence};
use super::stays::{MAX_RANGES, Ranges, StayWriter, Stays};
use super::survey::{Answer, Survey, Years};
use crate::Result;
use crate::counts::add_by_field;

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
    /// Adds units of 2^-62 persons if any of these places is in no matrix; returns whether one is.
    fn add(&mut self, places: &[Place], units: u64) -> bool {
        if places.contains(&Place::UNKNOWN) {
            self.unknown += u128::from(units);
        } else if places.contains(&Place::TERRITORY) {
            self.territory += u128::from(units);
        } else {
            return false;
        }
        true
    }
}

add_by_field!(LeftOut: unknown, territory);

/// Sums that all threads add to.
#[derive(Debug)]
pub struct FlowSums<'a> {
    pub(super) places: &'a Places,
    pub(super) years: Years,
    pub(super) stayers: Stays,
    /// By year, then range of the origin's units.
    pub(super) movers: Buckets<'a, Flow>,
}

impl<'a> FlowSums<'a> {
    /// Nobody yet.
    pub fn new(places: &'a Places, years: Years, memory: &'a Memory) -> Self {
        let ranges = Ranges::new(places.units());
        Self {
            places,
            years,
            stayers: Stays::new(ranges, years.count()),
            movers: Buckets::new(years.count() * ranges.count(), memory),
        }
    }

    /// Buckets of movers, at most.
    pub(super) fn buckets(years: Years) -> usize {
        years.count() * MAX_RANGES
    }

    /// Bytes that the stayers take.
    pub fn stayers_bytes(units: usize, years: Years) -> u64 {
        (units * years.count() * size_of::<u128>()) as u64
    }

    /// Ranges of origins.
    pub(super) fn ranges(&self) -> Ranges {
        self.stayers.ranges
    }

    /// The bucket of the movers of a year from a range.
    pub(super) fn bucket(&self, year: usize, range: usize) -> usize {
        year * self.ranges().count() + range
    }
}

/// Asks persons on one thread.
#[derive(Debug)]
pub struct Asker<'s, 'a> {
    sums: &'s FlowSums<'a>,
    stayers: StayWriter<'s>,
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
            stayers: StayWriter::new(&sums.stayers, sums.places),
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
        let Self { sums, stayers, movers, survey, left_out } = self;
        survey.ask(listed, residences, |answer| {
            let left_out = &mut left_out[answer.year];
            if answer.stayed {
                add_stayed(stayers, &answer, left_out);
                Ok(())
            } else {
                add_moved(sums, stayers, movers, &answer, left_out)
            }
        })
    }

    /// Hands over what is left; the counts stay.
    ///
    /// # Errors
    /// If a scratch file cannot be written.
    pub fn finish(self) -> Result<(Survey, Vec<LeftOut>)> {
        self.stayers.finish();
        self.movers.finish()?;
        Ok((self.survey, self.left_out))
    }
}

/// Adds a person who stayed at all of some addresses. Where an address was before does not matter,
/// even if its ZIP code had other shares by then.
fn add_stayed(stayers: &mut StayWriter, answer: &Answer, left_out: &mut LeftOut) {
    let units = answer_units(answer.days, answer.now.len());
    for now in answer.now {
        if !left_out.add(&[now.place], units) {
            stayers.add(answer.year, now.place, units);
        }
    }
}

/// Units of a person who answers on so many days of a year.
static UNITS_OF_DAYS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    (0..=YEAR_DAYS).map(|days| units(f64::from(days) / f64::from(YEAR_DAYS))).collect()
});

/// A person who answers on so many days, in so many equally likely ways: units of each of them.
fn answer_units(days: i32, ways: usize) -> u64 {
    if ways == 1 {
        return UNITS_OF_DAYS[days as usize];
    }
    units(f64::from(days) / (f64::from(YEAR_DAYS) * ways as f64))
}

/// Adds a person who moved between every pair of some addresses; who has the same address in both
/// stayed there.
fn add_moved(
    sums: &FlowSums,
    stayers: &mut StayWriter,
    movers: &mut Writer<Flow>,
    answer: &Answer,
    left_out: &mut LeftOut,
) -> Result<()> {
    let units = answer_units(answer.days, answer.before.len() * answer.now.len());
    for before in answer.before {
        for now in answer.now {
            let within_unit = before.place == now.place && sums.places.is_unit(now.place);
            if left_out.add(&[before.place, now.place], units) {
                continue;
            }
            if before.address == now.address || within_unit {
                stayers.add(answer.year, now.place, units);
            } else {
                let (origin, destination) = (before.place.0, now.place.0);
                let flow = Flow { origin, destination, units };
                push_flow(sums, movers, answer.year, flow)?;
            }
        }
    }
    Ok(())
}

/// Puts a flow into each range that its origin has units of.
fn push_flow(sums: &FlowSums, movers: &mut Writer<Flow>, year: usize, flow: Flow) -> Result<()> {
    let mut ranges = sums.ranges().of_place(sums.places, Place(flow.origin));
    ranges.try_for_each(|range| movers.push(sums.bucket(year, range), flow))
}

#[cfg(test)]
mod tests;
