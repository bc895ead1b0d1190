//! A router on loopback with bad company, beside routers that are honest.

#![cfg(all(feature = "router", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ramson::router::{
    DropReason, HandshakeFailure, RouterConfig, RouterReport, RouterSettings, RunningRouter,
};
use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::{
    Connection, DialConfig, Event, LinkConfig, LinkMessage, LocalRouter, Priority,
};
use ramson_router::inbox::Inbox;
use ramson_router::{LookupOutcome, Router, RouterKeys};
use ramson_sam::aio;
use ramson_wire::{MessageType, RouterHash, RouterInfo, Verified};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Network ids of tests are nobody else's.
const NETWORK: u8 = 249;
/// Nothing takes that long.
const LONG: Duration = Duration::from_secs(120);
/// Look-ups of the honest router.
const LOOKUPS: usize = 30;

fn config(published: bool) -> RouterConfig {
    RouterConfig {
        network_id: NETWORK,
        published: published.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        allow_local: true,
        allow_same_network: true,
        ..RouterConfig::default()
    }
}

fn settings(folder: &Path, name: &str) -> RouterSettings {
    RouterSettings {
        config: config(true),
        data: folder.join(name),
        listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        seed: None,
        threads: 1,
    }
}

async fn until(router: &RunningRouter, what: &str, wanted: impl Fn(&RouterReport) -> bool) {
    let began = Instant::now();
    while !wanted(&router.report()) {
        assert!(began.elapsed() < LONG, "{what}: {:?}", router.report());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn dropped(router: &RunningRouter, reason: DropReason) -> u64 {
    let drops = router.report().status.drops;
    drops.get(&reason).copied().unwrap_or(0)
}

fn failed(router: &RunningRouter, failure: HandshakeFailure) -> u64 {
    let failures = router.report().status.handshakes.accepted_failed;
    failures.get(&failure).copied().unwrap_or(0)
}

fn now() -> Now {
    Now {
        instant: aio::now(),
        unix: aio::unix_now(),
    }
}

/// What the attacker dials with: a router that is as good as any, but not published.
fn dialler(target: &Verified<RouterInfo>) -> DialConfig {
    let mut random = Random::from_os();
    let keys = RouterKeys::generate(&mut random);
    let router = Router::new(config(false), keys.clone(), 1, now(), random).unwrap();
    let address = target.ntcp2_addresses().next().unwrap();
    let (_, iv) = address.published().unwrap();
    DialConfig {
        local: Arc::new(LocalRouter {
            router_info: router.handle.router_info(),
            static_key: keys.ntcp2_static,
            iv: keys.ntcp2_iv,
            network_id: NETWORK,
        }),
        static_key: address.static_key,
        iv,
        peer: target.clone(),
        link: LinkConfig::default(),
    }
}

/// A connection from one of the many addresses of loopback.
async fn connect(to: SocketAddr, source: [u8; 2]) -> Option<TcpStream> {
    let [c, d] = source;
    let socket = TcpSocket::new_v4().ok()?;
    let from = SocketAddr::from(([127, 1, c, d], 0));
    socket.bind(from).ok()?;
    socket.connect(to).await.ok()
}

/// Random bytes, and a little later the end.
async fn garbage(to: SocketAddr) {
    let mut random = Random::from_os();
    loop {
        let source = [0, random.below(200) as u8];
        if let Some(mut socket) = connect(to, source).await {
            let mut bytes = vec![0; random.range(1..3000) as usize];
            random.fill(&mut bytes);
            let _ = socket.write_all(&bytes).await;
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(500)).await;
                drop(socket);
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A byte now and then; when that is at its end, the same again.
async fn trickle(to: SocketAddr, source: u8) {
    loop {
        if let Some(mut socket) = connect(to, [1, source]).await {
            while socket.write_all(&[7]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Nothing at all, many times.
async fn silence(to: SocketAddr, sources: u8, of_each: usize) {
    let mut held = Vec::new();
    for source in 0..sources {
        for _ in 0..of_each {
            held.extend(connect(to, [2, source]).await);
        }
    }
    std::future::pending::<()>().await;
    drop(held);
}

/// A first message that is right, again and again.
async fn replay(to: SocketAddr, target: Verified<RouterInfo>) {
    let mut first = BytesMut::new();
    let mut connection = Connection::dial(dialler(&target), now(), Random::from_os());
    assert!(connection.poll_transmit(now(), &mut first));
    for round in 0_u8.. {
        if let Some(mut socket) = connect(to, [3, round]).await {
            let _ = socket.write_all(&first).await;
            tokio::spawn(async move {
                let mut answer = [0; 1000];
                let read = socket.read(&mut answer);
                let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A link like any other, over which the longest messages come as fast as they go, and nonsense in
/// the end.
async fn oversize(to: SocketAddr, target: Verified<RouterInfo>) {
    let mut random = Random::from_os();
    for round in 0_u8.. {
        if let Some(socket) = connect(to, [4, round]).await {
            let connection = Connection::dial(dialler(&target), now(), random.fork("link"));
            let _ = flood(socket, connection, &mut random).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn flood(
    mut socket: TcpStream,
    mut connection: Connection,
    random: &mut Random,
) -> std::io::Result<()> {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut up = false;
    let mut left = 40;
    loop {
        connection.handle_timeout(now());
        connection.handle_input(&mut input, now());
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Established { .. } => up = true,
                Event::Closed { .. } => return Ok(()),
                _ => {}
            }
        }
        if up && left > 0 {
            left -= 1;
            let mut body = BytesMut::zeroed(LinkMessage::MAX_BODY);
            random.fill(&mut body);
            let kinds = [
                MessageType::DatabaseStore,
                MessageType::Garlic,
                MessageType::TunnelData,
                MessageType::TunnelGateway,
                MessageType::from_code(99),
            ];
            let message = LinkMessage {
                kind: kinds[left % kinds.len()],
                id: random.u32(),
                expiration_s: (now().unix + Duration::from_secs(20)).to_secs_up(),
                body,
            };
            let _ = connection.send(message, Priority::Control);
        }
        out.clear();
        while connection.poll_transmit(now(), &mut out) {
            socket.write_all(&out).await?;
            out.clear();
        }
        if left == 0 {
            let mut noise = vec![0; 100_000];
            random.fill(&mut noise);
            return socket.write_all(&noise).await;
        }
        let read = socket.read_buf(&mut input);
        match tokio::time::timeout(Duration::from_millis(20), read).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) => {}
        }
    }
}

/// How many of several look-ups one after another are answered.
async fn look_ups(from: &RunningRouter, of: RouterHash) -> usize {
    let answers = Inbox::<LookupOutcome>::new(1);
    let mut found = 0;
    for _ in 0..LOOKUPS {
        assert!(from.handle().look_up(of, answers.sender(1)));
        let began = Instant::now();
        let mut outcome = Vec::new();
        while outcome.is_empty() {
            answers.take(1, &mut outcome);
            assert!(began.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        found += usize::from(outcome[0].found);
    }
    found
}

/// As many descriptors as there may be; returns for how many silent connections there is room.
fn room() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, most);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(1 << 16);
    usize::try_from(limit / 6).unwrap().min(1500)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_under_attack_serves_who_is_honest() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let mut hub = settings(folder, "hub");
    hub.config.floodfill = true;
    let hub = RunningRouter::start(hub).unwrap();
    let seeded = |name: &str| RouterSettings {
        seed: Some(folder.join("hub/router.info")),
        ..settings(folder, name)
    };
    let one = RunningRouter::start(seeded("one")).unwrap();
    let other = RunningRouter::start(seeded("other")).unwrap();
    until(&hub, "the honest ones are linked", |it| {
        it.status.links == 2
    })
    .await;
    until(&one, "they know each other", |it| it.status.routers == 2).await;
    until(&hub, "and are known", |it| it.status.routers == 2).await;

    let to = hub.local_addr().unwrap();
    let target = hub.handle().router_info();
    let mut attacks = tokio::task::JoinSet::new();
    // More than all there is room for, and sixteen of each source.
    let sources = (room() / 20).clamp(1, 75) as u8;
    attacks.spawn(silence(to, sources, 20));
    attacks.spawn(garbage(to));
    for source in 0..20 {
        attacks.spawn(trickle(to, source));
    }
    attacks.spawn(replay(to, target.clone()));
    attacks.spawn(oversize(to, target));

    let found = look_ups(&one, other.handle().hash()).await;
    assert!(
        found * 2 >= LOOKUPS,
        "{found} of {LOOKUPS} look-ups answered"
    );
    let began = Instant::now();
    loop {
        let report = hub.report();
        assert!(report.status.half_open <= 512);
        let seen = dropped(&hub, DropReason::HandshakesOfSource) > 0
            && dropped(&hub, DropReason::HandshakeReplay) > 0
            && dropped(&hub, DropReason::UnknownType) > 0
            && dropped(&hub, DropReason::NoTunnelMessage) > 0
            && failed(&hub, HandshakeFailure::NotAuthentic) > 0
            && failed(&hub, HandshakeFailure::TimedOut) > 0
            && failed(&hub, HandshakeFailure::Silent) > 0;
        if seen {
            break;
        }
        assert!(began.elapsed() < LONG, "{report:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    attacks.shutdown().await;

    // When it is over, nothing of it is left, and the honest ones never lost their links.
    until(&hub, "no handshake is left", |it| it.status.half_open == 0).await;
    until(&hub, "only honest links", |it| it.status.links == 2).await;
    assert!(one.report().status.links >= 1 && other.report().status.links >= 1);
    let found = look_ups(&one, other.handle().hash()).await;
    assert!(
        found * 2 >= LOOKUPS,
        "{found} of {LOOKUPS} look-ups answered"
    );
}
