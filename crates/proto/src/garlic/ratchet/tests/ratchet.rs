use ramson_wire::clove::NextKey;

use super::super::next_key::{Forward, Reverse};
use super::super::tag_set::LAST_SENT;
use super::super::window::Purpose;
use super::*;

fn random() -> Random {
    Random::from_seed([5; 32])
}

/// The table of the specification (DH Ratchet Message Flow).
#[test]
fn keys_follow_the_table() {
    let (mut forward, mut reverse, mut random) = (Forward::default(), Reverse::default(), random());
    let mut keys = std::collections::BTreeSet::new();
    for (set, forward_id, new_forward, reverse_id, new_reverse) in [
        (1, 0, true, 0, true),
        (2, 1, true, 0, false),
        (3, 1, false, 1, true),
        (4, 2, true, 1, false),
        (5, 2, false, 2, true),
        (6, 3, true, 2, false),
    ] {
        assert_eq!(forward.block(), None);
        forward.propose(&mut random);
        let block = forward.block().unwrap();
        forward.propose(&mut random);
        assert_eq!(forward.block(), Some(block));
        assert_eq!((block.id, block.key.is_some()), (forward_id, new_forward));
        assert_eq!(
            (block.reverse, block.request_reverse),
            (false, set % 2 == 1)
        );
        let theirs = reverse.proposed(&block, set - 1, true, &mut random);
        let theirs = theirs.unwrap().unwrap();
        let answer = reverse.block().unwrap();
        assert_eq!((answer.id, answer.key.is_some()), (reverse_id, new_reverse));
        assert_eq!((answer.reverse, answer.request_reverse), (true, false));
        // Once more, and it moves nobody.
        assert!(
            reverse
                .proposed(&block, set - 1, true, &mut random)
                .unwrap()
                .is_none()
        );
        assert_eq!(reverse.block(), Some(answer));
        let ours = forward.answered(&answer).unwrap().unwrap();
        assert_eq!(*ours, *theirs);
        assert!(keys.insert(*ours));
        assert!(forward.answered(&answer).unwrap().is_none());
        assert_eq!((forward.set(), reverse.set()), (set, set));
        // A late one of the old set changes nothing.
        reverse.seen(set - 1);
        assert_eq!(reverse.block(), Some(answer));
        reverse.seen(set);
        assert_eq!(reverse.block(), None);
    }
}

#[test]
fn late_answers_move_no_later_proposal() {
    let (mut forward, mut reverse, mut random) = (Forward::default(), Reverse::default(), random());
    let mut answers = Vec::new();
    for set in 1..=9 {
        forward.propose(&mut random);
        // All earlier answers come again.
        for answer in &answers {
            let late = forward.answered(answer);
            assert!(!matches!(late, Ok(Some(_))), "{set}: {answer:?}");
        }
        let block = forward.block().unwrap();
        reverse
            .proposed(&block, set - 1, true, &mut random)
            .unwrap()
            .unwrap();
        let answer = reverse.block().unwrap();
        forward.answered(&answer).unwrap().unwrap();
        answers.push(answer);
    }
}

/// Proposes the set after `set`, with both sides as they are then.
fn at_set(set: u16) -> (Forward, Reverse, NextKey) {
    let (mut forward, mut reverse, mut random) = (Forward::default(), Reverse::default(), random());
    for set in 0..set {
        forward.propose(&mut random);
        let block = forward.block().unwrap();
        reverse.proposed(&block, set, true, &mut random).unwrap();
        forward.answered(&reverse.block().unwrap()).unwrap();
    }
    forward.propose(&mut random);
    let block = forward.block().unwrap();
    (forward, reverse, block)
}

