//! Small matrices as CSV: `origin,destination,flow`, one line per pair.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::row_chunks::RowChunks;
use super::triplets::Triplets;
use super::value::{parse_persons, write_shortest};
use super::{FlowMatrix, FlowRows};
use crate::geography::Geography;
use crate::table::{CsvRecords, position_of};
use crate::{Error, Result, input};

/// Columns that a long table must have; others are ignored.
const COLUMNS: [&str; 3] = ["origin", "destination", "flow"];

/// Reads unit codes and persons (64-bit); codes stay text. Lines may be in any order, pairs given
/// twice are summed. Without a units table, the units are those the file names, sorted.
///
/// # Errors
/// If the file is missing or malformed, a code is not in the units table, or a flow is negative or
/// not finite. The message names line and column.
pub fn read(path: &Path, units: Option<&Geography>) -> Result<(FlowMatrix<f64>, Geography)> {
    let units = match units {
        Some(units) => units.clone(),
        None => named_units(path)?,
    };
    let mut entries = Triplets::default();
    for_each_line(path, |line, [origin, destination, flow]| {
        let bad = |column: &str, problem: String| {
            Error::data(path, format!(":{line}: column {column}"), problem)
        };
        let i = units.require(origin).map_err(|problem| bad("origin", problem))?;
        let j = units.require(destination).map_err(|problem| bad("destination", problem))?;
        entries.push(i, j, parse_persons(flow).map_err(|problem| bad("flow", problem))?);
        Ok(())
    })?;
    let matrix = entries.into_flow_matrix(units.len());
    Ok((matrix.map_err(|problem| Error::data(path, "", problem))?, units))
}

/// The units that a file names.
fn named_units(path: &Path) -> Result<Geography> {
    let mut codes = BTreeSet::new();
    for_each_line(path, |_, [origin, destination, _]| {
        for code in [origin, destination] {
            if !codes.contains(code) {
                codes.insert(code.to_owned());
            }
        }
        Ok(())
    })?;
    Geography::from_codes(codes).map_err(|problem| Error::data(path, "", problem))
}

/// Calls `visit` with the line number and the three fields of every record.
fn for_each_line(path: &Path, mut visit: impl FnMut(u64, [&str; 3]) -> Result<()>) -> Result<()> {
    let map = input::map(path)?;
    let mut records = CsvRecords::new(path, &map)?;
    let mut positions = [0; 3];
    for (position, wanted) in positions.iter_mut().zip(COLUMNS) {
        *position = position_of(wanted, &records.names)
            .map_err(|problem| Error::data(path, ":1", problem))?;
    }
    while let Some((line, record)) = records.next()? {
        visit(line, positions.map(|k| &record[k]))?;
    }
    Ok(())
}

/// Writes every entry on a line, flows as the shortest text that reads back the same.
///
/// # Errors
/// When the file cannot be written.
pub fn write<W: Write + Send>(
    mut out: W,
    rows: &dyn FlowRows,
    units: &Geography,
) -> io::Result<()> {
    let chunks = RowChunks::new(rows);
    let code = |unit: usize| units.geoids()[unit].as_str();
    out.write_all(format!("{}\n", COLUMNS.join(",")).as_bytes())?;
    chunks.write_text(&mut out, |chunk, out| {
        let mut out = csv::Writer::from_writer(out);
        let mut text = Vec::new();
        chunks.for_each(chunk, |i, j, flow| {
            text.clear();
            write_shortest(&mut text, flow, rows.value_type())?;
            out.write_field(code(i))?;
            out.write_field(code(j as usize))?;
            out.write_field(&text)?;
            Ok(out.write_record(None::<&[u8]>)?)
        })?;
        out.flush()
    })
}
