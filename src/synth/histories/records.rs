//! What the records show of a life.

use std::fmt::Write as _;

use serde::Serialize;

use super::addresses::Addresses;
use super::calendar::{draw, later};
use super::lives::{End, Life, Start};
use super::{HistoriesOptions, Truth};
use crate::counts::add_by_field;
use crate::histories::date::{Date, Month};
use crate::synth::nation::flows::{coverage, move_coverage};
use crate::synth::random::Stream;

/// Addresses to a row; older ones are left out.
pub(super) const ADDRESSES: usize = 10;

/// Persons and what happened to their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// Everybody who lived in the nation in any of the years.
    pub persons: u64,
    /// Of these, those with a record.
    pub persons_on_record: u64,
    /// The newborn without records of their own.
    pub newborn_left_out: u64,
    /// Moves of everybody else.
    pub moves: u64,
    /// Of these, moves whose new address is not on record because the person is not, there.
    pub moves_not_covered: u64,
    /// Of these, moves that are missing.
    pub moves_missing: u64,
    /// Of these, moves whose record would be dated after the person had gone again, or after the end.
    pub moves_too_late: u64,
    /// Moves dated late.
    pub moves_late: u64,
    /// Records of addresses.
    pub address_records: u64,
    /// Of these, records without a date.
    pub undated: u64,
    /// Of these, records that say the same again.
    pub repeated: u64,
    /// Of these, records of another address on the same date.
    pub conflicting: u64,
    /// Of these, post-office boxes.
    pub po_boxes: u64,
    /// Records left out since a row has ten.
    pub beyond_ten: u64,
    /// Persons without a listed first date.
    pub without_first_seen: u64,
    /// Persons without a listed last date.
    pub without_last_seen: u64,
    /// Persons listed as deceased.
    pub deceased: u64,
}

add_by_field!(RecordCounts: persons, persons_on_record, newborn_left_out, moves, moves_not_covered, moves_missing, moves_too_late, moves_late, address_records, undated, repeated, conflicting, po_boxes, beyond_ten, without_first_seen, without_last_seen, deceased);

/// Who keeps the records.
pub(super) struct Clerk<'a> {
    truth: &'a Truth,
    addresses: &'a Addresses,
    options: &'a HistoriesOptions,
    /// Probability that a person is on record, by unit.
    covered: Vec<f64>,
    /// The last day on record.
    last: Date,
}

/// A record of an address.
struct Record {
    date: Option<Date>,
    address: u64,
    po_box: bool,
}

/// Where a person lived from a day on.
struct Stay {
    from: Date,
    unit: usize,
    dwelling: u64,
}

impl<'a> Clerk<'a> {
    pub fn new(truth: &'a Truth, addresses: &'a Addresses, options: &'a HistoriesOptions) -> Self {
        let covered = (0..truth.units.len()).map(|unit| {
            let state = truth.code(unit) / 10_000_000_000;
            let covered = coverage(options.seed, state, truth.renter_share[unit]);
            options.share * (1.0 - options.blemishes.under_coverage * (1.0 - covered))
        });
        let last = Date::new(truth.last_year().into(), 12, 31).expect("the day exists");
        Self { truth, addresses, options, covered: covered.collect(), last }
    }

    /// Adds the row of a person to a text, if there is any record. Number them by `id`.
    pub fn write(
        &self,
        id: u64,
        life: &Life,
        stream: &mut Stream,
        counts: &mut RecordCounts,
        text: &mut String,
    ) {
        counts.persons += 1;
        let blemishes = &self.options.blemishes;
        if matches!(life.start, Start::Born(_)) && stream.uniform() < blemishes.newborn {
            counts.newborn_left_out += 1;
            return;
        }
        let stays = self.stays(life, stream);
        let gone = match life.end {
            End::Present => None,
            End::Died(k) | End::WentAbroad(k) => {
                Some(self.options.calendar.leaving(self.year(k), stream))
            }
        };
        let mut records = self.records(life, &stays, gone, stream, counts);
        if records.is_empty() {
            return;
        }
        counts.persons_on_record += 1;
        // The newest first; of those without a date nobody knows.
        records.sort_by_key(|record| std::cmp::Reverse(record.date));
        counts.beyond_ten += records.len().saturating_sub(ADDRESSES) as u64;
        records.truncate(ADDRESSES);
        counts.address_records += records.len() as u64;
        counts.undated += records.iter().filter(|record| record.date.is_none()).count() as u64;

        let newest = records[0].date;
        let seen = draw(Month::january(self.truth.last_year().into()), 12, stream);
        let last_seen = Some(gone.unwrap_or(seen)).max(newest);
        let first_seen = records.iter().filter_map(|record| record.date).min();
        let first_seen = first_seen.or(Some(stays[0].from)).min(last_seen);
        let mut listed = |date: Option<Date>, missing: &mut u64| {
            let unlisted = stream.uniform() < blemishes.unlisted;
            *missing += u64::from(unlisted);
            date.filter(|_| !unlisted)
        };
        let first_seen = listed(first_seen, &mut counts.without_first_seen);
        let last_seen = listed(last_seen, &mut counts.without_last_seen);
        let deceased = matches!(life.end, End::Died(_));
        counts.deceased += u64::from(deceased);

        let dead = if deceased { "Y" } else { "" };
        let date = |date: Option<Date>| date.map_or(String::new(), |date| date.to_string());
        let mut put = |field: std::fmt::Arguments| {
            text.write_fmt(field).expect("writing to a string does not fail");
        };
        put(format_args!("P{id},{},{},{dead}", date(first_seen), date(last_seen)));
        for Record { date: of, address, po_box } in &records {
            put(format_args!(",A{address},{},{}", date(*of), category(*address, *po_box)));
        }
        (records.len()..ADDRESSES).for_each(|_| put(format_args!(",,,")));
        put(format_args!("\n"));
    }

