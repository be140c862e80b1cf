//! County-to-county migration from tax returns: the in- and outflow files of the Statistics of
//! Income division of the IRS, one pair of files per year.
//!
//! Source: <https://www.irs.gov/statistics/soi-tax-stats-migration-data>, files
//! `countyinflow1011.csv` (who came to each county between the returns of 2010 and 2011) and
//! `countyoutflow1011.csv` (who left it). Each row is a county of the file, a partner, returns
//! (`n1`, about households) and exemptions (`n2`, about persons). Flows of fewer than 10 returns (20 from
//! 2013-14 on) have no row of their own, or -1; they are in rows of other flows.
//!
//! Partner codes, state/county:
//!
//! | code | row |
//! |---|---|
//! | the county's own | non-migrants, who filed from it in both years |
//! | 01 to 56 / not 000 | another county |
//! | 57 | foreign places, Puerto Rico and military addresses |
//! | 58/000 and 59/000 | all other flows within the state, and with other states |
//! | 59/001, 003, 005, 007 | those of 59/000 by region |
//! | 96/000 | total migration |
//! | 97/000 | total within the US, of which 97/001 within the state and 97/003 with other states |
//! | 98/000 | total foreign |
//!
//! A file's own county 000 is its state as a whole.

mod checks;
mod reconcile;
mod spread;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use checks::{Agreement, Check, Side, compare};
pub use reconcile::{Missing, Reconciled, reconcile};
pub use spread::{Placed, Spread};

use super::source::{Row, rows};
use crate::geography::Geoid;
use crate::table::listed;
use crate::{Error, Result};

/// Tax returns and the persons on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Returns, about households.
    pub returns: u64,
    /// Exemptions claimed, about persons.
    pub persons: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.returns += other.returns;
        self.persons += other.persons;
    }
}

/// Which end of a flow a file's own counties are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Own counties are destinations.
    Inflow,
    /// Own counties are origins.
    Outflow,
}

impl Direction {
    /// As files are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inflow => "inflow",
            Self::Outflow => "outflow",
        }
    }

    /// Origin and destination of a flow between a file's own county and a partner.
    fn pair(self, own: Geoid, partner: Geoid) -> (Geoid, Geoid) {
        match self {
            Self::Inflow => (partner, own),
            Self::Outflow => (own, partner),
        }
    }
}

/// The rows of one county or state that sum others; `None` where suppressed or absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// 96/000: total migration, without what is suppressed in `foreign`.
    pub all: Option<Count>,
    /// 97/000: within the US.
    pub us: Option<Count>,
    /// 97/001: between counties of the state.
    pub same_state: Option<Count>,
    /// 97/003: with other states.
    pub different_state: Option<Count>,
    /// 98/000: with foreign places.
    pub foreign: Option<Count>,
    /// 58/000: the part of `same_state` that has no rows of its own.
    pub other_same_state: Option<Count>,
    /// 59/000: the part of `different_state` that has no rows of its own.
    pub other_different_state: Option<Count>,
}

/// One inflow or outflow file.
///
/// Invariants:
/// - no pair is both in `pairs` and in `suppressed`, and none has equal ends;
/// - one end of every pair is a key of `totals` or `non_migrants`, its own county.
#[derive(Clone, Debug)]
pub struct MigrationFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// Which end of a flow its own counties are.
    pub direction: Direction,
    /// Movers between two counties: (origin, destination).
    pub pairs: BTreeMap<(Geoid, Geoid), Count>,
    /// Pairs that have a row with -1.
    pub suppressed: BTreeSet<(Geoid, Geoid)>,
    /// Who filed from a county in both years; `None` where suppressed.
    pub non_migrants: BTreeMap<Geoid, Option<Count>>,
    /// Total rows of every own county.
    pub totals: BTreeMap<Geoid, Totals>,
    /// Total rows of every state, by its two digits.
    pub state_totals: BTreeMap<String, Totals>,
    /// Number of rows with -1, totals included.
    pub suppressed_rows: usize,
}

/// Columns of a file, as positions.
struct Columns {
    direction: Direction,
    own: [usize; 2],
    partner: [usize; 2],
    returns: usize,
    persons: usize,
}

/// A state and a county code.
type Code = (u32, u32);

/// What a partner code stands for.
enum Partner {
    County(Geoid),
    Total(fn(&mut Totals) -> &mut Option<Count>),
    /// A part of a total that is not kept.
    Part,
}

