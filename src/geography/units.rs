//! The units table: which area each index stands for.

use std::collections::HashMap;
use std::path::Path;

use super::{Geoid, Level};
use crate::table::Table;
use crate::{Error, Result};

/// The units of a matrix, in index order, with the text columns of their table.
///
/// Invariants:
/// - unit codes are unique and not empty;
/// - every column has one text per unit;
/// - there are fewer than 2^32 units.
///
/// The order is the table's own, since stored matrices refer to units by row number; nothing may
/// assume that the units of one county are neighbors.
#[derive(Clone, Debug)]
pub struct Geography {
    geoids: Vec<Geoid>,
    index: HashMap<Geoid, u32>,
    columns: Vec<(String, Vec<String>)>,
}

impl Geography {
    /// Units in the order given. Fails on a code that is empty or given twice.
    pub fn new(geoids: Vec<Geoid>) -> Result<Self> {
        Self::build(geoids, Vec::new()).map_err(|(row, problem)| {
            Error::request(format!("unit {row} of the units table: {problem}"))
        })
    }

    /// Units named by their index, `0` to `n - 1`, for matrices that come without names.
    pub fn numbered(n: usize) -> Self {
        Self::new((0..n).map(|i| Geoid::new(i.to_string())).collect())
            .expect("numbers differ from each other")
    }

    /// Reads a units table (CSV or Parquet): a column `geoid`, and any others as named levels.
    ///
    /// Codes made of digits must not differ by one in length (11 and 12, say): that is how a lost
    /// leading zero shows.
    pub fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path)?;
        let geoids: Vec<Geoid> = table.codes("geoid")?.into_iter().map(Geoid::new).collect();
        let longest = geoids.iter().filter(|g| g.is_numeric()).map(|g| g.as_str().len()).max();
        for (row, geoid) in geoids.iter().enumerate() {
            if geoid.is_numeric() && Some(geoid.as_str().len() + 1) == longest {
                return Err(table.error(
                    row,
                    "geoid",
                    format!(
                        "expected codes of one length, found `{geoid}` beside codes of {} digits; \
                         if its leading zero was lost, write `0{geoid}`",
                        geoid.as_str().len() + 1
                    ),
                ));
            }
        }
        let mut columns = Vec::new();
        for name in table.names() {
            if name != "geoid" {
                columns.push((name.to_owned(), table.texts(name)?));
            }
        }
        if geoids.is_empty() {
            return Err(Error::data(path, "", "expected at least one unit, found none"));
        }
        Self::build(geoids, columns).map_err(|(row, problem)| table.error(row, "geoid", problem))
    }

    fn build(
        geoids: Vec<Geoid>,
        columns: Vec<(String, Vec<String>)>,
    ) -> std::result::Result<Self, (usize, String)> {
        assert!(u32::try_from(geoids.len()).is_ok(), "{} units exceed 2^32", geoids.len());
        let mut index = HashMap::with_capacity(geoids.len());
        for (row, geoid) in geoids.iter().enumerate() {
            if geoid.as_str().is_empty() {
                return Err((row, "expected a code, found an empty cell".into()));
            }
            if let Some(first) = index.insert(geoid.clone(), row as u32) {
                return Err((row, format!("code `{geoid}` is also unit {first}")));
            }
        }
        Ok(Self { geoids, index, columns })
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        self.geoids.len()
    }

    /// Whether there are no units.
    pub fn is_empty(&self) -> bool {
        self.geoids.is_empty()
    }

    /// The codes in index order.
    pub fn geoids(&self) -> &[Geoid] {
        &self.geoids
    }

    /// The level whose codes the units have, if all are numeric and of its length.
    pub fn level(&self) -> Option<Level> {
        let digits = self.geoids.first()?.as_str().len();
        let level = Level::with_digits(digits)?;
        let alike = |g: &Geoid| g.is_numeric() && g.as_str().len() == digits;
        self.geoids.iter().all(alike).then_some(level)
    }

    /// The unit with this code.
    pub fn index_of(&self, code: &str) -> Option<u32> {
        self.index.get(code).copied()
    }

    /// A named column of the units table, one text per unit.
    pub fn column(&self, name: &str) -> Option<&[String]> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, texts)| texts.as_slice())
    }

    /// Names of the columns beside `geoid`.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }
}
