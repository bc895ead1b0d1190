//! The control plane: netDb, links, tunnel building, the own RouterInfo. Bulk traffic never comes
//! here.

mod address;
mod clock;
mod floodfill;
mod garlic;
mod handshakes;
mod links;
mod load;
mod lookups;
mod netdb;
mod own;
mod publish;
mod quotas;
mod selection;
mod status;
mod transit;
mod tunnels;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{CloseReason, LinkMessage};
use ramson_proto::tunnel::DuplicateFilter;
use ramson_proto::tunnel::build::BuildKind;
use ramson_wire::i2np::TunnelGateway;
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{
    EncodeError, I2npMessage, Instant, MessageType, RouterHash, RouterInfo, TunnelId, UnixTime,
    Verified,
};

use self::clock::ClockWatch;
use self::links::{Links, Wanted};
use self::load::Load;
use self::lookups::Lookups;
use self::netdb::NetDb;
pub(crate) use self::own::OwnRouter;
use self::publish::Publisher;
use self::quotas::Quotas;
use self::transit::Transit;
use self::tunnels::Tunnels;
use crate::answers::Answers;
use crate::clock::RouterClock;
use crate::config::{PoolSettings, RouterConfig};
use crate::destination::{DestinationId, DestinationMessage};
use crate::inbox::{Inbox, Sender};
use crate::link::{LinkCommand, LinkEnv, LinkId, LinkPart};
use crate::peer::PeerHandle;
use crate::relay::{RelayMessage, RelaySenders, seconds_up};

pub use self::handshakes::{HandshakeCounters, HandshakeFailure};
pub use self::lookups::LookupOutcome;
pub use self::netdb::StoreRefusal;
pub use self::own::RouterKeys;
pub use self::status::{DropReason, RouterStatus};

/// Places of the inbox.
pub(crate) const INBOX: usize = 16_384;
/// Places that one link may hold.
pub(crate) const LINK_SHARE: usize = 512;
/// Messages of one step.
const BATCH: usize = 64;
/// How often what is due is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long what we say of ourselves is good for.
pub(crate) const MESSAGE_TTL: Duration = Duration::from_secs(20);

/// What `Core` is told.
#[derive(Debug)]
pub(crate) enum CoreMessage {
    /// Messages wait for a router without a link.
    Wanted(PeerHandle),
    /// A handshake is done.
    LinkUp {
        link: LinkId,
        incoming: bool,
        peer: Verified<RouterInfo>,
        skew_ms: i64,
        commands: Sender<LinkCommand>,
    },
    /// A link is over; `peer` is whom it was to lead to.
    LinkDown {
        link: LinkId,
        incoming: bool,
        peer: Option<RouterHash>,
        why: CloseReason,
        /// What became of its handshake, if it was never up.
        failure: Option<HandshakeFailure>,
    },
    /// A neighbour told a RouterInfo.
    RouterInfo {
        from: RouterHash,
        info: Verified<RouterInfo>,
        flood: bool,
    },
    /// A neighbour's message that is not for a tunnel.
    FromPeer {
        from: RouterHash,
        message: LinkMessage,
    },
    /// A message with its long header that came out of a tunnel: of an own one, or at an outbound
    /// endpoint for ourselves.
    FromTunnel {
        tunnel: Option<TunnelId>,
        message: Bytes,
    },
    /// A message that came out of somebody's outbound tunnel, for a tunnel whose gateway we are.
    ToOwnGateway { tunnel: TunnelId, message: Bytes },
    /// An outbound endpoint does not know where this router is reached.
    Forward {
        router: RouterHash,
        message: LinkMessage,
    },
    /// A tunnel's time is over.
    TunnelExpired(TunnelId),
    /// RouterInfos to begin with, or those from our own disk.
    Seed(Vec<Verified<RouterInfo>>),
    /// The shell wants to store what is known.
    Known,
    /// Ask the floodfills for a router's RouterInfo.
    LookUp {
        router: RouterHash,
        reply: Sender<LookupOutcome>,
    },
    /// A Destination wants tunnels, inbound and outbound.
    OpenPool {
        id: DestinationId,
        pools: [PoolSettings; 2],
        to: Sender<DestinationMessage>,
    },
    /// A Destination is gone.
    ClosePool(DestinationId),
    /// A Destination found that one of its tunnels does not work.
    TunnelFailed { id: DestinationId, tunnel: TunnelId },
    /// A Destination asks which floodfills are the closest to a key.
    Floodfills { key: [u8; 32], id: DestinationId },
    /// Routers that somebody named, who may be worth knowing.
    Named(Vec<RouterHash>),
    /// A message of a Destination that goes straight to a router.
    SendTo {
        router: RouterHash,
        message: LinkMessage,
    },
    /// What a relay has carried for others since it last told, in bytes, and what it dropped, in
    /// messages.
    Carried { bytes: u64, dropped: u64 },
    /// Changed limits.
    Limits(crate::TransitLimits),
    /// Refuse new transit.
    Drain,
    /// End the links there are; those that are needed come back.
    DropLinks,
    /// End all links.
    Stop,
}

