use std::collections::VecDeque;

use ramson_wire::Instant;

use super::event::{MessageId, MessageNumber, PeerKey, SessionId};
use super::handshake::{Initiator, Responder};
use super::limits::{ACKS, LEASE_SET_AGAIN, SETS};
use super::next_key::Reverse;
use super::table::TagTable;
use super::tag_set::{SendTags, TagSet};
use super::window::{Purpose, ReceiveWindow, SendWindow, push_bounded};

/// How far a session is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Our New Session message waits for a reply.
    Initiated(Initiator),
    /// The peer's New Session message waits for our reply, or the peer's answer to it.
    Received(Replies),
    /// Both sides have answered. More replies to our message may be under way.
    Established(Option<Initiator>),
}

/// Our side of a session that the peer opened.
#[derive(Debug)]
pub(super) struct Replies {
    pub(super) responder: Responder,
    pub(super) tags: SendTags,
    /// Those that were sent. The peer takes the sets of the one it got first.
    pub(super) sent: Vec<Reply>,
}

/// A reply that was sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) number: u16,
    /// The receiving set that comes with it.
    pub(super) serial: u16,
    /// What we send with when that is used.
    pub(super) send: TagSet,
}

/// What the peer has of our LeaseSet.
#[derive(Debug, Default)]
pub(super) struct Bundled {
    pub(super) confirmed: u64,
    sent: Option<(u64, MessageNumber, Instant)>,
}

impl Bundled {
    pub(super) fn needs(&self, version: u64, now: Instant) -> bool {
        let is_under_way = self.sent.is_some_and(|(sent, _, at)| {
            sent == version && now.saturating_since(at) < LEASE_SET_AGAIN
        });
        version > self.confirmed && !is_under_way
    }

    pub(super) fn sent(&mut self, version: u64, number: MessageNumber, now: Instant) {
        self.sent = Some((version, number, now));
    }

    fn arrived(&mut self, number: MessageNumber) {
        if let Some((version, _, _)) = self.sent.take_if(|(_, sent, _)| *sent == number) {
            self.confirmed = self.confirmed.max(version);
        }
    }
}

/// A session in any phase.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) peer: PeerKey,
    /// The ephemeral key that opened it, which both sides know.
    pub(super) opened_by: [u8; 32],
    pub(super) is_initiator: bool,
    pub(super) phase: Phase,
    pub(super) created: Instant,
    pub(super) established: Instant,
    pub(super) last_received: Instant,
    pub(super) last_sent: Instant,
    pub(super) receive: Vec<ReceiveWindow>,
    serials: u16,
    /// What established sessions send with.
    pub(super) send: Option<SendWindow>,
    pub(super) reverse: Reverse,
    pub(super) reversed: Option<Instant>,
    /// Messages whose acks the peer wants.
    pub(super) acks: VecDeque<(u16, u16)>,
    /// Messages whose acks we want.
    wanted: VecDeque<MessageNumber>,
    /// When a message goes at the latest.
    pub(super) respond_at: Option<Instant>,
    pub(super) bundled: Bundled,
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        peer: PeerKey,
        opened_by: [u8; 32],
        phase: Phase,
        now: Instant,
    ) -> Self {
        Self {
            id,
            peer,
            opened_by,
            is_initiator: matches!(phase, Phase::Initiated(_)),
            phase,
            created: now,
            established: now,
            last_received: now,
            last_sent: now,
            receive: Vec::new(),
            serials: 0,
            send: None,
            reverse: Reverse::default(),
            reversed: None,
            acks: VecDeque::new(),
            wanted: VecDeque::new(),
            respond_at: None,
            bundled: Bundled::default(),
        }
    }

    pub(super) fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Established(_))
    }

    pub(super) fn message(&self, number: MessageNumber) -> MessageId {
        MessageId {
            session: self.id,
            number,
        }
    }

    /// Begins to wait for the tags of a set; returns its serial.
    pub(super) fn wait_for(&mut self, purpose: Purpose, set: TagSet, table: &mut TagTable) -> u16 {
        let serial = self.serials;
        self.serials = serial.wrapping_add(1);
        let mut window = ReceiveWindow::new(serial, purpose, set);
        window.begin(self.id.slot, table);
        self.receive.push(window);
        serial
    }

    /// Stops to wait for the sets of which `keep` says no.
    pub(super) fn forget(
        &mut self,
        table: &mut TagTable,
        mut keep: impl FnMut(&ReceiveWindow) -> bool,
    ) {
        self.receive.retain(|window| {
            let keep = keep(window);
            if !keep {
                window.clear(table);
            }
            keep
        });
    }

    /// Keeps no more sets of messages than a session may have.
    pub(super) fn forget_oldest(&mut self, table: &mut TagTable) {
        let newest = self.reverse.set();
        let oldest = newest.saturating_sub(u16::try_from(SETS).unwrap_or(u16::MAX) - 1);
        self.forget(table, |window| match window.purpose {
            Purpose::Replies => true,
            Purpose::Messages(set) => set >= oldest,
        });
    }

    pub(super) fn want_ack(&mut self, number: MessageNumber) {
        push_bounded(&mut self.wanted, ACKS, number);
    }

    /// Notes that one of our messages arrived, and says whether somebody wanted to know.
    pub(super) fn arrived(&mut self, number: MessageNumber) -> bool {
        self.bundled.arrived(number);
        let found = self.wanted.iter().position(|wanted| *wanted == number);
        found.is_some_and(|at| self.wanted.remove(at).is_some())
    }
}

/// The places of sessions.
#[derive(Debug, Default)]
pub(super) struct Slots {
    places: Vec<Option<Box<Session>>>,
    free: Vec<u32>,
    len: usize,
    serials: u64,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Session> {
        let place = self.places.get(usize::try_from(slot).ok()?)?;
        place.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        let place = self.places.get_mut(usize::try_from(slot).ok()?)?;
        place.as_deref_mut()
    }

    /// Returns the session of this id, if it is there still.
    pub(super) fn find(&mut self, id: SessionId) -> Option<&mut Session> {
        self.get_mut(id.slot).filter(|session| session.id == id)
    }

    pub(super) fn add(&mut self, make: impl FnOnce(SessionId) -> Session) -> SessionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let id = SessionId {
            slot,
            serial: self.serials,
        };
        self.serials = self.serials.wrapping_add(1);
        let place = usize::try_from(slot).ok();
        let place = place.and_then(|slot| self.places.get_mut(slot));
        *place.expect("the place is free or has just been made") = Some(Box::new(make(id)));
        self.len = self.len.saturating_add(1);
        id
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Box<Session>> {
        let place = self.places.get_mut(usize::try_from(slot).ok()?)?;
        let session = place.take()?;
        self.free.push(slot);
        self.len = self.len.saturating_sub(1);
        Some(session)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.places
            .iter_mut()
            .flatten()
            .map(|session| &mut **session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> + Clone {
        self.places.iter().flatten().map(|session| &**session)
    }
}
