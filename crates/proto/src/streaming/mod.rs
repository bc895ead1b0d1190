//! Streams between Destinations (specifications: Streaming Library, and its overview, Streaming
//! Protocol): reliable bytes in order, over messages that get lost, late and twice.
//!
//! A [`Stream`] is one stream in either role, usable alone. [`Connections`] holds those of one local
//! Destination, finds out which one a packet is of, lets others in or not, and answers pings.
//! Neither knows of gzip, garlic or tunnels: packets go in and out, with ports and the peer's hash
//! beside them.
//!
//! What the specification leaves open is done so that i2pd and Java I2P understand it; comments say
//! what they do.

mod config;
pub use config::{InactivityAction, Profile, StreamConfig};

mod congestion;
pub use congestion::{Acked, Congestion, Cubic, CubicConfig, Lost};

mod connections;
pub use connections::{ConnectError, Connections, Event, StreamId, StreamMut, Transmit};

mod error;
pub use error::{CloseReason, PacketError, Read, WriteError};

mod identity;
pub use identity::{Identity, IdentityError};

mod limits;
pub use limits::{AccessList, ConnectionsConfig, LimitAction, RateLimits};

mod pacer;

mod receive;

mod rtt;

mod send;

mod stats;
pub use stats::{ConnectionsStats, StreamStats};

mod stream;
pub use stream::{Stream, StreamEvent};

#[cfg(test)]
mod tests;

/// The longest packet that is looked at: a SYN with the longest Destination, offline block and
/// signature has less than half of it besides its payload.
pub const MAX_PACKET_LEN: usize = 8192;

/// The ports of a stream, which stand in the gzip header around its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ports {
    /// Ours: the source of what is sent, the destination of what is received.
    pub local: u16,
    /// The peer's.
    pub remote: u16,
}
