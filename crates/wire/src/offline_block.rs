use bytes::{BufMut, Bytes};

use crate::{
    DecodeError, OfflineSignature, Reader, SigningKeyType, UnixTime, VerifyError, verify_signature,
};

/// A transient signing key and a long-term key's leave to use it, without private parts (Common
/// structures, OfflineSignature): `[expires: u32 BE, s][type: u16 BE][transient key][signature]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineBlock {
    /// When the transient key ends to be valid, in whole seconds.
    pub expires: UnixTime,
    /// The type of the transient key.
    pub transient_type: SigningKeyType,
    /// The transient public key.
    pub transient_public: Bytes,
    /// The long-term key's signature over the three.
    pub signature: Bytes,
}

impl OfflineBlock {
    /// Takes a block from the reader; `signer` is the type of the long-term key.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::UnknownSigningType`].
    pub fn parse(reader: &mut Reader<'_>, signer: SigningKeyType) -> Result<Self, DecodeError> {
        let unknown = |kind: SigningKeyType| DecodeError::UnknownSigningType(kind.code());
        let expires = UnixTime::from_secs(reader.u32()?);
        let transient_type = SigningKeyType::from_code(reader.u16()?);
        let public_len = transient_type
            .public_key_len()
            .ok_or(unknown(transient_type))?;
        let transient_public = Bytes::copy_from_slice(reader.take(public_len)?);
        let signature_len = signer.signature_len().ok_or(unknown(signer))?;
        let signature = Bytes::copy_from_slice(reader.take(signature_len)?);
        Ok(Self {
            expires,
            transient_type,
            transient_public,
            signature,
        })
    }

    /// Appends the block.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(&self.signed_bytes());
        out.put_slice(&self.signature);
    }

    /// Returns what the long-term key signs: `[expires][type][transient key]`.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u32(u32::try_from(self.expires.as_secs()).unwrap_or(u32::MAX));
        out.put_u16(self.transient_type.code());
        out.put_slice(&self.transient_public);
        out
    }

    /// Checks the signature of the long-term key. Whether the transient one has expired is the
    /// caller's to ask.
    ///
    /// # Errors
    ///
    /// [`VerifyError::OfflineMismatch`], otherwise as [`verify_signature`].
    pub fn verify(&self, signer: SigningKeyType, public: &[u8]) -> Result<(), VerifyError> {
        verify_signature(signer, public, &self.signed_bytes(), &self.signature).map_err(|error| {
            match error {
                VerifyError::Mismatch => VerifyError::OfflineMismatch,
                other => other,
            }
        })
    }
}

impl From<&OfflineSignature> for OfflineBlock {
    /// Leaves the private key away.
    fn from(offline: &OfflineSignature) -> Self {
        Self {
            expires: offline.expires(),
            transient_type: offline.transient_key_type(),
            transient_public: Bytes::copy_from_slice(offline.transient_public_key()),
            signature: Bytes::copy_from_slice(offline.signature()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ramson_crypto::SigningKey;

    use super::*;
    use crate::PrivateKeys;

    fn block(long_term: &SigningKey, transient: &SigningKey) -> OfflineBlock {
        let mut block = OfflineBlock {
            expires: UnixTime::from_secs(0x0102_0304),
            transient_type: SigningKeyType::Ed25519,
            transient_public: Bytes::copy_from_slice(&transient.public()),
            signature: Bytes::new(),
        };
        block.signature = Bytes::copy_from_slice(&long_term.sign(&block.signed_bytes()));
        block
    }

    #[test]
    fn private_keys_hold_the_same_block() {
        let (long_term, transient) = (
            SigningKey::from_seed(&[1; 32]),
            SigningKey::from_seed(&[2; 32]),
        );
        let block = block(&long_term, &transient);
        let mut encoded = Vec::new();
        block.encode(&mut encoded);
        assert_eq!(encoded[..6], [1, 2, 3, 4, 0, 7]);
        let file = [
            &[9; 352][..],
            &long_term.public(),
            &[5, 0, 4, 0, 7, 0, 0],
            &[0; 256 + 32],
            &encoded,
            &transient.seed()[..],
        ];
        let keys = PrivateKeys::from_bytes(&file.concat()).unwrap();
        assert_eq!(OfflineBlock::from(keys.offline().unwrap()), block);

        let mut reader = Reader::new(&encoded);
        let again = OfflineBlock::parse(&mut reader, SigningKeyType::Ed25519);
        assert_eq!(again.as_ref(), Ok(&block));
        assert!(reader.is_empty());
        let again = again.unwrap();
        let kind = SigningKeyType::Ed25519;
        assert_eq!(again.verify(kind, &long_term.public()), Ok(()));
        assert_eq!(
            again.verify(kind, &transient.public()),
            Err(VerifyError::OfflineMismatch)
        );
    }

    #[test]
    fn unknown_types_and_cut_blocks_are_refused() {
        let key = SigningKey::from_seed(&[1; 32]);
        let mut encoded = Vec::new();
        block(&key, &key).encode(&mut encoded);
        let parse = |bytes: &[u8], kind| OfflineBlock::parse(&mut Reader::new(bytes), kind);
        for end in 0..encoded.len() {
            let result = parse(&encoded[..end], SigningKeyType::Ed25519);
            assert!(
                matches!(result, Err(DecodeError::Truncated { .. })),
                "{end}"
            );
        }
        let unknown = Err(DecodeError::UnknownSigningType(12));
        assert_eq!(parse(&encoded, SigningKeyType::Unknown(12)), unknown);
        encoded[5] = 12;
        assert_eq!(parse(&encoded, SigningKeyType::Ed25519), unknown);
    }
}
