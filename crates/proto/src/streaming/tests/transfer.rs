//! Streams over a link that loses nothing.

use super::*;

#[test]
fn a_stream_opens_in_a_round_trip_and_closes_from_both_sides() {
    let mut pair = Pair::new(Link::default());
    let a = pair.connect();
    let time = pair.run_until(secs(5), |pair| pair.sides[A].stream(a).unwrap().is_open());
    assert_eq!(time, ms(100));
    assert!(pair.has_event(A, StreamEvent::Established));
    assert_eq!(pair.events[B], [Event::Incoming { port: 0 }]);
    let b = pair.sides[B].accept(0, pair.now).unwrap();
    assert_eq!(pair.sides[B].accept(0, pair.now), None);
    let stream = pair.sides[B].stream(b).unwrap();
    assert_eq!(stream.peer(), pair.hash(A));
    assert_eq!(
        stream.ports(),
        Ports {
            local: 80,
            remote: 0
        }
    );
    assert!(!stream.is_opener());
    assert_eq!(
        stream.peer_destination(),
        Some(pair.sides[A].identity().destination())
    );

    pair.stream(A, a).write(b"question").unwrap();
    pair.run_for(ms(60));
    assert_eq!(
        pair.read_all(B, b),
        (b"question".to_vec(), Ok(Read::Pending))
    );
    pair.stream(B, b).write(b"answer").unwrap();
    pair.stream(B, b).finish();
    pair.run_for(ms(300));
    assert_eq!(pair.read_all(A, a), (b"answer".to_vec(), Ok(Read::End)));
    // The other direction is still open.
    pair.stream(A, a).write(b"thanks").unwrap();
    pair.stream(A, a).finish();
    assert_eq!(pair.stream(A, a).write(b"more"), Err(WriteError::Finished));
    pair.run_for(ms(400));
    assert_eq!(pair.read_all(B, b), (b"thanks".to_vec(), Ok(Read::End)));
    for side in [A, B] {
        assert!(pair.has_event(side, StreamEvent::Closed(CloseReason::Finished)));
    }
    pair.stream(A, a).release();
    pair.stream(B, b).release();
    pair.run_for(secs(60));
    assert!(pair.sides[A].is_empty() && pair.sides[B].is_empty());
    assert_eq!(pair.sides[A].bytes() + pair.sides[B].bytes(), 0);
    assert_eq!(pair.sides[A].poll_timeout(), None);
}

#[test]
fn the_first_packet_carries_what_was_written() {
    let mut pair = Pair::new(Link::default());
    pair.record = Some(Vec::new());
    let a = pair.connect();
    pair.stream(A, a).write(b"GET /").unwrap();
    pair.run_for(ms(51));
    let b = pair.sides[B].accept(0, pair.now).unwrap();
    assert_eq!(pair.read_all(B, b).0, b"GET /");
    pair.stream(B, b).write(b"200").unwrap();
    pair.run_for(ms(50));
    assert_eq!(pair.read_all(A, a).0, b"200");
    let record = pair.record.take().unwrap();
    assert!(record[0].2.opens && record[1].2.opens);
    let syn = Packet::parse(&record[0].2.packet).unwrap();
    assert_eq!(syn.payload, b"GET /");
    assert_eq!(syn.target(), Some(pair.hash(B)));
    assert_eq!(syn.send_stream, 0);
    let options = syn.options(None).unwrap();
    assert_eq!(options.max_size, Some(1812));
    assert_eq!(options.signature.map(<[u8]>::len), Some(64));
    // The answer has no NACKs and acknowledges the SYN.
    let answer = Packet::parse(&record[1].2.packet).unwrap();
    assert_eq!((answer.nack_count(), answer.ack_through), (0, 0));
    assert_eq!(answer.send_stream, syn.receive_stream);
    assert!(!answer.flags.contains(ramson_wire::streaming::Flags::NO_ACK));
}

