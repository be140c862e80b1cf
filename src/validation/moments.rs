//! How close numbers are to the true ones.

/// Agreement of estimates x with true numbers y, in persons.
///
/// ```text
/// r    = sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2  sum (y - mean y)^2)
/// RMSE = sqrt(sum (x - y)^2 / n)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Pearson's r; `None` where all x, or all y, are equal up to rounding.
    pub pearson: Option<f64>,
    /// Root of the mean squared difference, in persons; `None` without pairs.
    pub rmse: Option<f64>,
}

/// Numbers of one size that differ by less than this, relative to the largest, are equal: what is
/// left between sums of the same persons in another order.
const EQUAL: f64 = 16.0 * f64::EPSILON;

/// Sums over pairs (x, y) from which [`Agreement`] follows.
///
/// All of them are about the means, so that numbers like 1e7 persons do not cancel; parts are joined
/// by the formulas of Chan et al. (The American Statistician 37, 1983), which only add squares.
/// Joined in the same order, the same parts give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    pairs: u64,
    mean_x: f64,
    mean_y: f64,
    /// `sum (x - mean x)^2`
    xx: f64,
    /// `sum (y - mean y)^2`
    yy: f64,
    /// `sum (x - mean x)(y - mean y)`
    xy: f64,
    /// `sum (x - y)^2`
    squared_difference: f64,
    largest_x: f64,
    largest_y: f64,
}

impl Moments {
    /// Sums over pairs (x, y) and over `zeros` more pairs (0, 0), in two passes.
    pub fn of(pairs: impl Iterator<Item = (f64, f64)> + Clone, zeros: u64) -> Self {
        let mut sums = Self::default();
        for (x, y) in pairs.clone() {
            sums.pairs += 1;
            sums.mean_x += x;
            sums.mean_y += y;
            sums.largest_x = sums.largest_x.max(x.abs());
            sums.largest_y = sums.largest_y.max(y.abs());
        }
        sums.pairs += zeros;
        if sums.pairs == 0 {
            return sums;
        }
        sums.mean_x /= sums.pairs as f64;
        sums.mean_y /= sums.pairs as f64;
        for (x, y) in pairs {
            let (dx, dy) = (x - sums.mean_x, y - sums.mean_y);
            sums.xx += dx * dx;
            sums.yy += dy * dy;
            sums.xy += dx * dy;
            sums.squared_difference += (x - y) * (x - y);
        }
        sums.xx += zeros as f64 * (sums.mean_x * sums.mean_x);
        sums.yy += zeros as f64 * (sums.mean_y * sums.mean_y);
        sums.xy += zeros as f64 * (sums.mean_x * sums.mean_y);
        sums
    }

