//! Single passes: how long they take, how many bytes they have to move in that time, and whether
//! their results agree.

use serde::Serialize;

use super::report::{Check, Report};
use super::timing::{Samples, copy_of, time};
use super::{Bench, cpu, name_of, problems};
use crate::Result;
use crate::gpu::{Stopwatch, Timer, Work};
use crate::ipf::{Backend, Cpu, Engine, Precision, Scaling};
use crate::kernels::fixed::{SUM_BITS, unit_for};
use crate::matrix::{FlowMatrix, Value};

/// Times of one pass in one place.
#[derive(Clone, Debug, Serialize)]
pub struct PassRun {
    /// Which pass.
    pub pass: &'static str,
    /// `cpu` or `gpu`.
    pub place: &'static str,
    /// Arithmetic: `f64`, `exact` or `f32`.
    pub precision: &'static str,
    /// `call`: as the solver makes it, from factors to sums in the memory of the host; or
    /// `kernel`: on the device alone.
    pub what: &'static str,
    /// Whose clock.
    pub timer: Timer,
    /// Passes in one submission, for kernels.
    pub per_submission: Option<u32>,
    /// Bytes that have to move at least: every input read once, every output written once.
    pub bytes: u64,
    /// How long it takes.
    #[serde(flatten)]
    pub time: Samples,
    /// Bytes over the median.
    pub bytes_per_s: f64,
    /// That over the copy bandwidth of the same place.
    pub ratio_to_copy: f64,
}

/// A pass that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    OriginSums,
    DestinationSums,
    CountySums,
    StateSums,
    L1Change,
    HarmonizedRow,
}

impl Pass {
    const ALL: [Self; 6] = [
        Self::OriginSums,
        Self::DestinationSums,
        Self::CountySums,
        Self::StateSums,
        Self::L1Change,
        Self::HarmonizedRow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OriginSums => "origin_sums",
            Self::DestinationSums => "destination_sums",
            Self::CountySums => "class_sums, counties",
            Self::StateSums => "class_sums, states",
            Self::L1Change => "l1_change",
            Self::HarmonizedRow => "harmonized_row",
        }
    }

    /// Whether it exists in floating point on a device.
    fn floating(self) -> bool {
        matches!(self, Self::OriginSums | Self::DestinationSums)
    }

    /// Bytes that have to move, with E entries of value size v and N units: E (4 + v) for indices
    /// and values; every factor and cell that is read, once, 8 and 4 bytes; and what is written.
    ///
    /// | pass | factors and cells | written |
    /// |---|---|---|
    /// | origin, destination sums | 8 N | 8 N |
    /// | class sums | 24 N | 8 a class in floating point, 16 in fixed |
    /// | change | 32 N | 8 N |
    /// | harmonized values | 16 N | 8 E |
    ///
    /// Row pointers, a hundredth of it, do not count.
    fn bytes(self, shape: &Shape, fixed: bool) -> u64 {
        let Shape { entries, units, value_bytes, counties, states } = *shape;
        let class = if fixed { 16 } else { 8 };
        let rest = match self {
            Self::OriginSums | Self::DestinationSums => 16 * units,
            Self::CountySums => 24 * units + class * counties * counties,
            Self::StateSums => 24 * units + class * states * states,
            Self::L1Change => 40 * units,
            Self::HarmonizedRow => 16 * units + 8 * entries,
        };
        entries * (4 + value_bytes) + rest
    }
}

/// Sizes that bytes follow from.
struct Shape {
    entries: u64,
    units: u64,
    value_bytes: u64,
    counties: u64,
    states: u64,
}

/// What all passes over one matrix are given.
struct Passes<'a, V: Value> {
    bench: &'a Bench<'a>,
    seed: &'a FlowMatrix<V>,
    shape: Shape,
    before: Scaling,
    scaling: Scaling,
}

