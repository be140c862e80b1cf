//! Iterative proportional fitting (also called raking, RAS, Furness, Sinkhorn-Knopp).
//!
//! Find the matrix closest to a seed S, in relative entropy, whose margins meet their targets:
//!
//! ```text
//! minimize   sum_ij x_ij log(x_ij / s_ij) - x_ij
//! subject to sum of x over cell c of constraint k = target_kc    for every k, c with a target
//! ```
//!
//! Its solution is S with one factor per cell of every constraint (Deming and Stephan 1940,
//! doi:10.1214/aoms/1177731829; Csiszar 1975, doi:10.1214/aop/1176996454). A [`Plan`] says which
//! constraints, in which order; [`solve`] returns the factors as a [`Scaling`].

mod backend;
mod cells;
mod cpu;
mod engine;
mod exact;
mod explain;
mod gpu;
mod group;
mod harmonized;
mod iterate;
mod margin;
mod margins;
mod newton;
mod passes;
mod plan;
mod problem;
mod scaling;
mod solution;
mod solve;
pub mod transport;
mod twin;

pub(crate) use backend::Backend;
pub use backend::{FusedStep, SteppedCells};
pub use cells::{CellChange, cell_changes};
pub use cpu::Cpu;
pub use engine::Engine;
pub use gpu::Precision;
pub(crate) use gpu::backend_of;
pub(crate) use group::{Group, SUM_ROUNDING, Step};
pub use harmonized::Harmonized;
pub use iterate::Iterated;
pub(crate) use iterate::{Iterations, iterations_of};
pub use margin::{Entries, Groups, Margin};
pub use plan::{Constraint, Plan, Repeat, ZeroTargets};
pub use problem::Problem;
pub use scaling::{BlockFactors, Scaling};
pub use solution::{ConstraintReport, HistoryRow, Infeasible, Solution, Solver, StopReason};
pub use solve::{solve, solve_on, solve_watched};
