//! How much may be on its way at once.

use std::fmt;
use std::time::Duration;

use ramson_wire::Instant;

mod cubic;
pub use cubic::{Cubic, CubicConfig};

/// Decides the window of a stream, in packets, which is what I2P counts in.
///
/// Loss over tunnels is not congestion alone: a hop that goes away or drops at random loses packets
/// at every rate. So an implementation is told of everything and judges for itself.
pub trait Congestion: fmt::Debug + Send {
    /// Returns how many packets may be on their way.
    fn window(&self) -> u32;

    /// Returns at how many percent of a window each round trip packets are to leave.
    fn pacing_percent(&self) -> u32;

    /// Handles packets that were acknowledged.
    fn handle_acked(&mut self, acked: &Acked, now: Instant);

    /// Handles packets found lost, by acknowledgements of later ones.
    fn handle_lost(&mut self, lost: &Lost, now: Instant);

    /// Handles the second timeout in a row: nothing comes back at all.
    fn handle_timeout(&mut self, now: Instant);

    /// Handles acknowledgements of what was sent before the last such timeout, and not again: it was
    /// the acknowledgements that did not get through, or in time.
    fn handle_false_timeout(&mut self, now: Instant);

    /// Handles a peer that cannot hold what it gets. `cap` is the largest window it is known to
    /// take, if it is known.
    fn handle_overrun(&mut self, cap: Option<u32>, now: Instant);
}

/// What an acknowledgement brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// How many packets it acknowledged that had not been.
    pub packets: u32,
    /// How many were on their way before it.
    pub in_flight: u32,
    /// The last of them in the order of sending, counting every sending.
    pub newest: u64,
    /// How many sendings there have been.
    pub sent: u64,
    /// The round trip it measured, if it did.
    pub rtt: Option<Duration>,
    /// The shortest round trip of late.
    pub min_rtt: Duration,
}

/// What was found lost at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// How many packets.
    pub packets: u32,
    /// The last of them in the order of sending, counting every sending.
    pub newest: u64,
    /// How many sendings there have been.
    pub sent: u64,
}
