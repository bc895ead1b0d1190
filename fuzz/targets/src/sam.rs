use std::iter;

use ramson_sam::{
    Bridge, BridgeEvent, BridgeLimits, Client, ClientConfig, Event, Line, LineBuffer, LineError,
    PeerLine, RawHeader, Reply, Request, SendHeader, SessionOptions, Version, encode_forwarded,
    parse_forwarded,
};
use ramson_wire::Instant;

const LINE_LIMIT: usize = 300;

/// Lines are the same in any pieces, and both readers take what the buffer gives.
pub fn sam_line(data: &[u8]) {
    let whole = lines(&[data]);
    let (cut, rest) = data
        .split_first()
        .map_or((1, data), |(cut, rest)| (*cut, rest));
    let size = usize::from(cut % 32) + 1;
    let pieces: Vec<&[u8]> = rest.chunks(size).collect();
    assert_eq!(lines(&[rest]), lines(&pieces));
    for line in whole.iter().flatten() {
        assert!(line.len() <= LINE_LIMIT && !line.contains('\n'));
        let strict = Line::parse_request(line);
        let lenient = Line::parse_reply(line);
        assert!(lenient.is_ok() || strict.is_err());
        let _ = PeerLine::parse(line);
    }
}

fn lines(pieces: &[&[u8]]) -> Vec<Result<String, LineError>> {
    let mut buffer = LineBuffer::new(LINE_LIMIT);
    let mut all = Vec::new();
    for piece in pieces {
        buffer.push(piece);
        while let Some(line) = buffer.next_line().transpose() {
            let over = matches!(line, Err(LineError::TooLong { .. }));
            all.push(line);
            if over {
                return all;
            }
        }
    }
    all
}

/// A request that was read and can be written reads back the same.
pub fn sam_request(data: &[u8]) {
    let Some(line) = text(data).and_then(|text| Line::parse_request(text).ok()) else {
        return;
    };
    let Ok(request) = Request::parse(&line) else {
        return;
    };
    for version in Version::ALL {
        let text = request.encode(version);
        assert_eq!(text.matches(['\n', '\r', '\0']).count(), 1);
        if request.check().is_ok() && version >= request.minimum_version() {
            let again = Line::parse_request(&text).map(|line| Request::parse(&line));
            assert_eq!(again, Ok(Ok(request.clone())));
        }
    }
}

/// A reply that was read reads back the same once written.
pub fn sam_reply(data: &[u8]) {
    let Some(text) = text(data) else {
        return;
    };
    let Ok(Ok(reply)) = Line::parse_reply(text).map(|line| Reply::parse(&line)) else {
        return;
    };
    let written = reply.encode(Version::V3_3);
    assert_eq!(written.matches(['\n', '\r', '\0']).count(), 1);
    // For these there is no form that reads back.
    if text.strip_suffix('\r').unwrap_or(text).contains('\r') || matches!(reply, Reply::Other(_)) {
        return;
    }
    let again = Line::parse_reply(&written).map(|line| Reply::parse(&line));
    assert_eq!(again, Ok(Ok(reply)));
}

/// A client sees the same in any pieces and keeps no more than it got.
///
/// The first byte chooses the request, the second the size of the pieces; the rest is the bridge's.
pub fn sam_client(data: &[u8]) {
    let [ask, cut, rest @ ..] = data else {
        return;
    };
    let size = usize::from(cut % 32) + 1;
    let pieces: Vec<&[u8]> = rest.chunks(size).collect();
    let whole = run_client(*ask, &[rest]);
    assert_eq!(whole, run_client(*ask, &pieces));
    let payloads: usize = whole.0.iter().map(payload_len).sum();
    assert!(payloads + whole.2.len() <= rest.len());
}

fn run_client(ask: u8, pieces: &[&[u8]]) -> (Vec<Event>, Vec<Vec<u8>>, Vec<u8>) {
    let now = Instant::ZERO;
    let config = ClientConfig {
        line_limit: LINE_LIMIT,
        ..ClientConfig::default()
    };
    let mut client = Client::new(config, now);
    let id = || "a".to_owned();
    let request = match ask % 6 {
        0 => None,
        1 => Some(Request::NamingLookup {
            name: id(),
            options: false,
        }),
        2 => Some(Request::StreamConnect {
            id: id(),
            destination: id(),
            silent: false,
            from_port: None,
            to_port: None,
        }),
        3 => Some(Request::StreamAccept {
            id: id(),
            silent: false,
        }),
        4 => Some(Request::SessionRemove { id: id() }),
        _ => Some(Request::DestGenerate {
            signature_type: None,
        }),
    };
    if let Some(request) = request {
        client.handle_input(b"HELLO REPLY RESULT=OK VERSION=3.3\n", now);
        assert_eq!(client.request(&request, None, now), Ok(()));
    }
    for piece in pieces {
        client.handle_input(piece, now);
    }
    if ask < 128 {
        client.handle_eof(now);
    }
    if let Some(at) = client.poll_timeout() {
        client.handle_timeout(at);
    }
    let events = iter::from_fn(|| client.poll_event()).collect();
    let sent = iter::from_fn(|| client.poll_transmit()).collect();
    (events, sent, client.into_remainder())
}

