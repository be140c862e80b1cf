//! Sums of all margins of a plan in one pass over the entries.

use std::sync::Arc;

use rayon::prelude::*;

use super::backend::{add_stayers, by_cell};
use super::margin::{Groups, Margin};
use super::passes::{BlockWeights, SharedWeights};
use super::{Cpu, Scaling};
use crate::geography::Partition;
use crate::kernels::{self, ClassSums};
use crate::matrix::Value;

/// Entries of a task at least, so that its weights, one per destination, are worth their making.
const TASK_ENTRIES: u64 = 1 << 20;

/// What one pass gives: movers by origin and by class (P x Q).
struct Sums {
    by_origin: Vec<f64>,
    by_class: Vec<f64>,
    p: Partition,
    q: Partition,
}

impl<V: Value> Cpu<'_, V> {
    /// Persons in every cell of every margin: those of [`Cpu::cell_sums`] up to rounding, in one
    /// pass where destinations and blocks have few classes, and the same for any number of threads.
    pub fn all_cell_sums(&self, margins: &[&Margin], scaling: &Scaling) -> Vec<Vec<f64>> {
        let Some(sums) = self.origins_and_classes(margins, scaling) else {
            return margins.iter().map(|margin| self.cell_sums(margin, scaling)).collect();
        };
        let cells = |margin: &&Margin| {
            let mut cells = match &margin.groups {
                _ if !margin.entries.movers() => vec![0.0; margin.cells()],
                Groups::Origin(part) => by_cell(&sums.by_origin, part),
                groups => {
                    let (rows, columns) = match groups {
                        Groups::Block(a, b) => (Some(a.project(&sums.p)), b.project(&sums.q)),
                        Groups::Destination(b) | Groups::Origin(b) => (None, b.project(&sums.q)),
                    };
                    let mut cells = vec![0.0; margin.cells()];
                    let of_rows = sums.by_class.chunks(sums.q.cells().max(1)).enumerate();
                    for (p, classes) in of_rows {
                        let row = rows.as_ref().map_or(0, |rows| rows.cell_of()[p] as usize);
                        let row = &mut cells[row * columns.cells()..][..columns.cells()];
                        for (&column, class) in columns.cell_of().iter().zip(classes) {
                            row[column as usize] += class;
                        }
                    }
                    cells
                }
            };
            add_stayers(self.matrix(), margin, scaling, &mut cells);
            cells
        };
        margins.par_iter().map(cells).collect()
    }

    /// The pass, unless there are too many classes for it.
    fn origins_and_classes(&self, margins: &[&Margin], scaling: &Scaling) -> Option<Sums> {
        let n = self.matrix().units();
        let moving = margins.iter().filter(|margin| margin.entries.movers());
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for margin in moving {
            match &margin.groups {
                Groups::Origin(_) => {}
                Groups::Destination(q) => columns.push(q),
                Groups::Block(p, q) => {
                    rows.push(p);
                    columns.push(q);
                }
            }
        }
        // Origins of a class share their weights.
        rows.extend(scaling.blocks.iter().map(|block| &block.origin));
        columns.extend(scaling.blocks.iter().map(|block| &block.destination));
        let [p, q] = [rows, columns].map(|parts| refinement(n, parts));
        let room = self.matrix().nnz() / 2;
        if p.cells().saturating_mul(n) > room || p.cells().saturating_mul(q.cells()) > room {
            return None;
        }
        let movers = self.matrix().movers();
        let (ptr, members) = p.members();
        let mut tasks = Vec::new();
        for (cell, range) in ptr.windows(2).enumerate() {
            let mut rows = &members[range[0] as usize..range[1] as usize];
            while !rows.is_empty() {
                let mut entries = 0;
                let full = rows.iter().position(|&i| {
                    entries += movers.row_ptr()[i as usize + 1] - movers.row_ptr()[i as usize];
                    entries >= TASK_ENTRIES
                });
                let (task, rest) = rows.split_at(full.map_or(rows.len(), |last| last + 1));
                tasks.push((cell, task));
                rows = rest;
            }
        }
        let block_weights = BlockWeights::new(scaling, Some(&q));
        let done: Vec<(Vec<f64>, Vec<f64>)> = tasks
            .par_iter()
            .map_init(SharedWeights::default, |own, (_, rows)| {
                let weights = block_weights.of(own, rows[0] as usize);
                let mut origins = vec![0.0; rows.len()];
                let (o, mut classes) = (&scaling.origin, ClassSums::new(&q));
                let (sums, out) = (&mut origins, &mut classes);
                kernels::origin_and_class_sums(movers, o, &weights, rows, sums, out);
                movers.release_each(rows);
                (origins, classes.sums().collect())
            })
            .collect();
        let (mut by_origin, mut by_class) = (vec![0.0; n], vec![0.0; p.cells() * q.cells()]);
        for ((cell, rows), (origins, classes)) in tasks.iter().zip(done) {
            for (&i, sum) in rows.iter().zip(origins) {
                by_origin[i as usize] = sum;
            }
            let own = &mut by_class[cell * q.cells()..(cell + 1) * q.cells()];
            own.iter_mut().zip(classes).for_each(|(sum, part)| *sum += part);
        }
        Some(Sums { by_origin, by_class, p, q })
    }
}

