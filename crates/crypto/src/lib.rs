//! Keys, signatures, hashes, ciphers and randomness behind ramson's own names, so that one crate
//! decides which implementation does the work.
//!
//! Nothing in here knows the I2P protocol beyond its conventions: which nonces, counters and
//! widths the primitives get. Secrets are zeroed when dropped and their `Debug` shows nothing of
//! them.

mod aead;
pub use aead::{AeadError, AeadKey, TAG_LEN};

mod aes;
pub use aes::{Aes256Decryptor, Aes256Encryptor, BLOCK_LEN, BlockLengthError, CbcJob};

pub mod chacha20;

mod dsa;

mod ed25519;
pub use ed25519::{SigningKey, verify};

pub mod elligator2;

#[cfg(feature = "fake")]
pub mod fake;

mod hash;
pub use hash::sha256;

mod hkdf;
pub use hkdf::{Key32, hkdf, hkdf_pair, hmac_sha256};

mod noise;
pub use noise::SymmetricState;

pub mod random;
pub use random::Random;

mod signature;
pub use signature::{SignatureError, SignatureKind, VerifyingKey};

#[cfg(feature = "simulation")]
pub mod simulation;

mod siphash;
pub use siphash::siphash24;

pub mod x25519;

#[cfg(test)]
mod testing;
