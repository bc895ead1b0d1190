//! Everything that can be wrong with a packet, sent by peers that mean no good.

use bytes::BytesMut;
use proptest::prelude::*;
use ramson_wire::streaming::{Flags, PacketBuilder};
use ramson_wire::{OfflineBlock, SigningKeyType};

use super::*;

/// The number that hostile streams have for their peer.
const THEIRS: u32 = 0x7e57;

const SYN: Flags = Flags::SYNCHRONIZE;

fn build(builder: &PacketBuilder<'_>) -> Bytes {
    let mut packet = BytesMut::new();
    builder.encode(&mut packet).unwrap();
    packet.freeze()
}

fn signed(builder: &PacketBuilder<'_>, key: &SigningKey) -> Bytes {
    let builder = PacketBuilder {
        signature_len: Some(64),
        ..builder.clone()
    };
    let mut packet = BytesMut::new();
    let range = builder.encode(&mut packet).unwrap();
    let signature = key.sign(&packet);
    packet[range].copy_from_slice(&signature);
    packet.freeze()
}

/// A SYN as an honest peer sends it, to be spoiled.
fn syn(from: &Destination, target: DestinationHash) -> PacketBuilder<'_> {
    PacketBuilder {
        receive_stream: THEIRS,
        target: Some(target),
        flags: SYN | Flags::NO_ACK,
        from: Some(from),
        max_size: Some(1730),
        payload: b"hello",
        ..PacketBuilder::default()
    }
}

/// One side against packets made by hand.
struct Victim {
    pair: Pair,
    key: SigningKey,
    from: Destination,
}

impl Victim {
    fn new() -> Self {
        Self::with(ConnectionsConfig::default())
    }

    fn with(config: ConnectionsConfig) -> Self {
        let key = key(1);
        let mut pair = Pair::with(Link::default(), 1, config);
        // Nothing gets to the side whose packets are made by hand.
        pair.link.loss_percent = 100;
        pair.record = Some(Vec::new());
        Self {
            pair,
            from: destination(&key),
            key,
        }
    }

    fn syn(&self) -> PacketBuilder<'_> {
        syn(&self.from, self.pair.hash(B))
    }

    /// Opens a stream to the victim as an honest peer would, and returns its number there.
    fn open(&mut self) -> (StreamId, u32) {
        let packet = signed(&self.syn(), &self.key);
        self.inject(packet).unwrap();
        let id = self.pair.sides[B].accept(0, self.pair.now).unwrap();
        let number = self.pair.sides[B].stream(id).unwrap().local_id();
        self.pair.settle();
        (id, number)
    }

    /// A packet of the hand-made stream, acknowledging the answer to its SYN.
    fn data(&self, number: u32, sequence: u32) -> PacketBuilder<'static> {
        PacketBuilder {
            send_stream: number,
            receive_stream: THEIRS,
            sequence,
            payload: b"data",
            ..PacketBuilder::default()
        }
    }

    fn inject(&mut self, packet: Bytes) -> Result<(), PacketError> {
        self.pair.inject(B, packet, None)
    }

    /// Hands over a packet that is wrong, and checks that it is counted.
    #[track_caller]
    fn refuses(&mut self, packet: Bytes, error: PacketError) {
        let before = self.pair.sides[B].stats().errors(error);
        assert_eq!(self.inject(packet), Err(error));
        assert_eq!(self.pair.sides[B].stats().errors(error), before + 1);
    }

    fn is_open(&self, id: StreamId) -> bool {
        self.pair.sides[B].stream(id).unwrap().is_open()
    }

    fn answers(&mut self) -> Vec<Transmit> {
        self.pair.settle();
        let record = self.pair.record.replace(Vec::new()).unwrap();
        record
            .into_iter()
            .map(|(_, _, transmit)| transmit)
            .collect()
    }
}

#[test]
fn what_is_no_packet() {
    let mut victim = Victim::new();
    let good = signed(&victim.syn(), &victim.key);
    for end in 0..good.len() - 5 {
        assert!(victim.inject(good.slice(..end)).is_err());
    }
    assert_eq!(
        victim.pair.sides[B].stats().errors(PacketError::Malformed),
        good.len() as u64 - 5
    );
    let long = PacketBuilder {
        payload: &[0; MAX_PACKET_LEN],
        ..victim.syn()
    };
    let long = signed(&long, &victim.key);
    victim.refuses(long, PacketError::TooLong);
    assert!(victim.pair.sides[B].is_empty());
    assert!(victim.answers().is_empty());
}

