//! The study file (TOML): where persons, addresses and the answers about them are, and what their
//! columns are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::crosswalk::{PlacesBuilder, UnitCodes, ZipReport};
use super::date::Date;
use super::geocode::areas::Areas;
use super::geocode::boundaries::{self, BoundaryCounts};
use super::input::fields::Fields;
use super::input::forms::{AddressColumns, Form, PersonColumns};
use super::input::points::PointColumns;
use super::input::rows;
use super::places::Places;
use super::study_sections::{HarmonizeSection, TargetsSection};
use crate::census::hud::ZipTracts;
use crate::geography::{Geography, Level};
use crate::ipf::Solver;
use crate::plan_file::{beside, toml_error};
use crate::table::Table;
use crate::targets::{PlanOptions, Sources, StepChoice};
use crate::{Error, Result};

/// A study file; nothing that it names has been read.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// Where it is; paths in it are relative to it.
    #[serde(skip)]
    path: PathBuf,
    units: PathBuf,
    #[serde(default = "population")]
    population: String,
    #[serde(default)]
    geocoded: Vec<PathBuf>,
    #[serde(default)]
    zip_tracts: Vec<PathBuf>,
    latest_date: String,
    zips: Option<ZipTable>,
    points: Option<PointTable>,
    persons: Option<Persons>,
    addresses: Option<Addresses>,
    wide: Option<Wide>,
    #[serde(default)]
    categories: Categories,
    #[serde(skip_serializing)]
    targets: Option<TargetsSection>,
    #[serde(default, skip_serializing)]
    harmonize: HarmonizeSection,
}

/// A table of addresses with their ZIP codes.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZipTable {
    pub files: Vec<PathBuf>,
    #[serde(default = "address_id")]
    pub address_id: String,
    #[serde(default = "zip")]
    pub zip: String,
}

/// A table of coordinates by address, and the borders of areas that they are in.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PointTable {
    files: Vec<PathBuf>,
    boundaries: Vec<PathBuf>,
    #[serde(default = "address_id")]
    address_id: String,
    #[serde(default = "latitude")]
    latitude: String,
    #[serde(default = "longitude")]
    longitude: String,
    geoid: Option<String>,
}

/// Files of points, their columns and the areas that they may be in.
#[derive(Debug)]
pub(super) struct Points {
    pub files: Vec<PathBuf>,
    pub columns: PointColumns,
    pub areas: Areas,
    pub boundaries: BoundaryCounts,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
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

#[derive(Clone, Debug, Deserialize, Serialize)]
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

#[derive(Clone, Debug, Deserialize, Serialize)]
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
#[derive(Debug, Deserialize, Serialize)]
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
    latitude = "latitude",
    longitude = "longitude",
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
    pub(super) points: Option<Points>,
    /// Every file of the study, its own first.
    pub inputs: Vec<PathBuf>,
}

impl Study {
    /// Reads a study file, its units and crosswalks.
    ///
    /// # Errors
    /// If it is no study file, or one of these cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::open(StudyFile::read(path)?)
    }

    /// Reads the units and crosswalks of a study file.
    ///
    /// # Errors
    /// If one cannot be read, or the file has something it should not have.
    pub fn open(file: StudyFile) -> Result<Self> {
        let path = &file.path;
        let latest = Date::parse(&file.latest_date).ok_or_else(|| {
            let problem = format!("expected a date as 2023-12-31, found `{}`", file.latest_date);
            Error::data(path, ": latest_date", problem)
        })?;
        let mut inputs = vec![path.clone()];
        inputs.extend(file.seed_inputs()?);
        let units_path = file.units();
        let units = Geography::read(&units_path)?;
        let (geocoded, zip_tracts) = (file.full(&file.geocoded), file.full(&file.zip_tracts));
        let (places, zip_report) = places(&units, &units_path, &file.population, &zip_tracts)?;
        let tables = file.tables()?;
        let fields =
            Fields { latest, po_box: file.categories.po_box, other: file.categories.other };
        let mut points = None;
        if let Some(t) = file.points {
            let (files, boundaries) =
                (rows::files(&full(path, &t.files))?, full(path, &t.boundaries));
            let (areas, counts) = boundaries::read(&boundaries, t.geoid.as_deref(), &units)?;
            let (latitude, longitude) = (t.latitude, t.longitude);
            let columns = PointColumns { address_id: t.address_id, latitude, longitude };
            points = Some(Points { files, columns, areas, boundaries: counts });
        }
        let mut zips = file.zips;
        if let Some(table) = &mut zips {
            table.files = rows::files(&full(path, &table.files))?;
        }
        Ok(Self { units, places, zip_report, fields, tables, geocoded, zips, points, inputs })
    }
}

