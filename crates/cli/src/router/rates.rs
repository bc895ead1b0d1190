//! Bytes per second, from totals that are looked at every second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ramson::router::RunningRouter;

use super::RouterNumbers;
use super::status::Totals;

/// How often the numbers are made anew.
const EVERY: Duration = Duration::from_secs(1);
/// Over how many looks a rate is taken.
const WINDOW: usize = 15;

/// Keeps the numbers new, for ever.
pub(super) async fn watch(router: &RunningRouter, numbers: &Mutex<RouterNumbers>) {
    let mut window = Window::default();
    loop {
        let mut new = RouterNumbers::of(&router.report());
        let [received, sent, transit] = window.rates(new.totals(), Instant::now());
        new.received_bytes_per_s = received;
        new.sent_bytes_per_s = sent;
        new.transit_bytes_per_s = transit;
        {
            let mut old = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            new.version = std::mem::take(&mut old.version);
            new.listen = old.listen.take();
            new.network_id = old.network_id;
            new.published = old.published;
            *old = new;
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[derive(Debug, Default)]
struct Window(VecDeque<(Instant, Totals)>);

impl Window {
    /// Looks at new totals; returns what that is a second since the oldest look.
    fn rates(&mut self, new: Totals, now: Instant) -> Totals {
        if self.0.len() > WINDOW {
            self.0.pop_front();
        }
        self.0.push_back((now, new));
        let Some((since, old)) = self.0.front() else {
            return Totals::default();
        };
        let millis = u64::try_from(now.duration_since(*since).as_millis()).unwrap_or(u64::MAX);
        let mut rates = Totals::default();
        for ((rate, new), old) in rates.iter_mut().zip(new).zip(old) {
            let bytes = new.saturating_sub(*old).saturating_mul(1000);
            *rate = bytes.checked_div(millis).unwrap_or(0);
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let began = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.rates([5, 5, 5], began), [0; 3]);
        for second in 1..100 {
            let now = began + EVERY * second;
            let second = u64::from(second);
            let rates = window.rates([5 + 1000 * second, 5, 5 + second], now);
            assert_eq!(rates, [1000, 0, 1]);
        }
        let quiet = began + EVERY * 200;
        window.0.clear();
        window.rates([7; 3], quiet);
        assert_eq!(window.rates([7; 3], quiet + EVERY), [0; 3]);
        assert!(window.0.len() <= WINDOW + 1);
    }
}
