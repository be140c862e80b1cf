//! State-to-state migration flows: where the people of each state lived a year ago.
//!
//! **Source.** U.S. Census Bureau, American Community Survey 1-year estimates,
//! <https://www.census.gov/data/tables/time-series/demo/geographic-mobility/state-to-state-migration.html>,
//! one workbook a year: `state_to_state_migrations_table_2010.xls` to `..._2019.xls`,
//! `State_to_State_Migrations_Table_2021.xls`, `State_to_State_Migration_Table_2022_T13_....xlsx`
//! and `..._2023_T13.xlsx`. There is no standard 1-year table of 2020. The workbook of 2024 lists a
//! pair of states per row, which is not read.
//!
//! **Universe.** The population aged 1 year and over that lives in the state in year t, asked in
//! each month of t where it lived 1 year before. The estimates of the United States leave out
//! Puerto Rico, which has a row of its own.
//!
//! **Units.** Persons; margins of error at 90 %.
//!
//! **Layout.** Columns are found by the words of the header, rows by the name of the state, so that
//! neither may be moved unnoticed: `Current residence in`, `Population 1 year and over`, `Same house`
//! or `Same residence` (2012), `Same state` or `Different residence, same state` (2012), `Different
//! state` with `Total` and 51 states, `Abroad` with `Total`, Puerto Rico, the island areas and
//! foreign countries, each an `Estimate` and an `MOE`. Repeated columns of state names and repeated
//! header rows must agree with the first; footnote digits at the end of names are left out.
//!
//! **Checked**, without tolerance for 2010 to 2019, which hold it exactly, else within the rounding
//! of whole numbers, and then with a warning:
//! - population 1 year and over = same house + same state + different state + abroad;
//! - the origins sum to the total from different states, and the parts of abroad to its total;
//! - every column of the United States is the sum over the 51 states.

use std::path::Path;

use super::Estimate;
use super::sheet::Sheet;
use super::states::{self, PUERTO_RICO, STATES};
use crate::{Error, Result};

mod checks;
mod layout;
mod rows;

use layout::Layout;
use rows::Row;

/// The people who live in a state, by where they lived 1 year ago.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentState {
    /// All people of 1 year and over.
    pub population: Estimate,
    /// Lived in the same house.
    pub same_house: Estimate,
    /// Lived in another house of the same state.
    pub same_state: Estimate,
    /// Lived in another of the 51 states.
    pub different_state: Estimate,
    /// Lived outside the 51 states.
    pub abroad: Estimate,
    /// Of those abroad, in Puerto Rico; `None` for Puerto Rico itself or where not given.
    pub puerto_rico: Option<Estimate>,
    /// Of those abroad, in the U.S. island areas, where given.
    pub island_areas: Option<Estimate>,
    /// Of those abroad, in a foreign country, where given.
    pub foreign_country: Option<Estimate>,
    /// Lived in each of [`STATES`]; `None` for the state itself and where not given.
    pub origins: Vec<Option<Estimate>>,
}

impl CurrentState {
    /// Lived in the state with this code, another than the one they live in.
    pub fn origin(&self, code: &str) -> Option<Estimate> {
        self.origins[states::position_of_code(code)?]
    }
}

/// The workbook of one year.
///
/// Invariant: all 51 states are there, and the identities named in the [module docs](self) hold.
#[derive(Clone, Debug)]
pub struct StateFlows {
    /// Year of the survey, in which people live where they are; origins are of the year before.
    pub year: i32,
    /// The 50 states and the District of Columbia together.
    pub nation: CurrentState,
    /// Puerto Rico, where it has a row.
    pub puerto_rico: Option<CurrentState>,
    /// In the order of [`STATES`].
    states: Vec<CurrentState>,
    warnings: Vec<String>,
    /// Where the year is in the file, ready for an error.
    year_place: String,
}

impl StateFlows {
    /// Reads a workbook, `.xls` or `.xlsx`.
    ///
    /// # Errors
    /// Names path, sheet and cell, what was expected and found: another table, years that differ
    /// between the cells or from the file's name, a header of other words, a missing or repeated
    /// state, a cell that is no count, and an identity that does not hold.
    pub fn read(path: &Path) -> Result<Self> {
        let sheets = Sheet::read_all(path)?;
        let mut refused = None;
        for sheet in &sheets {
            match Layout::find(sheet) {
                Ok(layout) => {
                    check_name(path, sheet, layout.year)?;
                    return Self::from_sheet(sheet, &layout);
                }
                // Of sheets that are refused, the one that was recognized best is reported.
                Err(problem) if refused.as_ref().is_none_or(|(depth, _)| problem.0 > *depth) => {
                    refused = Some(problem);
                }
                Err(_) => {}
            }
        }
        let (_, error) = refused.expect("a workbook read has a sheet");
        Err(error)
    }

    fn from_sheet(sheet: &Sheet, layout: &Layout) -> Result<Self> {
        let rows = rows::read(sheet, layout)?;
        let warnings = checks::check(sheet, layout, &rows)?;
        Ok(Self {
            year: layout.year,
            nation: rows.nation.into_state(),
            puerto_rico: rows.puerto_rico.map(Row::into_state),
            states: rows.states.into_iter().map(Row::into_state).collect(),
            warnings,
            year_place: layout.year_place.clone(),
        })
    }

    /// The people who live in the state with this code (`"72"` for Puerto Rico).
    pub fn state(&self, code: &str) -> Option<&CurrentState> {
        if code == PUERTO_RICO {
            return self.puerto_rico.as_ref();
        }
        self.states.get(states::position_of_code(code)?)
    }

    /// People who lived in `origin` a year ago and live in `destination`, two different states by
    /// their codes.
    pub fn flow(&self, origin: &str, destination: &str) -> Option<Estimate> {
        self.state(destination)?.origin(origin)
    }

    /// The states' codes and their people, by code, without Puerto Rico.
    pub fn states(&self) -> impl Iterator<Item = (&'static str, &CurrentState)> {
        STATES.iter().map(|(code, _)| *code).zip(&self.states)
    }

    /// Refuses the table of another year; `path` is where it was read from.
    ///
    /// # Errors
    /// Names the sheet and cell of the year.
    pub fn require_year(&self, path: &Path, year: i32) -> Result<()> {
        if self.year == year {
            return Ok(());
        }
        let problem = format!("expected the table of {year}, found that of {}", self.year);
        Err(Error::data(path, &*self.year_place, problem))
    }

    /// What was off by rounding or not given, a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A file whose name has years, but not the one of its table, has been mistaken for another.
fn check_name(path: &Path, sheet: &Sheet, year: i32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let years = layout::years(&name);
    if years.is_empty() || years.contains(&year) {
        return Ok(());
    }
    Err(sheet.sheet_error(format!(
        "expected the year in the file's name, {}, found the table of {year}",
        years[0]
    )))
}

#[cfg(test)]
mod tests;
