//! What a call found and did, year by year, from the manifests of its stages.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowrake::Error;
use flowrake::histories::study::YearRow;
use flowrake::ipf::{Solver, StopReason};
use flowrake::output::Outputs;
use flowrake::report::{Manifest, Output};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::job::Job;

/// A call, as `--json` prints it.
#[derive(Serialize)]
pub struct Summary {
    /// Whether all years did; none if they are not harmonized.
    pub converged: Option<bool>,
    years: Vec<Year>,
    /// Folder of the files.
    out: PathBuf,
    /// Wall-clock time of the call.
    elapsed_s: f64,
}

#[derive(Serialize)]
struct Year {
    #[serde(flatten)]
    line: Line,
    /// Seconds that harmonizing took, when it was done.
    harmonize_s: Option<f64>,
    /// Stages that this call did: targets, seed, harmonized.
    made: Vec<&'static str>,
}

/// A line of the yearly table: the seed (see [`YearRow`]) and how its plan ended.
#[derive(Serialize)]
struct Line {
    year: i32,
    active: u64,
    persons: f64,
    stayers: f64,
    movers: f64,
    unknown: f64,
    territory: f64,
    nonzeros: usize,
    mean_destinations: f64,
    converged: Option<bool>,
    stop: Option<StopReason>,
    solver: Option<Solver>,
    iterations: Option<u32>,
    max_relative_violation: Option<f64>,
}

/// Part of the report of a seed.
#[derive(Deserialize)]
struct Seed {
    seed: YearRow,
}

/// Part of the report of a harmonization.
#[derive(Deserialize)]
struct Harmonized {
    converged: bool,
    stop: StopReason,
    solver: Solver,
    iterations: u32,
    max_relative_violation: Option<f64>,
    elapsed_s: Elapsed,
}

#[derive(Deserialize)]
struct Elapsed {
    read: f64,
    solve: f64,
    write: f64,
}

impl Summary {
    /// Of a job whose stages are finished.
    pub fn new(job: &Job, elapsed_s: f64) -> Result<Self> {
        let years = job.years.iter().map(|&year| Year::new(job, year));
        let years = years.collect::<Result<Vec<_>>>()?;
        let converged = years.iter().map(|year| year.line.converged);
        Ok(Self {
            converged: converged.collect::<Option<Vec<_>>>().map(|all| all.iter().all(|c| *c)),
            years,
            out: job.layout.0.clone(),
            elapsed_s,
        })
    }

    /// Writes the yearly table with its manifest, and the units.
    pub fn write(&self, job: &Job) -> Result<()> {
        let (table, units) = (job.layout.table(&job.years), job.layout.units());
        let mut staged = Outputs::default();
        let of_targets = job.layout.targets(job.years[0]).join("units.csv");
        let bytes = std::fs::read(&of_targets).map_err(|e| Error::io(&of_targets, e))?;
        staged.add(&units, |file| file.write_all(&bytes))?;
        staged.add(&table, |file| {
            let mut out = csv::Writer::from_writer(file);
            self.years.iter().try_for_each(|year| out.serialize(&year.line))?;
            out.flush()
        })?;
        let outputs = vec![
            Output { path: table.clone(), what: "yearly table" },
            Output { path: units, what: "units" },
        ];
        let inputs = job.hashes.of(std::slice::from_ref(&job.args.study))?;
        let manifest = Manifest::new(std::env::args().collect(), inputs, outputs, self).to_json();
        let path = Manifest::<()>::path_for(&table);
        staged.add(&path, |file| file.write_all(manifest.as_bytes()))?;
        staged.commit()?;
        Ok(())
    }

    /// What a person wants to know, a year a line.
    pub fn text(&self) -> String {
        let count = match self.years.len() {
            1 => "1 year".to_owned(),
            count => format!("{count} years"),
        };
        let (out, elapsed_s) = (self.out.display(), self.elapsed_s);
        let mut lines = vec![format!("{out}: {count} in {elapsed_s:.1} s")];
        lines.extend(self.years.iter().map(Year::text));
        lines.join("\n") + "\n"
    }
}

impl Year {
    fn new(job: &Job, year: i32) -> Result<Self> {
        let Seed { seed } = report(&job.layout.seed(year))?;
        let harmonized: Option<Harmonized> =
            if job.args.prepare { None } else { Some(report(&job.layout.harmonized(year))?) };
        let of = harmonized.as_ref();
        let line = Line {
            year,
            active: seed.active,
            persons: seed.persons,
            stayers: seed.stayers,
            movers: seed.movers,
            unknown: seed.unknown,
            territory: seed.territory,
            nonzeros: seed.nonzeros,
            mean_destinations: seed.mean_destinations,
            converged: of.map(|h| h.converged),
            stop: of.map(|h| h.stop),
            solver: of.map(|h| h.solver),
            iterations: of.map(|h| h.iterations),
            max_relative_violation: of.and_then(|h| h.max_relative_violation),
        };
        Ok(Self {
            line,
            harmonize_s: of.map(|h| h.elapsed_s.read + h.elapsed_s.solve + h.elapsed_s.write),
            made: job.made.get(&year).cloned().unwrap_or_default(),
        })
    }

    fn text(&self) -> String {
        let Line { year, persons, movers, .. } = self.line;
        let mut parts = vec![format!("  {year}: {persons:.1} persons, {movers:.1} movers")];
        if let (Some(stop), Some(iterations)) = (self.line.stop, self.line.iterations) {
            let violation = self.line.max_relative_violation.unwrap_or(f64::NAN);
            parts.push(format!("{stop} after {iterations} iterations"));
            parts.push(format!("largest violation {violation:.1e}"));
        }
        parts.extend(self.harmonize_s.map(|seconds| format!("{seconds:.1} s")));
        if self.made.is_empty() {
            parts.push("finished before".to_owned());
        }
        parts.join("; ")
    }
}

/// The report in the manifest of an output.
fn report<R: DeserializeOwned>(output: &Path) -> Result<R> {
    #[derive(Deserialize)]
    struct Reported<R> {
        report: R,
    }
    let path = Manifest::<()>::path_for(output);
    let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
    let read = serde_json::from_slice::<Reported<R>>(&bytes);
    Ok(read.map_err(|e| Error::data(&path, "", e.to_string()))?.report)
}
