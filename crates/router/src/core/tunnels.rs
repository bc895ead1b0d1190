//! Our own exploratory tunnels: building, testing, replacing (ECIES-X25519 Tunnel Creation; tunnel
//! implementation, life cycle).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_proto::tunnel::build::{BuildPath, HopAnswer, HopSpec, PendingBuild};
use ramson_proto::tunnel::reassembly::{EndpointKind, ReassemblyLimits};
use ramson_proto::tunnel::{Endpoint, Gateway, LAYERED_LEN, TunnelKeys, TunnelLayers};
use ramson_wire::i2np::{DeliveryStatus, Garlic, TunnelData};
use ramson_wire::{
    BandwidthClass, CloveDelivery, Congestion, GarlicClove, I2npMessage, Instant, Mapping,
    MessageType, RouterHash, RouterInfo, TunnelDelivery, TunnelId, UnixTime,
};

use super::{Core, DropReason, Origin};
use crate::config::{TUNNEL_LIFETIME, TunnelSettings};
use crate::relay::{ReceiveTunnel, RelayMessage, seconds_up};

/// How long a build may take; the hops may have to dial.
const BUILD_TIMEOUT: Duration = Duration::from_secs(10);
/// Builds at once.
const MAX_PENDING: usize = 8;
/// A tunnel is replaced this long before its end.
const REPLACE_BEFORE: Duration = Duration::from_secs(90);
/// Pause after a build that failed, of each direction.
const AFTER_FAILURE: Duration = Duration::from_millis(700);
/// How often each pair of tunnels is tested.
const TEST_EVERY: Duration = Duration::from_secs(30);
/// And how soon after one that failed.
const TEST_AGAIN: Duration = Duration::from_secs(1);
/// How long a test message may take.
const TEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Failed tests in a row after which a tunnel is dropped.
const MAX_FAILED_TESTS: u32 = 2;
/// Bytes that wait in the gateway of an own tunnel.
const GATEWAY_BYTES: usize = 256 * 1024;
/// Routers that failed a build lately are chosen last for this long.
const BLAME: Duration = Duration::from_secs(60);

/// Which way a tunnel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Inbound,
    Outbound,
}

#[derive(Debug)]
struct Inbound {
    gateway: RouterHash,
    gateway_tunnel: TunnelId,
    /// Under which its messages come to us.
    receive: TunnelId,
    hops: Vec<RouterHash>,
    expires: Instant,
    tests: Tests,
}

#[derive(Debug)]
struct Outbound {
    first: RouterHash,
    first_tunnel: TunnelId,
    layers: TunnelLayers,
    gateway: Gateway,
    hops: Vec<RouterHash>,
    expires: Instant,
    tests: Tests,
}

#[derive(Debug, Default)]
struct Tests {
    passed: u32,
    failed_in_a_row: u32,
}

#[derive(Debug)]
struct Pending {
    build: PendingBuild,
    way: Way,
    hops: Vec<HopSpec>,
    /// Of an inbound tunnel, where it ends; of an outbound one, where its answer ends if no tunnel
    /// of ours takes it.
    receive: TunnelId,
    /// The tunnel of the other direction that carries the request or takes the answer.
    carrier: Option<TunnelId>,
    deadline: Instant,
    started: Instant,
}

#[derive(Debug)]
struct Test {
    inbound: TunnelId,
    outbound: TunnelId,
    deadline: Instant,
}

/// The exploratory tunnels.
#[derive(Debug)]
pub(super) struct Tunnels {
    settings: TunnelSettings,
    inbound: Vec<Inbound>,
    outbound: Vec<Outbound>,
    /// By the id of the message that answers.
    pending: BTreeMap<u32, Pending>,
    /// By the id in the message that goes around.
    testing: BTreeMap<u32, Test>,
    blamed: BTreeMap<RouterHash, Instant>,
    not_before: [Instant; 2],
    test_at: Instant,
    /// Tunnels are paired differently each time.
    test_round: usize,
    built: u64,
    failed: u64,
    tests_failed: u64,
}

impl Tunnels {
    pub(super) fn new(settings: TunnelSettings) -> Self {
        Self {
            settings,
            inbound: Vec::new(),
            outbound: Vec::new(),
            pending: BTreeMap::new(),
            testing: BTreeMap::new(),
            blamed: BTreeMap::new(),
            not_before: [Instant::ZERO; 2],
            test_at: Instant::ZERO,
            test_round: 0,
            built: 0,
            failed: 0,
            tests_failed: 0,
        }
    }

