//! `flowrake bench`, on a matrix small enough for the software driver of Mesa: what is in its
//! report and that all results agree. How long anything takes is not tested.
#![cfg(target_os = "linux")]

mod common {
    pub mod cli;
}

use common::cli::Folder;
use serde_json::Value;

const TINY: &str = "bench --units 400 --movers 4000 --repeats 2 --iterations 5 --quiet";

#[track_caller]
fn json(args: &str) -> Value {
    let finished = Folder::new(&[]).flowrake(&format!("{TINY} --json {args}"));
    finished.expect(0);
    assert_eq!(finished.stderr(), "");
    serde_json::from_str(&finished.stdout()).unwrap()
}

#[track_caller]
fn assert_positive(object: &Value, fields: &[&str]) {
    for field in fields {
        let number = object[*field].as_f64().unwrap_or_else(|| panic!("{field}: {object}"));
        assert!(number > 0.0 && number.is_finite(), "{field}: {object}");
    }
}

#[track_caller]
fn array<'a>(report: &'a Value, field: &str) -> &'a [Value] {
    report[field].as_array().unwrap_or_else(|| panic!("{field}: {report}"))
}

/// Place, arithmetic and what is timed, of every run.
fn runs<'a>(runs: &'a [Value], fields: &[&str]) -> Vec<Vec<&'a str>> {
    let text = |run: &'a Value, field: &str| run[field].as_str().unwrap();
    runs.iter().map(|run| fields.iter().map(|field| text(run, field)).collect()).collect()
}

#[test]
fn a_device_is_measured_beside_the_cpu_and_agrees() {
    let report = json("--backend gpu");
    assert_eq!(report["passed"], true, "{report}");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["command"].as_array().unwrap().len() > 5);
    assert_positive(&report["machine"], &["cores", "threads", "memory_bytes"]);
    assert!(report["device"]["adapter"]["driver"].is_string(), "{report}");
    assert!(array(&report["device"], "features").contains(&"f64".into()), "{report}");
    let sample = &report["sample"];
    assert_eq!((&sample["units"], &sample["movers"]), (&400.into(), &4000.into()));
    assert_eq!((&sample["size"], &sample["storage"]), (&"custom".into(), &"f32".into()));

    let copies = runs(array(&report, "bandwidth"), &["place", "what"]);
    let expected =
        [["cpu", "copy"], ["cpu", "read"], ["gpu", "copy_buffer"], ["gpu", "copy_shader"]];
    assert_eq!(copies, expected);
    let passes = array(&report, "passes");
    let found = runs(passes, &["pass", "place", "precision", "what"]);
    for pass in ["origin_sums", "destination_sums"] {
        for run in [
            [pass, "cpu", "f64", "call"],
            [pass, "cpu", "exact", "call"],
            [pass, "gpu", "exact", "call"],
            [pass, "gpu", "exact", "kernel"],
            [pass, "gpu", "f64", "call"],
            [pass, "gpu", "f64", "kernel"],
        ] {
            assert!(found.contains(&run.to_vec()), "{run:?} is not among {found:?}");
        }
    }
    for pass in ["class_sums, counties", "class_sums, states", "l1_change", "harmonized_row"] {
        let of_pass = found.iter().filter(|run| run[0] == pass);
        assert_eq!(of_pass.filter(|run| run[1] == "gpu" && run[2] == "exact").count(), 2);
    }
    for run in passes.iter().chain(array(&report, "bandwidth")) {
        assert_eq!(array(run, "samples_s").len(), 2, "{run}");
        assert_positive(run, &["median_s", "bytes", "bytes_per_s"]);
    }
    for run in passes {
        assert_positive(run, &["ratio_to_copy"]);
        assert_eq!(run["per_submission"].is_number(), run["what"] == "kernel", "{run}");
    }

    let direct = array(&report, "direct");
    let fields = ["margins", "place", "precision"];
    let both =
        |margins| [[margins, "cpu", "f64"], [margins, "gpu", "exact"], [margins, "gpu", "f64"]];
    assert_eq!(runs(direct, &fields), [both("units"), both("counties")].concat());
    for run in direct {
        assert_eq!((&run["asked"], &run["iterations"]), (&5.into(), &5.into()));
        assert_positive(run, &["iterations_per_s", "ratio_to_copy", "bytes", "max_violation"]);
        let resident = run["place"] == "gpu" && run["precision"] == "f64";
        assert_eq!(run["resident"], resident, "{run}");
    }
    let plan = array(&report, "plan");
    assert_eq!(plan.len(), 6);
    for run in plan {
        assert_eq!(run["converged"], true, "{run}");
        assert_positive(run, &["elapsed_s", "iterations", "half_sweeps", "solved_entries"]);
    }
    for check in array(&report, "checks") {
        assert_eq!(check["passed"], true, "{check}");
        assert_positive(check, &["compared"]);
        if check["what"].as_str().unwrap().ends_with("to the last bit") {
            assert_eq!((&check["found"], &check["worst"]), (&"equal".into(), &0.0.into()));
        }
    }
}

#[test]
fn the_cpu_by_itself_and_parts() {
    let report = json("passes --backend cpu");
    assert_eq!((&report["device"], &report["note"]), (&Value::Null, &Value::Null));
    assert!(array(&report, "passes").iter().all(|run| run["place"] == "cpu"));
    assert!(array(&report, "direct").is_empty() && array(&report, "plan").is_empty());
    let report = json("solve --backend cpu --threads 1");
    assert_eq!(report["machine"]["threads"], 1);
    assert!(array(&report, "passes").is_empty());
    assert_eq!((array(&report, "direct").len(), array(&report, "plan").len()), (2, 2));
}

#[test]
fn one_arithmetic_and_number_type() {
    let report = json("passes --backend gpu --precision f32 --storage f16");
    assert_eq!(report["sample"]["storage"], "f16");
    let runs = array(&report, "passes").iter().filter(|run| run["place"] == "gpu");
    assert!(runs.map(|run| &run["precision"]).all(|precision| precision == "f32"));
}

#[test]
fn tables_for_people_are_narrow() {
    let finished = Folder::new(&[]).flowrake(&format!("{TINY} --backend gpu"));
    let text = finished.expect(0).stdout();
    for part in ["copy_shader", "origin_sums", "GPU f64", "collapsed", "equal", "Made in"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{text}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = Folder::new(&[]);
    let problem = folder.flowrake("bench --units 400 --movers 1000000").expect(2).stderr();
    assert!(problem.contains("movers: expected 1600 to 20000"), "{problem}");
    folder.flowrake("bench --units 400").expect(2);
    folder.flowrake("bench --backend gpu --adapter nonsuch").expect(3);
}
