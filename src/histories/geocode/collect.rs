//! Answers to upload files, which the geocoder returns in any order, and some of them not at all.

use std::hash::BuildHasher as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hashbrown::{DefaultHashBuilder, HashMap};
use serde::Serialize;

use super::answer::{Answer, each_row};
use super::upload::{MAX_ROWS, Uploads, is_upload, upload_name};
use crate::histories::input::Noted;
use crate::histories::key::Key;
use crate::{Error, Result};

/// How many were asked for, and what was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollectCounts {
    /// Addresses in the upload files.
    pub asked: u64,
    /// Of these, with a match.
    pub matched: u64,
    /// Of these, matches of an address that is not exactly the one asked for.
    pub non_exact: u64,
    /// With several matches.
    pub tie: u64,
    /// With no match.
    pub no_match: u64,
    /// Without an answer.
    pub missing: Noted,
    /// Answers that say again what the one said that counted so far.
    pub repeated: u64,
    /// Answers that contradict that one; a match counts before several, these before none, and the
    /// first of two.
    pub disagreeing: Noted,
    /// Answers to what nobody asked, left out.
    pub not_asked: Noted,
}

/// The answer that counts, and where it is.
#[derive(Clone, Copy, Debug)]
struct Best {
    kind: Kind,
    /// Hash of the answer.
    hash: u64,
    /// Result file and row in it, from 0.
    at: (u32, u32),
}

/// Kinds of answers, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Exact,
    NonExact,
    Tie,
    NoMatch,
}

impl Kind {
    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Match { non_exact: false, .. } => Self::Exact,
            Answer::Match { non_exact: true, .. } => Self::NonExact,
            Answer::Tie => Self::Tie,
            Answer::NoMatch => Self::NoMatch,
        }
    }
}

/// Addresses asked for, with the answers that count.
#[derive(Debug)]
pub struct Collected {
    uploads: Vec<PathBuf>,
    results: Vec<PathBuf>,
    best: HashMap<Key, Option<Best>>,
    /// What was answered.
    pub counts: CollectCounts,
}

/// The upload files of a folder, in order.
///
/// # Errors
/// If there are none, or the folder cannot be read.
pub fn uploads(folder: &Path) -> Result<Vec<PathBuf>> {
    let error = |e| Error::io(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.file_name().is_some_and(|name| is_upload(&name.to_string_lossy())) {
            found.push(path);
        }
    }
    found.sort_unstable();
    if found.is_empty() {
        let problem = format!("expected upload files ({} and so on), found none", upload_name(1));
        return Err(Error::data(folder, "", problem));
    }
    Ok(found)
}

/// Reads upload files and results. Of every address some 60 bytes are kept.
///
/// # Errors
/// If a file is broken, a row of it no address or no answer, or an address in two upload files.
pub fn collect(uploads: Vec<PathBuf>, results: Vec<PathBuf>) -> Result<Collected> {
    let mut best = HashMap::new();
    for path in &uploads {
        each_row(path, |_, row| {
            if row.len() != 5 {
                return Err(format!("expected 5 fields of an upload, found {}", row.len()).into());
            }
            if best.insert(Key::new(row[0].trim_ascii()), None).is_some() {
                let id = String::from_utf8_lossy(&row[0]);
                return Err(format!("expected every identifier once, found `{id}` again").into());
            }
            Ok(())
        })?;
    }
    let mut counts = CollectCounts { asked: best.len() as u64, ..CollectCounts::default() };
    let hasher = DefaultHashBuilder::default();
    for (file, path) in results.iter().enumerate() {
        let mut next_row = 0;
        each_row(path, |line, row| {
            let answer = Answer::of(row)?;
            let at = (file as u32, next_row);
            next_row += 1;
            let id = row[0].trim_ascii();
            let place = || format!("{}:{line}: `{}`", path.display(), String::from_utf8_lossy(id));
            let Some(known) = best.get_mut(&Key::new(id)) else {
                counts.not_asked.add(file, place);
                return Ok(());
            };
            let own = Best { kind: Kind::of(&answer), hash: hasher.hash_one(&answer), at };
            let first = *known.get_or_insert(own);
            if first.at == at {
                return Ok(());
            }
            if first.hash == own.hash {
                counts.repeated += 1;
            } else {
                counts.disagreeing.add(file, place);
            }
            if own.kind < first.kind {
                *known = Some(own);
            }
            Ok(())
        })?;
    }
    for best in best.values().flatten() {
        match best.kind {
            Kind::Exact => counts.matched += 1,
            Kind::NonExact => {
                counts.matched += 1;
                counts.non_exact += 1;
            }
            Kind::Tie => counts.tie += 1,
            Kind::NoMatch => counts.no_match += 1,
        }
    }
    let mut collected = Collected { uploads, results, best, counts };
    let mut missing = Noted::default();
    collected.each_missing(|path, line, row| {
        let id = String::from_utf8_lossy(&row[0]);
        missing.add(0, || format!("{}:{line}: `{id}`", path.display()));
        Ok(())
    })?;
    collected.counts.missing = missing;
    Ok(collected)
}

impl Collected {
    /// Visits the rows of the upload files that have no answer.
    fn each_missing(
        &self,
        mut visit: impl FnMut(&Path, u64, &csv::ByteRecord) -> Result<()>,
    ) -> Result<()> {
        for path in &self.uploads {
            each_row(path, |line, row| match self.best.get(&Key::new(row[0].trim_ascii())) {
                Some(None) => Ok(visit(path, line, row)?),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Writes the answers that count as they were returned, in the order of the results.
    ///
    /// # Errors
    /// If a result can no longer be read, or `out` not be written.
    pub fn write_answers(&self, out: impl Write) -> io::Result<()> {
        let mut out = csv::WriterBuilder::new().flexible(true).from_writer(out);
        for (file, path) in self.results.iter().enumerate() {
            let mut next_row = 0;
            let mut written = Ok(());
            each_row(path, |_, row| {
                let at = (file as u32, next_row);
                next_row += 1;
                let best = self.best.get(&Key::new(row[0].trim_ascii())).copied().flatten();
                if written.is_ok() && best.is_some_and(|best| best.at == at) {
                    written = out.write_byte_record(row);
                }
                Ok(())
            })
            .map_err(io::Error::other)?;
            written?;
        }
        out.flush()
    }

    /// Writes upload files of the addresses without an answer into a folder; returns how many files.
    ///
    /// # Errors
    /// If an upload file can no longer be read, or a file cannot be written.
    pub fn write_missing(&self, folder: &Path) -> Result<usize> {
        let mut uploads = Uploads::new(folder, MAX_ROWS);
        self.each_missing(|_, _, row| {
            let fields: Vec<&[u8]> = row.iter().collect();
            uploads.push(&fields)
        })?;
        uploads.finish()
    }
}
