//! Who did what: every person of the true populations, one after the other.
//!
//! The persons of a unit at the end of a year have ranks: those who stayed, those who came from each
//! other unit, in the order of units, the newborn, and those who came from abroad. In the next year
//! a shuffle decides which of them die or go abroad, and a second one deals the rest out: some stay,
//! and every destination of the true matrix gets as many as it says. So a life is followed from unit
//! to unit without a list of persons, and all lives together are the matrices exactly.

use super::shuffle::{Shuffle, mixed};
use crate::matrix::FlowRows;

/// Changes beside moves within the nation, persons by unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub births: Vec<u32>,
    pub deaths: Vec<u32>,
    pub immigrants: Vec<u32>,
    pub emigrants: Vec<u32>,
}

/// True flows and changes of a year.
#[derive(Clone, Debug)]
pub(super) struct Year {
    changes: Changes,
    /// Persons at the start, by unit.
    persons: Vec<u32>,
    /// Of these, those born or come from abroad in the year before.
    newcomers: Vec<u32>,
    /// Persons who stay and are there at the end, by unit.
    staying: Vec<u32>,
    /// First flow of each unit, and the end.
    row_ptr: Vec<u64>,
    /// Flows by origin, then destination.
    flows: Vec<Flow>,
    /// Persons at the end, by unit.
    pub after: Vec<u32>,
}

/// Persons who move from one unit to another.
#[derive(Clone, Copy, Debug)]
struct Flow {
    destination: u32,
    /// Persons of the same origin in flows before this one.
    before: u32,
    /// Rank of the first of them at the destination.
    rank: u32,
}

/// What a year brings a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The person stays, with a new rank.
    Stays { rank: u32 },
    /// The person moves to a unit and gets a rank there.
    Moves { unit: u32, rank: u32 },
    /// The person dies.
    Dies,
    /// The person goes abroad.
    GoesAbroad,
}

impl Year {
    /// A year of a true matrix. `newcomers` are those of the year before.
    ///
    /// # Errors
    /// If a flow is no whole number of persons, or more die or go abroad than stay: the unit, and what
    /// was expected and found.
    pub fn new(
        truth: &dyn FlowRows,
        changes: Changes,
        newcomers: Vec<u32>,
    ) -> Result<Self, (usize, String)> {
        let n = truth.units();
        let (mut row_ptr, mut flows) = (vec![0], Vec::new());
        let (mut persons, mut staying, mut moving) = (vec![0; n], vec![0; n], Vec::new());
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for origin in 0..n {
            truth.row(origin, &mut columns, &mut values);
            let mut before = 0;
            if let Some(value) = values.iter().find(|value| value.fract() != 0.0) {
                return Err((origin, format!("expected whole persons, found {value}")));
            }
            let sum: f64 = values.iter().sum();
            if sum > f64::from(i32::MAX) {
                return Err((origin, format!("expected fewer than 2^31 persons, found {sum}")));
            }
            for (&destination, &value) in columns.iter().zip(&values) {
                let count = value as u32;
                persons[origin] += count;
                if destination as usize == origin {
                    staying[origin] = count;
                } else if count > 0 {
                    flows.push(Flow { destination, before, rank: 0 });
                    moving.push(count);
                    before += count;
                }
            }
            let gone = changes.deaths[origin] + changes.emigrants[origin];
            staying[origin] = u32::checked_sub(staying[origin], gone).ok_or_else(|| {
                let found = staying[origin];
                (
                    origin,
                    format!(
                        "expected {gone} stayers at least, who die or go abroad, found {found}"
                    ),
                )
            })?;
            row_ptr.push(flows.len() as u64);
        }
        let mut after = staying.clone();
        for (flow, count) in flows.iter_mut().zip(moving) {
            flow.rank = after[flow.destination as usize];
            after[flow.destination as usize] += count;
        }
        for (unit, after) in after.iter_mut().enumerate() {
            *after += changes.births[unit] + changes.immigrants[unit];
        }
        Ok(Self { changes, persons, newcomers, staying, row_ptr, flows, after })
    }

    /// Persons at the start, by unit.
    pub fn persons(&self) -> &[u32] {
        &self.persons
    }

    /// Persons born in a unit or come to it from abroad.
    pub fn arrivals(&self, unit: usize) -> u32 {
        self.changes.births[unit] + self.changes.immigrants[unit]
    }

