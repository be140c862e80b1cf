//! County-to-county migration of the American Community Survey, 5-year estimates of a year's flow.
//!
//! Source: <https://www.census.gov/topics/population/migration/guidance/county-to-county-migration-flows.html>.
//! Of the layouts that the Census Bureau publishes, these are read:
//!
//! - `.xlsx` "ins-outs-nets-gross", one sheet per state: state code (3 digits) and county code of
//!   geography A, the same of B (a letter code for a foreign region), four columns of names, then
//!   estimate and margin of error of the flow from B to A, of the counterflow from A to B, net and
//!   gross; footnotes below;
//! - `.txt` `Net_Gross_US.txt`, fixed width, no header: codes in columns 1-3, 4-6, 7-9 and 10-12,
//!   names from 14 on, and the same eight numbers, 8 wide, at 146, 155, 164, 173, 182, 191, 200 and
//!   209; a point for no number;
//! - `.txt` `CtyxCty_US.txt`, fixed width, no header: codes of the current residence A and the
//!   residence a year ago B in the same columns, many totals of both, and as the last two numbers
//!   of a line estimate and margin of error of the flow from B to A;
//! - `.csv` with names instead of codes: state and county of A, of B, and the same eight numbers,
//!   with thousands commas.
//!
//! Margins of error are at 90 %. A flow of 0 is one that the sample did not see; it has no margin.

mod fixed_width;
mod places;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub use places::CountyNames;

use places::{Place, by_codes};

use super::source::{Row, rows};
use super::text::number;
use crate::geography::Geoid;
use crate::{Error, Result};

/// An estimate of persons with its margin of error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Persons a year.
    pub persons: f64,
    /// Margin of error at 90 %, persons.
    pub moe: f64,
}

/// Flows between counties, and from abroad.
///
/// Invariant: estimates are above 0; what is not listed is 0.
#[derive(Clone, Debug, Default)]
pub struct CountyFlows {
    /// Movers between two counties of the 50 states and DC: (origin, destination).
    pub flows: BTreeMap<(Geoid, Geoid), Estimate>,
    /// Arrivals from a foreign region, the island areas, or a municipio of Puerto Rico (`San Juan
    /// Municipio, Puerto Rico`): (region, destination). Where a layout has no names for them, codes
    /// (`127, 072`).
    pub abroad: BTreeMap<(String, Geoid), Estimate>,
    /// Departures to Puerto Rico, persons; nobody asks those who left the country.
    pub to_puerto_rico: f64,
    /// Pairs of counties that the file has from both sides.
    pub both_sides: usize,
    /// Rows whose net and gross are not the difference and the sum of their flows, beyond 1 person.
    pub inconsistent_rows: usize,
}

