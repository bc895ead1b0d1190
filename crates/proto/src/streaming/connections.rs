use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ramson_crypto::Random;
use ramson_wire::streaming::{Flags, Packet};
use ramson_wire::{DestinationHash, Instant};
use thiserror::Error;

use super::limits::Peers;
use super::{
    ConnectionsConfig, ConnectionsStats, Identity, MAX_PACKET_LEN, PacketError, Ports, Stream,
    StreamConfig, StreamEvent,
};
use crate::Now;

mod access;
use access::{Early, Gone};

mod echo;
use echo::Pings;

mod handle;
pub use handle::StreamMut;

/// How many packets of one stream leave before another's turn.
const TURN: u32 = 8;

/// How many answers may wait: RESETs, pings and pongs.
const MAX_ANSWERS: usize = 256;

/// How many RESETs there may be for streams that are not known, at once and then each second.
const UNKNOWN_RESETS: u32 = 8;

/// The streams of one local Destination.
///
/// Whoever drives it does in this order, whenever something happened:
/// [`Connections::handle_packet`], [`Connections::handle_timeout`] or a command; then
/// [`Connections::poll_event`] until it is empty; then [`Connections::poll_transmit`] while there is
/// room for what it returns; then [`Connections::poll_timeout`].
#[derive(Debug)]
pub struct Connections {
    identity: Arc<Identity>,
    config: ConnectionsConfig,
    random: Random,
    streams: BTreeMap<u32, Entry>,
    /// Streams that others opened, by their number for them.
    theirs: BTreeMap<(u32, DestinationHash), u32>,
    timers: BTreeSet<(Instant, u32)>,
    /// Streams that may have something to send, and how often the first has had its turn.
    ready: VecDeque<u32>,
    turn: u32,
    eventful: VecDeque<u32>,
    listeners: BTreeMap<u16, Listener>,
    /// When streams have to be accepted.
    waiting: BTreeSet<(Instant, u32)>,
    answers: VecDeque<Transmit>,
    resets: Bucket,
    peers: Peers,
    early: Early,
    gone: Gone,
    pings: Pings,
    bytes: usize,
    stats: ConnectionsStats,
}

/// The number of a stream at its own Destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

#[derive(Debug)]
struct Entry {
    stream: Stream,
    timer: Option<Instant>,
    ready: bool,
    eventful: bool,
    /// What is counted of it in the sums.
    weight: usize,
    /// A peer opened it, and it is to be told.
    incoming: bool,
    /// Until when it has to be accepted.
    accept_by: Option<Instant>,
    /// The application has it.
    accepted: bool,
    /// The application has had it.
    released: bool,
}

#[derive(Debug)]
struct Listener {
    backlog: usize,
    streams: VecDeque<u32>,
}

/// A packet to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The Destination it is for.
    pub peer: DestinationHash,
    /// The ports, for the gzip header.
    pub ports: Ports,
    /// The packet.
    pub packet: Bytes,
    /// Which way it should go: see [`Stream::path`]. 0 for what belongs to no stream.
    pub path: u32,
    /// The peer needs our LeaseSet with it: i2pd drops a SYN without.
    pub opens: bool,
}

impl fmt::Debug for Transmit {
    /// Shows how long the packet is, and nothing that is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmit")
            .field("ports", &self.ports)
            .field("packet_len", &self.packet.len())
            .field("path", &self.path)
            .field("opens", &self.opens)
            .finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer opened a stream, and it waits for [`Connections::accept`].
    Incoming {
        /// The port it is for.
        port: u16,
    },
    /// Something happened on a stream.
    Stream {
        /// The stream.
        id: StreamId,
        /// What happened.
        event: StreamEvent,
    },
    /// A ping was answered.
    Pong {
        /// What [`Connections::ping`] returned.
        ping: u32,
        /// After how long.
        rtt: Duration,
        /// What came back of its payload.
        payload: Bytes,
    },
    /// A ping was not answered.
    PingLost {
        /// What [`Connections::ping`] returned.
        ping: u32,
    },
}

/// Why a stream cannot be opened, or a ping not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// There are as many as there may be.
    #[error("there are too many streams")]
    TooMany,
}

impl Connections {
    /// Returns the streams of a Destination that has none.
    pub fn new(
        identity: Arc<Identity>,
        config: ConnectionsConfig,
        random: Random,
        now: Instant,
    ) -> Self {
        Self {
            identity,
            config,
            random,
            streams: BTreeMap::new(),
            theirs: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            turn: 0,
            eventful: VecDeque::new(),
            listeners: BTreeMap::new(),
            waiting: BTreeSet::new(),
            answers: VecDeque::new(),
            resets: Bucket::new(UNKNOWN_RESETS, now),
            peers: Peers::new(),
            early: Early::default(),
            gone: Gone::default(),
            pings: Pings::new(now),
            bytes: 0,
            stats: ConnectionsStats::default(),
        }
    }

