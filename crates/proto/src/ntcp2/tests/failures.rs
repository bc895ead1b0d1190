use super::by_hand::{Alice, created, request_options};
use super::*;

/// Gives Bob a first message and returns why he closed. He must not have answered, and must read
/// on for a while.
fn silent_failure(config: &AcceptConfig, message1: &[u8]) -> HandshakeError {
    let fail = |seed: u8| {
        let random = Random::from_seed([seed; 32]);
        let mut bob = Connection::accept(config.clone(), start(), random);
        let mut input = BytesMut::from(message1);
        bob.handle_input(&mut input, start());
        let Some(Event::Closed {
            why: CloseReason::Handshake(why),
        }) = bob.poll_event()
        else {
            panic!("no failure");
        };
        assert!(bob.poll_event().is_none());
        assert!(!bob.poll_transmit(start(), &mut BytesMut::new()));
        (bob, why)
    };
    let mut stopped_after = BTreeSet::new();
    let mut stopped_at = BTreeSet::new();
    for seed in 0..4 {
        let (mut bob, _) = fail(seed);
        let mut read = 0;
        while !bob.is_closed() {
            bob.handle_input(&mut BytesMut::from(&[0][..]), start());
            read += 1;
            assert!(read <= 4096);
        }
        stopped_after.insert(read);

        let (mut bob, _) = fail(seed);
        let at = bob.poll_timeout().unwrap();
        assert!(at <= start().instant + Duration::from_secs(8));
        stopped_at.insert(at);
        bob.handle_timeout(Now {
            instant: at,
            ..start()
        });
        assert!(bob.is_closed());
        assert!(!bob.poll_transmit(start(), &mut BytesMut::new()));
    }
    assert!(stopped_after.len() > 1 && stopped_at.len() > 1);
    let (_, why) = fail(9);
    assert!(CloseReason::Handshake(why.clone()).is_abrupt());
    why
}

fn request(options: [u8; 16], padding: &[u8]) -> Vec<u8> {
    Alice::request(&TestRouter::alice(), &TestRouter::bob(), options, padding).1
}

fn failure_of_request(options: [u8; 16], padding: &[u8]) -> HandshakeError {
    silent_failure(&TestRouter::bob().accept(), &request(options, padding))
}

#[test]
fn a_first_message_for_another_router_is_not_authentic() {
    let config = TestRouter::bob().accept();
    let not_authentic = HandshakeError::NotAuthentic(HandshakeMessage::Request);
    let good = request(request_options(NETWORK, 2, 0, 1000, now_s()), &[]);
    let mut tampered = good.clone();
    tampered[40] ^= 1;
    assert_eq!(silent_failure(&config, &tampered), not_authentic);
    let mut other = TestRouter::bob();
    other.static_key = PrivateKey::generate(&mut Random::from_seed([9; 32]));
    assert_eq!(silent_failure(&other.accept(), &good), not_authentic);
}

#[test]
fn keys_that_nothing_can_be_agreed_with_are_refused() {
    let bob = TestRouter::bob();
    for key in [[0; 32], [0xff; 32]] {
        let mut message = key;
        ramson_crypto::Aes256Encryptor::new(bob.hash().as_bytes())
            .cbc_encrypt(&bob.iv, &mut message)
            .unwrap();
        let message = [message, [0; 32]].concat();
        let why = silent_failure(&bob.accept(), &message);
        assert_eq!(why, HandshakeError::InvalidKey);
    }
    let mut dial = TestRouter::alice().dial(&bob);
    dial.static_key = [0; 32];
    let (_, alice) = reasons(Pair::with(dial, bob.accept()));
    assert_eq!(alice, handshake(HandshakeError::InvalidKey));
}

#[test]
fn options_of_the_first_message_are_checked() {
    let options = |network, version, padding, part2| {
        request_options(network, version, padding, part2, now_s())
    };
    assert_eq!(
        failure_of_request(options(NETWORK, 3, 0, 1000), &[]),
        HandshakeError::Version { theirs: 3 }
    );
    assert_eq!(
        failure_of_request(options(2, 2, 0, 1000), &[]),
        HandshakeError::Network { theirs: 2 }
    );
    assert_eq!(
        failure_of_request(options(NETWORK, 2, 224, 1000), &[0; 224]),
        HandshakeError::PaddingTooLong {
            message: HandshakeMessage::Request,
            len: 224
        }
    );
    for len in [0, 16, 458, 4049, u16::MAX] {
        assert_eq!(
            failure_of_request(options(NETWORK, 2, 0, len), &[]),
            HandshakeError::ConfirmedLength { len }
        );
    }
}

