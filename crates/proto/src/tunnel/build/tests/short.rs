use proptest::prelude::*;
use ramson_wire::build::BandwidthRequest;
use ramson_wire::i2np::ShortBuildRecords;

use super::*;
use crate::tunnel::{HopLayer, TunnelLayers};

/// Directions with how many hops each can have.
fn all_tunnels() -> impl Iterator<Item = (u8, BuildPath)> {
    let outbound = (1..=8).map(|count| (count, outbound()));
    outbound.chain((1..=7).map(|count| (count, inbound())))
}

#[test]
fn tunnels_of_all_lengths_are_built() {
    for (count, path) in all_tunnels() {
        let hops = hops(count);
        let (pending, body) = start(&hops, path, count);
        let reply = through(&hops, &pending, body, accepted);
        let outcome = pending.handle_reply(&reply).unwrap();
        assert_eq!(outcome.tunnel.unwrap().len(), usize::from(count));
        let yes = HopAnswer::Accepted(Mapping::default());
        assert_eq!(outcome.answers, vec![yes; usize::from(count)]);
    }
}

#[test]
fn both_sides_have_the_same_keys() {
    for (count, path) in all_tunnels() {
        let hops = hops(count);
        let (pending, mut body) = start(&hops, path, count);
        let mut theirs = vec![];
        for hop in &hops {
            let opened = hop.open(&body).unwrap();
            theirs.push(opened.tunnel_keys().clone());
            body = match answer(opened, ReplyCode::Accepted) {
                NextStep::Send { message, .. } => message.body().clone(),
                NextStep::Gateway { .. } => panic!("nobody is its own gateway"),
            };
        }
        for (index, keys) in theirs.iter().enumerate() {
            assert!(!theirs[..index].contains(keys));
        }
        let reply = through(&hops, &pending, start(&hops, path, count).1, accepted);
        assert_eq!(pending.handle_reply(&reply).unwrap().tunnel, Ok(theirs));
    }
}

#[test]
fn data_goes_through_a_tunnel_that_was_built() {
    let hops = hops(3);
    let (pending, mut body) = start(&hops, outbound(), 1);
    let mut layers = vec![];
    for hop in &hops {
        let opened = hop.open(&body).unwrap();
        layers.push(HopLayer::new(opened.tunnel_keys()));
        let (_, message) = sent(answer(opened, ReplyCode::Accepted));
        body = message.body().clone();
    }
    let reply = through(&hops, &pending, start(&hops, outbound(), 1).1, accepted);
    let keys = pending.handle_reply(&reply).unwrap().tunnel.unwrap();
    let clear = random(2).bytes();
    let mut message = clear;
    TunnelLayers::new(&keys).remove_all(&mut message);
    for layer in &layers {
        layer.add(&mut message);
    }
    assert_eq!(message, clear);
}

#[test]
fn each_hop_learns_its_part_only() {
    for (count, path) in all_tunnels() {
        let hops = hops(count);
        let (_, mut body) = start(&hops, path, count);
        let mut ids = vec![];
        for (number, hop) in hops.iter().enumerate() {
            let opened = hop.open(&body).unwrap();
            let request = opened.request().clone();
            let last = number + 1 == hops.len();
            let (role, next) = match path {
                BuildPath::Outbound { .. } if last => (HopRole::OutboundEndpoint, (GATEWAY, 77)),
                BuildPath::Inbound { .. } if number == 0 && last => {
                    (HopRole::InboundGateway, (US, 88))
                }
                BuildPath::Inbound { .. } if number == 0 => {
                    (HopRole::InboundGateway, (hops[1].hash, 101))
                }
                BuildPath::Inbound { .. } if last => (HopRole::Participant, (US, 88)),
                _ => (
                    HopRole::Participant,
                    (hops[number + 1].hash, 101 + u32::try_from(number).unwrap()),
                ),
            };
            assert_eq!(request.role, role);
            assert_eq!((request.next_hop, request.next_tunnel.get()), next);
            assert_eq!(
                request.receive_tunnel.get(),
                100 + u32::try_from(number).unwrap()
            );
            assert_eq!(request.requested.as_secs(), 1_699_999_980);
            assert_eq!(request.lifetime.as_secs(), 600);
            assert_eq!(request.next_message_id == REPLY_ID, last);
            assert!(!opened.is_unsupported());
            ids.push(request.next_message_id);
            let (to, message) = sent(answer(opened, ReplyCode::Accepted));
            assert_eq!(to, request.next_hop);
            if role != HopRole::OutboundEndpoint {
                assert_eq!(message.id(), request.next_message_id);
                assert_eq!(message.kind(), MessageType::ShortTunnelBuild);
                assert_eq!(message.expires(), EXPIRES);
            }
            body = message.body().clone();
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), hops.len(), "message ids repeat");
    }
}

