//! Packets of the streaming protocol (Streaming Library Specification), which is protocol 6 of what
//! Destinations send each other. The gzip around them, with its ports, is the caller's.
//!
//! [`Packet`] reads one where it is; [`PacketBuilder`] writes one. Both are for all of its forms:
//! those that open a stream, data, plain acknowledgements, those that end one, pings and pongs.

use std::fmt;
use std::ops::{BitOr, BitOrAssign, Range};

use bytes::{BufMut, BytesMut};

use crate::{
    DecodeError, Destination, DestinationHash, EncodeError, OfflineBlock, Reader, SigningKeyType,
};

/// The number of the protocol, in the tenth byte of the gzip header around each packet.
pub const PROTOCOL: u8 = 6;

/// How long a packet without NACKs, options and payload is.
pub const MIN_PACKET_LEN: usize = 22;

/// The flags of a packet (Flags and Option Data Fields). Bits without a meaning are kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// Opens a stream, or answers that.
    pub const SYNCHRONIZE: Self = Self(1);
    /// Ends the sender's direction.
    pub const CLOSE: Self = Self(1 << 1);
    /// Ends the stream at once.
    pub const RESET: Self = Self(1 << 2);
    /// The packet has a signature.
    pub const SIGNATURE_INCLUDED: Self = Self(1 << 3);
    /// Asks for signatures; nobody does.
    pub const SIGNATURE_REQUESTED: Self = Self(1 << 4);
    /// The packet has the Destination of its sender.
    pub const FROM_INCLUDED: Self = Self(1 << 5);
    /// The packet has a delay: of acknowledgements, or of everything.
    pub const DELAY_REQUESTED: Self = Self(1 << 6);
    /// The packet has the size of payloads that its sender takes.
    pub const MAX_PACKET_SIZE_INCLUDED: Self = Self(1 << 7);
    /// The interactive profile, which nobody looks at.
    pub const PROFILE_INTERACTIVE: Self = Self(1 << 8);
    /// A ping or a pong.
    pub const ECHO: Self = Self(1 << 9);
    /// The acknowledgement means nothing.
    pub const NO_ACK: Self = Self(1 << 10);
    /// The packet has a transient key and the leave to use it.
    pub const OFFLINE_SIGNATURE: Self = Self(1 << 11);

    /// The bits that have a meaning.
    const KNOWN: u16 = (1 << 12) - 1;

    /// Says whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Says whether any of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Says whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 12] = [
            "SYN",
            "CLOSE",
            "RESET",
            "SIG",
            "SIG_REQ",
            "FROM",
            "DELAY",
            "MAX_SIZE",
            "INTERACTIVE",
            "ECHO",
            "NO_ACK",
            "OFFLINE",
        ];
        f.write_str("Flags(")?;
        let mut first = true;
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                f.write_str(if first { "" } else { " " })?;
                f.write_str(name)?;
                first = false;
            }
        }
        f.write_str(")")
    }
}

