//! The plan file (TOML): a seed, the steps, and where their targets are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::geography::{Geography, Level, Partition};
use crate::ipf::{Constraint, Entries, Groups, Margin, Plan, Problem, Repeat, ZeroTargets};
use crate::matrix::file::Format;
use crate::matrix::{self, AnyFlowMatrix, Room};
use crate::table::Table;
use crate::{Error, Result, with_matrix};

/// A plan file as written. Paths are relative to the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    seed: SeedSpec,
    #[serde(default)]
    step: Vec<StepSpec>,
    #[serde(default)]
    repeat: Vec<RepeatSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedSpec {
    matrix: PathBuf,
    units: Option<PathBuf>,
    year: Option<i32>,
    #[serde(default = "one")]
    stayer_floor: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepSpec {
    name: Option<String>,
    margin: MarginSpec,
    level: String,
    destination_level: Option<String>,
    #[serde(default)]
    entries: Entries,
    targets: PathBuf,
    #[serde(default)]
    zero_targets: ZeroTargets,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MarginSpec {
    Origin,
    Destination,
    Block,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatSpec {
    /// As published: 3,000.
    #[serde(default = "published_iterations")]
    max_iterations: u32,
    #[serde(default = "default_tolerance")]
    tolerance: f64,
    #[serde(default = "default_ratio_limit")]
    total_ratio_limit: f64,
    #[serde(default)]
    step: Vec<StepSpec>,
}

fn one() -> f64 {
    1.0
}

fn published_iterations() -> u32 {
    3000
}

fn default_tolerance() -> f64 {
    1e-9
}

fn default_ratio_limit() -> f64 {
    0.01
}

impl PlanFile {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::data(path, "", "expected UTF-8 text, found other bytes"))?;
        let file: Self = toml::from_str(&text).map_err(|e| toml_error(path, &text, &e))?;
        if !(file.seed.stayer_floor >= 0.0 && file.seed.stayer_floor.is_finite()) {
            let found = file.seed.stayer_floor;
            let problem = format!("expected a number of persons >= 0, found {found}");
            return Err(Error::data(path, ": [seed] stayer_floor", problem));
        }
        // A plan without steps is refused before its seed is read, which may take long.
        if file.step.is_empty() && file.repeat.is_empty() {
            return Err(Error::data(
                path,
                "",
                "the plan is empty: expected at least one [[step]] or [[repeat.step]]",
            ));
        }
        Ok(file)
    }

    /// Every file that the plan in `path` names, itself first, each once.
    fn inputs(&self, path: &Path) -> Vec<PathBuf> {
        let steps = self.step.iter().chain(self.repeat.iter().flat_map(|group| &group.step));
        let named = self.seed.units.iter().chain([&self.seed.matrix]);
        let mut inputs = vec![path.to_owned()];
        for named in named.chain(steps.map(|step| &step.targets)) {
            let full = beside(path, named);
            if !inputs.contains(&full) {
                inputs.push(full);
            }
        }
        inputs
    }

    /// The constraints, of the plan in `path`.
    fn problem(&self, path: &Path, geography: &Geography) -> Result<Problem> {
        let mut levels = Levels { geography, known: HashMap::new() };
        let mut load = |spec: &StepSpec, number: usize, repeat: Option<usize>| {
            let place = match repeat {
                None => format!(": [[step]] number {number}"),
                Some(group) => format!(": [[repeat]] number {group}, step number {number}"),
            };
            let at_step = |e| match e {
                Error::Request(problem) => Error::data(path, place.clone(), problem),
                other => other,
            };
            constraint(spec, &mut levels, &beside(path, &spec.targets)).map_err(at_step)
        };
        let mut plan = Plan::default();
        for (k, spec) in self.step.iter().enumerate() {
            plan.once.push(load(spec, k + 1, None)?);
        }
        for (g, group) in self.repeat.iter().enumerate() {
            let constraints = group.step.iter().enumerate();
            plan.repeat.push(Repeat {
                constraints: constraints
                    .map(|(k, spec)| load(spec, k + 1, Some(g + 1)))
                    .collect::<Result<_>>()?,
                max_iterations: group.max_iterations,
                tolerance: group.tolerance,
                total_ratio_limit: group.total_ratio_limit,
            });
        }
        Problem::new(geography, plan).map_err(|e| match e {
            Error::Request(problem) => Error::data(path, "", problem),
            other => other,
        })
    }
}

/// A file that the plan in `plan` names.
pub(crate) fn beside(plan: &Path, named: &Path) -> PathBuf {
    plan.parent().unwrap_or(Path::new("")).join(named)
}

/// The end year that a plan file names, if any, and every file that its run reads, itself first;
/// these are not opened.
///
/// # Errors
/// If it is no plan file.
pub fn year_and_inputs(path: &Path) -> Result<(Option<i32>, Vec<PathBuf>)> {
    let file = PlanFile::read(path)?;
    Ok((file.seed.year, file.inputs(path)))
}

/// A plan file and everything it names, read and checked.
#[derive(Debug)]
pub struct LoadedPlan {
    /// The seed, its stayers already raised to the floor.
    pub seed: AnyFlowMatrix,
    /// Its units.
    pub geography: Geography,
    /// The constraints.
    pub problem: Problem,
    /// End year of the matrix.
    pub year: Option<i32>,
    /// How many units were raised to the floor, and the persons added.
    pub raised: (usize, f64),
    /// Every file read, the plan first.
    pub inputs: Vec<PathBuf>,
}

impl LoadedPlan {
    /// Reads a plan file, its seed (into `room`) and its targets.
    ///
    /// # Errors
    /// Names the file, place, what was expected and what was found.
    pub fn read(path: &Path, room: &Room) -> Result<Self> {
        let file = PlanFile::read(path)?;
        let units_path = file.seed.units.as_deref().map(|units| beside(path, units));
        let units = || units_path.as_deref().map(Geography::read).transpose();
        let matrix_path = beside(path, &file.seed.matrix);
        let (mut seed, geography, problem) = if Format::of(&matrix_path)? == Format::Npz {
            // All of them take their time.
            let asked = || -> Result<_> {
                let units = units()?;
                let problem = units.as_ref().map(|units| file.problem(path, units));
                Ok((units, problem))
            };
            let (asked, seed) = rayon::join(asked, || matrix::npz::read(&matrix_path, room));
            let ((units, problem), seed) = (asked?, seed?);
            let n = with_matrix!(&seed, m => m.units());
            matrix::file::check_size(&matrix_path, n, units.as_ref())?;
            (seed, units.unwrap_or_else(|| Geography::numbered(n)), problem)
        } else {
            let (seed, geography) = matrix::file::read_into(&matrix_path, units()?.as_ref(), room)?;
            (seed, geography, None)
        };
        let problem = problem.unwrap_or_else(|| file.problem(path, &geography))?;
        let raised = with_matrix!(&mut seed, m => m.raise_stayers(file.seed.stayer_floor));
        let (year, inputs) = (file.seed.year, file.inputs(path));
        Ok(Self { seed, geography, problem, year, raised, inputs })
    }
}

/// The constraints of a plan file that names its units. The seed need not exist.
///
/// # Errors
/// As [`LoadedPlan::read`].
pub fn read_problem(path: &Path) -> Result<Problem> {
    let file = PlanFile::read(path)?;
    let Some(units) = &file.seed.units else {
        return Err(Error::data(path, ": [seed]", "expected units, found none"));
    };
    file.problem(path, &Geography::read(&beside(path, units))?)
}

/// The partitions of one plan, each made once.
struct Levels<'a> {
    geography: &'a Geography,
    known: HashMap<String, Arc<Partition>>,
}

