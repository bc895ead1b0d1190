//! A local Destination: its tunnels, its LeaseSet, its look-ups.
//!
//! `Core` builds the tunnels and names floodfills; everything that the Destination says goes out
//! through its own tunnels, and everything for it comes in through them, from the relays.

mod checks;
mod datagrams;
mod exchange;
mod lease_set;
mod lookups;
mod messages;
mod pipe;
mod streams;
mod tunnels;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ramson_crypto::{Random, SigningKey, x25519};
use ramson_proto::Now;
use ramson_proto::garlic::ratchet::{Limits, Sessions};
use ramson_proto::streaming::{
    Connections, ConnectionsConfig, Identity, IdentityError, Ports, StreamId, Transmit,
};
use ramson_wire::i2np::{DatabaseSearchReply, DatabaseStore, DeliveryStatus, Garlic, StoreEntry};
use ramson_wire::{
    CloveDelivery, Destination, DestinationHash, I2npMessage, Instant, MessageType, PrivateKeys,
    SigningKeyType, StoredLeaseSet,
};

use self::checks::Checks;
pub use self::datagrams::{DatagramKind, OutgoingDatagram, ReceivedDatagram};
use self::exchange::{Peers, soonest};
use self::lease_set::Publisher;
use self::lookups::Lookups;
pub use self::messages::{DestinationEvent, DestinationId, LeaseSetLookup};
pub(crate) use self::messages::{DestinationMessage, Floodfill, NewInbound, NewOutbound};
pub use self::pipe::StreamPipe;
use self::streams::Open;
pub use self::streams::{ConnectError, Connected};
use self::tunnels::Tunnels;
use crate::answers::Answers;
use crate::config::PoolSettings;
use crate::core::CoreMessage;
use crate::inbox::{Inbox, Sender};

/// Places of the inbox.
const INBOX: usize = 8192;
/// Places for what its owner tells it.
const OWNER_SHARE: usize = 1024;
/// Messages of one step.
const BATCH: usize = 64;
/// How often what is due is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How soon it is tried again when queues are full.
const RETRY: Duration = Duration::from_millis(2);
/// How long what we say is good for.
const MESSAGE_TTL: Duration = Duration::from_secs(20);

/// The keys of a Destination.
#[derive(Clone)]
pub struct DestinationKeys {
    /// Signs LeaseSets; that of the Destination.
    pub signing: SigningKey,
    /// Others encrypt to its public key, which is in the LeaseSet.
    pub encryption: x25519::PrivateKey,
    /// What is known to others.
    pub destination: Destination,
}

/// Why private keys make no [`DestinationKeys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationKeysError {
    /// LeaseSets are signed with Ed25519 alone.
    #[error("a Destination of signature type {0} cannot be used: this router signs with Ed25519")]
    SignatureType(SigningKeyType),
    /// The signing key is not that of the Destination.
    #[error("the signing key is not that of the Destination")]
    Mismatch,
}

impl DestinationKeys {
    /// Takes the keys of a Destination; those that others encrypt to are drawn anew.
    ///
    /// # Errors
    ///
    /// See [`DestinationKeysError`].
    pub fn new(keys: &PrivateKeys, random: &mut Random) -> Result<Self, DestinationKeysError> {
        let destination = keys.destination().clone();
        let kind = destination.signing_key_type();
        let seed = keys.signing_private_key().first_chunk();
        let (SigningKeyType::Ed25519, Some(seed)) = (kind, seed) else {
            return Err(DestinationKeysError::SignatureType(kind));
        };
        let signing = SigningKey::from_seed(seed);
        if destination.signing_public_key().as_deref() != Some(&signing.public()) {
            return Err(DestinationKeysError::Mismatch);
        }
        Ok(Self {
            signing,
            encryption: x25519::PrivateKey::generate(random),
            destination,
        })
    }
}

impl fmt::Debug for DestinationKeys {
    /// Writes no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationKeys").finish_non_exhaustive()
    }
}

