use std::fmt;

use bytes::BufMut;
use zeroize::Zeroizing;

use crate::{DecodeError, EncodeError, Reader, RouterHash, TunnelId};

/// A DatabaseLookup (I2NP, DatabaseLookup): a question to a floodfill.
///
/// `[key: 32][from: 32][flags: u8]`, with flag 0 `[tunnel: u32 BE]`, `[n: u16 BE][n hashes]`, and
/// with flag 4 or 1 `[reply key: 32][n: u8][n tags of 8 or 32]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseLookup {
    /// The hash that is looked up, not its routing key.
    pub key: [u8; 32],
    /// Who is to have the reply: the router that asks or the gateway of the reply tunnel.
    pub from: RouterHash,
    /// What is looked up.
    pub kind: LookupKind,
    /// The tunnel to reply through, `None` to reply directly.
    pub tunnel: Option<TunnelId>,
    /// Floodfills not to be named in the reply; at most [`DatabaseLookup::MAX_EXCLUDED`].
    pub excluded: Vec<RouterHash>,
    /// How the reply is to be encrypted.
    pub encryption: Option<ReplyEncryption>,
}

/// What a [`DatabaseLookup`] looks up: bits 3 and 2 of its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LookupKind {
    /// 00, deprecated: whatever has the key.
    Any,
    /// 01.
    LeaseSet,
    /// 10.
    RouterInfo,
    /// 11: routers near the key that are no floodfills.
    Exploration,
}

/// With what the reply to a [`DatabaseLookup`] is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum ReplyEncryption {
    /// Flag 4: as a message of an existing ratchet session with this key and tag.
    Ratchet {
        /// The key of the message.
        key: Zeroizing<[u8; 32]>,
        /// The tag before the message. If a look-up has several, as none has today, the first.
        tag: [u8; 8],
    },
    /// Flag 1: with AES, as ElGamal sessions did of old.
    ElGamal {
        /// The session key.
        key: Zeroizing<[u8; 32]>,
        /// The session tags, 1 to 32.
        tags: Vec<[u8; 32]>,
    },
}

impl DatabaseLookup {
    /// The most excluded hashes; i2pd and Java I2P refuse a look-up with more.
    pub const MAX_EXCLUDED: usize = 512;

    const TUNNEL: u8 = 0x01;
    const ELGAMAL: u8 = 0x02;
    const RATCHET: u8 = 0x10;
    const MAX_TAGS: u8 = 32;

