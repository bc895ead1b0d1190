//! The sending side: a list of files, and connections until all of them are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::frame::{self, Frame, MAX_DATA, VERSION};
use super::part::hash_into;
use super::receiver::{WINDOW, only_working, within, working};
use super::{Digest, Error, FileName, Notice, Reason, Watch, blocking};
use crate::output::FileInfo;

/// More files are no transfer but an archive.
const MAX_FILES: usize = 100_000;
/// How deep folders are followed.
const MAX_DEPTH: usize = 32;
/// How often a file that arrived damaged is sent again.
const MAX_DAMAGED: u32 = 3;
/// Answers that may wait: more than a receiver that keeps to the rules can have for us.
const MAX_ANSWERS: usize = 4 * WINDOW;
/// How long the receiver may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(10);

/// The pace of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long nothing may move.
    pub stall: Duration,
    /// Bytes of a file in one message, 64 KiB at most.
    pub chunk: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(180),
            chunk: MAX_DATA,
        }
    }
}

/// A file to send.
#[derive(Clone, Debug)]
pub struct Item {
    path: PathBuf,
    name: FileName,
    size: u64,
    modified: Option<SystemTime>,
    digest: Option<Digest>,
    damaged: u32,
    outcome: Outcome,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not there yet.
    Open,
    /// There, whole and checked.
    Done,
    /// Not taken, or not to be sent.
    Refused(Reason),
}

/// What a sender has to send.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    items: Vec<Item>,
    skipped: u64,
}

impl Plan {
    /// Lists the files at `paths`; folders with all they hold, except links and, unless `hidden`,
    /// names that begin with a dot.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Name`], [`Error::SameName`], [`Error::TooMany`].
    pub fn collect(paths: &[PathBuf], hidden: bool) -> Result<Self, Error> {
        let mut plan = Self::default();
        for path in paths {
            let real = path
                .canonicalize()
                .map_err(|source| Error::file("cannot read", path, source))?;
            let name = match path.file_name().or_else(|| real.file_name()) {
                Some(name) => name.to_owned(),
                None => return Err(bad_name(path, super::NameError::Empty)),
            };
            let Some(name) = name.to_str() else {
                return Err(bad_name(path, super::NameError::NotUtf8));
            };
            plan.add(&real, name, hidden, 0)?;
        }
        let mut names = BTreeSet::new();
        for item in &plan.items {
            if !names.insert(&item.name) {
                return Err(Error::SameName {
                    name: item.name.to_string(),
                });
            }
        }
        Ok(plan)
    }

