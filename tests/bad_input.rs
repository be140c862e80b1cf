//! Bad input through the binary: a message with path, place, expected and found; exit code 2; no
//! file touched.

#[path = "common/cli.rs"]
mod cli;

use std::fs;

use cli::{Finished, Folder};
use flowrake::matrix::npz::{Array, write_arrays};

/// A sound plan over four tracts of two states, some codes with leading zeros.
const SOUND: [(&str, &str); 7] = [
    (
        "plan.toml",
        "[seed]
matrix = \"seed.csv\"
units = \"units.csv\"
year = 2011
stayer_floor = 1.0

[[step]]
margin = \"block\"
level = \"state\"
targets = \"flows.csv\"

[[repeat]]
max_iterations = 500
tolerance = 1e-9
total_ratio_limit = 0.01

[[repeat.step]]
name = \"arrivals\"
margin = \"destination\"
level = \"county\"
targets = \"arrivals.csv\"

[[repeat.step]]
name = \"departures\"
margin = \"origin\"
level = \"county\"
targets = \"departures.csv\"
",
    ),
    (
        "units.csv",
        "geoid,region
01001020100,south
01003010200,south
36061000100,north
36061000201,north
",
    ),
    (
        "seed.csv",
        "origin,destination,flow
01001020100,01001020100,40
01001020100,36061000100,3
01003010200,01003010200,30
01003010200,01001020100,5
36061000100,36061000100,20
36061000100,36061000201,6
36061000201,36061000201,25
36061000201,01003010200,2
",
    ),
    (
        "flows.csv",
        "origin,destination,target
01,01,76
01,36,4
36,01,3
36,36,49
",
    ),
    ("arrivals.csv", "geoid,target,moe\n01001,47,5\n01003,32,\n36061,53,2\n"),
    ("departures.csv", "geoid,target\n01001,45\n01003,35\n36061,52\n"),
    ("out.npz", "an older file"),
];

const ARGS: &str = "--out out.npz";

/// What a case changes in the sound folder.
enum Change<'a> {
    /// Replaces a text in a file.
    Edit(&'a str, &'a str, &'a str),
    /// Replaces a file.
    File(&'a str, Vec<u8>),
    Remove(&'a str),
    /// Runs with other arguments.
    Args(&'a str),
}

use Change::{Args, Edit, File, Remove};

/// Runs with the changes; the run must be refused with a one-line message that has every expected
/// text, and leave every file as it was.
#[track_caller]
fn refused(what: &str, changes: Vec<Change<'_>>, expected: &[&str]) {
    let folder = Folder::new(&SOUND);
    let mut args = ARGS;
    for change in changes {
        match change {
            Edit(name, from, to) => folder.edit(name, from, to),
            File(name, bytes) => folder.write(name, bytes),
            Remove(name) => fs::remove_file(folder.path(name)).unwrap(),
            Args(other) => args = other,
        }
    }
    let before = folder.files();
    let finished = folder.harmonize(args);
    check_message(what, &finished, expected);
    let after = folder.files();
    assert!(before.keys().eq(after.keys()), "{what}: files are now {:?}", after.keys());
    for (name, bytes) in &before {
        assert!(after[name] == *bytes, "{what}: {name} has changed");
    }
}

#[track_caller]
fn check_message(what: &str, finished: &Finished, expected: &[&str]) {
    let message = finished.stderr();
    println!("{what}\n    {message}");
    assert_eq!(finished.0.status.code(), Some(2), "{what}: {message}");
    assert_eq!(finished.stdout(), "", "{what}");
    let line = message.strip_suffix('\n').unwrap_or(&message);
    let text = line.strip_prefix("flowrake: error: ");
    assert!(!line.contains('\n') && text.is_some(), "{what}: {message}");
    assert!(!line.ends_with('.'), "{what}: {message}");
    for words in expected {
        assert!(line.contains(words), "{what}: no `{words}` in\n{message}");
    }
}

/// Members of an .npz matrix of the four units.
struct Npz<'a> {
    shape: Array<'a>,
    indptr: Array<'a>,
    indices: Array<'a>,
    data: Array<'a>,
}

const SOUND_NPZ: Npz = Npz {
    shape: Array::I64(&[4, 4]),
    indptr: Array::I64(&[0, 2, 4, 6, 8]),
    indices: Array::I64(&[0, 2, 0, 1, 2, 3, 1, 3]),
    data: Array::F64(&[40.0, 3.0, 5.0, 30.0, 20.0, 6.0, 2.0, 25.0]),
};

impl Npz<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let arrays = [
            ("indices", self.indices),
            ("indptr", self.indptr),
            ("format", Array::Text("csr")),
            ("shape", self.shape),
            ("data", self.data),
        ];
        write_arrays(file.as_file_mut(), &arrays).unwrap();
        fs::read(file.path()).unwrap()
    }
}

