//! The three solvers agree with a naive dense oracle and with each other.

mod common;

use common::{
    Dense, SOLVERS, assert_close, constraint, dense_result, identity, partition, problem, repeat,
    rng, scattered, values,
};
use flowrake::ipf::{Entries, Groups, Solver, solve};
use flowrake::matrix::FlowMatrix;
use proptest::prelude::*;
use rand::RngExt;

/// Targets that can be met exactly: the sums of a disturbed copy of the seed.
fn reachable(truth: &Dense, groups: Groups, entries: Entries) -> Vec<f64> {
    truth.sums(&flowrake::ipf::Margin { groups, entries })
}

#[test]
fn two_margins_of_scattered_groups() {
    for seed in 0..5 {
        let mut rng = rng(seed);
        let start = Dense::random(24, 0.4, &mut rng);
        let mut truth = start.clone();
        truth.flows.iter_mut().for_each(|f| *f *= rng.random_range(0.5..2.0));
        let (p, q) = (scattered(24, 5, &mut rng), scattered(24, 4, &mut rng));
        let rows = reachable(&truth, Groups::Origin(p.clone()), Entries::All);
        let columns = reachable(&truth, Groups::Destination(q.clone()), Entries::All);
        let plan = problem(
            24,
            vec![],
            vec![repeat(
                vec![
                    constraint("columns", Groups::Destination(q), Entries::All, columns),
                    constraint("rows", Groups::Origin(p), Entries::All, rows),
                ],
                1e-14,
            )],
        );
        let mut oracle = start.clone();
        oracle.apply(plan.plan(), 400);
        for solver in SOLVERS {
            let sparse = start.sparse();
            let solution = solve(&sparse, &plan, solver).unwrap();
            assert!(solution.converged(), "{solver}: {:?}", solution.constraints);
            let result = dense_result(&sparse, &solution);
            assert_close(&format!("{solver}"), &result.flows, &oracle.flows, 1e-12);
        }
    }
}
