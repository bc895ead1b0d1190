use super::*;
use crate::ntcp2::data::{FrameOpener, FrameSealer};
use crate::ntcp2::phase::DataPhase;

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
    let mut mask = super::data::keys().alice_to_bob.mask;
    let masked = (15 ^ mask.next()).to_be_bytes();
    let mut opener = FrameOpener::new(super::data::keys().alice_to_bob);
    assert_eq!(
        opener.next(&mut BytesMut::from(&masked[..])),
        Err(CloseReason::FrameTooShort { len: 15 })
    );
}
