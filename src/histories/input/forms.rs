//! The forms that records come in: a table of persons and one of addresses, or one with both.

use super::fields::{Fields, Notes, identifier};
use super::rows::{Part, Row, Wanted, names};
use crate::histories::buckets::Writer;
use crate::histories::join::{AddressRow, PersonRow, Records};
use crate::histories::key::Key;
use crate::histories::record::Listed;
use crate::{Error, Result};

/// Columns of a person.
#[derive(Clone, Debug)]
pub struct PersonColumns {
    /// Identifier.
    pub person_id: String,
    /// First date, optional.
    pub first_seen: String,
    /// Last date, optional.
    pub last_seen: String,
    /// Whether deceased, optional.
    pub deceased: String,
}

/// Columns of an address; in the wide form `{}` stands for a number from 1.
#[derive(Clone, Debug)]
pub struct AddressColumns {
    /// Identifier.
    pub address_id: String,
    /// When the person was first seen there, optional.
    pub effective_date: String,
    /// Kind of address, optional.
    pub category: String,
}

/// What the rows of a table are.
#[derive(Clone, Debug)]
pub enum Form {
    /// A person each.
    Persons(PersonColumns),
    /// An address of a person each.
    Addresses {
        /// Column of the person.
        person_id: String,
        /// Columns of the address.
        address: AddressColumns,
    },
    /// A person with addresses each.
    Wide(PersonColumns, AddressColumns),
}

/// Addresses of a row in the wide form, at most.
const MAX_ADDRESSES: usize = 99;

/// Puts records into their buckets, on one thread.
#[derive(Debug)]
pub struct Reader<'r, 'm> {
    fields: &'r Fields,
    buckets: usize,
    persons: Writer<'r, 'm, PersonRow>,
    addresses: Writer<'r, 'm, AddressRow>,
    /// What was odd.
    pub notes: Notes,
}

impl<'r, 'm> Reader<'r, 'm> {
    /// A reader into these records.
    pub fn new(fields: &'r Fields, records: &'r Records<'m>) -> Self {
        Self {
            fields,
            buckets: records.addresses.count(),
            persons: records.persons.writer(),
            addresses: records.addresses.writer(),
            notes: Notes::default(),
        }
    }

    /// Reads a part, which has a number for the notes.
    ///
    /// # Errors
    /// If a column is missing, an identifier is empty, a cell is no date, or a file is broken.
    pub fn read(&mut self, form: &Form, number: usize, part: &Part) -> Result<()> {
        match form {
            Form::Persons(columns) => part.read(&person_columns(columns), |row| {
                self.person(row, number)?;
                Ok(())
            }),
            Form::Addresses { person_id, address } => {
                let mut wanted = vec![required(person_id)];
                wanted.extend(address_columns(address));
                part.read(&wanted, |row| {
                    let person = Key::new(identifier(row, 0)?.as_bytes());
                    identifier(row, 1)?;
                    self.address(row, 1, person, number)
                })
            }
            Form::Wide(person, address) => {
                let wanted = wide_columns(part, person, address)?;
                part.read(&wanted, |row| {
                    let person = self.person(row, number)?;
                    for first in (PERSON_COLUMNS..wanted.len()).step_by(ADDRESS_COLUMNS) {
                        self.address(row, first, person, number)?;
                    }
                    Ok(())
                })
            }
        }
    }

    fn person(&mut self, row: &Row, part: usize) -> Result<Key> {
        let notes = &mut self.notes;
        let person = Key::new(identifier(row, 0)?.as_bytes());
        let first = self.fields.date(row, 1, part, notes)?;
        let last = self.fields.date(row, 2, part, notes)?;
        let (first, last) = Fields::in_order(first, last, || row.place(2), part, notes);
        let listed = PersonRow::new(person, Listed { first, last }, Fields::deceased(row, 3)?);
        notes.person_rows += 1;
        self.persons.push(person.bucket(self.buckets), listed)?;
        Ok(person)
    }

    /// The address whose columns begin at `first`; an empty one is none.
    fn address(&mut self, row: &Row, first: usize, person: Key, part: usize) -> Result<()> {
        let text = row.cell(first);
        if text.is_empty() {
            return Ok(());
        }
        let address = Key::new(text.as_bytes());
        let date = self.fields.date(row, first + 1, part, &mut self.notes)?;
        let category = self.fields.category(row, first + 2, part, &mut self.notes);
        self.notes.address_records += 1;
        let record = AddressRow::new(address, person, date, category);
        self.addresses.push(address.bucket(self.buckets), record)
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// If a scratch file cannot be written.
    pub fn finish(self) -> Result<Notes> {
        self.persons.finish()?;
        self.addresses.finish()?;
        Ok(self.notes)
    }
}

/// Columns that [`person_columns`] and [`address_columns`] ask for.
const PERSON_COLUMNS: usize = 4;
const ADDRESS_COLUMNS: usize = 3;

fn required(name: &str) -> Wanted {
    Wanted { name: name.to_owned(), optional: false, float: false }
}

fn optional(name: &str) -> Wanted {
    Wanted { name: name.to_owned(), optional: true, float: false }
}

fn person_columns(columns: &PersonColumns) -> [Wanted; PERSON_COLUMNS] {
    [
        required(&columns.person_id),
        optional(&columns.first_seen),
        optional(&columns.last_seen),
        optional(&columns.deceased),
    ]
}

fn address_columns(columns: &AddressColumns) -> [Wanted; ADDRESS_COLUMNS] {
    [required(&columns.address_id), optional(&columns.effective_date), optional(&columns.category)]
}

/// Columns of the person, then those of each address for as many numbers as the file has.
fn wide_columns(
    part: &Part,
    person: &PersonColumns,
    address: &AddressColumns,
) -> Result<Vec<Wanted>> {
    let found = names(&part.path)?;
    let mut wanted = person_columns(person).to_vec();
    for number in 1..=MAX_ADDRESSES {
        let numbered = |pattern: &str| pattern.replace("{}", &number.to_string());
        let columns = AddressColumns {
            address_id: numbered(&address.address_id),
            effective_date: numbered(&address.effective_date),
            category: numbered(&address.category),
        };
        if !found.contains(&columns.address_id) {
            break;
        }
        wanted.extend(address_columns(&columns));
    }
    if wanted.len() == PERSON_COLUMNS {
        let name = address.address_id.replace("{}", "1");
        let problem = format!("expected a column `{name}`, found {}", crate::table::listed(&found));
        return Err(Error::data(&part.path, "", problem));
    }
    Ok(wanted)
}
