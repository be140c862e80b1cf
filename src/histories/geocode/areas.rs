//! Areas by point: polygons are found by their bounding boxes, in an R-tree.

use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use super::polygon::{Polygon, Position, Side};
use crate::histories::places::Location;

/// An area of a file of borders.
#[derive(Clone, Debug)]
pub struct Area {
    /// Its code.
    pub geoid: String,
    /// Where points in it are.
    pub location: Location,
    /// Polygons, each as rings of positions: the outer one, then holes.
    pub polygons: Vec<Vec<Vec<Position>>>,
}

/// Areas, to be found by point.
///
/// Invariants:
/// - areas are ordered by their codes, which differ;
/// - every polygon has the number of an area.
#[derive(Debug)]
pub struct Areas {
    /// Code and location.
    known: Vec<(String, Location)>,
    /// Polygons with the numbers of their areas.
    tree: RTree<GeomWithData<Rectangle<Position>, (u32, Polygon)>>,
    bounds: AABB<Position>,
    size_bytes: usize,
}

/// The areas that a point is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The one it is counted in: of several the first, by their codes.
    pub area: &'a str,
    /// Where that is.
    pub location: Location,
    /// Another area that it is inside of, too: the two overlap.
    pub other: Option<&'a str>,
    /// Whether it is on borders only, of one area or more.
    pub on_border: bool,
}

impl Areas {
    /// Areas with different codes.
    ///
    /// # Panics
    /// If two codes are the same.
    pub fn new(mut areas: Vec<Area>) -> Self {
        areas.sort_unstable_by(|a, b| a.geoid.cmp(&b.geoid));
        assert!(areas.is_sorted_by(|a, b| a.geoid < b.geoid), "areas of the same code");
        // Areas of another vintage must not take what a unit has.
        areas.sort_by_key(|area| !area.location.is_unit());
        let (mut known, mut polygons) = (Vec::new(), Vec::new());
        let mut size_bytes = 0;
        let mut bounds = AABB::from_points(&[]);
        for (number, area) in (0..).zip(areas) {
            known.push((area.geoid, area.location));
            for rings in area.polygons {
                let corners = AABB::from_points(rings.iter().flatten());
                rstar::Envelope::merge(&mut bounds, &corners);
                let polygon = Polygon::new(&rings);
                size_bytes += polygon.size_bytes() + 2 * size_of_val(&corners);
                polygons.push(GeomWithData::new(corners.into(), (number, polygon)));
            }
        }
        Self { known, tree: RTree::bulk_load(polygons), bounds, size_bytes }
    }

    /// Memory that the polygons take, about.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes as u64
    }

    /// Whether a point is within the bounding box of all areas.
    pub fn is_near(&self, point: Position) -> bool {
        rstar::Envelope::contains_point(&self.bounds, &point)
    }

    /// The area that a point is in. On the border of several it is in the first of them, units first
    /// and then by their codes; so it is where areas overlap.
    pub fn find(&self, point: Position) -> Option<Found<'_>> {
        let (mut inside, mut border) = (Two::default(), Two::default());
        for found in self.tree.locate_all_at_point(point) {
            let (area, polygon) = &found.data;
            match polygon.side(point) {
                Side::Inside => inside.add(*area),
                Side::Border => border.add(*area),
                Side::Outside => {}
            }
        }
        let on_border = inside.first.is_none();
        let (geoid, location) = &self.known[inside.first.or(border.first)? as usize];
        let other = inside.second.map(|area| self.known[area as usize].0.as_str());
        Some(Found { area: geoid, location: *location, other, on_border })
    }
}

/// The two first of some different areas.
#[derive(Clone, Copy, Debug, Default)]
struct Two {
    first: Option<u32>,
    second: Option<u32>,
}

