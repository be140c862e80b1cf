//! Non-negative least squares with one small matrix and many right-hand sides.
//!
//! Given B (m x n, full column rank, n <= 16), find for each y
//!
//! ```text
//! x = argmin ||B x - y||^2   subject to   x >= 0
//! ```
//!
//! by the active-set method of Lawson and Hanson (*Solving Least Squares Problems*, 1974, chapter
//! 23). As B has full column rank there is one answer. Two departures: the search begins with all
//! unknowns free, which most right-hand sides need no more than, and the pseudo-inverse of every set
//! of free columns (a set of bits) is computed once and kept for all right-hand sides.

use std::sync::OnceLock;

/// Most unknowns: there are 2^n sets of free columns.
pub const MAX_UNKNOWNS: usize = 16;

/// Smallest share of a column's length that must be left after taking away the others' directions
/// for the columns to count as independent.
const INDEPENDENT: f64 = 1e-10;

/// A prepared problem matrix, shared by threads.
///
/// Invariants:
/// - `matrix` is m x n by rows, finite, of full column rank, with 1 <= n <= [`MAX_UNKNOWNS`];
/// - `inverses[set]`, where computed, is the pseudo-inverse (|set| x m, by rows) of the columns
///   whose bits are in `set`.
#[derive(Debug)]
pub struct Nnls {
    equations: usize,
    unknowns: usize,
    matrix: Vec<f64>,
    inverses: Vec<OnceLock<Box<[f64]>>>,
}

/// What one search works in: nothing is allocated for a right-hand side.
#[derive(Clone, Debug)]
struct Work {
    trial: [f64; MAX_UNKNOWNS],
    gradient: [f64; MAX_UNKNOWNS],
    residual: Vec<f64>,
}

impl Nnls {
    /// Prepares an m x n matrix given by rows.
    ///
    /// # Errors
    /// If its columns are not independent; the number given is their rank.
    ///
    /// # Panics
    /// If n is 0 or above [`MAX_UNKNOWNS`], the matrix has no m rows, or an entry is not finite.
    pub fn new(unknowns: usize, matrix: Vec<f64>) -> Result<Self, usize> {
        assert!((1..=MAX_UNKNOWNS).contains(&unknowns), "{unknowns} unknowns");
        assert_eq!(matrix.len() % unknowns, 0, "rows of {unknowns} entries");
        assert!(matrix.iter().all(|b| b.is_finite()), "entries must be finite");
        let rank = rank(unknowns, &matrix);
        if rank < unknowns {
            return Err(rank);
        }
        let inverses = (0..1_usize << unknowns).map(|_| OnceLock::new()).collect();
        Ok(Self { equations: matrix.len() / unknowns, unknowns, matrix, inverses })
    }

    /// Number of equations m.
    pub fn equations(&self) -> usize {
        self.equations
    }

    /// Number of unknowns n.
    pub fn unknowns(&self) -> usize {
        self.unknowns
    }

    /// Writes the answer for `observed` (m numbers) to `x` (n numbers, each >= 0).
    ///
    /// # Panics
    /// If the lengths differ or a number is not finite.
    pub fn solve(&self, observed: &[f64], x: &mut [f64]) {
        assert_eq!((observed.len(), x.len()), (self.equations, self.unknowns), "m and n");
        assert!(observed.iter().all(|y| y.is_finite()), "observations must be finite");
        let mut work = Work {
            trial: [0.0; MAX_UNKNOWNS],
            gradient: [0.0; MAX_UNKNOWNS],
            residual: vec![0.0; self.equations],
        };
        let all = (1_usize << self.unknowns) - 1;
        self.free_solution(all, observed, &mut work);
        if work.trial[..self.unknowns].iter().all(|&z| z >= 0.0) {
            store(&work.trial, x);
            return;
        }
        // Any point inside will do to begin with; one near the data needs few steps.
        let mean = observed.iter().sum::<f64>() / self.equations as f64;
        let largest = observed.iter().fold(f64::MIN_POSITIVE, |a, y| a.max(y.abs()));
        x.fill(if mean > 0.0 { mean } else { largest });
        let mut free = self.descend(all, observed, x, &mut work);
        let noise = 4.0 * f64::EPSILON * largest * self.largest_entry();
        let mut refused = 0;
        for _ in 0..10 * self.unknowns {
            self.set_gradient(observed, x, &mut work);
            let blocked = (0..self.unknowns).filter(|j| (free | refused) >> j & 1 == 0);
            let steepest = blocked.max_by(|&i, &j| work.gradient[i].total_cmp(&work.gradient[j]));
            let Some(j) = steepest.filter(|&j| work.gradient[j] > noise) else { return };
            let wider = free | 1 << j;
            self.free_solution(wider, observed, &mut work);
            if work.trial[j] <= 0.0 {
                refused |= 1 << j; // Its gradient is rounding.
                continue;
            }
            refused = 0;
            free = self.descend(wider, observed, x, &mut work);
        }
        self.search_all(observed, x, &mut work);
    }

