use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A host name that ends in `.i2p`, as the naming rules allow it (Naming and Addressbook, Naming
/// Rules).
///
/// Names are lower case; upper case is turned into it when read. The rules that only address books
/// apply on import (names reserved for the project, `www.`) are not applied. Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// Why a text is no I2P host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HostNameError {
    /// There is no text.
    #[error("the host name is empty")]
    Empty,
    /// It does not end in `.i2p`.
    #[error("the host name does not end in .i2p; only such names exist in I2P")]
    NotI2p,
    /// It is `.i2p` alone.
    #[error("there is nothing before .i2p")]
    SuffixOnly,
    /// It is too long.
    #[error("the host name has {len} characters; at most 67 are allowed, .i2p included")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It has a letter that is not of a to z.
    #[error(
        "the host name has {found:?} in it; write international names in their xn-- form (punycode)"
    )]
    NotAscii {
        /// The letter.
        found: char,
    },
    /// It has a character that is no letter, digit, hyphen or dot.
    #[error("the host name has {found:?} in it; only letters, digits, '-' and '.' are allowed")]
    Character {
        /// The character.
        found: char,
    },
    /// It starts with a dot or has two together.
    #[error("a part of the host name is empty: it starts with '.' or has '..' in it")]
    EmptyLabel,
    /// A part between dots starts or ends with a hyphen.
    #[error("a part of the host name starts or ends with '-'")]
    HyphenAtEdge,
    /// A part has two hyphens together and is not the `xn--` form of an international name.
    #[error("the host name has '--' in it; only international names (xn--) may")]
    DoubleHyphen,
    /// It ends in `.b32.i2p`, which stands for hashes.
    #[error("names ending in .b32.i2p are addresses made of a hash, not host names")]
    Base32,
}

impl HostName {
    /// The most characters a name may have, `.i2p` included.
    pub const MAX_LEN: usize = 67;

    /// Returns the text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        if text.is_empty() {
            return Err(HostNameError::Empty);
        }
        let name = text.to_ascii_lowercase();
        let Some(front) = name.strip_suffix(".i2p") else {
            return Err(HostNameError::NotI2p);
        };
        if front.is_empty() {
            return Err(HostNameError::SuffixOnly);
        }
        for found in front.chars() {
            match found {
                'a'..='z' | '0'..='9' | '-' | '.' => {}
                _ if found.is_alphanumeric() => return Err(HostNameError::NotAscii { found }),
                _ => return Err(HostNameError::Character { found }),
            }
        }
        if name.len() > Self::MAX_LEN {
            return Err(HostNameError::TooLong { len: name.len() });
        }
        if front == "b32" || front.ends_with(".b32") {
            return Err(HostNameError::Base32);
        }
        for label in front.split('.') {
            if label.is_empty() {
                return Err(HostNameError::EmptyLabel);
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(HostNameError::HyphenAtEdge);
            }
            // Punycode itself may have hyphens together after the prefix.
            if label.contains("--") && !label.starts_with("xn--") {
                return Err(HostNameError::DoubleHyphen);
            }
        }
        Ok(Self(name.into()))
    }
}

impl AsRef<str> for HostName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names_are_taken_and_put_into_lower_case() {
        let longest = format!("{}.i2p", "a".repeat(63));
        for name in [
            "zzz.i2p",
            "i2p-projekt.i2p",
            "a.b.c.i2p",
            "0.i2p",
            "i2p.i2p",
            "b32x.i2p",
            "b32.example.i2p",
            "xn--bcher-kva.i2p",
            "www.xn----7sbb.i2p",
            &longest,
        ] {
            assert_eq!(name.parse::<HostName>().unwrap().as_str(), name);
            assert_eq!(
                name.to_uppercase().parse::<HostName>().unwrap().to_string(),
                name
            );
        }
    }

    #[test]
    fn each_wrong_form_has_its_own_error() {
        let long = format!("{}.i2p", "a".repeat(64));
        for (name, error) in [
            ("", HostNameError::Empty),
            ("example", HostNameError::NotI2p),
            ("example.com", HostNameError::NotI2p),
            ("example.i2p.", HostNameError::NotI2p),
            ("i2p", HostNameError::NotI2p),
            (".i2p", HostNameError::SuffixOnly),
            (&long, HostNameError::TooLong { len: 68 }),
            ("bücher.i2p", HostNameError::NotAscii { found: 'ü' }),
            ("a_b.i2p", HostNameError::Character { found: '_' }),
            ("a b.i2p", HostNameError::Character { found: ' ' }),
            ("a\n.i2p", HostNameError::Character { found: '\n' }),
            (".a.i2p", HostNameError::EmptyLabel),
            ("a..b.i2p", HostNameError::EmptyLabel),
            ("a..i2p", HostNameError::EmptyLabel),
            ("-a.i2p", HostNameError::HyphenAtEdge),
            ("a-.i2p", HostNameError::HyphenAtEdge),
            ("a.-b.i2p", HostNameError::HyphenAtEdge),
            ("a-.b.i2p", HostNameError::HyphenAtEdge),
            ("a--b.i2p", HostNameError::DoubleHyphen),
            ("ab.b32.i2p", HostNameError::Base32),
            ("b32.i2p", HostNameError::Base32),
        ] {
            assert_eq!(name.parse::<HostName>(), Err(error), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_prints_and_reads_the_same(text in "[a-zA-Z0-9.-]{0,12}(\\.i2p)?") {
            if let Ok(name) = text.parse::<HostName>() {
                prop_assert_eq!(name.as_str(), text.to_lowercase());
                prop_assert_eq!(name.to_string().parse(), Ok(name));
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<HostName>();
        }
    }
}
