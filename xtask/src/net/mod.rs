//! A closed network of real routers on this machine.
//!
//! Nothing it does leaves the loopback interface: the routers know only each other, share a network
//! id no other network here has, and have every service that would look outside turned off. A
//! network is made in two starts: the first lets each router make its keys and RouterInfo, the
//! second finds all RouterInfos in each router's network database.

mod config;
mod folder;
mod lone;
mod namespace;
mod ports;
mod ramson;
mod ready;
mod router;
mod sam;
mod session;
mod spec;
mod state;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::peers::{self, Installation, Peer};
use folder::NetworkFolder;
pub use lone::{LoneKind, LoneRouter};
use namespace::Namespace;
use ports::PortBlock;
use ramson::RamsonProcess;
pub use ramson::{RamsonAccess, RamsonSpec};
pub use ready::Crossing;
use router::{RouterPlan, RouterProcess};
pub use sam::SamSocket;
pub use session::SamSession;
pub use spec::NetworkSpec;
pub use state::{NetworkState, RamsonState, RouterState};

/// The names in the address book of every router.
pub const NAMES: [&str; 2] = ["demo.i2p", "example-site.i2p"];

/// How long a new network may take until a stream has crossed it.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// The address of router `index` of a network whose routers have one each.
fn own_address(network_id: u8, index: usize) -> IpAddr {
    let host = u8::try_from(index + 1).unwrap_or(u8::MAX);
    IpAddr::from([127, network_id, 1, host])
}

/// Where to reach one router and what belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouterAccess {
    /// The kind of router it is.
    pub peer: Peer,
    /// The SAM bridge, TCP.
    pub sam: SocketAddr,
    /// Where its SAM bridge takes datagrams, UDP.
    pub sam_udp: SocketAddr,
    /// The address of its NTCP2 (TCP) and SSU2 (UDP) listeners.
    pub transport: SocketAddr,
    /// Its log file, which restarts append to.
    pub log: PathBuf,
    /// Its data folder: keys, `router.info`, network database.
    pub data: PathBuf,
}

/// A name in the address books, and the file with the private key behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Name {
    /// The name, such as `demo.i2p`.
    pub name: String,
    /// The Destination it stands for, in I2P's base 64.
    pub destination: String,
    /// The file with the private key as SAM takes it after `DESTINATION=`, in base 64.
    pub keys: PathBuf,
}

/// A running network; dropping it ends all its routers.
///
/// All methods take `&self`, so tests may share it between threads.
#[derive(Debug)]
pub struct Network {
    routers: Vec<RouterProcess>,
    ramson: Vec<RamsonProcess>,
    names: Vec<Name>,
    version: String,
    peer: Peer,
    ready_after: Option<Duration>,
    folder: NetworkFolder,
    ports: PortBlock,
}

