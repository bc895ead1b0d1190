use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use ramson_crypto::sha256;

use crate::certificate::{ENCRYPTION_FIELD_LEN, SIGNING_FIELD_LEN};
use crate::{Certificate, DecodeError, EncryptionKeyType, Reader, SigningKeyType};

/// What Destination and Router Identity have in common (Common structures, KeysAndCert):
/// `[encryption key and padding: 256][padding and signing key: 128][certificate]`.
///
/// Encryption keys stand at the front of their field, signing keys at the end of theirs. The bytes
/// are kept as they came, because the hash covers all of them; equality and order are theirs.
#[derive(Clone)]
pub(crate) struct KeysAndCert {
    bytes: Bytes,
    hash: [u8; 32],
    signing: SigningKeyType,
    encryption: EncryptionKeyType,
}

impl KeysAndCert {
    /// Takes the structure from the reader and copies it.
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::parse_with(reader, Bytes::copy_from_slice)
    }

    /// Takes the structure from a reader over a part of `parent`, which is shared.
    pub(crate) fn share(parent: &Bytes, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::parse_with(reader, |bytes| parent.slice_ref(bytes))
    }

    fn parse_with(
        reader: &mut Reader<'_>,
        keep: impl FnOnce(&[u8]) -> Bytes,
    ) -> Result<Self, DecodeError> {
        let mut ahead = reader.clone();
        ahead.take(ENCRYPTION_FIELD_LEN + SIGNING_FIELD_LEN)?;
        let certificate = Certificate::parse(&mut ahead)?;
        let (signing, encryption) = (
            certificate.signing_key_type(),
            certificate.encryption_key_type(),
        );
        let bytes = reader.take(reader.remaining().saturating_sub(ahead.remaining()))?;
        Ok(Self {
            hash: sha256(bytes),
            bytes: keep(bytes),
            signing,
            encryption,
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }

    pub(crate) fn signing_key_type(&self) -> SigningKeyType {
        self.signing
    }

    pub(crate) fn encryption_key_type(&self) -> EncryptionKeyType {
        self.encryption
    }

    /// Returns the first 32 bytes of the field of the encryption key.
    pub(crate) fn encryption_field_front(&self) -> [u8; 32] {
        Reader::new(&self.bytes)
            .array()
            .expect("384 bytes were there when it was parsed")
    }

    /// Returns the public key that signatures are checked with, `None` if its type is unknown.
    pub(crate) fn signing_public_key(&self) -> Option<Cow<'_, [u8]>> {
        let len = self.signing.public_key_len()?;
        let mut reader = Reader::new(&self.bytes);
        reader.take(ENCRYPTION_FIELD_LEN).ok()?;
        let in_field = len.min(SIGNING_FIELD_LEN);
        reader
            .take(SIGNING_FIELD_LEN.saturating_sub(in_field))
            .ok()?;
        let front = reader.take(in_field).ok()?;
        match (
            len.saturating_sub(in_field),
            Certificate::parse(&mut reader).ok()?,
        ) {
            (0, _) => Some(Cow::Borrowed(front)),
            (excess, Certificate::Key(key)) => {
                Some(Cow::Owned([front, key.excess.get(..excess)?].concat()))
            }
            (_, Certificate::Null(_) | Certificate::Other { .. }) => None,
        }
    }
}

impl PartialEq for KeysAndCert {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for KeysAndCert {}

impl PartialOrd for KeysAndCert {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeysAndCert {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for KeysAndCert {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}
