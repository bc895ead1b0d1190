use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::{Random, fake};
use ramson_proto::ntcp2::{
    AcceptConfig, Admission, AdmissionLimits, Connection, DialConfig, Event, LinkConfig,
    LinkMessage, Priority, QueueLimits,
};
use ramson_proto::{Now, Sensitive};
use ramson_wire::MessageType;
use ramson_wire::ntcp2::{Blocks, TerminationReason};

use super::peer::{Peer, at, frame, message2};
use crate::reach::{reached, reached_variant};
use crate::script::Script;

/// What the inputs of [`ntcp2`] have to reach.
pub const NTCP2: &[&str] = &[
    "block DateTime",
    "block PaddingOptions",
    "block RouterInfo",
    "block I2npRef",
    "block Termination",
    "block Padding",
    "block Unknown",
    "dialled, established",
    "accepted, established",
    "message in",
    "message out",
    "RouterInfo in",
    "RouterInfo in, to flood",
    "closed Handshake InvalidKey",
    "closed Handshake NotAuthentic",
    "closed Handshake Replay",
    "closed Handshake Version",
    "closed Handshake Network",
    "closed Handshake PaddingTooLong",
    "closed Handshake ConfirmedLength",
    "closed Handshake OutOfTurn",
    "closed Handshake ClockSkew",
    "closed Handshake Malformed",
    "closed Handshake WrongBlocks",
    "closed Handshake RouterInfoMalformed",
    "closed Handshake RouterInfoSignature",
    "closed Handshake RouterInfoNetwork",
    "closed Handshake RouterInfoTooOld",
    "closed Handshake RouterInfoFromFuture",
    "closed Handshake StaticKey",
    "closed Handshake Host",
    "closed Handshake Banned",
    "closed Handshake TimedOut",
    "closed Local Normal",
    "closed Remote Normal",
    "closed SocketEnded",
    "closed Idle",
    "closed FrameNotAuthentic",
    "closed FrameTooShort",
    "closed Malformed Truncated",
    "closed ClockSkew",
    "refused Full",
    "refused TooLong",
    "refused Closed",
];

/// A link in either role sees the same in any pieces, says nothing behind its end, and stops.
///
/// The first byte chooses the role and its settings, the second the size of the pieces; then come
/// operations.
pub fn ntcp2(data: &[u8]) {
    let _fake = fake::enable();
    let mut script = Script::new(data);
    let (setup, cut) = (script.u8(), script.u8());
    let whole = Link::new(setup, usize::MAX).play(script);
    if cut > 0 {
        let pieces = Link::new(setup, cut.into()).play(script);
        assert_eq!(whole, pieces);
    }
}

const DIAL: u8 = 1;
const GREET: u8 = 2;
const ANY_SOURCE: u8 = 4;
const BANNED: u8 = 8;
const SMALL_QUEUE: u8 = 16;
const OTHER_SOURCE: u8 = 32;

struct Link {
    connection: Connection,
    dialled: bool,
    admission: Admission,
    peer: Rc<Peer>,
    millis: u64,
    cut: usize,
    input: BytesMut,
    output: Vec<u8>,
    events: Vec<String>,
    closed: bool,
    /// Nobody takes the events.
    held: bool,
}

