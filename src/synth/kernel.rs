//! Where households move to: the two-part kernel, ready to draw from.
//!
//! With `A_j` the attraction of unit j, a and b the counties of i and j, B the attraction of a
//! county, d the distance between units and D that between county seats, a household goes from i
//! to j with probability
//!
//! ```text
//! p_ij = w A_j k(d_ij) / sum over near l of A_l k(d_il)
//!      + (1 - w) B_b K(D_ab) / sum over c of B_c K(D_ac)  *  A_j / B_b
//!
//! k(d) = 1 / (1 + (d / s)^2)        K(D) = r_ab / (1 + (D / S)^2)
//! ```
//!
//! where *near* means in a or one of the few counties nearest to it. `r_ab` is 1 unless the units
//! are a sample of a larger area: then counties that are not near stand for all of those of the
//! whole. A long-range move that would end at home is drawn again as a local one. Distances are
//! straight lines between points in space, km.

use super::random::{Stream, running_sums};

/// Running shares of households of 1, 2, .. 6 persons (mean 2.46).
const HOUSEHOLD_SIZES: [f64; 6] = [0.28, 0.62, 0.77, 0.90, 0.97, 1.0];

/// Persons who leave: a share that grows with the share of renters.
pub(super) fn leaving(population: u32, renter_share: f64) -> u32 {
    (f64::from(population) * (0.03 + 0.27 * renter_share) + 0.5).floor() as u32
}

/// The numbers of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Share w of the moves drawn from the local part.
    pub local_share: f64,
    /// Distance s at which the local part has halved, km.
    pub local_scale_km: f64,
    /// Distance S at which the part between counties has halved, km.
    pub long_scale_km: f64,
    /// A local move ends in the own county or one of this many nearest to it.
    pub near_counties: usize,
}

impl Shape {
    /// The counties near one, in increasing order.
    fn near(&self, seats_km: &[[f64; 3]], county: usize) -> Vec<usize> {
        nearest(seats_km, seats_km[county], self.near_counties + 1)
    }

    /// Weight B K(D) of all counties that are not near one.
    pub fn far_weight(&self, seats_km: &[[f64; 3]], attraction: &[f64], county: usize) -> f64 {
        let near = self.near(seats_km, county);
        let weights =
            seats_km.iter().zip(attraction).enumerate().map(|(c, (&seat, attraction))| {
                let far = near.binary_search(&c).is_err();
                if far {
                    attraction * decay(seats_km[county], seat, self.long_scale_km)
                } else {
                    0.0
                }
            });
        weights.sum()
    }
}

/// Units and counties in space.
pub(super) struct Kernel<'a> {
    pub shape: Shape,
    /// Attraction A of each unit.
    pub attraction: Vec<f64>,
    /// Position of each unit, km.
    pub position_km: Vec<[f64; 3]>,
    /// Position of each county's seat, km.
    pub seat_km: Vec<[f64; 3]>,
    /// What the far counties stand for, r of the module docs, seen from each county.
    pub represents: &'a [f64],
    /// First unit of each county, and the end.
    county_start: Vec<usize>,
    /// Running sums of A within each county, one entry per unit.
    within_county: Vec<f64>,
    /// Attraction B of each county.
    county_attraction: Vec<f64>,
}

/// What the origins of a county have in common.
pub(super) struct Reach {
    county: usize,
    /// Units a local move may end in.
    near: Vec<u32>,
    /// Running sums of the long-range part over destination counties.
    counties: Vec<f64>,
}

impl<'a> Kernel<'a> {
    pub fn new(
        shape: Shape,
        attraction: Vec<f64>,
        position_km: Vec<[f64; 3]>,
        seat_km: Vec<[f64; 3]>,
        county: &[usize],
        represents: &'a [f64],
    ) -> Self {
        let county_start: Vec<usize> =
            (0..=seat_km.len()).map(|c| county.partition_point(|&other| other < c)).collect();
        let (mut within_county, mut county_attraction) = (Vec::new(), Vec::new());
        for range in county_start.windows(2) {
            let sums = running_sums(attraction[range[0]..range[1]].iter().copied());
            county_attraction.push(sums.last().copied().unwrap_or(0.0));
            within_county.extend(sums);
        }
        Self {
            shape,
            attraction,
            position_km,
            seat_km,
            represents,
            county_start,
            within_county,
            county_attraction,
        }
    }

