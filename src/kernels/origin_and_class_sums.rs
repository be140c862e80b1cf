//! Movers leaving each origin and movers between classes, in one pass.

use super::classes::add_up;
use super::{ClassSums, Weights};
use crate::matrix::{Csr, Value};

/// For origins i of `rows` that share their block factors B, with weights `w_j = d_j B(i, j)`:
///
/// ```text
/// origin_sums[k] = o_i * sum_j s_ij w_j                              i = rows[k]
/// out_q += sum_{i in rows} sum_{j in q} o_i s_ij w_j
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and 20 to 28 to and from the cache.
///
/// # Panics
/// If the weights are [`Weights::Blocks`]: what the origins share is theirs already.
pub fn origin_and_class_sums<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weights: &Weights,
    rows: &[u32],
    origin_sums: &mut [f64],
    out: &mut ClassSums,
) {
    let with = (origin, rows, origin_sums, out);
    match weights {
        Weights::Ones => sums(movers, with, |_, _, v| v),
        Weights::Classes(_, w) => sums(movers, with, |_, q, v| v * w[q]),
        Weights::Destinations(w) => sums(movers, with, |j, _, v| v * w[j]),
        Weights::Blocks(_) => panic!("expected weights that the origins share"),
    }
}

/// The pass, with `weighted(j, q, flow)` for a flow to destination j of class q.
fn sums<V: Value>(
    movers: &Csr<V>,
    (origin, rows, origin_sums, out): (&[f64], &[u32], &mut [f64], &mut ClassSums),
    weighted: impl Fn(usize, usize, f64) -> f64,
) {
    assert_eq!(origin_sums.len(), rows.len(), "one sum per origin");
    for (&i, row_sum) in rows.iter().zip(origin_sums) {
        let (columns, values) = movers.row(i as usize);
        let (mut sums, o) = ([0.0; 4], origin[i as usize]);
        out.add_row(columns, values, |lane, j, q, v| {
            let flow = weighted(j, q, v);
            sums[lane] += flow;
            o * flow
        });
        *row_sum = o * add_up(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn by_hand() {
        // Rows 0 and 2 are in cell a of the origins: 0->1 16, 0->2 48, 2->1 128; o = 2, 4.
        let (scaling, classes) = (samples::scaling(), samples::partition());
        let row = scaling.blocks[0].row(0);
        let of_units: Vec<f64> = (0..3).map(|j| scaling.destination[j] * row.factor(j)).collect();
        assert_eq!(of_units, [8.0, 8.0, 16.0]);
        let by_hand = |weights: &Weights, expected: ([f64; 2], [f64; 2])| {
            let (mut origins, mut out) = ([0.0; 2], ClassSums::new(&classes));
            let matrix = samples::matrix();
            let (movers, o) = (matrix.movers(), &scaling.origin);
            origin_and_class_sums(movers, o, weights, &[0, 2], &mut origins, &mut out);
            assert_eq!(origins, expected.0, "{weights:?}");
            assert!(out.sums().eq(expected.1), "{weights:?}");
        };
        by_hand(&Weights::Destinations(&of_units), ([64.0, 128.0], [48.0, 144.0]));
        // Toward a 2, toward b 8: 0->1 16, 0->2 6, 2->1 128.
        by_hand(&Weights::Classes(&classes, vec![2.0, 8.0]), ([22.0, 128.0], [6.0, 144.0]));
        by_hand(&Weights::Ones, ([5.0, 16.0], [3.0, 18.0]));
    }
}
