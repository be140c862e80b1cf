//! Passes in fixed point: every sum has the same bits on the CPU, on every GPU and with every driver.
//!
//! The kernels add up integers, counts of a unit that every row, column and class table has for
//! itself ([`kernels::fixed`]). Choosing these units is what this file does. A unit has to be large
//! enough that no sum overflows, for which a bound on the sum must be known, and small enough that
//! the terms keep their bits, for which the bound must be close. The first bound of a row is its seed
//! times the largest factor; a pass then gives one that is nearly tight. Where it is too far from the
//! first, the pass is repeated with the better unit. From then on a sum is at most its last value
//! times the largest ratio of a new factor to the old one, which is close to 1.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use super::backend::{Backend, class_table};
use super::{BlockFactors, Cpu, Entries, SUM_ROUNDING, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::kernels::fixed::{FixedScaling, SUM_BITS, WIDE_SUM_BITS, in_persons, unit_for};
use crate::matrix::{Csr, FlowMatrix, Value};

/// The kernels in fixed point over one matrix: on the CPU ([`Twin`](super::twin::Twin)) or on a GPU.
pub(crate) trait FixedPasses {
    /// Movers of each origin before its own factor, in 2^units\[i\] persons.
    fn origin_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>>;
    /// Movers to each destination before its own factor, in 2^units\[j\] persons.
    fn destination_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>>;
    /// Movers by pair of cells (P x Q), in 2^unit persons.
    fn class_sums(
        &self,
        p: &Partition,
        q: &Partition,
        scaling: &FixedScaling,
        unit: i32,
    ) -> Result<Vec<u128>>;
    /// Sum of |change| of the movers of each origin, in 2^units\[i\] persons.
    fn l1_change(
        &self,
        before: &FixedScaling,
        after: &FixedScaling,
        units: &[i32],
    ) -> Result<Vec<u64>>;
}

/// A matrix whose sums are computed in fixed point.
pub(crate) struct Exact<'a, V> {
    cpu: Cpu<'a, V>,
    passes: Box<dyn FixedPasses + 'a>,
    origin: Side,
    destination: Side,
}

/// What is known about the sums of all rows, or of all columns.
#[derive(Default)]
struct Side {
    /// Number of terms of each sum, and their total in the seed, rounded up.
    seed: OnceLock<(Vec<u64>, Vec<f64>)>,
    last: RefCell<Option<Last>>,
}

/// The last sums and the factors they were found with.
struct Last {
    factors: Vec<f64>,
    blocks: Vec<BlockFactors>,
    /// No sum was larger than this.
    bounds: Vec<f64>,
}

/// The last rounding of a bound must not lower it.
const UP: f64 = 1.0 + 1e-9;

/// Classes of a table that is small whatever the matrix.
const SMALL_TABLE: usize = 1 << 20;

/// A sum should lose at most 2^-46 of itself; it loses less than a unit per term.
const KEPT_BITS: u32 = 46;

impl<'a, V: Value> Exact<'a, V> {
    pub fn new(matrix: &'a FlowMatrix<V>, passes: Box<dyn FixedPasses + 'a>) -> Self {
        Self {
            cpu: Cpu::new(matrix),
            passes,
            origin: Side::default(),
            destination: Side::default(),
        }
    }

    fn origin_side(&self) -> &(Vec<u64>, Vec<f64>) {
        self.origin.seed.get_or_init(|| {
            let matrix = self.cpu.matrix();
            let ends = matrix.movers().row_ptr();
            let terms = ends.windows(2).map(|w| w[1] - w[0]).collect();
            let sums = self.cpu.passes().origin_sums(&Scaling::identity(matrix.units()));
            (terms, sums.iter().map(|s| s * UP).collect())
        })
    }

