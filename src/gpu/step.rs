//! The kernels of one step of a whole iteration on the device, in `f64`.

use bytemuck::{Pod, Zeroable};
use wgpu::{Buffer, ComputePass};

use super::Device;
use super::buffer::{checked, storage, storage_of};
use super::factors::{self, Side, View};
use super::lines::Lines;
use super::matrix::Matrix;
use super::pass::{Entries, Params, Prepared};
use super::shader::{Arithmetic, Kernel, StepKernel};
use crate::Result;
use crate::geography::Partition;
use crate::ipf::{Margin, Scaling};
use crate::kernels::factors::{CellGoal, Measures};
use crate::matrix::Value;

/// Lanes of a workgroup, as in `shaders/step.wgsl`.
const WORKGROUP: u32 = 128;

/// Lanes that add up a cell of several units.
const CELL_LANES: u32 = 64;

/// What the kernels of a step are told beside their buffers.
///
/// Keep in sync with `shaders/step.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct StepParams {
    /// Units of the matrix.
    pub units: u32,
    /// Cells of the margin.
    pub cells: u32,
    /// Whether the margin counts movers.
    pub movers: u32,
    /// Whether it counts stayers.
    pub stayers: u32,
    /// Workgroups in x.
    pub across: u32,
    /// Partial measures of a step.
    pub measures: u32,
    /// Steps of a batch.
    pub steps: u32,
    /// Not used.
    pub pad: u32,
}

/// Bytes that a part of a buffer which is bound by itself starts at a multiple of, on every device.
const ALIGNMENT: u64 = 256;

/// The partial measures of a step take a multiple of so many bytes: whole ones, and a part of a
/// buffer that may be bound.
pub const SLOT: u64 = 1280;

const _: () =
    assert!(SLOT.is_multiple_of(ALIGNMENT) && SLOT.is_multiple_of(size_of::<Measures>() as u64));

/// One kernel with its buffers: a group of them for every place in a batch, or one for all.
pub struct Call {
    pipeline: wgpu::ComputePipeline,
    bindings: Vec<wgpu::BindGroup>,
    workgroups: (u32, u32),
}

impl Call {
    /// Compiles a kernel and binds its buffers, `params` first.
    ///
    /// # Errors
    /// If the device does not accept it.
    pub fn new(
        device: &Device,
        kernel: StepKernel,
        constants: &[(&str, f64)],
        params: StepParams,
        workgroups: u32,
        groups: &[Vec<wgpu::BufferBinding>],
    ) -> Result<Self> {
        let label = kernel.name();
        let across = workgroups.clamp(1, device.limits.workgroups);
        let call = checked(device, &format!("compiling {label}"), || {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(label),
                source: wgpu::ShaderSource::Wgsl(kernel.source().into()),
            };
            // SAFETY: the shaders compare their unit, cell or step with the sizes in `params`, for
            // which the buffers were made, and take indices below them from partitions and
            // segments, whose invariants say so; their loops end at such indices; WORKGROUP is
            // divided by constants.
            let module = unsafe {
                let checks = wgpu::ShaderRuntimeChecks::unchecked();
                device.device.create_shader_module_trusted(descriptor, checks)
            };
            let pipeline =
                device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(label),
                    layout: None,
                    module: &module,
                    entry_point: Some("main"),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants,
                        // Every word of it is written before it is read.
                        zero_initialize_workgroup_memory: false,
                    },
                    cache: None,
                });
            let uniform = device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("params"),
                size: size_of::<StepParams>() as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let params = StepParams { across, ..params };
            device.queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
            let layout = pipeline.get_bind_group_layout(0);
            let bind = |buffers: &Vec<wgpu::BufferBinding>| {
                let all = std::iter::once(uniform.as_entire_buffer_binding());
                let entries: Vec<_> = (0..)
                    .zip(all.chain(buffers.iter().cloned()))
                    .map(|(binding, buffer)| wgpu::BindGroupEntry {
                        binding,
                        resource: wgpu::BindingResource::Buffer(buffer),
                    })
                    .collect();
                device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(label),
                    layout: &layout,
                    entries: &entries,
                })
            };
            let bindings = groups.iter().map(bind).collect();
            let workgroups = (across, workgroups.div_ceil(across).max(1));
            Ok(Self { pipeline, bindings, workgroups })
        })?;
        Ok(call)
    }

    /// Runs it after what `pass` holds so far, at a place in the batch.
    pub fn record(&self, pass: &mut ComputePass, place: u32) {
        self.record_first(pass, place, u32::MAX);
    }

    /// Runs so many of its workgroups, perhaps a few more, if it has them.
    pub fn record_first(&self, pass: &mut ComputePass, place: u32, workgroups: u32) {
        let group = (place as usize).min(self.bindings.len() - 1);
        let (across, down) = self.workgroups;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings[group], &[]);
        let down = down.min(workgroups.div_ceil(across));
        pass.dispatch_workgroups(across.min(workgroups), down, 1);
    }
}

