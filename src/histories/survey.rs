//! Monthly histories, and what a survey would be told: where did you live a year ago?
//!
//! Everything works on runs of months in which nothing changes, never on single months.

use std::ops::Range;

use serde::Serialize;

use super::date::Month;
use super::record::{Active, Listed, Residence, drop_po_boxes, drop_repeated, drop_undated};
use crate::counts::add_by_field;

/// Months between the two places that the survey asks about.
const LOOK_BACK_MONTHS: i32 = 12;

/// Years that are asked about: end years of matrices.
///
/// Invariant: the last one is not before the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Years {
    first: i32,
    last: i32,
}

impl Years {
    /// From a first to a last year.
    ///
    /// # Panics
    /// If the last one is before the first one.
    pub fn new(first: i32, last: i32) -> Self {
        assert!(first <= last, "years {first} to {last}");
        Self { first, last }
    }

    /// Number of years.
    pub fn count(self) -> usize {
        (self.last - self.first + 1) as usize
    }

    /// The years in order.
    pub fn iter(self) -> impl Iterator<Item = i32> {
        self.first..=self.last
    }

    /// All of their months.
    fn months(self) -> Range<Month> {
        Month::january(self.first)..Month::january(self.last + 1)
    }
}

/// What a person answers in some consecutive months of one year.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Position of the year among those asked about.
    pub year: usize,
    /// Days of these months; a whole year has 365.
    pub days: i32,
    /// Addresses a year before, equally likely; never empty, sorted by address.
    pub before: &'a [Residence],
    /// Addresses in these months, equally likely; never empty, sorted by address.
    pub now: &'a [Residence],
    /// Whether both are the same addresses, so that the person has stayed.
    pub stayed: bool,
}

/// What the rules did, summed over persons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleCounts {
    /// Persons asked.
    pub persons: u64,
    /// Persons without an address that is left, or without any date.
    pub without_history: u64,
    /// Records dropped because they have no date.
    pub undated_dropped: u64,
    /// Persons whose only address has no date and takes that of the person.
    pub undated_only: u64,
    /// Post-office boxes dropped because of another address less than 365 days away.
    pub po_boxes_dropped: u64,
    /// Records dropped because they repeat an address and a date.
    pub repeated_dropped: u64,
    /// Dates on which several addresses begin, each equally likely.
    pub ties: u64,
    /// Dates that a later one of the same month supersedes.
    pub superseded: u64,
}

add_by_field!(RuleCounts: persons, without_history, undated_dropped, undated_only, po_boxes_dropped, repeated_dropped, ties, superseded);

/// Who answers in a year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct YearCounts {
    /// Persons who answer.
    pub active: u64,
    /// Persons who answer in some months only, with a weight below 1.
    pub partial: u64,
    /// Months without an answer of these.
    pub months_without_answer: u64,
    /// Days of all answers; a person who answers all year has 365.
    pub days: u64,
}

add_by_field!(YearCounts: active, partial, months_without_answer, days);

/// Asks one person after the other, in buffers that are used again.
#[derive(Debug)]
pub struct Survey {
    years: Years,
    spells: Vec<Spell>,
    /// What the rules have done so far.
    pub counts: RuleCounts,
    /// Who has answered so far, by year.
    pub year_counts: Vec<YearCounts>,
}

/// Months in which a person's addresses do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spell {
    /// First month; the spell lasts until the next one begins.
    from: Month,
    /// Its addresses, among the person's.
    addresses: Range<u32>,
}

impl Survey {
    /// A survey of some years.
    pub fn new(years: Years) -> Self {
        Self {
            years,
            spells: Vec::new(),
            counts: RuleCounts::default(),
            year_counts: vec![YearCounts::default(); years.count()],
        }
    }

    /// Adds what another survey has counted.
    pub fn merge(&mut self, other: &Self) {
        self.counts += other.counts;
        self.year_counts.iter_mut().zip(&other.year_counts).for_each(|(all, own)| *all += *own);
    }

