//! The passes over entries on the CPU: fixed ranges of rows in parallel, combined in fixed order.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::backend::{Backend, FusedStep, SteppedCells, add_stayers, by_cell};
use super::margin::{Entries, Groups, Margin};
use super::{SUM_ROUNDING, Scaling};
use crate::Result;
use crate::geography::Partition;
use crate::kernels::{self, Destination, Lanes, Weights, add_lanes_of_class};
use crate::matrix::{Csr, FlowMatrix, Value, row_ranges, split_per_row};

/// Entries per range of rows: about 1 MiB, enough to hide the cost of handing it to a thread.
const RANGE_ENTRIES: usize = 1 << 17;

/// Ranges that each keep a vector of all destinations, at most. Each costs the time of some 50
/// thousand entries at national size, and 3.5 MB.
const MAX_WIDE_RANGES: usize = 16;

/// Entries per range that keeps the sums of a few classes.
const CLASS_RANGE_ENTRIES: u64 = 1 << 20;

/// So many destinations to a class make it few classes: their sums stay in the cache.
const FEW_CLASSES: usize = 16;

/// A sparse table split for parallel passes.
///
/// The split depends on the table alone, never on the number of threads, and so does every bit of
/// every sum.
pub(crate) struct Passes<'a, V> {
    table: &'a Csr<V>,
    ranges: Vec<Range<usize>>,
    wide_ranges: Vec<Range<usize>>,
    /// Vectors for wide ranges, kept since the system takes its time to hand out memory.
    kept: Mutex<Vec<Vec<Destination>>>,
}

impl<'a, V: Value> Passes<'a, V> {
    pub(crate) fn new(table: &'a Csr<V>) -> Self {
        // A wide range costs a vector of sums over all columns: worth it from several times as
        // many entries on.
        let wide =
            (4 * table.columns()).max(table.nnz().div_ceil(MAX_WIDE_RANGES)).max(RANGE_ENTRIES);
        Self {
            table,
            ranges: row_ranges(table.row_ptr(), RANGE_ENTRIES as u64),
            wide_ranges: row_ranges(table.row_ptr(), wide as u64),
            kept: Mutex::default(),
        }
    }

    /// Ranges for results by row.
    pub(crate) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Ranges for results by column, of each range a vector.
    pub(crate) fn wide_ranges(&self) -> &[Range<usize>] {
        &self.wide_ranges
    }

    /// Scaled row sums.
    pub(crate) fn origin_sums(&self, scaling: &Scaling) -> Vec<f64> {
        let mut sums = vec![0.0; self.table.rows()];
        self.ranges.par_iter().zip(split_per_row(&self.ranges, &mut sums)).for_each(
            |(rows, out)| {
                kernels::origin_sums(self.table, scaling, rows.clone(), out);
                self.table.release(rows.clone());
            },
        );
        sums
    }

    /// Whether so many neighbors share their block factors that it pays to multiply them into those
    /// of the destinations once for all of them.
    fn rows_share_blocks(&self, scaling: &Scaling) -> bool {
        let entries = self.table.nnz();
        let most = entries / 4 / self.table.columns().max(1);
        !scaling.blocks.is_empty()
            && runs_of_rows(scaling, 0..self.table.rows()).take(most + 1).count() <= most
    }

    /// Scaled column sums.
    pub(crate) fn destination_sums(&self, scaling: &Scaling) -> Vec<f64> {
        let sums = self.column_totals(|rows, out| {
            kernels::destination_sums(self.table, scaling, rows, out);
        });
        sums.iter().zip(&scaling.destination).map(|(sum, d)| sum * d).collect()
    }

    /// Row sums, row factors `factor(row, sum)`, and column totals with these factors, still to be
    /// multiplied by the columns' own: one pass.
    fn origin_step(
        &self,
        scaling: &Scaling,
        factor: impl Fn(usize, f64) -> f64 + Sync,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let rows = self.table.rows();
        let (mut sums, mut factors) = (vec![0.0; rows], vec![0.0; rows]);
        let parts = split_per_row(&self.wide_ranges, &mut sums)
            .into_iter()
            .zip(split_per_row(&self.wide_ranges, &mut factors));
        let kept = || self.kept.lock().expect("nothing panics with it");
        let partial: Vec<Vec<Destination>> = self
            .wide_ranges
            .par_iter()
            .zip(parts.collect::<Vec<_>>())
            .map(|(rows, step)| {
                let mut out = kept().pop().unwrap_or_default();
                out.clear();
                let of = |&factor| Destination { factor, sum: 0.0 };
                out.extend(scaling.destination.iter().map(of));
                let (mut sums, mut factors) = step;
                for rows in self.pieces(rows) {
                    let (own_sums, own_factors);
                    (own_sums, sums) = sums.split_at_mut(rows.len());
                    (own_factors, factors) = factors.split_at_mut(rows.len());
                    let step = (own_sums, own_factors);
                    kernels::origin_step(
                        self.table,
                        scaling,
                        rows.clone(),
                        &factor,
                        step,
                        &mut out,
                    );
                    self.table.release(rows);
                }
                out
            })
            .collect();
        let totals = self.add_up(&partial, |own| own.sum);
        kept().extend(partial);
        (sums, factors, totals)
    }

