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
//! are closed at once, requests being answered have the deadline given there.
//!
//! With `axum::serve(listener, …)` itself, say
//! `.with_graceful_shutdown(async move { session.closing().await })`, else it never returns.

use std::fmt;
use std::future::{self, Future};
use std::io;

use ::axum::Router;
use ::axum::extract::connect_info::Connected;
use ::axum::serve::{IncomingStream, Listener as AxumListener};
use ramson_wire::Destination;

use crate::{Error, Listener, Stream};

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
    let session = listener.session();
    let site = site.into_make_service_with_connect_info::<Peer>();
    let serving = ::axum::serve(listener, site)
        .with_graceful_shutdown(async move { session.closing().await });
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

async fn next(listener: &Listener) -> Result<(Stream, Peer), Error> {
    loop {
        let stream = Listener::accept(listener).await?;
        // Accepted streams always have one.
        if let Some(peer) = stream.peer_destination().cloned() {
            return Ok((stream, Peer(peer)));
        }
    }
}
