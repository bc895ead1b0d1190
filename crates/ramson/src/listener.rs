use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Mutex, mpsc};

use crate::sam::Core;
use crate::{Error, Session, Stream};

/// Takes the connections that peers make to a session.
///
/// No connection is lost between two calls of [`Self::accept`]: while the program is busy they
/// wait here, and beyond that in the router. Goes on when the session heals. Dropping it makes the
/// session refuse connections.
#[derive(Debug)]
pub struct Listener {
    core: Arc<Core>,
    port: u16,
    incoming: Mutex<mpsc::Receiver<Stream>>,
}

impl Listener {
    pub(crate) fn new(core: Arc<Core>, port: u16, incoming: mpsc::Receiver<Stream>) -> Self {
        Self {
            core,
            port,
            incoming: Mutex::new(incoming),
        }
    }

    /// Waits for the next connection. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the session is closed; what was accepted before comes first.
    pub async fn accept(&self) -> Result<Stream, Error> {
        match self.incoming.lock().await.recv().await {
            Some(stream) => Ok(stream),
            None => Err(self.core.ended()),
        }
    }

    /// The same for hand-written futures; at most one task may wait by it.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let next = self.incoming.get_mut().poll_recv(cx);
        next.map(|stream| stream.ok_or_else(|| self.core.ended()))
    }

    /// The port it listens on; 0 stands for all that no other listener takes.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The session whose connections it takes.
    pub fn session(&self) -> Session {
        Session::from_core(Arc::clone(&self.core))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.core.accepting.remove_listener(self.port);
    }
}
