//! How busy the router is with the tunnels of others, and what it tells others of that (proposal
//! 162, congestion caps).

use std::time::Duration;

use ramson_proto::Now;
use ramson_wire::{Congestion, Instant};

use super::Core;
use crate::config::TransitLimits;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// What was looked at so long ago counts for about a third of what is now: the state is to be an
/// average over several minutes.
const MEMORY: Duration = Duration::from_secs(180);
/// Another letter is published this long after the last at the earliest.
const LEAST_BETWEEN: Duration = Duration::from_secs(5 * 60);
/// After a quarter of an hour others take high congestion for medium: it is said again before.
const AGAIN: Duration = Duration::from_secs(12 * 60);
/// Fewer requests than this a look, on average, say nothing about how many are refused.
const FEW_REQUESTS: f64 = 0.5;
/// And fewer messages.
const FEW_MESSAGES: f64 = 10.0;
/// Bytes of a tunnel message, to compare bytes with messages.
const MESSAGE_BYTES: f64 = 1028.0;

/// From which part on we call it medium and high congestion: of the tunnels we may have, of the
/// rate, of requests refused and of messages dropped.
const TUNNELS: [f64; 2] = [0.75, 0.95];
const RATE: [f64; 2] = [0.9, f64::INFINITY];
const REFUSED: [f64; 2] = [0.1, 0.5];
const DROPPED: [f64; 2] = [0.02, 0.1];

/// What happened since the last look, or on average in the time of one.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    tunnels: f64,
    asked: f64,
    refused: f64,
    bytes: f64,
    dropped: f64,
}

/// The load of a router.
#[derive(Debug, Default)]
pub(super) struct Load {
    since: Sample,
    average: Option<Sample>,
    looked: Option<Instant>,
    published: Option<Congestion>,
    changed: Option<Instant>,
}

impl Load {
    /// The letter to publish.
    pub(super) fn congestion(&self) -> Option<Congestion> {
        self.published
    }

    /// Somebody asked us to take part in a tunnel.
    pub(super) fn asked(&mut self) {
        self.since.asked += 1.0;
    }

    /// And we had no room for it.
    pub(super) fn refused(&mut self) {
        self.since.refused += 1.0;
    }

    /// So many bytes were carried for others, and so many messages dropped because there were too
    /// many.
    pub(super) fn carried(&mut self, bytes: u64, dropped: u64) {
        self.since.bytes += bytes as f64;
        self.since.dropped += dropped as f64;
    }

    /// Looks at the load; says whether the RouterInfo has to be signed anew.
    fn look(&mut self, tunnels: usize, limits: TransitLimits, now: Instant) -> bool {
        let looked = *self.looked.get_or_insert(now);
        let passed = now.saturating_since(looked);
        if passed < LOOK {
            return false;
        }
        self.looked = Some(now);
        let mut new = std::mem::take(&mut self.since);
        new.tunnels = tunnels as f64;
        // A time that was longer than a look, as after a sleep of the machine, is one look's worth.
        let looks = passed.as_secs_f64() / LOOK.as_secs_f64();
        let weight = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let old = self.average.unwrap_or_default();
        let mix = |old: f64, new: f64| old + (new - old) * weight;
        let average = Sample {
            tunnels: mix(old.tunnels, new.tunnels),
            asked: mix(old.asked, new.asked / looks),
            refused: mix(old.refused, new.refused / looks),
            bytes: mix(old.bytes, new.bytes / looks),
            dropped: mix(old.dropped, new.dropped / looks),
        };
        self.average = Some(average);
        let found = average.congestion(limits);
        let age = self.changed.map(|at| now.saturating_since(at));
        let may = age.is_none_or(|age| age >= LEAST_BETWEEN);
        let stale = found == Some(Congestion::High) && age.is_some_and(|age| age >= AGAIN);
        if (found != self.published && may) || stale {
            self.published = found;
            self.changed = Some(now);
            return true;
        }
        false
    }
}

