//! The bodies of the fuzz targets: functions of any bytes that panic where an invariant does not hold.
//!
//! `fuzz/fuzz_targets` hands them to libFuzzer, `tests/replay.rs` replays the corpora through them and
//! mutates them a little. [`targets`] names them all, and what their corpora have to reach.

mod sam;
pub use sam::{sam_bridge, sam_client, sam_datagram, sam_line, sam_reply, sam_request};

mod wire;
pub use wire::{wire_address, wire_private_keys};

mod messages;
pub use messages::{wire_garlic, wire_i2np, wire_ntcp2, wire_tunnel};

mod netdb;
pub use netdb::{wire_lease_set, wire_mapping, wire_router_info};

#[cfg(feature = "files")]
mod files;
#[cfg(feature = "files")]
pub use files::{file_router, file_seed, file_text, transfer_frame};

mod reach;
pub use reach::reached_by;

#[cfg(feature = "machines")]
mod script;

#[cfg(feature = "machines")]
pub mod machines;

/// A target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also its corpus's folder.
    pub name: &'static str,
    /// Its body.
    pub run: fn(&[u8]),
    /// What its corpus has to reach, of what it tells to [`reached_by`].
    pub kinds: &'static [&'static str],
}

impl Target {
    const fn new(name: &'static str, run: fn(&[u8]), kinds: &'static [&'static str]) -> Self {
        Self { name, run, kinds }
    }
}

/// Every target; the machines and the files with their features only.
pub fn targets() -> Vec<Target> {
    let decoders = [
        Target::new("sam_line", sam_line, &[]),
        Target::new("sam_request", sam_request, &[]),
        Target::new("sam_reply", sam_reply, &[]),
        Target::new("sam_client", sam_client, &[]),
        Target::new("sam_bridge", sam_bridge, &[]),
        Target::new("sam_datagram", sam_datagram, &[]),
        Target::new("wire_private_keys", wire_private_keys, &[]),
        Target::new("wire_address", wire_address, &[]),
        Target::new("wire_mapping", wire_mapping, &[]),
        Target::new("wire_router_info", wire_router_info, &[]),
        Target::new("wire_lease_set", wire_lease_set, &[]),
        Target::new("wire_i2np", wire_i2np, &[]),
        Target::new("wire_ntcp2", wire_ntcp2, &[]),
        Target::new("wire_garlic", wire_garlic, &[]),
        Target::new("wire_tunnel", wire_tunnel, &[]),
    ];
    #[cfg(feature = "machines")]
    let machines = [
        Target::new("ntcp2", machines::ntcp2, machines::NTCP2),
        Target::new(
            "ntcp2_admission",
            machines::ntcp2_admission,
            machines::ADMISSION,
        ),
        Target::new(
            "tunnel_build",
            machines::tunnel_build,
            machines::TUNNEL_BUILD,
        ),
        Target::new("tunnel_data", machines::tunnel_data, machines::TUNNEL_DATA),
        Target::new("garlic_router", machines::garlic_router, machines::GARLIC),
        Target::new("router_core", machines::router_core, machines::CORE),
        Target::new("router_link", machines::router_link, machines::LINK),
        Target::new("router_relay", machines::router_relay, machines::RELAY),
    ];
    #[cfg(not(feature = "machines"))]
    let machines = [];
    #[cfg(feature = "files")]
    let files = [
        Target::new("file_router", file_router, &[]),
        Target::new("file_seed", file_seed, &[]),
        Target::new("file_text", file_text, &[]),
        Target::new("transfer_frame", transfer_frame, &[]),
    ];
    #[cfg(not(feature = "files"))]
    let files = [];
    decoders.into_iter().chain(files).chain(machines).collect()
}
