use std::fmt;

use bytes::{BufMut, Bytes};
use ramson_crypto::sha256;

use super::MessageType;
use crate::{DecodeError, EncodeError, Reader, UnixTime, share::share_or_copy};

/// An I2NP message whose body belongs to someone else; see [`I2npMessage`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct I2npRef<'a> {
    /// The type.
    pub kind: MessageType,
    /// The id, unique for a while on one hop.
    pub id: u32,
    /// When the message is worth nothing any more.
    pub expires: UnixTime,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> I2npRef<'a> {
    /// Decodes a message with a long header that is all of `bytes`, and checks its checksum.
    ///
    /// # Errors
    ///
    /// As [`I2npRef::parse_long_unchecked`]; [`DecodeError::Checksum`].
    pub fn parse_long(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (message, sum) = Self::take_long(bytes)?;
        if sum != checksum(message.body) {
            return Err(DecodeError::Checksum);
        }
        Ok(message)
    }

    /// Decodes a message with a long header that is all of `bytes`, whatever its checksum: where
    /// another one, or a MAC, has already covered it, as i2pd does everywhere.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TrailingBytes`], [`DecodeError::TooLong`].
    pub fn parse_long_unchecked(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self::take_long(bytes)?.0)
    }

    fn take_long(bytes: &'a [u8]) -> Result<(Self, u8), DecodeError> {
        let mut reader = Reader::new(bytes);
        let kind = MessageType::from_code(reader.u8()?);
        let id = reader.u32()?;
        let expires = UnixTime::from_millis(reader.u64()?);
        let len = usize::from(reader.u16()?);
        let sum = reader.u8()?;
        let body = checked_body(reader.take(len)?)?;
        reader.finish()?;
        let message = Self {
            kind,
            id,
            expires,
            body,
        };
        Ok((message, sum))
    }

    /// Decodes a message with a short header that is all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::TooLong`].
    pub fn parse_short(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            kind: MessageType::from_code(reader.u8()?),
            id: reader.u32()?,
            expires: UnixTime::from_secs(reader.u32()?),
            body: checked_body(reader.rest())?,
        })
    }

    /// Appends the message with a short header, the expiry rounded up.
    pub fn encode_short(&self, out: &mut impl BufMut) {
        out.put_u8(self.kind.code());
        out.put_u32(self.id);
        out.put_u32(self.expires.to_secs_up());
        out.put_slice(self.body);
    }

    /// Returns the message with a copy of the body.
    pub fn to_message(&self) -> I2npMessage {
        I2npMessage {
            kind: self.kind,
            id: self.id,
            expires: self.expires,
            body: Bytes::copy_from_slice(self.body),
        }
    }

    /// Returns the message with the body as a slice of `buffer`, which lives as long as that. A
    /// body that is not in there is copied.
    pub fn share(&self, buffer: &Bytes) -> I2npMessage {
        I2npMessage {
            kind: self.kind,
            id: self.id,
            expires: self.expires,
            body: share_or_copy(buffer, self.body),
        }
    }
}

impl fmt::Debug for I2npRef<'_> {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "I2npRef", self.kind, self.id, self.expires, self.body)
    }
}

/// An I2NP message (I2NP, I2NP Message Header). Clones share the body.
///
/// It travels with one of two headers. Long, inside of tunnels: `[type: u8][id: u32 BE]
/// [expires: u64 BE, ms][size: u16 BE][checksum: u8][body]`, where the checksum is the first byte
/// of the body's SHA-256. Short, between neighbours and in cloves, where something around it has
/// the size: `[type: u8][id: u32 BE][expires: u32 BE, s][body]`.
#[derive(Clone, PartialEq, Eq)]
pub struct I2npMessage {
    kind: MessageType,
    id: u32,
    expires: UnixTime,
    /// At most [`Self::MAX_BODY_LEN`] bytes.
    body: Bytes,
}

impl I2npMessage {
    /// The length of the long header.
    pub const LONG_HEADER_LEN: usize = 16;
    /// The length of the short header.
    pub const SHORT_HEADER_LEN: usize = 9;
    /// The most bytes of a body: what fits into one NTCP2 frame with a short header. In tunnels no
    /// more than [`I2npMessage::MAX_TUNNEL_LEN`] bytes fit, header counted.
    pub const MAX_BODY_LEN: usize = 65_507;
    /// The most bytes a message with its long header can have that goes through a tunnel (Tunnel
    /// message, I2NP Message Maximum Size).
    pub const MAX_TUNNEL_LEN: usize = 62_708;

