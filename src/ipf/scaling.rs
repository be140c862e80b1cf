//! The result of a harmonization in factored form.

use std::sync::Arc;

use super::margin::{Entries, Groups, Margin};
use crate::geography::Partition;

/// Factors of every pair of cells of two partitions.
#[derive(Clone, Debug)]
pub struct BlockFactors {
    /// Partition of the origins, P cells.
    pub origin: Arc<Partition>,
    /// Partition of the destinations, Q cells.
    pub destination: Arc<Partition>,
    /// P x Q factors, row by row.
    pub factors: Vec<f64>,
}

impl BlockFactors {
    /// Factors of the row of cells that origin `i` is in.
    #[inline]
    pub(crate) fn row(&self, i: usize) -> BlockRow<'_> {
        let width = self.destination.cells();
        let start = self.origin.cell_of()[i] as usize * width;
        BlockRow {
            cell_of: self.destination.cell_of(),
            factors: &self.factors[start..start + width],
        }
    }
}

/// The factors one origin meets, by cell of the destination.
#[derive(Clone, Copy)]
pub(crate) struct BlockRow<'a> {
    cell_of: &'a [u32],
    factors: &'a [f64],
}

impl BlockRow<'_> {
    /// Factor toward destination `j`.
    #[inline]
    pub(crate) fn factor(&self, j: usize) -> f64 {
        self.factors[self.cell_of[j] as usize]
    }
}

/// Factors that turn a seed into a harmonized matrix; the seed itself is never rewritten.
///
/// - mover (i, j): seed x `origin[i]` x `destination[j]` x the factor of its cell in every block;
/// - stayers of i: seed x `stayers[i]`, which already contains every factor.
///
/// Rescaling stored 32-bit values in place instead would stall at an error of several persons.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// Factor of the movers of each origin.
    pub origin: Vec<f64>,
    /// Factor of the movers of each destination.
    pub destination: Vec<f64>,
    /// Factor of the stayers of each unit.
    pub stayers: Vec<f64>,
    /// Factors of blocks of movers, one table per pair of partitions.
    pub blocks: Vec<BlockFactors>,
}

impl Scaling {
    /// All factors 1, for a matrix of `units` units.
    pub fn identity(units: usize) -> Self {
        let ones = vec![1.0; units];
        Self { origin: ones.clone(), destination: ones.clone(), stayers: ones, blocks: Vec::new() }
    }

    /// Multiplies in one factor per cell of `margin`.
    pub fn apply(&mut self, margin: &Margin, factors: &[f64]) {
        assert_eq!(factors.len(), margin.cells(), "factors of margin {margin}");
        if margin.entries.stayers() {
            for (i, stayer) in self.stayers.iter_mut().enumerate() {
                *stayer *= factors[margin.cell(i, i)];
            }
        }
        if margin.entries == Entries::Stayers {
            return;
        }
        match &margin.groups {
            Groups::Origin(p) => multiply(&mut self.origin, p, factors),
            Groups::Destination(q) => multiply(&mut self.destination, q, factors),
            Groups::Block(p, q) => {
                for (own, f) in self.block(p, q).iter_mut().zip(factors) {
                    *own *= f;
                }
            }
        }
    }

    /// The factor table of a pair of partitions, made of ones if it is new.
    fn block(&mut self, p: &Arc<Partition>, q: &Arc<Partition>) -> &mut [f64] {
        let known = self.blocks.iter().position(|b| b.origin == *p && b.destination == *q);
        let at = known.unwrap_or_else(|| {
            self.blocks.push(BlockFactors {
                origin: p.clone(),
                destination: q.clone(),
                factors: vec![1.0; p.cells() * q.cells()],
            });
            self.blocks.len() - 1
        });
        &mut self.blocks[at].factors
    }

    /// Multiplies in the factors found on the matrix aggregated to `refinement`: every entry of a
    /// class receives the factor of its class.
    pub fn lift(&mut self, coarse: &Self, refinement: &Partition) {
        for (own, factors) in [
            (&mut self.origin, &coarse.origin),
            (&mut self.destination, &coarse.destination),
            (&mut self.stayers, &coarse.stayers),
        ] {
            multiply(own, refinement, factors);
        }
        for block in &coarse.blocks {
            let p = Arc::new(block.origin.compose(refinement));
            let q = Arc::new(block.destination.compose(refinement));
            for (own, f) in self.block(&p, &q).iter_mut().zip(&block.factors) {
                *own *= f;
            }
        }
    }

    /// Whether no factor has overflowed.
    pub(crate) fn is_finite(&self) -> bool {
        let blocks = self.blocks.iter().map(|b| &b.factors);
        [&self.origin, &self.destination, &self.stayers]
            .into_iter()
            .chain(blocks)
            .all(|factors| factors.iter().all(|f| f.is_finite()))
    }

    /// Factor of the movers from `i` to `j`.
    #[inline]
    pub fn mover(&self, i: usize, j: usize) -> f64 {
        let blocks: f64 = self.blocks.iter().map(|b| b.row(i).factor(j)).product();
        self.origin[i] * self.destination[j] * blocks
    }
}

fn multiply(own: &mut [f64], partition: &Partition, factors: &[f64]) {
    for (f, &cell) in own.iter_mut().zip(partition.cell_of()) {
        *f *= factors[cell as usize];
    }
}
