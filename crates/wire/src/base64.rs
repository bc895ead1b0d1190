//! Base64 as I2P writes it: RFC 4648 with `-` for `+` and `~` for `/`.
//!
//! Output is padded with `=`, since i2plib, i2pd and emissary insist on it. Input may lack the
//! padding altogether, since i2p-sam.js cuts it off; half of a padding is refused. Unused bits in
//! the last character must be zero: every encoder makes them so, and one value then has one text.

use std::sync::LazyLock;

use data_encoding::{DecodeKind, Encoding, Specification};
use thiserror::Error;

/// Why text is not I2P base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Base64Error {
    /// A character is not of the alphabet; white space counts.
    #[error(
        "character {found:?} at position {position} is not in I2P's base64 alphabet \
         (A-Z, a-z, 0-9, '-' and '~')"
    )]
    Symbol {
        /// Where, in bytes from the front, counted from 0.
        position: usize,
        /// The character.
        found: char,
    },
    /// No byte string has so many characters: the text is cut or has one too many.
    #[error("{chars} base64 characters are no whole number of bytes: the text is cut or damaged")]
    Length {
        /// How many characters there are, padding not counted.
        chars: usize,
    },
    /// There are `=` at the end, but not as many as the length asks for.
    #[error("the base64 text ends in {actual} '=' where {expected} belong")]
    Padding {
        /// How many belong there.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// Bits of the last character that belong to no byte are set.
    #[error("the last base64 character is not one an encoder writes: the text is cut or damaged")]
    TrailingBits,
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";

static PADDED: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str(ALPHABET);
    specification.padding = Some('=');
    specification
        .encoding()
        .expect("64 distinct characters make an encoding")
});

static UNPADDED: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str(ALPHABET);
    specification
        .encoding()
        .expect("64 distinct characters make an encoding")
});

/// Encodes `bytes`, padded.
pub fn encode(bytes: &[u8]) -> String {
    PADDED.encode(bytes)
}

/// Decodes `text`, padded or not.
///
/// # Errors
///
/// See [`Base64Error`].
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    let mut out = Vec::new();
    decode_into(text, &mut out)?;
    Ok(out)
}

/// Replaces the contents of `out` by the decoded `text`, in a single allocation, so that a caller
/// who zeroes `out` leaves no copy behind. On an error `out` holds part of it.
pub(crate) fn decode_into(text: &str, out: &mut Vec<u8>) -> Result<(), Base64Error> {
    let body = text.trim_end_matches('=');
    let actual = text.len().saturating_sub(body.len());
    let error = |kind, position| match kind {
        DecodeKind::Symbol | DecodeKind::Padding => Base64Error::Symbol {
            position,
            found: body
                .get(position..)
                .and_then(|rest| rest.chars().next())
                .unwrap_or('\u{fffd}'),
        },
        DecodeKind::Length => Base64Error::Length { chars: body.len() },
        DecodeKind::Trailing => Base64Error::TrailingBits,
    };
    // A wrong character says more about a text than its length does.
    let wrong = body
        .bytes()
        .position(|b| !b.is_ascii_alphanumeric() && b != b'-' && b != b'~');
    if let Some(position) = wrong {
        return Err(error(DecodeKind::Symbol, position));
    }
    let len = UNPADDED
        .decode_len(body.len())
        .map_err(|e| error(e.kind, e.position))?;
    let expected = body.len().next_multiple_of(4).saturating_sub(body.len());
    if actual != 0 && actual != expected {
        return Err(Base64Error::Padding { expected, actual });
    }
    out.clear();
    out.resize(len, 0);
    let written = UNPADDED
        .decode_mut(body.as_bytes(), out)
        .map_err(|partial| error(partial.error.kind, partial.error.position))?;
    out.truncate(written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_two_letters_are_minus_and_tilde() {
        assert_eq!(encode(&[0xfb, 0xff, 0xbf]), "-~-~");
        assert_eq!(decode("-~-~").unwrap(), [0xfb, 0xff, 0xbf]);
        assert_eq!(
            decode("ab+a"),
            Err(Base64Error::Symbol {
                position: 2,
                found: '+'
            })
        );
        assert_eq!(
            decode("/aaa"),
            Err(Base64Error::Symbol {
                position: 0,
                found: '/'
            })
        );
    }

    #[test]
    fn padding_is_written_and_may_be_missing_but_not_wrong() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"a", "YQ=="),
            (b"ab", "YWI="),
            (b"abc", "YWJj"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).unwrap(), bytes);
            assert_eq!(decode(text.trim_end_matches('=')).unwrap(), bytes);
        }
        assert_eq!(
            decode("YQ="),
            Err(Base64Error::Padding {
                expected: 2,
                actual: 1
            })
        );
        assert_eq!(
            decode("YWI=="),
            Err(Base64Error::Padding {
                expected: 1,
                actual: 2
            })
        );
        assert_eq!(
            decode("YWJj="),
            Err(Base64Error::Padding {
                expected: 0,
                actual: 1
            })
        );
        assert_eq!(
            decode("===="),
            Err(Base64Error::Padding {
                expected: 0,
                actual: 4
            })
        );
        assert_eq!(
            decode("YQ==YQ=="),
            Err(Base64Error::Symbol {
                position: 2,
                found: '='
            })
        );
    }

    #[test]
    fn damage_is_told_apart() {
        assert_eq!(decode("YWJjY"), Err(Base64Error::Length { chars: 5 }));
        assert_eq!(decode("Y==="), Err(Base64Error::Length { chars: 1 }));
        assert_eq!(decode("YR"), Err(Base64Error::TrailingBits));
        assert_eq!(
            decode("YW Jj"),
            Err(Base64Error::Symbol {
                position: 2,
                found: ' '
            })
        );
        assert_eq!(
            decode("YWJj\n"),
            Err(Base64Error::Symbol {
                position: 4,
                found: '\n'
            })
        );
        assert_eq!(
            decode("YWä"),
            Err(Base64Error::Symbol {
                position: 2,
                found: 'ä'
            })
        );
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(&text).unwrap(), bytes.clone());
            prop_assert_eq!(decode(text.trim_end_matches('=')).unwrap(), bytes);
        }

        #[test]
        fn what_decodes_has_one_text(text in "[A-Za-z0-9~-]{0,12}={0,3}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(
                    encode(&bytes).trim_end_matches('='),
                    text.trim_end_matches('=')
                );
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = decode(&text);
        }
    }
}
