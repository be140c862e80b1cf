//! Matrix files through the binary and the library: what is said of bad input, and the same bytes for
//! any number of threads.

use std::fs;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use flowrake::geography::{Geography, Geoid};
use flowrake::matrix::npz::{Array, write_arrays};
use flowrake::matrix::{AnyFlowMatrix, FlowMatrix, csv, file, matrix_market, npz, parquet};
use proptest::prelude::*;
use tempfile::TempDir;

/// Runs `flowrake convert` in a folder.
fn convert(folder: &TempDir, args: &[&str]) -> Output {
    Command::new(cargo_bin("flowrake"))
        .current_dir(folder.path())
        .arg("convert")
        .args(args)
        .output()
        .unwrap()
}

/// Runs a conversion that must fail with exit code 2, one line on stderr and no new file; returns
/// the message.
#[track_caller]
fn refused(folder: &TempDir, args: &[&str]) -> String {
    let before = names(folder.path());
    let output = convert(folder, args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(output.stdout, b"");
    assert_eq!(names(folder.path()), before);
    let line = message.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{message}");
    line.strip_prefix("flowrake: error: ").unwrap().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A 3 x 3 CSR matrix as scipy writes it, of which a test breaks one member.
struct Npz<'a> {
    format: Array<'a>,
    shape: Array<'a>,
    indptr: Array<'a>,
    indices: Array<'a>,
    data: Array<'a>,
}

const SOUND: Npz = Npz {
    format: Array::Text("csr"),
    shape: Array::I64(&[3, 3]),
    indptr: Array::I64(&[0, 2, 2, 4]),
    indices: Array::I64(&[0, 2, 1, 2]),
    data: Array::F64(&[5.0, 1.0, 2.0, 0.5]),
};

impl Npz<'_> {
    fn write(&self, path: &Path) {
        let arrays = [
            ("indices", self.indices),
            ("indptr", self.indptr),
            ("format", self.format),
            ("shape", self.shape),
            ("data", self.data),
        ];
        write_arrays(&mut fs::File::create(path).unwrap(), &arrays).unwrap();
    }

    #[track_caller]
    fn refused(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        self.write(&folder.path().join("m.npz"));
        refused(&folder, &["m.npz", "out.csv"])
    }
}

