use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{Instant, RouterInfo, Verified};

use super::handshake::{
    AwaitConfirmed, AwaitCreated, AwaitCreatedPadding, AwaitKey, AwaitOptions, AwaitRequestPadding,
};
use super::phase::{DataPhase, random_time};
use super::queue::SendQueue;
use super::{
    AcceptConfig, CloseReason, DialConfig, Event, HandshakeError, HandshakeMessage, LinkMessage,
    LinkStats, Priority, QueueLimits, SendError, SendRefusal,
};
use crate::Now;

mod steps;

/// How long a dialled handshake may take.
const DIAL_TIME: Duration = Duration::from_secs(15);

/// How long message 1 may take: a time between these, the same for honest and for other callers.
const REQUEST_TIME: [Duration; 2] = [Duration::from_secs(8), Duration::from_secs(10)];

/// How long message 3 may take after message 2.
const CONFIRMED_TIME: Duration = Duration::from_secs(10);

/// How long, and how far, a link goes on reading after something that was not authentic: random
/// within these, so that the moment of the end tells nothing (NTCP2, AEAD error handling).
const DRAIN_TIME: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(8)];
const DRAIN_BYTES: u64 = 4096;

/// How long a termination may wait for the socket.
const LINGER: Duration = Duration::from_secs(5);

/// Above this many bytes, or events, nothing more is read before the events are taken.
const MAX_EVENT_BYTES: usize = 256 * 1024;
const MAX_EVENTS: usize = 4096;

/// When `poll_transmit` has written this much, it leaves the rest for the next call.
const TRANSMIT_TARGET: usize = 48 * 1024;

/// A link over NTCP2 in either role, from its first byte to its last, without a socket.
///
/// Whoever drives it does in this order, whenever something happened: [`Connection::handle_input`],
/// [`Connection::handle_end`] or [`Connection::handle_timeout`]; then [`Connection::poll_event`]
/// until it is empty; then [`Connection::poll_transmit`] until it has nothing, with each result
/// written at once; then [`Connection::poll_timeout`]. When [`Connection::is_closed`] says so, the
/// socket can go.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    stage: Stage,
    /// A message of the handshake that has not been handed out yet.
    outbox: Option<BytesMut>,
    /// When the handshake, the reading after an error or the lingering ends.
    deadline: Instant,
    /// [`Event::Closed`] has been said.
    over: bool,
    /// The latest time we were told.
    now: Instant,
    /// The own RouterInfo, asked for before the link was up.
    greeting: Option<(Verified<RouterInfo>, bool)>,
    queue: SendQueue,
    events: VecDeque<Event>,
    event_bytes: usize,
    stats: LinkStats,
    random: Random,
}

#[derive(Debug)]
enum Role {
    Dial(Box<DialConfig>),
    Accept(Box<AcceptConfig>),
}

/// Where a link is. The states of the handshake are types of their own.
#[derive(Debug)]
enum Stage {
    /// Alice, before message 1: it is made when it is handed out, because it holds the time.
    Dial,
    Created(Box<AwaitCreated>),
    CreatedPadding(Box<AwaitCreatedPadding>),
    Key(AwaitKey),
    Options(AwaitOptions),
    RequestPadding(Box<AwaitRequestPadding>, [u8; 32]),
    /// Bob, who has all of message 1 and waits to be told whether it is new.
    Verdict(Box<AwaitRequestPadding>, BytesMut),
    Confirmed(Box<AwaitConfirmed>),
    Open(Box<DataPhase>),
    /// Something was not authentic: read on for a while, then terminate or just end.
    Draining {
        left: usize,
        then: Option<(Box<DataPhase>, TerminationReason)>,
    },
    /// A termination is to be handed out.
    Terminating(Box<DataPhase>, TerminationReason),
    Closed,
}

impl Connection {
    /// Starts a link on a connection we made, as Alice.
    pub fn dial(config: DialConfig, now: Now, random: Random) -> Self {
        let queue = config.link.queue;
        let role = Role::Dial(Box::new(config));
        Self::new(role, Stage::Dial, queue, DIAL_TIME, now, random)
    }

    /// Starts a link on a connection that was made to us, as Bob. [`super::Admission::open`] has
    /// been asked before.
    pub fn accept(config: AcceptConfig, now: Now, mut random: Random) -> Self {
        let queue = config.link.queue;
        let time = random_time(REQUEST_TIME, &mut random);
        let role = Role::Accept(Box::new(config));
        Self::new(role, Stage::Key(AwaitKey::new()), queue, time, now, random)
    }