    /// Sums over the pairs of both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let pairs = self.pairs + other.pairs;
        if self.pairs == 0 || other.pairs == 0 {
            return if self.pairs == 0 { other } else { self };
        }
        let share = other.pairs as f64 / pairs as f64;
        let weight = self.pairs as f64 * share;
        let (dx, dy) = (other.mean_x - self.mean_x, other.mean_y - self.mean_y);
        Self {
            pairs,
            mean_x: self.mean_x + dx * share,
            mean_y: self.mean_y + dy * share,
            xx: self.xx + other.xx + dx * dx * weight,
            yy: self.yy + other.yy + dy * dy * weight,
            xy: self.xy + other.xy + dx * dy * weight,
            squared_difference: self.squared_difference + other.squared_difference,
            largest_x: self.largest_x.max(other.largest_x),
            largest_y: self.largest_y.max(other.largest_y),
        }
    }

    /// Number of pairs.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// What the sums say.
    pub fn agreement(&self) -> Agreement {
        let n = self.pairs as f64;
        let differ = |squares: f64, largest: f64| squares > n * (EQUAL * largest).powi(2);
        let defined = differ(self.xx, self.largest_x) && differ(self.yy, self.largest_y);
        Agreement {
            pearson: defined
                .then(|| (self.xy / (self.xx.sqrt() * self.yy.sqrt())).clamp(-1.0, 1.0)),
            rmse: (self.pairs > 0).then(|| (self.squared_difference / n).sqrt()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Estimates 1, 2, 0, 0 and truth 1, 0, 2, 0, half of them given as zeros.
    #[test]
    fn by_hand() {
        let moments = Moments::of([(1.0, 1.0), (2.0, 0.0), (0.0, 2.0)].into_iter(), 1);
        // means 3/4; squares 5 - 9/4 each; products 1 - 9/4; differences 0, 2, -2, 0
        let Moments { pairs, xx, yy, xy, squared_difference, .. } = moments;
        let expected = (4, 11.0 / 4.0, 11.0 / 4.0, -5.0 / 4.0, 8.0);
        assert_eq!((pairs, xx, yy, xy, squared_difference), expected);
        let Agreement { pearson, rmse } = moments.agreement();
        assert!((pearson.unwrap() + 5.0 / 11.0).abs() < 1e-15);
        assert_eq!(rmse, Some(2.0_f64.sqrt()));
    }

    #[test]
    fn parts_join_to_the_whole() {
        let all: Vec<(f64, f64)> =
            (0..100).map(|k| (f64::from(k * k % 17), f64::from(k * 7 % 23))).collect();
        let whole = Moments::of(all.iter().copied(), 5);
        let parts = [(&all[..0], 0), (&all[..1], 0), (&all[1..60], 3), (&all[60..], 2)];
        let joined = parts
            .into_iter()
            .map(|(pairs, zeros)| Moments::of(pairs.iter().copied(), zeros))
            .fold(Moments::default(), Moments::join);
        assert_eq!(joined.pairs(), 105);
        let ours = [joined.mean_x, joined.xx, joined.yy, joined.xy, joined.squared_difference];
        let theirs = [whole.mean_x, whole.xx, whole.yy, whole.xy, whole.squared_difference];
        for (a, b) in ours.into_iter().zip(theirs) {
            assert!((a - b).abs() <= 64.0 * f64::EPSILON * b.abs(), "{a} {b}");
        }
    }

    /// Sums of squares about 0 would be 1e14 here, and their last digit a hundredth.
    #[test]
    fn large_numbers_do_not_cancel() {
        let pairs = [(1e7, 2e7), (1e7 + 0.25, 2e7 + 0.25), (1e7 + 0.5, 2e7 - 0.25)];
        let joined = pairs
            .into_iter()
            .map(|pair| Moments::of([pair].into_iter(), 0))
            .fold(Moments::default(), Moments::join);
        for moments in [Moments::of(pairs.into_iter(), 0), joined] {
            // deviations -1/4, 0, 1/4 and 0, 1/4, -1/4
            let pearson = moments.agreement().pearson.unwrap();
            assert!((pearson + 0.5).abs() < 1e-7, "{pearson}");
        }
    }

    #[test]
    fn what_is_undefined_is_said_so() {
        let agreement = |pairs: &[(f64, f64)], zeros| {
            let Agreement { pearson, rmse } = Moments::of(pairs.iter().copied(), zeros).agreement();
            (pearson, rmse)
        };
        assert_eq!(agreement(&[], 0), (None, None));
        assert_eq!(agreement(&[], 3), (None, Some(0.0)));
        assert_eq!(agreement(&[(2.0, 5.0)], 0), (None, Some(3.0)));
        // The mean of three tenths is not a tenth.
        assert_eq!(agreement(&[(0.1, 1.0), (0.1, 2.0), (0.1, 3.0)], 0).0, None);
        assert_eq!(agreement(&[(1.0, 0.1), (2.0, 0.1), (3.0, 0.1)], 0).0, None);
        let (pearson, rmse) = agreement(&[(1.0, 1.0), (2.0, 2.0)], 0);
        assert!((pearson.unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(rmse, Some(0.0));
    }
}
