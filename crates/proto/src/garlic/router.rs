//! Garlic messages to routers and the answers to them (ECIES Routers; for the encrypted answers I2NP,
//! DatabaseLookup, and ECIES-X25519 Tunnel Creation, Garlic Encryption).
//!
//! A message to a router is Noise N with a payload of blocks, `[ephemeral key: 32][ciphertext][MAC:
//! 16]`. Routers keep no sessions: an answer comes under a key and a tag which the asking side has
//! chosen, `[tag: 8][ciphertext][MAC: 16]`. Whoever receives a Garlic message looks for its first
//! eight bytes among the tags expected, and takes it for a message to the router otherwise.

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use ramson_crypto::{AeadKey, Random};
use ramson_wire::clove::{CloveDelivery, GarlicClove, PayloadBlock, PayloadBlocks};
use ramson_wire::i2np::Garlic;
use ramson_wire::{DecodeError, EncodeError, I2npMessage, UnixTime};
use thiserror::Error;
use zeroize::Zeroize;

use crate::tunnel::noise::{self, EPHEMERAL_LEN, MAC_LEN, NoiseError, Receiver};

/// How long the tag in front of an answer is.
pub const TAG_LEN: usize = 8;

/// How many cloves are read of a message. Nobody sends more than three; each may make us send a
/// message, and thousands would fit.
pub const MAX_CLOVES: usize = 16;

/// How long the length in front of a Garlic message's content is.
const LENGTH_LEN: usize = 4;

/// A key for one message and the tag that message begins with, zeroed when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct GarlicKey {
    /// The first eight bytes of the message.
    pub tag: [u8; TAG_LEN],
    /// The key.
    pub key: [u8; 32],
}

impl GarlicKey {
    /// Draws a key and a tag for an answer.
    pub fn generate(random: &mut Random) -> Self {
        Self {
            tag: random.bytes(),
            key: random.bytes(),
        }
    }
}

impl Drop for GarlicKey {
    fn drop(&mut self) {
        self.tag.zeroize();
        self.key.zeroize();
    }
}

impl fmt::Debug for GarlicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GarlicKey(..)")
    }
}

/// Why a Garlic message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The router's public key is none.
    #[error("the key of the router is not usable")]
    BadKey,
    /// The cloves do not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why a Garlic message is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GarlicError {
    /// It is not for this router, or was changed.
    #[error("a message to the router cannot be opened: {0}")]
    Noise(#[from] NoiseError),
    /// It does not begin with the tag of this key.
    #[error("the tag of a garlic message is not that of the key")]
    Tag,
    /// It begins with the tag but does not authenticate.
    #[error("a garlic message does not authenticate")]
    Decrypt,
    /// What is in it makes no sense.
    #[error("the content of a garlic message is damaged: {0}")]
    Decode(#[from] DecodeError),
}

/// A message out of a Garlic message, and where it is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clove {
    /// Where the message is to go.
    pub delivery: CloveDelivery,
    /// The message.
    pub message: I2npMessage,
}

/// What was in a Garlic message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedGarlic {
    /// The sender's clock. A message to a router must have it, an answer need not.
    pub date_time: Option<UnixTime>,
    /// The messages in their order.
    pub cloves: Vec<Clove>,
}

impl OpenedGarlic {
    /// How old a message to a router may be (ECIES-X25519-AEAD-Ratchet, Payload, DateTime).
    pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

    /// How far ahead of us its sender's clock may be.
    pub const MAX_AHEAD: Duration = Duration::from_secs(2 * 60);

    /// Says whether the message is as new as one to a router must be, by our clock; one without
    /// a time is not. i2pd does not look at it.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.date_time.is_some_and(|time| {
            now.saturating_since(time) <= Self::MAX_AGE
                && time.saturating_since(now) <= Self::MAX_AHEAD
        })
    }

    fn parse(payload: Bytes) -> Result<Self, DecodeError> {
        let mut opened = Self {
            date_time: None,
            cloves: Vec::new(),
        };
        for block in PayloadBlocks::new(&payload) {
            match block? {
                PayloadBlock::DateTime(time) => opened.date_time = Some(time),
                PayloadBlock::Clove(_) if opened.cloves.len() == MAX_CLOVES => {
                    return Err(DecodeError::TooMany {
                        actual: MAX_CLOVES.saturating_add(1),
                        limit: MAX_CLOVES,
                    });
                }
                PayloadBlock::Clove(clove) => opened.cloves.push(Clove {
                    delivery: clove.delivery,
                    message: clove.message.share(&payload),
                }),
                // What belongs into sessions means nothing here.
                _ => {}
            }
        }
        Ok(opened)
    }
}

