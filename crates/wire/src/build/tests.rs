use proptest::prelude::*;

use super::*;

fn request() -> BuildRequest {
    BuildRequest {
        receive_tunnel: TunnelId::new(0x0102_0304).unwrap(),
        next_tunnel: TunnelId::new(0x0506_0708).unwrap(),
        next_hop: RouterHash([9; 32]),
        role: HopRole::InboundGateway,
        layer_type: 0,
        requested: UnixTime::from_millis(60_000 * 0x0a0b_0c0d),
        lifetime: Duration::from_secs(600),
        next_message_id: 0x1112_1314,
        options: Mapping::default(),
    }
}

fn long() -> LongBuildRequest {
    LongBuildRequest {
        request: request(),
        layer_key: Zeroizing::new([1; 32]),
        iv_key: Zeroizing::new([2; 32]),
        reply_key: Zeroizing::new([3; 32]),
        reply_iv: [4; 16],
    }
}

fn options_of_len(len: usize) -> Mapping {
    // The size takes two bytes, each pair of a one-letter key five around its value.
    let mut pairs = Vec::new();
    let mut rest = len - 2;
    for key in 'a'.. {
        let value = rest.saturating_sub(5).min(255);
        pairs.push((key.to_string(), "v".repeat(value)));
        rest -= value + 5;
        if rest == 0 {
            break;
        }
    }
    let options = Mapping::from_pairs(pairs).unwrap();
    assert_eq!(options.encoded_len(), len);
    options
}

#[test]
fn a_short_request_has_its_layout() {
    let mut record = [0xee; SHORT_REQUEST_LEN];
    ShortBuildRequest(request()).write(&mut record).unwrap();
    let expected = [
        &[1, 2, 3, 4, 5, 6, 7, 8][..],
        &[9; 32],
        &[0x80, 0, 0, 0],
        &[0x0a, 0x0b, 0x0c, 0x0d],
        &[0, 0, 2, 0x58],
        &[0x11, 0x12, 0x13, 0x14],
        &[0, 0],
        &[0xee; 96],
    ];
    assert_eq!(record[..], expected.concat());
    assert_eq!(
        ShortBuildRequest::parse(&record),
        Ok(ShortBuildRequest(request()))
    );
}

#[test]
fn a_long_request_has_its_layout() {
    let mut record = [0xee; LONG_REQUEST_LEN];
    long().write(&mut record).unwrap();
    let expected = [
        &[1, 2, 3, 4, 5, 6, 7, 8][..],
        &[9; 32],
        &[1; 32],
        &[2; 32],
        &[3; 32],
        &[4; 16],
        &[0x80, 0, 0, 0],
        &[0x0a, 0x0b, 0x0c, 0x0d],
        &[0, 0, 2, 0x58],
        &[0x11, 0x12, 0x13, 0x14],
        &[0, 0],
        &[0xee; 294],
    ];
    assert_eq!(record[..], expected.concat());
    assert_eq!(LongBuildRequest::parse(&record), Ok(long()));
}

#[test]
fn minutes_are_rounded_down() {
    let mut request = request();
    request.requested = UnixTime::from_millis(60_000 * 7 + 59_999);
    let mut record = [0; SHORT_REQUEST_LEN];
    ShortBuildRequest(request).write(&mut record).unwrap();
    assert_eq!(record[44..48], [0, 0, 0, 7]);
    let again = ShortBuildRequest::parse(&record).unwrap().0;
    assert_eq!(again.requested, UnixTime::from_millis(420_000));
}

#[test]
fn roles_are_flags_and_one_at_most() {
    let mut record = [0; SHORT_REQUEST_LEN];
    for (role, flags) in [
        (HopRole::Participant, 0),
        (HopRole::InboundGateway, 0x80),
        (HopRole::OutboundEndpoint, 0x40),
    ] {
        let mut request = request();
        request.role = role;
        ShortBuildRequest(request).write(&mut record).unwrap();
        assert_eq!(record[40], flags);
        record[40] |= 0x3f;
        assert_eq!(ShortBuildRequest::parse(&record).unwrap().0.role, role);
    }
    record[40] = 0xc0;
    assert_eq!(
        ShortBuildRequest::parse(&record),
        Err(DecodeError::Flags(0xc0))
    );
}

#[test]
fn a_tunnel_id_of_zero_is_refused() {
    for at in [0, 4] {
        let mut record = [0; SHORT_REQUEST_LEN];
        ShortBuildRequest(request()).write(&mut record).unwrap();
        record[at..at + 4].fill(0);
        assert_eq!(
            ShortBuildRequest::parse(&record),
            Err(DecodeError::ZeroTunnelId)
        );
        let mut record = [0; LONG_REQUEST_LEN];
        long().write(&mut record).unwrap();
        record[at..at + 4].fill(0);
        assert_eq!(
            LongBuildRequest::parse(&record),
            Err(DecodeError::ZeroTunnelId)
        );
    }
}

