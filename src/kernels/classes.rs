//! Sums over classes of destinations in the making.

use crate::geography::Partition;
use crate::matrix::Value;

/// Partial sums of a class. The entries of a row come in runs of a class, and an addition to a sum
/// waits for the one before: so entry k of a row goes to sum k mod 4.
type Lanes = [f64; 4];

/// Entries looked at together: neighbors are often of one class.
const TOGETHER: usize = 8;

/// Movers to every class of a partition of the destinations, in persons.
///
/// Invariant: there are as many sums as `classes` has cells.
#[derive(Clone, Debug)]
pub struct ClassSums<'a> {
    classes: &'a Partition,
    lanes: Vec<Lanes>,
}

impl<'a> ClassSums<'a> {
    /// Sums of nothing yet.
    pub fn new(classes: &'a Partition) -> Self {
        Self { classes, lanes: vec![Lanes::default(); classes.cells()] }
    }

    /// Adds persons to the class of destination j.
    ///
    /// # Panics
    /// If there is no such destination.
    pub fn add(&mut self, j: usize, persons: f64) {
        self.lanes[self.classes.cell_of()[j] as usize][0] += persons;
    }

    /// Adds `flow(lane, j, q, value)` to its class for every entry of one row of a
    /// [`Csr`](crate::matrix::Csr), j its column and q the class of that. Its columns strictly increase:
    /// only the last one is looked at before all are used.
    ///
    /// # Panics
    /// If the last column has no class.
    #[inline]
    pub(super) fn add_row<V: Value>(
        &mut self,
        columns: &[u32],
        values: &[V],
        mut flow: impl FnMut(usize, usize, usize, f64) -> f64,
    ) {
        let (class_of, out) = (self.classes.cell_of(), self.lanes.as_mut_slice());
        debug_assert!(columns.is_sorted_by(|a, b| a < b), "a row of a Csr");
        assert!(columns.last().is_none_or(|&j| (j as usize) < class_of.len()), "a class for each");
        let (eights, last_columns) = columns.as_chunks::<TOGETHER>();
        let (of_eights, last_values) = values.as_chunks::<TOGETHER>();
        for (c, v) in eights.iter().zip(of_eights) {
            // SAFETY: no column is larger than the last, which is below the length of class_of.
            let q = c.map(|j| unsafe { *class_of.get_unchecked(j as usize) });
            let mut flow = |k: usize, q: u32| flow(k % 4, c[k] as usize, q as usize, v[k].into());
            // One branch for all, not one for each.
            if q.iter().fold(0, |unlike, of| unlike | (of ^ q[0])) == 0 {
                // SAFETY: a partition's cells are below their number, that of the sums.
                let own = unsafe { out.get_unchecked_mut(q[0] as usize) };
                let mut sums = *own;
                for k in 0..TOGETHER {
                    sums[k % 4] += flow(k, q[0]);
                }
                *own = sums;
            } else {
                for (k, &q) in q.iter().enumerate() {
                    let flow = flow(k, q);
                    // SAFETY: as above.
                    unsafe { out.get_unchecked_mut(q as usize)[k % 4] += flow };
                }
            }
        }
        for (k, (&j, &v)) in last_columns.iter().zip(last_values).enumerate() {
            let q = class_of[j as usize] as usize;
            out[q][k % 4] += flow(k % 4, j as usize, q, v.into());
        }
    }

    /// The sums.
    pub fn sums(&self) -> impl Iterator<Item = f64> {
        self.lanes.iter().map(add_up)
    }

    /// Takes the sums, and leaves zeros for the next.
    ///
    /// # Panics
    /// If `out` has not as many sums as there are classes.
    pub fn take(&mut self, out: &mut [f64]) {
        assert_eq!(out.len(), self.lanes.len(), "one sum per class");
        for (sum, lanes) in out.iter_mut().zip(&mut self.lanes) {
            *sum = add_up(&std::mem::take(lanes));
        }
    }

    /// Takes the sums that are not 0, with their classes, and leaves zeros for the next.
    pub fn take_nonzero(&mut self) -> (Vec<u32>, Vec<f64>) {
        const AT_ONCE: usize = 16;
        let most = self.lanes.len().min(AT_ONCE * AT_ONCE);
        let (mut classes, mut sums) = (Vec::with_capacity(most), Vec::with_capacity(most));
        for (first, some) in (0_u32..).step_by(AT_ONCE).zip(self.lanes.chunks_mut(AT_ONCE)) {
            // Most classes receive nobody from a small place.
            if some.as_flattened().iter().fold(0, |bits, sum| bits | sum.to_bits()) == 0 {
                continue;
            }
            for (q, lanes) in (first..).zip(some) {
                let sum = add_up(&std::mem::take(lanes));
                if sum > 0.0 {
                    classes.push(q);
                    sums.push(sum);
                }
            }
        }
        (classes, sums)
    }
}

/// The sum of a class, or of a row that went to the same lanes.
#[inline]
pub(super) fn add_up(lanes: &Lanes) -> f64 {
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_around_the_unrolling_and_every_run() {
        // Columns 0..n; runs of a class of 1, of 3 and of all.
        for run in [1, 3, 40] {
            let cells = 30_u32.div_ceil(run);
            let codes = (0..cells).map(|q| q.to_string()).collect();
            let classes = Partition::from_parts("runs", (0..30).map(|j| j / run).collect(), codes);
            for n in [0_u32, 1, 3, 4, 5, 7, 8, 9, 16, 23, 30] {
                let columns: Vec<u32> = (0..n).collect();
                let values: Vec<f32> = columns.iter().map(|&j| (j + 1) as f32).collect();
                let mut out = ClassSums::new(&classes);
                let mut lanes = Vec::new();
                out.add_row(&columns, &values, |lane, j, q, v| {
                    assert_eq!((v, q), ((j + 1) as f64, j / run as usize));
                    lanes.push(lane);
                    2.0 * v
                });
                assert_eq!(lanes, (0..n as usize).map(|k| k % 4).collect::<Vec<_>>());
                let all: Vec<f64> = out.sums().collect();
                for (q, sum) in (0_u32..).zip(&all) {
                    let of = (run * q..run * (q + 1)).filter(|j| *j < n);
                    let expected: u32 = of.map(|j| 2 * (j + 1)).sum();
                    assert_eq!(*sum, f64::from(expected), "length {n}, class {q}");
                }
                let (found, sums) = out.take_nonzero();
                let expected: Vec<u32> = (0..cells).filter(|&q| all[q as usize] > 0.0).collect();
                assert_eq!(found, expected);
                assert!(found.iter().zip(sums).all(|(&q, sum)| sum == all[q as usize]));
                assert!(out.sums().all(|sum| sum == 0.0));
                out.add_row(&columns, &values, |_, _, _, v| 2.0 * v);
                let mut again = vec![0.0; cells as usize];
                out.take(&mut again);
                assert_eq!(again, all);
                assert!(out.sums().all(|sum| sum == 0.0));
            }
        }
    }

    #[test]
    #[should_panic(expected = "a class for each")]
    fn columns_without_a_class_are_refused() {
        let classes = Partition::from_parts("one", vec![0; 3], ["all"].into());
        ClassSums::new(&classes).add_row(&[1, 3], &[1.0_f64, 1.0], |_, _, _, v| v);
    }
}