fn payload_len(event: &Event) -> usize {
    match event {
        Event::Datagram { payload, .. } | Event::Raw { payload, .. } => payload.len(),
        _ => 0,
    }
}

/// A bridge sees the same in any pieces, ends with an end, and keeps no more than it got.
///
/// The first byte chooses how streams are answered, the second the size of the pieces.
pub fn sam_bridge(data: &[u8]) {
    let [mode, cut, rest @ ..] = data else {
        return;
    };
    let size = usize::from(cut % 32) + 1;
    let pieces: Vec<&[u8]> = rest.chunks(size).collect();
    let whole = run_bridge(*mode, &[rest]);
    assert_eq!(whole.0.last(), Some(&BridgeEvent::Eof));
    assert_eq!(whole, run_bridge(*mode, &pieces));
    assert!(whole.1.len() <= rest.len());
}

fn run_bridge(mode: u8, pieces: &[&[u8]]) -> (Vec<BridgeEvent>, Vec<u8>) {
    let now = Instant::ZERO;
    let limits = BridgeLimits {
        line_limit: LINE_LIMIT,
        ..BridgeLimits::default()
    };
    let mut bridge = Bridge::new(limits, now);
    let mut all = Vec::new();
    let run = |bridge: &mut Bridge, all: &mut Vec<BridgeEvent>| {
        while let Some(event) = bridge.poll_event() {
            match &event {
                BridgeEvent::Request(Request::Hello { min, max, .. }) => {
                    bridge.welcome(*min, *max);
                }
                BridgeEvent::Request(
                    Request::StreamConnect { .. } | Request::StreamAccept { .. },
                ) => match mode % 3 {
                    0 => bridge.begin_stream(),
                    1 => bridge.reply(&Reply::StreamStatus {
                        result: ramson_sam::ResultCode::I2pError,
                        message: None,
                    }),
                    _ => {}
                },
                BridgeEvent::Request(Request::Ping(text)) => {
                    bridge.reply(&Reply::Pong(text.clone()));
                }
                _ => {}
            }
            all.push(event);
        }
    };
    for piece in pieces {
        bridge.handle_input(piece, now);
        run(&mut bridge, &mut all);
    }
    bridge.handle_eof(now);
    run(&mut bridge, &mut all);
    (all, bridge.into_remainder())
}

/// Each kind of datagram that was read reads back the same, payload included.
pub fn sam_datagram(data: &[u8]) {
    let mut out = Vec::new();
    if let Ok((header, payload)) = SendHeader::parse(data) {
        assert!(data.ends_with(payload));
        let (before, mut header) = (header.clone(), header);
        header.options = SessionOptions::default();
        if header.version >= Version::V3_2 && header.encode(payload, &mut out).is_ok() {
            assert_eq!(SendHeader::parse(&out), Ok((header, payload)));
        }
        out.clear();
        let _ = before.encode(payload, &mut out);
    }
    out.clear();
    if let Ok((peer, payload)) = parse_forwarded(data) {
        encode_forwarded(&peer, Version::V3_1, payload, &mut out);
        if !peer.destination.contains('\r') {
            let again = parse_forwarded(&out);
            let peer = PeerLine {
                from_port: None,
                to_port: None,
                ..peer
            };
            assert_eq!(again, Ok((peer, payload)));
        }
    }
    out.clear();
    if let Ok((header, payload)) = RawHeader::parse(data) {
        header.encode(payload, &mut out);
        let known = RawHeader {
            from_port: header.from_port.or(Some(0)),
            to_port: header.to_port.or(Some(0)),
            protocol: header.protocol.or(Some(0)),
        };
        assert_eq!(RawHeader::parse(&out), Ok((known, payload)));
    }
}

/// The first line.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()?.split('\n').next()
}
