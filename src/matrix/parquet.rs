//! Long tables as Parquet: `origin`, `destination`, `flow`, one row per pair.
//!
//! Origins and destinations are either texts, the codes of units, or integers, their rows in the
//! units table. Written files hold texts when the units have codes.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, RwLock};

use rayon::prelude::*;

use super::array::{FillError, Part};
use super::parquet_columns::{FlowColumn, UnitColumns};
pub use super::parquet_write::write;
use super::triplets::Triplets;
use super::{AnyFlowMatrix, Csr, FlowMatrix, Room, Value};
use crate::columns::{Kind, ParquetFile, Values};
use crate::geography::Geography;
use crate::{Error, Result};

/// Key of the file's metadata that holds the number of units of a file of indices.
pub(super) const UNITS_KEY: &str = "flowrake.units";

/// Rows read at a time: three columns of so many stay in a cache.
const BATCH_ROWS: usize = 1 << 14;

/// Reads a matrix of persons in the number type of its `flow`. Rows may be in any order, pairs
/// given twice are summed, other columns are ignored.
///
/// Without a units table, codes stand for the units the file names, sorted; indices for as many
/// units as the file's metadata says, or up to the largest index.
///
/// # Errors
/// If the file is missing or broken, a column is missing or of another type, a value is null, a
/// code is not in the units table, an index is out of range, or a flow is negative or not finite.
/// The message names row (from 0) and column.
pub fn read(
    path: &Path,
    units: Option<&Geography>,
    room: &Room,
) -> Result<(AnyFlowMatrix, Geography)> {
    let file = ParquetFile::open(path)?;
    let wrong = |column: usize, name: &str, wanted: &str| {
        let problem = format!("expected {wanted}, found {}", file.type_name(column));
        Error::data(path, format!(": column {name}"), problem)
    };
    let (origin, destination, flow) =
        (file.position("origin")?, file.position("destination")?, file.position("flow")?);
    let places = [("origin", origin), ("destination", destination)];
    let has_codes = file.kind(origin) == Kind::Text;
    for (name, column) in places {
        match file.kind(column) {
            Kind::Text if has_codes => (),
            Kind::Integer { .. } if !has_codes => (),
            Kind::Text => return Err(wrong(column, name, "indices like those of column origin")),
            Kind::Integer { .. } => {
                return Err(wrong(column, name, "codes like those of column origin"));
            }
            _ => return Err(wrong(column, name, "text codes or integer indices")),
        }
    }
    let found;
    let units = match units {
        None if has_codes => {
            found = named_units(path, &file, [origin, destination])?;
            Some(&found)
        }
        units => units,
    };
    let declared = if has_codes { None } else { declared_units(path, &file)? };
    if let (Some(units), Some(n)) = (units, declared)
        && units.len() != n
    {
        let problem = format!("expected {} as in the units table, found {n}", units.len());
        return Err(Error::data(path, format!(": metadata {UNITS_KEY}"), problem));
    }
    let n = units.map(Geography::len).or(declared);
    let columns = UnitColumns { file: &file, units, n };
    let columns = Columns { units: columns, origin, destination, flow, n, room };
    let (matrix, n) = match file.kind(flow) {
        Kind::Float => columns.matrix().map(|(m, n)| (AnyFlowMatrix::F32(m), n)),
        Kind::Double => columns.matrix().map(|(m, n)| (AnyFlowMatrix::F64(m), n)),
        _ => Err(wrong(flow, "flow", "float32 or float64")),
    }?;
    Ok((matrix, units.map_or_else(|| Geography::numbered(n), Clone::clone)))
}

/// The units that a file of codes names.
fn named_units(path: &Path, file: &ParquetFile, columns: [usize; 2]) -> Result<Geography> {
    let known = RwLock::new(HashSet::<Box<str>>::new());
    let groups = 0..file.group_starts().len() - 1;
    let done: Vec<Result<()>> = groups
        .into_par_iter()
        .flat_map_iter(|group| columns.map(|column| (group, column)))
        .map(|(group, column)| {
            let codes = used_texts(file, group, column)?;
            // Row groups mostly name the same units.
            let is_known = "nothing panics with it";
            let mut new = Vec::new();
            {
                let known = known.read().expect(is_known);
                // Text that is not UTF-8 is reported when the entries are read.
                let codes = codes.iter().filter_map(|code| std::str::from_utf8(code).ok());
                new.extend(codes.filter(|code| !known.contains(*code)).map(Box::from));
            }
            known.write().expect(is_known).extend(new);
            Ok(())
        })
        .collect();
    done.into_iter().collect::<Result<()>>()?;
    let known = known.into_inner().expect("nothing panics with it");
    let codes = known.into_iter().map(String::from).collect();
    Geography::from_codes(codes).map_err(|problem| Error::data(path, "", problem))
}

