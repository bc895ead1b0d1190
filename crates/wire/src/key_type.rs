use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A key type named by a program or a person is none of the specification's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no such key type: a number or a name like EdDSA_SHA512_Ed25519 or X25519 is wanted")]
pub struct KeyTypeError;

/// The type of a signing key (Common structures, Key Certificates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningKeyType {
    /// 0, what destinations without a key certificate have; of old.
    DsaSha1,
    /// 1.
    EcdsaSha256P256,
    /// 2.
    EcdsaSha384P384,
    /// 3: its public key is longer than the field and ends in the certificate.
    EcdsaSha512P521,
    /// 4, for update files only.
    RsaSha256Rsa2048,
    /// 5, for update files only.
    RsaSha384Rsa3072,
    /// 6, for update files only.
    RsaSha512Rsa4096,
    /// 7, what everyone makes today.
    Ed25519,
    /// 8, for offline use only.
    Ed25519ph,
    /// 11, for encrypted LeaseSets.
    RedDsa,
    /// Any other, of unknown lengths: 9 and 10 are GOST, 12 to 20 reserved for ML-DSA.
    Unknown(u16),
}

impl SigningKeyType {
    const KNOWN: [Self; 10] = [
        Self::DsaSha1,
        Self::EcdsaSha256P256,
        Self::EcdsaSha384P384,
        Self::EcdsaSha512P521,
        Self::RsaSha256Rsa2048,
        Self::RsaSha384Rsa3072,
        Self::RsaSha512Rsa4096,
        Self::Ed25519,
        Self::Ed25519ph,
        Self::RedDsa,
    ];

    /// Returns the type of this number.
    pub fn from_code(code: u16) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|kind| kind.code() == code)
            .unwrap_or(Self::Unknown(code))
    }

    /// Returns the number.
    pub fn code(self) -> u16 {
        match self {
            Self::DsaSha1 => 0,
            Self::EcdsaSha256P256 => 1,
            Self::EcdsaSha384P384 => 2,
            Self::EcdsaSha512P521 => 3,
            Self::RsaSha256Rsa2048 => 4,
            Self::RsaSha384Rsa3072 => 5,
            Self::RsaSha512Rsa4096 => 6,
            Self::Ed25519 => 7,
            Self::Ed25519ph => 8,
            Self::RedDsa => 11,
            Self::Unknown(code) => code,
        }
    }

    /// Returns the specification's name, `None` for a number without one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::DsaSha1 => "DSA_SHA1",
            Self::EcdsaSha256P256 => "ECDSA_SHA256_P256",
            Self::EcdsaSha384P384 => "ECDSA_SHA384_P384",
            Self::EcdsaSha512P521 => "ECDSA_SHA512_P521",
            Self::RsaSha256Rsa2048 => "RSA_SHA256_2048",
            Self::RsaSha384Rsa3072 => "RSA_SHA384_3072",
            Self::RsaSha512Rsa4096 => "RSA_SHA512_4096",
            Self::Ed25519 => "EdDSA_SHA512_Ed25519",
            Self::Ed25519ph => "EdDSA_SHA512_Ed25519ph",
            Self::RedDsa => "RedDSA_SHA512_Ed25519",
            Self::Unknown(_) => return None,
        })
    }

    /// Returns the length of a public key in bytes, `None` if unknown.
    pub fn public_key_len(self) -> Option<usize> {
        Some(self.lengths()?.0)
    }

    /// Returns the length of a private key in bytes, `None` if unknown.
    pub fn private_key_len(self) -> Option<usize> {
        Some(self.lengths()?.1)
    }

    /// Returns the length of a signature in bytes, `None` if unknown.
    pub fn signature_len(self) -> Option<usize> {
        Some(self.lengths()?.2)
    }

    /// Public key, private key, signature (Common structures, SigningPublicKey and following).
    fn lengths(self) -> Option<(usize, usize, usize)> {
        Some(match self {
            Self::DsaSha1 => (128, 20, 40),
            Self::EcdsaSha256P256 => (64, 32, 64),
            Self::EcdsaSha384P384 => (96, 48, 96),
            Self::EcdsaSha512P521 => (132, 66, 132),
            Self::RsaSha256Rsa2048 => (256, 512, 256),
            Self::RsaSha384Rsa3072 => (384, 768, 384),
            Self::RsaSha512Rsa4096 => (512, 1024, 512),
            Self::Ed25519 | Self::Ed25519ph | Self::RedDsa => (32, 32, 64),
            Self::Unknown(_) => return None,
        })
    }
}

impl fmt::Display for SigningKeyType {
    /// Writes the name, or the number of a type without one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.code(), f),
        }
    }
}

impl FromStr for SigningKeyType {
    type Err = KeyTypeError;

    /// Reads a number or a name in any case, as SAM's `SIGNATURE_TYPE` holds it. A number without
    /// a name becomes [`SigningKeyType::Unknown`].
    fn from_str(text: &str) -> Result<Self, KeyTypeError> {
        if let Some(code) = parse_code(text) {
            return Ok(Self::from_code(code));
        }
        Self::KNOWN
            .into_iter()
            .find(|kind| {
                kind.name()
                    .is_some_and(|name| name.eq_ignore_ascii_case(text))
            })
            .ok_or(KeyTypeError)
    }
}