    /// Makes a message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for a body of more than [`I2npMessage::MAX_BODY_LEN`] bytes.
    pub fn new(
        kind: MessageType,
        id: u32,
        expires: UnixTime,
        body: impl Into<Bytes>,
    ) -> Result<Self, EncodeError> {
        let body = body.into();
        if body.len() > Self::MAX_BODY_LEN {
            return Err(EncodeError::TooLong {
                actual: body.len(),
                limit: Self::MAX_BODY_LEN,
            });
        }
        Ok(Self {
            kind,
            id,
            expires,
            body,
        })
    }

    /// Decodes a message with a long header that is all of `bytes`, of which the body stays a
    /// slice.
    ///
    /// # Errors
    ///
    /// As [`I2npRef::parse_long`].
    pub fn parse_long(bytes: &Bytes) -> Result<Self, DecodeError> {
        I2npRef::parse_long(bytes).map(|message| message.share(bytes))
    }

    /// Decodes a message with a short header that is all of `bytes`, of which the body stays a
    /// slice.
    ///
    /// # Errors
    ///
    /// As [`I2npRef::parse_short`].
    pub fn parse_short(bytes: &Bytes) -> Result<Self, DecodeError> {
        I2npRef::parse_short(bytes).map(|message| message.share(bytes))
    }

    /// Returns the type.
    pub fn kind(&self) -> MessageType {
        self.kind
    }

    /// Returns the id, unique for a while on one hop.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns when the message is worth nothing any more.
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the same message under another id and with another expiry, as a hop sends it on.
    pub fn renewed(&self, id: u32, expires: UnixTime) -> Self {
        Self {
            id,
            expires,
            ..self.clone()
        }
    }

    /// Returns the message as one that borrows the body.
    pub fn as_ref(&self) -> I2npRef<'_> {
        I2npRef {
            kind: self.kind,
            id: self.id,
            expires: self.expires,
            body: &self.body,
        }
    }

    /// Returns the length with a long header.
    pub fn long_len(&self) -> usize {
        self.body.len().saturating_add(Self::LONG_HEADER_LEN)
    }

    /// Returns the length with a short header.
    pub fn short_len(&self) -> usize {
        self.body.len().saturating_add(Self::SHORT_HEADER_LEN)
    }

    /// Returns the long header. It costs a hash over the body.
    pub fn long_header(&self) -> [u8; Self::LONG_HEADER_LEN] {
        let mut header = [0; Self::LONG_HEADER_LEN];
        let mut out = &mut header[..];
        out.put_u8(self.kind.code());
        out.put_u32(self.id);
        out.put_u64(self.expires.as_millis());
        out.put_u16(u16::try_from(self.body.len()).expect("every constructor checks the length"));
        out.put_u8(checksum(&self.body));
        header
    }

    /// Appends the message with a long header.
    pub fn encode_long(&self, out: &mut impl BufMut) {
        out.put_slice(&self.long_header());
        out.put_slice(&self.body);
    }

    /// Appends the message with a short header.
    pub fn encode_short(&self, out: &mut impl BufMut) {
        self.as_ref().encode_short(out);
    }
}

impl fmt::Debug for I2npMessage {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(
            f,
            "I2npMessage",
            self.kind,
            self.id,
            self.expires,
            &self.body,
        )
    }
}

fn debug(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    kind: MessageType,
    id: u32,
    expires: UnixTime,
    body: &[u8],
) -> fmt::Result {
    f.debug_struct(name)
        .field("kind", &kind)
        .field("id", &id)
        .field("expires", &expires)
        .field("body_len", &body.len())
        .finish()
}

fn checksum(body: &[u8]) -> u8 {
    let [first, ..] = sha256(body);
    first
}

