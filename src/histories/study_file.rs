//! The study file (TOML): where persons, addresses and the answers about them are, and what their
//! columns are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::crosswalk::{PlacesBuilder, UnitCodes, ZipReport};
use super::date::Date;
use super::input::fields::Fields;
use super::input::forms::{AddressColumns, Form, PersonColumns};
use super::input::rows;
use super::places::Places;
use crate::census::hud::ZipTracts;
use crate::geography::{Geography, Level};
use crate::plan_file::{beside, toml_error};
use crate::table::Table;
use crate::{Error, Result};

/// A study file as written. Paths are relative to the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyFile {
    units: PathBuf,
    #[serde(default = "population")]
    population: String,
    #[serde(default)]
    geocoded: Vec<PathBuf>,
    #[serde(default)]
    zip_tracts: Vec<PathBuf>,
    latest_date: String,
    zips: Option<ZipTable>,
    persons: Option<Persons>,
    addresses: Option<Addresses>,
    wide: Option<Wide>,
    #[serde(default)]
    categories: Categories,
    #[expect(dead_code, reason = "read by another command")]
    targets: Option<serde::de::IgnoredAny>,
}

/// A table of addresses with their ZIP codes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZipTable {
    pub files: Vec<PathBuf>,
    #[serde(default = "address_id")]
    pub address_id: String,
    #[serde(default = "zip")]
    pub zip: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Persons {
    files: Vec<PathBuf>,
    #[serde(default = "person_id")]
    person_id: String,
    #[serde(default = "first_seen")]
    first_seen: String,
    #[serde(default = "last_seen")]
    last_seen: String,
    #[serde(default = "deceased")]
    deceased: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    files: Vec<PathBuf>,
    #[serde(default = "person_id")]
    person_id: String,
    #[serde(default = "address_id")]
    address_id: String,
    #[serde(default = "effective_date")]
    effective_date: String,
    #[serde(default = "category")]
    category: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wide {
    files: Vec<PathBuf>,
    #[serde(default = "person_id")]
    person_id: String,
    #[serde(default = "first_seen")]
    first_seen: String,
    #[serde(default = "last_seen")]
    last_seen: String,
    #[serde(default = "deceased")]
    deceased: String,
    #[serde(default = "address_ids")]
    address_id: String,
    #[serde(default = "effective_dates")]
    effective_date: String,
    #[serde(default = "categories")]
    category: String,
}

/// Record types of the Postal Service, unless a study file has others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Categories {
    po_box: Vec<String>,
    #[serde(default)]
    other: Vec<String>,
}

impl Default for Categories {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self { po_box: texts(&["P"]), other: texts(&["F", "G", "H", "R", "S"]) }
    }
}

macro_rules! default_names {
    ($($function:ident = $name:literal),*) => {
        $(fn $function() -> String {
            $name.to_owned()
        })*
    };
}

default_names!(
    population = "population",
    person_id = "person_id",
    first_seen = "first_seen",
    last_seen = "last_seen",
    deceased = "deceased",
    address_id = "address_id",
    effective_date = "effective_date",
    category = "category",
    zip = "zip",
    address_ids = "address_id_{}",
    effective_dates = "effective_date_{}",
    categories = "category_{}"
);

/// A study file with its units and places read, its other files only named.
#[derive(Debug)]
pub struct Study {
    /// The units of the matrices.
    pub units: Geography,
    /// The rows of G.
    pub(super) places: Places,
    pub(super) zip_report: ZipReport,
    pub(super) fields: Fields,
    /// Tables of records, with their files.
    pub(super) tables: Vec<(Form, Vec<PathBuf>)>,
    pub(super) geocoded: Vec<PathBuf>,
    pub(super) zips: Option<ZipTable>,
    /// Every file of the study, its own first.
    pub inputs: Vec<PathBuf>,
}

