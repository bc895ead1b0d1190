//! Two links joined by a pipe that splits bytes as it likes, and a clock of their own.

mod admission;
mod by_hand;
mod confirmed;
mod data;
mod failures;
mod frames;
mod handshake;
mod queue;
mod splits;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{Random, SigningKey};
use ramson_wire::ntcp2::{Block, TerminationReason};
use ramson_wire::{
    Instant, Mapping, MessageType, Ntcp2Address, RouterHash, RouterIdentity, RouterInfo,
    RouterInfoBuilder, UnixTime, Verified,
};

use super::*;
use crate::{Now, Sensitive};

pub(super) const NETWORK: u8 = 99;
const ALICE_IP: &str = "192.0.2.1";
const BOB_IP: &str = "192.0.2.2";

/// The moment tests start at.
pub(super) fn start() -> Now {
    Now {
        instant: Instant::from_micros(5_000_000),
        unix: UnixTime::from_millis(1_767_225_600_000),
    }
}

pub(super) fn later(now: Now, by: Duration) -> Now {
    Now {
        instant: now.instant + by,
        unix: now.unix + by,
    }
}

/// What a router of a test is made of.
pub(super) struct TestRouter {
    pub(super) signing: SigningKey,
    pub(super) static_key: PrivateKey,
    pub(super) iv: [u8; 16],
    pub(super) network: Option<u8>,
    pub(super) local_network: u8,
    pub(super) published: UnixTime,
    pub(super) hosts: Vec<IpAddr>,
    pub(super) address_key: Option<[u8; 32]>,
}

impl TestRouter {
    pub(super) fn new(seed: u8, host: &str) -> Self {
        let mut random = Random::from_seed([seed; 32]);
        Self {
            signing: SigningKey::from_seed(&random.bytes()),
            static_key: PrivateKey::generate(&mut random),
            iv: random.bytes(),
            network: Some(NETWORK),
            local_network: NETWORK,
            published: start().unix,
            hosts: vec![host.parse().unwrap()],
            address_key: None,
        }
    }

    pub(super) fn alice() -> Self {
        Self::new(1, ALICE_IP)
    }

    pub(super) fn bob() -> Self {
        Self::new(2, BOB_IP)
    }
}

impl TestRouter {
    pub(super) fn identity(&self) -> RouterIdentity {
        RouterIdentity::new(&[6; 32], &self.signing.public(), &[7; 32])
    }

    pub(super) fn hash(&self) -> RouterHash {
        self.identity().hash()
    }

    /// Signs the RouterInfo.
    pub(super) fn info(&self) -> Verified<RouterInfo> {
        let address = |host: Option<IpAddr>| {
            let address = Ntcp2Address {
                host,
                port: host.map(|_| 12345),
                static_key: self.address_key.unwrap_or(self.static_key.public()),
                iv: host.map(|_| self.iv),
                caps_ipv4: host.is_none(),
                caps_ipv6: false,
            };
            address.to_address()
        };
        let addresses = match &self.hosts[..] {
            [] => vec![address(None)],
            hosts => hosts.iter().map(|&host| address(Some(host))).collect(),
        };
        let mut options = vec![
            ("caps", "LR".to_owned()),
            ("router.version", "0.9.62".to_owned()),
        ];
        options.extend(self.network.map(|id| ("netId", id.to_string())));
        RouterInfoBuilder {
            identity: self.identity(),
            published: self.published,
            addresses,
            options: Mapping::from_pairs(options).unwrap(),
        }
        .sign(&self.signing)
        .unwrap()
    }

    pub(super) fn local(&self) -> Arc<LocalRouter> {
        Arc::new(LocalRouter {
            router_info: self.info(),
            static_key: self.static_key.clone(),
            iv: self.iv,
            network_id: self.local_network,
        })
    }

    /// What this router dials `peer` with.
    pub(super) fn dial(&self, peer: &Self) -> DialConfig {
        DialConfig {
            local: self.local(),
            peer: peer.info(),
            static_key: peer.static_key.public(),
            iv: peer.iv,
            link: LinkConfig::default(),
        }
    }

    /// What this router accepts with.
    pub(super) fn accept(&self) -> AcceptConfig {
        AcceptConfig {
            local: self.local(),
            source: Sensitive(ALICE_IP.parse().unwrap()),
            any_source: false,
            banned: Arc::new(BTreeSet::new()),
            greet: false,
            link: LinkConfig::default(),
        }
    }
}

/// One side of a pair: a link, what has come for it, and what it said.
pub(super) struct Side {
    pub(super) link: Connection,
    /// On the way.
    pub(super) pipe: BytesMut,
    /// What the socket has read and the link has not taken.
    pub(super) input: BytesMut,
    pub(super) events: Vec<Event>,
    /// All that was ever written to it, each write apart.
    pub(super) writes: Vec<Bytes>,
}

