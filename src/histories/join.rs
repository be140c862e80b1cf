//! Records brought together: addresses with the answers about them, then persons with their addresses.

use bytemuck::{Pod, Zeroable};

use super::buckets::Buckets;
use super::date::Date;
use super::key::Key;
use super::places::{Location, Place};
use super::record::{Category, Listed, Residence};

mod addresses;
mod persons;

pub use addresses::{Addresses, Coverage, PlaceCounts};
pub use persons::{PersonCounts, Persons};

/// A record of a person's address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct AddressRow {
    /// The address.
    pub address: Key,
    /// The person.
    pub person: Key,
    dated: Dated,
    padding: u32,
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
    dated: Dated,
    place: u32,
}

/// A date that may be missing, and whether it is one of a post-office box.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
struct Dated(u32);

impl Dated {
    /// Beyond the bits of every date.
    const PO_BOX: u32 = 1 << 31;

    fn new(date: Option<Date>, category: Category) -> Self {
        Self(bits(date) | if category == Category::PoBox { Self::PO_BOX } else { 0 })
    }

    fn date(self) -> Option<Date> {
        Date::from_bits(self.0 & !Self::PO_BOX)
    }

    fn category(self) -> Category {
        if self.0 & Self::PO_BOX == 0 { Category::Other } else { Category::PoBox }
    }
}

/// Of a date that may be missing.
fn bits(date: Option<Date>) -> u32 {
    date.map_or(0, Date::to_bits)
}

impl AddressRow {
    /// A record.
    pub fn new(address: Key, person: Key, date: Option<Date>, category: Category) -> Self {
        Self { address, person, dated: Dated::new(date, category), padding: 0 }
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
            date: self.dated.date(),
            address: self.address,
            category: self.dated.category(),
            place: Place(self.place),
        }
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

/// Bytes of a hash table of so many: it is between half and seven eighths full, with a byte more each.
fn table_bytes<T>(count: usize) -> usize {
    (count * 8 / 7).next_power_of_two() * (size_of::<T>() + 1)
}
