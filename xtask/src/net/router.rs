//! One router of a network: its files and its process.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::config::Role;
use super::namespace::{Forward, Namespace, Way, Ways};
use super::ports::RouterPorts;
use super::sam::SamSocket;
use super::{Name, RouterAccess, config};
use crate::peers::{Installation, Peer};
use crate::process::{self, Process};

/// How long a router may take to open its SAM bridge; usually it needs a tenth of a second.
const SAM_WITHIN: Duration = Duration::from_secs(30);

/// What a router is to be.
pub(super) struct RouterPlan<'a> {
    pub(super) index: usize,
    pub(super) home: PathBuf,
    /// The program, which for the floodfills of a mixed network is not that of the network.
    pub(super) peer: Peer,
    pub(super) installation: &'a Installation,
    pub(super) ports: RouterPorts,
    pub(super) role: Role,
    /// It is to be measured: little logging, NTCP2 alone.
    pub(super) quiet: bool,
    /// Where other routers reach it, if that is not where programs do.
    pub(super) address: Option<IpAddr>,
    /// Where it runs, unless on 127.0.0.1 like everybody else.
    pub(super) namespace: Option<Arc<Namespace>>,
}

/// A router that may or may not run at present.
#[derive(Debug)]
pub(super) struct RouterProcess {
    index: usize,
    info: RouterAccess,
    command: Vec<OsString>,
    output: PathBuf,
    process: Mutex<Option<Process>>,
    /// Keep the order: the programs end before the namespace they are in.
    _forward: Option<Forward>,
    namespace: Option<Arc<Namespace>>,
}

/// A RouterInfo as the router itself wrote it.
pub(super) struct KnownRouter {
    /// The router hash in I2P's base 64.
    hash: String,
    bytes: Vec<u8>,
}

/// The address of router `index` in a namespace; i2pd takes all of 198.18.0.0/15 for public.
pub(super) fn namespace_address(index: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(
        198,
        18,
        u8::try_from(index + 1).unwrap_or(u8::MAX),
        1,
    ))
}

impl KnownRouter {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::of(bytes).with_context(|| format!("{} is no RouterInfo", path.display()))
    }

    pub(super) fn of(bytes: Vec<u8>) -> Result<Self> {
        let hash = router_hash(&bytes).context("shorter than a Router Identity")?;
        Ok(Self {
            hash: i2p_base64()?.encode(&hash),
            bytes,
        })
    }

    /// Writes it into a network database as i2pd lays it out.
    pub(super) fn write_to(&self, netdb: &Path) -> Result<()> {
        let first = self.hash.chars().next().context("an empty router hash")?;
        let folder = netdb.join(format!("r{first}"));
        std::fs::create_dir_all(&folder)?;
        let name = format!("routerInfo-{}.dat", self.hash);
        Ok(std::fs::write(folder.join(name), &self.bytes)?)
    }
}

impl RouterProcess {
    /// Writes the files of a router, without starting it.
    pub(super) fn create(plan: RouterPlan<'_>) -> Result<Self> {
        let RouterPlan {
            index,
            home,
            peer,
            installation,
            ports,
            role,
            quiet,
            address: own_address,
            namespace,
        } = plan;
        let outside = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let address = if namespace.is_some() {
            namespace_address(index)
        } else {
            outside
        };
        let transport = own_address.unwrap_or(address);
        let data = home.join("data");
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot create {}", data.display()))?;
        let output = home.join("output.log");
        let mut command = installation.command.clone();
        let log = if peer == Peer::Emissary {
            let text = config::emissary((transport, address), ports, role, quiet);
            std::fs::write(data.join("router.toml"), text)?;
            command.extend(["--base-path".into(), data.clone().into()]);
            if role == Role::End {
                // What it thinks of links is of interest.
                command.extend(["--log".into(), "emissary::ntcp2=debug".into()]);
            }
            output.clone()
        } else {
            let log = home.join("i2pd.log");
            let text = config::i2pd((transport, address), ports, role, quiet, |key| {
                installation.knows(key)
            });
            let file = home.join("i2pd.conf");
            std::fs::write(&file, text)?;
            for (option, path) in [
                ("--conf", &file),
                ("--datadir", &data),
                ("--logfile", &log),
                // Without these it looks into folders of the system.
                ("--tunconf", &home.join("tunnels.conf")),
                ("--tunnelsdir", &home.join("tunnels.d")),
                ("--certsdir", &home.join("certificates")),
                ("--pidfile", &home.join("i2pd.pid")),
            ] {
                let mut argument = OsString::from(option);
                argument.push("=");
                argument.push(path);
                command.push(argument);
            }
            log
        };
        let (sam, sam_udp) = (ports.sam, ports.sam_udp);
        let info = RouterAccess {
            peer,
            sam: SocketAddr::new(outside, sam),
            sam_udp: SocketAddr::new(outside, sam_udp),
            transport: SocketAddr::new(transport, ports.transport),
            log,
            data,
        };
        let forward = namespace.as_ref().map(|namespace| {
            let sam = Way {
                outside: info.sam,
                inside: SocketAddr::new(address, sam),
            };
            let sam_udp = Way {
                outside: info.sam_udp,
                inside: SocketAddr::new(address, sam_udp),
            };
            namespace.forward(Ways { sam, sam_udp })
        });
        let _forward = forward.transpose()?;
        let process = Mutex::new(None);
        Ok(Self {
            index,
            info,
            command,
            output,
            process,
            _forward,
            namespace,
        })
    }

