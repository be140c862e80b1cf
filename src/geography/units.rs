//! The units table: which area each index stands for.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::path::Path;
use std::{io, iter};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Geoid, Level};
use crate::table::Table;
use crate::texts::Texts;
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
    /// Units by the hashes of their codes, which are kept once only.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    columns: Vec<(String, Texts)>,
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

    /// The units a matrix names, for one that comes without a units table: in the order of the
    /// numbers if all codes are plain numbers, else of the text. An error is what was expected and
    /// found, a code that lost its leading zero (by the rule of [`Self::read`], for codes of 5
    /// digits and more).
    pub fn from_codes(codes: BTreeSet<String>) -> std::result::Result<Self, String> {
        let mut codes: Vec<String> = codes.into_iter().collect();
        let is_plain =
            |c: &String| c == "0" || Geoid::new(c.as_str()).is_numeric() && !c.starts_with('0');
        if codes.iter().all(is_plain) {
            codes.sort_by_key(String::len); // stable: the text order of equally long numbers is right
        }
        let geoids: Vec<Geoid> = codes.into_iter().map(Geoid::new).collect();
        if let Some((_, problem)) = lost_zero(&geoids) {
            return Err(problem);
        }
        Self::build(geoids, Vec::new()).map_err(|(_, problem)| problem)
    }

    /// Whether the units are named by their index only.
    pub fn is_numbered(&self) -> bool {
        self.geoids.iter().enumerate().all(|(i, geoid)| geoid.as_str() == i.to_string())
    }

    /// Reads a units table (CSV or Parquet): a column `geoid`, and any others as named levels.
    ///
    /// County, tract or block-group codes of which some are a digit short are refused: that is how
    /// a lost leading zero shows.
    pub fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path)?;
        let geoids: Vec<Geoid> = table.codes("geoid")?.iter().map(Geoid::new).collect();
        if let Some((row, problem)) = lost_zero(&geoids) {
            return Err(table.error(row, "geoid", problem));
        }
        if geoids.is_empty() {
            return Err(Error::data(path, "", "expected at least one unit, found none"));
        }
        let units = Self::build(geoids, Vec::new());
        let units = units.map_err(|(row, problem)| table.error(row, "geoid", problem))?;
        let columns = table.into_texts().filter(|column| column.0 != "geoid").collect();
        Ok(Self { columns, ..units })
    }

    fn build(
        geoids: Vec<Geoid>,
        columns: Vec<(String, Texts)>,
    ) -> std::result::Result<Self, (usize, String)> {
        assert!(u32::try_from(geoids.len()).is_ok(), "{} units exceed 2^32", geoids.len());
        let hasher = DefaultHashBuilder::default();
        let hash = |geoid: &Geoid| hasher.hash_one(geoid.as_str());
        let mut index = HashTable::with_capacity(geoids.len());
        for (row, geoid) in geoids.iter().enumerate() {
            if geoid.as_str().is_empty() {
                return Err((row, "expected a code, found an empty cell".into()));
            }
            let is_same = |&unit: &u32| geoids[unit as usize] == *geoid;
            if let Some(first) = index.find(hash(geoid), is_same) {
                return Err((
                    row,
                    format!(
                        "expected each code once, found `{geoid}` again, which is unit {first} (from 0)"
                    ),
                ));
            }
            index.insert_unique(hash(geoid), row as u32, |&unit| hash(&geoids[unit as usize]));
        }
        Ok(Self { geoids, index, hasher, columns })
    }

    /// The same units with another column, one text per unit; a column of that name is replaced.
    ///
    /// # Panics
    /// If there are not as many texts as units.
    #[must_use]
    pub fn with_column(mut self, name: &str, texts: impl IntoIterator<Item: AsRef<str>>) -> Self {
        let texts: Texts = texts.into_iter().collect();
        assert_eq!(texts.len(), self.len(), "texts of the column {name}, and units");
        self.columns.retain(|(known, _)| known != name);
        self.columns.push((name.to_owned(), texts));
        self
    }

    /// Writes the table: geoid and the columns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_csv(&self, file: impl io::Write) -> io::Result<()> {
        let mut out = csv::Writer::from_writer(file);
        let names = self.columns.iter().map(|(name, _)| name.as_str());
        out.write_record(iter::once("geoid").chain(names))?;
        for (row, geoid) in self.geoids.iter().enumerate() {
            let texts = self.columns.iter().map(|(_, texts)| &texts[row]);
            out.write_record(iter::once(geoid.as_str()).chain(texts))?;
        }
        out.flush()
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
        let is_same = |&unit: &u32| self.geoids[unit as usize].as_str() == code;
        self.index.find(self.hasher.hash_one(code), is_same).copied()
    }

    /// The unit with this code; an error is what was expected and found.
    pub fn require(&self, code: &str) -> std::result::Result<u32, String> {
        self.index_of(code).ok_or_else(|| {
            let whole = format!("0{code}");
            if self.index_of(&whole).is_some() {
                format!("unknown unit `{code}`; did it lose its leading zero? expected `{whole}`")
            } else {
                format!("expected a unit of the units table, found `{code}`")
            }
        })
    }

    /// A named column of the units table, one text per unit.
    pub fn column(&self, name: &str) -> Option<&Texts> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, texts)| texts)
    }

    /// Names of the columns beside `geoid`.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }
}

