//! Tunnel build records in the clear (ECIES tunnel creation, Build Request Records, Short Build
//! Request Records and the replies to both).
//!
//! A record is written over a buffer of its whole length: what the fields do not cover stays as it
//! is, so fill it with random bytes before.

use std::fmt;
use std::time::Duration;

use bytes::BufMut;
use zeroize::Zeroizing;

use crate::{DecodeError, EncodeError, Mapping, Reader, RouterHash, TunnelId, UnixTime};

/// The length of a short request in the clear.
pub const SHORT_REQUEST_LEN: usize = 154;
/// The length of a short reply in the clear.
pub const SHORT_REPLY_LEN: usize = 202;
/// The length of a long request in the clear.
pub const LONG_REQUEST_LEN: usize = 464;
/// The length of a long reply in the clear.
pub const LONG_REPLY_LEN: usize = 512;

/// What a hop is in the tunnel: bits 7 and 6 of the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HopRole {
    /// Neither: it takes from the hop before and gives to the hop after.
    Participant,
    /// Bit 7: anyone may send messages in.
    InboundGateway,
    /// Bit 6: messages leave to anyone, and the reply goes to the next hop in another message.
    OutboundEndpoint,
}

/// What requests of both lengths ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The tunnel's id on this hop.
    pub receive_tunnel: TunnelId,
    /// The tunnel's id on the next hop, or where the reply goes.
    pub next_tunnel: TunnelId,
    /// The next hop, or the gateway of the reply tunnel.
    pub next_hop: RouterHash,
    /// What the hop is to be.
    pub role: HopRole,
    /// How layers are encrypted, 0 for AES, the only one in use. Long requests do not say.
    pub layer_type: u8,
    /// When the tunnel was asked for, in minutes, rounded down.
    pub requested: UnixTime,
    /// How long the tunnel is to live, in seconds. All ask for 600.
    pub lifetime: Duration,
    /// The id the message has when it leaves this hop.
    pub next_message_id: u32,
    /// Options; see [`BandwidthRequest`].
    pub options: Mapping,
}

/// A short request: `[receive tunnel: u32 BE][next tunnel: u32 BE][next hop: 32][flags: u8][0; 2]
/// [layer type: u8][minutes: u32 BE][lifetime: u32 BE, s][next message id: u32 BE]
/// [options: Mapping][padding]`, 154 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortBuildRequest(pub BuildRequest);

/// A long request: `[receive tunnel: u32 BE][next tunnel: u32 BE][next hop: 32][layer key: 32]
/// [IV key: 32][reply key: 32][reply IV: 16][flags: u8][0; 3][minutes: u32 BE]
/// [lifetime: u32 BE, s][next message id: u32 BE][options: Mapping][padding]`, 464 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct LongBuildRequest {
    /// What it asks for; the layer type is 0.
    pub request: BuildRequest,
    /// The AES key of this hop's layer.
    pub layer_key: Zeroizing<[u8; 32]>,
    /// The AES key for the initial vectors.
    pub iv_key: Zeroizing<[u8; 32]>,
    /// The AES key with which the hop covers the other records.
    pub reply_key: Zeroizing<[u8; 32]>,
    /// The initial vector for that.
    pub reply_iv: [u8; 16],
}

impl BuildRequest {
    const GATEWAY: u8 = 0x80;
    const ENDPOINT: u8 = 0x40;

    fn flags(&self) -> u8 {
        match self.role {
            HopRole::Participant => 0,
            HopRole::InboundGateway => Self::GATEWAY,
            HopRole::OutboundEndpoint => Self::ENDPOINT,
        }
    }

    fn put_ids(&self, out: &mut impl BufMut) {
        out.put_u32(self.receive_tunnel.get());
        out.put_u32(self.next_tunnel.get());
        out.put_slice(self.next_hop.as_bytes());
    }

    fn put_times(&self, out: &mut impl BufMut) {
        let minutes = self.requested.as_secs() / 60;
        out.put_u32(u32::try_from(minutes).unwrap_or(u32::MAX));
        out.put_u32(u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX));
        out.put_u32(self.next_message_id);
    }
}

/// Takes the flags, of which unknown ones are ignored.
fn take_role(reader: &mut Reader<'_>) -> Result<HopRole, DecodeError> {
    let flags = reader.u8()?;
    match (
        flags & BuildRequest::GATEWAY != 0,
        flags & BuildRequest::ENDPOINT != 0,
    ) {
        (false, false) => Ok(HopRole::Participant),
        (true, false) => Ok(HopRole::InboundGateway),
        (false, true) => Ok(HopRole::OutboundEndpoint),
        (true, true) => Err(DecodeError::Flags(flags)),
    }
}