    fn add(&mut self, path: &Path, name: &str, hidden: bool, depth: usize) -> Result<(), Error> {
        let unreadable = |source| Error::file("cannot read", path, source);
        let metadata = std::fs::symlink_metadata(path).map_err(unreadable)?;
        if metadata.is_file() {
            if self.items.len() >= MAX_FILES {
                return Err(Error::TooMany { limit: MAX_FILES });
            }
            let name = FileName::new(name).map_err(|source| bad_name(path, source))?;
            self.items.push(Item {
                path: path.to_owned(),
                name,
                size: metadata.len(),
                modified: metadata.modified().ok(),
                digest: None,
                damaged: 0,
                outcome: Outcome::Open,
            });
            return Ok(());
        }
        if !metadata.is_dir() {
            self.skipped += 1;
            return Ok(());
        }
        if depth >= MAX_DEPTH {
            return Err(bad_name(path, super::NameError::TooLong));
        }
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(unreadable)?.collect();
        let mut entries = entries.map_err(unreadable)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let entry_name = entry.file_name();
            let Some(part) = entry_name.to_str() else {
                return Err(bad_name(&entry.path(), super::NameError::NotUtf8));
            };
            if part.starts_with('.') && !hidden {
                self.skipped += 1;
                continue;
            }
            self.add(&entry.path(), &format!("{name}/{part}"), hidden, depth + 1)?;
        }
        Ok(())
    }

    /// The files.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// How many links, special files and hidden names were left out.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many files are still to be sent.
    pub fn open(&self) -> u64 {
        let open = self
            .items
            .iter()
            .filter(|item| item.outcome == Outcome::Open);
        open.count() as u64
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.size).sum()
    }

    /// Takes the hashes that are missing, which reads the files once.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub async fn hash(&mut self) -> Result<(), Error> {
        for item in &mut self.items {
            if item.outcome == Outcome::Open && (item.digest.is_none() || !item.is_unchanged()) {
                item.hash().await?;
            }
        }
        Ok(())
    }

    /// Sends what is not there yet over one connection, and returns when the receiver has
    /// confirmed or refused each file.
    ///
    /// After an error that [`Error::is_passing`], another connection goes on where this one
    /// ended.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn send(
        &mut self,
        io: impl AsyncRead + AsyncWrite + Unpin,
        pace: Pace,
        watch: Watch<'_>,
    ) -> Result<(), Error> {
        self.hash().await?;
        let (mut reader, mut writer) = tokio::io::split(io);
        let (answers, inbox) = mpsc::channel(MAX_ANSWERS);
        let open: Vec<usize> = (0..self.items.len())
            .filter(|&index| {
                self.items
                    .get(index)
                    .is_some_and(|item| item.outcome == Outcome::Open)
            })
            .collect();
        // What the reader needs to tell progress.
        let names: Vec<(FileName, u64)> = open
            .iter()
            .filter_map(|&index| self.items.get(index))
            .map(|item| (item.name.clone(), item.size))
            .collect();
        let read_all = async {
            let mut told = None;
            loop {
                match frame::read(&mut reader).await {
                    // Never waits behind the others, or both sides could wait for each other.
                    Ok(frame @ Frame::Progress { id, bytes }) if told < Some((id, bytes)) => {
                        told = Some((id, bytes));
                        let known = usize::try_from(id).ok().and_then(|id| names.get(id));
                        if let Some((name, size)) = known {
                            watch(Notice::Progress {
                                file: name.clone(),
                                done: bytes.min(*size),
                                size: *size,
                            });
                        }
                        let _ = answers.try_send(Ok(frame));
                    }
                    // Progress that is none.
                    Ok(Frame::Progress { .. }) => {
                        let _ = answers.try_send(Ok(Frame::Working));
                    }
                    Ok(frame) => {
                        if answers.send(Ok(frame)).await.is_err() {
                            break;
                        }
                    }
                    Err(error) => {
                        let _ = answers.send(Err(error)).await;
                        break;
                    }
                }
            }
            std::future::pending::<()>().await;
        };
        let mut connection = Connection {
            plan: self,
            open,
            next_offer: 0,
            outstanding: BTreeMap::new(),
            sending: None,
            moved: Instant::now(),
            inbox,
            pace,
            watch,
        };
        tokio::select! {
            result = connection.run(&mut writer) => result,
            () = read_all => Err(Error::Ended),
        }
    }
}

impl Item {
    /// Its name within the transfer.
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Its size when it was listed or last hashed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Reads it all, and notes size and time with the hash.
    async fn hash(&mut self) -> Result<(), Error> {
        let path = self.path.clone();
        let hashed = blocking(move || {
            let mut file = File::open(path)?;
            let modified = file.metadata()?.modified().ok();
            let mut hasher = Sha256::new();
            let size = hash_into(&mut hasher, &mut file, u64::MAX, &AtomicBool::new(false))?;
            Ok((size, modified, hasher.finalize().into()))
        });
        let (size, modified, digest) = hashed
            .await
            .map_err(|source| Error::file("cannot read", &self.path, source))?;
        self.size = size;
        self.modified = modified;
        self.digest = Some(digest);
        Ok(())
    }

