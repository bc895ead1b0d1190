use std::time::Duration;

use ramson_wire::Instant;

/// How long a minimum is remembered, at least; at most it is twice that. Tunnels change each ten
/// minutes, and with them the shortest way.
const MIN_WINDOW: Duration = Duration::from_secs(10);

/// What of a round trip nothing of ours explains: a receiver that gathers packets before it
/// acknowledges, and timers that are a little late.
const SLACK: Duration = Duration::from_millis(10);

/// The estimate of the round-trip time (RFC 6298), with its minimum of late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rtt {
    /// Before the first sample, what the timeout is.
    initial_rto: Duration,
    min_rto: Duration,
    smoothed: Option<Duration>,
    variance: Duration,
    latest: Duration,
    /// The least since `rotated`, and the least of the window before.
    min: Duration,
    older_min: Duration,
    rotated: Instant,
}

impl Rtt {
    pub(super) fn new(initial_rto: Duration, min_rto: Duration) -> Self {
        Self {
            initial_rto,
            min_rto,
            smoothed: None,
            variance: Duration::ZERO,
            latest: Duration::ZERO,
            min: Duration::MAX,
            older_min: Duration::MAX,
            rotated: Instant::ZERO,
        }
    }

    /// Begins with what another stream to the same peer knew (Control Block Sharing).
    pub(super) fn seed(&mut self, smoothed: Duration, variance: Duration) {
        self.smoothed = Some(smoothed);
        // It is of another time.
        self.variance = variance.max(smoothed / 2);
        self.latest = smoothed;
    }

    pub(super) fn sample(&mut self, sample: Duration, now: Instant) {
        if now.saturating_since(self.rotated) >= MIN_WINDOW {
            self.older_min = self.min;
            self.min = Duration::MAX;
            self.rotated = now;
        }
        self.min = self.min.min(sample);
        self.latest = sample;
        match self.smoothed {
            None => {
                self.variance = sample / 2;
                self.smoothed = Some(sample);
            }
            Some(smoothed) => {
                self.variance = (self.variance * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// Learns that a timeout came before an answer that was on its way.
    pub(super) fn premature(&mut self) {
        let more = self.variance / 2 + self.smoothed.unwrap_or_default() / 8;
        self.variance += more;
    }

    /// Forgets the minimum: the way is another one.
    pub(super) fn forget_min(&mut self) {
        self.min = Duration::MAX;
        self.older_min = Duration::MAX;
    }

    /// Returns the smoothed time, `None` before the first sample.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(super) fn variance(&self) -> Duration {
        self.variance
    }

    pub(super) fn latest(&self) -> Duration {
        self.latest
    }

    /// Returns the least of late, zero before the first sample.
    pub(super) fn min(&self) -> Duration {
        match self.min.min(self.older_min) {
            Duration::MAX => Duration::ZERO,
            min => min,
        }
    }

    /// Returns after how long without an acknowledgement a packet is sent again.
    pub(super) fn timeout(&self) -> Duration {
        match self.smoothed {
            None => self.initial_rto,
            Some(smoothed) => {
                // Peers wait an eighth or a tenth of what they believe the time to be.
                let delayed = smoothed / 8 + SLACK;
                (smoothed + (self.variance * 4).max(SLACK) + delayed).max(self.min_rto)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn the_first_sample_is_the_estimate() {
        let mut rtt = Rtt::new(ms(3000), ms(100));
        assert_eq!(rtt.timeout(), ms(3000));
        assert_eq!(rtt.min(), ms(0));
        rtt.sample(ms(200), at(0));
        assert_eq!(rtt.smoothed(), Some(ms(200)));
        assert_eq!(rtt.variance(), ms(100));
        assert_eq!(rtt.timeout(), ms(200 + 400 + 25 + 10));
    }

    #[test]
    fn a_steady_time_narrows_the_timeout() {
        let mut rtt = Rtt::new(ms(3000), ms(100));
        for n in 0..100 {
            rtt.sample(ms(400), at(n));
        }
        assert_eq!(rtt.timeout(), ms(400 + 10 + 50 + 10));
        let mut short = Rtt::new(ms(3000), ms(100));
        (0..100).for_each(|n| short.sample(ms(1), at(n)));
        assert_eq!(short.timeout(), ms(100));
    }

    #[test]
    fn the_minimum_is_of_late() {
        let mut rtt = Rtt::new(ms(3000), ms(100));
        rtt.sample(ms(50), at(0));
        rtt.sample(ms(90), at(9_000));
        assert_eq!(rtt.min(), ms(50));
        rtt.sample(ms(90), at(11_000));
        assert_eq!(rtt.min(), ms(50));
        rtt.sample(ms(91), at(22_000));
        assert_eq!(rtt.min(), ms(90));
        rtt.forget_min();
        assert_eq!(rtt.min(), ms(0));
    }
}
