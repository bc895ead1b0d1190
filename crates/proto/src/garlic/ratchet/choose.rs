//! Which of a peer's established sessions we send on.

use ramson_wire::Instant;

use super::event::Event;
use super::limits::{CROSSING, ESTABLISHED_PER_PEER, QUIET};
use super::sessions::Sessions;

impl Sessions {
    /// Makes a session that both sides have answered the one to send on.
    pub(super) fn establish(&mut self, slot: u32, now: Instant) {
        let Some(session) = self.slots.get_mut(slot) else {
            return;
        };
        session.established = now;
        let (key, id) = (session.peer, session.id);
        let (is_initiator, opened_by) = (session.is_initiator, session.opened_by);
        let slots = &self.slots;
        let peer = self.peers.entry(key);
        peer.forget_pending(slot);
        peer.established.push(slot);
        // When both sides opened one at once, both keep the one of the greater key.
        let keeps = peer.active.and_then(|active| slots.get(active));
        let keeps = keeps.is_some_and(|active| {
            active.is_initiator != is_initiator
                && now.saturating_since(active.established) < CROSSING
                && active.opened_by > opened_by
        });
        if !keeps {
            peer.active = Some(slot);
        }
        let active = peer.active;
        let surplus = (peer.established.len() > ESTABLISHED_PER_PEER).then(|| {
            let others = peer.established.iter().copied();
            others
                .filter(|other| Some(*other) != active && *other != slot)
                .min_by_key(|other| slots.get(*other).map(|session| session.last_received))
        });
        self.stats.established = self.stats.established.saturating_add(1);
        self.event(Event::Established {
            peer: key,
            session: id,
        });
        if let Some(surplus) = surplus.flatten() {
            self.evict(surplus);
        }
    }

    /// Sends where the peer sends, if it does not send elsewhere.
    pub(super) fn prefer(&mut self, slot: u32, now: Instant) {
        let Some(session) = self.slots.get(slot) else {
            return;
        };
        let Some(send) = &session.send else {
            return;
        };
        let is_good = !send.tags.is_exhausted() && send.under_way() < send.allowed(&self.limits);
        let Some(peer) = self.peers.get_mut(&session.peer) else {
            return;
        };
        let is_quiet = peer.active.is_none_or(|active| {
            let active = self.slots.get(active);
            active.is_none_or(|active| now.saturating_since(active.last_received) > QUIET)
        });
        if is_good && is_quiet {
            peer.active = Some(slot);
        }
    }
}
