//! Opening a device: what is asked for, what it is left with after its self-test.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::adapters::{self, Adapter};
use super::faults::Faults;
use super::self_test::{self, Refusal};
use crate::{Error, Result};

/// Environment variable that names an adapter, by index or part of its name.
pub const ADAPTER_VARIABLE: &str = "FLOWRAKE_ADAPTER";

/// Environment variable that lists features not to use, separated by commas.
pub const WITHOUT_VARIABLE: &str = "FLOWRAKE_GPU_WITHOUT";

/// Which device to open and how much of it to use.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Index, or part of the name, of an adapter.
    pub adapter: Option<String>,
    /// Whether software devices may be chosen without being named.
    pub allow_software: bool,
    /// Features not to use though the adapter has them: `f64`, `int64`, `subgroups`.
    pub without: Vec<Feature>,
    /// Limits below the adapter's own.
    pub limits: Limits,
}

/// Something an adapter may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Feature {
    /// 64-bit floating point.
    F64,
    /// 64-bit integers.
    Int64,
    /// Subgroup operations.
    Subgroups,
}

/// Sizes not to exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a buffer as a shader sees it.
    pub binding_bytes: u64,
    /// Bytes of a buffer.
    pub buffer_bytes: u64,
    /// Bytes of all buffers that hold a matrix; what exceeds them is uploaded anew in every pass.
    pub memory_bytes: u64,
    /// Workgroups in each dimension of a dispatch.
    pub workgroups: u32,
}

impl Default for Limits {
    /// None but the adapter's own.
    fn default() -> Self {
        Self {
            binding_bytes: u64::MAX,
            buffer_bytes: u64::MAX,
            memory_bytes: u64::MAX,
            workgroups: u32::MAX,
        }
    }
}

impl Options {
    /// The defaults with what the environment asks for: [`ADAPTER_VARIABLE`], [`WITHOUT_VARIABLE`].
    ///
    /// # Errors
    /// If a feature is unknown.
    pub fn from_env() -> Result<Self> {
        let variable = |name| {
            let value = std::env::var_os(name)?.to_string_lossy().trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let without = variable(WITHOUT_VARIABLE).unwrap_or_default();
        Ok(Self {
            adapter: variable(ADAPTER_VARIABLE),
            without: features_of(&without)?,
            ..Self::default()
        })
    }
}

/// The features of a list such as `f64,int64`.
fn features_of(list: &str) -> Result<Vec<Feature>> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let feature = |name: &str| {
        Feature::ALL.into_iter().find(|f| f.to_string().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Error::request(format!(
                "{WITHOUT_VARIABLE}: expected f64, int64 or subgroups, separated by commas, found \
                 `{name}`"
            ))
        })
    };
    names.map(feature).collect()
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 3] = [Self::F64, Self::Int64, Self::Subgroups];

    fn flag(self) -> wgpu::Features {
        match self {
            Self::F64 => wgpu::Features::SHADER_F64,
            Self::Int64 => wgpu::Features::SHADER_INT64,
            Self::Subgroups => wgpu::Features::SUBGROUP,
        }
    }
}

impl Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::Int64 => "int64",
            Self::Subgroups => "subgroups",
        })
    }
}

/// An open device whose arithmetic has been tested.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the name that wgpu gives it")]
pub struct Device {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) info: wgpu::AdapterInfo,
    /// The features used: the adapter has them, nobody declined them, and they passed the test.
    pub(crate) features: Vec<Feature>,
    /// The smaller of what was asked for and the adapter's own.
    pub(crate) limits: Limits,
    pub(super) faults: Faults,
    adapter: Adapter,
    refusals: Vec<Refusal>,
    self_test_s: f64,
}

impl Device {
    /// Opens the named adapter or the best one, with its own limits, and tests it.
    ///
    /// # Errors
    /// If there is none, the name fits none or several, only software is there and not allowed, or
    /// the adapter cannot be opened or computes wrong integers.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let (mut handles, adapters): (Vec<_>, Vec<_>) = adapters::enumerate().into_iter().unzip();
        let chosen = adapters::choose(&adapters, options)?;
        let (handle, adapter) = (handles.swap_remove(chosen), adapters[chosen].clone());
        let mut device = Self::request(&handle, adapter, options)?;
        let start = Instant::now();
        device.refusals = self_test::run(&device)?;
        device.self_test_s = start.elapsed().as_secs_f64();
        device.check()?;
        let Self { features, refusals, .. } = &mut device;
        features.retain(|feature| refusals.iter().all(|refusal| refusal.feature != *feature));
        Ok(Arc::new(device))
    }

    fn request(handle: &wgpu::Adapter, adapter: Adapter, options: &Options) -> Result<Self> {
        let has = |feature: &Feature| {
            !options.without.contains(feature) && handle.features().contains(feature.flag())
        };
        let features: Vec<Feature> = Feature::ALL.into_iter().filter(has).collect();
        let timing =
            wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        let flags = features.iter().fold(timing & handle.features(), |all, f| all | f.flag());
        let own = handle.limits();
        let (device, queue) = pollster::block_on(handle.request_device(&wgpu::DeviceDescriptor {
            label: Some("flowrake"),
            required_features: flags,
            required_limits: own.clone(),
            ..Default::default()
        }))
        .map_err(|e| Error::device(format!("{}: cannot be opened: {e}", adapter.name)))?;
        // The rest is for the other buffers and for other programs.
        let memory = adapter.memory_bytes.map_or(u64::MAX, |bytes| bytes / 10 * 9);
        let asked = options.limits;
        let limits = Limits {
            binding_bytes: asked.binding_bytes.min(own.max_storage_buffer_binding_size),
            buffer_bytes: asked.buffer_bytes.min(own.max_buffer_size),
            memory_bytes: asked.memory_bytes.min(memory),
            workgroups: asked.workgroups.min(own.max_compute_workgroups_per_dimension),
        };
        Ok(Self {
            info: handle.get_info(),
            faults: Faults::of(&device),
            device,
            queue,
            features,
            limits,
            adapter,
            refusals: Vec::new(),
            self_test_s: 0.0,
        })
    }

    /// Whether a feature is used.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Sizes not to exceed: the smaller of what was asked for and the adapter's own, and nine
    /// tenths of its memory.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What it was opened from.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Features that are not used since they failed the test.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Seconds that the self-test took.
    pub fn self_test_s(&self) -> f64 {
        self.self_test_s
    }
}

#[cfg(test)]
mod tests;
