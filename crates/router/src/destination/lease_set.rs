//! The own LeaseSet: made of the inbound tunnels, published to the closest floodfills (Network
//! Database, LeaseSet storage to floodfills).

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_wire::i2np::{DatabaseStore, StoreEntry, StoreReply};
use ramson_wire::lease_set::{EncryptionKey, LeaseSetFlags};
use ramson_wire::{
    I2npMessage, Instant, Lease, LeaseSet2Builder, Mapping, MessageType, StoredLeaseSet, TunnelId,
    UnixTime, Verified,
};

use super::{DestinationEvent, DestinationPart, Floodfill};
use crate::core::CoreMessage;

/// For how long others are waited for once the first inbound tunnel stands.
const GATHER: Duration = Duration::from_millis(300);
/// How long a floodfill may take to confirm.
const CONFIRM: Duration = Duration::from_secs(3);
/// Floodfills that are tried before there is a pause.
const MAX_TRIES: usize = 6;
/// The pause.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a floodfill's name may take.
const NAMES: Duration = Duration::from_secs(2);

/// Where the publishing stands.
#[derive(Debug)]
enum State {
    /// Nothing to publish, or it is published.
    Rest,
    /// Until then for more tunnels.
    Gather(Instant),
    /// For the names of floodfills.
    Named(Instant),
    /// For the confirmation of one of them.
    Stored { token: NonZeroU32, until: Instant },
}

/// The own LeaseSet and who has it.
#[derive(Debug)]
pub(super) struct Publisher {
    wanted: usize,
    state: State,
    lease_set: Option<Verified<StoredLeaseSet>>,
    /// The tunnels that are in it.
    tunnels: Vec<TunnelId>,
    floodfills: VecDeque<Floodfill>,
    tried: usize,
    not_before: Instant,
}

impl Publisher {
    /// `wanted` is how many tunnels there are to be.
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            state: State::Rest,
            lease_set: None,
            tunnels: Vec::new(),
            floodfills: VecDeque::new(),
            tried: 0,
            not_before: Instant::ZERO,
        }
    }
}

impl DestinationPart {
    /// The LeaseSet of now, if there is one.
    pub fn lease_set(&self) -> Option<&Verified<StoredLeaseSet>> {
        self.publisher.lease_set.as_ref()
    }

    /// Publishes if the tunnels are others now, and goes on where it is due.
    pub(super) fn publish(&mut self, now: Now) {
        match self.publisher.state {
            State::Rest => {
                if self.publisher.not_before <= now.instant && self.has_changed(now) {
                    self.publisher.state = State::Gather(now.instant + GATHER);
                    self.publish(now);
                }
            }
            State::Gather(until) => {
                let leases = self.tunnels.leases(now.instant).len();
                let [_, outbound] = self.tunnels.counts();
                let enough = leases >= self.publisher.wanted || until <= now.instant;
                if leases == 0 {
                    self.publisher.state = State::Rest;
                } else if enough && outbound > 0 && self.make_lease_set(now) {
                    self.publisher.tried = 0;
                    self.ask_names(now);
                }
            }
            State::Named(until) => {
                if until <= now.instant {
                    self.ask_names(now);
                }
            }
            State::Stored { until, .. } => {
                if until <= now.instant {
                    self.publish_next(now);
                }
            }
        }
    }

    /// Says whether the tunnels are others than those of the LeaseSet.
    fn has_changed(&self, now: Now) -> bool {
        let leases = self.tunnels.leases(now.instant);
        let new = |it: &&super::NewInbound| !self.publisher.tunnels.contains(&it.receive);
        leases.iter().any(new)
    }

