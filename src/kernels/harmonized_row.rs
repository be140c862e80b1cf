//! Writing the harmonized matrix.

use crate::ipf::Scaling;
use crate::matrix::{Csr, Value};

/// Adds the harmonized movers of origin i to `flows`: `o_i s_ij d_j B(i, j)`, in persons, in the
/// order of the row's columns.
pub fn harmonized_row<V: Value>(
    movers: &Csr<V>,
    scaling: &Scaling,
    i: usize,
    flows: &mut Vec<f64>,
) {
    let (columns, values) = movers.row(i);
    let (origin, d) = (scaling.origin[i], scaling.destination.as_slice());
    let entries = columns.iter().zip(values).map(|(&j, &v)| {
        let j = j as usize;
        (j, origin * v.into() * d[j])
    });
    match scaling.blocks.as_slice() {
        [] => flows.extend(entries.map(|(_, flow)| flow)),
        [block] => {
            let block = block.row(i);
            flows.extend(entries.map(|(j, flow)| flow * block.factor(j)));
        }
        blocks => flows.extend(
            entries
                .map(|(j, flow)| blocks.iter().fold(flow, |f, block| f * block.row(i).factor(j))),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn by_hand() {
        let mut flows = vec![99.0];
        harmonized_row(samples::matrix().movers(), &samples::scaling(), 0, &mut flows);
        assert_eq!(flows, [99.0, 16.0, 48.0]);
    }
}
