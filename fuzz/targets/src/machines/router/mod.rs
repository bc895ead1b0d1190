//! A whole router, the parts of which are driven through its links and its handle.

mod answers;
mod net;
mod says;
mod transit;

use ramson_crypto::fake;

use self::net::Net;
use crate::script::Script;

/// What the inputs of [`router_core`] have to reach.
pub const CORE: &[&str] = &[
    "from us DatabaseStore",
    "from us DatabaseLookup",
    "from us DatabaseSearchReply",
    "from us DeliveryStatus",
    "from us Garlic",
    "from us TunnelGateway",
    "from us TunnelData",
    "from us ShortTunnelBuild",
    "from us VariableTunnelBuild",
    "from us, for a tunnel, VariableTunnelBuildReply",
    "from us, for a tunnel, Garlic",
    "from us, for a tunnel, DatabaseStore",
    "from us, for a tunnel, DatabaseSearchReply",
    "from us, for a tunnel, DeliveryStatus",
    "to us DatabaseStore",
    "to us DatabaseLookup",
    "to us DatabaseSearchReply",
    "to us DeliveryStatus",
    "to us Garlic",
    "to us TunnelData",
    "to us TunnelGateway",
    "to us Data",
    "to us TunnelBuild",
    "to us TunnelBuildReply",
    "to us VariableTunnelBuild",
    "to us VariableTunnelBuildReply",
    "to us ShortTunnelBuild",
    "to us OutboundTunnelBuildReply",
    "to us Other",
    "store RouterInfo",
    "store LeaseSet LeaseSet",
    "store LeaseSet LeaseSet2",
    "store LeaseSet Encrypted",
    "store LeaseSet Meta",
    "store without an answer",
    "store with an answer",
    "store with an answer through a tunnel",
    "look-up Any",
    "look-up LeaseSet",
    "look-up RouterInfo",
    "look-up Exploration",
    "look-up through a tunnel",
    "look-up answered in clear",
    "look-up Ratchet",
    "look-up ElGamal",
    "clove Local",
    "clove Destination",
    "clove Router",
    "clove Tunnel",
    "build Short InboundGateway",
    "build Short Participant",
    "build Short OutboundEndpoint",
    "build Long InboundGateway",
    "build Long Participant",
    "build Long OutboundEndpoint",
    "transit InboundGateway",
    "transit Participant",
    "transit OutboundEndpoint",
    "transit refused",
    "own tunnel inbound",
    "own tunnel outbound",
    "own build failed",
    "own tunnel tested",
    "drop Malformed",
    "drop Expired",
    "drop UnknownType",
    "drop UnexpectedReply",
    "drop StoreQuota",
    "drop LookupQuota",
    "drop BuildQuota",
    "drop BuildRecord",
    "drop BuildReplay",
    "drop BuildTime",
    "drop Garlic",
    "drop StoreRefused",
    "drop NotFloodfill",
    "looked up, found",
    "looked up, not found",
    "routers to store",
    "draining",
    "dial refused",
    "dial accepted",
];

/// Whatever its neighbours say, a router comes to rest, keeps to its limits and gives back what its
/// links held. The first byte chooses its settings; three neighbours have links.
pub fn router_core(data: &[u8]) {
    const OPERATIONS: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let _fake = fake::enable();
    let mut script = Script::new(data);
    let mut net = Net::new(script.u8());
    for number in 1..=3 {
        net.connect(number);
    }
    net.play(script, OPERATIONS);
    net.finish();
}

/// What the inputs of [`router_link`] have to reach.
pub const LINK: &[&str] = &[
    "accepted",
    "dial refused",
    "dial accepted",
    "to us DeliveryStatus",
    "link closed",
    "several links",
    "link drops malformed",
];

/// As [`router_core`], of links: handshakes as the script says, any bytes in any stage.
pub fn router_link(data: &[u8]) {
    const OPERATIONS: &[u8] = &[0, 1, 2, 3, 7, 13, 14, 16, 17, 18, 19];
    let _fake = fake::enable();
    let mut script = Script::new(data);
    let mut net = Net::new(script.u8());
    net.play(script, OPERATIONS);
    net.finish();
}

/// What the inputs of [`router_relay`] have to reach.
pub const RELAY: &[&str] = &[
    "relay participant",
    "relay gateway",
    "relay endpoint",
    "relay dropped_unknown",
    "relay dropped_wrong_router",
    "relay dropped_malformed",
    "relay dropped_duplicate",
    "relay dropped_full",
    "relay dropped_rate",
    "relay dropped_expired",
    "endpoint Local",
    "endpoint Tunnel",
    "endpoint Router",
    "from us TunnelData",
    "from us TunnelGateway",
    "from us DeliveryStatus",
    "tunnel expired",
];

/// As [`router_core`], of tunnels: three of others, one in each role, are there.
pub fn router_relay(data: &[u8]) {
    const OPERATIONS: &[u8] = &[0, 2, 9, 10, 12, 13, 14, 15];
    let _fake = fake::enable();
    let mut script = Script::new(data);
    let mut net = Net::new(script.u8());
    for number in 1..=3 {
        net.connect(number);
    }
    net.build_transit();
    net.play(script, OPERATIONS);
    net.finish();
}
