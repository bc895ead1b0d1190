use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use ramson_crypto::Random;
use ramson_wire::ntcp2::{Block, Blocks, Termination, TerminationReason};
use ramson_wire::{DecodeError, Instant, Reader, RouterInfo, Verified};

use super::data::{FrameOpener, FrameSealer, FrameStart, MAX_CONTENT};
use super::handshake::{is_excessive, skew_ms};
use super::keys::DirectionKeys;
use super::queue::SendQueue;
use super::{CloseReason, Event, LinkConfig, LinkMessage, LinkStats};
use crate::Now;

/// How much content a frame has at most, unless a single message needs more: fifteen tunnel
/// messages with their headers, so that one encryption and one write carry them all. The receiver
/// has to wait for the whole of a frame, hence no more.
const CONTENT_TARGET: usize = 16 * 1024;

/// The padding that is always allowed in a frame, in bytes.
const SMALL_PADDING: usize = 15;

/// What padding is cut from.
static ZEROS: [u8; 4096] = [0; 4096];

/// When the own RouterInfo is sent again: a time between these.
const REFRESH: [Duration; 2] = [Duration::from_secs(25 * 60), Duration::from_secs(50 * 60)];

/// How many RouterInfos a neighbour may have verified at once, and how long one more takes.
const INFO_BURST: u32 = 8;
const INFO_INTERVAL: Duration = Duration::from_secs(5);

/// The data phase of a link: what both sides need once the handshake is done.
#[derive(Debug)]
pub(super) struct DataPhase {
    sealer: FrameSealer,
    opener: FrameOpener,
    padding_percent: u8,
    idle: Duration,
    last_activity: Instant,
    refresh: Instant,
    own_info: Verified<RouterInfo>,
    /// The own RouterInfo is to be sent, with this wish to flood it.
    info_due: Option<bool>,
    info_budget: Budget,
}

impl DataPhase {
    pub(super) fn new(
        send: DirectionKeys,
        receive: DirectionKeys,
        config: &LinkConfig,
        own_info: Verified<RouterInfo>,
        now: Now,
        random: &mut Random,
    ) -> Self {
        Self {
            sealer: FrameSealer::new(send),
            opener: FrameOpener::new(receive),
            padding_percent: config.padding_percent,
            idle: config.idle + random_time([Duration::ZERO, config.idle / 8], random),
            last_activity: now.instant,
            refresh: now.instant + random_time(REFRESH, random),
            own_info,
            info_due: None,
            info_budget: Budget::full(now.instant),
        }
    }

    /// Has the own RouterInfo sent in the next frame.
    pub(super) fn send_router_info(&mut self, info: Verified<RouterInfo>, flood: bool) {
        self.own_info = info;
        self.info_due = Some(flood || self.info_due == Some(true));
    }

    pub(super) fn next_timeout(&self) -> Instant {
        (self.last_activity + self.idle).min(self.refresh)
    }

    /// Handles due timers; says whether the link has been idle for too long.
    pub(super) fn handle_timeout(&mut self, now: Now, random: &mut Random) -> bool {
        if now.instant >= self.refresh {
            self.refresh = now.instant + random_time(REFRESH, random);
            self.info_due = Some(self.info_due == Some(true));
        }
        now.instant >= self.last_activity + self.idle
    }

    /// Takes the next frame from `input`, if it is there, and puts what it holds into `events`.
    /// Says whether there was one.
    ///
    /// # Errors
    ///
    /// Why the link has to end. With [`CloseReason::Remote`] all of the frame was good.
    pub(super) fn receive(
        &mut self,
        input: &mut BytesMut,
        now: Now,
        events: &mut VecDeque<Event>,
        stats: &mut LinkStats,
    ) -> Result<bool, CloseReason> {
        let Some(mut content) = self.opener.next(input)? else {
            return Ok(false);
        };
        self.last_activity = now.instant;
        stats.received_frames += 1;
        // A frame is taken as a whole or not at all.
        let end = self.check_order(&content, now, stats)?;
        while !content.is_empty() {
            self.take_block(&mut content, now, events, stats)?;
        }
        match end {
            Some(reason) => Err(CloseReason::Remote(reason)),
            None => Ok(true),
        }
    }

    /// Looks through the blocks of a frame (NTCP2, Block ordering rules) and returns the
    /// termination if there is one.
    fn check_order(
        &self,
        content: &[u8],
        now: Now,
        stats: &mut LinkStats,
    ) -> Result<Option<TerminationReason>, CloseReason> {
        let mut end = None;
        for block in Blocks::new(content) {
            match block.map_err(CloseReason::Malformed)? {
                Block::DateTime(theirs) if is_excessive(skew_ms(theirs, now.unix)) => {
                    return Err(CloseReason::ClockSkew { theirs });
                }
                Block::Termination(termination) => end = Some(termination.reason),
                Block::Unknown { .. } => stats.ignored_blocks += 1,
                // Nobody asks for traffic shaping, so options bind nobody.
                Block::DateTime(_)
                | Block::Options(_)
                | Block::RouterInfo { .. }
                | Block::I2np(_)
                | Block::Padding(_) => {}
            }
        }
        Ok(end)
    }