/// Every pass in every place.
pub(super) fn measure<V: Value>(
    bench: &Bench,
    seed: &FlowMatrix<V>,
    report: &mut Report,
) -> Result<()> {
    let size = &bench.options.size;
    let shape = Shape {
        entries: seed.movers().nnz() as u64,
        units: seed.units() as u64,
        value_bytes: size_of::<V>() as u64,
        counties: size.counties as u64,
        states: size.states as u64,
    };
    let before = Scaling::identity(seed.units());
    let passes = Passes { bench, seed, shape, before, scaling: problems::truth(size) };
    let copy = |report: &Report, place| copy_of(&report.bandwidth, place);
    let (cpu_copy, gpu_copy) = (copy(report, "cpu"), copy(report, "gpu"));

    let floating = Cpu::new(seed);
    let fixed = Engine::CpuExact.backend(seed)?;
    bench.say("sending the matrix to the device");
    let device = bench.options.device.as_ref();
    let on_device = device.map(|device| bench.on_device(device, seed)).transpose()?;
    let watch = device.map(|device| Stopwatch::new(device)).transpose()?;
    let bounds = Bounds::of(&passes, &floating)?;

    for pass in Pass::ALL {
        let name = pass.name();
        bench.say(&format!("{name} on the CPU"));
        let run = |place: &'static str, precision: Precision, samples_s: Vec<f64>| {
            let bytes = pass.bytes(&passes.shape, precision == Precision::Exact);
            let time = Samples::from(samples_s);
            let bytes_per_s = bytes as f64 / time.median_s;
            let copy = if place == "cpu" { cpu_copy } else { gpu_copy };
            PassRun {
                pass: name,
                place,
                precision: name_of(precision),
                what: "call",
                timer: Timer::Wall,
                per_submission: None,
                bytes,
                time,
                bytes_per_s,
                ratio_to_copy: bytes_per_s / copy,
            }
        };
        let (samples, expected) = passes.on_cpu(pass, &floating)?;
        report.passes.push(run("cpu", Precision::F64, samples));
        let twin = if pass == Pass::HarmonizedRow {
            // Multiplied as in f64, to the same bits.
            None
        } else {
            let (samples, twin) = passes.call(pass, &*fixed)?;
            report.passes.push(run("cpu", Precision::Exact, samples));
            let what = format!("{name}: CPU in fixed point and in f64");
            report.checks.push(Check::near(what, &twin, &expected, |_| FIXED_AND_FLOATING));
            Some(twin)
        };
        let (Some(on_device), Some(watch)) = (&on_device, &watch) else { continue };
        for (precision, backend) in &on_device.backends {
            if *precision != Precision::Exact && !pass.floating() {
                continue;
            }
            bench.say(&format!("{name} on the device, {}", name_of(*precision)));
            let (samples, found) = if pass == Pass::HarmonizedRow {
                time(bench.options.repeats, || on_device.matrix.harmonized_values(&passes.scaling))?
            } else {
                passes.call(pass, &**backend)?
            };
            report.passes.push(run("gpu", *precision, samples));
            let what = |with: &str| format!("{name}: GPU {} and CPU {with}", name_of(*precision));
            report.checks.push(match precision {
                Precision::Exact => {
                    let twin = twin.as_ref().unwrap_or(&expected);
                    Check::equal(what("to the last bit"), &found, twin)
                }
                Precision::F64 => {
                    Check::near(what("in f64"), &found, &expected, |k| bounds.rounding(pass, k))
                }
                Precision::F32 => {
                    let bound = on_device.matrix.device.rounding_f32(0);
                    Check::near(what("in f64"), &found, &expected, |_| bound)
                }
            });
            drop(found);
            let (work, units) = passes.work(pass, &bounds);
            let (scaling, persons) = (&passes.scaling, bounds.persons);
            let kernels = on_device.matrix.kernels(work, *precision, scaling, units, persons)?;
            if let Some(kernels) = kernels {
                let times =
                    watch.times(bench.options.repeats, |encoder| kernels.record(encoder))?;
                report.passes.push(PassRun {
                    what: "kernel",
                    timer: times.timer,
                    per_submission: Some(times.per_submission),
                    ..run("gpu", *precision, times.samples_s)
                });
            }
        }
    }
    Ok(())
}

/// How far fixed point may be from floating point, relative to a sum: every term of a row of 50,000
/// is rounded down by up to 2^-60 of the sum.
const FIXED_AND_FLOATING: f64 = 1e-12;

