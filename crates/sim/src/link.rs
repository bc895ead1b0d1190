//! One end of a connection between two simulated machines.

use std::task::Waker;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_router::LinkPart;
use ramson_wire::Instant;

use crate::hostile::HostileLink;
use crate::pipe::Pipe;
use crate::queue::PartId;

/// Who speaks over a connection.
#[derive(Debug)]
pub(crate) enum Speaker {
    /// A router's link.
    Router(Box<LinkPart>),
    /// Somebody who means harm.
    Hostile(Box<HostileLink>),
}

impl Speaker {
    fn handle_input(&mut self, input: &mut BytesMut, now: Now) {
        match self {
            Self::Router(link) => link.handle_input(input, now),
            Self::Hostile(link) => link.handle_input(input, now),
        }
    }

    fn handle_end(&mut self, now: Now) {
        match self {
            Self::Router(link) => link.handle_end(now),
            Self::Hostile(link) => link.handle_end(now),
        }
    }

    fn step(&mut self, now: Now) -> Option<Instant> {
        match self {
            Self::Router(link) => link.step(now),
            Self::Hostile(link) => link.step(now),
        }
    }

    fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        match self {
            Self::Router(link) => link.poll_transmit(now, out),
            Self::Hostile(link) => link.poll_transmit(now, out),
        }
    }

    pub(crate) fn register(&self, waker: &Waker) -> bool {
        match self {
            Self::Router(link) => link.register(waker),
            // Nobody posts anything to it.
            Self::Hostile(_) => false,
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Router(link) => link.is_closed(),
            Self::Hostile(link) => link.is_closed(),
        }
    }
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nobody has answered yet.
    Connecting,
    /// Bytes go both ways.
    Open,
    /// Nobody answered, or the other end is gone.
    Ended,
}

/// A part that speaks over a connection, with what is on the way to it.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    pub(crate) speaker: Speaker,
    pub(crate) incoming: Pipe,
    input: BytesMut,
    pub(crate) stage: Stage,
    pub(crate) peer: Option<PartId>,
    pub(crate) peer_node: u32,
    /// How long a packet is on its way, in microseconds.
    pub(crate) delay_us: u64,
    /// It had more to write than there was room for.
    pub(crate) blocked: bool,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Stepped {
    pub(crate) next: Option<Instant>,
    pub(crate) read: usize,
    /// It has nothing to do any more.
    pub(crate) closed: bool,
}

impl LinkEnd {
    pub(crate) fn new(speaker: Speaker, peer_node: u32, delay_us: u64) -> Self {
        Self {
            speaker,
            incoming: Pipe::new(),
            input: BytesMut::new(),
            stage: Stage::Connecting,
            peer: None,
            peer_node,
            delay_us,
            blocked: false,
        }
    }

    /// Reads what has arrived, runs the part and writes up to about `room` bytes to `out`.
    pub(crate) fn step(&mut self, now: Now, room: usize, out: &mut BytesMut) -> Stepped {
        let micros = now.instant.as_micros();
        let read = self.incoming.read(micros, &mut self.input);
        self.give_input(now);
        if self.stage != Stage::Ended && self.incoming.is_over(micros) {
            self.stage = Stage::Ended;
            self.speaker.handle_end(now);
        }
        let mut next = self.speaker.step(now);
        self.blocked = false;
        if self.stage == Stage::Open {
            while self.speaker_writes(now, room, out) {
                // What was written made room in its queue.
                next = self.speaker.step(now);
            }
        }
        Stepped {
            next,
            read,
            closed: self.speaker.is_closed(),
        }
    }

    fn speaker_writes(&mut self, now: Now, room: usize, out: &mut BytesMut) -> bool {
        if out.len() >= room {
            self.blocked = true;
            return false;
        }
        self.speaker.poll_transmit(now, out)
    }

    /// It takes what it can; what is left waits for more, or for its events to be taken.
    fn give_input(&mut self, now: Now) {
        while !self.input.is_empty() {
            let before = self.input.len();
            self.speaker.handle_input(&mut self.input, now);
            if self.input.len() == before {
                break;
            }
        }
    }
}
