use std::time::Duration;

use super::PacketError;

/// What one stream has done and believes; counters only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamStats {
    /// The smoothed round-trip time.
    pub smoothed_rtt: Option<Duration>,
    /// The least of late.
    pub min_rtt: Duration,
    /// How much it varies.
    pub rtt_variance: Duration,
    /// The timeout that follows from them.
    pub timeout: Duration,
    /// How many packets may be on their way.
    pub window: u32,
    /// How many are.
    pub in_flight: u32,
    /// The longest payload sent.
    pub max_payload: usize,
    /// Packets sent, acknowledgements included.
    pub sent_packets: u64,
    /// Bytes of packets sent.
    pub sent_bytes: u64,
    /// Packets received that belonged to the stream.
    pub received_packets: u64,
    /// Bytes of payload received that had not come before.
    pub received_bytes: u64,
    /// Packets sent again.
    pub resent_packets: u64,
    /// Packets that acknowledgements of later ones showed to be lost.
    pub lost_packets: u64,
    /// Packets sent again, or found lost, that had arrived.
    pub spurious_resends: u64,
    /// Timeouts.
    pub timeouts: u64,
    /// Packets received that had come before.
    pub duplicates: u64,
    /// How often the peer told us to stop.
    pub chokes: u64,
    /// The peer has told us to stop.
    pub choked: bool,
    /// We have told the peer to stop.
    pub choking: bool,
}

/// What the streams of a Destination have done together; all fields only grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionsStats {
    /// Streams opened here.
    pub opened: u64,
    /// Streams of others let in.
    pub accepted: u64,
    /// Streams of others refused with an answer.
    pub refused: u64,
    /// Pings answered.
    pub pongs: u64,
    /// RESETs sent for streams that are not known.
    pub unknown_resets: u64,
    /// Answers dropped because too many waited.
    pub dropped_answers: u64,
    /// Packets by what was wrong with them, in the order of [`PacketError::ALL`].
    errors: [u64; PacketError::ALL.len()],
}

impl ConnectionsStats {
    /// Returns how many packets had this wrong.
    pub fn errors(&self, error: PacketError) -> u64 {
        let at = PacketError::ALL.iter().position(|&each| each == error);
        at.and_then(|at| self.errors.get(at)).copied().unwrap_or(0)
    }

    pub(super) fn count(&mut self, error: PacketError) {
        let at = PacketError::ALL.iter().position(|&each| each == error);
        if let Some(count) = at.and_then(|at| self.errors.get_mut(at)) {
            *count += 1;
        }
    }
}
