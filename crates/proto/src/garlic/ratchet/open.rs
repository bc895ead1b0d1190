//! What comes in: whose it is, and what it does to sessions.

use bytes::{Buf, Bytes, BytesMut};
use ramson_crypto::AeadKey;
use ramson_wire::Instant;
use ramson_wire::i2np::Garlic;

use super::error::OpenError;
use super::event::{MessageNumber, Opened, PeerKey, Sender, SessionId};
use super::handshake::{HandshakeError, MAC_LEN, NEW_SESSION_HEADER, NewSession, REPLY_HEADER};
use super::limits::{HANDSHAKE_DELAY, REPLACED, RESTART_AGE, RESTART_SILENCE};
use super::payload::{LENGTH_LEN, Parsed};
use super::session::{Phase, Replies};
use super::sessions::Sessions;
use super::table::Expected;
use super::tag_set::{SendTags, TAG_LEN, Tag};
use super::window::{Purpose, ReceiveWindow, SendWindow};
use crate::Now;
use crate::garlic::router::OpenedGarlic;

impl From<HandshakeError> for OpenError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::TooShort => Self::TooShort,
            HandshakeError::BadKey => Self::BadKey,
            HandshakeError::NotForUs => Self::NotForUs,
            HandshakeError::Payload => Self::Decrypt,
        }
    }
}

impl Sessions {
    /// Decrypts the body of a Garlic message, in place.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Sessions are then as they were, but that a message whose content makes no
    /// sense has come.
    pub fn open(&mut self, mut body: BytesMut, now: Now) -> Result<Opened, OpenError> {
        let opened = match Garlic::parse(&body) {
            Ok(_) => {
                body.advance(LENGTH_LEN);
                self.open_content(body, now)
            }
            Err(error) => Err(OpenError::Framing(error)),
        };
        if let Err(error) = &opened {
            let stats = &mut self.stats;
            let counter = match error {
                OpenError::Framing(_) => &mut stats.dropped_framing,
                OpenError::TooShort => &mut stats.dropped_short,
                OpenError::Rate => &mut stats.dropped_rate,
                OpenError::BadKey => &mut stats.dropped_bad_key,
                OpenError::NotForUs => &mut stats.dropped_not_for_us,
                OpenError::Decrypt => &mut stats.dropped_decrypt,
                OpenError::Replayed => &mut stats.dropped_replayed,
                OpenError::NoTime => &mut stats.dropped_no_time,
                OpenError::TwoTimes => &mut stats.dropped_two_times,
                OpenError::Old => &mut stats.dropped_old,
                OpenError::Ahead => &mut stats.dropped_ahead,
                OpenError::Payload(_) => &mut stats.dropped_payload,
            };
            *counter = counter.saturating_add(1);
        }
        opened
    }

    fn open_content(&mut self, content: BytesMut, now: Now) -> Result<Opened, OpenError> {
        let tag: Tag = *content.first_chunk().ok_or(OpenError::TooShort)?;
        match self.table.get(&tag) {
            Some(Expected::Session { slot, set, number }) => {
                let session = self.slots.get(slot).ok_or(OpenError::NotForUs)?;
                let mut windows = session.receive.iter();
                let window = windows.find(|window| window.serial == set);
                match window.map(|window| window.purpose) {
                    Some(Purpose::Replies) => {
                        self.open_reply((slot, set, number), &tag, content, now)
                    }
                    Some(Purpose::Messages(_)) => {
                        self.open_existing((slot, set, number), &tag, content, now)
                    }
                    None => Err(OpenError::NotForUs),
                }
            }
            Some(Expected::Answer(place)) => self.open_answer(place, &tag, content),
            None => self.open_new(content, now),
        }
    }

    fn open_answer(
        &mut self,
        place: u32,
        tag: &Tag,
        mut content: BytesMut,
    ) -> Result<Opened, OpenError> {
        let (answer, _) = self.answers.get(&place).ok_or(OpenError::NotForUs)?;
        let sealed = content.get_mut(TAG_LEN..).unwrap_or_default();
        AeadKey::new(answer.key)
            .open_in_place(0, tag, sealed)
            .map_err(|_| OpenError::Decrypt)?;
        self.table.remove(tag);
        self.answers.remove(&place);
        let parsed = Parsed::parse(&payload(content, TAG_LEN), false)?;
        self.stats.opened_answers = self.stats.opened_answers.saturating_add(1);
        Ok(self.opened(Sender::Answer, parsed))
    }

