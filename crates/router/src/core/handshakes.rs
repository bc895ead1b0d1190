//! What came of the handshakes with other routers.

use std::collections::BTreeMap;

use ramson_proto::ntcp2::{CloseReason, HandshakeError};

/// Why a connection did not become a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// We dialled, and no connection came about.
    Unreachable,
    /// A connection came in and nothing was said.
    Silent,
    /// The connection ended in the midst.
    Ended,
    /// The peer took too long.
    TimedOut,
    /// A message was damaged, a replay or made for another router.
    NotAuthentic,
    /// The peer speaks another version, or is in another network.
    Incompatible,
    /// The clocks differ too much.
    Clock,
    /// The peer's RouterInfo is not acceptable, or not that of whoever holds the static key.
    RouterInfo,
    /// The peer broke the rules in another way.
    Malformed,
    /// We did not want the peer.
    Refused,
}

impl HandshakeFailure {
    /// `began` is whether anything came of a peer that dialled us, or went to one that we dialled.
    pub(crate) fn of(why: &CloseReason, incoming: bool, began: bool) -> Self {
        match why {
            _ if !began && incoming => Self::Silent,
            _ if !began => Self::Unreachable,
            CloseReason::Handshake(error) => match error {
                HandshakeError::NotAuthentic(_)
                | HandshakeError::Replay
                | HandshakeError::InvalidKey => Self::NotAuthentic,
                HandshakeError::Version { .. } | HandshakeError::Network { .. } => {
                    Self::Incompatible
                }
                HandshakeError::ClockSkew { .. } => Self::Clock,
                HandshakeError::RouterInfoMalformed
                | HandshakeError::RouterInfoSignature
                | HandshakeError::RouterInfoNetwork { .. }
                | HandshakeError::RouterInfoTooOld { .. }
                | HandshakeError::RouterInfoFromFuture { .. }
                | HandshakeError::StaticKey
                | HandshakeError::Host { .. } => Self::RouterInfo,
                HandshakeError::PaddingTooLong { .. }
                | HandshakeError::ConfirmedLength { .. }
                | HandshakeError::OutOfTurn
                | HandshakeError::Malformed(_)
                | HandshakeError::WrongBlocks => Self::Malformed,
                HandshakeError::Banned => Self::Refused,
                HandshakeError::TimedOut(_) => Self::TimedOut,
            },
            CloseReason::Local(_) => Self::Refused,
            CloseReason::Remote(_) | CloseReason::SocketEnded => Self::Ended,
            CloseReason::Idle => Self::TimedOut,
            CloseReason::FrameNotAuthentic
            | CloseReason::FrameTooShort { .. }
            | CloseReason::Malformed(_) => Self::Malformed,
            CloseReason::ClockSkew { .. } => Self::Clock,
        }
    }
}

/// How many handshakes were done, and how many failed for which reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandshakeCounters {
    /// Those with routers that we dialled.
    pub dialled: u64,
    /// Those with routers that dialled us.
    pub accepted: u64,
    /// Those with routers that we dialled and that failed.
    pub dialled_failed: BTreeMap<HandshakeFailure, u64>,
    /// Those with routers that dialled us and that failed.
    pub accepted_failed: BTreeMap<HandshakeFailure, u64>,
}

impl HandshakeCounters {
    pub(super) fn done(&mut self, incoming: bool) {
        *if incoming {
            &mut self.accepted
        } else {
            &mut self.dialled
        } += 1;
    }

    pub(super) fn failed(&mut self, incoming: bool, failure: HandshakeFailure) {
        let failures = if incoming {
            &mut self.accepted_failed
        } else {
            &mut self.dialled_failed
        };
        *failures.entry(failure).or_default() += 1;
    }
}
