//! How connections come about, carry bytes and end.

use bytes::BytesMut;
use ramson_router::ShellRequest;

use super::{Part, World};
use crate::link::{LinkEnd, Speaker, Stage};
use crate::queue::{Event, PartId};
use crate::trace::Kind;

/// How long it takes to learn that nothing has this address, in microseconds.
const NO_ROUTE_US: u64 = 200_000;

impl World {
    /// Connects where a router wants to.
    pub(super) fn serve_requests(&mut self, id: PartId) {
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        let node = slot.node;
        let (Some(Part::Requests(inbox)), Some(waker)) = (&slot.part, &slot.waker) else {
            return;
        };
        let mut requests = Vec::new();
        inbox.take(usize::MAX, &mut requests);
        inbox.register(waker);
        for request in requests {
            match request {
                ShellRequest::Dial { address, link } => {
                    self.dial(node, address, Speaker::Router(link));
                }
                // Simulated routers have no disk.
                ShellRequest::Store(_) => {}
            }
        }
        self.schedule_woken(self.now);
    }

    /// Sends a connection's first packet on its way.
    pub(super) fn dial(&mut self, node: u32, address: std::net::SocketAddr, speaker: Speaker) {
        let target = self.by_address.get(&address).copied();
        let delay = match (self.node(node), target.and_then(|target| self.node(target))) {
            (Some(us), Some(them)) => us.delay_us(them),
            _ => NO_ROUTE_US / 2,
        };
        self.stats.dials += 1;
        let link = LinkEnd::new(speaker, target.unwrap_or(node), delay);
        let dialer = self.install(node, Part::Link(Box::new(link)));
        self.trace.event(
            self.now,
            node,
            dialer,
            Kind::Dial,
            u64::from(target.unwrap_or(u32::MAX)),
        );
        match target {
            Some(target) => self
                .queue
                .push(self.now + delay, Event::Syn { dialer, target }),
            None => {
                let acceptor = None;
                self.queue.push(
                    self.now + NO_ROUTE_US,
                    Event::SynAnswer { dialer, acceptor },
                );
            }
        }
    }

    /// A connection's first packet arrives.
    pub(super) fn syn(&mut self, dialer: PartId, target: u32) {
        let Some(from) = self.slot_mut(dialer).map(|slot| slot.node) else {
            return;
        };
        let (Some(us), Some(them)) = (self.node(from), self.node(target)) else {
            return;
        };
        if us.group != them.group || them.silent {
            // Nobody answers; the dialer's own patience ends it.
            return;
        }
        let delay = us.delay_us(them);
        let listening = them.settings.reachable && from != target;
        let handle = them.handle.clone().filter(|_| listening);
        let source = us.address;
        let clock = self.clock(target, self.now);
        let accepted = handle.and_then(|handle| handle.accept(source, clock).ok());
        let acceptor = accepted.map(|link| {
            let mut end = LinkEnd::new(Speaker::Router(Box::new(link)), from, delay);
            end.stage = Stage::Open;
            end.peer = Some(dialer);
            self.install(target, Part::Link(Box::new(end)))
        });
        let kind = if acceptor.is_some() {
            Kind::Accept
        } else {
            Kind::Refused
        };
        self.trace
            .event(self.now, target, dialer, kind, u64::from(from));
        self.queue
            .push(self.now + delay, Event::SynAnswer { dialer, acceptor });
    }

    /// The dialer learns what came of it.
    pub(super) fn syn_answer(&mut self, dialer: PartId, acceptor: Option<PartId>) {
        let now = self.now;
        let Some(link) = self.link_mut(dialer) else {
            // It gave up meanwhile.
            if let Some(acceptor) = acceptor {
                self.finish(acceptor, now);
            }
            return;
        };
        if acceptor.is_some() {
            link.stage = Stage::Open;
            link.peer = acceptor;
            self.stats.connections += 1;
        } else {
            link.incoming.finish(now);
            self.stats.refused += 1;
        }
        self.schedule(dialer, now);
    }

