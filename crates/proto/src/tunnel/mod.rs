//! Tunnels: how they are built and what goes through them.
//!
//! - [`layers`]: the encryption of tunnel data by each hop and its inverse;
//! - [`duplicates`]: what transit hops drop as seen before;
//! - [`noise`]: the one-way encryption to a router that build records and garlic share.

use std::time::Duration;

pub mod duplicates;
pub mod layers;
pub mod noise;
#[cfg(test)]
pub(crate) mod testing;

pub use duplicates::DuplicateFilter;
pub use layers::{HopLayer, TunnelKeys, TunnelLayers};

/// How long a tunnel lasts from its build request on (ECIES-X25519 Tunnel Creation, request
/// expiration): the only value there is.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// The length of what is layered of a TunnelData message: `[IV: 16][data: 1008]`.
pub const LAYERED_LEN: usize = 1024;

/// How long the IV is.
const IV_LEN: usize = 16;

