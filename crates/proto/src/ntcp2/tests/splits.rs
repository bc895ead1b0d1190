use proptest::prelude::*;

use super::*;

/// What matters of an event.
fn summary(event: &Event) -> String {
    match event {
        Event::Established { peer, skew_ms, .. } => {
            format!("established {:?} {skew_ms}", peer.identity().hash())
        }
        Event::Message(message) => format!("{message:?} {:?}", message.body),
        other => format!("{other:?}"),
    }
}

/// Runs a link with messages both ways and returns all events of both sides.
fn run(splits: Option<Random>, messages: &[(bool, usize)]) -> Vec<String> {
    let mut pair = Pair::new(&TestRouter::alice(), &TestRouter::bob());
    pair.splits = splits;
    for (id, &(by_alice, len)) in messages.iter().enumerate() {
        let side = if by_alice {
            &mut pair.alice
        } else {
            &mut pair.bob
        };
        let message = message(id as u32, len);
        side.link.send(message, Priority::Control).unwrap();
    }
    pair.settle();
    pair.bob.link.close(TerminationReason::Shutdown);
    pair.settle();
    let events = pair.alice.events.iter().chain(&pair.bob.events);
    events.map(summary).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_events(
        seed: [u8; 32],
        messages in prop::collection::vec((any::<bool>(), 0usize..4000), 0..40),
    ) {
        let whole = run(None, &messages);
        prop_assert_eq!(run(Some(Random::from_seed(seed)), &messages), whole);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_get_an_answer(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..60),
    ) {
        let bob = TestRouter::bob();
        let mut link = Connection::accept(bob.accept(), start(), Random::from_seed([1; 32]));
        let mut input = BytesMut::new();
        let mut out = BytesMut::new();
        for chunk in chunks {
            input.extend_from_slice(&chunk);
            link.handle_input(&mut input, start());
            while link.poll_event().is_some() {}
            prop_assert!(!link.poll_transmit(start(), &mut out));
        }
        link.handle_timeout(later(start(), Duration::from_secs(60)));
        prop_assert!(link.is_closed());
    }

    #[test]
    fn arbitrary_bytes_after_the_handshake_end_the_link_and_nothing_else(
        bytes in prop::collection::vec(any::<u8>(), 1..70_000),
    ) {
        let mut pair = Pair::open();
        pair.bob.pipe.extend_from_slice(&bytes);
        pair.settle();
        pair.wait(Duration::from_secs(200));
        prop_assert!(pair.bob.messages().is_empty());
        prop_assert!(pair.bob.link.is_closed());
    }
}
