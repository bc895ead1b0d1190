use std::time::Duration;

use ramson_wire::Instant;

use crate::*;

const T0: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);

fn client() -> Client {
    let mut client = Client::new(ClientConfig::default(), T0);
    assert_eq!(client.poll_transmit().unwrap(), b"HELLO VERSION\n");
    client
}

fn ready(version: &str) -> Client {
    let mut client = client();
    feed(
        &mut client,
        &format!("HELLO REPLY RESULT=OK VERSION={version}\n"),
    );
    assert_eq!(
        events(&mut client),
        [Event::Hello {
            version: version.parse().unwrap()
        }]
    );
    client
}

fn feed(client: &mut Client, text: &str) {
    client.handle_input(text.as_bytes(), T0);
}

fn events(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn ask(client: &mut Client, request: Request) {
    client.request(&request, Some(SECOND), T0).unwrap();
    assert!(client.poll_transmit().is_some());
}

fn connect(silent: bool) -> Request {
    Request::StreamConnect {
        id: "a".to_owned(),
        destination: "b".to_owned(),
        silent,
        from_port: None,
        to_port: None,
    }
}

fn accept(silent: bool) -> Request {
    Request::StreamAccept {
        id: "a".to_owned(),
        silent,
    }
}

fn lookup() -> Request {
    Request::NamingLookup {
        name: "a.i2p".to_owned(),
        options: false,
    }
}

#[test]
fn what_is_no_sam_bridge_is_said_so() {
    for (answer, first) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"[..],
            "HTTP/1.1 400 Bad Request",
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x46\n",
            "\\u{15}\\u{3}\\u{1}\\u{0}\\u{2}\\u{2}F",
        ),
        (b"220 mail\xff\xfe\n", "220 mail\\u{fffd}\\u{fffd}"),
    ] {
        let mut client = client();
        client.handle_input(answer, T0);
        let all = events(&mut client);
        if answer.contains(&0) {
            assert_eq!(all, [Event::Failed(Failure::Malformed(LineError::Nul))]);
        } else {
            let failure = Failure::NotSam {
                first_bytes: first.to_owned(),
            };
            assert_eq!(all, [Event::Failed(failure)]);
        }
        assert!(client.is_over());
    }
    // Without a newline the end tells, of the stream or of patience.
    let mut eof = client();
    feed(&mut eof, "SSH-2.0-x");
    assert_eq!(events(&mut eof), []);
    eof.handle_eof(T0);
    let expected = [Event::Failed(Failure::NotSam {
        first_bytes: "SSH-2.0-x".to_owned(),
    })];
    assert_eq!(events(&mut eof), expected);
    let mut late = client();
    feed(&mut late, "SSH-2.0-x");
    late.handle_timeout(late.poll_timeout().unwrap());
    assert_eq!(events(&mut late), expected);
}

