//! Direct iterations, every one of which passes over every entry.

use std::time::Instant;

use serde::Serialize;

use super::report::{Check, Report};
use super::timing::copy_of;
use super::{Bench, name_of, problems};
use crate::Result;
use crate::ipf::{Backend, Cpu, Engine, Group, Precision, Scaling, iterations_of};
use crate::matrix::{FlowMatrix, Value};

/// Seconds that the iterations of one place may take.
const MOST_S: f64 = 40.0;

/// Iterations that tell how long one takes.
const TRIAL: u32 = 3;

/// How far two ways to take the same iterations may come apart in each of them, relative to an
/// entry: sums of hundreds of terms in another order. Errors add up, since iterations bring
/// scalings closer to each other.
const APART_EACH: f64 = 64.0 * f64::EPSILON;

/// Entries that are compared, at most.
const COMPARED: usize = 1 << 20;

/// Iterations of one problem in one place.
#[derive(Clone, Debug, Serialize)]
pub struct DirectRun {
    /// Cells of the margins: `units` or `counties`.
    pub margins: &'static str,
    /// `cpu` or `gpu`.
    pub place: &'static str,
    /// Arithmetic of sums.
    pub precision: &'static str,
    /// Whether factors stay on the device through many iterations.
    pub resident: bool,
    /// Iterations asked for.
    pub asked: u32,
    /// Iterations taken: fewer where they would have taken more than 40 s.
    pub iterations: u32,
    /// Seconds before the first iteration: sums, uploads, compiling.
    pub prepare_s: f64,
    /// Seconds of all iterations, factors read back.
    pub elapsed_s: f64,
    /// Iterations over seconds.
    pub iterations_per_s: f64,
    /// Passes over the entries in an iteration: two, or one that does for both.
    pub passes: u32,
    /// Bytes that have to move in an iteration.
    pub bytes: u64,
    /// Bytes over seconds.
    pub bytes_per_s: f64,
    /// That over the copy bandwidth of the same place.
    pub ratio_to_copy: f64,
    /// Largest relative violation of a margin in the last iteration.
    pub max_violation: f64,
}

