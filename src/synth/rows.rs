//! Rows of a matrix in the making.

use crate::matrix::{Csr, FlowMatrix};

/// Consecutive rows: stayers, and movers with increasing destinations.
#[derive(Default)]
pub(super) struct Rows {
    stayers: Vec<f64>,
    lengths: Vec<u32>,
    destinations: Vec<u32>,
    persons: Vec<f32>,
}

impl Rows {
    /// Adds a row; flows of no persons have no entry.
    pub fn push(&mut self, stayers: f64, movers: impl Iterator<Item = (u32, f32)>) {
        let before = self.persons.len();
        for (destination, persons) in movers.filter(|mover| mover.1 > 0.0) {
            self.destinations.push(destination);
            self.persons.push(persons);
        }
        self.stayers.push(stayers);
        self.lengths.push((self.persons.len() - before) as u32);
    }

    /// The matrix of all rows, in the order of the parts.
    pub fn join(parts: Vec<Self>) -> FlowMatrix<f32> {
        let total = |len: fn(&Self) -> usize| parts.iter().map(len).sum();
        let (rows, entries) = (total(|p| p.lengths.len()), total(|p| p.persons.len()));
        let mut stayers = Vec::with_capacity(rows);
        let mut row_ptr = Vec::with_capacity(rows + 1);
        let (mut columns, mut values) = (Vec::with_capacity(entries), Vec::with_capacity(entries));
        row_ptr.push(0);
        let mut end = 0;
        for part in parts {
            stayers.extend(part.stayers);
            columns.extend(part.destinations);
            values.extend(part.persons);
            row_ptr.extend(part.lengths.iter().map(|&length| {
                end += u64::from(length);
                end
            }));
        }
        FlowMatrix::new(stayers, Csr::new(rows, row_ptr, columns, values))
    }
}

/// Sorts flows by destination and sums those to the same one, in the order given.
pub(super) fn merge(flows: &mut Vec<(u32, f64)>) {
    flows.sort_by_key(|flow| flow.0);
    flows.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 += later.1;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_matrix() {
        let (mut first, mut second) = (Rows::default(), Rows::default());
        first.push(1.0, [(1, 2.0), (2, 0.0)].into_iter());
        second.push(0.0, std::iter::empty());
        second.push(3.0, [(0, 4.0), (1, 5.0)].into_iter());
        let matrix = Rows::join(vec![first, second]);
        assert_eq!(matrix.stayers(), [1.0, 0.0, 3.0]);
        assert_eq!(matrix.movers().row_ptr(), [0, 1, 1, 3]);
        assert_eq!(matrix.movers().row(2), ([0, 1].as_slice(), [4.0, 5.0].as_slice()));
    }

    #[test]
    fn flows_to_one_destination_are_summed_in_the_order_given() {
        let mut flows = vec![(3, 1e16), (1, 2.0), (3, 1.0), (3, 1.0), (1, 0.5)];
        merge(&mut flows);
        assert_eq!(flows, [(1, 2.5), (3, 1e16)]);
    }
}
