use std::hash::{BuildHasher, Hasher};

use ramson_crypto::Random;

use super::tag_set::Tag;

/// What a tag stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A message of a session.
    Session {
        /// The place of the session.
        slot: u32,
        /// Which of its sets.
        set: u16,
        /// The number in the set.
        number: u16,
    },
    /// An answer under a key of its own, by its place.
    Answer(u32),
}

/// All tags that are waited for. Tags are chosen by those who send, so the hash is keyed.
#[expect(
    clippy::disallowed_types,
    reason = "looked up by key only; its order is never seen"
)]
#[derive(Debug)]
pub(super) struct TagTable(std::collections::HashMap<Tag, Expected, Keys>);

impl TagTable {
    pub(super) fn new(random: &mut Random) -> Self {
        let keys = Keys(random.u64(), random.u64() | 1);
        #[expect(clippy::disallowed_types, reason = "as above")]
        Self(std::collections::HashMap::with_hasher(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, tag: &Tag) -> Option<Expected> {
        self.0.get(tag).copied()
    }

    /// Of two equal tags, one in 2^64, the later wins.
    pub(super) fn insert(&mut self, tag: Tag, expected: Expected) {
        self.0.insert(tag, expected);
    }

    pub(super) fn remove(&mut self, tag: &Tag) {
        self.0.remove(tag);
    }

    /// Gives memory back after many have gone.
    pub(super) fn shrink(&mut self) {
        if self.0.capacity() / 4 > self.0.len() {
            self.0.shrink_to(self.0.len().saturating_mul(2));
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Keys(u64, u64);

impl BuildHasher for Keys {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded {
            keys: *self,
            state: self.0,
        }
    }
}

/// A folded multiplication by a secret number: enough for eight bytes that are random already, or
/// were chosen by who does not know the secret.
struct Folded {
    keys: Keys,
    state: u64,
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(piece) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word).wrapping_mul(u128::from(self.keys.1));
        // Both halves, whatever does not fit cut off.
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }

    /// The length of the slice says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}
