//! The sections of a study file that are not about persons: official tables and how a seed is
//! harmonized with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ipf::Solver;
use crate::plan_file::beside;
use crate::targets::{PlanOptions, Sources, Step, StepChoice};

/// Official tables, from which the targets of every year are computed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetsSection {
    counties: PathBuf,
    census: Option<PathBuf>,
    states: Option<PathBuf>,
    crosswalk: Option<PathBuf>,
    once: Option<Vec<Step>>,
    repeat: Option<Vec<Step>>,
    #[serde(default)]
    drop: Vec<Step>,
    #[serde(default)]
    state_flows: BTreeMap<i32, PathBuf>,
    #[serde(default)]
    acs5: BTreeMap<i32, PathBuf>,
}

impl TargetsSection {
    /// The tables, named by the study file in `study`, for units that it names.
    pub fn sources(&self, study: &Path, units: &Path) -> Sources {
        let full = |path: &PathBuf| beside(study, path);
        let by_year = |(year, path): (&i32, &PathBuf)| (*year, full(path));
        Sources {
            counties: full(&self.counties),
            state_flows: self.state_flows.iter().map(by_year).collect(),
            states: self.states.as_ref().map(full),
            census: self.census.as_ref().map(full),
            acs5: self.acs5.iter().map(by_year).collect(),
            units: Some(units.to_owned()),
            crosswalk: self.crosswalk.as_ref().map(full),
        }
    }

    /// The steps of the plans.
    pub fn choice(&self) -> StepChoice {
        let (once, repeat) = (self.once.clone(), self.repeat.clone());
        StepChoice { once, repeat, drop: self.drop.clone() }
    }
}

/// How every year is harmonized.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HarmonizeSection {
    #[serde(default)]
    pub solver: Solver,
    stayer_floor: Option<f64>,
    max_iterations: Option<u32>,
    tolerance: Option<f64>,
    total_ratio_limit: Option<f64>,
}

impl HarmonizeSection {
    /// Numbers of the plan files.
    pub fn options(&self) -> PlanOptions {
        let Self { stayer_floor, max_iterations, tolerance, total_ratio_limit, .. } = *self;
        PlanOptions { stayer_floor, max_iterations, tolerance, total_ratio_limit }
    }
}
