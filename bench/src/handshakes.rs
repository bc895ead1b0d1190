//! Handshakes that a router answers, one after the other and several at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ramson_crypto::Random;
use ramson_proto::ntcp2::Event;
use serde::Serialize;
use xtask::usage;

use crate::fake::{FakeRouter, Link, Target};

/// Dialers at once.
const DIALERS: usize = 4;
/// How long the first answer is waited for, to see whether the router greets at all.
const GREETS_WITHIN: Duration = Duration::from_secs(3);

/// What handshakes cost the router that answers them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct HandshakeFigure {
    /// How many were done, each by another router.
    pub(crate) done: usize,
    /// How many came to nothing.
    pub(crate) failed: usize,
    /// Done in a second; the dialers need as much of the machine as the router.
    pub(crate) per_s: f64,
    /// CPU time of the router for each, in milliseconds.
    pub(crate) cpu_ms: f64,
}

/// Has `count` routers nobody knows yet do one handshake each with the router `pid`.
pub(crate) fn measure(target: &Target, pid: u32, count: usize) -> Result<HandshakeFigure> {
    let mut random = Random::from_os();
    // Beyond those that other measurements of the same router use.
    let routers: Vec<_> = (0..=count)
        .map(|index| FakeRouter::new(target.network, 10_000 + index, &mut random))
        .collect::<Result<_>>()?;
    let (first, routers) = routers.split_first().context("at least one")?;
    let mut probe = Link::dial(first, target, random.fork("probe"))?;
    let greets = probe.wait_for(GREETS_WITHIN, is_answer)?;
    probe.close();
    std::thread::sleep(Duration::from_millis(500));

    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let before = usage::cpu(pid)?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..DIALERS {
            let mut random = random.fork("dialer");
            let (next, done) = (&next, &done);
            scope.spawn(move || {
                while let Some(router) = routers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if handshake(router, target, greets, random.fork("link")).is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    // What the last ones left to do.
    std::thread::sleep(Duration::from_millis(300));
    let cpu = usage::cpu(pid)?.saturating_sub(before);
    let done = done.into_inner();
    Ok(HandshakeFigure {
        done,
        failed: count - done,
        per_s: done as f64 / seconds,
        cpu_ms: cpu.as_secs_f64() * 1000.0 / done.max(1) as f64,
    })
}

/// A router that greets shows by it that it took the last message of the handshake.
fn handshake(router: &FakeRouter, target: &Target, greets: bool, random: Random) -> Result<()> {
    let mut link = Link::dial(router, target, random)?;
    if greets && !link.wait_for(GREETS_WITHIN, is_answer)? {
        anyhow::bail!("the handshake was not answered");
    }
    link.close();
    Ok(())
}

fn is_answer(event: &Event) -> bool {
    matches!(event, Event::RouterInfo { .. } | Event::Message(_))
}
