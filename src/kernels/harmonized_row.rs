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
    use std::sync::Arc;

    use super::super::samples;
    use super::*;
    use crate::geography::Partition;
    use crate::ipf::{Entries, Groups};

    #[test]
    fn by_hand() {
        let (matrix, mut scaling) = (samples::matrix(), samples::scaling());
        let row = |scaling: &Scaling| {
            let mut flows = vec![99.0];
            harmonized_row(matrix.movers(), scaling, 0, &mut flows);
            flows
        };
        assert_eq!(row(&scaling), [99.0, 16.0, 48.0]);
        let all = Arc::new(Partition::from_parts("all", vec![0; 3], ["all"].into()));
        let twice = samples::margin(|_| Groups::Block(all.clone(), all.clone()), Entries::Movers);
        scaling.apply(&twice, &[2.0]);
        assert_eq!(scaling.blocks.len(), 2);
        assert_eq!(row(&scaling), [99.0, 32.0, 96.0]);
        scaling.blocks.clear();
        assert_eq!(row(&scaling), [99.0, 1.0, 6.0]);
    }
}
