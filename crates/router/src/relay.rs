//! The part that owns tunnels by the id they are received under: transit's and our own ends.

mod data;
mod deliver;
mod gateway;

mod senders;
pub(crate) use senders::RelaySenders;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::LinkMessage;
use ramson_proto::tunnel::reassembly::EndpointStats;
use ramson_proto::tunnel::{DuplicateFilter, Endpoint, Gateway, HopLayer, TunnelLayers};
use ramson_wire::{Instant, MessageType, RouterHash, TunnelId};

use crate::core::CoreMessage;
use crate::destination::DestinationMessage;
use crate::inbox::{Inbox, Sender};
use crate::limiter::Limiter;
use crate::peer::PeerHandle;

/// Places of a shard's inbox.
const INBOX: usize = 8192;
/// Places that one link may hold.
const LINK_SHARE: usize = 1024;
/// Messages of one step.
const BATCH: usize = 256;
/// Handles of routers that outbound endpoints have sent to.
const MAX_TARGETS: usize = 1024;
/// Messages of one tunnel that are layered together.
const LAYER_BATCH: usize = 8;
/// How long tunnel messages are good for. The hop before gave them at least as long.
const TUNNEL_MESSAGE_TTL: Duration = Duration::from_secs(8);
/// Memory of the filter of messages seen before, for all tunnels together.
const DUPLICATES_BYTES: usize = 4 << 20;
/// How long a message is remembered at least.
const DUPLICATES_KEEP: Duration = Duration::from_secs(60);
/// Messages for `Core` that may wait here while it is behind; beyond, they are dropped and counted.
/// One tunnel message may have hundreds in it.
const BACKLOG: usize = 4096;
/// When `Core` is behind, it is told the rest after this.
const RETRY: Duration = Duration::from_millis(5);
/// How often half-assembled messages are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// What a shard is told and given.
#[derive(Debug)]
pub(crate) enum RelayMessage {
    /// A TunnelData message: `[tunnel: u32][IV: 16][data: 1008]`.
    Data {
        from: RouterHash,
        tunnel: TunnelId,
        body: BytesMut,
    },
    /// The message in a TunnelGateway message, and the neighbour it came from.
    Gateway {
        from: Option<RouterHash>,
        tunnel: TunnelId,
        message: Bytes,
    },
    /// Takes a tunnel in.
    Add {
        tunnel: TunnelId,
        receive: Box<ReceiveTunnel>,
        expires: Instant,
    },
    /// Forgets a tunnel.
    Remove { tunnel: TunnelId },
    /// Where messages of outbound endpoints for this router go.
    Target(PeerHandle),
    /// The rate that transit may have from now on, in bytes per second.
    Rate(u64),
}

/// What becomes of the messages of one tunnel.
#[derive(Debug)]
pub(crate) enum ReceiveTunnel {
    /// We take part: a layer more, then on.
    Participant {
        previous: RouterHash,
        next: PeerHandle,
        next_tunnel: TunnelId,
        layer: HopLayer,
    },
    /// We are where others put messages in.
    InboundGateway {
        next: PeerHandle,
        next_tunnel: TunnelId,
        layer: HopLayer,
        gateway: Gateway,
    },
    /// Messages come out here and go where they say.
    OutboundEndpoint {
        previous: RouterHash,
        layer: HopLayer,
        endpoint: Endpoint,
    },
    /// Our own inbound tunnel ends here.
    Own {
        previous: RouterHash,
        layers: TunnelLayers,
        endpoint: Endpoint,
        /// The Destination whose it is; `Core` without.
        to: Option<Sender<DestinationMessage>>,
    },
}

