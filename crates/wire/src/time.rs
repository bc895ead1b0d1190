use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A point on the monotonic clock of one run: microseconds since its start.
///
/// Nothing in here reads a clock; the shell or the simulator hands instants in. Arithmetic
/// saturates at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The start of the run.
    pub const ZERO: Self = Self(0);
    /// The end of time: what a timer that never fires is set to.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns the instant this many microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time passed since `earlier`, zero if that is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A point on the calendar clock: milliseconds since 1970-01-01 UTC, leap seconds left out.
///
/// This is the "Date" of the I2P specification. Many fields hold seconds instead; see
/// [`UnixTime::from_secs`]. Arithmetic saturates at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(u64);

impl UnixTime {
    /// Returns the time this many milliseconds after 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the time this many seconds after 1970, as four-byte fields hold it.
    pub const fn from_secs(secs: u32) -> Self {
        // A u32 times 1000 always fits; `From` is not const.
        Self(secs as u64 * 1000)
    }

    /// Returns the milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the four-byte seconds of this time, rounded up: of an expiry that must not come
    /// early. Times that do not fit become the last that does, in 2106.
    pub fn to_secs_up(self) -> u32 {
        u32::try_from(self.0.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    /// Returns the four-byte seconds of this time, rounded to the nearest: of a clock that must not
    /// be biased. Times that do not fit become the last that does.
    pub fn to_secs_nearest(self) -> u32 {
        u32::try_from(self.0.saturating_add(500) / 1000).unwrap_or(u32::MAX)
    }

    /// Returns the time passed since `earlier`, zero if that is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_saturate() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::ZERO - second, Instant::ZERO);
        assert_eq!(Instant::MAX + second, Instant::MAX);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
        let mut now = Instant::ZERO;
        now += second;
        assert_eq!(now.as_micros(), 1_000_000);
        assert_eq!(now.saturating_since(Instant::ZERO), second);
        assert_eq!(Instant::ZERO.saturating_since(now), Duration::ZERO);
        now -= second;
        assert_eq!(now, Instant::ZERO);
    }

    #[test]
    fn calendar_time_counts_milliseconds() {
        let last = UnixTime::from_secs(u32::MAX);
        assert_eq!(last.as_millis(), 4_294_967_295_000);
        assert_eq!(
            (last + Duration::from_millis(999)).as_secs(),
            u64::from(u32::MAX)
        );
        assert_eq!(
            UnixTime::default() - Duration::MAX,
            UnixTime::from_millis(0)
        );
        assert_eq!(
            last.saturating_since(last - Duration::from_secs(5)),
            Duration::from_secs(5)
        );
    }

    #[test]
    fn seconds_are_rounded_as_their_use_asks_for() {
        let at = UnixTime::from_millis;
        assert_eq!(at(1000).to_secs_up(), 1);
        assert_eq!(at(1001).to_secs_up(), 2);
        assert_eq!(at(1499).to_secs_nearest(), 1);
        assert_eq!(at(1500).to_secs_nearest(), 2);
        assert_eq!(at(u64::MAX).to_secs_up(), u32::MAX);
        assert_eq!(at(u64::MAX).to_secs_nearest(), u32::MAX);
    }
}
