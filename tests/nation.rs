//! A generated nation through the binary, from its tables back towards its truth.

#[path = "common/cli.rs"]
mod cli;
#[path = "common/closeness.rs"]
mod closeness;

use cli::{Folder, official};
use closeness::before_and_after;
use serde_json::Value;

/// Targets of a year of `nation/`, generated for 2011 to `last`, into `plan-<year>/`.
fn targets(folder: &Folder, year: u16, last: u16, seed: &str) -> cli::Finished {
    let surveys: Vec<String> = (2011..=year)
        .map(|y| format!(" --acs5 {y}=nation/acs5_{}-{y}_bg_total_population.csv", y - 4))
        .collect();
    folder.flowrake(&format!(
        "targets --year {year} --counties nation/co-est{last}-alldata.csv --state-flows \
         nation/state_to_state_migrations_table_{year}.xlsx --census \
         nation/CenPop2010_Mean_BG.txt{} --seed ../nation/{seed}.npz --out plan-{year} --json",
        surveys.concat()
    ))
}

/// Harmonizes a year with both solvers, which must converge.
#[track_caller]
fn harmonize(folder: &Folder, year: u16) {
    for (solver, out) in [("newton", "newton.npz"), ("auto", "auto.npz")] {
        let finished = folder.flowrake(&format!(
            "harmonize plan-{year}/plan.toml --solver {solver} --out {out} --backend cpu --json"
        ));
        finished.expect(0);
        let report: Value = serde_json::from_str(&finished.stdout()).unwrap();
        assert_eq!(report["converged"], true, "{report}");
        let violation = report["max_relative_violation"].as_f64().unwrap();
        assert!(violation <= 1e-9, "{solver} {year}: {violation}");
    }
}

#[test]
fn a_made_up_nation_is_brought_back_towards_its_truth() {
    let folder = Folder::new(&[]);
    folder.flowrake("synth nation nation --block-groups 900 --years 2011-2012").expect(0);
    for year in [2011, 2012] {
        targets(&folder, year, 2012, &format!("seed-{year}")).expect(0);
        harmonize(&folder, year);
        let [before, after] = before_and_after(
            &folder,
            &format!("nation/truth-{year}.npz"),
            &format!("nation/seed-{year}.npz"),
            "newton.npz",
        );
        eprintln!("{year}: {before:?} before, {after:?} after");
        // Populations of 2011 follow from the count of 2010 and two samples, which are met exactly
        // with all of their sampling error.
        let first = usize::from(year == 2012);
        for quantity in first..3 {
            let (before, after) = (before[quantity], after[quantity]);
            assert!(after < 0.8 * before, "{year}, {quantity}: {after} after, {before} before");
        }
    }
}

#[test]
fn the_places_of_a_nation_make_the_same_nation_at_any_thread_count() {
    let folder = Folder::new(&[]);
    let synth = |threads, options: &str| {
        let command = format!("synth nation {options} --seed 5");
        folder.flowrake_with(&[("RAYON_NUM_THREADS", threads)], &command).expect(0);
    };
    synth("1", "nation --block-groups 900");
    synth("2", "again --places nation/CenPop2010_Mean_BG.txt");
    let names: Vec<String> = std::fs::read_dir(folder.path("nation"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        let [first, second] =
            ["nation", "again"].map(|made| folder.read(&format!("{made}/{name}")));
        assert!(first == second, "{name} differs");
    }
    let refused = folder.flowrake("synth nation nation --places nation/CenPop2010_Mean_BG.txt");
    refused.expect(2);
    assert!(refused.stderr().contains("is an input of this run"), "{}", refused.stderr());
}

#[test]
fn a_nation_of_few_states_is_one_and_a_cut_table_is_not() {
    let folder = Folder::new(&[]);
    folder.flowrake("synth nation nation --block-groups 100").expect(0);
    let finished = targets(&folder, 2011, 2011, "seed");
    finished.expect(0);
    let report: Value = serde_json::from_str(&finished.stdout()).unwrap();
    assert_eq!((&report["units"], &report["counties"]), (&100.into(), &4.into()));
    assert_eq!(folder.text("plan-2011/state_flows.csv").lines().count(), 5);
    let mismatches = folder.text("plan-2011/mismatches.csv");
    let lines = mismatches.lines();
    let before = lines.filter(|line| line.contains("population of the year before,flows between"));
    assert_eq!(before.count(), 3, "{mismatches}");

    let estimates = folder.text("nation/co-est2011-alldata.csv");
    let cut: Vec<&str> = estimates.lines().filter(|line| !line.contains(",01,")).collect();
    folder.write("nation/co-est2011-alldata.csv", cut.join("\n") + "\n");
    let refused = targets(&folder, 2011, 2011, "seed");
    refused.expect(2);
    let expected = "nation/co-est2011-alldata.csv: expected counties of all states in the \
                    state-to-state flows, found none of 01";
    assert!(refused.stderr().contains(expected), "{}", refused.stderr());

    folder.write("nation/co-est2011-alldata.csv", &estimates);
    let centers = folder.text("nation/CenPop2010_Mean_BG.txt");
    let (cut, _) = centers.trim_end().rsplit_once('\n').unwrap();
    folder.write("nation/CenPop2010_Mean_BG.txt", cut);
    let refused = targets(&folder, 2011, 2011, "seed");
    refused.expect(2);
    let expected = "from which the estimates of --counties start in 2010, found ";
    assert!(refused.stderr().contains(expected), "{}", refused.stderr());
}

#[test]
fn a_sample_of_real_places_is_met_everywhere() {
    let Some(data) = official("a sample of the nation") else { return };
    let folder = Folder::new(&[]);
    std::fs::copy(data.join("census/CenPop2010_Mean_BG.txt"), folder.path("places.txt")).unwrap();
    folder.flowrake("synth nation nation --places places.txt --sample 0.05").expect(0);
    targets(&folder, 2011, 2011, "seed").expect(0);
    harmonize(&folder, 2011);
    let [before, after] =
        before_and_after(&folder, "nation/truth.npz", "nation/seed.npz", "newton.npz");
    eprintln!("{before:?} before, {after:?} after");
    for (before, after) in before.iter().zip(after) {
        assert!(after < 0.8 * before, "{after} after, {before} before");
    }
}