    fn make_lease_set(&mut self, now: Now) -> bool {
        let before = self.publisher.lease_set.as_ref();
        let published = UnixTime::from_secs(u32::try_from(now.unix.as_secs()).unwrap_or(u32::MAX));
        if before.is_some_and(|before| before.published() >= published) {
            // It would not count as newer: in the next second.
            return false;
        }
        let leases = self.tunnels.leases(now.instant);
        let tunnels = leases.iter().map(|it| it.receive).collect();
        let leases: Vec<Lease> = leases
            .iter()
            .take(StoredLeaseSet::MAX_LEASES)
            .map(|it| Lease {
                gateway: it.gateway,
                tunnel: it.gateway_tunnel,
                ends: now.unix + it.expires.saturating_since(now.instant),
            })
            .collect();
        let last = leases.iter().map(|it| it.ends).max();
        let lifetime = last.map_or(Duration::ZERO, |last| last.saturating_since(published));
        let builder = LeaseSet2Builder {
            destination: self.keys.destination.clone(),
            published,
            lifetime_s: u16::try_from(lifetime.as_secs()).unwrap_or(u16::MAX),
            flags: LeaseSetFlags::default(),
            offline: None,
            options: Mapping::default(),
            keys: vec![EncryptionKey::x25519(&self.keys.encryption.public())],
            leases,
        };
        match builder.sign(&self.keys.signing) {
            Ok(lease_set) => {
                self.bundle(&lease_set, now);
                self.publisher.lease_set = Some(lease_set);
                self.publisher.tunnels = tunnels;
                true
            }
            Err(error) => {
                tracing::error!(%error, "cannot sign a LeaseSet");
                self.publisher.not_before = now.instant + PAUSE;
                self.publisher.state = State::Rest;
                false
            }
        }
    }

    /// The LeaseSet goes along with messages to those who may not have it.
    fn bundle(&mut self, lease_set: &StoredLeaseSet, now: Now) {
        let store = DatabaseStore {
            key: lease_set.key(),
            reply: None,
            entry: StoreEntry::LeaseSet(lease_set.kind(), lease_set.as_bytes()),
        };
        let mut body = BytesMut::new();
        if store.encode(&mut body).is_ok() {
            let expires = lease_set.expires();
            let (kind, id) = (MessageType::DatabaseStore, self.random.u32());
            let _ = now;
            let message = I2npMessage::new(kind, id, expires, body.freeze());
            self.sessions.set_lease_set(message.ok());
        }
    }

    fn ask_names(&mut self, now: Now) {
        let question = CoreMessage::Floodfills {
            key: self.keys.destination.hash().0,
            id: self.id,
        };
        // Without room it is asked again.
        let _ = self.core.post(question);
        self.publisher.state = State::Named(now.instant + NAMES);
    }

    /// The floodfills to publish to are known.
    pub(super) fn publish_to(&mut self, floodfills: Vec<Floodfill>, now: Now) {
        if matches!(self.publisher.state, State::Named(_)) {
            self.publisher.floodfills = floodfills.into();
            self.publish_next(now);
        }
    }

    fn publish_next(&mut self, now: Now) {
        let next = self.publisher.floodfills.pop_front();
        let reply = self.tunnels.reply_to(now.instant);
        let (Some(floodfill), Some((gateway, tunnel))) = (next, reply) else {
            self.pause_publishing(now);
            return;
        };
        if self.publisher.tried >= MAX_TRIES {
            self.pause_publishing(now);
            return;
        }
        self.publisher.tried += 1;
        let Some(lease_set) = self.publisher.lease_set.clone() else {
            return;
        };
        let token = NonZeroU32::new(self.random.u32()).unwrap_or(NonZeroU32::MIN);
        let store = DatabaseStore {
            key: lease_set.key(),
            reply: Some(StoreReply {
                token,
                tunnel: Some(tunnel),
                gateway,
            }),
            entry: StoreEntry::LeaseSet(lease_set.kind(), lease_set.as_bytes()),
        };
        let mut body = BytesMut::new();
        if store.encode(&mut body).is_err() {
            return;
        }
        let until = now.instant + CONFIRM;
        self.publisher.state = State::Stored { token, until };
        if let Some(message) = self.message(MessageType::DatabaseStore, body.freeze(), now) {
            self.send_sealed(floodfill, &message, now);
        }
    }

    fn pause_publishing(&mut self, now: Now) {
        self.publisher.state = State::Rest;
        self.publisher.tunnels.clear();
        self.publisher.not_before = now.instant + PAUSE;
    }

    /// Somebody confirms something.
    pub(super) fn confirmed(&mut self, id: u32, now: Now) {
        let stored = match self.publisher.state {
            State::Stored { token, .. } => token.get() == id,
            _ => false,
        };
        if stored {
            self.publisher.state = State::Rest;
            let _ = self.owner.post(DestinationEvent::Published);
            self.publish(now);
        } else if !self.came_around(id, now) {
            self.drops.unexpected += 1;
        }
    }
}
