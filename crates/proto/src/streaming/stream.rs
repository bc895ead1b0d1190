use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ramson_wire::streaming::{Options, Packet};
use ramson_wire::{Destination, DestinationHash, Instant};

use super::identity::PeerKey;
use super::receive::Receiver;
use super::send::Sender;
use super::{
    CloseReason, Congestion, Identity, InactivityAction, Ports, Read, StreamConfig, StreamStats,
    WriteError,
};

mod incoming;
pub(super) use incoming::read_options;

mod transmit;

/// How long a stream that is over goes on answering, so that a peer which did not hear of it does.
const LINGER: Duration = Duration::from_secs(20);

/// How long a peer that finished may leave our data unanswered: i2pd has no half-close and forgets
/// a stream when it is told of the end.
const HALF_CLOSED_DEAD: Duration = Duration::from_secs(60);

/// How long a stream that nobody holds waits for the peer to finish.
const ORPHANED: Duration = Duration::from_secs(30);

/// How often a CLOSE is tried: all data is acknowledged, so that nothing but politeness is lost, and
/// i2pd forgets a stream as soon as it has answered once.
const CLOSE_TRIES: u32 = 8;

/// How far apart answers to packets of a stream that was reset are.
const RESET_INTERVAL: Duration = Duration::from_secs(1);

/// i2pd counts in signed 32 bits.
const LAST_SEQUENCE: u32 = i32::MAX as u32 - 16;

/// One stream in either role, from its SYN to its end, without anything around it.
///
/// Whoever drives it does in this order, whenever something happened: [`Stream::handle_packet`],
/// [`Stream::handle_timeout`] or a command; then [`Stream::poll_event`] until it is empty; then
/// [`Stream::poll_transmit`] until it has nothing; then [`Stream::poll_timeout`].
/// [`super::Connections`] does so for all streams of a Destination.
#[derive(Debug)]
pub struct Stream {
    identity: Arc<Identity>,
    config: StreamConfig,
    opener: bool,
    local_id: u32,
    /// 0 until it is known.
    remote_id: u32,
    /// Which number packets had that came before the answer to the SYN.
    claimed_id: Option<u32>,
    peer_hash: DestinationHash,
    peer: Option<PeerKey>,
    ports: Ports,
    state: State,
    created: Instant,
    sender: Sender,
    receiver: Receiver,
    max_payload: usize,
    finishing: bool,
    /// The sequence number of our CLOSE.
    close_sequence: Option<u32>,
    orphaned: bool,
    /// What comes is thrown away.
    deaf: bool,
    keep_alive: bool,
    last_activity: Instant,
    path: u32,
    events: Events,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Our SYN is not answered.
    Opening,
    Open,
    Closed {
        reason: CloseReason,
        until: Instant,
        /// A RESET is to be sent.
        reset: bool,
        /// And no other before this.
        next_reset: Instant,
    },
}

/// What happened on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// The peer answered our SYN.
    Established,
    /// There is something to be read, or the end.
    Readable,
    /// There is room again, after a write that was not taken whole.
    Writable,
    /// The stream is over. What came before can still be read.
    Closed(CloseReason),
}

#[derive(Debug, Default)]
struct Events {
    established: bool,
    readable: bool,
    /// The last read had nothing.
    wants_readable: bool,
    writable: bool,
    /// The last write was not taken whole.
    wants_writable: bool,
    closed: Option<CloseReason>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    sent_packets: u64,
    sent_bytes: u64,
    received_packets: u64,
    received_bytes: u64,
    duplicates: u64,
}

/// What a stream in its first moment is made of.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) identity: Arc<Identity>,
    pub(super) config: StreamConfig,
    pub(super) local_id: u32,
    pub(super) ports: Ports,
}

impl Stream {
    /// Begins a stream to `peer`. The SYN, with what is written by then, is the first that
    /// [`Stream::poll_transmit`] returns. `local_id` is the number of the stream here, not 0, and
    /// hard to guess.
    pub fn connect(
        identity: Arc<Identity>,
        config: StreamConfig,
        local_id: u32,
        peer: DestinationHash,
        ports: Ports,
        now: Instant,
    ) -> Self {
        let origin = Origin {
            identity,
            config,
            local_id,
            ports,
        };
        Self::new(origin, peer, State::Opening, now)
    }