fn checked_body(body: &[u8]) -> Result<&[u8], DecodeError> {
    match body.len() > I2npMessage::MAX_BODY_LEN {
        true => Err(DecodeError::TooLong {
            actual: body.len(),
            limit: I2npMessage::MAX_BODY_LEN,
        }),
        false => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(body: &[u8]) -> I2npMessage {
        let expires = UnixTime::from_millis(1_700_000_000_001);
        I2npMessage::new(MessageType::Garlic, 0x0102_0304, expires, body.to_vec()).unwrap()
    }

    #[test]
    fn the_long_header_has_milliseconds_size_and_checksum() {
        let mut out = Vec::new();
        message(b"abc").encode_long(&mut out);
        // SHA-256 of "abc" begins with ba.
        let expected = b"\x0b\x01\x02\x03\x04\x00\x00\x01\x8b\xcf\xe5\x68\x01\x00\x03\xbaabc";
        assert_eq!(out, expected);
        let bytes = Bytes::from(out);
        let again = I2npMessage::parse_long(&bytes).unwrap();
        assert_eq!(again, message(b"abc"));
        assert_eq!(again.body().as_ptr(), bytes[16..].as_ptr(), "not copied");
    }

    #[test]
    fn the_short_header_rounds_the_expiry_up() {
        let mut out = Vec::new();
        message(b"abc").encode_short(&mut out);
        assert_eq!(out, b"\x0b\x01\x02\x03\x04\x65\x53\xf1\x01abc");
        let again = I2npMessage::parse_short(&out.into()).unwrap();
        assert_eq!(again.expires(), UnixTime::from_secs(1_700_000_001));
        assert_eq!(again.body(), &b"abc"[..]);
    }

    #[test]
    fn a_wrong_checksum_is_found_where_it_is_looked_at() {
        let mut out = Vec::new();
        message(b"abc").encode_long(&mut out);
        out[15] ^= 1;
        assert_eq!(I2npRef::parse_long(&out), Err(DecodeError::Checksum));
        assert_eq!(I2npRef::parse_long_unchecked(&out).unwrap().body, b"abc");
    }

    #[test]
    fn the_size_must_be_that_of_the_body() {
        let mut out = Vec::new();
        message(b"abc").encode_long(&mut out);
        out.push(0);
        assert_eq!(
            I2npRef::parse_long(&out),
            Err(DecodeError::TrailingBytes { extra: 1 })
        );
        out.truncate(18);
        assert_eq!(
            I2npRef::parse_long(&out),
            Err(DecodeError::Truncated { missing: 1 })
        );
        assert_eq!(
            I2npRef::parse_short(&out[..8]),
            Err(DecodeError::Truncated { missing: 1 })
        );
    }

    #[test]
    fn a_body_that_fits_no_frame_is_refused() {
        let (kind, at) = (MessageType::Data, UnixTime::default());
        assert!(I2npMessage::new(kind, 0, at, vec![0; 65_507]).is_ok());
        let (actual, limit) = (65_508, 65_507);
        assert_eq!(
            I2npMessage::new(kind, 0, at, vec![0; 65_508]),
            Err(EncodeError::TooLong { actual, limit })
        );
        assert_eq!(
            I2npRef::parse_short(&[0; 65_517]),
            Err(DecodeError::TooLong { actual, limit })
        );
    }

    #[test]
    fn debug_shows_no_payload() {
        let shown = format!("{:?} {:?}", message(b"secret"), message(b"secret").as_ref());
        assert!(
            shown.contains("body_len: 6") && !shown.contains("115"),
            "{shown}"
        );
    }

    #[test]
    fn a_body_from_elsewhere_is_copied() {
        let body = b"abc".to_vec();
        let message = message(&body);
        let shared = message.as_ref().share(&Bytes::from_static(b"other"));
        assert_eq!(shared, message);
        assert_eq!(message.renewed(7, UnixTime::default()).body(), &body);
    }

    proptest! {
        #[test]
        fn messages_are_read_back(kind: u8, id: u32, expires: u64, body: Vec<u8>) {
            let at = UnixTime::from_millis(expires);
            let message = I2npMessage::new(MessageType::from_code(kind), id, at, body).unwrap();
            let mut long = Vec::new();
            message.encode_long(&mut long);
            prop_assert_eq!(long.len(), message.long_len());
            prop_assert_eq!(I2npMessage::parse_long(&long.into()), Ok(message.clone()));
            let mut short = Vec::new();
            message.encode_short(&mut short);
            prop_assert_eq!(short.len(), message.short_len());
            let again = I2npMessage::parse_short(&short.clone().into()).unwrap();
            let mut once_more = Vec::new();
            again.encode_short(&mut once_more);
            prop_assert_eq!(once_more, short);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = I2npRef::parse_long(&bytes);
            let _ = I2npRef::parse_short(&bytes);
        }
    }
}
