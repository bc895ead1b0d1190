//! What is measured of one direction of a stream.

use std::time::{Duration, Instant};

use serde::Serialize;

/// A shorter one is no pause: one lost packet may cost that much.
const PAUSE: Duration = Duration::from_secs(2);

/// Pauses that are remembered one by one.
const LISTED: usize = 200;

/// A time in which nothing arrived although something had been sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Pause {
    /// When it began, in seconds from the start of the measurement.
    pub(super) at_s: f64,
    /// How long it took, in seconds.
    pub(super) seconds: f64,
}

/// One direction of a stream, over all connections that it is made of.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// When the measurement began.
    began: Option<Instant>,
    /// Which connection counts; one that was given up may still have something to say.
    connection: u64,
    sent: u64,
    received: u64,
    /// Something is outstanding, and nothing came since.
    waiting_since: Option<Instant>,
    pub(super) bytes: u64,
    pub(super) pauses: u64,
    pub(super) longest: Duration,
    pub(super) list: Vec<Pause>,
}

impl Flow {
    /// Begins to measure; what was before does not count.
    pub(super) fn measure(&mut self, now: Instant) {
        *self = Self {
            began: Some(now),
            connection: self.connection,
            sent: self.sent,
            received: self.received,
            waiting_since: (self.sent > self.received).then_some(now),
            ..Self::default()
        };
    }

    /// Ends the measurement: what is outstanding now counts as far as it got.
    pub(super) fn end(&mut self, now: Instant) {
        self.end_wait(now);
        self.began = None;
    }

    /// Goes on with another connection. What the last one owed is lost, and who waits for it waits
    /// until this one brings something.
    pub(super) fn connect(&mut self, connection: u64, now: Instant) {
        self.connection = connection;
        (self.sent, self.received) = (0, 0);
        self.waiting_since.get_or_insert(now);
    }

    /// Something is about to be sent.
    pub(super) fn sent(&mut self, connection: u64, bytes: usize, now: Instant) {
        if connection == self.connection {
            self.sent += bytes as u64;
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Something arrived.
    pub(super) fn received(&mut self, connection: u64, bytes: usize, now: Instant) {
        if connection == self.connection {
            self.end_wait(now);
            self.received += bytes as u64;
            self.bytes += bytes as u64;
            self.waiting_since = (self.sent > self.received).then_some(now);
        }
    }

    /// How long something has been outstanding.
    pub(super) fn waits(&self, now: Instant) -> Duration {
        self.waiting_since
            .map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    fn end_wait(&mut self, now: Instant) {
        let (Some(since), Some(began)) = (self.waiting_since.take(), self.began) else {
            return;
        };
        let wait = now.duration_since(since);
        self.longest = self.longest.max(wait);
        if wait > PAUSE {
            self.pauses += 1;
            if self.list.len() < LISTED {
                self.list.push(Pause {
                    at_s: since.duration_since(began).as_secs_f64(),
                    seconds: wait.as_secs_f64(),
                });
            }
        }
    }
}

/// Fills `bytes` with what a stream carries from `offset` on; each `seed` gives another stream.
pub(super) fn pattern(seed: u64, offset: u64, bytes: &mut [u8]) {
    let mut block = offset / 8;
    let mut skip = (offset % 8) as usize;
    let mut rest = bytes;
    while !rest.is_empty() {
        // splitmix64
        let mut word = (seed ^ block).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let word = (word ^ (word >> 31)).to_le_bytes();
        let from = word.get(skip..).unwrap_or_default();
        let count = from.len().min(rest.len());
        let (now, later) = rest.split_at_mut(count);
        now.copy_from_slice(&from[..count]);
        (rest, block, skip) = (later, block + 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock(Instant);

    impl Clock {
        fn at(&self, millis: u64) -> Instant {
            self.0 + Duration::from_millis(millis)
        }
    }

    #[test]
    fn only_waiting_for_something_is_a_pause() {
        let clock = Clock(Instant::now());
        let mut flow = Flow::default();
        flow.connect(1, clock.at(0));
        flow.sent(1, 10, clock.at(0));
        flow.received(1, 10, clock.at(9000));
        flow.measure(clock.at(9000));
        // Nothing is outstanding for a minute.
        flow.sent(1, 10, clock.at(69_000));
        flow.received(1, 4, clock.at(70_000));
        flow.received(1, 6, clock.at(72_001));
        assert_eq!((flow.pauses, flow.bytes), (1, 10));
        assert_eq!(flow.longest, Duration::from_millis(2001));
        assert_eq!(flow.list[0].at_s, 61.0);
        assert_eq!(flow.waits(clock.at(99_000)), Duration::ZERO);
    }

    #[test]
    fn a_pause_lasts_until_another_connection_brings_something() {
        let clock = Clock(Instant::now());
        let mut flow = Flow::default();
        flow.connect(1, clock.at(0));
        flow.measure(clock.at(0));
        flow.sent(1, 10, clock.at(0));
        flow.received(1, 10, clock.at(500));
        flow.sent(1, 10, clock.at(1000));
        flow.connect(2, clock.at(20_000));
        flow.sent(2, 10, clock.at(20_000));
        // The old one is not counted any more.
        flow.received(1, 10, clock.at(21_000));
        flow.received(2, 10, clock.at(31_000));
        assert_eq!((flow.pauses, flow.bytes), (1, 20));
        assert_eq!(flow.longest, Duration::from_secs(30));
    }

    #[test]
    fn what_is_outstanding_at_the_end_counts() {
        let clock = Clock(Instant::now());
        let mut flow = Flow::default();
        flow.connect(1, clock.at(0));
        flow.measure(clock.at(0));
        flow.sent(1, 10, clock.at(0));
        flow.end(clock.at(3000));
        assert_eq!((flow.pauses, flow.longest.as_secs()), (1, 3));
        flow.received(1, 10, clock.at(9000));
        assert_eq!(flow.pauses, 1, "after the end nothing is measured");
    }

    #[test]
    fn the_pattern_is_the_same_however_it_is_cut() {
        let mut whole = [0; 100];
        pattern(7, 0, &mut whole);
        for cut in 0..100 {
            let mut parts = [0; 100];
            let (first, second) = parts.split_at_mut(cut);
            pattern(7, 0, first);
            pattern(7, cut as u64, second);
            assert_eq!(parts, whole, "cut at {cut}");
        }
        let mut other = [0; 100];
        pattern(8, 0, &mut other);
        assert_ne!(other, whole);
    }
}