#[test]
fn an_answer_in_the_same_moment_goes_with_the_syn() {
    let mut pair = Pair::new(Link::default());
    pair.record = Some(Vec::new());
    let a = pair.connect();
    pair.stream(A, a).write(b"GET /").unwrap();
    pair.settle();
    let syn = pair.record.as_ref().unwrap()[0].2.packet.clone();
    let from = pair.hash(A);
    pair.inject(B, syn, Some(from)).unwrap();
    let b = pair.sides[B].accept(0, pair.now).unwrap();
    pair.stream(B, b).write(b"200 OK").unwrap();
    pair.settle();
    let record = pair.record.take().unwrap();
    let answer = Packet::parse(&record.last().unwrap().2.packet).unwrap();
    assert_eq!(answer.payload, b"200 OK");
}

#[test]
fn large_data_goes_both_ways_and_fills_the_way() {
    for latency in [ms(0), ms(1), ms(50), ms(300)] {
        let link = Link {
            latency,
            ..Link::default()
        };
        let mut pair = Pair::new(link);
        let (a, b) = pair.open();
        let data = data(4_000_000);
        for from in [A, B] {
            let (time, came) = pair.transfer(from, [a, b], &data, secs(600));
            assert!(came == data);
            // A window of 512 packets each round trip, and slow start before.
            let round_trips = 4_000_000 / (512 * 1812) + 12;
            let most = (latency * 2 + ms(3)) * round_trips + ms(100);
            assert!(time < most, "{latency:?} {time:?} {most:?}");
        }
        for (side, id) in [(A, a), (B, b)] {
            let stats = pair.stats(side, id);
            assert_eq!(stats.resent_packets, 0, "{stats:?}");
            assert_eq!(stats.timeouts, 0);
        }
    }
}

#[test]
fn acknowledgements_are_few() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    let before = pair.sent;
    pair.transfer(A, [a, b], &data(4_000_000), secs(600));
    let (data, acks) = (pair.sent[A] - before[A], pair.sent[B] - before[B]);
    assert!(acks < data / 6, "{acks} for {data}");
}

#[test]
fn a_question_is_answered_in_a_round_trip_after_any_idle_time() {
    let link = Link {
        latency: Duration::from_micros(300),
        ..Link::default()
    };
    let mut pair = Pair::new(link);
    let (a, b) = pair.open();
    for _ in 0..20 {
        pair.run_for(secs(7));
        let (time, _) = pair.transfer(A, [a, b], b"question", secs(5));
        assert_eq!(time, Duration::from_micros(300));
        let (time, _) = pair.transfer(B, [a, b], &[7; 10_000], secs(5));
        assert_eq!(time, Duration::from_micros(300));
    }
    assert_eq!(pair.stats(A, a).resent_packets, 0);
    assert_eq!(pair.stats(B, b).resent_packets, 0);
}

#[test]
fn idle_streams_cost_a_keep_alive_each_and_nothing_else() {
    let mut pair = Pair::new(Link::default());
    let (a, _) = pair.open();
    pair.run_for(secs(5));
    let before = pair.sent;
    pair.run_for(secs(900));
    assert!(pair.sides[A].stream(a).unwrap().is_open());
    let sent = [pair.sent[A] - before[A], pair.sent[B] - before[B]];
    // One of each side's every 90 s, and its acknowledgement.
    assert!(
        sent.iter().all(|&sent| (9..=24).contains(&sent)),
        "{sent:?}"
    );
}

#[test]
fn inactive_streams_may_end() {
    let mut config = ConnectionsConfig::default();
    config.stream.inactivity_action = InactivityAction::Disconnect;
    let mut pair = Pair::with(Link::default(), 1, config);
    let (a, b) = pair.open();
    pair.run_for(secs(100));
    let reasons =
        [(A, a), (B, b)].map(|(side, id)| pair.sides[side].stream(id).unwrap().close_reason());
    assert!(reasons.contains(&Some(CloseReason::Inactive)));
    assert!(reasons.iter().all(Option::is_some));
}

