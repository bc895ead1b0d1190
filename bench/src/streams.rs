//! What hops cost: streams between two i2pd routers, through hops that are all of one kind.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ramson_wire::RouterInfo;
use serde::Serialize;
use xtask::net::{Network, NetworkSpec, RamsonSpec};
use xtask::peers::Peer;
use xtask::usage;

use crate::pipe::{self, PipeFigure};
use crate::sam::{End, Session, connect, round_trips, transfer};
use crate::{median, percentile};

/// Hops of each tunnel.
const HOPS: usize = 2;
/// Hops that are measured: two for each end.
const MEASURED: usize = 2 * HOPS;
/// Routers between the ends: the hops, and for ours and i2pd's what i2pd needs of floodfills.
const BETWEEN: usize = MEASURED;
/// i2pd counts a network with fewer floodfills as one to reseed.
const FLOODFILLS: usize = 3;
/// Pause between two small messages.
const PAUSE: Duration = Duration::from_millis(20);
/// What a block of a tunnel message takes of a frame.
const BLOCK: f64 = 1040.0;
/// The largest frames of tunnel messages that i2pd writes.
const FULL_FRAME: usize = 15;

/// Whose hops a stream passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HopKind {
    /// Ours.
    Ramson,
    /// i2pd's.
    I2pd,
    /// emissary's.
    Emissary,
}

impl fmt::Display for HopKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ramson => "ramson",
            Self::I2pd => "i2pd",
            Self::Emissary => "emissary",
        })
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamPlan {
    /// How often each kind is measured, in alternating order.
    pub(crate) rounds: usize,
    /// Bytes each way in a round.
    pub(crate) bytes: usize,
    /// Small messages over a quiet stream.
    pub(crate) small: usize,
    /// How long the hops are watched while nothing is sent.
    pub(crate) idle: Duration,
    /// Bytes through the bare pipe in a round.
    pub(crate) pipe_bytes: usize,
}

impl StreamPlan {
    /// The same for this kind: emissary carries so little that it would take hours.
    fn of(mut self, kind: HopKind) -> Self {
        if kind == HopKind::Emissary {
            self.bytes /= 10;
        }
        self
    }
}

/// What hops of one kind did. Bytes are those of the streams, of both directions together; each
/// passes four hops, two of its sender's outbound tunnel and two of the inbound tunnel of who
/// receives it. What carries them, I2P's own headers, fragments and acknowledgements, is in the
/// time and not in the bytes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StreamFigure {
    /// Whose hops.
    pub(crate) hops: HopKind,
    /// The version of the programs.
    pub(crate) version: String,
    /// CPU seconds for 10^9 bytes and hop, without what the hops take idle: each round's.
    pub(crate) rounds: Vec<f64>,
    /// The median of the rounds.
    pub(crate) cpu_s_per_gb_hop: f64,
    /// CPU seconds each second that all hops together take while nothing is sent.
    pub(crate) idle_cpu: f64,
    /// 10^6 bytes per second each way, the median.
    pub(crate) mb_per_s: f64,
    /// Round trips of small messages over a quiet stream, in milliseconds.
    pub(crate) quiet_ms: RoundTrip,
    /// The same while another stream of the same tunnels transfers all it can.
    pub(crate) loaded_ms: RoundTrip,
    /// Bytes in a write to a socket while all is transferred, on average.
    pub(crate) write_bytes: Option<f64>,
    /// Bytes that the hops received over their links, for each byte of the streams and hop. Only
    /// ours tell.
    pub(crate) link_bytes_per_byte: Option<f64>,
}

/// Round trips in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct RoundTrip {
    /// The median.
    pub(crate) p50: f64,
    /// The 99th percentile.
    pub(crate) p99: f64,
    /// How many.
    pub(crate) count: usize,
}

impl RoundTrip {
    fn of(mut times: Vec<f64>) -> Self {
        Self {
            p50: percentile(&mut times, 0.5).unwrap_or_default(),
            p99: percentile(&mut times, 0.99).unwrap_or_default(),
            count: times.len(),
        }
    }
}

