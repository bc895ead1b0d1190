//! The bodies of the fuzz targets: functions of any bytes that panic where an invariant does not hold.
//!
//! `fuzz/fuzz_targets` hands them to libFuzzer, `tests/replay.rs` replays the corpora through them and
//! mutates them a little. [`TARGETS`] names them all.

mod sam;
pub use sam::{sam_bridge, sam_client, sam_datagram, sam_line, sam_reply, sam_request};

mod wire;
pub use wire::{wire_address, wire_private_keys};

mod messages;
pub use messages::{wire_garlic, wire_i2np, wire_ntcp2, wire_tunnel};

mod netdb;
pub use netdb::{wire_lease_set, wire_mapping, wire_router_info};

/// A target: its name, which is also its corpus's folder, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 15] = [
    ("sam_line", sam_line),
    ("sam_request", sam_request),
    ("sam_reply", sam_reply),
    ("sam_client", sam_client),
    ("sam_bridge", sam_bridge),
    ("sam_datagram", sam_datagram),
    ("wire_private_keys", wire_private_keys),
    ("wire_address", wire_address),
    ("wire_mapping", wire_mapping),
    ("wire_router_info", wire_router_info),
    ("wire_lease_set", wire_lease_set),
    ("wire_i2np", wire_i2np),
    ("wire_ntcp2", wire_ntcp2),
    ("wire_garlic", wire_garlic),
    ("wire_tunnel", wire_tunnel),
];
