//! Groups of units.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Geography, Geoid, Level};
use crate::texts::Texts;
use crate::{Error, Result};

/// A partition of N units into cells, each with a code.
///
/// Invariants:
/// - every unit is in exactly one cell, `cell_of[unit] < codes.len()`;
/// - every cell has at least one unit and a code of its own.
///
/// Units of a cell need not be neighbors: county groups are not contiguous after merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    name: String,
    cell_of: Vec<u32>,
    codes: Texts,
}

impl Partition {
    /// Groups the units of `geography` at `level`; cells are sorted by code, except at
    /// [`Level::Geoid`], where they keep the order of the units.
    ///
    /// A column of the units table with the name of a prefix level must group the units as their
    /// codes do, unless they are no GEOIDs; then the column counts.
    pub fn new(geography: &Geography, level: &Level) -> Result<Self> {
        match level {
            Level::Geoid => Ok(Self {
                name: level.to_string(),
                cell_of: (0..geography.len() as u32).collect(),
                codes: geography.geoids().iter().map(Geoid::as_str).collect(),
            }),
            Level::Column(column) => Self::by_column(geography, column),
            prefix => {
                let digits = prefix.digits().expect("the other levels are matched above");
                let by_code = Self::by_prefix(geography, prefix, digits);
                if geography.column(&level.to_string()).is_none() {
                    return by_code;
                }
                let by_column = Self::by_column(geography, &level.to_string());
                match (by_code, by_column) {
                    (Err(_), by_column) => by_column,
                    (Ok(by_code), Ok(by_column)) if !by_code.same_cells(&by_column) => {
                        Err(Error::request(format!(
                            "level `{level}`: expected the column `{level}` of the units table to \
                             group units as the first {digits} digits of their GEOIDs do, found \
                             other groups; rename the column"
                        )))
                    }
                    (Ok(by_code), _) => Ok(by_code),
                }
            }
        }
    }

    fn by_column(geography: &Geography, column: &str) -> Result<Self> {
        let Some(texts) = geography.column(column) else {
            let mut known: Vec<&str> = vec!["state", "county", "tract", "block_group", "geoid"];
            known.extend(geography.column_names());
            return Err(Error::request(format!(
                "level `{column}`: expected one of {} (the last are columns of the units table), \
                 found no such column",
                known.join(", ")
            )));
        };
        if let Some(unit) = texts.iter().position(str::is_empty) {
            return Err(Error::request(format!(
                "level `{column}`: unit {} has no text in that column of the units table",
                geography.geoids()[unit]
            )));
        }
        Ok(Self::from_texts(column.to_owned(), texts.iter()))
    }

    fn by_prefix(geography: &Geography, level: &Level, digits: usize) -> Result<Self> {
        for geoid in geography.geoids() {
            let length = geoid.as_str().len();
            if !geoid.is_numeric() || length < digits {
                let advice = if geoid.is_numeric() && length + 1 == digits {
                    format!("if its leading zero was lost, write `0{geoid}`; or ")
                } else {
                    String::new()
                };
                return Err(Error::request(format!(
                    "level `{level}` is the first {digits} digits of a GEOID, found unit `{geoid}`; \
                     {advice}use level `geoid` or a column of the units table"
                )));
            }
        }
        let prefixes = geography.geoids().iter().map(|geoid| &geoid.as_str()[..digits]);
        Ok(Self::from_texts(level.to_string(), prefixes))
    }

    /// Whether both group the units alike, whatever the codes.
    fn same_cells(&self, other: &Self) -> bool {
        let both: BTreeSet<(&u32, &u32)> = self.cell_of.iter().zip(&other.cell_of).collect();
        both.len() == self.cells() && both.len() == other.cells()
    }

