//! What acknowledgements do to what was sent.

use std::time::Duration;

use bytes::Bytes;
use ramson_wire::Instant;

use super::{Choked, MAX_PROBE_INTERVAL, Sender, State};
use crate::streaming::{Acked, Lost};

/// After how many later ones an unacknowledged packet is lost, as long as no packet was seen to
/// overtake others.
const LATER: u64 = 3;

/// How much reordering is allowed for, in quarters of a round trip.
const MAX_REORDERING: u32 = 4;

/// Which window a peer takes that chokes as Java does.
const JAVA_WINDOW: u32 = 64;

/// What a delay in a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::streaming) enum Pressure {
    /// Nothing.
    None,
    /// The receiver takes no more for now.
    Choke {
        /// It is one that takes windows like Java's.
        java: bool,
    },
    /// Packets were too far ahead for it.
    Overrun,
    /// It takes packets.
    Unchoke,
}

impl Pressure {
    /// Reads a delay as the peers that send it mean it: i2pd chokes with 60,000 and says with
    /// 65,535 that packets were too far ahead; Java chokes with 61,000, and takes 60,001 and more
    /// for a choke.
    pub(in crate::streaming) fn from_delay(delay: Option<u16>) -> Self {
        match delay {
            None => Self::None,
            Some(0..60_000) => Self::Unchoke,
            Some(u16::MAX) => Self::Overrun,
            Some(delay) => Self::Choke {
                java: delay == 61_000,
            },
        }
    }
}

/// An acknowledgement of packets that have not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::streaming) struct AckOfUnsent;

impl Sender {
    /// Handles an acknowledgement, and returns how many packets are newly acknowledged.
    pub(in crate::streaming) fn handle_ack(
        &mut self,
        through: u32,
        nacks: impl Iterator<Item = u32>,
        now: Instant,
    ) -> Result<u32, AckOfUnsent> {
        if through >= self.next_sequence() {
            return Err(AckOfUnsent);
        }
        if through < self.base {
            return Ok(0);
        }
        let mut nacks: Vec<u32> = nacks.collect();
        nacks.sort_unstable();
        let in_flight = self.in_flight;
        let least = self.rtt.min();
        let mut packets: u32 = 0;
        let mut newest: Option<(u64, Instant)> = None;
        let mut sample: Option<(u64, Duration)> = None;
        let mut at_least: Option<Duration> = None;
        let mut spurious: u32 = 0;
        let mut unsent_again = false;
        for (sequence, sent) in (self.base..=through).zip(&mut self.sent) {
            if sent.state == State::Acked || nacks.binary_search(&sequence).is_ok() {
                continue;
            }
            match sent.state {
                State::Lost => _ = self.lost.remove(&sequence),
                _ => self.in_flight = self.in_flight.saturating_sub(1),
            }
            packets = packets.saturating_add(1);
            let elapsed = now.saturating_since(sent.sent_at);
            // One that was sent again, and is acknowledged sooner than can be, did arrive before.
            let early = sent.sends > 1 && elapsed < least / 2;
            unsent_again |= sent.state == State::Lost;
            if early || (sent.state == State::Lost && self.timeouts == 0) {
                spurious = spurious.saturating_add(1);
            }
            if !early && sent.state == State::InFlight {
                newest = newest.max(Some((sent.number, sent.sent_at)));
            }
            // After a timeout what comes may answer what was sent before it, and was answered long
            // ago. Then the time is only known to be this long.
            let (timeout_at, sendings) = self.timed_out;
            let elapsed = elapsed.min(match sent.number < sendings {
                true => now.saturating_since(timeout_at),
                false => Duration::MAX,
            });
            match sent.sends {
                1 if sent.number >= sendings => sample = sample.max(Some((sent.number, elapsed))),
                _ => at_least = at_least.max(Some(elapsed)),
            }
            sent.state = State::Acked;
            sent.packet = Bytes::new();
            self.unacked_bytes = self.unacked_bytes.saturating_sub(sent.payload_len);
        }
        if packets == 0 {
            return Ok(0);
        }
        while let Some(front) = self.sent.front()
            && front.state == State::Acked
        {
            self.sent.pop_front();
            self.base = self.base.saturating_add(1);
        }
        if spurious > 0 {
            self.counts.spurious += u64::from(spurious);
            self.reordering = self.reordering.saturating_add(1).min(MAX_REORDERING);
        }
        // What comes sooner after a timeout than an answer to the probe could answers what was sent
        // before.
        if self.timeouts == 1 && now.saturating_since(self.timed_out.0) < least * 9 / 10 {
            self.rtt.premature();
        }
        let sample = sample.map(|(_, rtt)| rtt);
        // It is learned only if it is longer than what was believed: or a way that became longer
        // would time out for ever.
        let longer = at_least.filter(|&rtt| self.rtt.smoothed().is_none_or(|known| rtt > known));
        if let Some(rtt) = sample.or(longer) {
            self.rtt.sample(rtt, now);
        }
        self.newest = self.newest.max(newest);
        if unsent_again && self.timeouts >= 2 {
            self.congestion.handle_false_timeout(now);
        }
        self.timeouts = 0;
        self.timeout_base = now;
        self.waiting_since = now;
        self.congestion.handle_acked(
            &Acked {
                packets,
                in_flight,
                newest: newest.map_or(0, |(number, _)| number),
                sent: self.sendings,
                rtt: sample,
                min_rtt: self.rtt.min(),
            },
            now,
        );
        self.find_lost(now);
        self.set_pace(now);
        Ok(packets)
    }