/// What came to nothing, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestinationDrops {
    /// No message of the network, or not one that could be read.
    pub malformed: u64,
    /// Its time was over.
    pub expired: u64,
    /// Of a kind that is of no use to a Destination.
    pub unknown_type: u64,
    /// An answer to nothing that was asked.
    pub unexpected: u64,
    /// Encrypted, and not for us.
    pub garlic: u64,
    /// An entry that is not what it says.
    pub entry: u64,
    /// The queue towards the first hop was full, or there was no tunnel.
    pub outbound: u64,
    /// For a Destination without a LeaseSet of use.
    pub unreachable: u64,
    /// For a Destination whose session takes no more at the moment.
    pub unsealed: u64,
    /// Datagrams for whoever was behind with reading.
    pub unread: u64,
}

/// What others do with a local Destination. Clones are the same.
#[derive(Debug, Clone)]
pub struct DestinationHandle(Sender<DestinationMessage>);

impl DestinationHandle {
    /// Asks for the LeaseSet of the Destination with this hash; what came of it is posted to
    /// `reply`. Says whether there was room for the question.
    pub fn look_up(&self, key: [u8; 32], reply: Sender<LeaseSetLookup>) -> bool {
        let question = DestinationMessage::LookUp { key, reply };
        self.0.post(question).is_ok()
    }

    /// Opens a stream; what comes of it is posted to `reply`. Says whether there was room for the
    /// wish.
    pub fn connect(&self, to: DestinationHash, ports: Ports, reply: Sender<Connected>) -> bool {
        let wish = DestinationMessage::Connect { to, ports, reply };
        self.0.post(wish).is_ok()
    }

    /// Has streams to a port posted to `to`; 0 is all ports that nobody listens on.
    pub fn listen(&self, port: u16, to: Sender<StreamPipe>) -> bool {
        self.0.post(DestinationMessage::Listen { port, to }).is_ok()
    }

    /// Has datagrams of a kind to a port posted to `to`; 0 is all ports that nobody has.
    pub fn receive_datagrams(
        &self,
        kind: DatagramKind,
        port: u16,
        to: Sender<ReceivedDatagram>,
    ) -> bool {
        let wish = DestinationMessage::ReceiveDatagrams { kind, port, to };
        self.0.post(wish).is_ok()
    }

    /// Sends a datagram, as far as there is room.
    pub fn send_datagram(&self, datagram: OutgoingDatagram) -> bool {
        let datagram = Box::new(datagram);
        self.0
            .post(DestinationMessage::SendDatagram(datagram))
            .is_ok()
    }

    /// Refuses streams to a port again.
    pub fn unlisten(&self, port: u16) -> bool {
        self.0.post(DestinationMessage::Unlisten { port }).is_ok()
    }

    /// Ends it.
    pub fn close(&self) -> bool {
        self.0.post(DestinationMessage::Close).is_ok()
    }
}

/// One local Destination.
#[derive(Debug)]
pub struct DestinationPart {
    id: DestinationId,
    keys: DestinationKeys,
    random: Random,
    inbox: Inbox<DestinationMessage>,
    batch: Vec<DestinationMessage>,
    core: Sender<CoreMessage>,
    owner: Sender<DestinationEvent>,
    tunnels: Tunnels,
    publisher: Publisher,
    lookups: Lookups,
    checks: Checks,
    answers: Answers,
    sessions: Sessions,
    connections: Connections,
    open: BTreeMap<StreamId, Open>,
    kept: Vec<Transmit>,
    receivers: BTreeMap<(DatagramKind, u16), Sender<ReceivedDatagram>>,
    listeners: BTreeMap<u16, Sender<StreamPipe>>,
    peers: Peers,
    drops: DestinationDrops,
    ticked: Instant,
    closed: bool,
}

