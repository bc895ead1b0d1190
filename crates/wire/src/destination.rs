use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::keys_and_cert::KeysAndCert;
use crate::{
    Address, AddressError, Base32Error, DecodeError, EncryptionKeyType, Reader, SigningKeyType,
    base32, base64,
};

/// A Destination (Common structures, Destination): the public keys behind an I2P address.
///
/// `[encryption key and padding: 256][padding and signing key: 128][certificate]`, 387 bytes
/// or, with a key certificate, 391 and more. The bytes are kept as they came, because the hash
/// covers all of them. Clones share them. Equality and order are those of the bytes.
///
/// The field of the encryption key holds filler in every Destination made today and is never
/// looked into.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(KeysAndCert);

impl Destination {
    /// Takes a Destination from the reader, whatever follows.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::KeyCertificateTooShort`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        KeysAndCert::parse(reader).map(Self)
    }

    /// Takes a Destination from the front of `bytes` and returns what follows it: the private
    /// part, where someone stores or sends both.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::KeyCertificateTooShort`].
    pub fn parse_prefix(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut reader = Reader::new(bytes);
        let destination = Self::parse(&mut reader)?;
        Ok((destination, reader.rest()))
    }

    /// Decodes a Destination that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::KeyCertificateTooShort`],
    /// [`DecodeError::TrailingBytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let destination = Self::parse(&mut reader)?;
        reader.finish()?;
        Ok(destination)
    }

    /// Decodes a Destination that is all of `text`, base64 with or without padding.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Base64`], otherwise as [`Destination::from_bytes`].
    pub fn from_base64(text: &str) -> Result<Self, DecodeError> {
        Self::from_bytes(&base64::decode(text)?)
    }

    /// Returns the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the base64 text, padded: 524 characters for the usual 391 bytes.
    pub fn to_base64(&self) -> String {
        base64::encode(self.as_bytes())
    }

    /// Returns the hash, by which the network finds the Destination.
    pub fn hash(&self) -> DestinationHash {
        DestinationHash(self.0.hash())
    }

    /// Returns the address made of the hash, which prints as `….b32.i2p`.
    pub fn address(&self) -> Address {
        Address::Hash(self.hash())
    }

    /// Returns the `….b32.i2p` text.
    pub fn b32(&self) -> String {
        self.hash().to_string()
    }

    /// Returns the type of the signing key.
    pub fn signing_key_type(&self) -> SigningKeyType {
        self.0.signing_key_type()
    }

    /// Returns the type the encryption key has by the certificate; see [`EncryptionKeyType`].
    pub fn encryption_key_type(&self) -> EncryptionKeyType {
        self.0.encryption_key_type()
    }

    /// Returns the public key that signatures are checked with, `None` if its type is unknown.
    ///
    /// It is the end of its field; what is longer than that (P521, RSA) goes on in the
    /// certificate.
    pub fn signing_public_key(&self) -> Option<Cow<'_, [u8]>> {
        self.0.signing_public_key()
    }
}

impl fmt::Display for Destination {
    /// Writes the base64 text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Destination {
    /// Writes the b32 text, which is short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.hash())
    }
}

/// The SHA-256 of a Destination: its short name, printed as `<52 characters>.b32.i2p`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationHash(pub [u8; 32]);

impl DestinationHash {
    /// How many base32 characters the 32 bytes take.
    const B32_LEN: usize = 52;

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DestinationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.b32.i2p", base32::encode(&self.0))
    }
}

impl fmt::Debug for DestinationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DestinationHash({self})")
    }
}

impl FromStr for DestinationHash {
    type Err = AddressError;

    /// Reads 52 base32 characters in either case with `.b32.i2p` behind them or nothing.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let label = crate::address::strip_b32_suffix(text).unwrap_or(text);
        match (label.len(), base32::decode(label)) {
            (0, _) => Err(AddressError::Empty),
            // A wrong character says more about an address than its length does.
            (_, Err(error @ Base32Error::Symbol { .. })) => Err(error.into()),
            (Self::B32_LEN, Err(error)) => Err(error.into()),
            (Self::B32_LEN, Ok(bytes)) => Ok(Self(
                bytes.try_into().expect("52 base32 characters are 32 bytes"),
            )),
            (56.., _) => Err(AddressError::EncryptedNotSupported),
            (chars, _) => Err(AddressError::B32Length { chars }),
        }
    }
}

#[cfg(test)]
mod tests;
