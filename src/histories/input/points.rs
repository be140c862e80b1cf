//! Answers of any other geocoder: latitude and longitude by address, placed by the borders of areas.

use serde::Serialize;

use super::answers::AnswerReader;
use super::fields::{Noted, identifier};
use super::rows::{Part, Row, Wanted};
use crate::Result;
use crate::counts::add_by_field;
use crate::histories::geocode::areas::Areas;
use crate::histories::key::Key;
use crate::histories::places::Location;

/// Columns of a table of points.
#[derive(Clone, Debug)]
pub struct PointColumns {
    /// Identifier of an address.
    pub address_id: String,
    /// Degrees north.
    pub latitude: String,
    /// Degrees east.
    pub longitude: String,
}

/// Where points are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PointCounts {
    /// In a unit.
    pub matched: u64,
    /// In territories.
    pub territory: u64,
    /// In an area that is no unit; by ZIP code where the address has one.
    pub other_vintage: Noted,
    /// In no area; by ZIP code where the address has one.
    pub outside: Noted,
    /// Addresses without coordinates; by ZIP code where they have one.
    pub empty: Noted,
    /// Points on the border of an area or several; the first, by GEOID, was taken.
    pub on_border: u64,
    /// Points inside of several areas, which overlap; the first, by GEOID, was taken.
    pub overlapping: Noted,
}

add_by_field!(PointCounts: matched, territory, other_vintage, outside, empty, on_border, overlapping);

const LATITUDE: usize = 1;
const LONGITUDE: usize = 2;

impl AnswerReader<'_, '_> {
    /// Reads a table of points, which has a number for what is noted.
    ///
    /// # Errors
    /// If a column is missing, a cell is no coordinate, or a file is broken. A point far from all
    /// areas that is in one of them when latitude and longitude are swapped ends a run: such tables
    /// are wrong from top to bottom.
    pub fn read_points(
        &mut self,
        part: &Part,
        number: usize,
        columns: &PointColumns,
        areas: &Areas,
    ) -> Result<()> {
        let PointColumns { address_id, latitude, longitude } = columns;
        let wanted = [(address_id, false), (latitude, true), (longitude, true)];
        let wanted =
            wanted.map(|(name, float)| Wanted { name: name.clone(), optional: false, float });
        part.read(&wanted, |row| {
            let address = Key::new(identifier(row, 0)?.as_bytes());
            let location = if let Some(point) = point(row)? {
                self.locate(row, number, point, areas)?
            } else {
                self.points.empty.add(number, || row.place(LATITUDE));
                Location::UNKNOWN
            };
            self.add(address, location)
        })
    }

    fn locate(
        &mut self,
        row: &Row,
        number: usize,
        point: [f64; 2],
        areas: &Areas,
    ) -> Result<Location> {
        let [longitude, latitude] = point;
        let counts = &mut self.points;
        let place = |what: &str| format!("{}: {latitude}, {longitude}{what}", row.place(LATITUDE));
        let Some(found) = areas.find(point) else {
            let swapped = [latitude, longitude];
            if let Some(other) = areas.find(swapped).filter(|_| !areas.is_near(point)) {
                let problem = format!(
                    "expected a latitude, found {latitude} with longitude {longitude}: swapped, they \
                     are in {}",
                    other.area
                );
                return Err(row.error(LATITUDE, problem));
            }
            counts.outside.add(number, || place(""));
            return Ok(Location::UNKNOWN);
        };
        counts.on_border += u64::from(found.on_border);
        if let Some(other) = found.other {
            counts.overlapping.add(number, || place(&format!(": in {} and {other}", found.area)));
        }
        match found.location {
            Location::TERRITORY => counts.territory += 1,
            Location::UNKNOWN => {
                counts.other_vintage.add(number, || place(&format!(": in {}", found.area)));
            }
            _ => counts.matched += 1,
        }
        Ok(found.location)
    }
}

/// Longitude and latitude of a row; `None` if both are empty.
fn point(row: &Row) -> Result<Option<[f64; 2]>> {
    if row.cell(LATITUDE).is_empty() && row.cell(LONGITUDE).is_empty() {
        return Ok(None);
    }
    let degrees = |column: usize, limit: f64| {
        let text = row.cell(column);
        let degrees = text.parse().ok().filter(|degrees: &f64| degrees.abs() <= limit);
        degrees.ok_or_else(|| {
            row.error(column, format!("expected degrees from -{limit} to {limit}, found `{text}`"))
        })
    };
    Ok(Some([degrees(LONGITUDE, 180.0)?, degrees(LATITUDE, 90.0)?]))
}
