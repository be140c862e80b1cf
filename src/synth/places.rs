//! Where people live: states, counties, tracts, block groups and their populations.

use super::RegionOptions;
use super::random::{Purpose, Stream};
use crate::geography::{Geography, Geoid};
use crate::{Error, Result};

/// State codes that FIPS never gave to a state, so that nobody takes generated numbers for real
/// ones. The first two have leading zeros on purpose.
pub(super) const STATE_CODES: [u8; 26] = [
    3, 7, 14, 43, 52, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97,
    98, 99,
];

/// Distance between neighboring county seats, km.
pub(super) const COUNTY_PITCH_KM: f64 = 45.0;
/// Length of one degree of latitude, km.
pub(super) const KM_PER_DEGREE: f64 = 111.195;
/// Latitude and longitude of the region's south-west corner, and the cosine of that latitude: the
/// map is drawn flat around it.
const CORNER_LAT: f64 = 39.0;
const CORNER_LON: f64 = -98.0;
const COS_CORNER_LAT: f64 = 0.777_145_961_456_970_9;

/// The block groups of a region, one entry per unit, sorted by GEOID.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Persons living there in year t - 1; a few block groups are uninhabited.
    pub population: Vec<u32>,
    /// Latitude of the centroid, degrees.
    pub lat: Vec<f64>,
    /// Longitude of the centroid, degrees.
    pub lon: Vec<f64>,
    /// Share of persons who rent, 0.05 to 0.95: who moves more and is missed more often.
    pub renter_share: Vec<f64>,
    /// How many movers a resident draws, relative to the average place.
    pub appeal: Vec<f64>,
    /// Position on the flat map, km east and north of the corner.
    pub position_km: Vec<(f64, f64)>,
    /// State of each unit, from 0.
    pub state: Vec<usize>,
    /// County of each unit, from 0, over all states; units of a county are neighbors.
    pub county: Vec<usize>,
    /// Position of each county's seat, km.
    pub seat_km: Vec<(f64, f64)>,
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
}

/// Lays out the region.
pub(super) fn settle(options: &RegionOptions) -> Result<(Geography, Places)> {
    let mut stream = Stream::new(options.seed, Purpose::Places, 0);
    let state_weights: Vec<f64> = (0..options.states).map(|_| 1.0 + stream.uniform()).collect();
    let counties_of = apportion(options.counties, &state_weights, 1);
    // Pareto with index 1, truncated at 1 : 40.
    let county_weights: Vec<f64> =
        (0..options.counties).map(|_| 1.0 / stream.between(0.025, 1.0)).collect();
    let block_groups_of = apportion(options.block_groups, &county_weights, 2);
    if let Some(most) = counties_of.iter().find(|&&counties| counties > 500) {
        return Err(Error::request(format!(
            "counties: one state got {most}, three-digit odd codes end at 500; ask for fewer \
             counties or more states"
        )));
    }

    let mut places = Places::default();
    let mut geoids = Vec::with_capacity(options.block_groups);
    let grid = Grid::new(&counties_of);
    let mut county = 0;
    for (state, &counties) in counties_of.iter().enumerate() {
        for k in 0..counties {
            let seat = grid.seat(state, k, &mut stream);
            places.seat_km.push(seat);
            let prefix = format!("{:02}{:03}", STATE_CODES[state], 2 * k + 1);
            settle_county(&mut stream, block_groups_of[county], seat, |code, place| {
                geoids.push(Geoid::new(format!("{prefix}{code}")));
                places.population.push(place.population);
                places.lat.push(CORNER_LAT + place.position.1 / KM_PER_DEGREE);
                places.lon.push(CORNER_LON + place.position.0 / (KM_PER_DEGREE * COS_CORNER_LAT));
                places.renter_share.push(place.renter_share);
                places.appeal.push(place.appeal);
                places.position_km.push(place.position);
                places.state.push(state);
                places.county.push(county);
            });
            county += 1;
        }
    }
    Ok((Geography::new(geoids)?, places))
}

/// States in rows and columns, and in each of them counties.
pub(super) struct Grid<'a> {
    counties_of: &'a [usize],
    states_wide: usize,
    state_pitch_km: f64,
}

impl<'a> Grid<'a> {
    /// A grid for the numbers of counties of the states.
    pub fn new(counties_of: &'a [usize]) -> Self {
        let largest = counties_of.iter().copied().max().unwrap_or(1);
        Self {
            counties_of,
            states_wide: ceil_sqrt(counties_of.len()),
            state_pitch_km: COUNTY_PITCH_KM * ceil_sqrt(largest) as f64,
        }
    }

