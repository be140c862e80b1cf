//! Borders of areas: GeoJSON files of polygons with GEOIDs.
//!
//! Source: RFC 7946, <https://www.rfc-editor.org/rfc/rfc7946>: positions are longitude and latitude in
//! degrees. The Census publishes borders as shapefiles, <https://www.census.gov/geographies/mapping-files.html>,
//! which `ogr2ogr -t_srs EPSG:4326 block_groups.geojson tl_2010_01_bg10.shp` translates.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::value::RawValue;

use super::areas::{Area, Areas};
use crate::geography::{Geography, Level};
use crate::histories::crosswalk::{UnitCodes, is_territory};
use crate::histories::input::Noted;
use crate::histories::places::Location;
use crate::{Error, Result, input, table};

/// Properties that hold GEOIDs in the files of the Census, the first of them that a feature has.
const GEOID_NAMES: [&str; 6] = ["GEOID", "GEOID10", "GEOID20", "GEO_ID", "AFFGEOID", "GEOIDFQ"];

/// Digits of a block, beside those of [`Level`].
const BLOCK_DIGITS: usize = 15;

/// What was in the files of borders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BoundaryCounts {
    /// Features.
    pub features: u64,
    /// Of these, in territories.
    pub territory: u64,
    /// In areas that are no unit.
    pub other_vintage: Noted,
    /// Without a polygon.
    pub without_polygon: Noted,
    /// With a GEOID that a feature before them has; both are parts of one area.
    pub repeated: Noted,
    /// Units without a polygon.
    pub units_without_polygon: Noted,
}

/// A feature as far as it is read.
struct Feature {
    geoid: String,
    polygons: Vec<Vec<Vec<[f64; 2]>>>,
}

/// Reads areas. Those of one GEOID are one; `geoid` is the property that holds it, one of those
/// usual in files of the Census unless given.
///
/// # Errors
/// If a file is no GeoJSON, a feature is no polygon or its GEOID none of an area as large as a unit
/// or smaller, or a position is not in degrees.
pub fn read(
    files: &[PathBuf],
    geoid: Option<&str>,
    units: &Geography,
) -> Result<(Areas, BoundaryCounts)> {
    let codes = UnitCodes::new(units)?;
    let mut counts = BoundaryCounts::default();
    let mut areas: BTreeMap<String, Area> = BTreeMap::new();
    let mut known = vec![false; units.len()];
    for (part, path) in files.iter().enumerate() {
        for (number, feature) in read_features(path, geoid, units)?.into_iter().enumerate() {
            let Feature { geoid, polygons } = feature;
            let place = || format!("{}: feature {number}: {geoid}", path.display());
            counts.features += 1;
            let location = match codes.unit_of(&geoid) {
                Some(unit) => Location::unit(unit),
                None if is_territory(&geoid) => Location::TERRITORY,
                None => Location::UNKNOWN,
            };
            counts.territory += u64::from(location == Location::TERRITORY);
            if location == Location::UNKNOWN {
                counts.other_vintage.add(part, place);
            }
            if polygons.is_empty() {
                counts.without_polygon.add(part, place);
                continue;
            }
            if let Some(unit) = codes.unit_of(&geoid) {
                known[unit as usize] = true;
            }
            if let Some(area) = areas.get_mut(&geoid) {
                counts.repeated.add(part, place);
                area.polygons.extend(polygons);
            } else {
                areas.insert(geoid.clone(), Area { geoid, location, polygons });
            }
        }
    }
    for (unit, _) in known.iter().enumerate().filter(|(_, known)| !*known) {
        counts.units_without_polygon.add(0, || units.geoids()[unit].to_string());
    }
    Ok((Areas::new(areas.into_values().collect()), counts))
}

/// The features of a file, in order.
fn read_features(path: &Path, geoid: Option<&str>, units: &Geography) -> Result<Vec<Feature>> {
    #[derive(DeriveDeserialize)]
    struct Collection<'a> {
        #[serde(borrow)]
        features: Vec<&'a RawValue>,
    }
    let text = input::map(path)?;
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    let collection: Collection = serde_json::from_slice(text).map_err(|e| {
        let problem = format!("expected a GeoJSON FeatureCollection, found: {e}");
        Error::data(path, "", problem)
    })?;
    let features = collection.features.par_iter().enumerate();
    let read = features.map(|(number, feature)| {
        read_feature(feature.get(), geoid, units)
            .map_err(|problem| Error::data(path, format!(": feature {number}"), problem))
    });
    // Of several errors, the first is told.
    read.collect::<Vec<_>>().into_iter().collect()
}

