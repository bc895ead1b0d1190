//! Machines that speak the protocol to do harm.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{
    Connection, DialConfig, Event, LinkConfig, LinkMessage, LocalRouter, Priority,
};
use ramson_proto::tunnel::build::{BuildPath, HopSpec, PendingBuild};
use ramson_wire::i2np::{DatabaseLookup, DatabaseStore, LookupKind, StoreEntry, StoreReply};
use ramson_wire::{
    Instant, Mapping, MessageType, RouterHash, RouterInfo, TunnelId, UnixTime, Verified,
};

/// A record of a short tunnel build.
const BUILD_RECORD_LEN: usize = 218;
/// How many records a usual one has.
const BUILD_RECORDS: u8 = 4;
/// A request whose answer goes to another tunnel of ours than all others' is told apart by it; so
/// many are remembered.
const MAX_ASKED: usize = 4096;
/// How far the times of outdated requests, and of those from the future, are off.
const OFF: Duration = Duration::from_secs(60 * 60);
/// Genuine requests cost who sends them as much as the target, so there are fewer of them.
const GENUINE_ONE_IN: u64 = 8;

/// What a hostile machine does to a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Asks for tunnels without end: some requests are genuine, the others cost the router an
    /// agreement for nothing.
    Builds,
    /// Sends each request for a tunnel twice, and others that are an hour old or from the future.
    Replays,
    /// Publishes RouterInfos whose signatures do not hold.
    BadStores,
    /// Looks random keys up.
    LookUps,
    /// A link like any other, over which messages of random types and contents come.
    Noise,
    /// Connects and sends random bytes.
    Garbage,
    /// Connects and says nothing.
    Silence,
}

/// What hostile machines did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostileStats {
    /// Connections that were begun.
    pub dials: u64,
    /// Connections that became links.
    pub links: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// Answers to requests for tunnels.
    pub answers: u64,
    /// Those of them that nobody should have given: to requests that were sent before, or at the
    /// wrong time.
    pub wrong_answers: u64,
}

impl HostileStats {
    /// Adds what was counted since.
    pub(crate) fn add(&mut self, other: &Self) {
        self.dials += other.dials;
        self.links += other.links;
        self.sent += other.sent;
        self.answers += other.answers;
        self.wrong_answers += other.wrong_answers;
    }
}

/// One connection of a hostile machine.
#[derive(Debug)]
pub(crate) struct HostileLink {
    attack: Attack,
    us: RouterHash,
    target: Verified<RouterInfo>,
    own_info: Vec<u8>,
    /// None when it does not even shake hands.
    connection: Option<Connection>,
    /// When there is none: it said what it had to say, or the other side ended.
    over: bool,
    up: bool,
    interval: Duration,
    next_at: Instant,
    random: Random,
    sent: u64,
    /// By the tunnel to which the answer goes: how many answers are in order.
    asked: BTreeMap<u32, u32>,
    /// The last request, to be sent again.
    last: BytesMut,
    stats: HostileStats,
}

impl HostileLink {
    /// An attack with `per_s` messages a second on a router, and where to connect to.
    pub(crate) fn new(
        attack: Attack,
        local: &Arc<LocalRouter>,
        target: &Verified<RouterInfo>,
        per_s: u32,
        now: Now,
        mut random: Random,
    ) -> Option<(SocketAddr, Self)> {
        let (address, static_key, iv) = target.ntcp2_addresses().find_map(|address| {
            let (socket, iv) = address.published()?;
            Some((socket, address.static_key, iv))
        })?;
        let shakes_hands = !matches!(attack, Attack::Garbage | Attack::Silence);
        let connection = shakes_hands.then(|| {
            let dial = DialConfig {
                local: Arc::clone(local),
                peer: target.clone(),
                static_key,
                iv,
                link: LinkConfig::default(),
            };
            Connection::dial(dial, now, random.fork("link"))
        });
        let link = Self {
            attack,
            us: local.router_info.hash(),
            target: target.clone(),
            own_info: local.router_info.as_bytes().to_vec(),
            connection,
            over: false,
            up: false,
            interval: Duration::from_secs(1) / per_s.max(1),
            next_at: now.instant,
            random,
            sent: 0,
            asked: BTreeMap::new(),
            last: BytesMut::new(),
            stats: HostileStats::default(),
        };
        Some((address, link))
    }

