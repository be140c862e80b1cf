//! What is wrong with records, as shares.

/// How often records are wrong, in which way; all shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blemishes {
    /// How much of the nation's under-coverage there is: at 1 a person of a place is on record with
    /// probability (1 - 0.5 `renter_share`) times a factor of the state between 0.85 and 1; at 0
    /// everybody is.
    pub under_coverage: f64,
    /// How much of the nation's loss of moves there is: at 1 the move of a person on record is missing
    /// with probability 1 - (1 - 0.04 a) (1 - 0.2 `renter_share` of the destination), a uniform on 0
    /// to twice `record_age` of the origin.
    pub missing_moves: f64,
    /// Of the newborn, who have no records of their own.
    pub newborn: f64,
    /// Of the records of a move, dated late: by 1 to 4 `record_age` months.
    pub late: f64,
    /// Of the records, without a date.
    pub undated: f64,
    /// Of the records, there twice.
    pub repeated: f64,
    /// Of the records, with another address of the same date: where the person came from or, of the
    /// first one, another of the same place.
    pub conflicting: f64,
    /// Of the records, with a post-office box dated up to two years earlier or later.
    pub po_box: f64,
    /// Of the persons, without a listed first date, and without a last one.
    pub unlisted: f64,
    /// Of the dwellings, not matched but with a ZIP code.
    pub by_zip: f64,
    /// Of these, with several matches.
    pub tie: f64,
    /// Of the dwellings, not matched and without a ZIP code.
    pub lost: f64,
    /// Of the matches, of an address that is not exactly the one asked for.
    pub non_exact: f64,
    /// Of these, in the block group next to the right one.
    pub misplaced: f64,
}

impl Blemishes {
    /// As bad as real ones: of the addresses on record, post-office boxes among them, as many as
    /// published are matched (83.33 %) or known by their ZIP code (15.89 %).
    pub const DEFAULT: Self = Self {
        under_coverage: 1.0,
        missing_moves: 1.0,
        newborn: 1.0,
        late: 0.5,
        undated: 0.02,
        repeated: 0.02,
        conflicting: 0.015,
        po_box: 0.03,
        unlisted: 0.05,
        by_zip: 0.1165,
        tie: 0.1,
        lost: 0.0082,
        non_exact: 0.1,
        misplaced: 0.02,
    };

    /// Perfect records.
    pub const NONE: Self = Self {
        under_coverage: 0.0,
        missing_moves: 0.0,
        newborn: 0.0,
        late: 0.0,
        undated: 0.0,
        repeated: 0.0,
        conflicting: 0.0,
        po_box: 0.0,
        unlisted: 0.0,
        by_zip: 0.0,
        tie: 0.0,
        lost: 0.0,
        non_exact: 0.0,
        misplaced: 0.0,
    };
}