#[test]
fn hello_can_fail_in_each_way() {
    let failure = |answer: &str| {
        let mut client = client();
        feed(&mut client, answer);
        let Some(Event::Failed(failure)) = events(&mut client).pop() else {
            panic!("no failure");
        };
        failure
    };
    assert_eq!(
        failure("HELLO REPLY RESULT=NOVERSION\n"),
        Failure::NoVersion { offered: None }
    );
    assert_eq!(
        failure("HELLO REPLY RESULT=OK VERSION=2.0\n"),
        Failure::NoVersion {
            offered: Some(Version { major: 2, minor: 0 })
        }
    );
    assert_eq!(
        failure("HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"no\"\n"),
        Failure::HelloRefused {
            result: ResultCode::I2pError,
            message: Some("no".to_owned())
        }
    );
    assert_eq!(
        failure("HELLO REPLY RESULT=I2P_ERROR\n").to_string(),
        "the SAM bridge refused the connection: I2P_ERROR"
    );
    assert_eq!(
        failure("HELLO REPLY RESULT=OK VERSION=x\n"),
        Failure::Unexpected {
            during: Awaited::Hello,
            error: ReplyError::BadVersion
        }
    );
    let mut closed = client();
    closed.handle_eof(T0);
    assert_eq!(
        events(&mut closed),
        [Event::Failed(Failure::Closed {
            during: Awaited::Hello
        })]
    );
    let mut silent = client();
    silent.handle_timeout(T0 + Duration::from_secs(29));
    assert_eq!(events(&mut silent), []);
    silent.handle_timeout(T0 + Duration::from_secs(30));
    assert_eq!(
        events(&mut silent),
        [Event::Failed(Failure::TimedOut {
            waiting_for: Awaited::Hello
        })]
    );
    let config = ClientConfig {
        min: Some(Version::V3_1),
        max: Some(Version::V3_2),
        user: Some("u".to_owned()),
        password: Some("p q".into()),
        ..ClientConfig::default()
    };
    let mut client = Client::new(config, T0);
    assert_eq!(
        client.poll_transmit().unwrap(),
        b"HELLO VERSION MIN=3.1 MAX=3.2 USER=u PASSWORD=\"p q\"\n"
    );
    feed(&mut client, "HELLO REPLY RESULT=OK VERSION=3.3\n");
    let offered = Some(Version::V3_3);
    assert_eq!(
        events(&mut client),
        [Event::Failed(Failure::NoVersion { offered })]
    );
}

#[test]
fn a_line_without_end_is_refused_and_freed() {
    let mut client = client();
    for _ in 0..1024 {
        client.handle_input(&[b'A'; 1024], T0);
    }
    assert_eq!(
        events(&mut client),
        [Event::Failed(Failure::TooLong {
            limit: DEFAULT_LINE_LIMIT
        })]
    );
    assert!(client.into_remainder().is_empty());
    let mut client = ready("3.3");
    client.handle_input(&vec![b'A'; 1 << 20], T0);
    assert_eq!(
        events(&mut client),
        [Event::Failed(Failure::TooLong {
            limit: DEFAULT_LINE_LIMIT
        })]
    );
}

#[test]
fn one_request_at_a_time() {
    let mut client = client();
    let busy = |waiting_for| Err(StateError::Busy { waiting_for });
    assert_eq!(client.request(&lookup(), None, T0), busy(Awaited::Hello));
    feed(&mut client, "HELLO REPLY RESULT=OK VERSION=3.3\n");
    ask(&mut client, lookup());
    assert_eq!(
        client.request(&connect(false), None, T0),
        busy(Awaited::NamingLookup)
    );
    assert_eq!(
        client.request(&Request::Ping("x".to_owned()), None, T0),
        Ok(())
    );
    assert_eq!(client.poll_transmit().unwrap(), b"PING x\n");
    events(&mut client);
    feed(
        &mut client,
        "PING 77\nPONG x\nNAMING REPLY RESULT=KEY_NOT_FOUND NAME=a.i2p\n",
    );
    assert_eq!(client.poll_transmit().unwrap(), b"PONG 77\n");
    let all = events(&mut client);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0], Event::Pong("x".to_owned()));
    assert!(matches!(&all[1], Event::Reply(Reply::Naming { .. })));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(
        client.request(
            &Request::NamingLookup {
                name: "\n".to_owned(),
                options: false
            },
            None,
            T0
        ),
        Err(StateError::Unencodable(EncodeError::LineEnd {
            key: "NAME".to_owned()
        }))
    );
}

#[test]
fn connect_hands_over_the_very_next_byte() {
    for silent in [false, true] {
        let mut client = ready("3.3");
        ask(&mut client, connect(silent));
        if !silent {
            feed(&mut client, "STREAM STATUS RESULT=OK\n");
        }
        client.handle_input(b"\r\n\0\xffPING 1\n", T0);
        assert_eq!(events(&mut client), [Event::Connected]);
        assert!(client.is_stream());
        assert_eq!(client.poll_timeout(), None);
        client.handle_eof(T0);
        assert_eq!(events(&mut client), []);
        assert_eq!(client.into_remainder(), b"\r\n\0\xffPING 1\n");
    }
}