    /// Answers a SYN that was found authentic.
    pub(super) fn accept(
        origin: Origin,
        packet: &Packet<'_>,
        bytes: &Bytes,
        options: &Options<'_>,
        peer: PeerKey,
        room: usize,
        now: Instant,
    ) -> Self {
        let mut stream = Self::new(origin, peer.hash(), State::Open, now);
        stream.opener = false;
        stream.remote_id = packet.receive_stream;
        stream.set_max_payload(options);
        stream.peer = Some(peer);
        stream.counts.received_packets = 1;
        // The first packet of a stream fits, whatever its limits.
        let _ = stream.receive(packet, bytes, room.max(bytes.len()));
        stream
    }

    fn new(origin: Origin, peer_hash: DestinationHash, state: State, now: Instant) -> Self {
        let config = origin.config;
        Self {
            identity: origin.identity,
            opener: true,
            local_id: origin.local_id,
            remote_id: 0,
            claimed_id: None,
            peer_hash,
            peer: None,
            ports: origin.ports,
            state,
            created: now,
            sender: Sender::new(&config, now),
            receiver: Receiver::new(config.receive_buffer, config.receive_span),
            max_payload: usize::from(config.max_payload.max(1)),
            config,
            finishing: false,
            close_sequence: None,
            orphaned: false,
            deaf: false,
            keep_alive: false,
            last_activity: now,
            path: 0,
            events: Events {
                wants_readable: true,
                ..Events::default()
            },
            counts: Counts::default(),
        }
    }

    /// Puts another judge of congestion in place of the usual one, before anything is sent.
    pub fn set_congestion(&mut self, congestion: Box<dyn Congestion>) {
        self.sender.set_congestion(congestion);
    }

    /// Begins with the round-trip time that another stream to this peer had.
    pub(super) fn seed_rtt(&mut self, smoothed: Duration, variance: Duration) {
        self.sender.rtt_mut().seed(smoothed, variance);
    }

    /// Returns the smoothed round-trip time and its variance.
    pub(super) fn rtt(&self) -> Option<(Duration, Duration)> {
        let rtt = self.sender.rtt();
        rtt.smoothed().map(|smoothed| (smoothed, rtt.variance()))
    }

    /// Returns the number of the stream here.
    pub fn local_id(&self) -> u32 {
        self.local_id
    }

    /// Returns the number that the peer gave the stream, 0 if that is not known yet.
    pub fn remote_id(&self) -> u32 {
        self.remote_id
    }

    /// Returns the peer's hash.
    pub fn peer(&self) -> DestinationHash {
        self.peer_hash
    }

    /// Returns the peer's Destination, once it said it.
    pub fn peer_destination(&self) -> Option<&Destination> {
        self.peer.as_ref().map(PeerKey::destination)
    }

    /// Returns the ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Says whether we opened it.
    pub fn is_opener(&self) -> bool {
        self.opener
    }

    /// Says whether the peer answered and the stream is not over.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Returns how it ended, once it did.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Says whether everything written was acknowledged by the peer.
    pub fn is_flushed(&self) -> bool {
        self.sender.is_idle() || self.close_sequence == Some(self.sender.base())
    }

    /// Says whether a read would bring something, or the end.
    pub fn is_readable(&self) -> bool {
        self.receiver.is_readable()
    }

    /// Returns how many bytes a write would take.
    pub fn write_room(&self) -> usize {
        self.sender.room()
    }

    /// Returns which way packets go. Each number asks for another outbound tunnel, or another lease
    /// of the peer's, than the one before: what went there got lost.
    pub fn path(&self) -> u32 {
        self.path
    }

    /// Returns how many bytes of memory its contents take, about.
    pub fn weight(&self) -> usize {
        self.sender.weight().saturating_add(self.receiver.weight())
    }

    /// Returns the counters and estimates.
    pub fn stats(&self) -> StreamStats {
        let rtt = self.sender.rtt();
        StreamStats {
            smoothed_rtt: rtt.smoothed(),
            min_rtt: rtt.min(),
            rtt_variance: rtt.variance(),
            timeout: rtt.timeout(),
            window: self.sender.window(),
            in_flight: self.sender.in_flight(),
            max_payload: self.max_payload,
            sent_packets: self.counts.sent_packets,
            sent_bytes: self.counts.sent_bytes,
            received_packets: self.counts.received_packets,
            received_bytes: self.counts.received_bytes,
            resent_packets: self.sender.counts.resent,
            lost_packets: self.sender.counts.lost,
            spurious_resends: self.sender.counts.spurious,
            timeouts: self.sender.counts.timeouts,
            duplicates: self.counts.duplicates,
            chokes: self.sender.counts.chokes,
            choked: self.sender.is_choked(),
            choking: self.receiver.is_choking(),
        }
    }

