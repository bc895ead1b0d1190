use std::collections::BTreeSet;

use proptest::prelude::*;
use ramson_wire::{RouterHash, TunnelId};

use super::*;
use crate::tunnel::Gateway;
use crate::tunnel::testing::random;

const LOCAL: TunnelDelivery = TunnelDelivery::Local;

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn endpoint() -> Endpoint {
    Endpoint::new(EndpointKind::Outbound, ReassemblyLimits::OWN)
}

/// A tunnel message with this payload.
fn tunnel_message(payload: &[u8]) -> Bytes {
    let mut message = vec![0x77; LAYERED_LEN - payload.len()];
    *message.last_mut().unwrap() = 0;
    message.extend_from_slice(payload);
    let sum = checksum(payload, message[..IV_LEN].try_into().unwrap());
    message[IV_LEN..IV_LEN + CHECKSUM_LEN].copy_from_slice(&sum);
    message.into()
}

/// A tunnel message with one fragment.
fn piece(message_id: u32, number: u8, last: bool, data: &[u8]) -> Bytes {
    let instructions = match number {
        0 => Instructions::First {
            delivery: LOCAL,
            message_id: Some(message_id),
        },
        _ => Instructions::FollowOn {
            message_id,
            number,
            last,
        },
    };
    let mut payload = vec![];
    Fragment { instructions, data }
        .encode(&mut payload)
        .unwrap();
    tunnel_message(&payload)
}

fn outputs(endpoint: &mut Endpoint) -> Vec<Bytes> {
    std::iter::from_fn(|| endpoint.poll_message())
        .map(|output| output.message)
        .collect()
}

/// All tunnel messages for these messages.
fn packed(messages: &[(TunnelDelivery, Vec<u8>)]) -> Vec<Bytes> {
    let mut gateway = Gateway::new(1 << 20);
    let mut random = random(1);
    let mut sent = vec![];
    for (id, (delivery, message)) in (1..).zip(messages) {
        gateway
            .handle_message(*delivery, id, message.clone().into())
            .unwrap();
    }
    let mut out = [0; LAYERED_LEN];
    while gateway.poll_full(&mut random, &mut out) || gateway.flush(&mut random, &mut out) {
        sent.push(Bytes::copy_from_slice(&out));
    }
    sent
}

#[test]
fn fragments_in_any_order_make_the_message() {
    let mut endpoint = endpoint();
    for (number, last, data) in [(2, true, "c"), (0, false, "a"), (1, false, "b")] {
        assert_eq!(outputs(&mut endpoint), [""; 0]);
        endpoint
            .handle_message(&piece(9, number, last, data.as_bytes()), at(0))
            .unwrap();
    }
    assert_eq!(outputs(&mut endpoint), ["abc"]);
    assert_eq!(endpoint.poll_timeout(), None);
    assert_eq!(endpoint.stats().delivered, 1);
}

#[test]
fn messages_whose_fragments_interleave_stay_apart() {
    let mut endpoint = endpoint();
    for message in [
        piece(1, 0, false, b"a"),
        piece(2, 0, false, b"x"),
        piece(2, 1, true, b"y"),
        piece(1, 1, true, b"b"),
    ] {
        endpoint.handle_message(&message, at(0)).unwrap();
    }
    assert_eq!(outputs(&mut endpoint), ["xy", "ab"]);
}

#[test]
fn a_message_of_64_fragments_comes_through() {
    let mut endpoint = endpoint();
    for number in (0..=63).rev() {
        endpoint
            .handle_message(&piece(1, number, number == 63, &[number]), at(0))
            .unwrap();
    }
    assert_eq!(outputs(&mut endpoint), [(0..=63).collect::<Vec<u8>>()]);
}

#[test]
fn a_fragment_that_came_twice_counts_once() {
    let mut endpoint = endpoint();
    endpoint
        .handle_message(&piece(1, 0, false, b"a"), at(0))
        .unwrap();
    endpoint
        .handle_message(&piece(1, 0, false, b"A"), at(0))
        .unwrap();
    endpoint
        .handle_message(&piece(1, 1, true, b"b"), at(0))
        .unwrap();
    assert_eq!(outputs(&mut endpoint), ["ab"]);
    assert_eq!(endpoint.stats().dropped_duplicate, 1);
}

#[test]
fn fragments_that_contradict_each_other_spoil_their_message() {
    for contradiction in [
        // Behind the last; a second last; a last before one that is there.
        [piece(1, 2, true, b"c"), piece(1, 3, false, b"d")],
        [piece(1, 2, true, b"c"), piece(1, 1, true, b"b")],
        [piece(1, 2, false, b"c"), piece(1, 1, true, b"b")],
    ] {
        let mut endpoint = endpoint();
        for message in contradiction {
            endpoint.handle_message(&message, at(0)).unwrap();
        }
        assert_eq!(endpoint.stats().dropped_inconsistent, 1);
        assert_eq!(endpoint.poll_timeout(), None);
    }
}

