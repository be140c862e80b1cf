//! `flowrake run`: from address histories to harmonized matrices, for a span of years.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use flowrake::histories::survey::Years;

use super::engine::EngineArgs;
use super::progress::Progress;
use job::Job;
use summary::Summary;

mod job;
mod layout;
mod summary;

/// Turn address histories into harmonized matrices for a span of years
///
/// Seeds, as of `flowrake histories`, targets and plans, as of `flowrake targets`, and harmonized
/// matrices, as of `flowrake harmonize`, with a manifest each. What can be checked is checked before
/// persons are read. A call that ended early is taken up by --resume: what is finished, by its
/// manifest, is not done again, and the files are the same in the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  flowrake run study.toml --years 2011-2019 --out run --memory 4GB
  flowrake run study.toml --years 2011-2019 --out run --memory 4GB --resume    # after a power cut

study.toml is that of `flowrake histories` with official tables, by year where they are:
  [targets]
  counties = \"co-est2019-alldata.csv\"
  census = \"CenPop2010_Mean_BG.txt\"             # optional, as states, crosswalk, once, repeat and
  drop = [\"state-movers\"]                       # drop; see flowrake targets --help
  [targets.state_flows]
  2011 = \"state_to_state_migrations_table_2011.xls\"
  2012 = \"state_to_state_migrations_table_2012.xls\"
  [targets.acs5]
  2016 = \"acs5_2012-2016_B01003.csv\"
  [harmonize]                                    # optional, as all in it
  solver = \"newton\"                            # auto unless given, collapsed or direct
  tolerance = 1e-9                               # or max_iterations, total_ratio_limit, stayer_floor

Into DIR go seeds/seed-2011.npz, targets-2011/plan.toml with its targets, harmonized-2011.npz and so
on, units.csv (the rows of all matrices) and years-2011-2019.csv with a line per year.
Calls for different years may write into one DIR at the same time.

Exit code: 0 all years converged, 1 all are written but one does not meet its margins, 2 bad input, 3
graphics device.")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Args {
    /// Study file
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// End years of the matrices: people by where they lived in t - 1 and live in t
    #[arg(long, visible_alias = "year", value_name = "YEAR[-YEAR]", value_parser = super::histories::years)]
    years: Years,
    /// Folder to write into; created if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave alone what is finished: made from the same inputs, for the same study, by this version
    #[arg(long)]
    resume: bool,
    /// Make seeds and targets only; harmonizing is left to later calls with --resume
    #[arg(long)]
    prepare: bool,
    #[command(flatten)]
    engine: EngineArgs,
    /// Threads; all cores unless given. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Memory to use, as 800MB or 4GB; what does not fit goes to files without a name in DIR. The
    /// result does not depend on it
    #[arg(long, value_name = "SIZE", value_parser = super::size_bytes)]
    memory: Option<u64>,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// No progress and no summary
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    super::use_threads(args.threads)?;
    let mut job = Job::new(args)?;
    let progress = Progress::new(1, args.quiet || args.json);
    let prepared = job.make_targets(&progress).and_then(|()| job.make_seeds(&progress));
    progress.clear();
    prepared?;
    if !args.prepare {
        job.harmonize()?;
    }
    let summary = Summary::new(&job, start.elapsed().as_secs_f64())?;
    if !args.prepare {
        summary.write(&job)?;
    }
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&summary)?))?;
    } else if !args.quiet {
        eprint!("{}", summary.text());
    }
    Ok(if summary.converged == Some(false) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
