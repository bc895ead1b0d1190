use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use ramson_crypto::elligator2::HiddenKey;
use ramson_crypto::{Random, x25519};
use ramson_wire::{I2npMessage, Instant};

use super::event::{EndReason, Event, MessageId, PeerKey, SessionId, Transmit};
use super::handshake::Local;
use super::limits::{KEYS_AHEAD, Limits, REPLY_WINDOW, SWEEP};
use super::peers::Peers;
use super::session::{Phase, Session, Slots};
use super::stats::RatchetStats;
use super::table::{Expected, TagTable};
use super::window::push_bounded;
use crate::Now;
use crate::garlic::router::{GarlicKey, OpenedGarlic};
use crate::tunnel::DuplicateFilter;

/// All garlic sessions of one Destination with one static key (ECIES-X25519-AEAD-Ratchet).
///
/// Messages of peers go to [`open`](Self::open), messages to peers through [`seal`](Self::seal). After
/// each call and whenever [`poll_timeout`](Self::poll_timeout) says so,
/// [`handle_timeout`](Self::handle_timeout) comes first, then [`poll_transmit`](Self::poll_transmit)
/// and [`poll_event`](Self::poll_event) until both have no more. In idle time
/// [`make_keys_ahead`](Self::make_keys_ahead).
///
/// Sessions know peers by their static key. Of which Destination that is says the LeaseSet that comes
/// with the first message; whoever owns the machine checks it, and calls [`close`](Self::close) if it
/// does not fit.
pub struct Sessions {
    pub(super) local: Local,
    pub(super) limits: Limits,
    pub(super) random: Random,
    pub(super) slots: Slots,
    pub(super) peers: Peers,
    pub(super) table: TagTable,
    pub(super) replays: DuplicateFilter,
    pub(super) unknown: Bucket,
    /// When which session has to say something.
    pub(super) due: BTreeSet<(Instant, u32)>,
    pub(super) next_sweep: Instant,
    pub(super) answers: BTreeMap<u32, (GarlicKey, Instant)>,
    pub(super) next_answer: u32,
    keys: Vec<HiddenKey>,
    /// Our LeaseSet as a message, with a number that grows.
    pub(super) lease_set: Option<I2npMessage>,
    pub(super) lease_set_version: u64,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) stats: RatchetStats,
}

impl Sessions {
    /// Begins without sessions.
    pub fn new(key: x25519::PrivateKey, limits: Limits, mut random: Random) -> Self {
        // As long as a message is fresh by any clock that we accept.
        let keep = OpenedGarlic::MAX_AGE.saturating_add(OpenedGarlic::MAX_AHEAD);
        let replays = DuplicateFilter::new(limits.replay_bytes, keep, &mut random);
        Self {
            local: Local::new(key),
            limits,
            slots: Slots::default(),
            peers: Peers::default(),
            table: TagTable::new(&mut random),
            random,
            replays,
            unknown: Bucket::default(),
            due: BTreeSet::new(),
            next_sweep: Instant::MAX,
            answers: BTreeMap::new(),
            next_answer: 0,
            keys: Vec::new(),
            lease_set: None,
            lease_set_version: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stats: RatchetStats::default(),
        }
    }

    /// Returns our static public key, that of the LeaseSet.
    pub fn public(&self) -> PeerKey {
        PeerKey(self.local.public())
    }

    /// Returns what was done so far.
    pub fn stats(&self) -> &RatchetStats {
        &self.stats
    }

    /// Returns how many sessions there are, pending ones counted.
    pub fn sessions(&self) -> usize {
        self.slots.len()
    }

    /// Returns how many tags are waited for.
    pub fn tags(&self) -> usize {
        self.table.len()
    }

    /// Says whether messages to this peer go in an established session.
    pub fn is_established(&self, peer: &PeerKey) -> bool {
        self.peers
            .get(peer)
            .is_some_and(|peer| peer.active.is_some())
    }

    /// Takes a new LeaseSet of ours, a DatabaseStore that is kept as it is. It goes to peers that may
    /// not have it with the next message that allows it; those who asked for it have it already.
    pub fn set_lease_set(&mut self, store: Option<I2npMessage>) {
        self.lease_set = store;
        self.lease_set_version = self.lease_set_version.saturating_add(1);
    }

    /// Waits until `until` for an answer under a key and a tag that we have chosen ourselves.
    pub fn expect_answer(&mut self, answer: GarlicKey, until: Instant) {
        while self.answers.len() >= self.limits.answers.max(1)
            && let Some((_, (oldest, _))) = self.answers.pop_first()
        {
            self.table.remove(&oldest.tag);
            self.stats.dropped_answers = self.stats.dropped_answers.saturating_add(1);
        }
        let place = self.next_answer;
        self.next_answer = place.wrapping_add(1);
        self.table.insert(answer.tag, Expected::Answer(place));
        self.answers.insert(place, (answer, until));
        self.next_sweep = self.next_sweep.min(until);
    }

