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
    used: Instant,
}

/// The quotas of all neighbours.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    neighbours: BTreeMap<RouterHash, Neighbour>,
    swept: Instant,
}

impl Quotas {
    /// Says whether the neighbour may have us take part in a tunnel build.
    pub(crate) fn build(&mut self, from: RouterHash, now: Now) -> bool {
        let instant = now.instant;
        self.of(from, instant)
            .is_some_and(|it| it.builds.take(BUILDS, instant))
    }

    /// Says whether the neighbour may have us store something.
    pub(crate) fn store(&mut self, from: RouterHash, now: Now) -> bool {
        let instant = now.instant;
        self.of(from, instant)
            .is_some_and(|it| it.stores.take(STORES, instant))
    }

    /// Says whether the neighbour may have us look something up.
    pub(crate) fn lookup(&mut self, from: RouterHash, now: Now) -> bool {
        let instant = now.instant;
        self.of(from, instant)
            .is_some_and(|it| it.lookups.take(LOOKUPS, instant))
    }

    fn of(&mut self, from: RouterHash, now: Instant) -> Option<&mut Neighbour> {
        if self.neighbours.len() >= MAX_NEIGHBOURS && !self.neighbours.contains_key(&from) {
            return None;
        }
        let neighbour = self.neighbours.entry(from).or_insert_with(|| Neighbour {
            builds: Bucket::full(BUILDS, now),
            stores: Bucket::full(STORES, now),
            lookups: Bucket::full(LOOKUPS, now),
            used: now,
        });
        neighbour.used = now;
        Some(neighbour)
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
        let (loud, quiet) = (RouterHash([1; 32]), RouterHash([2; 32]));
        let first = (0..1000).filter(|_| quotas.build(loud, at(0))).count();
        assert_eq!(first, 200);
        assert!(quotas.build(quiet, at(0)));
        let second = (0..1000).filter(|_| quotas.build(loud, at(1000))).count();
        assert_eq!(second, 50);
        quotas.sweep(at(200_000));
        assert!(quotas.neighbours.is_empty());
    }
}
