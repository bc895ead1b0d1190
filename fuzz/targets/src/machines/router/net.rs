use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_router::inbox::Inbox;
use ramson_router::{
    LinkPart, LookupOutcome, Router, RouterConfig, RouterKeys, ShellRequest, TransitLimits,
    TunnelSettings,
};
use ramson_wire::i2np::TunnelGateway;
use ramson_wire::ntcp2::{Block, Blocks};
use ramson_wire::{I2npMessage, MessageType, RouterHash, TunnelId};

use crate::machines::peer::{NETWORK, Peer, at, message2};
use crate::reach::{reached, reached_variant};
use crate::script::Script;

const FLOODFILL: u8 = 1;
const NO_DIALS: u8 = 2;
const FEW_TUNNELS: u8 = 4;
const SLOW: u8 = 8;
const TWO_HOPS: u8 = 16;
const SHARDS: u8 = 32;

/// Steps of all parts after which there has to be rest.
const ROUNDS: usize = 400;
/// What the router has said lately.
const HEARD: usize = 64;
/// Operations of a script, and messages that they have neighbours say in all.
const OPERATIONS: usize = 64;
const MESSAGES: u32 = 700;
/// Links there may be at once.
const LINKS: usize = 24;

/// The router and the neighbours that the script plays.
pub(super) struct Net {
    pub(super) router: Router,
    pub(super) us: RouterHash,
    pub(super) millis: u64,
    pub(super) links: Vec<Link>,
    /// To whom the router said what, the latest last.
    pub(super) heard: VecDeque<(u8, I2npMessage)>,
    /// Ends of the router's inbound tunnels, with who sends to them.
    pub(super) own_tunnels: Vec<(u8, TunnelId)>,
    pub(super) outcomes: Inbox<LookupOutcome>,
    pub(super) refuse_dials: bool,
    expired: bool,
    /// Messages that may still be said.
    messages: u32,
}

/// A connection of a neighbour with the router.
pub(super) struct Link {
    pub(super) part: LinkPart,
    pub(super) peer: Rc<Peer>,
    pub(super) number: u8,
    input: BytesMut,
    output: Vec<u8>,
    pub(super) stage: Stage,
}

/// What the neighbour waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// As Bob.
    Message1,
    /// As Bob; so many bytes.
    Message3(usize),
    /// As Alice.
    Message2,
    Frames,
}

impl Net {
    pub(super) fn new(setup: u8) -> Self {
        let is = |bit| setup & bit != 0;
        let keys = RouterKeys::generate(&mut Random::from_seed([200; 32]));
        let config = RouterConfig {
            network_id: NETWORK,
            published: Some(SocketAddr::from(([11, 200, 0, 1], 1000))),
            floodfill: is(FLOODFILL),
            transit: TransitLimits {
                tunnels: if is(FEW_TUNNELS) { 4 } else { 100 },
                rate_bytes_per_s: if is(SLOW) { 5000 } else { 1_000_000 },
            },
            exploratory: TunnelSettings {
                hops: if is(TWO_HOPS) { 2 } else { 1 },
                quantity: 1,
            },
            max_routers: 6,
            max_lease_sets: 4,
            max_links: 8,
            ..RouterConfig::default()
        };
        let shards = if is(SHARDS) { 2 } else { 1 };
        let random = Random::from_seed([8; 32]);
        let router = Router::new(config, keys, shards, at(0), random);
        let router = router.expect("the configuration is in order");
        Self {
            us: router.handle.hash(),
            router,
            // The first tick is at once.
            millis: 1000,
            links: Vec::new(),
            heard: VecDeque::new(),
            own_tunnels: Vec::new(),
            outcomes: Inbox::new(16),
            refuse_dials: is(NO_DIALS),
            expired: false,
            messages: MESSAGES,
        }
    }

    pub(super) fn now(&self) -> Now {
        let now = at(self.millis);
        self.router.handle.clock().now(now.instant, now.unix)
    }

    pub(super) fn play(&mut self, mut script: Script<'_>, operations: &[u8]) {
        let count = u8::try_from(operations.len()).unwrap_or(1);
        self.settle();
        for _ in 0..OPERATIONS {
            let Some(choice) = script.operation(count) else {
                return;
            };
            let operation = operations.get(usize::from(choice)).copied();
            self.operate(operation.unwrap_or(0), &mut script);
            self.settle();
        }
    }

    /// A connection comes in, and nothing on it yet.
    pub(super) fn accept(&mut self, number: u8) -> bool {
        if self.links.len() >= LINKS {
            return false;
        }
        let peer = Peer::of(number);
        let from = SocketAddr::new(peer.address, 5000);
        match self.router.handle.accept(from, self.now()) {
            Ok(part) => {
                self.push_link(part, peer, number, Stage::Message2);
                true
            }
            Err(why) => {
                reached_variant("admission", &why);
                false
            }
        }
    }