#[test]
fn what_is_allowed_in_the_first_message_is_answered() {
    for (network, padding, part2) in [
        (NETWORK, 0, 459),
        (0, 0, 1000),
        (NETWORK, 223, 4048),
        (NETWORK, 1, 1000),
    ] {
        let padding = vec![7; padding];
        let options = request_options(network, 2, padding.len() as u16, part2, now_s());
        let mut bob = Side::new(Connection::accept(
            TestRouter::bob().accept(),
            start(),
            Random::from_seed([3; 32]),
        ));
        bob.pipe.extend_from_slice(&request(options, &padding));
        bob.read(usize::MAX, start());
        let mut out = BytesMut::new();
        assert!(bob.link.poll_transmit(start(), &mut out));
        assert!((64..=95).contains(&out.len()));
    }
}

#[test]
fn bytes_behind_the_first_message_are_out_of_turn() {
    let options = request_options(NETWORK, 2, 3, 1000, now_s());
    let config = TestRouter::bob().accept();
    let mut message = request(options, &[1, 2, 3]);
    message.push(0);
    let mut bob = Connection::accept(config, start(), Random::from_seed([3; 32]));
    bob.handle_input(&mut BytesMut::from(&message[..]), start());
    assert!(matches!(bob.poll_event(), Some(Event::EphemeralKey { .. })));
    let Some(Event::Closed { why }) = bob.poll_event() else {
        panic!("not closed");
    };
    assert_eq!(Some(why), handshake(HandshakeError::OutOfTurn));
    bob.admit(true, start());
    assert!(!bob.poll_transmit(start(), &mut BytesMut::new()));
}

#[test]
fn bytes_behind_the_second_message_are_out_of_turn() {
    let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
    pair.round();
    let mut message2 = BytesMut::new();
    assert!(pair.bob.link.poll_transmit(pair.now, &mut message2));
    pair.alice.pipe.extend_from_slice(&message2);
    pair.alice.pipe.extend_from_slice(&[0]);
    pair.alice.read(usize::MAX, pair.now);
    assert_eq!(
        pair.alice.closed().cloned(),
        handshake(HandshakeError::OutOfTurn)
    );
    assert!(pair.alice.link.is_closed());
}

#[test]
fn bytes_before_the_first_message_are_out_of_turn() {
    let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
    pair.alice.pipe.extend_from_slice(&[0]);
    pair.alice.read(usize::MAX, pair.now);
    assert_eq!(
        pair.alice.closed().cloned(),
        handshake(HandshakeError::OutOfTurn)
    );
}

#[test]
fn a_replayed_first_message_gets_no_answer() {
    let mut admission = Admission::new(AdmissionLimits::default());
    let message = request(request_options(NETWORK, 2, 0, 1000, now_s()), &[]);
    let mut answers = Vec::new();
    for seed in 0..2 {
        let random = Random::from_seed([seed; 32]);
        let mut bob = Connection::accept(TestRouter::bob().accept(), start(), random);
        bob.handle_input(&mut BytesMut::from(&message[..]), start());
        let Some(Event::EphemeralKey { encrypted }) = bob.poll_event() else {
            panic!("no question");
        };
        assert_eq!(encrypted, message[..32]);
        let fresh = admission.check_key(&encrypted, start().instant).is_ok();
        bob.admit(fresh, start());
        answers.push(bob.poll_transmit(start(), &mut BytesMut::new()));
        if !fresh {
            let Some(Event::Closed { why }) = bob.poll_event() else {
                panic!("not closed");
            };
            assert_eq!(Some(why), handshake(HandshakeError::Replay));
            assert!(!bob.is_closed());
        }
    }
    assert_eq!(answers, [true, false]);
}

