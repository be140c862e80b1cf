//! The number types a seed may be stored in.

/// Number type of stored flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 32-bit IEEE 754.
    F32,
    /// 64-bit IEEE 754.
    F64,
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A stored flow, in persons: `f32` or `f64`. Sums and factors are always `f64`.
pub trait Value: bytemuck::Pod + Send + Sync + Into<f64> + PartialOrd + sealed::Sealed {
    /// Which type this is.
    const TYPE: ValueType;

    /// Nearest value of this type.
    fn from_f64(flow: f64) -> Self;
}

impl Value for f32 {
    const TYPE: ValueType = ValueType::F32;

    fn from_f64(flow: f64) -> Self {
        flow as Self
    }
}

impl Value for f64 {
    const TYPE: ValueType = ValueType::F64;

    fn from_f64(flow: f64) -> Self {
        flow
    }
}
