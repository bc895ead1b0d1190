//! Links with other routers that end again and again under running streams and come back, made by
//! either side.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ramson_tests::{Chat, count_of, on_router, over, peer, quick_session, router_hash};
use serde_json::Value;
use xtask::net::{Network, NetworkSpec, RamsonSpec};
use xtask::peers::Peer;

/// Each round must bring links and an echo back within this.
const ROUND_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked whether they are there.
const LOOK: Duration = Duration::from_millis(100);
/// How many more rounds than reconnects there may be until each side has dialled often enough.
const ROUNDS_EACH: u64 = 6;

/// Handshakes with the ends, as our routers' logs tell: those that we dialled, those that dialled
/// us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Roles {
    dialled: u64,
    accepted: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn links_come_back_in_both_roles() -> Result<()> {
    let mut spec = NetworkSpec::new(peer()?, 2);
    spec.ends = true;
    spec.ramson = RamsonSpec {
        routers: 4,
        floodfills: 3,
        release: !cfg!(debug_assertions),
    };
    over(&spec, async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        let (server, client) = tokio::try_join!(quick_session(&a), quick_session(&b))?;
        let chat = Chat::start(server, client).await?;
        let mut logs = Logs::from_now(network)?;
        let outcome = reconnect(network, &chat, &mut logs).await;
        // Also when it went wrong: the peers may know why.
        let complaints = logs.complaints();
        for (line, count) in &complaints {
            println!("{count} x {line}");
        }
        let ended = outcome?;
        ensure!(complaints.is_empty(), "the peers complain");
        ensure!(
            ended <= logs.cancelled,
            "{ended} handshakes of peers ended in the midst, {} of them by their own decision",
            logs.cancelled
        );
        Ok(())
    })
    .await
}

/// Returns how many handshakes ended without a fault: when both sides dial at once, i2pd may take
/// back its own.
async fn reconnect(network: &Network, chat: &Chat, logs: &mut Logs) -> Result<u64> {
    let wanted = count_of("RAMSON_RECONNECTS", 20);
    let began = Instant::now();
    await_return(chat, 0, None, logs).await?;
    // While all routers started, some dialled others that were not there yet.
    let before = failures(network)?;
    let first = logs.roles()?;
    let mut rounds = 0;
    loop {
        let roles = logs.roles()?;
        let (dialled, accepted) = (
            roles.dialled - first.dialled,
            roles.accepted - first.accepted,
        );
        if dialled >= wanted && accepted >= wanted {
            println!(
                "{}: {rounds} rounds in {:.0} s: {dialled} links that we dialled, {accepted} that \
                 dialled us; {} echoes, {} streams broke",
                network.version(),
                began.elapsed().as_secs_f64(),
                chat.echoes(),
                chat.broken()
            );
            break;
        }
        ensure!(
            rounds < wanted * ROUNDS_EACH,
            "after {rounds} rounds only {dialled} dialled and {accepted} accepted"
        );
        let echoes = chat.echoes();
        for router in network.ramson_routers() {
            router.drop_links()?;
        }
        await_return(chat, echoes, Some(roles), logs)
            .await
            .with_context(|| format!("round {rounds}"))?;
        rounds += 1;
    }
    let mut failed = failures(network)?;
    let mut ended = 0;
    failed.retain(|what, count| {
        *count -= before.get(what).copied().unwrap_or(0);
        let taken_back = what.ends_with("accepted: ended") || what.ends_with("accepted: silent");
        if taken_back {
            ended += *count;
        }
        *count > 0 && !taken_back
    });
    ensure!(failed.is_empty(), "handshakes failed: {failed:?}");
    Ok(ended)
}

