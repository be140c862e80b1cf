//! HUD-USPS crosswalk from ZIP codes to census tracts: which share of a ZIP code's residential
//! addresses is in each tract.
//!
//! Source: US Department of Housing and Urban Development, Office of Policy Development and
//! Research, <https://www.huduser.gov/portal/datasets/usps_crosswalk.html>, files
//! `ZIP_TRACT_032015.xlsx` and the like, one per quarter since 2010. Up to 2022 tracts are those
//! of the 2010 Census. Columns `ZIP`, `TRACT`, `RES_RATIO`, `BUS_RATIO`, `OTH_RATIO`, `TOT_RATIO`,
//! in some quarters in lower case and with city and state; only the first three are read.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::{Row, rows};
use super::text::number;
use crate::geography::Geoid;
use crate::table::listed;
use crate::{Error, Result};

/// How far the ratios of a ZIP code may be from a sum of 1, as published to 9 digits or so.
pub const SUM_TOLERANCE: f64 = 1e-5;

/// Tracts of every ZIP code.
///
/// Invariant: ratios are in [0, 1], and a ZIP code has each tract once.
#[derive(Clone, Debug)]
pub struct ZipTracts {
    shares: BTreeMap<String, Vec<(Geoid, f64)>>,
    /// ZIP codes without residential addresses, such as those of post boxes: all ratios are 0.
    pub without_residents: Vec<String>,
    /// ZIP codes whose ratios do not sum to 1 or 0, with their sum.
    pub off: Vec<(String, f64)>,
    /// Largest distance of a sum from 1, `without_residents` aside.
    pub largest_error: f64,
    /// Codes that had lost leading zeros, which were restored.
    pub restored_zeros: usize,
}

impl ZipTracts {
    /// Reads one quarter (`.csv`, also gzip, or `.xlsx`).
    ///
    /// Sums that are not 1 are no error; see [`off`](Self::off).
    ///
    /// # Errors
    /// If the file is missing or broken, a column is missing, a code is not numeric or too long, a
    /// ratio is not a number from 0 to 1, or a pair comes twice.
    pub fn read(path: &Path) -> Result<Self> {
        let mut columns = None;
        let mut table = Self {
            shares: BTreeMap::new(),
            without_residents: Vec::new(),
            off: Vec::new(),
            largest_error: 0.0,
            restored_zeros: 0,
        };
        rows(path, |row| match columns {
            None => {
                columns = Some(find_columns(row)?);
                Ok(())
            }
            Some(columns) => table.add(row, columns),
        })?;
        if table.shares.is_empty() {
            return Err(Error::data(path, "", "expected rows of ZIP codes, found none"));
        }
        for (zip, tracts) in &mut table.shares {
            tracts.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(twice) = tracts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let problem =
                    format!("expected each tract of ZIP {zip} once, found {} twice", twice[0].0);
                return Err(Error::data(path, "", problem));
            }
            let sum: f64 = tracts.iter().map(|t| t.1).sum();
            if sum == 0.0 {
                table.without_residents.push(zip.clone());
                continue;
            }
            table.largest_error = table.largest_error.max((sum - 1.0).abs());
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                table.off.push((zip.clone(), sum));
            }
        }
        Ok(table)
    }

    fn add(&mut self, row: &Row, [zip, tract, ratio]: [usize; 3]) -> Result<()> {
        if row.cells.iter().all(String::is_empty) {
            return Ok(());
        }
        let mut code = |column, name, digits: usize| {
            let text = row.cell(column);
            if text.is_empty() || text.len() > digits || !text.bytes().all(|b| b.is_ascii_digit()) {
                let problem = format!("expected a code of {digits} digits, found `{text}`");
                return Err(row.error(column, name, problem));
            }
            self.restored_zeros += usize::from(text.len() < digits);
            Ok(format!("{text:0>digits$}"))
        };
        let (zip, tract) = (code(zip, "ZIP", 5)?, code(tract, "TRACT", 11)?);
        let text = row.cell(ratio);
        let share = number(text).filter(|share| (0.0..=1.0 + SUM_TOLERANCE).contains(share));
        let share = share.ok_or_else(|| {
            let problem = format!("expected a ratio from 0 to 1, found `{text}`");
            row.error(ratio, "RES_RATIO", problem)
        })?;
        self.shares.entry(zip).or_default().push((Geoid::new(tract), share.min(1.0)));
        Ok(())
    }

    /// Number of ZIP codes.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Every ZIP code with its [`tracts`](Self::tracts), by code.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[(Geoid, f64)])> {
        self.shares.iter().map(|(zip, tracts)| (zip.as_str(), tracts.as_slice()))
    }

    /// Tracts of a ZIP code with their share of its residential addresses, by tract; as published,
    /// not normalized. `None` for an unknown ZIP code.
    pub fn tracts(&self, zip: &str) -> Option<&[(Geoid, f64)]> {
        self.shares.get(zip).map(Vec::as_slice)
    }
}

