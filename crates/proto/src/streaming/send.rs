use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ramson_wire::Instant;

use super::pacer::Pacer;
use super::rtt::Rtt;
use super::{Congestion, Cubic, StreamConfig};

/// How long at most a peer that choked us is left without a probe.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(5);

mod acks;
pub(super) use acks::Pressure;

/// The sending half of a stream: what was written and is not sent, what is sent and not
/// acknowledged, when to send it again, and how fast.
pub(super) struct Sender {
    limit: usize,
    max_backoff: Duration,
    buffer: VecDeque<Bytes>,
    buffered: usize,
    /// Sent packets from `base` on, of which the first is not acknowledged.
    sent: VecDeque<Sent>,
    base: u32,
    /// How many packets `sent` may hold.
    span: usize,
    unacked_bytes: usize,
    in_flight: u32,
    lost: BTreeSet<u32>,
    /// How many sendings there have been.
    sendings: u64,
    /// The last acknowledged packet in the order of sending, and when it was sent.
    newest: Option<(u64, Instant)>,
    reordering: u32,
    loss_at: Option<Instant>,
    congestion: Box<dyn Congestion>,
    pacer: Pacer,
    rtt: Rtt,
    /// Timeouts since the last acknowledgement, and what the next is counted from.
    timeouts: u32,
    timeout_base: Instant,
    /// When the last timeout was, and how many sendings there had been.
    timed_out: (Instant, u64),
    /// Packets that may go whatever the window says.
    probes: u32,
    /// Since when there has been something unacknowledged, and nothing has answered.
    waiting_since: Instant,
    choked: Option<Choked>,
    /// No more overruns are counted before.
    overrun_until: Instant,
    /// Packets since one that asked for an acknowledgement at once.
    unasked: u32,
    pub(super) counts: SendCounts,
}

impl fmt::Debug for Sender {
    /// Shows nothing of what is sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("base", &self.base)
            .field("in_flight", &self.in_flight)
            .field("weight", &self.weight())
            .field("rtt", &self.rtt)
            .field("congestion", &self.congestion)
            .finish_non_exhaustive()
    }
}

struct Sent {
    packet: Bytes,
    payload_len: usize,
    sent_at: Instant,
    number: u64,
    sends: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Acked,
}

#[derive(Debug, Clone, Copy)]
struct Choked {
    probe_at: Instant,
    tries: u32,
}

/// What the sending half has done; all fields only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SendCounts {
    pub(super) resent: u64,
    pub(super) lost: u64,
    pub(super) timeouts: u64,
    pub(super) spurious: u64,
    pub(super) chokes: u64,
}

/// What is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// This one again.
    Resend(u32),
    /// A packet of what is written.
    New,
}

impl Sender {
    pub(super) fn new(config: &StreamConfig, now: Instant) -> Self {
        // Beyond what is missing, the peer holds twice the window at most.
        let span = usize::try_from(config.window.max).unwrap_or(usize::MAX);
        Self {
            limit: config.send_buffer,
            max_backoff: config.max_backoff,
            buffer: VecDeque::new(),
            buffered: 0,
            sent: VecDeque::new(),
            base: 0,
            span: span.saturating_mul(2).max(2),
            unacked_bytes: 0,
            in_flight: 0,
            lost: BTreeSet::new(),
            sendings: 0,
            newest: None,
            reordering: 0,
            loss_at: None,
            congestion: Box::new(Cubic::new(config.window)),
            pacer: Pacer::new(config.quantum(), now),
            rtt: Rtt::new(config.initial_rto, config.min_rto),
            timeouts: 0,
            timeout_base: now,
            timed_out: (now, 0),
            probes: 0,
            waiting_since: now,
            choked: None,
            overrun_until: now,
            unasked: 0,
            counts: SendCounts::default(),
        }
    }

    pub(super) fn set_congestion(&mut self, congestion: Box<dyn Congestion>) {
        self.congestion = congestion;
    }

    pub(super) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    pub(super) fn rtt_mut(&mut self) -> &mut Rtt {
        &mut self.rtt
    }

    pub(super) fn window(&self) -> u32 {
        self.congestion.window()
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn is_choked(&self) -> bool {
        self.choked.is_some()
    }

    pub(super) fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// Returns the sequence number of the next new packet.
    pub(super) fn next_sequence(&self) -> u32 {
        let len = u32::try_from(self.sent.len()).unwrap_or(u32::MAX);
        self.base.saturating_add(len)
    }

    /// Returns the first sequence number that is not acknowledged.
    pub(super) fn base(&self) -> u32 {
        self.base
    }

    /// Says whether nothing is left to be sent or acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.buffered == 0 && self.sent.is_empty()
    }

