use std::fmt;

use ramson_crypto::{SignatureError, SigningKey, random, verify};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::certificate::{ENCRYPTION_FIELD_LEN, SIGNING_FIELD_LEN};
use crate::{
    Base64Error, DecodeError, Destination, EncryptionKeyType, Reader, SigningKeyType, UnixTime,
    base64,
};

/// A Destination with its private keys: what key files hold and SAM calls a private key
/// (SAM v3, Session Creation; Java's `PrivateKeyFile`).
///
/// `[Destination][encryption private key][signing private key]`, and an [`OfflineSignature`] behind
/// them if the signing private key is all zero. The encryption key has 256 bytes if the
/// Destination's certificate says ElGamal and 32 if it says X25519; nobody uses it, since the keys
/// of a LeaseSet are made for each session.
///
/// The private parts are zeroed when dropped. `Debug` shows the address alone.
#[derive(Clone)]
pub struct PrivateKeys {
    destination: Destination,
    encryption: Zeroizing<Vec<u8>>,
    signing: Zeroizing<Vec<u8>>,
    offline: Option<OfflineSignature>,
}

/// A transient signing key and the Destination's leave to use it (Common structures,
/// OfflineSignature), so that the long-term key can stay off the machine.
///
/// `[expires: u32 BE, seconds][transient type: u16 BE][transient public key][signature]`, in private
/// keys followed by the transient private key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OfflineSignature {
    expires_secs: u32,
    #[zeroize(skip)]
    transient_type: SigningKeyType,
    #[zeroize(skip)]
    transient_public: Vec<u8>,
    #[zeroize(skip)]
    signature: Vec<u8>,
    transient_private: Vec<u8>,
}

/// Why bytes or text are no private keys, or cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrivateKeysError {
    /// There is nothing.
    #[error("the private keys are empty")]
    Empty,
    /// It is a Destination alone, which others may know.
    #[error("this is a Destination without its private keys; the private keys are longer")]
    PublicOnly,
    /// The end is missing.
    #[error("the private keys are cut: at least {missing} bytes are missing")]
    Truncated {
        /// How many bytes the part lacks at which the data ends.
        missing: usize,
    },
    /// There is more than the keys.
    #[error("{extra} bytes follow the private keys that do not belong there")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// The key certificate of the Destination is shorter than its types need.
    #[error("the Destination in the private keys is damaged: its key certificate is too short")]
    Certificate,
    /// The signing keys are of a type whose lengths are unknown.
    #[error("the signing keys are of the unknown type {0}")]
    UnknownSigningType(u16),
    /// The encryption keys are of a type whose lengths are unknown.
    #[error("the encryption keys are of the unknown type {0}")]
    UnknownEncryptionType(u16),
    /// The text is not I2P base64.
    #[error("the private keys are no base64 as I2P writes it: {0}")]
    NotBase64(#[from] Base64Error),
    /// The signing private key is another one than the Destination's.
    #[error("the private key does not belong to the Destination before it")]
    KeyMismatch,
    /// The transient key is not signed by the Destination.
    #[error("the offline signature is not one of this Destination")]
    OfflineSignature,
    /// Keys of this type cannot be made here.
    #[error("keys of type {0} cannot be made; EdDSA_SHA512_Ed25519 (7) can")]
    CannotGenerate(SigningKeyType),
}

impl From<DecodeError> for PrivateKeysError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Truncated { missing } => Self::Truncated { missing },
            DecodeError::TrailingBytes { extra } => Self::TrailingBytes { extra },
            DecodeError::Base64(error) => Self::NotBase64(error),
            // What is decoded here is a Destination, so that only its certificate remains.
            _ => Self::Certificate,
        }
    }
}

impl PrivateKeys {
    /// Makes a new Destination with Ed25519 keys from the operating system's random source.
    ///
    /// It has the form today's programs make: certificate `05 0004 0007 0000`, so the encryption
    /// keys are 256 bytes of filler. Filler and padding are random and not, as proposal 161 would
    /// have it, one block repeated: Java I2P 2.8.0 compares repeated padding wrongly and loses
    /// streams between such Destinations of one router.
    ///
    /// # Panics
    ///
    /// As [`random::fill`].
    pub fn generate() -> Self {
        let signing = SigningKey::generate();
        let mut bytes = random::bytes::<{ ENCRYPTION_FIELD_LEN + SIGNING_FIELD_LEN }>().to_vec();
        bytes.truncate(ENCRYPTION_FIELD_LEN + SIGNING_FIELD_LEN - 32);
        bytes.extend_from_slice(&signing.public());
        bytes.extend_from_slice(&[5, 0, 4, 0, 7, 0, 0]);
        let mut encryption = Zeroizing::new(vec![0; 256]);
        random::fill(&mut encryption);
        Self {
            destination: Destination::from_bytes(&bytes)
                .expect("384 bytes and a certificate make a Destination"),
            encryption,
            signing: Zeroizing::new(signing.seed().to_vec()),
            offline: None,
        }
    }