/// What a shard has counted. Every drop has its reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Tunnel messages passed on as participant.
    pub participant: u64,
    /// Messages taken in as inbound gateway.
    pub gateway: u64,
    /// Messages that came out as outbound endpoint.
    pub endpoint: u64,
    /// Messages that came out of our own inbound tunnels.
    pub own: u64,
    /// Bytes of tunnel messages passed on for others.
    pub transit_bytes: u64,
    /// Of a tunnel we do not know.
    pub dropped_unknown: u64,
    /// From another router than the one that asked for the tunnel.
    pub dropped_wrong_router: u64,
    /// Not what the tunnel takes, or of no use.
    pub dropped_malformed: u64,
    /// Seen before.
    pub dropped_duplicate: u64,
    /// The queue towards the next router was full, or so full that some are dropped before it is.
    pub dropped_full: u64,
    /// Over the rate that transit may have.
    pub dropped_rate: u64,
    /// Expired on the way.
    pub dropped_expired: u64,
    /// For `Core`, which was behind.
    pub dropped_core: u64,
    /// For a Destination, which was behind.
    pub dropped_destination: u64,
    /// Fragments of messages that never became whole, or that came twice or contradicted each
    /// other.
    pub dropped_fragment: u64,
    /// Out of our own inbound tunnels, to be sent on: whoever is their gateway may not ask for it.
    pub dropped_not_local: u64,
}

impl RelayCounters {
    /// Adds what an endpoint has dropped meanwhile, beside what is malformed.
    fn count_fragments(&mut self, before: &EndpointStats, after: &EndpointStats) {
        let sum = |stats: &EndpointStats| {
            stats
                .dropped_duplicate
                .saturating_add(stats.dropped_inconsistent)
                .saturating_add(stats.dropped_expired)
                .saturating_add(stats.dropped_full)
        };
        self.dropped_fragment += sum(after).saturating_sub(sum(before));
        self.dropped_not_local += after
            .dropped_not_local
            .saturating_sub(before.dropped_not_local);
    }
}

/// Owns the tunnels whose receive ids fall to it.
///
/// A batch of messages is sorted by tunnel, so that the layers of up to eight of one tunnel are
/// computed at once.
#[derive(Debug)]
pub struct RelayShard {
    us: RouterHash,
    inbox: Inbox<RelayMessage>,
    core: Sender<CoreMessage>,
    to_core: VecDeque<CoreMessage>,
    /// Each with its end.
    tunnels: BTreeMap<TunnelId, (Instant, ReceiveTunnel)>,
    expiries: BTreeSet<(Instant, TunnelId)>,
    /// When half-assembled messages were last looked at.
    swept: Instant,
    targets: BTreeMap<RouterHash, PeerHandle>,
    duplicates: DuplicateFilter,
    random: Random,
    counters: RelayCounters,
    batch: Vec<RelayMessage>,
    data: Vec<(TunnelId, RouterHash, BytesMut)>,
    /// Gateways that took messages in this step.
    touched: BTreeSet<TunnelId>,
    limiter: Limiter,
    /// What `Core` knows of the bytes that were carried and the messages that were dropped.
    told: [u64; 2],
}

impl RelayShard {
    pub(crate) fn new(
        us: RouterHash,
        core: Sender<CoreMessage>,
        rate_bytes_per_s: u64,
        mut random: Random,
    ) -> Self {
        Self {
            us,
            inbox: Inbox::new(INBOX),
            core,
            to_core: VecDeque::new(),
            tunnels: BTreeMap::new(),
            expiries: BTreeSet::new(),
            swept: Instant::ZERO,
            targets: BTreeMap::new(),
            duplicates: DuplicateFilter::new(DUPLICATES_BYTES, DUPLICATES_KEEP, &mut random),
            random,
            counters: RelayCounters::default(),
            batch: Vec::new(),
            data: Vec::new(),
            touched: BTreeSet::new(),
            limiter: Limiter::new(rate_bytes_per_s),
            told: [0; 2],
        }
    }

    /// Leaves the waker of the scheduler; says whether there is something to do already.
    pub fn register(&self, waker: &Waker) -> bool {
        self.inbox.register(waker)
    }

    /// What it counted.
    pub fn counters(&self) -> RelayCounters {
        self.counters
    }

