//! Populations of single years from a decennial count and 5-year averages.
//!
//! For every block group, solve
//!
//! ```text
//! B x = y,   x >= 0,   x = populations of 2009 to 2019
//! ```
//!
//! in least squares. y are the tables at hand: the 2010 Census count, which row of B picks x(2010),
//! and American Community Survey 5-year totals of vintage v, whose row averages x over the years of
//! [v-4, v] that are in 2009 to 2019: the window is cut on the left and its weights sum to 1.
//!
//! With all eleven tables (2010 and vintages 2010 to 2019) the answer is unique. With fewer, the
//! one that deviates least from a flat profile is taken: D x, the deviations from their mean, are
//! further equations of weight [`FLATNESS`], small enough not to be felt where the tables speak.
//!
//! Source: Agostini et al., *Inferring fine-grained migration patterns across the United States*,
//! Nature Communications 2025, <https://arxiv.org/abs/2503.20989>. There, all tables are at hand.

use std::fmt;
use std::ops::RangeInclusive;

use rayon::prelude::*;

use super::nnls::{Nnls, rank};
use crate::{Error, Result};

/// Years solved for.
const YEARS: RangeInclusive<i32> = 2009..=2019;

/// Number of unknowns.
const N: usize = 11;

/// Weight of the deviations from a flat profile beside tables of weight 1: answers follow the
/// tables to about its square, 1e-10 of a population.
pub const FLATNESS: f64 = 1e-5;

/// Block groups that a task solves.
const CHUNK: usize = 1024;

/// A table of populations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The count of April 2010.
    Census2010,
    /// American Community Survey 5-year totals up to this year.
    Acs5(i32),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Census2010 => f.write_str("2010 Census"),
            Self::Acs5(vintage) => write!(f, "ACS 5-year {}-{vintage}", vintage - 4),
        }
    }
}

/// The yearly populations that tables imply, prepared for the tables at hand.
///
/// ```
/// use flowrake::targets::{Source, YearlyPopulations};
///
/// let years = YearlyPopulations::new(&[Source::Census2010, Source::Acs5(2016)])?;
/// assert_eq!(years.free(), 9);
/// // 600 counted in 2010, 720 on average in 2012 to 2016; other years at their mean.
/// let x = years.solve(&[600.0, 720.0])?;
/// assert!((x[1] - 600.0).abs() < 1e-4 && (x[5] - 720.0).abs() < 1e-4);
/// assert!((x[10] - 700.0).abs() < 1e-4);
/// # Ok::<(), flowrake::Error>(())
/// ```
#[derive(Debug)]
pub struct YearlyPopulations {
    sources: Vec<Source>,
    problem: Nnls,
    rank: usize,
}

impl YearlyPopulations {
    /// Years of an answer, in order.
    pub fn years() -> RangeInclusive<i32> {
        YEARS
    }

    /// Prepares B for these tables, in the order of the numbers to come.
    ///
    /// # Errors
    /// If none is given, one is given twice, or the window of one has no year in 2009 to 2019, or
    /// years after 2019, whose average would be of other years.
    pub fn new(sources: &[Source]) -> Result<Self> {
        if sources.is_empty() {
            return Err(Error::request("expected at least one table of populations, found none"));
        }
        let mut matrix = Vec::new();
        for (k, &source) in sources.iter().enumerate() {
            if sources[..k].contains(&source) {
                return Err(Error::request(format!(
                    "expected each table once, found {source} twice"
                )));
            }
            matrix.extend(row(source)?);
        }
        let rank = rank(N, &matrix);
        if rank < N {
            for i in 0..N {
                let mean = 1.0 / N as f64;
                matrix.extend((0..N).map(|j| FLATNESS * (f64::from(i == j) - mean)));
            }
        }
        let problem = Nnls::new(N, matrix).expect("an average and all deviations from it");
        Ok(Self { sources: sources.to_vec(), problem, rank })
    }

    /// The tables, in the order of the numbers of [`solve`](Self::solve).
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// How many of the eleven degrees of freedom the tables leave open; 0 if they determine all.
    pub fn free(&self) -> usize {
        N - self.rank
    }

    /// What to tell about [`free`](Self::free), if it is not 0.
    pub fn note(&self) -> Option<String> {
        (self.free() > 0).then(|| {
            let tables: Vec<String> = self.sources.iter().map(ToString::to_string).collect();
            format!(
                "yearly populations 2009 to 2019 are underdetermined by {} of {N}: the tables at \
                 hand are {}; of the profiles that fit, the flattest was taken",
                self.free(),
                tables.join(", ")
            )
        })
    }

    /// Populations of 2009 to 2019 of one area from its numbers in the tables.
    ///
    /// # Errors
    /// If there are not as many numbers as tables, or one is not finite.
    pub fn solve(&self, observed: &[f64]) -> Result<[f64; N]> {
        self.solve_all(observed).map(|answers| answers[0])
    }