/// The first code that seems to have lost its leading zero: all codes are GEOIDs of one level, but
/// some are a digit short.
///
/// State codes are not judged: `1` to `12` may as well be numbers, as may codes of many lengths.
fn lost_zero(geoids: &[Geoid]) -> Option<(usize, String)> {
    let lengths: BTreeSet<usize> = geoids.iter().map(|g| g.as_str().len()).collect();
    let (&shortest, &longest) = (lengths.first()?, lengths.last()?);
    let level = Level::with_digits(longest).filter(|level| *level != Level::State)?;
    if lengths.len() != 2 || shortest + 1 != longest || !geoids.iter().all(Geoid::is_numeric) {
        return None;
    }
    let row = geoids.iter().position(|g| g.as_str().len() == shortest)?;
    let geoid = &geoids[row];
    Some((
        row,
        format!(
            "expected codes of {longest} digits (level {level}), found `{geoid}` with {shortest}: \
             it lost its leading zero, write `0{geoid}`"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_codes(codes: &[&str]) -> std::result::Result<Vec<String>, String> {
        let units = Geography::from_codes(codes.iter().map(|&c| c.to_owned()).collect())?;
        Ok(units.geoids().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn units_of_a_matrix_are_sorted() {
        assert_eq!(from_codes(&["10", "9", "100", "0"]).unwrap(), ["0", "9", "10", "100"]);
        assert_eq!(from_codes(&["10", "9", "0a"]).unwrap(), ["0a", "10", "9"]);
        assert_eq!(from_codes(&["02", "10", "01"]).unwrap(), ["01", "02", "10"]);
        let problem = from_codes(&["1001", "13121"]).unwrap_err();
        assert!(problem.ends_with("write `01001`"), "{problem}");
    }

    #[test]
    fn numbers_and_foreign_codes_have_lost_no_zero() {
        for codes in [
            vec!["1", "2", "10", "12"],
            vec!["01", "02", "2A", "2B", "971", "972"],
            vec!["9999", "10000", "1", "22", "333"],
            vec!["1234", "12345", "X"],
        ] {
            let codes: Vec<Geoid> = codes.into_iter().map(Geoid::new).collect();
            assert_eq!(lost_zero(&codes), None);
        }
        let counties = ["13121", "1001"].map(Geoid::new);
        assert_eq!(lost_zero(&counties).unwrap().0, 1);
    }

    #[test]
    fn a_lost_zero_is_noticed() {
        let units = Geography::new(vec![Geoid::new("01001"), Geoid::new("13121")]).unwrap();
        assert_eq!(units.require("13121"), Ok(1));
        assert_eq!(
            units.require("1001").unwrap_err(),
            "unknown unit `1001`; did it lose its leading zero? expected `01001`"
        );
        assert_eq!(
            units.require("2").unwrap_err(),
            "expected a unit of the units table, found `2`"
        );
        assert!(!units.is_numbered() && Geography::numbered(12).is_numbered());
    }
}
