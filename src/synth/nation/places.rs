//! The block groups of a nation and what distinguishes them.

use super::NationOptions;
use super::flows::SHAPE;
use crate::census::STATES;
use crate::census::cenpop::{CenPop, Place};
use crate::geography::{Geography, Geoid};
use crate::synth::kernel::nearest;
use crate::synth::random::{Purpose, Stream};
use crate::{Error, Result};

/// Radius of the sphere, km.
const EARTH_KM: f64 = 6371.0;
/// Persons after which a ZIP is full: at least this many, Pareto with index 2, truncated.
const ZIP_PERSONS: f64 = 6_550.0;
/// Lower end of the uniform number whose root that is divided by.
const ZIP_TRUNCATION: f64 = 0.006;
/// A sample takes a county with this many of its neighbors.
const SAMPLED_NEIGHBORS: usize = 6;

/// The block groups of a nation, one entry per unit, sorted by GEOID.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Persons living there in year t - 1.
    pub population: Vec<u32>,
    /// Latitude of the center of population, degrees.
    pub lat: Vec<f64>,
    /// Longitude of the center of population, degrees.
    pub lon: Vec<f64>,
    /// Share of persons who rent, 0.05 to 0.95: who moves more and is missed more often.
    pub renter_share: Vec<f64>,
    /// Mean years since the address of a household was last confirmed, 0.5 to 6.
    pub record_age: Vec<f64>,
    /// How many movers a resident draws, relative to the average place.
    pub appeal: Vec<f64>,
    /// ZIP of each unit, from 0; the units of a ZIP follow each other within a county.
    pub zip: Vec<usize>,
    /// County of each unit, from 0; never decreasing.
    pub county: Vec<usize>,
    /// Code of each unit as a number.
    pub(super) code: Vec<u64>,
    /// Position of each unit on the sphere, km.
    pub(super) position_km: Vec<[f64; 3]>,
    /// Position of each county's seat, its center of population, km.
    pub(super) seat_km: Vec<[f64; 3]>,
    /// What far counties stand for, seen from each county: 1 unless these are a sample.
    pub(super) represents: Vec<f64>,
}

impl Places {
    /// Number of block groups.
    pub fn len(&self) -> usize {
        self.population.len()
    }

    /// Whether there are no block groups.
    pub fn is_empty(&self) -> bool {
        self.population.is_empty()
    }

    /// The stream of a unit and year: 12 digits of its code below the year.
    pub(super) fn stream(&self, options: &NationOptions, purpose: Purpose, unit: usize) -> Stream {
        Stream::new(options.seed, purpose, self.code[unit] + (u64::from(options.year) << 48))
    }

    /// Position in [`STATES`] of the state of a unit, `None` for other codes.
    pub(super) fn state_position(&self, unit: usize) -> Option<usize> {
        let code = format!("{:02}", self.state(unit));
        STATES.iter().position(|state| state.0 == code)
    }

    /// Number of the state of a unit, as in its code.
    pub(super) fn state(&self, unit: usize) -> u64 {
        self.code[unit] / 10_000_000_000
    }
}

/// Takes the places of a file, or a sample of them, and draws their covariates.
pub(super) fn settle(centers: &CenPop, options: &NationOptions) -> Result<(Geography, Places)> {
    let mut all: Vec<&Place> = centers.places.iter().collect();
    all.sort_by(|a, b| a.geoid.cmp(&b.geoid));
    let counties: Vec<&[&Place]> =
        all.chunk_by(|a, b| prefix(&a.geoid, 5) == prefix(&b.geoid, 5)).collect();
    let seats: Vec<[f64; 3]> = counties.iter().map(|places| seat(places)).collect();
    let taken = sample(&counties, &seats, options);
    if taken.len() < 2 {
        return Err(Error::request(format!(
            "places: expected block groups of at least two counties, found {}",
            taken.len()
        )));
    }

    let persons: Vec<f64> =
        counties.iter().map(|places| places.iter().map(|p| p.population as f64).sum()).collect();
    let chosen_persons: Vec<f64> = taken.iter().map(|&c| persons[c]).collect();
    let chosen_seats: Vec<[f64; 3]> = taken.iter().map(|&c| seats[c]).collect();
    let represents = taken.iter().enumerate().map(|(county, &chosen)| {
        let of_all = SHAPE.far_weight(&seats, &persons, chosen);
        let of_taken = SHAPE.far_weight(&chosen_seats, &chosen_persons, county);
        if of_taken > 0.0 { of_all / of_taken } else { 1.0 }
    });
    let mut places = Places {
        represents: represents.collect(),
        seat_km: chosen_seats.clone(),
        ..Places::default()
    };
    let mut geoids = Vec::new();
    for (county, &chosen) in taken.iter().enumerate() {
        settle_county(&mut places, counties[chosen], county, options.seed)?;
        geoids.extend(counties[chosen].iter().map(|place| place.geoid.clone()));
    }
    if places.population.iter().all(|&persons| persons == 0) {
        return Err(Error::request(
            "places: expected people in at least one block group, found none",
        ));
    }
    let unknown = (0..places.len()).find(|&unit| places.state_position(unit).is_none());
    if let Some(unit) = unknown {
        return Err(Error::request(format!(
            "places: expected codes of the 50 states and the District of Columbia, found `{}`",
            geoids[unit]
        )));
    }
    Ok((Geography::new(geoids)?, places))
}

