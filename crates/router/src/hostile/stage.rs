//! A router and its neighbours, joined by pipes in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{
    AcceptConfig, Connection, DialConfig, Event, LinkConfig, LinkMessage, LocalRouter, Priority,
    Refused,
};
use ramson_proto::tunnel::build::{BuildPath, HopSpec, PendingBuild};
use ramson_wire::i2np::{Garlic, TunnelData, TunnelGateway};
use ramson_wire::{
    I2npMessage, Instant, Mapping, MessageType, RouterHash, RouterInfo, TunnelId, UnixTime,
    Verified,
};

use crate::config::{RouterConfig, TransitLimits};
use crate::core::{DropReason, OwnRouter, RouterKeys, ShellRequest};
use crate::link::LinkPart;
use crate::relay::RelayCounters;
use crate::router::Router;

/// Steps that each part makes in a millisecond of virtual time at most: the router is no wonder.
const STEPS_PER_MS: usize = 4;
/// What a pipe holds that is not read.
const PIPE_BYTES: usize = 128 * 1024;

pub(super) fn config() -> RouterConfig {
    RouterConfig {
        network_id: 77,
        published: Some(SocketAddr::from(([10, 0, 0, 1], 4567))),
        floodfill: true,
        allow_local: true,
        transit: TransitLimits {
            tunnels: 400,
            rate_bytes_per_s: 400_000,
        },
        max_links: 40,
        max_routers: 200,
        max_lease_sets: 50,
        ..RouterConfig::default()
    }
}

/// A tunnel message of noise.
pub(super) fn data(tunnel: TunnelId, random: &mut Random) -> BytesMut {
    let mut body = BytesMut::zeroed(TunnelData::LEN);
    random.fill(&mut body);
    body[..4].copy_from_slice(&tunnel.get().to_be_bytes());
    body
}

/// What unpacks to a hundred megabytes of zeros: gzip's header, and blocks that repeat one byte.
pub(super) fn bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // One block of fixed codes: a zero, then 258 zeros again and again, a byte each.
    bytes.extend_from_slice(&[0x63, 0x60]);
    bytes.resize(60_000, 0);
    bytes
}

/// The tunnel of a neighbour through the router.
#[derive(Debug, Clone, Copy)]
pub(super) struct TunnelOf {
    /// Under which the router gets its messages.
    pub(super) receive: TunnelId,
    /// Under which the next hop gets them.
    pub(super) next: TunnelId,
}

struct Neighbour {
    local: Arc<LocalRouter>,
    address: SocketAddr,
    received: Vec<LinkMessage>,
}

struct Wire {
    neighbour: usize,
    connection: Connection,
    link: LinkPart,
    to_link: BytesMut,
    to_peer: BytesMut,
    up: bool,
    /// Its peer reads nothing any more.
    deaf: bool,
}

/// A router under test, those around it, and a clock that only the test moves.
pub(super) struct Stage {
    pub(super) router: Router,
    pub(super) random: Random,
    pub(super) millis: u64,
    /// By how much the router's machine's calendar is ahead.
    pub(super) ahead_ms: i64,
    neighbours: Vec<Neighbour>,
    wires: Vec<Wire>,
    /// Dials of the router that led nowhere.
    pub(super) lost_dials: usize,
    config: RouterConfig,
}

impl Stage {
    pub(super) fn new(config: RouterConfig) -> Self {
        let mut random = Random::from_seed([222; 32]);
        let keys = RouterKeys::generate(&mut random);
        let start = moment(1, 0);
        let router = Router::new(config.clone(), keys, 1, start, random.fork("router")).unwrap();
        Self {
            router,
            random,
            millis: 1,
            ahead_ms: 0,
            neighbours: Vec::new(),
            wires: Vec::new(),
            lost_dials: 0,
            config,
        }
    }

    /// True time.
    pub(super) fn now(&self) -> Now {
        moment(self.millis, 0)
    }