/// The seed is another file.
fn seed(name: &str, bytes: impl Into<Vec<u8>>) -> Vec<Change<'_>> {
    vec![Edit("plan.toml", "seed.csv", name), File(name, bytes.into())]
}

#[test]
fn the_sound_input_is_accepted() {
    let folder = Folder::new(&SOUND);
    folder.harmonize(ARGS).expect(0);
    let expected = folder.flows("out.npz");
    // Also as .npz, which other cases break.
    folder.edit("plan.toml", "seed.csv", "seed.npz");
    folder.write("seed.npz", SOUND_NPZ.bytes());
    folder.harmonize(ARGS).expect(0);
    cli::assert_same_flows(&folder.flows("out.npz"), &expected, 0.0);
}

fn plan<'a>(from: &'a str, to: &'a str) -> Vec<Change<'a>> {
    vec![Edit("plan.toml", from, to)]
}

#[test]
fn missing_files() {
    for name in ["units.csv", "seed.csv", "flows.csv", "arrivals.csv"] {
        refused(name, vec![Remove(name)], &[&format!("{name}: No such file")]);
    }
    refused("plan", vec![Remove("plan.toml")], &["plan.toml: No such file"]);
    refused(
        "folder of the output",
        vec![Args("--out none/out.npz")],
        &["none/out.npz", "folder does not exist"],
    );
    refused(
        "folder of the history",
        vec![Args("--out out.npz --history none/h.csv")],
        &["none/h.csv", "folder does not exist"],
    );
}

#[test]
fn plans() {
    refused(
        "unknown key",
        plan("stayer_floor", "stayers_floor"),
        &["plan.toml:5: unknown field `stayers_floor`", "did you mean `stayer_floor`?"],
    );
    refused(
        "unknown key of a step",
        plan("name = \"arrivals\"", "nam = \"arrivals\""),
        &["plan.toml:18: unknown field `nam`", "did you mean `name`?"],
    );
    refused(
        "unknown table",
        plan("[[step]]", "[[steps]]"),
        &["plan.toml:7: unknown field `steps`", "did you mean `step`?"],
    );
    refused(
        "unknown margin",
        plan("\"destination\"", "\"destinaton\""),
        &["plan.toml:19: unknown variant `destinaton`", "did you mean `destination`?"],
    );
    refused(
        "unknown entries",
        plan("level = \"state\"", "level = \"state\"\nentries = \"stayer\""),
        &["plan.toml:10: unknown variant `stayer`", "did you mean `stayers`?"],
    );
    refused(
        "no TOML",
        plan("year = 2011", "year 2011"),
        &["plan.toml:4: ", "expected", "in `year 2011`"],
    );
    refused(
        "unclosed text",
        plan("level = \"state\"", "level = \"state"),
        &["plan.toml:9: ", "in `level = \"state`"],
    );
    refused(
        "key twice",
        plan("year = 2011", "year = 2011\nyear = 2012"),
        &["plan.toml:5: duplicate key, in `year = 2012`"],
    );
    refused(
        "text for a number",
        plan("tolerance = 1e-9", "tolerance = \"1e-9\""),
        &["plan.toml:14: invalid type: string \"1e-9\", expected a number, in `tolerance"],
    );
    refused("no margin", plan("margin = \"block\"\n", ""), &["plan.toml:7: ", "`margin`"]);
    refused("no seed", plan("[seed]\nmatrix", "[[repeat]]\nmatrix"), &["plan.toml:"]);
    for (found, shown) in [("-1e-9", "-0.000000001"), ("nan", "NaN"), ("inf", "inf")] {
        let to = format!("tolerance = {found}");
        refused(
            "tolerance",
            plan("tolerance = 1e-9", &to),
            &[
                "plan.toml: [[repeat]] number 1: tolerance: expected a number >= 0",
                &format!("found {shown}"),
            ],
        );
    }
    refused(
        "iterations",
        plan("max_iterations = 500", "max_iterations = 0"),
        &["plan.toml: [[repeat]] number 1: max_iterations: expected at least 1, found 0"],
    );
    refused(
        "negative iterations",
        plan("max_iterations = 500", "max_iterations = -3"),
        &["plan.toml:13: ", "`-3`, expected a whole number >= 0"],
    );
    refused(
        "ratio limit",
        plan("total_ratio_limit = 0.01", "total_ratio_limit = -0.01"),
        &["plan.toml: [[repeat]] number 1: total_ratio_limit: expected a number >= 0, found -0.01"],
    );
    refused(
        "stayer floor",
        plan("stayer_floor = 1.0", "stayer_floor = -1.0"),
        &["plan.toml: [seed] stayer_floor: expected a number of persons >= 0, found -1"],
    );
    refused(
        "level",
        plan("level = \"state\"", "level = \"sate\""),
        &["plan.toml: [[step]] number 1: level `sate`: expected one of state, county", "region"],
    );
    refused(
        "level finer than the units",
        plan("level = \"state\"", "level = \"block_group\""),
        &["plan.toml: [[step]] number 1: level `block_group`", "12 digits", "01001020100"],
    );
    refused(
        "second level of a margin that has one",
        plan("margin = \"origin\"", "margin = \"origin\"\ndestination_level = \"state\""),
        &["plan.toml: [[repeat]] number 1, step number 2: destination_level: expected only with"],
    );
    refused(
        "unknown second level",
        plan("margin = \"block\"", "margin = \"block\"\ndestination_level = \"stat\""),
        &["plan.toml: [[step]] number 1: level `stat`: expected one of"],
    );
}

