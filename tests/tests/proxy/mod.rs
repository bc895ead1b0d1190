//! A TCP proxy before a SAM bridge that can cut the control connections of sessions alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The proxy; it ends when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    sessions: Arc<Mutex<Vec<AbortHandle>>>,
    accepting: AbortHandle,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sessions);
        let task = tokio::spawn(async move {
            // Ends the connections together with the proxy.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let (tell, told) = tokio::sync::oneshot::channel();
                let handle = connections.spawn(async move {
                    let _ = carry(client, to, told, seen).await;
                });
                let _ = tell.send(handle);
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            sessions,
            accepting: task.abort_handle(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection that created a session; returns how many.
    pub(crate) fn cut_sessions(&self) -> usize {
        let mut sessions = self.sessions.lock().unwrap();
        let open = sessions
            .iter()
            .filter(|session| !session.is_finished())
            .count();
        for session in sessions.drain(..) {
            session.abort();
        }
        open
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(
    mut client: TcpStream,
    to: SocketAddr,
    handle: tokio::sync::oneshot::Receiver<AbortHandle>,
    sessions: Arc<Mutex<Vec<AbortHandle>>>,
) -> Result<()> {
    let mut router = TcpStream::connect(to).await?;
    let mut handle = Some(handle.await?);
    let (mut from_client, mut to_client) = client.split();
    let (mut from_router, mut to_router) = router.split();
    let up = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = from_client.read(&mut bytes).await?;
            if count == 0 {
                to_router.shutdown().await?;
                return Ok::<_, anyhow::Error>(());
            }
            if bytes.starts_with(b"SESSION CREATE")
                && let Some(handle) = handle.take()
            {
                sessions.lock().unwrap().push(handle);
            }
            to_router.write_all(&bytes[..count]).await?;
        }
    };
    let down = async {
        tokio::io::copy(&mut from_router, &mut to_client).await?;
        to_client.shutdown().await?;
        Ok::<_, anyhow::Error>(())
    };
    // Either end closes both, as SAM bridges do.
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}
