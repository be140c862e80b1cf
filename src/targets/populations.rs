//! Populations of a matrix's units in a single year, from tables of any vintages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::areas::Areas;
use super::yearly_populations::{Source, YearlyPopulations};
use crate::census::cenpop::CenPop;
use crate::census::population_table::PopulationTable;
use crate::geography::Geoid;
use crate::geography::crosswalk::same_codes;
use crate::{Error, Result};

/// Persons that answers are rounded to: the solution of few tables is off by up to this, and a
/// target of 0 has to be 0, since it is left alone then.
const RESOLUTION: f64 = 1.0 / 65536.0;

/// A table of populations, by the canonical codes of the units.
#[derive(Clone, Debug)]
pub struct AreaTable {
    path: PathBuf,
    source: Source,
    /// Persons; `None` where the table does not give the number.
    persons: BTreeMap<String, Option<f64>>,
}

impl AreaTable {
    /// The count of the 2010 Census, by the units of `areas` or finer ones.
    ///
    /// # Errors
    /// If the areas are coarser than the units.
    pub fn census_2010(path: &Path, table: CenPop, areas: &Areas) -> Result<Self> {
        let rows = table.without_puerto_rico().places.into_iter();
        let rows = rows.map(|place| (place.geoid, Some(place.population as f64)));
        Self::new(path, Source::Census2010, rows, areas)
    }

    /// A 5-year table up to `year`, by the units of `areas` or finer ones.
    ///
    /// # Errors
    /// If the areas are coarser than the units.
    pub fn acs5(path: &Path, year: i32, table: PopulationTable, areas: &Areas) -> Result<Self> {
        let rows = table.without_puerto_rico().areas.into_iter();
        let rows = rows.map(|area| (area.geoid, area.population.map(|p| p.value)));
        Self::new(path, Source::Acs5(year), rows, areas)
    }

    fn new(
        path: &Path,
        source: Source,
        rows: impl Iterator<Item = (Geoid, Option<f64>)>,
        areas: &Areas,
    ) -> Result<Self> {
        let mut persons = BTreeMap::new();
        for (geoid, count) in rows {
            let canonical = areas.crosswalk.canonical(geoid.as_str());
            let Some(code) = canonical.get(..areas.digits()) else {
                let problem =
                    format!("expected areas of level {} or finer, found `{geoid}`", areas.level);
                return Err(Error::data(path, "", problem));
            };
            let sum = persons.entry(code.to_owned()).or_insert(Some(0.0));
            *sum = sum.zip(count).map(|(sum, count)| sum + count);
        }
        if persons.values().all(Option::is_none) {
            return Err(Error::data(path, "", "expected numbers of persons, found none"));
        }
        Ok(Self { path: path.to_owned(), source, persons })
    }

    /// Whether the table has the area, with a number or a reason for none.
    fn has(&self, code: &str) -> bool {
        self.persons.contains_key(code)
    }

    fn get(&self, code: &str) -> Option<f64> {
        self.persons.get(code).copied().flatten()
    }
}

/// Populations of one year.
#[derive(Clone, Debug)]
pub struct UnitPopulations {
    /// Persons on July 1 by canonical unit code.
    pub persons: BTreeMap<String, f64>,
    /// What to know about them, a sentence each.
    pub notes: Vec<String>,
}

/// Solves for the populations of `year` of all units; see [`YearlyPopulations`].
///
/// Areas that only some tables have are solved for with those. A table may lack areas, and have
/// others that are no units, if nobody lives there by the tables that have them; else the tables
/// are of different vintages.
///
/// # Errors
/// If the tables or the units are of different vintages, a unit is in none of the tables, or the
/// tables say nothing of the year.
pub fn populations(areas: &Areas, tables: &[AreaTable], year: i32) -> Result<UnitPopulations> {
    let years = YearlyPopulations::years();
    if !years.contains(&year) {
        return Err(Error::request(format!(
            "populations of {year}: expected a year in {} to {}, which the tables can be solved for",
            years.start(),
            years.end()
        )));
    }
    let units = areas.units();
    for table in tables {
        same_vintage(table, tables, &units)?;
    }
    // Units by the tables that have a number for them.
    let mut groups: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
    for &unit in &units {
        let having = (0..tables.len()).filter(|&k| tables[k].get(unit).is_some()).collect();
        groups.entry(having).or_default().push(unit);
    }
    let mut found = UnitPopulations { persons: BTreeMap::new(), notes: Vec::new() };
    // Those with most tables first: what is said of them is about nearly all units.
    for (having, units) in groups.into_iter().rev() {
        if having.is_empty() {
            let named = units.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            return Err(Error::request(format!(
                "populations: expected every unit in at least one table, found {} in none: {named}",
                units.len()
            )));
        }
        let sources: Vec<Source> = having.iter().map(|&k| tables[k].source).collect();
        let yearly = YearlyPopulations::new(&sources)?;
        let observed: Vec<f64> = units
            .iter()
            .flat_map(|unit| having.iter().filter_map(|&k| tables[k].get(unit)))
            .collect();
        let answers = yearly.solve_all(&observed)?;
        let at = (year - years.start()) as usize;
        for (unit, answer) in units.iter().zip(&answers) {
            found
                .persons
                .insert((*unit).to_owned(), (answer[at] / RESOLUTION).round() * RESOLUTION);
        }
        if let Some(note) = yearly.note() {
            found.notes.push(format!("{} areas: {note}", units.len()));
        }
    }
    Ok(found)
}

