//! The folder of a nation, as far as persons are made from it.

use std::path::{Path, PathBuf};

use super::lives::{Changes, Year};
use super::zips::MOST_ZIPS;
use crate::geography::{Geography, Level};
use crate::matrix::file;
use crate::table::Table;
use crate::{Error, Result, with_matrix};

/// A nation with known truth, as [`nation::write`](crate::synth::nation::write) leaves it.
///
/// Invariants:
/// - units are block groups, sorted by code; everything by unit is in their order;
/// - the persons at the start of a year are those at the end of the year before.
#[derive(Debug)]
pub struct Truth {
    /// Its folder.
    pub folder: PathBuf,
    /// The block groups.
    pub units: Geography,
    /// The year before the first matrix.
    pub base_year: u16,
    /// Every file read.
    pub inputs: Vec<PathBuf>,
    /// Persons by year from the base year on, then unit.
    pub(super) populations: Vec<Vec<u32>>,
    pub(super) years: Vec<Year>,
    /// Share of persons who rent.
    pub(super) renter_share: Vec<f64>,
    /// Mean years since the address of a household was last confirmed.
    pub(super) record_age: Vec<f64>,
    /// Latitude and longitude, degrees.
    pub(super) center: Vec<(f64, f64)>,
    /// ZIP of each unit, from 0; never decreasing.
    pub(super) zip: Vec<u32>,
}

/// Whole persons in a cell, at most.
const MOST: f64 = i32::MAX as f64;

impl Truth {
    /// Reads `units.csv`, `populations.csv`, `components.csv` and the true matrix of every year.
    ///
    /// # Errors
    /// If a file is missing or broken, or they contradict each other.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = |name: &str| folder.join(name);
        let (units_path, populations_path) = (path("units.csv"), path("populations.csv"));
        let units = Geography::read(&units_path)?;
        if units.level() != Some(Level::BlockGroup) || !units.geoids().is_sorted() {
            let problem = "expected block groups sorted by their codes of 12 digits, found others";
            return Err(Error::data(&units_path, ": column geoid", problem));
        }
        let table = Table::read(&units_path)?;
        let numbers = |name: &str| table.numbers(name);
        let center = numbers("lat")?.into_iter().zip(numbers("lon")?).collect();

        let populations = Table::read(&populations_path)?;
        same_units(&populations, &units)?;
        let base_year = years(&populations)?;
        let persons = populations.names().skip(1).map(|name| whole(&populations, name));
        let persons = persons.collect::<Result<Vec<_>>>()?;
        let changes = Table::read(&path("components.csv"))?;
        same_units(&changes, &units)?;

