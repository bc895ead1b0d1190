use std::net::SocketAddr;
use std::time::Duration;

use ramson_wire::RouterVersion;

/// What a router is told by its owner.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// The network's id: 2 for the public one.
    pub network_id: u8,
    /// Where other routers reach us over NTCP2; `None` if they cannot.
    pub published: Option<SocketAddr>,
    /// Whether we are a floodfill.
    pub floodfill: bool,
    /// What is told of our bandwidth, in bytes per second.
    pub bandwidth_bytes_per_s: u64,
    /// Limits of transit.
    pub transit: TransitLimits,
    /// Our exploratory tunnels.
    pub exploratory: TunnelSettings,
    /// Dials and accepts private and loopback addresses.
    pub allow_local: bool,
    /// Takes hops of one /16 into one tunnel, and accepts routers that come from another address
    /// than the one they publish.
    pub allow_same_network: bool,
    /// RouterInfos kept beside our own.
    pub max_routers: usize,
    /// LeaseSets kept.
    pub max_lease_sets: usize,
    /// Links at once.
    pub max_links: usize,
    /// The version told to other routers.
    pub version: RouterVersion,
}

/// How much we carry for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitLimits {
    /// Tunnels at once.
    pub tunnels: usize,
    /// Bytes per second.
    pub rate_bytes_per_s: u64,
}

/// How many tunnels there are, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelSettings {
    /// Hops of each.
    pub hops: usize,
    /// Tunnels in each direction.
    pub quantity: usize,
}

/// The tunnels of one Destination in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Hops of each, 0 to [`Self::MAX_HOPS`].
    pub hops: u8,
    /// By how many hops at random they are longer, at most; if it is negative, longer or shorter.
    pub variance: i8,
    /// Tunnels in use, 1 to [`Self::MAX_QUANTITY`].
    pub quantity: u8,
    /// Tunnels beside them that wait for one of them to fail.
    pub backup: u8,
}

impl PoolSettings {
    /// The most hops of a tunnel (I2CP, inbound.length).
    pub const MAX_HOPS: u8 = 7;
    /// The most tunnels of a Destination in one direction, as many as a LeaseSet has room for.
    pub const MAX_QUANTITY: u8 = 16;

    /// The same within bounds.
    pub(crate) fn bounded(self) -> Self {
        let quantity = self.quantity.clamp(1, Self::MAX_QUANTITY);
        Self {
            hops: self.hops.min(Self::MAX_HOPS),
            variance: self.variance.clamp(-7, 7),
            quantity,
            backup: self.backup.min(Self::MAX_QUANTITY - quantity),
        }
    }

    /// How many there are to be.
    pub(crate) fn total(self) -> usize {
        usize::from(self.quantity) + usize::from(self.backup)
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            hops: 3,
            variance: 0,
            quantity: 2,
            backup: 0,
        }
    }
}

impl Default for RouterConfig {
    /// The public network, without a published address, no floodfill, 1 MB/s.
    fn default() -> Self {
        Self {
            network_id: 2,
            published: None,
            floodfill: false,
            bandwidth_bytes_per_s: 1_000_000,
            transit: TransitLimits {
                tunnels: 10_000,
                rate_bytes_per_s: 1_000_000,
            },
            exploratory: TunnelSettings {
                hops: 2,
                quantity: 2,
            },
            allow_local: false,
            allow_same_network: false,
            max_routers: 5_000,
            max_lease_sets: 5_000,
            max_links: 1_000,
            version: RouterVersion::new(0, 9, 66),
        }
    }
}

/// How long a tunnel lasts after its build request.
pub(crate) const TUNNEL_LIFETIME: Duration = Duration::from_secs(600);