/// A packet, read where it is:
///
/// `[send stream: u32][receive stream: u32][sequence: u32][ack through: u32][NACK count: u8]`
/// `[NACKs: u32 each][resend delay: u8][flags: u16][option size: u16][options][payload]`.
///
/// "Send" and "receive" are the sender's: an answer has them the other way around.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    /// The number that its receiver gave the stream; 0 before the sender knows it.
    pub send_stream: u32,
    /// The number that its sender gave the stream; 0 if it has none.
    pub receive_stream: u32,
    /// The place among the sender's packets, 0 of the first one and of a plain acknowledgement.
    pub sequence: u32,
    /// The highest sequence number that came, unless [`Flags::NO_ACK`] is set.
    pub ack_through: u32,
    nacks: &'a [u8],
    /// In how many seconds the sender will send it again; nobody looks at it.
    pub resend_delay: u8,
    /// The flags.
    pub flags: Flags,
    options: &'a [u8],
    /// What the stream is for.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// How many NACKs a SYN has that names its target instead (Replay Prevention).
    const TARGET_NACKS: usize = 8;

    /// Reads a packet that is all of `bytes`, without its options.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let send_stream = reader.u32()?;
        let receive_stream = reader.u32()?;
        let sequence = reader.u32()?;
        let ack_through = reader.u32()?;
        let nack_count = usize::from(reader.u8()?);
        let nacks = reader.take(nack_count.saturating_mul(4))?;
        let resend_delay = reader.u8()?;
        let flags = Flags(reader.u16()?);
        let option_size = usize::from(reader.u16()?);
        let options = reader.take(option_size)?;
        Ok(Self {
            bytes,
            send_stream,
            receive_stream,
            sequence,
            ack_through,
            nacks,
            resend_delay,
            flags,
            options,
            payload: reader.rest(),
        })
    }

    /// Returns the bytes it was read from.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns how many NACKs there are.
    pub fn nack_count(&self) -> usize {
        self.nacks.len() / 4
    }

    /// Returns the sequence numbers up to `ack_through` that did not come.
    pub fn nacks(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut reader = Reader::new(self.nacks);
        std::iter::from_fn(move || reader.u32().ok())
    }

    /// Returns whom a SYN is for, which stands where the NACKs would (Replay Prevention).
    pub fn target(&self) -> Option<DestinationHash> {
        if !self.flags.contains(Flags::SYNCHRONIZE) || self.nack_count() != Self::TARGET_NACKS {
            return None;
        }
        self.nacks.try_into().ok().map(DestinationHash)
    }

    /// Says whether it is nothing but an acknowledgement, which is not to be acknowledged.
    pub fn is_plain_ack(&self) -> bool {
        self.sequence == 0 && !self.flags.intersects(Flags::SYNCHRONIZE | Flags::ECHO)
    }

    /// Returns the delay, the first of the options, without reading the others.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`].
    pub fn delay(&self) -> Result<Option<u16>, DecodeError> {
        match self.flags.contains(Flags::DELAY_REQUESTED) {
            true => Reader::new(self.options).u16().map(Some),
            false => Ok(None),
        }
    }

    /// Reads the options. `signer` is the type of the signing key of the sender's Destination if
    /// that is known from before, and is asked for only if the packet does not say it.
    ///
    /// Nothing may follow the last option, unless flags are set that are not known.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`],
    /// [`DecodeError::KeyCertificateTooShort`], [`DecodeError::UnknownSigningType`] of the sender
    /// or of a transient key, also if nobody knows it.
    pub fn options(&self, signer: Option<SigningKeyType>) -> Result<Options<'a>, DecodeError> {
        let has = |flag| self.flags.contains(flag);
        let mut reader = Reader::new(self.options);
        let mut options = Options::default();
        if has(Flags::DELAY_REQUESTED) {
            options.delay = Some(reader.u16()?);
        }
        if has(Flags::FROM_INCLUDED) {
            options.from = Some(Destination::parse(&mut reader)?);
        }
        if has(Flags::MAX_PACKET_SIZE_INCLUDED) {
            options.max_size = Some(reader.u16()?);
        }
        let from = options.from.as_ref().map(Destination::signing_key_type);
        let signer = from.or(signer);
        let unknown = DecodeError::UnknownSigningType(u16::MAX);
        if has(Flags::OFFLINE_SIGNATURE) {
            options.offline = Some(OfflineBlock::parse(&mut reader, signer.ok_or(unknown)?)?);
        }
        if has(Flags::SIGNATURE_INCLUDED) {
            let transient = options.offline.as_ref().map(|block| block.transient_type);
            let kind = transient.or(signer).ok_or(unknown)?;
            let unknown = DecodeError::UnknownSigningType(kind.code());
            let len = kind.signature_len().ok_or(unknown)?;
            let before_options = self.bytes.len() - self.payload.len() - self.options.len();
            let start = before_options + (self.options.len() - reader.remaining());
            options.signature = Some(reader.take(len)?);
            options.signature_range = start..start + len;
        }
        if self.flags.0 & !Flags::KNOWN == 0 {
            reader.finish()?;
        }
        Ok(options)
    }

    /// Returns what the signature of `options` covers: the whole packet, with zeros for the
    /// signature.
    pub fn signed_bytes(&self, options: &Options<'_>) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        if let Some(signature) = bytes.get_mut(options.signature_range.clone()) {
            signature.fill(0);
        }
        bytes
    }
}

impl fmt::Debug for Packet<'_> {
    /// Shows the header, and of the payload its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("sequence", &self.sequence)
            .field("ack_through", &self.ack_through)
            .field("nacks", &self.nack_count())
            .field("flags", &self.flags)
            .field("payload_len", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// The options of a packet, in the order they stand in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options<'a> {
    /// How many milliseconds the receiver may wait before it acknowledges; 0 asks for that at
    /// once, more than 60,000 for silence until told otherwise.
    pub delay: Option<u16>,
    /// The sender.
    pub from: Option<Destination>,
    /// The longest payload that the sender takes.
    pub max_size: Option<u16>,
    /// The sender's transient key.
    pub offline: Option<OfflineBlock>,
    /// The signature over the whole packet.
    pub signature: Option<&'a [u8]>,
    signature_range: Range<usize>,
}

