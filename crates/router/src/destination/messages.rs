//! What a Destination is told, and what it tells.

use bytes::Bytes;
use ramson_proto::streaming::{Ports, StreamId};
use ramson_proto::tunnel::TunnelLayers;
use ramson_wire::{DestinationHash, Instant, RouterHash, StoredLeaseSet, TunnelId, Verified};

use super::{Connected, DatagramKind, OutgoingDatagram, ReceivedDatagram, StreamPipe};
use crate::inbox::Sender;
use crate::peer::PeerHandle;

/// Which of a router's Destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(pub(crate) u64);

/// What a Destination is told.
#[derive(Debug)]
pub(crate) enum DestinationMessage {
    /// An inbound tunnel was built.
    Inbound(NewInbound),
    /// An outbound tunnel was built.
    Outbound(NewOutbound),
    /// A message with its long header that came out of an inbound tunnel.
    FromTunnel { message: Bytes },
    /// The floodfills closest to a key, the closest first.
    Floodfills {
        key: [u8; 32],
        found: Vec<Floodfill>,
    },
    /// Somebody wants a LeaseSet.
    LookUp {
        key: [u8; 32],
        reply: Sender<LeaseSetLookup>,
    },
    /// Somebody opens a stream.
    Connect {
        to: DestinationHash,
        ports: Ports,
        reply: Sender<Connected>,
    },
    /// Somebody accepts streams to a port; 0 is all that have no other.
    Listen { port: u16, to: Sender<StreamPipe> },
    /// Nobody does any more.
    Unlisten { port: u16 },
    /// Somebody takes datagrams of a kind to a port.
    ReceiveDatagrams {
        kind: DatagramKind,
        port: u16,
        to: Sender<ReceivedDatagram>,
    },
    /// Somebody sends a datagram.
    SendDatagram(Box<OutgoingDatagram>),
    /// Somebody has read or written.
    Touched(StreamId),
    /// It is over.
    Close,
}

/// An inbound tunnel that stands.
#[derive(Debug)]
pub(crate) struct NewInbound {
    /// Under which its messages come to us.
    pub(crate) receive: TunnelId,
    pub(crate) gateway: RouterHash,
    pub(crate) gateway_tunnel: TunnelId,
    pub(crate) expires: Instant,
}

/// An outbound tunnel that stands.
#[derive(Debug)]
pub(crate) struct NewOutbound {
    /// The id that its first hop receives under.
    pub(crate) tunnel: TunnelId,
    /// The queue towards its first hop; `None` without hops.
    pub(crate) first: Option<PeerHandle>,
    pub(crate) layers: TunnelLayers,
    pub(crate) expires: Instant,
}

/// A floodfill and the key to encrypt to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floodfill {
    pub(crate) router: RouterHash,
    pub(crate) encryption_key: [u8; 32],
}

/// What came of a look-up.
#[derive(Debug, Clone)]
pub struct LeaseSetLookup {
    /// The hash that was looked for.
    pub key: [u8; 32],
    /// What was found.
    pub found: Option<Verified<StoredLeaseSet>>,
}

/// What a Destination tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationEvent {
    /// So many tunnels stand.
    Tunnels {
        /// Through which others reach it.
        inbound: usize,
        /// Through which it speaks.
        outbound: usize,
    },
    /// A floodfill has confirmed the LeaseSet.
    Published,
    /// It is over.
    Closed,
}
