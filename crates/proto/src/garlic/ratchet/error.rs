use ramson_wire::{DecodeError, EncodeError, Instant};
use thiserror::Error;

use super::next_key::NextKeyError;

/// Why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The peer's public key is none.
    #[error("the key of the peer is not usable")]
    BadKey,
    /// The cloves do not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// As many messages are under way as the peer waits for. There is room after an ack.
    #[error("too many messages are not acknowledged")]
    WindowFull,
    /// The peer has not answered what opened the session, and the next attempt would be too soon.
    #[error("the peer has not replied yet")]
    AwaitingReply {
        /// When the next message may go.
        until: Instant,
    },
    /// The peer has not confirmed the session, and there are no more replies to its message.
    #[error("the peer has not confirmed the session yet")]
    RepliesSpent,
}

/// Why a message is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The length in front is not that of the message.
    #[error("the frame is damaged: {0}")]
    Framing(DecodeError),
    /// It is shorter than any message.
    #[error("the message is too short")]
    TooShort,
    /// Its tag is unknown, and too many of those came lately.
    #[error("too many messages without a known tag")]
    Rate,
    /// A key in it is none.
    #[error("a key in the message is not usable")]
    BadKey,
    /// Its tag is unknown, and it was not written for our key.
    #[error("the message is not for this destination")]
    NotForUs,
    /// Tag or key are known, but it does not authenticate. The tag stays good for the message that
    /// does.
    #[error("the message does not authenticate")]
    Decrypt,
    /// It opened a session before.
    #[error("the message came before")]
    Replayed,
    /// It opens a session without saying when it was written.
    #[error("the message has no time")]
    NoTime,
    /// It has two times.
    #[error("the message has two times")]
    TwoTimes,
    /// It opens a session and is too old.
    #[error("the message is too old")]
    Old,
    /// It opens a session and is from the future.
    #[error("the message is from the future")]
    Ahead,
    /// Its blocks are damaged.
    #[error("the content of the message is damaged: {0}")]
    Payload(DecodeError),
}

/// What is wrong with a block of a message that is of use otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Fault {
    /// A block of this type has no place in such a message, or came twice.
    #[error("a block of type {0} has no place here")]
    Misplaced(u8),
    /// A NextKey block breaks the rules.
    #[error(transparent)]
    NextKey(#[from] NextKeyError),
    /// A message is acked that was not sent.
    #[error("an ack of a message that was not sent")]
    Ack,
    /// There is no set before this one, or it was shorter.
    #[error("a number that the set before did not have")]
    MessageNumbers,
}