#[test]
fn what_takes_too_long_is_dropped() {
    let mut endpoint = endpoint();
    endpoint
        .handle_message(&piece(1, 0, false, b"a"), at(0))
        .unwrap();
    endpoint
        .handle_message(&piece(2, 0, false, b"x"), at(10))
        .unwrap();
    assert_eq!(endpoint.poll_timeout(), Some(at(30_000)));
    endpoint.handle_timeout(at(29_999));
    assert_eq!(endpoint.stats().dropped_expired, 0);
    endpoint.handle_timeout(at(30_000));
    assert_eq!(endpoint.stats().dropped_expired, 1);
    assert_eq!(endpoint.poll_timeout(), Some(at(30_010)));
    // Too late, though no timer has fired.
    endpoint
        .handle_message(&piece(2, 1, true, b"y"), at(30_010))
        .unwrap();
    assert_eq!(outputs(&mut endpoint), [""; 0]);
    assert_eq!(endpoint.stats().dropped_expired, 2);
}

#[test]
fn the_number_of_unfinished_messages_is_bounded() {
    let limits = ReassemblyLimits {
        messages: 2,
        ..ReassemblyLimits::OWN
    };
    let mut endpoint = Endpoint::new(EndpointKind::Outbound, limits);
    for id in 1..=3 {
        endpoint
            .handle_message(&piece(id, 0, false, b"a"), at(0))
            .unwrap();
    }
    assert_eq!(endpoint.stats().dropped_full, 1);
    for id in [3, 2, 1] {
        endpoint
            .handle_message(&piece(id, 1, true, b"b"), at(0))
            .unwrap();
    }
    // The oldest had to go.
    assert_eq!(outputs(&mut endpoint), ["ab", "ab"]);
}

#[test]
fn the_bytes_of_unfinished_messages_are_bounded() {
    let limits = ReassemblyLimits {
        bytes: 3 * (1 + PIECE_OVERHEAD),
        ..ReassemblyLimits::OWN
    };
    let mut endpoint = Endpoint::new(EndpointKind::Outbound, limits);
    for (id, number) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        endpoint
            .handle_message(&piece(id, number, false, b"a"), at(0))
            .unwrap();
    }
    assert_eq!(endpoint.stats().dropped_full, 1);
    endpoint
        .handle_message(&piece(2, 2, true, b"b"), at(0))
        .unwrap();
    assert_eq!(outputs(&mut endpoint), ["aab"]);
}

#[test]
fn an_inbound_endpoint_sends_nothing_on() {
    let tunnel = TunnelId::new(1).unwrap();
    let gateway = RouterHash([3; 32]);
    let messages = [
        (TunnelDelivery::Router(gateway), vec![1; 2000]),
        (TunnelDelivery::Tunnel { tunnel, gateway }, vec![2; 10]),
        (LOCAL, vec![3; 10]),
    ];
    let mut inbound = Endpoint::new(EndpointKind::Inbound, ReassemblyLimits::OWN);
    let mut outbound = endpoint();
    for message in packed(&messages) {
        inbound.handle_message(&message, at(0)).unwrap();
        outbound.handle_message(&message, at(0)).unwrap();
    }
    assert_eq!(outputs(&mut inbound), [vec![3; 10]]);
    assert_eq!(inbound.stats().dropped_not_local, 2);
    for (delivery, message) in messages {
        assert_eq!(
            outbound.poll_message(),
            Some(TunnelOutput {
                delivery,
                message: message.into()
            })
        );
    }
}

#[test]
fn a_changed_message_does_not_pass_the_checksum() {
    let good = piece(1, 0, false, b"data");
    // The IV, the checksum, the instructions, the data.
    for changed in [0, 15, 16, 19, LAYERED_LEN - 11, LAYERED_LEN - 1] {
        let mut bad = good.to_vec();
        bad[changed] ^= 1;
        let mut endpoint = endpoint();
        assert_eq!(
            endpoint.handle_message(&bad.into(), at(0)),
            Err(TunnelMessageError::Checksum),
            "byte {changed}"
        );
        assert_eq!(endpoint.stats().dropped_checksum, 1);
    }
    // The padding may be anything but zero.
    let mut padded = good.to_vec();
    padded[20] ^= 1;
    assert_eq!(endpoint().handle_message(&padded.into(), at(0)), Ok(()));
}

#[test]
fn messages_that_are_none_are_counted() {
    let mut endpoint = endpoint();
    assert_eq!(
        endpoint.handle_message(&Bytes::from_static(&[1; 1023]), at(0)),
        Err(TunnelMessageError::Length { len: 1023 })
    );
    assert_eq!(
        endpoint.handle_message(&Bytes::from_static(&[1; 1024]), at(0)),
        Err(TunnelMessageError::Padding)
    );
    assert_eq!(endpoint.stats().dropped_malformed, 2);
    assert_eq!(endpoint.stats().tunnel_messages, 2);
}