    /// Makes one key of those that open sessions, and says whether more are wanted. It takes about
    /// as long as sealing a hundred messages.
    pub fn make_keys_ahead(&mut self) -> bool {
        if self.keys.len() < KEYS_AHEAD {
            self.keys.push(HiddenKey::generate(&mut self.random));
        }
        self.keys.len() < KEYS_AHEAD
    }

    pub(super) fn hidden_key(&mut self) -> HiddenKey {
        self.keys
            .pop()
            .unwrap_or_else(|| HiddenKey::generate(&mut self.random))
    }

    /// Notes that a message arrived, which the layer above knows from an answer to what was in it.
    pub fn handle_arrived(&mut self, id: MessageId, now: Now) {
        // A caller's mistake would show as an ack of what was not sent.
        let _ = self.acked(id, now.instant);
    }

    /// Forgets all sessions with a peer.
    pub fn close(&mut self, peer: &PeerKey) {
        let Some(peer) = self.peers.get(peer) else {
            return;
        };
        let slots: Vec<u32> = peer
            .established
            .iter()
            .chain(&peer.initiated)
            .chain(&peer.received)
            .copied()
            .collect();
        for slot in slots {
            self.end(slot, EndReason::Closed);
        }
    }

    /// Returns the next message of our own.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.due.first().map_or(Instant::MAX, |(at, _)| *at);
        Some(due.min(self.next_sweep)).filter(|at| *at < Instant::MAX)
    }

    pub(super) fn event(&mut self, event: Event) {
        if push_bounded(&mut self.events, self.limits.events, event) {
            self.stats.dropped_events = self.stats.dropped_events.saturating_add(1);
        }
    }

    /// Sees to it that a session says something by then.
    pub(super) fn respond(&mut self, slot: u32, at: Instant) {
        if let Some(session) = self.slots.get_mut(slot)
            && session.respond_at.is_none_or(|before| at < before)
        {
            if let Some(before) = session.respond_at.replace(at) {
                self.due.remove(&(before, slot));
            }
            self.due.insert((at, slot));
        }
    }

    pub(super) fn responded(&mut self, slot: u32) {
        if let Some(at) = self
            .slots
            .get_mut(slot)
            .and_then(|session| session.respond_at.take())
        {
            self.due.remove(&(at, slot));
        }
    }

    /// Adds a session, after room for it and its tags was made.
    pub(super) fn add(
        &mut self,
        peer: PeerKey,
        opened_by: [u8; 32],
        phase: Phase,
        now: Instant,
    ) -> SessionId {
        self.make_room(REPLY_WINDOW, None);
        let id = self
            .slots
            .add(|id| Session::new(id, peer, opened_by, phase, now));
        self.next_sweep = self.next_sweep.min(now + SWEEP);
        id
    }

    /// Ends sessions other than `keep` until there is room for so many tags, and for one more session
    /// if there is nothing to keep.
    pub(super) fn make_room(&mut self, tags: u16, keep: Option<u32>) {
        while (keep.is_none() && self.slots.len() >= self.limits.sessions.max(1))
            || self.table.len().saturating_add(tags.into()) > self.limits.tags
        {
            let others = self.slots.iter();
            let others = others.filter(|session| Some(session.id.slot) != keep);
            let worst = others.min_by_key(|session| {
                let class = match session.phase {
                    Phase::Received(_) => 0,
                    Phase::Initiated(_) => 1,
                    Phase::Established(_) => 2,
                };
                (class, session.last_received, session.id.serial)
            });
            let Some(slot) = worst.map(|session| session.id.slot) else {
                return;
            };
            self.evict(slot);
        }
    }

    pub(super) fn evict(&mut self, slot: u32) {
        self.stats.evicted_sessions = self.stats.evicted_sessions.saturating_add(1);
        self.end(slot, EndReason::Evicted);
    }

    /// Forgets a session.
    pub(super) fn end(&mut self, slot: u32, reason: EndReason) {
        self.responded(slot);
        let Some(mut session) = self.slots.remove(slot) else {
            return;
        };
        session.forget(&mut self.table, |_| false);
        self.peers.forget(&session.peer, slot);
        // Nobody was told of what only the peer began.
        if !matches!(session.phase, Phase::Received(_)) {
            self.event(Event::Ended {
                peer: session.peer,
                session: session.id,
                reason,
            });
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("sessions", &self.sessions())
            .field("tags", &self.tags())
            .finish_non_exhaustive()
    }
}

/// Allows so many a second, and twice as many at once.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// How much of the allowance is used, as the time it takes to come back.
    empty_at: Instant,
}

impl Bucket {
    pub(super) fn take(&mut self, per_s: u32, now: Instant) -> bool {
        let Some(each) = 1_000_000_u32.checked_div(per_s) else {
            return false;
        };
        if self.empty_at.saturating_since(now) >= Duration::from_secs(2) {
            return false;
        }
        self.empty_at = self.empty_at.max(now) + Duration::from_micros(each.into());
        true
    }
}
