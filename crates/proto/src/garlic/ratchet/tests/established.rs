use super::*;

fn seal_with_ack(pair: &mut Pair) -> Sealed {
    let message = data(1, b"hello");
    let out = Outgoing {
        cloves: &[clove(&message)],
        ack: true,
        ..Outgoing::default()
    };
    pair.a.seal(&pair.b.public(), out, pair.now).unwrap()
}

fn acked(of: &mut Sessions) -> Vec<MessageId> {
    let ids = events(of).into_iter().filter_map(|event| match event {
        Event::Acked { id, .. } => Some(id),
        _ => None,
    });
    ids.collect()
}

#[test]
fn an_ack_comes_with_the_next_message_or_alone() {
    let mut pair = Pair::established(Limits::default());
    let sealed = seal_with_ack(&mut pair);
    open(&mut pair.b, &sealed.body, pair.now).unwrap();
    pair.b_to_a();
    assert_eq!(acked(&mut pair.a), [sealed.id.unwrap()]);
    assert_eq!(pair.b.poll_timeout().unwrap(), at(10_000).instant);

    let sealed = seal_with_ack(&mut pair);
    let lost = seal_with_ack(&mut pair);
    open(&mut pair.b, &sealed.body, pair.now).unwrap();
    pair.settle(millis(99));
    assert_eq!(acked(&mut pair.a), []);
    pair.settle(millis(1));
    assert_eq!(acked(&mut pair.a), [sealed.id.unwrap()]);
    assert_eq!(pair.b.stats().sealed_empty, 1);
    assert_ne!(sealed.id, lost.id);
}

#[test]
fn answers_of_the_handshake_are_acks() {
    let mut pair = Pair::new(Limits::default());
    let opening = seal_with_ack(&mut pair);
    open(&mut pair.b, &opening.body, pair.now).unwrap();
    std::mem::swap(&mut pair.a, &mut pair.b);
    let lost = seal_with_ack(&mut pair);
    let reply = seal_with_ack(&mut pair);
    std::mem::swap(&mut pair.a, &mut pair.b);
    open(&mut pair.a, &reply.body, pair.now).unwrap();
    assert_eq!(acked(&mut pair.a), [opening.id.unwrap()]);
    assert_eq!(acked(&mut pair.b), []);
    pair.a_to_b();
    assert_eq!(acked(&mut pair.b), [reply.id.unwrap()]);
    assert_ne!(lost.id, reply.id);
}

#[test]
fn at_most_sixteen_acks_go_in_one_message() {
    let mut pair = Pair::established(Limits::default());
    let ids: Vec<_> = (0..19)
        .map(|_| {
            let sealed = seal_with_ack(&mut pair);
            open(&mut pair.b, &sealed.body, pair.now).unwrap();
            sealed.id.unwrap()
        })
        .collect();
    pair.b_to_a();
    assert_eq!(acked(&mut pair.a), ids[..16]);
    pair.b_to_a();
    assert_eq!(acked(&mut pair.a), ids[16..]);
}

#[test]
fn a_new_lease_set_goes_until_it_is_confirmed() {
    let mut pair = Pair::established(Limits::default());
    assert!(!has_lease_set(&pair.a_to_b()));
    pair.a.set_lease_set(Some(lease_set(1)));
    // Lost on the way.
    let key = pair.b.public();
    let first = seal(&mut pair.a, &key, 1, pair.now).unwrap();
    pair.wait(millis(3_999));
    assert!(!has_lease_set(&pair.a_to_b()));
    pair.wait(millis(1));
    assert!(has_lease_set(&pair.a_to_b()));
    pair.b_to_a();
    pair.wait(secs(10));
    assert!(!has_lease_set(&pair.a_to_b()));
    assert!(has_lease_set(
        &open(&mut pair.b, &first.body, pair.now).unwrap()
    ));
    // Who answered has told theirs to nobody yet, but the one that wrote to them has it.
    pair.b.set_lease_set(Some(lease_set(2)));
    assert!(has_lease_set(&pair.b_to_a()));
    // It may be left out.
    pair.a.set_lease_set(Some(lease_set(3)));
    let message = data(1, b"hello");
    let out = Outgoing {
        cloves: &[clove(&message)],
        ..Outgoing::default()
    };
    let sealed = pair.a.seal(&key, out, pair.now).unwrap();
    assert!(!has_lease_set(
        &open(&mut pair.b, &sealed.body, pair.now).unwrap()
    ));
}

#[test]
fn whoever_found_our_lease_set_does_not_get_it_with_a_reply() {
    let mut pair = Pair::new(Limits::default());
    pair.b.set_lease_set(Some(lease_set(1)));
    pair.a_to_b();
    assert!(!has_lease_set(&pair.b_to_a()));
    pair.b.set_lease_set(Some(lease_set(2)));
    assert!(has_lease_set(&pair.b_to_a()));
}

