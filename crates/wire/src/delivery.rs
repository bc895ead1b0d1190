//! Fragments of messages in tunnels, and the instructions before each (Tunnel message, Tunnel
//! Message Delivery Instructions). Those of garlic cloves are others.

use std::fmt;

use bytes::BufMut;

use crate::{DecodeError, EncodeError, Reader, RouterHash, TunnelId};

/// Where the endpoint of a tunnel is to bring a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TunnelDelivery {
    /// The endpoint keeps it. The only one in inbound tunnels.
    Local,
    /// Into a tunnel, inside a TunnelGateway to its gateway.
    Tunnel {
        /// The tunnel's id on the gateway.
        tunnel: TunnelId,
        /// The gateway.
        gateway: RouterHash,
    },
    /// To a router.
    Router(RouterHash),
}

/// What stands before a fragment.
///
/// First, or whole message: `[flags: u8][tunnel: u32 BE, if to a tunnel][hash: 32, if not local]
/// [message id: u32 BE, if more follow][size: u16 BE]`. Follow-on: `[0x80 | number << 1 | last: u8]
/// [message id: u32 BE][size: u16 BE]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Instructions {
    /// Before a whole message or the first fragment of one.
    First {
        /// Where the message is to go.
        delivery: TunnelDelivery,
        /// What the fragments of one message have in common; `None` before a whole one.
        message_id: Option<u32>,
    },
    /// Before any other fragment.
    FollowOn {
        /// What the fragments of one message have in common.
        message_id: u32,
        /// Which fragment it is, 1 to [`Instructions::MAX_NUMBER`]; the first one has 0.
        number: u8,
        /// Whether it is the last one.
        last: bool,
    },
}

/// A fragment with its instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// What stands before it.
    pub instructions: Instructions,
    /// A message with a long header, or a part of it.
    pub data: &'a [u8],
}

impl Instructions {
    /// The highest number of a follow-on fragment.
    pub const MAX_NUMBER: u8 = 63;
    /// The length of the instructions before a follow-on fragment.
    pub const FOLLOW_ON_LEN: usize = 7;

    const FOLLOW_ON: u8 = 0x80;
    const TO_TUNNEL: u8 = 1;
    const TO_ROUTER: u8 = 2;
    const DELAY: u8 = 0x10;
    const FRAGMENTED: u8 = 0x08;
    const EXTENDED: u8 = 0x04;

    /// Returns how many bytes the instructions take, the size counted.
    pub fn encoded_len(&self) -> usize {
        let Self::First {
            delivery,
            message_id,
        } = self
        else {
            return Self::FOLLOW_ON_LEN;
        };
        let target: usize = match delivery {
            TunnelDelivery::Local => 3,
            TunnelDelivery::Router(_) => 35,
            TunnelDelivery::Tunnel { .. } => 39,
        };
        target.saturating_add(if message_id.is_some() { 4 } else { 0 })
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        if flags & Self::FOLLOW_ON != 0 {
            let number = (flags >> 1) & Self::MAX_NUMBER;
            if number == 0 {
                return Err(DecodeError::Flags(flags));
            }
            return Ok(Self::FollowOn {
                message_id: reader.u32()?,
                number,
                last: flags & 1 != 0,
            });
        }
        let delivery = match (flags >> 5) & 3 {
            0 => TunnelDelivery::Local,
            Self::TO_TUNNEL => TunnelDelivery::Tunnel {
                tunnel: TunnelId::parse(reader)?,
                gateway: RouterHash::parse(reader)?,
            },
            Self::TO_ROUTER => TunnelDelivery::Router(RouterHash::parse(reader)?),
            _ => return Err(DecodeError::Flags(flags)),
        };
        // Neither delay nor extended options were ever used; both have a length.
        if flags & Self::DELAY != 0 {
            reader.u8()?;
        }
        let message_id = match flags & Self::FRAGMENTED {
            0 => None,
            _ => Some(reader.u32()?),
        };
        if flags & Self::EXTENDED != 0 {
            let len = usize::from(reader.u8()?);
            reader.take(len)?;
        }
        Ok(Self::First {
            delivery,
            message_id,
        })
    }

