use std::num::NonZeroU32;

use bytes::BufMut;

use crate::{DecodeError, EncodeError, Reader, RouterHash, TunnelId};

/// A DatabaseStore (I2NP, DatabaseStore): an entry of the network database, to be kept or as the
/// answer to a look-up.
///
/// `[key: 32][type: u8][token: u32 BE]`, with a token other than zero
/// `[reply tunnel: u32 BE][reply gateway: 32]`, then the entry: a RouterInfo as
/// `[len: u16 BE][gzip]`, a LeaseSet of any kind as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStore<'a> {
    /// The hash of the router or Destination, not its routing key. Whoever stores the entry must
    /// check that it is the entry's.
    pub key: [u8; 32],
    /// Where the storing is to be confirmed. It asks a floodfill to flood, too.
    pub reply: Option<StoreReply>,
    /// The entry.
    pub entry: StoreEntry<'a>,
}

/// Where a [`DatabaseStore`] is to be confirmed, by a DeliveryStatus with the token as its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreReply {
    /// The id of the confirmation. With `u32::MAX` i2pd only floods.
    pub token: NonZeroU32,
    /// The tunnel to reply through, `None` to reply to the gateway itself.
    pub tunnel: Option<TunnelId>,
    /// The tunnel's gateway or the router that is to have the reply.
    pub gateway: RouterHash,
}

/// What a [`DatabaseStore`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreEntry<'a> {
    /// A RouterInfo in its gzip form.
    RouterInfo(&'a [u8]),
    /// A LeaseSet of some kind.
    LeaseSet(LeaseSetType, &'a [u8]),
}

/// The kinds of LeaseSets, by their store types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseSetType {
    /// 1.
    LeaseSet,
    /// 3.
    LeaseSet2,
    /// 5.
    Encrypted,
    /// 7.
    Meta,
}

impl LeaseSetType {
    /// Returns the kind of this store type, `None` if it is none.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::LeaseSet,
            3 => Self::LeaseSet2,
            5 => Self::Encrypted,
            7 => Self::Meta,
            _ => return None,
        })
    }

    /// Returns the store type.
    pub fn code(self) -> u8 {
        match self {
            Self::LeaseSet => 1,
            Self::LeaseSet2 => 3,
            Self::Encrypted => 5,
            Self::Meta => 7,
        }
    }
}

impl<'a> DatabaseStore<'a> {
    /// Decodes a store that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`],
    /// [`DecodeError::UnknownType`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let key = reader.array()?;
        // The upper bits are reserved and ignored.
        let kind = reader.u8()? & 0x0f;
        let reply = match NonZeroU32::new(reader.u32()?) {
            Some(token) => Some(StoreReply {
                token,
                tunnel: TunnelId::new(reader.u32()?),
                gateway: RouterHash::parse(&mut reader)?,
            }),
            None => None,
        };
        let entry = match (kind, LeaseSetType::from_code(kind)) {
            (0, _) => {
                let len = usize::from(reader.u16()?);
                StoreEntry::RouterInfo(reader.take(len)?)
            }
            (_, Some(kind)) => StoreEntry::LeaseSet(kind, reader.rest()),
            (_, None) => return Err(DecodeError::UnknownType(kind)),
        };
        reader.finish()?;
        Ok(Self { key, reply, entry })
    }

    /// Appends the store.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for a RouterInfo of more than 65,535 bytes.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let (kind, info_len, entry) = match self.entry {
            StoreEntry::RouterInfo(gzip) => {
                let len = u16::try_from(gzip.len()).map_err(|_| EncodeError::TooLong {
                    actual: gzip.len(),
                    limit: usize::from(u16::MAX),
                })?;
                (0, Some(len), gzip)
            }
            StoreEntry::LeaseSet(kind, bytes) => (kind.code(), None, bytes),
        };
        out.put_slice(&self.key);
        out.put_u8(kind);
        match &self.reply {
            Some(reply) => {
                out.put_u32(reply.token.get());
                out.put_u32(reply.tunnel.map_or(0, TunnelId::get));
                out.put_slice(reply.gateway.as_bytes());
            }
            None => out.put_u32(0),
        }
        if let Some(len) = info_len {
            out.put_u16(len);
        }
        out.put_slice(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(store: &DatabaseStore<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        store.encode(&mut out).unwrap();
        out
    }

    #[test]
    fn a_router_info_has_a_length() {
        let store = DatabaseStore {
            key: [1; 32],
            reply: None,
            entry: StoreEntry::RouterInfo(b"gz"),
        };
        let bytes = encoded(&store);
        assert_eq!(bytes, [&[1; 32][..], b"\0\0\0\0\0\0\x02gz"].concat());
        assert_eq!(DatabaseStore::parse(&bytes), Ok(store));
    }

    #[test]
    fn a_lease_set_with_a_reply_goes_to_the_end() {
        let store = DatabaseStore {
            key: [1; 32],
            reply: Some(StoreReply {
                token: NonZeroU32::new(5).unwrap(),
                tunnel: TunnelId::new(6),
                gateway: RouterHash([7; 32]),
            }),
            entry: StoreEntry::LeaseSet(LeaseSetType::LeaseSet2, b"ls"),
        };
        let bytes = encoded(&store);
        let expected = [&[1; 32][..], b"\x03\0\0\0\x05\0\0\0\x06", &[7; 32], b"ls"].concat();
        assert_eq!(bytes, expected);
        assert_eq!(DatabaseStore::parse(&bytes).as_ref(), Ok(&store));

        let mut direct = store;
        direct.reply.as_mut().unwrap().tunnel = None;
        assert_eq!(DatabaseStore::parse(&encoded(&direct)), Ok(direct));
    }

    #[test]
    fn reserved_bits_of_the_type_are_ignored_and_unknown_types_refused() {
        let bytes = |kind| [&[1; 32][..], &[kind, 0, 0, 0, 0, 9]].concat();
        let parse = |kind| {
            DatabaseStore::parse(&bytes(kind)).map(|store| match store.entry {
                StoreEntry::LeaseSet(kind, _) => Some(kind),
                StoreEntry::RouterInfo(_) => None,
            })
        };
        assert_eq!(parse(0xf5), Ok(Some(LeaseSetType::Encrypted)));
        assert_eq!(parse(7), Ok(Some(LeaseSetType::Meta)));
        assert_eq!(parse(1), Ok(Some(LeaseSetType::LeaseSet)));
        for kind in [2, 4, 6, 8, 15] {
            assert_eq!(parse(kind), Err(DecodeError::UnknownType(kind)));
        }
    }

    #[test]
    fn lengths_are_checked() {
        let bytes = [&[1; 32][..], b"\0\0\0\0\0\0\x02gzx"].concat();
        assert_eq!(
            DatabaseStore::parse(&bytes),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
        for end in 0..bytes.len() - 1 {
            let result = DatabaseStore::parse(&bytes[..end]);
            assert!(
                matches!(result, Err(DecodeError::Truncated { .. })),
                "{end}"
            );
        }
        let long = vec![0; 65536];
        let store = DatabaseStore {
            key: [1; 32],
            reply: None,
            entry: StoreEntry::RouterInfo(&long),
        };
        let (actual, limit) = (65536, 65535);
        let mut out = Vec::new();
        assert_eq!(
            store.encode(&mut out),
            Err(EncodeError::TooLong { actual, limit })
        );
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same(
            kind in 0u8..8,
            rest in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let bytes = [&[1; 32][..], &[kind], &rest].concat();
            if let Ok(store) = DatabaseStore::parse(&bytes) {
                prop_assert_eq!(encoded(&store), bytes);
            }
        }
    }
}
