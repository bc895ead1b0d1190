use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use ramson::{DestinationHash, ListenOptions, Stream};
use tokio::task::JoinSet;

use crate::args::{SessionArgs, bytes, count, seconds};
use crate::commands::connect::peer_name;
use crate::failure::Usage;
use crate::output::count_of;
use crate::progress::Transfers;
use crate::run::Shell;
use crate::transfer::{Inbox, Limits, Reason};
use crate::{Event, Failure};

/// `ramson receive`
#[derive(Debug, Args)]
#[command(after_help = "\
A file appears under its name when it is whole and its SHA-256 is right; until then it is
.NAME.KEY.part, from which the next attempt resumes, also after a crash. Nothing is
overwritten without --overwrite.

Whoever knows the address can send, unless --from names the senders.

Example:
  ramson receive inbox/ --key-file me.keys")]
pub(crate) struct Receive {
    /// Where the files go; made if it is not there
    folder: PathBuf,
    /// End after the first transfer that went through
    #[arg(long)]
    once: bool,
    /// Replace other files of the same name
    #[arg(long)]
    overwrite: bool,
    /// Take names that begin with a dot, too
    #[arg(long)]
    hidden: bool,
    /// Take files from this address only; can be given several times
    #[arg(long, value_name = "B32")]
    from: Vec<DestinationHash>,
    /// The most bytes in one transfer, like 500M or 20G
    #[arg(long, value_name = "BYTES", default_value = "64G", value_parser = bytes)]
    max_size: u64,
    /// The most files in one transfer
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_files: u32,
    /// The most senders at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count)]
    max_senders: usize,
    /// End a connection on which nothing moved for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = seconds)]
    stall: Duration,
    /// The own port; only connections to it are taken, or to any where it is 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    session: SessionArgs,
}

impl Receive {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let output = &shell.output;
        let inbox = Inbox::new(
            prepare(&self.folder)?,
            Limits {
                max_files: self.max_files,
                max_bytes: self.max_size,
                stall: self.stall,
                hidden: self.hidden,
                overwrite: self.overwrite,
                mode: file_mode(),
            },
        );
        let session = self.session.open(shell).await?;
        // A few more than are served, to tell the others that we are busy.
        let options = ListenOptions::new()
            .port(self.port)
            .max_streams(self.max_senders.saturating_mul(2).saturating_add(8));
        let listener = session.listen_with(options).await?;
        let shown = Arc::new(Transfers::new(output, false));
        let mut senders = JoinSet::new();
        let mut number = 0;
        let mut served = 0_usize;
        loop {
            tokio::select! {
                stream = listener.accept() => {
                    let stream = stream?;
                    number += 1;
                    let turned_away = self.turned_away(&stream, served);
                    served += usize::from(turned_away.is_none());
                    let one = One {
                        number,
                        inbox: inbox.clone(),
                        shown: Arc::clone(&shown),
                        shell: shell.clone(),
                    };
                    senders.spawn(Box::pin(one.run(stream, turned_away)));
                }
                Some(ended) = senders.join_next() => {
                    let ended = ended.unwrap_or(Ended { served: true, files: None });
                    served = served.saturating_sub(usize::from(ended.served));
                    if self.once && ended.files.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn turned_away(&self, stream: &Stream, served: usize) -> Option<Reason> {
        let known = |peer| self.from.contains(&peer);
        if !self.from.is_empty() && !stream.peer().hash().is_some_and(known) {
            Some(Reason::NotAllowed)
        } else if served >= self.max_senders.max(1) {
            Some(Reason::Busy)
        } else {
            None
        }
    }
}

/// One sender.
struct One {
    number: u64,
    inbox: Inbox,
    shown: Arc<Transfers>,
    shell: Shell,
}

/// How it ended.
struct Ended {
    served: bool,
    /// Those that are here, if all went through.
    files: Option<u64>,
}

impl One {
    async fn run(self, stream: Stream, turned_away: Option<Reason>) -> Ended {
        let output = &self.shell.output;
        let peer = peer_name(&stream);
        if let Some(reason) = turned_away {
            output.note(&Event::Refused {
                file: peer,
                reason: reason.word(),
                text: "this sender was turned away".to_owned(),
            });
            let _ = self.inbox.turn_away(stream, reason).await;
            return Ended {
                served: false,
                files: None,
            };
        }
        output.note(&Event::Connected {
            stream: Some(self.number),
            peer,
        });
        let watch = |notice| self.shown.tell(self.number, notice);
        let result = self.inbox.receive(stream, &watch).await;
        self.shown.end(self.number);
        let files = match result {
            Ok(files) => {
                output.note(&Event::Note {
                    text: format!("stream {}: done, {}", self.number, count_of(files, "file")),
                });
                Some(files)
            }
            Err(error) => {
                let text = Failure::of(&error.into()).text;
                output.note(&Event::Note {
                    text: format!("stream {}: {text}", self.number),
                });
                None
            }
        };
        Ended {
            served: true,
            files,
        }
    }
}

/// Makes the folder and looks whether files can be made in it.
fn prepare(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let real = folder
        .canonicalize()
        .with_context(|| format!("cannot find the folder {}", folder.display()))?;
    if std::fs::metadata(&real)?.permissions().readonly() {
        return Err(Usage(format!("the folder {} is read-only", folder.display())).into());
    }
    Ok(real)
}

/// The mode that other programs' files have: all may read and write, less the mask.
#[cfg(unix)]
fn file_mode() -> u32 {
    use rustix::process::umask;
    // Only read by being written; no file is made in between, since nothing runs yet.
    let mask = umask(rustix::fs::Mode::from_raw_mode(0o077));
    umask(mask);
    0o666 & !mask.as_raw_mode()
}

#[cfg(not(unix))]
fn file_mode() -> u32 {
    0o666
}
