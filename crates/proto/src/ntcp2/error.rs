use std::net::IpAddr;

use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{DecodeError, UnixTime};
use thiserror::Error;

use crate::Sensitive;

/// One of the three messages of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeMessage {
    /// Message 1, SessionRequest.
    Request,
    /// Message 2, SessionCreated.
    Created,
    /// Message 3, SessionConfirmed.
    Confirmed,
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// A key of the peer is no good: an ephemeral key that is not canonical, or one, ephemeral or
    /// static, with which the agreed secret would be zero.
    #[error("a key of the peer is not usable")]
    InvalidKey,
    /// A message is not authentic: damaged, or made for another router.
    #[error("handshake message {0:?} is not authentic")]
    NotAuthentic(HandshakeMessage),
    /// The first message was seen before.
    #[error("the first handshake message is a replay")]
    Replay,
    /// The initiator speaks another version than 2.
    #[error("the peer speaks version {theirs} of the protocol")]
    Version {
        /// The version it named.
        theirs: u8,
    },
    /// The initiator is in another network.
    #[error("the peer is in network {theirs}")]
    Network {
        /// The network it named.
        theirs: u8,
    },
    /// More padding is announced than we read.
    #[error("handshake message {message:?} announces {len} bytes of padding")]
    PaddingTooLong {
        /// The message with the padding.
        message: HandshakeMessage,
        /// The padding's length in bytes.
        len: u16,
    },
    /// The announced length of the third message cannot be right.
    #[error("the third handshake message would have a part of {len} bytes")]
    ConfirmedLength {
        /// The announced length of its second part in bytes.
        len: u16,
    },
    /// Bytes came while it was not the peer's turn.
    #[error("the peer sent data out of turn")]
    OutOfTurn,
    /// The clocks differ too much.
    #[error("the clocks differ by more than a minute")]
    ClockSkew {
        /// The peer's clock when its message arrived, without correction for the way.
        theirs: UnixTime,
    },
    /// The payload of the third message is not made of blocks.
    #[error("the third handshake message is malformed: {0}")]
    Malformed(DecodeError),
    /// The third message does not start with a RouterInfo, or holds what it may not.
    #[error("the third handshake message does not hold the blocks it should")]
    WrongBlocks,
    /// The RouterInfo is not one, or longer than any may be.
    #[error("the peer's RouterInfo is malformed")]
    RouterInfoMalformed,
    /// The RouterInfo's signature does not hold.
    #[error("the peer's RouterInfo is not signed by it")]
    RouterInfoSignature,
    /// The RouterInfo is of another network or names none.
    #[error("the peer's RouterInfo is of another network")]
    RouterInfoNetwork {
        /// The network it names.
        theirs: Option<u8>,
    },
    /// The RouterInfo is too old.
    #[error("the peer's RouterInfo is too old")]
    RouterInfoTooOld {
        /// When it was published.
        published: UnixTime,
    },
    /// The RouterInfo is dated in the future.
    #[error("the peer's RouterInfo is dated in the future")]
    RouterInfoFromFuture {
        /// When it says it was published.
        published: UnixTime,
    },
    /// No NTCP2 address of the RouterInfo has the static key that the peer proved to hold.
    #[error("the peer's static key is not that of its RouterInfo")]
    StaticKey,
    /// The RouterInfo publishes other hosts than the one that the connection comes from.
    #[error("the peer's RouterInfo publishes another address than the connection's")]
    Host {
        /// Where the connection comes from.
        came_from: Sensitive<IpAddr>,
    },
    /// The peer is banned here.
    #[error("the peer is banned")]
    Banned,
    /// The peer took too long.
    #[error("the peer did not finish handshake message {0:?} in time")]
    TimedOut(HandshakeMessage),
}

impl HandshakeError {
    /// Returns the reason with which a responder answers the failure after message 3; `None` where
    /// it closes without a word.
    ///
    /// Reason 17, banned, makes a Java router ban whoever sends it for two hours, so it answers
    /// nothing but a ban of ours. A wrong host is often an honest router whose address has just
    /// changed or that is bound to the wrong one: reason 13 tells its operator enough.
    pub fn termination(&self) -> Option<TerminationReason> {
        match self {
            Self::ClockSkew { .. } | Self::RouterInfoFromFuture { .. } => {
                Some(TerminationReason::ClockSkew)
            }
            Self::RouterInfoSignature => Some(TerminationReason::RouterInfoSignature),
            Self::StaticKey => Some(TerminationReason::StaticKey),
            Self::Banned => Some(TerminationReason::Banned),
            Self::Malformed(_)
            | Self::WrongBlocks
            | Self::RouterInfoMalformed
            | Self::RouterInfoTooOld { .. }
            | Self::Host { .. } => Some(TerminationReason::Message3),
            Self::InvalidKey
            | Self::NotAuthentic(_)
            | Self::Replay
            | Self::Version { .. }
            | Self::Network { .. }
            | Self::PaddingTooLong { .. }
            | Self::ConfirmedLength { .. }
            | Self::OutOfTurn
            | Self::RouterInfoNetwork { .. }
            | Self::TimedOut(_) => None,
        }
    }
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// We closed it, with this reason.
    #[error("closed by us: {0:?}")]
    Local(TerminationReason),
    /// The peer closed it, with this reason.
    #[error("closed by the peer: {0:?}")]
    Remote(TerminationReason),
    /// The socket ended without a termination.
    #[error("the connection ended")]
    SocketEnded,
    /// Nothing came or went for long.
    #[error("the link was idle")]
    Idle,
    /// A frame of the data phase is not authentic.
    #[error("a frame is not authentic")]
    FrameNotAuthentic,
    /// A frame of the data phase is shorter than its own authentication tag.
    #[error("a frame is only {len} bytes long")]
    FrameTooShort {
        /// Its length as it was announced.
        len: u16,
    },
    /// The content of a frame is not made of blocks in an order that is allowed.
    #[error("a frame is malformed: {0}")]
    Malformed(DecodeError),
    /// The peer's clock went off during the data phase.
    #[error("the clocks differ by more than a minute")]
    ClockSkew {
        /// The peer's clock.
        theirs: UnixTime,
    },
}

impl CloseReason {
    /// Says whether the socket should be reset rather than closed: nobody who only guesses learns
    /// anything from an orderly end (NTCP2, Messages, notes on errors).
    pub fn is_abrupt(&self) -> bool {
        matches!(self, Self::Handshake(error) if error.termination().is_none())
    }
}
