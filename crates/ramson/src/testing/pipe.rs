use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_buf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Read at most this much at once.
const BUFFER: usize = 64 * 1024;
/// What comes the other way after one side ended its sending.
const LINGER: Duration = Duration::from_millis(500);

/// Carries bytes both ways until one side ends its sending, as routers do; what the other side
/// sent before still arrives.
pub(super) async fn pipe(mut a: TcpStream, mut b: TcpStream, paused: watch::Receiver<bool>) {
    let (a_read, a_write) = a.split();
    let (b_read, b_write) = b.split();
    let both = async {
        let mut forth = std::pin::pin!(carry(a_read, b_write));
        let mut back = std::pin::pin!(carry(b_read, a_write));
        let ended = |outcome: io::Result<u64>| outcome.is_ok();
        tokio::select! {
            outcome = &mut forth => if ended(outcome) {
                let _ = tokio::time::timeout(LINGER, back).await;
            },
            outcome = &mut back => if ended(outcome) {
                let _ = tokio::time::timeout(LINGER, forth).await;
            },
        }
    };
    unless_paused(both, paused).await;
}

async fn carry(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<u64> {
    let mut from = BufReader::with_capacity(BUFFER, from);
    let count = copy_buf(&mut from, &mut to).await?;
    to.shutdown().await?;
    Ok(count)
}

/// Runs `future`, but not while `paused` holds.
pub(super) async fn unless_paused<T>(
    future: impl Future<Output = T>,
    mut paused: watch::Receiver<bool>,
) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if paused.wait_for(|paused| !paused).await.is_err() {
            return future.await;
        }
        tokio::select! {
            biased;
            Ok(_) = paused.wait_for(|paused| *paused) => {}
            output = &mut future => return output,
        }
    }
}
