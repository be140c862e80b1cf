//! How close two matrices over the same units are.

use crate::matrix::FlowRows;

/// Agreement of an estimate with the truth over all pairs of units, zeros included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Pearson correlation.
    pub pearson: f64,
    /// Root of the mean squared difference, in persons.
    pub rmse: f64,
}

/// Sums from which [`Agreement`] follows.
#[derive(Default)]
struct Moments {
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
    squared_difference: f64,
}

impl Moments {
    fn add(&mut self, x: f64, y: f64) {
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
        self.squared_difference += (x - y) * (x - y);
    }

    fn agreement(&self, n: f64) -> Agreement {
        let covariance = self.xy - self.x * self.y / n;
        let variances = (self.xx - self.x * self.x / n) * (self.yy - self.y * self.y / n);
        Agreement {
            pearson: covariance / variances.sqrt(),
            rmse: (self.squared_difference / n).sqrt(),
        }
    }
}

/// Agreement of the flows between different units; `scale` multiplies the estimate.
///
/// # Panics
/// If the matrices differ in their number of units.
pub fn mover_agreement(estimate: &dyn FlowRows, truth: &dyn FlowRows, scale: f64) -> Agreement {
    let n = truth.units();
    assert_eq!(estimate.units(), n, "units of estimate and truth");
    let mut moments = Moments::default();
    let (mut x_columns, mut x_flows) = (Vec::new(), Vec::new());
    let (mut y_columns, mut y_flows) = (Vec::new(), Vec::new());
    for i in 0..n {
        estimate.row(i, &mut x_columns, &mut x_flows);
        truth.row(i, &mut y_columns, &mut y_flows);
        let (mut a, mut b) = (0, 0);
        while a < x_columns.len() || b < y_columns.len() {
            let x_column = x_columns.get(a).copied().unwrap_or(u32::MAX);
            let y_column = y_columns.get(b).copied().unwrap_or(u32::MAX);
            let column = x_column.min(y_column);
            let (mut x, mut y) = (0.0, 0.0);
            if x_column == column {
                x = x_flows[a] * scale;
                a += 1;
            }
            if y_column == column {
                y = y_flows[b];
                b += 1;
            }
            if column as usize != i {
                moments.add(x, y);
            }
        }
    }
    moments.agreement((n * (n - 1)) as f64)
}

/// Agreement of one number per unit; `scale` multiplies the estimate.
///
/// # Panics
/// If the lengths differ.
pub fn vector_agreement(estimate: &[f64], truth: &[f64], scale: f64) -> Agreement {
    assert_eq!(estimate.len(), truth.len(), "lengths of estimate and truth");
    let mut moments = Moments::default();
    for (x, y) in estimate.iter().zip(truth) {
        moments.add(x * scale, *y);
    }
    moments.agreement(truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::FlowMatrix;

    #[test]
    fn by_hand_with_different_support() {
        // off-diagonal, row by row: estimate 2 0 0 0 0 4, truth 1 0 0 1 0 2 (0->1 0->2 1->0 1->2 2->0 2->1)
        let estimate = FlowMatrix::from_triplets(3, &[(0, 0, 9.0), (0, 1, 2.0), (2, 1, 4.0)]);
        let truth =
            FlowMatrix::from_triplets(3, &[(1, 1, 5.0), (0, 1, 1.0), (1, 2, 1.0), (2, 1, 2.0)]);
        let agreement = mover_agreement(&estimate, &truth, 0.5);
        assert!((agreement.rmse - (1.0_f64 / 6.0).sqrt()).abs() < 1e-15);
        // means 1/2 and 2/3; covariance sum 5 - 6*(1/2)(2/3) = 3; variances 5 - 3/2, 6 - 8/3
        let expected = 3.0 / ((5.0 - 1.5) * (6.0 - 8.0 / 3.0_f64)).sqrt();
        assert!((agreement.pearson - expected).abs() < 1e-15);
    }

    #[test]
    fn a_vector_agrees_with_itself() {
        let agreement = vector_agreement(&[2.0, 4.0, 10.0], &[1.0, 2.0, 5.0], 0.5);
        assert_eq!(agreement.rmse, 0.0);
        assert!((agreement.pearson - 1.0).abs() < 1e-15);
    }
}
