//! One matrix from the two files of a year.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Agreement, Check, Count, Direction, MigrationFile, compare};
use crate::geography::{Crosswalk, Geography, Geoid};
use crate::matrix::FlowMatrix;
use crate::{Error, Result};

/// The flows of a year between counties.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// Movers: (origin, destination).
    pub pairs: BTreeMap<(Geoid, Geoid), Count>,
    /// Non-migrants of every county, `None` where suppressed.
    pub stayers: BTreeMap<Geoid, Option<Count>>,
    /// What the files do not say, or not alike.
    pub missing: Missing,
}

/// What the flows of a year leave out, in persons unless said otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Missing {
    /// The two files compared, where both are given.
    pub agreement: Option<Agreement>,
    /// Total rows of the inflow file checked.
    pub inflow_checks: Vec<Check>,
    /// Total rows of the outflow file checked.
    pub outflow_checks: Vec<Check>,
    /// Pairs that have a row with -1, and none with a number.
    pub suppressed_pairs: usize,
    /// Counties whose non-migrants are suppressed.
    pub suppressed_stayers: Vec<String>,
    /// Arrivals from US counties in the inflow totals that no pair has.
    pub suppressed_arrivals: u64,
    /// Departures to US counties in the outflow totals that no pair has.
    pub suppressed_departures: u64,
    /// Counties without a total to take these from, in either file.
    pub unknown_totals: usize,
    /// Arrivals from foreign places, left out.
    pub foreign_arrivals: u64,
    /// Departures to foreign places, left out.
    pub foreign_departures: u64,
    /// Counties whose foreign flow is suppressed, in either file.
    pub suppressed_foreign: usize,
    /// What pairs leave of each county's totals: arrivals and departures, persons; `None` without
    /// a total.
    #[serde(skip)]
    pub by_county: BTreeMap<Geoid, [Option<i64>; 2]>,
}

/// Joins the inflow and the outflow file of a year, or takes one alone.
///
/// Both files count the same returns, so a pair in both is expected to be equal: the inflow file
/// counts where they are not, since it is the destination that the second return was filed from.
/// A pair with a number in one file only has that number. The same goes for non-migrants.
///
/// # Errors
/// If both files are of one direction or of different years, or none is given.
pub fn reconcile(
    inflow: Option<&MigrationFile>,
    outflow: Option<&MigrationFile>,
) -> Result<Reconciled> {
    for (file, direction) in [(inflow, Direction::Inflow), (outflow, Direction::Outflow)] {
        if let Some(file) = file.filter(|file| file.direction != direction) {
            let problem = format!(
                "expected the columns of an {} file, found those of an {} file",
                direction.name(),
                file.direction.name()
            );
            return Err(Error::data(&file.path, ":1", problem));
        }
    }
    let files: Vec<&MigrationFile> = [outflow, inflow].into_iter().flatten().collect();
    if files.is_empty() {
        return Err(Error::request("expected an inflow or an outflow file, found neither"));
    }
    let agreement = inflow.zip(outflow).map(|(inflow, outflow)| compare(inflow, outflow));
    if let (Some(found), Some(inflow)) = (&agreement, inflow)
        && found.equal < found.both / 2
    {
        let problem = format!(
            "expected the pairs of the outflow file, found {} of {} with the same numbers: the \
             files are of different years",
            found.equal, found.both
        );
        return Err(Error::data(&inflow.path, "", problem));
    }
    let (mut pairs, mut stayers) = (BTreeMap::new(), BTreeMap::new());
    for file in &files {
        pairs.extend(file.pairs.iter().map(|(pair, &count)| (pair.clone(), count)));
        for (county, count) in &file.non_migrants {
            let known = stayers.entry(county.clone()).or_insert(None);
            *known = count.or(*known);
        }
    }
    let mut missing = Missing {
        agreement,
        inflow_checks: inflow.map(MigrationFile::checks).unwrap_or_default(),
        outflow_checks: outflow.map(MigrationFile::checks).unwrap_or_default(),
        ..Missing::default()
    };
    let mut suppressed: Vec<_> = files.iter().flat_map(|file| &file.suppressed).collect();
    suppressed.sort_unstable();
    suppressed.dedup();
    missing.suppressed_pairs = suppressed.iter().filter(|pair| !pairs.contains_key(pair)).count();
    let unknown = stayers.iter().filter(|(_, count)| count.is_none());
    missing.suppressed_stayers = unknown.map(|(county, _)| county.to_string()).collect();
    for file in files {
        missing.add_totals(file, &pairs);
    }
    Ok(Reconciled { pairs, stayers, missing })
}

