//! Newton's method on the dual of one origin and one destination constraint.
//!
//! With log-factors u of the origin cells and v of the destination cells, and the class table A
//! (P x Q, persons), the harmonized table is `a_pq exp(u_p + v_q)`. For given v the best u meets
//! the origin targets r exactly, `exp(u_p) = r_p / sum_q a_pq exp(v_q)`; what is left is the convex
//! function
//!
//! ```text
//! phi(v) = sum_p r_p log(sum_q a_pq exp(v_q)) - sum_q c_q v_q
//! gradient:  g = B' 1 - c                 B = diag(exp u) A diag(exp v)
//! Hessian:   H = diag(B' 1) - B' diag(1/r) B
//! ```
//!
//! minimized by Newton's method with conjugate gradients (preconditioned by diag H), an inexactness
//! after Eisenstat and Walker (1996, doi:10.1137/0917003) and backtracking. Its cost hardly depends
//! on the share of stayers, on which plain IPF's rate depends badly. Origin cells without a target
//! keep factor 1 and enter phi as `sum_q a_pq exp(v_q)`; so do destination cells.

use super::backend::Backend;
use super::group::Group;
use super::iterate::{GroupStop, Iterated, Outcome};
use super::margin::{Entries, Groups};
use super::passes::Passes;
use super::plan::Goal;
use super::{Problem, Scaling, ZeroTargets};
use crate::matrix::{Csr, Value};
use crate::{Error, Result};

/// Half-sweeps of plain IPF that start the search.
const START_ITERATIONS: usize = 2;

/// Conjugate-gradient iterations per Newton step, at most.
const MAX_CG: usize = 500;

/// Relative rounding of the dual function, a sum over all cells.
const PHI_ROUNDING: f64 = 64.0 * f64::EPSILON;

/// Curvature, relative to that of the column sums alone, that is rounding.
const FLAT: f64 = 64.0 * f64::EPSILON;

/// Newton steps in which the gradient has to shrink.
const STAGNATION_STEPS: usize = 10;

/// Largest change of a log-factor in one step.
const MAX_STEP: f64 = 5.0;

/// Whether every repeat group has the form this solver needs.
pub(super) fn check_applicable(problem: &Problem) -> Result<()> {
    let refuse = |number: usize, what: &str| {
        Err(Error::request(format!(
            "solver newton needs repeat groups of one origin and one destination constraint over \
             the same entries; [[repeat]] number {number} {what}; use --solver collapsed"
        )))
    };
    if problem.plan().repeat.is_empty() {
        return Err(Error::request(
            "solver newton needs a [[repeat]] group, the plan has none; use --solver direct",
        ));
    }
    for (k, group) in problem.plan().repeat.iter().enumerate() {
        let number = k + 1;
        let [a, b] = group.constraints.as_slice() else {
            return refuse(number, &format!("has {} steps", group.constraints.len()));
        };
        match (&a.margin().groups, &b.margin().groups) {
            (Groups::Origin(_), Groups::Destination(_))
            | (Groups::Destination(_), Groups::Origin(_)) => {}
            _ => return refuse(number, "has other margins"),
        }
        if a.margin().entries != b.margin().entries {
            return refuse(number, "mixes entries");
        }
        if a.margin().entries == Entries::Stayers {
            return refuse(number, "has stayers only");
        }
        if [a, b].iter().any(|c| c.zero_targets() == ZeroTargets::Cap) {
            return refuse(number, "caps zero targets");
        }
    }
    Ok(())
}

/// What the solver does with a cell.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// Scaled to this target.
    Free(f64),
    /// Keeps factor 1.
    Fixed,
    /// Emptied: factor 0.
    Zero,
}

/// The dual problem on a class table.
struct Dual<'a> {
    passes: Passes<'a, f64>,
    table: &'a Csr<f64>,
    rows: Vec<Side>,
    columns: Vec<Side>,
    half_sweeps: u32,
}

/// A point of the search: v, the row factors that belong to it, and what follows from them.
struct Point {
    v: Vec<f64>,
    /// Row factors x (`origin`) and column factors y = exp(v) (`destination`).
    factors: Scaling,
    phi: f64,
    /// Sum of the magnitudes of the terms of phi: its rounding is a few epsilon of this.
    phi_magnitude: f64,
    column_sums: Vec<f64>,
}