    pub(super) fn info(&self) -> &RouterAccess {
        &self.info
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let process = self.lock();
        process
            .as_ref()
            .filter(|process| process.is_running())
            .map(Process::pid)
    }

    pub(super) fn command(&self) -> &[OsString] {
        &self.command
    }

    pub(super) fn start(&self) -> Result<()> {
        let process = match &self.namespace {
            Some(namespace) => Process::spawn_from(namespace.worker(), &self.command, &self.output),
            None => Process::spawn(&self.command, &self.output),
        };
        let process = process.with_context(|| format!("cannot start router {}", self.index))?;
        *self.lock() = Some(process);
        Ok(())
    }

    /// Waits until SAM answers, or the router has ended.
    pub(super) fn wait_for_sam(&self) -> Result<()> {
        let deadline = Instant::now() + SAM_WITHIN;
        loop {
            let error = match SamSocket::connect(self.info.sam) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // Doubles as the pause between two attempts.
            let ended = match self.lock().as_ref() {
                Some(process) => process
                    .wait(Duration::from_millis(20))
                    .map(process::describe),
                None => Some("being killed".to_owned()),
            };
            if let Some(how) = ended {
                bail!(
                    "router {} ended by {how} before its SAM bridge opened; see {} and {}",
                    self.index,
                    self.output.display(),
                    self.info.log.display()
                );
            }
            if Instant::now() >= deadline {
                let log = self.info.log.display();
                return Err(error.context(format!(
                    "router {} has no SAM bridge at {} after {} s; see {log}",
                    self.index,
                    self.info.sam,
                    SAM_WITHIN.as_secs()
                )));
            }
        }
    }

    pub(super) fn kill(&self) {
        *self.lock() = None;
    }

    pub(super) fn suspend(&self) -> Result<()> {
        self.running(Process::suspend)
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.running(|process| process.signal(Signal::CONT))
    }

    fn running(&self, act: impl FnOnce(&Process) -> Result<()>) -> Result<()> {
        match self.lock().as_ref() {
            Some(process) => act(process),
            None => bail!("router {} does not run", self.index),
        }
    }

    /// Says so when the router has ended by itself.
    pub(super) fn ended(&self) -> Option<String> {
        let status = self.lock().as_ref()?.wait(Duration::ZERO)?;
        Some(format!(
            "router {} ended by {}",
            self.index,
            process::describe(status)
        ))
    }

    pub(super) fn read_router_info(&self) -> Result<KnownRouter> {
        KnownRouter::read(&self.info.data.join("router.info"))
    }

    pub(super) fn write_known_router(&self, known: &KnownRouter) -> Result<()> {
        known.write_to(&self.info.data.join("netDb"))
    }

    /// Writes the address book the router reads at its next start.
    pub(super) fn write_names(&self, names: &[Name]) -> Result<()> {
        if self.info.peer != Peer::Emissary {
            let lines = names
                .iter()
                .map(|name| format!("{}={}\n", name.name, name.destination));
            std::fs::write(self.info.data.join("hosts.txt"), lines.collect::<String>())?;
            return Ok(());
        }
        let folder = self.info.data.join("addressbook");
        std::fs::create_dir_all(folder.join("destinations"))?;
        let mut lines = String::new();
        for Name {
            name, destination, ..
        } in names
        {
            let bytes = i2p_base64()?.decode(destination.as_bytes())?;
            let hash = BASE32_NOPAD.encode(&Sha256::digest(bytes)).to_lowercase();
            lines += &format!("{name}={hash}\n");
            std::fs::write(
                folder.join("destinations").join(format!("{name}.txt")),
                destination,
            )?;
        }
        std::fs::write(folder.join("addresses"), lines)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends all routers together, killing after `grace` those that did not obey.
pub(super) fn end_all(routers: &[RouterProcess], grace: Duration) {
    let deadline = Instant::now() + grace;
    for router in routers {
        router.running(|process| process.signal(Signal::TERM)).ok();
        router.resume().ok();
    }
    for router in routers {
        if let Some(process) = router.lock().take() {
            process.wait(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Waits for any router that runs now to end, and says which one did and how.
pub(super) fn wait_for_end(routers: &[RouterProcess], timeout: Duration) -> Result<Option<String>> {
    let mut handles = Vec::new();
    let mut waited = Vec::new();
    for router in routers {
        if let Some(process) = router
            .lock()
            .as_ref()
            .filter(|process| process.is_running())
        {
            handles.push(process.handle().try_clone()?);
            waited.push(router);
        }
    }
    let ended = process::ended(&handles.iter().collect::<Vec<_>>(), timeout)?;
    Ok(ended
        .and_then(|index| waited.get(index))
        .and_then(|router| router.ended()))
}

/// Common structures, KeysAndCert: 256 and 128 bytes of keys, then a certificate
/// `[type: u8][len: u16 BE][payload]`; the hash covers all of it.
fn router_hash(router_info: &[u8]) -> Option<[u8; 32]> {
    let length = router_info.get(385..387)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    Some(Sha256::digest(router_info.get(..387 + length)?).into())
}

fn i2p_base64() -> Result<Encoding> {
    let mut specification = Specification::new();
    specification.symbols = concat!(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "abcdefghijklmnopqrstuvwxyz",
        "0123456789-~"
    )
    .to_owned();
    specification.padding = Some('=');
    specification
        .encoding()
        .context("the alphabet of I2P's base 64")
}