impl MigrationFile {
    /// Reads a file (`.csv`, also gzip); the order of its columns says which direction it is.
    ///
    /// Names of columns are those of 2011-12 and later (`y2_statefips`, `n1`) or before
    /// (`State_Code_Dest`, `Return_Num`), in upper or lower case. Codes that lost their leading
    /// zeros are restored: state and county are separate numbers.
    ///
    /// # Errors
    /// If the file is missing, columns are missing, a code is none of the above, a number is
    /// neither a count nor -1, or a row comes twice.
    pub fn read(path: &Path) -> Result<Self> {
        let (mut columns, mut seen) = (None, HashSet::new());
        let mut file = Self {
            path: path.to_owned(),
            direction: Direction::Inflow,
            pairs: BTreeMap::new(),
            suppressed: BTreeSet::new(),
            non_migrants: BTreeMap::new(),
            totals: BTreeMap::new(),
            state_totals: BTreeMap::new(),
            suppressed_rows: 0,
        };
        rows(path, |row| match &columns {
            None => {
                columns = Some(Columns::find(row)?);
                Ok(())
            }
            Some(columns) => {
                let own = columns.code(row, true)?;
                let partner = columns.code(row, false)?;
                if !seen.insert((own, partner)) {
                    return Err(row.row_error(format!(
                        "expected each pair of codes once, found {:02}/{:03} with {:02}/{:03} again",
                        own.0, own.1, partner.0, partner.1
                    )));
                }
                file.add(row, columns, own, partner)
            }
        })?;
        file.direction = columns.expect("a table has a header").direction;
        if file.non_migrants.is_empty() {
            return Err(Error::data(path, "", "expected rows of counties, found none"));
        }
        Ok(file)
    }

    /// Adds a row; `own` and `partner` are its codes.
    fn add(&mut self, row: &Row, columns: &Columns, own: Code, partner: Code) -> Result<()> {
        let count = columns.count(row)?;
        if own == (0, 0) {
            return Ok(()); // The nation as a whole.
        }
        if own.0 == 0 || own.0 > 56 {
            let problem = format!("expected a state code 01 to 56, found `{:02}`", own.0);
            return Err(row.error(columns.own[0], columns.name(true, "state"), problem));
        }
        self.suppressed_rows += usize::from(count.is_none());
        let county = geoid(own);
        match classify(partner) {
            Some(Partner::Part) => {}
            Some(Partner::Total(field)) => {
                let totals = if own.1 == 0 {
                    self.state_totals.entry(county.as_str()[..2].to_owned()).or_default()
                } else {
                    self.totals.entry(county).or_default()
                };
                *field(totals) = count;
            }
            Some(Partner::County(_)) if own.1 == 0 => {} // Flows of a state as a whole.
            Some(Partner::County(other)) if other == county => {
                self.non_migrants.insert(county, count);
            }
            Some(Partner::County(other)) => {
                let pair = columns.direction.pair(county, other);
                match count {
                    Some(count) => drop(self.pairs.insert(pair, count)),
                    None => drop(self.suppressed.insert(pair)),
                }
            }
            None => {
                let problem = format!(
                    "expected a county, or a code of foreign places, other flows or totals (57 to \
                     59, 96 to 98), found {:02}/{:03}",
                    partner.0, partner.1
                );
                let name = columns.name(false, "state");
                return Err(row.error(columns.partner[0], name, problem));
            }
        }
        Ok(())
    }

    /// Every county that the file names, as its own or as a partner.
    pub fn counties(&self) -> BTreeSet<&Geoid> {
        let pairs = self.pairs.keys().chain(&self.suppressed).flat_map(|(i, j)| [i, j]);
        self.non_migrants.keys().chain(self.totals.keys()).chain(pairs).collect()
    }

    /// The year of the second return, if the file's name ends in two years that follow each other
    /// (`countyinflow1011.csv`: 2011; 90 to 99 are of the 20th century).
    pub fn year_of_name(path: &Path) -> Option<i32> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let stem = name.split('.').next()?;
        let start = stem.rfind("flow")? + 4;
        let years = stem.get(start..).filter(|s| s.len() == 4)?;
        let (first, second): (i32, i32) =
            (years.get(..2)?.parse().ok()?, years.get(2..)?.parse().ok()?);
        ((first + 1) % 100 == second).then(|| second + if second >= 90 { 1900 } else { 2000 })
    }
}

fn geoid((state, county): Code) -> Geoid {
    Geoid::new(format!("{state:02}{county:03}"))
}

