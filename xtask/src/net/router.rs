//! One router of a network: its files and its process.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::{Encoding, Specification};
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::ports::RouterPorts;
use super::sam::SamSocket;
use super::{RouterInfo, config};
use crate::peers::Installation;
use crate::process::{self, Process};

/// How long a router may take to open its SAM bridge; usually it needs a tenth of a second.
const SAM_WITHIN: Duration = Duration::from_secs(30);

/// A router that may or may not run at present.
#[derive(Debug)]
pub(super) struct RouterProcess {
    index: usize,
    info: RouterInfo,
    command: Vec<OsString>,
    output: PathBuf,
    process: Mutex<Option<Process>>,
}

/// A RouterInfo as the router itself wrote it.
pub(super) struct KnownRouter {
    /// The router hash in I2P's base 64.
    hash: String,
    bytes: Vec<u8>,
}

impl RouterProcess {
    /// Writes the files of a router below `home`, without starting it.
    pub(super) fn create(
        index: usize,
        home: &Path,
        installation: &Installation,
        ports: &RouterPorts,
    ) -> Result<Self> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let data = home.join("data");
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot create {}", data.display()))?;
        let info = RouterInfo {
            sam: SocketAddr::new(address, ports.sam),
            sam_udp: SocketAddr::new(address, ports.sam_udp),
            transport: SocketAddr::new(address, ports.transport),
            log: home.join("i2pd.log"),
            data,
        };
        let file = home.join("i2pd.conf");
        std::fs::write(
            &file,
            config::i2pd(address, ports, |key| installation.knows(key)),
        )?;
        let mut command = installation.command.clone();
        for (option, path) in [
            ("--conf", &file),
            ("--datadir", &info.data),
            ("--logfile", &info.log),
            // Without these it looks into folders of the system.
            ("--tunconf", &home.join("tunnels.conf")),
            ("--tunnelsdir", &home.join("tunnels.d")),
            ("--certsdir", &home.join("certificates")),
            ("--pidfile", &home.join("i2pd.pid")),
        ] {
            command.push(option.into());
            command.push(path.into());
        }
        let output = home.join("output.log");
        Ok(Self {
            index,
            info,
            command,
            output,
            process: Mutex::new(None),
        })
    }

    pub(super) fn info(&self) -> &RouterInfo {
        &self.info
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let process = self.lock();
        process
            .as_ref()
            .filter(|process| process.is_running())
            .map(Process::pid)
    }

    pub(super) fn start(&self) -> Result<()> {
        let process = Process::spawn(&self.command, &self.output)
            .with_context(|| format!("cannot start router {}", self.index))?;
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
        self.signal(Signal::STOP)
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match self.lock().as_ref() {
            Some(process) => process.signal(signal),
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
        let path = self.info.data.join("router.info");
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let hash = router_hash(&bytes)
            .ok_or_else(|| anyhow!("{} is shorter than a Router Identity", path.display()))?;
        Ok(KnownRouter {
            hash: i2p_base64()?.encode(&hash),
            bytes,
        })
    }

    pub(super) fn write_known_router(&self, known: &KnownRouter) -> Result<()> {
        let first = known.hash.chars().next().context("an empty router hash")?;
        let folder = self.info.data.join("netDb").join(format!("r{first}"));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(
            folder.join(format!("routerInfo-{}.dat", known.hash)),
            &known.bytes,
        )?;
        Ok(())
    }

    /// Writes the address book i2pd reads at its next start.
    pub(super) fn write_hosts(&self, hosts: &str) -> Result<()> {
        std::fs::write(self.info.data.join("hosts.txt"), hosts)?;
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
        router.signal(Signal::TERM).ok();
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
