//! Addresses, and what the batch geocoder of the Census Bureau answers about them, in the layout that
//! [`input::answers`](crate::histories::input::answers) reads.

use std::fmt::Write as _;

use serde::Serialize;

use super::zips::Zips;
use super::{HistoriesOptions, Truth};
use crate::census::STATES;
use crate::counts::add_by_field;
use crate::synth::random::{Purpose, Stream};

/// Persons to a dwelling.
const PERSONS_PER_DWELLING: u32 = 2;
/// Dwellings to a post-office box.
const DWELLINGS_PER_BOX: u32 = 10;

/// The addresses of every unit, numbered through: dwellings, then post-office boxes.
#[derive(Debug)]
pub(super) struct Addresses {
    /// First address of each unit, and the end.
    start: Vec<u64>,
    /// Dwellings of each unit.
    dwellings: Vec<u32>,
}

/// What the geocoder answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerCounts {
    /// Dwellings.
    pub dwellings: u64,
    /// Post-office boxes, which never match.
    pub po_boxes: u64,
    /// Dwellings matched.
    pub matched: u64,
    /// Of these, matches of an address that is not exactly the one asked for.
    pub non_exact: u64,
    /// Of these, matches in the block group next to the right one.
    pub misplaced: u64,
    /// Dwellings without a match.
    pub no_match: u64,
    /// Dwellings with several matches.
    pub tie: u64,
    /// Of those without a match, dwellings whose text does not end with a ZIP code.
    pub without_zip: u64,
}

add_by_field!(AnswerCounts: dwellings, po_boxes, matched, non_exact, misplaced, no_match, tie, without_zip);

impl Addresses {
    /// Enough for the persons of every year.
    pub fn new(truth: &Truth) -> Self {
        let most = |unit: usize| truth.populations.iter().map(|year| year[unit]).max().unwrap_or(0);
        let dwellings: Vec<u32> =
            (0..truth.units.len()).map(|unit| most(unit).div_ceil(PERSONS_PER_DWELLING)).collect();
        let mut start = vec![0];
        for &dwellings in &dwellings {
            start.push(start[start.len() - 1] + u64::from(dwellings + boxes(dwellings)));
        }
        Self { start, dwellings }
    }

    /// Draws a dwelling of a unit.
    pub fn dwelling(&self, unit: usize, stream: &mut Stream) -> u64 {
        self.start[unit] + below(self.dwellings[unit], stream)
    }

    /// Draws a post-office box of a unit.
    pub fn po_box(&self, unit: usize, stream: &mut Stream) -> u64 {
        let dwellings = self.dwellings[unit];
        self.start[unit] + u64::from(dwellings) + below(boxes(dwellings), stream)
    }

    /// Adds the geocoder's answers about the addresses of a unit to a text.
    pub fn answers(
        &self,
        unit: usize,
        truth: &Truth,
        zips: &Zips,
        options: &HistoriesOptions,
        text: &mut String,
    ) -> AnswerCounts {
        let mut counts = AnswerCounts::default();
        let blemishes = &options.blemishes;
        let mut stream = Stream::new(options.seed, Purpose::Addresses, truth.code(unit));
        let place = Place::new(truth, unit);
        let dwellings = self.dwellings[unit];
        counts.dwellings += u64::from(dwellings);
        counts.po_boxes += u64::from(boxes(dwellings));
        for number in 0..dwellings {
            let at = f64::from(number) / f64::from(dwellings);
            let zip = zips.code(unit, at);
            let id = self.start[unit] + u64::from(number);
            let street =
                format_args!("{} {} ST, {}", number % 400 + 1, number / 400 + 1, place.town);
            let (draw, kind) = (stream.uniform(), stream.uniform());
            if draw < blemishes.lost {
                counts.without_zip += 1;
                counts.no_match += 1;
                put(
                    text,
                    format_args!(
                        "\"A{id}\",\"RURAL ROUTE {number}, {}\",\"No_Match\"\n",
                        place.town
                    ),
                );
            } else if draw < blemishes.lost + blemishes.by_zip {
                let tie = kind < blemishes.tie;
                *(if tie { &mut counts.tie } else { &mut counts.no_match }) += 1;
                let answer = if tie { "Tie" } else { "No_Match" };
                put(text, format_args!("\"A{id}\",\"{street}, {zip:05}\",\"{answer}\"\n"));
            } else {
                let exact = kind >= blemishes.non_exact;
                let misplaced = stream.uniform() < blemishes.misplaced && !exact;
                counts.matched += 1;
                counts.non_exact += u64::from(!exact);
                counts.misplaced += u64::from(misplaced);
                let answer = if exact { "Exact" } else { "Non_Exact" };
                let found = if misplaced { &place.next } else { &place.geoid };
                let (state, county, tract) = (&found[..2], &found[2..5], &found[5..11]);
                let (latitude, longitude) = place.center;
                put(
                    text,
                    format_args!(
                        "\"A{id}\",\"{street}, {zip:05}\",\"Match\",\"{answer}\",\"{street}, \
                         {zip:05}\",\"{longitude:.6},{latitude:.6}\",\"{}\",\"{}\",\"{state}\",\
                         \"{county}\",\"{tract}\",\"{}{:03}\"\n",
                        76_000_000 + id,
                        ["L", "R"][number as usize % 2],
                        &found[11..],
                        number / 8 % 1000
                    ),
                );
            }
        }
        for number in 0..boxes(dwellings) {
            let id = self.start[unit] + u64::from(dwellings + number);
            let zip = zips.code(unit, f64::from(number) / f64::from(boxes(dwellings)));
            let town = &place.town;
            put(
                text,
                format_args!("\"A{id}\",\"PO BOX {number}, {town}, {zip:05}\",\"No_Match\"\n"),
            );
        }
        counts
    }
}

/// What the answers of a unit have in common.
struct Place<'t> {
    geoid: &'t str,
    /// A block group beside it, of the same county if it has another.
    next: &'t str,
    /// City and state.
    town: String,
    center: (f64, f64),
}

impl<'t> Place<'t> {
    fn new(truth: &'t Truth, unit: usize) -> Self {
        let geoids = truth.units.geoids();
        let geoid = geoids[unit].as_str();
        let (state, county) = (&geoid[..2], &geoid[2..5]);
        let name = STATES.iter().find(|known| known.0 == state).map_or(state, |known| known.1);
        let beside = [unit.checked_sub(1), Some(unit + 1).filter(|&next| next < geoids.len())];
        let beside = beside.into_iter().flatten().map(|next| geoids[next].as_str());
        let next = beside.max_by_key(|next| next[..5] == geoid[..5]).unwrap_or(geoid);
        Self { geoid, next, town: format!("TOWN {county}, {name}"), center: truth.center[unit] }
    }
}

fn boxes(dwellings: u32) -> u32 {
    dwellings.div_ceil(DWELLINGS_PER_BOX)
}

/// A whole number below another, which is not 0.
fn below(n: u32, stream: &mut Stream) -> u64 {
    (stream.uniform() * f64::from(n)) as u64
}

fn put(text: &mut String, line: std::fmt::Arguments) {
    text.write_fmt(line).expect("writing to a string does not fail");
}
