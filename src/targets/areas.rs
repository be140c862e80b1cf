//! The areas that targets are about, by codes that every vintage of the geography agrees on.

use std::collections::BTreeSet;

use crate::geography::{Crosswalk, Geography, Level};
use crate::{Error, Result};

/// The units of a matrix with the names of the cells that targets are given for.
///
/// Areas that a vintage renamed, merged or split are one cell, named by their canonical code.
///
/// Invariants:
/// - all units are GEOIDs of one level: counties, tracts or block groups;
/// - `geography` has the columns [`Areas::UNIT`] and [`Areas::COUNTY`].
#[derive(Clone, Debug)]
pub struct Areas {
    /// The units in the order of the matrix.
    pub geography: Geography,
    /// What they are.
    pub level: Level,
    /// How codes become canonical.
    pub crosswalk: Crosswalk,
}

impl Areas {
    /// Column of the canonical code of each unit.
    pub const UNIT: &'static str = "merged_geoid";
    /// Column of the canonical code of each unit's county.
    pub const COUNTY: &'static str = "merged_county";

    /// Adds the columns of canonical codes.
    ///
    /// # Errors
    /// If the units are not GEOIDs of one level, county or finer, at least one.
    pub fn new(geography: Geography, crosswalk: Crosswalk) -> Result<Self> {
        let level = geography.level().filter(|level| *level != Level::State).ok_or_else(|| {
            Error::request(format!(
                "units: expected codes of counties (5 digits), tracts (11) or block groups (12), \
                 found `{}`",
                geography.geoids().first().map_or("", |geoid| geoid.as_str())
            ))
        })?;
        let canonical = |digits: usize| -> Vec<String> {
            let code = |geoid: &str| crosswalk.canonical(geoid)[..digits].to_owned();
            geography.geoids().iter().map(|geoid| code(geoid.as_str())).collect()
        };
        let (units, counties) = (canonical(level.digits().expect("a prefix level")), canonical(5));
        let geography =
            geography.with_column(Self::UNIT, units).with_column(Self::COUNTY, counties);
        Ok(Self { geography, level, crosswalk })
    }

    /// Digits of the units' codes.
    pub fn digits(&self) -> usize {
        self.level.digits().expect("a prefix level")
    }

    /// Canonical codes of the units.
    pub fn units(&self) -> BTreeSet<&str> {
        self.cells(Self::UNIT)
    }

    /// Canonical codes of the counties.
    pub fn counties(&self) -> BTreeSet<&str> {
        self.cells(Self::COUNTY)
    }

    fn cells(&self, column: &str) -> BTreeSet<&str> {
        let texts = self.geography.column(column).expect("added at construction");
        texts.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::Geoid;

    fn areas(codes: &[&str]) -> Result<Areas> {
        let units = Geography::new(codes.iter().map(|&c| Geoid::new(c)).collect())?;
        Areas::new(units, Crosswalk::of_the_2010s())
    }

    #[test]
    fn cells_have_canonical_codes() {
        let counties = areas(&["51515", "02270", "51019", "06037"]).unwrap();
        assert_eq!(counties.units().into_iter().collect::<Vec<_>>(), ["02158", "06037", "51019"]);
        let groups = areas(&["515150501001", "510190301001", "060378002043"]).unwrap();
        assert_eq!(groups.counties().into_iter().collect::<Vec<_>>(), ["06037", "51019"]);
        assert_eq!(
            groups.geography.column(Areas::UNIT).unwrap().iter().collect::<Vec<_>>(),
            ["510190501001", "510190301001", "060371370002"]
        );
    }

    #[test]
    fn other_units_are_refused() {
        for codes in [&["01"][..], &["A1"], &["01001", "010010201001"]] {
            let problem = areas(codes).unwrap_err().to_string();
            assert!(problem.starts_with("units: expected codes of counties (5 digits)"));
        }
    }
}
