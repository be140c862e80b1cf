//! Storing a seed in fewer bits.

use std::convert::Infallible;

use rayon::prelude::*;
use serde::Serialize;

use super::array::FillError;
use super::csr::{CHUNK_ENTRIES, row_ranges};
use super::{AnyFlowMatrix, Csr, FlowMatrix, Room, Value, ValueType};
use crate::{Error, Result};

/// What storing a seed in fewer bits did to it. The stored seed is the seed from then on: its
/// margins are met as exactly as any other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rounding {
    /// Largest relative change of a flow.
    pub largest_relative: f64,
    /// Sum of the changes of all flows, in persons.
    pub total: f64,
    /// Flows too small for the type, raised to its smallest number so that none becomes 0.
    pub raised: usize,
}

impl Rounding {
    fn of(before: f64, after: f64, raised: bool) -> Self {
        let change = (after - before).abs();
        let largest_relative = if before > 0.0 { change / before } else { 0.0 };
        Self { largest_relative, total: change, raised: raised.into() }
    }

    fn merge(self, other: Self) -> Self {
        Self {
            largest_relative: self.largest_relative.max(other.largest_relative),
            total: self.total + other.total,
            raised: self.raised + other.raised,
        }
    }
}

impl AnyFlowMatrix {
    /// The number type of its movers.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::F16(_) => ValueType::F16,
            Self::F32(_) => ValueType::F32,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The same matrix with its movers stored as `value_type`, rounded to nearest. Stayers are
    /// always `f64`.
    ///
    /// # Errors
    /// If a flow is larger than the largest number of that type, or there is no `room`.
    pub fn stored_as(self, value_type: ValueType, room: &Room) -> Result<(Self, Rounding)> {
        if self.value_type() == value_type {
            return Ok((self, Rounding::default()));
        }
        crate::with_matrix!(self, matrix => Ok(match value_type {
            ValueType::F16 => {
                let (matrix, rounding) = convert(matrix, room)?;
                (Self::F16(matrix), rounding)
            }
            ValueType::F32 => {
                let (matrix, rounding) = convert(matrix, room)?;
                (Self::F32(matrix), rounding)
            }
            ValueType::F64 => {
                let (matrix, rounding) = convert(matrix, room)?;
                (Self::F64(matrix), rounding)
            }
        }))
    }
}

fn convert<V: Value, W: Value>(
    matrix: FlowMatrix<V>,
    room: &Room,
) -> Result<(FlowMatrix<W>, Rounding)> {
    let (stayers, movers) = matrix.into_parts();
    let stored = |value: V| {
        let flow = value.into();
        let stored = W::from_f64(flow);
        let raised = flow > 0.0 && stored.into() == 0.0;
        (if raised { W::SMALLEST } else { stored }, raised)
    };
    // In chunks of their own, so that the sum is the same for any number of threads.
    let chunks = row_ranges(movers.row_ptr(), CHUNK_ENTRIES);
    let roundings: Vec<Rounding> = chunks
        .par_iter()
        .map(|rows| {
            let values = rows.clone().flat_map(|i| movers.row(i).1);
            let roundings = values.map(|&value| {
                let (stored, raised) = stored(value);
                Rounding::of(value.into(), stored.into(), raised)
            });
            let rounding = roundings.fold(Rounding::default(), Rounding::merge);
            movers.release(rows.clone());
            rounding
        })
        .collect();
    let rounding = roundings.into_iter().fold(Rounding::default(), Rounding::merge);
    if !rounding.total.is_finite() {
        let largest = movers.values().iter().map(|&v| v.into()).fold(0.0, f64::max);
        return Err(Error::request(format!(
            "storage {}: a flow of {largest} persons is larger than its largest number",
            W::TYPE
        )));
    }
    let made = room.fill(movers.row_ptr(), &chunks, |chunk, columns, values| {
        let entries = chunks[chunk].clone().flat_map(|i| {
            let (columns, values) = movers.row(i);
            columns.iter().zip(values)
        });
        for ((own_column, own_value), (&column, &value)) in
            columns.iter_mut().zip(values).zip(entries)
        {
            (*own_column, *own_value) = (column, stored(value).0);
        }
        movers.release(chunks[chunk].clone());
        Ok::<(), Infallible>(())
    });
    let (col_idx, values) = made.map_err(|FillError::Room(e)| {
        Error::request(format!("storage {}: no room for its flows: {e}", W::TYPE))
    })?;
    let (columns, (row_ptr, ..)) = (movers.columns(), movers.into_parts());
    let movers = Csr::trusted(columns, row_ptr, col_idx, values);
    Ok((FlowMatrix::trusted(stayers, movers), rounding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_by_hand() {
        // 1/3 is 0.33325195 in f16; 1e-9 would be 0; 2^-24 is the smallest number
        let seed = [(0, 0, 1e6), (0, 1, 1.0 / 3.0), (1, 0, 2048.0), (1, 2, 1e-9)];
        let seed = AnyFlowMatrix::F64(FlowMatrix::from_triplets(3, &seed));
        let (stored, rounding) = seed.clone().stored_as(ValueType::F16, &Room::UNLIMITED).unwrap();
        let AnyFlowMatrix::F16(matrix) = &stored else { panic!("{stored:?}") };
        let values: Vec<f64> = matrix.movers().values().iter().map(|&v| v.into()).collect();
        let smallest = 2.0_f64.powi(-24);
        assert_eq!(values, [0.333_251_953_125, 2048.0, smallest]);
        assert_eq!(matrix.stayers(), [1e6, 0.0, 0.0]);
        assert_eq!(rounding.raised, 1);
        assert_eq!(rounding.largest_relative, (smallest - 1e-9) / 1e-9);
        let total = 1.0 / 3.0 - 0.333_251_953_125 + (smallest - 1e-9);
        assert!((rounding.total - total).abs() < 1e-15);
        // Back to wider numbers nothing changes.
        let (wide, rounding) = stored.stored_as(ValueType::F32, &Room::UNLIMITED).unwrap();
        assert_eq!(rounding, Rounding::default());
        assert_eq!(wide.value_type(), ValueType::F32);
    }

    #[test]
    fn what_a_type_cannot_hold_is_an_error() {
        let seed = AnyFlowMatrix::F64(FlowMatrix::from_triplets(2, &[(0, 1, 7e4)]));
        let problem = seed.stored_as(ValueType::F16, &Room::UNLIMITED).unwrap_err().to_string();
        assert_eq!(
            problem,
            "storage f16: a flow of 70000 persons is larger than its largest number"
        );
    }
}
