//! Diffie-Hellman on Curve25519 (RFC 7748): [`PrivateKey`] and the [`SharedSecret`] of two.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_lc_rs::agreement;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::random::Random;

/// An X25519 private key with its public key, zeroed when the last clone is dropped.
///
/// Its form is the 32 bytes as they were drawn: clamping is part of the arithmetic, not of the
/// stored key.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    bytes: Zeroizing<[u8; 32]>,
    key: Key,
    public: [u8; 32],
}

enum Key {
    Real(agreement::PrivateKey),
    #[cfg(feature = "fake")]
    Fake,
}

impl PrivateKey {
    /// Returns the key of these bytes, of which any will do; computes the public key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        #[cfg(feature = "simulation")]
        crate::simulation::count(|work| work.keys += 1);
        let bytes = Zeroizing::new(bytes);
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            let (key, public) = (Key::Fake, crate::fake::public(&bytes));
            return Self(Arc::new(Inner { bytes, key, public }));
        }
        let key = agreement::PrivateKey::from_private_key(&agreement::X25519, bytes.as_slice())
            .expect("any 32 bytes are an X25519 private key");
        let public = key
            .compute_public_key()
            .ok()
            .and_then(|public| public.as_ref().try_into().ok())
            .expect("every X25519 private key has a public key of 32 bytes");
        let key = Key::Real(key);
        Self(Arc::new(Inner { bytes, key, public }))
    }

    /// Draws a new key.
    pub fn generate(random: &mut Random) -> Self {
        Self::from_bytes(random.bytes())
    }

    /// Returns the bytes, to be stored.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.bytes.clone()
    }

    /// Returns the public key, little-endian as everywhere in I2P.
    pub fn public(&self) -> [u8; 32] {
        self.0.public
    }

    /// Computes what this key and the owner of `peer`, a public key, have in common.
    ///
    /// The topmost bit of `peer` is ignored, as RFC 7748 wants it.
    ///
    /// # Errors
    ///
    /// If the result is all zero: `peer` is then one of the few points with which any private
    /// key has that result.
    pub fn agree(&self, peer: &[u8; 32]) -> Result<SharedSecret, AgreeError> {
        #[cfg(feature = "simulation")]
        {
            crate::simulation::count(|work| work.agreements += 1);
            if let Some(secret) = crate::simulation::shared(&self.0.public, peer) {
                return Ok(SharedSecret(secret));
            }
        }
        let secret = self.multiply(peer)?;
        #[cfg(feature = "simulation")]
        crate::simulation::share(&self.0.public, peer, &secret.0);
        Ok(secret)
    }

    fn multiply(&self, peer: &[u8; 32]) -> Result<SharedSecret, AgreeError> {
        #[cfg_attr(
            not(feature = "fake"),
            expect(
                clippy::infallible_destructuring_match,
                reason = "there are two with the feature"
            )
        )]
        let key = match &self.0.key {
            Key::Real(key) => key,
            #[cfg(feature = "fake")]
            Key::Fake => {
                let secret = crate::fake::shared(&self.0.public, peer);
                let zero = secret.iter().all(|byte| *byte == 0);
                return (!zero)
                    .then(|| SharedSecret(Zeroizing::new(secret)))
                    .ok_or(AgreeError);
            }
        };
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
        agreement::agree(key, peer, AgreeError, |secret| {
            let mut bytes = Zeroizing::new([0; 32]);
            if secret.len() != bytes.len() {
                return Err(AgreeError);
            }
            bytes.copy_from_slice(secret);
            // The library refuses this on its own; that it does is nowhere promised.
            if bytes.iter().fold(0, |all, byte| all | byte) == 0 {
                return Err(AgreeError);
            }
            Ok(SharedSecret(bytes))
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// What two keys have in common: 32 bytes to derive keys from, zeroed when dropped.
pub struct SharedSecret(Zeroizing<[u8; 32]>);

impl Deref for SharedSecret {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl AsRef<[u8]> for SharedSecret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// The peer's public key is one of the points with which every key has the same, all-zero result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the X25519 public key is of small order")]
pub struct AgreeError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex_array;

    fn agree(private: &str, public: &str) -> [u8; 32] {
        *PrivateKey::from_bytes(hex_array(private))
            .agree(&hex_array(public))
            .unwrap()
    }

    /// RFC 7748, section 5.2. Neither scalar is clamped, the second point has its top bit set.
    #[test]
    fn multiplies_as_the_rfc_does() {
        assert_eq!(
            agree(
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            ),
            hex_array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
        );
        assert_eq!(
            agree(
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            ),
            hex_array("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")
        );
    }

    /// RFC 7748, section 5.2: after 1,000 rounds, each with a scalar of no special form.
    #[test]
    fn multiplies_a_thousand_times_as_the_rfc_does() {
        let mut k: [u8; 32] = [0; 32];
        k[0] = 9;
        let mut u = k;
        for _ in 0..1000 {
            let next = *PrivateKey::from_bytes(k).agree(&u).unwrap();
            u = k;
            k = next;
        }
        assert_eq!(
            k,
            hex_array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
        );
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn two_keys_agree_as_in_the_rfc() {
        let alice = PrivateKey::from_bytes(hex_array(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ));
        let bob = PrivateKey::from_bytes(hex_array(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ));
        assert_eq!(
            alice.public(),
            hex_array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        );
        assert_eq!(
            bob.public(),
            hex_array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
        let expected: [u8; 32] =
            hex_array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*alice.agree(&bob.public()).unwrap(), expected);
        assert_eq!(*bob.agree(&alice.public()).unwrap(), expected);
    }

    /// All points of order 1, 2, 4 and 8, those below 2^255 and some with values above the prime.
    #[test]
    fn points_of_small_order_are_refused() {
        let key = PrivateKey::from_bytes([0x42; 32]);
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ] {
            assert_eq!(key.agree(&hex_array(point)).unwrap_err(), AgreeError);
        }
    }

    #[test]
    fn the_bytes_give_the_key_back_unclamped() {
        let key = PrivateKey::from_bytes([0xff; 32]);
        assert_eq!(*key.to_bytes(), [0xff; 32]);
        assert_eq!(key.clone().public(), key.public());
    }

    #[test]
    fn debug_shows_nothing_of_the_secrets() {
        let key = PrivateKey::from_bytes([7; 32]);
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
        let secret = key.agree(&key.public()).unwrap();
        assert_eq!(format!("{secret:?}"), "SharedSecret(..)");
    }

    proptest! {
        #[test]
        fn any_two_keys_agree(one: [u8; 32], other: [u8; 32]) {
            let (one, other) = (PrivateKey::from_bytes(one), PrivateKey::from_bytes(other));
            let secret = one.agree(&other.public()).unwrap();
            prop_assert_eq!(*secret, *other.agree(&one.public()).unwrap());
        }

        #[test]
        fn arbitrary_public_keys_do_not_panic(private: [u8; 32], public: [u8; 32]) {
            let _ = PrivateKey::from_bytes(private).agree(&public);
        }
    }
}