    /// Goes from x, which is feasible and positive where `free`, to the minimum over a subset of
    /// `free` that is positive there; returns the subset.
    fn descend(&self, mut free: usize, observed: &[f64], x: &mut [f64], work: &mut Work) -> usize {
        while free != 0 {
            self.free_solution(free, observed, work);
            let inside = |j: usize| free >> j & 1 == 1;
            let step = |j: usize, x: &[f64]| x[j] / (x[j] - work.trial[j]);
            let hits = (0..self.unknowns).filter(|&j| inside(j) && work.trial[j] <= 0.0);
            let first = hits.min_by(|&i, &j| step(i, x).total_cmp(&step(j, x)));
            let Some(first) = first else {
                store(&work.trial, x);
                return free;
            };
            let length = step(first, x);
            for j in (0..self.unknowns).filter(|&j| inside(j)) {
                x[j] += length * (work.trial[j] - x[j]);
            }
            x[first] = 0.0;
            for (j, x) in x.iter_mut().enumerate() {
                if *x <= 0.0 {
                    *x = 0.0;
                    free &= !(1 << j);
                }
            }
        }
        x.fill(0.0);
        0
    }

    /// Least squares over the free unknowns, the others 0, refined once.
    fn free_solution(&self, free: usize, observed: &[f64], work: &mut Work) {
        let inverse = self.inverses[free].get_or_init(|| self.pseudo_inverse(free));
        let add = |values: &[f64], trial: &mut [f64]| {
            let columns = (0..self.unknowns).filter(|j| free >> j & 1 == 1);
            for (j, row) in columns.zip(inverse.chunks_exact(self.equations)) {
                trial[j] += dot(row, values);
            }
        };
        work.trial = [0.0; MAX_UNKNOWNS];
        add(observed, &mut work.trial);
        self.set_residual(observed, &work.trial, &mut work.residual);
        add(&work.residual, &mut work.trial);
    }

    /// observed - B x.
    fn set_residual(&self, observed: &[f64], x: &[f64], residual: &mut [f64]) {
        let rows = self.matrix.chunks_exact(self.unknowns);
        for ((r, y), row) in residual.iter_mut().zip(observed).zip(rows) {
            *r = y - dot(row, &x[..self.unknowns]);
        }
    }

    /// B' (observed - B x): how fast the misfit falls with each unknown, halved.
    fn set_gradient(&self, observed: &[f64], x: &[f64], work: &mut Work) {
        self.set_residual(observed, x, &mut work.residual);
        work.gradient = [0.0; MAX_UNKNOWNS];
        for (row, r) in self.matrix.chunks_exact(self.unknowns).zip(&work.residual) {
            for (g, b) in work.gradient.iter_mut().zip(row) {
                *g += b * r;
            }
        }
    }

    /// Every set of free unknowns, for data on which rounding leads the search in a circle.
    fn search_all(&self, observed: &[f64], x: &mut [f64], work: &mut Work) {
        let mut least = f64::INFINITY;
        for free in 0..1_usize << self.unknowns {
            self.free_solution(free, observed, work);
            if work.trial.iter().all(|&z| z >= 0.0) {
                let trial = work.trial;
                self.set_residual(observed, &trial, &mut work.residual);
                let misfit = dot(&work.residual, &work.residual);
                if misfit < least {
                    least = misfit;
                    store(&trial, x);
                }
            }
        }
    }

    /// The pseudo-inverse R^-1 Q' of some columns, from B = Q R by Gram-Schmidt done twice.
    fn pseudo_inverse(&self, free: usize) -> Box<[f64]> {
        let columns: Vec<usize> = (0..self.unknowns).filter(|j| free >> j & 1 == 1).collect();
        let p = columns.len();
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(p);
        let mut r = vec![0.0; p * p];
        for (k, &j) in columns.iter().enumerate() {
            let mut column: Vec<f64> =
                self.matrix.iter().skip(j).step_by(self.unknowns).copied().collect();
            for _ in 0..2 {
                for (i, q) in basis.iter().enumerate() {
                    let along = dot(q, &column);
                    r[i * p + k] += along;
                    column.iter_mut().zip(q).for_each(|(c, q)| *c -= along * q);
                }
            }
            let length = dot(&column, &column).sqrt();
            r[k * p + k] = length;
            for c in &mut column {
                *c /= length;
            }
            basis.push(column);
        }
        // Rows of the inverse from the last to the first: back substitution with Q' on the right.
        let m = self.equations;
        let mut inverse = vec![0.0; p * m];
        for k in (0..p).rev() {
            for e in 0..m {
                let known: f64 = (k + 1..p).map(|i| r[k * p + i] * inverse[i * m + e]).sum();
                inverse[k * m + e] = (basis[k][e] - known) / r[k * p + k];
            }
        }
        inverse.into()
    }

