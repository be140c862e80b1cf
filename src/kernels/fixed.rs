//! Fixed-point arithmetic whose sums have the same bits on every processor, in any order.
//!
//! A term of a sum, seed times factors, becomes an integer: the product of the mantissas, cut to 63
//! bits, shifted to the unit of its sum. Integers add up without rounding, so that neither threads
//! nor the subgroups of a GPU show in the result. Less than a unit is lost per term, and whoever
//! asks for a sum chooses its unit, 61 bits below a bound on it: every row and column its own.
//! A term that is not 0 counts at least one unit, so that only sums of zeros are 0.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::geography::Partition;
use crate::ipf::Scaling;

/// A factor `mantissa x 2^(exponent - 1075)` as the kernels read it: 11 bits of exponent above 53
/// bits of mantissa, whose leading bit is set unless the factor is 0.
///
/// Keep in sync with `shaders/fixed.wgsl`, which reads two words, low first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Factor(u64);

/// The bit that floating-point formats leave out.
const IMPLICIT: u64 = 1 << 52;

impl Factor {
    /// The same number; below 2^-1022 nothing is left of it, nor of the sign of -0.
    ///
    /// # Panics
    /// If it is negative or not finite.
    pub fn new(factor: f64) -> Self {
        assert!(factor >= 0.0 && factor.is_finite(), "a factor of {factor}");
        let bits = factor.abs().to_bits();
        let (exponent, fraction) = (bits >> 52, bits & (IMPLICIT - 1));
        if exponent == 0 { Self(0) } else { Self(exponent << 53 | IMPLICIT | fraction) }
    }

    #[inline]
    pub(super) fn number(self) -> Number {
        Number { mantissa: self.0 & (2 * IMPLICIT - 1), exponent: (self.0 >> 53) as i32 }
    }
}

/// `mantissa x 2^(exponent - 1075)`; the mantissa has 53 bits or is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    mantissa: u64,
    exponent: i32,
}

impl Number {
    /// A seed value, exactly.
    #[inline]
    pub(super) fn of_seed(value: f64) -> Self {
        let bits = value.abs().to_bits();
        let (exponent, fraction) = (bits >> 52, bits & (IMPLICIT - 1));
        if exponent != 0 {
            return Self { mantissa: IMPLICIT | fraction, exponent: exponent as i32 };
        }
        // Below 2^-1022, or 0: shifted until its leading bit is in its place.
        let shift = fraction.leading_zeros() - 11;
        Self { mantissa: fraction << shift, exponent: 1 - shift.cast_signed() }
    }

    /// The product, cut to 63 bits.
    #[inline]
    pub(super) fn product(self, other: Self) -> Product {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa);
        Product { bits: (product >> 43) as u64, exponent: self.exponent + other.exponent }
    }

    /// The product, cut to 53 bits.
    #[inline]
    pub(super) fn times(self, other: Self) -> Self {
        let Product { bits, exponent } = self.product(other);
        let long = (bits >> 62) as u32;
        Self { mantissa: bits >> (9 + long), exponent: exponent - 1023 + long.cast_signed() }
    }
}

/// `bits x 2^(exponent - 2107)`; the bits are 62 or 63, or all 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Product {
    bits: u64,
    exponent: i32,
}

impl Product {
    /// As a multiple of 2^unit, rounded down, but not to 0. The unit must leave the product below
    /// 2^61.
    #[inline]
    pub(super) fn in_units(self, unit: i32) -> u64 {
        let shift = unit + 2107 - self.exponent;
        self.bits.checked_shr(shift as u32).unwrap_or(0).max(u64::from(self.bits != 0))
    }

    /// The same for sums of 128 bits. Beyond 2^125 the result means nothing.
    #[inline]
    pub(super) fn in_wide_units(self, unit: i32) -> u128 {
        let shift = self.exponent - 2107 - unit;
        let bits = u128::from(self.bits);
        let count = if shift >= 0 {
            bits.checked_shl(shift as u32)
        } else {
            bits.checked_shr(shift.unsigned_abs())
        };
        count.unwrap_or(0).max(u128::from(self.bits != 0))
    }
}

/// Bits of the sum of a row or column below its bound.
pub const SUM_BITS: i32 = 61;

/// Bits of the sum of a class below the bound on all classes together.
pub const WIDE_SUM_BITS: i32 = 125;

/// The smallest unit (its power of two) of which any number up to `bound` has fewer than 2^bits.
pub fn unit_for(bound: f64, bits: i32) -> i32 {
    // bound < 2^(biased - 1022)
    let biased = (bound.to_bits() >> 52) as i32;
    biased - 1022 - bits
}

/// `count x 2^unit`, rounded once, or twice below 2^-1022.
pub fn in_persons(count: u128, unit: i32) -> f64 {
    // 2^unit may lie beyond the exponents of f64 where the product does not.
    let half = unit / 2;
    count as f64 * 2.0_f64.powi(half) * 2.0_f64.powi(unit - half)
}

/// A [`Scaling`] of movers in the form the fixed-point kernels read.
#[derive(Clone, Debug)]
pub struct FixedScaling {
    /// Factor of each origin.
    pub origin: Vec<Factor>,
    /// Factor of each destination.
    pub destination: Vec<Factor>,
    /// Factors of pairs of cells.
    pub blocks: Vec<FixedBlock>,
}

