//! The three solvers agree with a naive dense oracle and with each other, bit for bit at any number
//! of threads.

mod common;

use common::{
    Dense, SOLVERS, assert_close, constraint, dense_result, engine_name, engines, identity,
    problem, repeat, rng, scattered, values,
};
use flowrake::ipf::{
    Constraint, Engine, Entries, Groups, Margin, Problem, Solution, Solver, solve, solve_on,
};
use flowrake::matrix::FlowMatrix;
use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A constraint met exactly by `truth`.
fn met_by(truth: &Dense, name: &str, groups: Groups, entries: Entries) -> Constraint {
    let margin = Margin { groups: groups.clone(), entries };
    constraint(name, groups, entries, truth.sums(&margin))
}

/// A seed and a disturbed copy of it, whose margins can therefore be met.
fn seed_and_truth(n: usize, density: f64, rng: &mut ChaCha8Rng) -> (Dense, Dense) {
    let seed = Dense::random(n, density, rng);
    let mut truth = seed.clone();
    truth.flows.iter_mut().for_each(|f| *f *= rng.random_range(0.5..2.0));
    (seed, truth)
}

/// Every solver converges to what the oracle has after `iterations`.
fn assert_as_oracle(
    engines: &[Engine],
    seed: &Dense,
    plan: &Problem,
    solvers: &[Solver],
    iterations: u32,
    tolerance: f64,
) {
    let mut oracle = seed.clone();
    oracle.apply(plan.plan(), iterations);
    let sparse = seed.sparse();
    for engine in engines {
        for &solver in solvers {
            let name = format!("{solver}, {}", engine_name(engine));
            let solution = solve_on(engine, &sparse, plan, solver).unwrap();
            assert!(solution.converged(), "{name}: {:?}", solution.constraints);
            let result = dense_result(&sparse, &solution);
            assert_close(&name, &result.flows, &oracle.flows, tolerance);
        }
    }
}

#[test]
fn two_margins_of_scattered_groups() {
    for number in 0..5 {
        let mut rng = rng(number);
        let (seed, truth) = seed_and_truth(24, 0.4, &mut rng);
        let (p, q) = (scattered(24, 5, &mut rng), scattered(24, 4, &mut rng));
        let entries = if number % 2 == 0 { Entries::All } else { Entries::Movers };
        let columns = met_by(&truth, "columns", Groups::Destination(q), entries);
        let rows = met_by(&truth, "rows", Groups::Origin(p), entries);
        let plan = problem(24, vec![], vec![repeat(vec![columns, rows], 1e-14)]);
        assert_as_oracle(&engines(), &seed, &plan, &SOLVERS, 400, 1e-12);
    }
}

#[test]
fn the_published_order_with_blocks_and_stayers() {
    for number in 10..15 {
        let mut rng = rng(number);
        let (seed, truth) = seed_and_truth(30, 0.3, &mut rng);
        let units = identity(30);
        let (states, counties) = (scattered(30, 3, &mut rng), scattered(30, 7, &mut rng));
        let block = Groups::Block(states.clone(), states.clone());
        let by_state = Groups::Destination(states);
        let once = vec![
            met_by(&truth, "populations", Groups::Origin(units), Entries::All),
            met_by(&truth, "movers", by_state.clone(), Entries::Movers),
            met_by(&truth, "stayers", by_state, Entries::Stayers),
            met_by(&truth, "flows", block, Entries::All),
        ];
        let group = repeat(
            vec![
                met_by(&truth, "in", Groups::Destination(counties.clone()), Entries::All),
                met_by(&truth, "out", Groups::Origin(counties), Entries::All),
            ],
            1e-14,
        );
        let plan = problem(30, once, vec![group]);
        assert_as_oracle(&engines(), &seed, &plan, &SOLVERS, 600, 1e-12);
    }
}

#[test]
fn repeated_blocks_movers_and_stayers_together() {
    for number in 20..24 {
        let mut rng = rng(number);
        let (seed, truth) = seed_and_truth(20, 0.5, &mut rng);
        let (a, b) = (scattered(20, 3, &mut rng), scattered(20, 4, &mut rng));
        let group = repeat(
            vec![
                met_by(&truth, "a to b", Groups::Block(a.clone(), b.clone()), Entries::Movers),
                met_by(&truth, "b to a", Groups::Block(b.clone(), a.clone()), Entries::All),
                met_by(&truth, "stayers", Groups::Origin(b.clone()), Entries::Stayers),
                met_by(&truth, "in", Groups::Destination(b), Entries::Movers),
                met_by(&truth, "out", Groups::Origin(a), Entries::All),
            ],
            1e-14,
        );
        let plan = problem(20, vec![], vec![group]);
        // Thousands of passes in turn: one problem is enough for a software device.
        let all = engines();
        let engines = if number == 20 { &all[..] } else { &all[..2] };
        assert_as_oracle(engines, &seed, &plan, &SOLVERS[..2], 3000, 1e-11);
    }
}

/// A random problem of `n` units with `per_row` movers each, over `cells` scattered groups.
fn random_problem(n: usize, per_row: usize, cells: usize) -> (FlowMatrix<f64>, Problem) {
    let mut rng = rng(77);
    let mut triplets = Vec::new();
    for i in 0..n as u32 {
        triplets.push((i, i, rng.random_range(50.0..200.0)));
        for _ in 0..per_row {
            triplets.push((i, rng.random_range(0..n as u32), rng.random_range(0.1..10.0)));
        }
    }
    let seed = FlowMatrix::from_triplets(n, &triplets);
    let (p, q) = (scattered(n, cells, &mut rng), scattered(n, cells, &mut rng));
    let (mut rows, mut columns) = (vec![0.0; cells], vec![0.0; cells]);
    for &(i, j, flow) in &triplets {
        let flow = flow * rng.random_range(0.5..2.0);
        rows[p.cell_of()[i as usize] as usize] += flow;
        columns[q.cell_of()[j as usize] as usize] += flow;
    }
    let columns = constraint("columns", Groups::Destination(q), Entries::All, columns);
    let rows = constraint("rows", Groups::Origin(p), Entries::All, rows);
    (seed, problem(n, vec![], vec![repeat(vec![columns, rows], 1e-14)]))
}

