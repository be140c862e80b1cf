//! Persons whose months and probabilities were worked out on paper.
//!
//! Days of a year of 365 up to the end of a month: Jan 31, Feb 59, Mar 90, Apr 120, May 151, Jun 181,
//! Jul 212, Aug 243, Sep 273, Oct 304, Nov 334, Dec 365.

use std::collections::BTreeMap;

use super::*;
use crate::histories::date::Date;
use crate::histories::places::Place;
use crate::histories::record::Category;

/// `a` to `z` are addresses, in capitals post-office boxes: `("a", "2010-03")`.
type Record<'a> = (&'a str, &'a str);

/// A person, asked about 2008 to 2019.
struct Told {
    /// Days by year and answer: `a` stayed, `a>bc` moved from a to b or c, equally likely.
    days: BTreeMap<(i32, String), i32>,
    counts: RuleCounts,
    /// Over all years.
    years: YearCounts,
}

fn ask(first: &str, last: &str, records: &[Record]) -> Told {
    let years = Years::new(2008, 2019);
    let listed = Listed { first: Date::parse(first), last: Date::parse(last) };
    let mut residences: Vec<Residence> = records.iter().map(|&record| residence(record)).collect();
    let mut survey = Survey::new(years);
    let mut days = BTreeMap::new();
    survey
        .ask(listed, &mut residences, |answer| {
            let names = |residences: &[Residence]| -> String {
                residences.iter().map(|residence| char::from(residence.address as u8)).collect()
            };
            let told = if answer.stayed {
                names(answer.now)
            } else {
                format!("{}>{}", names(answer.before), names(answer.now))
            };
            let year = years.iter().nth(answer.year).unwrap();
            *days.entry((year, told)).or_insert(0) += answer.days;
            Ok::<(), ()>(())
        })
        .unwrap();
    let mut all = YearCounts::default();
    survey.year_counts.iter().for_each(|counts| all += *counts);
    assert_eq!(all.days, days.values().sum::<i32>() as u64);
    Told { days, counts: survey.counts, years: all }
}

fn residence((name, date): Record) -> Residence {
    let category = if name == name.to_uppercase() { Category::PoBox } else { Category::Other };
    let address = u64::from(name.to_lowercase().as_bytes()[0]);
    Residence { date: Date::parse(date), address, category, place: Place::unit(0) }
}

/// `2011 a 365, 2012 a>b 31` as days by year and answer.
#[track_caller]
fn assert_told(told: &Told, expected: &str) {
    let expected: BTreeMap<(i32, String), i32> = expected
        .split(", ")
        .filter(|line| !line.is_empty())
        .map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            ((parts[0].parse().unwrap(), parts[1].to_owned()), parts[2].parse().unwrap())
        })
        .collect();
    assert_eq!(told.days, expected);
}

#[test]
fn a_single_date_answers_for_13_months() {
    // Active 2009-03 to 2011-03. A month answers from 2010-03, whose month a year before is the first
    // active one, to 2011-03: Mar to Dec 2010 = 365 - 59 days, Jan to Mar 2011 = 90.
    let told = ask("", "", &[("a", "2010-03")]);
    assert_told(&told, "2010 a 306, 2011 a 90");
    assert_eq!(told.counts, RuleCounts { persons: 1, ..RuleCounts::default() });
    let years = YearCounts { active: 2, partial: 2, months_without_answer: 2 + 9, days: 306 + 90 };
    assert_eq!(told.years, years);
}

#[test]
fn a_whole_year_has_weight_1_leap_years_too() {
    // Active 2010-01 to 2013-12, answers from 2011-01 to 2013-12; 2012 is a leap year of 365 days.
    let told = ask("2011-01-31", "2012-12-01", &[("a", "2011-06-15")]);
    assert_told(&told, "2011 a 365, 2012 a 365, 2013 a 365");
    let years = YearCounts { active: 3, partial: 0, months_without_answer: 0, days: 3 * 365 };
    assert_eq!(told.years, years);
}

#[test]
fn a_leap_february_weighs_28_days() {
    // Listed 2012-02 only: answers 2012-02 to 2013-02. Of 2012 all but January: 365 - 31; of 2013
    // January and February: 59. From a to b in February 2012 itself: Feb 2011 to Jan 2012 were at a.
    let told = ask("", "", &[("a", "2012-02-29")]);
    assert_told(&told, "2012 a 334, 2013 a 59");
    // b from March 2012: the answering February is 28 days at a; March 2012 to February 2013 are
    // 12 months of a move, 306 days of 2012 and 59 of 2013; March 2013 (last date 2012-03) stays.
    let told = ask("", "", &[("a", "2012-02-01"), ("b", "2012-03-31")]);
    assert_told(&told, "2012 a 28, 2012 a>b 306, 2013 a>b 59, 2013 b 31");
}

