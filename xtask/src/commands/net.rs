//! `cargo xtask net`: a private network for people.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use xtask::net::{Network, NetworkSpec, NetworkState, RamsonSpec};
use xtask::peers::Peer;
use xtask::{process, workspace};

/// Runs, shows and ends the private network.
#[derive(Subcommand)]
pub(crate) enum Net {
    /// Start the network and keep it up until Ctrl-C.
    Up(Up),
    /// Show the network that is up.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End the network that is up.
    Down,
}

#[derive(Args)]
pub(crate) struct Up {
    /// How many routers.
    #[arg(long, default_value_t = 6)]
    routers: usize,
    /// The kind of routers.
    #[arg(long, value_enum, default_value = "current")]
    peer: Peer,
    /// How many emissary routers beside them.
    #[arg(long, default_value_t = 0)]
    emissary: usize,
    /// How many of our own routers beside them, built from this workspace.
    #[arg(long, default_value_t = 0)]
    ramson: usize,
    /// How many of our own routers are floodfills.
    #[arg(long, default_value_t = 0, value_name = "N")]
    ramson_floodfills: usize,
    /// The other routers are ends only: all hops and floodfills are ours.
    #[arg(long)]
    ends: bool,
    /// Build our own routers for speed.
    #[arg(long)]
    release: bool,
    /// Return when the network is ready and leave it running.
    #[arg(long)]
    detach: bool,
    /// End the network after this time.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Speak to the caller of `--detach`: one line of JSON when ready, then silence.
    #[arg(long, hide = true)]
    supervise: bool,
}

impl Net {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Up(up) if up.detach => up.detach(),
            Self::Up(up) => up.keep(),
            Self::Status { json } => status(json),
            Self::Down => down(),
        }
    }
}

impl Up {
    /// Owns the network until its time is over or this process is ended.
    fn keep(self) -> Result<()> {
        refuse_second()?;
        // Two that start at the same time would not see each other's state.
        let lock = workspace::networks().join("up.lock");
        std::fs::create_dir_all(workspace::networks())?;
        let lock =
            File::create(&lock).with_context(|| format!("cannot open {}", lock.display()))?;
        if lock.try_lock().is_err() {
            bail!("another `cargo xtask net up` is starting a network; wait for it");
        }
        let deadline = Instant::now() + Duration::from_secs(self.minutes.saturating_mul(60));
        let others = [(self.emissary, "emissary"), (self.ramson, "ramson")];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let others: String = others
            .map(|(count, kind)| format!(", {count} {kind}"))
            .collect();
        let kind = self.peer.name();
        eprintln!("net: starting {} {kind}{others} routers", self.routers);
        let mut spec = NetworkSpec::new(self.peer, self.routers);
        spec.ramson = RamsonSpec {
            routers: self.ramson,
            floodfills: self.ramson_floodfills,
            release: self.release,
        };
        spec.emissary = self.emissary;
        spec.ends = self.ends;
        let network = Network::start(spec)?;
        let state = network.state();
        state.save()?;
        if self.supervise {
            println!("{}", serde_json::to_string(&state)?);
        } else {
            show(&state, self.json)?;
            eprintln!("net: up for {} min; Ctrl-C ends it", self.minutes);
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match network.wait_for_end(left)? {
                Some(ended) => eprintln!("net: {ended}; see {}", network.folder().display()),
                None if left.is_zero() => break,
                None => {}
            }
        }
        NetworkState::forget();
        network.stop()
    }

