//! The way of a study: records are read and scattered by address, placed, scattered by person, asked,
//! and summed to a matrix per year.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::buckets::{BLOCK_BYTES, Buckets, Memory};
use super::crosswalk::{UnitCodes, ZipReport};
use super::flows::{Asker, FlowSums, LeftOut};
use super::geocode::boundaries::BoundaryCounts;
use super::input::Notes;
use super::input::answers::{AnswerCounts, AnswerReader};
use super::input::forms::Reader;
use super::input::points::PointCounts;
use super::input::rows::{self, Part};
use super::join::{Addresses, BUCKETS, PersonCounts, Persons, PlaceCounts, PlacedRow, Records};
use super::mass::persons;
use super::stays::StayWriter;
use super::study_file::{Points, Study, ZipTable};
use super::survey::{RuleCounts, Survey, YearCounts, Years};
use super::tasks;
use crate::matrix::{FlowMatrix, Room, row_ranges};
use crate::{Error, Result};

/// Memory that is needed beside records: code, buffers of the writers, columns being read.
const BESIDE_BYTES: u64 = 100 << 20;

/// Entries that are added before they are taken off this process.
const SUM_ENTRIES: u64 = 1 << 20;

/// Buffers of a thread: of whoever reads records, and of whoever asks persons.
fn thread_bytes(years: Years) -> u64 {
    let blocks = (2 * BUCKETS).max(FlowSums::buckets(years));
    (blocks * BLOCK_BYTES + StayWriter::SIZE_BYTES) as u64
}

/// How the memory of a run is split.
#[derive(Debug)]
pub struct Budget {
    /// For records that wait.
    pub records: Memory,
    /// Bytes of records that are worked on.
    work_bytes: u64,
}

impl Budget {
    /// Half for records that wait, half for those worked on, after what is always needed.
    /// `limit_bytes` is for all; without it, memory is not limited. Files without a name in the folder
    /// `scratch` take what has no room.
    ///
    /// # Errors
    /// If the limit leaves no memory for records.
    pub fn new(
        limit_bytes: Option<u64>,
        scratch: &Path,
        study: &Study,
        years: Years,
    ) -> Result<Self> {
        let Some(limit) = limit_bytes else {
            let records = Memory::new(u64::MAX, scratch.to_owned());
            return Ok(Self { records, work_bytes: u64::MAX });
        };
        let stayers = FlowSums::stayers_bytes(study.units.len(), years);
        let areas = study.points.as_ref().map_or(0, |points| points.areas.size_bytes());
        let buffers = rayon::current_num_threads() as u64 * thread_bytes(years);
        let fixed = BESIDE_BYTES + buffers + stayers + study.places.size_bytes() + areas;
        let rest =
            limit.checked_sub(fixed).filter(|rest| *rest >= BESIDE_BYTES).ok_or_else(|| {
                Error::request(format!(
                    "memory: expected at least {} MB for {} years of {} units, found {} MB",
                    (fixed + BESIDE_BYTES).div_ceil(1_000_000),
                    years.count(),
                    study.units.len(),
                    limit / 1_000_000
                ))
            })?;
        Ok(Self { records: Memory::new(rest / 2, scratch.to_owned()), work_bytes: rest / 2 })
    }

    /// Buckets of these sizes that may be worked on together.
    fn at_once(&self, sizes_bytes: impl Iterator<Item = usize>) -> Result<usize> {
        let largest = sizes_bytes.max().unwrap_or(0) as u64;
        if largest > self.work_bytes {
            return Err(Error::request(format!(
                "memory: expected {} MB more, to work on the records of a part of all addresses or \
                 persons",
                (2 * (largest - self.work_bytes)).div_ceil(1_000_000)
            )));
        }
        Ok((self.work_bytes / largest.max(1)).min(usize::MAX as u64) as usize)
    }
}

/// What was found on the way to the sums.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Records read.
    pub input: Notes,
    /// Answers of the geocoder.
    pub geocoder: AnswerCounts,
    /// Coordinates, if the study has any.
    pub points: Option<PointReport>,
    /// Ratios of ZIP codes.
    pub zips: ZipReport,
    /// How addresses were found.
    pub places: PlaceCounts,
    /// How persons and their addresses came together.
    pub persons: PersonCounts,
    /// What the rules did.
    pub rules: RuleCounts,
}

/// What was found in the coordinates of addresses.
#[derive(Clone, Debug, Serialize)]
pub struct PointReport {
    /// Points.
    #[serde(flatten)]
    pub counts: PointCounts,
    /// Borders of the areas that they are in.
    pub boundaries: BoundaryCounts,
}

