//! Whole iterations of a repeat group on the device, in `f64`.
//!
//! Factors stay on the device; several iterations are submitted at once, and what each step met is
//! read back for all of them together. The loop on the host then looks at one iteration after the
//! other and may stop at any of them: the factors from before the batch are kept, and the device
//! takes the same iterations again up to that one. So the result does not depend on the batches.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use wgpu::{Buffer, CommandEncoder, ComputePass, ComputePassDescriptor};

use super::Device;
use super::buffer::{Readback, checked, storage, storage_of, wait};
use super::factors::Side;
use super::matrix::Matrix;
use super::shader::StepKernel;
use super::step::{Call, Pass, SLOT, Shared, StepCalls, StepParams, measures_bytes, whole};
use crate::Result;
use crate::ipf::{Group, Groups, Iterations, Scaling, Step};
use crate::kernels::factors::Measures;
use crate::matrix::Value;

/// Iterations of a batch, at most.
const MAX_BATCH: u32 = 64;

/// Time of a batch: long enough to hide submissions, well below what a desktop's watchdog allows.
const BATCH_TIME: Duration = Duration::from_millis(200);

/// The factors that iterations change.
struct Factors {
    origin: Buffer,
    destination: Buffer,
    stayers: Buffer,
}

impl Factors {
    fn all(&self) -> [&Buffer; 3] {
        [&self.origin, &self.destination, &self.stayers]
    }

    fn copy(&self, to: &Self, encoder: &mut CommandEncoder) {
        for (from, to) in self.all().into_iter().zip(to.all()) {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
        }
    }
}

/// The iterations of one group.
pub(crate) struct Resident<'a, 'm, V: Value> {
    matrix: &'a Matrix<'m, V>,
    group: &'a Group,
    steps: Vec<StepCalls>,
    /// Factors after `position` iterations of the batch, and before it.
    now: Factors,
    before: Factors,
    /// Measures of all steps of a batch, and their way to the host.
    totals: Buffer,
    readback: Readback,
    batch_measures: Call,
    max_batch: u32,
    next_batch: u32,
    /// Iterations before the batch.
    batch_start: u32,
    position: u32,
    /// Measures of the iterations of the batch that have not been taken.
    ahead: VecDeque<Vec<Measures>>,
    /// Iterations of the batch that have been taken.
    taken: u32,
    finite: bool,
    /// Factors after the last iteration taken, once somebody asked for them.
    scaling: Scaling,
    scaling_of: u32,
}

impl<'a, 'm, V: Value> Resident<'a, 'm, V> {
    /// Prepares the iterations of `group` from `start` on, or nothing where the group or the matrix
    /// is not made for it: blocks are summed in fixed point, and a matrix that is uploaded in every
    /// pass gains nothing.
    pub fn new(
        matrix: &'a Matrix<'m, V>,
        stayers: &[f64],
        group: &'a Group,
        start: &Scaling,
    ) -> Result<Option<Self>> {
        let margins = || group.constraints.iter().map(super::super::ipf::Constraint::margin);
        if margins().any(|margin| matches!(margin.groups, Groups::Block(..)))
            || !matrix.lines(Side::Origins)?.is_resident()
            || !matrix.lines(Side::Destinations)?.is_resident()
        {
            return Ok(None);
        }
        let device = &matrix.device;
        let factors = || -> Result<Factors> {
            Ok(Factors {
                origin: storage_of(device, "factors of origins", &start.origin)?,
                destination: storage_of(device, "factors of destinations", &start.destination)?,
                stayers: storage_of(device, "factors of stayers", &start.stayers)?,
            })
        };
        let slot_bytes = margins().map(measures_bytes).max().unwrap_or(0).next_multiple_of(SLOT);
        let per_iteration = slot_bytes * group.constraints.len() as u64;
        let most = device.limits.binding_bytes.min(device.limits.buffer_bytes);
        let max_batch = (most / per_iteration.max(1)).min(MAX_BATCH.into()) as u32;
        if max_batch == 0 {
            return Ok(None);
        }
        let partials = storage(device, "measures", per_iteration * u64::from(max_batch))?;
        let all_steps = max_batch * group.constraints.len() as u32;

        let (now, before) = (factors()?, factors()?);
        let stayers = storage_of(device, "stayers", stayers)?;
        let unit_sums = storage(device, "sums by unit", 8 * start.origin.len() as u64)?;

        let steps = margins()
            .enumerate()
            .map(|(k, margin)| {
                let side = match margin.groups {
                    Groups::Origin(_) => Side::Origins,
                    _ => Side::Destinations,
                };
                let (own, other) = match side {
                    Side::Origins => (&now.origin, &now.destination),
                    Side::Destinations => (&now.destination, &now.origin),
                };
                let pass = Pass::new(matrix, side, (own, other), start)?;
                let shared = Shared {
                    stayers: &stayers,
                    stayer_factors: &now.stayers,
                    unit_sums: &unit_sums,
                };
                // Every iteration of a batch leaves its measures in a slot of its own.
                let slots: Vec<wgpu::BufferBinding> = (k as u32..all_steps)
                    .step_by(group.constraints.len())
                    .map(|slot| wgpu::BufferBinding {
                        buffer: &partials,
                        offset: u64::from(slot) * slot_bytes,
                        size: NonZeroU64::new(measures_bytes(margin)),
                    })
                    .collect();
                StepCalls::new(device, pass, margin, &group.goals[k], own, &shared, &slots)
            })
            .collect::<Result<Vec<_>>>()?;

        let totals_bytes = size_of::<Measures>() as u64 * u64::from(all_steps);
        let totals = storage(device, "measures of steps", totals_bytes)?;
        let readback = Readback::new(device, "measures of steps", totals_bytes)?;
        let params = StepParams {
            measures: (slot_bytes / size_of::<Measures>() as u64) as u32,
            steps: all_steps,
            ..StepParams::default()
        };
        let buffers = whole(&[&partials, &totals]);
        let batch_measures =
            Call::new(device, StepKernel::Measures, &[], params, all_steps, &[buffers])?;
        Ok(Some(Self {
            matrix,
            group,
            steps,
            now,
            before,
            totals,
            readback,
            batch_measures,
            max_batch,
            next_batch: 1,
            batch_start: 0,
            position: 0,
            ahead: VecDeque::new(),
            taken: 0,
            finite: true,
            scaling: start.clone(),
            scaling_of: 0,
        }))
    }

