use std::time::Duration;

use ramson_wire::Instant;

use crate::*;

const T0: Instant = Instant::ZERO;

fn bridge() -> Bridge {
    Bridge::new(BridgeLimits::default(), T0)
}

fn events(bridge: &mut Bridge) -> Vec<BridgeEvent> {
    std::iter::from_fn(|| bridge.poll_event()).collect()
}

fn sent(bridge: &mut Bridge) -> String {
    let bytes: Vec<u8> = std::iter::from_fn(|| bridge.poll_transmit())
        .flatten()
        .collect();
    String::from_utf8(bytes).unwrap()
}

fn ready(version: &str) -> Bridge {
    let mut bridge = bridge();
    bridge.handle_input(b"HELLO VERSION\n", T0);
    assert_eq!(events(&mut bridge).len(), 1);
    bridge.speak(version.parse().unwrap());
    bridge
}

#[test]
fn hello_comes_first() {
    let mut bridge = bridge();
    bridge.handle_input(
        b"\r\nNAMING LOOKUP NAME=a\nHELLO VERSION MIN=3.1 MAX=3.2 \r\n",
        T0,
    );
    let all = events(&mut bridge);
    assert_eq!(all[0], BridgeEvent::Bad(RequestError::NoHello));
    let BridgeEvent::Request(Request::Hello { min, max, .. }) = &all[1] else {
        panic!("no HELLO");
    };
    assert_eq!(bridge.welcome(*min, *max), Some(Version::V3_2));
    assert_eq!(sent(&mut bridge), "HELLO REPLY RESULT=OK VERSION=3.2\n");
    assert_eq!(bridge.version(), Some(Version::V3_2));
}

#[test]
fn no_version_closes() {
    let mut bridge = bridge();
    bridge.handle_input(b"HELLO VERSION MIN=4 \n", T0);
    assert_eq!(events(&mut bridge).len(), 1);
    assert_eq!(bridge.welcome(Some("4".parse().unwrap()), None), None);
    assert_eq!(sent(&mut bridge), "HELLO REPLY RESULT=NOVERSION\n");
    assert!(bridge.is_closed());
}

#[test]
fn what_follows_connect_is_the_streams() {
    let mut bridge = ready("3.3");
    bridge.handle_input(b"STREAM CONNECT ID=a DESTINATION=b\nQUIT\n\xff\n", T0);
    assert!(matches!(
        &events(&mut bridge)[..],
        [BridgeEvent::Request(_)]
    ));
    assert!(bridge.wants_input());
    bridge.handle_input(&[0; DEFAULT_LINE_LIMIT], T0);
    assert!(!bridge.wants_input());
    bridge.reply(&Reply::StreamStatus {
        result: ResultCode::Ok,
        message: None,
    });
    bridge.begin_stream();
    assert_eq!(sent(&mut bridge), "STREAM STATUS RESULT=OK\n");
    assert_eq!(events(&mut bridge), []);
    let rest = bridge.into_remainder();
    assert!(rest.starts_with(b"QUIT\n\xff\n"));
    assert_eq!(rest.len(), 7 + DEFAULT_LINE_LIMIT);
}

#[test]
fn a_refused_connect_reads_on() {
    let mut bridge = ready("3.3");
    bridge.handle_input(b"STREAM ACCEPT ID=a\nQUIT\n", T0);
    assert_eq!(events(&mut bridge).len(), 1);
    bridge.reply(&Reply::StreamStatus {
        result: ResultCode::InvalidId,
        message: None,
    });
    assert_eq!(events(&mut bridge), [BridgeEvent::Request(Request::Quit)]);
}

#[test]
fn peer_lines_follow_the_version() {
    let peer = PeerLine {
        destination: "abc".to_owned(),
        from_port: Some(1),
        to_port: Some(2),
    };
    for (version, line) in [
        ("3.0", "abc\n"),
        ("3.1", "abc\n"),
        ("3.2", "abc FROM_PORT=1 TO_PORT=2\n"),
    ] {
        let mut bridge = ready(version);
        bridge.send_peer(&peer);
        assert_eq!(sent(&mut bridge), line);
    }
}