    /// Appends the instructions before a fragment of `len` bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if the length does not fit into two bytes;
    /// [`EncodeError::TooMany`] for the number of a follow-on fragment above
    /// [`Instructions::MAX_NUMBER`], [`EncodeError::Empty`] for number 0.
    pub fn encode(&self, len: usize, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let size = u16::try_from(len).map_err(|_| EncodeError::TooLong {
            actual: len,
            limit: usize::from(u16::MAX),
        })?;
        match *self {
            Self::First {
                delivery,
                message_id,
            } => {
                let fragmented = message_id.map_or(0, |_| Self::FRAGMENTED);
                match delivery {
                    TunnelDelivery::Local => out.put_u8(fragmented),
                    TunnelDelivery::Tunnel { tunnel, gateway } => {
                        out.put_u8(fragmented | Self::TO_TUNNEL << 5);
                        out.put_u32(tunnel.get());
                        out.put_slice(gateway.as_bytes());
                    }
                    TunnelDelivery::Router(router) => {
                        out.put_u8(fragmented | Self::TO_ROUTER << 5);
                        out.put_slice(router.as_bytes());
                    }
                }
                if let Some(id) = message_id {
                    out.put_u32(id);
                }
            }
            Self::FollowOn {
                message_id,
                number,
                last,
            } => {
                match number {
                    0 => return Err(EncodeError::Empty),
                    1..=Self::MAX_NUMBER => {}
                    _ => {
                        return Err(EncodeError::TooMany {
                            actual: usize::from(number),
                            limit: usize::from(Self::MAX_NUMBER),
                        });
                    }
                }
                out.put_u8(Self::FOLLOW_ON | number << 1 | u8::from(last));
                out.put_u32(message_id);
            }
        }
        out.put_u16(size);
        Ok(())
    }
}

impl Fragment<'_> {
    /// Returns how many bytes [`Fragment::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        self.instructions
            .encoded_len()
            .saturating_add(self.data.len())
    }

    /// Appends the fragment with its instructions.
    ///
    /// # Errors
    ///
    /// As [`Instructions::encode`].
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        self.instructions.encode(self.data.len(), out)?;
        out.put_slice(self.data);
        Ok(())
    }
}

impl fmt::Debug for Fragment<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("instructions", &self.instructions)
            .field("data_len", &self.data.len())
            .finish()
    }
}

/// The fragments of a decrypted tunnel message in turn: of what follows padding and zero byte.
/// After an error there are no more.
#[derive(Debug, Clone)]
pub struct Fragments<'a> {
    reader: Reader<'a>,
}

