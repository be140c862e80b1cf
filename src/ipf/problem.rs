//! A seed's units and a plan that fit together.

use super::{Constraint, Plan};
use crate::geography::Geography;
use crate::{Error, Result};

/// A checked plan over the units of a matrix.
///
/// Invariants:
/// - every constraint is over the units of the geography;
/// - the plan has at least one constraint, and no repeat group is empty;
/// - tolerances and limits are >= 0 and finite, iterations at least 1.
#[derive(Clone, Debug)]
pub struct Problem {
    plan: Plan,
    units: usize,
}

impl Problem {
    /// Checks that the parts fit.
    ///
    /// # Errors
    /// Names the first part that does not.
    pub fn new(geography: &Geography, plan: Plan) -> Result<Self> {
        if plan.constraints().next().is_none() {
            return Err(Error::request(
                "the plan is empty: expected at least one [[step]] or [[repeat.step]]",
            ));
        }
        for constraint in plan.constraints() {
            let units = constraint.margin().units();
            if units != geography.len() {
                return Err(Error::request(format!(
                    "constraint `{}` is over {units} units, the matrix has {}",
                    constraint.name(),
                    geography.len()
                )));
            }
        }
        for (k, group) in plan.repeat.iter().enumerate() {
            let problem = if group.constraints.is_empty() {
                "expected at least one [[repeat.step]], found none".to_owned()
            } else if group.max_iterations == 0 {
                "max_iterations: expected at least 1, found 0".to_owned()
            } else if !(group.tolerance >= 0.0 && group.tolerance.is_finite()) {
                format!("tolerance: expected a number >= 0, found {}", group.tolerance)
            } else if !(group.total_ratio_limit >= 0.0 && group.total_ratio_limit.is_finite()) {
                let found = group.total_ratio_limit;
                format!("total_ratio_limit: expected a number >= 0, found {found}")
            } else {
                continue;
            };
            return Err(Error::request(format!("[[repeat]] number {}: {problem}", k + 1)));
        }
        Ok(Self { plan, units: geography.len() })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.units
    }

    /// The steps in order: each `once` constraint, then each repeat group.
    pub(crate) fn stages(&self) -> Vec<Stage<'_>> {
        let once = self.plan.once.iter().map(Stage::Once);
        once.chain((0..self.plan.repeat.len()).map(Stage::Repeat)).collect()
    }

    /// The constraints applied in a stage.
    pub(crate) fn constraints_of<'s>(&'s self, stage: &Stage<'s>) -> &'s [Constraint] {
        match stage {
            Stage::Once(constraint) => std::slice::from_ref(constraint),
            Stage::Repeat(group) => &self.plan.repeat[*group].constraints,
        }
    }
}

/// One stage of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage<'a> {
    /// A constraint applied a single time.
    Once(&'a Constraint),
    /// The repeat group of this number.
    Repeat(usize),
}
