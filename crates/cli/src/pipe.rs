//! Bytes between a local side and a stream.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ramson::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

/// How much is read at once.
const BUFFER: usize = 64 * 1024;
/// How long the rest of a stream that was shut down is read.
const DRAIN: Duration = Duration::from_secs(10);

/// How a pipe went.
#[derive(Debug, Default)]
pub(crate) struct Piped {
    /// Bytes from the local side to the peer.
    pub(crate) sent: u64,
    /// Bytes from the peer to the local side.
    pub(crate) received: u64,
    /// What ended it before its time.
    pub(crate) error: Option<io::Error>,
}

/// Copies both ways until it is over.
///
/// When the peer ends, what it sent is flushed to the local side and the pipe is over: a stream
/// has no half-close on today's routers. When the local side ends, the peer may go on as long as
/// no more than `linger` passes without a byte from it, then the stream is shut down.
pub(crate) async fn pipe(
    local_read: &mut (impl AsyncRead + Unpin),
    local_write: &mut (impl AsyncWrite + Unpin),
    stream: Stream,
    linger: Duration,
) -> Piped {
    let (mut reader, mut writer) = stream.into_split();
    let sent = AtomicU64::new(0);
    let received = AtomicU64::new(0);
    let result = both_ways(
        copy(local_read, &mut writer, &sent),
        copy(&mut reader, local_write, &received),
        &received,
        linger,
    )
    .await;
    let _ = local_write.flush().await;
    let _ = local_write.shutdown().await;
    // Unread bytes at the time of close would reset the connection to the router, and with it
    // what we sent and the router did not read yet.
    let _ = timeout(DRAIN, async {
        writer.shutdown().await?;
        tokio::io::copy(&mut reader, &mut tokio::io::sink()).await
    })
    .await;
    Piped {
        sent: sent.into_inner(),
        received: received.into_inner(),
        error: result.err(),
    }
}

async fn both_ways(
    to_peer: impl Future<Output = io::Result<()>>,
    to_local: impl Future<Output = io::Result<()>>,
    received: &AtomicU64,
    linger: Duration,
) -> io::Result<()> {
    tokio::pin!(to_peer, to_local);
    tokio::select! {
        over = &mut to_local => return over,
        over = &mut to_peer => over?,
    }
    loop {
        let before = received.load(Relaxed);
        tokio::select! {
            over = &mut to_local => return over,
            () = sleep_until(Instant::now() + linger) => {
                if received.load(Relaxed) == before {
                    return Ok(());
                }
            }
        }
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return to.flush().await;
        }
        to.write_all(bytes).await?;
        to.flush().await?;
        count.fetch_add(read as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_peer_may_answer_after_the_local_end_until_it_is_silent() {
        let received = AtomicU64::new(0);
        let start = Instant::now();
        let to_local = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                received.fetch_add(1, Relaxed);
            }
            std::future::pending().await
        };
        let linger = Duration::from_secs(10);
        both_ways(async { Ok(()) }, to_local, &received, linger)
            .await
            .unwrap();
        let took = start.elapsed();
        assert!(
            took >= Duration::from_secs(34) && took <= Duration::from_secs(45),
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn bytes_are_counted_and_passed_on() {
        let count = AtomicU64::new(0);
        let mut to = Vec::new();
        copy(&mut &[7_u8; 200_000][..], &mut to, &count)
            .await
            .unwrap();
        assert_eq!((to.len(), count.into_inner()), (200_000, 200_000));
    }
}
