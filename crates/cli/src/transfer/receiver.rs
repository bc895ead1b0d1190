//! The receiving side: one folder, many connections.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::frame::{self, Frame, VERSION};
use super::part::{Finished, Opened, Part};
use super::{Digest, Error, FileName, Notice, Reason, Watch, blocking};
use crate::output::FileInfo;

/// How many files may be offered and not yet done.
pub(super) const WINDOW: usize = 16;
/// How often the sender hears how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How often the other side hears that long work goes on.
const WORKING_EVERY: Duration = Duration::from_secs(20);
/// How many stall limits the other side may fill with nothing but "long work goes on".
const MAX_WORKING: u32 = 10;
/// How long an older connection may take to let go of a file.
const LET_GO: Duration = Duration::from_secs(5);
/// How many files are hashed at once, for all connections together.
const HASHES: usize = 2;
/// How long the sender may take to hang up when all is done.
const HANG_UP: Duration = Duration::from_secs(10);

/// What a receiver allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Files in one transfer.
    pub max_files: u32,
    /// Bytes in one transfer.
    pub max_bytes: u64,
    /// How long nothing may move.
    pub stall: Duration,
    /// Names with parts that begin with a dot.
    pub hidden: bool,
    /// Other files are replaced.
    pub overwrite: bool,
    /// The mode of finished files, on Unix.
    pub mode: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_files: 10_000,
            max_bytes: u64::MAX,
            stall: Duration::from_secs(180),
            hidden: false,
            overwrite: false,
            mode: 0o600,
        }
    }
}

/// A folder that receives. Clones are the same.
#[derive(Clone, Debug)]
pub struct Inbox {
    folder: Arc<PathBuf>,
    limits: Arc<Limits>,
    claims: Arc<Mutex<BTreeMap<PathBuf, Claim>>>,
    /// Leave to hash what is there.
    hashes: Arc<Semaphore>,
}

/// The file work of one connection: one thing at a time, and cancelled when this goes.
struct Work {
    cancelled: Arc<AtomicBool>,
    /// Held while something runs.
    running: Arc<tokio::sync::Mutex<()>>,
}

impl Work {
    /// Runs file work on a thread of its own. The permit is held as long as the thread works.
    async fn run<T: Send + 'static>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        work: impl FnOnce(&AtomicBool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let running = Arc::clone(&self.running).lock_owned().await;
        let cancelled = Arc::clone(&self.cancelled);
        blocking(move || {
            let _held = (running, permit);
            work(&cancelled)
        })
        .await
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Which connection is at a file.
#[derive(Clone, Debug)]
struct Claim {
    size: u64,
    digest: Digest,
    /// Ends that connection.
    end: Arc<Notify>,
}

/// A file that was offered and is to come.
struct Pending {
    id: u32,
    name: FileName,
    size: u64,
    digest: Digest,
    resumed_at: u64,
    /// `None` once it was refused halfway.
    part: Option<Part>,
    claimed: Claimed,
}

/// A claim that ends with its owner.
struct Claimed {
    inbox: Inbox,
    path: PathBuf,
    end: Arc<Notify>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut claims = self
            .inbox
            .claims
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if claims
            .get(&self.path)
            .is_some_and(|claim| Arc::ptr_eq(&claim.end, &self.end))
        {
            claims.remove(&self.path);
        }
    }
}

impl Inbox {
    /// Receives into `folder`.
    pub fn new(folder: impl Into<PathBuf>, limits: Limits) -> Self {
        Self {
            folder: Arc::new(folder.into()),
            limits: Arc::new(limits),
            claims: Arc::default(),
            hashes: Arc::new(Semaphore::new(HASHES)),
        }
    }