    /// Decodes a look-up that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`]; [`DecodeError::TooMany`]
    /// excluded hashes; [`DecodeError::ZeroTunnelId`]; [`DecodeError::Empty`] or
    /// [`DecodeError::TooMany`] for none or more than 32 tags; [`DecodeError::Flags`] with both
    /// kinds of encryption, which has no agreed meaning.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let key = reader.array()?;
        let from = RouterHash::parse(&mut reader)?;
        let flags = reader.u8()?;
        let kind = match (flags >> 2) & 3 {
            0 => LookupKind::Any,
            1 => LookupKind::LeaseSet,
            2 => LookupKind::RouterInfo,
            _ => LookupKind::Exploration,
        };
        let tunnel = match flags & Self::TUNNEL {
            0 => None,
            _ => Some(TunnelId::parse(&mut reader)?),
        };
        let count = usize::from(reader.u16()?);
        if count > Self::MAX_EXCLUDED {
            return Err(DecodeError::TooMany {
                actual: count,
                limit: Self::MAX_EXCLUDED,
            });
        }
        let mut hashes = reader.sub(count.saturating_mul(RouterHash::LEN))?;
        let mut excluded = Vec::with_capacity(count);
        while !hashes.is_empty() {
            excluded.push(RouterHash::parse(&mut hashes)?);
        }
        let encryption = match (flags & Self::RATCHET != 0, flags & Self::ELGAMAL != 0) {
            (false, false) => None,
            (true, false) => {
                let key = Zeroizing::new(reader.array()?);
                let tags = take_tags::<8>(&mut reader)?;
                let tag = *tags.first().ok_or(DecodeError::Empty)?;
                Some(ReplyEncryption::Ratchet { key, tag })
            }
            (false, true) => {
                let key = Zeroizing::new(reader.array()?);
                let tags = take_tags::<32>(&mut reader)?;
                Some(ReplyEncryption::ElGamal { key, tags })
            }
            (true, true) => return Err(DecodeError::Flags(flags)),
        };
        reader.finish()?;
        Ok(Self {
            key,
            from,
            kind,
            tunnel,
            excluded,
            encryption,
        })
    }

    /// Appends the look-up.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooMany`] excluded hashes or tags, [`EncodeError::Empty`] tags.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let excluded = u16::try_from(self.excluded.len())
            .ok()
            .filter(|&count| usize::from(count) <= Self::MAX_EXCLUDED)
            .ok_or(EncodeError::TooMany {
                actual: self.excluded.len(),
                limit: Self::MAX_EXCLUDED,
            })?;
        let tag_count = match &self.encryption {
            None | Some(ReplyEncryption::Ratchet { .. }) => 1,
            Some(ReplyEncryption::ElGamal { tags, .. }) if tags.is_empty() => {
                return Err(EncodeError::Empty);
            }
            Some(ReplyEncryption::ElGamal { tags, .. }) => u8::try_from(tags.len())
                .ok()
                .filter(|&count| count <= Self::MAX_TAGS)
                .ok_or(EncodeError::TooMany {
                    actual: tags.len(),
                    limit: usize::from(Self::MAX_TAGS),
                })?,
        };
        let kind = match self.kind {
            LookupKind::Any => 0,
            LookupKind::LeaseSet => 1 << 2,
            LookupKind::RouterInfo => 2 << 2,
            LookupKind::Exploration => 3 << 2,
        };
        let tunnel = self.tunnel.map_or(0, |_| Self::TUNNEL);
        let encryption = match &self.encryption {
            None => 0,
            Some(ReplyEncryption::Ratchet { .. }) => Self::RATCHET,
            Some(ReplyEncryption::ElGamal { .. }) => Self::ELGAMAL,
        };
        out.put_slice(&self.key);
        out.put_slice(self.from.as_bytes());
        out.put_u8(kind | tunnel | encryption);
        if let Some(tunnel) = self.tunnel {
            out.put_u32(tunnel.get());
        }
        out.put_u16(excluded);
        for hash in &self.excluded {
            out.put_slice(hash.as_bytes());
        }
        match &self.encryption {
            None => {}
            Some(ReplyEncryption::Ratchet { key, tag }) => {
                out.put_slice(key.as_slice());
                out.put_u8(tag_count);
                out.put_slice(tag);
            }
            Some(ReplyEncryption::ElGamal { key, tags }) => {
                out.put_slice(key.as_slice());
                out.put_u8(tag_count);
                tags.iter().for_each(|tag| out.put_slice(tag));
            }
        }
        Ok(())
    }
}

fn take_tags<const N: usize>(reader: &mut Reader<'_>) -> Result<Vec<[u8; N]>, DecodeError> {
    let count = reader.u8()?;
    match count {
        0 => return Err(DecodeError::Empty),
        1..=DatabaseLookup::MAX_TAGS => {}
        _ => {
            return Err(DecodeError::TooMany {
                actual: usize::from(count),
                limit: usize::from(DatabaseLookup::MAX_TAGS),
            });
        }
    }
    (0..count).map(|_| reader.array()).collect()
}

