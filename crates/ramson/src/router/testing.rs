//! What the tests of this module need.

use std::net::SocketAddr;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_router::{Router, RouterConfig, RouterKeys};
use ramson_wire::{Instant, RouterInfo, UnixTime, Verified};

/// The RouterInfo of a new router in network 99.
pub(super) fn router_info(random: &mut Random) -> Verified<RouterInfo> {
    let config = RouterConfig {
        network_id: 99,
        published: Some(SocketAddr::from(([127, 0, 0, 1], 23_456))),
        ..RouterConfig::default()
    };
    let now = Now {
        instant: Instant::ZERO,
        unix: UnixTime::from_secs(1_800_000_000),
    };
    let keys = RouterKeys::generate(random);
    let router = Router::new(config, keys, 1, now, random.fork("router")).unwrap();
    router.handle.router_info()
}
