//! Total population (table B01003 of the American Community Survey) of areas of one level.
//!
//! **Source.** U.S. Census Bureau, American Community Survey 5-year estimates, table B01003, in any
//! of these forms, told apart by their first line:
//! - the answer of the Census API, e.g.
//!   <https://api.census.gov/data/2016/acs/acs5?get=B01003_001E,B01003_001M&for=block%20group:*&in=state:01&in=county:*>:
//!   a JSON array of arrays, or the same as CSV, with columns `state`, `county`, `tract` and
//!   `block group` down to the level;
//! - a download from <https://data.census.gov>: CSV with a column `GEO_ID` (`1500000US010010201001`)
//!   and a second line of labels;
//! - plain CSV: a column `GEOID`, one of persons (`B01003_001E`, `value`, `estimate` or
//!   `population`), and at will the margin of error (`B01003_001M` or `moe`); a column
//!   `variable`, as tidycensus writes it, must hold `B01003_001` throughout.
//!
//! **Universe.** The resident population, averaged over the five years that end with the year of
//! the table. Areas are of the geography of that year.
//!
//! **Units.** Persons; margins of error at 90 %. A controlled estimate (`*****`, -555555555) has a
//! margin of 0, as the Census Bureau advises; other annotations are no value.
//!
//! **Checked.** Codes are of one level and unique. The table holds no identity of its own; the
//! total of 2012-2016 by block group is 322,087,547 with Puerto Rico.

use std::collections::HashMap;
use std::path::Path;

use super::Estimate;
use super::states::PUERTO_RICO;
use super::text::{self, Cell};
use crate::geography::{Geoid, Level};
use crate::table::{CsvRecords, listed};
use crate::{Error, Result};

/// Persons in an area.
#[derive(Clone, Debug, PartialEq)]
pub struct AreaPopulation {
    /// Code of 2, 5, 11 or 12 digits.
    pub geoid: Geoid,
    /// `None` where an annotation stands for the number.
    pub population: Option<Estimate>,
}

/// A table of total population.
#[derive(Clone, Debug)]
pub struct PopulationTable {
    /// What the areas are.
    pub level: Level,
    /// The areas in the order of the file, their codes unique.
    pub areas: Vec<AreaPopulation>,
}

/// Names of the column of persons, lower case; the table's own name first.
const ESTIMATES: [&str; 4] = ["b01003_001e", "value", "estimate", "population"];

/// Names of the column of margins of error, lower case.
const MOES: [&str; 2] = ["b01003_001m", "moe"];

/// The columns of the Census API that make up a code, lower case, with their digits.
const CODE_COLUMNS: [(&str, usize); 4] =
    [("state", 2), ("county", 3), ("tract", 6), ("block group", 1)];

/// Where the code of an area is.
enum Code {
    /// `1500000US010010201001`
    GeoId(usize),
    /// `010010201001`
    Whole(usize),
    /// One column per level.
    Parts(Vec<(usize, usize)>),
}

/// Columns of a table.
struct Header {
    names: Vec<String>,
    code: Code,
    estimate: usize,
    moe: Option<usize>,
    /// Names the table's line where a file holds several.
    variable: Option<usize>,
}

impl Header {
    /// Finds the columns; an error is what was expected and found.
    fn new(names: Vec<String>) -> std::result::Result<Self, String> {
        let lower: Vec<String> = names.iter().map(|n| n.trim().to_ascii_lowercase()).collect();
        let at = |name: &str| lower.iter().position(|n| n == name);
        let parts: Vec<(usize, usize)> =
            CODE_COLUMNS.iter().map_while(|(name, digits)| Some((at(name)?, *digits))).collect();
        let code = at("geo_id").map(Code::GeoId).or_else(|| at("geoid").map(Code::Whole));
        let code = code.or_else(|| (!parts.is_empty()).then_some(Code::Parts(parts)));
        // A generic name stands for persons in plain files only.
        let estimates = if matches!(code, Some(Code::Whole(_))) { 4 } else { 1 };
        let estimate = ESTIMATES[..estimates].iter().find_map(|name| at(name));
        let (Some(code), Some(estimate)) = (code, estimate) else {
            return Err(format!(
                "expected a table of total population: a column GEO_ID, GEOID or state, county, \
                 tract, block group, and a column B01003_001E (or, beside GEOID, value), found {}",
                listed(&names)
            ));
        };
        let moe = MOES.iter().find_map(|name| at(name));
        Ok(Self { code, estimate, moe, variable: at("variable"), names })
    }