/// Runs Newton's method for a group; the factors found are multiplied into `scaling`.
pub(super) fn iterate<V: Value>(
    backend: &dyn Backend<V>,
    group: &Group,
    scaling: &mut Scaling,
    watch: &dyn Fn(&Iterated),
) -> Result<Outcome> {
    let is_origin = |k: &usize| matches!(group.constraints[*k].margin().groups, Groups::Origin(_));
    let (origin, destination) = if is_origin(&0) { (0, 1) } else { (1, 0) };
    let [p, q] = [origin, destination]
        .map(|k| group.constraints[k].margin().partitions().next().expect("one partition").clone());
    let entries = group.constraints[origin].margin().entries;
    let table = backend.class_table(&p, &q, entries, scaling)?;
    let mut dual = Dual::new(&table, group, origin, destination);

    let mut history = Vec::new();
    let mut point = dual.start();
    let mut previous = point.factors.clone();
    let mut stop = GroupStop::MaxIterations;
    let mut iterations = 0;
    let mut residuals = Vec::new();
    loop {
        let unsettled = group.unsettled_by(destination, &point.column_sums);
        if unsettled <= group.tolerance {
            stop = GroupStop::Settled;
            break;
        }
        if iterations == group.max_iterations {
            break;
        }
        let residual = dual.gradient(&point).iter().map(|g| g * g).sum::<f64>().sqrt();
        let before = residuals.last().copied().unwrap_or(f64::INFINITY);
        let forcing = forcing_term(residual, before, group.tolerance, unsettled);
        residuals.push(residual);
        if stagnated(&residuals) {
            stop = GroupStop::Stagnated;
            break;
        }
        let Some(next) = dual.newton_step(&point, forcing) else {
            stop = GroupStop::Stagnated;
            break;
        };
        iterations += 1;
        watch(&group.iterated(iterations, unsettled));
        // One step moves both sides; the row sums before it are those of its start.
        for (k, sums, factors) in [
            (
                destination,
                &point.column_sums,
                changes(&next.factors.destination, &point.factors.destination),
            ),
            (origin, &dual.row_sums(&point), changes(&next.factors.origin, &point.factors.origin)),
        ] {
            history.push(group.record(k, iterations, sums, &factors).row);
        }
        previous = std::mem::replace(&mut point, next).factors;
    }

    let margin = |k: usize| group.constraints[k].margin();
    let mut before_last = scaling.clone();
    before_last.apply(margin(origin), &previous.origin);
    before_last.apply(margin(destination), &previous.destination);
    scaling.apply(margin(origin), &point.factors.origin);
    scaling.apply(margin(destination), &point.factors.destination);
    Ok(Outcome { stop, iterations, half_sweeps: dual.half_sweeps, before_last, history })
}

/// Whether ten steps have not reduced the gradient by a tenth. Where the margins can be met, even
/// only in the limit, every few steps halve it; where they cannot, v runs away.
fn stagnated(residuals: &[f64]) -> bool {
    let k = residuals.len();
    k > STAGNATION_STEPS && residuals[k - 1] > 0.9 * residuals[k - 1 - STAGNATION_STEPS]
}

/// Relative accuracy asked of the conjugate gradients: quadratic in the last reduction, and no
/// better than the tolerance can use.
fn forcing_term(residual: f64, before: f64, tolerance: f64, unsettled: f64) -> f64 {
    let quadratic = if before.is_finite() { 0.9 * (residual / before).powi(2) } else { 0.1 };
    let useful = 0.2 * tolerance / unsettled;
    quadratic.clamp(1e-8, 0.1).max(useful).min(0.5)
}

/// Factors that lead from one vector of factors to another.
fn changes(after: &[f64], before: &[f64]) -> Vec<f64> {
    after.iter().zip(before).map(|(a, b)| if *b > 0.0 { a / b } else { 1.0 }).collect()
}

impl<'a> Dual<'a> {
    fn new(table: &'a Csr<f64>, group: &Group, origin: usize, destination: usize) -> Self {
        let sides = |k: usize| -> Vec<Side> {
            let sums = group.start_sums[k].iter().enumerate();
            sums.map(|(cell, &sum)| match group.goal(k, cell) {
                Goal::Equal(0.0) => Side::Zero,
                Goal::Equal(target) if sum > 0.0 => Side::Free(target),
                _ => Side::Fixed,
            })
            .collect()
        };
        Self {
            passes: Passes::new(table),
            table,
            rows: sides(origin),
            columns: sides(destination),
            half_sweeps: 0,
        }
    }

