//! `flowrake targets`: official tables in, targets and the published plan out.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowrake::Error;
use flowrake::output::Outputs;
use flowrake::report::{Manifest, hash_inputs};
use flowrake::targets::{PlanOptions, Report, Sources, Step, StepChoice, Tables, YearFolder};

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

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let sources = Sources {
        counties: args.counties.clone(),
        state_flows: [(args.year, args.state_flows.clone())].into(),
        states: args.states.clone(),
        census: args.census.clone(),
        acs5: args.acs5.clone(),
        units: args.units.clone(),
        crosswalk: args.crosswalk.clone(),
    };
    let tables = Tables::read(&sources, &[args.year])?;
    let (once, repeat) = (args.once.clone(), args.repeat.clone());
    let choice = StepChoice { once, repeat, drop: args.drop.clone() };
    let mut folder = YearFolder::new(&tables, args.year, &choice)?;
    let is_unused = |step: &Step| folder.report.steps.all().all(|known| known != *step);
    for step in Step::ALL.into_iter().filter(is_unused).collect::<Vec<_>>() {
        if args.out.join(step.file()).exists() {
            let note = format!("{} is of an earlier run, this plan does not use it", step.file());
            folder.report.notes.push(note);
        }
    }
    write(args, &folder, &sources.inputs(args.year)?)?;
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&folder.report)?))?;
    } else if !args.quiet {
        eprint!("{}", summary(&args.out, &folder.report));
    }
    Ok(())
}

/// Writes the folder; its files appear together.
fn write(args: &Args, folder: &YearFolder, inputs: &[PathBuf]) -> Result<()> {
    let outputs = folder.outputs(&args.out);
    super::refuse_inputs(outputs.iter().map(|output| output.path.as_path()), inputs)?;
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, e))?;
    let mut staged = Outputs::default();
    folder.add(&mut staged, &args.out, &args.seed, &PlanOptions::default())?;
    let command = std::env::args().collect();
    let manifest = Manifest::new(command, hash_inputs(inputs)?, outputs, &folder.report).to_json();
    let path = Manifest::<()>::path_for(&YearFolder::plan(&args.out));
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