/// Answers of all persons.
#[derive(Debug)]
pub struct Collected<'a> {
    /// The sums, from which every year is taken.
    pub sums: FlowSums<'a>,
    /// Who answered, by year.
    pub year_counts: Vec<YearCounts>,
    /// Who is in no matrix, by year.
    pub left_out: Vec<LeftOut>,
    /// What was found.
    pub report: Report,
}

/// Reads everything once and asks every person about all years. The result does not depend on the
/// order of records, the number of threads or the memory. `watch` is told what begins.
///
/// # Errors
/// If a file is missing, broken or not what it should be, or memory does not suffice.
pub fn collect<'a>(
    study: &'a Study,
    years: Years,
    budget: &'a Budget,
    watch: &dyn Fn(&str),
) -> Result<Collected<'a>> {
    let memory = &budget.records;
    let records = Records {
        addresses: Buckets::new(BUCKETS, memory),
        answers: Buckets::new(BUCKETS, memory),
        persons: Buckets::new(BUCKETS, memory),
    };
    watch("reading records");
    let input = read_records(study, &records)?;
    watch("reading answers about addresses");
    let (geocoder, points) = read_answers(study, &records)?;
    watch("placing addresses");
    let placed = Buckets::new(BUCKETS, memory);
    let places = place_all(study, budget, &records, &placed)?;
    watch("asking persons");
    let sums = FlowSums::new(&study.places, years, memory);
    memory.trim();
    let (persons, survey, left_out) = ask_all(budget, &records, &placed, &sums)?;
    memory.trim();
    let zips = study.zip_report.clone();
    let points = study.points.as_ref().map(|table| {
        let boundaries = table.boundaries.clone();
        PointReport { counts: points, boundaries }
    });
    let report = Report { input, geocoder, points, zips, places, persons, rules: survey.counts };
    Ok(Collected { sums, year_counts: survey.year_counts, left_out, report })
}

fn read_records(study: &Study, records: &Records) -> Result<Notes> {
    let mut parts = Vec::new();
    for (form, files) in &study.tables {
        parts.extend(rows::parts(files)?.into_iter().map(|part| (form, part)));
    }
    let readers = tasks::each(
        parts.len(),
        usize::MAX,
        || Reader::new(&study.fields, records),
        |reader, number| reader.read(parts[number].0, number, &parts[number].1),
    )?;
    let mut notes = Notes::default();
    for reader in readers {
        notes.merge(reader.finish()?);
    }
    notes.shorten();
    Ok(notes)
}

