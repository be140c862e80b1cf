//! Can a support carry the targets of two margins, and if not, who is to blame?
//!
//! Left cells p have targets a, right cells q targets b, and an edge joins p and q where some entry
//! of the matrix belongs to both. Wanted are flows x, zero where there is no edge, with
//!
//! ```text
//! sum_q x_pq = a_p,    sum_p x_pq <= b_q,    x_pq >= 0.
//! ```
//!
//! They exist if and only if no set L of left cells needs more than its neighbors offer:
//!
//! ```text
//! deficit(L) = sum_{p in L} a_p - sum_{q in N(L)} b_q <= 0    for every L,
//! ```
//!
//! where N(L) are the right cells with an edge to a cell of L (Gale 1957; for a = b = 1 Hall 1935).
//! The largest deficit of any L equals the part of the left targets that a maximum flow leaves
//! unplaced, and the smallest set which attains it are the left cells that can be reached from the
//! unplaced part: forward over any edge, backward over edges that carry flow. [`left_deficit`]
//! returns the connected part of that set with the largest deficit of its own. No cell can be taken
//! out of it without the deficit becoming smaller.
//!
//! [`right_deficit`] asks the same with the sides swapped. When neither reports a set, there is one
//! x that meets both sides exactly (Mendelsohn & Dulmage 1958, there for matchings), and then
//! IPF from a seed with this support converges to such a matrix, though slowly if some entry
//! has to vanish on the way.
//!
//! The flow is found by Dinitz's (1970) method: shortest augmenting paths, all of one length at a
//! time. The edges between cells have no capacity of their own, so that only flows are stored, with
//! the right cells, and not one number per edge: the first round, which is a greedy assignment,
//! leaves at most as many flows as there are cells, and every later path adds a few.
//!
//! # Sources
//! - D. Gale, A theorem on flows in networks, Pacific J. Math. 7 (1957),
//!   doi:10.2140/pjm.1957.7.1073
//! - P. Hall, On representatives of subsets, J. London Math. Soc. 10 (1935),
//!   doi:10.1112/jlms/s1-10.37.26
//! - N. S. Mendelsohn, A. L. Dulmage, Some generalizations of the problem of distinct
//!   representatives, Canad. J. Math. 10 (1958), doi:10.4153/CJM-1958-027-8
//! - E. A. Dinic, Algorithm for solution of a problem of maximum flow in networks with power
//!   estimation, Soviet Math. Doklady 11 (1970) 1277-1280

/// Two margins and the support between them.
///
/// A target is in persons, at least 0, or [`f64::INFINITY`] for a cell without one: it
/// demands nothing and takes up anything.
#[derive(Clone, Copy, Debug)]
pub struct Bipartite<'a> {
    /// Target of each left cell, persons.
    pub left: &'a [f64],
    /// Target of each right cell, persons.
    pub right: &'a [f64],
    /// Start of each left cell's edges in `col_idx`, and their end: `left.len() + 1` numbers.
    pub row_ptr: &'a [u64],
    /// Right cell of every edge, in any order within a left cell.
    pub col_idx: &'a [u32],
}

/// Cells whose targets exceed what their support allows: `needed > available`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deficit {
    /// Guilty left cells, increasing.
    pub left: Vec<u32>,
    /// Guilty right cells, increasing.
    pub right: Vec<u32>,
    /// Sum of the targets on the side that asks, persons.
    pub needed: f64,
    /// Sum of the targets on the side that limits, persons: those of all neighbors, with the ones
    /// whose target is 0.
    pub available: f64,
}

impl Deficit {
    /// Persons that cannot be placed.
    pub fn missing(&self) -> f64 {
        self.needed - self.available
    }
}

/// Left cells that need more than all right cells they have an edge to: `right` of the answer is
/// exactly the neighborhood of `left`. `None` if every set of left cells can be served.
///
/// A deficit of at most `relative_tolerance` times the sum of the left targets is not reported:
/// targets are sums of rounded numbers. With a tolerance of 0 and targets that are whole numbers
/// (below 2^53 in sum) the answer is exact.
///
/// Time: a round reads the edges at most twice; supports of 3,142 x 3,142 cells, dense or sparse,
/// take below 0.2 s. Memory: a few numbers per cell, and about one flow per cell.
///
/// # Panics
/// If the arrays do not fit together, or a target is negative or NaN.
pub fn left_deficit(graph: &Bipartite, relative_tolerance: f64) -> Option<Deficit> {
    graph.check();
    let total: f64 = graph.left.iter().filter(|a| a.is_finite()).sum();
    let tolerance = relative_tolerance * total;
    let mut flow = Flow::new(graph);
    // What is unplaced bounds every deficit, so that often no further round is needed.
    while flow.unplaced() > tolerance {
        if !flow.label() {
            return blame(graph, &flow.reached(), tolerance);
        }
        flow.augment();
    }
    None
}

