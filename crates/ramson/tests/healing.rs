//! Sessions that come back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{
    events_until, exchange, is_restored, on as on_router, pair, run, stream, timing, until,
};
use ramson::testing::{Personality, ScriptedBridge, Verb, on};
use ramson::{Error, ErrorKind, Event, LostCause, Stage, stream_error};
use tokio::io::AsyncReadExt;

fn is_lost(event: &Event) -> bool {
    matches!(event, Event::Lost { .. })
}

fn is_resting(event: &Event) -> bool {
    matches!(event, Event::Resting { .. })
}

#[test]
fn a_cut_control_connection_heals() {
    run(async {
        for personality in Personality::ALL {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let listener = other.listen().await.unwrap();
            let (near, far) = tokio::join!(one.connect(other.destination()), listener.accept());
            let (mut near, _far) = (near.unwrap(), far.unwrap());
            let address = other.address();
            let mut events = other.events();
            let mut mine = one.events();
            events_until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
            bridge.cut_control_connections();
            let error = near.read_u8().await.unwrap_err();
            let kind = stream_error(&error).map(Error::kind);
            assert_eq!(kind, Some(ErrorKind::RouterLost), "{personality:?}");
            let seen = events_until(&mut events, is_restored).await;
            // An ACCEPT that comes just then learns first that the session is gone.
            let Some(Event::Lost { cause }) = seen.first() else {
                panic!("{personality:?}: {seen:?}");
            };
            let causes = [LostCause::ControlConnection, LostCause::Forgotten];
            assert!(causes.contains(cause), "{personality:?}: {seen:?}");
            assert!(
                seen.get(1).is_some_and(is_resting),
                "{personality:?}: {seen:?}"
            );
            assert_eq!(seen.len(), 3, "{personality:?}: {seen:?}");
            events_until(&mut mine, is_restored).await;
            assert_eq!(other.address(), address);
            assert_eq!(other.status().get().restored, 1);
            // The same listener goes on.
            let (near, far) = tokio::join!(one.connect(address), listener.accept());
            exchange(&mut near.unwrap(), &mut far.unwrap()).await;
        }
    });
}

#[test]
fn a_restarted_router_needs_no_rest() {
    run(async {
        for personality in Personality::ALL {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let listener = other.listen().await.unwrap();
            let mut events = other.events();
            let mut mine = one.events();
            bridge.stop();
            events_until(&mut events, |event| matches!(event, Event::Retrying { .. })).await;
            bridge.restart().await.unwrap();
            let seen = events_until(&mut events, is_restored).await;
            assert!(!seen.iter().any(is_resting), "{personality:?}: {seen:?}");
            events_until(&mut mine, is_restored).await;
            let (near, far) = tokio::join!(one.connect(other.address()), listener.accept());
            exchange(&mut near.unwrap(), &mut far.unwrap()).await;
        }
    });
}

#[test]
fn another_router_at_the_same_port_is_recognised() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let mut events = session.events();
        bridge.stop();
        // The first attempt may meet the router while it goes down.
        for _ in 0..2 {
            events_until(&mut events, |event| matches!(event, Event::Retrying { .. })).await;
        }
        let probe = on(Verb::NamingLookup)
            .nth(1)
            .reply("NAMING REPLY RESULT=KEY_NOT_FOUND");
        bridge.add(probe);
        bridge.restart().await.unwrap();
        events_until(&mut events, is_restored).await;
        assert_eq!(i2p.capabilities().router(), "an unknown SAM bridge");
    });
}

#[test]
fn a_router_that_hangs_is_noticed() {
    run(async {
        let bridge = ScriptedBridge::builder()
            .personality(Personality::I2pd59)
            .deaf_after_recreation(Duration::ZERO)
            .start()
            .await
            .unwrap();
        let mut quick = timing(Duration::from_millis(100));
        quick.alive = Duration::from_millis(200);
        let i2p = bridge
            .i2p_builder()
            .timing(quick)
            .check_every(Duration::from_millis(100))
            .start()
            .await
            .unwrap();
        let (one, other) = pair(&i2p).await;
        let (mut near, _far) = stream(&one, &other).await;
        let mut events = one.events();
        let mut others = other.events();
        bridge.go_silent();
        let started = Instant::now();
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(
            stream_error(&error).map(Error::kind),
            Some(ErrorKind::RouterLost)
        );
        assert!(started.elapsed() < Duration::from_secs(10));
        let seen = events_until(&mut events, is_lost).await;
        let cause = LostCause::NoAnswer;
        assert_eq!(seen.last(), Some(&Event::Lost { cause }));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!one.status().get().is_ready());
        bridge.speak_again();
        events_until(&mut events, is_restored).await;
        events_until(&mut others, is_restored).await;
        let (mut near, mut far) = stream(&one, &other).await;
        exchange(&mut near, &mut far).await;
    });
}

