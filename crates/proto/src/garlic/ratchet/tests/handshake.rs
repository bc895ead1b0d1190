use ramson_crypto::elligator2;

use super::*;
use crate::garlic::router::GarlicKey;

#[test]
fn a_session_begins_with_three_messages() {
    let mut pair = Pair::new(Limits::default());
    pair.a.set_lease_set(Some(lease_set(9)));
    let opened = pair.a_to_b();
    assert!(has_lease_set(&opened));
    let (a, b) = (pair.a.public(), pair.b.public());
    assert!(matches!(opened.from, Sender::Peer { key, is_new: true, .. } if key == a));
    assert!(!pair.b.is_established(&a));

    let opened = pair.b_to_a();
    assert!(matches!(opened.from, Sender::Peer { key, is_new: false, .. } if key == b));
    assert!(pair.a.is_established(&b) && !pair.b.is_established(&a));
    assert!(matches!(
        events(&mut pair.a)[..],
        [Event::Established { .. }]
    ));

    // The reply has confirmed the LeaseSet.
    assert!(!has_lease_set(&pair.a_to_b()));
    assert!(pair.b.is_established(&a));
    pair.b_to_a();
    assert_eq!(pair.a.stats().opened_existing, 1);
    assert_eq!(pair.b.stats().opened_existing, 1);
    assert_eq!((pair.a.sessions(), pair.b.sessions()), (1, 1));
}

#[test]
fn messages_have_the_specified_lengths_but_for_padding() {
    let mut pair = Pair::new(Limits::default());
    let key = pair.b.public();
    let payload = 3 + 33 + 9 + 5;
    let new = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    let padding = new.len() - 4 - 96 - 7 - payload - 3;
    assert!(padding < 16, "{padding}");
    open(&mut pair.b, &new, pair.now).unwrap();
    let key = pair.a.public();
    let reply = seal(&mut pair.b, &key, 1, pair.now).unwrap().body;
    assert!(reply.len() - 4 - 72 - payload - 3 < 16);
    open(&mut pair.a, &reply, pair.now).unwrap();
    let key = pair.b.public();
    let existing = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    assert!(existing.len() - 4 - 24 - payload - 3 < 16);
}

#[test]
fn both_sides_answer_by_themselves_when_nobody_writes() {
    let mut pair = Pair::new(Limits::default());
    pair.a_to_b();
    pair.settle(secs(3));
    assert!(pair.a.is_established(&pair.b.public()));
    assert!(pair.b.is_established(&pair.a.public()));
    assert_eq!(pair.a.stats().sealed_empty, 1);
    assert_eq!(pair.b.stats().sealed_empty, 1);
    // And then are quiet.
    pair.settle(secs(60));
    assert_eq!(pair.a.stats().sealed_empty, 1);
    assert_eq!(pair.b.stats().sealed_empty, 1);
}

#[test]
fn several_opening_messages_are_answered_by_the_latest() {
    let mut pair = Pair::new(Limits::default());
    for _ in 0..3 {
        pair.a_to_b();
        pair.wait(millis(250));
    }
    assert_eq!(pair.a.sessions(), 3);
    pair.settle(secs(3));
    assert_eq!(pair.b.stats().sealed_replies, 1);
    assert_eq!(pair.a.stats().established, 1);
    assert_eq!(pair.b.stats().established, 1);
    for _ in 0..5 {
        pair.a_to_b();
        pair.b_to_a();
    }
    // What was never answered goes in time.
    pair.settle(secs(200));
    assert_eq!((pair.a.sessions(), pair.b.sessions()), (1, 1));
}

/// Each further message would put the reply off.
#[test]
fn a_peer_that_keeps_writing_is_answered_in_time() {
    let mut pair = Pair::new(Limits::default());
    let key = pair.b.public();
    for _ in 0..2 {
        assert_eq!(transmits(&mut pair.b, pair.now), Vec::<Bytes>::new());
        let sealed = seal(&mut pair.a, &key, 1, pair.now).unwrap();
        open(&mut pair.b, &sealed.body, pair.now).unwrap();
        pair.wait(millis(250));
    }
    let replies = transmits(&mut pair.b, pair.now);
    assert_eq!(replies.len(), 1);
    open(&mut pair.a, &replies[0], pair.now).unwrap();
    assert!(pair.a.is_established(&key));
}

#[test]
fn opening_messages_keep_their_distance() {
    let mut pair = Pair::new(Limits::default());
    pair.a_to_b();
    let until = at(250).instant;
    let key = pair.b.public();
    let early = seal(&mut pair.a, &key, 1, at(249));
    assert_eq!(early, Err(SealError::AwaitingReply { until }));
    assert!(seal(&mut pair.a, &key, 1, at(250)).is_ok());
    // Others need not wait.
    assert!(seal(&mut pair.a, &PeerKey([9; 32]), 1, at(250)).is_ok());
}