    fn device(&self) -> &Device {
        &self.matrix.device
    }

    fn encoder(&self) -> CommandEncoder {
        self.device().device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Takes iterations from the present factors on.
    fn advance(&mut self, iterations: u32, pass: &mut ComputePass) {
        for _ in 0..iterations {
            for step in &self.steps {
                step.record(pass, self.position);
            }
            self.position += 1;
        }
    }

    /// Runs the next batch and reads back what its steps met.
    fn run_batch(&mut self) -> Result<()> {
        self.go_to(self.taken)?;
        let iterations = self.next_batch.min(self.max_batch);
        self.batch_start += self.taken;
        (self.position, self.taken) = (0, 0);
        let start = Instant::now();
        let mut encoder = self.encoder();
        self.now.copy(&self.before, &mut encoder);
        // One pass for all: passes of their own would cost more than the small kernels in them.
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        self.advance(iterations, &mut pass);
        self.batch_measures.record_first(&mut pass, 0, iterations * self.steps.len() as u32);
        drop(pass);
        self.readback.copy(&mut encoder, &self.totals);
        self.submit(encoder, true)?;
        let steps = self.steps.len();
        let ahead = &mut self.ahead;
        self.readback.read(iterations as usize * steps, |measures: &[Measures]| {
            ahead.extend(measures.chunks_exact(steps).map(<[_]>::to_vec));
        })?;
        let each = start.elapsed() / iterations;
        let in_time = BATCH_TIME.as_nanos() / each.as_nanos().max(1);
        self.next_batch = (2 * iterations).min(u32::try_from(in_time).unwrap_or(u32::MAX)).max(1);
        Ok(())
    }

    /// Brings the factors to where they were after so many iterations of the batch.
    fn go_to(&mut self, iterations: u32) -> Result<()> {
        if self.position == iterations {
            return Ok(());
        }
        let mut encoder = self.encoder();
        if self.position > iterations {
            self.before.copy(&self.now, &mut encoder);
            self.position = 0;
        }
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        self.advance(iterations - self.position, &mut pass);
        drop(pass);
        self.submit(encoder, false)
    }

    fn submit(&self, encoder: CommandEncoder, measures: bool) -> Result<()> {
        let device = self.device();
        let submission = checked(device, "iterations", || {
            let submission = device.queue.submit([encoder.finish()]);
            if measures {
                self.readback.request();
            }
            Ok(submission)
        })?;
        wait(device, submission)
    }

    /// The present factors.
    fn read(&self) -> Result<Scaling> {
        let mut scaling = self.scaling.clone();
        let targets = [&mut scaling.origin, &mut scaling.destination, &mut scaling.stayers];
        for (buffer, target) in self.now.all().into_iter().zip(targets) {
            let device = self.device();
            let readback = Readback::new(device, "factors", buffer.size())?;
            let mut encoder = self.encoder();
            readback.copy(&mut encoder, buffer);
            let submission = checked(device, "factors", || {
                let submission = device.queue.submit([encoder.finish()]);
                readback.request();
                Ok(submission)
            })?;
            wait(device, submission)?;
            readback.read(target.len(), |factors: &[f64]| target.copy_from_slice(factors))?;
        }
        Ok(scaling)
    }
}

impl<V: Value> Iterations for Resident<'_, '_, V> {
    fn next(&mut self) -> Result<Vec<Step>> {
        if self.ahead.is_empty() {
            self.run_batch()?;
        }
        self.taken += 1;
        let measures = self.ahead.pop_front().expect("a batch has iterations");
        self.finite = measures
            .iter()
            .all(|m| (m.total_update + m.total_violation + m.max_update).is_finite());
        let iteration = self.batch_start + self.taken;
        let steps = measures.iter().enumerate();
        Ok(steps.map(|(k, m)| self.group.step_of(k, iteration, m)).collect())
    }

    fn before_last(&mut self) -> Result<Scaling> {
        // Sums tell of factors beyond all numbers an iteration late.
        let mut taken = self.taken;
        loop {
            taken = taken.saturating_sub(1);
            self.go_to(taken)?;
            let scaling = self.read()?;
            if taken == 0 || scaling.is_finite() {
                return Ok(scaling);
            }
        }
    }

    fn scaling(&mut self) -> Result<&Scaling> {
        let iteration = self.batch_start + self.taken;
        if self.scaling_of != iteration {
            self.go_to(self.taken)?;
            self.scaling = self.read()?;
            self.scaling_of = iteration;
        }
        Ok(&self.scaling)
    }

    fn is_finite(&self) -> bool {
        self.finite
    }
}
