//! The members of an `.npz` file: of a map where they are stored, inflated where they are deflated.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::path::Path;

use memmap2::Mmap;
use zip::{CompressionMethod, ZipArchive, result::ZipError};

use super::Room;
use super::npy::Npy;
use crate::{Error, Result};

/// The members of a mapped zip file.
pub(super) struct Archive<'a> {
    pub path: &'a Path,
    pub map: &'a Mmap,
    pub room: &'a Room,
    zip: ZipArchive<Cursor<&'a [u8]>>,
}

impl<'a> Archive<'a> {
    pub fn new(path: &'a Path, map: &'a Mmap, room: &'a Room) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(&map[..])).map_err(|e| {
            let problem = format!("expected an .npz (zip) file, found {}", zip_problem(&e));
            Error::data(path, "", problem + "; is it truncated?")
        })?;
        Ok(Self { path, map, room, zip })
    }

    pub fn error(&self, member: &str, problem: impl Into<String>) -> Error {
        Error::data(self.path, format!(": member {member}"), problem)
    }

    pub fn entry_error(&self, member: &str, entry: usize, problem: impl Into<String>) -> Error {
        Error::data(self.path, format!(": member {member}: entry {entry}"), problem)
    }

    pub fn wrong_index_type(&self, member: &str, npy: &Npy) -> Error {
        self.error(member, format!("expected int32 or int64, found {}", npy.type_name()))
    }

    /// The bytes of a member: of the map if it is stored, inflated if it is deflated.
    pub fn member(&mut self, name: &str) -> Result<Cow<'a, [u8]>> {
        let (path, map) = (self.path, self.map);
        let bad = |problem: String| Error::data(path, format!(": member {name}"), problem);
        let Some(index) = self.zip.index_for_name(name) else {
            let found: Vec<_> = self.zip.file_names().flatten().map(Cow::into_owned).collect();
            return Err(Error::data(
                path,
                "",
                format!(
                    "expected a member {name} (a matrix saved by scipy.sparse.save_npz), found {}",
                    found.join(", ")
                ),
            ));
        };
        let mut member = self
            .zip
            .by_index(index)
            .map_err(|e| bad(format!("expected a readable member, found {}", zip_problem(&e))))?;
        let size = member.size();
        if member.compression() == CompressionMethod::Stored {
            let start = member.data_start().expect("an opened member has a start") as usize;
            let end = start.checked_add(size as usize);
            let bytes = end.and_then(|end| map.get(start..end)).ok_or_else(|| {
                bad(format!(
                    "expected {size} bytes from byte {start}, found a file of {} bytes; is it \
                     truncated?",
                    map.len()
                ))
            })?;
            return Ok(Cow::Borrowed(bytes));
        }
        if !self.room.holds(size) {
            return Err(bad(format!(
                "expected an uncompressed member, which can be read in little memory, found {size} \
                 bytes compressed; rewrite the file once with `flowrake convert`, or allow more \
                 memory"
            )));
        }
        let mut bytes = Vec::new();
        // The size is what the file claims; a false one must not abort the program.
        bytes.try_reserve_exact(size as usize).map_err(|_| {
            bad(format!("expected a member that fits into memory, found one of {size} bytes"))
        })?;
        member
            .read_to_end(&mut bytes)
            .map_err(|e| bad(format!("expected a readable member, found {e}")))?;
        Ok(Cow::Owned(bytes))
    }

    pub fn parse<'m>(&self, name: &str, bytes: &'m [u8]) -> Result<Npy<'m>> {
        Npy::parse(bytes).map_err(|problem| self.error(name, problem))
    }

    pub fn text(&mut self, name: &str) -> Result<String> {
        let bytes = self.member(name)?;
        self.parse(name, &bytes)?.text().map_err(|problem| self.error(name, problem))
    }

    /// A small array of either index type.
    fn integers(&self, name: &str, bytes: &[u8]) -> Result<Vec<i64>> {
        let npy = self.parse(name, bytes)?;
        match npy.descr() {
            "<i4" => npy.elements::<i32>().map(|e| e.range(0..e.len()).map(i64::from).collect()),
            "<i8" => npy.elements::<i64>().map(|e| e.range(0..e.len()).collect()),
            _ => return Err(self.wrong_index_type(name, &npy)),
        }
        .map_err(|problem| self.error(name, problem))
    }

    /// Number of rows and columns.
    pub fn units(&mut self) -> Result<usize> {
        let bytes = self.member("shape.npy")?;
        match *self.integers("shape.npy", &bytes)? {
            [rows, columns] if rows == columns && u32::try_from(rows).is_ok() => Ok(rows as usize),
            [rows, columns] if rows == columns => {
                let problem = format!("expected fewer than 2^32 units, found {rows}");
                Err(self.error("shape.npy", problem))
            }
            [rows, columns] => {
                let problem = format!("expected a square matrix, found {rows} x {columns}");
                Err(self.error("shape.npy", problem))
            }
            ref other => {
                let problem = format!("expected two dimensions, found {}", other.len());
                Err(self.error("shape.npy", problem))
            }
        }
    }

    pub fn row_pointers(&self, bytes: &[u8], n: usize, by_columns: bool) -> Result<Vec<u64>> {
        let name = "indptr.npy";
        let ptr = self.integers(name, bytes)?;
        let lines = if by_columns { "columns" } else { "rows" };
        if ptr.len() != n + 1 {
            let problem =
                format!("expected {} entries for {n} {lines}, found {}", n + 1, ptr.len());
            return Err(self.error(name, problem));
        }
        if ptr[0] != 0 {
            return Err(self.entry_error(name, 0, format!("expected 0, found {}", ptr[0])));
        }
        if let Some(k) = ptr.windows(2).position(|w| w[1] < w[0]) {
            let problem = format!("expected at least {}, found {}", ptr[k], ptr[k + 1]);
            return Err(self.entry_error(name, k + 1, problem));
        }
        Ok(ptr.into_iter().map(i64::cast_unsigned).collect())
    }
}

/// What is wrong with a zip file, on one line.
fn zip_problem(error: &ZipError) -> String {
    match error {
        ZipError::Io(e) => e.to_string(),
        ZipError::InvalidArchive(what) => format!("an invalid archive ({what})"),
        ZipError::UnsupportedArchive(what) => format!("an unsupported archive ({what})"),
        other => other.to_string(),
    }
    .to_lowercase()
}
