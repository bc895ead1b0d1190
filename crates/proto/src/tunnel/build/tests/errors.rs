use proptest::prelude::*;
use ramson_wire::DecodeError;
use ramson_wire::build::{BuildRequest, SHORT_REQUEST_LEN, ShortBuildRequest};
use ramson_wire::i2np::ShortBuildRecords;

use super::*;
use crate::garlic::router::{self, GarlicError, GarlicKey};
use crate::tunnel::noise::{self, NoiseError};

fn error(specs: &[HopSpec], path: BuildPath) -> BuildError {
    PendingBuild::start(specs, path, 1, &mut random(1), NOW).unwrap_err()
}

#[test]
fn tunnels_that_cannot_be_built_are_refused() {
    let too_many = specs(&hops(9));
    assert_eq!(error(&[], outbound()), BuildError::HopCount { hops: 0 });
    assert_eq!(
        error(&too_many, outbound()),
        BuildError::HopCount { hops: 9 }
    );
    assert_eq!(
        error(&too_many[..8], inbound()),
        BuildError::HopCount { hops: 8 }
    );
}

#[test]
fn no_router_is_in_a_tunnel_twice() {
    let mut twice = specs(&hops(3));
    twice[2].router = twice[0].router;
    // Half of the hash is what the hops look at.
    twice[2].router.0[16] ^= 1;
    assert_eq!(
        error(&twice, outbound()),
        BuildError::DuplicateHop { hop: 2 }
    );
    let mut ourselves = specs(&hops(3));
    ourselves[1].router = US;
    assert_eq!(
        error(&ourselves, inbound()),
        BuildError::DuplicateHop { hop: 1 }
    );
}

#[test]
fn hops_with_bad_keys_or_long_options_are_named() {
    let mut bad_key = specs(&hops(2));
    bad_key[1].encryption_key = [0; 32];
    assert_eq!(error(&bad_key, outbound()), BuildError::BadKey { hop: 1 });
    let mut long = specs(&hops(2));
    let value = "x".repeat(100);
    long[0].options = Mapping::from_pairs([("m", value.as_str())]).unwrap();
    assert_eq!(error(&long, outbound()), BuildError::Options { hop: 0 });
}

#[test]
fn malformed_messages_are_dropped() {
    let hop = &hops(1)[0];
    let (_, body) = start(&hops(1), outbound(), 1);
    let find = |body: &[u8]| HopRequest::find(BuildKind::Short, hop.hash, body).map(drop);
    assert_eq!(find(&body), Ok(()));
    assert!(matches!(find(&[]), Err(HopError::Malformed(_))));
    assert_eq!(find(&[0]), Err(HopError::Malformed(DecodeError::Empty)));
    assert!(matches!(find(&body[..100]), Err(HopError::Malformed(_))));
    let nine = [&[9][..], &[0; 9 * 218]].concat();
    assert!(matches!(find(&nine), Err(HopError::Malformed(_))));
    let other = HopRequest::find(BuildKind::Short, US, &body).map(drop);
    assert_eq!(other, Err(HopError::NoRecord));
    let long = HopRequest::find(BuildKind::Long, hop.hash, &body).map(drop);
    assert!(matches!(long, Err(HopError::Malformed(_))));
}

#[test]
fn a_hop_out_of_its_turn_cannot_read() {
    let hops = hops(3);
    let (_, body) = start(&hops, outbound(), 1);
    // Its prefix is still under the layer of the first.
    assert_eq!(
        hops[1].open(&body).map(drop).unwrap_err(),
        HopError::NoRecord
    );
    // What the first hop has answered, nobody opens again.
    let (_, message) = sent(hops[0].accept(&body));
    assert!(hops[0].open(message.body()).is_err());
}

#[test]
fn a_record_under_another_key_does_not_open() {
    let (_, body) = start(&hops(1), outbound(), 1);
    let impostor = TestHop {
        hash: hops(1)[0].hash,
        receiver: Receiver::new(x25519::PrivateKey::from_bytes([0x77; 32])),
    };
    assert_eq!(
        impostor.open(&body).map(drop).unwrap_err(),
        HopError::Open(NoiseError::Decrypt)
    );
}

/// Returns a message with one record, in which everything can be wrong.
fn record(change: impl FnOnce(&mut BuildRequest, &mut [u8; SHORT_REQUEST_LEN])) -> Vec<u8> {
    let hop = &hops(1)[0];
    let mut request = BuildRequest {
        receive_tunnel: tunnel_id(1),
        next_tunnel: tunnel_id(2),
        next_hop: US,
        role: HopRole::Participant,
        layer_type: 0,
        requested: NOW,
        lifetime: crate::tunnel::LIFETIME,
        next_message_id: 3,
        options: Mapping::default(),
    };
    let mut plain = [0; SHORT_REQUEST_LEN];
    let mut ignored = plain;
    change(&mut request, &mut ignored);
    ShortBuildRequest(request).write(&mut plain).unwrap();
    for (byte, change) in plain.iter_mut().zip(ignored) {
        *byte ^= change;
    }
    let mut record = [0; 218];
    record[..16].copy_from_slice(&hop.hash.prefix());
    record[48..202].copy_from_slice(&plain);
    noise::seal(&hop.receiver.public(), &mut random(1), &mut record[16..]).unwrap();
    let mut body = vec![];
    ShortBuildRecords::new(vec![record])
        .unwrap()
        .encode(&mut body);
    body
}