#[test]
fn refusals_leave_the_connection_usable() {
    let mut client = ready("3.1");
    ask(&mut client, connect(false));
    feed(
        &mut client,
        "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=Connection failed\n",
    );
    assert_eq!(
        events(&mut client),
        [Event::Reply(Reply::StreamStatus {
            result: ResultCode::CantReachPeer,
            message: Some("Connection failed".to_owned())
        })]
    );
    // What Java I2P says to anything that throws.
    ask(&mut client, connect(false));
    feed(
        &mut client,
        "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"x\"\n",
    );
    assert!(matches!(
        &events(&mut client)[..],
        [Event::Reply(Reply::SessionStatus { .. })]
    ));
    ask(&mut client, lookup());
    client.handle_eof(T0);
    assert_eq!(
        events(&mut client),
        [Event::Failed(Failure::Closed {
            during: Awaited::NamingLookup
        })]
    );
    assert_eq!(client.request(&lookup(), None, T0), Err(StateError::Over));
}

#[test]
fn refusals_without_a_newline_are_read_at_the_end() {
    let text = "STREAM STATUS RESULT=CANT_REACH_PEER";
    let refusal = Event::Reply(Reply::StreamStatus {
        result: ResultCode::CantReachPeer,
        message: None,
    });
    let mut eof = ready("3.3");
    ask(&mut eof, connect(false));
    feed(&mut eof, text);
    eof.handle_eof(T0);
    let closed = Event::Failed(Failure::Closed {
        during: Awaited::Nothing,
    });
    assert_eq!(events(&mut eof), [refusal.clone(), closed]);
    let mut late = ready("3.3");
    ask(&mut late, connect(false));
    feed(&mut late, text);
    late.handle_timeout(T0 + SECOND);
    assert_eq!(events(&mut late), [refusal]);
    // A good answer might have been cut.
    let mut cut = ready("3.3");
    ask(&mut cut, lookup());
    feed(&mut cut, "NAMING REPLY RESULT=OK NAME=a.i2p VALUE=abc");
    cut.handle_eof(T0);
    assert_eq!(
        events(&mut cut),
        [Event::Failed(Failure::Closed {
            during: Awaited::NamingLookup
        })]
    );
}

#[test]
fn accept_waits_for_the_peer() {
    let mut client = ready("3.2");
    ask(&mut client, accept(false));
    feed(&mut client, "STREAM STATUS RESULT=OK\n");
    assert_eq!(events(&mut client), [Event::Accepting]);
    assert_eq!((client.poll_timeout(), client.is_stream()), (None, false));
    feed(&mut client, "PING 5\nabc== FROM_PORT=1 TO_PORT=2\nhello");
    assert_eq!(client.poll_transmit().unwrap(), b"PONG 5\n");
    let peer = PeerLine {
        destination: "abc==".to_owned(),
        from_port: Some(1),
        to_port: Some(2),
    };
    assert_eq!(events(&mut client), [Event::Accepted { peer }]);
    assert_eq!(client.into_remainder(), b"hello");

    let mut client = ready("3.2");
    ask(&mut client, accept(false));
    feed(
        &mut client,
        "STREAM STATUS RESULT=OK\nSTREAM STATUS RESULT=I2P_ERROR\n",
    );
    assert!(matches!(
        &events(&mut client)[..],
        [Event::Accepting, Event::Reply(Reply::StreamStatus { .. })]
    ));

    let mut client = ready("3.2");
    ask(&mut client, accept(false));
    feed(&mut client, "STREAM STATUS RESULT=OK\nabc");
    client.handle_eof(T0);
    let closed = Event::Failed(Failure::Closed {
        during: Awaited::Peer,
    });
    assert_eq!(events(&mut client), [Event::Accepting, closed]);

    let mut client = ready("3.2");
    ask(&mut client, accept(true));
    assert_eq!(events(&mut client), [Event::Accepting]);
    assert!(client.is_stream());
}

