//! Buffers of a device, and the way to it and back.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use bytemuck::Pod;
use wgpu::BufferUsages;

use super::Device;
use crate::{Error, Result};

/// Runs calls to wgpu, `what` says what for.
///
/// # Errors
/// The first thing they are reported for; [`Error::OutOfDeviceMemory`] leaves the device usable.
pub fn checked<T>(device: &Device, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match device.scope(work) {
        Ok(result) => result,
        Err(Error::Device(problem)) => Err(Error::device(format!("{problem} ({what})"))),
        Err(other) => Err(other),
    }
}

/// Waits until a submission is done.
///
/// # Errors
/// If the device is lost.
pub fn wait(device: &Device, submission: wgpu::SubmissionIndex) -> Result<()> {
    device.wait(submission)
}

/// A buffer for kernels.
///
/// # Errors
/// If it is larger than the device allows, or there is no memory for it.
pub fn storage(device: &Device, what: &str, bytes: u64) -> Result<wgpu::Buffer> {
    let most = device.limits.binding_bytes.min(device.limits.buffer_bytes);
    if bytes > most {
        return Err(device.error(&format!("{what}: {bytes} bytes, and it takes {most} at once")));
    }
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    checked(device, what, || Ok(buffer(device, what, bytes, usage)))
}

/// More than any element that a shader binds: not even an empty buffer may be smaller than one.
const LEAST_BYTES: u64 = 64;

fn buffer(device: &Device, label: &str, bytes: u64, usage: BufferUsages) -> wgpu::Buffer {
    device.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.next_multiple_of(4).max(LEAST_BYTES),
        usage,
        mapped_at_creation: false,
    })
}

/// Writes `data` to the beginning of a buffer.
pub fn write<T: Pod>(device: &Device, buffer: &wgpu::Buffer, data: &[T]) {
    let bytes: &[u8] = bytemuck::cast_slice(data);
    // Copies come in words; only halves may leave a part of one.
    let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
    if !words.is_empty() {
        device.queue.write_buffer(buffer, 0, words);
    }
    if !rest.is_empty() {
        let mut word = [0; 4];
        word[..rest.len()].copy_from_slice(rest);
        device.queue.write_buffer(buffer, words.len() as u64, &word);
    }
}

/// A buffer with the given content.
///
/// # Errors
/// As [`storage`].
pub fn storage_of<T: Pod>(device: &Device, what: &str, data: &[T]) -> Result<wgpu::Buffer> {
    let buffer = storage(device, what, size_of_val(data) as u64)?;
    checked(device, what, || {
        write(device, &buffer, data);
        Ok(buffer)
    })
}

/// Memory of the host that a device writes results to.
///
/// [`copy`](Self::copy) into an encoder, [`request`](Self::request) after its submission,
/// [`read`](Self::read) after [`wait`]ing for it.
#[derive(Debug)]
pub struct Readback {
    buffer: wgpu::Buffer,
    /// Whether it was asked for and not read since.
    requested: Cell<bool>,
    /// What the device answered.
    arrived: Arc<Mutex<Option<bool>>>,
}

impl Readback {
    /// Room for `bytes`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(device: &Device, what: &str, bytes: u64) -> Result<Self> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let buffer = checked(device, what, || Ok(buffer(device, what, bytes, usage)))?;
        Ok(Self { buffer, requested: Cell::new(false), arrived: Arc::default() })
    }

    /// Copies the beginning of `from`, as much as fits.
    pub fn copy(&self, encoder: &mut wgpu::CommandEncoder, from: &wgpu::Buffer) {
        if self.requested.replace(false) {
            // A pass that failed has not fetched it.
            self.buffer.unmap();
        }
        let bytes = self.buffer.size().min(from.size());
        encoder.copy_buffer_to_buffer(from, 0, &self.buffer, 0, bytes);
    }

    /// Asks for what the latest submission copies here.
    pub fn request(&self) {
        self.requested.set(true);
        let arrived = self.arrived.clone();
        *locked(&arrived) = None;
        self.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            *locked(&arrived) = Some(result.is_ok());
        });
    }

    /// Hands the first `len` elements to `take`, and the buffer back to the device.
    ///
    /// # Errors
    /// If the device did not deliver.
    pub fn read<T: Pod>(&self, len: usize, take: impl FnOnce(&[T])) -> Result<()> {
        let bytes = (len * size_of::<T>()) as u64;
        if bytes == 0 {
            take(&[]);
            return Ok(());
        }
        let arrived = *locked(&self.arrived) == Some(true);
        let view = arrived.then(|| self.buffer.get_mapped_range(..bytes).ok()).flatten();
        let Some(view) = view else {
            return Err(Error::device("results could not be read from the graphics device"));
        };
        match bytemuck::try_cast_slice(&view) {
            Ok(elements) => take(elements),
            Err(_) => take(&bytemuck::pod_collect_to_vec::<u8, T>(&view)),
        }
        drop(view);
        self.requested.set(false);
        self.buffer.unmap();
        Ok(())
    }
}

/// The answer, also after a panic elsewhere.
fn locked(answer: &Mutex<Option<bool>>) -> std::sync::MutexGuard<'_, Option<bool>> {
    answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn what_a_failed_pass_left_unread_is_overwritten() {
        let device = Device::open(&Options { allow_software: true, ..Options::default() })
            .expect("install libvulkan1 and mesa-vulkan-drivers");
        let from = storage(&device, "a test", 8).unwrap();
        let readback = Readback::new(&device, "a test", 8).unwrap();
        let submit = |words: [u32; 2]| {
            checked(&device, "a test", || {
                write(&device, &from, &words);
                let descriptor = wgpu::CommandEncoderDescriptor::default();
                let mut encoder = device.device.create_command_encoder(&descriptor);
                readback.copy(&mut encoder, &from);
                let submission = device.queue.submit([encoder.finish()]);
                readback.request();
                Ok(submission)
            })
            .unwrap()
        };
        wait(&device, submit([1, 2])).unwrap();
        submit([3, 4]);
        wait(&device, submit([5, 6])).unwrap();
        let mut read = Vec::new();
        readback.read(2, |words: &[u32]| read.extend_from_slice(words)).unwrap();
        assert_eq!(read, [5, 6]);
        assert!(readback.read(2, |_: &[u32]| ()).is_err(), "it is read once");
    }

    #[test]
    fn halves_fill_a_word() {
        let device = Device::open(&Options { allow_software: true, ..Options::default() })
            .expect("install libvulkan1 and mesa-vulkan-drivers");
        let buffer = storage_of(&device, "a test", &[1_u16, 2, 3]).unwrap();
        assert_eq!(device.read::<u16>(&buffer, 0, 4).unwrap(), [1, 2, 3, 0]);
        let buffer = storage_of(&device, "a test", &[7_u16]).unwrap();
        assert_eq!(device.read::<u16>(&buffer, 0, 2).unwrap(), [7, 0]);
    }
}
