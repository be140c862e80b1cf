//! Population estimates and components of change, by county and state.
//!
//! **Source.** U.S. Census Bureau, Population Estimates Program (PEP),
//! <https://www2.census.gov/programs-surveys/popest/datasets/>:
//! `2010-2019/counties/totals/co-est2019-alldata.csv`,
//! `2010-2019/national/totals/nst-est2019-alldata.csv`, and the files of other vintages with these
//! columns: `co-est2010-alldata` to `co-est2025-alldata`, `NST-EST2020-ALLDATA` and so on. A vintage
//! replaces all years before it, so never mix two.
//!
//! **Universe.** The resident population: on July 1 of the year (`POPESTIMATE`), and on April 1 of
//! the census year (`ESTIMATESBASE`). Births, deaths, net international and net domestic migration
//! and the residual of year t are those from July 1 of t - 1 to June 30 of t; **those of the census
//! year are of three months only, April 1 to June 30** ([`Pep::is_partial`]).
//!
//! **Units.** Persons.
//!
//! **Columns** are found by name and year in the header, whatever the years: in any case, with or
//! without an underscore before the year. Columns of other names (rates, group quarters, the April
//! 2020 estimate `POPESTIMATE042020`) are left out.
//!
//! **Checked**, all without tolerance, in every row and year that has the columns:
//! - population = the one a year before (or the base) + births - deaths + international + domestic
//!   + residual;
//! - net migration = international + domestic; natural change = births - deaths; change = the
//!   difference of populations;
//! - counties sum to their state, and the states to the nation, in every column;
//! - domestic migration sums to 0 over the 51 states.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::states::{self, PUERTO_RICO};
use super::text;
use crate::geography::{Geoid, Level};
use crate::table::{CsvRecords, listed, position_of};
use crate::{Error, Result};

mod checks;

/// A column of the file, without its year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Residents on July 1.
    Population,
    /// Residents on April 1 of the census year, the start of the estimates.
    Base,
    /// Births in the year that ends on June 30.
    Births,
    /// Deaths in the year that ends on June 30.
    Deaths,
    /// Net international migration in the year that ends on June 30.
    International,
    /// Net domestic migration in the year that ends on June 30.
    Domestic,
    /// Change that no component explains.
    Residual,
    /// International + domestic.
    NetMigration,
    /// Births - deaths.
    NaturalChange,
    /// Population less the one a year before.
    Change,
}

/// Column names up to the year. Vintage 2019 calls births - deaths natural increase, later ones
/// natural change.
const COLUMNS: [(&str, Measure); 11] = [
    ("POPESTIMATE", Measure::Population),
    ("ESTIMATESBASE", Measure::Base),
    ("BIRTHS", Measure::Births),
    ("DEATHS", Measure::Deaths),
    ("INTERNATIONALMIG", Measure::International),
    ("DOMESTICMIG", Measure::Domestic),
    ("RESIDUAL", Measure::Residual),
    ("NETMIG", Measure::NetMigration),
    ("NATURALINC", Measure::NaturalChange),
    ("NATURALCHG", Measure::NaturalChange),
    ("NPOPCHG", Measure::Change),
];

impl Measure {
    /// The measure and year of a column; `None` for columns of other names.
    fn of_column(name: &str) -> Option<(Self, i32)> {
        let name = name.to_ascii_uppercase();
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let year = &name[stem.len()..];
        let stem = stem.trim_end_matches('_');
        let (_, measure) = COLUMNS.iter().find(|(column, _)| *column == stem)?;
        (year.len() == 4).then(|| Some((*measure, year.parse().ok()?)))?
    }

    /// Start of the column's name.
    fn column(self) -> &'static str {
        COLUMNS.iter().find(|(_, m)| *m == self).expect("every measure has a column").0
    }
}

/// One area of the file.
#[derive(Clone, Debug)]
struct Area {
    /// `None` for the nation.
    level: Option<Level>,
    geoid: Geoid,
    line: u64,
    /// One per column of [`Pep::columns`], in the order of the file.
    values: Vec<Option<i64>>,
}

/// A file of population estimates.
///
/// Invariants: codes are unique; the identities named in the [module docs](self) hold.
#[derive(Clone, Debug)]
pub struct Pep {
    path: PathBuf,
    /// Place in [`Area::values`] and name of every measure and year.
    columns: BTreeMap<(Measure, i32), (usize, String)>,
    areas: Vec<Area>,
    index: HashMap<Geoid, usize>,
    warnings: Vec<String>,
}

