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

/// Persons of a pair of units that one flow adds.
#[derive(Clone, Copy, Debug)]
struct Cell {
    origin: u32,
    destination: u32,
    /// Units of 2^-62 persons.
    units: u128,
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
        let n = self.places.units();
        let range_bytes = |r| self.movers.len(year * self.ranges() + r) * size_of::<Flow>();
        let largest = (0..self.ranges()).map(range_bytes).max().unwrap_or(0);
        let at_once = work_bytes / (largest + CELLS_AT_ONCE * size_of::<Cell>()) as u64;
        let at_once = at_once.min(self.ranges() as u64) as usize;
        let entries = Buckets::new(self.ranges(), memory);
        let done = tasks::each(self.ranges(), at_once, Vec::new, |done, range| {
            done.push((range, self.sum_range(year, range, &entries)?));
            Ok(())
        })?;
        let mut row_lens: Vec<(usize, Vec<u32>)> = done.into_iter().flatten().collect();
        row_lens.sort_unstable_by_key(|(range, _)| *range);
        let row_lens: Vec<u32> = row_lens.into_iter().flat_map(|(_, lens)| lens).collect();
        let chunks: Vec<Range<usize>> = (0..self.ranges()).map(|r| self.units_of(r)).collect();
        let stayers =
            (0..n).map(|unit| persons(self.stayers.get(unit * self.years.count() + year)));
        FlowMatrix::from_chunks(stayers.collect(), &row_lens, &chunks, room, |range, rows| {
            let (columns, flows) = rows;
            let made = entries.take(range)?;
            for ((entry, column), flow) in made.iter().zip(columns).zip(flows) {
                (*column, *flow) = (entry.destination, entry.flow);
            }
            Ok(())
        })
    }

    /// Sums the flows of a range of origins to entries; returns the length of each row.
    fn sum_range(&self, year: usize, range: usize, entries: &Buckets<Entry>) -> Result<Vec<u32>> {
        let mut flows = self.movers.take(year * self.ranges() + range)?;
        flows.sort_unstable_by_key(|flow| (flow.origin, flow.destination));
        let units = self.units_of(range);
        let mut row_lens = vec![0; units.len()];
        let mut row_entries = Vec::new();
        for_each_cell(self.places, &flows, units.clone(), &mut |cell| {
            if cell.origin == cell.destination {
                self.add_stayer_units(year, cell.origin, cell.units);
            } else {
                row_lens[cell.origin as usize - units.start] += 1;
                let flow = persons(cell.units);
                row_entries.push(Entry { destination: cell.destination, padding: 0, flow });
            }
        });
        entries.add(range, row_entries)?;
        Ok(row_lens)
    }
}

/// Visits the sums of all pairs of units with an origin in a range, sorted by origin and destination.
/// `flows` are sorted by their places.
fn for_each_cell(
    places: &Places,
    flows: &[Flow],
    units: Range<usize>,
    visit: &mut impl FnMut(Cell),
) {
    if units.len() > 1 && count_cells(places, flows, &units) > CELLS_AT_ONCE {
        let middle = units.start + units.len() / 2;
        for_each_cell(places, flows, units.start..middle, visit);
        return for_each_cell(places, flows, middle..units.end, visit);
    }
    let mut cells = Vec::new();
    for pair in flows.chunk_by(same_places) {
        let pair_units: u128 = pair.iter().map(|flow| u128::from(flow.units)).sum();
        let (from, to) = (Place(pair[0].origin), Place(pair[0].destination));
        places.for_each(from, |origin, origin_share| {
            if units.contains(&(origin as usize)) {
                places.for_each(to, |destination, share| {
                    let units = share_of(pair_units, origin_share * share);
                    cells.push(Cell { origin, destination, units });
                });
            }
        });
    }
    let key = |cell: &Cell| (cell.origin, cell.destination);
    cells.sort_unstable_by_key(key);
    for same in cells.chunk_by(|a, b| key(a) == key(b)) {
        let sum: u128 = same.iter().map(|cell| cell.units).sum();
        if sum > 0 {
            visit(Cell { units: sum, ..same[0] });
        }
    }
}

fn same_places(a: &Flow, b: &Flow) -> bool {
    (a.origin, a.destination) == (b.origin, b.destination)
}

/// Cells of [`for_each_cell`] before equal ones are summed.
fn count_cells(places: &Places, flows: &[Flow], units: &Range<usize>) -> usize {
    let in_range = |place| {
        let mut count = 0;
        places.for_each(place, |unit, _| count += usize::from(units.contains(&(unit as usize))));
        count
    };
    let pairs = flows.chunk_by(same_places);
    pairs
        .map(|pair| in_range(Place(pair[0].origin)) * places.row_len(Place(pair[0].destination)))
        .sum()
}
