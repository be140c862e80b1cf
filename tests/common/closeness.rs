//! How close matrices over the units of `nation/` are to its truth.

use flowrake::geography::{Geography, Level, Partition};
use flowrake::matrix::{FlowRows as _, file};
use flowrake::with_matrix;

use super::cli::Folder;

/// Sums of a matrix: populations of its units, and flows between counties, stayers included.
struct Sums {
    populations: Vec<f64>,
    /// Counties by counties.
    flows: Vec<f64>,
}

impl Sums {
    fn of(folder: &Folder, name: &str) -> Self {
        let units = Geography::read(&folder.path("nation/units.csv")).unwrap();
        let counties = Partition::new(&units, &Level::County).unwrap();
        let county = |unit: usize| counties.cell_of()[unit] as usize;
        let mut sums = Self {
            populations: vec![0.0; units.len()],
            flows: vec![0.0; counties.cells() * counties.cells()],
        };
        let (matrix, _) = file::read(&folder.path(name), Some(&units)).unwrap();
        let (mut columns, mut persons) = (Vec::new(), Vec::new());
        with_matrix!(&matrix, m => for i in 0..units.len() {
            m.row(i, &mut columns, &mut persons);
            for (&j, &flow) in columns.iter().zip(&persons) {
                sums.populations[i] += flow;
                sums.flows[county(i) * counties.cells() + county(j as usize)] += flow;
            }
        });
        sums
    }

    /// The same with the total of another matrix.
    fn scaled_to(mut self, other: &Self) -> Self {
        let total = |sums: &Self| sums.populations.iter().sum::<f64>();
        let factor = total(other) / total(&self);
        self.populations.iter_mut().chain(&mut self.flows).for_each(|persons| *persons *= factor);
        self
    }

    /// See [`before_and_after`].
    fn errors(&self, truth: &Self) -> [f64; 3] {
        let counties = self.flows.len().isqrt();
        let error = |found: &[f64], truth: &[f64], counted: &dyn Fn(usize) -> bool| {
            let squares = found.iter().zip(truth).enumerate().filter(|(at, _)| counted(*at));
            let squares = squares.map(|(_, (found, truth))| (found - truth).powi(2));
            let (sum, n) = squares.fold((0.0, 0.0), |(sum, n), square| (sum + square, n + 1.0));
            f64::sqrt(sum / n)
        };
        [
            error(&self.populations, &truth.populations, &|_| true),
            error(&self.flows, &truth.flows, &|_| true),
            error(&self.flows, &truth.flows, &|at| at / counties != at % counties),
        ]
    }
}

/// Root mean squared errors, in persons, of the seed scaled to the truth's total and of the harmonized
/// matrix: of the populations of units, of all flows between counties, and of those between different
/// ones.
pub fn before_and_after(
    folder: &Folder,
    truth: &str,
    seed: &str,
    harmonized: &str,
) -> [[f64; 3]; 2] {
    let truth = Sums::of(folder, truth);
    let seed = Sums::of(folder, seed).scaled_to(&truth);
    [seed, Sums::of(folder, harmonized)].map(|sums| sums.errors(&truth))
}
