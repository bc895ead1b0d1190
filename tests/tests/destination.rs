//! Destinations on a router of ours in this process, in a network of i2pd.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ramson::router::{
    DatagramKind, DestinationEvent, DestinationKeys, LocalDestination, OutgoingDatagram,
    PoolSettings, RouterConfig, RouterSettings, RunningRouter,
};
use ramson::{Address, Destination, PrivateKeys, Tunnels};
use ramson_tests::{exchange, on_router, over_network, pattern, quick_session, within};
use tokio::task::block_in_place;
use xtask::net::Network;
use xtask::peers::Peer;

const LIMIT: Duration = Duration::from_secs(120);

/// A router in this process that knows those of the network.
fn embedded(network: &Network, folder: &std::path::Path) -> Result<RunningRouter> {
    let seed = folder.join("seed");
    std::fs::create_dir(&seed)?;
    for (number, router) in network.routers().enumerate() {
        let info = router.data.join("router.info");
        std::fs::copy(info, seed.join(format!("routerInfo-{number}.dat")))?;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let settings = RouterSettings {
        config: RouterConfig {
            network_id: network.network_id(),
            published: Some(address),
            allow_local: true,
            allow_same_network: true,
            ..RouterConfig::default()
        },
        data: folder.join("data"),
        listen: Some(address),
        seed: Some(seed),
        threads: 1,
    };
    Ok(RunningRouter::start(settings)?)
}

/// A Destination of that router, once it is published.
async fn online(router: &RunningRouter) -> Result<(LocalDestination, Destination)> {
    let keys = PrivateKeys::generate();
    let public = keys.destination().clone();
    let mut random = ramson_crypto::Random::from_os();
    let keys = DestinationKeys::new(&keys, &mut random)?;
    let tunnels = PoolSettings {
        hops: 2,
        ..PoolSettings::default()
    };
    let destination = router.open_destination(keys, [tunnels; 2])?;
    within(LIMIT, "publishing", async {
        while destination.next_event().await != DestinationEvent::Published {}
        Ok(())
    })
    .await?;
    Ok((destination, public))
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_sets_are_found_in_both_directions() -> Result<()> {
    over_network(Peer::Current, 5, async |network| {
        let folder = tempfile::tempdir()?;
        let router = block_in_place(|| embedded(network, folder.path()))?;
        let (destination, public) = online(&router).await?;
        let hash = public.hash();

        let i2p = on_router(network, 0).await?;
        let found = within(LIMIT, "i2pd's look-up", async {
            loop {
                match i2p.lookup(hash).await {
                    Ok(found) => return Ok(found),
                    Err(error) => println!("  not yet: {error}"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await?;
        ensure!(found.hash() == hash, "another Destination");

        let session = quick_session(&i2p).await?;
        let key = *session.address().as_bytes();
        let found = within(LIMIT, "our look-up", async {
            loop {
                if let Some(found) = destination.look_up(key).await {
                    return Ok(found);
                }
                println!("  not yet: i2pd's LeaseSet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await?;
        let of = found.destination().context("a LeaseSet of nobody")?;
        ensure!(of.hash() == session.address(), "another LeaseSet");
        Ok(())
    })
    .await
}

/// So many bytes go each way.
const BYTES: usize = 2_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn streams_pass_between_i2pd_and_us() -> Result<()> {
    over_network(Peer::Current, 5, async |network| {
        let folder = tempfile::tempdir()?;
        let router = block_in_place(|| embedded(network, folder.path()))?;
        let (ours, public) = online(&router).await?;
        let i2p = on_router(network, 0).await?;
        let theirs = quick_session(&i2p).await?;
        let (here, there) = (pattern(1, BYTES), pattern(2, BYTES));
        let hashes = [&here, &there].map(|bytes| ramson_crypto::sha256(bytes));

        let accepting = theirs.listen().await?;
        within(LIMIT, "a stream to i2pd", async {
            let (near, far) = tokio::join!(ours.connect(theirs.address(), 0), accepting.accept());
            let (mut near, mut far) = (near?, far?);
            ensure!(far.peer().hash() == Some(public.hash()), "another peer");
            let (got, sent) = tokio::try_join!(
                exchange(&mut near, &here, BYTES),
                exchange(&mut far, &there, BYTES)
            )?;
            ensure!([sent, got] == hashes, "other bytes");
            Ok(())
        })
        .await?;

        let listener = ours.listen(0);
        within(LIMIT, "a stream of i2pd", async {
            let (far, mut near) = tokio::join!(theirs.connect(public.hash()), listener.accept());
            let mut far = far?;
            ensure!(near.peer() == theirs.address(), "another peer");
            let (got, sent) = tokio::try_join!(
                exchange(&mut near, &here, BYTES),
                exchange(&mut far, &there, BYTES)
            )?;
            ensure!([sent, got] == hashes, "other bytes");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_pass_between_i2pd_and_us() -> Result<()> {
    over_network(Peer::Current, 5, async |network| {
        let folder = tempfile::tempdir()?;
        let router = block_in_place(|| embedded(network, folder.path()))?;
        let (ours, public) = online(&router).await?;
        let i2p = on_router(network, 0).await?;
        // i2pd has one repliable kind on a Destination.
        for (kind, theirs) in [
            (DatagramKind::Datagram1, ramson::DatagramKind::Datagram1),
            (DatagramKind::Datagram2, ramson::DatagramKind::Datagram2),
            (DatagramKind::Datagram3, ramson::DatagramKind::Datagram3),
            (DatagramKind::Raw, ramson::DatagramKind::Raw),
        ] {
            let session = i2p.session().tunnels(Tunnels::hops(1));
            let session = session.datagram_kinds(&[theirs]).open().await?;
            let socket = session.datagrams().kind(theirs).open().await?;
            let here = ours.datagrams(kind, 0);
            for size in [20, 1000, 10_000] {
                let payload = pattern(size as u64, size);
                let what = format!("{theirs} of {size} bytes to i2pd");
                let there = within(LIMIT, &what, async {
                    loop {
                        ours.send_datagram(OutgoingDatagram {
                            kind,
                            to: session.address(),
                            from_port: 0,
                            to_port: 0,
                            payload: payload.clone().into(),
                        });
                        let wait = Duration::from_secs(2);
                        if let Ok(got) = tokio::time::timeout(wait, socket.recv_from()).await {
                            return Ok(got?);
                        }
                    }
                })
                .await?;
                ensure!(there.payload == payload, "{what}: other bytes");
                if let Some(from) = &there.from {
                    ensure!(from.hash() == Some(public.hash()), "{what}: another sender");
                }
                let what = format!("{theirs} of {size} bytes of i2pd");
                let back = Address::Destination(public.clone());
                let came = within(LIMIT, &what, async {
                    loop {
                        socket.send_to(&payload, &back).await?;
                        let wait = Duration::from_secs(2);
                        if let Ok(got) = tokio::time::timeout(wait, here.receive()).await {
                            return Ok(got);
                        }
                    }
                })
                .await?;
                ensure!(came.payload == payload, "{what}: other bytes");
                let named = kind != DatagramKind::Raw;
                let from = named.then(|| session.address());
                ensure!(came.from == from, "{what}: another sender");
                ensure!(came.authentic == named, "{what}: not proven");
                // What was sent twice comes twice.
                let wait = Duration::from_millis(300);
                while tokio::time::timeout(wait, socket.recv_from()).await.is_ok() {}
                while tokio::time::timeout(wait, here.receive()).await.is_ok() {}
            }
            println!("{theirs} both ways");
        }
        Ok(())
    })
    .await
}
