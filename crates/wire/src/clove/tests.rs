use proptest::prelude::*;

use super::*;
use crate::MessageType;

fn encoded(blocks: &[PayloadBlock<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in blocks {
        let before = out.len();
        block.encode(&mut out).unwrap();
        assert_eq!(out.len() - before, block.encoded_len());
    }
    out
}

fn parsed(payload: &[u8]) -> Result<Vec<PayloadBlock<'_>>, DecodeError> {
    PayloadBlocks::new(payload).collect()
}

fn clove(delivery: CloveDelivery) -> PayloadBlock<'static> {
    PayloadBlock::Clove(GarlicClove {
        delivery,
        message: I2npRef {
            kind: MessageType::Data,
            id: 0x0102_0304,
            expires: UnixTime::from_secs(0x0506_0708),
            body: b"abc",
        },
    })
}

#[test]
fn cloves_have_their_layouts() {
    let message = b"\x14\x01\x02\x03\x04\x05\x06\x07\x08abc";
    let hash = &[9; 32][..];
    let gateway = RouterHash([9; 32]);
    let tunnel = TunnelId::new(0x0a0b_0c0d).unwrap();
    let cases = [
        (CloveDelivery::Local, b"\x0b\0\x0d\0".to_vec()),
        (
            CloveDelivery::Destination(DestinationHash([9; 32])),
            [b"\x0b\0\x2d\x20", hash].concat(),
        ),
        (
            CloveDelivery::Router(gateway),
            [b"\x0b\0\x2d\x40", hash].concat(),
        ),
        (
            CloveDelivery::Tunnel { gateway, tunnel },
            [b"\x0b\0\x31\x60", hash, b"\x0a\x0b\x0c\x0d"].concat(),
        ),
    ];
    for (delivery, front) in cases {
        let bytes = [&front[..], message].concat();
        assert_eq!(encoded(&[clove(delivery)]), bytes);
        assert_eq!(parsed(&bytes), Ok(vec![clove(delivery)]));
        // Cut at any place, the length of the block put right.
        for end in 3..bytes.len() - 3 {
            let mut cut = bytes[..end].to_vec();
            cut[2] = u8::try_from(end - 3).unwrap();
            assert!(parsed(&cut).is_err(), "{end}");
        }
    }
}