    /// Inbound and outbound tunnels that stand.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.inbound.len(), self.outbound.len()]
    }

    /// Builds that succeeded and that failed.
    pub(super) fn builds(&self) -> [u64; 2] {
        [self.built, self.failed]
    }

    /// Says whether this id is one of ours.
    pub(super) fn receives(&self, tunnel: TunnelId) -> bool {
        self.inbound.iter().any(|it| it.receive == tunnel)
            || self.pending.values().any(|it| it.receive == tunnel)
    }

    /// Which way has the next tunnel to be built, if any.
    fn wanted(&self, now: Instant) -> Option<Way> {
        let lasting = |expires: Instant| expires > now + REPLACE_BEFORE;
        let inbound = self.inbound.iter().filter(|it| lasting(it.expires)).count();
        let outbound = self
            .outbound
            .iter()
            .filter(|it| lasting(it.expires))
            .count();
        let pending = |way| self.pending.values().filter(|it| it.way == way).count();
        let quantity = self.settings.quantity;
        let [inbound_at, outbound_at] = self.not_before;
        if self.pending.len() >= MAX_PENDING {
            return None;
        }
        let missing_out = quantity.saturating_sub(outbound + pending(Way::Outbound));
        let missing_in = quantity.saturating_sub(inbound + pending(Way::Inbound));
        // Outbound first: its answer needs no tunnel, and inbound builds go out through it.
        if missing_out > 0 && outbound_at <= now && missing_out >= missing_in {
            return Some(Way::Outbound);
        }
        if missing_in > 0 && inbound_at <= now {
            return Some(Way::Inbound);
        }
        (missing_out > 0 && outbound_at <= now).then_some(Way::Outbound)
    }
}

impl Core {
    /// Builds and tests what is due.
    pub(super) fn build_tunnels(&mut self, now: Now) {
        self.expire_tunnels(now);
        for _ in 0..MAX_PENDING {
            let Some(way) = self.tunnels.wanted(now.instant) else {
                break;
            };
            if !self.build(way, now) {
                // Nobody to build with.
                self.tunnels.not_before = [now.instant + Duration::from_secs(1); 2];
                break;
            }
        }
        self.test_tunnels(now);
    }

