//! The ChaCha20 stream cipher without authentication (RFC 8439, section 2.4).

use ::chacha20::ChaCha20;
use ::chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

/// Encrypts or decrypts `data` in place: XORs it with the key stream from block 1 on.
///
/// Everything in I2P starts at block 1 (Encrypted LeaseSet, ChaCha20; header protection of SSU2
/// and the layers of build records likewise).
///
/// # Panics
///
/// If there are 256 GiB of data.
pub fn apply(key: &[u8; 32], nonce: &[u8; 12], data: &mut [u8]) {
    #[cfg(feature = "fake")]
    if crate::fake::is_enabled() {
        return;
    }
    let mut cipher = ChaCha20::new(key.into(), nonce.into());
    cipher.seek(64u32);
    cipher.apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{hex, hex_array};

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    /// RFC 8439, section 2.4.2.
    #[test]
    fn encrypts_as_the_rfc_does() {
        let mut data = *b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
                          tip for the future, sunscreen would be it.";
        apply(
            &hex_array(KEY),
            &hex_array("000000000000004a00000000"),
            &mut data,
        );
        assert_eq!(
            data.as_slice(),
            hex(
                "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b
                 f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8
                 07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736
                 5af90bbf74a35be6b40b8eedf2785e42874d"
            )
        );
    }

    /// RFC 8439, section 2.3.2: the key stream of block 1.
    #[test]
    fn a_short_piece_is_the_beginning_of_block_1() {
        let mut mask = [0; 8];
        apply(
            &hex_array(KEY),
            &hex_array("000000090000004a00000000"),
            &mut mask,
        );
        assert_eq!(mask, hex_array("10f1e7e4d13b5915"));
    }

    proptest! {
        #[test]
        fn twice_is_not_at_all(key: [u8; 32], nonce: [u8; 12], data: Vec<u8>) {
            let mut copy = data.clone();
            apply(&key, &nonce, &mut copy);
            apply(&key, &nonce, &mut copy);
            prop_assert_eq!(copy, data);
        }
    }
}