/// Both problems in every place.
pub(super) fn measure<V: Value>(
    bench: &Bench,
    seed: &FlowMatrix<V>,
    report: &mut Report,
) -> Result<()> {
    let size = &bench.options.size;
    let asked = bench.options.iterations.unwrap_or(size.iterations);
    let levels = bench.levels;
    for (margins, level) in [("units", &levels.units), ("counties", &levels.counties)] {
        bench.say(&format!("direct iterations, margins of {margins}: preparing"));
        let problem = problems::direct(seed, size, levels, level)?;
        let stages = problem.stages();
        let [stage] = stages.as_slice() else { panic!("one group") };
        let constraints = problem.constraints_of(stage);
        let start = Scaling::identity(seed.units());
        let fused = Cpu::<V>::can_fuse(constraints[1].margin(), constraints[0].margin());

        let group_on = |backend: &dyn Backend<V>| {
            Group::new(backend, constraints.to_vec(), 0, &start, stage, &problem)
        };
        let copies = ["cpu", "gpu"].map(|place| copy_of(&report.bandwidth, place));
        let one = |place: &'static str,
                   precision: Precision,
                   backend: &dyn Backend<V>,
                   prepared: f64|
         -> Result<(DirectRun, Scaling)> {
            let precision = name_of(precision);
            bench.say(&format!("direct iterations, margins of {margins}: {place}, {precision}"));
            let began = Instant::now();
            let group = group_on(backend)?;
            let resident = backend.iterations(&group, &start)?.is_some();
            // A trial warms up, and tells how many are possible.
            let (_, trial_s, _) = take(backend, &group, &start, TRIAL)?;
            let prepare_s = prepared + began.elapsed().as_secs_f64();
            let possible = (MOST_S / trial_s * f64::from(TRIAL)) as u32;
            let iterations = asked.min(possible.max(TRIAL));
            let (scaling, elapsed_s, max_violation) = take(backend, &group, &start, iterations)?;
            let passes = if place == "cpu" && fused { 1 } else { 2 };
            let entries = (seed.movers().nnz() * (4 + size_of::<V>())) as u64;
            // Entries of every pass; a factor read and a sum written for every unit and side.
            let bytes = u64::from(passes) * entries + 32 * seed.units() as u64;
            let iterations_per_s = f64::from(iterations) / elapsed_s;
            let bytes_per_s = bytes as f64 * iterations_per_s;
            let copy = copies[usize::from(place == "gpu")];
            let run = DirectRun {
                margins,
                place,
                precision,
                resident,
                asked,
                iterations,
                prepare_s,
                elapsed_s,
                iterations_per_s,
                passes,
                bytes,
                bytes_per_s,
                ratio_to_copy: bytes_per_s / copy,
                max_violation,
            };
            Ok((run, scaling))
        };

        let cpu = Cpu::new(seed);
        let (run, expected) = one("cpu", Precision::F64, &cpu, 0.0)?;
        let on_cpu = run.iterations;
        report.direct.push(run);
        let Some(device) = &bench.options.device else { continue };
        let began = Instant::now();
        let on_device = bench.on_device(device, seed)?;
        // Both directions are uploaded by what asks for them first.
        let mut prepared = began.elapsed().as_secs_f64();
        for (precision, backend) in &on_device.backends {
            let (run, found) = one("gpu", *precision, &**backend, prepared)?;
            prepared = 0.0;
            let compared = if run.iterations == on_cpu {
                found
            } else {
                let group = group_on(&**backend)?;
                take(&**backend, &group, &start, on_cpu)?.0
            };
            let what = format!(
                "direct, margins of {margins}: GPU {} and CPU in f64 after {on_cpu} iterations",
                name_of(*precision)
            );
            let allowed = match precision {
                Precision::F32 => device.rounding_f32(0),
                _ => APART_EACH,
            } * f64::from(on_cpu);
            report.direct.push(run);
            report.checks.push(compare(what, seed, &compared, &expected, allowed));
        }
    }
    Ok(())
}

/// Takes iterations: their result, seconds and the largest violation that the last one met.
fn take<V: Value>(
    backend: &dyn Backend<V>,
    group: &Group,
    start: &Scaling,
    iterations: u32,
) -> Result<(Scaling, f64, f64)> {
    let mut taken = iterations_of(backend, group, start)?;
    let began = Instant::now();
    let mut violation = 0.0;
    for _ in 0..iterations {
        let steps = taken.next()?;
        violation = steps.iter().map(|step| step.row.max_violation).fold(0.0, f64::max);
    }
    let scaling = taken.scaling()?.clone();
    Ok((scaling, began.elapsed().as_secs_f64(), violation))
}

/// Compares two scalings by the factors of all stayers and of many movers, evenly chosen.
pub(super) fn compare<V: Value>(
    what: String,
    seed: &FlowMatrix<V>,
    found: &Scaling,
    expected: &Scaling,
    allowed: f64,
) -> Check {
    let every = seed.movers().nnz().div_ceil(COMPARED).max(1);
    let (mut a, mut b) = (found.stayers.clone(), expected.stayers.clone());
    for i in 0..seed.units() {
        let first = seed.movers().row_ptr()[i] as usize;
        let (columns, _) = seed.movers().row(i);
        // The k-th entry of the matrix, for every multiple k of `every`.
        for &j in columns.iter().skip(first.next_multiple_of(every) - first).step_by(every) {
            a.push(found.mover(i, j as usize));
            b.push(expected.mover(i, j as usize));
        }
    }
    Check::near(what, &a, &b, |_| allowed)
}

/// Every engine that is measured: place, arithmetic, engine.
pub(super) fn engines(bench: &Bench) -> Vec<(&'static str, &'static str, Engine)> {
    let mut engines = vec![("cpu", "f64", Engine::Cpu)];
    if let Some(device) = &bench.options.device {
        for &precision in &bench.options.precisions {
            engines.push(("gpu", name_of(precision), Engine::Gpu(device.clone(), precision)));
        }
    }
    engines
}