    /// What the origins of a county need, found once for those that follow each other.
    pub fn reach<'r>(&self, county: usize, cached: &'r mut Option<Reach>) -> &'r Reach {
        cached.take_if(|reach| reach.county != county);
        cached.get_or_insert_with(|| self.find_reach(county))
    }

    fn find_reach(&self, county: usize) -> Reach {
        let seat = self.seat_km[county];
        let near = self.shape.near(&self.seat_km, county);
        let counties =
            running_sums(self.county_attraction.iter().enumerate().map(|(c, attraction)| {
                let stands_for =
                    if near.binary_search(&c).is_ok() { 1.0 } else { self.represents[county] };
                attraction * decay(seat, self.seat_km[c], self.shape.long_scale_km) * stands_for
            }));
        let near = near
            .iter()
            .flat_map(|&c| self.county_start[c] as u32..self.county_start[c + 1] as u32)
            .collect();
        Reach { county, near, counties }
    }

    /// Draws the households that leave a unit and hands on their destination and size. Returns the
    /// persons who found nobody else within reach, and so stay.
    pub fn households(
        &self,
        origin: usize,
        reach: &Reach,
        leaving: u32,
        stream: &mut Stream,
        mut to: impl FnMut(usize, u32, &mut Stream),
    ) -> u32 {
        let here = self.position_km[origin];
        let near = running_sums(reach.near.iter().map(|&unit| {
            let unit = unit as usize;
            let weight = self.attraction[unit]
                * decay(here, self.position_km[unit], self.shape.local_scale_km);
            if unit == origin { 0.0 } else { weight }
        }));
        let (mut left, mut kept) = (leaving, 0);
        while left > 0 {
            let size = stream.pick(&HOUSEHOLD_SIZES).map_or(1, |k| k as u32 + 1).min(left);
            left -= size;
            let far = if stream.uniform() < self.shape.local_share {
                None
            } else {
                self.far(&reach.counties, stream)
            };
            let destination = match far {
                Some(unit) if unit != origin => Some(unit),
                _ => stream.pick(&near).map(|k| reach.near[k] as usize),
            };
            match destination {
                Some(destination) => to(destination, size, stream),
                None => kept += size,
            }
        }
        kept
    }

    /// The units within reach that are nearest to one and have some attraction, nearest first.
    pub fn neighbors(&self, unit: usize, reach: &Reach, count: usize) -> Vec<u32> {
        let here = self.position_km[unit];
        let mut nearest: Vec<(f64, u32)> = Vec::with_capacity(count + 1);
        for &other in &reach.near {
            let square = square_km(here, self.position_km[other as usize]);
            let farthest = nearest.last().map_or(f64::INFINITY, |last| last.0);
            if nearest.len() == count && square >= farthest {
                continue;
            }
            if other as usize == unit || self.attraction[other as usize] <= 0.0 {
                continue;
            }
            nearest.insert(nearest.partition_point(|known| known.0 <= square), (square, other));
            nearest.truncate(count);
        }
        nearest.into_iter().map(|(_, other)| other).collect()
    }

    /// A destination from the long-range part: a county, then a unit in it.
    fn far(&self, counties: &[f64], stream: &mut Stream) -> Option<usize> {
        let county = stream.pick(counties)?;
        let range = self.county_start[county]..self.county_start[county + 1];
        Some(range.start + stream.pick(&self.within_county[range])?)
    }
}

/// The `count` points nearest to one, in increasing order of their numbers.
pub(super) fn nearest(points: &[[f64; 3]], to: [f64; 3], count: usize) -> Vec<usize> {
    let mut nearest: Vec<usize> = (0..points.len()).collect();
    if nearest.len() > count {
        nearest.select_nth_unstable_by(count - 1, |&a, &b| {
            square_km(to, points[a]).total_cmp(&square_km(to, points[b])).then(a.cmp(&b))
        });
        nearest.truncate(count);
        nearest.sort_unstable();
    }
    nearest
}

