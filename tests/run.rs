//! `flowrake run` through the binary: the files of the commands it is made of, and the same files
//! however often it is killed and taken up again.

#[path = "common/cli.rs"]
mod cli;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cli::{Finished, Folder};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const YEARS: [i32; 3] = [2011, 2012, 2013];

const STUDY: &str = "units = \"units.csv\"
latest_date = \"2023-12-31\"
geocoded = [\"answers.csv\"]
[persons]
files = [\"persons.csv\"]
[addresses]
files = [\"addresses\"]
[targets]
counties = \"nation/co-est2013-alldata.csv\"
census = \"nation/CenPop2010_Mean_BG.txt\"
[targets.state_flows]
2011 = \"nation/state_to_state_migrations_table_2011.xlsx\"
2012 = \"nation/state_to_state_migrations_table_2012.xlsx\"
2013 = \"nation/state_to_state_migrations_table_2013.xlsx\"
[targets.acs5]
2013 = \"nation/acs5_2009-2013_bg_total_population.csv\"
[harmonize]
solver = \"newton\"
";

/// A small nation with its official tables, and invented persons who live in it and move.
fn study() -> Folder {
    let folder = Folder::new(&[("study.toml", STUDY)]);
    folder.flowrake("synth nation nation --block-groups 120 --years 2011-2013").expect(0);
    let centers = folder.text("nation/CenPop2010_Mean_BG.txt");
    let mut places: Vec<(String, String)> = Vec::new();
    for line in centers.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        places.push((cells[..4].concat(), cells[4].to_owned()));
    }
    assert!(places.iter().all(|(geoid, _)| geoid.len() == 12), "{:?}", places[0]);
    let (mut units, mut answers) = ("geoid,population\n".to_owned(), String::new());
    for (k, (geoid, population)) in places.iter().enumerate() {
        writeln!(units, "{geoid},{population}").unwrap();
        writeln!(
            answers,
            "\"a{k}\",\"{k} A ST\",\"Match\",\"Exact\",\"{k} A ST\",\"-86.5,32.5\",\"1\",\"L\",\
             \"{}\",\"{}\",\"{}\",\"{}001\"",
            &geoid[..2],
            &geoid[2..5],
            &geoid[5..11],
            &geoid[11..]
        )
        .unwrap();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut persons = "person_id,first_seen,last_seen,deceased\n".to_owned();
    let mut addresses = "person_id,address_id,effective_date,category\n".to_owned();
    for person in 0..20_000 {
        writeln!(persons, "p{person},2008-01,2015-12,").unwrap();
        let mut date = (2008, 1);
        while date.0 < 2015 {
            let address = rng.random_range(0..places.len());
            writeln!(addresses, "p{person},a{address},{}-{:02},S", date.0, date.1).unwrap();
            date = (date.0 + rng.random_range(1..5), rng.random_range(1..=12));
        }
    }
    folder.write("units.csv", units);
    folder.write("answers.csv", answers);
    folder.write("persons.csv", persons);
    fs::create_dir(folder.path("addresses")).unwrap();
    folder.write("addresses/1.csv", addresses);
    folder
}

fn run(folder: &Folder, args: &str) -> Finished {
    folder.flowrake(&format!("run study.toml {args}"))
}

/// The JSON object of a call that ends with this exit code.
#[track_caller]
fn run_json(folder: &Folder, args: &str, code: i32) -> Value {
    let finished = run(folder, &format!("{args} --json"));
    finished.expect(code);
    serde_json::from_str(&finished.stdout()).unwrap()
}

/// Stages that a call did, by year.
fn made(summary: &Value) -> BTreeMap<i64, Vec<&str>> {
    let years = summary["years"].as_array().unwrap().iter();
    let words = |made: &Value| made.as_array().unwrap().len();
    years
        .map(|year| {
            let made = &year["made"];
            let texts = (0..words(made)).map(|k| year["made"][k].as_str().unwrap());
            (year["year"].as_i64().unwrap(), texts.collect())
        })
        .collect()
}

/// Every file of a folder and its folders, by its name; manifests without what differs between two
/// calls: the command line, what a call did, times and memory.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    add_files(folder, "", &mut found);
    for (name, bytes) in &mut found {
        if name.ends_with(".manifest.json") {
            let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
            forget(&mut manifest);
            *bytes = serde_json::to_vec_pretty(&manifest).unwrap();
        }
    }
    found
}

fn add_files(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            add_files(&path, &format!("{name}/"), found);
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
}

fn forget(value: &mut Value) {
    const DIFFERENT: [&str; 8] = [
        "command",
        "made",
        "elapsed_s",
        "harmonize_s",
        "iteration_s",
        "iterations_s",
        "peak_memory_bytes",
        "out",
    ];
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !DIFFERENT.contains(&key.as_str()));
            map.values_mut().for_each(forget);
        }
        Value::Array(values) => values.iter_mut().for_each(forget),
        _ => (),
    }
}