#[test]
fn options_that_have_no_room_are_refused_and_damaged_ones_ignored() {
    let mut short = ShortBuildRequest(request());
    let mut record = [0; SHORT_REQUEST_LEN];
    short.0.options = options_of_len(98);
    short.write(&mut record).unwrap();
    assert_eq!(ShortBuildRequest::parse(&record).as_ref(), Ok(&short));
    short.0.options = options_of_len(99);
    let (actual, limit) = (99, 98);
    assert_eq!(
        short.write(&mut record),
        Err(EncodeError::TooLong { actual, limit })
    );
    // One byte more than there is.
    record[56..58].copy_from_slice(&97u16.to_be_bytes());
    let parsed = ShortBuildRequest::parse(&record).unwrap();
    assert!(parsed.0.options.is_empty());

    let mut long = long();
    let mut record = [0; LONG_REQUEST_LEN];
    long.request.options = options_of_len(296);
    long.write(&mut record).unwrap();
    assert_eq!(LongBuildRequest::parse(&record).as_ref(), Ok(&long));
    long.request.options = options_of_len(297);
    let (actual, limit) = (297, 296);
    assert_eq!(
        long.write(&mut record),
        Err(EncodeError::TooLong { actual, limit })
    );
}

#[test]
fn replies_have_their_code_at_the_end() {
    let reply = BuildReply::new(ReplyCode::BANDWIDTH);
    let mut short = [0xee; SHORT_REPLY_LEN];
    reply.write_short(&mut short).unwrap();
    assert_eq!((short[..3].to_vec(), short[201]), (vec![0, 0, 0xee], 30));
    assert_eq!(BuildReply::parse_short(&short), reply);
    let mut long = [0xee; LONG_REPLY_LEN];
    reply.write_long(&mut long).unwrap();
    assert_eq!((long[..3].to_vec(), long[511]), (vec![0, 0, 0xee], 30));
    assert_eq!(BuildReply::parse_long(&long), reply);

    for len in [201, 511] {
        let mut full = BuildReply::new(ReplyCode::Accepted);
        full.options = options_of_len(len);
        assert_eq!(full.write_short(&mut short).is_ok(), len == 201);
        full.write_long(&mut long).unwrap();
        assert_eq!(BuildReply::parse_long(&long), full);
    }
    for code in 0..=u8::MAX {
        assert_eq!(ReplyCode::from_code(code).code(), code);
    }
}

#[test]
fn bandwidth_is_found_among_the_options() {
    let bandwidth = BandwidthRequest {
        minimum: Some(10),
        requested: None,
        limit: Some(300),
    };
    let options = bandwidth.to_options();
    assert_eq!(
        (options.get("m"), options.get("l")),
        (Some("10"), Some("300"))
    );
    assert_eq!(BandwidthRequest::from_options(&options), bandwidth);
    for wrong in ["", "0", "-1", "+1", "x", "99999999999"] {
        let options = Mapping::from_pairs([("m", wrong), ("b", wrong)]).unwrap();
        let found = BandwidthRequest::from_options(&options);
        assert_eq!(found, BandwidthRequest::default(), "{wrong}");
        let code = ReplyCode::Accepted;
        assert_eq!(
            BuildReply { code, options }.available_kilobytes_per_s(),
            None
        );
    }
    let reply = BuildReply {
        code: ReplyCode::Accepted,
        options: Mapping::from_pairs([("b", "77")]).unwrap(),
    };
    assert_eq!(reply.available_kilobytes_per_s(), Some(77));
}

#[test]
fn sealed_requests_are_split() {
    let record = [&[1; 16][..], &[2; 32], &[3; 170]].concat();
    let sealed = SealedRequest::parse(&record).unwrap();
    assert_eq!((sealed.hop, sealed.ephemeral), ([1; 16], [2; 32]));
    assert_eq!(sealed.ciphertext, [3; 170]);
    assert_eq!(
        SealedRequest::parse(&[0; 47]),
        Err(DecodeError::Truncated { missing: 1 })
    );
}

#[test]
fn debug_shows_no_keys() {
    assert!(!format!("{:?}", long()).contains("key"));
}

proptest! {
    #[test]
    fn arbitrary_records_do_not_panic(bytes in prop::collection::vec(any::<u8>(), LONG_REPLY_LEN)) {
        if let Ok(request) = ShortBuildRequest::parse(bytes.first_chunk().unwrap()) {
            let mut again = [0; SHORT_REQUEST_LEN];
            request.write(&mut again).unwrap();
            prop_assert_eq!(ShortBuildRequest::parse(&again), Ok(request));
        }
        let _ = LongBuildRequest::parse(bytes.first_chunk().unwrap());
        let _ = BuildReply::parse_short(bytes.first_chunk().unwrap());
        let _ = BuildReply::parse_long(bytes.first_chunk().unwrap());
    }
}
