//! Long tables as Parquet: `origin`, `destination`, `flow`, one row per pair.
//!
//! Origins and destinations are either texts, the codes of units, or integers, their rows in the
//! units table. Written files hold texts when the units have codes.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;

use super::array::FillError;
pub use super::parquet_write::write;
use super::triplets::Triplets;
use super::{AnyFlowMatrix, Csr, FlowMatrix, Room, Value};
use crate::columns::{Batch, Kind, ParquetFile, Values};
use crate::geography::Geography;
use crate::{Error, Result};

/// Key of the file's metadata that holds the number of units of a file of indices.
pub(super) const UNITS_KEY: &str = "flowrake.units";

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
    let columns = Columns { file: &file, origin, destination, flow, units, n, room };
    let (matrix, n) = match file.kind(flow) {
        Kind::Float => columns.matrix().map(|(m, n)| (AnyFlowMatrix::F32(m), n)),
        Kind::Double => columns.matrix().map(|(m, n)| (AnyFlowMatrix::F64(m), n)),
        _ => Err(wrong(flow, "flow", "float32 or float64")),
    }?;
    Ok((matrix, units.map_or_else(|| Geography::numbered(n), Clone::clone)))
}

/// The units that a file of codes names.
fn named_units(path: &Path, file: &ParquetFile, columns: [usize; 2]) -> Result<Geography> {
    let groups = 0..file.group_starts().len() - 1;
    let sets: Vec<Result<BTreeSet<String>>> = groups
        .into_par_iter()
        .map(|group| {
            let mut codes = BTreeSet::new();
            for column in columns {
                file.read(group, column, |batch| {
                    let Values::Texts(texts) = batch.values else { unreachable!("a text column") };
                    for (k, text) in texts.iter().enumerate() {
                        // Text that is not UTF-8 is reported when the entries are read.
                        let Ok(code) = std::str::from_utf8(text.data()) else { continue };
                        let repeats = k > 0 && texts[k - 1].data() == text.data();
                        if !repeats && !codes.contains(code) {
                            codes.insert(code.to_owned());
                        }
                    }
                    Ok(())
                })?;
            }
            Ok(codes)
        })
        .collect();
    let mut codes = BTreeSet::new();
    for set in sets {
        codes.append(&mut set?);
    }
    Geography::from_codes(codes).map_err(|problem| Error::data(path, "", problem))
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
}

/// The three columns of a long table, their types checked.
struct Columns<'a> {
    file: &'a ParquetFile,
    origin: usize,
    destination: usize,
    flow: usize,
    /// Units that codes refer to.
    units: Option<&'a Geography>,
    /// Number of units, if known before reading.
    n: Option<usize>,
    room: &'a Room,
}

