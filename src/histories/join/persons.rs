//! Persons with their addresses.

use std::num::NonZero;

use hashbrown::HashTable;
use serde::Serialize;

use super::{PersonRow, PlacedRow, table_bytes};
use crate::Result;
use crate::counts::add_by_field;
use crate::histories::buckets::Buckets;
use crate::histories::date::Date;
use crate::histories::flows::Asker;
use crate::histories::key::Key;
use crate::histories::record::{Listed, Residence};

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

add_by_field!(PersonCounts: listed, without_row, without_address, repeated_rows, disagreeing, deceased);

/// Where a list begins among the items of all lists.
type Head = Option<NonZero<u32>>;

/// Many lists, whose items are in no order.
#[derive(Debug)]
struct Lists<T> {
    /// With the next one of the same list, counted from 1.
    items: Vec<(T, Head)>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T> Lists<T> {
    fn push(&mut self, head: &mut Head, item: T) {
        self.items.push((item, *head));
        *head = NonZero::new(self.items.len() as u32);
    }

    fn list(&self, head: Head) -> impl Iterator<Item = &T> {
        let at = |head: Head| head.map(|k| &self.items[k.get() as usize - 1]);
        std::iter::successors(at(head), move |item| at(item.1)).map(|(item, _)| item)
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    person: Key,
    rows: Head,
    residences: Head,
}

/// Persons of a bucket with all that is known of them; used again for the next one.
#[derive(Debug, Default)]
pub struct Persons {
    known: HashTable<Known>,
    rows: Lists<PersonRow>,
    residences: Lists<Residence>,
}

impl Persons {
    /// Bytes that so many rows of persons and of their addresses take at most.
    pub fn size_bytes(rows: usize, records: usize) -> usize {
        table_bytes::<Known>(rows + records)
            + rows * size_of::<(PersonRow, Head)>()
            + records * size_of::<(Residence, Head)>()
    }

    /// Asks all persons of a bucket.
    ///
    /// # Errors
    /// If a scratch file cannot be read or written.
    pub fn ask(
        &mut self,
        rows: &Buckets<PersonRow>,
        placed: &Buckets<PlacedRow>,
        bucket: usize,
        counts: &mut PersonCounts,
        asker: &mut Asker,
    ) -> Result<()> {
        let Self { known, rows: all_rows, residences } = self;
        known.clear();
        all_rows.items.clear();
        all_rows.items.reserve_exact(rows.len(bucket));
        residences.items.clear();
        residences.items.reserve_exact(placed.len(bucket));
        rows.drain(bucket, |row| {
            all_rows.push(&mut entry(known, row.person).rows, *row);
            Ok(())
        })?;
        placed.drain(bucket, |row| {
            residences.push(&mut entry(known, row.person).residences, row.residence());
            Ok(())
        })?;
        let (mut own_rows, mut own) = (Vec::new(), Vec::new());
        for person in &*known {
            own_rows.clear();
            own_rows.extend(all_rows.list(person.rows).copied());
            let listed = list(&mut own_rows, counts);
            if person.residences.is_none() {
                counts.without_address += 1;
                continue;
            }
            own.clear();
            own.extend(residences.list(person.residences).copied());
            asker.ask(listed, &mut own)?;
        }
        Ok(())
    }
}

fn entry(known: &mut HashTable<Known>, person: Key) -> &mut Known {
    let new = Known { person, rows: None, residences: None };
    let entry =
        known.entry(person.hash(), |known| known.person == person, |known| known.person.hash());
    entry.or_insert(new).into_mut()
}

/// What the rows of a person say together: the widest dates.
fn list(rows: &mut [PersonRow], counts: &mut PersonCounts) -> Listed {
    if rows.is_empty() {
        counts.without_row += 1;
        return Listed::default();
    }
    rows.sort_unstable();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories::date::Date;

    #[test]
    fn lists_keep_their_items_apart() {
        let mut lists = Lists::default();
        let mut heads = [None; 3];
        for k in 0..10 {
            lists.push(&mut heads[k % 2], k);
        }
        let list = |head| lists.list(head).copied().collect::<Vec<_>>();
        assert_eq!(heads.map(list), [vec![8, 6, 4, 2, 0], vec![9, 7, 5, 3, 1], vec![]]);
    }

    #[test]
    fn rows_that_disagree_give_the_widest_dates() {
        let row = |first: &str, last: &str, deceased| {
            let listed = Listed { first: Date::parse(first), last: Date::parse(last) };
            PersonRow::new(Key::new(b"p"), listed, deceased)
        };
        let mut counts = PersonCounts::default();
        let (wide, late) = (row("2010-01", "2012-01", false), row("2011-01", "", true));
        let listed = list(&mut [late, wide, late, wide, wide], &mut counts);
        assert_eq!((listed.first, listed.last), (Date::parse("2010-01"), Date::parse("2012-01")));
        let expected = PersonCounts {
            listed: 1,
            repeated_rows: 3,
            disagreeing: 1,
            deceased: 1,
            ..Default::default()
        };
        assert_eq!(counts, expected);
        list(&mut [wide, wide], &mut counts);
        assert_eq!((counts.repeated_rows, counts.disagreeing), (4, 1));
        assert_eq!((list(&mut [], &mut counts), counts.without_row), (Listed::default(), 1));
    }
}