    /// What happens to the person with a rank in a unit. `key` makes the shuffles of the year.
    ///
    /// Only where more die or go abroad than were there before may it be someone who has just come:
    /// nobody else is there for less than a year, which no survey could show.
    pub fn fate(&self, unit: usize, rank: u32, key: u64) -> Fate {
        let deaths = self.changes.deaths[unit];
        let gone = deaths + self.changes.emigrants[unit];
        let all = self.persons[unit];
        let before = all - self.newcomers[unit];
        let eligible = if gone <= before { before } else { all };
        let key = mixed(key ^ mixed(unit as u64 + 1));
        let rest = if rank < eligible {
            let place = Shuffle::new(eligible, key).place(rank);
            if place < deaths {
                return Fate::Dies;
            }
            if place < gone {
                return Fate::GoesAbroad;
            }
            place - gone
        } else {
            rank - gone
        };
        let place = Shuffle::new(all - gone, mixed(key)).place(rest);
        let Some(moving) = place.checked_sub(self.staying[unit]) else {
            return Fate::Stays { rank: place };
        };
        let row = &self.flows[self.row_ptr[unit] as usize..self.row_ptr[unit + 1] as usize];
        let flow = row[row.partition_point(|flow| flow.before <= moving) - 1];
        Fate::Moves { unit: flow.destination, rank: flow.rank + moving - flow.before }
    }
}

/// How a person came to be where the life begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Was there before the first year.
    Resident,
    /// Was born there in a year, counted from 0.
    Born(usize),
    /// Came there from abroad in a year.
    Immigrated(usize),
}

/// How a life on record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The person is there after the last year.
    Present,
    /// Died in a year, counted from 0.
    Died(usize),
    /// Went abroad in a year.
    WentAbroad(usize),
}

/// Where a person lived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub start: Start,
    /// Where it began.
    pub first_unit: u32,
    /// Moves in the order of time: the year, counted from 0, and the unit moved to.
    pub moves: Vec<(usize, u32)>,
    pub end: End,
}

/// Number of lives that begin in a unit.
pub(super) fn lives(years: &[Year], unit: usize) -> u64 {
    let arrivals = years.iter().map(|year| u64::from(year.arrivals(unit)));
    u64::from(years[0].persons[unit]) + arrivals.sum::<u64>()
}

/// Follows every life that begins in a unit: residents first, then who came in each year.
pub(super) fn for_each_life(years: &[Year], unit: usize, seed: u64, mut visit: impl FnMut(&Life)) {
    let mut life = Life {
        start: Start::Resident,
        first_unit: unit as u32,
        moves: Vec::new(),
        end: End::Present,
    };
    for rank in 0..years[0].persons[unit] {
        life.start = Start::Resident;
        follow(years, 0, rank, seed, &mut life);
        visit(&life);
    }
    for (k, year) in years.iter().enumerate() {
        let first = year.after[unit] - year.arrivals(unit);
        for number in 0..year.arrivals(unit) {
            let born = number < year.changes.births[unit];
            life.start = if born { Start::Born(k) } else { Start::Immigrated(k) };
            follow(years, k + 1, first + number, seed, &mut life);
            visit(&life);
        }
    }
}

