//! One code for every place, whichever vintage of the geography named it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::table::Table;
use crate::{Error, Result};

/// Codes that were renamed or merged, and what they are called here.
///
/// A rule is about every code that begins with its digits: `02270` renames the county and all of its
/// tracts and block groups. Places that were split are called by the code of the whole, and places
/// that were merged by that of the result, so that both vintages have it. The longest rule counts.
///
/// Connecticut's planning regions, which replaced its counties in 2022, cut through them: neither
/// can be told from the other, and a join of the two finds codes that do not match.
#[derive(Clone, Debug)]
pub struct Crosswalk {
    rules: HashMap<String, String>,
    /// Lengths of the rules' codes, longest first.
    lengths: Vec<usize>,
}

impl Crosswalk {
    /// The changes of the 2010s between block groups, tracts and counties of the 2010 Census and
    /// those of later tables, each with its source in `src/geography/crosswalk.csv`.
    ///
    /// # Panics
    /// Never: the table is part of the program.
    pub fn of_the_2010s() -> Self {
        let mut reader = csv::Reader::from_reader(&include_bytes!("crosswalk.csv")[..]);
        let rules = reader.records().map(|record| {
            let record = record.expect("the table is well-formed");
            (record[0].to_owned(), record[1].to_owned())
        });
        Self::new(rules).expect("the table has no contradictions")
    }

    /// A table with the columns `from` and `to`.
    ///
    /// # Errors
    /// If the file cannot be read, or its rules contradict each other.
    pub fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path)?;
        let (from, to) = (table.codes("from")?, table.codes("to")?);
        let rules = from.iter().map(str::to_owned).zip(to.iter().map(str::to_owned));
        Self::new(rules).map_err(|problem| Error::data(path, "", problem))
    }

    fn new(rules: impl Iterator<Item = (String, String)>) -> std::result::Result<Self, String> {
        let mut known = HashMap::new();
        for (from, to) in rules {
            if from.len() != to.len() || from.is_empty() {
                return Err(format!("expected codes of one length, found `{from}` and `{to}`"));
            }
            match known.insert(from.clone(), to.clone()) {
                Some(other) if other != to => {
                    return Err(format!("`{from}` becomes both `{other}` and `{to}`"));
                }
                _ => {}
            }
        }
        let lengths: BTreeSet<usize> = known.keys().map(String::len).collect();
        let walk = Self { rules: known, lengths: lengths.into_iter().rev().collect() };
        for (from, to) in &walk.rules {
            if walk.canonical(to) != to.as_str() {
                return Err(format!("`{from}` becomes `{to}`, which another rule renames"));
            }
        }
        Ok(walk)
    }

    /// What a place is called here.
    pub fn canonical<'c>(&self, code: &'c str) -> Cow<'c, str> {
        let rule = self.lengths.iter().find_map(|&length| {
            let (prefix, rest) = code.split_at_checked(length)?;
            self.rules.get(prefix).map(|to| (to, rest))
        });
        rule.map_or(Cow::Borrowed(code), |(to, rest)| Cow::Owned(format!("{to}{rest}")))
    }

    /// Sums a table by the codes used here.
    pub fn sum<'c>(&self, rows: impl IntoIterator<Item = (&'c str, f64)>) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (code, number) in rows {
            *sums.entry(self.canonical(code).into_owned()).or_insert(0.0) += number;
        }
        sums
    }
}

/// Refuses tables of different vintages: names the codes that only one of them has.
///
/// # Errors
/// If the two sets of codes differ.
pub fn same_codes<'c>(
    what: &str,
    found: impl IntoIterator<Item = &'c str>,
    expected: impl IntoIterator<Item = &'c str>,
) -> Result<()> {
    let [found, expected]: [BTreeSet<&str>; 2] =
        [found.into_iter().collect(), expected.into_iter().collect()];
    let list = |codes: Vec<&&str>| {
        let listed = codes.iter().take(10).map(|code| **code).collect::<Vec<_>>().join(", ");
        let more = codes.len().saturating_sub(10);
        if more > 0 { format!("{listed} and {more} more") } else { listed }
    };
    let unknown: Vec<_> = found.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let problem = match (unknown.is_empty(), missing.is_empty()) {
        (true, true) => return Ok(()),
        (false, true) => format!("has {} that the units have not", list(unknown)),
        (true, false) => format!("lacks {}", list(missing)),
        (false, false) => {
            format!("has {} that the units have not, and lacks {}", list(unknown), list(missing))
        }
    };
    Err(Error::request(format!(
        "{what}: {problem}; the tables are of different vintages, or one is incomplete"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_merged_and_split_places() {
        let walk = Crosswalk::of_the_2010s();
        for (from, to) in [
            ("02270", "02158"),
            ("022700001004", "021580001004"),
            ("515150501001", "510190501001"),
            ("02063", "02261"),
            ("36053940102", "36053030102"),
            ("060378002043", "060371370002"),
            ("06037", "06037"),
            ("060378002041", "060378002041"),
            ("36", "36"),
            ("", ""),
        ] {
            assert_eq!(walk.canonical(from), to);
        }
        let sums = walk.sum([("51019", 3.0), ("51515", 4.0), ("51001", 5.0)]);
        let expected = [("51001".to_owned(), 5.0), ("51019".to_owned(), 7.0)];
        assert_eq!(sums, BTreeMap::from(expected));
    }

    #[test]
    fn contradictions_are_refused() {
        let walk = |rules: &[(&str, &str)]| {
            let rules = rules.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            Crosswalk::new(rules).map(drop)
        };
        walk(&[("01", "02"), ("03", "02")]).unwrap();
        assert_eq!(
            walk(&[("01", "02"), ("01", "03")]).unwrap_err(),
            "`01` becomes both `02` and `03`"
        );
        assert_eq!(
            walk(&[("01", "02"), ("02", "03")]).unwrap_err(),
            "`01` becomes `02`, which another rule renames"
        );
        assert_eq!(
            walk(&[("01", "2")]).unwrap_err(),
            "expected codes of one length, found `01` and `2`"
        );
    }

    #[test]
    fn tables_of_different_vintages_are_refused() {
        same_codes("a.csv", ["1", "2"], ["2", "1"]).unwrap();
        let problem = same_codes("a.csv", ["1", "09110"], ["1", "09001"]).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "a.csv: has 09110 that the units have not, and lacks 09001; the tables are of \
             different vintages, or one is incomplete"
        );
    }
}
