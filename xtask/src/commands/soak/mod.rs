//! `cargo xtask soak`: a mixed network under load for long, compared with one of i2pd alone.

mod flow;
mod report;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use xtask::net::{Network, NetworkSpec, RamsonSpec};
use xtask::peers::Peer;

use report::{Report, Run};
use traffic::{Running, Stream};

/// How often crashed routers are looked for and the progress is written.
const LOOK: Duration = Duration::from_secs(2);
const TELL: Duration = Duration::from_secs(30);
/// How often the machine is asked whether it lets this process run.
const BEAT: Duration = Duration::from_millis(50);
/// i2pd routers with a Destination each.
const ENDS: usize = 4;
/// How often a network is tried that does not come up.
const ATTEMPTS: u32 = 3;

/// Runs streams over a mixed network and over one of i2pd alone, and compares their pauses.
#[derive(Args)]
pub(crate) struct Soak {
    /// How long each network is measured; tunnels live for ten.
    #[arg(long, default_value_t = 25)]
    minutes: u64,
    /// How many networks of each kind, in turns.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only networks of this kind, to try something out; nothing is compared.
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// What each of the two bulk streams sends in each direction.
    #[arg(long, default_value_t = 200, value_name = "KB")]
    bulk_kb_per_s: usize,
    /// Build our own routers for tests and not for speed.
    #[arg(long)]
    debug: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Four i2pd, two emissary and three of our own, one of these a floodfill.
    Mixed,
    /// As many i2pd.
    I2pd,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::I2pd => "i2pd",
        }
    }

    fn spec(self, release: bool) -> NetworkSpec {
        match self {
            Self::Mixed => {
                let mut spec = NetworkSpec::new(Peer::Current, ENDS);
                spec.emissary = 2;
                spec.ramson = RamsonSpec {
                    routers: 3,
                    floodfills: 1,
                    release,
                };
                spec
            }
            Self::I2pd => {
                let mut spec = NetworkSpec::new(Peer::Current, ENDS + 5);
                spec.apart = true;
                spec
            }
        }
    }
}

impl Soak {
    pub(crate) fn run(self) -> Result<()> {
        if self.minutes == 0 || self.runs == 0 {
            bail!("nothing to do in no time");
        }
        let kinds: &[Kind] = match &self.only {
            Some(kind) => std::slice::from_ref(kind),
            None => &[Kind::Mixed, Kind::I2pd],
        };
        let mut runs = Vec::new();
        for number in 1..=self.runs {
            for &kind in kinds {
                let what = format!("{} {number}/{}", kind.name(), self.runs);
                let run = self.soak(kind, &what).with_context(|| what.clone())?;
                eprintln!("soak: {what}: {}", run.summary());
                runs.push(run);
            }
        }
        let report = Report::new(runs, self.only.is_none());
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        if !report.passed {
            bail!("{}", report.reasons.join("; "));
        }
        Ok(())
    }

    /// A network that carries all streams.
    fn set_up(&self, kind: Kind) -> Result<(Network, Running)> {
        let network = Network::start(kind.spec(!self.debug))?;
        let sams: Vec<_> = network.routers().take(ENDS).map(|it| it.sam).collect();
        let mut streams = Vec::new();
        for (client, server) in [(0, 1), (2, 3)] {
            streams.push(Stream::bulk(client, server, self.bulk_kb_per_s * 1000));
            streams.push(Stream::trickle(client, server));
            streams.push(Stream::trickle(server, client));
        }
        let traffic = Running::start(&sams, streams)
            .with_context(|| format!("see {}", network.folder().display()))?;
        Ok((network, traffic))
    }

    /// One network from start to end.
    fn soak(&self, kind: Kind, what: &str) -> Result<Run> {
        let mut attempts = 1;
        let (network, traffic) = loop {
            match self.set_up(kind) {
                Ok(done) => break done,
                // Routers crash now and then, and hours may have gone into the runs before.
                Err(error) if attempts < ATTEMPTS => eprintln!("soak: {what}: again: {error:#}"),
                Err(error) => return Err(error),
            }
            attempts += 1;
        };
        eprintln!("soak: {what}: logs in {}", network.folder().display());
        let heart = Heart::start();
        let began = Instant::now();
        let deadline = began + Duration::from_secs(self.minutes * 60);
        let first: Vec<u64> = traffic.streams.iter().map(connections).collect();
        for stream in &traffic.streams {
            stream.attempts_failed.store(0, Ordering::Relaxed);
            stream.flow(true).measure(began);
            stream.flow(false).measure(began);
        }
        let statuses = || -> Vec<_> {
            let own = 0..network.ramson_routers().count();
            own.map(|index| network.ramson_status(index).unwrap_or_default())
                .collect()
        };
        let mut run = Run::new(kind.name(), network.version(), network.folder());
        run.ramson_at_first = statuses();
        let mut tell = began + TELL;
        while Instant::now() < deadline {
            std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
            for (index, how) in network.crashed() {
                eprintln!("soak: {what}: {how}; starting it again");
                run.crashed.push(how);
                if let Err(error) = network.restart(index) {
                    eprintln!("soak: {what}: router {index} does not start again: {error:#}");
                } else if index < ENDS {
                    reopen(&traffic, index);
                }
            }
            run.own_crashed = network
                .crashed_ramson()
                .into_iter()
                .map(|(_, how)| how)
                .collect();
            if !run.own_crashed.is_empty() {
                break;
            }
            if Instant::now() >= tell {
                tell += TELL;
                run.count(&traffic, &first, began);
                run.machine_stall_s = heart.longest();
                eprintln!("soak: {what}: {}", run.summary());
            }
        }
        let now = Instant::now();
        for stream in &traffic.streams {
            stream.flow(true).end(now);
            stream.flow(false).end(now);
        }
        run.count(&traffic, &first, began);
        run.machine_stall_s = heart.longest();
        run.ramson = statuses();
        drop(traffic);
        network.stop().ok();
        Ok(run)
    }
}

fn connections(stream: &Stream) -> u64 {
    stream.connections.load(Ordering::Relaxed)
}

/// Gives an end its session again; without one its streams fail, which is counted.
fn reopen(traffic: &Running, end: usize) {
    let outcome = traffic.ends.get(end).map(traffic::End::reopen);
    if let Some(Err(error)) = outcome {
        eprintln!("soak: no session on router {end} any more: {error:#}");
    }
}

/// Notices when the machine lets this process wait: then the routers waited too.
struct Heart {
    over: Arc<AtomicBool>,
    longest_ms: Arc<AtomicU64>,
}

impl Heart {
    fn start() -> Self {
        let heart = Self {
            over: Arc::default(),
            longest_ms: Arc::default(),
        };
        let (over, longest) = (Arc::clone(&heart.over), Arc::clone(&heart.longest_ms));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(BEAT);
                let late = before.elapsed().saturating_sub(BEAT).as_millis();
                longest.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        heart
    }

    /// The longest such wait, in seconds.
    fn longest(&self) -> f64 {
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed)).as_secs_f64()
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