impl Study {
    /// Reads a study file, its units and crosswalks.
    ///
    /// # Errors
    /// If it is no study file, or one of these cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let file = StudyFile::read(path)?;
        let full = |named: &[PathBuf]| named.iter().map(|p| beside(path, p)).collect::<Vec<_>>();
        let latest = Date::parse(&file.latest_date).ok_or_else(|| {
            let problem = format!("expected a date as 2023-12-31, found `{}`", file.latest_date);
            Error::data(path, ": latest_date", problem)
        })?;
        let fields =
            Fields { latest, po_box: file.categories.po_box, other: file.categories.other };
        let mut tables = Vec::new();
        let mut table = |form, files: &[PathBuf]| -> Result<()> {
            tables.push((form, rows::files(&full(files))?));
            Ok(())
        };
        if let Some(t) = file.persons {
            let (first_seen, last_seen) = (t.first_seen, t.last_seen);
            let columns = PersonColumns {
                person_id: t.person_id,
                first_seen,
                last_seen,
                deceased: t.deceased,
            };
            table(Form::Persons(columns), &t.files)?;
        }
        if let Some(t) = file.addresses {
            let (effective_date, category) = (t.effective_date, t.category);
            let address = AddressColumns { address_id: t.address_id, effective_date, category };
            table(Form::Addresses { person_id: t.person_id, address }, &t.files)?;
        }
        if let Some(t) = file.wide {
            let (first_seen, last_seen) = (t.first_seen, t.last_seen);
            let person = PersonColumns {
                person_id: t.person_id,
                first_seen,
                last_seen,
                deceased: t.deceased,
            };
            let (effective_date, category) = (t.effective_date, t.category);
            let address = AddressColumns { address_id: t.address_id, effective_date, category };
            table(Form::Wide(person, address), &t.files)?;
        }
        let mut zips = file.zips;
        if let Some(table) = &mut zips {
            table.files = rows::files(&full(&table.files))?;
        }
        let units_path = beside(path, &file.units);
        let units = Geography::read(&units_path)?;
        let (geocoded, zip_tracts) = (full(&file.geocoded), full(&file.zip_tracts));
        let (places, zip_report) = places(&units, &units_path, &file.population, &zip_tracts)?;
        let mut inputs = vec![path.to_owned(), units_path];
        inputs.extend(tables.iter().flat_map(|(_, files)| files).chain(&geocoded).cloned());
        inputs.extend(zips.iter().flat_map(|table| &table.files).chain(&zip_tracts).cloned());
        Ok(Self { units, places, zip_report, fields, tables, geocoded, zips, inputs })
    }
}

impl StudyFile {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::data(path, "", "expected UTF-8 text, found other bytes"))?;
        let file: Self = toml::from_str(&text).map_err(|e| toml_error(path, &text, &e))?;
        if file.addresses.is_none() && file.wide.is_none() {
            let problem = "expected records in [addresses] or [wide], found neither";
            return Err(Error::data(path, "", problem));
        }
        Ok(file)
    }
}

/// The rows of G from the crosswalks of quarters, which their names tell.
fn places(
    units: &Geography,
    units_path: &Path,
    population: &str,
    zip_tracts: &[PathBuf],
) -> Result<(Places, ZipReport)> {
    let codes = UnitCodes::new(units)?;
    let mut quarters = BTreeMap::new();
    for path in zip_tracts {
        let quarter = quarter_of(path).ok_or_else(|| {
            let problem = "expected a name that ends in month and year, as ZIP_TRACT_032015.xlsx";
            Error::data(path, "", problem)
        })?;
        if let Some(other) = quarters.insert(quarter, path) {
            let problem = format!("expected one file a quarter, found {} too", other.display());
            return Err(Error::data(path, "", problem));
        }
    }
    let by_population = !quarters.is_empty() && units.level() == Some(Level::BlockGroup);
    let populations = if by_population { Some(populations(units_path, population)?) } else { None };
    let mut builder = PlacesBuilder::new(&codes, populations.as_deref());
    for (quarter, path) in quarters {
        builder.add(quarter, &ZipTracts::read(path)?);
    }
    Ok(builder.finish())
}

/// A column of the units table that is not negative.
fn populations(units_path: &Path, column: &str) -> Result<Vec<f64>> {
    let table = Table::read(units_path)?;
    let persons = table.numbers(column)?;
    match persons.iter().position(|persons| *persons < 0.0) {
        Some(row) => {
            let problem = format!("expected persons >= 0, found {}", persons[row]);
            Err(table.error(row, column, problem))
        }
        None => Ok(persons),
    }
}

/// Quarter of a crosswalk, counted from year 0: `ZIP_TRACT_032015.xlsx` is of the first of 2015.
fn quarter_of(path: &Path) -> Option<i32> {
    let stem = path.file_stem()?.to_str()?;
    let digits = stem.get(stem.len().checked_sub(6)?..)?;
    let date = Date::parse(&format!("{}-{}", &digits[2..], &digits[..2]))?;
    Some(date.month().0.div_euclid(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_are_in_the_names_of_crosswalks() {
        let quarter = |name: &str| quarter_of(Path::new(name));
        assert_eq!(quarter("a/ZIP_TRACT_032015.xlsx"), Some(2015 * 4));
        assert_eq!(quarter("ZIP_TRACT_122010.csv"), Some(2010 * 4 + 3));
        for name in ["ZIP_TRACT_132015.csv", "ZIP_TRACT.csv", "032015é.csv", ".csv"] {
            assert_eq!(quarter(name), None, "{name}");
        }
    }
}
