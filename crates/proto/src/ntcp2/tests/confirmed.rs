use super::by_hand::{Alice, request_options};
use super::*;

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