#[test]
fn a_quiet_router_is_not_lost() {
    run(async {
        let (bridge, _) = on_router(Personality::Java).await;
        let i2p = bridge
            .i2p_builder()
            .check_every(Duration::from_millis(100))
            .start()
            .await
            .unwrap();
        let session = i2p.session().open().await.unwrap();
        let mut events = session.events();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let event = events.try_next();
        assert!(matches!(event, Some(Event::Ready { .. })), "{event:?}");
        assert_eq!(events.try_next(), None);
        assert!(bridge.seen_of(Verb::Hello).len() > 10);
    });
}

#[test]
fn a_deaf_session_is_not_ready() {
    run(async {
        let bridge = ScriptedBridge::builder()
            .personality(Personality::I2pd59)
            .deaf_after_recreation(Duration::from_millis(1500))
            .start()
            .await
            .unwrap();
        let mut quick = timing(Duration::from_millis(700));
        quick.proof = Duration::from_millis(300);
        quick.arrival = Duration::from_millis(150);
        let i2p = bridge.i2p_builder().timing(quick).start().await.unwrap();
        let (one, other) = pair(&i2p).await;
        let listener = other.listen().await.unwrap();
        let mut events = other.events();
        let mut mine = one.events();
        let status = other.status();
        bridge.cut_control_connections();
        events_until(&mut events, is_lost).await;
        // It rests too short for this router, is found deaf, and rests again: the deafness of a
        // session goes on until it has ended for long enough, so that it is never told as ready.
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut verified = false;
        while Instant::now() < deadline {
            let stage = status.get().stage;
            verified |= stage == Stage::Verifying;
            assert_ne!(stage, Stage::Ready, "ready while deaf");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(verified, "it was not looked at");
        bridge.restart().await.unwrap();
        events_until(&mut events, is_restored).await;
        events_until(&mut mine, is_restored).await;
        let (near, far) = tokio::join!(one.connect(other.address()), listener.accept());
        exchange(&mut near.unwrap(), &mut far.unwrap()).await;
    });
}

#[test]
fn a_deaf_session_heals_after_a_longer_rest() {
    run(async {
        let bridge = ScriptedBridge::builder()
            .personality(Personality::I2pd59)
            .deaf_after_recreation(Duration::from_millis(500))
            .start()
            .await
            .unwrap();
        let mut quick = timing(Duration::from_millis(700));
        quick.proof = Duration::from_millis(300);
        quick.arrival = Duration::from_millis(150);
        let i2p = bridge.i2p_builder().timing(quick).start().await.unwrap();
        let other = i2p.session().open().await.unwrap();
        let mut events = other.events();
        // Somebody else holds the key until just before the session comes back.
        bridge.cut_control_connections();
        let seen = events_until(&mut events, is_restored).await;
        assert!(seen.iter().any(is_resting), "{seen:?}");
        assert!(
            seen.iter()
                .all(|event| !matches!(event, Event::Unverified { .. }))
        );
    });
}

#[test]
fn an_open_that_is_too_quick_is_repeated_after_a_rest() {
    run(async {
        let bridge = ScriptedBridge::builder()
            .personality(Personality::I2pd59)
            .deaf_after_recreation(Duration::from_millis(500))
            .start()
            .await
            .unwrap();
        let mut quick = timing(Duration::from_millis(600));
        quick.too_quick = Duration::from_millis(300);
        let i2p = bridge.i2p_builder().timing(quick).start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.keys");
        let session = i2p.session().key_file(&path).open().await.unwrap();
        let address = session.address();
        assert_eq!(bridge.seen_of(Verb::SessionCreate).len(), 1, "fresh keys");
        session.close(Duration::ZERO).await;
        drop(session);
        until("the router forgets it", || bridge.sessions() == 0).await;
        let session = i2p.session().key_file(&path).open().await.unwrap();
        assert_eq!(session.address(), address);
        let seen = events_until(&mut session.events(), |event| {
            matches!(event, Event::Ready { .. } | Event::Restored { .. })
        })
        .await;
        assert!(seen.iter().any(is_resting), "{seen:?}");
        let peer = i2p.session().open().await.unwrap();
        let (mut near, mut far) = stream(&peer, &session).await;
        exchange(&mut near, &mut far).await;
    });
}

#[test]
fn a_forgotten_session_is_noticed_by_its_use() {
    run(async {
        for verb in [Verb::StreamConnect, Verb::StreamAccept] {
            let (bridge, i2p) = on_router(Personality::Java).await;
            let (one, other) = pair(&i2p).await;
            let mut events = one.events();
            bridge.add(
                on(verb)
                    .nth(1)
                    .reply("STREAM STATUS RESULT=INVALID_ID MESSAGE=\"no such session\""),
            );
            let listener = if verb == Verb::StreamAccept {
                Some(one.listen().await.unwrap())
            } else {
                None
            };
            let target = other.listen().await.unwrap();
            let (near, far) = tokio::join!(one.connect(other.address()), target.accept());
            near.unwrap();
            far.unwrap();
            if listener.is_none() {
                let seen = events_until(&mut events, is_restored).await;
                let cause = LostCause::Forgotten;
                assert!(seen.contains(&Event::Lost { cause }), "{seen:?}");
            }
        }
    });
}

#[test]
fn renewing_keeps_the_destination() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        let mut events = other.events();
        other.renew().await.unwrap();
        let seen = events_until(&mut events, is_restored).await;
        let cause = LostCause::Renewed;
        assert!(seen.contains(&Event::Lost { cause }), "{seen:?}");
        let (mut near, mut far) = stream(&one, &other).await;
        exchange(&mut near, &mut far).await;
    });
}

