//! Cells as dates and categories, and notes of what was odd about them.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::rows::Row;
use crate::Result;
use crate::histories::date::Date;
use crate::histories::record::Category;

/// Dates before this year are no dates of residence.
const FIRST_YEAR: i32 = 1900;

/// How often something was found, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// Number of times.
    pub count: u64,
    /// Place and content of the first one, in the order of the files.
    pub first: Option<String>,
    /// Part of the first one.
    #[serde(skip)]
    part: usize,
}

impl Noted {
    /// Counts what was found in a part of the input.
    pub fn add(&mut self, part: usize, found: impl FnOnce() -> String) {
        if self.count == 0 {
            *self = Self { count: 1, first: Some(found()), part };
        } else {
            self.count += 1;
        }
    }
}

impl AddAssign for Noted {
    /// Adds what another thread found.
    fn add_assign(&mut self, other: Self) {
        let count = self.count + other.count;
        if other.count > 0 && (self.count == 0 || other.part < self.part) {
            *self = other;
        }
        self.count = count;
    }
}

/// What was odd about the records read. Nothing of it ends a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Notes {
    /// Rows of persons.
    pub person_rows: u64,
    /// Records of addresses.
    pub address_records: u64,
    /// Dates before 1900 or after the latest date, taken as missing.
    pub dates_out_of_range: Noted,
    /// Persons whose listed dates end before they start; both were taken as missing.
    pub reversed: Noted,
    /// Categories that are not in the study file, taken as no post-office boxes.
    pub unknown_categories: Noted,
    /// Records by category as written.
    pub categories: BTreeMap<String, u64>,
}

/// Categories that are counted by name in the end, and on the way; more of them count together.
const CATEGORY_NAMES: usize = 50;
const NAMES_ON_THE_WAY: usize = 1 << 16;
const OTHERS: &str = "(others)";

impl Notes {
    /// Adds the notes of another thread.
    pub fn merge(&mut self, other: Self) {
        self.person_rows += other.person_rows;
        self.address_records += other.address_records;
        self.dates_out_of_range += other.dates_out_of_range;
        self.reversed += other.reversed;
        self.unknown_categories += other.unknown_categories;
        for (name, count) in other.categories {
            *self.categories.entry(name).or_insert(0) += count;
        }
    }

    /// Keeps the first categories by name, and how many have another: the same of any threads.
    pub fn shorten(&mut self) {
        while self.categories.len() > CATEGORY_NAMES {
            let last = self.categories.keys().rev().find(|name| *name != OTHERS);
            let last = last.expect("there are others").clone();
            let count = self.categories.remove(&last).unwrap_or_default();
            *self.categories.entry(OTHERS.to_owned()).or_insert(0) += count;
        }
    }
}

/// How cells are read.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Dates after it are not believed.
    pub latest: Date,
    /// Categories of post-office boxes.
    pub po_box: Vec<String>,
    /// All other categories.
    pub other: Vec<String>,
}

impl Fields {
    /// A date; `None` from an empty cell, one of zeros, or a date that is not believed.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn date(
        &self,
        row: &Row,
        column: usize,
        part: usize,
        notes: &mut Notes,
    ) -> Result<Option<Date>> {
        let text = row.cell(column);
        if text.bytes().all(|byte| matches!(byte, b'0' | b'-')) {
            return Ok(None);
        }
        let date = Date::parse(text).ok_or_else(|| {
            let problem = format!(
                "expected a date as 2015-03-20, 2015-03, 20150320 or 201503, found `{text}`"
            );
            row.error(column, problem)
        })?;
        if date.month().year() < FIRST_YEAR || date > self.latest {
            notes.dates_out_of_range.add(part, || format!("{}: `{text}`", row.place(column)));
            return Ok(None);
        }
        Ok(Some(date))
    }

    /// A category; an empty cell is no post-office box.
    pub fn category(&self, row: &Row, column: usize, part: usize, notes: &mut Notes) -> Category {
        let text = row.cell(column);
        let counts = &mut notes.categories;
        if let Some(count) = counts.get_mut(text) {
            *count += 1;
        } else {
            let name = if counts.len() < NAMES_ON_THE_WAY { text } else { OTHERS };
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
        if self.po_box.iter().any(|name| name == text) {
            return Category::PoBox;
        }
        if !text.is_empty() && !self.other.iter().any(|name| name == text) {
            notes.unknown_categories.add(part, || format!("{}: `{text}`", row.place(column)));
        }
        Category::Other
    }

    /// Whether a person is listed as deceased.
    ///
    /// # Errors
    /// If it is neither yes nor no.
    pub fn deceased(row: &Row, column: usize) -> Result<bool> {
        let text = row.cell(column);
        let is = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
        if is(&["1", "Y", "yes", "true", "T", "D"]) {
            return Ok(true);
        }
        if is(&["", "0", "N", "no", "false", "F"]) {
            return Ok(false);
        }
        Err(row.error(column, format!("expected yes or no, 1 or 0, found `{text}`")))
    }

    /// Listed dates in order, or none of them.
    pub fn in_order(
        first: Option<Date>,
        last: Option<Date>,
        place: impl FnOnce() -> String,
        part: usize,
        notes: &mut Notes,
    ) -> (Option<Date>, Option<Date>) {
        match first.zip(last) {
            Some((first, last)) if last < first => {
                notes.reversed.add(part, || format!("{}: {first} to {last}", place()));
                (None, None)
            }
            _ => (first, last),
        }
    }
}

/// An identifier, which must not be empty.
///
/// # Errors
/// If it is.
pub fn identifier<'r>(row: &'r Row, column: usize) -> Result<&'r str> {
    let text = row.cell(column);
    if text.is_empty() {
        return Err(row.error(column, "expected an identifier, found an empty cell"));
    }
    Ok(text)
}
