//! The state file of `cargo xtask net up`, by which other calls find the network.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Name, RamsonAccess, RouterAccess};
use crate::peers::Peer;
use crate::workspace;

/// A process, told apart from later ones with the same number by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
}

impl ProcessId {
    /// Whether this very process still exists.
    pub fn is_alive(self) -> bool {
        start_of(self.pid) == Some(self.started)
    }
}

/// What `net up` writes down and `--json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkState {
    /// The process whose end ends the network.
    pub owner: ProcessId,
    /// The kind of routers.
    pub peer: Peer,
    /// What the routers say of their version.
    pub version: String,
    /// The network id they share.
    pub network_id: u8,
    /// The folder with the logs and keys.
    pub folder: PathBuf,
    /// Seconds from the start until a stream had crossed.
    pub ready_after_s: Option<f64>,
    /// The names in the address books.
    pub names: Vec<Name>,
    /// The routers, in order.
    pub routers: Vec<RouterState>,
    /// Our own routers, in order.
    #[serde(default)]
    pub ramson: Vec<RamsonState>,
}

/// One of our own routers of a [`NetworkState`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RamsonState {
    /// Its process id, if it ran when this was written.
    pub pid: Option<u32>,
    /// Its address and files.
    #[serde(flatten)]
    pub access: RamsonAccess,
}

/// One router of a [`NetworkState`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouterState {
    /// Its process id, if it ran when this was written.
    pub pid: Option<u32>,
    /// Its addresses and files.
    #[serde(flatten)]
    pub info: RouterAccess,
}

impl NetworkState {
    /// The state file, `target/net/state.json`.
    pub fn path() -> PathBuf {
        workspace::networks().join("state.json")
    }

    /// Reads the state of a network that is still up; one whose owner is gone counts as none.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn load() -> Result<Option<Self>> {
        let path = Self::path();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let state = Self::parse(&text).with_context(|| {
                    format!("{} is not a network's state; remove it", path.display())
                })?;
                Ok(state.owner.is_alive().then_some(state))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// Writes the state file in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<()> {
        let path = Self::path();
        let new = path.with_extension(format!("{}.new", std::process::id()));
        write_json(&new, self)
            .and_then(|()| Ok(std::fs::rename(&new, &path)?))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the state file.
    pub fn forget() {
        std::fs::remove_file(Self::path()).ok();
    }
}

fn write_json(path: &Path, state: &NetworkState) -> Result<()> {
    std::fs::write(path, serde_json::to_string_pretty(state)?)?;
    Ok(())
}

/// This process, as a state file names it.
pub(super) fn this_process() -> ProcessId {
    let pid = std::process::id();
    ProcessId {
        pid,
        started: start_of(pid).unwrap_or_default(),
    }
}

/// Field 22 of `/proc/PID/stat`; the fields after the name, which may hold anything, begin behind
/// its closing bracket. A dead process nobody has collected yet counts as gone.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> NetworkState {
        NetworkState {
            owner: this_process(),
            peer: Peer::Current,
            version: "i2pd version 2.59.0 (0.9.68)".to_owned(),
            network_id: 77,
            folder: "net/1-77".into(),
            ready_after_s: Some(9.5),
            names: vec![Name {
                name: "demo.i2p".to_owned(),
                destination: "AAAA".to_owned(),
                keys: "net/1-77/demo.keys".into(),
            }],
            routers: vec![RouterState {
                pid: Some(1),
                info: RouterAccess {
                    peer: Peer::Current,
                    sam: ([127, 0, 0, 1], 20_003).into(),
                    sam_udp: ([127, 0, 0, 1], 20_002).into(),
                    transport: ([127, 0, 0, 1], 20_001).into(),
                    log: "net/1-77/router-0/i2pd.log".into(),
                    data: "net/1-77/router-0/data".into(),
                },
            }],
            ramson: vec![RamsonState {
                pid: None,
                access: RamsonAccess {
                    transport: ([127, 0, 0, 1], 20_004).into(),
                    floodfill: true,
                    log: "net/1-77/ramson-0/output.log".into(),
                    config: "net/1-77/ramson-0/router.toml".into(),
                    data: "net/1-77/ramson-0/data".into(),
                    seed: "net/1-77/ramson-0/seed".into(),
                },
            }],
        }
    }

    #[test]
    fn a_written_state_reads_the_same() {
        let text = serde_json::to_string(&example()).unwrap();
        let state = NetworkState::parse(&text).unwrap();
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert!(text.contains(r#""sam":"127.0.0.1:20003""#), "{text}");
        assert!(NetworkState::parse("{}").is_err());
    }

    #[test]
    fn a_process_with_a_reused_number_is_not_the_owner() {
        let mut owner = this_process();
        assert!(owner.is_alive());
        owner.started += 1;
        assert!(!owner.is_alive());
    }
}