/// A network with hops of one kind, and a stream through them.
struct Way {
    kind: HopKind,
    network: Network,
    pids: Vec<u32>,
    addresses: Vec<String>,
    sockets: Vec<PathBuf>,
    client: Session,
    server: Session,
    idle_cpu: f64,
    rounds: Vec<f64>,
    rates: Vec<f64>,
    quiet: Vec<f64>,
    loaded: Vec<f64>,
    writes: Writes,
    carried: [u64; 2],
    /// Why the last round that failed did.
    failed: Option<anyhow::Error>,
}

/// All that [`measure`] found out.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) streams: Vec<StreamFigure>,
    pub(crate) pipe: Vec<PipeFigure>,
    /// Of whom there is nothing, and why.
    pub(crate) failed: Vec<(HopKind, anyhow::Error)>,
}

/// Measures all kinds, and the bare pipe between them. What does not work with others' hops is left
/// out; i2pd's tunnels fail now and then.
pub(crate) fn measure(kinds: &[HopKind], plan: StreamPlan) -> Result<Measured> {
    let mut ways = Vec::new();
    let mut measured = Measured::default();
    for kind in kinds {
        match Way::open(*kind, plan) {
            Ok(way) => ways.push(way),
            Err(error) => measured.failed.push((*kind, error)),
        }
    }
    let mut pipes: BTreeMap<usize, Vec<PipeFigure>> = BTreeMap::new();
    let mut frame = None;
    for round in 0..plan.rounds {
        let count = ways.len();
        for turn in 0..count {
            // Nobody comes always first.
            let Some(way) = ways.get_mut((round + turn) % count) else {
                continue;
            };
            eprintln!("bench: round {} with hops of {}", round + 1, way.kind);
            if let Err(error) = way.round(plan.of(way.kind)) {
                eprintln!("bench: hops of {}: {error:#}", way.kind);
                way.failed = Some(error);
            }
        }
        // As many messages in a frame as our hops had in a write; the size of the first round.
        let ours = ways.iter().find(|way| way.kind == HopKind::Ramson);
        let matched = ours.and_then(|way| way.writes.mean());
        let matched = matched.map(|mean| ((mean / BLOCK).round() as usize).clamp(1, FULL_FRAME));
        frame = frame.or(matched);
        let sizes = [Some(1), frame, Some(FULL_FRAME)];
        let sizes: std::collections::BTreeSet<usize> = sizes.into_iter().flatten().collect();
        for size in sizes {
            let figure = pipe::measure(size, plan.pipe_bytes)?;
            pipes.entry(size).or_default().push(figure);
        }
    }
    for (messages_per_frame, figures) in pipes {
        let mut cpu: Vec<_> = figures.iter().map(|it| it.cpu_s_per_gb).collect();
        let mut rate: Vec<_> = figures.iter().map(|it| it.mb_per_s).collect();
        measured.pipe.push(PipeFigure {
            messages_per_frame,
            matched: Some(messages_per_frame) == frame,
            cpu_s_per_gb: median(&mut cpu).unwrap_or_default(),
            mb_per_s: median(&mut rate).unwrap_or_default(),
        });
    }
    for mut way in ways {
        match way.failed.take() {
            Some(error) if way.rounds.is_empty() => measured.failed.push((way.kind, error)),
            _ => measured.streams.push(way.figure()),
        }
    }
    Ok(measured)
}

