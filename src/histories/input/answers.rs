//! Answers about addresses: of the Census batch geocoder, and ZIP codes.
//!
//! Source: Census Geocoder, batch mode with geographies,
//! <https://geocoding.geo.census.gov/geocoder/>. Its result is a CSV file without a header line:
//! identifier, input address, `Match`, `No_Match` or `Tie`; of a match also `Exact` or `Non_Exact`,
//! the matched address, longitude and latitude, TIGER line and side, and the codes of state, county,
//! tract and block.

use std::ops::AddAssign;
use std::path::Path;

use serde::Serialize;

use super::rows::{Part, Wanted};
use crate::census::text::code;
use crate::histories::buckets::Writer;
use crate::histories::crosswalk::{UnitCodes, is_territory};
use crate::histories::join::{LocatedRow, Records};
use crate::histories::key::Key;
use crate::histories::places::{Location, Zip};
use crate::{Error, Result, input};

/// What the geocoder answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerCounts {
    /// Matches with a unit.
    pub matched: u64,
    /// Of these, matches of an address that is not exactly the one asked for.
    pub non_exact: u64,
    /// Matches in territories.
    pub territory: u64,
    /// Matches in an area that is no unit, taken by ZIP code.
    pub other_vintage: u64,
    /// No match.
    pub no_match: u64,
    /// Several matches.
    pub tie: u64,
    /// Addresses without a match whose text does not end with a ZIP code.
    pub without_zip: u64,
}

impl AddAssign for AnswerCounts {
    fn add_assign(&mut self, other: Self) {
        self.matched += other.matched;
        self.non_exact += other.non_exact;
        self.territory += other.territory;
        self.other_vintage += other.other_vintage;
        self.no_match += other.no_match;
        self.tie += other.tie;
        self.without_zip += other.without_zip;
    }
}

/// Fields of a match, and of any other answer.
const MATCH_FIELDS: usize = 12;
const OTHER_FIELDS: usize = 3;

/// Puts answers into their buckets, on one thread.
#[derive(Debug)]
pub struct AnswerReader<'r, 'm> {
    codes: &'r UnitCodes<'r>,
    buckets: usize,
    answers: Writer<'r, 'm, LocatedRow>,
    /// What was answered.
    pub counts: AnswerCounts,
}

impl<'r, 'm> AnswerReader<'r, 'm> {
    /// A reader into these records.
    pub fn new(codes: &'r UnitCodes<'r>, records: &'r Records<'m>) -> Self {
        Self {
            codes,
            buckets: records.answers.count(),
            answers: records.answers.writer(),
            counts: AnswerCounts::default(),
        }
    }

    /// Reads a result of the batch geocoder as it is returned.
    ///
    /// # Errors
    /// If the file cannot be read, or a row is no answer.
    pub fn read_geocoder(&mut self, path: &Path) -> Result<()> {
        let text = input::map(path)?;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&text[..]);
        let mut record = csv::ByteRecord::new();
        let mut read = input::Progress::new(&text);
        loop {
            let found = reader.read_byte_record(&mut record);
            let place = |record: &csv::ByteRecord| {
                format!(":{}", record.position().map_or(0, csv::Position::line))
            };
            match found {
                Ok(true) => (),
                Ok(false) => return Ok(()),
                Err(e) => return Err(Error::data(path, place(&record), e.to_string())),
            }
            read.reached(record.position());
            let location = self
                .location(&record)
                .map_err(|problem| Error::data(path, place(&record), problem))?;
            self.add(Key::new(record[0].trim_ascii()), location)?;
        }
    }

    /// Reads a table of ZIP codes by address.
    ///
    /// # Errors
    /// If a column is missing, a cell is no ZIP code, or a file is broken.
    pub fn read_zips(&mut self, part: &Part, address_id: &str, zip: &str) -> Result<()> {
        let wanted =
            [address_id, zip].map(|name| Wanted { name: name.to_owned(), optional: false });
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
    fn location(&mut self, record: &csv::ByteRecord) -> std::result::Result<Location, String> {
        let field = |at: usize| {
            let text = record.get(at).unwrap_or_default().trim_ascii();
            std::str::from_utf8(text)
                .map_err(|_| "expected UTF-8 text, found other bytes".to_owned())
        };
        let counts = &mut self.counts;
        if field(0)?.is_empty() {
            return Err("expected an identifier first, found an empty field".into());
        }
        match (field(2)?, record.len()) {
            ("Match", MATCH_FIELDS) => {}
            ("No_Match", OTHER_FIELDS..) => counts.no_match += 1,
            ("Tie", OTHER_FIELDS..) => counts.tie += 1,
            ("Match", found) => {
                return Err(format!(
                    "expected a match of {MATCH_FIELDS} fields, with its geographies, found {found}"
                ));
            }
            (other, _) => {
                return Err(format!(
                    "expected Match, No_Match or Tie as third of {OTHER_FIELDS} or {MATCH_FIELDS} \
                     fields, found `{other}`"
                ));
            }
        }
        if field(2)? == "Match" {
            let parts = [(8, 2), (9, 3), (10, 6), (11, 4)];
            let parts = parts.map(|(at, digits)| code(field(at)?, digits));
            let mut geoid = String::with_capacity(15);
            for part in parts {
                geoid += &part?;
            }
            // The first digit of a block is its block group.
            geoid.truncate(12);
            if let Some(unit) = self.codes.unit_of(&geoid) {
                counts.matched += 1;
                counts.non_exact += u64::from(field(3)? != "Exact");
                return Ok(Location::unit(unit));
            }
            if is_territory(&geoid) {
                counts.territory += 1;
                return Ok(Location::TERRITORY);
            }
            counts.other_vintage += 1;
        }
        let asked = field(1)?;
        let zip = Zip::parse(asked.rsplit_once(',').map_or(asked, |(_, last)| last).trim());
        counts.without_zip += u64::from(zip.is_none());
        Ok(zip.map_or(Location::UNKNOWN, Location::zip))
    }

    fn add(&mut self, address: Key, location: Location) -> Result<()> {
        self.answers.push(address.bucket(self.buckets), LocatedRow::new(address, location))
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// If a scratch file cannot be written.
    pub fn finish(self) -> Result<AnswerCounts> {
        self.answers.finish()?;
        Ok(self.counts)
    }
}
