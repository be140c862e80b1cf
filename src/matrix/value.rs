//! The number types a seed may be stored in.

/// Number type of stored flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// 16-bit IEEE 754, in memory only: files have no such flows.
    F16,
    /// 32-bit IEEE 754.
    F32,
    /// 64-bit IEEE 754.
    F64,
}

impl std::fmt::Display for ValueType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for half::f16 {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A stored flow, in persons: `f16`, `f32` or `f64`. Sums and factors are always `f64`.
pub trait Value: bytemuck::Pod + Send + Sync + Into<f64> + PartialOrd + sealed::Sealed {
    /// Which type this is.
    const TYPE: ValueType;

    /// The smallest number above 0.
    const SMALLEST: Self;

    /// Nearest value of this type.
    fn from_f64(flow: f64) -> Self;

    /// Whether this is a count of persons: finite and not negative.
    fn is_persons(self) -> bool {
        let flow: f64 = self.into();
        flow >= 0.0 && flow.is_finite()
    }
}

impl Value for half::f16 {
    const TYPE: ValueType = ValueType::F16;
    const SMALLEST: Self = Self::from_bits(1);

    fn from_f64(flow: f64) -> Self {
        Self::from_f64(flow)
    }
}

impl Value for f32 {
    const TYPE: ValueType = ValueType::F32;
    const SMALLEST: Self = Self::from_bits(1);

    fn from_f64(flow: f64) -> Self {
        flow as Self
    }
}

impl Value for f64 {
    const TYPE: ValueType = ValueType::F64;
    const SMALLEST: Self = Self::from_bits(1);

    fn from_f64(flow: f64) -> Self {
        flow
    }
}

/// Writes a flow as the shortest text that reads back as the same stored value.
pub(super) fn write_shortest(
    out: &mut impl std::io::Write,
    flow: f64,
    value_type: ValueType,
) -> std::io::Result<()> {
    // Far from 1, zeros would fill the line.
    let plain = flow == 0.0 || (1e-5..1e16).contains(&flow);
    match (value_type, plain) {
        (ValueType::F16 | ValueType::F32, true) => write!(out, "{}", flow as f32),
        (ValueType::F16 | ValueType::F32, false) => write!(out, "{:e}", flow as f32),
        (ValueType::F64, true) => write!(out, "{flow}"),
        (ValueType::F64, false) => write!(out, "{flow:e}"),
    }
}

/// Reads a count of persons; an error is what was expected and found.
pub(super) fn parse_persons(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(flow) if flow.is_persons() => Ok(flow),
        Ok(_) => Err(format!("expected persons >= 0, found `{text}`")),
        Err(_) => Err(format!("expected a number, found `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_short_and_reads_back() {
        let text = |flow, value_type| {
            let mut out = Vec::new();
            write_shortest(&mut out, flow, value_type).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(3.0, ValueType::F64), "3");
        assert_eq!(text(f64::from(0.1_f32), ValueType::F32), "0.1");
        assert_eq!(text(f64::from(0.1_f32), ValueType::F64), "0.10000000149011612");
        assert_eq!(text(5e-324, ValueType::F64), "5e-324");
        assert_eq!(text(f64::MAX, ValueType::F64), "1.7976931348623157e308");
        assert_eq!(text(0.0, ValueType::F64), "0");
    }

    #[test]
    fn persons_are_finite_and_not_negative() {
        assert_eq!(parse_persons("1e3"), Ok(1000.0));
        assert_eq!(parse_persons("-1").unwrap_err(), "expected persons >= 0, found `-1`");
        assert_eq!(parse_persons("NaN").unwrap_err(), "expected persons >= 0, found `NaN`");
        assert_eq!(parse_persons("inf").unwrap_err(), "expected persons >= 0, found `inf`");
        assert_eq!(parse_persons("").unwrap_err(), "expected a number, found ``");
    }
}