impl Missing {
    fn add_totals(&mut self, file: &MigrationFile, pairs: &BTreeMap<(Geoid, Geoid), Count>) {
        let inflow = file.direction == Direction::Inflow;
        let mut sums: BTreeMap<&Geoid, i64> = BTreeMap::new();
        for ((origin, destination), count) in pairs {
            let own = if inflow { destination } else { origin };
            *sums.entry(own).or_default() += count.persons.cast_signed();
        }
        let mut suppressed = 0;
        for (county, totals) in &file.totals {
            let pairs = sums.get(county).copied().unwrap_or(0);
            let rest = totals.us.map(|us| us.persons.cast_signed() - pairs);
            self.by_county.entry(county.clone()).or_default()[usize::from(!inflow)] = rest;
            suppressed += rest.unwrap_or(0);
            self.unknown_totals += usize::from(rest.is_none());
            self.suppressed_foreign += usize::from(totals.foreign.is_none());
        }
        // Below 0 only where the totals contradict the pairs, which the checks tell.
        let suppressed = u64::try_from(suppressed).unwrap_or(0);
        let foreign = file.sum_of(|totals| totals.foreign).persons;
        if inflow {
            (self.suppressed_arrivals, self.foreign_arrivals) = (suppressed, foreign);
        } else {
            (self.suppressed_departures, self.foreign_departures) = (suppressed, foreign);
        }
    }
}

/// Finds counties among the units, by their own code or else by the canonical one.
pub(super) struct Units<'a> {
    units: &'a Geography,
    crosswalk: Crosswalk,
}

impl<'a> Units<'a> {
    pub fn new(units: &'a Geography) -> Self {
        Self { units, crosswalk: Crosswalk::of_the_2010s() }
    }

    pub fn len(&self) -> usize {
        self.units.len()
    }

    pub fn find(&self, county: &Geoid) -> Option<u32> {
        let code = county.as_str();
        self.units.index_of(code).or_else(|| self.units.index_of(&self.crosswalk.canonical(code)))
    }
}

impl Reconciled {
    /// The units of these flows: every county with a flow or non-migrants, in order. Counties of
    /// which all is suppressed are left out.
    ///
    /// # Panics
    /// Never: county codes are unique.
    pub fn units(&self) -> Geography {
        let stayers = self.stayers.iter().filter(|(_, count)| count.is_some()).map(|(i, _)| i);
        let ends = self.pairs.keys().flat_map(|(i, j)| [i, j]);
        let codes = stayers.chain(ends).map(ToString::to_string).collect();
        Geography::from_codes(codes).expect("codes of five digits, each once")
    }

