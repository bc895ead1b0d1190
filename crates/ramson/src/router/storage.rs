//! A router's data folder: its keys, its RouterInfo, the RouterInfos it knows.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ramson_crypto::{Random, SigningKey, sha256, x25519};
use ramson_router::RouterKeys;
use ramson_wire::RouterInfo;
use zeroize::Zeroizing;

use super::RouterError;
use crate::keys;

/// The first bytes of `router.keys`.
const MAGIC: &[u8; 16] = b"ramson router 1\n";
const KEYS_LEN: usize = 16 + 32 + 32 + 32 + 16 + 32 + 32 + 32;

/// A data folder that belongs to this process.
pub(super) struct DataFolder {
    path: PathBuf,
    /// Locked: two routers with one identity would be seen as one that jumps about.
    _lock: File,
    pub(super) keys: RouterKeys,
    /// Keys the checksums of what we wrote ourselves.
    pub(super) checksum_key: Zeroizing<[u8; 32]>,
}

impl DataFolder {
    /// Opens the folder, made with new keys if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, RouterError> {
        let error = |source| RouterError::File {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(error)?;
        let file = path.join("router.keys");
        let secret = keys::open_secret(&file, new_keys)?;
        let Some((keys, checksum_key)) = decode(&secret.bytes) else {
            return Err(RouterError::DamagedKeys { path: file });
        };
        Ok(Self {
            path: path.to_owned(),
            _lock: secret.file,
            keys,
            checksum_key,
        })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the RouterInfo that is published now.
    pub(super) fn write_info(&self, info: &RouterInfo) -> Result<(), RouterError> {
        let path = self.file("router.info");
        write_aside(&path, info.as_bytes()).map_err(|source| RouterError::File { path, source })
    }
}

/// Writes a file so that it is there whole, old or new, whenever the program or the machine ends.
pub(super) fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let aside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    keys::sync_folder(path);
    Ok(())
}

/// `[magic: 16][signing seed: 32][encryption key: 32][NTCP2 static key: 32][NTCP2 i: 16]
/// [padding: 32][checksum key: 32][SHA-256 of all before: 32]`.
fn encode(keys: &RouterKeys, checksum_key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEYS_LEN));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&*keys.signing.seed());
    bytes.extend_from_slice(&*keys.encryption.to_bytes());
    bytes.extend_from_slice(&*keys.ntcp2_static.to_bytes());
    bytes.extend_from_slice(&keys.ntcp2_iv);
    bytes.extend_from_slice(&keys.padding);
    bytes.extend_from_slice(checksum_key);
    let sum = sha256(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

fn new_keys() -> Zeroizing<Vec<u8>> {
    let mut random = Random::from_os();
    let checksum_key = Zeroizing::new(random.bytes());
    encode(&RouterKeys::generate(&mut random), &checksum_key)
}

fn decode(bytes: &[u8]) -> Option<(RouterKeys, Zeroizing<[u8; 32]>)> {
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    if bytes.len() != KEYS_LEN || sha256(content) != *sum {
        return None;
    }
    let (magic, rest) = content.split_first_chunk::<16>()?;
    let (signing, rest) = rest.split_first_chunk::<32>()?;
    let (encryption, rest) = rest.split_first_chunk::<32>()?;
    let (ntcp2_static, rest) = rest.split_first_chunk::<32>()?;
    let (ntcp2_iv, rest) = rest.split_first_chunk::<16>()?;
    let (padding, rest) = rest.split_first_chunk::<32>()?;
    let (checksum_key, _) = rest.split_first_chunk::<32>()?;
    let keys = RouterKeys {
        signing: SigningKey::from_seed(signing),
        encryption: x25519::PrivateKey::from_bytes(*encryption),
        ntcp2_static: x25519::PrivateKey::from_bytes(*ntcp2_static),
        ntcp2_iv: *ntcp2_iv,
        padding: *padding,
    };
    (magic == MAGIC).then(|| (keys, Zeroizing::new(*checksum_key)))
}
