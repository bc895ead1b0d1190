//! What the interop tests share: a private network of real routers, and streams whose bytes are
//! checked.
//!
//! The tests in `tests/` start their network with the code of `cargo xtask net`. They fail when the
//! routers cannot be had.

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson::{I2p, Session, Stream, Tunnels};
use ramson_wire::{RouterHash, RouterInfo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;
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

/// How often a test is run again because a router crashed under it.
const RUNS: u32 = 3;
/// A router that is down this long was not ended by the test itself.
const DOWN: Duration = Duration::from_secs(2);

/// Runs `test` over a new network of `routers` routers.
///
/// i2pd crashes now and then when sessions end on it (seen in 2.59: signal 11 in its SAM thread). A
/// router that crashed is started again, as people do, and a test that fails after a crash is run
/// once more, with a word about it.
///
/// # Errors
///
/// When the routers cannot be had, and what the test says.
pub async fn over_network<F>(peer: Peer, routers: usize, test: F) -> Result<()>
where
    F: AsyncFn(&Network) -> Result<()>,
{
    over(&NetworkSpec::new(peer, routers), test).await
}

/// The same over a new network as described.
///
/// # Errors
///
/// As [`over_network`].
pub async fn over<F>(spec: &NetworkSpec, test: F) -> Result<()>
where
    F: AsyncFn(&Network) -> Result<()>,
{
    for run in 1.. {
        let spec = spec.clone();
        let start = move || Network::start(spec);
        let network = Arc::new(tokio::task::spawn_blocking(start).await??);
        let crashes = Arc::new(AtomicU32::new(0));
        let keeper = tokio::spawn(keep_up(Arc::downgrade(&network), Arc::clone(&crashes)));
        let outcome = test(&network).await;
        keeper.abort();
        let crashes = crashes.load(Ordering::Relaxed) + u32::try_from(network.crashed().len())?;
        match outcome {
            Err(error) if crashes > 0 && run < RUNS => {
                println!("failed after {crashes} crashes of routers, so again: {error:#}");
            }
            outcome => return outcome,
        }
    }
    unreachable!("the last run returns")
}

/// Starts routers again that crashed.
async fn keep_up(network: Weak<Network>, crashes: Arc<AtomicU32>) {
    loop {
        tokio::time::sleep(DOWN).await;
        let Some(network) = network.upgrade() else {
            return;
        };
        let restart = move || {
            let mut restarted = 0;
            for (index, how) in network.crashed() {
                println!("{how}; starting it again");
                if let Err(error) = network.restart(index) {
                    println!("router {index} does not start again: {error:#}");
                }
                restarted += 1;
            }
            restarted
        };
        let restarted = tokio::task::spawn_blocking(restart).await.unwrap_or(0);
        crashes.fetch_add(restarted, Ordering::Relaxed);
    }
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
pub async fn exchange<S>(stream: &mut S, outgoing: &[u8], len: usize) -> Result<[u8; 32]>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
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

/// A count that the environment sets, for the long version of a test.
pub fn count_of(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The hash of a router by the `router.info` in its data folder.
///
/// # Errors
///
/// When there is none.
pub fn router_hash(data: &Path) -> Result<RouterHash> {
    let path = data.join("router.info");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let info = RouterInfo::from_bytes(&bytes).context("no RouterInfo")?;
    Ok(info.hash())
}

/// A number of what `ramson router status --json` prints; 0 if it is not there.
pub fn number(status: &Value, field: &str) -> u64 {
    status.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// Small messages that go over streams from `client` to `server` and back, one after the other,
/// until dropped. A stream that ends is replaced.
#[derive(Debug)]
pub struct Chat {
    echoes: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Chat {
    /// Begins to talk.
    ///
    /// # Errors
    ///
    /// When `server` cannot listen.
    pub async fn start(server: Session, client: Session) -> Result<Self> {
        let (echoes, broken) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let listener = server.listen().await?;
        let address = server.address();
        let serve = async move {
            let _server = server;
            while let Ok(stream) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        };
        let (count, failures) = (Arc::clone(&echoes), Arc::clone(&broken));
        let talk = async move {
            loop {
                if let Ok(mut stream) = client.connect(address).await {
                    while talk_once(&mut stream).await.is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                failures.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        };
        let tasks = vec![tokio::spawn(serve), tokio::spawn(talk)];
        Ok(Self {
            echoes,
            broken,
            tasks,
        })
    }

    /// Messages that came back so far.
    pub fn echoes(&self) -> u64 {
        self.echoes.load(Ordering::Relaxed)
    }

    /// Streams that ended or did not come about so far.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Between two messages of a [`Chat`].
const PAUSE: Duration = Duration::from_millis(20);
/// A message of a [`Chat`] that is not back after this is lost, and its stream with it.
const ECHO_WITHIN: Duration = Duration::from_secs(60);
const TALK: usize = 2000;

async fn echo(mut stream: Stream) {
    let mut bytes = [0; TALK];
    while stream.read_exact(&mut bytes).await.is_ok()
        && stream.write_all(&bytes).await.is_ok()
        && stream.flush().await.is_ok()
    {}
}

async fn talk_once(stream: &mut Stream) -> Result<()> {
    let said = pattern(3, TALK);
    let mut heard = vec![0; TALK];
    let round = async {
        stream.write_all(&said).await?;
        stream.flush().await?;
        stream.read_exact(&mut heard).await?;
        Ok(())
    };
    within(ECHO_WITHIN, "an echo", round).await?;
    ensure!(heard == said, "the echo is another");
    Ok(())
}