    fn is_unchanged(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| {
            metadata.len() == self.size && metadata.modified().ok() == self.modified
        })
    }
}

/// Ends `talk` when nothing moved for `limit`, whatever the other side says meanwhile; `moved` tells
/// when something did.
///
/// # Errors
///
/// [`Error::Stalled`], and those of `talk`.
pub async fn while_moving<T>(
    limit: Duration,
    moved: impl Fn() -> std::time::Instant,
    talk: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::pin!(talk);
    loop {
        let left = limit.saturating_sub(moved().elapsed());
        if left.is_zero() {
            return Err(Error::Stalled { after: limit });
        }
        tokio::select! {
            result = &mut talk => return result,
            () = sleep(left) => {}
        }
    }
}

/// What the receiver said to an offer.
#[derive(Clone, Copy, Debug)]
enum Answer {
    None,
    Resume(u64, Digest),
    /// Sent, and to be confirmed; what was there before.
    Sent(u64),
}

/// One connection of a plan.
struct Connection<'a> {
    plan: &'a mut Plan,
    /// The files of this connection; a place in here is the file's id.
    open: Vec<usize>,
    next_offer: usize,
    /// Offers without an outcome.
    outstanding: BTreeMap<usize, Answer>,
    /// The file between START and END.
    sending: Option<usize>,
    /// When either side did anything but work on its files.
    moved: Instant,
    inbox: mpsc::Receiver<Result<Frame, Error>>,
    pace: Pace,
    watch: Watch<'a>,
}

