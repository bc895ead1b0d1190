//! The event queue of a world, and the wakers that put parts into it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use ramson_crypto::Random;

/// A time that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// A part's place, and which of those that had it one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A part may have to run.
    Run(PartId),
    /// A core of a router has nothing to do any more.
    Free(u32),
    /// A connection's first packet arrives at a router.
    Syn { dialer: PartId, target: u32 },
    /// The answer to it arrives.
    SynAnswer {
        dialer: PartId,
        acceptor: Option<PartId>,
    },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    /// Drawn, so that the order at one instant is the seed's.
    tie: u32,
    number: u64,
    event: Event,
}

/// All that is due, by time in microseconds.
#[derive(Debug)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    random: Random,
    pushed: u64,
}

impl Queue {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            heap: BinaryHeap::new(),
            random,
            pushed: 0,
        }
    }

    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.pushed += 1;
        self.heap.push(Reverse(Entry {
            at,
            tie: self.random.u32(),
            number: self.pushed,
            event,
        }));
    }

    /// Takes the next event that is due by `until`.
    pub(crate) fn pop(&mut self, until: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.at, entry.event))
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// Parts that were woken since somebody looked.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<Vec<PartId>>);

struct PartWaker {
    part: PartId,
    ready: Arc<Ready>,
}

impl Wake for PartWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let ready = self.ready.0.lock();
        ready
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.part);
    }
}

impl Ready {
    pub(crate) fn waker(self: &Arc<Self>, part: PartId) -> Waker {
        Waker::from(Arc::new(PartWaker {
            part,
            ready: Arc::clone(self),
        }))
    }

    /// Moves the woken parts to `woken`, in the order in which they were.
    pub(crate) fn take(&self, woken: &mut Vec<PartId>) {
        let ready = self.0.lock();
        woken.append(&mut ready.unwrap_or_else(PoisonError::into_inner));
    }
}

/// When a part is to run, with few entries in the queue.
///
/// A part that is often busy asks for a far timer and is then run by something near, again and
/// again. So one near and one far entry are remembered, and a time that one of them covers needs
/// no new one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    at: u64,
    near: u64,
    far: u64,
}

impl Due {
    pub(crate) const NEVER: Self = Self {
        at: NEVER,
        near: NEVER,
        far: NEVER,
    };

    /// Wants to run at `at`, if not before.
    pub(crate) fn by(&mut self, at: u64, part: PartId, queue: &mut Queue) {
        self.at = self.at.min(at);
        self.cover(part, queue);
    }

    /// An entry of this time came up; says whether it is time to run.
    pub(crate) fn is_due(&mut self, at: u64, part: PartId, queue: &mut Queue) -> bool {
        if self.near == at {
            self.near = NEVER;
        } else if self.far == at {
            self.far = NEVER;
        }
        if self.at <= at {
            self.at = NEVER;
            return true;
        }
        self.cover(part, queue);
        false
    }

    fn cover(&mut self, part: PartId, queue: &mut Queue) {
        if self.at == NEVER || self.near <= self.at || self.far <= self.at {
            return;
        }
        if self.far == NEVER {
            // What was near is far now; a first entry is as well called far.
            self.far = std::mem::replace(&mut self.near, NEVER);
        }
        if self.far == NEVER {
            self.far = self.at;
        } else {
            self.near = self.at;
        }
        queue.push(self.at, Event::Run(part));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PART: PartId = PartId {
        index: 3,
        generation: 1,
    };

    fn queue() -> Queue {
        Queue::new(Random::from_seed([1; 32]))
    }

    #[test]
    fn events_come_in_the_order_of_time_and_in_a_drawn_order_at_one_time() {
        let mut queue = queue();
        for node in 0..10 {
            queue.push(5, Event::Free(node));
        }
        queue.push(3, Event::Free(99));
        assert_eq!(queue.pop(2), None);
        assert_eq!(queue.pop(3), Some((3, Event::Free(99))));
        let mut order = Vec::new();
        while let Some((5, Event::Free(node))) = queue.pop(5) {
            order.push(node);
        }
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn wakers_tell_which_part_they_wake() {
        let ready = Arc::<Ready>::default();
        let waker = ready.waker(PART);
        assert!(waker.will_wake(&waker.clone()));
        waker.wake();
        let mut woken = Vec::new();
        ready.take(&mut woken);
        ready.take(&mut woken);
        assert_eq!(woken, [PART]);
    }

    #[test]
    fn a_busy_part_with_a_far_timer_leaves_few_entries_behind() {
        let (mut queue, mut due) = (queue(), Due::NEVER);
        for now in 0..1000 {
            due.by(now + 1_000_000, PART, &mut queue);
            due.by(now + 1, PART, &mut queue);
            let (at, _) = queue.pop(now + 1).unwrap();
            assert!(due.is_due(at, PART, &mut queue));
        }
        assert!(queue.len() < 5);
    }

    proptest! {
        /// Whatever a part asks for, it runs at the first of its times and not later.
        #[test]
        fn a_part_runs_when_it_asked_to(asked in proptest::collection::vec((0u64..50, 0u64..20), 1..100)) {
            let (mut queue, mut due) = (queue(), Due::NEVER);
            let (mut now, mut wanted) = (0, NEVER);
            for (delay, wait) in asked {
                due.by(now + delay, PART, &mut queue);
                wanted = wanted.min(now + delay);
                let until = now + wait;
                while let Some((at, _)) = queue.pop(until) {
                    prop_assert!(at <= wanted);
                    if due.is_due(at, PART, &mut queue) {
                        prop_assert_eq!(at, wanted);
                        wanted = NEVER;
                    }
                }
                prop_assert!(wanted > until);
                now = until;
            }
        }
    }
}
