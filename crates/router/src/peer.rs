//! The queue towards another router, which outlives links.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use ramson_proto::ntcp2::{LinkMessage, Priority};
use ramson_wire::{Instant, RouterHash};

use crate::core::{CoreMessage, DropReason};
use crate::drops::SharedDrops;
use crate::inbox::{PostError, Sender};

/// Bytes of all messages that wait for one router.
const MAX_BYTES: usize = 512 * 1024;
/// The part of it that transit may take.
const MAX_TRANSIT_BYTES: usize = 256 * 1024;
/// When transit takes more than this, its messages are dropped at random, the more the fuller the
/// queue is: streams slow down one after another, before the queue is full and all stall at once.
const EARLY_BYTES: usize = MAX_TRANSIT_BYTES / 2;
/// Messages that wait longer are dropped: their senders have given up.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// What a message takes beside its body.
const OVERHEAD: usize = 96;

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue towards the router is full")]
pub struct QueueFull;

struct Queued {
    message: LinkMessage,
    since: Instant,
}

#[derive(Default)]
struct State {
    /// One queue for each priority, the most urgent first.
    queues: [VecDeque<Queued>; 3],
    bytes: usize,
    transit_bytes: usize,
    /// Of the link of the moment.
    waker: Option<Waker>,
    /// Says which link may take; older ones find nothing any more.
    link: u64,
    linked: bool,
    /// Core has been asked for a link.
    asked: bool,
    /// What decides on early drops.
    dice: u64,
    dropped_full: u64,
    dropped_early: u64,
    dropped_late: u64,
}

struct Shared {
    router: RouterHash,
    core: Sender<CoreMessage>,
    drops: SharedDrops,
    state: Mutex<State>,
}

/// A bounded queue of messages for one router. The link of the moment drains it; without one, the
/// first message makes [`Core`](crate::core::Core) dial. Clones are the same queue.
#[derive(Clone)]
pub struct PeerHandle(Arc<Shared>);

impl fmt::Debug for PeerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerHandle").finish_non_exhaustive()
    }
}

/// How many messages were dropped, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerDrops {
    /// The queue was full.
    pub full: u64,
    /// The queue was so full that some are dropped before it is.
    pub early: u64,
    /// They waited too long.
    pub late: u64,
}

impl PeerHandle {
    /// `dice` is a random number.
    pub(crate) fn new(
        router: RouterHash,
        core: Sender<CoreMessage>,
        drops: SharedDrops,
        dice: u64,
    ) -> Self {
        let state = State {
            dice,
            ..State::default()
        };
        Self(Arc::new(Shared {
            router,
            core,
            drops,
            state: Mutex::new(state),
        }))
    }

    /// Whom it leads to.
    pub fn router(&self) -> RouterHash {
        self.0.router
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`QueueFull`]; the message is gone and counted. Local origin asks [`Self::has_room`] before.
    pub fn send(
        &self,
        message: LinkMessage,
        priority: Priority,
        now: Instant,
    ) -> Result<(), QueueFull> {
        let size = message.body.len() + OVERHEAD;
        let transit = priority == Priority::Transit;
        let mut state = self.lock();
        let full = state.bytes + size > MAX_BYTES
            || (transit && state.transit_bytes + size > MAX_TRANSIT_BYTES);
        if full {
            self.0.drops.add(DropReason::TooLate, state.drop_late(now));
            if state.bytes + size > MAX_BYTES
                || (transit && state.transit_bytes + size > MAX_TRANSIT_BYTES)
            {
                state.dropped_full += 1;
                return Err(QueueFull);
            }
        }
        if transit && state.drops_early(size) {
            state.dropped_early += 1;
            return Err(QueueFull);
        }
        state.bytes += size;
        if transit {
            state.transit_bytes += size;
        }
        let queued = Queued {
            message,
            since: now,
        };
        state.queue(priority).push_back(queued);
        let waker = state.waker.take();
        let ask = !state.linked && !state.asked;
        state.asked |= ask;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if ask
            && let Err(PostError::Full(_) | PostError::Closed(_)) =
                self.0.core.post(CoreMessage::Wanted(self.clone()))
        {
            // The next message asks again.
            self.lock().asked = false;
        }
        Ok(())
    }

    /// Says whether a message of `size` bytes of our own would be taken.
    pub fn has_room(&self, size: usize) -> bool {
        self.lock().bytes + size + OVERHEAD <= MAX_BYTES
    }

    /// Says whether somebody beside `Core` may still send.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Says whether a link drains it.
    pub fn is_linked(&self) -> bool {
        self.lock().linked
    }