impl Link {
    fn new(setup: u8, cut: usize) -> Self {
        let (us, peer) = (Peer::of(0), Peer::of(1));
        let random = Random::from_seed([7; 32]);
        let mut link = LinkConfig::default();
        if setup & SMALL_QUEUE != 0 {
            link.queue = QueueLimits {
                bytes: 2000,
                messages: 4,
            };
        }
        let local = Arc::new(us.local());
        let connection = if setup & DIAL != 0 {
            let config = DialConfig {
                local,
                peer: peer.info.clone(),
                static_key: peer.keys.ntcp2_static.public(),
                iv: peer.keys.ntcp2_iv,
                link,
            };
            Connection::dial(config, at(0), random)
        } else {
            let other = IpAddr::from([12, 0, 0, 1]);
            let config = AcceptConfig {
                local,
                source: Sensitive(if setup & OTHER_SOURCE != 0 {
                    other
                } else {
                    peer.address
                }),
                any_source: setup & ANY_SOURCE != 0,
                banned: Arc::new(BTreeSet::from_iter(
                    (setup & BANNED != 0).then(|| peer.hash()),
                )),
                greet: setup & GREET != 0,
                link,
            };
            Connection::accept(config, at(0), random)
        };
        Self {
            connection,
            dialled: setup & DIAL != 0,
            admission: Admission::new(AdmissionLimits::default()),
            peer,
            millis: 0,
            cut,
            input: BytesMut::new(),
            output: Vec::new(),
            events: Vec::new(),
            closed: false,
            held: false,
        }
    }

    /// Returns what it said and what is on the wire.
    fn play(mut self, mut script: Script<'_>) -> (Vec<String>, Vec<u8>) {
        self.poll();
        while let Some(operation) = script.operation(10) {
            self.operate(operation, &mut script);
            self.poll();
        }
        self.held = false;
        self.poll();
        // Whatever goes on, it ends by itself when nothing comes any more.
        for _ in 0..100 {
            let Some(due) = self.connection.poll_timeout() else {
                break;
            };
            assert!(!self.connection.is_closed());
            self.millis = self.millis.max(due.as_micros().div_ceil(1000));
            let now = self.now();
            self.connection.handle_timeout(now);
            self.poll();
        }
        assert!(self.connection.is_closed() && self.closed);
        (self.events, self.output)
    }

    fn now(&self) -> Now {
        at(self.millis)
    }