    /// Tells a sender that it is turned away.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub async fn turn_away(
        &self,
        mut io: impl AsyncRead + AsyncWrite + Unpin,
        reason: Reason,
    ) -> Result<(), Error> {
        let limit = self.limits.stall.min(Duration::from_secs(30));
        let talk = async {
            frame::read(&mut io).await?;
            frame::write(&mut io, &Frame::RefuseAll { reason }).await?;
            // Until the sender hangs up: what it has not read yet would be lost.
            while frame::read(&mut io).await.is_ok() {}
            Ok(())
        };
        let stalled = |_| Err(Error::Stalled { after: limit });
        timeout(limit, talk).await.unwrap_or_else(stalled)
    }

    /// Receives what one connection brings; returns how many files are whole and here.
    ///
    /// Whatever ends it, files that are not whole stay as `.NAME.KEY.part` and are resumed from.
    ///
    /// # Errors
    ///
    /// [`Error`] as far as it is about connections; refused files are told by [`Notice`] only.
    pub async fn receive(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin,
        watch: Watch<'_>,
    ) -> Result<u64, Error> {
        let end = Arc::new(Notify::new());
        let running = Arc::default();
        let (mut reader, mut writer) = tokio::io::split(io);
        let mut connection = Connection {
            inbox: self,
            watch,
            end: Arc::clone(&end),
            next_id: 0,
            bytes: 0,
            done: 0,
            pending: VecDeque::new(),
            started: false,
            told: Instant::now(),
            work: Work {
                cancelled: Arc::default(),
                running: Arc::clone(&running),
            },
        };
        let result = tokio::select! {
            result = connection.run(&mut reader, &mut writer) => result,
            () = end.notified() => Err(Error::Superseded),
        };
        // A connection lasts as long as its work on files: whoever counts one has counted both.
        drop(connection);
        drop(running.lock().await);
        result
    }

    /// Notes who is at the file. An older connection that brings the same file has lost its sender
    /// without knowing: it ends. `None` while one brings another file.
    fn claim(
        &self,
        name: &FileName,
        size: u64,
        digest: Digest,
        end: &Arc<Notify>,
    ) -> Option<Claimed> {
        let path = name.under(&self.folder);
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = claims.get(&path) {
            if older.size != size || older.digest != digest || Arc::ptr_eq(&older.end, end) {
                return None;
            }
            older.end.notify_one();
        }
        let claim = Claim {
            size,
            digest,
            end: Arc::clone(end),
        };
        claims.insert(path.clone(), claim);
        Some(Claimed {
            inbox: self.clone(),
            path,
            end: Arc::clone(end),
        })
    }
}

/// One sender.
struct Connection<'a> {
    inbox: &'a Inbox,
    watch: Watch<'a>,
    end: Arc<Notify>,
    next_id: u32,
    bytes: u64,
    done: u64,
    pending: VecDeque<Pending>,
    /// The first of the pending is being sent.
    started: bool,
    told: Instant,
    work: Work,
}

