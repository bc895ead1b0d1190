//! Peers that behave as i2pd and Java I2P do where the specification leaves it open.

use bytes::BytesMut;
use ramson_wire::streaming::{Flags, PacketBuilder};

use super::*;

/// The other side of one stream of ours, by hand.
struct Peer {
    pair: Pair,
    key: SigningKey,
    id: StreamId,
    /// The number of the stream at our side.
    number: u32,
}

const THEIRS: u32 = 0x12d;

impl Peer {
    /// We open a stream with `first` in its SYN; the peer's answer comes after `rtt`.
    fn answer(rtt: Duration, first: &[u8]) -> Self {
        let mut pair = Pair::new(Link {
            loss_percent: 100,
            ..Link::default()
        });
        pair.record = Some(Vec::new());
        let id = pair.connect();
        if !first.is_empty() {
            pair.stream(A, id).write(first).unwrap();
        }
        pair.settle();
        pair.run_for(rtt);
        let number = pair.sides[A].stream(id).unwrap().local_id();
        let mut peer = Self {
            pair,
            key: key(2),
            id,
            number,
        };
        let from = destination(&peer.key);
        let answer = PacketBuilder {
            from: Some(&from),
            max_size: Some(1730),
            flags: Flags::SYNCHRONIZE,
            ..peer.packet(0, 0)
        };
        let answer = peer.sign(&answer);
        peer.inject(answer);
        assert!(peer.pair.sides[A].stream(id).unwrap().is_open());
        peer
    }

    fn packet(&self, sequence: u32, through: u32) -> PacketBuilder<'static> {
        PacketBuilder {
            send_stream: self.number,
            receive_stream: THEIRS,
            sequence,
            ack_through: through,
            ..PacketBuilder::default()
        }
    }

    fn sign(&self, builder: &PacketBuilder<'_>) -> Bytes {
        let builder = PacketBuilder {
            signature_len: Some(64),
            ..builder.clone()
        };
        let mut packet = BytesMut::new();
        let range = builder.encode(&mut packet).unwrap();
        let signature = self.key.sign(&packet);
        packet[range].copy_from_slice(&signature);
        packet.freeze()
    }

    fn inject(&mut self, packet: Bytes) {
        let session = Some(self.pair.hash(B));
        self.pair.inject(A, packet, session).unwrap();
        self.pair.settle();
    }

    fn send(&mut self, builder: &PacketBuilder<'_>) {
        let mut packet = BytesMut::new();
        builder.encode(&mut packet).unwrap();
        self.inject(packet.freeze());
    }

    /// What we sent since the last call: sequence numbers and flags.
    fn sent(&mut self) -> Vec<(u32, Flags)> {
        self.pair.settle();
        let record = self.pair.record.replace(Vec::new()).unwrap();
        let fields = |(_, _, transmit): (Instant, usize, Transmit)| {
            let packet = Packet::parse(&transmit.packet).unwrap();
            (packet.sequence, packet.flags)
        };
        record.into_iter().map(fields).collect()
    }

    fn stats(&self) -> StreamStats {
        self.pair.stats(A, self.id)
    }
}

#[test]
fn the_smaller_size_counts_from_the_answer_on() {
    let peer = Peer::answer(ms(100), &[1; 10_000]);
    assert_eq!(peer.stats().max_payload, 1730);
    let record = peer.pair.record.clone().unwrap();
    let sizes: Vec<usize> = record
        .iter()
        .map(|(_, _, transmit)| Packet::parse(&transmit.packet).unwrap().payload.len())
        .collect();
    // With the SYN, and the two that Java takes before its answer.
    assert_eq!(sizes[..3], [1812; 3]);
    assert_eq!(sizes[3..].iter().max(), Some(&1730));
    assert_eq!(sizes.iter().sum::<usize>(), 10_000);
}

#[test]
fn the_answer_is_acknowledged_and_measured() {
    let mut peer = Peer::answer(ms(120), b"");
    assert_eq!(peer.stats().smoothed_rtt, Some(ms(120)));
    let syn_and_ack = peer.sent();
    assert_eq!(syn_and_ack.len(), 2);
    assert_eq!(syn_and_ack[1], (0, Flags::default()));
}

/// i2pd ends a stream when it gets CLOSE and answers once, so that it must not come before all data
/// is acknowledged.
#[test]
fn close_waits_for_the_data_and_not_for_ever_for_an_answer() {
    let mut peer = Peer::answer(ms(100), &[1; 3000]);
    peer.sent();
    peer.pair.stream(A, peer.id).finish();
    peer.pair.run_for(ms(10));
    assert!(
        peer.sent()
            .iter()
            .all(|(_, flags)| !flags.contains(Flags::CLOSE))
    );
    assert!(!peer.pair.sides[A].stream(peer.id).unwrap().is_flushed());
    let ack = peer.packet(0, 1);
    peer.send(&ack);
    let close = (
        2,
        Flags::CLOSE | Flags::SIGNATURE_INCLUDED | Flags::DELAY_REQUESTED,
    );
    assert_eq!(peer.sent(), [close]);
    assert!(peer.pair.sides[A].stream(peer.id).unwrap().is_flushed());
    // Its CLOSE, which answers ours, gets lost, and it knows nothing of us any more.
    peer.pair.run_for(secs(65));
    let closes = peer.sent();
    assert!((5..=9).contains(&closes.len()), "{}", closes.len());
    assert!(closes.iter().all(|each| *each == close));
    assert!(
        peer.pair
            .has_event(A, StreamEvent::Closed(CloseReason::Finished))
    );
}