impl Network {
    /// Fetches the routers if need be, starts them and joins them into a network.
    ///
    /// # Errors
    /// When routers cannot be had or started, or no stream crosses the network in time. The text
    /// names the log to look into.
    pub fn start(spec: NetworkSpec) -> Result<Self> {
        let line_up = spec.line_up()?;
        let mut kinds: Vec<(Peer, Installation)> = Vec::new();
        for &peer in &line_up {
            if kinds.iter().all(|(kind, _)| *kind != peer) {
                kinds.push((peer, peers::install(peer)?));
            }
        }
        let own = spec.ramson;
        let program = match own.routers {
            0 => None,
            _ => Some(ramson::build(own.release)?),
        };
        let began = Instant::now();
        let ports = PortBlock::claim(line_up.len() + own.routers)?;
        let folder = NetworkFolder::create(ports.network_id())?;
        let namespace = match spec.peer {
            Peer::Old => {
                let addresses: Vec<_> = (0..spec.routers).map(router::namespace_address).collect();
                Some(Arc::new(Namespace::create(&addresses)?))
            }
            Peer::Current | Peer::Stable | Peer::Emissary => None,
        };
        // One connection at a time is what i2pd takes of one address.
        let own_address = |index: usize| own_address(ports.network_id(), index);
        let mut routers = Vec::new();
        for (index, (&peer, ports)) in line_up.iter().zip(ports.routers()).enumerate() {
            let kind = kinds.iter().find(|(kind, _)| *kind == peer);
            let (_, installation) = kind.context("a kind that is not installed")?;
            routers.push(RouterProcess::create(RouterPlan {
                index,
                home: folder.path().join(format!("router-{index}")),
                peer,
                installation,
                ports,
                role: spec.role(index, peer),
                quiet: spec.quiet,
                // What emissary dials comes from 127.0.0.1, wherever it listens.
                address: (spec.is_apart() && peer != Peer::Emissary).then(|| own_address(index)),
                namespace: namespace.clone(),
            })?);
        }
        let mut ramson = Vec::new();
        if let Some(program) = &program {
            let ports = ports.routers().into_iter().skip(line_up.len());
            for (index, ports) in ports.enumerate() {
                let home = folder.path().join(format!("ramson-{index}"));
                let floodfill = index < own.floodfills;
                ramson.push(RamsonProcess::create(
                    index,
                    &home,
                    program,
                    own_address(line_up.len() + index),
                    ports,
                    (floodfill, spec.quiet),
                )?);
            }
        }
        let versions: Vec<_> = kinds.iter().map(|(_, it)| it.version.as_str()).collect();
        let version = versions.join(" with ");
        let mut network = Self {
            routers,
            ramson,
            names: Vec::new(),
            version,
            peer: spec.peer,
            ready_after: None,
            folder,
            ports,
        };
        network.make_identities()?;
        network.seed()?;
        for router in &network.routers {
            router.start()?;
        }
        for router in &network.ramson {
            router.start()?;
        }
        for router in &network.routers {
            router.wait_for_sam()?;
        }
        if spec.wait_until_ready {
            let ends = match spec.ends {
                true => spec.routers,
                false => network
                    .routers()
                    .filter(|router| router.peer == spec.peer)
                    .count(),
            };
            // Not the first ones, which people and tests use: i2pd may crash some seconds after
            // sessions on it ended.
            let crossing = network.cross(ends - 2, ends - 1, READY_WITHIN)?;
            eprintln!("net: {crossing}");
            network.ready_after = Some(began.elapsed());
        }
        Ok(network)
    }

    /// Starts every router once, for its keys and RouterInfo, and has Destinations made.
    fn make_identities(&mut self) -> Result<()> {
        for router in &self.routers {
            router.start()?;
        }
        for router in &self.ramson {
            router.start()?;
        }
        for router in &self.routers {
            router.wait_for_sam()?;
        }
        // Any i2pd there is: its answer is the plainest.
        let i2pd = self.routers().find(|it| it.peer != Peer::Emissary);
        let router = i2pd.or_else(|| self.routers().last());
        let sam = router.context("a network without routers")?.sam;
        let mut sam = SamSocket::connect(sam)?;
        for name in NAMES {
            let (destination, private) = sam.generate()?;
            let keys = name.strip_suffix(".i2p").unwrap_or(name);
            let keys = self.folder.path().join(format!("{keys}.keys"));
            folder::write_secret(&keys, &private)?;
            self.names.push(Name {
                name: name.to_owned(),
                destination,
                keys,
            });
        }
        for router in &self.routers {
            router.kill();
        }
        for router in &self.ramson {
            router.kill();
        }
        Ok(())
    }

