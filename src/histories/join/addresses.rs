//! Addresses with the answers about them.

use hashbrown::HashTable;
use serde::Serialize;

use super::{BUCKETS, PlacedRow, Records, table_bytes};
use crate::Result;
use crate::counts::add_by_field;
use crate::histories::buckets::Writer;
use crate::histories::date::Date;
use crate::histories::key::Key;
use crate::histories::places::{Location, Place, Places};

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

add_by_field!(Coverage: exact, by_zip, territory, unknown, unanswered);

/// How addresses were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlaceCounts {
    /// Distinct addresses; one that is in different places in different quarters counts as at its
    /// first date.
    pub addresses: Coverage,
    /// Records of them.
    pub records: Coverage,
    /// Addresses that different answers put into different units, the first of which was taken, or into a
    /// unit and a territory.
    pub conflicting: u64,
    /// Addresses with an answer that no person has.
    pub unused: u64,
}

add_by_field!(PlaceCounts: addresses, records, conflicting, unused);

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
struct Answered {
    address: Key,
    /// The best of its answers.
    best: Option<Location>,
    /// Whether two answers name different units.
    conflicting: bool,
    /// Whether a person has it.
    used: bool,
    /// The first date of its records; one without a date comes first.
    first: Option<Date>,
}

/// Addresses of a bucket with what is known of them; used again for the next one.
#[derive(Debug, Default)]
pub struct Addresses(HashTable<Answered>);

impl Addresses {
    /// Bytes that so many answers and records take at most.
    pub fn size_bytes(answers: usize, records: usize) -> usize {
        table_bytes::<Answered>(answers + records)
    }

    fn entry(&mut self, address: Key) -> &mut Answered {
        let entry = self.0.entry(
            address.hash(),
            |known| known.address == address,
            |known| known.address.hash(),
        );
        let new = Answered { address, best: None, conflicting: false, used: false, first: None };
        entry.or_insert(new).into_mut()
    }

    /// Finds the places of all addresses of a bucket and passes the records on to buckets of persons.
    /// Of several answers the best counts: a unit, then a ZIP code.
    ///
    /// # Errors
    /// If a scratch file cannot be read or written.
    pub fn place(
        &mut self,
        places: &Places,
        records: &Records,
        bucket: usize,
        counts: &mut PlaceCounts,
        out: &mut Writer<PlacedRow>,
    ) -> Result<()> {
        self.0.clear();
        records.answers.drain(bucket, |row| {
            let (location, known) = (Location(row.location), self.entry(row.address));
            let both = known.best.filter(|best| *best.max(&location) <= Location::TERRITORY);
            known.conflicting |= both.is_some_and(|best| best != location);
            known.best = Some(known.best.map_or(location, |best| best.min(location)));
            Ok(())
        })?;
        records.addresses.drain(bucket, |row| {
            let known = self.entry(row.address);
            let date = row.dated.date();
            known.first = if known.used { known.first.min(date) } else { date };
            known.used = true;
            let place = known.best.map(|best| places.at(best, date));
            counts.records.count(place, places, 1);
            let placed = PlacedRow {
                person: row.person,
                address: row.address.hash(),
                dated: row.dated,
                place: place.unwrap_or(Place::UNKNOWN).0,
            };
            out.push(row.person.bucket(BUCKETS), placed)
        })?;
        for known in &self.0 {
            if known.used {
                let place = known.best.map(|best| places.at(best, known.first));
                counts.addresses.count(place, places, 1);
                counts.conflicting += u64::from(known.conflicting);
            } else {
                counts.unused += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::{Geography, Geoid};
    use crate::histories::buckets::{Buckets, Memory};
    use crate::histories::crosswalk::{PlacesBuilder, UnitCodes};
    use crate::histories::join::{AddressRow, LocatedRow};
    use crate::histories::record::Category;

    #[test]
    fn the_best_answer_counts_whatever_the_order() {
        let geoids = ["010010001001", "010010001002"].map(Geoid::new);
        let units = Geography::new(geoids.to_vec()).unwrap();
        let (places, _) = PlacesBuilder::new(&UnitCodes::new(&units).unwrap(), None).finish();
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(u64::MAX, folder.path().to_owned());
        let key = |text: &str| Key::new(text.as_bytes());
        let mut answers = [
            ("two", Location::unit(1)),
            ("two", Location::unit(0)),
            ("two", Location::unit(0)),
            ("abroad", Location::TERRITORY),
            ("abroad", Location::UNKNOWN),
            ("both", Location::TERRITORY),
            ("both", Location::unit(1)),
            ("nobody's", Location::unit(1)),
            ("nowhere", Location::UNKNOWN),
        ];
        for _ in 0..2 {
            answers.reverse();
            let records = Records {
                addresses: Buckets::new(1, &memory),
                answers: Buckets::new(1, &memory),
                persons: Buckets::new(1, &memory),
            };
            let answers = answers.map(|(text, location)| LocatedRow::new(key(text), location));
            records.answers.add(0, answers.to_vec()).unwrap();
            let rows = ["two", "two", "both", "abroad", "nowhere", "silent"];
            let rows = rows.map(|text| AddressRow::new(key(text), key("p"), None, Category::Other));
            records.addresses.add(0, rows.to_vec()).unwrap();
            let (placed, mut counts) = (Buckets::new(BUCKETS, &memory), PlaceCounts::default());
            let mut out = placed.writer();
            Addresses::default().place(&places, &records, 0, &mut counts, &mut out).unwrap();
            out.finish().unwrap();
            let expected =
                Coverage { exact: 2, by_zip: 0, territory: 1, unknown: 1, unanswered: 1 };
            let found = (counts.addresses, counts.conflicting, counts.unused);
            assert_eq!(found, (expected, 2, 1));
            assert_eq!(counts.records, Coverage { exact: 3, ..expected });
            let placed = placed.take(key("p").bucket(BUCKETS)).unwrap();
            let mut found: Vec<Place> = placed.iter().map(|row| row.residence().place).collect();
            found.sort_unstable();
            let units = [0, 0, 1].map(Place::unit);
            let others = [Place::TERRITORY, Place::UNKNOWN, Place::UNKNOWN];
            assert_eq!(found, [units, others].concat());
        }
    }
}
