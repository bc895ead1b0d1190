//! Gzip (RFC 1952) as I2P writes and reads it.
//!
//! The header has no optional fields, no time, and 255 for the operating system, as Java I2P and
//! i2pd write it: they mis-read optional fields, and other values would tell who wrote. i2pd
//! refuses an input of less than 23 bytes and takes a tenth byte of 1 for one stored block, so
//! what would come out shorter, or longer than stored, is stored: 23 bytes more than the contents.

use std::io::{Read, Write};

use flate2::{Compression, Crc, GzBuilder, bufread::GzDecoder};
use thiserror::Error;

/// Why bytes are not gzip as I2P uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GzipError {
    /// The data is damaged or cut, or is no gzip.
    #[error("the compressed data is damaged")]
    Damaged,
    /// The contents are longer than allowed.
    #[error("the compressed data has more than {limit} bytes in it")]
    TooLong {
        /// How many bytes there may be.
        limit: usize,
    },
    /// Bytes follow the compressed data.
    #[error("{extra} bytes follow the compressed data")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
}

/// What a stored form has around its contents: header 10, block header 5, trailer 8.
const STORED_OVERHEAD: usize = 23;

/// Compresses `bytes`.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new()
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    encoder
        .write_all(bytes)
        .expect("writing to a vector does not fail");
    let compressed = encoder.finish().expect("writing to a vector does not fail");
    let stored_len = bytes.len().saturating_add(STORED_OVERHEAD);
    if (STORED_OVERHEAD..=stored_len).contains(&compressed.len()) {
        return compressed;
    }
    store(bytes).unwrap_or(compressed)
}

/// Wraps `bytes` without compressing them, which is what a body should be that is random or must
/// not cost time. `None` if they are more than one stored block holds, 65,535 bytes.
pub fn store(bytes: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(bytes.len()).ok()?;
    let mut crc = Crc::new();
    crc.update(bytes);
    // Byte 8 is 0 here and 2 where it was compressed at the highest level: what zlib writes.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Some(out)
}

/// Decompresses `bytes` to at most `limit` bytes, whatever they claim to hold.
///
/// # Errors
///
/// See [`GzipError`].
pub fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let mut decoder = GzDecoder::new(bytes);
    let mut out = Vec::new();
    let more_than_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    (&mut decoder)
        .take(more_than_limit)
        .read_to_end(&mut out)
        .map_err(|_| GzipError::Damaged)?;
    if out.len() > limit {
        return Err(GzipError::TooLong { limit });
    }
    match decoder.into_inner().len() {
        0 => Ok(out),
        extra => Err(GzipError::TrailingBytes { extra }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_header_is_the_one_all_routers_write() {
        let compressed = compress(&[b'a'; 500]);
        // I2NP, DatabaseStore, Notes.
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff];
        assert_eq!(compressed[..10], header);
        assert!(compressed.len() < 50);
        assert_eq!(decompress(&compressed, 500).unwrap(), [b'a'; 500]);
    }

    #[test]
    fn short_and_random_bytes_are_stored() {
        // Fixed Huffman codes would make less than 23 bytes of it, which i2pd refuses.
        let stored = compress(b"x");
        assert_eq!(stored.len(), 24);
        assert_eq!(stored[10..16], [1, 1, 0, 0xfe, 0xff, b'x']);
        assert_eq!(decompress(&stored, 1).unwrap(), b"x");
        let random = ramson_crypto::random::bytes::<500>();
        assert_eq!(compress(&random).len(), 523);
        assert_eq!(store(&[0; 65536]), None);
        assert!(compress(&[0; 65536]).len() < 200);
    }

    /// Made with GNU gzip, `printf abcabc | gzip -n`.
    #[test]
    fn reads_what_another_program_wrote() {
        let bytes = [
            0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x4b, 0x4c, 0x4a, 0x4e,
            0x4c, 0x4a, 0x06, 0x00, 0x4c, 0x99, 0x6e, 0x72, 0x06, 0x00, 0x00, 0x00,
        ];
        assert_eq!(decompress(&bytes, 100).unwrap(), b"abcabc");
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = compress(&vec![0; 10_000_000]);
        assert_eq!(
            decompress(&bomb, 3072),
            Err(GzipError::TooLong { limit: 3072 })
        );
    }

    #[test]
    fn damage_is_found() {
        let good = compress(b"some text that some text is in");
        for end in 0..good.len() {
            assert_eq!(decompress(&good[..end], 100), Err(GzipError::Damaged));
        }
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(
            decompress(&trailing, 100),
            Err(GzipError::TrailingBytes { extra: 1 })
        );
        let mut wrong_sum = good;
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        assert_eq!(decompress(&wrong_sum, 100), Err(GzipError::Damaged));
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(bytes: Vec<u8>, repeat in 1usize..50) {
            let bytes = bytes.repeat(repeat);
            let compressed = compress(&bytes);
            prop_assert!(compressed.len() >= 23);
            prop_assert_eq!(decompress(&compressed, bytes.len()).unwrap(), bytes);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = decompress(&bytes, 1000);
            let _ = decompress(&[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff], &bytes[..]].concat(), 1000);
        }
    }
}
