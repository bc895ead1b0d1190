use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::{Buf, Bytes};
use ramson_wire::Instant;

use super::{PacketError, Read};

/// What a packet in memory weighs besides its payload.
const WEIGHT: usize = 256;

/// The delay that tells a peer to stop: the least that both Java and i2pd understand, and not the
/// 61,000 by which i2pd knows Java.
pub(super) const CHOKE: u16 = 60_001;

/// How often an unchoke is said while no data comes, as Java does.
const UNCHOKES: u8 = 7;

/// How many packets are acknowledged together at most.
const ACK_EVERY: u32 = 8;

/// The most NACKs that a packet has.
const MAX_NACKS: usize = 255;

/// The receiving half of a stream: puts packets in order, holds them until they are read, and
/// knows when to acknowledge.
pub(super) struct Receiver {
    limit: usize,
    span: u32,
    /// The lowest sequence number that has not come.
    expected: u32,
    /// What came after a gap.
    held: BTreeMap<u32, Bytes>,
    held_weight: usize,
    ready: VecDeque<Bytes>,
    ready_weight: usize,
    /// The sequence number of the CLOSE, once it came, in order or not.
    end: Option<u32>,
    /// Packets since the last acknowledgement.
    unacked: u32,
    /// Packets in all, until it is enough to acknowledge less often.
    early: u32,
    ack_now: bool,
    ack_at: Option<Instant>,
    choking: bool,
    unchokes: u8,
    unchoke_at: Option<Instant>,
    /// Packets that had come before, since the last that had not.
    duplicates: u32,
}

impl fmt::Debug for Receiver {
    /// Shows nothing of what came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("expected", &self.expected)
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}

/// An acknowledgement to be sent alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) through: u32,
    pub(super) nacks: Vec<u32>,
    pub(super) delay: Option<u16>,
}

impl Receiver {
    pub(super) fn new(limit: usize, span: u32) -> Self {
        Self {
            limit,
            span,
            expected: 0,
            held: BTreeMap::new(),
            held_weight: 0,
            ready: VecDeque::new(),
            ready_weight: 0,
            end: None,
            unacked: 0,
            early: 0,
            ack_now: false,
            ack_at: None,
            choking: false,
            unchokes: 0,
            unchoke_at: None,
            duplicates: 0,
        }
    }

    /// Takes a packet. `room` is what all streams together may still hold.
    pub(super) fn receive(
        &mut self,
        sequence: u32,
        payload: Bytes,
        close: bool,
        room: usize,
    ) -> Result<(), PacketError> {
        if sequence < self.expected || self.held.contains_key(&sequence) {
            self.duplicates = self.duplicates.saturating_add(1);
            self.ack_now = true;
            return Err(PacketError::Duplicate);
        }
        if self
            .end
            .is_some_and(|end| sequence > end || (close && sequence < end))
        {
            return Err(PacketError::BehindEnd);
        }
        if close
            && self
                .held
                .last_key_value()
                .is_some_and(|(&last, _)| last > sequence)
        {
            return Err(PacketError::BehindEnd);
        }
        let weight = match payload.is_empty() {
            true => 0,
            false => payload.len().saturating_add(WEIGHT),
        };
        // Both halves of the limit are counted alone: what is held in front of a gap must not keep
        // out the packet that closes it.
        if sequence == self.expected {
            let full = self.ready_weight >= self.limit / 2 || weight > room;
            if full && !self.ready.is_empty() {
                return self.overrun(PacketError::NoRoom);
            }
        } else {
            if sequence - self.expected >= self.span {
                return self.overrun(PacketError::TooFarAhead);
            }
            let held = self.held_weight.saturating_add(weight.max(WEIGHT));
            if held > self.limit / 2 || weight > room {
                return self.overrun(PacketError::NoRoom);
            }
        }
        self.duplicates = 0;
        self.unchokes = 0;
        self.unacked = self.unacked.saturating_add(1);
        self.early = self.early.saturating_add(1);
        if close {
            self.end = Some(sequence);
            self.ack_now = true;
        }
        if sequence == self.expected {
            // A gap that closes is news for the sender.
            self.ack_now |= !self.held.is_empty();
            self.take(payload);
            while let Some(held) = self.held.remove(&self.expected) {
                self.held_weight = self.held_weight.saturating_sub(held_weight(&held));
                self.take(held);
            }
        } else {
            self.ack_now = true;
            self.held_weight = self.held_weight.saturating_add(held_weight(&payload));
            self.held.insert(sequence, payload);
        }
        if self.ready_weight > self.limit / 8 && !self.choking {
            self.choking = true;
            self.ack_now = true;
        }
        Ok(())
    }

    fn overrun(&mut self, error: PacketError) -> Result<(), PacketError> {
        self.choking |= error == PacketError::NoRoom;
        self.ack_now = true;
        Err(error)
    }

    fn take(&mut self, payload: Bytes) {
        self.expected = self.expected.saturating_add(1);
        if !payload.is_empty() {
            self.ready_weight = self.ready_weight.saturating_add(payload.len() + WEIGHT);
            self.ready.push_back(payload);
        }
    }

    /// Forgets what came before it was clear whose it is.
    pub(super) fn forget_held(&mut self) {
        self.held.clear();
        self.held_weight = 0;
        self.end = None;
        self.ack_now = false;
    }

    /// Forgets everything that has not been read.
    pub(super) fn clear(&mut self) {
        self.forget_held();
        self.ready.clear();
        self.ready_weight = 0;
        self.ack_at = None;
        self.unchoke_at = None;
        self.unchokes = 0;
        self.choking = false;
    }

