use proptest::prelude::*;

use super::*;
use crate::MessageType;

fn encoded(blocks: &[Block<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in blocks {
        let before = out.len();
        block.encode(&mut out).unwrap();
        assert_eq!(out.len() - before, block.encoded_len());
    }
    out
}

fn parsed(frame: &[u8]) -> Result<Vec<Block<'_>>, DecodeError> {
    Blocks::new(frame).collect()
}

fn message(body: &[u8]) -> I2npRef<'_> {
    I2npRef {
        kind: MessageType::TunnelData,
        id: 0x0102_0304,
        expires: UnixTime::from_secs(0x0506_0708),
        body,
    }
}

#[test]
fn blocks_have_their_layouts() {
    let options = PaddingOptions {
        send_min: 1,
        send_max: 2,
        receive_min: 3,
        receive_max: 4,
        send_dummy_bytes_per_s: 5,
        receive_dummy_bytes_per_s: 6,
        send_delay_ms: 7,
        receive_delay_ms: 8,
    };
    let info = Block::RouterInfo {
        flood: true,
        bytes: b"ri",
    };
    let termination = Block::Termination(Termination {
        frames_received: 9,
        reason: TerminationReason::ClockSkew,
        text: b"why",
    });
    let unknown = Block::Unknown {
        kind: 200,
        data: b"?",
    };
    let cases: [(Block<'_>, &[u8]); 7] = [
        (
            Block::DateTime(UnixTime::from_secs(0x0a0b_0c0d)),
            b"\0\0\x04\x0a\x0b\x0c\x0d",
        ),
        (
            Block::Options(options),
            b"\x01\0\x0c\x01\x02\x03\x04\0\x05\0\x06\0\x07\0\x08",
        ),
        (info, b"\x02\0\x03\x01ri"),
        (
            Block::I2np(message(b"abc")),
            b"\x03\0\x0c\x12\x01\x02\x03\x04\x05\x06\x07\x08abc",
        ),
        (unknown, b"\xc8\0\x01?"),
        (termination, b"\x04\0\x0c\0\0\0\0\0\0\0\x09\x07why"),
        (Block::Padding(b"\0\0"), b"\xfe\0\x02\0\0"),
    ];
    let mut frame = Vec::new();
    for (block, bytes) in cases {
        assert_eq!(encoded(&[block]), bytes, "{block:?}");
        frame.extend_from_slice(bytes);
    }
    let blocks = cases.map(|(block, _)| block).to_vec();
    assert_eq!(parsed(&frame), Ok(blocks));
}

#[test]
fn bodies_are_not_copied() {
    let frame = encoded(&[Block::I2np(message(b"abc"))]);
    let Ok(Block::I2np(found)) = Blocks::new(&frame).next().unwrap() else {
        panic!("no message");
    };
    assert_eq!(found.body.as_ptr(), frame[12..].as_ptr());
}

#[test]
fn times_are_rounded_to_the_nearest_second() {
    let half_past = Block::DateTime(UnixTime::from_millis(1500));
    assert_eq!(encoded(&[half_past])[3..], [0, 0, 0, 2]);
    let before = Block::DateTime(UnixTime::from_millis(1499));
    assert_eq!(encoded(&[before])[3..], [0, 0, 0, 1]);
}

#[test]
fn blocks_that_are_too_short_are_refused() {
    for (kind, least) in [(0, 4), (1, 12), (2, 1), (3, 9), (4, 9)] {
        let frame = |len: u8| [&[kind, 0, len][..], &vec![0; usize::from(len)]].concat();
        assert!(parsed(&frame(least)).is_ok(), "{kind}");
        let actual = usize::from(least) - 1;
        let error = Err(DecodeError::BlockLength { kind, actual });
        assert_eq!(parsed(&frame(least - 1)), error);
    }
}

#[test]
fn an_error_ends_the_blocks() {
    let mut blocks = Blocks::new(&[0, 0, 0, 254, 0, 0]);
    assert!(blocks.next().is_some_and(|block| block.is_err()));
    assert_eq!(blocks.next(), None);
}

#[test]
fn order_is_checked() {
    let padding = Block::Padding(&[]);
    let time = Block::DateTime(UnixTime::default());
    let frame = encoded(&[padding, time]);
    assert_eq!(parsed(&frame), Err(DecodeError::BlockOrder { kind: 0 }));
    let last = Block::Termination(Termination {
        frames_received: 0,
        reason: TerminationReason::Normal,
        text: &[],
    });
    let frame = encoded(&[last, time]);
    assert_eq!(parsed(&frame), Err(DecodeError::BlockOrder { kind: 0 }));
    assert!(parsed(&encoded(&[time, time, last, padding])).is_ok());
}

#[test]
fn what_fits_no_block_is_refused() {
    let long = vec![0; 65_536];
    let mut out = Vec::new();
    let (actual, limit) = (65_536, 65_535);
    assert_eq!(
        Block::Padding(&long).encode(&mut out),
        Err(EncodeError::TooLong { actual, limit })
    );
    assert!(out.is_empty());
    // The longest message with its headers is exactly a frame.
    let longest = Block::I2np(message(&long[..I2npMessage::MAX_BODY_LEN]));
    assert_eq!(longest.encoded_len(), MAX_FRAME_LEN);
}

#[test]
fn numbers_and_reasons_are_one_to_one() {
    for code in 0..=u8::MAX {
        assert_eq!(TerminationReason::from_code(code).code(), code);
    }
    assert_eq!(TerminationReason::Banned.code(), 17);
    assert_eq!(
        TerminationReason::from_code(4),
        TerminationReason::AeadFailure
    );
}

#[test]
fn message_3_holds_a_router_info_first() {
    let info = Block::RouterInfo {
        flood: false,
        bytes: b"ri",
    };
    let options = Block::Options(PaddingOptions::default());
    let padding = Block::Padding(&[0]);
    let unknown = Block::Unknown { kind: 9, data: &[] };
    let parse = |blocks: &[Block<'_>]| {
        let bytes = encoded(blocks);
        HandshakePayload::parse(&bytes).map(|payload| {
            assert_eq!(payload.router_info, b"ri");
            payload.options.is_some()
        })
    };
    assert_eq!(parse(&[info]), Ok(false));
    assert_eq!(parse(&[info, padding]), Ok(false));
    assert_eq!(parse(&[info, options, padding]), Ok(true));
    let order = |kind| Err(DecodeError::BlockOrder { kind });
    assert_eq!(parse(&[]), Err(DecodeError::Empty));
    assert_eq!(parse(&[options, info]), order(1));
    assert_eq!(parse(&[info, info]), order(2));
    assert_eq!(parse(&[info, options, options]), order(1));
    assert_eq!(parse(&[info, unknown]), order(9));
    assert_eq!(parse(&[info, padding, options]), order(1));
}

#[test]
fn debug_shows_no_contents() {
    let info = Block::RouterInfo {
        flood: false,
        bytes: b"secret",
    };
    let shown = format!("{:?} {:?}", info, Block::Padding(b"secret"));
    assert_eq!(shown, "RouterInfo(flood: false, 6 bytes) Padding(6 bytes)");
}

proptest! {
    #[test]
    fn what_parses_encodes_to_what_parses_the_same(
        parts in prop::collection::vec((0u8..6, prop::collection::vec(any::<u8>(), 0..20)), 0..5)
    ) {
        let mut frame = Vec::new();
        for (kind, data) in &parts {
            put_header(*kind, data.len(), &mut frame).unwrap();
            frame.extend_from_slice(data);
        }
        if let Ok(blocks) = parsed(&frame) {
            let again = encoded(&blocks);
            prop_assert_eq!(parsed(&again), Ok(blocks));
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = parsed(&bytes);
        let _ = HandshakePayload::parse(&bytes);
    }
}