    fn push_link(&mut self, part: LinkPart, peer: Rc<Peer>, number: u8, stage: Stage) {
        self.links.push(Link {
            part,
            peer,
            number,
            input: BytesMut::new(),
            output: Vec::new(),
            stage,
        });
    }

    /// A connection comes in whose handshake is as it should be.
    pub(super) fn connect(&mut self, number: u8) {
        if !self.accept(number) {
            return;
        }
        let peer = Peer::of(number);
        let now = self.now();
        // Each key once.
        let key = u8::try_from(self.millis % 100 + self.links.len() as u64).unwrap_or(1) | 1;
        let mut message = peer.message1(key, 0, now);
        if let Some(byte) = message.first_mut() {
            *byte = number;
        }
        self.feed_last(&message);
        self.settle();
        self.feed_last(&peer.message3());
        self.settle();
        reached("accepted");
    }

    fn feed_last(&mut self, bytes: &[u8]) {
        let index = self.links.len().saturating_sub(1);
        self.feed(index, bytes);
    }

    /// Bytes for the router.
    pub(super) fn feed(&mut self, index: usize, bytes: &[u8]) {
        let now = self.now();
        let Some(messages) = self.messages.checked_sub(1) else {
            return;
        };
        self.messages = messages;
        if let Some(link) = self.links.get_mut(index)
            && link.input.len() < 1 << 18
        {
            link.input.extend_from_slice(bytes);
            link.part.handle_input(&mut link.input, now);
        }
    }

