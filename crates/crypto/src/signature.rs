use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ParsedPublicKey,
};
use thiserror::Error;

use crate::{dsa, ed25519};

/// An algorithm of signatures, with the forms its keys and signatures have in I2P (Common
/// structures, SigningPublicKey and Signature). All numbers are big-endian and of fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureKind {
    /// DSA with SHA-1 and the parameters of I2P (Cryptography, DSA): `[y: 128 bytes]`,
    /// `[r: 20 bytes][s: 20 bytes]`. Of old destinations only.
    Dsa,
    /// ECDSA with P-256 and SHA-256: `[x: 32 bytes][y: 32 bytes]`, `[r: 32 bytes][s: 32 bytes]`.
    EcdsaP256,
    /// ECDSA with P-384 and SHA-384: numbers of 48 bytes.
    EcdsaP384,
    /// ECDSA with P-521 and SHA-512: numbers of 66 bytes.
    EcdsaP521,
    /// Ed25519 (RFC 8032): 32 bytes, 64 bytes.
    Ed25519,
    /// RedDSA with the curve of Ed25519 (Red25519): signs otherwise, verifies as Ed25519 does.
    RedDsa,
}

impl SignatureKind {
    /// Returns the length of a public key in bytes.
    pub fn public_key_len(self) -> usize {
        match self {
            Self::Dsa => dsa::PUBLIC_LEN,
            Self::EcdsaP256 => 64,
            Self::EcdsaP384 => 96,
            Self::EcdsaP521 => 132,
            Self::Ed25519 | Self::RedDsa => 32,
        }
    }

    /// Returns the length of a signature in bytes.
    pub fn signature_len(self) -> usize {
        match self {
            Self::Dsa => dsa::SIGNATURE_LEN,
            Self::EcdsaP256 | Self::Ed25519 | Self::RedDsa => 64,
            Self::EcdsaP384 => 96,
            Self::EcdsaP521 => 132,
        }
    }
}

/// A public key of any kind, found to be one, that checks signatures.
///
/// Making one costs little beside a check with elliptic curves, but most of a check with DSA: keep
/// it where several signatures of one key come.
#[derive(Clone)]
pub struct VerifyingKey {
    kind: SignatureKind,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Dsa(Box<dsa::PublicKey>),
    Ecdsa(ParsedPublicKey),
    Edwards(ed25519::PublicKey),
}

impl VerifyingKey {
    /// Reads the public key of a kind.
    ///
    /// # Errors
    ///
    /// [`SignatureError::InvalidPublicKey`] if the bytes are not as many as the kind has or are
    /// no such key: no point of the curve, or for DSA no element of the group.
    pub fn from_parts(kind: SignatureKind, public: &[u8]) -> Result<Self, SignatureError> {
        let ecdsa = |algorithm| {
            if public.len() != kind.public_key_len() {
                return Err(SignatureError::InvalidPublicKey);
            }
            // SEC 1, section 2.3.4: a point with both coordinates begins with a 4.
            ParsedPublicKey::new(algorithm, [&[4], public].concat())
                .map(Key::Ecdsa)
                .map_err(|_| SignatureError::InvalidPublicKey)
        };
        let key = match kind {
            SignatureKind::Dsa => Key::Dsa(Box::new(dsa::PublicKey::from_bytes(fixed(public)?)?)),
            SignatureKind::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_FIXED)?,
            SignatureKind::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_FIXED)?,
            SignatureKind::EcdsaP521 => ecdsa(&ECDSA_P521_SHA512_FIXED)?,
            SignatureKind::Ed25519 | SignatureKind::RedDsa => {
                Key::Edwards(ed25519::PublicKey::from_bytes(fixed(public)?)?)
            }
        };
        Ok(Self { kind, key })
    }

    /// Returns the kind.
    pub fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// Checks a signature.
    ///
    /// Edwards keys of small order are refused: with such a key one signature fits many messages.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`], also of a signature that has not the kind's length.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if signature.len() != self.kind.signature_len() {
            return Err(SignatureError::Mismatch);
        }
        #[cfg(feature = "fake")]
        if crate::fake::is_enabled() {
            let fits = crate::fake::fits(signature).then_some(());
            return fits.ok_or(SignatureError::Mismatch);
        }
        match &self.key {
            Key::Dsa(key) => {
                let signature = signature.try_into();
                key.verify(message, signature.map_err(|_| SignatureError::Mismatch)?)
            }
            Key::Ecdsa(key) => key
                .verify_sig(message, signature)
                .map_err(|_| SignatureError::Mismatch),
            Key::Edwards(key) => {
                let signature = signature.try_into();
                key.verify(message, signature.map_err(|_| SignatureError::Mismatch)?)
            }
        }
    }
}

