//! Whether other routers believe that we are where we say.

use std::collections::BTreeMap;
use std::time::Duration;

use ramson_proto::Now;
use ramson_proto::ntcp2::CloseReason;
use ramson_wire::ntcp2::TerminationReason;
use ramson_wire::{Instant, RouterHash};

/// Refusals are counted over this time.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Routers that have to agree; or refusals, if no router at all accepts us.
const AGREEING: usize = 3;
/// It is said again after this long.
const AGAIN: Duration = Duration::from_secs(60 * 60);
/// Routers that are remembered.
const REMEMBERED: usize = 64;

/// Counts links that we dialled and that the other router ended as soon as it knew who we are.
///
/// That is what i2pd and Java I2P do (reason 17, banned) and what we do (reason 13) when a
/// connection comes from another address than the dialling router publishes (NTCP2, Termination).
#[derive(Debug, Default)]
pub(crate) struct AddressWatch {
    refused: BTreeMap<RouterHash, (Instant, usize)>,
    /// When a router was content with us.
    accepted: Option<Instant>,
    said: Option<Instant>,
}

impl AddressWatch {
    /// A link that we dialled has ended, `brief` if right after its handshake. Says so in the log
    /// when it is time to.
    pub(super) fn ended(&mut self, router: RouterHash, brief: bool, why: &CloseReason, now: Now) {
        if self.refuses(router, brief, why, now.instant) {
            tracing::warn!(
                routers = self.refused.len(),
                "other routers end our connections as soon as they know who we are: most likely we \
                 do not come from the address that we publish; is ntcp2.published right, and do \
                 connections leave from there?"
            );
        }
    }

    fn refuses(
        &mut self,
        router: RouterHash,
        brief: bool,
        why: &CloseReason,
        now: Instant,
    ) -> bool {
        let refusal = matches!(
            why,
            CloseReason::Remote(TerminationReason::Banned | TerminationReason::Message3)
        );
        if !brief {
            self.accepted = Some(now);
        }
        if !brief || !refusal {
            return false;
        }
        self.refused
            .retain(|_, (at, _)| now.saturating_since(*at) < WINDOW);
        if self.refused.len() < REMEMBERED || self.refused.contains_key(&router) {
            let (at, times) = self.refused.entry(router).or_insert((now, 0));
            *at = now;
            *times += 1;
        }
        let times: usize = self.refused.values().map(|(_, times)| times).sum();
        let recent = |at: Instant| now.saturating_since(at) < WINDOW;
        let alone = !self.accepted.is_some_and(recent);
        let enough = self.refused.len() >= AGREEING || (alone && times >= AGREEING);
        let said = self.said.is_some_and(|at| now.saturating_since(at) < AGAIN);
        if enough && !said {
            self.said = Some(now);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNED: CloseReason = CloseReason::Remote(TerminationReason::Banned);
    const MESSAGE3: CloseReason = CloseReason::Remote(TerminationReason::Message3);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn router(n: u8) -> RouterHash {
        RouterHash([n; 32])
    }

    #[test]
    fn three_routers_that_refuse_us_are_worth_a_line_an_hour() {
        let mut watch = AddressWatch::default();
        // Some do not look at it.
        assert!(!watch.refuses(router(9), false, &CloseReason::Idle, at(0)));
        assert!(!watch.refuses(router(1), true, &BANNED, at(1)));
        assert!(!watch.refuses(router(1), true, &BANNED, at(2)));
        assert!(!watch.refuses(router(2), true, &MESSAGE3, at(3)));
        assert!(!watch.refuses(router(3), true, &CloseReason::SocketEnded, at(4)));
        assert!(!watch.refuses(router(3), false, &BANNED, at(5)));
        assert!(watch.refuses(router(3), true, &BANNED, at(6)));
        assert!(!watch.refuses(router(4), true, &BANNED, at(7)));
        for n in 0..3 {
            assert!(!watch.refuses(router(n), true, &BANNED, at(3590)));
        }
        assert!(watch.refuses(router(5), true, &BANNED, at(3610)));
    }

    #[test]
    fn one_router_is_believed_if_there_is_no_other() {
        let mut watch = AddressWatch::default();
        assert!(!watch.refuses(router(1), true, &BANNED, at(0)));
        assert!(!watch.refuses(router(1), true, &BANNED, at(100)));
        assert!(watch.refuses(router(1), true, &BANNED, at(200)));
    }

    #[test]
    fn what_was_long_ago_and_a_crowd_do_not_count() {
        let mut watch = AddressWatch::default();
        for n in 0..100 {
            let seconds = u64::from(n) * 400;
            assert!(!watch.refuses(router(n), true, &BANNED, at(seconds)), "{n}");
        }
        for n in 0..255 {
            watch.refuses(router(n), true, &BANNED, at(100_000));
        }
        assert_eq!(watch.refused.len(), REMEMBERED);
    }
}
