//! What links and tunnels of others keep in a router's memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ramson_crypto::Random;
use ramson_proto::ntcp2::Event;
use ramson_proto::tunnel::build::{
    BuildKind, BuildPath, HopAnswer, HopRequest, HopSpec, NextStep, PendingBuild,
};
use ramson_wire::build::{BuildReply, ReplyCode};
use ramson_wire::i2np::{Garlic, TunnelGateway};
use ramson_wire::{I2npMessage, I2npRef, Mapping, MessageType, TunnelId};
use serde::Serialize;
use xtask::usage::{self, Memory};

use crate::fake::{FakeRouter, Link, Target, Watch, wait};

/// The fewest neighbours that ask for tunnels: routers limit what one may ask for.
const NEIGHBOURS: usize = 20;
/// How long the first build may take, until the router is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a handshake is tried again.
const ATTEMPTS: usize = 3;
/// How long memory is left to settle before it is read.
const SETTLE: Duration = Duration::from_secs(3);
/// How long build messages are good for.
const MESSAGE_TTL: Duration = Duration::from_secs(60);

/// What a router keeps in memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct MemoryFigure {
    /// Right after the start, with nobody linked, in bytes.
    pub(crate) idle: u64,
    /// What of that is its own and not a file's.
    pub(crate) idle_anonymous: u64,
    /// Links that stood at once.
    pub(crate) links: usize,
    /// Bytes for each of them.
    pub(crate) per_link: f64,
    /// Tunnels that were accepted.
    pub(crate) tunnels: usize,
    /// Those that were asked for.
    pub(crate) tunnels_asked: usize,
    /// Bytes for all tunnels together, above what the router had before.
    pub(crate) for_tunnels: u64,
    /// Bytes for each tunnel.
    pub(crate) per_tunnel: f64,
    /// CPU time of the router for each build request, in milliseconds.
    pub(crate) build_cpu_ms: f64,
}

/// Links `links` routers with the router `pid`, then builds `tunnels` tunnels through it in which
/// it is a participant.
pub(crate) fn measure(
    target: &Target,
    pid: u32,
    links: usize,
    tunnels: usize,
    per_s: usize,
) -> Result<MemoryFigure> {
    std::thread::sleep(SETTLE);
    let idle = usage::memory(pid)?;
    let mut random = Random::from_os();
    let routers: Vec<_> = (0..links.max(NEIGHBOURS))
        .map(|index| FakeRouter::new(target.network, index, &mut random))
        .collect::<Result<_>>()?;
    let mut linked: Vec<Link> = Vec::new();
    for router in routers.iter() {
        linked.push(dial(router, target, &mut random)?);
        drive(&mut linked, Duration::ZERO)?;
    }
    settle(&mut linked, SETTLE)?;
    let with_links = usage::memory(pid)?;
    let links = linked.len();

    let mut builder = Builder {
        target,
        routers: &routers,
        links: linked,
        random,
        watch: Watch::start(),
        pending: Vec::new(),
        accepted: 0,
        refused: 0,
        next: 0,
    };
    builder.first()?;
    settle(&mut builder.links, SETTLE)?;
    let before = usage::memory(pid)?;
    let cpu = usage::cpu(pid)?;
    let accepted = builder.accepted;
    builder.build(tunnels, per_s)?;
    let cpu = usage::cpu(pid)?.saturating_sub(cpu);
    settle(&mut builder.links, SETTLE)?;
    let after = usage::memory(pid)?;
    let accepted = builder.accepted - accepted;
    if builder.refused > 0 {
        eprintln!("bench: {} requests were refused", builder.refused);
    }
    let grown = |before: Memory, after: Memory| after.resident.saturating_sub(before.resident);
    Ok(MemoryFigure {
        idle: idle.resident,
        idle_anonymous: idle.anonymous,
        links,
        per_link: grown(idle, with_links) as f64 / links.max(1) as f64,
        tunnels: accepted,
        tunnels_asked: tunnels,
        for_tunnels: grown(before, after),
        per_tunnel: grown(before, after) as f64 / accepted.max(1) as f64,
        build_cpu_ms: cpu.as_secs_f64() * 1000.0 / tunnels.max(1) as f64,
    })
}

/// Some handshakes with emissary fail; another attempt does not.
fn dial(router: &FakeRouter, target: &Target, random: &mut Random) -> Result<Link> {
    let mut attempts = 0;
    loop {
        match Link::dial(router, target, random.fork("link")) {
            Err(_) if attempts < ATTEMPTS => attempts += 1,
            done => return done,
        }
    }
}

/// Waits until something comes, at most `timeout`, and lets those links take it that it came for; a
/// link that has ended is an error.
fn drive(links: &mut [Link], timeout: Duration) -> Result<()> {
    let ready = wait(links, timeout)?;
    for (index, link) in links.iter_mut().enumerate() {
        if ready.contains(&index) {
            link.pump().with_context(|| format!("link {index}"))?;
        }
    }
    Ok(())
}

/// Keeps the links going for a while and forgets what comes.
fn settle(links: &mut [Link], time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    for link in links.iter_mut() {
        // Timers, too.
        link.pump()?;
    }
    while Instant::now() < until {
        drive(links, Duration::from_millis(100))?;
        for link in links.iter_mut() {
            link.events.clear();
        }
    }
    Ok(())
}

