//! What others store with us and ask us (network database overview; I2NP, DatabaseStore and
//! DatabaseLookup).

use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::garlic::router::{self, GarlicKey};
use ramson_proto::garlic::seal_with_session_tag;
use ramson_wire::i2np::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, LookupKind,
    ReplyEncryption, StoreEntry, StoreReply,
};
use ramson_wire::{
    CloveDelivery, GarlicClove, I2npMessage, MessageType, RouterHash, RouterInfo, StoredLeaseSet,
    UnixTime, Verified,
};

use super::netdb::Stored;
use super::{Core, DropReason, Origin};

/// Floodfills that something new is passed on to.
const FLOOD_TO: usize = 3;
/// Floodfills of tomorrow's key that have it too, close to midnight.
const FLOOD_TO_TOMORROW: usize = 2;
/// So close to midnight, for RouterInfos.
const NEAR_MIDNIGHT_ROUTER: Duration = Duration::from_secs(45 * 60);
/// So close to midnight, for LeaseSets.
const NEAR_MIDNIGHT_LEASE_SET: Duration = Duration::from_secs(10 * 60);
/// Floodfills named to somebody who asks for what we do not have.
const NAMED: usize = 3;
/// A token that asks for flooding and not for an answer; i2pd's way.
const NO_ANSWER: u32 = u32::MAX;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Core {
    /// Somebody wants an entry stored, or answers a look-up of ours.
    pub(super) fn database_store(&mut self, origin: Origin, message: &I2npMessage, now: Now) {
        let from = origin.neighbour();
        // An answer to a question of ours comes out of a tunnel of ours.
        let ours = matches!(origin, Origin::Tunnel(Some(_)));
        if !ours && !self.quotas.store(from, now) {
            self.drop(DropReason::StoreQuota);
            return;
        }
        let Ok(store) = DatabaseStore::parse(message.body()) else {
            self.drop(DropReason::Malformed);
            return;
        };
        let stored = match store.entry {
            StoreEntry::RouterInfo(gzip) => {
                let info = RouterInfo::from_gzip(gzip);
                let info = info.ok().filter(|info| info.hash().0 == store.key);
                let Some(Ok(info)) = info.map(RouterInfo::verify) else {
                    self.drop(DropReason::StoreRefused);
                    return;
                };
                // With a token it is published to us; without, it was flooded or is an answer.
                self.take_router(info, from, store.reply.is_some(), now)
            }
            StoreEntry::LeaseSet(kind, bytes) => {
                let lease_set = StoredLeaseSet::parse(kind, bytes);
                let Some(lease_set) = lease_set.ok().filter(|it| it.key() == store.key) else {
                    self.drop(DropReason::StoreRefused);
                    return;
                };
                let Ok(lease_set) = lease_set.verify() else {
                    self.drop(DropReason::StoreRefused);
                    return;
                };
                // Out of our own tunnels it is the answer to a look-up, and nobody else's business.
                let published = self.config.floodfill && !matches!(origin, Origin::Tunnel(Some(_)));
                if !published {
                    return;
                }
                let stored = self.netdb.store_lease_set(lease_set, true, now);
                if store.reply.is_some() && matches!(stored, Stored::New | Stored::Newer) {
                    self.flood(&store, from, NEAR_MIDNIGHT_LEASE_SET, now);
                }
                stored
            }
        };
        if let Stored::Refused(why) = stored {
            tracing::debug!(%why, "an entry was not stored");
            self.drop(DropReason::StoreRefused);
        } else if let Some(reply) = store.reply {
            self.confirm(reply, from, now);
        }
    }

    /// Takes a RouterInfo; floods it if it was published to us and is new.
    pub(super) fn take_router(
        &mut self,
        info: Verified<RouterInfo>,
        from: Option<RouterHash>,
        flood: bool,
        now: Now,
    ) -> Stored {
        let router = info.hash();
        let gzip = (flood && self.config.floodfill).then(|| info.to_gzip());
        let stored = self.netdb.store_router(info, from, now);
        if !matches!(stored, Stored::Refused(_)) {
            self.lookups.found(router, now);
        }
        if matches!(stored, Stored::New | Stored::Newer) {
            if self.links.has_waiting(&router) {
                self.want(router, now);
            }
            if let Some(gzip) = gzip {
                let store = DatabaseStore {
                    key: router.0,
                    reply: None,
                    entry: StoreEntry::RouterInfo(&gzip),
                };
                self.flood(&store, from, NEAR_MIDNIGHT_ROUTER, now);
            }
        }
        stored
    }

    /// Passes an entry on to the floodfills closest to it, without a token, so that they do not.
    fn flood(
        &mut self,
        store: &DatabaseStore<'_>,
        from: Option<RouterHash>,
        near_midnight: Duration,
        now: Now,
    ) {
        let not_to = |router: &RouterHash| Some(*router) == from || router.0 == store.key;
        let mut to = self
            .netdb
            .closest_floodfills(&store.key, now.unix, FLOOD_TO, not_to);
        let into_day = Duration::from_millis(now.unix.as_millis() % 86_400_000);
        if DAY.saturating_sub(into_day) < near_midnight {
            let tomorrow = now.unix + DAY;
            let more =
                self.netdb
                    .closest_floodfills(&store.key, tomorrow, FLOOD_TO_TOMORROW, not_to);
            to.extend(more);
            to.sort_unstable();
            to.dedup();
        }
        let store = DatabaseStore {
            reply: None,
            ..store.clone()
        };
        for router in to {
            let mut body = BytesMut::new();
            if store.encode(&mut body).is_ok()
                && let Ok(message) = self.message(MessageType::DatabaseStore, body.freeze(), now)
            {
                self.send_to(router, &message, now);
            }
        }
    }

    /// Confirms a store, as far as it asks for it.
    fn confirm(&mut self, reply: StoreReply, from: Option<RouterHash>, now: Now) {
        let token = reply.token.get();
        if token == NO_ANSWER || !self.may_reach(reply.gateway, from, now) {
            return;
        }
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id: token,
            timestamp: now.unix,
        };
        status.encode(&mut body);
        let Ok(message) = self.message(MessageType::DeliveryStatus, body.freeze(), now) else {
            return;
        };
        match reply.tunnel {
            Some(tunnel) => self.send_to_tunnel(reply.gateway, tunnel, &message, now),
            None => {
                self.send_to(reply.gateway, &message, now);
            }
        }
    }

    /// Somebody looks something up with us.
    pub(super) fn database_lookup(&mut self, origin: Origin, message: &I2npMessage, now: Now) {
        if !self.quotas.lookup(origin.neighbour(), now) {
            self.drop(DropReason::LookupQuota);
            return;
        }
        let Ok(lookup) = DatabaseLookup::parse(message.body()) else {
            self.drop(DropReason::Malformed);
            return;
        };
        if matches!(origin, Origin::Tunnel(Some(_))) {
            self.drop(DropReason::NotFloodfill);
            return;
        }
        let own = lookup.key == self.own.hash().0;
        if !self.config.floodfill && !own {
            // Others know that we are none: whoever asks nevertheless learns nothing.
            self.drop(DropReason::NotFloodfill);
            return;
        }
        if !self.may_reach(lookup.from, origin.neighbour(), now) {
            return;
        }
        let Some(answer) = self.answer(&lookup, own, now) else {
            return;
        };
        if !self.send_answer(&lookup, &answer, now) {
            return;
        }
        let [found, named] = &mut self.lookups.answered;
        *match answer.kind() {
            MessageType::DatabaseStore => found,
            _ => named,
        } += 1;
        let encrypted = origin == Origin::Garlic && lookup.encryption.is_some();
        self.lookups.answered_encrypted += u64::from(encrypted);
    }

    /// What the answer to a look-up is.
    fn answer(&mut self, lookup: &DatabaseLookup, own: bool, now: Now) -> Option<I2npMessage> {
        let key = lookup.key;
        let mut body = BytesMut::new();
        let routers = matches!(lookup.kind, LookupKind::RouterInfo | LookupKind::Any);
        let lease_sets = matches!(lookup.kind, LookupKind::LeaseSet | LookupKind::Any);
        let info = if own {
            Some(self.own.info())
        } else {
            self.netdb.router(&RouterHash(key))
        };
        if routers && let Some(info) = info.filter(|info| is_fresh(info, now.unix)) {
            let gzip = if info.as_bytes().len() <= 940 && lookup.tunnel.is_some() {
                // Small enough to go through a tunnel as it is, and cheaper to make.
                ramson_wire::gzip::store(info.as_bytes()).unwrap_or_else(|| info.to_gzip())
            } else {
                info.to_gzip()
            };
            let store = DatabaseStore {
                key,
                reply: None,
                entry: StoreEntry::RouterInfo(&gzip),
            };
            store.encode(&mut body).ok()?;
            return self
                .message(MessageType::DatabaseStore, body.freeze(), now)
                .ok();
        }
        if lease_sets && let Some(lease_set) = self.netdb.public_lease_set(&key, now) {
            let store = DatabaseStore {
                key,
                reply: None,
                entry: StoreEntry::LeaseSet(lease_set.kind(), lease_set.as_bytes()),
            };
            store.encode(&mut body).ok()?;
            return self
                .message(MessageType::DatabaseStore, body.freeze(), now)
                .ok();
        }
        let excluded =
            |router: &RouterHash| lookup.excluded.contains(router) || *router == lookup.from;
        let peers = match lookup.kind {
            LookupKind::Exploration => self.netdb.closest_others(&key, now.unix, NAMED, excluded),
            _ => self
                .netdb
                .closest_floodfills(&key, now.unix, NAMED, excluded),
        };
        let reply = DatabaseSearchReply {
            key,
            peers,
            from: self.own.hash(),
        };
        reply.encode(&mut body).ok()?;
        self.message(MessageType::DatabaseSearchReply, body.freeze(), now)
            .ok()
    }

    /// Sends the answer the way the look-up asks for, encrypted if it does; says whether it could
    /// be made.
    fn send_answer(&mut self, lookup: &DatabaseLookup, answer: &I2npMessage, now: Now) -> bool {
        let answer = match &lookup.encryption {
            None => answer.clone(),
            Some(ReplyEncryption::ElGamal { key, tags }) => {
                // The look-up was read, and those without a tag are not.
                let Some(tag) = tags.first() else {
                    return false;
                };
                let sealed = seal_with_session_tag(key, tag, answer, &mut self.random);
                match self.message(MessageType::Garlic, sealed, now) {
                    Ok(message) => message,
                    Err(_) => return false,
                }
            }
            Some(ReplyEncryption::Ratchet { key, tag }) => {
                let key = GarlicKey {
                    tag: *tag,
                    key: **key,
                };
                let clove = GarlicClove {
                    delivery: CloveDelivery::Local,
                    message: answer.as_ref(),
                };
                let Ok(sealed) = router::seal_with_key(&key, &[clove]) else {
                    return false;
                };
                match self.message(MessageType::Garlic, sealed, now) {
                    Ok(message) => message,
                    Err(_) => return false,
                }
            }
        };
        match lookup.tunnel {
            Some(tunnel) => self.send_to_tunnel(lookup.from, tunnel, &answer, now),
            None => {
                self.send_to(lookup.from, &answer, now);
            }
        }
        true
    }
}

/// Older RouterInfos are not returned: they would only waste a dial.
fn is_fresh(info: &RouterInfo, now: UnixTime) -> bool {
    info.published() + Duration::from_secs(60 * 60) > now
}
