//! The passes over the movers of a matrix on a device.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use bytemuck::Pod;

use super::Device;
use super::buffer::{Readback, checked, storage, wait};
use super::columns::Columns;
use super::factors::{Factors, Side, View};
use super::lines::{Lines, SEGMENT_ENTRIES};
use super::pass::{Params, Programs};
use super::shader::{Arithmetic, Kernel};
use crate::geography::Partition;
use crate::ipf::Scaling;
use crate::kernels::fixed::FixedScaling;
use crate::matrix::{FlowMatrix, Value};
use crate::{Error, Result};

/// Classes summed in one pass, at most.
pub(super) const WINDOW_CLASSES: u64 = 1 << 22;

/// Harmonized entries on their way to the host, at most: 32 MiB in each of two windows.
pub(super) const WINDOW_ENTRIES: u64 = 1 << 22;

/// The movers of a matrix on a device.
///
/// Origins and destinations are uploaded when they are first asked for. Fixed-point results equal
/// those of the kernels of the same name in [`crate::kernels`] bit for bit, on every device.
/// [`Matrix::harmonized_values`] is for those who want the matrix in memory; files are written row by
/// row from the factors.
#[derive(Debug)]
pub struct Matrix<'a, V: Value> {
    pub(crate) device: Arc<Device>,
    seed: &'a FlowMatrix<V>,
    pub(super) programs: Programs,
    origins: OnceCell<Lines<'a, V>>,
    destinations: OnceCell<Lines<'a, V>>,
    /// Set once the seed is known to fit `f32`.
    single_seed: OnceCell<()>,
}