/// What `Core` wants of whoever has sockets and files.
#[derive(Debug)]
pub enum ShellRequest {
    /// Connect and drive the link on that socket; when no connection comes about, the link is told
    /// by [`LinkPart::handle_end`].
    Dial {
        /// Where to.
        address: SocketAddr,
        /// The link.
        link: Box<LinkPart>,
    },
    /// Store these RouterInfos, all that are known: somebody asked for them.
    Store(Vec<Verified<RouterInfo>>),
}

/// Where a message to ourselves came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A neighbour, in clear.
    Peer(RouterHash),
    /// Encrypted to us as a router; by whom, nobody knows.
    Garlic,
    /// Out of a tunnel, in clear.
    Tunnel(Option<TunnelId>),
}

impl Origin {
    /// The neighbour whose doing it is, as far as that is known.
    fn neighbour(self) -> Option<RouterHash> {
        match self {
            Self::Peer(from) => Some(from),
            Self::Garlic | Self::Tunnel(_) => None,
        }
    }
}

/// The control plane of one router.
#[derive(Debug)]
pub struct Core {
    config: RouterConfig,
    random: Random,
    own: OwnRouter,
    local: Arc<Mutex<Arc<ramson_proto::ntcp2::LocalRouter>>>,
    netdb: NetDb,
    links: Links,
    transit: Transit,
    tunnels: Tunnels,
    lookups: Lookups,
    publisher: Publisher,
    answers: Answers,
    garlic_seen: DuplicateFilter,
    quotas: Quotas,
    load: Load,
    relays: RelaySenders,
    inbox: Inbox<CoreMessage>,
    batch: Vec<CoreMessage>,
    ticked: Instant,
    drops: BTreeMap<DropReason, u64>,
    draining: bool,
    handshakes: HandshakeCounters,
    /// When the first snapshot was made.
    began: Option<Instant>,
    first_tunnel_after: Option<Duration>,
    clock: ClockWatch,
    env_clock: RouterClock,
    /// The own RouterInfo has to be signed anew.
    resign: bool,
    status: Arc<Mutex<RouterStatus>>,
}

impl Core {
    pub(crate) fn new(
        config: RouterConfig,
        own: OwnRouter,
        env: LinkEnv,
        inbox: Inbox<CoreMessage>,
        shell: Sender<ShellRequest>,
        (status, clock): (Arc<Mutex<RouterStatus>>, RouterClock),
        mut random: Random,
    ) -> Self {
        let us = own.hash();
        let netdb = NetDb::new(
            us,
            config.network_id,
            config.max_routers,
            config.max_lease_sets,
        );
        let relays = env.relays().clone();
        let local = env.local().clone();
        let links = Links::new(inbox.sender(INBOX), shell, env, random.fork("links"));
        Self {
            transit: Transit::new(random.fork("transit")),
            tunnels: Tunnels::new(config.exploratory),
            lookups: Lookups::new(us),
            publisher: Publisher::default(),
            answers: Answers::default(),
            garlic_seen: garlic::filter(&mut random),
            quotas: Quotas::default(),
            load: Load::default(),
            config,
            random,
            own,
            local,
            netdb,
            links,
            relays,
            inbox,
            batch: Vec::new(),
            ticked: Instant::ZERO,
            drops: BTreeMap::new(),
            draining: false,
            handshakes: HandshakeCounters::default(),
            began: None,
            first_tunnel_after: None,
            clock: ClockWatch::default(),
            env_clock: clock,
            resign: false,
            status,
        }
    }