    /// Draws the position of the seat of county `k` of a state, km east and north of the corner.
    pub fn seat(&self, state: usize, k: usize, stream: &mut Stream) -> (f64, f64) {
        let counties_wide = ceil_sqrt(self.counties_of[state]);
        let mut along = |state: usize, county: usize| {
            state as f64 * self.state_pitch_km
                + (county as f64 + stream.between(0.3, 0.7)) * COUNTY_PITCH_KM
        };
        let east = along(state % self.states_wide, k % counties_wide);
        (east, along(state / self.states_wide, k / counties_wide))
    }
}

/// One block group.
struct Place {
    population: u32,
    position: (f64, f64),
    renter_share: f64,
    appeal: f64,
}

/// Draws the block groups of one county and hands each on with the digits of its code after the
/// county's: six of the tract, one of the block group.
fn settle_county(
    stream: &mut Stream,
    block_groups: usize,
    seat: (f64, f64),
    mut settle: impl FnMut(String, Place),
) {
    let (mut tract, mut digit) = (0, 0);
    for k in 0..block_groups {
        // One to four block groups to a tract.
        if k == 0 || digit == 4 || stream.uniform() < 0.2 {
            (tract, digit) = (tract + 1, 0);
        }
        digit += 1;
        // A radius uniform on [0, R] gives a density that falls as 1 / radius.
        let centrality = 1.0 - stream.uniform();
        let radius = 0.5 * COUNTY_PITCH_KM * (1.0 - centrality);
        let (east, north) = stream.direction();
        // Pareto with index 2, truncated at 1 : 20.
        let inhabited = stream.uniform() >= 0.0025;
        let persons = 250.0 + 450.0 / stream.between(0.0025, 1.0).sqrt();
        let renter_share = 0.12 + 0.5 * centrality + 0.12 * stream.deviate();
        settle(
            format!("{:06}{digit}", tract * 100),
            Place {
                population: if inhabited { persons as u32 } else { 0 },
                position: (seat.0 + radius * east, seat.1 + radius * north),
                renter_share: renter_share.clamp(0.05, 0.95),
                appeal: stream.between(0.6, 1.4),
            },
        );
    }
}

/// Shares `total` seats in proportion to weights, at least `minimum` each; what rounding leaves
/// goes to the largest remainders.
pub(super) fn apportion(total: usize, weights: &[f64], minimum: usize) -> Vec<usize> {
    let free = total - minimum * weights.len();
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|w| free as f64 * w / sum).collect();
    let mut seats: Vec<usize> = exact.iter().map(|e| minimum + e.floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let left = total - seats.iter().sum::<usize>();
    for &k in &by_remainder[..left] {
        seats[k] += 1;
    }
    seats
}

/// The smallest whole number whose square is at least `n`.
fn ceil_sqrt(n: usize) -> usize {
    let root = n.isqrt();
    root + usize::from(root * root < n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_add_up_and_follow_the_weights() {
        assert_eq!(apportion(10, &[1.0, 1.0, 2.0], 0), [3, 2, 5]);
        assert_eq!(apportion(10, &[0.0, 0.0, 1.0], 2), [2, 2, 6]);
        assert_eq!(apportion(3, &[5.0, 1.0, 1.0], 1), [1, 1, 1]);
    }

    #[test]
    fn codes_are_sorted_and_of_twelve_digits() {
        let options = RegionOptions { states: 4, counties: 30, block_groups: 700, seed: 3 };
        let (geography, places) = settle(&options).unwrap();
        assert_eq!((geography.len(), places.len()), (700, 700));
        assert!(geography.geoids().is_sorted());
        assert!(geography.geoids().iter().all(|g| g.is_numeric() && g.as_str().len() == 12));
        assert_eq!(places.seat_km.len(), 30);
        for (unit, geoid) in geography.geoids().iter().enumerate() {
            let code = STATE_CODES[places.state[unit]];
            assert_eq!(geoid.as_str()[..2], format!("{code:02}"));
        }
        let mut sizes = vec![0; 30];
        for &county in &places.county {
            sizes[county] += 1;
        }
        assert!(sizes.iter().min() >= Some(&2) && sizes.iter().max() >= Some(&60), "{sizes:?}");
    }
}
