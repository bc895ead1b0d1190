use super::*;

#[test]
fn both_sides_come_up_and_know_each_other() {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let mut pair = Pair::new(&alice, &bob);
    pair.settle();
    let peer = |side: &Side| match &side.events[..] {
        [.., Event::Established { peer, .. }] => peer.identity().hash(),
        other => panic!("{other:?}"),
    };
    assert_eq!(peer(&pair.alice), bob.hash());
    assert_eq!(peer(&pair.bob), alice.hash());
    assert!(!pair.alice.link.is_closed());
}

#[test]
fn each_handshake_message_is_written_alone_and_is_as_long_as_it_should_be() {
    for seed in 0..20 {
        let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
        let mut pair = Pair::new(&alice, &bob);
        pair.alice.link =
            Connection::dial(alice.dial(&bob), start(), Random::from_seed([seed; 32]));
        pair.alice
            .link
            .send(message(1, 100), Priority::Control)
            .unwrap();
        pair.settle();
        let [request, confirmed, frame] = &pair.bob.writes[..] else {
            panic!("{:?}", pair.bob.writes);
        };
        let info = alice.info().as_bytes().len();
        assert!((64..=64 + 31).contains(&request.len()));
        assert!((64..=64 + 31).contains(&pair.alice.writes[0].len()));
        let fixed = 48 + 3 + 1 + info + 3 + 16;
        assert!((fixed..=fixed + 31).contains(&confirmed.len()));
        assert!((2 + 112 + 3 + 16..=2 + 112 + 3 + 16 + 15).contains(&frame.len()));
        assert_eq!(pair.bob.messages(), [&message(1, 100)]);
    }
}

#[test]
fn the_time_that_ways_take_is_no_skew() {
    let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
    pair.delay = Duration::from_secs(2);
    pair.bob_ahead_ms = 30_000;
    pair.settle();
    let (skew_ms, rtt) = pair.alice.established().unwrap();
    assert!((29_000..=31_000).contains(&skew_ms), "{skew_ms}");
    assert_eq!(rtt, Duration::from_secs(4));
    let (skew_ms, rtt) = pair.bob.established().unwrap();
    assert!((-31_000..=-29_000).contains(&skew_ms), "{skew_ms}");
    assert_eq!(rtt, Duration::from_secs(4));
}

#[test]
fn a_router_that_publishes_no_host_is_welcome_from_anywhere() {
    let mut alice = TestRouter::alice();
    alice.hosts.clear();
    let mut pair = Pair::new(&alice, &TestRouter::bob());
    pair.settle();
    assert!(pair.bob.established().is_some());
}

#[test]
fn an_ipv6_router_may_come_from_its_64_and_hosts_of_the_other_family_do_not_count() {
    for (host, source, accepted) in [
        ("2001:db8:1:2::1", "2001:db8:1:2:3::4", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ("2001:db8:1:2::1", "192.0.2.77", true),
        ("192.0.2.77", "::ffff:192.0.2.77", true),
        ("192.0.2.77", "192.0.2.78", false),
        ("192.0.2.77", "2001:db8::1", true),
    ] {
        let (alice, bob) = (TestRouter::new(1, host), TestRouter::bob());
        let mut accept = bob.accept();
        accept.source = Sensitive(source.parse().unwrap());
        let mut pair = Pair::with(alice.dial(&bob), accept);
        pair.settle();
        assert_eq!(
            pair.bob.established().is_some(),
            accepted,
            "{host} {source}"
        );
    }
}

#[test]
fn a_responder_that_greets_sends_its_router_info_first() {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let mut accept = bob.accept();
    accept.greet = true;
    let mut pair = Pair::with(alice.dial(&bob), accept);
    pair.settle();
    let Some(Event::RouterInfo { info, flood: false }) = pair.alice.events.last() else {
        panic!("{:?}", pair.alice.events);
    };
    assert_eq!(info.identity().hash(), bob.hash());
}

#[test]
fn a_router_info_given_before_the_link_is_up_is_sent_when_it_is() {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let mut pair = Pair::new(&alice, &bob);
    pair.alice.link.send_router_info(alice.info(), true);
    pair.settle();
    let Some(Event::RouterInfo { info, flood: true }) = pair.bob.events.last() else {
        panic!("{:?}", pair.bob.events);
    };
    assert_eq!(info.identity().hash(), alice.hash());
}

#[test]
fn the_same_seeds_give_the_same_bytes() {
    let run = || {
        let mut pair = Pair::open();
        pair.alice
            .link
            .send(message(1, 3000), Priority::Control)
            .unwrap();
        pair.settle();
        (pair.alice.writes, pair.bob.writes)
    };
    assert_eq!(run(), run());
}

#[test]
fn debug_shows_no_keys_and_no_addresses() {
    let pair = Pair::open();
    let text = format!("{:?}", pair.bob.link);
    assert!(!text.contains("192.0.2"), "{text}");
    let config = format!("{:?}", TestRouter::alice().accept());
    assert!(!config.contains("192.0.2"), "{config}");
    let key = TestRouter::bob().static_key.to_bytes();
    assert!(
        !text.contains(
            &format!("{:?}", &key[..4])
                .trim_matches(['[', ']'])
                .to_string()
        )
    );
}