/// Fails with the first file that differs.
#[track_caller]
fn assert_same(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    what: &str,
) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{what}: {name} differs");
    }
}

#[test]
fn files_are_those_of_the_commands_one_by_one() {
    let folder = study();
    let summary = run_json(&folder, "--years 2011-2013 --out run", 0);
    assert_eq!(summary["converged"], true, "{summary}");
    folder.flowrake("histories study.toml --years 2011-2013 --out alone").expect(0);
    for year in YEARS {
        let seed = format!("seed-{year}.npz");
        let (own, alone) = (format!("run/seeds/{seed}"), format!("alone/{seed}"));
        assert!(folder.read(&own) == folder.read(&alone), "{seed}");
        let targets = format!("run/targets-{year}");
        folder
            .flowrake(&format!(
                "targets --year {year} --counties nation/co-est2013-alldata.csv --state-flows \
                 nation/state_to_state_migrations_table_{year}.xlsx --census \
                 nation/CenPop2010_Mean_BG.txt --acs5 \
                 2013=nation/acs5_2009-2013_bg_total_population.csv --units units.csv --seed \
                 ../seeds/{seed} --out targets-{year}"
            ))
            .expect(0);
        let [mut own, mut alone] =
            [targets.as_str(), &format!("targets-{year}")].map(|name| files(&folder.path(name)));
        for files in [&mut own, &mut alone] {
            assert!(files.remove("plan.toml.manifest.json").is_some());
            assert_eq!(files.len(), 9, "{:?}", files.keys());
        }
        assert_same(&own, &alone, &targets);
        // By hand, from the plan that the run left.
        let harmonized = format!("harmonized-{year}.npz");
        folder
            .flowrake(&format!("harmonize {targets}/plan.toml --solver newton --out {harmonized}"))
            .expect(0);
        assert!(folder.read(&format!("run/{harmonized}")) == folder.read(&harmonized), "{year}");
    }
    let units = folder.text("run/units.csv");
    assert_eq!(units, folder.text("run/targets-2011/units.csv"));
    assert_eq!(units.lines().count(), 121);

    let table = folder.text("run/years-2011-2013.csv");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let at = |name: &str| lines[0].iter().position(|column| *column == name).unwrap();
    let seeds = folder.text("alone/years.csv");
    let seeds: Vec<Vec<&str>> = seeds.lines().map(|line| line.split(',').collect()).collect();
    let at_seed = |name: &str| seeds[0].iter().position(|column| *column == name).unwrap();
    assert_eq!(lines.len(), 4);
    for (k, year) in YEARS.iter().enumerate() {
        let (line, seed) = (&lines[k + 1], &seeds[k + 1]);
        assert_eq!(line[at("year")], year.to_string());
        for name in ["active", "persons", "stayers", "movers", "unknown", "nonzeros"] {
            assert_eq!(line[at(name)], seed[at_seed(name)], "{name}");
        }
        assert_eq!((line[at("converged")], line[at("stop")]), ("true", "converged"));
        assert!(line[at("max_relative_violation")].parse::<f64>().unwrap() <= 1e-9);
        let of_json = &summary["years"][k];
        assert_eq!(line[at("iterations")], of_json["iterations"].to_string());
        assert_eq!(line[at("movers")], of_json["movers"].to_string());
        assert_eq!(made(&summary)[&i64::from(*year)], ["targets", "seed", "harmonized"]);
    }

    // A year alone, of less memory and threads, is the same year.
    let alone = "--years 2012 --out one --threads 1 --memory 400MB --quiet";
    assert_eq!(run(&folder, alone).expect(0).stderr(), "");
    let [all, one] = ["run", "one"].map(|name| files(&folder.path(name)));
    let of_year = |name: &&String| name.contains("2012") && !name.starts_with("years-");
    let names: Vec<&String> = all.keys().filter(of_year).collect();
    assert_eq!(names, one.keys().filter(of_year).collect::<Vec<_>>());
    assert_eq!(names.len(), 10 + 2 + 2);
    for name in names.into_iter().filter(|name| !name.ends_with("manifest.json")) {
        assert!(all[name] == one[name], "{name} differs");
    }
    let line = folder.text("one/years-2012.csv");
    assert_eq!(line.lines().nth(1), table.lines().nth(2));
}