    pub(super) fn set_pace(&mut self, now: Instant) {
        if let Some(rtt) = self.rtt.smoothed() {
            let (window, percent) = (self.congestion.window(), self.congestion.pacing_percent());
            self.pacer.set_rate(window, percent, rtt, now);
        }
    }

    /// Finds packets that later ones show to be lost.
    pub(super) fn find_lost(&mut self, now: Instant) {
        self.loss_at = None;
        let Some((newest, _)) = self.newest else {
            return;
        };
        let rtt = self
            .rtt
            .latest()
            .max(self.rtt.smoothed().unwrap_or_default());
        let wait = rtt + rtt * (self.reordering + 1) / 4 + Duration::from_millis(1);
        let (mut packets, mut last) = (0_u32, 0);
        for (sequence, sent) in (self.base..).zip(&mut self.sent) {
            if sent.state != State::InFlight || sent.number >= newest {
                continue;
            }
            let due = sent.sent_at + wait;
            let passed = self.reordering == 0 && newest - sent.number >= LATER;
            if passed || due <= now {
                sent.state = State::Lost;
                self.lost.insert(sequence);
                packets = packets.saturating_add(1);
                last = last.max(sent.number);
            } else {
                self.loss_at = Some(self.loss_at.map_or(due, |at| at.min(due)));
            }
        }
        if packets > 0 {
            self.in_flight = self.in_flight.saturating_sub(packets);
            self.counts.lost += u64::from(packets);
            let lost = Lost {
                packets,
                newest: last,
                sent: self.sendings,
            };
            self.congestion.handle_lost(&lost, now);
        }
    }

    /// Handles what a delay in a packet says. `progress` is whether it acknowledged something new.
    pub(in crate::streaming) fn handle_pressure(
        &mut self,
        pressure: Pressure,
        progress: bool,
        now: Instant,
    ) {
        match pressure {
            Pressure::Choke { java } => {
                self.waiting_since = now;
                if self.choked.is_none() {
                    self.counts.chokes += 1;
                    self.choked = Some(Choked {
                        probe_at: now + self.rtt.timeout().min(MAX_PROBE_INTERVAL),
                        tries: 0,
                    });
                    let cap = java.then_some(JAVA_WINDOW);
                    self.congestion.handle_overrun(cap, now);
                    self.set_pace(now);
                }
            }
            Pressure::Overrun => {
                self.waiting_since = now;
                if now >= self.overrun_until {
                    self.overrun_until = now + self.rtt.timeout();
                    self.congestion.handle_overrun(None, now);
                    self.set_pace(now);
                }
            }
            Pressure::Unchoke => self.unchoke(now),
            Pressure::None if progress => self.unchoke(now),
            Pressure::None => {}
        }
    }

    fn unchoke(&mut self, now: Instant) {
        if self.choked.take().is_none() {
            return;
        }
        self.timeouts = 0;
        self.timeout_base = now;
        // What would have been acknowledged by now was dropped for want of room.
        let wait = self.rtt.smoothed().unwrap_or_default();
        for (sequence, sent) in (self.base..).zip(&mut self.sent) {
            if sent.state == State::InFlight && now.saturating_since(sent.sent_at) >= wait {
                sent.state = State::Lost;
                self.in_flight = self.in_flight.saturating_sub(1);
                self.lost.insert(sequence);
            }
        }
    }
}