#[test]
fn empty_plans() {
    refused(
        "no step",
        vec![File("plan.toml", b"[seed]\nmatrix = \"seed.csv\"\n".into())],
        &["plan.toml: the plan is empty: expected at least one [[step]] or [[repeat.step]]"],
    );
    refused(
        "a group without step",
        vec![File(
            "plan.toml",
            b"[seed]\nmatrix = \"seed.csv\"\n[[repeat]]\ntolerance = 1\n".into(),
        )],
        &["plan.toml: ", "expected at least one", "[[repeat.step]]"],
    );
    refused("no text", vec![File("plan.toml", vec![])], &["plan.toml:1: ", "`seed`"]);
    refused(
        "other bytes",
        vec![File("plan.toml", vec![0xff, 0xfe, 0])],
        &["plan.toml: expected UTF-8 text, found other bytes"],
    );
}

#[test]
fn units() {
    let units = |from, to| vec![Edit("units.csv", from, to)];
    refused(
        "twice",
        units("36061000201", "36061000100"),
        &[
            "units.csv:5: column geoid: expected each code once, found `36061000100` again, which is unit 2 (from 0)",
        ],
    );
    refused(
        "lost zero",
        units("01003010200", "1003010200"),
        &["units.csv:3: column geoid: ", "found `1003010200`", "`01003010200`"],
    );
    refused(
        "every zero lost",
        units("\n0", "\n"),
        &["units.csv:2: column geoid: ", "found `1001020100`", "`01001020100`"],
    );
    refused("no code", units("01003010200", ""), &["units.csv:3: column geoid: expected a code"]);
    refused(
        "no column",
        units("geoid", "geo_id"),
        &["units.csv:1: expected a column `geoid`, found geo_id, region"],
    );
    refused(
        "no units",
        vec![File("units.csv", b"geoid\n".into())],
        &["units.csv: expected at least one unit"],
    );
    refused("empty", vec![File("units.csv", vec![])], &["units.csv: expected a header line"]);
    refused(
        "cut off",
        units("36061000201,north", "36061000201"),
        &["units.csv:5: expected 2 fields, found 1"],
    );
    refused(
        "other bytes",
        vec![File("units.csv", b"geoid\n\xff\xfe\n".into())],
        &["units.csv:2: expected UTF-8"],
    );
    refused(
        "no text in a level",
        vec![
            Edit("units.csv", "01003010200,south", "01003010200,"),
            Edit("plan.toml", "level = \"state\"", "level = \"region\""),
        ],
        &["plan.toml: [[step]] number 1: level `region`: unit 01003010200 has no text"],
    );
}

