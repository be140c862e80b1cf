//! When what happened in a year of the truth.

use crate::histories::date::{Date, Month};
use crate::synth::random::Stream;

/// Days to draw from: those that every month has.
const DAYS: f64 = 28.0;

/// When moves and other changes of the year to t take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// In any month from July of t - 1 to June of t, the year that population estimates of t end. The
    /// months asked about, January to December of t and the same of t - 1, lie around it.
    MidYear,
    /// All on January 2 of t, so that a survey finds the year of the truth and nothing else. Who dies or
    /// goes abroad was last seen the day before that year, since the survey takes everybody to be there
    /// for 12 months more; and who was born or came from abroad appears the day after it.
    TurnOfYear,
}

impl Calendar {
    /// Draws the day of a move.
    pub(super) fn moving(self, year: i32, stream: &mut Stream) -> Date {
        match self {
            Self::MidYear => draw(Month::january(year - 1).plus(6), 12, stream),
            Self::TurnOfYear => day(Month::january(year), 2),
        }
    }

    /// First day of the year after `base`: everything happens on it or later.
    pub(super) fn first(self, base: i32) -> Date {
        match self {
            Self::MidYear => day(Month::january(base).plus(6), 1),
            Self::TurnOfYear => day(Month::january(base + 1), 1),
        }
    }

    /// Draws the first day of someone who is born or comes from abroad.
    pub(super) fn arriving(self, year: i32, stream: &mut Stream) -> Date {
        match self {
            Self::MidYear => self.moving(year, stream),
            Self::TurnOfYear => day(Month::january(year + 1), 1),
        }
    }

    /// Draws the last day of someone who dies or goes abroad.
    pub(super) fn leaving(self, year: i32, stream: &mut Stream) -> Date {
        match self {
            Self::MidYear => self.moving(year, stream),
            Self::TurnOfYear => day(Month::january(year).plus(-1), 31),
        }
    }
}

/// A day of the `months` months from `first` on.
pub(super) fn draw(first: Month, months: u32, stream: &mut Stream) -> Date {
    let month = first.plus((stream.uniform() * f64::from(months)) as i32);
    day(month, 1 + (stream.uniform() * DAYS) as u32)
}

/// The same day so many months later, or the last that every month has.
pub(super) fn later(date: Date, months: i32) -> Date {
    day(date.month().plus(months), date.day().min(DAYS as u32))
}

fn day(month: Month, day: u32) -> Date {
    let of_year = month.0.rem_euclid(12).cast_unsigned() + 1;
    Date::new(month.year(), of_year, day).expect("the day exists")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::random::Purpose;

    #[test]
    fn a_year_of_moves_ends_in_june() {
        let mut stream = Stream::new(1, Purpose::Histories, 0);
        let mut months = [0; 24];
        for _ in 0..12_000 {
            let moved = Calendar::MidYear.moving(2011, &mut stream);
            months[(moved.month().0 - Month::january(2010).0) as usize] += 1;
        }
        assert!(months[..6].iter().chain(&months[18..]).all(|&n| n == 0), "{months:?}");
        assert!(months[6..18].iter().all(|n| (850..1150).contains(n)), "{months:?}");
    }

    #[test]
    fn at_the_turn_of_the_year_everything_happens_in_its_order() {
        let (calendar, mut stream) = (Calendar::TurnOfYear, Stream::new(1, Purpose::Histories, 0));
        let date = |text: &str| Date::parse(text).unwrap();
        assert_eq!(calendar.moving(2012, &mut stream), date("2012-01-02"));
        assert_eq!(calendar.arriving(2011, &mut stream), date("2012-01-01"));
        assert_eq!(calendar.leaving(2012, &mut stream), date("2011-12-31"));
        assert_eq!(later(date("2012-03-31"), -1), date("2012-02-28"));
        assert_eq!(later(date("2012-11-05"), 3), date("2013-02-05"));
    }
}
