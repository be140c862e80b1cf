//! Address histories of a nation with known truth: what a seed is made from, with everything that is
//! wrong with it.
//!
//! # Truth
//! Every person of the true populations lives through the true flows of all years: of the persons of a
//! block group, shuffled, exactly as many go to each other one as the matrix says, and as many are
//! born, die, come from abroad and go there as the nation's components say (`lives`).
//!
//! # Which truth the survey finds
//! Asked in each of the months January to December of t where they lived 12 months before, people
//! report moves of two calendar years: one in month m (from 0 to 11) of t is reported in 12 - m of
//! the months of t and in m of those of t + 1. So moves of the year of the truth are spread over July
//! of t - 1 to June of t ([`Calendar::MidYear`]): this year ends as that of the population estimates
//! does, and no other is as near to the months asked about. Of such moves E(t) finds 75 %, E(t - 1)
//! 15 % and E(t + 1) 10 %. So does the real survey; but there is nothing before the first year of the
//! truth and after the last one. With [`Calendar::TurnOfYear`] and [`Blemishes::NONE`] E(t) is T(t)
//! exactly.
//!
//! # Records
//! A row per person with up to ten dated addresses, as consumer reference files come, without whom
//! and what [`Blemishes`] leave out. Coverage is that of the nation's own seed: it depends on the share
//! of renters and the state, so that movers, renters and some states are missed more often than
//! others. A person is on record wherever the coverage is above the same number, uniform on 0 to 1.
//! Addresses are dwellings and post-office boxes, numbered through; the geocoder's answers are about
//! all of them, whether or not anybody on record lived there.

mod addresses;
mod blemishes;
mod calendar;
mod lives;
mod records;
mod shuffle;
mod study;
mod truth;
mod zips;

use std::io::{self, Write as _};
use std::ops::{AddAssign, Range};
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use self::addresses::Addresses;
use self::lives::{for_each_life, lives};
use self::records::Clerk;
use self::zips::Zips;
use crate::output::Outputs;
use crate::synth::random::{Purpose, Stream};
use crate::{Error, Result};

pub use addresses::AnswerCounts;
pub use blemishes::Blemishes;
pub use calendar::Calendar;
pub use records::RecordCounts;
pub use study::names;
pub use truth::Truth;

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoriesOptions {
    /// Seed of the random numbers. Coverage by place is that of the nation's seed if they are the same.
    pub seed: u64,
    /// Share of the persons to put on record, above 0 and at most 1.
    pub share: f64,
    /// What is wrong with the records.
    pub blemishes: Blemishes,
    /// When people move.
    pub calendar: Calendar,
}

impl HistoriesOptions {
    /// Records as bad as real ones.
    pub const DEFAULT: Self =
        Self { seed: 2011, share: 1.0, blemishes: Blemishes::DEFAULT, calendar: Calendar::MidYear };

    /// The same with perfect records, which a survey finds the truth in.
    #[must_use]
    pub fn clean(self) -> Self {
        Self { blemishes: Blemishes::NONE, calendar: Calendar::TurnOfYear, ..self }
    }
}

/// What was generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Persons and their records.
    pub records: RecordCounts,
    /// Answers of the geocoder.
    pub geocoder: AnswerCounts,
    /// ZIP codes.
    pub zips: usize,
}

/// Units that are written together.
const UNITS_AT_ONCE: usize = 256;

