//! The files of every run, checked before any work is done.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use flowrake::matrix::file::Format;
use flowrake::output::{folder, identity};
use flowrake::plan_file;
use flowrake::report::{Manifest, Stage};

use super::Args;

/// What stands for the year in the names of outputs.
const YEAR: &str = "{year}";

/// A plan file and what is written.
#[derive(Clone, Debug)]
pub struct Files {
    pub plan: PathBuf,
    pub out: PathBuf,
    pub history: Option<PathBuf>,
    pub cells: Option<PathBuf>,
    pub factors: Option<PathBuf>,
    /// Of a run that may be taken up again, what this is a stage of.
    pub stage: Option<Stage>,
}

impl Files {
    /// Those of every plan.
    pub fn of(args: &Args) -> Result<Vec<Self>> {
        Format::of(&args.out)?;
        if let Some(factors) = &args.factors {
            ensure!(
                factors.extension().is_some_and(|e| e == "npz"),
                "{}: expected a name that ends in .npz",
                factors.display()
            );
        }
        let plans = args.plans.iter().map(|plan| Self::of_plan(args, plan));
        let all: Vec<Self> = plans.collect::<Result<_>>()?;
        check_outputs(&all)?;
        // Of all runs together: what one writes may not be what a later one reads.
        let outputs: Vec<PathBuf> = all.iter().flat_map(Self::outputs).collect();
        for files in &all {
            let (_, inputs) = plan_file::year_and_inputs(&files.plan)?;
            crate::cli::refuse_inputs(outputs.iter().map(PathBuf::as_path), &inputs)?;
        }
        Ok(all)
    }

    fn of_plan(args: &Args, plan: &Path) -> Result<Self> {
        let plans = args.plans.len();
        let named = |option: &str, path: &Path| -> Result<PathBuf> {
            let text = path.to_string_lossy();
            if !text.contains(YEAR) {
                ensure!(
                    plans == 1,
                    "{option}: expected {YEAR} in the name, since there are {plans} plans, found \
                     {text}"
                );
                return Ok(path.to_owned());
            }
            let Some(year) = plan_file::year_and_inputs(plan)?.0 else {
                bail!(
                    "{}: expected a year in [seed], for {YEAR} in the name {text}",
                    plan.display()
                );
            };
            Ok(text.replace(YEAR, &year.to_string()).into())
        };
        let companion = |option: &str, path: &Option<PathBuf>| {
            path.as_deref().map(|path| named(option, path)).transpose()
        };
        Ok(Self {
            plan: plan.to_owned(),
            out: named("--out", &args.out)?,
            history: companion("--history", &args.history)?,
            cells: companion("--cells", &args.cells)?,
            factors: companion("--factors", &args.factors)?,
            stage: None,
        })
    }

    /// Every file that the run writes.
    fn outputs(&self) -> Vec<PathBuf> {
        let companions = [&self.history, &self.cells, &self.factors].into_iter().flatten();
        let manifest = Manifest::<()>::path_for(&self.out);
        [self.out.clone(), manifest].into_iter().chain(companions.cloned()).collect()
    }
}

/// Refuses outputs that could not be written.
fn check_outputs(all: &[Files]) -> Result<()> {
    let mut known = Vec::new();
    for files in all {
        for path in files.outputs() {
            ensure!(folder(&path).is_dir(), "{}: its folder does not exist", path.display());
            let identity = identity(&path);
            ensure!(!known.contains(&identity), "{}: is named twice as an output", path.display());
            known.push(identity);
        }
    }
    Ok(())
}
