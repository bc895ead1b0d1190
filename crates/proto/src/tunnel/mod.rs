//! Tunnels: how they are built and what goes through them.
//!
//! - [`build`]: the creator's and the hops' side of build messages;
//! - [`layers`]: the encryption of tunnel data by each hop and its inverse;
//! - [`fragment`] and [`reassembly`]: from I2NP messages to tunnel messages and back;
//! - [`duplicates`]: what transit hops drop as seen before;
//! - [`noise`]: the one-way encryption to a router that build records and garlic share.

use std::time::Duration;

pub mod build;
pub mod duplicates;
pub mod fragment;
pub mod layers;
pub mod noise;
pub mod reassembly;
#[cfg(test)]
pub(crate) mod testing;

pub use duplicates::DuplicateFilter;
pub use fragment::Gateway;
pub use layers::{HopLayer, TunnelKeys, TunnelLayers};
pub use reassembly::Endpoint;

/// How long a tunnel lasts from its build request on (ECIES-X25519 Tunnel Creation, request
/// expiration): the only value there is.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// The length of what is layered of a TunnelData message: `[IV: 16][data: 1008]`.
pub const LAYERED_LEN: usize = 1024;

/// How long the IV is.
const IV_LEN: usize = 16;

/// How long the checksum is, which follows the IV.
const CHECKSUM_LEN: usize = 4;

/// Returns the checksum of a clear tunnel message: the first bytes of SHA-256 of what stands behind
/// the padding and its zero, and of the IV the gateway chose.
fn checksum(payload: &[u8], iv: &[u8; IV_LEN]) -> [u8; CHECKSUM_LEN] {
    // On the stack: it is a kilobyte, and less work than hashing it.
    let mut both = [0; LAYERED_LEN];
    let len = payload.len().saturating_add(IV_LEN);
    let both = both
        .get_mut(..len)
        .expect("payload and IV are parts of one message");
    let (front, back) = both.split_at_mut(payload.len());
    front.copy_from_slice(payload);
    back.copy_from_slice(iv);
    let hash = ramson_crypto::sha256(both);
    *hash
        .first_chunk()
        .expect("a hash is longer than the checksum")
}