        let mut truth = Self {
            folder: folder.to_owned(),
            base_year,
            inputs: vec![units_path, populations_path.clone(), changes.path().to_owned()],
            populations: persons,
            years: Vec::new(),
            renter_share: numbers("renter_share")?,
            record_age: numbers("record_age")?,
            center,
            zip: zips(&table)?,
            units,
        };
        let several = truth.populations.len() > 2;
        for k in 1..truth.populations.len() {
            let year = base_year + k as u16;
            let name = if several { format!("truth-{year}.npz") } else { "truth.npz".to_owned() };
            truth.add_year(&path(&name), &changes, year)?;
            let of_year = &truth.years[k - 1];
            truth.require(&populations, k - 1, of_year.persons())?;
            truth.require(&populations, k, &of_year.after)?;
        }
        Ok(truth)
    }

    /// End year of the last matrix.
    pub fn last_year(&self) -> u16 {
        self.base_year + self.years.len() as u16
    }

    /// Code of a unit as a number.
    pub(super) fn code(&self, unit: usize) -> u64 {
        self.units.geoids()[unit].as_str().parse().expect("codes of block groups are digits")
    }

    fn add_year(&mut self, path: &Path, changes: &Table, year: u16) -> Result<()> {
        let of = |kind: &str| whole(changes, &format!("{kind}{year}"));
        let changes = Changes {
            births: of("births")?,
            deaths: of("deaths")?,
            immigrants: of("immigrants")?,
            emigrants: of("emigrants")?,
        };
        let newcomers = match self.years.last() {
            Some(before) => (0..self.units.len()).map(|unit| before.arrivals(unit)).collect(),
            None => vec![0; self.units.len()],
        };
        let (matrix, _) = file::read(path, Some(&self.units))?;
        let made = with_matrix!(&matrix, matrix => Year::new(matrix, changes, newcomers));
        self.years.push(made.map_err(|(unit, problem)| {
            Error::data(path, format!(": unit {}", self.units.geoids()[unit]), problem)
        })?);
        self.inputs.push(path.to_owned());
        Ok(())
    }

    /// Refuses populations that the matrices do not lead to.
    fn require(&self, table: &Table, k: usize, expected: &[u32]) -> Result<()> {
        let found = &self.populations[k];
        match (0..expected.len()).find(|&unit| expected[unit] != found[unit]) {
            Some(unit) => {
                let (expected, found) = (expected[unit], found[unit]);
                let problem = format!(
                    "expected the {expected} persons that the truth and components.csv lead to, \
                     found {found}"
                );
                Err(table.error(unit, &(usize::from(self.base_year) + k).to_string(), problem))
            }
            None => Ok(()),
        }
    }
}

/// Refuses a table whose rows are not the units.
fn same_units(table: &Table, units: &Geography) -> Result<()> {
    let codes = table.codes("geoid")?;
    if codes.len() != units.len() {
        let problem = format!("expected {} units as units.csv, found {}", units.len(), codes.len());
        return Err(table.header_error(problem));
    }
    match units.geoids().iter().zip(codes.iter()).position(|(unit, code)| unit.as_str() != code) {
        Some(row) => {
            let unit = &units.geoids()[row];
            let problem = format!("expected {unit} as in units.csv, found `{}`", &codes[row]);
            Err(table.error(row, "geoid", problem))
        }
        None => Ok(()),
    }
}

/// First of the years that the columns after the first are named by.
fn years(populations: &Table) -> Result<u16> {
    let names: Vec<&str> = populations.names().skip(1).collect();
    let first = names.first().and_then(|name| name.parse().ok()).filter(|&y| y < 9000);
    let expected = |first: u16| (first..).map(|year| year.to_string());
    first
        .filter(|&first| {
            names.len() >= 2 && names.iter().zip(expected(first)).all(|(a, b)| *a == b)
        })
        .ok_or_else(|| {
            let found = names.join(", ");
            let problem = format!("expected columns of two years or more in order, found {found}");
            populations.header_error(problem)
        })
}

/// A column of whole persons.
fn whole(table: &Table, column: &str) -> Result<Vec<u32>> {
    let values = table.numbers(column)?;
    match values.iter().position(|n| n.fract() != 0.0 || !(0.0..=MOST).contains(n)) {
        Some(row) => {
            let problem = format!("expected whole persons, found {}", values[row]);
            Err(table.error(row, column, problem))
        }
        None => Ok(values.into_iter().map(|persons| persons as u32).collect()),
    }
}

/// `Z00017` and so on, which never decrease.
fn zips(table: &Table) -> Result<Vec<u32>> {
    let mut zips: Vec<u32> = Vec::with_capacity(table.len());
    for (row, text) in table.texts("zip")?.iter().enumerate() {
        let zip = text.strip_prefix('Z').and_then(|digits| digits.parse().ok());
        let zip = zip.filter(|zip| zips.last().is_none_or(|last| last <= zip) && *zip < MOST_ZIPS);
        zips.push(zip.ok_or_else(|| {
            let problem = format!(
                "expected a ZIP from Z00000 to Z{} in increasing order, found `{text}`",
                MOST_ZIPS - 1
            );
            table.error(row, "zip", problem)
        })?);
    }
    Ok(zips)
}
