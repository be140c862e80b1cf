//! What is known about one person, and the rules that clean it.

use super::date::{Date, Month};
use super::places::Place;

/// What kind of address it is, as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// A post-office box, where nobody lives.
    PoBox,
    /// Any other address.
    Other,
}

/// An address record of a person.
///
/// In the order of their fields, records are sorted by date, those without one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Residence {
    /// When the person was first seen there.
    pub date: Option<Date>,
    /// Tells the addresses of one person apart.
    pub address: u64,
    /// Kind of address.
    pub category: Category,
    /// Row of G.
    pub place: Place,
}

/// The first and last date that a person is listed with, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// First date.
    pub first: Option<Date>,
    /// Last date.
    pub last: Option<Date>,
}

/// The months in which a person is taken to be somewhere, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// First month.
    pub first: Month,
    /// Last month.
    pub last: Month,
}

/// Months by which a person is taken to be there before the first and after the last date.
const EXTENSION_MONTHS: i32 = 12;

/// A post-office box is dropped when another address has a date closer than this.
const PO_BOX_DAYS: i32 = 365;

impl Listed {
    /// From the earlier of the listed first date and the first effective date to the later of the
    /// listed last date and the last effective date, and 12 months more on both sides. A date that
    /// is not known is taken from the other side; `None` if there are none at all.
    pub(super) fn active(self, residences: &[Residence]) -> Option<Active> {
        let dates = || residences.iter().filter_map(|residence| residence.date);
        let first = self.first.into_iter().chain(dates()).min();
        let last = self.last.into_iter().chain(dates()).max();
        let (first, last) = (first.or(last)?, last.or(first)?);
        Some(Active {
            first: first.month().plus(-EXTENSION_MONTHS),
            last: last.month().plus(EXTENSION_MONTHS),
        })
    }
}

/// Drops records without a date; returns how many. A person's only address stays: its date is the
/// first of the active interval, in which nothing comes before it.
pub(super) fn drop_undated(residences: &mut Vec<Residence>) -> u64 {
    let only = residences.iter().all(|r| r.date.is_none() && r.address == residences[0].address);
    let before = residences.len();
    if only {
        residences.truncate(1);
    } else {
        residences.retain(|residence| residence.date.is_some());
    }
    (before - residences.len()) as u64
}

/// Drops post-office boxes with another address less than 365 days away; returns how many.
pub(super) fn drop_po_boxes(residences: &mut Vec<Residence>) -> u64 {
    let is_box = |residence: &Residence| residence.category == Category::PoBox;
    if !residences.iter().any(is_box) {
        return 0;
    }
    let days = |residence: &Residence| residence.date.map(Date::unix_days);
    let before = residences.len();
    // Those kept so far move to the front; others are never dropped, so all of them stay in view
    // if the boxes are looked at last.
    residences.sort_unstable_by_key(is_box);
    let others = residences.partition_point(|residence| !is_box(residence));
    let mut kept = others;
    for k in others..before {
        let own = days(&residences[k]);
        let near = residences[..others].iter().any(|other| {
            own.zip(days(other)).is_some_and(|(own, other)| (own - other).abs() < PO_BOX_DAYS)
        });
        if !near {
            residences[kept] = residences[k];
            kept += 1;
        }
    }
    residences.truncate(kept);
    (before - kept) as u64
}

/// Sorts by date and drops what says the same again: the same address on the same date. Returns how
/// many were dropped.
pub(super) fn drop_repeated(residences: &mut Vec<Residence>) -> u64 {
    residences.sort_unstable();
    let before = residences.len();
    residences.dedup_by_key(|residence| (residence.date, residence.address));
    (before - residences.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: u64, date: &str, category: Category) -> Residence {
        Residence { date: Date::parse(date), address, category, place: Place::unit(address as u32) }
    }

    fn addresses(residences: &[Residence]) -> Vec<u64> {
        residences.iter().map(|residence| residence.address).collect()
    }

    use Category::{Other, PoBox};

    #[test]
    fn the_interval_is_the_widest_and_a_year_more_on_both_sides() {
        let listed = |first, last| Listed { first: Date::parse(first), last: Date::parse(last) };
        let months = |listed: Listed, residences: &[Residence]| {
            listed.active(residences).map(|active| (active.first, active.last))
        };
        let month = |text: &str| Date::parse(text).unwrap().month();
        let dated = [at(1, "2010-05-20", Other), at(2, "2014-02", Other), at(3, "", Other)];
        for (first, last, expected) in [
            ("2009-12", "2016-01", ("2008-12", "2017-01")),
            ("2011-01", "2013-01", ("2009-05", "2015-02")),
            ("", "", ("2009-05", "2015-02")),
            ("", "2009-01", ("2009-05", "2015-02")),
        ] {
            let expected = Some((month(expected.0), month(expected.1)));
            assert_eq!(months(listed(first, last), &dated), expected, "{first} {last}");
        }
        let alone = Some((month("2009-06"), month("2011-06")));
        assert_eq!(months(listed("2010-06", ""), &dated[2..]), alone);
        assert_eq!(months(listed("", "2010-06"), &dated[2..]), alone);
        assert_eq!(months(listed("", ""), &dated[2..]), None);
    }

    #[test]
    fn undated_records_go_unless_they_are_the_only_address() {
        let mut some = vec![at(1, "", Other), at(2, "2010-01", Other), at(3, "", Other)];
        assert_eq!((drop_undated(&mut some), addresses(&some)), (2, vec![2]));
        let mut only = vec![at(1, "", Other), at(1, "", Other)];
        assert_eq!((drop_undated(&mut only), addresses(&only)), (1, vec![1]));
        let mut two = vec![at(1, "", Other), at(2, "", Other)];
        assert_eq!((drop_undated(&mut two), addresses(&two)), (2, vec![]));
        assert_eq!(drop_undated(&mut vec![]), 0);
    }

    #[test]
    fn post_office_boxes_go_if_another_address_is_less_than_365_days_away() {
        // 2010-03-01 is day 0; 2011-02-28 is day 364, 2011-03-01 day 365.
        for (date, left) in [
            ("2010-03-01", vec![1]),
            ("2011-02-28", vec![1]),
            ("2011-03-01", vec![1, 2]),
            ("2009-03-02", vec![1]),
            ("2009-03-01", vec![1, 2]),
        ] {
            let mut records = vec![at(2, date, PoBox), at(1, "2010-03-01", Other)];
            let dropped = drop_po_boxes(&mut records);
            assert_eq!((dropped, addresses(&records)), (2 - left.len() as u64, left), "{date}");
        }
        // A leap year has a day more: 2012-02-01 to 2013-01-31 are 365 days.
        let mut leap = vec![at(2, "2013-01-31", PoBox), at(1, "2012-02-01", Other)];
        assert_eq!(drop_po_boxes(&mut leap), 0);
        let mut boxes = vec![at(1, "2010-01", PoBox), at(2, "2010-02", PoBox), at(3, "", PoBox)];
        assert_eq!(drop_po_boxes(&mut boxes), 0);
    }

    #[test]
    fn an_address_counts_once_a_date() {
        let mut records =
            vec![at(2, "2011-01", Other), at(1, "2010-01", Other), at(2, "2011-01", PoBox)];
        assert_eq!((drop_repeated(&mut records), addresses(&records)), (1, vec![1, 2]));
        assert_eq!(records[1].category, PoBox);
        let mut again = vec![at(1, "2010-01", Other), at(1, "2011-01", Other)];
        assert_eq!(drop_repeated(&mut again), 0);
    }
}