impl fmt::Debug for ReplyEncryption {
    /// Writes neither key nor tags.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ratchet { .. } => "Ratchet(..)",
            Self::ElGamal { .. } => "ElGamal(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(lookup: &DatabaseLookup) -> Vec<u8> {
        let mut out = Vec::new();
        lookup.encode(&mut out).unwrap();
        out
    }

    fn lookup() -> DatabaseLookup {
        DatabaseLookup {
            key: [1; 32],
            from: RouterHash([2; 32]),
            kind: LookupKind::LeaseSet,
            tunnel: TunnelId::new(3),
            excluded: vec![RouterHash([4; 32]), RouterHash([5; 32])],
            encryption: Some(ReplyEncryption::Ratchet {
                key: Zeroizing::new([6; 32]),
                tag: [7; 8],
            }),
        }
    }

    #[test]
    fn the_tunnel_stands_before_the_count_and_the_tag_has_eight_bytes() {
        let bytes = encoded(&lookup());
        let expected = [
            &[1; 32][..],
            &[2; 32],
            &[0x15, 0, 0, 0, 3, 0, 2],
            &[4; 32],
            &[5; 32],
            &[6; 32],
            &[1],
            &[7; 8],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(DatabaseLookup::parse(&bytes), Ok(lookup()));
    }

    #[test]
    fn a_plain_lookup_is_short() {
        let mut lookup = lookup();
        for (kind, flags) in [
            (LookupKind::Any, 0),
            (LookupKind::LeaseSet, 4),
            (LookupKind::RouterInfo, 8),
            (LookupKind::Exploration, 12),
        ] {
            lookup.kind = kind;
            lookup.tunnel = None;
            lookup.encryption = None;
            lookup.excluded.clear();
            let bytes = encoded(&lookup);
            assert_eq!(bytes[64..], [flags, 0, 0]);
            assert_eq!(DatabaseLookup::parse(&bytes).as_ref(), Ok(&lookup));
        }
    }

    #[test]
    fn tags_of_old_have_32_bytes() {
        let mut lookup = lookup();
        lookup.encryption = Some(ReplyEncryption::ElGamal {
            key: Zeroizing::new([6; 32]),
            tags: vec![[7; 32], [8; 32]],
        });
        let bytes = encoded(&lookup);
        assert_eq!(bytes[64], 0x07);
        assert_eq!(DatabaseLookup::parse(&bytes), Ok(lookup));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = encoded(&lookup());
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            DatabaseLookup::parse(&bytes).unwrap_err()
        };
        assert_eq!(with(64, 0x17), DecodeError::Flags(0x17));
        assert_eq!(with(68, 0), DecodeError::ZeroTunnelId);
        let tags_at = good.len() - 9;
        assert_eq!(with(tags_at, 0), DecodeError::Empty);
        let (actual, limit) = (33, 32);
        assert_eq!(with(tags_at, 33), DecodeError::TooMany { actual, limit });
        let (actual, limit) = (514, 512);
        assert_eq!(with(69, 2), DecodeError::TooMany { actual, limit });
        for end in 0..good.len() {
            let result = DatabaseLookup::parse(&good[..end]);
            assert!(
                matches!(result, Err(DecodeError::Truncated { .. })),
                "{end}"
            );
        }
        let trailing = [&good[..], &[0]].concat();
        assert_eq!(
            DatabaseLookup::parse(&trailing),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
    }

    #[test]
    fn limits_hold_on_writing_too() {
        let mut many = lookup();
        many.excluded = vec![RouterHash([4; 32]); 513];
        let mut out = Vec::new();
        let (actual, limit) = (513, 512);
        assert_eq!(
            many.encode(&mut out),
            Err(EncodeError::TooMany { actual, limit })
        );
        many.excluded.pop();
        for (count, error) in [
            (0, EncodeError::Empty),
            (
                33,
                EncodeError::TooMany {
                    actual: 33,
                    limit: 32,
                },
            ),
        ] {
            many.encryption = Some(ReplyEncryption::ElGamal {
                key: Zeroizing::new([6; 32]),
                tags: vec![[7; 32]; count],
            });
            assert_eq!(many.encode(&mut out), Err(error));
        }
        assert!(out.is_empty());
        many.encryption = None;
        assert_eq!(DatabaseLookup::parse(&encoded(&many)), Ok(many));
    }

    #[test]
    fn debug_shows_no_keys() {
        let shown = format!("{:?}", lookup().encryption);
        assert_eq!(shown, "Some(Ratchet(..))");
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same(
            flags in 0u8..32,
            rest in prop::collection::vec(0u8..3, 0..120),
        ) {
            let bytes = [&[1; 64][..], &[flags], &rest].concat();
            if let Ok(lookup) = DatabaseLookup::parse(&bytes) {
                prop_assert_eq!(DatabaseLookup::parse(&encoded(&lookup)), Ok(lookup));
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = DatabaseLookup::parse(&bytes);
        }
    }
}
