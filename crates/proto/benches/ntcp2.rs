//! Frames of fifteen tunnel messages beside the bare AEAD: what the link costs on top of it.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{AeadKey, Random, SigningKey};
use ramson_proto::ntcp2::{
    AcceptConfig, Connection, DialConfig, Event, LinkConfig, LinkMessage, LocalRouter, Priority,
};
use ramson_proto::{Now, Sensitive};
use ramson_wire::{
    Instant, Mapping, MessageType, Ntcp2Address, RouterIdentity, RouterInfoBuilder, UnixTime,
};

/// Tunnel messages in a frame.
const MESSAGES: usize = 15;

/// The body of a tunnel message, in bytes.
const BODY: usize = 1028;

fn now() -> Now {
    Now {
        instant: Instant::ZERO,
        unix: UnixTime::from_secs(1_767_225_600),
    }
}

fn router(seed: u8) -> Arc<LocalRouter> {
    let mut random = Random::from_seed([seed; 32]);
    let signing = SigningKey::from_seed(&random.bytes());
    let static_key = PrivateKey::generate(&mut random);
    let iv = random.bytes();
    let address = Ntcp2Address {
        host: Some([192, 0, 2, seed].into()),
        port: Some(12345),
        static_key: static_key.public(),
        iv: Some(iv),
        caps_ipv4: false,
        caps_ipv6: false,
    };
    let info = RouterInfoBuilder {
        identity: RouterIdentity::new(&static_key.public(), &signing.public(), &[0; 32]),
        published: now().unix,
        addresses: vec![address.to_address()],
        options: Mapping::from_pairs([("caps", "XR"), ("netId", "2")]).expect("short"),
    };
    Arc::new(LocalRouter {
        router_info: info.sign(&signing).expect("its own key"),
        static_key,
        iv,
        network_id: 2,
    })
}

fn dial(alice: &Arc<LocalRouter>, bob: &LocalRouter) -> Connection {
    let config = DialConfig {
        local: Arc::clone(alice),
        peer: bob.router_info.clone(),
        static_key: bob.static_key.public(),
        iv: bob.iv,
        link: LinkConfig::default(),
    };
    Connection::dial(config, now(), Random::from_seed([3; 32]))
}

fn accept(bob: &Arc<LocalRouter>) -> Connection {
    let config = AcceptConfig {
        local: Arc::clone(bob),
        source: Sensitive([192, 0, 2, 1].into()),
        any_source: false,
        banned: Arc::default(),
        greet: false,
        link: LinkConfig::default(),
    };
    Connection::accept(config, now(), Random::from_seed([4; 32]))
}

/// Moves all that one side has to say to the other; the events are dropped.
fn carry(from: &mut Connection, to: &mut Connection, wire: &mut BytesMut) -> bool {
    let moved = from.poll_transmit(now(), wire);
    to.handle_input(wire, now());
    while let Some(event) = to.poll_event() {
        if matches!(event, Event::EphemeralKey { .. }) {
            to.admit(true, now());
        }
    }
    moved
}

fn handshake(alice: &mut Connection, bob: &mut Connection) {
    let (mut to_bob, mut to_alice) = (BytesMut::new(), BytesMut::new());
    while carry(alice, bob, &mut to_bob) | carry(bob, alice, &mut to_alice) {}
}

fn messages() -> Vec<LinkMessage> {
    (0..MESSAGES as u32)
        .map(|id| LinkMessage {
            kind: MessageType::TunnelData,
            id,
            expiration_s: u32::MAX,
            body: BytesMut::zeroed(BODY),
        })
        .collect()
}

fn bench(criterion: &mut Criterion) {
    let (alice, bob) = (router(1), router(2));

    let mut group = criterion.benchmark_group("ntcp2");
    group.bench_function("handshake, both sides", |bencher| {
        bencher.iter(|| {
            let (mut alice, mut bob) = (dial(&alice, &bob), accept(&bob));
            handshake(&mut alice, &mut bob);
            black_box((alice, bob))
        });
    });

    group.throughput(Throughput::Elements(MESSAGES as u64));
    let key = AeadKey::new([7; 32]);
    let mut data = vec![0; MESSAGES * (BODY + LinkMessage::OVERHEAD)];
    group.bench_function("bare AEAD, seal", |bencher| {
        bencher.iter(|| black_box(key.seal(1, &[], &mut data)));
    });
    let tag = key.seal(1, &[], &mut data);
    let sealed = [&data[..], &tag].concat();
    group.bench_function("bare AEAD, open", |bencher| {
        bencher.iter_batched_ref(
            || sealed.clone(),
            |sealed| {
                key.open_in_place(1, &[], sealed)
                    .map(|plain| black_box(plain.len()))
            },
            BatchSize::SmallInput,
        );
    });

    let (mut a, mut b) = (dial(&alice, &bob), accept(&bob));
    handshake(&mut a, &mut b);
    let mut out = BytesMut::with_capacity(128 * 1024);
    group.bench_function("queue and seal a frame", |bencher| {
        bencher.iter_batched(
            messages,
            |messages| {
                for message in messages {
                    a.send(message, Priority::Transit).expect("room");
                }
                out.clear();
                assert!(a.poll_transmit(now(), &mut out));
            },
            BatchSize::SmallInput,
        );
    });

    let (mut a, mut b) = (dial(&alice, &bob), accept(&bob));
    handshake(&mut a, &mut b);
    group.bench_function("open a frame and take its messages", |bencher| {
        bencher.iter_batched(
            || {
                for message in messages() {
                    a.send(message, Priority::Transit).expect("room");
                }
                let mut wire = BytesMut::new();
                assert!(a.poll_transmit(now(), &mut wire));
                wire
            },
            |mut wire| {
                b.handle_input(&mut wire, now());
                let mut bytes = 0;
                while let Some(event) = b.poll_event() {
                    if let Event::Message(message) = event {
                        bytes += message.body.len();
                    }
                }
                assert_eq!(bytes, MESSAGES * BODY);
            },
            // Frames have to come in the order in which they were sealed.
            BatchSize::NumIterations(64),
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
