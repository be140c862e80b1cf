//! How much memory this process has taken.

/// Most memory that was resident at once so far, in bytes, where the system tells: maps of files
/// count as far as they were in memory.
pub fn peak_memory_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        // Not getrusage, whose figure a process inherits from the one that started it.
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_counts() {
        let before = peak_memory_bytes().unwrap();
        let touched = std::hint::black_box(vec![1_u8; 200 << 20]);
        let after = peak_memory_bytes().unwrap();
        // The kernel counts in portions.
        let about = |bytes: u64| bytes - (4 << 20);
        assert!(after >= about(200 << 20) && after >= about(before), "{before}, then {after}");
        drop(touched);
        assert!(peak_memory_bytes().unwrap() >= about(after), "a peak stays");
    }
}
