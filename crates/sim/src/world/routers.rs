//! Starting, stopping and asking the routers of a world.

use std::sync::Arc;
use std::time::Duration;

use ramson_proto::ntcp2::LocalRouter;
use ramson_router::{Router, RouterConfig};
use ramson_wire::{RouterInfo, UnixTime, Verified};

use super::{
    Core, Instant, Kind, LookupOutcome, NodeId, Part, PartId, RelayCounters, RouterHandle,
    RouterHash, RouterStatus, Stage, World,
};
use crate::hostile::{Attack, HostileLink};
use crate::link::{LinkEnd, Speaker};

impl World {
    /// Starts a machine's router, which knows the routers that run on `seeds`. Says whether it
    /// runs now.
    pub fn start(&mut self, id: NodeId, seeds: &[NodeId]) -> bool {
        let known = self.router_infos(id, seeds);
        let clock = self.clock(id.0, self.now);
        let mut random = self.seeds.fork("router");
        let now = self.now;
        let Some(node) = self.node_mut(id.0).filter(|node| node.handle.is_none()) else {
            return false;
        };
        let config = node.settings.config.clone();
        let keys = node.keys.clone();
        let Ok(router) = Router::new(config, keys, 1, clock, random.fork("parts")) else {
            return false;
        };
        router.handle.seed(known);
        node.handle = Some(router.handle);
        node.starts += 1;
        node.silent = false;
        node.busy.fill(now);
        let starts = u64::from(node.starts);
        let core = self.install(id.0, Part::Core(Box::new(router.core)));
        for relay in router.relays {
            self.install(id.0, Part::Relay(Box::new(relay), RelayCounters::default()));
        }
        self.install(id.0, Part::Requests(router.requests));
        self.trace.event(now, id.0, core, Kind::Start, starts);
        true
    }

    /// Tells a router of others that run.
    pub fn introduce(&mut self, id: NodeId, others: &[NodeId]) {
        let known = self.router_infos(id, others);
        if let Some(handle) = self.handle(id) {
            handle.seed(known);
        }
    }

    fn router_infos(&self, id: NodeId, others: &[NodeId]) -> Vec<Verified<RouterInfo>> {
        let others = others.iter().filter(|other| **other != id);
        others
            .filter_map(|other| Some(self.handle(*other)?.router_info()))
            .collect()
    }

    /// Asks a router to end its links; it goes on until [`World::kill`].
    pub fn end_links(&mut self, id: NodeId) {
        if let Some(handle) = self.handle(id) {
            handle.stop();
        }
    }

    /// Ends a machine's router at once: its neighbours learn of it, and it knows nothing any more.
    pub fn kill(&mut self, id: NodeId) {
        self.end(id, false);
    }

    /// Takes a machine off the network: nobody learns of it.
    pub fn vanish(&mut self, id: NodeId) {
        self.end(id, true);
    }

    fn end(&mut self, id: NodeId, silent: bool) {
        let now = self.now;
        let Some(node) = self.node_mut(id.0) else {
            return;
        };
        node.handle = None;
        node.silent = silent;
        node.waiting.clear();
        let parts: Vec<PartId> = node.parts.iter().copied().collect();
        for part in parts {
            let peer = self
                .link_mut(part)
                .and_then(|link| Some((link.peer?, link.delay_us)));
            self.remove(part);
            match peer {
                Some((peer, delay)) if !silent => self.finish(peer, now + delay),
                _ => {}
            }
        }
        let nobody = PartId {
            index: u32::MAX,
            generation: 0,
        };
        self.trace
            .event(now, id.0, nobody, Kind::Stop, u64::from(silent));
        self.schedule_woken(now);
    }

    /// By how many milliseconds a machine's clock is ahead.
    pub fn clock_ahead(&self, id: NodeId) -> i64 {
        self.node(id.0)
            .map_or(0, |node| node.settings.clock_ahead_ms)
    }

    /// Sets a machine's clock.
    pub fn set_clock(&mut self, id: NodeId, ahead_ms: i64) {
        if let Some(node) = self.node_mut(id.0) {
            node.settings.clock_ahead_ms = ahead_ms;
        }
    }

    /// The handle of the router that runs on a machine.
    pub fn handle(&self, id: NodeId) -> Option<RouterHandle> {
        self.node(id.0)?.handle.clone()
    }

    /// The hash of a machine's router, running or not.
    pub fn hash(&self, id: NodeId) -> Option<RouterHash> {
        Some(self.node(id.0)?.hash)
    }

    /// The machine of the router of this hash.
    pub fn node_of(&self, hash: &RouterHash) -> Option<NodeId> {
        let index = self.nodes.iter().position(|node| node.hash == *hash)?;
        Some(NodeId(index as u32))
    }

    /// What a machine's router was told by its owner.
    pub fn config(&self, id: NodeId) -> Option<&RouterConfig> {
        Some(&self.node(id.0)?.settings.config)
    }

    /// Says whether a machine's router runs.
    pub fn is_running(&self, id: NodeId) -> bool {
        self.node(id.0).is_some_and(|node| node.handle.is_some())
    }

    /// What the router on a machine last told of itself.
    pub fn status(&self, id: NodeId) -> Option<RouterStatus> {
        Some(self.node(id.0)?.handle.as_ref()?.status())
    }

