//! Geocoding through the binary: points in polygons beside numpy's, upload files of the batch geocoder
//! and its answers.

#[path = "common/cli.rs"]
mod cli;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use cli::{Folder, python};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn run_python(args: &[&OsStr]) {
    let output = Command::new(python()).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const STUDY: &str = "units = \"units.csv\"
latest_date = \"2023-12-31\"
zip_tracts = [\"ZIP_TRACT_032011.csv\"]
zips = { files = [\"zips.csv\"] }
points = { files = [\"points.csv\"], boundaries = [\"borders.geojson\"] }
[persons]
files = [\"persons.csv\"]
[addresses]
files = [\"addresses.csv\"]
";

/// Tracts of the units, ten each but the last.
const ZIP_TRACTS: &str = "ZIP,TRACT,RES_RATIO
36001,01001000100,0.5
36001,01001000101,0.125
36001,01001000102,0.25
36001,01001000103,0.125
";

/// Cells of the mesh that polygons are made of, in both directions; every cell is a unit.
const CELLS: usize = 6;

/// Eighths of a degree, which no arithmetic rounds.
type Position = [i32; 2];

fn degrees(eighths: i32) -> f64 {
    f64::from(eighths) / 8.0
}

/// Eighths of the western or southern side of a cell.
fn west_of(cell: usize) -> i32 {
    64 * i32::try_from(cell).unwrap()
}

fn ring(corners: &[Position]) -> Value {
    let closed = corners.iter().chain(corners.first());
    closed.map(|corner| corner.map(degrees)).collect::<Vec<_>>().into()
}

fn feature(geoid: &str, kind: &str, coordinates: &Value) -> Value {
    let geometry = json!({ "type": kind, "coordinates": coordinates });
    json!({ "type": "Feature", "properties": { "GEOID": geoid }, "geometry": geometry })
}

fn unit(number: usize) -> String {
    format!("0100100010{number:02}")
}

/// A star around a point: a corner in each of several directions.
fn star(rng: &mut impl Rng, [x, y]: Position, size: i32) -> Vec<Position> {
    let directions = [[1, 0], [2, 1], [1, 2], [0, 1], [-1, 2], [-1, 1], [-1, 0], [-1, -1], [1, -2]];
    directions
        .map(|[east, north]| {
            let far = rng.random_range(2..=size);
            [x + east * far, y + north * far]
        })
        .to_vec()
}

/// Borders of units that share their borders and have holes, some with an island of another unit; east
/// of them, areas of all kinds that overlap.
fn borders(rng: &mut impl Rng) -> Vec<Value> {
    let mut corners = [[[0; 2]; CELLS + 1]; CELLS + 1];
    for (i, column) in corners.iter_mut().enumerate() {
        for (j, corner) in column.iter_mut().enumerate() {
            *corner = [i, j].map(|k| west_of(k) + rng.random_range(-16..=16));
        }
    }
    let mut features = Vec::new();
    for number in 0..CELLS * CELLS {
        let (i, j) = (number % CELLS, number / CELLS);
        let mut cell =
            vec![corners[i][j], corners[i + 1][j], corners[i + 1][j + 1], corners[i][j + 1]];
        if number % 2 == 1 {
            cell.reverse();
        }
        let mut rings = vec![ring(&cell)];
        if number % 4 == 0 {
            let [x, y] = [i, j].map(|k| west_of(k) + 32);
            let hole = [[x - 8, y], [x, y - 8], [x + 8, y], [x, y + 8]];
            rings.push(ring(&hole));
            if number % 8 == 0 {
                features.push(feature(&unit(number + 1), "Polygon", &vec![ring(&hole)].into()));
            }
        }
        features.push(feature(&unit(number), "Polygon", &rings.into()));
    }
    for number in 0..18 {
        let center = |rng: &mut dyn Rng| {
            [west_of(CELLS) + rng.random_range(60..240), rng.random_range(20..360)]
        };
        let geoid = match number % 3 {
            0 => unit(number),
            1 => format!("7200100010{number:02}"),
            _ => format!("0199900010{number:02}"),
        };
        let mut parts = Vec::new();
        for _ in 0..2 {
            let [x, y] = center(rng);
            let hole = [[x, y], [x + 1, y], [x, y + 1]];
            parts.push(vec![ring(&star(rng, [x, y], 24)), ring(&hole)]);
        }
        features.push(feature(&geoid, "MultiPolygon", &parts.into()));
    }
    features
}

/// All positions of eighths on rings.
fn on_rings(coordinates: &Value, found: &mut Vec<Position>) {
    let list = coordinates.as_array().unwrap();
    let corner = |position: &Value| {
        [0, 1].map(|axis| Some((position[axis].as_f64()? * 8.0) as i32)).map(Option::unwrap)
    };
    if !list[0][0].is_number() {
        return list.iter().for_each(|inner| on_rings(inner, found));
    }
    for edge in list.windows(2) {
        let (from, to) = (corner(&edge[0]), corner(&edge[1]));
        let steps = [0, 1].map(|axis| to[axis] - from[axis]);
        let divides = |parts: &i32| steps.iter().all(|step| step % parts == 0);
        let parts = (1..=64).rev().find(divides).unwrap();
        found.extend((0..parts).map(|k| [0, 1].map(|axis| from[axis] + k * steps[axis] / parts)));
    }
}

fn folder() -> Folder {
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut units = "geoid,population\n".to_owned();
    (0..CELLS * CELLS).for_each(|k| writeln!(units, "{},{}", unit(k), k + 1).unwrap());
    let borders = borders(&mut rng);
    let mut rings = Vec::new();
    for feature in &borders {
        on_rings(&feature["geometry"]["coordinates"], &mut rings);
    }
    let borders = json!({ "type": "FeatureCollection", "features": borders });
    let (mut points, mut zips) = ("address_id,latitude,longitude\n".to_owned(), String::new());
    let (mut persons, mut addresses) = (String::new(), String::new());
    for k in 0..4000 {
        let [x, y] = match k % 10 {
            3 => rings[rng.random_range(0..rings.len())],
            _ => [rng.random_range(-30..640), rng.random_range(-30..420)],
        };
        match k % 100 {
            7 => writeln!(points, "a{k},,").unwrap(),
            _ => writeln!(points, "a{k},{},{}", degrees(y), degrees(x)).unwrap(),
        }
        if k % 3 == 0 {
            writeln!(zips, "a{k},36001").unwrap();
        }
        writeln!(persons, "p{k},2010-01,2011-12").unwrap();
        writeln!(addresses, "p{k},a{k}").unwrap();
    }
    Folder::new(&[
        ("units.csv", &units),
        ("ZIP_TRACT_032011.csv", ZIP_TRACTS),
        ("zips.csv", &format!("address_id,zip\n{zips}")),
        ("points.csv", &points),
        ("borders.geojson", &borders.to_string()),
        ("persons.csv", &format!("person_id,first_seen,last_seen\n{persons}")),
        ("addresses.csv", &format!("person_id,address_id\n{addresses}")),
        ("study.toml", STUDY),
    ])
}

#[test]
fn points_are_in_the_polygons_that_numpy_finds() {
    let folder = folder();
    let run = |out: &str| {
        let command = format!("histories study.toml --years 2011 --out {out} --json");
        let finished = folder.flowrake(&command);
        finished.expect(0);
        serde_json::from_str::<Value>(&finished.stdout()).unwrap()
    };
    let found = run("seeds");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/geocode.py");
    let [inputs, seeds] = ["", "seeds"].map(|name| folder.path(name));
    run_python(&[script.as_os_str(), inputs.as_os_str(), seeds.as_os_str()]);
    let boundaries = &found["points"]["boundaries"];
    // 36 cells, 5 islands and 18 areas, of which 6 are parts of units and 6 in territories.
    assert_eq!((&boundaries["features"], &boundaries["territory"]), (&59.into(), &6.into()));
    for (noted, count, first) in [
        ("repeated", 11, json!("borders.geojson: feature 2: 010010001001")),
        ("other_vintage", 6, json!("borders.geojson: feature 43: 019990001002")),
        ("without_polygon", 0, Value::Null),
        ("units_without_polygon", 0, Value::Null),
    ] {
        assert_eq!(boundaries[noted], json!({ "count": count, "first": first }), "{noted}");
    }

    // The same from Parquet with numbers; the text says what is odd.
    let convert = "import sys, pyarrow.csv as c, pyarrow.parquet as q\n\
                   q.write_table(c.read_csv(f'{sys.argv[1]}/points.csv'), \
                   f'{sys.argv[1]}/points.parquet', row_group_size=1500)\n";
    run_python(&["-c".as_ref(), convert.as_ref(), inputs.as_os_str()]);
    folder.edit("study.toml", "points.csv", "points.parquet");
    let finished = folder.flowrake("histories study.toml --years 2011 --out parquet");
    finished.expect(0);
    assert!(folder.read("parquet/seed-2011.npz") == folder.read("seeds/seed-2011.npz"));
    let first = found["points"]["overlapping"]["first"].as_str().unwrap();
    let (row, rest) = first["points.csv:".len()..].split_once(':').unwrap();
    let row = row.parse::<usize>().unwrap() - 2;
    let count = &found["points"]["overlapping"]["count"];
    let expected = format!("{count}, first points.parquet: row {row}:{rest}");
    assert!(finished.stderr().contains(&expected), "{expected} not in\n{}", finished.stderr());
}

#[test]
fn points_that_are_wrong_are_refused_with_their_row() {
    let square = |geoid: &str, west: i32| {
        let corners = [[west, 240], [west + 80, 240], [west + 80, 320], [west, 320]];
        feature(geoid, "Polygon", &vec![ring(&corners)].into())
    };
    // Two block groups, 30 to 40 degrees north, 90 to 70 degrees west.
    let borders = json!({ "features": [square(&unit(0), -720), square(&unit(1), -640)] });
    let study = STUDY.replace("zip_tracts", "#").replace("zips", "#");
    let folder = Folder::new(&[
        ("units.csv", &format!("geoid\n{}\n{}\n", unit(0), unit(1))),
        ("borders.geojson", &borders.to_string()),
        ("points.csv", "address_id,latitude,longitude\na,35.5,-85\nb,45,-85\nc,,\nd,35,-80\n"),
        ("persons.csv", "person_id,first_seen,last_seen\np,2010-01,2011-12\n"),
        ("addresses.csv", "person_id,address_id\np,a\n"),
        ("study.toml", &study),
    ]);
    let run =
        |out: &str| folder.flowrake(&format!("histories study.toml --years 2011 --out {out}"));
    let finished = run("seeds");
    finished.expect(0);
    let summary = finished.stderr();
    for line in [
        "  points: 2 in units, 0 in territories; 1 on borders",
        "  points outside of all areas: 1, first points.csv:3: column latitude: 45, -85",
        "  addresses without coordinates: 1, first points.csv:4: column latitude",
    ] {
        assert!(summary.contains(&format!("{line}\n")), "{line} not in\n{summary}");
    }

    let sound = folder.files();
    let degrees = "expected degrees from";
    for (file, from, to, expected) in [
        ("points.csv", "45", "95", format!("points.csv:3: column latitude: {degrees} -90 to 90, found `95`")),
        ("points.csv", "45", "X", format!("points.csv:3: column latitude: {degrees} -90 to 90, found `X`")),
        ("points.csv", "45", "NaN", format!("points.csv:3: column latitude: {degrees} -90 to 90, found `NaN`")),
        ("points.csv", "45", "", format!("points.csv:3: column latitude: {degrees} -90 to 90, found ``")),
        ("points.csv", "b,45,-85", "b,45,181", format!("points.csv:3: column longitude: {degrees} -180 to 180, found `181`")),
        (
            "points.csv",
            "45,-85",
            "-85.5,35",
            "points.csv:3: column latitude: expected a latitude, found -85.5 with longitude 35: \
             swapped, they are in 010010001000"
                .into(),
        ),
        (
            "points.csv",
            "latitude",
            "lat",
            "points.csv:1: expected a column `latitude`, found address_id, lat, longitude".into(),
        ),
        (
            "borders.geojson",
            "\"010010001001\"",
            "\"10010001001\"",
            "borders.geojson: feature 1: expected a GEOID of 12 or 15 digits, found `10010001001`".into(),
        ),
        (
            "borders.geojson",
            "\"GEOID\"",
            "\"ID\"",
            "borders.geojson: feature 0: expected a property GEOID or GEOID10 or GEOID20 or GEO_ID or \
             AFFGEOID or GEOIDFQ, found ID"
                .into(),
        ),
    ] {
        folder.edit(file, from, to);
        let finished = run("refused");
        finished.expect(2);
        assert_eq!(finished.stderr(), format!("flowrake: error: {expected}\n"));
        folder.write(file, &sound[file]);
    }

    // Other names of columns and of the property.
    folder.edit("points.csv", "address_id,latitude,longitude", "id,y,x");
    folder.edit("borders.geojson", "\"GEOID\"", "\"CODE\"");
    let names =
        "points = { address_id = \"id\", latitude = \"y\", longitude = \"x\", geoid = \"CODE\",";
    folder.edit("study.toml", "points = {", names);
    run("named").expect(0);
    assert!(folder.read("named/seed-2011.npz") == folder.read("seeds/seed-2011.npz"));
}

/// The study of one address, `a`, with units where it may be.
fn small_study(study: &str) -> Folder {
    Folder::new(&[
        ("units.csv", &format!("geoid,population\n{},10\n{},20\n", unit(0), unit(1))),
        ("ZIP_TRACT_032011.csv", "ZIP,TRACT,RES_RATIO\n36001,01001000100,0.5\n"),
        ("zips.csv", "address_id,zip\na,36001\n"),
        ("persons.csv", "person_id,first_seen,last_seen\np,2010-01,2011-12\n"),
        ("addresses.csv", "person_id,address_id\np,a\np,b\n"),
        ("study.toml", study),
    ])
}

#[test]
fn a_truncated_part_among_the_records_is_named() {
    let study = STUDY.replace("points", "#").replace("addresses.csv", "parts");
    let folder = small_study(&study);
    fs::create_dir(folder.path("parts")).unwrap();
    let write = "import sys, pyarrow as pa, pyarrow.parquet as q\n\
                 for k in range(3):\n    \
                 t = pa.table({'person_id': [f'p{i}' for i in range(k, 3000, 3)], \
                 'address_id': [f'a{i * i}' for i in range(k, 3000, 3)]})\n    \
                 q.write_table(t, f'{sys.argv[1]}/parts/part-{k}.parquet')\n";
    run_python(&["-c".as_ref(), write.as_ref(), folder.path("").as_os_str()]);
    let run = || folder.flowrake("histories study.toml --years 2011 --out seeds");
    run().expect(0);
    let whole = folder.read("parts/part-1.parquet");
    let before = folder.read("seeds/seed-2011.npz");
    // Cut before the footer, within it, and with a footer but a part of the values overwritten.
    let mut holed = whole.clone();
    holed[40..whole.len() / 2].fill(0);
    for bytes in [&whole[..whole.len() / 2], &whole[..whole.len() - 4], &whole[..0], &holed] {
        folder.write("parts/part-1.parquet", bytes);
        let finished = run();
        finished.expect(2);
        let error = finished.stderr();
        assert!(error.starts_with("flowrake: error: parts/part-1.parquet: "), "{error}");
        assert!(folder.read("seeds/seed-2011.npz") == before, "a refused run left its output");
    }
}

#[test]
fn what_is_doubtful_is_counted_with_its_first_place() {
    let folder = small_study(&STUDY.replace("points", "geocoded = [\"g.csv\"]\n#"));
    let matched = |id: &str, geoid: &str| {
        let codes = [&geoid[..2], &geoid[2..5], &geoid[5..11], &geoid[11..]].join(",");
        format!("{id},1 A ST,Match,Exact,1 A ST,\"-86.5,32.5\",7,L,{codes}034\r\n")
    };
    let answers = [
        matched("a", &unit(0)),
        matched("a", &unit(1)),
        matched("b", "550010001001"),
        "c,NOWHERE,No_Match\r\n".into(),
    ];
    folder.write("g.csv", answers.concat());
    folder.write(
        "persons.csv",
        "person_id,first_seen,last_seen\np,2010-01,2011-12\np,2010-02,2011-12\n",
    );
    folder.write(
        "addresses.csv",
        "person_id,address_id,effective_date\np,a,2010-01\np,b,2010-06\np,d,2011-01\n",
    );
    let found = json_of(&folder, "histories study.toml --years 2011 --out seeds", 0);
    let noted = |count: u64, first: &str| json!({ "count": count, "first": first });
    let geocoder = &found["geocoder"];
    assert_eq!(geocoder["other_vintage"], noted(1, "g.csv:3: 550010001001"));
    assert_eq!(geocoder["without_zip"], noted(2, "g.csv:3: `1 A ST`"));
    assert_eq!(found["places"]["conflicting"], 1);
    assert_eq!(found["places"]["addresses"]["unanswered"], 1);
    assert_eq!(found["persons"]["disagreeing"], 1);
    assert_eq!(
        (&found["zips"]["off"], &found["zips"]["worst"]),
        (&1.into(), &json!(["36001", 0.5]))
    );
}

/// Ids and rows of the upload files of a folder, in order.
fn uploads(folder: &Folder, name: &str) -> Vec<Vec<String>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder.path(name)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("upload-"));
    paths.sort();
    let lines = |path| fs::read_to_string(path).unwrap().lines().map(String::from).collect();
    paths.into_iter().map(lines).collect()
}

fn json_of(folder: &Folder, command: &str, code: i32) -> Value {
    let finished = folder.flowrake(&format!("{command} --json"));
    finished.expect(code);
    serde_json::from_str(&finished.stdout()).unwrap()
}

const ADDRESSES: &str = "id,street,city,state,zip
1,1 A ST,X,AL,36001
2,\"2 \"\"B\"\" ST, APT 4\",\"Y, UPPER\",AL,501
3,P.O. Box 7,X,AL,36001-0007
1,1 A ST,X,AL,36001
4,,X,AL,36002
5,RR 2 BOX 1,X,AL,
\"6\",\"6 C
 ST\",X,AL,NONE
7,7 D ST,,AL,
1,1 E ST,X,AL,36001
\"8,8\",8 F ST,,,36001
";

#[test]
fn addresses_become_upload_files() {
    let folder = Folder::new(&[("a.csv", ADDRESSES)]);
    let counts = json_of(&folder, "geocode batch a.csv --id id --out out/uploads", 0);
    let rows = uploads(&folder, "out/uploads");
    let expected = [
        "1,1 A ST,X,AL,36001",
        "2,\"2 \"\"B\"\" ST, APT 4\",\"Y, UPPER\",AL,00501",
        "6,6 C ST,X,AL,",
        "\"8,8\",8 F ST,,,36001",
    ];
    assert_eq!(rows, [expected]);
    assert_eq!(folder.text("out/uploads/zips.csv"), "address_id,zip\n3,36001\n4,36002\n");
    let left_out = json!({
        "po_box": 1, "rural_route": 1, "general_delivery": 0, "without_street": 1, "without_place": 1,
    });
    let expected = json!({
        "files": 1, "rows": 10, "asked": 4, "repeated": 2,
        "disagreeing": { "count": 1, "first": "a.csv:11: column id: `1`" },
        "left_out": left_out, "with_zip": 2,
        "without_zip": { "count": 2, "first": "a.csv:7: column id: `5`" },
        "unreadable_zips": { "count": 1, "first": "a.csv:8: column zip: `NONE`" },
    });
    assert_eq!(counts, expected);
    let manifest: Value = serde_json::from_str(&folder.text("out/uploads/manifest.json")).unwrap();
    assert_eq!(manifest["report"], expected);
    assert_eq!(manifest["outputs"][0]["path"], "out/uploads/upload-00001.csv");

    for (args, expected) in [
        (
            "a.csv --id id --out out/uploads",
            "out/uploads: expected a new or an empty folder, found another",
        ),
        (
            "a.csv --out new",
            "a.csv:1: expected a column `address_id`, found id, street, city, state, zip",
        ),
        (
            "a.csv --id id --street zip2 --out new",
            "a.csv:1: expected a column `zip2`, found id, street, city, state, zip",
        ),
        ("a.txt --out new", "a.txt: expected a folder, or a file ending in .csv or .parquet"),
    ] {
        let finished = folder.flowrake(&format!("geocode batch {args}"));
        finished.expect(2);
        assert_eq!(finished.stderr(), format!("flowrake: error: {expected}\n"));
    }
    folder.write("a.csv", "address_id,street\n1,1 A ST\n,1 B ST\n");
    let finished = folder.flowrake("geocode batch a.csv --out new");
    finished.expect(2);
    let expected = "a.csv:3: column address_id: expected an identifier, found an empty cell";
    assert_eq!(finished.stderr(), format!("flowrake: error: {expected}\n"));
    assert!(!folder.path("new").exists(), "a folder of a refused run");
    folder.flowrake("geocode batch a.csv --out new --rows 10001").expect(2);
}

/// The row that the geocoder returns for one of these addresses: a match, a tie or none.
fn answer(upload: &str) -> String {
    let fields: Vec<&str> = upload.split(',').collect();
    let (id, asked) = (fields[0], fields[1..].join(", "));
    match id.parse::<usize>().unwrap() % 5 {
        3 => format!("\"{id}\",\"{asked}\",\"Tie\""),
        4 => format!("\"{id}\",\"{asked}\",\"No_Match\""),
        kind => format!(
            "\"{id}\",\"{asked}\",\"Match\",\"{}\",\"{asked}\",\"-86.5,32.5\",\"7\",\"L\",\"01\",\"001\",\
             \"000100\",\"1034\"",
            if kind == 0 { "Exact" } else { "Non_Exact" }
        ),
    }
}

#[test]
fn answers_are_checked_against_what_was_asked() {
    let mut table = "address_id,street,city,state,zip\n".to_owned();
    (0..10_001).for_each(|k| writeln!(table, "{k},{k} A ST,X,AL,36001").unwrap());
    let folder = Folder::new(&[("addresses.csv", &table)]);
    folder.flowrake("geocode batch addresses.csv --out uploads --quiet").expect(0);
    let asked = uploads(&folder, "uploads");
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 1]);
    assert_eq!(
        (&*asked[0][0], &*asked[1][0]),
        ("0,0 A ST,X,AL,36001", "10000,10000 A ST,X,AL,36001")
    );

    // The first file comes back from its end, less two rows; one row comes twice.
    let mut lines: Vec<String> = asked[0].iter().rev().map(|row| answer(row)).collect();
    lines.retain(|row| !row.starts_with("\"7\"") && !row.starts_with("\"9000\""));
    lines.push(lines[0].clone());
    fs::create_dir(folder.path("results")).unwrap();
    folder.write("results/1.csv", lines.join("\n"));
    folder.write("results/2.csv", "");
    let collect = "geocode collect uploads results/1.csv results/2.csv";
    let counts = json_of(&folder, &format!("{collect} --out answers.csv --missing again"), 1);
    let missing = json!({ "count": 3, "first": "uploads/upload-00001.csv:8: `7`" });
    assert_eq!(counts["missing"], missing);
    assert_eq!((&counts["asked"], &counts["repeated"]), (&10_001.into(), &1.into()));
    let none = json!({ "count": 0, "first": null });
    assert_eq!((&counts["disagreeing"], &counts["not_asked"]), (&none, &none));
    let expected = [&asked[0][7], &asked[0][9000], &asked[1][0]].map(Clone::clone);
    assert_eq!(uploads(&folder, "again"), [expected]);
    assert_eq!(folder.text("answers.csv").lines().count(), 9998);

    let finished = folder.flowrake("geocode collect uploads results/1.csv --out answers.csv");
    finished.expect(1);
    let told =
        "answers.csv: 10001 addresses asked, 5998 matched (3999 not exactly), 2000 ties, 2000 \
                without a match; 1 answers repeated
  without an answer: 3, first uploads/upload-00001.csv:8: `7`
  --missing DIR writes uploads of those without an answer
";
    assert_eq!(finished.stderr(), told);

    // What is missing comes back, and a match for what had none: it counts.
    lines = uploads(&folder, "again")[0].iter().map(|row| answer(row)).collect();
    let better = answer("5,4 A ST,X,AL,36001").replace("\"5\"", "\"4\"");
    lines.extend([better, answer("8,8 A ST,X,AL,36001"), answer("77777,Z,X,AL,36001")]);
    folder.write("results/3.csv", lines.join("\r\n"));
    let counts = json_of(&folder, &format!("{collect} results/3.csv --out answers.csv"), 0);
    let expected = json!({
        "asked": 10_001, "matched": 6002, "non_exact": 4000, "tie": 2000, "no_match": 1999,
        "missing": none, "repeated": 2,
        "disagreeing": { "count": 1, "first": "results/3.csv:4: `4`" },
        "not_asked": { "count": 1, "first": "results/3.csv:6: `77777`" },
    });
    assert_eq!(counts, expected);
    let answers = folder.text("answers.csv");
    let mut ids: Vec<usize> =
        answers.lines().map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..10_001).collect::<Vec<_>>());
    assert!(answers.contains("\n4,\"4 A ST, X, AL, 36001\",Match,"), "the better answer");
    // The other order of files says the same of every address.
    let finished =
        folder.flowrake("geocode collect uploads results/3.csv results/1.csv --out other.csv");
    finished.expect(0);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&folder.text("other.csv")), sorted(&answers));

