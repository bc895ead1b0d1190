//! A peer that has the keys and breaks the rules: one field of one block at a time.

use ramson_wire::DecodeError;
use ramson_wire::clove::NextKey;

use super::*;

fn time(pair: &Pair) -> PayloadBlock<'static> {
    PayloadBlock::DateTime(pair.now.unix)
}

/// What Bob makes of a New Session message with this payload.
fn opening(payload: &[u8]) -> (Result<Opened, OpenError>, Pair) {
    let mut pair = Pair::new(Limits::default());
    let body = new_session(&mut pair.a, &pair.b.public(), payload);
    let opened = open(&mut pair.b, &body, pair.now);
    (opened, pair)
}

#[test]
fn a_frame_of_a_wrong_length_is_refused() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    let body = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    for wrong in [
        &body[..3],
        &body[..body.len() - 1],
        &[&body[..], &[0]].concat(),
    ] {
        let error = open(&mut pair.b, wrong, pair.now).unwrap_err();
        assert!(matches!(error, OpenError::Framing(_)), "{error}");
    }
    for len in 0..8 {
        let error = open(&mut pair.b, &frame(&body[4..4 + len]), pair.now).unwrap_err();
        assert_eq!(error, OpenError::TooShort);
    }
    // No tag, and too short to open a session.
    let error = open(&mut pair.b, &frame(&[0; 95]), pair.now).unwrap_err();
    assert_eq!(error, OpenError::TooShort);
    assert_eq!(pair.b.stats().dropped_framing, 3);
    assert_eq!(pair.b.stats().dropped_short, 9);
    open(&mut pair.b, &body, pair.now).unwrap();
}

#[test]
fn opening_messages_changed_anywhere_do_not_open() {
    let mut pair = Pair::new(Limits::default());
    let key = pair.b.public();
    let body = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    let mut refused = [0; 3];
    for at in 4..body.len() {
        let mut bad = body.to_vec();
        bad[at] ^= 1;
        let now = super::at(10 * u64::try_from(at).unwrap());
        match (at, open(&mut pair.b, &bad, now).unwrap_err()) {
            (4..36, OpenError::BadKey) => refused[0] += 1,
            (4..84, OpenError::NotForUs) => refused[1] += 1,
            (84.., OpenError::Decrypt) => refused[2] += 1,
            (at, error) => panic!("{at}: {error}"),
        }
    }
    let stats = pair.b.stats();
    let counted = [
        stats.dropped_bad_key,
        stats.dropped_not_for_us,
        stats.dropped_decrypt,
    ];
    assert_eq!(refused, counted);
    assert_eq!(pair.b.sessions(), 0);
}

#[test]
fn keys_that_agree_with_nobody_are_refused() {
    let mut one = sessions(1, Limits::default());
    // The ephemeral key zero, and one that is no representative.
    for last in [[0; 32], [0xff; 32]] {
        let message = [&last[..], &[1; 100]].concat();
        let error = open(&mut one, &frame(&message), at(0)).unwrap_err();
        assert_eq!(error, OpenError::BadKey);
    }
    assert_eq!(one.stats().dropped_bad_key, 2);
}

#[test]
fn an_opening_message_needs_one_time() {
    let (opened, pair) = opening(&[]);
    assert_eq!(opened, Err(OpenError::NoTime));
    assert_eq!((pair.b.stats().dropped_no_time, pair.b.sessions()), (1, 0));
    let twice = encoded(&[time(&pair), time(&pair)]);
    let (opened, pair) = opening(&twice);
    assert_eq!(opened, Err(OpenError::TwoTimes));
    assert_eq!(
        (pair.b.stats().dropped_two_times, pair.b.sessions()),
        (1, 0)
    );
    // Also in a session.
    let mut pair = Pair::established(Limits::default());
    assert_eq!(pair.hostile(&twice), Err(OpenError::TwoTimes));
    assert!(pair.hostile(&twice[..7]).is_ok());
    pair.a_to_b();
}

