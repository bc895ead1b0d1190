//! Web sites with axum: a [`Listener`] is one that `axum::serve` takes.
//!
//! ```no_run
//! use axum::extract::ConnectInfo;
//! use axum::{Router, routing::get};
//! use ramson::plug::axum::{Peer, serve};
//!
//! # async fn run(session: ramson::Session) -> Result<(), ramson::Error> {
//! let hello = async |ConnectInfo(visitor): ConnectInfo<Peer>| format!("Hello, {visitor}!");
//! let site = Router::new().route("/", get(hello));
//! serve(session.listen().await?, site).await;
//! # Ok(()) }
//! ```
//!
//! [`serve`] ends by [`Session::close`](crate::Session::close): connections that wait for a request
//! are closed at once, requests being answered have the deadline given there. When some were, three
//! seconds are added, if the deadline has them, for the router to send what it was given.
//!
//! With `axum::serve(listener, …)` itself, say
//! `.with_graceful_shutdown(async move { session.closed().await })`, else it never returns. It then
//! ends too, but connections that wait for a request stay open for the whole deadline, and without
//! any the end of the last answer can be lost in the router.

use std::fmt;
use std::future::{self, Future};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ::axum::Router;
use ::axum::extract::connect_info::Connected;
use ::axum::serve::{IncomingStream, Listener as AxumListener};
use ramson_sam::aio;
use ramson_wire::Destination;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::{Error, Listener, Stream};

/// How long a stream that ended while its session closes still counts as open.
const LINGER: Duration = Duration::from_secs(3);

/// Who sent a request, as axum's `ConnectInfo<Peer>`: the Destination, for which the router vouches.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer(pub Destination);

impl fmt::Display for Peer {
    /// Writes the `….b32.i2p` address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hash().fmt(f)
    }
}

impl fmt::Debug for Peer {
    /// Leaves out who it is: axum logs this of every connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

/// Serves `site` until the session is closed or lost for good, and all requests are answered.
///
/// For more than a router, such as layers around it, there is `axum::serve`.
pub fn serve(listener: Listener, site: Router) -> impl Future<Output = ()> + Send {
    let (closing, closed) = oneshot::channel();
    let listener = Ending {
        listener,
        closing: Some(closing),
        ended: Arc::default(),
    };
    let site = site.into_make_service_with_connect_info::<Peer>();
    let serving = ::axum::serve(listener, site).with_graceful_shutdown(async {
        // Either way the listener is over.
        let _ = closed.await;
    });
    async {
        // It never fails.
        let _ = serving.await;
    }
}

impl AxumListener for Listener {
    type Io = Stream;
    type Addr = Peer;

    /// Waits for ever once the session is closed, since axum knows no end.
    async fn accept(&mut self) -> (Stream, Peer) {
        match next(self).await {
            Ok(connection) => connection,
            Err(_) => future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer(self.session().destination().clone()))
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A listener that tells when it ended.
struct Ending {
    listener: Listener,
    closing: Option<oneshot::Sender<()>>,
    ended: Arc<AtomicBool>,
}

impl AxumListener for Ending {
    type Io = Lingering;
    type Addr = Peer;

    async fn accept(&mut self) -> (Lingering, Peer) {
        match next(&self.listener).await {
            Ok((stream, peer)) => {
                let stream = Lingering {
                    stream: Some(stream),
                    ended: Arc::clone(&self.ended),
                };
                (stream, peer)
            }
            Err(_) => {
                self.ended.store(true, Ordering::Relaxed);
                self.closing = None;
                future::pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Ending>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Ending>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A stream that counts as open for some time after its end while its session is being closed:
/// routers drop what they still have to send when the Destination goes.
struct Lingering {
    /// `None` only while it is dropped.
    stream: Option<Stream>,
    ended: Arc<AtomicBool>,
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && self.ended.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                aio::sleep(LINGER).await;
                drop(stream);
            });
        }
    }
}

impl Lingering {
    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

async fn next(listener: &Listener) -> Result<(Stream, Peer), Error> {
    loop {
        let stream = Listener::accept(listener).await?;
        // Accepted streams always have one.
        if let Some(peer) = stream.peer_destination().cloned() {
            return Ok((stream, Peer(peer)));
        }
    }
}
