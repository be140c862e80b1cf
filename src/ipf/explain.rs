//! Why margins cannot be met: names, numbers, and what can be done.

use super::cpu::Cpu;
use super::group::Group;
use super::margin::Groups;
use super::plan::Goal;
use super::solution::Infeasible;
use super::transport::{self, Bipartite, Deficit};
use super::{Constraint, Scaling};
use crate::matrix::Value;

/// Cells named one by one before the rest are only counted.
const MAX_CELLS: usize = 50;

/// Codes listed of a guilty set.
const MAX_CODES: usize = 20;

/// Deficits below this share of a total are rounding of the targets.
const TOTAL_ROUNDING: f64 = 1e-9;

/// Cells of a constraint that cannot reach their target whatever the factors: empty cells with a
/// positive target, and cells left alone because their target is 0.
///
/// `sums` are those of the harmonized matrix, `seed_sums` those of the seed.
pub(super) fn unreachable_cells(
    constraint: &Constraint,
    scale: f64,
    sums: &[f64],
    seed_sums: impl FnOnce() -> Vec<f64>,
) -> Vec<Infeasible> {
    let margin = constraint.margin();
    let mut seed_sums = Some(seed_sums);
    let mut seed = Vec::new();
    let mut found = Vec::new();
    let mut more = 0;
    for (cell, &sum) in sums.iter().enumerate() {
        let goal = constraint.goal(cell).scaled(scale);
        let reason = match goal {
            Goal::Equal(target) if target > 0.0 && sum == 0.0 => {
                if let Some(compute) = seed_sums.take() {
                    seed = compute();
                }
                if seed[cell] > 0.0 {
                    format!(
                        "target {} but an earlier target of 0 emptied it ({} persons in the seed): \
                         make the zero targets agree, or use zero_targets = \"keep\"",
                        persons(target),
                        persons(seed[cell])
                    )
                } else {
                    format!(
                        "target {} but the seed has no flow here: add some to the seed, set the \
                         target to 0, or aggregate to a coarser level",
                        persons(target)
                    )
                }
            }
            Goal::KeptZero if sum > 0.0 => format!(
                "target 0 but {} persons remain, since zero targets are left alone: use \
                 zero_targets = \"enforce\" to empty it, \"cap\" with a margin of error, or drop \
                 the target",
                persons(sum)
            ),
            _ => continue,
        };
        if found.len() == MAX_CELLS {
            more += 1;
            continue;
        }
        found.push(Infeasible {
            constraint: constraint.name().to_owned(),
            cell: margin.label(cell),
            reason,
        });
    }
    if more > 0 {
        found.push(Infeasible {
            constraint: constraint.name().to_owned(),
            cell: format!("{more} more"),
            reason: "as the cells above".to_owned(),
        });
    }
    found
}

/// Totals of a group's constraints that differ beyond the limit.
pub(super) fn differing_totals(group: &Group) -> Vec<Infeasible> {
    let differing = group.mismatches.iter().filter(|m| group.beyond_limit(m.ratio()));
    differing
        .map(|mismatch| {
            let ratio = mismatch.ratio();
            let names: Vec<&str> =
                mismatch.rescaled.iter().map(|&k| group.constraints[k].name()).collect();
            Infeasible {
                constraint: format!(
                    "{} / {}",
                    names.join(" + "),
                    group.constraints[mismatch.reference].name()
                ),
                cell: "all".to_owned(),
                reason: format!(
                    "the targets sum to {} and {}, a ratio of {ratio:.9}: {:.3} % apart, more than \
                     total_ratio_limit = {} allows; correct the targets, or raise the limit to \
                     have the first rescaled to the second",
                    persons(mismatch.total),
                    persons(mismatch.reference_total),
                    100.0 * (ratio - 1.0).abs(),
                    group.total_ratio_limit
                ),
            }
        })
        .collect()
}

/// For every two constraints of the group, sets of cells that need more than the cells they share
/// entries with can take (Hall's condition, by maximum flow).
pub(super) fn guilty_sets<V: Value>(
    cpu: &Cpu<V>,
    group: &Group,
    start: &Scaling,
) -> Vec<Infeasible> {
    let mut found = Vec::new();
    for a in 0..group.constraints.len() {
        for b in a + 1..group.constraints.len() {
            // Origins before destinations, so that sentences read in the direction of moving.
            let (a, b) = match &group.constraints[b].margin().groups {
                Groups::Origin(_) => (b, a),
                _ => (a, b),
            };
            // With equal totals the two directions find complements of one cut: the smaller set
            // of cells says more.
            let deficits = [(a, b), (b, a)].map(|(left, right)| {
                let (graph, slack) = SharedEntries::new(cpu, group, left, right, start);
                let deficit = transport::left_deficit(&graph.bipartite(), TOTAL_ROUNDING);
                deficit.map(|deficit| (left, right, deficit, slack))
            });
            let smallest = deficits
                .into_iter()
                .flatten()
                .min_by_key(|(_, _, deficit, _)| deficit.left.len() + deficit.right.len());
            if let Some((left, right, deficit, slack)) = smallest {
                found.push(describe(group, left, right, &deficit, slack));
            }
        }
    }
    found
}

