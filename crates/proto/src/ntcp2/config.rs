use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ramson_crypto::x25519::PrivateKey;
use ramson_wire::{RouterHash, RouterInfo, Verified};

use super::QueueLimits;
use crate::Sensitive;

/// What every link of a router needs to know of that router.
///
/// Shared by all links; when the RouterInfo is signed anew, later links get a new one.
pub struct LocalRouter {
    /// The own RouterInfo as it is published now.
    pub router_info: Verified<RouterInfo>,
    /// The private key of `s`, the static key that the RouterInfo names.
    pub static_key: PrivateKey,
    /// The published `i`, with which the peers' first messages are obfuscated.
    pub iv: [u8; 16],
    /// The network's id: 2 for the public one.
    pub network_id: u8,
}

impl fmt::Debug for LocalRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRouter").finish_non_exhaustive()
    }
}

/// What a link needs that is dialled.
#[derive(Debug, Clone)]
pub struct DialConfig {
    /// The own router.
    pub local: Arc<LocalRouter>,
    /// The router to reach.
    pub peer: Verified<RouterInfo>,
    /// `s` of the address that is dialled.
    pub static_key: [u8; 32],
    /// `i` of the address that is dialled.
    pub iv: [u8; 16],
    /// Limits and times.
    pub link: LinkConfig,
}

/// What a link needs that is accepted.
#[derive(Debug, Clone)]
pub struct AcceptConfig {
    /// The own router.
    pub local: Arc<LocalRouter>,
    /// Where the connection comes from.
    pub source: Sensitive<IpAddr>,
    /// Accepts routers that publish another address than the one they come from: for networks
    /// behind one address.
    pub any_source: bool,
    /// Routers that are turned away.
    pub banned: Arc<BTreeSet<RouterHash>>,
    /// Sends the own RouterInfo as soon as the link is up, as i2pd does: the peer may have an old
    /// one.
    pub greet: bool,
    /// Limits and times.
    pub link: LinkConfig,
}

/// Limits and times of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkConfig {
    /// What may wait to be sent.
    pub queue: QueueLimits,
    /// How long a link lives on which nothing comes or goes. Up to an eighth is added at random.
    pub idle: Duration,
    /// The most padding in a frame, as a part of its content in percent; up to 15 bytes are always
    /// allowed.
    pub padding_percent: u8,
}

impl Default for LinkConfig {
    /// The default queue, 120 s, and up to 6 % of padding.
    fn default() -> Self {
        Self {
            queue: QueueLimits::default(),
            idle: Duration::from_secs(120),
            padding_percent: 6,
        }
    }
}
