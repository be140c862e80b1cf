//! The folder of a year: a plan file, the targets of its steps, and where the tables contradict each
//! other.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::areas::Areas;
use super::mismatch::{self, Mismatch, NATION, mismatches};
use super::plan::{PlanOptions, PlanSteps, Step, plan_toml};
use super::populations::{UnitPopulations, populations};
use super::tables::Tables;
use super::year::YearTargets;
use crate::census::Estimate;
use crate::census::pep::Pep;
use crate::geography::Level;
use crate::output::Outputs;
use crate::report::Output;
use crate::{Error, Result};

/// Which steps to make, where they are not the published ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepChoice {
    /// Steps applied once, in this order.
    pub once: Option<Vec<Step>>,
    /// Steps repeated until they hold together.
    pub repeat: Option<Vec<Step>>,
    /// Steps to leave out.
    pub drop: Vec<Step>,
}

/// What was made of the tables.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// End year.
    pub year: i32,
    /// Level of the units.
    pub level: String,
    /// Number of units.
    pub units: usize,
    /// Number of counties.
    pub counties: usize,
    /// The plan.
    pub steps: PlanSteps,
    /// Sum of the targets of `county-in` over that of `county-out`.
    pub total_ratio: f64,
    /// Sums of targets, persons, by step.
    pub totals: BTreeMap<String, f64>,
    /// The comparisons of the whole nation.
    pub mismatches: Vec<Mismatch>,
    /// What else to know, a sentence each.
    pub notes: Vec<String>,
}

/// Targets of a year and the plan that uses them, not yet written.
#[derive(Debug)]
pub struct YearFolder<'a> {
    /// What they are.
    pub report: Report,
    areas: &'a Areas,
    files: Vec<TargetFile>,
    mismatches: Vec<Mismatch>,
}

impl<'a> YearFolder<'a> {
    /// Computes the targets of a year that the tables were read for.
    ///
    /// # Errors
    /// If the tables contradict each other, or a step cannot be made from them.
    ///
    /// # Panics
    /// If the tables were read for other years.
    pub fn new(tables: &'a Tables, year: i32, choice: &StepChoice) -> Result<Self> {
        let (change, flows) = &tables.years[&year];
        let targets = YearTargets::new(year, change, flows).map_err(|e| match e {
            Error::Request(problem) => Error::data(&tables.sources.state_flows[&year], "", problem),
            other => other,
        })?;
        let steps = choice.steps(tables)?;
        let populations = steps
            .all()
            .any(|step| step == Step::Populations)
            .then(|| populations(&tables.areas, &tables.populations, year - 1))
            .transpose()?;
        let by_state = populations.as_ref().map(|populations| by_state(&populations.persons));
        let states = tables.states.as_ref();
        let mismatches = mismatches(change, flows, &targets, by_state.as_ref(), states);
        let files = target_files(&steps, &targets, populations.as_ref());
        let mut notes: Vec<String> = populations.into_iter().flat_map(|p| p.notes).collect();
        let warnings = [Some(&tables.counties), states].into_iter().flatten();
        notes.extend(warnings.flat_map(Pep::warnings).chain(flows.warnings()).cloned());
        if states.is_some() && !mismatches.iter().any(|row| row.source == "PEP states") {
            notes.push(format!(
                "the estimates by state have no numbers of {year}, nothing was compared"
            ));
        }
        let total = |file: &TargetFile| file.rows.iter().map(|row| row.1.value).sum();
        let county_total = |targets: &BTreeMap<String, f64>| targets.values().sum::<f64>();
        let report = Report {
            year,
            level: tables.areas.level.to_string(),
            units: tables.areas.geography.len(),
            counties: change.counties.len(),
            total_ratio: county_total(&targets.county_in) / county_total(&targets.county_out),
            totals: files.iter().map(|file| (file.step.to_string(), total(file))).collect(),
            mismatches: mismatches.iter().filter(|row| row.area == NATION).cloned().collect(),
            steps,
            notes,
        };
        Ok(Self { report, areas: &tables.areas, files, mismatches })
    }

    /// The plan file in a folder.
    pub fn plan(folder: &Path) -> PathBuf {
        folder.join("plan.toml")
    }

    /// Every file of a folder, the plan first.
    pub fn outputs(&self, folder: &Path) -> Vec<Output> {
        let output = |name: &str, what| Output { path: folder.join(name), what };
        let mut outputs = vec![
            output("plan.toml", "plan"),
            output("units.csv", "units"),
            output("mismatches.csv", "comparison of the sources"),
        ];
        outputs.extend(self.report.steps.all().map(|step| output(&step.file(), "targets")));
        outputs
    }