#[test]
fn payloads_are_not_lines() {
    let mut bridge = ready("3.3");
    bridge.handle_input(
        b"RAW SEND DESTINATION=d SIZE=5\nQUIT\nDATAGRAM SEND DESTINATION=d SIZE=",
        T0,
    );
    let all = events(&mut bridge);
    assert!(matches!(&all[..], [BridgeEvent::Raw { payload, .. }] if payload == b"QUIT\n"));
    bridge.handle_input(b"1\n", T0);
    assert_eq!(events(&mut bridge), []);
    bridge.handle_input(b"xEXIT\n", T0);
    let all = events(&mut bridge);
    assert!(matches!(&all[0], BridgeEvent::Datagram { payload, .. } if payload == b"x"));
    assert_eq!(all[1], BridgeEvent::Request(Request::Exit));
    bridge.handle_input(b"RAW SEND DESTINATION=d SIZE=99999\n", T0);
    let bad = RequestError::BadNumber {
        key: "SIZE",
        max: PAYLOAD_LIMIT,
    };
    assert_eq!(events(&mut bridge), [BridgeEvent::Bad(bad)]);
    assert!(bridge.is_closed());
}

#[test]
fn bad_lines_are_told_and_the_end_is_too() {
    let mut bridge = ready("3.3");
    bridge.handle_input(b"FOO\n\xff\nSTREAM ACCEPT ID=a ID=b\nQUIT\nQU", T0);
    bridge.handle_eof(T0);
    let bad = |error: RequestError| BridgeEvent::Bad(error);
    assert_eq!(
        events(&mut bridge),
        [
            bad(RequestError::UnknownCommand {
                command: "FOO".to_owned()
            }),
            bad(LineError::NotUtf8.into()),
            bad(LineError::DuplicateKey {
                key: "ID".to_owned()
            }
            .into()),
            BridgeEvent::Request(Request::Quit),
            BridgeEvent::Eof,
        ]
    );
    let mut bridge = ready("3.3");
    bridge.handle_input(&vec![b'x'; DEFAULT_LINE_LIMIT + 1], T0);
    let limit = DEFAULT_LINE_LIMIT;
    assert_eq!(
        events(&mut bridge),
        [bad(LineError::TooLong { limit }.into())]
    );
    assert!(bridge.is_closed());
}

#[test]
fn each_timer_ends_the_connection() {
    let mut hello = bridge();
    hello.handle_timeout(hello.poll_timeout().unwrap());
    assert_eq!(
        events(&mut hello),
        [BridgeEvent::TimedOut(BridgeTimeout::Hello)]
    );
    assert_eq!(
        sent(&mut hello),
        "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Timeout waiting for HELLO VERSION\"\n"
    );
    assert!(hello.is_closed());

    let limits = BridgeLimits {
        command_timeout: Some(Duration::from_secs(60)),
        ..BridgeLimits::default()
    };
    let mut command = Bridge::new(limits, T0);
    command.handle_input(b"HELLO VERSION\n", T0);
    events(&mut command);
    command.welcome(None, None);
    sent(&mut command);
    command.handle_timeout(T0 + Duration::from_secs(60));
    assert_eq!(
        events(&mut command),
        [BridgeEvent::TimedOut(BridgeTimeout::Command)]
    );
    assert!(sent(&mut command).starts_with("SESSION STATUS RESULT=I2P_ERROR MESSAGE="));
}

#[test]
fn silence_is_asked_about_from_3_2_on() {
    let mut old = ready("3.1");
    old.handle_input(b"NAMING LOOKUP NAME=ME\n", T0);
    events(&mut old);
    assert_eq!(old.poll_timeout(), None);

    let mut bridge = ready("3.2");
    bridge.handle_input(b"NAMING LOOKUP NAME=ME\n", T0);
    assert_eq!(events(&mut bridge).len(), 1);
    let at = T0 + Duration::from_secs(180);
    assert_eq!(bridge.poll_timeout(), Some(at));
    bridge.handle_timeout(at);
    assert_eq!(sent(&mut bridge), "PING 180000\n");
    bridge.handle_input(b"PONG other\nPONG 180000\n", at);
    let unasked = BridgeEvent::Request(Request::Pong("other".to_owned()));
    assert_eq!(events(&mut bridge), [unasked]);
    let at = at + Duration::from_secs(180);
    bridge.handle_timeout(at);
    bridge.handle_timeout(at + Duration::from_secs(180));
    assert_eq!(
        events(&mut bridge),
        [BridgeEvent::TimedOut(BridgeTimeout::Pong)]
    );
    assert!(sent(&mut bridge).contains("PONG timeout"));
}
