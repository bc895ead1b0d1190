use super::*;
use crate::ntcp2::data::{FrameOpener, FrameSealer, MAX_CONTENT};
use crate::ntcp2::keys::DataKeys;

/// The keys of a made-up handshake; the same at each call.
pub(super) fn keys() -> DataKeys {
    let mut state = ramson_crypto::SymmetricState::new_hashed("a protocol with a name of 33 byte");
    state.mix_hash(b"something");
    DataKeys::derive(&state)
}

fn opener() -> FrameOpener {
    FrameOpener::new(keys().alice_to_bob)
}

fn sealer() -> FrameSealer {
    FrameSealer::new(keys().alice_to_bob)
}

fn frame(sealer: &mut FrameSealer, content: &[u8], out: &mut BytesMut) {
    let start = sealer.begin(out);
    out.extend_from_slice(content);
    sealer.finish(start, out);
}

#[test]
fn frames_of_every_size_come_through() {
    let (mut sealer, mut opener) = (sealer(), opener());
    let mut content = vec![0; MAX_CONTENT];
    Random::from_seed([5; 32]).fill(&mut content);
    let sizes = (0..300)
        .chain((300..MAX_CONTENT).step_by(997))
        .chain(MAX_CONTENT - 2..=MAX_CONTENT);
    for size in sizes {
        let mut wire = BytesMut::new();
        frame(&mut sealer, &content[..size], &mut wire);
        assert_eq!(wire.len(), 2 + size + 16);
        let got = opener.next(&mut wire).unwrap().unwrap();
        assert_eq!(got, content[..size]);
        assert!(wire.is_empty());
    }
}

#[test]
fn lengths_are_masked_anew_in_each_frame() {
    let mut sealer = sealer();
    let mut lengths = BTreeSet::new();
    for _ in 0..100 {
        let mut wire = BytesMut::new();
        frame(&mut sealer, b"same", &mut wire);
        lengths.insert([wire[0], wire[1]]);
    }
    assert!(lengths.len() > 90);
}

#[test]
fn directions_do_not_share_keys() {
    let mut wire = BytesMut::new();
    let mut sealer = FrameSealer::new(keys().bob_to_alice);
    frame(&mut sealer, &[1; 100], &mut wire);
    let mut opener = opener();
    assert!(!matches!(opener.next(&mut wire), Ok(Some(_))));
}

#[test]
fn a_tunnel_message_comes_out_of_the_memory_it_came_in() {
    let mut pair = Pair::open();
    pair.alice
        .link
        .send(message(1, 1028), Priority::Transit)
        .unwrap();
    let mut wire = BytesMut::new();
    assert!(pair.alice.link.poll_transmit(pair.now, &mut wire));
    let memory = wire.as_ptr() as usize..wire.as_ptr() as usize + wire.len();
    pair.bob.link.handle_input(&mut wire, pair.now);
    let Some(Event::Message(got)) = pair.bob.link.poll_event() else {
        panic!("no message");
    };
    assert_eq!(got, message(1, 1028));
    assert!(memory.contains(&(got.body.as_ptr() as usize)));
}

#[test]
fn fifteen_tunnel_messages_share_a_frame() {
    let mut pair = Pair::open();
    for id in 0..16 {
        pair.alice
            .link
            .send(message(id, 1028), Priority::Transit)
            .unwrap();
    }
    pair.settle();
    assert_eq!(pair.bob.link.stats().received_frames, 2);
    assert_eq!(pair.bob.messages().len(), 16);
    assert_eq!(pair.alice.link.stats().sent_messages, 16);
}