/// Replies to one message have keys and sets of their own; the session goes on with that of the first
/// to arrive.
#[test]
fn every_reply_opens_and_any_of_them_establishes() {
    for first in 0..4 {
        let mut pair = Pair::new(Limits::default());
        pair.a_to_b();
        let key = pair.a.public();
        let mut replies: Vec<_> = (0..4)
            .map(|id| seal(&mut pair.b, &key, id, pair.now).unwrap())
            .collect();
        replies.rotate_left(first);
        let keys: std::collections::BTreeSet<_> = replies
            .iter()
            .map(|reply| reply.body[12..44].to_vec())
            .collect();
        assert_eq!(keys.len(), 4);
        for (at, reply) in replies.iter().enumerate() {
            let opened = open(&mut pair.a, &reply.body, pair.now).unwrap();
            let id = u32::try_from((at + first) % 4).unwrap();
            assert_eq!(ids(&opened), [id]);
        }
        assert_eq!(pair.a.stats().established, 1);
        for _ in 0..3 {
            pair.a_to_b();
            pair.b_to_a();
        }
        assert_eq!(pair.b.stats().established, 1);
        // The tags of the other replies are gone.
        assert_eq!(active(&mut pair.b, &key).receive.len(), 1);
    }
}

#[test]
fn there_are_as_many_replies_as_the_peer_waits_for() {
    let mut pair = Pair::new(Limits::default());
    pair.a_to_b();
    let key = pair.a.public();
    let replies: Vec<_> = (0..12)
        .map(|id| seal(&mut pair.b, &key, id, pair.now).unwrap())
        .collect();
    assert_eq!(
        seal(&mut pair.b, &key, 12, pair.now),
        Err(SealError::RepliesSpent)
    );
    // The last of them alone.
    let opened = open(&mut pair.a, &replies[11].body, pair.now).unwrap();
    assert_eq!(ids(&opened), [11]);
    pair.a_to_b();
    pair.b_to_a();
    assert!(pair.b.is_established(&key));
}

#[test]
fn whoever_is_not_confirmed_opens_a_session_itself() {
    let mut pair = Pair::new(Limits::default());
    pair.a_to_b();
    let key = pair.a.public();
    for id in 0..12 {
        seal(&mut pair.b, &key, id, pair.now).unwrap();
    }
    pair.wait(secs(11));
    pair.b_to_a();
    assert_eq!(pair.b.stats().sealed_new_sessions, 1);
}

/// i2pd uses an ephemeral key for several replies, with another tag.
#[test]
fn replies_of_one_ephemeral_key_open_and_keep_the_sets() {
    let mut pair = Pair::new(Limits::default());
    pair.a_to_b();
    let peer = pair.a.public();
    let slot = *pair.b.peers.get(&peer).unwrap().received.back().unwrap();
    let ephemeral = pair.b.hidden_key();
    let Phase::Received(replies) = &mut pair.b.slots.get_mut(slot).unwrap().phase else {
        panic!("not waiting");
    };
    let mut sets = Vec::new();
    for _ in 0..3 {
        let (_, tag) = replies.tags.take_tag().unwrap();
        let mut message = vec![0; super::super::handshake::REPLY_HEADER + 16];
        sets.push(
            replies
                .responder
                .seal(&tag, &ephemeral, &mut message)
                .unwrap(),
        );
        open(&mut pair.a, &frame(&message), pair.now).unwrap();
    }
    assert_eq!(pair.a.stats().opened_replies, 3);
    assert_eq!(pair.a.stats().established, 1);
    let sealed = seal(&mut pair.a, &pair.b.public(), 1, pair.now).unwrap();
    for split in sets {
        let mut tags = super::super::tag_set::SendTags::new(split.initiator);
        assert_eq!(tags.take_tag().unwrap().1, tag(&sealed.body));
    }
}

#[test]
fn a_spoilt_reply_does_not_spoil_the_good_one() {
    let mut pair = Pair::new(Limits::default());
    pair.a_to_b();
    let key = pair.a.public();
    let good = seal(&mut pair.b, &key, 1, pair.now).unwrap().body;
    for at in [12, 40, 44, 59, 60, good.len() - 1] {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        let error = open(&mut pair.a, &bad, pair.now).unwrap_err();
        assert!(matches!(error, OpenError::Decrypt), "{at}: {error}");
    }
    for len in [12, 13, 43, 44, 60, 75] {
        let error = open(&mut pair.a, &frame(&good[4..len]), pair.now).unwrap_err();
        assert_eq!(error, OpenError::TooShort, "{len}");
    }
    assert_eq!(pair.a.stats().dropped_decrypt, 6);
    open(&mut pair.a, &good, pair.now).unwrap();
    // And never again.
    assert!(open(&mut pair.a, &good, pair.now).is_err());
}