    /// Leaves the waker of the scheduler; says whether there is something to do already.
    pub fn register(&self, waker: &Waker) -> bool {
        self.inbox.register(waker)
    }

    /// When the RouterInfo that is known of a router was published.
    pub fn published(&self, router: &RouterHash) -> Option<UnixTime> {
        self.netdb.router(router).map(|info| info.published())
    }

    /// The longest time until some router that could not be reached may be dialled again.
    pub fn longest_pause(&self, now: Instant) -> Duration {
        self.links.longest_pause(now)
    }

    /// Handles a batch and what is due; returns when it wants to be called again.
    pub fn step(&mut self, now: Now) -> Option<Instant> {
        let mut batch = std::mem::take(&mut self.batch);
        let more = self.inbox.take(BATCH, &mut batch);
        for message in batch.drain(..) {
            self.handle(message, now);
        }
        self.batch = batch;
        if now.instant.saturating_since(self.ticked) >= TICK || self.ticked == Instant::ZERO {
            self.ticked = now.instant;
            self.tick(now);
        }
        Some(if more {
            now.instant
        } else {
            self.ticked + TICK
        })
    }

    fn handle(&mut self, message: CoreMessage, now: Now) {
        match message {
            CoreMessage::Wanted(handle) => self.want(handle.router(), now),
            CoreMessage::LinkUp {
                link,
                incoming,
                peer,
                skew_ms,
                commands,
            } => {
                self.clock_sample(peer.hash(), skew_ms);
                let router = peer.hash();
                tracing::debug!(%router, incoming, "link up");
                self.handshakes.done(incoming);
                self.netdb.seed_router(peer, now);
                let max_links = self.config.max_links;
                if self.own.is_news(now) {
                    let info = self.own.info().clone();
                    let flood = false;
                    let _ = commands.post(LinkCommand::RouterInfo { info, flood });
                }
                self.links
                    .up(router, link, incoming, commands, max_links, now);
                if let Some(handle) = self.links.handle(router, now) {
                    self.relays.post_target(&handle);
                }
            }
            CoreMessage::LinkDown {
                link,
                incoming,
                peer,
                why,
                failure,
            } => {
                if let Some(failure) = failure {
                    tracing::debug!(?peer, incoming, ?failure, ?why, "no link");
                    self.handshakes.failed(incoming, failure);
                } else {
                    tracing::debug!(?peer, incoming, ?why, "link down");
                }
                self.clock_of_failure(peer, &why, now);
                if let CloseReason::FrameNotAuthentic
                | CloseReason::FrameTooShort { .. }
                | CloseReason::Malformed(_) = why
                {
                    self.drop(DropReason::DamagedFrame);
                }
                if let Some(router) = peer
                    && self.links.down(router, link, &why, now)
                {
                    self.want(router, now);
                }
            }
            CoreMessage::RouterInfo { from, info, flood } => {
                if self.quotas.store(Some(from), now) {
                    self.take_router(info, Some(from), flood, now);
                } else {
                    self.drop(DropReason::StoreQuota);
                }
            }
            CoreMessage::FromPeer { from, message } => {
                let expires = UnixTime::from_secs(message.expiration_s);
                let body = message.body.freeze();
                match I2npMessage::new(message.kind, message.id, expires, body) {
                    Ok(message) => self.receive(Origin::Peer(from), message, now),
                    Err(_) => self.drop(DropReason::Malformed),
                }
            }
            CoreMessage::FromTunnel { tunnel, message } => {
                match I2npMessage::parse_long(&message) {
                    Ok(message) => self.receive(Origin::Tunnel(tunnel), message, now),
                    Err(_) => self.drop(DropReason::Malformed),
                }
            }
            CoreMessage::ToOwnGateway { tunnel, message } => {
                self.relays
                    .post(tunnel, RelayMessage::from_nobody(tunnel, message));
            }
            CoreMessage::Forward { router, message } => {
                if !self.may_reach(router, None, now) {
                    return;
                }
                if !self.links.send(router, message, now) {
                    self.drop(DropReason::QueueFull);
                } else if let Some(handle) = self.links.handle(router, now) {
                    self.relays.post_target(&handle);
                }
            }
            CoreMessage::TunnelExpired(tunnel) => self.transit.expired(tunnel),
            CoreMessage::Seed(infos) => {
                for info in infos {
                    self.netdb.seed_router(info, now);
                }
            }
            CoreMessage::Known => {
                let known = self.netdb.routers().map(|(_, info)| info.clone()).collect();
                self.links.ask_shell(ShellRequest::Store(known));
            }
            CoreMessage::LookUp { router, reply } => self.look_up_for(router, reply, now),
            CoreMessage::Limits(limits) => {
                self.config.transit = limits;
                self.relays.post_rate(limits.rate_bytes_per_s);
            }
            CoreMessage::OpenPool { id, pools, to } => self.open_pool(id, pools, to, now),
            CoreMessage::ClosePool(id) => self.close_pool(id),
            CoreMessage::TunnelFailed { id, tunnel } => self.client_tunnel_failed(id, tunnel, now),
            CoreMessage::Floodfills { key, id } => self.name_floodfills(key, id, now),
            CoreMessage::Named(routers) => self.find_named(&routers, now),
            CoreMessage::SendTo { router, message } => {
                if router == self.own.hash() {
                    self.for_this_router(message, now);
                } else if !self.links.send(router, message, now) {
                    self.drop(DropReason::QueueFull);
                }
            }
            CoreMessage::Carried { bytes, dropped } => self.load.carried(bytes, dropped),
            CoreMessage::Drain => self.draining = true,
            CoreMessage::DropLinks => self.links.close_all(TerminationReason::Normal),
            CoreMessage::Stop => self.links.close_all(TerminationReason::Shutdown),
        }
    }