    fn destination_side(&self) -> &(Vec<u64>, Vec<f64>) {
        self.destination.seed.get_or_init(|| {
            let matrix = self.cpu.matrix();
            let mut terms = vec![0; matrix.units()];
            for &j in matrix.movers().col_idx() {
                terms[j as usize] += 1;
            }
            let sums = self.cpu.passes().destination_sums(&Scaling::identity(matrix.units()));
            (terms, sums.iter().map(|s| s * UP).collect())
        })
    }
}

impl Side {
    /// Sums of every row or column before its own factor, where `factors` are those of the other
    /// side and `pass` adds up in given units.
    fn sums(
        &self,
        (terms, seed): &(Vec<u64>, Vec<f64>),
        factors: &[f64],
        blocks: &[BlockFactors],
        pass: impl Fn(&[i32]) -> Result<Vec<u64>>,
    ) -> Result<Vec<f64>> {
        let largest = largest(factors) * largest_of_blocks(blocks);
        // Bounds beyond all numbers are as good as none; one that is 0 would stay 0.
        let in_range = |bound: f64| bound.clamp(f64::MIN_POSITIVE, f64::MAX);
        let mut bounds: Vec<f64> = seed.iter().map(|s| in_range(s * largest)).collect();
        if let Some(last) = &*self.last.borrow() {
            let units = largest_ratio(factors, &last.factors);
            let blocks = largest_block_ratio(blocks, &last.blocks);
            // A bound rounded to 0 would be none.
            let least = if units > 0.0 && blocks > 0.0 { f64::MIN_POSITIVE } else { 0.0 };
            let ratio = (units * blocks).max(least);
            if ratio.is_finite() {
                for (bound, last) in bounds.iter_mut().zip(&last.bounds) {
                    if *last == 0.0 {
                        *bound = 0.0;
                    } else {
                        *bound = bound.min(in_range(last * ratio * UP));
                    }
                }
            }
        }
        let (units, counts) = loop {
            let units: Vec<i32> = bounds.iter().map(|&bound| unit_for(bound, SUM_BITS)).collect();
            let counts = pass(&units)?;
            let mut loose = false;
            for (k, bound) in bounds.iter_mut().enumerate() {
                let (unit, count, terms) = (units[k], counts[k], terms[k]);
                if count == 0 {
                    *bound = 0.0;
                    continue;
                }
                assert!(
                    count >> SUM_BITS == 0 || count - (1 << SUM_BITS) <= terms,
                    "a sum of {count} units of 2^{unit} beyond its bound of {bound:e}"
                );
                // Every term was changed by less than a unit.
                let tight = in_persons(u128::from(count) + u128::from(terms), unit) * UP;
                let tight = in_range(tight);
                let poor = u128::from(terms) << KEPT_BITS > u128::from(count);
                loose |= poor && tight < *bound / 4.0;
                *bound = bound.min(tight);
            }
            if !loose {
                break (units, counts);
            }
        };
        *self.last.borrow_mut() =
            Some(Last { factors: factors.to_vec(), blocks: blocks.to_vec(), bounds });
        Ok(counts.iter().zip(&units).map(|(&c, &unit)| in_persons(c.into(), unit)).collect())
    }
}

fn largest(factors: &[f64]) -> f64 {
    factors.iter().copied().fold(0.0, f64::max)
}

fn largest_of_blocks(blocks: &[BlockFactors]) -> f64 {
    blocks.iter().map(|block| largest(&block.factors)).product()
}

/// Largest ratio of a factor to what it was before.
fn largest_ratio(factors: &[f64], before: &[f64]) -> f64 {
    // A factor below 2^-1022 was taken for 0.
    let ratios = factors.iter().zip(before).map(|(&f, &b)| match (f > 0.0, b) {
        (false, _) => 0.0,
        (true, b) if b < f64::MIN_POSITIVE => f64::INFINITY,
        // A ratio rounded to 0 would be no bound.
        _ => (f / b).max(f64::MIN_POSITIVE),
    });
    ratios.fold(0.0, f64::max)
}

