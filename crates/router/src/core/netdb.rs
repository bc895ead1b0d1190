//! What we know of other routers and of Destinations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ramson_proto::Now;
use ramson_wire::{
    Distance, Instant, RouterHash, RouterInfo, RoutingKey, StoredLeaseSet, UnixTime, UtcDay,
    Verified,
};

/// Older RouterInfos than that are not stored (network database, RouterInfo expiration).
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// Clocks differ.
const MAX_AHEAD: Duration = Duration::from_secs(2 * 60);
/// RouterInfos that were read from a folder may be this old: better than none.
const MAX_SEED_AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// RouterInfos are forgotten when older, as long as enough are left.
const FORGET_AGE: Duration = Duration::from_secs(27 * 60 * 60);
/// Fewer than this are never forgotten for their age.
const KEEP: usize = 90;

/// What one neighbour has told may take this part of the places for routers. What nobody knows who
/// told is one neighbour.
const TELLERS_PART: usize = 8;

/// What became of something to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It was not known before.
    New,
    /// It replaces an older one.
    Newer,
    /// The same or a newer one is there.
    Old,
    /// It was not taken.
    Refused(StoreRefusal),
}

/// Why something was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum StoreRefusal {
    /// Of another network.
    #[error("it is of another network")]
    Network,
    /// Published too long ago.
    #[error("it is too old")]
    TooOld,
    /// Published in the future.
    #[error("it is from the future")]
    Future,
    /// There is no room for it.
    #[error("there is no room")]
    Full,
    /// It is our own.
    #[error("it is our own")]
    Ourselves,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// It is not what it is said to be.
    #[error("it is malformed")]
    Malformed,
    /// It is stored under another key than its own.
    #[error("its key is another one")]
    Key,
}

/// A RouterInfo, and who told it.
#[derive(Debug)]
struct RouterEntry {
    info: Verified<RouterInfo>,
    /// None: itself, our own disk or a seed, for which there is no limit but the whole.
    teller: Option<Teller>,
}

/// Who told us of a router; nobody is who spoke out of a tunnel.
type Teller = Option<RouterHash>;

/// A LeaseSet, with when we need it no longer.
#[derive(Debug)]
struct LeaseSetEntry {
    lease_set: Verified<StoredLeaseSet>,
    expires: UnixTime,
    /// How far its key is from us on the day of [`NetDb::day`].
    distance: Distance,
    /// It was published to us, so that we return it to others.
    published_to_us: bool,
}

/// The network database of one router.
#[derive(Debug)]
pub(crate) struct NetDb {
    us: RouterHash,
    network_id: u8,
    max_routers: usize,
    max_lease_sets: usize,
    routers: BTreeMap<RouterHash, RouterEntry>,
    /// The oldest first.
    by_age: BTreeSet<(UnixTime, RouterHash)>,
    /// What each has told, the oldest first.
    told: BTreeMap<Teller, BTreeSet<(UnixTime, RouterHash)>>,
    floodfills: BTreeSet<RouterHash>,
    lease_sets: BTreeMap<[u8; 32], LeaseSetEntry>,
    by_distance: BTreeSet<(Distance, [u8; 32])>,
    /// The day of the distances.
    day: Option<UtcDay>,
    swept: Instant,
}

impl NetDb {
    pub(crate) fn new(
        us: RouterHash,
        network_id: u8,
        max_routers: usize,
        max_lease_sets: usize,
    ) -> Self {
        Self {
            us,
            network_id,
            max_routers,
            max_lease_sets,
            routers: BTreeMap::new(),
            by_age: BTreeSet::new(),
            told: BTreeMap::new(),
            floodfills: BTreeSet::new(),
            lease_sets: BTreeMap::new(),
            by_distance: BTreeSet::new(),
            day: None,
            swept: Instant::ZERO,
        }
    }

    pub(crate) fn router(&self, hash: &RouterHash) -> Option<&Verified<RouterInfo>> {
        self.routers.get(hash).map(|entry| &entry.info)
    }

