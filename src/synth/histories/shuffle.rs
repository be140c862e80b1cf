//! A shuffle that is not stored: where one of n persons comes to stand, computed from the number of
//! the person alone.
//!
//! A Feistel network on pairs of half-words is one-to-one whatever its round function is. It works on
//! the smallest power of 4 that is at least n; what lands beyond n goes through it again until it does
//! not (cycle walking), fewer than four times on average.

/// Rounds of the network.
const ROUNDS: u64 = 6;

/// A shuffle of `n` persons.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shuffle {
    n: u32,
    key: u64,
    half_bits: u32,
}

impl Shuffle {
    /// The shuffle of a key; others are unrelated.
    pub fn new(n: u32, key: u64) -> Self {
        let bits = u32::BITS - n.saturating_sub(1).leading_zeros();
        Self { n, key, half_bits: bits.div_ceil(2).max(1) }
    }

    /// The new place of the person at `place`, both below `n`.
    pub fn place(self, place: u32) -> u32 {
        assert!(place < self.n, "place {place} of {}", self.n);
        let mut place = u64::from(place);
        loop {
            place = self.encrypt(place);
            if place < u64::from(self.n) {
                return place as u32;
            }
        }
    }

    fn encrypt(self, place: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (place >> self.half_bits, place & mask);
        for round in 0..ROUNDS {
            let next = left ^ (mixed(self.key ^ (right << 8) ^ round) & mask);
            (left, right) = (right, next);
        }
        left << self.half_bits | right
    }
}

/// A number whose bits all depend on all of those of another (the finalizer of `SplitMix64`).
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_a_place_of_their_own() {
        for n in (1..70).chain([255, 256, 257, 5000]) {
            let shuffle = Shuffle::new(n, mixed(u64::from(n)));
            let mut places: Vec<u32> = (0..n).map(|k| shuffle.place(k)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..n), "{n}");
        }
    }

    #[test]
    fn every_place_is_as_likely_as_any_other() {
        // The place of person 3 of 10 under 10,000 keys: 1,000 each, with a standard error of 30.
        let mut counts = [0; 10];
        for key in 0..10_000 {
            counts[Shuffle::new(10, mixed(key)).place(3) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (880..1120).contains(n)), "{counts:?}");
        // Those who stood beside each other do not any more: neighbors are a third of n apart.
        let shuffle = Shuffle::new(10_000, 1);
        let apart = (1..10_000).map(|k| shuffle.place(k).abs_diff(shuffle.place(k - 1)));
        let mean = apart.map(f64::from).sum::<f64>() / 9_999.0;
        assert!((3200.0..3470.0).contains(&mean), "{mean}");
    }
}
