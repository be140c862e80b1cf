//! `flowrake targets`: official tables in, targets and the published plan out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use flowrake::Error;
use flowrake::census::cenpop::CenPop;
use flowrake::census::pep::{Measure, Pep};
use flowrake::census::population_table::PopulationTable;
use flowrake::census::state_flows::StateFlows;
use flowrake::census::{Estimate, STATES};
use flowrake::geography::crosswalk::same_codes;
use flowrake::geography::{Crosswalk, Geography, Geoid, Level};
use flowrake::output::Outputs;
use flowrake::report::{Manifest, Output, hash_inputs};
use flowrake::targets::{
    self, AreaTable, Areas, Change, Mismatch, NATION, PlanSteps, Step, UnitPopulations, YearTargets,
};
use serde::Serialize;

/// Compute the targets of a year from official tables, and the plan that uses them
///
/// Writes into DIR: units.csv, a file of targets per step, plan.toml for `flowrake harmonize` and
/// mismatches.csv, which says for the nation and every state where the tables contradict each other.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: counties, 2011
  flowrake targets --year 2011 --counties co-est2019-alldata.csv \\
      --state-flows state_to_state_migrations_table_2011.xls --out targets-2011
  flowrake seed irs --inflow countyinflow1011.csv --outflow countyoutflow1011.csv --year 2011 \\
      --units targets-2011/units.csv --suppressed spread --out targets-2011/seed.npz
  flowrake harmonize targets-2011/plan.toml --out flows-2011.npz

Example: block groups; --seed names the matrix, whose rows are those of units.csv
  flowrake targets --year 2011 --counties co-est2019-alldata.csv \\
      --state-flows state_to_state_migrations_table_2011.xls \\
      --census CenPop2010_Mean_BG.txt --acs5 2016=acs5_2012-2016_B01003.csv --out targets-2011

Units are those of --units, else the areas of --census, else the counties of --counties. Without
--census of 2010 or --acs5 there is no step populations.
Steps: populations, state-movers, state-non-movers, state-flows, county-in, county-out.")]
pub struct Args {
    /// End year of the matrix: people by where they lived in T - 1 and live in T
    #[arg(long, value_name = "T")]
    year: i32,
    /// PEP populations and components of change by county: co-est2019-alldata.csv
    #[arg(long, value_name = "FILE")]
    counties: PathBuf,
    /// ACS 1-year state-to-state flows of the year T, .xls or .xlsx
    #[arg(long, value_name = "FILE")]
    state_flows: PathBuf,
    /// PEP estimates by state, to compare with: nst-est2019-alldata.csv
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Centers of population, `CenPop2010_Mean_BG.txt`: the units, and the counts of 2010, which are
    /// one table of populations
    #[arg(long, value_name = "FILE")]
    census: Option<PathBuf>,
    /// Populations B01003 of the five years up to Y; may be repeated. Their margins of error are
    /// not used
    #[arg(long, value_name = "Y=FILE", value_parser = vintage)]
    acs5: Vec<(i32, PathBuf)>,
    /// Units table (.csv or .parquet) of the matrix: its columns are kept
    #[arg(long, value_name = "FILE")]
    units: Option<PathBuf>,
    /// Codes that later vintages renamed, merged or split: columns from, to. Those of the 2010s
    /// are built in
    #[arg(long, value_name = "FILE")]
    crosswalk: Option<PathBuf>,
    /// Folder to write into; created if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The matrix as plan.toml names it: relative to DIR, or absolute
    #[arg(long, value_name = "FILE", default_value = "seed.npz")]
    seed: String,
    /// Steps applied once, in this order, instead of the published ones
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    once: Option<Vec<Step>>,
    /// Steps repeated until they hold together, instead of county-in,county-out
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    repeat: Option<Vec<Step>>,
    /// Steps to leave out
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    drop: Vec<Step>,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// No summary
    #[arg(long)]
    quiet: bool,
}

/// `2016=table.csv`
fn vintage(text: &str) -> Result<(i32, PathBuf), String> {
    let parts = text.split_once('=');
    parts
        .and_then(|(year, path)| Some((year.parse().ok()?, path.into())))
        .ok_or_else(|| format!("expected a year and a file, as 2016=table.csv, found `{text}`"))
}

/// What a run made.
#[derive(Serialize)]
struct Report {
    year: i32,
    level: String,
    units: usize,
    counties: usize,
    steps: PlanSteps,
    /// Sum of the targets of `county-in` over that of `county-out`.
    total_ratio: f64,
    /// Sums of targets, persons, by step.
    totals: BTreeMap<String, f64>,
    /// The comparisons of the whole nation.
    mismatches: Vec<Mismatch>,
    notes: Vec<String>,
}