impl StudyFile {
    /// Reads a study file.
    ///
    /// # Errors
    /// If it is no study file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::data(path, "", "expected UTF-8 text, found other bytes"))?;
        let file: Self = toml::from_str(&text).map_err(|e| toml_error(path, &text, &e))?;
        if file.addresses.is_none() && file.wide.is_none() {
            let problem = "expected records in [addresses] or [wide], found neither";
            return Err(Error::data(path, "", problem));
        }
        Ok(Self { path: path.to_owned(), ..file })
    }

    fn full(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        full(&self.path, named)
    }

    /// The units table.
    pub fn units(&self) -> PathBuf {
        beside(&self.path, &self.units)
    }

    /// Every file that seeds are made from.
    ///
    /// # Errors
    /// If a folder that is named cannot be read.
    pub fn seed_inputs(&self) -> Result<Vec<PathBuf>> {
        let mut inputs = vec![self.units()];
        inputs.extend(self.tables()?.into_iter().flat_map(|(_, files)| files));
        inputs.extend(self.full(&self.geocoded));
        if let Some(table) = &self.zips {
            inputs.extend(rows::files(&self.full(&table.files))?);
        }
        if let Some(table) = &self.points {
            inputs.extend(rows::files(&self.full(&table.files))?);
            inputs.extend(self.full(&table.boundaries));
        }
        inputs.extend(self.full(&self.zip_tracts));
        Ok(inputs)
    }

    /// What is asked of seeds, but for their years: everything but the last two sections.
    pub fn configuration(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("plain data")
    }

    /// The official tables, and the steps to make of them.
    ///
    /// # Errors
    /// If the file has no section of them.
    pub fn targets(&self) -> Result<(Sources, StepChoice)> {
        let Some(section) = &self.targets else {
            let problem = "expected official tables in a section [targets], found none";
            return Err(Error::data(&self.path, "", problem));
        };
        Ok((section.sources(&self.path, &self.units()), section.choice()))
    }

    /// How every year is harmonized.
    pub fn harmonize(&self) -> (Solver, PlanOptions) {
        (self.harmonize.solver, self.harmonize.options())
    }

    /// Tables of records, with their files.
    fn tables(&self) -> Result<Vec<(Form, Vec<PathBuf>)>> {
        let mut tables = Vec::new();
        let mut table = |form, files: &[PathBuf]| -> Result<()> {
            tables.push((form, rows::files(&self.full(files))?));
            Ok(())
        };
        if let Some(t) = self.persons.clone() {
            let (first_seen, last_seen) = (t.first_seen, t.last_seen);
            let columns = PersonColumns {
                person_id: t.person_id,
                first_seen,
                last_seen,
                deceased: t.deceased,
            };
            table(Form::Persons(columns), &t.files)?;
        }
        if let Some(t) = self.addresses.clone() {
            let (effective_date, category) = (t.effective_date, t.category);
            let address = AddressColumns { address_id: t.address_id, effective_date, category };
            table(Form::Addresses { person_id: t.person_id, address }, &t.files)?;
        }
        if let Some(t) = self.wide.clone() {
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
        Ok(tables)
    }
}

fn full(study: &Path, named: &[PathBuf]) -> Vec<PathBuf> {
    named.iter().map(|path| beside(study, path)).collect()
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
