//! What the interop tests share: a private network of real routers, and streams whose bytes are
//! checked.
//!
//! The tests in `tests/` start their network with the code of `cargo xtask net`. They fail when the
//! routers cannot be had.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson::{I2p, Session, Stream, Tunnels};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::net::{Network, NetworkSpec};
use xtask::peers::Peer;

/// The peer that `RAMSON_PEER` names; the current i2pd without it.
///
/// # Errors
///
/// When it names none.
pub fn peer() -> Result<Peer> {
    match std::env::var("RAMSON_PEER").as_deref() {
        Err(_) => Ok(Peer::Current),
        Ok(name) => [Peer::Current, Peer::Stable, Peer::Old, Peer::Emissary]
            .into_iter()
            .find(|peer| peer.name() == name)
            .with_context(|| format!("RAMSON_PEER names no peer: {name}")),
    }
}

/// Starts a network of `routers` routers; blocks a thread of its own meanwhile.
///
/// # Errors
///
/// When the routers cannot be fetched or do not come up.
pub async fn network(peer: Peer, routers: usize) -> Result<Network> {
    tokio::task::spawn_blocking(move || Network::start(NetworkSpec::new(peer, routers))).await?
}

/// The library over router `index`.
///
/// # Errors
///
/// When the router's SAM bridge does not answer.
pub async fn on_router(network: &Network, index: usize) -> Result<I2p> {
    let router = network.router(index)?;
    let i2p = I2p::builder()
        .sam(router.sam.to_string())
        .sam_udp_port(router.sam_udp.port())
        .start()
        .await?;
    Ok(i2p)
}

/// A session with tunnels of one hop, which come up soonest.
///
/// # Errors
///
/// When the session does not become ready.
pub async fn quick_session(i2p: &I2p) -> Result<Session> {
    i2p.session()
        .tunnels(Tunnels::hops(1))
        .open()
        .await
        .context("no session")
}

/// Bytes that differ for each `seed`, the same each time.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Sends `outgoing` while receiving what the peer sends, `len` bytes, and returns their hash.
///
/// # Errors
///
/// When the stream fails or ends early.
pub async fn exchange(stream: &mut Stream, outgoing: &[u8], len: usize) -> Result<[u8; 32]> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let send = async {
        writer.write_all(outgoing).await.context("writing failed")?;
        writer.flush().await.context("flushing failed")
    };
    let receive = async {
        let mut incoming = vec![0; len];
        reader
            .read_exact(&mut incoming)
            .await
            .context("reading failed")?;
        Ok::<_, anyhow::Error>(ramson_crypto::sha256(&incoming))
    };
    let ((), hash) = tokio::try_join!(send, receive)?;
    Ok(hash)
}

/// Runs `future`, which must be done within `limit`.
///
/// # Errors
///
/// When it is not.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let outcome = tokio::time::timeout(limit, future).await;
    ensure!(
        outcome.is_ok(),
        "{what} took longer than {} s",
        limit.as_secs()
    );
    outcome?.with_context(|| what.to_owned())
}
