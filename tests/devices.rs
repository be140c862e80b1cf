//! `flowrake devices`, on the software driver of Mesa: what is listed, chosen and refused.
#![cfg(target_os = "linux")]

mod common {
    pub mod cli;
}

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use common::cli::{Finished, Folder};
use serde_json::Value;

/// What tells a Vulkan loader where its drivers are, in newer and older versions.
const DRIVER_VARIABLES: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// The driver llvmpipe belongs to. These tests fail without it.
fn lavapipe() -> PathBuf {
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut paths = files.map(|file| file.unwrap().path());
    let is_lavapipe =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("lvp_");
    paths.find(is_lavapipe).unwrap_or_else(|| {
        panic!(
            "expected a software Vulkan driver in {folders:?}, found none; run ./test, which \
             installs it, or apt-get install libvulkan1 mesa-vulkan-drivers"
        )
    })
}

/// `flowrake` with one driver and an environment of its own.
fn flowrake(
    folder: &Folder,
    driver: impl Into<PathBuf>,
    env: &[(&str, &str)],
    args: &str,
) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowrake"));
    command.current_dir(folder.path("")).args(args.split_whitespace());
    let driver = driver.into();
    command.envs(DRIVER_VARIABLES.map(|name| (name, driver.as_os_str())));
    for name in ["FLOWRAKE_ADAPTER", "FLOWRAKE_GPU_WITHOUT", "XDG_RUNTIME_DIR"] {
        command.env_remove(name);
    }
    Finished(command.envs(env.iter().copied()).output().unwrap())
}

#[track_caller]
fn json(env: &[(&str, &str)]) -> Value {
    let finished = flowrake(&Folder::new(&[]), lavapipe(), env, "devices --json");
    assert_eq!(finished.expect(0).stderr(), "");
    serde_json::from_str(&finished.stdout()).unwrap()
}

#[test]
fn software_is_listed_tested_and_not_chosen() {
    let report = json(&[]);
    let [adapter] = report["adapters"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!(adapter["index"], 0);
    assert!(adapter["name"].as_str().unwrap().starts_with("llvmpipe"), "{adapter}");
    assert_eq!((&adapter["type"], &adapter["backend"]), (&"cpu".into(), &"vulkan".into()));
    assert_eq!(adapter["software"], true);
    for ability in ["f64", "int64"] {
        assert_eq!(adapter["abilities"][ability], true, "{ability}");
    }
    let sizes = &adapter["abilities"]["subgroups"];
    assert!(sizes["min"].as_u64().unwrap() >= 4 && sizes["max"].as_u64() >= sizes["min"].as_u64());
    for (limit, least) in [
        ("storage_binding_bytes", 128 << 20),
        ("buffer_bytes", 256 << 20),
        ("workgroups_per_dimension", 65_535),
        ("storage_buffers_per_stage", 8),
        ("workgroup_invocations", 256),
    ] {
        assert!(adapter["limits"][limit].as_u64().unwrap() >= least, "{limit}: {adapter}");
    }
    for text in ["driver", "driver_info"] {
        assert!(adapter[text].is_string(), "{text}");
    }
    for number in ["vendor", "device", "memory_bytes", "self_test_s", "open_s"] {
        assert!(adapter[number].is_number(), "{number}");
    }
    assert_eq!(adapter["self_test"], "passed");
    assert_eq!(adapter["refused"], Value::Array(vec![]));
    assert_eq!(adapter["auto"]["chosen"], false);
    assert!(adapter["auto"]["reason"].as_str().unwrap().contains("software"), "{adapter}");
    assert_eq!(report["auto"], Value::Null);
    assert!(report["why"].as_str().unwrap().ends_with("the CPU is used"), "{report}");
    assert_eq!(report["auto_entries"], 4_000_000);
}

#[test]
fn the_table_says_the_same_to_people() {
    let finished = flowrake(&Folder::new(&[]), lavapipe(), &[], "devices");
    let text = finished.expect(0).stdout();
    for part in [
        "0: llvmpipe",
        "cpu, software",
        "f64 yes, int64 yes",
        "self-test  passed in ",
        "not chosen: it is software",
        "the CPU is used",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    assert_eq!(finished.stderr(), "");
}

#[test]
fn the_environment_names_an_adapter_software_too() {
    for name in ["LLVM", "0"] {
        let report = json(&[("FLOWRAKE_ADAPTER", name)]);
        assert_eq!(report["auto"], 0, "{report}");
        assert_eq!(report["adapters"][0]["auto"]["chosen"], true);
    }
}

#[test]
fn a_name_that_fits_none_is_told_with_the_names_there_are() {
    let report = json(&[("FLOWRAKE_ADAPTER", "geforce")]);
    assert_eq!(report["auto"], Value::Null);
    let why = report["why"].as_str().unwrap();
    assert!(why.starts_with("FLOWRAKE_ADAPTER: adapter `geforce`: "), "{why}");
    assert!(why.contains("0: llvmpipe"), "{why}");
}

#[test]
fn declined_features_are_not_tested_and_must_exist() {
    let report = json(&[("FLOWRAKE_GPU_WITHOUT", "int64,f64,subgroups")]);
    assert_eq!(report["adapters"][0]["self_test"], "passed");
    let env = [("FLOWRAKE_GPU_WITHOUT", "f64,f16")];
    let finished = flowrake(&Folder::new(&[]), lavapipe(), &env, "devices");
    let message = finished.expect(2).stderr();
    assert!(message.starts_with("flowrake: error: FLOWRAKE_GPU_WITHOUT: expected "), "{message}");
    assert!(message.contains("found `f16`") && message.lines().count() == 1, "{message}");
}

#[test]
fn without_a_driver_there_is_no_adapter_and_advice() {
    let folder = Folder::new(&[]);
    for env in [&[][..], &[("FLOWRAKE_ADAPTER", "0")]] {
        let finished = flowrake(&folder, folder.path("no-driver.json"), env, "devices");
        let text = finished.expect(0).stdout();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("no graphics adapter") && text.contains("libvulkan1"), "{text}");
        assert_eq!(finished.stderr(), "");
    }
    let finished = flowrake(&folder, folder.path("no-driver.json"), &[], "devices --json");
    let report: Value = serde_json::from_str(&finished.expect(0).stdout()).unwrap();
    assert_eq!(report["adapters"], Value::Array(vec![]));
    assert!(report["why"].as_str().unwrap().ends_with("the CPU is used"), "{report}");
}
