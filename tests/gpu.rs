//! `flowrake harmonize` on a graphics device: the same matrix as on the CPU, byte for byte in exact
//! sums. Without a device these tests fail; ./test installs a software one.

#[path = "common/cli.rs"]
mod cli;
mod common;

use std::fmt::Write as _;

use cli::{Finished, Folder, assert_same_flows};
use common::{device, engine_name, rng};
use flowrake::geography::Geography;
use flowrake::gpu::Feature;
use flowrake::ipf::{Cpu, Engine, Entries, Groups, Margin, Precision, Scaling, Solver, solve_on};
use flowrake::matrix::{Csr, FlowMatrix, FlowRows, file};
use flowrake::with_matrix;
use rand::RngExt;
use serde_json::Value;

const NO_DRIVERS: [(&str, &str); 2] =
    [("VK_DRIVER_FILES", "/nonexistent.json"), ("VK_ICD_FILENAMES", "/nonexistent.json")];

#[track_caller]
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout())
        .unwrap_or_else(|e| panic!("{e}: {} {}", finished.stdout(), finished.stderr()))
}

/// Largest relative difference between entries of two files of one structure.
fn difference(folder: &Folder, units: &Geography, found: &str, expected: &str) -> f64 {
    let read = |name: &str| file::read(&folder.path(name), Some(units)).unwrap().0;
    let (found, expected) = (read(found), read(expected));
    let mut worst = 0.0_f64;
    with_matrix!(&found, found => with_matrix!(&expected, expected => {
        let [mut a_columns, mut b_columns] = [Vec::new(), Vec::new()];
        let [mut a, mut b] = [Vec::new(), Vec::new()];
        for i in 0..units.len() {
            found.row(i, &mut a_columns, &mut a);
            expected.row(i, &mut b_columns, &mut b);
            assert_eq!(a_columns, b_columns, "row {i}");
            for (a, b) in a.iter().zip(&b) {
                assert!(a.is_finite() && b.is_finite(), "row {i}: {a} {b}");
                worst = worst.max((a - b).abs() / a.abs().max(b.abs()).max(f64::MIN_POSITIVE));
            }
        }
    }));
    worst
}

/// Runs a plan with the same solver on the CPU and a device, and compares everything written.
fn compare(folder: &Folder, units: &Geography, solver: &str, code: i32) {
    let run = |name: &str, args: &str| {
        let outputs = format!("--out {name}.npz --factors {name}-factors.npz --history {name}.csv");
        let run = folder.harmonize(&format!("--solver {solver} {outputs} --json {args}"));
        run.expect(code);
        json(&run)
    };
    run("cpu", "--backend cpu");
    run("twin", "--backend cpu --precision exact");
    let exact = run("exact", "--backend gpu");
    assert_eq!((&exact["backend"], &exact["precision"]), (&"gpu".into(), &"exact".into()));
    for end in [".npz", "-factors.npz", ".csv"] {
        let [gpu, twin] = ["exact", "twin"].map(|name| folder.read(&format!("{name}{end}")));
        assert!(gpu == twin, "{solver}: exact{end} differs from that of the CPU");
    }
    let off = difference(folder, units, "exact.npz", "cpu.npz");
    assert!(off <= 1e-10, "{solver}, exact: {off:e}");
    let f64 = run("f64", "--backend gpu --precision f64");
    assert_eq!(f64["precision"], "f64");
    let off = difference(folder, units, "f64.npz", "cpu.npz");
    assert!(off <= 1e-12, "{solver}, f64: {off:e}");
}

#[test]
fn the_sample_region_is_the_same_everywhere() {
    let folder = Folder::sample("region");
    let units = Geography::read(&folder.path("units.csv")).unwrap();
    for solver in ["direct", "collapsed", "newton"] {
        compare(&folder, &units, solver, 0);
    }
}

#[test]
fn every_way_of_a_device_gives_the_same_bytes() {
    let folder = Folder::sample("region");
    // Software without subgroups is slow, and bits that differ do so from the first sum on.
    folder.edit("plan.toml", "max_iterations = 3000", "max_iterations = 10");
    let run = |env: &[(&str, &str)], args: &str, out: &str| {
        let args = format!("harmonize plan.toml --solver direct --quiet --out {out} {args}");
        folder.flowrake_with(env, &args).expect(1);
        folder.read(out)
    };
    let expected = run(&[], "--backend cpu --precision exact", "twin.npz");
    for without in ["", "int64", "subgroups", "int64,subgroups,f64"] {
        let env = [("FLOWRAKE_GPU_WITHOUT", without)];
        assert!(run(&env, "--backend gpu", "gpu.npz") == expected, "without {without}");
    }
}