#[test]
fn syns_that_are_not_authentic_or_not_for_us() {
    let mut victim = Victim::new();
    let (me, other) = (victim.pair.hash(B), DestinationHash([9; 32]));
    let (from, key, stranger) = (victim.from.clone(), victim.key.clone(), key(3));
    let syn = || syn(&from, me);
    let session = victim.pair.hash(A);

    victim.refuses(build(&syn()), PacketError::Unsigned);
    let nobody = PacketBuilder {
        from: None,
        ..syn()
    };
    victim.refuses(build(&nobody), PacketError::Unsigned);
    let cut = PacketBuilder {
        max_size: None,
        from: None,
        signature_len: Some(64),
        ..syn()
    };
    victim.refuses(build(&cut), PacketError::MalformedOptions);
    victim.refuses(signed(&syn(), &stranger), PacketError::BadSignature);
    let mut changed = signed(&syn(), &key).to_vec();
    *changed.last_mut().unwrap() ^= 1;
    victim.refuses(changed.into(), PacketError::BadSignature);
    let wrong = PacketBuilder {
        target: Some(other),
        ..syn()
    };
    victim.refuses(signed(&wrong, &key), PacketError::WrongTarget);
    let late = PacketBuilder {
        sequence: 1,
        ..syn()
    };
    victim.refuses(signed(&late, &key), PacketError::Flags);
    let unnumbered = PacketBuilder {
        receive_stream: 0,
        ..syn()
    };
    victim.refuses(signed(&unnumbered, &key), PacketError::Flags);
    let both = PacketBuilder {
        flags: SYN | Flags::RESET,
        ..syn()
    };
    victim.refuses(signed(&both, &key), PacketError::Flags);
    let good = signed(&syn(), &key);
    assert_eq!(
        victim.pair.inject(B, good, Some(other)),
        Err(PacketError::WrongSender)
    );
    // With a wrong signature, no session helps.
    let forged = signed(&syn(), &stranger);
    assert_eq!(
        victim.pair.inject(B, forged, Some(session)),
        Err(PacketError::BadSignature)
    );
    assert!(victim.pair.sides[B].is_empty());
    assert!(victim.answers().is_empty());
}

#[test]
fn syns_that_are_let_in() {
    let mut victim = Victim::new();
    let me = victim.pair.hash(B);
    let (from, key) = (victim.from.clone(), victim.key.clone());
    // Peers before 0.9.58 do not say whom they mean; those of now may have no size.
    let old = PacketBuilder {
        target: None,
        max_size: None,
        receive_stream: 1,
        ..syn(&from, me)
    };
    assert_eq!(victim.inject(signed(&old, &key)), Ok(()));
    // i2pd may be told not to sign; then the session tells who it is.
    let unsigned = PacketBuilder {
        receive_stream: 2,
        target: None,
        ..syn(&from, me)
    };
    let session = victim.pair.hash(A);
    assert_eq!(
        victim.pair.inject(B, build(&unsigned), Some(session)),
        Ok(())
    );
    // The longest and the shortest sizes.
    for (number, size, expected) in [(3, u16::MAX, 1812), (4, 0, 512), (5, 1000, 1000)] {
        let sized = PacketBuilder {
            receive_stream: number,
            max_size: Some(size),
            ..syn(&from, me)
        };
        assert_eq!(victim.inject(signed(&sized, &key)), Ok(()));
        let mut sizes = Vec::new();
        while let Some(id) = victim.pair.sides[B].accept(0, victim.pair.now) {
            sizes.push(victim.pair.stats(B, id).max_payload);
        }
        assert_eq!(sizes.last(), Some(&expected));
    }
}

fn offline(long_term: &SigningKey, transient: &SigningKey, expires: u32) -> OfflineBlock {
    let mut block = OfflineBlock {
        expires: UnixTime::from_secs(expires),
        transient_type: SigningKeyType::Ed25519,
        transient_public: transient.public().to_vec().into(),
        signature: Bytes::new(),
    };
    block.signature = long_term.sign(&block.signed_bytes()).to_vec().into();
    block
}

#[test]
fn transient_keys() {
    let mut victim = Victim::new();
    let me = victim.pair.hash(B);
    let (from, long_term, transient, stranger) = (victim.from.clone(), key(1), key(5), key(6));
    let year = 2_000_000_000;
    let good = offline(&long_term, &transient, year);
    let expired = offline(&long_term, &transient, 1_700_000_000);
    let forged = offline(&stranger, &transient, year);
    let of = |block| PacketBuilder {
        offline: Some(block),
        ..syn(&from, me)
    };
    victim.refuses(signed(&of(&expired), &transient), PacketError::ExpiredKey);
    victim.refuses(signed(&of(&forged), &transient), PacketError::BadSignature);
    victim.refuses(signed(&of(&good), &long_term), PacketError::BadSignature);
    assert_eq!(victim.inject(signed(&of(&good), &transient)), Ok(()));
    let id = victim.pair.sides[B].accept(0, victim.pair.now).unwrap();
    let number = victim.pair.sides[B].stream(id).unwrap().local_id();
    victim.pair.settle();

    // What ends the stream is signed with it as well, and may say so again.
    let close = PacketBuilder {
        flags: Flags::CLOSE,
        ..victim.data(number, 1)
    };
    victim.refuses(signed(&close, &long_term), PacketError::BadSignature);
    let with = |block| PacketBuilder {
        offline: Some(block),
        ..close.clone()
    };
    victim.refuses(
        signed(&with(&forged), &transient),
        PacketError::BadSignature,
    );
    let other = offline(&long_term, &stranger, year);
    assert_eq!(victim.inject(signed(&with(&other), &stranger)), Ok(()));
    assert_eq!(
        victim.pair.read_all(B, id),
        (b"hellodata".to_vec(), Ok(Read::End))
    );
}

