//! The machines of a simulated network and the one event queue that runs them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::{Random, simulation};
use ramson_proto::Now;
use ramson_router::inbox::Inbox;
use ramson_router::{
    Core, LookupOutcome, RelayCounters, RelayShard, RouterHandle, RouterKeys, RouterStatus,
    ShellRequest,
};
use ramson_wire::{Instant, RouterHash, UnixTime};

use crate::cost::{Costs, Done};
use crate::hostile::HostileStats;
use crate::link::{LinkEnd, Speaker, Stage};
use crate::node::{Node, NodeId, NodeSettings};
use crate::pipe::PipeSettings;
use crate::queue::{Due, Event, NEVER, PartId, Queue, Ready};
use crate::trace::{Kind, Trace, TraceHash};

mod connections;
mod routers;

/// What a world is like.
#[derive(Debug, Clone)]
pub struct WorldSettings {
    /// All that happens follows from it.
    pub seed: u64,
    /// What connections are like.
    pub pipes: PipeSettings,
    /// How long work takes.
    pub costs: Costs,
    /// The true time when it begins.
    pub begins: UnixTime,
}

impl WorldSettings {
    /// A world of this seed with usual connections and costs, which begins in 2026 at noon.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            pipes: PipeSettings::default(),
            costs: Costs::default(),
            begins: UnixTime::from_millis(1_780_315_200_000),
        }
    }
}

/// What happened in a world so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorldStats {
    /// Steps of `Core`s.
    pub core_steps: u64,
    /// Steps of relay shards.
    pub relay_steps: u64,
    /// Steps of links.
    pub link_steps: u64,
    /// Connections that were asked for.
    pub dials: u64,
    /// Connections that came about.
    pub connections: u64,
    /// Connections that nobody took.
    pub refused: u64,
    /// Bytes that were written to connections.
    pub bytes: u64,
    /// The most bytes that were on the way to one reader.
    pub fullest_pipe: usize,
    /// Microseconds that parts were kept waiting for a core.
    pub waited_us: u64,
    /// Links that are open or being made.
    pub links: usize,
    /// Entries of the event queue.
    pub queued: usize,
    /// Public-key operations: key pairs, agreements, signatures made and checked.
    pub public_key: [u64; 4],
    /// What hostile machines did.
    pub hostile: HostileStats,
}

#[derive(Debug)]
enum Part {
    Core(Box<Core>),
    Relay(Box<RelayShard>, RelayCounters),
    /// What a router wants of a shell.
    Requests(Inbox<ShellRequest>),
    Link(Box<LinkEnd>),
}

/// A place for a part.
#[derive(Debug)]
struct Slot {
    generation: u32,
    node: u32,
    due: Due,
    /// Its last step lasts until then.
    busy_until: u64,
    /// It waits for a core of its router.
    waiting: bool,
    waker: Option<Waker>,
    /// Not there while it runs.
    part: Option<Part>,
}

/// A network in virtual time.
#[derive(Debug)]
pub struct World {
    settings: WorldSettings,
    now: u64,
    queue: Queue,
    ready: Arc<Ready>,
    woken: Vec<PartId>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    nodes: Vec<Node>,
    by_address: BTreeMap<SocketAddr, u32>,
    /// Of the network: places, delays, splits, stalls.
    random: Random,
    /// Each router's randomness comes from here.
    seeds: Random,
    trace: Trace,
    stats: WorldStats,
    out: BytesMut,
}

impl World {
    /// An empty network at its first instant.
    pub fn new(settings: WorldSettings) -> Self {
        // Keys of both sides of all handshakes and builds that are under way.
        simulation::enable(1 << 15);
        let mut seed = [0; 32];
        for (byte, part) in seed.iter_mut().zip(settings.seed.to_le_bytes()) {
            *byte = part;
        }
        let mut random = Random::from_seed(seed);
        Self {
            now: 1,
            queue: Queue::new(random.fork("order")),
            ready: Arc::default(),
            woken: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            seeds: random.fork("routers"),
            trace: Trace::new(settings.seed),
            stats: WorldStats::default(),
            out: BytesMut::new(),
            random: random.fork("network"),
            settings,
        }
    }

    /// Adds a machine whose router does not run yet.
    pub fn add(&mut self, settings: NodeSettings) -> NodeId {
        let index = self.nodes.len() as u32;
        let keys = RouterKeys::generate(&mut self.seeds.fork("keys"));
        let place = [self.random.below(1_000_000), self.random.below(1_000_000)];
        let node = Node::new(index, settings, keys, place);
        self.by_address.insert(node.address, index);
        self.nodes.push(node);
        NodeId(index)
    }