impl Side {
    pub(super) fn new(link: Connection) -> Self {
        Self {
            link,
            pipe: BytesMut::new(),
            input: BytesMut::new(),
            events: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// Moves `len` bytes of the pipe to the link.
    fn read(&mut self, len: usize, now: Now) {
        let len = len.min(self.pipe.len());
        let read = self.pipe.split_to(len);
        self.input.extend_from_slice(&read);
        loop {
            self.link.handle_input(&mut self.input, now);
            if !self.take_events(now) {
                break;
            }
        }
    }

    /// Takes events and answers the question for replays with yes.
    pub(super) fn take_events(&mut self, now: Now) -> bool {
        let before = self.events.len();
        while let Some(event) = self.link.poll_event() {
            if matches!(event, Event::EphemeralKey { .. }) {
                self.link.admit(true, now);
            }
            self.events.push(event);
        }
        self.events.len() > before
    }

    pub(super) fn closed(&self) -> Option<&CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { why } => Some(why),
            _ => None,
        })
    }

    pub(super) fn messages(&self) -> Vec<&LinkMessage> {
        let events = self.events.iter();
        events
            .filter_map(|event| match event {
                Event::Message(message) => Some(message),
                _ => None,
            })
            .collect()
    }

    pub(super) fn established(&self) -> Option<(i64, Duration)> {
        self.events.iter().find_map(|event| match event {
            Event::Established { skew_ms, rtt, .. } => Some((*skew_ms, *rtt)),
            _ => None,
        })
    }
}

/// Alice and Bob.
pub(super) struct Pair {
    pub(super) alice: Side,
    pub(super) bob: Side,
    pub(super) now: Now,
    /// How far Bob's calendar is ahead, in milliseconds.
    pub(super) bob_ahead_ms: i64,
    /// What one way takes.
    pub(super) delay: Duration,
    /// Draws how many bytes come at once; all of them without it.
    pub(super) splits: Option<Random>,
}

impl Pair {
    pub(super) fn new(alice: &TestRouter, bob: &TestRouter) -> Self {
        Self::with(alice.dial(bob), bob.accept())
    }

    pub(super) fn with(dial: DialConfig, accept: AcceptConfig) -> Self {
        let now = start();
        Self {
            alice: Side::new(Connection::dial(dial, now, Random::from_seed([11; 32]))),
            bob: Side::new(Connection::accept(accept, now, Random::from_seed([12; 32]))),
            now,
            bob_ahead_ms: 0,
            delay: Duration::ZERO,
            splits: None,
        }
    }

    /// Returns a pair whose link is up.
    pub(super) fn open() -> Self {
        let mut pair = Self::new(&TestRouter::alice(), &TestRouter::bob());
        pair.settle();
        assert!(pair.alice.established().is_some());
        assert!(pair.bob.established().is_some());
        pair
    }

    pub(super) fn bob_now(&self) -> Now {
        let unix = self.now.unix.as_millis();
        Now {
            instant: self.now.instant,
            unix: UnixTime::from_millis(unix.saturating_add_signed(self.bob_ahead_ms)),
        }
    }

    /// Moves bytes until none are left to move.
    pub(super) fn settle(&mut self) {
        while self.round() {}
    }

    /// Lets both write all they have, time pass, and both read all of it.
    pub(super) fn round(&mut self) -> bool {
        let (now, bob_now) = (self.now, self.bob_now());
        let mut moved = write(&mut self.alice, &mut self.bob, now);
        moved |= write(&mut self.bob, &mut self.alice, bob_now);
        if moved {
            self.now = later(self.now, self.delay);
        }
        let (now, bob_now) = (self.now, self.bob_now());
        for (side, now) in [(&mut self.alice, now), (&mut self.bob, bob_now)] {
            side.take_events(now);
            while !side.pipe.is_empty() {
                let len = match &mut self.splits {
                    Some(random) => 1 + random.below(64) as usize,
                    None => usize::MAX,
                };
                side.read(len, now);
            }
        }
        moved
    }

    /// Lets time pass, with all timers that come due at the second.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while self.now.instant < end {
            self.now = later(self.now, Duration::from_millis(250));
            let bob_now = self.bob_now();
            for (side, now) in [(&mut self.alice, self.now), (&mut self.bob, bob_now)] {
                if side.link.poll_timeout().is_some_and(|at| at <= now.instant) {
                    side.link.handle_timeout(now);
                }
            }
            self.settle();
        }
    }
}

fn write(from: &mut Side, to: &mut Side, now: Now) -> bool {
    let mut moved = false;
    loop {
        let mut out = BytesMut::new();
        if !from.link.poll_transmit(now, &mut out) {
            return moved;
        }
        to.pipe.extend_from_slice(&out);
        to.writes.push(out.freeze());
        moved = true;
    }
}

pub(super) fn now_s() -> u32 {
    start().unix.as_secs() as u32
}

/// Runs a pair and returns why Bob and Alice closed.
pub(super) fn reasons(mut pair: Pair) -> (Option<CloseReason>, Option<CloseReason>) {
    pair.settle();
    if pair.bob.closed().is_none() || !pair.bob.link.is_closed() {
        pair.wait(Duration::from_secs(10));
    }
    (pair.bob.closed().cloned(), pair.alice.closed().cloned())
}

pub(super) fn handshake(error: HandshakeError) -> Option<CloseReason> {
    Some(CloseReason::Handshake(error))
}

pub(super) fn message(id: u32, len: usize) -> LinkMessage {
    let mut body = vec![0; len];
    Random::from_seed([id as u8; 32]).fill(&mut body);
    LinkMessage {
        kind: MessageType::TunnelData,
        id,
        expiration_s: (start().unix.as_secs() + 100_000) as u32,
        body: BytesMut::from(body.as_slice()),
    }
}

pub(super) fn put_router_info(out: &mut BytesMut, bytes: &[u8]) {
    let flood = false;
    Block::RouterInfo { flood, bytes }.encode(out).unwrap();
}