fn classify(code: Code) -> Option<Partner> {
    Some(match code {
        (57, _) | (59, 1..=9) => Partner::Part,
        (58, 0) => Partner::Total(|t| &mut t.other_same_state),
        (59, 0) => Partner::Total(|t| &mut t.other_different_state),
        (96, 0) => Partner::Total(|t| &mut t.all),
        (97, 0) => Partner::Total(|t| &mut t.us),
        (97, 1) => Partner::Total(|t| &mut t.same_state),
        (97, 3) => Partner::Total(|t| &mut t.different_state),
        (98, 0) => Partner::Total(|t| &mut t.foreign),
        (1..=56, _) => Partner::County(geoid(code)),
        _ => return None,
    })
}

impl Columns {
    fn find(header: &Row) -> Result<Self> {
        let names: Vec<String> = header.cells.iter().map(|name| name.to_lowercase()).collect();
        let find = |known: [&str; 2]| {
            let found = names.iter().position(|name| known.contains(&name.as_str()));
            found.ok_or_else(|| {
                let problem = format!(
                    "expected a column `{}` or `{}`, found {}",
                    known[0],
                    known[1],
                    listed(header.cells)
                );
                header.row_error(problem)
            })
        };
        let destination = [
            find(["y2_statefips", "state_code_dest"])?,
            find(["y2_countyfips", "county_code_dest"])?,
        ];
        let origin = [
            find(["y1_statefips", "state_code_origin"])?,
            find(["y1_countyfips", "county_code_origin"])?,
        ];
        let inflow = destination[0] < origin[0];
        Ok(Self {
            direction: if inflow { Direction::Inflow } else { Direction::Outflow },
            own: if inflow { destination } else { origin },
            partner: if inflow { origin } else { destination },
            returns: find(["n1", "return_num"])?,
            persons: find(["n2", "exmpt_num"])?,
        })
    }

    fn code(&self, row: &Row, own: bool) -> Result<Code> {
        let [state, county] = if own { self.own } else { self.partner };
        let part = |column, digits: usize, what| {
            let text = row.cell(column);
            let is_code = (1..=digits).contains(&text.len());
            let number = text.parse().ok().filter(|_| is_code && !text.starts_with('+'));
            number.ok_or_else(|| {
                let problem = format!("expected a code of at most {digits} digits, found `{text}`");
                row.error(column, self.name(own, what), problem)
            })
        };
        Ok((part(state, 2, "state")?, part(county, 3, "county")?))
    }

