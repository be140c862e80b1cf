//! The passes over entries, one file each, sequential: in `f64`, and beside it in [`fixed`]-point,
//! bit for bit what the shader of the same name computes.
//!
//! Each works on a range or list of rows; [`crate::ipf`] splits a matrix into fixed ranges, runs
//! them in parallel and combines their results in a fixed order, so that the bits of every sum
//! are the same for any number of threads.

mod class_sums;
mod classes;
mod destination_sums;
pub mod factors;
pub mod fixed;
mod harmonized_row;
mod l1_change;
mod origin_and_class_sums;
mod origin_step;
mod origin_sums;
mod weights;

pub use class_sums::{class_sums, fixed_class_sums};
pub use classes::ClassSums;
pub use destination_sums::{destination_sums, fixed_destination_sums};
pub use harmonized_row::harmonized_row;
pub use l1_change::{fixed_l1_change, l1_change};
pub use origin_and_class_sums::origin_and_class_sums;
pub use origin_step::{Destination, origin_step, origin_step_to_classes};
pub use origin_sums::{fixed_origin_sums, origin_sums};
pub use weights::{Weights, of_classes};

use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// Entries taken together. The additions of one chain wait for each other, those of eight do not;
/// and eight neighboring columns, as in dense rows, are loaded and stored as vectors.
const LANES: usize = 8;

/// `sum_j s_ij w_ij` over the movers of origin i, with weights w.
#[inline]
fn row_sum<V: Value>(movers: &Csr<V>, weights: &Weights, i: usize) -> f64 {
    let (columns, values) = movers.row(i);
    match weights {
        Weights::Ones => weighted_sum(columns, values, |_| 1.0),
        Weights::Classes(classes, w) => {
            let class_of = classes.cell_of();
            weighted_sum(columns, values, |j| w[class_of[j] as usize])
        }
        Weights::Destinations(d) => {
            assert_eq!(d.len(), movers.columns(), "one factor per destination");
            dot(columns, values, d)
        }
        Weights::Blocks(scaling) => {
            let d = scaling.destination.as_slice();
            match scaling.blocks.as_slice() {
                [block] => {
                    let block = block.row(i);
                    weighted_sum(columns, values, |j| d[j] * block.factor(j))
                }
                blocks => {
                    let weight = |j: usize| blocks.iter().fold(d[j], |w, b| w * b.row(i).factor(j));
                    weighted_sum(columns, values, weight)
                }
            }
        }
    }
}

/// `out[j] += origin s_ij B(i, j)` over the movers of origin i, whose factor is `origin`.
#[inline]
fn add_row<V: Value>(movers: &Csr<V>, scaling: &Scaling, i: usize, origin: f64, out: &mut [f64]) {
    let (columns, values) = movers.row(i);
    assert_eq!(out.len(), movers.columns(), "one sum per destination");
    match scaling.blocks.as_slice() {
        [] => scatter(columns, values, out, |_, v| origin * v),
        [block] => {
            let block = block.row(i);
            scatter(columns, values, out, |j, v| origin * v * block.factor(j));
        }
        blocks => scatter(columns, values, out, |j, v| {
            blocks.iter().fold(origin * v, |f, block| f * block.row(i).factor(j))
        }),
    }
}

/// The first of these columns of a row, if they are neighbors.
#[inline]
fn first_of_run(columns: [u32; LANES]) -> Option<usize> {
    // Columns of a row strictly increase.
    (columns[LANES - 1] - columns[0] == LANES as u32 - 1).then_some(columns[0] as usize)
}

/// Sum of `values[k] * weight(columns[k])`, over interleaved partial sums.
#[inline]
fn weighted_sum<V: Value>(columns: &[u32], values: &[V], weight: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (columns, last_columns) = columns.as_chunks::<LANES>();
    let (values, last_values) = values.as_chunks::<LANES>();
    for (c, v) in columns.iter().zip(values) {
        for lane in 0..LANES {
            sums[lane] += v[lane].into() * weight(c[lane] as usize);
        }
    }
    add_lanes(sums, last_columns, last_values, weight)
}

