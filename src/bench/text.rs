//! Everything that was measured, for people: tables of at most 100 columns.

use std::fmt::{self, Write as _};

use super::passes::PassRun;
use super::report::Report;

impl Report {
    /// Tables of all results.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("text can be written");
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        self.write_head(out)?;
        self.write_bandwidth(out)?;
        if !self.passes.is_empty() {
            self.write_passes(out)?;
        }
        if !self.direct.is_empty() {
            self.write_direct(out)?;
        }
        if !self.plan.is_empty() {
            self.write_plan(out)?;
        }
        self.write_checks(out)
    }

    fn write_head(&self, out: &mut String) -> fmt::Result {
        let (machine, sample) = (&self.machine, &self.sample);
        let build = if self.release_build { "" } else { ", NOT A RELEASE BUILD" };
        writeln!(out, "flowrake {}{build}", self.version)?;
        writeln!(
            out,
            "CPU     {}, {} cores, {} threads{}, {}, load {}",
            machine.cpu.as_deref().unwrap_or("unknown"),
            machine.cores,
            machine.threads,
            machine.memory_bytes.map_or(String::new(), |b| format!(", {} GiB", b >> 30)),
            machine.os,
            machine.load.map_or("unknown".to_owned(), |load| load.to_string()),
        )?;
        if let Some(device) = &self.device {
            let features: Vec<String> = device.features.iter().map(ToString::to_string).collect();
            writeln!(out, "GPU     {}", device.adapter.name)?;
            writeln!(
                out,
                "        {} {} {}; {}",
                device.adapter.backend,
                device.adapter.driver,
                device.adapter.driver_info,
                features.join(", ")
            )?;
        }
        writeln!(
            out,
            "matrix  {}: {} units, {} movers in {}, {} counties, {} states, longest row {}\n",
            sample.size,
            sample.units,
            sample.movers,
            sample.storage,
            sample.counties,
            sample.states,
            sample.longest_row
        )?;
        wrap(out, &format!("Made in {:.1} s: {}.", sample.generated_s, sample.made))
    }

    fn write_bandwidth(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nMemory, 10^9 bytes/s read and written")?;
        for b in &self.bandwidth {
            writeln!(
                out,
                "  {} {:<12} {:>8.1}   ({} MB, {})",
                b.place.to_uppercase(),
                b.what,
                b.bytes_per_s / 1e9,
                b.bytes / 1_000_000,
                if b.place == "gpu" { clock(b.timer) } else { "all threads" }
            )?;
        }
        Ok(())
    }

    fn write_passes(&self, out: &mut String) -> fmt::Result {
        let mut columns: Vec<Column> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for run in &self.passes {
            if !columns.contains(&Column::of(run)) {
                columns.push(Column::of(run));
            }
            if !names.contains(&run.pass) {
                names.push(run.pass);
            }
        }
        let timer = self.passes.iter().find(|run| run.what == "kernel").map(|run| run.timer);
        writeln!(
            out,
            "\nPasses, milliseconds, median of {}. call: as the solver makes it, with factors sent \
             and sums\nread back; kernel: on the device alone{}",
            self.repeats,
            timer.map_or(String::new(), |timer| format!(", by {}", clock(timer)))
        )?;
        self.write_table(out, &names, &columns, |run| milliseconds(run.time.median_s))?;
        writeln!(out, "\nThe same in % of the copy bandwidth of the same place")?;
        self.write_table(out, &names, &columns, |run| percent(run.ratio_to_copy))
    }

    fn write_table(
        &self,
        out: &mut String,
        names: &[&str],
        columns: &[Column],
        cell: impl Fn(&PassRun) -> String,
    ) -> fmt::Result {
        for (k, left) in ["", "", "                          MB"].into_iter().enumerate() {
            write!(out, "{left:<28}")?;
            for column in columns {
                write!(
                    out,
                    "{:>9}",
                    [&column.place.to_uppercase(), column.precision, column.what][k]
                )?;
            }
            writeln!(out)?;
        }
        for name in names {
            let of_pass = |run: &&PassRun| run.pass == *name;
            let bytes = self.passes.iter().filter(of_pass).map(|run| run.bytes).max();
            write!(out, "  {name:<20}{:>6}", bytes.unwrap_or(0) / 1_000_000)?;
            for column in columns {
                let run = self.passes.iter().filter(of_pass).find(|r| Column::of(r) == *column);
                write!(out, "{:>9}", run.map_or("-".to_owned(), &cell))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_direct(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\nDirect iterations: destination and origin margins, every entry in every iteration; at \
             most\n40 s of them. passes: over the entries in an iteration"
        )?;
        writeln!(
            out,
            "  margins   place        passes    taken    asked  per second  ms each  % of copy  \
             prepare s"
        )?;
        for run in &self.direct {
            writeln!(
                out,
                "  {:<9} {:<12} {:>6} {:>8} {:>8} {:>11.1} {:>8} {:>10} {:>10.2}",
                run.margins,
                place(run.place, run.precision),
                run.passes,
                run.iterations,
                run.asked,
                run.iterations_per_s,
                milliseconds(1.0 / run.iterations_per_s),
                percent(run.ratio_to_copy),
                run.prepare_s,
            )?;
        }
        Ok(())
    }

    fn write_plan(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nThe published plan of one year, margins of counties met to 1e-9")?;
        writeln!(
            out,
            "  solver     place         seconds  iterations  half-sweeps   entries solved  largest \
             violation"
        )?;
        for run in &self.plan {
            writeln!(
                out,
                "  {:<10} {:<12} {:>8.3} {:>11} {:>12} {:>16} {:>18.1e}{}",
                run.solver.to_string(),
                place(run.place, run.precision),
                run.elapsed_s,
                run.iterations,
                run.half_sweeps,
                run.solved_entries,
                run.max_relative_violation,
                if run.converged { "" } else { "  NOT MET" },
            )?;
        }
        Ok(())
    }

    fn write_checks(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nDo the results agree? Largest relative difference, and what is allowed")?;
        for check in &self.checks {
            let verdict = if check.passed { "yes" } else { "NO" };
            let found = match check.worst {
                Some(0.0) | None if check.passed => "equal".to_owned(),
                Some(worst) => format!("{worst:.1e} ({:.1e})", check.allowed),
                None => "not a number".to_owned(),
            };
            writeln!(out, "  {verdict:<3} {:<70} {found:>20}", check.what)?;
            if !check.passed {
                writeln!(out, "      {}", check.found)?;
            }
        }
        Ok(())
    }
}

/// What a column of the table of passes holds.
#[derive(PartialEq)]
struct Column {
    place: &'static str,
    precision: &'static str,
    what: &'static str,
}

impl Column {
    fn of(run: &PassRun) -> Self {
        Self { place: run.place, precision: run.precision, what: run.what }
    }
}

fn place(place: &str, precision: &str) -> String {
    format!("{} {precision}", place.to_uppercase())
}

fn clock(timer: crate::gpu::Timer) -> &'static str {
    match timer {
        crate::gpu::Timer::Timestamps => "its own clock",
        crate::gpu::Timer::Wall => "the host's clock",
    }
}

/// Four figures or so.
fn milliseconds(seconds: f64) -> String {
    match seconds * 1e3 {
        ms if ms < 9.9995 => format!("{ms:.3}"),
        ms if ms < 99.995 => format!("{ms:.2}"),
        ms => format!("{ms:.1}"),
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.1}", 100.0 * ratio)
}

/// A paragraph in lines of at most 100 columns.
fn wrap(out: &mut String, text: &str) -> fmt::Result {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > 100 {
            writeln!(out)?;
            column = 0;
        }
        let blank = if column > 0 { " " } else { "" };
        write!(out, "{blank}{word}")?;
        column += blank.len() + length;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_and_numbers_are_short() {
        let mut out = String::new();
        wrap(&mut out, &"word ".repeat(50)).unwrap();
        assert!(out.lines().all(|line| line.len() <= 100 && !line.ends_with(' ')), "{out}");
        assert_eq!(out.split_whitespace().count(), 50);
        assert_eq!(milliseconds(0.000_123_4), "0.123");
        assert_eq!(milliseconds(0.012_345), "12.35");
        assert_eq!(milliseconds(1.5), "1500.0");
        assert_eq!(percent(0.705), "70.5");
    }
}
