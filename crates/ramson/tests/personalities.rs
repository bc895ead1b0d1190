//! The scripted bridge is like each router, and everything works on each.

mod common;

use std::time::Duration;

use common::{exchange, on, pair, run, stream};
use ramson::testing::{Personality, Verb};
use ramson::{Capability, DatagramKind};

#[test]
fn each_personality_is_recognised() {
    run(async {
        for (personality, name) in [
            (Personality::I2pd59, "i2pd"),
            (Personality::I2pd56, "i2pd (before SAM 3.3)"),
            (Personality::Java, "Java I2P"),
            (Personality::Emissary, "emissary"),
            (Personality::Unknown30, "an unknown SAM bridge"),
        ] {
            let (_bridge, i2p) = on(personality).await;
            assert_eq!(i2p.capabilities().router(), name);
        }
    });
}

#[test]
fn streams_pass_on_each_personality() {
    run(async {
        for personality in Personality::ALL {
            let (bridge, i2p) = on(personality).await;
            let (one, other) = pair(&i2p).await;
            let (mut near, mut far) = stream(&one, &other).await;
            exchange(&mut near, &mut far).await;
            assert_eq!(far.peer_destination(), Some(one.destination()));
            assert_eq!(bridge.streams(), 1, "{personality:?}");
        }
    });
}

#[test]
fn datagrams_pass_on_each_personality() {
    run(async {
        for personality in Personality::ALL {
            let (_bridge, i2p) = on(personality).await;
            if !i2p.capabilities().has(Capability::StreamsAndDatagrams) {
                continue;
            }
            for kind in [
                DatagramKind::Datagram1,
                DatagramKind::Datagram2,
                DatagramKind::Datagram3,
                DatagramKind::Raw,
            ] {
                if !i2p.capabilities().has(Capability::Datagrams(kind)) {
                    continue;
                }
                let (one, other) = pair(&i2p).await;
                let from = one.datagrams().kind(kind).open().await.unwrap();
                let to = other.datagrams().kind(kind).open().await.unwrap();
                from.send_to(b"hello", other.destination()).await.unwrap();
                let datagram = tokio::time::timeout(Duration::from_secs(5), to.recv_from())
                    .await
                    .unwrap_or_else(|_| panic!("{kind} is lost on {personality:?}"))
                    .unwrap();
                assert_eq!(datagram.payload, b"hello");
                if kind != DatagramKind::Raw {
                    let hash = datagram.from.and_then(|from| from.hash());
                    assert_eq!(hash, Some(one.address()), "{kind} on {personality:?}");
                }
            }
        }
    });
}

#[test]
fn seen_lines_hold_no_keys() {
    run(async {
        let (bridge, i2p) = on(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let keys = session.keys().to_base64();
        let lines = bridge.seen_of(Verb::SessionCreate);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].line.contains("STYLE=PRIMARY"), "{}", lines[0].line);
        assert!(
            bridge
                .seen()
                .iter()
                .all(|seen| !seen.line.contains(&**keys))
        );
    });
}

#[test]
fn a_bridge_with_a_login_wants_it() {
    run(async {
        let bridge = ramson::testing::ScriptedBridge::builder()
            .login("me", "secret")
            .start()
            .await
            .unwrap();
        let right = bridge.i2p_builder().login("me", "secret").start().await;
        right.unwrap();
        assert!(
            bridge
                .seen()
                .iter()
                .all(|seen| !seen.line.contains("secret"))
        );
    });
}
