//! The folder of one network.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::workspace;

/// How many folders of ended networks are kept for their logs.
const KEPT: usize = 20;

/// A folder below `target/net`, named by its time and network id and locked while in use.
#[derive(Debug)]
pub(super) struct NetworkFolder {
    path: PathBuf,
    _lock: File,
}

impl NetworkFolder {
    /// Makes a new folder and removes the oldest ones no network uses any more.
    pub(super) fn create(network_id: u8) -> Result<Self> {
        let parent = workspace::networks();
        std::fs::create_dir_all(&parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let path = parent.join(format!("{now}-{network_id}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let lock = File::create(path.join("lock"))?;
        lock.lock().context("cannot lock a new network's folder")?;
        prune(&parent);
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn prune(parent: &Path) {
    let mut folders: Vec<_> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("lock").is_file())
        .collect();
    folders.sort();
    let surplus = folders.len().saturating_sub(KEPT);
    for folder in folders.into_iter().take(surplus) {
        let unused = File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if unused {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}

/// Writes a file only its owner may read.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