#[test]
fn what_is_finished_is_left_alone_and_what_is_not_is_done_again() {
    let folder = study();
    let again = |args: &str| {
        let summary = run_json(&folder, &format!("--years 2011-2013 --out run --resume {args}"), 0);
        made(&summary).into_iter().map(|(year, made)| (year, made.join(" "))).collect::<Vec<_>>()
    };
    let every = |what: &str| YEARS.map(|year| (i64::from(year), what.to_owned())).to_vec();
    assert_eq!(again(""), every("targets seed harmonized"));
    let expected = files(&folder.path("run"));
    let modified = |name: &str| fs::metadata(folder.path(name)).unwrap().modified().unwrap();
    let names =
        ["run/seeds/seed-2011.npz", "run/targets-2012/plan.toml", "run/harmonized-2013.npz"];
    let before = names.map(modified);
    assert_eq!(again(""), every(""));
    assert_eq!(again("--threads 1 --memory 400MB"), every(""));
    assert_eq!(names.map(modified), before);
    let text = run(&folder, "--years 2011-2013 --out run --resume").expect(0).stderr();
    assert_eq!(text.matches("; finished before").count(), 3, "{text}");

    // Files that are missing, cut, or of the right length and wrong.
    let of_2012 = |made: &str| {
        let all = YEARS.map(|year| (year.into(), if year == 2012 { made } else { "" }.to_owned()));
        all.to_vec()
    };
    let damages: [fn(&mut Vec<u8>); 2] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
    ];
    for (name, redone) in [
        ("targets-2012/county_in.csv", "targets"),
        ("targets-2012/plan.toml.manifest.json", "targets"),
        ("seeds/seed-2012.npz", "seed"),
        ("harmonized-2012.npz", "harmonized"),
    ] {
        let path = format!("run/{name}");
        fs::remove_file(folder.path(&path)).unwrap();
        assert_eq!(again(""), of_2012(redone), "{name} is missing");
        assert_same(&files(&folder.path("run")), &expected, name);
        for damage in damages.into_iter().take(if name.ends_with("json") { 1 } else { 2 }) {
            let mut bytes = folder.read(&path);
            damage(&mut bytes);
            folder.write(&path, bytes);
            assert_eq!(again(""), of_2012(redone), "{name} is damaged");
            assert_same(&files(&folder.path("run")), &expected, name);
        }
    }
    for name in ["run/units.csv", "run/years-2011-2013.csv"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    assert_eq!(again(""), every(""));
    assert_same(&files(&folder.path("run")), &expected, "units and table");

    // What changes and what follows from it: a solver, numbers of the plans, how records are read
    // (which changes nothing here), records, a table of all years.
    folder.edit("study.toml", "\"newton\"", "\"collapsed\"");
    assert_eq!(again(""), every("harmonized"));
    folder.edit("study.toml", "\"collapsed\"", "\"collapsed\"\ntolerance = 1e-7");
    assert_eq!(again(""), every("targets harmonized"));
    // A table of the same bytes for other years.
    folder.edit("study.toml", "[targets.acs5]\n2013", "[targets.acs5]\n2012");
    let mut changed = every("targets harmonized");
    // The populations of 2010 are those of the count.
    changed[0].1 = "targets".into();
    assert_eq!(again(""), changed);
    let steps = "[targets]\ndrop = [\"state-flows\"]";
    folder.edit("study.toml", "[targets]", steps);
    assert_eq!(again(""), every("targets harmonized"));
    assert!(
        !folder.path("run/targets-2012/state_flows.csv").exists(),
        "of a step that is left out"
    );
    folder.edit("study.toml", steps, "[targets]");
    assert_eq!(again(""), every("targets harmonized"));
    folder.edit("study.toml", "2023-12-31", "2022-12-31");
    assert_eq!(again(""), every("seed"));
    let more = "person_id,address_id,effective_date,category\nnew,a7,2012-12,S\n";
    folder.write("addresses/2.csv", more);
    // A seed of the same bytes is the same seed, here of the year before the new person.
    let seed = |year: &str| (folder.read(&format!("run/seeds/seed-{year}.npz")), year.to_owned());
    let earlier = seed("2011");
    let made = again("");
    assert_eq!(seed("2011"), earlier);
    assert_eq!(
        made,
        [
            (2011, "seed".to_owned()),
            (2012, "seed harmonized".into()),
            (2013, "seed harmonized".into())
        ]
    );
    folder.edit("nation/co-est2013-alldata.csv", ",County 001,", ",First County,");
    assert_eq!(again("--prepare"), every("targets"));
    // Without --resume, everything.
    let summary = run_json(&folder, "--years 2011-2013 --out run", 0);
    assert_eq!(self::made(&summary)[&2012], ["targets", "seed", "harmonized"]);
}