    /// Runs all parts until they rest.
    pub(super) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            if !self.round() {
                return;
            }
        }
        assert!(!self.round(), "the router does not come to rest");
    }

    fn round(&mut self) -> bool {
        let now = self.now();
        let mut busy = false;
        busy |= self
            .router
            .core
            .step(now)
            .is_some_and(|at| at <= now.instant);
        for relay in &mut self.router.relays {
            busy |= relay.step(now).is_some_and(|at| at <= now.instant);
        }
        let mut links = std::mem::take(&mut self.links);
        for link in &mut links {
            busy |= self.drive(link, now);
        }
        links.retain(|link| {
            let closed = link.part.is_closed();
            if closed {
                reached("link closed");
                if link.part.counters().malformed > 0 {
                    reached("link drops malformed");
                }
            }
            !closed
        });
        // Dialled while the others were away.
        links.append(&mut self.links);
        self.links = links;
        busy | self.serve_requests()
    }

    fn drive(&mut self, link: &mut Link, now: Now) -> bool {
        link.part.step(now);
        let mut out = BytesMut::new();
        while link.part.poll_transmit(now, &mut out) {}
        link.output.extend_from_slice(&out);
        let mut busy = !out.is_empty();
        while let Some(reply) = self.hear(link, now) {
            busy = true;
            link.input.extend_from_slice(&reply);
        }
        link.part.handle_input(&mut link.input, now);
        busy
    }

    /// Takes the next thing that the router wrote; returns what there is to say to it at once.
    fn hear(&mut self, link: &mut Link, now: Now) -> Option<Vec<u8>> {
        let len = match link.stage {
            Stage::Message1 | Stage::Message2 => {
                let padding = link.output.get(34..36)?.first_chunk()?;
                64 + usize::from(u16::from_be_bytes(*padding))
            }
            Stage::Message3(len) => len,
            Stage::Frames => 2 + usize::from(u16::from_be_bytes(*link.output.first_chunk()?)),
        };
        if link.output.len() < len {
            return None;
        }
        let message: Vec<u8> = link.output.drain(..len).collect();
        match link.stage {
            Stage::Message1 => {
                let part2 = message.get(36..38).and_then(<[u8]>::first_chunk);
                let part2 = part2.copied().map_or(0, u16::from_be_bytes);
                link.stage = Stage::Message3(48 + usize::from(part2));
                return Some(message2(0x41, 0, now));
            }
            Stage::Message2 | Stage::Message3(_) => link.stage = Stage::Frames,
            Stage::Frames => {
                let content = message.get(2..len.saturating_sub(16)).unwrap_or_default();
                for block in Blocks::new(content) {
                    match block {
                        Ok(Block::I2np(message)) => {
                            self.heard(link.number, message.to_message());
                        }
                        Ok(_) => {}
                        Err(error) => panic_on(error),
                    }
                }
            }
        }
        Some(Vec::new())
    }

    fn heard(&mut self, number: u8, message: I2npMessage) {
        reached_variant("from us", &message.kind());
        if message.kind() == MessageType::TunnelGateway {
            let gateway = TunnelGateway::parse(message.body());
            // What others put into their tunnels, they may have damaged.
            let inner = gateway.map(|gateway| gateway.inner().map(|inner| inner.kind));
            if let Ok(Ok(kind)) = inner {
                reached_variant("from us, for a tunnel,", &kind);
            }
        }
        if self.heard.len() >= HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back((number, message));
    }

    fn serve_requests(&mut self) -> bool {
        let mut requests = Vec::new();
        self.router.requests.take(64, &mut requests);
        let busy = !requests.is_empty();
        for request in requests {
            match request {
                ShellRequest::Dial { address, mut link } => {
                    let number = match address.ip() {
                        IpAddr::V4(v4) => v4.octets().get(1).copied().unwrap_or(0),
                        IpAddr::V6(_) => 0,
                    };
                    if self.refuse_dials || self.links.len() >= LINKS {
                        reached("dial refused");
                        link.handle_end(self.now());
                        link.step(self.now());
                    } else {
                        reached("dial accepted");
                        self.push_link(*link, Peer::of(number), number, Stage::Message1);
                    }
                }
                ShellRequest::Store(_) => reached("routers to store"),
            }
        }
        busy
    }

    /// Lets time pass, in steps in which links do not die.
    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.millis.saturating_add(millis);
        let step = (millis / 20).max(250);
        while self.millis < end {
            self.millis = self.millis.saturating_add(step).min(end);
            self.settle();
        }
    }

    /// Looks at what came of it, and ends all.
    pub(super) fn finish(mut self) {
        self.pass(300);
        let status = self.router.handle.status();
        for (name, accepted) in ["InboundGateway", "Participant", "OutboundEndpoint"]
            .iter()
            .zip(status.transit_accepted)
        {
            if accepted > 0 {
                reached(format_args!("transit {name}"));
            }
        }
        let [inbound, outbound] = status.exploratory;
        let [_, failed] = status.builds;
        for (what, is) in [
            ("transit refused", status.transit_refused > 0),
            ("own tunnel inbound", inbound > 0),
            ("own tunnel outbound", outbound > 0),
            ("own build failed", failed > 0),
            ("draining", status.draining),
            ("several links", status.links > 1),
        ] {
            if is {
                reached(what);
            }
        }
        for reason in status.drops.keys() {
            reached_variant("drop", reason);
        }
        assert!(status.links <= 8 && status.routers <= 6 && status.lease_sets <= 4);
        assert!(status.transit_tunnels <= 100);
        let mut outcomes = Vec::new();
        self.outcomes.take(16, &mut outcomes);
        for outcome in outcomes {
            reached(match outcome.found {
                true => "looked up, found",
                false => "looked up, not found",
            });
        }
        for relay in &self.router.relays {
            tell_counters(relay);
        }
        if self.router.relays.iter().all(|it| it.counters().own > 0) && outbound > 0 {
            reached("own tunnel tested");
        }

        let now = self.now();
        for link in &mut self.links {
            link.part.handle_end(now);
        }
        self.settle();
        self.links.clear();
        // Whatever half-open handshakes there were, their places, half of those for links, are
        // free again.
        let places: Vec<LinkPart> = (0..16)
            .map_while(|_| {
                self.router
                    .handle
                    .accept(([11, 1, 0, 1], 1).into(), now)
                    .ok()
            })
            .collect();
        assert_eq!(places.len(), 4);
    }

    /// The link, of those there are, that a number chooses.
    pub(super) fn choose(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.links.len())
    }

    pub(super) fn link_of(&self, number: u8) -> Option<usize> {
        self.links.iter().rposition(|link| link.number == number)
    }

    /// The latest message of this kind that the router sent, which is then forgotten.
    pub(super) fn take_heard(&mut self, kind: MessageType) -> Option<(u8, I2npMessage)> {
        let at = self.heard.iter().rposition(|(_, it)| it.kind() == kind)?;
        self.heard.remove(at)
    }

    pub(super) fn note_expiry(&mut self) {
        if !self.expired && self.router.handle.status().transit_accepted != [0; 3] {
            self.expired = self.router.handle.status().transit_tunnels == 0;
            if self.expired {
                reached("tunnel expired");
            }
        }
    }
}

/// What the router writes has to parse.
fn panic_on(error: ramson_wire::DecodeError) {
    let malformed = Some(error);
    assert_eq!(malformed, None, "a frame of ours is malformed");
}

fn tell_counters(relay: &ramson_router::RelayShard) {
    let it = relay.counters();
    for (name, count) in [
        ("participant", it.participant),
        ("gateway", it.gateway),
        ("endpoint", it.endpoint),
        ("own", it.own),
        ("dropped_unknown", it.dropped_unknown),
        ("dropped_wrong_router", it.dropped_wrong_router),
        ("dropped_malformed", it.dropped_malformed),
        ("dropped_duplicate", it.dropped_duplicate),
        ("dropped_full", it.dropped_full),
        ("dropped_rate", it.dropped_rate),
        ("dropped_expired", it.dropped_expired),
    ] {
        if count > 0 {
            reached(format_args!("relay {name}"));
        }
    }
}
