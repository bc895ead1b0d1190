//! The two ends of a tag set: what a sender may have under way, and what a receiver waits for
//! (Parameters; Session Tag Ratchet).

use std::collections::VecDeque;

use ramson_crypto::Key32;
use ramson_wire::Instant;

use super::error::Fault;
use super::limits::{
    FIRST_WINDOW, LATER_WINDOW, Limits, QUIET, REPLY_WINDOW, STALLED, TAGS_AT_ONCE,
};
use super::next_key::Forward;
use super::stats::RatchetStats;
use super::table::{Expected, TagTable};
use super::tag_set::{ReceiveTags, SendTags, Tag, TagSet};

/// The sending half of an established session.
#[derive(Debug)]
pub(super) struct SendWindow {
    pub(super) tags: SendTags,
    pub(super) forward: Forward,
    /// The highest number of the set that is known to have arrived.
    proven: Option<u16>,
    /// Number and length of the set before.
    previous: Option<(u16, u16)>,
    pub(super) last_proof: Instant,
    pub(super) last_request: Instant,
    full_since: Option<Instant>,
}

impl SendWindow {
    pub(super) fn new(set: TagSet, now: Instant) -> Self {
        Self {
            tags: SendTags::new(set),
            forward: Forward::default(),
            proven: None,
            previous: None,
            last_proof: now,
            last_request: now,
            full_since: None,
        }
    }

    pub(super) fn under_way(&self) -> u16 {
        let base = self.proven.map_or(0, |proven| proven.saturating_add(1));
        self.tags.next().saturating_sub(base)
    }

    /// How many messages the peer waits for beyond the last that arrived: 24, and half of that
    /// one's number more, as i2pd and Java have it.
    pub(super) fn allowed(&self, limits: &Limits) -> u16 {
        let least = match self.forward.set() {
            0 => FIRST_WINDOW,
            _ => LATER_WINDOW,
        };
        match self.proven {
            None => least.min(limits.send_window.max(FIRST_WINDOW)),
            // The last one is counted in.
            Some(proven) => least
                .saturating_add(proven / 2)
                .min(limits.send_window.max(FIRST_WINDOW))
                .saturating_sub(1),
        }
    }

    /// Notes that there was no room, and says whether that has lasted too long.
    pub(super) fn is_stalled(&mut self, now: Instant) -> bool {
        let since = *self.full_since.get_or_insert(now);
        now.saturating_since(since) >= STALLED
    }

    /// Notes that a message arrived.
    pub(super) fn proof(&mut self, set: u16, number: u16, now: Instant) -> Result<(), Fault> {
        if set == self.forward.set() && number < self.tags.next() {
            if self.proven < Some(number) {
                self.proven = Some(number);
                self.full_since = None;
            }
            self.last_proof = self.last_proof.max(now);
            return Ok(());
        }
        match self.previous {
            Some((previous, sent)) if set == previous && number < sent => {
                self.last_proof = self.last_proof.max(now);
                Ok(())
            }
            _ => Err(Fault::Ack),
        }
    }

    /// Goes on with the set that keys were agreed on for; `before` is the number of the old one.
    pub(super) fn advance(&mut self, before: u16, shared: &[u8; 32]) {
        self.previous = Some((before, self.tags.next()));
        self.tags = SendTags::new(self.tags.set().after(shared));
        self.proven = None;
        self.full_since = None;
    }
}

/// What a receiving set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Replies to our New Session message.
    Replies,
    /// Messages, in the set of this number.
    Messages(u16),
}

/// A set of tags that a session waits for.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    /// Which one of the session's, in the table of tags.
    pub(super) serial: u16,
    pub(super) purpose: Purpose,
    pub(super) tags: ReceiveTags,
    pub(super) expires: Option<Instant>,
    /// What messages far ahead have made of the window.
    wide: u32,
    last_jump: Instant,
}

impl ReceiveWindow {
    pub(super) fn new(serial: u16, purpose: Purpose, set: TagSet) -> Self {
        Self {
            serial,
            purpose,
            tags: ReceiveTags::new(set),
            expires: None,
            wide: 0,
            last_jump: Instant::ZERO,
        }
    }

