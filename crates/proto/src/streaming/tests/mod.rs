//! Destinations joined by a link that delays, loses, reorders and doubles packets, on a clock of
//! their own.

mod hostile;
mod limits;
mod lossy;
mod peers;
mod transfer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ramson_crypto::{Random, SigningKey};
use ramson_wire::streaming::Packet;
use ramson_wire::{Destination, DestinationHash, Instant, UnixTime};

use super::*;
use crate::Now;

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The moment on both clocks.
pub(super) fn moment(instant: Instant) -> Now {
    Now {
        instant,
        unix: UnixTime::from_millis(1_767_225_600_000) + instant.saturating_since(Instant::ZERO),
    }
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// A Destination with an Ed25519 key.
pub(super) fn destination(key: &SigningKey) -> Destination {
    let bytes = [&[6; 352][..], &key.public(), &[5, 0, 4, 0, 7, 0, 4]];
    Destination::from_bytes(&bytes.concat()).unwrap()
}

pub(super) fn identity(seed: u8) -> Arc<Identity> {
    let key = key(seed);
    Arc::new(Identity::new(destination(&key), key).unwrap())
}

pub(super) const PORTS: Ports = Ports {
    local: 0,
    remote: 80,
};

/// How packets get from one side to the other.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) latency: Duration,
    /// Up to this is added to each packet's latency.
    pub(super) jitter: Duration,
    pub(super) loss_percent: u64,
    pub(super) double_percent: u64,
    /// Nothing gets through in between.
    pub(super) outage: (Instant, Instant),
    /// A packet takes so long to leave, and so many wait for that.
    pub(super) bottleneck: Option<(Duration, usize)>,
    /// Whether packets come with the hash of the other side's session.
    pub(super) sessions: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: ms(50),
            jitter: ms(0),
            loss_percent: 0,
            double_percent: 0,
            outage: (Instant::ZERO, Instant::ZERO),
            bottleneck: None,
            sessions: true,
        }
    }
}

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

/// Two Destinations, the packets between them, and what they said.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) sides: [Connections; 2],
    pub(super) link: Link,
    pub(super) events: [Vec<Event>; 2],
    /// All packets sent, by side, as long as somebody wants them.
    pub(super) record: Option<Vec<(Instant, usize, Transmit)>>,
    pub(super) sent: [u64; 2],
    on_their_way: BTreeMap<(Instant, u64), (usize, Ports, Bytes)>,
    counter: u64,
    leaves: [Instant; 2],
    random: Random,
    stalled: u32,
}

impl Drop for Pair {
    /// Shows what was sent, if something went wrong and somebody wants to know.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (at, side, transmit) in self.record.iter().flatten() {
            let packet = Packet::parse(&transmit.packet).unwrap();
            let nacks: Vec<u32> = match packet.target() {
                Some(_) => Vec::new(),
                None => packet.nacks().collect(),
            };
            println!(
                "{} {} {packet:?} {nacks:?}",
                at.as_micros(),
                ["A", "B"][*side]
            );
        }
    }
}

impl Pair {
    pub(super) fn new(link: Link) -> Self {
        Self::with(link, 1, ConnectionsConfig::default())
    }