impl Way {
    fn open(kind: HopKind, plan: StreamPlan) -> Result<Self> {
        let mut spec = NetworkSpec::new(Peer::Current, 2);
        spec.ends = true;
        spec.quiet = true;
        spec.wait_until_ready = false;
        match kind {
            HopKind::Ramson => {
                spec.ramson = RamsonSpec {
                    routers: BETWEEN,
                    floodfills: FLOODFILLS,
                    release: true,
                }
            }
            HopKind::I2pd => spec.between = vec![Peer::Current; BETWEEN],
            HopKind::Emissary => {
                spec.between = vec![Peer::Emissary; BETWEEN];
                // emissary's floodfills do not answer i2pd. No tunnel leads through these.
                spec.between.extend([Peer::Current; FLOODFILLS]);
            }
        }
        eprintln!("bench: a network with hops of {kind}");
        let network = Network::start(spec)?;
        let (mut pids, mut infos, mut addresses, mut sockets) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        if kind == HopKind::Ramson {
            for (index, router) in network.ramson_routers().enumerate() {
                pids.push(network.ramson_pid(index).context("a hop has ended")?);
                infos.push(router.data.join("router.info"));
                addresses.push(router.transport.ip().to_string());
                sockets.push(router.data.join("control.sock"));
            }
        } else {
            for (index, router) in network.routers().enumerate().skip(2).take(MEASURED) {
                pids.push(network.pid(index).context("a hop has ended")?);
                infos.push(router.data.join("router.info"));
                addresses.push(router.transport.ip().to_string());
            }
        }
        let hashes: Vec<String> = infos.iter().map(|file| hash(file)).collect::<Result<_>>()?;
        let (client_hops, server_hops) = hashes.split_at_checked(HOPS).context("too few hops")?;
        let client = Session::open(network.router(0)?.sam, client_hops)?;
        let server = Session::open(network.router(1)?.sam, server_hops)?;
        let mut way = Self {
            kind,
            network,
            pids,
            addresses,
            sockets,
            client,
            server,
            idle_cpu: 0.0,
            rounds: Vec::new(),
            rates: Vec::new(),
            quiet: Vec::new(),
            loaded: Vec::new(),
            writes: Writes::default(),
            carried: [0; 2],
            failed: None,
        };
        way.warm_up(plan.of(kind))?;
        Ok(way)
    }

    /// Sends a little, then watches what the hops take when nothing is sent.
    fn warm_up(&mut self, plan: StreamPlan) -> Result<()> {
        let (mut one, mut other) = connect(&self.client, &self.server)?;
        transfer(&mut one, &mut other, plan.bytes / 4)?;
        drop((one, other));
        std::thread::sleep(Duration::from_secs(2));
        let (before, began) = (self.cpu()?, Instant::now());
        std::thread::sleep(plan.idle);
        self.idle_cpu = (self.cpu()? - before) / began.elapsed().as_secs_f64();
        Ok(())
    }

    fn round(&mut self, plan: StreamPlan) -> Result<()> {
        let (mut one, mut other) = connect(&self.client, &self.server)?;
        let count = plan.small.div_ceil(plan.rounds.max(1));
        let quiet = round_trips((&mut one, &mut other), PAUSE, |done| done >= count)?;
        self.quiet.extend(quiet);

        let (writes, link_bytes) = (Writes::read(&self.addresses), self.received()?);
        let (before, began) = (self.cpu()?, Instant::now());
        let time = transfer(&mut one, &mut other, plan.bytes)?;
        let used = self.cpu()? - before - self.idle_cpu * began.elapsed().as_secs_f64();
        let bytes = 2 * plan.bytes;
        self.rounds.push(used / (bytes * 2 * HOPS) as f64 * 1e9);
        self.rates
            .push(plan.bytes as f64 / time.as_secs_f64() / 1e6);
        self.writes.add(writes, Writes::read(&self.addresses));
        let [carried, sent] = &mut self.carried;
        *carried += link_bytes.map_or(0, |before| {
            let after = received(&self.sockets).unwrap_or(before);
            after.saturating_sub(before)
        });
        *sent += bytes as u64;

        let loaded = self.loaded_round(&mut one, &mut other, plan)?;
        self.loaded.extend(loaded);
        Ok(())
    }

