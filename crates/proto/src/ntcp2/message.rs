use std::fmt;

use bytes::BytesMut;
use ramson_wire::{I2npMessage, I2npRef, MessageType, UnixTime};

/// An I2NP message as links carry it (NTCP2, Data phase, I2NP message): the short header in
/// fields, the body as bytes.
///
/// The body of a received message is a piece of the frame it came in, so that a relay can change
/// it in place and hand it to the next link without a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkMessage {
    /// What the body is.
    pub kind: MessageType,
    /// The message id.
    pub id: u32,
    /// When the message ends to be of use: seconds since 1970, rounded up by who wrote it.
    pub expiration_s: u32,
    /// The body, without any header.
    pub body: BytesMut,
}

impl LinkMessage {
    /// The block's header and the short I2NP header in front of the body:
    /// `[block type: u8][size: u16 BE][type: u8][id: u32 BE][expiration: u32 BE]`.
    pub const OVERHEAD: usize = 12;

    /// The longest body a frame can carry, in bytes.
    pub const MAX_BODY: usize = I2npMessage::MAX_BODY_LEN;

    /// Returns the message without its buffer.
    pub fn as_i2np(&self) -> I2npRef<'_> {
        I2npRef {
            kind: self.kind,
            id: self.id,
            expires: UnixTime::from_secs(self.expiration_s),
            body: &self.body,
        }
    }

    /// Returns how many bytes of a frame the message takes.
    pub fn block_len(&self) -> usize {
        self.body.len().saturating_add(Self::OVERHEAD)
    }
}

impl fmt::Debug for LinkMessage {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_i2np().fmt(f)
    }
}

/// What goes first when a link has more to send than it can.
///
/// A higher priority is always served first; the lower ones may fill only a part of the queue, so
/// that there is room left for the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// What the router itself says: tunnel building, look-ups, stores. May fill the whole queue.
    Control,
    /// The data of own tunnels. May fill seven eighths of the queue.
    OwnData,
    /// What is carried for others. May fill three quarters of the queue.
    Transit,
}

/// A message that was not taken, with the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct SendError {
    /// Why not.
    pub why: SendRefusal,
    /// The message as it was given.
    pub message: LinkMessage,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    /// The queue has no room for this priority at the moment.
    #[error("the link's queue is full")]
    Full,
    /// The body is longer than [`LinkMessage::MAX_BODY`]: no frame can carry it.
    #[error("the message is too long for a frame")]
    TooLong,
    /// The link has ended or is about to.
    #[error("the link is closed")]
    Closed,
}