/// Everything read.
struct Tables {
    areas: Areas,
    counties: Pep,
    change: Change,
    flows: StateFlows,
    states: Option<Pep>,
    populations: Vec<AreaTable>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let tables = read(args)?;
    let Tables { areas, counties, change, flows, .. } = &tables;
    let pep = args.counties.display().to_string();
    same_codes(&pep, change.counties.keys().map(String::as_str), areas.counties())?;
    let year = YearTargets::new(args.year, change, flows).map_err(|e| match e {
        Error::Request(problem) => Error::data(&args.state_flows, "", problem),
        other => other,
    })?;
    let steps = steps(args, &tables)?;
    let populations = steps
        .all()
        .any(|step| step == Step::Populations)
        .then(|| targets::populations(areas, &tables.populations, args.year - 1))
        .transpose()?;
    let by_state = populations.as_ref().map(|populations| by_state(&populations.persons));
    let mismatches =
        targets::mismatches(change, flows, &year, by_state.as_ref(), tables.states.as_ref());

    let files = target_files(&steps, &year, populations.as_ref());
    let mut notes: Vec<String> = populations.into_iter().flat_map(|p| p.notes).collect();
    let warnings = [Some(counties), tables.states.as_ref()].into_iter().flatten();
    notes.extend(warnings.flat_map(Pep::warnings).chain(flows.warnings()).cloned());
    if tables.states.is_some() && !mismatches.iter().any(|row| row.source == "PEP states") {
        notes.push(format!("--states has no numbers of {} and nothing was compared", args.year));
    }
    let unused = Step::ALL.into_iter().filter(|step| steps.all().all(|known| known != *step));
    for step in unused.filter(|step| args.out.join(step.file()).exists()) {
        notes.push(format!("{} is of an earlier run, this plan does not use it", step.file()));
    }
    let totals: BTreeMap<String, f64> = steps
        .all()
        .zip(&files)
        .map(|(step, file)| (step.to_string(), file.rows.iter().map(|row| row.1.value).sum()))
        .collect();
    let report = Report {
        year: args.year,
        level: areas.level.to_string(),
        units: areas.geography.len(),
        counties: change.counties.len(),
        total_ratio: year.county_in.values().sum::<f64>() / year.county_out.values().sum::<f64>(),
        totals,
        mismatches: mismatches.iter().filter(|row| row.area == NATION).cloned().collect(),
        steps,
        notes,
    };
    write(args, areas, &files, &mismatches, &report)?;
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else if !args.quiet {
        eprint!("{}", summary(&args.out, &report));
    }
    Ok(())
}

fn read(args: &Args) -> Result<Tables> {
    let counties = Pep::read(&args.counties)?;
    let flows = StateFlows::read(&args.state_flows)?;
    let states = args.states.as_deref().map(Pep::read).transpose()?;
    let census = args.census.as_deref().map(CenPop::read).transpose()?;
    let crosswalk = match &args.crosswalk {
        Some(path) => Crosswalk::read(path)?,
        None => Crosswalk::of_the_2010s(),
    };
    // Before the units, which may be this file's: it says best what the file lacks.
    let change = Change::new(args.year, &counties, &crosswalk)?;
    flows.require_year(&args.state_flows, args.year)?;
    change.require_states(&args.counties, &flows)?;
    let geography = match (&args.units, &census) {
        (Some(path), _) => Geography::read(path)?,
        (None, Some(census)) => census_units(census)?,
        (None, None) => {
            let in_states = |geoid: &&Geoid| STATES.iter().any(|s| geoid.as_str().starts_with(s.0));
            let codes = counties.geoids(&Level::County).filter(in_states);
            Geography::new(codes.cloned().collect())?
        }
    };
    let areas = Areas::new(geography, crosswalk)?;
    let mut populations = Vec::new();
    if let (Some(path), Some(census)) = (&args.census, census)
        && year_of(path, &census, &counties)? == 2010
    {
        populations.push(AreaTable::census_2010(path, census, &areas)?);
    }
    for (year, path) in &args.acs5 {
        let table = PopulationTable::read(path)?;
        populations.push(AreaTable::acs5(path, *year, table, &areas)?);
    }
    Ok(Tables { areas, counties, change, flows, states, populations })
}

/// Residents of the 50 states and the District of Columbia by census.
const CENSUSES: [(i32, u64); 2] = [(2010, 308_745_538), (2020, 331_449_281)];

/// The year of centers of population, which do not say it: that of the census with their total, or of
/// the count that the estimates of counties start from. Of these only the count of 2010 is in the
/// years that populations are solved for.
fn year_of(path: &Path, census: &CenPop, counties: &Pep) -> Result<i32> {
    let total = census.clone().without_puerto_rico().total();
    if let Some((year, _)) = CENSUSES.iter().find(|(_, persons)| *persons == total) {
        return Ok(*year);
    }
    let base = counties.base_year().and_then(|year| {
        Some((year, u64::try_from(counties.total(&Level::County, Measure::Base, year)?).ok()?))
    });
    if let Some((year, _)) = base.filter(|(_, persons)| *persons == total) {
        return Ok(year);
    }
    let start = base.map_or(",".to_owned(), |(year, persons)| {
        format!(", or {persons}, from which the estimates of --counties start in {year},")
    });
    let problem = format!(
        "expected {} residents of 2010 or {} of 2020 in the states{start} found {total}; are areas \
         missing?",
        CENSUSES[0].1, CENSUSES[1].1
    );
    Err(Error::data(path, "", problem).into())
}