    /// Small messages over a stream of their own while the first one is busy.
    fn loaded_round(&self, one: &mut End, other: &mut End, plan: StreamPlan) -> Result<Vec<f64>> {
        let (mut small, mut small_other) = connect(&self.client, &self.server)?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                let done = transfer(one, other, plan.bytes);
                over.store(true, Ordering::Relaxed);
                done
            });
            let ends = (&mut small, &mut small_other);
            let times = round_trips(ends, PAUSE, |_| over.load(Ordering::Relaxed));
            busy.join().ok().context("a transfer panicked")??;
            times
        })
    }

    /// CPU seconds of all hops so far.
    fn cpu(&self) -> Result<f64> {
        let each = self.pids.iter().map(|pid| usage::cpu(*pid));
        let sum: Duration = each.sum::<Result<_>>()?;
        Ok(sum.as_secs_f64())
    }

    /// What our hops have received so far; others do not tell.
    fn received(&self) -> Result<Option<u64>> {
        if self.sockets.is_empty() {
            return Ok(None);
        }
        received(&self.sockets).map(Some)
    }

    fn figure(mut self) -> StreamFigure {
        let [carried, sent] = self.carried;
        let per_byte = carried as f64 / (sent * (2 * HOPS) as u64).max(1) as f64;
        StreamFigure {
            hops: self.kind,
            version: self.network.version().to_owned(),
            cpu_s_per_gb_hop: median(&mut self.rounds.clone()).unwrap_or_default(),
            rounds: self.rounds,
            idle_cpu: self.idle_cpu,
            mb_per_s: median(&mut self.rates).unwrap_or_default(),
            quiet_ms: RoundTrip::of(self.quiet),
            loaded_ms: RoundTrip::of(self.loaded),
            write_bytes: self.writes.mean(),
            link_bytes_per_byte: (carried > 0).then_some(per_byte),
        }
    }
}

/// Asks our routers themselves.
fn received(sockets: &[PathBuf]) -> Result<u64> {
    let mut sum = 0;
    for path in sockets {
        let mut socket = UnixStream::connect(path).context("a hop of ours does not answer")?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.write_all(b"{\"ask\":\"status\"}\n")?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line)?;
        let status: serde_json::Value = serde_json::from_str(&line)?;
        let received = status
            .pointer("/status/received_bytes")
            .and_then(serde_json::Value::as_u64);
        sum += received.context("a status without received_bytes")?;
    }
    Ok(sum)
}

fn hash(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("no {}", file.display()))?;
    let hash = RouterInfo::from_bytes(&bytes)?.hash();
    Ok(ramson_wire::base64::encode(&hash.0))
}

/// Writes to sockets, as TCP on the loopback interface counts them: each is a segment of its own,
/// unless the kernel joined it with the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Writes {
    bytes: u64,
    segments: u64,
}

impl Writes {
    /// All connections of routers with these addresses so far; nothing where `ss` is not there.
    fn read(addresses: &[String]) -> Self {
        let mut all = Self::default();
        for address in addresses {
            let shown = Command::new("ss").args(["-tinH", "src", address]).output();
            if let Ok(shown) = shown {
                let found = Self::parse(&String::from_utf8_lossy(&shown.stdout));
                all.bytes += found.bytes;
                all.segments += found.segments;
            }
        }
        all
    }

    fn parse(text: &str) -> Self {
        let sum = |name: &str| {
            let values = text
                .split_whitespace()
                .filter_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
            values.sum()
        };
        Self {
            bytes: sum("bytes_sent:"),
            segments: sum("data_segs_out:"),
        }
    }

    fn add(&mut self, before: Self, after: Self) {
        self.bytes += after.bytes.saturating_sub(before.bytes);
        self.segments += after.segments.saturating_sub(before.segments);
    }

    fn mean(&self) -> Option<f64> {
        (self.segments > 0).then(|| self.bytes as f64 / self.segments as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_read_from_ss() {
        let text = "ESTAB 0 0 127.3.1.1:20001 127.3.1.2:4000\n\
                    \t cubic rto:201 bytes_sent:3000 bytes_acked:2999 segs_out:9 data_segs_out:4\n\
                    ESTAB 0 0 127.3.1.1:20001 127.3.1.3:4000\n\
                    \t cubic bytes_sent:1000 data_segs_out:1 data_segs_in:3\n";
        let writes = Writes::parse(text);
        assert_eq!((writes.bytes, writes.segments), (4000, 5));
        assert_eq!(writes.mean(), Some(800.0));
        assert_eq!(Writes::default().mean(), None);
    }
}