#[test]
fn a_sound_npz_is_read() {
    let folder = tempfile::tempdir().unwrap();
    SOUND.write(&folder.path().join("m.npz"));
    let output = convert(&folder, &["m.npz", "out.csv"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        fs::read_to_string(folder.path().join("out.csv")).unwrap(),
        "origin,destination,flow\n0,0,5\n0,2,1\n2,1,2\n2,2,0.5\n"
    );
}

#[test]
fn broken_npz_members_are_named() {
    let index = |indices| Npz { indices: Array::I64(indices), ..SOUND }.refused();
    let data = |data| Npz { data, ..SOUND }.refused();
    let indptr = |indptr| Npz { indptr: Array::I64(indptr), ..SOUND }.refused();
    let shape = |shape| Npz { shape: Array::I64(shape), ..SOUND }.refused();
    for (found, message) in [
        (index(&[0, 2, 1, 3]), "member indices.npy: entry 3: expected 0 <= index < 3, found 3"),
        (index(&[0, 2, -1, 2]), "member indices.npy: entry 2: expected 0 <= index < 3, found -1"),
        (index(&[0, 2, 1]), "member data.npy: expected 3 entries as in indices.npy, found 4"),
        (
            Npz { indices: Array::U32(&[0, 2, 1, 2]), ..SOUND }.refused(),
            "member indices.npy: expected int32 or int64, found uint32",
        ),
        (
            data(Array::F64(&[5.0, -1.0, 2.0, 1.0])),
            "member data.npy: entry 1: expected persons >= 0, found -1",
        ),
        (
            data(Array::F64(&[5.0, 1.0, f64::NAN, 1.0])),
            "member data.npy: entry 2: expected persons >= 0, found NaN",
        ),
        (
            data(Array::F64(&[5.0, 1.0, 2.0, f64::INFINITY])),
            "member data.npy: entry 3: expected persons >= 0, found inf",
        ),
        (
            data(Array::I64(&[5, 1, 2, 1])),
            "member data.npy: expected float32 or float64, found int64; save \
             matrix.astype('float64')",
        ),
        (indptr(&[0, 2, 1, 4]), "member indptr.npy: entry 2: expected at least 2, found 1"),
        (indptr(&[1, 2, 2, 4]), "member indptr.npy: entry 0: expected 0, found 1"),
        (
            indptr(&[0, 2, 2, 3]),
            "member indptr.npy: expected the last entry to be 4, the entries of indices.npy, \
             found 3",
        ),
        (
            indptr(&[0, 2, 2, 1 << 60]),
            "member indptr.npy: expected the last entry to be 4, the entries of indices.npy, \
             found 1152921504606846976",
        ),
        (indptr(&[0, 2, 4]), "member indptr.npy: expected 4 entries for 3 rows, found 3"),
        (shape(&[3, 4]), "member shape.npy: expected a square matrix, found 3 x 4"),
        (shape(&[3]), "member shape.npy: expected two dimensions, found 1"),
        (shape(&[-3, -3]), "member shape.npy: expected fewer than 2^32 units, found -3"),
        (
            Npz { format: Array::Text("coo"), ..SOUND }.refused(),
            "member format.npy: expected a csr or csc matrix, found coo; save it with \
             scipy.sparse.save_npz(path, matrix.tocsr())",
        ),
        (
            Npz { format: Array::F64(&[1.0]), ..SOUND }.refused(),
            "member format.npy: expected a text, found <f8 of shape [1]",
        ),
    ] {
        assert_eq!(found, format!("m.npz: {message}"));
    }
}

#[test]
fn truncated_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = FlowMatrix::from_triplets(3, &[(0, 1, 2.0), (2, 2, 1.0)]);
    let units = Geography::numbered(3);
    let path = |name: &str| folder.path().join(name);
    for format in ["npz", "parquet", "mtx"] {
        let name = format!("whole.{format}");
        file::write(&path(&name), &matrix, &units, &[]).unwrap();
        let whole = fs::read(path(&name)).unwrap();
        let cut_name = format!("cut.{format}");
        for length in [0, 1, 10, whole.len() / 4, whole.len() / 2, whole.len() - 3] {
            fs::write(path(&cut_name), &whole[..length]).unwrap();
            let message = refused(&folder, &[&cut_name, "out.csv"]);
            assert!(message.starts_with(&cut_name) && message.contains("expected"), "{message}");
        }
    }
    let message = refused(&folder, &["whole.mtx", "out.txt"]);
    assert_eq!(
        message,
        "out.txt: expected a matrix file ending in .npz, .parquet, .mtx or .csv, found `txt`"
    );
    fs::write(path("text.npz"), "origin,destination,flow\n").unwrap();
    let message = refused(&folder, &["text.npz", "out.csv"]);
    assert!(message.starts_with("text.npz: expected an .npz (zip) file, found "), "{message}");
    let mut file = fs::File::create(path("other.npz")).unwrap();
    write_arrays(&mut file, &[("factors", Array::F64(&[1.0]))]).unwrap();
    assert_eq!(
        refused(&folder, &["other.npz", "out.csv"]),
        "other.npz: expected a member format.npy (a matrix saved by scipy.sparse.save_npz), found \
         factors.npy"
    );
    assert!(refused(&folder, &["none.npz", "out.csv"]).starts_with("none.npz: No such file"));
    let message = refused(&folder, &["whole.npz", "no/out.csv"]);
    assert!(message.starts_with("no/out.csv: No such file"), "{message}");
    fs::create_dir(path("folder.csv")).unwrap();
    assert_eq!(
        refused(&folder, &["whole.npz", "folder.csv"]),
        "folder.csv: expected a file to write, found a folder or a device"
    );
}

#[test]
fn long_tables_name_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("units.csv"), "geoid\n01001\n13121\n").unwrap();
    for (rows, message) in [
        (
            "01001,13121,1\n\n13121,1001,2\n",
            "m.csv:4: column destination: unknown unit `1001`; did it lose its leading zero? \
             expected `01001`",
        ),
        (
            "36061,01001,1\n",
            "m.csv:2: column origin: expected a unit of the units table, found `36061`",
        ),
        ("01001,01001,-1\n", "m.csv:2: column flow: expected persons >= 0, found `-1`"),
        ("01001,01001,NaN\n", "m.csv:2: column flow: expected persons >= 0, found `NaN`"),
        ("01001,01001,inf\n", "m.csv:2: column flow: expected persons >= 0, found `inf`"),
        ("01001,01001,many\n", "m.csv:2: column flow: expected a number, found `many`"),
        ("01001,01001\n", "m.csv:2: expected 3 fields, found 2"),
    ] {
        fs::write(folder.path().join("m.csv"), format!("origin,destination,flow\n{rows}")).unwrap();
        assert_eq!(refused(&folder, &["m.csv", "out.npz", "--units", "units.csv"]), message);
    }
    fs::write(folder.path().join("m.csv"), "from,to,flow\n").unwrap();
    assert_eq!(
        refused(&folder, &["m.csv", "out.npz"]),
        "m.csv:1: expected a column `origin`, found from, to, flow"
    );
    fs::write(folder.path().join("m.csv"), "origin,destination,flow\n1001,13121,1\n").unwrap();
    assert_eq!(
        refused(&folder, &["m.csv", "out.npz"]),
        "m.csv: expected codes of 5 digits (level county), found `1001` with 4: it lost its \
         leading zero, write `01001`"
    );
}

