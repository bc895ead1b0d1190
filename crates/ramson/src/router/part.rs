//! The production scheduler: a part of the router is one task, woken by its inbox or its time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ramson_proto::Now;
use ramson_wire::Instant;
use tokio::time::Sleep;

use super::clock::Clock;

/// Steps of one part before others have their turn.
const STEPS: usize = 4;

/// Runs a part for ever. `step` takes its batch, leaves the waker and says when it wants to be
/// called again and whether there is something to do already.
pub(super) async fn drive(
    clock: Clock,
    mut step: impl FnMut(Now, &Waker) -> (Option<Instant>, bool),
) {
    let mut alarm = Alarm::new();
    poll_fn(move |context| -> Poll<()> {
        for _ in 0..STEPS {
            let now = clock.now();
            let (next, more) = step(now, context.waker());
            if !more && alarm.poll(next, now.instant, context).is_pending() {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A timer that is set anew only to come earlier: what comes later costs one needless wake-up in
/// its time rather than the timer wheel's lock in every step.
#[derive(Debug)]
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(tokio::time::Instant::now())),
            at: Instant::MAX,
        }
    }

    /// Is ready when it is time to look again, at `next` or before.
    pub(super) fn poll(
        &mut self,
        next: Option<Instant>,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(next) = next else {
            return Poll::Pending;
        };
        if next <= now {
            return Poll::Ready(());
        }
        if next < self.at {
            self.at = next;
            let wait = next.saturating_since(now);
            self.sleep
                .as_mut()
                .reset(tokio::time::Instant::now() + wait);
        }
        let fired = self.sleep.as_mut().poll(context);
        if fired.is_ready() {
            self.at = Instant::MAX;
        }
        fired
    }
}
