//! Margins: how entries are grouped into the cells whose sums are known.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::geography::Partition;

/// Which entries of the matrix a margin sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entries {
    /// Stayers and movers.
    #[default]
    All,
    /// Everyone who changed unit.
    Movers,
    /// The diagonal at the finest level.
    Stayers,
}

impl Entries {
    /// Whether movers are counted.
    pub fn movers(self) -> bool {
        self != Self::Stayers
    }

    /// Whether stayers are counted.
    pub fn stayers(self) -> bool {
        self != Self::Movers
    }
}

/// How entries (i, j) are grouped into cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// By the cell of the origin i.
    Origin(Arc<Partition>),
    /// By the cell of the destination j.
    Destination(Arc<Partition>),
    /// By the pair (cell of i, cell of j), numbered row by row.
    Block(Arc<Partition>, Arc<Partition>),
}

/// A partition of (some of) the entries into cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Margin {
    /// How entries are grouped.
    pub groups: Groups,
    /// Which entries are counted.
    pub entries: Entries,
}

impl Margin {
    /// Number of cells.
    pub fn cells(&self) -> usize {
        match &self.groups {
            Groups::Origin(p) | Groups::Destination(p) => p.cells(),
            Groups::Block(p, q) => p.cells() * q.cells(),
        }
    }

    /// Number of units the margin is defined over.
    pub fn units(&self) -> usize {
        self.partitions().next().expect("a margin has a partition").units()
    }

    /// Cell of the entry (i, j), whether or not this margin counts it.
    #[inline]
    pub fn cell(&self, i: usize, j: usize) -> usize {
        match &self.groups {
            Groups::Origin(p) => p.cell_of()[i] as usize,
            Groups::Destination(q) => q.cell_of()[j] as usize,
            Groups::Block(p, q) => p.cell_of()[i] as usize * q.cells() + q.cell_of()[j] as usize,
        }
    }

    /// Code of a cell: `36061`, or `36->34` for a block.
    pub fn label(&self, cell: usize) -> String {
        match &self.groups {
            Groups::Origin(p) | Groups::Destination(p) => p.codes()[cell].to_owned(),
            Groups::Block(p, q) => {
                format!("{}->{}", &p.codes()[cell / q.cells()], &q.codes()[cell % q.cells()])
            }
        }
    }

    /// The partitions involved: one, or two for a block.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        match &self.groups {
            Groups::Origin(p) | Groups::Destination(p) => [Some(p), None],
            Groups::Block(p, q) => [Some(p), Some(q)],
        }
        .into_iter()
        .flatten()
    }

    /// The partition of a margin whose cells are single origins with their movers: a step on it needs
    /// no other row.
    pub(super) fn own_origins(&self) -> Option<&Arc<Partition>> {
        match &self.groups {
            Groups::Origin(p) if p.cells() == p.units() && self.entries.movers() => Some(p),
            _ => None,
        }
    }

    /// The same cells over the units of a matrix aggregated to `finer`, which must refine every
    /// partition of this margin.
    #[must_use]
    pub fn project(&self, finer: &Partition) -> Self {
        let project = |p: &Arc<Partition>| Arc::new(p.project(finer));
        let groups = match &self.groups {
            Groups::Origin(p) => Groups::Origin(project(p)),
            Groups::Destination(q) => Groups::Destination(project(q)),
            Groups::Block(p, q) => Groups::Block(project(p), project(q)),
        };
        Self { groups, entries: self.entries }
    }
}

impl fmt::Display for Margin {
    /// `destination, county, movers`: the words of the plan file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.groups {
            Groups::Origin(p) => write!(f, "origin, {}", p.name())?,
            Groups::Destination(q) => write!(f, "destination, {}", q.name())?,
            Groups::Block(p, q) if p.name() == q.name() => write!(f, "block, {}", p.name())?,
            Groups::Block(p, q) => write!(f, "block, {} to {}", p.name(), q.name())?,
        }
        match self.entries {
            Entries::All => Ok(()),
            Entries::Movers => f.write_str(", movers"),
            Entries::Stayers => f.write_str(", stayers"),
        }
    }
}