#[test]
fn sizes_must_agree_with_the_units_table() {
    let folder = tempfile::tempdir().unwrap();
    SOUND.write(&folder.path().join("m.npz"));
    assert!(convert(&folder, &["m.npz", "m.mtx"]).status.success());
    assert!(convert(&folder, &["m.npz", "m.parquet"]).status.success());
    fs::write(folder.path().join("units.csv"), "geoid\n01\n02\n").unwrap();
    for (name, message) in [
        ("m.npz", "m.npz: expected 2 x 2 as in the units table, found 3 x 3"),
        ("m.mtx", "m.mtx: expected 2 x 2 as in the units table, found 3 x 3"),
        (
            "m.parquet",
            "m.parquet: metadata flowrake.units: expected 2 as in the units table, found 3",
        ),
    ] {
        assert_eq!(refused(&folder, &[name, "out.csv", "--units", "units.csv"]), message);
    }
}

#[test]
fn sums_and_sizes_beyond_the_machine_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let twice = "origin,destination,flow\nA,B,1e308\nA,B,1e308\n";
    fs::write(folder.path().join("twice.csv"), twice).unwrap();
    assert_eq!(
        refused(&folder, &["twice.csv", "out.npz"]),
        "twice.csv: expected entries given twice to add up to a finite number, found infinity at \
         row 0, column 1 (from 0)"
    );
    let huge = "%%MatrixMarket matrix coordinate real general\n4294967295 4294967295 1\n1 1 1\n";
    fs::write(folder.path().join("huge.mtx"), huge).unwrap();
    fs::write(folder.path().join("units.csv"), "geoid\nA\nB\n").unwrap();
    let message = refused(&folder, &["huge.mtx", "out.npz", "--units", "units.csv"]);
    assert_eq!(
        message,
        "huge.mtx: expected 2 x 2 as in the units table, found 4294967295 x 4294967295"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<(u32, u32, f64)> =
        (0..300 * 300).map(|k| (k / 300, k % 300, 1.0 / f64::from(k + 1))).collect();
    let matrix = FlowMatrix::from_triplets(300, &entries);
    file::write(&folder.path().join("m.npz"), &matrix, &Geography::numbered(300), &[]).unwrap();
    let code = |i: u32| Geoid::new(format!("{i:05}"));
    let units = Geography::new((0..300).map(code).collect()).unwrap();
    file::write(&folder.path().join("coded.parquet"), &matrix, &units, &[]).unwrap();
    for (input, output) in [
        ("m.npz", "out.npz"),
        ("m.npz", "out.parquet"),
        ("m.npz", "out.mtx"),
        ("m.npz", "out.csv"),
        ("coded.parquet", "out.npz"),
    ] {
        for older in [None, Some("older content")] {
            let path = folder.path().join(output);
            if let Some(text) = older {
                fs::write(&path, text).unwrap();
            }
            let before = names(folder.path());
            // A limit on the size of files stands in for the full disk.
            let done = Command::new("sh")
                .current_dir(folder.path())
                .args(["-c", "ulimit -f 8; exec \"$@\"", "sh"])
                .arg(cargo_bin("flowrake"))
                .args(["convert", input, output])
                .output()
                .unwrap();
            let message = String::from_utf8(done.stderr).unwrap();
            assert_eq!(done.status.code(), Some(2), "{message}");
            assert_eq!(
                message,
                format!("flowrake: error: {output}: File too large (os error 27)\n")
            );
            assert_eq!(names(folder.path()), before);
            if let Some(text) = older {
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                fs::remove_file(path).unwrap();
            }
        }
    }
}

