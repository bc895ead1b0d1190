use std::time::Duration;

/// What the sessions of one Destination may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of all peers, pending ones counted. When there are more, pending ones go first, then
    /// the one that was silent longest.
    pub sessions: usize,
    /// Tags waited for, all sessions together: beyond it sessions end, and those left get no more than
    /// everybody needs. An entry takes about 50 bytes.
    pub tags: usize,
    /// New Session messages of all peers that wait for our reply or the peer's answer to it.
    pub received: usize,
    /// Pending sessions of one peer in either direction.
    pub pending_per_peer: usize,
    /// Keys of answers waited for.
    pub answers: usize,
    /// Messages without a known tag a second, each of which costs public-key work. Twice as many
    /// may come at once.
    pub unknown_per_s: u32,
    /// How soon after a New Session message the next one to the same peer may go while nothing
    /// has come back. i2pd drops those that come within 200 ms.
    pub new_session_interval: Duration,
    /// How many tags ahead of the highest received are waited for.
    pub receive_window: u16,
    /// As `receive_window`, while messages leave out more than half of the window.
    pub bulk_window: u16,
    /// How many messages may be under way beyond the last that is known to have arrived. 800 is what
    /// i2pd waits for, 320 Java, 160 the specification.
    pub send_window: u16,
    /// After how many messages keys are exchanged for the next set.
    pub next_key_at: u16,
    /// How soon after another a peer may begin a set.
    pub next_key_interval: Duration,
    /// What the filter against replayed New Session messages may take.
    pub replay_bytes: usize,
    /// Messages of our own that wait for [`poll_transmit`](super::Sessions::poll_transmit).
    pub transmits: usize,
    /// Events that wait for [`poll_event`](super::Sessions::poll_event).
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 4096,
            tags: 1 << 18,
            received: 512,
            pending_per_peer: 8,
            answers: 256,
            unknown_per_s: 200,
            new_session_interval: Duration::from_millis(250),
            receive_window: 800,
            bulk_window: 4096,
            send_window: 160,
            next_key_at: 4096,
            next_key_interval: Duration::from_secs(1),
            replay_bytes: 1 << 20,
            transmits: 256,
            events: 1024,
        }
    }
}

/// How soon acks and reverse keys go without other messages.
pub(super) const CONTROL_DELAY: Duration = Duration::from_millis(100);

/// How soon a New Session message or a reply is answered without other messages. Java waits 1 s.
pub(super) const HANDSHAKE_DELAY: Duration = Duration::from_millis(500);

/// How long a session waits for a reply, and for the answer to one (Parameters, NSR tagset timeout).
pub(super) const PENDING: Duration = Duration::from_secs(180);

/// How long after the last message in either direction a session still sends (ES tagset timeout).
pub(super) const SEND_IDLE: Duration = Duration::from_secs(8 * 60);

/// How long after the last message a session still receives.
pub(super) const RECEIVE_IDLE: Duration = Duration::from_secs(10 * 60);

/// The same for a session that another one has replaced, and for an old tag set.
pub(super) const REPLACED: Duration = Duration::from_secs(180);

/// From which age on a session gives way to a New Session message of the peer at once.
pub(super) const RESTART_AGE: Duration = Duration::from_secs(120);

/// And after which silence.
pub(super) const RESTART_SILENCE: Duration = Duration::from_secs(90);

/// Within which time of each other two sessions count as opened by both sides at once.
pub(super) const CROSSING: Duration = Duration::from_secs(10);

/// After which silence a session gives way to another on which the peer sends.
pub(super) const QUIET: Duration = Duration::from_secs(15);

/// How long a full window without an ack is borne.
pub(super) const STALLED: Duration = Duration::from_secs(10);

/// How often an ack is asked for at least (i2pd).
pub(super) const ACK_INTERVAL: Duration = Duration::from_secs(33);

/// How often an ack is asked for while the window fills.
pub(super) const ACK_INTERVAL_BUSY: Duration = Duration::from_millis(200);

/// When an unconfirmed LeaseSet goes again.
pub(super) const LEASE_SET_AGAIN: Duration = Duration::from_secs(4);

/// How long after the last wish for an ack a full window asks again.
pub(super) const ACK_AGAIN: Duration = Duration::from_secs(1);

/// How often idle and expired things are looked for.
pub(super) const SWEEP: Duration = Duration::from_secs(10);

/// The tags that everybody waits for in a first set, and of replies.
pub(super) const FIRST_WINDOW: u16 = 24;
pub(super) const LATER_WINDOW: u16 = 160;
pub(super) const REPLY_WINDOW: u16 = 12;

/// How many tags one message makes at most beside those for the numbers it passed over.
pub(super) const TAGS_AT_ONCE: u32 = 64;

/// Sets that a session waits for at once beside replies: the newest and those before it.
pub(super) const SETS: usize = 3;

/// Established sessions of one peer.
pub(super) const ESTABLISHED_PER_PEER: usize = 4;

/// Messages whose acks are waited for, and acks that wait to be sent, of a session.
pub(super) const ACKS: usize = 64;

/// Acks in a message, as many as Java sends.
pub(super) const ACKS_PER_MESSAGE: usize = 16;

/// Tags kept for acks and keys when a window is full of messages.
pub(super) const RESERVE: u16 = 4;

/// Keys with representatives made ahead.
pub(super) const KEYS_AHEAD: usize = 16;