    /// A message for this router itself.
    fn receive(&mut self, origin: Origin, message: I2npMessage, now: Now) {
        tracing::trace!(kind = ?message.kind(), id = message.id(), ?origin, "for us");
        // Clocks differ, and messages are told in whole seconds.
        let early = message.expires() > now.unix + Duration::from_secs(180);
        if early || message.expires() + Duration::from_secs(60) < now.unix {
            self.drop(DropReason::Expired);
            return;
        }
        match message.kind() {
            MessageType::DatabaseStore => self.database_store(origin, &message, now),
            MessageType::DatabaseLookup => self.database_lookup(origin, &message, now),
            MessageType::DatabaseSearchReply => self.search_reply(origin, &message, now),
            MessageType::DeliveryStatus => self.delivery_status(origin, &message, now),
            MessageType::Garlic => self.garlic(origin, &message, now),
            MessageType::ShortTunnelBuild => {
                if !self.own_build_reply(&message, now) {
                    self.build_request(BuildKind::Short, origin, &message, now);
                }
            }
            MessageType::VariableTunnelBuild => {
                self.build_request(BuildKind::Long, origin, &message, now);
            }
            MessageType::OutboundTunnelBuildReply => {
                if !self.own_build_reply(&message, now) {
                    self.drop(DropReason::UnexpectedReply);
                }
            }
            _ => self.drop(DropReason::UnknownType),
        }
    }

    fn tick(&mut self, now: Now) {
        if self.own.resign_at() <= now.instant || std::mem::take(&mut self.resign) {
            match self.own.resign(&self.config, self.load.congestion(), now) {
                Ok(()) => {
                    *self.local.lock().unwrap_or_else(|it| it.into_inner()) =
                        self.own.local().clone();
                    self.links.announce(self.own.info());
                    self.publisher.changed();
                }
                Err(error) => tracing::error!(%error, "cannot sign the own RouterInfo"),
            }
        }
        self.watch_load(now);
        self.watch_clock();
        self.netdb.sweep(now);
        self.links.sweep(now);
        self.quotas.sweep(now);
        self.publish(now);
        self.look_up(now);
        self.build_tunnels(now);
        self.report(now);
    }

