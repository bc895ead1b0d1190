//! What a router tells of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_proto::Now;
use ramson_wire::Congestion;

use super::{Core, HandshakeCounters};

/// Why something came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// A message that is not what it is said to be.
    Malformed,
    /// A message whose time is over, or too far ahead.
    Expired,
    /// A message of a type that no router takes.
    UnknownType,
    /// An answer to nothing we asked.
    UnexpectedReply,
    /// The queue towards the router is full.
    QueueFull,
    /// A neighbour stores more than it may.
    StoreQuota,
    /// A neighbour looks up more than it may.
    LookupQuota,
    /// A neighbour builds more tunnels than it may.
    BuildQuota,
    /// A build record that cannot be opened, or makes no sense.
    BuildRecord,
    /// A build record that was seen before.
    BuildReplay,
    /// A build request that is too old or from the future.
    BuildTime,
    /// A garlic message that cannot be opened.
    Garlic,
    /// A garlic message that was seen before.
    GarlicReplay,
    /// An entry that was not stored.
    StoreRefused,
    /// A link that ended because a frame was damaged, or made no sense.
    DamagedFrame,
    /// A look-up of somebody who does not ask a floodfill.
    NotFloodfill,
    /// A router of which nothing is known, and of which a neighbour wants more than it may.
    UnknownRouterQuota,
    /// A tunnel of others: its id is taken here.
    TransitId,
    /// A tunnel of others: there are as many as we want, or nearly.
    TransitFull,
    /// A tunnel of others: while there are many, this neighbour has too many of them.
    TransitShare,
    /// A tunnel of others: the router is about to end.
    TransitDraining,
    /// A tunnel of others: of a kind that we do not know.
    TransitUnsupported,
    /// A tunnel of others: there is no room for a queue towards its next hop.
    TransitNext,
    /// A link that came up while there were as many as we want.
    LinksFull,
    /// A connection, because too many handshakes are under way.
    HandshakesFull,
    /// A connection, because too many handshakes of its source are under way.
    HandshakesOfSource,
    /// A handshake whose first message was seen before.
    HandshakeReplay,
    /// A message for a tunnel, because its relay was behind.
    RelayBehind,
    /// A neighbour's message, because the control plane was behind.
    CoreBehind,
    /// A tunnel message that is none.
    NoTunnelMessage,
    /// A message that waited too long for its link.
    TooLate,
    /// A message that waited in a link that ended.
    Unsent,
    /// A RouterInfo told on a link that is malformed or wrongly signed.
    RouterInfoInvalid,
    /// A RouterInfo told on a link beyond the rate at which they are verified.
    RouterInfoQuota,
}

/// A snapshot of a router.
#[derive(Debug, Clone, Default)]
pub struct RouterStatus {
    /// Links that are up.
    pub links: usize,
    /// Links that came in and have not shaken hands.
    pub half_open: usize,
    /// Dials so far.
    pub dials: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// What came of handshakes.
    pub handshakes: HandshakeCounters,
    /// RouterInfos known.
    pub routers: usize,
    /// Floodfills among them.
    pub floodfills: usize,
    /// LeaseSets stored.
    pub lease_sets: usize,
    /// Look-ups of others that were answered: with what was asked for, and with other routers to
    /// ask.
    pub lookups_answered: [u64; 2],
    /// How many of these came encrypted to us and were answered encrypted.
    pub lookups_encrypted: u64,
    /// Transit tunnels.
    pub transit_tunnels: usize,
    /// Requests to take part in a tunnel that were accepted, by role: inbound gateway,
    /// participant, outbound endpoint.
    pub transit_accepted: [u64; 3],
    /// How many of those were made with records of 528 bytes.
    pub transit_long_records: u64,
    /// Requests that were refused.
    pub transit_refused: u64,
    /// Own exploratory tunnels, inbound and outbound.
    pub exploratory: [usize; 2],
    /// Tunnels of local Destinations, inbound and outbound.
    pub destinations: [usize; 2],
    /// Own tunnels that were built and that failed to be.
    pub builds: [u64; 2],
    /// How long it took until the first own tunnel stood.
    pub first_tunnel_after: Option<Duration>,
    /// What came to nothing.
    pub drops: BTreeMap<DropReason, u64>,
    /// Refuses new transit tunnels, to end.
    pub draining: bool,
    /// The congestion that is published.
    pub congestion: Option<Congestion>,
}

impl Core {
    /// Puts the snapshot where others read it.
    pub(super) fn report(&mut self, now: Now) {
        let began = *self.began.get_or_insert(now.instant);
        if self.first_tunnel_after.is_none() && self.tunnels.counts() != [0, 0] {
            self.first_tunnel_after = Some(now.instant.saturating_since(began));
        }
        let mut drops = self.drops.clone();
        self.links.count_drops(&mut drops);
        let status = RouterStatus {
            links: self.links.linked_count(),
            half_open: self.links.half_open(),
            dials: self.links.dials,
            dials_failed: self.links.dials_failed,
            handshakes: self.handshakes.clone(),
            routers: self.netdb.router_count(),
            floodfills: self.netdb.floodfill_count(),
            lease_sets: self.netdb.lease_set_count(),
            lookups_answered: self.lookups.answered,
            lookups_encrypted: self.lookups.answered_encrypted,
            transit_tunnels: self.transit.tunnels(),
            transit_accepted: self.transit.accepted,
            transit_long_records: self.transit.long_records,
            transit_refused: self.transit.refused,
            exploratory: self.tunnels.counts(),
            destinations: self.tunnels.client_counts(),
            builds: self.tunnels.builds(),
            first_tunnel_after: self.first_tunnel_after,
            drops,
            draining: self.draining,
            congestion: self.load.congestion(),
        };
        *self.status.lock().unwrap_or_else(|it| it.into_inner()) = status;
    }
}
