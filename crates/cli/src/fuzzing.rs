//! Private decoders, for the fuzzer: what a peer sends in a transfer, the router's configuration, and
//! what comes over the control socket.

use crate::{RouterNumbers, router, transfer};

/// Decodes the body of a transfer's frame of this type, and encodes it as a whole frame again.
pub fn transfer_frame(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    transfer::again(kind, body)
}

/// Reads a router's configuration.
///
/// # Errors
///
/// Where something does not fit, and what.
pub fn router_config(text: &str) -> Result<(), String> {
    router::check_config(text)
}

/// Reads what a router answers on its control socket, and writes it again.
pub fn router_numbers(text: &str) -> Option<String> {
    let numbers: RouterNumbers = serde_json::from_str(text).ok()?;
    serde_json::to_string(&numbers).ok()
}