/// Which cells of two constraints share entries: left cells with their targets, right cells with
/// theirs, and one right cell without bound for the entries that only the left constraint counts.
struct SharedEntries {
    left: Vec<f64>,
    right: Vec<f64>,
    row_ptr: Vec<u64>,
    col_idx: Vec<u32>,
}

impl SharedEntries {
    fn new<V: Value>(
        cpu: &Cpu<V>,
        group: &Group,
        left: usize,
        right: usize,
        start: &Scaling,
    ) -> (Self, u32) {
        let capacities = |k: usize, empty: f64| -> Vec<f64> {
            let sums = group.start_sums[k].iter().enumerate();
            sums.map(|(cell, &sum)| match group.goal(k, cell) {
                Goal::Equal(target) if sum > 0.0 => target,
                Goal::AtMost(limit) if empty > 0.0 => limit,
                _ => empty,
            })
            .collect()
        };
        let mut graph = Self {
            left: capacities(left, 0.0),
            right: capacities(right, f64::INFINITY),
            row_ptr: vec![0],
            col_idx: Vec::new(),
        };
        let slack = graph.right.len() as u32;
        graph.right.push(f64::INFINITY);

        let (from, to) = (group.constraints[left].margin(), group.constraints[right].margin());
        let matrix = cpu.matrix();
        let for_each = |edge: &mut dyn FnMut(usize, u32)| {
            for i in 0..matrix.units() {
                let shared = |j, counts: bool| if counts { to.cell(i, j) as u32 } else { slack };
                if from.entries.movers() {
                    let (columns, values) = matrix.movers().row(i);
                    for (&j, &value) in columns.iter().zip(values) {
                        let j = j as usize;
                        if value.into() * start.mover(i, j) > 0.0 {
                            edge(from.cell(i, j), shared(j, to.entries.movers()));
                        }
                    }
                }
                if from.entries.stayers() && matrix.stayers()[i] * start.stayers[i] > 0.0 {
                    edge(from.cell(i, i), shared(i, to.entries.stayers()));
                }
            }
        };
        // Sorted by left cell by counting; the matrix may have as many entries as edges.
        let mut next = vec![0_usize; graph.left.len() + 1];
        for_each(&mut |from, _| next[from + 1] += 1);
        for cell in 0..graph.left.len() {
            next[cell + 1] += next[cell];
        }
        let starts = next.clone();
        let mut all = vec![0_u32; next[graph.left.len()]];
        for_each(&mut |from, to| {
            all[next[from]] = to;
            next[from] += 1;
        });
        let mut seen_from = vec![u32::MAX; graph.right.len()];
        for (cell, range) in (0_u32..).zip(starts.windows(2)) {
            for &to in &all[range[0]..range[1]] {
                if std::mem::replace(&mut seen_from[to as usize], cell) != cell {
                    graph.col_idx.push(to);
                }
            }
            graph.row_ptr.push(graph.col_idx.len() as u64);
        }
        (graph, slack)
    }

    fn bipartite(&self) -> Bipartite<'_> {
        Bipartite {
            left: &self.left,
            right: &self.right,
            row_ptr: &self.row_ptr,
            col_idx: &self.col_idx,
        }
    }
}

fn describe(group: &Group, left: usize, right: usize, deficit: &Deficit, slack: u32) -> Infeasible {
    let (from, to) = (&group.constraints[left], &group.constraints[right]);
    let guilty = codes(from, &deficit.left);
    let neighbors: Vec<u32> = deficit.right.iter().copied().filter(|&q| q != slack).collect();
    let takers = if neighbors.is_empty() { "no cell".to_owned() } else { codes(to, &neighbors) };
    Infeasible {
        constraint: pair_name(group, left, right),
        cell: guilty.clone(),
        reason: format!(
            "`{}` asks for {} persons in {guilty}, but all seed flows there are in {takers} of \
             `{}`, which may hold only {}: {} too many; lower the first targets, raise the second, \
             or add flows that connect {guilty} with other cells to the seed",
            from.name(),
            persons(deficit.needed),
            to.name(),
            persons(deficit.available),
            persons(deficit.needed - deficit.available)
        ),
    }
}

/// Persons with at most six decimals, or in powers of ten where that says nothing.
fn persons(number: f64) -> String {
    if number != 0.0 && !(1e-3..1e15).contains(&number.abs()) {
        return format!("{number:e}");
    }
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn pair_name(group: &Group, a: usize, b: usize) -> String {
    format!("{} / {}", group.constraints[a].name(), group.constraints[b].name())
}

fn codes(constraint: &Constraint, cells: &[u32]) -> String {
    let listed: Vec<String> =
        cells.iter().take(MAX_CODES).map(|&c| constraint.margin().label(c as usize)).collect();
    let more = cells.len().saturating_sub(MAX_CODES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", listed.join(", "))
}