impl<'a, V: Value> Matrix<'a, V> {
    /// Prepares the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(device: Arc<Device>, matrix: &'a FlowMatrix<V>) -> Result<Self> {
        let programs =
            checked(&device, "preparing the device", || Ok(Programs::new(device.clone())))?;
        Ok(Self {
            device,
            seed: matrix,
            programs,
            origins: OnceCell::new(),
            destinations: OnceCell::new(),
            single_seed: OnceCell::new(),
        })
    }

    /// Movers of each origin i before its own factor, in counts of 2^units\[i\] persons.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fixed_origin_sums(&self, scaling: &FixedScaling, units: &[i32]) -> Result<Vec<u64>> {
        self.fixed_sums(Side::Origins, Kernel::OriginSums, &[View::fixed(scaling)], units)
    }

    /// Movers of each destination j before its own factor, in counts of 2^units\[j\] persons.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fixed_destination_sums(
        &self,
        scaling: &FixedScaling,
        units: &[i32],
    ) -> Result<Vec<u64>> {
        let scalings = [View::fixed(scaling)];
        self.fixed_sums(Side::Destinations, Kernel::DestinationSums, &scalings, units)
    }

    /// Absolute differences between two scalings of the movers of each origin i, in counts of
    /// 2^units\[i\] persons.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fixed_l1_change(
        &self,
        before: &FixedScaling,
        after: &FixedScaling,
        units: &[i32],
    ) -> Result<Vec<u64>> {
        let scalings = [View::fixed(before), View::fixed(after)];
        self.fixed_sums(Side::Origins, Kernel::L1Change, &scalings, units)
    }

    /// Movers leaving each origin, in persons.
    ///
    /// # Errors
    /// If the device fails, or has no `f64`.
    pub fn origin_sums_f64(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let view = View::floating(scaling, |f| f);
        let sums = self.floating_sums(Side::Origins, Arithmetic::F64, &view, |x: f64| x)?;
        Ok(product(&scaling.origin, sums))
    }

    /// Movers arriving at each destination, in persons.
    ///
    /// # Errors
    /// If the device fails, or has no `f64`.
    pub fn destination_sums_f64(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let view = View::floating(scaling, |f| f);
        let sums = self.floating_sums(Side::Destinations, Arithmetic::F64, &view, |x: f64| x)?;
        Ok(product(&scaling.destination, sums))
    }

    /// Movers leaving each origin, in persons, to the precision of `f32`.
    ///
    /// # Errors
    /// If the device fails, or a factor, a flow or a sum is beyond the normal numbers of `f32`.
    pub fn origin_sums_f32(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let view = self.single(scaling)?;
        let sums = self.floating_sums(Side::Origins, Arithmetic::F32, &view, f64::from)?;
        check_single("sum", sums.iter().copied())?;
        Ok(product(&scaling.origin, sums))
    }

    /// Movers arriving at each destination, in persons, to the precision of `f32`.
    ///
    /// # Errors
    /// If the device fails, or a factor, a flow or a sum is beyond the normal numbers of `f32`.
    pub fn destination_sums_f32(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let view = self.single(scaling)?;
        let sums = self.floating_sums(Side::Destinations, Arithmetic::F32, &view, f64::from)?;
        check_single("sum", sums.iter().copied())?;
        Ok(product(&scaling.destination, sums))
    }

    /// Movers from every cell of `p` to every cell of `q`, row by row, in counts of 2^unit persons.
    ///
    /// # Errors
    /// If the device fails, or there are more than 2^32 pairs.
    pub fn fixed_class_sums(
        &self,
        p: &Partition,
        q: &Partition,
        scaling: &FixedScaling,
        unit: i32,
    ) -> Result<Vec<u128>> {
        let classes = p.cells() as u64 * q.cells() as u64;
        if u32::try_from(classes).is_err() {
            return Err(Error::device(format!("{classes} classes are more than 2^32")));
        }
        let lines = self.lines(Side::Origins)?;
        let width = q.cells() as u32;
        let of_lines: Vec<u32> = p.cell_of().iter().map(|cell| cell * width).collect();
        let scalings = [View::fixed(scaling)];
        let factors = Factors::new(&self.device, Side::Origins, &scalings, &of_lines, q.cell_of())?;
        let program =
            self.programs.get(Kernel::ClassSums, self.programs.fixed(), V::TYPE, &factors)?;

        let window = (self.most_bytes() / 16).clamp(1, WINDOW_CLASSES).min(classes);
        let out = storage(&self.device, "sums of classes", 16 * window)?;
        let readback = Readback::new(&self.device, "sums of classes", 16 * window)?;
        let mut sums = Vec::with_capacity(classes as usize);
        while (sums.len() as u64) < classes {
            let length = window.min(classes - sums.len() as u64);
            let params = Params {
                base: sums.len() as u32,
                length: length as u32,
                unit,
                ..Params::default()
            };
            let label = Kernel::ClassSums.name();
            self.submit(label, None, |encoder| encoder.clear_buffer(&out, 0, None))?;
            lines.visit(|panel, data| {
                self.submit(label, None, |encoder| {
                    let params = Params { end: panel.len() as u32, ..params };
                    let entries = panel.bind(data, &out);
                    self.programs.encode(encoder, &program, &factors, entries, params);
                })
            })?;
            let copy = |encoder: &mut _| readback.copy(encoder, &out);
            let last = self.submit(label, Some(&readback), copy)?;
            wait(&self.device, last)?;
            readback.read(4 * length as usize, |words: &[u32]| {
                let count = |w: &[u32; 4]| w.iter().rev().fold(0, |s, &w| s << 32 | u128::from(w));
                sums.extend(words.as_chunks::<4>().0.iter().map(count));
            })?;
        }
        Ok(sums)
    }

    /// Every harmonized mover, in persons, in the order of the matrix: the bits that `f64`
    /// multiplication of seed, origin, destination and blocks gives, except that factors and
    /// results below 2^-1022 are 0.
    ///
    /// # Errors
    /// If the device fails.
    pub fn harmonized_values(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        let lines = self.lines(Side::Origins)?;
        let fixed = FixedScaling::new(scaling);
        let no_units = vec![0; self.seed.units()];
        let views = [View::fixed(&fixed)];
        let factors = Factors::new(&self.device, Side::Origins, &views, &no_units, &[])?;
        let program =
            self.programs.get(Kernel::HarmonizedRow, self.programs.fixed(), V::TYPE, &factors)?;

        let window = (self.most_bytes() / 8).clamp(1, WINDOW_ENTRIES) as u32;
        let room = 8 * u64::from(window).min(self.seed.movers().nnz() as u64);
        let slot = || {
            Ok::<_, Error>((
                storage(&self.device, "harmonized movers", room)?,
                Readback::new(&self.device, "harmonized movers", room)?,
            ))
        };
        let slots = [slot()?, slot()?];
        let mut flows = Vec::with_capacity(self.seed.movers().nnz());
        // Windows come back in the order they were asked for.
        let mut pending: Vec<(wgpu::SubmissionIndex, usize)> = Vec::new();
        let mut done = 0;
        let mut collect = |pending: &[(wgpu::SubmissionIndex, usize)], down_to: usize| {
            while pending.len() - done > down_to {
                let (submission, len) = &pending[done];
                wait(&self.device, submission.clone())?;
                let take = |part: &[f64]| flows.extend_from_slice(part);
                slots[done % 2].1.read(*len, take)?;
                done += 1;
            }
            Ok::<_, Error>(())
        };
        lines.visit(|panel, data| {
            let mut first = 0;
            while first < panel.len() {
                let base = panel.segments[first].start;
                let fits = |s: &super::lines::Segment| s.start - base <= window;
                let end = first + panel.segments[first..].partition_point(fits) - 1;
                let length = panel.segments[end].start - base;
                collect(&pending, 1)?;
                let (out, readback) = &slots[pending.len() % 2];
                let params = Params {
                    first: first as u32,
                    end: end as u32,
                    base,
                    length,
                    ..Params::default()
                };
                let label = Kernel::HarmonizedRow.name();
                let submission = self.submit(label, Some(readback), |encoder| {
                    poison(&self.device, out);
                    let entries = panel.bind(data, out);
                    self.programs.encode(encoder, &program, &factors, entries, params);
                    readback.copy(encoder, out);
                })?;
                pending.push((submission, length as usize));
                first = end;
            }
            let (last, _) = pending.last().expect("a panel has segments");
            Ok(last.clone())
        })?;
        collect(&pending, 0)?;
        Ok(flows)
    }

    /// Whether all entries that were asked for so far stay on the device.
    pub fn is_resident(&self) -> bool {
        [&self.origins, &self.destinations]
            .into_iter()
            .filter_map(OnceCell::get)
            .all(Lines::is_resident)
    }

    fn fixed_sums(
        &self,
        side: Side,
        kernel: Kernel,
        scalings: &[View<crate::kernels::fixed::Factor>],
        units: &[i32],
    ) -> Result<Vec<u64>> {
        let units = bytemuck::cast_slice(units);
        let mut sums = vec![0; units.len()];
        let arithmetic = self.programs.fixed();
        self.segment_sums((side, kernel, arithmetic), scalings, units, |line, sum: u64| {
            sums[line as usize] += sum;
        })?;
        Ok(sums)
    }

    /// Factors in `f32`, if its error bound holds for them and for the seed.
    fn single<'s>(&self, scaling: &'s Scaling) -> Result<View<'s, f32>> {
        let blocks = scaling.blocks.iter().flat_map(|block| &block.factors);
        let factors = scaling.origin.iter().chain(&scaling.destination).chain(blocks);
        check_single("factor", factors.copied())?;
        if self.single_seed.get().is_none() {
            check_single(
                "flow of the seed",
                self.seed.movers().values().iter().map(|&v| v.into()),
            )?;
            let _ = self.single_seed.set(());
        }
        Ok(View::floating(scaling, |f| f as f32))
    }

    fn floating_sums<T: Pod>(
        &self,
        side: Side,
        arithmetic: Arithmetic,
        scaling: &View<T>,
        widen: impl Fn(T) -> f64,
    ) -> Result<Vec<f64>> {
        let kernel = match side {
            Side::Origins => Kernel::OriginSums,
            Side::Destinations => Kernel::DestinationSums,
        };
        let mut sums = vec![0.0; self.seed.units()];
        let no_units = vec![0; sums.len()];
        let scalings = std::slice::from_ref(scaling);
        self.segment_sums((side, kernel, arithmetic), scalings, &no_units, |line, sum: T| {
            sums[line as usize] += widen(sum);
        })?;
        Ok(sums)
    }

    /// Hands the sum of every segment to `add`, in order, with its line.
    fn segment_sums<F: Pod, T: Pod>(
        &self,
        (side, kernel, arithmetic): (Side, Kernel, Arithmetic),
        scalings: &[View<F>],
        units: &[u32],
        add: impl FnMut(u32, T),
    ) -> Result<()> {
        let lines = self.lines(side)?;
        let factors = Factors::new(&self.device, side, scalings, units, &[])?;
        let program = self.programs.get(kernel, arithmetic, V::TYPE, &factors)?;
        let mut last = None;
        lines.visit(|panel, data| {
            let submission = self.submit(kernel.name(), Some(&panel.readback), |encoder| {
                poison(&self.device, &panel.sums);
                let entries = panel.bind(data, &panel.sums);
                let params = Params { end: panel.len() as u32, ..Params::default() };
                self.programs.encode(encoder, &program, &factors, entries, params);
                panel.readback.copy(encoder, &panel.sums);
            })?;
            last = Some(submission.clone());
            Ok(submission)
        })?;
        last.map_or(Ok(()), |last| wait(&self.device, last))?;
        lines.read_sums(add)
    }

    pub(super) fn lines(&self, side: Side) -> Result<&Lines<'a, V>> {
        let cell = match side {
            Side::Origins => &self.origins,
            Side::Destinations => &self.destinations,
        };
        if let Some(lines) = cell.get() {
            return Ok(lines);
        }
        // Half for each side, whichever is asked for first.
        let memory = self.device.limits.memory_bytes / 2;
        let movers = self.seed.movers();
        let device = self.device.clone();
        let lines = match side {
            Side::Origins => Lines::new(
                device,
                movers.row_ptr(),
                Cow::Borrowed(movers.col_idx()),
                Cow::Borrowed(movers.values()),
                memory,
            )?,
            Side::Destinations => {
                let Columns { col_ptr, rows, values } = Columns::of(movers);
                Lines::new(device, &col_ptr, Cow::Owned(rows), Cow::Owned(values), memory)?
            }
        };
        Ok(cell.get_or_init(|| lines))
    }

    /// Submits commands, the last of which may copy to `readback`.
    fn submit(
        &self,
        what: &str,
        readback: Option<&Readback>,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<wgpu::SubmissionIndex> {
        let descriptor = wgpu::CommandEncoderDescriptor::default();
        checked(&self.device, what, || {
            let mut encoder = self.device.device.create_command_encoder(&descriptor);
            encode(&mut encoder);
            let submission = self.device.queue.submit([encoder.finish()]);
            if let Some(readback) = readback {
                readback.request();
            }
            Ok(submission)
        })
    }

    /// Bytes of one buffer.
    pub(super) fn most_bytes(&self) -> u64 {
        self.device.limits.binding_bytes.min(self.device.limits.buffer_bytes)
    }
}

