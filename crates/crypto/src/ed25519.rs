use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::random;
use crate::signature::SignatureError;

/// An Ed25519 private key (RFC 8032), zeroed when the last clone is dropped.
///
/// Its I2P form is the 32-byte seed, of which the public key is computed.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SigningKey {
    /// Makes a new key from the operating system's random source.
    ///
    /// # Panics
    ///
    /// As [`random::fill`].
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random::fill(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// Returns the key of this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .expect("any 32 bytes are the seed of an Ed25519 key");
        let public = pair.public_key().as_ref();
        let public = public
            .try_into()
            .expect("Ed25519 public keys have 32 bytes");
        Self(Arc::new(Inner {
            seed: Zeroizing::new(*seed),
            pair,
            public,
        }))
    }

    /// Returns the seed, to be stored.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.seed.clone()
    }

    /// Returns the public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.public
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        #[cfg(feature = "simulation")]
        crate::simulation::count(|work| work.signed += 1);
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            return [0; 64];
        }
        let signature = self.0.pair.sign(message);
        let signature = signature.as_ref().try_into();
        signature.expect("Ed25519 signatures have 64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Checks an Ed25519 signature.
///
/// Public keys of small order are refused: with such a key one signature fits many messages.
///
/// # Errors
///
/// See [`SignatureError`].
pub fn verify(
    public: &[u8; 32],
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), SignatureError> {
    PublicKey::from_bytes(public)?.verify(message, signature)
}

/// An Ed25519 public key that was found on the curve.
#[derive(Clone)]
pub(crate) struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| SignatureError::InvalidPublicKey)
    }

    /// Refuses keys of small order, too.
    pub(crate) fn verify(
        &self,
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), SignatureError> {
        #[cfg(feature = "simulation")]
        crate::simulation::count(|work| work.verified += 1);
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            let fits = crate::fake::fits(signature).then_some(());
            return fits.ok_or(SignatureError::Mismatch);
        }
        self.0
            .verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
            .map_err(|_| SignatureError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let mut out = [0; N];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        out
    }

    /// RFC 8032, section 7.1, TEST 2.
    #[test]
    fn signs_as_the_rfc_does() {
        let key = SigningKey::from_seed(&hex(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        ));
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(key.public(), public);
        assert_eq!(key.sign(&[0x72]), signature);
        assert_eq!(verify(&public, &[0x72], &signature), Ok(()));
        assert_eq!(
            verify(&public, &[0x73], &signature),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn a_key_of_small_order_verifies_nothing() {
        // The neutral element: with it R = neutral, S = 0 fits every message in a lax check.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(
            verify(&neutral, b"any", &signature),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(
            format!("{:?}", SigningKey::from_seed(&[7; 32])),
            "SigningKey(..)"
        );
    }

    #[test]
    fn the_seed_gives_the_key_back() {
        let key = SigningKey::generate();
        assert_eq!(SigningKey::from_seed(&key.seed()).public(), key.public());
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(seed: [u8; 32], message: Vec<u8>) {
            let key = SigningKey::from_seed(&seed);
            prop_assert_eq!(verify(&key.public(), &message, &key.sign(&message)), Ok(()));
        }

        #[test]
        fn arbitrary_keys_and_signatures_do_not_panic(public: [u8; 32], signature: [u8; 64]) {
            prop_assert!(verify(&public, b"message", &signature).is_err());
        }
    }
}
