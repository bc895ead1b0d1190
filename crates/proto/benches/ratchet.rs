//! A message of 1.8 kB in an established session: sealed, and opened, beside the bare AEAD; and what a
//! session costs to begin.
#![allow(missing_docs)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::elligator2::HiddenKey;
use ramson_crypto::x25519::PrivateKey;
use ramson_crypto::{AeadKey, Random};
use ramson_proto::Now;
use ramson_proto::garlic::ratchet::{Limits, Outgoing, Sessions};
use ramson_wire::{
    CloveDelivery, DestinationHash, GarlicClove, I2npMessage, Instant, MessageType, UnixTime,
};

/// A full packet of streaming in a Data message.
const BODY: usize = 1800;

/// Messages in a measurement.
const COUNT: usize = 100;

fn now() -> Now {
    Now {
        instant: Instant::ZERO,
        unix: UnixTime::from_secs(1_767_225_600),
    }
}

fn message() -> I2npMessage {
    let body = Bytes::from(vec![7; BODY]);
    I2npMessage::new(MessageType::Data, 1, now().unix, body).expect("short")
}

fn sessions(seed: u8) -> Sessions {
    let mut random = Random::from_seed([seed; 32]);
    let key = PrivateKey::generate(&mut random);
    let limits = Limits {
        next_key_at: u16::MAX,
        send_window: u16::MAX,
        unknown_per_s: 1_000_000,
        ..Limits::default()
    };
    Sessions::new(key, limits, random)
}

/// Seals one and opens it.
fn pass(from: &mut Sessions, to: &mut Sessions, message: &I2npMessage) {
    let cloves = [GarlicClove {
        delivery: CloveDelivery::Destination(DestinationHash([7; 32])),
        message: message.as_ref(),
    }];
    let out = Outgoing {
        cloves: &cloves,
        ..Outgoing::default()
    };
    let sealed = from.seal(&to.public(), out, now()).expect("there is room");
    from.handle_arrived(sealed.id.expect("it is no one-time message"), now());
    let body = sealed.body.try_into_mut().expect("nobody else has it");
    black_box(to.open(body, now()).expect("it is for this one"));
}

fn established() -> (Sessions, Sessions) {
    let (mut a, mut b) = (sessions(1), sessions(2));
    let message = message();
    pass(&mut a, &mut b, &message);
    pass(&mut b, &mut a, &message);
    for _ in 0..2_000 {
        pass(&mut a, &mut b, &message);
    }
    (a, b)
}

fn existing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ratchet");
    group.throughput(Throughput::Bytes((BODY * COUNT) as u64));
    let message = message();
    group.bench_function("seal and open 100 times 1.8 kB", |bencher| {
        bencher.iter_batched(
            established,
            |(mut a, mut b)| {
                for _ in 0..COUNT {
                    pass(&mut a, &mut b, &message);
                }
                (a, b)
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("bare AEAD of them, both ways", |bencher| {
        let key = AeadKey::new([1; 32]);
        let mut data = BytesMut::from(&[7; BODY + 60][..]);
        bencher.iter(|| {
            for _ in 0..COUNT {
                let tag = key.seal(0, b"12345678", &mut data);
                key.open(0, b"12345678", &mut data, &tag).expect("its own");
            }
        });
    });
    group.finish();
}

fn begin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ratchet, beginning");
    let mut random = Random::from_seed([3; 32]);
    group.bench_function("key with a representative", |bencher| {
        bencher.iter(|| HiddenKey::generate(&mut random));
    });
    let message = message();
    let prepared = || {
        let (mut a, mut b) = (sessions(1), sessions(2));
        a.make_keys_ahead();
        b.make_keys_ahead();
        (a, b)
    };
    group.bench_function(
        "open a session, reply, confirm; keys made ahead",
        |bencher| {
            bencher.iter_batched(
                prepared,
                |(mut a, mut b)| {
                    pass(&mut a, &mut b, &message);
                    pass(&mut b, &mut a, &message);
                    pass(&mut a, &mut b, &message);
                    (a, b)
                },
                BatchSize::SmallInput,
            );
        },
    );
    group.finish();
}

criterion_group!(benches, existing, begin);
criterion_main!(benches);
