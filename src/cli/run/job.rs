//! The stages of a run, each left alone where it is finished.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use flowrake::Error;
use flowrake::gpu::device::ADAPTER_VARIABLE;
use flowrake::histories::study::{Budget, Report, YearRow};
use flowrake::histories::study_file::{Study, StudyFile};
use flowrake::histories::survey::Years;
use flowrake::ipf::Solver;
use flowrake::matrix::file;
use flowrake::output::{Outputs, folder, remove_abandoned};
use flowrake::plan_file;
use flowrake::report::{Hashes, Manifest, Output, Stage};
use flowrake::targets::{PlanOptions, Sources, Step, StepChoice, Tables, YearFolder};
use serde::Serialize;
use serde_json::json;

use super::Args;
use super::layout::Layout;
use crate::cli::engine::Backend;
use crate::cli::harmonize::{Call, Files, check_memory, harmonize};
use crate::cli::histories::{each_seed, metadata};
use crate::cli::progress::{self, Progress};

/// A call, checked.
pub struct Job<'a> {
    pub args: &'a Args,
    pub years: Vec<i32>,
    pub layout: Layout,
    pub hashes: Hashes,
    /// Stages that this call did, by year.
    pub made: BTreeMap<i32, Vec<&'static str>>,
    study: StudyFile,
    sources: Sources,
    choice: StepChoice,
    solver: Solver,
    options: PlanOptions,
}

/// What the manifest of a seed reports.
#[derive(Serialize)]
struct SeedReport<'a> {
    /// Of all years together.
    #[serde(flatten)]
    found: &'a Report,
    seed: &'a YearRow,
}

impl<'a> Job<'a> {
    /// Checks what can be checked without reading tables or persons, and makes the folder.
    pub fn new(args: &'a Args) -> Result<Self> {
        args.engine.check()?;
        if args.engine.backend == Backend::Gpu {
            args.engine.open(0)?;
        }
        let study = StudyFile::read(&args.study)?;
        let (sources, choice) = study.targets()?;
        let (solver, options) = study.harmonize();
        let years: Vec<i32> = args.years.iter().collect();
        let mut inputs = vec![args.study.clone()];
        inputs.extend(study.seed_inputs()?);
        for &year in &years {
            inputs.extend(sources.inputs(year).map_err(at(&args.study, ": [targets]"))?);
        }
        inputs.iter().try_for_each(|path| check_readable(path))?;
        let layout = Layout(args.out.clone());
        let outputs = layout.outputs(&years);
        crate::cli::refuse_inputs(outputs.iter().map(PathBuf::as_path), &inputs)?;
        let seeds = layout.seeds();
        fs::create_dir_all(&seeds).map_err(|e| Error::io(&seeds, e))?;
        for path in outputs.iter().filter(|path| folder(path).is_dir()) {
            remove_abandoned(path)?;
        }
        let (hashes, made) = (Hashes::default(), BTreeMap::new());
        Ok(Self { args, years, layout, hashes, made, study, sources, choice, solver, options })
    }

    /// Computes targets and writes plans.
    pub fn make_targets(&mut self, progress: &Progress) -> Result<()> {
        let say = |what: &str| progress.say(progress::Stage::Reading, what);
        say("looking for finished targets");
        let stages = self.unfinished(|year| self.targets_stage(year))?;
        if stages.is_empty() {
            return Ok(());
        }
        say("reading official tables");
        let years: Vec<i32> = stages.keys().copied().collect();
        let tables = Tables::read(&self.sources, &years)?;
        for (year, stage) in stages {
            say(&format!("computing the targets of {year}"));
            let made = YearFolder::new(&tables, year, &self.choice)
                .map_err(at(&self.args.study, ": [targets]"))?;
            let folder = self.layout.targets(year);
            fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
            let mut staged = Outputs::default();
            made.add(&mut staged, &folder, &Layout::seed_from_plan(year), &self.options)?;
            stage.commit(staged, made.outputs(&folder), &self.hashes, &made.report)?;
            remove_unused(&folder, made.report.steps.all())?;
        }
        self.note_made(&years, "targets");
        Ok(())
    }

    /// Makes the seeds that are not there, in one pass over persons.
    pub fn make_seeds(&mut self, progress: &Progress) -> Result<()> {
        progress.say(progress::Stage::Reading, "looking for finished seeds");
        let records = self.study.seed_inputs()?;
        let stages = self.unfinished(|year| Ok(self.seed_stage(year, &records)))?;
        let years: Vec<i32> = stages.keys().copied().collect();
        let (Some(&first), Some(&last)) = (years.first(), years.last()) else { return Ok(()) };
        let study = Study::read(&self.args.study)?;
        let memory = self.args.memory;
        let budget = Budget::new(memory, &self.layout.seeds(), &study, Years::new(first, last))?;
        check_memory(memory, study.units.len())?;
        self.check_plans()?;
        thread::scope(|scope| {
            let mut hashed = Some(scope.spawn(|| self.hashes.of(&records)));
            each_seed(&study, &years, &budget, progress, |found, row, matrix| {
                if let Some(hashed) = hashed.take() {
                    hashed.join().expect("hashing does not panic")?;
                }
                let path = self.layout.seed(row.year);
                let mut staged = Outputs::default();
                file::add(&mut staged, &path, matrix, &study.units, &metadata(row.year, &study))?;
                let outputs = vec![Output { path, what: "seed matrix" }];
                let report = SeedReport { found, seed: &row };
                Ok(stages[&row.year].commit(staged, outputs, &self.hashes, report)?)
            })
        })?;
        self.note_made(&years, "seed");
        Ok(())
    }

