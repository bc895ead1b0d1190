//! The part that owns tunnels by the id they are received under: transit's and our own ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_proto::tunnel::{
    DuplicateFilter, Endpoint, Gateway, HopLayer, LAYERED_LEN, TunnelLayers, duplicates,
};
use ramson_wire::i2np::{TunnelData, TunnelGateway};
use ramson_wire::{I2npRef, Instant, MessageType, RouterHash, TunnelDelivery, TunnelId};

use crate::core::CoreMessage;
use crate::inbox::{Inbox, Sender};
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
/// Messages for `Core` that may wait in a shard; beyond, they are dropped and counted. One tunnel
/// message may have hundreds in it.
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
    /// The message in a TunnelGateway message.
    Gateway { tunnel: TunnelId, message: Bytes },
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
    /// The queue towards the next router was full.
    pub dropped_full: u64,
    /// Over the rate that transit may have.
    pub dropped_rate: u64,
    /// Expired on the way.
    pub dropped_expired: u64,
    /// For ourselves, while `Core` was behind.
    pub dropped_core_full: u64,
}

/// The senders of all shards, with what waits for each.
#[derive(Debug)]
pub(crate) struct RelaySenders {
    shards: Vec<(Sender<RelayMessage>, VecDeque<RelayMessage>)>,
}

impl Clone for RelaySenders {
    /// The same shards; what waits to be posted stays behind.
    fn clone(&self) -> Self {
        self.with_share(INBOX)
    }
}

impl RelaySenders {
    pub(crate) fn of(shards: &[RelayShard]) -> Self {
        let shards = shards.iter();
        Self {
            shards: shards
                .map(|shard| (shard.inbox.sender(INBOX), VecDeque::new()))
                .collect(),
        }
    }

    /// The same with a share of its own, for a link.
    pub(crate) fn for_link(&self) -> Self {
        self.with_share(LINK_SHARE)
    }

    fn with_share(&self, share: usize) -> Self {
        let shards = self.shards.iter();
        Self {
            shards: shards
                .map(|(sender, _)| (sender.with_share(share), VecDeque::new()))
                .collect(),
        }
    }

    fn shard(
        &mut self,
        tunnel: TunnelId,
    ) -> Option<&mut (Sender<RelayMessage>, VecDeque<RelayMessage>)> {
        let index = tunnel.get() as usize % self.shards.len().max(1);
        self.shards.get_mut(index)
    }

    /// Keeps a message until [`Self::flush`].
    pub(crate) fn push(&mut self, tunnel: TunnelId, message: RelayMessage) {
        if let Some((_, waiting)) = self.shard(tunnel) {
            waiting.push_back(message);
        }
    }

    /// Posts what was kept; counts what there was no room for.
    pub(crate) fn flush(&mut self, dropped: &mut u64) {
        for (sender, waiting) in &mut self.shards {
            if !waiting.is_empty() {
                sender.post_all(waiting);
                *dropped += waiting.len() as u64;
                waiting.clear();
            }
        }
    }

    /// Posts at once.
    pub(crate) fn post(&mut self, tunnel: TunnelId, message: RelayMessage) -> bool {
        match self.shard(tunnel) {
            Some((sender, _)) => sender.post(message).is_ok(),
            None => false,
        }
    }

    /// Tells all shards where a router is reached.
    pub(crate) fn post_target(&self, handle: &PeerHandle) {
        for (sender, _) in &self.shards {
            let _ = sender.post(RelayMessage::Target(handle.clone()));
        }
    }

    /// Shares a new rate among all shards.
    pub(crate) fn post_rate(&self, rate_bytes_per_s: u64) {
        let each = rate_bytes_per_s / self.shards.len().max(1) as u64;
        for (sender, _) in &self.shards {
            let _ = sender.post(RelayMessage::Rate(each));
        }
    }
}