    /// End year of a year counted from 0.
    fn year(&self, k: usize) -> i32 {
        i32::from(self.truth.base_year + k as u16) + 1
    }

    fn stays(&self, life: &Life, stream: &mut Stream) -> Vec<Stay> {
        let (unit, calendar) = (life.first_unit as usize, self.options.calendar);
        let from = match life.start {
            Start::Resident => {
                let months = (24.0 * self.truth.record_age[unit] * stream.uniform()) as i32 + 1;
                later(calendar.first(self.truth.base_year.into()), -months)
            }
            Start::Born(k) | Start::Immigrated(k) => calendar.arriving(self.year(k), stream),
        };
        let dwelling = self.addresses.dwelling(unit, stream);
        let mut stays = vec![Stay { from, unit, dwelling }];
        for &(k, unit) in &life.moves {
            let (unit, from) = (unit as usize, calendar.moving(self.year(k), stream));
            stays.push(Stay { from, unit, dwelling: self.addresses.dwelling(unit, stream) });
        }
        stays
    }

    fn records(
        &self,
        life: &Life,
        stays: &[Stay],
        gone: Option<Date>,
        stream: &mut Stream,
        counts: &mut RecordCounts,
    ) -> Vec<Record> {
        let blemishes = &self.options.blemishes;
        // The same person is on record wherever the coverage is above this.
        let required = stream.uniform();
        let mut records = Vec::new();
        for (k, stay) in stays.iter().enumerate() {
            let moved = k > 0;
            counts.moves += u64::from(moved);
            if required >= self.covered[stay.unit] {
                counts.moves_not_covered += u64::from(moved);
                continue;
            }
            if moved && self.is_missing(stays[k - 1].unit, stay.unit, stream) {
                counts.moves_missing += 1;
                continue;
            }
            let mut from = stay.from;
            let seen_later = moved || life.start != Start::Resident;
            if seen_later && stream.uniform() < blemishes.late {
                let months = (4.0 * self.truth.record_age[stay.unit] * stream.uniform()) as i32 + 1;
                from = later(from, months);
                counts.moves_late += u64::from(moved);
            }
            let until = stays.get(k + 1).map(|next| next.from).or(gone).unwrap_or(self.last);
            if from > until.min(self.last) {
                counts.moves_too_late += u64::from(moved);
                continue;
            }
            let undated = stream.uniform() < blemishes.undated;
            let date = Some(from).filter(|_| !undated);
            let mut add = |address, date, po_box| records.push(Record { date, address, po_box });
            add(stay.dwelling, date, false);
            if stream.uniform() < blemishes.repeated {
                add(stay.dwelling, date, false);
                counts.repeated += 1;
            }
            if stream.uniform() < blemishes.conflicting {
                let other = if moved {
                    stays[k - 1].dwelling
                } else {
                    self.addresses.dwelling(stay.unit, stream)
                };
                add(other, date, false);
                counts.conflicting += 1;
            }
            if stream.uniform() < blemishes.po_box {
                let months = (stream.uniform() * 49.0) as i32 - 24;
                let date = later(from, months).min(until.min(self.last));
                add(self.addresses.po_box(stay.unit, stream), Some(date), true);
                counts.po_boxes += 1;
            }
        }
        records
    }

    fn is_missing(&self, origin: usize, destination: usize, stream: &mut Stream) -> bool {
        let age = self.truth.record_age[origin] * stream.between(0.0, 2.0);
        let kept = move_coverage(1.0, age, self.truth.renter_share[destination]);
        stream.uniform() < self.options.blemishes.missing_moves * (1.0 - kept)
    }
}

/// Record type of the Postal Service: box, apartment house (every third dwelling) or street.
fn category(address: u64, po_box: bool) -> &'static str {
    match address % 3 {
        _ if po_box => "P",
        0 => "H",
        _ => "S",
    }
}