/// The type of an encryption key (Common structures, PublicKey and Key Certificates).
///
/// In a Destination it says little, since the key there is not used: the LeaseSet holds those
/// that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncryptionKeyType {
    /// 0, what destinations are marked with, whatever their LeaseSets hold.
    ElGamal,
    /// 1, reserved; i2pd knows a use of it.
    P256,
    /// 2, reserved.
    P384,
    /// 3, reserved.
    P521,
    /// 4, what LeaseSets hold today.
    X25519,
    /// 5, in LeaseSets only.
    MlKem512X25519,
    /// 6, in LeaseSets only.
    MlKem768X25519,
    /// 7, in LeaseSets only.
    MlKem1024X25519,
    /// Any other, of unknown lengths.
    Unknown(u16),
}

impl EncryptionKeyType {
    const KNOWN: [Self; 8] = [
        Self::ElGamal,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::X25519,
        Self::MlKem512X25519,
        Self::MlKem768X25519,
        Self::MlKem1024X25519,
    ];

    /// Returns the type of this number.
    pub fn from_code(code: u16) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|kind| kind.code() == code)
            .unwrap_or(Self::Unknown(code))
    }

    /// Returns the number.
    pub fn code(self) -> u16 {
        match self {
            Self::ElGamal => 0,
            Self::P256 => 1,
            Self::P384 => 2,
            Self::P521 => 3,
            Self::X25519 => 4,
            Self::MlKem512X25519 => 5,
            Self::MlKem768X25519 => 6,
            Self::MlKem1024X25519 => 7,
            Self::Unknown(code) => code,
        }
    }

    /// Returns the specification's name, `None` for a number without one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ElGamal => "ElGamal",
            Self::P256 => "P256",
            Self::P384 => "P384",
            Self::P521 => "P521",
            Self::X25519 => "X25519",
            Self::MlKem512X25519 => "MLKEM512_X25519",
            Self::MlKem768X25519 => "MLKEM768_X25519",
            Self::MlKem1024X25519 => "MLKEM1024_X25519",
            Self::Unknown(_) => return None,
        })
    }

    /// Returns the length of a public key in bytes, `None` if unknown.
    pub fn public_key_len(self) -> Option<usize> {
        Some(match self {
            Self::ElGamal => 256,
            Self::P256 => 64,
            Self::P384 => 96,
            Self::P521 => 132,
            Self::X25519 | Self::MlKem512X25519 => 32,
            Self::MlKem768X25519 | Self::MlKem1024X25519 => 32,
            Self::Unknown(_) => return None,
        })
    }

    /// Returns the length of a private key in bytes, `None` if unknown.
    pub fn private_key_len(self) -> Option<usize> {
        Some(match self {
            Self::ElGamal => 256,
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
            Self::X25519 | Self::MlKem512X25519 => 32,
            Self::MlKem768X25519 | Self::MlKem1024X25519 => 32,
            Self::Unknown(_) => return None,
        })
    }
}

impl fmt::Display for EncryptionKeyType {
    /// Writes the name, or the number of a type without one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.code(), f),
        }
    }
}

impl FromStr for EncryptionKeyType {
    type Err = KeyTypeError;

    /// Reads a number, as I2CP's `i2cp.leaseSetEncType` holds it, or a name in any case. A number
    /// without a name becomes [`EncryptionKeyType::Unknown`].
    fn from_str(text: &str) -> Result<Self, KeyTypeError> {
        if let Some(code) = parse_code(text) {
            return Ok(Self::from_code(code));
        }
        Self::KNOWN
            .into_iter()
            .find(|kind| {
                kind.name()
                    .is_some_and(|name| name.eq_ignore_ascii_case(text))
            })
            .ok_or(KeyTypeError)
    }
}

/// Digits only: `u16::from_str` would take a sign too.
fn parse_code(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_types_are_one_to_one() {
        for code in 0..=u16::MAX {
            assert_eq!(SigningKeyType::from_code(code).code(), code);
            assert_eq!(EncryptionKeyType::from_code(code).code(), code);
        }
        assert_eq!(SigningKeyType::from_code(12), SigningKeyType::Unknown(12));
        assert_eq!(
            EncryptionKeyType::from_code(255),
            EncryptionKeyType::Unknown(255)
        );
    }

    #[test]
    fn signing_types_are_read_by_number_and_by_name_in_any_case() {
        for text in ["7", "007", "EdDSA_SHA512_Ed25519", "eddsa_sha512_ed25519"] {
            assert_eq!(text.parse(), Ok(SigningKeyType::Ed25519), "{text}");
        }
        assert_eq!("REDDSA_SHA512_ED25519".parse(), Ok(SigningKeyType::RedDsa));
        assert_eq!("99".parse(), Ok(SigningKeyType::Unknown(99)));
        for text in ["", "+7", "-1", " 7", "65536", "Ed", "EdDSA_SHA512_Ed25519 "] {
            assert_eq!(text.parse::<SigningKeyType>(), Err(KeyTypeError), "{text}");
        }
    }

    #[test]
    fn encryption_types_are_read_by_number_and_by_name_in_any_case() {
        for text in ["4", "X25519", "x25519"] {
            assert_eq!(text.parse(), Ok(EncryptionKeyType::X25519), "{text}");
        }
        assert_eq!(
            "mlkem768_x25519".parse(),
            Ok(EncryptionKeyType::MlKem768X25519)
        );
        assert_eq!("".parse::<EncryptionKeyType>(), Err(KeyTypeError));
    }

    #[test]
    fn names_are_read_back() {
        for kind in SigningKeyType::KNOWN
            .into_iter()
            .chain([SigningKeyType::Unknown(12)])
        {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for kind in EncryptionKeyType::KNOWN
            .into_iter()
            .chain([EncryptionKeyType::Unknown(9)])
        {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }
}