/// The texts of a column of a row group, most of them once.
fn used_texts(file: &ParquetFile, group: usize, column: usize) -> Result<Vec<Vec<u8>>> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let mut chunk = file.chunk_by_entries(group, column, |text| {
        texts.push(text.to_owned());
        i32::try_from(texts.len() - 1).expect("a page has less than 2 GiB")
    })?;
    // A dictionary may hold more than is referred to.
    let mut is_used = vec![false; texts.len()];
    let mut others = BTreeSet::new();
    while let Some(batch) = chunk.next(BATCH_ROWS)? {
        match batch.values {
            Values::Entries(entries) => {
                for &entry in entries {
                    is_used[entry as usize] = true;
                }
            }
            Values::Texts(texts) => {
                for (k, text) in texts.iter().enumerate() {
                    let repeats = k > 0 && texts[k - 1].data() == text.data();
                    if !repeats && !others.contains(text.data()) {
                        others.insert(text.data().to_owned());
                    }
                }
            }
            _ => unreachable!("a column of texts"),
        }
    }
    let mut is_used = is_used.into_iter();
    texts.retain(|_| is_used.next().expect("as many as texts"));
    texts.extend(others);
    Ok(texts)
}

/// The number of units that a file of indices was written with.
fn declared_units(path: &Path, file: &ParquetFile) -> Result<Option<usize>> {
    let Some(text) = file.metadata(UNITS_KEY) else { return Ok(None) };
    let n: u32 = text.parse().map_err(|_| {
        let problem = format!("expected a number of units, found `{text}`");
        Error::data(path, format!(": metadata {UNITS_KEY}"), problem)
    })?;
    Ok(Some(n as usize))
}

/// What a sorted row group holds.
struct Look {
    /// Origin and destination of the first row.
    first: Option<(u32, u32)>,
    /// Origin and destination of the last row.
    last: Option<(u32, u32)>,
    /// Number of movers' entries by origin.
    movers: Vec<(u32, u64)>,
    /// Rows of the group that hold stayers, and whose.
    stayers: Vec<(usize, u32)>,
}

/// The three columns of a long table, their types checked.
struct Columns<'a> {
    units: UnitColumns<'a>,
    origin: usize,
    destination: usize,
    flow: usize,
    /// Number of units, if known before reading.
    n: Option<usize>,
    room: &'a Room,
}

