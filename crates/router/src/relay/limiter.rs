//! The rate that transit may have.

use ramson_wire::Instant;

/// A token bucket of one second's worth.
#[derive(Debug)]
pub(super) struct Limiter {
    rate_bytes_per_s: u64,
    tokens: u64,
    filled: Instant,
}

impl Limiter {
    pub(super) fn new(rate_bytes_per_s: u64) -> Self {
        Self {
            rate_bytes_per_s,
            tokens: rate_bytes_per_s,
            filled: Instant::ZERO,
        }
    }

    pub(super) fn set(&mut self, rate_bytes_per_s: u64) {
        self.rate_bytes_per_s = rate_bytes_per_s;
        self.tokens = self.tokens.min(rate_bytes_per_s);
    }

    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> bool {
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
        let taken = self.tokens.checked_sub(bytes);
        self.tokens = taken.unwrap_or(self.tokens);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_changes_holds_from_then_on() {
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        let mut limiter = Limiter::new(1000);
        let taken = |limiter: &mut Limiter, seconds| {
            (0..5000).filter(|_| limiter.take(1, at(seconds))).count()
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
}