impl Levels<'_> {
    fn partition(&mut self, level: &str) -> Result<Arc<Partition>> {
        if let Some(partition) = self.known.get(level) {
            return Ok(partition.clone());
        }
        let partition = Arc::new(Partition::new(self.geography, &Level::parse(level))?);
        self.known.insert(level.to_owned(), partition.clone());
        Ok(partition)
    }
}

fn constraint(spec: &StepSpec, levels: &mut Levels, targets: &Path) -> Result<Constraint> {
    let origin = levels.partition(&spec.level)?;
    let destination = match (&spec.destination_level, spec.margin) {
        (None, _) => origin.clone(),
        (Some(level), MarginSpec::Block) => levels.partition(level)?,
        (Some(_), _) => {
            return Err(Error::request("destination_level: expected only with margin = \"block\""));
        }
    };
    let groups = match spec.margin {
        MarginSpec::Origin => Groups::Origin(origin),
        MarginSpec::Destination => Groups::Destination(destination),
        MarginSpec::Block => Groups::Block(origin, destination),
    };
    let margin = Margin { groups, entries: spec.entries };
    let (values, moe) = read_targets(targets, &margin)?;
    let name = spec.name.clone().unwrap_or_else(|| margin.to_string());
    Constraint::new(name, margin, values, moe, spec.zero_targets)
}

