use ramson_wire::{RouterHash, TunnelId};

use super::*;
use crate::tunnel::testing::random;

const ROUTER: TunnelDelivery = TunnelDelivery::Router(RouterHash([1; 32]));

fn to_tunnel() -> TunnelDelivery {
    TunnelDelivery::Tunnel {
        tunnel: TunnelId::new(7).unwrap(),
        gateway: RouterHash([2; 32]),
    }
}

fn message(len: usize) -> Bytes {
    vec![0xaa; len].into()
}

/// Returns the lengths of the payloads of all tunnel messages, full ones and then the rest.
fn payloads(gateway: &mut Gateway) -> (Vec<usize>, Vec<usize>) {
    let mut out = [0; LAYERED_LEN];
    let mut random = random(1);
    let (mut full, mut rest) = (vec![], vec![]);
    while gateway.poll_full(&mut random, &mut out) {
        full.push(payload_len(&out));
    }
    while gateway.flush(&mut random, &mut out) {
        rest.push(payload_len(&out));
    }
    (full, rest)
}

fn payload_len(message: &[u8; LAYERED_LEN]) -> usize {
    let padded = &message[20..];
    padded.len() - 1 - padded.iter().position(|&byte| byte == 0).unwrap()
}

fn of(messages: &[(TunnelDelivery, usize)]) -> (Vec<usize>, Vec<usize>) {
    let mut gateway = Gateway::new(1 << 20);
    for (id, (delivery, len)) in (0..).zip(messages) {
        gateway
            .handle_message(*delivery, id, message(*len))
            .unwrap();
    }
    payloads(&mut gateway)
}

#[test]
fn a_message_is_laid_out_as_the_specification_says() {
    let mut gateway = Gateway::new(1 << 20);
    gateway
        .handle_message(to_tunnel(), 0x0102_0304, Bytes::from_static(b"message"))
        .unwrap();
    let mut out = [0; LAYERED_LEN];
    assert!(!gateway.poll_full(&mut random(1), &mut out));
    assert!(gateway.flush(&mut random(1), &mut out));
    let payload = [&[0x20, 0, 0, 0, 7][..], &[2; 32], &[0, 7], b"message"].concat();
    let (front, back) = out.split_at(LAYERED_LEN - payload.len());
    assert_eq!(back, payload);
    let (padding, zero) = (&front[20..front.len() - 1], front[front.len() - 1]);
    assert_eq!(zero, 0);
    assert!(!padding.contains(&0));
    let sum = ramson_crypto::sha256(&[back, &front[..16]].concat());
    assert_eq!(front[16..20], sum[..4]);
    assert!(gateway.is_empty());
    assert!(!gateway.flush(&mut random(1), &mut out));
}

#[test]
fn the_checksum_is_that_of_payload_and_iv() {
    // Computed with Python's hashlib: SHA-256 of 0, 1, … 99, 0, 1, … 15.
    let payload: Vec<u8> = (0..100).collect();
    let iv = std::array::from_fn(|index| u8::try_from(index).unwrap());
    assert_eq!(checksum(&payload, &iv), [0x21, 0x59, 0x38, 0x37]);
}

#[test]
fn each_iv_and_padding_is_new() {
    let mut source = random(1);
    let mut outs = [[0; LAYERED_LEN]; 2];
    for out in &mut outs {
        let mut gateway = Gateway::new(1 << 20);
        gateway.handle_message(ROUTER, 1, message(10)).unwrap();
        gateway.flush(&mut source, out);
    }
    assert_ne!(outs[0][..16], outs[1][..16]);
    assert_ne!(outs[0][20..60], outs[1][20..60]);
}

#[test]
fn small_messages_share_a_tunnel_message() {
    assert_eq!(of(&[(ROUTER, 100); 3]), (vec![], vec![405]));
    // The eighth does not fit any more, and is not cut.
    assert_eq!(of(&[(ROUTER, 100); 8]), (vec![945], vec![135]));
}

#[test]
fn a_message_that_fits_exactly_is_not_cut() {
    assert_eq!(of(&[(TunnelDelivery::Local, 1000)]), (vec![1003], vec![]));
    assert_eq!(of(&[(ROUTER, 968)]), (vec![1003], vec![]));
    assert_eq!(of(&[(to_tunnel(), 964)]), (vec![1003], vec![]));
    // One byte more: 996 (seven of instructions) and the rest.
    assert_eq!(
        of(&[(TunnelDelivery::Local, 1001)]),
        (vec![1003], vec![7 + 5])
    );
    assert_eq!(of(&[(to_tunnel(), 965)]), (vec![1003], vec![7 + 5]));
}

#[test]
fn a_long_message_begins_where_it_touches_no_more_tunnel_messages() {
    // 2,000 bytes touch three tunnel messages wherever they begin in the first.
    assert_eq!(
        of(&[(TunnelDelivery::Local, 200), (TunnelDelivery::Local, 2000)]),
        (vec![1003, 1003], vec![7 + 2000 - 793 - 996])
    );
    // 1,900 bytes touch two if they begin in one of their own, three if they share.
    assert_eq!(
        of(&[(TunnelDelivery::Local, 200), (TunnelDelivery::Local, 1900)]),
        (vec![203, 1003], vec![7 + 1900 - 996])
    );
}

#[test]
fn the_end_of_a_long_message_shares_with_the_next() {
    assert_eq!(
        of(&[(TunnelDelivery::Local, 1100), (TunnelDelivery::Local, 500)]),
        (vec![1003], vec![7 + 104 + 503])
    );
}

#[test]
fn lengths_that_no_tunnel_carries_are_refused() {
    let mut gateway = Gateway::new(1 << 20);
    for len in [0, MAX_MESSAGE_LEN + 1] {
        assert_eq!(
            gateway.handle_message(ROUTER, 1, message(len)),
            Err(GatewayError::Length { len })
        );
    }
    assert_eq!(
        gateway.handle_message(to_tunnel(), 1, message(MAX_MESSAGE_LEN)),
        Ok(())
    );
    let (full, rest) = payloads(&mut gateway);
    assert_eq!(full.len() + rest.len(), 63);
}

#[test]
fn a_full_gateway_refuses_until_something_has_left() {
    let mut gateway = Gateway::new(3000);
    // Longer than the limit, but nothing else waits.
    assert_eq!(gateway.handle_message(ROUTER, 1, message(3500)), Ok(()));
    assert_eq!(
        gateway.handle_message(ROUTER, 2, message(1)),
        Err(GatewayError::Full)
    );
    assert_eq!(gateway.waiting_bytes(), 3500);
    let mut out = [0; LAYERED_LEN];
    assert!(gateway.poll_full(&mut random(1), &mut out));
    assert_eq!(gateway.waiting_bytes(), 3500 - 964);
    assert_eq!(gateway.handle_message(ROUTER, 2, message(1)), Ok(()));
    payloads(&mut gateway);
    assert_eq!(gateway.waiting_bytes(), 0);
}