#[test]
fn our_own_transient_key_is_understood() {
    let (long_term, transient) = (key(1), key(5));
    let block = offline(&long_term, &transient, 2_000_000_000);
    let identity =
        Identity::with_offline(destination(&long_term), block.clone(), transient).unwrap();
    let mismatch = Identity::with_offline(destination(&key(2)), block.clone(), key(5));
    assert_eq!(mismatch.unwrap_err(), IdentityError::OfflineMismatch);
    let mismatch = Identity::with_offline(destination(&long_term), block, key(7));
    assert_eq!(mismatch.unwrap_err(), IdentityError::KeyMismatch);
    let mismatch = Identity::new(destination(&long_term), key(7));
    assert_eq!(mismatch.unwrap_err(), IdentityError::KeyMismatch);
    let mut pair = Pair::new(Link {
        sessions: false,
        ..Link::default()
    });
    let random = Random::from_seed([8; 32]);
    pair.sides[A] = Connections::new(
        Arc::new(identity),
        ConnectionsConfig::default(),
        random,
        pair.now,
    );
    let (a, b) = pair.open();
    pair.transfer(A, [a, b], &data(10_000), secs(10));
    pair.stream(A, a).finish();
    pair.stream(B, b).finish();
    pair.run_for(secs(5));
    assert_eq!(pair.read_all(B, b).1, Ok(Read::End));
    assert!(pair.has_event(A, StreamEvent::Closed(CloseReason::Finished)));
}

#[test]
fn a_syn_opens_one_stream_and_not_again() {
    let mut victim = Victim::new();
    let packet = signed(&victim.syn(), &victim.key);
    victim.inject(packet.clone()).unwrap();
    for _ in 0..100 {
        victim.refuses(packet.clone(), PacketError::Duplicate);
    }
    assert_eq!(victim.pair.sides[B].len(), 1);
    // It is answered, but not a hundred times.
    assert!(victim.answers().len() <= 3);
    let id = victim.pair.sides[B].accept(0, victim.pair.now).unwrap();
    victim.pair.stream(B, id).reset();
    victim.pair.stream(B, id).release();
    victim.pair.run_for(secs(30));
    assert!(victim.pair.sides[B].is_empty());
    victim.refuses(packet.clone(), PacketError::Replayed);
    assert!(victim.pair.sides[B].is_empty());
}