/// 24 tags are waited for; some of them are kept for acks.
#[test]
fn no_more_goes_than_the_peer_waits_for() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    let mut sealed = Vec::new();
    let error = loop {
        match seal(&mut pair.a, &key, 1, pair.now) {
            Ok(message) => sealed.push(message.body),
            Err(error) => break error,
        }
    };
    // One more was sent to establish the session.
    assert_eq!((error, sealed.len()), (SealError::WindowFull, 19));
    // The last one alone arrives, was asked to be acked, and moves the window.
    open(&mut pair.b, sealed.last().unwrap(), pair.now).unwrap();
    pair.settle(millis(100));
    let mut more = 0;
    while let Ok(message) = seal(&mut pair.a, &key, 1, pair.now) {
        open(&mut pair.b, &message.body, pair.now).unwrap();
        more += 1;
    }
    assert_eq!(more, 24 + 19 / 2 - 1 - 4);
    // What was late still opens.
    for body in &sealed[..18] {
        open(&mut pair.b, body, pair.now).unwrap();
    }
}

#[test]
fn a_window_that_stays_full_ends_in_a_new_session() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    while seal(&mut pair.a, &key, 1, pair.now).is_ok() {}
    pair.wait(millis(9_999));
    assert_eq!(
        seal(&mut pair.a, &key, 1, pair.now),
        Err(SealError::WindowFull)
    );
    pair.wait(millis(1));
    pair.a_to_b();
    assert_eq!(pair.a.stats().stalled_sessions, 1);
    assert_eq!(pair.a.stats().sealed_new_sessions, 2);
    assert!(matches!(events(&mut pair.a)[..], [Event::Stalled { .. }]));
    pair.settle(secs(2));
    pair.a_to_b();
    pair.b_to_a();
}

/// What the layer above knows moves the window, too.
#[test]
fn the_window_moves_without_acks_of_ours() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    for _ in 0..400 {
        let sealed = seal(&mut pair.a, &key, 1, pair.now).unwrap();
        open(&mut pair.b, &sealed.body, pair.now).unwrap();
        pair.a.handle_arrived(sealed.id.unwrap(), pair.now);
    }
    let stranger = sessions(9, Limits::default()).public();
    let other = seal(&mut pair.b, &stranger, 1, pair.now).unwrap();
    // Ids of other machines and of sessions that are gone mean nothing.
    pair.a.handle_arrived(other.id.unwrap(), pair.now);
    pair.a.close(&key);
    pair.a.handle_arrived(other.id.unwrap(), pair.now);
}

#[test]
fn messages_open_in_any_order_once_within_the_window() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    let mut sealed: Vec<_> = (0..19)
        .map(|id| seal(&mut pair.a, &key, id, pair.now).unwrap().body)
        .collect();
    Random::from_seed([3; 32]).shuffle(&mut sealed);
    let mut opened: Vec<_> = sealed
        .iter()
        .flat_map(|body| ids(&open(&mut pair.b, body, pair.now).unwrap()))
        .collect();
    opened.sort_unstable();
    assert_eq!(opened, (0..19).collect::<Vec<_>>());
    for body in &sealed {
        assert!(open(&mut pair.b, body, pair.now).is_err());
    }
    assert_eq!(pair.b.stats().opened_existing, 20);
}

/// The window follows the peer: longer with the numbers, and longer still when messages are left out.
#[test]
fn the_receiving_window_adapts() {
    let limits = Limits {
        send_window: 60_000,
        ..Limits::default()
    };
    let mut pair = Pair::established(limits);
    let (key, from) = (pair.b.public(), pair.a.public());
    let ahead = |pair: &mut Pair| {
        let tags = &active(&mut pair.b, &from).receive[0].tags;
        tags.end() - 1 - u32::from(tags.highest().unwrap())
    };
    assert_eq!(ahead(&mut pair), 24);
    let run = |pair: &mut Pair, count: u32, keep: u32| {
        for at in 1..=count {
            let session = active(&mut pair.a, &key);
            let set = session.send.as_mut().unwrap();
            let (number, tag, aead) = set.tags.take().unwrap();
            let mut sealed = Vec::new();
            aead.seal_vec(number.into(), &tag, &mut sealed);
            if at % keep == 0 {
                open(&mut pair.b, &frame(&[&tag[..], &sealed].concat()), pair.now).unwrap();
            }
        }
    };
    run(&mut pair, 100, 1);
    assert_eq!(ahead(&mut pair), 24 + 50);
    run(&mut pair, 3_000, 1);
    assert_eq!(ahead(&mut pair), 800);
    // Behind as much is kept as ahead.
    assert!(pair.b.tags() <= 801);
    // Only every 500th comes.
    run(&mut pair, 30_000, 500);
    assert!(ahead(&mut pair) > 800, "{}", ahead(&mut pair));
    assert!(ahead(&mut pair) <= 4096);
    // Rest, and it is as before.
    pair.wait(secs(70));
    pair.b.handle_timeout(pair.now);
    run(&mut pair, 2_000, 1);
    assert_eq!(ahead(&mut pair), 800);
    assert!(pair.b.tags() <= 1_700, "{}", pair.b.tags());
}

