use proptest::prelude::*;
use ramson_crypto::SigningKey;

use super::*;
use crate::{PrivateKeys, UnixTime, verify_signature};

fn destination(key: &SigningKey) -> Destination {
    let bytes = [
        &[9; 352][..],
        &key.public(),
        &[5, 0, 4, 0, 7, 0, 0], // Key certificate: Ed25519, ElGamal.
    ];
    Destination::from_bytes(&bytes.concat()).unwrap()
}

fn offline(long_term: &SigningKey, transient: &SigningKey) -> OfflineBlock {
    let mut block = OfflineBlock {
        expires: UnixTime::from_secs(2_000_000_000),
        transient_type: SigningKeyType::Ed25519,
        transient_public: transient.public().to_vec().into(),
        signature: bytes::Bytes::new(),
    };
    block.signature = long_term.sign(&block.signed_bytes()).to_vec().into();
    block
}

/// The layout of the specification's "Packet Format", field by field.
#[test]
fn data_is_laid_out_as_specified() {
    let mut out = BytesMut::new();
    let signature = PacketBuilder {
        send_stream: 0x0102_0304,
        receive_stream: 0x0506_0708,
        sequence: 0x090a_0b0c,
        ack_through: 0x0d0e_0f10,
        nacks: &[0x1112_1314, 0x1516_1718],
        resend_delay: 0x19,
        delay: Some(0x1a1b),
        payload: b"data",
        ..PacketBuilder::default()
    }
    .encode(&mut out)
    .unwrap();
    assert!(signature.is_empty());
    let expected = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 2, 0x11, 0x12, 0x13, 0x14, 0x15,
        0x16, 0x17, 0x18, 0x19, 0x00, 0x40, 0, 2, 0x1a, 0x1b, b'd', b'a', b't', b'a',
    ];
    assert_eq!(out[..], expected);
    let packet = Packet::parse(&out).unwrap();
    assert_eq!(packet.send_stream, 0x0102_0304);
    assert_eq!(packet.receive_stream, 0x0506_0708);
    assert_eq!(packet.sequence, 0x090a_0b0c);
    assert_eq!(packet.ack_through, 0x0d0e_0f10);
    assert_eq!(
        packet.nacks().collect::<Vec<_>>(),
        [0x1112_1314, 0x1516_1718]
    );
    assert_eq!(packet.resend_delay, 0x19);
    assert_eq!(packet.flags, Flags::DELAY_REQUESTED);
    assert_eq!(packet.delay(), Ok(Some(0x1a1b)));
    assert_eq!(packet.options(None).unwrap().delay, Some(0x1a1b));
    assert_eq!(packet.payload, b"data");
    assert_eq!(packet.as_bytes(), &out[..]);
    assert!(!packet.is_plain_ack());
}

#[test]
fn the_shortest_packet_has_22_bytes() {
    let mut out = BytesMut::new();
    PacketBuilder::default().encode(&mut out).unwrap();
    assert_eq!(out[..], [0; MIN_PACKET_LEN]);
    let packet = Packet::parse(&out).unwrap();
    assert!(packet.is_plain_ack());
    assert_eq!(packet.delay(), Ok(None));
    for end in 0..out.len() {
        let result = Packet::parse(&out[..end]);
        assert!(matches!(result, Err(DecodeError::Truncated { .. })));
    }
}

