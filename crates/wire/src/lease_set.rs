//! LeaseSets of all kinds (Common structures, LeaseSet and following): how to reach a Destination.
//!
//! A [`StoredLeaseSet`] is what a DatabaseStore holds, decoded and with its bytes kept; a
//! [`LeaseSet2Builder`] makes one of the kind everyone publishes today.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{
    DecodeError, Destination, LeaseSetType, Mapping, OfflineBlock, Reader, SigningKeyType,
    UnixTime, Verified, VerifyError, verify_signature,
};

mod lease;
pub use lease::{EncryptionKey, Lease, LeaseSetFlags, MetaLease};

mod parse;

mod builder;
pub use builder::LeaseSet2Builder;

/// A LeaseSet of any kind. Clones share it. Equality is that of kind and bytes.
///
/// The bytes are kept as they came, because the signature covers them. Its times are not judged
/// here: what is too old or too far ahead is for the network database to say.
#[derive(Clone)]
pub struct StoredLeaseSet(Arc<Parts>);

struct Parts {
    kind: LeaseSetType,
    bytes: Bytes,
    signer: Signer,
    key: [u8; 32],
    published: UnixTime,
    expires: UnixTime,
    flags: LeaseSetFlags,
    offline: Option<OfflineBlock>,
    contents: Contents,
    /// Where the signature begins.
    signed_len: usize,
}

/// Whose long-term key signs.
enum Signer {
    Destination(Destination),
    Blinded(SigningKeyType, Bytes),
}

enum Contents {
    Leases {
        options: Mapping,
        keys: Vec<EncryptionKey>,
        leases: Vec<Lease>,
    },
    Encrypted(Bytes),
    Meta {
        options: Mapping,
        leases: Vec<MetaLease>,
        revocations: Vec<[u8; 32]>,
    },
}

impl StoredLeaseSet {
    /// The most bytes of a LeaseSet: what i2pd takes of one with post-quantum keys.
    pub const MAX_LEN: usize = 8192;
    /// The most leases of a LeaseSet.
    pub const MAX_LEASES: usize = 16;
    /// The most encryption keys of a LeaseSet: what Java I2P takes.
    pub const MAX_KEYS: usize = 8;

    /// Decodes a LeaseSet of this kind that is all of `bytes`. Its signatures are not checked; see
    /// [`StoredLeaseSet::verify`].
    ///
    /// # Errors
    ///
    /// Those of its parts; [`DecodeError::TooLong`]; [`DecodeError::TooMany`] or
    /// [`DecodeError::Empty`] for leases or keys; [`DecodeError::UnknownSigningType`] if the length
    /// of a key or signature is not known; [`DecodeError::TrailingBytes`].
    pub fn parse(kind: LeaseSetType, bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(DecodeError::TooLong {
                actual: bytes.len(),
                limit: Self::MAX_LEN,
            });
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let parts = match kind {
            LeaseSetType::LeaseSet => parse::lease_set(bytes)?,
            LeaseSetType::LeaseSet2 => parse::lease_set_2(bytes)?,
            LeaseSetType::Encrypted => parse::encrypted(bytes)?,
            LeaseSetType::Meta => parse::meta(bytes)?,
        };
        Ok(Self(Arc::new(parts)))
    }

    /// Checks the signature over the bytes as they came, which has the byte of the kind put before
    /// it for all kinds but [`LeaseSetType::LeaseSet`]; and, with offline keys, the signature over
    /// the transient key. Whether that has expired is not checked: see [`OfflineBlock::expires`].
    ///
    /// # Errors
    ///
    /// See [`VerifyError`].
    pub fn verify(self) -> Result<Verified<Self>, VerifyError> {
        let parts = &self.0;
        let (kind, public) = match &parts.signer {
            Signer::Destination(destination) => {
                let kind = destination.signing_key_type();
                let public = destination.signing_public_key();
                (kind, public.ok_or(VerifyError::UnsupportedType(kind))?)
            }
            Signer::Blinded(kind, public) => (*kind, public.as_ref().into()),
        };
        let (kind, public) = match &parts.offline {
            Some(offline) => {
                offline.verify(kind, &public)?;
                (offline.transient_type, offline.transient_public.as_ref())
            }
            None => (kind, public.as_ref()),
        };
        let (signed, signature) = parts
            .bytes
            .split_at_checked(parts.signed_len)
            .ok_or(VerifyError::Length)?;
        match parts.kind {
            LeaseSetType::LeaseSet => verify_signature(kind, public, signed, signature)?,
            other => {
                let message = [&[other.code()], signed].concat();
                verify_signature(kind, public, &message, signature)?;
            }
        }
        Ok(Verified::trust(self))
    }

