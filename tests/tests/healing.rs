//! Sessions come back with the same Destination, whatever happens to the router or to us.
//!
//! `RAMSON_ROUNDS` sets how often each fault is tried; once unless told otherwise.

mod proxy;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ramson::{DestinationHash, Event, I2p, Listener, LostCause, Session, Tunnels, stream_error};
use ramson_tests::{on_router, over_network, quick_session, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use xtask::peers::Peer;

const LIMIT: Duration = Duration::from_secs(240);

fn rounds() -> u32 {
    std::env::var("RAMSON_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

/// Answers each stream's first byte.
async fn echo(listener: Listener) -> Result<()> {
    loop {
        let mut stream = listener.accept().await?;
        tokio::spawn(async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                if stream.write_all(&byte).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Whether a stream from `client` is answered within `limit`.
async fn answers(client: &Session, to: DestinationHash, limit: Duration) -> Result<bool> {
    let attempt = async {
        let mut stream = client.connect(to).await?;
        stream.write_all(&[7]).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok::<_, anyhow::Error>(byte == [7])
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(Ok(answered)) => Ok(answered),
        Ok(Err(error)) => {
            println!("  not yet: {error:#}");
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

/// Opens streams until one is answered.
async fn until_it_answers(session: &Session, to: DestinationHash, what: &str) -> Result<()> {
    within(LIMIT, what, async {
        while !answers(session, to, Duration::from_secs(30)).await? {}
        Ok(())
    })
    .await
}

/// A session opened now on `i2p` that has the LeaseSet of `to`.
async fn session_that_knows(i2p: &I2p, to: DestinationHash) -> Result<Session> {
    let session = quick_session(i2p).await?;
    until_it_answers(&session, to, "the first stream").await?;
    Ok(session)
}

/// A session opened now on `i2p` reaches `to`.
async fn reached_by_a_new_session(i2p: &I2p, to: DestinationHash) -> Result<f64> {
    let session = quick_session(i2p).await?;
    let started = Instant::now();
    until_it_answers(&session, to, "a stream of a new session").await?;
    Ok(started.elapsed().as_secs_f64())
}

/// How long a session that knew the Destination before takes to reach it again, with the offered
/// cure if it has to.
async fn reached_by_an_old_session(session: &Session, to: DestinationHash) -> Result<String> {
    let started = Instant::now();
    if answers(session, to, Duration::from_secs(30)).await? {
        return Ok(format!("{:.1} s", started.elapsed().as_secs_f64()));
    }
    session.renew().await?;
    session.ready(LIMIT).await?;
    until_it_answers(session, to, "a stream after renew()").await?;
    Ok(format!(
        "{:.1} s, by renew()",
        started.elapsed().as_secs_f64()
    ))
}

/// Waits for the session to be lost and ready again; returns the seconds from the loss.
async fn restored(events: &mut ramson::Events) -> Result<(LostCause, f64)> {
    within(LIMIT, "healing", async {
        let mut lost = None;
        loop {
            match events.next().await.context("the session ended")? {
                Event::Lost { cause } => {
                    lost.get_or_insert(cause);
                }
                Event::Restored { after } => {
                    let cause = lost.context("restored without a loss")?;
                    return Ok((cause, after.as_secs_f64()));
                }
                event => println!("  {event:?}"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_its_router() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
    let server = quick_session(&on_router(network, 0).await?).await?;
    let address = server.address();
    let echoing = tokio::spawn(echo(server.listen().await?));
    let peer = on_router(network, 1).await?;
    for round in 1..=rounds() {
        let old = session_that_knows(&peer, address).await?;
        let mut open = old.connect(address).await?;
        open.write_all(&[1]).await?;
        open.read_exact(&mut [0]).await?;

        let mut events = server.events();
        network.kill(0)?;
        let network_restart = Instant::now();
        tokio::task::block_in_place(|| network.restart(0))?;
        println!(
            "round {round}: router restarted in {:.1} s",
            network_restart.elapsed().as_secs_f64()
        );
        let (cause, healed) = restored(&mut events).await?;
        ensure!(server.address() == address, "another Destination");
        let fresh = reached_by_a_new_session(&peer, address).await?;
        let known = reached_by_an_old_session(&old, address).await?;
        println!(
            "round {round}: {cause:?}, restored after {healed:.1} s; new session's stream {fresh:.1} s, \
             old session's {known}"
        );
    }
    echoing.abort();
    Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_its_control_connection() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
    let proxy = proxy::Proxy::start(network.router(0)?.sam).await?;
    let i2p = I2p::builder()
        .sam(proxy.address().to_string())
        .start()
        .await?;
    let server = quick_session(&i2p).await?;
    let address = server.address();
    let echoing = tokio::spawn(echo(server.listen().await?));
    let peer = on_router(network, 1).await?;
    for round in 1..=rounds() {
        let old = session_that_knows(&peer, address).await?;
        let mut events = server.events();
        ensure!(proxy.cut_sessions() > 0, "no control connection seen");
        let (cause, healed) = restored(&mut events).await?;
        ensure!(cause == LostCause::ControlConnection, "{cause:?}");
        let fresh = reached_by_a_new_session(&peer, address).await?;
        let known = reached_by_an_old_session(&old, address).await?;
        println!(
            "round {round}: restored after {healed:.1} s; new session's stream {fresh:.1} s, old \
             session's {known}"
        );
    }
    echoing.abort();
    Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_a_router_that_falls_silent() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
    let router = network.router(0)?;
    let i2p = I2p::builder()
        .sam(router.sam.to_string())
        .sam_udp_port(router.sam_udp.port())
        .check_every(Duration::from_secs(5))
        .start()
        .await?;
    let server = quick_session(&i2p).await?;
    let address = server.address();
    let echoing = tokio::spawn(echo(server.listen().await?));
    let peer = on_router(network, 1).await?;
    for round in 1..=rounds() {
        let mut events = server.events();
        network.suspend(0)?;
        let silent = Instant::now();
        let noticed = within(LIMIT, "noticing", async {
            loop {
                if let Event::Lost { cause } = events.next().await.context("the session ended")? {
                    return Ok(cause);
                }
            }
        })
        .await?;
        ensure!(noticed == LostCause::NoAnswer, "{noticed:?}");
        let noticed = silent.elapsed().as_secs_f64();
        network.resume(0)?;
        let healed = within(LIMIT, "healing", async {
            loop {
                match events.next().await.context("the session ended")? {
                    Event::Restored { after } => return Ok(after.as_secs_f64()),
                    event => println!("  {event:?}"),
                }
            }
        })
        .await?;
        let fresh = reached_by_a_new_session(&peer, address).await?;
        println!(
            "round {round}: noticed after {noticed:.1} s, restored after {healed:.1} s, new session's \
             stream {fresh:.1} s"
        );
    }
    echoing.abort();
    Ok(())
    })
    .await
}

/// Names the SAM bridge to the process that is going to be stopped.
const STOPPED: &str = "RAMSON_TEST_STOPPED";

/// Not a test of its own: the process that [`a_session_outlives_the_sleep_of_its_process`] stops.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_is_stopped() -> Result<()> {
    let Ok(sam) = std::env::var(STOPPED) else {
        return Ok(());
    };
    let session = quick_session(&I2p::builder().sam(sam).start().await?).await?;
    let mut events = session.events();
    println!("\naddress {}", session.address());
    let echoing = tokio::spawn(echo(session.listen().await?));
    // Ends with the pipe to the parent.
    while let Some(event) = events.next().await {
        println!("event {event:?}");
    }
    echoing.await?
}

/// A child with its output, ended with the test.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_sleep_of_its_process() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", "the_process_that_is_stopped", "--nocapture"])
            .env(STOPPED, network.router(0)?.sam.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut child = Stopped(child);
        let stdout = child.0.stdout.take().context("no output")?;
        let mut lines = BufReader::new(tokio::process::ChildStdout::from_std(stdout)?).lines();
        let address: DestinationHash = within(LIMIT, "the child's session", async {
            loop {
                let line = lines.next_line().await?.context("the child ended")?;
                if let Some(address) = line.strip_prefix("address ") {
                    return Ok(address.parse()?);
                }
            }
        })
        .await?;
        let peer = on_router(network, 1).await?;
        for round in 1..=rounds() {
            reached_by_a_new_session(&peer, address).await?;
            signal(&child.0, "STOP")?;
            tokio::time::sleep(Duration::from_secs(30)).await;
            signal(&child.0, "CONT")?;
            let woke = Instant::now();
            within(Duration::from_secs(60), "waking", async {
                loop {
                    let line = lines.next_line().await?.context("the child ended")?;
                    if line.starts_with("event Woke") {
                        println!("round {round}: {line}");
                        return Ok(());
                    }
                    if line.contains("Lost") {
                        bail!("lost before it woke: {line}");
                    }
                }
            })
            .await?;
            let noticed = woke.elapsed().as_secs_f64();
            let fresh = reached_by_a_new_session(&peer, address).await?;
            println!(
                "round {round}: noticed after {noticed:.1} s, new session's stream {fresh:.1} s"
            );
        }
        Ok(())
    })
    .await
}

fn signal(child: &Child, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()?;
    ensure!(status.success(), "kill -{name} failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_loses_its_router_is_never_complete() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
        let server = quick_session(&on_router(network, 0).await?).await?;
        let client = quick_session(&on_router(network, 1).await?).await?;
        let listener = server.listen().await?;
        let sending = tokio::spawn(async move {
            let mut stream = listener.accept().await?;
            let bytes = vec![1; 64 * 1024];
            while stream.write_all(&bytes).await.is_ok() {}
            Ok::<_, anyhow::Error>(())
        });
        let mut stream = client.connect(server.address()).await?;
        stream.write_all(&[0]).await?;
        stream.read_exact(&mut [0; 100_000]).await?;
        network.kill(1)?;
        let error = within(LIMIT, "the end of the stream", async {
            let mut bytes = vec![0; 64 * 1024];
            loop {
                match stream.read(&mut bytes).await {
                    Ok(0) => bail!("a clean end"),
                    Ok(_) => {}
                    Err(error) => return Ok(error),
                }
            }
        })
        .await?;
        let kind = stream_error(&error).map(ramson::Error::kind);
        ensure!(kind == Some(ramson::ErrorKind::RouterLost), "{error}");
        sending.abort();
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_again_at_once_is_reachable() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
        let i2p = on_router(network, 0).await?;
        let peer = on_router(network, 1).await?;
        let folder = network.folder().join("restarted");
        std::fs::create_dir_all(&folder)?;
        let mut address = None;
        for start in 0..=rounds() {
            let file = folder.join("server.keys");
            let started = Instant::now();
            let builder = i2p.session().tunnels(Tunnels::hops(1)).key_file(file);
            let session = builder.open().await.context("no session")?;
            let ready = started.elapsed().as_secs_f64();
            ensure!(*address.get_or_insert(session.address()) == session.address());
            let echoing = tokio::spawn(echo(session.listen().await?));
            let stream = reached_by_a_new_session(&peer, session.address()).await?;
            println!("start {start}: ready after {ready:.1} s, new session's stream {stream:.1} s");
            echoing.abort();
            session.close(Duration::ZERO).await;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn datagram_sockets_go_on_after_a_loss() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
        let router = network.router(0)?;
        let proxy = proxy::Proxy::start(router.sam).await?;
        let i2p = I2p::builder()
            .sam(proxy.address().to_string())
            .sam_udp_port(router.sam_udp.port())
            .start()
            .await?;
        let server = quick_session(&i2p).await?;
        let there = server.datagrams().open().await?;
        let mut events = server.events();
        ensure!(
            proxy.cut_sessions() == 2,
            "a control connection for each kind"
        );
        restored(&mut events).await?;
        let client = quick_session(&on_router(network, 1).await?).await?;
        let here = client.datagrams().open().await?;
        within(LIMIT, "a datagram", async {
            loop {
                here.send_to(b"after the loss", server.address()).await?;
                let next = tokio::time::timeout(Duration::from_secs(2), there.recv_from());
                if let Ok(datagram) = next.await {
                    ensure!(datagram?.payload == b"after the loss", "another payload");
                    return Ok(());
                }
            }
        })
        .await
    })
    .await
}
