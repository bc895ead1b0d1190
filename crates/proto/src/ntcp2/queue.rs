use std::collections::VecDeque;

use ramson_wire::UnixTime;

use super::{LinkMessage, LinkStats, Priority, SendError, SendRefusal};

/// How much may wait in the queue of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Bytes, blocks' headers included.
    pub bytes: usize,
    /// Messages.
    pub messages: usize,
}

impl Default for QueueLimits {
    /// 512 KiB and 512 messages.
    fn default() -> Self {
        Self {
            bytes: 512 * 1024,
            messages: 512,
        }
    }
}

impl QueueLimits {
    /// Returns the part of the limits that a priority may fill.
    fn share(self, priority: Priority) -> Self {
        let (numerator, denominator) = match priority {
            Priority::Control => (1, 1),
            Priority::OwnData => (7, 8),
            Priority::Transit => (3, 4),
        };
        let part = |whole: usize| whole.saturating_mul(numerator) / denominator;
        Self {
            bytes: part(self.bytes),
            messages: part(self.messages),
        }
    }
}

/// Messages waiting for a frame, in three lanes by priority, each first in, first out.
#[derive(Debug)]
pub(super) struct SendQueue {
    control: VecDeque<LinkMessage>,
    own_data: VecDeque<LinkMessage>,
    transit: VecDeque<LinkMessage>,
    bytes: usize,
    limits: QueueLimits,
}

impl SendQueue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            control: VecDeque::new(),
            own_data: VecDeque::new(),
            transit: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    fn len(&self) -> usize {
        self.control.len() + self.own_data.len() + self.transit.len()
    }

    /// Returns what a priority may still add.
    pub(super) fn room(&self, priority: Priority) -> QueueLimits {
        let share = self.limits.share(priority);
        QueueLimits {
            bytes: share.bytes.saturating_sub(self.bytes),
            messages: share.messages.saturating_sub(self.len()),
        }
    }

    /// Puts a message behind those of its priority.
    pub(super) fn push(
        &mut self,
        message: LinkMessage,
        priority: Priority,
    ) -> Result<(), SendError> {
        let refuse = |why, message| Err(SendError { why, message });
        if message.body.len() > LinkMessage::MAX_BODY {
            return refuse(SendRefusal::TooLong, message);
        }
        let room = self.room(priority);
        if room.messages == 0 || room.bytes < message.block_len() {
            return refuse(SendRefusal::Full, message);
        }
        self.bytes = self.bytes.saturating_add(message.block_len());
        match priority {
            Priority::Control => self.control.push_back(message),
            Priority::OwnData => self.own_data.push_back(message),
            Priority::Transit => self.transit.push_back(message),
        }
        Ok(())
    }

    /// Takes the next message if its block is at most `room` bytes long. Drops what has expired
    /// on the way.
    pub(super) fn pop(
        &mut self,
        room: usize,
        now: UnixTime,
        stats: &mut LinkStats,
    ) -> Option<LinkMessage> {
        for lane in [&mut self.control, &mut self.own_data, &mut self.transit] {
            while let Some(front) = lane.front() {
                let expired = u64::from(front.expiration_s) < now.as_secs();
                if !expired && front.block_len() > room {
                    // Nothing overtakes it: the next frame starts with it.
                    return None;
                }
                let message = lane.pop_front()?;
                self.bytes = self.bytes.saturating_sub(message.block_len());
                if !expired {
                    return Some(message);
                }
                stats.dropped_expired += 1;
            }
        }
        None
    }

    /// Forgets all that waits.
    pub(super) fn clear(&mut self, stats: &mut LinkStats) {
        stats.dropped_closed = stats.dropped_closed.saturating_add(self.len() as u64);
        *self = Self::new(self.limits);
    }
}
