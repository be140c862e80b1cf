//! Records brought together: addresses with the answers about them, then persons with their addresses.

use bytemuck::{Pod, Zeroable};
use serde::Serialize;
use std::ops::AddAssign;

use super::buckets::{Buckets, Writer};
use super::date::Date;
use super::flows::Asker;
use super::key::Key;
use super::places::{Location, Place, Places};
use super::record::{Category, Listed, Residence};
use crate::Result;

/// A record of a person's address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct AddressRow {
    /// The address.
    pub address: Key,
    /// The person.
    pub person: Key,
    date: u32,
    category: u32,
}

/// What one answer says about an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct LocatedRow {
    /// The address.
    pub address: Key,
    location: u32,
    padding: u32,
}

/// A row of a person.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct PersonRow {
    /// The person.
    pub person: Key,
    first: u32,
    last: u32,
    deceased: u32,
    padding: u32,
}

/// A record of a person's address whose place is known.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct PlacedRow {
    person: Key,
    address: u64,
    date: u32,
    place: u32,
    category: u32,
    padding: u32,
}

/// Of a date that may be missing.
fn bits(date: Option<Date>) -> u32 {
    date.map_or(0, Date::to_bits)
}

impl AddressRow {
    /// A record.
    pub fn new(address: Key, person: Key, date: Option<Date>, category: Category) -> Self {
        let category = u32::from(category == Category::PoBox);
        Self { address, person, date: bits(date), category }
    }
}

impl LocatedRow {
    /// An answer.
    pub fn new(address: Key, location: Location) -> Self {
        Self { address, location: location.0, padding: 0 }
    }
}

impl PersonRow {
    /// A row.
    pub fn new(person: Key, listed: Listed, deceased: bool) -> Self {
        let (first, last) = (bits(listed.first), bits(listed.last));
        Self { person, first, last, deceased: deceased.into(), padding: 0 }
    }
}

impl PlacedRow {
    fn residence(&self) -> Residence {
        Residence {
            date: Date::from_bits(self.date),
            address: self.address,
            category: if self.category == 1 { Category::PoBox } else { Category::Other },
            place: Place(self.place),
        }
    }
}

/// Distinct addresses of persons by what is known of them, and how many records have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// In one unit, as the geocoder answered.
    pub exact: u64,
    /// Spread over units by ZIP code.
    pub by_zip: u64,
    /// In a territory, dropped.
    pub territory: u64,
    /// Answered without a unit or a ZIP code that is known.
    pub unknown: u64,
    /// In none of the files about addresses.
    pub unanswered: u64,
}

impl Coverage {
    /// All.
    pub fn total(&self) -> u64 {
        self.exact + self.by_zip + self.territory + self.unknown + self.unanswered
    }

    fn count(&mut self, place: Option<Place>, places: &Places, times: u64) {
        let counter = match place {
            None => &mut self.unanswered,
            Some(Place::UNKNOWN) => &mut self.unknown,
            Some(Place::TERRITORY) => &mut self.territory,
            Some(place) if places.is_unit(place) => &mut self.exact,
            Some(_) => &mut self.by_zip,
        };
        *counter += times;
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.exact += other.exact;
        self.by_zip += other.by_zip;
        self.territory += other.territory;
        self.unknown += other.unknown;
        self.unanswered += other.unanswered;
    }
}

/// How addresses were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlaceCounts {
    /// Distinct addresses; one that is in different places in different quarters counts as in the
    /// first.
    pub addresses: Coverage,
    /// Records of them.
    pub records: Coverage,
    /// Addresses that different answers put into different units; the first unit was taken.
    pub conflicting: u64,
}

impl AddAssign for PlaceCounts {
    fn add_assign(&mut self, other: Self) {
        self.addresses += other.addresses;
        self.records += other.records;
        self.conflicting += other.conflicting;
    }
}

