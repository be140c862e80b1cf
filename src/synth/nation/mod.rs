//! A nation with known truth: real or made-up block groups, generated moves, and the biased record
//! of them.
//!
//! As the regions of [`synth`](super), at the size and with the shape of the published matrices
//! (Agostini et al. 2025, <https://arxiv.org/abs/2503.20989>): block groups and their populations
//! are those of a file of centers of population, or of [`made_up_places`]; everything else is drawn.
//! [`write()`] adds tables in the layouts of the Census Bureau, from which
//! [`targets`](crate::targets) computes targets that agree with the truth up to sampling error and
//! the residuals of the estimates.
//!
//! # Model
//! **Places.** Covariates of a block group are the sum of a national mean and effects of the county,
//! the tract and the block group: `renter_share` and `record_age`, the years since a household's
//! address was last confirmed. Consecutive tracts of a county form ZIPs, a new one once the last has
//! 6,550 / sqrt(u) persons, u uniform on 0.006 to 1: many small ones and a few large ones.
//!
//! **Truth.** As in regions (0.03 + 0.27 `renter_share` of the persons leave, in households, by the
//! kernel of `synth::kernel`), with distances between points on a sphere. Whole persons; row sums
//! are the populations.
//!
//! **Seed.** E holds *expected* persons: a household whose old or new address is known by its ZIP
//! only is spread over the block groups of that ZIP in proportion to their population, and one with
//! both over all pairs, which is why E has several times as many entries as T.
//!
//! - A person of i is on record with probability `c_i` = (1 - 0.5 `renter_share`) times a factor of
//!   the state between 0.85 and 1. Stayers count `c_i` (1 - 0.02 `record_age`), up to 4 % noise.
//! - A household that moved has a record of age a, uniform on 0 to twice `record_age`, and appears
//!   with probability `c_i` (1 - 0.04 a) (1 - 0.2 `renter_share` of j), then with 40 to 70 % of its
//!   weight. So movers are missed more often than stayers.
//! - Of the stayers with an exact address, 0.2 % had one of their two addresses matched to one of the
//!   three nearest inhabited block groups, which may be in another county, and look like movers
//!   between neighbors. So even a county of one block group has departures and arrivals on record.
//! - Of all addresses 83.33 % are exact, 15.89 % known by ZIP, the rest lost, as published. A move
//!   that blur may have ended where it began counts there as a stayer, and a stayer known by ZIP is
//!   spread over the diagonal.
//!
//! # Years
//! Next year's population of j is the column sum of T, of which some die and some emigrate (both are
//! among T's stayers), with births and immigrants. Everything else stays as it was.
//!
//! # Measured
//! On `CenPop2010_Mean_BG.txt` without Puerto Rico, defaults (`tests/synth.rs` holds these figures):
//!
//! | | published | generated |
//! |---|---|---|
//! | stay | 87.0 % | 87.0 % |
//! | moves under 5 miles, 5 to 50, beyond | 37, 40, 23 % | 36.9, 40.5, 22.7 % |
//! | movers on record | 11.8 to 15.2 million | 13.3 million |
//! | records | 178 to 269 million | 198.6 million |
//! | flows in the seed | 60 million | 59.3 million (truth: 13.7 million) |
//! | destinations of a block group in the seed: mean, median | 272, 234 | 273.7, 237 |
//!
//! A ZIP has 9.6 block groups on average, and that of a block group 13.6.
//!
//! # Samples
//! A sample takes counties with their neighbors, so that local moves have somewhere to go; counties
//! farther away stand for those left out, so that as many moves are long as in the whole nation.

mod components;
pub(in crate::synth) mod flows;
mod made_up;
mod measure;
mod misplaced;
mod places;
mod state_flows;
mod tables;

use std::fmt::Write as _;

use crate::census::cenpop::CenPop;
use crate::geography::{Geography, Level};
use crate::matrix::FlowMatrix;
use crate::{Error, Result};

pub use components::Components;
pub use made_up::made_up_places;
pub use measure::Measured;
pub use places::Places;
pub use tables::{centers_file, write};

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct NationOptions {
    /// Seed of the random numbers.
    pub seed: u64,
    /// End year t of the matrix; other years have other moves between the same places.
    pub year: u16,
    /// Share of the block groups to take, above 0 and at most 1.
    pub sample: f64,
}

impl NationOptions {
    /// The whole nation in 2011.
    pub const DEFAULT: Self = Self { seed: 2011, year: 2011, sample: 1.0 };
}

/// A nation with its known truth.
///
/// Invariants:
/// - `geography`, `places`, `truth` and `seed` are over the same units, sorted by GEOID;
/// - the row sums of `truth` are `places.population`.
#[derive(Clone, Debug)]
pub struct Nation {
    /// What was asked for, with the year of these matrices.
    pub options: NationOptions,
    /// The block groups.
    pub geography: Geography,
    /// Where and how people live.
    pub places: Places,
    /// True flows T, whole persons.
    pub truth: FlowMatrix<f32>,
    /// Recorded flows E, expected persons.
    pub seed: FlowMatrix<f32>,
}

