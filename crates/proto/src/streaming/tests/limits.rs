//! Who is let in, how often, and what the others get.

use std::collections::BTreeSet;

use ramson_wire::streaming::Flags;

use super::*;

/// Opens a stream from A and says how it went.
fn attempt(pair: &mut Pair) -> (StreamId, Option<CloseReason>) {
    let id = pair.connect();
    pair.run_for(secs(1));
    let reason = pair.sides[A].stream(id).unwrap().close_reason();
    (id, reason)
}

fn pair(change: impl FnOnce(&mut ConnectionsConfig)) -> Pair {
    let mut config = ConnectionsConfig::default();
    change(&mut config);
    let mut pair = Pair::with(Link::default(), 1, config);
    pair.record = Some(Vec::new());
    pair
}

#[test]
fn nobody_listens() {
    let mut pair = pair(|_| {});
    pair.sides[B].unlisten(0, pair.now);
    let (id, reason) = attempt(&mut pair);
    assert_eq!(reason, Some(CloseReason::Refused));
    assert!(pair.has_event(A, StreamEvent::Closed(CloseReason::Refused)));
    assert_eq!(pair.read_all(A, id).1, Err(CloseReason::Refused));
    assert_eq!(pair.sides[B].stats().errors(PacketError::NotListening), 1);
    // What i2pd has to see: the number of its stream, the first in order, acknowledging the SYN.
    let record = pair.record.as_ref().unwrap();
    assert_eq!(record.len(), 2);
    let reset = Packet::parse(&record[1].2.packet).unwrap();
    let expected = Flags::RESET | Flags::SIGNATURE_INCLUDED | Flags::FROM_INCLUDED;
    assert_eq!(reset.flags, expected);
    assert_eq!(
        (reset.sequence, reset.ack_through, reset.receive_stream),
        (0, 0, 0)
    );
    assert!(record[1].2.opens);
    pair.stream(A, id).release();
    pair.run_for(secs(30));
    assert!(pair.sides[A].is_empty() && pair.sides[B].is_empty());
}

#[test]
fn listeners_have_ports_of_their_own() {
    let mut pair = pair(|_| {});
    pair.sides[B].listen(443, 10);
    let peer = pair.hash(B);
    for remote in [80, 443, 443] {
        let ports = Ports { local: 5, remote };
        pair.sides[A].connect(peer, ports, pair.now).unwrap();
    }
    pair.run_for(secs(1));
    let now = pair.now;
    let accept = |pair: &mut Pair, port| {
        let id = pair.sides[B].accept(port, now)?;
        Some(pair.sides[B].stream(id).unwrap().ports())
    };
    assert_eq!(accept(&mut pair, 80), None);
    assert_eq!(
        accept(&mut pair, 0),
        Some(Ports {
            local: 80,
            remote: 5
        })
    );
    assert_eq!(accept(&mut pair, 0), None);
    for _ in 0..2 {
        assert_eq!(
            accept(&mut pair, 443),
            Some(Ports {
                local: 443,
                remote: 5
            })
        );
    }
    let ports = |event: &Event| match event {
        Event::Incoming { port } => Some(*port),
        _ => None,
    };
    let mut told: Vec<u16> = pair.events[B].iter().filter_map(ports).collect();
    told.sort_unstable();
    assert_eq!(told, [0, 443, 443]);
}

#[test]
fn a_full_backlog_refuses_and_room_in_it_does_not() {
    let mut pair = pair(|_| {});
    pair.sides[B].listen(0, 2);
    let reasons: Vec<_> = (0..3).map(|_| attempt(&mut pair).1).collect();
    assert_eq!(reasons, [None, None, Some(CloseReason::Refused)]);
    assert!(pair.sides[B].accept(0, pair.now).is_some());
    assert_eq!(attempt(&mut pair).1, None);
}

#[test]
fn what_nobody_accepts_is_reset() {
    let mut pair = pair(|config| config.accept_timeout = secs(3));
    let (id, _) = attempt(&mut pair);
    pair.run_for(secs(3));
    let reason = pair.sides[A].stream(id).unwrap().close_reason();
    assert_eq!(reason, Some(CloseReason::ResetByPeer));
    assert_eq!(pair.sides[B].accept(0, pair.now), None);
    pair.run_for(secs(30));
    assert!(pair.sides[B].is_empty());
    // The same when a listener goes.
    let (id, _) = attempt(&mut pair);
    pair.sides[B].unlisten(0, pair.now);
    pair.run_for(secs(1));
    let reason = pair.sides[A].stream(id).unwrap().close_reason();
    assert_eq!(reason, Some(CloseReason::ResetByPeer));
}

#[test]
fn access_lists_let_in_whom_they_name() {
    let a = identity(1).hash();
    let list = BTreeSet::from([a]);
    for (access, refused) in [
        (AccessList::Only(list.clone()), false),
        (AccessList::Only(BTreeSet::new()), true),
        (AccessList::Except(list), true),
        (AccessList::Except(BTreeSet::new()), false),
    ] {
        let mut pair = pair(|config| config.access = access);
        let (_, reason) = attempt(&mut pair);
        assert_eq!(reason, refused.then_some(CloseReason::Refused));
        assert_eq!(
            pair.sides[B].stats().errors(PacketError::Denied),
            refused.into()
        );
        // The list is of who comes in; who is asked may be anyone.
        assert_eq!(pair.sides[B].connect(a, PORTS, pair.now).err(), None);
    }
}

