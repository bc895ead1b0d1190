use std::time::Duration;

use super::CubicConfig;

/// The limits and times of one stream. The names of the I2CP options they answer to are in
/// brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig {
    /// The longest payload, sent and taken: 1,730 where either side has ElGamal, 1,812 where
    /// both have ECIES (`i2p.streaming.maxMessageSize`). The peer's counts if it is less.
    pub max_payload: u16,
    /// The window, in packets (`i2p.streaming.initialWindowSize`, `maxWindowSize`).
    pub window: CubicConfig,
    /// How many bytes may be written before the first of them is acknowledged
    /// (`i2p.streaming.bufferSize`).
    pub send_buffer: usize,
    /// How many bytes may be received before the first of them is read, each packet counted with
    /// 256 bytes more than its payload. When an
    /// eighth of it waits to be read, the peer is told to stop; a window of its packets fits behind
    /// that.
    pub receive_buffer: usize,
    /// How far ahead of what is missing packets are taken. Java and i2pd send 512 at most.
    pub receive_span: u32,
    /// How many packets may follow the SYN before it is answered; Java takes two.
    pub early_packets: u32,
    /// The timeout before the round-trip time is known (`i2p.streaming.initialRTO`, in others
    /// 9 s).
    pub initial_rto: Duration,
    /// The least timeout.
    pub min_rto: Duration,
    /// The longest time between two tries to get through, so that a stream goes on soon after
    /// its tunnels do.
    pub max_backoff: Duration,
    /// How long a stream may get no answer to what it sent.
    pub dead_after: Duration,
    /// How long the SYN may go unanswered (`i2p.streaming.connectTimeout`).
    pub connect_timeout: Duration,
    /// The most an acknowledgement waits for data to go with it.
    pub max_ack_delay: Duration,
    /// After how much silence [`StreamConfig::inactivity_action`] is taken
    /// (`i2p.streaming.inactivityTimeout`).
    pub inactivity_timeout: Duration,
    /// What is done then (`i2p.streaming.inactivityAction`).
    pub inactivity_action: InactivityAction,
    /// What it is for (`i2p.streaming.profile`).
    pub profile: Profile,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            max_payload: 1812,
            window: CubicConfig::default(),
            send_buffer: 1024 * 1024,
            receive_buffer: 3 * 1024 * 1024,
            receive_span: 1536,
            early_packets: 2,
            initial_rto: Duration::from_secs(3),
            min_rto: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            dead_after: Duration::from_secs(180),
            connect_timeout: Duration::from_secs(60),
            max_ack_delay: Duration::from_millis(20),
            inactivity_timeout: Duration::from_secs(90),
            inactivity_action: InactivityAction::Send,
            profile: Profile::Bulk,
        }
    }
}

impl StreamConfig {
    /// The payload that everyone takes (Streaming, MTU Selection).
    pub(super) const OLD_PAYLOAD: u16 = 1730;

    /// Peers that say less than this mean this, as for Java.
    pub(super) const LEAST_PAYLOAD: u16 = 512;

    /// Returns how many packets leave together at least.
    pub(super) fn quantum(&self) -> u32 {
        match self.profile {
            Profile::Bulk => 8,
            Profile::Interactive => 2,
        }
    }
}

/// What a stream does on which nothing has come or gone for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InactivityAction {
    /// Nothing (0).
    Nothing,
    /// It ends (1).
    Disconnect,
    /// It sends an empty packet, which the peer has to acknowledge (2).
    Send,
}

/// What a stream is for. It is not told to the peer, whom it would only help to tell us apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Much data: packets leave by eights (1).
    Bulk,
    /// Little data, soon: packets leave by twos (2).
    Interactive,
}