    /// Forgets what can never be in order: nothing more will come.
    pub(super) fn stop(&mut self) {
        self.held.clear();
        self.held_weight = 0;
        self.ack_now = false;
        self.ack_at = None;
        self.unchoke_at = None;
        self.unchokes = 0;
    }

    /// Returns what is held in memory.
    pub(super) fn weight(&self) -> usize {
        self.held_weight.saturating_add(self.ready_weight)
    }

    /// Returns the lowest sequence number that has not come.
    pub(super) fn expected(&self) -> u32 {
        self.expected
    }

    /// Says whether a CLOSE came with all before it.
    pub(super) fn is_ended(&self) -> bool {
        self.end.is_some_and(|end| end < self.expected)
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.ready.is_empty() || self.is_ended()
    }

    /// Returns how many packets came again since the last that had not come before.
    pub(super) fn duplicates(&self) -> u32 {
        self.duplicates
    }

    pub(super) fn is_choking(&self) -> bool {
        self.choking
    }

    pub(super) fn read(&mut self, out: &mut [u8], now: Instant) -> Read<usize> {
        let mut taken = 0;
        while let Some(front) = self.ready.front_mut() {
            let Some(rest) = out.get_mut(taken..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let len = front.len().min(rest.len());
            let (to, _) = rest.split_at_mut(len);
            front.copy_to_slice(to);
            taken += len;
            self.ready_weight = self.ready_weight.saturating_sub(len);
            if front.is_empty() {
                self.ready.pop_front();
                self.ready_weight = self.ready_weight.saturating_sub(WEIGHT);
            }
        }
        self.unchoke(now);
        match taken {
            0 if self.is_ended() && self.ready.is_empty() => Read::End,
            0 if self.ready.is_empty() => Read::Pending,
            taken => Read::Data(taken),
        }
    }

    pub(super) fn read_chunk(&mut self, max: usize, now: Instant) -> Read<Bytes> {
        let Some(front) = self.ready.front_mut() else {
            return match self.is_ended() {
                true => Read::End,
                false => Read::Pending,
            };
        };
        let chunk = front.split_to(front.len().min(max));
        self.ready_weight = self.ready_weight.saturating_sub(chunk.len());
        if front.is_empty() {
            self.ready.pop_front();
            self.ready_weight = self.ready_weight.saturating_sub(WEIGHT);
        }
        self.unchoke(now);
        Read::Data(chunk)
    }

    /// Lets the peer go on when the reader has caught up.
    fn unchoke(&mut self, now: Instant) {
        if self.choking && self.ready_weight <= self.limit / 16 {
            self.choking = false;
            self.unchokes = UNCHOKES;
            self.unchoke_at = Some(now);
            self.ack_now = true;
        }
    }

    /// Asks for an acknowledgement now.
    pub(super) fn want_ack(&mut self) {
        self.ack_now = true;
    }

    /// Asks for an acknowledgement soon, `delay` from now at the latest.
    pub(super) fn want_ack_soon(&mut self, delay: Duration, now: Instant) {
        // While a stream is young its sender waits for every one of them.
        let every = if self.early < 128 { 2 } else { ACK_EVERY };
        if self.unacked >= every {
            self.ack_now = true;
        } else if self.unacked > 0 && self.ack_at.is_none() {
            self.ack_at = Some(now + delay);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match (self.ack_at, self.unchoke_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// `rtt` is how far apart unchokes are said.
    pub(super) fn handle_timeout(&mut self, rtt: Duration, now: Instant) {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            self.ack_now = true;
        }
        if self.unchoke_at.is_some_and(|at| at <= now) {
            self.unchoke_at = match self.unchokes {
                0 | 1 => None,
                _ => Some(now + rtt.max(Duration::from_millis(100)) * 2),
            };
            self.ack_now |= self.unchokes > 0;
        }
    }

    /// Returns the acknowledgement that goes with data, all before the first gap, and counts it as
    /// sent if that says everything.
    pub(super) fn ack_with_data(&mut self) -> u32 {
        if self.held.is_empty() && !self.choking && self.unchokes == 0 {
            self.acked();
        }
        self.expected.saturating_sub(1)
    }

    pub(super) fn wants_ack(&self) -> bool {
        self.ack_now && self.expected > 0
    }

    /// Returns the acknowledgement that is due now.
    pub(super) fn poll_ack(&mut self) -> Option<Ack> {
        if !self.wants_ack() {
            return None;
        }
        let delay = match (self.choking, self.unchokes) {
            (true, _) => Some(CHOKE),
            (false, 0) => None,
            (false, left) => {
                self.unchokes = left - 1;
                Some(0)
            }
        };
        let (through, nacks) = self.gaps();
        self.acked();
        Some(Ack {
            through,
            nacks,
            delay,
        })
    }

    fn acked(&mut self) {
        self.unacked = 0;
        self.ack_now = false;
        self.ack_at = None;
    }

    /// Returns the highest sequence number and what is missing before it; less far if more is
    /// missing than fits.
    fn gaps(&self) -> (u32, Vec<u32>) {
        let mut through = self.expected.saturating_sub(1);
        let mut nacks = Vec::new();
        let mut next = self.expected;
        for &sequence in self.held.keys() {
            let missing = usize::try_from(sequence.saturating_sub(next)).unwrap_or(usize::MAX);
            if nacks.len().saturating_add(missing) > MAX_NACKS {
                break;
            }
            nacks.extend(next..sequence);
            through = sequence;
            next = sequence.saturating_add(1);
        }
        (through, nacks)
    }
}

/// What a packet weighs while it is held; one without payload weighs something, too.
fn held_weight(payload: &Bytes) -> usize {
    payload.len().saturating_add(WEIGHT)
}

#[cfg(test)]
mod tests;