    /// Makes a new Destination with signing keys of this type.
    ///
    /// # Errors
    ///
    /// [`PrivateKeysError::CannotGenerate`] for every type but [`SigningKeyType::Ed25519`].
    ///
    /// # Panics
    ///
    /// As [`random::fill`].
    pub fn generate_with(signing: SigningKeyType) -> Result<Self, PrivateKeysError> {
        match signing {
            SigningKeyType::Ed25519 => Ok(Self::generate()),
            _ => Err(PrivateKeysError::CannotGenerate(signing)),
        }
    }

    /// Decodes private keys that are all of `bytes`. The keys are not compared with each other; see
    /// [`PrivateKeys::check`].
    ///
    /// # Errors
    ///
    /// All but [`PrivateKeysError::NotBase64`] and those of [`PrivateKeys::check`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PrivateKeysError> {
        if bytes.is_empty() {
            return Err(PrivateKeysError::Empty);
        }
        let mut reader = Reader::new(bytes);
        let destination = Destination::parse(&mut reader)?;
        if reader.is_empty() {
            return Err(PrivateKeysError::PublicOnly);
        }
        let encryption_type = destination.encryption_key_type();
        let encryption_len =
            encryption_type
                .private_key_len()
                .ok_or(PrivateKeysError::UnknownEncryptionType(
                    encryption_type.code(),
                ))?;
        let signing_type = destination.signing_key_type();
        let unknown_type = |kind: SigningKeyType| PrivateKeysError::UnknownSigningType(kind.code());
        let signing_len = signing_type
            .private_key_len()
            .ok_or(unknown_type(signing_type))?;

        // The two keys together, so that the error counts what both lack.
        let mut keys = reader.sub(encryption_len.saturating_add(signing_len))?;
        let encryption = keys.take(encryption_len)?;
        let signing = keys.take(signing_len)?;
        let offline = if signing.iter().all(|&byte| byte == 0) {
            Some(OfflineSignature::parse(&mut reader, signing_type)?)
        } else {
            None
        };
        reader.finish()?;
        Ok(Self {
            destination,
            encryption: Zeroizing::new(encryption.to_vec()),
            signing: Zeroizing::new(signing.to_vec()),
            offline,
        })
    }

    /// Decodes private keys that are all of `text`, base64 with or without padding.
    ///
    /// # Errors
    ///
    /// As [`PrivateKeys::from_bytes`], and [`PrivateKeysError::NotBase64`].
    pub fn from_base64(text: &str) -> Result<Self, PrivateKeysError> {
        let mut bytes = Zeroizing::new(Vec::new());
        base64::decode_into(text, &mut bytes)?;
        Self::from_bytes(&bytes)
    }

    /// Decodes the contents of a key file as I2P programs write them: the bytes themselves (i2pd,
    /// Java I2P, i2plib) or their base64, with or without a newline.
    ///
    /// # Errors
    ///
    /// As [`PrivateKeys::from_bytes`], and [`PrivateKeysError::NotBase64`] if the file is text.
    pub fn from_file_bytes(contents: &[u8]) -> Result<Self, PrivateKeysError> {
        // The certificate puts a zero byte into every key file that is not text.
        let is_text = |text: &&str| !text.contains('\0');
        match std::str::from_utf8(contents).ok().filter(is_text) {
            Some(text) => Self::from_base64(text.trim_ascii()),
            None => Self::from_bytes(contents),
        }
    }

    /// Returns the bytes, as [`PrivateKeys::from_bytes`] reads them.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts = [self.destination.as_bytes(), &self.encryption, &self.signing];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let offline_len = self
            .offline
            .as_ref()
            .map_or(0, OfflineSignature::encoded_len);
        // All at once: a vector that grows leaves copies of the keys behind.
        let mut out = Zeroizing::new(Vec::with_capacity(len.saturating_add(offline_len)));
        for part in parts {
            out.extend_from_slice(part);
        }
        if let Some(offline) = &self.offline {
            offline.encode(&mut out);
        }
        out
    }

    /// Returns the padded base64 text: 908 characters for the usual 679 bytes.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(base64::encode(&self.to_bytes()))
    }

    /// Returns the Destination, which others may know.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Returns the type the encryption keys have by the certificate.
    pub fn encryption_key_type(&self) -> EncryptionKeyType {
        self.destination.encryption_key_type()
    }

    /// Returns the encryption private key, which is filler in most key files.
    pub fn encryption_private_key(&self) -> &[u8] {
        &self.encryption
    }

    /// Returns the signing private key, all zero if there is an [`OfflineSignature`].
    pub fn signing_private_key(&self) -> &[u8] {
        &self.signing
    }

    /// Returns the transient key and the leave to use it, if the long-term key is kept elsewhere.
    pub fn offline(&self) -> Option<&OfflineSignature> {
        self.offline.as_ref()
    }

    /// Checks that the private key belongs to the public one, as far as that can be done: for
    /// Ed25519. With an offline signature it is the transient key that must belong to its public
    /// one, and that must be signed by the Destination. Keys of other types pass. Whether the leave
    /// has expired is for the caller to see, who has a clock.
    ///
    /// # Errors
    ///
    /// [`PrivateKeysError::KeyMismatch`], [`PrivateKeysError::OfflineSignature`].
    pub fn check(&self) -> Result<(), PrivateKeysError> {
        let public = self.destination.signing_public_key();
        let public = public.as_deref().unwrap_or_default();
        let signing_type = self.destination.signing_key_type();
        let Some(offline) = &self.offline else {
            return check_pair(signing_type, &self.signing, public);
        };
        check_pair(
            offline.transient_type,
            &offline.transient_private,
            &offline.transient_public,
        )?;
        if signing_type == SigningKeyType::Ed25519 {
            offline
                .verify(public)
                .map_err(|_| PrivateKeysError::OfflineSignature)?;
        }
        Ok(())
    }
}

