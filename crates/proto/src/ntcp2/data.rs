use bytes::{Buf, BufMut, BytesMut};
use ramson_crypto::{AeadKey, TAG_LEN};

use super::CloseReason;
use super::keys::{DirectionKeys, LengthMask};

/// The longest content of a frame: its length field has two bytes and covers the tag.
pub(super) const MAX_CONTENT: usize = 65_535 - TAG_LEN;

/// Seals the frames of one direction (NTCP2, Data phase):
/// `[length, masked: u16 BE][content, encrypted][tag: 16]`.
#[derive(Debug)]
pub(super) struct FrameSealer {
    key: AeadKey,
    mask: LengthMask,
    nonce: u64,
}

/// Where a frame begins that is being written.
pub(super) struct FrameStart(usize);

impl FrameStart {
    /// Returns how many bytes of content were written so far.
    pub(super) fn content_len(&self, out: &BytesMut) -> usize {
        out.len().saturating_sub(self.0.saturating_add(2))
    }

    /// Takes the frame back.
    pub(super) fn abandon(self, out: &mut BytesMut) {
        out.truncate(self.0);
    }
}

impl FrameSealer {
    pub(super) fn new(keys: DirectionKeys) -> Self {
        Self {
            key: keys.aead,
            mask: keys.mask,
            nonce: 0,
        }
    }

    /// Begins a frame at the end of `out`; what is appended from here on is its content.
    pub(super) fn begin(&self, out: &mut BytesMut) -> FrameStart {
        let start = FrameStart(out.len());
        out.put_u16(0);
        start
    }

    /// Encrypts the content in place and completes the frame.
    ///
    /// # Panics
    ///
    /// If the content is longer than [`MAX_CONTENT`].
    pub(super) fn finish(&mut self, start: FrameStart, out: &mut BytesMut) {
        let (length, content) = out
            .get_mut(start.0..)
            .and_then(|frame| frame.split_first_chunk_mut::<2>())
            .expect("the frame begins with its length");
        let len = u16::try_from(content.len() + TAG_LEN).expect("writers keep to MAX_CONTENT");
        let tag = self.key.seal(self.nonce, &[], content);
        // No link lives for 2^64 frames.
        self.nonce = self.nonce.wrapping_add(1);
        *length = (len ^ self.mask.next()).to_be_bytes();
        out.put_slice(&tag);
    }
}

/// Opens the frames of one direction.
#[derive(Debug)]
pub(super) struct FrameOpener {
    key: AeadKey,
    mask: LengthMask,
    nonce: u64,
    /// The length of the frame whose end has not come yet.
    expected: Option<u16>,
}

impl FrameOpener {
    pub(super) fn new(keys: DirectionKeys) -> Self {
        Self {
            key: keys.aead,
            mask: keys.mask,
            nonce: 0,
            expected: None,
        }
    }

    /// Returns how many frames were authentic.
    pub(super) fn frames(&self) -> u64 {
        self.nonce
    }

    /// Takes the next frame from `input` and returns its content; `None` when it is not there yet.
    /// Nothing is copied: the content is the frame's piece of `input`.
    ///
    /// # Errors
    ///
    /// [`CloseReason::FrameTooShort`], [`CloseReason::FrameNotAuthentic`]. No frame can be read
    /// after that.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, CloseReason> {
        let len = match self.expected {
            Some(len) => len,
            None => {
                let Some(&masked) = input.first_chunk::<2>() else {
                    return Ok(None);
                };
                input.advance(2);
                let len = u16::from_be_bytes(masked) ^ self.mask.next();
                self.expected = Some(len);
                len
            }
        };
        if usize::from(len) < TAG_LEN {
            return Err(CloseReason::FrameTooShort { len });
        }
        if input.len() < usize::from(len) {
            return Ok(None);
        }
        let mut frame = input.split_to(usize::from(len));
        let content_len = self
            .key
            .open_in_place(self.nonce, &[], &mut frame)
            .map_err(|_| CloseReason::FrameNotAuthentic)?
            .len();
        frame.truncate(content_len);
        self.nonce = self.nonce.wrapping_add(1);
        self.expected = None;
        Ok(Some(frame))
    }
}
