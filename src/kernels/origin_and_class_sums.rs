//! Movers leaving each origin and movers between classes, in one pass.

use super::{Lanes, Weights, add_lanes_of_class, scatter_to_classes};
use crate::matrix::{Csr, Value};

/// For origins i of `rows` that share their block factors B, with weights `w_j = d_j B(i, j)`:
///
/// ```text
/// origin_sums[k] = o_i * sum_j s_ij w_j                              i = rows[k]
/// out[q] += sum_{i in rows} sum_{j: class_of[j] = q} o_i s_ij w_j
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
    class_of: &[u32],
    origin_sums: &mut [f64],
    out: &mut [Lanes],
) {
    assert_eq!(origin_sums.len(), rows.len(), "one sum per origin");
    assert_eq!(class_of.len(), movers.columns(), "one class per destination");
    for (&i, row_sum) in rows.iter().zip(origin_sums) {
        let i = i as usize;
        let (columns, values) = movers.row(i);
        let (mut sums, o) = (Lanes::default(), origin[i]);
        let mut add = |lane: usize, flow: f64| {
            sums[lane] += flow;
            o * flow
        };
        match weights {
            Weights::Ones => {
                scatter_to_classes(columns, values, class_of, out, |lane, _, _, v| add(lane, v));
            }
            Weights::Classes(w) => {
                let flow = |lane, _, q: usize, v: f64| add(lane, v * w[q]);
                scatter_to_classes(columns, values, class_of, out, flow);
            }
            Weights::Destinations(w) => {
                let flow = |lane, j: usize, _, v: f64| add(lane, v * w[j]);
                scatter_to_classes(columns, values, class_of, out, flow);
            }
            Weights::Blocks(_) => panic!("expected weights that the origins share"),
        }
        *row_sum = o * add_lanes_of_class(&sums);
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
            let (mut origins, mut out) = ([0.0; 2], [Lanes::default(); 2]);
            origin_and_class_sums(
                samples::matrix().movers(),
                &scaling.origin,
                weights,
                &[0, 2],
                classes.cell_of(),
                &mut origins,
                &mut out,
            );
            assert_eq!((origins, out.map(|lanes| lanes.iter().sum())), expected, "{weights:?}");
        };
        by_hand(&Weights::Destinations(&of_units), ([64.0, 128.0], [48.0, 144.0]));
        // Toward a 2, toward b 8: 0->1 16, 0->2 6, 2->1 128.
        by_hand(&Weights::Classes(vec![2.0, 8.0]), ([22.0, 128.0], [6.0, 144.0]));
        by_hand(&Weights::Ones, ([5.0, 16.0], [3.0, 18.0]));
    }
}
