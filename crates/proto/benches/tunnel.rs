//! What tunnels cost: a hop's work for a build request, the layer of tunnel data, packing and
//! unpacking. `ramson-crypto`'s bench `layers` has what the primitives in them cost.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::{AeadKey, Random, chacha20, hkdf, sha256, x25519};
use ramson_proto::tunnel::build::{BuildKind, BuildPath, HopRequest, HopSpec, PendingBuild};
use ramson_proto::tunnel::noise::Receiver;
use ramson_proto::tunnel::reassembly::{Endpoint, EndpointKind, ReassemblyLimits};
use ramson_proto::tunnel::{
    DuplicateFilter, Gateway, HopLayer, LAYERED_LEN, TunnelKeys, TunnelLayers, duplicates,
};
use ramson_wire::build::{BuildReply, ReplyCode};
use ramson_wire::{Instant, Mapping, RouterHash, TunnelDelivery, TunnelId, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn random() -> Random {
    Random::from_seed([1; 32])
}

fn builds(c: &mut Criterion) {
    let mut random = random();
    let keys: Vec<_> = (0..3)
        .map(|_| x25519::PrivateKey::generate(&mut random))
        .collect();
    let hops: Vec<HopSpec> = keys
        .iter()
        .zip(1_u8..)
        .map(|(key, number)| HopSpec {
            router: RouterHash([number; 32]),
            encryption_key: key.public(),
            receive_tunnel: TunnelId::new(number.into()).expect("not zero"),
            options: Mapping::default(),
        })
        .collect();
    let path = BuildPath::Outbound {
        reply_gateway: RouterHash([9; 32]),
        reply_tunnel: TunnelId::new(9).expect("not zero"),
    };
    let mut group = c.benchmark_group("build");
    group.bench_function("creator, three hops", |b| {
        b.iter(|| PendingBuild::start(black_box(&hops), path, 1, &mut random, NOW));
    });
    let (_, body) = PendingBuild::start(&hops, path, 1, &mut random, NOW).expect("good hops");
    let (Some(key), Some(hop)) = (keys.first(), hops.first()) else {
        return;
    };
    let receiver = Receiver::new(key.clone());
    let reply = BuildReply::new(ReplyCode::Accepted);
    group.bench_function("hop, open and reply", |b| {
        b.iter(|| {
            HopRequest::find(BuildKind::Short, hop.router, black_box(&body))
                .expect("our record is there")
                .open(&receiver)
                .expect("it is for us")
                .reply(&reply, NOW, &mut random)
        });
    });
    // What a hop cannot do without: one agreement, the derivations, its record opened and sealed
    // again, and a layer over each of the three others.
    let peer = x25519::PrivateKey::generate(&mut random).public();
    let mut record = [7; 218];
    group.bench_function("hop, its primitives alone", |b| {
        b.iter(|| {
            let shared = key.agree(black_box(&peer)).expect("a good key");
            let mut hash = sha256(&record);
            hash = sha256(&hash);
            let mut chain = hkdf::<64>(&hash, &*shared, b"");
            let aead = AeadKey::new(*chain.first_chunk().expect("two keys"));
            // Not authentic, which costs as much as if it were.
            let opened = aead.open_in_place(0, &hash, &mut record).is_ok();
            for name in [b"SMTunnelReplyKey", b"SMTunnelLayerKey"] {
                let last = *chain.first_chunk::<32>().expect("two keys");
                chain = hkdf::<64>(&last, b"", name);
            }
            let reply = *chain.first_chunk().expect("two keys");
            let tag = AeadKey::new(reply).seal(0, &hash, &mut record);
            for index in 1..4 {
                chacha20::apply(&reply, &[index; 12], &mut record);
            }
            (opened, tag)
        });
    });
    group.finish();
}

fn keys(seed: u8) -> TunnelKeys {
    TunnelKeys {
        layer: [seed; 32],
        iv: [seed + 100; 32],
    }
}

fn layers(c: &mut Criterion) {
    let mut random = random();
    let hop = HopLayer::new(&keys(1));
    let mut group = c.benchmark_group("layer");
    let mut message: [u8; LAYERED_LEN] = random.bytes();
    group.bench_function("hop, one message", |b| {
        b.iter(|| hop.add(black_box(&mut message)));
    });
    let mut batch: Vec<[u8; LAYERED_LEN]> = (0..8).map(|_| random.bytes()).collect();
    group.throughput(Throughput::Elements(8));
    group.bench_function("hop, batch of eight", |b| {
        b.iter(|| {
            let mut batch: Vec<_> = batch.iter_mut().collect();
            hop.add_batch(black_box(&mut batch));
        });
    });
    group.throughput(Throughput::Elements(1));
    let tunnel = TunnelLayers::new(&[keys(1), keys(2), keys(3)]);
    group.bench_function("owner, three hops", |b| {
        b.iter(|| tunnel.remove_all(black_box(&mut message)));
    });
    let mut filter = DuplicateFilter::new(15 << 20, Duration::from_secs(660), &mut random);
    let mut now = Instant::ZERO;
    let mut count = 0_u64;
    group.bench_function("duplicate filter, 5,000 messages a second", |b| {
        b.iter(|| {
            now += Duration::from_micros(200);
            count += 1;
            message[..8].copy_from_slice(&count.to_le_bytes());
            filter.insert(&duplicates::message_key(&message), now)
        });
    });
    group.finish();
}

fn fragments(c: &mut Criterion) {
    let mut random = random();
    let mut out = [0; LAYERED_LEN];
    let mut group = c.benchmark_group("fragment");
    for (name, len) in [("100 bytes", 100), ("1,900 bytes", 1900)] {
        // As many messages as make about 16 tunnel messages.
        let message = Bytes::from(vec![7; len]);
        let count = 16_000 / len;
        group.throughput(Throughput::Bytes((count * len) as u64));
        let mut gateway = Gateway::new(1 << 20);
        let mut sent = vec![];
        group.bench_function(format!("gateway, {name}"), |b| {
            b.iter(|| {
                sent.clear();
                for id in 0..count {
                    let delivery = TunnelDelivery::Local;
                    let taken = gateway.handle_message(delivery, id as u32, message.clone());
                    taken.expect("there is room");
                }
                while gateway.poll_full(&mut random, &mut out)
                    || gateway.flush(&mut random, &mut out)
                {
                    sent.push(out);
                }
            });
        });
        let sent: Vec<_> = sent.iter().map(|out| Bytes::copy_from_slice(out)).collect();
        group.bench_function(format!("endpoint, {name}"), |b| {
            b.iter_batched_ref(
                || Endpoint::new(EndpointKind::Inbound, ReassemblyLimits::OWN),
                |endpoint| {
                    for message in &sent {
                        endpoint
                            .handle_message(message, Instant::ZERO)
                            .expect("good");
                    }
                    while let Some(output) = endpoint.poll_message() {
                        black_box(output);
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, builds, layers, fragments);
criterion_main!(benches);
