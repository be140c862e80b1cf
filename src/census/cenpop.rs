//! Centers of population: where the people of each area live.
//!
//! **Source.** U.S. Census Bureau, Centers of Population,
//! <https://www.census.gov/geographies/reference-files/time-series/geo/centers-population.html>:
//! `CenPop2010_Mean_BG.txt` and `CenPop2020_Mean_BG.txt` (block groups), `..._TR.txt` (tracts),
//! `..._CO.txt` (counties), `..._ST.txt` (states), whole or by state.
//!
//! **Universe.** The resident population of the decennial census of April 1 of the year in the
//! name, with Puerto Rico (state 72). Areas are of that census' geography.
//!
//! **Units.** Persons; degrees of latitude and longitude (NAD 83) of the mean center.
//!
//! **Checked.** Codes have the digits of their level and are unique; populations are whole numbers;
//! coordinates are on the globe. The total of the 2010 files is 308,745,538 in the states and
//! 312,471,327 with Puerto Rico.

use std::collections::HashMap;
use std::path::Path;

use super::states::PUERTO_RICO;
use super::text;
use crate::geography::{Geoid, Level};
use crate::table::{CsvRecords, position_of};
use crate::{Error, Result};

/// An area and the mean center of its population.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Code of 2, 5, 11 or 12 digits.
    pub geoid: Geoid,
    /// Persons counted.
    pub population: u64,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east; negative in the Americas.
    pub longitude: f64,
}

/// A file of centers of population.
#[derive(Clone, Debug)]
pub struct CenPop {
    /// What the areas are.
    pub level: Level,
    /// The areas in the order of the file, their codes unique.
    pub places: Vec<Place>,
}

/// The columns that make up the code of an area, with their digits.
const CODE_COLUMNS: [(&str, usize); 4] =
    [("STATEFP", 2), ("COUNTYFP", 3), ("TRACTCE", 6), ("BLKGRPCE", 1)];

impl CenPop {
    /// Reads a file of centers of population of any level.
    ///
    /// # Errors
    /// Names path, line and column of a missing column, a code of other than the level's digits or
    /// given twice, and a cell that is no population or coordinate.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &text::read(path)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut records = CsvRecords::new(path, text.as_bytes())?;
        let header_error = |problem| Error::data(path, ":1", problem);
        let names: Vec<String> = records.names.iter().map(|n| n.to_ascii_uppercase()).collect();
        let known = CODE_COLUMNS.iter().take_while(|(name, _)| names.iter().any(|n| n == name));
        let codes = known
            .map(|&(name, digits)| Ok((name, position_of(name, &names)?, digits)))
            .collect::<std::result::Result<Vec<_>, String>>()
            .map_err(header_error)?;
        let column = |name| {
            position_of(name, &names).map_err(|problem| {
                header_error(format!("{problem}, in a file of centers of population"))
            })
        };
        column("STATEFP")?;
        let (population, latitude, longitude) =
            (column("POPULATION")?, column("LATITUDE")?, column("LONGITUDE")?);
        let level = Level::PREFIXES[codes.len() - 1].clone();