    /// Name of a code column, as it is today.
    fn name(&self, own: bool, what: &str) -> &'static str {
        match (own == (self.direction == Direction::Inflow), what) {
            (true, "state") => "y2_statefips",
            (true, _) => "y2_countyfips",
            (false, "state") => "y1_statefips",
            (false, _) => "y1_countyfips",
        }
    }

    /// Returns and persons, `None` where either is suppressed.
    fn count(&self, row: &Row) -> Result<Option<Count>> {
        let number = |column: usize, name| match row.cell(column) {
            "-1" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                let problem =
                    format!("expected a count, or -1 where it is suppressed, found `{text}`");
                row.error(column, name, problem)
            }),
        };
        let (returns, persons) = (number(self.returns, "n1")?, number(self.persons, "n2")?);
        Ok(returns.zip(persons).map(|(returns, persons)| Count { returns, persons }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "y2_statefips,y2_countyfips,y1_statefips,y1_countyfips,y1_state,y1_countyname,n1,n2,agi";

    fn read(name: &str, bytes: &[u8]) -> std::result::Result<MigrationFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        MigrationFile::read(&path)
            .map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    fn problem(rows: &str) -> String {
        read("in.csv", format!("{HEADER}\n{rows}").as_bytes()).unwrap_err()
    }

    fn count(returns: u64, persons: u64) -> Count {
        Count { returns, persons }
    }

    #[test]
    fn every_kind_of_row() {
        let rows = "01,000,97,000,AL,Total,9,99,1\n\
             01,000,96,000,AL,Total,-1,-1,-1\n\
             01,001,97,000,AL,Total Mig - US,20,50,1\n\
             01,001,58,000,AL,Other,2,5,1\n\
             01,001,59,001,AL,Region,1,2,1\n\
             01,001,57,009,FR,Foreign,3,7,1\n\
             01,001,98,000,AL,Foreign,-1,-1,-1\n\
             01,001,01,001,AL,\"Autauga, Non-Migrants\",17,40,1\n\
             01,001,35,013,NM,Do\u{f1}a Ana,10,30,1\n\
             01,001,35,015,NM,Eddy,-1,-1,-1\n\
             01,003,01,003,AL,B Non-Migrants,-1,-1,-1\n\n";
        let table = read("in.csv", format!("{HEADER}\n{rows}").as_bytes()).unwrap();
        let [a, b, c, d] = ["01001", "01003", "35013", "35015"].map(Geoid::new);
        assert_eq!(table.direction, Direction::Inflow);
        assert_eq!(table.pairs, [((c.clone(), a.clone()), count(10, 30))].into());
        assert_eq!(table.suppressed, [(d.clone(), a.clone())].into());
        let non_migrants = [(a.clone(), Some(count(17, 40))), (b.clone(), None)];
        assert_eq!(table.non_migrants, non_migrants.into());
        let totals = table.totals[&a];
        assert_eq!((totals.us, totals.other_same_state), (Some(count(20, 50)), Some(count(2, 5))));
        assert_eq!((totals.foreign, totals.other_different_state), (None, None));
        assert_eq!(table.state_totals["01"].us, Some(count(9, 99)));
        assert_eq!(table.suppressed_rows, 4);
        assert_eq!(table.counties(), [&a, &b, &c, &d].into());
    }

    #[test]
    fn layouts_of_other_years() {
        let text = "\u{feff}STATE_CODE_ORIGIN,County_Code_Origin,State_Code_Dest,County_Code_Dest,\
            State_Abbrv,County_Name,Return_Num,Exmpt_Num,Aggr_AGI\r\n\
            1,1,1,1,AL,Stay,17,40,9\r\n1,1,35,13,NM,Dona,10,30,1\r\n";
        let table = read("out.csv", text.as_bytes()).unwrap();
        assert_eq!(table.direction, Direction::Outflow);
        let pair = (Geoid::new("01001"), Geoid::new("35013"));
        assert_eq!(table.pairs, [(pair.clone(), count(10, 30))].into());

        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let latin_1: Vec<u8> =
            text.replace("Dona", "Do\u{f1}a").chars().skip(1).map(|c| c as u8).collect();
        std::io::Write::write_all(&mut packed, &latin_1).unwrap();
        let table = read("out.csv.gz", &packed.finish().unwrap()).unwrap();
        assert_eq!(table.pairs, [(pair, count(10, 30))].into());
    }

    #[test]
    fn malformed_files_are_named() {
        assert_eq!(
            problem("01,001,35,x1,NM,Y,10,30,1\n"),
            "in.csv:2: column y1_countyfips: expected a code of at most 3 digits, found `x1`"
        );
        assert_eq!(
            problem("001,001,35,001,NM,Y,10,30,1\n"),
            "in.csv:2: column y2_statefips: expected a code of at most 2 digits, found `001`"
        );
        assert_eq!(
            problem("01,001,35,001,NM,Y,10,d,1\n"),
            "in.csv:2: column n2: expected a count, or -1 where it is suppressed, found `d`"
        );
        assert_eq!(
            problem("01,001,63,010,NM,Y,10,20,1\n"),
            "in.csv:2: column y1_statefips: expected a county, or a code of foreign places, other \
             flows or totals (57 to 59, 96 to 98), found 63/010"
        );
        assert_eq!(
            problem("97,001,01,001,NM,Y,10,20,1\n"),
            "in.csv:2: column y2_statefips: expected a state code 01 to 56, found `97`"
        );
        assert_eq!(
            problem("01,001,35,001,NM,Y,10,20,1\n\n1,1,35,1,NM,Y,-1,-1,1\n"),
            "in.csv:4: expected each pair of codes once, found 01/001 with 35/001 again"
        );
        assert_eq!(problem("01,001,35\n"), "in.csv:2: expected 9 fields, found 3");
        assert_eq!(problem(""), "in.csv: expected rows of counties, found none");
        assert_eq!(
            read("in.csv", b"y2_statefips,y2_countyfips,n1\n").unwrap_err(),
            "in.csv:1: expected a column `y1_statefips` or `state_code_origin`, found \
             y2_statefips, y2_countyfips, n1"
        );
    }

    #[test]
    fn years_of_names() {
        let year = |name: &str| MigrationFile::year_of_name(Path::new(name));
        assert_eq!(year("a/countyinflow1011.csv.gz"), Some(2011));
        assert_eq!(year("CountyOutflow9293.csv"), Some(1993));
        assert_eq!(year("countyinflow9900.csv"), Some(2000));
        for name in ["inflow.csv", "countyinflow1012.csv", "countyinflow2011.csv", "flows1011.csv"]
        {
            assert_eq!(year(name), None, "{name}");
        }
    }
}
