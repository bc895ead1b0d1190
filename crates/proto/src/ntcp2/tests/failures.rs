use ramson_wire::ntcp2::Block;

use super::by_hand::{Alice, created, request_options};
use super::*;

fn now_s() -> u32 {
    start().unix.as_secs() as u32
}

/// Runs a pair and returns why Bob and Alice closed.
fn reasons(mut pair: Pair) -> (Option<CloseReason>, Option<CloseReason>) {
    pair.settle();
    if pair.bob.closed().is_none() || !pair.bob.link.is_closed() {
        pair.wait(Duration::from_secs(10));
    }
    (pair.bob.closed().cloned(), pair.alice.closed().cloned())
}

fn handshake(error: HandshakeError) -> Option<CloseReason> {
    Some(CloseReason::Handshake(error))
}

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
        ramson_crypto::Aes256::new(bob.hash().as_bytes())
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

/// Runs a handshake with an Alice by hand who promises and sends this payload, her clock off by
/// so many seconds. Returns why Bob closed and what he wrote in the end.
fn confirm(alice: &TestRouter, accept: AcceptConfig, payload: &[u8], ahead_s: i32) -> Answer {
    let bob = TestRouter::bob();
    let time_s = now_s().saturating_add_signed(ahead_s);
    let options = request_options(NETWORK, 2, 0, payload.len() as u16 + 16, time_s);
    let (hand, message1) = Alice::request(alice, &bob, options, &[]);
    let mut side = Side::new(Connection::accept(
        accept,
        start(),
        Random::from_seed([3; 32]),
    ));
    side.pipe.extend_from_slice(&message1);
    side.read(usize::MAX, start());
    let mut message2 = BytesMut::new();
    assert!(side.link.poll_transmit(start(), &mut message2));
    side.pipe
        .extend_from_slice(&hand.confirm(&message2, payload));
    side.read(usize::MAX, start());
    let answered = side.link.poll_transmit(start(), &mut BytesMut::new());
    assert!(side.closed().is_none() || side.link.is_closed());
    Answer {
        why: side.closed().cloned(),
        answered,
    }
}

struct Answer {
    why: Option<CloseReason>,
    answered: bool,
}

fn put_router_info(out: &mut BytesMut, bytes: &[u8]) {
    let flood = false;
    Block::RouterInfo { flood, bytes }.encode(out).unwrap();
}

fn payload(info: &[u8]) -> BytesMut {
    let mut payload = BytesMut::new();
    put_router_info(&mut payload, info);
    payload
}

#[test]
fn the_payload_of_the_third_message_may_hold_options_and_padding_and_nothing_else() {
    let alice = TestRouter::alice();
    let info = alice.info().as_bytes().to_vec();
    let run = |payload: &[u8]| confirm(&alice, TestRouter::bob().accept(), payload, 0).why;
    let wrong = handshake(HandshakeError::WrongBlocks);
    let options = [&[1, 0, 12][..], &[0; 12]].concat();
    let padding = [254, 0, 2, 0, 0];
    let date = [0, 0, 4, 0, 0, 0, 0];
    let good = payload(&info).to_vec();
    assert_eq!(run(&good), None);
    assert_eq!(run(&[&good[..], &padding].concat()), None);
    assert_eq!(run(&[&good[..], &options].concat()), None);
    assert_eq!(run(&[&good[..], &options, &padding].concat()), None);
    assert_eq!(run(&[&date[..], &good].concat()), wrong);
    assert_eq!(run(&[&good[..], &date].concat()), wrong);
    assert_eq!(run(&[&good[..], &options, &options].concat()), wrong);
    assert_eq!(run(&[&good[..], &good].concat()), wrong);
    assert_eq!(run(&[&good[..], &[200, 0, 0]].concat()), wrong);
    assert_eq!(run(&[&[254, 1, 244][..], &[0; 500]].concat()), wrong);
    assert!(matches!(
        run(&good[..good.len() - 1]),
        Some(CloseReason::Handshake(HandshakeError::Malformed(_)))
    ));
    assert_eq!(
        run(&payload(&[1; 500])),
        handshake(HandshakeError::RouterInfoMalformed)
    );
}