    /// Column of the code, for messages.
    fn code_name(&self) -> &str {
        match &self.code {
            Code::GeoId(at) | Code::Whole(at) => &self.names[*at],
            Code::Parts(parts) => &self.names[parts[parts.len() - 1].0],
        }
    }

    /// Code of a row; an error is what was expected and found.
    fn geoid(&self, cells: &[&str]) -> std::result::Result<String, String> {
        match &self.code {
            Code::Whole(at) => Ok(cells[*at].to_owned()),
            Code::Parts(parts) => {
                parts.iter().map(|&(at, digits)| text::code(cells[at], digits)).collect()
            }
            Code::GeoId(at) => {
                let found = cells[*at];
                let (summary, code) = found.split_once("US").unwrap_or_default();
                let level = match summary.get(..3) {
                    Some("040") => Level::State,
                    Some("050") => Level::County,
                    Some("140") => Level::Tract,
                    Some("150") => Level::BlockGroup,
                    _ => {
                        return Err(format!(
                            "expected a state (0400000US...), county (0500000US...), tract \
                             (1400000US...) or block group (1500000US...), found `{found}`"
                        ));
                    }
                };
                if level.digits() == Some(code.len()) {
                    Ok(code.to_owned())
                } else {
                    Err(format!("expected the code of a {level} after US, found `{found}`"))
                }
            }
        }
    }
}

impl PopulationTable {
    /// Reads a table in any of the forms named in the [module docs](self).
    ///
    /// # Errors
    /// Names path, line (row of JSON, from 0) and column of a table of another kind, a code that
    /// is not of the level of the first or given twice, and a cell that is neither a count nor an
    /// annotation.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &text::read(path)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        if text.trim_start().starts_with('[') {
            return Self::parse_json(path, text);
        }
        let mut records = CsvRecords::new(path, text.as_bytes())?;
        let header = Header::new(records.names.clone()).map_err(|p| Error::data(path, ":1", p))?;
        let mut rows = Rows::new(path, header);
        while let Some((line, record)) = records.next()? {
            let cells: Vec<&str> = record.iter().collect();
            // data.census.gov repeats the header in words.
            let is_label = rows.lines.is_empty()
                && matches!(rows.header.code, Code::GeoId(at) if cells[at] == "Geography");
            if !is_label {
                rows.add(format!(":{line}"), &cells)?;
            }
        }
        rows.finish()
    }

    fn parse_json(path: &Path, text: &str) -> Result<Self> {
        let table: Vec<Vec<serde_json::Value>> = serde_json::from_str(text).map_err(|e| {
            let problem =
                format!("expected a JSON array of arrays, as the Census API answers, {e}");
            Error::data(path, "", problem)
        })?;
        let mut table = table.into_iter().map(|row| {
            row.into_iter()
                .map(|cell| match cell {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                })
                .collect::<Vec<String>>()
        });
        let names = table.next().unwrap_or_default();
        let header = Header::new(names).map_err(|p| Error::data(path, ": row 0", p))?;
        let mut rows = Rows::new(path, header);
        for (row, cells) in table.enumerate() {
            let place = format!(": row {}", row + 1);
            let (expected, found) = (rows.header.names.len(), cells.len());
            if found != expected {
                let problem = format!("expected {expected} cells, found {found}");
                return Err(Error::data(path, place, problem));
            }
            rows.add(place, &cells.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        rows.finish()
    }

    /// The areas of the 50 states and the District of Columbia only.
    #[must_use]
    pub fn without_puerto_rico(mut self) -> Self {
        self.areas.retain(|area| !area.geoid.as_str().starts_with(PUERTO_RICO));
        self
    }

    /// Persons in all areas that have a value.
    pub fn total(&self) -> f64 {
        self.areas.iter().filter_map(|area| area.population).map(|p| p.value).sum()
    }
}

/// Areas read so far.
struct Rows<'a> {
    path: &'a Path,
    header: Header,
    level: Option<Level>,
    areas: Vec<AreaPopulation>,
    lines: HashMap<Geoid, String>,
}

