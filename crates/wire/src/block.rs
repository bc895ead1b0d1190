use bytes::BufMut;

use crate::{DecodeError, EncodeError, Reader};

/// The type of a Padding block in every protocol with blocks.
pub(crate) const PADDING: u8 = 254;

/// What stands before the data of a block.
pub(crate) const BLOCK_HEADER_LEN: usize = 3;

/// A block as all of NTCP2, SSU2 and ratchet have them: `[type: u8][size: u16 BE][data]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawBlock<'a> {
    pub(crate) kind: u8,
    pub(crate) data: &'a [u8],
}

impl<'a> RawBlock<'a> {
    /// Returns a reader over the data, which must have at least so many bytes. What follows them
    /// is for versions to come.
    pub(crate) fn reader(&self, at_least: usize) -> Result<Reader<'a>, DecodeError> {
        match self.data.len() >= at_least {
            true => Ok(Reader::new(self.data)),
            false => Err(DecodeError::BlockLength {
                kind: self.kind,
                actual: self.data.len(),
            }),
        }
    }
}

/// The blocks of a frame, in which nothing may follow Padding, and only Padding may follow
/// Termination. After an error there are no more.
#[derive(Debug, Clone)]
pub(crate) struct RawBlocks<'a> {
    reader: Reader<'a>,
    termination: u8,
    seen: Option<u8>,
}

impl<'a> RawBlocks<'a> {
    /// Splits a frame; `termination` is the type that block has in the protocol.
    pub(crate) fn new(frame: &'a [u8], termination: u8) -> Self {
        Self {
            reader: Reader::new(frame),
            termination,
            seen: None,
        }
    }

    fn take(&mut self) -> Result<RawBlock<'a>, DecodeError> {
        let kind = self.reader.u8()?;
        let len = usize::from(self.reader.u16()?);
        let data = self.reader.take(len)?;
        match self.seen {
            Some(PADDING) => return Err(DecodeError::BlockOrder { kind }),
            Some(_) if kind != PADDING => return Err(DecodeError::BlockOrder { kind }),
            _ => {}
        }
        if kind == PADDING || kind == self.termination {
            self.seen = Some(kind);
        }
        Ok(RawBlock { kind, data })
    }
}

impl<'a> Iterator for RawBlocks<'a> {
    type Item = Result<RawBlock<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let block = self.take();
        if block.is_err() {
            self.reader.rest();
        }
        Some(block)
    }
}

/// Appends what stands before the data of a block.
pub(crate) fn put_header(kind: u8, len: usize, out: &mut impl BufMut) -> Result<(), EncodeError> {
    let size = u16::try_from(len).map_err(|_| EncodeError::TooLong {
        actual: len,
        limit: usize::from(u16::MAX),
    })?;
    out.put_u8(kind);
    out.put_u16(size);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(frame: &[u8]) -> Result<Vec<u8>, DecodeError> {
        RawBlocks::new(frame, 4)
            .map(|block| block.map(|block| block.kind))
            .collect()
    }

    #[test]
    fn blocks_come_in_turn() {
        assert_eq!(kinds(&[]), Ok(vec![]));
        assert_eq!(
            kinds(&[3, 0, 1, 9, 200, 0, 0, 254, 0, 1, 0]),
            Ok(vec![3, 200, 254])
        );
        assert_eq!(kinds(&[4, 0, 0, 254, 0, 0]), Ok(vec![4, 254]));
    }

    #[test]
    fn nothing_follows_padding_and_padding_only_termination() {
        let order = |kind| Err(DecodeError::BlockOrder { kind });
        assert_eq!(kinds(&[254, 0, 0, 3, 0, 0]), order(3));
        assert_eq!(kinds(&[254, 0, 0, 254, 0, 0]), order(254));
        assert_eq!(kinds(&[4, 0, 0, 3, 0, 0]), order(3));
        assert_eq!(kinds(&[4, 0, 0, 4, 0, 0]), order(4));
        assert_eq!(kinds(&[254, 0, 0, 4, 0, 0]), order(4));
    }

    #[test]
    fn a_block_ends_within_the_frame_and_an_error_ends_the_blocks() {
        assert_eq!(
            kinds(&[3, 0, 2, 1]),
            Err(DecodeError::Truncated { missing: 1 })
        );
        assert_eq!(kinds(&[3, 0]), Err(DecodeError::Truncated { missing: 1 }));
        let mut blocks = RawBlocks::new(&[254, 0, 0, 3, 0, 0, 3, 0, 0], 4);
        assert!(blocks.next().is_some_and(|block| block.is_ok()));
        assert!(blocks.next().is_some_and(|block| block.is_err()));
        assert!(blocks.next().is_none());
    }
}