    let seventh = answer("7,7 A ST,X,AL,36001");
    for (file, text, expected) in [
        (
            "results/1.csv",
            "\"7\",\"7 A ST\",\"Match\",\"Exact\",\"7 A ST\",\"-86.5,32.5\",\"7\",\"L\"\n",
            "results/1.csv:1: expected a match of 12 fields, with its geographies, found 8",
        ),
        (
            "results/1.csv",
            "<html>\n",
            "results/1.csv:1: expected Match, No_Match or Tie as third of 3 or 12 fields, found ``",
        ),
        (
            "uploads/upload-00002.csv",
            "5,5 A ST,X,AL,36001\n",
            "uploads/upload-00002.csv:1: expected every identifier once, found `5` again",
        ),
        (
            "uploads/upload-00002.csv",
            &seventh,
            "uploads/upload-00002.csv:1: expected 5 fields of an upload, found 12",
        ),
    ] {
        let sound = folder.read(file);
        folder.write(file, text);
        let finished = folder.flowrake(&format!("{collect} --out refused.csv"));
        finished.expect(2);
        assert_eq!(finished.stderr(), format!("flowrake: error: {expected}\n"));
        folder.write(file, sound);
    }
    let finished = folder.flowrake("geocode collect results results/1.csv --out refused.csv");
    finished.expect(2);
    let expected = "results: expected upload files (upload-00001.csv and so on), found none";
    assert_eq!(finished.stderr(), format!("flowrake: error: {expected}\n"));
    assert!(!folder.path("refused.csv").exists(), "answers of a refused run");
}
