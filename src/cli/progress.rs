//! What a run is doing and how long it still takes, on stderr where that is a terminal.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use flowrake::ipf::Iterated;
use flowrake::matrix::{FlowRows, ValueType};
use indicatif::ProgressBar;

/// What may go on at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Reading,
    Solving,
    Writing,
}

/// One line about all stages.
pub struct Progress {
    bar: ProgressBar,
    runs: usize,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: usize,
    /// What each stage does.
    stages: [String; 3],
}

impl Progress {
    /// About so many runs; nothing is shown if `hidden`.
    pub fn new(runs: usize, hidden: bool) -> Self {
        let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if !hidden {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, runs, began: Instant::now(), state: Mutex::default() }
    }

    /// Says what a stage does now; nothing if `what` is empty.
    pub fn say(&self, stage: Stage, what: impl Into<String>) {
        let mut state = self.state.lock().expect("nothing panics with it");
        state.stages[stage as usize] = what.into();
        self.show(&state);
    }

    /// Counts a run as done.
    pub fn done(&self) {
        let mut state = self.state.lock().expect("nothing panics with it");
        state.done += 1;
        self.show(&state);
    }

    /// Takes the line off the screen while `print` prints.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the line off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self, state: &State) {
        let mut line: Vec<String> = Vec::new();
        let all = self.runs;
        if all > 1 {
            let each = self.began.elapsed().as_secs_f64() / state.done as f64;
            let left = match state.done {
                0 => String::new(),
                done => format!(", {} left", duration(each * (all - done) as f64)),
            };
            line.push(format!("{} of {all} done{left}", state.done));
        }
        line.extend(state.stages.iter().rev().filter(|what| !what.is_empty()).cloned());
        self.bar.set_message(line.join(" | "));
    }
}

/// Tells from the iterations so far how many are left.
pub struct TimeLeft {
    began: Instant,
    /// Natural logarithm of the violation of each iteration.
    logarithms: Vec<f64>,
}

impl TimeLeft {
    pub fn new() -> Self {
        Self { began: Instant::now(), logarithms: Vec::new() }
    }

    /// Takes note of an iteration; what there is to say about it.
    pub fn after(&mut self, iterated: &Iterated) -> String {
        let Iterated { iteration, max_iterations, violation, .. } = *iterated;
        if iteration == 1 {
            *self = Self::new();
        }
        self.logarithms.push(violation.ln());
        let each = self.began.elapsed().as_secs_f64() / f64::from(iteration.max(2) - 1);
        let left = iterations_left(&self.logarithms, iterated)
            .map_or(String::new(), |left| format!(", {} left", duration(f64::from(left) * each)));
        format!(
            "iteration {iteration} of at most {max_iterations}, largest violation \
             {violation:.1e}{left}"
        )
    }
}

/// As many iterations as the violation takes to reach the tolerance if it goes on to shrink as over
/// the last half of those so far; at most all that are allowed. `None` for the first few.
fn iterations_left(logarithms: &[f64], iterated: &Iterated) -> Option<u32> {
    const FEW: usize = 8;
    let allowed = iterated.max_iterations.saturating_sub(iterated.iteration);
    let last = logarithms.len().checked_sub(1).filter(|last| *last >= FEW)?;
    let shrinks = (logarithms[last / 2] - logarithms[last]) / (last - last / 2) as f64;
    let needed = (logarithms[last] - iterated.tolerance.ln()) / shrinks;
    // A violation that grows, or is 0, tells nothing.
    Some(if needed >= 0.0 && needed < f64::from(allowed) { needed.ceil() as u32 } else { allowed })
}

/// `0 s`, `95 s`, `12 min`, `3.4 h`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Rows on their way into a file, telling how far they are.
pub struct Watched<'a> {
    rows: &'a dyn FlowRows,
    progress: &'a Progress,
    name: &'a str,
    /// When writing began, and rows gone through since: those of every pass.
    state: Mutex<(Instant, usize)>,
    passes: usize,
}

impl<'a> Watched<'a> {
    /// Rows of a matrix that a writer goes through `passes` times, to be written to `name`.
    pub fn new(
        rows: &'a dyn FlowRows,
        passes: usize,
        progress: &'a Progress,
        name: &'a str,
    ) -> Self {
        Self { rows, progress, name, state: Mutex::new((Instant::now(), 0)), passes }
    }
}

impl FlowRows for Watched<'_> {
    fn units(&self) -> usize {
        self.rows.units()
    }

    fn row_len(&self, i: usize) -> usize {
        self.rows.row_len(i)
    }

    fn push_columns(&self, i: usize, columns: &mut Vec<u32>) {
        self.rows.push_columns(i, columns);
    }

    fn push_flows(&self, i: usize, flows: &mut Vec<f64>) {
        self.rows.push_flows(i, flows);
    }

    fn value_type(&self) -> ValueType {
        self.rows.value_type()
    }

    fn release(&self, rows: Range<usize>) {
        let done = {
            let mut state = self.state.lock().expect("nothing panics with it");
            state.1 += rows.len();
            let share = state.1 as f64 / (self.rows.units() * self.passes).max(1) as f64;
            (share.min(1.0), state.0.elapsed().as_secs_f64())
        };
        self.rows.release(rows);
        let (share, elapsed) = done;
        let left = duration(elapsed * (1.0 - share) / share);
        let percent = (100.0 * share).floor();
        self.progress
            .say(Stage::Writing, format!("writing {}, {percent} %, {left} left", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iterated(iteration: u32, violation: f64) -> Iterated {
        Iterated { iteration, max_iterations: 100, violation, tolerance: 1e-9 }
    }

    #[test]
    fn a_steady_rate_tells_what_is_left() {
        // A tenth each: after 10 iterations 1e-5, after 18 1e-9.
        let logarithms: Vec<f64> = (0..20).map(|k| 10.0_f64.powi(4 - k).ln()).collect();
        let left = |n: usize| iterations_left(&logarithms[..n], &iterated(n as u32, 1.0));
        assert_eq!(left(8), None);
        assert!((4..=5).contains(&left(10).unwrap()), "{:?}", left(10));
        assert!(left(14).unwrap() <= 1);
    }

    #[test]
    fn without_a_rate_all_that_are_allowed_are_left() {
        for logarithms in [vec![0.0; 20], (0..20).map(f64::from).collect(), vec![f64::NAN; 20]] {
            assert_eq!(iterations_left(&logarithms, &iterated(20, 1.0)), Some(80));
        }
    }

    #[test]
    fn durations_are_short() {
        let texts = [0.4, 99.4, 150.0, 12_240.0].map(duration);
        assert_eq!(texts, ["0 s", "99 s", "2 min", "3.4 h"]);
    }

    #[test]
    fn a_new_group_begins_anew() {
        let mut left = TimeLeft::new();
        for k in 1..=20 {
            left.after(&iterated(k, 0.5_f64.powf(f64::from(k))));
        }
        let text = left.after(&iterated(1, 1.0));
        assert_eq!(text, "iteration 1 of at most 100, largest violation 1.0e0");
    }
}
