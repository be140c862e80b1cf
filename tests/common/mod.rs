//! Shared by the integration tests: a naive dense oracle and random problems.

#![allow(dead_code, reason = "every test binary uses its own part")]

use std::sync::Arc;

use flowrake::geography::{Geography, Partition};
use flowrake::gpu::{Device, Feature, Options};
use flowrake::ipf::{
    Constraint, Engine, Entries, Groups, Harmonized, Margin, Plan, Precision, Problem, Repeat,
    Solution, Solver, ZeroTargets,
};
use flowrake::matrix::{FlowMatrix, FlowRows, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A partition of `n` units given by the cell of each.
pub fn partition(cell_of: &[u32]) -> Arc<Partition> {
    let cells = cell_of.iter().max().map_or(0, |c| c + 1);
    let codes = (0..cells).map(|c| format!("c{c}")).collect();
    Arc::new(Partition::from_parts("test", cell_of.to_vec(), codes))
}

/// Every unit its own cell.
pub fn identity(n: usize) -> Arc<Partition> {
    partition(&(0..n as u32).collect::<Vec<_>>())
}

/// `n` units in `cells` groups that are not contiguous, none empty.
pub fn scattered(n: usize, cells: usize, rng: &mut ChaCha8Rng) -> Arc<Partition> {
    let cell_of: Vec<u32> = (0..n)
        .map(|i| if i < cells { i as u32 } else { rng.random_range(0..cells as u32) })
        .collect();
    partition(&cell_of)
}

pub fn constraint(name: &str, groups: Groups, entries: Entries, targets: Vec<f64>) -> Constraint {
    let margin = Margin { groups, entries };
    Constraint::new(name, margin, targets, None, ZeroTargets::Keep).unwrap()
}

pub fn repeat(constraints: Vec<Constraint>, tolerance: f64) -> Repeat {
    Repeat { constraints, max_iterations: 20_000, tolerance, total_ratio_limit: 0.01 }
}

pub fn problem(n: usize, once: Vec<Constraint>, repeat: Vec<Repeat>) -> Problem {
    Problem::new(&Geography::numbered(n), Plan { once, repeat }).unwrap()
}

/// A matrix written out, with its entries kept apart as movers and stayers: `[movers, stayers]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    pub n: usize,
    pub flows: Vec<f64>,
}

impl Dense {
    pub fn new(rows: &[&[f64]]) -> Self {
        Self { n: rows.len(), flows: rows.concat() }
    }

    pub fn random(n: usize, density: f64, rng: &mut ChaCha8Rng) -> Self {
        let flows = (0..n * n)
            .map(|k| {
                let kept = k / n == k % n || rng.random_bool(density);
                if kept { (rng.random_range(-2.0..2.0_f64)).exp() } else { 0.0 }
            })
            .collect();
        Self { n, flows }
    }

    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.flows[i * self.n + j]
    }

    pub fn sparse(&self) -> FlowMatrix<f64> {
        let mut triplets = Vec::new();
        for (k, &flow) in self.flows.iter().enumerate() {
            if flow != 0.0 {
                triplets.push(((k / self.n) as u32, (k % self.n) as u32, flow));
            }
        }
        FlowMatrix::from_triplets(self.n, &triplets)
    }

    fn counted(entries: Entries, i: usize, j: usize) -> bool {
        match entries {
            Entries::All => true,
            Entries::Movers => i != j,
            Entries::Stayers => i == j,
        }
    }

    /// Sums by cell, the definition written down.
    pub fn sums(&self, margin: &Margin) -> Vec<f64> {
        let mut sums = vec![0.0; margin.cells()];
        for i in 0..self.n {
            for j in 0..self.n {
                if Self::counted(margin.entries, i, j) {
                    sums[margin.cell(i, j)] += self.at(i, j);
                }
            }
        }
        sums
    }

    /// One step as published: every entry times target / current, 1 where either is 0.
    pub fn step(&mut self, constraint: &Constraint, scale: f64) {
        let margin = constraint.margin();
        let sums = self.sums(margin);
        for i in 0..self.n {
            for j in 0..self.n {
                let cell = margin.cell(i, j);
                let target = constraint.targets()[cell] * scale;
                if Self::counted(margin.entries, i, j) && target > 0.0 && sums[cell] > 0.0 {
                    self.flows[i * self.n + j] *= target / sums[cell];
                }
            }
        }
    }

    /// Applies a plan whose totals agree, `iterations` times per repeat group.
    pub fn apply(&mut self, plan: &Plan, iterations: u32) {
        for constraint in &plan.once {
            self.step(constraint, 1.0);
        }
        for group in &plan.repeat {
            for _ in 0..iterations {
                for constraint in &group.constraints {
                    self.step(constraint, 1.0);
                }
            }
        }
    }
}

/// The harmonized matrix written out.
pub fn dense_result<V: Value>(seed: &FlowMatrix<V>, solution: &Solution) -> Dense {
    let rows = Harmonized { seed, scaling: &solution.scaling };
    let n = rows.units();
    let mut flows = vec![0.0; n * n];
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for i in 0..n {
        rows.row(i, &mut columns, &mut values);
        for (&j, &flow) in columns.iter().zip(&values) {
            flows[i * n + j as usize] = flow;
        }
    }
    Dense { n, flows }
}

/// All values of the harmonized matrix, row by row.
pub fn values<V: Value>(seed: &FlowMatrix<V>, solution: &Solution) -> Vec<f64> {
    let rows = Harmonized { seed, scaling: &solution.scaling };
    let (mut columns, mut row, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..rows.units() {
        rows.row(i, &mut columns, &mut row);
        all.extend_from_slice(&row);
    }
    all
}

/// Fails with the worst entry where `a` and `b` differ by more than `tolerance` relative to it.
pub fn assert_close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    let relative =
        |(x, y): (&f64, &f64)| (x - y).abs() / x.abs().max(y.abs()).max(f64::MIN_POSITIVE);
    let worst = a.iter().zip(b).map(relative).enumerate().max_by(|p, q| p.1.total_cmp(&q.1));
    if let Some((k, difference)) = worst {
        assert!(
            difference <= tolerance,
            "{what}: entry {k}: {} and {} differ by {difference:e} relative",
            a[k],
            b[k]
        );
    }
}

pub const SOLVERS: [Solver; 3] = [Solver::Direct, Solver::Collapsed, Solver::Newton];

/// The software or real device that is there, with these features left unused.
///
/// # Panics
/// If there is none: a test that needs a device does not pass without one.
pub fn device(without: &[Feature]) -> Arc<Device> {
    let options = Options { allow_software: true, without: without.to_vec(), ..Options::default() };
    Device::open(&options).unwrap_or_else(|problem| {
        panic!("{problem}; ./test installs libvulkan1 and mesa-vulkan-drivers")
    })
}

/// Every place and arithmetic that passes can run in, but for `f32`.
pub fn engines() -> Vec<Engine> {
    let device = device(&[]);
    vec![
        Engine::Cpu,
        Engine::CpuExact,
        Engine::Gpu(device.clone(), Precision::Exact),
        Engine::Gpu(device, Precision::F64),
    ]
}

/// Short for failures.
pub fn engine_name(engine: &Engine) -> String {
    match engine {
        Engine::Gpu(_, precision) => format!("gpu {precision:?}"),
        other => format!("{other:?}"),
    }
}
