//! Composing a shader from the pieces in `shaders/`.

use crate::matrix::ValueType;

/// What a shader computes; named like its file and its twin in [`crate::kernels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Segment sums of origins.
    OriginSums,
    /// Segment sums of destinations.
    DestinationSums,
    /// Sums of classes.
    ClassSums,
    /// Segment sums of differences between two scalings.
    L1Change,
    /// Every harmonized mover.
    HarmonizedRow,
}

impl Kernel {
    /// Its file, without extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::OriginSums => "origin_sums",
            Self::DestinationSums => "destination_sums",
            Self::ClassSums => "class_sums",
            Self::L1Change => "l1_change",
            Self::HarmonizedRow => "harmonized_row",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::OriginSums => include_str!("../../shaders/origin_sums.wgsl"),
            Self::DestinationSums => include_str!("../../shaders/destination_sums.wgsl"),
            Self::ClassSums => include_str!("../../shaders/class_sums.wgsl"),
            Self::L1Change => include_str!("../../shaders/l1_change.wgsl"),
            Self::HarmonizedRow => include_str!("../../shaders/harmonized_row.wgsl"),
        }
    }

    /// Whether a team adds up a segment, rather than every lane writing by itself.
    pub fn reduces(self) -> bool {
        !matches!(self, Self::ClassSums | Self::HarmonizedRow)
    }
}

/// What a shader of a whole step on the device computes, in `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKernel {
    /// Persons of each unit.
    UnitSums,
    /// Factors of cells.
    Factors,
    /// Factors of units.
    Scaling,
    /// Measures of the steps of a batch.
    Measures,
}

impl StepKernel {
    /// Its file, without extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnitSums => "unit_sums",
            Self::Factors => "factors",
            Self::Scaling => "scaling",
            Self::Measures => "measures",
        }
    }

    /// The WGSL of this shader.
    pub fn source(self) -> String {
        let step = include_str!("../../shaders/step.wgsl");
        let measure = include_str!("../../shaders/measure.wgsl");
        match self {
            Self::UnitSums => [step, include_str!("../../shaders/unit_sums.wgsl")].join("\n"),
            Self::Factors => [step, measure, include_str!("../../shaders/factors.wgsl")].join("\n"),
            Self::Scaling => [step, include_str!("../../shaders/scaling.wgsl")].join("\n"),
            Self::Measures => {
                [step, measure, include_str!("../../shaders/measures.wgsl")].join("\n")
            }
        }
    }
}

/// The arithmetic of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// Fixed point, with 64-bit integers.
    FixedInt64,
    /// Fixed point, with 32-bit integers.
    FixedU32,
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
}

/// One shader among its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// What it computes.
    pub kernel: Kernel,
    /// In which arithmetic.
    pub arithmetic: Arithmetic,
    /// From seeds of this type.
    pub storage: ValueType,
    /// With subgroups as teams.
    pub subgroups: bool,
}

impl Variant {
    /// The WGSL of this shader.
    ///
    /// # Panics
    /// If the kernel has no such variant: all but the sums are in fixed point.
    pub fn source(self) -> String {
        let sums = matches!(self.kernel, Kernel::OriginSums | Kernel::DestinationSums);
        let fixed = matches!(self.arithmetic, Arithmetic::FixedInt64 | Arithmetic::FixedU32);
        assert!(sums || fixed, "{self:?}");
        let mut pieces = vec![include_str!("../../shaders/common.wgsl")];
        pieces.extend(self.numbers());
        if self.kernel.reduces() {
            pieces.push(include_str!("../../shaders/segment_sum.wgsl"));
            pieces.push(if self.subgroups {
                include_str!("../../shaders/reduce_subgroup.wgsl")
            } else {
                include_str!("../../shaders/reduce_workgroup.wgsl")
            });
        }
        pieces.push(self.kernel.source());
        pieces.join("\n")
    }