#[test]
fn failures_of_the_third_message_are_answered_as_they_should() {
    let bob = TestRouter::bob();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let run = |change: &dyn Fn(&mut TestRouter), accept: AcceptConfig| {
        let mut alice = TestRouter::alice();
        change(&mut alice);
        confirm(&alice, accept, &payload(alice.info().as_bytes()), 0)
    };
    let check = |answer: Answer, error: HandshakeError, reason: Option<TerminationReason>| {
        assert_eq!(error.termination(), reason);
        assert_eq!(answer.answered, reason.is_some(), "{error}");
        assert_eq!(answer.why, handshake(error));
    };
    check(
        run(&|alice| alice.network = Some(2), bob.accept()),
        HandshakeError::RouterInfoNetwork { theirs: Some(2) },
        None,
    );
    check(
        run(&|alice| alice.network = None, bob.accept()),
        HandshakeError::RouterInfoNetwork { theirs: None },
        None,
    );
    let published = start().unix - minutes(91);
    check(
        run(&|alice| alice.published = published, bob.accept()),
        HandshakeError::RouterInfoTooOld { published },
        Some(TerminationReason::Message3),
    );
    let published = start().unix + minutes(3);
    check(
        run(&|alice| alice.published = published, bob.accept()),
        HandshakeError::RouterInfoFromFuture { published },
        Some(TerminationReason::ClockSkew),
    );
    check(
        run(&|alice| alice.address_key = Some([5; 32]), bob.accept()),
        HandshakeError::StaticKey,
        Some(TerminationReason::StaticKey),
    );
    let host = "192.0.2.99".parse().unwrap();
    let accept = bob.accept();
    let came_from = accept.source;
    check(
        run(&|alice| alice.hosts = vec![host], accept),
        HandshakeError::Host { came_from },
        Some(TerminationReason::Message3),
    );
    let mut accept = bob.accept();
    accept.any_source = true;
    assert_eq!(run(&|alice| alice.hosts = vec![host], accept).why, None);
    let mut accept = bob.accept();
    accept.banned = Arc::new(BTreeSet::from([TestRouter::alice().hash()]));
    check(
        run(&|_| {}, accept),
        HandshakeError::Banned,
        Some(TerminationReason::Banned),
    );
    for published in [start().unix - minutes(89), start().unix + minutes(1)] {
        assert_eq!(
            run(&|alice| alice.published = published, bob.accept()).why,
            None
        );
    }
}

#[test]
fn a_router_info_with_a_wrong_signature_is_answered_with_its_reason() {
    let alice = TestRouter::alice();
    let mut info = alice.info().as_bytes().to_vec();
    *info.last_mut().unwrap() ^= 1;
    let answer = confirm(&alice, TestRouter::bob().accept(), &payload(&info), 0);
    let error = HandshakeError::RouterInfoSignature;
    assert_eq!(
        error.termination(),
        Some(TerminationReason::RouterInfoSignature)
    );
    assert!(answer.answered);
    assert_eq!(answer.why, handshake(error));
}

#[test]
fn an_initiator_with_a_wrong_clock_that_goes_on_is_told_so() {
    let alice = TestRouter::alice();
    for ahead_s in [-61, 61] {
        let info = payload(alice.info().as_bytes());
        let answer = confirm(&alice, TestRouter::bob().accept(), &info, ahead_s);
        let theirs = UnixTime::from_secs(now_s().saturating_add_signed(ahead_s));
        let error = HandshakeError::ClockSkew { theirs };
        assert_eq!(error.termination(), Some(TerminationReason::ClockSkew));
        assert!(answer.answered);
        assert_eq!(answer.why, handshake(error));
    }
}

#[test]
fn a_damaged_third_message_gets_no_answer() {
    for at in [0, 47, 48, 100] {
        let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
        pair.round();
        pair.round();
        let mut message3 = BytesMut::new();
        assert!(pair.alice.link.poll_transmit(pair.now, &mut message3));
        message3[at] ^= 1;
        pair.bob.pipe.extend_from_slice(&message3);
        pair.bob.read(usize::MAX, pair.now);
        assert_eq!(
            pair.bob.closed().cloned(),
            handshake(HandshakeError::NotAuthentic(HandshakeMessage::Confirmed))
        );
        assert!(pair.bob.link.is_closed());
        assert!(!pair.bob.link.poll_transmit(pair.now, &mut BytesMut::new()));
    }
}

