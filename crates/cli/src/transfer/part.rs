//! The file of an unfinished transfer: `.NAME.KEY.part` beside the place where it will be.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};

use super::{Digest, FileName, Reason};

/// How much is read at once for a hash.
const HASH_BUFFER: usize = 256 * 1024;

/// A part with the hash of what is in it. This process holds its lock from when it is there, and
/// makes it, and the folders on the way, with the first bytes.
#[derive(Debug)]
pub(super) struct Part {
    file: Option<File>,
    path: PathBuf,
    target: PathBuf,
    /// On the way to it, the outermost first.
    folders: Vec<PathBuf>,
    /// Those of them that this part made.
    made: Vec<PathBuf>,
    /// Bytes in the file.
    len: u64,
    /// Bytes in the file that were there before.
    kept: u64,
    /// What is in the file is to be forgotten when something better comes.
    anew: bool,
    hasher: Sha256,
    finished: bool,
}

/// What is under a name before a transfer.
#[derive(Debug)]
pub(super) enum Opened {
    /// A part, new or from before.
    Part(Box<Part>),
    /// The very same file.
    Have,
    /// Not to be taken.
    Refused(Reason),
    /// Another connection has it.
    Busy,
    /// There is something to hash, and no leave to.
    ToHash,
}

/// What became of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// The file is in its place, for good.
    Done,
    /// The bytes are not those that were offered.
    Damaged,
    /// Meanwhile something else has the name; the part stays.
    Exists,
}

