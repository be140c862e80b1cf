//! Targets of a year from census tables, and the published plan that uses them.
//!
//! [`Areas`] are the units of a matrix by codes that all vintages share, [`Change`] the population
//! estimates of a year, [`YearTargets`] what follows for counties and states, [`populations`] the
//! populations of the units, [`Step`] and [`plan_toml`] the plan, and [`mismatches`] says where the
//! sources contradict each other. [`Tables`] reads everything for some years, [`YearFolder`] is what
//! is written of one.

mod areas;
mod folder;
mod mismatch;
pub mod nnls;
mod plan;
mod populations;
mod tables;
mod year;
mod yearly_populations;

pub use areas::Areas;
pub use folder::{Report, StepChoice, YearFolder};
pub use mismatch::{Mismatch, NATION, mismatches};
pub use plan::{PlanOptions, PlanSteps, Step, plan_toml};
pub use populations::{AreaTable, UnitPopulations, populations};
pub use tables::{Sources, Tables};
pub use year::{Change, Components, YearTargets};
pub use yearly_populations::{Source, YearlyPopulations};