/// Follows a person with a rank in the first unit of a life from a year on.
fn follow(years: &[Year], from: usize, mut rank: u32, seed: u64, life: &mut Life) {
    life.moves.clear();
    life.end = End::Present;
    let mut at = life.first_unit as usize;
    for (k, year) in years.iter().enumerate().skip(from) {
        match year.fate(at, rank, mixed(seed ^ mixed(k as u64 + 1))) {
            Fate::Stays { rank: new } => rank = new,
            Fate::Moves { unit, rank: new } => {
                life.moves.push((k, unit));
                (at, rank) = (unit as usize, new);
            }
            Fate::Dies => return life.end = End::Died(k),
            Fate::GoesAbroad => return life.end = End::WentAbroad(k),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::FlowMatrix;

    const ENTRIES: [&[(u32, u32, f64)]; 2] = [
        &[(0, 0, 6.0), (0, 1, 3.0), (0, 2, 1.0), (1, 1, 20.0), (1, 0, 2.0), (2, 0, 1.0)],
        &[
            (0, 0, 7.0),
            (0, 1, 2.0),
            (0, 2, 2.0),
            (1, 0, 2.0),
            (1, 1, 17.0),
            (1, 2, 3.0),
            (2, 2, 4.0),
        ],
    ];

    /// Two years of three units; in the second one as many leave the third as were there before.
    fn years() -> Vec<Year> {
        let changes = [
            ([2, 1, 0], [1, 2, 0], [1, 1, 3], [0, 1, 0]),
            ([0, 0, 1], [1, 1, 1], [0, 2, 0], [0, 0, 0]),
        ];
        let mut years: Vec<Year> = Vec::new();
        for (entries, (births, deaths, immigrants, emigrants)) in ENTRIES.iter().zip(changes) {
            let [births, deaths, immigrants, emigrants] =
                [births, deaths, immigrants, emigrants].map(|counts: [u32; 3]| counts.to_vec());
            let changes = Changes { births, deaths, immigrants, emigrants };
            let newcomers = years
                .last()
                .map_or(vec![0; 3], |year| (0..3).map(|unit| year.arrivals(unit)).collect());
            let truth = FlowMatrix::from_triplets(3, entries);
            years.push(Year::new(&truth, changes, newcomers).unwrap());
        }
        years
    }

    #[test]
    fn all_lives_together_are_the_matrices() {
        let years = years();
        assert_eq!(years[0].after, [11, 22, 4]);
        assert_eq!(years[1].persons(), years[0].after);
        for seed in 0..200 {
            let mut flows = [[[0.0; 3]; 3]; 2];
            let (mut ends, mut total) = ([0; 5], 0);
            for unit in 0..3 {
                let mut own = 0;
                for_each_life(&years, unit, seed, |life| {
                    own += 1;
                    let first = match life.start {
                        Start::Resident => 0,
                        Start::Born(k) | Start::Immigrated(k) => k + 1,
                    };
                    let mut at = life.first_unit as usize;
                    let mut moves = life.moves.iter().copied().peekable();
                    for (k, flows) in flows.iter_mut().enumerate().skip(first) {
                        let gone = match life.end {
                            End::Died(of) | End::WentAbroad(of) => of < k,
                            End::Present => false,
                        };
                        if gone {
                            break;
                        }
                        let to =
                            moves.next_if(|next| next.0 == k).map_or(at, |next| next.1 as usize);
                        flows[at][to] += 1.0;
                        at = to;
                    }
                    assert_eq!(moves.next(), None, "{life:?}");
                    ends[match life.end {
                        End::Present => 0,
                        End::Died(k) => 1 + k,
                        End::WentAbroad(k) => 3 + k,
                    }] += 1;
                });
                assert_eq!(own, lives(&years, unit));
                total += own;
            }
            for (flows, entries) in flows.iter().zip(ENTRIES) {
                let mut expected = [[0.0; 3]; 3];
                for &(i, j, persons) in entries {
                    expected[i as usize][j as usize] = persons;
                }
                assert_eq!(*flows, expected, "seed {seed}");
            }
            assert_eq!((ends, total), ([37, 3, 3, 1, 0], 44), "seed {seed}");
        }
    }

    #[test]
    fn who_has_just_come_is_there_for_a_year_if_others_suffice() {
        let years = years();
        let mut left = 0;
        for seed in 0..200 {
            for unit in 0..3 {
                for_each_life(&years, unit, seed, |life| {
                    if matches!(life.start, Start::Born(0) | Start::Immigrated(0)) {
                        left += usize::from(life.end != End::Present);
                    }
                });
            }
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn what_is_no_history_of_persons_is_refused() {
        let none =
            Changes { births: vec![0], deaths: vec![2], immigrants: vec![0], emigrants: vec![1] };
        for (flow, expected) in [
            (1.5, "expected whole persons, found 1.5"),
            (3e9, "expected fewer than 2^31 persons, found 3000000000"),
            (2.0, "expected 3 stayers at least, who die or go abroad, found 2"),
        ] {
            let truth = FlowMatrix::from_triplets(1, &[(0, 0, flow)]);
            let refused = Year::new(&truth, none.clone(), vec![0]).unwrap_err();
            assert_eq!(refused, (0, expected.to_owned()));
        }
    }
}
