use std::time::{Duration, SystemTime};

use tokio::sync::{broadcast, watch};

use crate::Capability;

/// How far a router or session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// A connection to the router is being made.
    Connecting,
    /// Between the end of a session and its next start: the back-off of a retry, or the rest that
    /// the router needs before it takes the same keys again.
    Waiting,
    /// The router builds the session's tunnels.
    BuildingTunnels,
    /// A stream of a throw-away session checks that the session really is reachable.
    Verifying,
    /// Everything works.
    Ready,
    /// Over: closed, or ended by an error that does not pass.
    Closed,
}

/// The state of a router or session, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How far it is.
    pub stage: Stage,
    /// The same as a number from 0 to 100, for progress bars.
    pub percent: u8,
    /// What it waits for, in words; `None` when ready.
    pub waiting_for: Option<&'static str>,
    /// Since when it is in this stage.
    pub since: SystemTime,
    /// The last failure, in words without names; kept until ready again.
    pub last_error: Option<String>,
    /// How often it came back after having been ready before.
    pub restored: u32,
}

impl Status {
    pub(crate) fn first() -> Self {
        Self::at(Stage::Connecting, 0, None)
    }

    pub(crate) fn at(stage: Stage, restored: u32, last_error: Option<String>) -> Self {
        let (percent, waiting_for) = match stage {
            Stage::Connecting => (10, Some("the router to answer")),
            Stage::Waiting => (20, Some("the time of the next attempt")),
            Stage::BuildingTunnels => (40, Some("the router to build tunnels")),
            Stage::Verifying => (80, Some("a stream of our own to arrive")),
            Stage::Ready => (100, None),
            Stage::Closed => (0, None),
        };
        let last_error = if stage == Stage::Ready {
            None
        } else {
            last_error
        };
        Self {
            stage,
            percent,
            waiting_for,
            since: SystemTime::now(),
            last_error,
            restored,
        }
    }

    /// Whether streams and datagrams can pass.
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }
}

/// Follows a [`Status`] as it changes.
#[derive(Clone, Debug)]
pub struct StatusWatch {
    receiver: watch::Receiver<Status>,
}

impl StatusWatch {
    pub(crate) fn new(receiver: watch::Receiver<Status>) -> Self {
        Self { receiver }
    }

    /// The state now.
    pub fn get(&self) -> Status {
        self.receiver.borrow().clone()
    }

    /// Waits for the next change; `None` once nothing can change any more.
    pub async fn changed(&mut self) -> Option<Status> {
        self.receiver.changed().await.ok()?;
        Some(self.receiver.borrow_and_update().clone())
    }
}

/// Why a session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostCause {
    /// The router closed the control connection, or its program ended.
    ControlConnection,
    /// The router no longer answers.
    NoAnswer,
    /// The router no longer knows the session.
    Forgotten,
    /// Streams to the session no longer arrive.
    Unreachable,
    /// The program asked for it.
    Renewed,
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Ready for the first time, after this long.
    Ready {
        /// Since the session was started.
        after: Duration,
    },
    /// Lost; healing begins.
    Lost {
        /// Why.
        cause: LostCause,
    },
    /// An attempt to come back failed; the next one follows.
    Retrying {
        /// How many attempts failed so far.
        attempt: u32,
        /// The wait before the next one.
        after: Duration,
        /// Why the last one failed, in words without names.
        error: String,
    },
    /// The keys rest before they are used again, because the router would answer and be deaf.
    Resting {
        /// For how long.
        time: Duration,
    },
    /// Ready again.
    Restored {
        /// Since the loss.
        after: Duration,
    },
    /// The session answers, but whether streams reach it could not be checked.
    Unverified {
        /// Why, in words without names.
        reason: String,
    },
    /// The machine or the program stood still.
    Woke {
        /// For how long about.
        after: Duration,
    },
    /// Something asked for, but not required, is not to be had from this router.
    NotHonoured {
        /// What it is.
        capability: Capability,
    },
    /// Others than its owner can read the key file.
    KeyFileExposed,
    /// A connection was closed because of a limit of the listener.
    ConnectionRefused {
        /// Which limit.
        limit: &'static str,
    },
}

/// Follows the [`Event`]s of a session.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// Waits for the next event; `None` once the session is over. A reader that is far behind
    /// misses the oldest ones.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}