#[test]
fn what_stands_before_damaged_instructions_is_used() {
    // A whole message of one byte; one that claims more bytes than follow.
    let message = tunnel_message(&[0, 0, 1, b'x', 0, 0, 9, b'y']);
    let mut endpoint = endpoint();
    assert_eq!(
        endpoint.handle_message(&message, at(0)),
        Err(TunnelMessageError::Instructions)
    );
    assert_eq!(outputs(&mut endpoint), ["x"]);
    assert_eq!(endpoint.stats().dropped_instructions, 1);
    // An empty fragment.
    assert_eq!(
        endpoint.handle_message(&tunnel_message(&[0, 0, 0]), at(0)),
        Err(TunnelMessageError::Instructions)
    );
}

#[test]
fn a_message_of_padding_only_is_cover_traffic() {
    let mut endpoint = endpoint();
    assert_eq!(endpoint.handle_message(&tunnel_message(&[]), at(0)), Ok(()));
    assert_eq!(outputs(&mut endpoint), [""; 0]);
}

fn deliveries() -> impl Strategy<Value = TunnelDelivery> {
    let gateway = RouterHash([4; 32]);
    let tunnel = TunnelId::new(5).unwrap();
    prop_oneof![
        Just(LOCAL),
        Just(TunnelDelivery::Router(gateway)),
        Just(TunnelDelivery::Tunnel { tunnel, gateway }),
    ]
}

fn messages() -> impl Strategy<Value = Vec<(TunnelDelivery, Vec<u8>)>> {
    let lens = prop_oneof![1_usize..200, 900_usize..2100, 1_usize..20_000];
    prop::collection::vec((deliveries(), lens), 1..12).prop_map(|messages| {
        // Each begins with its number, so that all differ.
        let message = |(number, (delivery, len)): (u8, (_, usize))| {
            let rest = (0..len).map(|at| u8::try_from(at % 241).unwrap());
            (delivery, std::iter::once(number).chain(rest).collect())
        };
        (0..).zip(messages).map(message).collect()
    })
}

/// Returns the numbers of the messages of which something is in this tunnel message.
fn touched(message: &Bytes, messages: &[(TunnelDelivery, Vec<u8>)]) -> Vec<usize> {
    Fragments::new(check(message).unwrap())
        .map(|fragment| match fragment.unwrap() {
            Fragment {
                instructions:
                    Instructions::First {
                        message_id: Some(id),
                        ..
                    }
                    | Instructions::FollowOn { message_id: id, .. },
                ..
            } => usize::try_from(id).unwrap() - 1,
            Fragment { data, .. } => messages
                .iter()
                .position(|(_, message)| message == data)
                .unwrap(),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_goes_in_comes_out_in_order(messages in messages()) {
        let mut endpoint = endpoint();
        for message in packed(&messages) {
            prop_assert_eq!(endpoint.handle_message(&message, at(0)), Ok(()));
        }
        for (delivery, message) in messages {
            let expected = TunnelOutput { delivery, message: message.into() };
            prop_assert_eq!(endpoint.poll_message(), Some(expected));
        }
        prop_assert_eq!(endpoint.poll_message(), None);
        prop_assert_eq!(endpoint.poll_timeout(), None);
    }

    #[test]
    fn loss_and_reorder_take_only_what_was_touched(
        messages in messages(),
        seed: u8,
        loss in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut sent = packed(&messages);
        let mut lost = BTreeSet::new();
        for index in loss {
            if !sent.is_empty() {
                lost.extend(touched(&sent.remove(index.index(sent.len())), &messages));
            }
        }
        random(seed).shuffle(&mut sent);
        let mut endpoint = endpoint();
        for message in &sent {
            prop_assert_eq!(endpoint.handle_message(message, at(0)), Ok(()));
        }
        let mut came = BTreeSet::new();
        while let Some(output) = endpoint.poll_message() {
            let number = messages
                .iter()
                .position(|sent| *sent == (output.delivery, output.message.to_vec()));
            prop_assert!(number.is_some_and(|number| came.insert(number)), "none of those sent");
        }
        let whole = (0..messages.len()).filter(|number| !lost.contains(number)).collect();
        prop_assert_eq!(came, whole);
        endpoint.handle_timeout(at(30_000));
        prop_assert_eq!(endpoint.poll_timeout(), None);
    }

    #[test]
    fn arbitrary_payloads_do_not_panic(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1003), 0..20),
    ) {
        let mut endpoint = Endpoint::new(EndpointKind::Outbound, ReassemblyLimits::TRANSIT);
        for payload in payloads {
            let _ = endpoint.handle_message(&tunnel_message(&payload), at(0));
        }
    }

    #[test]
    fn arbitrary_fragments_stay_within_the_bounds(
        fragments in prop::collection::vec((0_u32..8, 0_u8..64, any::<bool>()), 0..200),
    ) {
        let limits = ReassemblyLimits { messages: 3, bytes: 20 * (1 + PIECE_OVERHEAD), ..ReassemblyLimits::OWN };
        let mut endpoint = Endpoint::new(EndpointKind::Outbound, limits);
        for (id, number, last) in fragments {
            endpoint.handle_message(&piece(id, number, last, b"x"), at(0)).unwrap();
            prop_assert!(endpoint.partial.len() <= 3);
            let pieces: usize = endpoint.partial.iter().map(|partial| partial.pieces.len()).sum();
            prop_assert!(pieces <= 20);
        }
    }
}