/// 1 / (1 + (distance / scale)^2).
fn decay(from: [f64; 3], to: [f64; 3], scale_km: f64) -> f64 {
    1.0 / (1.0 + square_km(from, to) / (scale_km * scale_km))
}

/// Squared distance, km^2.
pub(super) fn square_km(from: [f64; 3], to: [f64; 3]) -> f64 {
    let [x, y, z] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
    x * x + y * y + z * z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::random::Purpose;

    /// Three counties 100 km apart: units 0 and 1, unit 2, unit 3.
    fn kernel(local_share: f64, represents: &[f64; 3]) -> Kernel<'_> {
        let shape =
            Shape { local_share, local_scale_km: 1.0, long_scale_km: 100.0, near_counties: 1 };
        let at = |km: f64| [km, 0.0, 0.0];
        Kernel::new(
            shape,
            vec![1.0, 2.0, 3.0, 4.0],
            vec![at(0.0), at(1.0), at(100.0), at(200.0)],
            vec![at(0.0), at(100.0), at(200.0)],
            &[0, 0, 1, 2],
            represents,
        )
    }

    #[test]
    fn sums_by_hand() {
        // B = 3, 3, 4; K = 1, 1/2, 1/5; the third county is not near the first.
        assert_eq!(
            kernel(0.5, &[1.0; 3]).find_reach(0).counties,
            [3.0, 4.5, 4.5 + 4.0 * (1.0 / 5.0)]
        );
        assert_eq!(
            kernel(0.5, &[10.0; 3]).find_reach(0).counties,
            [3.0, 4.5, 4.5 + 4.0 * (1.0 / 5.0) * 10.0]
        );
        let of = kernel(0.5, &[1.0; 3]);
        let far = |county| of.shape.far_weight(&of.seat_km, &of.county_attraction, county);
        assert_eq!([far(0), far(1), far(2)], [4.0 * (1.0 / 5.0), 4.0 * 0.5, 3.0 * (1.0 / 5.0)]);
        assert_eq!(kernel(0.5, &[1.0; 3]).find_reach(0).near, [0, 1, 2]);
        assert_eq!(kernel(0.5, &[1.0; 3]).find_reach(2).near, [2, 3]);
    }

    #[test]
    fn neighbors_are_near_inhabited_and_others() {
        let mut of = kernel(0.5, &[1.0; 3]);
        let neighbors =
            |of: &Kernel, unit, county, count| of.neighbors(unit, &of.find_reach(county), count);
        assert_eq!(neighbors(&of, 0, 0, 1), [1]);
        assert_eq!(neighbors(&of, 1, 0, 2), [0, 2]);
        // The third county is not near the first; the second has the third beside it only.
        assert_eq!(neighbors(&of, 0, 0, 9), [1, 2]);
        assert_eq!(neighbors(&of, 3, 2, 9), [2]);
        of.attraction[1] = 0.0;
        assert_eq!(neighbors(&of, 0, 0, 1), [2]);
    }

    #[test]
    fn households_leave_home_and_add_up() {
        for local_share in [0.0, 0.5, 1.0] {
            let kernel = kernel(local_share, &[1.0; 3]);
            let mut persons = [0; 4];
            let mut stream = Stream::new(1, Purpose::Flows, 0);
            let kept = kernel.households(
                1,
                &kernel.find_reach(0),
                20_000,
                &mut stream,
                |unit, size, _| {
                    persons[unit] += size;
                },
            );
            assert_eq!((kept, persons.iter().sum::<u32>(), persons[1]), (0, 20_000, 0));
            // Local: unit 0 weighs 1 / 2, unit 2 weighs 3 / (1 + 99^2).
            assert_eq!(local_share < 1.0, persons[3] > 0, "{persons:?}");
        }
        // Nobody else anywhere.
        let mut alone = kernel(0.5, &[1.0; 3]);
        alone = Kernel::new(
            alone.shape,
            vec![0.0, 1.0, 0.0, 0.0],
            alone.position_km,
            alone.seat_km,
            &[0, 0, 1, 2],
            &[1.0; 3],
        );
        let mut stream = Stream::new(1, Purpose::Flows, 0);
        let kept =
            alone.households(1, &alone.find_reach(0), 7, &mut stream, |_, _, _| panic!("moved"));
        assert_eq!(kept, 7);
    }
}