#[test]
fn ten_thousand_messages_both_ways_come_in_order_and_unharmed() {
    let mut pair = Pair::open();
    let mut random = Random::from_seed([6; 32]);
    let mut next = [0u32; 2];
    let mut seen = [0u32; 2];
    let len = |id: u32| ((id * 31) % 2500) as usize;
    while seen != [10_000; 2] {
        for (side, next) in [&mut pair.alice, &mut pair.bob].into_iter().zip(&mut next) {
            for _ in 0..random.below(40) {
                if *next < 10_000
                    && side
                        .link
                        .send(message(*next, len(*next)), Priority::OwnData)
                        .is_ok()
                {
                    *next += 1;
                }
            }
        }
        pair.settle();
        for (side, seen) in [&mut pair.bob, &mut pair.alice].into_iter().zip(&mut seen) {
            for got in side.messages() {
                assert_eq!(*got, message(*seen, len(*seen)));
                *seen += 1;
            }
            side.events.clear();
        }
    }
}

#[test]
fn the_largest_message_gets_a_frame_of_its_own() {
    let mut pair = Pair::open();
    for id in 0..3 {
        let len = if id == 1 { LinkMessage::MAX_BODY } else { 100 };
        pair.alice
            .link
            .send(message(id, len), Priority::Control)
            .unwrap();
    }
    pair.settle();
    let lens: Vec<usize> = pair
        .bob
        .messages()
        .iter()
        .map(|got| got.body.len())
        .collect();
    assert_eq!(lens, [100, LinkMessage::MAX_BODY, 100]);
    assert_eq!(pair.bob.link.stats().received_frames, 3);
}

#[test]
fn padding_keeps_to_its_share() {
    let mut pair = Pair::open();
    for id in 0..400 {
        pair.alice
            .link
            .send(message(id, 1028), Priority::Control)
            .unwrap();
        if id % 15 == 14 {
            pair.settle();
        }
    }
    let stats = pair.alice.link.stats();
    let content = 400 * 1040;
    assert!(stats.sent_padding_bytes > content / 100);
    assert!(stats.sent_padding_bytes < content * 6 / 100);
}

#[test]
fn a_call_to_transmit_writes_a_bounded_amount() {
    let mut pair = Pair::open();
    for id in 0..380 {
        pair.alice
            .link
            .send(message(id, 1028), Priority::Control)
            .unwrap();
    }
    let mut calls = 0;
    loop {
        let mut out = BytesMut::new();
        if !pair.alice.link.poll_transmit(pair.now, &mut out) {
            break;
        }
        assert!(out.len() <= 68 * 1024, "{}", out.len());
        calls += 1;
    }
    assert!(calls >= 6);
}

#[test]
fn nothing_is_read_while_too_many_events_wait_and_all_of_it_after() {
    let mut pair = Pair::open();
    let mut wire = BytesMut::new();
    for id in 0..1000 {
        pair.alice
            .link
            .send(message(id, 1028), Priority::Control)
            .unwrap();
        while pair.alice.link.poll_transmit(pair.now, &mut wire) {}
    }
    pair.bob.link.handle_input(&mut wire, pair.now);
    assert!(wire.len() > 500_000);
    let mut got = 0;
    loop {
        let before = got;
        while pair.bob.link.poll_event().is_some() {
            got += 1;
        }
        if got == before {
            break;
        }
        pair.bob.link.handle_input(&mut wire, pair.now);
    }
    assert_eq!(got, 1000);
    assert!(wire.is_empty());
}

#[test]
fn a_termination_tells_the_peer_why_and_is_answered() {
    let mut pair = Pair::open();
    pair.alice
        .link
        .send(message(1, 10), Priority::Control)
        .unwrap();
    pair.settle();
    pair.alice.link.close(TerminationReason::Shutdown);
    assert!(!pair.alice.link.is_closed());
    pair.settle();
    assert_eq!(
        pair.alice.closed(),
        Some(&CloseReason::Local(TerminationReason::Shutdown))
    );
    assert_eq!(
        pair.bob.closed(),
        Some(&CloseReason::Remote(TerminationReason::Shutdown))
    );
    assert!(pair.alice.link.is_closed() && pair.bob.link.is_closed());
    assert!(matches!(pair.bob.events.last(), Some(Event::Closed { .. })));
    assert_eq!(pair.bob.link.poll_timeout(), None);
}