/// Starts a call that takes up what is there.
fn start(folder: &Folder, args: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowrake"));
    command.current_dir(folder.path("")).args(["run", "study.toml", "--resume"]);
    command.args(args.split_whitespace()).stderr(Stdio::null()).spawn().unwrap()
}

fn count_files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 })
        .sum()
}

/// Kills a call as soon as its folder has so many files, temporary ones among them; whether it was
/// killed before it ended.
fn kill_at(folder: &Folder, out: &str, count: usize) -> bool {
    let mut child = start(folder, &format!("--years 2011-2013 --out {out}"));
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return false;
        }
        if count_files(&folder.path(out)) >= count {
            child.kill().unwrap();
            return child.wait().unwrap().code().is_none();
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
}

/// The files of a finished run, as if its folder were called run. Of a process that was killed just
/// when it had made a temporary file an empty one may be left.
fn finished_files(folder: &Folder, out: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(&folder.path(out));
    let is_kind = |name: &str, kind| Path::new(name).extension().is_some_and(|e| e == kind);
    files.retain(|name, bytes| !(is_kind(name, "part") && bytes.is_empty()));
    for (name, bytes) in &mut files {
        if is_kind(name, "json") {
            let text = String::from_utf8(bytes.clone()).unwrap();
            *bytes = text.replace(&format!("{out}/"), "run/").into();
        }
    }
    files
}

#[test]
fn killed_at_any_moment_it_ends_the_same() {
    let folder = study();
    run(&folder, "--years 2011-2013 --out run").expect(0);
    let expected = finished_files(&folder, "run");
    assert_eq!(expected.len(), 3 * (10 + 2 + 2) + 3, "{:?}", expected.keys());
    let same = |out: &str, what: &str| assert_same(&finished_files(&folder, out), &expected, what);
    // Once, at many moments.
    let mut killed = 0;
    for count in [1, 5, 11, 23, 31, 32, 34, 36, 37, 39, 41, 44] {
        let out = format!("killed-{count:02}");
        killed += usize::from(kill_at(&folder, &out, count));
        run(&folder, &format!("--years 2011-2013 --out {out} --resume")).expect(0);
        same(&out, &format!("killed at {count} files"));
    }
    assert!(killed >= 8, "{killed} of 12 were killed");
    // Again and again, a little later each time.
    let mut count = 2;
    while kill_at(&folder, "often", count) {
        count += 4;
    }
    assert!(count > 20, "ended at {count} files");
    same("often", "killed again and again");
    // After a time, however far it is by then; over the results of another study.
    let edited = folder.text("study.toml").replace("\"newton\"", "\"collapsed\"\ntolerance = 0.01");
    folder.write("other.toml", edited);
    folder.flowrake("run other.toml --years 2011-2013 --out over").expect(0);
    for wait in [1, 5, 20, 50, 100, 200, 400] {
        let mut child = start(&folder, "--years 2011-2013 --out over");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&folder, "--years 2011-2013 --out over --resume").expect(0);
    same("over", "killed after a time");
}

#[test]
fn a_year_per_task_is_the_same_run() {
    let folder = study();
    run(&folder, "--years 2011-2013 --out run").expect(0);
    let expected = finished_files(&folder, "run");
    let text = run(&folder, "--years 2011-2013 --out tasks --prepare").expect(0).stderr();
    assert_eq!(text.matches(" persons, ").count(), 3, "{text}");
    assert!(!folder.path("tasks/harmonized-2011.npz").exists());
    let tasks = YEARS.map(|year| start(&folder, &format!("--years {year} --out tasks")));
    for mut task in tasks {
        assert_eq!(task.wait().unwrap().code(), Some(0));
    }
    // What each of them left is there; the last call only sums up.
    let summary = run_json(&folder, "--years 2011-2013 --out tasks --resume", 0);
    assert_eq!(made(&summary).into_values().flatten().count(), 0);
    let mut found = finished_files(&folder, "tasks");
    for year in YEARS {
        for name in [format!("years-{year}.csv"), format!("years-{year}.csv.manifest.json")] {
            assert!(found.remove(&name).is_some(), "{name}");
        }
    }
    assert_same(&found, &expected, "a year per task");
}