#[test]
fn seeds_as_text() {
    fn edit<'a>(from: &'a str, to: &'a str) -> Vec<Change<'a>> {
        vec![Edit("seed.csv", from, to)]
    }
    for (found, message) in [
        ("-5", "expected persons >= 0, found `-5`"),
        ("NaN", "expected persons >= 0, found `NaN`"),
        ("inf", "expected persons >= 0, found `inf`"),
        ("1e999", "expected persons >= 0, found `1e999`"),
        ("five", "expected a number, found `five`"),
        ("", "expected a number, found ``"),
    ] {
        let to = format!("01001020100,{found}\n3606100");
        refused(
            "flow",
            edit("01001020100,5\n3606100", &to),
            &["seed.csv:5: column flow: ", message],
        );
    }
    refused(
        "unknown origin",
        edit("36061000201,01003", "36061000300,01003"),
        &["seed.csv:9: column origin: expected a unit of the units table, found `36061000300`"],
    );
    refused(
        "lost zero",
        edit("36061000201,01003", "36061000201,1003"),
        &["seed.csv:9: column destination: ", "`1003010200`", "expected `01003010200`"],
    );
    refused(
        "no column",
        edit("flow", "persons"),
        &["seed.csv:1: expected a column `flow`, found origin, destination, persons"],
    );
    refused(
        "cut off",
        edit("36061000201,01003010200,2", "36061000201,0100"),
        &["seed.csv:9: expected 3 fields, found 2"],
    );
    refused("empty", vec![File("seed.csv", vec![])], &["seed.csv: expected a header line"]);

    refused(
        "column twice",
        edit("origin,destination,flow", "origin,flow,flow"),
        &["seed.csv:1: expected a column `destination`"],
    );
    refused(
        "column twice",
        edit("origin,destination,flow\n", "origin,destination,flow,flow\n"),
        &["seed.csv:1: expected one column `flow`, found 2"],
    );

    let mtx = |text: &str| {
        seed("seed.mtx", format!("%%MatrixMarket matrix coordinate real general\n{text}"))
    };
    refused("negative", mtx("4 4 1\n1 2 -3\n"), &["seed.mtx:3: expected persons >= 0, found `-3`"]);
    refused(
        "out of range",
        mtx("4 4 1\n1 5 3\n"),
        &["seed.mtx:3: expected an index from 1 to 4, found `5`"],
    );
    refused(
        "not square",
        mtx("4 3 1\n1 2 3\n"),
        &["seed.mtx:2: expected a square matrix, found 4 x 3"],
    );
    refused("truncated", mtx("4 4 2\n1 2 3\n"), &["seed.mtx:", "expected 2 entries, found 1"]);
    refused(
        "another size",
        mtx("3 3 1\n1 2 3\n"),
        &["seed.mtx: expected 4 x 4 as in the units table, found 3 x 3"],
    );
    refused(
        "unknown extension",
        seed("seed.dat", ""),
        &["seed.dat: expected a matrix file ending in .npz, .parquet, .mtx or .csv, found `dat`"],
    );
}