    /// Opens a message without a known tag: one that opens a session, or nothing of ours.
    fn open_new(&mut self, mut content: BytesMut, now: Now) -> Result<Opened, OpenError> {
        if content.len() < NEW_SESSION_HEADER.saturating_add(MAC_LEN) {
            return Err(OpenError::TooShort);
        }
        if !self.unknown.take(self.limits.unknown_per_s, now.instant) {
            return Err(OpenError::Rate);
        }
        let NewSession { ephemeral, bound } = self.local.open(&mut content)?;
        let parsed = Parsed::parse(&payload(content, NEW_SESSION_HEADER), false)?;
        let time = parsed.date_time.ok_or(OpenError::NoTime)?;
        if now.unix.saturating_since(time) > OpenedGarlic::MAX_AGE {
            return Err(OpenError::Old);
        }
        if time.saturating_since(now.unix) > OpenedGarlic::MAX_AHEAD {
            return Err(OpenError::Ahead);
        }
        let half = ephemeral.first_chunk().expect("a key has 32 bytes");
        if !self.replays.insert(half, now.instant) {
            return Err(OpenError::Replayed);
        }
        let Some((static_key, responder)) = bound else {
            self.stats.opened_one_time = self.stats.opened_one_time.saturating_add(1);
            return Ok(self.opened(Sender::Unbound, parsed));
        };
        let key = PeerKey(static_key);
        let phase = Phase::Received(Replies {
            tags: SendTags::new(responder.reply_tags()),
            responder,
            sent: Vec::new(),
        });
        let session = self.receive_new(key, ephemeral, phase, now.instant);
        self.stats.opened_new_sessions = self.stats.opened_new_sessions.saturating_add(1);
        let from = Sender::Peer {
            key,
            session,
            is_new: true,
        };
        Ok(self.opened(from, parsed))
    }

    fn receive_new(
        &mut self,
        key: PeerKey,
        ephemeral: [u8; 32],
        phase: Phase,
        now: Instant,
    ) -> SessionId {
        let pending = self.peers.get(&key).map(|peer| &peer.received);
        if let Some(pending) = pending
            && pending.len() >= self.limits.pending_per_peer.max(1)
            && let Some(oldest) = pending.front().copied()
        {
            self.evict(oldest);
        }
        if let Some(oldest) = self.surplus_received() {
            self.evict(oldest);
        }
        let id = self.add(key, ephemeral, phase, now);
        if let Some(session) = self.slots.find(id) {
            // Who writes to us has found our LeaseSet.
            session.bundled.confirmed = self.lease_set_version;
        }
        let slots = &self.slots;
        let peer = self.peers.entry(key);
        // Whoever begins anew after a while has forgotten the session, or soon will.
        peer.active.take_if(|slot| {
            slots.get(*slot).is_none_or(|session| {
                now.saturating_since(session.established) >= RESTART_AGE
                    || now.saturating_since(session.last_received) >= RESTART_SILENCE
            })
        });
        // One empty reply is enough, to the latest, and no later than to the first: that peer may
        // write more often than we wait.
        let earlier = peer.received.back().copied();
        peer.received.push_back(id.slot);
        let mut at = now + HANDSHAKE_DELAY;
        if let Some(earlier) = earlier {
            let due = self
                .slots
                .get(earlier)
                .and_then(|session| session.respond_at);
            at = at.min(due.unwrap_or(at));
            self.responded(earlier);
        }
        self.respond(id.slot, at);
        id
    }

    /// The oldest of the sessions that peers opened, if there are as many as there may be.
    fn surplus_received(&self) -> Option<u32> {
        let is_received = |phase: &Phase| matches!(phase, Phase::Received(_));
        let sessions = self.slots.iter();
        let count = sessions
            .clone()
            .filter(|session| is_received(&session.phase))
            .count();
        if count < self.limits.received.max(1) {
            return None;
        }
        sessions
            .filter(|session| is_received(&session.phase))
            .min_by_key(|session| session.id.serial)
            .map(|session| session.id.slot)
    }