#[test]
fn an_opening_message_opens_once_whatever_its_disguise() {
    let mut pair = Pair::new(Limits::default());
    let key = pair.b.public();
    let sealed = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    open(&mut pair.b, &sealed, pair.now).unwrap();
    let mut representative: [u8; 32] = *sealed[4..].first_chunk().unwrap();
    let ephemeral = elligator2::decode(&representative).unwrap();
    let mut disguises = vec![representative];
    representative[31] ^= 0xc0;
    disguises.push(representative);
    disguises.extend((0..2).map(|tweak| elligator2::encode(&ephemeral, tweak).unwrap()));
    for (at, disguise) in disguises.iter().enumerate() {
        let mut again = sealed.to_vec();
        again[4..36].copy_from_slice(disguise);
        let error = open(&mut pair.b, &again, pair.now).unwrap_err();
        assert_eq!(error, OpenError::Replayed, "{at}");
    }
    assert_eq!(pair.b.stats().dropped_replayed, 4);
    assert_eq!(pair.b.sessions(), 1);
    // Later it is too old.
    let late = after(pair.now, secs(301));
    assert_eq!(open(&mut pair.b, &sealed, late), Err(OpenError::Old));
}

#[test]
fn clocks_may_differ_as_far_as_specified() {
    for (millis, expected) in [
        (-300_000, None),
        (-301_000, Some(OpenError::Old)),
        (120_000, None),
        (121_000, Some(OpenError::Ahead)),
    ] {
        let mut pair = Pair::new(Limits::default());
        let key = pair.b.public();
        let mut theirs = pair.now;
        theirs.unix = UnixTime::from_millis((1_700_000_000_000_i64 + millis).try_into().unwrap());
        let sealed = seal(&mut pair.a, &key, 1, theirs).unwrap().body;
        let opened = open(&mut pair.b, &sealed, pair.now);
        assert_eq!(opened.err(), expected, "{millis}");
        let stats = pair.b.stats();
        assert_eq!(
            stats.dropped_old,
            u64::from(expected == Some(OpenError::Old))
        );
        assert_eq!(
            stats.dropped_ahead,
            u64::from(expected == Some(OpenError::Ahead))
        );
    }
}

#[test]
fn a_message_of_nobody_opens_without_a_session() {
    let mut pair = Pair::new(Limits::default());
    let message = data(5, b"one");
    let key = pair.b.public();
    let sealed = pair
        .a
        .seal_one_time(&key, &[clove(&message)], pair.now)
        .unwrap();
    assert_eq!(sealed.id, None);
    let opened = open(&mut pair.b, &sealed.body, pair.now).unwrap();
    assert_eq!((opened.from, ids(&opened)), (Sender::Unbound, vec![5]));
    assert_eq!(
        (pair.a.sessions(), pair.b.sessions(), pair.b.tags()),
        (0, 0, 0)
    );
    assert_eq!(
        open(&mut pair.b, &sealed.body, pair.now),
        Err(OpenError::Replayed)
    );
}

#[test]
fn an_answer_opens_once_under_its_key() {
    let mut pair = Pair::new(Limits::default());
    let mut random = Random::from_seed([3; 32]);
    let answer = GarlicKey::generate(&mut random);
    pair.a.expect_answer(answer.clone(), at(60_000).instant);
    let message = data(5, b"found");
    let body = crate::garlic::router::seal_with_key(&answer, &[clove(&message)]).unwrap();
    let mut bad = body.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(open(&mut pair.a, &bad, pair.now), Err(OpenError::Decrypt));
    let opened = open(&mut pair.a, &body, pair.now).unwrap();
    assert_eq!((opened.from, ids(&opened)), (Sender::Answer, vec![5]));
    assert!(open(&mut pair.a, &body, pair.now).is_err());
    assert_eq!(pair.a.tags(), 0);

    // What does not come is forgotten.
    pair.a
        .expect_answer(GarlicKey::generate(&mut random), at(60_000).instant);
    assert_eq!(pair.a.poll_timeout(), Some(at(60_000).instant));
    pair.a.handle_timeout(at(60_000));
    assert_eq!((pair.a.tags(), pair.a.poll_timeout()), (0, None));
}