    /// Populations of many areas; `observed` holds their numbers area by area, one per table. The
    /// answers do not depend on the number of threads.
    ///
    /// # Errors
    /// If the numbers are no whole areas, at least one, or one is not finite.
    pub fn solve_all(&self, observed: &[f64]) -> Result<Vec<[f64; N]>> {
        let tables = self.sources.len();
        if observed.is_empty() || !observed.len().is_multiple_of(tables) {
            let problem = format!("expected {tables} numbers per area, found {}", observed.len());
            return Err(Error::request(problem));
        }
        if let Some(at) = observed.iter().position(|y| !y.is_finite()) {
            return Err(Error::request(format!(
                "area {} (from 0), {}: expected a number, found {}",
                at / tables,
                self.sources[at % tables],
                observed[at]
            )));
        }
        let mut answers = vec![[0.0; N]; observed.len() / tables];
        answers.par_chunks_mut(CHUNK).zip(observed.par_chunks(CHUNK * tables)).for_each(
            |(answers, observed)| {
                // The equations of flatness have 0 on the right.
                let mut right = vec![0.0; self.problem.equations()];
                for (answer, numbers) in answers.iter_mut().zip(observed.chunks_exact(tables)) {
                    right[..tables].copy_from_slice(numbers);
                    self.problem.solve(&right, answer);
                }
            },
        );
        Ok(answers)
    }

    /// B by rows, eleven columns each, without the equations of flatness.
    pub fn matrix(&self) -> Vec<[f64; N]> {
        self.sources.iter().map(|&s| row(s).expect("checked at construction")).collect()
    }
}

/// The row of B of one table.
fn row(source: Source) -> Result<[f64; N]> {
    let window = match source {
        Source::Census2010 => 2010..=2010,
        Source::Acs5(v) => (v.saturating_sub(4)).max(*YEARS.start())..=v,
    };
    if window.is_empty() || *window.end() > *YEARS.end() {
        return Err(Error::request(format!(
            "expected tables up to a year in 2009 to 2019, found {source}"
        )));
    }
    let weight = 1.0 / f64::from(window.end() - window.start() + 1);
    let mut weights = [0.0; N];
    for (w, year) in weights.iter_mut().zip(YEARS) {
        *w = if window.contains(&year) { weight } else { 0.0 };
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Source> {
        std::iter::once(Source::Census2010).chain((2010..=2019).map(Source::Acs5)).collect()
    }

    #[test]
    fn windows_are_cut_on_the_left() {
        let years = YearlyPopulations::new(&all()).unwrap();
        let rows = years.matrix();
        let count = |k: usize| rows[k].iter().filter(|&&w| w != 0.0).count();
        assert_eq!((0..11).map(count).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!((rows[0][1], rows[1][0], rows[1][1], rows[3][3]), (1.0, 0.5, 0.5, 0.25));
        assert_eq!(rows[10][6..], [0.2; 5]);
        assert!(rows.iter().all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-15));
        assert_eq!((years.free(), years.note()), (0, None));
    }

    #[test]
    fn known_populations_come_back() {
        let years = YearlyPopulations::new(&all()).unwrap();
        let truth: [f64; N] = std::array::from_fn(|k| 1000.0 + 17.0 * ((k * k) % 7) as f64);
        let averages = |rows: &[[f64; N]]| -> Vec<f64> {
            rows.iter().map(|row| row.iter().zip(&truth).map(|(w, x)| w * x).sum()).collect()
        };
        let y = averages(&years.matrix());
        let found = years.solve(&y).unwrap();
        for (found, truth) in found.iter().zip(&truth) {
            assert!((found - truth).abs() < 1e-10, "{found} {truth}");
        }
        assert_eq!(years.solve(&[0.0; 11]).unwrap(), [0.0; N]);
    }

    #[test]
    fn fewer_tables_give_the_flattest_profile() {
        let years = YearlyPopulations::new(&[Source::Acs5(2013)]).unwrap();
        for x in years.solve(&[500.0]).unwrap() {
            assert!((x - 500.0).abs() < 1e-6, "{x}");
        }
        assert_eq!(
            years.note().unwrap(),
            "yearly populations 2009 to 2019 are underdetermined by 10 of 11: the tables at hand \
             are ACS 5-year 2009-2013; of the profiles that fit, the flattest was taken"
        );
        // The average of 2009 and 2010 is at most half the count: 2009 stays at 0 and the misfit
        // is spread, the other years are the flattest that fit 2012 to 2016.
        let sources = [Source::Census2010, Source::Acs5(2010), Source::Acs5(2016)];
        let years = YearlyPopulations::new(&sources).unwrap();
        let x = years.solve(&[100.0, 10.0, 50.0]).unwrap();
        assert_eq!(x[0], 0.0);
        // min (x - 100)^2 + (x/2 - 10)^2: x = (100 + 5) / 1.25.
        assert!((x[1] - 84.0).abs() < 1e-6, "{x:?}");
        assert!(x[3..8].iter().all(|x| (x - 50.0).abs() < 1e-6), "{x:?}");
    }

    #[test]
    fn requests_are_checked() {
        let problem = |sources: &[Source]| YearlyPopulations::new(sources).unwrap_err().to_string();
        assert_eq!(problem(&[]), "expected at least one table of populations, found none");
        assert_eq!(
            problem(&[Source::Acs5(2012), Source::Acs5(2012)]),
            "expected each table once, found ACS 5-year 2008-2012 twice"
        );
        for vintage in [2008, 2020] {
            assert_eq!(
                problem(&[Source::Acs5(vintage)]),
                format!(
                    "expected tables up to a year in 2009 to 2019, found ACS 5-year {}-{vintage}",
                    vintage - 4
                )
            );
        }
        let years = YearlyPopulations::new(&[Source::Census2010, Source::Acs5(2012)]).unwrap();
        assert_eq!(
            years.solve_all(&[1.0, 2.0, 3.0]).unwrap_err().to_string(),
            "expected 2 numbers per area, found 3"
        );
        assert_eq!(
            years.solve_all(&[1.0, 2.0, 3.0, f64::NAN]).unwrap_err().to_string(),
            "area 1 (from 0), ACS 5-year 2008-2012: expected a number, found NaN"
        );
    }
}