/// A build that has not been answered.
struct Pending {
    build: PendingBuild,
    since: Instant,
}

/// Builds tunnels of two hops: the router that is measured, then one of ours, which hands the
/// answer to the creator, ours as well.
struct Builder<'a> {
    target: &'a Target,
    routers: &'a [FakeRouter],
    links: Vec<Link>,
    random: Random,
    watch: Watch,
    pending: Vec<Pending>,
    accepted: usize,
    refused: usize,
    next: usize,
}

impl Builder<'_> {
    /// Asks for a tunnel every second until one is accepted: some routers take none at first.
    fn first(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while self.accepted == 0 {
            if Instant::now() >= deadline {
                bail!("no tunnel was accepted, {} were refused", self.refused);
            }
            self.ask()?;
            let next = Instant::now() + Duration::from_secs(1);
            while Instant::now() < next && self.accepted == 0 {
                self.take_answers(Duration::from_millis(50))?;
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Asks for `count` tunnels, so many in a second, and waits for the answers.
    fn build(&mut self, count: usize, per_s: usize) -> Result<()> {
        let began = Instant::now();
        for asked in 0..count {
            self.ask()?;
            let due = began + Duration::from_secs_f64(asked as f64 / per_s.max(1) as f64);
            loop {
                let left = due.saturating_duration_since(Instant::now());
                self.take_answers(left)?;
                if left.is_zero() {
                    break;
                }
            }
        }
        while !self.pending.is_empty() {
            self.take_answers(Duration::from_millis(50))?;
            self.pending
                .retain(|pending| pending.since.elapsed() < ANSWER_WITHIN);
        }
        Ok(())
    }

    /// Sends a build request from the next neighbour, with the one behind it as second hop.
    fn ask(&mut self) -> Result<()> {
        let creator = self.next % self.routers.len();
        let second = (self.next + 1) % self.routers.len();
        self.next += 1;
        let (Some(creator_router), Some(second), Some(link)) = (
            self.routers.get(creator),
            self.routers.get(second),
            self.links.get_mut(creator),
        ) else {
            bail!("no neighbour {creator}");
        };
        let random = &mut self.random;
        let tunnel = |random: &mut Random| TunnelId::new(random.u32() | 1).context("not zero");
        let hop = |router, key, random: &mut Random| -> Result<HopSpec> {
            Ok(HopSpec {
                router,
                encryption_key: key,
                receive_tunnel: tunnel(random)?,
                options: Mapping::default(),
            })
        };
        let key = self.target.info.identity().encryption_key();
        let key = key.context("the router has no X25519 key")?;
        let hops = [
            hop(self.target.hash(), key, random)?,
            hop(second.hash(), second.receiver.public(), random)?,
        ];
        let path = BuildPath::Outbound {
            reply_gateway: creator_router.hash(),
            reply_tunnel: tunnel(random)?,
        };
        let id = random.u32();
        let now = self.watch.now().unix;
        let (build, body) = PendingBuild::start(&hops, path, id, random, now)?;
        let message = I2npMessage::new(
            MessageType::ShortTunnelBuild,
            random.u32(),
            now + MESSAGE_TTL,
            body,
        )?;
        link.send(&message)?;
        link.pump()?;
        self.pending.push(Pending {
            build,
            since: Instant::now(),
        });
        Ok(())
    }

    /// Plays the second hop and the creator for every request that was passed on.
    fn take_answers(&mut self, timeout: Duration) -> Result<()> {
        drive(&mut self.links, timeout)?;
        for (router, link) in self.routers.iter().zip(&mut self.links) {
            for event in link.events.drain(..) {
                let Event::Message(message) = event else {
                    continue;
                };
                if message.kind != MessageType::ShortTunnelBuild {
                    continue;
                }
                let found = HopRequest::find(BuildKind::Short, router.hash(), &message.body)
                    .context("what was passed on is no build message")?;
                let now = self.watch.now().unix + MESSAGE_TTL;
                let reply = BuildReply::new(ReplyCode::Accepted);
                let step = found.open(&router.receiver)?;
                let step = step.reply(&reply, now, &mut self.random)?;
                // The router may build tunnels of its own through its neighbours.
                let NextStep::Send { to, message } = step else {
                    continue;
                };
                if message.kind() != MessageType::TunnelGateway
                    || !self.routers.iter().any(|creator| creator.hash() == to)
                {
                    continue;
                }
                let inside = TunnelGateway::parse(message.body())?;
                let garlic = I2npRef::parse_long(inside.message)?;
                let body = Garlic::parse(garlic.body)?;
                // Whose it is shows only when it opens; the oldest come first.
                let found = self.pending.iter().enumerate().find_map(|(at, pending)| {
                    Some((at, pending.build.open_garlic_reply(body).ok()?))
                });
                let Some((at, body)) = found else {
                    continue;
                };
                let pending = self.pending.remove(at);
                let outcome = pending.build.handle_reply(&body)?;
                match outcome.answers.first() {
                    Some(HopAnswer::Accepted(_)) => self.accepted += 1,
                    _ => self.refused += 1,
                }
            }
        }
        Ok(())
    }
}