    /// How seeds are read and products added up.
    fn numbers(self) -> Vec<&'static str> {
        let values_f16 = include_str!("../../shaders/values_f16.wgsl");
        let values_f32 = include_str!("../../shaders/values_f32.wgsl");
        let mut pieces = match self.arithmetic {
            Arithmetic::F32 => {
                let values = match self.storage {
                    ValueType::F16 => values_f16,
                    ValueType::F32 => values_f32,
                    ValueType::F64 => include_str!("../../shaders/values_f64_as_f32.wgsl"),
                };
                return vec![values, include_str!("../../shaders/sum_f32.wgsl")];
            }
            Arithmetic::F64 => {
                let sum = include_str!("../../shaders/sum_f64.wgsl");
                let widened = include_str!("../../shaders/values_widened.wgsl");
                return match self.storage {
                    ValueType::F16 => vec![values_f16, widened, sum],
                    ValueType::F32 => vec![values_f32, widened, sum],
                    ValueType::F64 => {
                        vec![include_str!("../../shaders/values_f64_native.wgsl"), sum]
                    }
                };
            }
            Arithmetic::FixedInt64 => vec![include_str!("../../shaders/product_int64.wgsl")],
            Arithmetic::FixedU32 => vec![include_str!("../../shaders/product_u32.wgsl")],
        };
        let fixed_24 = include_str!("../../shaders/fixed_24.wgsl");
        pieces.extend(match self.storage {
            ValueType::F16 => [values_f16, fixed_24],
            ValueType::F32 => [values_f32, fixed_24],
            ValueType::F64 => [
                include_str!("../../shaders/values_f64.wgsl"),
                include_str!("../../shaders/fixed_53.wgsl"),
            ],
        });
        pieces.push(include_str!("../../shaders/fixed.wgsl"));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, SubgroupOperationSet, ValidationFlags, Validator};

    use super::*;

    /// Every shader there is.
    fn variants() -> Vec<Variant> {
        let mut all = Vec::new();
        for kernel in [
            Kernel::OriginSums,
            Kernel::DestinationSums,
            Kernel::ClassSums,
            Kernel::L1Change,
            Kernel::HarmonizedRow,
        ] {
            let sums = matches!(kernel, Kernel::OriginSums | Kernel::DestinationSums);
            let fixed = [Arithmetic::FixedInt64, Arithmetic::FixedU32];
            let floating = [Arithmetic::F64, Arithmetic::F32];
            for arithmetic in fixed.into_iter().chain(floating.into_iter().filter(|_| sums)) {
                for storage in [ValueType::F16, ValueType::F32, ValueType::F64] {
                    for subgroups in [false, true] {
                        all.push(Variant { kernel, arithmetic, storage, subgroups });
                    }
                }
            }
        }
        all
    }

    /// Every shader's source, and what it needs of a device.
    fn sources() -> Vec<(String, Capabilities)> {
        let needs = |variant: &Variant| {
            let mut needs = Capabilities::empty();
            needs.set(Capabilities::SHADER_INT64, variant.arithmetic == Arithmetic::FixedInt64);
            needs.set(Capabilities::FLOAT64, variant.arithmetic == Arithmetic::F64);
            needs.set(Capabilities::SUBGROUP, variant.subgroups);
            needs
        };
        let passes = variants().into_iter().map(|variant| (variant.source(), needs(&variant)));
        let steps =
            [StepKernel::UnitSums, StepKernel::Factors, StepKernel::Scaling, StepKernel::Measures]
                .map(|kernel| (kernel.source(), Capabilities::FLOAT64));
        passes.chain(steps).collect()
    }

    fn parse(source: &str) -> naga::Module {
        naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)))
    }

    #[test]
    fn every_shader_is_valid_with_just_what_it_needs() {
        assert_eq!(sources().len(), (2 * 4 + 3 * 2) * 3 * 2 + 4);
        for (source, capabilities) in sources() {
            let mut validator = Validator::new(ValidationFlags::all(), capabilities);
            validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
            validator.subgroup_operations(SubgroupOperationSet::all());
            validator
                .validate(&parse(&source))
                .unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
        }
    }

    #[test]
    fn no_shader_binds_more_than_eight_storage_buffers() {
        for (source, _) in sources() {
            let module = parse(&source);
            let storage = module
                .global_variables
                .iter()
                .filter(|(_, v)| matches!(v.space, naga::AddressSpace::Storage { .. }));
            assert!(storage.count() <= 8, "{source}");
        }
    }

    /// Offsets of the members of a structure, and its size.
    fn layout(source: &str, name: &str) -> (Vec<(String, u32)>, u32) {
        let module = parse(source);
        let found = module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name));
        let naga::TypeInner::Struct { members, span } = &found.expect(name).1.inner else {
            panic!("{name} is no structure");
        };
        let offsets = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset));
        (offsets.collect(), *span)
    }

    macro_rules! assert_in_sync {
        ($source:expr, $name:ident: $($field:ident),*) => {
            let (members, size) = layout(&$source, stringify!($name));
            let here = vec![
                $((stringify!($field).to_owned(), std::mem::offset_of!($name, $field) as u32)),*
            ];
            assert_eq!(members, here);
            assert_eq!(size as usize, size_of::<$name>());
        };
    }

    #[test]
    fn shared_structures_have_one_layout() {
        use super::super::lines::Segment;
        use super::super::pass::Params;
        use super::super::step::StepParams;
        use crate::kernels::factors::{CellGoal, Measures};

        let pass = variants()[0].source();
        assert_in_sync!(
            pass,
            Params: first, end, teams, across, lines, others, base, length, unit, pad_0, pad_1,
            pad_2
        );
        assert_in_sync!(pass, Segment: start, line);
        let step = StepKernel::Factors.source();
        assert_in_sync!(
            step,
            StepParams: units, cells, movers, stayers, across, measures, steps, pad
        );
        assert_in_sync!(
            step,
            CellGoal: kind, padding, goal, goal_unit, reported, reported_unit
        );
        assert_in_sync!(
            step,
            Measures: max_update, total_update, max_violation, total_violation, unsettled
        );
    }
}
