//! Reconciles sparse origin-destination matrices with known totals by iterative proportional
//! fitting (IPF, also called raking).
//!
//! Given a seed S (persons who lived in area i a year ago and in j now, biased but fine-grained)
//! and margins whose totals are known, find the matrix closest to S in relative entropy that has
//! these totals:
//!
//! ```text
//! x_ij = s_ij * (one factor for every margin cell that (i, j) is in),   sum of x over a cell = target
//! ```
//!
//! The pieces, in the order a run uses them:
//!
//! - [`geography`]: area codes and how areas group into cells;
//! - [`census`]: official tables as published;
//! - [`targets`]: margins of a year from them, and the published plan;
//! - [`matrix`]: the seed, stayers apart from movers, and its files;
//! - [`plan_file`]: a TOML file that names a seed, steps and targets;
//! - [`ipf`]: margins, constraints, plans, the solvers and what they found;
//! - [`histories`]: seeds from address histories of persons;
//! - [`kernels`]: the passes over entries that everything else is made of;
//! - [`report`]: what a run leaves behind beside its matrix;
//! - [`synth`]: regions and nations with known truth to test against;
//! - [`validation`]: how close a harmonized matrix is to such a truth;
//! - [`mod@bench`]: how fast this machine does all of it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flowrake::geography::{Geography, Geoid, Level, Partition};
//! use flowrake::ipf::{self, Constraint, Entries, Groups, Margin, Plan, Problem, Repeat, Solver};
//! use flowrake::matrix::FlowMatrix;
//!
//! // Persons by origin and destination; the diagonal are those who stayed.
//! let seed = FlowMatrix::from_triplets(
//!     2,
//!     &[(0, 0, 40.0), (0, 1, 10.0), (1, 0, 5.0), (1, 1, 45.0_f64)],
//! );
//! let units = Geography::new(vec![Geoid::new("06037"), Geoid::new("36061")])?;
//! let counties = Arc::new(Partition::new(&units, &Level::County)?);
//!
//! let constraint = |name, groups, targets| {
//!     let margin = Margin { groups, entries: Entries::All };
//!     Constraint::new(name, margin, targets, None, Default::default())
//! };
//! let group = Repeat {
//!     constraints: vec![
//!         constraint("now", Groups::Destination(counties.clone()), vec![60.0, 60.0])?,
//!         constraint("a year ago", Groups::Origin(counties), vec![70.0, 50.0])?,
//!     ],
//!     max_iterations: 3000,
//!     tolerance: 1e-12,
//!     total_ratio_limit: 0.01,
//! };
//! let problem = Problem::new(&units, Plan { once: vec![], repeat: vec![group] })?;
//!
//! let solution = ipf::solve(&seed, &problem, Solver::Auto)?;
//! assert!(solution.converged());
//! let stayed = 40.0 * solution.scaling.stayers[0];
//! let moved = 10.0 * solution.scaling.mover(0, 1);
//! assert!((stayed + moved - 70.0).abs() < 1e-9);
//! # Ok::<(), flowrake::Error>(())
//! ```

pub mod bench;
pub mod census;
mod columns;
mod counts;
pub mod error;
pub mod geography;
pub mod gpu;
pub mod histories;
mod input;
pub mod ipf;
pub mod kernels;
pub mod matrix;
pub mod output;
pub mod plan_file;
pub mod report;
mod scratch;
pub mod synth;
pub mod table;
pub mod targets;
pub mod texts;
pub mod validation;

pub use error::{Error, Result};
