//! Rows of G for ZIP codes: residential ratios by tract and quarter, spread over the units of each
//! tract by population.

use hashbrown::HashMap;
use serde::Serialize;

use super::places::{Place, Places, Zip, nearest};
use crate::census::hud::ZipTracts;
use crate::geography::{Crosswalk, Geography, Level};
use crate::{Error, Result};

/// States and equivalents that no matrix has: American Samoa, Guam, Northern Marianas, Puerto Rico,
/// U.S. Virgin Islands.
const TERRITORIES: [&str; 5] = ["60", "66", "69", "72", "78"];

/// Whether a GEOID is in a territory.
pub fn is_territory(geoid: &str) -> bool {
    geoid.get(..2).is_some_and(|state| TERRITORIES.contains(&state))
}

/// Units by the codes of the block groups and tracts in them.
#[derive(Debug)]
pub struct UnitCodes<'g> {
    units: &'g Geography,
    digits: usize,
    /// Units by their codes as numbers.
    numbers: HashMap<u64, u32>,
    changes: Crosswalk,
}

impl<'g> UnitCodes<'g> {
    /// Units that are block groups, tracts, counties or states.
    ///
    /// # Errors
    /// If they are not, by their codes.
    pub fn new(units: &'g Geography) -> Result<Self> {
        let digits = units.level().as_ref().and_then(Level::digits).ok_or_else(|| {
            Error::request(
                "units: expected GEOIDs of block groups (12 digits), or of tracts, counties or \
                 states, found others",
            )
        })?;
        let codes = units.geoids().iter().map(|geoid| number_of(geoid.as_str()));
        let codes = codes.map(|number| number.expect("a level has numeric codes"));
        let numbers = codes.zip(0..).collect();
        Ok(Self { units, digits, numbers, changes: Crosswalk::of_the_2010s() })
    }

    /// The unit that a block group, or a tract of units that are no smaller, is in; by the code it
    /// has in the table of units, or the one it had before a change of the 2010s.
    pub fn unit_of(&self, geoid: &str) -> Option<u32> {
        let code = geoid.get(..self.digits)?;
        self.find(code).or_else(|| self.find(&self.changes.canonical(code)))
    }

    fn find(&self, code: &str) -> Option<u32> {
        let number = number_of(code).filter(|_| code.len() == self.digits)?;
        self.numbers.get(&number).copied()
    }
}

/// A code of a known number of digits, at most 19, as a number.
fn number_of(code: &str) -> Option<u64> {
    code.bytes().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

/// What the ratios of ZIP codes said, over all quarters.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ZipReport {
    /// Quarters read.
    pub quarters: usize,
    /// ZIP codes in any of them.
    pub zips: usize,
    /// ZIP codes of a quarter whose ratios do not sum to 1; they were divided by their sum.
    pub off: usize,
    /// The sum that is farthest from 1, with its ZIP code.
    pub worst: Option<(String, f64)>,
    /// ZIP codes of a quarter without residents.
    pub without_residents: usize,
    /// ZIP codes of a quarter with some tracts that are no unit, whose ratios went to the others.
    pub partly_unknown: usize,
    /// ZIP codes of a quarter all of whose tracts are no unit.
    pub unknown: usize,
    /// ZIP codes of a quarter in a territory.
    pub territory: usize,
}

/// Adds the crosswalks of quarters, then makes the places.
#[derive(Debug)]
pub struct PlacesBuilder<'g> {
    codes: &'g UnitCodes<'g>,
    /// Number of each tract.
    tract_numbers: HashMap<String, u32>,
    places: Places,
    /// Quarter (counted from year 0) and place of every ZIP code that has any.
    rows: HashMap<Zip, Vec<(i32, Place)>>,
    report: ZipReport,
}

impl<'g> PlacesBuilder<'g> {
    /// Units with their populations, in persons, which only block groups need.
    ///
    /// # Panics
    /// If there are not as many populations as units.
    pub fn new(codes: &'g UnitCodes<'g>, populations: Option<&[f64]>) -> Self {
        let mut builder = Self {
            codes,
            tract_numbers: HashMap::new(),
            places: Places {
                units: codes.units.len() as u32,
                quarters: Vec::new(),
                zips: vec![None; Zip::COUNT as usize],
                of_quarter: Vec::new(),
                spreads: Vec::new(),
                tracts: Vec::new(),
            },
            rows: HashMap::new(),
            report: ZipReport::default(),
        };
        if codes.digits == 12 {
            builder.split_tracts(populations);
        }
        builder
    }

