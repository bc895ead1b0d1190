//! From the start of the process until a router listens, and until it answers a look-up for a
//! RouterInfo that it had stored, with thousands of them.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ramson_crypto::Random;
use ramson_proto::ntcp2::Event;
use ramson_wire::i2np::{DatabaseLookup, DatabaseStore, LookupKind};
use ramson_wire::{I2npMessage, MessageType, RouterHash};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use xtask::net::{LoneKind, LoneRouter};
use xtask::usage;

use crate::fake::{FakeRouter, Link, Target, Watch, listens};

/// How long a router may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take until it answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// A look-up that has not been answered is repeated after this.
const REPEAT: Duration = Duration::from_millis(5);
/// How long a router may take to store what it knows and end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// RouterInfos that are looked up, one in each start.
const KEYS: usize = 10;

/// How long starts took, in milliseconds; medians of several.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StartFigure {
    /// RouterInfos in the network database.
    pub(crate) routers: usize,
    /// Until a connection is taken.
    pub(crate) listening_ms: f64,
    /// Until the look-up for a stored key is answered; `None` if it never was.
    pub(crate) answering_ms: Option<f64>,
    /// Memory then, in bytes.
    pub(crate) resident: u64,
}

/// A process that ends with this value.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a router of this kind `rounds` times with `routers` RouterInfos in its network database.
pub(crate) fn measure(kind: LoneKind, routers: usize, rounds: usize) -> Result<StartFigure> {
    let router = LoneRouter::start(kind)?;
    let target = Target::read(
        router.transport(),
        &router.router_info(),
        router.network_id(),
    )?;
    let mut random = Random::from_os();
    router.kill();
    // Routers forget quickly who is young, alone or not reached: all are made now and look alike.
    let fakes: Vec<_> = (0..routers)
        .map(|index| FakeRouter::new(router.network_id(), index, &mut random))
        .collect::<Result<_>>()?;
    let infos: Vec<_> = fakes
        .iter()
        .map(|fake| fake.local.router_info.as_bytes().to_vec())
        .collect();
    router.write_known_routers(&infos)?;
    if kind == LoneKind::Ramson && routers > 0 {
        // The first start checks all signatures and stores what it read in a file of its own.
        let first = start(router.command())?;
        listens(target.address, LISTENS_WITHIN)?;
        ask(&target, &fakes, 0, &mut random).context("the first start")?;
        end(first)?;
        router.clear_seed()?;
    }
    let (mut listening, mut answering, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    let mut answers = true;
    for round in 0..rounds.max(1) {
        let began = Instant::now();
        let started = start(router.command())?;
        listens(target.address, LISTENS_WITHIN)?;
        listening.push(began.elapsed().as_secs_f64() * 1000.0);
        if routers > 0 && answers {
            match ask(&target, &fakes, round + 1, &mut random) {
                Ok(()) => answering.push(began.elapsed().as_secs_f64() * 1000.0),
                Err(error) => {
                    // It takes long to see that, and would each time.
                    answers = false;
                    eprintln!("bench: {kind}: {error:#}");
                }
            }
        }
        resident.push(usage::memory(started.0.id())?.resident as f64);
        drop(started);
    }
    Ok(StartFigure {
        routers,
        listening_ms: crate::median(&mut listening).unwrap_or_default(),
        answering_ms: crate::median(&mut answering),
        resident: crate::median(&mut resident).unwrap_or_default() as u64,
    })
}

fn start(command: &[OsString]) -> Result<Started> {
    let (program, arguments) = command.split_first().context("no program")?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("the router does not start")?;
    Ok(Started(child))
}

/// Ends one of ours in the way in which it stores what it knows.
fn end(mut started: Started) -> Result<()> {
    let pid = i32::try_from(started.0.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process id")?, Signal::TERM)?;
    let deadline = Instant::now() + ENDS_WITHIN;
    while started.0.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            bail!("the router does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Asks for one of the RouterInfos until it comes.
fn ask(target: &Target, known: &[FakeRouter], round: usize, random: &mut Random) -> Result<()> {
    // Spread over the file, another in each round; the oldest have to make room for those that ask.
    let step = known.len().div_ceil(KEYS).max(1);
    let wanted = known.get((step / 2 + round * step) % known.len().max(1));
    let wanted = wanted.context("nothing to ask for")?.hash();
    let asking = FakeRouter::new(target.network, 20_000 + round, random)?;
    let mut link = Link::dial(&asking, target, random.fork("link"))?;
    let watch = Watch::start();
    let deadline = Instant::now() + ANSWERS_WITHIN;
    while Instant::now() < deadline {
        link.send(&lookup(wanted, asking.hash(), watch, random)?)?;
        let answered = link.wait_for(REPEAT, |event| is_answer(event, wanted))?;
        if answered {
            link.close();
            return Ok(());
        }
        link.events.clear();
    }
    bail!("a look-up for a stored RouterInfo was not answered")
}

fn lookup(
    key: RouterHash,
    from: RouterHash,
    watch: Watch,
    random: &mut Random,
) -> Result<I2npMessage> {
    let lookup = DatabaseLookup {
        key: key.0,
        from,
        kind: LookupKind::RouterInfo,
        tunnel: None,
        excluded: Vec::new(),
        encryption: None,
    };
    let mut body = Vec::new();
    lookup.encode(&mut body)?;
    let expires = watch.now().unix + Duration::from_secs(30);
    Ok(I2npMessage::new(
        MessageType::DatabaseLookup,
        random.u32(),
        expires,
        body,
    )?)
}

fn is_answer(event: &Event, wanted: RouterHash) -> bool {
    let Event::Message(message) = event else {
        return false;
    };
    message.kind == MessageType::DatabaseStore
        && DatabaseStore::parse(&message.body).is_ok_and(|store| store.key == wanted.0)
}