impl<'a> Rows<'a> {
    fn new(path: &'a Path, header: Header) -> Self {
        Self { path, header, level: None, areas: Vec::new(), lines: HashMap::new() }
    }

    fn add(&mut self, place: String, cells: &[&str]) -> Result<()> {
        let error = |column: &str, problem: String| {
            Error::data(self.path, format!("{place}: column {column}"), problem)
        };
        let code_error = |problem| error(self.header.code_name(), problem);
        let geoid = Geoid::new(self.header.geoid(cells).map_err(code_error)?);
        let level = Level::with_digits(geoid.as_str().len()).filter(|_| geoid.is_numeric());
        match (&self.level, level) {
            (None, Some(level)) => self.level = Some(level),
            (Some(expected), Some(level)) if *expected == level => {}
            (expected, _) => {
                let expected = expected.as_ref().map_or("2, 5, 11 or 12 digits".into(), |level| {
                    format!("{} digits ({level}), as before", level.digits().unwrap_or_default())
                });
                let before = self.areas.last().map_or(0, |area| area.geoid.as_str().len());
                let advice = if before > 0 && before.abs_diff(geoid.as_str().len()) == 1 {
                    "; did the shorter codes lose their leading zeros?"
                } else {
                    ""
                };
                return Err(code_error(format!(
                    "expected a code of {expected}, found `{geoid}`{advice}"
                )));
            }
        }
        if let Some(at) = self.header.variable
            && cells[at] != "B01003_001"
        {
            let problem = format!("expected B01003_001 (total population), found `{}`", cells[at]);
            return Err(error(&self.header.names[at], problem));
        }
        let cell = |at: usize| {
            text::annotated(cells[at]).ok_or_else(|| {
                let problem = format!("expected a count or an annotation, found `{}`", cells[at]);
                error(&self.header.names[at], problem)
            })
        };
        let moe = match self.header.moe.map(cell).transpose()? {
            Some(Cell::Number(moe)) => Some(moe),
            Some(Cell::Controlled) => Some(0.0),
            Some(Cell::NotGiven) | None => None,
        };
        let population = match cell(self.header.estimate)? {
            Cell::Number(value) => Some(Estimate { value, moe }),
            Cell::Controlled | Cell::NotGiven => None,
        };
        if let Some(first) = self.lines.get(&geoid) {
            let first = first.trim_start_matches([':', ' ']);
            return Err(code_error(format!(
                "expected each area once, found `{geoid}` again, first at {first}"
            )));
        }
        self.lines.insert(geoid.clone(), place);
        self.areas.push(AreaPopulation { geoid, population });
        Ok(())
    }