    fn expire_tunnels(&mut self, now: Now) {
        let instant = now.instant;
        let tunnels = &mut self.tunnels;
        let relays = &mut self.relays;
        let blamed = &mut tunnels.blamed;
        let mut stands = |expires: Instant, tests: &Tests, hops: &[RouterHash]| {
            let works = tests.failed_in_a_row < MAX_FAILED_TESTS;
            if !works {
                tracing::debug!(hops = hops.len(), "a tunnel does not pass its tests");
                blamed.extend(hops.iter().map(|hop| (*hop, instant + BLAME)));
            }
            works && expires > instant
        };
        tunnels
            .outbound
            .retain(|it| stands(it.expires, &it.tests, &it.hops));
        tunnels.inbound.retain(|it| {
            let keep = stands(it.expires, &it.tests, &it.hops);
            if !keep {
                let tunnel = it.receive;
                relays.post(tunnel, RelayMessage::Remove { tunnel });
            }
            keep
        });
        tunnels.blamed.retain(|_, until| *until > instant);
        let late: Vec<u32> = tunnels
            .pending
            .iter()
            .filter(|(_, it)| it.deadline <= instant)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(pending) = tunnels.pending.remove(&id) {
                tracing::debug!(way = ?pending.way, hops = pending.hops.len(), "no answer to a tunnel build");
                tunnels.fail(&pending, std::iter::empty(), now);
                tunnels.carried(&pending, false);
                let tunnel = pending.receive;
                relays.post(tunnel, RelayMessage::Remove { tunnel });
            }
        }
    }

    /// Starts one build; says whether there were hops for it.
    fn build(&mut self, way: Way, now: Now) -> bool {
        let count = self.tunnels.settings.hops;
        let Some(hops) = self.choose_hops(way, count, now) else {
            return false;
        };
        let us = self.own.hash();
        let Some(receive) = self.fresh_tunnel_id() else {
            return false;
        };
        let (path, reply_tunnel, answer_through) = match way {
            Way::Inbound => (
                BuildPath::Inbound {
                    us,
                    receive_tunnel: receive,
                },
                None,
                None,
            ),
            Way::Outbound => {
                let reply = self
                    .tunnels
                    .inbound
                    .iter()
                    .filter(|it| it.expires > now.instant + BUILD_TIMEOUT)
                    .max_by_key(|it| it.tests.rank());
                match reply {
                    Some(reply) => (
                        BuildPath::Outbound {
                            reply_gateway: reply.gateway,
                            reply_tunnel: reply.gateway_tunnel,
                        },
                        None,
                        Some(reply.receive),
                    ),
                    None => (
                        BuildPath::Outbound {
                            reply_gateway: us,
                            reply_tunnel: receive,
                        },
                        Some(receive),
                        None,
                    ),
                }
            }
        };
        let through = match way {
            Way::Inbound => self.best_outbound(now),
            Way::Outbound => None,
        };
        let ask_through = through
            .and_then(|index| self.tunnels.outbound.get(index))
            .map(|it| it.first_tunnel);
        let id = self.random.u32();
        let started = PendingBuild::start(&hops, path, id, &mut self.random, now.unix);
        let Ok((build, body)) = started else {
            return false;
        };
        if let Some(tunnel) = reply_tunnel {
            // The answer comes straight to us: a tunnel without hops.
            let last = hops.last().map_or(us, |hop| hop.router);
            self.add_own(tunnel, last, &[], now.instant + BUILD_TIMEOUT * 2);
        }
        let Some(first) = hops.first().map(|hop| hop.router) else {
            return false;
        };
        let last = hops.last().map_or(first, |hop| hop.router);
        let encryption_key = hops.first().map(|hop| hop.encryption_key);
        let pending = Pending {
            build,
            way,
            hops,
            receive,
            carrier: ask_through.or(answer_through),
            deadline: now.instant + BUILD_TIMEOUT,
            started: now.instant,
        };
        self.tunnels.pending.insert(id, pending);
        if way == Way::Inbound {
            // The last hop needs a link to us, or our RouterInfo.
            self.greet(last, now);
        }
        let Ok(message) = I2npMessage::new(
            MessageType::ShortTunnelBuild,
            self.random.u32(),
            now.unix + Duration::from_secs(30),
            body,
        ) else {
            return false;
        };
        match (through, encryption_key) {
            (Some(outbound), Some(key)) => {
                let clove = GarlicClove {
                    delivery: CloveDelivery::Local,
                    message: message.as_ref(),
                };
                let sealed = router::seal(&key, &[clove], 0, now.unix, &mut self.random);
                if let Ok(sealed) = sealed
                    && let Ok(garlic) = self.message(MessageType::Garlic, sealed, now)
                {
                    let delivery = TunnelDelivery::Router(first);
                    self.send_through(outbound, delivery, &garlic, now);
                }
            }
            _ => {
                self.send_to(first, &message, now);
            }
        }
        true
    }

    /// Sees to it that a router has a link with us.
    fn greet(&mut self, router: RouterHash, now: Now) {
        if self.links.is_linked(&router) {
            return;
        }
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id: self.random.u32(),
            timestamp: now.unix,
        };
        status.encode(&mut body);
        // Any message makes the link; this one nobody minds.
        if let Ok(message) = self.message(MessageType::DeliveryStatus, body.freeze(), now) {
            self.send_to(router, &message, now);
        }
    }

    fn fresh_tunnel_id(&mut self) -> Option<TunnelId> {
        (0..8)
            .find_map(|_| TunnelId::new(self.random.u32()).filter(|id| !self.tunnels.receives(*id)))
    }

    /// Registers the end of an own inbound tunnel.
    fn add_own(
        &mut self,
        tunnel: TunnelId,
        previous: RouterHash,
        keys: &[TunnelKeys],
        expires: Instant,
    ) -> bool {
        let receive = Box::new(ReceiveTunnel::Own {
            previous,
            layers: TunnelLayers::new(keys),
            endpoint: Endpoint::new(EndpointKind::Inbound, ReassemblyLimits::OWN),
        });
        self.relays.post(
            tunnel,
            RelayMessage::Add {
                tunnel,
                receive,
                expires,
            },
        )
    }

    /// A message that may be the answer to a build of ours; says whether it was.
    pub(super) fn own_build_reply(&mut self, message: &I2npMessage, now: Now) -> bool {
        if !self.tunnels.pending.contains_key(&message.id()) {
            return false;
        }
        self.finish_build(message.id(), message.body(), now);
        true
    }

    /// A garlic message that may be the answer to an outbound build of ours.
    pub(super) fn own_garlic_reply(&mut self, garlic: Garlic<'_>, now: Now) -> bool {
        let Some(tag) = garlic.0.first_chunk::<8>() else {
            return false;
        };
        let found = self.tunnels.pending.iter().find_map(|(id, pending)| {
            let key = pending.build.garlic_key()?;
            if key.tag != *tag {
                return None;
            }
            Some((*id, pending.build.open_garlic_reply(garlic)))
        });
        match found {
            Some((id, Ok(body))) => {
                self.finish_build(id, &body, now);
                true
            }
            Some((_, Err(_))) => {
                self.drop(DropReason::Garlic);
                true
            }
            None => false,
        }
    }

    fn finish_build(&mut self, id: u32, body: &[u8], now: Now) {
        let Some(pending) = self.tunnels.pending.get(&id) else {
            return;
        };
        let Ok(outcome) = pending.build.handle_reply(body) else {
            self.drop(DropReason::Malformed);
            return;
        };
        let Some(pending) = self.tunnels.pending.remove(&id) else {
            return;
        };
        self.tunnels.carried(&pending, true);
        let keys = match outcome.tunnel {
            Ok(keys) => keys,
            Err(why) => {
                tracing::debug!(%why, answers = ?outcome.answers, "a tunnel was not built");
                let refused = outcome
                    .answers
                    .iter()
                    .map(|answer| matches!(answer, HopAnswer::Refused(_)));
                self.tunnels.fail(&pending, refused, now);
                return;
            }
        };
        let expires = pending.started + TUNNEL_LIFETIME;
        let hops: Vec<RouterHash> = pending.hops.iter().map(|hop| hop.router).collect();
        let (Some(first), Some(last)) = (pending.hops.first(), pending.hops.last()) else {
            return;
        };
        let took = now.instant.saturating_since(pending.started);
        tracing::debug!(way = ?pending.way, hops = hops.len(), ?took, "a tunnel was built");
        self.tunnels.built += 1;
        match pending.way {
            Way::Inbound => {
                if !self.add_own(pending.receive, last.router, &keys, expires) {
                    return;
                }
                let tunnel = Inbound {
                    gateway: first.router,
                    gateway_tunnel: first.receive_tunnel,
                    receive: pending.receive,
                    hops,
                    expires,
                    tests: Tests::default(),
                };
                self.tunnels.inbound.push(tunnel);
            }
            Way::Outbound => {
                let tunnel = Outbound {
                    first: first.router,
                    first_tunnel: first.receive_tunnel,
                    layers: TunnelLayers::new(&keys),
                    gateway: Gateway::new(GATEWAY_BYTES),
                    hops,
                    expires,
                    tests: Tests::default(),
                };
                self.tunnels.outbound.push(tunnel);
            }
        }
    }

    /// The outbound tunnel that is most likely to work.
    fn best_outbound(&self, now: Now) -> Option<usize> {
        self.tunnels
            .outbound
            .iter()
            .enumerate()
            .filter(|(_, it)| it.expires > now.instant + BUILD_TIMEOUT)
            .max_by_key(|(_, it)| it.tests.rank())
            .map(|(index, _)| index)
    }

    /// Sends a message through an outbound tunnel.
    fn send_through(
        &mut self,
        index: usize,
        delivery: TunnelDelivery,
        message: &I2npMessage,
        now: Now,
    ) {
        let Some(tunnel) = self.tunnels.outbound.get_mut(index) else {
            return;
        };
        let mut long = BytesMut::with_capacity(message.long_len());
        message.encode_long(&mut long);
        if tunnel
            .gateway
            .handle_message(delivery, message.id(), long.freeze())
            .is_err()
        {
            self.drop(DropReason::QueueFull);
            return;
        }
        let first = tunnel.first;
        let Some(handle) = self.links.handle(first, now) else {
            return;
        };
        while let Some(body) = next_message(tunnel, &mut self.random) {
            let message = LinkMessage {
                kind: MessageType::TunnelData,
                id: self.random.u32(),
                expiration_s: seconds_up(now.unix + Duration::from_secs(8)),
                body,
            };
            if handle
                .send(message, Priority::OwnData, now.instant)
                .is_err()
            {
                *self.drops.entry(DropReason::QueueFull).or_default() += 1;
            }
        }
    }

    /// Sends a message out through each outbound tunnel and back in through an inbound one.
    fn test_tunnels(&mut self, now: Now) {
        let late: Vec<u32> = self
            .tunnels
            .testing
            .iter()
            .filter(|(_, test)| test.deadline <= now.instant)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(test) = self.tunnels.testing.remove(&id) {
                self.tunnels.tests_failed += 1;
                self.tunnels.tested(&test, false);
                // In other pairs, which tell the one to blame.
                let soon = now.instant + TEST_AGAIN;
                self.tunnels.test_at = self.tunnels.test_at.min(soon);
            }
        }
        if self.tunnels.test_at > now.instant {
            return;
        }
        if self.tunnels.inbound.is_empty() || self.tunnels.outbound.is_empty() {
            return;
        }
        self.tunnels.test_at = now.instant + TEST_EVERY;
        let inbound: Vec<(RouterHash, TunnelId, TunnelId)> = self
            .tunnels
            .inbound
            .iter()
            .map(|it| (it.gateway, it.gateway_tunnel, it.receive))
            .collect();
        let outbound = self.tunnels.outbound.len();
        let pairs = inbound.len().max(outbound);
        self.tunnels.test_round = self.tunnels.test_round.wrapping_add(1);
        let shift = self.tunnels.test_round;
        for pair in 0..pairs {
            let Some((router, tunnel, receive)) = inbound
                .get(pair.wrapping_add(shift) % inbound.len())
                .copied()
            else {
                continue;
            };
            let index = pair % outbound;
            let Some(first_tunnel) = self.tunnels.outbound.get(index).map(|it| it.first_tunnel)
            else {
                continue;
            };
            let id = self.random.u32();
            let mut body = BytesMut::new();
            DeliveryStatus {
                id,
                timestamp: now.unix,
            }
            .encode(&mut body);
            let Ok(message) = self.message(MessageType::DeliveryStatus, body.freeze(), now) else {
                continue;
            };
            let test = Test {
                inbound: receive,
                outbound: first_tunnel,
                deadline: now.instant + TEST_TIMEOUT,
            };
            self.tunnels.testing.insert(id, test);
            let delivery = TunnelDelivery::Tunnel {
                gateway: router,
                tunnel,
            };
            self.send_through(index, delivery, &message, now);
        }
    }

    /// A message came around; says whether it was one of ours.
    pub(super) fn tunnel_tested(&mut self, origin: Origin, id: u32, _now: Now) -> bool {
        if !matches!(origin, Origin::Tunnel(Some(_))) {
            return false;
        }
        match self.tunnels.testing.remove(&id) {
            Some(test) => {
                self.tunnels.tested(&test, true);
                true
            }
            None => false,
        }
    }

    /// Chooses the hops of a tunnel, in its order.
    fn choose_hops(&mut self, way: Way, count: usize, now: Now) -> Option<Vec<HopSpec>> {
        let mut good = Vec::new();
        let mut rest = Vec::new();
        for (router, info) in self.netdb.routers() {
            if !is_usable(info, self.config.allow_local, now.unix)
                || self.links.is_failing(router, now)
            {
                continue;
            }
            if self.tunnels.blamed.contains_key(router) {
                rest.push(*router);
            } else {
                good.push(*router);
            }
        }
        self.random.shuffle(&mut good);
        self.random.shuffle(&mut rest);
        // The neighbour of ours is better one we have a link with.
        good.sort_by_key(|router| !self.links.is_linked(router));
        let near = good.first().copied().or_else(|| rest.first().copied())?;
        let mut rest_of_good: Vec<RouterHash> = good.into_iter().skip(1).collect();
        self.random.shuffle(&mut rest_of_good);
        let mut chosen: Vec<RouterHash> = Vec::new();
        let mut networks: BTreeSet<[u8; 2]> = BTreeSet::new();
        let candidates = std::iter::once(near).chain(rest_of_good).chain(rest);
        for router in candidates {
            if chosen.len() == count {
                break;
            }
            if chosen.contains(&router) {
                continue;
            }
            let info = self.netdb.router(&router)?;
            let network = network(info);
            if !self.config.allow_same_network
                && let Some(network) = network
                && !networks.insert(network)
            {
                continue;
            }
            chosen.push(router);
        }
        if chosen.len() < count {
            return None;
        }
        if way == Way::Inbound {
            chosen.reverse();
        }
        chosen
            .into_iter()
            .map(|router| {
                let encryption_key = self.netdb.router(&router)?.identity().encryption_key()?;
                Some(HopSpec {
                    router,
                    encryption_key,
                    receive_tunnel: self.random_tunnel_id(),
                    options: Mapping::default(),
                })
            })
            .collect()
    }

    fn random_tunnel_id(&mut self) -> TunnelId {
        loop {
            if let Some(id) = TunnelId::new(self.random.u32()) {
                return id;
            }
        }
    }
}

