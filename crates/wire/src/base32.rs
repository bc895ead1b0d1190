//! Base32 as I2P writes it: RFC 4648 without padding, in lower case; upper case is read too.
//!
//! Unused bits in the last character must be zero, so that a slip in it is noticed.

use std::sync::LazyLock;

use data_encoding::{DecodeKind, Encoding, Specification};
use thiserror::Error;

/// Why text is not I2P base32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Base32Error {
    /// A character is not of the alphabet; white space and padding count.
    #[error("character {found:?} at position {position} is not in the base32 alphabet (a-z, 2-7)")]
    Symbol {
        /// Where, in bytes from the front, counted from 0.
        position: usize,
        /// The character.
        found: char,
    },
    /// No byte string has so many characters: the text is cut or has one too many.
    #[error("{chars} base32 characters are no whole number of bytes: the text is cut or damaged")]
    Length {
        /// How many characters there are.
        chars: usize,
    },
    /// Bits of the last character that belong to no byte are set.
    #[error("the last base32 character is not one an encoder writes: the text is cut or damaged")]
    TrailingBits,
}

static LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification
        .translate
        .from
        .push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    specification
        .translate
        .to
        .push_str("abcdefghijklmnopqrstuvwxyz");
    specification
        .encoding()
        .expect("32 distinct characters make an encoding")
});

/// Encodes `bytes` in lower case, without padding.
pub fn encode(bytes: &[u8]) -> String {
    LOWER.encode(bytes)
}

/// Decodes `text` in either case, without padding.
///
/// # Errors
///
/// See [`Base32Error`].
pub fn decode(text: &str) -> Result<Vec<u8>, Base32Error> {
    let wrong = text
        .bytes()
        .position(|b| !b.is_ascii_alphabetic() && !(b'2'..=b'7').contains(&b));
    if let Some(position) = wrong {
        let found = text.get(position..).and_then(|rest| rest.chars().next());
        return Err(Base32Error::Symbol {
            position,
            found: found.unwrap_or('\u{fffd}'),
        });
    }
    LOWER
        .decode(text.as_bytes())
        .map_err(|error| match error.kind {
            DecodeKind::Trailing => Base32Error::TrailingBits,
            DecodeKind::Length | DecodeKind::Symbol | DecodeKind::Padding => {
                Base32Error::Length { chars: text.len() }
            }
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648, section 10, in I2P's lower case and without padding.
    #[test]
    fn encodes_as_the_rfc_does() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foob", "mzxw6yq"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
            assert_eq!(decode(&text.to_uppercase()).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn damage_is_told_apart() {
        assert_eq!(
            decode("my======"),
            Err(Base32Error::Symbol {
                position: 2,
                found: '='
            })
        );
        assert_eq!(
            decode("m0"),
            Err(Base32Error::Symbol {
                position: 1,
                found: '0'
            })
        );
        assert_eq!(
            decode("m8"),
            Err(Base32Error::Symbol {
                position: 1,
                found: '8'
            })
        );
        assert_eq!(
            decode("m y"),
            Err(Base32Error::Symbol {
                position: 1,
                found: ' '
            })
        );
        assert_eq!(decode("mzx"), Err(Base32Error::Length { chars: 3 }));
        assert_eq!(decode("mz"), Err(Base32Error::TrailingBits));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = decode(&text);
        }
    }
}