#[test]
fn too_many_of_one_peer_get_a_reset_and_then_nothing() {
    let mut pair = pair(|config| config.per_peer.per_minute = 2);
    let reasons: Vec<_> = (0..6).map(|_| attempt(&mut pair).1).collect();
    let refused = Some(CloseReason::Refused);
    assert_eq!(reasons, [None, None, refused, refused, refused, None]);
    assert_eq!(pair.sides[B].stats().accepted, 2);
    pair.run_for(secs(60));
    while pair.sides[B].accept(0, pair.now).is_some() {}
    assert_eq!(attempt(&mut pair).1, None);
    assert!(pair.sides[B].stats().accepted > 2);
}

#[test]
fn too_many_may_get_nothing() {
    let mut pair = pair(|config| {
        config.total.per_hour = 1;
        config.limit_action = LimitAction::Drop;
    });
    assert_eq!(attempt(&mut pair).1, None);
    let before = pair.sent[B];
    assert_eq!(attempt(&mut pair).1, None);
    assert_eq!(pair.sent[B], before);
    assert_eq!(pair.sides[B].stats().refused, 0);
    assert!(pair.sides[B].stats().errors(PacketError::TooManyStreams) > 0);
}

#[test]
fn too_many_may_get_an_answer() {
    let mut pair = pair(|config| {
        config.total.per_day = 1;
        config.limit_action = LimitAction::http();
    });
    assert_eq!(attempt(&mut pair).1, None);
    assert!(pair.sides[B].accept(0, pair.now).is_some());
    let id = pair.connect();
    pair.stream(A, id).write(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    pair.run_for(secs(2));
    let (answer, end) = pair.read_all(A, id);
    assert!(answer.starts_with(b"HTTP/1.1 429 "));
    assert_eq!(end, Ok(Read::End));
    assert_eq!(pair.sides[B].accept(0, pair.now), None);
    // What comes behind is thrown away, and the stream ends well when the peer does.
    pair.stream(A, id).write(&data(20_000)).unwrap();
    pair.stream(A, id).finish();
    pair.run_for(secs(2));
    assert!(pair.has_event(A, StreamEvent::Closed(CloseReason::Finished)));
    assert_eq!(pair.sides[B].bytes(), 0);
    pair.run_for(secs(60));
    assert_eq!(pair.sides[B].len(), 1);
}

#[test]
fn there_are_only_so_many_streams() {
    let mut pair = pair(|config| config.max_streams = 3);
    let peer = pair.hash(B);
    let ids: Vec<_> = (0..3).map(|_| pair.connect()).collect();
    let more = pair.sides[A].connect(peer, PORTS, pair.now);
    assert_eq!(more, Err(ConnectError::TooMany));
    pair.run_for(secs(1));
    // B is full as well, and refuses a third peer's; one that is over makes room.
    pair.stream(A, ids[0]).reset();
    pair.stream(A, ids[0]).release();
    pair.run_for(ms(10));
    assert!(pair.sides[A].connect(peer, PORTS, pair.now).is_ok());

    let mut pair = self::pair(|config| config.max_streams_per_peer = 2);
    let reasons: Vec<_> = (0..2).map(|_| attempt(&mut pair).1).collect();
    assert_eq!(reasons, [None, None]);
    let peer = pair.hash(B);
    let more = pair.sides[A].connect(peer, PORTS, pair.now);
    assert_eq!(more, Err(ConnectError::TooMany));
    let other = DestinationHash([7; 32]);
    assert!(pair.sides[A].connect(other, PORTS, pair.now).is_ok());
}

#[test]
fn what_all_streams_hold_is_bounded_and_writers_wait() {
    let mut pair = pair(|config| config.max_bytes = 1_500_000);
    let ids: Vec<_> = (0..5).map(|_| pair.connect()).collect();
    let mut taken = 0;
    for id in ids {
        taken += pair.stream(A, id).write(&[0; 1_000_000]).unwrap();
    }
    assert_eq!(taken, 1_500_000);
    assert_eq!(pair.sides[A].bytes(), 1_500_000);
}

#[test]
fn a_hundred_streams_share_a_way_fairly() {
    let mut pair = Pair::new(Link {
        bottleneck: Some((Duration::from_micros(200), 500)),
        ..Link::default()
    });
    pair.sides[B].listen(0, 100);
    let ids: Vec<_> = (0..100).map(|_| pair.connect()).collect();
    pair.run_for(secs(1));
    let mut theirs: Vec<_> = (0..100)
        .map(|_| pair.sides[B].accept(0, pair.now).unwrap())
        .collect();
    for &id in &ids {
        pair.stream(A, id).write(&data(100_000)).unwrap();
        pair.stream(A, id).finish();
    }
    let mut done = 0;
    let time = pair.run_until(secs(60), |pair| {
        theirs.retain(|&id| {
            let over = pair.read_all(B, id).1 == Ok(Read::End);
            done += usize::from(over);
            !over
        });
        theirs.is_empty()
    });
    // 5,600 packets take 1.1 s.
    assert!(time < secs(4), "{time:?}");
}