/// A feature; an error is what was expected and found.
fn read_feature(
    text: &str,
    name: Option<&str>,
    units: &Geography,
) -> std::result::Result<Feature, String> {
    #[derive(DeriveDeserialize)]
    struct Raw<'a> {
        properties: Option<serde_json::Map<String, serde_json::Value>>,
        #[serde(borrow)]
        geometry: Option<Geometry<'a>>,
    }
    #[derive(DeriveDeserialize)]
    struct Geometry<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(borrow)]
        coordinates: Option<&'a RawValue>,
    }
    let unreadable = |e: serde_json::Error| format!("expected a GeoJSON feature, found: {e}");
    let raw: Raw = serde_json::from_str(text).map_err(unreadable)?;
    let geoid = geoid_of(&raw.properties.unwrap_or_default(), name)?;
    check_geoid(&geoid, units)?;
    let Some(geometry) = raw.geometry else { return Ok(Feature { geoid, polygons: Vec::new() }) };
    let coordinates = geometry.coordinates.map_or("[]", RawValue::get);
    let unreadable = |e: serde_json::Error| format!("expected positions of {geoid}, found: {e}");
    let polygons: Vec<Vec<Vec<Degrees>>> = match &*geometry.kind {
        "MultiPolygon" => serde_json::from_str(coordinates).map_err(unreadable)?,
        "Polygon" => vec![serde_json::from_str(coordinates).map_err(unreadable)?],
        other => return Err(format!("expected a Polygon or MultiPolygon, found {other}")),
    };
    let polygons = polygons.into_iter().filter(|rings| !rings.is_empty());
    let polygons = polygons.map(|rings| rings.into_iter().map(closed).collect());
    let polygons = polygons.collect::<std::result::Result<_, String>>();
    Ok(Feature { polygons: polygons.map_err(|e| format!("{e} in {geoid}"))?, geoid })
}

/// The GEOID of a feature, without the prefix that tells its level.
fn geoid_of(
    properties: &serde_json::Map<String, serde_json::Value>,
    name: Option<&str>,
) -> std::result::Result<String, String> {
    let names = match &name {
        Some(name) => std::slice::from_ref(name),
        None => &GEOID_NAMES[..],
    };
    let value = |name: &&&str| properties.get(**name).filter(|value| !value.is_null());
    let Some((name, value)) = names.iter().find_map(|name| Some((name, value(&name)?))) else {
        let found: Vec<&String> = properties.keys().collect();
        let found = if found.is_empty() { "none".into() } else { table::listed(&found) };
        return Err(format!("expected a property {}, found {found}", names.join(" or ")));
    };
    let Some(text) = value.as_str() else {
        return Err(format!("property {name}: expected text with leading zeros, found {value}"));
    };
    // `1500000US010010201001`: level and kind of an area, then its GEOID.
    Ok(text.split_once("US").map_or(text, |(_, geoid)| geoid).trim().to_owned())
}

/// Refuses what cannot be in one unit: an area larger than units, or a code that lost its zero.
fn check_geoid(geoid: &str, units: &Geography) -> std::result::Result<(), String> {
    let digits = units.level().and_then(|level| level.digits()).unwrap_or(0);
    let is_known = Level::with_digits(geoid.len()).is_some() || geoid.len() == BLOCK_DIGITS;
    if geoid.len() >= digits && is_known && geoid.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    let kinds = Level::PREFIXES.iter().filter_map(Level::digits).chain([BLOCK_DIGITS]);
    let kinds: Vec<String> = kinds.filter(|k| *k >= digits).map(|k| k.to_string()).collect();
    Err(format!("expected a GEOID of {} digits, found `{geoid}`", kinds.join(" or ")))
}

/// A ring, which ends where it begins.
fn closed(ring: Vec<Degrees>) -> std::result::Result<Vec<[f64; 2]>, String> {
    let ring: Vec<[f64; 2]> = ring.into_iter().map(|position| position.0).collect();
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err(
            "expected rings of 4 positions or more, the last as the first, found another".into()
        );
    }
    let far = ring.iter().find(|[x, y]| !(x.abs() <= 180.0 && y.abs() <= 90.0));
    match far {
        Some([x, y]) => {
            Err(format!("expected degrees of longitude and latitude (EPSG:4326), found {x}, {y}"))
        }
        None => Ok(ring),
    }
}

