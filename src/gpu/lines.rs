//! The movers by origins or by destinations on the device, in panels that fit its limits.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::Device;
use super::buffer::{Readback, checked, storage, storage_of, wait, write};
use super::pass::Entries;
use crate::matrix::Value;
use crate::{Error, Result};

/// Entries of a segment, at most: 32 for each lane of a team of 32. A line of any length is shared
/// by many teams, and most lines of a national matrix are one segment.
pub const SEGMENT_ENTRIES: u64 = 1024;

/// Entries of a panel, at most: a few milliseconds on a graphics card, and half a gigabyte for two
/// panels of `f32` in turn where not all fit.
const PANEL_ENTRIES: u64 = 1 << 25;

/// Entries of a panel where memory is short, at least: less would be all overhead.
const LEAST_PANEL_ENTRIES: u64 = 1 << 12;

/// Entries from `start` on, of one line, up to the start of the next segment.
///
/// Keep in sync with `shaders/common.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Segment {
    /// First entry within the panel.
    pub start: u32,
    /// Line the entries belong to.
    pub line: u32,
}

/// Entries as they are on the device.
#[derive(Debug)]
pub struct Data {
    others: wgpu::Buffer,
    values: wgpu::Buffer,
}

impl Data {
    fn new<V: Value>(device: &Device, entries: usize) -> Result<Self> {
        #[cfg(test)]
        if tests::OUT_OF_MEMORY.with_borrow_mut(std::collections::VecDeque::pop_front) == Some(true)
        {
            return Err(Error::OutOfDeviceMemory("a test".to_owned()));
        }
        let entries = entries as u64;
        Ok(Self {
            others: storage(device, "indices of movers", 4 * entries)?,
            values: storage(device, "values of movers", size_of::<V>() as u64 * entries)?,
        })
    }
}

/// Consecutive segments whose entries fit a buffer.
#[derive(Debug)]
pub struct Panel {
    /// Entries of the matrix.
    pub entries: Range<usize>,
    /// Segments, and one more where the last one ends.
    pub segments: Vec<Segment>,
    /// A sum for every segment, and its way to the host.
    pub sums: wgpu::Buffer,
    /// Where the host reads `sums`.
    pub readback: Readback,
    segment_buffer: wgpu::Buffer,
    /// The entries, unless they are uploaded anew in every pass.
    data: Option<Data>,
}

impl Panel {
    /// Number of segments.
    pub fn len(&self) -> usize {
        self.segments.len() - 1
    }

    /// The buffers of a pass over this panel, whose entries are in `data`.
    pub fn bind<'a>(&'a self, data: &'a Data, out: &'a wgpu::Buffer) -> Entries<'a> {
        Entries {
            segments: &self.segment_buffer,
            others: &data.others,
            values: &data.values,
            out,
            out_offset: 0,
        }
    }
}

/// One compressed direction of a matrix.
///
/// Invariants:
/// - the segments of all panels hold every entry once, in order, and none spans two lines;
/// - a panel without entries of its own finds room in `ring`.
#[derive(Debug)]
pub struct Lines<'a, V: Value> {
    device: Arc<Device>,
    /// Entries on the host; empty once all are resident.
    others: Cow<'a, [u32]>,
    values: Cow<'a, [V]>,
    panels: Vec<Panel>,
    ring: Vec<Data>,
    /// Bytes of resident entries.
    resident_bytes: u64,
}

impl<'a, V: Value> Lines<'a, V> {
    /// Uploads entries: all of them if they fit in `memory_bytes`; else as many panels as leave half
    /// of that for two that are uploaded in turn in every pass.
    ///
    /// # Errors
    /// If the device lacks memory for two panels.
    pub fn new(
        device: Arc<Device>,
        line_ptr: &[u64],
        others: Cow<'a, [u32]>,
        values: Cow<'a, [V]>,
        memory_bytes: u64,
    ) -> Result<Self> {
        let mut panels = Vec::new();
        let fits = (others.len() * (4 + size_of::<V>())) as u64 <= memory_bytes;
        let mut room = Room::of::<V>(&device);
        if !fits {
            let entries = memory_bytes / 4 / (4 + size_of::<V>()) as u64;
            room.panel_entries = room.panel_entries.min(entries.max(LEAST_PANEL_ENTRIES));
        }
        for (entries, segments) in split(line_ptr, &room) {
            let sums = 8 * (segments.len() as u64 - 1);
            panels.push(Panel {
                entries,
                sums: storage(&device, "sums of segments", sums)?,
                readback: Readback::new(&device, "sums of segments", sums)?,
                segment_buffer: storage_of(&device, "segments", &segments)?,
                segments,
                data: None,
            });
        }
        let mut lines =
            Self { device, others, values, panels, ring: Vec::new(), resident_bytes: 0 };
        lines.upload_resident(if fits { memory_bytes } else { memory_bytes / 2 })?;
        if lines.panels.iter().all(|panel| panel.data.is_some()) {
            lines.others = Cow::Borrowed(&[]);
            lines.values = Cow::Borrowed(&[]);
        } else {
            lines.make_ring()?;
        }
        Ok(lines)
    }

