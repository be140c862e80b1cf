//! Dates and months of address records, as whole numbers.

use std::fmt;

/// A day of the Gregorian calendar in one number that keeps the order of days: months since year 0,
/// then 5 bits for the day.
///
/// Invariant: the day exists, in a year from 0 to 9999; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

/// Months since January of year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(pub i32);

/// Days before each month of a year of 365 days: February has 28.
const DAYS_BEFORE: [i32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Days of the years that the survey counts.
pub const YEAR_DAYS: i32 = 365;

impl Date {
    /// A day, if there is one.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        let exists = (0..=9999).contains(&year) && (1..=days).contains(&day);
        exists.then(|| Self((year.cast_unsigned() * 12 + month - 1) << 5 | day))
    }

    /// The day so many days after January 1, 1970, as Parquet and Unix count them.
    pub fn from_unix_days(days: i32) -> Option<Self> {
        // Days since March 1 of year 0, in which leap days come last; 400 years have 146,097 days.
        let days = i64::from(days) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + 400 * era + i64::from(month <= 2);
        Self::new(i32::try_from(year).ok()?, month as u32, day as u32)
    }

    /// Reads `2015-03-20`, `2015-03`, `20150320` or `201503`; a month stands for its first day.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0_u32, |number, byte| {
                byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
            })
        };
        let (month, day) = match (bytes.len(), bytes.get(4), bytes.get(7)) {
            (10, Some(b'-'), Some(b'-')) => (number(5, 7)?, number(8, 10)?),
            (7, Some(b'-'), _) => (number(5, 7)?, 1),
            (8, ..) => (number(4, 6)?, number(6, 8)?),
            (6, ..) => (number(4, 6)?, 1),
            _ => return None,
        };
        Self::new(number(0, 4)?.cast_signed(), month, day)
    }

    /// The month it is in.
    pub fn month(self) -> Month {
        Month((self.0 >> 5).cast_signed())
    }

    /// Day of its month, from 1.
    pub fn day(self) -> u32 {
        self.0 & 31
    }

    /// Days since January 1, 1970.
    pub fn unix_days(self) -> i32 {
        let month = self.month();
        let (year, month_of_year) = (month.year(), month.0.rem_euclid(12) + 1);
        let (year, from_march) = if month_of_year > 2 {
            (year, month_of_year - 3)
        } else {
            (year - 1, month_of_year + 9)
        };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * from_march + 2) / 5 + self.day().cast_signed() - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The number that [`from_bits`](Self::from_bits) takes; never 0.
    pub(super) fn to_bits(self) -> u32 {
        self.0
    }

    /// A date from its number, `None` from 0.
    pub(super) fn from_bits(bits: u32) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let month = self.month();
        write!(f, "{:04}-{:02}-{:02}", month.year(), month.0 % 12 + 1, self.day())
    }
}

impl Month {
    /// January of a year.
    pub fn january(year: i32) -> Self {
        Self(year * 12)
    }

    /// The year it is in.
    pub fn year(self) -> i32 {
        self.0.div_euclid(12)
    }

    /// The month so many months later.
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self(self.0 + months)
    }

    /// Days from some fixed day to its first, where every year has 365: the difference of two months
    /// is the weight of the time between them, times 365.
    pub fn days_before(self) -> i32 {
        YEAR_DAYS * self.year() + DAYS_BEFORE[self.0.rem_euclid(12) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_four_forms() {
        let day = Date::new(2015, 3, 20);
        assert_eq!((Date::parse("2015-03-20"), Date::parse("20150320")), (day, day));
        let month = Date::new(2015, 3, 1);
        assert_eq!((Date::parse("2015-03"), Date::parse("201503")), (month, month));
        assert!(Date::parse("2012-02-29").is_some() && Date::parse("2000-02-29").is_some());
        for text in [
            "",
            "2015",
            "2015-13",
            "2015-00",
            "2015-02-29",
            "1900-02-29",
            "2015/03",
            "2015-3-20",
            "20150332",
            "x01503",
            "2015-03-2x",
            "00000000",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(day.unwrap().to_string(), "2015-03-20");
    }

    #[test]
    fn days_count_from_1970() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (-25_567, "1900-01-01"),
            (19_723, "2024-01-01"),
        ] {
            let date = Date::parse(text).unwrap();
            assert_eq!((date.unix_days(), Date::from_unix_days(days)), (days, Some(date)));
        }
        for days in (-719_528..2_932_896).step_by(17) {
            assert_eq!(Date::from_unix_days(days).unwrap().unix_days(), days);
        }
        assert_eq!((Date::from_unix_days(i32::MIN), Date::from_unix_days(2_932_897)), (None, None));
    }

    #[test]
    fn numbers_keep_the_order_of_days() {
        let texts = ["1999-12-31", "2000-01-01", "2000-01-31", "2000-02-01", "2000-02-29"];
        let dates = texts.map(|text| Date::parse(text).unwrap());
        assert!(dates.is_sorted_by(|a, b| a < b));
        assert_eq!(Date::from_bits(dates[4].to_bits()), Some(dates[4]));
        assert_eq!(Date::from_bits(0), None);
    }

    #[test]
    fn every_february_has_28_days() {
        for year in [2011, 2012] {
            let february = Month::january(year).plus(1);
            assert_eq!(february.plus(1).days_before() - february.days_before(), 28);
            let next = Month::january(year + 1);
            assert_eq!(next.days_before() - Month::january(year).days_before(), 365);
            assert_eq!((february.year(), next.plus(-1).year()), (year, year));
        }
    }
}