    fn operate(&mut self, operation: u8, script: &mut Script<'_>) {
        let now = self.now();
        match operation {
            0 => self.feed(script.piece()),
            1 => {
                self.millis = self.millis.saturating_add(u64::from(script.u16()) * 50);
                let now = self.now();
                self.connection.handle_timeout(now);
            }
            2 => {
                let priority = match script.u8() % 3 {
                    0 => Priority::Control,
                    1 => Priority::OwnData,
                    _ => Priority::Transit,
                };
                let message = LinkMessage {
                    kind: MessageType::from_code(script.u8()),
                    id: 5,
                    expiration_s: now.unix.to_secs_up().saturating_add(8),
                    body: BytesMut::zeroed(usize::from(script.u16()) * 2),
                };
                match self.connection.send(message, priority) {
                    Ok(()) => reached("message out"),
                    Err(error) => reached_variant("refused", &error.why),
                }
            }
            3 => {
                let info = Peer::of(0).info.clone();
                self.connection.send_router_info(info, script.u8() & 1 != 0);
            }
            4 => {
                let reason = TerminationReason::from_code(script.u8());
                self.connection.close(reason);
            }
            5 => self.connection.handle_end(now),
            6 => {
                let (tag, repeat) = (script.u8(), script.u8());
                let content = script.piece();
                let before = self.connection.stats().received_frames;
                let frame = frame(content, tag);
                for _ in 0..=repeat {
                    self.feed(&frame);
                }
                if self.connection.stats().received_frames > before {
                    for block in Blocks::new(content).flatten() {
                        reached_variant("block", &block);
                    }
                }
            }
            7 => {
                let (which, key, padding) = (script.u8(), script.u8(), script.u8());
                let mut message = match (self.dialled, which % 2) {
                    (true, _) => message2(key, padding, now),
                    (false, 0) => self.peer.message1(key, padding, now),
                    (false, _) => self.peer.message3(),
                };
                script.edit(&mut message);
                self.feed(&message);
            }
            8 => self.held = !self.held,
            _ => {
                // From another network, or with another address.
                let mut message = Peer::of(script.u8()).message3();
                script.edit(&mut message);
                self.feed(&message);
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        // What is left must not pile up: a real reader stops then, too.
        if self.input.len() > 1 << 18 {
            return;
        }
        for piece in bytes.chunks(self.cut) {
            self.input.extend_from_slice(piece);
            let now = self.now();
            self.connection.handle_input(&mut self.input, now);
        }
    }

    fn poll(&mut self) {
        let now = self.now();
        if self.held {
            return;
        }
        loop {
            let mut more = false;
            while let Some(event) = self.connection.poll_event() {
                assert!(!self.closed, "an event behind the end");
                more = true;
                self.event(event, now);
            }
            let mut out = BytesMut::new();
            while self.connection.poll_transmit(now, &mut out) {
                more = true;
            }
            self.output.extend_from_slice(&out);
            if !more {
                return;
            }
            self.connection.handle_input(&mut self.input, now);
        }
    }

    fn event(&mut self, event: Event, now: Now) {
        self.events.push(format!("{event:?}"));
        match event {
            Event::EphemeralKey { encrypted } => {
                let mut fresh = self.admission.check_key(&encrypted, now.instant).is_ok();
                // The key of ones has been here before.
                fresh &= encrypted != [0x11; 32];
                self.connection.admit(fresh, now);
            }
            Event::Established { .. } if self.dialled => reached("dialled, established"),
            Event::Established { .. } => reached("accepted, established"),
            Event::Message(_) => reached("message in"),
            Event::RouterInfo { flood: true, .. } => reached("RouterInfo in, to flood"),
            Event::RouterInfo { flood: false, .. } => reached("RouterInfo in"),
            Event::Closed { why } => {
                reached_variant("closed", &why);
                self.closed = true;
            }
        }
    }
}

/// What the inputs of [`ntcp2_admission`] have to reach.
pub const ADMISSION: &[&str] = &[
    "open",
    "refused Total",
    "refused Source",
    "refused Replay",
    "fresh",
    "overflow",
];

/// An admission keeps to its limits, gives back what is closed and knows what it was told lately.
pub fn ntcp2_admission(data: &[u8]) {
    let mut script = Script::new(data);
    let limits = AdmissionLimits {
        half_open: 12,
        half_open_per_source: 4,
        replay_keys: 4,
        replay_window: Duration::from_secs(120),
    };
    let mut admission = Admission::new(limits);
    let mut open = Vec::new();
    let mut millis = 0_u64;
    while let Some(operation) = script.operation(4) {
        let now = at(millis).instant;
        match operation {
            0 => {
                let [kind, address] = script.array();
                let source = if kind % 2 == 0 {
                    IpAddr::from([11, 0, 0, address])
                } else {
                    // Sixteen networks, sixteen hosts in each.
                    let [network, host] = [address >> 4, address & 15].map(u128::from);
                    IpAddr::V6(Ipv6Addr::from_bits(0x2a << 120 | network << 64 | host))
                };
                match admission.open(source) {
                    Ok(place) => {
                        open.push(place);
                        reached("open");
                    }
                    Err(why) => reached_variant("refused", &why),
                }
            }
            1 => {
                let index = usize::from(script.u8()).checked_rem(open.len());
                if let Some(index) = index {
                    admission.close(open.swap_remove(index));
                }
            }
            2 => {
                let key = [script.u8(); 32];
                let overflows = admission.stats().replay_filter_overflows;
                match admission.check_key(&key, now) {
                    Ok(()) => {
                        reached("fresh");
                        let again = admission.check_key(&key, now);
                        assert!(again.is_err(), "a replay at once");
                    }
                    Err(why) => reached_variant("refused", &why),
                }
                if admission.stats().replay_filter_overflows > overflows {
                    reached("overflow");
                }
            }
            _ => millis = millis.saturating_add(u64::from(script.u16()) * 10),
        }
        assert_eq!(admission.half_open(), open.len());
        assert!(open.len() <= limits.half_open);
    }
    for place in open {
        admission.close(place);
    }
    assert_eq!(admission.half_open(), 0);
}
