use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const INF: f64 = f64::INFINITY;

/// Edges by left cell, with the targets of both sides.
#[derive(Clone, Debug)]
struct Case {
    left: Vec<f64>,
    right: Vec<f64>,
    row_ptr: Vec<u64>,
    col_idx: Vec<u32>,
}

impl Case {
    fn new(left: Vec<f64>, right: Vec<f64>, edges: &[Vec<u32>]) -> Self {
        let mut row_ptr = vec![0];
        for row in edges {
            row_ptr.push(row_ptr[row_ptr.len() - 1] + row.len() as u64);
        }
        Self { left, right, row_ptr, col_idx: edges.concat() }
    }

    /// Targets that the support can carry: the margins of `flow(p, q)` on the edges.
    fn feasible(cells: usize, edges: &[Vec<u32>], mut flow: impl FnMut(usize, u32) -> f64) -> Self {
        let (mut left, mut right) = (vec![0.0; cells], vec![0.0; cells]);
        for (p, row) in edges.iter().enumerate() {
            for &q in row {
                let x = flow(p, q);
                left[p] += x;
                right[q as usize] += x;
            }
        }
        Self::new(left, right, edges)
    }

    fn graph(&self) -> Bipartite<'_> {
        Bipartite {
            left: &self.left,
            right: &self.right,
            row_ptr: &self.row_ptr,
            col_idx: &self.col_idx,
        }
    }

    fn swapped(&self) -> Self {
        let (row_ptr, col_idx) = self.graph().transposed_edges();
        Self { left: self.right.clone(), right: self.left.clone(), row_ptr, col_idx }
    }

    fn neighborhood(&self, left: &[u32]) -> Vec<u32> {
        let mut cells: Vec<u32> =
            left.iter().flat_map(|&p| self.graph().neighbors(p)).copied().collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    /// The answer is a set of the kind promised, whatever the method found.
    fn verify(&self, found: &Deficit) {
        assert!(found.left.is_sorted_by(|a, b| a < b), "{found:?}");
        assert_eq!(found.right, self.neighborhood(&found.left));
        assert_eq!(found.needed, sum(&self.left, &found.left));
        assert_eq!(found.available, sum(&self.right, &found.right));
        assert!(found.needed > found.available, "{found:?}");
        assert_eq!(self.components(&found.left).len(), 1, "{found:?} is not connected");
    }

    /// Connected components that `left` and its neighbors form, by merging sets that meet.
    fn components(&self, left: &[u32]) -> Vec<Vec<u32>> {
        let mut parts: Vec<(Vec<u32>, Vec<u32>)> = Vec::new();
        for &p in left {
            let near = self.neighborhood(&[p]);
            let (meet, apart): (Vec<_>, Vec<_>) =
                parts.into_iter().partition(|part| part.1.iter().any(|q| near.contains(q)));
            parts = apart;
            let mut cells: Vec<u32> = meet.into_iter().flat_map(|part| part.0).collect();
            cells.push(p);
            cells.sort_unstable();
            let near = self.neighborhood(&cells);
            parts.push((cells, near));
        }
        parts.into_iter().map(|part| part.0).collect()
    }

    fn deficit(&self, left: &[u32]) -> f64 {
        sum(&self.left, left) - sum(&self.right, &self.neighborhood(left))
    }
}

fn sum(targets: &[f64], cells: &[u32]) -> f64 {
    cells.iter().map(|&c| targets[c as usize]).sum()
}

fn deficit(left: &[u32], right: &[u32], needed: f64, available: f64) -> Deficit {
    Deficit { left: left.to_vec(), right: right.to_vec(), needed, available }
}

#[test]
fn one_cell_asks_too_much() {
    // 0 - {0, 1}, 1 - {1, 2}, 2 - {2}; totals agree.
    let case =
        Case::new(vec![9.0, 1.0, 2.0], vec![3.0, 4.0, 5.0], &[vec![0, 1], vec![1, 2], vec![2]]);
    assert_eq!(left_deficit(&case.graph(), 0.0), Some(deficit(&[0], &[0, 1], 9.0, 7.0)));
    // The same shortage seen from the right: cell 2 can be reached by 1 + 2 persons only.
    assert_eq!(right_deficit(&case.graph(), 0.0), Some(deficit(&[1, 2], &[2], 5.0, 3.0)));
}

#[test]
fn a_path_through_every_cell_is_found() {
    // Left p takes right p; then the last one finds right 0 taken, and everyone has to move up.
    let n = 50_000;
    let mut edges: Vec<Vec<u32>> = (0..n).map(|p| vec![p, p + 1]).collect();
    edges.push(vec![0, n + 1]);
    let mut right = vec![1.0; n as usize + 2];
    right[n as usize + 1] = 0.0;
    let mut case = Case::new(vec![1.0; n as usize + 1], right, &edges);
    assert_eq!(left_deficit(&case.graph(), 0.0), None);
    case.right[n as usize] = 0.0;
    let everyone: Vec<u32> = (0..n + 2).collect();
    let expected = deficit(&everyone[..=n as usize], &everyone, f64::from(n + 1), f64::from(n));
    assert_eq!(left_deficit(&case.graph(), 0.0), Some(expected));
}

