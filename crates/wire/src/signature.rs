use ramson_crypto::{SignatureError, SignatureKind, VerifyingKey};
use thiserror::Error;

use crate::SigningKeyType;

/// Why a signature over a structure is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Signatures of this type cannot be checked here.
    #[error("signatures of type {0} cannot be checked")]
    UnsupportedType(SigningKeyType),
    /// The key or the signature has not the length of its type.
    #[error("the signature or its key has a wrong length")]
    Length,
    /// The public key is none.
    #[error("the public key of the signature is not valid")]
    InvalidKey,
    /// The signature is not one of the key over the message.
    #[error("the signature does not fit")]
    Mismatch,
    /// The transient key is not signed by the long-term one.
    #[error("the signature over the transient key does not fit")]
    OfflineMismatch,
    /// The time of the transient key is over.
    #[error("the transient key has expired")]
    Expired,
}

impl From<SignatureError> for VerifyError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::InvalidPublicKey => Self::InvalidKey,
            SignatureError::Mismatch => Self::Mismatch,
        }
    }
}

/// Checks a signature of any type (Common structures, Signature).
///
/// RedDSA signatures are checked as those of Ed25519: Java I2P and i2pd sign with plain SHA-512, of a
/// random nonce. The hash with a prefix and a length that the specification asks for (Red25519,
/// RedDSA functions), and to which its vectors belong, is used by nobody.
///
/// # Errors
///
/// See [`VerifyError`]; [`VerifyError::OfflineMismatch`] and [`VerifyError::Expired`] are not among them.
pub fn verify_signature(
    kind: SigningKeyType,
    public: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let kind = match kind {
        SigningKeyType::DsaSha1 => SignatureKind::Dsa,
        SigningKeyType::EcdsaSha256P256 => SignatureKind::EcdsaP256,
        SigningKeyType::EcdsaSha384P384 => SignatureKind::EcdsaP384,
        SigningKeyType::EcdsaSha512P521 => SignatureKind::EcdsaP521,
        SigningKeyType::Ed25519 => SignatureKind::Ed25519,
        SigningKeyType::RedDsa => SignatureKind::RedDsa,
        _ => return Err(VerifyError::UnsupportedType(kind)),
    };
    if public.len() != kind.public_key_len() || signature.len() != kind.signature_len() {
        return Err(VerifyError::Length);
    }
    Ok(VerifyingKey::from_parts(kind, public)?.verify(message, signature)?)
}

/// Something whose signature has been checked, or that was signed here.
///
/// It can be had from nothing else, so that a function that takes it need not check again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn trust(value: T) -> Self {
        Self(value)
    }

    /// Returns what was verified.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use ramson_crypto::SigningKey;

    use super::*;

    #[test]
    fn ed25519_is_checked() {
        let key = SigningKey::from_seed(&[9; 32]);
        let signature = key.sign(b"message");
        let check = |kind, public: &[u8], message: &[u8], signature: &[u8]| {
            verify_signature(kind, public, message, signature)
        };
        let ed25519 = SigningKeyType::Ed25519;
        assert_eq!(
            check(ed25519, &key.public(), b"message", &signature),
            Ok(())
        );
        assert_eq!(
            check(ed25519, &key.public(), b"massage", &signature),
            Err(VerifyError::Mismatch)
        );
        assert_eq!(
            check(ed25519, &key.public(), b"message", &signature[..63]),
            Err(VerifyError::Length)
        );
        assert_eq!(
            check(ed25519, &[1; 31], b"message", &signature),
            Err(VerifyError::Length)
        );
    }

    #[test]
    fn reddsa_is_checked_as_ed25519() {
        let key = SigningKey::from_seed(&[9; 32]);
        let signature = key.sign(b"message");
        let check = |message: &[u8]| {
            verify_signature(SigningKeyType::RedDsa, &key.public(), message, &signature)
        };
        assert_eq!(check(b"message"), Ok(()));
        assert_eq!(check(b"massage"), Err(VerifyError::Mismatch));
    }

    #[test]
    fn types_without_an_implementation_are_refused() {
        let kind = SigningKeyType::Unknown(12);
        assert_eq!(
            verify_signature(kind, &[], &[], &[]),
            Err(VerifyError::UnsupportedType(kind))
        );
    }
}
