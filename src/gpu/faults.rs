//! Everything that a device may report, as [`Error`]: nothing panics, nothing is printed.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytemuck::Pod;

use super::device::Device;
use crate::{Error, Result};

/// How long a submission may take. Kernels are cut into pieces of less than a second.
const PATIENCE: Duration = Duration::from_secs(300);

/// The first problem that no scope has caught; what the device does after it is not to be used.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<OnceLock<Fault>>);

#[derive(Clone, Debug)]
enum Fault {
    OutOfMemory,
    Other(String),
}

impl Faults {
    /// Listens to a device.
    pub(super) fn of(device: &wgpu::Device) -> Self {
        let faults = Self::default();
        let lost = faults.clone();
        device.set_device_lost_callback(move |_, message| lost.lost(&message));
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| uncaptured.record((&error).into())));
        faults
    }

    fn lost(&self, message: &str) {
        let message = if message.is_empty() { "it was closed" } else { message };
        self.record(Fault::Other(format!("the device was lost: {}", one_line(message))));
    }

    fn record(&self, fault: Fault) {
        // Later problems follow from the first.
        let _ = self.0.set(fault);
    }
}

impl From<&wgpu::Error> for Fault {
    fn from(error: &wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { .. } => Self::OutOfMemory,
            other => Self::Other(one_line(&other.to_string())),
        }
    }
}

/// A message of several lines in one.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

impl Device {
    /// An error that begins with the name of the device.
    pub(crate) fn error(&self, problem: &str) -> Error {
        Error::device(format!("{}: {problem}", self.info.name))
    }

    fn fault(&self, fault: &Fault) -> Error {
        match fault {
            Fault::OutOfMemory => Error::OutOfDeviceMemory(format!(
                "{}: is out of memory; close what else uses it, or give less with --device-memory",
                self.info.name
            )),
            Fault::Other(problem) => self.error(problem),
        }
    }

    /// What wgpu reports, as an error of this device.
    pub(super) fn error_of(&self, error: &wgpu::Error) -> Error {
        self.fault(&error.into())
    }

    /// Whether the device still works.
    ///
    /// # Errors
    /// The first problem that the driver reported and no call returned: a lost device, out of
    /// memory, or an invalid call. It stays.
    pub fn check(&self) -> Result<()> {
        self.faults.0.get().map_or(Ok(()), |fault| Err(self.fault(fault)))
    }

    /// Runs calls to wgpu.
    ///
    /// # Errors
    /// The first thing they are reported for, by this thread: [`Error::OutOfDeviceMemory`] if
    /// there is not enough memory, and the device can still be used; else [`Error::Device`].
    pub(crate) fn scope<T>(&self, calls: impl FnOnce() -> T) -> Result<T> {
        let filters = [
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::Validation,
            wgpu::ErrorFilter::OutOfMemory,
        ];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let result = guarded(calls);
        // The innermost first. Lack of memory is the cause of what else went wrong.
        let caught = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop()));
        let errors: Vec<wgpu::Error> = caught.collect::<Vec<_>>().into_iter().flatten().collect();
        if !errors.is_empty() {
            // A loss may be behind them that has not been reported yet.
            let _ = guarded(|| self.device.poll(wgpu::PollType::Poll));
        }
        self.check()?;
        match (errors.first(), result) {
            (Some(error), _) => Err(self.error_of(error)),
            (None, Err(panic)) => Err(self.error(&panic)),
            (None, Ok(value)) => Ok(value),
        }
    }

    /// Waits until a submission and those before it are done.
    ///
    /// # Errors
    /// If the device is lost meanwhile, or takes longer than five minutes.
    pub(crate) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let wait =
            wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        // A device that is lost while it is waited for makes wgpu 30 panic.
        let polled = guarded(|| self.device.poll(wait));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) => Err(self.error(&format!(
                "did not answer within {} s; it may be busy with other work",
                PATIENCE.as_secs()
            ))),
            Ok(Err(other)) => Err(self.error(&one_line(&other.to_string()))),
            Err(panic) => Err(self.error(&panic)),
        }
    }

    /// Submits commands and waits until they are done.
    ///
    /// # Errors
    /// If they are invalid, or as [`Device::wait`].
    pub(crate) fn run(&self, encoder: wgpu::CommandEncoder) -> Result<()> {
        let submission = self.scope(|| self.queue.submit([encoder.finish()]))?;
        self.wait(submission)
    }

    /// Copies `count` numbers from byte `offset` of a buffer (usage `COPY_SRC`; whole words only),
    /// after everything submitted so far.
    ///
    /// # Errors
    /// If the copy finds no memory, or the device is lost.
    pub(crate) fn read<T: Pod>(
        &self,
        buffer: &wgpu::Buffer,
        offset: u64,
        count: usize,
    ) -> Result<Vec<T>> {
        let size = (count * size_of::<T>()) as u64;
        if size == 0 {
            return Ok(Vec::new());
        }
        let (staging, submission) = self.scope(|| {
            let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder =
                self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, size);
            let submission = self.queue.submit([encoder.finish()]);
            (staging, submission)
        })?;
        let mapped = Arc::new(OnceLock::new());
        let answer = mapped.clone();
        self.scope(|| {
            staging.map_async(wgpu::MapMode::Read, .., move |result| {
                let _ = answer.set(result.is_ok());
            });
        })?;
        self.wait(submission)?;
        if mapped.get() != Some(&true) {
            return Err(self.error("its results could not be read back"));
        }
        let view = staging.get_mapped_range(..);
        let view = view.map_err(|e| self.error(&one_line(&e.to_string())))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a call whose panic becomes an [`Error`], so that a panic hook should
/// print nothing.
pub fn catches_panics() -> bool {
    GUARDED.get()
}

/// A panic as its message.
fn guarded<T>(calls: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(calls));
    GUARDED.set(outer);
    result.map_err(|payload| one_line(&message_of(&*payload)))
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "an unknown problem".to_owned())
}