#[test]
fn no_support_and_no_room() {
    let case = Case::new(vec![4.0, 0.0, 3.0], vec![0.0, 9.0], &[vec![], vec![], vec![0]]);
    assert_eq!(left_deficit(&case.graph(), 0.0), Some(deficit(&[0], &[], 4.0, 0.0)));
    assert_eq!(right_deficit(&case.graph(), 0.0), Some(deficit(&[], &[1], 9.0, 0.0)));
    let case = Case::new(vec![4.0, 3.0], vec![0.0, 9.0], &[vec![1], vec![0]]);
    assert_eq!(left_deficit(&case.graph(), 0.0), Some(deficit(&[1], &[0], 3.0, 0.0)));
}

#[test]
fn the_worst_of_separate_shortages_without_bystanders() {
    // {0} lacks 1; {1, 2} lack 5 and share right 1; 3 shares right 1 too but can go to right 2.
    let case = Case::new(
        vec![3.0, 4.0, 4.0, 6.0],
        vec![2.0, 3.0, 50.0],
        &[vec![0], vec![1], vec![1], vec![1, 2]],
    );
    let found = left_deficit(&case.graph(), 0.0).unwrap();
    assert_eq!(found, deficit(&[1, 2], &[1], 8.0, 3.0));
    case.verify(&found);
}

#[test]
fn infinite_targets_take_all_and_ask_nothing() {
    let mut case =
        Case::new(vec![9.0, INF, 2.0], vec![3.0, INF, 1.0], &[vec![0, 1], vec![0, 1, 2], vec![2]]);
    assert_eq!(left_deficit(&case.graph(), 0.0), Some(deficit(&[2], &[2], 2.0, 1.0)));
    assert_eq!(right_deficit(&case.graph(), 0.0), None);
    case.left[2] = 1.0;
    assert_eq!(left_deficit(&case.graph(), 0.0), None);
}

#[test]
fn empty_graphs_are_served() {
    let nothing = Case::new(vec![], vec![], &[]);
    assert_eq!(left_deficit(&nothing.graph(), 0.0), None);
    let no_targets = Case::new(vec![0.0, 0.0], vec![0.0], &[vec![], vec![0]]);
    assert_eq!(left_deficit(&no_targets.graph(), 0.0), None);
    assert_eq!(right_deficit(&no_targets.graph(), 0.0), None);
}

#[test]
fn shortages_below_the_tolerance_are_rounding() {
    // 1e9 persons in all, 0.5 too many for right 0.
    let case = Case::new(vec![1000.5, 1e9], vec![1000.0, 2e9], &[vec![0], vec![1]]);
    assert_eq!(left_deficit(&case.graph(), 1e-9), None);
    let found = left_deficit(&case.graph(), 1e-10).unwrap();
    assert_eq!(found, deficit(&[0], &[0], 1000.5, 1000.0));
}

#[test]
fn cells_that_add_only_rounding_are_left_out() {
    // Left 0 lacks 5 and holds right 0; left 1 has right 0 too, and 1e-9 more than right 1 offers.
    let case = Case::new(vec![15.0, 20.0 + 1e-9], vec![10.0, 20.0], &[vec![0], vec![0, 1]]);
    let exact = left_deficit(&case.graph(), 0.0).unwrap();
    assert_eq!(exact.left, [0, 1]);
    assert_eq!(left_deficit(&case.graph(), 1e-9), Some(deficit(&[0], &[0], 15.0, 10.0)));
}

#[test]
#[should_panic(expected = "a target is -1")]
fn negative_targets_are_refused() {
    let case = Case::new(vec![-1.0], vec![1.0], &[vec![0]]);
    left_deficit(&case.graph(), 0.0);
}

