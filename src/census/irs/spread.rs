//! Persons of the pairs that are not listed, placed on these pairs.
//!
//! The IRS lists a pair of counties from 10 (later 20) returns on, but says how many persons each
//! county exchanged with other counties of its state and with other states in all. What the listed
//! pairs leave of these totals, d departures and a arrivals, is spread over the pairs that are not
//! listed, for each of the two kinds as evenly as the totals allow:
//!
//! ```text
//! minimize  sum x_ij log x_ij - x_ij   over the pairs (i, j) of a kind that are not listed
//! subject to  sum_j x_ij = d_i,   sum_i x_ij = a_j
//! ```
//!
//! so that `x_ij = u_i v_j`, found by iterative proportional fitting. Departures and arrivals add up to
//! slightly different totals; both are brought to their mean, for flows within states in each state.
//!
//! **Which row of a file.** The total of the kind (97/001, 97/003) less the listed pairs of that
//! kind; where it is suppressed the row of other flows (58/000, 59/000), then the total within the
//! US less all that is known, split between kinds as in the nation.
//!
//! **Imputed.** Of counties with fewer than 10 (20) returns each way everything is suppressed. They get
//! the middle, 5 (10) returns, of as many persons as those of listed pairs have on average,
//! as departures and as arrivals, and stayers in the nation's proportion to its arrivals. They are
//! named in [`Spread`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Serialize;

use super::reconcile::Units;
use super::{Count, Direction, MigrationFile, Reconciled, Totals};
use crate::geography::{Geography, Geoid, Level, Partition};
use crate::ipf::{
    Constraint, Entries, Groups, Harmonized, Margin, Plan, Problem, Repeat, Solver, ZeroTargets,
    solve,
};
use crate::matrix::{Csr, FlowMatrix, FlowRows as _};
use crate::{Error, Result};

/// Returns taken for a county whose flows are all suppressed: half of what a listed pair has at
/// least, 10 up to the year 2013 and 20 from then on.
fn suppressed_returns(year: i32) -> f64 {
    if year < 2014 { 5.0 } else { 10.0 }
}

/// How far all arrivals may differ from all departures.
const TOTAL_RATIOS: RangeInclusive<f64> = 0.9..=1.1;

/// Iterations of a kind; far fewer are used where its totals can be met.
const MAX_ITERATIONS: u32 = 2000;

/// The kinds of flows that have totals of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WithinStates,
    BetweenStates,
}

const KINDS: [Kind; 2] = [Kind::WithinStates, Kind::BetweenStates];

impl Kind {
    fn of(origin: &str, destination: &str) -> Self {
        if origin[..2] == destination[..2] { Self::WithinStates } else { Self::BetweenStates }
    }
}

/// What was placed, in persons unless said otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Spread {
    /// Between counties of a state.
    pub within_states: Placed,
    /// Between counties of different states.
    pub between_states: Placed,
    /// Counties of which all is suppressed.
    pub imputed: Vec<String>,
    /// Stayers given to them and to others whose stayers are suppressed.
    pub imputed_stayers: f64,
}

/// The flows of a kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Placed {
    /// Pairs not listed that got persons.
    pub pairs: usize,
    /// Placed on them.
    pub persons: f64,
    /// Arrivals over departures, both as published and imputed.
    pub total_ratio: f64,
    /// Departures that found no place.
    pub unplaced: f64,
    /// Sum over counties of what arrivals are off.
    pub arrivals_off: f64,
}

/// Departures (0) and arrivals (1) of a kind by unit; `None` where all is suppressed.
type Rests = [Vec<Option<f64>>; 2];