/// The common refinement of partitions, one cell if there are none.
fn refinement(units: usize, mut parts: Vec<&Arc<Partition>>) -> Partition {
    let mut known: Vec<&Arc<Partition>> = Vec::new();
    parts.retain(|part| {
        let new = !known.iter().any(|other| Arc::ptr_eq(other, part) || ***other == ***part);
        if new {
            known.push(part);
        }
        new
    });
    match parts[..] {
        [] => Partition::from_parts("all", vec![0; units], ["all"].iter().take(units).collect()),
        [one] => (**one).clone(),
        ref several => Partition::common_refinement(several),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entries;
    use super::*;
    use crate::matrix::FlowMatrix;
    use crate::synth::random::{Purpose, Stream};

    /// 40 units, every pair a flow; cells are not neighbors.
    fn sample() -> (FlowMatrix<f64>, Arc<Partition>, Arc<Partition>) {
        let mut stream = Stream::new(7, Purpose::Tables, 0);
        let triplets: Vec<(u32, u32, f64)> =
            (0..1600).map(|k| (k / 40, k % 40, stream.between(0.1, 9.0))).collect();
        let part = |cells: u32| {
            let codes = (0..cells).map(|c| c.to_string()).collect();
            let cell_of = (0..40).map(|unit| unit * 7 % cells).collect();
            Arc::new(Partition::from_parts("p", cell_of, codes))
        };
        (FlowMatrix::from_triplets(40, &triplets), part(6), part(3))
    }

    #[test]
    fn one_pass_has_the_sums_of_each_margin() {
        let (matrix, six, three) = sample();
        let cpu = Cpu::new(&matrix);
        let margin = |groups, entries| Margin { groups, entries };
        let units = Arc::new(Partition::from_parts(
            "units",
            (0..40).collect(),
            (0..40).map(|c| c.to_string()).collect(),
        ));
        let margins = [
            margin(Groups::Origin(units), Entries::All),
            margin(Groups::Destination(six.clone()), Entries::Movers),
            margin(Groups::Destination(three.clone()), Entries::Stayers),
            margin(Groups::Block(three.clone(), six.clone()), Entries::All),
            margin(Groups::Origin(six.clone()), Entries::Movers),
        ];
        let margins: Vec<&Margin> = margins.iter().collect();
        let mut scaling = Scaling::identity(40);
        for (k, margin) in margins.iter().enumerate() {
            let factors: Vec<f64> =
                (0..margin.cells()).map(|c| 0.5 + (c * (k + 2) % 5) as f64).collect();
            scaling.apply(margin, &factors);
            let together = cpu.all_cell_sums(&margins, &scaling);
            for (margin, found) in margins.iter().zip(together) {
                for (found, expected) in found.iter().zip(cpu.cell_sums(margin, &scaling)) {
                    let off = (found - expected).abs();
                    assert!(off <= 64.0 * f64::EPSILON * expected, "{margin}: {found} {expected}");
                }
            }
        }
        assert!(cpu.origins_and_classes(&margins, &scaling).is_some());
    }

    #[test]
    fn too_many_classes_are_summed_apart() {
        let (matrix, six, _) = sample();
        let cpu = Cpu::new(&matrix);
        let codes = (0..40).map(|c: u32| c.to_string()).collect();
        let units = Arc::new(Partition::from_parts("units", (0..40).collect(), codes));
        let margins = [
            Margin { groups: Groups::Block(units.clone(), units), entries: Entries::All },
            Margin { groups: Groups::Origin(six), entries: Entries::All },
        ];
        let margins: Vec<&Margin> = margins.iter().collect();
        let scaling = Scaling::identity(40);
        assert!(cpu.origins_and_classes(&margins, &scaling).is_none());
        let expected: Vec<_> = margins.iter().map(|m| cpu.cell_sums(m, &scaling)).collect();
        assert_eq!(cpu.all_cell_sums(&margins, &scaling), expected);
    }
}