    /// Column totals of whatever `add` adds to a vector of columns for a range of rows.
    pub(crate) fn column_totals(&self, add: impl Fn(Range<usize>, &mut [f64]) + Sync) -> Vec<f64> {
        let partial: Vec<Vec<f64>> = self
            .wide_ranges
            .par_iter()
            .map(|rows| {
                let mut out = vec![0.0; self.table.columns()];
                for rows in self.pieces(rows) {
                    add(rows.clone(), &mut out);
                    self.table.release(rows);
                }
                out
            })
            .collect();
        self.add_up(&partial, |sum| *sum)
    }

    /// A wide range, in as many pieces as keep little of a scratch file in memory at a time.
    fn pieces(&self, rows: &Range<usize>) -> Vec<Range<usize>> {
        if !self.table.is_in_file() {
            return vec![rows.clone()];
        }
        let row_ptr = &self.table.row_ptr()[rows.start..=rows.end];
        let pieces = row_ranges(row_ptr, RANGE_ENTRIES as u64).into_iter();
        pieces.map(|piece| rows.start + piece.start..rows.start + piece.end).collect()
    }

    /// Adds up the vectors of the wide ranges, in their order.
    fn add_up<T: Sync>(&self, partial: &[Vec<T>], sum_of: impl Fn(&T) -> f64 + Sync) -> Vec<f64> {
        (0..self.table.columns())
            .into_par_iter()
            .with_min_len(4096)
            .map(|j| partial.iter().map(|sums| sum_of(&sums[j])).sum())
            .collect()
    }

    /// Scaled sums over the columns of each class.
    fn sums_by_class(&self, classes: &Partition, scaling: &Scaling) -> Vec<f64> {
        let weights = Weights::of(scaling, classes);
        let shared = self.rows_share_blocks(scaling);
        let ranges = row_ranges(self.table.row_ptr(), CLASS_RANGE_ENTRIES);
        let partial: Vec<Vec<Lanes>> = ranges
            .into_par_iter()
            .map_init(SharedWeights::default, |own, rows| {
                let (o, class_of) = (&scaling.origin, classes.cell_of());
                let mut out = vec![Lanes::default(); classes.cells()];
                if shared {
                    for run in runs_of_rows(scaling, rows.clone()) {
                        let weights = Weights::Destinations(own.of(scaling, run.start));
                        kernels::class_sums(self.table, o, &weights, run, class_of, &mut out);
                    }
                } else {
                    kernels::class_sums(self.table, o, &weights, rows.clone(), class_of, &mut out);
                }
                self.table.release(rows);
                out
            })
            .collect();
        let of = |class: usize| partial.iter().map(|out| add_lanes_of_class(&out[class])).sum();
        (0..classes.cells()).map(of).collect()
    }
}

/// Runs of rows that have the same factors in every block.
fn runs_of_rows(scaling: &Scaling, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let same = |a: usize, b: usize| {
        scaling.blocks.iter().all(|block| {
            let cells = block.origin.cell_of();
            cells[a] == cells[b]
        })
    };
    let Range { mut start, end } = rows;
    std::iter::from_fn(move || {
        let first = (start < end).then_some(start)?;
        start = (first + 1..end).find(|&i| !same(first, i)).unwrap_or(end);
        Some(first..start)
    })
}

/// Factors of destinations times those of the blocks of an origin, kept while the next origins share
/// them.
#[derive(Default)]
struct SharedWeights {
    /// Cell of the origin in every block.
    cells: Vec<u32>,
    weights: Vec<f64>,
}

