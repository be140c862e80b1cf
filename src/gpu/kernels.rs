//! The kernels of passes by themselves, to measure them: entries and factors stay on the device, and
//! results there.

use bytemuck::Pod;
use wgpu::CommandEncoder;

use super::buffer::{checked, storage};
use super::factors::{Factors, Side, View};
use super::lines::{Panel, Segment};
use super::matrix::{Matrix, WINDOW_CLASSES, WINDOW_ENTRIES};
use super::pass::{Params, Prepared};
use super::shader::{Arithmetic, Kernel};
use crate::Result;
use crate::geography::Partition;
use crate::ipf::{Precision, Scaling};
use crate::kernels::fixed::{FixedScaling, WIDE_SUM_BITS, unit_for};
use crate::matrix::Value;

/// A pass over the movers.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// Movers of each origin.
    OriginSums,
    /// Movers of each destination.
    DestinationSums,
    /// Movers between cells.
    ClassSums(&'a Partition, &'a Partition),
    /// Difference from another scaling.
    L1Change(&'a Scaling),
    /// Every mover.
    HarmonizedRow,
}

/// Kernels in order, and what is cleared before some of them.
pub struct Kernels {
    calls: Vec<(Option<wgpu::Buffer>, Prepared)>,
}

impl Kernels {
    /// Appends them to an encoder.
    pub fn record(&self, encoder: &mut CommandEncoder) {
        let mut calls = self.calls.iter().peekable();
        while let Some((cleared, call)) = calls.next() {
            if let Some(buffer) = cleared {
                encoder.clear_buffer(buffer, 0, None);
            }
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            call.record(&mut pass);
            while let Some((_, call)) = calls.next_if(|next| next.0.is_none()) {
                call.record(&mut pass);
            }
        }
    }
}

impl<V: Value> Matrix<'_, V> {
    /// The kernels of a pass, or nothing where the movers do not stay on the device; `units` are
    /// those of fixed-point sums, `persons` a bound on the sum of all.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the pass is one that exists in fixed point only, and `precision` is another.
    pub fn kernels(
        &self,
        work: Work,
        precision: Precision,
        scaling: &Scaling,
        units: &[i32],
        persons: f64,
    ) -> Result<Option<Kernels>> {
        let side = match work {
            Work::DestinationSums => Side::Destinations,
            _ => Side::Origins,
        };
        if !self.lines(side)?.is_resident() {
            return Ok(None);
        }
        let none = vec![0; units.len()];
        if precision != Precision::Exact {
            let kernel = match work {
                Work::OriginSums => Kernel::OriginSums,
                Work::DestinationSums => Kernel::DestinationSums,
                _ => panic!("{work:?} is in fixed point only"),
            };
            let kernels = if precision == Precision::F32 {
                let view = View::floating(scaling, |f| f as f32);
                self.sums((side, kernel, Arithmetic::F32), &[view], &none)
            } else {
                let view = View::floating(scaling, |f| f);
                self.sums((side, kernel, Arithmetic::F64), &[view], &none)
            };
            return kernels.map(Some);
        }
        let fixed = FixedScaling::new(scaling);
        let view = View::fixed(&fixed);
        let units: &[u32] = bytemuck::cast_slice(units);
        let arithmetic = self.programs.fixed();
        let kernels = match work {
            Work::OriginSums => self.sums((side, Kernel::OriginSums, arithmetic), &[view], units),
            Work::DestinationSums => {
                self.sums((side, Kernel::DestinationSums, arithmetic), &[view], units)
            }
            Work::L1Change(other) => {
                let other = FixedScaling::new(other);
                let views = [View::fixed(&other), view];
                self.sums((side, Kernel::L1Change, arithmetic), &views, units)
            }
            Work::ClassSums(p, q) => {
                let width = q.cells() as u32;
                let of_lines: Vec<u32> = p.cell_of().iter().map(|cell| cell * width).collect();
                let factors =
                    Factors::new(&self.device, Side::Origins, &[view], &of_lines, q.cell_of())?;
                self.class_sums(&factors, p.cells() as u64 * u64::from(width), persons)
            }
            Work::HarmonizedRow => {
                let factors = Factors::new(&self.device, Side::Origins, &[view], &none, &[])?;
                self.harmonized(&factors)
            }
        };
        kernels.map(Some)
    }

    fn sums<F: Pod>(
        &self,
        (side, kernel, arithmetic): (Side, Kernel, Arithmetic),
        views: &[View<F>],
        of_lines: &[u32],
    ) -> Result<Kernels> {
        let factors = Factors::new(&self.device, side, views, of_lines, &[])?;
        let program = self.programs.get(kernel, arithmetic, V::TYPE, &factors)?;
        let lines = self.lines(side)?;
        let calls = lines.resident().map(|(panel, data)| {
            let params = Params { end: panel.len() as u32, ..Params::default() };
            let entries = panel.bind(data, &panel.sums);
            (None, self.programs.prepare(&program, &factors, entries, params))
        });
        checked(&self.device, kernel.name(), || Ok(Kernels { calls: calls.collect() }))
    }

    fn class_sums(&self, factors: &Factors, classes: u64, persons: f64) -> Result<Kernels> {
        let kernel = Kernel::ClassSums;
        let program = self.programs.get(kernel, self.programs.fixed(), V::TYPE, factors)?;
        let window = (self.most_bytes() / 16).clamp(1, WINDOW_CLASSES).min(classes);
        let out = storage(&self.device, "sums of classes", 16 * window)?;
        let lines = self.lines(Side::Origins)?;
        let mut calls = Vec::new();
        for base in (0..classes).step_by(window as usize) {
            for (k, (panel, data)) in lines.resident().enumerate() {
                let params = Params {
                    end: panel.len() as u32,
                    base: base as u32,
                    length: window.min(classes - base) as u32,
                    unit: unit_for(persons, WIDE_SUM_BITS),
                    ..Params::default()
                };
                let entries = panel.bind(data, &out);
                let call = checked(&self.device, kernel.name(), || {
                    Ok(self.programs.prepare(&program, factors, entries, params))
                })?;
                calls.push(((k == 0).then(|| out.clone()), call));
            }
        }
        Ok(Kernels { calls })
    }

    fn harmonized(&self, factors: &Factors) -> Result<Kernels> {
        let kernel = Kernel::HarmonizedRow;
        let program = self.programs.get(kernel, self.programs.fixed(), V::TYPE, factors)?;
        let window = (self.most_bytes() / 8).clamp(1, WINDOW_ENTRIES) as u32;
        let out = storage(&self.device, "harmonized movers", 8 * u64::from(window))?;
        let mut calls = Vec::new();
        for (panel, data) in self.lines(Side::Origins)?.resident() {
            for (first, end) in windows(panel, window) {
                let base = panel.segments[first].start;
                let params = Params {
                    first: first as u32,
                    end: end as u32,
                    base,
                    length: panel.segments[end].start - base,
                    ..Params::default()
                };
                let entries = panel.bind(data, &out);
                let call = checked(&self.device, kernel.name(), || {
                    Ok(self.programs.prepare(&program, factors, entries, params))
                })?;
                calls.push((None, call));
            }
        }
        Ok(Kernels { calls })
    }
}

/// Runs of segments whose entries fit a window.
fn windows(panel: &Panel, window: u32) -> Vec<(usize, usize)> {
    let (mut first, mut all) = (0, Vec::new());
    while first < panel.len() {
        let base = panel.segments[first].start;
        let fits = |s: &Segment| s.start - base <= window;
        let end = first + panel.segments[first..].partition_point(fits) - 1;
        all.push((first, end));
        first = end;
    }
    all
}
