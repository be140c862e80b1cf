//! Running a shader over segments.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use wgpu::{BindingType, BufferBindingType, BufferUsages, ShaderStages};

use super::buffer::checked;
use super::device::Feature;
use super::shader::{Arithmetic, Kernel, Variant};
use super::{Device, factors::Factors};
use crate::matrix::ValueType;
use crate::{Error, Result};

/// Lanes of a workgroup, as in `shaders/common.wgsl`.
const WORKGROUP: u32 = 128;

/// Lanes of a team that is no subgroup, as in the shaders.
const LANES: u32 = 32;

/// What a dispatch is told beside its buffers.
///
/// Keep in sync with `shaders/common.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Params {
    /// First segment.
    pub first: u32,
    /// One past the last segment.
    pub end: u32,
    /// Segments per workgroup.
    pub teams: u32,
    /// Workgroups in x.
    pub across: u32,
    /// Lines of the matrix.
    pub lines: u32,
    /// Units at the other end.
    pub others: u32,
    /// Where the output begins.
    pub base: u32,
    /// Length of the output.
    pub length: u32,
    /// Unit of the sums, where all have the same.
    pub unit: i32,
    /// Not used.
    pub pad_0: u32,
    /// Not used.
    pub pad_1: u32,
    /// Not used.
    pub pad_2: u32,
}

/// The buffers a kernel reads entries from, and the one it writes.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    /// Segments and one more.
    pub segments: &'a wgpu::Buffer,
    /// Unit at the other end of every entry.
    pub others: &'a wgpu::Buffer,
    /// Seed of every entry.
    pub values: &'a wgpu::Buffer,
    /// Results.
    pub out: &'a wgpu::Buffer,
    /// Byte of `out` where they begin.
    pub out_offset: u64,
}

/// A shader ready to run.
#[derive(Clone, Debug)]
pub struct Program {
    pipeline: wgpu::ComputePipeline,
    label: &'static str,
    teams: u32,
}

/// A program with its buffers, to be run any number of times: binding them takes longer than
/// recording a dispatch.
#[derive(Debug)]
pub struct Prepared {
    pipeline: wgpu::ComputePipeline,
    label: &'static str,
    /// Buffers, and workgroups in x and y.
    dispatches: Vec<(wgpu::BindGroup, u32, u32)>,
}

impl Prepared {
    /// Runs it after what `pass` holds so far.
    pub fn record(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
        for (bindings, across, down) in &self.dispatches {
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(*across, *down, 1);
        }
    }
}

/// The shaders of one device, each compiled when it is first asked for.
#[derive(Debug)]
pub struct Programs {
    device: Arc<Device>,
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    compiled: RefCell<HashMap<(Variant, u32, u32), Program>>,
}

