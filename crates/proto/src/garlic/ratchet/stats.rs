/// What the sessions of one Destination have done so far; all fields only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RatchetStats {
    /// New Session messages written, one-time messages counted.
    pub sealed_new_sessions: u64,
    /// Replies written.
    pub sealed_replies: u64,
    /// Messages of established sessions written.
    pub sealed_existing: u64,
    /// Of all those the ones without a message of the layer above.
    pub sealed_empty: u64,
    /// Bound New Session messages opened.
    pub opened_new_sessions: u64,
    /// New Session messages of nobody opened.
    pub opened_one_time: u64,
    /// Replies opened.
    pub opened_replies: u64,
    /// Messages of established sessions opened.
    pub opened_existing: u64,
    /// Answers under keys of their own opened.
    pub opened_answers: u64,
    /// Sessions established.
    pub established: u64,
    /// Tag sets of ours that followed others.
    pub next_sets_sent: u64,
    /// Tag sets of peers that followed others.
    pub next_sets_received: u64,
    /// Messages whose length does not fit.
    pub dropped_framing: u64,
    /// Messages too short for any kind.
    pub dropped_short: u64,
    /// Messages without a known tag beyond the rate.
    pub dropped_rate: u64,
    /// Handshake messages with a key that is none.
    pub dropped_bad_key: u64,
    /// Messages of no known tag that are not for our key: late, forged or not for us.
    pub dropped_not_for_us: u64,
    /// Messages with a known tag, or for our key, that do not authenticate.
    pub dropped_decrypt: u64,
    /// New Session messages that came before.
    pub dropped_replayed: u64,
    /// New Session messages without a time.
    pub dropped_no_time: u64,
    /// Messages with two times.
    pub dropped_two_times: u64,
    /// New Session messages that are too old.
    pub dropped_old: u64,
    /// New Session messages from the future.
    pub dropped_ahead: u64,
    /// Messages whose blocks are damaged.
    pub dropped_payload: u64,
    /// Blocks of unknown type.
    pub ignored_unknown_blocks: u64,
    /// Blocks that have no place in the message they came in.
    pub ignored_misplaced_blocks: u64,
    /// NextKey blocks that break the rules.
    pub ignored_next_keys: u64,
    /// Acks of messages that were not sent.
    pub ignored_acks: u64,
    /// MessageNumbers blocks that say nothing of the set before.
    pub ignored_message_numbers: u64,
    /// Wishes for acks beyond what a session remembers.
    pub dropped_ack_requests: u64,
    /// Sessions that went because there were too many, or too many tags.
    pub evicted_sessions: u64,
    /// Tags not made because there were too many.
    pub withheld_tags: u64,
    /// Sessions given up because a full window was not acked.
    pub stalled_sessions: u64,
    /// Messages of our own that nobody fetched.
    pub dropped_transmits: u64,
    /// Events that nobody fetched.
    pub dropped_events: u64,
    /// Keys of answers that went because there were too many.
    pub dropped_answers: u64,
}