#[test]
fn a_move_is_told_for_12_months() {
    // Active 2009-05 to 2014-07; answers 2010-05 to 2014-07. b begins 2012-10: the months 2012-10 to
    // 2013-09 had a the year before. 2012: Jan to Sep a = 273, Oct to Dec a>b = 92. 2013: Jan to Sep
    // a>b = 273, Oct to Dec b = 92. 2010: May to Dec = 365 - 120. 2014: Jan to Jul = 212.
    let told = ask("2010-05-20", "2013-07-01", &[("b", "2012-10-09"), ("a", "2010-06-01")]);
    assert_told(
        &told,
        "2010 a 245, 2011 a 365, 2012 a 273, 2012 a>b 92, 2013 a>b 273, 2013 b 92, 2014 b 212",
    );
}

#[test]
fn two_moves_within_a_year_skip_one_address() {
    // a from the start, b from 2012-03, c from 2012-07. Listed 2011-01 to 2013-12: answers 2011-01 to
    // 2013-12 and a year more. Pairs: Mar to Jun 2012 a>b (181 - 59 = 122), Jul 2012 to Feb 2013 a>c
    // (365 - 181 = 184 and 59), Mar to Jun 2013 b>c (122), then c (184), 2014 c.
    let told = ask("2011-01", "2013-12", &[("a", "2011-01"), ("b", "2012-03"), ("c", "2012-07")]);
    assert_told(
        &told,
        "2011 a 365, 2012 a 59, 2012 a>b 122, 2012 a>c 184, 2013 a>c 59, 2013 b>c 122, 2013 c 184, \
         2014 c 365",
    );
}

#[test]
fn who_comes_back_within_a_year_has_stayed() {
    // a, b in Mar to May 2012, then a again. Mar to May 2012 a>b = 151 - 59 = 92. Jun 2012 to Feb 2013
    // are at a, as the year before: 365 - 151 = 214 and 59. Mar to May 2013 b>a = 92. Then a.
    let told = ask("2012-01", "2012-12", &[("a", "2011-01"), ("b", "2012-03"), ("a", "2012-06")]);
    assert_told(&told, "2011 a 365, 2012 a 273, 2012 a>b 92, 2013 a 273, 2013 b>a 92");
}

#[test]
fn addresses_of_one_date_share_it() {
    // b and c from 2011-01. In 2011 a>b and a>c are equally likely, for 365 days together; in 2012
    // the set {b, c} is that of the year before, so the person stayed: (b, b) and (c, c).
    let told = ask("2010-01", "2011-12", &[("c", "2011-01"), ("a", "2010-01"), ("b", "2011-01")]);
    assert_told(&told, "2010 a 365, 2011 a>bc 365, 2012 bc 365");
    assert_eq!((told.counts.ties, told.counts.superseded), (1, 0));
}

#[test]
fn a_part_of_a_tie_is_another_set() {
    // {a, b} from 2010-01, a alone from 2011-01: the set has changed, so every pair counts in 2011:
    // (a, a) and (b, a), half each.
    let told = ask("2010-01", "2011-12", &[("a", "2010-01"), ("b", "2010-01"), ("a", "2011-01")]);
    assert_told(&told, "2010 ab 365, 2011 ab>a 365, 2012 a 365");
}

#[test]
fn dates_of_one_month_supersede_each_other() {
    // Full dates: a on 2011-03-05 and b on 2011-03-20. a reaches back to the first active month, 2010-03,
    // and b has March 2011 already; answers 2011-03 to 2012-03. Mar 2011 to Feb 2012 are a>b
    // (365 - 59 = 306, 59), March 2012 is b (31).
    let told = ask("", "", &[("a", "2011-03-05"), ("b", "2011-03-20")]);
    assert_told(&told, "2011 a>b 306, 2012 a>b 59, 2012 b 31");
    assert_eq!((told.counts.ties, told.counts.superseded), (0, 0));
    // With x before, a holds from March to February: nothing.
    let told = ask("", "", &[("x", "2010-03"), ("a", "2011-03-05"), ("b", "2011-03-20")]);
    assert_told(&told, "2010 x 306, 2011 x 59, 2011 x>b 306, 2012 x>b 59, 2012 b 31");
    assert_eq!(told.counts.superseded, 1);
}

#[test]
fn a_box_near_another_address_was_never_there() {
    // B on 2011-06 is 151 days from a on 2011-01 and dropped, but it is the last date: active until
    // 2012-06. Answers 2011-01 to 2012-06.
    let told = ask("", "", &[("a", "2011-01-01"), ("B", "2011-06-01")]);
    assert_told(&told, "2011 a 365, 2012 a 181");
    assert_eq!(told.counts.po_boxes_dropped, 1);
}