    fn least(&self) -> u32 {
        u32::from(match self.purpose {
            Purpose::Replies => REPLY_WINDOW,
            Purpose::Messages(0) => FIRST_WINDOW,
            Purpose::Messages(_) => LATER_WINDOW,
        })
    }

    /// How many tags beyond the highest received are waited for.
    pub(super) fn look_ahead(&self, limits: &Limits) -> u32 {
        let least = self.least();
        if self.purpose == Purpose::Replies {
            return least;
        }
        let highest = u32::from(self.tags.highest().unwrap_or(0));
        let steady = least
            .saturating_add(highest / 2)
            .min(u32::from(limits.receive_window).max(least));
        steady.max(self.wide)
    }

    /// Makes the tags that are to be there before anything has come.
    pub(super) fn begin(&mut self, slot: u32, table: &mut TagTable) {
        self.extend_to(self.least(), slot, table);
    }

    fn extend_to(&mut self, end: u32, slot: u32, table: &mut TagTable) {
        let set = self.serial;
        self.tags.extend(end, |tag, number| {
            table.insert(tag, Expected::Session { slot, set, number });
        });
    }

    /// Notes that a message came, and moves the window after it.
    pub(super) fn received(
        &mut self,
        (slot, number, tag): (u32, u16, &Tag),
        now: Instant,
        limits: &Limits,
        table: &mut TagTable,
        stats: &mut RatchetStats,
    ) {
        table.remove(tag);
        let before = self
            .tags
            .highest()
            .map_or(0, |highest| u32::from(highest) + 1);
        self.tags.received(number);
        let jump = u32::from(number).saturating_sub(before);
        let look = self.look_ahead(limits);
        if jump >= look / 2 && self.purpose != Purpose::Replies {
            // Messages are lost or late by half a window: a longer gap may follow.
            self.wide = look
                .saturating_mul(2)
                .min(u32::from(limits.bulk_window).max(look));
            self.last_jump = now;
        }
        let look = self.look_ahead(limits);
        let highest = u32::from(self.tags.highest().unwrap_or(number));
        self.tags
            .trim(highest.saturating_sub(look), |tag| table.remove(&tag));
        let end = highest.saturating_add(1).saturating_add(look);
        // As many as were passed over, and some more.
        let at_once = jump.saturating_add(TAGS_AT_ONCE);
        let end = end.min(self.tags.end().saturating_add(at_once));
        // With too many tags in all, what everybody needs at least.
        let end = match table.len() < limits.tags {
            true => end,
            false => {
                let least = highest.saturating_add(1).saturating_add(self.least());
                let missing = end.saturating_sub(least.max(self.tags.end()));
                stats.withheld_tags = stats.withheld_tags.saturating_add(missing.into());
                end.min(least)
            }
        };
        self.extend_to(end, slot, table);
    }

    /// Lets go of what a busier time needed.
    pub(super) fn idle(&mut self, now: Instant, limits: &Limits, table: &mut TagTable) {
        if self.wide > 0 && now.saturating_since(self.last_jump) > QUIET.saturating_mul(4) {
            self.wide = 0;
            if let Some(highest) = self.tags.highest() {
                let behind = u32::from(highest).saturating_sub(self.look_ahead(limits));
                self.tags.trim(behind, |tag| table.remove(&tag));
            }
        }
    }

    pub(super) fn take_key(&mut self, number: u16) -> Option<Key32> {
        self.tags.take_key(number)
    }

    pub(super) fn clear(&self, table: &mut TagTable) {
        for tag in self.tags.tags() {
            table.remove(&tag);
        }
    }
}

/// Adds to a queue that remembers the last few; says whether one had to go.
pub(super) fn push_bounded<T>(queue: &mut VecDeque<T>, limit: usize, item: T) -> bool {
    let is_full = queue.len() >= limit;
    if is_full {
        queue.pop_front();
    }
    queue.push_back(item);
    is_full
}
