//! `flowrake histories` through the binary: its matrices beside numpy's, the same bytes for every form
//! of the same records, and what it refuses.

#[path = "common/cli.rs"]
mod cli;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use cli::{Folder, python};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const STUDY: &str = "units = \"units.csv\"
latest_date = \"2023-12-31\"
geocoded = [\"answers.csv\"]
zip_tracts = [\"ZIP_TRACT_062013.csv\", \"ZIP_TRACT_032011.csv\"]
zips = { files = [\"zips.csv\"] }
";

const LONG: &str = "[persons]
files = [\"persons.csv\"]
[addresses]
files = [\"addresses.csv\"]
";

/// Block groups of four tracts in two states; in the last one nobody lives.
const UNITS: &str = "geoid,population
010010001001,100
010010001002,300
010010002001,50
010010002002,0
010010002003,120
550010001001,10
550010001002,20
550010002001,0
550010002002,0
";

const FIRST_QUARTER: &str = "ZIP,TRACT,RES_RATIO
36001,01001000100,0.4
36001,01001000200,0.6
54001,55001000100,0.5
54001,55001000200,0.3
54001,55999000100,0.2
00601,72001000100,1
";

const LAST_QUARTER: &str = "ZIP,TRACT,RES_RATIO
36001,01001000100,0.9
36001,01001000200,0.05
";

/// Answers about addresses 0 to 37 and ZIP codes of 30 to 38; of 39 nothing is known.
fn answers() -> (String, String) {
    let (mut answers, mut zips) = (String::new(), "address_id,zip\n".to_owned());
    let units: Vec<&str> = UNITS.lines().skip(1).map(|line| &line[..12]).collect();
    let matched = |geoid: &str| {
        let (state, county, tract) = (&geoid[..2], &geoid[2..5], &geoid[5..11]);
        format!(
            "\"Match\",\"Exact\",\"1 A ST, X, AL, 36001\",\"-86.5,32.5\",\"76355984\",\"L\",\
             \"{state}\",\"{county}\",\"{tract}\",\"{}034\"",
            &geoid[11..]
        )
    };
    for address in 0..38 {
        let (asked, rest) = match address {
            30..34 => ("PO BOX 7, X, AL, 36001", "\"No_Match\"".to_owned()),
            34 => ("1 A ST, X, WI, 54001-0007", "\"Tie\"".to_owned()),
            35 => ("1 CALLE A, ADJUNTAS, PR, 00601", matched("720010001001")),
            36 => ("1 B ST, X, WI, 54001", matched("559990001001")),
            37 => ("NOWHERE", "\"No_Match\"".to_owned()),
            k => ("1 A ST, X, AL, 36001", matched(units[k % units.len()])),
        };
        writeln!(answers, "\"a{address}\",\"{asked}\",{rest}").unwrap();
    }
    zips += "a30,36001\na38,00601\n";
    (answers, zips)
}

/// A person's rows: `person_id,first_seen,last_seen,deceased` and
/// `person_id,address_id,effective_date,category`.
struct Person {
    row: String,
    addresses: Vec<String>,
}

fn people() -> Vec<Person> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let date = |rng: &mut ChaCha8Rng| match rng.random_range(0..20) {
        0 => String::new(),
        1 => "2050-01".into(),
        2 => "1850-01-01".into(),
        3..9 => format!("{}-{:02}", rng.random_range(2008..2016), rng.random_range(1..=12)),
        _ => {
            let (year, month) = (rng.random_range(2008..2016), rng.random_range(1..=12));
            format!("{year}-{month:02}-{:02}", rng.random_range(1..=28))
        }
    };
    let person = |k: usize, rng: &mut ChaCha8Rng| {
        // Some identifiers are longer than what is kept of them as it is.
        let id =
            if k.is_multiple_of(7) { format!("a-long-identifier-{k}") } else { format!("p{k}") };
        let row = format!("{id},{},{},{}", date(rng), date(rng), ["", "Y", "0"][k % 3]);
        let mut dates = vec![date(rng)];
        let addresses = (0..rng.random_range(1..=5)).map(|_| {
            if rng.random_bool(0.75) {
                dates.push(date(rng));
            }
            let category = ["S", "S", "H", "P", ""][rng.random_range(0..5)];
            let date = &dates[dates.len() - 1];
            format!("{id},a{},{date},{category}", rng.random_range(0..40))
        });
        Person { addresses: addresses.collect(), row }
    };
    (0..300).map(|k| person(k, &mut rng)).collect()
}

fn long(people: &[Person]) -> (String, String) {
    let persons: Vec<&str> = people.iter().map(|person| person.row.as_str()).collect();
    let addresses: Vec<&str> =
        people.iter().flat_map(|person| &person.addresses).map(String::as_str).collect();
    (
        format!("person_id,first_seen,last_seen,deceased\n{}\n", persons.join("\n")),
        format!("person_id,address_id,effective_date,category\n{}\n", addresses.join("\n")),
    )
}

fn folder() -> Folder {
    let ((answers, zips), (persons, addresses)) = (answers(), long(&people()));
    Folder::new(&[
        ("units.csv", UNITS),
        ("ZIP_TRACT_032011.csv", FIRST_QUARTER),
        ("ZIP_TRACT_062013.csv", LAST_QUARTER),
        ("answers.csv", &answers),
        ("zips.csv", &zips),
        ("persons.csv", &persons),
        ("addresses.csv", &addresses),
        ("study.toml", &format!("{STUDY}{LONG}")),
    ])
}

/// Every output but the manifest, which names its command.
fn seeds(folder: &Folder, name: &str) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder.path(name)).unwrap().map(|entry| entry.unwrap().path());
    let files = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let files = files.filter(|(name, _)| name != "manifest.json");
    files.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn run_python(args: &[&std::ffi::OsStr]) {
    let output = Command::new(python()).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_number_is_that_of_numpy() {
    let folder = folder();
    let finished = folder.flowrake("histories study.toml --years 2009-2016 --out seeds --json");
    finished.expect(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories.py");
    run_python(&[
        script.as_os_str(),
        folder.path("").as_os_str(),
        folder.path("seeds").as_os_str(),
    ]);

    let found: Value = serde_json::from_str(&finished.stdout()).unwrap();
    let manifest: Value = serde_json::from_str(&folder.text("seeds/manifest.json")).unwrap();
    assert_eq!(manifest["report"], found);
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 8);
    assert_eq!(
        (&found["rules"]["persons"], &found["persons"]["listed"]),
        (&300.into(), &300.into())
    );
    // Ratios of 0.95 in the last quarter; tracts of another vintage in the first.
    assert_eq!((&found["zips"]["off"], &found["zips"]["partly_unknown"]), (&1.into(), &1.into()));
    for (kind, number) in [("exact", 30), ("by_zip", 6), ("territory", 2), ("unanswered", 1)] {
        assert_eq!(found["places"]["addresses"][kind], number, "{kind}");
    }
    for odd in ["dates_out_of_range", "reversed"] {
        let noted = &found["input"][odd];
        assert!(noted["count"].as_u64().unwrap() > 10, "{odd}");
        assert!(noted["first"].as_str().unwrap().starts_with("persons.csv:"), "{noted}");
    }
    let units = folder.text("seeds/units.csv");
    assert_eq!(units, UNITS);
}

#[test]
fn the_same_bytes_for_every_form_of_the_records() {
    let folder = folder();
    let run = |study: &str, out: &str, threads: &str, args: &str| {
        folder.write("other.toml", format!("{STUDY}{study}"));
        let command = format!("histories other.toml --years 2009-2016 --out {out} {args} --quiet");
        folder.flowrake_with(&[("RAYON_NUM_THREADS", threads)], &command).expect(0);
        seeds(&folder, out)
    };
    let expected = run(LONG, "expected", "1", "");
    assert_eq!(expected.len(), 8 + 2);
    assert!(run(LONG, "threads", "2", "--memory 512MB") == expected, "threads and memory");

    // Rows in any order, in several files of a folder, a person row twice.
    let mut people = people();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (persons, addresses) = long(&people);
    let mut lines: Vec<&str> = addresses.lines().skip(1).collect();
    lines.shuffle(&mut rng);
    for (part, lines) in lines.chunks(200).enumerate() {
        fs::create_dir_all(folder.path(&format!("parts/state={part}"))).unwrap();
        let text = format!("category,address_id,person_id,effective_date\n{}\n", {
            let swapped = lines.iter().map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                format!("{},{},{},{}", cells[3], cells[1], cells[0], cells[2])
            });
            swapped.collect::<Vec<_>>().join("\n")
        });
        folder.write(&format!("parts/state={part}/part-0.csv"), text);
    }
    folder.write("parts/_SUCCESS", "");
    let twice = format!("{persons}{}\n", people[5].row);
    folder.write("twice.csv", twice);
    let parts = "[persons]\nfiles = [\"twice.csv\"]\n[addresses]\nfiles = [\"parts\"]\n";
    assert!(run(parts, "parts-out", "2", "") == expected, "parts");

    // Parquet, with dates of days and text; months only as text.
    let script = "import sys, pyarrow as pa, pyarrow.csv as c, pyarrow.parquet as q\n\
                  for n in ['persons', 'addresses']:\n    \
                  o = c.ConvertOptions(column_types={k: pa.string() for k in ['first_seen', \
                  'last_seen', 'effective_date', 'deceased', 'category']})\n    \
                  t = c.read_csv(f'{sys.argv[1]}/{n}.csv', convert_options=o)\n    \
                  q.write_table(t, f'{sys.argv[1]}/{n}.parquet', row_group_size=100)\n";
    let path = folder.path("");
    run_python(&["-c".as_ref(), script.as_ref(), path.as_os_str()]);
    assert!(run(&LONG.replace(".csv", ".parquet"), "parquet", "2", "") == expected, "parquet");

    // Wide, with other names.
    people.shuffle(&mut rng);
    let mut wide = "PID,FIRST,LAST,DEAD".to_owned();
    (1..=5).for_each(|k| write!(wide, ",AID{k},AT{k},TYPE{k}").unwrap());
    for person in &people {
        write!(wide, "\n{}", person.row).unwrap();
        for k in 0..5 {
            let cells = person.addresses.get(k).map_or(",,", |a| a.split_once(',').unwrap().1);
            write!(wide, ",{cells}").unwrap();
        }
    }
    folder.write("wide.csv", wide);
    let study = "[wide]\nfiles = [\"wide.csv\"]\nperson_id = \"PID\"\nfirst_seen = \"FIRST\"\n\
                 last_seen = \"LAST\"\ndeceased = \"DEAD\"\naddress_id = \"AID{}\"\n\
                 effective_date = \"AT{}\"\ncategory = \"TYPE{}\"\n";
    assert!(run(study, "wide-out", "2", "") == expected, "wide");
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let folder = folder();
    let (study, sound) = (folder.text("study.toml"), folder.files());
    let addresses = "person_id,address_id,effective_date,category\n";
    for (file, text, expected) in [
        (
            "addresses.csv",
            format!("{addresses}p1,a1,2010-13,S\n"),
            "addresses.csv:2: column effective_date: expected a date as 2015-03-20, 2015-03, 20150320 \
             or 201503, found `2010-13`",
        ),
        (
            "addresses.csv",
            format!("{addresses}p1,a1,2010-12,S\n,a1,2010-12,S\n"),
            "addresses.csv:3: column person_id: expected an identifier, found an empty cell",
        ),
        (
            "addresses.csv",
            "person_id,effective_date\np1,2010-12\n".into(),
            "addresses.csv:1: expected a column `address_id`, found person_id, effective_date",
        ),
        (
            "persons.csv",
            "person_id,deceased\np1,perhaps\n".into(),
            "persons.csv:2: column deceased: expected yes or no, 1 or 0, found `perhaps`",
        ),
        (
            "answers.csv",
            "\"a1\",\"1 A ST\",\"Found\"\n".into(),
            "answers.csv:1: expected Match, No_Match or Tie as third of 3 or 12 fields, found `Found`",
        ),
        (
            "answers.csv",
            "\"a1\",\"1 A ST\",\"Match\",\"Exact\",\"1 A ST\",\"-86.5,32.5\",\"7\",\"L\"\n".into(),
            "answers.csv:1: expected a match of 12 fields, with its geographies, found 8",
        ),
        (
            "zips.csv",
            "address_id,zip\na1,X\n".into(),
            "zips.csv:2: column zip: expected a ZIP code of 5 digits, found `X`",
        ),
        (
            "units.csv",
            "geoid,population\n010010001001,-5\n".into(),
            "units.csv:2: column population: expected persons >= 0, found -5",
        ),
        (
            "units.csv",
            "geoid,population\nX1,5\n".into(),
            "units: expected GEOIDs of block groups (12 digits), or of tracts, counties or states, \
             found others",
        ),
        (
            "study.toml",
            study.replace("[addresses]", "[adresses]"),
            "study.toml:8: unknown field `adresses`, expected one of `units`, `population`, \
             `geocoded`, `zip_tracts`, `latest_date`, `zips`, `points`, `persons`, `addresses`, \
             `wide`, `categories`, `targets`, `harmonize`; did you mean `addresses`?",
        ),
        (
            "study.toml",
            study.replace("032011", "2011"),
            "ZIP_TRACT_2011.csv: expected a name that ends in month and year, as \
             ZIP_TRACT_032015.xlsx",
        ),
    ] {
        folder.write(file, text);
        let finished = folder.flowrake("histories study.toml --years 2011 --out seeds");
        finished.expect(2);
        let error = finished.stderr();
        assert_eq!(error, format!("flowrake: error: {expected}\n"));
        folder.write(file, &sound[file]);
    }
    let command = "histories study.toml --years 2011 --out seeds --memory 150MB";
    let finished = folder.flowrake_with(&[("RAYON_NUM_THREADS", "1")], command);
    finished.expect(2);
    let expected = "memory: expected at least 220 MB for 1 years of 9 units, found 150 MB";
    assert!(finished.stderr().contains(expected), "{}", finished.stderr());
    assert!(fs::read_dir(folder.path("seeds")).unwrap().next().is_none(), "files of refused runs");
}