    /// A few iterations of plain IPF from factors of 1.
    fn start(&mut self) -> Point {
        let start = |side: &Side| if *side == Side::Zero { f64::NEG_INFINITY } else { 0.0 };
        let mut point = self.point_at(self.columns.iter().map(start).collect());
        for _ in 1..START_ITERATIONS {
            let mut v = point.v;
            for ((v, side), sum) in v.iter_mut().zip(&self.columns).zip(&point.column_sums) {
                if let Side::Free(target) = side
                    && *sum > 0.0
                {
                    *v += (target / sum).ln();
                }
            }
            point = self.point_at(v);
        }
        point
    }

    /// Row factors, phi and column sums at v: two half-sweeps.
    fn point_at(&mut self, v: Vec<f64>) -> Point {
        let y: Vec<f64> = v.iter().map(|v| v.exp()).collect();
        let mut factors = Scaling {
            origin: vec![1.0; self.rows.len()],
            destination: y,
            stayers: Vec::new(),
            blocks: Vec::new(),
        };
        let sums = self.passes.origin_sums(&factors);
        let (mut phi, mut phi_magnitude) = (0.0, 0.0_f64);
        let mut add = |term: f64| {
            phi += term;
            phi_magnitude += term.abs();
        };
        for ((x, side), sum) in factors.origin.iter_mut().zip(&self.rows).zip(sums) {
            match side {
                Side::Free(target) if (target / sum).is_finite() => {
                    *x = target / sum;
                    add(target * sum.ln());
                }
                // A free row whose entries were all emptied cannot be scaled.
                Side::Free(_) => {}
                Side::Fixed => add(sum),
                Side::Zero => *x = 0.0,
            }
        }
        for (v, side) in v.iter().zip(&self.columns) {
            if let Side::Free(target) = side {
                add(-target * v);
            }
        }
        let column_sums = self.passes.destination_sums(&factors);
        self.half_sweeps += 2;
        Point { v, factors, phi, phi_magnitude, column_sums }
    }

    /// Row sums at a point, which are the targets wherever there is one.
    fn row_sums(&self, point: &Point) -> Vec<f64> {
        let free = self.rows.iter().all(|side| matches!(side, Side::Free(_)));
        if free {
            let target = |side: &Side| if let Side::Free(t) = side { *t } else { 0.0 };
            return self.rows.iter().map(target).collect();
        }
        self.passes.origin_sums(&point.factors)
    }

    /// g = column sums - targets on the free columns, 0 elsewhere.
    fn gradient(&self, point: &Point) -> Vec<f64> {
        let pairs = point.column_sums.iter().zip(&self.columns);
        pairs
            .map(|(sum, side)| match side {
                Side::Free(target) if *sum > 0.0 => sum - target,
                _ => 0.0,
            })
            .collect()
    }

    /// The next point: H d = -g to a relative accuracy of `forcing`, then backtracking along d.
    /// None where no step decreases phi.
    fn newton_step(&mut self, point: &Point, forcing: f64) -> Option<Point> {
        let gradient = self.gradient(point);
        let direction = self.conjugate_gradients(point, &gradient, forcing);
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let longest = direction.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        if slope.is_nan() || slope >= 0.0 {
            return None;
        }
        let norm = |g: &[f64]| g.iter().map(|g| g * g).sum::<f64>();
        let before = norm(&gradient);
        let mut length = (MAX_STEP / longest).min(1.0);
        for _ in 0..30 {
            let v = point.v.iter().zip(&direction).map(|(v, d)| v + length * d).collect();
            let next = self.point_at(v);
            // Close to the solution phi no longer shows the progress in its last digits: there only
            // a smaller gradient does.
            let promised = -1e-4 * length * slope;
            let decreased =
                promised > PHI_ROUNDING * point.phi_magnitude && next.phi <= point.phi - promised;
            let gradient_after = norm(&self.gradient(&next));
            if gradient_after.is_finite() && (decreased || gradient_after < 0.25 * before) {
                return Some(next);
            }
            length /= 2.0;
        }
        None
    }

    /// Where every row and column is scaled, H is blind to a factor common to all columns, and the
    /// part of a residual along it is rounding: takes it out, in proportion to the targets.
    fn remove_common_factor(&self, residual: &mut [f64]) {
        let fixed = |side: &Side| *side == Side::Fixed;
        if self.rows.iter().any(fixed) || self.columns.iter().any(fixed) {
            return;
        }
        let target = |side: &Side| if let Side::Free(target) = side { *target } else { 0.0 };
        let total: f64 = self.columns.iter().map(target).sum();
        let share = residual.iter().sum::<f64>() / total;
        for (r, side) in residual.iter_mut().zip(&self.columns) {
            *r -= share * target(side);
        }
    }

