//! What goes out: which message carries it, and which tag.

use bytes::BytesMut;
use ramson_wire::{CloveDelivery, GarlicClove, I2npMessage, Instant};

use super::error::SealError;
use super::event::{Event, MessageId, MessageNumber, Outgoing, PeerKey, Sealed};
use super::handshake::{HandshakeError, MAC_LEN, NEW_SESSION_HEADER, REPLY_HEADER, seal_unbound};
use super::limits::{
    ACK_AGAIN, ACK_INTERVAL, ACK_INTERVAL_BUSY, ACKS_PER_MESSAGE, FIRST_WINDOW, PENDING,
    REPLY_WINDOW, RESERVE, SEND_IDLE, STALLED,
};
use super::payload::{Content, LENGTH_LEN};
use super::session::{Phase, Reply};
use super::sessions::Sessions;
use super::tag_set::TAG_LEN;
use super::window::Purpose;
use crate::Now;

impl From<HandshakeError> for SealError {
    fn from(_: HandshakeError) -> Self {
        // Frames are made with the room they need.
        Self::BadKey
    }
}

fn local(message: &I2npMessage) -> GarlicClove<'_> {
    GarlicClove {
        delivery: CloveDelivery::Local,
        message: message.as_ref(),
    }
}

impl Sessions {
    /// Encrypts to the owner of a static key: in the established session if there is one, as a reply if
    /// that peer has opened one, and as a message that opens one if not.
    ///
    /// # Errors
    ///
    /// See [`SealError`]; nothing has changed then.
    pub fn seal(&mut self, to: &PeerKey, out: Outgoing<'_>, now: Now) -> Result<Sealed, SealError> {
        if let Some(slot) = self.sending(to, now.instant) {
            match self.seal_existing(slot, &out, now.instant, false) {
                Err(SealError::WindowFull) if self.is_stalled(slot, now.instant) => {
                    self.give_up(slot);
                }
                Err(SealError::WindowFull) => {
                    self.ask_again(slot, now.instant);
                    return Err(SealError::WindowFull);
                }
                sealed => return sealed,
            }
        }
        match self.replying(to, now.instant) {
            Some(slot) => self.seal_reply(slot, &out, now.instant),
            None => self.seal_new(to, &out, now),
        }
    }

    /// Returns the latest session that the peer has opened, if it may still be confirmed.
    fn replying(&self, to: &PeerKey, now: Instant) -> Option<u32> {
        let slot = self.peers.get(to)?.received.back().copied()?;
        let session = self.slots.get(slot)?;
        let Phase::Received(replies) = &session.phase else {
            return None;
        };
        let is_old = now.saturating_since(session.created) > PENDING;
        let is_unheard = replies.tags.next() >= REPLY_WINDOW
            && now.saturating_since(session.last_sent) > STALLED;
        (!is_old && !is_unheard).then_some(slot)
    }

    /// Encrypts to the owner of a static key without a way back: neither LeaseSet nor ack, and a
    /// session does not begin.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    pub fn seal_one_time(
        &mut self,
        to: &PeerKey,
        cloves: &[GarlicClove<'_>],
        now: Now,
    ) -> Result<Sealed, SealError> {
        let content = Content {
            date_time: Some(now.unix),
            cloves,
            ..Content::default()
        };
        let mut body = content.write(NEW_SESSION_HEADER, &mut self.random)?;
        let ephemeral = self.hidden_key();
        seal_unbound(&to.0, &ephemeral, message(&mut body))?;
        self.stats.sealed_new_sessions = self.stats.sealed_new_sessions.saturating_add(1);
        Ok(Sealed {
            body: body.freeze(),
            id: None,
        })
    }

    /// Returns the established session to send on, if it is still good.
    fn sending(&mut self, to: &PeerKey, now: Instant) -> Option<u32> {
        let slot = self.peers.get(to)?.active?;
        let session = self.slots.get(slot)?;
        let is_idle = now.saturating_since(session.last_sent) > SEND_IDLE
            || now.saturating_since(session.last_received) > SEND_IDLE;
        let send = session.send.as_ref()?;
        if is_idle || send.tags.is_exhausted() {
            self.give_up(slot);
            return None;
        }
        Some(slot)
    }

