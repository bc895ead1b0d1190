//! Small helpers of the tests.

use ramson_crypto::{Random, x25519};

use super::noise::Receiver;

/// Returns a generator of this seed.
pub(crate) fn random(seed: u8) -> Random {
    Random::from_seed([seed; 32])
}

/// Returns the bytes of hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// As [`hex`], for a length known beforehand.
pub(crate) fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// Returns the receiver with the private key 1, 2, … 32.
pub(crate) fn receiver() -> Receiver {
    let mut key = [0; 32];
    for (byte, value) in key.iter_mut().zip(1..) {
        *byte = value;
    }
    Receiver::new(x25519::PrivateKey::from_bytes(key))
}

/// A message to [`receiver`] with the payload 0, 1, … 153 and the ephemeral key 33, 34, … 64.
///
/// Nobody has published vectors of Noise N or of what is derived from it. This one and those that
/// follow from it were computed from the specification's text with Python's `cryptography` and
/// `hmac`, which share no code with ours.
pub(crate) const NOISE_MESSAGE: &str = "5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67bdee6fd7ee6dfcca1d43a42e4d421\
     10eef217728cfa0e1a541b7efcd6a85a1585b5cde908a68f236c87b61f6d38419074ceb916870e5f55abc7b6bc6e\
     3c3ebcb3187a939b9cb2bcfb2f44a362c71cf84e901ec8517f0f6ea4b14e9424bbc4150ccac3f21cd6fb998682fc\
     d9c0808684ead6df7085174fc19aec5ecc3e6021c8ed7ead14135020325a2e7dec7b7999cd230daa322eb539dedb\
     f22ebba494a2f5feb3f58a420b01926d84c1";