    fn open_reply(
        &mut self,
        (slot, serial, number): (u32, u16, u16),
        tag: &Tag,
        mut content: BytesMut,
        now: Now,
    ) -> Result<Opened, OpenError> {
        let now = now.instant;
        let session = self.slots.get_mut(slot).ok_or(OpenError::NotForUs)?;
        let (Phase::Initiated(initiator) | Phase::Established(Some(initiator))) = &session.phase
        else {
            return Err(OpenError::NotForUs);
        };
        let split = initiator
            .open(&self.local, &mut content)
            .map_err(|error| match error {
                HandshakeError::NotForUs => OpenError::Decrypt,
                error => error.into(),
            })?;
        if let Some(window) = find(&mut session.receive, serial) {
            let place = (slot, number, tag);
            window.received(place, now, &self.limits, &mut self.table, &mut self.stats);
        }
        session.last_received = now;
        let (peer, id) = (session.peer, session.id);
        let has_active = self
            .peers
            .get(&peer)
            .is_some_and(|peer| peer.active.is_some());
        if !session.is_established() && !has_active {
            let waiting = Phase::Established(None);
            if let Phase::Initiated(initiator) = std::mem::replace(&mut session.phase, waiting) {
                session.phase = Phase::Established(Some(initiator));
            }
            session.send = Some(SendWindow::new(split.initiator, now));
            session.wait_for(Purpose::Messages(0), split.responder, &mut self.table);
            self.establish(slot, now);
        }
        self.arrived(slot, MessageNumber::NewSession);
        let parsed = Parsed::parse(&payload(content, REPLY_HEADER), false)?;
        // Until a message of the session comes, the peer has nothing but replies.
        if self.peers.get(&peer).and_then(|peer| peer.active) == Some(slot) {
            self.respond(slot, now + HANDSHAKE_DELAY);
        }
        self.stats.opened_replies = self.stats.opened_replies.saturating_add(1);
        let from = Sender::Peer {
            key: peer,
            session: id,
            is_new: false,
        };
        Ok(self.opened(from, parsed))
    }

    fn open_existing(
        &mut self,
        (slot, serial, number): (u32, u16, u16),
        tag: &Tag,
        mut content: BytesMut,
        now: Now,
    ) -> Result<Opened, OpenError> {
        let now = now.instant;
        let session = self.slots.get_mut(slot).ok_or(OpenError::NotForUs)?;
        let window = find(&mut session.receive, serial).ok_or(OpenError::NotForUs)?;
        let Purpose::Messages(set) = window.purpose else {
            return Err(OpenError::NotForUs);
        };
        let key = window.take_key(number).ok_or(OpenError::NotForUs)?;
        let sealed = content.get_mut(TAG_LEN..).unwrap_or_default();
        let opened = AeadKey::new(*key).open_in_place(number.into(), tag, sealed);
        if opened.is_err() {
            window.tags.put_back(number, key);
            return Err(OpenError::Decrypt);
        }
        let place = (slot, number, tag);
        window.received(place, now, &self.limits, &mut self.table, &mut self.stats);
        session.last_received = now;
        if let Phase::Received(replies) = &mut session.phase {
            let used = replies.sent.iter().position(|sent| sent.serial == serial);
            let used = replies.sent.swap_remove(used.ok_or(OpenError::NotForUs)?);
            session.send = Some(SendWindow::new(used.send, now));
            session.phase = Phase::Established(None);
            session.forget(&mut self.table, |window| window.serial == serial);
            self.establish(slot, now);
            self.arrived(slot, MessageNumber::Reply(used.number));
        }
        self.prefer(slot, now);
        let session = self.slots.get_mut(slot).ok_or(OpenError::NotForUs)?;
        session.reverse.seen(set);
        if set > 0 && set == session.reverse.set() {
            // It follows others, which late messages may still use.
            for old in &mut session.receive {
                if old.purpose != Purpose::Messages(set) && old.purpose != Purpose::Replies {
                    old.expires.get_or_insert(now + REPLACED);
                }
            }
        }
        let from = Sender::Peer {
            key: session.peer,
            session: session.id,
            is_new: false,
        };
        let mut parsed = Parsed::parse(&payload(content, TAG_LEN), true)?;
        self.stats.opened_existing = self.stats.opened_existing.saturating_add(1);
        self.apply(slot, (set, number), &mut parsed, now);
        Ok(self.opened(from, parsed))
    }

    fn opened(&mut self, from: Sender, parsed: Parsed) -> Opened {
        let stats = &mut self.stats;
        stats.ignored_unknown_blocks = stats.ignored_unknown_blocks.saturating_add(parsed.unknown);
        stats.ignored_misplaced_blocks = stats
            .ignored_misplaced_blocks
            .saturating_add(parsed.misplaced);
        Opened {
            from,
            cloves: parsed.cloves,
            faults: parsed.faults,
        }
    }
}

/// What is between a header and the MAC.
fn payload(mut content: BytesMut, header: usize) -> Bytes {
    content.truncate(content.len().saturating_sub(MAC_LEN));
    content.advance(header.min(content.len()));
    content.freeze()
}

fn find(windows: &mut [ReceiveWindow], serial: u16) -> Option<&mut ReceiveWindow> {
    windows.iter_mut().find(|window| window.serial == serial)
}