/// Whole buffers.
pub fn whole<'a>(buffers: &[&'a Buffer]) -> Vec<wgpu::BufferBinding<'a>> {
    buffers.iter().map(|buffer| buffer.as_entire_buffer_binding()).collect()
}

/// The sums of all segments of one side, from factors that are on the device.
pub struct Pass {
    /// Of every panel.
    sums: Vec<Prepared>,
    /// Where the segments of each line begin, and their sums, of all panels.
    segment_ptr: Buffer,
    segment_sums: Buffer,
}

impl Pass {
    /// A pass with the blocks of `scaling` and factors of units in `own` and `other`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new<V: Value>(
        matrix: &Matrix<V>,
        side: Side,
        (own, other): (&Buffer, &Buffer),
        scaling: &Scaling,
    ) -> Result<Self> {
        let device = &matrix.device;
        let lines = matrix.lines(side)?;
        let no_units = vec![0; scaling.origin.len()];
        let view = [View::floating(scaling, |f| f)];
        let uploaded = factors::Factors::new(device, side, &view, &no_units, &[])?;
        let factors = factors::Factors { own: own.clone(), other: other.clone(), ..uploaded };
        let kernel = match side {
            Side::Origins => Kernel::OriginSums,
            Side::Destinations => Kernel::DestinationSums,
        };
        let program = matrix.programs.get(kernel, Arithmetic::F64, V::TYPE, &factors)?;
        let (segment_ptr, starts, end) = places(lines, no_units.len());
        let segment_sums = storage(device, "sums of segments", end)?;
        let panels = lines.resident().zip(starts);
        let sums = panels.map(|((panel, data), out_offset)| {
            let params = Params { end: panel.len() as u32, ..Params::default() };
            let entries = Entries { out_offset, ..panel.bind(data, &segment_sums) };
            matrix.programs.prepare(&program, &factors, entries, params)
        });
        let sums = checked(device, "preparing passes", || Ok(sums.collect()))?;
        let segment_ptr = storage_of(device, "segments of lines", &segment_ptr)?;
        Ok(Self { sums, segment_ptr, segment_sums })
    }
}

/// Where the sums of segments are: of each line the first and, at the end, one past the last; of
/// each panel the first byte; and the end.
///
/// A panel's sums begin where they may be bound. What lies between two panels is never written and
/// stays 0: it counts to the line that comes after it.
fn places<V: Value>(lines: &Lines<V>, number: usize) -> (Vec<u32>, Vec<u64>, u64) {
    let mut ptr = vec![0_u32; number + 1];
    let (mut starts, mut end) = (Vec::new(), 0_u64);
    for panel in lines.panels() {
        let start = end.next_multiple_of(ALIGNMENT);
        let gap = (start - end) / 8;
        ptr[panel.segments[0].line as usize + 1] += gap as u32;
        for segment in &panel.segments[..panel.len()] {
            ptr[segment.line as usize + 1] += 1;
        }
        starts.push(start);
        end = start + 8 * panel.len() as u64;
    }
    for line in 0..number {
        ptr[line + 1] += ptr[line];
    }
    (ptr, starts, end)
}