    /// All machines.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// Has a router look another one up; the outcome is among its [`World::answers`]. Says whether
    /// it took the question.
    pub fn look_up(&mut self, id: NodeId, wanted: RouterHash) -> bool {
        let Some(node) = self.node(id.0) else {
            return false;
        };
        let reply = node.answer_to.clone();
        let handle = node.handle.as_ref();
        handle.is_some_and(|handle| handle.look_up(wanted, reply))
    }

    /// Takes the outcomes of look-ups of the router on a machine.
    pub fn answers(&mut self, id: NodeId) -> Vec<LookupOutcome> {
        let mut answers = Vec::new();
        if let Some(node) = self.node(id.0) {
            node.answers.take(usize::MAX, &mut answers);
        }
        answers
    }

    /// The connections of a machine that are open, by its own view: made or being made.
    pub fn open_links(&self, id: NodeId) -> usize {
        let links = self.links_of(id);
        links.filter(|link| link.stage != Stage::Connecting).count()
    }

    /// The links of a machine's router that came in and have not shaken hands yet.
    pub fn half_open_links(&self, id: NodeId) -> usize {
        let links = self.links_of(id);
        let half_open = links
            .filter(|link| matches!(&link.speaker, Speaker::Router(link) if link.is_half_open()));
        half_open.count()
    }

    /// The machines to which a machine has open connections, once for each.
    pub fn neighbours(&self, id: NodeId) -> Vec<NodeId> {
        // Who vanished has left its end of the connection behind.
        let is_there = |part: PartId| {
            let slot = self.slots.get(part.index as usize);
            slot.is_some_and(|slot| slot.generation == part.generation)
        };
        let open = self.links_of(id).filter(|link| {
            link.stage == Stage::Open
                && link.peer.is_some_and(is_there)
                && matches!(link.speaker, Speaker::Router(_))
        });
        open.map(|link| NodeId(link.peer_node)).collect()
    }

    /// When a router published its RouterInfo, by its own clock.
    pub fn published(&self, id: NodeId) -> Option<UnixTime> {
        let handle = self.node(id.0)?.handle.as_ref()?;
        Some(handle.router_info().published())
    }

    /// When the RouterInfo was published that one router knows of another.
    pub fn known_since(&self, id: NodeId, other: NodeId) -> Option<UnixTime> {
        let other = &self.node(other.0)?.hash;
        self.core(id)?.published(other)
    }

    /// The longest time until a router dials some other again that it could not reach.
    pub fn longest_pause(&self, id: NodeId) -> Duration {
        let now = Instant::from_micros(self.now);
        self.core(id)
            .map_or(Duration::ZERO, |core| core.longest_pause(now))
    }

    fn core(&self, id: NodeId) -> Option<&Core> {
        let parts = &self.node(id.0)?.parts;
        parts
            .iter()
            .find_map(|part| match &self.slots.get(part.index as usize)?.part {
                Some(Part::Core(core)) => Some(&**core),
                _ => None,
            })
    }

    fn links_of(&self, id: NodeId) -> impl Iterator<Item = &LinkEnd> {
        let parts = self.node(id.0).map(|node| &node.parts);
        parts.into_iter().flatten().filter_map(|part| {
            match &self.slots.get(part.index as usize)?.part {
                Some(Part::Link(link)) => Some(&**link),
                _ => None,
            }
        })
    }

    /// The counters of a router's relay.
    pub fn relay_counters(&self, id: NodeId) -> RelayCounters {
        let parts = self.node(id.0).map(|node| &node.parts);
        let found = parts.into_iter().flatten().find_map(|part| {
            match &self.slots.get(part.index as usize)?.part {
                Some(Part::Relay(relay, _)) => Some(relay.counters()),
                _ => None,
            }
        });
        found.unwrap_or_default()
    }

    /// Begins an attack from a machine on the router of another, with `per_s` messages a second.
    /// The machine's own router should not run. Says whether there is somebody to attack.
    pub fn attack(&mut self, from: NodeId, target: NodeId, attack: Attack, per_s: u32) -> bool {
        let Some(target) = self.handle(target).map(|handle| handle.router_info()) else {
            return false;
        };
        let clock = self.clock(from.0, self.now);
        let mut random = self.seeds.fork("attack");
        let Some(node) = self.node(from.0) else {
            return false;
        };
        // Only for its RouterInfo.
        let (config, keys) = (node.settings.config.clone(), node.keys.clone());
        let network_id = config.network_id;
        let Ok(router) = Router::new(config, keys.clone(), 1, clock, random.fork("own")) else {
            return false;
        };
        let local = Arc::new(LocalRouter {
            router_info: router.handle.router_info(),
            static_key: keys.ntcp2_static,
            iv: keys.ntcp2_iv,
            network_id,
        });
        let Some((address, link)) = HostileLink::new(attack, &local, &target, per_s, clock, random)
        else {
            return false;
        };
        self.stats.hostile.dials += 1;
        self.dial(from.0, address, Speaker::Hostile(Box::new(link)));
        true
    }

    /// How many hostile links of a machine are up.
    pub fn hostile_links(&self, id: NodeId) -> usize {
        let links = self.links_of(id);
        let up = links
            .filter(|link| matches!(&link.speaker, Speaker::Hostile(hostile) if hostile.is_up()));
        up.count()
    }
}