/// A position: longitude and latitude; heights are passed over.
struct Degrees([f64; 2]);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Degrees;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a position of two numbers or more")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut numbers: A,
            ) -> std::result::Result<Degrees, A::Error> {
                let mut number = |at| {
                    let missing = || serde::de::Error::invalid_length(at, &"two numbers or more");
                    numbers.next_element()?.ok_or_else(missing)
                };
                let position = [number(0)?, number(1)?];
                while numbers.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Degrees(position))
            }
        }
        deserializer.deserialize_seq(Numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geography::Geoid;

    const RING: &str = "[[0,0],[2,0,150.5],[2,2],[0,0]]";

    fn units(codes: &[&str]) -> Geography {
        Geography::new(codes.iter().map(|&code| Geoid::new(code)).collect()).unwrap()
    }

    fn feature(property: &str, geometry: &str) -> String {
        format!("{{\"type\":\"Feature\",\"properties\":{{{property}}},\"geometry\":{geometry}}}")
    }

    fn polygon(property: &str) -> String {
        feature(property, &format!("{{\"type\":\"Polygon\",\"coordinates\":[{RING}]}}"))
    }

    fn read_text(
        text: &str,
        units: &Geography,
    ) -> std::result::Result<(Areas, BoundaryCounts), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.geojson");
        std::fs::write(&path, text).unwrap();
        read(&[path], None, units)
            .map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn read_all(
        features: &[String],
        units: &Geography,
    ) -> std::result::Result<(Areas, BoundaryCounts), String> {
        let features = features.join(",\n");
        read_text(
            &format!("{{\"bbox\":[0,0,2,2],\"features\":[{features}],\"name\":\"b\"}}"),
            units,
        )
    }

    #[test]
    fn the_usual_names_of_geoids_and_what_is_counted() {
        let units = units(&["010010001001", "010010001002", "010010001003", "010010001004"]);
        let (areas, counts) = read_all(
            &[
                polygon("\"GEO_ID\":\"1500000US010010001001\",\"NAME\":\"1\""),
                polygon("\"GEOID10\":\"010010001002\""),
                polygon("\"GEOID\":\"010010001001\""),
                polygon("\"GEOID\":\"720010001001\""),
                polygon("\"GEOID\":\"990010001001\""),
                feature("\"GEOIDFQ\":\"1500000US010010001003\"", "null"),
            ],
            &units,
        )
        .unwrap();
        assert_eq!(areas.find([1.0, 0.5]).unwrap().area, "010010001001");
        assert_eq!((counts.features, counts.territory), (6, 1));
        for (noted, count, first) in [
            (&counts.other_vintage, 1, "b.geojson: feature 4: 990010001001"),
            (&counts.without_polygon, 1, "b.geojson: feature 5: 010010001003"),
            (&counts.repeated, 1, "b.geojson: feature 2: 010010001001"),
            (&counts.units_without_polygon, 2, "010010001003"),
        ] {
            assert_eq!(noted.count, count, "{noted:?}");
            assert!(noted.first.as_ref().unwrap().ends_with(first), "{noted:?}");
        }
    }

    #[test]
    fn units_may_be_larger_than_areas() {
        let units = units(&["01001", "02158"]);
        // 02270 was renamed to 02158.
        let (areas, counts) = read_all(&[polygon("\"GEOID\":\"022700001001\"")], &units).unwrap();
        assert_eq!(areas.find([1.0, 0.5]).unwrap().location, Location::unit(1));
        assert_eq!(counts.units_without_polygon.first.as_deref(), Some("01001"));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_feature() {
        let units = units(&["010010001001"]);
        let good = polygon("\"GEOID\":\"010010001001\"");
        let geometry = |kind: &str, coordinates: &str| {
            let geometry = format!("{{\"type\":\"{kind}\",\"coordinates\":{coordinates}}}");
            feature("\"GEOID\":\"010010001001\"", &geometry)
        };
        let digits = "expected a GEOID of 12 or 15 digits, found";
        for (bad, expected) in [
            (polygon("\"GEOID\":10010001001"), "property GEOID: expected text with leading zeros, found 10010001001".into()),
            (polygon("\"GEOID\":\"10010001001\""), format!("{digits} `10010001001`")),
            (polygon("\"GEOID\":\"01001000100X\""), format!("{digits} `01001000100X`")),
            (
                polygon("\"code\":\"010010001001\",\"NAME\":1"),
                "expected a property GEOID or GEOID10 or GEOID20 or GEO_ID or AFFGEOID or GEOIDFQ, \
                 found NAME, code".into(),
            ),
            (geometry("Point", "[1,2]"), "expected a Polygon or MultiPolygon, found Point".into()),
            (
                geometry("Polygon", "[[[0,0],[1,0],[1,1],[0,1]]]"),
                "expected rings of 4 positions or more, the last as the first, found another in \
                 010010001001".into(),
            ),
            (
                geometry("MultiPolygon", "[[[[500000,4e6],[1,0],[1,1],[500000,4e6]]]]"),
                "expected degrees of longitude and latitude (EPSG:4326), found 500000, 4000000 in \
                 010010001001".into(),
            ),
            (
                geometry("Polygon", "[[[0],[1,0]]]"),
                "expected positions of 010010001001, found: invalid length 1, expected two numbers \
                 or more at line 1 column 5".into(),
            ),
        ] {
            let error = read_all(&[good.clone(), bad], &units).unwrap_err();
            assert_eq!(error, format!("b.geojson: feature 1: {expected}"));
        }
        for (text, expected) in [
            ("{\"type\":\"Feature\"}", "missing field `features` at line 1 column 18"),
            ("{\"features\":[{", "EOF while parsing an object at line 1 column 14"),
        ] {
            let error = read_text(text, &units).unwrap_err();
            assert_eq!(
                error,
                format!("b.geojson: expected a GeoJSON FeatureCollection, found: {expected}")
            );
        }
    }
}
