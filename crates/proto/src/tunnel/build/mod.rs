//! Build messages of tunnels (ECIES-X25519 Tunnel Creation).
//!
//! The creator writes a record for each hop, hidden from the other hops, into a message that goes
//! through all of them. Each hop opens its record, overwrites it with its answer, encrypts the
//! other records and sends the message on. [`creator`] is the creator's side, [`hop`] that of a
//! hop. The older, longer records are answered, too, but never sent.

pub mod creator;
pub mod hop;
mod keys;

pub use creator::{BuildOutcome, BuildPath, HopAnswer, HopSpec, PendingBuild};
pub use hop::{BuildKind, HopRequest, NextStep, OpenedRequest};

/// How many records a message can have.
const MAX_RECORDS: usize = 8;

/// How long a short record is.
const SHORT_RECORD_LEN: usize = 218;

/// How much of the hop's hash stands in front of its record.
const PREFIX_LEN: usize = 16;

/// Returns the nonce under which a short record of another hop is encrypted: where the record is.
fn record_nonce(index: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    let counter = (index as u64).to_le_bytes();
    for (to, from) in nonce.iter_mut().skip(4).zip(counter) {
        *to = from;
    }
    nonce
}

#[cfg(test)]
mod tests;