/// The units table of a census: codes, populations and centers.
fn census_units(census: &CenPop) -> Result<Geography> {
    let census = census.clone().without_puerto_rico();
    let geoids = census.places.iter().map(|place| place.geoid.clone()).collect();
    let column = |of: &dyn Fn(&flowrake::census::cenpop::Place) -> String| -> Vec<String> {
        census.places.iter().map(of).collect()
    };
    Ok(Geography::new(geoids)?
        .with_column("population", column(&|place| place.population.to_string()))
        .with_column("lat", column(&|place| place.latitude.to_string()))
        .with_column("lon", column(&|place| place.longitude.to_string())))
}

/// The steps asked for, each possible with the tables at hand.
fn steps(args: &Args, tables: &Tables) -> Result<PlanSteps> {
    let has_populations = !tables.populations.is_empty();
    let mut steps = PlanSteps::published(has_populations, tables.areas.level == Level::BlockGroup);
    if let Some(once) = &args.once {
        steps.once.clone_from(once);
    }
    if let Some(repeat) = &args.repeat {
        steps.repeat.clone_from(repeat);
    }
    // Named to be repeated only, a step is not taken once as well.
    if args.once.is_none() {
        steps.once.retain(|step| !steps.repeat.contains(step));
    }
    if args.repeat.is_none() {
        steps.repeat.retain(|step| !steps.once.contains(step));
    }
    for step in &args.drop {
        ensure!(
            steps.all().any(|known| known == *step),
            "--drop {step}: the plan has no such step"
        );
        steps.once.retain(|known| known != step);
        steps.repeat.retain(|known| known != step);
    }
    let all: Vec<Step> = steps.all().collect();
    if let Some(twice) = all.iter().enumerate().find(|(k, step)| all[..*k].contains(step)) {
        bail!("step {}: expected each step once, found it again", twice.1);
    }
    ensure!(!all.is_empty(), "expected at least one step, found none");
    ensure!(
        has_populations || !all.contains(&Step::Populations),
        "step populations: needs --census or --acs5"
    );
    Ok(steps)
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
    fn write(&self, file: impl std::io::Write) -> std::io::Result<()> {
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

/// Writes the folder; its files appear together.
fn write(
    args: &Args,
    areas: &Areas,
    files: &[TargetFile],
    mismatches: &[Mismatch],
    report: &Report,
) -> Result<()> {
    let inputs: Vec<PathBuf> = [&args.counties, &args.state_flows]
        .into_iter()
        .chain([&args.states, &args.census, &args.units, &args.crosswalk].into_iter().flatten())
        .chain(args.acs5.iter().map(|(_, path)| path))
        .cloned()
        .collect();
    let at = |name: &str| args.out.join(name);
    let mut outputs = vec![
        Output { path: at("plan.toml"), what: "plan" },
        Output { path: at("units.csv"), what: "units" },
        Output { path: at("mismatches.csv"), what: "comparison of the sources" },
    ];
    outputs
        .extend(files.iter().map(|file| Output { path: at(&file.step.file()), what: "targets" }));
    super::refuse_inputs(outputs.iter().map(|output| output.path.as_path()), &inputs)?;
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, e))?;

    let mut staged = Outputs::default();
    let plan = targets::plan_toml(&report.steps, &args.seed, args.year);
    staged.add(&at("plan.toml"), |file| file.write_all(plan.as_bytes()))?;
    staged.add(&at("units.csv"), |file| super::write_units(file, &areas.geography))?;
    staged.add(&at("mismatches.csv"), |file| targets::write_mismatches(mismatches, file))?;
    for file in files {
        staged.add(&at(&file.step.file()), |out| file.write(out))?;
    }
    let command = std::env::args().collect();
    let manifest = Manifest::new(command, hash_inputs(&inputs)?, outputs, report).to_json();
    let path = Manifest::<()>::path_for(&at("plan.toml"));
    staged.add(&path, |file| file.write_all(manifest.as_bytes()))?;
    staged.commit()?;
    Ok(())
}

/// What a person wants to know, one subject a line.
fn summary(out: &Path, report: &Report) -> String {
    let Report { year, level, units, counties, .. } = report;
    let names = |steps: &[Step]| steps.iter().map(Step::to_string).collect::<Vec<_>>().join(", ");
    let repeated = match &report.steps.repeat[..] {
        [] => String::new(),
        steps => format!("; repeated: {}", names(steps)),
    };
    let mut lines = vec![
        format!(
            "{}: targets of {year} for {units} units of level {level} in {counties} counties",
            out.join("plan.toml").display()
        ),
        format!("  once: {}{repeated}", names(&report.steps.once)),
        format!("  county-in over county-out, in all: {:.6}", report.total_ratio),
        "  the nation by two sources (mismatches.csv has the states):".to_owned(),
    ];
    for row in &report.mismatches {
        lines.push(format!(
            "    {}: {:.0} ({}), {:.0} ({}), {:+.2} %",
            row.quantity,
            row.value,
            row.source,
            row.other_value,
            row.other_source,
            100.0 * row.relative()
        ));
    }
    lines.extend(report.notes.iter().map(|note| format!("  {note}")));
    lines.join("\n") + "\n"
}
