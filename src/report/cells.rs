//! Every targeted cell before and after: how far off it was, how far off it is, what changed most.

use std::fmt::Write as _;
use std::io::Write;

use crate::ipf::{CellChange, Constraint, Problem};

/// Cells named per constraint in [`cells_summary`].
const NAMED: usize = 3;

/// Writes `constraint,cell,target,seed,harmonized` and what both differ by from the target; persons.
///
/// # Errors
/// If the file cannot be written.
pub fn write_cells(
    problem: &Problem,
    changes: &[Vec<CellChange>],
    file: impl Write,
) -> std::io::Result<()> {
    let mut out = csv::Writer::from_writer(file);
    out.write_record([
        "constraint",
        "cell",
        "target",
        "seed",
        "harmonized",
        "violation_before",
        "violation_after",
    ])?;
    for (constraint, cells) in problem.plan().constraints().zip(changes) {
        for change in cells {
            let [before, after] = [change.seed, change.harmonized].map(|sum| sum - change.target);
            let numbers = [change.target, change.seed, change.harmonized, before, after];
            let texts = numbers.map(|number| number.to_string());
            let label = constraint.margin().label(change.cell);
            out.write_record(
                [constraint.name(), &label].into_iter().chain(texts.iter().map(String::as_str)),
            )?;
        }
    }
    out.flush()
}

/// A table of the violations before and after, and the cells that changed most by constraint.
pub fn cells_summary(problem: &Problem, changes: &[Vec<CellChange>]) -> String {
    let names: Vec<&str> = problem.plan().constraints().map(Constraint::name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut out = format!(
        "{:width$}  {:>14}  {:>14}  {:>12}  {:>12}\n",
        "persons off their targets", "before", "after", "worst before", "worst after"
    );
    let mut most = String::from("changed most\n");
    for (constraint, cells) in problem.plan().constraints().zip(changes) {
        let total = |sum: fn(&CellChange) -> f64| -> f64 {
            cells.iter().map(|change| (sum(change) - change.target).abs()).sum()
        };
        let worst = |sum: fn(&CellChange) -> f64| -> f64 {
            let relative = |change: &CellChange| {
                let off = (sum(change) - change.target).abs();
                if off == 0.0 { 0.0 } else { off / change.target }
            };
            cells.iter().map(relative).filter(|r| r.is_finite()).fold(0.0, f64::max)
        };
        writeln!(
            out,
            "{:width$}  {:>14.3}  {:>14.3}  {:>12.3e}  {:>12.3e}",
            constraint.name(),
            total(|c| c.seed),
            total(|c| c.harmonized),
            worst(|c| c.seed),
            worst(|c| c.harmonized)
        )
        .expect("a String takes any text");
        let change = |c: &CellChange| (c.harmonized - c.seed).abs();
        let mut order: Vec<&CellChange> = cells.iter().collect();
        order.sort_by(|a, b| change(b).total_cmp(&change(a)).then(a.cell.cmp(&b.cell)));
        let named: Vec<String> = order
            .iter()
            .take(NAMED)
            .map(|c| {
                let label = constraint.margin().label(c.cell);
                format!("{label} {:.0} to {:.0}", c.seed, c.harmonized)
            })
            .collect();
        writeln!(most, "{:width$}  {}", constraint.name(), named.join("; "))
            .expect("a String takes any text");
    }
    out + &most
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geography::{Geography, Level, Partition};
    use crate::ipf::{
        Entries, Groups, Margin, Plan, Repeat, Solver, ZeroTargets, cell_changes, solve,
    };
    use crate::matrix::FlowMatrix;

    #[test]
    fn before_and_after_by_hand() {
        // Stayers 3 and 1, one mover from 0 to 1; targets of origins 8 and 1, none for a third.
        let seed = FlowMatrix::<f64>::from_triplets(3, &[(0, 0, 3.0), (1, 1, 1.0), (0, 1, 1.0)]);
        let units = Geography::numbered(3);
        let level = Arc::new(Partition::new(&units, &Level::Geoid).unwrap());
        let margin = Margin { groups: Groups::Origin(level), entries: Entries::All };
        let targets = vec![8.0, 1.0, f64::NAN];
        let constraint =
            Constraint::new("origins", margin, targets, None, ZeroTargets::Keep).unwrap();
        let repeat = Repeat {
            constraints: vec![constraint],
            max_iterations: 10,
            tolerance: 1e-9,
            total_ratio_limit: 0.01,
        };
        let plan = Plan { once: Vec::new(), repeat: vec![repeat] };
        let problem = Problem::new(&units, plan).unwrap();
        let solution = solve(&seed, &problem, Solver::Direct).unwrap();
        let changes = cell_changes(&seed, &problem, &solution);
        let first = CellChange { cell: 0, target: 8.0, seed: 4.0, harmonized: 8.0 };
        let second = CellChange { cell: 1, target: 1.0, seed: 1.0, harmonized: 1.0 };
        assert_eq!(changes, [vec![first, second]]);
        let mut csv = Vec::new();
        write_cells(&problem, &changes, &mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert_eq!(csv.lines().nth(1).unwrap(), "origins,0,8,4,8,-4,0");
        assert_eq!(csv.lines().count(), 3);
        let text = cells_summary(&problem, &changes);
        let words = |line: usize| -> Vec<&str> {
            text.lines().nth(line).unwrap().split_whitespace().collect()
        };
        assert_eq!(words(1), ["origins", "4.000", "0.000", "5.000e-1", "0.000e0"]);
        assert_eq!(words(3), ["origins", "0", "4", "to", "8;", "1", "1", "to", "1"]);
    }
}