impl SharedWeights {
    fn of(&mut self, scaling: &Scaling, i: usize) -> &[f64] {
        let cells = || scaling.blocks.iter().map(|block| block.origin.cell_of()[i]);
        if self.weights.is_empty() || !cells().eq(self.cells.iter().copied()) {
            self.cells = cells().collect();
            let rows: Vec<_> = scaling.blocks.iter().map(|block| block.row(i)).collect();
            let weight = |(j, &d): (usize, &f64)| rows.iter().fold(d, |w, row| w * row.factor(j));
            self.weights.clear();
            self.weights.extend(scaling.destination.iter().enumerate().map(weight));
        }
        &self.weights
    }
}

/// Only devices fail.
const NEVER_FAILS: &str = "passes on the CPU do not fail";

/// The passes over one matrix, in parallel on the current rayon pool.
///
/// Every sum has the same bits for any number of threads.
pub struct Cpu<'a, V> {
    matrix: &'a FlowMatrix<V>,
    passes: Passes<'a, V>,
}

impl<'a, V: Value> Cpu<'a, V> {
    /// Splits a matrix into ranges of rows.
    pub fn new(matrix: &'a FlowMatrix<V>) -> Self {
        Self { matrix, passes: Passes::new(matrix.movers()) }
    }

    pub(crate) fn passes(&self) -> &Passes<'a, V> {
        &self.passes
    }

    /// The matrix.
    pub fn matrix(&self) -> &'a FlowMatrix<V> {
        self.matrix
    }

    /// Persons in every cell of `margin`.
    pub fn cell_sums(&self, margin: &Margin, scaling: &Scaling) -> Vec<f64> {
        Backend::cell_sums(self, margin, scaling).expect(NEVER_FAILS)
    }

    /// The matrix aggregated to the cells of `refinement`, every entry scaled.
    pub fn collapse(&self, refinement: &Partition, scaling: &Scaling) -> FlowMatrix<f64> {
        Backend::collapse(self, refinement, scaling).expect(NEVER_FAILS)
    }

    /// Whether [`step_then_sums`](Self::step_then_sums) can do a step on `first` and the sums of
    /// `next` in one pass: a step of origins that are cells of their own, then destinations.
    pub fn can_fuse(first: &Margin, next: &Margin) -> bool {
        first.own_origins().is_some()
            && matches!(next.groups, Groups::Destination(_))
            && next.entries.movers()
    }

    /// Stayers of each cell.
    pub(super) fn stayers_of_classes(&self, refinement: &Partition, scaling: &Scaling) -> Vec<f64> {
        let scaled = self.matrix.stayers().iter().zip(&scaling.stayers).map(|(seed, f)| seed * f);
        by_cell(&scaled.collect::<Vec<f64>>(), refinement)
    }

    /// Stayers of unit i that a margin counts.
    fn stayers_counted(&self, margin: &Margin, scaling: &Scaling, i: usize) -> f64 {
        if margin.entries.stayers() { self.matrix.stayers()[i] * scaling.stayers[i] } else { 0.0 }
    }

    /// Takes a step on `first`: sums its cells, multiplies in `factor(cell, sum)`; and sums the
    /// cells of `next` afterward.
    ///
    /// The same bits as [`cell_sums`](Self::cell_sums) of one after the other, where the destinations
    /// are summed unit by unit.
    ///
    /// # Panics
    /// Unless [`can_fuse`](Self::can_fuse) allows it.
    pub fn step_then_sums(
        &self,
        first: &Margin,
        next: &Margin,
        scaling: &mut Scaling,
        factor: impl Fn(usize, f64) -> f64 + Sync,
    ) -> FusedStep {
        let (Some(p), Groups::Destination(q)) = (first.own_origins(), &next.groups) else {
            panic!("{first} and {next} cannot share a pass");
        };
        let stayers = |i: usize| self.stayers_counted(first, scaling, i);
        let cell = |i: usize| p.cell_of()[i] as usize;
        let (by_unit, unit_factors, arrivals) =
            self.passes.origin_step(scaling, |i, movers| factor(cell(i), movers + stayers(i)));

        let (mut sums, mut factors) = (vec![0.0; p.cells()], vec![0.0; p.cells()]);
        for (i, (sum, f)) in by_unit.iter().zip(&unit_factors).enumerate() {
            sums[cell(i)] = sum + stayers(i);
            factors[cell(i)] = *f;
        }
        let stepped = SteppedCells { sums, factors };
        scaling.apply(first, &stepped.factors);
        let arrivals: Vec<f64> =
            arrivals.iter().zip(&scaling.destination).map(|(sum, d)| sum * d).collect();
        let mut next_sums = by_cell(&arrivals, q);
        add_stayers(self.matrix, next, scaling, &mut next_sums);
        FusedStep { stepped, next_sums }
    }

    /// Takes a step on `first`, multiplying in `factor(cell, sum)`, and aggregates the matrix after it
    /// to the cells of `refinement`, in one pass; `None` unless the cells are single origins with
    /// their movers.
    ///
    /// The same bits as [`cell_sums`](Self::cell_sums) and [`collapse`](Self::collapse).
    pub fn step_then_collapse(
        &self,
        first: &Margin,
        refinement: &Partition,
        scaling: &mut Scaling,
        factor: impl Fn(usize, f64) -> f64 + Sync,
    ) -> Option<(SteppedCells, FlowMatrix<f64>)> {
        let p = first.own_origins()?;
        let stayers = |i: usize| self.stayers_counted(first, scaling, i);
        let cell = |i: usize| p.cell_of()[i] as usize;
        let weights = Weights::of(scaling, refinement);
        let steps = Mutex::new(vec![(0.0, 1.0); p.cells()]);
        let movers = table_of_classes(refinement, refinement, |rows, out| {
            let mut own = vec![(0.0, 1.0); rows.len()];
            kernels::origin_step_to_classes(
                self.matrix.movers(),
                (scaling, &weights),
                rows,
                |i, movers| factor(cell(i), movers + stayers(i)),
                refinement.cell_of(),
                &mut own,
                out,
            );
            self.matrix.movers().release_each(rows);
            let mut steps = steps.lock().expect("nothing panics with it");
            for (&i, (movers, factor)) in rows.iter().zip(own) {
                steps[cell(i as usize)] = (movers + stayers(i as usize), factor);
            }
        });
        let (sums, factors) =
            steps.into_inner().expect("nothing panics with it").into_iter().unzip();
        let stepped = SteppedCells { sums, factors };
        scaling.apply(first, &stepped.factors);
        let stayers = self.stayers_of_classes(refinement, scaling);
        Some((stepped, FlowMatrix::new(stayers, movers)))
    }
}