impl<V: Value> Passes<'_, V> {
    fn on_cpu(&self, pass: Pass, cpu: &Cpu<V>) -> Result<(Vec<f64>, Vec<f64>)> {
        if pass != Pass::HarmonizedRow {
            return self.call(pass, cpu);
        }
        // The pages of the result are there from the first time on.
        let mut flows = vec![0.0; self.seed.movers().nnz()];
        let (samples, ()) = time(self.bench.options.repeats, || {
            cpu::harmonized(self.seed, &self.scaling, &mut flows);
            Ok(())
        })?;
        Ok((samples, flows))
    }

    /// Times a pass as the solver makes it.
    fn call(&self, pass: Pass, backend: &dyn Backend<V>) -> Result<(Vec<f64>, Vec<f64>)> {
        let levels = self.bench.levels;
        time(self.bench.options.repeats, || match pass {
            Pass::OriginSums => backend.origin_sums(&self.scaling),
            Pass::DestinationSums => backend.destination_sums(&self.scaling),
            Pass::CountySums => {
                backend.class_sums(&levels.counties, &levels.counties, &self.scaling)
            }
            Pass::StateSums => backend.class_sums(&levels.states, &levels.states, &self.scaling),
            Pass::L1Change => Ok(vec![backend.movers_l1_change(&self.before, &self.scaling)?]),
            Pass::HarmonizedRow => panic!("no pass of a backend"),
        })
    }

    /// The kernels of a pass, and the units of its sums.
    fn work<'w>(&'w self, pass: Pass, bounds: &'w Bounds) -> (Work<'w>, &'w [i32]) {
        let levels = self.bench.levels;
        match pass {
            Pass::OriginSums => (Work::OriginSums, &bounds.origin),
            Pass::DestinationSums => (Work::DestinationSums, &bounds.destination),
            Pass::CountySums => {
                (Work::ClassSums(&levels.counties, &levels.counties), &bounds.origin)
            }
            Pass::StateSums => (Work::ClassSums(&levels.states, &levels.states), &bounds.origin),
            Pass::L1Change => (Work::L1Change(&self.before), &bounds.change),
            Pass::HarmonizedRow => (Work::HarmonizedRow, &bounds.origin),
        }
    }
}

/// Units of fixed-point sums, and numbers of their terms.
struct Bounds {
    origin: Vec<i32>,
    destination: Vec<i32>,
    change: Vec<i32>,
    persons: f64,
    origin_terms: Vec<u64>,
    destination_terms: Vec<u64>,
}

impl Bounds {
    fn of<V: Value>(passes: &Passes<V>, cpu: &Cpu<V>) -> Result<Self> {
        let Passes { seed, scaling, before, .. } = passes;
        let unit = |bound: f64| unit_for((bound * 1.001).max(f64::MIN_POSITIVE), SUM_BITS);
        let without_own = |sums: &[f64], own: &[f64]| -> Vec<i32> {
            sums.iter().zip(own).map(|(sum, own)| unit(sum / own)).collect()
        };
        let origins = cpu.origin_sums(scaling)?;
        let destinations = cpu.destination_sums(scaling)?;
        let unscaled = cpu.origin_sums(before)?;
        let mut destination_terms = vec![0; seed.units()];
        for &j in seed.movers().col_idx() {
            destination_terms[j as usize] += 1;
        }
        Ok(Self {
            origin: without_own(&origins, &scaling.origin),
            destination: without_own(&destinations, &scaling.destination),
            change: origins.iter().zip(&unscaled).map(|(a, b)| unit(a.max(*b))).collect(),
            persons: origins.iter().sum::<f64>() * 1.001,
            origin_terms: seed.movers().row_ptr().windows(2).map(|w| w[1] - w[0]).collect(),
            destination_terms,
        })
    }

    /// How far two sums in f64 of the same terms in another order may be apart, relative to them:
    /// 16 epsilon, and more for long chains of additions, whose errors grow like a random walk.
    fn rounding(&self, pass: Pass, k: usize) -> f64 {
        let terms = match pass {
            Pass::OriginSums => self.origin_terms[k],
            _ => self.destination_terms[k],
        };
        16.0 * f64::EPSILON * (terms as f64 / 256.0).sqrt().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_by_hand() {
        let shape = Shape { entries: 100, units: 10, value_bytes: 4, counties: 3, states: 2 };
        let bytes = |pass: Pass, fixed| pass.bytes(&shape, fixed);
        assert_eq!(bytes(Pass::OriginSums, false), 800 + 160);
        assert_eq!(bytes(Pass::DestinationSums, true), 800 + 160);
        assert_eq!(bytes(Pass::CountySums, false), 800 + 240 + 72);
        assert_eq!(bytes(Pass::StateSums, true), 800 + 240 + 64);
        assert_eq!(bytes(Pass::L1Change, true), 800 + 400);
        assert_eq!(bytes(Pass::HarmonizedRow, true), 800 + 160 + 800);
    }
}
