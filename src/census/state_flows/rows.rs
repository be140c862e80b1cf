//! Reads the rows of the table by the names of their states.

use calamine::Data;

use super::super::text::{self, Cell};
use super::layout::{Field, Layout, NAME_HEADER, plain_name};
use super::{CurrentState, Estimate, Result, STATES, Sheet, states};

/// A row as read.
pub(super) struct Row {
    /// Row of the sheet, from 0.
    pub at: u32,
    /// Name as printed in messages.
    pub name: &'static str,
    /// By [`Field::place`].
    pub values: [Option<Estimate>; Field::COUNT],
}

impl Row {
    /// A value's persons, 0 where not given.
    pub fn persons(&self, field: Field) -> f64 {
        self.values[field.place()].map_or(0.0, |estimate| estimate.value)
    }

    /// # Panics
    /// If a field that every row has is missing.
    pub fn into_state(self) -> CurrentState {
        let get = |field: Field| self.values[field.place()];
        let required = |field| get(field).expect("rows without it are refused");
        CurrentState {
            population: required(Field::Population),
            same_house: required(Field::SameHouse),
            same_state: required(Field::SameState),
            different_state: required(Field::DifferentState),
            abroad: required(Field::Abroad),
            puerto_rico: get(Field::PuertoRico),
            island_areas: get(Field::IslandAreas),
            foreign_country: get(Field::ForeignCountry),
            origins: (0..STATES.len()).map(|state| get(Field::Origin(state))).collect(),
        }
    }
}

/// All rows of the table.
pub(super) struct Rows {
    pub nation: Row,
    pub puerto_rico: Option<Row>,
    /// In the order of [`STATES`].
    pub states: Vec<Row>,
}

const NATION: usize = STATES.len();
const PUERTO_RICO: usize = NATION + 1;

/// Reads the rows below the header.
pub(super) fn read(sheet: &Sheet, layout: &Layout) -> Result<Rows> {
    let names = layout.names[0];
    let mut rows: Vec<Option<Row>> = (0..=PUERTO_RICO).map(|_| None).collect();
    let mut row = layout.last_header + 1;
    while row < sheet.rows() {
        let printed = sheet.text(row, names);
        if printed.to_lowercase().starts_with(NAME_HEADER) {
            row = repeated_header(sheet, layout, row)?;
            continue;
        }
        let name = plain_name(&printed);
        let place = match name.as_str() {
            "united states" => Some((NATION, "United States")),
            "puerto rico" => Some((PUERTO_RICO, "Puerto Rico")),
            name => states::position_of_name(name).map(|at| (at, STATES[at].1)),
        };
        if let Some((at, name)) = place {
            if let Some(first) = &rows[at] {
                let first = first.at + 1;
                let problem = format!("expected one row of {name}, found another in row {first}");
                return Err(sheet.error(row, names, problem));
            }
            rows[at] = Some(read_row(sheet, layout, row, name)?);
        } else if layout.columns.iter().any(|column| is_number(sheet, row, column.estimate)) {
            // Notes and blank rows have no numbers.
            let problem = format!("expected a state, found `{printed}` beside numbers");
            return Err(sheet.error(row, names, problem));
        }
        row += 1;
    }
    let mut rows = rows.into_iter();
    let mut states = Vec::new();
    for ((_, name), row) in STATES.iter().zip(rows.by_ref()) {
        states.push(row.ok_or_else(|| {
            sheet.sheet_error(format!(
                "expected a row of each of the 51 states, found none of {name}"
            ))
        })?);
    }
    let nation = rows
        .next()
        .flatten()
        .ok_or_else(|| sheet.sheet_error("expected a row `United States`, found none"))?;
    Ok(Rows { nation, puerto_rico: rows.next().flatten(), states })
}

/// Whether a cell holds a count and no annotation or text.
fn is_number(sheet: &Sheet, row: u32, column: u32) -> bool {
    matches!(read_cell(sheet, row, column), Some(Cell::Number(_)))
}

/// A header repeated on another page must be the same; returns the row after it.
fn repeated_header(sheet: &Sheet, layout: &Layout, row: u32) -> Result<u32> {
    for offset in 0..=layout.last_header - layout.header {
        for column in 0..sheet.columns() {
            let expected = sheet.text(layout.header + offset, column);
            let found = sheet.text(row + offset, column);
            if plain_name(&expected) != plain_name(&found) {
                let problem = format!(
                    "expected the header of row {}, `{expected}`, found `{found}`",
                    layout.header + offset + 1
                );
                return Err(sheet.error(row + offset, column, problem));
            }
        }
    }
    Ok(row + layout.last_header - layout.header + 1)
}

fn read_row(sheet: &Sheet, layout: &Layout, row: u32, name: &'static str) -> Result<Row> {
    for &column in &layout.names[1..] {
        let found = sheet.text(row, column);
        if !plain_name(&found).eq_ignore_ascii_case(name) {
            let problem = format!("expected `{name}`, as at the row's start, found `{found}`");
            return Err(sheet.error(row, column, problem));
        }
    }
    let mut values = [None; Field::COUNT];
    for column in &layout.columns {
        let cell = |at: u32| {
            read_cell(sheet, row, at).ok_or_else(|| {
                let found = sheet.text(row, at);
                let problem =
                    format!("expected a count or N/A in {}, found `{found}`", column.field.name());
                sheet.error(row, at, problem)
            })
        };
        let moe = match cell(column.moe)? {
            Cell::Number(moe) => Some(moe),
            Cell::Controlled => Some(0.0),
            Cell::NotGiven => None,
        };
        match cell(column.estimate)? {
            Cell::Number(value) => {
                values[column.field.place()] = Some(Estimate { value, moe });
            }
            _ if column.field.is_optional() => {}
            _ => {
                let found = sheet.text(row, column.estimate);
                let problem =
                    format!("expected {} of {name}, found `{found}`", column.field.name());
                return Err(sheet.error(row, column.estimate, problem));
            }
        }
    }
    Ok(Row { at: row, name, values })
}

/// A count, as a number or as text with thousands separators, or an annotation.
fn read_cell(sheet: &Sheet, row: u32, column: u32) -> Option<Cell> {
    match sheet.value(row, column)? {
        Data::Float(number) if *number >= 0.0 && number.is_finite() => Some(Cell::Number(*number)),
        Data::Int(number) if *number >= 0 => Some(Cell::Number(*number as f64)),
        Data::String(text) => text::annotated(text),
        _ => None,
    }
}