impl DestinationPart {
    pub(crate) fn new(
        id: DestinationId,
        keys: DestinationKeys,
        pools: [PoolSettings; 2],
        core: Sender<CoreMessage>,
        owner: Sender<DestinationEvent>,
        mut random: Random,
        now: Now,
    ) -> Result<Self, IdentityError> {
        let identity = Identity::new(keys.destination.clone(), keys.signing.clone())?;
        let connections = Connections::new(
            Arc::new(identity),
            ConnectionsConfig::default(),
            random.fork("streams"),
            now.instant,
        );
        let sessions = Sessions::new(
            keys.encryption.clone(),
            Limits::default(),
            random.fork("sessions"),
        );
        let inbox = Inbox::new(INBOX);
        let to = inbox.sender(INBOX);
        let [inbound, _] = pools;
        // `Core` has room for it, or is gone.
        let asked = core.post(CoreMessage::OpenPool { id, pools, to });
        Ok(Self {
            id,
            keys,
            random,
            inbox,
            batch: Vec::new(),
            core,
            owner,
            tunnels: Tunnels::default(),
            publisher: Publisher::new(inbound.bounded().total()),
            lookups: Lookups::default(),
            checks: Checks::default(),
            answers: Answers::default(),
            sessions,
            connections,
            open: BTreeMap::new(),
            kept: Vec::new(),
            receivers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            peers: Peers::default(),
            drops: DestinationDrops::default(),
            ticked: Instant::ZERO,
            closed: asked.is_err(),
        })
    }

    /// Which one it is.
    pub fn id(&self) -> DestinationId {
        self.id
    }

    /// What was dropped.
    pub fn drops(&self) -> DestinationDrops {
        self.drops
    }

    /// What others do with it.
    pub(crate) fn handle(&self) -> DestinationHandle {
        DestinationHandle(self.inbox.sender(OWNER_SHARE))
    }

    /// Leaves the waker of the scheduler; says whether there is something to do already.
    pub fn register(&self, waker: &Waker) -> bool {
        self.inbox.register(waker)
    }