/// Whole-number targets (some infinite) and edges, up to 8 x 8.
fn small_case() -> impl Strategy<Value = Case> {
    (1_usize..=8, 1_usize..=8).prop_flat_map(|(lefts, rights)| {
        let target = || prop_oneof![8 => (0..20_u32).prop_map(f64::from), 1 => Just(INF)];
        (
            prop::collection::vec(target(), lefts),
            prop::collection::vec(target(), rights),
            prop::collection::vec(0..1_u32 << rights, lefts),
            // Thins the edges out; otherwise most cases would be served.
            0..1_u32 << rights,
        )
            .prop_map(move |(left, right, rows, mask)| {
                let edges: Vec<Vec<u32>> = rows
                    .iter()
                    .map(|row| (0..rights as u32).filter(|q| row & mask >> q & 1 == 1).collect())
                    .collect();
                Case::new(left, right, &edges)
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Against all subsets: the smallest set with the largest deficit is the intersection of all
    /// sets with the largest deficit; the answer is its worst component.
    #[test]
    fn agrees_with_all_subsets(case in small_case()) {
        for case in [case.clone(), case.swapped()] {
            let cells = 0..case.left.len() as u32;
            let asking: Vec<u32> = cells.filter(|&p| case.left[p as usize].is_finite()).collect();
            let (mut most, mut smallest) = (0.0, Vec::new());
            for subset in 1_u32..1 << asking.len() {
                let chosen = asking.iter().enumerate().filter(|(k, _)| subset >> k & 1 == 1);
                let cells: Vec<u32> = chosen.map(|(_, &p)| p).collect();
                let missing = case.deficit(&cells);
                if missing > most {
                    (most, smallest) = (missing, cells);
                } else if missing == most {
                    smallest.retain(|p| cells.contains(p));
                }
            }
            let parts = case.components(&smallest);
            let worst = parts.iter().map(|part| case.deficit(part)).fold(0.0, f64::max);
            let found = left_deficit(&case.graph(), 0.0);
            match &found {
                None => prop_assert_eq!(most, 0.0),
                Some(found) => {
                    case.verify(found);
                    prop_assert_eq!(found.missing(), worst);
                    prop_assert!(parts.contains(&found.left), "{:?} is none of {:?}", found, parts);
                }
            }
            let mirrored = right_deficit(&case.swapped().graph(), 0.0);
            prop_assert_eq!(mirrored.map(|m| (m.right, m.left)), found.map(|f| (f.left, f.right)));
        }
    }
}

const COUNTIES: usize = 3142;

/// About `degree` edges from each of the counties, always one to itself.
fn sparse_edges(rng: &mut ChaCha8Rng, degree: usize) -> Vec<Vec<u32>> {
    (0..COUNTIES)
        .map(|p| {
            let mut row: Vec<u32> =
                (0..degree).map(|_| rng.random_range(0..COUNTIES as u32)).collect();
            row.push(p as u32);
            row.sort_unstable();
            row.dedup();
            row
        })
        .collect()
}

/// Persons, from below 1 to some ten thousand.
fn persons(rng: &mut ChaCha8Rng) -> f64 {
    rng.random_range(-1.0_f64..10.0).exp()
}

#[test]
fn margins_of_a_matrix_on_the_support_are_served() {
    for (seed, degree) in [(1, 1), (2, 2), (3, 6), (4, 50)] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let edges = sparse_edges(&mut rng, degree);
        let case = Case::feasible(COUNTIES, &edges, |_, _| persons(&mut rng));
        assert_eq!(left_deficit(&case.graph(), 1e-12), None, "degree {degree}");
        assert_eq!(right_deficit(&case.graph(), 1e-12), None, "degree {degree}");
    }
}

#[test]
fn a_planted_shortage_is_found_exactly() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut edges = sparse_edges(&mut rng, 6);
    // 30 left cells reach nothing but the 10 right cells 100, 200, ..., 1000, and all of these.
    let guilty: Vec<u32> = (0..30).map(|k| 7 + 100 * k).collect();
    let crowded: Vec<u32> = (1..=10).map(|k| 100 * k).collect();
    for &p in &guilty {
        edges[p as usize].clone_from(&crowded);
    }
    // Room for everyone else, so that nothing but the planted set is short.
    let mut case = Case::feasible(COUNTIES, &edges, |_, _| persons(&mut rng));
    for right in &mut case.right {
        *right *= 1.5;
    }
    for &q in &crowded {
        case.right[q as usize] = 10.0;
    }
    for (p, row) in edges.iter().enumerate() {
        if row.iter().any(|q| crowded.contains(q)) {
            case.left[p] *= 0.1;
        }
    }
    for &p in &guilty {
        case.left[p as usize] = 4.0;
    }
    let found = left_deficit(&case.graph(), 1e-12).unwrap();
    case.verify(&found);
    assert_eq!(found, deficit(&guilty, &crowded, 120.0, 100.0));
}

#[test]
fn dense_and_triangular_supports_of_all_counties() {
    let all: Vec<Vec<u32>> = vec![(0..COUNTIES as u32).collect(); COUNTIES];
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut case = Case::feasible(COUNTIES, &all, |p, q| ((p + q as usize) % 17) as f64);
    assert_eq!(left_deficit(&case.graph(), 0.0), None);
    case.left[77] += 3.0;
    let found = left_deficit(&case.graph(), 0.0).unwrap();
    assert_eq!((found.left.len(), found.right.len()), (COUNTIES, COUNTIES));
    assert_eq!(found.missing(), 3.0);

    // A triangle in shuffled order whose flow must stay near its diagonal: any false step leads to
    // paths through hundreds of cells.
    let (mut rows, mut columns): (Vec<u32>, Vec<u32>) =
        (0..COUNTIES as u32).map(|c| (c, c)).unzip();
    rows.shuffle(&mut rng);
    columns.shuffle(&mut rng);
    let mut place = vec![0; COUNTIES];
    for (k, &q) in columns.iter().enumerate() {
        place[q as usize] = k;
    }
    let edges: Vec<Vec<u32>> = rows.iter().map(|&k| columns[..=k as usize].to_vec()).collect();
    let case = Case::feasible(COUNTIES, &edges, |p, q| {
        let near = place[q as usize] + 5 >= rows[p] as usize;
        if near { persons(&mut rng).ceil() } else { 0.0 }
    });
    assert_eq!(left_deficit(&case.graph(), 0.0), None);
    assert_eq!(right_deficit(&case.graph(), 0.0), None);
}
