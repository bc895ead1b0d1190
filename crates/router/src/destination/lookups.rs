//! Look-ups of other Destinations' LeaseSets, through our own tunnels (Network Database, iterative
//! look-ups).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_wire::i2np::{DatabaseLookup, DatabaseSearchReply, LookupKind, ReplyEncryption};
use ramson_wire::{DestinationHash, Instant, MessageType, StoredLeaseSet, UnixTime, Verified};
use zeroize::Zeroizing;

use super::{DestinationPart, Floodfill, LeaseSetLookup};
use crate::asked::Asked;
use crate::core::CoreMessage;
use crate::inbox::Sender;

/// Look-ups at once.
const MAX_LOOKUPS: usize = 128;
/// How many wait for one at most.
const MAX_WAITING: usize = 256;
/// LeaseSets that are remembered.
pub(super) const MAX_CACHED: usize = 512;
/// How long one floodfill may take before the next is asked.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a look-up may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// A LeaseSet that ends so soon is looked up anew.
const FRESH: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Lookup {
    waiting: Vec<Sender<LeaseSetLookup>>,
    started: Instant,
    /// The closest first.
    floodfills: Vec<Floodfill>,
    asked: Asked,
    next_at: Instant,
}

/// The look-ups under way and what they found.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    pending: BTreeMap<[u8; 32], Lookup>,
    cache: BTreeMap<[u8; 32], Verified<StoredLeaseSet>>,
}

impl Lookups {
    pub(super) fn waits_for(&self, key: &[u8; 32]) -> bool {
        self.pending.contains_key(key)
    }

    /// The LeaseSet of that hash, if it is known and of use.
    pub(super) fn cached(
        &self,
        key: &[u8; 32],
        now: UnixTime,
    ) -> Option<&Verified<StoredLeaseSet>> {
        self.cache.get(key).filter(|it| it.expires() > now)
    }

    fn remember(&mut self, lease_set: Verified<StoredLeaseSet>) {
        let key = lease_set.key();
        if self.cache.len() >= MAX_CACHED && !self.cache.contains_key(&key) {
            let oldest = self.cache.iter().min_by_key(|(_, it)| it.expires());
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.cache.remove(&oldest);
            }
        }
        self.cache.insert(key, lease_set);
    }
}

impl Lookup {
    fn tell(self, key: [u8; 32], found: Option<&Verified<StoredLeaseSet>>) {
        for reply in self.waiting {
            // Whoever has no room for the outcome does not learn it.
            let found = found.cloned();
            let _ = reply.post(LeaseSetLookup { key, found });
        }
    }
}

impl DestinationPart {
    /// Somebody wants a LeaseSet.
    pub(super) fn look_up(&mut self, key: [u8; 32], reply: Sender<LeaseSetLookup>, now: Now) {
        let own = self.lease_set().filter(|it| it.key() == key);
        let cached = own.or_else(|| self.lookups.cache.get(&key));
        if let Some(found) = cached.filter(|it| it.expires() > now.unix + FRESH) {
            let found = Some(found.clone());
            let _ = reply.post(LeaseSetLookup { key, found });
            return;
        }
        self.find(key, Some(reply), now);
    }

    /// Looks for a LeaseSet that is not known.
    pub(super) fn find(&mut self, key: [u8; 32], reply: Option<Sender<LeaseSetLookup>>, now: Now) {
        let full = self.lookups.pending.len() >= MAX_LOOKUPS;
        let refuse = |reply: Option<Sender<LeaseSetLookup>>| {
            if let Some(reply) = reply {
                let _ = reply.post(LeaseSetLookup { key, found: None });
            }
        };
        if let Some(lookup) = self.lookups.pending.get_mut(&key) {
            if lookup.waiting.len() < MAX_WAITING {
                lookup.waiting.extend(reply);
            } else {
                refuse(reply);
            }
            return;
        }
        if full {
            refuse(reply);
            self.is_unknown(DestinationHash(key), now);
            return;
        }
        let lookup = Lookup {
            waiting: reply.into_iter().collect(),
            started: now.instant,
            floodfills: Vec::new(),
            asked: Asked::default(),
            next_at: now.instant + PATIENCE,
        };
        self.lookups.pending.insert(key, lookup);
        self.ask_floodfills(key);
    }

