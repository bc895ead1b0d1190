use std::collections::VecDeque;
use std::time::Duration;

use ramson_wire::Instant;

use super::{Acked, Congestion, Lost};

/// How fast the window grows back, in packets and seconds (RFC 9438, section 5.1).
const C: f64 = 0.4;

/// What is left of the window after congestion (RFC 9438, section 4.6).
const BETA: f64 = 0.7;

/// How many packets' fates make one estimate of the share that is lost, and of how many estimates
/// the least is what the way loses at any rate.
const EPOCH: u32 = 64;
const EPOCHS: usize = 16;

/// The bounds of a [`Cubic`], in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CubicConfig {
    /// The first window.
    pub initial: u32,
    /// The least.
    pub min: u32,
    /// The largest.
    pub max: u32,
}

impl Default for CubicConfig {
    /// 10 at first, as i2pd; 2 at least; 512 at most, which i2pd takes. Java takes 128 and says so
    /// when it is too much.
    fn default() -> Self {
        Self {
            initial: 10,
            min: 2,
            max: 512,
        }
    }
}

/// CUBIC (RFC 9438) that asks for evidence before it takes a loss for congestion: a queue, seen in
/// a round trip whose least time is well above the shortest one of late; or a share of losses well
/// above what this way loses at any rate.
///
/// A queue alone ends slow start and growth; a long one shrinks the window without any loss.
#[derive(Debug, Clone)]
pub struct Cubic {
    config: CubicConfig,
    max: f64,
    window: f64,
    threshold: f64,
    /// The window at the last congestion, and when the growth since then began.
    last_max: f64,
    growth_began: Option<Instant>,
    /// Congestion is answered once for all that had been sent when it was noticed.
    recovered_at: u64,
    /// The round ends when something sent after its begin is acknowledged.
    round_ends: u64,
    round_min: Option<Duration>,
    /// As the last whole round showed it.
    queue: Queue,
    /// Window, threshold and last maximum before the last silence.
    before_silence: Option<[f64; 3]>,
    epoch_acked: u32,
    epoch_lost: u32,
    /// Shares lost, of the latest epochs.
    shares: VecDeque<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    None,
    Some,
    Long,
}

impl Cubic {
    /// Returns the start of a stream.
    pub fn new(config: CubicConfig) -> Self {
        let max = f64::from(config.max.max(1));
        Self {
            config,
            max,
            window: f64::from(config.initial.max(1)).min(max),
            threshold: f64::INFINITY,
            last_max: 0.0,
            growth_began: None,
            recovered_at: 0,
            round_ends: 0,
            round_min: None,
            queue: Queue::None,
            before_silence: None,
            epoch_acked: 0,
            epoch_lost: 0,
            shares: VecDeque::new(),
        }
    }

    fn min(&self) -> f64 {
        f64::from(self.config.min.max(1)).min(self.max)
    }

    fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    fn reduce(&mut self, factor: f64, sent: u64, now: Instant) {
        self.before_silence = None;
        self.last_max = self.window;
        self.window = (self.window * factor).max(self.min());
        self.threshold = self.window;
        self.growth_began = Some(now);
        self.recovered_at = sent;
    }

    /// Ends an epoch, if it has enough in it, and says whether more was lost in it than this way
    /// loses at any rate.
    fn end_epoch(&mut self) -> bool {
        let all = self.epoch_acked.saturating_add(self.epoch_lost);
        if all < EPOCH {
            return false;
        }
        let share = f64::from(self.epoch_lost) / f64::from(all);
        let usual = self.shares.iter().copied().fold(f64::INFINITY, f64::min);
        // In the first epoch nothing is known of this way.
        let unusual = match usual.is_finite() {
            true => share > usual * 1.5 + 0.1,
            false => share > 0.5,
        };
        if self.shares.len() >= EPOCHS {
            self.shares.pop_front();
        }
        self.shares.push_back(share);
        self.epoch_acked = 0;
        self.epoch_lost = 0;
        unusual
    }

    fn end_round(&mut self, acked: &Acked) {
        self.round_ends = acked.sent;
        let Some(least) = self.round_min.take() else {
            return;
        };
        let queued = least.saturating_sub(acked.min_rtt);
        let long = acked.min_rtt * 2 + Duration::from_millis(100);
        self.queue = match acked.min_rtt.is_zero() {
            true => Queue::None,
            false if queued > long => Queue::Long,
            false if queued > acked.min_rtt / 4 + Duration::from_millis(5) => Queue::Some,
            false => Queue::None,
        };
    }

