//! `flowrake synth`: a generated region with known truth.

use std::path::PathBuf;

use flowrake::matrix::FlowRows;
use flowrake::synth::{self, Region, RegionOptions};

const DEFAULTS: RegionOptions = RegionOptions::DEFAULT;

/// Generate a region with known true flows, a biased record of them, and Census-like tables
///
/// Writes units.csv, truth.npz (who really moved), seed.npz (what the records show), six tables of
/// targets and plan.toml, ready for `flowrake harmonize`. The same options give the same bytes on
/// every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: a larger region, harmonized
  flowrake synth region --states 5 --counties 200 --block-groups 12000
  flowrake harmonize region/plan.toml --out region/harmonized.npz")]
pub struct Args {
    /// Folder to write into; created if need be, files of the same names are replaced
    out: PathBuf,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = DEFAULTS.seed)]
    seed: u64,
    /// Number of states, at most 26 (they carry codes that no real state has)
    #[arg(long, value_name = "N", default_value_t = DEFAULTS.states)]
    states: usize,
    /// Number of counties in all states together
    #[arg(long, value_name = "N", default_value_t = DEFAULTS.counties)]
    counties: usize,
    /// Number of block groups in all states together, at least two per county
    #[arg(long, value_name = "N", default_value_t = DEFAULTS.block_groups)]
    block_groups: usize,
}

/// Generates the region and says what it holds on stderr.
pub fn run(args: &Args) -> anyhow::Result<()> {
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
