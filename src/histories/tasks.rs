//! Tasks of which only some may be under way at once, since each takes memory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rayon::prelude::*;

use crate::Result;

/// Does tasks 0 to `tasks` - 1, at most `at_once` together, each by one of as many workers; returns
/// the workers.
///
/// # Errors
/// An error of a task; others that are under way are finished.
pub fn each<W: Send>(
    tasks: usize,
    at_once: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize) -> Result<()> + Sync,
) -> Result<Vec<W>> {
    let next = AtomicUsize::new(0);
    let workers = at_once.min(rayon::current_num_threads()).min(tasks).max(1);
    let work_all = |_| {
        let mut worker = worker();
        loop {
            let task = next.fetch_add(1, Relaxed);
            if task >= tasks {
                return Ok(worker);
            }
            work(&mut worker, task).inspect_err(|_| next.store(tasks, Relaxed))?;
        }
    };
    (0..workers).into_par_iter().with_max_len(1).map(work_all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn every_task_is_done_once() {
        for at_once in [0, 1, 2, 100] {
            let done = each(50, at_once, Vec::new, |done, task| {
                done.push(task);
                Ok(())
            });
            let mut done = done.unwrap().concat();
            done.sort_unstable();
            assert_eq!(done, (0..50).collect::<Vec<_>>());
        }
        assert_eq!(each(0, 1, || 7, |_, _| Ok(())).unwrap(), [7]);
    }

    #[test]
    fn an_error_ends_it() {
        let failed = each(
            50,
            1,
            || 0,
            |done, task| {
                *done += 1;
                if task == 3 { Err(Error::request("no")) } else { Ok(()) }
            },
        );
        assert_eq!(failed.unwrap_err().to_string(), "no");
    }
}
