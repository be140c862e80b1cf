//! A table split into fixed ranges of rows, passed over in parallel and combined in fixed order.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::Scaling;
use crate::geography::Partition;
use crate::kernels::{self, ClassSums, Destination, Weights};
use crate::matrix::{Csr, Value, row_ranges, split_per_row};

/// Entries per range of rows: about 1 MiB, enough to hide the cost of handing it to a thread.
const RANGE_ENTRIES: usize = 1 << 17;

/// Ranges that each keep a vector of all destinations, at most. Each costs the time of some 50
/// thousand entries at national size, and 3.5 MB.
const MAX_WIDE_RANGES: usize = 16;

/// Entries per range that keeps the sums of a few classes.
const CLASS_RANGE_ENTRIES: u64 = 1 << 20;

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
        let weights = self.weights(scaling, None);
        let mut sums = vec![0.0; self.table.rows()];
        let tasks = self.ranges.par_iter().zip(split_per_row(&self.ranges, &mut sums));
        tasks.for_each_init(SharedWeights::default, |own, (rows, mut out)| {
            weights.each_run(own, rows, |weights, run| {
                let sums;
                (sums, out) = std::mem::take(&mut out).split_at_mut(run.len());
                kernels::origin_sums(self.table, &scaling.origin, weights, run, sums);
            });
            self.table.release(rows.clone());
        });
        sums
    }

    /// The weights of the rows, for sums over `classes` of columns or over all. Those of blocks are
    /// multiplied into those of the columns once for all neighbors that share them, where these are
    /// so many that it pays.
    fn weights<'s>(&self, scaling: &'s Scaling, classes: Option<&'s Partition>) -> RowWeights<'s> {
        let most = self.table.nnz() / 4 / self.table.columns().max(1);
        let rows = 0..self.table.rows();
        if scaling.blocks.is_empty() || runs_of_rows(scaling, rows).nth(most).is_some() {
            return RowWeights::Each(match classes {
                Some(classes) => Weights::toward(scaling, classes),
                None => Weights::of(scaling),
            });
        }
        RowWeights::Shared(BlockWeights::new(scaling, classes))
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
    pub(super) fn origin_step(
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
    pub(super) fn sums_by_class(&self, classes: &Partition, scaling: &Scaling) -> Vec<f64> {
        let weights = self.weights(scaling, Some(classes));
        let ranges = row_ranges(self.table.row_ptr(), CLASS_RANGE_ENTRIES);
        let partial: Vec<Vec<f64>> = ranges
            .into_par_iter()
            .map_init(SharedWeights::default, |own, rows| {
                let mut out = ClassSums::new(classes);
                weights.each_run(own, &rows, |weights, run| {
                    kernels::class_sums(self.table, &scaling.origin, weights, run, &mut out);
                });
                self.table.release(rows);
                out.sums().collect()
            })
            .collect();
        (0..classes.cells()).map(|class| partial.iter().map(|sums| sums[class]).sum()).collect()
    }
}

/// The weights of rows in a pass.
enum RowWeights<'s> {
    /// Of many neighbors the same.
    Shared(BlockWeights<'s>),
    /// What each row looks up.
    Each(Weights<'s>),
}

impl RowWeights<'_> {
    /// Makes `pass` over runs of `rows`, one after the other, with the weights of each.
    fn each_run(
        &self,
        own: &mut SharedWeights,
        rows: &Range<usize>,
        mut pass: impl FnMut(&Weights, Range<usize>),
    ) {
        match self {
            Self::Shared(weights) => {
                for run in runs_of_rows(weights.scaling, rows.clone()) {
                    pass(&weights.of(own, run.start), run);
                }
            }
            Self::Each(weights) => pass(weights, rows.clone()),
        }
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

/// Factors of destinations times those of the blocks of an origin, which origins of the same cells share.
pub(super) struct BlockWeights<'s> {
    scaling: &'s Scaling,
    /// Where destinations of a class have the same, the classes and a destination of each.
    classes: Option<(&'s Partition, Vec<u32>)>,
}

/// Those of one origin, kept while the next ones share them.
#[derive(Default)]
pub(super) struct SharedWeights {
    /// Cell of the origin in every block.
    cells: Vec<u32>,
    weights: Vec<f64>,
}

impl<'s> BlockWeights<'s> {
    /// Weights toward `classes` where all destinations of each have the same, else toward all
    /// destinations.
    pub(super) fn new(scaling: &'s Scaling, classes: Option<&'s Partition>) -> Self {
        let alike = |classes: &&Partition| {
            scaling.blocks.iter().all(|block| block.destination.unites(classes))
                && kernels::of_classes(&scaling.destination, classes).is_some()
        };
        let classes = classes.filter(alike).map(|classes| {
            let (ptr, members) = classes.members();
            (classes, ptr[..classes.cells()].iter().map(|&first| members[first as usize]).collect())
        });
        Self { scaling, classes }
    }

    /// The weights of origin i.
    pub(super) fn of<'w>(&'w self, own: &'w mut SharedWeights, i: usize) -> Weights<'w> {
        let cells = || self.scaling.blocks.iter().map(|block| block.origin.cell_of()[i]);
        if own.weights.is_empty() || !cells().eq(own.cells.iter().copied()) {
            own.cells = cells().collect();
            let rows: Vec<_> = self.scaling.blocks.iter().map(|block| block.row(i)).collect();
            let d = &self.scaling.destination;
            let weight = |j: usize| rows.iter().fold(d[j], |w, row| w * row.factor(j));
            own.weights.clear();
            match &self.classes {
                Some((_, some)) => own.weights.extend(some.iter().map(|&j| weight(j as usize))),
                None => own.weights.extend((0..d.len()).map(weight)),
            }
        }
        match &self.classes {
            Some((classes, _)) => Weights::Classes(classes, own.weights.clone()),
            None => Weights::Destinations(&own.weights),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Entries, Groups, Margin};
    use super::*;
    use crate::matrix::FlowMatrix;

    /// Whether weights are shared and, if so, by class.
    fn by_class(passes: &Passes<f64>, scaling: &Scaling, classes: &Partition) -> Option<bool> {
        match passes.weights(scaling, Some(classes)) {
            RowWeights::Shared(weights) => Some(weights.classes.is_some()),
            RowWeights::Each(_) => None,
        }
    }

    #[test]
    fn shared_weights_give_the_same_bits() {
        let part = |cells: u32| {
            let codes = (0..cells).map(|c| c.to_string()).collect();
            let cell_of = (0..40).map(|unit| unit * cells / 40).collect();
            Arc::new(Partition::from_parts("p", cell_of, codes))
        };
        let triplets: Vec<(u32, u32, f64)> =
            (0..1600).map(|k| (k / 40, k % 40, 1.0 / f64::from(k + 3))).collect();
        let matrix = FlowMatrix::from_triplets(40, &triplets);
        let passes = Passes::new(matrix.movers());
        let (few, many) = (part(4), part(20));
        let block = |p: &Arc<Partition>| Groups::Block(p.clone(), few.clone());
        let margin = |groups| Margin { groups, entries: Entries::All };
        let mut scaling = Scaling::identity(40);
        scaling.destination = (0..40).map(|j| 1.0 / f64::from(j + 1)).collect();
        let factors = |n: u32| -> Vec<f64> { (0..n).map(|k| 1.0 / f64::from(k + 7)).collect() };
        scaling.apply(&margin(block(&few)), &factors(16));
        assert_eq!(by_class(&passes, &scaling, &few), Some(false));
        let mut apart = scaling.clone();
        // Twenty groups of origins are more than pays; theirs are all 1.
        apart.apply(&margin(block(&many)), &[1.0; 80]);
        assert_eq!(by_class(&passes, &apart, &few), None);
        assert_eq!(passes.origin_sums(&scaling), passes.origin_sums(&apart));
        assert_eq!(passes.sums_by_class(&few, &scaling), passes.sums_by_class(&few, &apart));

        // Destinations of a class alike, and of a block.
        for scaling in [&mut scaling, &mut apart] {
            scaling.destination = (0..40).map(|j| 1.0 / f64::from(j / 10 + 1)).collect();
        }
        assert_eq!(by_class(&passes, &scaling, &few), Some(true));
        assert_eq!(by_class(&passes, &scaling, &many), Some(true));
        assert_eq!(by_class(&passes, &scaling, &part(2)), Some(false));
        assert_eq!(passes.sums_by_class(&few, &scaling), passes.sums_by_class(&few, &apart));
    }

    #[test]
    fn ranges_cover_every_row_once() {
        let row_ptr = [0, 0, 5, 5, 6, 20, 20];
        let ranges = row_ranges(&row_ptr, 6);
        assert_eq!(ranges, [0..4, 4..5, 5..6]);
        assert!(row_ranges(&[0], 6).is_empty());
    }
}
