//! Which routers we have links with, and how we get them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{CloseReason, Connection, DialConfig, LinkConfig, LinkMessage, Priority};
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{Instant, RouterHash, RouterInfo, Verified};

use super::address::AddressWatch;
use super::netdb::NetDb;
use super::own::{OwnRouter, is_public};
use super::{CoreMessage, DropReason, ShellRequest};
use crate::config::RouterConfig;
use crate::inbox::Sender;
use crate::link::{LinkCommand, LinkEnv, LinkId, LinkPart};
use crate::peer::PeerHandle;

/// After a dial that failed, the next waits this long, doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(4);
/// The longest wait between two dials.
const MAX_BACKOFF: Duration = Duration::from_secs(10 * 60);
/// Routers without link or messages are forgotten after this.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Links that come up within this of each other were dialled at once.
const AT_ONCE: Duration = Duration::from_secs(10);
/// A link that we dialled and that ends so soon counts as a dial that failed.
const BRIEF: Duration = Duration::from_secs(5);
/// Links kept with one router.
const MAX_LINKS_OF_ONE: usize = 3;
/// Queues that are kept for routers, linked or not.
const MAX_PEERS: usize = 8192;

#[derive(Debug)]
struct Peer {
    handle: PeerHandle,
    /// The last is the one that carries our messages. There are several when both dialled at once.
    links: Vec<Link>,
    dialing: Option<LinkId>,
    failures: u32,
    /// No dial before.
    retry_at: Instant,
    used: Instant,
}

#[derive(Debug)]
struct Link {
    id: LinkId,
    incoming: bool,
    since: Instant,
    commands: Sender<LinkCommand>,
}

/// What came of wanting a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It is there, or on its way.
    Coming,
    /// Its RouterInfo has to be found first.
    UnknownRouter,
    /// It cannot be reached, or not now.
    Unreachable,
}

/// All links and the queues behind them.
#[derive(Debug)]
pub(crate) struct Links {
    peers: BTreeMap<RouterHash, Peer>,
    core: Sender<CoreMessage>,
    shell: Sender<ShellRequest>,
    env: LinkEnv,
    random: Random,
    /// Routers with a link.
    linked: usize,
    /// Links, of which a router may have several.
    sockets: usize,
    dialing: usize,
    pub(crate) address: AddressWatch,
    /// Links that were refused because there are enough.
    pub(crate) refused: u64,
    pub(crate) dials: u64,
    pub(crate) dials_failed: u64,
    swept: Instant,
}

impl Links {
    pub(crate) fn new(
        core: Sender<CoreMessage>,
        shell: Sender<ShellRequest>,
        env: LinkEnv,
        random: Random,
    ) -> Self {
        Self {
            peers: BTreeMap::new(),
            core,
            shell,
            env,
            random,
            linked: 0,
            sockets: 0,
            dialing: 0,
            address: AddressWatch::default(),
            refused: 0,
            dials: 0,
            dials_failed: 0,
            swept: Instant::ZERO,
        }
    }

    /// The queue towards a router, made if there is none; `None` when there are too many.
    pub(crate) fn handle(&mut self, router: RouterHash, now: Now) -> Option<PeerHandle> {
        if let Some(peer) = self.peers.get_mut(&router) {
            peer.used = now.instant;
            return Some(peer.handle.clone());
        }
        if self.peers.len() >= MAX_PEERS && !self.forget_one() {
            return None;
        }
        Some(self.add(router, now))
    }

    fn add(&mut self, router: RouterHash, now: Now) -> PeerHandle {
        let drops = self.env.drops().clone();
        let handle = PeerHandle::new(router, self.core.clone(), drops, self.random.u64());
        let peer = Peer {
            handle: handle.clone(),
            links: Vec::new(),
            dialing: None,
            failures: 0,
            retry_at: Instant::ZERO,
            used: now.instant,
        };
        self.peers.insert(router, peer);
        handle
    }

    /// Makes room for another router by forgetting the one with whom nothing went on for longest;
    /// says whether there was one.
    fn forget_one(&mut self) -> bool {
        let idle = self.peers.iter().filter(|(_, peer)| peer.is_idle());
        let oldest = idle.min_by_key(|(_, peer)| peer.used);
        match oldest.map(|(router, _)| *router) {
            Some(router) => self.peers.remove(&router).is_some(),
            None => false,
        }
    }

    /// Adds what all links and queues have dropped.
    pub(crate) fn count_drops(&self, drops: &mut BTreeMap<DropReason, u64>) {
        let admission = self.env.admission();
        let stats = admission.stats();
        let refused = [
            (DropReason::HandshakesFull, stats.refused_total),
            (DropReason::HandshakesOfSource, stats.refused_source),
            (DropReason::HandshakeReplay, stats.refused_replay),
            (DropReason::LinksFull, self.refused),
        ];
        let refused = refused.into_iter().filter(|(_, count)| *count > 0);
        for (reason, count) in self.env.drops().totals().chain(refused) {
            *drops.entry(reason).or_default() += count;
        }
    }

