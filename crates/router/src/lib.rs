//! A whole I2P router without I/O.
//!
//! A [`Router`] is made of parts that share nothing but messages: [`Core`], the control plane;
//! [`RelayShard`]s, which own tunnels; and a [`LinkPart`] for each connection. Each has one bounded
//! inbox and `step(now)`, which takes a batch and never waits. Whoever runs them, a runtime with
//! sockets or a simulator with pipes, sleeps until a part's inbox wakes it or its time comes.

mod answers;

mod asked;

mod clock;
pub use clock::RouterClock;

mod config;
pub use config::{PoolSettings, RouterConfig, TransitLimits, TunnelSettings};

mod destination;
pub use destination::{
    ConnectError, Connected, DatagramKind, DestinationDrops, DestinationEvent, DestinationHandle,
    DestinationId, DestinationKeys, DestinationKeysError, DestinationPart, LeaseSetLookup,
    OutgoingDatagram, ReceivedDatagram, StreamPipe,
};

pub mod inbox;

mod limiter;

mod drops;

mod link;
pub use link::{LinkCounters, LinkId, LinkPart};

mod own_tunnel;

mod peer;
pub use peer::{PeerDrops, PeerHandle, QueueFull};

mod relay;
pub use relay::{RelayCounters, RelayShard};

mod core;
pub use core::{
    Core, DropReason, HandshakeCounters, HandshakeFailure, LookupOutcome, RouterKeys, RouterStatus,
    ShellRequest, StoreRefusal,
};

mod router;
pub use router::{Router, RouterHandle};

#[cfg(test)]
mod testing;

#[cfg(test)]
mod hostile;