/// Writes [`names`] of a truth into a folder, which is created if need be: persons with their
/// addresses, the geocoder's answers, a crosswalk of ZIP codes for the last quarter of every year, and
/// `study.toml`, ready for `flowrake histories`. Memory grows with the truth, not with persons.
///
/// # Errors
/// If the share is no share, or a file cannot be written.
pub fn write(truth: &Truth, options: &HistoriesOptions, folder: &Path) -> Result<Counts> {
    if !(options.share > 0.0 && options.share <= 1.0) {
        return Err(Error::request(format!(
            "share: expected a share above 0 and at most 1, found {}",
            options.share
        )));
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let (addresses, zips) = (Addresses::new(truth), Zips::new(truth, options.seed));
    let clerk = Clerk::new(truth, &addresses, options);
    let mut counts = Counts { zips: zips.count(), ..Counts::default() };
    let mut outputs = Outputs::default();

    let mut first_person = vec![0];
    for unit in 0..truth.units.len() {
        first_person.push(first_person[unit] + lives(&truth.years, unit));
    }
    outputs.add(&folder.join(study::PEOPLE), |file| {
        file.write_all(study::people_header().as_bytes())?;
        counts.records = write_units(file, truth.units.len(), |unit, counts, text| {
            let mut id = first_person[unit];
            let mut stream = Stream::new(options.seed, Purpose::Histories, truth.code(unit));
            for_each_life(&truth.years, unit, options.seed, |life| {
                id += 1;
                clerk.write(id, life, &mut stream, counts, text);
            });
        })?;
        Ok(())
    })?;
    outputs.add(&folder.join(study::ANSWERS), |file| {
        counts.geocoder = write_units(file, truth.units.len(), |unit, counts, text| {
            *counts += addresses.answers(unit, truth, &zips, options, text);
        })?;
        Ok(())
    })?;
    for (k, population) in truth.populations.iter().enumerate() {
        let name = study::crosswalk(truth.base_year + k as u16);
        let text = zips.crosswalk(truth, population);
        outputs.add(&folder.join(name), |file| file.write_all(text.as_bytes()))?;
    }
    let text = study::study_toml(truth, folder)?;
    outputs.add(&folder.join(study::STUDY), |file| file.write_all(text.as_bytes()))?;
    outputs.commit()?;
    Ok(counts)
}

/// Writes the text that `add` makes of every unit, in their order, and sums what it counts.
fn write_units<C: AddAssign + Default + Send>(
    out: &mut impl io::Write,
    units: usize,
    add: impl Fn(usize, &mut C, &mut String) + Sync,
) -> io::Result<C> {
    let mut all = C::default();
    for start in (0..units).step_by(UNITS_AT_ONCE) {
        let batch: Range<usize> = start..units.min(start + UNITS_AT_ONCE);
        let made: Vec<(C, String)> = batch
            .into_par_iter()
            .map(|unit| {
                let (mut counts, mut text) = (C::default(), String::new());
                add(unit, &mut counts, &mut text);
                (counts, text)
            })
            .collect();
        for (counts, text) in made {
            all += counts;
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::nation::{self, Nation, NationOptions};

    /// Two years of a made-up nation.
    pub(super) fn truth(block_groups: usize) -> Truth {
        let places = nation::made_up_places(block_groups, 3).unwrap();
        let first = Nation::generate(&places, &NationOptions::DEFAULT).unwrap();
        let folder = tempfile::tempdir().unwrap();
        nation::write(first, 2012, folder.path(), |_| ()).unwrap();
        Truth::read(folder.path()).unwrap()
    }

    #[test]
    fn units_are_written_in_their_order_and_counted() {
        #[derive(Default)]
        struct Units(usize);
        impl AddAssign for Units {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        let (mut text, units) = (Vec::new(), 2 * UNITS_AT_ONCE + 1);
        let counted = write_units(&mut text, units, |unit, counts: &mut Units, text| {
            counts.0 += 1;
            text.push_str(&unit.to_string());
            text.push('\n');
        });
        assert_eq!(counted.unwrap().0, units);
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().map(str::parse).eq((0..units).map(Ok)), "{text}");
    }

    #[test]
    fn shares_are_shares() {
        let (truth, folder) = (truth(100), tempfile::tempdir().unwrap());
        for share in [0.0, 1.5, f64::NAN] {
            let options = HistoriesOptions { share, ..HistoriesOptions::DEFAULT };
            let refused = write(&truth, &options, folder.path()).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("share: expected a share above 0 and at most 1, found {share}")
            );
        }
    }
}