    pub(crate) fn routers(&self) -> impl Iterator<Item = (&RouterHash, &Verified<RouterInfo>)> {
        self.routers.iter().map(|(hash, entry)| (hash, &entry.info))
    }

    pub(crate) fn router_count(&self) -> usize {
        self.routers.len()
    }

    pub(crate) fn floodfill_count(&self) -> usize {
        self.floodfills.len()
    }

    pub(crate) fn lease_set_count(&self) -> usize {
        self.lease_sets.len()
    }

    /// Takes a RouterInfo from the network; `teller` is the neighbour it came from.
    ///
    /// A neighbour that floods us with routers displaces only what it told itself.
    pub(crate) fn store_router(
        &mut self,
        info: Verified<RouterInfo>,
        teller: Option<RouterHash>,
        now: Now,
    ) -> Stored {
        // Who tells of itself has a link with us, and of those there are only so many.
        let teller = (teller != Some(info.hash())).then_some(teller);
        self.store(info, teller, [MAX_AGE, MAX_AHEAD], now)
    }

    /// Takes a RouterInfo from our own disk, a seed or its own router. It may be from the future: if
    /// our clock is behind, these are whom we learn the time of.
    pub(crate) fn seed_router(&mut self, info: Verified<RouterInfo>, now: Now) -> Stored {
        self.store(info, None, [MAX_SEED_AGE; 2], now)
    }

    fn store(
        &mut self,
        info: Verified<RouterInfo>,
        teller: Option<Teller>,
        [max_age, max_ahead]: [Duration; 2],
        now: Now,
    ) -> Stored {
        let hash = info.hash();
        if hash == self.us {
            return Stored::Refused(StoreRefusal::Ourselves);
        }
        if info.net_id() != Some(self.network_id) {
            return Stored::Refused(StoreRefusal::Network);
        }
        if info.published() + max_age < now.unix {
            return Stored::Refused(StoreRefusal::TooOld);
        }
        if info.published() > now.unix + max_ahead {
            return Stored::Refused(StoreRefusal::Future);
        }
        let known = self.routers.get(&hash);
        if known.is_some_and(|known| known.info.published() >= info.published()) {
            return Stored::Old;
        }
        let new = known.is_none();
        // What is known is known, whoever tells of it again.
        let teller = known.map_or(teller, |known| known.teller.filter(|_| teller.is_some()));
        if new && !self.make_room(&info, teller) {
            return Stored::Refused(StoreRefusal::Full);
        }
        // Addresses are parsed for the few that say they are floodfills.
        let reachable = |info: &RouterInfo| {
            let mut addresses = info.ntcp2_addresses();
            addresses.any(|address| address.published().is_some())
        };
        if info.capabilities().is_floodfill() && reachable(&info) {
            self.floodfills.insert(hash);
        } else {
            self.floodfills.remove(&hash);
        }
        self.forget_place(&hash);
        let place = (info.published(), hash);
        self.by_age.insert(place);
        if let Some(teller) = teller {
            self.told.entry(teller).or_default().insert(place);
        }
        self.routers.insert(hash, RouterEntry { info, teller });
        if new { Stored::New } else { Stored::Newer }
    }

    /// Forgets another router for a new one if need be: the oldest of those that the same neighbour
    /// told once it told too many, the oldest of all when there are too many. Says whether there is
    /// room now; for one that is older than those there is none.
    fn make_room(&mut self, info: &RouterInfo, teller: Option<Teller>) -> bool {
        let most = (self.max_routers / TELLERS_PART).max(1);
        let told = teller.and_then(|teller| self.told.get(&teller));
        let oldest = match told.filter(|told| told.len() >= most) {
            Some(told) => told.first(),
            None if self.routers.len() >= self.max_routers => self.by_age.first(),
            None => return true,
        };
        match oldest.copied() {
            Some((age, oldest)) if age < info.published() => {
                self.forget_router(&oldest);
                true
            }
            _ => false,
        }
    }

