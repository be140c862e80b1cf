//! The quantities compared, by level.

use std::fmt;

use serde::{Serialize, Serializer};

use super::areas::{self, Areas, Triple};
use super::{Agreement, HARMONIZED, Moments, RAW, TRUTH};
use crate::geography::{Geography, Geoid, Level, Partition};
use crate::matrix::FlowRows;
use crate::{Error, Result};

/// What is compared at a level, in persons; t is the end year of the matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Residents of each area in t - 1: row sums.
    PopulationBefore,
    /// Residents of each area in t who had lived anywhere in the matrix: column sums.
    PopulationNow,
    /// Flows of all ordered pairs of different areas, those of 0 included.
    Flows,
    /// Persons who left each area for another: row sums without the diagonal.
    MoversOut,
    /// Persons who came to each area from another: column sums without the diagonal.
    MoversIn,
    /// Persons who lived in the same area in both years: the diagonal.
    Stayers,
}

impl Quantity {
    /// A name for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::PopulationBefore => "population_before",
            Self::PopulationNow => "population_now",
            Self::Flows => "flows",
            Self::MoversOut => "movers_out",
            Self::MoversIn => "movers_in",
            Self::Stayers => "stayers",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PopulationBefore => "population of t-1",
            Self::PopulationNow => "population of t",
            Self::Flows => "flows",
            Self::MoversOut => "movers out",
            Self::MoversIn => "movers in",
            Self::Stayers => "stayers",
        })
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Raw and harmonized numbers beside the true ones: one quantity at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The level or column that areas are read at.
    pub level: String,
    /// What is compared.
    pub quantity: Quantity,
    /// How many numbers: areas, or ordered pairs of them.
    pub values: u64,
    /// Pearson's r of the raw numbers; `None` where they, or the true ones, are all equal.
    pub pearson_raw: Option<f64>,
    /// Pearson's r of the harmonized numbers; `None` likewise.
    pub pearson_harmonized: Option<f64>,
    /// Root mean squared error of the raw numbers, in persons; `None` where there are none.
    pub rmse_raw: Option<f64>,
    /// Root mean squared error of the harmonized numbers, in persons; `None` likewise.
    pub rmse_harmonized: Option<f64>,
    /// 100 (1 - harmonized / raw) of the two errors, in %; `None` where the raw one is 0.
    pub rmse_reduction_percent: Option<f64>,
}

impl Comparison {
    /// What the sums over one quantity say.
    fn new(level: &Partition, quantity: Quantity, [raw, harmonized]: [Moments; 2]) -> Self {
        let values = raw.pairs();
        let [raw, harmonized]: [Agreement; 2] = [raw.agreement(), harmonized.agreement()];
        let reduction = raw.rmse.filter(|&rmse| rmse > 0.0).zip(harmonized.rmse);
        Self {
            level: level.name().to_owned(),
            quantity,
            values,
            pearson_raw: raw.pearson,
            pearson_harmonized: harmonized.pearson,
            rmse_raw: raw.rmse,
            rmse_harmonized: harmonized.rmse,
            rmse_reduction_percent: reduction.map(|(raw, new)| 100.0 * (1.0 - new / raw)),
        }
    }

    /// A quantity of one number per area.
    fn of_areas(level: &Partition, quantity: Quantity, numbers: &[Triple]) -> Self {
        let moments = [RAW, HARMONIZED]
            .map(|k| Moments::of(numbers.iter().map(move |areas| (areas[k], areas[TRUTH])), 0));
        Self::new(level, quantity, moments)
    }
}

/// Totals of the matrices compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Persons {
    /// In the raw matrix as it is.
    pub raw: f64,
    /// In the harmonized matrix.
    pub harmonized: f64,
    /// In truth.
    pub truth: f64,
}

/// How close raw and harmonized matrix are to the truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Totals of the matrices.
    pub persons: Persons,
    /// What the raw matrix was multiplied by: the truth's total over its own.
    pub raw_scale: f64,
    /// Every quantity at every level, level by level.
    pub comparisons: Vec<Comparison>,
}

/// The levels that the codes of `units` have, coarsest first; every unit as it is where they have
/// none.
pub fn levels_of(units: &Geography) -> Vec<Level> {
    let has = |level: &Level| {
        let digits = level.digits().expect("a level read off the code");
        let by_code = |g: &Geoid| g.is_numeric() && g.as_str().len() >= digits;
        units.column(&level.to_string()).is_some() || units.geoids().iter().all(by_code)
    };
    let levels: Vec<Level> = Level::PREFIXES.into_iter().filter(has).collect();
    if levels.is_empty() { vec![Level::Geoid] } else { levels }
}