/// Every kind of damage to the blocks themselves, in every kind of message.
#[test]
fn damaged_blocks_are_refused_and_leave_the_session() {
    let order = |kind| DecodeError::BlockOrder { kind };
    let length = |kind, actual| DecodeError::BlockLength { kind, actual };
    let clove = |rest: &[u8]| {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&[11][..], &len, rest].concat()
    };
    let cases: Vec<(Vec<u8>, DecodeError)> = vec![
        (vec![9], DecodeError::Truncated { missing: 2 }),
        (vec![9, 0, 2, 0], DecodeError::Truncated { missing: 1 }),
        (
            vec![200, 0xff, 0xff],
            DecodeError::Truncated { missing: 0xffff },
        ),
        (vec![254, 0, 0, 9, 0, 1, 0], order(9)),
        (vec![254, 0, 0, 254, 0, 0], order(254)),
        (vec![4, 0, 1, 0, 9, 0, 1, 0], order(9)),
        (vec![0, 0, 3, 0, 0, 0], length(0, 3)),
        (vec![4, 0, 0], length(4, 0)),
        (vec![6, 0, 1, 0], length(6, 1)),
        (vec![7, 0, 2, 0, 0], length(7, 2)),
        (vec![7, 0, 3, 1, 0, 0], length(7, 3)),
        (vec![8, 0, 0], length(8, 0)),
        (vec![8, 0, 3, 0, 0, 0], length(8, 3)),
        (clove(&[]), DecodeError::Truncated { missing: 1 }),
        (clove(&[0x80; 50]), DecodeError::Flags(0x80)),
        (clove(&[0x20; 32]), DecodeError::Truncated { missing: 1 }),
        (clove(&[0x40; 33]), DecodeError::Truncated { missing: 1 }),
        (
            clove(&[&[0x60][..], &[0; 60]].concat()),
            DecodeError::ZeroTunnelId,
        ),
        (
            clove(&[0, 20, 0, 0, 0, 0, 0, 0, 0]),
            DecodeError::Truncated { missing: 1 },
        ),
        (
            clove(&[0; 20]).repeat(17),
            DecodeError::TooMany {
                actual: 17,
                limit: 16,
            },
        ),
    ];
    for (payload, expected) in cases {
        let expected = Err(OpenError::Payload(expected));
        let mut pair = Pair::established(Limits::default());
        assert_eq!(pair.hostile(&payload), expected, "{payload:?}");
        assert_eq!(pair.b.stats().dropped_payload, 1);
        pair.a_to_b();
        pair.b_to_a();

        let with_time = [&encoded(&[time(&pair)])[..], &payload].concat();
        let (opened, mut pair) = opening(&with_time);
        assert_eq!(opened, expected, "{payload:?}");
        assert_eq!(pair.b.sessions(), 0);

        pair.a_to_b();
        let body = reply(&mut pair.b, &pair.a.public(), &payload);
        assert_eq!(open(&mut pair.a, &body, pair.now), expected, "{payload:?}");
    }
}

#[test]
fn blocks_of_sessions_mean_nothing_before_them() {
    let key = NextKey {
        id: 0,
        key: Some([9; 32]),
        reverse: false,
        request_reverse: true,
    };
    let mut acks = Vec::new();
    ramson_wire::clove::Acks::encode(&[(0, 0)], &mut acks).unwrap();
    let blocks = encoded(&[
        PayloadBlock::MessageNumbers(3),
        PayloadBlock::NextKey(key),
        PayloadBlock::AckRequest,
        PayloadBlock::Termination(0),
    ]);
    let blocks = [acks, blocks].concat();
    let expected = [8, 6, 7, 9, 4].map(Fault::Misplaced);
    let pair = Pair::new(Limits::default());
    let (opened, mut pair) = opening(&[&encoded(&[time(&pair)])[..], &blocks].concat());
    assert_eq!(opened.unwrap().faults, expected);
    assert_eq!(pair.b.stats().ignored_misplaced_blocks, 5);
    let body = reply(&mut pair.b, &pair.a.public(), &blocks);
    // Alice has sent that by hand, so that she does not wait for a reply.
    assert!(open(&mut pair.a, &body, pair.now).is_err());
    pair.wait(secs(1));
    pair.a_to_b();
    let body = reply(&mut pair.b, &pair.a.public(), &blocks);
    assert_eq!(open(&mut pair.a, &body, pair.now).unwrap().faults, expected);
    // It has established the session, and nothing else.
    let key = pair.b.public();
    let session = active(&mut pair.a, &key);
    assert_eq!((session.reverse.set(), session.acks.len()), (0, 0));
}

#[test]
fn unknown_blocks_are_ignored() {
    let mut pair = Pair::established(Limits::default());
    let blocks = [5, 1, 10, 224, 255].map(|kind| PayloadBlock::Unknown {
        kind,
        data: &[1; 30],
    });
    let opened = pair.hostile_blocks(&blocks).unwrap();
    assert_eq!(opened.faults, []);
    assert_eq!(pair.b.stats().ignored_unknown_blocks, 5);
    // Flags without a meaning are ignored, too, and so is what follows what is known.
    let opened = pair
        .hostile(&[9, 0, 1, 0xff, 6, 0, 3, 0, 0, 0, 9, 0, 0])
        .unwrap();
    assert_eq!(opened.faults, [Fault::MessageNumbers]);
}