    fn forget_router(&mut self, hash: &RouterHash) {
        self.forget_place(hash);
        self.routers.remove(hash);
        self.floodfills.remove(hash);
    }

    /// Takes a router out of what is sorted by age.
    fn forget_place(&mut self, hash: &RouterHash) {
        let Some(entry) = self.routers.get(hash) else {
            return;
        };
        let place = (entry.info.published(), *hash);
        self.by_age.remove(&place);
        if let Some(teller) = entry.teller
            && let Some(told) = self.told.get_mut(&teller)
        {
            told.remove(&place);
            if told.is_empty() {
                self.told.remove(&teller);
            }
        }
    }

    /// Takes a LeaseSet whose signature holds.
    pub(crate) fn store_lease_set(
        &mut self,
        lease_set: Verified<StoredLeaseSet>,
        published_to_us: bool,
        now: Now,
    ) -> Stored {
        let key = lease_set.key();
        let expires = lease_set.expires();
        if expires <= now.unix {
            return Stored::Refused(StoreRefusal::TooOld);
        }
        if expires > now.unix + Duration::from_secs(16 * 60) {
            return Stored::Refused(StoreRefusal::Future);
        }
        let known = self.lease_sets.get(&key);
        if known.is_some_and(|known| known.lease_set.published() >= lease_set.published()) {
            return Stored::Old;
        }
        let new = known.is_none();
        self.measure(UtcDay::of(now.unix));
        let distance = RoutingKey::new(&key, UtcDay::of(now.unix)).distance(&self.us);
        if new && self.lease_sets.len() >= self.max_lease_sets {
            // The farthest makes room: who wants it asks others before us.
            match self.by_distance.last().copied() {
                Some((farthest, far)) if farthest > distance => {
                    self.by_distance.remove(&(farthest, far));
                    self.lease_sets.remove(&far);
                }
                _ => return Stored::Refused(StoreRefusal::Full),
            }
        }
        let entry = LeaseSetEntry {
            lease_set,
            expires,
            distance,
            published_to_us,
        };
        self.by_distance.insert((distance, key));
        self.lease_sets.insert(key, entry);
        if new { Stored::New } else { Stored::Newer }
    }

    /// Distances are others each day.
    fn measure(&mut self, day: UtcDay) {
        if self.day.replace(day) == Some(day) {
            return;
        }
        self.by_distance.clear();
        for (key, entry) in &mut self.lease_sets {
            entry.distance = RoutingKey::new(key, day).distance(&self.us);
            self.by_distance.insert((entry.distance, *key));
        }
    }

    /// The LeaseSet under this key, if others may have it.
    pub(crate) fn public_lease_set(&self, key: &[u8; 32], now: Now) -> Option<&StoredLeaseSet> {
        let entry = self.lease_sets.get(key)?;
        (entry.published_to_us
            && entry.expires > now.unix
            && !entry.lease_set.flags().is_unpublished())
        .then_some(&entry.lease_set)
    }

    /// The floodfills closest to `key` on this day, without those excluded.
    pub(crate) fn closest_floodfills(
        &self,
        key: &[u8; 32],
        day: UnixTime,
        count: usize,
        excluded: impl Fn(&RouterHash) -> bool,
    ) -> Vec<RouterHash> {
        closest(self.floodfills.iter(), key, day, count, excluded)
    }

    /// The routers that are no floodfills closest to `key`, for exploration.
    pub(crate) fn closest_others(
        &self,
        key: &[u8; 32],
        day: UnixTime,
        count: usize,
        excluded: impl Fn(&RouterHash) -> bool,
    ) -> Vec<RouterHash> {
        // Whether it is a floodfill is asked of the few that are close enough.
        closest(self.routers.keys(), key, day, count, |router| {
            self.floodfills.contains(router) || excluded(router)
        })
    }