/// Right cells that need more than all left cells they have an edge to: [`left_deficit`] with the
/// sides swapped. `left` of the answer is exactly the neighborhood of `right`.
///
/// If both margins have the same total, a shortage on one side is one on the other: left cells that
/// need too much leave the right cells out of their reach with too little. The smaller of the two
/// answers is the one to show. Memory: in addition to [`left_deficit`] 4 bytes an edge, for the
/// transpose.
///
/// # Panics
/// If the arrays do not fit together, or a target is negative or NaN.
pub fn right_deficit(graph: &Bipartite, relative_tolerance: f64) -> Option<Deficit> {
    graph.check();
    let (row_ptr, col_idx) = graph.transposed_edges();
    let swapped =
        Bipartite { left: graph.right, right: graph.left, row_ptr: &row_ptr, col_idx: &col_idx };
    left_deficit(&swapped, relative_tolerance).map(|found| Deficit {
        left: found.right,
        right: found.left,
        ..found
    })
}

impl<'a> Bipartite<'a> {
    fn check(&self) {
        assert_eq!(self.row_ptr.len(), self.left.len() + 1, "row pointers of the left cells");
        assert_eq!(self.row_ptr.first(), Some(&0), "row pointers start at 0");
        assert_eq!(
            self.row_ptr.last(),
            Some(&(self.col_idx.len() as u64)),
            "row pointers end at the number of edges"
        );
        assert!(self.row_ptr.is_sorted(), "row pointers decrease");
        for &target in self.left.iter().chain(self.right) {
            assert!(target >= 0.0, "a target is {target}");
        }
        if let Some(&q) = self.col_idx.iter().max() {
            assert!((q as usize) < self.right.len(), "edge to {q} of {}", self.right.len());
        }
    }

    /// Right cells that left cell `p` has an edge to.
    fn neighbors(&self, p: u32) -> &'a [u32] {
        let p = p as usize;
        &self.col_idx[self.row_ptr[p] as usize..self.row_ptr[p + 1] as usize]
    }

    /// Row pointers and indices of the same edges seen from the right cells.
    fn transposed_edges(&self) -> (Vec<u64>, Vec<u32>) {
        let mut row_ptr = vec![0_u64; self.right.len() + 1];
        for &q in self.col_idx {
            row_ptr[q as usize + 1] += 1;
        }
        for q in 0..self.right.len() {
            row_ptr[q + 1] += row_ptr[q];
        }
        let mut next = row_ptr.clone();
        let mut col_idx = vec![0_u32; self.col_idx.len()];
        for p in 0..self.left.len() as u32 {
            for &q in self.neighbors(p) {
                let slot = &mut next[q as usize];
                col_idx[*slot as usize] = p;
                *slot += 1;
            }
        }
        (row_ptr, col_idx)
    }
}

// Why no crate: of those with f64 capacities and a free license petgraph 0.8 is the well-kept one.
// Its `dinics` gives no cut, wants the edges as a graph of its own (50 bytes an edge with flows)
// and searches each path from scratch: 1.5 s and 0.5 GB on a dense 3,142 x 3,142 support (here
// 0.03 s), 13 s on a triangular one of 1,000 cells with tight targets, and no end within a minute
// on one of 3,142 (here 0.03 s).

/// Not reached by [`Flow::label`].
const UNREACHED: u32 = u32::MAX;

/// A flow under construction.
///
/// Invariants, up to rounding of the sums:
/// - what left cell p sends plus `excess[p]` is its target;
/// - what right cell q receives plus `free[q]` is its target;
/// - flows, `excess` and `free` are never negative: every step subtracts the smallest of the
///   numbers it changes, which becomes exactly 0. So the method ends without any tolerance.
struct Flow<'a> {
    graph: &'a Bipartite<'a>,
    /// Left cells by number of edges: whoever has little choice chooses first.
    order: Vec<u32>,
    /// Not yet placed, of each left cell, persons.
    excess: Vec<f64>,
    /// Not yet taken, of each right cell, persons.
    free: Vec<f64>,
    /// Where each right cell's flow comes from: left cell, persons.
    sources: Vec<Vec<(u32, f64)>>,
    /// Path length to each cell, in pairs of edges. A flow goes from a left cell to a right cell of
    /// the same level, or back from a right cell to a left cell of the next.
    left_level: Vec<u32>,
    right_level: Vec<u32>,
    /// How far the search of this round has come in `neighbors(p)` and `sources[q]`; everything
    /// before is a dead end.
    left_next: Vec<usize>,
    right_next: Vec<usize>,
}