    fn finish(self) -> Result<PopulationTable> {
        let level = self
            .level
            .ok_or_else(|| Error::data(self.path, "", "expected at least one area, found none"))?;
        Ok(PopulationTable { level, areas: self.areas })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PopulationTable> {
        PopulationTable::parse(Path::new("b.csv"), &text::decode(text.as_bytes()))
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }

    fn area(geoid: &str, population: Option<(f64, Option<f64>)>) -> AreaPopulation {
        let population = population.map(|(value, moe)| Estimate { value, moe });
        AreaPopulation { geoid: Geoid::new(geoid), population }
    }

    #[test]
    fn every_form() {
        let expected = [
            area("010010201001", Some((745.0, Some(226.0)))),
            area("010010201002", Some((1265.0, Some(0.0)))),
            area("720010201002", None),
        ];
        let json = r#"[["NAME","B01003_001E","B01003_001M","state","county","tract","block group"],
            ["a","745","226","01","001","020100","1"],
            ["b",1265,-555555555,"01","001","020100","2"],
            ["c",null,null,"72","001","020100","2"]]"#;
        let api = "B01003_001E,B01003_001M,state,county,tract,block group\r\n\
                   745,226,1,1,20100,1\r\n1265,-555555555,1,1,20100,2\r\n\
                   -666666666,-222222222,72,1,20100,2\r\n";
        let data = "\u{feff}\"GEO_ID\",\"NAME\",\"B01003_001E\",\"B01003_001M\",\n\
                    \"Geography\",\"Geographic Area Name\",\"Estimate!!Total\",\"Margin of \
                    Error!!Total\",\n\
                    \"1500000US010010201001\",\"a\",\"745\",\"226\",\n\
                    \"1500000US010010201002\",\"b\",\"1,265\",\"*****\",\n\
                    \"1500000US720010201002\",\"c\",\"-\",\"**\",\n";
        let plain = "GEOID,value,moe\n010010201001,745,226\n010010201002,1265.0,*****\n\
                     720010201002,(X),N\n";
        for text in [json, api, data, plain] {
            let table = parse(text).unwrap();
            assert_eq!(table.level, Level::BlockGroup, "{text}");
            assert_eq!(table.areas, expected, "{text}");
            assert_eq!(table.total(), 2010.0, "{text}");
            assert_eq!(table.without_puerto_rico().areas.len(), 2, "{text}");
        }
        let counties = parse("geoid,B01003_001E\n01001,5\n").unwrap();
        assert_eq!(counties.level, Level::County);
        assert_eq!(counties.areas, [area("01001", Some((5.0, None)))]);
    }

    #[test]
    fn bad_cells_are_named() {
        refused(
            "GEOID,value\n01001,5\n1003,5\n",
            "b.csv:3: column GEOID: expected a code of 5 digits (county), as before, found `1003`; \
             did the shorter codes lose their leading zeros?",
        );
        refused(
            "GEOID,value\n1003,5\n",
            "b.csv:2: column GEOID: expected a code of 2, 5, 11 or 12 digits, found `1003`",
        );
        refused(
            "GEOID,value\n01001,5\n01001,5\n",
            "b.csv:3: column GEOID: expected each area once, found `01001` again, first at 2",
        );
        refused(
            "GEOID,value,moe\n01001,5,-3\n",
            "b.csv:2: column moe: expected a count or an annotation, found `-3`",
        );
        refused(
            "GEO_ID,B01003_001E\nGeography,Total\n0400000US01,5\n0500000US01001,5\n",
            "b.csv:4: column GEO_ID: expected a code of 2 digits (state), as before, found `01001`",
        );
        refused(
            "GEO_ID,B01003_001E\n0100000US,5\n",
            "b.csv:2: column GEO_ID: expected a state (0400000US...), county (0500000US...), tract \
             (1400000US...) or block group (1500000US...), found `0100000US`",
        );
        refused(
            "GEOID,NAME,variable,estimate,moe\n01001,a,B01003_001,5,1\n01003,b,B19013_001,5,1\n",
            "b.csv:3: column variable: expected B01003_001 (total population), found `B19013_001`",
        );
        refused("GEOID,value\n", "b.csv: expected at least one area, found none");
    }

    #[test]
    fn other_tables_are_refused() {
        let expected = "expected a table of total population: a column GEO_ID, GEOID or state, \
                        county, tract, block group, and a column B01003_001E (or, beside GEOID, \
                        value), found ";
        refused(
            "GEO_ID,NAME,B19013_001E\n",
            &format!("b.csv:1: {expected}GEO_ID, NAME, B19013_001E"),
        );
        refused(
            r#"[["B19013_001E","state"],["5","01"]]"#,
            &format!("b.csv: row 0: {expected}B19013_001E, state"),
        );
        refused("[]", &format!("b.csv: row 0: {expected}"));
        refused(r#"[["B01003_001E","state"],["5"]]"#, "b.csv: row 1: expected 2 cells, found 1");
        let cut = parse(r#"[["B01003_001E","state"],["5","#).unwrap_err().to_string();
        assert!(cut.starts_with("b.csv: expected a JSON array of arrays"), "{cut}");
        assert!(parse("<html>error: missing key</html>\n").is_err());
    }
}