    /// Persons as a matrix over `units`: movers by pair, non-migrants as stayers.
    ///
    /// A county that is no unit is looked up by its [canonical](Crosswalk::canonical) code; flows
    /// between counties that are one unit are stayers of it.
    ///
    /// # Errors
    /// If a county with flows is not among the units; the message has the first ones and their
    /// persons.
    pub fn matrix(&self, units: &Geography) -> Result<FlowMatrix<f64>> {
        let index = Units::new(units);
        let mut unknown: BTreeMap<&Geoid, u64> = BTreeMap::new();
        let mut triplets = Vec::with_capacity(self.pairs.len() + self.stayers.len());
        let stayers = self.stayers.iter().filter_map(|(i, count)| Some(((i, i), (*count)?)));
        let movers = self.pairs.iter().map(|((i, j), count)| ((i, j), *count));
        for ((i, j), Count { persons, .. }) in movers.chain(stayers) {
            let [origin, destination] = [i, j].map(|county| index.find(county));
            if let (Some(origin), Some(destination)) = (origin, destination) {
                triplets.push((origin, destination, persons as f64));
            } else {
                let county = if origin.is_none() { i } else { j };
                *unknown.entry(county).or_default() += persons;
            }
        }
        if unknown.is_empty() {
            return Ok(FlowMatrix::from_triplets(units.len(), &triplets));
        }
        let named: Vec<String> = unknown
            .iter()
            .take(5)
            .map(|(county, persons)| format!("{county} ({persons} persons)"))
            .collect();
        let more = if unknown.len() > 5 { ", ..." } else { "" };
        Err(Error::request(format!(
            "expected every county with flows in the units table, found {} that are not: {}{more}",
            unknown.len(),
            named.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Totals;
    use super::*;

    fn count(persons: u64) -> Count {
        Count { returns: persons / 2, persons }
    }

    /// Pairs with numbers, the US total of counties.
    fn file(
        direction: Direction,
        pairs: &[(&str, &str, u64)],
        totals: &[(&str, Option<u64>)],
    ) -> MigrationFile {
        let pair = |&(i, j, n): &(&str, &str, u64)| ((Geoid::new(i), Geoid::new(j)), count(n));
        let total = |&(i, us): &(&str, Option<u64>)| {
            let foreign = Some(count(4));
            (Geoid::new(i), Totals { us: us.map(count), foreign, ..Totals::default() })
        };
        MigrationFile {
            path: "irs.csv".into(),
            direction,
            pairs: pairs.iter().map(pair).collect(),
            suppressed: BTreeSet::from([(Geoid::new("01001"), Geoid::new("01005"))]),
            non_migrants: totals
                .iter()
                .map(|(i, us)| (Geoid::new(*i), us.map(|_| count(100))))
                .collect(),
            totals: totals.iter().map(total).collect(),
            state_totals: BTreeMap::new(),
            suppressed_rows: 0,
        }
    }

    #[test]
    fn the_two_sides_fill_each_other() {
        let inflow = file(
            Direction::Inflow,
            &[("01001", "01003", 20), ("01005", "01003", 30)],
            &[("01003", Some(60)), ("01007", None)],
        );
        let outflow = file(
            Direction::Outflow,
            &[("01001", "01003", 22), ("01001", "01005", 40)],
            &[("01001", Some(70))],
        );
        let joined = reconcile(Some(&inflow), Some(&outflow)).unwrap();
        let flows: Vec<u64> = joined.pairs.values().map(|c| c.persons).collect();
        assert_eq!(flows, [20, 40, 30]);
        let missing = &joined.missing;
        let agreement = missing.agreement.as_ref().unwrap();
        assert_eq!((agreement.both, agreement.equal, agreement.difference), (1, 0, -2));
        assert_eq!(agreement.worst, Some(("01001".into(), "01003".into(), 20, 22)));
        assert_eq!(agreement.only_inflow, super::super::Side { pairs: 1, persons: 30 });
        assert_eq!(agreement.only_outflow, super::super::Side { pairs: 1, persons: 40 });
        assert_eq!((missing.suppressed_arrivals, missing.suppressed_departures), (10, 10));
        assert_eq!((missing.foreign_arrivals, missing.foreign_departures), (8, 4));
        assert_eq!((missing.suppressed_pairs, missing.unknown_totals), (0, 1));
        assert_eq!(missing.suppressed_stayers, ["01007"]);
        assert_eq!(missing.by_county[&Geoid::new("01001")], [None, Some(10)]);

        let units = joined.units();
        let codes: Vec<&str> = units.geoids().iter().map(Geoid::as_str).collect();
        assert_eq!(codes, ["01001", "01003", "01005"]);
        let matrix = joined.matrix(&units).unwrap();
        assert_eq!(matrix.stayers(), [100.0, 100.0, 0.0]);
        assert_eq!(matrix.movers().values(), [20.0, 40.0, 30.0]);
        let few = Geography::new(vec![Geoid::new("01001"), Geoid::new("01003")]).unwrap();
        assert_eq!(
            joined.matrix(&few).unwrap_err().to_string(),
            "expected every county with flows in the units table, found 1 that are not: 01005 (70 \
             persons)"
        );
    }

    #[test]
    fn one_side_alone_and_the_wrong_side() {
        let inflow = file(Direction::Inflow, &[("01001", "01003", 20)], &[("01003", Some(60))]);
        let joined = reconcile(Some(&inflow), None).unwrap();
        assert_eq!(joined.missing.suppressed_arrivals, 40);
        assert_eq!(joined.missing.suppressed_pairs, 1);
        assert!(joined.missing.agreement.is_none());
        assert_eq!(
            reconcile(None, Some(&inflow)).unwrap_err().to_string(),
            "irs.csv:1: expected the columns of an outflow file, found those of an inflow file"
        );
        assert!(reconcile(None, None).is_err());
    }
}
