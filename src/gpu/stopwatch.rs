//! How long a device works on commands, without the way to it and back; and how fast it copies.

use std::time::{Duration, Instant};

use serde::Serialize;
use wgpu::{BufferUsages, CommandEncoder, Features};

use super::Device;
use super::buffer::{Readback, checked, wait};
use crate::Result;

/// Lanes of a workgroup, as in `shaders/bench/copy.wgsl`.
const WORKGROUP: u64 = 256;

/// Time that the repetitions of one submission should take together: long beside the 0.1 ms of a
/// submission, short beside the watchdog of a desktop.
const SUBMISSION: Duration = Duration::from_millis(200);

/// Repetitions in one submission, at most.
const MOST: u32 = 256;

/// Bytes to copy, where there is room: several times any cache.
const COPY_BYTES: u64 = 512 << 20;

/// The same on a device that is software.
const COPY_BYTES_SOFTWARE: u64 = 64 << 20;

/// What seconds were taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timer {
    /// The clock of the host.
    Wall,
    /// The clock of the device.
    Timestamps,
}

/// Times of the same commands.
#[derive(Clone, Debug)]
pub struct Times {
    /// Whose clock.
    pub timer: Timer,
    /// Repetitions in a submission.
    pub per_submission: u32,
    /// Seconds of one repetition, of every submission.
    pub samples_s: Vec<f64>,
}

/// Measures what a device does.
pub struct Stopwatch<'a> {
    device: &'a Device,
    queries: Option<Queries>,
}

/// Two times on the device's clock.
struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: Readback,
    /// Seconds of one tick.
    tick_s: f64,
}

impl<'a> Stopwatch<'a> {
    /// With the clock of the device, if it has one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(device: &'a Device) -> Result<Self> {
        let needed = Features::TIMESTAMP_QUERY | Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        if !device.device.features().contains(needed) {
            return Ok(Self { device, queries: None });
        }
        let readback = Readback::new(device, "timestamps", 16)?;
        let queries = checked(device, "timestamps", || {
            Ok(Queries {
                set: device.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                }),
                resolved: device.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("timestamps"),
                    size: 16,
                    usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
                    mapped_at_creation: false,
                }),
                readback,
                tick_s: f64::from(device.queue.get_timestamp_period()) * 1e-9,
            })
        })?;
        Ok(Self { device, queries: Some(queries) })
    }

    /// Times commands, as many repetitions in a submission as fit, `samples` submissions.
    ///
    /// # Errors
    /// If the device fails.
    pub fn times(&self, samples: usize, record: impl Fn(&mut CommandEncoder)) -> Result<Times> {
        // The first run compiles, clears and warms up.
        self.once(1, &record)?;
        let (wall, _) = self.once(1, &record)?;
        let fit = SUBMISSION.as_secs_f64() / wall.max(1e-6);
        let per_submission = (fit as u32).clamp(1, MOST);
        let runs: Vec<(f64, Option<f64>)> =
            (0..samples).map(|_| self.once(per_submission, &record)).collect::<Result<_>>()?;
        // A driver whose clock cannot be right is not asked.
        let plausible = |(wall, device): &(f64, Option<f64>)| {
            device.is_some_and(|device| device > 0.0 && device <= 1.05 * wall)
        };
        let timer = if runs.iter().all(plausible) { Timer::Timestamps } else { Timer::Wall };
        let seconds = |(wall, device): &(f64, Option<f64>)| match timer {
            Timer::Timestamps => device.unwrap_or(*wall),
            Timer::Wall => *wall,
        };
        let samples_s = runs.iter().map(|run| seconds(run) / f64::from(per_submission)).collect();
        Ok(Times { timer, per_submission, samples_s })
    }

    /// Seconds from submission to the end on the host's clock, and on the device's.
    fn once(&self, times: u32, record: impl Fn(&mut CommandEncoder)) -> Result<(f64, Option<f64>)> {
        let device = self.device;
        let (seconds, ticks) = checked(device, "timing", || {
            let mut encoder =
                device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            if let Some(queries) = &self.queries {
                encoder.write_timestamp(&queries.set, 0);
            }
            (0..times).for_each(|_| record(&mut encoder));
            if let Some(queries) = &self.queries {
                encoder.write_timestamp(&queries.set, 1);
                encoder.resolve_query_set(&queries.set, 0..2, &queries.resolved, 0);
                queries.readback.copy(&mut encoder, &queries.resolved);
            }
            let commands = encoder.finish();
            let start = Instant::now();
            let submission = device.queue.submit([commands]);
            if let Some(queries) = &self.queries {
                queries.readback.request();
            }
            wait(device, submission)?;
            let seconds = start.elapsed().as_secs_f64();
            let mut ticks = None;
            if let Some(queries) = &self.queries {
                let mut take = |t: &[u64]| ticks = Some(t[1].wrapping_sub(t[0]));
                queries.readback.read(2, &mut take)?;
            }
            Ok((seconds, ticks))
        })?;
        let tick_s = self.queries.as_ref().map_or(0.0, |queries| queries.tick_s);
        Ok((seconds, ticks.map(|ticks| ticks as f64 * tick_s)))
    }

    /// Copies a buffer, by command and by shader: bytes of the buffer, and the times of both.
    ///
    /// # Errors
    /// If the device fails, or has no memory for two such buffers.
    pub fn copies(&self, samples: usize) -> Result<(u64, Times, Times)> {
        let device = self.device;
        let limits = device.limits();
        let wanted = if device.adapter().software { COPY_BYTES_SOFTWARE } else { COPY_BYTES };
        let bytes = wanted
            .min(limits.binding_bytes)
            .min(limits.buffer_bytes)
            .min(limits.memory_bytes / 4)
            .max(4096);
        let bytes = bytes / 4096 * 4096;
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let (from, to, pipeline, bindings) = checked(device, "copying", || {
            let gpu = &device.device;
            let buffer = || {
                gpu.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("copying"),
                    size: bytes,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let (from, to) = (buffer(), buffer());
            let source = include_str!("../../shaders/bench/copy.wgsl");
            let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("copy"),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("copy"),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            let bindings = gpu.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("copy"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: from.as_entire_binding() },
                    wgpu::BindGroupEntry { binding: 1, resource: to.as_entire_binding() },
                ],
            });
            Ok((from, to, pipeline, bindings))
        })?;
        let by_command =
            self.times(samples, |encoder| encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes))?;
        let workgroups = (bytes / 16).div_ceil(WORKGROUP) as u32;
        let across = workgroups.min(limits.workgroups);
        let by_shader = self.times(samples, |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(across, workgroups.div_ceil(across), 1);
        })?;
        Ok((bytes, by_command, by_shader))
    }
}

#[cfg(test)]
mod tests {
    use crate::gpu::{Device, Limits, Options};

    use super::*;

    #[test]
    fn copies_are_timed_whatever_the_limits() {
        for workgroups in [u32::MAX, 3] {
            let limits = Limits { buffer_bytes: 1 << 20, workgroups, ..Limits::default() };
            let device =
                Device::open(&Options { allow_software: true, limits, ..Options::default() });
            let device = device.unwrap_or_else(|e| panic!("{e}; ./test installs a software one"));
            let (bytes, by_command, by_shader) =
                Stopwatch::new(&device).unwrap().copies(2).unwrap();
            assert_eq!(bytes, 1 << 20);
            for times in [by_command, by_shader] {
                assert_eq!(times.samples_s.len(), 2);
                assert!(times.samples_s.iter().all(|s| *s > 0.0 && s.is_finite()), "{times:?}");
                assert!((1..=MOST).contains(&times.per_submission));
            }
        }
    }
}