/// Refuses a table whose codes differ from the units' where people live.
fn same_vintage(table: &AreaTable, tables: &[AreaTable], units: &BTreeSet<&str>) -> Result<()> {
    let inhabited = |code: &str| {
        let having: Vec<&AreaTable> = tables.iter().filter(|table| table.has(code)).collect();
        having.is_empty() || having.iter().any(|table| table.get(code) != Some(0.0))
    };
    let found = table.persons.keys().map(String::as_str);
    let found = found.filter(|code| units.contains(code) || inhabited(code));
    let expected = units.iter().copied().filter(|code| table.has(code) || inhabited(code));
    same_codes(&table.path.display().to_string(), found, expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::{Crosswalk, Geography};

    fn areas(codes: &[&str]) -> Areas {
        let units = Geography::new(codes.iter().map(|&c| Geoid::new(c)).collect()).unwrap();
        Areas::new(units, Crosswalk::of_the_2010s()).unwrap()
    }

    fn table(areas: &Areas, source: Source, rows: &[(&str, Option<f64>)]) -> Result<AreaTable> {
        let rows = rows.iter().map(|&(code, count)| (Geoid::new(code), count));
        AreaTable::new(Path::new("t.csv"), source, rows, areas)
    }

    #[test]
    fn vintages_meet_in_canonical_codes() {
        let areas = areas(&["51515", "51019", "01001"]);
        let census = [("51515", Some(10.0)), ("51019", Some(20.0)), ("01001", Some(5.0))];
        let census = table(&areas, Source::Census2010, &census).unwrap();
        let later = [("510190501001", Some(12.0)), ("510190301001", Some(20.0)), ("01001", None)];
        let later = table(&areas, Source::Acs5(2014), &later[..]).unwrap();
        let found = populations(&areas, &[census, later], 2010).unwrap();
        assert_eq!(found.persons.keys().collect::<Vec<_>>(), ["01001", "51019"]);
        assert!((found.persons["51019"] - 30.0).abs() < 1e-4, "{found:?}");
        assert!((found.persons["01001"] - 5.0).abs() < 1e-9, "{found:?}");
        assert_eq!(found.notes.len(), 2);
        assert!(found.notes[0].starts_with("1 areas: yearly populations 2009 to 2019 are under"));
    }

    #[test]
    fn nobody_is_nobody() {
        // Uninhabited when counted, and 469 on average years later.
        let areas = areas(&["01001"]);
        let census = table(&areas, Source::Census2010, &[("01001", Some(0.0))]).unwrap();
        let later = table(&areas, Source::Acs5(2016), &[("01001", Some(469.0))]).unwrap();
        let found = populations(&areas, &[census, later], 2010).unwrap();
        assert_eq!(found.persons["01001"], 0.0);
    }

    #[test]
    fn empty_areas_may_be_missing_and_others_may_not() {
        let areas = areas(&["01001", "01003"]);
        let census = [("01001", Some(5.0)), ("01003", Some(0.0))];
        let census = table(&areas, Source::Census2010, &census).unwrap();
        let with = |rows: &[(&str, Option<f64>)]| {
            let later = table(&areas, Source::Acs5(2014), rows).unwrap();
            populations(&areas, &[census.clone(), later], 2010)
        };
        with(&[("01001", Some(5.0)), ("01005", Some(0.0))]).unwrap();
        let problem = |rows: &[_]| with(rows).unwrap_err().to_string();
        assert_eq!(
            problem(&[("01001", Some(5.0)), ("01005", Some(1.0))]),
            "t.csv: has 01005 that the units have not; the tables are of different vintages, or \
             one is incomplete"
        );
        assert_eq!(
            problem(&[("01003", Some(0.0))]),
            "t.csv: lacks 01001; the tables are of different vintages, or one is incomplete"
        );
    }

    #[test]
    fn requests_are_checked() {
        let areas = areas(&["01001"]);
        let problem = table(&areas, Source::Census2010, &[("01", None)]).unwrap_err().to_string();
        assert_eq!(problem, "t.csv: expected areas of level county or finer, found `01`");
        let problem =
            table(&areas, Source::Census2010, &[("01001", None)]).unwrap_err().to_string();
        assert_eq!(problem, "t.csv: expected numbers of persons, found none");
        let rows = [("01001", None), ("01003", Some(0.0))];
        let census = table(&areas, Source::Census2010, &rows).unwrap();
        let problem = |year| {
            populations(&areas, std::slice::from_ref(&census), year).unwrap_err().to_string()
        };
        assert_eq!(
            problem(2010),
            "populations: expected every unit in at least one table, found 1 in none: 01001"
        );
        assert_eq!(
            problem(2020),
            "populations of 2020: expected a year in 2009 to 2019, which the tables can be solved \
             for"
        );
    }
}