/// What an opener sends: all the options but a delay, in the order of the table of flags.
#[test]
fn a_syn_is_laid_out_signed_and_bound() {
    let (key, transient) = (
        SigningKey::from_seed(&[1; 32]),
        SigningKey::from_seed(&[2; 32]),
    );
    let from = destination(&key);
    let block = offline(&key, &transient);
    let mut out = BytesMut::new();
    let range = PacketBuilder {
        receive_stream: 7,
        target: Some(DestinationHash([0xab; 32])),
        flags: Flags::SYNCHRONIZE | Flags::NO_ACK,
        from: Some(&from),
        max_size: Some(1812),
        offline: Some(&block),
        signature_len: Some(64),
        payload: b"GET / HTTP/1.1",
        ..PacketBuilder::default()
    }
    .encode(&mut out)
    .unwrap();
    let signature = transient.sign(&out);
    out[range.clone()].copy_from_slice(&signature);

    assert_eq!(out[16], 8);
    assert_eq!(out[17..49], [0xab; 32]);
    // SYN, SIG, FROM, MAX_SIZE, NO_ACK, OFFLINE.
    assert_eq!(out[50..52], 0x0ca9_u16.to_be_bytes());
    assert_eq!(out[54..445], from.as_bytes()[..]);
    assert_eq!(out[445..447], 1812_u16.to_be_bytes());
    assert_eq!(out[447..453], [0x77, 0x35, 0x94, 0, 0, 7]);
    assert_eq!(range, 549..613);
    let packet = Packet::parse(&out).unwrap();
    assert_eq!(packet.target(), Some(DestinationHash([0xab; 32])));
    let options = packet.options(None).unwrap();
    assert_eq!(options.from.as_ref(), Some(&from));
    assert_eq!(options.max_size, Some(1812));
    assert_eq!(options.offline.as_ref(), Some(&block));
    assert_eq!(options.signature, Some(&signature[..]));
    let signed = packet.signed_bytes(&options);
    let kind = SigningKeyType::Ed25519;
    assert_eq!(
        verify_signature(kind, &transient.public(), &signed, &signature),
        Ok(())
    );
    assert_eq!(packet.payload, b"GET / HTTP/1.1");
    for end in 0..out.len() - packet.payload.len() {
        let cut = Packet::parse(&out[..end]);
        assert!(matches!(cut, Err(DecodeError::Truncated { .. })), "{end}");
    }
}

#[test]
fn only_a_syn_with_eight_nacks_has_a_target() {
    let packet = |flags, count| {
        let mut out = BytesMut::new();
        let nacks = vec![1; count];
        let builder = PacketBuilder {
            flags,
            nacks: &nacks,
            ..PacketBuilder::default()
        };
        builder.encode(&mut out).unwrap();
        Packet::parse(&out).unwrap().target()
    };
    assert!(packet(Flags::SYNCHRONIZE, 8).is_some());
    assert_eq!(packet(Flags::SYNCHRONIZE, 7), None);
    assert_eq!(packet(Flags::SYNCHRONIZE, 9), None);
    assert_eq!(packet(Flags::default(), 8), None);
}

#[test]
fn the_type_of_a_signature_may_be_known_from_before() {
    let mut out = BytesMut::new();
    let builder = PacketBuilder {
        flags: Flags::CLOSE,
        signature_len: Some(64),
        ..PacketBuilder::default()
    };
    builder.encode(&mut out).unwrap();
    let packet = Packet::parse(&out).unwrap();
    let options = |kind| packet.options(kind).map(|options| options.signature);
    let ed25519 = Some(SigningKeyType::Ed25519);
    assert_eq!(options(ed25519), Ok(Some(&[0; 64][..])));
    assert_eq!(
        options(Some(SigningKeyType::DsaSha1)),
        Err(DecodeError::TrailingBytes { extra: 24 })
    );
    assert_eq!(
        options(Some(SigningKeyType::EcdsaSha512P521)),
        Err(DecodeError::Truncated { missing: 68 })
    );
    assert_eq!(
        options(Some(SigningKeyType::Unknown(12))),
        Err(DecodeError::UnknownSigningType(12))
    );
    assert_eq!(
        options(None),
        Err(DecodeError::UnknownSigningType(u16::MAX))
    );
}

#[test]
fn bytes_behind_the_options_belong_to_unknown_flags_only() {
    let mut bytes = vec![0; MIN_PACKET_LEN + 3];
    bytes[21] = 3;
    let extra = Packet::parse(&bytes).unwrap().options(None);
    assert_eq!(extra, Err(DecodeError::TrailingBytes { extra: 3 }));
    bytes[18] = 0x80;
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.flags, Flags(0x8000));
    assert_eq!(packet.options(None), Ok(Options::default()));
    bytes[18] = 0;
    bytes[19] = 0xc0; // A delay and a size in three bytes.
    let short = Packet::parse(&bytes).unwrap().options(None);
    assert_eq!(short, Err(DecodeError::Truncated { missing: 1 }));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut out = BytesMut::new();
    let nacks = [0; 256];
    let builder = PacketBuilder {
        nacks: &nacks,
        ..PacketBuilder::default()
    };
    let limit = 255;
    let actual = 256;
    assert_eq!(
        builder.encode(&mut out),
        Err(EncodeError::TooMany { actual, limit })
    );
    let builder = PacketBuilder {
        delay: Some(0),
        signature_len: Some(65_534),
        ..PacketBuilder::default()
    };
    let (actual, limit) = (65_536, 65_535);
    assert_eq!(
        builder.encode(&mut out),
        Err(EncodeError::TooLong { actual, limit })
    );
    assert!(out.is_empty());
}