impl Reconciled {
    /// The matrix of [`Self::matrix`] with the persons of pairs that are not listed. `year` is that of
    /// the second return.
    ///
    /// # Errors
    /// As [`Self::matrix`]; and if a unit is no county or in neither file, if the files have totals of
    /// different counties, or far more arrivals than departures.
    pub fn spread(
        &self,
        inflow: &MigrationFile,
        outflow: &MigrationFile,
        units: &Geography,
        year: i32,
    ) -> Result<(FlowMatrix<f64>, Spread)> {
        if units.level() != Some(Level::County) {
            return Err(Error::request("expected units that are counties, by their five digits"));
        }
        let own = |file: &MigrationFile| file.totals.keys().cloned().collect::<BTreeSet<Geoid>>();
        let (arriving, departing) = (own(inflow), own(outflow));
        if let Some(county) = arriving.symmetric_difference(&departing).next() {
            let [has, lacks] =
                if arriving.contains(county) { [inflow, outflow] } else { [outflow, inflow] };
            return Err(Error::data(
                &lacks.path,
                "",
                format!(
                    "expected totals of the same counties as in {}, found none of {county}",
                    has.path.display()
                ),
            ));
        }
        let listed = self.matrix(units)?;
        let index = Units::new(units);
        let mut rests: [Rests; 2] = Default::default();
        for (k, kind) in KINDS.into_iter().enumerate() {
            for (end, file) in [outflow, inflow].into_iter().enumerate() {
                rests[k][end] = self.rest(file, kind, &index);
            }
        }
        let known: BTreeSet<u32> =
            arriving.iter().filter_map(|county| index.find(county)).collect();
        if let Some(unit) = (0..units.len()).find(|&unit| !known.contains(&(unit as u32))) {
            return Err(Error::request(format!(
                "expected units that the files have, found `{}`",
                units.geoids()[unit]
            )));
        }
        let mut report = Spread::default();
        let known: f64 = rests.iter().flatten().flatten().flatten().sum::<f64>() / 2.0;
        let movers: f64 = listed.movers().values().iter().sum::<f64>() + known;
        let all_stayers: f64 = listed.stayers().iter().sum();
        let imputed = self.persons_per_return() * suppressed_returns(year);
        let shares = KINDS.map(|kind| self.share(kind, &rests));

        let mut stayers = listed.stayers().to_vec();
        for (unit, geoid) in units.geoids().iter().enumerate() {
            let unknown = |k: usize, end: usize| rests[k][end][unit].is_none();
            if (0..2).all(|k| (0..2).all(|end| unknown(k, end))) {
                report.imputed.push(geoid.to_string());
            }
            for (kind, share) in rests.iter_mut().zip(&shares) {
                for end in kind {
                    end[unit].get_or_insert(imputed * share);
                }
            }
            if stayers[unit] == 0.0 {
                let arrivals = column_sum(&listed, unit) + rest_of(&rests, 1, unit);
                stayers[unit] = arrivals * all_stayers / movers;
                report.imputed_stayers += stayers[unit];
            }
        }
        let mut placed = Vec::new();
        for (k, kind) in KINDS.into_iter().enumerate() {
            let [departures, arrivals] = [0, 1].map(|end| {
                rests[k][end].iter().map(|rest| rest.unwrap_or(0.0)).collect::<Vec<f64>>()
            });
            let (matrix, figures) = place(&listed, units, kind, departures, arrivals)?;
            placed.push(matrix);
            match kind {
                Kind::WithinStates => report.within_states = figures,
                Kind::BetweenStates => report.between_states = figures,
            }
        }
        Ok((FlowMatrix::new(stayers, join(&listed, &placed)), report))
    }

    /// Persons per return of the listed pairs.
    fn persons_per_return(&self) -> f64 {
        let mut sum = Count::default();
        self.pairs.values().for_each(|&count| sum += count);
        if sum.returns == 0 { 0.0 } else { sum.persons as f64 / sum.returns as f64 }
    }

    /// Share of a kind in all movers that are known.
    fn share(&self, kind: Kind, rests: &[Rests; 2]) -> f64 {
        let of = |wanted: Kind| -> f64 {
            let own =
                self.pairs.iter().filter(|((i, j), _)| Kind::of(i.as_str(), j.as_str()) == wanted);
            let rest: f64 = rests[wanted as usize].iter().flatten().flatten().sum();
            own.map(|(_, count)| count.persons as f64).sum::<f64>() + rest / 2.0
        };
        let all = of(Kind::WithinStates) + of(Kind::BetweenStates);
        if all == 0.0 { 0.5 } else { of(kind) / all }
    }

