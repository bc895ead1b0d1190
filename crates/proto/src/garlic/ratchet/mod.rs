//! Sessions between Destinations (ECIES-X25519-AEAD-Ratchet).
//!
//! A message that opens a session is Noise IK with its ephemeral key hidden by Elligator2, a reply to
//! it the second message of that. From then on every message begins with a tag of eight bytes, which
//! both sides compute from what they have agreed on, and has a key of its own. After some thousand
//! messages new keys are exchanged within the session, for each direction alone.
//!
//! [`Sessions`] has all of one Destination. Messages to routers and answers under keys chosen ahead
//! are in [`router`](super::router).

mod apply;

mod choose;

mod error;
pub use error::{Fault, OpenError, SealError};

mod event;
pub use event::{
    EndReason, Event, MessageId, MessageNumber, Opened, Outgoing, PeerKey, Sealed, Sender,
    SessionId, Transmit,
};

mod handshake;

mod limits;
pub use limits::Limits;

mod next_key;
pub use next_key::NextKeyError;

mod open;

mod payload;

mod peers;

mod seal;

mod session;

mod sessions;
pub use sessions::Sessions;

mod stats;
pub use stats::RatchetStats;

mod table;

mod tag_set;

mod timers;

mod window;

#[cfg(test)]
mod tests;
