//! The machines, with cryptography that keeps nothing from the fuzzer (`ramson_crypto::fake`).

mod garlic;
pub use garlic::{GARLIC, garlic_router};

mod ntcp2;
pub use ntcp2::{ADMISSION, NTCP2, ntcp2, ntcp2_admission};

mod peer;

mod router;
pub use router::{CORE, LINK, RELAY, router_core, router_link, router_relay};

mod tunnel_build;
pub use tunnel_build::{TUNNEL_BUILD, tunnel_build};

mod tunnel_data;
pub use tunnel_data::{TUNNEL_DATA, tunnel_data};

/// The RouterInfo of the router that plays this number, for seeds.
pub fn router_info_of(number: u8) -> Vec<u8> {
    let _fake = ramson_crypto::fake::enable();
    peer::Peer::of(number).info.as_bytes().to_vec()
}

/// The hash of the router that plays this number, for seeds.
pub fn hash_of(number: u8) -> [u8; 32] {
    let _fake = ramson_crypto::fake::enable();
    peer::Peer::of(number).hash().0
}
