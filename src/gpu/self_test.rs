//! Bit-exact checks of a device's arithmetic, before anything is computed on it.
//!
//! The shaders in `shaders/self_test/` do on seeded numbers what the kernels are made of. Whatever
//! a feature gets wrong, that feature is refused; wrong 32-bit integers refuse the device.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::device::{Device, Feature};
use crate::{Error, Result};

/// A feature that is not used because its results were wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The feature.
    pub feature: Feature,
    /// What was expected and what was found.
    pub reason: String,
}

/// Inputs per trial; also the seeds of the random numbers.
const CASES: usize = 256;

/// One shader with its inputs.
struct Trial {
    /// The feature it needs.
    feature: Option<Feature>,
    shader: &'static str,
    input: Vec<u32>,
    /// Words of output.
    words: usize,
    workgroups: u32,
    /// What is wrong with an output, given the input.
    check: fn(&[u32], &[u32]) -> std::result::Result<(), String>,
}

fn trials() -> [Trial; 4] {
    let edges = [0, 1, 2, 31, 32, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    let mut rng = ChaCha8Rng::seed_from_u64(CASES as u64);
    let mut words = |count: usize| -> Vec<u32> {
        (0..count).map(|k| edges.get(k / 2 % 24).copied().unwrap_or_else(|| rng.random())).collect()
    };
    let (pairs, quadruples, singles) = (words(2 * CASES), words(4 * CASES), words(CASES));
    let numbers: Vec<f64> = (0..2 * CASES)
        .map(|_| rng.random_range(1.0..2.0_f64) * 2.0_f64.powi(rng.random_range(-60..60)))
        .collect();
    let workgroups = CASES as u32 / 64;
    [
        Trial {
            feature: None,
            shader: include_str!("../../shaders/self_test/integers.wgsl"),
            input: pairs,
            words: 7 * CASES + 2 * workgroups as usize + 2,
            workgroups,
            check: |input, output| compare(&integers(input), output),
        },
        Trial {
            feature: Some(Feature::Int64),
            shader: include_str!("../../shaders/self_test/int64.wgsl"),
            input: quadruples,
            words: 10 * CASES,
            workgroups,
            check: |input, output| compare(&int64(input), output),
        },
        Trial {
            feature: Some(Feature::F64),
            shader: include_str!("../../shaders/self_test/f64.wgsl"),
            input: bytemuck::cast_slice(&numbers).to_vec(),
            words: 6 * CASES,
            workgroups,
            check: check_f64,
        },
        Trial {
            feature: Some(Feature::Subgroups),
            shader: include_str!("../../shaders/self_test/subgroups.wgsl"),
            input: singles,
            words: 7 * CASES,
            workgroups: workgroups / 2,
            check: check_subgroups,
        },
    ]
}

/// Runs every trial whose feature the device uses; returns the features to use no longer.
pub(super) fn run(device: &Device) -> Result<Vec<Refusal>> {
    judge(|trial| {
        let needed = trial.feature.is_none_or(|feature| device.has(feature));
        needed.then(|| run_trial(device, trial)).transpose()
    })
    .map_err(|problem| match problem {
        Error::Device(text) if device.check().is_ok() => device.error(&format!(
            "is refused, its integer arithmetic is wrong: {text}; try a newer driver or --backend cpu"
        )),
        other => other,
    })
}

/// Judges the outputs of all trials, `None` where one is not to be run.
fn judge(mut output: impl FnMut(&Trial) -> Result<Option<Vec<u32>>>) -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    for trial in trials() {
        let verdict = match output(&trial) {
            Ok(None) => continue,
            Ok(Some(output)) => (trial.check)(&trial.input, &output),
            Err(problem) => Err(problem.to_string()),
        };
        match (trial.feature, verdict) {
            (_, Ok(())) => {}
            (Some(feature), Err(reason)) => refusals.push(Refusal { feature, reason }),
            (None, Err(reason)) => return Err(Error::device(reason)),
        }
    }
    Ok(refusals)
}

fn run_trial(device: &Device, trial: &Trial) -> Result<Vec<u32>> {
    let (output, encoder) = device.scope(|| {
        let gpu = &device.device;
        let buffer = |words: usize, usage| {
            gpu.create_buffer(&wgpu::BufferDescriptor {
                label: Some("self test"),
                size: 4 * words as u64,
                usage: wgpu::BufferUsages::STORAGE | usage,
                mapped_at_creation: false,
            })
        };
        let input = buffer(trial.input.len(), wgpu::BufferUsages::COPY_DST);
        let output = buffer(trial.words, wgpu::BufferUsages::COPY_SRC);
        device.queue.write_buffer(&input, 0, bytemuck::cast_slice(&trial.input));
        let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("self test"),
            layout: None,
            module: &gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("self test"),
                source: wgpu::ShaderSource::Wgsl(trial.shader.into()),
            }),
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let bind_group = gpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("self test"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: input.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: output.as_entire_binding() },
            ],
        });
        let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(trial.workgroups, 1, 1);
        }
        (output, encoder)
    })?;
    device.run(encoder)?;
    device.read(&output, 0, trial.words)
}