/// Its answer to our CLOSE acknowledges ours and is its own.
#[test]
fn one_packet_ends_the_stream_from_both_sides() {
    let mut peer = Peer::answer(ms(100), b"");
    peer.pair.stream(A, peer.id).finish();
    peer.sent();
    let close = PacketBuilder {
        flags: Flags::CLOSE,
        ..peer.packet(1, 1)
    };
    let close = peer.sign(&close);
    peer.inject(close.clone());
    assert!(
        peer.pair
            .has_event(A, StreamEvent::Closed(CloseReason::Finished))
    );
    // It wants to know that it came, each time it asks.
    assert_eq!(peer.sent(), [(0, Flags::default())]);
    let session = Some(peer.pair.hash(B));
    let again = peer.pair.inject(A, close, session);
    assert_eq!(again, Err(PacketError::BehindEnd));
    assert_eq!(peer.sent(), [(0, Flags::default())]);
}

/// i2pd never listens again after its CLOSE; what is written to it then is not its concern.
#[test]
fn data_for_a_peer_that_finished_is_given_up_sooner() {
    let mut peer = Peer::answer(ms(100), b"");
    let close = PacketBuilder {
        flags: Flags::CLOSE,
        ..peer.packet(1, 0)
    };
    let close = peer.sign(&close);
    peer.inject(close);
    peer.pair.stream(A, peer.id).write(b"still here?").unwrap();
    peer.pair.run_for(secs(70));
    assert!(
        peer.pair
            .has_event(A, StreamEvent::Closed(CloseReason::TimedOut))
    );
}

/// Java chokes with 61,000 and repeats 0 when it is over; its windows are smaller than i2pd's.
#[test]
fn java_chokes_and_unchokes() {
    let mut peer = Peer::answer(ms(100), b"");
    peer.pair.stream(A, peer.id).write(&[1; 100_000]).unwrap();
    peer.sent();
    let choke = PacketBuilder {
        delay: Some(61_000),
        ..peer.packet(0, 4)
    };
    peer.send(&choke);
    assert!(peer.stats().choked);
    assert!(peer.sent().is_empty());
    peer.pair.run_for(secs(4));
    let probes = peer.sent();
    assert!((1..6).contains(&probes.len()), "{probes:?}");
    let unchoke = PacketBuilder {
        delay: Some(0),
        ..peer.packet(0, 4)
    };
    peer.send(&unchoke);
    assert!(!peer.stats().choked);
    // What was on its way when it choked was dropped, and goes first.
    let (first, _) = *peer.sent().first().unwrap();
    assert_eq!(first, 5);
}

/// i2pd says 65,535 when packets are too far ahead for it, and takes no more of them back by a word.
#[test]
fn i2pd_overrun_slows_and_does_not_stop() {
    let mut peer = Peer::answer(ms(100), b"");
    peer.pair.stream(A, peer.id).write(&[1; 100_000]).unwrap();
    peer.sent();
    let window = peer.stats().window;
    let overrun = PacketBuilder {
        delay: Some(65_535),
        ..peer.packet(0, 8)
    };
    peer.send(&overrun);
    assert!(!peer.stats().choked);
    assert!(peer.stats().window < window);
    assert!(!peer.sent().is_empty());
}

/// Two acknowledgements with a NACK, or one of what was sent three packets later, bring it again,
/// once.
#[test]
fn a_nack_brings_the_packet_again_once() {
    let mut peer = Peer::answer(ms(100), b"");
    peer.pair.run_for(ms(10));
    peer.pair.stream(A, peer.id).write(&[1; 1730 * 8]).unwrap();
    assert_eq!(
        peer.sent()
            .iter()
            .filter(|(sequence, _)| *sequence > 0)
            .count(),
        8
    );
    peer.pair.run_for(ms(100));
    let nack = PacketBuilder {
        nacks: &[2],
        ..peer.packet(0, 3)
    };
    peer.send(&nack);
    assert_eq!(peer.stats().lost_packets, 0);
    let nack = PacketBuilder {
        nacks: &[2],
        ..peer.packet(0, 5)
    };
    peer.send(&nack);
    let sent = peer.sent();
    assert_eq!(
        sent.iter().filter(|(sequence, _)| *sequence == 2).count(),
        1,
        "{sent:?}"
    );
    let nack = PacketBuilder {
        nacks: &[2],
        ..peer.packet(0, 8)
    };
    peer.send(&nack);
    assert!(peer.sent().is_empty());
}

/// A packet that is sent again says what came since; a signed one is the same to the last bit.
#[test]
fn what_is_sent_again_is_fresh_where_nothing_is_signed() {
    let mut peer = Peer::answer(ms(100), b"");
    peer.pair.stream(A, peer.id).write(b"question").unwrap();
    peer.sent();
    for sequence in 1..4 {
        let data = PacketBuilder {
            payload: b"data",
            ..peer.packet(sequence, 0)
        };
        peer.send(&data);
    }
    peer.pair.record = Some(Vec::new());
    peer.pair.run_for(secs(2));
    let record = peer.pair.record.clone().unwrap();
    let again = record
        .iter()
        .map(|(_, _, transmit)| Packet::parse(&transmit.packet).unwrap())
        .find(|packet| packet.sequence == 1)
        .unwrap();
    assert_eq!((again.ack_through, again.payload), (3, &b"question"[..]));
    assert_eq!(again.send_stream, THEIRS);
}

/// Java sends an empty packet with a number of its own after 90 s, to be acknowledged.
#[test]
fn an_empty_packet_with_a_number_is_acknowledged() {
    let mut peer = Peer::answer(ms(100), b"");
    peer.sent();
    let empty = PacketBuilder {
        delay: Some(0),
        ..peer.packet(1, 0)
    };
    peer.send(&empty);
    assert_eq!(peer.sent(), [(0, Flags::default())]);
    assert_eq!(
        peer.pair.read_all(A, peer.id),
        (Vec::new(), Ok(Read::Pending))
    );
}
