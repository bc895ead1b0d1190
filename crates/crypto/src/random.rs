//! Random bytes: from the operating system, by functions, and from a seed, by [`Random`].
//!
//! The functions are for the shell and for keys that a person asks for. Protocol machines draw
//! from a [`Random`] of their own.

use std::fmt;
use std::ops::Range;

use ::chacha20::ChaCha20Rng;
use ::chacha20::rand_core::{Rng, SeedableRng};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::hkdf::hmac_sha256;

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the operating system's random source failed: {0}")]
pub struct RandomError(getrandom::Error);

/// Fills `out` with random bytes.
///
/// # Panics
///
/// If the operating system has no random source: no key made then would be one, and no supported
/// system is like that. [`try_fill`] returns an error instead.
pub fn fill(out: &mut [u8]) {
    try_fill(out).expect("the operating system has a random source");
}

/// Fills `out` with random bytes.
///
/// # Errors
///
/// If the operating system has no random source or refuses it.
pub fn try_fill(out: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(out).map_err(RandomError)
}

/// Returns `N` random bytes.
///
/// # Panics
///
/// As [`fill`].
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// A generator of random bytes that no one can tell from chance without its seed: the ChaCha20 key
/// stream of the seed. Zeroed when dropped.
///
/// The same seed gives the same output to the same calls, on every machine.
pub struct Random(ChaCha20Rng);

impl Random {
    /// Begins with a seed.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let random = Self(ChaCha20Rng::from_seed(seed));
        seed.zeroize();
        random
    }

    /// Begins with a seed from the operating system.
    ///
    /// # Panics
    ///
    /// As [`fill`].
    pub fn from_os() -> Self {
        Self::from_seed(bytes())
    }

    /// Makes an independent generator, seeded from this one and `name`.
    ///
    /// Children of different names differ even if their parents are equal, and so do children of
    /// one name made one after another.
    pub fn fork(&mut self, name: &str) -> Self {
        let key = Zeroizing::new(self.bytes::<32>());
        Self::from_seed(hmac_sha256(key.as_slice(), name.as_bytes()))
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// Returns `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Returns any number of 32 bits.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Returns any number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        // The draw as a fraction of 2^64, times n: the whole part is the result. It is fair once
        // the draws are left out whose fractional part is among the 2^64 mod n lowest (Lemire,
        // "Fast Random Integer Generation in an Interval").
        loop {
            let product = u128::from(self.u64()) * u128::from(n);
            let (whole, fraction) = ((product >> 64) as u64, product as u64);
            if fraction >= n || fraction >= n.wrapping_neg() % n {
                return whole;
            }
        }
    }

    /// Returns a number of `range`, each equally likely; its start if it is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        // Below start + len, which is the range's end or its start.
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// Puts `items` into any order, each equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }

    /// Returns one of `items`, each equally likely; `None` if there are none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex_array;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(), bytes::<32>());
    }

    #[test]
    fn fills_every_part_of_a_long_buffer() {
        let mut out = [0; 4096];
        fill(&mut out);
        assert!(
            out.chunks(64)
                .all(|chunk| chunk.iter().any(|&byte| byte != 0))
        );
    }

    /// The key stream of key, nonce and counter zero: draft-agl-tls-chacha20poly1305-04, test
    /// vectors, and RFC 8439, appendix A.1.
    #[test]
    fn the_output_is_the_key_stream_of_the_seed() {
        assert_eq!(
            Random::from_seed([0; 32]).bytes(),
            hex_array::<32>("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_output() {
        let draw = |seed| {
            let mut random = Random::from_seed([seed; 32]);
            let mut long = vec![0; 1000];
            random.fill(&mut long);
            let mut order: Vec<u32> = (0..50).collect();
            random.shuffle(&mut order);
            let child = random.fork("child").u64();
            let chosen = random.choose(&order).copied();
            (long, order, child, chosen, random.u32(), random.below(1000))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn two_from_the_operating_system_differ() {
        assert_ne!(Random::from_os().u64(), Random::from_os().u64());
    }

    #[test]
    fn children_differ_by_name_by_turn_and_from_their_parent() {
        let mut parent = Random::from_seed([1; 32]);
        let one = parent.fork("name").u64();
        let two = parent.fork("name").u64();
        let other = Random::from_seed([1; 32]).fork("other").u64();
        let mut drawn = vec![
            one,
            two,
            other,
            parent.u64(),
            Random::from_seed([1; 32]).u64(),
        ];
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 5);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut random = Random::from_seed([2; 32]);
        // Three quarters of all numbers: were no draws left out, every third result would come up
        // twice as often as the others.
        let mut counts = [0; 3];
        for _ in 0..30_000 {
            counts[usize::try_from(random.below(3 << 62) % 3).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)));
        let mut counts = [0; 6];
        for _ in 0..60_000 {
            counts[usize::try_from(random.range(1..7)).unwrap() - 1] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)));
    }

    #[test]
    fn bounds_at_the_edges() {
        let mut random = Random::from_seed([3; 32]);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        assert!(random.below(u64::MAX) < u64::MAX);
        let (start, end) = (9, 5);
        assert_eq!(random.range(start..end), 9);
        assert_eq!(random.range(u64::MAX - 1..u64::MAX), u64::MAX - 1);
        assert_eq!(random.choose::<u8>(&[]), None);
        random.shuffle::<u8>(&mut []);
    }

    #[test]
    fn every_order_and_every_item_comes_up() {
        let mut random = Random::from_seed([4; 32]);
        let mut orders = std::collections::BTreeMap::new();
        let mut chosen = [0; 3];
        for _ in 0..6_000 {
            let mut items = [0usize, 1, 2];
            random.shuffle(&mut items);
            *orders.entry(items).or_insert(0) += 1;
            chosen[*random.choose(&[0usize, 1, 2]).unwrap()] += 1;
        }
        assert_eq!(orders.len(), 6);
        assert!(orders.values().all(|count| (850..1_150).contains(count)));
        assert!(chosen.iter().all(|count| (1_800..2_200).contains(count)));
    }

    #[test]
    fn debug_shows_nothing_of_the_state() {
        assert_eq!(format!("{:?}", Random::from_seed([7; 32])), "Random(..)");
    }

    proptest! {
        #[test]
        fn draws_stay_in_their_bounds(seed: [u8; 32], bound in 1u64.., start: u64) {
            let mut random = Random::from_seed(seed);
            prop_assert!(random.below(bound) < bound);
            let range = start..start.saturating_add(bound);
            prop_assert!(range.is_empty() || range.contains(&random.range(range.clone())));
        }
    }
}
