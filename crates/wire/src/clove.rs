//! The blocks inside of garlic messages (ECIES-X25519-AEAD-Ratchet, Payload), those of sessions
//! between Destinations and those to routers.
//!
//! [`PayloadBlocks`] goes through a decrypted payload without copying; [`PayloadBlock::encode`]
//! appends to one that is being filled. Which blocks a message may hold depends on its kind and
//! is the session's to check.

use std::fmt;

use bytes::BufMut;

use crate::block::{BLOCK_HEADER_LEN, PADDING, RawBlock, RawBlocks, put_header};
use crate::{
    DecodeError, DestinationHash, EncodeError, I2npMessage, I2npRef, Reader, RouterHash, TunnelId,
    UnixTime,
};

const DATE_TIME: u8 = 0;
const TERMINATION: u8 = 4;
const MESSAGE_NUMBERS: u8 = 6;
const NEXT_KEY: u8 = 7;
const ACK: u8 = 8;
const ACK_REQUEST: u8 = 9;
const CLOVE: u8 = 11;

/// A block of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PayloadBlock<'a> {
    /// The sender's clock, in seconds.
    DateTime(UnixTime),
    /// The end of the session, with a reason, 0 for a normal one.
    Termination(u8),
    /// The number of the last message under the tag set before this one.
    MessageNumbers(u16),
    /// A step of the ratchet.
    NextKey(NextKey),
    /// Messages that arrived.
    Ack(Acks<'a>),
    /// The wish to have this message acknowledged.
    AckRequest,
    /// A message and where it is to go.
    Clove(GarlicClove<'a>),
    /// Bytes without a meaning, always the last block.
    Padding(&'a [u8]),
    /// A block of another type, to be ignored.
    Unknown {
        /// The type.
        kind: u8,
        /// The data.
        data: &'a [u8],
    },
}

/// A key of the Diffie-Hellman ratchet (Payload, Next DH Ratchet Public Key):
/// `[flags: u8][id: u16 BE]` and, with flag 0, `[key: 32]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextKey {
    /// The number of the key.
    pub id: u16,
    /// The X25519 key, `None` if the other side has it.
    pub key: Option<[u8; 32]>,
    /// Whether it is a key of the receiving direction: flag 1.
    pub reverse: bool,
    /// Whether a key of the other direction is wanted: flag 2.
    pub request_reverse: bool,
}

impl NextKey {
    const KEY: u8 = 1;
    const REVERSE: u8 = 2;
    const REQUEST: u8 = 4;
}

/// The acknowledged messages of a block (Payload, Ack): `[tag set: u16 BE][number: u16 BE]` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acks<'a> {
    /// A whole number of pairs.
    bytes: &'a [u8],
}

impl<'a> Acks<'a> {
    /// Returns tag set and number of each message.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || Some((reader.u16().ok()?, reader.u16().ok()?)))
    }

    /// Appends a whole block of these.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Empty`] for none, [`EncodeError::TooLong`] if they fit no block.
    pub fn encode(acks: &[(u16, u16)], out: &mut impl BufMut) -> Result<(), EncodeError> {
        if acks.is_empty() {
            return Err(EncodeError::Empty);
        }
        put_header(ACK, acks.len().saturating_mul(4), out)?;
        for (tag_set, number) in acks {
            out.put_u16(*tag_set);
            out.put_u16(*number);
        }
        Ok(())
    }
}

/// Where whoever opens a clove is to bring its message (I2NP, Garlic Clove Delivery
/// Instructions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloveDelivery {
    /// It keeps it.
    Local,
    /// To one of its own Destinations.
    Destination(DestinationHash),
    /// To a router.
    Router(RouterHash),
    /// Into a tunnel. The gateway stands before the id, other than in tunnel messages.
    Tunnel {
        /// The gateway.
        gateway: RouterHash,
        /// The tunnel's id on the gateway.
        tunnel: TunnelId,
    },
}

impl CloveDelivery {
    const ENCRYPTED: u8 = 0x80;
    const DELAY: u8 = 0x10;

    fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        // A key for the clove would follow; nobody ever implemented it.
        if flags & Self::ENCRYPTED != 0 {
            return Err(DecodeError::Flags(flags));
        }
        let delivery = match (flags >> 5) & 3 {
            0 => Self::Local,
            1 => Self::Destination(DestinationHash(reader.array()?)),
            2 => Self::Router(RouterHash::parse(reader)?),
            _ => Self::Tunnel {
                gateway: RouterHash::parse(reader)?,
                tunnel: TunnelId::parse(reader)?,
            },
        };
        if flags & Self::DELAY != 0 {
            reader.u32()?;
        }
        Ok(delivery)
    }

    fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Local => out.put_u8(0),
            Self::Destination(hash) => {
                out.put_u8(1 << 5);
                out.put_slice(hash.as_bytes());
            }
            Self::Router(hash) => {
                out.put_u8(2 << 5);
                out.put_slice(hash.as_bytes());
            }
            Self::Tunnel { gateway, tunnel } => {
                out.put_u8(3 << 5);
                out.put_slice(gateway.as_bytes());
                out.put_u32(tunnel.get());
            }
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Local => 1,
            Self::Destination(_) | Self::Router(_) => 33,
            Self::Tunnel { .. } => 37,
        }
    }
}

/// A message in a garlic message (Payload, Garlic Clove):
/// `[delivery: 1, 33 or 37][type: u8][id: u32 BE][expires: u32 BE, s][body]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GarlicClove<'a> {
    /// Where it is to go.
    pub delivery: CloveDelivery,
    /// The message.
    pub message: I2npRef<'a>,
}

