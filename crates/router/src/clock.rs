//! The router's time, which differs from the machine's when that is wrong.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ramson_proto::Now;
use ramson_wire::{Instant, UnixTime};

/// When the calendar moves by more than this against the monotonic clock, somebody has set it. What
/// corrects a clock slowly moves it less than that between two looks.
const JUMP: Duration = Duration::from_secs(2);
/// It is followed in steps of this.
const DRIFT: Duration = Duration::from_millis(100);

/// A clock that was set while the router ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jump {
    /// Forward by so many milliseconds.
    pub(crate) by_ms: i64,
    /// The router did not go along.
    pub(crate) held: bool,
}

#[derive(Debug, Default)]
struct Shared {
    /// By how much the router goes by another time than its machine.
    offset_ms: AtomicI64,
    /// How far the calendar was ahead of the monotonic clock; zero before the first look.
    ahead_ms: AtomicI64,
    /// Peers agreed with the router's time.
    confirmed: AtomicBool,
    jump: Mutex<Option<Jump>>,
}

/// The calendar as the router goes by it. Clones are the same.
///
/// Links, messages and signatures all carry times, so that a clock that is set by hours would end
/// all links and spoil all that is under way. When peers have agreed with the router's time before,
/// it therefore goes on by the monotonic clock; what they say afterwards still corrects it.
#[derive(Debug, Clone, Default)]
pub struct RouterClock(Arc<Shared>);

impl RouterClock {
    /// The router's time at this instant, when the machine's calendar says `unix`.
    pub fn now(&self, instant: Instant, unix: UnixTime) -> Now {
        let ahead = signed(unix.as_millis()).saturating_sub(signed(instant.as_micros() / 1000));
        let known = self.0.ahead_ms.load(Ordering::Relaxed);
        let moved = known.abs_diff(ahead);
        if moved > millis(JUMP) {
            self.jumped(ahead);
        } else if moved > millis(DRIFT) {
            // Unless another thread has just seen a jump, of which this is not the news.
            let place = &self.0.ahead_ms;
            let _ = place.compare_exchange(known, ahead, Ordering::Relaxed, Ordering::Relaxed);
        }
        let ours = signed(unix.as_millis()).saturating_add(self.offset_ms());
        Now {
            instant,
            unix: UnixTime::from_millis(u64::try_from(ours).unwrap_or(0)),
        }
    }

    /// By how many milliseconds the router's time is ahead of the machine's.
    pub fn offset_ms(&self) -> i64 {
        self.0.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the router's time; returns the whole difference to the machine's.
    pub(crate) fn adjust(&self, by_ms: i64) -> i64 {
        let offset = self.offset_ms().saturating_add(by_ms);
        self.0.offset_ms.store(offset, Ordering::Relaxed);
        offset
    }

    /// Peers agree with the router's time as it is now.
    pub(crate) fn confirm(&self) {
        self.0.confirmed.store(true, Ordering::Relaxed);
    }

    /// How the machine's clock was set since this was last asked.
    pub(crate) fn take_jump(&self) -> Option<Jump> {
        self.lock().take()
    }

    /// The calendar is as far ahead of the monotonic clock as it was not before.
    fn jumped(&self, ahead: i64) {
        let mut told = self.lock();
        let known = self.0.ahead_ms.swap(ahead, Ordering::Relaxed);
        let by_ms = ahead.saturating_sub(known);
        // At the first look there is nothing to compare with, and another thread may have seen it.
        if known == 0 || by_ms.unsigned_abs() <= millis(JUMP) {
            return;
        }
        let held = self.0.confirmed.load(Ordering::Relaxed);
        if held {
            self.adjust(by_ms.saturating_neg());
        }
        let before = told.map_or(0, |jump| jump.by_ms);
        let by_ms = by_ms.saturating_add(before);
        *told = (by_ms.unsigned_abs() > millis(JUMP)).then_some(Jump { by_ms, held });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Jump>> {
        self.0.jump.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_ONE: u64 = 1_790_000_000_000;
    const HOURS: u64 = 5 * 3_600_000;

    /// What the router says when the machine says so many milliseconds after the first day.
    fn look(clock: &RouterClock, instant: u64, unix: u64) -> u64 {
        let instant = Instant::from_micros(instant * 1000);
        let unix = UnixTime::from_millis(DAY_ONE + unix);
        clock.now(instant, unix).unix.as_millis() - DAY_ONE
    }

    #[test]
    fn a_clock_that_peers_agreed_with_is_not_let_go() {
        let clock = RouterClock::default();
        assert_eq!(look(&clock, 10, 10), 10);
        clock.confirm();
        assert_eq!(look(&clock, 20, 20 + HOURS), 20);
        assert_eq!(look(&clock, 30, 30 + HOURS), 30);
        assert_eq!(clock.offset_ms(), -5 * 3_600_000);
        let jump = |by_ms| Some(Jump { by_ms, held: true });
        assert_eq!(clock.take_jump(), jump(5 * 3_600_000));
        assert_eq!(clock.take_jump(), None);
        // Back again, and further back.
        assert_eq!(look(&clock, 40, 40), 40);
        assert_eq!(clock.offset_ms(), 0);
        assert_eq!(look(&clock, HOURS + 50, 50), HOURS + 50);
        assert_eq!(clock.offset_ms(), 5 * 3_600_000);
        // Set twice before anybody asked: what is left of it counts.
        assert_eq!(clock.take_jump(), jump(-2 * 5 * 3_600_000));
    }

    #[test]
    fn a_clock_that_nobody_agreed_with_yet_may_be_set_right() {
        let clock = RouterClock::default();
        assert_eq!(look(&clock, 10, 10), 10);
        assert_eq!(look(&clock, 20, 20 + HOURS), 20 + HOURS);
        assert_eq!(clock.offset_ms(), 0);
        let jump = clock.take_jump().unwrap();
        assert_eq!((jump.by_ms, jump.held), (5 * 3_600_000, false));
    }

    #[test]
    fn a_clock_that_drifts_or_sleeps_is_followed() {
        let clock = RouterClock::default();
        clock.confirm();
        let mut unix = 0;
        for second in 0..100_000 {
            // A hundredth too fast, and looked at each second.
            unix = second * 1010;
            assert_eq!(look(&clock, second * 1000, unix), unix);
        }
        assert_eq!(clock.take_jump(), None);
        // Both clocks go on while the machine sleeps.
        let asleep = 8 * HOURS;
        assert_eq!(
            look(&clock, 99_999_000 + asleep, unix + asleep),
            unix + asleep
        );
        assert_eq!(clock.offset_ms(), 0);
    }
}