/// What a stream that we open gets for an answer.
#[test]
fn answers_of_others_open_nothing() {
    let mut victim = Victim::new();
    let peer = victim.pair.hash(A);
    let id = victim.pair.sides[B]
        .connect(peer, PORTS, victim.pair.now)
        .unwrap();
    let number = victim.pair.sides[B].stream(id).unwrap().local_id();
    let (from, key, stranger) = (victim.from.clone(), victim.key.clone(), key(3));
    let strangers = destination(&stranger);
    let answer = PacketBuilder {
        send_stream: number,
        receive_stream: THEIRS,
        flags: SYN,
        from: Some(&from),
        max_size: Some(1000),
        ..PacketBuilder::default()
    };
    // Before the SYN went.
    victim.refuses(signed(&answer, &key), PacketError::UnknownStream);
    victim.pair.settle();
    victim.refuses(build(&answer), PacketError::Unsigned);
    victim.refuses(signed(&answer, &stranger), PacketError::BadSignature);
    let wrong = PacketBuilder {
        from: Some(&strangers),
        ..answer.clone()
    };
    victim.refuses(signed(&wrong, &stranger), PacketError::WrongSender);
    let nobody = PacketBuilder {
        from: None,
        max_size: None,
        ..answer.clone()
    };
    victim.refuses(build(&nobody), PacketError::Unsigned);
    let numbered = PacketBuilder {
        sequence: 1,
        ..answer.clone()
    };
    victim.refuses(signed(&numbered, &key), PacketError::Flags);
    // Resets of others, and what has to be signed and cannot be checked yet.
    let reset = PacketBuilder {
        flags: Flags::RESET,
        max_size: None,
        ..answer.clone()
    };
    victim.refuses(build(&reset), PacketError::Unsigned);
    victim.refuses(signed(&reset, &stranger), PacketError::BadSignature);
    let wrong = PacketBuilder {
        from: Some(&strangers),
        ..reset.clone()
    };
    victim.refuses(signed(&wrong, &stranger), PacketError::WrongSender);
    let nobody = PacketBuilder {
        from: None,
        ..reset.clone()
    };
    victim.refuses(signed(&nobody, &key), PacketError::Unsigned);
    let close = PacketBuilder {
        flags: Flags::CLOSE,
        ..victim.data(number, 1)
    };
    victim.refuses(signed(&close, &key), PacketError::Unsigned);
    let ack = PacketBuilder {
        sequence: 0,
        ..victim.data(number, 0)
    };
    victim.refuses(build(&ack), PacketError::Unsigned);
    assert_eq!(
        victim.pair.sides[B].stream(id).unwrap().close_reason(),
        None
    );

    // Data that came before, of another stream number than the answer's, is forgotten.
    let early = PacketBuilder {
        receive_stream: 99,
        ..victim.data(number, 1)
    };
    assert_eq!(victim.inject(build(&early)), Ok(()));
    victim.refuses(build(&victim.data(number, 2)), PacketError::WrongStream);
    assert_eq!(victim.inject(signed(&answer, &key)), Ok(()));
    assert!(victim.is_open(id));
    assert_eq!(victim.pair.stats(B, id).max_payload, 1000);
    assert_eq!(victim.inject(build(&victim.data(number, 2))), Ok(()));
    assert_eq!(victim.pair.read_all(B, id).0, b"");
    let real = PacketBuilder {
        payload: b"real",
        ..victim.data(number, 1)
    };
    assert_eq!(victim.inject(build(&real)), Ok(()));
    assert_eq!(victim.pair.read_all(B, id).0, b"realdata");
    // A second answer changes nothing.
    let again = PacketBuilder {
        receive_stream: 99,
        ..answer.clone()
    };
    victim.refuses(signed(&again, &key), PacketError::WrongStream);
    victim.refuses(signed(&answer, &key), PacketError::Duplicate);
}

#[test]
fn resets_end_a_stream_in_each_state_if_they_are_authentic() {
    // Opening: refused.
    let mut victim = Victim::new();
    let peer = victim.pair.hash(A);
    let id = victim.pair.sides[B]
        .connect(peer, PORTS, victim.pair.now)
        .unwrap();
    victim.pair.settle();
    let number = victim.pair.sides[B].stream(id).unwrap().local_id();
    let (from, key, stranger) = (victim.from.clone(), victim.key.clone(), key(3));
    let reset = |number| PacketBuilder {
        send_stream: number,
        receive_stream: THEIRS,
        flags: Flags::RESET,
        ..PacketBuilder::default()
    };
    let with_from = PacketBuilder {
        from: Some(&from),
        ..reset(number)
    };
    assert_eq!(victim.inject(signed(&with_from, &key)), Ok(()));
    assert_eq!(
        victim.pair.sides[B].stream(id).unwrap().close_reason(),
        Some(CloseReason::Refused)
    );

    // Open, finished on our side, finished on theirs.
    for state in 0..3 {
        let mut victim = Victim::new();
        let (id, number) = victim.open();
        if state == 1 {
            victim.pair.stream(B, id).finish();
        }
        if state == 2 {
            let close = PacketBuilder {
                flags: Flags::CLOSE,
                ..victim.data(number, 1)
            };
            victim.inject(signed(&close, &key)).unwrap();
        }
        victim.pair.settle();
        victim.refuses(build(&reset(number)), PacketError::Unsigned);
        victim.refuses(signed(&reset(number), &stranger), PacketError::BadSignature);
        let other = PacketBuilder {
            receive_stream: 1,
            ..reset(number)
        };
        victim.refuses(signed(&other, &key), PacketError::WrongStream);
        let unknown = PacketBuilder {
            send_stream: number ^ 1,
            ..reset(number)
        };
        victim.refuses(signed(&unknown, &key), PacketError::UnknownStream);
        assert!(victim.is_open(id));
        // The number may be left away.
        let anonymous = PacketBuilder {
            receive_stream: 0,
            ..reset(number)
        };
        assert_eq!(victim.inject(signed(&anonymous, &key)), Ok(()));
        let (came, end) = victim.pair.read_all(B, id);
        assert!(came.starts_with(b"hello"));
        if state != 2 {
            assert_eq!(end, Err(CloseReason::ResetByPeer));
        }
        // Once more does nothing, and no reset is answered with one.
        victim.answers();
        assert_eq!(victim.inject(signed(&reset(number), &key)), Ok(()));
        assert!(victim.answers().is_empty());
    }
}