fn take_minutes(reader: &mut Reader<'_>) -> Result<UnixTime, DecodeError> {
    let minutes = u64::from(reader.u32()?);
    Ok(UnixTime::from_millis(minutes.saturating_mul(60_000)))
}

/// Takes options; damaged ones are as good as none, since others ignore all of them.
fn take_options(reader: &mut Reader<'_>) -> Mapping {
    Mapping::parse(reader).unwrap_or_default()
}

/// Checks that options have room and returns them as they are written.
fn check_options(options: &Mapping, limit: usize) -> Result<&Mapping, EncodeError> {
    match options.encoded_len() <= limit {
        true => Ok(options),
        false => Err(EncodeError::TooLong {
            actual: options.encoded_len(),
            limit,
        }),
    }
}

impl ShortBuildRequest {
    /// The most bytes of the options, their size counted.
    pub const MAX_OPTIONS_LEN: usize = 98;

    /// Decodes a decrypted record.
    ///
    /// # Errors
    ///
    /// [`DecodeError::ZeroTunnelId`]; [`DecodeError::Flags`] for two roles.
    pub fn parse(record: &[u8; SHORT_REQUEST_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        let receive_tunnel = TunnelId::parse(&mut reader)?;
        let next_tunnel = TunnelId::parse(&mut reader)?;
        let next_hop = RouterHash::parse(&mut reader)?;
        let role = take_role(&mut reader)?;
        reader.take(2)?;
        Ok(Self(BuildRequest {
            receive_tunnel,
            next_tunnel,
            next_hop,
            role,
            layer_type: reader.u8()?,
            requested: take_minutes(&mut reader)?,
            lifetime: Duration::from_secs(reader.u32()?.into()),
            next_message_id: reader.u32()?,
            options: take_options(&mut reader),
        }))
    }

    /// Writes the record over one of random bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for options of more than [`Self::MAX_OPTIONS_LEN`] bytes.
    pub fn write(&self, record: &mut [u8; SHORT_REQUEST_LEN]) -> Result<(), EncodeError> {
        let options = check_options(&self.0.options, Self::MAX_OPTIONS_LEN)?;
        let mut out = &mut record[..];
        self.0.put_ids(&mut out);
        out.put_u8(self.0.flags());
        out.put_u16(0);
        out.put_u8(self.0.layer_type);
        self.0.put_times(&mut out);
        options.encode(&mut out);
        Ok(())
    }
}

impl LongBuildRequest {
    /// The most bytes of the options, their size counted.
    pub const MAX_OPTIONS_LEN: usize = 296;

    /// Decodes a decrypted record.
    ///
    /// # Errors
    ///
    /// [`DecodeError::ZeroTunnelId`]; [`DecodeError::Flags`] for two roles.
    pub fn parse(record: &[u8; LONG_REQUEST_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        let receive_tunnel = TunnelId::parse(&mut reader)?;
        let next_tunnel = TunnelId::parse(&mut reader)?;
        let next_hop = RouterHash::parse(&mut reader)?;
        let layer_key = Zeroizing::new(reader.array()?);
        let iv_key = Zeroizing::new(reader.array()?);
        let reply_key = Zeroizing::new(reader.array()?);
        let reply_iv = reader.array()?;
        let role = take_role(&mut reader)?;
        reader.take(3)?;
        Ok(Self {
            request: BuildRequest {
                receive_tunnel,
                next_tunnel,
                next_hop,
                role,
                layer_type: 0,
                requested: take_minutes(&mut reader)?,
                lifetime: Duration::from_secs(reader.u32()?.into()),
                next_message_id: reader.u32()?,
                options: take_options(&mut reader),
            },
            layer_key,
            iv_key,
            reply_key,
            reply_iv,
        })
    }

    /// Writes the record over one of random bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for options of more than [`Self::MAX_OPTIONS_LEN`] bytes.
    pub fn write(&self, record: &mut [u8; LONG_REQUEST_LEN]) -> Result<(), EncodeError> {
        let options = check_options(&self.request.options, Self::MAX_OPTIONS_LEN)?;
        let mut out = &mut record[..];
        self.request.put_ids(&mut out);
        out.put_slice(self.layer_key.as_slice());
        out.put_slice(self.iv_key.as_slice());
        out.put_slice(self.reply_key.as_slice());
        out.put_slice(&self.reply_iv);
        out.put_u8(self.request.flags());
        out.put_slice(&[0; 3]);
        self.request.put_times(&mut out);
        options.encode(&mut out);
        Ok(())
    }
}

impl fmt::Debug for LongBuildRequest {
    /// Writes no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongBuildRequest")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A hop's answer to a request of either length: `[options: Mapping][padding][code: u8]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildReply {
    /// What became of it.
    pub code: ReplyCode,
    /// Options; see [`BuildReply::available_kilobytes_per_s`].
    pub options: Mapping,
}

/// Whether a hop takes part in a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReplyCode {
    /// 0.
    #[default]
    Accepted,
    /// Any other, without more of a meaning: 30 is what all should say, whatever the cause, and
    /// 10 and 20 occur.
    Rejected(u8),
}

impl ReplyCode {
    /// The code every rejection should have, so that it tells nothing of the hop.
    pub const BANDWIDTH: Self = Self::Rejected(30);