impl Nation {
    /// Generates a nation; the same options give the same nation on every machine.
    ///
    /// # Errors
    /// If the sample is no share, the year not from 1900 to 2100, or the areas are not block groups
    /// of at least two counties with people in them.
    pub fn generate(centers: &CenPop, options: &NationOptions) -> Result<Self> {
        if !(options.sample > 0.0 && options.sample <= 1.0) {
            return Err(Error::request(format!(
                "sample: expected a share above 0 and at most 1, found {}",
                options.sample
            )));
        }
        if !(1900..=2100).contains(&options.year) {
            return Err(Error::request(format!(
                "year: expected 1900 to 2100, found {}",
                options.year
            )));
        }
        if centers.level != Level::BlockGroup {
            return Err(Error::request(format!(
                "places: expected block groups, found areas of level {}",
                centers.level
            )));
        }
        let (geography, places) = places::settle(centers, options)?;
        let (truth, seed) = flows::migrate(&places, options);
        Ok(Self { options: options.clone(), geography, places, truth, seed })
    }

    /// The units table: one line per block group, in the order of the matrices.
    fn units(&self) -> String {
        let places = &self.places;
        let mut text = "geoid,population,lat,lon,renter_share,record_age,zip\n".to_owned();
        for (unit, geoid) in self.geography.geoids().iter().enumerate() {
            writeln!(
                text,
                "{geoid},{},{:.6},{:.6},{:.3},{:.2},Z{:05}",
                places.population[unit],
                places.lat[unit],
                places.lon[unit],
                places.renter_share[unit],
                places.record_age[unit],
                places.zip[unit]
            )
            .expect("writing to a string does not fail");
        }
        text
    }

    /// The places as centers of population, laid out as the Census Bureau's file.
    fn centers(&self) -> String {
        let places = &self.places;
        let mut text =
            "STATEFP,COUNTYFP,TRACTCE,BLKGRPCE,POPULATION,LATITUDE,LONGITUDE\n".to_owned();
        for (unit, geoid) in self.geography.geoids().iter().enumerate() {
            let code = geoid.as_str();
            let [state, county, tract, digit] =
                [&code[..2], &code[2..5], &code[5..11], &code[11..]];
            writeln!(
                text,
                "{state},{county},{tract},{digit},{},{:+010.6},{:+011.6}",
                places.population[unit], places.lat[unit], places.lon[unit]
            )
            .expect("writing to a string does not fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::cenpop::Place;
    use crate::geography::Geoid;

    /// Counties a tenth of a degree apart, each of four tracts of three block groups of 1,000.
    pub(super) fn centers(counties: usize) -> CenPop {
        let places = (0..counties * 12).map(|k| {
            let (county, tract, digit) = (k / 12, k / 3 % 4, k % 3);
            Place {
                geoid: Geoid::new(format!("01{:03}00{tract:02}00{digit}", 2 * county + 1)),
                population: 1000,
                latitude: 40.0 + 0.01 * tract as f64,
                longitude: -90.0 + 0.1 * county as f64,
            }
        });
        CenPop { level: Level::BlockGroup, places: places.collect() }
    }

    #[test]
    fn people_are_conserved_and_blur_only_moves_them() {
        let options = NationOptions { seed: 3, ..NationOptions::DEFAULT };
        let nation = Nation::generate(&centers(60), &options).unwrap();
        let (places, truth, seed) = (&nation.places, &nation.truth, &nation.seed);
        for unit in 0..places.len() {
            let (_, persons) = truth.movers().row(unit);
            let movers: f64 = persons.iter().map(|&p| f64::from(p)).sum();
            assert!(persons.iter().all(|p| p.fract() == 0.0), "whole persons");
            assert_eq!(truth.stayers()[unit] + movers, f64::from(places.population[unit]));
        }
        let measured = Measured::new(&nation);
        assert_eq!(measured.persons, 720_000.0);
        assert!((0.86..0.88).contains(&measured.stay_rate), "{measured}");
        // Stayers: the mean of c_i (1 - 0.02 record_age) and noise, less lost addresses.
        let of_stayers = measured.recorded_stayers / truth.stayers().iter().sum::<f64>();
        assert!((0.6..0.8).contains(&of_stayers), "{of_stayers}");
        let of_movers = measured.recorded_movers / (720_000.0 * (1.0 - measured.stay_rate));
        assert!((0.25..0.4).contains(&of_movers), "{of_movers}");
        assert!(measured.recorded_flows > 2 * measured.true_flows, "{measured}");
        assert!(seed.stayers().iter().all(|&stayers| stayers > 0.0));
    }

    #[test]
    fn years_differ_in_moves_between_the_same_places() {
        let year = |year| {
            Nation::generate(&centers(8), &NationOptions { year, ..NationOptions::DEFAULT })
                .unwrap()
        };
        let (first, second) = (year(2011), year(2012));
        assert_eq!(first.units(), second.units());
        assert_ne!(first.truth, second.truth);
        assert_ne!(first.seed, second.seed);
    }

    #[test]
    fn places_without_people_are_refused_or_left_alone() {
        let mut centers = centers(3);
        let half = centers.places.len() / 2;
        centers.places[..half].iter_mut().for_each(|place| place.population = 0);
        let nation = Nation::generate(&centers, &NationOptions::DEFAULT).unwrap();
        for unit in 0..half {
            assert_eq!((nation.truth.stayers()[unit], nation.seed.stayers()[unit]), (0.0, 0.0));
            assert_eq!(nation.truth.movers().row(unit).0.len(), 0);
            assert_eq!(nation.seed.movers().row(unit).0.len(), 0);
        }
        centers.places.iter_mut().for_each(|place| place.population = 0);
        let refused = Nation::generate(&centers, &NationOptions::DEFAULT).unwrap_err();
        assert!(refused.to_string().contains("people in at least one block group"), "{refused}");
    }
}
