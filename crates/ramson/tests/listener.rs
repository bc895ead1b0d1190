//! Listeners: no connection is lost, and limits hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{exchange, on as on_router, pair, run, until};
use ramson::testing::{Personality, Verb, on};
use ramson::{ErrorKind, Event, ListenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn no_connection_is_lost_between_two_accepts() {
    run(async {
        for forward in [false, true] {
            for personality in Personality::ALL {
                let (_bridge, i2p) = on_router(personality).await;
                let (one, other) = pair(&i2p).await;
                let options = ListenOptions::new();
                let options = if forward { options.forward() } else { options };
                let listener = other.listen_with(options).await.unwrap();
                let mut connects = tokio::task::JoinSet::new();
                for number in 0..200u8 {
                    let one = one.clone();
                    let target = other.destination().clone();
                    connects.spawn(async move {
                        let mut stream = one.connect(target).await.unwrap();
                        stream.write_u8(number).await.unwrap();
                        // The answer says that it was accepted.
                        assert_eq!(stream.read_u8().await.unwrap(), number);
                    });
                }
                let mut numbers = BTreeSet::new();
                for _ in 0..200 {
                    let mut stream = listener.accept().await.unwrap();
                    let number = stream.read_u8().await.unwrap();
                    stream.write_u8(number).await.unwrap();
                    assert!(numbers.insert(number));
                    assert_eq!(stream.peer_destination(), Some(one.destination()));
                }
                while let Some(outcome) = connects.join_next().await {
                    outcome.unwrap();
                }
            }
        }
    });
}

#[test]
fn a_second_listener_on_the_port_is_refused() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let listener = session.listen().await.unwrap();
        let error = session.listen().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("a listener is open on port 0"));
        let special = ListenOptions::new().port(80);
        let other = session.listen_with(special).await.unwrap();
        assert!(session.listen_with(special).await.is_err());
        drop(listener);
        drop(other);
        session.listen().await.unwrap();
        session.listen_with(special).await.unwrap();
    });
}

#[test]
fn ports_reach_their_listener() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let all = other.listen().await.unwrap();
        let web = other
            .listen_with(ListenOptions::new().port(80))
            .await
            .unwrap();
        let (near, far) = tokio::join!(one.connect((other.destination(), 80)), web.accept());
        let (near, far) = (near.unwrap(), far.unwrap());
        assert_eq!((near.peer_port(), far.local_port()), (Some(80), Some(80)));
        let (near, far) = tokio::join!(one.connect((other.destination(), 81)), all.accept());
        near.unwrap();
        assert_eq!(far.unwrap().local_port(), Some(81));
        // Not everywhere.
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let session = i2p.session().open().await.unwrap();
        let error = session.listen_with(ListenOptions::new().port(80)).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn streams_at_once_are_limited() {
    run(async {
        for forward in [false, true] {
            let (_bridge, i2p) = on_router(Personality::I2pd59).await;
            let (one, other) = pair(&i2p).await;
            let options = ListenOptions::new().max_streams(2);
            let options = if forward { options.forward() } else { options };
            let listener = other.listen_with(options).await.unwrap();
            let mut near = Vec::new();
            for _ in 0..4 {
                near.push(one.connect(other.destination()).await.unwrap());
            }
            let first = listener.accept().await.unwrap();
            let _second = listener.accept().await.unwrap();
            let third = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
            assert!(third.is_err(), "a third stream, forward: {forward}");
            assert_eq!(other.open_streams(), 2, "forward: {forward}");
            // The others wait and come when there is room.
            drop(first);
            let third = tokio::time::timeout(Duration::from_secs(5), listener.accept()).await;
            third.expect("the third stream is lost").unwrap();
        }
    });
}

#[test]
fn streams_per_peer_are_limited() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        let third = i2p.session().open().await.unwrap();
        let options = ListenOptions::new().max_streams_per_peer(1);
        let listener = other.listen_with(options).await.unwrap();
        let mut events = other.events();
        let _near = one.connect(other.destination()).await.unwrap();
        let far = listener.accept().await.unwrap();
        let mut refused = one.connect(other.destination()).await.unwrap();
        assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0);
        let limit = "streams per peer";
        let told = Event::ConnectionRefused { limit };
        common::events_until(&mut events, |event| *event == told).await;
        // Others come through, and after the first is dropped the same peer again.
        let _near = third.connect(other.destination()).await.unwrap();
        listener.accept().await.unwrap();
        drop(far);
        let _near = one.connect(other.destination()).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn the_rate_is_limited() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        let options = ListenOptions::new().rate(3, Duration::from_secs(600));
        let listener = other.listen_with(options).await.unwrap();
        let mut events = other.events();
        let mut near = Vec::new();
        for _ in 0..5 {
            near.push(one.connect(other.destination()).await.unwrap());
        }
        for _ in 0..3 {
            listener.accept().await.unwrap();
        }
        let told = Event::ConnectionRefused { limit: "rate" };
        for _ in 0..2 {
            common::events_until(&mut events, |event| *event == told).await;
        }
        let more = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(more.is_err());
    });
}

#[test]
fn a_dropped_listener_refuses() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let listener = other.listen().await.unwrap();
        until("ACCEPTs wait", || bridge.connections() > 2).await;
        drop(listener);
        until("ACCEPTs are given back", || bridge.connections() == 2).await;
        let options = ramson::ConnectOptions::new().attempts(1);
        let error = one
            .connect_with(other.destination(), options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerRefused);
    });
}

#[test]
fn garbage_in_place_of_a_peer_is_survived() {
    run(async {
        for line in [
            "STREAM STATUS RESULT=OK\nnobody\n",
            "STREAM STATUS RESULT=OK\n\u{7f}\n",
            "x\n",
        ] {
            let (bridge, i2p) = on_router(Personality::I2pd59).await;
            let (one, other) = pair(&i2p).await;
            bridge.add(on(Verb::StreamAccept).times(2).garbage(line).close());
            let listener = other.listen().await.unwrap();
            let (near, far) = tokio::join!(one.connect(other.destination()), listener.accept());
            exchange(&mut near.unwrap(), &mut far.unwrap()).await;
        }
    });
}

#[test]
fn strangers_at_the_forward_port_are_let_go() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let listener = other
            .listen_with(ListenOptions::new().forward())
            .await
            .unwrap();
        until("FORWARD is said", || {
            !bridge.seen_of(Verb::StreamForward).is_empty()
        })
        .await;
        let line = bridge.seen_of(Verb::StreamForward)[0].line.clone();
        let port: u16 = line
            .split_once("PORT=")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .unwrap();
        for bytes in [
            &b"GET / HTTP/1.0\r\n\r\n"[..],
            &[0xff; 100],
            &[b'x'; 40_000],
        ] {
            let mut stranger = tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .unwrap();
            let _ = stranger.write_all(bytes).await;
            let _ = stranger.shutdown().await;
            let mut rest = Vec::new();
            let _ = stranger.read_to_end(&mut rest).await;
        }
        let (near, far) = tokio::join!(one.connect(other.destination()), listener.accept());
        exchange(&mut near.unwrap(), &mut far.unwrap()).await;
    });
}

#[test]
fn poll_accept_works_in_hand_written_futures() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let mut listener = other.listen().await.unwrap();
        let accept = std::future::poll_fn(|cx| listener.poll_accept(cx));
        let (near, far) = tokio::join!(one.connect(other.destination()), accept);
        exchange(&mut near.unwrap(), &mut far.unwrap()).await;
    });
}
