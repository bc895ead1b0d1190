use proptest::prelude::*;

use super::*;
use crate::tunnel::testing::{hex, random};

type Message = [u8; LAYERED_LEN];

fn keys(hops: u8) -> Vec<TunnelKeys> {
    (0..hops)
        .map(|hop| TunnelKeys {
            layer: [hop + 1; 32],
            iv: [hop + 101; 32],
        })
        .collect()
}

fn message(seed: u8) -> Message {
    random(seed).bytes()
}

/// Computed with Python's `cryptography` from the specification's text: the layer key 0, 1, … 31,
/// the IV key 32, … 63, a message of the bytes 0, 1, … 250, 0, ….
#[test]
fn agrees_with_an_independent_computation() {
    let mut keys = TunnelKeys {
        layer: [0; 32],
        iv: [0; 32],
    };
    for (value, byte) in (0..).zip(keys.layer.iter_mut().chain(&mut keys.iv)) {
        *byte = value;
    }
    let mut message: Message = std::array::from_fn(|index| u8::try_from(index % 251).unwrap());
    HopLayer::new(&keys).add(&mut message);
    assert_eq!(
        message[..32],
        hex("0781aedbf14a73ab5fd6f8b504446f0be33533de4b8d4bc9b134fdf968980210")
    );
    assert_eq!(
        ramson_crypto::sha256(&message).to_vec(),
        hex("330fba76f1859f479f25e876670b1f9c39b0b410eb7e47a5bf9f0c613cfd1182")
    );
}

#[test]
fn an_outbound_message_is_clear_behind_its_last_hop_only() {
    for hops in 1..=8 {
        let keys = keys(hops);
        let clear = message(hops);
        let mut on_the_way = clear;
        TunnelLayers::new(&keys).remove_all(&mut on_the_way);
        for key in &keys {
            assert_ne!(on_the_way, clear);
            HopLayer::new(key).add(&mut on_the_way);
        }
        assert_eq!(on_the_way, clear, "{hops} hops");
    }
}

#[test]
fn an_inbound_message_is_clear_for_its_owner() {
    for hops in 1..=8 {
        let keys = keys(hops);
        let clear = message(hops);
        let mut on_the_way = clear;
        for key in &keys {
            HopLayer::new(key).add(&mut on_the_way);
        }
        assert_ne!(on_the_way, clear);
        TunnelLayers::new(&keys).remove_all(&mut on_the_way);
        assert_eq!(on_the_way, clear, "{hops} hops");
    }
}

#[test]
fn the_order_of_the_hops_matters() {
    let keys = keys(2);
    let mut on_the_way = message(1);
    for key in keys.iter().rev() {
        HopLayer::new(key).add(&mut on_the_way);
    }
    TunnelLayers::new(&keys).remove_all(&mut on_the_way);
    assert_ne!(on_the_way, message(1));
}

#[test]
fn a_tunnel_without_hops_leaves_messages_alone() {
    let layers = TunnelLayers::new(&[]);
    assert!(layers.is_empty());
    let mut same = message(1);
    layers.remove_all(&mut same);
    assert_eq!(same, message(1));
}

#[test]
fn debug_shows_no_key() {
    let keys = keys(1);
    assert_eq!(format!("{:?}", keys[0]), "TunnelKeys(..)");
    assert_eq!(format!("{:?}", HopLayer::new(&keys[0])), "HopLayer(..)");
}

proptest! {
    #[test]
    fn a_batch_gives_what_one_after_the_other_gives(count in 0_u8..20, seed: u8) {
        let layer = HopLayer::new(&keys(1)[0]);
        let mut source = random(seed);
        let mut single: Vec<Message> = (0..count).map(|_| source.bytes()).collect();
        let mut batch = single.clone();
        for message in &mut single {
            layer.add(message);
        }
        layer.add_batch(&mut batch.iter_mut().collect::<Vec<_>>());
        prop_assert_eq!(single, batch);
    }
}
