//! Released routers of other projects, fetched into a cache and started from there.

mod debian;
mod emissary;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::workspace;

/// A kind of router to build a network of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// i2pd of Debian unstable, or of trixie when that one does not start.
    Current,
    /// i2pd of Debian trixie.
    Stable,
    /// i2pd of Debian 12, in a network namespace; needs root or `unshare -Ur`.
    ///
    /// Its SAM bridges are reached through forwards. What a bridge opens towards its client, STREAM
    /// FORWARD and received datagrams with a PORT, ends in the namespace.
    Old,
    /// emissary as ends, current i2pd as the floodfills among them.
    Emissary,
}

impl Peer {
    /// The word that selects this peer on the command line and names its cache folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stable => "stable",
            Self::Old => "old",
            Self::Emissary => "emissary",
        }
    }
}

/// A router program in the cache, ready to be started.
#[derive(Clone, Debug)]
pub struct Installation {
    /// What the program says of itself, such as `i2pd version 2.59.0 (0.9.68)`.
    pub version: String,
    /// The program and the arguments that come before its own.
    pub command: Vec<OsString>,
    /// Its help text, by which options it does not know are left out.
    help: String,
}

impl Installation {
    /// Runs the program for its version and options, which also shows that it starts.
    fn probe(command: Vec<OsString>) -> Result<Self> {
        let (program, args) = command.split_first().context("no program to start")?;
        let ask = |option| run(Command::new(program).args(args).arg(option));
        let version = ask("--version")?
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let help = ask("--help")?;
        Ok(Self {
            version,
            command,
            help,
        })
    }

    /// Whether the program has the command line option `--NAME`.
    pub fn knows(&self, name: &str) -> bool {
        self.help
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--"))
            .any(|option| option.split([' ', '=']).next() == Some(name))
    }
}

/// Returns the cached router, fetching it first when it is not there.
///
/// # Errors
/// When it cannot be fetched, or does not start on this machine.
pub fn install(peer: Peer) -> Result<Installation> {
    let cache = workspace::peers();
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot create the peer cache {}", cache.display()))?;
    let folder = cache.join(peer.name());
    // One fetches, others wait: tests start networks in parallel.
    let lock = cache.join(format!("{}.lock", peer.name()));
    let lock = File::create(&lock).with_context(|| format!("cannot open {}", lock.display()))?;
    lock.lock().context("cannot lock the peer cache")?;
    match peer {
        Peer::Current => debian::install(&folder, &["unstable", "trixie"]),
        Peer::Stable => debian::install(&folder, &["trixie"]),
        Peer::Old => debian::install(&folder, &["bookworm"]),
        Peer::Emissary => emissary::install(&folder),
    }
    .with_context(|| {
        format!(
            "no {} router; to start afresh remove {}",
            peer.name(),
            folder.display()
        )
    })
}

/// Runs a program to its end and returns what it wrote to its standard output.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let words: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect();
        bail!(
            "{program} {} failed: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the entries of a folder, or none when there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
