//! The matrix to measure with: generated in seconds, the same bits at any number of threads.

use rayon::prelude::*;

use super::problems::Levels;
use super::refuse;
use crate::Result;
use crate::matrix::{AnyFlowMatrix, Csr, FlowMatrix, Room, ValueType};
use crate::synth::random::{Purpose, Stream};

/// Seed of all random numbers.
const SEED: u64 = 2011;

/// Most moves end within so many units.
const REACH: usize = 1000;

/// Share of the moves that do.
const LOCAL_SHARE: f64 = 0.8;

/// Rows far longer than the others: the k-th has the longest's length over k.
const LONG_ROWS: usize = 8;

/// Entries of the longest row, where the matrix is large enough.
const LONGEST_ROW: usize = 50_000;

/// Mean of the persons of an entry: see [`persons`].
const MEAN_PERSONS: f64 = 1.05;

/// How large a matrix is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its name, or `custom`.
    pub name: &'static str,
    /// Units.
    pub units: usize,
    /// Flows between different units.
    pub movers: usize,
    /// Counties.
    pub counties: usize,
    /// States.
    pub states: usize,
    /// Iterations of the direct solver to time.
    pub iterations: u32,
}

impl Size {
    /// Seconds on a laptop.
    pub const SMALL: Self = Self {
        name: "small",
        units: 20_000,
        movers: 1_000_000,
        counties: 300,
        states: 10,
        iterations: 100,
    };

    /// The block groups of the United States.
    pub const NATIONAL: Self = Self {
        name: "national",
        units: 217_740,
        movers: 60_000_000,
        counties: 3142,
        states: 51,
        iterations: 3000,
    };

    /// Of any size; levels in proportion to the national ones.
    pub fn custom(units: usize, movers: usize) -> Self {
        let counties = (units / 69).max(2);
        let states = (counties / 30).max(2);
        Self { name: "custom", units, movers, counties, states, iterations: 100 }
    }

    /// Whether such a matrix can be made.
    ///
    /// # Errors
    /// If there are too few units, or too many movers for them.
    pub fn check(&self) -> Result<()> {
        if !(200..=10_000_000).contains(&self.units) {
            return refuse(format!("units: expected 200 to 10000000, found {}", self.units));
        }
        let (least, most) = (4 * self.units, self.units * (self.units / 8).min(5000));
        if !(least..=most).contains(&self.movers) {
            return refuse(format!(
                "movers: expected {least} to {most} among {} units, found {}",
                self.units, self.movers
            ));
        }
        Ok(())
    }

    /// Stayers of every unit, so that they are about this share of all persons.
    pub(super) fn stayers(&self, share: f64) -> Vec<f64> {
        let mean = share / (1.0 - share) * MEAN_PERSONS * self.movers as f64 / self.units as f64;
        let mut stream = Stream::new(SEED, Purpose::Bench, u64::MAX);
        (0..self.units).map(|_| mean * stream.between(0.5, 1.5)).collect()
    }

    /// Numbers of every unit between two bounds, of one of several kinds.
    pub(super) fn factors(&self, kind: u64, low: f64, high: f64) -> Vec<f64> {
        let mut stream = Stream::new(SEED, Purpose::Bench, u64::MAX - 2 - kind);
        (0..self.units).map(|_| stream.between(low, high)).collect()
    }

    /// Where every row begins: a few very long rows, the others between half and one and a half
    /// times as long as the mean.
    fn row_ptr(&self) -> Vec<u64> {
        let mut lengths = vec![0; self.units];
        let longest = LONGEST_ROW.min(self.units / 4);
        let mut left = self.movers;
        for k in 0..LONG_ROWS {
            let long = (longest / (k + 1)).min(left / 4);
            lengths[(2 * k + 1) * self.units / (2 * LONG_ROWS)] = long;
            left -= long;
        }
        let mut stream = Stream::new(SEED, Purpose::Bench, u64::MAX - 1);
        let weights: Vec<f64> = (0..self.units).map(|_| stream.between(0.5, 1.5)).collect();
        let is_short = |i: &usize| lengths[*i] == 0;
        let total: f64 = (0..self.units).filter(is_short).map(|i| weights[i]).sum();
        let last = (0..self.units).rfind(is_short);
        let (mut sum, mut given) = (0.0, 0);
        for i in 0..self.units {
            if lengths[i] > 0 {
                continue;
            }
            sum += weights[i];
            let end = if Some(i) == last { left } else { (sum / total * left as f64) as usize };
            lengths[i] = end - given;
            given = end;
        }
        std::iter::once(0)
            .chain(lengths.iter().scan(0, |end, &length| {
                *end += length as u64;
                Some(*end)
            }))
            .collect()
    }
}

