//! What is solved: targets that some matrix meets, since they are sums of one.

use std::sync::Arc;

use super::sample::Size;
use crate::Result;
use crate::geography::{Geography, Partition};
use crate::ipf::{
    Constraint, Cpu, Entries, Groups, Margin, Plan, Problem, Repeat, Scaling, ZeroTargets,
};
use crate::matrix::{FlowMatrix, Value};

/// Share of stayers where direct iterations are timed: so many that thousands are needed.
pub(super) const STAYERS_OF_DIRECT: f64 = 0.995;

/// Share of stayers of a usual year.
pub(super) const STAYERS_OF_PLAN: f64 = 0.87;

/// How units form larger areas.
pub(super) struct Levels {
    geography: Geography,
    pub units: Arc<Partition>,
    pub counties: Arc<Partition>,
    pub states: Arc<Partition>,
}

impl Levels {
    /// Counties of neighboring units, except that every sixteenth belongs to the next county;
    /// states of whole counties.
    pub fn new(size: &Size) -> Self {
        let Size { units, counties, states, .. } = *size;
        let county = |i: usize| (i * counties / units + usize::from(i % 16 == 5)) % counties;
        let state = |i: usize| county(i) * states / counties;
        let partition = |name: &str, cells: usize, cell: &dyn Fn(usize) -> usize| {
            let cell_of = (0..units).map(|i| cell(i) as u32).collect();
            let codes = (0..cells).map(|cell| cell.to_string()).collect();
            Arc::new(Partition::from_parts(name, cell_of, codes))
        };
        Self {
            geography: Geography::numbered(units),
            units: partition("geoid", units, &|i| i),
            counties: partition("county", counties, &county),
            states: partition("state", states, &state),
        }
    }
}

/// The scaling whose sums are the targets.
pub(super) fn truth(size: &Size) -> Scaling {
    let origin = size.factors(0, 0.7, 1.3);
    let destination = size.factors(1, 0.7, 1.3);
    let stayers = origin.iter().zip(&destination).map(|(o, d)| o * d).collect();
    Scaling { origin, destination, stayers, blocks: Vec::new() }
}

fn destination(level: &Arc<Partition>, entries: Entries) -> Margin {
    Margin { groups: Groups::Destination(level.clone()), entries }
}

fn origin(level: &Arc<Partition>, entries: Entries) -> Margin {
    Margin { groups: Groups::Origin(level.clone()), entries }
}

/// Targets of margins: the sums of the true matrix.
fn constraints<V: Value>(
    seed: &FlowMatrix<V>,
    truth: &Scaling,
    margins: Vec<Margin>,
) -> Result<Vec<Constraint>> {
    let cpu = Cpu::new(seed);
    margins
        .into_iter()
        .map(|margin| {
            let targets = cpu.cell_sums(&margin, truth);
            Constraint::new(margin.to_string(), margin, targets, None, ZeroTargets::default())
        })
        .collect()
}

/// Arrivals and departures at a level, iterated without end.
pub(super) fn direct<V: Value>(
    seed: &FlowMatrix<V>,
    size: &Size,
    levels: &Levels,
    level: &Arc<Partition>,
) -> Result<Problem> {
    let margins = vec![destination(level, Entries::All), origin(level, Entries::All)];
    let repeat = Repeat {
        constraints: constraints(seed, &truth(size), margins)?,
        max_iterations: u32::MAX,
        tolerance: 0.0,
        total_ratio_limit: 0.01,
    };
    Problem::new(&levels.geography, Plan { once: Vec::new(), repeat: vec![repeat] })
}

/// The published steps of one year.
pub(super) fn plan<V: Value>(
    seed: &FlowMatrix<V>,
    size: &Size,
    levels: &Levels,
) -> Result<Problem> {
    let Levels { units, counties, states, .. } = levels;
    let once = vec![
        origin(units, Entries::All),
        destination(states, Entries::Movers),
        destination(states, Entries::Stayers),
        Margin { groups: Groups::Block(states.clone(), states.clone()), entries: Entries::All },
    ];
    let repeated = vec![destination(counties, Entries::All), origin(counties, Entries::All)];
    let truth = truth(size);
    let repeat = Repeat {
        constraints: constraints(seed, &truth, repeated)?,
        max_iterations: 3000,
        tolerance: 1e-9,
        total_ratio_limit: 0.01,
    };
    let plan = Plan { once: constraints(seed, &truth, once)?, repeat: vec![repeat] };
    Problem::new(&levels.geography, plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_not_contiguous_and_none_is_empty() {
        for size in [Size::SMALL, Size::custom(200, 800)] {
            let levels = Levels::new(&size);
            for (level, cells) in [(&levels.counties, size.counties), (&levels.states, size.states)]
            {
                let (ptr, _) = level.members();
                assert_eq!(ptr.len(), cells + 1);
                assert!(ptr.windows(2).all(|w| w[0] < w[1]), "{ptr:?}");
                assert!(!level.cell_of().is_sorted(), "{}", level.name());
            }
        }
    }
}
