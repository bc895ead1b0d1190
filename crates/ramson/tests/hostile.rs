//! What a hostile reviewer broke once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{events_until, is_restored, on as on_router, pair, run, stream};
use ramson::testing::{Personality, ScriptedBridge, Timing, Verb, on};
use ramson::{
    DatagramKind, Error, ErrorKind, Event, ListenOptions, LostCause, PrivateKeys, keys,
    stream_error,
};
use tokio::io::AsyncWriteExt;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn nothing_is_written_into_a_session_that_is_lost() {
    run(async {
        for personality in Personality::ALL {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let (near, _far) = stream(&one, &other).await;
            let (_reader, mut writer) = near.into_split();
            let mut events = one.events();
            bridge.cut_control_connections();
            events_until(&mut events, is_restored).await;
            for outcome in [writer.write_all(b"the end").await, writer.shutdown().await] {
                let error = outcome.unwrap_err();
                let kind = stream_error(&error).map(Error::kind);
                assert_eq!(
                    kind,
                    Some(ErrorKind::RouterLost),
                    "{personality:?}: {error}"
                );
            }
        }
    });
}

#[test]
fn renewals_asked_while_healing_do_not_pile_up() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let mut events = session.events();
        bridge.stop();
        events_until(&mut events, |event| matches!(event, Event::Retrying { .. })).await;
        for _ in 0..3 {
            session.renew().await.unwrap();
        }
        bridge.restart().await.unwrap();
        events_until(&mut events, is_restored).await;
        tokio::time::sleep(millis(1000)).await;
        while let Some(event) = events.try_next() {
            assert!(!matches!(event, Event::Lost { .. }), "{event:?}");
        }
    });
}

#[test]
fn commands_do_not_keep_the_router_from_being_checked() {
    run(async {
        let bridge = ScriptedBridge::start().await.unwrap();
        let mut timing = Timing::quick();
        timing.alive = millis(200);
        let builder = bridge.i2p_builder().timing(timing).check_every(millis(100));
        let i2p = builder.start().await.unwrap();
        let kinds = [DatagramKind::Datagram1];
        let session = i2p.session().datagram_kinds(&kinds).open().await.unwrap();
        let mut events = session.events();
        bridge.go_silent();
        let asking = tokio::spawn(async move {
            loop {
                let _ = session.datagrams().deadline(millis(100)).open().await;
                tokio::time::sleep(millis(20)).await;
            }
        });
        let seen = events_until(&mut events, |event| matches!(event, Event::Lost { .. })).await;
        let cause = LostCause::NoAnswer;
        assert_eq!(seen.last(), Some(&Event::Lost { cause }), "{seen:?}");
        assert!(!seen.iter().any(|event| matches!(event, Event::Woke { .. })));
        asking.abort();
    });
}

#[test]
fn a_datagram_session_that_never_comes_does_not_hide_a_loss() {
    run(async {
        let (bridge, i2p) = on_router(Personality::I2pd59).await;
        let session = i2p.session().open().await.unwrap();
        let mut events = session.events();
        let silent = on(Verb::SessionCreate)
            .containing("STYLE=DATAGRAM")
            .silence();
        bridge.add(silent);
        let opening = session.clone();
        let open = tokio::spawn(async move { opening.datagrams().open().await.map(|_| ()) });
        tokio::time::sleep(millis(200)).await;
        bridge.cut_control_connections();
        let started = Instant::now();
        events_until(&mut events, |event| matches!(event, Event::Lost { .. })).await;
        assert!(started.elapsed() < Duration::from_secs(10));
        open.abort();
    });
}

#[test]
fn a_refused_datagram_kind_leaves_the_session_alone() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        bridge.add(on(Verb::SessionCreate).delay(millis(300)));
        let refusal = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no raw\"";
        bridge.add(on(Verb::SessionAdd).containing("STYLE=RAW").reply(refusal));
        let session = i2p.session().start().await.unwrap();
        let opening = session.clone();
        let raw = tokio::spawn(async move {
            let raw = opening.datagrams().kind(DatagramKind::Raw);
            raw.open().await.map(|_| ())
        });
        session.ready(Duration::from_secs(10)).await.unwrap();
        let error = raw.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionRefused);
        session.listen().await.unwrap();
    });
}

#[test]
fn another_destination_than_ours_is_refused() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let other = PrivateKeys::generate().destination().to_base64();
        let reply = format!("SESSION STATUS RESULT=OK DESTINATION={other}");
        bridge.add(on(Verb::SessionCreate).reply(reply));
        let error = i2p.session().open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RouterIncompatible, "{error}");
    });
}

#[test]
fn keys_are_free_at_the_router_once_a_session_is_closed() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let keys = PrivateKeys::generate();
        for _ in 0..50 {
            let session = i2p.session().keys(keys.clone()).open().await.unwrap();
            session.close(millis(10)).await;
        }
        drop(bridge);
    });
}

#[test]
fn any_number_of_streams_may_be_allowed() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let options = ListenOptions::new().max_streams(usize::MAX);
        session.listen_with(options).await.unwrap();
    });
}

#[cfg(unix)]
#[test]
fn key_files_are_private_and_never_go_through_links() {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let create =
        |name: &str| keys::create(at(name), &PrivateKeys::generate(), keys::KeyFormat::Raw);
    // What a killed program, or somebody else, left.
    fs::write(at(".open.new"), b"").unwrap();
    fs::set_permissions(at(".open.new"), fs::Permissions::from_mode(0o666)).unwrap();
    create("open").unwrap();
    assert_eq!(fs::metadata(at("open")).unwrap().mode() & 0o777, 0o600);

    fs::write(at("victim"), b"precious").unwrap();
    symlink(at("victim"), at(".linked.new")).unwrap();
    assert_eq!(create("linked").unwrap_err().kind(), ErrorKind::BadKey);
    assert_eq!(fs::read(at("victim")).unwrap(), b"precious");

    symlink(at("not-mounted/keys"), at("away")).unwrap();
    assert_eq!(create("away").unwrap_err().kind(), ErrorKind::BadKey);
    assert!(fs::symlink_metadata(at("away")).unwrap().is_symlink());
}
