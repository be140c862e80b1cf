//! Runs the binary in a fresh folder.

#![allow(dead_code, reason = "every test binary uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use flowrake::geography::Geography;
use flowrake::matrix::{FlowRows, file};
use flowrake::with_matrix;
use tempfile::TempDir;

/// Persons by codes of origin and destination.
pub type Flows = BTreeMap<(String, String), f64>;

/// A Python with numpy, scipy and pyarrow.
pub fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    match std::env::var_os("FLOWRAKE_PYTHON") {
        Some(python) => python.into(),
        None if own.exists() => own,
        None => panic!(
            "expected a Python with numpy, scipy and pyarrow in {} or $FLOWRAKE_PYTHON, found \
             none; run ./test, which makes one",
            own.display()
        ),
    }
}

/// The folder of official tables, `None` (said on stderr) where it is not at hand.
pub fn official(what: &str) -> Option<PathBuf> {
    let data = std::env::var_os("FLOWRAKE_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("NOT CHECKED: {what} of the official data, since FLOWRAKE_DATA is not set");
    }
    data
}

/// A temporary folder in which the binary runs.
pub struct Folder(TempDir);

impl Folder {
    /// A folder with these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    /// A folder with the files of a sample of data-samples/.
    pub fn sample(name: &str) -> Self {
        let folder = Self::new(&[]);
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples").join(name);
        for file in fs::read_dir(sample).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.path("").join(file.file_name())).unwrap();
        }
        folder
    }

    /// A made-up nation of so many block groups in `nation/`, and in `plan-2011/` and so on the plan
    /// of every year.
    pub fn nation(block_groups: usize, years: &[&str]) -> Self {
        let folder = Self::new(&[]);
        let (first, last) = (years[0], years[years.len() - 1]);
        let size = format!("--block-groups {block_groups} --years {first}-{last}");
        folder.flowrake(&format!("synth nation nation {size}")).expect(0);
        for year in years {
            let seed = if years.len() > 1 { format!("seed-{year}.npz") } else { "seed.npz".into() };
            let survey = last.parse::<u32>().unwrap() - 4;
            let targets = format!(
                "targets --year {year} --counties nation/co-est{last}-alldata.csv --state-flows \
                 nation/state_to_state_migrations_table_{year}.xlsx --census \
                 nation/CenPop2010_Mean_BG.txt --acs5 \
                 {last}=nation/acs5_{survey}-{last}_bg_total_population.csv --seed \
                 ../nation/{seed} --out plan-{year}"
            );
            folder.flowrake(&targets).expect(0);
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Replaces a text that must be there.
    #[track_caller]
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{name}: no `{from}` in\n{text}");
        self.write(name, text.replace(from, to));
    }

    /// Every file, its bytes by its name.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = entries.filter(|path| path.is_file());
        files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    }

    /// `flowrake` with arguments separated by blanks, as a finished process.
    pub fn flowrake(&self, args: &str) -> Finished {
        self.flowrake_with(&[], args)
    }

    /// The same with environment variables.
    pub fn flowrake_with(&self, env: &[(&str, &str)], args: &str) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowrake"));
        command.current_dir(self.0.path()).envs(env.iter().copied());
        Finished(command.args(args.split_whitespace()).output().unwrap())
    }

    /// `flowrake harmonize plan.toml` with further arguments.
    pub fn harmonize(&self, args: &str) -> Finished {
        self.flowrake(&format!("harmonize plan.toml {args}"))
    }

    /// The JSON object of a run that must end with this exit code.
    #[track_caller]
    pub fn harmonize_json(&self, args: &str, code: i32) -> serde_json::Value {
        let finished = self.harmonize(&format!("{args} --json"));
        finished.expect(code);
        serde_json::from_str(&finished.stdout()).unwrap()
    }

    /// The matrix of a file over the units of units.csv.
    pub fn flows(&self, name: &str) -> Flows {
        let units = Geography::read(&self.path("units.csv")).unwrap();
        let (matrix, units) = file::read(&self.path(name), Some(&units)).unwrap();
        let mut flows = Flows::new();
        let (mut columns, mut persons) = (Vec::new(), Vec::new());
        with_matrix!(&matrix, m => for i in 0..units.len() {
            m.row(i, &mut columns, &mut persons);
            for (&j, &flow) in columns.iter().zip(&persons) {
                let [i, j] = [i, j as usize].map(|k| units.geoids()[k].to_string());
                flows.insert((i, j), flow);
            }
        });
        assert!(!flows.is_empty(), "{name} is empty");
        flows
    }
}

/// What a process left.
pub struct Finished(pub Output);

impl Finished {
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.0.status.code(), Some(code), "{}\n{}", self.stdout(), self.stderr());
        self
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
}

/// Persons of the pairs that `counted` accepts.
pub fn sum(flows: &Flows, counted: impl Fn(&str, &str) -> bool) -> f64 {
    flows.iter().filter(|((i, j), _)| counted(i, j)).map(|(_, flow)| flow).sum()
}

/// Fails with the worst pair where two matrices differ by more than `tolerance` relative to it.
#[track_caller]
pub fn assert_same_flows(found: &Flows, expected: &Flows, tolerance: f64) {
    let mut worst = (0.0, None);
    for pair in expected.keys().chain(found.keys()) {
        let [a, b] = [found, expected].map(|flows| flows.get(pair).copied().unwrap_or(0.0));
        let difference = (a - b).abs() / a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
        if difference > worst.0 {
            worst = (difference, Some((pair, a, b)));
        }
    }
    if let (difference, Some((pair, found, expected))) = worst {
        assert!(
            difference <= tolerance,
            "{pair:?}: found {found}, expected {expected}, {difference:e} relative"
        );
    }
}

/// Fails unless a number of persons is the expected one up to a relative tolerance.
#[track_caller]
pub fn assert_persons(what: &str, found: f64, expected: f64, tolerance: f64) {
    let difference = (found - expected).abs();
    let scale = expected.abs().max(f64::MIN_POSITIVE);
    assert!(difference <= tolerance * scale, "{what}: found {found}, expected {expected}");
}
