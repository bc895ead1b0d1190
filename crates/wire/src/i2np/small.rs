use std::fmt;

use bytes::BufMut;

use crate::{DecodeError, EncodeError, Reader, UnixTime};

/// A DeliveryStatus (I2NP, DeliveryStatus): the answer to a DatabaseStore, or one's own test of a
/// tunnel coming back. `[id: u32 BE][timestamp: u64 BE, ms]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The token or the id of what arrived.
    pub id: u32,
    /// When; Java I2P puts it up to three seconds into the past.
    pub timestamp: UnixTime,
}

impl DeliveryStatus {
    /// Decodes a status that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let status = Self {
            id: reader.u32()?,
            timestamp: UnixTime::from_millis(reader.u64()?),
        };
        reader.finish()?;
        Ok(status)
    }

    /// Appends the status.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u32(self.id);
        out.put_u64(self.timestamp.as_millis());
    }
}

/// A Garlic message (I2NP, Garlic): `[len: u32 BE][what a session or a router encrypted]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Garlic<'a>(pub &'a [u8]);

/// A Data message (I2NP, Data): `[len: u32 BE][payload of a client]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Data<'a>(pub &'a [u8]);

impl<'a> Garlic<'a> {
    /// Decodes a message that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        take_long_string(bytes).map(Self)
    }

    /// Appends the message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if it has more bytes than four bytes can say.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        put_long_string(self.0, out)
    }
}

impl<'a> Data<'a> {
    /// Decodes a message that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        take_long_string(bytes).map(Self)
    }

    /// Appends the message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if it has more bytes than four bytes can say.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        put_long_string(self.0, out)
    }
}

impl fmt::Debug for Garlic<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Garlic({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Data<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

fn take_long_string(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(bytes);
    let len = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
    let data = reader.take(len)?;
    reader.finish()?;
    Ok(data)
}

fn put_long_string(data: &[u8], out: &mut impl BufMut) -> Result<(), EncodeError> {
    let len = u32::try_from(data.len()).map_err(|_| EncodeError::TooLong {
        actual: data.len(),
        limit: usize::try_from(u32::MAX).unwrap_or(usize::MAX),
    })?;
    out.put_u32(len);
    out.put_slice(data);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_milliseconds() {
        let status = DeliveryStatus {
            id: 0x0102_0304,
            timestamp: UnixTime::from_millis(5),
        };
        let mut out = Vec::new();
        status.encode(&mut out);
        assert_eq!(out, [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(DeliveryStatus::parse(&out), Ok(status));
        let truncated = DecodeError::Truncated { missing: 1 };
        assert_eq!(DeliveryStatus::parse(&out[..11]), Err(truncated));
        out.push(0);
        let trailing = DecodeError::TrailingBytes { extra: 1 };
        assert_eq!(DeliveryStatus::parse(&out), Err(trailing));
    }

    #[test]
    fn garlic_and_data_have_four_length_bytes() {
        let mut out = Vec::new();
        Garlic(b"abc").encode(&mut out).unwrap();
        assert_eq!(out, b"\0\0\0\x03abc");
        assert_eq!(Garlic::parse(&out), Ok(Garlic(b"abc")));
        assert_eq!(Data::parse(&out), Ok(Data(b"abc")));
        let truncated = DecodeError::Truncated { missing: 1 };
        assert_eq!(Garlic::parse(&out[..6]), Err(truncated));
        assert!(Garlic::parse(&[0xff; 10]).is_err());
        out.push(0);
        let trailing = DecodeError::TrailingBytes { extra: 1 };
        assert_eq!(Data::parse(&out), Err(trailing));
        assert_eq!(format!("{:?}", Data(b"abc")), "Data(3 bytes)");
        assert_eq!(format!("{:?}", Garlic(b"abc")), "Garlic(3 bytes)");
    }
}