/// A sparse table of classes, row by row, so that the dense one never exists: `add` adds what the
/// origins `rows` of a cell of p send to each cell of q.
fn table_of_classes(
    p: &Partition,
    q: &Partition,
    add: impl Fn(&[u32], &mut [Lanes]) + Sync,
) -> Csr<f64> {
    let (ptr, members) = p.members();
    let rows: Vec<(Vec<u32>, Vec<f64>)> = ptr
        .par_windows(2)
        .map_init(
            || vec![Lanes::default(); q.cells()],
            |lanes, range| {
                add(&members[range[0] as usize..range[1] as usize], lanes);
                take_sums(lanes)
            },
        )
        .collect();
    Csr::from_rows(q.cells(), rows)
}

/// Takes the sums that are not 0, and leaves zeros for the next row of classes.
fn take_sums(lanes: &mut [Lanes]) -> (Vec<u32>, Vec<f64>) {
    const TOGETHER: usize = 16;
    let (mut columns, mut sums) = (Vec::new(), Vec::new());
    for (first, some) in (0_u32..).step_by(TOGETHER).zip(lanes.chunks_mut(TOGETHER)) {
        // Most classes receive nobody from this one.
        if some.as_flattened().iter().fold(0, |bits, sum| bits | sum.to_bits()) == 0 {
            continue;
        }
        for (q, lanes) in (first..).zip(some) {
            let sum = add_lanes_of_class(&std::mem::take(lanes));
            if sum > 0.0 {
                columns.push(q);
                sums.push(sum);
            }
        }
    }
    (columns, sums)
}

