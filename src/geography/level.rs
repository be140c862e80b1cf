//! Area codes and the levels they are read at.

use std::fmt;

/// Code of one area, with its leading zeros: `"06"`, `"06037"`, `"060371011101"`, or any other
/// text for areas outside the US scheme.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Geoid(Box<str>);

impl Geoid {
    /// Wraps a code as it is written.
    pub fn new(code: impl Into<Box<str>>) -> Self {
        Self(code.into())
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the code is made of ASCII digits only, as every US GEOID is.
    pub fn is_numeric(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|b| b.is_ascii_digit())
    }
}

impl std::borrow::Borrow<str> for Geoid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Geoid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How units are grouped into the cells of a margin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// First 2 digits of the GEOID.
    State,
    /// First 5 digits.
    County,
    /// First 11 digits.
    Tract,
    /// First 12 digits.
    BlockGroup,
    /// Every unit is its own cell.
    Geoid,
    /// Units with the same text in this column of the units table.
    Column(String),
}

impl Level {
    /// The levels read off a GEOID's first digits, coarsest first.
    pub const PREFIXES: [Self; 4] = [Self::State, Self::County, Self::Tract, Self::BlockGroup];

    /// Reads a level's name; a name that is no known level is a column of the units table.
    pub fn parse(name: &str) -> Self {
        match name {
            "state" => Self::State,
            "county" => Self::County,
            "tract" => Self::Tract,
            "block_group" | "cbg" => Self::BlockGroup,
            "geoid" => Self::Geoid,
            column => Self::Column(column.to_owned()),
        }
    }

    /// Number of leading digits that make the code, for levels read off the GEOID.
    pub fn digits(&self) -> Option<usize> {
        match self {
            Self::State => Some(2),
            Self::County => Some(5),
            Self::Tract => Some(11),
            Self::BlockGroup => Some(12),
            Self::Geoid | Self::Column(_) => None,
        }
    }

    /// The prefix level whose codes have this many digits.
    pub fn with_digits(digits: usize) -> Option<Self> {
        Self::PREFIXES.into_iter().find(|level| level.digits() == Some(digits))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state",
            Self::County => "county",
            Self::Tract => "tract",
            Self::BlockGroup => "block_group",
            Self::Geoid => "geoid",
            Self::Column(name) => name,
        })
    }
}
