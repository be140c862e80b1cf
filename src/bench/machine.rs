//! What the measurements ran on.

use std::fs;

use serde::Serialize;

/// This machine, as far as it tells.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Threads used.
    pub threads: usize,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Operating system and architecture.
    pub os: String,
    /// Release of its kernel.
    pub kernel: Option<String>,
    /// Processes that wanted to run in the last minute, before the measurements: not much above 0
    /// where times are worth anything.
    pub load: Option<f64>,
}

impl Machine {
    /// Looks into `/proc`, where there is one.
    pub(super) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = read("/proc/meminfo").and_then(|text| field(&text, "MemTotal"));
        let kibibytes = memory.and_then(|m| m.split(' ').next()?.parse::<u64>().ok());
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        Self {
            cpu: read("/proc/cpuinfo").and_then(|text| field(&text, "model name")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            memory_bytes: kibibytes.map(|kibi| kibi << 10),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            load,
        }
    }
}