#[test]
fn debug_shows_no_payload() {
    let mut out = BytesMut::new();
    let builder = PacketBuilder {
        flags: Flags::CLOSE | Flags::NO_ACK,
        payload: b"secret",
        ..PacketBuilder::default()
    };
    builder.encode(&mut out).unwrap();
    let text = format!("{:?}", Packet::parse(&out).unwrap());
    assert!(text.contains("Flags(CLOSE NO_ACK)") && !text.contains("secret"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        ids: [u32; 4], nacks in prop::collection::vec(any::<u32>(), 0..256), resend_delay: u8,
        flags in 0_u16..1 << 12, delay: Option<u16>, max_size: Option<u16>, payload: Vec<u8>,
        signed: bool, with_from: bool, with_offline: bool,
    ) {
        // Those of options are set by the options.
        let flags = Flags(flags & 0b0111_0001_0111);
        let key = SigningKey::from_seed(&[1; 32]);
        let (from, block) = (destination(&key), offline(&key, &key));
        let builder = PacketBuilder {
            send_stream: ids[0],
            receive_stream: ids[1],
            sequence: ids[2],
            ack_through: ids[3],
            nacks: &nacks,
            target: None,
            resend_delay,
            flags,
            delay,
            from: with_from.then_some(&from),
            max_size,
            offline: with_offline.then_some(&block),
            signature_len: signed.then_some(64),
            payload: &payload,
        };
        let mut out = BytesMut::new();
        let range = builder.encode(&mut out).unwrap();
        let packet = Packet::parse(&out).unwrap();
        prop_assert_eq!(
            [packet.send_stream, packet.receive_stream, packet.sequence, packet.ack_through],
            ids
        );
        prop_assert_eq!(packet.nacks().collect::<Vec<_>>(), nacks.clone());
        prop_assert_eq!(packet.payload, &payload[..]);
        let options = packet.options(Some(SigningKeyType::Ed25519)).unwrap();
        prop_assert_eq!(options.delay, delay);
        prop_assert_eq!(options.max_size, max_size);
        prop_assert_eq!(options.from.is_some(), with_from);
        prop_assert_eq!(options.offline.is_some(), with_offline);
        prop_assert_eq!(options.signature.is_some(), signed);
        prop_assert_eq!(options.signature_range.len(), range.len());
        // Written again from what was read, it is the same.
        let mut again = BytesMut::new();
        let builder = PacketBuilder {
            flags: packet.flags,
            delay: options.delay,
            from: options.from.as_ref(),
            max_size: options.max_size,
            offline: options.offline.as_ref(),
            payload: packet.payload,
            ..builder
        };
        builder.encode(&mut again).unwrap();
        prop_assert_eq!(again, out);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>, nacks in 0_u8..3) {
        let check = |bytes: &[u8]| {
            let Ok(packet) = Packet::parse(bytes) else { return };
            assert_eq!(packet.as_bytes(), bytes);
            let _ = (packet.target(), packet.delay(), packet.nacks().count());
            for signer in [None, Some(SigningKeyType::Ed25519), Some(SigningKeyType::Unknown(9))] {
                if let Ok(options) = packet.options(signer) {
                    assert_eq!(packet.signed_bytes(&options).len(), bytes.len());
                }
            }
        };
        check(&bytes);
        if let Some(count) = bytes.get_mut(16) {
            *count = nacks;
        }
        check(&bytes);
    }
}

#[test]
fn a_new_destination_fits_a_packet() {
    let keys = PrivateKeys::generate();
    let mut out = BytesMut::new();
    let builder = PacketBuilder {
        from: Some(keys.destination()),
        ..PacketBuilder::default()
    };
    builder.encode(&mut out).unwrap();
    let options = Packet::parse(&out).unwrap().options(None).unwrap();
    assert_eq!(options.from.as_ref(), Some(keys.destination()));
}
