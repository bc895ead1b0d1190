//! What a router tells of itself.

use std::collections::BTreeMap;

use ramson_proto::Now;

use super::Core;

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
    /// An entry that was not stored.
    StoreRefused,
    /// A look-up of somebody who does not ask a floodfill.
    NotFloodfill,
    /// An encryption of replies that nobody uses any more.
    ElGamal,
}

/// A snapshot of a router.
#[derive(Debug, Clone, Default)]
pub struct RouterStatus {
    /// Links that are up.
    pub links: usize,
    /// Dials so far.
    pub dials: u64,
    /// Dials that failed.
    pub dials_failed: u64,
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
    /// Requests that were refused.
    pub transit_refused: u64,
    /// Own exploratory tunnels, inbound and outbound.
    pub exploratory: [usize; 2],
    /// Own tunnels that were built and that failed to be.
    pub builds: [u64; 2],
    /// What came to nothing.
    pub drops: BTreeMap<DropReason, u64>,
    /// Refuses new transit tunnels, to end.
    pub draining: bool,
}

impl Core {
    /// Puts the snapshot where others read it.
    pub(super) fn report(&mut self, _now: Now) {
        let status = RouterStatus {
            links: self.links.linked_count(),
            dials: self.links.dials,
            dials_failed: self.links.dials_failed,
            routers: self.netdb.router_count(),
            floodfills: self.netdb.floodfill_count(),
            lease_sets: self.netdb.lease_set_count(),
            lookups_answered: self.lookups.answered,
            lookups_encrypted: self.lookups.answered_encrypted,
            transit_tunnels: self.transit.tunnels(),
            transit_accepted: self.transit.accepted,
            transit_refused: self.transit.refused,
            exploratory: self.tunnels.counts(),
            builds: self.tunnels.builds(),
            drops: self.drops.clone(),
            draining: self.draining,
        };
        *self.status.lock().unwrap_or_else(|it| it.into_inner()) = status;
    }
}