#[test]
fn the_number_of_records_tells_no_length() {
    for (count, path) in all_tunnels() {
        let (pending, body) = start(&hops(count), path, count);
        let records = ShortBuildRecords::parse(&body).unwrap().as_slice().len();
        let needed = count + u8::from(matches!(path, BuildPath::Inbound { .. }));
        assert_eq!(records, if needed <= 4 { 4 } else { 8 });
        assert_eq!(pending.garlic_key().is_some(), path == outbound());
        assert_eq!(pending.reply_message_id(), REPLY_ID);
    }
}

#[test]
fn records_stand_in_any_order() {
    let hops = hops(4);
    let place = |seed| {
        let (_, body) = start(&hops, outbound(), seed);
        let records = ShortBuildRecords::parse(&body).unwrap();
        records.position(&hops[0].hash.prefix()).unwrap()
    };
    for wanted in 0..4 {
        assert!((0..100).any(|seed| place(seed) == wanted));
    }
}

#[test]
fn the_last_inbound_hop_sees_a_record_for_what_follows() {
    for count in 1..=7 {
        let hops = hops(count);
        let (pending, body) = start(&hops, inbound(), count);
        let own = |body: &[u8]| {
            ShortBuildRecords::parse(body)
                .unwrap()
                .position(&US.prefix())
        };
        assert_eq!(own(&body), None);
        let reply = through(&hops, &pending, body, accepted);
        let records = ShortBuildRecords::parse(&reply).unwrap();
        let record = records.as_slice()[own(&reply).unwrap()];
        // Like any ephemeral key.
        assert_eq!(record[47] & 0x80, 0);
    }
}

#[test]
fn a_refusal_is_known_whichever_hop_it_is() {
    for (count, path) in all_tunnels() {
        for refusing in 0..usize::from(count) {
            let hops = hops(count);
            let (pending, body) = start(&hops, path, count);
            let reply = through(&hops, &pending, body, |number| match number {
                _ if number == refusing => ReplyCode::BANDWIDTH,
                _ => ReplyCode::Accepted,
            });
            let outcome = pending.handle_reply(&reply).unwrap();
            assert_eq!(outcome.tunnel, Err(BuildFailure::Refused));
            for (number, answer) in outcome.answers.iter().enumerate() {
                assert_eq!(*answer == HopAnswer::Refused(30), number == refusing);
            }
        }
    }
}