    /// How much a link may write now.
    pub(super) fn room(&mut self, link: &LinkEnd) -> usize {
        let pipes = self.settings.pipes;
        match link.peer.and_then(|peer| self.link_mut(peer)) {
            Some(peer) => peer.incoming.room(&pipes),
            // What is written to nobody is lost.
            None => pipes.capacity,
        }
    }

    /// Sends what a link wrote, and tells the other end that there is room again.
    pub(super) fn after_link(&mut self, node: u32, link: &mut LinkEnd, now: u64, until: u64) {
        let bytes = self.out.split();
        if !bytes.is_empty() {
            self.transmit(node, link, bytes, until);
        }
        let room = link.incoming.room(&self.settings.pipes);
        if let Some(peer) = link.peer
            && room > 0
            && let Some(other) = self.link_mut(peer)
            && std::mem::take(&mut other.blocked)
        {
            // As soon as the acknowledgement is there.
            let delay = other.delay_us;
            self.schedule(peer, now + delay);
        }
    }

    fn transmit(&mut self, node: u32, link: &LinkEnd, bytes: BytesMut, sent: u64) {
        let len = bytes.len();
        self.trace.bytes(&bytes);
        self.stats.bytes += len as u64;
        let Some(from) = self.nodes.get_mut(node as usize) else {
            return;
        };
        let rate = from.settings.uplink_bytes_per_s.max(1);
        let begins = sent.max(from.uplink_free);
        from.uplink_free = begins + len as u64 * 1_000_000 / rate;
        let arrives = from.uplink_free + link.delay_us;
        let Some(peer) = link.peer else {
            return;
        };
        let pipes = self.settings.pipes;
        // The world's own randomness, while a part of the world is borrowed.
        let Some(slot) = self.slots.get_mut(peer.index as usize) else {
            return;
        };
        if slot.generation != peer.generation {
            return;
        }
        if let Some(Part::Link(other)) = &mut slot.part {
            other
                .incoming
                .push(bytes, arrives, &pipes, &mut self.random);
            let (next, len) = (other.incoming.next(), other.incoming.len());
            self.stats.fullest_pipe = self.stats.fullest_pipe.max(len);
            self.schedule(peer, next);
        }
    }

    /// A link's other end is gone, of which it learns at `at`.
    pub(super) fn finish(&mut self, id: PartId, at: u64) {
        if let Some(link) = self.link_mut(id) {
            link.incoming.finish(at);
            let next = link.incoming.next();
            self.schedule(id, next);
        }
    }

    /// Parts the network: machines of different groups do not reach each other any more. Which
    /// group a machine is in, `group` says by its number.
    pub fn part(&mut self, group: impl Fn(usize) -> u8) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.group = group(index);
        }
        self.each_link(|world, node, link| {
            let apart = match (world.get(node as usize), world.get(link.peer_node as usize)) {
                (Some(us), Some(them)) => us.group != them.group,
                _ => false,
            };
            if apart {
                link.incoming.hold();
            }
            None
        });
    }

    /// Makes the network whole again.
    pub fn heal(&mut self) {
        for node in &mut self.nodes {
            node.group = 0;
        }
        let now = self.now;
        let mut random = self.random.fork("heal");
        self.each_link(|_, _, link| {
            // The senders try again after pauses of their own.
            let at = now + link.delay_us + random.below(2_000_000);
            link.incoming.release(at);
            Some(link.incoming.next())
        });
    }

    /// Does something with every link, and has those run for which there is a time.
    fn each_link(
        &mut self,
        mut change: impl FnMut(&[crate::node::Node], u32, &mut LinkEnd) -> Option<u64>,
    ) {
        let mut times = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(Part::Link(link)) = &mut slot.part
                && let Some(at) = change(&self.nodes, slot.node, link)
                && at != crate::queue::NEVER
            {
                let id = PartId {
                    index: index as u32,
                    generation: slot.generation,
                };
                times.push((id, at));
            }
        }
        for (id, at) in times {
            self.schedule(id, at);
        }
    }
}
