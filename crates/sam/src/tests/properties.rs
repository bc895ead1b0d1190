use proptest::prelude::*;
use ramson_wire::Instant;

use crate::*;

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9~=-]{1,20}",
        "[^\\x00\r\n]{1,12}",
        "[ \t\"\\\\=aä]{1,8}",
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9]{1,8}", "[^\\s\\x00]{1,8}"]
}

fn options() -> impl Strategy<Value = SessionOptions> {
    let pair = (
        "[a-z][a-zA-Z.]{0,10}",
        prop_oneof![value(), Just(String::new())],
    );
    prop::collection::vec(pair, 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(Version::ALL.to_vec())
}

fn port() -> impl Strategy<Value = Option<u16>> {
    prop::option::of(any::<u16>())
}

fn byte() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(any::<u8>())
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    prop::option::of(value())
}

fn request() -> impl Strategy<Value = Request> {
    let hello = (
        prop::option::of(version()),
        prop::option::of(version()),
        maybe(),
        maybe(),
        options(),
    )
        .prop_map(|(min, max, user, password, extra)| Request::Hello {
            min,
            max,
            user,
            password: password.map(Secret::new),
            extra: extra.0,
        });
    let spec = prop_oneof![
        maybe().prop_map(|signature_type| DestinationSpec::Transient { signature_type }),
        "[A-Za-z0-9~-]{1,30}={0,2}".prop_map(|keys| DestinationSpec::Keys(keys.into())),
    ];
    let style = prop::sample::select(Style::ALL.to_vec());
    let session = (
        (any::<bool>(), style, id(), spec, options(), maybe(), port()),
        (port(), port(), byte(), port(), byte(), any::<bool>()),
    )
        .prop_map(
            |(
                (create, style, id, destination, options, host, port),
                (from_port, to_port, protocol, listen_port, listen_protocol, header),
            )| {
                let params = SessionParams {
                    options,
                    host,
                    port,
                    from_port,
                    to_port,
                    protocol,
                    listen_port,
                    listen_protocol,
                    header,
                };
                match create {
                    true => Request::SessionCreate {
                        style,
                        id,
                        destination,
                        params,
                    },
                    false => Request::SessionAdd { style, id, params },
                }
            },
        );
    let connect = (id(), value(), any::<bool>(), port(), port()).prop_map(
        |(id, destination, silent, from_port, to_port)| Request::StreamConnect {
            id,
            destination,
            silent,
            from_port,
            to_port,
        },
    );
    let forward = (id(), maybe(), any::<u16>(), any::<bool>(), any::<bool>()).prop_map(
        |(id, host, port, silent, ssl)| Request::StreamForward {
            id,
            host,
            port,
            silent,
            ssl,
        },
    );
    let send = (
        any::<bool>(),
        value(),
        0..=PAYLOAD_LIMIT,
        byte(),
        port(),
        port(),
        options(),
    )
        .prop_map(
            |(raw, destination, size, protocol, from_port, to_port, options)| match raw {
                true => Request::RawSend {
                    destination,
                    size,
                    protocol,
                    from_port,
                    to_port,
                    options,
                },
                false => Request::DatagramSend {
                    destination,
                    size,
                    from_port,
                    to_port,
                    options,
                },
            },
        );
    prop_oneof![
        hello,
        session,
        connect,
        forward,
        send,
        id().prop_map(|id| Request::SessionRemove { id }),
        (id(), any::<bool>()).prop_map(|(id, silent)| Request::StreamAccept { id, silent }),
        (value(), any::<bool>())
            .prop_map(|(name, options)| Request::NamingLookup { name, options }),
        maybe().prop_map(|signature_type| Request::DestGenerate { signature_type }),
        value().prop_map(Request::Ping),
        value().prop_map(Request::Pong),
        (value(), value()).prop_map(|(user, password)| {
            Request::Auth(Auth::Add {
                user,
                password: password.into(),
            })
        }),
        value().prop_map(|user| Request::Auth(Auth::Remove { user })),
        prop::sample::select(vec![
            Request::Auth(Auth::Enable),
            Request::Auth(Auth::Disable),
            Request::Help,
            Request::Quit,
            Request::Stop,
            Request::Exit,
        ]),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let result = || value().prop_map(|word| ResultCode::from(&*word));
    let text = || prop::option::of(prop_oneof![value(), Just(String::new())]);
    prop_oneof![
        (result(), prop::option::of(version()), text()).prop_map(|(result, version, message)| {
            Reply::Hello {
                result,
                version,
                message,
            }
        }),
        (result(), text(), text(), text()).prop_map(|(result, destination, id, message)| {
            let destination = destination.map(Secret::new);
            Reply::SessionStatus {
                result,
                destination,
                id,
                message,
            }
        }),
        (result(), text()).prop_map(|(result, message)| Reply::StreamStatus { result, message }),
        (result(), text(), text(), text(), options()).prop_map(
            |(result, name, value, message, extra)| {
                let extra = extra
                    .0
                    .into_iter()
                    .map(|(k, v)| (format!("OPTION:{k}"), v))
                    .collect();
                Reply::Naming {
                    result,
                    name,
                    value,
                    message,
                    extra,
                }
            }
        ),
        (value(), value()).prop_map(|(public, private)| Reply::Dest {
            public,
            private: private.into()
        }),
        (result(), text()).prop_map(|(result, message)| Reply::DestError { result, message }),
        value().prop_map(Reply::Ping),
        value().prop_map(Reply::Pong),
        (value(), 0..=PAYLOAD_LIMIT, port(), port()).prop_map(
            |(destination, size, from_port, to_port)| Reply::DatagramReceived {
                destination,
                size,
                from_port,
                to_port
            }
        ),
        (0..=PAYLOAD_LIMIT, byte(), port(), port()).prop_map(
            |(size, protocol, from_port, to_port)| Reply::RawReceived {
                size,
                protocol,
                from_port,
                to_port
            }
        ),
        (
            prop::sample::select(vec!["AUTH", "HELP", "QUIT", "RAW"]),
            result(),
            text()
        )
            .prop_map(|(command, result, message)| Reply::Status {
                command: command.to_owned(),
                result,
                message
            }),
    ]
}

/// Bytes that look like a bridge's, with garbage among them.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (reply(), version()).prop_map(|(reply, version)| reply.encode(version).into_bytes()),
        2 => (request(), version()).prop_map(|(r, version)| r.encode(version).into_bytes()),
        2 => prop::sample::select(vec![
            &b"HELLO REPLY RESULT=OK VERSION=3.3\n"[..],
            b"STREAM STATUS RESULT=OK\n",
            b"PING 1\n",
            b"RAW RECEIVED SIZE=3\nabc",
            b"RAW SEND DESTINATION=d SIZE=2\nab",
            b"abc== FROM_PORT=1 TO_PORT=2\n",
            b"\n",
            b"STREAM STATUS RESULT=I2P_ERROR",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..60usize, 1..20)
}

/// Splits into pieces of the given lengths, over and over.
fn split<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(*cut));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Runs a client that asks the given thing as soon as it can.
fn run_client(pieces: &[&[u8]], ask: &Request) -> (Vec<Event>, Vec<Vec<u8>>, Vec<u8>) {
    let now = Instant::ZERO;
    let mut client = Client::new(
        ClientConfig {
            line_limit: 300,
            ..Default::default()
        },
        now,
    );
    client.handle_input(b"HELLO REPLY RESULT=OK VERSION=3.3\n", now);
    let _ = client.request(ask, None, now);
    for piece in pieces {
        client.handle_input(piece, now);
    }
    client.handle_eof(now);
    let events = std::iter::from_fn(|| client.poll_event()).collect();
    let sent = std::iter::from_fn(|| client.poll_transmit()).collect();
    (events, sent, client.into_remainder())
}

