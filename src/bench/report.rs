//! Everything that was measured, for machines.

use serde::Serialize;

use super::direct::DirectRun;
use super::machine::Machine;
use super::passes::PassRun;
use super::plan::PlanRun;
use super::sample::{Sample, Size};
use super::timing::Bandwidth;
use super::{Options, name_of};
use crate::gpu::{Adapter, Device, Feature};

/// One run of the benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this crate.
    pub version: &'static str,
    /// Whether it was compiled with optimizations of the release profile.
    pub release_build: bool,
    /// The command, word by word.
    pub command: Vec<String>,
    /// What it ran on.
    pub machine: Machine,
    /// The graphics device, if one was measured.
    pub device: Option<DeviceReport>,
    /// Why none was, if nobody asked to leave it out.
    pub note: Option<String>,
    /// The matrix.
    pub sample: SampleReport,
    /// Samples of every time.
    pub repeats: usize,
    /// How fast memory is copied.
    pub bandwidth: Vec<Bandwidth>,
    /// Single passes.
    pub passes: Vec<PassRun>,
    /// Direct iterations.
    pub direct: Vec<DirectRun>,
    /// The plan of a year.
    pub plan: Vec<PlanRun>,
    /// Whether results agree.
    pub checks: Vec<Check>,
    /// Whether all of them do.
    pub passed: bool,
}

/// The graphics device that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// As its driver describes it.
    pub adapter: Adapter,
    /// Features used.
    pub features: Vec<Feature>,
    /// Arithmetic measured.
    pub precisions: Vec<&'static str>,
    /// Invocations of a subgroup: fewest and most.
    pub subgroup_sizes: (u32, u32),
    /// Bytes of the matrix that may stay on it.
    pub memory_limit_bytes: u64,
}

impl DeviceReport {
    fn new(device: &Device, options: &Options) -> Self {
        Self {
            adapter: device.adapter().clone(),
            features: device.features.clone(),
            precisions: options.precisions.iter().map(|&p| name_of(p)).collect(),
            subgroup_sizes: (device.info.subgroup_min_size, device.info.subgroup_max_size),
            memory_limit_bytes: device.limits().memory_bytes,
        }
    }
}

/// The matrix that was measured with.
#[derive(Clone, Debug, Serialize)]
pub struct SampleReport {
    /// Name of its size.
    pub size: &'static str,
    /// Units.
    pub units: usize,
    /// Flows between different units.
    pub movers: usize,
    /// Counties.
    pub counties: usize,
    /// States.
    pub states: usize,
    /// Entries of the longest row.
    pub longest_row: usize,
    /// Number type of the movers.
    pub storage: String,
    /// Seconds that making it took.
    pub generated_s: f64,
    /// How it was made.
    pub made: &'static str,
}

/// How the matrix is made, in words.
const MADE: &str = "ChaCha8, seed 2011, a stream per row; row lengths 0.5 to 1.5 times the mean, 8 \
                    long rows; 80 % of the destinations within 1000 indices of the origin, the \
                    rest anywhere; persons 0.05 + 3 u^2; stayers 87 % of all persons (99.5 % for \
                    direct iterations); counties and states of neighbors, every 16th unit in the \
                    next one; targets are the sums of the matrix under factors 0.7 to 1.3";

impl Report {
    pub(super) fn new(options: &Options, sample: &Sample) -> Self {
        let Size { name, units, movers, counties, states, .. } = options.size;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            release_build: !cfg!(debug_assertions),
            command: std::env::args().collect(),
            machine: Machine::here(),
            device: options.device.as_ref().map(|device| DeviceReport::new(device, options)),
            note: None,
            sample: SampleReport {
                size: name,
                units,
                movers,
                counties,
                states,
                longest_row: sample.longest_row,
                storage: sample.seed.value_type().to_string(),
                generated_s: sample.generated_s,
                made: MADE,
            },
            repeats: options.repeats,
            bandwidth: Vec::new(),
            passes: Vec::new(),
            direct: Vec::new(),
            plan: Vec::new(),
            checks: Vec::new(),
            passed: false,
        }
    }
}

/// Whether two results agree.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Which.
    pub what: String,
    /// Whether they do.
    pub passed: bool,
    /// Numbers compared.
    pub compared: usize,
    /// Largest relative difference; null where there is none that is a number.
    pub worst: Option<f64>,
    /// The most that is allowed there; 0 for results that must be equal to the last bit.
    pub allowed: f64,
    /// `equal`, or the numbers that differ most.
    pub found: String,
}

impl Check {
    /// Whether two results are the same to the last bit.
    pub(super) fn equal(what: String, found: &[f64], expected: &[f64]) -> Self {
        let mut check = Self::near(what, found, expected, |_| 0.0);
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
        check.passed &= found.iter().zip(expected).all(same);
        check
    }

    /// Whether every number is within a tolerance of what is expected, relative to it.
    pub(super) fn near(
        what: String,
        found: &[f64],
        expected: &[f64],
        allowed: impl Fn(usize) -> f64,
    ) -> Self {
        let apart = |k: usize| {
            let (a, b) = (found[k], expected[k]);
            if a == b { 0.0 } else { (a - b).abs() / a.abs().max(b.abs()) }
        };
        let compared = found.len().min(expected.len());
        let mut passed = found.len() == expected.len();
        let mut worst: Option<(usize, f64)> = None;
        for k in 0..compared {
            let apart = apart(k);
            passed &= apart <= allowed(k);
            // What is no number is worse than any.
            if apart.is_nan() || worst.is_none_or(|(_, w)| apart > w) {
                worst = Some((k, apart));
            }
        }
        let text = match worst {
            None | Some((_, 0.0)) => "equal".to_owned(),
            Some((k, apart)) => {
                format!("{apart:.1e} apart at {k}: {:e} and {:e}", found[k], expected[k])
            }
        };
        Self {
            what,
            passed,
            compared,
            worst: worst.map(|w| w.1).filter(|w| w.is_finite()),
            allowed: worst.map_or(0.0, |w| allowed(w.0)),
            found: text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_find_the_worst_and_what_is_no_number() {
        let near =
            |found: &[f64], expected: &[f64]| Check::near("x".into(), found, expected, |_| 0.125);
        let check = near(&[1.0, 2.0, 0.0], &[1.0, 1.75, 0.0]);
        assert!(check.passed && check.worst == Some(0.125), "{check:?}");
        assert_eq!(check.found, "1.2e-1 apart at 1: 2e0 and 1.75e0");
        assert!(!near(&[1.0, 2.0], &[1.0, 1.5]).passed);
        assert!(!near(&[f64::NAN], &[1.0]).passed);
        assert!(!near(&[1.0], &[1.0, 1.0]).passed, "of one length");
        let equal = |found: f64, expected: f64| Check::equal("x".into(), &[found], &[expected]);
        assert_eq!((equal(1.0, 1.0).passed, equal(1.0, 1.0).found), (true, "equal".into()));
        assert!(!equal(1.0, 1.0 + f64::EPSILON).passed);
    }
}