    /// Sends a message of the router itself.
    pub(crate) fn send(&mut self, router: RouterHash, message: LinkMessage, now: Now) -> bool {
        self.handle(router, now)
            .is_some_and(|handle| handle.send(message, Priority::Control, now.instant).is_ok())
    }

    /// Asks the shell for something that can be asked for again.
    pub(crate) fn ask_shell(&self, request: ShellRequest) {
        let _ = self.shell.post(request);
    }

    pub(crate) fn is_linked(&self, router: &RouterHash) -> bool {
        self.peers
            .get(router)
            .is_some_and(|peer| !peer.links.is_empty())
    }

    pub(crate) fn linked_count(&self) -> usize {
        self.linked
    }

    /// The longest time until some router that could not be reached may be dialled again.
    pub(crate) fn longest_pause(&self, now: Instant) -> Duration {
        let pauses = self.peers.values();
        let longest = pauses.map(|peer| peer.retry_at.saturating_since(now)).max();
        longest.unwrap_or_default()
    }

    /// Links that came in and have not shaken hands.
    pub(crate) fn half_open(&self) -> usize {
        self.env.admission().half_open()
    }

    /// Says whether a dial failed lately, so that others are better hops.
    pub(crate) fn is_failing(&self, router: &RouterHash, now: Now) -> bool {
        self.peers
            .get(router)
            .is_some_and(|peer| peer.links.is_empty() && peer.retry_at > now.instant)
    }

    /// Messages wait for a router without a link.
    pub(crate) fn want(
        &mut self,
        router: RouterHash,
        netdb: &NetDb,
        own: &OwnRouter,
        config: &RouterConfig,
        now: Now,
    ) -> Wanted {
        let Some(peer) = self.peers.get_mut(&router) else {
            return Wanted::Unreachable;
        };
        if !peer.links.is_empty() || peer.dialing.is_some() {
            return Wanted::Coming;
        }
        let Some(info) = netdb.router(&router) else {
            return Wanted::UnknownRouter;
        };
        let target =
            if peer.retry_at > now.instant || self.sockets + self.dialing >= config.max_links {
                None
            } else {
                target(info, config)
            };
        let Some((address, static_key, iv)) = target else {
            peer.handle.give_up();
            return Wanted::Unreachable;
        };
        let id = self.env.next_id();
        let dial = DialConfig {
            local: own.local().clone(),
            peer: info.clone(),
            static_key,
            iv,
            link: LinkConfig::default(),
        };
        let random = self.random.fork("link");
        let connection = Connection::dial(dial, now, random);
        let link = LinkPart::dialled(router, id, connection, &self.env);
        let request = ShellRequest::Dial {
            address,
            link: Box::new(link),
        };
        if self.shell.post(request).is_err() {
            peer.handle.give_up();
            return Wanted::Unreachable;
        }
        self.dials += 1;
        self.dialing += 1;
        peer.dialing = Some(id);
        Wanted::Coming
    }

    /// A handshake is done.
    ///
    /// When both routers dial at once, i2pd keeps what comes in and drops what it dialled, so that
    /// our own outgoing link is the one to use. The other is not closed but left idle: a peer that
    /// decides otherwise would leave us with none.
    pub(crate) fn up(
        &mut self,
        router: RouterHash,
        id: LinkId,
        incoming: bool,
        commands: Sender<LinkCommand>,
        max_links: usize,
        now: Now,
    ) {
        // Some places are left for those whom we want to reach ourselves.
        let room = if incoming {
            max_links - max_links / 4
        } else {
            max_links
        };
        let full = self.sockets >= room;
        // Links have a bound of their own: none is refused for want of a queue.
        let handle = match self.peers.get(&router) {
            Some(peer) => peer.handle.clone(),
            None => self.add(router, now),
        };
        let Some(peer) = self.peers.get_mut(&router) else {
            return;
        };
        peer.used = now.instant;
        if peer.dialing == Some(id) {
            peer.dialing = None;
            self.dialing = self.dialing.saturating_sub(1);
        }
        if full && peer.links.is_empty() {
            self.refused += 1;
            let _ = commands.post(LinkCommand::Close(TerminationReason::Normal));
            return;
        }
        let link = Link {
            id,
            incoming,
            since: now.instant,
            commands,
        };
        // A peer that dials although we have a link has lost it.
        let lost = |old: &Link| now.instant.saturating_since(old.since) > AT_ONCE;
        peer.links.retain(|old| {
            let close = incoming && lost(old);
            if close {
                let _ = old
                    .commands
                    .post(LinkCommand::Close(TerminationReason::Normal));
            }
            !close
        });
        let idle = incoming && peer.links.last().is_some_and(|active| !active.incoming);
        if idle {
            peer.links.insert(0, link);
        } else {
            peer.links.push(link);
        }
        let most = if full { 1 } else { MAX_LINKS_OF_ONE };
        while peer.links.len() > most {
            let old = peer.links.remove(0);
            let _ = old
                .commands
                .post(LinkCommand::Close(TerminationReason::Normal));
        }
        peer.retry_at = Instant::ZERO;
        peer.attach(handle);
        self.count();
    }