impl RelayMessage {
    /// Keeps a link's message for the shard it concerns; gives back what is for `Core`.
    pub(crate) fn of(
        from: RouterHash,
        message: LinkMessage,
        relays: &mut RelaySenders,
        malformed: &mut u64,
    ) -> Option<LinkMessage> {
        match message.kind {
            MessageType::TunnelData => {
                let tunnel = message.body.first_chunk().copied().map(u32::from_be_bytes);
                match tunnel.and_then(TunnelId::new) {
                    Some(tunnel) if message.body.len() == TunnelData::LEN => {
                        let body = message.body;
                        relays.push(tunnel, Self::Data { from, tunnel, body });
                    }
                    _ => *malformed += 1,
                }
                None
            }
            MessageType::TunnelGateway => {
                let body = message.body.freeze();
                match TunnelGateway::parse(&body) {
                    Ok(gateway) => {
                        let tunnel = gateway.tunnel;
                        let message = body.slice_ref(gateway.message);
                        relays.push(tunnel, Self::Gateway { tunnel, message });
                    }
                    Err(_) => *malformed += 1,
                }
                None
            }
            _ => Some(message),
        }
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
                RelayMessage::Gateway { tunnel, message } => self.take_in(tunnel, message, now),
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
        for (_, receive) in self.tunnels.values_mut() {
            if let ReceiveTunnel::OutboundEndpoint { endpoint, .. }
            | ReceiveTunnel::Own { endpoint, .. } = receive
                && endpoint.poll_timeout().is_some_and(|at| at <= now)
            {
                endpoint.handle_timeout(now);
            }
        }
    }

    fn remove(&mut self, tunnel: TunnelId) {
        if let Some((expires, _)) = self.tunnels.remove(&tunnel) {
            self.expiries.remove(&(expires, tunnel));
        }
    }

    /// Tunnel messages of one tunnel.
    fn pass_on(&mut self, group: &mut [(TunnelId, RouterHash, BytesMut)], now: Now) {
        let Some((tunnel, ..)) = group.first() else {
            return;
        };
        let tunnel = *tunnel;
        let Some((_, receive)) = self.tunnels.get_mut(&tunnel) else {
            self.counters.dropped_unknown += group.len() as u64;
            return;
        };
        let (previous, transit) = match receive {
            ReceiveTunnel::Participant { previous, .. }
            | ReceiveTunnel::OutboundEndpoint { previous, .. } => (*previous, true),
            ReceiveTunnel::Own { previous, .. } => (*previous, false),
            ReceiveTunnel::InboundGateway { .. } => {
                self.counters.dropped_malformed += group.len() as u64;
                return;
            }
        };
        let mut bodies: Vec<BytesMut> = Vec::with_capacity(group.len());
        for (_, from, body) in group.iter_mut() {
            let Some(message) = layered(body) else {
                self.counters.dropped_malformed += 1;
                continue;
            };
            if *from != previous {
                self.counters.dropped_wrong_router += 1;
            } else if !self
                .duplicates
                .insert(&duplicates::message_key(message), now.instant)
            {
                self.counters.dropped_duplicate += 1;
            } else if transit && !self.limiter.take(TunnelData::LEN as u64, now.instant) {
                self.counters.dropped_rate += 1;
            } else {
                bodies.push(std::mem::take(body));
            }
        }
        match receive {
            ReceiveTunnel::Participant {
                next,
                next_tunnel,
                layer,
                ..
            } => {
                add_layers(layer, &mut bodies);
                for mut body in bodies {
                    if let Some(id) = body.first_chunk_mut() {
                        *id = next_tunnel.get().to_be_bytes();
                    }
                    let message =
                        tunnel_message(MessageType::TunnelData, body, &mut self.random, now);
                    match next.send(message, Priority::Transit, now.instant) {
                        Ok(()) => {
                            self.counters.participant += 1;
                            self.counters.transit_bytes += TunnelData::LEN as u64;
                        }
                        Err(_) => self.counters.dropped_full += 1,
                    }
                }
            }
            ReceiveTunnel::OutboundEndpoint {
                layer, endpoint, ..
            } => {
                add_layers(layer, &mut bodies);
                self.counters.dropped_malformed += take_out(endpoint, bodies, now.instant);
                let mut outputs = Vec::new();
                while let Some(output) = endpoint.poll_message() {
                    outputs.push(output);
                }
                for output in outputs {
                    self.counters.endpoint += 1;
                    self.counters.transit_bytes += output.message.len() as u64;
                    self.deliver(output.delivery, output.message, now);
                }
            }
            ReceiveTunnel::Own {
                layers, endpoint, ..
            } => {
                for message in bodies.iter_mut().filter_map(layered) {
                    layers.remove_all(message);
                }
                self.counters.dropped_malformed += take_out(endpoint, bodies, now.instant);
                while let Some(output) = endpoint.poll_message() {
                    self.counters.own += 1;
                    let message = CoreMessage::FromTunnel {
                        tunnel: Some(tunnel),
                        message: output.message,
                    };
                    tell(&mut self.to_core, message, &mut self.counters);
                }
            }
            ReceiveTunnel::InboundGateway { .. } => {}
        }
    }