#[test]
fn a_box_a_year_away_is_an_address() {
    // 2012-01-01 is 365 days after 2011-01-01. Answers 2011-01 to 2013-01: 2012 is a>b, January 2013 b.
    let told = ask("", "", &[("a", "2011-01-01"), ("B", "2012-01-01")]);
    assert_told(&told, "2011 a 365, 2012 a>b 365, 2013 b 31");
    assert_eq!(told.counts.po_boxes_dropped, 0);
}

#[test]
fn boxes_alone_share_a_date() {
    let told = ask("", "", &[("A", "2011-01"), ("B", "2011-01")]);
    assert_told(&told, "2011 ab 365, 2012 ab 31");
    assert_eq!((told.counts.po_boxes_dropped, told.counts.ties), (0, 1));
}

#[test]
fn an_only_address_without_a_date_holds_all_the_time() {
    // Listed 2015-08 to 2016-02: answers 2015-08 to 2017-02. 2015: 365 - 212; 2017: 59.
    let told = ask("2015-08", "2016-02", &[("a", "")]);
    assert_told(&told, "2015 a 153, 2016 a 365, 2017 a 59");
    assert_eq!((told.counts.undated_only, told.counts.undated_dropped), (1, 0));
    // Without any date there is no history, nor with two addresses and no date.
    for (first, records) in [("", &[("a", "")][..]), ("2015-08", &[("a", ""), ("b", "")])] {
        let told = ask(first, "", records);
        assert_told(&told, "");
        assert_eq!((told.counts.without_history, told.years.active), (1, 0));
    }
}

#[test]
fn undated_addresses_beside_dated_ones_go() {
    let told = ask("", "", &[("b", ""), ("a", "2011-01"), ("c", "")]);
    assert_told(&told, "2011 a 365, 2012 a 31");
    assert_eq!(told.counts.undated_dropped, 2);
}

#[test]
fn a_record_that_is_repeated_counts_once() {
    let records = [("b", "2011-01"), ("a", "2011-01"), ("b", "2011-01")];
    let told = ask("", "", &records);
    assert_told(&told, "2011 ab 365, 2012 ab 31");
    assert_eq!((told.counts.repeated_dropped, told.counts.ties), (1, 1));
}

#[test]
fn years_without_an_answering_month_are_absent() {
    // Active 2004-01 to 2006-01, long before; and 2018-06 to 2020-06, of which 2019-06 on is asked.
    let told = ask("", "", &[("a", "2005-01")]);
    assert_told(&told, "");
    assert_eq!((told.years.active, told.counts.without_history), (0, 0));
    let told = ask("", "", &[("a", "2019-06")]);
    assert_told(&told, "2019 a 214");
    assert_eq!((told.years.partial, told.years.months_without_answer), (1, 5));
}

#[test]
fn listed_dates_without_an_address_are_no_history() {
    let told = ask("2010-01", "2015-01", &[]);
    assert_told(&told, "");
    assert_eq!(told.counts.without_history, 1);
}

#[test]
fn runs_of_months_are_the_months_one_by_one() {
    // The rules written down month by month, on histories drawn at random.
    let mut state = 1_u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % n
    };
    for _ in 0..2000 {
        let dates: Vec<String> = (0..=random(6))
            .map(|_| format!("{}-{:02}-{:02}", 2009 + random(5), 1 + random(12), 1 + random(28)))
            .collect();
        let names = ["a", "b", "c", "d"];
        let records: Vec<(&str, &str)> =
            dates.iter().map(|date| (names[random(4) as usize], date.as_str())).collect();
        let mut dated: Vec<(Date, u64)> = records
            .iter()
            .map(|(name, date)| (Date::parse(date).unwrap(), u64::from(name.as_bytes()[0])))
            .collect();
        dated.sort_unstable();
        dated.dedup();
        let (first, last) = (dated[0].0.month(), dated[dated.len() - 1].0.month());
        let home = |month: Month| -> Option<String> {
            if month < first.plus(-12) || month > last.plus(12) {
                return None;
            }
            let date = dated.iter().rev().find(|d| d.0.month() <= month).unwrap_or(&dated[0]).0;
            Some(dated.iter().filter(|d| d.0 == date).map(|d| char::from(d.1 as u8)).collect())
        };
        let mut expected = BTreeMap::new();
        for month in (Month::january(2008).0..Month::january(2020).0).map(Month) {
            if let (Some(before), Some(now)) = (home(month.plus(-12)), home(month)) {
                let told = if before == now { now } else { format!("{before}>{now}") };
                let days = month.plus(1).days_before() - month.days_before();
                *expected.entry((month.year(), told)).or_insert(0) += days;
            }
        }
        assert_eq!(ask("", "", &records).days, expected, "{records:?}");
    }
}
