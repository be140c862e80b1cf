//! Official tables of some years, read together: most of them are about all years.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::areas::Areas;
use super::populations::AreaTable;
use super::year::Change;
use crate::census::STATES;
use crate::census::cenpop::{CenPop, Place};
use crate::census::pep::{Measure, Pep};
use crate::census::population_table::PopulationTable;
use crate::census::state_flows::StateFlows;
use crate::geography::crosswalk::same_codes;
use crate::geography::{Crosswalk, Geography, Geoid, Level};
use crate::{Error, Result};

/// Files of official tables.
#[derive(Clone, Debug)]
pub struct Sources {
    /// PEP populations and components of change by county.
    pub counties: PathBuf,
    /// ACS 1-year state-to-state flows by end year.
    pub state_flows: BTreeMap<i32, PathBuf>,
    /// PEP estimates by state, to compare with.
    pub states: Option<PathBuf>,
    /// Centers of population: the units, unless given, and the counts of 2010.
    pub census: Option<PathBuf>,
    /// Populations of the five years up to a year.
    pub acs5: Vec<(i32, PathBuf)>,
    /// Units table of the matrix.
    pub units: Option<PathBuf>,
    /// Codes that later vintages renamed, merged or split; those of the 2010s are built in.
    pub crosswalk: Option<PathBuf>,
}

impl Sources {
    /// Every file that the targets of a year are made from.
    ///
    /// # Errors
    /// If there are no state-to-state flows of the year.
    pub fn inputs(&self, year: i32) -> Result<Vec<PathBuf>> {
        let once = [&self.states, &self.census, &self.units, &self.crosswalk];
        let paths = [&self.counties, self.flows_of(year)?].into_iter();
        let paths = paths.chain(once.into_iter().flatten());
        Ok(paths.chain(self.acs5.iter().map(|(_, path)| path)).cloned().collect())
    }

    /// What the files of [`inputs`](Self::inputs) are, in their order, where they do not tell themselves.
    pub fn roles(&self) -> Vec<String> {
        let optional = [
            ("states", &self.states),
            ("census", &self.census),
            ("units", &self.units),
            ("crosswalk", &self.crosswalk),
        ];
        let present = optional.into_iter().filter(|(_, path)| path.is_some());
        let surveys = self.acs5.iter().map(|(year, _)| format!("acs5 {year}"));
        present.map(|(role, _)| role.to_owned()).chain(surveys).collect()
    }

    fn flows_of(&self, year: i32) -> Result<&PathBuf> {
        self.state_flows.get(&year).ok_or_else(|| {
            let known: Vec<String> = self.state_flows.keys().map(i32::to_string).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::request(format!("state_flows: expected a table of {year}, found {known}"))
        })
    }
}

/// Official tables, as read.
#[derive(Debug)]
pub struct Tables<'a> {
    /// Where they are from.
    pub sources: &'a Sources,
    /// The units.
    pub areas: Areas,
    pub(super) counties: Pep,
    pub(super) states: Option<Pep>,
    pub(super) populations: Vec<AreaTable>,
    /// By end year.
    pub(super) years: BTreeMap<i32, (Change, StateFlows)>,
}

impl<'a> Tables<'a> {
    /// Reads the tables of some years.
    ///
    /// # Errors
    /// If one is missing, not what it should be, or about other areas or years.
    pub fn read(sources: &'a Sources, years: &[i32]) -> Result<Self> {
        let counties = Pep::read(&sources.counties)?;
        let states = sources.states.as_deref().map(Pep::read).transpose()?;
        let census = sources.census.as_deref().map(CenPop::read).transpose()?;
        let crosswalk = match &sources.crosswalk {
            Some(path) => Crosswalk::read(path)?,
            None => Crosswalk::of_the_2010s(),
        };
        // Before the units, which may be this file's: it says best what the file lacks.
        let mut by_year = BTreeMap::new();
        for &year in years {
            let path = sources.flows_of(year)?;
            let flows = StateFlows::read(path)?;
            let change = Change::new(year, &counties, &crosswalk)?;
            flows.require_year(path, year)?;
            change.require_states(&sources.counties, &flows)?;
            by_year.insert(year, (change, flows));
        }
        let geography = match (&sources.units, &census) {
            (Some(path), _) => Geography::read(path)?,
            (None, Some(census)) => census_units(census)?,
            (None, None) => {
                let in_states =
                    |geoid: &&Geoid| STATES.iter().any(|s| geoid.as_str().starts_with(s.0));
                let codes = counties.geoids(&Level::County).filter(in_states);
                Geography::new(codes.cloned().collect())?
            }
        };
        let areas = Areas::new(geography, crosswalk)?;
        let mut populations = Vec::new();
        if let (Some(path), Some(census)) = (&sources.census, census)
            && year_of(path, &census, &counties)? == 2010
        {
            populations.push(AreaTable::census_2010(path, census, &areas)?);
        }
        for (year, path) in &sources.acs5 {
            let table = PopulationTable::read(path)?;
            populations.push(AreaTable::acs5(path, *year, table, &areas)?);
        }
        let pep = sources.counties.display().to_string();
        for (change, _) in by_year.values() {
            same_codes(&pep, change.counties.keys().map(String::as_str), areas.counties())?;
        }
        Ok(Self { sources, areas, counties, states, populations, years: by_year })
    }
}

/// Residents of the 50 states and the District of Columbia by census.
const CENSUSES: [(i32, u64); 2] = [(2010, 308_745_538), (2020, 331_449_281)];

/// The year of centers of population, which do not say it: that of the census with their total, or of
/// the count that the estimates of counties start from. Of these only the count of 2010 is in the
/// years that populations are solved for.
fn year_of(path: &Path, census: &CenPop, counties: &Pep) -> Result<i32> {
    let total = census.clone().without_puerto_rico().total();
    if let Some((year, _)) = CENSUSES.iter().find(|(_, persons)| *persons == total) {
        return Ok(*year);
    }
    let base = counties.base_year().and_then(|year| {
        Some((year, u64::try_from(counties.total(&Level::County, Measure::Base, year)?).ok()?))
    });
    if let Some((year, _)) = base.filter(|(_, persons)| *persons == total) {
        return Ok(year);
    }
    let start = base.map_or(",".to_owned(), |(year, persons)| {
        format!(", or {persons}, from which the estimates of --counties start in {year},")
    });
    let problem = format!(
        "expected {} residents of 2010 or {} of 2020 in the states{start} found {total}; are areas \
         missing?",
        CENSUSES[0].1, CENSUSES[1].1
    );
    Err(Error::data(path, "", problem))
}

/// The units table of a census: codes, populations and centers.
fn census_units(census: &CenPop) -> Result<Geography> {
    let census = census.clone().without_puerto_rico();
    let geoids = census.places.iter().map(|place| place.geoid.clone()).collect();
    let column =
        |of: &dyn Fn(&Place) -> String| -> Vec<String> { census.places.iter().map(of).collect() };
    Ok(Geography::new(geoids)?
        .with_column("population", column(&|place| place.population.to_string()))
        .with_column("lat", column(&|place| place.latitude.to_string()))
        .with_column("lon", column(&|place| place.longitude.to_string())))
}