impl Programs {
    /// None compiled yet.
    pub fn new(device: Arc<Device>) -> Self {
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let entries: Vec<_> = (0..=8)
            .map(|binding| {
                let ty = match binding {
                    0 => BufferBindingType::Uniform,
                    _ => BufferBindingType::Storage { read_only: binding != 8 },
                };
                entry(binding, ty)
            })
            .collect();
        let bindings = device.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("movers"),
            entries: &entries,
        });
        let layout = device.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("movers"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { device, bindings, layout, compiled: RefCell::default() }
    }

    /// Fixed point the way this device computes it.
    pub fn fixed(&self) -> Arithmetic {
        if self.device.has(Feature::Int64) { Arithmetic::FixedInt64 } else { Arithmetic::FixedU32 }
    }

    /// The program of a kernel for the blocks of `factors`.
    ///
    /// # Errors
    /// If the device cannot run or does not accept it.
    pub fn get(
        &self,
        kernel: Kernel,
        arithmetic: Arithmetic,
        storage: ValueType,
        factors: &Factors,
    ) -> Result<Program> {
        if arithmetic == Arithmetic::F64 && !self.device.has(Feature::F64) {
            return Err(Error::device(format!(
                "{} has no 64-bit floating point",
                self.device.info.name
            )));
        }
        let subgroups = kernel.reduces() && self.device.has(Feature::Subgroups);
        let variant = Variant { kernel, arithmetic, storage, subgroups };
        let key = (variant, factors.blocks, factors.blocks_before);
        if let Some(program) = self.compiled.borrow().get(&key) {
            return Ok(program.clone());
        }
        let program = self.compile(variant, factors)?;
        self.compiled.borrow_mut().insert(key, program.clone());
        Ok(program)
    }

    fn compile(&self, variant: Variant, factors: &Factors) -> Result<Program> {
        let label = variant.kernel.name();
        let source = variant.source();
        let pipeline = checked(&self.device, &format!("compiling {label}"), || {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(label),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            };
            // SAFETY: the shaders index segments below `params.end`, entries below the start of the
            // next segment, and factors, cells and tables by what `Lines` and `Factors` have put
            // there for just these sizes; their loops count up to such a bound; they divide by
            // constants.
            let module = unsafe {
                let checks = wgpu::ShaderRuntimeChecks::unchecked();
                self.device.device.create_shader_module_trusted(descriptor, checks)
            };
            let mut constants = vec![("BLOCKS", f64::from(factors.blocks))];
            if variant.kernel == Kernel::L1Change {
                constants.push(("BLOCKS_BEFORE", f64::from(factors.blocks_before)));
            }
            Ok(self.device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&self.layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // Every word of it is written before it is read.
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            }))
        })?;
        let lanes = if variant.subgroups { self.device.info.subgroup_max_size } else { LANES };
        Ok(Program { pipeline, label, teams: (WORKGROUP / lanes.max(1)).max(1) })
    }

    /// Runs a program over the segments `first .. end` of `params`; the other fields are those of
    /// the output.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        program: &Program,
        factors: &Factors,
        entries: Entries,
        params: Params,
    ) {
        let prepared = self.prepare(program, factors, entries, params);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(prepared.label),
            timestamp_writes: None,
        });
        prepared.record(&mut pass);
    }

    /// A program for the segments `first .. end` of `params`; the other fields are those of the
    /// output.
    pub fn prepare(
        &self,
        program: &Program,
        factors: &Factors,
        entries: Entries,
        params: Params,
    ) -> Prepared {
        let mut dispatches = Vec::new();
        let side = self.device.limits.workgroups;
        let most = u64::from(side) * u64::from(side) * u64::from(program.teams);
        let mut first = params.first;
        while first < params.end {
            let segments = u64::from(params.end - first).min(most) as u32;
            let workgroups = segments.div_ceil(program.teams);
            let across = workgroups.min(side);
            let params = Params {
                first,
                end: first + segments,
                teams: program.teams,
                across,
                lines: factors.lines,
                others: factors.others,
                ..params
            };
            let bindings = self.bind(params, factors, entries);
            dispatches.push((bindings, across, workgroups.div_ceil(across)));
            first += segments;
        }
        Prepared { pipeline: program.pipeline.clone(), label: program.label, dispatches }
    }

    fn bind(&self, params: Params, factors: &Factors, entries: Entries) -> wgpu::BindGroup {
        let uniform = self.device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: size_of::<Params>() as u64,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.device.queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
        let buffers = [
            &uniform,
            entries.segments,
            entries.others,
            entries.values,
            &factors.own,
            &factors.other,
            &factors.cells,
            &factors.table,
        ]
        .map(wgpu::Buffer::as_entire_buffer_binding);
        let out =
            wgpu::BufferBinding { buffer: entries.out, offset: entries.out_offset, size: None };
        let entries: Vec<_> = (0..)
            .zip(buffers.into_iter().chain([out]))
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer),
            })
            .collect();
        self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("movers"),
            layout: &self.bindings,
            entries: &entries,
        })
    }
}