fn compare(expected: &[u32], found: &[u32]) -> std::result::Result<(), String> {
    match expected.iter().zip(found).position(|(a, b)| a != b) {
        Some(k) => Err(format!("word {k}: expected {:#x}, found {:#x}", expected[k], found[k])),
        None if expected.len() == found.len() => Ok(()),
        None => Err(format!("expected {} words, found {}", expected.len(), found.len())),
    }
}

/// The twin of `integers.wgsl`.
fn integers(input: &[u32]) -> Vec<u32> {
    let (mut output, mut sums) = (Vec::new(), Vec::new());
    for group in input.chunks(2 * 64) {
        for (k, pair) in group.chunks_exact(2).enumerate() {
            let (a, b) = (pair[0], pair[1]);
            let product = u64::from(a) * u64::from(b);
            let (sum, carry) = a.overflowing_add(b);
            let opposite = group[2 * (63 - k)];
            output.extend(words(product));
            output.extend([a << (b & 31), a >> (b & 31), sum, carry.into(), opposite]);
        }
        sums.push(group.iter().step_by(2).map(|&a| u64::from(a)).sum::<u64>());
    }
    output.extend(sums.iter().copied().flat_map(words));
    output.extend(words(sums.iter().sum()));
    output
}

/// The twin of `int64.wgsl`.
fn int64(input: &[u32]) -> Vec<u32> {
    let number = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let mut output = Vec::new();
    for given in input.chunks_exact(4) {
        let (x, y) = (number(given[0], given[1]), number(given[2], given[3]));
        let shift = given[2] & 63;
        let narrow = u64::from(given[0]) * u64::from(given[2]);
        let results = [x.wrapping_mul(y), narrow, x << shift, x >> shift, x.wrapping_add(y)];
        output.extend(results.into_iter().flat_map(words));
    }
    output
}

/// A number as the shaders write it.
fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// Products and sums must be rounded to nearest; quotients may be off by one unit in the last place.
fn check_f64(input: &[u32], output: &[u32]) -> std::result::Result<(), String> {
    let doubles = |words: &[u32]| -> Vec<f64> { bytemuck::pod_collect_to_vec(words) };
    let (input, output) = (doubles(input), doubles(output));
    for (pair, found) in input.chunks_exact(2).zip(output.chunks_exact(3)) {
        let (x, y) = (pair[0], pair[1]);
        for ((sign, expected, ulps), &found) in
            [("*", x * y, 0), ("+", x + y, 0), ("/", x / y, 1)].into_iter().zip(found)
        {
            if expected.to_bits().abs_diff(found.to_bits()) > ulps {
                return Err(format!("{x:e} {sign} {y:e}: expected {expected:e}, found {found:e}"));
            }
        }
    }
    Ok(())
}

/// Every workgroup must consist of full subgroups whose lanes are numbered without gaps.
fn check_subgroups(input: &[u32], output: &[u32]) -> std::result::Result<(), String> {
    for (values, found) in input.chunks(128).zip(output.chunks(7 * 128)) {
        let (size, subgroups) = (found[0] as usize, found[1] as usize);
        if size * subgroups != 128 || !size.is_power_of_two() {
            return Err(format!("expected full subgroups, found {subgroups} of {size} in 128"));
        }
        // The value of each lane, by subgroup.
        let mut lanes = vec![None; 128];
        for (&value, found) in values.iter().zip(found.chunks_exact(7)) {
            let (subgroup, lane) = (found[2] as usize, found[3] as usize);
            let slot = lanes.get_mut(subgroup * size + lane).filter(|_| lane < size);
            if slot.is_none_or(|slot| slot.replace(value).is_some()) {
                return Err(format!("lane {lane} of subgroup {subgroup} twice or out of range"));
            }
        }
        for (k, found) in found.chunks_exact(7).enumerate() {
            let (subgroup, lane) = (found[2] as usize, found[3] as usize);
            let own: Vec<u32> =
                lanes[subgroup * size..][..size].iter().copied().flatten().collect();
            let sum = own.iter().fold(0_u32, |sum, &value| sum.wrapping_add(value));
            let reversed = own[size - 1 - lane];
            let expected = [size as u32, subgroups as u32, found[2], found[3], sum, sum, reversed];
            compare(&expected, found).map_err(|e| format!("invocation {k}: {e}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
