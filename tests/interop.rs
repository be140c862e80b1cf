//! Matrix and units files exchanged with scipy and pyarrow, through the binary.

#[path = "common/cli.rs"]
mod cli;

use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use cli::python;

/// Runs one test of `interop.py`.
fn interop(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop.py");
    let output = Command::new(python())
        .arg(script)
        .arg(test)
        .arg(cargo_bin("flowrake"))
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn scipy_files() {
    interop("scipy_files");
}

#[test]
fn scipy_matrix_market() {
    interop("scipy_matrix_market");
}

#[test]
fn pyarrow_reads_our_parquet() {
    interop("parquet_written");
}

#[test]
fn pyarrow_writes_our_parquet() {
    interop("parquet_read");
}

#[test]
fn wrong_parquet_tables_name_row_and_column() {
    interop("parquet_refused");
}

#[test]
fn parquet_in_many_encodings() {
    interop("parquet_encodings");
}

#[test]
fn wrong_rows_are_named_in_every_encoding() {
    interop("parquet_refused_in_many_ways");
}

#[test]
fn units_beside_indices() {
    interop("units_beside_indices");
}

#[test]
fn units_tables() {
    interop("units_tables");
}