#[test]
fn closes_that_are_not_authentic_or_out_of_order() {
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    let (key, stranger) = (victim.key.clone(), key(3));
    let close = |sequence| PacketBuilder {
        flags: Flags::CLOSE,
        payload: b"",
        send_stream: number,
        receive_stream: THEIRS,
        sequence,
        ..PacketBuilder::default()
    };
    victim.refuses(build(&close(1)), PacketError::Unsigned);
    victim.refuses(signed(&close(1), &stranger), PacketError::BadSignature);
    // Data may claim to be signed, and then has to be.
    let data = victim.data(number, 1);
    victim.refuses(signed(&data, &stranger), PacketError::BadSignature);
    let other = destination(&stranger);
    let named = PacketBuilder {
        from: Some(&other),
        ..data.clone()
    };
    victim.refuses(signed(&named, &stranger), PacketError::WrongSender);

    victim.inject(build(&victim.data(number, 4))).unwrap();
    // Something was sent that is behind this end.
    victim.refuses(signed(&close(3), &key), PacketError::BehindEnd);
    assert_eq!(victim.inject(signed(&close(5), &key)), Ok(()));
    victim.refuses(build(&victim.data(number, 6)), PacketError::BehindEnd);
    victim.refuses(signed(&close(3), &key), PacketError::BehindEnd);
    for sequence in 1..4 {
        assert_eq!(victim.inject(build(&victim.data(number, sequence))), Ok(()));
    }
    let (came, end) = victim.pair.read_all(B, id);
    assert_eq!(
        (&came[..], end),
        (&b"hellodatadatadatadata"[..], Ok(Read::End))
    );
    victim.refuses(build(&victim.data(number, 6)), PacketError::BehindEnd);
    victim.refuses(signed(&close(5), &key), PacketError::Duplicate);
}

#[test]
fn numbers_that_make_no_sense() {
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    let data = |sequence| victim.data(number, sequence);
    let span = ConnectionsConfig::default().stream.receive_span;
    let [far, farthest, near] = [span + 1, u32::MAX, span].map(|n| build(&data(n)));
    let wrong = build(&PacketBuilder {
        receive_stream: 1,
        ..data(1)
    });
    let unknown = build(&PacketBuilder {
        send_stream: number ^ 1,
        ..data(1)
    });
    let unsent = build(&PacketBuilder {
        ack_through: 1,
        ..data(1)
    });
    let never = build(&PacketBuilder {
        ack_through: u32::MAX,
        nacks: &[0; 255],
        ..data(2)
    });
    victim.refuses(far, PacketError::TooFarAhead);
    victim.refuses(farthest, PacketError::TooFarAhead);
    assert_eq!(victim.inject(near), Ok(()));
    victim.refuses(wrong, PacketError::WrongStream);
    victim.refuses(unknown, PacketError::UnknownStream);
    // What it carries is taken all the same.
    victim.refuses(unsent, PacketError::AckOfUnsent);
    victim.refuses(never, PacketError::AckOfUnsent);
    assert_eq!(victim.pair.read_all(B, id).0, b"hellodatadata");
    // A delay of one byte, and options that nothing asked for, which are not looked at.
    let mut short = build(&PacketBuilder {
        delay: Some(1),
        ..victim.data(number, 3)
    })
    .to_vec();
    short[21] = 1;
    victim.refuses(short.into(), PacketError::MalformedOptions);
    // What says twice the same is wrong once.
    let three = build(&victim.data(number, 3));
    assert_eq!(victim.inject(three.clone()), Ok(()));
    victim.refuses(three, PacketError::Duplicate);
    assert!(victim.is_open(id));
}

#[test]
fn nacks_that_make_no_sense_send_nothing_again() {
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    let ack = |through, nacks| PacketBuilder {
        send_stream: number,
        receive_stream: THEIRS,
        ack_through: through,
        nacks,
        ..PacketBuilder::default()
    };
    victim.inject(build(&ack(0, &[]))).unwrap();
    victim.pair.stream(B, id).write(&[1; 17_300]).unwrap();
    victim.pair.settle();
    assert_eq!(
        victim
            .answers()
            .iter()
            .filter(|t| !t.packet.is_empty())
            .count(),
        1 + 10
    );
    // Of what is not sent, of what is acknowledged, many times the same.
    victim
        .inject(build(&ack(0, &[0, 1, 2, u32::MAX, 5, 5, 5])))
        .unwrap();
    victim.inject(build(&ack(0, &[7; 255]))).unwrap();
    assert!(victim.answers().is_empty());
    assert_eq!(victim.pair.stats(B, id).in_flight, 10);
    // Everything NACKed is nothing acknowledged.
    victim
        .inject(build(&ack(10, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])))
        .unwrap();
    assert_eq!(victim.pair.stats(B, id).in_flight, 10);
    assert!(victim.answers().is_empty());
    // What was acknowledged stays so.
    victim.inject(build(&ack(10, &[1, 2]))).unwrap();
    let again = victim.answers();
    assert_eq!(again.len(), 2);
    victim.inject(build(&ack(10, &[1, 2, 3, 4, 5]))).unwrap();
    assert_eq!(victim.pair.stats(B, id).in_flight, 2);
    assert!(victim.answers().is_empty());
}