#[test]
fn a_finished_side_and_its_peer_close_in_either_order() {
    for first in [A, B] {
        let mut pair = Pair::new(Link::default());
        let (a, b) = pair.open();
        let ids = [a, b];
        let data = data(100_000);
        let second = 1 - first;
        pair.stream(first, ids[first]).write(&data).unwrap();
        pair.stream(first, ids[first]).finish();
        pair.run_for(secs(10));
        assert_eq!(
            pair.read_all(second, ids[second]),
            (data.clone(), Ok(Read::End))
        );
        assert!(pair.sides[first].stream(ids[first]).unwrap().is_open());
        let (_, came) = pair.transfer(second, ids, &data, secs(60));
        assert!(came == data);
        pair.stream(second, ids[second]).finish();
        pair.run_for(secs(10));
        assert_eq!(pair.read_all(first, ids[first]).1, Ok(Read::End));
        for side in [A, B] {
            assert!(pair.has_event(side, StreamEvent::Closed(CloseReason::Finished)));
        }
    }
}

#[test]
fn both_sides_may_finish_at_once() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    pair.stream(A, a).write(b"from a").unwrap();
    pair.stream(B, b).write(b"from b").unwrap();
    pair.stream(A, a).finish();
    pair.stream(B, b).finish();
    pair.run_for(secs(5));
    assert_eq!(pair.read_all(A, a), (b"from b".to_vec(), Ok(Read::End)));
    assert_eq!(pair.read_all(B, b), (b"from a".to_vec(), Ok(Read::End)));
    for side in [A, B] {
        assert!(pair.has_event(side, StreamEvent::Closed(CloseReason::Finished)));
    }
}

#[test]
fn a_stream_may_be_let_go_as_soon_as_it_is_written() {
    let mut pair = Pair::new(Link::default());
    let a = pair.connect();
    let data = data(500_000);
    assert_eq!(pair.stream(A, a).write(&data).unwrap(), data.len());
    pair.stream(A, a).release();
    pair.run_for(secs(10));
    let b = pair.sides[B].accept(0, pair.now).unwrap();
    assert_eq!(pair.read_all(B, b), (data, Ok(Read::End)));
    pair.stream(B, b).release();
    pair.run_for(secs(60));
    assert!(pair.sides[A].is_empty() && pair.sides[B].is_empty());
}

#[test]
fn a_stream_let_go_with_something_unread_is_reset() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    pair.stream(A, a).write(b"unread").unwrap();
    pair.run_for(secs(1));
    pair.stream(B, b).release();
    pair.run_for(secs(1));
    assert!(pair.has_event(A, StreamEvent::Closed(CloseReason::ResetByPeer)));

    let (a, b) = pair.open();
    pair.stream(B, b).release();
    pair.run_for(secs(1));
    pair.stream(A, a).write(b"too late").unwrap();
    pair.run_for(secs(1));
    let reason = pair.sides[A].stream(a).unwrap().close_reason();
    assert_eq!(reason, Some(CloseReason::ResetByPeer));
}

#[test]
fn a_slow_reader_stops_the_writer_and_nothing_is_lost() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    let data = data(8_000_000);
    let mut rest = Bytes::copy_from_slice(&data);
    for _ in 0..100 {
        pair.stream(A, a).write_bytes(&mut rest).unwrap();
        pair.run_for(ms(200));
    }
    let stats = pair.stats(A, a);
    assert!(stats.choked && stats.chokes > 0, "{stats:?}");
    let held = pair.sides[B].bytes();
    assert!(held < 2 * 1024 * 1024, "{held}");
    // While it waits, only probes go.
    let before = pair.sent[A];
    pair.run_for(secs(60));
    assert!(pair.sent[A] - before < 20);
    assert!(pair.sides[A].stream(a).unwrap().is_open());

    let mut came = Vec::new();
    let time = pair.run_until(secs(60), |pair| {
        pair.stream(A, a).write_bytes(&mut rest).unwrap();
        pair.settle();
        while let Ok(Read::Data(chunk)) = pair.stream(B, b).read_chunk(usize::MAX) {
            came.extend_from_slice(&chunk);
        }
        came.len() == data.len()
    });
    assert!(came == data);
    assert!(time < secs(8), "{time:?}");
}

