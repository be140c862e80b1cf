//! Samples of times, and what they say.

use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::gpu::{Stopwatch, Timer, Times};

/// All samples of a time, in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Samples {
    /// Their median.
    pub median_s: f64,
    /// In the order they were taken.
    pub samples_s: Vec<f64>,
}

impl From<Vec<f64>> for Samples {
    fn from(samples_s: Vec<f64>) -> Self {
        let mut sorted = samples_s.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median_s = match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Self { median_s, samples_s }
    }
}

/// How fast a place copies or reads memory.
#[derive(Clone, Debug, Serialize)]
pub struct Bandwidth {
    /// `cpu` or `gpu`.
    pub place: &'static str,
    /// `copy`, `read`, `copy_buffer` or `copy_shader`.
    pub what: &'static str,
    /// Bytes read and written.
    pub bytes: u64,
    /// Whose clock.
    pub timer: Timer,
    /// How long it takes.
    #[serde(flatten)]
    pub time: Samples,
    /// Bytes over the median.
    pub bytes_per_s: f64,
}

impl Bandwidth {
    pub(super) fn new(
        place: &'static str,
        what: &'static str,
        bytes: u64,
        timer: Timer,
        samples_s: Vec<f64>,
    ) -> Self {
        let time = Samples::from(samples_s);
        let bytes_per_s = bytes as f64 / time.median_s;
        Self { place, what, bytes, timer, time, bytes_per_s }
    }
}

/// The larger bandwidth of copies in a place.
pub(super) fn copy_of(all: &[Bandwidth], place: &str) -> f64 {
    let copies = all.iter().filter(|b| b.place == place && b.what.starts_with("copy"));
    copies.map(|b| b.bytes_per_s).fold(0.0, f64::max)
}

/// How fast a device copies its memory, by command and by a kernel.
pub(super) fn device_bandwidth(watch: &Stopwatch, repeats: usize) -> Result<Vec<Bandwidth>> {
    let (bytes, by_command, by_shader) = watch.copies(repeats)?;
    let bandwidth =
        |what, times: Times| Bandwidth::new("gpu", what, 2 * bytes, times.timer, times.samples_s);
    Ok(vec![bandwidth("copy_buffer", by_command), bandwidth("copy_shader", by_shader)])
}

/// Times of calls after a first one that warms up, and what that one returned.
pub(super) fn time<T>(
    repeats: usize,
    mut call: impl FnMut() -> Result<T>,
) -> Result<(Vec<f64>, T)> {
    let result = call()?;
    let samples = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            let again = call()?;
            let elapsed = start.elapsed().as_secs_f64();
            drop(again);
            Ok(elapsed)
        })
        .collect::<Result<_>>()?;
    Ok((samples, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_by_hand() {
        assert_eq!(Samples::from(vec![3.0, 1.0, 2.0]).median_s, 2.0);
        assert_eq!(Samples::from(vec![4.0, 1.0, 2.0, 3.0]).median_s, 2.5);
        assert!(Samples::from(vec![]).median_s.is_nan());
    }
}