    /// Says whether a neighbour may have us speak with this router, which costs much if we know
    /// nothing of it.
    fn may_reach(&mut self, router: RouterHash, from: Option<RouterHash>, now: Now) -> bool {
        let known = router == self.own.hash()
            || self.links.is_linked(&router)
            || self.netdb.router(&router).is_some()
            || self.quotas.unknown(from, now);
        if !known {
            self.drop(DropReason::UnknownRouterQuota);
        }
        known
    }

    /// Messages wait for this router.
    fn want(&mut self, router: RouterHash, now: Now) {
        let wanted = self
            .links
            .want(router, &self.netdb, &self.own, &self.config, now);
        if wanted == Wanted::UnknownRouter && !self.lookups.find_router(router, now) {
            self.links.give_up(router);
        }
    }

    /// Sends a message of our own to a router, over whatever link there is.
    fn send_to(&mut self, router: RouterHash, message: &I2npMessage, now: Now) -> bool {
        if router == self.own.hash() {
            // What we tell ourselves came through a tunnel, or would have.
            self.receive(Origin::Tunnel(None), message.clone(), now);
            return true;
        }
        let message = LinkMessage {
            kind: message.kind(),
            id: message.id(),
            expiration_s: seconds_up(message.expires()),
            body: BytesMut::from(&message.body()[..]),
        };
        let sent = self.links.send(router, message, now);
        if !sent {
            self.drop(DropReason::QueueFull);
        }
        sent
    }

    /// A message of a Destination without outbound hops that is for this router.
    fn for_this_router(&mut self, message: LinkMessage, now: Now) {
        let body = message.body.freeze();
        if message.kind == MessageType::TunnelGateway {
            let gateway = TunnelGateway::parse(&body);
            let parsed = gateway.map(|it| (it.tunnel, body.slice_ref(it.message)));
            match parsed {
                Ok((tunnel, message)) => {
                    self.relays
                        .post(tunnel, RelayMessage::from_nobody(tunnel, message));
                }
                Err(_) => self.drop(DropReason::Malformed),
            }
            return;
        }
        let expires = UnixTime::from_secs(message.expiration_s);
        match I2npMessage::new(message.kind, message.id, expires, body) {
            Ok(message) => self.receive(Origin::Tunnel(None), message, now),
            Err(_) => self.drop(DropReason::Malformed),
        }
    }

    /// Sends a message to the gateway of somebody's inbound tunnel.
    fn send_to_tunnel(
        &mut self,
        gateway: RouterHash,
        tunnel: TunnelId,
        message: &I2npMessage,
        now: Now,
    ) {
        if gateway == self.own.hash() {
            let mut long = BytesMut::new();
            message.encode_long(&mut long);
            let message = long.freeze();
            self.relays
                .post(tunnel, RelayMessage::from_nobody(tunnel, message));
            return;
        }
        let mut body = BytesMut::with_capacity(TunnelGateway::HEADER_LEN + message.long_len());
        body.put_u32(tunnel.get());
        body.put_u16(u16::try_from(message.long_len()).unwrap_or(u16::MAX));
        message.encode_long(&mut body);
        if let Ok(wrapped) = self.message(MessageType::TunnelGateway, body.freeze(), now) {
            self.send_to(gateway, &wrapped, now);
        }
    }

    /// A message of our own under a fresh id.
    fn message(
        &mut self,
        kind: MessageType,
        body: impl Into<Bytes>,
        now: Now,
    ) -> Result<I2npMessage, EncodeError> {
        I2npMessage::new(kind, self.random.u32(), now.unix + MESSAGE_TTL, body)
    }

    /// Counts something that came to nothing.
    fn drop(&mut self, reason: DropReason) {
        tracing::debug!(?reason, "dropped");
        *self.drops.entry(reason).or_default() += 1;
    }
}

/// What tests look at.
#[cfg(test)]
impl Core {
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    pub(crate) fn netdb(&self) -> &NetDb {
        &self.netdb
    }

    /// Asserts that no table holds more than it may.
    pub(crate) fn check_bounds(&self, config: &RouterConfig) {
        assert!(self.inbox.len() <= INBOX);
        self.links.check_bounds(config);
        self.quotas.check_bounds();
        self.lookups.check_bounds();
    }
}