impl Columns<'_> {
    /// The matrix and its number of units.
    fn matrix<V: Value>(&self) -> Result<(FlowMatrix<V>, usize)> {
        if let Some(n) = self.n
            && let Some(matrix) = self.split_sorted(n)?
        {
            return Ok((matrix, n));
        }
        if !self.room.holds((self.file.rows() * (8 + size_of::<V>())) as u64) {
            let problem = "expected rows sorted by origin and destination, in the order of a units \
                           table, which can be read in little memory, found others; rewrite the \
                           file once with `flowrake convert`, or allow more memory";
            return Err(Error::data(self.file.path(), "", problem));
        }
        self.in_any_order()
    }

    /// The matrix of rows sorted by origin and destination, without a copy between; `None` if they
    /// are not. Row groups are read in parallel: origins and destinations once to see what is where,
    /// then everything into its place.
    fn split_sorted<V: Value>(&self, n: usize) -> Result<Option<FlowMatrix<V>>> {
        let groups = self.file.group_starts().len() - 1;
        let looks: Vec<Result<Option<Look>>> =
            (0..groups).into_par_iter().map(|group| self.look(group)).collect();
        let mut row_ptr = vec![0_u64; n + 1];
        let mut group_ptr = vec![0_u64];
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
        }
        for i in 0..n {
            row_ptr[i + 1] += row_ptr[i];
        }
        let stayers = Mutex::new(vec![0.0; n]);
        let each: Vec<Range<usize>> = (0..groups).map(|group| group..group + 1).collect();
        let made = self.room.fill(&group_ptr, &each, |group, cols: &mut [u32], vals: &mut [V]| {
            let (origins, destinations) = self.pairs(group)?;
            let mut flows = vec![V::zeroed(); origins.len()];
            self.read_flows(group, &mut flows)?;
            let mut places = cols.iter_mut().zip(vals);
            let mut own = Vec::new();
            for ((&i, &j), &flow) in origins.iter().zip(&destinations).zip(&flows) {
                if i == j {
                    own.push((i as usize, flow.into()));
                } else {
                    let (col, val) = places.next().expect("as many movers as were counted");
                    (*col, *val) = (j, flow);
                }
            }
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
                Error::data(self.file.path(), "", problem)
            }
        })?;
        let stayers = stayers.into_inner().expect("nothing panics with it");
        let movers = Csr::trusted(n, row_ptr, col_idx, values);
        Ok(Some(FlowMatrix::trusted(stayers, movers)))
    }

    /// What a row group holds; `None` if it is not sorted.
    fn look(&self, group: usize) -> Result<Option<Look>> {
        let (origins, destinations) = self.pairs(group)?;
        let pair = |k: usize| (origins[k], destinations[k]);
        let len = origins.len();
        if !(1..len).all(|k| pair(k - 1) < pair(k)) {
            return Ok(None);
        }
        let mut movers = Vec::new();
        let mut start = 0;
        for run in origins.chunk_by(|a, b| a == b) {
            let own = &destinations[start..start + run.len()];
            let stays = own.binary_search(&run[0]).is_ok();
            movers.push((run[0], (run.len() - usize::from(stays)) as u64));
            start += run.len();
        }
        let first = (len > 0).then(|| pair(0));
        Ok(Some(Look { first, last: (len > 0).then(|| pair(len - 1)), movers }))
    }

    /// Origins and destinations of a row group.
    fn pairs(&self, group: usize) -> Result<(Vec<u32>, Vec<u32>)> {
        let starts = self.file.group_starts();
        let len = starts[group + 1] - starts[group];
        let (mut origins, mut destinations) = (vec![0; len], vec![0; len]);
        self.read_units(group, self.origin, &mut origins)?;
        self.read_units(group, self.destination, &mut destinations)?;
        Ok((origins, destinations))
    }

    /// The matrix and its number of units. Row groups are read in parallel, each into its place.
    fn in_any_order<V: Value>(&self) -> Result<(FlowMatrix<V>, usize)> {
        let rows = self.file.rows();
        let (mut origins, mut destinations) = (vec![0_u32; rows], vec![0_u32; rows]);
        let mut flows = vec![V::zeroed(); rows];
        let starts = self.file.group_starts();
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
                let (a, (b, c)) = rayon::join(
                    || self.read_units(group, self.origin, origins),
                    || {
                        rayon::join(
                            || self.read_units(group, self.destination, destinations),
                            || self.read_flows(group, flows),
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
        Ok((matrix.map_err(|problem| Error::data(self.file.path(), "", problem))?, n))
    }

    /// Reads codes or indices as unit indices.
    fn read_units(&self, group: usize, column: usize, out: &mut [u32]) -> Result<()> {
        let start = self.file.group_starts()[group];
        let signed = self.file.kind(column) != Kind::Integer { signed: false };
        let n = self.n.unwrap_or(u32::MAX as usize);
        let index = |row: usize, index: Option<u32>, found: i128| match index {
            Some(index) if (index as usize) < n => Ok(index),
            _ => {
                let problem = format!("expected 0 <= index < {n}, found {found}");
                Err(self.file.error(row, column, problem))
            }
        };
        self.file.read(group, column, |batch| {
            self.no_nulls(batch, column)?;
            let out = &mut out[batch.first_row - start..];
            let row = |k: usize| batch.first_row + k;
            match batch.values {
                Values::Texts(texts) => {
                    let units = self.units.expect("a file of codes has units");
                    for (k, text) in texts.iter().enumerate() {
                        // An origin is usually that of the row before, a destination near it.
                        let near = (k > 0).then(|| out[k - 1]);
                        let known = near.into_iter().flat_map(|unit| [unit, unit + 1]);
                        let mut known = known.filter(|&unit| (unit as usize) < units.len());
                        let is = |&unit: &u32| {
                            units.geoids()[unit as usize].as_str().as_bytes() == text.data()
                        };
                        out[k] = if let Some(unit) = known.find(is) {
                            unit
                        } else {
                            std::str::from_utf8(text.data())
                                .map_err(|_| "expected UTF-8 text, found other bytes".to_owned())
                                .and_then(|code| units.require(code))
                                .map_err(|problem| self.file.error(row(k), column, problem))?
                        };
                    }
                }
                Values::Ints32(values) => {
                    for (k, &v) in values.iter().enumerate() {
                        let (narrow, wide) = if signed {
                            (u32::try_from(v).ok(), i128::from(v))
                        } else {
                            (Some(v.cast_unsigned()), i128::from(v.cast_unsigned()))
                        };
                        out[k] = index(row(k), narrow, wide)?;
                    }
                }
                Values::Ints64(values) => {
                    for (k, &v) in values.iter().enumerate() {
                        let wide =
                            if signed { i128::from(v) } else { i128::from(v.cast_unsigned()) };
                        out[k] = index(row(k), u32::try_from(wide).ok(), wide)?;
                    }
                }
                Values::Floats(_) | Values::Doubles(_) => unreachable!("a column of units"),
            }
            Ok(())
        })
    }

    fn read_flows<V: Value>(&self, group: usize, out: &mut [V]) -> Result<()> {
        let start = self.file.group_starts()[group];
        self.file.read(group, self.flow, |batch| {
            self.no_nulls(batch, self.flow)?;
            let flows: &[V] = match batch.values {
                Values::Floats(flows) => bytemuck::cast_slice(flows),
                Values::Doubles(flows) => bytemuck::cast_slice(flows),
                _ => unreachable!("a column of flows"),
            };
            if let Some(k) = flows.iter().position(|&flow| !flow.is_persons()) {
                let flow: f64 = flows[k].into();
                let problem = format!("expected persons >= 0, found {flow}");
                return Err(self.file.error(batch.first_row + k, self.flow, problem));
            }
            out[batch.first_row - start..][..flows.len()].copy_from_slice(flows);
            Ok(())
        })
    }

    fn no_nulls(&self, batch: &Batch, column: usize) -> Result<()> {
        match batch.first_null() {
            Some(row) => Err(self.file.error(row, column, "expected a value, found null")),
            None => Ok(()),
        }
    }
}
