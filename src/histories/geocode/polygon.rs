//! Points in a polygon.
//!
//! Edges are counted that a ray to the east of the point crosses: the point is inside if their number is
//! odd. So holes need no rule of their own. Longitude and latitude are taken as plane coordinates, as in
//! the files that Census borders are published in; a polygon across the antimeridian must be cut there
//! (RFC 7946, 3.1.9).

/// Longitude and latitude, in degrees.
pub type Position = [f64; 2];

/// Edges of a band, about.
const BAND_EDGES: usize = 4;

/// A polygon with its edges by latitude.
///
/// Invariants:
/// - edge k is from position k to the next, and no band has the one from a ring to another;
/// - a band has every edge that touches its latitudes.
#[derive(Debug)]
pub(super) struct Polygon {
    positions: Vec<Position>,
    /// The lowest latitude.
    south: f64,
    /// Bands in a degree.
    per_degree: f64,
    /// Where the edges of each band begin, and their number.
    starts: Vec<u32>,
    edges: Vec<u32>,
}

/// Where a point is, relative to a polygon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Border,
    Outside,
}

impl Polygon {
    /// The polygon of some closed rings: the outer one, then holes.
    ///
    /// # Panics
    /// If there are 2^32 positions or more.
    pub fn new(rings: &[Vec<Position>]) -> Self {
        let positions = rings.concat();
        assert!(u32::try_from(positions.len()).is_ok(), "{} positions", positions.len());
        let latitudes = || positions.iter().map(|position| position[1]);
        let south = latitudes().fold(f64::INFINITY, f64::min);
        let north = latitudes().fold(f64::NEG_INFINITY, f64::max);
        let bands = (positions.len() / BAND_EDGES).max(1);
        let mut polygon = Self {
            per_degree: bands as f64 / (north - south),
            starts: vec![0; bands + 1],
            edges: Vec::new(),
            positions: Vec::new(),
            south,
        };
        let mut of_bands = Vec::with_capacity(2 * positions.len());
        let mut first = 0;
        for ring in rings {
            for (edge, ends) in (first..).zip(ring.windows(2)) {
                let [from, to] = [ends[0][1], ends[1][1]].map(|y| polygon.band(y));
                of_bands.extend((from.min(to)..=from.max(to)).map(|band| (band, edge)));
            }
            first += ring.len() as u32;
        }
        of_bands.sort_unstable();
        for (band, _) in &of_bands {
            polygon.starts[band + 1] += 1;
        }
        for band in 0..bands {
            polygon.starts[band + 1] += polygon.starts[band];
        }
        polygon.edges = of_bands.into_iter().map(|(_, edge)| edge).collect();
        Self { positions, ..polygon }
    }

    /// The band of a latitude: it never falls as latitudes rise, however they are rounded.
    fn band(&self, y: f64) -> usize {
        (((y - self.south) * self.per_degree) as usize).min(self.starts.len() - 2)
    }

    /// Memory that it takes, about.
    pub fn size_bytes(&self) -> usize {
        let indices = self.starts.len() + self.edges.len();
        size_of::<Self>() + size_of_val(&self.positions[..]) + indices * size_of::<u32>()
    }