impl<V: Value> Backend<V> for Cpu<'_, V> {
    fn cpu(&self) -> &Cpu<'_, V> {
        self
    }

    fn origin_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(self.passes.origin_sums(scaling))
    }

    fn destination_sums(&self, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(self.passes.destination_sums(scaling))
    }

    fn destination_cells(&self, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        Ok(if q.cells() * FEW_CLASSES <= q.units() {
            self.passes.sums_by_class(q, scaling)
        } else {
            by_cell(&self.passes.destination_sums(scaling), q)
        })
    }

    fn class_sums(&self, p: &Partition, q: &Partition, scaling: &Scaling) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; p.cells() * q.cells()];
        let ((ptr, members), weights) = (p.members(), Weights::of(scaling, q));
        let (movers, o) = (self.matrix.movers(), &scaling.origin);
        let rows = sums.par_chunks_mut(q.cells().max(1)).zip(ptr.par_windows(2));
        rows.for_each_init(
            || vec![Lanes::default(); q.cells()],
            |lanes, (out, range)| {
                let members = &members[range[0] as usize..range[1] as usize];
                let rows = members.iter().map(|&i| i as usize);
                kernels::class_sums(movers, o, &weights, rows, q.cell_of(), lanes);
                movers.release_each(members);
                for (sum, lanes) in out.iter_mut().zip(lanes) {
                    *sum = add_lanes_of_class(&std::mem::take(lanes));
                }
            },
        );
        Ok(sums)
    }

    fn class_table(
        &self,
        p: &Partition,
        q: &Partition,
        entries: Entries,
        scaling: &Scaling,
    ) -> Result<Csr<f64>> {
        let weights = Weights::of(scaling, q);
        let (movers, o, class_of) = (self.matrix.movers(), &scaling.origin, q.cell_of());
        Ok(table_of_classes(p, q, |rows, sums| {
            if entries.movers() {
                let members = rows.iter().map(|&i| i as usize);
                kernels::class_sums(movers, o, &weights, members, class_of, sums);
                movers.release_each(rows);
            }
            if entries.stayers() {
                for &i in rows {
                    let i = i as usize;
                    sums[class_of[i] as usize][0] += self.matrix.stayers()[i] * scaling.stayers[i];
                }
            }
        }))
    }

    fn step_then_collapse(
        &self,
        first: &Margin,
        refinement: &Partition,
        scaling: &mut Scaling,
        factor: &(dyn Fn(usize, f64) -> f64 + Sync),
    ) -> Result<Option<(SteppedCells, FlowMatrix<f64>)>> {
        Ok(self.step_then_collapse(first, refinement, scaling, factor))
    }

    fn movers_l1_change(&self, before: &Scaling, after: &Scaling) -> Result<f64> {
        let movers = self.matrix.movers();
        let partial: Vec<f64> = self
            .passes
            .ranges
            .par_iter()
            .map(|rows| {
                let change = kernels::l1_change(movers, before, after, rows.clone());
                movers.release(rows.clone());
                change
            })
            .collect();
        Ok(partial.iter().sum())
    }

    fn rounding(&self) -> f64 {
        SUM_ROUNDING
    }

    fn step_then_sums(
        &self,
        first: &Margin,
        next: &Margin,
        scaling: &mut Scaling,
        factor: &(dyn Fn(usize, f64) -> f64 + Sync),
    ) -> Result<Option<FusedStep>> {
        let fused = Self::can_fuse(first, next);
        Ok(fused.then(|| self.step_then_sums(first, next, scaling, factor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples;

    #[test]
    fn every_kind_of_margin_by_hand() {
        // movers under the sample scaling: 0->1 16, 0->2 48, 1->0 2.5, 2->1 128; stayers 10, 20, 15
        let matrix = samples::matrix();
        let (cpu, scaling) = (Cpu::new(&matrix), samples::scaling());
        let sums = |groups: fn(_) -> Groups, entries| {
            cpu.cell_sums(&samples::margin(groups, entries), &scaling)
        };
        assert_eq!(sums(Groups::Origin, Entries::Movers), [192.0, 2.5]);
        assert_eq!(sums(Groups::Origin, Entries::All), [217.0, 22.5]);
        assert_eq!(sums(Groups::Destination, Entries::Movers), [50.5, 144.0]);
        assert_eq!(sums(Groups::Destination, Entries::Stayers), [25.0, 20.0]);
        let block = |p: std::sync::Arc<Partition>| Groups::Block(p.clone(), p);
        assert_eq!(sums(block, Entries::Movers), [48.0, 144.0, 2.5, 0.0]);
        assert_eq!(sums(block, Entries::All), [73.0, 144.0, 2.5, 20.0]);

        let small = cpu.collapse(&samples::partition(), &scaling);
        assert_eq!(small.stayers(), [25.0, 20.0]);
        assert_eq!(small.movers().values(), [48.0, 144.0, 2.5]);
        assert_eq!(small.movers().col_idx(), [0, 1, 0]);
    }

    #[test]
    fn ranges_cover_every_row_once() {
        let row_ptr = [0, 0, 5, 5, 6, 20, 20];
        let ranges = row_ranges(&row_ptr, 6);
        assert_eq!(ranges, [0..4, 4..5, 5..6]);
        assert!(row_ranges(&[0], 6).is_empty());
    }
}
