//! Datagrams of each kind beside streams on one Destination, between two real routers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson::{
    Address, Capability, DatagramKind, DatagramSocket, ErrorKind, I2p, Listener, Session, Tunnels,
};
use ramson_tests::{on_router, over_network, pattern, peer, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use xtask::peers::Peer;

const LIMIT: Duration = Duration::from_secs(120);
const ALL: [DatagramKind; 4] = [
    DatagramKind::Datagram1,
    DatagramKind::Datagram2,
    DatagramKind::Datagram3,
    DatagramKind::Raw,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_the_router_has_goes_beside_streams_on_one_destination() -> Result<()> {
    over_network(peer()?, 6, async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        let mut tests = JoinSet::new();
        for kind in ALL {
            if a.capabilities().has(Capability::Datagrams(kind)) {
                let (a, b) = (a.clone(), b.clone());
                tests.spawn(async move {
                    beside_streams(&a, &b, kind)
                        .await
                        .with_context(|| kind.to_string())?;
                    Ok::<_, anyhow::Error>(kind)
                });
            }
        }
        let mut kinds = Vec::new();
        while let Some(kind) = tests.join_next().await {
            kinds.push(kind??);
        }
        println!("beside streams: {kinds:?}");
        let expected = match network.peer() {
            Peer::Current => 4,
            Peer::Emissary => 3,
            Peer::Stable | Peer::Old => 2,
        };
        ensure!(kinds.len() == expected, "{} kinds", kinds.len());
        if network.peer() == Peer::Current {
            on_one_destination(&a, &b).await?;
        }
        Ok(())
    })
    .await
}

/// One Destination that exchanges all four kinds with others while its streams go on. i2pd hears
/// every repliable kind at the Destination's one endpoint and answers each sender in the kind that
/// it used.
async fn on_one_destination(a: &I2p, b: &I2p) -> Result<()> {
    let kinds = [DatagramKind::Datagram1, DatagramKind::Raw];
    let server = a.session().tunnels(Tunnels::hops(1));
    let server = server.datagram_kinds(&kinds).open().await?;
    let repliable = server.datagrams().open().await?;
    let raw = server.datagrams().kind(DatagramKind::Raw).open().await?;
    let echo = tokio::spawn(echo(server.listen().await?));
    for kind in ALL {
        let there = match kind {
            DatagramKind::Raw => &raw,
            _ => &repliable,
        };
        let client = b.session().tunnels(Tunnels::hops(1));
        let client = client.datagram_kinds(&[kind]).open().await?;
        let here = client.datagrams().kind(kind).open().await?;
        stream_echo(&client, &server).await?;
        for size in [20, here.max_payload().min(there.max_payload())] {
            let payload = pattern(size as u64, size);
            let what = format!("{kind} of {size} bytes on the one Destination");
            within(LIMIT, &what, async {
                round_trip(&here, there, &client, &server, &payload).await
            })
            .await?;
        }
        stream_echo(&client, &server).await?;
        println!("on the one Destination: {kind}");
    }
    echo.abort();
    Ok(())
}

/// A server and a client, each with streams, `kind` and raw on its one Destination.
async fn beside_streams(a: &I2p, b: &I2p, kind: DatagramKind) -> Result<()> {
    let mut kinds = vec![kind];
    if kind != DatagramKind::Raw && a.capabilities().has(Capability::RawBesideRepliable) {
        kinds.push(DatagramKind::Raw);
    }
    let open = |i2p: &I2p| {
        i2p.session()
            .tunnels(Tunnels::hops(1))
            .datagram_kinds(&kinds)
            .open()
    };
    let (server, client) = tokio::try_join!(open(a), open(b))?;
    let listener = server.listen().await?;
    let echo = tokio::spawn(echo(listener));
    stream_echo(&client, &server).await?;

    for kind in kinds.iter().copied() {
        let there = server.datagrams().kind(kind).open().await?;
        let here = client.datagrams().kind(kind).open().await?;
        let largest = there.max_payload();
        for size in [there.min_payload(), 20, 1_000, largest] {
            let payload = pattern(size as u64, size);
            within(LIMIT, &format!("{kind} of {size} bytes"), async {
                round_trip(&here, &there, &client, &server, &payload).await
            })
            .await?;
        }
    }
    // The other repliable kinds are named errors here, and streams still pass.
    let one_kind = !client.capabilities().has(Capability::SeveralRepliableKinds);
    if one_kind && kind != DatagramKind::Raw {
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
    // emissary looks b32 addresses up for sockets with a session alone.
    let to = match server.capabilities().router() {
        "emissary" => Address::Destination(server.destination().clone()),
        _ => Address::Hash(server.address()),
    };
    let incoming = loop {
        if let Err(error) = here.send_to(payload, &to).await {
            // Its LeaseSet takes some seconds to be published.
            ensure!(error.kind() == ErrorKind::PeerUnreachable, error);
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
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
        None => Address::Destination(client.destination().clone()),
        Some(from) => {
            ensure!(from.hash() == Some(client.address()), "the sender differs");
            from
        }
    };
    let reply = loop {
        there.send_to(payload, &back).await?;
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
async fn opening_datagrams_never_breaks_streams() -> Result<()> {
    over_network(Peer::Current, 6, async |network| {
        let (a, b) = (on_router(network, 0).await?, on_router(network, 1).await?);
        let open = |i2p: &I2p| i2p.session().tunnels(Tunnels::hops(1)).open();
        let (server, client) = tokio::try_join!(open(&a), open(&b))?;
        let listener = server.listen().await?;
        // The listener waits in the router already. i2pd starts the Destination's streaming anew now.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let there = server.datagrams().open().await?;
        let here = client.datagrams().open().await?;
        let echo = tokio::spawn(echo(listener));
        for _ in 0..3 {
            stream_echo(&client, &server).await?;
        }
        within(LIMIT, "a datagram", async {
            round_trip(&here, &there, &client, &server, &[7; 1000]).await
        })
        .await?;
        // From here on the router would break them.
        let error = client
            .datagrams()
            .kind(DatagramKind::Raw)
            .open()
            .await
            .err()
            .context("raw opened")?;
        ensure!(error.kind() == ErrorKind::Unsupported, error);
        stream_echo(&client, &server).await?;
        echo.abort();
        Ok(())
    })
    .await
}

/// Answers five bytes on each stream.
async fn echo(listener: Listener) -> Result<()> {
    loop {
        let mut stream = listener.accept().await?;
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await?;
        stream.write_all(&bytes).await?;
    }
}
