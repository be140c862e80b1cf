//! Matrices larger than the memory given: the same bits from a scratch file, and clear words where
//! that cannot be.

mod common {
    pub mod cli;
}

use common::cli::Folder;
use flowrake::ipf::{Engine, Harmonized, Solver, solve_on};
use flowrake::matrix::{AnyFlowMatrix, Room, ValueType, file};
use flowrake::plan_file::LoadedPlan;
use flowrake::with_matrix;

/// The files of the region, with its seed stored as `seed` as well.
fn region(seed: &str) -> Folder {
    let folder = Folder::sample("region");
    if seed != "seed.npz" {
        folder.flowrake(&format!("convert seed.npz {seed} --units units.csv")).expect(0);
        let plan = folder.text("plan.toml").replace("seed.npz", seed);
        folder.write("plan.toml", plan);
    }
    folder
}

fn is_in_file(seed: &AnyFlowMatrix) -> bool {
    with_matrix!(seed, seed => seed.movers().is_in_file())
}

#[test]
fn a_scratch_file_changes_no_bit() {
    for name in ["seed.npz", "seed.parquet"] {
        let folder = region(name);
        let plan = folder.path("plan.toml");
        let scratch = Room::limited(1000, folder.path(""));
        let in_memory = LoadedPlan::read(&plan, &Room::UNLIMITED).unwrap();
        let in_file = LoadedPlan::read(&plan, &scratch).unwrap();
        assert_eq!((is_in_file(&in_memory.seed), is_in_file(&in_file.seed)), (false, true));
        assert!(in_memory.seed == in_file.seed, "{name}");
        let engines = [Engine::Cpu, Engine::CpuExact];
        let solvers = [Solver::Direct, Solver::Collapsed, Solver::Newton];
        for engine in &engines {
            for solver in solvers {
                let written = [&in_memory, &in_file].map(|loaded| {
                    let path = folder.path("out.npz");
                    let solution = with_matrix!(&loaded.seed, seed => {
                        let solution = solve_on(engine, seed, &loaded.problem, solver).unwrap();
                        let rows = Harmonized { seed, scaling: &solution.scaling };
                        file::write(&path, &rows, &loaded.geography, &[]).unwrap();
                        solution
                    });
                    (std::fs::read(&path).unwrap(), solution)
                });
                let [(bytes, a), (scratch_bytes, b)] = written;
                assert!(bytes == scratch_bytes, "{name}, {engine:?}, {solver}");
                assert_eq!((a.stop, a.iterations), (b.stop, b.iterations));
                assert_eq!(a.max_relative_violation(), b.max_relative_violation());
            }
        }
        let stored = |loaded: LoadedPlan, room| {
            let (seed, rounding) = loaded.seed.stored_as(ValueType::F16, room).unwrap();
            (is_in_file(&seed), seed, rounding)
        };
        let (a, b) = (stored(in_memory, &Room::UNLIMITED), stored(in_file, &scratch));
        assert_eq!((a.0, b.0), (false, true));
        assert!(a.1 == b.1 && a.2 == b.2);
        let left = std::fs::read_dir(folder.path("")).unwrap();
        let left = left.map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(left.into_iter().all(|name| !name.starts_with(".tmp")), "scratch files are gone");
    }
}

