//! Yearly populations against scipy.

#[path = "common/cli.rs"]
mod cli;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use cli::Folder;
use flowrake::targets::{Source, YearlyPopulations};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Agreement relative to the largest number of a block group.
const TOLERANCE: f64 = 1e-8;

fn all() -> Vec<Source> {
    std::iter::once(Source::Census2010).chain((2010..=2019).map(Source::Acs5)).collect()
}

/// Tables of `areas` block groups: smooth and noisy ones, ones that push populations below 0,
/// empty, tiny and huge ones.
fn random_tables(years: &YearlyPopulations, areas: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(2009);
    let rows = years.matrix();
    let mut observed = Vec::with_capacity(areas * rows.len());
    for area in 0..areas {
        let scale = match area % 10 {
            0 => 1e-9,
            1 => 1e9,
            _ => 1500.0,
        };
        let noise = [0.0, 0.05, 0.5, 3.0][area % 4];
        let growth = rng.random_range(-0.3..0.3);
        let truth: Vec<f64> =
            (0..11).map(|t| scale * (1.0 + growth * f64::from(t)).max(0.0)).collect();
        for row in &rows {
            let mean: f64 = row.iter().zip(&truth).map(|(w, x)| w * x).sum();
            let y = mean + scale * noise * rng.random_range(-1.0..1.0);
            let empty = area % 50 == 7 || rng.random_bool(0.05);
            // Published tables have no negative numbers; a sixteenth of ours do.
            observed.push(if empty {
                0.0
            } else if area % 16 == 3 {
                y
            } else {
                y.max(0.0)
            });
        }
    }
    observed
}

fn scipy_nnls(rows: &[[f64; 11]], observed: &[f64]) -> Vec<f64> {
    let folder = Folder::new(&[]);
    let mut text = String::new();
    for row in rows.iter().map(|row| &row[..]).chain(observed.chunks(rows.len())) {
        let numbers: Vec<String> = row.iter().map(f64::to_string).collect();
        writeln!(text, "{}", numbers.join(" ")).unwrap();
    }
    folder.write("tables.txt", text);
    let program = format!(
        "import numpy, scipy.optimize\n\
         lines = open('tables.txt').read().splitlines()\n\
         read = lambda lines: numpy.array([[float(x) for x in line.split()] for line in lines])\n\
         B, Y = read(lines[:{0}]), read(lines[{0}:])\n\
         for y in Y: print(*(float(x).hex() for x in scipy.optimize.nnls(B, y, maxiter=1000)[0]))\n",
        rows.len()
    );
    let output = Command::new(cli::python())
        .current_dir(folder.path(""))
        .args(["-c", &program])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(from_hex).collect()
}

/// Reads Python's `0x1.8p+1`.
fn from_hex(text: &str) -> f64 {
    let (digits, exponent) = text.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let value = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap() as f64;
    value / 16_f64.powf(fraction.len() as f64) * 2_f64.powi(exponent.parse().unwrap())
}

fn compare(sources: &[Source], areas: usize) {
    let years = YearlyPopulations::new(sources).unwrap();
    assert_eq!(years.free(), 0);
    let observed = random_tables(&years, areas);
    let found = years.solve_all(&observed).unwrap();
    let expected = scipy_nnls(&years.matrix(), &observed);
    assert_eq!(expected.len(), 11 * areas);
    let (mut worst, mut active) = (0.0, 0);
    for ((x, scipy), y) in found.iter().zip(expected.chunks(11)).zip(observed.chunks(sources.len()))
    {
        let scale = y.iter().fold(f64::MIN_POSITIVE, |a, y| a.max(y.abs()));
        active += usize::from(x.contains(&0.0) && scale > 1e-100);
        for (a, b) in x.iter().zip(scipy) {
            assert!((a - b).abs() <= TOLERANCE * scale, "{y:?}\n{x:?}\n{scipy:?}");
            worst = f64::max(worst, (a - b).abs() / scale);
        }
    }
    eprintln!("{areas} areas, {active} with a year at 0, largest difference {worst:e}");
    assert!(active > areas / 20, "{active} of {areas}");
}

#[test]
fn ten_thousand_block_groups_as_scipy_solves_them() {
    compare(&all(), 10_000);
}

/// One unknown more at 0 on average, and weights that no other table repeats.
#[test]
fn another_order_of_tables() {
    let mut sources = all();
    sources.reverse();
    compare(&sources, 300);
}

/// With every table but a few the answer meets what it can of the tables exactly, and of all such
/// answers is the flattest: scipy's minimizer finds no flatter one.
#[test]
fn underdetermined_profiles_are_the_flattest() {
    let sources = [Source::Census2010, Source::Acs5(2012), Source::Acs5(2014), Source::Acs5(2016)];
    let years = YearlyPopulations::new(&sources).unwrap();
    assert_eq!(years.free(), 7);
    let rows = years.matrix();
    let flatness = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / 11.0;
        x.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..200 {
        let truth: Vec<f64> =
            (0..11).map(|_| 1000.0 * rng.random_range(-1.0..1.0_f64).max(0.0)).collect();
        let y: Vec<f64> =
            rows.iter().map(|row| row.iter().zip(&truth).map(|(w, x)| w * x).sum()).collect();
        let x = years.solve(&y).unwrap();
        assert!(x.iter().all(|&x| x >= 0.0));
        for (row, y) in rows.iter().zip(&y) {
            let fitted: f64 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
            assert!((fitted - y).abs() < 1e-4, "{fitted} {y}");
        }
        assert!(flatness(&x) <= flatness(&truth) * (1.0 + 1e-6), "{x:?} {truth:?}");
        // No step within the constraints makes it flatter: toward the truth it gets worse.
        for step in [1e-3, 0.1] {
            let moved: Vec<f64> = x.iter().zip(&truth).map(|(x, t)| x + step * (t - x)).collect();
            assert!(flatness(&moved) >= flatness(&x) * (1.0 - 1e-6), "{x:?} {moved:?}");
        }
    }
}

/// All block groups of the country; the time is shown, not judged: tests are not optimized alike.
#[test]
fn the_whole_country() {
    let years = YearlyPopulations::new(&all()).unwrap();
    let observed = random_tables(&years, 217_740);
    let start = Instant::now();
    let found = years.solve_all(&observed).unwrap();
    eprintln!("217,740 block groups in {:?}", start.elapsed());
    assert_eq!(found.len(), 217_740);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| years.solve_all(&observed)).unwrap(), found);
}