    /// The block groups of every tract, by population; where nobody lives, in equal parts.
    fn split_tracts(&mut self, populations: Option<&[f64]>) {
        let units = self.codes.units;
        for (unit, geoid) in (0_u32..).zip(units.geoids()) {
            let persons = populations.map_or(0.0, |populations| {
                assert_eq!(populations.len(), units.len(), "populations and units");
                populations[unit as usize]
            });
            let next = self.places.tracts.len() as u32;
            let number = *self.tract_numbers.entry(geoid.as_str()[..11].to_owned()).or_insert(next);
            if number == next {
                self.places.tracts.push(Vec::new());
            }
            self.places.tracts[number as usize].push((unit, persons));
        }
        for tract in &mut self.places.tracts {
            let sum: f64 = tract.iter().map(|(_, persons)| persons).sum();
            let parts = tract.len() as f64;
            for (_, share) in tract {
                *share = if sum > 0.0 { *share / sum } else { 1.0 / parts };
            }
        }
    }

    /// Adds the crosswalk of a quarter, counted from year 0: 4 times the year for its first one.
    ///
    /// # Panics
    /// If the quarter is not after those before it.
    pub fn add(&mut self, quarter: i32, table: &ZipTracts) {
        assert!(self.places.quarters.last().is_none_or(|&last| last < quarter), "{quarter}");
        self.places.quarters.push(quarter);
        self.report.quarters += 1;
        self.report.off += table.off.len();
        self.report.without_residents += table.without_residents.len();
        for (zip, sum) in &table.off {
            let worst = self.report.worst.as_ref().map_or(0.0, |(_, worst)| (worst - 1.0).abs());
            if (sum - 1.0).abs() > worst {
                self.report.worst = Some((zip.clone(), *sum));
            }
        }
        for (code, tracts) in table.iter() {
            let zip = Zip::parse(code).expect("ZIP codes of a crosswalk have 5 digits");
            if let Some(place) = self.spread(zip, tracts.iter().map(|(t, r)| (t.as_str(), *r))) {
                self.rows.entry(zip).or_default().push((quarter, place));
            }
        }
    }

    /// Place of a ZIP code with these ratios; `None` if nobody lives there.
    fn spread<'t>(
        &mut self,
        zip: Zip,
        ratios: impl Iterator<Item = (&'t str, f64)>,
    ) -> Option<Place> {
        let mut shares = Vec::new();
        let (mut known, mut unknown, mut territory) = (0.0, 0.0, 0.0);
        for (tract, ratio) in ratios.filter(|(_, ratio)| *ratio > 0.0) {
            if let Some(number) = self.tract_number(tract) {
                known += ratio;
                shares.push((number, ratio));
            } else if is_territory(tract) {
                territory += ratio;
            } else {
                unknown += ratio;
            }
        }
        if known + unknown + territory == 0.0 {
            return None;
        }
        if known == 0.0 {
            let place = if territory > 0.0 { Place::TERRITORY } else { Place::UNKNOWN };
            let counter =
                if territory > 0.0 { &mut self.report.territory } else { &mut self.report.unknown };
            *counter += 1;
            return Some(place);
        }
        self.report.partly_unknown += usize::from(unknown + territory > 0.0);
        for (_, share) in &mut shares {
            *share /= known;
        }
        // Most ZIP codes stay as they are for many quarters.
        let last = self.rows.get(&zip).and_then(|rows| rows.last()).map(|(_, place)| *place);
        if let Some(last) = last.filter(|last| *last < Place::TERRITORY)
            && self.places.spread(last) == shares
        {
            return Some(last);
        }
        self.places.spreads.push(shares);
        Some(Place(self.places.units + self.places.spreads.len() as u32 - 1))
    }

    /// Number of a tract, by the code it has among the units or the one it had before. A tract of
    /// units that are no smaller than it is a tract of one unit.
    fn tract_number(&mut self, tract: &str) -> Option<u32> {
        if let Some(number) = self.tract_numbers.get(tract) {
            return Some(*number);
        }
        let number = if self.codes.digits == 12 {
            *self.tract_numbers.get(&*self.codes.changes.canonical(tract))?
        } else {
            self.places.tracts.push(vec![(self.codes.unit_of(tract)?, 1.0)]);
            self.places.tracts.len() as u32 - 1
        };
        self.tract_numbers.insert(tract.to_owned(), number);
        Some(number)
    }