impl Pep {
    /// Code of the row of the whole nation (summary level 010).
    pub const NATION: &'static str = "US";

    /// Reads a county (`co-est...-alldata.csv`) or state (`nst-est...-alldata.csv`) file, UTF-8 or
    /// latin-1. Codes may have lost their leading zeros: each is in its own column, so they are
    /// put back. Rows of regions and divisions are skipped.
    ///
    /// # Errors
    /// Names path, line and column of a file of another table, an area given twice, a cell that is
    /// no whole number (`X` is allowed for Puerto Rico), and an identity that does not hold.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &text::read(path)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut records = CsvRecords::new(path, text.as_bytes())?;
        let header_error = |problem| Error::data(path, ":1", problem);
        let names: Vec<String> = records.names.iter().map(|n| n.to_ascii_uppercase()).collect();
        let mut columns = BTreeMap::new();
        let mut fields = Vec::new();
        for (field, name) in names.iter().enumerate() {
            let Some(column) = Measure::of_column(name) else { continue };
            let name = records.names[field].clone();
            if let Some((_, name)) = columns.insert(column, (fields.len(), name)) {
                return Err(header_error(format!("expected each column once, found {name} again")));
            }
            fields.push(field);
        }
        if !columns.keys().any(|(measure, _)| *measure == Measure::Population) {
            return Err(header_error(format!(
                "expected columns POPESTIMATE and a year, as in co-est2019-alldata.csv, found {}",
                listed(&records.names)
            )));
        }
        let column = |name| position_of(name, &names).map_err(header_error);
        let (summary, state) = (column("SUMLEV")?, column("STATE")?);
        let county = names.iter().position(|name| name == "COUNTY");

        let mut pep = Self {
            path: path.to_owned(),
            columns,
            areas: Vec::new(),
            index: HashMap::new(),
            warnings: Vec::new(),
        };
        while let Some((line, record)) = records.next()? {
            let error =
                |name: &str, problem| Error::data(path, format!(":{line}: column {name}"), problem);
            let state_code = || text::code(&record[state], 2).map_err(|p| error("STATE", p));
            let level = text::code(&record[summary], 3).map_err(|p| error("SUMLEV", p))?;
            let (level, geoid) = match (level.as_str(), county) {
                ("010", _) => (None, Self::NATION.to_owned()),
                ("020" | "030", _) => continue,
                ("040", _) => (Some(Level::State), state_code()?),
                ("050", Some(county)) => {
                    let county = text::code(&record[county], 3).map_err(|p| error("COUNTY", p))?;
                    (Some(Level::County), state_code()? + &county)
                }
                (other, _) => {
                    let problem = format!(
                        "expected 010 (nation), 020, 030, 040 (state), or 050 (county) with a \
                         column COUNTY, found {other}"
                    );
                    return Err(error("SUMLEV", problem));
                }
            };
            let mut values = Vec::with_capacity(fields.len());
            for &field in &fields {
                let found = &record[field];
                let value = text::integer(found);
                if value.is_none() && !(found == "X" && geoid.starts_with(PUERTO_RICO)) {
                    let problem = format!("expected a whole number of persons, found `{found}`");
                    return Err(error(&names[field], problem));
                }
                values.push(value);
            }
            let geoid = Geoid::new(geoid);
            if let Some(first) = pep.index.insert(geoid.clone(), pep.areas.len()) {
                let first = pep.areas[first].line;
                let problem = format!(
                    "expected each area once, found `{geoid}` again, first on line {first}"
                );
                return Err(error("STATE", problem));
            }
            pep.areas.push(Area { level, geoid, line, values });
        }
        if pep.areas.is_empty() {
            return Err(Error::data(path, "", "expected at least one area, found none"));
        }
        pep.warnings = checks::check(&pep)?;
        Ok(pep)
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What could not be checked, a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Years with a population of July 1, ascending.
    pub fn years(&self) -> Vec<i32> {
        self.years_of(Measure::Population).into_iter().collect()
    }

    /// The last year, by which the vintage is named.
    pub fn vintage(&self) -> i32 {
        *self.years_of(Measure::Population).last().expect("a file has a population")
    }

    /// The census year, whose components are of the three months from April 1 to June 30 only.
    pub fn base_year(&self) -> Option<i32> {
        self.years_of(Measure::Base).pop_last()
    }