/// Which words make us stop, and that none of them stops us for ever.
#[test]
fn every_delay_is_survived() {
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    for (through, delay) in (0_u32..).zip(
        (0..=u16::MAX)
            .step_by(97)
            .chain([0, 59_999, 60_000, 60_001, 61_000, 65_534, 65_535]),
    ) {
        let ack = PacketBuilder {
            ack_through: through,
            sequence: 0,
            delay: Some(delay),
            payload: b"",
            ..victim.data(number, 0)
        };
        victim.inject(build(&ack)).unwrap();
        let stops = (60_000..65_535).contains(&delay);
        assert_eq!(victim.pair.stats(B, id).choked, stops, "{delay}");
        victim.pair.stream(B, id).write(&[0; 10]).unwrap();
        victim.pair.run_for(ms(1));
        let sent = victim.answers();
        let data = |t: &&Transmit| !Packet::parse(&t.packet).unwrap().payload.is_empty();
        assert_eq!(sent.iter().find(data).is_none(), stops, "{delay}");
        // Progress without a word goes on, too.
        let ack = PacketBuilder {
            ack_through: through,
            delay: stops.then_some(0),
            ..ack.clone()
        };
        victim.inject(build(&ack)).unwrap();
        victim.pair.settle();
        assert!(!victim.pair.stats(B, id).choked);
        let ack = PacketBuilder {
            ack_through: through + 1,
            delay: None,
            ..ack
        };
        victim.inject(build(&ack)).unwrap();
        assert_eq!(victim.pair.stats(B, id).in_flight, 0);
        victim.answers();
    }
}

#[test]
fn a_choke_that_never_ends_costs_a_probe_now_and_then() {
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    victim.pair.stream(B, id).write(&[0; 100_000]).unwrap();
    for _ in 0..300 {
        let choke = PacketBuilder {
            delay: Some(61_000),
            payload: b"",
            ..victim.data(number, 0)
        };
        victim.inject(build(&choke)).unwrap();
        victim.pair.run_for(secs(1));
    }
    // 60 probes of one packet each, and what went before.
    assert!(victim.answers().len() < 80);
    assert!(victim.is_open(id));
    let stats = victim.pair.stats(B, id);
    assert_eq!(stats.chokes, 1);
    // Silence is another thing.
    victim.pair.run_for(secs(200));
    let reason = victim.pair.sides[B].stream(id).unwrap().close_reason();
    assert_eq!(reason, Some(CloseReason::TimedOut));
}

#[test]
fn what_a_peer_makes_us_hold_is_bounded() {
    let mut config = ConnectionsConfig {
        max_bytes: 900_000,
        max_bytes_per_peer: 700_000,
        ..ConnectionsConfig::default()
    };
    config.stream.receive_buffer = 400_000;
    let mut victim = Victim::with(config);
    let (from, key, me) = (victim.from.clone(), victim.key.clone(), victim.pair.hash(B));
    // Ten streams, of each every second packet, so that nothing can be read.
    let mut worst = 0;
    for number in 1..=10 {
        let syn = PacketBuilder {
            receive_stream: number,
            ..syn(&from, me)
        };
        victim.inject(signed(&syn, &key)).unwrap();
        let id = victim.pair.sides[B].accept(0, victim.pair.now).unwrap();
        let local = victim.pair.sides[B].stream(id).unwrap().local_id();
        for sequence in (2..1000).step_by(2) {
            let data = PacketBuilder {
                receive_stream: number,
                payload: &[0; 1800],
                ..victim.data(local, sequence)
            };
            let _ = victim.inject(build(&data));
            worst = worst.max(victim.pair.sides[B].stream(id).unwrap().weight());
        }
        victim.pair.settle();
        let bytes = victim.pair.sides[B].bytes();
        assert!(bytes <= 700_000 + 20 * 1024, "{bytes}");
    }
    assert!((150_000..=200_000).contains(&worst), "{worst}");
    assert!(victim.pair.sides[B].stats().errors(PacketError::NoRoom) > 3000);
    // Empty ones weigh something as well.
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    for sequence in 2..100_000 {
        let data = PacketBuilder {
            payload: b"",
            ..victim.data(number, sequence)
        };
        let _ = victim.inject(build(&data));
    }
    assert!(victim.pair.sides[B].stream(id).unwrap().weight() < 600_000);
}