impl Tunnels {
    /// A build came to nothing. To blame are the hops that refused; without any, who knows.
    fn fail(&mut self, pending: &Pending, refused: impl Iterator<Item = bool>, now: Now) {
        self.failed += 1;
        let refused: Vec<bool> = refused.collect();
        let all = !refused.contains(&true);
        for (index, hop) in pending.hops.iter().enumerate() {
            if all || refused.get(index) == Some(&true) {
                self.blamed.insert(hop.router, now.instant + BLAME);
            }
        }
        let [inbound, outbound] = &mut self.not_before;
        *match pending.way {
            Way::Inbound => inbound,
            Way::Outbound => outbound,
        } = now.instant + AFTER_FAILURE;
    }

    fn tested(&mut self, test: &Test, passed: bool) {
        let inbound = self
            .inbound
            .iter_mut()
            .find(|it| it.receive == test.inbound)
            .map(|it| &mut it.tests);
        let outbound = self
            .outbound
            .iter_mut()
            .find(|it| it.first_tunnel == test.outbound)
            .map(|it| &mut it.tests);
        for tests in [inbound, outbound].into_iter().flatten() {
            tests.count(passed);
        }
    }

    /// What a build tells of the tunnel that carried it: an answer, whatever it says, that it
    /// works. Silence may be the fault of the new hops, and counts only where no test can tell,
    /// for want of tunnels the other way: otherwise a dead tunnel would carry builds until its end.
    fn carried(&mut self, pending: &Pending, answered: bool) {
        let untested = match pending.way {
            Way::Inbound => self.inbound.is_empty(),
            Way::Outbound => self.outbound.is_empty(),
        };
        let Some(carrier) = pending.carrier.filter(|_| answered || untested) else {
            return;
        };
        let tests = match pending.way {
            Way::Inbound => {
                let mut outbound = self.outbound.iter_mut();
                let found = outbound.find(|it| it.first_tunnel == carrier);
                found.map(|it| &mut it.tests)
            }
            Way::Outbound => {
                let mut inbound = self.inbound.iter_mut();
                let found = inbound.find(|it| it.receive == carrier);
                found.map(|it| &mut it.tests)
            }
        };
        if let Some(tests) = tests {
            tests.count(answered);
        }
    }
}