    fn ask_floodfills(&self, key: [u8; 32]) {
        // Without room it is asked again.
        let id = self.id;
        let _ = self.core.post(CoreMessage::Floodfills { key, id });
    }

    /// The floodfills to ask are known.
    pub(super) fn ask(&mut self, key: [u8; 32], floodfills: Vec<Floodfill>, now: Now) {
        if let Some(lookup) = self.lookups.pending.get_mut(&key) {
            let first = lookup.floodfills.is_empty();
            lookup.floodfills = floodfills;
            if first {
                self.ask_next(key, now);
            }
        }
    }

    /// Asks the next where one is due.
    pub(super) fn ask_on(&mut self, now: Now) {
        let due = self.lookups.pending.iter();
        let due = due.filter(|(_, it)| it.next_at <= now.instant);
        let due: Vec<[u8; 32]> = due.map(|(key, _)| *key).collect();
        for key in due {
            self.ask_next(key, now);
        }
        let fresh = |it: &Verified<StoredLeaseSet>| it.expires() > now.unix;
        self.lookups.cache.retain(|_, it| fresh(it));
    }

    fn ask_next(&mut self, key: [u8; 32], now: Now) {
        let Some(lookup) = self.lookups.pending.get_mut(&key) else {
            return;
        };
        let late = now.instant.saturating_since(lookup.started) > DEADLINE;
        let asked = &lookup.asked;
        let mut floodfills = lookup.floodfills.iter();
        let new = floodfills.find(|it| asked.has_room() && !asked.was_asked(&it.router));
        let again = || lookup.floodfills.iter().find(|it| asked.again(&it.router));
        let next = new.or_else(again).copied();
        if late || (next.is_none() && !lookup.floodfills.is_empty()) {
            if let Some(lookup) = self.lookups.pending.remove(&key) {
                lookup.tell(key, None);
            }
            self.is_unknown(DestinationHash(key), now);
            return;
        }
        lookup.next_at = now.instant + PATIENCE;
        let Some(floodfill) = next else {
            // Nobody is known yet.
            self.ask_floodfills(key);
            return;
        };
        let Some((gateway, tunnel)) = self.tunnels.reply_to(now.instant) else {
            return;
        };
        let answer = self.answers.expect(&mut self.random, now.instant);
        let question = DatabaseLookup {
            key,
            from: gateway,
            kind: LookupKind::LeaseSet,
            tunnel: Some(tunnel),
            excluded: Vec::new(),
            encryption: Some(ReplyEncryption::Ratchet {
                key: Zeroizing::new(answer.key),
                tag: answer.tag,
            }),
        };
        let mut body = BytesMut::new();
        if question.encode(&mut body).is_err() {
            return;
        }
        let message = self.message(MessageType::DatabaseLookup, body.freeze(), now);
        let sent = message.is_some_and(|message| self.send_sealed(floodfill, &message, now));
        if sent && let Some(lookup) = self.lookups.pending.get_mut(&key) {
            lookup.asked.ask(floodfill.router);
        }
    }

    /// A floodfill does not have it.
    pub(super) fn not_known(&mut self, reply: &DatabaseSearchReply, now: Now) {
        let Some(lookup) = self.lookups.pending.get_mut(&reply.key) else {
            self.drops.unexpected += 1;
            return;
        };
        if lookup.asked.answered(reply.from) {
            // Nearer ones that it names become known meanwhile.
            let named = reply.peers.iter().take(4).copied().collect();
            let _ = self.core.post(CoreMessage::Named(named));
            self.ask_floodfills(reply.key);
            self.ask_next(reply.key, now);
        }
    }

    /// A LeaseSet came.
    pub(super) fn found(&mut self, lease_set: Verified<StoredLeaseSet>, now: Now) {
        let key = lease_set.key();
        if let Some(lookup) = self.lookups.pending.remove(&key) {
            lookup.tell(key, Some(&lease_set));
        }
        self.lookups.remember(lease_set.clone());
        self.is_known(&lease_set, now);
    }
}
