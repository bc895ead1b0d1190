//! What several tests need.

use std::net::SocketAddr;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_wire::{Instant, RouterInfo, UnixTime, Verified};

use crate::config::RouterConfig;
use crate::core::{OwnRouter, RouterKeys};

/// A moment: so many milliseconds after some day of the year 2026.
pub(crate) fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_micros(millis * 1000),
        unix: UnixTime::from_millis(1_790_000_000_000 + millis),
    }
}

pub(crate) fn config(port: u16) -> RouterConfig {
    RouterConfig {
        network_id: 77,
        published: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        allow_local: true,
        allow_same_network: true,
        ..RouterConfig::default()
    }
}

/// The RouterInfo of the router that this seed makes, published then.
pub(crate) fn router_info(seed: u8, floodfill: bool, published: Now) -> Verified<RouterInfo> {
    let keys = RouterKeys::generate(&mut Random::from_seed([seed; 32]));
    let config = RouterConfig {
        floodfill,
        ..config(10_000 + u16::from(seed))
    };
    let own = OwnRouter::new(keys, &config, published).unwrap();
    own.info().clone()
}
