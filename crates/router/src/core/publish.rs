//! Our own RouterInfo goes to the floodfill closest to us (network database, RouterInfo storage to
//! floodfills).

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_wire::i2np::{DatabaseStore, DeliveryStatus, StoreEntry, StoreReply};
use ramson_wire::{I2npMessage, Instant, MessageType, RouterHash};

use super::{Core, DropReason, Origin};

/// How long a floodfill may take to confirm, a dial included.
const CONFIRM: Duration = Duration::from_secs(6);
/// After so many floodfills that did not confirm, there is a pause.
const MAX_TRIES: usize = 6;
/// The pause.
const PAUSE: Duration = Duration::from_secs(60);
/// How often the RouterInfo is stored again although it did not change.
const AGAIN: Duration = Duration::from_secs(20 * 60);
/// How often it is seen whether a nearer floodfill is known by now, or a new day has begun.
const LOOK_FOR_NEARER: Duration = Duration::from_secs(10);
/// Floodfills to which a RouterInfo was offered because they are nearer, before it is due again.
const MAX_OFFERED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// Not before.
    at: Instant,
    waiting: Option<(NonZeroU32, Instant)>,
    tried: Vec<RouterHash>,
    /// All that were tried since the RouterInfo was due, whether they confirmed or not.
    offered: BTreeSet<RouterHash>,
    look_at: Instant,
    pub(super) confirmed: u64,
}

impl Publisher {
    /// The RouterInfo is another now.
    pub(super) fn changed(&mut self) {
        self.at = Instant::ZERO;
        self.waiting = None;
        self.tried.clear();
        self.offered.clear();
    }
}

impl Core {
    /// Stores the own RouterInfo when it is due.
    pub(super) fn publish(&mut self, now: Now) {
        if let Some((_, deadline)) = self.publisher.waiting {
            if deadline > now.instant {
                return;
            }
            self.publisher.waiting = None;
            if self.publisher.at > now.instant {
                // Another one has it.
                self.publisher.tried.clear();
            }
        }
        if self.publisher.at > now.instant && !self.is_nearer_known(now) {
            return;
        }
        if self.publisher.at <= now.instant && self.publisher.tried.is_empty() {
            self.publisher.offered.clear();
        }
        if self.publisher.tried.len() >= MAX_TRIES {
            self.publisher.tried.clear();
            self.publisher.at = now.instant + PAUSE;
            return;
        }
        let us = self.own.hash();
        let tried = &self.publisher.tried;
        let links = &self.links;
        let closest = self.netdb.closest_floodfills(&us.0, now.unix, 1, |router| {
            tried.contains(router) || links.is_failing(router, now)
        });
        let Some(floodfill) = closest.first().copied() else {
            self.publisher.at = now.instant + Duration::from_secs(5);
            self.publisher.tried.clear();
            return;
        };
        let token = NonZeroU32::new(self.random.u32()).unwrap_or(NonZeroU32::MIN);
        let gzip = self.own.info().to_gzip();
        let store = DatabaseStore {
            key: us.0,
            reply: Some(StoreReply {
                token,
                tunnel: None,
                gateway: us,
            }),
            entry: StoreEntry::RouterInfo(&gzip),
        };
        let mut body = BytesMut::new();
        if store.encode(&mut body).is_err() {
            return;
        }
        let Ok(message) = self.message(MessageType::DatabaseStore, body.freeze(), now) else {
            return;
        };
        self.publisher.tried.push(floodfill);
        self.publisher.offered.insert(floodfill);
        self.publisher.waiting = Some((token, now.instant + CONFIRM));
        self.send_to(floodfill, &message, now);
    }

    /// Says whether the floodfill that is closest to us now was not told yet: a router that begins
    /// knows few, others look for it with the closest, and midnight makes others the closest.
    fn is_nearer_known(&mut self, now: Now) -> bool {
        let offered = self.publisher.offered.len();
        if offered == 0 || offered >= MAX_OFFERED || self.publisher.look_at > now.instant {
            return false;
        }
        self.publisher.look_at = now.instant + LOOK_FOR_NEARER;
        let us = self.own.hash();
        let links = &self.links;
        let closest = self
            .netdb
            .closest_floodfills(&us.0, now.unix, 1, |router| links.is_failing(router, now));
        let closest = closest.first();
        closest.is_some_and(|closest| !self.publisher.offered.contains(closest))
    }

    /// Somebody confirms something.
    pub(super) fn delivery_status(&mut self, origin: Origin, message: &I2npMessage, now: Now) {
        let Ok(status) = DeliveryStatus::parse(message.body()) else {
            self.drop(DropReason::Malformed);
            return;
        };
        if let Some((token, _)) = self.publisher.waiting
            && token.get() == status.id
        {
            self.publisher.waiting = None;
            self.publisher.tried.clear();
            self.publisher.confirmed += 1;
            self.publisher.at = now.instant + AGAIN;
        } else if !self.tunnel_tested(origin, status.id, now) {
            self.drop(DropReason::UnexpectedReply);
        }
    }
}
