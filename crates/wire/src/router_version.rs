use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The option `router.version` of a RouterInfo: the version of the protocol a router implements
/// (I2NP, Protocol Versions), such as 0.9.66.
///
/// Order and equality are those of the three parts.
#[derive(Debug, Clone, Copy)]
pub struct RouterVersion {
    parts: [u16; 3],
    digits: u32,
}

/// A text is no version: it needs three numbers with dots between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version has three numbers with dots between them, as 0.9.66 has")]
pub struct RouterVersionError;

impl RouterVersion {
    /// Returns the version of these parts.
    pub fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            parts: [major, minor, patch],
            digits: digits(&format!("{major}{minor}{patch}")),
        }
    }

    /// Returns the three parts.
    pub fn parts(self) -> [u16; 3] {
        self.parts
    }

    /// Returns the number that i2pd makes of the text: all its digits without the dots, 966 for
    /// 0.9.66. It orders versions wrongly unless their last parts have two digits.
    pub fn digits(self) -> u32 {
        self.digits
    }
}

impl FromStr for RouterVersion {
    type Err = RouterVersionError;

    /// Reads three numbers; what follows them, such as a build's number, changes the digits only.
    fn from_str(text: &str) -> Result<Self, RouterVersionError> {
        let mut numbers = text.split(['.', '-']).map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            match digits {
                true => part.parse().map_err(|_| RouterVersionError),
                false => Err(RouterVersionError),
            }
        });
        let mut next = || numbers.next().ok_or(RouterVersionError).flatten();
        let parts = [next()?, next()?, next()?];
        Ok(Self {
            parts,
            digits: digits(text),
        })
    }
}

fn digits(text: &str) -> u32 {
    text.chars()
        .filter_map(|c| c.to_digit(10))
        .fold(0u32, |sum, digit| {
            sum.saturating_mul(10).saturating_add(digit)
        })
}

impl fmt::Display for RouterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.parts;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl PartialEq for RouterVersion {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for RouterVersion {}

impl PartialOrd for RouterVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RouterVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let version = |text: &str| text.parse::<RouterVersion>().unwrap();
        assert_eq!(version("0.9.66").parts(), [0, 9, 66]);
        assert_eq!(version("0.9.66").digits(), 966);
        assert_eq!(version("0.9.66-3").digits(), 9663);
        assert_eq!(version("0.9.66-3"), RouterVersion::new(0, 9, 66));
        assert_eq!(version("0.10.1").digits(), 101);
        assert!(version("0.10.1") > version("0.9.66"));
        assert!(version("0.9.6") < version("0.9.51"));
        for (major, minor, patch, digits) in
            [(0, 9, 66, 966), (0, 10, 0, 100), (10, 0, 65535, 10_065_535)]
        {
            let built = RouterVersion::new(major, minor, patch);
            assert_eq!(built.digits(), digits);
            assert_eq!(version(&built.to_string()).digits(), digits);
        }
        for text in ["", "0.9", "0.9.", "0.9.x", "0.9.70000", "+0.9.1", "a.b.c"] {
            assert_eq!(
                text.parse::<RouterVersion>(),
                Err(RouterVersionError),
                "{text}"
            );
        }
        assert_eq!(version("0.9.1.99999999999999999999").digits(), u32::MAX);
    }
}
