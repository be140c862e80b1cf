//! Upload files of the Census batch geocoder: `identifier,street,city,state,zip` without a header
//! line, at most 10,000 rows each.
//!
//! Source: Census Geocoder, <https://geocoding.geo.census.gov/geocoder/Geocoding_Services_API.html>;
//! how addresses without a street are written: U.S. Postal Service, Publication 28, Postal Addressing
//! Standards, sections 24 to 28, <https://pe.usps.com/text/pub28/welcome.htm>.

use std::fs::File;
use std::hash::BuildHasher as _;
use std::io::{BufWriter, IntoInnerError};
use std::path::{Path, PathBuf};

use hashbrown::{DefaultHashBuilder, HashMap};
use serde::Serialize;

use crate::histories::input::Noted;
use crate::histories::input::fields::identifier;
use crate::histories::input::rows::{self, Row, Wanted};
use crate::histories::key::Key;
use crate::histories::places::Zip;
use crate::{Error, Result};

/// Rows that the service takes at once.
pub const MAX_ROWS: usize = 10_000;

/// Name of the table of those who are left out but have a ZIP code.
pub const ZIPS: &str = "zips.csv";

/// Columns of a table of addresses: identifier, street, city, state, ZIP code. All but the first two
/// may be missing.
#[derive(Clone, Debug)]
pub struct Columns(pub [String; 5]);

/// What became of a table of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UploadCounts {
    /// Upload files.
    pub files: usize,
    /// Rows of the tables.
    pub rows: u64,
    /// Addresses in the upload files.
    pub asked: u64,
    /// Rows of an address that was before them.
    pub repeated: u64,
    /// Of these, with another street or place; the first one counts.
    pub disagreeing: Noted,
    /// Addresses that are left out, since the geocoder finds none of these kinds.
    pub left_out: LeftOut,
    /// Of these, with a ZIP code.
    pub with_zip: u64,
    /// Of these, without one: nothing will be known of them.
    pub without_zip: Noted,
    /// ZIP codes that are none, taken as missing.
    pub unreadable_zips: Noted,
}

/// Addresses that the geocoder is not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Post-office boxes.
    pub po_box: u64,
    /// Boxes on rural routes and highway contract routes.
    pub rural_route: u64,
    /// General delivery.
    pub general_delivery: u64,
    /// Without a street.
    pub without_street: u64,
    /// With neither a ZIP code nor city and state.
    pub without_place: u64,
}

impl LeftOut {
    /// All.
    pub fn total(&self) -> u64 {
        let Self { po_box, rural_route, general_delivery, without_street, without_place } = self;
        po_box + rural_route + general_delivery + without_street + without_place
    }

    /// The counter of an address that the geocoder cannot find.
    fn counter(&mut self, address: &Address) -> Option<&mut u64> {
        let words: Vec<String> = address
            .street
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_uppercase)
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let is_number = |word: &&str| word.bytes().any(|b| b.is_ascii_digit());
        Some(match &words[..] {
            [] => &mut self.without_street,
            ["PO", "BOX" | "DRAWER", ..]
            | ["P", "O", "BOX" | "DRAWER", ..]
            | ["POST", "OFFICE", "BOX", ..]
            | ["POB" | "POBOX", ..] => &mut self.po_box,
            ["BOX", number, ..] if is_number(number) => &mut self.po_box,
            ["RURAL", "ROUTE", ..] | ["HIGHWAY", "CONTRACT", ..] => &mut self.rural_route,
            ["RR" | "HC", number, ..]
            | ["R", "R", number, ..]
            | ["RT" | "ROUTE", number, "BOX", ..]
                if is_number(number) =>
            {
                &mut self.rural_route
            }
            ["GENERAL", "DELIVERY", ..] => &mut self.general_delivery,
            _ if address.zip.is_none() && (address.city.is_empty() || address.state.is_empty()) => {
                &mut self.without_place
            }
            _ => return None,
        })
    }
}

/// An address in a row, on one line.
#[derive(Debug, Hash)]
struct Address {
    street: String,
    city: String,
    state: String,
    /// Five digits.
    zip: Option<String>,
}

impl Address {
    fn of(row: &Row, number: usize, unreadable: &mut Noted) -> Self {
        let [street, city, state] = [1, 2, 3].map(|column| {
            let words: Vec<&str> = row.cell(column).split_whitespace().collect();
            words.join(" ")
        });
        let text = row.cell(4);
        let zip = Zip::parse(text).map(|zip| format!("{:05}", zip.number()));
        if zip.is_none() && !text.is_empty() {
            unreadable.add(number, || format!("{}: `{text}`", row.place(4)));
        }
        Self { street, city, state, zip }
    }
}