    /// Says whether it is over.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Handles a batch and what is due; returns when it wants to be called again.
    pub fn step(&mut self, now: Now) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let more = self.inbox.take(BATCH, &mut batch);
        for message in batch.drain(..) {
            self.take(message, now);
        }
        self.batch = batch;
        if now.instant.saturating_since(self.ticked) >= TICK || self.ticked == Instant::ZERO {
            self.ticked = now.instant;
            self.tick(now);
        }
        let timers = [
            self.connections.poll_timeout(),
            self.sessions.poll_timeout(),
        ];
        let [streams, sessions] = timers.map(|at| at.is_some_and(|at| at <= now.instant));
        if streams {
            self.connections.handle_timeout(now.instant);
        }
        if sessions {
            self.sessions.handle_timeout(now);
        }
        self.stream_events(now);
        let waits = self.send_packets(now);
        self.session_messages(now);
        if more {
            return Some(now.instant);
        }
        soonest([
            Some(self.ticked + TICK),
            waits.then(|| now.instant + RETRY),
            self.connections.poll_timeout(),
            self.sessions.poll_timeout(),
        ])
    }

    fn take(&mut self, message: DestinationMessage, now: Now) {
        match message {
            DestinationMessage::Inbound(tunnel) => {
                self.tunnels.add_inbound(tunnel);
                self.tell_tunnels();
                self.publish(now);
            }
            DestinationMessage::Outbound(tunnel) => {
                self.tunnels.add_outbound(tunnel);
                self.tell_tunnels();
                self.publish(now);
            }
            DestinationMessage::FromTunnel { message } => self.out_of_tunnel(&message, now),
            DestinationMessage::Floodfills { key, found } => {
                if key == self.keys.destination.hash().0 {
                    self.publish_to(found, now);
                } else {
                    self.ask(key, found, now);
                }
            }
            DestinationMessage::LookUp { key, reply } => self.look_up(key, reply, now),
            DestinationMessage::Connect { to, ports, reply } => self.connect(to, ports, reply, now),
            DestinationMessage::Listen { port, to } => self.listen(port, to),
            DestinationMessage::Unlisten { port } => self.unlisten(port, now),
            DestinationMessage::ReceiveDatagrams { kind, port, to } => {
                self.receive_datagrams(kind, port, to);
            }
            DestinationMessage::SendDatagram(datagram) => self.send_datagram(&datagram, now),
            DestinationMessage::Touched(id) => self.serve(id, now),
            DestinationMessage::Close => self.close(),
        }
    }

    fn tick(&mut self, now: Now) {
        if self.tunnels.expire(now.instant) {
            self.tell_tunnels();
        }
        self.check_tunnels(now);
        self.publish(now);
        self.ask_on(now);
        self.serve_all(now);
        self.sessions.make_keys_ahead();
    }

    fn close(&mut self) {
        self.closed = true;
        // When `Core` is gone, so are the tunnels.
        let _ = self.core.post(CoreMessage::ClosePool(self.id));
        let _ = self.owner.post(DestinationEvent::Closed);
    }

    fn tell_tunnels(&self) {
        let [inbound, outbound] = self.tunnels.counts();
        // Whoever does not take them learns the next.
        let _ = self
            .owner
            .post(DestinationEvent::Tunnels { inbound, outbound });
    }

    fn out_of_tunnel(&mut self, message: &Bytes, now: Now) {
        match I2npMessage::parse_long(message) {
            Ok(message) => self.receive(&message, true, now),
            Err(_) => self.drops.malformed += 1,
        }
    }

    /// A message for this Destination; `outer` if it may hold others.
    fn receive(&mut self, message: &I2npMessage, outer: bool, now: Now) {
        if message.expires() + Duration::from_secs(60) < now.unix {
            self.drops.expired += 1;
            return;
        }
        match message.kind() {
            MessageType::DeliveryStatus => match DeliveryStatus::parse(message.body()) {
                Ok(status) => self.confirmed(status.id, now),
                Err(_) => self.drops.malformed += 1,
            },
            MessageType::DatabaseStore => self.store(message, now),
            MessageType::DatabaseSearchReply => match DatabaseSearchReply::parse(message.body()) {
                Ok(reply) => self.not_known(&reply, now),
                Err(_) => self.drops.malformed += 1,
            },
            MessageType::Garlic if outer => self.garlic(message, now),
            _ => self.drops.unknown_type += 1,
        }
    }

    fn garlic(&mut self, message: &I2npMessage, now: Now) {
        let Ok(garlic) = Garlic::parse(message.body()) else {
            self.drops.malformed += 1;
            return;
        };
        let answer = match self.answers.open(garlic, now.instant) {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => {
                self.drops.garlic += 1;
                return;
            }
            None => {
                self.session_garlic(BytesMut::from(&message.body()[..]), now);
                return;
            }
        };
        for clove in answer.cloves {
            if clove.delivery == CloveDelivery::Local {
                self.receive(&clove.message, false, now);
            } else {
                self.drops.garlic += 1;
            }
        }
    }

    /// A LeaseSet, as the answer to a look-up.
    fn store(&mut self, message: &I2npMessage, now: Now) {
        let Ok(store) = DatabaseStore::parse(message.body()) else {
            self.drops.malformed += 1;
            return;
        };
        let StoreEntry::LeaseSet(kind, bytes) = store.entry else {
            self.drops.unknown_type += 1;
            return;
        };
        if !self.lookups.waits_for(&store.key) {
            self.drops.unexpected += 1;
            return;
        }
        let lease_set = StoredLeaseSet::parse(kind, bytes);
        let lease_set = lease_set.ok().filter(|it| it.key() == store.key);
        match lease_set.map(StoredLeaseSet::verify) {
            Some(Ok(lease_set)) if lease_set.expires() > now.unix => self.found(lease_set, now),
            _ => self.drops.entry += 1,
        }
    }

    /// A message of ours under a fresh id.
    fn message(
        &mut self,
        kind: MessageType,
        body: impl Into<Bytes>,
        now: Now,
    ) -> Option<I2npMessage> {
        let expires = now.unix + MESSAGE_TTL;
        I2npMessage::new(kind, self.random.u32(), expires, body).ok()
    }
}

#[cfg(test)]
mod tests;
