//! Block groups of a nation that does not exist, as centers of population.
//!
//! States carry the codes of real ones, since the tables of all readers name them; counties are
//! numbered as real ones are, and lie in rows and columns. Of the block groups of a county half are
//! around its seat and half around smaller towns, the closer the more; both grow with the number of
//! block groups. County sizes are heavy-tailed (in proportion to 1/u - 1, u uniform on 0.004 to 1, down
//! to a single block group), tracts have one to nine block groups, block groups 600 to 3,000 people.

use crate::census::STATES;
use crate::census::cenpop::{CenPop, Place};
use crate::geography::{Geoid, Level};
use crate::synth::places::{COUNTY_PITCH_KM, Grid, KM_PER_DEGREE, apportion};
use crate::synth::random::{Purpose, Stream};
use crate::{Error, Result};

/// Mean number of block groups of a county; in the United States it is 69.
const BLOCK_GROUPS_PER_COUNTY: usize = 60;
/// A state has about this many block groups at least.
const BLOCK_GROUPS_PER_STATE: usize = 50;
/// Running shares of tracts of 1, 2, .. 9 block groups (mean 3.0).
const TRACT_SIZES: [f64; 9] = [0.14, 0.42, 0.69, 0.86, 0.94, 0.975, 0.99, 0.997, 1.0];
/// Block groups around each town beside the seat.
const TOWN_SIZE: usize = 8;
/// Radius of a town of one block group, km; others are larger by the root of their number.
const TOWN_RADIUS_KM: f64 = 2.1;
/// Latitude and longitude of the south-west corner.
const CORNER: (f64, f64) = (26.0, -122.0);

/// Makes up the places of a nation; the same numbers give the same places on every machine.
///
/// # Errors
/// If fewer than 100 or more than 300,000 block groups are asked for.
pub fn made_up_places(block_groups: usize, seed: u64) -> Result<CenPop> {
    if !(100..=300_000).contains(&block_groups) {
        return Err(Error::request(format!(
            "block groups: expected 100 to 300000, found {block_groups}"
        )));
    }
    let mut stream = Stream::new(seed, Purpose::MadeUp, 0);
    let states = (block_groups / BLOCK_GROUPS_PER_STATE).min(STATES.len());
    let state_weights: Vec<f64> = (0..states).map(|_| 1.0 / stream.between(0.1, 1.0)).collect();
    let counties = (block_groups / BLOCK_GROUPS_PER_COUNTY).max(2 * states);
    let counties_of = apportion(counties, &state_weights, 2);
    let county_weights: Vec<f64> =
        (0..counties).map(|_| 1.0 / stream.between(0.004, 1.0) - 1.0).collect();
    let mut block_groups_of = apportion(block_groups, &county_weights, 1).into_iter();

    let grid = Grid::new(&counties_of);
    let mut places = Vec::with_capacity(block_groups);
    for (state, &counties) in counties_of.iter().enumerate() {
        // The codes of a few states are spread over all of them.
        let code = STATES[state * STATES.len() / states].0;
        for k in 0..counties {
            let prefix = format!("{code}{:03}", 2 * k + 1);
            let number = prefix.parse().expect("codes are digits");
            let mut stream = Stream::new(seed, Purpose::MadeUp, number);
            let seat = grid.seat(state, k, &mut stream);
            let size = block_groups_of.next().expect("one number per county");
            settle_county(&prefix, size, seat, &mut stream, &mut places);
        }
    }
    Ok(CenPop { level: Level::BlockGroup, places })
}

