use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ramson_sam::aio::{self, Connection};
use ramson_sam::{Event, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Generation;
use crate::status::LostCause;

/// What can be asked of the task that holds a control connection.
#[derive(Debug)]
pub(super) enum ControlCommand {
    /// Whether the kernel knows the connection to be closed.
    IsClosed(oneshot::Sender<bool>),
    /// SESSION ADD on a primary session.
    Request(Box<Request>, oneshot::Sender<Result<(), aio::Error>>),
}

impl ControlCommand {
    /// Whether the control connection behind `commands` is closed.
    pub(super) async fn ask_closed(commands: &mpsc::Sender<Self>) -> bool {
        let (reply, answer) = oneshot::channel();
        if commands.send(Self::IsClosed(reply)).await.is_err() {
            return true;
        }
        answer.await.unwrap_or(true)
    }
}

/// A control connection with its task: reads what the router says (PINGs are answered inside
/// [`Connection`]) and declares the generation lost when it ends. Dropping it closes the
/// connection, which ends the session at the router.
#[derive(Debug)]
pub(super) struct Control {
    commands: mpsc::Sender<ControlCommand>,
    task: JoinHandle<()>,
}

impl Control {
    /// `alive` is dropped after the connection, however the task ends.
    pub(super) fn spawn(
        connection: Connection,
        generation: Arc<Generation>,
        alive: mpsc::Sender<Infallible>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(16);
        let watched = Arc::clone(&generation);
        let answer = generation.answer_within();
        let task = tokio::spawn(async move {
            let cause = run(connection, inbox, answer).await;
            watched.lose(cause);
            drop(alive);
        });
        let control = Self { commands, task };
        generation.add_control(&control);
        control
    }

    pub(super) fn commands(&self) -> mpsc::Sender<ControlCommand> {
        self.commands.clone()
    }

    /// Sends a request on the session's own connection.
    pub(super) async fn request(&self, request: Request) -> Result<(), aio::Error> {
        let (reply, answer) = oneshot::channel();
        let closed = || aio::Error::TimedOut {
            waiting_for: "the control connection",
        };
        let command = ControlCommand::Request(Box::new(request), reply);
        self.commands.send(command).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut connection: Connection,
    mut inbox: mpsc::Receiver<ControlCommand>,
    answer: Duration,
) -> LostCause {
    loop {
        tokio::select! {
            biased;
            event = connection.event() => match event {
                // The router ends the session with a status line before it closes.
                Ok(Event::Notice(notice)) if notice.result().is_some_and(|code| !code.is_ok()) => {
                    return LostCause::ControlConnection;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a control connection ended");
                    return LostCause::ControlConnection;
                }
            },
            command = inbox.recv() => match command {
                Some(ControlCommand::IsClosed(reply)) => {
                    let _ = reply.send(connection.is_closed());
                }
                Some(ControlCommand::Request(request, reply)) => {
                    let outcome = connection.request(&request, answer).await.map(|_| ());
                    let fatal = matches!(&outcome, Err(error) if !error.is_refusal());
                    let _ = reply.send(outcome);
                    if fatal {
                        return LostCause::ControlConnection;
                    }
                }
                // Only the generation being over drops all senders.
                None => std::future::pending().await,
            },
        }
    }
}
