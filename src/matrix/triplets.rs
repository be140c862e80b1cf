//! Entries in the order of a file, on their way to compressed rows.

use super::{Csr, FlowMatrix, Value};

/// Entries `(origin, destination, persons)` in any order: 12 bytes each for `f32` flows, 16 for
/// `f64`.
///
/// Invariant: the three columns are equally long.
#[derive(Debug)]
pub(super) struct Triplets<V> {
    origins: Vec<u32>,
    destinations: Vec<u32>,
    flows: Vec<V>,
}

impl<V> Default for Triplets<V> {
    fn default() -> Self {
        Self { origins: Vec::new(), destinations: Vec::new(), flows: Vec::new() }
    }
}

impl<V: Value> Triplets<V> {
    /// From three columns.
    pub fn new(origins: Vec<u32>, destinations: Vec<u32>, flows: Vec<V>) -> Self {
        assert_eq!(origins.len(), destinations.len(), "origins and destinations differ in length");
        assert_eq!(origins.len(), flows.len(), "origins and flows differ in length");
        Self { origins, destinations, flows }
    }

    pub fn push(&mut self, origin: u32, destination: u32, flow: V) {
        self.origins.push(origin);
        self.destinations.push(destination);
        self.flows.push(flow);
    }

    /// Largest index in use, plus 1.
    pub fn units(&self) -> usize {
        let largest = self.origins.iter().chain(&self.destinations).max();
        largest.map_or(0, |&unit| unit as usize + 1)
    }

    /// The matrix of `n` units; duplicates are summed in file order, the diagonal are the stayers.
    ///
    /// A file sorted by origin needs no further memory, another one a second copy of a column at
    /// a time.
    ///
    /// # Errors
    /// If duplicates add up to infinity, or there is no memory for so many units.
    ///
    /// # Panics
    /// If an index is not below `n` or a value is negative or not finite.
    pub fn into_flow_matrix(self, n: usize) -> Result<FlowMatrix<V>, String> {
        let Self { origins, mut destinations, mut flows } = self;
        // The size is what a file's header says: asking for too much must not abort.
        let mut row_ptr = Vec::new();
        row_ptr
            .try_reserve_exact(n + 1)
            .map_err(|_| format!("expected fewer units, found {n}: not enough memory"))?;
        row_ptr.resize(n + 1, 0_u64);
        for &origin in &origins {
            row_ptr[origin as usize + 1] += 1;
        }
        for i in 0..n {
            row_ptr[i + 1] += row_ptr[i];
        }
        if !origins.is_sorted() {
            destinations = by_row(&origins, &row_ptr, &destinations);
            flows = by_row(&origins, &row_ptr, &flows);
        }
        drop(origins);
        Ok(FlowMatrix::from_csr(Csr::from_unsorted(n, row_ptr, destinations, flows)?))
    }
}

/// Moves elements to their rows; within a row they keep their order.
fn by_row<T: bytemuck::Zeroable + Copy>(rows: &[u32], row_ptr: &[u64], elements: &[T]) -> Vec<T> {
    let mut next = row_ptr.to_vec();
    let mut moved = vec![T::zeroed(); elements.len()];
    for (&row, &element) in rows.iter().zip(elements) {
        moved[next[row as usize] as usize] = element;
        next[row as usize] += 1;
    }
    moved
}