    /// Handles a batch; returns when it wants to be called again.
    pub fn step(&mut self, now: Now) -> Option<Instant> {
        self.expire(now.instant);
        let mut batch = std::mem::take(&mut self.batch);
        let more = self.inbox.take(BATCH, &mut batch);
        for message in batch.drain(..) {
            match message {
                RelayMessage::Data { from, tunnel, body } => self.data.push((tunnel, from, body)),
                RelayMessage::Gateway {
                    from,
                    tunnel,
                    message,
                } => self.take_in(from, tunnel, message, now),
                RelayMessage::Add {
                    tunnel,
                    receive,
                    expires,
                } => {
                    self.remove(tunnel);
                    self.tunnels.insert(tunnel, (expires, *receive));
                    self.expiries.insert((expires, tunnel));
                }
                RelayMessage::Remove { tunnel } => self.remove(tunnel),
                RelayMessage::Target(handle) => {
                    if self.targets.len() >= MAX_TARGETS {
                        self.targets.pop_first();
                    }
                    self.targets.insert(handle.router(), handle);
                }
                RelayMessage::Rate(rate) => self.limiter.set(rate),
            }
        }
        self.batch = batch;
        let mut data = std::mem::take(&mut self.data);
        // Stable: the messages of a tunnel stay in their order.
        data.sort_by_key(|(tunnel, ..)| *tunnel);
        for group in data.chunk_by_mut(|a, b| a.0 == b.0) {
            self.pass_on(group, now);
        }
        data.clear();
        self.data = data;
        for tunnel in std::mem::take(&mut self.touched) {
            self.send_gateway(tunnel, now);
        }
        self.core.post_all(&mut self.to_core);
        let next = self.expiries.first().map(|(expires, _)| *expires);
        if more {
            Some(now.instant)
        } else if !self.to_core.is_empty() {
            Some(now.instant + RETRY)
        } else {
            next
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((expires, tunnel)) = self.expiries.first().copied()
            && expires <= now
        {
            self.expiries.pop_first();
            self.tunnels.remove(&tunnel);
            self.to_core.push_back(CoreMessage::TunnelExpired(tunnel));
        }
        if now.saturating_since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.tell_load();
        for (_, receive) in self.tunnels.values_mut() {
            if let ReceiveTunnel::OutboundEndpoint { endpoint, .. }
            | ReceiveTunnel::Own { endpoint, .. } = receive
                && endpoint.poll_timeout().is_some_and(|at| at <= now)
            {
                let before = *endpoint.stats();
                endpoint.handle_timeout(now);
                self.counters.count_fragments(&before, endpoint.stats());
            }
        }
    }

    /// Tells `Core` what was carried and dropped for others since it was last told.
    fn tell_load(&mut self) {
        let now = &self.counters;
        let totals = [now.transit_bytes, now.dropped_full + now.dropped_rate];
        let [carried, dropped] = self.told;
        if totals == self.told || self.to_core.len() >= BACKLOG {
            return;
        }
        let [new_carried, new_dropped] = totals;
        self.told = totals;
        self.to_core.push_back(CoreMessage::Carried {
            bytes: new_carried.saturating_sub(carried),
            dropped: new_dropped.saturating_sub(dropped),
        });
    }

    fn remove(&mut self, tunnel: TunnelId) {
        if let Some((expires, _)) = self.tunnels.remove(&tunnel) {
            self.expiries.remove(&(expires, tunnel));
        }
    }
}

/// Hands what came out of an own tunnel to whose it is.
fn hand_over(
    to: Option<&Sender<DestinationMessage>>,
    tunnel: TunnelId,
    messages: impl Iterator<Item = Bytes>,
    to_core: &mut VecDeque<CoreMessage>,
    counters: &mut RelayCounters,
) {
    let Some(to) = to else {
        for message in messages {
            let tunnel = Some(tunnel);
            let message = CoreMessage::FromTunnel { tunnel, message };
            tell(to_core, message, counters);
        }
        return;
    };
    let mut posted: VecDeque<_> = messages
        .map(|message| DestinationMessage::FromTunnel { message })
        .collect();
    to.post_all(&mut posted);
    counters.dropped_destination += posted.len() as u64;
}

/// Keeps a message for `Core` as long as there is room.
fn tell(to_core: &mut VecDeque<CoreMessage>, message: CoreMessage, counters: &mut RelayCounters) {
    if to_core.len() < BACKLOG {
        to_core.push_back(message);
    } else {
        counters.dropped_core += 1;
    }
}

/// A message of a tunnel under a fresh id, as each hop sends it.
pub(crate) fn tunnel_message(
    kind: MessageType,
    body: BytesMut,
    random: &mut Random,
    now: Now,
) -> LinkMessage {
    LinkMessage {
        kind,
        id: random.u32(),
        expiration_s: seconds_up(now.unix + TUNNEL_MESSAGE_TTL),
        body,
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds_up(time: ramson_wire::UnixTime) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// What tests look at.
#[cfg(test)]
impl RelayShard {
    pub(crate) fn some_tunnel(&self) -> Option<TunnelId> {
        self.tunnels.keys().next().copied()
    }

    /// Bytes of messages that are not whole.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        let endpoints = self
            .tunnels
            .values()
            .filter_map(|(_, receive)| match receive {
                ReceiveTunnel::OutboundEndpoint { endpoint, .. }
                | ReceiveTunnel::Own { endpoint, .. } => Some(endpoint.unfinished_bytes()),
                _ => None,
            });
        endpoints.sum()
    }

    /// Asserts that nothing holds more than it may.
    pub(crate) fn check_bounds(&self, config: &crate::RouterConfig) {
        use ramson_proto::tunnel::reassembly::ReassemblyLimits;
        assert!(self.inbox.len() <= INBOX && self.to_core.len() <= BACKLOG + self.tunnels.len());
        let own = 64 * config.exploratory.quantity;
        assert!(self.tunnels.len() <= config.transit.tunnels + own);
        assert_eq!(self.tunnels.len(), self.expiries.len());
        assert!(self.targets.len() <= MAX_TARGETS);
        let endpoint = ReassemblyLimits::TRANSIT.bytes;
        assert!(self.unfinished_bytes() <= endpoint * self.tunnels.len());
        assert!(self.duplicates.memory_bytes() <= 2 * DUPLICATES_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};
    use ramson_proto::tunnel::{LAYERED_LEN, TunnelKeys};
    use ramson_wire::TunnelDelivery;

    use super::*;
    use crate::testing::at;

    #[test]
    fn what_waits_for_a_core_that_is_behind_has_a_bound() {
        let core = Inbox::new(10);
        let us = RouterHash([1; 32]);
        let random = Random::from_seed([1; 32]);
        let mut shard = RelayShard::new(us, core.sender(10), 1 << 30, random);
        let sender = shard.inbox.sender(INBOX);
        let (tunnel, previous) = (TunnelId::new(9).unwrap(), RouterHash([2; 32]));
        let keys = TunnelKeys {
            layer: [3; 32],
            iv: [4; 32],
        };
        let receive = ReceiveTunnel::OutboundEndpoint {
            previous,
            layer: HopLayer::new(&keys),
            endpoint: Endpoint::new(EndpointKind::Outbound, ReassemblyLimits::TRANSIT),
        };
        let added = sender.post(RelayMessage::Add {
            tunnel,
            receive: Box::new(receive),
            expires: at(600_000).instant,
        });
        assert!(added.is_ok());

        // Hundreds of messages for us in each tunnel message.
        let mut random = Random::from_seed([5; 32]);
        let mut gateway = Gateway::new(1 << 20);
        for id in 0..50 * 200 {
            let message = Bytes::from_static(&[7]);
            gateway
                .handle_message(TunnelDelivery::Local, id, message)
                .unwrap();
        }
        let layers = TunnelLayers::new([&keys]);
        let mut message = [0; LAYERED_LEN];
        while gateway.flush(&mut random, &mut message) {
            layers.remove_all(&mut message);
            let mut body = BytesMut::from(&tunnel.get().to_be_bytes()[..]);
            body.extend_from_slice(&message);
            let data = RelayMessage::Data {
                from: previous,
                tunnel,
                body,
            };
            assert!(sender.post(data).is_ok());
        }
        let again = shard.step(at(1000));
        assert_eq!(shard.counters.endpoint, 50 * 200);
        assert_eq!(core.len() + shard.to_core.len(), BACKLOG);
        let dropped = 50 * 200 - BACKLOG as u64;
        assert_eq!(shard.counters.dropped_core, dropped);
        // It comes back for the rest, and not at once.
        assert_eq!(again, Some(at(1000).instant + RETRY));
        core.take(usize::MAX, &mut Vec::new());
        shard.step(at(1010));
        assert_eq!(core.len(), 10);
    }
}
