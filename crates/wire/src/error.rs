use thiserror::Error;

use crate::{Base64Error, gzip::GzipError};

/// Why bytes are not the structure they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end before the structure does.
    #[error("the data is cut: at least {missing} more bytes are needed")]
    Truncated {
        /// How many bytes more the field needs at which the data ends.
        missing: usize,
    },
    /// Bytes follow the structure where it should have been alone.
    #[error("{extra} bytes follow that do not belong there")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// The structure or a part of it is longer than anyone makes it.
    #[error("the data has {actual} bytes where at most {limit} are allowed")]
    TooLong {
        /// How many bytes it has.
        actual: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A list has more elements than allowed.
    #[error("a list has {actual} elements where at most {limit} are allowed")]
    TooMany {
        /// How many it has.
        actual: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A list is empty that must not be.
    #[error("a list is empty that must not be")]
    Empty,
    /// A key certificate is shorter than its two key types and their excess key bytes.
    #[error("the key certificate has {actual} bytes where its types need {needed}")]
    KeyCertificateTooShort {
        /// The length the types ask for.
        needed: usize,
        /// The length the certificate states.
        actual: usize,
    },
    /// The length of a key or a signature is not known, because its type is not.
    #[error("the signing type {0} is unknown")]
    UnknownSigningType(u16),
    /// A type number has no meaning where it stands.
    #[error("the type {0} is unknown")]
    UnknownType(u8),
    /// Flags contradict each other or have no meaning together.
    #[error("the flags {0:#04x} make no sense")]
    Flags(u8),
    /// A tunnel id is zero where there must be a tunnel.
    #[error("a tunnel id is zero")]
    ZeroTunnelId,
    /// A Mapping does not consist of `key=value;`.
    #[error("a mapping is damaged")]
    MappingSyntax,
    /// A Mapping that is signed has a key twice.
    #[error("a mapping has a key twice")]
    DuplicateKey,
    /// The checksum of an I2NP message does not fit its body.
    #[error("the checksum of a message does not fit")]
    Checksum,
    /// A block has another length than its type asks for.
    #[error("a block of type {kind} has {actual} bytes")]
    BlockLength {
        /// The type of the block.
        kind: u8,
        /// How many bytes of data it has.
        actual: usize,
    },
    /// A block stands behind one that must be the last.
    #[error("a block of type {kind} stands where it must not")]
    BlockOrder {
        /// The type of the block.
        kind: u8,
    },
    /// The text is not base64 as I2P writes it.
    #[error(transparent)]
    Base64(#[from] Base64Error),
    /// The bytes are not gzip as I2P uses it.
    #[error(transparent)]
    Gzip(#[from] GzipError),
}

/// Why a structure cannot be written; nothing has been written then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// It, or a part of it, is longer than its length field or a limit of the protocol allows.
    #[error("{actual} bytes are to be written where at most {limit} are allowed")]
    TooLong {
        /// How many bytes it has.
        actual: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A list has more elements than allowed.
    #[error("a list of {actual} elements is to be written where at most {limit} are allowed")]
    TooMany {
        /// How many it has.
        actual: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A list is empty that must not be.
    #[error("a list is to be written that is empty and must not be")]
    Empty,
    /// A Mapping has a key twice.
    #[error("a mapping to be written has a key twice")]
    DuplicateKey,
    /// The private key is not the one of the identity that is to sign.
    #[error("the signing key is not the one of the identity")]
    KeyMismatch,
}
