//! Bounded inboxes: the one way in which parts speak to each other.
//!
//! Posting never waits. A part that has taken all there is leaves its [`Waker`] behind and is woken
//! by the next post; which scheduler is behind that waker, nothing in here knows.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use thiserror::Error;

/// Why a message was not posted; it comes back.
#[derive(Error)]
pub enum PostError<T> {
    /// The inbox, or this sender's share of it, is full.
    #[error("the inbox is full")]
    Full(T),
    /// The part is gone.
    #[error("the part has ended")]
    Closed(T),
}

impl<T> fmt::Debug for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        })
    }
}

struct State<T> {
    queue: VecDeque<(T, Arc<AtomicUsize>)>,
    waker: Option<Waker>,
    closed: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A part that panicked leaves its messages behind, which are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving end, owned by a part.
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

/// A sending end. Each [`Inbox::sender`] has a share of its own, so that a neighbour that floods
/// displaces only itself; clones have one share together.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    held: Arc<AtomicUsize>,
    share: usize,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            held: Arc::clone(&self.held),
            share: self.share,
        }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> Inbox<T> {
    /// Makes an inbox of `capacity` places.
    pub fn new(capacity: usize) -> Self {
        let state = State {
            queue: VecDeque::new(),
            waker: None,
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                capacity,
            }),
        }
    }

    /// Makes a sender that may hold `share` places at once.
    pub fn sender(&self, share: usize) -> Sender<T> {
        Sender {
            shared: Arc::clone(&self.shared),
            held: Arc::default(),
            share,
        }
    }

    /// Moves up to `limit` messages to the end of `batch`, in the order in which they came, and
    /// says whether more are waiting.
    pub fn take(&self, limit: usize, batch: &mut Vec<T>) -> bool {
        let mut state = self.shared.lock();
        let count = limit.min(state.queue.len());
        batch.extend(state.queue.drain(..count).map(|(message, held)| {
            held.fetch_sub(1, Ordering::Relaxed);
            message
        }));
        !state.queue.is_empty()
    }

    /// Leaves the waker for the next post; says whether messages are there already, in which case
    /// nothing is left.
    pub fn register(&self, waker: &Waker) -> bool {
        let mut state = self.shared.lock();
        if !state.queue.is_empty() {
            return true;
        }
        if !state.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        false
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// Says whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let queue = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        // Their own drops may post to other inboxes: not under the lock.
        drop(queue);
    }
}

impl<T> Sender<T> {
    /// Makes a sender to the same inbox with a share of its own.
    pub fn with_share(&self, share: usize) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            held: Arc::default(),
            share,
        }
    }

    /// Posts a message and wakes the part.
    ///
    /// # Errors
    ///
    /// [`PostError`], with the message.
    pub fn post(&self, message: T) -> Result<(), PostError<T>> {
        let waker = {
            let mut state = self.shared.lock();
            if state.closed {
                return Err(PostError::Closed(message));
            }
            if state.queue.len() >= self.shared.capacity
                || self.held.load(Ordering::Relaxed) >= self.share
            {
                return Err(PostError::Full(message));
            }
            self.held.fetch_add(1, Ordering::Relaxed);
            state.queue.push_back((message, Arc::clone(&self.held)));
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Posts what there is room for, waking the part once; the rest stays in `messages`.
    pub fn post_all(&self, messages: &mut VecDeque<T>) -> usize {
        let (count, waker) = {
            let mut state = self.shared.lock();
            if state.closed {
                return 0;
            }
            let held = self.held.load(Ordering::Relaxed);
            let room = self.shared.capacity.saturating_sub(state.queue.len());
            let count = room
                .min(self.share.saturating_sub(held))
                .min(messages.len());
            self.held.fetch_add(count, Ordering::Relaxed);
            let posted = messages.drain(..count);
            state
                .queue
                .extend(posted.map(|message| (message, Arc::clone(&self.held))));
            let waker = if count > 0 { state.waker.take() } else { None };
            (count, waker)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        count
    }

    /// Says whether the part has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_sender_that_floods_displaces_only_itself() {
        let inbox = Inbox::new(10);
        let (loud, quiet) = (inbox.sender(4), inbox.sender(4));
        let posted = (0..9).filter(|n| loud.clone().post(*n).is_ok()).count();
        assert_eq!(posted, 4);
        assert!(matches!(loud.post(9), Err(PostError::Full(9))));
        assert!(quiet.post(100).is_ok());
        let mut batch = Vec::new();
        assert!(inbox.take(3, &mut batch));
        assert!(loud.post(5).is_ok());
        assert!(!inbox.take(usize::MAX, &mut batch));
        assert_eq!(batch, [0, 1, 2, 3, 100, 5]);
    }

    #[test]
    fn the_whole_has_a_bound() {
        let inbox = Inbox::new(3);
        let mut many: VecDeque<u32> = (0..5).collect();
        assert_eq!(inbox.sender(10).post_all(&mut many), 3);
        assert_eq!(many, [3, 4]);
        assert!(matches!(inbox.sender(10).post(7), Err(PostError::Full(7))));
    }

    #[test]
    fn a_post_wakes_once() {
        let inbox = Inbox::new(3);
        let sender = inbox.sender(3);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        assert!(!inbox.register(&waker));
        sender.post(1).unwrap();
        sender.post(2).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(inbox.register(&waker));
        inbox.take(9, &mut Vec::new());
        assert!(!inbox.register(&waker));
        sender.post(3).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_comes_after_the_end_comes_back() {
        let inbox = Inbox::new(3);
        let sender = inbox.sender(3);
        drop(inbox);
        assert!(matches!(sender.post(1), Err(PostError::Closed(1))));
        assert!(sender.is_closed());
    }
}