/// Finds the places of all addresses of a bucket and passes the records on to buckets of persons. Of
/// several answers the best counts: a unit, then a ZIP code.
///
/// # Errors
/// If a scratch file cannot be read or written.
pub fn place_addresses(
    places: &Places,
    mut records: Vec<AddressRow>,
    mut answers: Vec<LocatedRow>,
    counts: &mut PlaceCounts,
    out: &mut Writer<PlacedRow>,
    persons: usize,
) -> Result<()> {
    records.sort_unstable();
    answers.sort_unstable();
    let mut answers = answers.chunk_by(|a, b| a.address == b.address).peekable();
    for of_address in records.chunk_by(|a, b| a.address == b.address) {
        let address = of_address[0].address;
        while answers.next_if(|answers| answers[0].address < address).is_some() {}
        let own = answers.next_if(|answers| answers[0].address == address);
        let best = own.map(|own| Location(own[0].location));
        let is_other = |row: &LocatedRow| {
            Location(row.location).is_unit() && Some(Location(row.location)) != best
        };
        counts.conflicting += u64::from(own.is_some_and(|own| own.iter().any(is_other)));
        let place = |row: &AddressRow| best.map(|best| places.at(best, Date::from_bits(row.date)));
        counts.addresses.count(place(&of_address[0]), places, 1);
        for row in of_address {
            let place = place(row);
            counts.records.count(place, places, 1);
            let placed = PlacedRow {
                person: row.person,
                address: address.hash(),
                date: row.date,
                place: place.unwrap_or(Place::UNKNOWN).0,
                category: row.category,
                padding: 0,
            };
            out.push(row.person.bucket(persons), placed)?;
        }
    }
    Ok(())
}

/// How persons and their addresses came together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PersonCounts {
    /// Persons with a row.
    pub listed: u64,
    /// Persons with an address but no row: only their addresses have dates.
    pub without_row: u64,
    /// Persons with a row but no address.
    pub without_address: u64,
    /// Rows that say again what another row of the person says.
    pub repeated_rows: u64,
    /// Persons whose rows disagree; the widest dates were taken.
    pub disagreeing: u64,
    /// Persons listed as deceased; they stay where they were last, as stayers.
    pub deceased: u64,
}

impl AddAssign for PersonCounts {
    fn add_assign(&mut self, other: Self) {
        self.listed += other.listed;
        self.without_row += other.without_row;
        self.without_address += other.without_address;
        self.repeated_rows += other.repeated_rows;
        self.disagreeing += other.disagreeing;
        self.deceased += other.deceased;
    }
}

/// Asks all persons of a bucket.
///
/// # Errors
/// If a scratch file cannot be written.
pub fn ask_persons(
    mut rows: Vec<PersonRow>,
    mut records: Vec<PlacedRow>,
    counts: &mut PersonCounts,
    asker: &mut Asker,
    residences: &mut Vec<Residence>,
) -> Result<()> {
    rows.sort_unstable();
    records.sort_unstable_by_key(|record| record.person);
    let mut rows = rows.chunk_by(|a, b| a.person == b.person).peekable();
    for own in records.chunk_by(|a, b| a.person == b.person) {
        let person = own[0].person;
        while let Some(alone) = rows.next_if(|rows| rows[0].person < person) {
            list(alone, counts);
            counts.without_address += 1;
        }
        let listed = if let Some(rows) = rows.next_if(|rows| rows[0].person == person) {
            list(rows, counts)
        } else {
            counts.without_row += 1;
            Listed::default()
        };
        residences.clear();
        residences.extend(own.iter().map(PlacedRow::residence));
        asker.ask(listed, residences)?;
    }
    for alone in rows {
        list(alone, counts);
        counts.without_address += 1;
    }
    Ok(())
}

/// What the rows of a person say together: the widest dates.
fn list(rows: &[PersonRow], counts: &mut PersonCounts) -> Listed {
    counts.listed += 1;
    let repeated = rows.windows(2).filter(|pair| pair[0] == pair[1]).count();
    counts.repeated_rows += repeated as u64;
    counts.disagreeing += u64::from(repeated + 1 < rows.len());
    counts.deceased += u64::from(rows.iter().any(|row| row.deceased == 1));
    Listed {
        first: rows.iter().filter_map(|row| Date::from_bits(row.first)).min(),
        last: rows.iter().filter_map(|row| Date::from_bits(row.last)).max(),
    }
}

/// Buckets of addresses and of persons; enough that one of them fits in memory.
pub(super) const BUCKETS: usize = 256;

/// Everything read, by address and by person.
#[derive(Debug)]
pub struct Records<'m> {
    /// By address.
    pub addresses: Buckets<'m, AddressRow>,
    /// By address.
    pub answers: Buckets<'m, LocatedRow>,
    /// By person.
    pub persons: Buckets<'m, PersonRow>,
}