    /// Opens a stream. Its SYN is sent with what is written before the next
    /// [`Connections::poll_transmit`].
    ///
    /// # Errors
    ///
    /// [`ConnectError::TooMany`].
    pub fn connect(
        &mut self,
        peer: DestinationHash,
        ports: Ports,
        now: Instant,
    ) -> Result<StreamId, ConnectError> {
        self.connect_with(peer, ports, self.config.stream, now)
    }

    /// As [`Connections::connect`], with other limits and times.
    ///
    /// # Errors
    ///
    /// [`ConnectError::TooMany`].
    pub fn connect_with(
        &mut self,
        peer: DestinationHash,
        ports: Ports,
        config: StreamConfig,
        now: Instant,
    ) -> Result<StreamId, ConnectError> {
        let full = self.peers.streams(&peer) >= self.config.max_streams_per_peer;
        if full || !self.make_room(now) {
            return Err(ConnectError::TooMany);
        }
        let id = self.new_id();
        let mut stream = Stream::connect(self.identity.clone(), config, id, peer, ports, now);
        if let Some((smoothed, variance)) = self.peers.rtt(&peer, now) {
            stream.seed_rtt(smoothed, variance);
        }
        self.stats.opened += 1;
        self.insert(id, stream, true, now);
        Ok(StreamId(id))
    }

    /// Lets others open streams to a port, or to all ports without a listener of their own if it is
    /// 0. `backlog` is how many may wait to be accepted.
    pub fn listen(&mut self, port: u16, backlog: usize) {
        let listener = self.listeners.entry(port).or_insert_with(|| Listener {
            backlog,
            streams: VecDeque::new(),
        });
        listener.backlog = backlog;
    }

    /// Ends that. The streams that wait are reset.
    pub fn unlisten(&mut self, port: u16, now: Instant) {
        let listener = self.listeners.remove(&port);
        for id in listener.into_iter().flat_map(|listener| listener.streams) {
            self.give_up(id, now);
        }
    }