/// A random matrix of a million entries, with scattered groups and margins that another matrix with
/// the same zeros has.
fn million(folder: &Folder) -> Geography {
    let (n, each, groups) = (4000_usize, 250, 60);
    let mut rng = rng(7);
    let (mut row_ptr, mut col_idx, mut values) = (vec![0_u64], Vec::new(), Vec::<f64>::new());
    for _ in 0..n {
        let mut columns: Vec<u32> = (0..each).map(|_| rng.random_range(0..n as u32)).collect();
        columns.sort_unstable();
        columns.dedup();
        values.extend(columns.iter().map(|_| rng.random_range(-4.0..4.0_f64).exp()));
        col_idx.extend(columns);
        row_ptr.push(col_idx.len() as u64);
    }
    let truth: Vec<f64> = values.iter().map(|v| v * rng.random_range(0.5..2.0)).collect();
    let group = |i: usize| i * 7919 % groups;
    let [mut arrivals, mut departures] = [vec![0.0; n], vec![0.0; n]];
    for i in 0..n {
        for k in row_ptr[i] as usize..row_ptr[i + 1] as usize {
            departures[i] += truth[k];
            arrivals[col_idx[k] as usize] += truth[k];
        }
    }
    for (sums, name) in [(arrivals, "in"), (departures, "out")] {
        let mut grouped = vec![0.0; groups];
        sums.iter().enumerate().for_each(|(i, s)| grouped[group(i)] += s);
        for (sums, what) in [(&sums, "unit"), (&grouped, "group")] {
            let mut table = "geoid,target\n".to_owned();
            for (k, sum) in sums.iter().enumerate() {
                writeln!(table, "{k:04},{sum:e}").unwrap();
            }
            folder.write(&format!("{what}_{name}.csv"), table);
        }
    }
    let mut units = "geoid,group\n".to_owned();
    for i in 0..n {
        writeln!(units, "{i:04},{:04}", group(i)).unwrap();
    }
    folder.write("units.csv", units);
    let units = Geography::read(&folder.path("units.csv")).unwrap();
    let seed = FlowMatrix::from_csr(Csr::new(n, row_ptr, col_idx, values));
    file::write(&folder.path("seed.npz"), &seed, &units, &[]).unwrap();
    units
}

/// A plan that fits units once and then two margins of one level.
fn plan(level: &str, what: &str, iterations: u32) -> String {
    format!(
        "[seed]\nmatrix = \"seed.npz\"\nunits = \"units.csv\"\nstayer_floor = 0\n\
         [[step]]\nmargin = \"origin\"\nlevel = \"geoid\"\ntargets = \"unit_out.csv\"\n\
         [[repeat]]\nmax_iterations = {iterations}\ntolerance = 1e-10\n\
         [[repeat.step]]\nmargin = \"destination\"\nlevel = \"{level}\"\n\
         targets = \"{what}_in.csv\"\n\
         [[repeat.step]]\nmargin = \"origin\"\nlevel = \"{level}\"\n\
         targets = \"{what}_out.csv\"\n"
    )
}

#[test]
fn a_million_entries_are_the_same_everywhere() {
    let folder = Folder::new(&[]);
    let units = million(&folder);
    folder.write("plan.toml", plan("group", "group", 100));
    for solver in ["direct", "collapsed"] {
        compare(&folder, &units, solver, 0);
    }
    // Not converged: the iterations themselves are the same.
    folder.write("plan.toml", plan("geoid", "unit", 4));
    compare(&folder, &units, "direct", 1);
}

