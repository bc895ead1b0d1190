//! Routers that are wrong, and what is said about them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "tests"
)]

mod common;

use std::time::{Duration, Instant};

use common::{assert_text, on as on_router, run, until};
use ramson::testing::{Personality, Rule, ScriptedBridge, Verb, on};
use ramson::{ConnectOptions, Error, ErrorKind, I2p};

const SWITCHED_ON: &str = "check that the router runs, that SAM is switched on";
const SAM_PORT: &str = "check that the port is that of a SAM v3 bridge";

/// What starting on a bridge with this rule says.
async fn start_error(rule: Rule) -> Error {
    let bridge = ScriptedBridge::start().await.unwrap();
    bridge.add(rule);
    bridge.i2p().await.expect_err("it started")
}

/// What opening a session on a bridge with this rule says.
async fn open_error(rule: Rule) -> Error {
    let bridge = ScriptedBridge::start().await.unwrap();
    let i2p = bridge.i2p().await.unwrap();
    bridge.add(rule);
    let error = i2p.session().open().await.expect_err("it opened");
    drop(i2p);
    until("nothing is left at the bridge", || {
        bridge.connections() == 0
    })
    .await;
    error
}

#[test]
fn a_port_where_nobody_listens() {
    run(async {
        let bridge = ScriptedBridge::start().await.unwrap();
        bridge.stop();
        let error = bridge.i2p().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RouterUnreachable);
        assert_text(&error, &["no connection", SWITCHED_ON], &[]);
        assert!(error.detail().contains("127.0.0.1:"), "{}", error.detail());
    });
}

#[test]
fn a_host_name_that_does_not_resolve() {
    run(async {
        let error = I2p::builder()
            .sam("does-not-exist.invalid:7656")
            .start()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RouterUnreachable);
        assert_text(&error, &["does not resolve", SWITCHED_ON], &["invalid:"]);
    });
}

#[test]
fn an_http_server() {
    run(async {
        let page = "HTTP/1.1 400 Bad Request\r\nServer: www.example.i2p\r\n\r\n";
        let error = start_error(on(Verb::Hello).garbage(page).close()).await;
        assert_eq!(error.kind(), ErrorKind::RouterIncompatible);
        assert_text(&error, &["HTTP", SAM_PORT], &["example"]);
    });
}

#[test]
fn one_that_closes_at_once() {
    run(async {
        for rule in [
            on(Verb::Open).close(),
            on(Verb::Hello).close(),
            on(Verb::Hello).reset(),
            on(Verb::Hello).garbage("HELLO REP").close(),
        ] {
            let error = start_error(rule).await;
            assert_eq!(error.kind(), ErrorKind::RouterUnreachable, "{error}");
            assert_text(&error, &["HELLO", SWITCHED_ON], &[]);
        }
    });
}

#[test]
fn one_that_closes_after_hello() {
    run(async {
        let hello = on(Verb::Hello).reply("HELLO REPLY RESULT=OK VERSION=3.3");
        let error = open_error(hello.close()).await;
        assert_eq!(error.kind(), ErrorKind::RouterLost);
        assert_text(&error, &["SESSION CREATE", SWITCHED_ON], &[]);
    });
}

#[test]
fn a_megabyte_without_a_newline() {
    run(async {
        let error = start_error(on(Verb::Hello).garbage(vec![b'x'; 1 << 20])).await;
        assert_eq!(error.kind(), ErrorKind::RouterIncompatible);
        assert_text(&error, &["line of more than", SAM_PORT], &[]);
        let error = open_error(on(Verb::SessionCreate).garbage(vec![b'x'; 1 << 20])).await;
        assert_eq!(error.kind(), ErrorKind::RouterIncompatible);
        assert_text(&error, &["line of more than", SAM_PORT], &[]);
    });
}

#[test]
fn one_that_never_answers() {
    run(async {
        let started = Instant::now();
        let error = start_error(on(Verb::Hello).silence()).await;
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_text(&error, &["HELLO", SWITCHED_ON], &[]);
        assert!(started.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn a_session_that_is_never_ready() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        bridge.add(on(Verb::SessionCreate).silence());
        let builder = i2p.session().ready_within(Duration::from_millis(300));
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_text(&error, &["0.3 s", "the router to build tunnels"], &[]);
        until("the session is given up", || bridge.connections() == 0).await;
    });
}

#[test]
fn invalid_utf8_and_nonsense() {
    run(async {
        for bytes in [
            &b"HELLO REPLY RESULT=OK \xff\xfe\n"[..],
            b"HELLO REPLY VERSION=3.3\n",
            b"SESSION STATUS RESULT=OK\n",
            b"\0\0\0\0\n",
            b"\n\n\n\x16\x03\x01\x02\n",
        ] {
            let error = start_error(on(Verb::Hello).garbage(bytes).close()).await;
            assert_eq!(
                error.kind(),
                ErrorKind::RouterIncompatible,
                "{error} after {}",
                bytes.escape_ascii()
            );
            assert_text(&error, &[SAM_PORT], &[]);
        }
        for bytes in [
            &b"SESSION STATUS RESULT=\xff\n"[..],
            b"SESSION STATUS\n",
            b"STREAM STATUS\n",
        ] {
            let error = open_error(on(Verb::SessionCreate).garbage(bytes).close()).await;
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::RouterIncompatible | ErrorKind::RouterLost),
                "{error} after {}",
                bytes.escape_ascii()
            );
        }
    });
}