#[test]
fn retries_at_a_dead_router_are_few() {
    run(async {
        let (bridge, _) = on_router(Personality::Java).await;
        let mut quick = timing(Duration::from_millis(100));
        quick.longest_backoff = Duration::from_secs(30);
        let i2p = bridge.i2p_builder().timing(quick).start().await.unwrap();
        let session = i2p.session().open().await.unwrap();
        let mut events = session.events();
        // Each connection is closed, so that they can be counted.
        bridge.add(on(Verb::Open).close());
        let before = bridge.accepted();
        bridge.cut_control_connections();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let count = bridge.accepted() - before;
        assert!((2..=8).contains(&count), "{count} connections in 3 s");
        let mut waits = Vec::new();
        while let Some(event) = events.try_next() {
            if let Event::Retrying { after, .. } = event {
                waits.push(after);
            }
        }
        for (attempt, wait) in (0..).zip(&waits) {
            let longest = Duration::from_millis(250 << attempt);
            assert!(*wait <= longest && *wait >= longest / 2, "{waits:?}");
        }
        bridge.clear_rules();
        events_until(&mut events, is_restored).await;
    });
}

#[test]
fn an_idle_session_at_a_dead_router_with_a_listener_is_no_busy_loop() {
    run(async {
        let (bridge, i2p) = on_router(Personality::I2pd59).await;
        let session = i2p.session().open().await.unwrap();
        let _listener = session.listen().await.unwrap();
        until("ACCEPT waits", || {
            bridge.seen_of(Verb::StreamAccept).len() == 1
        })
        .await;
        bridge.add(on(Verb::StreamAccept).close());
        let before = bridge.accepted();
        bridge.add(on(Verb::StreamAccept).close());
        // The waiting ACCEPT ends by a stream, and all later ones fail.
        let peer = i2p.session().open().await.unwrap();
        peer.connect(session.address()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let count = bridge.accepted() - before;
        assert!(count < 20, "{count} connections in 2 s");
    });
}

#[test]
fn many_sessions_do_not_stampede() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let opened = (0..20).map(|_| {
            let i2p = i2p.clone();
            tokio::spawn(async move { i2p.session().open().await.unwrap() })
        });
        let mut sessions = Vec::new();
        for session in opened.collect::<Vec<_>>() {
            sessions.push(session.await.unwrap());
        }
        let mut events: Vec<_> = sessions.iter().map(|session| session.events()).collect();
        bridge.stop();
        for events in &mut events {
            events_until(events, |event| matches!(event, Event::Retrying { .. })).await;
        }
        let before = bridge.accepted();
        bridge.restart().await.unwrap();
        for events in &mut events {
            events_until(events, is_restored).await;
        }
        let count = bridge.accepted() - before;
        // Per session: the control connection, and for the proof a control, an ACCEPT or eight,
        // and a CONNECT; and one look at what the router is.
        assert!(count < 20 * 14, "{count} connections");
        let probes = bridge
            .seen_of(Verb::NamingLookup)
            .iter()
            .filter(|seen| seen.connection > before)
            .count();
        // None where the restart was so quick that no connection was refused.
        assert!(
            probes <= 1,
            "the router was asked {probes} times what it is"
        );
        let mut creates: Vec<_> = bridge
            .seen_of(Verb::SessionCreate)
            .iter()
            .filter(|seen| seen.connection > before)
            .map(|seen| seen.after)
            .collect();
        creates.sort();
        let spread = *creates.last().unwrap() - *creates.first().unwrap();
        assert!(spread > Duration::from_millis(50), "all within {spread:?}");
    });
}