/// A seed whose rows and columns differ by many powers of ten, and a group with a block margin, so
/// that factors range widely and classes with them.
#[test]
fn wide_factors_and_blocks_in_a_group_are_the_same_everywhere() {
    let folder = Folder::new(&[]);
    let (n, mut rng) = (40_u32, rng(3));
    let scale: Vec<f64> = (0..n).map(|_| 10_f64.powf(rng.random_range(-12.0..12.0))).collect();
    let mut seed = "origin,destination,flow\n".to_owned();
    let [mut into, mut out, mut blocks] = [vec![0.0; 8], vec![0.0; 5], vec![0.0; 9]];
    for i in 0..n {
        for j in 0..n {
            let truth: f64 = rng.random_range(0.1..10.0);
            let (a, b) = (i as usize, j as usize);
            writeln!(seed, "{i:02},{j:02},{:e}", truth * scale[a] / scale[n as usize - 1 - b])
                .unwrap();
            into[b % 8] += truth;
            out[a % 5] += truth;
            blocks[a % 3 * 3 + b % 3] += truth;
        }
    }
    folder.write("seed.csv", seed);
    let mut units = "geoid,in,out,block\n".to_owned();
    for i in 0..n {
        writeln!(units, "{i:02},a{},b{},c{}", i % 8, i % 5, i % 3).unwrap();
    }
    folder.write("units.csv", units);
    let table = |name: &str, letter: &str, sums: &[f64]| {
        let lines = sums.iter().enumerate().map(|(k, s)| format!("{letter}{k},{s:e}\n"));
        folder.write(name, format!("geoid,target\n{}", lines.collect::<String>()));
    };
    table("in.csv", "a", &into);
    table("out.csv", "b", &out);
    let lines = blocks.iter().enumerate().map(|(k, s)| format!("c{},c{},{s:e}\n", k / 3, k % 3));
    folder.write("blocks.csv", format!("origin,destination,target\n{}", lines.collect::<String>()));
    let step = |margin: &str, level: &str, targets: &str| {
        format!(
            "[[repeat.step]]\nmargin = \"{margin}\"\nlevel = \"{level}\"\ntargets = \"{targets}\"\n"
        )
    };
    folder.write(
        "plan.toml",
        format!(
            "[seed]\nmatrix = \"seed.csv\"\nunits = \"units.csv\"\nstayer_floor = 0\n\
             [[repeat]]\nmax_iterations = 12\ntolerance = 1e-13\n{}{}{}",
            step("destination", "in", "in.csv"),
            step("block", "block", "blocks.csv"),
            step("origin", "out", "out.csv"),
        ),
    );
    let units = Geography::read(&folder.path("units.csv")).unwrap();
    for solver in ["direct", "collapsed"] {
        compare(&folder, &units, solver, 1);
        let change = |name: &str| {
            let text = folder.text(&format!("{name}.npz.manifest.json"));
            let manifest: Value = serde_json::from_str(&text).unwrap();
            let found = manifest.pointer("/report/l1_change").and_then(Value::as_f64);
            found.unwrap_or_else(|| panic!("no l1_change in {text}"))
        };
        let [cpu, exact] = ["cpu", "exact"].map(change);
        assert!((cpu - exact).abs() <= 1e-9 * cpu, "{solver}: {cpu:e} {exact:e}");
    }
}

#[test]
fn a_small_memory_streams_to_the_same_bytes() {
    let folder = Folder::new(&[]);
    million(&folder);
    folder.write("plan.toml", plan("geoid", "unit", 2));
    let run = |args: &str, out: &str| {
        let args = format!("--solver direct --backend gpu --quiet --out {out} {args}");
        folder.harmonize(&args).expect(1);
        folder.read(out)
    };
    // A mebibyte is much less than the 12 MB of either direction.
    assert!(run("", "all.npz") == run("--device-memory 1", "streamed.npz"));
}

#[test]
fn halves_are_a_seed_like_any_other() {
    let folder = Folder::sample("region");
    for backend in ["--backend cpu", "--backend gpu"] {
        let report = folder.harmonize_json(&format!("{backend} --storage f16 --out f16.npz"), 0);
        assert_eq!((&report["storage"], &report["converged"]), (&"f16".into(), &true.into()));
        let rounding = report["storage_rounding"]["largest_relative"].as_f64().unwrap();
        assert!(rounding > 0.0 && rounding <= 2.0_f64.powi(-11), "{rounding:e}");
        assert!(report["max_relative_violation"].as_f64().unwrap() <= 1e-9);
    }
    let wide = folder.harmonize("--out f64.npz --storage f64 --quiet");
    wide.expect(0);
    folder.harmonize("--out own.npz --quiet").expect(0);
    assert_same_flows(&folder.flows("f64.npz"), &folder.flows("own.npz"), 0.0);
}

