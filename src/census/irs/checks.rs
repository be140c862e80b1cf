//! What the total rows of a file say about its other rows, and the files of a year about each
//! other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Count, Direction, MigrationFile, Totals};
use crate::geography::Geoid;

/// Sums of rows held against the rows that should be their totals, in persons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is compared: found = expected.
    pub name: &'static str,
    /// Counties or states compared.
    pub compared: usize,
    /// Of these, equal ones.
    pub equal: usize,
    /// Counties or states where a row is suppressed or absent.
    pub unknown: usize,
    /// Found less expected, summed over those compared, persons.
    pub difference: i64,
    /// The largest difference: code, found, expected.
    pub worst: Option<(String, u64, u64)>,
}

impl Check {
    fn new<'a>(
        name: &'static str,
        rows: impl Iterator<Item = (&'a str, Option<u64>, Option<u64>)>,
    ) -> Self {
        let mut check =
            Self { name, compared: 0, equal: 0, unknown: 0, difference: 0, worst: None };
        let mut largest = 0;
        for (code, found, expected) in rows {
            let (Some(found), Some(expected)) = (found, expected) else {
                check.unknown += 1;
                continue;
            };
            check.compared += 1;
            check.equal += usize::from(found == expected);
            check.difference += found.cast_signed() - expected.cast_signed();
            if found.abs_diff(expected) > largest {
                largest = found.abs_diff(expected);
                check.worst = Some((code.to_owned(), found, expected));
            }
        }
        check
    }
}

fn persons(count: Option<Count>) -> Option<u64> {
    count.map(|c| c.persons)
}

fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a? + b?)
}

impl MigrationFile {
    /// Holds sums of rows against total rows.
    ///
    /// A total that should include a suppressed row counts as unknown, but for the foreign total:
    /// where that is suppressed, the total of all migration leaves it out.
    pub fn checks(&self) -> Vec<Check> {
        let mut within = BTreeMap::new();
        let mut across = BTreeMap::new();
        for ((origin, destination), count) in &self.pairs {
            let own = if self.direction == Direction::Inflow { destination } else { origin };
            let same = origin.as_str()[..2] == destination.as_str()[..2];
            let sums = if same { &mut within } else { &mut across };
            *sums.entry(own).or_insert(0) += count.persons;
        }
        let sum =
            |sums: &BTreeMap<&Geoid, u64>, county| Some(sums.get(county).copied().unwrap_or(0));
        let counties =
            || self.totals.iter().map(|(county, totals)| (county, county.as_str(), totals));
        let mut by_state: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, code, totals) in counties() {
            *by_state.entry(&code[..2]).or_default() += totals.us.unwrap_or_default().persons;
        }
        vec![
            Check::new(
                "pairs within the state + 58/000 = 97/001",
                counties().map(|(county, code, t)| {
                    let found = plus(sum(&within, county), persons(t.other_same_state));
                    (code, found, persons(t.same_state))
                }),
            ),
            Check::new(
                "pairs with other states + 59/000 = 97/003",
                counties().map(|(county, code, t)| {
                    let found = plus(sum(&across, county), persons(t.other_different_state));
                    (code, found, persons(t.different_state))
                }),
            ),
            Check::new(
                "97/001 + 97/003 = 97/000",
                counties().map(|(_, code, t)| {
                    (code, plus(persons(t.same_state), persons(t.different_state)), persons(t.us))
                }),
            ),
            Check::new(
                "97/000 + 98/000 where known = 96/000",
                counties().map(|(_, code, t)| {
                    let foreign = t.foreign.unwrap_or_default().persons;
                    (code, plus(persons(t.us), Some(foreign)), persons(t.all))
                }),
            ),
            Check::new(
                "97/000 of its counties = 97/000 of the state",
                self.state_totals.iter().map(|(code, totals)| {
                    (code.as_str(), by_state.get(code.as_str()).copied(), persons(totals.us))
                }),
            ),
        ]
    }

    /// The known values of one total row, summed over counties.
    pub fn sum_of(&self, total: impl Fn(&Totals) -> Option<Count>) -> Count {
        let mut sum = Count::default();
        for count in self.totals.values().filter_map(total) {
            sum += count;
        }
        sum
    }
}

/// Flows known on one side only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Pairs of counties.
    pub pairs: usize,
    /// Persons.
    pub persons: u64,
}

/// What inflow and outflow say about the same flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Pairs of different counties known on both sides.
    pub both: usize,
    /// Of these, with equal returns and persons.
    pub equal: usize,
    /// Inflow less outflow of the others, persons.
    pub difference: i64,
    /// The largest difference: origin, destination, inflow, outflow.
    pub worst: Option<(String, String, u64, u64)>,
    /// Known in the inflow file only.
    pub only_inflow: Side,
    /// Known in the outflow file only.
    pub only_outflow: Side,
    /// Counties with non-migrants, or suppressed ones, on both sides.
    pub non_migrants: usize,
    /// Of these, with equal returns and persons, or suppressed in both.
    pub equal_non_migrants: usize,
}

/// Compares the two files of a year.
///
/// # Panics
/// If they are not an inflow and an outflow file.
pub fn compare(inflow: &MigrationFile, outflow: &MigrationFile) -> Agreement {
    assert_eq!((inflow.direction, outflow.direction), (Direction::Inflow, Direction::Outflow));
    let mut found = Agreement::default();
    let mut largest = 0;
    for (pair, count) in &inflow.pairs {
        let Some(other) = outflow.pairs.get(pair) else {
            found.only_inflow.pairs += 1;
            found.only_inflow.persons += count.persons;
            continue;
        };
        found.both += 1;
        found.equal += usize::from(count == other);
        found.difference += count.persons.cast_signed() - other.persons.cast_signed();
        if count.persons.abs_diff(other.persons) > largest {
            largest = count.persons.abs_diff(other.persons);
            let (i, j) = (pair.0.to_string(), pair.1.to_string());
            found.worst = Some((i, j, count.persons, other.persons));
        }
    }
    for (_, count) in outflow.pairs.iter().filter(|(pair, _)| !inflow.pairs.contains_key(pair)) {
        found.only_outflow.pairs += 1;
        found.only_outflow.persons += count.persons;
    }
    for (county, count) in &inflow.non_migrants {
        if let Some(other) = outflow.non_migrants.get(county) {
            found.non_migrants += 1;
            found.equal_non_migrants += usize::from(count == other);
        }
    }
    found
}
