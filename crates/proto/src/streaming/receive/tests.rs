use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant::from_micros(1_000_000);

fn receiver() -> Receiver {
    let mut receiver = Receiver::new(80_000, 600);
    receiver
        .receive(0, Bytes::new(), false, usize::MAX)
        .unwrap();
    receiver
}

fn take(receiver: &mut Receiver, sequence: u32) -> Result<(), PacketError> {
    let payload = Bytes::copy_from_slice(&sequence.to_be_bytes());
    receiver.receive(sequence, payload, false, usize::MAX)
}

fn read(receiver: &mut Receiver) -> Vec<u32> {
    let mut out = [0; 10_000];
    match receiver.read(&mut out, NOW) {
        Read::Data(len) => out[..len]
            .chunks(4)
            .map(|chunk| u32::from_be_bytes(chunk.try_into().unwrap()))
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn gaps_are_told_and_filled() {
    let mut receiver = receiver();
    for sequence in [1, 4, 3, 7] {
        take(&mut receiver, sequence).unwrap();
    }
    let ack = receiver.poll_ack().unwrap();
    assert_eq!(
        (ack.through, &ack.nacks[..], ack.delay),
        (7, &[2, 5, 6][..], None)
    );
    assert_eq!(receiver.poll_ack(), None);
    assert_eq!(read(&mut receiver), [1]);
    take(&mut receiver, 2).unwrap();
    assert_eq!(read(&mut receiver), [2, 3, 4]);
    let ack = receiver.poll_ack().unwrap();
    assert_eq!((ack.through, &ack.nacks[..]), (7, &[5, 6][..]));
    assert_eq!(receiver.ack_with_data(), 4);
}

#[test]
fn more_gaps_than_fit_are_told_up_to_where_they_fit() {
    let mut receiver = receiver();
    take(&mut receiver, 201).unwrap();
    take(&mut receiver, 256).unwrap();
    let ack = receiver.poll_ack().unwrap();
    assert_eq!((ack.through, ack.nacks.len()), (256, 254));
    take(&mut receiver, 257).unwrap();
    take(&mut receiver, 260).unwrap();
    // 258 and 259 would be the 255th and the 256th.
    let ack = receiver.poll_ack().unwrap();
    assert_eq!((ack.through, ack.nacks.len()), (257, 254));
    // One gap alone may be too long.
    let mut receiver = self::receiver();
    take(&mut receiver, 500).unwrap();
    let ack = receiver.poll_ack().unwrap();
    assert_eq!((ack.through, ack.nacks.len()), (0, 0));
}

#[test]
fn acknowledgements_wait_for_a_second_packet_or_a_while() {
    let mut receiver = receiver();
    receiver.poll_ack();
    receiver.acked();
    let delay = Duration::from_millis(5);
    take(&mut receiver, 1).unwrap();
    receiver.want_ack_soon(delay, NOW);
    assert_eq!(receiver.poll_ack(), None);
    assert_eq!(receiver.poll_timeout(), Some(NOW + delay));
    receiver.handle_timeout(delay, NOW + delay);
    assert_eq!(receiver.poll_ack().map(|ack| ack.through), Some(1));
    assert_eq!(receiver.poll_timeout(), None);
    for sequence in [2, 3] {
        take(&mut receiver, sequence).unwrap();
        receiver.want_ack_soon(delay, NOW);
    }
    assert_eq!(receiver.poll_ack().map(|ack| ack.through), Some(3));
    // Data takes it along.
    take(&mut receiver, 4).unwrap();
    receiver.want_ack_soon(delay, NOW);
    assert_eq!(receiver.ack_with_data(), 4);
    assert_eq!(receiver.poll_timeout(), None);
}

#[test]
fn a_reader_that_lags_chokes_and_one_that_catches_up_says_so_for_a_while() {
    let mut receiver = receiver();
    let payload = |receiver: &mut Receiver, sequence| {
        receiver.receive(sequence, Bytes::from_static(&[0; 1744]), false, usize::MAX)
    };
    // Each weighs 2,000, and an eighth of the limit is 10,000.
    for sequence in 1..=5 {
        payload(&mut receiver, sequence).unwrap();
    }
    assert!(!receiver.is_choking());
    payload(&mut receiver, 6).unwrap();
    assert_eq!(receiver.poll_ack().unwrap().delay, Some(CHOKE));
    for sequence in 7..=20 {
        payload(&mut receiver, sequence).unwrap();
    }
    // Half of it is where it ends.
    assert_eq!(payload(&mut receiver, 21), Err(PacketError::NoRoom));
    assert_eq!(
        receiver.poll_ack().map(|ack| (ack.through, ack.delay)),
        Some((20, Some(CHOKE)))
    );
    let mut out = [0; 1744];
    for _ in 0..17 {
        assert_eq!(receiver.read(&mut out, NOW), Read::Data(1744));
    }
    assert!(receiver.is_choking());
    receiver.read(&mut out, NOW);
    assert!(!receiver.is_choking());
    let mut said = 0;
    let mut now = NOW;
    for _ in 0..100 {
        said += u32::from(receiver.poll_ack().is_some_and(|ack| ack.delay == Some(0)));
        let Some(at) = receiver.poll_timeout() else {
            break;
        };
        now = now.max(at);
        receiver.handle_timeout(Duration::ZERO, now);
    }
    assert_eq!(said, UNCHOKES.into());
    assert_eq!(receiver.poll_timeout(), None);
}

#[test]
fn the_packet_that_closes_a_gap_always_fits() {
    let mut receiver = Receiver::new(80_000, 600);
    receiver
        .receive(0, Bytes::new(), false, usize::MAX)
        .unwrap();
    for sequence in 2..30 {
        let _ = receiver.receive(sequence, Bytes::from_static(&[0; 1744]), false, usize::MAX);
    }
    assert_eq!(receiver.weight(), 40_000);
    let closes = receiver.receive(1, Bytes::from_static(&[0; 1744]), false, 0);
    assert_eq!(closes, Ok(()));
    assert_eq!(receiver.expected(), 22);
    // Nothing out of order without room, nor more in order.
    let more = receiver.receive(24, Bytes::from_static(&[0; 10]), false, 0);
    assert_eq!(more, Err(PacketError::NoRoom));
    let more = receiver.receive(22, Bytes::from_static(&[0; 10]), false, 0);
    assert_eq!(more, Err(PacketError::NoRoom));
}

#[test]
fn chunks_are_pieces_of_the_packets() {
    let mut receiver = receiver();
    let payload = Bytes::from_static(b"some payload");
    receiver
        .receive(1, payload.clone(), true, usize::MAX)
        .unwrap();
    let Read::Data(chunk) = receiver.read_chunk(4, NOW) else {
        panic!()
    };
    assert_eq!(chunk, b"some"[..]);
    assert_eq!(chunk.as_ptr(), payload.as_ptr());
    let Read::Data(chunk) = receiver.read_chunk(100, NOW) else {
        panic!()
    };
    assert_eq!(chunk, b" payload"[..]);
    assert_eq!(receiver.read_chunk(100, NOW), Read::End);
    assert_eq!(receiver.read(&mut [0; 5], NOW), Read::End);
    assert_eq!(receiver.weight(), 0);
}

proptest! {
    /// In any order and however often they come, packets are read once and in order, and what is
    /// told of gaps is true.
    #[test]
    fn any_order_is_the_same_stream(order in prop::collection::vec(1_u32..40, 0..400)) {
        let mut receiver = receiver();
        let mut came = std::collections::BTreeSet::from([0]);
        let mut all = Vec::new();
        for sequence in order {
            let result = take(&mut receiver, sequence);
            prop_assert_eq!(result.is_ok(), came.insert(sequence));
            all.extend(read(&mut receiver));
            if let Some(ack) = receiver.poll_ack() {
                for sequence in 0..=ack.through {
                    prop_assert_eq!(came.contains(&sequence), !ack.nacks.contains(&sequence));
                }
                prop_assert_eq!(came.last(), Some(&ack.through));
            }
        }
        let expected: Vec<u32> = (1..40).take_while(|sequence| came.contains(sequence)).collect();
        prop_assert_eq!(all, expected);
        let held = came.len() - usize::try_from(receiver.expected()).unwrap();
        prop_assert_eq!(receiver.weight(), held * 260);
    }
}
