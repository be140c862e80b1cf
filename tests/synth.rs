//! `flowrake synth` through the binary.

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;

fn flowrake(threads: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowrake"));
    command.env("RAYON_NUM_THREADS", threads);
    command
}

/// Every file of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_committed_region_can_be_made_again_at_any_thread_count() {
    let committed =
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples").join("region"));
    assert_eq!(committed.len(), 10, "{:?}", committed.keys());
    for threads in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new").join("region");
        flowrake(threads).arg("synth").arg(&out).assert().success();
        let made = files(&out);
        assert!(made.keys().eq(committed.keys()), "{:?}", made.keys());
        for (name, bytes) in &made {
            assert!(
                *bytes == committed[name],
                "{name} differs at {threads} threads; if the generator was meant to change, see \
                 data-samples/README.md"
            );
        }
    }
}

#[test]
fn another_seed_gives_another_region_of_the_size_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let size = ["--states", "2", "--counties", "5", "--block-groups", "60"];
    let make = |seed: &str| {
        let out = folder.path().join(seed);
        flowrake("2").arg("synth").arg(&out).args(size).args(["--seed", seed]).assert().success();
        files(&out)
    };
    let (first, second) = (make("1"), make("2"));
    let lines = |name: &str| std::str::from_utf8(&first[name]).unwrap().lines().count();
    assert_eq!([lines("units.csv"), lines("county_in.csv"), lines("state_flows.csv")], [61, 6, 5]);
    for name in ["truth.npz", "seed.npz", "units.csv", "county_out.csv"] {
        assert!(first[name] != second[name], "{name} does not depend on the seed");
    }
}

#[test]
fn impossible_sizes_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("region");
    for (size, expected) in [
        (["--states", "27"], "states: expected 1 to 26, found 27"),
        (["--states", "0"], "states: expected 1 to 26, found 0"),
        (["--counties", "2"], "counties: expected at least one per state (3), found 2"),
        (["--block-groups", "79"], "at least two per county (80)"),
        (["--counties", "500000"], "block groups: expected at least two per county"),
    ] {
        let assert = flowrake("1").arg("synth").arg(&out).args(size).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains(expected), "{message}");
        assert!(!out.exists(), "{size:?} wrote {}", out.display());
    }
}
