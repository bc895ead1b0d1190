//! How fast tunnel messages of others are carried, and who has which part of that.

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_wire::{Instant, RouterHash};

/// Over this time it is counted what each neighbour had.
const WINDOW: Duration = Duration::from_millis(200);
/// Windows in a second.
const WINDOWS_PER_S: u64 = 5;
/// Neighbours that are told apart in one window; those beyond share one place.
const MAX_NEIGHBOURS: usize = 1024;

/// A token bucket of one second's worth that several neighbours take from.
///
/// As long as it is at least half full, anybody may take. Below, a neighbour that had its part of
/// the window already leaves the rest to the others: whoever floods loses what it sends in vain,
/// and who keeps to its part loses nothing. Alone, a neighbour may have all.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate_bytes_per_s: u64,
    tokens: u64,
    filled: Instant,
    window: Instant,
    /// What each neighbour had in this window. Those of whom it is not known are one.
    had: BTreeMap<Option<RouterHash>, u64>,
    /// How many there were in the window before.
    before: usize,
}

impl Limiter {
    /// Makes a bucket that is full.
    pub(crate) fn new(rate_bytes_per_s: u64) -> Self {
        Self {
            rate_bytes_per_s,
            tokens: rate_bytes_per_s,
            filled: Instant::ZERO,
            window: Instant::ZERO,
            had: BTreeMap::new(),
            before: 0,
        }
    }

    /// Changes the rate.
    pub(crate) fn set(&mut self, rate_bytes_per_s: u64) {
        self.rate_bytes_per_s = rate_bytes_per_s;
        self.tokens = self.tokens.min(rate_bytes_per_s);
    }

    /// Says whether that many bytes that came from this neighbour may be carried.
    pub(crate) fn take(&mut self, from: Option<RouterHash>, bytes: u64, now: Instant) -> bool {
        self.fill(now);
        if now.saturating_since(self.window) >= WINDOW {
            self.window = now;
            self.before = self.had.len();
            self.had.clear();
        }
        let full = self.had.len() >= MAX_NEIGHBOURS && !self.had.contains_key(&from);
        let from = if full { None } else { from };
        let neighbours = self.before.max(self.had.len()).max(1);
        let had = self.had.entry(from).or_default();
        let part = self.rate_bytes_per_s / WINDOWS_PER_S / neighbours as u64;
        let scarce = self.tokens < self.rate_bytes_per_s / 2;
        if scarce && neighbours > 1 && had.saturating_add(bytes) > part {
            return false;
        }
        let Some(left) = self.tokens.checked_sub(bytes) else {
            return false;
        };
        self.tokens = left;
        *had = had.saturating_add(bytes);
        true
    }

    fn fill(&mut self, now: Instant) {
        let micros = now.saturating_since(self.filled).as_micros();
        let gained = u128::from(self.rate_bytes_per_s) * micros / 1_000_000;
        if gained > 0 {
            let gained = u64::try_from(gained).unwrap_or(u64::MAX);
            self.tokens = self
                .tokens
                .saturating_add(gained)
                .min(self.rate_bytes_per_s);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn neighbour(n: u8) -> Option<RouterHash> {
        Some(RouterHash([n; 32]))
    }

    #[test]
    fn a_rate_that_changes_holds_from_then_on() {
        let mut limiter = Limiter::new(1000);
        let taken = |limiter: &mut Limiter, seconds: u64| {
            let one = neighbour(1);
            (0..5000)
                .filter(|_| limiter.take(one, 1, at(seconds * 1000)))
                .count()
        };
        assert_eq!(taken(&mut limiter, 1), 1000);
        assert_eq!(taken(&mut limiter, 2), 1000);
        limiter.set(10);
        assert_eq!(taken(&mut limiter, 9), 10);
        limiter.set(2000);
        assert_eq!(taken(&mut limiter, 20), 2000);
        limiter = Limiter::new(1000);
        limiter.set(0);
        assert_eq!(taken(&mut limiter, 30), 0);
    }

    /// Carries for ten seconds what comes each millisecond; returns what each neighbour had.
    fn share(rate: u64, wanted_per_ms: &[u64]) -> Vec<u64> {
        let mut limiter = Limiter::new(rate);
        let mut had = vec![0; wanted_per_ms.len()];
        for millis in 0..10_000 {
            for (n, wanted) in wanted_per_ms.iter().enumerate() {
                for _ in 0..*wanted {
                    let from = neighbour(u8::try_from(n).unwrap());
                    had[n] += u64::from(limiter.take(from, 1, at(millis)));
                }
            }
        }
        had
    }

    #[test]
    fn who_keeps_to_its_part_loses_nothing_to_who_floods() {
        // Two that want a fifth each, and one that wants ten times all there is.
        let had = share(10_000, &[100, 2, 2]);
        assert!(had[1] >= 19_000 && had[2] >= 19_000, "{had:?}");
        // Nothing of the rate is left unused, and no more is given than there is.
        let all: u64 = had.iter().sum();
        assert!((95_000..=110_000).contains(&all), "{had:?}");
    }

    #[test]
    fn those_who_want_more_than_there_is_have_like_parts() {
        let had = share(12_000, &[100, 30, 30]);
        let [least, most] = [had.iter().min().unwrap(), had.iter().max().unwrap()];
        assert!(most - least <= most / 2, "{had:?}");
    }

    #[test]
    fn the_neighbours_that_are_told_apart_have_a_bound() {
        let mut limiter = Limiter::new(1_000_000);
        for n in 0..10_000_u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            limiter.take(Some(RouterHash(hash)), 1, at(0));
        }
        assert!(limiter.had.len() <= MAX_NEIGHBOURS + 1);
    }
}
