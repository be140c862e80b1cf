//! How fast this machine harmonizes: passes and whole solves, on the CPU and on a graphics device,
//! beside the speed at which each copies memory.
//!
//! Everything is measured on a [`Sample`] generated on the spot, and every result that is timed is
//! also compared: fixed point bit for bit, floating point to its rounding.

mod cpu;
mod direct;
mod machine;
mod passes;
mod plan;
mod problems;
mod report;
mod sample;
mod text;
mod timing;

use std::rc::Rc;
use std::sync::Arc;

use crate::gpu::{Device, Matrix, Stopwatch};
use crate::ipf::{Backend, Precision, backend_of};
use crate::matrix::{FlowMatrix, Value};
use crate::with_matrix;
use crate::{Error, Result};

pub use direct::DirectRun;
pub use machine::Machine;
pub use passes::PassRun;
pub use plan::PlanRun;
pub use report::{Check, DeviceReport, Report, SampleReport};
pub use sample::{Sample, Size};
pub use timing::{Bandwidth, Samples};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of which size.
    pub size: Size,
    /// The number type of the movers; `f32` unless given.
    pub storage: Option<crate::matrix::ValueType>,
    /// Samples of every time.
    pub repeats: usize,
    /// Direct iterations; as many as the size asks for unless given.
    pub iterations: Option<u32>,
    /// Whether single passes are measured.
    pub passes: bool,
    /// Whether solves are measured.
    pub solve: bool,
    /// The graphics device to measure beside the CPU.
    pub device: Option<Arc<Device>>,
    /// The arithmetic to measure on it.
    pub precisions: Vec<Precision>,
}

/// Measures; `progress` is told what comes next.
///
/// # Errors
/// If the size is out of range, or the device fails.
pub fn run(options: &Options, progress: &dyn Fn(&str)) -> Result<Report> {
    options.size.check()?;
    progress("generating a matrix");
    let sample = Sample::generate(&options.size, options.storage)?;
    let mut report = Report::new(options, &sample);
    let Sample { seed, levels, .. } = sample;
    with_matrix!(seed, seed => {
        let bench = Bench { options, levels: &levels, progress };
        bench.all(seed, &mut report)?;
    });
    report.passed = report.checks.iter().all(|check| check.passed);
    Ok(report)
}

/// What all measurements need.
struct Bench<'a> {
    options: &'a Options,
    levels: &'a problems::Levels,
    progress: &'a dyn Fn(&str),
}

impl Bench<'_> {
    fn all<V: Value>(&self, seed: FlowMatrix<V>, report: &mut Report) -> Result<()> {
        (self.progress)("copying memory");
        report.bandwidth = cpu::bandwidth(&seed, self.options.repeats);
        if let Some(device) = &self.options.device {
            let stopwatch = Stopwatch::new(device)?;
            report.bandwidth.extend(timing::device_bandwidth(&stopwatch, self.options.repeats)?);
        }
        if self.options.passes {
            passes::measure(self, &seed, report)?;
        }
        if self.options.solve {
            // Few movers among many stayers: margins that are hard to meet.
            let stayers = self.options.size.stayers(problems::STAYERS_OF_DIRECT);
            let seed = seed.with_stayers(stayers);
            direct::measure(self, &seed, report)?;
            let seed = seed.with_stayers(self.options.size.stayers(problems::STAYERS_OF_PLAN));
            plan::measure(self, &seed, report)?;
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        (self.progress)(what);
    }

    /// The passes over a matrix on the device, once for each arithmetic, on one upload.
    fn on_device<'m, V: Value>(
        &self,
        device: &Arc<Device>,
        seed: &'m FlowMatrix<V>,
    ) -> Result<OnDevice<'m, V>> {
        let matrix = Rc::new(Matrix::new(device.clone(), seed)?);
        let backend =
            |&precision: &Precision| (precision, backend_of(matrix.clone(), precision, seed));
        Ok(OnDevice { backends: self.options.precisions.iter().map(backend).collect(), matrix })
    }
}

/// A matrix on a device.
struct OnDevice<'m, V: Value> {
    matrix: Rc<Matrix<'m, V>>,
    backends: Vec<(Precision, Box<dyn Backend<V> + 'm>)>,
}

/// What reports call an arithmetic.
fn name_of(precision: Precision) -> &'static str {
    match precision {
        Precision::Exact => "exact",
        Precision::F64 => "f64",
        Precision::F32 => "f32",
    }
}

/// An error of a request.
fn refuse<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::request(problem))
}

#[cfg(test)]
mod tests {
    use crate::gpu::{Device, Limits};

    use super::*;

    /// Entries in several panels, batches of a few iterations, workgroups in two dimensions.
    #[test]
    fn results_agree_where_a_device_takes_little_at_once() {
        let limits = Limits {
            binding_bytes: 16 << 10,
            buffer_bytes: 16 << 10,
            workgroups: 3,
            ..Limits::default()
        };
        let open = crate::gpu::Options { allow_software: true, limits, ..Default::default() };
        let device = Device::open(&open);
        let device = device.unwrap_or_else(|e| panic!("{e}; ./test installs a software one"));
        let options = Options {
            size: Size::custom(400, 10_000),
            storage: None,
            repeats: 1,
            iterations: Some(11),
            passes: true,
            solve: true,
            device: Some(device),
            precisions: vec![Precision::Exact, Precision::F64],
        };
        let report = run(&options, &|_| ()).unwrap();
        for check in &report.checks {
            assert!(check.passed, "{check:?}");
        }
        let f64_on_device = |run: &&DirectRun| run.place == "gpu" && run.precision == "f64";
        let resident: Vec<bool> =
            report.direct.iter().filter(f64_on_device).map(|run| run.resident).collect();
        assert_eq!(resident, [true, true]);
        assert_eq!(report.checks.len(), 22);
    }
}
