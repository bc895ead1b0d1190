//! Datagrams of each kind beside streams on one Destination, between two real routers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson::{Capability, DatagramKind, DatagramSocket, ErrorKind, I2p, Session, Tunnels};
use ramson_tests::{network, on_router, pattern, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::peers::Peer;

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_i2pd_goes_beside_streams_on_one_destination() -> Result<()> {
    let network = network(Peer::Current, 6).await?;
    let (a, b) = (on_router(&network, 0).await?, on_router(&network, 1).await?);
    let (one, two, three) = tokio::join!(
        beside_streams(&a, &b, DatagramKind::Datagram1),
        beside_streams(&a, &b, DatagramKind::Datagram2),
        beside_streams(&a, &b, DatagramKind::Datagram3),
    );
    one.context("kind 1")?;
    two.context("kind 2")?;
    three.context("kind 3")
}

/// A server and a client, each with streams, `kind` and raw on its one Destination.
async fn beside_streams(a: &I2p, b: &I2p, kind: DatagramKind) -> Result<()> {
    let open = |i2p: &I2p| {
        let kinds = [kind, DatagramKind::Raw];
        i2p.session()
            .tunnels(Tunnels::hops(1))
            .datagram_kinds(&kinds)
            .open()
    };
    let (server, client) = tokio::try_join!(open(a), open(b))?;
    let listener = server.listen().await?;
    let echo = tokio::spawn(async move {
        loop {
            let mut stream = listener.accept().await?;
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes).await?;
        }
        #[allow(unreachable_code)]
        Ok::<_, anyhow::Error>(())
    });
    stream_echo(&client, &server).await?;

    for kind in [kind, DatagramKind::Raw] {
        let there = server.datagrams().kind(kind).open().await?;
        let here = client.datagrams().kind(kind).open().await?;
        for size in [there.min_payload(), 20, 1_000, 10_000] {
            let payload = pattern(size as u64, size);
            within(LIMIT, &format!("{kind} of {size} bytes"), async {
                round_trip(&here, &there, &client, &server, &payload).await
            })
            .await?;
        }
    }
    // The other repliable kinds are named errors here, and streams still pass.
    if !client.capabilities().has(Capability::SeveralRepliableKinds) {
        let other = match kind {
            DatagramKind::Datagram1 => DatagramKind::Datagram2,
            _ => DatagramKind::Datagram1,
        };
        let error = client.datagrams().kind(other).open().await.unwrap_err();
        ensure!(error.kind() == ErrorKind::Unsupported, "{error}");
    }
    stream_echo(&client, &server).await?;
    echo.abort();
    Ok(())
}

async fn stream_echo(client: &Session, server: &Session) -> Result<()> {
    within(LIMIT, "a stream", async {
        let mut stream = client.connect(server.address()).await?;
        stream.write_all(b"hello").await?;
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await?;
        ensure!(&bytes == b"hello", "the echo differs");
        Ok(())
    })
    .await
}

/// `payload` there and, for repliable kinds, back to the sender that came with it. Datagrams may
/// be lost, so each is sent anew every two seconds.
async fn round_trip(
    here: &DatagramSocket,
    there: &DatagramSocket,
    client: &Session,
    server: &Session,
    payload: &[u8],
) -> Result<()> {
    let incoming = loop {
        here.send_to(payload, server.address()).await?;
        match tokio::time::timeout(Duration::from_secs(2), there.recv_from()).await {
            Ok(datagram) => break datagram?,
            Err(_) => continue,
        }
    };
    ensure!(
        incoming.payload == payload,
        "the payload differs: {} bytes",
        incoming.payload.len()
    );
    let back = match incoming.from {
        None => client.address(),
        Some(from) => {
            ensure!(from.hash() == Some(client.address()), "the sender differs");
            from.hash().context("no hash")?
        }
    };
    let reply = loop {
        there.send_to(payload, back).await?;
        match tokio::time::timeout(Duration::from_secs(2), here.recv_from()).await {
            Ok(datagram) => break datagram?,
            Err(_) => continue,
        }
    };
    ensure!(reply.payload == payload, "the reply differs");
    // What was sent twice comes twice: empty the sockets.
    for socket in [here, there] {
        while tokio::time::timeout(Duration::from_millis(300), socket.recv_from())
            .await
            .is_ok()
        {}
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_i2pd_has_kind_1_and_raw_beside_streams() -> Result<()> {
    let network = network(Peer::Stable, 6).await?;
    let (a, b) = (on_router(&network, 0).await?, on_router(&network, 1).await?);
    ensure!(
        !a.capabilities()
            .has(Capability::Datagrams(DatagramKind::Datagram2)),
        "kind 2"
    );
    beside_streams(&a, &b, DatagramKind::Datagram1).await
}
