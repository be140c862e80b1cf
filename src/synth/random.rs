//! Random numbers that are the same on every machine and for every thread count.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for; streams of different purposes never overlap.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Sizes and positions of states, counties and block groups.
    Places = 1,
    /// Moves, one stream per origin.
    Flows = 2,
    /// Sampling noise, one stream per table.
    Tables = 3,
    /// Matrices to measure with, one stream per origin.
    Bench = 4,
    /// What is on record of a nation, one stream per origin and state.
    Records = 5,
    /// Births, deaths and migration from and to abroad, one stream per unit.
    Components = 6,
    /// Made-up places of a nation, one stream per county, and stream 0 for their sizes.
    MadeUp = 7,
    /// Lives and records of persons, one stream per unit.
    Histories = 8,
    /// Addresses and what a geocoder answers about them, one stream per unit.
    Addresses = 9,
}

/// One stream of random numbers.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// Stream `index` of a purpose.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = purpose as u8;
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(index);
        Self(generator)
    }

    /// Uniform on [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform on [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Mean 0, variance 1, nearly normal: the sum of 12 uniforms (Irwin-Hall), which needs no
    /// logarithm.
    pub fn deviate(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// A point on the unit circle, by rejection from the square, which needs no sine.
    pub fn direction(&mut self) -> (f64, f64) {
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 1e-6 && square <= 1.0 {
                let norm = square.sqrt();
                return (x / norm, y / norm);
            }
        }
    }

    /// An index drawn in proportion to weights given by their running sums; `None` where all
    /// weights are 0.
    pub fn pick(&mut self, running_sums: &[f64]) -> Option<usize> {
        let total = *running_sums.last()?;
        if total <= 0.0 {
            return None;
        }
        let at = self.uniform() * total;
        // The product may round up to the total itself: stay on the last weight above 0.
        let last = running_sums.partition_point(|&sum| sum < total);
        Some(running_sums.partition_point(|&sum| sum <= at).min(last))
    }
}

/// Running sums of weights, as [`Stream::pick`] takes them.
pub(super) fn running_sums(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_zero_are_never_picked() {
        let mut stream = Stream::new(1, Purpose::Places, 0);
        let sums = running_sums([0.0, 1.0, 0.0, 3.0, 0.0].into_iter());
        let mut counts = [0; 5];
        for _ in 0..4000 {
            counts[stream.pick(&sums).unwrap()] += 1;
        }
        assert_eq!([counts[0], counts[2], counts[4]], [0, 0, 0]);
        // Binomial(4000, 1/4): standard deviation 27.
        assert!((counts[1] - 1000_i32).abs() < 140, "{counts:?}");
        assert_eq!(stream.pick(&[0.0, 0.0]), None);
        assert_eq!(stream.pick(&[]), None);
    }

    #[test]
    fn deviates_have_mean_0_and_variance_1() {
        let mut stream = Stream::new(1, Purpose::Tables, 7);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.deviate()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).0.next_u64();
        let draws = [
            first(1, Purpose::Places, 0),
            first(2, Purpose::Places, 0),
            first(1, Purpose::Flows, 0),
            first(1, Purpose::Places, 1),
        ];
        for (k, draw) in draws.iter().enumerate() {
            assert!(!draws[..k].contains(draw), "{draws:?}");
        }
    }
}
