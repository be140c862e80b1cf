//! `flowrake histories`: from address histories to a seed per year.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use flowrake::histories::study::{Budget, PointReport, Report, YearRow, collect};
use flowrake::histories::study_file::Study;
use flowrake::histories::survey::Years;
use flowrake::matrix::{FlowMatrix, file};
use flowrake::output::Outputs;
use flowrake::report::{Manifest, Output, hash_inputs, peak_memory_bytes};
use serde::Serialize;

use super::progress::{Progress, Stage};

/// Turn address histories of persons into a seed per year
///
/// Every person is asked, in each month of a year, where they lived a year ago, as the American
/// Community Survey does. Addresses become units by the answers of a geocoder or, failing that, by
/// their ZIP code: persons of a ZIP code are spread over its units by residents. The matrices are the
/// same bytes for any order of records, number of threads and memory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: seeds of nine years
  flowrake histories study.toml --years 2011-2019 --out seeds --memory 4GB

study.toml names the files; columns and categories that have other names than these are given as
person_id = \"PID\" and so on:
  units = \"units.csv\"                            # geoid, population
  latest_date = \"2023-12-31\"                     # later dates are taken as missing
  geocoded = [\"answers.csv\"]                     # results of the Census batch geocoder
  zip_tracts = [\"ZIP_TRACT_032015.xlsx\"]         # HUD crosswalks, month and year in the name
  zips = { files = [\"zips.csv\"] }                # address_id, zip: of addresses not geocoded
  categories = { po_box = [\"P\"], other = [\"F\", \"G\", \"H\", \"R\", \"S\"] }
  [persons]
  files = [\"persons.parquet\"]                    # person_id, first_seen, last_seen, deceased
  [addresses]
  files = [\"addresses/\"]                         # person_id, address_id, effective_date, category
or, in place of the last two, a row per person with columns address_id_1, effective_date_1,
category_1, address_id_2 and so on:
  [wide]
  files = [\"people.csv\"]
Of other geocoders, points in polygons:
  [points]
  files = [\"points.parquet\"]                     # address_id, latitude, longitude: in degrees
  boundaries = [\"block_groups.geojson\"]          # longitude and latitude
  geoid = \"GEOID10\"                              # property; GEOID and the like unless given

Files are .csv or .parquet; a folder stands for all in it. Into DIR go seed-2011.npz and so on,
units.csv, years.csv with persons, movers and destinations by year, and manifest.json, which counts
what was found in the records and what the rules did.")]
pub struct Args {
    /// Study file
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// End years of the matrices: people by where they lived in t - 1 and live in t
    #[arg(long, visible_alias = "year", value_name = "YEAR[-YEAR]", value_parser = years)]
    years: Years,
    /// Folder to write into; created if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Kind of the matrix files
    #[arg(long, value_enum, default_value_t = Format::Npz)]
    format: Format,
    /// Memory to use, as 800MB or 4GB; records that do not fit go to files without a name in DIR. Row
    /// groups of Parquet files are read whole besides
    #[arg(long, value_name = "SIZE", value_parser = super::size_bytes)]
    memory: Option<u64>,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// No summary
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Npz,
    Parquet,
}

/// `2011` or `2011-2019`
pub fn years(text: &str) -> Result<Years, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let year = |text: &str| text.parse::<i32>().ok().filter(|year| (1901..=2200).contains(year));
    let range = year(first).zip(year(last)).filter(|(first, last)| first <= last);
    range
        .map(|(first, last)| Years::new(first, last))
        .ok_or_else(|| format!("expected years as 2011 or 2011-2019, found `{text}`"))
}

/// What a run found.
#[derive(Serialize)]
struct Summary {
    #[serde(flatten)]
    found: Report,
    years: Vec<YearRow>,
    elapsed_s: f64,
    /// Most memory at any time, where the system tells.
    peak_memory_bytes: Option<u64>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let study = Study::read(&args.study)?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let seeds = args.years.iter().map(|year| args.out.join(args.format.name(year)));
    let seeds: Vec<PathBuf> = seeds.collect();
    let [units, table, manifest] =
        ["units.csv", "years.csv", "manifest.json"].map(|name| args.out.join(name));
    let all = seeds.iter().chain([&units, &table, &manifest]);
    super::refuse_inputs(all.map(PathBuf::as_path), &study.inputs)?;

    let budget = Budget::new(args.memory, &args.out, &study, args.years)?;
    let progress = Progress::new(1, args.quiet || args.json);
    let mut rows = Vec::new();
    let mut outputs = Vec::new();
    let years: Vec<i32> = args.years.iter().collect();
    let found = each_seed(&study, &years, &budget, &progress, |_, row, matrix| {
        let path = args.out.join(args.format.name(row.year));
        file::write(&path, matrix, &study.units, &metadata(row.year, &study))?;
        rows.push(row);
        outputs.push(Output { path, what: "seed matrix" });
        Ok(())
    });
    progress.clear();
    let found = found?;
    let summary = Summary {
        found,
        years: rows,
        elapsed_s: start.elapsed().as_secs_f64(),
        peak_memory_bytes: peak_memory_bytes(),
    };
    outputs.push(Output { path: units.clone(), what: "units" });
    outputs.push(Output { path: table.clone(), what: "yearly table" });
    let mut files = Outputs::default();
    files.add(&units, |file| study.units.write_csv(file))?;
    files.add(&table, |file| write_rows(file, &summary.years))?;
    let command = std::env::args().collect();
    let json = Manifest::new(command, hash_inputs(&study.inputs)?, outputs, &summary).to_json();
    files.add(&manifest, |file| file.write_all(json.as_bytes()))?;
    files.commit()?;
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&summary)?))?;
    } else if !args.quiet {
        eprint!("{}", text(&args.out, &summary));
    }
    super::say_memory("", args.memory);
    Ok(())
}

/// Makes the seeds of some years, which ascend, in one pass over persons; hands on what was found in
/// all, and then of one year after the other its line of the yearly table and its matrix.
pub fn each_seed(
    study: &Study,
    years: &[i32],
    budget: &Budget,
    progress: &Progress,
    mut take: impl FnMut(&Report, YearRow, &FlowMatrix<f64>) -> Result<()>,
) -> Result<Report> {
    let (first, last) = (years[0], years[years.len() - 1]);
    let say = |what: &str| progress.say(Stage::Reading, what);
    let collected = collect(study, Years::new(first, last), budget, &say)?;
    for &year in years {
        let position = (year - first) as usize;
        say(&format!("summing up {year}"));
        let matrix = collected.take_year(position, budget)?;
        say(&format!("writing the seed of {year}"));
        take(&collected.report, collected.year_row(position, year, &matrix), &matrix)?;
    }
    say("");
    Ok(collected.report)
}

impl Format {
    fn name(self, year: i32) -> String {
        match self {
            Self::Npz => format!("seed-{year}.npz"),
            Self::Parquet => format!("seed-{year}.parquet"),
        }
    }
}

/// What a seed says of itself.
pub fn metadata(year: i32, study: &Study) -> Vec<(String, String)> {
    let mut pairs = vec![
        ("flowrake.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("flowrake.year".to_owned(), year.to_string()),
    ];
    pairs.extend(study.units.level().map(|l| ("flowrake.level".to_owned(), l.to_string())));
    pairs
}

fn write_rows(file: impl io::Write, rows: &[YearRow]) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(file);
    for row in rows {
        out.serialize(row)?;
    }
    out.flush()
}

/// What a person wants to know, one subject a line.
fn text(out: &Path, summary: &Summary) -> String {
    let Report { input, geocoder, points, places, persons, rules, .. } = &summary.found;
    let covered = places.addresses;
    let percent = |n: u64| 100.0 * n as f64 / covered.total().max(1) as f64;
    let mut lines = vec![
        format!(
            "{}: {} persons, {} address records; {} persons without a row, {} without an address, \
             {} with rows that disagree",
            out.display(),
            rules.persons,
            input.address_records,
            persons.without_row,
            persons.without_address,
            persons.disagreeing
        ),
        format!(
            "  addresses: {}; {:.2} % in one unit, {:.2} % by ZIP code, {:.2} % in territories, \
             {:.2} % unknown",
            covered.total(),
            percent(covered.exact),
            percent(covered.by_zip),
            percent(covered.territory),
            percent(covered.unknown + covered.unanswered)
        ),
        format!(
            "  dropped: {} records without a date, {} post-office boxes near another address, {} \
             repeated; {} persons have no history",
            rules.undated_dropped,
            rules.po_boxes_dropped,
            rules.repeated_dropped,
            rules.without_history
        ),
    ];
    if let Some(PointReport { counts, .. }) = points {
        lines.push(format!(
            "  points: {} in units, {} in territories; {} on borders",
            counts.matched, counts.territory, counts.on_border
        ));
    }
    let of_points = points.iter().flat_map(|PointReport { counts, boundaries }| {
        [
            ("points outside of all areas", &counts.outside),
            ("addresses without coordinates", &counts.empty),
            ("points in areas that are no unit", &counts.other_vintage),
            ("points inside of several areas", &counts.overlapping),
            ("features with the GEOID of another", &boundaries.repeated),
            ("units without a polygon", &boundaries.units_without_polygon),
        ]
    });
    let of_records = [
        ("dates out of range", &input.dates_out_of_range),
        ("listed dates that end before they start", &input.reversed),
        ("unknown categories", &input.unknown_categories),
        ("matches in areas that are no unit", &geocoder.other_vintage),
        ("addresses without a match or a ZIP code", &geocoder.without_zip),
    ];
    for (what, noted) in of_records.into_iter().chain(of_points) {
        if let Some(first) = &noted.first {
            lines.push(format!("  {what}: {}, first {first}", noted.count));
        }
    }
    for row in &summary.years {
        lines.push(format!(
            "  {}: {} active, {:.1} stayers, {:.1} movers, {:.1} unknown, {} nonzeros, {:.1} \
             destinations an origin",
            row.year,
            row.active,
            row.stayers,
            row.movers,
            row.unknown + row.territory,
            row.nonzeros,
            row.mean_destinations
        ));
    }
    let memory = summary.peak_memory_bytes.map_or(String::new(), |bytes| {
        format!("; {} MB of memory at most", bytes.div_ceil(1_000_000))
    });
    lines.push(format!("  {:.2} s{memory}", summary.elapsed_s));
    lines.join("\n") + "\n"
}