    /// A message for a tunnel whose gateway we are.
    fn take_in(&mut self, tunnel: TunnelId, message: Bytes, now: Now) {
        let Ok(header) = I2npRef::parse_long_unchecked(&message) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        let id = header.id;
        match self.tunnels.get_mut(&tunnel) {
            Some((_, ReceiveTunnel::InboundGateway { gateway, .. })) => {
                if !self.limiter.take(message.len() as u64, now.instant) {
                    self.counters.dropped_rate += 1;
                } else if gateway
                    .handle_message(TunnelDelivery::Local, id, message)
                    .is_ok()
                {
                    self.counters.gateway += 1;
                    self.touched.insert(tunnel);
                } else {
                    self.counters.dropped_full += 1;
                }
            }
            // A tunnel of ours without hops: what comes for it is for us.
            Some((_, ReceiveTunnel::Own { layers, .. })) => {
                if layers.is_empty() {
                    self.counters.own += 1;
                    let message = CoreMessage::FromTunnel {
                        tunnel: Some(tunnel),
                        message,
                    };
                    tell(&mut self.to_core, message, &mut self.counters);
                } else {
                    self.counters.dropped_malformed += 1;
                }
            }
            Some(_) => self.counters.dropped_malformed += 1,
            None => self.counters.dropped_unknown += 1,
        }
    }

    /// Sends what a gateway has packed.
    fn send_gateway(&mut self, tunnel: TunnelId, now: Now) {
        let Some((
            _,
            ReceiveTunnel::InboundGateway {
                next,
                next_tunnel,
                layer,
                gateway,
            },
        )) = self.tunnels.get_mut(&tunnel)
        else {
            return;
        };
        while !gateway.is_empty() {
            let mut body = BytesMut::zeroed(TunnelData::LEN);
            let Some((id, rest)) = body.split_first_chunk_mut::<4>() else {
                return;
            };
            let Some(message) = rest.first_chunk_mut::<LAYERED_LEN>() else {
                return;
            };
            *id = next_tunnel.get().to_be_bytes();
            if !gateway.flush(&mut self.random, message) {
                return;
            }
            layer.add(message);
            let message = tunnel_message(MessageType::TunnelData, body, &mut self.random, now);
            match next.send(message, Priority::Transit, now.instant) {
                Ok(()) => self.counters.transit_bytes += TunnelData::LEN as u64,
                Err(_) => self.counters.dropped_full += 1,
            }
        }
    }

    /// Sends a message where an outbound tunnel's owner wants it.
    fn deliver(&mut self, delivery: TunnelDelivery, message: Bytes, now: Now) {
        let router = match delivery {
            TunnelDelivery::Local => {
                let message = CoreMessage::FromTunnel {
                    tunnel: None,
                    message,
                };
                return tell(&mut self.to_core, message, &mut self.counters);
            }
            TunnelDelivery::Router(router)
            | TunnelDelivery::Tunnel {
                gateway: router, ..
            } => router,
        };
        let Ok(inner) = I2npRef::parse_long(&message) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        if inner.expires + Duration::from_secs(60) < now.unix {
            self.counters.dropped_expired += 1;
            return;
        }
        if router == self.us {
            let message = match delivery {
                TunnelDelivery::Tunnel { tunnel, .. } => {
                    CoreMessage::ToOwnGateway { tunnel, message }
                }
                _ => CoreMessage::FromTunnel {
                    tunnel: None,
                    message,
                },
            };
            return tell(&mut self.to_core, message, &mut self.counters);
        }
        let message = match delivery {
            TunnelDelivery::Tunnel { tunnel, .. } => {
                let mut body = BytesMut::with_capacity(TunnelGateway::HEADER_LEN + message.len());
                body.put_u32(tunnel.get());
                body.put_u16(u16::try_from(message.len()).unwrap_or(u16::MAX));
                body.extend_from_slice(&message);
                tunnel_message(MessageType::TunnelGateway, body, &mut self.random, now)
            }
            _ => LinkMessage {
                kind: inner.kind,
                id: inner.id,
                expiration_s: seconds_up(inner.expires),
                body: BytesMut::from(inner.body),
            },
        };
        match self.targets.get(&router) {
            Some(target) => {
                if target
                    .send(message, Priority::Transit, now.instant)
                    .is_err()
                {
                    self.counters.dropped_full += 1;
                }
            }
            None => {
                let message = CoreMessage::Forward { router, message };
                tell(&mut self.to_core, message, &mut self.counters);
            }
        }
    }
}