    fn upload_resident(&mut self, memory_bytes: u64) -> Result<()> {
        let mut uploads = Vec::new();
        for k in 0..self.panels.len() {
            let entries = self.panels[k].entries.len();
            let bytes = (entries * (4 + size_of::<V>())) as u64;
            if self.resident_bytes + bytes > memory_bytes {
                break;
            }
            let data = match Data::new::<V>(&self.device, entries) {
                Ok(data) => data,
                Err(Error::OutOfDeviceMemory(_)) => break,
                Err(error) => return Err(error),
            };
            // The host's copy of an upload is freed when the device has it.
            uploads.push(checked(&self.device, "movers", || {
                self.upload(&self.panels[k], &data);
                Ok(self.device.queue.submit([]))
            })?);
            if let Some(before_last) = uploads.len().checked_sub(3) {
                wait(&self.device, uploads[before_last].clone())?;
            }
            self.panels[k].data = Some(data);
            self.resident_bytes += bytes;
        }
        Ok(())
    }

    /// Makes room for two panels in turn, if need be in place of resident ones.
    fn make_ring(&mut self) -> Result<()> {
        let entries = self.panels.iter().map(|p| p.entries.len()).max().unwrap_or(0);
        loop {
            let slot = || Data::new::<V>(&self.device, entries);
            match slot().and_then(|first| Ok(vec![first, slot()?])) {
                Ok(ring) => {
                    self.ring = ring;
                    return Ok(());
                }
                Err(out_of_memory @ Error::OutOfDeviceMemory(_)) => {
                    let Some(last) = self.panels.iter_mut().rfind(|p| p.data.is_some()) else {
                        return Err(out_of_memory);
                    };
                    last.data = None;
                    self.resident_bytes -= (last.entries.len() * (4 + size_of::<V>())) as u64;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn upload(&self, panel: &Panel, data: &Data) {
        write(&self.device, &data.others, &self.others[panel.entries.clone()]);
        write(&self.device, &data.values, &self.values[panel.entries.clone()]);
    }

    /// The panels, in order.
    pub fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// The panels that stay on the device, with their entries.
    pub fn resident(&self) -> impl Iterator<Item = (&Panel, &Data)> {
        self.panels.iter().filter_map(|panel| Some((panel, panel.data.as_ref()?)))
    }

    /// Whether all entries stay on the device.
    pub fn is_resident(&self) -> bool {
        self.ring.is_empty()
    }

    /// Calls `work` for every panel, in order, with its entries on the device; `work` submits what
    /// it does with them and returns the submission.
    ///
    /// # Errors
    /// If `work` fails or the device is lost.
    pub fn visit(
        &self,
        mut work: impl FnMut(&Panel, &Data) -> Result<wgpu::SubmissionIndex>,
    ) -> Result<()> {
        let mut reads = Vec::new();
        for panel in &self.panels {
            if let Some(data) = &panel.data {
                work(panel, data)?;
                continue;
            }
            // Not before the slot is free, and not more uploads on the way than slots.
            if let Some(before_last) = reads.len().checked_sub(2) {
                let read: &wgpu::SubmissionIndex = &reads[before_last];
                wait(&self.device, read.clone())?;
            }
            let data = &self.ring[reads.len() % 2];
            checked(&self.device, "movers", || {
                self.upload(panel, data);
                Ok(())
            })?;
            reads.push(work(panel, data)?);
        }
        Ok(())
    }

    /// What every segment's sum is, in order, after a pass over all panels.
    ///
    /// # Errors
    /// If the device does not deliver.
    pub fn read_sums<T: Pod>(&self, mut take: impl FnMut(u32, T)) -> Result<()> {
        for panel in &self.panels {
            panel.readback.read(panel.len(), |sums: &[T]| {
                for (segment, &sum) in panel.segments.iter().zip(sums) {
                    take(segment.line, sum);
                }
            })?;
        }
        Ok(())
    }
}

/// What fits a panel.
struct Room {
    panel_entries: u64,
    panel_segments: u64,
    segment_entries: u64,
}

impl Room {
    fn of<V>(device: &Device) -> Self {
        let bytes = device.limits.binding_bytes.min(device.limits.buffer_bytes);
        // A copy writes whole words, also of halves.
        let width = (size_of::<V>() as u64).max(4);
        Self {
            panel_entries: (bytes / width).clamp(1, PANEL_ENTRIES),
            // One more segment marks the end.
            panel_segments: (bytes / 8).saturating_sub(1).max(1),
            // Harmonized values take 8 bytes each.
            segment_entries: (bytes / 8).clamp(1, SEGMENT_ENTRIES),
        }
    }
}

/// Entries and segments of every panel.
fn split(line_ptr: &[u64], room: &Room) -> Vec<(Range<usize>, Vec<Segment>)> {
    let mut panels = Vec::new();
    let mut segments = Vec::new();
    let mut panel_start = 0;
    let mut finish = |segments: &mut Vec<Segment>, panel_start: &mut u64, end: u64| {
        if !segments.is_empty() {
            segments.push(Segment { start: (end - *panel_start) as u32, line: 0 });
            panels.push((*panel_start as usize..end as usize, std::mem::take(segments)));
        }
        *panel_start = end;
    };
    for (line, ends) in (0_u32..).zip(line_ptr.windows(2)) {
        let mut start = ends[0];
        while start < ends[1] {
            let taken = start - panel_start;
            if taken == room.panel_entries || segments.len() as u64 == room.panel_segments {
                finish(&mut segments, &mut panel_start, start);
                continue;
            }
            let most = room.segment_entries.min(room.panel_entries - taken);
            segments.push(Segment { start: taken as u32, line });
            start = ends[1].min(start + most);
        }
    }
    let end = line_ptr.last().copied().unwrap_or(0);
    finish(&mut segments, &mut panel_start, end);
    panels
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::super::device::{Limits, Options};
    use super::*;

    thread_local! {
        /// Which of the next allocations for a panel fail.
        pub static OUT_OF_MEMORY: RefCell<VecDeque<bool>> = const { RefCell::new(VecDeque::new()) };
    }

    const ROOM: Room = Room { panel_entries: 10, panel_segments: 4, segment_entries: 4 };

    #[test]
    fn panels_hold_every_entry_once() {
        for line_ptr in [
            vec![0],
            vec![0, 0, 0],
            vec![0, 1, 1, 35, 36, 36],
            vec![0, 10, 20],
            vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        ] {
            let mut next = 0;
            for (entries, segments) in split(&line_ptr, &ROOM) {
                assert_eq!((entries.start, segments[0].start), (next, 0));
                assert!(entries.len() <= 10 && segments.len() <= 5, "{segments:?}");
                for pair in segments.windows(2) {
                    let [start, end] =
                        [0, 1].map(|k| (entries.start as u32 + pair[k].start).into());
                    let line = pair[0].line as usize;
                    assert!(start < end && end <= start + 4, "{segments:?}");
                    assert!(line_ptr[line] <= start && end <= line_ptr[line + 1], "{segments:?}");
                }
                assert_eq!(segments[segments.len() - 1].start as usize, entries.len());
                next = entries.end;
            }
            assert_eq!(next as u64, line_ptr[line_ptr.len() - 1]);
        }
    }

    /// Four panels of 128 entries, with allocations failing as planned.
    fn lines(plan: &[bool]) -> Result<Lines<'static, f32>> {
        let limits = Limits { binding_bytes: 512, buffer_bytes: 512, ..Limits::default() };
        let device = Device::open(&Options { allow_software: true, limits, ..Options::default() })
            .expect("install libvulkan1 and mesa-vulkan-drivers");
        OUT_OF_MEMORY.set(plan.iter().copied().collect());
        let (others, values) = (vec![0; 512], vec![1.0; 512]);
        let lines = Lines::new(device, &[0, 512], others.into(), values.into(), u64::MAX);
        OUT_OF_MEMORY.take();
        lines
    }

    #[test]
    fn what_memory_does_not_hold_is_streamed() {
        let resident = |lines: &Lines<f32>| {
            lines.panels.iter().map(|p| u8::from(p.data.is_some())).collect::<Vec<_>>()
        };
        let all = lines(&[]).unwrap();
        assert!(all.is_resident() && all.others.is_empty(), "nothing is left on the host");
        assert_eq!((resident(&all), all.resident_bytes), (vec![1, 1, 1, 1], 4096));
        // The fourth panel fails; then room for the first slot, then for the second.
        let some = lines(&[false, false, false, true, true, false, true]).unwrap();
        assert_eq!((resident(&some), some.resident_bytes), (vec![1, 0, 0, 0], 1024));
        assert!(!some.is_resident() && some.others.len() == 512, "{:?}", some.others.len());
        let error = lines(&[true, true]).unwrap_err().to_string();
        assert_eq!(error, "a test");
    }
}