#[test]
fn acknowledgements_are_not_an_amplifier() {
    let mut victim = Victim::new();
    let (_, number) = victim.open();
    victim.answers();
    for round in 0..100 {
        // Duplicates, plain acknowledgements that ask for one, SYNs.
        for n in 0..10 {
            let packet = match n % 3 {
                0 => build(&victim.data(number, 1)),
                1 => build(&PacketBuilder {
                    delay: Some(0),
                    payload: b"",
                    ..victim.data(number, 0)
                }),
                _ => signed(&victim.syn(), &victim.key),
            };
            let _ = victim.inject(packet);
        }
        let answers = victim.answers();
        assert!(answers.len() <= 2, "{round} {}", answers.len());
        victim.pair.run_for(ms(5));
    }
}

#[test]
fn packets_of_no_stream_are_answered_rarely() {
    let mut victim = Victim::new();
    let session = Some(victim.pair.hash(A));
    for n in 1..1000 {
        let data = build(&victim.data(n, 5));
        assert_eq!(
            victim.pair.inject(B, data.clone(), session),
            Err(PacketError::UnknownStream)
        );
        // Without a session nobody knows whom to answer.
        assert_eq!(victim.inject(data), Err(PacketError::UnknownStream));
    }
    let answers = victim.answers();
    assert_eq!(answers.len(), 8);
    let reset = Packet::parse(&answers[0].packet).unwrap();
    assert!(
        reset
            .flags
            .contains(Flags::RESET | Flags::SIGNATURE_INCLUDED)
    );
    assert_eq!(reset.send_stream, THEIRS);
    // No answer to an answer, nor to acknowledgements.
    victim.pair.run_for(secs(5));
    let reset = build(&PacketBuilder {
        flags: Flags::RESET,
        ..victim.data(7, 5)
    });
    let ack = build(&victim.data(7, 0));
    for packet in [reset, ack] {
        assert!(victim.pair.inject(B, packet, session).is_err());
    }
    assert!(victim.answers().is_empty());
}

#[test]
fn packets_that_overtake_their_syn_are_kept_for_it_and_only_so_many() {
    let mut victim = Victim::new();
    let early = |victim: &Victim, number, sequence| {
        build(&PacketBuilder {
            receive_stream: number,
            ..victim.data(0, sequence)
        })
    };
    let first = early(&victim, THEIRS, 1);
    assert_eq!(victim.inject(first), Ok(()));
    let second = early(&victim, THEIRS, 2);
    assert_eq!(victim.inject(second), Ok(()));
    let (id, _) = victim.open();
    assert_eq!(victim.pair.read_all(B, id).0, b"hellodatadata");
    // More come behind it, before the answer gets there.
    let third = early(&victim, THEIRS, 3);
    assert_eq!(victim.inject(third), Ok(()));
    assert_eq!(victim.pair.read_all(B, id).0, b"data");

    for number in 1..100_000 {
        let _ = victim.inject(early(&victim, number, 1));
    }
    // Those of a session are not of a SYN without.
    let other = Some(DestinationHash([9; 32]));
    let packet = early(&victim, 77, 1);
    assert_eq!(victim.pair.inject(B, packet, other), Ok(()));
    let syn = PacketBuilder {
        receive_stream: 77,
        ..victim.syn()
    };
    let syn = signed(&syn, &victim.key);
    victim.inject(syn).unwrap();
    let id = victim.pair.sides[B].accept(0, victim.pair.now).unwrap();
    assert_eq!(victim.pair.read_all(B, id).0, b"hello");
}

#[test]
fn a_session_is_its_destinations_alone() {
    let mut victim = Victim::new();
    let (id, number) = victim.open();
    let other = Some(DestinationHash([9; 32]));
    let key = victim.key.clone();
    let data = victim.data(number, 1);
    let close = PacketBuilder {
        flags: Flags::CLOSE,
        ..data.clone()
    };
    let reset = PacketBuilder {
        flags: Flags::RESET,
        ..data.clone()
    };
    for packet in [build(&data), signed(&close, &key), signed(&reset, &key)] {
        assert_eq!(
            victim.pair.inject(B, packet, other),
            Err(PacketError::WrongSender)
        );
    }
    assert!(victim.is_open(id));
    // Over its own, nothing needs a signature.
    let session = Some(victim.pair.hash(A));
    assert_eq!(victim.pair.inject(B, build(&close), session), Ok(()));
    assert_eq!(victim.pair.read_all(B, id).1, Ok(Read::End));
}

