//! Sessions over a router's SAM bridge.
//!
//! A `Supervisor` task owns a session: it brings up the control connections (one `Generation`),
//! serves until they are lost and brings up the next one. `Core` is what the public handles share
//! with it. Streams and datagrams pass the supervisor by.

mod accept;
mod connect;
pub(crate) use connect::connect;

mod control;

mod core;
pub(crate) use core::{Core, StreamGuard};

mod datagrams;
pub(crate) use datagrams::{Hub, Incoming};

mod generation;
pub(crate) use generation::Generation;

mod proof;

mod router;
pub(crate) use router::SamRouter;
#[cfg(feature = "testing")]
pub use router::Timing;
#[cfg(not(feature = "testing"))]
pub(crate) use router::Timing;

mod supervisor;