#[test]
fn the_unchoke_may_get_lost() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    let data = data(3_000_000);
    let mut rest = Bytes::copy_from_slice(&data);
    while !pair.stats(A, a).choked {
        pair.stream(A, a).write_bytes(&mut rest).unwrap();
        pair.run_for(ms(50));
    }
    let (mut came, _) = pair.read_all(B, b);
    pair.link.outage = (pair.now, pair.now + secs(10));
    pair.run_for(secs(10));
    let time = pair.run_until(secs(60), |pair| {
        pair.stream(A, a).write_bytes(&mut rest).unwrap();
        pair.settle();
        came.extend(pair.read_all(B, b).0);
        came.len() == data.len()
    });
    assert!(came == data);
    assert!(time < secs(15), "{time:?}");
}

#[test]
fn reads_and_writes_of_any_size_are_the_same_bytes() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    let data = data(50_000);
    for chunk in data.chunks(777) {
        assert_eq!(pair.stream(A, a).write(chunk), Ok(chunk.len()));
    }
    pair.run_for(secs(5));
    let mut came = Vec::new();
    let mut out = [0; 333];
    loop {
        match pair.stream(B, b).read(&mut out).unwrap() {
            Read::Data(0) | Read::Pending | Read::End => break,
            Read::Data(len) => came.extend_from_slice(&out[..len]),
        }
    }
    assert!(came == data);
}

#[test]
fn a_full_buffer_tells_when_there_is_room() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    let data = vec![5; 3_000_000];
    let taken = pair.stream(A, a).write(&data).unwrap();
    assert_eq!(taken, 1024 * 1024);
    assert_eq!(pair.stream(A, a).write(&data), Ok(0));
    pair.run_until(secs(60), |pair| {
        let _ = pair.read_all(B, b);
        pair.has_event(A, StreamEvent::Writable)
    });
    assert!(pair.stream(A, a).write(&data).unwrap() > 0);
}

#[test]
fn pings_are_answered() {
    let mut pair = Pair::new(Link::default());
    let peer = pair.hash(B);
    let ping = pair.sides[A].ping(peer, &[9; 40], PORTS, pair.now).unwrap();
    pair.run_for(secs(1));
    let payload = Bytes::from_static(&[9; 32]);
    let rtt = ms(100);
    assert_eq!(pair.events[A], [Event::Pong { ping, rtt, payload }]);
    pair.link.loss_percent = 100;
    let ping = pair.sides[A].ping(peer, b"", PORTS, pair.now).unwrap();
    pair.run_for(secs(61));
    assert_eq!(pair.events[A].last(), Some(&Event::PingLost { ping }));
    for _ in 0..64 {
        pair.sides[A].ping(peer, b"", PORTS, pair.now).unwrap();
    }
    let more = pair.sides[A].ping(peer, b"", PORTS, pair.now);
    assert_eq!(more, Err(ConnectError::TooMany));
}

#[test]
fn debug_shows_nothing_of_what_is_sent() {
    let mut pair = Pair::new(Link::default());
    let (a, b) = pair.open();
    pair.stream(A, a).write(b"secret").unwrap();
    pair.stream(B, b).write(b"secret").unwrap();
    pair.run_for(secs(1));
    pair.stream(A, a).write(b"secret").unwrap();
    for side in &pair.sides {
        assert!(!format!("{side:?}").contains("secret"));
    }
    let transmit = pair.sides[A].poll_transmit(pair.now).unwrap();
    assert!(!format!("{transmit:?}").contains("secret"));
}