/// Factors of every pair of cells of two partitions.
#[derive(Clone, Debug)]
pub struct FixedBlock {
    /// Partition of the origins, P cells.
    pub origin: Arc<Partition>,
    /// Partition of the destinations, Q cells.
    pub destination: Arc<Partition>,
    /// P x Q factors, row by row.
    pub factors: Vec<Factor>,
}

impl FixedScaling {
    /// Converts every factor.
    ///
    /// # Panics
    /// If one is negative or not finite.
    pub fn new(scaling: &Scaling) -> Self {
        let convert = |factors: &[f64]| factors.iter().map(|&f| Factor::new(f)).collect();
        Self {
            origin: convert(&scaling.origin),
            destination: convert(&scaling.destination),
            blocks: scaling
                .blocks
                .iter()
                .map(|block| FixedBlock {
                    origin: block.origin.clone(),
                    destination: block.destination.clone(),
                    factors: convert(&block.factors),
                })
                .collect(),
        }
    }

    /// `factor` times the factors of the blocks that (i, j) is in, in their order.
    #[inline]
    pub(super) fn with_blocks(&self, factor: Number, i: usize, j: usize) -> Number {
        self.blocks.iter().fold(factor, |f, block| {
            let row = block.origin.cell_of()[i] as usize * block.destination.cells();
            f.times(block.factors[row + block.destination.cell_of()[j] as usize].number())
        })
    }

    /// The whole factor of the mover from i to j.
    #[inline]
    pub(super) fn mover(&self, i: usize, j: usize) -> Number {
        let units = self.origin[i].number().times(self.destination[j].number());
        self.with_blocks(units, i, j)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: Number) -> f64 {
        in_persons(number.mantissa.into(), number.exponent - 1075)
    }

    #[test]
    fn numbers_survive() {
        for x in [0.0, -0.0, 1.0, 3.5, 1e-300, 1.7e308, f64::MIN_POSITIVE] {
            assert_eq!(value(Factor::new(x).number()), x);
            assert_eq!(value(Number::of_seed(x)), x);
        }
        for x in [5e-324, 1e-310, f64::MIN_POSITIVE / 2.0, f64::from(f32::MIN_POSITIVE) / 8.0] {
            let seed = Number::of_seed(x);
            assert_eq!(value(seed), x);
            assert_eq!(seed.mantissa >> 52, 1, "{x:e}");
        }
        assert_eq!(Factor::new(1e-310).number().mantissa, 0);
    }

    #[test]
    fn products_are_cut_never_rounded_up() {
        let [a, b] = [1.0 / 3.0, 0.7].map(|x| Factor::new(x).number());
        let exact = (1.0 / 3.0) * 0.7;
        let product = value(a.times(b));
        assert!((exact - product).abs() <= f64::EPSILON * exact);
        let all = Factor::new(2.0 - f64::EPSILON).number();
        // (2 - e)^2 = 4 - 4e + e^2, cut to 4 - 4e
        assert_eq!(value(all.times(all)), 4.0 - 4.0 * f64::EPSILON);
        let one = Factor::new(1.0).number();
        assert_eq!(value(one.times(one)), 1.0);
        assert_eq!(value(one.times(Factor::new(0.0).number())), 0.0);
    }

    #[test]
    fn terms_by_hand() {
        let term = |s: f64, f: f64, unit| {
            Number::of_seed(s).product(Factor::new(f).number()).in_units(unit)
        };
        assert_eq!(term(3.0, 0.5, -4), 24);
        assert_eq!(term(3.0, 0.5, 0), 1);
        assert_eq!(term(3.0, 0.5, 1), 1);
        assert_eq!(term(3.0, 0.5, 200), 1);
        assert_eq!(term(0.0, 0.5, -60), 0);
        assert_eq!(term(3.0, 0.0, -60), 0);
        let wide = |s: f64, f: f64, unit| {
            Number::of_seed(s).product(Factor::new(f).number()).in_wide_units(unit)
        };
        assert_eq!(wide(3.0, 0.5, -4), 24);
        assert_eq!(wide(3.0, 0.5, -120), 3 << 119);
        assert_eq!(wide(1e-30, 1e-30, 200), 1);
        assert_eq!(wide(0.0, 1e-30, 200), 0);
    }

    #[test]
    fn units_leave_room_at_their_edges() {
        for bound in [1.0, 1.0 + f64::EPSILON, 2.0 - f64::EPSILON, 3e8, 1e-300, 1e300] {
            for bits in [SUM_BITS, WIDE_SUM_BITS] {
                let unit = unit_for(bound, bits);
                // Powers of two divide exactly.
                let count = in_persons(1, -unit / 2) * bound * in_persons(1, -unit - -unit / 2);
                let most = 2.0_f64.powi(bits);
                assert!((most / 2.0..most).contains(&count), "{bound:e}: {count:e} of {most:e}");
            }
        }
        // The largest term under the bound: nothing is shifted out to the left.
        for s in [1.0, 2.0 - f64::EPSILON] {
            for f in [1.0, 2.0 - f64::EPSILON] {
                let unit = unit_for(s * f, SUM_BITS);
                let product = Number::of_seed(s).product(Factor::new(f).number());
                let count = product.in_units(unit);
                assert!((1 << (SUM_BITS - 1)..1 << SUM_BITS).contains(&count));
                let unit = unit_for(s * f, WIDE_SUM_BITS);
                let count = product.in_wide_units(unit);
                assert!((1 << (WIDE_SUM_BITS - 1)..1 << WIDE_SUM_BITS).contains(&count));
            }
        }
    }
}
