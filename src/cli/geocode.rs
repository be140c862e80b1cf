//! `flowrake geocode`: addresses to the Census batch geocoder and back.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use flowrake::histories::geocode::collect::{CollectCounts, collect, uploads};
use flowrake::histories::geocode::upload::{self, Columns, MAX_ROWS, UploadCounts, upload_name};
use flowrake::histories::input::{Noted, rows};
use flowrake::output::{Outputs, write_folder};
use flowrake::report::{Manifest, Output, hash_inputs};
use serde::Serialize;

/// Send addresses through the Census batch geocoder, for `flowrake histories`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Batch(BatchArgs),
    Collect(CollectArgs),
}

/// Write upload files: each address once, 10,000 to a file
///
/// Post-office boxes, rural routes, general delivery and what has no street or no place are left
/// out, since the geocoder cannot find them: zips.csv has their ZIP codes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: from a table of addresses to answers, with the block groups of 2010
  flowrake geocode batch addresses.csv --street address1 --out uploads
  mkdir results
  for file in uploads/upload-*.csv; do
    curl --form addressFile=@\"$file\" --form benchmark=Public_AR_Current \\
        --form vintage=Census2010_Current --output results/\"$(basename \"$file\")\" \\
        https://geocoding.geo.census.gov/geocoder/geographies/addressbatch
  done
  flowrake geocode collect uploads results/*.csv --out answers.csv --missing again

Then, in the study file of flowrake histories:
  geocoded = [\"answers.csv\"]
  zips = { files = [\"uploads/zips.csv\"] }

Into DIR go upload-00001.csv and so on (identifier, street, city, state and ZIP code, without a
header line), zips.csv and manifest.json, which counts what was left out.")]
struct BatchArgs {
    /// Tables of addresses, .csv or .parquet, or folders of them
    #[arg(value_name = "FILE", required = true)]
    tables: Vec<PathBuf>,
    /// Folder to write into, new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Column of the identifier
    #[arg(long, value_name = "NAME", default_value = "address_id")]
    id: String,
    /// Column of the house number and street
    #[arg(long, value_name = "NAME", default_value = "street")]
    street: String,
    /// Column of the city; may be missing
    #[arg(long, value_name = "NAME", default_value = "city")]
    city: String,
    /// Column of the state; may be missing
    #[arg(long, value_name = "NAME", default_value = "state")]
    state: String,
    /// Column of the ZIP code; may be missing
    #[arg(long, value_name = "NAME", default_value = "zip")]
    zip: String,
    /// Addresses in a file, at most 10000: the service is slow, and fewer come back sooner
    #[arg(long, value_name = "N", default_value_t = MAX_ROWS, value_parser = rows_per_file)]
    rows: usize,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// No summary
    #[arg(long)]
    quiet: bool,
}

/// Check the results against the upload files and join them
///
/// Every address counts once: of several answers a match before a tie before none, then the first.
/// Addresses without an answer go into new upload files; send them, and collect again with all
/// results. Exit code 1 says that answers are missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the service lost some rows, which are sent again
  flowrake geocode collect uploads results/*.csv --out answers.csv --missing again
  curl --form addressFile=@again/upload-00001.csv --form benchmark=Public_AR_Current \\
      --form vintage=Census2010_Current --output results/again.csv \\
      https://geocoding.geo.census.gov/geocoder/geographies/addressbatch
  flowrake geocode collect uploads results/*.csv --out answers.csv

answers.csv is as the geocoder returns it, for geocoded = [\"answers.csv\"] in a study file.")]
struct CollectArgs {
    /// Folder that `flowrake geocode batch` has written
    #[arg(value_name = "UPLOADS")]
    uploads: PathBuf,
    /// Results of the geocoder, with geographies
    #[arg(value_name = "RESULT", required = true)]
    results: Vec<PathBuf>,
    /// Answers to write
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Folder for upload files of addresses without an answer, new or empty; made only if there are
    /// any
    #[arg(long, value_name = "DIR")]
    missing: Option<PathBuf>,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// No summary
    #[arg(long)]
    quiet: bool,
}

/// `1` to `10000`
fn rows_per_file(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok().filter(|rows| (1..=MAX_ROWS).contains(rows));
    rows.ok_or_else(|| format!("expected 1 to {MAX_ROWS}, found `{text}`"))
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.action {
        Action::Batch(args) => run_batch(args).map(|()| ExitCode::SUCCESS),
        Action::Collect(args) => run_collect(args),
    }
}

fn run_batch(args: &BatchArgs) -> Result<()> {
    let tables = rows::files(&args.tables)?;
    let columns = [&args.id, &args.street, &args.city, &args.state, &args.zip];
    let columns = Columns(columns.map(Clone::clone));
    let counts = write_folder(&args.out, |folder| {
        let counts = upload::write(&tables, &columns, args.rows, folder)?;
        let mut outputs = upload_outputs(&args.out, counts.files);
        outputs.push(Output { path: args.out.join(upload::ZIPS), what: "ZIP codes" });
        let mut files = Outputs::default();
        add_manifest(&mut files, &folder.join("manifest.json"), &tables, outputs, &counts)?;
        files.commit()?;
        Ok(counts)
    })?;
    tell(args.json, args.quiet, &counts, || batch_text(&args.out, &counts))
}

fn run_collect(args: &CollectArgs) -> Result<ExitCode> {
    let uploads = uploads(&args.uploads)?;
    let inputs: Vec<PathBuf> = uploads.iter().chain(&args.results).cloned().collect();
    super::refuse_inputs([args.out.as_path()], &inputs)?;
    let collected = collect(uploads, args.results.clone())?;
    let counts = &collected.counts;
    let mut outputs = vec![Output { path: args.out.clone(), what: "answers" }];
    if let Some(folder) = args.missing.as_ref().filter(|_| counts.missing.count > 0) {
        let files = write_folder(folder, |part| collected.write_missing(part))?;
        outputs.extend(upload_outputs(folder, files));
    }
    let mut files = Outputs::default();
    files.add(&args.out, |file| collected.write_answers(file))?;
    let manifest = Manifest::<()>::path_for(&args.out);
    add_manifest(&mut files, &manifest, &inputs, outputs, counts)?;
    files.commit()?;
    tell(args.json, args.quiet, counts, || collect_text(args, counts))?;
    Ok(ExitCode::from(u8::from(counts.missing.count > 0)))
}

fn upload_outputs(folder: &Path, files: usize) -> Vec<Output> {
    let output = |number| Output { path: folder.join(upload_name(number)), what: "upload file" };
    (1..=files).map(output).collect()
}

fn add_manifest(
    files: &mut Outputs,
    path: &Path,
    inputs: &[PathBuf],
    outputs: Vec<Output>,
    report: impl Serialize,
) -> flowrake::Result<()> {
    let command = std::env::args().collect();
    let json = Manifest::new(command, hash_inputs(inputs)?, outputs, report).to_json();
    files.add(path, |file| file.write_all(json.as_bytes()))
}

fn tell(
    json: bool,
    quiet: bool,
    report: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<()> {
    if json {
        super::print(&format!("{}\n", serde_json::to_string(report)?))?;
    } else if !quiet {
        eprint!("{}", text());
    }
    Ok(())
}

/// What a person wants to know, one subject a line.
fn batch_text(out: &Path, counts: &UploadCounts) -> String {
    let left_out = &counts.left_out;
    let head = format!(
        "{}: {} addresses in {} files, from {} rows\n  left out: {} post-office boxes, {} rural \
         routes, {} general delivery, {} without a street, {} without a place; {} of them have a ZIP \
         code\n  repeated: {}\n",
        out.display(),
        counts.asked,
        counts.files,
        counts.rows,
        left_out.po_box,
        left_out.rural_route,
        left_out.general_delivery,
        left_out.without_street,
        left_out.without_place,
        counts.with_zip,
        counts.repeated
    );
    head + &noted_text(&[
        ("repeated with another street or place", &counts.disagreeing),
        ("left out without a ZIP code", &counts.without_zip),
        ("ZIP codes that are none", &counts.unreadable_zips),
    ])
}

/// The same of results.
fn collect_text(args: &CollectArgs, counts: &CollectCounts) -> String {
    let head = format!(
        "{}: {} addresses asked, {} matched ({} not exactly), {} ties, {} without a match; {} answers \
         repeated\n",
        args.out.display(),
        counts.asked,
        counts.matched,
        counts.non_exact,
        counts.tie,
        counts.no_match,
        counts.repeated
    );
    let again = match &args.missing {
        _ if counts.missing.count == 0 => String::new(),
        Some(folder) => format!("  {}: uploads of those without an answer\n", folder.display()),
        None => "  --missing DIR writes uploads of those without an answer\n".into(),
    };
    let noted = noted_text(&[
        ("without an answer", &counts.missing),
        ("answers that contradict another", &counts.disagreeing),
        ("answers to what nobody asked", &counts.not_asked),
    ]);
    head + &noted + &again
}

fn noted_text(lines: &[(&str, &Noted)]) -> String {
    let found = lines.iter().filter_map(|(what, noted)| {
        Some(format!("  {what}: {}, first {}\n", noted.count, noted.first.as_ref()?))
    });
    found.collect()
}
