//! A filter that remembers what has been seen in bounded memory (Tunnel Implementation, Participant
//! Processing).
//!
//! A transit hop drops tunnel messages it has seen before. What identifies one is its IV XOR the
//! first block of its data, both as received: then swapping the two does not help who replays it.
//! One filter serves all tunnels of a shard, so its size follows the traffic, not the number of
//! tunnels. The same filter, with its own memory, serves build requests, whose ephemeral keys must
//! not come twice.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use ramson_crypto::{Random, siphash24};
use ramson_wire::Instant;

use super::LAYERED_LEN;

/// A block of the Bloom filter: one cache line, so that a look-up waits for memory once.
type Block = [u64; 8];

const BLOCK_BYTES: usize = size_of::<Block>();

/// How much memory an entry takes. With seven bits set of 512 and 16 entries a block, a full
/// generation takes about one new message in 40,000 for an old one.
const ENTRY_BYTES: usize = 4;

/// The first generation: 1,024 entries, what a quiet router needs.
const FIRST_BLOCKS: usize = 64;

/// By how much a generation is larger than one that filled too soon: much, since each full one
/// adds to the chance of a mistake.
const GROWTH: usize = 4;

/// The largest generation is this part of the whole, so that starting a new one forgets at most
/// about a quarter.
const LARGEST_PART: usize = 4;

/// How many bits of a block stand for an entry: as many nine-bit numbers as 64 bits hold.
const PROBES: u32 = 7;

/// What identifies a tunnel message: its IV XOR its first block of data.
pub fn message_key(message: &[u8; LAYERED_LEN]) -> [u8; 16] {
    let (iv, rest) = message
        .split_first_chunk::<16>()
        .expect("a message is longer than its IV");
    let first = rest
        .first_chunk::<16>()
        .expect("a message is longer than a block");
    let mut key = *iv;
    for (byte, other) in key.iter_mut().zip(first) {
        *byte ^= other;
    }
    key
}

/// A Bloom filter in generations: the newest takes entries until it is full, an old one is dropped
/// when all it holds is older than the time asked for, or earlier when memory ends.
///
/// Under a flood the filter thus remembers less far back instead of growing or failing. Its hash
/// is keyed, so nobody can make up entries that collide.
pub struct DuplicateFilter {
    keys: (u64, u64),
    keep: Duration,
    limit_blocks: usize,
    /// Oldest first; the last takes new entries.
    generations: VecDeque<Generation>,
    dropped_early: u64,
}

struct Generation {
    blocks: Vec<Block>,
    entries: usize,
    opened: Instant,
    /// When it became full: its youngest entry.
    closed: Option<Instant>,
}

impl Generation {
    fn new(blocks: usize, now: Instant) -> Self {
        Self {
            blocks: vec![[0; 8]; blocks],
            entries: 0,
            opened: now,
            closed: None,
        }
    }

    fn capacity(&self) -> usize {
        self.blocks.len().saturating_mul(BLOCK_BYTES / ENTRY_BYTES)
    }

    fn contains(&self, place: &Place) -> bool {
        self.blocks
            .get(place.block(self.blocks.len()))
            .is_some_and(|block| {
                place
                    .bits()
                    .all(|(word, bit)| block.get(word).is_some_and(|found| found & bit != 0))
            })
    }

    fn insert(&mut self, place: &Place) {
        let index = place.block(self.blocks.len());
        if let Some(block) = self.blocks.get_mut(index) {
            for (word, bit) in place.bits() {
                if let Some(word) = block.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        self.entries = self.entries.saturating_add(1);
    }
}

/// Where an entry is in every generation.
struct Place {
    which: u64,
    bits: u64,
}

impl Place {
    /// Scales the hash to a number of blocks, without a division.
    fn block(&self, blocks: usize) -> usize {
        let scaled = (u128::from(self.which) * blocks as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    /// Returns words of a block and the bits in them.
    fn bits(&self) -> impl Iterator<Item = (usize, u64)> {
        let bits = self.bits;
        (0..PROBES).map(move |probe| {
            let nine = (bits >> (9 * probe)) & 0x1ff;
            (usize::try_from(nine >> 6).unwrap_or(0), 1 << (nine & 63))
        })
    }
}

impl DuplicateFilter {
    /// Makes a filter that remembers for `keep` in at most about `limit_bytes`, at least 16 KiB.
    /// It starts with 4 KiB and takes four bytes an entry as they come.
    pub fn new(limit_bytes: usize, keep: Duration, random: &mut Random) -> Self {
        Self {
            keys: (random.u64(), random.u64()),
            keep,
            limit_blocks: (limit_bytes / BLOCK_BYTES).max(FIRST_BLOCKS * LARGEST_PART),
            generations: VecDeque::new(),
            dropped_early: 0,
        }
    }

    /// Remembers this and says whether it is new. What is called seen before is so but for about
    /// one in 40,000 for each full generation, of which there are usually four.
    pub fn insert(&mut self, key: &[u8; 16], now: Instant) -> bool {
        self.forget(now);
        let place = self.place(key);
        // The newest first, where a replay would usually be.
        if self
            .generations
            .iter()
            .rev()
            .any(|old| old.contains(&place))
        {
            return false;
        }
        self.newest(now).insert(&place);
        true
    }

    /// Returns how many bytes the filter takes now.
    pub fn memory_bytes(&self) -> usize {
        self.blocks().saturating_mul(BLOCK_BYTES)
    }

    /// Returns how many generations had to go before their time: then the limit is too low for
    /// the traffic.
    pub fn dropped_early(&self) -> u64 {
        self.dropped_early
    }

    fn place(&self, key: &[u8; 16]) -> Place {
        let (a, b) = self.keys;
        Place {
            which: siphash24(a, b, key),
            bits: siphash24(b, a, key),
        }
    }

    fn blocks(&self) -> usize {
        self.generations.iter().map(|old| old.blocks.len()).sum()
    }

    fn forget(&mut self, now: Instant) {
        while let Some(closed) = self.generations.front().and_then(|oldest| oldest.closed)
            && now.saturating_since(closed) > self.keep
        {
            self.generations.pop_front();
        }
    }

    /// Returns the generation that takes entries, a new one if the last is full.
    fn newest(&mut self, now: Instant) -> &mut Generation {
        let mut size = FIRST_BLOCKS;
        let mut open = false;
        if let Some(last) = self.generations.back_mut() {
            if last.entries < last.capacity() {
                open = true;
            } else {
                last.closed = Some(now);
                // A generation should last for about the time kept.
                let lasted = now.saturating_since(last.opened);
                size = last.blocks.len();
                if lasted < self.keep {
                    size = size.saturating_mul(GROWTH);
                } else if lasted / 4 > self.keep {
                    size /= 2;
                }
                size = size.clamp(FIRST_BLOCKS, self.limit_blocks / LARGEST_PART);
            }
        }
        if !open {
            while self.blocks().saturating_add(size) > self.limit_blocks
                && self.generations.pop_front().is_some()
            {
                self.dropped_early = self.dropped_early.saturating_add(1);
            }
            self.generations.push_back(Generation::new(size, now));
        }
        self.generations
            .back_mut()
            .expect("one was there or has been added")
    }
}

impl fmt::Debug for DuplicateFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplicateFilter")
            .field("generations", &self.generations.len())
            .field("memory_bytes", &self.memory_bytes())
            .field("dropped_early", &self.dropped_early)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