    /// Returns the kind.
    pub fn kind(&self) -> LeaseSetType {
        self.0.kind
    }

    /// Returns the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Returns the key it is stored under: the hash of the Destination, or of blinded key and type.
    pub fn key(&self) -> [u8; 32] {
        self.0.key
    }

    /// Returns when it was published; of two the later one counts. For a
    /// [`LeaseSetType::LeaseSet`], which does not say, it is the earliest end of a lease, as
    /// everyone compares them.
    pub fn published(&self) -> UnixTime {
        self.0.published
    }

    /// Returns when it ends to be valid. For a [`LeaseSetType::LeaseSet`] it is the latest end of a
    /// lease.
    pub fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// Returns the flags, none for a [`LeaseSetType::LeaseSet`].
    pub fn flags(&self) -> LeaseSetFlags {
        self.0.flags
    }

    /// Returns the transient key and the leave to use it, if it was signed with one.
    pub fn offline(&self) -> Option<&OfflineBlock> {
        self.0.offline.as_ref()
    }

    /// Returns whose it is, `None` for an encrypted one, which does not tell.
    pub fn destination(&self) -> Option<&Destination> {
        match &self.0.signer {
            Signer::Destination(destination) => Some(destination),
            Signer::Blinded(..) => None,
        }
    }

    /// Returns type and bytes of the blinded key of an encrypted one.
    pub fn blinded_key(&self) -> Option<(SigningKeyType, &[u8])> {
        match &self.0.signer {
            Signer::Destination(_) => None,
            Signer::Blinded(kind, key) => Some((*kind, key)),
        }
    }

    /// Returns the leases, none of an encrypted one and of a Meta LeaseSet.
    pub fn leases(&self) -> &[Lease] {
        match &self.0.contents {
            Contents::Leases { leases, .. } => leases,
            Contents::Encrypted(_) | Contents::Meta { .. } => &[],
        }
    }

    /// Returns the encryption keys, the one its owner likes best first.
    pub fn encryption_keys(&self) -> &[EncryptionKey] {
        match &self.0.contents {
            Contents::Leases { keys, .. } => keys,
            Contents::Encrypted(_) | Contents::Meta { .. } => &[],
        }
    }

    /// Returns the options, none of an encrypted one.
    pub fn options(&self) -> Option<&Mapping> {
        match &self.0.contents {
            Contents::Leases { options, .. } | Contents::Meta { options, .. } => Some(options),
            Contents::Encrypted(_) => None,
        }
    }

    /// Returns the ciphertext of an encrypted one.
    pub fn ciphertext(&self) -> Option<&[u8]> {
        match &self.0.contents {
            Contents::Encrypted(data) => Some(data),
            Contents::Leases { .. } | Contents::Meta { .. } => None,
        }
    }

    /// Returns what a Meta LeaseSet refers to.
    pub fn meta_leases(&self) -> &[MetaLease] {
        match &self.0.contents {
            Contents::Meta { leases, .. } => leases,
            Contents::Leases { .. } | Contents::Encrypted(_) => &[],
        }
    }

    /// Returns the hashes a Meta LeaseSet revokes.
    pub fn revocations(&self) -> &[[u8; 32]] {
        match &self.0.contents {
            Contents::Meta { revocations, .. } => revocations,
            Contents::Leases { .. } | Contents::Encrypted(_) => &[],
        }
    }
}

impl PartialEq for StoredLeaseSet {
    fn eq(&self, other: &Self) -> bool {
        (self.0.kind, &self.0.bytes) == (other.0.kind, &other.0.bytes)
    }
}

impl Eq for StoredLeaseSet {}

impl fmt::Debug for StoredLeaseSet {
    /// Writes no Destination and no leases.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredLeaseSet")
            .field("kind", &self.kind())
            .field("published", &self.published())
            .field("expires", &self.expires())
            .field("leases", &self.leases().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
