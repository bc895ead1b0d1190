use std::time::Duration;

use ramson_wire::{RouterInfo, Verified};

use super::{CloseReason, LinkMessage};

/// What a [`super::Connection`] has to say.
#[derive(Debug)]
pub enum Event {
    /// The first message of an inbound handshake is authentic. Nothing goes on until
    /// [`super::Connection::admit`] is called, with what [`super::Admission::check_key`] says of
    /// this key.
    ///
    /// It comes only after the message was found authentic, so that noise cannot fill the filter
    /// of replays.
    EphemeralKey {
        /// Alice's ephemeral key as it was sent, encrypted.
        encrypted: [u8; 32],
    },
    /// The handshake is done on our side. As a responder we know the peer; as an initiator we do
    /// not know yet whether it accepts us.
    Established {
        /// The other router.
        peer: Verified<RouterInfo>,
        /// By how many milliseconds its clock is ahead of ours, give or take a second.
        skew_ms: i64,
        /// The round-trip time.
        rtt: Duration,
    },
    /// An I2NP message came. It may have expired.
    Message(LinkMessage),
    /// A RouterInfo came whose signature holds: usually the peer's, possibly of another router.
    RouterInfo {
        /// The RouterInfo.
        info: Verified<RouterInfo>,
        /// Asks a floodfill to pass it on.
        flood: bool,
    },
    /// The link is over: no other event follows, and nothing can be sent. The last event of every
    /// link.
    ///
    /// Go on driving it until [`super::Connection::is_closed`] says that the socket can be closed:
    /// it may have a termination to send.
    Closed {
        /// Why.
        why: CloseReason,
    },
}

impl Event {
    /// Returns how many bytes the event keeps in memory, about.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Message(message) => message.block_len(),
            Self::RouterInfo { .. } => 1024,
            Self::EphemeralKey { .. } | Self::Established { .. } | Self::Closed { .. } => 0,
        }
    }
}
