use std::fmt;

use bytes::BufMut;

use crate::{DecodeError, EncodeError, I2npRef, Reader, TunnelId};

/// A TunnelData message (Tunnel message, Encrypted): what goes from hop to hop, borrowed.
///
/// `[tunnel: u32 BE][iv: 16][data: 1008]`, always 1028 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TunnelData<'a> {
    /// The tunnel's id on the receiving hop.
    pub tunnel: TunnelId,
    /// The initial vector.
    pub iv: &'a [u8; 16],
    /// The layers over instructions and fragments.
    pub data: &'a [u8; 1008],
}

impl<'a> TunnelData<'a> {
    /// The length of the message.
    pub const LEN: usize = 1028;

    /// Decodes a message that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`],
    /// [`DecodeError::ZeroTunnelId`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let tunnel = TunnelId::parse(&mut reader)?;
        let message = Self {
            tunnel,
            iv: reader.array_ref()?,
            data: reader.array_ref()?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u32(self.tunnel.get());
        out.put_slice(self.iv);
        out.put_slice(self.data);
    }
}

impl fmt::Debug for TunnelData<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TunnelData({})", self.tunnel)
    }
}

/// The parts of a [`TunnelData`] to be changed in place: a hop puts in the next hop's id and adds
/// its layer.
pub struct TunnelDataMut<'a> {
    id: &'a mut [u8; 4],
    /// The initial vector.
    pub iv: &'a mut [u8; 16],
    /// The layers over instructions and fragments.
    pub data: &'a mut [u8; 1008],
}

impl<'a> TunnelDataMut<'a> {
    /// Splits a message.
    pub fn new(message: &'a mut [u8; TunnelData::LEN]) -> Self {
        const SPLIT: &str = "1028 bytes are 4, 16 and 1008";
        let (id, rest) = message.split_first_chunk_mut().expect(SPLIT);
        let (iv, data) = rest.split_first_chunk_mut().expect(SPLIT);
        let data = data.try_into().expect(SPLIT);
        Self { id, iv, data }
    }

    /// Returns the tunnel's id, `None` if it is zero.
    pub fn tunnel(&self) -> Option<TunnelId> {
        TunnelId::new(u32::from_be_bytes(*self.id))
    }

    /// Replaces the tunnel's id.
    pub fn set_tunnel(&mut self, tunnel: TunnelId) {
        *self.id = tunnel.get().to_be_bytes();
    }
}

impl fmt::Debug for TunnelDataMut<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TunnelDataMut({:?})", self.tunnel())
    }
}

/// A TunnelGateway message (I2NP, TunnelGateway): a message to be sent into a tunnel, borrowed.
///
/// `[tunnel: u32 BE][len: u16 BE][message with a long header]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TunnelGateway<'a> {
    /// The tunnel's id on its gateway.
    pub tunnel: TunnelId,
    /// The message, which the gateway need not look into.
    pub message: &'a [u8],
}

impl<'a> TunnelGateway<'a> {
    /// The length of what stands before the message.
    pub const HEADER_LEN: usize = 6;

    /// Decodes a message that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`],
    /// [`DecodeError::ZeroTunnelId`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let tunnel = TunnelId::parse(&mut reader)?;
        let len = usize::from(reader.u16()?);
        let message = reader.take(len)?;
        reader.finish()?;
        Ok(Self { tunnel, message })
    }

    /// Decodes the message inside.
    ///
    /// # Errors
    ///
    /// As [`I2npRef::parse_long`].
    pub fn inner(&self) -> Result<I2npRef<'a>, DecodeError> {
        I2npRef::parse_long(self.message)
    }

    /// Appends the message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for more than 65,535 bytes inside.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        let len = u16::try_from(self.message.len()).map_err(|_| EncodeError::TooLong {
            actual: self.message.len(),
            limit: usize::from(u16::MAX),
        })?;
        out.put_u32(self.tunnel.get());
        out.put_u16(len);
        out.put_slice(self.message);
        Ok(())
    }
}

impl fmt::Debug for TunnelGateway<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TunnelGateway({}, {} bytes)",
            self.tunnel,
            self.message.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{I2npMessage, MessageType, UnixTime};

    fn tunnel_data() -> Vec<u8> {
        [&[0, 0, 0, 9][..], &[1; 16], &[2; 1008]].concat()
    }

    #[test]
    fn tunnel_data_is_looked_into_without_copying() {
        let bytes = tunnel_data();
        let message = TunnelData::parse(&bytes).unwrap();
        assert_eq!(message.tunnel.get(), 9);
        assert_eq!(message.iv, &[1; 16]);
        assert_eq!(message.data.as_ptr(), bytes[20..].as_ptr());
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(format!("{message:?}"), "TunnelData(9)");
    }

    #[test]
    fn tunnel_data_has_one_length_and_a_tunnel() {
        let mut bytes = tunnel_data();
        assert_eq!(
            TunnelData::parse(&bytes[..1027]),
            Err(DecodeError::Truncated { missing: 1 })
        );
        bytes.push(0);
        assert_eq!(
            TunnelData::parse(&bytes),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
        bytes.truncate(1028);
        bytes[3] = 0;
        assert_eq!(TunnelData::parse(&bytes), Err(DecodeError::ZeroTunnelId));
    }

    #[test]
    fn a_hop_changes_the_message_in_place() {
        let mut bytes: [u8; 1028] = tunnel_data().try_into().unwrap();
        let mut parts = TunnelDataMut::new(&mut bytes);
        assert_eq!(parts.tunnel(), TunnelId::new(9));
        parts.set_tunnel(TunnelId::new(0x0a0b_0c0d).unwrap());
        parts.iv.fill(3);
        parts.data.fill(4);
        let expected = [&[10, 11, 12, 13][..], &[3; 16], &[4; 1008]].concat();
        assert_eq!(bytes[..], expected);
    }

    #[test]
    fn a_gateway_message_holds_another_message() {
        let expires = UnixTime::from_millis(77);
        let inner = I2npMessage::new(MessageType::Garlic, 5, expires, &b"abc"[..]).unwrap();
        let mut message = Vec::new();
        inner.encode_long(&mut message);
        let gateway = TunnelGateway {
            tunnel: TunnelId::new(9).unwrap(),
            message: &message,
        };
        let mut out = Vec::new();
        gateway.encode(&mut out).unwrap();
        assert_eq!(out[..6], [0, 0, 0, 9, 0, 19]);
        let again = TunnelGateway::parse(&out).unwrap();
        assert_eq!(again, gateway);
        assert_eq!(again.inner(), Ok(inner.as_ref()));

        for end in 0..out.len() {
            let result = TunnelGateway::parse(&out[..end]);
            assert!(
                matches!(result, Err(DecodeError::Truncated { .. })),
                "{end}"
            );
        }
        out.push(0);
        assert_eq!(
            TunnelGateway::parse(&out),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
        out[3] = 0;
        assert_eq!(TunnelGateway::parse(&out), Err(DecodeError::ZeroTunnelId));
        let long = vec![0; 65536];
        let gateway = TunnelGateway {
            message: &long,
            ..gateway
        };
        assert!(gateway.encode(&mut Vec::new()).is_err());
    }
}
