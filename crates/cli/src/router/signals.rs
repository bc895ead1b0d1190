use std::io;

use crate::interrupt::Interrupt;

/// What somebody wants of a running router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// End, politely.
    End,
    /// Read the configuration again.
    Reload,
}

/// The signals that come in from now on.
pub(super) struct Signals {
    interrupt: Interrupt,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: Interrupt::new()?,
            #[cfg(unix)]
            hang_up: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        let reload = self.hang_up.recv();
        #[cfg(not(unix))]
        let reload = std::future::pending::<()>();
        tokio::select! {
            () = self.interrupt.next() => Signal::End,
            _ = reload => Signal::Reload,
        }
    }

    /// Waits for one that wants the end.
    pub(super) async fn end(&mut self) {
        self.interrupt.next().await;
    }
}
