//! Connections that are made, and those that come in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ramson_router::inbox::Inbox;
use ramson_router::{LinkPart, RouterHandle, ShellRequest};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::clock::Clock;
use super::storage::DataFolder;
use super::{Shared, link};

/// How long a connection may take to come about.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// Connections in the making at once.
const MAX_DIALS: usize = 256;
/// After an error of accept, which is one of descriptors or memory, nothing is better at once.
const PAUSE: Duration = Duration::from_millis(100);
/// Requests taken at once.
const BATCH: usize = 16;

/// Held by every task that carries a link.
pub(super) type Alive = mpsc::Sender<()>;

/// Does what the router asks for.
pub(super) async fn serve(
    requests: Inbox<ShellRequest>,
    source: Option<IpAddr>,
    shared: Shared,
    folder: Arc<DataFolder>,
    stored: watch::Sender<u64>,
    alive: mpsc::WeakSender<()>,
) {
    let places = Arc::new(Semaphore::new(MAX_DIALS));
    let mut batch = Vec::new();
    loop {
        std::future::poll_fn(|context| {
            loop {
                requests.take(BATCH, &mut batch);
                if !batch.is_empty() {
                    return std::task::Poll::Ready(());
                }
                if !requests.register(context.waker()) {
                    return std::task::Poll::Pending;
                }
            }
        })
        .await;
        for request in batch.drain(..) {
            match request {
                ShellRequest::Dial { address, link } => {
                    let place = Arc::clone(&places).acquire_owned().await;
                    // At the end nothing is dialled any more.
                    let alive = alive.upgrade();
                    let shared = shared.clone();
                    tokio::spawn(async move {
                        let dial = async {
                            alive.as_ref()?;
                            let dial = tokio::time::timeout(DIAL_TIME, dial(address, source));
                            dial.await.ok()?.ok()
                        };
                        let socket = dial.await;
                        drop(place);
                        match socket {
                            Some(socket) => link::run(*link, socket, shared).await,
                            None => give_up(*link, &shared.clock).await,
                        }
                        drop(alive);
                    });
                }
                ShellRequest::Store(infos) => {
                    let (folder, stored) = (Arc::clone(&folder), stored.clone());
                    tokio::task::spawn_blocking(move || {
                        folder.write_known(&infos);
                        stored.send_modify(|times| *times += 1);
                    });
                }
            }
        }
    }
}

/// Takes connections in, as long as the router wants them.
pub(super) async fn accept(
    listener: TcpListener,
    handle: RouterHandle,
    shared: Shared,
    alive: Alive,
) {
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "no connection accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if link::prepare(&socket).is_ok()
            && let Ok(link) = handle.accept(from, shared.clock.now())
        {
            let (shared, alive) = (shared.clone(), alive.clone());
            tokio::spawn(async move {
                link::run(link, socket, shared).await;
                drop(alive);
            });
        }
    }
}

/// Connects from the published address: peers refuse links that come from another one.
async fn dial(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source.filter(|source| source.is_ipv4() == to.is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let socket = socket.connect(to).await?;
    link::prepare(&socket)?;
    Ok(socket)
}

/// Lets a link without a socket tell that nothing came of it.
async fn give_up(mut link: LinkPart, clock: &Clock) {
    link.handle_end(clock.now());
    while !link.is_closed() {
        link.step(clock.now());
        if !link.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The address that connections are made from: the published one if this machine has it, behind a
/// NAT the one that is listened on, if that is one.
pub(super) fn source(published: Option<IpAddr>, listen: Option<IpAddr>) -> Option<IpAddr> {
    [published, listen].into_iter().flatten().find(|address| {
        !address.is_unspecified() && std::net::UdpSocket::bind((*address, 0)).is_ok()
    })
}