fn check_pair(kind: SigningKeyType, private: &[u8], public: &[u8]) -> Result<(), PrivateKeysError> {
    if kind != SigningKeyType::Ed25519 {
        return Ok(());
    }
    match private.try_into() {
        Ok(seed) if SigningKey::from_seed(seed).public() == public => Ok(()),
        _ => Err(PrivateKeysError::KeyMismatch),
    }
}

impl fmt::Debug for PrivateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKeys({})", self.destination.hash())
    }
}

impl OfflineSignature {
    /// Takes what follows the keys; `signer` is the type of the Destination's signing key.
    fn parse(reader: &mut Reader<'_>, signer: SigningKeyType) -> Result<Self, PrivateKeysError> {
        let expires_secs = reader.u32()?;
        let transient_type = SigningKeyType::from_code(reader.u16()?);
        let unknown = |kind: SigningKeyType| PrivateKeysError::UnknownSigningType(kind.code());
        let public_len = transient_type
            .public_key_len()
            .ok_or(unknown(transient_type))?;
        let private_len = transient_type
            .private_key_len()
            .ok_or(unknown(transient_type))?;
        let signature_len = signer.signature_len().ok_or(unknown(signer))?;
        // All three together, so that the error counts what they lack.
        let len = public_len
            .saturating_add(signature_len)
            .saturating_add(private_len);
        let mut rest = reader.sub(len)?;
        Ok(Self {
            expires_secs,
            transient_type,
            transient_public: rest.take(public_len)?.to_vec(),
            signature: rest.take(signature_len)?.to_vec(),
            transient_private: rest.take(private_len)?.to_vec(),
        })
    }

    fn encoded_len(&self) -> usize {
        let parts = [
            &self.transient_public,
            &self.signature,
            &self.transient_private,
        ];
        parts
            .iter()
            .map(|part| part.len())
            .sum::<usize>()
            .saturating_add(6)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.signed_bytes());
        out.extend_from_slice(&self.signature);
        out.extend_from_slice(&self.transient_private);
    }

    /// Returns what the Destination signed: `[expires][transient type][transient public key]`.
    fn signed_bytes(&self) -> Vec<u8> {
        let mut out = self.expires_secs.to_be_bytes().to_vec();
        out.extend_from_slice(&self.transient_type.code().to_be_bytes());
        out.extend_from_slice(&self.transient_public);
        out
    }

    fn verify(&self, signer: &[u8]) -> Result<(), SignatureError> {
        let public = signer
            .try_into()
            .map_err(|_| SignatureError::InvalidPublicKey)?;
        let signature = self
            .signature
            .as_slice()
            .try_into()
            .map_err(|_| SignatureError::Mismatch)?;
        verify(public, &self.signed_bytes(), signature)
    }

    /// Returns when the transient key ends to be valid, in whole seconds.
    pub fn expires(&self) -> UnixTime {
        UnixTime::from_secs(self.expires_secs)
    }

    /// Returns the type of the transient key.
    pub fn transient_key_type(&self) -> SigningKeyType {
        self.transient_type
    }

    /// Returns the transient public key.
    pub fn transient_public_key(&self) -> &[u8] {
        &self.transient_public
    }

    /// Returns the Destination's signature over expiry, transient type and transient public key.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the transient private key, which signs in place of the long-term one.
    pub fn transient_private_key(&self) -> &[u8] {
        &self.transient_private
    }
}

impl fmt::Debug for OfflineSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineSignature")
            .field("expires", &self.expires())
            .field("transient_key_type", &self.transient_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
