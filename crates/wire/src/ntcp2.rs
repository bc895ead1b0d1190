//! The blocks inside of NTCP2 frames (NTCP2, Data Phase, Unencrypted data), and those of message 3
//! of the handshake.
//!
//! [`Blocks`] goes through a decrypted frame without copying; [`Block::encode`] appends to one that
//! is being filled.

use std::fmt;

use bytes::BufMut;

use crate::block::{BLOCK_HEADER_LEN, PADDING, RawBlock, RawBlocks, put_header};
use crate::{DecodeError, EncodeError, I2npMessage, I2npRef, UnixTime};

const DATE_TIME: u8 = 0;
const OPTIONS: u8 = 1;
const ROUTER_INFO: u8 = 2;
const I2NP: u8 = 3;
const TERMINATION: u8 = 4;

/// The most bytes of all blocks of a frame: 65,535 less the MAC.
pub const MAX_FRAME_LEN: usize = 65_519;

/// A block of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Block<'a> {
    /// The sender's clock, in seconds, rounded to the nearest.
    DateTime(UnixTime),
    /// How the sender pads; i2pd ignores it.
    Options(PaddingOptions),
    /// A RouterInfo, not compressed.
    RouterInfo {
        /// Whether a floodfill is asked to flood it.
        flood: bool,
        /// The RouterInfo.
        bytes: &'a [u8],
    },
    /// A message.
    I2np(I2npRef<'a>),
    /// The last block of the link but Padding.
    Termination(Termination<'a>),
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

/// Requested padding and dummy traffic (NTCP2, Options).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PaddingOptions {
    /// Least padding sent, in sixteenths of the data.
    pub send_min: u8,
    /// Most padding sent, in sixteenths of the data.
    pub send_max: u8,
    /// Least padding to be received, in sixteenths of the data.
    pub receive_min: u8,
    /// Most padding to be received, in sixteenths of the data.
    pub receive_max: u8,
    /// Most dummy traffic sent, in bytes/s.
    pub send_dummy_bytes_per_s: u16,
    /// Dummy traffic asked for, in bytes/s.
    pub receive_dummy_bytes_per_s: u16,
    /// Longest delay put in between messages.
    pub send_delay_ms: u16,
    /// Delay asked for.
    pub receive_delay_ms: u16,
}

/// Why and after how much a link ends (NTCP2, Termination).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Termination<'a> {
    /// How many valid frames the sender has received.
    pub frames_received: u64,
    /// The reason.
    pub reason: TerminationReason,
    /// More about it, in no particular format.
    pub text: &'a [u8],
}

/// Why a link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TerminationReason {
    /// 0: normal close, or not said.
    Normal,
    /// 1: a termination was received.
    Received,
    /// 2.
    IdleTimeout,
    /// 3.
    Shutdown,
    /// 4: a MAC of the data phase did not fit.
    AeadFailure,
    /// 5.
    IncompatibleOptions,
    /// 6.
    SignatureType,
    /// 7.
    ClockSkew,
    /// 8.
    Padding,
    /// 9.
    Framing,
    /// 10.
    Payload,
    /// 11.
    Message1,
    /// 12.
    Message2,
    /// 13.
    Message3,
    /// 14: the rest of a frame did not come in time.
    ReadTimeout,
    /// 15: the signature of the RouterInfo does not hold.
    RouterInfoSignature,
    /// 16: the static key is not the published one.
    StaticKey,
    /// 17. Java I2P bans for two hours whom it receives this from.
    Banned,
    /// Any other.
    Other(u8),
}

impl TerminationReason {
    const KNOWN: [Self; 18] = [
        Self::Normal,
        Self::Received,
        Self::IdleTimeout,
        Self::Shutdown,
        Self::AeadFailure,
        Self::IncompatibleOptions,
        Self::SignatureType,
        Self::ClockSkew,
        Self::Padding,
        Self::Framing,
        Self::Payload,
        Self::Message1,
        Self::Message2,
        Self::Message3,
        Self::ReadTimeout,
        Self::RouterInfoSignature,
        Self::StaticKey,
        Self::Banned,
    ];

    /// Returns the reason of this number.
    pub fn from_code(code: u8) -> Self {
        let known = Self::KNOWN.get(usize::from(code));
        known.copied().unwrap_or(Self::Other(code))
    }

    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Self::Other(code) => code,
            known => (0..)
                .zip(Self::KNOWN)
                .find_map(|(code, reason)| (reason == known).then_some(code))
                .unwrap_or_default(),
        }
    }
}

/// The blocks of a decrypted frame in turn. After an error there are no more.
///
/// Padding must be the last block and Termination the last but Padding; a known block must have
/// what belongs into it.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    raw: RawBlocks<'a>,
}

impl<'a> Blocks<'a> {
    /// Splits a frame.
    pub fn new(frame: &'a [u8]) -> Self {
        Self {
            raw: RawBlocks::new(frame, TERMINATION),
        }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = match self.raw.next()? {
            Ok(raw) => raw,
            Err(error) => return Some(Err(error)),
        };
        let block = Block::parse(raw);
        if block.is_err() {
            self.raw = RawBlocks::new(&[], TERMINATION);
        }
        Some(block)
    }
}

