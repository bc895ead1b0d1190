//! Private key files: made whole or not at all, readable by their owner only, locked while in use.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ramson_sam::aio;
use ramson_wire::{DestinationHash, Instant, PrivateKeys};
use zeroize::Zeroizing;

use crate::Error;

/// No key file is larger: the largest keys, in base 64, with room to spare.
const MAX_FILE: u64 = 64 * 1024;

/// The bytes of a key file on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// As i2pd, Java I2P and i2plib write files.
    #[default]
    Raw,
    /// As SAM writes keys on the wire: base 64 of I2P, one line.
    Base64,
}

/// Reads the keys in the file at `path`, raw or base 64; does not lock it.
///
/// # Errors
///
/// [`Error::KeyFile`] when the file cannot be read, [`Error::BadKeys`] when it holds no keys.
pub fn read(path: impl AsRef<Path>) -> Result<PrivateKeys, Error> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|source| file_error(path, source))?;
    parse(path, &read_bounded(path, &mut file)?)
}

/// Writes `keys` to a new file at `path`, mode 0600: first aside, then renamed.
///
/// # Errors
///
/// [`Error::KeyFile`] with [`io::ErrorKind::AlreadyExists`] when the file is there already: keys
/// are never overwritten.
pub fn create(path: impl AsRef<Path>, keys: &PrivateKeys, format: KeyFormat) -> Result<(), Error> {
    let path = path.as_ref();
    match create_locked(path, &encode(keys, format))? {
        Some(_) => Ok(()),
        None => Err(file_error(
            path,
            io::Error::from(io::ErrorKind::AlreadyExists),
        )),
    }
}

/// Keys with the claim that nobody else uses them.
#[derive(Debug)]
pub(crate) struct ClaimedKeys {
    pub(crate) keys: PrivateKeys,
    /// Others than the owner can read the file.
    pub(crate) exposed: bool,
    /// The keys were made just now, so that no router can know them.
    pub(crate) fresh: bool,
    /// A session of this process had them a moment ago.
    pub(crate) recent: bool,
    claim: Mutex<Option<(Claim, Option<File>)>>,
}

impl ClaimedKeys {
    fn new(keys: PrivateKeys, path: Option<&Path>, file: Option<File>) -> Result<Self, Error> {
        // The router would say INVALID_KEY, or worse, bring up another Destination.
        keys.check().map_err(|source| Error::BadKeys {
            path: path.map(Path::to_owned),
            source,
        })?;
        let (claim, recent) = Claim::take(&keys, path)?;
        Ok(Self {
            keys,
            recent,
            exposed: file.as_ref().is_some_and(is_exposed),
            fresh: false,
            claim: Mutex::new(Some((claim, file))),
        })
    }

    /// Lets others use the keys.
    pub(crate) fn release(&self) {
        self.claim
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// Takes keys that are in memory.
pub(crate) fn claim(keys: PrivateKeys, fresh: bool) -> Result<ClaimedKeys, Error> {
    Ok(ClaimedKeys {
        fresh,
        ..ClaimedKeys::new(keys, None, None)?
    })
}

/// Takes the keys in the file at `path`, which is made if it is not there.
pub(crate) fn claim_file(path: &Path) -> Result<ClaimedKeys, Error> {
    let make = || encode(&PrivateKeys::generate(), KeyFormat::Raw);
    let SecretFile { bytes, file, fresh } = open_secret(path, make)?;
    let keys = parse(path, &bytes)?;
    Ok(ClaimedKeys {
        fresh,
        ..ClaimedKeys::new(keys, Some(path), Some(file))?
    })
}

/// A file with secrets, locked as long as it is open.
pub(crate) struct SecretFile {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) file: File,
    /// It was made just now.
    pub(crate) fresh: bool,
}

/// Opens and locks the file at `path`, which is made of the bytes of `make` if it is not there.
pub(crate) fn open_secret(
    path: &Path,
    make: impl Fn() -> Zeroizing<Vec<u8>>,
) -> Result<SecretFile, Error> {
    loop {
        match File::open(path) {
            Ok(mut file) => {
                lock(path, &file)?;
                let bytes = read_bounded(path, &mut file)?;
                remove_leftover(path);
                let fresh = false;
                return Ok(SecretFile { bytes, file, fresh });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = make();
                // Made by somebody else in between: read what they made.
                let Some(file) = create_locked(path, &bytes)? else {
                    continue;
                };
                let fresh = true;
                return Ok(SecretFile { bytes, file, fresh });
            }
            Err(source) => return Err(file_error(path, source)),
        }
    }
}

/// How long a router may go on holding a session that was closed.
const RECENT: Duration = Duration::from_secs(10);

/// The Destinations in use by this process, whichever way their keys came: `None`, or when they
/// were released.
static IN_USE: Mutex<BTreeMap<DestinationHash, Option<Instant>>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Claim(DestinationHash);

impl Claim {
    /// Claims the keys; tells whether they were released a moment ago.
    fn take(keys: &PrivateKeys, path: Option<&Path>) -> Result<(Self, bool), Error> {
        let hash = keys.destination().hash();
        let now = aio::now();
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|_, released| {
            released.is_none_or(|released| now.saturating_since(released) < RECENT)
        });
        match in_use.insert(hash, None) {
            Some(None) => Err(Error::KeyInUse {
                path: path.map(Path::to_owned),
            }),
            released => Ok((Self(hash), released.is_some())),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        IN_USE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.0, Some(aio::now()));
    }
}