    /// What the router takes for the time.
    pub(super) fn router_now(&self) -> Now {
        let machine = moment(self.millis, self.ahead_ms);
        self.router
            .handle
            .clock()
            .now(machine.instant, machine.unix)
    }

    /// Adds a router that others reach there.
    pub(super) fn neighbour(&mut self, ip: &str) -> usize {
        let address = SocketAddr::new(ip.parse().unwrap(), 5000);
        let config = RouterConfig {
            network_id: 77,
            published: Some(address),
            ..config()
        };
        let keys = RouterKeys::generate(&mut self.random);
        let own = OwnRouter::new(keys, &config, self.now()).unwrap();
        self.neighbours.push(Neighbour {
            local: own.local().clone(),
            address,
            received: Vec::new(),
        });
        self.neighbours.len() - 1
    }

    pub(super) fn info_of(&self, neighbour: usize) -> &Verified<RouterInfo> {
        &self.neighbours[neighbour].local.router_info
    }

    pub(super) fn hash_of(&self, neighbour: usize) -> RouterHash {
        self.info_of(neighbour).hash()
    }

    /// Has a neighbour connect.
    pub(super) fn dial(&mut self, neighbour: usize) -> Result<(), Refused> {
        let from = self.neighbours[neighbour].address;
        let link = self.router.handle.accept(from, self.router_now())?;
        let connection = self.alice(neighbour);
        self.join(neighbour, connection, link);
        Ok(())
    }

    fn alice(&mut self, neighbour: usize) -> Connection {
        let peer = self.router.handle.router_info();
        let address = peer.ntcp2_addresses().next().unwrap();
        let (_, iv) = address.published().unwrap();
        let config = DialConfig {
            local: Arc::clone(&self.neighbours[neighbour].local),
            static_key: address.static_key,
            iv,
            peer,
            link: LinkConfig::default(),
        };
        Connection::dial(config, self.now(), self.random.fork("dial"))
    }

    /// The same, until the link is up.
    pub(super) fn link(&mut self, neighbour: usize) {
        self.dial(neighbour).unwrap();
        for _ in 0..100 {
            self.run(10);
            let hash = self.hash_of(neighbour);
            if self.is_up(neighbour) && self.router.core.links().is_linked(&hash) {
                return;
            }
        }
        panic!("no link");
    }

    fn join(&mut self, neighbour: usize, connection: Connection, link: LinkPart) {
        self.wires.push(Wire {
            neighbour,
            connection,
            link,
            to_link: BytesMut::new(),
            to_peer: BytesMut::new(),
            up: false,
            deaf: false,
        });
    }

    pub(super) fn is_up(&self, neighbour: usize) -> bool {
        self.wires
            .iter()
            .any(|wire| wire.neighbour == neighbour && wire.up)
    }

    /// Connections that there are, in any state.
    pub(super) fn connections(&self) -> usize {
        self.wires.len()
    }

    /// Has a neighbour read nothing any more.
    pub(super) fn deafen(&mut self, neighbour: usize) {
        for wire in &mut self.wires {
            wire.deaf |= wire.neighbour == neighbour;
        }
    }

    /// Messages that links took from the queues and could not keep.
    pub(super) fn refused_by_links(&self) -> u64 {
        let links = self.wires.iter().map(|wire| wire.link.refused());
        links.sum()
    }

    /// Has a neighbour end its links.
    pub(super) fn unlink(&mut self, neighbour: usize) {
        let normal = ramson_wire::ntcp2::TerminationReason::Normal;
        for wire in &mut self.wires {
            if wire.neighbour == neighbour {
                wire.connection.close(normal);
            }
        }
    }

    /// What a neighbour says first when it dials.
    pub(super) fn first_message(&mut self, neighbour: usize) -> BytesMut {
        let mut connection = self.alice(neighbour);
        let mut out = BytesMut::new();
        assert!(connection.poll_transmit(self.now(), &mut out));
        out
    }

