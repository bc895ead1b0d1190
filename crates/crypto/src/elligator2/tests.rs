use proptest::prelude::*;

use super::*;
use crate::testing::hex_array;

/// i2pd, tests/test-elligator.cpp; the second representative is the one it calls high y. Its key
/// has the topmost bit, 2^255 = 19, which we have added here.
#[test]
fn encodes_as_i2pd_does() {
    let key = hex_array("46951964003c940878063ccfd0348af42150ca16d2646f2c5856e8338377d800");
    assert_eq!(
        encode(&key, 0),
        Some(hex_array(
            "2820b6b241e0f68a6c4a7fee3d978228ef3ae45533cd410aa91a415331d8612d"
        ))
    );
    assert_eq!(
        encode(&key, 1),
        Some(hex_array(
            "3cfb87c46c0b4575ca8175e0ed1c0ae9dae79db78df86997c4847b9f20b27718"
        ))
    );
    let without = hex_array("e6f66fdf6e230c603c5e6e59a254ea1476a13eb9511b9549846781e12e52230a");
    assert_eq!(encode(&without, 0), None);
    assert_eq!(encode(&without, 1), None);
}

/// i2pd, tests/test-elligator.cpp. The last is the largest there is, (p - 1) / 2.
#[test]
fn decodes_as_i2pd_does() {
    for (representative, key) in [
        (
            "e73507d38bae63992b3f57aac48c0abc14509589288457995a2b4ca3490aa207",
            "1e8afffed6bf53fe271ad572473262ded8faec68e5e67ef45ebb82eeba52604f",
        ),
        (
            "95a16019041dbefed9832048ede11928d90365f24a38aa7aef1b97e23954101b",
            "794f05ba3e3a72958022468c88981e0be5782be1e1145ce2c3c6fde16ded5363",
        ),
        (
            "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff3f",
            "9cdb525555555555555555555555555555555555555555555555555555555555",
        ),
    ] {
        assert_eq!(decode(&hex_array(representative)), Some(hex_array(key)));
    }
}

#[test]
fn what_nobody_sends_is_no_representative() {
    for first in 0xf7..=0xff {
        let mut bytes = [0xff; 32];
        bytes[0] = first;
        bytes[31] = 0xff;
        assert_eq!(decode(&bytes), None, "{first}");
    }
    // The point (0, 0), and the one that would be divided by.
    assert_eq!(encode(&[0; 32], 0), None);
    assert_eq!(encode(&[0; 32], 1), None);
    let minus_a = Field::A.negated().to_bytes();
    assert_eq!(encode(&minus_a, 0), None);
    assert_eq!(encode(&minus_a, 1), None);
}

/// The key that agrees with nobody; it is the protocol's to refuse what is agreed on then.
#[test]
fn zero_stands_for_zero() {
    assert_eq!(decode(&[0; 32]), Some([0; 32]));
}

#[test]
fn hidden_keys_agree_as_others_do() {
    let mut random = Random::from_seed([1; 32]);
    let mut high_bits = [0; 4];
    let mut clean = 0;
    for _ in 0..64 {
        let hidden = HiddenKey::generate(&mut random);
        let representative = hidden.representative();
        assert_eq!(decode(&representative), Some(hidden.public()));
        high_bits[usize::from(representative[31] >> 6)] += 1;
        clean += usize::from(hidden.public() == hidden.private.public());
        let other = PrivateKey::generate(&mut random);
        assert_eq!(
            *hidden.agree(&other.public()).unwrap(),
            *other.agree(&hidden.public()).unwrap()
        );
        let second = HiddenKey::generate(&mut random);
        assert_eq!(
            *hidden.agree(&second.public()).unwrap(),
            *second.agree(&hidden.public()).unwrap()
        );
    }
    // All four pairs of bits, and points outside of the large subgroup most of the time.
    assert!(high_bits.iter().all(|count| *count > 0), "{high_bits:?}");
    assert!((1..=20).contains(&clean), "{clean}");
    let debug = format!("{:?}", HiddenKey::generate(&mut random));
    assert_eq!(debug, "HiddenKey(..)");
}

proptest! {
    #[test]
    fn whatever_decodes_encodes_again(bytes: [u8; 32]) {
        let key = decode(&bytes);
        prop_assume!(key.is_some_and(|key| key != [0; 32]));
        let key = key.unwrap();
        let low = bytes[31] & HIGH_BITS;
        let encoded = [encode(&key, low), encode(&key, low | 1)];
        prop_assert!(encoded.contains(&Some(bytes)));
        for representative in encoded.into_iter().flatten() {
            prop_assert_eq!(decode(&representative), Some(key));
        }
        // The high bits mean nothing.
        let mut other = bytes;
        other[31] ^= HIGH_BITS;
        prop_assert_eq!(decode(&other), Some(key));
    }

    #[test]
    fn keys_encode_with_both_tweaks_or_with_none(bytes: [u8; 32], tweak: u8) {
        let key = PrivateKey::from_bytes(bytes).public();
        let encoded = encode(&key, tweak);
        prop_assert_eq!(encoded.is_some(), encode(&key, tweak ^ 1).is_some());
        if let Some(representative) = encoded {
            prop_assert_eq!(representative[31] & HIGH_BITS, tweak & HIGH_BITS);
            prop_assert_eq!(decode(&representative), Some(key));
        }
    }

    #[test]
    fn arithmetic_fits_together(one: [u8; 32], two: [u8; 32]) {
        let (one, two) = (Field::from_bytes(&one), Field::from_bytes(&two));
        prop_assert_eq!(one.add(&two).sub(&two).to_bytes(), one.to_bytes());
        prop_assert_eq!(one.square().to_bytes(), one.mul(&one).to_bytes());
        if !one.is_zero() {
            prop_assert_eq!(one.mul(&one.inverted()).to_bytes(), Field::ONE.to_bytes());
            prop_assert!(one.square().is_square());
        }
        let root = one.square().root().unwrap();
        prop_assert!(!root.is_upper_half());
        prop_assert_eq!(root.square().to_bytes(), one.square().to_bytes());
        prop_assert_eq!(one.root().is_some(), one.is_square() || one.is_zero());
    }
}
