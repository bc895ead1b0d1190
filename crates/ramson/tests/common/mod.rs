//! What the tests over the scripted bridge share.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::future::Future;
use std::time::{Duration, Instant};

use ramson::testing::{Personality, ScriptedBridge, Timing};
use ramson::{Error, Event, Events, I2p, Session, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// No test runs longer: what hangs fails.
const HARD_LIMIT: Duration = Duration::from_secs(60);

/// Runs a test in a runtime of its own.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let output = runtime.block_on(async {
        tokio::time::timeout(HARD_LIMIT, test)
            .await
            .expect("the test hangs")
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    output
}

/// A bridge of this personality and a library that uses it.
pub(crate) async fn on(personality: Personality) -> (ScriptedBridge, I2p) {
    let bridge = ScriptedBridge::builder()
        .personality(personality)
        .deaf_after_recreation(Duration::ZERO)
        .start()
        .await
        .unwrap();
    let i2p = bridge.i2p().await.unwrap();
    (bridge, i2p)
}

/// Two sessions.
pub(crate) async fn pair(i2p: &I2p) -> (Session, Session) {
    let one = i2p.session().open().await.unwrap();
    let other = i2p.session().open().await.unwrap();
    (one, other)
}

/// A stream from the first session to the second, both ends.
pub(crate) async fn stream(from: &Session, to: &Session) -> (Stream, Stream) {
    let listener = to.listen().await.unwrap();
    let (near, far) = tokio::join!(from.connect(to.destination()), listener.accept());
    (near.unwrap(), far.unwrap())
}

/// Bytes pass in both directions.
pub(crate) async fn exchange(near: &mut Stream, far: &mut Stream) {
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut *near, &mut *far];
        ends[from].write_all(b"hello").await.unwrap();
        let mut bytes = [0; 5];
        ends[to].read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hello");
    }
}

/// The text says a cause and a next step, and names nothing that is not for logs.
pub(crate) fn assert_text(error: &Error, parts: &[&str], secrets: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    for secret in secrets {
        assert!(!text.contains(secret), "{secret:?} is in: {text}");
    }
    let text = text.replace("for example 127.0.0.1:7656", "");
    assert!(!text.contains("127.0.0.1:"), "the router is in: {text}");
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The events up to the first for which `last` holds, that included.
pub(crate) async fn events_until(events: &mut Events, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.next().await.expect("the session is over");
        let done = last(&event);
        seen.push(event);
        if done {
            return seen;
        }
    }
}

pub(crate) fn is_restored(event: &Event) -> bool {
    matches!(event, Event::Restored { .. })
}

/// Waits that are short, with this rest of keys.
pub(crate) fn timing(key_rest: Duration) -> Timing {
    let mut timing = Timing::quick();
    timing.key_rest = Some(key_rest);
    timing
}