impl CountyFlows {
    /// Reads a file, its layout known by its extension (and line length).
    ///
    /// `names` gives the codes of counties, for the layout that has names only.
    ///
    /// # Errors
    /// If the file is missing or broken, a county is unknown, a number is none, or the two sides of
    /// a pair differ.
    pub fn read(path: &Path, names: Option<&CountyNames>) -> Result<Self> {
        let mut flows = Self::default();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "txt" => flows.read_fixed_width(path)?,
            "xlsx" | "xls" => rows(path, |row| flows.add_coded(row))?,
            _ => {
                let names = names.ok_or_else(|| {
                    let problem =
                        "expected names of counties to go with it: this layout has no codes";
                    Error::data(path, "", problem)
                })?;
                let mut header = true;
                rows(path, |row| {
                    if std::mem::take(&mut header) {
                        return check_header(row);
                    }
                    flows.add_named(row, names)
                })?;
            }
        }
        if flows.flows.is_empty() {
            return Err(Error::data(path, "", "expected flows between counties, found none"));
        }
        Ok(flows)
    }

    fn add_named(&mut self, row: &Row, names: &CountyNames) -> Result<()> {
        let place = |column, end: char| {
            let (state, county) = (row.cell(column), row.cell(column + 1));
            names.find(state, county).ok_or_else(|| {
                let problem =
                    format!("expected a county of the names, found `{county}` in `{state}`");
                row.error(column + 1, &format!("County Name of Geography {end}"), problem)
            })
        };
        let (a, b) = (place(0, 'A')?, place(2, 'B')?);
        self.add_numbers(row, a, b, 4)
    }

    fn add_coded(&mut self, row: &Row) -> Result<()> {
        // Titles, headers and footnotes have no state code.
        if row.cell(0).is_empty() || !row.cell(0).bytes().all(|b| b.is_ascii_digit()) {
            return Ok(());
        }
        let place = |column| {
            let [codes, names] = [column, column + 4].map(|c| [row.cell(c), row.cell(c + 1)]);
            by_codes(codes, names).map_err(|p| row.error(column, "code", p))
        };
        let (a, b) = (place(0)?, place(2)?);
        self.add_numbers(row, a, b, 8)
    }

    /// Adds the flows of a row whose eight numbers begin at `first`.
    fn add_numbers(&mut self, row: &Row, a: Place, b: Place, first: usize) -> Result<()> {
        const NAMES: [&str; 8] = [
            "B-A_Estimate",
            "B-A MOE",
            "A-B_Estimate",
            "A-B MOE",
            "Net_Estimate",
            "Net MOE",
            "Gross_Estimate",
            "Gross MOE",
        ];
        let mut numbers = [None; 8];
        for (k, slot) in numbers.iter_mut().enumerate() {
            let text = row.cell(first + k);
            *slot = optional_number(text).map_err(|p| row.error(first + k, NAMES[k], p))?;
        }
        self.add(a, b, numbers).map_err(|problem| row.row_error(problem))
    }

    /// Adds flow and counterflow with their margins; then net and gross, which are checked.
    fn add(
        &mut self,
        a: Place,
        b: Place,
        numbers: [Option<f64>; 8],
    ) -> std::result::Result<(), String> {
        let estimate = |k: usize| match (numbers[k], numbers[k + 1]) {
            (Some(persons), _) if persons < 0.0 => {
                Err(format!("expected persons >= 0, found {persons}"))
            }
            (Some(persons), Some(moe)) if persons > 0.0 && moe >= 0.0 => {
                Ok(Some(Estimate { persons, moe }))
            }
            (Some(persons), _) if persons > 0.0 => {
                Err(format!("expected a margin of error of the flow of {persons}, found none"))
            }
            (_, _) => Ok(None),
        };
        let (flow, counterflow) = (estimate(0)?, estimate(2)?);
        if let [Some(into), _, Some(out), _, Some(net), _, Some(gross), _] = numbers {
            let wrong = (net - (into - out)).abs() > 1.0 || (gross - (into + out)).abs() > 1.0;
            self.inconsistent_rows += usize::from(wrong);
        }
        let Place::County(a) = a else { return Ok(()) };
        match b {
            Place::County(b) if a == b => {
                return Err(format!("expected two counties, found {a} twice"));
            }
            Place::County(b) => {
                self.insert(&b, &a, flow)?;
                if numbers[2].is_some() {
                    self.insert(&a, &b, counterflow)?;
                }
            }
            Place::Outside(region) => {
                if let Some(flow) = flow {
                    let twice = self.abroad.insert((region.clone(), a.clone()), flow);
                    if twice.is_some() {
                        return Err(format!(
                            "expected each pair once, found {region} to {a} again"
                        ));
                    }
                }
                self.to_puerto_rico += counterflow.map_or(0.0, |c| c.persons);
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        origin: &Geoid,
        destination: &Geoid,
        flow: Option<Estimate>,
    ) -> std::result::Result<(), String> {
        let Some(flow) = flow else { return Ok(()) };
        let pair = (origin.clone(), destination.clone());
        match self.flows.insert(pair, flow) {
            Some(other) if other != flow => Err(format!(
                "expected the flow from {origin} to {destination} to be the same on both sides, \
                 found {} +- {} here and {} +- {} before",
                flow.persons, flow.moe, other.persons, other.moe
            )),
            Some(_) => {
                self.both_sides += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn check_header(header: &Row) -> Result<()> {
    const EXPECTED: [&str; 6] = [
        "State of Geography A",
        "County Name of Geography A",
        "State of Geography B",
        "County Name of Geography B",
        "B-A_Estimate",
        "MOE",
    ];
    let wrong = (0..EXPECTED.len()).find(|&k| !header.cell(k).eq_ignore_ascii_case(EXPECTED[k]));
    match wrong {
        None if header.cells.len() == 12 => Ok(()),
        None => {
            let found = header.cells.len();
            Err(header.row_error(format!("expected 12 columns, found {found}")))
        }
        Some(k) => Err(header.row_error(format!(
            "expected column {} to be `{}`, found `{}`",
            k + 1,
            EXPECTED[k],
            header.cell(k)
        ))),
    }
}

/// A number with commas; empty, a point or a dash is none.
fn optional_number(text: &str) -> std::result::Result<Option<f64>, String> {
    match text {
        "" | "." | "-" => Ok(None),
        text => match number(text) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("expected a number, found `{text}`")),
        },
    }
}

impl CountyNames {
    /// Codes by name from a table with columns `STNAME`, `CTYNAME`, `STATE` and `COUNTY`, such as
    /// the county file of the Population Estimates Program; rows of states (county 000) are left
    /// out.
    ///
    /// # Errors
    /// If the file is not UTF-8 or Latin-1 text with these columns, or a name comes twice.
    pub fn read(path: &Path) -> Result<Self> {
        let mut columns: Option<[usize; 4]> = None;
        let mut names = HashMap::new();
        rows(path, |row| {
            let Some([state_name, county_name, state, county]) = columns else {
                let find = |name: &str| {
                    let found = row.cells.iter().position(|cell| cell.eq_ignore_ascii_case(name));
                    found.ok_or_else(|| {
                        let found =
                            row.cells.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
                        row.row_error(format!("expected a column `{name}`, found {found}"))
                    })
                };
                columns =
                    Some([find("STNAME")?, find("CTYNAME")?, find("STATE")?, find("COUNTY")?]);
                return Ok(());
            };
            if row.cell(county).trim_start_matches('0').is_empty() {
                return Ok(());
            }
            let code = format!("{:0>2}{:0>3}", row.cell(state), row.cell(county));
            let name = (row.cell(state_name).to_owned(), row.cell(county_name).to_owned());
            names.insert(name, Geoid::new(code));
            Ok(())
        })?;
        Self::new(names).map_err(|problem| Error::data(path, "", problem))
    }
}

#[cfg(test)]
mod tests {
    use super::super::workbook::write_workbook;
    use super::*;

    const HEADER: &str = "State of Geography A,County Name of Geography A,State of Geography B,\
        County Name of Geography B,B-A_Estimate,MOE,A-B_Estimate,MOE,Net_Estimate,MOE,\
        Gross_Estimate,MOE\n";

    fn names() -> CountyNames {
        let name = |state: &str, county: &str, code: &str| {
            ((state.to_owned(), county.to_owned()), Geoid::new(code))
        };
        CountyNames::new([
            name("Georgia", "Appling County", "13001"),
            name("Georgia", "Fulton County", "13121"),
            name("Virginia", "Norfolk city", "51710"),
        ])
        .unwrap()
    }

    fn read(name: &str, text: &str) -> std::result::Result<CountyFlows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let short = |e: Error| e.to_string().replace(&format!("{}/", folder.path().display()), "");
        CountyFlows::read(&path, Some(&names())).map_err(short)
    }

    fn flow(flows: &CountyFlows, origin: &str, destination: &str) -> Option<(f64, f64)> {
        let pair = (Geoid::new(origin), Geoid::new(destination));
        flows.flows.get(&pair).map(|e| (e.persons, e.moe))
    }

    #[test]
    fn names_are_found_whatever_their_case() {
        let text = format!(
            "{HEADER}Georgia,Appling County,Georgia,Fulton County,\"1,043\",57,0,,\"1,043\",57,\"1,043\",57\n\
             Georgia,Fulton County,Georgia,Appling County,0,,\"1,043\",57,\"-1,043\",57,\"1,043\",57\n\
             Georgia,Appling County,Virginia,Norfolk City,4,5,6,7,-2,9,11,9\n\
             Georgia,Appling County,Asia,-,3,4,,,,,,\n\
             Georgia,Appling County,Puerto Rico,San Juan Municipio,3,4,2,2,1,5,5,5\n\
             Georgia,Appling County,Puerto Rico,Ponce Municipio,5,4,0,,5,4,5,4\n"
        );
        let flows = read("flows.csv", &text).unwrap();
        assert_eq!(flow(&flows, "13121", "13001"), Some((1043.0, 57.0)));
        assert_eq!(flow(&flows, "13001", "13121"), None);
        assert_eq!(flow(&flows, "13001", "51710"), Some((6.0, 7.0)));
        assert_eq!((flows.flows.len(), flows.both_sides, flows.inconsistent_rows), (3, 1, 0));
        assert_eq!(flows.abroad[&("Asia".into(), Geoid::new("13001"))].persons, 3.0);
        let ponce = ("Ponce Municipio, Puerto Rico".into(), Geoid::new("13001"));
        assert_eq!(flows.abroad[&ponce].persons, 5.0);
        assert_eq!((flows.abroad.len(), flows.to_puerto_rico), (3, 2.0));
    }

    #[test]
    fn malformed_rows_are_named() {
        let problem = |rows: &str| read("flows.csv", &format!("{HEADER}{rows}")).unwrap_err();
        assert_eq!(
            problem("Georgia,Appling County,Ohio,Norfolk City,4,5,6,7,-2,9,10,9\n"),
            "flows.csv:2: column County Name of Geography B: expected a county of the names, found \
             `Norfolk City` in `Ohio`"
        );
        assert_eq!(
            problem("Georgia,Appling County,Georgia,Fulton County,\"1,04\",5,6,7,-2,9,10,9\n"),
            "flows.csv:2: column B-A_Estimate: expected a number, found `1,04`"
        );
        assert_eq!(
            problem("Georgia,Appling County,Georgia,Fulton County,4,,6,7,-2,9,10,9\n"),
            "flows.csv:2: expected a margin of error of the flow of 4, found none"
        );
        assert_eq!(
            problem(
                "Georgia,Appling County,Georgia,Fulton County,4,5,6,7,-2,9,10,9\n\
                 Georgia,Fulton County,Georgia,Appling County,6,7,5,5,1,9,11,9\n"
            ),
            "flows.csv:3: expected the flow from 13121 to 13001 to be the same on both sides, found \
             5 +- 5 here and 4 +- 5 before"
        );
        assert_eq!(problem(""), "flows.csv: expected flows between counties, found none");
        assert_eq!(
            read("flows.csv", "geoid\n").unwrap_err(),
            "flows.csv:1: expected column 1 to be `State of Geography A`, found `geoid`"
        );
        let nameless = CountyFlows::read(Path::new("a.csv"), None).unwrap_err().to_string();
        assert!(nameless.ends_with("this layout has no codes"), "{nameless}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pep.csv");
        std::fs::write(&path, "STATE,COUNTY,STNAME,CTYNAME\n1,0,A,A\n1,1,A,B\n01,003,A,b\n")
            .unwrap();
        let problem = CountyNames::read(&path).unwrap_err().to_string();
        assert!(problem.contains("expected each name once, found"), "{problem}");
    }

    #[test]
    fn workbooks_of_one_sheet_per_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("county-to-county.xlsx");
        let rows: &[&[&str]] = &[
            &["Table with row headers in column A"],
            &["State Code of Geography A", "FIPS County Code of Geography A"],
            &["", "", "", "", "", "", "", "", "Estimate", "MOE"],
            &[
                "013",
                "001",
                "013",
                "121",
                "Georgia",
                "Appling County",
                "Georgia",
                "Fulton County",
                "#10",
                "#5",
                "#7",
                "#6",
                "#3",
                "#8",
                "#17",
                "#8",
            ],
            &["013", "001", "EUR", "", "Georgia", "Appling County", "Europe", "-", "#9", "#4"],
            &["Footnotes:"],
        ];
        write_workbook(&path, &[("Georgia", rows)]);
        let flows = CountyFlows::read(&path, None).unwrap();
        assert_eq!(flow(&flows, "13121", "13001"), Some((10.0, 5.0)));
        assert_eq!(flow(&flows, "13001", "13121"), Some((7.0, 6.0)));
        assert_eq!(flows.abroad[&("Europe".into(), Geoid::new("13001"))].moe, 4.0);
        let rows: &[&[&str]] = &[&["013", "", "013", "121"]];
        write_workbook(&path, &[("Georgia", rows)]);
        let problem = CountyFlows::read(&path, None).unwrap_err().to_string();
        assert!(
            problem
                .ends_with("sheet Georgia: cell A1: expected a county code of 3 digits, found ``"),
            "{problem}"
        );
    }
}
