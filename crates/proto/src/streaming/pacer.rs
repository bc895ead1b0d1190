use std::time::Duration;

use ramson_wire::Instant;

/// How many billionths of a packet one credit is.
const PACKET: u64 = 1_000_000_000;

/// The shortest time that one wakes up for.
const SHORTEST: Duration = Duration::from_millis(1);

/// Spreads packets over the round trip, in quanta: so many at once that one wake-up, one
/// encryption batch and one write serve many (at least [`Pacer::quantum`], or a millisecond's
/// worth).
#[derive(Debug, Clone, Copy)]
pub(super) struct Pacer {
    quantum: u32,
    /// Billionths of a packet that may go now.
    credit: u64,
    /// Billionths of a packet each microsecond; `None` before the round-trip time is known.
    rate: Option<u64>,
    counted: Instant,
}

impl Pacer {
    pub(super) fn new(quantum: u32, now: Instant) -> Self {
        Self {
            quantum: quantum.max(1),
            credit: 0,
            rate: None,
            counted: now,
        }
    }

    /// Sets the rate to so many hundredths of a window each round trip.
    pub(super) fn set_rate(&mut self, window: u32, percent: u32, rtt: Duration, now: Instant) {
        let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1);
        let per_rtt = u64::from(window) * u64::from(percent) * (PACKET / 100);
        self.count(now);
        if self.rate.is_none() {
            self.credit = self.burst_of(per_rtt / micros);
        }
        self.rate = Some((per_rtt / micros).max(1));
    }

    /// Returns how many packets may pile up at this rate.
    fn burst_of(&self, rate: u64) -> u64 {
        let shortest = u64::try_from(SHORTEST.as_micros()).unwrap_or(u64::MAX);
        // Twice, since the timer that is to spend it may come late by its own length.
        let quantum = u64::from(self.quantum).saturating_mul(PACKET);
        rate.saturating_mul(shortest).max(quantum).saturating_mul(2)
    }

    fn count(&mut self, now: Instant) {
        let passed = now.saturating_since(self.counted);
        self.counted = self.counted.max(now);
        if let Some(rate) = self.rate {
            let passed = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
            let credit = self.credit.saturating_add(rate.saturating_mul(passed));
            self.credit = credit.min(self.burst_of(rate));
        }
    }

    /// Says whether a packet may go.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        self.count(now);
        self.rate.is_none() || self.credit >= PACKET
    }

    /// Takes the credit of a packet that went. One that went without credit is owed.
    pub(super) fn spend(&mut self) {
        self.credit = self.credit.saturating_sub(PACKET);
    }

    /// Returns when a quantum may go.
    pub(super) fn next(&self) -> Instant {
        let Some(rate) = self.rate else {
            return self.counted;
        };
        let quantum = u64::from(self.quantum).saturating_mul(PACKET);
        let wait = Duration::from_micros(quantum.saturating_sub(self.credit).div_ceil(rate));
        // A quantum may take long on a slow way: then packets go one by one.
        let one = Duration::from_micros(PACKET.saturating_sub(self.credit).div_ceil(rate));
        self.counted + wait.min(Duration::from_millis(10)).max(one).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn without_a_rate_everything_may_go() {
        let mut pacer = Pacer::new(8, ms(0));
        (0..100).for_each(|_| pacer.spend());
        assert!(pacer.allows(ms(0)));
    }

    #[test]
    fn a_window_is_spread_over_a_round_trip() {
        let mut pacer = Pacer::new(8, ms(0));
        pacer.set_rate(100, 100, Duration::from_millis(100), ms(0));
        let (mut now, mut sent, mut wakes) = (ms(0), 0, 0);
        while now < ms(1000) {
            while pacer.allows(now) {
                pacer.spend();
                sent += 1;
            }
            assert!(pacer.next() > now);
            now = pacer.next();
            wakes += 1;
        }
        assert!((1000..1030).contains(&sent), "{sent}");
        assert!(wakes <= 130, "{wakes}");
    }

    #[test]
    fn idle_time_does_not_pile_up() {
        let mut pacer = Pacer::new(8, ms(0));
        pacer.set_rate(100, 100, Duration::from_millis(100), ms(0));
        let mut sent = 0;
        while pacer.allows(ms(60_000)) {
            pacer.spend();
            sent += 1;
        }
        assert_eq!(sent, 16);
    }
}