impl<'a> Flow<'a> {
    fn new(graph: &'a Bipartite<'a>) -> Self {
        let (lefts, rights) = (graph.left.len(), graph.right.len());
        let mut order: Vec<u32> = (0..lefts as u32).collect();
        order.sort_by_key(|&p| graph.neighbors(p).len());
        let demand = |&a: &f64| if a.is_finite() { a } else { 0.0 };
        Self {
            graph,
            order,
            excess: graph.left.iter().map(demand).collect(),
            free: graph.right.to_vec(),
            sources: vec![Vec::new(); rights],
            left_level: vec![UNREACHED; lefts],
            right_level: vec![UNREACHED; rights],
            left_next: vec![0; lefts],
            right_next: vec![0; rights],
        }
    }

    fn unplaced(&self) -> f64 {
        self.excess.iter().sum()
    }

    /// Left cells reached by the last [`Flow::label`].
    fn reached(&self) -> Vec<u32> {
        let cells = 0..self.left_level.len() as u32;
        cells.filter(|&p| self.left_level[p as usize] != UNREACHED).collect()
    }

    /// Breadth-first search from the left cells with excess up to the nearest right cells with
    /// room. Returns whether there are any; if not, every cell that can be reached has its level.
    fn label(&mut self) -> bool {
        self.left_level.fill(UNREACHED);
        self.right_level.fill(UNREACHED);
        let mut lefts: Vec<u32> =
            self.order.iter().copied().filter(|&p| self.excess[p as usize] > 0.0).collect();
        let mut rights = Vec::new();
        let mut unreached = self.free.len();
        for level in 0.. {
            let mut room = false;
            for &p in &lefts {
                self.left_level[p as usize] = level;
            }
            rights.clear();
            for &p in &lefts {
                // On a dense support the first cells of a level already reach everything.
                if unreached == 0 {
                    break;
                }
                for &q in self.graph.neighbors(p) {
                    if self.right_level[q as usize] == UNREACHED {
                        self.right_level[q as usize] = level;
                        room |= self.free[q as usize] > 0.0;
                        rights.push(q);
                        unreached -= 1;
                    }
                }
            }
            if room {
                return true;
            }
            lefts.clear();
            for &q in &rights {
                for &(p, flow) in &self.sources[q as usize] {
                    if flow > 0.0 && self.left_level[p as usize] == UNREACHED {
                        self.left_level[p as usize] = level + 1;
                        lefts.push(p);
                    }
                }
            }
            if lefts.is_empty() {
                return false;
            }
        }
        unreachable!("there are fewer levels than cells")
    }

    /// Sends flow along shortest paths until every one of them is blocked.
    fn augment(&mut self) {
        self.left_next.fill(0);
        self.right_next.fill(0);
        for k in 0..self.order.len() {
            let start = self.order[k];
            if self.excess[start as usize] > 0.0 {
                self.augment_from(start);
            }
        }
        for sources in &mut self.sources {
            sources.retain(|s| s.1 > 0.0);
        }
    }

    /// Depth-first search from `start`, without recursion: paths can pass through every cell.
    fn augment_from(&mut self, start: u32) {
        // Steps of the path: from a left cell to a right cell, on to one of its sources.
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut p = start;
        loop {
            let Some(&q) = self.graph.neighbors(p).get(self.left_next[p as usize]) else {
                // Dead end: step back, and past the source that led here.
                let Some((before, q)) = path.pop() else { return };
                self.right_next[q as usize] += 1;
                p = before;
                continue;
            };
            if self.right_level[q as usize] == self.left_level[p as usize] {
                if self.free[q as usize] > 0.0 {
                    path.push((p, q));
                    let kept = self.send(&path);
                    if self.excess[start as usize] == 0.0 {
                        return;
                    }
                    path.truncate(kept + 1);
                    (p, _) = path.pop().expect("a path was sent along");
                    continue;
                }
                if let Some(source) = self.next_source(q) {
                    path.push((p, q));
                    p = source;
                    continue;
                }
            }
            self.left_next[p as usize] += 1;
        }
    }

    /// The source of `q` whose flow could be sent elsewhere, if any is left in this round.
    fn next_source(&mut self, q: u32) -> Option<u32> {
        let next = &mut self.right_next[q as usize];
        let sources = &self.sources[q as usize];
        let level = self.right_level[q as usize] + 1;
        while let Some(&(p, flow)) = sources.get(*next) {
            if flow > 0.0 && self.left_level[p as usize] == level {
                return Some(p);
            }
            *next += 1;
        }
        None
    }