fn fixed<const N: usize>(public: &[u8]) -> Result<&[u8; N], SignatureError> {
    public
        .try_into()
        .map_err(|_| SignatureError::InvalidPublicKey)
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?}, ..)", self.kind)
    }
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The public key is none: not of its length, no point of the curve, not in the group.
    #[error("the public key is not valid")]
    InvalidPublicKey,
    /// The signature is not one of this key over this message.
    #[error("the signature does not fit the message and the key")]
    Mismatch,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SigningKey;
    use crate::testing::hex;

    const KINDS: [SignatureKind; 6] = [
        SignatureKind::Dsa,
        SignatureKind::EcdsaP256,
        SignatureKind::EcdsaP384,
        SignatureKind::EcdsaP521,
        SignatureKind::Ed25519,
        SignatureKind::RedDsa,
    ];

    /// Kind, public key and signature over "sample". ECDSA: RFC 6979, A.2.5 to A.2.7, each with
    /// the hash of its kind. Ed25519: RFC 8032, 7.1, key of TEST 2.
    fn samples() -> Vec<(SignatureKind, Vec<u8>, Vec<u8>)> {
        let ed25519 = SigningKey::from_seed(&crate::testing::hex_array(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        ));
        let edwards = |kind| {
            let signature = ed25519.sign(b"sample").to_vec();
            (kind, ed25519.public().to_vec(), signature)
        };
        vec![
            (
                SignatureKind::Dsa,
                hex(dsa::tests::PUBLIC),
                hex(dsa::tests::SIGNATURE),
            ),
            (
                SignatureKind::EcdsaP256,
                hex(
                    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6
                     7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
                ),
                hex(
                    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716
                     f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
                ),
            ),
            (
                SignatureKind::EcdsaP384,
                hex("ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e
                     06aae5286b300c64def8f0ea9055866064a254515480bc13
                     8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9
                     f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720"),
                hex("94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa7
                     3d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46
                     99ef4aeb15f178cea1fe40db2603138f130e740a19624526
                     203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"),
            ),
            (
                SignatureKind::EcdsaP521,
                hex(
                    "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd37
                     1123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4
                     00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28
                     a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
                ),
                hex(
                    "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f17
                     4e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa
                     00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af28
                     2623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
                ),
            ),
            edwards(SignatureKind::Ed25519),
            edwards(SignatureKind::RedDsa),
        ]
    }

    #[test]
    fn signatures_of_every_kind_hold() {
        let kinds: Vec<_> = samples().into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, KINDS);
        for (kind, public, signature) in samples() {
            assert_eq!(public.len(), kind.public_key_len());
            assert_eq!(signature.len(), kind.signature_len());
            let key = VerifyingKey::from_parts(kind, &public).unwrap();
            assert_eq!(key.kind(), kind);
            assert_eq!(key.verify(b"sample", &signature), Ok(()), "{kind:?}");
            // As a copy, too.
            assert_eq!(key.clone().verify(b"sample", &signature), Ok(()));
        }
    }

    #[test]
    fn nothing_may_be_changed() {
        for (kind, public, signature) in samples() {
            let key = VerifyingKey::from_parts(kind, &public).unwrap();
            let mismatch = Err(SignatureError::Mismatch);
            assert_eq!(key.verify(b"simple", &signature), mismatch, "{kind:?}");
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert_eq!(key.verify(b"sample", &changed), mismatch, "{kind:?}");
            }
            let zeros = vec![0; signature.len()];
            assert_eq!(key.verify(b"sample", &zeros), mismatch, "{kind:?}");
            let ones = vec![0xff; signature.len()];
            assert_eq!(key.verify(b"sample", &ones), mismatch, "{kind:?}");
        }
    }

    #[test]
    fn every_length_but_the_right_one_is_refused() {
        for (kind, public, signature) in samples() {
            let key = VerifyingKey::from_parts(kind, &public).unwrap();
            for change in [
                |bytes: &[u8]| [bytes, &[0]].concat(),
                |bytes: &[u8]| [&[0], bytes].concat(),
                |bytes: &[u8]| bytes[1..].to_vec(),
                |_: &[u8]| Vec::new(),
            ] {
                assert_eq!(
                    VerifyingKey::from_parts(kind, &change(&public)).unwrap_err(),
                    SignatureError::InvalidPublicKey
                );
                assert_eq!(
                    key.verify(b"sample", &change(&signature)),
                    Err(SignatureError::Mismatch)
                );
            }
        }
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        for kind in [
            SignatureKind::EcdsaP256,
            SignatureKind::EcdsaP384,
            SignatureKind::EcdsaP521,
        ] {
            for filler in [0, 1, 0xff] {
                let public = vec![filler; kind.public_key_len()];
                assert_eq!(
                    VerifyingKey::from_parts(kind, &public).unwrap_err(),
                    SignatureError::InvalidPublicKey
                );
            }
        }
        // y = 2 is on no point of Ed25519.
        let mut public = [0; 32];
        public[0] = 2;
        assert_eq!(
            VerifyingKey::from_parts(SignatureKind::Ed25519, &public).unwrap_err(),
            SignatureError::InvalidPublicKey
        );
    }

    proptest! {
        #[test]
        fn arbitrary_keys_and_signatures_do_not_panic(
            kind in 0..KINDS.len(), seed: [u8; 32], message: Vec<u8>,
        ) {
            let kind = KINDS[kind];
            let mut random = crate::Random::from_seed(seed);
            let mut bytes = vec![0; kind.public_key_len()];
            random.fill(&mut bytes);
            let arbitrary = VerifyingKey::from_parts(kind, &bytes);
            let mut signature = vec![0; kind.signature_len()];
            random.fill(&mut signature);
            let known = samples().into_iter().find(|sample| sample.0 == kind).unwrap().1;
            for key in [arbitrary, VerifyingKey::from_parts(kind, &known)].into_iter().flatten() {
                prop_assert_eq!(key.verify(&message, &signature), Err(SignatureError::Mismatch));
            }
        }
    }
}
