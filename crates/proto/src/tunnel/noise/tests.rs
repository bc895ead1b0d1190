use proptest::prelude::*;

use super::*;
use crate::tunnel::testing::{NOISE_MESSAGE, hex, hex_array, random, receiver};

fn sealed(payload: &[u8], seed: u8) -> Vec<u8> {
    let mut message = [&[0; 32], payload, &[0; 16]].concat();
    seal(&receiver().public(), &mut random(seed), &mut message).unwrap();
    message
}

/// The message, the chaining key and the hash after it of the payload 0, 1, … 153, the static key
/// 1, 2, … 32 and the ephemeral key 33, … 64.
#[test]
fn agrees_with_an_independent_computation() {
    let expected = hex(NOISE_MESSAGE);
    let mut ephemeral = [0; 32];
    for (byte, value) in ephemeral.iter_mut().zip(33..) {
        *byte = value;
    }
    let payload: Vec<u8> = (0..154).collect();
    let mut message = [&[0; 32], payload.as_slice(), &[0; 16]].concat();
    let ephemeral = x25519::PrivateKey::from_bytes(ephemeral);
    seal_from(&receiver().public(), &ephemeral, &mut message).unwrap();
    assert_eq!(message, expected);

    let (opened, state) = receiver().open_with_state(&mut message).unwrap();
    assert_eq!(opened, payload);
    assert_eq!(
        state.ck(),
        &hex_array("c92575d1af7827b4449785efe26f113aebc16e6a0440287ff9ea07b13db5987f")
    );
    assert_eq!(
        state.h(),
        &hex_array("a22dd67619c39512e6f14889889224e5d1e747f74f9187264e4bce9f8913896f")
    );
}

#[test]
fn both_sides_end_in_the_same_state() {
    let mut message = vec![7; 100];
    let sent = seal_with_state(&receiver().public(), &mut random(1), &mut message).unwrap();
    let (payload, received) = receiver().open_with_state(&mut message).unwrap();
    assert_eq!(payload, [7; 52]);
    assert_eq!(sent.h(), received.h());
    assert_eq!(sent.ck(), received.ck());
}

#[test]
fn an_empty_payload_goes_through() {
    assert_eq!(receiver().open(&mut sealed(&[], 2)).unwrap(), []);
}

#[test]
fn each_message_has_a_key_of_its_own() {
    let mut source = random(3);
    let (mut first, mut second) = ([0; 80], [0; 80]);
    seal(&receiver().public(), &mut source, &mut first).unwrap();
    seal(&receiver().public(), &mut source, &mut second).unwrap();
    assert_ne!(first[..32], second[..32]);
}

#[test]
fn what_was_changed_or_is_for_others_does_not_open() {
    let message = sealed(b"payload", 4);
    for changed in 0..message.len() {
        let mut message = message.clone();
        message[changed] ^= 1;
        assert_eq!(
            receiver().open(&mut message),
            Err(NoiseError::Decrypt),
            "byte {changed}"
        );
    }
    let other = Receiver::new(x25519::PrivateKey::generate(&mut random(5)));
    assert_eq!(other.open(&mut message.clone()), Err(NoiseError::Decrypt));
}

#[test]
fn keys_that_are_none_are_refused() {
    let mut top_bit = sealed(b"payload", 6);
    top_bit[31] |= 0x80;
    assert_eq!(receiver().open(&mut top_bit), Err(NoiseError::BadKey));
    let mut zero = sealed(b"payload", 6);
    zero[..32].fill(0);
    assert_eq!(receiver().open(&mut zero), Err(NoiseError::BadKey));
    assert_eq!(
        seal(&[0; 32], &mut random(1), &mut [0; 64]),
        Err(NoiseError::BadKey)
    );
}

#[test]
fn short_messages_are_refused() {
    for len in 0..OVERHEAD {
        let error = Err(NoiseError::TooShort { len });
        assert_eq!(receiver().open(&mut vec![0; len]).map(drop), error);
        assert_eq!(
            seal(&receiver().public(), &mut random(1), &mut vec![0; len]),
            error
        );
    }
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", receiver());
    assert!(!text.contains("1, 2, 3"), "{text}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(mut message: Vec<u8>) {
        prop_assert!(receiver().open(&mut message).is_err());
    }
}