#[test]
fn seeds_of_scipy() {
    let npz = |npz: Npz| seed("seed.npz", npz.bytes());
    for (value, message) in [
        (-3.0, "expected persons >= 0, found -3"),
        (f64::NAN, "expected persons >= 0, found NaN"),
        (f64::INFINITY, "expected persons >= 0, found inf"),
    ] {
        refused(
            "value",
            npz(Npz {
                data: Array::F64(&[40.0, 3.0, 5.0, value, 20.0, 6.0, 2.0, 25.0]),
                ..SOUND_NPZ
            }),
            &["seed.npz: member data.npy: entry 3", message],
        );
    }
    refused(
        "integers",
        npz(Npz { data: Array::I64(&[40, 3, 5, 30, 20, 6, 2, 25]), ..SOUND_NPZ }),
        &["seed.npz: member data.npy: expected float32 or float64, found int64"],
    );
    refused(
        "too few values",
        npz(Npz { data: Array::F64(&[40.0, 3.0, 5.0]), ..SOUND_NPZ }),
        &["seed.npz: member data.npy: expected 8 entries as in indices.npy, found 3"],
    );
    refused(
        "indices of another type",
        npz(Npz { indices: Array::F64(&[0.0; 8]), ..SOUND_NPZ }),
        &["seed.npz: member indices.npy: expected int32 or int64, found float64"],
    );
    for (index, message) in [(4, "found 4"), (-1, "found -1")] {
        refused(
            "index",
            npz(Npz { indices: Array::I64(&[0, 2, 0, index, 2, 3, 1, 3]), ..SOUND_NPZ }),
            &["seed.npz: member indices.npy: entry 3: expected 0 <= index < 4", message],
        );
    }
    refused(
        "not square",
        npz(Npz { shape: Array::I64(&[4, 5]), ..SOUND_NPZ }),
        &["seed.npz: member shape.npy: expected a square matrix, found 4 x 5"],
    );
    refused(
        "another size than the units",
        npz(Npz {
            shape: Array::I64(&[5, 5]),
            indptr: Array::I64(&[0, 2, 4, 6, 8, 8]),
            ..SOUND_NPZ
        }),
        &["seed.npz: expected 4 x 4 as in the units table, found 5 x 5"],
    );
    refused(
        "row pointers that fall",
        npz(Npz { indptr: Array::I64(&[0, 2, 1, 6, 8]), ..SOUND_NPZ }),
        &["seed.npz: member indptr.npy: entry 2: expected at least 2, found 1"],
    );
    let sound = SOUND_NPZ.bytes();
    for length in [0, 10, sound.len() / 2, sound.len() - 1] {
        refused(
            "truncated",
            seed("seed.npz", &sound[..length]),
            &["seed.npz: expected", "truncated"],
        );
    }
    refused(
        "no zip",
        seed("seed.npz", "origin,destination"),
        &["seed.npz: expected an .npz (zip) file"],
    );
}

#[test]
fn seeds_in_parquet() {
    let folder = Folder::new(&SOUND);
    folder.flowrake("convert seed.csv seed.parquet --units units.csv").expect(0);
    let sound = folder.read("seed.parquet");
    for length in [0, 3, sound.len() / 2, sound.len() - 1] {
        refused(
            "truncated",
            seed("seed.parquet", &sound[..length]),
            &["seed.parquet: expected a complete Parquet file"],
        );
    }
    refused(
        "another file",
        seed("seed.parquet", "origin,destination,flow\n"),
        &["seed.parquet: expected a complete Parquet file"],
    );
    refused(
        "a table without flows",
        vec![
            Edit("plan.toml", "arrivals.csv", "seed.parquet"),
            File("seed.parquet", sound.clone()),
        ],
        &["seed.parquet: expected the columns geoid, target, [moe], found `origin`"],
    );
    let mut broken = sound;
    let at = broken.len() / 4;
    broken[4..at].fill(0xee);
    refused(
        "broken pages",
        seed("seed.parquet", broken),
        &["seed.parquet: ", "expected readable pages"],
    );
}

