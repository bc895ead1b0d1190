use crate::{DecodeError, EncryptionKeyType, Reader, SigningKeyType};

/// A certificate (Common structures, Certificate): `[type: u8][len: u16 BE][body]`.
///
/// It borrows its bytes. Types other than the key certificate are of old and never looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// Type 0: the keys are ElGamal and DSA. Its body is empty, but a body that is there is kept.
    Null(&'a [u8]),
    /// Type 5: the keys are of the types named in it.
    Key(KeyCertificate<'a>),
    /// Any other type; the keys are ElGamal and DSA.
    Other {
        /// The type.
        code: u8,
        /// The body.
        body: &'a [u8],
    },
}

/// The body of a key certificate (Common structures, Key Certificates):
/// `[signing type: u16 BE][encryption type: u16 BE][excess signing key][excess encryption key]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCertificate<'a> {
    /// The type of the signing key.
    pub signing: SigningKeyType,
    /// The type of the encryption key.
    pub encryption: EncryptionKeyType,
    /// What of the keys did not fit into their fields, the signing key's part first; and whatever
    /// follows, which the specification forbids but Java I2P and i2pd keep.
    pub excess: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Takes a certificate of any type from the reader.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`]; [`DecodeError::KeyCertificateTooShort`] for a key certificate
    /// without its types or without all of its signing key (Java I2P refuses it too).
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let code = reader.u8()?;
        let len = usize::from(reader.u16()?);
        let body = reader.take(len)?;
        Ok(match code {
            0 => Self::Null(body),
            5 => Self::Key(KeyCertificate::from_body(body)?),
            _ => Self::Other { code, body },
        })
    }

    /// Returns the type of the signing key of a structure with this certificate.
    pub fn signing_key_type(&self) -> SigningKeyType {
        match self {
            Self::Key(key) => key.signing,
            Self::Null(_) | Self::Other { .. } => SigningKeyType::DsaSha1,
        }
    }

    /// Returns the type of the encryption key of a structure with this certificate.
    pub fn encryption_key_type(&self) -> EncryptionKeyType {
        match self {
            Self::Key(key) => key.encryption,
            Self::Null(_) | Self::Other { .. } => EncryptionKeyType::ElGamal,
        }
    }
}

impl<'a> KeyCertificate<'a> {
    fn from_body(body: &'a [u8]) -> Result<Self, DecodeError> {
        let too_short = |needed| DecodeError::KeyCertificateTooShort {
            needed,
            actual: body.len(),
        };
        let mut reader = Reader::new(body);
        let signing = SigningKeyType::from_code(reader.u16().map_err(|_| too_short(4))?);
        let encryption = EncryptionKeyType::from_code(reader.u16().map_err(|_| too_short(4))?);
        let excess = reader.rest();
        // No encryption key of a known type is longer than its field.
        let needed = signing
            .public_key_len()
            .unwrap_or(0)
            .saturating_sub(SIGNING_FIELD_LEN);
        if excess.len() < needed {
            return Err(too_short(needed.saturating_add(4)));
        }
        Ok(Self {
            signing,
            encryption,
            excess,
        })
    }
}

/// The length of the field of the encryption key in Destination and Router Identity.
pub(crate) const ENCRYPTION_FIELD_LEN: usize = 256;
/// The length of the field of the signing key in Destination and Router Identity.
pub(crate) const SIGNING_FIELD_LEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_certificate_names_the_signing_type_first() {
        let mut reader = Reader::new(&[5, 0, 4, 0, 7, 0, 4, 99]);
        let Certificate::Key(key) = Certificate::parse(&mut reader).unwrap() else {
            panic!("not a key certificate");
        };
        assert_eq!(key.signing, SigningKeyType::Ed25519);
        assert_eq!(key.encryption, EncryptionKeyType::X25519);
        assert_eq!(key.excess, b"");
        assert_eq!(reader.rest(), [99]);
    }

    #[test]
    fn any_type_is_read_by_its_length() {
        for code in [0, 1, 2, 3, 4, 6, 255] {
            let bytes = [code, 0, 2, 8, 9];
            let mut reader = Reader::new(&bytes);
            let certificate = Certificate::parse(&mut reader).unwrap();
            assert!(reader.is_empty());
            assert_eq!(certificate.signing_key_type(), SigningKeyType::DsaSha1);
            assert_eq!(
                certificate.encryption_key_type(),
                EncryptionKeyType::ElGamal
            );
        }
    }

    #[test]
    fn a_key_certificate_must_hold_what_its_types_need() {
        let parse = |bytes: &[u8]| Certificate::parse(&mut Reader::new(bytes)).map(|_| ());
        let short = |needed, actual| Err(DecodeError::KeyCertificateTooShort { needed, actual });
        assert_eq!(parse(&[5, 0, 0]), short(4, 0));
        assert_eq!(parse(&[5, 0, 3, 0, 7, 0]), short(4, 3));
        assert_eq!(parse(&[5, 0, 4, 0, 3, 0, 0]), short(8, 4));
        assert_eq!(parse(&[5, 0, 8, 0, 3, 0, 0, 1, 2, 3, 4]), Ok(()));
        assert_eq!(
            parse(&[5, 0, 4, 0, 12, 0, 255]),
            Ok(()),
            "unknown types have no known length"
        );
        assert_eq!(
            parse(&[5, 0, 4, 0]),
            Err(DecodeError::Truncated { missing: 3 })
        );
        assert_eq!(parse(&[5, 0]), Err(DecodeError::Truncated { missing: 1 }));
    }
}