    /// The places. In a quarter that does not have it, a ZIP code is as in the nearest that has.
    pub fn finish(mut self) -> (Places, ZipReport) {
        self.report.zips = self.rows.len();
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_unstable_by_key(|(zip, _)| *zip);
        for (zip, rows) in rows {
            self.places.zips[zip.number()] = Some(self.places.of_quarter.len() as u32);
            let own: Vec<i32> = rows.iter().map(|(quarter, _)| *quarter).collect();
            for &quarter in &self.places.quarters {
                self.places.of_quarter.push(rows[nearest(&own, quarter)].1);
            }
        }
        (self.places, self.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::Geoid;
    use crate::histories::date::Date;
    use crate::histories::places::Location;

    fn units(codes: &[&str]) -> Geography {
        Geography::new(codes.iter().map(|&code| Geoid::new(code)).collect()).unwrap()
    }

    fn table(rows: &str) -> ZipTracts {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zip.csv");
        std::fs::write(&path, format!("ZIP,TRACT,RES_RATIO\n{rows}")).unwrap();
        ZipTracts::read(&path).unwrap()
    }

    /// Units and shares of a ZIP code at a date, or where it is instead.
    fn row(places: &Places, zip: &str, date: &str) -> std::result::Result<Vec<(u32, f64)>, Place> {
        let place = places.at(Location::zip(Zip::parse(zip).unwrap()), Date::parse(date));
        if place >= Place::TERRITORY {
            return Err(place);
        }
        let mut shares = Vec::new();
        places.for_each(place, |unit, share| shares.push((unit, share)));
        assert_eq!(shares.len(), places.row_len(place));
        Ok(shares)
    }

    #[test]
    fn a_zip_code_is_spread_over_tracts_and_block_groups() {
        let codes = ["010010001001", "010010001002", "010010002001", "010010002002"];
        let units = units(&codes);
        let codes = UnitCodes::new(&units).unwrap();
        let mut builder = PlacesBuilder::new(&codes, Some(&[30.0, 10.0, 0.0, 0.0]));
        // Quarters are 2011-Q1 and 2013-Q2. In the second, 10001 has 0.5 + 0.25 of known tracts,
        // which become 2/3 and 1/3, and 0.2 of one that is not; its ratios sum to 0.95.
        builder.add(
            2011 * 4,
            &table("10001,01001000100,1\n10002,72001000100,1\n10003,02001000100,1\n10004,01001000100,0\n"),
        );
        builder.add(
            2013 * 4 + 1,
            &table("10001,01001000100,0.5\n10001,01001000200,0.25\n10001,02001000100,0.2\n"),
        );
        let (places, report) = builder.finish();
        assert_eq!(row(&places, "10001", "2011-12"), Ok(vec![(0, 0.75), (1, 0.25)]));
        let late = row(&places, "10001", "2020-01").unwrap();
        // Nobody lives in the second tract: its block groups share equally.
        for ((unit, share), expected) in
            late.into_iter().zip([0.5, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0])
        {
            assert!((share - expected).abs() < 1e-15, "{unit}: {share}");
        }
        assert_eq!(row(&places, "10002", "2020-01"), Err(Place::TERRITORY));
        for zip in ["10003", "10004", "99999"] {
            assert_eq!(row(&places, zip, "2011-01"), Err(Place::UNKNOWN), "{zip}");
        }
        let expected = ZipReport {
            quarters: 2,
            zips: 3,
            off: 1,
            worst: report.worst.clone(),
            without_residents: 1,
            partly_unknown: 1,
            unknown: 1,
            territory: 1,
        };
        assert_eq!(report, expected);
        let (zip, sum) = report.worst.unwrap();
        assert!(zip == "10001" && (sum - 0.95).abs() < 1e-15);
    }

    #[test]
    fn units_may_be_coarser_than_tracts() {
        let units = units(&["01001", "02158"]);
        let codes = UnitCodes::new(&units).unwrap();
        // 02270 was renamed to 02158.
        assert_eq!(codes.unit_of("022700001001"), Some(1));
        assert_eq!((codes.unit_of("010010001001"), codes.unit_of("999990001001")), (Some(0), None));
        let mut builder = PlacesBuilder::new(&codes, None);
        builder.add(
            8044,
            &table("10001,01001000100,0.5\n10001,01001000200,0.25\n10001,02270000100,0.25\n"),
        );
        let (places, _) = builder.finish();
        let shares = row(&places, "10001", "").unwrap();
        assert_eq!(shares, [(0, 0.5), (0, 0.25), (1, 0.25)]);
    }
}