#[test]
fn targets() {
    fn edit<'a>(from: &'a str, to: &'a str) -> Vec<Change<'a>> {
        vec![Edit("arrivals.csv", from, to)]
    }
    for (found, message) in [
        ("-32", "expected a number of persons >= 0, found -32"),
        ("NaN", "expected a number, found `NaN`"),
        ("inf", "expected a number, found `inf`"),
        ("1e999", "expected a number, found `1e999`"),
        ("many", "expected a number, found `many`"),
        ("", "expected a number, found ``"),
    ] {
        let to = format!("01003,{found},");
        refused("target", edit("01003,32,", &to), &["arrivals.csv:3: column target: ", message]);
    }
    for (found, message) in [
        ("-2", "expected a number of persons >= 0, found -2"),
        ("inf", "expected a number, found `inf`"),
        ("x", "expected a number, found `x`"),
    ] {
        let to = format!("53,{found}\n");
        refused("moe", edit("53,2\n", &to), &["arrivals.csv:4: column moe: ", message]);
    }
    refused(
        "no column",
        edit("target", "persons"),
        &["arrivals.csv:1: expected the columns geoid, target, [moe], found `persons`"],
    );
    refused(
        "no target column",
        vec![File("arrivals.csv", b"geoid,moe\n01001,3\n".into())],
        &["arrivals.csv:1: expected a column `target`, found geoid, moe"],
    );
    refused(
        "another column",
        edit("geoid,target,moe", "geoid,target,note"),
        &["arrivals.csv:1: expected the columns geoid, target, [moe], found `note`"],
    );
    refused(
        "column twice",
        edit("geoid,target,moe", "geoid,target,target"),
        &["arrivals.csv:1: expected one column `target`, found 2"],
    );
    refused(
        "targets of a block",
        vec![Edit("plan.toml", "arrivals.csv", "flows.csv")],
        &["flows.csv:1: expected the columns geoid, target, [moe], found `origin`"],
    );
    refused(
        "a block without destinations",
        vec![Edit("plan.toml", "flows.csv", "departures.csv")],
        &[
            "departures.csv:1: expected the columns origin, destination, target, [moe], found `geoid`",
        ],
    );
    refused(
        "no lines",
        vec![File("arrivals.csv", b"geoid,target\n".into())],
        &["arrivals.csv: expected at least one target, found none"],
    );
    refused("empty", vec![File("arrivals.csv", vec![])], &["arrivals.csv: expected a header line"]);
    refused("cut off", edit("36061,53,2", "3606"), &["arrivals.csv:4: expected 3 fields, found 1"]);
    refused(
        "twice",
        edit("36061,53,2\n", "36061,53,2\n01003,32,\n"),
        &["arrivals.csv:5: column geoid: ", "01003", "line 3"],
    );
    refused(
        "a block twice",
        vec![Edit("flows.csv", "36,36,49\n", "36,36,49\n01,36,4\n")],
        &["flows.csv:6: ", "01->36", "line 3"],
    );
    refused(
        "another level",
        edit("01003,32", "01003010200,32"),
        &[
            "arrivals.csv:3: column geoid: expected a code of level county, 5 digits, found `01003010200` with 11",
            "level tract",
        ],
    );
    refused(
        "states for counties",
        vec![File("arrivals.csv", b"geoid,target\n01,79\n36,53\n".into())],
        &[
            "arrivals.csv:2: column geoid: expected a code of level county, 5 digits, found `01` with 2",
            "level state",
        ],
    );
    refused(
        "lost zero",
        edit("01003,32", "1003,32"),
        &["arrivals.csv:3: column geoid: ", "found `1003`", "lost its leading zero", "`01003`"],
    );
    refused(
        "lost zero of a block",
        vec![Edit("flows.csv", "36,01,3", "36,1,3")],
        &["flows.csv:4: column destination: ", "found `1`", "lost its leading zero", "`01`"],
    );
    refused(
        "unknown code",
        edit("36061,", "36063,"),
        &[
            "arrivals.csv:4: column geoid: expected a code of level county that the units table has, found `36063`",
        ],
    );
    refused(
        "more than numbers hold",
        vec![File("arrivals.csv", b"geoid,target\n01001,1e308\n01003,1e308\n".into())],
        &["plan.toml: [[repeat]] number 1, step number 1: constraint `arrivals`", "finite sum"],
    );
    refused(
        "spreadsheet's number",
        edit("36061,", "36061.0,"),
        &["arrivals.csv:4: column geoid: ", "found `36061.0`"],
    );
    refused("no code", edit("36061,", ","), &["arrivals.csv:4: column geoid: ", "found ``"]);
}

#[test]
fn a_block_margin_of_too_many_cells() {
    // 11,600 units paired with each other are 134.6 million cells.
    let codes: Vec<String> = (0..11_600).map(|k| format!("c{k}")).collect();
    refused(
        "pairs of units",
        vec![
            File("units.csv", format!("geoid\n{}\n", codes.join("\n")).into()),
            File("seed.csv", b"origin,destination,flow\nc1,c2,3\n".into()),
            Edit("plan.toml", "level = \"state\"", "level = \"geoid\""),
        ],
        &["plan.toml: [[step]] number 1: ", "134560000 cells", "at most 134217728", "coarser"],
    );
}

