//! `flowrake synth`: generated regions and nations with known truth, and the persons of a nation.

mod histories;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use flowrake::census::cenpop::CenPop;
use flowrake::matrix::FlowRows;
use flowrake::synth::nation::{self, Measured, Nation, NationOptions};
use flowrake::synth::{self, Region, RegionOptions};

const REGION: RegionOptions = RegionOptions::DEFAULT;
const NATION: NationOptions = NationOptions::DEFAULT;

/// Generate a region or a nation with known true flows and a biased record of them, or its persons
///
/// The same options give the same bytes on every machine.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Region(RegionArgs),
    Nation(NationArgs),
    Histories(histories::Args),
}

/// A region of made-up places, with Census-like tables and a plan
///
/// Writes units.csv, truth.npz (who really moved), seed.npz (what the records show), six tables of
/// targets and plan.toml, ready for `flowrake harmonize`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: a larger region, harmonized
  flowrake synth region larger --states 5 --counties 200 --block-groups 12000
  flowrake harmonize larger/plan.toml --out larger/harmonized.npz")]
struct RegionArgs {
    /// Folder to write into; created if need be, files of the same names are replaced
    out: PathBuf,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = REGION.seed)]
    seed: u64,
    /// Number of states, at most 26 (they carry codes that no real state has)
    #[arg(long, value_name = "N", default_value_t = REGION.states)]
    states: usize,
    /// Number of counties in all states together
    #[arg(long, value_name = "N", default_value_t = REGION.counties)]
    counties: usize,
    /// Number of block groups in all states together, at least two per county
    #[arg(long, value_name = "N", default_value_t = REGION.block_groups)]
    block_groups: usize,
}

/// A nation of real or made-up block groups
///
/// Writes units.csv, truth.npz (who really moved), seed.npz (what the records show, in expected
/// persons), the true populations by year and why they changed, and tables in four layouts of the Census Bureau: centers
/// of population, estimates with components of change by county, state-to-state flows of every year,
/// and B01003 by block group. Says on stderr what shape the matrices have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: a nation that does not exist, from its tables to the matrix that agrees with them
  flowrake synth nation nation --block-groups 5000
  flowrake targets --year 2011 --counties nation/co-est2011-alldata.csv \\
      --state-flows nation/state_to_state_migrations_table_2011.xlsx \\
      --census nation/CenPop2010_Mean_BG.txt \\
      --acs5 2011=nation/acs5_2007-2011_bg_total_population.csv \\
      --seed ../nation/seed.npz --out plan
  flowrake harmonize plan/plan.toml --out harmonized.npz     # nation/truth.npz is what it aims at

Example: three years of about a twentieth of the United States, whole counties
  flowrake synth nation nation --places CenPop2010_Mean_BG.txt --years 2011-2013 --sample 0.05")]
struct NationArgs {
    /// Folder to write into; created if need be, files of the same names are replaced
    out: PathBuf,
    /// Centers of population of block groups, as published by the Census Bureau; Puerto Rico is
    /// left out. Without it the places are made up
    #[arg(long, value_name = "FILE")]
    places: Option<PathBuf>,
    /// Number of made-up block groups
    #[arg(long, value_name = "N", default_value_t = 20_000, conflicts_with = "places")]
    block_groups: usize,
    /// End year of the matrix, or first and last of several, whose files then have the year in their
    /// names; the populations of the places are those of the year before the first
    #[arg(long, visible_alias = "year", value_name = "YEAR[-YEAR]", value_parser = years)]
    #[arg(default_value = "2011")]
    years: RangeInclusive<u16>,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = NATION.seed)]
    seed: u64,
    /// Share of the block groups to take, in whole counties with their neighbors
    #[arg(long, value_name = "F", default_value_t = NATION.sample)]
    sample: f64,
}

/// Generates what was asked for and says on stderr what it holds.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        What::Region(args) => region(args),
        What::Nation(args) => nation(args),
        What::Histories(args) => histories::run(args),
    }
}

fn region(args: &RegionArgs) -> anyhow::Result<()> {
    let region = Region::generate(&RegionOptions {
        seed: args.seed,
        states: args.states,
        counties: args.counties,
        block_groups: args.block_groups,
    })?;
    synth::write(&region, &args.out)?;
    let persons: f64 = region.places.population.iter().map(|&p| f64::from(p)).sum();
    let entries =
        |matrix: &dyn FlowRows| (0..matrix.units()).map(|i| matrix.row_len(i)).sum::<usize>();
    eprintln!(
        "{}: {persons} persons in {} block groups, {} true flows, {} on record",
        args.out.display(),
        region.geography.len(),
        entries(&region.truth),
        entries(&region.seed)
    );
    Ok(())
}

fn nation(args: &NationArgs) -> anyhow::Result<()> {
    let options = NationOptions { seed: args.seed, year: *args.years.start(), sample: args.sample };
    let centers = match &args.places {
        Some(path) => {
            let copy = args.out.join(nation::centers_file(options.year));
            super::refuse_inputs([copy.as_path()], std::slice::from_ref(path))?;
            CenPop::read(path)?.without_puerto_rico()
        }
        None => nation::made_up_places(args.block_groups, args.seed)?,
    };
    let first = Nation::generate(&centers, &options)?;
    eprintln!("{}: {} block groups", args.out.display(), first.geography.len());
    nation::write(first, *args.years.end(), &args.out, |nation| {
        eprintln!("{}: {}", nation.options.year, Measured::new(nation));
    })?;
    Ok(())
}

/// `2011` or `2011-2013`.
fn years(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let year = |text: &str| text.parse().ok().filter(|year| (1900..=2100).contains(year));
    match (year(first), year(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err("expected a year from 1900 to 2100, or two as in 2011-2013".into()),
    }
}
