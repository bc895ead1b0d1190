//! A Destination on a running router.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ramson_proto::streaming::{CloseReason, IdentityError, Ports};
use ramson_router::inbox::Inbox;
use ramson_router::{
    ConnectError, Connected, DatagramKind, DestinationEvent, DestinationHandle, DestinationKeys,
    DestinationPart, LeaseSetLookup, OutgoingDatagram, PoolSettings, ReceivedDatagram, StreamPipe,
};
use ramson_wire::{DestinationHash, StoredLeaseSet, Verified};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::{RunningRouter, part};

/// Streams that wait to be accepted.
const BACKLOG: usize = 64;
/// Datagrams that wait to be read.
const DATAGRAMS: usize = 256;
/// Events that wait.
const EVENTS: usize = 64;

/// A Destination that is online, or on its way to be. Dropping it takes it offline.
pub struct LocalDestination {
    handle: DestinationHandle,
    events: Inbox<DestinationEvent>,
}

impl fmt::Debug for LocalDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDestination").finish_non_exhaustive()
    }
}

impl RunningRouter {
    /// Brings a Destination online; the tunnels are inbound and outbound ones.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] for keys that do not belong together.
    pub fn open_destination(
        &self,
        keys: DestinationKeys,
        tunnels: [PoolSettings; 2],
    ) -> Result<LocalDestination, IdentityError> {
        let events = Inbox::new(EVENTS);
        let owner = events.sender(EVENTS);
        let now = self.clock.now();
        let (part, handle) = self.handle.open_destination(keys, tunnels, owner, now)?;
        self.runtime.spawn(run(part, self.clock.clone()));
        Ok(LocalDestination { handle, events })
    }
}

/// Runs a Destination until it is closed.
async fn run(mut part: DestinationPart, clock: super::clock::Clock) {
    let closed = Arc::new(Notify::new());
    let close = Arc::clone(&closed);
    let steps = part::drive(clock, move |now, waker| {
        let next = part.step(now);
        if part.is_closed() {
            close.notify_one();
        }
        (next, part.register(waker))
    });
    tokio::select! {
        () = steps => {}
        () = closed.notified() => {}
    }
}

impl LocalDestination {
    /// What happens to it next. It may be dropped while it waits.
    pub async fn next_event(&self) -> DestinationEvent {
        next(&self.events).await
    }

    /// Finds the LeaseSet of the Destination with this hash.
    pub async fn look_up(&self, key: [u8; 32]) -> Option<Verified<StoredLeaseSet>> {
        let outcome: Inbox<LeaseSetLookup> = Inbox::new(1);
        if !self.handle.look_up(key, outcome.sender(1)) {
            return None;
        }
        next(&outcome).await.found
    }
}

impl LocalDestination {
    /// Opens a stream to a port of another Destination, 0 for none.
    ///
    /// # Errors
    ///
    /// How it ended before it began.
    pub async fn connect(
        &self,
        to: DestinationHash,
        port: u16,
    ) -> Result<LocalStream, ConnectError> {
        let outcome: Inbox<Connected> = Inbox::new(1);
        let ports = Ports {
            local: 0,
            remote: port,
        };
        if !self.handle.connect(to, ports, outcome.sender(1)) {
            return Err(ConnectError::Gone);
        }
        next(&outcome).await.map(LocalStream)
    }

    /// Accepts streams to a port; 0 is all ports that nobody listens on.
    pub fn listen(&self, port: u16) -> LocalListener {
        let streams = Inbox::new(BACKLOG);
        self.handle.listen(port, streams.sender(BACKLOG));
        LocalListener {
            handle: self.handle.clone(),
            port,
            streams,
        }
    }
}

impl LocalDestination {
    /// Receives datagrams of a kind to a port; 0 is all ports that nobody has.
    pub fn datagrams(&self, kind: DatagramKind, port: u16) -> LocalDatagrams {
        let received = Inbox::new(DATAGRAMS);
        self.handle
            .receive_datagrams(kind, port, received.sender(DATAGRAMS));
        LocalDatagrams(received)
    }

    /// Sends a datagram, which may get lost; says whether there was room for it here.
    pub fn send_datagram(&self, datagram: OutgoingDatagram) -> bool {
        self.handle.send_datagram(datagram)
    }
}

/// Datagrams that come.
pub struct LocalDatagrams(Inbox<ReceivedDatagram>);

impl fmt::Debug for LocalDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDatagrams").finish_non_exhaustive()
    }
}

impl LocalDatagrams {
    /// The next one. It may be dropped while it waits.
    pub async fn receive(&self) -> ReceivedDatagram {
        next(&self.0).await
    }
}

/// Streams that others open. Dropping it refuses them.
pub struct LocalListener {
    handle: DestinationHandle,
    port: u16,
    streams: Inbox<StreamPipe>,
}

impl fmt::Debug for LocalListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalListener").finish_non_exhaustive()
    }
}

impl LocalListener {
    /// The next stream. It may be dropped while it waits.
    pub async fn accept(&self) -> LocalStream {
        LocalStream(next(&self.streams).await)
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        self.handle.unlisten(self.port);
    }
}

/// A stream of a Destination on a running router. Dropping it lets what was written be delivered.
#[derive(Debug)]
pub struct LocalStream(StreamPipe);

impl LocalStream {
    /// Whom it leads to.
    pub fn peer(&self) -> DestinationHash {
        self.0.peer()
    }
}

impl AsyncRead for LocalStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = out.initialize_unfilled();
        let len = ready!(self.0.poll_read(context, room)).map_err(broken)?;
        out.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LocalStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, data).map_err(broken)
    }

    /// What is written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.finish();
        Poll::Ready(Ok(()))
    }
}

fn broken(why: CloseReason) -> io::Error {
    let kind = match why {
        CloseReason::Refused => io::ErrorKind::ConnectionRefused,
        CloseReason::ConnectTimedOut | CloseReason::TimedOut | CloseReason::Inactive => {
            io::ErrorKind::TimedOut
        }
        CloseReason::ResetByPeer => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, why)
}

impl Drop for LocalDestination {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// Takes what comes next.
async fn next<T>(inbox: &Inbox<T>) -> T {
    poll_fn(|context| {
        let mut taken = Vec::new();
        loop {
            inbox.take(1, &mut taken);
            if let Some(taken) = taken.pop() {
                return Poll::Ready(taken);
            }
            if !inbox.register(context.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}