    /// The virtual time since the beginning.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.now)
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // Whoever spoke to a router from outside has woken it.
        self.schedule_woken(self.now);
        while let Some((at, event)) = self.queue.pop(until) {
            self.now = self.now.max(at);
            self.dispatch(event, at);
        }
        self.now = until;
    }

    /// The hash over all that happened.
    pub fn trace(&self) -> TraceHash {
        self.trace.hash()
    }

    /// How many events are in that hash.
    pub fn events(&self) -> u64 {
        self.trace.events()
    }

    /// What happened so far.
    pub fn stats(&self) -> WorldStats {
        WorldStats {
            queued: self.queue.len(),
            ..self.stats
        }
    }

    fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    fn node_mut(&mut self, node: u32) -> Option<&mut Node> {
        self.nodes.get_mut(node as usize)
    }

    fn slot_mut(&mut self, id: PartId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize);
        slot.filter(|slot| slot.generation == id.generation)
    }

    fn link_mut(&mut self, id: PartId) -> Option<&mut LinkEnd> {
        match &mut self.slot_mut(id)?.part {
            Some(Part::Link(link)) => Some(link),
            _ => None,
        }
    }

    /// A router's clocks at this moment.
    fn clock(&self, node: u32, at: u64) -> Now {
        let truth = self.settings.begins.as_millis() + at / 1000;
        let node = self.node(node);
        let ahead = node.map_or(0, |node| node.settings.clock_ahead_ms);
        let machine = UnixTime::from_millis(truth.saturating_add_signed(ahead));
        let router = node.and_then(|node| node.handle.as_ref());
        let instant = Instant::from_micros(at);
        match router {
            Some(router) => router.clock().now(instant, machine),
            None => Now {
                instant,
                unix: machine,
            },
        }
    }

    /// Gives a part a place and has it run now.
    fn install(&mut self, node: u32, part: Part) -> PartId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                node,
                due: Due::NEVER,
                busy_until: 0,
                waiting: false,
                waker: None,
                part: None,
            });
            self.slots.len() as u32 - 1
        });
        let mut id = PartId {
            index,
            generation: 0,
        };
        if let Some(slot) = self.slots.get_mut(index as usize) {
            id.generation = slot.generation;
            slot.node = node;
            slot.waker = Some(self.ready.waker(id));
            if matches!(part, Part::Link(_)) {
                self.stats.links += 1;
            }
            slot.part = Some(part);
        }
        if let Some(node) = self.node_mut(node) {
            node.parts.insert(id);
        }
        self.schedule(id, self.now);
        id
    }

    /// Drops a part and makes room in its place.
    fn remove(&mut self, id: PartId) {
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        slot.due = Due::NEVER;
        slot.busy_until = 0;
        slot.waiting = false;
        slot.waker = None;
        let part = slot.part.take();
        let node = slot.node;
        if matches!(part, Some(Part::Link(_))) {
            self.stats.links = self.stats.links.saturating_sub(1);
        }
        self.free.push(id.index);
        if let Some(node) = self.node_mut(node) {
            node.parts.remove(&id);
        }
        // Its own end may post to other parts.
        drop(part);
    }

    /// Has a part run at `at`, if not before.
    fn schedule(&mut self, id: PartId, at: u64) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(id.index as usize) else {
            return;
        };
        if slot.generation == id.generation && !slot.waiting {
            let at = at.max(now).max(slot.busy_until);
            slot.due.by(at, id, &mut self.queue);
        }
    }

    /// Has those parts run that were woken.
    fn schedule_woken(&mut self, at: u64) {
        let mut woken = std::mem::take(&mut self.woken);
        self.ready.take(&mut woken);
        for id in woken.drain(..) {
            self.schedule(id, at);
        }
        self.woken = woken;
    }

    fn dispatch(&mut self, event: Event, at: u64) {
        match event {
            Event::Run(id) => {
                let Some(slot) = self.slots.get_mut(id.index as usize) else {
                    return;
                };
                let is_due =
                    slot.generation == id.generation && slot.due.is_due(at, id, &mut self.queue);
                if is_due {
                    self.run_or_wait(id);
                }
            }
            Event::Free(node) => self.give_core(node),
            Event::Syn { dialer, target } => self.syn(dialer, target),
            Event::SynAnswer { dialer, acceptor } => self.syn_answer(dialer, acceptor),
        }
    }

    /// Runs a part if its router has a free core.
    fn run_or_wait(&mut self, id: PartId) {
        let now = self.now;
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        if let Some(Part::Requests(_)) = slot.part {
            // What the system does for a router takes no time of its cores.
            self.serve_requests(id);
            return;
        }
        let index = slot.node;
        let Some(node) = self.node_mut(index) else {
            return;
        };
        let (core, free) = node.first_core();
        if free <= now {
            self.run(id, core);
            return;
        }
        node.waiting.push((id, now));
        let ask = !std::mem::replace(&mut node.awaits_core, true);
        if let Some(slot) = self.slot_mut(id) {
            slot.waiting = true;
        }
        if ask {
            self.queue.push(free, Event::Free(index));
        }
    }

    /// A core has become free: some part that waits gets it, which one is drawn.
    fn give_core(&mut self, index: u32) {
        loop {
            let now = self.now;
            let Some(node) = self.nodes.get_mut(index as usize) else {
                return;
            };
            if node.waiting.is_empty() {
                node.awaits_core = false;
                return;
            }
            let (core, free) = node.first_core();
            if free > now {
                self.queue.push(free, Event::Free(index));
                return;
            }
            let chosen = self.random.below(node.waiting.len() as u64) as usize;
            let (id, since) = node.waiting.swap_remove(chosen);
            self.stats.waited_us += now - since;
            if let Some(slot) = self.slot_mut(id) {
                slot.waiting = false;
                self.run(id, core);
            }
        }
    }

    /// Runs one step of a part on a core of its router.
    fn run(&mut self, id: PartId, core: usize) {
        let now = self.now;
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        let (Some(mut part), Some(waker)) = (slot.part.take(), slot.waker.take()) else {
            return;
        };
        let index = slot.node;
        let clock = self.clock(index, now);
        let mut done = Done::default();
        let mut closed = false;
        let (next, kind) = match &mut part {
            Part::Core(core) => {
                self.stats.core_steps += 1;
                (core.step(clock), Kind::Core)
            }
            Part::Relay(relay, before) => {
                self.stats.relay_steps += 1;
                let next = relay.step(clock);
                let after = relay.counters();
                done.tunnel_messages = handled(&after) - handled(before);
                *before = after;
                (next, Kind::Relay)
            }
            Part::Link(link) => {
                self.stats.link_steps += 1;
                let room = self.room(link);
                let stepped = link.step(clock, room, &mut self.out);
                if let Speaker::Hostile(hostile) = &mut link.speaker {
                    self.stats.hostile.add(&hostile.take_stats());
                }
                done.link_bytes = (stepped.read + self.out.len()) as u64;
                closed = stepped.closed;
                (stepped.next, Kind::Link)
            }
            Part::Requests(_) => (None, Kind::Dial),
        };
        done.work = simulation::take_work();
        self.count(&done);
        self.trace
            .event(now, index, id, kind, done.link_bytes + done.tunnel_messages);
        let until = now + self.settings.costs.micros(&done);
        if let Some(node) = self.nodes.get_mut(index as usize)
            && let Some(core) = node.busy.get_mut(core)
        {
            *core = until;
        }
        let mut due = next.map_or(NEVER, Instant::as_micros);
        if let Part::Link(link) = &mut part {
            self.after_link(index, link, now, until);
            due = due.min(link.incoming.next());
        }
        let ready = match &part {
            Part::Core(core) => core.register(&waker),
            Part::Relay(relay, _) => relay.register(&waker),
            Part::Link(link) => !closed && link.speaker.register(&waker),
            Part::Requests(_) => false,
        };
        if ready {
            due = until;
        }
        let ended = closed.then(|| match &part {
            Part::Link(link) => link.peer.map(|peer| (peer, link.delay_us)),
            _ => None,
        });
        if let Some(slot) = self.slot_mut(id) {
            slot.part = Some(part);
            slot.waker = Some(waker);
            slot.busy_until = until;
        }
        if let Some(peer) = ended {
            self.trace.event(now, index, id, Kind::Ended, 0);
            self.remove(id);
            if let Some((peer, delay)) = peer {
                self.finish(peer, until + delay);
            }
        } else if due != NEVER {
            self.schedule(id, due);
        }
        self.schedule_woken(until);
    }

    fn count(&mut self, done: &Done) {
        let [keys, agreements, signed, verified] = &mut self.stats.public_key;
        *keys += done.work.keys;
        *agreements += done.work.agreements;
        *signed += done.work.signed;
        *verified += done.work.verified;
    }
}

fn handled(counters: &RelayCounters) -> u64 {
    counters.participant + counters.gateway + counters.endpoint + counters.own
}