    /// Starts a supervisor in a session of its own and waits until its network is ready.
    fn detach(self) -> Result<()> {
        refuse_second()?;
        let folder = workspace::networks();
        std::fs::create_dir_all(&folder)?;
        let log = folder.join("up.log");
        let errors =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut supervisor = Command::new("setsid")
            .arg(std::env::current_exe().context("where is this program?")?)
            .args(["net", "up", "--supervise", "--peer", self.peer.name()])
            .args(["--routers", &self.routers.to_string()])
            .args(["--minutes", &self.minutes.to_string()])
            .args(["--emissary", &self.emissary.to_string()])
            .args(["--ramson", &self.ramson.to_string()])
            .args(["--ramson-floodfills", &self.ramson_floodfills.to_string()])
            .args(self.ends.then_some("--ends"))
            .args(self.release.then_some("--release"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("cannot start the supervisor (setsid is in Debian package util-linux)")?;
        eprintln!("net: starting; log in {}", log.display());
        let mut line = String::new();
        let answer = supervisor
            .stdout
            .take()
            .context("the supervisor has no output")?;
        BufReader::new(answer).read_line(&mut line)?;
        if line.is_empty() {
            supervisor.wait()?;
            let log = std::fs::read_to_string(&log)
                .unwrap_or_else(|error| format!("no log {}: {error}", log.display()));
            bail!("the network did not come up:\n{}", log.trim_end());
        }
        let state: NetworkState = serde_json::from_str(&line)?;
        show(&state, self.json)?;
        eprintln!(
            "net: up for {} min; `cargo xtask net down` ends it",
            self.minutes
        );
        Ok(())
    }
}

fn refuse_second() -> Result<()> {
    if let Some(state) = NetworkState::load()? {
        bail!(
            "a network is up already (pid {}); end it with `cargo xtask net down`",
            state.owner.pid
        );
    }
    Ok(())
}

fn status(json: bool) -> Result<()> {
    match NetworkState::load()? {
        Some(state) => show(&state, json),
        None if json => {
            println!("null");
            Ok(())
        }
        None => {
            println!("no network is up; start one with `cargo xtask net up`");
            Ok(())
        }
    }
}

fn down() -> Result<()> {
    let Some(state) = NetworkState::load()? else {
        NetworkState::forget();
        println!("no network is up");
        return Ok(());
    };
    let owner = i32::try_from(state.owner.pid).ok().and_then(Pid::from_raw);
    let owner = owner.context("the state file names no process")?;
    let handle = match pidfd_open(owner, PidfdFlags::empty()) {
        Ok(handle) if state.owner.is_alive() => handle,
        _ => {
            NetworkState::forget();
            return Ok(());
        }
    };
    let ended = state.routers.iter().enumerate();
    let ended: Vec<_> = ended.filter(|(_, it)| !is_running(it.pid)).collect();
    // The owner dies of the signal and the kernel kills the routers with it.
    for signal in [Signal::TERM, Signal::KILL] {
        pidfd_send_signal(&handle, signal).ok();
        if process::ended(&[&handle], Duration::from_secs(5))?.is_some() {
            NetworkState::forget();
            for (index, router) in ended {
                println!(
                    "router {index} had ended by itself: see {}",
                    router.info.log.display()
                );
            }
            println!(
                "the network is down; its logs stay in {}",
                state.folder.display()
            );
            return Ok(());
        }
    }
    bail!("pid {} does not end", state.owner.pid)
}

/// Whether a router's process is there.
fn is_running(pid: Option<u32>) -> bool {
    pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
}

fn show(state: &NetworkState, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(state)?)?;
        return Ok(());
    }
    writeln!(out, "{}, network id {}", state.version, state.network_id)?;
    writeln!(out, "{:<7} {:<17} {:<17} log", "router", "SAM", "SAM UDP")?;
    for (index, router) in state.routers.iter().enumerate() {
        let info = &router.info;
        let (sam, sam_udp) = (info.sam.to_string(), info.sam_udp.to_string());
        writeln!(
            out,
            "{index:<7} {sam:<17} {sam_udp:<17} {}{}",
            info.log.display(),
            if is_running(router.pid) {
                ""
            } else {
                "  ENDED: `net down`, `net up`"
            }
        )?;
    }
    for (index, router) in state.ramson.iter().enumerate() {
        let access = &router.access;
        writeln!(
            out,
            "ramson {index:<2} {} {}{}",
            access.transport,
            access.log.display(),
            if is_running(router.pid) {
                ""
            } else {
                "  ENDED"
            }
        )?;
    }
    for name in &state.names {
        writeln!(out, "{} has its keys in {}", name.name, name.keys.display())?;
    }
    if let Some(seconds) = state.ready_after_s {
        writeln!(out, "ready in {seconds:.1} s")?;
    }
    Ok(())
}
