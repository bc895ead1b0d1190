use std::collections::{BTreeMap, VecDeque};

use ramson_wire::Instant;

use super::event::PeerKey;

/// The sessions of one peer, by their places.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// The established one that we send on.
    pub(super) active: Option<u32>,
    /// All established ones, oldest first.
    pub(super) established: Vec<u32>,
    /// Ours that wait for a reply, oldest first.
    pub(super) initiated: VecDeque<u32>,
    /// Theirs that wait for our reply or its answer, oldest first.
    pub(super) received: VecDeque<u32>,
    /// When we may try to open another one.
    pub(super) next_new: Instant,
}

impl Peer {
    fn is_empty(&self) -> bool {
        self.established.is_empty() && self.initiated.is_empty() && self.received.is_empty()
    }

    /// Takes a session that is pending no more out of the lists.
    pub(super) fn forget_pending(&mut self, slot: u32) {
        self.initiated.retain(|other| *other != slot);
        self.received.retain(|other| *other != slot);
    }

    /// Takes a session out of all lists.
    pub(super) fn forget(&mut self, slot: u32) {
        self.active.take_if(|active| *active == slot);
        self.established.retain(|other| *other != slot);
        self.forget_pending(slot);
    }
}

/// All peers that have sessions.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<PeerKey, Peer>);

impl Peers {
    pub(super) fn get(&self, key: &PeerKey) -> Option<&Peer> {
        self.0.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &PeerKey) -> Option<&mut Peer> {
        self.0.get_mut(key)
    }

    pub(super) fn entry(&mut self, key: PeerKey) -> &mut Peer {
        self.0.entry(key).or_default()
    }

    /// Forgets a session, and the peer with its last one.
    pub(super) fn forget(&mut self, key: &PeerKey, slot: u32) {
        if let Some(peer) = self.0.get_mut(key) {
            peer.forget(slot);
            if peer.is_empty() {
                self.0.remove(key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