impl Tests {
    fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
            self.failed_in_a_row = 0;
        } else {
            self.failed_in_a_row += 1;
        }
    }

    /// The highest is most likely to work.
    fn rank(&self) -> (bool, u32) {
        (self.failed_in_a_row == 0, self.passed)
    }
}

/// The next message of an own outbound tunnel, with what its hops will take off put on.
fn next_message(tunnel: &mut Outbound, random: &mut Random) -> Option<BytesMut> {
    let mut body = BytesMut::zeroed(TunnelData::LEN);
    let (id, rest) = body.split_first_chunk_mut::<4>()?;
    let message = rest.first_chunk_mut::<LAYERED_LEN>()?;
    *id = tunnel.first_tunnel.get().to_be_bytes();
    if !tunnel.gateway.flush(random, message) {
        return None;
    }
    tunnel.layers.remove_all(message);
    Some(body)
}

/// Says whether a router can be a hop at all.
fn is_usable(info: &RouterInfo, allow_local: bool, now: UnixTime) -> bool {
    let capabilities = info.capabilities();
    let reachable = info.ntcp2_addresses().any(|address| {
        address
            .published()
            .is_some_and(|(socket, _)| allow_local || super::own::is_public(socket.ip()))
    });
    reachable
        && !capabilities.is_unreachable()
        && !capabilities.is_hidden()
        && info.identity().encryption_key().is_some()
        && info.published() + Duration::from_secs(24 * 60 * 60) > now
        && !matches!(
            capabilities.congestion(),
            Some(Congestion::RejectsAll | Congestion::High)
        )
        && capabilities
            .bandwidth()
            .is_some_and(|class| class > BandwidthClass::K)
}

/// The /16 of a router.
fn network(info: &RouterInfo) -> Option<[u8; 2]> {
    info.ntcp2_addresses()
        .find_map(|address| match address.host {
            Some(IpAddr::V4(v4)) => v4.octets().first_chunk().copied(),
            _ => None,
        })
}

#[cfg(test)]
mod tests;