#[test]
fn a_tag_beyond_the_window_is_unknown() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    let mut bodies = Vec::new();
    for _ in 0..26 {
        bodies.push(existing(&mut pair.a, &key, &[254, 0, 100].map(|byte| byte)));
        let payload = encoded(&[PayloadBlock::Padding(&[0; 100])]);
        bodies.push(existing(&mut pair.a, &key, &payload));
    }
    // Number 24 of those after the first is the last that is waited for.
    let error = open(&mut pair.b, &bodies[25], pair.now).unwrap_err();
    assert_eq!(error, OpenError::NotForUs);
    assert!(open(&mut pair.b, &bodies[23], pair.now).is_ok());
    assert!(open(&mut pair.b, &bodies[25], pair.now).is_ok());
}

#[test]
fn a_spoilt_message_does_not_spoil_the_good_one() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    let good = seal(&mut pair.a, &key, 1, pair.now).unwrap().body;
    let tags = pair.b.tags();
    for at in 12..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        assert_eq!(open(&mut pair.b, &bad, pair.now), Err(OpenError::Decrypt));
    }
    for len in [12, 13, 27] {
        let error = open(&mut pair.b, &frame(&good[4..len]), pair.now).unwrap_err();
        assert_eq!(error, OpenError::Decrypt, "{len}");
    }
    assert_eq!(pair.b.tags(), tags);
    assert_eq!(ids(&open(&mut pair.b, &good, pair.now).unwrap()), [1]);
}

/// Keys and acks belong to the session in which they were asked for, whichever one data takes.
#[test]
fn a_replaced_session_still_answers() {
    let mut pair = Pair::established(Limits::default());
    let (a, b) = (pair.a.public(), pair.b.public());
    let old = seal_with_ack(&mut pair);
    let slot = old.id.unwrap().session.slot;
    // Alice begins another one meanwhile.
    pair.a.peers.get_mut(&b).unwrap().active = None;
    pair.a_to_b();
    pair.settle(secs(2));
    assert_ne!(pair.a.peers.get(&b).unwrap().active, Some(slot));
    events(&mut pair.a);
    open(&mut pair.b, &old.body, pair.now).unwrap();
    pair.b_to_a();
    assert_eq!(acked(&mut pair.a), []);
    pair.settle(secs(1));
    assert_eq!(acked(&mut pair.a), [old.id.unwrap()]);
    assert!(pair.b.is_established(&a));
}

#[test]
fn idle_sessions_stop_to_send_and_then_end() {
    let mut pair = Pair::established(Limits::default());
    pair.settle(secs(8 * 60));
    pair.a_to_b();
    assert_eq!(pair.a.stats().sealed_new_sessions, 1);
    pair.b_to_a();
    pair.settle(secs(8 * 60 + 1));
    assert_eq!((pair.a.sessions(), pair.b.sessions()), (1, 1));
    pair.a_to_b();
    assert_eq!(pair.a.stats().sealed_new_sessions, 2);
    events(&mut pair.a);
    pair.settle(secs(11 * 60));
    assert_eq!((pair.a.sessions(), pair.b.sessions()), (0, 0));
    assert_eq!((pair.a.tags(), pair.b.tags()), (0, 0));
    assert_eq!((pair.a.poll_timeout(), pair.b.poll_timeout()), (None, None));
    assert!(pair.a.due.is_empty() && pair.a.peers.len() == 0);
    let ended = events(&mut pair.a);
    let expired = |event: &&Event| {
        matches!(
            event,
            Event::Ended {
                reason: EndReason::Expired,
                ..
            }
        )
    };
    assert_eq!(ended.iter().filter(expired).count(), 2, "{ended:?}");
}

#[test]
fn nobody_there_is_told() {
    let mut pair = Pair::new(Limits::default());
    let key = pair.b.public();
    seal(&mut pair.a, &key, 1, pair.now).unwrap();
    pair.wait(secs(181));
    pair.a.handle_timeout(pair.now);
    let ended = events(&mut pair.a);
    assert!(matches!(
        ended[..],
        [Event::Ended {
            reason: EndReason::Unanswered,
            ..
        }]
    ));
    assert_eq!((pair.a.sessions(), pair.a.tags()), (0, 0));
}

#[test]
fn a_closed_session_is_gone() {
    let mut pair = Pair::established(Limits::default());
    let (a, b) = (pair.a.public(), pair.b.public());
    let sealed = seal(&mut pair.a, &b, 1, pair.now).unwrap();
    pair.b.close(&a);
    pair.b.close(&a);
    assert_eq!((pair.b.sessions(), pair.b.tags()), (0, 0));
    assert!(open(&mut pair.b, &sealed.body, pair.now).is_err());
    assert!(matches!(
        events(&mut pair.b)[..],
        [Event::Ended {
            reason: EndReason::Closed,
            ..
        }]
    ));
}

#[test]
fn debug_tells_nothing() {
    let mut pair = Pair::established(Limits::default());
    let key = pair.b.public();
    assert_eq!(format!("{key:?}"), "PeerKey(..)");
    assert_eq!(
        format!("{:?}", pair.a),
        "Sessions { sessions: 1, tags: 36, .. }"
    );
    let session = format!("{:?}", active(&mut pair.a, &key).send);
    assert!(
        session.contains("TagSet(..)") && !session.contains('['),
        "{session}"
    );
}