    fn largest_entry(&self) -> f64 {
        self.matrix.iter().fold(0.0, |a: f64, b| a.max(b.abs()))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Copies an answer; zeros have no sign.
fn store(trial: &[f64], x: &mut [f64]) {
    x.iter_mut().zip(trial).for_each(|(x, &z)| *x = if z > 0.0 { z } else { 0.0 });
}

/// Rank of a matrix of `unknowns` columns given by rows: Gram-Schmidt, longest rest first.
pub(super) fn rank(unknowns: usize, matrix: &[f64]) -> usize {
    let column = |j| matrix.iter().skip(j).step_by(unknowns).copied().collect::<Vec<f64>>();
    let mut columns: Vec<Vec<f64>> = (0..unknowns).map(column).collect();
    let length = |c: &[f64]| dot(c, c).sqrt();
    let least = INDEPENDENT * columns.iter().map(|c| length(c)).fold(0.0, f64::max);
    let mut rank = 0;
    while let Some(longest) =
        (0..columns.len()).max_by(|&i, &j| length(&columns[i]).total_cmp(&length(&columns[j])))
    {
        let q = columns.swap_remove(longest);
        let norm = length(&q);
        if norm <= least {
            break;
        }
        rank += 1;
        for column in &mut columns {
            for _ in 0..2 {
                let along = dot(&q, column) / (norm * norm);
                column.iter_mut().zip(&q).for_each(|(c, q)| *c -= along * q);
            }
        }
    }
    rank
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn solve(unknowns: usize, matrix: &[f64], observed: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; unknowns];
        Nnls::new(unknowns, matrix.to_vec()).unwrap().solve(observed, &mut x);
        x
    }

    #[test]
    fn small_cases_by_hand() {
        assert_eq!(solve(2, &[1.0, 0.0, 0.0, 1.0], &[3.0, 4.0]), [3.0, 4.0]);
        assert_eq!(solve(2, &[1.0, 0.0, 0.0, 1.0], &[3.0, -4.0]), [3.0, 0.0]);
        assert_eq!(solve(2, &[1.0, 0.0, 0.0, 1.0], &[-3.0, -4.0]), [0.0, 0.0]);
        // x1 + x2 = 2, x2 = 3: with x1 = 0, x2 is the mean 2.5.
        let x = solve(2, &[1.0, 1.0, 0.0, 1.0], &[2.0, 3.0]);
        assert!(x[0] == 0.0 && (x[1] - 2.5).abs() < 1e-15, "{x:?}");
        assert_eq!(Nnls::new(2, vec![1.0, 1.0, 2.0, 2.0]).unwrap_err(), 1);
        assert_eq!(rank(3, &[0.0; 6]), 0);
    }

    /// The conditions that only the answer meets: x >= 0, gradient <= 0, and 0 where x > 0.
    #[test]
    fn random_problems_meet_the_conditions() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for trial in 0..2000 {
            let n = 1 + trial % 9;
            let m = n + trial % 4;
            let matrix: Vec<f64> = (0..m * n).map(|_| rng.random_range(-1.0..1.0)).collect();
            let Ok(problem) = Nnls::new(n, matrix) else { continue };
            let scale = 10_f64.powi(rng.random_range(-150..150));
            let y: Vec<f64> =
                (0..m)
                    .map(|_| {
                        if rng.random_bool(0.2) { 0.0 } else { scale * rng.random_range(-1.0..1.0) }
                    })
                    .collect();
            let (mut x, mut all) = (vec![0.0; n], vec![0.0; n]);
            problem.solve(&y, &mut x);
            let mut work = Work {
                trial: [0.0; MAX_UNKNOWNS],
                gradient: [0.0; MAX_UNKNOWNS],
                residual: vec![0.0; m],
            };
            problem.set_gradient(&y, &x, &mut work);
            // Gradients are sums of |B| (|y| + |B| |x|) with rounding.
            let size = x.iter().copied().fold(scale, f64::max);
            for (x, g) in x.iter().zip(work.gradient) {
                let limit = 1e-11 * size;
                assert!(*x >= 0.0 && g < limit && (*x == 0.0 || g > -limit), "{trial}: {x} {g}");
            }
            problem.search_all(&y, &mut all, &mut work);
            for (a, b) in x.iter().zip(&all) {
                assert!((a - b).abs() <= 1e-6 * size, "{trial}: {x:?} {all:?}");
            }
        }
    }
}
