use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::{
    Base32Error, DecodeError, Destination, DestinationHash, HostName, HostNameError, PrivateKeys,
};

/// An address in I2P, in one of the three forms people write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `<52 characters>.b32.i2p`, the hash of a Destination.
    Hash(DestinationHash),
    /// A whole Destination in base64, 516 characters and more.
    Destination(Destination),
    /// A host name such as `example.i2p`, which an address book must know.
    Name(HostName),
}

/// Why a text is no I2P address; the message says what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// There is no text.
    #[error("the address is empty")]
    Empty,
    /// There is white space in the text or around it.
    #[error("the address has white space in it or around it; write it without")]
    WhiteSpace,
    /// It is a URL or has a path.
    #[error("this is a URL, not an address; write the host name in it alone, like name.i2p")]
    Url,
    /// It is an IP address.
    #[error("this is an IP address, which I2P does not use; write name.i2p or a .b32.i2p address")]
    IpAddress,
    /// It has a port where none may be.
    #[error("a port does not belong here; write the address without the part from ':' on")]
    Port,
    /// It is a host name of another network.
    #[error("this is not an I2P name: those end in .i2p, as in name.i2p")]
    NotI2p,
    /// It is a word without dots.
    #[error("the ending is missing: write name.i2p, or name.b32.i2p for the 52 character form")]
    NoSuffix,
    /// It is a b33, the address of an encrypted LeaseSet (Naming, Extended Base32 Names).
    #[error("b33 addresses of encrypted LeaseSets are not supported yet")]
    EncryptedNotSupported,
    /// It ends in `.b32.i2p` but does not have 52 characters before it.
    #[error(
        "{chars} characters are before .b32.i2p where 52 belong: the address is cut or damaged"
    )]
    B32Length {
        /// How many there are.
        chars: usize,
    },
    /// It has a further name before the 52 characters.
    #[error("names before a .b32.i2p address do not exist; write its last 52 characters alone")]
    B32Subdomain,
    /// What is before `.b32.i2p` is not base32.
    #[error("the .b32.i2p address is damaged: {0}")]
    Base32(#[from] Base32Error),
    /// It ends in `.i2p` but is no host name.
    #[error(transparent)]
    HostName(#[from] HostNameError),
    /// It is long as a Destination in base64 is, but is none.
    #[error("the base64 Destination is damaged: {0}")]
    Destination(DecodeError),
    /// It is someone's private keys.
    #[error(
        "these are private keys, not an address: keep them secret and give their .b32.i2p address"
    )]
    PrivateKeys,
}

impl Address {
    /// Returns the hash of the Destination, `None` for a name.
    pub fn hash(&self) -> Option<DestinationHash> {
        match self {
            Self::Hash(hash) => Some(*hash),
            Self::Destination(destination) => Some(destination.hash()),
            Self::Name(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.contains(|c: char| c.is_whitespace()) {
            return Err(AddressError::WhiteSpace);
        }
        // No name is as long, and no text as short a Destination.
        if text.len() > HostName::MAX_LEN && !text.contains(['.', ':']) {
            return destination(text).map(Self::Destination);
        }
        if text.contains("://") || text.contains(['/', '?', '#']) {
            return Err(AddressError::Url);
        }
        if is_ip_address(text) {
            return Err(AddressError::IpAddress);
        }
        if text.contains(':') {
            return Err(AddressError::Port);
        }
        if let Some(label) = strip_b32_suffix(text) {
            if label.contains('.') {
                return Err(AddressError::B32Subdomain);
            }
            return label.parse().map(Self::Hash);
        }
        match text.parse() {
            Ok(name) => Ok(Self::Name(name)),
            Err(HostNameError::NotI2p) if text.contains('.') => Err(AddressError::NotI2p),
            Err(HostNameError::NotI2p) => Err(AddressError::NoSuffix),
            Err(error) => Err(error.into()),
        }
    }
}

fn destination(text: &str) -> Result<Destination, AddressError> {
    Destination::from_base64(text).map_err(|error| {
        let trailing = matches!(error, DecodeError::TrailingBytes { .. });
        if trailing && PrivateKeys::from_base64(text).is_ok() {
            AddressError::PrivateKeys
        } else {
            AddressError::Destination(error)
        }
    })
}

fn is_ip_address(text: &str) -> bool {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok()
}

/// Returns what is before `.b32.i2p`, in either case.
pub(crate) fn strip_b32_suffix(text: &str) -> Option<&str> {
    let (label, suffix) = text.split_at_checked(text.len().checked_sub(".b32.i2p".len())?)?;
    suffix.eq_ignore_ascii_case(".b32.i2p").then_some(label)
}

impl fmt::Display for Address {
    /// Writes the form that was read, names and hashes in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => hash.fmt(f),
            Self::Destination(destination) => fmt::Display::fmt(destination, f),
            Self::Name(name) => fmt::Display::fmt(name, f),
        }
    }
}

impl From<DestinationHash> for Address {
    fn from(hash: DestinationHash) -> Self {
        Self::Hash(hash)
    }
}

impl From<Destination> for Address {
    fn from(destination: Destination) -> Self {
        Self::Destination(destination)
    }
}

impl From<HostName> for Address {
    fn from(name: HostName) -> Self {
        Self::Name(name)
    }
}

/// An address and a port in it, written `name.i2p` or `name.i2p:80`.
///
/// Port 0 is what streams use when nobody names one; it is not printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Where to.
    pub address: Address,
    /// Which port there.
    pub port: u16,
}

/// Why a text is no address with an optional port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The address is wrong.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// What follows the colon is no port.
    #[error("after ':' a port is wanted, a number from 0 to 65535")]
    Port,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let Some((address, port)) = text.rsplit_once(':') else {
            return Ok(Self {
                address: text.parse()?,
                port: 0,
            });
        };
        // A URL or an IP address is told as what it is, not as a wrong port.
        if text.contains("://") || is_ip_address(text) {
            return Err(text
                .parse::<Address>()
                .err()
                .unwrap_or(AddressError::Port)
                .into());
        }
        let address = address.parse()?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TargetError::Port);
        }
        Ok(Self {
            address,
            port: port.parse().map_err(|_| TargetError::Port)?,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            0 => self.address.fmt(f),
            port => write!(f, "{}:{port}", self.address),
        }
    }
}

impl<A: Into<Address>> From<A> for Target {
    fn from(address: A) -> Self {
        Self {
            address: address.into(),
            port: 0,
        }
    }
}

#[cfg(test)]
mod tests;
