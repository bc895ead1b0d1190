//! The part that carries one NTCP2 connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::ntcp2::{
    Admission, CloseReason, Connection, Event, HalfOpen, LinkMessage, LocalRouter, Priority,
};
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{Instant, RouterHash, RouterInfo, Verified};

use crate::core::{CoreMessage, HandshakeFailure, LINK_SHARE};
use crate::drops::{REASONS, SharedDrops};
use crate::inbox::{Inbox, Sender};
use crate::peer::PeerHandle;
use crate::relay::{RelayMessage, RelaySenders};

/// Messages of `Core` that may wait for a link.
const INBOX: usize = 64;
/// Messages to other parts that may wait in a link; beyond, they are dropped and counted.
const BACKLOG: usize = 1024;
/// When `Core` is behind, it is told the rest after this.
const RETRY: Duration = Duration::from_millis(5);

/// Tells links apart, also several with one router.
pub type LinkId = u64;

/// What `Core` tells a link.
#[derive(Debug)]
pub(crate) enum LinkCommand {
    /// Carry the messages for this router from now on: the link was told as established.
    Attach(PeerHandle),
    /// Tell the peer our new RouterInfo.
    RouterInfo {
        /// The RouterInfo.
        info: Verified<RouterInfo>,
        /// Ask the peer to flood it.
        flood: bool,
    },
    /// End the link.
    Close(TerminationReason),
}

/// What a link has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Messages for tunnels that were dropped because the relay was behind.
    pub relay_full: u64,
    /// Messages for `Core` that were dropped because it was behind.
    pub core_full: u64,
    /// Messages for tunnels that are none.
    pub malformed: u64,
}

/// What all links of a router share.
#[derive(Debug, Clone)]
pub(crate) struct LinkEnv {
    core: Sender<CoreMessage>,
    relays: RelaySenders,
    local: Arc<Mutex<Arc<LocalRouter>>>,
    admission: Arc<Mutex<Admission>>,
    ids: Arc<AtomicU64>,
    drops: SharedDrops,
}

impl LinkEnv {
    pub(crate) fn new(
        core: Sender<CoreMessage>,
        relays: RelaySenders,
        local: Arc<Mutex<Arc<LocalRouter>>>,
        admission: Arc<Mutex<Admission>>,
    ) -> Self {
        Self {
            core,
            relays,
            local,
            admission,
            ids: Arc::default(),
            drops: SharedDrops::default(),
        }
    }

    pub(crate) fn relays(&self) -> &RelaySenders {
        &self.relays
    }

    pub(crate) fn local(&self) -> &Arc<Mutex<Arc<LocalRouter>>> {
        &self.local
    }

    /// The own router as it is now.
    pub(crate) fn current(&self) -> Arc<LocalRouter> {
        Arc::clone(&self.local.lock().unwrap_or_else(|it| it.into_inner()))
    }

