//! What goes to other Destinations and comes from them, encrypted in sessions
//! (ECIES-X25519-AEAD-Ratchet).

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use ramson_proto::Now;
use ramson_proto::garlic::ratchet::{Opened, Outgoing, PeerKey, SealError, Sender};
use ramson_proto::garlic::router::Clove;
use ramson_wire::i2np::{Data, DatabaseStore, DeliveryStatus, StoreEntry};
use ramson_wire::{
    CloveDelivery, DestinationHash, EncryptionKeyType, GarlicClove, Instant, Lease, MessageType,
    PayloadHeader, StoredLeaseSet, TunnelDelivery, Verified,
};

use super::DestinationPart;

/// The longest payload that is unpacked.
const MAX_PAYLOAD: usize = 64 * 1024;
/// Peers whose LeaseSets are waited for, and payloads that wait for each.
const MAX_WAITING_PEERS: usize = 256;
const MAX_WAITING: usize = 32;

/// A payload that waits for its receiver's LeaseSet.
#[derive(Debug)]
struct Waiting {
    header: PayloadHeader,
    data: Bytes,
    path: u32,
}

/// What is known of peers beside their LeaseSets.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Whose a static key is.
    by_key: BTreeMap<PeerKey, DestinationHash>,
    waiting: BTreeMap<DestinationHash, VecDeque<Waiting>>,
}

/// The key to encrypt to a Destination with.
fn key_of(lease_set: &StoredLeaseSet) -> Option<PeerKey> {
    let mut keys = lease_set.encryption_keys().iter();
    let key = keys.find(|key| key.kind == EncryptionKeyType::X25519)?;
    key.bytes.first_chunk().copied().map(PeerKey)
}

impl DestinationPart {
    /// Sends a payload to a Destination; looks for its LeaseSet first, if that is not known. `path`
    /// chooses among the ways there are. Says whether it is off the caller's hands: if not, its
    /// session takes nothing more at the moment.
    pub(super) fn send_payload(
        &mut self,
        to: DestinationHash,
        header: PayloadHeader,
        data: &[u8],
        path: u32,
        now: Now,
    ) -> bool {
        let Some(lease_set) = self.lookups.cached(&to.0, now.unix).cloned() else {
            self.wait_for(to, header, data, path, now);
            return true;
        };
        let (Some(key), Some(lease)) = (key_of(&lease_set), choose(&lease_set, path, now)) else {
            self.drops.unreachable += 1;
            return true;
        };
        let Ok(payload) = header.store(data) else {
            self.drops.unreachable += 1;
            return true;
        };
        let mut body = BytesMut::new();
        if Data(&payload).encode(&mut body).is_err() {
            return true;
        }
        let Some(message) = self.message(MessageType::Data, body.freeze(), now) else {
            return true;
        };
        let clove = GarlicClove {
            delivery: CloveDelivery::Destination(to),
            message: message.as_ref(),
        };
        let outgoing = Outgoing {
            cloves: &[clove],
            lease_set: true,
            ack: false,
        };
        match self.sessions.seal(&key, outgoing, now) {
            Ok(sealed) => {
                self.send_garlic(lease, sealed.body, path, now);
                true
            }
            Err(
                SealError::WindowFull | SealError::AwaitingReply { .. } | SealError::RepliesSpent,
            ) => false,
            Err(error) => {
                tracing::debug!(%error, "a message could not be encrypted");
                self.drops.unsealed += 1;
                true
            }
        }
    }

    fn send_garlic(&mut self, lease: Lease, body: Bytes, path: u32, now: Now) {
        let delivery = TunnelDelivery::Tunnel {
            gateway: lease.gateway,
            tunnel: lease.tunnel,
        };
        let Some(garlic) = self.message(MessageType::Garlic, body, now) else {
            return;
        };
        match self.tunnels.by_path(path, now.instant) {
            Some(tunnel) => {
                self.send_by(tunnel, delivery, &garlic, now);
            }
            None => self.drops.outbound += 1,
        }
    }