    /// Returns the meaning of this number.
    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Accepted,
            _ => Self::Rejected(code),
        }
    }

    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Rejected(code) => code,
        }
    }
}

impl BuildReply {
    /// Makes a reply without options.
    pub fn new(code: ReplyCode) -> Self {
        Self {
            code,
            options: Mapping::default(),
        }
    }

    /// Decodes a decrypted short record.
    pub fn parse_short(record: &[u8; SHORT_REPLY_LEN]) -> Self {
        Self::parse(record)
    }

    /// Decodes a decrypted long record.
    pub fn parse_long(record: &[u8; LONG_REPLY_LEN]) -> Self {
        Self::parse(record)
    }

    fn parse(record: &[u8]) -> Self {
        let (code, options) = record.split_last().expect("a record is not empty");
        Self {
            code: ReplyCode::from_code(*code),
            options: take_options(&mut Reader::new(options)),
        }
    }

    /// Writes the short record over one of random bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for options of more than 201 bytes, their size counted.
    pub fn write_short(&self, record: &mut [u8; SHORT_REPLY_LEN]) -> Result<(), EncodeError> {
        self.write(record)
    }

    /// Writes the long record over one of random bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for options of more than 511 bytes, their size counted.
    pub fn write_long(&self, record: &mut [u8; LONG_REPLY_LEN]) -> Result<(), EncodeError> {
        self.write(record)
    }

    fn write(&self, record: &mut [u8]) -> Result<(), EncodeError> {
        let (code, mut rest) = record.split_last_mut().expect("a record is not empty");
        check_options(&self.options, rest.len())?.encode(&mut rest);
        *code = self.code.code();
        Ok(())
    }

    /// Returns the bandwidth the hop has for the tunnel: option `b` (Tunnel Bandwidth Parameters).
    pub fn available_kilobytes_per_s(&self) -> Option<u32> {
        kilobytes_per_s(&self.options, "b")
    }
}

/// The bandwidth a request asks for, in KB/s (ECIES tunnel creation, Tunnel Bandwidth Parameters).
/// What is missing or no positive number is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BandwidthRequest {
    /// Option `m`: with less the hop should refuse.
    pub minimum: Option<u32>,
    /// Option `r`: what the tunnel is likely to use.
    pub requested: Option<u32>,
    /// Option `l`: what the gateway is to let through at most.
    pub limit: Option<u32>,
}

impl BandwidthRequest {
    /// Finds the request among the options of a record.
    pub fn from_options(options: &Mapping) -> Self {
        Self {
            minimum: kilobytes_per_s(options, "m"),
            requested: kilobytes_per_s(options, "r"),
            limit: kilobytes_per_s(options, "l"),
        }
    }

    /// Returns the options of a record that asks for this.
    pub fn to_options(self) -> Mapping {
        let values = [
            ("m", self.minimum),
            ("r", self.requested),
            ("l", self.limit),
        ];
        let pairs = values
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?.to_string())));
        Mapping::from_pairs(pairs).expect("three short pairs with different keys")
    }
}

fn kilobytes_per_s(options: &Mapping, key: &str) -> Option<u32> {
    let text = options.get(key)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&rate| digits && rate > 0)
}

/// A request as it stands in a message, split into its parts (ECIES tunnel creation, Request Record
/// Encrypted): `[first half of the hop's hash: 16][ephemeral key: 32][ciphertext and MAC]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedRequest<'a> {
    /// The first 16 bytes of the hash of the hop it is for.
    pub hop: [u8; 16],
    /// The creator's X25519 key.
    pub ephemeral: [u8; 32],
    /// The encrypted request with its MAC.
    pub ciphertext: &'a [u8],
}

impl<'a> SealedRequest<'a> {
    /// The length of what stands before the ciphertext.
    pub const HEADER_LEN: usize = 48;
    /// The length of the MAC behind the ciphertext.
    pub const MAC_LEN: usize = 16;

    /// Splits a record.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`].
    pub fn parse(record: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        Ok(Self {
            hop: reader.array()?,
            ephemeral: reader.array()?,
            ciphertext: reader.rest(),
        })
    }
}

#[cfg(test)]
mod tests;