    fn is_stalled(&mut self, slot: u32, now: Instant) -> bool {
        let session = self.slots.get_mut(slot);
        let send = session.and_then(|session| session.send.as_mut());
        let is_stalled = send.is_some_and(|send| send.is_stalled(now));
        if is_stalled {
            self.stats.stalled_sessions = self.stats.stalled_sessions.saturating_add(1);
        }
        is_stalled
    }

    /// Sees to it that an ack is asked for again: the last wish or the ack may be lost.
    fn ask_again(&mut self, slot: u32, now: Instant) {
        let session = self.slots.get(slot);
        if let Some(send) = session.and_then(|session| session.send.as_ref()) {
            let at = now.max(send.last_request + ACK_AGAIN);
            self.respond(slot, at);
        }
    }

    /// Sends on another session from now on.
    fn give_up(&mut self, slot: u32) {
        let Some(session) = self.slots.get(slot) else {
            return;
        };
        let (peer, session) = (session.peer, session.id);
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.active.take_if(|active| *active == slot);
        }
        self.event(Event::Stalled { peer, session });
    }

    /// Encrypts in an established session. Control messages may use what data leaves free.
    pub(super) fn seal_existing(
        &mut self,
        slot: u32,
        out: &Outgoing<'_>,
        now: Instant,
        is_control: bool,
    ) -> Result<Sealed, SealError> {
        let Self {
            slots,
            random,
            limits,
            lease_set,
            lease_set_version,
            stats,
            ..
        } = self;
        let session = slots.get_mut(slot).ok_or(SealError::WindowFull)?;
        let send = session.send.as_mut().ok_or(SealError::WindowFull)?;
        let allowed = send.allowed(limits);
        let data_allowed = allowed.saturating_sub(RESERVE);
        let under_way = send.under_way();
        if under_way >= if is_control { allowed } else { data_allowed } || send.tags.is_exhausted()
        {
            return Err(SealError::WindowFull);
        }
        if send.tags.next() >= limits.next_key_at {
            send.forward.propose(random);
        }
        let lease_set = lease_set
            .as_ref()
            .filter(|_| out.lease_set && session.bundled.needs(*lease_set_version, now));
        let asked = now.saturating_since(send.last_request);
        let ack_request = out.ack
            || lease_set.is_some()
            || under_way.saturating_add(1) == data_allowed
            || (under_way >= data_allowed / 4 && asked >= ACK_INTERVAL_BUSY)
            || (asked >= ACK_INTERVAL && now.saturating_since(send.last_proof) >= ACK_INTERVAL);
        let acks = session.acks.make_contiguous();
        let acks = acks.get(..ACKS_PER_MESSAGE).unwrap_or(acks);
        let content = Content {
            date_time: None,
            lease_set: lease_set.map(local),
            ack_request,
            cloves: out.cloves,
            acks,
            reverse: session.reverse.block(),
            forward: send.forward.block(),
        };
        let mut body = content.write(TAG_LEN, random)?;
        let acked = acks.len();
        let (number, tag, key) = send.tags.take().ok_or(SealError::WindowFull)?;
        let (room, rest) = message(&mut body)
            .split_first_chunk_mut::<TAG_LEN>()
            .expect("the frame has room for the tag");
        let (payload, mac) = rest
            .split_last_chunk_mut::<MAC_LEN>()
            .expect("the frame has room for the MAC");
        *room = tag;
        *mac = key.seal(number.into(), &tag, payload);
        if ack_request {
            send.last_request = now;
        }
        let set = send.forward.set();
        let number = MessageNumber::Existing { set, number };
        if lease_set.is_some() {
            session.bundled.sent(*lease_set_version, number, now);
        }
        if out.ack {
            session.want_ack(number);
        }
        session.acks.drain(..acked);
        session.last_sent = now;
        let id = session.message(number);
        stats.sealed_existing = stats.sealed_existing.saturating_add(1);
        self.responded(slot);
        Ok(Sealed {
            body: body.freeze(),
            id: Some(id),
        })
    }

    /// Encrypts a reply to a New Session message.
    pub(super) fn seal_reply(
        &mut self,
        slot: u32,
        out: &Outgoing<'_>,
        now: Instant,
    ) -> Result<Sealed, SealError> {
        self.make_room(FIRST_WINDOW, Some(slot));
        let ephemeral = self.hidden_key();
        let Self {
            slots,
            random,
            table,
            lease_set,
            lease_set_version,
            stats,
            ..
        } = self;
        let session = slots.get_mut(slot).ok_or(SealError::RepliesSpent)?;
        let Phase::Received(replies) = &mut session.phase else {
            return Err(SealError::RepliesSpent);
        };
        // No more than everybody waits for; and each costs us tags.
        if replies.tags.next() >= REPLY_WINDOW {
            return Err(SealError::RepliesSpent);
        }
        let lease_set = lease_set
            .as_ref()
            .filter(|_| out.lease_set && session.bundled.needs(*lease_set_version, now));
        let content = Content {
            lease_set: lease_set.map(local),
            cloves: out.cloves,
            ..Content::default()
        };
        let mut body = content.write(REPLY_HEADER, random)?;
        let (number, tag) = replies.tags.take_tag().ok_or(SealError::RepliesSpent)?;
        let split = replies
            .responder
            .seal(&tag, &ephemeral, message(&mut body))?;
        let has_lease_set = lease_set.is_some();
        let serial = session.wait_for(Purpose::Messages(0), split.initiator, table);
        if let Phase::Received(replies) = &mut session.phase {
            replies.sent.push(Reply {
                number,
                serial,
                send: split.responder,
            });
        }
        let number = MessageNumber::Reply(number);
        if has_lease_set {
            session.bundled.sent(*lease_set_version, number, now);
        }
        if out.ack {
            session.want_ack(number);
        }
        session.last_sent = now;
        let id = session.message(number);
        stats.sealed_replies = stats.sealed_replies.saturating_add(1);
        self.responded(slot);
        Ok(Sealed {
            body: body.freeze(),
            id: Some(id),
        })
    }

    /// Encrypts a message that opens a session.
    fn seal_new(
        &mut self,
        to: &PeerKey,
        out: &Outgoing<'_>,
        now: Now,
    ) -> Result<Sealed, SealError> {
        let peer = self.peers.get(to);
        let until = peer.map_or(Instant::ZERO, |peer| peer.next_new);
        if peer.is_some_and(|peer| !peer.initiated.is_empty()) && now.instant < until {
            return Err(SealError::AwaitingReply { until });
        }
        let lease_set = self.lease_set.as_ref().filter(|_| out.lease_set);
        let content = Content {
            date_time: Some(now.unix),
            lease_set: lease_set.map(local),
            cloves: out.cloves,
            ..Content::default()
        };
        let has_lease_set = lease_set.is_some();
        let mut body = content.write(NEW_SESSION_HEADER, &mut self.random)?;
        let ephemeral = self.hidden_key();
        let initiator = self.local.seal(&to.0, ephemeral, message(&mut body))?;
        let (opened_by, tags) = (initiator.ephemeral(), initiator.reply_tags());

        if let Some(oldest) = self.peers.get(to).map(|peer| &peer.initiated)
            && oldest.len() >= self.limits.pending_per_peer.max(1)
            && let Some(oldest) = oldest.front().copied()
        {
            self.evict(oldest);
        }
        let id = self.add(*to, opened_by, Phase::Initiated(initiator), now.instant);
        let number = MessageNumber::NewSession;
        if let Some(session) = self.slots.find(id) {
            session.wait_for(Purpose::Replies, tags, &mut self.table);
            if has_lease_set {
                session
                    .bundled
                    .sent(self.lease_set_version, number, now.instant);
            }
            if out.ack {
                session.want_ack(number);
            }
        }
        let peer = self.peers.entry(*to);
        peer.initiated.push_back(id.slot);
        peer.next_new = now.instant + self.limits.new_session_interval;
        self.stats.sealed_new_sessions = self.stats.sealed_new_sessions.saturating_add(1);
        Ok(Sealed {
            body: body.freeze(),
            id: Some(MessageId {
                session: id,
                number,
            }),
        })
    }
}

/// What is behind the length.
fn message(body: &mut BytesMut) -> &mut [u8] {
    body.get_mut(LENGTH_LEN..)
        .expect("the frame begins with the length")
}
