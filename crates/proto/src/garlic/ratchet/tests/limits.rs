use std::collections::BTreeSet;

use super::super::limits::{ACKS, ESTABLISHED_PER_PEER};
use super::*;
use crate::garlic::router::GarlicKey;

/// One machine, and as many that write to it.
fn flooded(limits: Limits, from: u32) -> (Sessions, Vec<Sessions>) {
    let mut one = sessions(200, limits);
    let key = one.public();
    let mut others = Vec::new();
    for at in 0..from {
        let mut random = Random::from_seed([7; 32]).fork(&at.to_string());
        let secret = PrivateKey::generate(&mut random);
        let mut other = Sessions::new(secret, Limits::default(), random);
        let sealed = seal(&mut other, &key, at, at_ms(at)).unwrap();
        open(&mut one, &sealed.body, at_ms(at)).unwrap();
        others.push(other);
    }
    (one, others)
}

fn at_ms(millis: u32) -> Now {
    super::at(u64::from(millis) * 10)
}

#[test]
fn opened_sessions_are_bounded_and_the_oldest_go() {
    let limits = Limits {
        received: 10,
        ..Limits::default()
    };
    let (mut one, others) = flooded(limits, 30);
    assert_eq!(one.sessions(), 10);
    assert_eq!(one.peers.len(), 10);
    assert_eq!(one.stats().evicted_sessions, 20);
    assert_eq!(one.due.len(), 10);
    let now = at_ms(30);
    let error = |key: &PeerKey, one: &Sessions| one.peers.get(key).is_none();
    assert!(
        others[..20]
            .iter()
            .all(|other| error(&other.public(), &one))
    );
    // Those left can be answered.
    for other in &others[20..] {
        seal(&mut one, &other.public(), 1, now).unwrap();
    }
    assert_eq!(one.stats().sealed_replies, 10);
}

#[test]
fn a_flood_of_new_sessions_leaves_established_ones() {
    let limits = Limits {
        sessions: 8,
        unknown_per_s: 10_000,
        ..Limits::default()
    };
    let mut pair = Pair::established(limits);
    for at in 0..50 {
        let mut random = Random::from_seed([8; 32]).fork(&at.to_string());
        let secret = PrivateKey::generate(&mut random);
        let mut other = Sessions::new(secret, Limits::default(), random);
        let sealed = seal(&mut other, &pair.b.public(), 1, pair.now).unwrap();
        open(&mut pair.b, &sealed.body, pair.now).unwrap();
    }
    assert_eq!(pair.b.sessions(), 8);
    pair.a_to_b();
    pair.b_to_a();
    assert_eq!(pair.b.stats().opened_existing, 2);
}

#[test]
fn one_peer_has_few_sessions() {
    let limits = Limits {
        new_session_interval: Duration::ZERO,
        ..Limits::default()
    };
    let mut pair = Pair::new(limits);
    for _ in 0..30 {
        pair.a_to_b();
    }
    assert_eq!((pair.a.sessions(), pair.b.sessions()), (8, 8));
    assert_eq!(pair.a.tags(), 8 * 12);
    assert_eq!(pair.b.due.len(), 1);
    // A peer that establishes one after the other.
    let mut pair = Pair::established(limits);
    let (a, b) = (pair.a.public(), pair.b.public());
    for _ in 0..10 {
        pair.a.close(&b);
        pair.wait(secs(121));
        pair.a_to_b();
        pair.b_to_a();
        pair.a_to_b();
        assert!(pair.b.peers.get(&a).unwrap().established.len() <= ESTABLISHED_PER_PEER);
    }
    assert!(pair.b.sessions() <= ESTABLISHED_PER_PEER);
}