    fn new(
        role: Role,
        stage: Stage,
        queue: QueueLimits,
        time: Duration,
        now: Now,
        random: Random,
    ) -> Self {
        Self {
            role,
            stage,
            outbox: None,
            deadline: now.instant + time,
            over: false,
            now: now.instant,
            greeting: None,
            queue: SendQueue::new(queue),
            events: VecDeque::new(),
            event_bytes: 0,
            stats: LinkStats::default(),
            random,
        }
    }

    /// Takes from the front of `input` what it can use; the rest stays there and has to be there
    /// again at the next call, with what came since behind it.
    ///
    /// However the peer's bytes are split over calls, the result is the same. Nothing is copied:
    /// bodies of messages are pieces of `input`'s memory. When more than about 256 KiB of events
    /// wait, nothing is read until they are taken; call again then.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Now) {
        self.now = now.instant;
        let before = input.len();
        while self.step(input, now) {}
        let taken = before.saturating_sub(input.len());
        self.stats.received_bytes = self.stats.received_bytes.saturating_add(taken as u64);
    }

    /// Handles the end of the socket, whatever kind of end.
    pub fn handle_end(&mut self, now: Now) {
        self.now = now.instant;
        self.end(CloseReason::SocketEnded);
    }

    /// Goes on with an inbound handshake after [`Event::EphemeralKey`], or fails it if its first
    /// message is not `fresh`.
    pub fn admit(&mut self, fresh: bool, now: Now) {
        self.now = now.instant;
        let (state, padding) = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Verdict(state, padding) => (state, padding),
            other => {
                self.stage = other;
                return;
            }
        };
        if !fresh {
            return self.drain(HandshakeError::Replay.into(), None);
        }
        match state.handle(&padding, now, &mut self.random) {
            Ok((next, message2)) => {
                self.stage = Stage::Confirmed(Box::new(next));
                self.outbox = Some(message2);
                self.deadline = now.instant + CONFIRMED_TIME;
            }
            Err(error) => self.drain(error.into(), None),
        }
    }

    /// Appends to `out` what is to be written now, about 64 KiB at most, and says whether there was
    /// anything. Each message of the handshake comes alone and whole; write it in one piece.
    pub fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        self.now = now.instant;
        let before = out.len();
        if matches!(self.stage, Stage::Dial) {
            self.start(now);
        }
        if let Some(message) = self.outbox.take() {
            out.extend_from_slice(&message);
        } else {
            self.write_frames(now, out);
        }
        let written = out.len().saturating_sub(before);
        self.stats.sent_bytes = self.stats.sent_bytes.saturating_add(written as u64);
        written > 0
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.event_bytes = self.event_bytes.saturating_sub(event.weight());
        Some(event)
    }

    /// Returns when [`Connection::handle_timeout`] is to be called; `None` when there is nothing to
    /// wait for any more.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Open(phase) => Some(phase.next_timeout()),
            Stage::Closed => None,
            _ => Some(self.deadline),
        }
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now.instant;
        if let Stage::Open(phase) = &mut self.stage {
            if phase.handle_timeout(now, &mut self.random) {
                self.terminate(TerminationReason::IdleTimeout, CloseReason::Idle);
            }
            return;
        }
        if now.instant < self.deadline {
            return;
        }
        let late = match self.stage {
            Stage::Key(_) | Stage::Options(_) | Stage::RequestPadding(..) | Stage::Verdict(..) => {
                HandshakeMessage::Request
            }
            Stage::Dial | Stage::Created(_) | Stage::CreatedPadding(_) => HandshakeMessage::Created,
            Stage::Confirmed(_) => HandshakeMessage::Confirmed,
            Stage::Draining { .. } => return self.finish_draining(),
            Stage::Terminating(..) => {
                self.stage = Stage::Closed;
                return;
            }
            Stage::Open(_) | Stage::Closed => return,
        };
        self.end(HandshakeError::TimedOut(late).into());
    }

    /// Puts a message into the queue, also before the link is up.
    ///
    /// # Errors
    ///
    /// [`SendError`], which gives the message back.
    pub fn send(&mut self, message: LinkMessage, priority: Priority) -> Result<(), SendError> {
        if self.over {
            let why = SendRefusal::Closed;
            return Err(SendError { why, message });
        }
        let result = self.queue.push(message, priority);
        if let Err(error) = &result
            && error.why == SendRefusal::Full
        {
            self.stats.refused_full += 1;
        }
        result
    }

    /// Sends the own RouterInfo in front of what is queued; from then on this one is sent again
    /// every 25 to 50 minutes. `flood` asks a floodfill to pass it on.
    pub fn send_router_info(&mut self, info: Verified<RouterInfo>, flood: bool) {
        match &mut self.stage {
            Stage::Open(phase) => phase.send_router_info(info, flood),
            _ => self.greeting = Some((info, flood)),
        }
    }

    /// Ends the link with this reason. What is queued is dropped.
    pub fn close(&mut self, reason: TerminationReason) {
        match self.stage {
            Stage::Open(_) => self.terminate(reason, CloseReason::Local(reason)),
            _ if self.over => {}
            _ => self.end(CloseReason::Local(reason)),
        }
    }

    /// Says whether nothing is left to do: the socket can be closed, reset where
    /// [`CloseReason::is_abrupt`] says so.
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Returns the counters.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// Returns what may still be queued at this priority.
    pub fn queue_room(&self, priority: Priority) -> QueueLimits {
        self.queue.room(priority)
    }

    fn push_event(&mut self, event: Event) {
        self.event_bytes = self.event_bytes.saturating_add(event.weight());
        self.events.push_back(event);
    }

    /// Ends a handshake in which the peer did what it may not.
    fn fail(&mut self, error: HandshakeError) {
        match self.stage {
            // Whoever gets message 1 wrong learns nothing of us, not even when we noticed.
            Stage::Verdict(..) | Stage::Confirmed(_) => self.drain(error.into(), None),
            _ => self.end(error.into()),
        }
    }

    /// Ends a link because of what came in its data phase.
    fn data_error(&mut self, why: CloseReason) {
        let reason = match &why {
            CloseReason::FrameNotAuthentic => TerminationReason::AeadFailure,
            CloseReason::FrameTooShort { .. } => TerminationReason::Framing,
            CloseReason::Malformed(_) => TerminationReason::Payload,
            CloseReason::ClockSkew { .. } => TerminationReason::ClockSkew,
            CloseReason::Remote(_) => TerminationReason::Received,
            _ => TerminationReason::Normal,
        };
        match why {
            CloseReason::FrameNotAuthentic | CloseReason::FrameTooShort { .. } => {
                self.drain(why, Some(reason));
            }
            why => self.terminate(reason, why),
        }
    }

    /// Reads on for a while before the link ends, with a termination if there is one to send.
    fn drain(&mut self, why: CloseReason, then: Option<TerminationReason>) {
        let then = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Open(phase) => then.map(|reason| (phase, reason)),
            _ => None,
        };
        self.outbox = None;
        let left = self.random.below(DRAIN_BYTES);
        self.deadline = self.now + random_time(DRAIN_TIME, &mut self.random);
        self.over(why);
        self.stage = Stage::Draining {
            left: usize::try_from(left).unwrap_or(0).saturating_add(1),
            then,
        };
    }

    fn finish_draining(&mut self) {
        if let Stage::Draining { then, .. } = std::mem::replace(&mut self.stage, Stage::Closed)
            && let Some((phase, reason)) = then
        {
            self.stage = Stage::Terminating(phase, reason);
            self.deadline = self.now + LINGER;
        }
    }

    /// Ends an open link with a termination.
    fn terminate(&mut self, reason: TerminationReason, why: CloseReason) {
        if let Stage::Open(phase) = std::mem::replace(&mut self.stage, Stage::Closed) {
            self.over(why);
            self.stage = Stage::Terminating(phase, reason);
            self.deadline = self.now + LINGER;
        }
    }

    /// Ends the link at once.
    fn end(&mut self, why: CloseReason) {
        self.outbox = None;
        self.over(why);
        self.stage = Stage::Closed;
    }

    /// Says once that the link is over.
    fn over(&mut self, why: CloseReason) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        tracing::debug!(%why, "link is over");
        self.queue.clear(&mut self.stats);
        self.push_event(Event::Closed { why });
    }

    /// Writes frames until there is nothing to say or enough is written.
    fn write_frames(&mut self, now: Now, out: &mut BytesMut) {
        let before = out.len();
        match &mut self.stage {
            Stage::Open(phase) => {
                while out.len().saturating_sub(before) < TRANSMIT_TARGET
                    && phase.write(now, out, &mut self.queue, &mut self.stats, &mut self.random)
                {
                }
            }
            Stage::Terminating(phase, reason) => {
                phase.write_termination(*reason, out, &mut self.stats, &mut self.random);
                self.stage = Stage::Closed;
            }
            _ => {}
        }
    }
}