type Writer = (&'static str, fn(&mut FullDisk, &FlowMatrix<f64>, &Geography) -> io::Result<()>);

/// The writers of all formats.
const WRITERS: [Writer; 4] = [
    ("npz", |out, matrix, _| npz::write(out, matrix)),
    ("parquet", |out, matrix, units| parquet::write(out, matrix, units, &[])),
    ("mtx", |out, matrix, _| matrix_market::write(out, matrix, &[])),
    ("csv", |out, matrix, units| csv::write(out, matrix, units)),
];

/// A file in memory with room for some bytes.
struct FullDisk {
    file: Cursor<Vec<u8>>,
    room: usize,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.room.saturating_sub(self.file.position() as usize);
        if left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(&bytes[..bytes.len().min(left)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FullDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Writes on some threads; what arrived, and how it ended.
fn write_on(
    threads: usize,
    writer: Writer,
    matrix: &FlowMatrix<f64>,
    room: usize,
) -> (Vec<u8>, io::Result<()>) {
    let codes = (0..matrix.units()).map(|i| Geoid::new(format!("{i:06}")));
    let units = Geography::new(codes.collect()).unwrap();
    let mut disk = FullDisk { file: Cursor::default(), room };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let done = pool.install(|| writer.1(&mut disk, matrix, &units));
    (disk.file.into_inner(), done)
}

#[test]
fn files_have_the_same_bytes_at_any_number_of_threads() {
    // Two row groups of Parquet, ten chunks of the others, one of them a single row.
    const UNITS: u32 = 140_000;
    let row = |i: u32| {
        let step = if i == 7 { 1 } else { UNITS / 7 };
        (i % step..UNITS).step_by(step as usize).map(move |j| (i, j, f64::from(j % 97 + 1) / 8.0))
    };
    let matrix =
        FlowMatrix::from_triplets(UNITS as usize, &(0..UNITS).flat_map(row).collect::<Vec<_>>());
    for writer in WRITERS {
        let (one, done) = write_on(1, writer, &matrix, usize::MAX);
        done.unwrap();
        assert!(one.len() > 1_000_000, "{}: {} bytes", writer.0, one.len());
        for threads in [2, 8] {
            let (bytes, done) = write_on(threads, writer, &matrix, usize::MAX);
            done.unwrap();
            let differs = one.iter().zip(&bytes).position(|(a, b)| a != b);
            assert!(one == bytes, "{}: differs at {threads} threads from {differs:?}", writer.0);
        }
    }
}

#[test]
fn a_disk_that_fills_up_is_one_error() {
    let entries: Vec<(u32, u32, f64)> =
        (0..400 * 400).map(|k| (k / 400, k % 400, f64::from(k + 1).sqrt())).collect();
    let matrix = FlowMatrix::from_triplets(400, &entries);
    for writer in WRITERS {
        let whole = write_on(2, writer, &matrix, usize::MAX).0.len();
        for threads in [1, 8] {
            for room in [0, 3, whole / 5, whole / 2, whole - 1] {
                let error = write_on(threads, writer, &matrix, room).1.unwrap_err();
                let what = format!("{}: room for {room} of {whole} bytes", writer.0);
                assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{what}: {error}");
            }
            write_on(threads, writer, &matrix, whole).1.unwrap();
        }
    }
}

#[test]
fn matrices_without_entries_are_files() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["npz", "parquet", "mtx", "csv"] {
        for n in [0, 1, 3] {
            let path = folder.path().join(format!("{n}.{extension}"));
            let matrix = FlowMatrix::from_triplets(n, &[]);
            let codes = (0..n).map(|i| Geoid::new(format!("{i:05}")));
            let units = Geography::new(codes.collect()).unwrap();
            file::write(&path, &matrix, &units, &[]).unwrap();
            let found = file::read(&path, Some(&units)).unwrap().0;
            assert_eq!(found, AnyFlowMatrix::F64(matrix), "{}", path.display());
        }
    }
}

/// A matrix of up to 12 units with flows of all magnitudes, in the order of no file.
fn flow_matrix() -> impl Strategy<Value = FlowMatrix<f64>> {
    (1_u32..12).prop_flat_map(|n| {
        let flow = prop_oneof![Just(0.0), 0.0..1e6, any::<f64>().prop_map(f64::abs)]
            .prop_filter("persons, also when summed", |v| *v < 1e300);
        proptest::collection::vec((0..n, 0..n, flow), 0..60)
            .prop_map(move |entries| FlowMatrix::from_triplets(n as usize, &entries))
    })
}

proptest! {
    #[test]
    fn round_trips_are_the_identity(matrix in flow_matrix(), extension in "npz|parquet|mtx|csv") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("m.{extension}"));
        let codes = (0..matrix.units()).map(|i| Geoid::new(format!("{:05}", i * 7919 % 100_000)));
        let named = Geography::new(codes.collect()).unwrap();
        for units in [named, Geography::numbered(matrix.units())] {
            file::write(&path, &matrix, &units, &[]).unwrap();
            let (found, found_units) = file::read(&path, Some(&units)).unwrap();
            prop_assert_eq!(&found, &AnyFlowMatrix::F64(matrix.clone()));
            prop_assert_eq!(found_units.geoids(), units.geoids());
        }
        if extension != "csv" {
            // The number of units survives without a units table, too.
            let (found, found_units) = file::read(&path, None).unwrap();
            prop_assert_eq!(found, AnyFlowMatrix::F64(matrix));
            prop_assert!(found_units.is_numbered());
        }
    }
}
