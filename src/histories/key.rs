//! Identifiers of persons and addresses.

use bytemuck::{Pod, Zeroable};

/// Letters that a key holds as they are.
const LETTERS: usize = 15;

/// An identifier in 16 bytes: a text of up to 15 bytes as it is, a longer one by 120 bits of its
/// BLAKE3 hash.
///
/// Invariant: the first byte is the length of a short text, 255 for a long one.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Key([u64; 2]);

impl Key {
    /// The key of a text.
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; LETTERS + 1];
        if text.len() <= LETTERS {
            bytes[0] = text.len() as u8;
            bytes[1..=text.len()].copy_from_slice(text);
        } else {
            bytes[0] = u8::MAX;
            bytes[1..].copy_from_slice(&blake3::hash(text).as_bytes()[..LETTERS]);
        }
        Self(bytemuck::cast::<_, [u64; 2]>(bytes).map(u64::from_be))
    }

    /// A number that is evenly spread over its range, whatever the texts are.
    pub fn hash(self) -> u64 {
        // The finalizer of splitmix64, twice.
        let mix = |mut z: u64| {
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        mix(mix(self.0[0].wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ self.0[1])
    }

    /// One of `count` buckets, a power of 2 of at most 65,536.
    pub fn bucket(self, count: usize) -> usize {
        debug_assert!(count.is_power_of_two());
        (self.hash() >> 48) as usize & (count - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_differ_have_different_keys() {
        let mut texts: Vec<String> = (0..3000).map(|k| k.to_string()).collect();
        texts.extend(["", "0", "00", "a\0"].map(String::from));
        texts.extend((10..20).map(|n| "x".repeat(n)));
        let distinct: HashSet<&String> = texts.iter().collect();
        let keys: HashSet<Key> = texts.iter().map(|text| Key::new(text.as_bytes())).collect();
        let hashes: HashSet<u64> = keys.iter().map(|key| key.hash()).collect();
        assert_eq!((keys.len(), hashes.len()), (distinct.len(), distinct.len()));
        assert_eq!(Key::new(b"012345678901234"), Key::new(b"012345678901234"));
    }

    #[test]
    fn buckets_fill_evenly() {
        let mut filled = [0; 16];
        for k in 0..16_000 {
            filled[Key::new(format!("P{k:08}").as_bytes()).bucket(16)] += 1;
        }
        assert!(filled.iter().all(|n| (850..1150).contains(n)), "{filled:?}");
    }
}
