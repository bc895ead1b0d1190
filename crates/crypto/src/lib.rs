//! Keys, signatures, hashes and randomness behind ramson's own names, so that one crate decides
//! which implementation does the work.
//!
//! Nothing in here knows the I2P protocol. Secrets are zeroed when dropped and their `Debug` shows
//! nothing of them.

mod ed25519;
pub use ed25519::{SignatureError, SigningKey, verify};

mod hash;
pub use hash::sha256;

pub mod random;