#[test]
fn wrong_forward_keys_are_refused_by_reason() {
    let mut random = random();
    let key = Some(PrivateKey::generate(&mut random).public());
    for (set, change, under, expected) in [
        (0, (Some(1), None, None), 0, NextKeyError::WrongId),
        (0, (None, Some(None), None), 0, NextKeyError::MissingKey),
        (
            0,
            (None, Some(Some([0; 32])), None),
            0,
            NextKeyError::BadKey,
        ),
        (0, (None, None, Some(false)), 0, NextKeyError::WrongId),
        (0, (Some(0x8000), None, None), 0, NextKeyError::WrongId),
        (
            0,
            (Some(u16::MAX), None, Some(false)),
            0,
            NextKeyError::WrongId,
        ),
        (1, (None, Some(None), None), 1, NextKeyError::MissingKey),
        (1, (None, None, None), 0, NextKeyError::WrongId),
        (
            1,
            (None, Some(Some([0; 32])), None),
            1,
            NextKeyError::BadKey,
        ),
        (2, (None, Some(key), None), 2, NextKeyError::UnwantedKey),
        (
            2,
            (Some(2), Some(key), Some(false)),
            2,
            NextKeyError::WrongId,
        ),
        (2, (None, None, None), 1, NextKeyError::WrongId),
    ] {
        let (mut forward, mut reverse, good) = at_set(set);
        let (id, key, request) = change;
        let bad = NextKey {
            id: id.unwrap_or(good.id),
            key: key.unwrap_or(good.key),
            reverse: false,
            request_reverse: request.unwrap_or(good.request_reverse),
        };
        let before = reverse.block();
        let refused = reverse.proposed(&bad, under, true, &mut random);
        assert_eq!(refused.err(), Some(expected), "{set}: {bad:?}");
        assert_eq!(reverse.block(), before);
        let early = reverse.proposed(&good, set, false, &mut random);
        assert_eq!(early.err(), Some(NextKeyError::TooSoon));
        let ours = reverse
            .proposed(&good, set, true, &mut random)
            .unwrap()
            .unwrap();
        let theirs = forward
            .answered(&reverse.block().unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(*ours, *theirs);
    }
}

#[test]
fn wrong_reverse_keys_are_refused_by_reason() {
    let mut random = random();
    let key = Some(PrivateKey::generate(&mut random).public());
    for (set, change, expected) in [
        (0, (None, None, Some(true)), NextKeyError::Flags),
        (0, (Some(1), None, None), NextKeyError::WrongId),
        (0, (None, Some(None), None), NextKeyError::MissingKey),
        (0, (None, Some(Some([0; 32])), None), NextKeyError::BadKey),
        (1, (None, Some(key), None), NextKeyError::UnwantedKey),
        (1, (Some(1), None, None), NextKeyError::WrongId),
        (2, (None, Some(None), None), NextKeyError::MissingKey),
        (2, (Some(7), None, None), NextKeyError::WrongId),
    ] {
        let (mut forward, mut reverse, block) = at_set(set);
        reverse.proposed(&block, set, true, &mut random).unwrap();
        let good = reverse.block().unwrap();
        let (id, key, request) = change;
        let bad = NextKey {
            id: id.unwrap_or(good.id),
            key: key.unwrap_or(good.key),
            reverse: true,
            request_reverse: request.unwrap_or(false),
        };
        let refused = forward.answered(&bad);
        assert_eq!(refused.err(), Some(expected), "{set}: {bad:?}");
        assert_eq!(forward.block(), Some(block));
        assert!(forward.answered(&good).unwrap().is_some());
    }
    // Nobody has asked.
    let unasked = NextKey {
        id: 0,
        key,
        reverse: true,
        request_reverse: false,
    };
    let refused = Forward::default().answered(&unasked);
    assert_eq!(refused.err(), Some(NextKeyError::WrongId));
}

fn quick() -> Limits {
    Limits {
        next_key_at: 20,
        next_key_interval: Duration::ZERO,
        ..Limits::default()
    }
}

#[test]
fn both_directions_go_on_for_many_sets() {
    let mut pair = Pair::established(quick());
    for _ in 0..400 {
        assert!(pair.a_to_b().faults.is_empty());
        assert!(pair.b_to_a().faults.is_empty());
        pair.wait(millis(10));
    }
    let (a, b) = (pair.a.public(), pair.b.public());
    let sets = |of: &mut Sessions, peer: &PeerKey| {
        let session = active(of, peer);
        (
            session.send.as_ref().unwrap().forward.set(),
            session.reverse.set(),
        )
    };
    let (sent, received) = sets(&mut pair.a, &b);
    assert!(sent > 15 && received > 15, "{sent} {received}");
    let (by_b, to_b) = sets(&mut pair.b, &a);
    assert!(by_b.abs_diff(received) <= 1 && to_b.abs_diff(sent) <= 1);
    // Sets in use, and those before them, are all that is waited for.
    let session = active(&mut pair.a, &b);
    let messages =
        |window: &&super::super::window::ReceiveWindow| window.purpose != Purpose::Replies;
    assert!(session.receive.iter().filter(messages).count() <= 3);
}

/// Without a word of the other side's application.
#[test]
fn one_direction_alone_goes_on_too() {
    let mut pair = Pair::established(quick());
    for _ in 0..300 {
        assert!(pair.a_to_b().faults.is_empty());
        pair.settle(millis(50));
    }
    assert!(pair.a.stats().next_sets_sent > 5);
    assert_eq!(pair.b.stats().next_sets_sent, 0);
    assert_eq!(pair.a.stats().sealed_new_sessions, 1);
}

#[test]
fn a_peer_that_never_answers_makes_a_new_session_in_the_end() {
    let mut pair = Pair::established(Limits {
        send_window: u16::MAX,
        ..Limits::default()
    });
    let key = pair.b.public();
    let send = active(&mut pair.a, &key).send.as_mut().unwrap();
    while send.tags.next() <= LAST_SENT {
        send.tags.take_tag();
    }
    assert!(send.tags.take().is_none());
    pair.a_to_b();
    assert_eq!(pair.a.stats().sealed_new_sessions, 2);
    pair.settle(secs(2));
    pair.a_to_b();
    assert_eq!(pair.b.stats().established, 2);
}

/// The first set at its hard end, with every tenth message delivered.
#[test]
fn all_numbers_of_a_set_can_be_used() {
    let mut pair = Pair::established(Limits::default());
    let (key, from) = (pair.b.public(), pair.a.public());
    let mut last = 0;
    for at in 1_u32.. {
        let session = active(&mut pair.a, &key);
        let Some((number, tag, aead)) = session.send.as_mut().unwrap().tags.take() else {
            break;
        };
        last = number;
        let mut sealed = Vec::new();
        aead.seal_vec(number.into(), &tag, &mut sealed);
        if at % 10 == 0 || number == LAST_SENT {
            open(&mut pair.b, &frame(&[&tag[..], &sealed].concat()), pair.now).unwrap();
        }
    }
    assert_eq!(last, LAST_SENT);
    let tags = &active(&mut pair.b, &from).receive[0].tags;
    assert_eq!((tags.highest(), tags.end()), (Some(LAST_SENT), 1 << 16));
}

#[test]
fn old_sets_are_forgotten_in_time() {
    let mut pair = Pair::established(quick());
    let from = pair.a.public();
    while pair.a.stats().next_sets_sent < 1 {
        pair.a_to_b();
        pair.settle(millis(200));
    }
    pair.a_to_b();
    let sets = |pair: &mut Pair| -> Vec<_> {
        let receive = &active(&mut pair.b, &from).receive;
        receive.iter().map(|window| window.purpose).collect()
    };
    assert_eq!(
        sets(&mut pair),
        [Purpose::Messages(0), Purpose::Messages(1)]
    );
    pair.settle(secs(170));
    assert_eq!(sets(&mut pair).len(), 2);
    pair.settle(secs(25));
    assert_eq!(sets(&mut pair), [Purpose::Messages(1)]);
    assert_eq!(
        pair.b.tags(),
        active(&mut pair.b, &from).receive[0].tags.tags().count()
    );
    pair.a_to_b();
}

/// The length of the set before says which of its tags will never come.
#[test]
fn message_numbers_cut_the_set_before() {
    let mut pair = Pair::established(quick());
    while pair.a.stats().next_sets_sent < 1 {
        pair.a_to_b();
        pair.settle(millis(200));
    }
    let from = pair.a.public();
    let highest = active(&mut pair.b, &from).receive[0]
        .tags
        .highest()
        .unwrap();
    let before = pair.b.tags();
    let opened = pair
        .hostile_blocks(&[PayloadBlock::MessageNumbers(highest + 1)])
        .unwrap();
    assert_eq!(opened.faults, []);
    let end = active(&mut pair.b, &from).receive[0].tags.end();
    assert_eq!(end, u32::from(highest) + 2);
    assert!(pair.b.tags() < before + 80);
    for wrong in [0, highest - 1] {
        let opened = pair
            .hostile_blocks(&[PayloadBlock::MessageNumbers(wrong)])
            .unwrap();
        assert_eq!(opened.faults, [Fault::MessageNumbers]);
    }
    assert_eq!(pair.b.stats().ignored_message_numbers, 2);
}
