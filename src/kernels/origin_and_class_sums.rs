//! Movers leaving each origin and movers between classes, in one pass.

use crate::matrix::{Csr, Value};

/// For origins i of `rows` that share their block factors B, with weights `w_j = d_j B(i, j)`:
///
/// ```text
/// origin_sums[k] = o_i * sum_j s_ij w_j                              i = rows[k]
/// out[q] += sum_{i in rows} sum_{j: class_of[j] = q} o_i s_ij w_j
/// ```
///
/// in persons. Moves `4 + size(V)` bytes per entry, and about 28 to and from the cache.
pub fn origin_and_class_sums<V: Value>(
    movers: &Csr<V>,
    origin: &[f64],
    weights: &[f64],
    rows: &[u32],
    class_of: &[u32],
    origin_sums: &mut [f64],
    out: &mut [f64],
) {
    assert_eq!(origin_sums.len(), rows.len(), "one sum per origin");
    for (&i, row_sum) in rows.iter().zip(origin_sums) {
        let i = i as usize;
        let (columns, values) = movers.row(i);
        let mut sum = 0.0;
        for (&j, &v) in columns.iter().zip(values) {
            let flow = v.into() * weights[j as usize];
            sum += flow;
            out[class_of[j as usize] as usize] += origin[i] * flow;
        }
        *row_sum = origin[i] * sum;
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
        let weights: Vec<f64> = (0..3).map(|j| scaling.destination[j] * row.factor(j)).collect();
        let (mut origins, mut out) = ([0.0; 2], [0.0; 2]);
        origin_and_class_sums(
            samples::matrix().movers(),
            &scaling.origin,
            &weights,
            &[0, 2],
            classes.cell_of(),
            &mut origins,
            &mut out,
        );
        assert_eq!((origins, out), ([64.0, 128.0], [48.0, 144.0]));
    }
}