    /// Takes what it has counted since it was asked last.
    pub(crate) fn take_stats(&mut self) -> HostileStats {
        std::mem::take(&mut self.stats)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    pub(crate) fn handle_input(&mut self, input: &mut BytesMut, now: Now) {
        match &mut self.connection {
            Some(connection) => connection.handle_input(input, now),
            None => input.clear(),
        }
    }

    pub(crate) fn handle_end(&mut self, now: Now) {
        self.over = true;
        if let Some(connection) = &mut self.connection {
            connection.handle_end(now);
        }
    }

    pub(crate) fn step(&mut self, now: Now) -> Option<Instant> {
        let mut answers = Vec::new();
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
            while let Some(event) = connection.poll_event() {
                match event {
                    Event::Established { .. } => {
                        self.up = true;
                        self.next_at = now.instant;
                        self.stats.links += 1;
                    }
                    Event::Message(message) if message.kind == MessageType::TunnelGateway => {
                        let tunnel = message.body.first_chunk().copied();
                        answers.extend(tunnel.map(u32::from_be_bytes));
                    }
                    Event::Closed { .. } => self.up = false,
                    _ => {}
                }
            }
        }
        for tunnel in answers {
            self.answered(tunnel);
        }
        let timer = match &self.connection {
            Some(connection) => connection.poll_timeout()?,
            None if self.over => return None,
            None => Instant::MAX,
        };
        if !self.up {
            return Some(timer);
        }
        // After a pause it does not make up for what it did not send.
        let behind = now.instant.saturating_since(self.next_at);
        if behind > Duration::from_secs(1) {
            self.next_at = now.instant;
        }
        while self.next_at <= now.instant {
            self.next_at += self.interval;
            let message = self.message(now);
            let Some(connection) = &mut self.connection else {
                break;
            };
            if connection.send(message, Priority::Transit).is_err() {
                break;
            }
            self.sent += 1;
            self.stats.sent += 1;
        }
        Some(timer.min(self.next_at))
    }