/// Sum of `values[k] * d[columns[k]]`, for the columns of one row of a [`Csr`], all of them below
/// the length of `d`: [`weighted_sum`], to the same bits, with neighbors loaded as vectors.
#[inline]
fn dot<V: Value>(columns: &[u32], values: &[V], d: &[f64]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (columns, last_columns) = columns.as_chunks::<LANES>();
    let (values, last_values) = values.as_chunks::<LANES>();
    // SAFETY: the only caller passes a row of a Csr, whose columns are below its number of columns,
    // and has checked that this is the length of d.
    let d_of = |j: usize| unsafe { *d.get_unchecked(j) };
    for (c, v) in columns.iter().zip(values) {
        if let Some(first) = first_of_run(*c) {
            let d = &d[first..first + LANES];
            for lane in 0..LANES {
                sums[lane] += v[lane].into() * d[lane];
            }
        } else {
            for lane in 0..LANES {
                sums[lane] += v[lane].into() * d_of(c[lane] as usize);
            }
        }
    }
    add_lanes(sums, last_columns, last_values, d_of)
}

/// Adds the entries after the last eight to their lanes, and the lanes up.
#[inline]
fn add_lanes<V: Value>(
    mut sums: [f64; LANES],
    columns: &[u32],
    values: &[V],
    weight: impl Fn(usize) -> f64,
) -> f64 {
    for (lane, (&c, &v)) in columns.iter().zip(values).enumerate() {
        sums[lane] += v.into() * weight(c as usize);
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
}

/// `out[columns[k]] += flow(columns[k], values[k])`, for the columns of one row of a [`Csr`], all
/// of them below the length of `out`.
#[inline]
fn scatter<V: Value>(
    columns: &[u32],
    values: &[V],
    out: &mut [f64],
    flow: impl Fn(usize, f64) -> f64,
) {
    let (eights, last_columns) = columns.as_chunks::<LANES>();
    let (values, last_values) = values.as_chunks::<LANES>();
    let add = |out: &mut [f64], j: u32, v: V| {
        let j = j as usize;
        // SAFETY: the only callers pass rows of a Csr, whose columns are below its number of
        // columns, and have checked that this is the length of `out`.
        unsafe { *out.get_unchecked_mut(j) += flow(j, v.into()) };
    };
    for (c, v) in eights.iter().zip(values) {
        if let Some(first) = first_of_run(*c) {
            for (lane, sum) in out[first..first + LANES].iter_mut().enumerate() {
                *sum += flow(first + lane, v[lane].into());
            }
        } else {
            for lane in 0..LANES {
                add(out, c[lane], v[lane]);
            }
        }
    }
    for (&j, &v) in last_columns.iter().zip(last_values) {
        add(out, j, v);
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use std::sync::Arc;

    use crate::geography::Partition;
    use crate::ipf::{Entries, Groups, Margin, Scaling};
    use crate::matrix::FlowMatrix;

    /// Movers of 3 units: row 0 = [-, 2, 3], row 1 = [5, -, -], row 2 = [-, 4, -]; stayers 10, 20, 30.
    pub fn matrix() -> FlowMatrix<f64> {
        FlowMatrix::from_triplets(
            3,
            &[
                (0, 0, 10.0),
                (1, 1, 20.0),
                (2, 2, 30.0),
                (0, 1, 2.0),
                (0, 2, 3.0),
                (1, 0, 5.0),
                (2, 1, 4.0),
            ],
        )
    }

    /// Units 0 and 2 are `a`, unit 1 is `b`.
    pub fn partition() -> Arc<Partition> {
        Arc::new(Partition::from_parts("half", vec![0, 1, 0], ["a", "b"].into()))
    }

    pub fn margin(groups: impl Fn(Arc<Partition>) -> Groups, entries: Entries) -> Margin {
        Margin { groups: groups(partition()), entries }
    }

    /// Origin factors 1, 2, 4; destination factors 1, 1/2, 2; block factors a->a 8, a->b 16,
    /// b->a 1/4, b->b 1; stayers 1, 1, 1/2. All powers of two, so that sums are exact.
    pub fn scaling() -> Scaling {
        let mut scaling = Scaling::identity(3);
        scaling.origin = vec![1.0, 2.0, 4.0];
        scaling.destination = vec![1.0, 0.5, 2.0];
        scaling.apply(
            &margin(|p| Groups::Block(p.clone(), p), Entries::Movers),
            &[8.0, 16.0, 0.25, 1.0],
        );
        scaling.stayers = vec![1.0, 1.0, 0.5];
        scaling
    }
}
