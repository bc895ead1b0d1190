//! RouterInfos to begin with, from a folder.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ramson_wire::{RouterInfo, Verified};

use super::RouterError;

/// Folders within folders that are looked into: i2pd's `netDb/rX`.
const MAX_DEPTH: usize = 2;
/// Files that are read at most.
const MAX_FILES: usize = 20_000;

/// What a seed held.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// RouterInfos whose signature holds.
    pub(super) infos: Vec<Verified<RouterInfo>>,
    /// Files that hold none.
    pub(super) skipped: usize,
}

impl Seed {
    /// Reads all there is below `path`.
    pub(super) fn read(path: &Path) -> Result<Self, RouterError> {
        let mut seed = Self::default();
        let done = seed.folder(path, MAX_DEPTH);
        done.map_err(|source| RouterError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(seed)
    }

    fn folder(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if path.is_dir() {
                if depth > 0 {
                    self.folder(&path, depth - 1)?;
                }
            } else if self.infos.len() + self.skipped < MAX_FILES {
                match File::open(&path) {
                    Ok(mut file) => self.take(&mut file),
                    Err(_) => self.skipped += 1,
                }
            }
        }
        Ok(())
    }

    /// Takes what may be a RouterInfo.
    fn take(&mut self, from: &mut dyn Read) {
        let limit = RouterInfo::MAX_LEN as u64 + 1;
        let mut bytes = Vec::new();
        let info = match from.take(limit).read_to_end(&mut bytes) {
            Ok(_) => RouterInfo::from_bytes(&bytes).ok(),
            Err(_) => None,
        };
        match info.and_then(|info| info.verify().ok()) {
            Some(info) => self.infos.push(info),
            None => self.skipped += 1,
        }
    }
}