fn find_columns(header: &Row) -> Result<[usize; 3]> {
    let find = |name: &str| {
        let found = header.cells.iter().position(|cell| cell.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let problem = format!("expected a column `{name}`, found {}", listed(header.cells));
            header.row_error(problem)
        })
    };
    Ok([find("ZIP")?, find("TRACT")?, find("RES_RATIO")?])
}

#[cfg(test)]
mod tests {
    use super::super::workbook::write_workbook;
    use super::*;

    fn read(text: &str) -> std::result::Result<ZipTracts, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zip.csv");
        std::fs::write(&path, text).unwrap();
        let short = |e: Error| e.to_string().replace(&format!("{}/", folder.path().display()), "");
        ZipTracts::read(&path).map_err(short)
    }

    #[test]
    fn shares_are_read_and_their_sums_reported() {
        let table = read(
            "zip,tract,usps_zip_pref_city,res_ratio,bus_ratio\n\
             00601,72001956700,ADJUNTAS,0.25,0\n601,72001956800,ADJUNTAS,0.7500000001,0\n\
             10001,36061009500,NEW YORK,0.5,1\n10001,36061009300,NEW YORK,0.4,1\n\
             20001,1001020100,X,0,1\n",
        )
        .unwrap();
        assert_eq!((table.len(), table.restored_zeros), (3, 2));
        let tracts = table.tracts("10001").unwrap();
        assert_eq!(tracts[0], (Geoid::new("36061009300"), 0.4));
        assert_eq!(table.tracts("20001").unwrap()[0].0.as_str(), "01001020100");
        assert_eq!(table.tracts("00602"), None);
        assert_eq!(table.without_residents, ["20001"]);
        assert_eq!(table.off, [("10001".to_owned(), 0.9)]);
        assert!((table.largest_error - 0.1).abs() < 1e-15);
    }

    #[test]
    fn workbooks_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zip.xlsx");
        let rows: &[&[&str]] = &[
            &["ZIP", "TRACT", "RES_RATIO"],
            &["00501", "36103158607", "#1"],
            &["#501", "#36103158608", "#0.0"],
        ];
        write_workbook(&path, &[("ZIP_TRACT_032015", rows)]);
        let table = ZipTracts::read(&path).unwrap();
        let tract = |code: &str, share| (Geoid::new(code), share);
        let expected = [tract("36103158607", 1.0), tract("36103158608", 0.0)];
        assert_eq!(table.tracts("00501").unwrap(), expected);
        let rows: &[&[&str]] = &[&["ZIP", "TRACT", "RES_RATIO"], &["00501", "36103158607", "x"]];
        write_workbook(&path, &[("S", rows)]);
        let problem = ZipTracts::read(&path).unwrap_err().to_string();
        assert!(
            problem
                .ends_with("zip.xlsx: sheet S: cell C2: expected a ratio from 0 to 1, found `x`"),
            "{problem}"
        );
    }

    #[test]
    fn malformed_tables_are_named() {
        let header = "ZIP,TRACT,RES_RATIO\n";
        let problem = |rows: &str| read(&format!("{header}{rows}")).unwrap_err();
        assert_eq!(
            problem("00501,36103158607,1.5\n"),
            "zip.csv:2: column RES_RATIO: expected a ratio from 0 to 1, found `1.5`"
        );
        assert_eq!(
            problem("A0501,36103158607,1\n"),
            "zip.csv:2: column ZIP: expected a code of 5 digits, found `A0501`"
        );
        assert_eq!(
            problem("00501,361031586070,1\n"),
            "zip.csv:2: column TRACT: expected a code of 11 digits, found `361031586070`"
        );
        assert_eq!(
            problem("00501,36103158607,0.5\n00501,36103158607,0.5\n"),
            "zip.csv: expected each tract of ZIP 00501 once, found 36103158607 twice"
        );
        assert_eq!(problem(""), "zip.csv: expected rows of ZIP codes, found none");
        assert_eq!(
            read("ZIP,COUNTY,RES_RATIO\n").unwrap_err(),
            "zip.csv:1: expected a column `TRACT`, found ZIP, COUNTY, RES_RATIO"
        );
    }
}