#[test]
fn a_year_that_does_not_converge_is_written_and_counts() {
    let folder = study();
    folder.edit("study.toml", "\"newton\"", "\"collapsed\"\nmax_iterations = 1");
    let summary = run_json(&folder, "--years 2011-2013 --out run", 1);
    assert_eq!(summary["converged"], false);
    for year in YEARS {
        assert!(folder.path(&format!("run/harmonized-{year}.npz")).exists());
    }
    assert_eq!(summary["years"][1]["stop"], "max_iterations");
    let again = run(&folder, "--years 2011-2013 --out run --resume").expect(1).stderr();
    assert_eq!(
        again.matches("not converged: iterations used up after 1 iterations").count(),
        3,
        "{again}"
    );
}

#[test]
fn what_cannot_be_done_is_refused_before_persons_are_read() {
    let folder = study();
    let study = folder.text("study.toml");
    // Read, these would end the run.
    folder.write("addresses/1.csv", "no\naddresses\n");
    let table = "2013 = \"nation/state_to_state_migrations_table_2013.xlsx\"\n";
    for (from, to, expected) in [
        (
            table,
            "",
            "study.toml: [targets]: state_flows: expected a table of 2013, found 2011, 2012",
        ),
        (
            "table_2013.xlsx",
            "table_2014.xlsx",
            "nation/state_to_state_migrations_table_2014.xlsx: No such file",
        ),
        (
            "2013 = \"nation/state_to_state_migrations_table_2013.xlsx\"",
            "2013 = \"nation/state_to_state_migrations_table_2012.xlsx\"",
            "nation/state_to_state_migrations_table_2012.xlsx",
        ),
        (
            "[targets]\n",
            "[targets]\nsates = \"x\"\n",
            "unknown field `sates`, expected one of `counties`",
        ),
        ("[targets]\n", "[targets]\nsates = \"x\"\n", "; did you mean `states`?"),
        ("[targets]\n", "[targets]\ndrop = [\"state-mover\"]\n", "did you mean `state-movers`?"),
        (
            "[targets]\n",
            "[targets]\nrepeat = [\"county-in\"]\ndrop = [\"county-out\"]\n",
            "study.toml: [targets]: drop county-out: the plan has no such step",
        ),
        ("[harmonize]\n", "[harmonize]\ntolerence = 1\n", "did you mean `tolerance`?"),
        (
            "[harmonize]\n",
            "[harmonize]\ntolerance = -1\n",
            "run/targets-2011/plan.toml: [[repeat]] number 1: tolerance: ",
        ),
        ("\"newton\"", "\"newtn\"", "did you mean `newton`?"),
        ("[targets]\n", "[targets]\ndrop = [\"county-out\"]\n", "run/targets-2011/plan.toml: "),
        ("answers.csv", "answer.csv", "answer.csv: No such file"),
        ("[targets.acs5]\n2013", "[targets.acs5]\nlast", "expected a year as key, found another"),
        (
            "units = \"units.csv\"",
            "units = \"run/units.csv\"",
            "run/units.csv: is an input of this run",
        ),
    ] {
        assert!(study.contains(from), "{from}");
        if to.contains("run/units.csv") {
            fs::copy(folder.path("units.csv"), folder.path("run/units.csv")).unwrap();
        }
        folder.write("study.toml", study.replace(from, to));
        let error = run(&folder, "--years 2011-2013 --out run").expect(2).stderr();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(error.starts_with("flowrake: error: "), "{error}");
    }
    folder.write("study.toml", &study[..study.find("[targets]").unwrap()]);
    let error = run(&folder, "--years 2011 --out run").expect(2).stderr();
    let expected = "study.toml: expected official tables in a section [targets], found none\n";
    assert!(error.ends_with(expected), "{error}");
    folder.write("study.toml", &study);
    let finished = run(&folder, "--years 2011 --out run --backend gpu --adapter none-such");
    assert!(finished.expect(3).stderr().contains("none-such"), "{}", finished.stderr());
    let error = run(&folder, "--years 2011 --out run --memory 100MB").expect(2).stderr();
    assert!(error.contains("memory: expected at least "), "{error}");
    assert_eq!(count_files(&folder.path("run/seeds")), 0);
    // Here they are read.
    let error = run(&folder, "--years 2011 --out run").expect(2).stderr();
    assert!(error.contains("addresses/1.csv:1: expected a column"), "{error}");

    // The other command checks these sections, and leaves them alone.
    folder.write(
        "study.toml",
        study.replace("sates", "states").replace("[harmonize]", "[harmonise]"),
    );
    let error = folder.flowrake("histories study.toml --years 2011 --out seeds").expect(2).stderr();
    assert!(error.contains("did you mean `harmonize`?"), "{error}");
}