#[test]
fn pings_that_are_not_answered() {
    let mut victim = Victim::new();
    let from = victim.from.clone();
    let (key, stranger) = (victim.key.clone(), key(3));
    let ping = PacketBuilder {
        send_stream: 5,
        flags: Flags::ECHO,
        from: Some(&from),
        payload: &[7; 1000],
        ..PacketBuilder::default()
    };
    victim.refuses(build(&ping), PacketError::Unsigned);
    victim.refuses(signed(&ping, &stranger), PacketError::BadSignature);
    let pong = PacketBuilder {
        send_stream: 0,
        receive_stream: 5,
        from: None,
        ..ping.clone()
    };
    victim.refuses(build(&pong), PacketError::UnwantedEcho);
    for _ in 0..1000 {
        let _ = victim.inject(signed(&ping, &key));
    }
    let answers = victim.answers();
    assert!(answers.len() <= 16, "{}", answers.len());
    assert_eq!(answers[0].packet.len(), 22 + 32);
    assert_eq!(answers[0].peer, from.hash());

    let config = ConnectionsConfig {
        answer_pings: false,
        ..ConnectionsConfig::default()
    };
    let mut victim = Victim::with(config);
    victim.refuses(signed(&ping, &key), PacketError::UnwantedEcho);
    // Another's pong is not our peer's.
    let peer = victim.pair.hash(A);
    let number = victim.pair.sides[B]
        .ping(peer, b"", PORTS, victim.pair.now)
        .unwrap();
    let pong = PacketBuilder {
        receive_stream: number,
        ..pong
    };
    let wrong = victim
        .pair
        .inject(B, build(&pong), Some(DestinationHash([9; 32])));
    assert_eq!(wrong, Err(PacketError::WrongSender));
    assert_eq!(victim.pair.inject(B, build(&pong), Some(peer)), Ok(()));
}

#[test]
fn every_error_is_counted_under_its_own_name() {
    let mut stats = ConnectionsStats::default();
    for error in PacketError::ALL {
        stats.count(error);
    }
    assert!(
        PacketError::ALL
            .iter()
            .all(|&error| stats.errors(error) == 1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Packets of a real exchange, changed anywhere and thrown in, panic nowhere, hold nothing that
    /// is not bounded and stop no clock.
    #[test]
    fn changed_packets_do_no_harm(
        seed: u8,
        changes in prop::collection::vec((any::<u16>(), any::<u16>(), any::<u8>(), 0_u8..4), 1..200),
    ) {
        let link = Link { loss_percent: 10, jitter: ms(20), sessions: false, ..Link::default() };
        let mut pair = Pair::with(link, seed, ConnectionsConfig::default());
        pair.record = Some(Vec::new());
        let (a, b) = pair.open();
        let bytes = data(20_000);
        for (which, at, value, kind) in changes {
            for (side, id) in [(A, a), (B, b)] {
                if let Some(mut stream) = pair.sides[side].stream_mut(id, pair.now) {
                    let _ = stream.write(&bytes[..usize::from(at) % bytes.len()]);
                    let _ = stream.read(&mut [0; 4000]);
                    if kind == 3 && value == 0 {
                        stream.finish();
                    }
                }
            }
            pair.run_for(Duration::from_millis(u64::from(value)));
            let record = pair.record.as_mut().unwrap();
            let (_, from, transmit) = &record[usize::from(which) % record.len()];
            let (to, mut packet) = (1 - *from, transmit.packet.to_vec());
            // Mostly the header, where it matters.
            let len = if kind == 0 { packet.len() } else { packet.len().min(30) };
            let at = usize::from(at) % len;
            match kind {
                2 => packet.truncate(at),
                _ => packet[at] = value,
            }
            if record.len() > 500 {
                record.drain(..250);
            }
            let _ = pair.inject(to, packet.into(), None);
            pair.settle();
            prop_assert!(pair.sides.iter().all(|side| side.bytes() < 8_000_000));
        }
        for side in [A, B] {
            let now = pair.now;
            pair.sides[side].reset_all(now);
        }
        for (side, id) in [(A, a), (B, b)] {
            pair.stream(side, id).release();
        }
        pair.run_for(secs(700));
        prop_assert_eq!(pair.sides[A].bytes() + pair.sides[B].bytes(), 0);
    }

    #[test]
    fn arbitrary_packets_do_not_panic(packets in prop::collection::vec(any::<(Vec<u8>, u16, bool)>(), 0..20)) {
        let mut victim = Victim::new();
        let (_, number) = victim.open();
        for (mut bytes, flags, known) in packets {
            if bytes.len() >= 22 {
                bytes[16] %= 4;
                bytes[..4].copy_from_slice(&if known { number } else { 0 }.to_be_bytes());
                bytes[18..20].copy_from_slice(&flags.to_be_bytes());
            }
            let _ = victim.inject(bytes.into());
            victim.pair.run_for(ms(10));
        }
    }
}