#[test]
fn single_precision_says_what_it_is_worth() {
    let folder = Folder::sample("region");
    let loose = folder.text("plan.toml").replace("tolerance = 1e-9", "tolerance = 1e-4");
    folder.write("plan.toml", loose);
    let report = folder.harmonize_json("--backend gpu --precision f32 --out f32.npz", 0);
    let bound = report["sum_error_bound"].as_f64().unwrap();
    assert!(bound > 1e-7 && bound < 1e-4, "{bound:e}");
    let told = folder.harmonize("--backend gpu --precision f32 --out f32.npz");
    assert!(told.expect(0).stderr().contains("sums in f32: each may be off by"));
}

#[test]
fn without_a_device_gpu_ends_with_3_and_auto_goes_on() {
    let folder = Folder::sample("toy");
    folder.write("harmonized.npz", "earlier output");
    let before = folder.files();
    let run = folder.flowrake_with(&NO_DRIVERS, "harmonize plan.toml --backend gpu");
    let told = run.expect(3).stderr();
    assert!(told.starts_with("flowrake: error: ") && told.lines().count() == 1, "{told}");
    let run = folder.harmonize("--backend gpu --adapter no-such-card");
    let told = run.expect(3).stderr();
    assert!(told.contains("no-such-card") && told.lines().count() == 1, "{told}");
    assert!(folder.files() == before, "files have changed");

    let run = folder.flowrake_with(&NO_DRIVERS, "harmonize plan.toml --backend auto --json");
    assert_eq!(json(run.expect(0))["backend"], "cpu");
    // Software is never taken unasked.
    let run = folder.harmonize("--json");
    assert_eq!(json(run.expect(0))["backend"], "cpu");
    let run = folder.harmonize("--backend cpu --precision f32");
    assert!(run.expect(2).stderr().contains("--precision f32 is for graphics devices"));
}

/// Bytes of a binding in lavapipe, and a common limit elsewhere.
const BINDING_BYTES: usize = 128 << 20;

#[test]
fn twenty_million_entries_exceed_a_binding() {
    let (n, each) = (20_480_usize, 1000);
    let row_ptr = (0..=n).map(|i| (i * each) as u64).collect();
    // A stride of 20 with the diagonal left out.
    let columns = (0..n).flat_map(|i| (0..each).map(move |k| ((i + 1 + 20 * k) % n) as u32));
    let mut col_idx: Vec<u32> = columns.collect();
    col_idx.chunks_mut(each).for_each(<[u32]>::sort_unstable);
    let values: Vec<f64> = (0..n * each).map(|k| 1.0 + (k % 1009) as f64 / 7.0).collect();
    assert!(values.len() >= 20_000_000 && 8 * values.len() > BINDING_BYTES);
    let movers = Csr::new(n, row_ptr, col_idx, values);
    let seed = FlowMatrix::new(vec![1.0; n], movers);

    let cpu = Cpu::new(&seed);
    let units = common::identity(n);
    let constraint = |name: &str, groups: Groups, factor: &dyn Fn(usize) -> f64| {
        let margin = Margin { groups: groups.clone(), entries: Entries::All };
        let sums = cpu.cell_sums(&margin, &Scaling::identity(n));
        let targets = sums.iter().enumerate().map(|(i, s)| s * factor(i)).collect();
        common::constraint(name, groups, Entries::All, targets)
    };
    let once = vec![
        constraint("rows", Groups::Origin(units.clone()), &|i| 1.0 + (i % 13) as f64 / 13.0),
        constraint("columns", Groups::Destination(units), &|i| 1.0 + (i % 17) as f64 / 17.0),
    ];
    let plan = common::problem(n, once, vec![]);
    let solve = |engine: Engine| {
        solve_on(&engine, &seed, &plan, Solver::Direct)
            .unwrap_or_else(|e| panic!("{}: {e}", engine_name(&engine)))
            .scaling
    };
    let expected = solve(Engine::CpuExact);
    let without_int64 = device(&[Feature::Int64]);
    for engine in
        [Engine::Gpu(device(&[]), Precision::Exact), Engine::Gpu(without_int64, Precision::Exact)]
    {
        let found = solve(engine);
        assert!(found.origin == expected.origin && found.destination == expected.destination);
    }
}