impl Connection<'_> {
    async fn run(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<u64, Error> {
        let limits = Arc::clone(&self.inbox.limits);
        let stall = limits.stall;
        let hello = within(stall, frame::read(reader)).await;
        let (version, files, bytes) = match hello {
            Ok(Frame::Hello {
                version,
                files,
                bytes,
            }) => (version, files, bytes),
            Ok(_) | Err(Error::Protocol { .. }) => return Err(Error::NotOurs { wanted: "send" }),
            Err(error) => return Err(error),
        };
        let refused = if version != VERSION {
            Some(Reason::Version)
        } else if files > limits.max_files {
            Some(Reason::TooMany)
        } else if bytes > limits.max_bytes {
            Some(Reason::TooLarge)
        } else {
            None
        };
        if let Some(reason) = refused {
            within(stall, frame::write(writer, &Frame::RefuseAll { reason })).await?;
            let _ = timeout(HANG_UP, async {
                while frame::read(reader).await.is_ok() {}
            })
            .await;
            return Err(Error::Refused { reason });
        }
        let welcome = Frame::Welcome { version: VERSION };
        within(stall, frame::write(writer, &welcome)).await?;
        (self.watch)(Notice::Began {
            files: files.into(),
            bytes,
        });
        let mut moved = Instant::now();
        loop {
            let frame = within(stall, frame::read(reader)).await?;
            let answer = match frame {
                // It hashes what a RESUME is about; nothing else takes long there.
                Frame::Working if !self.started && !self.pending.is_empty() => {
                    only_working(stall, moved)?;
                    continue;
                }
                Frame::Offer {
                    id,
                    size,
                    digest,
                    name,
                } => self.offer(id, size, digest, &name, writer).await?,
                Frame::Start { id, offset } => self.start(id, offset)?,
                Frame::Data(bytes) => self.data(bytes).await?,
                Frame::End { id } => self.finish(id, writer).await?,
                Frame::Abort { id } => {
                    let pending = self.take_first(id)?;
                    if let Some(part) = pending.part {
                        part.undo();
                    }
                    None
                }
                Frame::Bye if self.pending.is_empty() => {
                    within(stall, frame::write(writer, &Frame::Goodbye)).await?;
                    // The goodbye must not be lost with the connection.
                    let _ = timeout(HANG_UP, frame::read(reader)).await;
                    return Ok(self.done);
                }
                _ => {
                    return Err(Error::Protocol {
                        what: "a message came that does not fit here",
                    });
                }
            };
            if let Some(answer) = answer {
                within(stall, frame::write(writer, &answer)).await?;
            }
            moved = Instant::now();
        }
    }

    async fn offer(
        &mut self,
        id: u32,
        size: u64,
        digest: Digest,
        name: &[u8],
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Option<Frame>, Error> {
        let limits = Arc::clone(&self.inbox.limits);
        if id != self.next_id || self.pending.len() >= WINDOW {
            return Err(Error::Protocol {
                what: "a file was offered out of turn",
            });
        }
        self.next_id = self.next_id.saturating_add(1);
        let text = String::from_utf8_lossy(name).into_owned();
        let checked = std::str::from_utf8(name).ok().map(FileName::new);
        self.bytes = self.bytes.saturating_add(size);
        let refuse = |reason| {
            (self.watch)(Notice::Refused {
                file: text.escape_debug().to_string(),
                reason,
            });
            Ok(Some(Frame::RefuseFile { id, reason }))
        };
        let name = match checked {
            Some(Ok(name)) if limits.hidden || !name.is_hidden() => name,
            _ => return refuse(Reason::BadName),
        };
        if self.bytes > limits.max_bytes {
            return refuse(Reason::TooLarge);
        }
        if self.next_id > limits.max_files {
            return refuse(Reason::TooMany);
        }
        let Some(claimed) = self.inbox.claim(&name, size, digest, &self.end) else {
            return refuse(Reason::Busy);
        };
        let since = Instant::now();
        let mut permit = None;
        let part = loop {
            let (folder, name) = (Arc::clone(&self.inbox.folder), name.clone());
            let (overwrite, may_hash) = (limits.overwrite, permit.is_some());
            let opening = self.work.run(permit.take(), move |cancelled| {
                let file = (size, &digest);
                Part::open(&folder, &name, file, overwrite, may_hash, cancelled)
            });
            match working(writer, limits.stall, opening).await? {
                Ok(Opened::ToHash) => {
                    let leave = Arc::clone(&self.inbox.hashes).acquire_owned();
                    permit = working(writer, limits.stall, leave).await?.ok();
                }
                Ok(Opened::Part(part)) => break *part,
                Ok(Opened::Have) => {
                    self.done += 1;
                    (self.watch)(Notice::Done(info(&claimed, size, 0, true, &digest)));
                    return Ok(Some(Frame::Have { id }));
                }
                Ok(Opened::Refused(reason)) => return refuse(reason),
                Ok(Opened::Busy) if since.elapsed() < LET_GO => {
                    sleep(Duration::from_millis(50)).await;
                }
                Ok(Opened::Busy) => return refuse(Reason::Busy),
                Err(error) => {
                    tracing::debug!(%error, "cannot open a part");
                    return refuse(Reason::CannotWrite);
                }
            }
        };
        let resume = Frame::Resume {
            id,
            offset: part.len(),
            prefix: part.digest(),
        };
        self.pending.push_back(Pending {
            id,
            name,
            size,
            digest,
            resumed_at: 0,
            part: Some(part),
            claimed,
        });
        Ok(Some(resume))
    }

    fn start(&mut self, id: u32, offset: u64) -> Result<Option<Frame>, Error> {
        let out_of_turn = Error::Protocol {
            what: "a file was started out of turn",
        };
        let pending = match self.pending.front_mut() {
            Some(pending) if pending.id == id && !self.started => pending,
            _ => return Err(out_of_turn),
        };
        self.started = true;
        pending.resumed_at = offset;
        match &mut pending.part {
            Some(part) if offset == part.len() => {}
            Some(part) if offset == 0 => part.restart(),
            _ => return Err(out_of_turn),
        }
        (self.watch)(Notice::Started {
            file: pending.name.clone(),
            offset,
        });
        Ok(None)
    }

    async fn data(&mut self, bytes: Vec<u8>) -> Result<Option<Frame>, Error> {
        let pending = match self.pending.front_mut() {
            Some(pending) if self.started => pending,
            _ => {
                return Err(Error::Protocol {
                    what: "bytes came that belong to no file",
                });
            }
        };
        // Refused halfway: the rest of it is still on its way.
        let Some(mut part) = pending.part.take() else {
            return Ok(None);
        };
        if part.len().saturating_add(bytes.len() as u64) > pending.size {
            pending.part = Some(part);
            return Err(Error::Protocol {
                what: "there are more bytes than offered",
            });
        }
        let appended = self.work.run(None, move |_| {
            let result = part.append(&bytes);
            Ok((part, result))
        });
        let (part, result) = appended
            .await
            .map_err(|source| Error::file("cannot write", pending.claimed.path.clone(), source))?;
        if let Err(error) = result {
            tracing::debug!(%error, "cannot write a part");
            let reason = unwritable(&error);
            (self.watch)(Notice::Refused {
                file: pending.name.to_string(),
                reason,
            });
            return Ok(Some(Frame::RefuseFile {
                id: pending.id,
                reason,
            }));
        }
        let len = part.len();
        pending.part = Some(part);
        (self.watch)(Notice::Progress {
            file: pending.name.clone(),
            done: len,
            size: pending.size,
        });
        if self.told.elapsed() < PROGRESS_EVERY {
            return Ok(None);
        }
        self.told = Instant::now();
        Ok(Some(Frame::Progress {
            id: pending.id,
            bytes: len,
        }))
    }

    async fn finish(
        &mut self,
        id: u32,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Option<Frame>, Error> {
        if !self.started {
            return Err(Error::Protocol {
                what: "a file ended out of turn",
            });
        }
        let pending = self.take_first(id)?;
        let Some(part) = pending.part else {
            return Ok(None);
        };
        if part.len() != pending.size {
            return Err(Error::Protocol {
                what: "there are fewer bytes than offered",
            });
        }
        let limits = Arc::clone(&self.inbox.limits);
        let (stall, digest) = (limits.stall, pending.digest);
        let finishing = self.work.run(None, move |_| {
            part.finish(&digest, limits.mode, limits.overwrite)
        });
        let reason = match working(writer, stall, finishing).await? {
            Ok(Finished::Done) => {
                self.done += 1;
                (self.watch)(Notice::Done(info(
                    &pending.claimed,
                    pending.size,
                    pending.resumed_at,
                    false,
                    &digest,
                )));
                return Ok(Some(Frame::Done { id }));
            }
            Ok(Finished::Damaged) => return Ok(Some(Frame::Damaged { id })),
            Ok(Finished::Exists) => Reason::Exists,
            Err(error) => {
                tracing::debug!(%error, "cannot finish a part");
                unwritable(&error)
            }
        };
        (self.watch)(Notice::Refused {
            file: pending.name.to_string(),
            reason,
        });
        Ok(Some(Frame::RefuseFile { id, reason }))
    }

    fn take_first(&mut self, id: u32) -> Result<Pending, Error> {
        self.started = false;
        match self.pending.pop_front() {
            Some(pending) if pending.id == id => Ok(pending),
            _ => Err(Error::Protocol {
                what: "a file ended out of turn",
            }),
        }
    }
}

/// What the sender hears when a part cannot be written.
fn unwritable(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::WouldBlock => Reason::Busy,
        io::ErrorKind::AlreadyExists => Reason::Exists,
        _ => Reason::CannotWrite,
    }
}

fn info(
    claimed: &Claimed,
    bytes: u64,
    resumed_at: u64,
    already_there: bool,
    digest: &Digest,
) -> FileInfo {
    let folder = claimed.inbox.folder.as_path();
    let file = claimed.path.strip_prefix(folder).unwrap_or(&claimed.path);
    FileInfo {
        file: file.display().to_string(),
        bytes,
        resumed_at,
        already_there,
        sha256: data_encoding::HEXLOWER.encode(digest),
    }
}

/// Gives up when `talk` takes longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    talk: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let stalled = |_| Err(Error::Stalled { after: limit });
    timeout(limit, talk).await.unwrap_or_else(stalled)
}

/// Gives up when the other side has said for too long that it works, and nothing else.
pub(super) fn only_working(stall: Duration, since: Instant) -> Result<(), Error> {
    let after = stall.saturating_mul(MAX_WORKING);
    if since.elapsed() > after {
        return Err(Error::Stalled { after });
    }
    Ok(())
}

/// Waits for work on files, and lets the other side know that it goes on.
pub(super) async fn working<T>(
    writer: &mut (impl AsyncWrite + Unpin),
    stall: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return Ok(result),
            () = sleep(WORKING_EVERY.min(stall / 3)) => {
                within(stall, frame::write(writer, &Frame::Working)).await?;
            }
        }
    }
}
