//! The matrix of a year from summed answers, a range of origins at a time.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::buckets::{Buckets, Memory};
use super::flows::{Flow, FlowSums};
use super::mass::{persons, share_of};
use super::places::{Place, Places};
use super::tasks;
use crate::Result;
use crate::matrix::{FlowMatrix, Room};

/// Cells that are summed at a time, at most, but for those of a single origin.
const CELLS_AT_ONCE: usize = 1 << 19;

/// Entries of a range that are collected before they are put away. The blocks of a bucket come back in the
/// order in which one thread puts them there.
const ENTRIES_AT_ONCE: usize = 1 << 14;

/// Persons of an origin who go to a destination, as one flow adds them.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    destination: u32,
    /// Units of 2^-62 persons.
    units: u64,
}

/// An entry of a row.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
struct Entry {
    destination: u32,
    padding: u32,
    /// Persons.
    flow: f64,
}

impl FlowSums<'_> {
    /// Takes the matrix of a year out; its entries are in the order of units, whatever the order in
    /// which persons were asked. Moves within a unit are on the diagonal, among the stayers.
    ///
    /// As many ranges of origins are worked on together as fit in `work_bytes`, but one at least.
    ///
    /// # Errors
    /// If a scratch file cannot be read or written, or there is no room for the matrix.
    pub fn take_year(
        &self,
        year: usize,
        work_bytes: u64,
        memory: &Memory,
        room: &Room,
    ) -> Result<FlowMatrix<f64>> {
        let ranges = self.ranges().count();
        let range_bytes = |r| self.movers.len(self.bucket(year, r)) * size_of::<Flow>();
        let largest = (0..ranges).map(range_bytes).max().unwrap_or(0);
        let at_once = work_bytes / (largest + CELLS_AT_ONCE * size_of::<Cell>()) as u64;
        let at_once = at_once.min(ranges as u64) as usize;
        let entries = Buckets::new(ranges, memory);
        let done = tasks::each(ranges, at_once, Vec::new, |done, range| {
            done.push((range, self.sum_range(year, range, &entries)?));
            Ok(())
        })?;
        memory.trim();
        let mut row_lens: Vec<(usize, Vec<u32>)> = done.into_iter().flatten().collect();
        row_lens.sort_unstable_by_key(|(range, _)| *range);
        let row_lens: Vec<u32> = row_lens.into_iter().flat_map(|(_, lens)| lens).collect();
        let chunks: Vec<Range<usize>> = (0..ranges).map(|r| self.ranges().units(r)).collect();
        let stayers = self.stayers.of_year(year).into_iter().map(persons).collect();
        FlowMatrix::from_chunks(stayers, &row_lens, &chunks, room, |range, rows| {
            let mut places = rows.0.iter_mut().zip(rows.1);
            entries.drain(range, |entry| {
                let (column, flow) = places.next().expect("a place for every entry");
                (*column, *flow) = (entry.destination, entry.flow);
                Ok(())
            })
        })
    }

    /// Sums the flows of a range of origins to entries; returns the length of each row.
    fn sum_range(&self, year: usize, range: usize, entries: &Buckets<Entry>) -> Result<Vec<u32>> {
        let mut flows = self.movers.take(self.bucket(year, range))?;
        flows.sort_unstable_by_key(|flow| {
            u64::from(flow.origin) << 32 | u64::from(flow.destination)
        });
        let units = self.ranges().units(range);
        let mut row_lens = vec![0; units.len()];
        let mut row_entries = Vec::new();
        for_each_cell(self.places, &flows, units.clone(), &mut |origin, destination, sum| {
            if origin == destination {
                self.stayers.add(range, year, origin, sum);
            } else {
                row_lens[origin as usize - units.start] += 1;
                row_entries.push(Entry { destination, padding: 0, flow: persons(sum) });
                if row_entries.len() == ENTRIES_AT_ONCE {
                    return entries.add(range, std::mem::take(&mut row_entries));
                }
            }
            Ok(())
        })?;
        entries.add(range, row_entries)?;
        Ok(row_lens)
    }
}

/// Visits the sums of all pairs of units with an origin in a range, sorted by origin and destination:
/// calls `visit` with an origin, a destination and units of 2^-62 persons. `flows` are sorted by their
/// places.
fn for_each_cell(
    places: &Places,
    flows: &[Flow],
    units: Range<usize>,
    visit: &mut impl FnMut(u32, u32, u128) -> Result<()>,
) -> Result<()> {
    let starts = cell_starts(places, flows, &units);
    let count = starts[units.len()];
    if units.len() > 1 && count > CELLS_AT_ONCE {
        let middle = units.start + units.len() / 2;
        for_each_cell(places, flows, units.start..middle, visit)?;
        return for_each_cell(places, flows, middle..units.end, visit);
    }
    let (mut cells, mut next) = (vec![Cell::default(); count], starts.clone());
    for_each_sum(flows, |from, to, sum| {
        places.for_each(from, |origin, origin_share| {
            if units.contains(&(origin as usize)) {
                let next = &mut next[origin as usize - units.start];
                places.for_each(to, |destination, share| {
                    cells[*next] = Cell { destination, units: share_of(sum, origin_share * share) };
                    *next += 1;
                });
            }
        });
    });
    for (origin, ends) in (units.start as u32..).zip(starts.windows(2)) {
        let own = &mut cells[ends[0]..ends[1]];
        own.sort_unstable_by_key(|cell| cell.destination);
        for same in own.chunk_by(|a, b| a.destination == b.destination) {
            let sum: u128 = same.iter().map(|cell| u128::from(cell.units)).sum();
            if sum > 0 {
                visit(origin, same[0].destination, sum)?;
            }
        }
    }
    Ok(())
}

/// Visits every pair of places with the sum of its flows, in parts of as much as 64 bits hold, 4 persons.
/// A pair is spread over units after it is summed, so that its parts do not depend on their order.
fn for_each_sum(flows: &[Flow], mut visit: impl FnMut(Place, Place, u64)) {
    for pair in flows.chunk_by(|a, b| (a.origin, a.destination) == (b.origin, b.destination)) {
        let mut rest: u128 = pair.iter().map(|flow| u128::from(flow.units)).sum();
        while rest > 0 {
            let part = u64::try_from(rest).unwrap_or(u64::MAX);
            visit(Place(pair[0].origin), Place(pair[0].destination), part);
            rest -= u128::from(part);
        }
    }
}

/// Where the cells of each origin of a range begin, before equal ones are summed, and where the last
/// ends.
fn cell_starts(places: &Places, flows: &[Flow], units: &Range<usize>) -> Vec<usize> {
    let mut starts = vec![0; units.len() + 1];
    for_each_sum(flows, |from, to, _| {
        let row_len = places.row_len(to);
        places.for_each(from, |origin, _| {
            if units.contains(&(origin as usize)) {
                starts[origin as usize - units.start + 1] += row_len;
            }
        });
    });
    for k in 0..units.len() {
        starts[k + 1] += starts[k];
    }
    starts
}