    pub(crate) fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        if let Some(connection) = &mut self.connection {
            return connection.poll_transmit(now, out);
        }
        if self.attack == Attack::Garbage && self.sent == 0 {
            let mut garbage = vec![0; self.random.range(1..2000) as usize];
            self.random.fill(&mut garbage);
            out.extend_from_slice(&garbage);
            self.sent = 1;
            return true;
        }
        false
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.connection {
            Some(connection) => connection.is_closed(),
            None => self.over,
        }
    }

    fn message(&mut self, now: Now) -> LinkMessage {
        let (kind, body) = match self.attack {
            Attack::Builds => {
                let genuine = self.random.below(GENUINE_ONE_IN) == 0;
                let body = if genuine {
                    self.build(now.unix, 1)
                } else {
                    self.damaged_build()
                };
                (MessageType::ShortTunnelBuild, body)
            }
            Attack::Replays => (MessageType::ShortTunnelBuild, self.replay(now.unix)),
            Attack::BadStores => (MessageType::DatabaseStore, self.bad_store()),
            Attack::LookUps => (MessageType::DatabaseLookup, self.look_up()),
            Attack::Noise | Attack::Garbage | Attack::Silence => {
                let [kind] = self.random.bytes();
                (MessageType::from_code(kind), self.noise())
            }
        };
        let expires = now.unix + Duration::from_secs(20);
        LinkMessage {
            kind,
            id: self.random.u32(),
            expiration_s: expires.to_secs_up(),
            body: body.unwrap_or_default(),
        }
    }

    fn noise(&mut self) -> Option<BytesMut> {
        let mut body = BytesMut::zeroed(self.random.below(1200) as usize);
        self.random.fill(&mut body);
        Some(body)
    }

    /// A request, the same again, one of an hour ago and one of the future, in turns.
    fn replay(&mut self, now: UnixTime) -> Option<BytesMut> {
        match self.sent % 4 {
            0 => {
                let fresh = self.build(now, 1)?;
                self.last = fresh.clone();
                Some(fresh)
            }
            1 => Some(self.last.clone()),
            2 => self.build(now - OFF, 0),
            _ => self.build(now + OFF, 0),
        }
    }

    /// Somebody answers a request, by way of this tunnel.
    fn answered(&mut self, tunnel: u32) {
        let Some(allowed) = self.asked.get_mut(&tunnel) else {
            return;
        };
        self.stats.answers += 1;
        match allowed.checked_sub(1) {
            Some(left) => *allowed = left,
            None => self.stats.wrong_answers += 1,
        }
    }

    /// A tunnel through the target that ends there, with so many answers in order.
    fn build(&mut self, now: UnixTime, answers: u32) -> Option<BytesMut> {
        let hop = HopSpec {
            router: self.target.hash(),
            encryption_key: self.target.identity().encryption_key()?,
            receive_tunnel: TunnelId::new(self.random.u32())?,
            options: Mapping::default(),
        };
        let reply_tunnel = TunnelId::new(self.random.u32())?;
        let path = BuildPath::Outbound {
            reply_gateway: self.us,
            reply_tunnel,
        };
        if self.asked.len() >= MAX_ASKED {
            self.asked.pop_first();
        }
        self.asked.insert(reply_tunnel.get(), answers);
        let id = self.random.u32();
        let (_, body) = PendingBuild::start(&[hop], path, id, &mut self.random, now).ok()?;
        Some(BytesMut::from(&body[..]))
    }

    /// What looks like a tunnel through the target until the work is done.
    fn damaged_build(&mut self) -> Option<BytesMut> {
        let records = usize::from(BUILD_RECORDS) * BUILD_RECORD_LEN;
        let mut body = BytesMut::zeroed(1 + records);
        self.random.fill(&mut body);
        let (count, records) = body.split_first_mut()?;
        *count = BUILD_RECORDS;
        let name = self.target.hash();
        let (name, _) = name.0.split_first_chunk::<16>()?;
        *records.first_chunk_mut::<16>()? = *name;
        Some(body)
    }

    /// A RouterInfo of somebody who does not exist, whose signature does not hold.
    fn bad_store(&mut self) -> Option<BytesMut> {
        // The padding of the identity: another hash.
        let mut bytes = self.own_info.clone();
        let padding = self.random.bytes::<32>();
        bytes.get_mut(32..64)?.copy_from_slice(&padding);
        let info = RouterInfo::from_bytes(&bytes).ok()?;
        let gzip = ramson_wire::gzip::store(info.as_bytes())?;
        let store = DatabaseStore {
            key: info.hash().0,
            reply: Some(StoreReply {
                token: NonZeroU32::new(self.random.u32())?,
                tunnel: None,
                gateway: self.us,
            }),
            entry: StoreEntry::RouterInfo(&gzip),
        };
        let mut body = BytesMut::new();
        store.encode(&mut body).ok()?;
        Some(body)
    }

    fn look_up(&mut self) -> Option<BytesMut> {
        let question = DatabaseLookup {
            key: self.random.bytes(),
            from: self.us,
            kind: LookupKind::RouterInfo,
            tunnel: None,
            excluded: Vec::new(),
            encryption: None,
        };
        let mut body = BytesMut::new();
        question.encode(&mut body).ok()?;
        if body.is_empty() {
            body.put_u8(0);
        }
        Some(body)
    }
}