impl Two {
    fn add(&mut self, area: u32) {
        let rest = match self.first {
            Some(first) if first <= area => area,
            _ => match self.first.replace(area) {
                Some(first) => first,
                None => return,
            },
        };
        if self.first != Some(rest) && self.second.is_none_or(|second| rest < second) {
            self.second = Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(corners: &[[i32; 2]]) -> Vec<Position> {
        let closed = corners.iter().chain(corners.first());
        closed.map(|corner| corner.map(f64::from)).collect()
    }

    fn square(x: i32, y: i32, size: i32) -> Vec<Position> {
        ring(&[[x, y], [x + size, y], [x + size, y + size], [x, y + size]])
    }

    fn area(geoid: &str, polygons: Vec<Vec<Vec<Position>>>) -> Area {
        Area { geoid: geoid.into(), location: Location::unit(0), polygons }
    }

    /// Area, whether on its border, and the other one that overlaps.
    fn at(areas: &Areas, x: f64, y: f64) -> Option<(&str, bool, Option<&str>)> {
        areas.find([x, y]).map(|found| (found.area, found.on_border, found.other))
    }

    #[test]
    fn holes_islands_and_parts() {
        // A has a hole with an island of B in it, and a second part; B fills a corner of the hole.
        let areas = Areas::new(vec![
            area("B", vec![vec![square(4, 4, 2)]]),
            area("A", vec![vec![square(0, 0, 10), square(2, 2, 6)], vec![square(20, 0, 5)]]),
        ]);
        assert_eq!(at(&areas, 1.0, 5.0), Some(("A", false, None)));
        assert_eq!(at(&areas, 3.0, 5.0), None);
        assert_eq!(at(&areas, 5.0, 5.0), Some(("B", false, None)));
        assert_eq!(at(&areas, 24.0, 1.0), Some(("A", false, None)));
        assert_eq!(at(&areas, 15.0, 1.0), None);
        // The border of a hole belongs to the area around it.
        assert_eq!(at(&areas, 2.0, 5.0), Some(("A", true, None)));
        assert!(areas.is_near([15.0, 1.0]) && !areas.is_near([1.0, 15.0]));
    }

    #[test]
    fn a_shared_border_is_of_the_first_code() {
        let areas = Areas::new(vec![
            area("2", vec![vec![square(0, 0, 2)]]),
            area("1", vec![vec![square(2, 0, 2)]]),
            area("3", vec![vec![square(0, 2, 2)]]),
        ]);
        assert_eq!(at(&areas, 2.0, 1.0), Some(("1", true, None)));
        assert_eq!(at(&areas, 1.0, 2.0), Some(("2", true, None)));
        assert_eq!(at(&areas, 2.0, 2.0), Some(("1", true, None)));
        assert_eq!(at(&areas, 2.0 - 1e-9, 1.0), Some(("2", false, None)));
        assert_eq!(at(&areas, 0.0, 3.0), Some(("3", true, None)));
    }

    #[test]
    fn the_first_two_of_overlapping_areas_are_named() {
        let parts = |geoid| area(geoid, vec![vec![square(0, 0, 4)], vec![square(1, 1, 4)]]);
        let areas =
            Areas::new(vec![parts("3"), area("1", vec![vec![square(3, 3, 4)]]), parts("2")]);
        assert_eq!(at(&areas, 3.5, 3.5), Some(("1", false, Some("2"))));
        assert_eq!(at(&areas, 2.0, 2.0), Some(("2", false, Some("3"))));
        // Inside of one and on the border of another, it is in the one.
        assert_eq!(at(&areas, 6.0, 6.0), Some(("1", false, None)));
        assert_eq!(at(&areas, 5.0, 5.0), Some(("1", false, None)));
        assert_eq!(at(&Areas::new(vec![]), 0.0, 0.0), None);
    }

    #[test]
    fn every_point_is_in_one_of_the_triangles_around_another() {
        // Triangles that share slanted edges of awkward fractions: rounding must not open a gap.
        let corners = [[0.1, 0.2], [3.3, 0.7], [4.1, 3.9], [0.3, 3.1]];
        let middle = [1.7, 1.9];
        let triangle = |k: usize| {
            let (a, b) = (corners[k], corners[(k + 1) % 4]);
            // Each is drawn the other way round than the one before.
            if k.is_multiple_of(2) { vec![middle, a, b, middle] } else { vec![b, a, middle, b] }
        };
        let areas =
            Areas::new((0..4).map(|k| area(&k.to_string(), vec![vec![triangle(k)]])).collect());
        for corner in corners {
            for step in 0..1000 {
                let t = f64::from(step) / 1000.0;
                let on = [0, 1].map(|axis| middle[axis] + t * (corner[axis] - middle[axis]));
                let found = areas.find(on).unwrap();
                assert!(found.other.is_none(), "{on:?}: {found:?}");
            }
        }
    }
}
