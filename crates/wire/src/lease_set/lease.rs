use std::fmt;

use bytes::{BufMut, Bytes};

use crate::{DecodeError, EncryptionKeyType, Reader, RouterHash, TunnelId, UnixTime};

/// A way into a Destination: the gateway of one of its tunnels (Common structures, Lease and
/// Lease2). `[gateway: 32][tunnel: u32 BE]` and the end, `[u32 BE, s]`, of old `[u64 BE, ms]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The first hop of the tunnel.
    pub gateway: RouterHash,
    /// The tunnel's id there.
    pub tunnel: TunnelId,
    /// When the tunnel ends, in seconds.
    pub ends: UnixTime,
}

impl Lease {
    /// Takes a lease of a LeaseSet of old, which ends at a millisecond.
    pub(super) fn parse_1(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            gateway: RouterHash::parse(reader)?,
            tunnel: TunnelId::parse(reader)?,
            ends: UnixTime::from_millis(reader.u64()?),
        })
    }

    pub(super) fn parse_2(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            gateway: RouterHash::parse(reader)?,
            tunnel: TunnelId::parse(reader)?,
            ends: UnixTime::from_secs(reader.u32()?),
        })
    }

    pub(super) fn encode_2(&self, out: &mut impl BufMut) {
        out.put_slice(self.gateway.as_bytes());
        out.put_u32(self.tunnel.get());
        // Rounded down: a lease must not promise more than the tunnel keeps.
        out.put_u32(u32::try_from(self.ends.as_secs()).unwrap_or(u32::MAX));
    }
}

/// What a Meta LeaseSet refers to (Common structures, MetaLease):
/// `[hash: 32][flags: 3][cost: u8][ends: u32 BE, s]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetaLease {
    /// The hash of another Destination or Meta LeaseSet.
    pub hash: [u8; 32],
    /// The flags; the lowest four bits are the kind of what is referred to, 0 if unknown.
    pub flags: [u8; 3],
    /// The lower, the better.
    pub cost: u8,
    /// When it ends to be valid, in seconds.
    pub ends: UnixTime,
}

impl MetaLease {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            hash: reader.array()?,
            flags: reader.array()?,
            cost: reader.u8()?,
            ends: UnixTime::from_secs(reader.u32()?),
        })
    }
}

/// A key of a LeaseSet that messages to its owner are encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    /// The type. Keys of unknown types are there to be skipped.
    pub kind: EncryptionKeyType,
    /// The key, at most 65,535 bytes; whether they are as many as the type has is not checked.
    pub bytes: Bytes,
}

impl EncryptionKey {
    /// Makes an X25519 key.
    pub fn x25519(key: &[u8; 32]) -> Self {
        Self {
            kind: EncryptionKeyType::X25519,
            bytes: Bytes::copy_from_slice(key),
        }
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({})", self.kind)
    }
}

/// The flags of a LeaseSet (Common structures, LeaseSet2Header). Unknown ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LeaseSetFlags(u16);

impl LeaseSetFlags {
    const OFFLINE: u16 = 1;
    const UNPUBLISHED: u16 = 2;
    const BLINDED_WHEN_PUBLISHED: u16 = 4;

    /// Returns the flags of these bits.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Returns the bits.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Says whether a transient key signs: bit 0.
    pub fn is_offline(self) -> bool {
        self.0 & Self::OFFLINE != 0
    }

    /// Says whether it must not be given to anyone: bit 1, of clients, who send it along.
    pub fn is_unpublished(self) -> bool {
        self.0 & Self::UNPUBLISHED != 0
    }

    /// Says whether it is encrypted when it is published: bit 2.
    pub fn is_blinded_when_published(self) -> bool {
        self.0 & Self::BLINDED_WHEN_PUBLISHED != 0
    }

    /// Returns the flags with bit 1 set.
    pub fn with_unpublished(self) -> Self {
        Self(self.0 | Self::UNPUBLISHED)
    }

    /// Returns the flags with bit 0 as told.
    pub(super) fn with_offline(self, offline: bool) -> Self {
        match offline {
            true => Self(self.0 | Self::OFFLINE),
            false => Self(self.0 & !Self::OFFLINE),
        }
    }
}