    /// Takes the next stream that was opened to a port.
    pub fn accept(&mut self, port: u16, now: Instant) -> Option<StreamId> {
        let id = self.listeners.get_mut(&port)?.streams.pop_front()?;
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.accepted = true;
            entry.incoming = false;
            if let Some(by) = entry.accept_by.take() {
                self.waiting.remove(&(by, id));
            }
        }
        self.touch(id, now);
        Some(StreamId(id))
    }

    /// Returns a stream, to look at.
    pub fn stream(&self, id: StreamId) -> Option<&Stream> {
        let entry = self.streams.get(&id.0);
        entry.map(|entry| &entry.stream)
    }

    /// Returns a stream, to read, write or end.
    pub fn stream_mut(&mut self, id: StreamId, now: Instant) -> Option<StreamMut<'_>> {
        let known = self.streams.get(&id.0).is_some_and(|entry| !entry.released);
        known.then_some(StreamMut::new(self, id, now))
    }

    /// Returns the streams there are, those included that are over and not forgotten.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Says whether everything written to streams that are not over was acknowledged.
    pub fn is_flushed(&self) -> bool {
        let mut streams = self.streams.values().map(|entry| &entry.stream);
        streams.all(|stream| stream.close_reason().is_some() || stream.is_flushed())
    }

    /// Returns how many bytes of memory all streams hold, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the counters.
    pub fn stats(&self) -> &ConnectionsStats {
        &self.stats
    }

    /// Returns who the streams are of.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Handles a packet. `session` is the Destination to whose garlic session its message belonged,
    /// if it did to one; then the packet must be of it. Payloads stay in the memory of `bytes`,
    /// which should not be much more than the packet.
    ///
    /// # Errors
    ///
    /// [`PacketError`], if something was wrong with it. All are counted, and nothing is to be done.
    pub fn handle_packet(
        &mut self,
        bytes: Bytes,
        ports: Ports,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        let result = self.dispatch(&bytes, ports, session, now);
        if let Err(error) = result {
            self.stats.count(error);
        }
        result
    }

    fn dispatch(
        &mut self,
        bytes: &Bytes,
        ports: Ports,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        if bytes.len() > MAX_PACKET_LEN {
            return Err(PacketError::TooLong);
        }
        let packet = Packet::parse(bytes).map_err(|_| PacketError::Malformed)?;
        if packet.flags.contains(Flags::ECHO) {
            return self.handle_echo(&packet, ports, session, now);
        }
        if packet.send_stream != 0 {
            if self.streams.contains_key(&packet.send_stream) {
                return self.pass(packet.send_stream, &packet, bytes, session, now);
            }
            self.answer_unknown(&packet, ports, session, now.instant);
            return Err(PacketError::UnknownStream);
        }
        if packet.flags.contains(Flags::SYNCHRONIZE) {
            return self.handle_syn(&packet, bytes, ports, session, now);
        }
        match self.find_theirs(packet.receive_stream, session) {
            Some(id) => self.pass(id, &packet, bytes, session, now),
            None if packet.flags.contains(Flags::RESET) => Err(PacketError::UnknownStream),
            // It overtook its SYN.
            None => self.early.keep(&packet, bytes, session, now.instant),
        }
    }

    /// Hands a packet to its stream.
    fn pass(
        &mut self,
        id: u32,
        packet: &Packet<'_>,
        bytes: &Bytes,
        session: Option<DestinationHash>,
        now: Now,
    ) -> Result<(), PacketError> {
        let room = self.room(id);
        let entry = self
            .streams
            .get_mut(&id)
            .ok_or(PacketError::UnknownStream)?;
        let result = entry
            .stream
            .handle_packet(packet, bytes, session, room, now);
        self.touch(id, now.instant);
        result
    }

    /// Returns how many bytes more a stream may hold, for the sake of all others.
    fn room(&self, id: u32) -> usize {
        let Some(entry) = self.streams.get(&id) else {
            return 0;
        };
        let of_peer = self.peers.bytes(&entry.stream.peer());
        let all = self.config.max_bytes.saturating_sub(self.bytes);
        all.min(self.config.max_bytes_per_peer.saturating_sub(of_peer))
    }

    /// Finds the stream that a peer opened, by its number for it.
    fn find_theirs(&self, remote_id: u32, session: Option<DestinationHash>) -> Option<u32> {
        if let Some(session) = session {
            return self.theirs.get(&(remote_id, session)).copied();
        }
        let first = (remote_id, DestinationHash([0; 32]));
        let last = (remote_id, DestinationHash([0xff; 32]));
        let mut found = self.theirs.range(first..=last).map(|(_, &id)| id);
        let one = found.next()?;
        // Two peers with one number: it could be of either.
        found.next().is_none().then_some(one)
    }

    fn new_id(&mut self) -> u32 {
        loop {
            let id = self.random.u32();
            if id != 0 && !self.streams.contains_key(&id) {
                return id;
            }
        }
    }

    /// Makes room for one more stream, if need be in place of one that is over.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.streams.len() < self.config.max_streams {
            return true;
        }
        let over = self
            .streams
            .iter()
            .find(|(_, entry)| entry.released && entry.stream.is_lingering());
        let Some((&id, _)) = over else {
            return false;
        };
        self.remove(id, now);
        true
    }

    fn insert(&mut self, id: u32, stream: Stream, accepted: bool, now: Instant) {
        let peer = stream.peer();
        self.peers.add(peer, self.config.max_peers, now);
        self.streams.insert(
            id,
            Entry {
                stream,
                timer: None,
                ready: false,
                eventful: false,
                weight: 0,
                incoming: !accepted,
                accept_by: None,
                accepted,
                released: false,
            },
        );
        self.touch(id, now);
    }

    fn remove(&mut self, id: u32, now: Instant) {
        let Some(entry) = self.streams.remove(&id) else {
            return;
        };
        let peer = entry.stream.peer();
        if let Some(timer) = entry.timer {
            self.timers.remove(&(timer, id));
        }
        if let Some(by) = entry.accept_by {
            self.waiting.remove(&(by, id));
        }
        self.bytes = self.bytes.saturating_sub(entry.weight);
        self.peers.change_bytes(&peer, entry.weight, 0);
        if let Some(rtt) = entry.stream.rtt() {
            self.peers.remember_rtt(&peer, rtt, now);
        }
        self.peers.remove(peer, now);
        if !entry.stream.is_opener() {
            let key = (entry.stream.remote_id(), peer);
            self.theirs.remove(&key);
            self.gone.add(key, now);
        }
    }

    /// Brings everything up to date after something happened to a stream, which may have something
    /// to send now.
    fn touch(&mut self, id: u32, now: Instant) {
        self.update(id, now);
        if let Some(entry) = self.streams.get_mut(&id)
            && !entry.ready
        {
            entry.ready = true;
            self.ready.push_back(id);
        }
    }

    /// Brings sums, timer and events up to date.
    fn update(&mut self, id: u32, now: Instant) {
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        if entry.released && entry.stream.is_over(now) {
            return self.remove(id, now);
        }
        let weight = entry.stream.weight();
        if weight != entry.weight {
            let peer = entry.stream.peer();
            self.bytes = self
                .bytes
                .saturating_sub(entry.weight)
                .saturating_add(weight);
            self.peers.change_bytes(&peer, entry.weight, weight);
            entry.weight = weight;
        }
        // What is over and waits for the application to let it go has nothing to wait for itself.
        let timer = match entry.stream.is_over(now) {
            true => None,
            false => entry.stream.poll_timeout(),
        };
        if timer != entry.timer {
            if let Some(old) = entry.timer {
                self.timers.remove(&(old, id));
            }
            if let Some(new) = timer {
                self.timers.insert((new, id));
            }
            entry.timer = timer;
        }
        let eventful = match (entry.accepted, entry.released) {
            (_, true) => false,
            (true, false) => entry.stream.has_event(),
            (false, false) => entry.incoming,
        };
        if eventful && !entry.eventful {
            entry.eventful = true;
            self.eventful.push_back(id);
        }
    }

    /// Resets a stream that nobody accepted.
    fn give_up(&mut self, id: u32, now: Instant) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !entry.accepted
        {
            entry.stream.reset_unaccepted(now);
            if let Some(by) = entry.accept_by.take() {
                self.waiting.remove(&(by, id));
            }
            entry.incoming = false;
            entry.released = true;
        }
        self.touch(id, now);
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.pings.poll_event() {
            return Some(event);
        }
        while let Some(&id) = self.eventful.front() {
            if let Some(entry) = self.streams.get_mut(&id) {
                if std::mem::take(&mut entry.incoming) {
                    let port = listener_port(&self.listeners, entry.stream.ports().local);
                    return Some(Event::Incoming { port });
                }
                let open = entry.accepted && !entry.released;
                if let Some(event) = open.then(|| entry.stream.poll_event()).flatten() {
                    let id = StreamId(id);
                    return Some(Event::Stream { id, event });
                }
                entry.eventful = false;
            }
            self.eventful.pop_front();
        }
        None
    }

    /// Returns the next packet to be sent: of each stream a few, in turn. Packets that are not
    /// asked for stay where they are, and are not taken for lost.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        while let Some(&id) = self.ready.front() {
            let packet = self.streams.get_mut(&id).and_then(|entry| {
                let (packet, opens) = entry.stream.poll_transmit(now)?;
                Some(Transmit {
                    peer: entry.stream.peer(),
                    ports: entry.stream.ports(),
                    packet,
                    path: entry.stream.path(),
                    opens,
                })
            });
            self.turn += 1;
            if packet.is_none() || self.turn >= TURN {
                self.turn = 0;
                self.ready.pop_front();
                if let Some(entry) = self.streams.get_mut(&id) {
                    entry.ready = packet.is_some();
                    if entry.ready {
                        self.ready.push_back(id);
                    } else {
                        self.update(id, now);
                    }
                }
            }
            if packet.is_some() {
                return packet;
            }
        }
        None
    }

    /// Returns when [`Connections::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let stream = self.timers.first().map(|&(at, _)| at);
        let waiting = self.waiting.first().map(|&(at, _)| at);
        let pings = self.pings.poll_timeout();
        [stream, waiting, pings].into_iter().flatten().min()
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<u32> = self
            .timers
            .range(..=(now, u32::MAX))
            .map(|&(_, id)| id)
            .collect();
        for id in due {
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.stream.handle_timeout(now);
            }
            self.touch(id, now);
        }
        while let Some(&(at, id)) = self.waiting.first()
            && at <= now
        {
            self.waiting.pop_first();
            for listener in self.listeners.values_mut() {
                listener.streams.retain(|&each| each != id);
            }
            self.give_up(id, now);
        }
        self.pings.handle_timeout(now);
    }

    /// Ends all streams at once.
    pub fn reset_all(&mut self, now: Instant) {
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.stream.reset(now);
            }
            self.touch(id, now);
        }
    }

    fn answer(&mut self, answer: Transmit) {
        match self.answers.len() < MAX_ANSWERS {
            true => self.answers.push_back(answer),
            false => self.stats.dropped_answers += 1,
        }
    }
}

/// Returns the port of the listener that a port belongs to.
fn listener_port(listeners: &BTreeMap<u16, Listener>, port: u16) -> u16 {
    match listeners.contains_key(&port) {
        true => port,
        false => 0,
    }
}

/// So many at once, and as many each second.
#[derive(Debug)]
struct Bucket {
    size: u32,
    left: u32,
    filled: Instant,
}

impl Bucket {
    fn new(size: u32, now: Instant) -> Self {
        Self {
            size,
            left: size,
            filled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_since(self.filled) >= Duration::from_secs(1) {
            self.left = self.size;
            self.filled = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}