#[test]
fn a_second_message_that_is_not_right_ends_the_dial_at_once() {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let fail = |make: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut link = Connection::dial(alice.dial(&bob), start(), Random::from_seed([1; 32]));
        let mut message1 = BytesMut::new();
        assert!(link.poll_transmit(start(), &mut message1));
        let mut input = BytesMut::from(&make(&message1)[..]);
        link.handle_input(&mut input, start());
        assert!(link.is_closed());
        assert!(!link.poll_transmit(start(), &mut BytesMut::new()));
        match link.poll_event() {
            Some(Event::Closed { why }) => Some(why),
            _ => None,
        }
    };
    assert_eq!(
        fail(&|message1| created(&bob, message1, 224, now_s(), &[0; 224])),
        handshake(HandshakeError::PaddingTooLong {
            message: HandshakeMessage::Created,
            len: 224
        })
    );
    let tampered = |message1: &[u8]| {
        let mut message = created(&bob, message1, 0, now_s(), &[]);
        message[50] ^= 1;
        message
    };
    assert_eq!(
        fail(&tampered),
        handshake(HandshakeError::NotAuthentic(HandshakeMessage::Created))
    );
    assert_eq!(
        fail(&|message1| created(&bob, message1, 0, now_s() - 61, &[])),
        handshake(HandshakeError::ClockSkew {
            theirs: UnixTime::from_secs(now_s() - 61)
        })
    );
}

#[test]
fn the_most_padding_in_the_second_message_is_read() {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let mut link = Connection::dial(alice.dial(&bob), start(), Random::from_seed([1; 32]));
    let mut message1 = BytesMut::new();
    assert!(link.poll_transmit(start(), &mut message1));
    let message2 = created(&bob, &message1, 223, now_s(), &[5; 223]);
    link.handle_input(&mut BytesMut::from(&message2[..]), start());
    assert!(matches!(link.poll_event(), Some(Event::Established { .. })));
}

#[test]
fn clocks_a_minute_apart_are_accepted_and_a_little_more_is_not() {
    for (ahead_ms, accepted) in [
        (59_000, true),
        (-59_000, true),
        (61_500, false),
        (-61_500, false),
    ] {
        let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
        pair.bob_ahead_ms = ahead_ms;
        pair.settle();
        assert_eq!(pair.alice.established().is_some(), accepted, "{ahead_ms}");
        if !accepted {
            // Bob answered, so that Alice learns the time.
            assert_eq!(pair.alice.writes.len(), 1);
            let theirs = UnixTime::from_millis(
                (start().unix.as_millis().saturating_add_signed(ahead_ms) + 500) / 1000 * 1000,
            );
            assert_eq!(
                pair.alice.closed().cloned(),
                handshake(HandshakeError::ClockSkew { theirs })
            );
        }
    }
}

#[test]
fn slow_handshakes_time_out_whatever_trickles_in() {
    // Nothing at all, and a byte a second.
    for trickle in [false, true] {
        let mut bob = Connection::accept(
            TestRouter::bob().accept(),
            start(),
            Random::from_seed([3; 32]),
        );
        let message = request(request_options(NETWORK, 2, 0, 1000, now_s()), &[]);
        let mut bytes = message.iter();
        let mut input = BytesMut::new();
        let mut now = start();
        while !bob.is_closed() {
            now = later(now, Duration::from_secs(1));
            assert!(now.instant <= start().instant + Duration::from_secs(11));
            if trickle {
                input.extend(bytes.next());
            }
            bob.handle_input(&mut input, now);
            bob.handle_timeout(now);
        }
        assert!(now.instant >= start().instant + Duration::from_secs(8));
        let Some(Event::Closed { why }) = bob.poll_event() else {
            panic!("not closed");
        };
        assert_eq!(
            Some(why),
            handshake(HandshakeError::TimedOut(HandshakeMessage::Request))
        );
    }
}

#[test]
fn a_question_about_replays_that_is_never_answered_times_out() {
    let mut bob = Connection::accept(
        TestRouter::bob().accept(),
        start(),
        Random::from_seed([3; 32]),
    );
    let message = request(request_options(NETWORK, 2, 0, 1000, now_s()), &[]);
    bob.handle_input(&mut BytesMut::from(&message[..]), start());
    bob.handle_timeout(later(start(), Duration::from_secs(10)));
    assert!(bob.is_closed());
}

#[test]
fn both_sides_stop_waiting_for_the_next_message() {
    let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
    pair.round();
    let mut lost = BytesMut::new();
    assert!(pair.bob.link.poll_transmit(pair.now, &mut lost));
    pair.wait(Duration::from_secs(16));
    assert_eq!(
        pair.bob.closed().cloned(),
        handshake(HandshakeError::TimedOut(HandshakeMessage::Confirmed))
    );
    assert_eq!(
        pair.alice.closed().cloned(),
        handshake(HandshakeError::TimedOut(HandshakeMessage::Created))
    );
}