impl Device {
    /// Bound on the relative error of sums in `f32` with so many blocks: of the factors of the terms
    /// and their products, of the additions of a lane, and of those of its team.
    pub fn rounding_f32(&self, blocks: usize) -> f64 {
        let lanes = self.info.subgroup_min_size.max(1);
        let chain = (SEGMENT_ENTRIES as u32).div_ceil(lanes) + lanes.ilog2() + 4;
        f64::from(chain + 2 * blocks as u32) * f64::from(f32::EPSILON) / 2.0
    }
}

/// Refuses numbers that `f32` would make 0, infinite or less precise than its others.
fn check_single(what: &str, numbers: impl IntoIterator<Item = f64>) -> Result<()> {
    let beyond = |x: &f64| *x != 0.0 && !(*x as f32).is_normal();
    match numbers.into_iter().find(beyond) {
        None => Ok(()),
        Some(x) => Err(Error::request(format!(
            "precision f32: a {what} of {x:e} is beyond its normal numbers; use exact or f64"
        ))),
    }
}

/// In tests, fills an output with what no kernel writes, so that an element left out shows.
fn poison(device: &Device, out: &wgpu::Buffer) {
    if cfg!(test) {
        device.queue.write_buffer(out, 0, &vec![0xff; out.size() as usize]);
    }
}

fn product(factors: &[f64], mut sums: Vec<f64>) -> Vec<f64> {
    for (sum, f) in sums.iter_mut().zip(factors) {
        *sum *= f;
    }
    sums
}