fn prefix(geoid: &Geoid, digits: usize) -> &str {
    &geoid.as_str()[..digits]
}

/// The counties to take, in increasing order: a county with its neighbors, systematically from all
/// counties in the order of how many block groups they have together.
fn sample(counties: &[&[&Place]], seats: &[[f64; 3]], options: &NationOptions) -> Vec<usize> {
    if options.sample >= 1.0 {
        return (0..counties.len()).collect();
    }
    let around = |county: usize| nearest(seats, seats[county], SAMPLED_NEIGHBORS + 1);
    let size = |county| around(county).iter().map(|&c| counties[c].len()).sum::<usize>();
    let mut order: Vec<(usize, usize)> = (0..counties.len()).map(|c| (size(c), c)).collect();
    order.sort_unstable();
    let step = (SAMPLED_NEIGHBORS + 1) as f64 / options.sample;
    let mut stream = Stream::new(options.seed, Purpose::Places, 0);
    let mut at = stream.uniform() * step.min(order.len() as f64);
    let mut taken = Vec::new();
    while let Some(&(_, county)) = order.get(at as usize) {
        taken.extend(around(county));
        at += step;
    }
    taken.sort_unstable();
    taken.dedup();
    taken
}

/// The center of population of some places, on the sphere.
fn seat(places: &[&Place]) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for place in places {
        let position = on_sphere(place.latitude, place.longitude);
        // Places without people count a little, so that empty counties are somewhere too.
        let weight = place.population as f64 + 0.001;
        for (sum, x) in sum.iter_mut().zip(position) {
            *sum += weight * x;
        }
    }
    let norm = (sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2]).sqrt();
    sum.map(|x| x / norm * EARTH_KM)
}

/// The point of the sphere at a latitude and longitude, km. The sines are those of `libm`, the same
/// on every machine.
fn on_sphere(lat: f64, lon: f64) -> [f64; 3] {
    let (lat, lon) = (lat.to_radians(), lon.to_radians());
    let equatorial = EARTH_KM * libm::cos(lat);
    [equatorial * libm::cos(lon), equatorial * libm::sin(lon), EARTH_KM * libm::sin(lat)]
}

/// Straight line between two points of the sphere a great-circle distance apart, km.
pub(super) fn chord_km(arc_km: f64) -> f64 {
    2.0 * EARTH_KM * libm::sin(arc_km / (2.0 * EARTH_KM))
}

/// Persons after which a ZIP is full.
fn zip_size(stream: &mut Stream) -> f64 {
    ZIP_PERSONS / stream.between(ZIP_TRUNCATION, 1.0).sqrt()
}

