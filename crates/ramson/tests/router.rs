//! Whole routers on loopback.

#![cfg(feature = "router")]
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use ramson::router::{
    ConnectError, DatagramKind, DestinationEvent, DestinationKeys, LocalDestination,
    OutgoingDatagram, PoolSettings, RouterConfig, RouterError, RouterReport, RouterSettings,
    RunningRouter,
};
use ramson_router::inbox::Inbox;
use ramson_wire::{DestinationHash, RouterHash, RouterInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Network ids of tests are nobody else's.
const NETWORK: u8 = 251;

fn settings(folder: &Path, name: &str) -> RouterSettings {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    RouterSettings {
        config: RouterConfig {
            network_id: NETWORK,
            published: Some(address),
            allow_local: true,
            allow_same_network: true,
            ..RouterConfig::default()
        },
        data: folder.join(name),
        listen: Some(address),
        seed: None,
        threads: 1,
    }
}

/// Looks at a router until it is as wanted.
async fn until(router: &RunningRouter, what: &str, wanted: impl Fn(&RouterReport) -> bool) {
    let began = Instant::now();
    while !wanted(&router.report()) {
        let report = router.report();
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{what}: {report:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn read_info(folder: &Path, name: &str) -> RouterInfo {
    let bytes = std::fs::read(folder.join(name).join("router.info")).unwrap();
    let info = RouterInfo::from_bytes(&bytes).unwrap();
    info.verify().unwrap().into_inner()
}

/// Which routers the file of known ones names, wherever they stand in it.
fn stored(folder: &Path, name: &str, among: &[RouterInfo]) -> Vec<RouterHash> {
    let bytes = std::fs::read(folder.join(name).join("routers.db")).unwrap();
    let is_there = |info: &&RouterInfo| {
        let identity = info.identity().as_bytes();
        bytes
            .windows(identity.len())
            .any(|window| window == identity)
    };
    among
        .iter()
        .filter(is_there)
        .map(RouterInfo::hash)
        .collect()
}

#[tokio::test]
async fn routers_find_each_other_through_a_floodfill_and_remember() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let mut hub = settings(folder, "hub");
    hub.config.floodfill = true;
    let hub = RunningRouter::start(hub).unwrap();
    assert_eq!(hub.seeded(), 0);

    // All that they know is the floodfill.
    let seeded = |name: &str| RouterSettings {
        seed: Some(folder.join("hub/router.info")),
        ..settings(folder, name)
    };
    let one = RunningRouter::start(seeded("one")).unwrap();
    let other = RunningRouter::start(seeded("other")).unwrap();
    assert_eq!((one.seeded(), other.seeded()), (1, 1));
    until(&hub, "the hub has links", |hub| hub.status.links == 2).await;
    for router in [&one, &other] {
        until(router, "knows both others", |it| it.status.routers == 2).await;
    }
    let infos = ["hub", "one", "other"].map(|name| read_info(folder, name));
    assert_eq!(infos[1].hash(), one.handle().hash());

    let patience = Duration::from_secs(10);
    let began = Instant::now();
    other.stop(patience).await;
    assert!(began.elapsed() < patience, "stopped by the deadline");
    until(&hub, "the link is gone", |hub| hub.status.links == 1).await;
    let known = stored(folder, "other", &infos);
    assert_eq!(known, [infos[0].hash(), infos[1].hash()]);

    // It comes back as who it was, with what it knew.
    let other = RunningRouter::start(settings(folder, "other")).unwrap();
    assert_eq!(other.handle().hash(), infos[2].hash());
    assert_eq!(other.seeded(), 2);
    until(&other, "links again", |other| other.status.links > 0).await;
    let report = other.report();
    assert!(report.received_bytes > 0 && report.sent_bytes > 0);
}

#[tokio::test]
async fn links_that_are_dropped_come_back_when_they_are_needed() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let mut hub = settings(folder, "hub");
    hub.config.floodfill = true;
    let hub = RunningRouter::start(hub).unwrap();
    let one = RouterSettings {
        seed: Some(folder.join("hub/router.info")),
        ..settings(folder, "one")
    };
    let one = RunningRouter::start(one).unwrap();
    for times in 1..=3 {
        let done = move |report: &RouterReport| {
            let handshakes = &report.status.handshakes;
            assert!(handshakes.dialled_failed.is_empty() && handshakes.accepted_failed.is_empty());
            handshakes.dialled + handshakes.accepted >= times
        };
        let questions = Inbox::new(1);
        let began = Instant::now();
        while !done(&one.report()) {
            // Nothing else is said for a while; what cannot be sent now is not kept.
            one.handle()
                .look_up(RouterHash([9; 32]), questions.sender(1));
            assert!(began.elapsed() < Duration::from_secs(60), "{times} links");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        until(&hub, "accepts", done).await;
        until(&one, "is linked", |it| it.status.links == 1).await;
        assert_eq!(one.report().status.dials_failed, 0);
        assert!(one.handle().drop_links());
    }
}

#[tokio::test]
async fn a_port_or_a_folder_in_use_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let router = RunningRouter::start(settings(temp.path(), "a")).unwrap();
    let again = RunningRouter::start(settings(temp.path(), "a")).unwrap_err();
    assert!(matches!(
        again,
        RouterError::KeyFile(ramson::Error::KeyInUse { .. })
    ));
    assert!(!again.to_string().contains("router.keys") && again.detail().contains("router.keys"));

    let taken = RouterSettings {
        listen: router.local_addr(),
        ..settings(temp.path(), "b")
    };
    let taken = RunningRouter::start(taken).unwrap_err();
    assert!(matches!(taken, RouterError::Listen { .. }));
    assert!(!taken.to_string().contains("127.0.0.1") && taken.detail().contains("127.0.0.1"));

    // Gone with its last word.
    drop(router);
    let began = Instant::now();
    while RunningRouter::start(settings(temp.path(), "a")).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_seed_that_is_not_there_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let lost = RouterSettings {
        seed: Some(temp.path().join("none")),
        ..settings(temp.path(), "a")
    };
    let error = RunningRouter::start(lost).unwrap_err();
    assert!(matches!(error, RouterError::File { .. }), "{error}");
}

#[tokio::test]
async fn connections_that_say_nothing_or_nonsense_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let temp = tempfile::tempdir().unwrap();
    let router = RunningRouter::start(settings(temp.path(), "a")).unwrap();
    let address = router.local_addr().unwrap();
    let mut clients = Vec::new();
    for index in 0..40 {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        if index % 2 == 0 {
            let _ = client.write_all(&[0x55; 5000]).await;
        }
        clients.push(client);
    }
    // More than one source may have half open: some were closed at once, the others when their
    // nonsense was read; those that are silent have the time of a handshake.
    for (index, mut client) in clients.into_iter().enumerate() {
        if index % 2 == 0 {
            let mut rest = Vec::new();
            let read = client.read_to_end(&mut rest);
            let _ = tokio::time::timeout(Duration::from_secs(60), read)
                .await
                .unwrap();
            assert!(rest.is_empty());
        }
    }
    assert_eq!(router.report().status.links, 0);
}

/// A network of routers that know those that started before.
fn network(folder: &Path, count: usize) -> Vec<RunningRouter> {
    let seed = folder.join("seed");
    std::fs::create_dir(&seed).unwrap();
    let mut routers = Vec::new();
    for number in 0..count {
        let name = number.to_string();
        let mut settings = settings(folder, &name);
        settings.config.floodfill = number < 3;
        settings.config.transit.rate_bytes_per_s = 1_000_000_000;
        settings.seed = (number > 0).then(|| seed.clone());
        routers.push(RunningRouter::start(settings).unwrap());
        let info = folder.join(&name).join("router.info");
        std::fs::copy(info, seed.join(format!("routerInfo-{name}.dat"))).unwrap();
    }
    routers
}

fn keys(seed: u8) -> DestinationKeys {
    let mut random = ramson_crypto::Random::from_seed([seed; 32]);
    DestinationKeys::new(&ramson_wire::PrivateKeys::generate(), &mut random).unwrap()
}

/// Waits until a floodfill has confirmed the LeaseSet.
async fn published(destination: &LocalDestination) {
    let limit = Duration::from_secs(60);
    let wait = async { while destination.next_event().await != DestinationEvent::Published {} };
    tokio::time::timeout(limit, wait).await.unwrap();
}

#[tokio::test]
async fn destinations_publish_their_lease_sets_and_find_each_other() {
    let temp = tempfile::tempdir().unwrap();
    let routers = network(temp.path(), 8);
    for router in &routers {
        until(router, "has tunnels", |it| it.status.exploratory == [2, 2]).await;
    }
    for hops in [2, 0] {
        let tunnels = PoolSettings {
            hops,
            ..PoolSettings::default()
        };
        let (one_keys, other_keys) = (keys(10 + hops), keys(20 + hops));
        let key = other_keys.destination.hash().0;
        let one = routers[6].open_destination(one_keys, [tunnels; 2]).unwrap();
        let other = routers[7]
            .open_destination(other_keys, [tunnels; 2])
            .unwrap();
        published(&one).await;
        published(&other).await;
        let found = one.look_up(key).await.expect("the LeaseSet was published");
        assert_eq!(found.key(), key);
        assert_eq!(found.leases().len(), 2);
        let own = routers[7].handle().hash();
        let direct = found.leases().iter().all(|it| it.gateway == own);
        assert_eq!(direct, hops == 0);
        assert!(one.look_up([9; 32]).await.is_none());
        let nobody = one.connect(DestinationHash([9; 32]), 0).await;
        assert_eq!(nobody.err(), Some(ConnectError::NoLeaseSet));
    }
}

#[tokio::test]
async fn streams_carry_bytes_between_destinations() {
    let temp = tempfile::tempdir().unwrap();
    let routers = network(temp.path(), 8);
    for router in &routers {
        until(router, "has tunnels", |it| it.status.exploratory == [2, 2]).await;
    }
    for hops in [2, 0] {
        let tunnels = PoolSettings {
            hops,
            ..PoolSettings::default()
        };
        let other_keys = keys(20 + hops);
        let to = other_keys.destination.hash();
        let one = routers[6]
            .open_destination(keys(10 + hops), [tunnels; 2])
            .unwrap();
        let other = routers[7]
            .open_destination(other_keys, [tunnels; 2])
            .unwrap();
        let listener = other.listen(0);
        published(&one).await;
        published(&other).await;
        let began = Instant::now();
        let (mut near, mut far) = tokio::join!(
            async { one.connect(to, 80).await.unwrap() },
            listener.accept()
        );
        eprintln!("{hops} hops: connected after {:?}", began.elapsed());
        let sent: Vec<u8> = (0..std::env::var("MB").map_or(3, |it| it.parse().unwrap())
            * 1_000_000_u32)
            .map(|n| (n % 251) as u8)
            .collect();
        let began = Instant::now();
        let writing = async {
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(writing, far.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent, "other bytes");
        let rate = sent.len() as f64 / began.elapsed().as_secs_f64() / 1e6;
        eprintln!("{hops} hops: {rate:.1} MB/s");
        far.write_all(b"bye").await.unwrap();
        far.shutdown().await.unwrap();
        let mut back = Vec::new();
        near.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, b"bye");
    }
}

#[tokio::test]
async fn datagrams_of_all_kinds_arrive() {
    let temp = tempfile::tempdir().unwrap();
    let routers = network(temp.path(), 6);
    for router in &routers {
        until(router, "has tunnels", |it| it.status.exploratory == [2, 2]).await;
    }
    let tunnels = PoolSettings {
        hops: 1,
        ..PoolSettings::default()
    };
    let (one_keys, other_keys) = (keys(1), keys(2));
    let (from, to) = (one_keys.destination.clone(), other_keys.destination.hash());
    let one = routers[4].open_destination(one_keys, [tunnels; 2]).unwrap();
    let other = routers[5]
        .open_destination(other_keys, [tunnels; 2])
        .unwrap();
    published(&one).await;
    published(&other).await;
    let kinds = [
        DatagramKind::Raw,
        DatagramKind::Datagram1,
        DatagramKind::Datagram2,
        DatagramKind::Datagram3,
        DatagramKind::Other(99),
    ];
    for kind in kinds {
        let (exact, rest) = (other.datagrams(kind, 7), other.datagrams(kind, 0));
        for to_port in [7, 8] {
            let payload = format!("{kind:?} to port {to_port}");
            let datagram = OutgoingDatagram {
                kind,
                to,
                from_port: 5,
                to_port,
                payload: payload.clone().into(),
            };
            let receiver = if to_port == 7 { &exact } else { &rest };
            // They may get lost.
            let received = async {
                loop {
                    assert!(one.send_datagram(datagram.clone()));
                    let wait = Duration::from_secs(2);
                    if let Ok(received) = tokio::time::timeout(wait, receiver.receive()).await {
                        return received;
                    }
                }
            };
            let limit = Duration::from_secs(30);
            let received = tokio::time::timeout(limit, received).await.unwrap();
            assert_eq!(received.payload, payload);
            assert_eq!((received.from_port, received.to_port), (5, to_port));
            let named = matches!(
                kind,
                DatagramKind::Datagram1 | DatagramKind::Datagram2 | DatagramKind::Datagram3
            );
            assert_eq!(received.from, named.then(|| from.hash()));
            assert_eq!(received.authentic, named);
        }
    }
}
