//! What graphics adapters there are, and which of them to use.

use std::fmt::{self, Display};

use serde::Serialize;

use super::device::Options;
use crate::{Error, Result};

/// A graphics adapter of this machine, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// Place in the list, from 0.
    pub index: usize,
    /// Name, as the driver spells it.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The interface it is used through: `vulkan`, `metal` or `dx12`.
    pub backend: &'static str,
    /// Name of the driver.
    pub driver: String,
    /// Version of the driver.
    pub driver_info: String,
    /// PCI number of the vendor.
    pub vendor: u32,
    /// PCI number of the device.
    pub device: u32,
    /// Whether a CPU does its work.
    pub software: bool,
    /// Memory of its own or, for one without, what it may use of the machine's; where known.
    pub memory_bytes: Option<u64>,
    /// What it can do.
    pub abilities: Abilities,
    /// Sizes it allows.
    pub limits: AdapterLimits,
    /// Whether `auto` takes it, and why.
    pub auto: Verdict,
}

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A graphics card.
    Discrete,
    /// Part of the processor, with shared memory.
    Integrated,
    /// A share of a card of another machine or of its host.
    Virtual,
    /// A program that runs on the CPU.
    Cpu,
    /// Not known.
    Other,
}

/// What an adapter can do beyond 32-bit arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Abilities {
    /// 64-bit floating point.
    pub f64: bool,
    /// 64-bit integers.
    pub int64: bool,
    /// 16-bit floating point.
    pub f16: bool,
    /// Subgroup operations.
    pub subgroups: Option<SubgroupSizes>,
}

/// Invocations of a subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SubgroupSizes {
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// Sizes that matter to matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterLimits {
    /// Bytes of a buffer as a shader sees it.
    pub storage_binding_bytes: u64,
    /// Bytes of a buffer.
    pub buffer_bytes: u64,
    /// Workgroups in each dimension of a dispatch.
    pub workgroups_per_dimension: u32,
    /// Buffers that a shader may use.
    pub storage_buffers_per_stage: u32,
    /// Invocations of a workgroup.
    pub workgroup_invocations: u32,
}

/// Whether an adapter is used, and the reason in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it is.
    pub chosen: bool,
    /// Why.
    pub reason: String,
}

/// Buffers that one shader needs, the least WebGPU promises.
const STORAGE_BUFFERS: u32 = 8;

/// Invocations of the workgroups of the shaders.
const INVOCATIONS: u32 = 128;

impl Adapter {
    /// Why no shader would run, if so.
    fn unfit(&self) -> Option<String> {
        let limits = self.limits;
        [
            ("storage buffers per shader", limits.storage_buffers_per_stage, STORAGE_BUFFERS),
            ("invocations per workgroup", limits.workgroup_invocations, INVOCATIONS),
        ]
        .into_iter()
        .find(|(_, has, needed)| has < needed)
        .map(|(what, has, needed)| format!("it has {has} {what}, {needed} are needed"))
    }

    /// The better, the lower.
    fn rank(&self) -> (u8, u8, usize) {
        let kind = match self.kind {
            Kind::Discrete => 0,
            Kind::Integrated => 1,
            Kind::Virtual | Kind::Other => 2,
            Kind::Cpu => 3,
        };
        // A card may be listed once per interface; only Vulkan has f64.
        let backend = u8::from(self.backend != "vulkan");
        (kind, backend, self.index)
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Cpu => "cpu",
            Self::Other => "other",
        })
    }
}

/// Every graphics adapter, in the order of the drivers, and what `auto` makes of it under these
/// options.
///
/// # Errors
/// If the options name an adapter that is not there; the list is then to be had without the name.
pub fn adapters(options: &Options) -> Result<Vec<Adapter>> {
    let mut adapters: Vec<Adapter> = enumerate().into_iter().map(|(_, adapter)| adapter).collect();
    explain(&mut adapters, options)?;
    Ok(adapters)
}

/// Says of every adapter whether and why `auto` takes it.
fn explain(adapters: &mut [Adapter], options: &Options) -> Result<()> {
    let options = Options { allow_software: false, ..options.clone() };
    let chosen = match (choose(adapters, &options), &options.adapter) {
        (Ok(index), _) => Some(index),
        (Err(problem), Some(_)) => return Err(problem),
        (Err(_), None) => None,
    };
    for k in 0..adapters.len() {
        let reason = match (&options.adapter, chosen) {
            (Some(name), _) if chosen == Some(k) => format!("it is named by `{name}`"),
            (Some(name), _) => format!("another is named by `{name}`"),
            (None, _) if adapters[k].software => {
                "it is software, which is slower than the passes on the CPU; name it to use it"
                    .to_owned()
            }
            (None, _) if adapters[k].unfit().is_some() => adapters[k].unfit().unwrap_or_default(),
            (None, Some(best)) if best != k => {
                format!("adapter {best}, {}, is preferred", adapters[best].kind)
            }
            (None, _) => format!("it is the first {} adapter", adapters[k].kind),
        };
        adapters[k].auto = Verdict { chosen: chosen == Some(k), reason };
    }
    Ok(())
}

