//! The decoders of a router's files, for the fuzzer: whatever a disk or a seed holds.

use std::io::{self, Cursor};

use ramson_wire::{RouterInfo, Verified};
use zeroize::Zeroizing;

use super::seed::Seed;
use super::{known, storage};
use crate::Hosts;

/// Reads the bytes of a `routers.db` sealed with this key: the RouterInfos, how many of them
/// were not sealed by us, and how many stretches held none.
pub fn known_routers(bytes: &[u8], key: &[u8; 32]) -> (Vec<Verified<RouterInfo>>, usize, usize) {
    let known = known::decode(bytes, key);
    (known.infos, known.foreign, known.damaged)
}

/// Writes the bytes of a `routers.db`.
pub fn write_known_routers(infos: &[Verified<RouterInfo>], key: &[u8; 32]) -> Vec<u8> {
    known::encode(infos.iter(), key)
}

/// Reads the bytes of a `router.keys` and writes them again; `None` if they are none.
pub fn router_keys(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (keys, seal_key) = storage::decode(bytes)?;
    Some(storage::encode(&keys, &seal_key))
}

/// Reads a seed file of any kind: the RouterInfos in it and how many files were none.
///
/// # Errors
///
/// When it is a damaged archive.
pub fn seed(bytes: &[u8]) -> io::Result<(usize, usize)> {
    let mut seed = Seed::default();
    seed.content(Cursor::new(bytes))?;
    Ok((seed.infos.len(), seed.skipped))
}

/// Reads the text of a hosts file.
///
/// # Errors
///
/// The line that is wrong, and why.
pub fn hosts(text: &str) -> Result<Hosts, (usize, &'static str)> {
    Hosts::parse(text)
}
