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

#[cfg(test)]
mod tests {
    use ramson_crypto::Random;
    use ramson_wire::{RoutingKey, UtcDay};

    use super::*;
    use crate::core::RouterKeys;
    use crate::router::Router;
    use crate::testing::{at, config, router_info};

    fn confirm(core: &mut Core, now: Now) {
        let (token, _) = core.publisher.waiting.unwrap();
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id: token.get(),
            timestamp: now.unix,
        };
        status.encode(&mut body);
        let kind = MessageType::DeliveryStatus;
        let message = core.message(kind, body.freeze(), now).unwrap();
        core.delivery_status(Origin::Peer(RouterHash([9; 32])), &message, now);
    }

    #[test]
    fn a_nearer_floodfill_is_told_as_soon_as_it_is_known_and_once() {
        let (now, mut random) = (at(1000), Random::from_seed([99; 32]));
        let keys = RouterKeys::generate(&mut random);
        let router = Router::new(config(4000), keys, 1, now, random).unwrap();
        let mut core = router.core;
        let us = router.handle.hash();
        let mut infos: Vec<_> = (1..=5).map(|seed| router_info(seed, true, now)).collect();
        let target = RoutingKey::new(&us.0, UtcDay::of(now.unix));
        infos.sort_by_key(|info| target.distance(&info.hash()));
        let nearest = infos.remove(0);
        for info in infos {
            core.netdb.seed_router(info, now);
        }
        core.publish(now);
        confirm(&mut core, now);
        assert_eq!(core.publisher.confirmed, 1);
        core.publish(at(20_000));
        assert!(core.publisher.waiting.is_none());

        core.netdb.seed_router(nearest.clone(), at(20_000));
        core.publish(at(40_000));
        assert_eq!(core.publisher.tried, [nearest.hash()]);
        // It does not confirm. The others have it, until it is due again.
        for seconds in 1..60 {
            core.publish(at(50_000 + seconds * 1000));
            assert!(core.publisher.waiting.is_none());
        }
        core.publish(at(1000 + AGAIN.as_millis() as u64));
        assert!(core.publisher.waiting.is_some());
    }
}