impl Columns<'_> {
    fn file(&self) -> &ParquetFile {
        self.units.file
    }

    /// The matrix and its number of units.
    fn matrix<V: Value>(&self) -> Result<(FlowMatrix<V>, usize)> {
        if let Some(n) = self.n
            && let Some(matrix) = self.split_sorted(n)?
        {
            return Ok((matrix, n));
        }
        if !self.room.holds((self.file().rows() * (8 + size_of::<V>())) as u64) {
            let problem = "expected rows sorted by origin and destination, in the order of a units \
                           table, which can be read in little memory, found others; rewrite the \
                           file once with `flowrake convert`, or allow more memory";
            return Err(Error::data(self.file().path(), "", problem));
        }
        self.in_any_order()
    }

    /// The matrix of rows sorted by origin and destination, without a copy between; `None` if they
    /// are not. Row groups are read in parallel: origins and destinations once to see what is where,
    /// then destinations and flows into their places.
    fn split_sorted<V: Value>(&self, n: usize) -> Result<Option<FlowMatrix<V>>> {
        let groups = self.file().group_starts().len() - 1;
        let looks = self.room.map_parts(groups, |group| self.look(group));
        let mut row_ptr = vec![0_u64; n + 1];
        let mut group_ptr = vec![0_u64];
        let mut group_stayers = Vec::new();
        let mut last = None;
        for look in looks {
            let Some(look) = look? else { return Ok(None) };
            // `None`, of nothing yet, is less than any pair; of no rows it is as good.
            if look.first.is_some() && look.first <= last {
                return Ok(None);
            }
            last = look.last.or(last);
            let movers: u64 = look.movers.iter().map(|row| row.1).sum();
            group_ptr.push(group_ptr[group_ptr.len() - 1] + movers);
            for (origin, movers) in look.movers {
                row_ptr[origin as usize + 1] += movers;
            }
            group_stayers.push(look.stayers);
        }
        for i in 0..n {
            row_ptr[i + 1] += row_ptr[i];
        }
        let stayers = Mutex::new(vec![0.0; n]);
        let made = self.room.fill_in_parts(&group_ptr, |group, part: &mut Part<V>| {
            let mut own = Vec::new();
            self.split(group, &group_stayers[group], part, |unit, flow: V| {
                own.push((unit as usize, flow.into()));
            })?;
            let mut stayers = stayers.lock().expect("nothing panics with it");
            for (i, persons) in own {
                stayers[i] = persons;
            }
            Ok(())
        });
        let (col_idx, values) = made.map_err(|e| match e {
            FillError::Entries(e) => e,
            FillError::Room(e) => {
                let problem = format!("expected room for its entries, found {e}");
                Error::data(self.file().path(), "", problem)
            }
        })?;
        let stayers = stayers.into_inner().expect("nothing panics with it");
        let movers = Csr::trusted(n, row_ptr, col_idx, values);
        Ok(Some(FlowMatrix::trusted(stayers, movers)))
    }

    /// What a row group holds; `None` if it is not sorted.
    fn look(&self, group: usize) -> Result<Option<Look>> {
        let mut origins = self.units.open(group, self.origin)?;
        let mut destinations = self.units.open(group, self.destination)?;
        let mut look = Look { first: None, last: None, movers: Vec::new(), stayers: Vec::new() };
        let (mut i, mut j) = (vec![0; BATCH_ROWS], vec![0; BATCH_ROWS]);
        for rows in self.batches(group) {
            let (i, j) = (&mut i[..rows.len()], &mut j[..rows.len()]);
            origins.read(i)?;
            destinations.read(j)?;
            let pair = |k: usize| (i[k], j[k]);
            let is_sorted = (1..i.len()).fold(true, |is, k| is & (pair(k - 1) < pair(k)));
            if !is_sorted || look.last >= Some(pair(0)) {
                return Ok(None);
            }
            look.first = look.first.or(Some(pair(0)));
            look.last = Some(pair(i.len() - 1));
            let mut start = 0;
            for run in i.chunk_by(|a, b| a == b) {
                let (origin, own) = (run[0], &j[start..start + run.len()]);
                let stays = own.binary_search(&origin);
                if let Ok(k) = stays {
                    look.stayers.push((rows.start + start + k, origin));
                }
                let movers = (run.len() - usize::from(stays.is_ok())) as u64;
                match look.movers.last_mut() {
                    Some(last) if last.0 == origin => last.1 += movers,
                    _ => look.movers.push((origin, movers)),
                }
                start += run.len();
            }
        }
        Ok(Some(look))
    }

    /// Puts the movers of a sorted row group into their place, and gives stayers to `stay`.
    fn split<V: Value>(
        &self,
        group: usize,
        stayers: &[(usize, u32)],
        part: &mut Part<V>,
        mut stay: impl FnMut(u32, V),
    ) -> std::result::Result<(), FillError<Error>> {
        let mut destinations = self.units.open(group, self.destination)?;
        let mut flows = FlowColumn::open(self.file(), group, self.flow)?;
        let mut stayers = stayers.iter().peekable();
        let (mut j, mut v) = (vec![0; BATCH_ROWS], vec![V::zeroed(); BATCH_ROWS]);
        for rows in self.batches(group) {
            let (j, v) = (&mut j[..rows.len()], &mut v[..rows.len()]);
            destinations.read(j)?;
            flows.read(v)?;
            let mut done = 0;
            while let Some(&(row, unit)) = stayers.next_if(|stayer| stayer.0 < rows.end) {
                let k = row - rows.start;
                part.push(&j[done..k], &v[done..k])?;
                stay(unit, v[k]);
                done = k + 1;
            }
            part.push(&j[done..], &v[done..])?;
        }
        Ok(())
    }

    /// Rows of a group, counted from its first, that are read at a time.
    fn batches(&self, group: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let starts = self.file().group_starts();
        let len = starts[group + 1] - starts[group];
        (0..len).step_by(BATCH_ROWS).map(move |start| start..len.min(start + BATCH_ROWS))
    }

    /// The matrix and its number of units. Row groups are read in parallel, each into its place.
    fn in_any_order<V: Value>(&self) -> Result<(FlowMatrix<V>, usize)> {
        let rows = self.file().rows();
        let (mut origins, mut destinations) = (vec![0_u32; rows], vec![0_u32; rows]);
        let mut flows = vec![V::zeroed(); rows];
        let starts = self.file().group_starts();
        let mut tasks = Vec::new();
        let (mut i, mut j, mut v) = (&mut origins[..], &mut destinations[..], &mut flows[..]);
        for (group, range) in starts.windows(2).enumerate() {
            let len = range[1] - range[0];
            let (parts, rest) = (i.split_at_mut(len), (j.split_at_mut(len), v.split_at_mut(len)));
            tasks.push((group, parts.0, rest.0.0, rest.1.0));
            (i, j, v) = (parts.1, rest.0.1, rest.1.1);
        }
        let results: Vec<Result<()>> = tasks
            .into_par_iter()
            .map(|(group, origins, destinations, flows)| {
                let units = |column, out| self.units.open(group, column)?.read(out);
                let (a, (b, c)) = rayon::join(
                    || units(self.origin, origins),
                    || {
                        rayon::join(
                            || units(self.destination, destinations),
                            || FlowColumn::open(self.file(), group, self.flow)?.read(flows),
                        )
                    },
                );
                a.and(b).and(c)
            })
            .collect();
        // In the order of the file, so that the error named does not depend on threads.
        results.into_iter().collect::<Result<()>>()?;
        let entries = Triplets::new(origins, destinations, flows);
        let n = self.n.unwrap_or_else(|| entries.units());
        let matrix = entries.into_flow_matrix(n);
        Ok((matrix.map_err(|problem| Error::data(self.file().path(), "", problem))?, n))
    }
}