    /// A link is over, or never came about. Says whether messages wait for another.
    pub(crate) fn down(
        &mut self,
        router: RouterHash,
        id: LinkId,
        why: &CloseReason,
        now: Now,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&router) else {
            return false;
        };
        peer.used = now.instant;
        if let Some(at) = peer.links.iter().position(|link| link.id == id) {
            let link = peer.links.remove(at);
            let handle = peer.handle.clone();
            let brief = now.instant.saturating_since(link.since) < BRIEF;
            if !link.incoming {
                self.address.ended(router, brief, why, now);
            }
            let wanted = if !peer.links.is_empty() {
                peer.attach(handle);
                false
            } else if brief && !link.incoming && !matches!(why, CloseReason::Local(_)) {
                // It has no room for us, most likely, or does not like us.
                handle.detach(id);
                peer.back_off(&mut self.random, now);
                false
            } else {
                peer.failures = 0;
                handle.detach(id)
            };
            self.count();
            return wanted;
        }
        if peer.dialing == Some(id) {
            peer.dialing = None;
            self.dialing = self.dialing.saturating_sub(1);
            self.dials_failed += 1;
            peer.back_off(&mut self.random, now);
        }
        false
    }

    fn count(&mut self) {
        let linked = self.peers.values().filter(|peer| !peer.links.is_empty());
        self.linked = linked.count();
        self.sockets = self.peers.values().map(|peer| peer.links.len()).sum();
    }

    /// Says whether messages wait for a router without a link.
    pub(crate) fn has_waiting(&self, router: &RouterHash) -> bool {
        self.peers
            .get(router)
            .is_some_and(|peer| peer.links.is_empty() && !peer.handle.is_empty())
    }

    /// Drops what waits for a router that cannot be found.
    pub(crate) fn give_up(&self, router: RouterHash) {
        if let Some(peer) = self.peers.get(&router) {
            peer.handle.give_up();
        }
    }

    /// Tells all peers the RouterInfo.
    pub(crate) fn announce(&self, info: &Verified<RouterInfo>) {
        for link in self.peers.values().flat_map(|peer| &peer.links) {
            let _ = link.commands.post(LinkCommand::RouterInfo {
                info: info.clone(),
                flood: false,
            });
        }
    }

    /// Ends all links.
    pub(crate) fn close_all(&self, reason: TerminationReason) {
        for link in self.peers.values().flat_map(|peer| &peer.links) {
            let _ = link.commands.post(LinkCommand::Close(reason));
        }
    }

    /// Forgets routers with whom nothing goes on.
    pub(crate) fn sweep(&mut self, now: Now) {
        if now.instant.saturating_since(self.swept) < Duration::from_secs(60) {
            return;
        }
        self.swept = now.instant;
        self.peers
            .retain(|_, peer| !peer.is_idle() || now.instant.saturating_since(peer.used) < FORGET);
    }
}

impl Peer {
    /// Says whether nobody misses it when it is forgotten.
    fn is_idle(&self) -> bool {
        self.links.is_empty()
            && self.dialing.is_none()
            && self.handle.is_empty()
            && !self.handle.is_shared()
    }

    /// The next dial has to wait, longer each time; without a link, nothing waits for it.
    fn back_off(&mut self, random: &mut Random, now: Now) {
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.saturating_sub(1).min(10));
        // Two routers that dial each other at the same time must not do so again.
        let jitter = Duration::from_millis(random.below(2000));
        self.retry_at = now.instant + doubled.min(MAX_BACKOFF) + jitter;
        if self.links.is_empty() {
            self.handle.give_up();
        }
    }

    /// Has the last link carry our messages.
    fn attach(&self, handle: PeerHandle) {
        if let Some(active) = self.links.last() {
            handle.attach(active.id);
            // It wakes the link, too.
            let _ = active.commands.post(LinkCommand::Attach(handle));
        }
    }
}

/// The address of a router that we can dial, its static key and IV.
fn target(info: &RouterInfo, config: &RouterConfig) -> Option<(SocketAddr, [u8; 32], [u8; 16])> {
    info.ntcp2_addresses().find_map(|address| {
        let (socket, iv) = address.published()?;
        let reachable = config.allow_local || is_public(socket.ip());
        // Without an IPv6 address of our own, IPv6 is not tried.
        let family = socket.is_ipv4() || config.published.is_some_and(|own| own.is_ipv6());
        (reachable && family).then_some((socket, address.static_key, iv))
    })
}

/// What tests look at.
#[cfg(test)]
impl Links {
    pub(crate) fn queue(&self, router: &RouterHash) -> Option<&PeerHandle> {
        self.peers.get(router).map(|peer| &peer.handle)
    }

    pub(crate) fn check_bounds(&self, config: &RouterConfig) {
        assert!(self.peers.len() <= MAX_PEERS + config.max_links);
        assert!(self.sockets + self.dialing <= config.max_links);
        let dialing = self.peers.values().filter(|peer| peer.dialing.is_some());
        assert_eq!(self.dialing, dialing.count());
        assert!(self.peers.values().all(|peer| peer.handle.is_bounded()));
    }
}