/// Keeps a message for `Core`, as long as there is room. The end of a tunnel is always kept.
fn tell(to_core: &mut VecDeque<CoreMessage>, message: CoreMessage, counters: &mut RelayCounters) {
    if to_core.len() < BACKLOG {
        to_core.push_back(message);
    } else {
        counters.dropped_core_full += 1;
    }
}

/// What is layered of a TunnelData message.
fn layered(body: &mut BytesMut) -> Option<&mut [u8; LAYERED_LEN]> {
    let (_, rest) = body.split_at_mut_checked(4)?;
    rest.first_chunk_mut()
}

/// Adds our layer to messages of one tunnel, several at once.
fn add_layers(layer: &HopLayer, bodies: &mut [BytesMut]) {
    let mut messages: Vec<&mut [u8; LAYERED_LEN]> = bodies.iter_mut().filter_map(layered).collect();
    for batch in messages.chunks_mut(LAYER_BATCH) {
        layer.add_batch(batch);
    }
}

/// Gives clear messages to a tunnel's end; returns how many were of no use.
fn take_out(endpoint: &mut Endpoint, bodies: Vec<BytesMut>, now: Instant) -> u64 {
    let clear = bodies.into_iter().map(|body| body.freeze().slice(4..));
    let failed = clear.filter(|message| endpoint.handle_message(message, now).is_err());
    failed.count() as u64
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

/// A token bucket of one second's worth.
#[derive(Debug)]
struct Limiter {
    rate_bytes_per_s: u64,
    tokens: u64,
    filled: Instant,
}

impl Limiter {
    fn new(rate_bytes_per_s: u64) -> Self {
        Self {
            rate_bytes_per_s,
            tokens: rate_bytes_per_s,
            filled: Instant::ZERO,
        }
    }

    fn set(&mut self, rate_bytes_per_s: u64) {
        self.rate_bytes_per_s = rate_bytes_per_s;
        self.tokens = self.tokens.min(rate_bytes_per_s);
    }

    fn take(&mut self, bytes: u64, now: Instant) -> bool {
        let micros = now.saturating_since(self.filled).as_micros();
        let gained = u128::from(self.rate_bytes_per_s) * micros / 1_000_000;
        if gained > 0 {
            let gained = u64::try_from(gained).unwrap_or(u64::MAX);
            self.tokens = self
                .tokens
                .saturating_add(gained)
                .min(self.rate_bytes_per_s);
            self.filled = now;
        }
        let taken = self.tokens.checked_sub(bytes);
        self.tokens = taken.unwrap_or(self.tokens);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use ramson_proto::tunnel::TunnelKeys;
    use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};

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
        let layer = HopLayer::new(&TunnelKeys {
            layer: [3; 32],
            iv: [4; 32],
        });
        let receive = ReceiveTunnel::OutboundEndpoint {
            previous,
            layer: layer.clone(),
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
        let mut message = [0; LAYERED_LEN];
        while gateway.flush(&mut random, &mut message) {
            layer.remove(&mut message);
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
        assert_eq!(shard.counters.dropped_core_full, dropped);
        // It comes back for the rest, and not at once.
        assert_eq!(again, Some(at(1000).instant + RETRY));
        core.take(usize::MAX, &mut Vec::new());
        shard.step(at(1010));
        assert_eq!(core.len(), 10);
    }

    #[test]
    fn a_rate_that_changes_holds_from_then_on() {
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        let mut limiter = Limiter::new(1000);
        let taken = |limiter: &mut Limiter, seconds| {
            (0..5000).filter(|_| limiter.take(1, at(seconds))).count()
        };
        assert_eq!(taken(&mut limiter, 1), 1000);
        assert_eq!(taken(&mut limiter, 2), 1000);
        limiter.set(10);
        assert_eq!(taken(&mut limiter, 9), 10);
        limiter.set(2000);
        assert_eq!(taken(&mut limiter, 20), 2000);
        limiter = Limiter::new(1000);
        limiter.set(0);
        assert_eq!(taken(&mut limiter, 30), 0);
    }
}