    /// Has a neighbour say something; what its own queue does not take is gone.
    pub(super) fn send(&mut self, neighbour: usize, kind: MessageType, body: BytesMut) {
        let message = LinkMessage {
            kind,
            id: self.random.u32(),
            expiration_s: (self.now().unix + Duration::from_secs(20)).to_secs_up(),
            body,
        };
        let mut wires = self.wires.iter_mut();
        if let Some(wire) = wires.find(|wire| wire.neighbour == neighbour && wire.up) {
            let _ = wire.connection.send(message, Priority::Control);
        }
    }

    /// What has come to a neighbour meanwhile.
    pub(super) fn take(&mut self, neighbour: usize) -> Vec<LinkMessage> {
        std::mem::take(&mut self.neighbours[neighbour].received)
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.millis += 1;
            self.step();
        }
    }

    fn step(&mut self) {
        let (now, router_now) = (self.now(), self.router_now());
        for wire in &mut self.wires {
            wire.pump(now, router_now, &mut self.neighbours);
        }
        for _ in 0..STEPS_PER_MS {
            self.router.core.step(router_now);
            for relay in &mut self.router.relays {
                relay.step(router_now);
            }
        }
        let mut requests = Vec::new();
        self.router.requests.take(64, &mut requests);
        for request in requests {
            if let ShellRequest::Dial { address, link } = request {
                self.accept(address, *link);
            }
        }
        self.wires.retain(|wire| !wire.link.is_closed());
    }

    /// The router dials a neighbour, or nobody.
    fn accept(&mut self, address: SocketAddr, mut link: LinkPart) {
        let known = self.neighbours.iter();
        let found = known.enumerate().find(|(_, it)| it.address == address);
        let Some((neighbour, it)) = found else {
            self.lost_dials += 1;
            link.handle_end(self.router_now());
            return;
        };
        let config = AcceptConfig {
            local: Arc::clone(&it.local),
            source: ramson_proto::Sensitive(IpAddr::from([10, 0, 0, 1])),
            any_source: false,
            banned: Arc::default(),
            greet: false,
            link: LinkConfig::default(),
        };
        let connection = Connection::accept(config, self.now(), self.random.fork("accept"));
        self.join(neighbour, connection, link);
    }

    /// A request for a tunnel through the router: `hops` behind it, or none for an endpoint that
    /// answers to `neighbour`.
    pub(super) fn build(
        &mut self,
        neighbour: usize,
        behind: Option<&Verified<RouterInfo>>,
        receive: TunnelId,
        asked: UnixTime,
    ) -> (PendingBuild, BytesMut, TunnelOf) {
        let us = self.router.handle.router_info();
        let next = self.tunnel_id();
        let hop = |info: &RouterInfo, receive_tunnel| HopSpec {
            router: info.hash(),
            encryption_key: info.identity().encryption_key().unwrap(),
            receive_tunnel,
            options: Mapping::default(),
        };
        let mut hops = vec![hop(&us, receive)];
        hops.extend(behind.map(|info| hop(info, next)));
        let path = BuildPath::Outbound {
            reply_gateway: self.hash_of(neighbour),
            reply_tunnel: next,
        };
        let id = self.random.u32();
        let (pending, body) =
            PendingBuild::start(&hops, path, id, &mut self.random, asked).unwrap();
        let tunnel = TunnelOf { receive, next };
        (pending, BytesMut::from(&body[..]), tunnel)
    }

    pub(super) fn tunnel_id(&mut self) -> TunnelId {
        loop {
            if let Some(id) = TunnelId::new(self.random.u32()) {
                return id;
            }
        }
    }

    /// Builds a tunnel through the router to another neighbour.
    pub(super) fn participant(&mut self, from: usize, to: usize) -> TunnelOf {
        let (receive, now) = (self.tunnel_id(), self.now().unix);
        let behind = self.info_of(to).clone();
        let (_, body, tunnel) = self.build(from, Some(&behind), receive, now);
        self.send(from, MessageType::ShortTunnelBuild, body);
        self.run(50);
        let built = |message: &LinkMessage| message.kind == MessageType::ShortTunnelBuild;
        assert!(self.take(to).iter().any(built), "no tunnel was built");
        tunnel
    }

    /// Builds a tunnel of a neighbour that ends at the router; returns its layers, too.
    pub(super) fn endpoint(
        &mut self,
        from: usize,
    ) -> (TunnelOf, ramson_proto::tunnel::TunnelLayers) {
        let (receive, now) = (self.tunnel_id(), self.now().unix);
        let (pending, body, tunnel) = self.build(from, None, receive, now);
        self.send(from, MessageType::ShortTunnelBuild, body);
        self.run(50);
        let answer = self.take(from).into_iter().find_map(|message| {
            let body = message.body.freeze();
            let gateway = TunnelGateway::parse(&body).ok()?;
            let inner = I2npMessage::parse_long(&body.slice_ref(gateway.message)).ok()?;
            let reply = pending.open_garlic_reply(Garlic::parse(inner.body()).ok()?);
            pending.handle_reply(&reply.ok()?).ok()
        });
        let keys = answer.expect("an answer").tunnel.expect("a tunnel");
        (tunnel, ramson_proto::tunnel::TunnelLayers::new(&keys))
    }

    /// What came to nothing in the control plane, links and queues.
    pub(super) fn drops(&mut self) -> BTreeMap<DropReason, u64> {
        // The report comes with the next tick.
        self.run(300);
        self.router.handle.status().drops
    }

    pub(super) fn dropped(&mut self, reason: DropReason) -> u64 {
        self.drops().get(&reason).copied().unwrap_or(0)
    }

    /// A counter of the relays.
    pub(super) fn relayed(&self, counter: impl Fn(&RelayCounters) -> u64) -> u64 {
        let relays = self.router.relays.iter();
        relays.map(|relay| counter(&relay.counters())).sum()
    }

    /// What the router holds is within what it was told.
    pub(super) fn check_bounds(&self) {
        let status = self.router.handle.status();
        assert!(status.links <= self.config.max_links);
        assert!(status.routers <= self.config.max_routers);
        assert!(status.lease_sets <= self.config.max_lease_sets);
        assert!(status.transit_tunnels <= self.config.transit.tunnels);
        assert!(status.half_open <= self.config.max_links / 2);
        self.router.core.check_bounds(&self.config);
        for relay in &self.router.relays {
            relay.check_bounds(&self.config);
        }
    }
}

