use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use ramson::{ConnectOptions, ErrorKind, Session, Stream, Target};
use tokio::time::{sleep, timeout};

use crate::args::{SessionArgs, seconds};
use crate::online::round;
use crate::progress::Transfers;
use crate::run::Shell;
use crate::transfer::{Error, Notice, Outcome, Pace, Plan, while_moving};
use crate::{Event, Failure};

/// How long the receiver may take to answer at first; twice as long each time after that.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_PATIENCE: Duration = Duration::from_secs(120);
/// The longest wait between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// `ramson send`
#[derive(Debug, Args)]
#[command(after_help = "\
Done means done: the program ends with 0 when the receiver has confirmed that each file is on its
disk and its SHA-256 is right. When the connection is lost, it comes back and resumes; after
Ctrl-C or a crash, the same command resumes.

Example:
  ramson send photos/ film.mkv udhdrtrhz4zdebzg….b32.i2p")]
pub(crate) struct Send {
    /// Files, and folders with all they hold (no links; hidden names with --hidden)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The receiver
    #[arg(value_name = "NAME[:PORT]")]
    target: Target,
    /// Send names that begin with a dot, too
    #[arg(long)]
    hidden: bool,
    /// Give up when nothing more arrived for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    give_up_after: Duration,
    /// Make a new connection when nothing moved for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    stall: Duration,
    #[command(flatten)]
    session: SessionArgs,
}

impl Send {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let output = &shell.output;
        let (paths, hidden) = (self.paths.clone(), self.hidden);
        let mut plan = tokio::task::spawn_blocking(move || Plan::collect(&paths, hidden)).await??;
        if plan.skipped() > 0 {
            output.note(&Event::Note {
                text: match plan.skipped() {
                    1 => "a link, special file or hidden name is left out".to_owned(),
                    count => format!("{count} links, special files or hidden names are left out"),
                },
            });
        }
        // The files are hashed while the tunnels are built.
        let (session, ()) = tokio::try_join!(self.session.open(shell), async {
            plan.hash().await.map_err(anyhow::Error::from)
        })?;
        let since = Instant::now();
        let shown = Transfers::new(output, true);
        let result = self.attempts(&session, &mut plan, &shown, shell).await;
        shown.end(0);
        let done = plan
            .items()
            .iter()
            .filter(|item| item.outcome() == Outcome::Done);
        let refused = plan
            .items()
            .iter()
            .filter(|item| matches!(item.outcome(), Outcome::Refused(_)));
        let refused = refused.count() as u64;
        output.note(&Event::Finished {
            files: done.clone().count() as u64,
            bytes: done.map(|item| item.size()).sum(),
            seconds: round(since.elapsed()),
            refused,
        });
        result?;
        match refused {
            0 => Ok(()),
            count => Err(Error::SomeRefused { count }.into()),
        }
    }

    /// Connects until everything is there.
    async fn attempts(
        &self,
        session: &Session,
        plan: &mut Plan,
        shown: &Transfers,
        shell: &Shell,
    ) -> Result<()> {
        let mut moved = Instant::now();
        let mut pause = Duration::from_secs(1);
        let mut patience = PATIENCE;
        let pace = Pace {
            stall: self.stall,
            ..Pace::default()
        };
        loop {
            let last_moved = Mutex::new(moved);
            let watch = |notice: Notice| {
                if let Notice::Progress { .. } | Notice::Done(_) = notice {
                    *last_moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                }
                shown.tell(0, notice);
            };
            let error = match self.connect(session, patience).await {
                Ok(stream) => {
                    let done = plan
                        .items()
                        .iter()
                        .filter(|item| item.outcome() == Outcome::Done);
                    let done = done.map(|item| item.size()).sum();
                    shown.begin(0, done, plan.bytes());
                    let moved = || *last_moved.lock().unwrap_or_else(PoisonError::into_inner);
                    let sending = Box::pin(plan.send(stream, pace, &watch));
                    match while_moving(self.give_up_after, moved, sending).await {
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    }
                }
                Err(error) if is_passing(&error) => Error::Stream {
                    source: error.into(),
                },
                Err(error) => return Err(error.into()),
            };
            if !error.is_passing() {
                return Err(error.into());
            }
            shown.end(0);
            let last = last_moved
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            if last > moved {
                moved = last;
                pause = Duration::from_secs(1);
                patience = PATIENCE;
            }
            let gave_up = |error| Error::GaveUp {
                after: self.give_up_after,
                last: Box::new(error),
            };
            if moved.elapsed() + pause > self.give_up_after {
                return Err(gave_up(error).into());
            }
            // The router may still use what it knew of a peer that has restarted.
            let silent = matches!(&error, Error::Stream { source }
                if ramson::stream_error(source).is_some_and(|e| e.kind() == ErrorKind::PeerSilent));
            if silent || matches!(error, Error::Stalled { .. }) {
                let left = self.give_up_after.saturating_sub(moved.elapsed());
                match timeout(left, session.renew()).await {
                    Ok(renewed) => renewed?,
                    Err(_) => return Err(gave_up(error).into()),
                }
            }
            shell.output.note(&Event::Retrying {
                after_seconds: round(pause),
                error: Failure::of(&error.into()).text,
            });
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            patience = (patience * 2).min(MAX_PATIENCE);
        }
    }

    async fn connect(
        &self,
        session: &Session,
        patience: Duration,
    ) -> Result<Stream, ramson::Error> {
        session.ready(Duration::from_secs(120)).await?;
        let options = ConnectOptions::new().answer_within(Some(patience.min(self.stall)));
        session.connect_with(&self.target, options).await
    }
}

/// Whether waiting can help.
fn is_passing(error: &ramson::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::RouterUnreachable
            | ErrorKind::RouterLost
            | ErrorKind::TimedOut
            | ErrorKind::PeerUnreachable
            | ErrorKind::PeerRefused
            | ErrorKind::PeerSilent
    )
}