    /// What a file's totals of a kind say beyond the listed pairs, by unit.
    fn rest(&self, file: &MigrationFile, kind: Kind, index: &Units) -> Vec<Option<f64>> {
        let mut listed = BTreeMap::<&Geoid, [f64; 2]>::new();
        for ((i, j), count) in &self.pairs {
            let own = if file.direction == Direction::Inflow { j } else { i };
            let kind = Kind::of(i.as_str(), j.as_str());
            listed.entry(own).or_default()[kind as usize] += count.persons as f64;
        }
        // The nation's proportion of the kinds, for totals that do not tell them apart.
        let sum = |of: fn(&Totals) -> Option<Count>| file.sum_of(of).persons as f64;
        let within = sum(|totals| totals.same_state);
        let between = sum(|totals| totals.different_state);
        let within = if within + between == 0.0 { 0.5 } else { within / (within + between) };

        let mut rests = vec![None; index.len()];
        for (county, totals) in &file.totals {
            let Some(unit) = index.find(county) else { continue };
            let pairs = listed.get(county).copied().unwrap_or_default();
            let of = |count: Option<Count>| count.map(|count| count.persons as f64);
            let own = |kind: Kind| match kind {
                Kind::WithinStates => {
                    let total = of(totals.same_state).map(|total| total - pairs[0]);
                    total.or(of(totals.other_same_state))
                }
                Kind::BetweenStates => {
                    let total = of(totals.different_state).map(|total| total - pairs[1]);
                    total.or(of(totals.other_different_state))
                }
            };
            let us = of(totals.us).map(|us| us - pairs[0] - pairs[1]);
            let other = own(KINDS[1 - kind as usize]);
            let share = if kind == Kind::WithinStates { within } else { 1.0 - within };
            let rest = own(kind).or_else(|| Some(us? - other?)).or(us.map(|us| us * share));
            if let Some(rest) = rest {
                *rests[unit as usize].get_or_insert(0.0) += rest.max(0.0);
            }
        }
        rests
    }
}

/// Rests of both kinds at one end.
fn rest_of(rests: &[Rests; 2], end: usize, unit: usize) -> f64 {
    rests.iter().filter_map(|kind| kind[end][unit]).sum()
}

fn column_sum(matrix: &FlowMatrix<f64>, column: usize) -> f64 {
    let movers = matrix.movers();
    let entry = |row: usize| {
        let (columns, persons) = movers.row(row);
        columns.binary_search(&(column as u32)).map_or(0.0, |at| persons[at])
    };
    (0..movers.rows()).map(entry).sum()
}

/// Spreads departures and arrivals of a kind over its pairs that are not listed.
fn place(
    listed: &FlowMatrix<f64>,
    units: &Geography,
    kind: Kind,
    mut departures: Vec<f64>,
    mut arrivals: Vec<f64>,
) -> Result<(FlowMatrix<f64>, Placed)> {
    let [out, into] = [&departures, &arrivals].map(|persons| persons.iter().sum::<f64>());
    let total_ratio = if out == into { 1.0 } else { into / out };
    if !TOTAL_RATIOS.contains(&total_ratio) {
        return Err(Error::request(format!(
            "expected as many arrivals as departures in all, found {into:.0} and {out:.0} that are \
             not listed; the files are of different years, or one is incomplete"
        )));
    }
    let mut placed = Placed { total_ratio, ..Placed::default() };
    let lost = balance(units, kind, &mut departures, &mut arrivals);
    (placed.unplaced, placed.arrivals_off) = (lost[0], lost[1]);
    let open = open_pairs(listed, units, kind, &departures, &arrivals);
    if open.nnz() == 0 {
        placed.unplaced += departures.iter().sum::<f64>();
        placed.arrivals_off += arrivals.iter().sum::<f64>();
        return Ok((open, placed));
    }
    let level = std::sync::Arc::new(Partition::new(units, &Level::Geoid)?);
    // Cells without persons have no pairs either.
    let constraint = |name: &str, groups, targets: &[f64]| {
        let targets = targets.iter().map(|&t| if t > 0.0 { t } else { f64::NAN }).collect();
        let margin = Margin { groups, entries: Entries::Movers };
        Constraint::new(name, margin, targets, None, ZeroTargets::Keep)
    };
    let repeat = Repeat {
        constraints: vec![
            constraint("arrivals", Groups::Destination(level.clone()), &arrivals)?,
            constraint("departures", Groups::Origin(level), &departures)?,
        ],
        max_iterations: MAX_ITERATIONS,
        tolerance: 1e-9,
        total_ratio_limit: 1.0,
    };
    let problem = Problem::new(units, Plan { once: Vec::new(), repeat: vec![repeat] })?;
    let solution = solve(&open, &problem, Solver::Direct)?;
    let harmonized = Harmonized { seed: &open, scaling: &solution.scaling };
    let (mut columns, mut flows) = (Vec::new(), Vec::new());
    let mut rows = Vec::with_capacity(units.len());
    for (unit, departed) in departures.iter().enumerate() {
        harmonized.row(unit, &mut columns, &mut flows);
        let sum: f64 = flows.iter().sum();
        placed.persons += sum;
        placed.unplaced += (departed - sum).max(0.0);
        placed.pairs += flows.len();
        for (&column, flow) in columns.iter().zip(&flows) {
            arrivals[column as usize] -= flow;
        }
        rows.push((columns.clone(), flows.clone()));
    }
    placed.arrivals_off += arrivals.iter().map(|persons| persons.abs()).sum::<f64>();
    Ok((FlowMatrix::new(vec![0.0; units.len()], Csr::from_rows(units.len(), &rows)), placed))
}

