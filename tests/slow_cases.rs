//! Cases on which plain IPF is slow: almost everyone stays.

mod common;

use common::{assert_close, constraint, identity, problem, repeat, rng, values};
use flowrake::ipf::{Entries, Groups, Problem, Solver, solve};
use flowrake::matrix::FlowMatrix;
use rand::RngExt;

/// `n` counties on a line, 99.5 % stayers, movers mostly to neighbors within `reach` and a few
/// anywhere; targets from a truth with other factors everywhere.
fn sticky(n: usize, reach: usize, seed: u64) -> (FlowMatrix<f64>, Problem) {
    let mut rng = rng(seed);
    let mut triplets = Vec::new();
    let mut truth = Vec::new();
    for i in 0..n {
        let population = rng.random_range(2.0..6.0_f64).exp() * 100.0;
        triplets.push((i as u32, i as u32, 0.995 * population));
        let mut targets: Vec<usize> = (i.saturating_sub(reach)..(i + reach + 1).min(n)).collect();
        targets.extend((0..10).map(|_| rng.random_range(0..n)));
        targets.retain(|&j| j != i);
        targets.sort_unstable();
        targets.dedup();
        let weights: Vec<f64> = targets.iter().map(|_| rng.random_range(0.1..1.0)).collect();
        let total: f64 = weights.iter().sum();
        for (&j, w) in targets.iter().zip(&weights) {
            triplets.push((i as u32, j as u32, 0.005 * population * w / total));
        }
    }
    for &(i, j, flow) in &triplets {
        let factor: f64 =
            if i == j { rng.random_range(0.98..1.02) } else { rng.random_range(0.3..3.0) };
        truth.push((i, j, flow * factor));
    }
    let truth = FlowMatrix::from_triplets(n, &truth).to_sprs();
    let (mut rows, mut columns) = (vec![0.0; n], vec![0.0; n]);
    for (&flow, (i, j)) in &truth {
        rows[i] += flow;
        columns[j] += flow;
    }
    let units = identity(n);
    let constraints = vec![
        constraint("columns", Groups::Destination(units.clone()), Entries::All, columns),
        constraint("rows", Groups::Origin(units), Entries::All, rows),
    ];
    (FlowMatrix::from_triplets(n, &triplets), problem(n, vec![], vec![repeat(constraints, 1e-10)]))
}

#[test]
fn newton_needs_at_most_150_half_sweeps() {
    for (reach, number) in [(1, 1), (3, 2), (40, 3)] {
        let (seed, plan) = sticky(3142, reach, number);
        let stayers: f64 = seed.stayers().iter().sum();
        let movers: f64 = seed.movers().values().iter().sum();
        assert!((stayers / (stayers + movers) - 0.995).abs() < 1e-9);

        let newton = solve(&seed, &plan, Solver::Newton).unwrap();
        assert!(newton.converged(), "reach {reach}: {}", newton.stop);
        assert!(newton.max_relative_violation() <= 1e-10);
        println!("reach {reach}: {} half-sweeps", newton.half_sweeps);
        assert!(newton.half_sweeps <= 150, "reach {reach}: {} half-sweeps", newton.half_sweeps);

        // Three hundred iterations of IPF are nowhere near.
        let mut short = plan.plan().clone();
        short.repeat[0].max_iterations = 300;
        let short = problem(3142, vec![], short.repeat);
        let ipf = solve(&seed, &short, Solver::Direct).unwrap();
        assert!(!ipf.converged() && ipf.half_sweeps == 600);
        assert!(ipf.max_relative_violation() > 1e-6, "reach {reach}");
    }
}

#[test]
fn newton_and_ipf_find_the_same_matrix() {
    let (seed, plan) = sticky(300, 3, 4);
    let mut tight = plan.plan().clone();
    tight.repeat[0].tolerance = 1e-13;
    let tight = problem(300, vec![], tight.repeat);
    let [newton, ipf] = [Solver::Newton, Solver::Direct].map(|solver| {
        let solution = solve(&seed, &tight, solver).unwrap();
        assert!(solution.converged(), "{solver}: {}", solution.stop);
        values(&seed, &solution)
    });
    assert_close("newton and IPF", &newton, &ipf, 1e-10);
}

#[test]
fn newton_does_not_lose_what_it_has_when_asked_for_more() {
    let (seed, plan) = sticky(800, 3, 5);
    for tolerance in [1e-12, 1e-13, 1e-14, 0.0] {
        let mut asked = plan.plan().clone();
        asked.repeat[0].tolerance = tolerance;
        let asked = problem(800, vec![], asked.repeat);
        let solution = solve(&seed, &asked, Solver::Newton).unwrap();
        let violation = solution.max_relative_violation();
        assert!(violation <= 1e-12, "tolerance {tolerance:e}: {violation:e}");
        assert!(solution.half_sweeps <= 400, "{} half-sweeps", solution.half_sweeps);
    }
}