/// So many milliseconds after a day in 2026, with a calendar that is ahead.
fn moment(millis: u64, ahead_ms: i64) -> Now {
    let unix = 1_790_000_000_000_u64 + millis;
    Now {
        instant: Instant::from_micros(millis * 1000),
        unix: UnixTime::from_millis(unix.saturating_add_signed(ahead_ms)),
    }
}

impl Wire {
    fn pump(&mut self, now: Now, router_now: Now, neighbours: &mut [Neighbour]) {
        for _ in 0..8 {
            self.connection.handle_timeout(now);
            if !self.deaf {
                self.connection.handle_input(&mut self.to_peer, now);
            }
            while let Some(event) = self.connection.poll_event() {
                match event {
                    Event::EphemeralKey { .. } => self.connection.admit(true, now),
                    Event::Established { .. } => self.up = true,
                    Event::Message(message) => {
                        neighbours[self.neighbour].received.push(message);
                    }
                    Event::RouterInfo { .. } => {}
                    Event::Closed { .. } => self.up = false,
                }
            }
            let mut moved = false;
            if self.to_link.len() < PIPE_BYTES {
                moved |= self.connection.poll_transmit(now, &mut self.to_link);
            }
            self.link.handle_input(&mut self.to_link, router_now);
            self.link.step(router_now);
            if self.to_peer.len() < PIPE_BYTES {
                moved |= self.link.poll_transmit(router_now, &mut self.to_peer);
            }
            if !moved {
                break;
            }
        }
        if self.connection.is_closed() {
            self.link.handle_end(router_now);
        }
        if self.link.is_closed() {
            self.connection.handle_end(now);
            self.up = false;
        }
    }
}