impl Sample {
    fn congestion(&self, limits: TransitLimits) -> Option<Congestion> {
        if limits.tunnels == 0 || limits.rate_bytes_per_s == 0 {
            return Some(Congestion::RejectsAll);
        }
        let rate = limits.rate_bytes_per_s as f64 * LOOK.as_secs_f64();
        let messages = self.bytes / MESSAGE_BYTES + self.dropped;
        let part = |of: f64, all: f64, few: f64| if all < few { 0.0 } else { of / all };
        let parts = [
            (self.tunnels / limits.tunnels as f64, TUNNELS),
            (self.bytes / rate, RATE),
            (part(self.refused, self.asked, FEW_REQUESTS), REFUSED),
            (part(self.dropped, messages, FEW_MESSAGES), DROPPED),
        ];
        let over = |level: usize| {
            parts
                .iter()
                .any(|(part, bounds)| bounds.get(level).is_some_and(|bound| part >= bound))
        };
        if over(1) {
            Some(Congestion::High)
        } else if over(0) {
            Some(Congestion::Medium)
        } else {
            None
        }
    }
}

impl Core {
    /// Publishes another congestion when it is time to.
    pub(super) fn watch_load(&mut self, now: Now) {
        let tunnels = self.transit.tunnels();
        if self.load.look(tunnels, self.config.transit, now.instant) {
            tracing::debug!(congestion = ?self.load.congestion(), "publishing another load");
            self.resign = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TransitLimits = TransitLimits {
        tunnels: 100,
        rate_bytes_per_s: 100_000,
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    /// Goes through so many seconds with this happening in each; returns what was published and
    /// how often.
    fn go(
        load: &mut Load,
        seconds: std::ops::Range<u64>,
        tunnels: usize,
        limits: TransitLimits,
        each: impl Fn(&mut Load),
    ) -> (Option<Congestion>, usize) {
        let mut times = 0;
        for second in seconds {
            each(load);
            times += usize::from(load.look(tunnels, limits, at(second)));
        }
        (load.congestion(), times)
    }

    #[test]
    fn a_quiet_router_says_nothing_and_one_that_takes_no_tunnels_says_so() {
        let mut load = Load::default();
        assert_eq!(go(&mut load, 0..1000, 10, LIMITS, |_| ()), (None, 0));
        let none = TransitLimits {
            tunnels: 0,
            ..LIMITS
        };
        let told = go(&mut load, 1000..1020, 0, none, |_| ());
        assert_eq!(told, (Some(Congestion::RejectsAll), 1));
        let told = go(&mut load, 1020..2000, 0, LIMITS, |_| ());
        assert_eq!(told, (None, 1));
    }

    #[test]
    fn tunnels_rate_refusals_and_drops_are_congestion() {
        let medium = Some(Congestion::Medium);
        let high = Some(Congestion::High);
        let after = |tunnels, each: &dyn Fn(&mut Load)| {
            go(&mut Load::default(), 0..2000, tunnels, LIMITS, each).0
        };
        assert_eq!(after(70, &|_| ()), None);
        assert_eq!(after(80, &|_| ()), medium);
        assert_eq!(after(98, &|_| ()), high);
        assert_eq!(after(0, &|load| load.carried(50_000, 0)), None);
        assert_eq!(after(0, &|load| load.carried(99_000, 0)), medium);
        assert_eq!(after(0, &|load| load.carried(50_000, 3)), medium);
        assert_eq!(after(0, &|load| load.carried(50_000, 20)), high);
        let requests = |asked: usize, refused: usize| {
            after(0, &|load| {
                (0..asked).for_each(|_| load.asked());
                (0..refused).for_each(|_| load.refused());
            })
        };
        assert_eq!(requests(20, 1), None);
        assert_eq!(requests(20, 4), medium);
        assert_eq!(requests(20, 15), high);
    }

    #[test]
    fn a_burst_is_not_congestion_and_letters_do_not_flicker() {
        let mut load = Load::default();
        go(&mut load, 0..600, 10, LIMITS, |_| ());
        assert_eq!(go(&mut load, 600..630, 100, LIMITS, |_| ()).0, None);
        assert_eq!(go(&mut load, 630..900, 10, LIMITS, |_| ()).0, None);
        // Up and down each minute for two hours.
        let mut times = 0;
        for minute in 15..135_u64 {
            let tunnels = if minute % 2 == 0 { 100 } else { 50 };
            times += go(
                &mut load,
                minute * 60..minute * 60 + 60,
                tunnels,
                LIMITS,
                |_| (),
            )
            .1;
        }
        assert!(times <= 120 / 5, "{times}");
    }

    #[test]
    fn high_congestion_is_said_again_before_it_is_old() {
        let mut load = Load::default();
        let (told, times) = go(&mut load, 0..7200, 100, LIMITS, |_| ());
        assert_eq!(told, Some(Congestion::High));
        assert!((9..=12).contains(&times), "{times}");
    }
}