    /// Takes the first block off a frame's content that was found in order. Bodies of messages are
    /// split off, not copied.
    fn take_block(
        &mut self,
        content: &mut BytesMut,
        now: Now,
        events: &mut VecDeque<Event>,
        stats: &mut LinkStats,
    ) -> Result<(), CloseReason> {
        let len = first_block_len(content).map_err(CloseReason::Malformed)?;
        let mut bytes = content.split_to(len);
        match Blocks::new(&bytes).next() {
            Some(Ok(Block::I2np(message))) => {
                stats.received_messages += 1;
                let (kind, id, expires) = (message.kind, message.id, message.expires);
                events.push_back(Event::Message(LinkMessage {
                    kind,
                    id,
                    expiration_s: expires.to_secs_up(),
                    body: bytes.split_off(LinkMessage::OVERHEAD),
                }));
            }
            Some(Ok(Block::RouterInfo { flood, bytes })) => {
                if let Some(info) = self.verify(bytes, now, stats) {
                    events.push_back(Event::RouterInfo { info, flood });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns a RouterInfo if there is time to verify it and it holds.
    fn verify(
        &mut self,
        info: &[u8],
        now: Now,
        stats: &mut LinkStats,
    ) -> Option<Verified<RouterInfo>> {
        if !self.info_budget.take(now.instant) {
            stats.dropped_router_infos_rate += 1;
            return None;
        }
        let verified = RouterInfo::from_bytes(info)
            .ok()
            .and_then(|info| info.verify().ok());
        if verified.is_none() {
            stats.dropped_router_infos_invalid += 1;
        }
        verified
    }

    /// Appends one frame to `out` with what is due and what is queued; says whether there was
    /// anything.
    pub(super) fn write(
        &mut self,
        now: Now,
        out: &mut BytesMut,
        queue: &mut SendQueue,
        stats: &mut LinkStats,
        random: &mut Random,
    ) -> bool {
        let start = self.sealer.begin(out);
        if let Some(flood) = self.info_due.take() {
            put(out, Block::DateTime(now.unix));
            let bytes = self.own_info.as_bytes();
            put(out, Block::RouterInfo { flood, bytes });
        }
        // A frame holds one message of any size, or as many as fit the target.
        let mut limit = MAX_CONTENT;
        while let Some(message) = queue.pop(
            limit.saturating_sub(start.content_len(out)),
            now.unix,
            stats,
        ) {
            put(out, Block::I2np(message.as_i2np()));
            stats.sent_messages += 1;
            limit = CONTENT_TARGET;
        }
        if start.content_len(out) == 0 {
            start.abandon(out);
            return false;
        }
        self.finish(start, out, stats, random);
        self.last_activity = now.instant;
        true
    }

    /// Appends the last frame of the link.
    pub(super) fn write_termination(
        &mut self,
        reason: TerminationReason,
        out: &mut BytesMut,
        stats: &mut LinkStats,
        random: &mut Random,
    ) {
        let start = self.sealer.begin(out);
        let termination = Termination {
            frames_received: self.opener.frames(),
            reason,
            text: &[],
        };
        put(out, Block::Termination(termination));
        self.finish(start, out, stats, random);
    }

    /// Pads the frame and seals it.
    fn finish(
        &mut self,
        start: FrameStart,
        out: &mut BytesMut,
        stats: &mut LinkStats,
        random: &mut Random,
    ) {
        const HEADER: usize = 3;
        let content = start.content_len(out);
        let share = content.saturating_mul(usize::from(self.padding_percent)) / 100;
        let most = share.max(SMALL_PADDING);
        let len = usize::try_from(random.below(most as u64 + 1)).unwrap_or(0);
        if let Some(room) = MAX_CONTENT.checked_sub(content.saturating_add(HEADER)) {
            // Encrypted zeros look as random as anything else.
            let padding = ZEROS.get(..len.min(room)).unwrap_or(&ZEROS);
            put(out, Block::Padding(padding));
            stats.sent_padding_bytes += padding.len() as u64;
        }
        self.sealer.finish(start, out);
        stats.sent_frames += 1;
    }
}

/// Appends a block of a frame.
fn put(out: &mut BytesMut, block: Block<'_>) {
    block
        .encode(out)
        .expect("queued bodies, RouterInfos and padding fit into a frame");
}

/// Returns the length of the first block, header included.
fn first_block_len(content: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(content);
    reader.u8()?;
    let len = reader.u16()?;
    reader.take(usize::from(len))?;
    Ok(content.len().saturating_sub(reader.remaining()))
}

/// How many RouterInfos may still be verified: each costs a check of a signature.
#[derive(Debug)]
struct Budget {
    left: u32,
    refilled: Instant,
}

impl Budget {
    fn full(now: Instant) -> Self {
        Self {
            left: INFO_BURST,
            refilled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        while self.left < INFO_BURST && now >= self.refilled + INFO_INTERVAL {
            self.refilled += INFO_INTERVAL;
            self.left += 1;
        }
        if self.left == INFO_BURST {
            self.refilled = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// Returns a random time between two, to the millisecond.
pub(super) fn random_time([from, to]: [Duration; 2], random: &mut Random) -> Duration {
    let span = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(u64::MAX);
    from + Duration::from_millis(random.below(span.saturating_add(1)))
}