#[test]
fn what_needs_memory_is_refused_with_a_way_out() {
    for (name, expected) in [
        ("seed.csv", "expected .npz or .parquet, which can be read in little memory"),
        ("seed.mtx", "expected .npz or .parquet, which can be read in little memory"),
    ] {
        let folder = region(name);
        let room = Room::limited(1000, folder.path(""));
        let error = LoadedPlan::read(&folder.path("plan.toml"), &room).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
        assert!(error.ends_with("or allow more memory"), "{error}");
    }
    let folder = Folder::new(&[("units.csv", "geoid\na\nb\nc\n")]);
    let python = "\
import numpy as np, scipy.sparse as sp, pyarrow as pa, pyarrow.parquet as pq
m = sp.csr_matrix(np.array([[1.0, 2, 0], [0, 3, 4], [5, 0, 6]]))
sp.save_npz('deflated.npz', m)
sp.save_npz('csc.npz', m.tocsc(), compressed=False)
m.indices[:2] = m.indices[1::-1].copy()
m.data[:2] = m.data[1::-1].copy()
sp.save_npz('unsorted.npz', m, compressed=False)
pq.write_table(pa.table({'origin': ['b', 'a'], 'destination': ['a', 'b'], 'flow': [1.0, 2.0]}),
               'unsorted.parquet')
";
    let made = std::process::Command::new(common::cli::python())
        .current_dir(folder.path(""))
        .args(["-c", python])
        .status();
    assert!(made.unwrap().success());
    let units = flowrake::geography::Geography::read(&folder.path("units.csv")).unwrap();
    let room = Room::limited(8, folder.path(""));
    for (name, expected) in [
        ("deflated.npz", "expected an uncompressed member"),
        ("csc.npz", "found a matrix stored by columns"),
        ("unsorted.npz", "found a matrix stored with rows out of order"),
        ("unsorted.parquet", "expected rows sorted by origin and destination"),
    ] {
        let path = folder.path(name);
        let error = file::read_into(&path, Some(&units), &room).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
        file::read(&path, Some(&units)).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// Row groups that begin and end within origins, and one that is many batches long.
#[test]
fn row_groups_go_to_a_scratch_file_piece_by_piece() {
    let folder = Folder::new(&[("units.csv", "")]);
    let python = "\
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
codes = np.array([f'{k:05}' for k in range(300)])
open('units.csv', 'w').write('\\n'.join(['geoid', *codes]))
pairs = np.flatnonzero(np.arange(300 * 300) % 11)
table = pa.table({'origin': codes[pairs // 300], 'destination': codes[pairs % 300],
                  'flow': np.sqrt(pairs)})
for rows in [1, 299, 90000]:
    pq.write_table(table.slice(0, 500 * rows), f'{rows}.parquet', row_group_size=rows,
                   dictionary_pagesize_limit=1000)
";
    let made = std::process::Command::new(common::cli::python())
        .current_dir(folder.path(""))
        .args(["-c", python])
        .status();
    assert!(made.unwrap().success());
    let units = flowrake::geography::Geography::read(&folder.path("units.csv")).unwrap();
    for (name, nnz) in [("1.parquet", 499), ("299.parquet", 81_546), ("90000.parquet", 81_546)] {
        let path = folder.path(name);
        let (free, _) = file::read(&path, Some(&units)).unwrap();
        let room = Room::limited(8, folder.path(""));
        let (kept, _) = file::read_into(&path, Some(&units), &room).unwrap();
        assert_eq!((is_in_file(&free), is_in_file(&kept)), (false, true), "{name}");
        assert!(free == kept, "{name}");
        assert_eq!(with_matrix!(&kept, m => m.movers().nnz()), nnz, "{name}");
    }
}

/// A nation whose entries are more than half of the memory that a run of its size may have.
#[test]
fn the_binary_keeps_to_the_memory_given() {
    let folder = Folder::nation(12_000, &["2011"]);
    let report = |options: &str| -> serde_json::Value {
        let run = "harmonize plan-2011/plan.toml --json --storage f64 --backend cpu";
        let finished = folder.flowrake(&format!("{run} {options}"));
        serde_json::from_str(&finished.expect(0).stdout()).unwrap()
    };
    let free = report("--out free.npz");
    let entries = free["entries_bytes"].as_u64().unwrap();
    let needed = 64_000_000 + 600 * 12_000;
    assert!(entries > needed / 2, "{entries} bytes of entries are too few for this test");
    std::fs::create_dir(folder.path("2011")).unwrap();
    let kept = report(&format!("--out {{year}}/kept.npz --memory {needed}"));
    assert_eq!((&free["in_scratch_file"], &kept["in_scratch_file"]), (&false.into(), &true.into()));
    assert!(folder.read("free.npz") == folder.read("2011/kept.npz"));
    assert_eq!(free["iterations"], kept["iterations"]);
    // Where the system tells: less than allowed, and than it takes freely.
    if let Some(peak) = kept["peak_memory_bytes"].as_u64() {
        assert!(peak <= needed && peak < free["peak_memory_bytes"].as_u64().unwrap(), "{peak}");
    }
    assert_eq!(kept["peak_memory_bytes"].is_u64(), cfg!(target_os = "linux"));

    let few = needed - 1_000_000;
    let refused =
        folder.flowrake(&format!("harmonize plan-2011/plan.toml --out no.npz --memory {few}"));
    let text = refused.expect(2).stderr();
    assert!(
        text.contains("--memory: expected at least 72 MB for 12000 units, found 70 MB"),
        "{text}"
    );
    assert!(!folder.path("no.npz").exists());
    let text = folder.flowrake("harmonize plan-2011/plan.toml --memory lots").expect(2).stderr();
    assert!(text.contains("expected a size such as 800MB or 2GB, found `lots`"), "{text}");
}