#[test]
fn solvers_that_cannot_do_the_plan() {
    let newton = "--out out.npz --solver newton";
    refused(
        "one margin",
        vec![Args(newton), Edit("plan.toml", "margin = \"origin\"", "margin = \"destination\"")],
        &[
            "plan.toml: solver newton needs",
            "[[repeat]] number 1 has other margins",
            "--solver collapsed",
        ],
    );
    refused(
        "other entries",
        vec![
            Args(newton),
            Edit("plan.toml", "margin = \"origin\"", "margin = \"origin\"\nentries = \"movers\""),
        ],
        &["plan.toml: solver newton needs", "[[repeat]] number 1 mixes entries"],
    );
    refused(
        "caps",
        vec![
            Args(newton),
            Edit("plan.toml", "margin = \"origin\"", "margin = \"origin\"\nzero_targets = \"cap\""),
        ],
        &["plan.toml: solver newton needs", "[[repeat]] number 1 caps zero targets"],
    );
    let folder = Folder::new(&SOUND);
    let plan = folder.text("plan.toml");
    let once = plan[..plan.find("[[repeat]]").unwrap()].to_owned();
    refused(
        "no group",
        vec![Args(newton), File("plan.toml", once.into())],
        &["plan.toml: solver newton needs a [[repeat]] group, the plan has none"],
    );
}

#[test]
fn outputs() {
    // Refused before any work: the plan does not even exist.
    let early = |args| vec![Args(args), Remove("plan.toml")];
    refused(
        "unknown extension",
        early("--out out.txt"),
        &["out.txt: expected a matrix file ending in .npz, .parquet, .mtx or .csv, found `txt`"],
    );
    refused("no extension", early("--out out"), &["out: expected a matrix file ending in .npz"]);
    refused(
        "factors",
        early("--out out.npz --factors f.csv"),
        &["f.csv: expected a name that ends in .npz"],
    );
    refused("folder", early("--out none/out.npz"), &["none/out.npz: "]);
    refused(
        "history is the matrix",
        early("--out out.csv --history out.csv"),
        &["out.csv: ", "twice"],
    );
    refused(
        "history is the manifest",
        early("--out out.csv --history out.csv.manifest.json"),
        &["out.csv.manifest.json: is named twice as an output"],
    );
    refused(
        "factors are the matrix",
        early("--out out.npz --factors ./out.npz"),
        &["out.npz: ", "twice"],
    );

    for (name, args) in [
        ("seed.csv", "--out seed.csv"),
        ("seed.csv", "--out ./seed.csv"),
        ("arrivals.csv", "--out out.npz --history arrivals.csv"),
        ("plan.toml", "--out out.npz --history plan.toml"),
        ("seed.npz", "--out out.npz --factors seed.npz"),
    ] {
        let mut changes = vec![Args(args)];
        if name == "seed.npz" {
            changes.extend(seed("seed.npz", SOUND_NPZ.bytes()));
        }
        refused("an input", changes, &[name, "is an input of this run"]);
    }
}

/// The same file by another name is still an input.
#[cfg(unix)]
#[test]
fn outputs_that_are_inputs_by_another_name() {
    let folder = Folder::new(&SOUND);
    fs::create_dir(folder.path("sub")).unwrap();
    std::os::unix::fs::symlink(folder.path("seed.csv"), folder.path("link.csv")).unwrap();
    let before = folder.files();
    let absolute = format!("--out {}", folder.path("seed.csv").display());
    for args in ["--out sub/../seed.csv", "--out link.csv", &absolute] {
        check_message(args, &folder.harmonize(args), &["is an input of this run"]);
        assert!(folder.files() == before, "{args}: files have changed");
    }
    fs::create_dir(folder.path("taken.npz")).unwrap();
    check_message(
        "a folder",
        &folder.harmonize("--out taken.npz"),
        &["taken.npz: expected a file"],
    );
    assert!(folder.files() == before, "files have changed");
}

/// A write that fails midway, as on a full disk: the shell limits the size of files.
#[cfg(unix)]
#[test]
fn the_disk_fills_up_while_writing() {
    let folder = Folder::sample("region");
    for out in ["out.npz", "out.csv", "out.mtx", "out.parquet"] {
        folder.write(out, "an older file");
        let before = folder.files();
        // Without a signal, writing beyond the limit is an error like that of a full disk.
        let output = std::process::Command::new("sh")
            .current_dir(folder.path(""))
            .args(["-c", "ulimit -f 100; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_flowrake"))
            .args(["harmonize", "plan.toml", "--quiet", "--out", out])
            .output()
            .unwrap();
        check_message(out, &Finished(output), &[&format!("{out}: "), "too large"]);
        let after = folder.files();
        assert!(before.keys().eq(after.keys()), "{out}: files are now {:?}", after.keys());
        assert!(before == after, "{out}: a file has changed");
    }
}