#[test]
fn no_common_version() {
    run(async {
        let error = start_error(on(Verb::Hello).reply("HELLO REPLY RESULT=NOVERSION")).await;
        assert_eq!(error.kind(), ErrorKind::RouterIncompatible);
        assert_text(&error, &["version", SAM_PORT], &[]);
    });
}

#[test]
fn a_wrong_login() {
    run(async {
        let bridge = ScriptedBridge::builder()
            .login("me", "secret")
            .start()
            .await
            .unwrap();
        for builder in [
            bridge.i2p_builder(),
            bridge.i2p_builder().login("me", "wr0ng"),
            bridge.i2p_builder().login("other", "secret"),
        ] {
            let error = builder.start().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LoginRefused);
            let secrets = ["secret", "wr0ng"];
            assert_text(&error, &["check the user and password"], &secrets);
        }
    });
}

#[test]
fn refused_sessions() {
    run(async {
        for (reply, kind, parts) in [
            (
                "RESULT=DUPLICATED_ID",
                ErrorKind::SessionRefused,
                ["DUPLICATED_ID", "try again"],
            ),
            (
                "RESULT=DUPLICATED_DEST",
                ErrorKind::KeyInUse,
                ["DUPLICATED_DEST", "another program"],
            ),
            (
                "RESULT=DUPLICATE_DEST",
                ErrorKind::KeyInUse,
                ["DUPLICATED_DEST", "another program"],
            ),
            (
                "RESULT=INVALID_KEY",
                ErrorKind::BadKey,
                ["INVALID_KEY", "other keys"],
            ),
            (
                "RESULT=I2P_ERROR",
                ErrorKind::SessionRefused,
                ["I2P_ERROR", "try again"],
            ),
            (
                "RESULT=I2P_ERROR MESSAGE=\"no tunnels: 3 tries\"",
                ErrorKind::SessionRefused,
                ["no tunnels: 3 tries", "try again"],
            ),
            (
                "RESULT=I2P_ERROR MESSAGE=failed for 10.1.2.3 at www.name.i2p of /home/me/x",
                ErrorKind::SessionRefused,
                ["failed for", "try again"],
            ),
            (
                "RESULT=SOMETHING_NEW",
                ErrorKind::SessionRefused,
                ["SOMETHING_NEW", "try again"],
            ),
        ] {
            let rule = on(Verb::SessionCreate).reply(format!("SESSION STATUS {reply}"));
            let error = open_error(rule).await;
            assert_eq!(error.kind(), kind, "{reply}: {error}");
            assert_text(&error, &parts, &["10.1.2.3", "www.name", "/home/me"]);
        }
    });
}

#[test]
fn a_router_killed_during_session_create() {
    run(async {
        for rule in [
            on(Verb::SessionCreate).close(),
            on(Verb::SessionCreate).reset(),
            on(Verb::SessionCreate).garbage("SESSION STA").close(),
        ] {
            let error = open_error(rule).await;
            assert_eq!(error.kind(), ErrorKind::RouterLost, "{error}");
            assert_text(&error, &["SESSION CREATE", SWITCHED_ON], &[]);
        }
    });
}

#[test]
fn a_router_killed_during_connect_and_restarted() {
    run(async {
        for personality in [Personality::Java, Personality::I2pd59] {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = common::pair(&i2p).await;
            let listener = other.listen().await.unwrap();
            bridge.add(on(Verb::StreamConnect).nth(1).silence());
            let restart = async {
                until("CONNECT comes", || {
                    !bridge.seen_of(Verb::StreamConnect).is_empty()
                })
                .await;
                bridge.restart().await.unwrap();
            };
            let connect = one.connect(other.destination());
            let (stream, far, ()) = tokio::join!(connect, listener.accept(), restart);
            common::exchange(&mut stream.unwrap(), &mut far.unwrap()).await;
        }
    });
}

#[test]
fn a_router_killed_during_connect_for_good() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = common::pair(&i2p).await;
        bridge.add(on(Verb::StreamConnect).silence());
        let options = ConnectOptions::new().deadline(Duration::from_secs(2));
        let kill = async {
            until("CONNECT comes", || {
                !bridge.seen_of(Verb::StreamConnect).is_empty()
            })
            .await;
            bridge.stop();
        };
        let (stream, ()) = tokio::join!(one.connect_with(other.destination(), options), kill);
        let error = stream.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert_text(&error, &["2.0 s"], &[]);
    });
}