    /// Sends as much as possible along `path`, whose last step ends in a cell with room. Returns
    /// how many steps lie before the first one that can carry no more.
    fn send(&mut self, path: &[(u32, u32)]) -> usize {
        let (start, end) = (path[0].0, path[path.len() - 1].1);
        let back = &path[..path.len() - 1];
        let mut amount = self.excess[start as usize].min(self.free[end as usize]);
        for &(_, q) in back {
            amount = amount.min(self.sources[q as usize][self.right_next[q as usize]].1);
        }
        self.excess[start as usize] -= amount;
        self.free[end as usize] -= amount;
        let mut kept = back.len();
        for (step, &(_, q)) in back.iter().enumerate().rev() {
            let flow = &mut self.sources[q as usize][self.right_next[q as usize]].1;
            *flow -= amount;
            if *flow == 0.0 {
                kept = step;
            }
        }
        for &(p, q) in path {
            let sources = &mut self.sources[q as usize];
            match sources.iter_mut().find(|s| s.0 == p) {
                Some(source) => source.1 += amount,
                None => sources.push((p, amount)),
            }
        }
        kept
    }
}

/// The most telling part of a set of left cells with the largest deficit, or `None` if no part has
/// a deficit above `tolerance` (persons).
fn blame(graph: &Bipartite, left: &[u32], tolerance: f64) -> Option<Deficit> {
    let mut worst = worst_component(graph, left).filter(|d| d.missing() > tolerance)?;
    // Flows of rounding size make cells reachable which add nothing. To drop them all costs no more
    // than their own parts together, since neighbors that two of them share are lost to both.
    loop {
        let own = own_parts(graph, &worst.left);
        let noise = tolerance / worst.left.len() as f64;
        let kept: Vec<u32> =
            worst.left.iter().zip(&own).filter(|(_, own)| **own > noise).map(|(&p, _)| p).collect();
        if kept.len() == worst.left.len() {
            return Some(worst);
        }
        match worst_component(graph, &kept) {
            Some(smaller) if smaller.missing() > tolerance => worst = smaller,
            _ => return Some(worst),
        }
    }
}

/// By how much the deficit of `left` shrinks without each of its cells: its target less those of
/// the neighbors that no other cell of `left` has.
fn own_parts(graph: &Bipartite, left: &[u32]) -> Vec<f64> {
    const NOBODY: u32 = u32::MAX;
    const SEVERAL: u32 = u32::MAX - 1;
    let mut owner = vec![NOBODY; graph.right.len()];
    for &p in left {
        for &q in graph.neighbors(p) {
            let owner = &mut owner[q as usize];
            *owner = if *owner == NOBODY || *owner == p { p } else { SEVERAL };
        }
    }
    let mut own: Vec<f64> = left.iter().map(|&p| graph.left[p as usize]).collect();
    for (q, &p) in owner.iter().enumerate() {
        if let Ok(k) = left.binary_search(&p) {
            own[k] -= graph.right[q];
        }
    }
    own
}

/// Representative of the set that `k` is in, halving the way for the next one who asks.
fn root(parent: &mut [usize], mut k: usize) -> usize {
    while parent[k] != k {
        parent[k] = parent[parent[k]];
        k = parent[k];
    }
    k
}

/// The connected component with the largest deficit among those that `left` (increasing) and its
/// neighbors form; of equal ones the first.
fn worst_component(graph: &Bipartite, left: &[u32]) -> Option<Deficit> {
    // Disjoint sets over positions in `left`, with the smallest position as the root.
    let mut parent: Vec<usize> = (0..left.len()).collect();
    let mut first: Vec<Option<usize>> = vec![None; graph.right.len()];
    for (k, &p) in left.iter().enumerate() {
        for &q in graph.neighbors(p) {
            let joined = *first[q as usize].get_or_insert(k);
            let (a, b) = (root(&mut parent, k), root(&mut parent, joined));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut missing = vec![0.0; left.len()];
    for (k, &p) in left.iter().enumerate() {
        missing[root(&mut parent, k)] += graph.left[p as usize];
    }
    for (q, joined) in first.iter().enumerate() {
        if let Some(k) = *joined {
            missing[root(&mut parent, k)] -= graph.right[q];
        }
    }
    let worst = (0..left.len())
        .filter(|&k| parent[k] == k)
        .min_by(|&a, &b| missing[b].total_cmp(&missing[a]))?;
    let cells: Vec<u32> =
        (0..left.len()).filter(|&k| root(&mut parent, k) == worst).map(|k| left[k]).collect();
    let neighbors: Vec<u32> = (0..graph.right.len())
        .filter(|&q| first[q].is_some_and(|k| root(&mut parent, k) == worst))
        .map(|q| q as u32)
        .collect();
    let sum = |targets: &[f64], cells: &[u32]| cells.iter().map(|&c| targets[c as usize]).sum();
    Some(Deficit {
        needed: sum(graph.left, &cells),
        available: sum(graph.right, &neighbors),
        left: cells,
        right: neighbors,
    })
}

#[cfg(test)]
mod tests;