/// Compares both matrices with the truth, at every level of `levels`.
///
/// The result has the same bits for any number of threads. Beside the matrices, memory is needed
/// for some numbers per area and thread.
///
/// # Errors
/// If the units have no such level, or nobody is in the raw matrix or the truth.
///
/// # Panics
/// If the matrices and the units differ in number.
pub fn validate(
    raw: &dyn FlowRows,
    harmonized: &dyn FlowRows,
    truth: &dyn FlowRows,
    units: &Geography,
    levels: &[Level],
) -> Result<Validation> {
    let matrices = [raw, harmonized, truth];
    for matrix in matrices {
        assert_eq!(matrix.units(), units.len(), "units of a matrix");
    }
    let totals: Triple = matrices.map(areas::total);
    for (k, name) in [(RAW, "raw matrix"), (TRUTH, "truth")] {
        if totals[k] == 0.0 {
            let problem = format!("{name}: expected persons to compare, found none");
            return Err(Error::request(problem));
        }
    }
    let raw_scale = totals[TRUTH] / totals[RAW];
    let mut comparisons = Vec::new();
    for level in levels {
        let level = Partition::new(units, level)?;
        let areas = Areas::sum(matrices, raw_scale, &level);
        let sums = |a: &[Triple], b: &[Triple]| -> Vec<Triple> {
            a.iter().zip(b).map(|(a, b)| areas::add(*a, *b)).collect()
        };
        let before = sums(&areas.movers_out, &areas.stayers);
        let now = sums(&areas.movers_in, &areas.stayers);
        comparisons.extend([
            Comparison::of_areas(&level, Quantity::PopulationBefore, &before),
            Comparison::of_areas(&level, Quantity::PopulationNow, &now),
            Comparison::new(&level, Quantity::Flows, areas.flows),
            Comparison::of_areas(&level, Quantity::MoversOut, &areas.movers_out),
            Comparison::of_areas(&level, Quantity::MoversIn, &areas.movers_in),
            Comparison::of_areas(&level, Quantity::Stayers, &areas.stayers),
        ]);
    }
    let [raw, harmonized, truth] = totals;
    Ok(Validation { persons: Persons { raw, harmonized, truth }, raw_scale, comparisons })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::FlowMatrix;

    fn units(codes: &[&str]) -> Geography {
        Geography::new(codes.iter().map(|&code| Geoid::new(code)).collect()).unwrap()
    }

    #[test]
    fn every_quantity_by_hand() {
        // Two areas of a state: raw is doubled and has them the wrong way round.
        let raw = FlowMatrix::from_triplets(2, &[(0, 0, 4.0), (1, 1, 2.0), (0, 1, 1.0_f32)]);
        let truth = FlowMatrix::from_triplets(2, &[(0, 0, 4.0), (1, 1, 8.0), (1, 0, 2.0)]);
        let harmonized = FlowMatrix::from_triplets(2, &[(0, 0, 5.0), (1, 1, 7.0), (1, 0, 2.0)]);
        let units = units(&["01001", "01003"]);
        let levels = [Level::State, Level::County];
        let found = validate(&raw, &harmonized, &truth, &units, &levels).unwrap();
        assert_eq!(found.persons, Persons { raw: 7.0, harmonized: 14.0, truth: 14.0 });
        assert_eq!(found.raw_scale, 2.0);
        assert_eq!(found.comparisons.len(), 12);
        let (state, county) = found.comparisons.split_at(6);
        // A single state: nothing to correlate, no pairs, and no movers.
        for comparison in state {
            assert_eq!((comparison.level.as_str(), comparison.pearson_raw), ("state", None));
            let expected = if comparison.quantity == Quantity::Flows { None } else { Some(0.0) };
            assert_eq!((comparison.rmse_raw, comparison.rmse_harmonized), (expected, expected));
            assert_eq!(comparison.rmse_reduction_percent, None);
        }
        let root = |squares: f64| (squares / 2.0).sqrt();
        for (comparison, (quantity, raw, harmonized, r)) in county.iter().zip([
            // raw 10 and 4, harmonized 5 and 9; true 4 and 10
            (Quantity::PopulationBefore, root(72.0), root(2.0), Some(1.0)),
            // raw 8 and 6, harmonized 7 and 7, which are equal; true 6 and 8
            (Quantity::PopulationNow, root(8.0), root(2.0), None),
            // from the first to the second 2, 0; true 0; back 0, 2; true 2
            (Quantity::Flows, root(8.0), 0.0, Some(1.0)),
            (Quantity::MoversOut, root(8.0), 0.0, Some(1.0)),
            (Quantity::MoversIn, root(8.0), 0.0, Some(1.0)),
            // raw 8 and 4, harmonized 5 and 7; true 4 and 8
            (Quantity::Stayers, root(32.0), root(2.0), Some(1.0)),
        ]) {
            assert_eq!((comparison.quantity, comparison.values), (quantity, 2));
            let errors = (comparison.rmse_raw, comparison.rmse_harmonized);
            assert_eq!(errors, (Some(raw), Some(harmonized)), "{quantity}");
            let reduction = comparison.rmse_reduction_percent.unwrap();
            assert!((reduction - 100.0 * (1.0 - harmonized / raw)).abs() < 1e-12, "{quantity}");
            let rounded = |r: f64| (r * 1e12).round() / 1e12;
            assert_eq!(comparison.pearson_raw.map(rounded), Some(-1.0), "{quantity}");
            assert_eq!(comparison.pearson_harmonized.map(rounded), r, "{quantity}");
        }
    }

    #[test]
    fn nobody_cannot_be_compared() {
        let some = FlowMatrix::from_triplets(2, &[(0, 0, 4.0)]);
        let none = FlowMatrix::<f64>::from_triplets(2, &[]);
        let units = units(&["1", "2"]);
        let problem = |raw: &FlowMatrix<f64>, truth: &FlowMatrix<f64>| {
            validate(raw, &some, truth, &units, &[Level::Geoid]).unwrap_err().to_string()
        };
        assert_eq!(problem(&none, &some), "raw matrix: expected persons to compare, found none");
        assert_eq!(problem(&some, &none), "truth: expected persons to compare, found none");
        validate(&some, &none, &some, &units, &[Level::Geoid]).unwrap();
    }

    #[test]
    fn levels_of_codes() {
        let found = |codes: &[&str]| levels_of(&units(codes));
        assert_eq!(found(&["010010201001", "010010201002"]), Level::PREFIXES);
        assert_eq!(found(&["01001", "010010201002"]), Level::PREFIXES[..2]);
        assert_eq!(found(&["ES", "FR"]), [Level::Geoid]);
        let texts = vec!["a".to_owned(), "b".to_owned()];
        let named = units(&["ES", "FR"]).with_column("county", texts);
        assert_eq!(levels_of(&named), [Level::County]);
    }
}
