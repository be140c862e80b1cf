//! The published plan as a plan file.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::areas::Areas;

/// A step of the published plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Origins: the populations of the units a year before.
    Populations,
    /// Movers by state of destination.
    StateMovers,
    /// Stayers by state.
    StateNonMovers,
    /// Everyone by states of origin and destination.
    StateFlows,
    /// Destinations by county.
    CountyIn,
    /// Origins by county.
    CountyOut,
}

/// How a plan file writes a step.
struct Spec {
    step: Step,
    /// On the command line and, with `_` and `.csv`, as file.
    name: &'static str,
    title: &'static str,
    margin: &'static str,
    level: &'static str,
    entries: Option<&'static str>,
}

const SPECS: [Spec; 6] = [
    Spec {
        step: Step::Populations,
        name: "populations",
        title: "populations of the year before",
        margin: "origin",
        level: Areas::UNIT,
        entries: None,
    },
    Spec {
        step: Step::StateMovers,
        name: "state-movers",
        title: "movers per state",
        margin: "destination",
        level: "state",
        entries: Some("movers"),
    },
    Spec {
        step: Step::StateNonMovers,
        name: "state-non-movers",
        title: "stayers per state",
        margin: "destination",
        level: "state",
        entries: Some("stayers"),
    },
    Spec {
        step: Step::StateFlows,
        name: "state-flows",
        title: "state-to-state flows",
        margin: "block",
        level: "state",
        entries: None,
    },
    Spec {
        step: Step::CountyIn,
        name: "county-in",
        title: "county populations of the year",
        margin: "destination",
        level: Areas::COUNTY,
        entries: None,
    },
    Spec {
        step: Step::CountyOut,
        name: "county-out",
        title: "county populations of the year before",
        margin: "origin",
        level: Areas::COUNTY,
        entries: None,
    },
];

impl Step {
    /// All of them, in the published order.
    pub const ALL: [Self; 6] = [
        Self::Populations,
        Self::StateMovers,
        Self::StateNonMovers,
        Self::StateFlows,
        Self::CountyIn,
        Self::CountyOut,
    ];

    fn spec(self) -> &'static Spec {
        SPECS.iter().find(|spec| spec.step == self).expect("every step has its line")
    }

    /// File of its targets.
    pub fn file(self) -> String {
        self.spec().name.replace('-', "_") + ".csv"
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || SPECS.map(|spec| spec.name).join(", ");
        let spec = SPECS.iter().find(|spec| spec.name == name);
        spec.map(|spec| spec.step)
            .ok_or_else(|| format!("expected one of {}, found `{name}`", names()))
    }
}

/// Steps in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanSteps {
    /// Applied once.
    pub once: Vec<Step>,
    /// Repeated until they hold together.
    pub repeat: Vec<Step>,
}

impl PlanSteps {
    /// The published order. Of its steps, `populations` needs tables of them. Movers and stayers
    /// are those who changed house or not: units have to be as small as block groups for the moves
    /// within them not to matter, so coarser ones leave these steps out.
    pub fn published(populations: bool, block_groups: bool) -> Self {
        let mut once = Vec::new();
        if populations {
            once.push(Step::Populations);
        }
        if block_groups {
            once.extend([Step::StateMovers, Step::StateNonMovers]);
        }
        once.push(Step::StateFlows);
        Self { once, repeat: vec![Step::CountyIn, Step::CountyOut] }
    }

    /// All steps in their order.
    pub fn all(&self) -> impl Iterator<Item = Step> + use<'_> {
        self.once.iter().chain(&self.repeat).copied()
    }
}

/// Numbers of a plan file that are not the published ones or the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PlanOptions {
    /// Every diagonal entry is raised to this, persons.
    pub stayer_floor: Option<f64>,
    /// Iterations of the repeated steps, at most.
    pub max_iterations: Option<u32>,
    /// Largest |sum - target| / target of any cell.
    pub tolerance: Option<f64>,
    /// How far totals may differ and still be rescaled, relative.
    pub total_ratio_limit: Option<f64>,
}

