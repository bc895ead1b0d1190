use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::keys_and_cert::KeysAndCert;
use crate::{Base64Error, DecodeError, EncryptionKeyType, Reader, SigningKeyType, base64};

/// A Router Identity (Common structures, RouterIdentity): the public keys of a router.
///
/// `[encryption key and padding: 256][padding and signing key: 128][certificate]`: 391 bytes with
/// the keys all routers have today, X25519 and Ed25519. The bytes are kept as they came, because
/// the hash covers all of them. Clones share them. Equality and order are those of the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterIdentity(KeysAndCert);

impl RouterIdentity {
    /// The length of an identity with X25519 and Ed25519 keys.
    pub const USUAL_LEN: usize = 391;

    /// Makes the identity of these keys (Common structures, KeysAndCert, Padding Generation
    /// Guidelines): the gap between the keys is `padding` ten times, which compresses well. It
    /// must be random, and the identity stored whole: another padding is another router.
    pub fn new(encryption: &[u8; 32], signing: &[u8; 32], padding: &[u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(Self::USUAL_LEN);
        bytes.extend_from_slice(encryption);
        bytes.extend_from_slice(&padding.repeat(10));
        bytes.extend_from_slice(signing);
        bytes.extend_from_slice(&[5, 0, 4, 0, 7, 0, 4]);
        Self::from_bytes(&bytes).expect("384 bytes and a certificate make an identity")
    }

    /// Takes an identity from the reader, whatever follows.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::KeyCertificateTooShort`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        KeysAndCert::parse(reader).map(Self)
    }

    /// As [`RouterIdentity::parse`], of a reader over a part of `parent`, which is shared.
    pub(crate) fn share(parent: &Bytes, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        KeysAndCert::share(parent, reader).map(Self)
    }

    /// Decodes an identity that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// As [`RouterIdentity::parse`]; [`DecodeError::TrailingBytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let identity = Self::parse(&mut reader)?;
        reader.finish()?;
        Ok(identity)
    }

    /// Returns the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the hash, by which other routers name this one.
    pub fn hash(&self) -> RouterHash {
        RouterHash(self.0.hash())
    }

    /// Returns the type of the signing key.
    pub fn signing_key_type(&self) -> SigningKeyType {
        self.0.signing_key_type()
    }

    /// Returns the type of the encryption key.
    pub fn encryption_key_type(&self) -> EncryptionKeyType {
        self.0.encryption_key_type()
    }

    /// Returns the X25519 key for build records and router garlic, `None` if the key is of another
    /// type, which only routers of old have.
    pub fn encryption_key(&self) -> Option<[u8; 32]> {
        (self.encryption_key_type() == EncryptionKeyType::X25519)
            .then(|| self.0.encryption_field_front())
    }

    /// Returns the public key that signatures are checked with, `None` if its type is unknown.
    pub fn signing_public_key(&self) -> Option<Cow<'_, [u8]>> {
        self.0.signing_public_key()
    }
}

impl fmt::Debug for RouterIdentity {
    /// Writes the hash, which is short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterIdentity({})", self.hash())
    }
}

/// The SHA-256 of a [`RouterIdentity`]: the router's short name, printed as 44 base64 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterHash(pub [u8; 32]);

impl RouterHash {
    /// The length in bytes.
    pub const LEN: usize = 32;

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes a hash from the reader.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }

    /// Returns the first 16 bytes, by which a hop finds its build record.
    pub fn prefix(&self) -> [u8; 16] {
        *self
            .0
            .first_chunk()
            .expect("32 bytes have a first 16 bytes")
    }
}

impl fmt::Display for RouterHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for RouterHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterHash({self})")
    }
}

impl FromStr for RouterHash {
    type Err = DecodeError;

    /// Reads the base64 text, padded or not, as names of netDb files and introducers hold it.
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        // No longer text is decoded than a hash can have.
        if text.len() > 44 {
            let chars = text.trim_end_matches('=').len();
            return Err(Base64Error::Length { chars }.into());
        }
        let bytes = base64::decode(text)?;
        let mut reader = Reader::new(&bytes);
        let hash = Self::parse(&mut reader)?;
        reader.finish()?;
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_keys_stand_at_the_outer_ends() {
        let identity = RouterIdentity::new(&[1; 32], &[2; 32], &[3; 32]);
        let bytes = identity.as_bytes();
        assert_eq!(bytes.len(), RouterIdentity::USUAL_LEN);
        assert_eq!(bytes[..32], [1; 32]);
        assert_eq!(bytes[32..352], [3; 320]);
        assert_eq!(bytes[352..384], [2; 32]);
        assert_eq!(bytes[384..], [5, 0, 4, 0, 7, 0, 4]);
        assert_eq!(identity.encryption_key(), Some([1; 32]));
        assert_eq!(identity.signing_public_key().as_deref(), Some(&[2; 32][..]));
        assert_eq!(identity.hash().0, ramson_crypto::sha256(bytes));
        assert_eq!(RouterIdentity::from_bytes(bytes), Ok(identity));
    }

    #[test]
    fn an_identity_of_old_has_no_x25519_key() {
        let mut bytes = vec![7; 384];
        bytes.extend_from_slice(&[0, 0, 0]);
        let identity = RouterIdentity::from_bytes(&bytes).unwrap();
        assert_eq!(identity.encryption_key(), None);
        assert_eq!(identity.signing_key_type(), SigningKeyType::DsaSha1);
        assert_eq!(
            RouterIdentity::from_bytes(&bytes[..386]),
            Err(DecodeError::Truncated { missing: 1 })
        );
        bytes.push(0);
        assert_eq!(
            RouterIdentity::from_bytes(&bytes),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
    }

    #[test]
    fn hashes_print_as_base64() {
        let hash = RouterHash([0xff; 32]);
        let text = "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~8=";
        assert_eq!(hash.to_string(), text);
        assert_eq!(format!("{hash:?}"), format!("RouterHash({text})"));
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.trim_end_matches('=').parse(), Ok(hash));
        assert_eq!(hash.prefix(), [0xff; 16]);
        assert_eq!(
            "AAAA".parse::<RouterHash>(),
            Err(DecodeError::Truncated { missing: 29 })
        );
        assert_eq!(
            "A".repeat(1000).parse::<RouterHash>(),
            Err(DecodeError::Base64(Base64Error::Length { chars: 1000 }))
        );
    }

    proptest! {
        #[test]
        fn hashes_are_read_back(bytes: [u8; 32]) {
            let hash = RouterHash(bytes);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 380..420)) {
            if let Ok(identity) = RouterIdentity::from_bytes(&bytes) {
                prop_assert_eq!(identity.as_bytes(), &bytes[..]);
                let _ = identity.signing_public_key();
                let _ = identity.encryption_key();
            }
        }
    }
}