    fn from_texts<'a>(name: String, texts: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut codes: Vec<&str> = texts.clone().collect();
        codes.sort_unstable();
        codes.dedup();
        let mut last = 0;
        let cell_of = texts.map(|text| {
            // Most units are in the cell of the unit before, or in the next one.
            let near = (last..codes.len()).take(2).find(|&cell| codes[cell] == text);
            last = near.unwrap_or_else(|| codes.binary_search(&text).expect("it is one of them"));
            last as u32
        });
        Self { name, cell_of: cell_of.collect(), codes: codes.iter().collect() }
    }

    /// The cell with a code, looked for first right after `last`.
    ///
    /// `sorted` are the cells in the order of their codes: see [`Self::by_code`].
    pub(crate) fn find(&self, code: &str, sorted: &[u32], last: &mut usize) -> Option<usize> {
        let is = |at: &usize| &self.codes[sorted[*at] as usize] == code;
        let near = (*last..sorted.len()).take(2).find(is);
        let at = near.or_else(|| {
            sorted.binary_search_by(|&cell| self.codes[cell as usize].cmp(code)).ok()
        })?;
        *last = at;
        Some(sorted[at] as usize)
    }

    /// The cells in the order of their codes.
    pub(crate) fn by_code(&self) -> Vec<u32> {
        let mut cells: Vec<u32> = (0..self.codes.len() as u32).collect();
        cells.sort_by(|&a, &b| self.codes[a as usize].cmp(&self.codes[b as usize]));
        cells
    }

    /// A partition from its parts.
    ///
    /// # Panics
    /// If a unit's cell has no code, or a cell has no unit.
    pub fn from_parts(name: impl Into<String>, cell_of: Vec<u32>, codes: Texts) -> Self {
        let mut used = vec![false; codes.len()];
        for &cell in &cell_of {
            assert!((cell as usize) < codes.len(), "cell {cell} of {} cells", codes.len());
            used[cell as usize] = true;
        }
        assert!(used.iter().all(|&u| u), "a cell of the partition has no unit");
        Self { name: name.into(), cell_of, codes }
    }

    /// The coarsest partition that refines every one of `parts`: two units share a cell when they
    /// share one in all of them. Cells are numbered in the order of their first unit.
    ///
    /// # Panics
    /// If the partitions are over different numbers of units, or none is given.
    pub fn common_refinement(parts: &[&Arc<Self>]) -> Self {
        let units = parts.first().expect("at least one partition").units();
        let mut cell_of = vec![0_u32; units];
        for part in parts {
            assert_eq!(part.units(), units, "partitions of different unit sets");
            let mut number = HashMap::new();
            // Neighbors mostly share their cells, and need no search then.
            let mut last = None;
            for (cell, &other) in cell_of.iter_mut().zip(&part.cell_of) {
                let pair = (*cell, other);
                *cell = match last {
                    Some((known, number)) if known == pair => number,
                    _ => {
                        let next = number.len() as u32;
                        *number.entry(pair).or_insert(next)
                    }
                };
                last = Some((pair, *cell));
            }
        }
        let cells = cell_of.iter().max().map_or(0, |&c| c as usize + 1);
        Self {
            name: "refinement".into(),
            cell_of,
            codes: (0..cells).map(|c| c.to_string()).collect(),
        }
    }

    /// This partition seen from the cells of `finer`, which must refine it.
    ///
    /// # Panics
    /// If a cell of `finer` spans two cells of this partition.
    #[must_use]
    pub fn project(&self, finer: &Self) -> Self {
        let mut cell_of = vec![u32::MAX; finer.cells()];
        for (&fine, &own) in finer.cell_of.iter().zip(&self.cell_of) {
            let slot = &mut cell_of[fine as usize];
            assert!(*slot == u32::MAX || *slot == own, "cell {fine} spans two cells");
            *slot = own;
        }
        Self { name: self.name.clone(), cell_of, codes: self.codes.clone() }
    }

    /// Whether every cell of this partition is a union of cells of `finer`.
    pub fn unites(&self, finer: &Self) -> bool {
        let mut cell_of = vec![u32::MAX; finer.cells()];
        finer.cell_of.iter().zip(&self.cell_of).all(|(&fine, &own)| {
            let slot = &mut cell_of[fine as usize];
            let known = std::mem::replace(slot, own);
            known == u32::MAX || known == own
        })
    }

    /// This partition of the cells of `finer` as a partition of the units of `finer`: the inverse
    /// of [`project`](Self::project).
    #[must_use]
    pub fn compose(&self, finer: &Self) -> Self {
        assert_eq!(self.units(), finer.cells(), "partition of the cells of another partition");
        Self {
            name: self.name.clone(),
            cell_of: finer.cell_of.iter().map(|&cell| self.cell_of[cell as usize]).collect(),
            codes: self.codes.clone(),
        }
    }

    /// The level or column this partition was made from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.cell_of.len()
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.codes.len()
    }

    /// Cell of each unit.
    pub fn cell_of(&self) -> &[u32] {
        &self.cell_of
    }

    /// The units of every cell in index order, cell after cell, and where each cell's begin (with
    /// one more where the last ends).
    pub fn members(&self) -> (Vec<u32>, Vec<u32>) {
        let mut ptr = vec![0_u32; self.cells() + 1];
        for &cell in &self.cell_of {
            ptr[cell as usize + 1] += 1;
        }
        for cell in 0..self.cells() {
            ptr[cell + 1] += ptr[cell];
        }
        let mut next = ptr.clone();
        let mut members = vec![0; self.units()];
        for (unit, &cell) in (0_u32..).zip(&self.cell_of) {
            members[next[cell as usize] as usize] = unit;
            next[cell as usize] += 1;
        }
        (ptr, members)
    }

    /// Code of each cell.
    pub fn codes(&self) -> &Texts {
        &self.codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geography(codes: &[&str]) -> Geography {
        Geography::new(codes.iter().map(|&c| Geoid::new(c)).collect()).unwrap()
    }

    #[test]
    fn counties_need_not_be_contiguous() {
        let units = geography(&["01003", "02001", "01001", "01003001"].map(|c| c));
        let states = Partition::new(&units, &Level::State).unwrap();
        assert_eq!(states.cell_of(), [0, 1, 0, 0]);
        assert!(states.codes().iter().eq(["01", "02"]));
        let counties = Partition::new(&units, &Level::County).unwrap();
        assert_eq!(counties.cell_of(), [1, 2, 0, 1]);
    }

    #[test]
    fn a_prefix_level_needs_long_enough_codes() {
        let units = geography(&["01003", "02001"]);
        let error = Partition::new(&units, &Level::Tract).unwrap_err().to_string();
        assert!(error.contains("first 11 digits") && error.contains("01003"), "{error}");
    }

    #[test]
    fn a_column_named_like_a_level_must_agree_with_it() {
        let table = |codes: [&str; 3], states: [&str; 3]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("units.csv");
            let rows: Vec<String> =
                codes.iter().zip(states).map(|(code, state)| format!("{code},{state}\n")).collect();
            std::fs::write(&path, format!("geoid,state\n{}", rows.concat())).unwrap();
            Partition::new(&Geography::read(&path).unwrap(), &Level::State)
        };
        let named = table(["1101", "1102", "2201"], ["Ost", "Ost", "West"]).unwrap();
        assert!(named.codes().iter().eq(["11", "22"]));
        let other = table(["1101", "1102", "2201"], ["A", "B", "A"]).unwrap_err().to_string();
        assert!(other.contains("rename the column"), "{other}");
        let letters = table(["X1", "X2", "Y1"], ["A", "B", "A"]).unwrap();
        assert!(letters.codes().iter().eq(["A", "B"]));
        assert_eq!(letters.cell_of(), [0, 1, 0]);
    }

    #[test]
    fn refinement_is_coarsest_and_projects_back() {
        let by_letter = Partition::from_parts("a", vec![0, 0, 1, 1, 0], ["x", "y"].into());
        let by_number = Partition::from_parts("b", vec![0, 1, 1, 1, 0], ["1", "2"].into());
        let fine =
            Partition::common_refinement(&[&by_letter.clone().into(), &by_number.clone().into()]);
        assert_eq!(fine.cell_of(), [0, 1, 2, 2, 0]);
        assert_eq!(by_letter.project(&fine).cell_of(), [0, 0, 1]);
        assert_eq!(by_number.project(&fine).cell_of(), [0, 1, 1]);
    }

    #[test]
    fn members_of_scattered_cells() {
        let codes = ["a", "b", "c"].into();
        let part = Partition::from_parts("scattered", vec![2, 0, 2, 1, 0], codes);
        assert_eq!(part.members(), (vec![0, 2, 3, 5], vec![1, 4, 3, 0, 2]));
    }
}
