use std::fmt;
use std::num::NonZeroU32;

use crate::{DecodeError, Reader};

/// The id a tunnel has on one hop (Common structures, TunnelId): never zero, which stands for no
/// tunnel where a field may say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(NonZeroU32);

impl TunnelId {
    /// Returns the id of this number, `None` for zero.
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Takes an id from the reader.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::ZeroTunnelId`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u32()?).ok_or(DecodeError::ZeroTunnelId)
    }
}

impl fmt::Display for TunnelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_tunnel() {
        let parse = |bytes: &[u8]| TunnelId::parse(&mut Reader::new(bytes));
        assert_eq!(parse(&[0, 0, 0, 0]), Err(DecodeError::ZeroTunnelId));
        assert_eq!(parse(&[0, 0, 1, 0]).map(TunnelId::get), Ok(256));
        assert_eq!(
            parse(&[0, 0, 1]),
            Err(DecodeError::Truncated { missing: 1 })
        );
        assert_eq!(TunnelId::new(0), None);
    }
}