    /// Harmonizes the years that are not yet.
    pub fn harmonize(&mut self) -> Result<()> {
        let stages = self.unfinished(|year| self.harmonized_stage(year))?;
        let years: Vec<i32> = stages.keys().copied().collect();
        let files = |(year, stage)| Files {
            plan: self.layout.plan(year),
            out: self.layout.harmonized(year),
            history: None,
            cells: None,
            factors: None,
            stage: Some(stage),
        };
        let call = Call {
            runs: stages.into_iter().map(files).collect(),
            solver: self.solver,
            engine: &self.args.engine,
            memory: self.args.memory,
            hashes: &self.hashes,
            json: self.args.json,
            quiet: self.args.quiet,
            brief: true,
        };
        harmonize(&call)?;
        self.note_made(&years, "harmonized");
        Ok(())
    }

    fn note_made(&mut self, years: &[i32], stage: &'static str) {
        for year in years {
            self.made.entry(*year).or_default().push(stage);
        }
    }

    /// Refuses plans that could not be solved, whatever the seed.
    fn check_plans(&self) -> Result<()> {
        for &year in &self.years {
            let plan = self.layout.plan(year);
            let problem = plan_file::read_problem(&plan)?;
            self.solver.check(&problem).map_err(at(&plan, ""))?;
        }
        Ok(())
    }

    /// The stages that have to be done; without --resume all of them.
    fn unfinished(&self, stage: impl Fn(i32) -> Result<Stage>) -> Result<BTreeMap<i32, Stage>> {
        let mut left = BTreeMap::new();
        for &year in &self.years {
            let stage = stage(year)?;
            if !(self.args.resume && stage.finished(&self.hashes)) {
                left.insert(year, stage);
            }
        }
        Ok(left)
    }

    fn targets_stage(&self, year: i32) -> Result<Stage> {
        Ok(Stage {
            manifest: Manifest::<()>::path_for(&self.layout.plan(year)),
            configuration: json!({
                "year": year,
                "steps": self.choice,
                "numbers": self.options,
                "tables": self.sources.roles(),
            }),
            inputs: self.sources.inputs(year)?,
        })
    }

    fn seed_stage(&self, year: i32, records: &[PathBuf]) -> Stage {
        Stage {
            manifest: Manifest::<()>::path_for(&self.layout.seed(year)),
            configuration: json!({"year": year, "study": self.study.configuration()}),
            inputs: records.to_vec(),
        }
    }

    /// Once the plan is there.
    fn harmonized_stage(&self, year: i32) -> Result<Stage> {
        let engine = &self.args.engine;
        let word = |word: Option<String>| word.unwrap_or_else(|| "default".to_owned());
        Ok(Stage {
            manifest: Manifest::<()>::path_for(&self.layout.harmonized(year)),
            configuration: json!({
                "solver": self.solver,
                "backend": format!("{:?}", engine.backend),
                "adapter": word(engine.adapter.clone().or_else(|| env::var(ADAPTER_VARIABLE).ok())),
                "precision": word(engine.precision.map(|p| format!("{p:?}"))),
                "storage": word(engine.storage.map(|s| format!("{s:?}"))),
            }),
            inputs: plan_file::year_and_inputs(&self.layout.plan(year))?.1,
        })
    }
}

/// Removes the targets of an earlier run's steps.
fn remove_unused(folder: &Path, steps: impl Iterator<Item = Step>) -> Result<()> {
    let used: Vec<Step> = steps.collect();
    for step in Step::ALL.into_iter().filter(|step| !used.contains(step)) {
        let path = folder.join(step.file());
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(&path, e).into()),
            _ => {}
        }
    }
    Ok(())
}

/// Says where a request is from.
fn at(path: &Path, place: &'static str) -> impl FnOnce(Error) -> Error {
    let path = path.to_owned();
    move |error| match error {
        Error::Request(problem) => Error::data(path, place, problem),
        other => other,
    }
}

fn check_readable(path: &Path) -> flowrake::Result<()> {
    let is_folder = File::open(path).and_then(|file| file.metadata()).map(|file| file.is_dir());
    match is_folder {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::io(path, ErrorKind::IsADirectory.into())),
        Err(e) => Err(Error::io(path, e)),
    }
}