        let mut places = Vec::new();
        let mut lines = HashMap::new();
        while let Some((line, record)) = records.next()? {
            let error = |name: &str, problem: String| {
                Error::data(path, format!(":{line}: column {name}"), problem)
            };
            let mut geoid = String::new();
            for &(name, at, digits) in &codes {
                geoid += &text::code(&record[at], digits).map_err(|p| error(name, p))?;
            }
            let geoid = Geoid::new(geoid);
            if let Some(first) = lines.insert(geoid.clone(), line) {
                let last = codes[codes.len() - 1].0;
                let problem = format!(
                    "expected each area once, found `{geoid}` again, first on line {first}"
                );
                return Err(error(last, problem));
            }
            let persons = text::integer(&record[population]).and_then(|n| u64::try_from(n).ok());
            let degrees = |name: &str, at: usize, limit: f64| {
                let found = &record[at];
                text::number(found).filter(|n| n.abs() <= limit).ok_or_else(|| {
                    error(name, format!("expected degrees within {limit} of 0, found `{found}`"))
                })
            };
            places.push(Place {
                population: persons.ok_or_else(|| {
                    let found = &record[population];
                    error("POPULATION", format!("expected a count of persons, found `{found}`"))
                })?,
                latitude: degrees("LATITUDE", latitude, 90.0)?,
                longitude: degrees("LONGITUDE", longitude, 180.0)?,
                geoid,
            });
        }
        if places.is_empty() {
            return Err(Error::data(path, "", "expected at least one area, found none"));
        }
        Ok(Self { level, places })
    }

    /// The places of the 50 states and the District of Columbia only.
    #[must_use]
    pub fn without_puerto_rico(mut self) -> Self {
        self.places.retain(|place| !place.geoid.as_str().starts_with(PUERTO_RICO));
        self
    }

    /// Persons in all places.
    pub fn total(&self) -> u64 {
        self.places.iter().map(|place| place.population).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CenPop> {
        CenPop::parse(Path::new("c.txt"), &text::decode(text.as_bytes()))
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }

    const HEADER: &str = "STATEFP,COUNTYFP,TRACTCE,BLKGRPCE,POPULATION,LATITUDE,LONGITUDE\n";

    #[test]
    fn every_level() {
        let of = |text: &str| {
            let read = parse(text).unwrap();
            (read.level.clone(), read.places[0].geoid.to_string(), read.places[0].longitude)
        };
        let groups = format!("\u{feff}{HEADER}01,001,020100,1,698,+32.464812,-086.486527\r\n");
        assert_eq!(of(&groups), (Level::BlockGroup, "010010201001".into(), -86.486_527));
        let tracts = "STATEFP,COUNTYFP,TRACTCE,POPULATION,LATITUDE,LONGITUDE\n1,1,20100,5,+1,-2\n";
        assert_eq!(of(tracts), (Level::Tract, "01001020100".into(), -2.0));
        let counties = "STATEFP,COUNTYFP,COUNAME,STNAME,POPULATION,LATITUDE,LONGITUDE\n\
                        35,013,Doña Ana,New Mexico,5,+1,-2\n";
        assert_eq!(of(counties), (Level::County, "35013".into(), -2.0));
        let states = "STATEFP,STNAME,POPULATION,LATITUDE,LONGITUDE\n72,Puerto Rico,5,+1,-2\n";
        assert_eq!(of(states), (Level::State, "72".into(), -2.0));
        assert!(parse(states).unwrap().without_puerto_rico().places.is_empty());
    }

    #[test]
    fn bad_cells_are_named() {
        let row = |row: &str| format!("{HEADER}01,001,020100,1,698,+32.4,-086.4\n{row}\n");
        refused(
            &row("01,001,0201000,2,5,1,1"),
            "c.txt:3: column TRACTCE: expected a code of 6 digits, found `0201000`",
        );
        refused(
            &row("01,001,020100,1,5,1,1"),
            "c.txt:3: column BLKGRPCE: expected each area once, found `010010201001` again, first \
             on line 2",
        );
        refused(
            &row("01,001,020100,2,-5,1,1"),
            "c.txt:3: column POPULATION: expected a count of persons, found `-5`",
        );
        refused(
            &row("01,001,020100,2,5,91,1"),
            "c.txt:3: column LATITUDE: expected degrees within 90 of 0, found `91`",
        );
        refused(&row("01,001"), "c.txt:3: expected 7 fields, found 2");
        refused(HEADER, "c.txt: expected at least one area, found none");
        refused(
            "GEOID,B01003_001E\n01,5\n",
            "c.txt:1: expected a column `STATEFP`, found GEOID, B01003_001E, in a file of centers \
             of population",
        );
    }
}