/// A packet to be written; see [`Packet`] for its fields.
#[derive(Debug, Clone, Default)]
pub struct PacketBuilder<'a> {
    /// The number that its receiver gave the stream.
    pub send_stream: u32,
    /// The number that its sender gave the stream.
    pub receive_stream: u32,
    /// The place among the sender's packets.
    pub sequence: u32,
    /// The highest sequence number that came.
    pub ack_through: u32,
    /// The sequence numbers up to that which did not come, 255 at most.
    pub nacks: &'a [u32],
    /// Whom a SYN is for, in place of NACKs.
    pub target: Option<DestinationHash>,
    /// In how many seconds it will be sent again.
    pub resend_delay: u8,
    /// The flags. Those of the options below need not be set.
    pub flags: Flags,
    /// The delay.
    pub delay: Option<u16>,
    /// The sender.
    pub from: Option<&'a Destination>,
    /// The longest payload that the sender takes.
    pub max_size: Option<u16>,
    /// The sender's transient key.
    pub offline: Option<&'a OfflineBlock>,
    /// The length of a signature, for which zeros are written.
    pub signature_len: Option<usize>,
    /// The payload. More of it may be appended afterwards.
    pub payload: &'a [u8],
}

impl PacketBuilder<'_> {
    /// Appends the packet and returns where in `out` the zeros for its signature are, an empty
    /// range if it has none. The signature is over the packet from its first byte to its last.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooMany`] for more than 255 NACKs, [`EncodeError::TooLong`] for options that
    /// do not fit their length.
    pub fn encode(&self, out: &mut BytesMut) -> Result<Range<usize>, EncodeError> {
        let target = self.target.as_ref().map(DestinationHash::as_bytes);
        let nack_count = match target {
            Some(_) => Packet::TARGET_NACKS,
            None => self.nacks.len(),
        };
        let count = u8::try_from(nack_count).map_err(|_| EncodeError::TooMany {
            actual: nack_count,
            limit: usize::from(u8::MAX),
        })?;
        let mut flags = self.flags;
        let mut options_len: usize = 0;
        let mut add = |present: bool, flag, len: usize| {
            if present {
                flags |= flag;
                options_len = options_len.saturating_add(len);
            }
        };
        add(self.delay.is_some(), Flags::DELAY_REQUESTED, 2);
        let from_len = self.from.map_or(0, |from| from.as_bytes().len());
        add(self.from.is_some(), Flags::FROM_INCLUDED, from_len);
        add(self.max_size.is_some(), Flags::MAX_PACKET_SIZE_INCLUDED, 2);
        let offline = self.offline.map(|block| {
            let mut bytes = Vec::new();
            block.encode(&mut bytes);
            bytes
        });
        let offline_len = offline.as_ref().map_or(0, Vec::len);
        add(offline.is_some(), Flags::OFFLINE_SIGNATURE, offline_len);
        let signature_len = self.signature_len.unwrap_or(0);
        add(
            self.signature_len.is_some(),
            Flags::SIGNATURE_INCLUDED,
            signature_len,
        );
        let option_size = u16::try_from(options_len).map_err(|_| EncodeError::TooLong {
            actual: options_len,
            limit: usize::from(u16::MAX),
        })?;

        out.reserve(
            MIN_PACKET_LEN
                .saturating_add(nack_count.saturating_mul(4))
                .saturating_add(options_len)
                .saturating_add(self.payload.len()),
        );
        out.put_u32(self.send_stream);
        out.put_u32(self.receive_stream);
        out.put_u32(self.sequence);
        out.put_u32(self.ack_through);
        out.put_u8(count);
        match target {
            Some(target) => out.put_slice(target),
            None => self.nacks.iter().for_each(|&nack| out.put_u32(nack)),
        }
        out.put_u8(self.resend_delay);
        out.put_u16(flags.0);
        out.put_u16(option_size);
        if let Some(delay) = self.delay {
            out.put_u16(delay);
        }
        if let Some(from) = self.from {
            out.put_slice(from.as_bytes());
        }
        if let Some(max_size) = self.max_size {
            out.put_u16(max_size);
        }
        if let Some(offline) = offline {
            out.put_slice(&offline);
        }
        let start = out.len();
        out.put_bytes(0, signature_len);
        let signature = start..out.len();
        out.put_slice(self.payload);
        Ok(signature)
    }
}

#[cfg(test)]
mod tests;