    /// Says whether messages wait.
    pub fn is_empty(&self) -> bool {
        self.lock().bytes == 0
    }

    /// The messages that were dropped so far.
    pub fn drops(&self) -> PeerDrops {
        let state = self.lock();
        PeerDrops {
            full: state.dropped_full,
            early: state.dropped_early,
            late: state.dropped_late,
        }
    }

    /// A link begins to drain it; a link before this one finds nothing any more.
    pub(crate) fn attach(&self, link: u64) {
        let mut state = self.lock();
        state.link = link;
        state.linked = true;
        state.asked = false;
    }

    /// The link is gone. Says whether messages wait, for which a new link is wanted.
    pub(crate) fn detach(&self, link: u64) -> bool {
        let mut state = self.lock();
        if state.link != link {
            return false;
        }
        state.linked = false;
        state.waker = None;
        state.asked = state.bytes > 0;
        state.asked
    }

    /// No link can be had now: what waits is dropped, and the next message asks again.
    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        let dropped: usize = state.queues.iter().map(VecDeque::len).sum();
        state.dropped_late += dropped as u64;
        self.0.drops.add(DropReason::TooLate, dropped as u64);
        state.queues.iter_mut().for_each(VecDeque::clear);
        (state.bytes, state.transit_bytes, state.asked) = (0, 0, false);
    }

    /// Moves messages to `take` until it says that it has enough.
    pub(crate) fn drain(
        &self,
        link: u64,
        now: Instant,
        mut take: impl FnMut(LinkMessage, Priority) -> bool,
    ) {
        let mut state = self.lock();
        if state.link != link {
            return;
        }
        for priority in [Priority::Control, Priority::OwnData, Priority::Transit] {
            while let Some(queued) = state.queue(priority).pop_front() {
                state.forget(&queued, priority);
                if now.saturating_since(queued.since) > MAX_WAIT {
                    state.dropped_late += 1;
                    self.0.drops.add(DropReason::TooLate, 1);
                } else if !take(queued.message, priority) {
                    return;
                }
            }
        }
    }

    /// Leaves the link's waker; says whether messages wait already.
    pub(crate) fn register(&self, link: u64, waker: &Waker) -> bool {
        let mut state = self.lock();
        if state.link != link {
            return false;
        }
        if state.bytes > 0 {
            return true;
        }
        if !state.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, priority: Priority) -> &mut VecDeque<Queued> {
        let [control, own, transit] = &mut self.queues;
        match priority {
            Priority::Control => control,
            Priority::OwnData => own,
            Priority::Transit => transit,
        }
    }

    fn forget(&mut self, queued: &Queued, priority: Priority) {
        let size = queued.message.body.len() + OVERHEAD;
        self.bytes = self.bytes.saturating_sub(size);
        if priority == Priority::Transit {
            self.transit_bytes = self.transit_bytes.saturating_sub(size);
        }
    }

    /// Says whether a transit message is dropped although there is room: with the square of how far
    /// the queue is between the half of transit's part and all of it.
    fn drops_early(&mut self, size: usize) -> bool {
        const RANGE: u64 = (MAX_TRANSIT_BYTES - EARLY_BYTES) as u64;
        let over = (self.transit_bytes + size).saturating_sub(EARLY_BYTES) as u64;
        if over == 0 {
            return false;
        }
        // SplitMix64: nobody gains by guessing it.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.dice;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (drawn ^ (drawn >> 31)) % (RANGE * RANGE) < over * over
    }

    /// Drops what waited too long, which is in front; returns how many.
    fn drop_late(&mut self, now: Instant) -> u64 {
        let before = self.dropped_late;
        for priority in [Priority::Control, Priority::OwnData, Priority::Transit] {
            while let Some(first) = self.queue(priority).front()
                && now.saturating_since(first.since) > MAX_WAIT
                && let Some(late) = self.queue(priority).pop_front()
            {
                self.forget(&late, priority);
                self.dropped_late += 1;
            }
        }
        self.dropped_late - before
    }
}

