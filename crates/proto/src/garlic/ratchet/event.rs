use std::fmt;

use bytes::Bytes;
use ramson_wire::GarlicClove;

use super::error::Fault;
use crate::garlic::router::Clove;

/// The static X25519 key of a peer, by which sessions know it; which Destination it belongs to says
/// the LeaseSet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub [u8; 32]);

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(..)")
    }
}

/// A session, as long as it lives and never again after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub(super) slot: u32,
    pub(super) serial: u64,
}

/// Which message of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageNumber {
    /// The one that opened it.
    NewSession,
    /// A reply to that, counted from 0.
    Reply(u16),
    /// One of the established session.
    Existing {
        /// The number of its tag set.
        set: u16,
        /// Its number in the set.
        number: u16,
    },
}

/// A message that was sealed, for acks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The session.
    pub session: SessionId,
    /// The message.
    pub number: MessageNumber,
}

/// What is to be sealed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outgoing<'a> {
    /// The messages.
    pub cloves: &'a [GarlicClove<'a>],
    /// Whether our LeaseSet goes along when the peer may not have it.
    pub lease_set: bool,
    /// Whether [`Event::Acked`] is to tell when the message arrived.
    pub ack: bool,
}

/// A sealed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The body of a Garlic message.
    pub body: Bytes,
    /// The message, `None` if nothing can come back.
    pub id: Option<MessageId>,
}

/// A message of our own: a reply, an ack or a key that did not find anything to go along with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Whom it is for. Who does not know that peer's LeaseSet drops it.
    pub peer: PeerKey,
    /// The body of a Garlic message.
    pub body: Bytes,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The owner of a static key, which the message has proven.
    Peer {
        /// The key.
        key: PeerKey,
        /// The session.
        session: SessionId,
        /// Whether the message opened the session: its LeaseSet clove says of which Destination the
        /// key is.
        is_new: bool,
    },
    /// Nobody: there is no way back.
    Unbound,
    /// Whoever had the key of an answer.
    Answer,
}

/// What was in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who wrote it.
    pub from: Sender,
    /// The messages in their order, slices of the one received.
    pub cloves: Vec<Clove>,
    /// What was wrong with other blocks, which then had no effect.
    pub faults: Vec<Fault>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Nothing came for long.
    Expired,
    /// The peer did not reply.
    Unanswered,
    /// The peer said so, with this reason.
    Terminated(u8),
    /// There were too many sessions or tags.
    Evicted,
    /// [`close`](super::Sessions::close) was called.
    Closed,
}

/// What happened to sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A session is established: both sides have answered.
    Established {
        /// The peer.
        peer: PeerKey,
        /// The session, which replaces others of the peer for sending.
        session: SessionId,
    },
    /// A message arrived of which that was asked.
    Acked {
        /// The peer.
        peer: PeerKey,
        /// The message.
        id: MessageId,
    },
    /// A session is not used for sending any more: its window was full for long or its tags ended.
    Stalled {
        /// The peer.
        peer: PeerKey,
        /// The session.
        session: SessionId,
    },
    /// A session ended.
    Ended {
        /// The peer.
        peer: PeerKey,
        /// The session.
        session: SessionId,
        /// Why.
        reason: EndReason,
    },
}
