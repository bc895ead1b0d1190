//! What streams cost: a megabyte from one Destination to another, packets handed over at once, on a
//! clock of its own. One side's share is about half of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::{Random, SigningKey};
use ramson_proto::Now;
use ramson_proto::streaming::{Connections, ConnectionsConfig, Identity, Ports, Read, StreamId};
use ramson_wire::{Destination, Instant, UnixTime};

const LEN: usize = 1024 * 1024;

struct Pair {
    now: Instant,
    sides: [Connections; 2],
    ids: [StreamId; 2],
}

fn side(seed: u8, now: Instant) -> Connections {
    let key = SigningKey::from_seed(&[seed; 32]);
    let bytes = [&[6; 352][..], &key.public(), &[5, 0, 4, 0, 7, 0, 4]].concat();
    let destination = Destination::from_bytes(&bytes).expect("a Destination");
    let identity = Identity::new(destination, key).expect("its key");
    let random = Random::from_seed([seed; 32]);
    Connections::new(
        Arc::new(identity),
        ConnectionsConfig::default(),
        random,
        now,
    )
}

fn hand_over(from: &mut Connections, to: &mut Connections, now: Now) {
    from.handle_timeout(now.instant);
    let session = from.identity().hash();
    while let Some(transmit) = from.poll_transmit(now.instant) {
        to.handle_packet(transmit.packet, Ports::default(), Some(session), now)
            .expect("nothing is wrong with it");
    }
    while to.poll_event().is_some() {}
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_micros(1);
        let [mut a, mut b] = [side(1, now), side(2, now)];
        b.listen(0, 1);
        let peer = b.identity().hash();
        let id = a.connect(peer, Ports::default(), now).expect("room");
        let mut pair = Self {
            now,
            sides: [a, b],
            ids: [id, id],
        };
        pair.exchange();
        let [_, b] = &mut pair.sides;
        let accepted = b.accept(0, now).expect("the stream came");
        pair.ids = [id, accepted];
        pair
    }

    /// Hands over all packets that there are, a tenth of a millisecond each way.
    fn exchange(&mut self) {
        self.now += Duration::from_micros(100);
        let now = Now {
            instant: self.now,
            unix: UnixTime::from_millis(1_767_225_600_000),
        };
        let [a, b] = &mut self.sides;
        hand_over(a, b, now);
        hand_over(b, a, now);
    }

    fn transfer(&mut self, data: &Bytes) {
        let mut rest = data.clone();
        let mut came = 0;
        while came < data.len() {
            let ([a, b], [from, to]) = (&mut self.sides, self.ids);
            let mut stream = a.stream_mut(from, self.now).expect("it is open");
            stream.write_bytes(&mut rest).expect("it is open");
            drop(stream);
            let mut stream = b.stream_mut(to, self.now).expect("it is open");
            while let Ok(Read::Data(chunk)) = stream.read_chunk(usize::MAX) {
                came += chunk.len();
            }
            drop(stream);
            self.exchange();
        }
    }
}

fn streams(c: &mut Criterion) {
    let data = Bytes::from(vec![7; LEN]);
    let mut pair = Pair::new();
    let mut group = c.benchmark_group("streaming");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("a megabyte, both sides", |b| {
        b.iter(|| pair.transfer(&data))
    });
    group.finish();
    c.bench_function("a stream opened and answered", |b| b.iter(Pair::new));
}

criterion_group!(benches, streams);
criterion_main!(benches);