impl Connection<'_> {
    async fn run(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Error> {
        let stall = self.pace.stall;
        let bytes = self
            .open
            .iter()
            .filter_map(|&index| self.plan.items.get(index));
        let hello = Frame::Hello {
            version: VERSION,
            files: u32::try_from(self.open.len()).unwrap_or(u32::MAX),
            bytes: bytes.map(|item| item.size).sum(),
        };
        within(stall, frame::write(writer, &hello)).await?;
        match self.next_frame().await {
            Ok(Frame::Welcome { version: VERSION }) => {}
            Ok(Frame::RefuseAll { reason }) => return Err(Error::Refused { reason }),
            Ok(Frame::Welcome { .. }) => {
                return Err(Error::Refused {
                    reason: Reason::Version,
                });
            }
            Ok(_) | Err(Error::Protocol { .. }) => {
                return Err(Error::NotOurs { wanted: "receive" });
            }
            Err(error) => return Err(error),
        }
        for id in 0..self.open.len() {
            self.offer(writer).await?;
            while self.next_offer <= id {
                self.next_answer().await?;
                self.offer(writer).await?;
            }
            while matches!(self.outstanding.get(&id), Some(Answer::None)) {
                self.next_answer().await?;
            }
            if let Some(&Answer::Resume(offset, prefix)) = self.outstanding.get(&id) {
                self.send_file(id, offset, prefix, writer).await?;
            }
        }
        while !self.outstanding.is_empty() {
            self.next_answer().await?;
        }
        within(stall, frame::write(writer, &Frame::Bye)).await?;
        // Everything is confirmed: whatever happens to the goodbyes changes nothing.
        let goodbye = async { while let Ok(Frame::Progress { .. }) = self.next_frame().await {} };
        let _ = timeout(GOODBYE, goodbye).await;
        let _ = timeout(GOODBYE, writer.shutdown()).await;
        let again = self
            .plan
            .items
            .iter()
            .any(|item| item.outcome == Outcome::Open && item.damaged > 0);
        // Files that arrived damaged, or that somebody else was at, go again.
        if self.plan.open() > 0 {
            return Err(if again {
                Error::Ended
            } else {
                Error::Refused {
                    reason: Reason::Busy,
                }
            });
        }
        Ok(())
    }

    /// Offers as many files as may be on their way.
    async fn offer(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Error> {
        while self.outstanding.len() < WINDOW {
            let id = self.next_offer;
            let Some(item) = self
                .open
                .get(id)
                .and_then(|&index| self.plan.items.get(index))
            else {
                break;
            };
            let offer = Frame::Offer {
                id: wire_id(id),
                size: item.size,
                digest: item.digest.unwrap_or_default(),
                name: item.name.as_str().as_bytes().to_vec(),
            };
            within(self.pace.stall, frame::write(writer, &offer)).await?;
            self.outstanding.insert(id, Answer::None);
            self.next_offer += 1;
        }
        Ok(())
    }

    async fn next_frame(&mut self) -> Result<Frame, Error> {
        let after = self.pace.stall;
        match timeout(after, self.inbox.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => Err(Error::Ended),
            Err(_) => Err(Error::Stalled { after }),
        }
    }

    async fn next_answer(&mut self) -> Result<(), Error> {
        let frame = self.next_frame().await?;
        self.answer(frame)
    }

    /// Whether the receiver has something to do before it answers.
    fn is_answer_due(&self) -> bool {
        let mut outstanding = self.outstanding.iter();
        outstanding.any(|(id, answer)| match answer {
            Answer::None => true,
            Answer::Resume(..) => false,
            Answer::Sent(_) => self.sending != Some(*id),
        })
    }

    /// Takes what the receiver says.
    fn answer(&mut self, frame: Frame) -> Result<(), Error> {
        let what = "an answer came that fits no file";
        let (id, frame) = match frame {
            Frame::Working if self.is_answer_due() => {
                return only_working(self.pace.stall, self.moved);
            }
            Frame::Progress { .. } => {
                self.moved = Instant::now();
                return Ok(());
            }
            Frame::RefuseAll { reason } => return Err(Error::Refused { reason }),
            Frame::Resume { id, .. }
            | Frame::Have { id }
            | Frame::RefuseFile { id, .. }
            | Frame::Done { id }
            | Frame::Damaged { id } => (id, frame),
            _ => return Err(Error::Protocol { what }),
        };
        self.moved = Instant::now();
        let id = usize::try_from(id).unwrap_or(usize::MAX);
        let index = self.open.get(id).copied().unwrap_or(usize::MAX);
        let (Some(answer), Some(item)) = (
            self.outstanding.get_mut(&id),
            self.plan.items.get_mut(index),
        ) else {
            return Err(Error::Protocol { what });
        };
        let done = |item: &Item, resumed_at, already_there| {
            Notice::Done(FileInfo {
                file: item.name.to_string(),
                bytes: item.size,
                resumed_at,
                already_there,
                sha256: data_encoding::HEXLOWER.encode(&item.digest.unwrap_or_default()),
            })
        };
        match (*answer, frame) {
            (Answer::None, Frame::Resume { offset, prefix, .. }) if offset <= item.size => {
                *answer = Answer::Resume(offset, prefix);
                return Ok(());
            }
            (Answer::None, Frame::Have { .. }) => {
                item.outcome = Outcome::Done;
                (self.watch)(done(item, 0, true));
            }
            (Answer::Sent(resumed_at), Frame::Done { .. }) => {
                item.outcome = Outcome::Done;
                (self.watch)(done(item, resumed_at, false));
            }
            (Answer::Sent(_), Frame::Damaged { .. }) if item.damaged < MAX_DAMAGED => {
                item.damaged += 1;
            }
            (Answer::Sent(_), Frame::Damaged { .. }) => {
                item.outcome = Outcome::Refused(Reason::Other);
                (self.watch)(Notice::Refused {
                    file: item.name.to_string(),
                    reason: Reason::Other,
                });
            }
            (
                _,
                Frame::RefuseFile {
                    reason: Reason::Busy,
                    ..
                },
            ) => {}
            (_, Frame::RefuseFile { reason, .. }) => {
                item.outcome = Outcome::Refused(reason);
                (self.watch)(Notice::Refused {
                    file: item.name.to_string(),
                    reason,
                });
            }
            _ => return Err(Error::Protocol { what }),
        }
        self.outstanding.remove(&id);
        Ok(())
    }

    async fn send_file(
        &mut self,
        id: usize,
        offset: u64,
        prefix: Digest,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Error> {
        let stall = self.pace.stall;
        let index = self.open.get(id).copied().unwrap_or(usize::MAX);
        let Some(item) = self.plan.items.get(index).cloned() else {
            return Ok(());
        };
        let unreadable = |source| Error::file("cannot read", &item.path, source);
        let path = item.path.clone();
        let opening = blocking(move || Source::open(&path, offset, &prefix));
        let mut source = working(writer, stall, opening).await?.map_err(unreadable)?;
        let offset = source.position;
        let start = Frame::Start {
            id: wire_id(id),
            offset,
        };
        within(stall, frame::write(writer, &start)).await?;
        self.outstanding.insert(id, Answer::Sent(offset));
        self.sending = Some(id);
        self.moved = Instant::now();
        (self.watch)(Notice::Started {
            file: item.name.clone(),
            offset,
        });
        while source.position < item.size {
            while let Ok(frame) = self.inbox.try_recv() {
                self.answer(frame?)?;
            }
            // Refused halfway.
            if !self.outstanding.contains_key(&id) {
                break;
            }
            let left = item.size - source.position;
            let want = self.pace.chunk.clamp(1, MAX_DATA);
            let want = usize::try_from(left).unwrap_or(want).min(want);
            let reading = blocking(move || {
                let bytes = source.read(want)?;
                Ok((source, bytes))
            });
            let bytes;
            (source, bytes) = reading.await.map_err(unreadable)?;
            if bytes.is_empty() {
                break;
            }
            within(stall, frame::write(writer, &Frame::Data(bytes))).await?;
            self.moved = Instant::now();
        }
        self.sending = None;
        let whole = Some(source.hasher.clone().finalize().into()) == item.digest;
        if !self.outstanding.contains_key(&id) {
            return within(stall, frame::write(writer, &Frame::End { id: wire_id(id) })).await;
        }
        if source.position == item.size && whole {
            return within(stall, frame::write(writer, &Frame::End { id: wire_id(id) })).await;
        }
        // It changed under our hands: what was offered does not exist any more.
        within(
            stall,
            frame::write(writer, &Frame::Abort { id: wire_id(id) }),
        )
        .await?;
        self.outstanding.remove(&id);
        if let Some(item) = self.plan.items.get_mut(index) {
            item.digest = None;
        }
        Err(Error::file(
            "the file changed while it was sent; send it again when it rests",
            item.path,
            io::ErrorKind::InvalidData.into(),
        ))
    }
}

/// An open file with the hash of what was read.
struct Source {
    file: File,
    hasher: Sha256,
    position: u64,
}

impl Source {
    /// Opens the file behind its first `offset` bytes if those have this hash, else at its start.
    fn open(path: &Path, offset: u64, prefix: &Digest) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let position = hash_into(&mut hasher, &mut file, offset, &AtomicBool::new(false))?;
        let mut source = Self {
            file,
            hasher,
            position,
        };
        let digest: Digest = source.hasher.clone().finalize().into();
        if position != offset || digest != *prefix {
            source.file.seek(SeekFrom::Start(0))?;
            source.hasher = Sha256::new();
            source.position = 0;
        }
        Ok(source)
    }

    fn read(&mut self, want: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; want];
        let count = loop {
            match self.file.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        bytes.truncate(count);
        self.hasher.update(&bytes);
        self.position += count as u64;
        Ok(bytes)
    }
}

fn wire_id(id: usize) -> u32 {
    u32::try_from(id).expect("the plan has at most 100,000 files")
}

fn bad_name(path: &Path, source: super::NameError) -> Error {
    Error::Name {
        name: path.display().to_string(),
        source,
    }
}