/// Writes upload files and [`ZIPS`] into a folder, in the order of the rows, each address once. Of
/// every address some 40 bytes are kept.
///
/// # Errors
/// If a table is broken, a column is missing or an identifier is empty, or a file cannot be written.
pub fn write(
    tables: &[PathBuf],
    columns: &Columns,
    rows_per_file: usize,
    folder: &Path,
) -> Result<UploadCounts> {
    let wanted = [0, 1, 2, 3, 4].map(|at| Wanted {
        name: columns.0[at].clone(),
        optional: at > 1,
        float: false,
    });
    let mut counts = UploadCounts::default();
    let mut seen: HashMap<Key, u64> = HashMap::new();
    let hasher = DefaultHashBuilder::default();
    let mut uploads = Uploads::new(folder, rows_per_file);
    let mut zips = CsvFile::create(folder.join(ZIPS))?;
    zips.write(&["address_id", "zip"])?;
    for (number, part) in rows::parts(tables)?.iter().enumerate() {
        part.read(&wanted, |row| {
            let id = identifier(row, 0)?;
            if id.contains(char::is_control) {
                let problem = format!("expected an identifier on one line, found {id:?}");
                return Err(row.error(0, problem));
            }
            counts.rows += 1;
            let address = Address::of(row, number, &mut counts.unreadable_zips);
            let hash = hasher.hash_one(&address);
            if let Some(first) = seen.insert(Key::new(id.as_bytes()), hash) {
                counts.repeated += 1;
                if first != hash {
                    seen.insert(Key::new(id.as_bytes()), first);
                    counts.disagreeing.add(number, || format!("{}: `{id}`", row.place(0)));
                }
                return Ok(());
            }
            if let Some(counter) = counts.left_out.counter(&address) {
                *counter += 1;
                if let Some(zip) = &address.zip {
                    counts.with_zip += 1;
                    return zips.write(&[id, zip]);
                }
                counts.without_zip.add(number, || format!("{}: `{id}`", row.place(0)));
                return Ok(());
            }
            counts.asked += 1;
            let Address { street, city, state, zip } = &address;
            uploads.push(&[id, street, city, state, zip.as_deref().unwrap_or_default()])
        })?;
    }
    zips.finish()?;
    counts.files = uploads.finish()?;
    Ok(counts)
}

/// Upload files being written, `upload-00001.csv` and so on.
#[derive(Debug)]
pub(super) struct Uploads<'f> {
    folder: &'f Path,
    rows_per_file: usize,
    files: usize,
    /// The last file and its rows.
    open: Option<(CsvFile, usize)>,
}

impl<'f> Uploads<'f> {
    pub fn new(folder: &'f Path, rows_per_file: usize) -> Self {
        Self { folder, rows_per_file, files: 0, open: None }
    }

    /// Adds a row, to a new file if the last one is full.
    pub fn push(&mut self, row: &[impl AsRef<[u8]>]) -> Result<()> {
        let (mut file, rows) = match self.open.take() {
            Some((file, rows)) if rows < self.rows_per_file => (file, rows),
            full => {
                full.map_or(Ok(()), |(file, _)| file.finish())?;
                self.files += 1;
                (CsvFile::create(self.folder.join(upload_name(self.files)))?, 0)
            }
        };
        file.write(row)?;
        self.open = Some((file, rows + 1));
        Ok(())
    }

    /// Finishes the last file; returns how many there are.
    pub fn finish(self) -> Result<usize> {
        self.open.map_or(Ok(()), |(file, _)| file.finish())?;
        Ok(self.files)
    }
}

/// Name of an upload file, by its number from 1.
pub fn upload_name(number: usize) -> String {
    format!("upload-{number:05}.csv")
}

/// Whether a file is one, by its name.
pub(super) fn is_upload(name: &str) -> bool {
    let number = name.strip_prefix("upload-").and_then(|rest| rest.strip_suffix(".csv"));
    number.is_some_and(|number| number.parse().is_ok_and(|number| upload_name(number) == name))
}

/// A CSV file being written, whose errors have its name.
#[derive(Debug)]
struct CsvFile {
    path: PathBuf,
    out: csv::Writer<BufWriter<File>>,
}

impl CsvFile {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
        let out = csv::Writer::from_writer(BufWriter::new(file));
        Ok(Self { path, out })
    }

    fn write(&mut self, row: &[impl AsRef<[u8]>]) -> Result<()> {
        self.out.write_record(row).map_err(|e| Error::io(&self.path, e.into()))
    }

    fn finish(self) -> Result<()> {
        let Self { path, out } = self;
        let file = out.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
        let synced = file.into_inner().map_err(IntoInnerError::into_error);
        synced.and_then(|file| file.sync_all()).map_err(|e| Error::io(&path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_street_are_left_out() {
        let kind = |street: &str, city: &str, zip: Option<&str>| {
            let mut left_out = LeftOut::default();
            let (street, city) = (street.into(), city.into());
            let address = Address { street, city, state: "AL".into(), zip: zip.map(Into::into) };
            if let Some(counter) = left_out.counter(&address) {
                *counter += 1;
            }
            let LeftOut { po_box, rural_route, general_delivery, without_street, without_place } =
                left_out;
            [po_box, rural_route, general_delivery, without_street, without_place]
        };
        for street in [
            "PO BOX 7",
            "P.O. Box 7",
            "p o box 7",
            "P.O.BOX 7",
            "Post Office Box 7",
            "POB 7",
            "BOX 7A",
            "PO Drawer B",
        ] {
            assert_eq!(kind(street, "X", Some("36001")), [1, 0, 0, 0, 0], "{street}");
        }
        for street in ["RR 2 BOX 152", "HC 61 BOX 4", "R.R. 2", "Rural Route 2", "RT 3 BOX 9"] {
            assert_eq!(kind(street, "X", Some("36001")), [0, 1, 0, 0, 0], "{street}");
        }
        assert_eq!(kind("General Delivery", "X", None), [0, 0, 1, 0, 0]);
        assert_eq!(kind(" -. ", "X", None), [0, 0, 0, 1, 0]);
        assert_eq!(kind("1 A ST", "", None), [0, 0, 0, 0, 1]);
        for (street, city, zip) in [
            ("1 A ST", "X", None),
            ("1 A ST", "", Some("36001")),
            ("12 PO RIVER DR", "X", None),
            ("1 MAIN ST PO BOX 7", "X", None),
            ("ROUTE 9", "X", None),
            ("BOX ELDER RD", "X", None),
            ("HC ANDERSEN WAY", "X", None),
        ] {
            assert_eq!(kind(street, city, zip), [0; 5], "{street}");
        }
    }
}