    pub(crate) fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(|it| it.into_inner())
    }

    /// What links and queues have dropped.
    pub(crate) fn drops(&self) -> &SharedDrops {
        &self.drops
    }

    pub(crate) fn next_id(&self) -> LinkId {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Whom a link leads to, as far as it is known.
#[derive(Debug)]
enum Peer {
    /// It was not dialled, and its handshake is not done.
    Unknown,
    /// It was dialled.
    Dialled(RouterHash),
    /// The handshake is done.
    Up(RouterHash, Option<PeerHandle>),
}

/// One NTCP2 connection and its inbox.
///
/// The shell gives it what the socket brought ([`Self::handle_input`], [`Self::handle_end`]), then
/// calls [`Self::step`], writes what [`Self::poll_transmit`] hands out, and does so again until
/// that is nothing; it sleeps until the instant that `step` returned, the socket or the waker of
/// [`Self::register`].
#[derive(Debug)]
pub struct LinkPart {
    id: LinkId,
    connection: Connection,
    inbox: Inbox<LinkCommand>,
    commands: Vec<LinkCommand>,
    env: LinkEnv,
    core: Sender<CoreMessage>,
    relays: RelaySenders,
    to_core: VecDeque<CoreMessage>,
    peer: Peer,
    incoming: bool,
    /// Whether the socket has brought anything, be it too little to be taken.
    heard: bool,
    /// Among the half-open handshakes.
    place: Option<HalfOpen>,
    counters: LinkCounters,
    /// What of its counters is in those of all links.
    told: Drops,
}

/// What a link has dropped, in the order of [`REASONS`].
type Drops = [u64; REASONS.len()];

impl LinkPart {
    /// A link that was dialled, to that router.
    pub(crate) fn dialled(
        to: RouterHash,
        id: LinkId,
        connection: Connection,
        env: &LinkEnv,
    ) -> Self {
        Self::new(id, connection, Peer::Dialled(to), None, env)
    }

    /// A link that came in.
    pub(crate) fn accepted(
        place: HalfOpen,
        id: LinkId,
        connection: Connection,
        env: &LinkEnv,
    ) -> Self {
        Self::new(id, connection, Peer::Unknown, Some(place), env)
    }

    fn new(
        id: LinkId,
        connection: Connection,
        peer: Peer,
        place: Option<HalfOpen>,
        env: &LinkEnv,
    ) -> Self {
        Self {
            id,
            connection,
            inbox: Inbox::new(INBOX),
            commands: Vec::new(),
            core: env.core.with_share(LINK_SHARE),
            relays: env.relays.for_link(),
            env: env.clone(),
            to_core: VecDeque::new(),
            incoming: place.is_some(),
            heard: false,
            peer,
            place,
            counters: LinkCounters::default(),
            told: Drops::default(),
        }
    }

    /// Which link it is.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Takes bytes of the socket; what is left in `input` waits for more.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Now) {
        self.heard |= !input.is_empty();
        self.connection.handle_input(input, now);
        self.collect(now);
    }

    /// The socket ended, or no connection came about.
    pub fn handle_end(&mut self, now: Now) {
        self.connection.handle_end(now);
        self.collect(now);
    }

    /// Moves messages both ways, within bounds; returns when it wants to be called again.
    pub fn step(&mut self, now: Now) -> Option<Instant> {
        self.connection.handle_timeout(now);
        let mut commands = std::mem::take(&mut self.commands);
        self.inbox.take(INBOX, &mut commands);
        for command in commands.drain(..) {
            self.obey(command);
        }
        self.commands = commands;
        if let Peer::Up(_, Some(handle)) = &self.peer
            && !self.connection.is_closed()
        {
            let connection = &mut self.connection;
            if has_room(connection) {
                handle.drain(self.id, now.instant, |message, priority| {
                    // There was room; what is refused nevertheless is too long for any frame.
                    let _ = connection.send(message, priority);
                    has_room(connection)
                });
            }
        }
        self.collect(now);
        if !self.to_core.is_empty() {
            return Some(now.instant + RETRY);
        }
        self.connection.poll_timeout()
    }

    /// Appends what is to be written; says whether that was anything.
    pub fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        self.connection.poll_transmit(now, out)
    }

    /// Leaves the waker of the scheduler; says whether there is something to do already.
    pub fn register(&self, waker: &Waker) -> bool {
        let mut ready = self.inbox.register(waker);
        if let Peer::Up(_, Some(handle)) = &self.peer
            && has_room(&self.connection)
        {
            ready |= handle.register(self.id, waker);
        }
        ready
    }

    /// Says whether it is over and all is written and told.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed() && self.to_core.is_empty()
    }

    /// Says whether it came in and its handshake is not done.
    pub fn is_half_open(&self) -> bool {
        matches!(self.peer, Peer::Unknown)
    }

    /// What it counted.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    fn obey(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Attach(handle) => {
                if let Peer::Up(_, place) = &mut self.peer {
                    *place = Some(handle);
                }
            }
            LinkCommand::RouterInfo { info, flood } => {
                self.connection.send_router_info(info, flood);
            }
            LinkCommand::Close(reason) => self.connection.close(reason),
        }
    }

    /// Takes the events of the connection to those whom they concern.
    fn collect(&mut self, now: Now) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::EphemeralKey { encrypted } => {
                    let fresh = self.env.admission().check_key(&encrypted, now.instant);
                    self.connection.admit(fresh.is_ok(), now);
                }
                Event::Established { peer, skew_ms, .. } => {
                    self.give_place_back();
                    self.peer = Peer::Up(peer.hash(), None);
                    self.to_core.push_back(CoreMessage::LinkUp {
                        link: self.id,
                        incoming: self.incoming,
                        peer,
                        skew_ms,
                        commands: self.inbox.sender(INBOX),
                    });
                }
                Event::Message(message) => self.message(message),
                Event::RouterInfo { info, flood } => {
                    if let Peer::Up(from, _) = self.peer {
                        self.tell(CoreMessage::RouterInfo { from, info, flood });
                    }
                }
                Event::Closed { why } => {
                    let (peer, up) = match &self.peer {
                        Peer::Unknown => (None, false),
                        Peer::Dialled(router) => (Some(*router), false),
                        Peer::Up(router, _) => (Some(*router), true),
                    };
                    let failure = (!up).then(|| self.failure(&why));
                    self.to_core.push_back(CoreMessage::LinkDown {
                        link: self.id,
                        incoming: self.incoming,
                        peer,
                        why,
                        failure,
                    });
                }
            }
        }
        if self.connection.is_closed() {
            // A handshake that failed is read on for a while, and its socket is there so long.
            self.give_place_back();
        }
        self.relays.flush(&mut self.counters.relay_full);
        self.tell_drops();
        self.core.post_all(&mut self.to_core);
        if self.core.is_closed() {
            // Nobody is left to be told.
            self.to_core.clear();
        }
    }

    fn failure(&self, why: &CloseReason) -> HandshakeFailure {
        let began = if self.incoming {
            self.heard
        } else {
            self.connection.stats().sent_bytes > 0
        };
        HandshakeFailure::of(why, self.incoming, began)
    }

    /// Adds what was dropped since the last time to what all links have.
    fn tell_drops(&mut self) {
        let stats = self.connection.stats();
        let drops: Drops = [
            self.counters.relay_full,
            self.counters.core_full,
            self.counters.malformed,
            stats.dropped_expired,
            stats.dropped_closed,
            stats.dropped_router_infos_invalid,
            stats.dropped_router_infos_rate,
        ];
        if drops == self.told {
            return;
        }
        for ((reason, new), old) in REASONS.into_iter().zip(drops).zip(self.told) {
            self.env.drops.add(reason, new.saturating_sub(old));
        }
        self.told = drops;
    }

    fn give_place_back(&mut self) {
        if let Some(place) = self.place.take() {
            self.env.admission().close(place);
        }
    }

    fn message(&mut self, message: LinkMessage) {
        let Peer::Up(from, _) = self.peer else {
            return;
        };
        let malformed = &mut self.counters.malformed;
        if let Some(message) = RelayMessage::of(from, message, &mut self.relays, malformed) {
            self.tell(CoreMessage::FromPeer { from, message });
        }
    }

    /// News of the link itself is always kept; what the peer says only as long as there is room.
    fn tell(&mut self, message: CoreMessage) {
        if self.to_core.len() < BACKLOG {
            self.to_core.push_back(message);
        } else {
            self.counters.core_full += 1;
        }
    }
}

impl Drop for LinkPart {
    fn drop(&mut self) {
        self.give_place_back();
    }
}

/// Says whether any message would be taken: what has left the queue towards a router cannot go back
/// there.
fn has_room(connection: &Connection) -> bool {
    let room = connection.queue_room(Priority::Transit);
    room.bytes >= LinkMessage::MAX_BODY + LinkMessage::OVERHEAD && room.messages > 0
}

#[cfg(test)]
impl LinkPart {
    pub(crate) fn refused(&self) -> u64 {
        self.connection.stats().refused_full
    }
}
