//! `flowrake synth histories`: persons and their address records of a nation with known truth.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flowrake::output::write_atomically;
use flowrake::report::{Manifest, Output, hash_inputs};
use flowrake::synth::histories::{self, Counts, HistoriesOptions, Truth};

const DEFAULT: HistoriesOptions = HistoriesOptions::DEFAULT;

/// Persons and their address records, of a nation with known truth
///
/// Every person of the nation lives through its true moves, births and deaths; what address records
/// show of it is written: a row per person with up to ten dated addresses, the answers of the Census
/// batch geocoder, HUD's ZIP-to-tract tables, and study.toml, ready for `flowrake histories`. Some
/// persons and moves are missing, by place; records are late, repeated or contradict each other; post
/// office boxes, missing dates, addresses that the geocoder does not find. manifest.json counts each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: from a nation that does not exist to seeds, and how far they are from its truth
  flowrake synth nation nation --block-groups 500 --years 2011-2013
  flowrake synth histories nation histories
  flowrake histories histories/study.toml --years 2011-2013 --out seeds
  flowrake targets --year 2012 --counties nation/co-est2013-alldata.csv \\
      --state-flows nation/state_to_state_migrations_table_2012.xlsx \\
      --census nation/CenPop2010_Mean_BG.txt \\
      --acs5 2011=nation/acs5_2007-2011_bg_total_population.csv \\
      --acs5 2012=nation/acs5_2008-2012_bg_total_population.csv \\
      --seed ../seeds/seed-2012.npz --out plan
  flowrake harmonize plan/plan.toml --out harmonized.npz
  flowrake validate harmonized.npz --raw seeds/seed-2012.npz --truth nation/truth-2012.npz \\
      --units nation/units.csv

With --clean, `flowrake histories` finds the truth itself: the seeds equal truth-2011.npz and so on.")]
pub struct Args {
    /// Folder that `flowrake synth nation` wrote
    nation: PathBuf,
    /// Folder to write into; created if need be, files of the same names are replaced
    out: PathBuf,
    /// Seed of the random numbers; with that of the nation, the same places are covered badly as in
    /// its own seed.npz
    #[arg(long, value_name = "N", default_value_t = DEFAULT.seed)]
    seed: u64,
    /// Share of the persons to put on record
    #[arg(long, value_name = "F", default_value_t = DEFAULT.share)]
    share: f64,
    /// Nothing is wrong with the records, and everybody moves at the turn of the year
    #[arg(long)]
    clean: bool,
}

/// Generates the histories and says on stderr what they hold.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let options = HistoriesOptions { seed: args.seed, share: args.share, ..DEFAULT };
    let options = if args.clean { options.clean() } else { options };
    let truth = Truth::read(&args.nation)?;
    let names = histories::names(&truth);
    let files: Vec<PathBuf> = names.iter().map(|name| args.out.join(name)).collect();
    let manifest = args.out.join("manifest.json");
    let all = files.iter().chain([&manifest]).map(PathBuf::as_path);
    crate::cli::refuse_inputs(all, &truth.inputs)?;
    let counts = histories::write(&truth, &options, &args.out)?;

    let outputs = files.into_iter().map(|path| Output { path, what: "address histories" });
    let command = std::env::args().collect();
    let json = Manifest::new(command, hash_inputs(&truth.inputs)?, outputs.collect(), counts);
    write_atomically(&manifest, |file| file.write_all(json.to_json().as_bytes()))?;
    eprint!("{}", text(&args.out, &counts));
    Ok(())
}

/// What a person wants to know, one subject a line.
fn text(out: &Path, counts: &Counts) -> String {
    let (records, answers) = (&counts.records, &counts.geocoder);
    format!(
        "{}: {} of {} persons on record, with {} addresses
  moves: {}; missing {} where the person is not covered, {} others, {} too late; {} dated late
  records: {} without a date, {} repeated, {} conflicting, {} post-office boxes
  persons: {} deceased, {} without a first date, {} without a last one
  addresses: {} dwellings and {} boxes in {} ZIP codes; {} matched ({} not exactly, {} of them beside \
         their block group), {} ties, {} without a match, {} of them without a ZIP code\n",
        out.display(),
        records.persons_on_record,
        records.persons,
        records.address_records,
        records.moves,
        records.moves_not_covered,
        records.moves_missing,
        records.moves_too_late,
        records.moves_late,
        records.undated,
        records.repeated,
        records.conflicting,
        records.po_boxes,
        records.deceased,
        records.without_first_seen,
        records.without_last_seen,
        answers.dwellings,
        answers.po_boxes,
        counts.zips,
        answers.matched,
        answers.non_exact,
        answers.misplaced,
        answers.tie,
        answers.no_match,
        answers.without_zip
    )
}
