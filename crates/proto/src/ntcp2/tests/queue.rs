use super::*;

/// A link that is not up yet only queues.
fn queueing(limits: QueueLimits) -> Connection {
    let (alice, bob) = (TestRouter::alice(), TestRouter::bob());
    let mut config = alice.dial(&bob);
    config.link.queue = limits;
    Connection::dial(config, start(), Random::from_seed([0; 32]))
}

#[test]
fn each_priority_leaves_room_for_the_higher_ones() {
    let mut link = queueing(QueueLimits {
        bytes: 1_000_000,
        messages: 16,
    });
    let mut fill = |priority| {
        let mut taken = 0;
        while link.send(message(taken, 10), priority).is_ok() {
            taken += 1;
        }
        taken
    };
    assert_eq!(fill(Priority::Transit), 12);
    assert_eq!(fill(Priority::OwnData), 2);
    assert_eq!(fill(Priority::Control), 2);
    assert_eq!(link.stats().refused_full, 3);
    assert_eq!(link.queue_room(Priority::Control).messages, 0);
}

#[test]
fn bytes_are_limited_and_the_message_comes_back() {
    let mut link = queueing(QueueLimits {
        bytes: 1000,
        messages: 100,
    });
    link.send(message(1, 500), Priority::Control).unwrap();
    assert_eq!(link.queue_room(Priority::Control).bytes, 488);
    assert_eq!(link.queue_room(Priority::Transit).bytes, 238);
    let refused = link.send(message(2, 477), Priority::Control).unwrap_err();
    assert_eq!(refused.why, SendRefusal::Full);
    assert_eq!(refused.message, message(2, 477));
    link.send(message(2, 476), Priority::Control).unwrap();
}

#[test]
fn a_message_no_frame_can_carry_is_refused() {
    let mut link = queueing(QueueLimits::default());
    let refused = link
        .send(message(1, LinkMessage::MAX_BODY + 1), Priority::Control)
        .unwrap_err();
    assert_eq!(refused.why, SendRefusal::TooLong);
    link.send(message(1, LinkMessage::MAX_BODY), Priority::Control)
        .unwrap();
}

#[test]
fn higher_priorities_go_first_and_each_keeps_its_order() {
    let mut pair = Pair::open();
    for (id, priority) in [
        (1, Priority::Transit),
        (2, Priority::OwnData),
        (3, Priority::Control),
        (4, Priority::Transit),
        (5, Priority::OwnData),
        (6, Priority::Control),
    ] {
        pair.alice.link.send(message(id, 100), priority).unwrap();
    }
    pair.settle();
    let ids: Vec<u32> = pair
        .bob
        .messages()
        .iter()
        .map(|message| message.id)
        .collect();
    assert_eq!(ids, [3, 6, 2, 5, 1, 4]);
}

#[test]
fn what_expired_while_it_waited_is_dropped_and_counted() {
    let mut pair = Pair::open();
    let second = start().unix.as_secs() as u32;
    for (id, expiration_s) in [
        (1, second + 1),
        (2, second),
        (3, second - 1),
        (4, second + 9),
    ] {
        let message = LinkMessage {
            expiration_s,
            ..message(id, 100)
        };
        pair.alice.link.send(message, Priority::Transit).unwrap();
    }
    pair.settle();
    let ids: Vec<u32> = pair
        .bob
        .messages()
        .iter()
        .map(|message| message.id)
        .collect();
    assert_eq!(ids, [1, 2, 4]);
    assert_eq!(pair.alice.link.stats().dropped_expired, 1);
    assert_eq!(
        pair.alice.link.queue_room(Priority::Control),
        QueueLimits::default()
    );
}

#[test]
fn what_waits_when_the_link_ends_is_dropped_and_counted() {
    let mut pair = Pair::open();
    pair.alice
        .link
        .send(message(1, 100), Priority::Control)
        .unwrap();
    pair.alice.link.close(TerminationReason::Shutdown);
    assert_eq!(pair.alice.link.stats().dropped_closed, 1);
    let refused = pair.alice.link.send(message(2, 100), Priority::Control);
    assert_eq!(refused.unwrap_err().why, SendRefusal::Closed);
    pair.settle();
    assert!(pair.bob.messages().is_empty());
}