/// A generated matrix with its levels.
pub struct Sample {
    /// Movers, and seven times as many stayers.
    pub seed: AnyFlowMatrix,
    /// How units form counties and states.
    pub(super) levels: Levels,
    /// Entries of the longest row.
    pub longest_row: usize,
    /// Seconds that it took.
    pub generated_s: f64,
}

impl Sample {
    /// Generates a matrix; the same bits on every machine.
    ///
    /// # Errors
    /// If `storage` cannot hold it.
    pub(super) fn generate(size: &Size, storage: Option<ValueType>) -> Result<Self> {
        let start = std::time::Instant::now();
        let row_ptr = size.row_ptr();
        let longest = row_ptr.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        let (mut columns, mut values) = (vec![0_u32; size.movers], vec![0.0_f32; size.movers]);
        let (mut rest_columns, mut rest_values) = (&mut columns[..], &mut values[..]);
        let mut rows = Vec::with_capacity(size.units);
        for ends in row_ptr.windows(2) {
            let (row_columns, row_values);
            let length = (ends[1] - ends[0]) as usize;
            (row_columns, rest_columns) = rest_columns.split_at_mut(length);
            (row_values, rest_values) = rest_values.split_at_mut(length);
            rows.push((row_columns, row_values));
        }
        rows.into_par_iter().enumerate().for_each_init(
            Vec::new,
            |drawn, (i, (columns, values))| {
                let mut stream = Stream::new(SEED, Purpose::Bench, i as u64);
                draw(&mut stream, i, columns.len(), size.units, drawn);
                columns.copy_from_slice(drawn);
                for value in values {
                    *value = persons(&mut stream);
                }
            },
        );
        let movers = Csr::new(size.units, row_ptr, columns, values);
        let stayers = size.stayers(super::problems::STAYERS_OF_PLAN);
        let seed = AnyFlowMatrix::F32(FlowMatrix::new(stayers, movers));
        let seed = match storage {
            Some(storage) => seed.stored_as(storage, &Room::UNLIMITED)?.0,
            None => seed,
        };
        Ok(Self {
            seed,
            levels: Levels::new(size),
            longest_row: longest as usize,
            generated_s: start.elapsed().as_secs_f64(),
        })
    }
}

/// Persons of an entry: mostly few.
fn persons(stream: &mut Stream) -> f32 {
    let u = stream.uniform();
    (0.05 + 3.0 * u * u) as f32
}

/// Puts so many different destinations of unit `i` into `drawn`, in order.
fn draw(stream: &mut Stream, i: usize, length: usize, units: usize, drawn: &mut Vec<u32>) {
    let reach = REACH.min(units / 4);
    // Rows too long for the neighborhood go anywhere.
    let local_share = if length > reach { 0.0 } else { LOCAL_SHARE };
    drawn.clear();
    while drawn.len() < length {
        for _ in drawn.len()..length {
            let local = stream.uniform() < local_share;
            let at = stream.uniform();
            let j = if local {
                (i + units - reach + (at * (2 * reach + 1) as f64) as usize) % units
            } else {
                (at * units as f64) as usize
            };
            drawn.extend((j != i).then_some(j as u32));
        }
        drawn.sort_unstable();
        drawn.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_at_any_number_of_threads() {
        let size = Size::custom(500, 20_000);
        size.check().unwrap();
        let generate = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Sample::generate(&size, None).unwrap())
        };
        let (one, three) = (generate(1), generate(3));
        assert_eq!(one.seed, three.seed);
        let AnyFlowMatrix::F32(seed) = one.seed else { panic!("f32 unless asked for") };
        assert_eq!((seed.units(), seed.movers().nnz(), one.longest_row), (500, 20_000, 125));
        assert!((0..500).all(|i| !seed.movers().row(i).0.contains(&(i as u32))));
        let persons: f64 = seed.movers().values().iter().copied().map(f64::from).sum();
        assert!((persons / 20_000.0 - MEAN_PERSONS).abs() < 0.05, "{persons}");
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for (units, movers) in [(10, 100), (1000, 10), (1000, 1_000_000)] {
            let problem = Size::custom(units, movers).check().unwrap_err().to_string();
            assert!(problem.contains(": expected "), "{problem}");
        }
        Size::SMALL.check().unwrap();
        Size::NATIONAL.check().unwrap();
    }
}
