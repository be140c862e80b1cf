//! Several plans in one call.

mod common {
    pub mod cli;
}

use common::cli::{Finished, Folder};

/// Three years of a made-up nation, with a plan of each.
fn nation() -> Folder {
    Folder::nation(600, &["2011", "2012", "2013"])
}

const PLANS: [&str; 3] = ["plan-2011/plan.toml", "plan-2012/plan.toml", "plan-2013/plan.toml"];

fn harmonize(folder: &Folder, plans: &[&str], options: &str) -> Finished {
    folder.flowrake(&format!("harmonize {} {options}", plans.join(" ")))
}

fn refused(folder: &Folder, plans: &[&str], options: &str) -> String {
    harmonize(folder, plans, options).expect(2).stderr()
}

#[test]
fn years_in_one_call_are_those_of_a_call_each() {
    let folder = nation();
    let all = "--out all-{year}.npz --history all-{year}.csv --json";
    let stdout = harmonize(&folder, &PLANS, all).expect(0).stdout();
    let reports: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 3);
    for ((plan, report), year) in PLANS.iter().zip(&reports).zip(2011..) {
        assert_eq!((report["year"].as_i64(), &report["converged"]), (Some(year), &true.into()));
        assert_eq!(report["output"], format!("all-{year}.npz"));
        let (out, history) = (format!("one-{year}.npz"), format!("one-{year}.csv"));
        harmonize(&folder, &[plan], &format!("--out {out} --history {history}")).expect(0);
        assert!(folder.read(&out) == folder.read(&format!("all-{year}.npz")), "{year}");
        assert_eq!(folder.text(&history), folder.text(&format!("all-{year}.csv")));
        let manifest = folder.text(&format!("all-{year}.npz.manifest.json"));
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["inputs"][0]["path"], *plan);
    }

    // A year that does not converge is written and counts; the others are as they were.
    let plan = folder.text(PLANS[1]);
    folder.write(PLANS[1], plan.replace("max_iterations = 3000", "max_iterations = 1"));
    let again = harmonize(&folder, &PLANS, "--out again-{year}.npz --quiet");
    let of_year = "flowrake: again-2012.npz: not converged: iterations used up\n";
    assert_eq!(again.expect(1).stderr(), of_year);
    assert!(folder.read("again-2013.npz") == folder.read("all-2013.npz"));
    assert!(folder.read("again-2012.npz") != folder.read("all-2012.npz"));

    // A year that cannot be read ends the call; those before it are there.
    folder.write("plan-2012/county_in.csv", "geoid,target\nX,1\n");
    let error = refused(&folder, &PLANS, "--out cut-{year}.npz");
    assert!(error.contains("county_in.csv:2: column geoid"), "{error}");
    let there = ["2011", "2012", "2013"].map(|y| folder.path(&format!("cut-{y}.npz")).exists());
    assert_eq!(there, [true, false, false]);
}

#[test]
fn a_year_that_cannot_be_written_ends_the_call() {
    let folder = nation();
    // Where the manifest should go there is a folder.
    std::fs::create_dir(folder.path("cut-2012.npz.manifest.json")).unwrap();
    let error = refused(&folder, &PLANS, "--out cut-{year}.npz");
    assert!(error.contains("cut-2012.npz.manifest.json: "), "{error}");
    let there = ["2011", "2012", "2013"].map(|y| folder.path(&format!("cut-{y}.npz")).exists());
    assert_eq!(there, [true, false, false]);
    let names = std::fs::read_dir(folder.path(".")).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<_> = names.filter(|n| n.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn names_that_do_not_fit_several_years_are_refused_before_any_work() {
    let folder = nation();
    for (plans, options, expected) in [
        (&PLANS[..], "--out flows.npz", "--out: expected {year} in the name"),
        (
            &PLANS[..],
            "--out flows-{year}.npz --history h.csv",
            "--history: expected {year} in the name, since there are 3 plans, found h.csv",
        ),
        (
            &[PLANS[0], PLANS[0]][..],
            "--out flows-{year}.npz",
            "flows-2011.npz: is named twice as an output",
        ),
        (&[PLANS[0], "none.toml"][..], "--out flows-{year}.npz", "none.toml: No such file"),
        (&PLANS[..1], "--out none/flows-{year}.npz", "its folder does not exist"),
    ] {
        let error = refused(&folder, plans, options);
        assert!(error.contains(expected), "{error}");
    }
    let plan = folder.text(PLANS[1]).replace("year = 2012", "");
    folder.write("plan-2012/plan.toml", plan);
    let error = refused(&folder, &PLANS, "--out flows-{year}.npz");
    assert!(error.contains("plan-2012/plan.toml: expected a year in [seed]"), "{error}");
    // An output of one year is an input of a later one: nothing may be written before that is seen.
    folder.write("all-2011.npz", folder.read("nation/seed-2013.npz"));
    folder.edit(PLANS[2], "../nation/seed-2013.npz", "../all-2011.npz");
    let error = refused(&folder, &[PLANS[0], PLANS[2]], "--out all-{year}.npz");
    assert!(
        error.contains("all-2011.npz: is an input of this run, name another output"),
        "{error}"
    );
    assert!(folder.read("all-2011.npz") == folder.read("nation/seed-2013.npz"));
    folder.edit(PLANS[2], "../all-2011.npz", "../nation/seed-2013.npz");
    // With one plan, the year may stand in the name as well.
    harmonize(&folder, &PLANS[2..], "--out flows-{year}.npz").expect(0);
    assert!(folder.path("flows-2013.npz").exists());
}