fn read_answers(study: &Study, records: &Records) -> Result<(AnswerCounts, PointCounts)> {
    enum Source<'s> {
        Geocoder(&'s Path),
        Zips(&'s ZipTable, Part),
        Points(&'s Points, Part),
    }
    let codes = UnitCodes::new(&study.units)?;
    let mut sources: Vec<Source> =
        study.geocoded.iter().map(|path| Source::Geocoder(path)).collect();
    if let Some(table) = &study.zips {
        sources.extend(rows::parts(&table.files)?.into_iter().map(|p| Source::Zips(table, p)));
    }
    if let Some(table) = &study.points {
        sources.extend(rows::parts(&table.files)?.into_iter().map(|p| Source::Points(table, p)));
    }
    let readers = tasks::each(
        sources.len(),
        usize::MAX,
        || AnswerReader::new(&codes, records),
        |reader, number| match &sources[number] {
            Source::Geocoder(path) => reader.read_geocoder(path, number),
            Source::Zips(table, part) => reader.read_zips(part, &table.address_id, &table.zip),
            Source::Points(table, part) => {
                reader.read_points(part, number, &table.columns, &table.areas)
            }
        },
    )?;
    let (mut answers, mut points) = (AnswerCounts::default(), PointCounts::default());
    for reader in readers {
        let (own, own_points) = reader.finish()?;
        answers += own;
        points += own_points;
    }
    Ok((answers, points))
}

/// Moves records from buckets of addresses to buckets of persons.
fn place_all(
    study: &Study,
    budget: &Budget,
    records: &Records,
    placed: &Buckets<PlacedRow>,
) -> Result<PlaceCounts> {
    let size_bytes =
        |bucket| Addresses::size_bytes(records.answers.len(bucket), records.addresses.len(bucket));
    let workers = tasks::each(
        BUCKETS,
        budget.at_once((0..BUCKETS).map(size_bytes))?,
        || (Addresses::default(), placed.writer(), PlaceCounts::default()),
        |(addresses, out, counts), bucket| {
            addresses.place(&study.places, records, bucket, counts, out)
        },
    )?;
    let mut counts = PlaceCounts::default();
    for (_, out, own) in workers {
        out.finish()?;
        counts += own;
    }
    Ok(counts)
}

fn ask_all(
    budget: &Budget,
    records: &Records,
    placed: &Buckets<PlacedRow>,
    sums: &FlowSums,
) -> Result<(PersonCounts, Survey, Vec<LeftOut>)> {
    let size_bytes = |bucket| Persons::size_bytes(records.persons.len(bucket), placed.len(bucket));
    let workers = tasks::each(
        BUCKETS,
        budget.at_once((0..BUCKETS).map(size_bytes))?,
        || (Persons::default(), Asker::new(sums), PersonCounts::default()),
        |(persons, asker, counts), bucket| {
            persons.ask(&records.persons, placed, bucket, counts, asker)
        },
    )?;
    let mut counts = PersonCounts::default();
    let mut survey = Survey::new(sums.years);
    let mut left_out = vec![LeftOut::default(); sums.years.count()];
    for (_, asker, own) in workers {
        let (own_survey, own_left_out) = asker.finish()?;
        counts += own;
        survey.merge(&own_survey);
        left_out.iter_mut().zip(own_left_out).for_each(|(all, own)| *all += own);
    }
    Ok((counts, survey, left_out))
}

/// A line of the yearly table. Persons are expected ones: a person who answers in half of the months
/// of a year counts half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct YearRow {
    /// The end year.
    pub year: i32,
    /// Persons with an answer, whole ones.
    pub active: u64,
    /// Whole persons who answer in some months only.
    pub partial: u64,
    /// Months without an answer of these.
    pub months_without_answer: u64,
    /// Persons who answer.
    pub persons: f64,
    /// Persons before or now at a place that is not known: in no matrix.
    pub unknown: f64,
    /// Persons before or now in a territory: in no matrix.
    pub territory: f64,
    /// Persons on the diagonal of the matrix.
    pub stayers: f64,
    /// Persons who moved between units.
    pub movers: f64,
    /// Entries of the matrix that are not 0.
    pub nonzeros: usize,
    /// Mean number of destinations of movers, over all units.
    pub mean_destinations: f64,
    /// Median of the same.
    pub median_destinations: f64,
    /// Persons who answer, less those of the four kinds, relative to them: rounding.
    pub unaccounted: f64,
}

/// Sum of the movers, whose entries may be in a file: those that are added are taken off this process.
fn movers(matrix: &FlowMatrix<f64>) -> f64 {
    let movers = matrix.movers();
    let row_ptr = movers.row_ptr();
    row_ranges(row_ptr, SUM_ENTRIES).into_iter().fold(0.0, |sum, rows| {
        let entries = row_ptr[rows.start] as usize..row_ptr[rows.end] as usize;
        let sum = movers.values()[entries].iter().fold(sum, |sum, flow| sum + flow);
        movers.release(rows);
        sum
    })
}

impl Collected<'_> {
    /// Takes the matrix of a year out of the sums, by its position among the years; half of the memory
    /// is for work, half for the matrix.
    ///
    /// # Errors
    /// If a scratch file cannot be read or written, or there is no room for the matrix.
    pub fn take_year(&self, position: usize, budget: &Budget) -> Result<FlowMatrix<f64>> {
        let half = budget.work_bytes / 2;
        let room = match budget.work_bytes {
            u64::MAX => Room::UNLIMITED,
            _ => Room::limited(half, budget.records.scratch().to_owned()),
        };
        self.sums.take_year(position, half, &budget.records, &room)
    }

    /// The line of a year, by its position among the years, whose matrix was taken.
    pub fn year_row(&self, position: usize, year: i32, matrix: &FlowMatrix<f64>) -> YearRow {
        let (counts, left_out) = (self.year_counts[position], self.left_out[position]);
        let row_ptr = matrix.movers().row_ptr();
        let mut destinations: Vec<u64> = row_ptr.windows(2).map(|row| row[1] - row[0]).collect();
        destinations.sort_unstable();
        let middle = destinations.len() / 2;
        let median = (destinations[middle] + destinations[(destinations.len() - 1) / 2]) as f64;
        let all = counts.days as f64 / f64::from(super::date::YEAR_DAYS);
        let (unknown, territory) = (persons(left_out.unknown), persons(left_out.territory));
        let stayers: f64 = matrix.stayers().iter().sum();
        let movers = movers(matrix);
        let rest = all - unknown - territory - stayers - movers;
        YearRow {
            year,
            active: counts.active,
            partial: counts.partial,
            months_without_answer: counts.months_without_answer,
            persons: all,
            unknown,
            territory,
            stayers,
            movers,
            nonzeros: matrix.nnz(),
            mean_destinations: matrix.movers().nnz() as f64 / matrix.units() as f64,
            median_destinations: median / 2.0,
            unaccounted: if all > 0.0 { rest / all } else { 0.0 },
        }
    }
}
