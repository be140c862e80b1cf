//! Generated regions: places, a true migration matrix, and the biased record of it one gets to see.
//!
//! No public data tell who moved between two block groups, so a method can only be judged where the
//! truth is made up. A [`Region`] holds that truth T, a seed E that misses people the way address
//! records do, and the Census-like tables that would have been published about T. Harmonizing E
//! with those tables should bring it back towards T. A [`Nation`](nation::Nation) is the same at
//! national size, on real or made-up block groups.
//!
//! # Model
//! **Places.** States hold counties, counties hold tracts of up to four block groups. County sizes
//! and populations n are heavy-tailed (Pareto with index 1 and 2, truncated); density falls with
//! the distance from the county seat, and renters live near it.
//!
//! **Truth.** `T_ij` = persons living in i in year t - 1 and in j in year t. A share 0.03 + 0.27
//! `renter_share` of the persons of i leaves, in households of 1 to 6 (mean 2.5). With `A_j`
//! the attraction of j, its population times a factor of its own, a household goes to j with
//! probability
//!
//! ```text
//! p_ij = 0.72 A_j k(d_ij) / sum over near l of A_l k(d_il)              k(d) = 1 / (1 + (d / 3 km)^2)
//!      + 0.28 B_b K(D_ab) / sum over c of B_c K(D_ac)  *  A_j / B_b     K(D) = 1 / (1 + (D / 120 km)^2)
//! ```
//!
//! where a and b are the counties of i and j, B the attraction of a county, D the distance between
//! county seats, and *near* means in a or one of the six counties nearest to it. A long-range move
//! that would end at home is drawn again as a local one. Nobody is born, dies, or comes from
//! elsewhere: T's row sums are the populations of year t - 1, its column sums those of year t.
//!
//! **Seed.** A person of i is on record with probability `c_i` = (0.95 - 0.5 `renter_share`) times a
//! factor of the state between 0.75 and 1. Stayers appear as `T_ii c_i` up to 4 % noise. A household
//! that moved appears with probability `c_i` (1 - 0.2 `renter_share` of j), and then with 40 to 70 %
//! of its weight, as people do whose old or new address is dated late. So movers are missed more
//! often than stayers, renters more than owners, and E's support is a subset of T's. Every
//! inhabited block group keeps its stayers, so that county totals stay within reach.
//!
//! # Reproducible to the last bit
//! Random numbers come from `ChaCha8` with one stream per origin: the thread count cannot matter.
//! The model uses only `+ - * /` and square roots, which IEEE 754 rounds the same way on every
//! machine; `exp`, `ln` and the like differ between C libraries. Persons are integers in T and
//! multiples of 1/64 in E, both exact in `f32`.

mod flows;
pub mod histories;
mod kernel;
pub mod nation;
mod places;
pub(crate) mod random;
mod rows;
mod tables;

use crate::geography::Geography;
use crate::matrix::FlowMatrix;
use crate::{Error, Result};

pub use places::Places;
pub use tables::write;

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionOptions {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Number of states.
    pub states: usize,
    /// Number of counties in all states together.
    pub counties: usize,
    /// Number of block groups in all states together.
    pub block_groups: usize,
}

impl RegionOptions {
    /// The sample region: 3 states, 40 counties, 2,000 block groups.
    pub const DEFAULT: Self = Self { seed: 2011, states: 3, counties: 40, block_groups: 2000 };
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A generated region with its known truth.
///
/// Invariants:
/// - `geography`, `places`, `truth` and `seed` are over the same units, sorted by GEOID;
/// - the row sums of `truth` are `places.population`;
/// - an entry of `seed` is at most that of `truth`.
#[derive(Clone, Debug)]
pub struct Region {
    /// What was asked for.
    pub options: RegionOptions,
    /// The block groups.
    pub geography: Geography,
    /// Where and how people live.
    pub places: Places,
    /// True flows T, whole persons.
    pub truth: FlowMatrix<f32>,
    /// Recorded flows E, persons in multiples of 1/64.
    pub seed: FlowMatrix<f32>,
}

impl Region {
    /// Generates a region; the same options give the same region on every machine.
    ///
    /// # Errors
    /// If the numbers of states, counties and block groups do not fit together.
    pub fn generate(options: &RegionOptions) -> Result<Self> {
        let RegionOptions { states, counties, block_groups, .. } = *options;
        if states == 0 || states > places::STATE_CODES.len() {
            return Err(Error::request(format!(
                "states: expected 1 to {}, found {states}",
                places::STATE_CODES.len()
            )));
        }
        if counties < states {
            return Err(Error::request(format!(
                "counties: expected at least one per state ({states}), found {counties}"
            )));
        }
        if block_groups < 2 * counties || block_groups > 1_000_000 {
            return Err(Error::request(format!(
                "block groups: expected at least two per county ({}) and at most 1000000, found \
                 {block_groups}",
                2 * counties
            )));
        }
        let (geography, places) = places::settle(options)?;
        let (truth, seed) = flows::migrate(&places, options.seed);
        Ok(Self { options: options.clone(), geography, places, truth, seed })
    }
}