/// More cells than this take over a gigabyte per vector.
const MAX_CELLS: usize = 1 << 27;

/// Reads a target file: `geoid,target[,moe]`, or `origin,destination,target[,moe]` for a block.
/// Cells not listed have no target.
fn read_targets(path: &Path, margin: &Margin) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
    if margin.cells() > MAX_CELLS {
        return Err(Error::request(format!(
            "a block margin of {} cells is too large, expected at most {MAX_CELLS}; use a coarser \
             level",
            margin.cells()
        )));
    }
    let table = Table::read(path)?;
    let keys: Vec<(&str, &Partition)> = match &margin.groups {
        Groups::Origin(p) | Groups::Destination(p) => vec![("geoid", p)],
        Groups::Block(p, q) => vec![("origin", p), ("destination", q)],
    };
    for name in table.names() {
        if !["target", "moe"].contains(&name) && !keys.iter().any(|k| k.0 == name) {
            let expected: Vec<&str> = keys.iter().map(|k| k.0).chain(["target", "[moe]"]).collect();
            return Err(table.header_error(format!(
                "expected the columns {}, found `{name}`",
                expected.join(", ")
            )));
        }
    }
    if table.is_empty() {
        return Err(Error::data(path, "", "expected at least one target, found none"));
    }
    let mut cells = vec![0; table.len()];
    for (column, partition) in &keys {
        let (sorted, mut last) = (partition.by_code(), 0);
        for (row, (code, cell)) in table.codes(column)?.iter().zip(&mut cells).enumerate() {
            let Some(own) = partition.find(code, &sorted, &mut last) else {
                let known = |code: &str| partition.find(code, &sorted, &mut 0).is_some();
                return Err(table.error(row, column, unknown_code(code, partition, known)));
            };
            *cell = *cell * partition.cells() + own;
        }
    }
    // Row after the first that names a cell; 0 for none.
    let mut first_row = vec![0_u32; margin.cells()];
    let numbers = |column: &str, empty_is_unknown: bool| -> Result<Vec<f64>> {
        let mut out = vec![f64::NAN; margin.cells()];
        let values = if empty_is_unknown {
            table.optional_numbers(column)?
        } else {
            table.numbers(column)?
        };
        for (row, (&cell, value)) in cells.iter().zip(values).enumerate() {
            if value.is_nan() && empty_is_unknown {
                continue;
            }
            if !(value >= 0.0 && value.is_finite()) {
                let problem = format!("expected a number of persons >= 0, found {value}");
                return Err(table.error(row, column, problem));
            }
            out[cell] = value;
        }
        Ok(out)
    };
    let targets = numbers("target", false)?;
    let moe = if table.has("moe") { Some(numbers("moe", true)?) } else { None };
    for (row, &cell) in cells.iter().enumerate() {
        let first = std::mem::replace(&mut first_row[cell], row as u32 + 1);
        if first > 0 {
            let first = first as usize - 1;
            return Err(table.error(
                row,
                keys[0].0,
                format!(
                    "expected each cell once, found {} again (first {})",
                    margin.label(cell),
                    table.place(first)
                ),
            ));
        }
    }
    Ok((targets, moe))
}