/// Bound on the ratio of the product of an entry's block factors to what it was before, when the
/// last of the blocks may not have been there.
fn largest_block_ratio(blocks: &[BlockFactors], before: &[BlockFactors]) -> f64 {
    if before.len() > blocks.len() {
        return f64::INFINITY;
    }
    let known = blocks.iter().zip(before).map(|(block, before)| {
        let same = Arc::ptr_eq(&block.origin, &before.origin)
            && Arc::ptr_eq(&block.destination, &before.destination);
        if same { largest_ratio(&block.factors, &before.factors) } else { f64::INFINITY }
    });
    known.product::<f64>() * largest_of_blocks(&blocks[before.len()..])
}

impl<V: Value> Backend<V> for Exact<'_, V> {
    fn cpu(&self) -> &Cpu<'_, V> {
        &self.cpu
    }

    fn origin_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let Some(fixed) = fixed(scaling) else { return Ok(unknown(scaling.origin.len())) };
        let pass = |units: &[i32]| self.passes.origin_sums(&fixed, units);
        let sums =
            self.origin.sums(self.origin_side(), &scaling.destination, &scaling.blocks, pass)?;
        Ok(sums.iter().zip(&scaling.origin).map(|(sum, o)| o * sum).collect())
    }

    fn destination_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let Some(fixed) = fixed(scaling) else { return Ok(unknown(scaling.destination.len())) };
        let pass = |units: &[i32]| self.passes.destination_sums(&fixed, units);
        let sums = self.destination.sums(
            self.destination_side(),
            &scaling.origin,
            &scaling.blocks,
            pass,
        )?;
        Ok(sums.iter().zip(&scaling.destination).map(|(sum, d)| sum * d).collect())
    }

    /// Classes much smaller than the largest are summed again in a smaller unit, together.
    fn class_sums(&self, p: &Partition, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        let Some(fixed) = fixed(scaling) else { return Ok(unknown(p.cells() * q.cells())) };
        let terms = self.cpu.matrix().movers().nnz() as u128;
        let mut sums = vec![0.0; p.cells() * q.cells()];
        let mut bound = self.origin_sums(scaling)?.iter().sum::<f64>() * UP;
        let mut wanted: Option<Vec<usize>> = None;
        while bound > 0.0 {
            let unit = unit_for(bound.clamp(f64::MIN_POSITIVE, f64::MAX), WIDE_SUM_BITS);
            let counts = self.passes.class_sums(p, q, &fixed, unit)?;
            let (mut poor, mut largest) = (Vec::new(), 0);
            let mut take = |class: usize| {
                let count = counts[class];
                sums[class] = in_persons(count, unit);
                if count > 0 && count >> KEPT_BITS < terms {
                    poor.push(class);
                    largest = count.max(largest);
                }
            };
            match &wanted {
                None => (0..counts.len()).for_each(&mut take),
                Some(classes) => classes.iter().for_each(|&class| take(class)),
            }
            // Nothing is gained where the terms themselves are at the end of all numbers.
            let next = in_persons(largest + terms, unit) * UP;
            bound = if next > f64::MIN_POSITIVE && next < bound / 4.0 { next } else { 0.0 };
            wanted = Some(poor);
        }
        Ok(sums)
    }

    /// Where classes are many more than entries, row by row on the CPU, so that the dense table never
    /// exists: the same on all devices too.
    fn class_table(
        &self,
        p: &Partition,
        q: &Partition,
        entries: Entries,
        scaling: &Scaling,
    ) -> Result<Csr<f64>> {
        let most = (2 * self.cpu.matrix().movers().nnz()).max(SMALL_TABLE);
        if p.cells().saturating_mul(q.cells()) > most {
            return self.cpu.class_table(p, q, entries, scaling);
        }
        class_table(self, p, q, entries, scaling)
    }

    fn movers_l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64> {
        let (Some(fixed_before), Some(fixed_after)) = (fixed(before), fixed(after)) else {
            return Ok(f64::NAN);
        };
        let bounds = self.origin_sums(before)?.into_iter().zip(self.origin_sums(after)?);
        let units: Vec<i32> = bounds
            .map(|(b, a)| (b.max(a) * UP).clamp(f64::MIN_POSITIVE, f64::MAX))
            .map(|bound| unit_for(bound, SUM_BITS))
            .collect();
        let counts = self.passes.l1_change(&fixed_before, &fixed_after, &units)?;
        Ok(counts.iter().zip(&units).map(|(&c, &unit)| in_persons(c.into(), unit)).sum())
    }

    fn rounding(&self) -> f64 {
        SUM_ROUNDING
    }
}

