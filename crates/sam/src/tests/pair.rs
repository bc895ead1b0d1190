use std::time::Duration;

use proptest::prelude::*;
use ramson_wire::Instant;

use crate::*;

/// A client and a bridge joined by pipes that hand over any number of bytes at a time.
struct Pair {
    client: Client,
    bridge: Bridge,
    to_bridge: Vec<u8>,
    to_client: Vec<u8>,
    now: Instant,
    seed: u64,
}

impl Pair {
    fn new(version: Version, seed: u64) -> Pair {
        let now = Instant::ZERO;
        let config = ClientConfig {
            max: Some(version),
            ..ClientConfig::default()
        };
        let mut pair = Pair {
            client: Client::new(config, now),
            bridge: Bridge::new(BridgeLimits::default(), now),
            to_bridge: Vec::new(),
            to_client: Vec::new(),
            now,
            seed,
        };
        let all = pair.run();
        assert!(matches!(
            &all.1[..],
            [BridgeEvent::Request(Request::Hello { .. })]
        ));
        pair.bridge.welcome(None, Some(version));
        assert_eq!(pair.run().0, [Event::Hello { version }]);
        pair
    }

    fn some(&mut self, available: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        let some = usize::try_from(self.seed >> 40).unwrap() % 40;
        some.clamp(1, available)
    }

    /// Carries bytes until nothing moves.
    fn run(&mut self) -> (Vec<Event>, Vec<BridgeEvent>) {
        let (mut said, mut asked) = (Vec::new(), Vec::new());
        loop {
            self.to_bridge
                .extend(std::iter::from_fn(|| self.client.poll_transmit()).flatten());
            self.to_client
                .extend(std::iter::from_fn(|| self.bridge.poll_transmit()).flatten());
            let idle = self.to_bridge.is_empty() && self.to_client.is_empty();
            if !self.to_bridge.is_empty() {
                let n = self.some(self.to_bridge.len());
                let piece: Vec<u8> = self.to_bridge.drain(..n).collect();
                self.bridge.handle_input(&piece, self.now);
            }
            if !self.to_client.is_empty() {
                let n = self.some(self.to_client.len());
                let piece: Vec<u8> = self.to_client.drain(..n).collect();
                self.client.handle_input(&piece, self.now);
            }
            said.extend(std::iter::from_fn(|| self.client.poll_event()));
            asked.extend(std::iter::from_fn(|| self.bridge.poll_event()));
            if idle {
                return (said, asked);
            }
        }
    }

    fn ask(&mut self, request: &Request) {
        self.client
            .request(request, Some(Duration::from_secs(1)), self.now)
            .unwrap();
        assert_eq!(self.run().1, [BridgeEvent::Request(request.clone())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn session_lookup_datagrams_and_keepalive(seed in any::<u64>()) {
        let mut pair = Pair::new(Version::V3_3, seed);
        pair.ask(&Request::NamingLookup { name: "ä \"b\".i2p".to_owned(), options: true });
        let reply = Reply::Naming {
            result: ResultCode::Ok,
            name: Some("ä \"b\".i2p".to_owned()),
            value: Some("abc==".to_owned()),
            message: None,
            extra: vec![("OPTION:a".to_owned(), "b c".to_owned())],
        };
        pair.bridge.reply(&reply);
        prop_assert_eq!(pair.run().0, [Event::Reply(reply)]);

        let payload: Vec<u8> = (0..=255).collect();
        let send = Request::RawSend {
            destination: "abc==".to_owned(),
            size: 256,
            protocol: Some(18),
            from_port: Some(1),
            to_port: None,
            options: SessionOptions::default(),
        };
        pair.client.send_datagram(&send, &payload).unwrap();
        let got = BridgeEvent::Raw { request: send, payload: payload.clone() };
        prop_assert_eq!(pair.run().1, [got]);
        let header = Reply::RawReceived {
            size: 256,
            protocol: Some(18),
            from_port: Some(1),
            to_port: Some(0),
        };
        pair.bridge.reply(&header);
        pair.bridge.send_raw(&payload);
        let got =
            Event::Raw { protocol: Some(18), from_port: Some(1), to_port: Some(0), payload };
        prop_assert_eq!(pair.run().0, [got]);

        // The bridge asks whether we live; the client answers by itself.
        for _ in 0..5 {
            pair.now = pair.bridge.poll_timeout().unwrap();
            pair.bridge.handle_timeout(pair.now);
            prop_assert_eq!(pair.run(), (Vec::new(), Vec::new()));
            prop_assert!(!pair.bridge.is_closed());
        }
    }

    #[test]
    fn streams_keep_every_byte(seed in any::<u64>(), old in any::<bool>()) {
        let version = if old { Version::V3_1 } else { Version::V3_3 };
        let mut pair = Pair::new(version, seed);
        pair.ask(&Request::StreamAccept { id: "a".to_owned(), silent: false });
        pair.bridge.reply(&Reply::StreamStatus { result: ResultCode::Ok, message: None });
        prop_assert_eq!(pair.run().0, [Event::Accepting]);
        let ports = if old { None } else { Some(9) };
        let peer =
            PeerLine { destination: "abc==".to_owned(), from_port: ports, to_port: ports };
        pair.bridge.send_peer(&peer);
        pair.bridge.begin_stream();
        pair.bridge.send_raw(b"\xff\nPING\n");
        prop_assert_eq!(pair.run().0, [Event::Accepted { peer }]);
        prop_assert_eq!(pair.client.into_remainder(), b"\xff\nPING\n");
    }
}
