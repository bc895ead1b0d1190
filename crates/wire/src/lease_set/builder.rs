use bytes::BufMut;
use ramson_crypto::SigningKey;

use super::{EncryptionKey, Lease, LeaseSetFlags, StoredLeaseSet};
use crate::{
    DecodeError, Destination, EncodeError, LeaseSetType, Mapping, OfflineBlock, SigningKeyType,
    UnixTime, Verified,
};

/// What a LeaseSet2 is made of (Common structures, LeaseSet2).
#[derive(Debug, Clone)]
pub struct LeaseSet2Builder {
    /// Whose it is.
    pub destination: Destination,
    /// When it is published, in whole seconds. It must be later than that of the one before, or
    /// floodfills keep that.
    pub published: UnixTime,
    /// How many seconds after that it ends to be valid; i2pd takes up to 660.
    pub lifetime_s: u16,
    /// The flags; that of a transient key is set as it must be.
    pub flags: LeaseSetFlags,
    /// The transient key and the leave to use it, if that signs.
    pub offline: Option<OfflineBlock>,
    /// Service records, none as a rule.
    pub options: Mapping,
    /// The encryption keys, the preferred one first; 1 to [`StoredLeaseSet::MAX_KEYS`].
    pub keys: Vec<EncryptionKey>,
    /// The leases, 1 to [`StoredLeaseSet::MAX_LEASES`].
    pub leases: Vec<Lease>,
}

impl LeaseSet2Builder {
    /// Writes the LeaseSet2 and signs it with the Destination's key or the transient one.
    ///
    /// # Errors
    ///
    /// [`EncodeError::KeyMismatch`] if `key` is not that key; [`EncodeError::Empty`] or
    /// [`EncodeError::TooMany`] for keys or leases; [`EncodeError::TooLong`];
    /// [`EncodeError::DuplicateKey`] among the options.
    pub fn sign(&self, key: &SigningKey) -> Result<Verified<StoredLeaseSet>, EncodeError> {
        let (kind, public) = match &self.offline {
            Some(offline) => (
                offline.transient_type,
                Some(offline.transient_public.as_ref().into()),
            ),
            None => (
                self.destination.signing_key_type(),
                self.destination.signing_public_key(),
            ),
        };
        if kind != SigningKeyType::Ed25519 || public.as_deref() != Some(&key.public()) {
            return Err(EncodeError::KeyMismatch);
        }
        // The byte of the kind stands before what is signed but not in what is stored.
        let mut message = vec![LeaseSetType::LeaseSet2.code()];
        message.put_slice(self.destination.as_bytes());
        message.put_u32(u32::try_from(self.published.as_secs()).unwrap_or(u32::MAX));
        message.put_u16(self.lifetime_s);
        message.put_u16(self.flags.with_offline(self.offline.is_some()).bits());
        if let Some(offline) = &self.offline {
            offline.encode(&mut message);
        }
        self.options.encode(&mut message);
        message.put_u8(count(self.keys.len(), StoredLeaseSet::MAX_KEYS)?);
        for key in &self.keys {
            let len = u16::try_from(key.bytes.len()).map_err(|_| EncodeError::TooLong {
                actual: key.bytes.len(),
                limit: usize::from(u16::MAX),
            })?;
            message.put_u16(key.kind.code());
            message.put_u16(len);
            message.put_slice(&key.bytes);
        }
        message.put_u8(count(self.leases.len(), StoredLeaseSet::MAX_LEASES)?);
        for lease in &self.leases {
            lease.encode_2(&mut message);
        }
        let signature = key.sign(&message);
        message.put_slice(&signature);
        let bytes = message.get(1..).unwrap_or_default();
        match StoredLeaseSet::parse(LeaseSetType::LeaseSet2, bytes) {
            Ok(lease_set) => Ok(Verified::trust(lease_set)),
            // Received options may have a key twice; only builders refuse it.
            Err(DecodeError::DuplicateKey) => Err(EncodeError::DuplicateKey),
            Err(_) => Err(EncodeError::TooLong {
                actual: bytes.len(),
                limit: StoredLeaseSet::MAX_LEN,
            }),
        }
    }
}

fn count(actual: usize, limit: usize) -> Result<u8, EncodeError> {
    match u8::try_from(actual) {
        Ok(0) => Err(EncodeError::Empty),
        Ok(count) if actual <= limit => Ok(count),
        _ => Err(EncodeError::TooMany { actual, limit }),
    }
}