#[test]
fn solvers_agree_on_a_million_entries() {
    let (seed, plan) = random_problem(5000, 200, 60);
    assert!(seed.nnz() > 980_000, "{} entries", seed.nnz());
    let [direct, collapsed, newton] = SOLVERS.map(|solver| {
        let solution = solve(&seed, &plan, solver).unwrap();
        assert!(solution.converged(), "{solver}: {:?}", solution.constraints);
        assert_eq!(solution.solver, solver);
        values(&seed, &solution)
    });
    assert_close("direct and collapsed", &direct, &collapsed, 1e-12);
    assert_close("direct and newton", &direct, &newton, 1e-12);
}

/// Every number of a solution, as bits.
fn bits(seed: &FlowMatrix<f64>, solution: &Solution) -> Vec<u64> {
    let history = solution
        .history
        .iter()
        .flat_map(|row| [row.max_update, row.total_update, row.max_violation, row.total_violation]);
    let mut all = values(seed, solution);
    all.extend(history);
    all.push(solution.l1_change);
    all.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let (seed, plan) = random_problem(5000, 200, 60);
    for solver in SOLVERS {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bits(&seed, &solve(&seed, &plan, solver).unwrap()))
        };
        let one = run(1);
        assert!(one == run(2), "{solver}: 1 and 2 threads differ");
        assert!(one == run(8), "{solver}: 1 and 8 threads differ");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Fitting what already fits changes nothing, and scaling all targets scales the result.
    #[test]
    fn fitted_margins_are_fixed_points(number in 0_u64..1 << 32, n in 2_usize..12) {
        let mut rng = rng(number);
        let seed = Dense::random(n, 0.6, &mut rng);
        let cells = rng.random_range(1..=n);
        let (p, q) = (scattered(n, cells, &mut rng), scattered(n, cells, &mut rng));
        let rows = met_by(&seed, "rows", Groups::Origin(p.clone()), Entries::All);
        let columns = met_by(&seed, "columns", Groups::Destination(q.clone()), Entries::All);
        let twice = |c: &Constraint, groups| {
            let targets = c.targets().iter().map(|t| 2.0 * t).collect();
            constraint(c.name(), groups, Entries::All, targets)
        };
        let doubled = vec![twice(&columns, Groups::Destination(q)), twice(&rows, Groups::Origin(p))];
        let sparse = seed.sparse();
        for solver in SOLVERS {
            let plan = problem(n, vec![], vec![repeat(vec![columns.clone(), rows.clone()], 1e-13)]);
            let solution = solve(&sparse, &plan, solver).unwrap();
            prop_assert!(solution.converged());
            assert_close("unchanged", &dense_result(&sparse, &solution).flows, &seed.flows, 1e-12);

            let plan = problem(n, vec![], vec![repeat(doubled.clone(), 1e-13)]);
            let solution = solve(&sparse, &plan, solver).unwrap();
            prop_assert!(solution.converged());
            let expected: Vec<f64> = seed.flows.iter().map(|f| 2.0 * f).collect();
            assert_close("doubled", &dense_result(&sparse, &solution).flows, &expected, 1e-12);
        }
    }

    /// "Converged" is never said of margins that do not hold in the written matrix, whatever the
    /// targets; and IPF keeps zeros and signs.
    #[test]
    fn converged_means_met(number in 0_u64..1 << 32, n in 2_usize..10, density in 0.1..0.9) {
        let mut rng = rng(number);
        let seed = Dense::random(n, density, &mut rng);
        let cells = rng.random_range(1..=n);
        let (p, q) = (scattered(n, cells, &mut rng), scattered(n, cells, &mut rng));
        let mut random = |cells: usize| -> Vec<f64> {
            let raw: Vec<f64> = (0..cells).map(|_| rng.random_range(0.1..10.0)).collect();
            let total: f64 = raw.iter().sum();
            raw.iter().map(|t| 100.0 * t / total).collect()
        };
        let columns =
            constraint("columns", Groups::Destination(q), Entries::All, random(cells));
        let rows = constraint("rows", Groups::Origin(p), Entries::All, random(cells));
        let mut group = repeat(vec![columns, rows], 1e-9);
        group.max_iterations = 500;
        let plan = problem(n, vec![], vec![group]);
        let sparse = seed.sparse();
        for solver in SOLVERS {
            let solution = solve(&sparse, &plan, solver).unwrap();
            let result = dense_result(&sparse, &solution);
            let mut worst = 0.0_f64;
            for c in plan.plan().constraints() {
                for (sum, target) in result.sums(c.margin()).iter().zip(c.targets()) {
                    worst = worst.max((sum - target).abs() / target);
                }
            }
            prop_assert_eq!(solution.converged(), worst <= 1e-9 + 1e-13, "{} {}", solver, worst);
            for (before, after) in seed.flows.iter().zip(&result.flows) {
                prop_assert!(*after >= 0.0 && (*before != 0.0 || *after == 0.0));
            }
        }
    }
}