#[test]
fn other_blocks_have_their_layouts() {
    let next = |key, reverse, request_reverse| {
        PayloadBlock::NextKey(NextKey {
            id: 0x0102,
            key,
            reverse,
            request_reverse,
        })
    };
    let key = [&b"\x07\0\x23\x05\x01\x02"[..], &[9; 32]].concat();
    let unknown = PayloadBlock::Unknown {
        kind: 200,
        data: b"?",
    };
    let cases: [(PayloadBlock<'_>, &[u8]); 10] = [
        (
            PayloadBlock::DateTime(UnixTime::from_secs(0x0a0b_0c0d)),
            b"\0\0\x04\x0a\x0b\x0c\x0d",
        ),
        (PayloadBlock::MessageNumbers(0x0102), b"\x06\0\x02\x01\x02"),
        (next(Some([9; 32]), false, true), &key),
        (next(None, true, false), b"\x07\0\x03\x02\x01\x02"),
        (next(None, false, false), b"\x07\0\x03\0\x01\x02"),
        (
            PayloadBlock::Ack(Acks {
                bytes: b"\0\x01\0\x02\0\x03\0\x04",
            }),
            b"\x08\0\x08\0\x01\0\x02\0\x03\0\x04",
        ),
        (PayloadBlock::AckRequest, b"\x09\0\x01\0"),
        (unknown, b"\xc8\0\x01?"),
        (PayloadBlock::Termination(7), b"\x04\0\x01\x07"),
        (PayloadBlock::Padding(b"\0"), b"\xfe\0\x01\0"),
    ];
    let mut payload = Vec::new();
    for (block, bytes) in cases {
        assert_eq!(encoded(&[block]), bytes, "{block:?}");
        payload.extend_from_slice(bytes);
    }
    assert_eq!(parsed(&payload), Ok(cases.map(|(block, _)| block).to_vec()));
}

#[test]
fn acks_are_listed_and_written() {
    let mut out = Vec::new();
    Acks::encode(&[(1, 2), (3, 4)], &mut out).unwrap();
    let Ok(PayloadBlock::Ack(acks)) = PayloadBlocks::new(&out).next().unwrap() else {
        panic!("no acks");
    };
    assert_eq!(acks.iter().collect::<Vec<_>>(), [(1, 2), (3, 4)]);
    let mut none = Vec::new();
    assert_eq!(Acks::encode(&[], &mut none), Err(EncodeError::Empty));
    let many = vec![(0, 0); 16_384];
    let (actual, limit) = (65_536, 65_535);
    assert_eq!(
        Acks::encode(&many, &mut none),
        Err(EncodeError::TooLong { actual, limit })
    );
    assert!(none.is_empty());
}

#[test]
fn a_delay_is_skipped_and_an_encrypted_clove_refused() {
    let delayed = b"\x0b\0\x11\x10\0\0\0\x05\x14\x01\x02\x03\x04\x05\x06\x07\x08abc";
    assert_eq!(parsed(delayed), Ok(vec![clove(CloveDelivery::Local)]));
    let encrypted = [&b"\x0b\0\x2a\x80"[..], &[9; 32], &[0; 9]].concat();
    assert_eq!(parsed(&encrypted), Err(DecodeError::Flags(0x80)));
    let zero = [&b"\x0b\0\x2e\x60"[..], &[9; 32], &[0; 13]].concat();
    assert_eq!(parsed(&zero), Err(DecodeError::ZeroTunnelId));
}

#[test]
fn blocks_of_a_wrong_length_are_refused() {
    for (kind, lens) in [
        (0, vec![0, 3]),
        (4, vec![0]),
        (6, vec![1]),
        (7, vec![2]),
        (8, vec![0, 3, 5]),
    ] {
        for len in lens {
            let block = [&[kind, 0, len][..], &vec![0; usize::from(len)]].concat();
            let actual = usize::from(len);
            assert_eq!(
                parsed(&block),
                Err(DecodeError::BlockLength { kind, actual })
            );
        }
    }
    let key_cut = [&[7, 0, 34, 1, 0, 0][..], &[9; 31]].concat();
    let (kind, actual) = (7, 34);
    assert_eq!(
        parsed(&key_cut),
        Err(DecodeError::BlockLength { kind, actual })
    );
}

#[test]
fn order_is_checked_and_an_error_ends_the_blocks() {
    let padding = PayloadBlock::Padding(&[]);
    let bytes = encoded(&[padding, PayloadBlock::AckRequest]);
    assert_eq!(parsed(&bytes), Err(DecodeError::BlockOrder { kind: 9 }));
    let mut blocks = PayloadBlocks::new(&[0, 0, 0, 9, 0, 0]);
    assert!(blocks.next().is_some_and(|block| block.is_err()));
    assert_eq!(blocks.next(), None);
}

#[test]
fn debug_shows_no_payload() {
    let shown = format!("{:?}", clove(CloveDelivery::Local));
    assert!(
        shown.contains("body_len: 3") && !shown.contains("97"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn what_parses_encodes_to_what_parses_the_same(
        parts in prop::collection::vec((0u8..13, prop::collection::vec(any::<u8>(), 0..60)), 0..5)
    ) {
        let mut payload = Vec::new();
        for (kind, data) in &parts {
            put_header(*kind, data.len(), &mut payload).unwrap();
            payload.extend_from_slice(data);
        }
        if let Ok(blocks) = parsed(&payload) {
            let again = encoded(&blocks);
            prop_assert_eq!(parsed(&again), Ok(blocks));
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = parsed(&bytes);
    }
}