    /// Writes the files; `seed` is the path of the matrix as the plan names it.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn add(
        &self,
        staged: &mut Outputs,
        folder: &Path,
        seed: &str,
        options: &PlanOptions,
    ) -> Result<()> {
        let at = |name: &str| folder.join(name);
        let plan = plan_toml(&self.report.steps, seed, self.report.year, options);
        staged.add(&Self::plan(folder), |file| file.write_all(plan.as_bytes()))?;
        staged.add(&at("units.csv"), |file| self.areas.geography.write_csv(file))?;
        staged.add(&at("mismatches.csv"), |file| mismatch::write(&self.mismatches, file))?;
        for file in &self.files {
            staged.add(&at(&file.step.file()), |out| file.write(out))?;
        }
        Ok(())
    }
}

impl StepChoice {
    /// The steps asked for, each possible with the tables at hand.
    fn steps(&self, tables: &Tables) -> Result<PlanSteps> {
        let has_populations = !tables.populations.is_empty();
        let block_groups = tables.areas.level == Level::BlockGroup;
        let mut steps = PlanSteps::published(has_populations, block_groups);
        if let Some(once) = &self.once {
            steps.once.clone_from(once);
        }
        if let Some(repeat) = &self.repeat {
            steps.repeat.clone_from(repeat);
        }
        // Named to be repeated only, a step is not taken once as well.
        if self.once.is_none() {
            steps.once.retain(|step| !steps.repeat.contains(step));
        }
        if self.repeat.is_none() {
            steps.repeat.retain(|step| !steps.once.contains(step));
        }
        for step in &self.drop {
            if steps.all().all(|known| known != *step) {
                return Err(Error::request(format!("drop {step}: the plan has no such step")));
            }
            steps.once.retain(|known| known != step);
            steps.repeat.retain(|known| known != step);
        }
        let all: Vec<Step> = steps.all().collect();
        let twice = all.iter().enumerate().find(|(k, step)| all[..*k].contains(step));
        let problem = if let Some((_, step)) = twice {
            format!("step {step}: expected each step once, found it again")
        } else if all.is_empty() {
            "expected at least one step, found none".to_owned()
        } else if all.contains(&Step::Populations) && !has_populations {
            "step populations: needs a census of 2010 or acs5".to_owned()
        } else {
            return Ok(steps);
        };
        Err(Error::request(problem))
    }
}

/// Persons by state, from codes that begin with the state's.
fn by_state(persons: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut states = BTreeMap::new();
    for (code, count) in persons {
        *states.entry(code[..2].to_owned()).or_insert(0.0) += count;
    }
    states
}

/// A file of targets.
#[derive(Debug)]
struct TargetFile {
    step: Step,
    /// Codes of a cell, one or two, and its target.
    rows: Vec<(Vec<String>, Estimate)>,
}

fn target_files(
    steps: &PlanSteps,
    year: &YearTargets,
    populations: Option<&UnitPopulations>,
) -> Vec<TargetFile> {
    let counts = |table: &BTreeMap<String, f64>| -> Vec<(Vec<String>, Estimate)> {
        let rows = table.iter();
        rows.map(|(code, &value)| (vec![code.clone()], Estimate { value, moe: None })).collect()
    };
    let estimates = |table: &BTreeMap<String, Estimate>| {
        table.iter().map(|(code, target)| (vec![code.clone()], *target)).collect()
    };
    let rows = |step| match step {
        Step::Populations => populations.map(|p| counts(&p.persons)).unwrap_or_default(),
        Step::StateMovers => estimates(&year.state_movers),
        Step::StateNonMovers => estimates(&year.state_non_movers),
        Step::StateFlows => {
            let pair = |(i, j): &(String, String)| vec![i.clone(), j.clone()];
            year.state_flows.iter().map(|(ends, target)| (pair(ends), *target)).collect()
        }
        Step::CountyIn => counts(&year.county_in),
        Step::CountyOut => counts(&year.county_out),
    };
    steps.all().map(|step| TargetFile { step, rows: rows(step) }).collect()
}

impl TargetFile {
    fn write(&self, file: impl io::Write) -> io::Result<()> {
        let mut out = csv::Writer::from_writer(file);
        let pairs = self.rows.first().is_some_and(|(codes, _)| codes.len() == 2);
        let has_moe = self.rows.iter().any(|(_, target)| target.moe.is_some());
        let keys: &[&str] = if pairs { &["origin", "destination"] } else { &["geoid"] };
        let columns = keys.iter().copied().chain(["target"]);
        out.write_record(columns.chain(has_moe.then_some("moe")))?;
        for (codes, target) in &self.rows {
            let moe = target.moe.map_or(String::new(), |moe| moe.to_string());
            let numbers = [target.value.to_string()].into_iter().chain(has_moe.then_some(moe));
            out.write_record(codes.iter().cloned().chain(numbers))?;
        }
        out.flush()
    }
}
