//! NTCP2, the link between two routers over TCP (specification: NTCP2).
//!
//! A [`Connection`] is one link in either role, from its first byte to its last: a Noise XK
//! handshake whose ephemeral keys are hidden, then encrypted frames of blocks. [`Admission`] is
//! asked before an inbound one exists. Neither touches a socket.

mod admission;
pub use admission::{Admission, AdmissionLimits, AdmissionStats, HalfOpen, Refused};

mod config;
pub use config::{AcceptConfig, DialConfig, LinkConfig, LocalRouter};

mod connection;
pub use connection::Connection;

mod data;

mod error;
pub use error::{CloseReason, HandshakeError, HandshakeMessage};

mod event;
pub use event::Event;

mod handshake;

mod keys;

mod message;
pub use message::{LinkMessage, Priority, SendError, SendRefusal};

mod phase;

mod queue;
pub use queue::QueueLimits;

mod stats;
pub use stats::LinkStats;

#[cfg(test)]
mod tests;