    /// Solves `H d = -g` until the residual is `forcing` times the gradient, both in the norm of the
    /// preconditioner.
    fn conjugate_gradients(&mut self, point: &Point, gradient: &[f64], forcing: f64) -> Vec<f64> {
        let hessian = Hessian::new(self, point);
        self.half_sweeps += 1;
        let n = gradient.len();
        let mut d = vec![0.0; n];
        let mut r: Vec<f64> = gradient.iter().map(|g| -g).collect();
        self.remove_common_factor(&mut r);
        let precondition = |r: &[f64]| -> Vec<f64> {
            r.iter()
                .zip(&hessian.diagonal)
                .map(|(r, h)| if *h > 0.0 { r / h } else { 0.0 })
                .collect()
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut z = precondition(&r);
        let mut p = z.clone();
        let mut rz = dot(&r, &z);
        let goal = rz * forcing * forcing;
        for _ in 0..MAX_CG {
            if rz <= goal || rz == 0.0 {
                break;
            }
            let hp = hessian.times(self, &p);
            self.half_sweeps += 2;
            let curvature = dot(&p, &hp);
            // Directions without curvature (a factor common to a part that is linked to no other)
            // carry no gradient, but rounding can reach them.
            let scale: f64 = p.iter().zip(&point.column_sums).map(|(p, s)| p * p * s).sum();
            if !(curvature > FLAT * scale && curvature.is_finite()) {
                break;
            }
            let alpha = rz / curvature;
            for k in 0..n {
                d[k] += alpha * p[k];
                r[k] -= alpha * hp[k];
            }
            self.remove_common_factor(&mut r);
            z = precondition(&r);
            let next = dot(&r, &z);
            let beta = next / rz;
            rz = next;
            for k in 0..n {
                p[k] = z[k] + beta * p[k];
            }
        }
        d
    }
}

/// The Hessian at a point, as an operator.
struct Hessian<'p> {
    point: &'p Point,
    /// `x_p / r_p` on the free rows, 0 elsewhere.
    row_weights: Vec<f64>,
    free_columns: Vec<bool>,
    diagonal: Vec<f64>,
}

impl<'p> Hessian<'p> {
    /// Computes the diagonal, `sum_p b_pq - b_pq^2 / r_p`: one half-sweep.
    fn new(dual: &Dual, point: &'p Point) -> Self {
        let x = &point.factors.origin;
        let row_weights: Vec<f64> = dual
            .rows
            .iter()
            .zip(x)
            .map(|(side, x)| if let Side::Free(target) = side { x / target } else { 0.0 })
            .collect();
        let free_columns: Vec<bool> =
            dual.columns.iter().map(|side| matches!(side, Side::Free(_))).collect();
        let squares = dual.passes.column_totals(|rows, out| {
            for i in rows {
                let (columns, values) = dual.table.row(i);
                let weight = x[i] * row_weights[i];
                for (&j, &a) in columns.iter().zip(values) {
                    out[j as usize] += weight * a * a;
                }
            }
        });
        let y = &point.factors.destination;
        let diagonal = (0..y.len())
            .map(|j| {
                if free_columns[j] { point.column_sums[j] - squares[j] * y[j] * y[j] } else { 0.0 }
            })
            .collect();
        Self { point, row_weights, free_columns, diagonal }
    }

    /// `H z = diag(B' 1) z - B' diag(1/r) B z`: two half-sweeps.
    fn times(&self, dual: &Dual, z: &[f64]) -> Vec<f64> {
        let Point { factors, column_sums, .. } = self.point;
        let y = &factors.destination;
        let by_row = Scaling {
            origin: factors.origin.clone(),
            destination: y.iter().zip(z).map(|(y, z)| y * z).collect(),
            stayers: Vec::new(),
            blocks: Vec::new(),
        };
        let rows = dual.passes.origin_sums(&by_row);
        let by_column = Scaling {
            origin: rows.iter().zip(&self.row_weights).map(|(s, w)| s * w).collect(),
            destination: y.clone(),
            stayers: Vec::new(),
            blocks: Vec::new(),
        };
        let back = dual.passes.destination_sums(&by_column);
        (0..z.len())
            .map(|j| if self.free_columns[j] { column_sums[j] * z[j] - back[j] } else { 0.0 })
            .collect()
    }
}
