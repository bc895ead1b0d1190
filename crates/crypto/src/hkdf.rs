use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 secret bytes, zeroed when dropped.
pub type Key32 = Zeroizing<[u8; 32]>;

/// Returns the HMAC-SHA256 of `data` under `key` (RFC 2104), of any length both.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Derives `N` bytes, at most 8,160, by HKDF-SHA256 (RFC 5869).
///
/// An empty `ikm` is hashed as a message of no bytes, as I2P wants it.
pub fn hkdf<const N: usize>(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF ends at 255 hashes") };
    let prk = Zeroizing::new(hmac_sha256(salt, ikm));
    let keyed = keyed(prk.as_slice());
    let mut out = Zeroizing::new([0; N]);
    let mut previous: Option<Zeroizing<[u8; 32]>> = None;
    for (piece, counter) in out.chunks_mut(32).zip(1u8..) {
        let mut mac = keyed.clone();
        if let Some(previous) = previous {
            mac.update(previous.as_slice());
        }
        mac.update(info);
        mac.update(&[counter]);
        let block: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
        for (to, from) in piece.iter_mut().zip(block.iter()) {
            *to = *from;
        }
        previous = Some(block);
    }
    out
}

/// Derives two keys: the halves of 64 bytes by [`hkdf`].
pub fn hkdf_pair(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> (Key32, Key32) {
    let both = hkdf::<64>(salt, ikm, info);
    let (mut first, mut second) = (Key32::default(), Key32::default());
    let (left, right) = both.split_at(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    (first, second)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{hex, hex_array};

    /// RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
    #[test]
    fn authenticates_as_the_rfc_does() {
        assert_eq!(
            hmac_sha256(&[0x0b; 20], b"Hi There"),
            hex_array("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        );
        assert_eq!(
            hmac_sha256(b"Jefe", b"what do ya want for nothing?"),
            hex_array("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
        assert_eq!(
            hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            hex_array("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        );
    }

    /// RFC 5869, appendix A.1 and A.3. A salt shorter than a block is one with zeros behind it,
    /// so that 32 bytes can stand for their 13 and none.
    #[test]
    fn derives_as_the_rfc_does() {
        let mut salt = [0; 32];
        salt[..13].copy_from_slice(&hex("000102030405060708090a0b0c"));
        assert_eq!(
            *hkdf::<42>(&salt, &[0x0b; 22], &hex("f0f1f2f3f4f5f6f7f8f9")),
            hex_array(
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf
                 34007208d5b887185865"
            )
        );
        assert_eq!(
            *hkdf::<42>(&[0; 32], &[0x0b; 22], b""),
            hex_array(
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d
                 9d201395faa4b61a96c8"
            )
        );
    }

    /// Against the two steps written out, with no input at all.
    #[test]
    fn no_key_material_is_a_message_of_no_bytes() {
        let prk = hmac_sha256(&[9; 32], b"");
        let first = hmac_sha256(&prk, b"info\x01");
        let second = hmac_sha256(&prk, &[&first[..], b"info\x02"].concat());
        let (one, two) = hkdf_pair(&[9; 32], b"", b"info");
        assert_eq!((*one, *two), (first, second));
    }

    proptest! {
        #[test]
        fn fewer_bytes_are_the_beginning_of_more(
            salt: [u8; 32], ikm: Vec<u8>, info: Vec<u8>,
        ) {
            let long = hkdf::<96>(&salt, &ikm, &info);
            let short = hkdf::<32>(&salt, &ikm, &info);
            prop_assert_eq!(short.as_slice(), &long[..32]);
            let short = hkdf::<44>(&salt, &ikm, &info);
            prop_assert_eq!(short.as_slice(), &long[..44]);
            let (one, two) = hkdf_pair(&salt, &ikm, &info);
            prop_assert_eq!([*one, *two].concat(), &long[..64]);
        }
    }
}