/// Says what is wrong with a code that the level does not have.
fn unknown_code(code: &str, partition: &Partition, known: impl Fn(&str) -> bool) -> String {
    let level = Level::parse(partition.name());
    let numeric = !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit());
    let padded = format!("0{code}");
    if known(&padded) {
        return format!(
            "expected a code of level {level}, found `{code}`: it lost its leading zero, write \
             `{padded}`"
        );
    }
    if let (Some(digits), true) = (level.digits(), numeric)
        && code.len() != digits
    {
        let other = match Level::with_digits(code.len()) {
            Some(other) => format!(" (as of level {other})"),
            None => String::new(),
        };
        return format!(
            "expected a code of level {level}, {digits} digits, found `{code}` with {}{other}",
            code.len()
        );
    }
    format!(
        "expected a code of level {level} that the units table has, found `{code}`; it has {} \
         codes, such as `{}`",
        partition.cells(),
        &partition.codes()[0]
    )
}

/// A TOML error with its line, and for an unknown key or word the one that was probably meant.
pub(crate) fn toml_error(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start);
    let line = text[..start.min(text.len())].matches('\n').count() + 1;
    let mut message = error.message().trim().replace('\n', ", ");
    for (rust, plain) in
        [("f64", "a number"), ("u32", "a whole number >= 0"), ("i32", "a whole number")]
    {
        message = message.replace(&format!("expected {rust}"), &format!("expected {plain}"));
    }
    message =
        message.replace("invalid digit found in string", "expected a year as key, found another");
    // Errors of the syntax do not say what they are about.
    let content = text.lines().nth(line - 1).unwrap_or_default().trim();
    if !content.is_empty() && !message.starts_with("unknown ") && !message.starts_with("missing ") {
        message = format!("{message}, in `{content}`");
    }
    // serde quotes the unknown word first, then every word it expected.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let suggestion = if message.starts_with("unknown ") {
        let found = quoted.next().unwrap_or_default();
        quoted
            .map(|word| (strsim::jaro_winkler(found, word), word))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|best| best.0 > 0.7)
            .map(|(_, word)| format!("; did you mean `{word}`?"))
    } else {
        None
    };
    Error::data(path, format!(":{line}"), format!("{message}{}", suggestion.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_error(text: &str) -> String {
        let error = toml::from_str::<PlanFile>(text).unwrap_err();
        toml_error(Path::new("plan.toml"), text, &error).to_string()
    }

    #[test]
    fn unknown_keys_suggest_the_right_one() {
        let error = parse_error("[seed]\nmatrix = \"a.npz\"\nstayer_flor = 2\n");
        assert!(error.starts_with("plan.toml:3: unknown field `stayer_flor`"), "{error}");
        assert!(error.ends_with("did you mean `stayer_floor`?"), "{error}");
    }

    #[test]
    fn unknown_words_suggest_the_right_one() {
        let error = parse_error(
            "[seed]\nmatrix = \"a.npz\"\n[[step]]\nmargin = \"orign\"\nlevel = \"state\"\n",
        );
        assert!(error.starts_with("plan.toml:4: unknown variant `orign`"), "{error}");
        assert!(error.ends_with("did you mean `origin`?"), "{error}");
    }

    #[test]
    fn defaults_are_the_published_ones() {
        let plan: PlanFile = toml::from_str(
            "[seed]\nmatrix = \"a.npz\"\n[[repeat]]\n[[repeat.step]]\nmargin = \"origin\"\nlevel \
             = \"county\"\ntargets = \"t.csv\"\n",
        )
        .unwrap();
        assert_eq!(plan.seed.stayer_floor, 1.0);
        assert_eq!(plan.repeat[0].max_iterations, 3000);
        assert_eq!(plan.repeat[0].step[0].entries, Entries::All);
        assert_eq!(plan.repeat[0].step[0].zero_targets, ZeroTargets::Keep);
    }
}