/// Wraps cloves for the router with this public encryption key; returns the body of a Garlic
/// message. `padding` bytes hide the length a little.
///
/// # Errors
///
/// See [`SealError`].
pub fn seal(
    to: &[u8; 32],
    cloves: &[GarlicClove<'_>],
    padding: usize,
    now: UnixTime,
    random: &mut Random,
) -> Result<Bytes, SealError> {
    let mut blocks = vec![PayloadBlock::DateTime(now)];
    blocks.extend(cloves.iter().copied().map(PayloadBlock::Clove));
    let padding = vec![0; padding];
    if !padding.is_empty() {
        blocks.push(PayloadBlock::Padding(&padding));
    }
    let mut body = frame(&[0; EPHEMERAL_LEN], &blocks)?;
    let message = body
        .get_mut(LENGTH_LEN..)
        .expect("the frame begins with the length");
    // The only other error is a lack of room.
    noise::seal(to, random, message).map_err(|_| SealError::BadKey)?;
    Ok(body.into())
}

/// Opens a message to the router.
///
/// # Errors
///
/// See [`GarlicError`].
pub fn open(receiver: &Receiver, message: Garlic<'_>) -> Result<OpenedGarlic, GarlicError> {
    let mut message = message.0.to_vec();
    let len = receiver.open(&mut message)?.len();
    let payload = Bytes::from(message).slice(EPHEMERAL_LEN..EPHEMERAL_LEN.saturating_add(len));
    Ok(OpenedGarlic::parse(payload)?)
}

/// Returns what must not come twice of a message to a router, half of its ephemeral key, for a
/// [`DuplicateFilter`](crate::tunnel::DuplicateFilter) that remembers as long as messages are fresh;
/// `None` if it is too short to be one.
pub fn replay_key(message: Garlic<'_>) -> Option<[u8; 16]> {
    message.0.first_chunk().copied()
}

/// Wraps an answer under a key; returns the body of a Garlic message.
///
/// There is nothing but the cloves in it: i2pd wants one in first place.
///
/// # Errors
///
/// [`EncodeError::TooLong`] if the cloves do not fit.
pub fn seal_with_key(garlic: &GarlicKey, cloves: &[GarlicClove<'_>]) -> Result<Bytes, EncodeError> {
    let blocks: Vec<_> = cloves.iter().copied().map(PayloadBlock::Clove).collect();
    let mut body = frame(&garlic.tag, &blocks)?;
    let payload = body
        .get_mut(LENGTH_LEN.saturating_add(TAG_LEN)..)
        .and_then(|rest| rest.split_last_chunk_mut::<MAC_LEN>());
    let (payload, mac) = payload.expect("the frame has room for the MAC");
    *mac = AeadKey::new(garlic.key).seal(0, &garlic.tag, payload);
    Ok(body.into())
}

/// Opens an answer that begins with the tag of this key.
///
/// # Errors
///
/// See [`GarlicError`].
pub fn open_with_key(garlic: &GarlicKey, message: Garlic<'_>) -> Result<OpenedGarlic, GarlicError> {
    let rest = message
        .0
        .strip_prefix(&garlic.tag)
        .ok_or(GarlicError::Tag)?;
    let mut payload = rest.to_vec();
    AeadKey::new(garlic.key)
        .open_vec(0, &garlic.tag, &mut payload)
        .map_err(|_| GarlicError::Decrypt)?;
    Ok(OpenedGarlic::parse(payload.into())?)
}

/// Writes `[length: u32 BE][start][blocks][room for the MAC]`.
fn frame(start: &[u8], blocks: &[PayloadBlock<'_>]) -> Result<Vec<u8>, EncodeError> {
    let payload: usize = blocks.iter().map(PayloadBlock::encoded_len).sum();
    let len = payload.saturating_add(start.len()).saturating_add(MAC_LEN);
    let limit = I2npMessage::MAX_BODY_LEN.saturating_sub(LENGTH_LEN);
    let length = u32::try_from(len)
        .ok()
        .filter(|_| len <= limit)
        .ok_or(EncodeError::TooLong { actual: len, limit })?;
    let mut body = Vec::with_capacity(len.saturating_add(LENGTH_LEN));
    body.put_u32(length);
    body.put_slice(start);
    for block in blocks {
        block.encode(&mut body)?;
    }
    body.put_slice(&[0; MAC_LEN]);
    Ok(body)
}

#[cfg(test)]
mod tests;