#[test]
fn a_router_killed_during_close() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let started = Instant::now();
        let (closed, ()) = tokio::join!(session.close(Duration::from_secs(20)), async {
            bridge.stop();
        });
        assert!(closed);
        assert!(started.elapsed() < Duration::from_secs(10));
        let error = session.connect("name.i2p").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_text(&error, &["the session is closed"], &["name.i2p"]);
    });
}

#[test]
fn a_session_closes_while_the_router_hangs() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        bridge.go_silent();
        let started = Instant::now();
        assert!(session.close(Duration::from_secs(20)).await);
        assert!(started.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn refused_connections() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = common::pair(&i2p).await;
        let options = ConnectOptions::new().attempts(1);
        for (result, kind, parts) in [
            (
                "CANT_REACH_PEER MESSAGE=\"no LeaseSet of www.peer.i2p\"",
                ErrorKind::PeerUnreachable,
                ["offline", "again later"],
            ),
            (
                "PEER_NOT_FOUND",
                ErrorKind::PeerUnreachable,
                ["offline", "again later"],
            ),
            (
                "CONNECTION_REFUSED",
                ErrorKind::PeerRefused,
                ["refused", "listens"],
            ),
            (
                "TIMEOUT",
                ErrorKind::TimedOut,
                ["timed out", "the peer to answer"],
            ),
            (
                "I2P_ERROR",
                ErrorKind::PeerUnreachable,
                ["I2P_ERROR", "again later"],
            ),
        ] {
            bridge.clear_rules();
            bridge.add(on(Verb::StreamConnect).reply(format!("STREAM STATUS RESULT={result}")));
            let error = one
                .connect_with(other.destination(), options)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{result}: {error}");
            let peer = other.address().to_string();
            assert_text(&error, &parts, &["www.peer", &peer[..20]]);
        }
        bridge.clear_rules();
        bridge.add(on(Verb::StreamConnect).reply("STREAM STATUS RESULT=KEY_NOT_FOUND"));
        let error = one
            .connect_with("unknown-name.i2p", options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_text(&error, &["address book"], &["unknown-name"]);
        // After all that the session is as good as before.
        bridge.clear_rules();
        let (mut near, mut far) = common::stream(&one, &other).await;
        common::exchange(&mut near, &mut far).await;
    });
}

#[test]
fn names_that_nobody_knows() {
    run(async {
        for personality in Personality::ALL {
            let (_bridge, i2p) = on_router(personality).await;
            let error = i2p.lookup("unknown-name.i2p").await.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::NotFound,
                "{personality:?}: {error}"
            );
            assert_text(&error, &["address book"], &["unknown-name"]);
        }
    });
}

#[test]
fn look_ups_that_fail() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        for (rule, kind) in [
            (on(Verb::NamingLookup).silence(), ErrorKind::TimedOut),
            (on(Verb::NamingLookup).close(), ErrorKind::RouterLost),
            (
                on(Verb::NamingLookup).reply("NAMING REPLY RESULT=OK NAME=x VALUE=abc"),
                ErrorKind::RouterIncompatible,
            ),
        ] {
            bridge.clear_rules();
            bridge.add(rule);
            let error = i2p.lookup("some-name.i2p").await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_text(&error, &[], &["some-name"]);
        }
    });
}

#[test]
fn host_names_with_every_wrong_form() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        let keys = session.keys().to_base64().to_string();
        let destination = session.destination().to_base64();
        let cut = &destination[..destination.len() - 9];
        let b32 = session.address().to_string();
        for (text, part) in [
            ("", "empty"),
            (" www.i2p", "white space"),
            ("www .i2p", "white space"),
            ("http://www.i2p/", "URL"),
            ("www.i2p/path", "URL"),
            ("127.0.0.1", "IP address"),
            ("[::1]:80", "IP address"),
            ("www.example.com", ".i2p"),
            ("www", "ending"),
            ("www.i2p:99999", "port"),
            ("www.i2p:http", "port"),
            (".i2p", ""),
            ("a..b.i2p", ""),
            ("-a.i2p", ""),
            ("a_b.i2p", ""),
            ("abc.b32.i2p", "52"),
            (&format!("x.{b32}"), "52"),
            (&format!("1{}", &b32[1..]), "damaged"),
            (cut, "damaged"),
            (&keys, "private keys"),
        ] {
            let error = session.connect(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadAddress, "{text}");
            assert_text(&error, &[part], &["example.com", &keys[..40], &b32]);
            let error = i2p.lookup(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadAddress, "{text}");
        }
    });
}

#[test]
fn a_router_variable_and_endpoints_that_are_wrong() {
    run(async {
        for text in ["", ":7656", "host:0", "host:99999", "host:x", "a b"] {
            let error = I2p::builder().sam(text).start().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert_text(&error, &["write HOST:PORT"], &[]);
        }
    });
}