/// Draws the block groups of a county whose seat is at a point of the flat map, km.
fn settle_county(
    prefix: &str,
    block_groups: usize,
    seat: (f64, f64),
    stream: &mut Stream,
    places: &mut Vec<Place>,
) {
    let mut towns = vec![(seat, (block_groups as f64 / 2.0).sqrt())];
    for _ in 0..block_groups / (2 * TOWN_SIZE) {
        let near = |at: f64, stream: &mut Stream| at + COUNTY_PITCH_KM * stream.between(-0.5, 0.5);
        let town = (near(seat.0, stream), near(seat.1, stream));
        towns.push((town, (TOWN_SIZE as f64).sqrt()));
    }
    let (mut tract, mut left) = (0, 0);
    let mut town = towns[0];
    for _ in 0..block_groups {
        if left == 0 {
            // A tract is in one town.
            tract += 1;
            left = stream.pick(&TRACT_SIZES).map_or(1, |k| k + 1);
            let other = (stream.uniform() * towns.len() as f64) as usize;
            town = if stream.uniform() < 0.5 { towns[0] } else { towns[other] };
        }
        // A radius uniform on [0, R] gives a density that falls as 1 / radius.
        let radius = TOWN_RADIUS_KM * town.1 * (0.1 + stream.uniform());
        let (east, north) = stream.direction();
        let skew = stream.uniform();
        let latitude = CORNER.0 + (town.0.1 + radius * north) / KM_PER_DEGREE;
        let wide = KM_PER_DEGREE * libm::cos(latitude.to_radians());
        let longitude = CORNER.1 + (town.0.0 + radius * east) / wide;
        places.push(Place {
            geoid: Geoid::new(format!("{prefix}{:06}{left}", tract * 100)),
            population: (600.0 + 2400.0 * skew * skew) as u64,
            latitude: in_millionths(latitude),
            longitude: in_millionths(longitude),
        });
        left -= 1;
    }
}

/// The number that a file with six decimals gives back.
fn in_millionths(degrees: f64) -> f64 {
    (degrees * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sizes(made: &CenPop, digits: usize) -> Vec<usize> {
        let mut sizes = BTreeMap::<&str, usize>::new();
        for place in &made.places {
            *sizes.entry(&place.geoid.as_str()[..digits]).or_default() += 1;
        }
        sizes.into_values().collect()
    }

    #[test]
    fn sizes_are_as_asked_for_and_skewed() {
        let made = made_up_places(20_000, 1).unwrap();
        assert_eq!(made.places.len(), 20_000);
        assert_eq!(sizes(&made, 12).len(), 20_000, "codes are unique");
        assert_eq!((sizes(&made, 2).len(), sizes(&made, 5).len()), (51, 333));
        let counties = sizes(&made, 5);
        let largest = *counties.iter().max().unwrap();
        assert!(counties.iter().min() == Some(&1) && largest > 600, "{largest}");
        let tracts = sizes(&made, 11);
        let mean = 20_000.0 / tracts.len() as f64;
        assert!(tracts.iter().max() <= Some(&9) && (2.7..3.3).contains(&mean), "{mean}");
        let persons: Vec<u64> = made.places.iter().map(|place| place.population).collect();
        assert!(persons.iter().all(|n| (600..3000).contains(n)));
        let mean = made.total() as f64 / 20_000.0;
        assert!((1380.0..1420.0).contains(&mean), "{mean}");
        for place in &made.places {
            assert!((25.0..55.0).contains(&place.latitude), "{place:?}");
            assert!((-123.0..-60.0).contains(&place.longitude), "{place:?}");
        }
    }

    #[test]
    fn seeds_and_sizes() {
        let codes = |size, seed| made_up_places(size, seed).unwrap().places;
        assert_eq!(codes(100, 1), codes(100, 1));
        assert_ne!(codes(100, 1), codes(100, 2));
        let small = made_up_places(100, 1).unwrap();
        assert_eq!((sizes(&small, 2).len(), sizes(&small, 5).len()), (2, 4));
        made_up_places(300_000, 1).unwrap();
        for wrong in [99, 300_001] {
            let refused = made_up_places(wrong, 1).unwrap_err().to_string();
            assert_eq!(refused, format!("block groups: expected 100 to 300000, found {wrong}"));
        }
    }
}