    /// Returns what is held in memory.
    pub(super) fn weight(&self) -> usize {
        self.buffered.saturating_add(self.unacked_bytes)
    }

    /// Returns how many bytes may be written.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.weight())
    }

    /// Takes what there is room for.
    pub(super) fn write(&mut self, data: &[u8], room: usize) -> usize {
        let len = data.len().min(self.room()).min(room);
        if let Some(data) = data.get(..len).filter(|data| !data.is_empty()) {
            self.buffer.push_back(Bytes::copy_from_slice(data));
            self.buffered = self.buffered.saturating_add(len);
        }
        len
    }

    /// Takes from the front of `data` what there is room for, without copying.
    pub(super) fn write_bytes(&mut self, data: &mut Bytes, room: usize) -> usize {
        let len = data.len().min(self.room()).min(room);
        if len > 0 {
            self.buffer.push_back(data.split_to(len));
            self.buffered = self.buffered.saturating_add(len);
        }
        len
    }

    /// Moves up to `max` written bytes behind a packet's header.
    pub(super) fn take_payload(&mut self, max: usize, out: &mut BytesMut) -> usize {
        let mut taken: usize = 0;
        while let Some(front) = self.buffer.front_mut() {
            let len = front.len().min(max.saturating_sub(taken));
            if len == 0 {
                break;
            }
            out.put(front.copy_to_bytes(len));
            taken = taken.saturating_add(len);
            if front.is_empty() {
                self.buffer.pop_front();
            }
        }
        self.buffered = self.buffered.saturating_sub(taken);
        taken
    }

    /// Forgets everything: nothing more is sent.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.buffered = 0;
        self.base = self.next_sequence();
        self.sent.clear();
        self.unacked_bytes = 0;
        self.in_flight = 0;
        self.lost.clear();
        self.loss_at = None;
        self.choked = None;
        self.probes = 0;
    }

    /// Says what to send now. `may_send_new` is whether the peer can take new packets of data.
    pub(super) fn poll(&mut self, may_send_new: bool, now: Instant) -> Option<Action> {
        let has_new = may_send_new && self.buffered > 0 && self.sent.len() < self.span;
        if self.probes > 0 {
            if let Some(&sequence) = self.lost.first() {
                return Some(Action::Resend(sequence));
            }
            // Each of them once.
            let (_, before) = self.timed_out;
            let oldest = self.sent.iter().position(|sent| {
                sent.state == State::InFlight && (sent.number < before || self.choked.is_some())
            });
            if let Some(oldest) = oldest {
                return Some(Action::Resend(self.sequence_at(oldest)));
            }
            if has_new {
                return Some(Action::New);
            }
            self.probes = 0;
        }
        // When nothing gets through, only probes go.
        let silent = self.timeouts >= 2 || self.choked.is_some();
        if silent || self.in_flight >= self.congestion.window() {
            return None;
        }
        let lost = self.lost.first().copied();
        if (lost.is_none() && !has_new) || !self.pacer.allows(now) {
            return None;
        }
        Some(lost.map_or(Action::New, Action::Resend))
    }

    /// Says whether the packet that is sent next should ask for an acknowledgement at once: behind
    /// the last one nothing else would bring it soon.
    /// `payload` is how much a packet takes.
    pub(super) fn asks(&mut self, payload: usize) -> bool {
        let often = (self.congestion.window() / 4).max(4);
        let asks = self.buffered <= payload || self.unasked >= often;
        self.unasked = if asks {
            0
        } else {
            self.unasked.saturating_add(1)
        };
        asks
    }

    /// Keeps a packet that was sent for the first time.
    pub(super) fn record(&mut self, packet: Bytes, payload_len: usize, now: Instant) {
        if self.sent.is_empty() {
            self.waiting_since = now;
        }
        self.sent.push_back(Sent {
            packet,
            payload_len,
            sent_at: now,
            number: self.sendings,
            sends: 1,
            state: State::InFlight,
        });
        self.unacked_bytes = self.unacked_bytes.saturating_add(payload_len);
        self.in_flight = self.in_flight.saturating_add(1);
        self.went(now);
    }

    /// Returns a packet that is sent again. It may be changed where nothing is signed.
    pub(super) fn resend(&mut self, sequence: u32, now: Instant) -> Option<Bytes> {
        let number = self.sendings;
        let sent = self.sent_mut(sequence)?;
        sent.sent_at = now;
        sent.number = number;
        sent.sends = sent.sends.saturating_add(1);
        let packet = sent.packet.clone();
        if sent.state != State::InFlight {
            sent.state = State::InFlight;
            self.in_flight = self.in_flight.saturating_add(1);
        }
        self.lost.remove(&sequence);
        self.counts.resent += 1;
        self.went(now);
        Some(packet)
    }

    fn went(&mut self, now: Instant) {
        self.sendings += 1;
        self.probes = self.probes.saturating_sub(1);
        self.timeout_base = now;
        self.pacer.spend();
    }

    fn sent_mut(&mut self, sequence: u32) -> Option<&mut Sent> {
        let at = usize::try_from(sequence.checked_sub(self.base)?).ok()?;
        self.sent.get_mut(at)
    }

    fn sequence_at(&self, at: usize) -> u32 {
        self.base
            .saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// Sends a packet again before anything tells that it is lost, if it was not sent just now.
    pub(super) fn hurry(&mut self, sequence: u32, now: Instant) {
        let wait = self.rtt.smoothed().unwrap_or(Duration::from_millis(500));
        if let Some(sent) = self.sent_mut(sequence)
            && sent.state == State::InFlight
            && now.saturating_since(sent.sent_at) >= wait
        {
            sent.state = State::Lost;
            self.in_flight = self.in_flight.saturating_sub(1);
            self.lost.insert(sequence);
            self.probes = self.probes.max(1);
        }
    }

    /// Returns when something has to be done.
    pub(super) fn poll_timeout(&self, may_send_new: bool) -> Option<Instant> {
        if let Some(choked) = self.choked {
            return (!self.is_idle()).then_some(choked.probe_at);
        }
        let waits = self.in_flight > 0 || self.timeouts >= 2;
        let timeout = waits.then(|| self.timeout_base + self.backed_off());
        let has_new = may_send_new && self.buffered > 0 && self.sent.len() < self.span;
        let wants = has_new || !self.lost.is_empty();
        let may = wants && self.timeouts < 2 && self.in_flight < self.congestion.window();
        let paced = may.then(|| self.pacer.next());
        [timeout, self.loss_at, paced].into_iter().flatten().min()
    }

    fn backed_off(&self) -> Duration {
        let timeout = self.rtt.timeout();
        let factor = 1 << self.timeouts.min(16);
        timeout
            .saturating_mul(factor)
            .min(self.max_backoff.max(timeout))
    }

    /// Handles the timers that are due, and says whether a timeout was among them.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        if let Some(choked) = &mut self.choked {
            if choked.probe_at <= now {
                let wait = self.rtt.timeout() * (1 << choked.tries.min(8));
                choked.tries = choked.tries.saturating_add(1);
                choked.probe_at = now + wait.min(MAX_PROBE_INTERVAL);
                self.probes = 1;
            }
            return false;
        }
        // So that the pacer's next moment is behind this one, whether or not it is used.
        let _ = self.pacer.allows(now);
        if self.loss_at.is_some_and(|at| at <= now) {
            self.find_lost(now);
            self.set_pace(now);
        }
        let waits = self.in_flight > 0 || self.timeouts >= 2;
        if !waits || now < self.timeout_base + self.backed_off() {
            return false;
        }
        self.timeouts = self.timeouts.saturating_add(1);
        self.timeout_base = now;
        self.timed_out = (now, self.sendings);
        self.counts.timeouts += 1;
        self.probes = if self.timeouts <= 3 { 2 } else { 1 };
        // The first may be a lost tail, or a late acknowledgement. The second tells that nothing
        // gets through: all that is on its way is gone.
        if self.timeouts >= 2 {
            for (sequence, sent) in (self.base..).zip(&mut self.sent) {
                if sent.state == State::InFlight {
                    sent.state = State::Lost;
                    self.lost.insert(sequence);
                }
            }
            self.in_flight = 0;
            self.rtt.forget_min();
            if self.timeouts == 2 {
                self.congestion.handle_timeout(now);
            }
            self.set_pace(now);
        }
        true
    }

    /// Returns since when nothing has answered what was sent; `None` if there is nothing to answer.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        (!self.sent.is_empty()).then_some(self.waiting_since)
    }
}

#[cfg(test)]
mod tests;