impl Part {
    /// Looks at what is there and opens the part, with the hash of what it holds. Hashes only if
    /// it `may_hash`, and until it is `cancelled`.
    pub(super) fn open(
        folder: &Path,
        name: &FileName,
        (size, digest): (u64, &Digest),
        overwrite: bool,
        may_hash: bool,
        cancelled: &AtomicBool,
    ) -> io::Result<Opened> {
        let folders = name.folders(folder);
        for folder in &folders {
            match fs::symlink_metadata(folder) {
                // No link is followed out of the folder.
                Ok(there) if !there.is_dir() => return Ok(Opened::Refused(Reason::Exists)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        let target = name.under(folder);
        let path = part_path(&target, size, digest);
        if let Ok(there) = fs::symlink_metadata(&target) {
            if there.is_file() && there.len() == size {
                if !may_hash {
                    return Ok(Opened::ToHash);
                }
                if hash_file(&target, size, cancelled)? == *digest {
                    remove_idle(&path);
                    return Ok(Opened::Have);
                }
            }
            if !overwrite || there.is_dir() {
                return Ok(Opened::Refused(Reason::Exists));
            }
        }
        let mut part = Box::new(Self {
            file: None,
            path,
            target,
            folders,
            made: Vec::new(),
            len: 0,
            kept: 0,
            anew: false,
            hasher: Sha256::new(),
            finished: false,
        });
        match fs::symlink_metadata(&part.path) {
            Ok(there) if !there.is_file() => return Ok(Opened::Refused(Reason::Exists)),
            Ok(_) => {}
            Err(_) => return Ok(Opened::Part(part)),
        }
        let mut file = match open_locked(&part.path, false) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Opened::Busy),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Opened::Part(part));
            }
            Err(error) => return Err(error),
        };
        if !may_hash && file.metadata()?.len() > 0 {
            return Ok(Opened::ToHash);
        }
        part.len = hash_into(&mut part.hasher, &mut file, u64::MAX, cancelled)?;
        part.kept = part.len;
        part.file = Some(file);
        if part.len > size {
            part.restart();
        }
        Ok(Opened::Part(part))
    }

    /// How many bytes are there.
    pub(super) fn len(&self) -> u64 {
        if self.anew { 0 } else { self.len }
    }

    /// The hash of the bytes that are there.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finalize().into()
    }

    /// Forgets what is there, once something comes instead.
    pub(super) fn restart(&mut self) {
        self.anew = true;
        self.hasher = Sha256::new();
    }

    /// Adds bytes. After an error, what is there is a shorter prefix or the same. Fails with
    /// `WouldBlock` while another process has the part.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let len = self.len();
        let file = self.ready()?;
        if let Err(error) = file.write_all(bytes) {
            let _ = file.set_len(len);
            return Err(error);
        }
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file if it is not there, and forgets what is to be forgotten.
    fn ready(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(self.make()?);
        }
        let file = self.file.as_mut().expect("it was made just now");
        if self.anew {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            (self.anew, self.len, self.kept) = (false, 0, 0);
        }
        Ok(file)
    }

    fn make(&mut self) -> io::Result<File> {
        for folder in &self.folders {
            match fs::create_dir(folder) {
                Ok(()) => self.made.push(folder.clone()),
                Err(_) if fs::symlink_metadata(folder).is_ok_and(|there| there.is_dir()) => {}
                Err(error) => return Err(error),
            }
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|there| !there.is_file()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        match open_locked(&self.path, true)? {
            Some(file) if file.metadata()?.len() == 0 => Ok(file),
            // Somebody else began with it meanwhile.
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Puts the file in its place: checked, synced, renamed, the folder synced.
    pub(super) fn finish(
        mut self,
        digest: &Digest,
        mode: u32,
        overwrite: bool,
    ) -> io::Result<Finished> {
        if self.digest() != *digest {
            self.undo();
            return Ok(Finished::Damaged);
        }
        let file = self.ready()?;
        set_mode(file, mode)?;
        file.sync_all()?;
        if overwrite {
            fs::rename(&self.path, &self.target)?;
        } else if let Err(error) = rename_new(&self.path, &self.target) {
            return match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(Finished::Exists),
                _ => Err(error),
            };
        }
        self.finished = true;
        sync_folder(&self.target);
        Ok(Finished::Done)
    }

    /// Removes what was written; what was there before stays.
    pub(super) fn undo(mut self) {
        if let Some(file) = &self.file
            && self.len > self.kept
            && file.set_len(self.kept).is_ok()
        {
            self.len = self.kept;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Nothing to resume from.
        if self.file.is_some() && self.len == 0 {
            let _ = fs::remove_file(&self.path);
        }
        // Fails for those that hold something.
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// How many bytes of a file's name are in the name of its part; with the rest they fit everywhere.
const MAX_SHOWN: usize = 200;

/// `.NAME.KEY.part`, where 16 digits stand for the name, the size and the digest: what somebody
/// offers who does not know those of a part has nothing to do with it.
pub(super) fn part_path(target: &Path, size: u64, digest: &Digest) -> PathBuf {
    // Names come from `FileName`, which is text.
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut hasher = Sha256::new();
    hasher.update(digest);
    hasher.update(size.to_be_bytes());
    hasher.update(name.as_bytes());
    let key = data_encoding::HEXLOWER.encode(&hasher.finalize());
    let key: String = key.chars().take(16).collect();
    let ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
    let count = ends.take_while(|&end| end <= MAX_SHOWN).count();
    let shown: String = name.chars().take(count).collect();
    target.with_file_name(format!(".{shown}.{key}.part"))
}

/// Opens the part and locks it; `None` if another process or connection holds it.
fn open_locked(path: &Path, create: bool) -> io::Result<Option<File>> {
    loop {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(create)
            .truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // A file system without locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever held it may have renamed or removed it meanwhile.
        if is_same_file(&file, path) {
            return Ok(Some(file));
        }
    }
}

/// Removes a part that nobody works on and that is of no use any more.
fn remove_idle(path: &Path) {
    if let Ok(file) = File::open(path)
        && file.try_lock().is_ok()
    {
        let _ = fs::remove_file(path);
    }
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => ours.dev() == theirs.dev() && ours.ino() == theirs.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Renames where nothing is; fails with `AlreadyExists` otherwise, in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system or kernel that cannot.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_new(from, to),
        result => Ok(result?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    link_new(from, to)
}

/// The same in two steps; in between the file has both names.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Makes the rename last through a power cut, where folders can be synced.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent()
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

/// The hash of the first `len` bytes of the file; of fewer if it is shorter.
pub(super) fn hash_file(path: &Path, len: u64, cancelled: &AtomicBool) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    hash_into(&mut hasher, &mut File::open(path)?, len, cancelled)?;
    Ok(hasher.finalize().into())
}

/// Reads up to `len` bytes into the hash and returns how many there were. Fails soon after it is
/// `cancelled`, unless there is nothing to read.
pub(super) fn hash_into(
    hasher: &mut Sha256,
    file: &mut File,
    len: u64,
    cancelled: &AtomicBool,
) -> io::Result<u64> {
    let mut buffer = vec![0; HASH_BUFFER];
    let mut rest = file.take(len);
    let mut count = 0;
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(_) if cancelled.load(Ordering::Relaxed) => {
                return Err(io::Error::other("nobody waits for this hash any more"));
            }
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                count += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