    /// Gives every router the RouterInfos of all others, and the names.
    fn seed(&self) -> Result<()> {
        let infos = self.routers.iter().map(RouterProcess::read_router_info);
        let own = self.ramson.iter().map(RamsonProcess::read_router_info);
        let infos = infos.chain(own).collect::<Result<Vec<_>>>()?;
        for (index, router) in self.routers.iter().enumerate() {
            router.write_names(&self.names)?;
            for (other, info) in infos.iter().enumerate() {
                if other != index {
                    router.write_known_router(info)?;
                }
            }
        }
        for (index, router) in self.ramson.iter().enumerate() {
            for (other, info) in infos.iter().enumerate() {
                if other != self.routers.len() + index {
                    router.write_known_router(info)?;
                }
            }
        }
        Ok(())
    }

    /// The number of routers.
    pub fn len(&self) -> usize {
        self.routers.len()
    }

    /// Whether there are no routers, which is never so.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty()
    }

    /// The addresses and files of router `index`.
    ///
    /// # Errors
    /// When there are not that many routers.
    pub fn router(&self, index: usize) -> Result<&RouterAccess> {
        Ok(self.process(index)?.info())
    }

    /// All routers, in order.
    pub fn routers(&self) -> impl Iterator<Item = &RouterAccess> {
        self.routers.iter().map(RouterProcess::info)
    }

    /// Our own routers, in order.
    pub fn ramson_routers(&self) -> impl Iterator<Item = &RamsonAccess> {
        self.ramson.iter().map(RamsonProcess::access)
    }

    /// The process id of our own router `index` while it runs.
    pub fn ramson_pid(&self, index: usize) -> Option<u32> {
        self.ramson.get(index)?.pid()
    }

    /// Kills our own router `index` without warning, if it runs, and starts it again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_ramson(&self, index: usize) -> Result<()> {
        let router = self.own(index)?;
        router.kill();
        router.start()
    }

    /// What `ramson router status --json` says of our own router `index`.
    ///
    /// # Errors
    /// When it does not run, or answers with something else.
    pub fn ramson_status(&self, index: usize) -> Result<serde_json::Value> {
        self.own(index)?.status()
    }

    /// Sends a signal to our own router `index`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal_ramson(&self, index: usize, signal: Signal) -> Result<()> {
        self.own(index)?.signal(signal)
    }

    /// The process id of router `index` while it runs.
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.routers.get(index)?.pid()
    }

    /// The names every router can resolve.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The name `demo.i2p`.
    ///
    /// # Errors
    /// Never on a network that started.
    pub fn demo(&self) -> Result<&Name> {
        self.names.first().context("the network has no names")
    }

    /// The private key behind `demo.i2p`, as SAM takes it after `DESTINATION=`.
    ///
    /// # Errors
    /// When the key file cannot be read.
    pub fn demo_keys(&self) -> Result<String> {
        let keys = &self.demo()?.keys;
        std::fs::read_to_string(keys).with_context(|| format!("cannot read {}", keys.display()))
    }

    /// What the routers say of their version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The kind of routers.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The network id all routers share; it is neither 2 nor that of another network here.
    pub fn network_id(&self) -> u8 {
        self.ports.network_id()
    }

    /// The folder with everything of this network, kept after its end for its logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How long it took from the start until a stream had crossed, if that was waited for.
    pub fn ready_after(&self) -> Option<Duration> {
        self.ready_after
    }

    /// Sends a stream from a new Destination on router `from` to one on router `to` and back.
    ///
    /// # Errors
    /// When none crossed within `timeout`, naming the last cause and the logs.
    pub fn cross(&self, from: usize, to: usize, timeout: Duration) -> Result<Crossing> {
        let (from, to) = (self.router(from)?, self.router(to)?);
        // A tunnel uses no router twice and not its own.
        let hops = if self.len() < 5 { 1 } else { 2 };
        ready::cross(from.sam, to.sam, hops, timeout).map_err(|error| {
            let ended: Vec<_> = self
                .routers
                .iter()
                .filter_map(RouterProcess::ended)
                .collect();
            let ended = if ended.is_empty() {
                String::new()
            } else {
                format!("{}; ", ended.join("; "))
            };
            anyhow!(
                "no stream crossed within {} s: {error:#}; {ended}see {} and {}",
                timeout.as_secs(),
                from.log.display(),
                to.log.display()
            )
        })
    }

    /// Kills router `index` without warning; the others are not told.
    ///
    /// # Errors
    /// When there are not that many routers.
    pub fn kill(&self, index: usize) -> Result<()> {
        self.process(index)?.kill();
        Ok(())
    }

    /// Starts router `index` again, with its ports and data folder, and waits for its SAM bridge.
    /// A router that still runs is killed first.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&self, index: usize) -> Result<()> {
        let router = self.process(index)?;
        router.kill();
        router.start()?;
        router.wait_for_sam()
    }

    /// Halts router `index` as a whole (SIGSTOP): its sockets stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn suspend(&self, index: usize) -> Result<()> {
        self.process(index)?.suspend()
    }

    /// Lets a halted router go on (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, index: usize) -> Result<()> {
        self.process(index)?.resume()
    }

    /// The routers that ended by themselves, and how: i2pd crashes now and then.
    pub fn crashed(&self) -> Vec<(usize, String)> {
        let ended = |(index, router): (usize, &RouterProcess)| Some((index, router.ended()?));
        self.routers.iter().enumerate().filter_map(ended).collect()
    }

    /// Our own routers that ended by themselves, and how.
    pub fn crashed_ramson(&self) -> Vec<(usize, String)> {
        let ended = |(index, router): (usize, &RamsonProcess)| Some((index, router.ended()?));
        self.ramson.iter().enumerate().filter_map(ended).collect()
    }

    /// Waits at most `timeout` for a router to end by itself and says which one and how.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn wait_for_end(&self, timeout: Duration) -> Result<Option<String>> {
        router::wait_for_end(&self.routers, timeout)
    }

    /// What there is to know about the network, for the state file and `--json`.
    pub fn state(&self) -> NetworkState {
        NetworkState {
            owner: state::this_process(),
            peer: self.peer,
            version: self.version.clone(),
            network_id: self.network_id(),
            folder: self.folder().to_path_buf(),
            ready_after_s: self.ready_after.map(|time| time.as_secs_f64()),
            names: self.names.clone(),
            routers: self
                .routers
                .iter()
                .map(|router| RouterState {
                    pid: router.pid(),
                    info: router.info().clone(),
                })
                .collect(),
            ramson: self
                .ramson
                .iter()
                .map(|router| RamsonState {
                    pid: router.pid(),
                    access: router.access().clone(),
                })
                .collect(),
        }
    }

    /// Ends all routers: asked first, killed after two seconds.
    ///
    /// # Errors
    /// When a router had ended by itself before. The network is gone in any case.
    pub fn stop(self) -> Result<()> {
        let ended: Vec<_> = self
            .routers
            .iter()
            .filter_map(RouterProcess::ended)
            .chain(self.ramson.iter().filter_map(RamsonProcess::ended))
            .collect();
        // Ours would wait for the tunnels of others; a second signal ends them at once.
        for router in &self.ramson {
            router.signal(Signal::TERM).ok();
        }
        router::end_all(&self.routers, Duration::from_secs(2));
        for router in &self.ramson {
            router.signal(Signal::TERM).ok();
        }
        let deadline = Instant::now() + Duration::from_secs(4);
        for router in &self.ramson {
            router.wait_for_end(deadline);
            router.kill();
        }
        if ended.is_empty() {
            return Ok(());
        }
        bail!(
            "{}; see the logs in {}",
            ended.join("; "),
            self.folder().display()
        )
    }

    fn own(&self, index: usize) -> Result<&RamsonProcess> {
        let router = self.ramson.get(index);
        router.with_context(|| format!("no ramson router {index}"))
    }

    fn process(&self, index: usize) -> Result<&RouterProcess> {
        self.routers
            .get(index)
            .with_context(|| format!("no router {index}: there are {}", self.routers.len()))
    }
}
