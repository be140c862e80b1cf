//! Answers about addresses: of the Census batch geocoder, and ZIP codes.

use std::path::Path;

use serde::Serialize;

use super::fields::Noted;
use super::points::PointCounts;
use super::rows::{Part, Wanted};
use crate::Result;
use crate::counts::add_by_field;
use crate::histories::buckets::Writer;
use crate::histories::crosswalk::{UnitCodes, is_territory};
use crate::histories::geocode::answer::{Answer, each_row, field};
use crate::histories::join::{LocatedRow, Records};
use crate::histories::key::Key;
use crate::histories::places::{Location, Zip};

/// What the geocoder answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerCounts {
    /// Matches with a unit.
    pub matched: u64,
    /// Of these, matches of an address that is not exactly the one asked for.
    pub non_exact: u64,
    /// Matches in territories.
    pub territory: u64,
    /// Matches in an area that is no unit, taken by ZIP code.
    pub other_vintage: Noted,
    /// No match.
    pub no_match: u64,
    /// Several matches.
    pub tie: u64,
    /// Addresses without a match whose text does not end with a ZIP code.
    pub without_zip: Noted,
}

add_by_field!(AnswerCounts: matched, non_exact, territory, other_vintage, no_match, tie, without_zip);

/// Puts answers into their buckets, on one thread.
#[derive(Debug)]
pub struct AnswerReader<'r, 'm> {
    codes: &'r UnitCodes<'r>,
    buckets: usize,
    answers: Writer<'r, 'm, LocatedRow>,
    /// What was answered.
    pub counts: AnswerCounts,
    /// What other geocoders answered.
    pub points: PointCounts,
}

impl<'r, 'm> AnswerReader<'r, 'm> {
    /// A reader into these records.
    pub fn new(codes: &'r UnitCodes<'r>, records: &'r Records<'m>) -> Self {
        Self {
            codes,
            buckets: records.answers.count(),
            answers: records.answers.writer(),
            counts: AnswerCounts::default(),
            points: PointCounts::default(),
        }
    }

    /// Reads a result of the batch geocoder as it is returned, which has a number for what is noted.
    ///
    /// # Errors
    /// If the file cannot be read, or a row is no answer.
    pub fn read_geocoder(&mut self, path: &Path, number: usize) -> Result<()> {
        each_row(path, |line, row| {
            let location = self.location(row, number, || format!("{}:{line}", path.display()))?;
            Ok(self.add(Key::new(row[0].trim_ascii()), location)?)
        })
    }

    /// Reads a table of ZIP codes by address.
    ///
    /// # Errors
    /// If a column is missing, a cell is no ZIP code, or a file is broken.
    pub fn read_zips(&mut self, part: &Part, address_id: &str, zip: &str) -> Result<()> {
        let wanted = [address_id, zip].map(|name| Wanted {
            name: name.to_owned(),
            optional: false,
            float: false,
        });
        part.read(&wanted, |row| {
            let address = super::fields::identifier(row, 0)?;
            let text = row.cell(1);
            if text.is_empty() {
                return Ok(());
            }
            let zip = Zip::parse(text).ok_or_else(|| {
                row.error(1, format!("expected a ZIP code of 5 digits, found `{text}`"))
            })?;
            self.add(Key::new(address.as_bytes()), Location::zip(zip))
        })
    }

    /// Where an answer puts its address; an error is what was expected and found.
    fn location(
        &mut self,
        row: &csv::ByteRecord,
        number: usize,
        place: impl Fn() -> String,
    ) -> std::result::Result<Location, String> {
        let counts = &mut self.counts;
        let note = |noted: &mut Noted, found: &str| {
            noted.add(number, || format!("{}: {found}", place()));
        };
        match Answer::of(row)? {
            Answer::Match { non_exact, block_group } => {
                if let Some(unit) = self.codes.unit_of(&block_group) {
                    counts.matched += 1;
                    counts.non_exact += u64::from(non_exact);
                    return Ok(Location::unit(unit));
                }
                if is_territory(&block_group) {
                    counts.territory += 1;
                    return Ok(Location::TERRITORY);
                }
                note(&mut counts.other_vintage, &block_group);
            }
            Answer::Tie => counts.tie += 1,
            Answer::NoMatch => counts.no_match += 1,
        }
        let asked = field(row, 1)?;
        let zip = Zip::parse(asked.rsplit_once(',').map_or(asked, |(_, last)| last).trim());
        if zip.is_none() {
            note(&mut counts.without_zip, &format!("`{asked}`"));
        }
        Ok(zip.map_or(Location::UNKNOWN, Location::zip))
    }

    pub(super) fn add(&mut self, address: Key, location: Location) -> Result<()> {
        self.answers.push(address.bucket(self.buckets), LocatedRow::new(address, location))
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// If a scratch file cannot be written.
    pub fn finish(self) -> Result<(AnswerCounts, PointCounts)> {
        self.answers.finish()?;
        Ok((self.counts, self.points))
    }
}
