//! One direction of a simulated TCP connection.

use std::collections::VecDeque;

use bytes::BytesMut;
use ramson_crypto::Random;

use crate::queue::NEVER;

/// What connections are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PipeSettings {
    /// Bytes on the way and not yet read, after which the writer is blocked.
    pub capacity: usize,
    /// The most that a delivery varies, in microseconds.
    pub jitter_us: u64,
    /// How many of a hundred writes arrive in pieces.
    pub split_percent: u64,
    /// Times without delivery.
    pub stalls: Option<Stalls>,
}

impl Default for PipeSettings {
    /// 64 KiB, up to 2 ms of jitter, every fourth write in pieces, no stalls.
    fn default() -> Self {
        Self {
            capacity: 64 * 1024,
            jitter_us: 2_000,
            split_percent: 25,
            stalls: None,
        }
    }
}

/// Windows of time in which a pipe delivers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalls {
    /// The part of all time, in percent.
    pub percent: u64,
    /// The longest window, in microseconds; the shortest is a tenth of it.
    pub longest_us: u64,
}

impl Stalls {
    /// Draws the next window after `from`: its start and its end.
    fn next(&self, from: u64, random: &mut Random) -> (u64, u64) {
        let len = random.range(self.longest_us / 10..self.longest_us);
        let mean_gap = len * 100u64.saturating_sub(self.percent) / self.percent.max(1);
        let start = from + random.range(mean_gap / 2..mean_gap * 3 / 2);
        (start, start + len)
    }
}

#[derive(Debug)]
struct Segment {
    arrives: u64,
    bytes: BytesMut,
}

/// What is on the way to one reader.
#[derive(Debug)]
pub(crate) struct Pipe {
    segments: VecDeque<Segment>,
    bytes: usize,
    /// Nothing overtakes what was written before.
    last: u64,
    /// When the reader learns of the end.
    end: u64,
    /// The window without delivery that is next, or the one of now.
    stall: (u64, u64),
    /// Nothing gets through until the network is whole again.
    held: bool,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            bytes: 0,
            last: 0,
            end: NEVER,
            stall: (0, 0),
            held: false,
        }
    }

    /// How much may be written now.
    pub(crate) fn room(&self, settings: &PipeSettings) -> usize {
        settings.capacity.saturating_sub(self.bytes)
    }

    /// Bytes that are on the way, or arrived and not yet read.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// The time after `at` and all that came before, out of the way of stalls.
    fn arrival(&mut self, at: u64, settings: &PipeSettings, random: &mut Random) -> u64 {
        let mut at = at.max(self.last);
        if let Some(stalls) = &settings.stalls {
            while self.stall.1 <= at {
                // Nobody wrote for long: what happened meanwhile matters to no one.
                let from = self.stall.1.max(at.saturating_sub(stalls.longest_us));
                self.stall = stalls.next(from, random);
            }
            if self.stall.0 <= at {
                at = self.stall.1;
            }
        }
        self.last = at;
        at
    }

    /// Puts bytes in that would arrive at `at`, in pieces or whole.
    pub(crate) fn push(
        &mut self,
        mut bytes: BytesMut,
        at: u64,
        settings: &PipeSettings,
        random: &mut Random,
    ) {
        self.bytes += bytes.len();
        let mut at = at + random.below(settings.jitter_us + 1);
        if random.below(100) < settings.split_percent {
            for _ in 0..=random.below(3) {
                if bytes.len() < 2 {
                    break;
                }
                let len = random.range(1..bytes.len() as u64) as usize;
                let piece = bytes.split_to(len);
                self.put(piece, at, settings, random);
                at += random.below(settings.jitter_us + 1);
            }
        }
        self.put(bytes, at, settings, random);
    }

    fn put(&mut self, bytes: BytesMut, at: u64, settings: &PipeSettings, random: &mut Random) {
        let arrives = if self.held {
            NEVER
        } else {
            self.arrival(at, settings, random)
        };
        self.segments.push_back(Segment { arrives, bytes });
    }

    /// The writer is gone: the reader learns of it after all that was written.
    pub(crate) fn finish(&mut self, at: u64) {
        if self.end == NEVER {
            self.end = if self.held {
                NEVER - 1
            } else {
                at.max(self.last)
            };
        }
    }

    /// When there is next something to read.
    pub(crate) fn next(&self) -> u64 {
        let first = self.segments.front().map_or(NEVER, |first| first.arrives);
        if self.end == NEVER - 1 {
            first
        } else {
            first.min(self.end)
        }
    }

    /// Moves what has arrived to `input`; returns how many bytes that is.
    pub(crate) fn read(&mut self, now: u64, input: &mut BytesMut) -> usize {
        let mut read = 0;
        while self
            .segments
            .front()
            .is_some_and(|first| first.arrives <= now)
            && let Some(segment) = self.segments.pop_front()
        {
            read += segment.bytes.len();
            if input.is_empty() {
                *input = segment.bytes;
            } else {
                input.extend_from_slice(&segment.bytes);
            }
        }
        self.bytes -= read;
        read
    }

    /// Says whether all is read and the end has come.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.segments.is_empty() && self.end <= now
    }

    /// The network is parted between writer and reader.
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// It is whole again: what was written meanwhile is sent anew and arrives at `at`.
    pub(crate) fn release(&mut self, at: u64) {
        if !std::mem::take(&mut self.held) {
            return;
        }
        for segment in &mut self.segments {
            if segment.arrives == NEVER {
                segment.arrives = at.max(self.last);
                self.last = segment.arrives;
            }
        }
        if self.end == NEVER - 1 {
            self.end = at.max(self.last);
        }
    }
}

#[cfg(test)]
mod tests;