#[test]
fn forward_keeps_reading() {
    let mut client = ready("3.3");
    let forward = Request::StreamForward {
        id: "a".to_owned(),
        host: None,
        port: 80,
        silent: true,
        ssl: false,
    };
    ask(&mut client, forward);
    feed(
        &mut client,
        "STREAM STATUS RESULT=OK\nSESSION STATUS RESULT=I2P_ERROR\n",
    );
    assert!(matches!(
        &events(&mut client)[..],
        [
            Event::Forwarding,
            Event::Notice(Reply::SessionStatus { .. })
        ]
    ));
}

#[test]
fn datagrams_come_between_answers() {
    let mut client = ready("3.3");
    ask(&mut client, lookup());
    client.handle_input(b"RAW RECEIVED SIZE=3 PROTOCOL=18\na\nb", T0);
    client.handle_input(b"DATAGRAM RECEIVED DESTINATION=x= SIZE=0 TO_PORT=9\n", T0);
    feed(&mut client, "NAMING REPLY RESULT=OK NAME=a.i2p VALUE=v\n");
    let all = events(&mut client);
    assert_eq!(
        all[0],
        Event::Raw {
            protocol: Some(18),
            from_port: None,
            to_port: None,
            payload: b"a\nb".to_vec()
        }
    );
    assert_eq!(
        all[1],
        Event::Datagram {
            destination: "x=".to_owned(),
            from_port: None,
            to_port: Some(9),
            payload: Vec::new()
        }
    );
    assert!(matches!(all[2], Event::Reply(Reply::Naming { .. })));
    let send = Request::RawSend {
        destination: "d".to_owned(),
        size: 0,
        protocol: None,
        from_port: None,
        to_port: Some(4),
        options: SessionOptions::default(),
    };
    client.send_datagram(&send, b"x\ny").unwrap();
    assert_eq!(
        client.poll_transmit().unwrap(),
        b"RAW SEND DESTINATION=d SIZE=3 TO_PORT=4\nx\ny"
    );
    assert_eq!(
        client.send_datagram(&send, &vec![0; PAYLOAD_LIMIT + 1]),
        Err(StateError::TooLong {
            limit: PAYLOAD_LIMIT
        })
    );
    assert_eq!(
        client.request(&send, None, T0),
        Err(StateError::WrongRequest { command: "RAW" })
    );
    client.handle_input(b"RAW RECEIVED SIZE=3\na", T0);
    client.handle_eof(T0);
    let closed = Event::Failed(Failure::Closed {
        during: Awaited::Payload,
    });
    assert_eq!(events(&mut client), [closed]);
}

#[test]
fn what_nobody_polls_stays_bounded() {
    let mut client = ready("3.3");
    for _ in 0..100_000 {
        feed(&mut client, "PING x\nPONG y\nWHAT\n");
    }
    assert!(client.dropped() > 200_000);
    assert!(events(&mut client).len() <= 4096);
    assert!(std::iter::from_fn(|| client.poll_transmit()).count() <= 4096);
    let datagram = [&b"RAW RECEIVED SIZE=65536\n"[..], &[7; 65536]].concat();
    for _ in 0..100 {
        client.handle_input(&datagram, T0);
    }
    assert_eq!(events(&mut client).len(), 16);
}

#[test]
fn bad_lines_end_the_machine() {
    let failure = |bytes: &[u8]| {
        let mut client = ready("3.3");
        client.handle_input(bytes, T0);
        events(&mut client).pop()
    };
    let failed = |failure| Some(Event::Failed(failure));
    assert_eq!(
        failure(b"\xff\n"),
        failed(Failure::Malformed(LineError::NotUtf8))
    );
    assert_eq!(
        failure(b"a\0\n"),
        failed(Failure::Malformed(LineError::Nul))
    );
    let error = ReplyError::Missing { key: "RESULT" };
    let during = Awaited::Nothing;
    assert_eq!(
        failure(b"STREAM STATUS\n"),
        failed(Failure::Unexpected { during, error })
    );
    assert_eq!(failure(b"\n \r\n"), None);
}