    pub(super) fn with(link: Link, seed: u8, config: ConnectionsConfig) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut random = Random::from_seed([seed; 32]);
        let mut side = |n| {
            let random = random.fork("side");
            Connections::new(identity(n), config.clone(), random, now)
        };
        let mut sides = [side(1), side(2)];
        sides[B].listen(0, 10);
        Self {
            now,
            sides,
            link,
            events: [Vec::new(), Vec::new()],
            record: None,
            sent: [0, 0],
            on_their_way: BTreeMap::new(),
            counter: 0,
            leaves: [now, now],
            random,
            stalled: 0,
        }
    }

    pub(super) fn hash(&self, side: usize) -> DestinationHash {
        self.sides[side].identity().hash()
    }

    pub(super) fn connect(&mut self) -> StreamId {
        let peer = self.hash(B);
        self.sides[A].connect(peer, PORTS, self.now).unwrap()
    }

    /// Opens a stream and accepts it.
    pub(super) fn open(&mut self) -> (StreamId, StreamId) {
        let a = self.connect();
        self.run_until(secs(60), |pair| {
            pair.sides[A].stream(a).unwrap().is_open() && !pair.sides[B].is_empty()
        });
        let b = self.sides[B].accept(0, self.now).unwrap();
        (a, b)
    }

    pub(super) fn stream(&mut self, side: usize, id: StreamId) -> StreamMut<'_> {
        let now = self.now;
        self.sides[side].stream_mut(id, now).unwrap()
    }

    pub(super) fn stats(&self, side: usize, id: StreamId) -> StreamStats {
        self.sides[side].stream(id).unwrap().stats()
    }

    /// Hands a packet to a side as if it had come.
    pub(super) fn inject(
        &mut self,
        to: usize,
        packet: Bytes,
        session: Option<DestinationHash>,
    ) -> Result<(), PacketError> {
        let ports = Ports {
            local: PORTS.remote,
            remote: PORTS.local,
        };
        let now = moment(self.now);
        self.sides[to].handle_packet(packet, ports, session, now)
    }

    /// Lets everything happen that is due now.
    pub(super) fn settle(&mut self) {
        for side in [A, B] {
            while let Some(event) = self.sides[side].poll_event() {
                self.events[side].push(event);
            }
            while let Some(transmit) = self.sides[side].poll_transmit(self.now) {
                self.sent[side] += 1;
                assert!(Packet::parse(&transmit.packet).is_ok());
                self.carry(side, transmit);
            }
        }
    }

    fn carry(&mut self, from: usize, transmit: Transmit) {
        if let Some(record) = &mut self.record {
            record.push((self.now, from, transmit.clone()));
        }
        let link = &self.link;
        let mut leaves = self.now;
        if let Some((time, queue)) = link.bottleneck {
            let free = self.leaves[from].max(self.now);
            let waiting = free.saturating_since(self.now).as_micros() / time.as_micros();
            if waiting as usize >= queue {
                return;
            }
            leaves = free + time;
            self.leaves[from] = leaves;
        }
        if (link.outage.0..link.outage.1).contains(&self.now) {
            return;
        }
        let copies = 1 + u64::from(self.random.below(100) < link.double_percent);
        for _ in 0..copies {
            if self.random.below(100) < link.loss_percent {
                continue;
            }
            let jitter = self.random.below(link.jitter.as_micros() as u64 + 1);
            let at = leaves + link.latency + Duration::from_micros(jitter);
            self.counter += 1;
            let ports = Ports {
                local: transmit.ports.remote,
                remote: transmit.ports.local,
            };
            self.on_their_way.insert(
                (at, self.counter),
                (1 - from, ports, transmit.packet.clone()),
            );
        }
    }

    /// Goes on to the next moment at which something happens, and says whether there is one.
    pub(super) fn step(&mut self, until: Instant) -> bool {
        self.settle();
        let arrival = self.on_their_way.first_key_value().map(|(key, _)| key.0);
        let timers = self.sides.iter().filter_map(Connections::poll_timeout);
        let Some(next) = timers.chain(arrival).min().filter(|&next| next <= until) else {
            self.now = until;
            return false;
        };
        // Timers that are due again at once would be a busy loop.
        self.stalled = if next > self.now { 0 } else { self.stalled + 1 };
        assert!(self.stalled < 5000, "time stands still");
        self.now = self.now.max(next);
        for side in [A, B] {
            if self.sides[side]
                .poll_timeout()
                .is_some_and(|at| at <= self.now)
            {
                self.sides[side].handle_timeout(self.now);
            }
        }
        while let Some(entry) = self.on_their_way.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, ports, packet) = entry.remove();
            let session = self.link.sessions.then(|| self.hash(1 - to));
            let now = moment(self.now);
            // What is wrong is counted, and tests look there.
            let _ = self.sides[to].handle_packet(packet, ports, session, now);
        }
        self.settle();
        true
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Runs until something is so, and returns how long that took.
    pub(super) fn run_until(
        &mut self,
        most: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Duration {
        let (start, until) = (self.now, self.now + most);
        self.settle();
        while !done(self) {
            assert!(self.step(until), "it never came to it");
        }
        self.now.saturating_since(start)
    }

    /// Sends `data` from one side to the other while both live, and returns how long it took and what
    /// arrived.
    pub(super) fn transfer(
        &mut self,
        from: usize,
        ids: [StreamId; 2],
        data: &[u8],
        most: Duration,
    ) -> (Duration, Vec<u8>) {
        let mut rest = Bytes::copy_from_slice(data);
        let mut came = Vec::new();
        let to = 1 - from;
        let time = self.run_until(most, |pair| {
            if !rest.is_empty() {
                pair.stream(from, ids[from]).write_bytes(&mut rest).unwrap();
                pair.settle();
            }
            while let Ok(Read::Data(chunk)) = pair.stream(to, ids[to]).read_chunk(usize::MAX) {
                came.extend_from_slice(&chunk);
            }
            came.len() >= data.len()
        });
        (time, came)
    }

    /// Reads all that is there.
    pub(super) fn read_all(
        &mut self,
        side: usize,
        id: StreamId,
    ) -> (Vec<u8>, Result<Read<Bytes>, CloseReason>) {
        let mut came = Vec::new();
        loop {
            match self.stream(side, id).read_chunk(usize::MAX) {
                Ok(Read::Data(chunk)) => came.extend_from_slice(&chunk),
                end => return (came, end),
            }
        }
    }

    pub(super) fn has_event(&self, side: usize, event: StreamEvent) -> bool {
        self.events[side]
            .iter()
            .any(|each| matches!(each, Event::Stream { event: of, .. } if *of == event))
    }
}

/// Bytes of which each part differs from each other.
pub(super) fn data(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random::from_seed([77; 32]).fill(&mut bytes);
    bytes
}
