//! The factors of a scaling on the device.

use std::borrow::Cow;
use std::sync::Arc;

use bytemuck::Pod;

use super::Device;
use super::buffer::storage_of;
use crate::Result;
use crate::geography::Partition;
use crate::ipf::Scaling;
use crate::kernels::fixed::{Factor, FixedScaling};

/// The units whose entries a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Rows.
    Origins,
    /// Columns.
    Destinations,
}

/// Factors of every pair of cells of two partitions.
pub struct Block<'a, F: Pod> {
    origin: &'a Arc<Partition>,
    destination: &'a Arc<Partition>,
    factors: Cow<'a, [F]>,
}

/// A scaling of movers, with factors of any type.
pub struct View<'a, F: Pod> {
    /// Factor of each origin.
    pub origin: Cow<'a, [F]>,
    /// Factor of each destination.
    pub destination: Cow<'a, [F]>,
    /// Factors of pairs of cells.
    pub blocks: Vec<Block<'a, F>>,
}

impl<'a> View<'a, Factor> {
    /// A scaling in fixed point.
    pub fn fixed(scaling: &'a FixedScaling) -> Self {
        let block = |b: &'a crate::kernels::fixed::FixedBlock| Block {
            origin: &b.origin,
            destination: &b.destination,
            factors: Cow::Borrowed(&b.factors[..]),
        };
        Self {
            origin: Cow::Borrowed(&scaling.origin),
            destination: Cow::Borrowed(&scaling.destination),
            blocks: scaling.blocks.iter().map(block).collect(),
        }
    }
}

impl<'a, F: Pod> View<'a, F> {
    /// A scaling in floating point.
    pub fn floating(scaling: &'a Scaling, convert: impl Fn(f64) -> F) -> Self {
        let all = |factors: &[f64]| factors.iter().map(|&f| convert(f)).collect();
        Self {
            origin: all(&scaling.origin),
            destination: all(&scaling.destination),
            blocks: scaling
                .blocks
                .iter()
                .map(|b| Block {
                    origin: &b.origin,
                    destination: &b.destination,
                    factors: all(&b.factors),
                })
                .collect(),
        }
    }
}

/// What the kernels read beside the entries.
#[derive(Debug)]
pub struct Factors {
    /// Factors of the lines' own units.
    pub own: wgpu::Buffer,
    /// Factors of the units at the other end.
    pub other: wgpu::Buffer,
    /// Units or classes of lines, and where in `table` the blocks of an entry are.
    pub cells: wgpu::Buffer,
    /// Factors of all blocks.
    pub table: wgpu::Buffer,
    /// Number of lines.
    pub lines: u32,
    /// Number of units at the other end.
    pub others: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// How many of them belong to the first of two scalings.
    pub blocks_before: u32,
}

impl Factors {
    /// Uploads one scaling, or two one after the other; `of_lines` is a number for every line, its
    /// unit or first class, and `of_others` one for every other, its class, or empty.
    ///
    /// # Errors
    /// If a buffer would be too large, or there is no memory.
    pub fn new<F: Pod>(
        device: &Device,
        side: Side,
        scalings: &[View<F>],
        of_lines: &[u32],
        of_others: &[u32],
    ) -> Result<Self> {
        let lines = of_lines.len();
        let (mut own, mut other, mut table) = (Vec::new(), Vec::new(), Vec::<F>::new());
        let (mut line_cells, mut other_cells) = (of_lines.to_vec(), Vec::new());
        let mut blocks = Vec::new();
        for scaling in scalings {
            let (a, b) = match side {
                Side::Origins => (&scaling.origin, &scaling.destination),
                Side::Destinations => (&scaling.destination, &scaling.origin),
            };
            assert_eq!(a.len(), lines, "one number per line");
            own.extend_from_slice(a);
            other.extend_from_slice(b);
            for block in &scaling.blocks {
                let width = block.destination.cells() as u32;
                let first = table.len() as u32;
                let rows = block.origin.cell_of().iter().map(|p| p * width);
                let columns = block.destination.cell_of().iter().copied();
                match side {
                    Side::Origins => {
                        line_cells.extend(rows.map(|cell| first + cell));
                        other_cells.extend(columns);
                    }
                    Side::Destinations => {
                        line_cells.extend(columns.map(|cell| first + cell));
                        other_cells.extend(rows);
                    }
                }
                table.extend_from_slice(&block.factors);
            }
            blocks.push(scaling.blocks.len() as u32);
        }
        let others = other.len() / scalings.len();
        line_cells.append(&mut other_cells);
        line_cells.extend_from_slice(of_others);
        if table.is_empty() {
            // A binding is never empty.
            table.push(F::zeroed());
        }
        Ok(Self {
            own: storage_of(device, "factors of lines", &own)?,
            other: storage_of(device, "factors of the other units", &other)?,
            cells: storage_of(device, "cells of blocks", &line_cells)?,
            table: storage_of(device, "factors of blocks", &table)?,
            lines: lines as u32,
            others: others as u32,
            blocks: blocks.iter().sum(),
            blocks_before: blocks[0],
        })
    }
}