/// Waits until a message has crossed and, if there were `roles` before, links with ends have come up.
async fn await_return(
    chat: &Chat,
    echoes: u64,
    roles: Option<Roles>,
    logs: &mut Logs,
) -> Result<()> {
    let began = Instant::now();
    while chat.echoes() <= echoes || Some(logs.roles()?) == roles {
        if began.elapsed() > ROUND_WITHIN {
            bail!(
                "{} echoes and {:?} since {echoes} and {roles:?}; {} streams broke",
                chat.echoes(),
                logs.roles()?,
                chat.broken()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The handshakes that failed at our routers, by router, direction and reason.
fn failures(network: &Network) -> Result<BTreeMap<String, u64>> {
    // The numbers are made anew each second.
    std::thread::sleep(Duration::from_millis(1500));
    let mut failures = BTreeMap::new();
    for (index, router) in network.ramson_routers().enumerate() {
        let status = router.status()?;
        for way in ["dialled", "accepted"] {
            let counts = status
                .get(format!("handshakes_{way}_failed"))
                .and_then(Value::as_object);
            for (reason, count) in counts.into_iter().flatten() {
                let count = count.as_u64().unwrap_or(0);
                failures.insert(format!("router {index}, {way}: {reason}"), count);
            }
        }
    }
    Ok(failures)
}

/// What routers logged since a moment.
struct Logs {
    ours: Vec<Log>,
    /// How our routers name the ends.
    ends: Vec<String>,
    roles: Roles,
    theirs: Vec<(Peer, Log)>,
    /// Handshakes that the ends took back themselves.
    cancelled: u64,
}

impl Logs {
    fn from_now(network: &Network) -> Result<Self> {
        let ours = network.ramson_routers().map(|it| Log::from_now(&it.log));
        let hashes = network.routers().map(|it| router_hash(&it.data));
        let theirs = network.routers().map(|it| (it.peer, &it.log));
        Ok(Self {
            // From the beginning: most links were there before.
            ours: ours.collect::<Result<_>>()?,
            ends: hashes
                .map(|hash| Ok(hash?.to_string()))
                .collect::<Result<_>>()?,
            roles: Roles::default(),
            cancelled: 0,
            theirs: theirs
                .map(|(peer, path)| Ok((peer, Log::from_now(path)?)))
                .collect::<Result<_>>()?,
        })
    }

    /// The links with ends that came up.
    fn roles(&mut self) -> Result<Roles> {
        for log in &mut self.ours {
            for line in log.read()?.lines().filter(|it| it.contains("link up")) {
                if !self.ends.iter().any(|end| line.contains(end)) {
                    continue;
                }
                if line.contains("incoming=true") {
                    self.roles.accepted += 1;
                } else {
                    self.roles.dialled += 1;
                }
            }
        }
        Ok(self.roles)
    }

    /// What the ends say about links that is more than that they ended, with how often.
    fn complaints(&mut self) -> BTreeMap<String, u64> {
        let mut complaints = BTreeMap::new();
        for (peer, log) in &mut self.theirs {
            let text = log.read().unwrap_or_default();
            let cancelled = |line: &&str| line.contains("NTCP2: ") && is_cancelled(line);
            let cancelled = text.lines().filter(cancelled).count();
            self.cancelled += u64::try_from(cancelled).unwrap_or(u64::MAX);
            for line in text.lines().filter(|line| complains(*peer, line)) {
                // What comes before is time and thread.
                let line = line.split_once("NTCP2: ").map_or(line, |(_, rest)| rest);
                *complaints.entry(line.to_owned()).or_default() += 1;
            }
        }
        complaints
    }
}

/// How i2pd says that it ended a handshake of its own: it closed its socket while it waited, or
/// before it wrote.
const CANCELLED: [&str; 2] = ["Operation canceled", "Bad file descriptor"];

fn is_cancelled(line: &str) -> bool {
    CANCELLED.iter().any(|word| line.contains(word))
}

/// Whether a line of a peer's log is about a link that did not go as it should.
fn complains(peer: Peer, line: &str) -> bool {
    /// That links end, and that both sides dial at once, is what the test is about.
    const I2PD_ALLOWED: [&str; 5] = [
        "Receive length read error",
        "Receive read error",
        "Couldn't send frame",
        "already exists",
        "Outgoing messages queue size",
    ];
    const EMISSARY: [&str; 4] = [
        "failed to accept session",
        "failed to handshake",
        "failed to dial",
        "failed to decrypt",
    ];
    match peer {
        Peer::Emissary => {
            let loud = line.contains("WARN") || line.contains("ERROR");
            line.contains("ntcp2") && (loud || EMISSARY.iter().any(|word| line.contains(word)))
        }
        Peer::Current | Peer::Stable | Peer::Old => {
            let loud = ["/warn - NTCP2:", "/error - NTCP2:", "/critical - NTCP2:"];
            loud.iter().any(|word| line.contains(word))
                && !is_cancelled(line)
                && !I2PD_ALLOWED.iter().any(|word| line.contains(word))
        }
    }
}

/// A file that grows.
struct Log {
    path: PathBuf,
    at: u64,
}

impl Log {
    fn from_now(path: &Path) -> Result<Self> {
        let at = std::fs::metadata(path)
            .with_context(|| format!("no log {}", path.display()))?
            .len();
        Ok(Self {
            path: path.to_owned(),
            at,
        })
    }

    /// The whole lines that are new.
    fn read(&mut self) -> Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |at| at + 1));
        self.at += bytes.len() as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[test]
fn complaints_are_told_from_ends() {
    let i2pd = |line: &str| complains(Peer::Current, &format!("12:00:00@1/{line}"));
    assert!(i2pd(
        "warn - NTCP2: SessionRequest AEAD verification failed "
    ));
    assert!(i2pd("error - NTCP2: Wrong static key in SessionConfirmed"));
    assert!(!i2pd(
        "warn - NTCP2: Session with x already exists. Dropped"
    ));
    assert!(!i2pd(
        "warn - NTCP2: SessionCreated read error: Operation canceled"
    ));
    assert!(!i2pd(
        "warn - NTCP2: Couldn't send SessionConfirmed message: Bad file descriptor"
    ));
    assert!(!i2pd("info - NTCP2: Start listening v4 TCP port 1"));
    assert!(!i2pd("warn - Streaming: something else"));
    let emissary = |line: &str| complains(Peer::Emissary, line);
    assert!(emissary(
        "DEBUG emissary::ntcp2::responder: failed to accept session"
    ));
    assert!(emissary("WARN emissary::ntcp2: excessive clock skew"));
    assert!(!emissary("INFO emissary::ntcp2: starting ntcp2"));
}