    /// Where a point is.
    ///
    /// Every edge is looked at from its lower end, so that rounding is the same for both polygons that
    /// have it: a point that is on no border is in one of them.
    pub fn side(&self, [x, y]: Position) -> Side {
        let band = self.band(y);
        let mut inside = false;
        for &edge in &self.edges[self.starts[band] as usize..self.starts[band + 1] as usize] {
            let (a, b) = (self.positions[edge as usize], self.positions[edge as usize + 1]);
            let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            if y < low[1] || y > high[1] {
                continue;
            }
            // Twice the area of the triangle: positive if the edge is east of the point.
            let east = (high[0] - low[0]) * (y - low[1]) - (x - low[0]) * (high[1] - low[1]);
            if east == 0.0 {
                let (west, end) = (a[0].min(b[0]), a[0].max(b[0]));
                if low[1] < high[1] || (west..=end).contains(&x) {
                    return Side::Border;
                }
            }
            // An edge has its lower end but not its upper one: a ray through both crosses once.
            if y < high[1] && east > 0.0 {
                inside = !inside;
            }
        }
        if inside { Side::Inside } else { Side::Outside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(corners: &[[i32; 2]]) -> Vec<Position> {
        let closed = corners.iter().chain(corners.first());
        closed.map(|corner| corner.map(f64::from)).collect()
    }

    #[test]
    fn a_triangle_by_hand() {
        // Its left side is x = 0, its lower one y = 0, the third x + y = 4.
        for corners in [[[0, 0], [4, 0], [0, 4]], [[0, 4], [4, 0], [0, 0]]] {
            let triangle = Polygon::new(&[ring(&corners)]);
            for (point, expected) in [
                ([1.0, 1.0], Side::Inside),
                ([1.0, 2.999], Side::Inside),
                ([2.0, 2.0], Side::Border),
                ([0.0, 0.0], Side::Border),
                ([0.0, 4.0], Side::Border),
                ([3.0, 0.0], Side::Border),
                ([0.0, 1.0], Side::Border),
                ([5.0, 0.0], Side::Outside),
                ([-1.0, 0.0], Side::Outside),
                ([-1.0, 4.0], Side::Outside),
                ([2.0, 2.001], Side::Outside),
                ([-0.001, 1.0], Side::Outside),
            ] {
                assert_eq!(triangle.side(point), expected, "{point:?}");
            }
        }
    }

    #[test]
    fn a_ray_through_corners_crosses_once() {
        // A diamond and a comb: rays at the height of corners that it passes, touches or runs along.
        let diamond = Polygon::new(&[ring(&[[0, 0], [2, -2], [4, 0], [2, 2]])]);
        let comb = Polygon::new(&[ring(&[
            [0, 0],
            [6, 0],
            [6, 2],
            [5, 2],
            [5, 1],
            [3, 1],
            [2, 2],
            [1, 1],
            [0, 1],
        ])]);
        for (polygon, point, expected) in [
            (&diamond, [2.0, 0.0], Side::Inside),
            (&diamond, [-1.0, 0.0], Side::Outside),
            (&diamond, [1.0, 2.0], Side::Outside),
            (&diamond, [1.0, -2.0], Side::Outside),
            (&comb, [-1.0, 1.0], Side::Outside),
            (&comb, [-1.0, 2.0], Side::Outside),
            (&comb, [2.0, 1.0], Side::Inside),
            (&comb, [4.0, 1.0], Side::Border),
            (&comb, [5.5, 1.0], Side::Inside),
            (&comb, [4.0, 1.5], Side::Outside),
            (&comb, [0.5, 1.0], Side::Border),
        ] {
            assert_eq!(polygon.side(point), expected, "{point:?}");
        }
    }

    #[test]
    fn bands_have_all_edges_that_pass() {
        // A zigzag of slanted edges, far more than a band has: compared with all edges.
        let mut corners: Vec<[i32; 2]> = (0..60).map(|k| [k % 2 * 7 + k % 3, k * 3]).collect();
        corners.extend([[40, 177], [40, 0]]);
        let rings = [ring(&corners), ring(&[[20, 50], [30, 50], [30, 90], [20, 90]])];
        let polygon = Polygon::new(&rings);
        assert!(polygon.starts.len() > 15, "{:?}", polygon.starts);
        let all = Polygon {
            starts: vec![0, 66],
            edges: (0..67).filter(|edge| *edge != 62).collect(),
            positions: polygon.positions.clone(),
            ..polygon
        };
        let mut found = [0; 3];
        for y in -2..720 {
            for x in -2..170 {
                let point = [f64::from(x) / 4.0, f64::from(y) / 4.0];
                let side = polygon.side(point);
                assert_eq!(side, all.side(point), "{point:?}");
                found[side as usize] += 1;
            }
        }
        assert!(found.iter().all(|count| *count > 500), "{found:?}");
        // A polygon without height has one band.
        let flat = Polygon::new(&[ring(&[[0, 1], [2, 1], [3, 1]])]);
        assert_eq!(flat.side([2.5, 1.0]), Side::Border);
        assert_eq!(flat.side([3.5, 1.0]), Side::Outside);
    }
}