#[test]
fn acks_of_what_was_not_sent_are_ignored() {
    let mut pair = Pair::established(Limits::default());
    pair.b_to_a();
    for (acks, expected) in [
        (vec![(0, 0)], vec![]),
        (vec![(0, 1)], vec![Fault::Ack]),
        (vec![(0, u16::MAX)], vec![Fault::Ack]),
        (vec![(1, 0)], vec![Fault::Ack]),
        (vec![(u16::MAX, 0), (0, 0), (0, 7)], vec![Fault::Ack; 2]),
        (vec![(9, 9); 1_000], vec![Fault::Ack; 8]),
    ] {
        let mut payload = Vec::new();
        ramson_wire::clove::Acks::encode(&acks, &mut payload).unwrap();
        assert_eq!(pair.hostile(&payload).unwrap().faults, expected, "{acks:?}");
    }
    assert_eq!(pair.b.stats().ignored_acks, 1 + 1 + 1 + 2 + 64);
    // They make no window wider.
    let from = pair.a.public();
    let send = active(&mut pair.b, &from).send.as_ref().unwrap();
    assert_eq!(send.under_way(), 0);
    assert!(send.allowed(&Limits::default()) < 24);
}

#[test]
fn wrong_next_keys_are_ignored_and_counted() {
    let good = PrivateKey::generate(&mut Random::from_seed([6; 32])).public();
    let next = |id, key, reverse, request_reverse| NextKey {
        id,
        key,
        reverse,
        request_reverse,
    };
    for (block, expected) in [
        (next(0, None, false, true), NextKeyError::MissingKey),
        (next(0, Some([0; 32]), false, true), NextKeyError::BadKey),
        (next(0, Some(good), false, false), NextKeyError::WrongId),
        (next(1, Some(good), false, true), NextKeyError::WrongId),
        (next(1, Some(good), false, false), NextKeyError::WrongId),
        (next(0x7fff, Some(good), false, true), NextKeyError::WrongId),
        (next(0xffff, Some(good), false, true), NextKeyError::WrongId),
        (next(0, Some(good), true, false), NextKeyError::WrongId),
        (next(0, Some(good), true, true), NextKeyError::Flags),
    ] {
        let mut pair = Pair::established(Limits::default());
        let tags = pair.b.tags();
        let opened = pair
            .hostile_blocks(&[PayloadBlock::NextKey(block)])
            .unwrap();
        assert_eq!(opened.faults, [Fault::NextKey(expected)], "{block:?}");
        assert_eq!(pair.b.stats().ignored_next_keys, 1);
        assert_eq!(pair.b.stats().next_sets_received, 0);
        assert!(pair.b.tags() <= tags + 1);
        pair.a_to_b();
        pair.b_to_a();
    }
}

#[test]
fn two_next_keys_of_one_direction_count_once() {
    let good = PrivateKey::generate(&mut Random::from_seed([6; 32])).public();
    let mut pair = Pair::established(Limits::default());
    let block = PayloadBlock::NextKey(NextKey {
        id: 0,
        key: Some(good),
        reverse: false,
        request_reverse: true,
    });
    let opened = pair.hostile_blocks(&[block, block, block]).unwrap();
    assert_eq!(opened.faults, [Fault::Misplaced(7); 2]);
    assert_eq!(pair.b.stats().next_sets_received, 1);
}

/// A peer that goes through sets as fast as it can.
#[test]
fn sets_follow_each_other_at_a_rate_and_few_are_kept() {
    let mut pair = Pair::established(Limits {
        next_key_at: 1,
        next_key_interval: secs(1),
        send_window: u16::MAX,
        ..Limits::default()
    });
    let from = pair.a.public();
    let mut faults = 0;
    for _ in 0..300 {
        faults += pair.a_to_b().faults.len();
        pair.b_to_a();
        pair.wait(millis(100));
        assert!(active(&mut pair.b, &from).receive.len() <= 3);
        assert!(pair.b.tags() < 3 * 2 * 200, "{}", pair.b.tags());
    }
    assert!(faults > 0);
    let sets = pair.b.stats().next_sets_received;
    assert!((10..=31).contains(&sets), "{sets}");
    assert_eq!(pair.b.stats().ignored_next_keys, faults as u64);
}

#[test]
fn a_termination_ends_the_session() {
    let mut pair = Pair::established(Limits::default());
    pair.hostile_blocks(&[PayloadBlock::Termination(3)])
        .unwrap();
    assert_eq!((pair.b.sessions(), pair.b.tags()), (0, 0));
    assert!(matches!(
        events(&mut pair.b)[..],
        [Event::Ended {
            reason: EndReason::Terminated(3),
            ..
        }]
    ));
    assert!(pair.b.due.is_empty());
    // And a new one begins.
    pair.b_to_a();
    pair.settle(secs(2));
    pair.a_to_b();
    pair.b_to_a();
}

#[test]
fn a_stranger_with_our_peers_tag_gets_nowhere() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    let body = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    let forged = frame(&[&tag(&body)[..], &[0; 200]].concat());
    for _ in 0..10 {
        assert_eq!(
            open(&mut pair.b, &forged, pair.now),
            Err(OpenError::Decrypt)
        );
    }
    assert_eq!(ids(&open(&mut pair.b, &body, pair.now).unwrap()), [1]);
    // The tag is gone, and it is but a message of nobody now.
    let error = open(&mut pair.b, &forged, pair.now).unwrap_err();
    assert!(matches!(error, OpenError::NotForUs | OpenError::BadKey));
}