/// Brings departures and arrivals to the mean of their totals, within states in each state; where
/// one of the two is 0, both are. Returns the departures and arrivals lost by that.
fn balance(
    units: &Geography,
    kind: Kind,
    departures: &mut [f64],
    arrivals: &mut [f64],
) -> [f64; 2] {
    let group = |unit: usize| match kind {
        Kind::WithinStates => &units.geoids()[unit].as_str()[..2],
        Kind::BetweenStates => "",
    };
    let mut totals = BTreeMap::<&str, [f64; 2]>::new();
    for (unit, (departed, arrived)) in departures.iter().zip(&*arrivals).enumerate() {
        let total = totals.entry(group(unit)).or_default();
        total[0] += departed;
        total[1] += arrived;
    }
    let mut lost = [0.0; 2];
    for total in totals.values_mut() {
        let [out, into] = *total;
        let mean = if out > 0.0 && into > 0.0 { f64::midpoint(out, into) } else { 0.0 };
        if mean == 0.0 {
            lost = [lost[0] + out, lost[1] + into];
        }
        *total = [out, into].map(|sum| if sum > 0.0 { mean / sum } else { 0.0 });
    }
    for (unit, (departed, arrived)) in departures.iter_mut().zip(arrivals).enumerate() {
        let [out, into] = totals[group(unit)];
        *departed *= out;
        *arrived *= into;
    }
    lost
}

/// Ones for every pair of a kind that is not listed and has departures and arrivals.
fn open_pairs(
    listed: &FlowMatrix<f64>,
    units: &Geography,
    kind: Kind,
    departures: &[f64],
    arrivals: &[f64],
) -> FlowMatrix<f64> {
    let n = units.len();
    let codes = units.geoids();
    let row = |i: usize| {
        let mut known = listed.movers().row(i).0.iter().peekable();
        let open = |j: &u32| {
            let is_listed = known.next_if(|known| *known == j).is_some();
            let other = *j as usize;
            !is_listed
                && other != i
                && arrivals[other] > 0.0
                && Kind::of(codes[i].as_str(), codes[other].as_str()) == kind
        };
        let columns: Vec<u32> =
            if departures[i] > 0.0 { (0..n as u32).filter(open).collect() } else { Vec::new() };
        let ones = vec![1.0; columns.len()];
        (columns, ones)
    };
    FlowMatrix::new(vec![0.0; n], Csr::from_rows(n, &(0..n).map(row).collect::<Vec<_>>()))
}

/// All movers of matrices that share no pair.
fn join(listed: &FlowMatrix<f64>, placed: &[FlowMatrix<f64>]) -> Csr<f64> {
    let n = listed.units();
    let row = |i: usize| {
        let parts = std::iter::once(listed).chain(placed).map(|part| part.movers().row(i));
        let mut entries: Vec<(u32, f64)> =
            parts.flat_map(|(c, p)| c.iter().copied().zip(p.iter().copied())).collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        entries.into_iter().unzip()
    };
    Csr::from_rows(n, &(0..n).map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
