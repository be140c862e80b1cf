//! `flowrake seed`: seeds from published tables.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use flowrake::census::irs::{self, Check, Direction, MigrationFile, Missing, Reconciled, Spread};
use flowrake::geography::Geography;
use flowrake::matrix::file::{self, Format};
use flowrake::output::Outputs;
use flowrake::report::{Manifest, Output, hash_inputs};
use serde::Serialize;

/// Make a seed for `flowrake harmonize` from published tables
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Source {
    Irs(IrsArgs),
}

/// County-to-county migration of tax filers: IRS Statistics of Income, one year
///
/// Persons are exemptions (n2). Movers are the pairs of counties, stayers the non-migrants. A pair
/// in both files counts as the inflow file has it, a pair in one file as that file has it. Flows
/// with foreign places are left out and reported. Pairs of fewer than 10 or 20 returns are not
/// listed by the IRS: they are left out too, or their persons, which each county's totals tell, are
/// spread over them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: movers of 2010 to 2011, from https://www.irs.gov/statistics/soi-tax-stats-migration-data

  flowrake seed irs --inflow countyinflow1011.csv --outflow countyoutflow1011.csv \\
      --year 2011 --out seed-2011.npz

Beside the matrix, seed-2011.npz.units.csv has the county of each row, and
seed-2011.npz.manifest.json says what went in and what was left out.")]
struct IrsArgs {
    /// Inflow file, .csv or .csv.gz
    #[arg(long, value_name = "FILE", required_unless_present = "outflow")]
    inflow: Option<PathBuf>,
    /// Outflow file of the same year
    #[arg(long, value_name = "FILE")]
    outflow: Option<PathBuf>,
    /// Year of the second return: 2011 for countyinflow1011.csv
    #[arg(long, value_name = "T")]
    year: i32,
    /// Matrix to write: .npz, .parquet, .mtx or .csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Units table (.csv or .parquet) with a column geoid: the counties of the matrix in order.
    /// Without it, the counties with flows, written to OUT.units.csv
    #[arg(long, value_name = "FILE")]
    units: Option<PathBuf>,
    /// Persons of pairs that are not listed; spread needs both files and --units
    #[arg(long, value_enum, default_value_t = Suppressed::LeaveOut)]
    suppressed: Suppressed,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// No summary
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Suppressed {
    LeaveOut,
    Spread,
}

/// What a run made.
#[derive(Serialize)]
struct Report {
    source: &'static str,
    year: i32,
    counties: usize,
    pairs: usize,
    movers: u64,
    stayers: u64,
    left_out: Missing,
    /// What was placed on pairs that are not listed.
    spread: Option<Spread>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let Source::Irs(args) = &args.source;
    run_irs(args)
}

fn run_irs(args: &IrsArgs) -> Result<()> {
    let format = Format::of(&args.out)?;
    let inputs: Vec<PathBuf> =
        [&args.inflow, &args.outflow, &args.units].into_iter().flatten().cloned().collect();
    super::refuse_inputs([args.out.as_path()], &inputs)?;
    let read = |path: &Option<PathBuf>, direction| {
        path.as_deref().map(|path| read(path, direction, args.year)).transpose()
    };
    let inflow = read(&args.inflow, Direction::Inflow)?;
    let outflow = read(&args.outflow, Direction::Outflow)?;
    let joined = irs::reconcile(inflow.as_ref(), outflow.as_ref())?;
    let table = args.units.as_deref().map(Geography::read).transpose()?;
    let own_units = table.is_none();
    let units = table.unwrap_or_else(|| joined.units());
    let (matrix, spread) = match (args.suppressed, &inflow, &outflow) {
        (Suppressed::LeaveOut, ..) => (joined.matrix(&units)?, None),
        (Suppressed::Spread, Some(inflow), Some(outflow)) if !own_units => {
            let (matrix, spread) = joined.spread(inflow, outflow, &units, args.year)?;
            (matrix, Some(spread))
        }
        _ => bail!("--suppressed spread: needs --inflow, --outflow and --units"),
    };

    let mut files = Outputs::default();
    let metadata = [
        ("flowrake.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("flowrake.year".to_owned(), args.year.to_string()),
        ("flowrake.level".to_owned(), "county".to_owned()),
    ];
    file::add(&mut files, &args.out, &matrix, &units, &metadata)?;
    let mut outputs = vec![Output { path: args.out.clone(), what: "seed matrix" }];
    if own_units && !format.has_codes() {
        let path = super::units_path(&args.out);
        files.add(&path, |file| units.write_csv(file))?;
        outputs.push(Output { path, what: "units" });
    }
    let report = Report { spread, ..report(args.year, &units, joined) };
    let command = std::env::args().collect();
    let manifest = Manifest::new(command, hash_inputs(&inputs)?, outputs, &report).to_json();
    files.add(&Manifest::<()>::path_for(&args.out), |file| {
        std::io::Write::write_all(file, manifest.as_bytes())
    })?;
    files.commit()?;
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else if !args.quiet {
        eprint!("{}", summary(&args.out, &report));
    }
    Ok(())
}

/// Reads one file and refuses one whose name is of another year or direction.
fn read(path: &Path, direction: Direction, year: i32) -> Result<MigrationFile> {
    if let Some(found) = MigrationFile::year_of_name(path) {
        ensure!(
            found == year,
            "{}: expected a file of the year {year}, found one whose name ends in {:02}{:02}: its \
             year is {found}",
            path.display(),
            (found - 1) % 100,
            found % 100
        );
    }
    let file = MigrationFile::read(path)?;
    ensure!(
        file.direction == direction,
        "{}: expected the columns of an {} file, found those of an {} file; swap --inflow and \
         --outflow",
        path.display(),
        direction.name(),
        file.direction.name()
    );
    Ok(file)
}

fn report(year: i32, units: &Geography, joined: Reconciled) -> Report {
    Report {
        source: "IRS SOI county-to-county migration",
        year,
        counties: units.len(),
        pairs: joined.pairs.len(),
        movers: joined.pairs.values().map(|c| c.persons).sum(),
        stayers: joined.stayers.values().flatten().map(|c| c.persons).sum(),
        left_out: joined.missing,
        spread: None,
    }
}

/// What a person wants to know, one subject a line.
fn summary(out: &Path, report: &Report) -> String {
    let Report { counties, pairs, movers, stayers, left_out: m, .. } = report;
    let mut lines = vec![format!(
        "{}: {stayers} stayers and {movers} movers of {pairs} pairs in {counties} counties",
        out.display()
    )];
    if let Some(a) = &m.agreement {
        lines.push(format!(
            "  both files: {} pairs, {} equal; only inflow: {} pairs, {} persons; only outflow: {} \
             pairs, {} persons",
            a.both,
            a.equal,
            a.only_inflow.pairs,
            a.only_inflow.persons,
            a.only_outflow.pairs,
            a.only_outflow.persons
        ));
        if let Some((i, j, inflow, outflow)) = &a.worst {
            lines.push(format!(
                "  inflow less outflow of the others: {} persons; most {i} to {j}: {inflow} and \
                 {outflow}",
                a.difference
            ));
        }
    }
    if let Some(spread) = &report.spread {
        for (name, placed) in
            [("within", &spread.within_states), ("between", &spread.between_states)]
        {
            lines.push(format!(
                "  suppressed, spread {name} states: {:.0} persons over {} pairs; arrivals over \
                 departures {:.6}, {:.0} departures without a place, arrivals off by {:.0}",
                placed.persons,
                placed.pairs,
                placed.total_ratio,
                placed.unplaced,
                placed.arrivals_off
            ));
        }
        lines.push(format!(
            "  imputed: {} counties of which all is suppressed ({}), {:.0} stayers",
            spread.imputed.len(),
            spread.imputed.join(", "),
            spread.imputed_stayers
        ));
    }
    let suppressed = if report.spread.is_some() { "of these" } else { "left out" };
    lines.push(format!(
        "  suppressed, {suppressed}: {} arrivals and {} departures by the totals, {} pairs with a row, \
         stayers of {} counties",
        m.suppressed_arrivals,
        m.suppressed_departures,
        m.suppressed_pairs,
        m.suppressed_stayers.len()
    ));
    lines.push(format!(
        "  foreign, left out: {} arrivals, {} departures; suppressed in {} totals",
        m.foreign_arrivals, m.foreign_departures, m.suppressed_foreign
    ));
    let checks = m.inflow_checks.iter().map(|c| ("inflow", c));
    for (file, check) in checks.chain(m.outflow_checks.iter().map(|c| ("outflow", c))) {
        lines.extend(difference(file, check));
    }
    lines.join("\n") + "\n"
}

/// A check that did not hold everywhere.
fn difference(file: &str, check: &Check) -> Option<String> {
    let (code, found, expected) = check.worst.as_ref()?;
    Some(format!(
        "  {file}: {} holds in {} of {}, differs by {} persons in all; most in {code}: {found}, \
         not {expected}",
        check.name, check.equal, check.compared, check.difference
    ))
}
