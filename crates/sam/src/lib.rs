//! SAM v3, the protocol in which programs talk to an I2P router over a socket: lines of
//! `WORD WORD KEY=VALUE ...`, then, for streams, the bytes themselves.
//!
//! The modules here do no I/O and know no clock. [`Client`] is one connection seen from the program,
//! [`Bridge`] the same seen from the router; both are built on the typed [`Request`] and [`Reply`], and those
//! on [`Line`]. The form is that of the samv3 document; where routers and programs in use differ from it, what
//! they do is read as well and said at the item.

mod version;
pub use version::{Version, VersionError, negotiate};

mod secret;
pub use secret::Secret;

mod line;
pub use line::{DEFAULT_LINE_LIMIT, Line, LineBuffer, LineError, PAYLOAD_LIMIT};

mod request;
pub use request::{
    Auth, DestinationSpec, EncodeError, Request, RequestError, SessionOptions, SessionParams, Style,
};

mod reply;
pub use reply::{PeerLine, Reply, ReplyError, ResultCode};

mod datagram;
pub use datagram::{
    DatagramError, HEADER_LIMIT, RawHeader, SendHeader, encode_forwarded, parse_forwarded,
};

mod failure;
pub use failure::{Awaited, Failure, StateError};

mod client;
pub use client::{Client, ClientConfig, Event};

mod bridge;
pub use bridge::{Bridge, BridgeEvent, BridgeLimits, BridgeTimeout};

#[cfg(feature = "client")]
pub mod aio;

#[cfg(test)]
mod tests;