#[test]
fn requests_that_make_no_sense_are_dropped() {
    let hop = &hops(1)[0];
    let open = |body: Vec<u8>| hop.open(&body).map(drop);
    assert_eq!(open(record(|_, _| {})), Ok(()));
    // Both roles.
    assert_eq!(
        open(record(|_, changes| changes[40] = 0xc0)),
        Err(HopError::Request(DecodeError::Flags(0xc0)))
    );
    // Tunnel ids 1 and 2 become 0.
    for (byte, change) in [(3, 1), (7, 2)] {
        assert_eq!(
            open(record(|_, changes| changes[byte] = change)),
            Err(HopError::Request(DecodeError::ZeroTunnelId))
        );
    }
    assert_eq!(
        open(record(|request, _| request.next_hop = hop.hash)),
        Err(HopError::NextIsOurselves)
    );
    assert_eq!(
        open(record(|request, _| {
            request.next_hop = hop.hash;
            request.role = HopRole::OutboundEndpoint;
        })),
        Ok(())
    );
}

#[test]
fn unknown_layers_are_for_refusal_and_unknown_flags_for_nobody() {
    let hop = &hops(1)[0];
    let layer = record(|request, _| request.layer_type = 1);
    assert!(hop.open(&layer).unwrap().is_unsupported());
    let flags = record(|_, changes| {
        changes[40] = 0x3f;
        changes[41] = 0xff;
        changes[42] = 0xff;
    });
    assert!(!hop.open(&flags).unwrap().is_unsupported());
}

#[test]
fn the_first_of_two_records_counts() {
    let hop = &hops(1)[0];
    let good = record(|_, _| {});
    let mut second = good[1..].to_vec();
    second[100] ^= 1;
    let body = |records: [&[u8]; 2]| [&[2], records[0], records[1]].concat();
    assert!(hop.open(&body([&good[1..], &second])).is_ok());
    assert!(hop.open(&body([&second, &good[1..]])).is_err());
}

#[test]
fn a_replay_has_the_same_key() {
    let hop = &hops(1)[0];
    let key = |body: &[u8]| {
        HopRequest::find(BuildKind::Short, hop.hash, body)
            .unwrap()
            .replay_key()
    };
    let (_, first) = start(&hops(1), outbound(), 1);
    let (_, other) = start(&hops(1), outbound(), 2);
    assert_eq!(key(&first), key(&first.clone()));
    assert_ne!(key(&first), key(&other));
}

#[test]
fn options_that_do_not_fit_are_an_error_of_ours() {
    let hop = &hops(1)[0];
    let value = "x".repeat(250);
    let reply = BuildReply {
        code: ReplyCode::Accepted,
        options: Mapping::from_pairs([("b", value.as_str())]).unwrap(),
    };
    let opened = hop.open(&record(|_, _| {})).unwrap();
    assert!(opened.reply(&reply, EXPIRES, &mut random(1)).is_err());
}

#[test]
fn replies_that_are_none_leave_the_build_pending() {
    let hops = hops(2);
    let (pending, body) = start(&hops, outbound(), 1);
    assert_eq!(
        pending.handle_reply(&[&[3][..], &[0; 3 * 218]].concat()),
        Err(ReplyError::RecordCount)
    );
    assert_eq!(
        pending.handle_reply(&[0]),
        Err(ReplyError::Malformed(DecodeError::Empty))
    );
    let key = pending.garlic_key().unwrap().clone();
    assert_eq!(
        pending.open_garlic_reply(Garlic(&[0; 50])),
        Err(ReplyError::Garlic(GarlicError::Tag))
    );
    let empty = router::seal_with_key(&key, &[]).unwrap();
    assert_eq!(
        pending.open_garlic_reply(Garlic::parse(&empty).unwrap()),
        Err(ReplyError::Unexpected)
    );
    let (inbound, _) = start(&hops, inbound(), 1);
    assert_eq!(
        inbound.open_garlic_reply(Garlic(&[0; 50])),
        Err(ReplyError::Unexpected)
    );
    let reply = through(&hops, &pending, body, accepted);
    assert!(pending.handle_reply(&reply).unwrap().tunnel.is_ok());
}

#[test]
fn debug_shows_no_keys() {
    let (pending, body) = start(&hops(2), outbound(), 1);
    let opened = hops(1)[0].open(&body).unwrap();
    assert_eq!(format!("{pending:?}"), "PendingBuild { hops: 2, .. }");
    let text = format!("{opened:?}");
    assert!(text.len() < 100, "{text}");
    let key = GarlicKey {
        tag: [1; 8],
        key: [2; 32],
    };
    assert_eq!(format!("{key:?}"), "GarlicKey(..)");
}

proptest! {
    #[test]
    fn arbitrary_messages_do_not_panic(
        body: Vec<u8>,
        mut record in prop::collection::vec(any::<u8>(), 528..=528),
    ) {
        let hop = &hops(1)[0];
        for kind in [BuildKind::Short, BuildKind::Long] {
            prop_assert!(HopRequest::find(kind, hop.hash, &body).is_err());
        }
        record[..16].copy_from_slice(&hop.hash.prefix());
        let short = [&[1], &record[..218]].concat();
        prop_assert!(hop.open(&short).is_err());
        let long = [&[1], &record[..]].concat();
        let long = HopRequest::find(BuildKind::Long, hop.hash, &long).unwrap();
        prop_assert!(long.open(&hop.receiver).is_err());
    }
}
