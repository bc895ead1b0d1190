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