#[cfg(test)]
impl PeerHandle {
    pub(crate) fn is_bounded(&self) -> bool {
        let state = self.lock();
        state.bytes <= MAX_BYTES && state.transit_bytes <= MAX_TRANSIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use ramson_wire::MessageType;

    use super::*;
    use crate::inbox::Inbox;
    use crate::testing::at;

    fn message(id: u32, len: usize) -> LinkMessage {
        LinkMessage {
            kind: MessageType::TunnelData,
            id,
            expiration_s: 0,
            body: BytesMut::zeroed(len),
        }
    }

    fn handle(core: &Inbox<CoreMessage>) -> PeerHandle {
        PeerHandle::new(
            RouterHash([1; 32]),
            core.sender(10),
            SharedDrops::default(),
            7,
        )
    }

    fn drain(handle: &PeerHandle, link: u64, now: Instant) -> Vec<u32> {
        let mut ids = Vec::new();
        handle.drain(link, now, |message, _| {
            ids.push(message.id);
            true
        });
        ids
    }

    #[test]
    fn the_first_message_asks_for_a_link_and_the_link_takes_all_in_order_of_priority() {
        let core = Inbox::new(10);
        let handle = handle(&core);
        let now = at(0).instant;
        for (id, priority) in [
            (1, Priority::Transit),
            (2, Priority::Control),
            (3, Priority::OwnData),
            (4, Priority::Control),
        ] {
            handle.send(message(id, 100), priority, now).unwrap();
        }
        assert_eq!(core.len(), 1);
        assert_eq!(drain(&handle, 7, now), []);
        handle.attach(7);
        assert_eq!(drain(&handle, 6, now), []);
        assert_eq!(drain(&handle, 7, now), [2, 4, 3, 1]);
        assert!(handle.is_empty());
        // With a link nobody is asked, and without one again.
        handle.send(message(5, 1), Priority::Control, now).unwrap();
        assert_eq!(core.len(), 1);
        assert!(handle.detach(7));
        assert!(!handle.is_linked());
    }

    #[test]
    fn transit_leaves_room_for_our_own_and_late_messages_make_room() {
        let core = Inbox::new(10);
        let handle = handle(&core);
        let now = at(0).instant;
        let mut taken = 0;
        while handle.drops().full == 0 {
            let sent = handle.send(message(taken, 1024), Priority::Transit, now);
            taken += u32::from(sent.is_ok());
        }
        assert_eq!(taken as usize, MAX_TRANSIT_BYTES / (1024 + OVERHEAD));
        assert!(handle.has_room(1024));
        handle
            .send(message(0, 1024), Priority::OwnData, now)
            .unwrap();
        let later = now + MAX_WAIT + Duration::from_millis(1);
        // Full: what is late goes.
        while handle
            .send(message(9, 1024), Priority::Transit, later)
            .is_err()
        {}
        assert_eq!(handle.drops().late, u64::from(taken) + 1);
        let told: Vec<_> = handle.0.drops.totals().collect();
        assert_eq!(told, [(DropReason::TooLate, u64::from(taken) + 1)]);
        handle.attach(1);
        assert_eq!(drain(&handle, 1, later), [9]);
    }

    #[test]
    fn transit_is_dropped_at_random_before_the_queue_is_full_and_our_own_is_not() {
        let core = Inbox::new(10);
        let handle = handle(&core);
        let now = at(0).instant;
        let size = 1024 + OVERHEAD;
        let mut sent = 0;
        // Up to the half nothing is dropped, a little above little, near the end nearly all.
        let mut refused_at = |from: usize, to: usize| {
            let mut refused = 0;
            while sent < MAX_TRANSIT_BYTES * to / 8 / size {
                let result = handle.send(message(0, 1024), Priority::Transit, now);
                sent += usize::from(result.is_ok());
                refused += usize::from(result.is_err());
            }
            let taken = MAX_TRANSIT_BYTES * (to - from) / 8 / size;
            refused * 100 / (refused + taken)
        };
        assert_eq!(refused_at(0, 4), 0);
        let little = refused_at(4, 5);
        assert!(little < 10, "{little}");
        let some = refused_at(5, 6);
        assert!((2..40).contains(&some), "{some}");
        let most = refused_at(7, 8);
        assert!(most > 60, "{most}");
        let drops = handle.drops();
        assert!(drops.early > 0 && drops.full == 0, "{drops:?}");
        for _ in 0..100 {
            handle
                .send(message(0, 1024), Priority::OwnData, now)
                .unwrap();
        }
    }

    #[test]
    fn giving_up_drops_what_waits_and_the_next_message_asks_again() {
        let core = Inbox::new(10);
        let handle = handle(&core);
        let now = at(0).instant;
        handle.send(message(1, 10), Priority::Control, now).unwrap();
        handle.give_up();
        assert!(handle.is_empty());
        assert_eq!(handle.drops().late, 1);
        handle.send(message(2, 10), Priority::Control, now).unwrap();
        assert_eq!(core.len(), 2);
    }
}
