use std::{fmt, str::FromStr};

use thiserror::Error;

/// A version of the protocol, `major.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The part before the point: 3 in everything spoken today.
    pub major: u8,
    /// The part behind the point.
    pub minor: u8,
}

impl Version {
    /// SAM 3.0: no quoting rules, no ports, MIN and MAX required.
    pub const V3_0: Version = Version { major: 3, minor: 0 };
    /// SAM 3.1: signature types.
    pub const V3_1: Version = Version { major: 3, minor: 1 };
    /// SAM 3.2: ports, escapes, UTF-8, PING, authorization.
    pub const V3_2: Version = Version { major: 3, minor: 2 };
    /// SAM 3.3: primary sessions.
    pub const V3_3: Version = Version { major: 3, minor: 3 };
    /// Every version of this crate, lowest first.
    pub const ALL: [Version; 4] = [Self::V3_0, Self::V3_1, Self::V3_2, Self::V3_3];

    /// Tells whether lines of this version carry I2CP ports and protocols (3.2 and later).
    pub fn has_ports(self) -> bool {
        self >= Self::V3_2
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `3`, `3.0`, `3.1` ...; a single number is its `.0` (samv3, Version 3.1 Changes).
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Version {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

/// `u8::from_str` takes a leading `+`; versions do not.
fn number(text: &str) -> Result<u8, VersionError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(VersionError);
    }
    text.parse().map_err(|_| VersionError)
}

/// A version word that is not one or two small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a SAM version")]
pub struct VersionError;

/// Chooses the highest of the `supported` versions from `min` to `max`.
///
/// A missing bound does not bound (samv3, SAM Connection Handshake); no version between them is `None`,
/// which a bridge answers with NOVERSION.
pub fn negotiate(
    min: Option<Version>,
    max: Option<Version>,
    supported: &[Version],
) -> Option<Version> {
    supported
        .iter()
        .copied()
        .filter(|v| min.is_none_or(|min| *v >= min) && max.is_none_or(|max| *v <= max))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_and_two_numbers() {
        assert_eq!("3".parse(), Ok(Version::V3_0));
        assert_eq!("3.0".parse(), Ok(Version::V3_0));
        assert_eq!("3.3".parse(), Ok(Version::V3_3));
        assert_eq!(
            "99.99".parse(),
            Ok(Version {
                major: 99,
                minor: 99
            })
        );
        for bad in [
            "", ".", "3.", ".1", "3.1.2", "+3", "3.-1", "3. 1", "300", "three",
        ] {
            assert_eq!(bad.parse::<Version>(), Err(VersionError), "{bad:?}");
        }
        assert_eq!(Version::V3_2.to_string(), "3.2");
        assert!(Version::V3_1 < Version::V3_2);
    }

    #[test]
    fn negotiates_each_form_of_bounds() {
        let n = |min: Option<&str>, max: Option<&str>| {
            let read = |v: Option<&str>| v.map(|v| v.parse().unwrap());
            negotiate(read(min), read(max), &Version::ALL).map(|v| v.to_string())
        };
        assert_eq!(n(None, None).as_deref(), Some("3.3"));
        assert_eq!(n(Some("3.1"), Some("3.1")).as_deref(), Some("3.1"));
        assert_eq!(n(Some("3.0"), Some("3.2")).as_deref(), Some("3.2"));
        assert_eq!(n(Some("3"), Some("3")).as_deref(), Some("3.0"));
        assert_eq!(n(Some("1"), None).as_deref(), Some("3.3"));
        assert_eq!(n(None, Some("3.1")).as_deref(), Some("3.1"));
        assert_eq!(n(Some("3.1"), Some("99.99")).as_deref(), Some("3.3"));
        assert_eq!(n(Some("3.4"), None), None);
        assert_eq!(n(Some("1"), Some("2.9")), None);
        assert_eq!(n(Some("3.2"), Some("3.1")), None);
        assert_eq!(negotiate(None, None, &[]), None);
    }
}
