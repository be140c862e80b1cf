//! Where passes over entries run, and in which arithmetic.

use std::sync::Arc;

use super::backend::Backend;
use super::exact::Exact;
use super::twin::Twin;
use super::{Cpu, Precision, gpu};
use crate::Result;
use crate::gpu::Device;
use crate::matrix::{FlowMatrix, Value};

/// Where passes over entries run, and in which arithmetic.
#[derive(Clone, Debug, Default)]
pub enum Engine {
    /// On the CPU in `f64`.
    #[default]
    Cpu,
    /// On the CPU in fixed point: every bit as on a GPU.
    CpuExact,
    /// On a graphics device.
    Gpu(Arc<Device>, Precision),
}

impl Engine {
    /// The passes over one matrix.
    ///
    /// # Errors
    /// If a device fails.
    pub(crate) fn backend<'a, V: Value>(
        &self,
        matrix: &'a FlowMatrix<V>,
    ) -> Result<Box<dyn Backend<V> + 'a>> {
        Ok(match self {
            Self::Cpu => Box::new(Cpu::new(matrix)),
            Self::Gpu(device, precision) => gpu::backend(device, *precision, matrix)?,
            Self::CpuExact => Box::new(Exact::new(matrix, Box::new(Twin::new(matrix)))),
        })
    }
}