#[test]
fn a_dropped_session_is_given_back() {
    run(async {
        for personality in Personality::ALL {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let listener = other.listen().await.unwrap();
            let (near, far) = tokio::join!(one.connect(other.address()), listener.accept());
            let sessions = bridge.sessions();
            drop(one);
            // A stream keeps its session.
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            exchange(&mut near, &mut far).await;
            drop(near);
            drop(far);
            until("the first is given back", || {
                bridge.sessions() == sessions / 2
            })
            .await;
            drop(listener);
            drop(other);
            until("nothing is left", || bridge.connections() == 0).await;
            assert_eq!(bridge.sessions(), 0, "{personality:?}");
        }
    });
}

#[test]
fn closing_drains() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let (near, mut far) = stream(&one, &other).await;
        // Not in time.
        let again = one.clone();
        assert!(!one.close(Duration::from_millis(100)).await);
        let error = again.connect(other.address()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        drop(near);
        let _ = far.read_u8().await;
        // In time, and no sooner than that.
        let peer = i2p.session().open().await.unwrap();
        let (near, _far) = stream(&peer, &other).await;
        let started = Instant::now();
        let dropping = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(near);
        };
        let (drained, ()) = tokio::join!(peer.close(Duration::from_secs(20)), dropping);
        assert!(drained);
        assert!(started.elapsed() >= Duration::from_millis(150));
        assert!(started.elapsed() < Duration::from_secs(10));
        until("one session is left", || bridge.sessions() == 2).await;
    });
}

#[test]
fn the_routers_ping_is_answered_at_any_moment() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let ping = |verb| on(verb).say("PING 17 of 20").expect("PONG 17 of 20");
        bridge.add(ping(Verb::SessionCreate));
        bridge.add(ping(Verb::SessionAdd));
        bridge.add(ping(Verb::StreamConnect));
        let (one, other) = pair(&i2p).await;
        let (mut near, mut far) = stream(&one, &other).await;
        exchange(&mut near, &mut far).await;
        assert_eq!(bridge.seen_of(Verb::Pong).len(), 5);
    });
}

#[test]
fn the_routers_keepalive_is_answered() {
    run(async {
        let bridge = ScriptedBridge::builder()
            .ping_every(Duration::from_millis(100))
            .start()
            .await
            .unwrap();
        let i2p = bridge.i2p().await.unwrap();
        let session = i2p.session().open().await.unwrap();
        let listener = session.listen().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(session.status().get().restored, 0);
        assert!(session.status().get().is_ready());
        drop(listener);
    });
}

#[test]
fn a_router_killed_during_healing_heals_all_the_same() {
    run(async {
        for rule in [
            on(Verb::Hello).times(2).close(),
            on(Verb::SessionCreate).times(2).close(),
            on(Verb::SessionAdd).times(2).reset(),
            on(Verb::SessionCreate)
                .times(2)
                .reply("SESSION STATUS RESULT=I2P_ERROR"),
            on(Verb::SessionCreate)
                .times(2)
                .reply("SESSION STATUS RESULT=DUPLICATED_DEST"),
            on(Verb::SessionCreate).times(1).garbage("\u{1}\n").close(),
        ] {
            let (bridge, i2p) = on_router(Personality::Java).await;
            let session = i2p.session().open().await.unwrap();
            let mut events = session.events();
            bridge.add(rule.clone());
            bridge.cut_control_connections();
            let seen = events_until(&mut events, is_restored).await;
            let retried = seen
                .iter()
                .filter(|event| matches!(event, Event::Retrying { .. }))
                .count();
            assert!(retried >= 1, "{rule:?}: {seen:?}");
        }
    });
}

#[test]
fn keys_that_the_router_no_longer_takes_end_the_session() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        bridge.add(on(Verb::SessionCreate).reply("SESSION STATUS RESULT=INVALID_KEY"));
        let listener = session.listen().await.unwrap();
        bridge.cut_control_connections();
        session.closed().await;
        assert_eq!(session.status().get().stage, Stage::Closed);
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadKey, "{error}");
    });
}