/// The adapter to use: the one that is named; else the best that is no software, discrete before
/// integrated before others; else, where allowed, software.
pub(super) fn choose(adapters: &[Adapter], options: &Options) -> Result<usize> {
    if adapters.is_empty() {
        return Err(Error::device(
            "no graphics adapter was found; install a Vulkan loader and driver (on Debian \
             libvulkan1 and the vendor's driver or mesa-vulkan-drivers)",
        ));
    }
    if let Some(name) = &options.adapter {
        let named = named(adapters, name)?;
        return match named.unfit() {
            None => Ok(named.index),
            Some(why) => Err(Error::device(format!("{}: cannot be used, {why}", named.name))),
        };
    }
    let fit = adapters.iter().filter(|a| a.unfit().is_none());
    let (software, real): (Vec<&Adapter>, Vec<&Adapter>) = fit.partition(|a| a.software);
    let best = real.into_iter().min_by_key(|a| a.rank());
    let fallback = software.into_iter().min_by_key(|a| a.rank());
    best.or(fallback.filter(|_| options.allow_software)).map(|a| a.index).ok_or_else(|| {
        Error::device(format!(
            "no graphics adapter that can be used, only {}; --adapter names one",
            listed(adapters)
        ))
    })
}

/// The adapter of an index or of a part of a name, in any case.
fn named<'a>(adapters: &'a [Adapter], name: &str) -> Result<&'a Adapter> {
    let part = name.trim().to_lowercase();
    let index = part.parse().ok();
    if let Some(adapter) = index.and_then(|index: usize| adapters.get(index)) {
        return Ok(adapter);
    }
    // A number of three digits may be part of a name, a shorter one is a wrong index.
    let is_part = !part.is_empty() && (index.is_none() || part.len() > 2);
    let matches = |a: &&Adapter| is_part && a.name.to_lowercase().contains(&part);
    let found: Vec<&Adapter> = adapters.iter().filter(matches).collect();
    match found.iter().min_by_key(|a| a.rank()) {
        // Of equal cards, and of one card under several interfaces, any will do.
        Some(best) if found.iter().all(|a| a.name == best.name) => Ok(best),
        Some(_) => Err(Error::device(format!(
            "adapter `{name}`: expected a name or index of one adapter, found {}",
            listed(found)
        ))),
        None => Err(Error::device(format!(
            "adapter `{name}`: expected an index or a part of a name, found {}",
            listed(adapters)
        ))),
    }
}

/// `0: NVIDIA H100 (discrete), 1: llvmpipe (cpu)`.
fn listed<'a>(adapters: impl IntoIterator<Item = &'a Adapter>) -> String {
    let describe = |a: &Adapter| format!("{}: {} ({}, {})", a.index, a.name, a.kind, a.backend);
    adapters.into_iter().map(describe).collect::<Vec<_>>().join(", ")
}

/// Every adapter, with what wgpu needs to open it.
pub(super) fn enumerate() -> Vec<(wgpu::Adapter, Adapter)> {
    // Indirect validation would cut buffers to 4 GiB. No memory thresholds: wgpu 30 compares an
    // upload to the window through which the CPU sees a card's memory (often 256 MiB), and calls
    // that out of memory though it would have used the machine's.
    let indirect = wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        flags: wgpu::InstanceFlags::from_env_or_default().difference(indirect),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let described = adapters.into_iter().enumerate().map(|(index, adapter)| {
        let report = describe(index, &adapter);
        (adapter, report)
    });
    described.collect()
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> Adapter {
    let (info, features, own) = (adapter.get_info(), adapter.features(), adapter.limits());
    let subgroups = features
        .contains(wgpu::Features::SUBGROUP)
        .then_some(SubgroupSizes { min: info.subgroup_min_size, max: info.subgroup_max_size });
    Adapter {
        index,
        software: info.device_type == wgpu::DeviceType::Cpu || is_software(&info.name),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
            wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
            wgpu::DeviceType::VirtualGpu => Kind::Virtual,
            wgpu::DeviceType::Cpu => Kind::Cpu,
            wgpu::DeviceType::Other => Kind::Other,
        },
        backend: info.backend.to_str(),
        name: info.name,
        driver: info.driver,
        driver_info: info.driver_info,
        vendor: info.vendor,
        device: info.device,
        memory_bytes: memory_bytes(adapter),
        abilities: Abilities {
            f64: features.contains(wgpu::Features::SHADER_F64),
            int64: features.contains(wgpu::Features::SHADER_INT64),
            f16: features.contains(wgpu::Features::SHADER_F16),
            subgroups,
        },
        limits: AdapterLimits {
            storage_binding_bytes: own.max_storage_buffer_binding_size,
            buffer_bytes: own.max_buffer_size,
            workgroups_per_dimension: own.max_compute_workgroups_per_dimension,
            storage_buffers_per_stage: own.max_storage_buffers_per_shader_stage,
            workgroup_invocations: own.max_compute_invocations_per_workgroup,
        },
        auto: Verdict { chosen: false, reason: String::new() },
    }
}

/// Names of software renderers, some of which do not say so.
fn is_software(name: &str) -> bool {
    let name = name.to_lowercase();
    ["llvmpipe", "lavapipe", "swiftshader", "softpipe", "basic render"]
        .iter()
        .any(|software| name.contains(software))
}

/// The largest memory that the adapter calls its own.
#[cfg(not(target_vendor = "apple"))]
fn memory_bytes(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are used while the adapter lives, to ask a question only.
    let properties = unsafe {
        let raw = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = raw.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(raw.raw_physical_device())
    };
    let heaps = &properties.memory_heaps[..properties.memory_heap_count as usize];
    // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    heaps.iter().filter(|heap| heap.flags.as_raw() & 1 != 0).map(|heap| heap.size).max()
}

#[cfg(target_vendor = "apple")]
fn memory_bytes(_: &wgpu::Adapter) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests;