impl<'a> Fragments<'a> {
    /// Splits the payload of a tunnel message.
    pub fn new(payload: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(payload),
        }
    }

    fn take(&mut self) -> Result<Fragment<'a>, DecodeError> {
        let instructions = Instructions::parse(&mut self.reader)?;
        let len = usize::from(self.reader.u16()?);
        let data = self.reader.take(len)?;
        Ok(Fragment { instructions, data })
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Result<Fragment<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let fragment = self.take();
        if fragment.is_err() {
            self.reader.rest();
        }
        Some(fragment)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TUNNEL: TunnelDelivery = TunnelDelivery::Tunnel {
        tunnel: match TunnelId::new(0x0102_0304) {
            Some(tunnel) => tunnel,
            None => panic!(),
        },
        gateway: RouterHash([5; 32]),
    };
    const ROUTER: TunnelDelivery = TunnelDelivery::Router(RouterHash([6; 32]));

    fn first(delivery: TunnelDelivery, message_id: Option<u32>) -> Instructions {
        Instructions::First {
            delivery,
            message_id,
        }
    }

    fn follow_on(number: u8, last: bool) -> Instructions {
        Instructions::FollowOn {
            message_id: 0x0a0b_0c0d,
            number,
            last,
        }
    }

    fn encoded(instructions: Instructions) -> Vec<u8> {
        let mut out = Vec::new();
        let fragment = Fragment {
            instructions,
            data: b"xy",
        };
        fragment.encode(&mut out).unwrap();
        assert_eq!(out.len(), fragment.encoded_len());
        out
    }

    #[test]
    fn instructions_have_their_layouts() {
        let id = Some(0x0a0b_0c0d);
        let (five, six) = (&[5; 32][..], &[6; 32][..]);
        let cases = [
            (first(TunnelDelivery::Local, None), b"\0\0\x02xy".to_vec()),
            (
                first(TunnelDelivery::Local, id),
                b"\x08\x0a\x0b\x0c\x0d\0\x02xy".to_vec(),
            ),
            (
                first(TUNNEL, None),
                [b"\x20\x01\x02\x03\x04", five, b"\0\x02xy"].concat(),
            ),
            (
                first(TUNNEL, id),
                [b"\x28\x01\x02\x03\x04", five, b"\x0a\x0b\x0c\x0d\0\x02xy"].concat(),
            ),
            (first(ROUTER, None), [b"\x40", six, b"\0\x02xy"].concat()),
            (
                first(ROUTER, id),
                [b"\x48", six, b"\x0a\x0b\x0c\x0d\0\x02xy"].concat(),
            ),
            (
                follow_on(1, false),
                b"\x82\x0a\x0b\x0c\x0d\0\x02xy".to_vec(),
            ),
            (
                follow_on(63, true),
                b"\xff\x0a\x0b\x0c\x0d\0\x02xy".to_vec(),
            ),
        ];
        let mut all = Vec::new();
        for (instructions, bytes) in &cases {
            assert_eq!(&encoded(*instructions), bytes, "{instructions:?}");
            all.extend_from_slice(bytes);
        }
        let parsed: Vec<_> = Fragments::new(&all).map(Result::unwrap).collect();
        let expected = cases.map(|(instructions, _)| instructions);
        assert!(parsed.iter().all(|fragment| fragment.data == b"xy"));
        let parsed: Vec<_> = parsed
            .iter()
            .map(|fragment| fragment.instructions)
            .collect();
        assert_eq!(parsed, expected);
    }

    #[test]
    fn delay_and_extended_options_are_skipped() {
        let bytes = b"\x1c\x77\x0a\x0b\x0c\x0d\x02zz\0\x02xy";
        let fragments: Vec<_> = Fragments::new(bytes).map(Result::unwrap).collect();
        let instructions = first(TunnelDelivery::Local, Some(0x0a0b_0c0d));
        let data = b"xy";
        assert_eq!(fragments, [Fragment { instructions, data }]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_ends_the_fragments() {
        let error = |bytes: &[u8]| {
            let mut fragments = Fragments::new(bytes);
            let error = fragments.next().unwrap().unwrap_err();
            assert_eq!(fragments.next(), None);
            error
        };
        assert_eq!(error(b"\x60\0\0"), DecodeError::Flags(0x60));
        assert_eq!(error(b"\x81\0\0\0\0\0\0"), DecodeError::Flags(0x81));
        let zero = [&b"\x20\0\0\0\0"[..], &[5; 34]].concat();
        assert_eq!(error(&zero), DecodeError::ZeroTunnelId);
        assert_eq!(error(b"\0\0\x03xy"), DecodeError::Truncated { missing: 1 });
        for instructions in [first(TUNNEL, Some(1)), follow_on(1, true)] {
            let bytes = encoded(instructions);
            for end in 1..bytes.len() {
                assert!(matches!(
                    error(&bytes[..end]),
                    DecodeError::Truncated { .. }
                ));
            }
        }
    }

    #[test]
    fn what_has_no_room_is_not_written() {
        let mut out = Vec::new();
        let (actual, limit) = (65536, 65535);
        assert_eq!(
            follow_on(1, true).encode(65536, &mut out),
            Err(EncodeError::TooLong { actual, limit })
        );
        let (actual, limit) = (64, 63);
        assert_eq!(
            follow_on(64, true).encode(1, &mut out),
            Err(EncodeError::TooMany { actual, limit })
        );
        assert_eq!(
            follow_on(0, true).encode(1, &mut out),
            Err(EncodeError::Empty)
        );
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_what_parses_the_same(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..200)
        ) {
            for fragment in Fragments::new(&bytes).map_while(Result::ok) {
                let mut out = Vec::new();
                fragment.encode(&mut out).unwrap();
                let again: Result<Vec<_>, _> = Fragments::new(&out).collect();
                prop_assert_eq!(again, Ok(vec![fragment]));
            }
        }
    }
}