    /// Whether the components of a year cover three months only.
    pub fn is_partial(&self, year: i32) -> bool {
        self.base_year() == Some(year)
    }

    fn years_of(&self, measure: Measure) -> BTreeSet<i32> {
        self.columns.keys().filter(|(m, _)| *m == measure).map(|(_, year)| *year).collect()
    }

    /// Codes of the states or of the counties, in the order of the file; Puerto Rico (`72`)
    /// included where the file has it.
    pub fn geoids(&self, level: &Level) -> impl Iterator<Item = &Geoid> {
        self.areas.iter().filter(move |a| a.level.as_ref() == Some(level)).map(|a| &a.geoid)
    }

    /// Persons of an area in a year. `None` where the file has no such area or column, or an `X`.
    pub fn get(&self, geoid: &str, measure: Measure, year: i32) -> Option<i64> {
        self.value(&self.areas[*self.index.get(geoid)?], measure, year)
    }

    /// As [`Self::get`]; an error says what the file lacks.
    pub fn require(&self, geoid: &str, measure: Measure, year: i32) -> Result<i64> {
        let column = format!("{}{year}", measure.column());
        let error = |place: String, problem| Err(Error::data(&self.path, place, problem));
        let Some(&at) = self.index.get(geoid) else {
            return error(
                String::new(),
                format!("expected the area `{geoid}`, found no row of it"),
            );
        };
        if !self.columns.contains_key(&(measure, year)) {
            let found = self.years_of(measure).iter().map(i32::to_string).collect::<Vec<_>>();
            let found = if found.is_empty() { "none".into() } else { found.join(", ") };
            let problem = format!("expected a column {column}, found the years {found}");
            return error(":1".into(), problem);
        }
        let place = format!(":{}: column {column}", self.areas[at].line);
        match self.value(&self.areas[at], measure, year) {
            Some(value) => Ok(value),
            None => error(place, "expected a whole number of persons, found `X`".into()),
        }
    }

    /// Persons in all areas of a level, without Puerto Rico. `None` where the file has no such
    /// column or area.
    pub fn total(&self, level: &Level, measure: Measure, year: i32) -> Option<i64> {
        let inside = |g: &&Geoid| !g.as_str().starts_with(PUERTO_RICO);
        let values: Option<Vec<i64>> = self
            .geoids(level)
            .filter(inside)
            .map(|geoid| self.get(geoid.as_str(), measure, year))
            .collect();
        values.filter(|values| !values.is_empty()).map(|values| values.iter().sum())
    }

    /// Residents on July 1 of the year.
    pub fn population(&self, geoid: &str, year: i32) -> Option<i64> {
        self.get(geoid, Measure::Population, year)
    }

    /// Births from July 1 of the year before to June 30, or from April 1 where
    /// [`Self::is_partial`].
    pub fn births(&self, geoid: &str, year: i32) -> Option<i64> {
        self.get(geoid, Measure::Births, year)
    }

    /// Deaths in the same period as [`Self::births`].
    pub fn deaths(&self, geoid: &str, year: i32) -> Option<i64> {
        self.get(geoid, Measure::Deaths, year)
    }

    /// Net international migration in the same period as [`Self::births`].
    pub fn international(&self, geoid: &str, year: i32) -> Option<i64> {
        self.get(geoid, Measure::International, year)
    }

    /// Net domestic migration in the same period as [`Self::births`].
    pub fn domestic(&self, geoid: &str, year: i32) -> Option<i64> {
        self.get(geoid, Measure::Domestic, year)
    }

    /// Change in the same period as [`Self::births`] that no component explains.
    pub fn residual(&self, geoid: &str, year: i32) -> Option<i64> {
        self.get(geoid, Measure::Residual, year)
    }

    fn value(&self, area: &Area, measure: Measure, year: i32) -> Option<i64> {
        area.values[self.columns.get(&(measure, year))?.0]
    }

    /// Whether there is a county of every state and the District of Columbia.
    fn has_counties_of_all_states(&self) -> bool {
        let states: BTreeSet<&str> =
            self.geoids(&Level::County).map(|county| &county.as_str()[..2]).collect();
        states::STATES.iter().all(|(code, _)| states.contains(code))
    }

    /// Whether all 50 states and the District of Columbia have rows.
    fn has_all_states(&self) -> bool {
        states::STATES.iter().all(|(code, _)| self.index.contains_key(*code))
    }
}

#[cfg(test)]
mod tests;
