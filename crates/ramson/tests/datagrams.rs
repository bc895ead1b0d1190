//! Datagram sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::Duration;

use common::{assert_text, events_until, is_restored, on as on_router, pair, run, until};
use ramson::testing::{Personality, Verb, on};
use ramson::{Datagram, DatagramKind, DatagramSocket, ErrorKind};
use tokio::net::UdpSocket;

async fn receive(socket: &DatagramSocket) -> Datagram {
    tokio::time::timeout(Duration::from_secs(5), socket.recv_from())
        .await
        .expect("no datagram comes")
        .unwrap()
}

#[test]
fn sizes_from_one_byte_to_the_most() {
    run(async {
        for personality in [
            Personality::I2pd59,
            Personality::Java,
            Personality::Emissary,
        ] {
            for kind in [DatagramKind::Datagram1, DatagramKind::Raw] {
                let (_bridge, i2p) = on_router(personality).await;
                let (one, other) = pair(&i2p).await;
                let from = one.datagrams().kind(kind).open().await.unwrap();
                let to = other.datagrams().kind(kind).open().await.unwrap();
                for size in [from.min_payload(), 100, from.max_payload()] {
                    let payload = vec![7; size];
                    from.send_to(&payload, other.address()).await.unwrap();
                    let datagram = receive(&to).await;
                    assert!(datagram.payload == payload, "{personality:?} {kind} {size}");
                }
                let large = vec![7; from.max_payload() + 1];
                let error = from.send_to(&large, other.address()).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::LimitExceeded);
                assert_text(&error, &["is the most here"], &[]);
                let error = from.send_to(&[], other.address()).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::LimitExceeded);
                assert_text(&error, &["this router loses those under"], &[]);
            }
        }
    });
}

#[test]
fn an_answer_goes_to_the_sender() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let from = one.datagrams().port(7).open().await.unwrap();
        let to = other.datagrams().port(9).open().await.unwrap();
        let rest = other.datagrams().open().await.unwrap();
        from.send_to(b"hello", (other.address(), 9)).await.unwrap();
        let datagram = receive(&to).await;
        assert_eq!((datagram.from_port, datagram.to_port), (Some(7), Some(9)));
        let back = (datagram.from.unwrap(), datagram.from_port.unwrap());
        to.send_to(b"back", back).await.unwrap();
        assert_eq!(receive(&from).await.payload, b"back");
        from.send_to(b"rest", (other.address(), 10)).await.unwrap();
        assert_eq!(receive(&rest).await.payload, b"rest");
    });
}

#[test]
fn what_a_router_has_not_is_refused_by_name() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let kind = DatagramKind::Datagram3;
        let error = session.datagrams().kind(kind).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_text(&error, &["Datagram3", "Java I2P"], &[]);
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let session = i2p.session().open().await.unwrap();
        let error = session.datagrams().port(5).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let _first = session.datagrams().open().await.unwrap();
        let kind = DatagramKind::Datagram2;
        let error = session.datagrams().kind(kind).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_text(
            &error,
            &["beside Datagram1 on one Destination", "or a second session"],
            &[],
        );
    });
}

#[test]
fn a_second_socket_on_the_port_is_refused() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let socket = session.datagrams().open().await.unwrap();
        let error = session.datagrams().open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_text(&error, &["open on port 0"], &[]);
        drop(socket);
        session.datagrams().open().await.unwrap();
    });
}

#[test]
fn sockets_go_on_after_healing() {
    run(async {
        for personality in [
            Personality::I2pd59,
            Personality::Java,
            Personality::Emissary,
        ] {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let from = one.datagrams().open().await.unwrap();
            let to = other.datagrams().open().await.unwrap();
            let (mut mine, mut theirs) = (one.events(), other.events());
            bridge.cut_control_connections();
            events_until(&mut mine, is_restored).await;
            events_until(&mut theirs, is_restored).await;
            from.send_to(b"again", other.address()).await.unwrap();
            assert_eq!(receive(&to).await.payload, b"again", "{personality:?}");
            bridge.restart().await.unwrap();
            events_until(&mut mine, is_restored).await;
            events_until(&mut theirs, is_restored).await;
            from.send_to(b"and again", other.address()).await.unwrap();
            assert_eq!(receive(&to).await.payload, b"and again", "{personality:?}");
        }
    });
}

#[test]
fn what_nobody_takes_is_dropped_and_counted() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let from = one.datagrams().open().await.unwrap();
        let to = other.datagrams().queue(4).open().await.unwrap();
        for number in 0..20 {
            from.send_to(&[number], other.address()).await.unwrap();
        }
        until("the others are dropped", || to.dropped() == 16).await;
        for number in 0..4 {
            assert_eq!(receive(&to).await.payload, [number]);
        }
    });
}

#[test]
fn packets_from_strangers_are_not_taken() {
    run(async {
        let (bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        let from = one.datagrams().open().await.unwrap();
        let to = other.datagrams().open().await.unwrap();
        let line = bridge
            .seen_of(Verb::SessionCreate)
            .iter()
            .rfind(|seen| seen.line.contains("STYLE=DATAGRAM"))
            .unwrap()
            .line
            .clone();
        let port: u16 = line
            .split_once(" PORT=")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let forged = format!("{}\nforged", one.destination().to_base64());
        stranger
            .send_to(forged.as_bytes(), ("127.0.0.1", port))
            .await
            .unwrap();
        from.send_to(b"real", other.address()).await.unwrap();
        assert_eq!(receive(&to).await.payload, b"real");
        assert_eq!(to.dropped(), 0);
    });
}

#[test]
fn a_datagram_session_that_is_refused() {
    run(async {
        for (rule, kind) in [
            (
                on(Verb::SessionAdd).reply("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no more\""),
                ErrorKind::SessionRefused,
            ),
            (on(Verb::SessionAdd).silence(), ErrorKind::TimedOut),
        ] {
            let (bridge, i2p) = on_router(Personality::Java).await;
            let session = i2p.session().open().await.unwrap();
            bridge.add(rule.nth(1));
            let opened = session.datagrams().deadline(Duration::from_millis(500));
            let error = opened.open().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            // The session heals, if it has to, and the socket opens.
            session.datagrams().open().await.unwrap();
        }
    });
}

#[test]
fn sending_while_the_router_is_away_waits_for_it() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let from = one.datagrams().open().await.unwrap();
        let to = other.datagrams().open().await.unwrap();
        let mut events = other.events();
        bridge.stop();
        until("the loss is noticed", || !one.status().get().is_ready()).await;
        let sending = from.send_to(b"late", other.destination());
        let back = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            bridge.restart().await.unwrap();
        };
        let (sent, ()) = tokio::join!(sending, back);
        sent.unwrap();
        events_until(&mut events, is_restored).await;
        // That one may have come before the peer was back.
        from.send_to(b"later", other.destination()).await.unwrap();
        let first = receive(&to).await.payload;
        assert!(first == b"late" || first == b"later");
    });
}

#[test]
fn a_closed_session_ends_its_sockets() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let socket = session.datagrams().open().await.unwrap();
        let (received, _) = tokio::join!(socket.recv_from(), session.close(Duration::ZERO));
        assert_eq!(received.unwrap_err().kind(), ErrorKind::Closed);
        let error = socket.send_to(b"x", session.address()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    });
}