/// The text of a plan file in the folder of the targets.
///
/// `seed` is the path of the matrix as the file names it.
pub fn plan_toml(steps: &PlanSteps, seed: &str, year: i32, options: &PlanOptions) -> String {
    // A string of JSON is one of TOML.
    let seed = serde_json::Value::from(seed);
    let mut text = format!(
        "# Targets of {year} in the published order of steps (Agostini et al., Nature \
         Communications 2025),\n# unless asked for otherwise. Steps and their order may be edited. \
         Paths are relative to this file.\n\n[seed]\nmatrix = {seed}\nunits = \"units.csv\"\nyear \
         = {year}\n"
    );
    if let Some(floor) = options.stayer_floor {
        line(&mut text, &format!("stayer_floor = {floor:e}"));
    }
    for step in &steps.once {
        write_step(&mut text, "step", *step);
    }
    if !steps.repeat.is_empty() {
        line(&mut text, "\n[[repeat]]");
        line(&mut text, &format!("max_iterations = {}", options.max_iterations.unwrap_or(3000)));
        line(&mut text, &format!("tolerance = {:e}", options.tolerance.unwrap_or(1e-9)));
        if let Some(limit) = options.total_ratio_limit {
            line(&mut text, &format!("total_ratio_limit = {limit:e}"));
        }
    }
    for step in &steps.repeat {
        write_step(&mut text, "repeat.step", *step);
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn write_step(text: &mut String, table: &str, step: Step) {
    let Spec { title, margin, level, entries, .. } = step.spec();
    let entries = entries.map_or(String::new(), |entries| format!("entries = \"{entries}\"\n"));
    write!(
        text,
        "\n[[{table}]]\nname = \"{title}\"\nmargin = \"{margin}\"\nlevel = \
         \"{level}\"\n{entries}targets = \"{}\"\n",
        step.file()
    )
    .expect("a String can be written to");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_names() {
        for spec in &SPECS {
            assert_eq!(spec.name.parse(), Ok(spec.step));
            assert_eq!(spec.step.to_string(), spec.name);
        }
        assert_eq!(
            "movers".parse::<Step>().unwrap_err(),
            "expected one of populations, state-movers, state-non-movers, state-flows, county-in, \
             county-out, found `movers`"
        );
        assert_eq!(Step::StateNonMovers.file(), "state_non_movers.csv");
    }

    #[test]
    fn what_is_left_out_of_the_published_plan() {
        use Step::{CountyIn, CountyOut, Populations, StateFlows, StateMovers, StateNonMovers};
        let full = PlanSteps::published(true, true);
        assert_eq!(full.once, [Populations, StateMovers, StateNonMovers, StateFlows]);
        assert_eq!(full.repeat, [CountyIn, CountyOut]);
        assert_eq!(PlanSteps::published(false, false).once, [StateFlows]);
    }

    #[test]
    fn the_plan_is_toml() {
        let steps = PlanSteps { once: vec![Step::StateMovers], repeat: vec![Step::CountyOut] };
        let published = PlanOptions::default();
        let text = plan_toml(&steps, "a \"b\"\\c.npz", 2011, &published);
        let plan: toml::Table = text.parse().unwrap();
        assert_eq!(plan["seed"]["matrix"].as_str(), Some("a \"b\"\\c.npz"));
        assert_eq!(plan["step"][0]["entries"].as_str(), Some("movers"));
        assert_eq!(plan["repeat"][0]["step"][0]["level"].as_str(), Some(Areas::COUNTY));
        assert_eq!(plan["repeat"][0]["tolerance"].as_float(), Some(1e-9));
        let options = PlanOptions {
            stayer_floor: Some(0.0),
            max_iterations: Some(7),
            tolerance: Some(0.012_5),
            total_ratio_limit: Some(0.25),
        };
        let plan: toml::Table = plan_toml(&steps, "s", 1, &options).parse().unwrap();
        assert_eq!(plan["seed"]["stayer_floor"].as_float(), Some(0.0));
        let repeat = &plan["repeat"][0];
        assert_eq!(repeat["max_iterations"].as_integer(), Some(7));
        assert_eq!(repeat["tolerance"].as_float(), Some(0.012_5));
        assert_eq!(repeat["total_ratio_limit"].as_float(), Some(0.25));
        let once = plan_toml(&PlanSteps { repeat: vec![], ..steps }, "s", 1, &published);
        assert!(!once.contains("repeat"));
    }
}