    /// Asks a person in every month of the years: cleans the records, which come in any order, and
    /// gives `visit` every answer in the order of time. All answers of a year have at most 365 days.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn ask<E>(
        &mut self,
        listed: Listed,
        residences: &mut Vec<Residence>,
        visit: impl FnMut(Answer) -> Result<(), E>,
    ) -> Result<(), E> {
        self.counts.persons += 1;
        let active = listed.active(residences);
        self.clean(residences);
        let Some(active) = active.filter(|_| !residences.is_empty()) else {
            self.counts.without_history += 1;
            return Ok(());
        };
        self.live(active, residences);
        self.count_years(active);
        self.answer(active, residences, visit)
    }

    /// Drops what the rules drop, and sorts the rest by date and address.
    fn clean(&mut self, residences: &mut Vec<Residence>) {
        let counts = &mut self.counts;
        counts.undated_dropped += drop_undated(residences);
        counts.undated_only += u64::from(residences.first().is_some_and(|r| r.date.is_none()));
        counts.po_boxes_dropped += drop_po_boxes(residences);
        counts.repeated_dropped += drop_repeated(residences);
    }

    /// Fills `spells` with the monthly history: each date's addresses hold from its month to the month
    /// before the next date, and the first ones from the first active month on. Several addresses of
    /// a date share it; boxes are not among them, since they were dropped beside any other address.
    fn live(&mut self, active: Active, residences: &[Residence]) {
        self.spells.clear();
        let mut start = 0;
        for group in residences.chunk_by(|a, b| a.date == b.date) {
            let addresses = start..start + group.len() as u32;
            start = addresses.end;
            self.counts.ties += u64::from(group.len() > 1);
            // Only a person's only address may be undated.
            let from = match group[0].date {
                Some(date) if !self.spells.is_empty() => date.month(),
                _ => active.first,
            };
            match self.spells.last_mut() {
                Some(last) if last.from == from => {
                    self.counts.superseded += 1;
                    last.addresses = addresses;
                }
                _ => self.spells.push(Spell { from, addresses }),
            }
        }
    }

    /// The months that answer: both they and the same months a year before are active.
    fn answering(&self, active: Active) -> Range<Month> {
        let asked = self.years.months();
        let first = active.first.plus(LOOK_BACK_MONTHS).max(asked.start);
        first..active.last.plus(1).min(asked.end).max(first)
    }

    /// Counts the years with an answering month.
    fn count_years(&mut self, active: Active) {
        let months = self.answering(active);
        for (year, counts) in self.years.iter().zip(&mut self.year_counts) {
            let start = months.start.max(Month::january(year));
            let end = months.end.min(Month::january(year + 1));
            if start < end {
                let missing = 12 - (end.0 - start.0);
                counts.active += 1;
                counts.partial += u64::from(missing > 0);
                counts.months_without_answer += missing as u64;
                counts.days += (end.days_before() - start.days_before()) as u64;
            }
        }
    }

    fn answer<E>(
        &self,
        active: Active,
        residences: &[Residence],
        mut visit: impl FnMut(Answer) -> Result<(), E>,
    ) -> Result<(), E> {
        let addresses = |spell: usize| {
            let Range { start, end } = self.spells[spell].addresses;
            &residences[start as usize..end as usize]
        };
        // The month after a spell; the last one lasts as long as anything is asked.
        let end = |spell: usize| self.spells.get(spell + 1).map_or(active.last.plus(1), |s| s.from);
        let months = self.answering(active);
        let (mut now, mut before) = (0, 0);
        let mut month = months.start;
        while month < months.end {
            while end(now) <= month {
                now += 1;
            }
            while end(before).plus(LOOK_BACK_MONTHS) <= month {
                before += 1;
            }
            let until = months
                .end
                .min(Month::january(month.year() + 1))
                .min(end(now))
                .min(end(before).plus(LOOK_BACK_MONTHS));
            let (before, now) = (addresses(before), addresses(now));
            let same = |(a, b): (&Residence, &Residence)| a.address == b.address;
            visit(Answer {
                year: (month.year() - self.years.first) as usize,
                days: until.days_before() - month.days_before(),
                before,
                now,
                stayed: before.len() == now.len() && before.iter().zip(now).all(same),
            })?;
            month = until;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