    /// Drops what is too old; once a minute is enough.
    pub(crate) fn sweep(&mut self, now: Now) {
        if now.instant.saturating_since(self.swept) < Duration::from_secs(60) {
            return;
        }
        self.swept = now.instant;
        let by_distance = &mut self.by_distance;
        self.lease_sets.retain(|key, entry| {
            let keep = entry.expires > now.unix;
            if !keep {
                by_distance.remove(&(entry.distance, *key));
            }
            keep
        });
        while self.routers.len() > KEEP
            && let Some((published, oldest)) = self.by_age.first().copied()
            && published + FORGET_AGE <= now.unix
        {
            self.forget_router(&oldest);
        }
    }
}

fn closest<'a>(
    routers: impl Iterator<Item = &'a RouterHash>,
    key: &[u8; 32],
    day: UnixTime,
    count: usize,
    excluded: impl Fn(&RouterHash) -> bool,
) -> Vec<RouterHash> {
    let target = RoutingKey::new(key, UtcDay::of(day));
    // The few best, sorted: the rest of thousands is only looked at.
    let mut best: Vec<(Distance, RouterHash)> = Vec::with_capacity(count + 1);
    for router in routers {
        let distance = target.distance(router);
        if best.len() == count && best.last().is_some_and(|(worst, _)| distance >= *worst) {
            continue;
        }
        if excluded(router) {
            continue;
        }
        let at = best.partition_point(|(other, _)| *other < distance);
        best.insert(at, (distance, *router));
        best.truncate(count);
    }
    best.into_iter().map(|(_, router)| router).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, router_info};

    fn netdb(max_routers: usize) -> NetDb {
        NetDb::new(RouterHash([0; 32]), 77, max_routers, 10)
    }

    /// Some neighbour.
    fn by(n: u8) -> Option<RouterHash> {
        Some(RouterHash([n; 32]))
    }

    #[test]
    fn the_newer_of_two_is_kept() {
        let mut netdb = netdb(10);
        let (old, new) = (router_info(1, false, at(0)), router_info(1, true, at(5000)));
        assert_eq!(netdb.store_router(new.clone(), None, at(6000)), Stored::New);
        assert_eq!(netdb.store_router(old.clone(), None, at(6000)), Stored::Old);
        assert_eq!(
            netdb.router(&old.hash()).unwrap().published(),
            at(5000).unix
        );
        assert_eq!(netdb.floodfill_count(), 1);
        let newest = router_info(1, false, at(9000));
        assert_eq!(netdb.store_router(newest, None, at(9000)), Stored::Newer);
        assert_eq!((netdb.router_count(), netdb.floodfill_count()), (1, 0));
    }

    #[test]
    fn what_is_not_from_now_or_from_here_is_refused() {
        let mut netdb = netdb(10);
        let hour = 3_600_000;
        let info = router_info(1, false, at(hour));
        let refused = |why| Stored::Refused(why);
        assert_eq!(
            netdb.store_router(info.clone(), None, at(hour - 121_000)),
            refused(StoreRefusal::Future)
        );
        assert_eq!(
            netdb.store_router(info.clone(), None, at(2 * hour + 1)),
            refused(StoreRefusal::TooOld)
        );
        assert_eq!(
            netdb.seed_router(info.clone(), at(2 * hour + 1)),
            Stored::New
        );
        let mut slow = NetDb::new(RouterHash([0; 32]), 77, 10, 10);
        assert_eq!(
            slow.seed_router(info.clone(), at(hour - 600_000)),
            Stored::New
        );
        let mut other = NetDb::new(RouterHash([0; 32]), 78, 10, 10);
        assert_eq!(
            other.store_router(info.clone(), None, at(hour)),
            refused(StoreRefusal::Network)
        );
        let mut own = NetDb::new(info.hash(), 77, 10, 10);
        assert_eq!(
            own.store_router(info, None, at(hour)),
            refused(StoreRefusal::Ourselves)
        );
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut netdb = netdb(3);
        for seed in 1..=3 {
            let info = router_info(seed, true, at(u64::from(seed) * 1000));
            assert_eq!(netdb.store_router(info, by(seed), at(5000)), Stored::New);
        }
        let older = router_info(4, true, at(500));
        assert_eq!(
            netdb.store_router(older, by(4), at(5000)),
            Stored::Refused(StoreRefusal::Full)
        );
        let newer = router_info(5, true, at(5000));
        assert_eq!(netdb.store_router(newer, by(5), at(5000)), Stored::New);
        let first = router_info(1, true, at(1000)).hash();
        assert!(netdb.router(&first).is_none());
        assert_eq!((netdb.router_count(), netdb.floodfill_count()), (3, 3));
    }

    #[test]
    fn the_closest_come_in_order_and_without_the_excluded() {
        let mut netdb = netdb(100);
        for seed in 1..=40 {
            netdb.store_router(router_info(seed, seed % 2 == 0, at(0)), by(seed), at(0));
        }
        let (key, day) = ([9; 32], at(0).unix);
        let target = RoutingKey::new(&key, UtcDay::of(day));
        let mut all: Vec<RouterHash> = netdb.floodfills.iter().copied().collect();
        all.sort_by_key(|router| target.distance(router));
        let found = netdb.closest_floodfills(&key, day, 5, |_| false);
        assert_eq!(found, all[..5]);
        let found = netdb.closest_floodfills(&key, day, 3, |router| *router == all[1]);
        assert_eq!(found, [all[0], all[2], all[3]]);
        let others = netdb.closest_others(&key, day, 50, |_| false);
        assert_eq!(others.len(), 20);
        assert!(others.iter().all(|router| !all.contains(router)));
    }

    #[test]
    fn a_neighbour_that_tells_of_many_displaces_only_what_it_told() {
        let mut netdb = netdb(80);
        for seed in 1..=8 {
            netdb.store_router(router_info(seed, false, at(0)), by(200), at(0));
        }
        let own = router_info(9, false, at(0));
        netdb.seed_router(own.clone(), at(0));
        for seed in 10..=200 {
            let info = router_info(seed, true, at(u64::from(seed)));
            assert_eq!(netdb.store_router(info, by(1), at(1000)), Stored::New);
        }
        assert_eq!((netdb.router_count(), netdb.floodfill_count()), (19, 10));
        for seed in 1..=9 {
            let hash = router_info(seed, false, at(0)).hash();
            assert!(netdb.router(&hash).is_some(), "{seed}");
        }
        // Nor do those whom it tells of anew, nor those who tell of themselves.
        let newer = router_info(9, false, at(500));
        assert_eq!(netdb.store_router(newer, by(1), at(1000)), Stored::Newer);
        let itself = router_info(201, false, at(600));
        let teller = Some(itself.hash());
        assert_eq!(netdb.store_router(itself, teller, at(1000)), Stored::New);
        assert_eq!(netdb.told.get(&by(1)).map(BTreeSet::len), Some(10));
        // What is older than all that it told has no place.
        let old = router_info(202, false, at(1));
        let full = Stored::Refused(StoreRefusal::Full);
        assert_eq!(netdb.store_router(old, by(1), at(1000)), full);
        let places: usize = netdb.told.values().map(BTreeSet::len).sum();
        assert_eq!((places, netdb.by_age.len()), (18, netdb.router_count()));
    }

    #[test]
    fn old_routers_are_forgotten_while_enough_are_left() {
        let mut netdb = netdb(500);
        for seed in 1..=100 {
            let info = router_info(seed, false, at(u64::from(seed)));
            netdb.store_router(info, by(seed), at(1000));
        }
        netdb.sweep(at(28 * 3_600_000));
        assert_eq!(netdb.router_count(), KEEP);
        assert!(netdb.router(&router_info(1, false, at(1)).hash()).is_none());
        assert!(
            netdb
                .router(&router_info(100, false, at(100)).hash())
                .is_some()
        );
    }
}