    fn wait_for(
        &mut self,
        to: DestinationHash,
        header: PayloadHeader,
        data: &[u8],
        path: u32,
        now: Now,
    ) {
        let peers = self.peers.waiting.len();
        let known = self.peers.waiting.contains_key(&to);
        if !known && peers >= MAX_WAITING_PEERS {
            self.drops.unreachable += 1;
            return;
        }
        let waiting = self.peers.waiting.entry(to).or_default();
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
            self.drops.unreachable += 1;
        }
        waiting.push_back(Waiting {
            header,
            data: Bytes::copy_from_slice(data),
            path,
        });
        self.find(to.0, None, now);
    }

    /// A LeaseSet is known: what waited for it goes.
    pub(super) fn is_known(&mut self, lease_set: &Verified<StoredLeaseSet>, now: Now) {
        let hash = DestinationHash(lease_set.key());
        if let Some(key) = key_of(lease_set) {
            let lookups = &self.lookups;
            if self.peers.by_key.len() >= 2 * super::lookups::MAX_CACHED {
                let known = |hash: &DestinationHash| lookups.cached(&hash.0, now.unix).is_some();
                self.peers.by_key.retain(|_, hash| known(hash));
            }
            self.peers.by_key.insert(key, hash);
        }
        for it in self.peers.waiting.remove(&hash).into_iter().flatten() {
            let sent = self.send_payload(hash, it.header, &it.data, it.path, now);
            self.drops.unsealed += u64::from(!sent);
        }
    }

    /// There is no LeaseSet.
    pub(super) fn is_unknown(&mut self, hash: DestinationHash, now: Now) {
        let waiting = self.peers.waiting.remove(&hash);
        self.drops.unreachable += waiting.map_or(0, |it| it.len() as u64);
        self.give_up_on(hash, now);
    }

    /// What sessions have to say of themselves.
    pub(super) fn session_messages(&mut self, now: Now) {
        while let Some(transmit) = self.sessions.poll_transmit() {
            let hash = self.peers.by_key.get(&transmit.peer);
            let lease_set = hash.and_then(|hash| self.lookups.cached(&hash.0, now.unix));
            let lease = lease_set.and_then(|it| choose(it, 0, now));
            match lease {
                Some(lease) => self.send_garlic(lease, transmit.body, 0, now),
                None => self.drops.unreachable += 1,
            }
        }
        while self.sessions.poll_event().is_some() {}
    }

    /// A message in a session.
    pub(super) fn session_garlic(&mut self, body: BytesMut, now: Now) {
        let opened = match self.sessions.open(body, now) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(%error, "a message could not be opened");
                self.drops.garlic += 1;
                return;
            }
        };
        let Opened { from, cloves, .. } = opened;
        let key = match from {
            Sender::Peer { key, .. } => Some(key),
            Sender::Unbound | Sender::Answer => None,
        };
        // Whose session it is, says the LeaseSet that goes along.
        for clove in &cloves {
            if clove.message.kind() == MessageType::DatabaseStore
                && let Some(key) = key
            {
                self.bundled(clove, key, now);
            }
        }
        let from = key.and_then(|key| self.peers.by_key.get(&key).copied());
        for clove in cloves {
            self.clove(&clove, from, now);
        }
    }

    /// A LeaseSet that came along: it counts only for whoever has its key.
    fn bundled(&mut self, clove: &Clove, key: PeerKey, now: Now) {
        let Ok(store) = DatabaseStore::parse(clove.message.body()) else {
            self.drops.malformed += 1;
            return;
        };
        let StoreEntry::LeaseSet(kind, bytes) = store.entry else {
            self.drops.unknown_type += 1;
            return;
        };
        let parsed = StoredLeaseSet::parse(kind, bytes).ok();
        let parsed = parsed.filter(|it| it.key() == store.key && key_of(it) == Some(key));
        let known = parsed.as_ref().and_then(|it| {
            let known = self.lookups.cached(&it.key(), now.unix)?;
            Some(known.published() >= it.published())
        });
        if known == Some(true) {
            return;
        }
        match parsed.map(StoredLeaseSet::verify) {
            Some(Ok(lease_set)) if lease_set.expires() > now.unix => self.found(lease_set, now),
            _ => self.drops.entry += 1,
        }
    }

    fn clove(&mut self, clove: &Clove, from: Option<DestinationHash>, now: Now) {
        let us = self.keys.destination.hash();
        let for_us = match clove.delivery {
            CloveDelivery::Local => true,
            CloveDelivery::Destination(hash) => hash == us,
            _ => false,
        };
        let message = &clove.message;
        if !for_us || message.expires() + std::time::Duration::from_secs(60) < now.unix {
            self.drops.expired += 1;
            return;
        }
        match message.kind() {
            MessageType::Data => {
                let data = Data::parse(message.body()).ok();
                let payload = data.and_then(|it| PayloadHeader::parse(it.0, MAX_PAYLOAD).ok());
                match payload {
                    Some((header, data)) if header.protocol == PayloadHeader::STREAMING => {
                        self.packet(header, data, from, now);
                    }
                    Some((header, data)) => self.datagram(header, data, from, now),
                    None => self.drops.malformed += 1,
                }
            }
            MessageType::DatabaseStore => {}
            MessageType::DeliveryStatus => match DeliveryStatus::parse(message.body()) {
                Ok(status) => self.confirmed(status.id, now),
                Err(_) => self.drops.malformed += 1,
            },
            _ => self.drops.unknown_type += 1,
        }
    }
}

/// One of the leases that last, by the number of the way.
fn choose(lease_set: &StoredLeaseSet, path: u32, now: Now) -> Option<Lease> {
    let lasting = || lease_set.leases().iter().filter(|it| it.ends > now.unix);
    let index = (path as usize).checked_rem(lasting().count())?;
    lasting().nth(index).copied()
}

/// When there is something to do next.
pub(super) fn soonest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}