    fn grow(&mut self, packets: u32, now: Instant) {
        if self.in_slow_start() {
            self.window = (self.window + f64::from(packets)).min(self.threshold);
            return;
        }
        let began = *self.growth_began.get_or_insert(now);
        let time = now.saturating_since(began).as_secs_f64();
        let last = self.last_max.max(self.window.min(self.threshold));
        let target = C * cube(time - cube_root(last * (1.0 - BETA) / C)) + last;
        let step = match target > self.window {
            // At most half a window more each round trip.
            true => ((target - self.window) / self.window).min(0.5),
            // As fast as TCP of old, where that is faster.
            false => 0.5 / self.window,
        };
        self.window += f64::from(packets) * step.max(0.5 / self.window);
    }
}

impl Congestion for Cubic {
    fn window(&self) -> u32 {
        // Between 1 and a u32: `as` saturates, and NaN would become 0.
        (self.window as u32).max(1)
    }

    fn pacing_percent(&self) -> u32 {
        match self.in_slow_start() {
            true => 200,
            false => 125,
        }
    }

    fn handle_acked(&mut self, acked: &Acked, now: Instant) {
        self.epoch_acked = self.epoch_acked.saturating_add(acked.packets);
        if let Some(rtt) = acked.rtt {
            self.round_min = Some(self.round_min.map_or(rtt, |least| least.min(rtt)));
        }
        if acked.newest >= self.round_ends {
            self.end_round(acked);
            // Whole rounds are judged, since losses and acknowledgements of a round come in clumps.
            let unusual = self.end_epoch();
            if acked.newest >= self.recovered_at {
                if unusual {
                    return self.reduce(BETA, acked.sent, now);
                }
                if self.queue == Queue::Long {
                    return self.reduce(0.85, acked.sent, now);
                }
            }
            if self.queue == Queue::Some && self.in_slow_start() {
                self.threshold = self.window;
                self.last_max = self.window;
                self.growth_began = Some(now);
            }
        }
        // What is not used says nothing of whether there is room for more.
        let used = f64::from(acked.in_flight) >= self.window * 0.6;
        if used && self.queue == Queue::None && acked.newest >= self.recovered_at {
            self.grow(acked.packets, now);
        } else if !self.in_slow_start() {
            // Time in which the window may not grow is not time it has grown in.
            self.growth_began = None;
        }
        self.window = self.window.clamp(self.min(), self.max);
    }

    fn handle_lost(&mut self, lost: &Lost, now: Instant) {
        self.epoch_lost = self.epoch_lost.saturating_add(lost.packets);
        if lost.newest >= self.recovered_at && self.queue != Queue::None {
            self.reduce(BETA, lost.sent, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.before_silence = Some([self.window, self.threshold, self.last_max]);
        // Silence again before the window was back says little of how much gets through.
        self.last_max = self.window.max(self.last_max * BETA);
        let half = self.last_max / 2.0;
        self.threshold = half.max(f64::from(self.config.initial)).min(self.max);
        // Only probes go until something comes back; then it is a new start.
        self.window = self.window.min(f64::from(self.config.initial.max(1)));
        self.growth_began = Some(now);
        self.queue = Queue::None;
        self.round_min = None;
    }

    fn handle_false_timeout(&mut self, now: Instant) {
        if let Some([window, threshold, last_max]) = self.before_silence.take() {
            self.window = window.max(self.window).min(self.max);
            self.threshold = threshold;
            self.last_max = last_max;
            self.growth_began = Some(now);
        }
    }

    fn handle_overrun(&mut self, cap: Option<u32>, now: Instant) {
        if let Some(cap) = cap {
            self.max = self.max.min(f64::from(cap.max(1)));
        }
        self.reduce(0.5, self.recovered_at, now);
        self.window = self.window.min(self.max);
    }
}

fn cube(x: f64) -> f64 {
    x * x * x
}

/// Returns the cube root by Newton's method: the library's differs between machines, and the same
/// seed is to be the same run.
fn cube_root(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let mut root = x.max(1.0);
    for _ in 0..40 {
        root = (2.0 * root + x / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests;