/// Writes a new key file and returns it, locked; `None` when there is one already.
///
/// The bytes go to `.NAME.new` beside it under a lock, then that file is renamed. What a killed
/// program leaves there is written over by the next one.
fn create_locked(path: &Path, bytes: &[u8]) -> Result<Option<File>, Error> {
    let error = |source| file_error(path, source);
    let aside = aside(path).ok_or_else(|| error(io::ErrorKind::InvalidInput.into()))?;
    let mut file = open_aside(path, &aside)?;
    if let Ok(there) = std::fs::symlink_metadata(path) {
        if there.is_symlink() && !path.exists() {
            // A volume that is not mounted, perhaps: its keys are not to be replaced.
            return Err(error(io::Error::new(
                io::ErrorKind::NotFound,
                "it is a link that leads nowhere",
            )));
        }
        // The lock may be on the very file that was renamed meanwhile; a leftover goes.
        if !is_same_file(&file, path) {
            let _ = std::fs::remove_file(&aside);
        }
        return Ok(None);
    }
    file.set_len(0).map_err(error)?;
    // It may have been there already, with another mode.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    file.sync_all().map_err(error)?;
    std::fs::rename(&aside, path).map_err(error)?;
    sync_folder(path);
    Ok(Some(file))
}

/// Opens and locks the file that is written first; it may be a leftover.
fn open_aside(path: &Path, aside: &Path) -> Result<File, Error> {
    let error = |source| file_error(path, source);
    let mut options = OpenOptions::new();
    options.write(true).read(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    loop {
        if std::fs::symlink_metadata(aside).is_ok_and(|there| there.is_symlink()) {
            return Err(error(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a link stands where the keys are written first",
            )));
        }
        let file = options.open(aside).map_err(error)?;
        lock(path, &file)?;
        // Renamed or removed between opening and locking: again.
        if is_same_file(&file, aside) || is_same_file(&file, path) {
            return Ok(file);
        }
    }
}

/// Removes what a killed program left beside a key file that is whole.
fn remove_leftover(path: &Path) {
    if let Some(aside) = aside(path)
        && let Ok(file) = File::open(&aside)
        && file.try_lock().is_ok()
    {
        let _ = std::fs::remove_file(&aside);
    }
}

fn aside(path: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(".new");
    Some(path.with_file_name(name))
}

fn lock(path: &Path, file: &File) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::KeyInUse {
            path: Some(path.to_owned()),
        }),
        // A file system without locks: the claim within this process has to do.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(source)) => Err(file_error(path, source)),
    }
}

fn encode(keys: &PrivateKeys, format: KeyFormat) -> Zeroizing<Vec<u8>> {
    match format {
        KeyFormat::Raw => keys.to_bytes(),
        KeyFormat::Base64 => {
            let text = keys.to_base64();
            let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
            line.extend_from_slice(text.as_bytes());
            line.push(b'\n');
            line
        }
    }
}

fn read_bounded(path: &Path, file: &mut File) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(|source| file_error(path, source))?;
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<PrivateKeys, Error> {
    PrivateKeys::from_file_bytes(bytes).map_err(|source| Error::BadKeys {
        path: Some(path.to_owned()),
        source,
    })
}

fn file_error(path: &Path, source: io::Error) -> Error {
    Error::KeyFile {
        path: path.to_owned(),
        source,
    }
}

#[cfg(unix)]
fn is_exposed(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_file: &File) -> bool {
    false
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => ours.dev() == theirs.dev() && ours.ino() == theirs.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_file: &File, _path: &Path) -> bool {
    true
}

/// Makes the rename last through a power cut, where folders can be synced.
pub(crate) fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