#[test]
fn options_go_both_ways() {
    let hops = hops(2);
    let asked = BandwidthRequest {
        minimum: Some(50),
        requested: Some(100),
        limit: None,
    };
    let mut specs = specs(&hops);
    specs[1].options = asked.to_options();
    let (pending, body) =
        PendingBuild::start(&specs, outbound(), REPLY_ID, &mut random(1), NOW).unwrap();
    let first = hops[0].open(&body).unwrap();
    assert!(first.request().options.is_empty());
    let (_, message) = sent(answer(first, ReplyCode::Accepted));
    let second = hops[1].open(message.body()).unwrap();
    assert_eq!(
        BandwidthRequest::from_options(&second.request().options),
        asked
    );
    let options = Mapping::from_pairs([("b", "80")]).unwrap();
    let reply = BuildReply {
        code: ReplyCode::Accepted,
        options: options.clone(),
    };
    let (_, message) = sent(second.reply(&reply, EXPIRES, &mut random(2)).unwrap());
    let gateway = TunnelGateway::parse(message.body()).unwrap();
    let garlic = Garlic::parse(gateway.inner().unwrap().body).unwrap();
    let body = pending.open_garlic_reply(garlic).unwrap();
    let outcome = pending.handle_reply(&body).unwrap();
    assert_eq!(outcome.answers[1], HopAnswer::Accepted(options));
}

#[test]
fn an_endpoint_that_is_the_reply_gateway_keeps_the_reply() {
    let hops = hops(2);
    let path = BuildPath::Outbound {
        reply_gateway: hops[1].hash,
        reply_tunnel: tunnel_id(77),
    };
    let (pending, body) = start(&hops, path, 1);
    let (_, message) = sent(hops[0].accept(&body));
    let NextStep::Gateway { tunnel, message } = hops[1].accept(message.body()) else {
        panic!("the reply must stay");
    };
    assert_eq!(tunnel, tunnel_id(77));
    assert_eq!(message.kind(), MessageType::OutboundTunnelBuildReply);
    assert_eq!(message.id(), REPLY_ID);
    let outcome = pending.handle_reply(message.body()).unwrap();
    assert!(outcome.tunnel.is_ok());
}

proptest! {
    /// Whatever byte is changed wherever on the way: the tunnel does not stand, and nobody but a
    /// hop whose own record it was notices.
    #[test]
    fn a_changed_record_spoils_the_tunnel(
        count in 1_u8..8,
        is_inbound: bool,
        before: prop::sample::Index,
        byte: prop::sample::Index,
    ) {
        let hops = hops(count);
        let (pending, mut body) = start(&hops, if is_inbound { inbound() } else { outbound() }, count);
        let before = before.index(hops.len() + 1);
        let change = |body: &Bytes| {
            let mut changed = body.to_vec();
            let at = 1 + byte.index(changed.len() - 1);
            changed[at] ^= 0x40;
            Bytes::from(changed)
        };
        for (number, hop) in hops.iter().enumerate() {
            if number == before {
                body = change(&body);
            }
            let Ok(opened) = hop.open(&body) else {
                prop_assert!(number >= before);
                return Ok(());
            };
            body = match answer(opened, ReplyCode::Accepted) {
                NextStep::Send { to: GATEWAY, message } => {
                    let gateway = TunnelGateway::parse(message.body()).unwrap();
                    let garlic = Garlic::parse(gateway.inner().unwrap().body).unwrap();
                    pending.open_garlic_reply(garlic).unwrap()
                }
                NextStep::Send { message, .. } => message.body().clone(),
                NextStep::Gateway { .. } => panic!("nobody is its own gateway"),
            };
        }
        if before == hops.len() {
            body = change(&body);
        }
        let failure = pending.handle_reply(&body).unwrap().tunnel;
        prop_assert!(
            matches!(failure, Err(BuildFailure::Tampered | BuildFailure::Unreadable)),
            "{:?}", failure
        );
    }

    #[test]
    fn arbitrary_replies_do_not_panic(body: Vec<u8>, records in prop::collection::vec(any::<u8>(), 872..=872)) {
        let (pending, _) = start(&hops(3), inbound(), 1);
        prop_assert!(pending.handle_reply(&body).is_err());
        let outcome = pending.handle_reply(&[&[4], &records[..]].concat()).unwrap();
        prop_assert_eq!(outcome.answers, vec![HopAnswer::Unreadable; 3]);
        prop_assert!(outcome.tunnel.is_err());
    }
}