#[test]
fn tags_are_bounded_in_all() {
    let limits = Limits {
        tags: 300,
        unknown_per_s: 10_000,
        ..Limits::default()
    };
    let (mut one, mut others) = flooded(limits, 40);
    let now = at_ms(40);
    for other in &mut others {
        let Ok(reply) = seal(&mut one, &other.public(), 1, now) else {
            continue;
        };
        open(other, &reply.body, now).unwrap_or_else(|_| panic!("a reply"));
        let sealed = seal(other, &one.public(), 1, now).unwrap();
        let _ = open(&mut one, &sealed.body, now);
        assert!(one.tags() <= 300 + 24, "{}", one.tags());
    }
    // A window does not grow where there is no room.
    let mut pair = Pair::established(Limits { tags: 30, ..limits });
    for _ in 0..200 {
        pair.a_to_b();
        pair.b_to_a();
    }
    assert!(pair.b.tags() <= 24 + 24, "{}", pair.b.tags());
    assert!(pair.b.stats().withheld_tags > 0);
}

#[test]
fn replies_to_nobody_are_bounded() {
    let limits = Limits {
        transmits: 4,
        ..Limits::default()
    };
    let (mut one, _) = flooded(limits, 10);
    one.handle_timeout(at(5_000));
    assert_eq!(one.transmits.len(), 4);
    assert_eq!(one.stats().dropped_transmits, 6);
    assert_eq!(one.stats().sealed_empty, 10);
}

#[test]
fn events_are_bounded() {
    let limits = Limits {
        events: 3,
        ..Limits::default()
    };
    let mut pair = Pair::established(limits);
    let key = pair.b.public();
    for _ in 0..10 {
        let message = data(1, b"hello");
        let out = Outgoing {
            cloves: &[clove(&message)],
            ack: true,
            ..Outgoing::default()
        };
        let sealed = pair.a.seal(&key, out, pair.now).unwrap();
        open(&mut pair.b, &sealed.body, pair.now).unwrap();
    }
    pair.b_to_a();
    assert_eq!(events(&mut pair.a).len(), 3);
    assert_eq!(pair.a.stats().dropped_events, 7);
}

#[test]
fn wishes_for_acks_are_bounded() {
    let mut pair = Pair::established(Limits::default());
    for _ in 0..ACKS + 5 {
        pair.hostile_blocks(&[PayloadBlock::AckRequest]).unwrap();
    }
    let from = pair.a.public();
    assert_eq!(active(&mut pair.b, &from).acks.len(), ACKS);
    assert_eq!(pair.b.stats().dropped_ack_requests, 5);
    // All of them go, a few at a time.
    pair.settle(secs(1));
    assert!(active(&mut pair.b, &from).acks.is_empty());
    assert_eq!(pair.b.stats().sealed_empty, 4);
}

#[test]
fn unknown_messages_are_opened_at_a_rate() {
    let limits = Limits {
        unknown_per_s: 10,
        ..Limits::default()
    };
    let mut one = sessions(1, limits);
    let mut refused = |from: u64, count: u64| {
        let mut refused = 0;
        for at in 0..count {
            let mut body = vec![9; 200];
            body[0] = u8::try_from(at % 250).unwrap();
            let error = open(&mut one, &frame(&body), super::at(from)).unwrap_err();
            refused += u64::from(error == OpenError::Rate);
        }
        refused
    };
    assert_eq!(refused(0, 30), 10);
    assert_eq!(refused(1_000, 30), 20);
    assert_eq!(refused(1_050, 30), 29);
    assert_eq!(refused(100_000, 30), 10);
    assert_eq!(one.stats().dropped_rate, 69);
    assert_eq!(
        one.stats().dropped_not_for_us + one.stats().dropped_bad_key,
        51
    );
}

#[test]
fn keys_of_answers_are_bounded() {
    let limits = Limits {
        answers: 5,
        ..Limits::default()
    };
    let mut one = sessions(1, limits);
    let mut random = Random::from_seed([4; 32]);
    let keys: Vec<_> = (0..8).map(|_| GarlicKey::generate(&mut random)).collect();
    for key in &keys {
        one.expect_answer(key.clone(), at(60_000).instant);
    }
    assert_eq!((one.tags(), one.stats().dropped_answers), (5, 3));
    let opens: BTreeSet<_> = (0..8)
        .filter(|at| {
            let body = crate::garlic::router::seal_with_key(&keys[*at], &[]).unwrap();
            open(&mut one, &body, at_ms(0)).is_ok()
        })
        .collect();
    assert_eq!(opens, (3..8).collect());
}
