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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use ramson_router::inbox::Inbox;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_part_is_woken_by_its_inbox_and_takes_all_of_it() {
        let inbox = Inbox::new(1000);
        let sender = inbox.sender(1000);
        let (done, mut told) = mpsc::unbounded_channel();
        let mut batch = Vec::new();
        tokio::spawn(drive(Clock::default(), move |_, waker| {
            inbox.take(10, &mut batch);
            for message in batch.drain(..) {
                done.send(message).unwrap();
            }
            (None, inbox.register(waker))
        }));
        for round in 0..3 {
            // More than all steps of one turn take.
            for message in 0..500 {
                sender.post(round * 500 + message).unwrap();
            }
            for message in 0..500 {
                assert_eq!(told.recv().await, Some(round * 500 + message));
            }
        }
    }

    #[tokio::test]
    async fn a_part_is_called_when_its_time_comes() {
        let (done, mut told) = mpsc::unbounded_channel();
        let mut wanted = None;
        tokio::spawn(drive(Clock::default(), move |now, _| {
            let due = wanted.is_none_or(|wanted| wanted <= now.instant);
            if due {
                wanted = Some(now.instant + std::time::Duration::from_millis(1));
                done.send(()).unwrap();
            }
            (wanted, false)
        }));
        for _ in 0..20 {
            told.recv().await.unwrap();
        }
    }

    /// A part that never has enough does not keep others from their work.
    #[tokio::test]
    async fn a_busy_part_lets_others_have_their_turn() {
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        tokio::spawn(drive(Clock::default(), move |now, _| {
            count.fetch_add(1, Ordering::Relaxed);
            (Some(now.instant), true)
        }));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(steps.load(Ordering::Relaxed) >= STEPS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_comes_later_is_not_set_anew() {
        let at = |millis: u64| Some(Instant::from_micros(millis * 1000));
        let zero = Instant::ZERO;
        let began = tokio::time::Instant::now();
        let alarm = Mutex::new(Alarm::new());
        let fires = async |next, now| {
            poll_fn(|context| alarm.lock().unwrap().poll(next, now, context)).await;
            began.elapsed().as_millis()
        };
        let waits = |next| {
            let waker = Waker::noop();
            let mut context = Context::from_waker(waker);
            let poll = alarm.lock().unwrap().poll(next, zero, &mut context);
            assert!(poll.is_pending());
        };
        assert_eq!(fires(at(0), zero).await, 0);
        waits(None);
        waits(at(100));
        // Earlier: set anew.
        waits(at(50));
        // Later: the alarm of before fires, once.
        assert_eq!(fires(at(200), zero).await, 50);
        assert_eq!(fires(at(200), Instant::from_micros(50_000)).await, 200);
    }
}
