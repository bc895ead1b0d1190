//! A Destination on a running router.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ramson_router::inbox::Inbox;
use ramson_router::{
    DestinationEvent, DestinationHandle, DestinationKeys, DestinationPart, LeaseSetLookup,
    PoolSettings,
};
use ramson_wire::{StoredLeaseSet, Verified};
use tokio::sync::Notify;

use super::{RunningRouter, part};

/// Events that wait.
const EVENTS: usize = 64;

/// A Destination that is online, or on its way to be. Dropping it takes it offline.
pub struct LocalDestination {
    handle: DestinationHandle,
    events: Inbox<DestinationEvent>,
}

impl fmt::Debug for LocalDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDestination").finish_non_exhaustive()
    }
}

impl RunningRouter {
    /// Brings a Destination online; the tunnels are inbound and outbound ones.
    pub fn open_destination(
        &self,
        keys: DestinationKeys,
        tunnels: [PoolSettings; 2],
    ) -> LocalDestination {
        let events = Inbox::new(EVENTS);
        let owner = events.sender(EVENTS);
        let (part, handle) = self.handle.open_destination(keys, tunnels, owner);
        self.runtime.spawn(run(part, self.clock.clone()));
        LocalDestination { handle, events }
    }
}

/// Runs a Destination until it is closed.
async fn run(mut part: DestinationPart, clock: super::clock::Clock) {
    let closed = Arc::new(Notify::new());
    let close = Arc::clone(&closed);
    let steps = part::drive(clock, move |now, waker| {
        let next = part.step(now);
        if part.is_closed() {
            close.notify_one();
        }
        (next, part.register(waker))
    });
    tokio::select! {
        () = steps => {}
        () = closed.notified() => {}
    }
}

impl LocalDestination {
    /// What happens to it next. It may be dropped while it waits.
    pub async fn next_event(&self) -> DestinationEvent {
        next(&self.events).await
    }

    /// Finds the LeaseSet of the Destination with this hash.
    pub async fn look_up(&self, key: [u8; 32]) -> Option<Verified<StoredLeaseSet>> {
        let outcome: Inbox<LeaseSetLookup> = Inbox::new(1);
        if !self.handle.look_up(key, outcome.sender(1)) {
            return None;
        }
        next(&outcome).await.found
    }
}

impl Drop for LocalDestination {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// Takes what comes next.
async fn next<T>(inbox: &Inbox<T>) -> T {
    poll_fn(|context| {
        let mut taken = Vec::new();
        loop {
            inbox.take(1, &mut taken);
            if let Some(taken) = taken.pop() {
                return Poll::Ready(taken);
            }
            if !inbox.register(context.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}