/// The factors in fixed point, unless one has overflowed.
fn fixed(scaling: &Scaling) -> Option<FixedScaling> {
    scaling.is_finite().then(|| FixedScaling::new(scaling))
}

/// Sums with factors that are no numbers. The loop stops at those factors, as it does in `f64`.
fn unknown(sums: usize) -> Vec<f64> {
    vec![f64::NAN; sums]
}

#[cfg(test)]
mod tests {
    use super::super::twin::Twin;
    use super::*;
    use crate::kernels::samples;

    fn exact(matrix: &FlowMatrix<f64>) -> Exact<'_, f64> {
        Exact::new(matrix, Box::new(Twin::new(matrix)))
    }

    #[test]
    fn every_pass_by_hand() {
        // movers under the sample scaling: 0->1 16, 0->2 48, 1->0 2.5, 2->1 128
        let (matrix, scaling) = (samples::matrix(), samples::scaling());
        let exact = exact(&matrix);
        assert_eq!(exact.origin_sums(&scaling).unwrap(), [64.0, 2.5, 128.0]);
        assert_eq!(exact.destination_sums(&scaling).unwrap(), [2.5, 144.0, 48.0]);
        let p = samples::partition();
        assert_eq!(exact.class_sums(&p, &p, &scaling).unwrap(), [48.0, 144.0, 2.5, 0.0]);
        let change = exact.movers_l1_change(&Scaling::identity(3), &scaling).unwrap();
        assert_eq!(change, 14.0 + 45.0 + 2.5 + 124.0);
    }

    #[test]
    fn every_row_keeps_its_bits_whatever_the_range_of_factors() {
        // Row 0 sees factors around 1e-60, row 1 around 1e60, row 2 only zeros.
        let matrix = FlowMatrix::from_triplets(
            4,
            &[(0, 1, 0.3), (0, 2, 0.7), (1, 0, 0.9), (2, 3, 0.5), (3, 1, 1e-30), (3, 0, 1e-30)],
        );
        let exact = exact(&matrix);
        let cpu = Cpu::new(&matrix);
        let mut scaling = Scaling::identity(4);
        for (low, high) in [(1e-60, 1e60), (3e-60, 1e59), (1e-50, 1e60), (1e-50, 0.0)] {
            scaling.destination = vec![high, low, low / 3.0, 0.0];
            let sums = exact.origin_sums(&scaling).unwrap();
            let expected = Backend::origin_sums(&cpu, &scaling).unwrap();
            for (i, (sum, expected)) in sums.iter().zip(&expected).enumerate() {
                let off = (sum - expected).abs();
                assert!(off <= 4.0 * f64::EPSILON * expected, "row {i}: {sum:e} {expected:e}");
            }
        }
    }

    /// Sums of one scaling after another, against those of the CPU.
    #[track_caller]
    fn assert_as_cpu(matrix: &FlowMatrix<f64>, scalings: &[Scaling]) {
        let (exact, cpu) = (exact(matrix), Cpu::new(matrix));
        for (number, scaling) in scalings.iter().enumerate() {
            let sums = [
                (exact.origin_sums(scaling), Backend::origin_sums(&cpu, scaling)),
                (exact.destination_sums(scaling), Backend::destination_sums(&cpu, scaling)),
            ];
            for (found, expected) in sums {
                for (found, expected) in found.unwrap().iter().zip(expected.unwrap()) {
                    let off = (found - expected).abs();
                    let rounding = 8.0 * f64::EPSILON * expected + 4.0 * f64::from_bits(1);
                    assert!(off <= rounding, "scaling {number}: {found:e} {expected:e}");
                }
            }
        }
    }

    #[test]
    fn bounds_hold_where_numbers_end_and_blocks_come_and_go() {
        let with = |origin: f64, destination: f64| {
            let mut scaling = Scaling::identity(3);
            scaling.origin = vec![origin; 3];
            scaling.destination = vec![destination; 3];
            scaling
        };
        for (seed, scalings) in [
            (1e-130, vec![with(1.0, 1e-200), with(1.0, 1e-100)]),
            (1e20, vec![with(1.0, 1e-310), with(1.0, 1e-300)]),
            (1e-310, vec![with(1.0, 1e-15), with(1.0, 1e15)]),
            (1.0, vec![with(1e200, 1e-200), with(1e-200, 1e200), with(0.0, 1.0), with(3.0, 2.0)]),
        ] {
            let flows = [(0, 1, seed), (1, 2, seed), (1, 0, 1e-3 * seed)];
            // Below 2^-1022 a factor is 0 in fixed point, and not in f64.
            let scalings: Vec<Scaling> = scalings
                .into_iter()
                .map(|mut s| {
                    for f in s.origin.iter_mut().chain(&mut s.destination) {
                        *f = if *f < f64::MIN_POSITIVE { 0.0 } else { *f };
                    }
                    s
                })
                .collect();
            assert_as_cpu(&FlowMatrix::from_triplets(3, &flows), &scalings);
        }
        let mut blocks = samples::scaling();
        blocks.blocks[0].factors.iter_mut().for_each(|f| *f *= 1e-9);
        assert_as_cpu(&samples::matrix(), &[blocks.clone(), samples::scaling(), blocks]);
        let none = Scaling::identity(3);
        assert_as_cpu(&samples::matrix(), &[none.clone(), samples::scaling(), none]);
    }

    #[test]
    fn small_classes_keep_their_bits_beside_large_ones() {
        let flows = [(0, 1, 1e-40), (1, 0, 1e3), (2, 0, 1e-150), (2, 1, 1e-20), (0, 2, 0.0)];
        let matrix = FlowMatrix::from_triplets(3, &flows);
        let (exact, cpu) = (exact(&matrix), Cpu::new(&matrix));
        let units = Partition::from_parts("units", vec![0, 1, 2], ["a", "b", "c"].into());
        let mut scaling = Scaling::identity(3);
        scaling.origin = vec![1e30, 1e-30, 1.0 / 3.0];
        scaling.destination = vec![1e-20, 1e10, 1.0];
        let expected = Backend::class_sums(&cpu, &units, &units, &scaling).unwrap();
        let found = exact.class_sums(&units, &units, &scaling).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            let off = (found - expected).abs();
            assert!(off <= 4.0 * f64::EPSILON * expected, "{found:e} {expected:e}");
        }
        let identity = Scaling::identity(3);
        let expected = cpu.movers_l1_change(&identity, &scaling).unwrap();
        let found = exact.movers_l1_change(&identity, &scaling).unwrap();
        assert!((found - expected).abs() <= 1e-12 * expected, "{found:e} {expected:e}");
    }

    #[test]
    fn factors_beyond_all_numbers_give_no_numbers() {
        let matrix = samples::matrix();
        let mut scaling = samples::scaling();
        scaling.destination[1] = f64::INFINITY;
        assert!(exact(&matrix).origin_sums(&scaling).unwrap().iter().all(|sum| sum.is_nan()));
        // The largest factor alone is beyond, the flows are not.
        scaling.destination[1] = 1e308;
        scaling.origin = vec![1e-300; 3];
        let found = exact(&matrix).destination_sums(&scaling).unwrap();
        assert!(found.iter().all(|sum| sum.is_finite()), "{found:?}");
    }
}