#[test]
fn closing_twice_says_so_once() {
    let mut pair = Pair::open();
    pair.alice.link.close(TerminationReason::Shutdown);
    pair.alice.link.close(TerminationReason::Normal);
    pair.settle();
    pair.alice.link.close(TerminationReason::Normal);
    pair.alice.link.handle_end(pair.now);
    pair.settle();
    let closed = |event: &&Event| matches!(event, Event::Closed { .. });
    assert_eq!(pair.alice.events.iter().filter(closed).count(), 1);
    assert_eq!(
        pair.bob.closed(),
        Some(&CloseReason::Remote(TerminationReason::Shutdown))
    );
}

#[test]
fn a_termination_nobody_can_write_is_given_up() {
    let mut pair = Pair::open();
    pair.alice.link.close(TerminationReason::Shutdown);
    let at = pair.alice.link.poll_timeout().unwrap();
    assert!(!pair.alice.link.is_closed());
    pair.alice.link.handle_timeout(Now {
        instant: at,
        ..pair.now
    });
    assert!(pair.alice.link.is_closed());
}

#[test]
fn the_end_of_the_socket_ends_the_link() {
    let mut pair = Pair::open();
    pair.alice.link.handle_end(pair.now);
    pair.alice.take_events(pair.now);
    assert_eq!(pair.alice.closed(), Some(&CloseReason::SocketEnded));
    assert!(pair.alice.link.is_closed());
}

#[test]
fn an_idle_link_is_closed_and_a_busy_one_is_not() {
    let mut pair = Pair::open();
    for _ in 0..10 {
        pair.wait(Duration::from_secs(100));
        pair.alice
            .link
            .send(message(1, 10), Priority::Control)
            .unwrap();
        pair.settle();
    }
    assert_eq!(pair.alice.closed(), None);
    pair.wait(Duration::from_secs(119));
    assert_eq!((pair.alice.closed(), pair.bob.closed()), (None, None));
    pair.wait(Duration::from_secs(20));
    let closed = [pair.alice.closed(), pair.bob.closed()];
    assert!(closed.contains(&Some(&CloseReason::Idle)));
    assert!(pair.alice.link.is_closed() && pair.bob.link.is_closed());
}

#[test]
fn the_own_router_info_is_sent_again_every_half_hour_or_so() {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let (mut dial, mut accept) = (alice.dial(&bob), bob.accept());
    dial.link.idle = Duration::from_secs(100_000);
    accept.link.idle = Duration::from_secs(100_000);
    let mut pair = Pair::with(dial, accept);
    pair.settle();
    pair.wait(Duration::from_secs(24 * 60));
    let infos = |side: &Side| {
        let is_info = |event: &&Event| matches!(event, Event::RouterInfo { .. });
        side.events.iter().filter(is_info).count()
    };
    assert_eq!((infos(&pair.alice), infos(&pair.bob)), (0, 0));
    pair.wait(Duration::from_secs(27 * 60));
    assert!((1..=2).contains(&infos(&pair.alice)));
    assert!((1..=2).contains(&infos(&pair.bob)));
}

#[test]
fn a_neighbour_cannot_have_any_number_of_router_infos_verified() {
    let mut pair = Pair::open();
    let info = TestRouter::alice().info();
    for _ in 0..20 {
        pair.alice.link.send_router_info(info.clone(), false);
        pair.settle();
    }
    assert_eq!(pair.bob.link.stats().dropped_router_infos_rate, 12);
    pair.wait(Duration::from_secs(11));
    for _ in 0..20 {
        pair.alice.link.send_router_info(info.clone(), false);
        pair.settle();
    }
    assert_eq!(pair.bob.link.stats().dropped_router_infos_rate, 12 + 18);
}