/// The kernels of one constraint, in the order of a step.
pub struct StepCalls {
    /// Sums of segments, where the margin counts movers.
    pass: Option<Pass>,
    calls: [Call; 3],
}

/// Buffers that all steps use.
pub struct Shared<'a> {
    /// Persons who stayed, per unit.
    pub stayers: &'a Buffer,
    /// Their factors.
    pub stayer_factors: &'a Buffer,
    /// Sums by unit of the present step.
    pub unit_sums: &'a Buffer,
}

/// Lanes that add up a cell of a margin, and workgroups for all of its cells.
fn cell_groups(partition: &Partition) -> (u32, u32) {
    let lanes = if partition.cells() == partition.units() { 1 } else { CELL_LANES };
    (lanes, (partition.cells() as u32).div_ceil(WORKGROUP / lanes).max(1))
}

/// Bytes of the partial measures of a step on a margin.
pub fn measures_bytes(margin: &Margin) -> u64 {
    let (_, groups) = cell_groups(margin.partitions().next().expect("one partition"));
    size_of::<Measures>() as u64 * u64::from(groups)
}

impl StepCalls {
    /// The kernels of a margin; `own` are the factors it changes, `slots` where each iteration of a
    /// batch leaves its measures.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(
        device: &Device,
        pass: Pass,
        margin: &Margin,
        goals: &[CellGoal],
        own: &Buffer,
        shared: &Shared,
        slots: &[wgpu::BufferBinding],
    ) -> Result<Self> {
        let partition: &Partition = margin.partitions().next().expect("one partition");
        let (cell_ptr, members) = partition.members();
        let (lanes, cell_groups) = cell_groups(partition);
        let units = partition.units() as u32;
        let cells = partition.cells() as u32;
        let params = StepParams {
            units,
            cells,
            movers: margin.entries.movers().into(),
            stayers: margin.entries.stayers().into(),
            measures: cell_groups,
            ..StepParams::default()
        };
        let cell_ptr = storage_of(device, "members of cells", &cell_ptr)?;
        let members = storage_of(device, "members of cells", &members)?;
        let cell_of = storage_of(device, "cells of units", partition.cell_of())?;
        let goals = storage_of(device, "goals of cells", goals)?;
        let factors = storage(device, "factors of cells", 8 * u64::from(cells))?;
        let unit_groups = units.div_ceil(WORKGROUP);
        let cell_buffers = whole(&[&cell_ptr, &members, shared.unit_sums, &goals, &factors]);
        let cell_buffers: Vec<_> = slots
            .iter()
            .map(|slot| [&cell_buffers[..], std::slice::from_ref(slot)].concat())
            .collect();
        let calls = [
            Call::new(
                device,
                StepKernel::UnitSums,
                &[],
                params,
                unit_groups,
                &[whole(&[
                    &pass.segment_ptr,
                    &pass.segment_sums,
                    own,
                    shared.stayers,
                    shared.stayer_factors,
                    shared.unit_sums,
                ])],
            )?,
            Call::new(
                device,
                StepKernel::Factors,
                &[("LANES", f64::from(lanes))],
                params,
                cell_groups,
                &cell_buffers,
            )?,
            Call::new(
                device,
                StepKernel::Scaling,
                &[],
                params,
                unit_groups,
                &[whole(&[&cell_of, &factors, own, shared.stayer_factors])],
            )?,
        ];
        let pass = margin.entries.movers().then_some(pass);
        Ok(Self { pass, calls })
    }

    /// The step of one iteration, at its place in the batch.
    pub fn record(&self, pass: &mut ComputePass, place: u32) {
        for sums in self.pass.iter().flat_map(|pass| &pass.sums) {
            sums.record(pass);
        }
        for call in &self.calls {
            call.record(pass, place);
        }
    }
}