/// Both write first, and everything crosses.
#[test]
fn when_both_open_at_once_both_end_on_one_session() {
    for seed in 0..8 {
        let mut pair = Pair::new(Limits::default());
        pair.a.random = Random::from_seed([seed; 32]);
        let (a, b) = (pair.a.public(), pair.b.public());
        for round in 0..4 {
            let to_b = seal(&mut pair.a, &b, round, pair.now).unwrap().body;
            let to_a = seal(&mut pair.b, &a, round, pair.now).unwrap().body;
            assert_eq!(ids(&open(&mut pair.b, &to_b, pair.now).unwrap()), [round]);
            assert_eq!(ids(&open(&mut pair.a, &to_a, pair.now).unwrap()), [round]);
            pair.wait(millis(100));
        }
        let ours = active(&mut pair.a, &b).opened_by;
        assert_eq!(ours, active(&mut pair.b, &a).opened_by, "{seed}");
        // The other one ends.
        for _ in 0..30 {
            pair.settle(secs(10));
            pair.a_to_b();
            pair.b_to_a();
        }
        assert_eq!((pair.a.sessions(), pair.b.sessions()), (1, 1));
    }
}

/// A peer that was started anew knows nothing of the session.
#[test]
fn a_restarted_peer_gets_a_new_session() {
    for age in [0, 130] {
        let mut pair = Pair::established(Limits::default());
        pair.wait(secs(age));
        pair.b_to_a();
        pair.a_to_b();
        pair.settle(secs(1));
        let key = PrivateKey::generate(&mut Random::from_seed([1; 32]));
        assert_eq!(key.public(), pair.a.public().0);
        pair.a = Sessions::new(key, Limits::default(), Random::from_seed([77; 32]));
        pair.a_to_b();
        if age >= 120 {
            // It is old enough to be given up at once.
            pair.b_to_a();
            assert_eq!(pair.b.stats().sealed_replies, 2);
        } else {
            // Bob goes on for now, and sends the new one an empty reply.
            let key = pair.a.public();
            let lost = seal(&mut pair.b, &key, 5, pair.now).unwrap();
            assert!(open(&mut pair.a, &lost.body, pair.now).is_err());
        }
        pair.settle(secs(3));
        for _ in 0..5 {
            pair.a_to_b();
            pair.b_to_a();
        }
        pair.settle(secs(200));
        assert_eq!((pair.a.sessions(), pair.b.sessions()), (1, 1));
    }
}

/// A Destination that writes to itself is both sides.
#[test]
fn a_session_with_oneself_works() {
    let mut one = sessions(1, Limits::default());
    let key = one.public();
    for id in 0..30 {
        let sealed = seal(&mut one, &key, id, at(0)).unwrap();
        let opened = open(&mut one, &sealed.body, at(0)).unwrap();
        assert_eq!((ids(&opened), opened.faults), (vec![id], vec![]));
        one.handle_arrived(sealed.id.unwrap(), at(0));
    }
    assert_eq!((one.sessions(), one.peers.len()), (2, 1));
    one.close(&key);
    assert_eq!((one.sessions(), one.tags(), one.peers.len()), (0, 0, 0));
}

#[test]
fn without_a_usable_key_there_is_no_message() {
    let mut pair = Pair::new(Limits::default());
    let error = seal(&mut pair.a, &PeerKey([0; 32]), 1, pair.now).unwrap_err();
    assert_eq!(error, SealError::BadKey);
    assert_eq!(pair.a.sessions(), 0);
    let error = pair.a.seal_one_time(&PeerKey([0; 32]), &[], pair.now);
    assert_eq!(error, Err(SealError::BadKey));
}

#[test]
fn too_much_does_not_fit_and_changes_nothing() {
    let long = data(1, &vec![0; 65_400]);
    let out = Outgoing {
        cloves: &[clove(&long), clove(&long)],
        ..Outgoing::default()
    };
    let mut pair = Pair::new(Limits::default());
    let key = pair.b.public();
    let error = |sealed: Result<Sealed, SealError>| {
        assert!(matches!(sealed, Err(SealError::Encode(_))), "{sealed:?}");
    };
    error(pair.a.seal(&key, out, pair.now));
    assert_eq!(pair.a.sessions(), 0);
    pair.a_to_b();
    error(pair.b.seal(&pair.a.public(), out, pair.now));
    pair.b_to_a();
    error(pair.a.seal(&key, out, pair.now));
    let opened = pair.a_to_b();
    assert!(opened.faults.is_empty());
    pair.b_to_a();
}

#[test]
fn keys_are_made_ahead_up_to_a_number() {
    let mut one = sessions(1, Limits::default());
    let mut made = 1;
    while one.make_keys_ahead() {
        made += 1;
    }
    assert_eq!(made, super::super::limits::KEYS_AHEAD);
    assert!(!one.make_keys_ahead());
    one.hidden_key();
    assert!(!one.make_keys_ahead());
}