impl<'a> Block<'a> {
    fn parse(raw: RawBlock<'a>) -> Result<Self, DecodeError> {
        let RawBlock { kind, data } = raw;
        Ok(match kind {
            DATE_TIME => Self::DateTime(UnixTime::from_secs(raw.reader(4)?.u32()?)),
            OPTIONS => {
                let mut reader = raw.reader(12)?;
                Self::Options(PaddingOptions {
                    send_min: reader.u8()?,
                    send_max: reader.u8()?,
                    receive_min: reader.u8()?,
                    receive_max: reader.u8()?,
                    send_dummy_bytes_per_s: reader.u16()?,
                    receive_dummy_bytes_per_s: reader.u16()?,
                    send_delay_ms: reader.u16()?,
                    receive_delay_ms: reader.u16()?,
                })
            }
            ROUTER_INFO => {
                let mut reader = raw.reader(1)?;
                Self::RouterInfo {
                    flood: reader.u8()? & 1 != 0,
                    bytes: reader.rest(),
                }
            }
            I2NP => {
                raw.reader(I2npMessage::SHORT_HEADER_LEN)?;
                Self::I2np(I2npRef::parse_short(data)?)
            }
            TERMINATION => {
                let mut reader = raw.reader(9)?;
                Self::Termination(Termination {
                    frames_received: reader.u64()?,
                    reason: TerminationReason::from_code(reader.u8()?),
                    text: reader.rest(),
                })
            }
            PADDING => Self::Padding(data),
            _ => Self::Unknown { kind, data },
        })
    }

    /// Returns how many bytes [`Block::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        self.data_len().saturating_add(BLOCK_HEADER_LEN)
    }

    fn data_len(&self) -> usize {
        match self {
            Self::DateTime(_) => 4,
            Self::Options(_) => 12,
            Self::RouterInfo { bytes, .. } => bytes.len().saturating_add(1),
            Self::I2np(message) => message
                .body
                .len()
                .saturating_add(I2npMessage::SHORT_HEADER_LEN),
            Self::Termination(termination) => termination.text.len().saturating_add(9),
            Self::Padding(data) | Self::Unknown { data, .. } => data.len(),
        }
    }

    /// Appends the block. Order and the length of the frame are the caller's.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for more than 65,535 bytes of data.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        put_header(self.kind(), self.data_len(), out)?;
        match self {
            Self::DateTime(time) => out.put_u32(time.to_secs_nearest()),
            Self::Options(options) => {
                out.put_u8(options.send_min);
                out.put_u8(options.send_max);
                out.put_u8(options.receive_min);
                out.put_u8(options.receive_max);
                out.put_u16(options.send_dummy_bytes_per_s);
                out.put_u16(options.receive_dummy_bytes_per_s);
                out.put_u16(options.send_delay_ms);
                out.put_u16(options.receive_delay_ms);
            }
            Self::RouterInfo { flood, bytes } => {
                out.put_u8(u8::from(*flood));
                out.put_slice(bytes);
            }
            Self::I2np(message) => message.encode_short(out),
            Self::Termination(termination) => {
                out.put_u64(termination.frames_received);
                out.put_u8(termination.reason.code());
                out.put_slice(termination.text);
            }
            Self::Padding(data) | Self::Unknown { data, .. } => out.put_slice(data),
        }
        Ok(())
    }

    fn kind(&self) -> u8 {
        match self {
            Self::DateTime(_) => DATE_TIME,
            Self::Options(_) => OPTIONS,
            Self::RouterInfo { .. } => ROUTER_INFO,
            Self::I2np(_) => I2NP,
            Self::Termination(_) => TERMINATION,
            Self::Padding(_) => PADDING,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl fmt::Debug for Block<'_> {
    /// Writes neither payloads nor RouterInfos.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DateTime(time) => f.debug_tuple("DateTime").field(time).finish(),
            Self::Options(options) => options.fmt(f),
            Self::RouterInfo { flood, bytes } => {
                write!(f, "RouterInfo(flood: {flood}, {} bytes)", bytes.len())
            }
            Self::I2np(message) => message.fmt(f),
            Self::Termination(termination) => termination.fmt(f),
            Self::Padding(data) => write!(f, "Padding({} bytes)", data.len()),
            Self::Unknown { kind, data } => write!(f, "Unknown({kind}, {} bytes)", data.len()),
        }
    }
}

impl fmt::Debug for Termination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Termination")
            .field("frames_received", &self.frames_received)
            .field("reason", &self.reason)
            .field("text_len", &self.text.len())
            .finish()
    }
}

/// What the second part of message 3 of the handshake holds (NTCP2, Block Ordering Rules): a
/// RouterInfo first, then perhaps Options, then perhaps Padding, nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HandshakePayload<'a> {
    /// Whether a floodfill is asked to flood the RouterInfo.
    pub flood: bool,
    /// The RouterInfo, not compressed.
    pub router_info: &'a [u8],
    /// How the sender pads.
    pub options: Option<PaddingOptions>,
}

impl<'a> HandshakePayload<'a> {
    /// Decodes a payload that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`Blocks`]; [`DecodeError::Empty`] without a block; [`DecodeError::BlockOrder`] for
    /// any other block or order.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut blocks = Blocks::new(bytes);
        let (flood, router_info) = match blocks.next().ok_or(DecodeError::Empty)?? {
            Block::RouterInfo { flood, bytes } => (flood, bytes),
            other => return Err(DecodeError::BlockOrder { kind: other.kind() }),
        };
        let mut options = None;
        for block in blocks {
            match block? {
                Block::Options(found) if options.is_none() => options = Some(found),
                Block::Padding(_) => {}
                other => return Err(DecodeError::BlockOrder { kind: other.kind() }),
            }
        }
        Ok(Self {
            flood,
            router_info,
            options,
        })
    }
}

impl fmt::Debug for HandshakePayload<'_> {
    /// Writes no RouterInfo.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakePayload")
            .field("flood", &self.flood)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
