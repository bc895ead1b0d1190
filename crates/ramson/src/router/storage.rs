//! A router's data folder: its keys, its RouterInfo, the RouterInfos it knows.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ramson_crypto::{Random, SigningKey, sha256, x25519};
use ramson_router::RouterKeys;
use ramson_wire::{RouterInfo, Verified};
use zeroize::Zeroizing;

use super::RouterError;
use super::known::{self, Known};
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
    /// Keys the seals of what we wrote ourselves.
    seal_key: Zeroizing<[u8; 32]>,
    /// One writes at a time; whether the last could not.
    writing: Mutex<bool>,
}

impl DataFolder {
    /// Opens the folder, made with new keys if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, RouterError> {
        let error = |source| RouterError::File {
            path: path.to_owned(),
            source,
        };
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path).map_err(error)?;
        let file = path.join("router.keys");
        let secret = keys::open_secret(&file, new_keys)?;
        let Some((keys, seal_key)) = decode(&secret.bytes) else {
            return Err(RouterError::DamagedKeys { path: file });
        };
        Ok(Self {
            path: path.to_owned(),
            _lock: secret.file,
            keys,
            seal_key,
            writing: Mutex::default(),
        })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the RouterInfo that is published now. When that is not possible, the router goes on
    /// without, and says so.
    pub(super) fn write_info(&self, info: &RouterInfo) {
        self.write("router.info", info.as_bytes());
    }

    /// Reads the RouterInfos that were known and hands them over in batches; none if there is no file,
    /// or none that can be read.
    pub(super) fn read_known(&self, take: impl FnMut(Vec<Verified<RouterInfo>>)) -> Known {
        let mut bytes = Vec::new();
        let read = match File::open(self.file("routers.db")) {
            Ok(file) => file.take(known::MAX_LEN).read_to_end(&mut bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Known::default(),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            tracing::warn!(%error, "the RouterInfos that were known cannot be read");
        }
        // What was read before an error is as good as ever.
        known::decode_batches(&bytes, &self.seal_key, take)
    }

    /// Writes the RouterInfos that are known; the same as for the own one. None at all are no better
    /// than those in the file.
    pub(super) fn write_known(&self, infos: &[Verified<RouterInfo>]) {
        if !infos.is_empty() {
            self.write("routers.db", &known::encode(infos.iter(), &self.seal_key));
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let mut failing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match write_aside(&self.file(name), bytes) {
            Ok(()) if !*failing => {}
            Ok(()) => tracing::info!("the router's files can be written again"),
            // One line for a disk that is full for days.
            Err(error) if !*failing => {
                tracing::error!(%error, "the router's files cannot be written; it goes on without");
                *failing = true;
                return;
            }
            Err(_) => return,
        }
        *failing = false;
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
    let written = (|| {
        let mut file = options.open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    })();
    match written {
        Ok(()) => keys::sync_folder(path),
        // On a full disk, half a file would only take the place of another.
        Err(_) => drop(std::fs::remove_file(&aside)),
    }
    written
}

/// `[magic: 16][signing seed: 32][encryption key: 32][NTCP2 static key: 32][NTCP2 i: 16]
/// [padding: 32][seal key: 32][SHA-256 of all before: 32]`.
pub(super) fn encode(keys: &RouterKeys, seal_key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEYS_LEN));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&*keys.signing.seed());
    bytes.extend_from_slice(&*keys.encryption.to_bytes());
    bytes.extend_from_slice(&*keys.ntcp2_static.to_bytes());
    bytes.extend_from_slice(&keys.ntcp2_iv);
    bytes.extend_from_slice(&keys.padding);
    bytes.extend_from_slice(seal_key);
    let sum = sha256(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

fn new_keys() -> Zeroizing<Vec<u8>> {
    let mut random = Random::from_os();
    let seal_key = Zeroizing::new(random.bytes());
    encode(&RouterKeys::generate(&mut random), &seal_key)
}

pub(super) fn decode(bytes: &[u8]) -> Option<(RouterKeys, Zeroizing<[u8; 32]>)> {
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
    let (seal_key, _) = rest.split_first_chunk::<32>()?;
    let keys = RouterKeys {
        signing: SigningKey::from_seed(signing),
        encryption: x25519::PrivateKey::from_bytes(*encryption),
        ntcp2_static: x25519::PrivateKey::from_bytes(*ntcp2_static),
        ntcp2_iv: *ntcp2_iv,
        padding: *padding,
    };
    (magic == MAGIC).then(|| (keys, Zeroizing::new(*seal_key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::testing::router_info;

    fn read_known(folder: &DataFolder) -> Known {
        let mut infos = Vec::new();
        let known = folder.read_known(|batch| infos.extend(batch));
        Known { infos, ..known }
    }

    #[test]
    fn a_folder_keeps_its_identity_and_what_it_knew() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let folder = DataFolder::open(&path).unwrap();
        let hash = folder.keys.identity().hash();
        assert_eq!(read_known(&folder).infos, []);
        let mut random = Random::from_seed([4; 32]);
        let infos = [router_info(&mut random), router_info(&mut random)];
        folder.write_known(&infos);
        folder.write_known(&[]);

        // Somebody uses it.
        let second = DataFolder::open(&path);
        let in_use = |error: &RouterError| {
            matches!(error, RouterError::KeyFile(crate::Error::KeyInUse { .. }))
        };
        assert!(second.is_err_and(|error| in_use(&error)));
        drop(folder);

        let folder = DataFolder::open(&path).unwrap();
        assert_eq!(folder.keys.identity().hash(), hash);
        let known = read_known(&folder);
        assert_eq!((known.infos, known.foreign), (infos.to_vec(), 0));
    }

    #[test]
    fn what_cannot_be_written_leaves_what_is_there_and_nothing_half() {
        let temp = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(temp.path()).unwrap();
        let mut random = Random::from_seed([6; 32]);
        let infos = [router_info(&mut random), router_info(&mut random)];
        folder.write_known(&infos);
        // Nothing can be renamed over a folder.
        std::fs::create_dir(temp.path().join("router.info")).unwrap();
        folder.write_info(&infos[0]);
        assert!(*folder.writing.lock().unwrap());
        assert!(!temp.path().join(".router.info.new").exists());
        assert_eq!(read_known(&folder).infos, infos);
        std::fs::remove_dir(temp.path().join("router.info")).unwrap();
        folder.write_info(&infos[0]);
        assert!(!*folder.writing.lock().unwrap());
        // And a folder holds no RouterInfos.
        std::fs::remove_file(temp.path().join("routers.db")).unwrap();
        std::fs::create_dir(temp.path().join("routers.db")).unwrap();
        assert_eq!(read_known(&folder).infos, []);
    }

    /// Whatever became of the file: what still has its seal or its signature is there.
    #[test]
    fn a_damaged_file_keeps_what_verifies() {
        let temp = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(temp.path()).unwrap();
        let mut random = Random::from_seed([7; 32]);
        let infos: Vec<_> = (0..40).map(|_| router_info(&mut random)).collect();
        folder.write_known(&infos);
        let path = temp.path().join("routers.db");
        let good = std::fs::read(&path).unwrap();
        let size = (good.len() - 16) / infos.len();

        // A bit at every thousandth byte, in turns.
        for from in [17, 333, 666, 999] {
            let mut bytes = good.clone();
            bytes
                .iter_mut()
                .skip(from)
                .step_by(1000)
                .for_each(|byte| *byte ^= 4);
            std::fs::write(&path, &bytes).unwrap();
            let known = read_known(&folder);
            let hit = bytes.len() / 1000 + 1;
            assert!(known.infos.len() + hit >= infos.len(), "{from}");
            assert!(known.infos.iter().all(|info| infos.contains(info)));
            assert!(known.damaged > 0 || known.foreign > 0);
        }
        // Cut off anywhere, and in the middle of it.
        for len in [0, 1, 15, 16, 17, size, 10 * size + 16, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            let whole = len.saturating_sub(16) / size;
            assert_eq!(read_known(&folder).infos, infos[..whole], "{len}");
        }
        let hole = [&good[..5 * size], &good[9 * size + 77..]].concat();
        std::fs::write(&path, hole).unwrap();
        let known = read_known(&folder);
        assert!((infos.len() - 7..infos.len() - 4).contains(&known.infos.len()));
        // Something else altogether, with and without the first bytes of such a file.
        let mut noise = vec![0; 100_000];
        random.fill(&mut noise);
        std::fs::write(&path, &noise).unwrap();
        let known = read_known(&folder);
        assert_eq!((known.infos.len(), known.damaged), (0, 1));
        std::fs::write(&path, [&good[..3 * size + 16], &noise].concat()).unwrap();
        assert_eq!(read_known(&folder).infos, infos[..3]);
    }

    #[test]
    fn damaged_keys_are_neither_used_nor_replaced() {
        let temp = tempfile::tempdir().unwrap();
        drop(DataFolder::open(temp.path()).unwrap());
        let file = temp.path().join("router.keys");
        let good = std::fs::read(&file).unwrap();
        assert_eq!(good.len(), KEYS_LEN);
        let mut flipped = good.clone();
        flipped[100] ^= 1;
        for bad in [&good[..KEYS_LEN - 1], &flipped, b"", &[0; KEYS_LEN]] {
            std::fs::write(&file, bad).unwrap();
            let opened = DataFolder::open(temp.path());
            assert!(matches!(opened, Err(RouterError::DamagedKeys { .. })));
            assert_eq!(std::fs::read(&file).unwrap(), bad);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_keys() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let _folder = DataFolder::open(temp.path()).unwrap();
        let file = std::fs::metadata(temp.path().join("router.keys")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    /// Run by hand, optimised: how long a router with 5,000 RouterInfos takes to start.
    #[test]
    #[ignore = "measures"]
    fn time_of_a_start_with_5000() {
        let temp = tempfile::tempdir().unwrap();
        let mut random = Random::from_seed([5; 32]);
        let infos: Vec<_> = (0..5000).map(|_| router_info(&mut random)).collect();
        DataFolder::open(temp.path()).unwrap().write_known(&infos);
        let began = std::time::Instant::now();
        let router = crate::router::RunningRouter::start(crate::router::RouterSettings {
            config: Default::default(),
            data: temp.path().to_owned(),
            listen: Some(([127, 0, 0, 1], 0).into()),
            seed: None,
            threads: 2,
        });
        println!("started in {:?}", began.elapsed());
        assert_eq!(router.unwrap().seeded(), 5000);
    }
}
