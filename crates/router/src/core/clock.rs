//! Whether our clock is right, judged by the peers' (NTCP2, clock skew).

use std::collections::VecDeque;

use ramson_proto::Now;
use ramson_proto::ntcp2::{CloseReason, HandshakeError};
use ramson_wire::RouterHash;

use super::Core;

/// Peers that have to agree. A router that begins with few others has no more to ask.
const AGREEING: usize = 3;
/// Peers that are remembered.
const REMEMBERED: usize = 9;
/// A smaller difference is left alone: one-second fields and the way of the messages make it.
const TOLERATED_MS: i64 = 5_000;
/// Peers agree when their clocks are so close.
const CLOSE_MS: i64 = 10_000;

/// What peers say of the time.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// By how many milliseconds each peer's clock was ahead of ours.
    samples: VecDeque<(RouterHash, i64)>,
}

impl ClockWatch {
    /// Notes a peer's clock; returns by how much ours is to be moved, if enough of them agree.
    fn sample(&mut self, router: RouterHash, skew_ms: i64) -> Option<i64> {
        self.samples.retain(|(known, _)| *known != router);
        self.samples.push_back((router, skew_ms));
        if self.samples.len() > REMEMBERED {
            self.samples.pop_front();
        }
        let mut skews: Vec<i64> = self.samples.iter().map(|(_, skew)| *skew).collect();
        skews.sort_unstable();
        let median = skews.get(skews.len() / 2).copied()?;
        let agree = skews
            .iter()
            .filter(|skew| skew.abs_diff(median) <= CLOSE_MS.unsigned_abs())
            .count();
        if median.abs() <= TOLERATED_MS || agree < AGREEING || agree * 3 < skews.len() * 2 {
            return None;
        }
        // What was said before was said of the old clock.
        self.samples.clear();
        Some(median)
    }
}

impl Core {
    /// A handshake told the peer's clock.
    pub(super) fn clock_sample(&mut self, router: RouterHash, skew_ms: i64) {
        if skew_ms.abs() <= TOLERATED_MS {
            self.env_clock.confirm();
        }
        if let Some(move_ms) = self.clock.sample(router, skew_ms) {
            let offset_ms = self.env_clock.adjust(move_ms);
            self.env_clock.confirm();
            let seconds = offset_ms.unsigned_abs() / 1000;
            if offset_ms.abs() <= TOLERATED_MS {
                tracing::info!("this machine's clock agrees with those of other routers again");
            } else if offset_ms > 0 {
                tracing::warn!(
                    seconds,
                    "this machine's clock is behind those of other routers; going by theirs: set it \
                     right"
                );
            } else {
                tracing::warn!(
                    seconds,
                    "this machine's clock is ahead of those of other routers; going by theirs: set \
                     it right"
                );
            }
            // What was signed by the wrong clock.
            self.resign = true;
        }
    }

    /// A link that failed may have told the peer's clock, too.
    pub(super) fn clock_of_failure(
        &mut self,
        router: Option<RouterHash>,
        why: &CloseReason,
        now: Now,
    ) {
        if let (
            Some(router),
            CloseReason::Handshake(HandshakeError::ClockSkew { theirs })
            | CloseReason::ClockSkew { theirs },
        ) = (router, why)
        {
            let theirs = i64::try_from(theirs.as_millis()).unwrap_or(i64::MAX);
            let ours = i64::try_from(now.unix.as_millis()).unwrap_or(i64::MAX);
            self.clock_sample(router, theirs.saturating_sub(ours));
        }
    }

    /// Tells of a clock that was set while we ran.
    pub(super) fn watch_clock(&mut self) {
        let Some(jump) = self.env_clock.take_jump() else {
            return;
        };
        let seconds = jump.by_ms.unsigned_abs() / 1000;
        if !jump.held {
            // What was signed by the clock of before.
            self.resign = true;
            tracing::info!(seconds, "this machine's clock was set");
        } else if jump.by_ms > 0 {
            tracing::warn!(
                seconds,
                "this machine's clock was set forward, away from those of other routers; going on \
                 by theirs"
            );
        } else {
            tracing::warn!(
                seconds,
                "this machine's clock was set back, away from those of other routers; going on by \
                 theirs"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_liars_move_nothing_and_a_majority_does() {
        let mut watch = ClockWatch::default();
        let peer = |n: u8| RouterHash([n; 32]);
        for n in 0..2 {
            assert_eq!(watch.sample(peer(n), 90_000), None);
        }
        for n in 2..7 {
            assert_eq!(watch.sample(peer(n), 100), None);
        }
        let mut watch = ClockWatch::default();
        // One peer that repeats itself is one.
        for _ in 0..10 {
            assert_eq!(watch.sample(peer(1), 90_000), None);
        }
        assert_eq!(watch.sample(peer(2), 91_000), None);
        assert_eq!(watch.sample(peer(3), 92_000), Some(91_000));
        assert!(watch.samples.is_empty());
    }
}
