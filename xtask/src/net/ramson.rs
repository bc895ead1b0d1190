//! Our own routers in a network: built from this workspace, without a SAM bridge.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config;
use super::ports::RouterPorts;
use super::router::KnownRouter;
use crate::process::{self, Process};
use crate::workspace;

/// How long a router may take until it listens; usually it needs some hundredths of a second.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);

/// How many of our own routers a network has, and of which kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct RamsonSpec {
    /// Their number.
    pub routers: usize,
    /// How many of them, the first ones, are floodfills.
    pub floodfills: usize,
    /// Whether they are built for speed.
    pub release: bool,
}

/// Where one of our own routers is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RamsonAccess {
    /// The address of its NTCP2 listener.
    pub transport: SocketAddr,
    /// Whether it is a floodfill.
    pub floodfill: bool,
    /// What it prints, which restarts append to.
    pub log: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Its data folder: keys, `router.info`, known RouterInfos.
    pub data: PathBuf,
    /// The folder with the RouterInfos it begins with.
    pub seed: PathBuf,
}

impl RamsonAccess {
    /// Asks the running router how it is: the object that `ramson router status --json` prints.
    ///
    /// # Errors
    /// When it does not run or does not answer.
    pub fn status(&self) -> Result<Value> {
        match self.ask("status")? {
            Value::Object(mut answer) => answer.remove("status"),
            _ => None,
        }
        .context("the router's answer is no status")
    }

    /// Has the running router end its links.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn drop_links(&self) -> Result<()> {
        match self.ask("drop_links")? {
            Value::String(answer) if answer == "done" => Ok(()),
            answer => bail!("the router's answer: {answer}"),
        }
    }

    fn ask(&self, question: &str) -> Result<Value> {
        let mut socket = UnixStream::connect(self.data.join("control.sock"))
            .context("no ramson router answers there")?;
        socket.set_read_timeout(Some(LISTENS_WITHIN))?;
        socket.write_all(format!("{{\"ask\":\"{question}\"}}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// One of our routers, which may or may not run at present.
#[derive(Debug)]
pub(super) struct RamsonProcess {
    index: usize,
    access: RamsonAccess,
    command: Vec<OsString>,
    process: Mutex<Option<Process>>,
}

/// Builds the program, once in this process, and returns where it is.
pub(super) fn build(release: bool) -> Result<PathBuf> {
    static BUILT: Mutex<[Option<PathBuf>; 2]> = Mutex::new([None, None]);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let [debug, optimised] = &mut *built;
    let built = if release { optimised } else { debug };
    if let Some(program) = built {
        return Ok(program.clone());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "ramson-cli", "--bin", "ramson"])
        .arg("--target-dir")
        .arg(workspace::target())
        .current_dir(workspace::root());
    if release {
        command.arg("--release");
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!(
            "cargo build of ramson failed: {}",
            process::describe(status)
        );
    }
    let folder = if release { "release" } else { "debug" };
    let program = workspace::target().join(folder).join("ramson");
    *built = Some(program.clone());
    Ok(program)
}

impl RamsonProcess {
    /// Writes the files of a router, without starting it.
    pub(super) fn create(
        index: usize,
        home: &Path,
        program: &Path,
        address: IpAddr,
        ports: RouterPorts,
        (floodfill, quiet): (bool, bool),
    ) -> Result<Self> {
        let access = RamsonAccess {
            transport: SocketAddr::new(address, ports.transport),
            floodfill,
            log: home.join("output.log"),
            config: home.join("router.toml"),
            data: home.join("data"),
            seed: home.join("seed"),
        };
        std::fs::create_dir_all(&access.seed)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let text = config::ramson(access.transport, ports.network_id, floodfill, quiet);
        std::fs::write(&access.config, text)?;
        let command = vec![
            program.into(),
            "router".into(),
            "--config".into(),
            access.config.clone().into(),
        ];
        Ok(Self {
            index,
            access,
            command,
            process: Mutex::new(None),
        })
    }

    pub(super) fn access(&self) -> &RamsonAccess {
        &self.access
    }

    pub(super) fn command(&self) -> &[OsString] {
        &self.command
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let process = self.lock();
        let running = process.as_ref().filter(|it| it.is_running());
        running.map(Process::pid)
    }

    /// Starts it and waits until it listens and its RouterInfo is written, which comes after.
    pub(super) fn start(&self) -> Result<()> {
        let process = Process::spawn(&self.command, &self.access.log)
            .with_context(|| format!("cannot start ramson router {}", self.index))?;
        *self.lock() = Some(process);
        let deadline = Instant::now() + LISTENS_WITHIN;
        let info = self.access.data.join("router.info");
        while !info.exists() || TcpStream::connect(self.access.transport).is_err() {
            // Doubles as the pause between two attempts.
            let wait = Duration::from_millis(20);
            let ended = self.lock().as_ref().and_then(|process| process.wait(wait));
            let log = self.access.log.display();
            if let Some(status) = ended {
                let how = process::describe(status);
                bail!("ramson router {} ended by {how}; see {log}", self.index);
            }
            if Instant::now() >= deadline {
                bail!("ramson router {} does not listen; see {log}", self.index);
            }
        }
        Ok(())
    }

    /// Asks it as people do.
    pub(super) fn status(&self) -> Result<serde_json::Value> {
        let (program, _) = self.command.split_first().context("no program")?;
        let output = Command::new(program)
            .args(["router", "status", "--json", "--config"])
            .arg(&self.access.config)
            .output()
            .context("cannot run ramson")?;
        if !output.status.success() {
            bail!(
                "ramson router {} has no status: {}",
                self.index,
                String::from_utf8_lossy(&output.stdout).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("the status is no JSON")
    }

    pub(super) fn kill(&self) {
        *self.lock() = None;
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        match self.lock().as_ref() {
            Some(process) => process.signal(signal),
            None => bail!("ramson router {} does not run", self.index),
        }
    }

    /// Waits until the time for it to have ended.
    pub(super) fn wait_for_end(&self, deadline: Instant) {
        if let Some(process) = self.lock().as_ref() {
            process.wait(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Says so when the router has ended by itself.
    pub(super) fn ended(&self) -> Option<String> {
        let status = self.lock().as_ref()?.wait(Duration::ZERO)?;
        let how = process::describe(status);
        Some(format!("ramson router {} ended by {how}", self.index))
    }

    pub(super) fn read_router_info(&self) -> Result<KnownRouter> {
        KnownRouter::read(&self.access.data.join("router.info"))
    }

    pub(super) fn write_known_router(&self, known: &KnownRouter) -> Result<()> {
        known.write_to(&self.access.seed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