/// The blocks of a decrypted payload in turn. After an error there are no more.
///
/// Padding must be the last block and Termination the last but Padding; a known block must have
/// what belongs into it.
#[derive(Debug, Clone)]
pub struct PayloadBlocks<'a> {
    raw: RawBlocks<'a>,
}

impl<'a> PayloadBlocks<'a> {
    /// Splits a payload.
    pub fn new(payload: &'a [u8]) -> Self {
        Self {
            raw: RawBlocks::new(payload, TERMINATION),
        }
    }
}

impl<'a> Iterator for PayloadBlocks<'a> {
    type Item = Result<PayloadBlock<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.raw.next()?.and_then(PayloadBlock::parse);
        if block.is_err() {
            self.raw = RawBlocks::new(&[], TERMINATION);
        }
        Some(block)
    }
}

impl<'a> PayloadBlock<'a> {
    fn parse(raw: RawBlock<'a>) -> Result<Self, DecodeError> {
        let RawBlock { kind, data } = raw;
        Ok(match kind {
            DATE_TIME => Self::DateTime(UnixTime::from_secs(raw.reader(4)?.u32()?)),
            TERMINATION => Self::Termination(raw.reader(1)?.u8()?),
            MESSAGE_NUMBERS => Self::MessageNumbers(raw.reader(2)?.u16()?),
            NEXT_KEY => {
                let mut reader = raw.reader(3)?;
                let flags = reader.u8()?;
                let id = reader.u16()?;
                let key = match flags & NextKey::KEY {
                    0 => None,
                    _ => {
                        raw.reader(35)?;
                        Some(reader.array()?)
                    }
                };
                Self::NextKey(NextKey {
                    id,
                    key,
                    reverse: flags & NextKey::REVERSE != 0,
                    request_reverse: flags & NextKey::REQUEST != 0,
                })
            }
            ACK if data.is_empty() || data.len() % 4 != 0 => {
                return Err(DecodeError::BlockLength {
                    kind,
                    actual: data.len(),
                });
            }
            ACK => Self::Ack(Acks { bytes: data }),
            ACK_REQUEST => Self::AckRequest,
            CLOVE => {
                let mut reader = Reader::new(data);
                Self::Clove(GarlicClove {
                    delivery: CloveDelivery::parse(&mut reader)?,
                    message: I2npRef::parse_short(reader.rest())?,
                })
            }
            PADDING => Self::Padding(data),
            _ => Self::Unknown { kind, data },
        })
    }

    /// Returns how many bytes [`PayloadBlock::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        self.data_len().saturating_add(BLOCK_HEADER_LEN)
    }

    fn data_len(&self) -> usize {
        match self {
            Self::DateTime(_) => 4,
            Self::Termination(_) | Self::AckRequest => 1,
            Self::MessageNumbers(_) => 2,
            Self::NextKey(NextKey { key: None, .. }) => 3,
            Self::NextKey(NextKey { key: Some(_), .. }) => 35,
            Self::Ack(acks) => acks.bytes.len(),
            Self::Clove(clove) => clove
                .message
                .body
                .len()
                .saturating_add(clove.delivery.encoded_len())
                .saturating_add(I2npMessage::SHORT_HEADER_LEN),
            Self::Padding(data) | Self::Unknown { data, .. } => data.len(),
        }
    }

    /// Appends the block. Order and the length of the payload are the caller's.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for more than 65,535 bytes of data.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        put_header(self.kind(), self.data_len(), out)?;
        match self {
            Self::DateTime(time) => out.put_u32(time.to_secs_nearest()),
            Self::Termination(reason) => out.put_u8(*reason),
            Self::MessageNumbers(last) => out.put_u16(*last),
            Self::NextKey(next) => {
                let flags = [
                    (next.key.is_some(), NextKey::KEY),
                    (next.reverse, NextKey::REVERSE),
                    (next.request_reverse, NextKey::REQUEST),
                ];
                out.put_u8(flags.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum());
                out.put_u16(next.id);
                if let Some(key) = &next.key {
                    out.put_slice(key);
                }
            }
            Self::Ack(acks) => out.put_slice(acks.bytes),
            Self::AckRequest => out.put_u8(0),
            Self::Clove(clove) => {
                clove.delivery.encode(out);
                clove.message.encode_short(out);
            }
            Self::Padding(data) | Self::Unknown { data, .. } => out.put_slice(data),
        }
        Ok(())
    }

    fn kind(&self) -> u8 {
        match self {
            Self::DateTime(_) => DATE_TIME,
            Self::Termination(_) => TERMINATION,
            Self::MessageNumbers(_) => MESSAGE_NUMBERS,
            Self::NextKey(_) => NEXT_KEY,
            Self::Ack(_) => ACK,
            Self::AckRequest => ACK_REQUEST,
            Self::Clove(_) => CLOVE,
            Self::Padding(_) => PADDING,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl fmt::Debug for PayloadBlock<'_> {
    /// Writes no payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DateTime(time) => f.debug_tuple("DateTime").field(time).finish(),
            Self::Termination(reason) => write!(f, "Termination({reason})"),
            Self::MessageNumbers(last) => write!(f, "MessageNumbers({last})"),
            Self::NextKey(next) => next.fmt(f),
            Self::Ack(acks) => f.debug_list().entries(acks.iter()).finish(),
            Self::AckRequest => f.write_str("AckRequest"),
            Self::Clove(clove) => clove.fmt(f),
            Self::Padding(data) => write!(f, "Padding({} bytes)", data.len()),
            Self::Unknown { kind, data } => write!(f, "Unknown({kind}, {} bytes)", data.len()),
        }
    }
}

#[cfg(test)]
mod tests;