    /// Returns how long an acknowledgement may wait for others to go with.
    fn ack_delay(&self) -> Duration {
        let rtt = self.sender.rtt().smoothed().unwrap_or_default();
        (rtt / 8)
            .min(self.config.max_ack_delay)
            .max(Duration::from_millis(1))
    }

    /// Takes as many bytes as there is room for to be sent, and returns how many. `room` is how many
    /// bytes more than now may be held.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. What was taken before may be lost then, except after
    /// [`CloseReason::Finished`].
    pub fn write(&mut self, data: &[u8], room: usize) -> Result<usize, WriteError> {
        self.check_writable()?;
        let taken = self.sender.write(data, room);
        self.events.wants_writable |= taken < data.len();
        Ok(taken)
    }

    /// As [`Stream::write`], from the front of `data` and without copying.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write_bytes(&mut self, data: &mut Bytes, room: usize) -> Result<usize, WriteError> {
        self.check_writable()?;
        let taken = self.sender.write_bytes(data, room);
        self.events.wants_writable |= !data.is_empty();
        Ok(taken)
    }

    fn check_writable(&self) -> Result<(), WriteError> {
        match self.state {
            State::Closed { reason, .. } => Err(reason.into()),
            _ if self.finishing => Err(WriteError::Finished),
            _ => Ok(()),
        }
    }

    /// Reads what came into `out`.
    ///
    /// # Errors
    ///
    /// How the stream ended, if not by both sides' finishing, once all that came is read.
    pub fn read(&mut self, out: &mut [u8], now: Instant) -> Result<Read<usize>, CloseReason> {
        let read = self.receiver.read(out, now);
        self.after_read(read)
    }

    /// Reads up to `max` bytes, without copying.
    ///
    /// # Errors
    ///
    /// As [`Stream::read`].
    pub fn read_chunk(&mut self, max: usize, now: Instant) -> Result<Read<Bytes>, CloseReason> {
        let read = self.receiver.read_chunk(max, now);
        self.after_read(read)
    }

    fn after_read<T>(&mut self, read: Read<T>) -> Result<Read<T>, CloseReason> {
        if !matches!(read, Read::Pending) {
            return Ok(read);
        }
        match self.state {
            State::Closed { reason, .. } => Err(reason),
            _ => {
                self.events.wants_readable = true;
                Ok(Read::Pending)
            }
        }
    }

    /// Finishes the own side: CLOSE is sent once every byte written is acknowledged, since i2pd
    /// takes it for the end of everything. Reading goes on.
    pub fn finish(&mut self, now: Instant) {
        self.finishing = true;
        self.settle(now);
    }

    /// Ends the stream at once and tells the peer. Everything that is not sent or not read is lost.
    pub fn reset(&mut self, now: Instant) {
        self.close(CloseReason::ResetLocally, true, now);
        self.receiver.clear();
    }

    pub(super) fn reset_unaccepted(&mut self, now: Instant) {
        self.close(CloseReason::NotAccepted, true, now);
        self.receiver.clear();
    }

    /// Says that nobody will read or write any more: the own side is finished, and if something
    /// was not read, or comes later, the stream is reset.
    pub fn orphan(&mut self, now: Instant) {
        self.orphaned = true;
        if self.receiver.is_readable() && !self.receiver.is_ended() {
            return self.reset(now);
        }
        self.receiver.clear();
        self.last_activity = now;
        self.finish(now);
    }

    /// Finishes a stream whose peer is told something and not listened to.
    pub(super) fn answer_and_end(&mut self, now: Instant) {
        self.receiver.clear();
        self.last_activity = now;
        self.deaf = true;
        self.finish(now);
    }

    /// Sees whether what happened was the end.
    fn settle(&mut self, now: Instant) {
        if self.receiver.is_readable() && self.events.wants_readable {
            self.events.wants_readable = false;
            self.events.readable = true;
        }
        if self.events.wants_writable && self.sender.room() >= self.config.send_buffer / 4 {
            self.events.wants_writable = false;
            self.events.writable = true;
        }
        if self.state != State::Open {
            return;
        }
        let finished = self
            .close_sequence
            .is_some_and(|at| self.sender.base() > at);
        if finished && self.receiver.is_ended() {
            self.close(CloseReason::Finished, false, now);
        }
        if self.sender.next_sequence() >= LAST_SEQUENCE {
            self.close(CloseReason::Exhausted, true, now);
        }
    }

    fn close(&mut self, reason: CloseReason, reset: bool, now: Instant) {
        if matches!(self.state, State::Closed { .. }) {
            return;
        }
        // Before the first packet there is nothing to take back.
        let known = self.sender.next_sequence() > 0;
        self.state = State::Closed {
            reason,
            until: now + LINGER,
            reset: reset && known,
            next_reset: now + RESET_INTERVAL,
        };
        self.sender.clear();
        if reason != CloseReason::Finished {
            self.receiver.stop();
        }
        self.events.closed = Some(reason);
        self.events.readable |= self.events.wants_readable;
        self.events.wants_readable = false;
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        if std::mem::take(&mut self.events.established) {
            return Some(StreamEvent::Established);
        }
        if std::mem::take(&mut self.events.readable) {
            return Some(StreamEvent::Readable);
        }
        if std::mem::take(&mut self.events.writable) {
            return Some(StreamEvent::Writable);
        }
        self.events.closed.take().map(StreamEvent::Closed)
    }

    pub(super) fn has_event(&self) -> bool {
        let events = &self.events;
        events.established || events.readable || events.writable || events.closed.is_some()
    }

    /// Says whether nothing is left to do: it is over, and nothing more will be answered.
    pub fn is_over(&self, now: Instant) -> bool {
        matches!(self.state, State::Closed { until, .. } if until <= now)
    }

    /// Says whether the stream has only its last answers to give.
    pub(super) fn is_lingering(&self) -> bool {
        matches!(self.state, State::Closed { reset: false, .. })
    }

    /// Returns when [`Stream::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match self.state {
            State::Closed { until, .. } => return Some(until),
            State::Opening => Some(self.created + self.config.connect_timeout),
            State::Open => None,
        };
        let dead = self.dead_at();
        let orphaned = ((self.orphaned || self.deaf) && self.sender.is_idle())
            .then(|| self.last_activity + ORPHANED);
        let inactive = match self.config.inactivity_action {
            InactivityAction::Nothing => None,
            _ => Some(self.last_activity + self.config.inactivity_timeout),
        };
        let sender = self.sender.poll_timeout(self.may_send_new());
        let receiver = self.receiver.poll_timeout();
        [deadline, dead, orphaned, inactive, sender, receiver]
            .into_iter()
            .flatten()
            .min()
    }

    fn dead_at(&self) -> Option<Instant> {
        let wait = match self.receiver.is_ended() {
            true => self.config.dead_after.min(HALF_CLOSED_DEAD),
            false => self.config.dead_after,
        };
        self.sender.unanswered_since().map(|since| since + wait)
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Closed { .. } => return,
            State::Opening if now >= self.created + self.config.connect_timeout => {
                return self.close(CloseReason::ConnectTimedOut, false, now);
            }
            _ => {}
        }
        if self.sender.handle_timeout(now)
            && (self.sender.timeouts() >= 2 || self.sender.base() == 0)
        {
            self.path = self.path.wrapping_add(1);
        }
        let rtt = self.sender.rtt().smoothed().unwrap_or_default();
        self.receiver.handle_timeout(rtt, now);
        let dead = self.dead_at().is_some_and(|at| at <= now);
        let closing = self.close_sequence == Some(self.sender.base());
        if closing && (dead || self.sender.timeouts() >= CLOSE_TRIES) {
            return self.close(CloseReason::Finished, false, now);
        }
        if dead {
            return self.close(CloseReason::TimedOut, true, now);
        }
        if (self.orphaned || self.deaf)
            && self.sender.is_idle()
            && now >= self.last_activity + ORPHANED
        {
            return self.close(CloseReason::Finished, true, now);
        }
        if now >= self.last_activity + self.config.inactivity_timeout {
            self.last_activity = now;
            match self.config.inactivity_action {
                InactivityAction::Nothing => {}
                InactivityAction::Disconnect => self.close(CloseReason::Inactive, true, now),
                InactivityAction::Send => {
                    self.keep_alive = self.sender.is_idle() && self.state == State::Open;
                }
            }
        }
    }
}