#[test]
fn the_peer_hears_the_reason_of_a_refusal() {
    let (mut alice, bob) = (TestRouter::alice(), TestRouter::bob());
    alice.address_key = Some([5; 32]);
    let (_, why) = reasons(Pair::new(&alice, &bob));
    assert_eq!(why, Some(CloseReason::Remote(TerminationReason::StaticKey)));
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

#[test]
fn a_frame_that_is_not_authentic_ends_the_link_after_a_while_with_a_termination() {
    let mut pair = Pair::open();
    pair.alice
        .link
        .send(message(1, 100), Priority::Control)
        .unwrap();
    let mut wire = BytesMut::new();
    assert!(pair.alice.link.poll_transmit(pair.now, &mut wire));
    wire[10] ^= 1;
    pair.bob.pipe.extend_from_slice(&wire);
    pair.bob.read(usize::MAX, pair.now);
    assert_eq!(pair.bob.closed(), Some(&CloseReason::FrameNotAuthentic));
    assert!(!pair.bob.link.is_closed());
    assert!(!pair.bob.link.poll_transmit(pair.now, &mut BytesMut::new()));
    pair.wait(Duration::from_secs(9));
    assert!(pair.bob.link.is_closed());
    assert_eq!(
        pair.alice.closed(),
        Some(&CloseReason::Remote(TerminationReason::AeadFailure))
    );
    assert!(pair.bob.messages().is_empty());
}

/// Writes a frame with this content as Alice, with the keys of [`super::data::keys`].
fn receive(content: &[u8]) -> (Result<bool, CloseReason>, Vec<Event>) {
    let (result, events, _) = receive_counted(content);
    (result, events)
}

fn receive_counted(content: &[u8]) -> (Result<bool, CloseReason>, Vec<Event>, LinkStats) {
    use crate::ntcp2::data::FrameSealer;
    use crate::ntcp2::phase::DataPhase;
    let keys = super::data::keys();
    let mut phase = DataPhase::new(
        keys.bob_to_alice,
        keys.alice_to_bob,
        &LinkConfig::default(),
        TestRouter::bob().info(),
        start(),
        &mut Random::from_seed([0; 32]),
    );
    let mut sealer = FrameSealer::new(super::data::keys().alice_to_bob);
    let mut wire = BytesMut::new();
    let begin = sealer.begin(&mut wire);
    wire.extend_from_slice(content);
    sealer.finish(begin, &mut wire);
    let mut events = std::collections::VecDeque::new();
    let mut stats = LinkStats::default();
    let result = phase.receive(&mut wire, start(), &mut events, &mut stats);
    (result, events.into(), stats)
}

#[test]
fn blocks_out_of_order_or_cut_end_the_link_and_nothing_of_the_frame_counts() {
    let i2np = [3, 0, 10, 18, 0, 0, 0, 1, 0, 0, 0, 9, 7];
    let end = [4, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    let padding = [254, 0, 1, 0];
    for content in [
        [&i2np[..], &padding, &i2np].concat(),
        [&i2np[..], &padding, &padding].concat(),
        [&i2np[..], &end, &i2np].concat(),
        [&i2np[..], &[3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]].concat(),
        [&i2np[..], &[3, 0]].concat(),
        [&i2np[..], &[3, 0, 100, 0]].concat(),
        [&i2np[..], &[0, 0, 3, 0, 0, 0]].concat(),
    ] {
        let (result, events) = receive(&content);
        assert!(
            matches!(result, Err(CloseReason::Malformed(_))),
            "{content:?}"
        );
        assert!(events.is_empty());
    }
    let (result, events) = receive(&[&i2np[..], &end, &padding].concat());
    assert_eq!(
        result,
        Err(CloseReason::Remote(TerminationReason::Shutdown))
    );
    assert_eq!(events.len(), 1);
    let (result, events) = receive(&[&[200, 0, 1, 0], &i2np[..], &[99, 0, 0]].concat());
    assert_eq!(result, Ok(true));
    assert_eq!(events.len(), 1);
    assert_eq!(receive(&[]).0, Ok(true));
}

#[test]
fn a_router_info_that_does_not_hold_is_dropped_and_the_link_stays() {
    let good = TestRouter::alice().info().as_bytes().to_vec();
    let mut tampered = good.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let mut content = BytesMut::new();
    for info in [&tampered[..], &good[..100], &[], &[0; 3073], &good] {
        put_router_info(&mut content, info);
    }
    let (result, events, stats) = receive_counted(&content);
    assert_eq!(result, Ok(true));
    assert_eq!(stats.dropped_router_infos_invalid, 4);
    assert!(matches!(events[..], [Event::RouterInfo { .. }]));
}

#[test]
fn a_clock_that_went_off_ends_the_link() {
    for (ahead_s, good) in [(60, true), (-60, true), (61, false), (-61, false)] {
        let theirs = now_s().saturating_add_signed(ahead_s);
        let content = [&[0, 0, 4][..], &theirs.to_be_bytes()].concat();
        let expected = if good {
            Ok(true)
        } else {
            Err(CloseReason::ClockSkew {
                theirs: UnixTime::from_secs(theirs),
            })
        };
        assert_eq!(receive(&content).0, expected);
    }
}

#[test]
fn a_frame_shorter_than_a_tag_is_fatal() {
    use crate::ntcp2::data::FrameOpener;
    let mut mask = super::data::keys().alice_to_bob.mask;
    let masked = (15 ^ mask.next()).to_be_bytes();
    let mut opener = FrameOpener::new(super::data::keys().alice_to_bob);
    assert_eq!(
        opener.next(&mut BytesMut::from(&masked[..])),
        Err(CloseReason::FrameTooShort { len: 15 })
    );
}