/// Adds the block groups of a county. They are the same in every sample that holds the county.
fn settle_county(
    places: &mut Places,
    block_groups: &[&Place],
    county: usize,
    seed: u64,
) -> Result<()> {
    let number = |text: &str| text.parse::<u64>().expect("codes are digits");
    let mut stream = Stream::new(seed, Purpose::Places, number(prefix(&block_groups[0].geoid, 5)));
    // Renters, and years since the last confirmation: effects of county, tract and block group.
    let effects = |stream: &mut Stream, renters: f64, years: f64| {
        (renters * stream.deviate(), years * stream.deviate())
    };
    let of_county = effects(&mut stream, 0.06, 0.6);
    let mut zip = places.zip.last().map_or(0, |last| last + 1);
    let (mut persons, mut full) = (0.0, zip_size(&mut stream));
    for tract in block_groups.chunk_by(|a, b| prefix(&a.geoid, 11) == prefix(&b.geoid, 11)) {
        let of_tract = effects(&mut stream, 0.08, 0.5);
        if persons >= full {
            (persons, full) = (0.0, zip_size(&mut stream));
            zip += 1;
        }
        for place in tract {
            let own = effects(&mut stream, 0.08, 0.4);
            let population = u32::try_from(place.population).map_err(|_| {
                Error::request(format!(
                    "places: expected fewer than 2^32 persons in {}, found {}",
                    place.geoid, place.population
                ))
            })?;
            persons += f64::from(population);
            places.population.push(population);
            places.lat.push(place.latitude);
            places.lon.push(place.longitude);
            places.renter_share.push((0.37 + of_county.0 + of_tract.0 + own.0).clamp(0.05, 0.95));
            places.record_age.push((3.0 + of_county.1 + of_tract.1 + own.1).clamp(0.5, 6.0));
            places.appeal.push(stream.between(0.6, 1.4));
            places.zip.push(zip);
            places.county.push(county);
            places.code.push(number(place.geoid.as_str()));
            places.position_km.push(on_sphere(place.latitude, place.longitude));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::nation::tests::centers;

    #[test]
    fn a_sample_takes_neighbors_and_changes_no_place() {
        let mut options = NationOptions { seed: 1, ..NationOptions::DEFAULT };
        let centers = centers(70);
        let (whole, all) = settle(&centers, &options).unwrap();
        assert_eq!((all.len(), &all.represents), (840, &vec![1.0; 70]));
        options.sample = 0.1;
        let (some, sample) = settle(&centers, &options).unwrap();
        // Seven counties in a row.
        assert_eq!(sample.len(), 84);
        assert!(sample.lon[83] - sample.lon[0] < 0.61);
        assert!(sample.represents.iter().all(|&r| r == 1.0), "no far county is left");
        for (unit, geoid) in some.geoids().iter().enumerate() {
            let at = whole.geoids().binary_search(geoid).unwrap();
            assert_eq!(sample.renter_share[unit], all.renter_share[at]);
            assert_eq!(sample.record_age[unit], all.record_age[at]);
            assert_eq!(sample.position_km[unit], all.position_km[at]);
        }
    }

    #[test]
    fn zips_are_tracts_of_one_county_in_order() {
        let (_, places) = settle(&centers(20), &NationOptions::DEFAULT).unwrap();
        assert!(places.zip.is_sorted());
        for unit in 1..places.len() {
            let (a, b) = (unit - 1, unit);
            assert!(places.zip[b] - places.zip[a] <= 1);
            if places.zip[a] == places.zip[b] {
                assert_eq!(places.county[a], places.county[b]);
            } else {
                assert_ne!(places.code[a] / 10, places.code[b] / 10, "a tract is in one ZIP");
            }
        }
        assert!(places.zip[239] > 20, "some counties have more than one ZIP");
    }

    #[test]
    fn covariates_are_alike_within_a_county() {
        let (_, places) = settle(&centers(300), &NationOptions::DEFAULT).unwrap();
        let mean = places.renter_share.iter().sum::<f64>() / places.len() as f64;
        assert!((0.36..0.38).contains(&mean), "{mean}");
        let product =
            |a: usize, b: usize| (places.renter_share[a] - mean) * (places.renter_share[b] - mean);
        let pairs = |apart: usize| {
            // First block group of every county, and one some units on.
            let starts = (0..places.len() - apart).step_by(12);
            let n = starts.len() as f64;
            starts.map(|k| product(k, k + apart)).sum::<f64>() / n
        };
        // Variances 0.06^2 = 0.0036 and 0.08^2 = 0.0064 add up over what is shared.
        assert!((0.007..0.013).contains(&pairs(1)), "same tract: {}", pairs(1));
        assert!((0.002..0.006).contains(&pairs(6)), "same county: {}", pairs(6));
        assert!(pairs(12).abs() < 0.002, "next county: {}", pairs(12));
    }

    #[test]
    fn points_are_where_they_should_be() {
        let close = |a: [f64; 3], b: [f64; 3]| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9 * EARTH_KM)
        };
        assert!(close(on_sphere(0.0, 90.0), [0.0, EARTH_KM, 0.0]));
        assert!(close(on_sphere(-90.0, 17.0), [0.0, 0.0, -EARTH_KM]));
        // A quarter of the way around the sphere.
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_KM;
        assert!((chord_km(quarter) - 2.0_f64.sqrt() * EARTH_KM).abs() < 1e-9);
    }
}
