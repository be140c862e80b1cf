//! Margins of error as the American Community Survey publishes them: half the width of a 90 %
//! confidence interval.
//!
//! Source: US Census Bureau, *Understanding and Using American Community Survey Data*, chapter 8,
//! <https://www.census.gov/programs-surveys/acs/library/handbooks/general.html>.

/// Standard errors in a margin of error at 90 %.
pub const Z_90: f64 = 1.645;

/// The standard error of an estimate, in the units of its margin of error: MOE / 1.645.
pub fn standard_error(moe: f64) -> f64 {
    moe / Z_90
}

/// The margin of error of a sum or difference of independent estimates: the square root of the sum
/// of squares; 0 for no estimates.
///
/// Squares neither overflow nor vanish: the margins are scaled by the largest of them.
pub fn combined(moes: impl IntoIterator<Item = f64> + Clone) -> f64 {
    let largest = moes.clone().into_iter().fold(0.0, |a: f64, m| a.max(m.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * moes.into_iter().map(|m| (m / largest).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_squares() {
        assert_eq!(combined([3.0, -4.0]), 5.0);
        assert_eq!(combined([]), 0.0);
        assert_eq!(combined([0.0, 0.0]), 0.0);
        assert_eq!(combined([3e300, 4e300]), 5e300);
        assert_eq!(standard_error(164.5), 100.0);
    }
}