fn run_bridge(pieces: &[&[u8]]) -> (Vec<BridgeEvent>, Vec<u8>) {
    let now = Instant::ZERO;
    let mut bridge = Bridge::new(
        BridgeLimits {
            line_limit: 300,
            ..Default::default()
        },
        now,
    );
    bridge.handle_input(b"HELLO VERSION\n", now);
    assert!(bridge.poll_event().is_some());
    bridge.welcome(None, None);
    let mut events = Vec::new();
    for piece in pieces {
        bridge.handle_input(piece, now);
        while let Some(event) = bridge.poll_event() {
            let stream = matches!(event, BridgeEvent::Request(Request::StreamConnect { .. }));
            events.push(event);
            if stream {
                bridge.begin_stream();
            }
        }
    }
    bridge.handle_eof(now);
    events.extend(std::iter::from_fn(|| bridge.poll_event()));
    (events, bridge.into_remainder())
}

proptest! {
    #[test]
    fn requests_read_back_the_same(request in request()) {
        prop_assert_eq!(request.check(), Ok(()));
        let text = request.encode(Version::V3_3);
        prop_assert_eq!(text.matches('\n').count(), 1);
        let line = Line::parse_request(&text).unwrap();
        prop_assert_eq!(Request::parse(&line), Ok(request.clone()), "{:?}", text);
        for version in Version::ALL {
            let line = Line::parse_request(&request.encode(version)).unwrap();
            let read = Request::parse(&line).unwrap();
            if request.minimum_version() <= version {
                prop_assert_eq!(&read, &request);
            }
        }
    }

    #[test]
    fn replies_read_back_the_same(reply in reply()) {
        let text = reply.encode(Version::V3_3);
        prop_assert_eq!(text.matches('\n').count(), 1);
        let line = Line::parse_reply(&text).unwrap();
        prop_assert_eq!(Reply::parse(&line), Ok(reply), "{:?}", text);
    }

    #[test]
    fn datagram_headers_read_back_the_same(
        version in version(), id in id(), destination in id(), ports in (port(), port(), byte()),
        options in options(), payload in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let (from_port, to_port, protocol) = ports;
        let header = SendHeader { version, id, destination, from_port, to_port, protocol, options };
        let mut out = Vec::new();
        header.encode(&payload, &mut out).unwrap();
        let (read, rest) = SendHeader::parse(&out).unwrap();
        prop_assert_eq!(rest, &payload);
        if version >= Version::V3_2 {
            prop_assert_eq!(read, header);
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = Line::parse_request(&text).map(|line| Request::parse(&line));
        let _ = Line::parse_reply(&text).map(|line| Reply::parse(&line));
        let _ = PeerLine::parse(&text);
        let _ = SendHeader::parse(text.as_bytes());
        let _ = RawHeader::parse(text.as_bytes());
    }

    #[test]
    fn a_client_sees_the_same_in_any_pieces(noise in noise(), cuts in cuts(), ask in request()) {
        let whole = run_client(&[&noise], &ask);
        let pieces = run_client(&split(&noise, &cuts), &ask);
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn a_bridge_sees_the_same_in_any_pieces(noise in noise(), cuts in cuts()) {
        prop_assert_eq!(run_bridge(&[&noise]), run_bridge(&split(&noise, &cuts)));
    }
}
