//! How much each neighbour may ask of us, before any public-key work is done for it.

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_proto::Now;
use ramson_wire::{Instant, RouterHash};

/// Tunnel builds of one neighbour, on average and at once.
const BUILDS: Rate = Rate {
    per_s: 50,
    burst: 200,
};
/// Stores of one neighbour.
const STORES: Rate = Rate {
    per_s: 20,
    burst: 200,
};
/// Look-ups of one neighbour.
const LOOKUPS: Rate = Rate {
    per_s: 20,
    burst: 200,
};
/// What a neighbour may have us find out about routers that we do not know: each costs a look-up
/// and a place among the queues.
const UNKNOWN: Rate = Rate {
    per_s: 2,
    burst: 30,
};
/// All that comes out of tunnels together, from nobody knows whom, of each kind.
const NOBODY: Rate = Rate {
    per_s: 500,
    burst: 2000,
};
/// And what all of nobody may.
const NOBODY_UNKNOWN: Rate = Rate {
    per_s: 20,
    burst: 200,
};
/// Neighbours of whom it is remembered; there are not that many links.
const MAX_NEIGHBOURS: usize = 8192;
/// A bucket that was not used for so long is full again.
const FORGET: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Rate {
    per_s: u32,
    burst: u32,
}

#[derive(Debug)]
struct Bucket {
    /// In thousandths.
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: u64::from(rate.burst) * 1000,
            filled: now,
        }
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let millis = now.saturating_since(self.filled).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(u64::from(rate.per_s));
        if gained > 0 {
            let most = u64::from(rate.burst) * 1000;
            self.tokens = self.tokens.saturating_add(gained).min(most);
            self.filled = now;
        }
        match self.tokens.checked_sub(1000) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[derive(Debug)]
struct Neighbour {
    builds: Bucket,
    stores: Bucket,
    lookups: Bucket,
    unknown: Bucket,
    used: Instant,
}

/// The quotas of all neighbours.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    neighbours: BTreeMap<Option<RouterHash>, Neighbour>,
    swept: Instant,
}

impl Quotas {
    /// Says whether the neighbour may have us take part in a tunnel build. Nobody is who speaks out
    /// of a tunnel.
    pub(crate) fn build(&mut self, from: Option<RouterHash>, now: Now) -> bool {
        self.take(from, BUILDS, |it| &mut it.builds, now)
    }

    /// Says whether the neighbour may have us store something.
    pub(crate) fn store(&mut self, from: Option<RouterHash>, now: Now) -> bool {
        self.take(from, STORES, |it| &mut it.stores, now)
    }

    /// Says whether the neighbour may have us look something up.
    pub(crate) fn lookup(&mut self, from: Option<RouterHash>, now: Now) -> bool {
        self.take(from, LOOKUPS, |it| &mut it.lookups, now)
    }

    /// Says whether the neighbour may have us speak with a router that we do not know.
    pub(crate) fn unknown(&mut self, from: Option<RouterHash>, now: Now) -> bool {
        let rate = unknown(from);
        let instant = now.instant;
        self.of(from, instant).unknown.take(rate, instant)
    }

    fn take(
        &mut self,
        from: Option<RouterHash>,
        rate: Rate,
        bucket: impl Fn(&mut Neighbour) -> &mut Bucket,
        now: Now,
    ) -> bool {
        let rate = if from.is_some() { rate } else { NOBODY };
        bucket(self.of(from, now.instant)).take(rate, now.instant)
    }

    fn of(&mut self, from: Option<RouterHash>, now: Instant) -> &mut Neighbour {
        if self.neighbours.len() >= MAX_NEIGHBOURS && !self.neighbours.contains_key(&from) {
            // Who asked last of all is least likely to be on its way to its limit.
            let oldest = self.neighbours.iter().min_by_key(|(_, it)| it.used);
            if let Some(oldest) = oldest.map(|(router, _)| *router) {
                self.neighbours.remove(&oldest);
            }
        }
        let rates = |rate| if from.is_some() { rate } else { NOBODY };
        let neighbour = self.neighbours.entry(from).or_insert_with(|| Neighbour {
            builds: Bucket::full(rates(BUILDS), now),
            stores: Bucket::full(rates(STORES), now),
            lookups: Bucket::full(rates(LOOKUPS), now),
            unknown: Bucket::full(unknown(from), now),
            used: now,
        });
        neighbour.used = now;
        neighbour
    }

    /// Forgets neighbours who have asked for nothing lately.
    pub(crate) fn sweep(&mut self, now: Now) {
        if now.instant.saturating_since(self.swept) < FORGET {
            return;
        }
        self.swept = now.instant;
        self.neighbours
            .retain(|_, it| now.instant.saturating_since(it.used) < FORGET);
    }
}

#[cfg(test)]
impl Quotas {
    pub(crate) fn check_bounds(&self) {
        assert!(self.neighbours.len() <= MAX_NEIGHBOURS);
    }
}

fn unknown(from: Option<RouterHash>) -> Rate {
    if from.is_some() {
        UNKNOWN
    } else {
        NOBODY_UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use ramson_wire::UnixTime;

    use super::*;

    fn at(millis: u64) -> Now {
        Now {
            instant: Instant::from_micros(millis * 1000),
            unix: UnixTime::from_millis(millis),
        }
    }

    #[test]
    fn a_neighbour_that_floods_is_held_to_the_rate_and_others_are_not() {
        let mut quotas = Quotas::default();
        let [loud, quiet] = [1, 2].map(|n| Some(RouterHash([n; 32])));
        let first = (0..1000).filter(|_| quotas.build(loud, at(0))).count();
        assert_eq!(first, 200);
        assert!(quotas.build(quiet, at(0)));
        let second = (0..1000).filter(|_| quotas.build(loud, at(1000))).count();
        assert_eq!(second, 50);
        quotas.sweep(at(200_000));
        assert!(quotas.neighbours.is_empty());
    }

    #[test]
    fn what_comes_out_of_tunnels_has_a_rate_of_its_own() {
        let mut quotas = Quotas::default();
        let neighbour = Some(RouterHash([1; 32]));
        let first = (0..5000).filter(|_| quotas.store(None, at(0))).count();
        assert_eq!(first, 2000);
        assert!(quotas.store(neighbour, at(0)));
        let second = (0..5000).filter(|_| quotas.store(None, at(1000))).count();
        assert_eq!(second, 500);
        let unknown = (0..100)
            .filter(|_| quotas.unknown(neighbour, at(0)))
            .count();
        assert_eq!(unknown, 30);
    }

    #[test]
    fn a_crowd_of_neighbours_does_not_keep_the_next_one_out() {
        let mut quotas = Quotas::default();
        for n in 0..20_000_u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            assert!(quotas.build(Some(RouterHash(hash)), at(n)));
        }
        assert_eq!(quotas.neighbours.len(), MAX_NEIGHBOURS);
    }
}
