/// What one link has done so far; all fields only grow.
///
/// Bytes are those of the TCP stream, handshake included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkStats {
    /// Bytes handed out to be written.
    pub sent_bytes: u64,
    /// Bytes taken from the socket.
    pub received_bytes: u64,
    /// Data phase frames handed out.
    pub sent_frames: u64,
    /// Data phase frames received and found authentic.
    pub received_frames: u64,
    /// I2NP messages handed out.
    pub sent_messages: u64,
    /// I2NP messages received.
    pub received_messages: u64,
    /// Bytes of padding in the frames handed out, without the blocks' headers.
    pub sent_padding_bytes: u64,
    /// Messages that were refused because the queue was full.
    pub refused_full: u64,
    /// Messages that expired while they waited.
    pub dropped_expired: u64,
    /// Messages that still waited when the link closed.
    pub dropped_closed: u64,
    /// RouterInfo blocks that were malformed, too long or wrongly signed.
    pub dropped_router_infos_invalid: u64,
    /// RouterInfo blocks beyond the rate at which a neighbour may make us verify them.
    pub dropped_router_infos_rate: u64,
    /// Received blocks of unknown type.
    pub ignored_blocks: u64,
}
